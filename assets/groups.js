// Parameter groups: a rate and a lock for each. Locks go from the input on, as freezing does.
// Payload and value {"rows": [{"id", "name", "rate": "1e-4", "frozen", "params", "trainable"}], "problem": "", "help"}.
// A rate is text: what is no number stays as it was typed, beside the sentence that says why.
Explorer.groups = (element, props, trigger, watch) => {
  const { el, icon, short, exact } = Explorer;
  const box = element.querySelector('.groups'), help = element.querySelector('.help'), said = element.querySelector('.said');
  const lines = [];

  function draw(state) {
    while (lines.length > state.rows.length) lines.pop().box.remove();
    state.rows.forEach((row, k) => paint(lines[k] ||= make(k), row));
    if (state.help) help.textContent = state.help;
    Explorer.problem(element, null, state.problem);
  }

  function paint(line, row) {
    line.box.className = `grp ${colour(row.id)}`;
    line.box.title = row.params == null ? '' : `${exact(row.params)} parameters, ${exact(row.trainable ?? 0)} learn`;
    line.name.textContent = row.name;
    line.size.textContent = row.params == null ? '' : short(row.params);
    if (document.activeElement !== line.rate) line.rate.value = row.rate;
    line.rate.setAttribute('aria-label', `Learning rate of ${row.name}`);
    line.box.classList.toggle('locked', row.frozen);
    line.box.classList.toggle('bad', Boolean(wrong(row.rate)));
    if (wrong(row.rate)) line.rate.setAttribute('aria-invalid', 'true'); else line.rate.removeAttribute('aria-invalid');
    line.lock.setAttribute('aria-checked', row.frozen);
    line.lock.setAttribute('aria-label', `Freeze ${row.name}`);
    line.lock.title = row.frozen ? `${row.name} is frozen` : `${row.name} learns`;
    line.lock.querySelector('use').setAttribute('href', row.frozen ? '#i-lock' : '#i-open');
  }

  const colour = id => (id.includes('early') ? 'c-early' : id.includes('late') ? 'c-late' : 'c-head');

  function make(k) {
    const line = { box: el('div', 'grp', null, box) };
    line.name = el('span', 'name', null, line.box);
    line.size = el('span', 'size', null, line.box);
    line.rate = el('input', '', null, line.box);
    line.rate.type = 'text';
    line.rate.autocomplete = 'off';
    line.rate.spellcheck = false;
    line.rate.addEventListener('change', () => setRate(k, line.rate.value.trim()));
    line.rate.addEventListener('keydown', event => {
      if (event.key === 'Enter') setRate(k, line.rate.value.trim());
      if (event.key === 'Escape') line.rate.value = props.value.rows[k].rate;
    });
    line.lock = el('button', 'lock', null, line.box);
    line.lock.type = 'button';
    line.lock.setAttribute('role', 'switch');
    line.lock.append(icon('open'));
    line.lock.addEventListener('click', () => setLock(k));
    return line;
  }

  // 1e-4, .0001, 0.001: a number from 0 to 10.
  function wrong(rate) {
    if (!/^\+?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(rate)) return `A learning rate is a number such as 1e\u20114, not “${rate}”.`;
    return Number(rate) > 10 ? `A learning rate must lie between 0 and 10, not ${rate}.` : '';
  }

  function setRate(k, rate) {
    if (rate === props.value.rows[k].rate) return;
    set(props.value.rows.map((row, i) => (i === k ? { ...row, rate } : row)));
  }

  function setLock(k) {
    const { rows } = props.value, frozen = !rows[k].frozen, last = rows.length - 1;
    if (k === last) {
      say(`${rows[last].name} is new and has to learn: it cannot be frozen.`);
      return;
    }
    const taken = rows.filter((row, i) => row.frozen !== frozen && (frozen ? i < k : i > k && i < last)).map(row => row.name);
    set(rows.map((row, i) => ({ ...row, frozen: frozen ? row.frozen || i <= k : row.frozen && i < k })));
    say(!taken.length ? '' : frozen ? `Freezing goes from the input on: ${taken.join(', ')} is frozen with it.` : `Freezing goes from the input on: ${taken.join(', ')} learns again too.`);
  }

  function say(sentence) {
    said.textContent = sentence;
    said.hidden = !sentence;
  }

  function set(rows) {
    say('');
    hold({ rows, problem: rows.map(row => wrong(row.rate)).find(Boolean) || '' });
  }

  const hold = Explorer.hold(element, props, watch, trigger, draw);
};
