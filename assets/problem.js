// The sentence under a control of ours: made, reworded or taken away; `field` is marked for screen readers.
Explorer.problem = (element, field, sentence) => {
  let line = element.querySelector(':scope .problem');
  if (sentence && !line) {
    line = Explorer.el('p', 'problem', null, element.firstElementChild || element);
    line.setAttribute('role', 'alert');
    element.querySelector('.help')?.before(line);
  }
  if (!sentence) line?.remove();
  else if (line.textContent !== sentence) line.textContent = sentence;
  if (sentence) field?.setAttribute('aria-invalid', 'true');
  else field?.removeAttribute('aria-invalid');
};
