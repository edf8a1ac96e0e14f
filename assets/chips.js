// Hidden widths of the head as chips, and the number of outputs they lead to.
// Payload and value {"widths": [512], "outputs": 37, "outputs_editable": true, "problem": "", "help"}. What cannot be
// meant is kept as it was typed (a string among the widths) beside the sentence that says why.
Explorer.chips = (element, props, trigger, watch) => {
  const { el, icon } = Explorer;
  const box = element.querySelector('.chips'), help = element.querySelector('.help');
  const MOST = 8, NARROWEST = 16, WIDEST = 65536, MOST_OUTPUTS = 100000;
  const chips = [];
  let editing = null;

  const add = el('button', 'chip add', '+', box), arrow = el('span', 'arrow', '→', box), out = chip(null);
  add.type = 'button';
  add.setAttribute('aria-label', 'Add a hidden layer');
  arrow.setAttribute('aria-hidden', 'true');
  out.box.classList.add('out');
  box.append(out.box);
  add.addEventListener('click', () => {
    const { widths } = props.value, last = widths.at(-1);
    set({ widths: [...widths, Number.isInteger(last) && last > 0 ? Math.max(NARROWEST, Math.ceil(last / 2)) : 256] });
    (add.hidden ? chips.at(-1).word : add).focus();
  });

  function draw(state) {
    while (chips.length > state.widths.length) chips.pop().box.remove();
    state.widths.forEach((width, k) => {
      if (!chips[k]) add.before((chips[k] = chip(k)).box);
      paint(chips[k], width, `Layer ${k + 1}, width ${width}: edit`, wrong(width, 'width'));
      chips[k].cross.setAttribute('aria-label', `Remove layer ${k + 1} of ${width}`);
    });
    add.hidden = state.widths.length >= MOST;
    paint(out, state.outputs, `${state.outputs} outputs: edit`, wrong(state.outputs, 'outputs'));
    out.unit.textContent = ` ${state.outputs === 1 ? 'output' : 'outputs'}`;
    out.word.disabled = !state.outputs_editable;
    if (state.help) help.textContent = state.help;
    Explorer.problem(element, null, state.problem);
  }

  function paint({ box: e, word }, value, name, bad) {
    if (word.textContent !== String(value)) word.textContent = value;
    word.setAttribute('aria-label', name);
    e.classList.toggle('bad', Boolean(bad));
  }

  // Built once for each place; its number is what changes. k is null for the outputs.
  function chip(k) {
    const e = el('span', k === null ? '' : 'chip'), word = el('button', 'word', null, e);
    word.type = 'button';
    word.addEventListener('click', () => edit(parts));
    const parts = { k, box: e, word };
    if (k === null) parts.unit = el('span', '', '', e);
    else {
      parts.cross = el('button', 'cross', null, e);
      parts.cross.type = 'button';
      parts.cross.append(icon('cross'));
      parts.cross.addEventListener('click', () => remove(k));
      word.addEventListener('keydown', event => {
        if (event.key !== 'Delete' && event.key !== 'Backspace') return;
        event.preventDefault();
        remove(k);
      });
    }
    return parts;
  }

  function remove(k) {
    set({ widths: props.value.widths.filter((_, i) => i !== k) });
    (chips[Math.min(k, chips.length - 1)]?.word || add).focus();
  }

  function edit(parts) {
    if (editing) return;
    const field = el('input', 'edit');
    editing = parts;
    field.type = 'text';
    field.inputMode = 'numeric';
    field.value = parts.word.textContent;
    field.setAttribute('aria-label', parts.k === null ? 'Outputs' : `Width of layer ${parts.k + 1}`);
    parts.word.hidden = true;
    parts.word.before(field);
    field.focus();
    field.select();
    const done = (keep, refocus) => {
      if (editing !== parts) return;
      editing = null;
      const typed = field.value.trim();
      parts.word.hidden = false;
      if (refocus) parts.word.focus();
      field.remove();
      if (keep && typed !== parts.word.textContent) commit(parts.k, typed);
    };
    field.addEventListener('keydown', event => {
      if (event.key === 'Enter') done(true, true);
      else if (event.key === 'Escape') done(false, true);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    field.addEventListener('blur', () => done(true, false));
  }

  function commit(k, typed) {
    const value = /^\d+$/.test(typed) ? Number(typed) : typed, { widths } = props.value;
    if (k === null) set({ outputs: value });
    else if (typed === '') remove(k);
    else set({ widths: widths.map((width, i) => (i === k ? value : width)) });
  }

  function wrong(value, what) {
    const most = what === 'outputs' ? MOST_OUTPUTS : WIDEST, name = what === 'outputs' ? 'The number of outputs' : 'The width of a head layer';
    if (!Number.isInteger(value)) return `${name} must be a whole number, not “${value}”.`;
    return value < 1 || value > most ? `${name} must lie between 1 and ${most.toLocaleString('en')}, not ${value.toLocaleString('en')}.` : '';
  }

  function set(change) {
    const { widths, outputs } = { ...props.value, ...change };
    hold({ ...change, problem: [...widths.map(width => wrong(width, 'width')), wrong(outputs, 'outputs')].find(Boolean) || '' });
  }

  const hold = Explorer.hold(element, props, watch, trigger, draw);
};
