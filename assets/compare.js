// Two designs side by side: totals, the knobs that differ, layers aligned. Payload: explorer/views/compare.py; {} while
// nothing is pinned. Event: act {id: 'pin'}.
Explorer.compare = (element, props, trigger, watch) => {
  const { el, icon, pick, isIn, placeRows, groupClass } = Explorer;
  const WORDS = { '=': 'equal', '≠': 'changed', '−': 'only in A', '+': 'only in B' };
  const KEYS = { '=': 'equal', '≠': 'changed', '−': 'gone', '+': 'added' };
  const LOOKS = { '=': 'equal', '≠': 'changed', '−': 'gone', '+': 'added' };
  const root = element.querySelector('.compare'), part = cls => root.querySelector('.' + cls);
  const none = part('none'), some = part('some'), diff = part('diff'), body = diff.tBodies[0];
  const opened = new Map();             // key -> whether a person unfolded or folded it
  let lines = new Map();                // key -> its row, kept while a payload stands
  let v = null, rows = [], shown = [], current = null;

  empty();
  heading();

  function empty() {
    el('p', '', 'Pin a design to compare it: it stays as A, and what you change from then on is B.', none);
    const button = el('button', 'btn', 'Pin this design as A', none);
    button.type = 'button';
    button.onclick = () => trigger('act', { id: 'pin' });
  }

  function heading() {
    const row = el('tr', '', null, diff.tHead);
    for (const [text, cls] of [['name', 'name'], ['class', 'cls'], ['out shape', 'shape'], ['params', 'params']]) el('th', cls, text, row).scope = 'col';
  }

  // ---- totals and knobs ----
  function mark(text, title, parent) {
    const box = el('span', 'side', null, parent);
    el('b', 'badge', text, box);
    if (title) el('span', '', title, box);
    return box;
  }

  function sums() {
    const table = part('sums');
    table.replaceChildren();
    const head = el('tr', '', null, table.createTHead());
    el('td', '', null, head);
    for (const [side, name] of [['A', v.a], ['B', v.b]]) { const th = el('th', 'of', null, head); th.scope = 'col'; th.title = name; mark(side, name, th); }
    el('th', 'by', 'difference', head).scope = 'col';
    const rest = table.createTBody();
    for (const total of v.totals) {
      const tr = el('tr', '', null, rest);
      tr.title = `${total.exact} ${total.label}`;
      el('th', '', total.label, tr).scope = 'row';
      ['a', 'b'].forEach((side, k) => {
        const cell = el('td', 'of', null, tr);
        if (total.shares[k]) el('i', 'bar ' + side, null, cell).style.width = `${100 * total.shares[k]}%`;
        el('span', '', total[side], cell);
      });
      const cell = el('td', total.way ? 'by' : 'by level', null, tr);
      if (total.way) el('i', 'way', total.way > 0 ? '▲' : '▼', cell).setAttribute('aria-hidden', 'true');
      el('b', '', total.diff, cell);
      if (total.ratio) el('span', 'ratio', total.ratio, cell);
    }
  }

  function knobs() {
    const table = part('knobs'), differing = [...v.fields, ...v.train];
    table.replaceChildren();
    table.hidden = !differing.length;
    part('same').textContent = v.same;
    if (!differing.length) return;
    const head = el('tr', '', null, table.createTHead()), rest = table.createTBody();
    el('td', '', null, head);
    for (const side of ['A', 'B']) { const th = el('th', '', null, head); th.scope = 'col'; mark(side, '', th); }
    for (const [label, a, b] of differing) {
      const tr = el('tr', '', null, rest);
      el('th', '', label, tr).scope = 'row';
      el('td', '', a, tr);
      el('td', 'new', b, tr);
    }
  }

  // Signs and what they mean, with how many layers each stands for.
  function legend() {
    const box = part('legend');
    box.replaceChildren();
    el('h2', '', 'Layers', box);
    for (const state of ['≠', '−', '+', '=']) {
      const n = v.counts[KEYS[state]];
      if (!n) continue;
      const item = el('span', LOOKS[state], null, box);
      el('i', 'sign', state, item).setAttribute('aria-hidden', 'true');
      el('span', '', `${n.toLocaleString('en')} ${WORDS[state]}`, item);
    }
  }

  // ---- layers ----
  // Arrays under a header -> rows with names; `up` is the row above in the tree, `key` says which row it is.
  function unpack({ columns, words, groups, rows: arrays }) {
    const above = [], used = new Map();
    const cell = at => (Array.isArray(at) ? at.map(i => words[i]) : words[at]);
    return arrays.map(values => {
      const row = Object.fromEntries(columns.map((column, i) => [column, values[i]]));
      for (const name of ['name', 'cls', 'shape', 'params']) row[name] = cell(row[name]);
      row.group = groups[row.group];
      row.up = row.depth ? above[row.depth - 1] : null;
      const name = `${row.up?.key ?? ''}/${row.state}${row.count ? 'fold ' : ''}${row.name}`, again = used.get(name) || 0;
      used.set(name, again + 1);
      row.key = again ? `${name} ${again}` : name;
      if (row.up) row.up.kids = true;
      above[row.depth] = row;
      return row;
    });
  }

  const isOpen = row => opened.get(row.key) ?? Boolean(row.open);

  function choose() {
    let closed = Infinity;       // depth of the folded row we are below
    return rows.filter(row => {
      if (row.depth > closed) return false;
      closed = row.kids && !isOpen(row) ? row.depth : Infinity;
      return true;
    });
  }

  function draw() {
    const focused = body.contains(document.activeElement);
    shown = choose();
    if (!shown.some(row => row.key === current)) current = shown[0]?.key;
    placeRows(body, shown.map(line));
    if (focused && !body.contains(document.activeElement)) lines.get(current)?.focus({ preventScroll: true });
  }

  function line(row) {
    let tr = lines.get(row.key);
    if (!tr) lines.set(row.key, tr = make(row));
    if (row.kids) tr.setAttribute('aria-expanded', isOpen(row));
    tr.tabIndex = row.key === current ? 0 : -1;
    tr.setAttribute('aria-selected', Boolean(row.qual) && row.qual === Explorer.picked);
    return tr;
  }

  function make(row) {
    const tr = el('tr', `${LOOKS[row.state]} ${groupClass(row.group)}`), first = el('td', 'name', null, tr);
    tr.row = row;
    tr.style.setProperty('--d', row.depth);
    tr.setAttribute('aria-level', row.depth + 1);
    const caret = el('span', 'caret', null, first);
    if (row.kids) caret.append(icon('caret'));
    el('i', 'sign', row.state, first).setAttribute('aria-hidden', 'true');
    el('span', 'sr', WORDS[row.state], first);
    write(row.name, el('span', 'called', null, first));
    const under = el('span', 'under', null, first);
    write(row.cls, el('span', '', null, under));
    write(row.shape, el('span', '', null, under));
    for (const name of ['cls', 'shape', 'params']) write(row[name], el('td', name, null, tr));
    return tr;
  }

  // A cell: one text, or A's and B's; words that both begin or end with are said once.
  function write(text, cell) {
    if (!Array.isArray(text)) { cell.textContent = text; return; }
    const [was, is] = text.map(side => side.split(' ')), least = Math.min(was.length, is.length);
    let head = 0, tail = 0;
    while (head < least - 1 && was[head] === is[head]) head += 1;
    while (tail < least - 1 - head && was.at(-1 - tail) === is.at(-1 - tail)) tail += 1;
    const rest = tail ? ' ' + was.slice(was.length - tail).join(' ') : '', comma = tail && was.at(-1 - tail).endsWith(',') && is.at(-1 - tail).endsWith(',');
    const middle = side => side.slice(head, side.length - tail).join(' ').slice(0, comma ? -1 : undefined);
    cell.title = `A: ${text[0]}\nB: ${text[1]}`;
    if (head) cell.append(was.slice(0, head).join(' ') + ' ');
    el('span', 'was', middle(was), cell);
    el('span', 'to', ' → ', cell);
    el('b', '', middle(is), cell);
    cell.append((comma ? ',' : '') + rest);
  }

  // ---- what a person does ----
  function fold(row, open) {
    opened.set(row.key, open);
    draw();
  }
  function go(row) {
    if (!row) return;
    current = row.key;
    draw();
    lines.get(current).focus();
  }
  // Rows of B are layers of the model on the page; those of A alone, and folds, only unfold.
  function choosePick(row) {
    current = row.key;
    if (row.qual) pick(row.qual); else if (row.kids) opened.set(row.key, !isOpen(row));
    draw();
  }
  body.addEventListener('click', event => {
    const row = event.target.closest('tr')?.row;
    if (!row) return;
    if (event.target.closest('.caret') && row.kids) { current = row.key; fold(row, !isOpen(row)); } else choosePick(row);
  });
  body.addEventListener('dblclick', event => {
    const row = event.target.closest('tr')?.row;
    if (row?.kids && row.qual && !event.target.closest('.caret')) fold(row, !isOpen(row));
  });
  const keys = {
    ArrowDown: (row, k) => go(shown[k + 1]),
    ArrowUp: (row, k) => go(shown[k - 1]),
    Home: () => go(shown[0]),
    End: () => go(shown.at(-1)),
    ArrowRight: (row, k) => { if (row.kids) { if (isOpen(row)) go(shown[k + 1]); else fold(row, true); } },
    ArrowLeft: row => { if (row.kids && isOpen(row)) fold(row, false); else go(row.up); },
    Enter: choosePick,
    ' ': choosePick,
    '*': () => { for (const row of rows) if (row.kids && row.state === '≠') opened.set(row.key, true); draw(); },
  };
  body.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const k = shown.findIndex(row => row.key === current), act = keys[event.key];
    if (!act || k < 0) return;
    act(shown[k], k);
    event.preventDefault();
  });
  // A layer picked elsewhere: the closest row that stands there is marked, nothing is unfolded.
  Explorer.onPick(() => {
    for (const row of shown) lines.get(row.key)?.setAttribute('aria-selected', Boolean(row.qual) && (row.qual === Explorer.picked || Boolean(row.kids && !isOpen(row) && Explorer.picked && isIn(Explorer.picked, row.qual))));
  });

  const soon = Explorer.whenShown(element, () => {
    none.hidden = Boolean(v);
    some.hidden = !v;
    if (!v) return;
    lines = new Map();
    sums();
    knobs();
    legend();
    draw();
  });
  Explorer.live(element, props, watch, payload => {
    v = payload.rows ? payload : null;
    rows = v ? unpack(v) : [];
    soon();
  });
};
