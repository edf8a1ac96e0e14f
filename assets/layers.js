// The table of layers: a row a module, sorted, filtered, copied. Payload: explorer/views/table.py.
// Every column is as wide as its longest text; those that have no room are left out, the least important first, until
// somebody asks for all columns.
Explorer.layers = (element, props, trigger, watch) => {
  const { el, short, exact, shape, button, placeRows, painter, groupClass, fields } = Explorer;
  const ROW = 26, MANY = 400, SPARE = 12;      // row height; above so many only what can be seen is made, and some spare
  const box = element.querySelector('.layers'), scroll = box.querySelector('.scroll'), table = box.querySelector('table');
  const [head, body, foot] = [table.tHead, table.tBodies[0], table.tFoot];
  const size = dims => (dims ? dims.reduce((a, b) => a * b, 1) : -1);
  const megabytes = n => (n / 1e6).toFixed(2);

  // id, title, text of a cell, value to sort by, title of the cell
  const COLUMNS = [
    { id: 'number', title: '#', text: row => row.number, by: row => row.number, right: true },
    { id: 'name', title: 'name', text: row => row.label, by: row => row.label, hint: row => `${row.qual}\n${row.cls} ${row.detail}`.trim() },
    { id: 'class', title: 'class', text: row => row.cls, by: row => row.cls },
    { id: 'detail', title: 'detail', text: row => row.detail, by: row => row.detail },
    { id: 'in_shape', title: 'in shape', text: row => shape(row.in_shape), by: row => size(row.in_shape) },
    { id: 'out_shape', title: 'out shape', text: row => shape(row.out_shape), by: row => size(row.out_shape) },
    { id: 'params', title: 'params', text: row => count(row.params), by: row => row.params, sum: exact, right: true },
    { id: 'trainable', title: 'trainable', text: row => count(row.trainable), by: row => row.trainable, sum: exact, right: true },
    { id: 'macs', title: 'MACs', text: row => (row.macs ? short(row.macs) : ''), by: row => row.macs, sum: short, hint: row => exact(row.macs), right: true },
    { id: 'bytes', title: 'MB', text: row => (row.bytes ? megabytes(row.bytes) : ''), by: row => row.bytes, sum: megabytes, hint: row => `${exact(row.bytes)} bytes of activations`, right: true },
    { id: 'share', title: 'share', text: row => percent(part(row)), by: part, right: true },
    { id: 'sees', title: 'sees', text: row => (known ? fields.sees(row.field) : ''), by: row => fields.order(row.field), hint: row => fields.exact(row.field), right: true },
    { id: 'jump', title: 'jump', text: row => fields.step(row.field), by: row => row.field?.jump_y ?? -1, hint: row => (row.field ? 'pixels from one cell to the next' : ''), right: true },
  ];
  const SUMS = ['params', 'trainable', 'macs', 'bytes'];
  const NEEDED = ['number', 'name'], WANTED = ['out_shape', 'params', 'class', 'macs', 'detail', 'bytes', 'sees', 'in_shape', 'trainable', 'share', 'jump'];
  const GAP = 14, BAR = 70, LONG = { name: 230, class: 150, detail: 190 }, SHORT = 108;    // px: between columns, of a laid over share, most and least of a text
  const count = n => (n ? exact(n) : '');
  // The share of the whole: of the cost that is laid over, of the parameters where none is.
  let measure = null;
  function part(row) { const by = measure?.[0] ?? 'params'; return row[by] / (totals[by] || 1); }
  const percent = share => (!share ? '' : share < .0005 ? '< 0.1 %' : `${(100 * share).toFixed(1)} %`);

  let rows = [], known = false, totals = {}, failed = null, shown = [], sort = null, query = '', frames = false;
  let all = false, widths = null, wide = 0;    // every column, however wide; what each needs; of the scrolled box
  let selected = Explorer.picked, current = null;
  let tall = 600, top = 0;                     // of the scrolled box, remembered: asking for them costs a layout
  const lines = new Map();

  const { search, hits, every } = controls();
  const cols = columns(), buttons = heading();
  const sums = footer();

  function unpack({ columns, words, groups, rows: arrays, fields: seen }) {
    const labels = new Map(), list = seen?.list.map(numbers => fields.named(seen.columns, numbers));
    return arrays.map((values, k) => {
      const row = Object.fromEntries(columns.map((column, i) => [column, values[i]]));
      const parts = row.qual.split('.'), outer = parts.slice(0, -1).join('.');
      row.name ||= parts.at(-1);
      row.label = parts.length === 1 ? row.name : [labels.get(outer), row.name].filter(Boolean).join('.');
      labels.set(row.qual, parts.length === 1 && row.name === 'body' ? '' : row.label);
      row.cls = words[row.cls];
      row.detail = words[row.detail];
      row.group = groups[row.group];
      row.field = list?.[seen.at[k]] ?? null;
      row.number = k + 1;
      return row;
    });
  }

  function choose() {
    const kept = rows.filter(row => (frames || !row.container) && (!query || `${row.label} ${row.qual} ${row.cls} ${row.detail}`.toLowerCase().includes(query)));
    if (!sort) return kept;
    const { by } = COLUMNS.find(column => column.id === sort.id);
    const order = (a, b) => (typeof by(a) === 'number' ? by(a) - by(b) : by(a).localeCompare(by(b), 'en', { numeric: true }));
    return kept.sort((a, b) => (sort.up ? order(a, b) : order(b, a)) || a.number - b.number);
  }

  function draw() {
    shown = choose();
    if (Explorer.picked) selected = nearest(Explorer.picked);
    if (!shown.some(row => row.qual === current)) current = shown[0]?.qual;
    hits.textContent = query || rows.length !== shown.length ? `${shown.length} of ${rows.length}` : String(rows.length);
    table.setAttribute('aria-rowcount', shown.length + 2);
    for (const [id, { th, mark }] of Object.entries(buttons)) {
      const on = sort?.id === id;
      if (on) th.setAttribute('aria-sort', sort.up ? 'ascending' : 'descending'); else th.removeAttribute('aria-sort');
      mark.textContent = on ? (sort.up ? '↑' : '↓') : '';
    }
    const sum = query ? Object.fromEntries(SUMS.map(id => [id, shown.reduce((all, row) => all + row[id], 0)])) : totals;
    sums.label.textContent = query ? `${shown.length} found` : 'total';
    for (const id of SUMS) {
      sums[id].textContent = COLUMNS.find(column => column.id === id).sum(sum[id]);
      sums[id].title = exact(sum[id]);
    }
    const all = totals[measure?.[0] ?? 'params'];
    sums.share.textContent = all ? `${(100 * sum[measure?.[0] ?? 'params'] / all).toFixed(query ? 1 : 0)} %` : '';
    name();
    arrange();
    fill();
  }

  // ---- columns ----
  const pen = document.createElement('canvas').getContext('2d');
  function textWidth(text) {
    pen.font = `600 13px ${getComputedStyle(document.documentElement).getPropertyValue('--sans') || 'sans-serif'}`;
    return Math.ceil(pen.measureText(text).width);
  }

  // What each column needs for its longest text; of what is summed that is the sum.
  function measured() {
    const longest = texts => texts.reduce((best, text) => (String(text).length > best.length ? String(text) : best), '');
    return Object.fromEntries(COLUMNS.map(({ id, text, sum }) => {
      const words = id === 'share' ? '< 0.1 %' : longest(sum ? [sum(totals[id])] : rows.map(text));
      const needs = Math.max(textWidth(words), textWidth(buttons[id].th.textContent) + 8) + GAP;
      return [id, id === 'number' ? needs + 8 : Math.min(needs, LONG[id] ?? needs)];
    }));
  }

  // Which columns are shown, and how wide: the name gives way first, and gets what is left over.
  function arrange() {
    if (!wide || !rows.length) return;
    widths ??= measured();
    const over = measure?.[0], needs = id => widths[id] + (id === over ? BAR : 0);
    const least = id => (id === 'name' ? Math.min(widths.name, Math.max(SHORT, .36 * wide)) : needs(id));
    const must = over ? [...NEEDED, over] : NEEDED;
    const usable = WANTED.filter(id => id !== over && (known || !['sees', 'jump'].includes(id)) && (all || !over || id !== 'share'));
    const shownIds = new Set(must);
    let used = must.reduce((sum, id) => sum + least(id), 0);
    for (const id of usable) {
      if (!all && used + least(id) > wide) continue;
      shownIds.add(id);
      used += least(id);
    }
    const name = Math.min(widths.name, least('name') + Math.max(0, wide - used)), filled = used - least('name') + name;
    const spare = Math.max(0, wide - filled) / (shownIds.size - 1), first = needs('number');
    COLUMNS.forEach(({ id }, k) => {
      const on = shownIds.has(id), own = id === 'name' ? name : needs(id);
      cols[k].style.width = on ? `${id === 'number' ? own : own + spare}px` : '';
      cols[k].hidden = !on;
    });
    table.dataset.without = COLUMNS.filter(({ id }) => !shownIds.has(id)).map(({ id }) => id).join(' ');
    table.style.width = `${Math.max(wide, filled)}px`;
    scroll.style.setProperty('--stuck', `${first + name + spare + 12}px`);
    scroll.style.setProperty('--number', `${first}px`);
    scroll.classList.toggle('all', all);
    every.hidden = !all && shownIds.size >= usable.length + must.length;
  }

  // The heading of what is laid over, and of its shares.
  function name() {
    const [column, words] = measure ?? [];
    for (const { id, title } of COLUMNS) {
      buttons[id].th.classList.toggle('over', id === column);
      const text = id === 'share' && measure ? `of ${words}` : id === 'bytes' && words === 'kept' ? 'MB kept' : title;
      const span = buttons[id].th.querySelector('span');
      if (span.textContent !== text) span.textContent = text;
    }
  }

  // Rows in view (all of them where they are few), with empty rows that keep the length of the scroll bar.
  function fill() {
    const many = shown.length > MANY;
    const from = many ? Math.max(0, Math.floor(top / ROW) - SPARE) : 0;
    const to = many ? Math.min(shown.length, from + Math.ceil(tall / ROW) + 2 * SPARE) : shown.length;
    const part = shown.slice(from, to).map((row, k) => line(row, from + k));
    placeRows(body, [space('above', from), ...part, space('below', shown.length - to)]);
  }

  const spaces = {};
  function space(where, n) {
    spaces[where] ||= el('tr', 'space');
    spaces[where].style.height = `${n * ROW}px`;
    spaces[where].hidden = !n;
    return spaces[where];
  }

  function line(row, at) {
    let view = lines.get(row.qual);
    if (!view) lines.set(row.qual, view = make(row.qual));
    const { tr, cells, set } = view;
    set('group', row.group, group => { tr.className = groupClass(group); });
    set('failed', row.qual === failed, on => tr.classList.toggle('failed', on));
    COLUMNS.forEach(({ id, text, hint }, k) => {
      set(id, text(row), value => { cells[k].textContent = value; });
      if (hint) set(`${id} hint`, hint(row), value => { cells[k].title = value; });
    });
    const over = measure ? COLUMNS.findIndex(({ id }) => id === measure[0]) : -1, share = over < 0 ? 0 : part(row);
    set('over', `${over} ${share}`, () => {
      cells.forEach((cell, k) => {
        if (k !== over && !('share' in cell.dataset)) return;
        cell.classList.toggle('over', k === over);
        if (k === over) cell.dataset.share = percent(share); else delete cell.dataset.share;
        cell.style.setProperty('--part', `${k === over ? 100 * share : 0}%`);
      });
    });
    set('place', at + 2, place => tr.setAttribute('aria-rowindex', place));
    set('selected', row.qual === selected, on => tr.setAttribute('aria-selected', on));
    set('current', row.qual === current, on => { tr.tabIndex = on ? 0 : -1; });
    return tr;
  }

  function make(qual) {
    const tr = el('tr');
    tr.dataset.qual = qual;
    const cells = COLUMNS.map(({ id, right }) => el(id === 'name' ? 'th' : 'td', right ? `${id} right` : id, null, tr));
    cells[1].scope = 'row';
    cells[1] = el('bdi', '', null, cells[1]);        // a name that is too long loses its beginning
    return { tr, cells, set: painter() };
  }

  function columns() {
    const group = el('colgroup');
    table.prepend(group);
    return COLUMNS.map(() => el('col', '', null, group));
  }

  function heading() {
    const row = el('tr', '', null, head), found = {};
    for (const column of COLUMNS) {
      const th = el('th', column.right ? `${column.id} right` : column.id, null, row), b = el('button', '', null, th);
      th.scope = 'col';
      b.type = 'button';
      el('span', '', column.title, b);
      found[column.id] = { th, mark: el('i', '', '', b) };
      b.addEventListener('click', () => sortBy(column));
    }
    return found;
  }

  // First click: the way one mostly wants it (numbers: largest first). Second: the other way. Third: the order of the run.
  function sortBy({ id, right }) {
    const first = !right || id === 'number';
    if (sort?.id !== id) sort = { id, up: first };
    else sort = sort.up === first ? { id, up: !first } : null;
    draw();
  }

  function footer() {
    const row = el('tr', '', null, foot), cells = {};
    for (const column of COLUMNS) {
      const cell = el(column.id === 'name' ? 'th' : 'td', column.right ? `${column.id} right` : column.id, null, row);
      cells[column.id === 'name' ? 'label' : column.id] = cell;
    }
    cells.label.scope = 'row';
    return cells;
  }

  function controls() {
    const bar = box.querySelector('.tools'), find = el('label', 'find', null, bar);
    find.append(Explorer.icon('search'));
    el('span', 'sr', 'Filter layers', find);
    const field = el('input', '', null, find), number = el('span', 'hits', '', bar);
    field.type = 'search';
    field.placeholder = 'Filter layers';
    field.addEventListener('input', () => { query = field.value.trim().toLowerCase(); scroll.scrollTop = top = 0; draw(); });
    field.addEventListener('keydown', event => { if (event.key === 'Escape' && field.value) { field.value = query = ''; draw(); event.preventDefault(); } });
    number.setAttribute('aria-live', 'polite');
    const toggle = (text, act) => {
      const b = el('button', 'toggle', null, bar);
      b.type = 'button';
      b.setAttribute('role', 'switch');
      b.setAttribute('aria-checked', 'false');
      el('span', '', text, b);
      el('i', '', null, b);
      b.addEventListener('click', () => { b.setAttribute('aria-checked', act()); draw(); });
      return b;
    };
    toggle('containers too', () => (frames = !frames));
    const every = toggle('all columns', () => (all = !all));
    const copy = button('copy', 'Copy', bar), file = button(null, 'CSV', bar);
    copy.title = 'Copy these rows, for a spreadsheet';
    file.title = 'Download these rows as a file';
    copy.addEventListener('click', async () => Explorer.say(copy, (await Explorer.copy(written('\t'))) ? 'Copied' : 'Refused'));
    file.addEventListener('click', () => Explorer.save(written(','), 'layers.csv', 'text/csv'));
    return { search: field, hits: number, every };
  }

  // The rows as they stand, exact numbers, with a line of names.
  function written(comma) {
    const quote = value => (/[",\t\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
    const names = ['number', 'qual', 'name', 'class', 'detail', 'in_shape', 'out_shape', 'params', 'trainable', 'macs', 'activation_bytes', 'share', 'sees', 'jump', 'group'];
    const values = row => [row.number, row.qual, row.label, row.cls, row.detail, shape(row.in_shape), shape(row.out_shape), row.params, row.trainable, row.macs, row.bytes, totals.params ? part(row).toFixed(6) : '', known ? fields.sees(row.field) : '', fields.step(row.field), row.group];
    return [names, ...shown.map(values)].map(cells => cells.map(quote).join(comma)).join('\n') + '\n';
  }

  // ---- picking ----
  function mark(qual, focus) {
    selected = current = qual;
    show(qual, focus);
  }

  function show(qual, focus) {
    const at = shown.findIndex(row => row.qual === qual);
    if (at < 0) { fill(); return; }
    const lowest = at * ROW, highest = lowest - tall + 3 * ROW;      // heading and totals cover a row each
    if (top > lowest || top < highest) scroll.scrollTop = top = Math.max(0, Math.min(lowest, Math.max(highest, top)));
    fill();
    if (focus) lines.get(qual).tr.focus({ preventScroll: true });
  }

  function choosePick(qual) {
    selected = current = qual;
    Explorer.pick(qual);
    fill();
  }

  // A container that has no row of its own is marked at the first layer inside.
  const nearest = qual => (shown.find(row => row.qual === qual) || shown.find(row => Explorer.isIn(row.qual, qual)))?.qual ?? qual;
  Explorer.onPick(qual => { if (nearest(qual) !== selected) mark(nearest(qual), false); });
  body.addEventListener('click', event => {
    const qual = event.target.closest('tr')?.dataset.qual;
    if (qual) choosePick(qual);
  });
  body.addEventListener('keydown', event => {
    const at = shown.findIndex(row => row.qual === current), page = Math.max(1, Math.floor(tall / ROW) - 3);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1, PageDown: at + page, PageUp: at - page }[event.key];
    if (to !== undefined) {
      current = shown[Math.max(0, Math.min(shown.length - 1, to))].qual;
      show(current, true);
    } else if (event.key === 'Enter' || event.key === ' ') choosePick(current);
    else if (event.key === '/') search.focus();
    else return;
    event.preventDefault();
  });

  let due = 0;
  // Whether columns go on to the right of what is seen.
  function edge() {
    scroll.style.setProperty('--scrollbar', `${scroll.offsetWidth - scroll.clientWidth}px`);
    scroll.classList.toggle('more', scroll.scrollWidth - scroll.clientWidth - scroll.scrollLeft > 4);
  }
  const sizes = new ResizeObserver(edge);
  new ResizeObserver(() => {
    const now = scroll.clientWidth;
    if (now === wide) return;
    wide = now;
    if (wide) arrange();
  }).observe(scroll);
  sizes.observe(scroll);
  sizes.observe(table);
  scroll.addEventListener('scroll', () => {
    edge();
    top = scroll.scrollTop;
    if (shown.length > MANY) due ||= requestAnimationFrame(() => { due = 0; fill(); });
  }, { passive: true });

  const soon = Explorer.whenShown(scroll, draw, height => {
    tall = height;
    if (shown.length > MANY) fill();
  });
  Explorer.live(element, props, watch, payload => {
    rows = unpack(payload);
    widths = null;
    known = Boolean(payload.fields);
    if (!known && ['sees', 'jump'].includes(sort?.id)) sort = null;
    failed = payload.failed;
    measure = payload.measure;
    totals = Object.fromEntries(SUMS.map((id, k) => [id, payload.totals[k]]));
    const here = new Set(rows.map(row => row.qual));
    for (const qual of lines.keys()) if (!here.has(qual)) lines.delete(qual);
    soon();
  });
};
