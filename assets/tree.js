// The tree of layers. Payload: explorer/views/tree.py. Rows are keyed by qualified name, and only unfolded ones exist.
Explorer.tree = (element, props, trigger, watch) => {
  const { el, icon, short, exact, shape, placeRows, painter, groupClass } = Explorer;
  const OPEN = 1, FOLD = 2, FROZEN = 4, FAILED = 8, KIDS = 16;
  const table = element.querySelector('table'), body = table.tBodies[0];
  const search = element.querySelector('input'), count = element.querySelector('.count');
  const views = new Map();       // qual -> { tr, … } of every row that was ever shown
  const folds = new Map();       // qual -> true when a person unfolded it, false when folded
  let rows = [], byQual = new Map(), total = 1, failure = null, measure = ['params', 'params'];
  let still = new Set();         // groups in which something is frozen: what has no parameters there is hatched with it
  let shown = [], current = null, selected = Explorer.picked, query = '', own = false;

  let amount = null;             // the heading of the column of costs
  heading();

  // Arrays under a header -> rows with names; `up` is the row above in the tree, `qual` the parts joined, folds left out.
  function unpack({ columns, classes, groups, rows: lines }) {
    const above = [], bases = [''];
    return inFull(lines).map(line => {
      const row = {};
      columns.forEach((column, k) => { row[column] = line[k]; });
      row.cls = classes[row.cls];
      row.group = groups[row.group];
      row.qual = bases[row.depth] + row.part;
      row.up = row.depth ? above[row.depth - 1] : null;
      row.name ||= row.index ? '' : row.part;
      above[row.depth] = row;
      bases[row.depth + 1] = row.flags & FOLD ? bases[row.depth] : row.qual + '.';
      return row;
    });
  }

  // A line of four is otherwise as its sibling before it, and so are the lines below.
  function inFull(lines) {
    const full = [], begin = [];          // begin: where the last line of each depth stands
    for (const line of lines) {
      const [depth] = line, from = begin[depth], to = full.length;
      begin[depth] = to;
      if (line.length > 4) { full.push(line); continue; }
      full.push([...line, ...full[from].slice(4)]);
      for (let k = from + 1; k < to; k++) full.push(full[k]);
    }
    return full;
  }

  // What a row costs in words: a count, or megabytes.
  const cost = n => (!n ? '' : measure[0] === 'bytes' ? `${(n / 1e6).toFixed(n < 1e7 ? 2 : 0)} MB` : short(n));

  const isOpen = row => folds.get(row.qual) ?? Boolean(row.flags & OPEN);
  const members = row => rows.slice(rows.indexOf(row) + 1).find(other => !(other.flags & FOLD));
  const matches = row => !(row.flags & FOLD) && `${row.name} ${row.cls} ${row.qual}`.toLowerCase().includes(query);

  function reveal(row) {
    for (let up = row?.up; up; up = up.up) folds.set(up.qual, true);
  }

  // Which rows stand in the table: those below unfolded rows, or what was searched for and the rows above it.
  function choose() {
    if (query) {
      const keep = new Set();
      let hits = 0;
      for (const row of rows) {
        if (!matches(row)) continue;
        hits += 1;
        for (let r = row; r && !keep.has(r); r = r.up) keep.add(r);
      }
      count.textContent = `${hits} of ${rows.filter(row => !(row.flags & FOLD)).length}`;
      return rows.filter(row => keep.has(row));
    }
    count.textContent = '';
    let closed = Infinity;       // depth of the folded row we are below
    return rows.filter(row => {
      if (row.depth > closed) return false;
      closed = row.flags & KIDS && !isOpen(row) ? row.depth : Infinity;
      return true;
    });
  }

  function draw() {
    const focused = body.contains(document.activeElement);
    shown = choose();
    if (shown.length && !shown.some(row => row.qual === current)) current = (nearest(current) || shown[0]).qual;
    const lines = [];
    for (const row of shown) {
      lines.push(paint(row));
      if (row.flags & FAILED) lines.push(sentence());
    }
    if (!shown.length && query) lines.push(nothing());
    placeRows(body, lines);
    table.classList.toggle('searched', Boolean(query));
    if (focused && !body.contains(document.activeElement)) views.get(current)?.tr.focus({ preventScroll: true });
  }

  // The row itself, or the closest one above it that is shown.
  function nearest(qual) {
    for (let row = byQual.get(qual); row; row = row.up) if (shown.includes(row)) return row;
    return null;
  }

  function paint(row) {
    let view = views.get(row.qual);
    if (!view) views.set(row.qual, view = make(row.qual));
    const { tr, set } = view, folding = Boolean(row.flags & KIDS);
    const expanded = folding ? String(query ? true : isOpen(row)) : null;
    set('depth', row.depth, depth => { tr.style.setProperty('--d', depth); tr.setAttribute('aria-level', depth + 1); });
    set('expanded', expanded, on => { if (on) tr.setAttribute('aria-expanded', on); else tr.removeAttribute('aria-expanded'); });
    const hatched = Boolean(row.flags & FROZEN) || (!row.params && still.has(row.group));
    set('look', `${groupClass(row.group)} ${row.flags} ${hatched} ${query && !matches(row)}`, () => {
      tr.className = groupClass(row.group);
      tr.classList.toggle('frozen', hatched);
      tr.classList.toggle('failed', Boolean(row.flags & FAILED));
      tr.classList.toggle('dim', Boolean(query) && !matches(row));
      view.caret.hidden = !folding;
      view.lock.toggleAttribute('hidden', !(row.flags & FROZEN));
    });
    set('early', row.early, early => tr.style.setProperty('--early', `${100 * (early || 0)}%`));
    set('index', row.index, text => { view.index.textContent = text && `${text} `; });
    set('name', row.name || row.cls, text => { view.name.textContent = text; });
    set('unnamed', !row.name, on => view.name.classList.toggle('unnamed', on));
    set('cls', row.cls, text => { view.cls.textContent = text; });
    set('shape', shape(row.shape), text => { view.shape.textContent = text; });
    const [column] = measure;
    set('params', `${column} ${row[column]}`, () => { view.params.textContent = cost(row[column]); });
    set('share', row[column] / (total || 1), part => {
      view.share.hidden = !part;
      view.share.style.width = `${100 * part}%`;
      view.share.classList.toggle('long', part > .05);
    });
    set('selected', row.qual === selected, on => tr.setAttribute('aria-selected', on));
    set('current', row.qual === current, on => { tr.tabIndex = on ? 0 : -1; });
    return tr;
  }

  function make(qual) {
    const tr = el('tr'), first = el('td', '', null, tr);
    tr.dataset.qual = qual;
    const caret = el('span', 'caret', null, first);
    caret.append(icon('caret'));
    const index = el('span', 'index', null, first);
    const name = el('span', 'name', null, first), lock = icon('lock', 'ico lock');
    first.append(lock);
    const view = { tr, caret, index, name, lock, set: painter() };
    view.cls = el('td', 'class', null, tr);
    view.shape = el('td', 'shape', null, tr);
    view.params = el('td', 'number', null, tr);
    view.share = el('span', 'share', null, el('td', '', null, tr));
    return view;
  }

  function sentence() {
    let view = views.get('!');
    if (!view) {
      view = { tr: el('tr', 'why') };          // spans all columns, also when class and shape are gone
      view.cell = el('td', '', null, view.tr);
      view.cell.colSpan = 3;
      el('td', 'shape', null, view.tr).colSpan = 2;
      views.set('!', view);
    }
    if (view.cell.textContent !== failure.reason) view.cell.textContent = failure.reason;
    return view.tr;
  }

  // In place of rows, when no layer fits what was typed.
  function nothing() {
    let view = views.get('?');
    if (!view) {
      view = { tr: el('tr', 'none') };
      view.cell = el('td', '', null, view.tr);
      view.cell.colSpan = 5;
      views.set('?', view);
    }
    view.cell.textContent = `No layer is called “${search.value.trim()}”.`;
    return view.tr;
  }

  function heading() {
    const row = el('tr', '', null, table.tHead);
    for (const [text, cls] of [['name', ''], ['class', 'class'], ['out shape', 'shape'], ['params', 'number']]) el('th', cls, text, row).scope = 'col';
    amount = row.lastChild;
    el('span', 'sr', 'share of the whole', el('th', '', null, row));
  }

  // ---- what a person does ----
  function fold(row, open) {
    folds.set(row.qual, open);
    draw();
  }

  function go(row) {
    if (!row) return;
    current = row.qual;
    draw();
    views.get(current).tr.focus();
  }

  // A fold is not a layer: it stands for its first one on the other pictures.
  function choosePick(row) {
    selected = current = row.qual;
    own = true;
    Explorer.pick(row.flags & FOLD ? members(row).qual : row.qual);
    own = false;
    draw();
  }

  Explorer.onPick(qual => {
    if (own) return;
    let row = byQual.get(qual);
    for (let name = qual; name && !row; row = byQual.get(name)) name = name.split('.').slice(0, -1).join('.');
    selected = row ? row.qual : qual;
    if (row) {
      current = row.qual;
      reveal(row);
    }
    soon();
    if (row) views.get(row.qual)?.tr.scrollIntoView({ block: 'nearest' });
  });

  const rowAt = event => byQual.get(event.target.closest('tr')?.dataset.qual);

  body.addEventListener('click', event => {
    const row = rowAt(event);
    if (!row) return;
    if (event.target.closest('.caret') && !query) {
      current = row.qual;
      fold(row, !isOpen(row));
    } else choosePick(row);
  });

  body.addEventListener('dblclick', event => {
    const row = rowAt(event);
    if (row && row.flags & KIDS && !query && !event.target.closest('.caret')) fold(row, !isOpen(row));
  });

  body.addEventListener('pointerover', event => {
    const row = rowAt(event);
    if (row) views.get(row.qual).tr.title = [row.qual, row.cls, `${exact(row.params)} parameters`, `${exact(row.macs)} MACs`, `${(row.bytes / 1e6).toFixed(2)} MB ${measure[1] === 'kept' ? 'kept for backward' : 'of activations'}`].join('\n');
  });

  const keys = {
    ArrowDown: (row, k) => go(shown[k + 1]),
    ArrowUp: (row, k) => go(shown[k - 1]),
    Home: () => go(shown[0]),
    End: () => go(shown.at(-1)),
    ArrowRight: (row, k) => { if (row.flags & KIDS) { if (isOpen(row) || query) go(shown[k + 1]); else fold(row, true); } },
    ArrowLeft: row => { if (row.flags & KIDS && isOpen(row) && !query) fold(row, false); else go(row.up); },
    Enter: choosePick,
    ' ': choosePick,
    '*': () => { for (const row of rows) if (row.flags & KIDS) folds.set(row.qual, true); draw(); },
    '/': () => search.focus(),
    Escape: () => { if (query) clear(); },
  };

  body.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const k = shown.findIndex(row => row.qual === current), act = keys[event.key];
    if (!act || k < 0) return;
    act(shown[k], k);
    event.preventDefault();
  });

  function clear() {
    search.value = query = '';
    reveal(byQual.get(current));
    draw();
  }

  search.addEventListener('input', () => {
    query = search.value.trim().toLowerCase();
    draw();
  });
  search.addEventListener('keydown', event => {
    if (event.key === 'Escape' && query) clear();
    else if (event.key === 'Escape' || event.key === 'ArrowDown') go(shown[0]);
    else if (event.key === 'Enter' && query && shown.length) choosePick(shown.find(matches) || shown[0]);
    else return;
    event.preventDefault();
  });

  const soon = Explorer.whenShown(element, draw);
  Explorer.live(element, props, watch, payload => {
    rows = unpack(payload);
    byQual = new Map(rows.map(row => [row.qual, row]));
    still = new Set(rows.filter(row => row.flags & FROZEN && row.group !== 'mixed').map(row => row.group));
    total = payload.total;
    measure = payload.measure;
    if (amount.textContent !== measure[1]) amount.textContent = measure[1];
    failure = payload.failure;
    for (const qual of views.keys()) if (!byQual.has(qual) && qual !== '!' && qual !== '?') views.delete(qual);
    if (failure) reveal(byQual.get(failure.qual));
    soon();
  });
};
