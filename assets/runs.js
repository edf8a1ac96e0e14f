// The Runs page. value = {"pace": milliseconds between two questions}; what it shows it asks the server for (ui/runs_desk.py).
Explorer.runs = (element, props, trigger, watch, server) => {
  const { el, icon } = Explorer, root = element.querySelector('.runs'), me = () => Explorer.secret.read();
  const state = Object.assign({ group: '', show: 'all', picked: [], open: [], most: 60, against: 'valid_loss', search: '' }, recall());
  let page = null, mark = '', timer = 0, asking = false, again = false, failures = 0, expanded = null, doing = 0;

  const lead = el('div', 'lead', null, root);
  el('h1', '', 'Runs', lead);
  const count = el('p', 'count', null, lead);
  const tool = el('div', 'tool', null, root), columns = el('div', 'runs-cols', null, root);
  const main = el('section', '', null, columns), aside = el('aside', 'side', null, columns);
  main.setAttribute('aria-label', 'All runs');
  const trouble = el('p', 'problem', null, main), empty = el('div', 'none', null, main);
  trouble.hidden = true;
  const table = Explorer.runsTable(el('div', 'list', null, main), { pick, act, more, open, rename: (id, text) => act('rename', [id], text), expand });
  const side = Explorer.runsSide(aside, { against: key => change({ against: key }), unpick: id => pick(id), take });
  const toast = Explorer.toast(root), spoken = el('p', 'sr', null, root);
  spoken.setAttribute('aria-live', 'polite');

  // ---- the bar above the table ----
  const grouped = el('label', 'group', null, tool);
  el('span', '', 'Group by', grouped);
  const select = el('select', '', null, el('span', 'sel', null, grouped));
  select.onchange = () => change({ group: select.value });
  const picks = el('div', 'picks', null, tool), filters = {};
  picks.setAttribute('role', 'group');
  picks.setAttribute('aria-label', 'Which runs');
  for (const [key, text] of [['all', 'All'], ['live', 'Under way'], ['pinned', 'Pinned'], ['failed', 'Failed']]) {
    filters[key] = el('button', 'pick', text, picks);
    filters[key].type = 'button';
    filters[key].onclick = () => change({ show: key });
  }
  const search = el('input', 'search', null, tool);
  Object.assign(search, { type: 'search', placeholder: 'Search', value: state.search });
  search.setAttribute('aria-label', 'Search names, notes and knobs');
  search.oninput = () => change({ search: search.value });
  const acts = el('div', 'acts', null, tool), buttons = {
    again: button('again', 'Run again', () => act('again', state.picked)),
    go_on: button('on', 'Continue', () => act('go_on', state.picked)),
    pin: button('pin', 'Pin', () => act(allPinned() ? 'unpin' : 'pin', state.picked)),
    delete: button('bin', 'Delete', () => act('delete', state.picked)),
    csv: button('export', 'CSV', () => save('csv')),
    json: button('export', 'JSON', () => save('json')),
  };

  function button(name, text, run) {
    const b = el('button', 'btn q', null, acts);
    b.type = 'button';
    b.append(icon(name), el('span', '', text));
    b.onclick = run;
    return b;
  }

  // ---- what is remembered of the page ----
  function recall() {
    try { return JSON.parse(sessionStorage.getItem('explorer.runs')) ?? {}; } catch { return {}; }
  }
  function change(values) {
    Object.assign(state, values);
    try { sessionStorage.setItem('explorer.runs', JSON.stringify(state)); } catch { /* private mode */ }
    drawTool();
    ask();
  }

  // ---- asking ----
  const visible = () => !document.hidden && root.offsetParent !== null;
  async function ask() {
    clearTimeout(timer);
    if (asking) { again = true; return; }
    if (!visible() && page) { timer = setTimeout(ask, 2000); return; }
    asking = true;
    const answer = await Promise.race([server.runs_look([{ me: me(), mark, ...state }]), new Promise(resolve => setTimeout(resolve, 15000))]).catch(() => undefined);
    asking = false;
    if (!element.isConnected) return;
    if (!answer) {
      failures += 1;
      complain('The server does not answer; trying again.');
      timer = setTimeout(ask, Math.min(10000, 500 * 2 ** failures));
      return;
    }
    failures = 0;
    complain(answer.error ?? '');
    if (!answer.error && !answer.same) {
      mark = answer.mark;
      page = answer;
      draw();
    }
    if (again) { again = false; ask(); return; }
    timer = setTimeout(ask, props.value?.pace ?? 1000);
  }
  document.addEventListener('visibilitychange', () => { if (visible()) ask(); });
  new IntersectionObserver(seen => { if (seen.some(one => one.isIntersecting)) ask(); }).observe(root);

  function complain(text) {
    trouble.textContent = text;
    trouble.hidden = !text;
  }

  // ---- drawing ----
  function draw() {
    if (page.picked.join() !== state.picked.join()) state.picked = page.picked;       // what is gone is not picked
    count.textContent = page.count;
    drawTool();
    const none = !page.of, missed = !none && !page.shown;
    empty.hidden = !none && !missed;
    if (none || missed) drawEmpty(none);
    table.draw(page, state, expanded);
    side.draw(page, state);
    if (spoken.textContent !== page.count) spoken.textContent = page.count;
  }

  function drawEmpty(none) {
    empty.replaceChildren(el('h2', '', none ? 'No run yet' : 'No run is like that'), el('p', '', none
      ? 'Press Train on a page: every run of this browser then stands here, with its curve, and can be compared, continued or taken away.'
      : 'Search for something else, or show all runs.'));
  }

  function drawTool() {
    const knobs = page?.knobs ?? [], key = knobs.map(knob => knob.key).join() + state.group;
    if (select.dataset.key !== key) {
      select.dataset.key = key;
      select.replaceChildren(...[{ key: '', label: 'Nothing' }, ...knobs].map(knob => Object.assign(el('option', '', knob.label), { value: knob.key })));
    }
    select.value = page?.group === state.group || knobs.some(knob => knob.key === state.group) ? state.group : '';
    for (const [name, b] of Object.entries(filters)) b.setAttribute('aria-pressed', name === state.show);
    const n = state.picked.length;
    for (const name of ['again', 'go_on', 'pin', 'delete']) buttons[name].disabled = !n || doing > 0;
    buttons.pin.lastChild.textContent = n && allPinned() ? 'Unpin' : 'Pin';
    buttons.csv.lastChild.textContent = n ? `CSV of ${n}` : 'CSV';
    buttons.json.lastChild.textContent = n ? `JSON of ${n}` : 'JSON';
    buttons.csv.disabled = buttons.json.disabled = !page?.of;
  }

  const rows = () => (page?.groups ?? []).flatMap(group => group.rows);
  const allPinned = () => state.picked.every(id => rows().find(row => row.id === id)?.pinned);

  // ---- wishes ----
  function pick(id) {
    const at = state.picked.indexOf(id), picked = at < 0 ? [...state.picked, id].slice(-8) : state.picked.filter(one => one !== id);
    change({ picked });
  }
  function open(key) {
    change({ open: state.open.includes(key) ? state.open.filter(one => one !== key) : [...state.open, key] });
  }
  function more() { change({ most: state.most + 200 }); }

  async function act(wish, runs, text = '') {
    doing += 1;
    drawTool();
    const answer = await server.runs_do([{ me: me(), do: wish, runs, text }]).catch(() => undefined);
    doing -= 1;
    if (!answer) toast.say('The server does not answer; nothing was changed.');
    else {
      const undo = wish === 'delete' && answer.done?.length ? () => act('restore', answer.done) : null;
      const said = [answer.text, answer.problem ?? answer.error].filter(Boolean).join(' ');
      if (said) toast.say(said, undo);
      if (wish === 'delete') state.picked = state.picked.filter(id => !answer.done?.includes(id));
    }
    mark = '';
    ask();
    return answer;
  }

  async function expand(id) {
    expanded = expanded?.id === id ? null : { id, more: null };
    table.draw(page, state, expanded);
    if (!expanded) return;
    const answer = await server.runs_more([{ me: me(), run: id }]).catch(() => undefined);
    if (expanded?.id !== id) return;
    expanded.more = answer ?? { error: 'The server does not answer.' };
    table.draw(page, state, expanded);
  }

  async function save(kind) {
    const answer = await server.runs_export([{ me: me(), runs: state.picked, as: kind }]).catch(() => undefined);
    if (!answer?.text) { toast.say(answer?.error ?? 'The server does not answer.'); return; }
    const link = el('a');
    link.href = URL.createObjectURL(new Blob([answer.text], { type: answer.type }));
    link.download = answer.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // Another browser's key: its runs are seen here from now on.
  function take(key) {
    if (!Explorer.secret.take(key.trim())) { toast.say('That is no key: it has 24 to 64 letters, digits, - or _.'); return; }
    location.reload();
  }

  drawTool();
  ask();
};

// A sentence at the foot of the window that goes by itself, with a way back where there is one.
Explorer.toast = root => {
  const { el } = Explorer, box = el('div', 'toast', null, root);
  let timer = 0;
  box.setAttribute('role', 'status');
  box.hidden = true;
  function say(text, undo) {
    box.replaceChildren(el('span', '', text));
    if (undo) {
      const b = el('button', 'link', 'Undo', box);
      b.type = 'button';
      b.onclick = () => { box.hidden = true; undo(); };
    }
    box.hidden = false;
    clearTimeout(timer);
    timer = setTimeout(() => { box.hidden = true; }, undo ? 15000 : 6000);
  }
  return { say };
};
