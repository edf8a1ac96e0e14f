// Sentences about single controls, each below the control it concerns. Payload {"problems": {field: sentence},
// "hints": {field: {text, label}}, "targets": {field: elem_id}, in the first value}. A hint is a suggestion, with a button that follows it
// (event follow {field}). What has no control in sight stands in a bar at the top of the page. Values are never touched.
Explorer.notices = (element, props, trigger, watch) => {
  const { el, icon } = Explorer;
  const bar = element.querySelector('.noticebar'), lines = new Map();      // elem_id -> { line, target }

  // Our own widgets say what is wrong with their text before the server does: not twice.
  const says = (target, sentence) => [...target.querySelectorAll('.problem:not(.notice)')].some(line => line.textContent === sentence);
  const fields = target => target.querySelectorAll('input, textarea, [role=spinbutton], [role=radiogroup]');

  function put(id, sentence) {
    const target = document.getElementById(id);
    if (lines.has(id) && !lines.get(id).line.isConnected) lines.delete(id);      // the control was made anew
    if (!lines.has(id)) {
      const line = el('p', 'problem notice', null, target);
      line.id = `${id}-problem`;
      line.setAttribute('role', 'alert');
      lines.set(id, { line, target });
    }
    const { line } = lines.get(id);
    if (line.textContent !== sentence) line.textContent = sentence;
    target.classList.add('invalid');
    for (const field of fields(target)) {
      field.setAttribute('aria-invalid', 'true');
      field.setAttribute('aria-describedby', line.id);
    }
  }

  function remove(id) {
    const { line, target } = lines.get(id);
    line.remove();
    target.classList.remove('invalid');
    for (const field of fields(target)) {
      field.removeAttribute('aria-invalid');
      field.removeAttribute('aria-describedby');
    }
    lines.delete(id);
  }

  function show(sentences) {
    const text = sentences.join('\n');
    if (bar.dataset.text === text) return;
    bar.dataset.text = text;
    bar.hidden = !text;
    bar.replaceChildren(...sentences.map(sentence => {
      const line = el('p');
      line.append(icon('warn'), el('span', '', sentence));
      return line;
    }));
  }

  // Suggestions: a quiet line below the control, as soon as that is on the page (Gradio makes what is folded later).
  const quiet = new Map();                                                     // field -> line
  const made = new MutationObserver(() => { if (Object.keys(wished).some(field => !quiet.has(field) && target(field))) suggest(wished); });
  const target = field => document.getElementById(targets[field] || '');
  let wished = {};

  function suggest(hints) {
    wished = hints;
    for (const [field, line] of quiet) if (!hints[field] || !line.isConnected) { line.remove(); quiet.delete(field); }
    for (const [field, { text, label }] of Object.entries(hints)) {
      if (!target(field)) continue;
      if (!quiet.has(field)) quiet.set(field, el('p', 'hint', null, target(field)));
      const line = quiet.get(field);
      if (line.dataset.text === text) continue;
      line.dataset.text = text;
      line.replaceChildren(text, ' ');
      if (!label) continue;
      const follow = el('button', 'link', label, line);
      follow.type = 'button';
      follow.addEventListener('click', () => trigger('follow', { field }));
    }
    made.disconnect();
    if (Object.keys(hints).some(field => !target(field))) made.observe(document.body, { subtree: true, childList: true });
  }

  const targets = props.value?.targets || {};                                    // known from the start, told once
  Explorer.live(element, props, watch, value => {
    const { problems = {} } = value;
    const wanted = new Map(), homeless = [];
    for (const [field, sentence] of Object.entries(problems)) {
      if (!sentence) continue;
      const target = document.getElementById(targets[field] || '');
      if (target && says(target, sentence)) continue;
      if (target) wanted.set(target.id, [...(wanted.get(target.id) || []), sentence]);
      else homeless.push(sentence);
    }
    for (const id of [...lines.keys()]) if (!wanted.has(id)) remove(id);
    for (const [id, sentences] of wanted) put(id, sentences.join(' '));
    show(homeless);
    suggest(value.hints || {});
  });
};
