// Text that leaves the page: to the clipboard, to a file, and the word that says it worked.

// Resolves to true when the text is on the clipboard. Without permission (or https) the old command is tried.
Explorer.copy = async text => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = Explorer.el('textarea', 'sr', null, document.body);
    field.value = text;
    field.select();
    let done = false;
    try { done = document.execCommand('copy'); } catch { /* refused: the caller offers the text to be copied by hand */ }
    field.remove();
    return done;
  }
};

// Save text as a file of that name.
Explorer.save = (text, name, type = 'text/plain') => {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
};

// A button that can answer: say(button, 'Copied') shows the word in its label for two seconds, to ears too.
Explorer.say = (button, word) => {
  const label = button.querySelector('.say') || button;
  button.dataset.label ||= label.textContent;
  label.textContent = word;
  label.setAttribute('aria-live', 'polite');
  clearTimeout(button.sayTimer);
  button.sayTimer = setTimeout(() => { label.textContent = button.dataset.label; }, 2000);
};

// A button with a symbol and a word.
Explorer.button = (symbol, word, parent, cls = 'btn plain') => {
  const button = Explorer.el('button', cls, null, parent);
  button.type = 'button';
  if (symbol) button.append(Explorer.icon(symbol));
  Explorer.el('span', 'say', word, button);
  return button;
};
