// All bodies in a dialog: cards that are searched, filtered and sorted, and a chart of accuracy against cost.
// Payload: explorer/views/gallery.py; a later one may hold only what is new: {"chosen": name}.
// A pick triggers 'chosen' {arch}. Last maps cost the server time: they are asked for as cards come into sight.
Explorer.gallery = (element, props, trigger, watch, server) => {
  const { el, icon, short, exact, shape } = Explorer;
  const opener = element.querySelector('.browse'), dialog = element.querySelector('dialog');
  const part = name => dialog.querySelector(`.${name}`);
  const field = dialog.querySelector('input'), hits = part('hits'), grid = part('cards'), empty = part('empty'), scroll = part('scroll');

  const percent = value => (value == null ? '–' : `${value.toFixed(1)} %`);
  const megabytes = value => (value == null ? '–' : `${value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString('en')} MB`);
  const counted = value => (value == null ? '–' : short(value));
  const words = row => [`${row.top1 == null ? 'no weights' : `${percent(row.top1)} top-1`}`, `${counted(row.params)} parameters`, `${counted(row.macs)} MACs`];

  // id, title, value to sort by, and which way first
  const SORTS = [
    { id: 'family', title: 'Family', by: row => row.place, up: true },
    { id: 'name', title: 'Name', by: row => row.name, up: true },
    { id: 'year', title: 'Year', by: row => row.year, up: false },
    { id: 'params', title: 'Parameters', by: row => row.params, up: true },
    { id: 'macs', title: 'MACs', by: row => row.macs, up: true },
    { id: 'top1', title: 'Top-1', by: row => row.top1, up: false },
  ];

  let state = {}, rows = [], byName = new Map(), shown = [], built = false;
  let query = '', sort = { id: 'family', up: true }, current = null;
  const families = new Set(), cards = new Map(), chips = new Map(), sorters = new Map();
  let plot = null;

  // ---- values ----
  function unpack({ columns, texts, words: said, rows: arrays, fronts }) {
    rows = arrays.map((values, place) => {
      const row = Object.fromEntries(columns.map((column, i) => [column, texts.includes(column) ? said[values[i]] : values[i]]));
      row.text = [row.name, row.family, row.series, row.paper, row.year].join(' ').toLowerCase();
      return Object.assign(row, { place, map: byName.get(row.name)?.map });
    });
    byName = new Map(rows.map(row => [row.name, row]));
    rows.fronts = Object.fromEntries(Object.entries(fronts).map(([cost, places]) => [cost, places.map(place => rows[place])]));
  }

  const isShown = row => (!families.size || families.has(row.family)) && query.split(/\s+/).every(word => row.text.includes(word));

  // What is not known stands last, whichever way.
  function ordered(list) {
    const { by } = SORTS.find(({ id }) => id === sort.id);
    const compare = (a, b) => (typeof a === 'string' ? a.localeCompare(b, 'en', { numeric: true }) : a - b);
    return list.sort((a, b) => {
      const [x, y] = [by(a), by(b)];
      if (x == null || y == null) return (x == null) - (y == null) || a.place - b.place;
      return (sort.up ? compare(x, y) : compare(y, x)) || a.place - b.place;
    });
  }

  // ---- what is drawn ----
  function draw() {
    shown = ordered(rows.filter(isShown));
    hits.replaceChildren(shown.length === rows.length ? `${rows.length}` : `${shown.length} of ${rows.length}`, el('span', 'sr', ' bodies'));
    for (const [family, chip] of chips) chip.setAttribute('aria-pressed', family === null ? !families.size : families.has(family));
    for (const [id, { button, mark }] of sorters) {
      button.setAttribute('aria-pressed', id === sort.id);
      mark.textContent = id === sort.id ? (sort.up ? '↑' : '↓') : '';
    }
    if (!shown.some(row => row.name === current)) current = shown.find(row => row.name === state.chosen)?.name ?? shown[0]?.name ?? null;
    Explorer.placeRows(grid, shown.map(card));
    for (const row of rows) paint(row);
    grid.hidden = !shown.length;
    empty.hidden = Boolean(shown.length);
    if (!shown.length) nothing();
    plot.draw();
  }

  function nothing() {
    const among = families.size ? ` among ${[...families].join(', ')}` : '';
    const told = query ? `Nothing${among} matches “${field.value.trim()}”: try part of a name, a family, a word of a paper’s title or a year.` : `Nothing${among}.`;
    empty.replaceChildren(el('p', '', told));
    const button = el('button', 'btn', query ? 'Clear the search' : 'Show all families', empty);
    button.type = 'button';
    button.addEventListener('click', () => { showAll(); draw(); field.focus(); });
    if (query && families.size) button.textContent = 'Clear search and families';
  }

  function showAll() {
    field.value = query = '';
    families.clear();
  }

  function card(row) {
    if (!cards.has(row.name)) cards.set(row.name, make(row));
    return cards.get(row.name).box;
  }

  function make(row) {
    const box = el('div', 'card');
    box.setAttribute('role', 'option');
    box.dataset.name = row.name;
    box.title = [row.paper && `${row.paper}, ${row.year}.`, row.recipe].filter(Boolean).join(' ');
    const name = el('div', 'name', null, box);
    el('b', '', row.name, name);
    name.append(icon('check'));
    el('span', 'score', row.top1 == null ? 'no weights' : percent(row.top1), box);
    el('span', 'when', [row.year, row.size && row.size !== 224 ? `at ${row.size} px` : '', row.more_data && 'more data'].filter(Boolean).join(', '), box);
    const figures = el('dl', '', null, box);
    const figure = (title, value, hint) => {
      const line = el('div', '', null, figures), cell = el('dd', '', value);
      line.append(el('dt', '', title), cell);
      if (hint) line.title = hint;
      return cell;
    };
    figure('params', counted(row.params), row.params && `${exact(row.params)} parameters`);
    figure('MACs', counted(row.macs), row.macs && `${exact(row.macs)} multiply-accumulates for a picture of ${row.size} px`);
    const map = figure('map', '', 'The last map at 224 px: channels × height × width');
    figure('', megabytes(row.file_mb), 'Weight file');
    seen.observe(box);
    return { box, map };
  }

  function paint(row) {
    const view = cards.get(row.name);
    if (!view) return;
    const chosen = row.name === state.chosen;
    view.box.setAttribute('aria-selected', chosen);
    view.box.setAttribute('aria-label', [row.name, row.year, ...words(row), row.map && `last map ${row.map.join(' by ')}`].filter(Boolean).join(', '));
    view.box.tabIndex = row.name === current ? 0 : -1;
    fillMap(view.map, row);
  }

  // A last map that is on its way stands as a pale bar, one that did not come as a dash.
  function fillMap(cell, { map }) {
    const waits = !map && failures < FAILURES;
    cell.textContent = map ? shape(map) : waits ? '' : '–';
    cell.classList.toggle('ghost', waits);
  }

  // ---- one of them, in full ----
  let looked = null;
  function look(name) {
    if (looked === name) return;
    for (const old of grid.querySelectorAll('.looked')) old.classList.remove('looked');
    looked = name;
    if (name !== state.chosen) cards.get(name)?.box.classList.add('looked');
    tell();
    plot.look(name);
    if (!byName.has(name) || byName.get(name).map) return;
    wanted.add(name);
    askMaps();
  }

  function tell() {
    const about = part('about'), row = byName.get(looked);
    about.replaceChildren();
    if (!row) return;
    const top = el('div', 'top', null, about), title = el('h3', '', row.name, top), use = el('button', 'btn', null, top);
    title.append(el('span', '', row.year ? ` ${row.year}` : ''));
    use.type = 'button';
    use.disabled = row.name === state.chosen;
    use.textContent = use.disabled ? 'In use' : 'Use it';
    use.classList.toggle('strong', !use.disabled);
    use.addEventListener('click', () => pick(row.name));
    const paper = el('p', 'paper', null, about);
    if (row.address) {
      const link = el('a', '', row.paper, paper);
      Object.assign(link, { href: row.address, target: '_blank', rel: 'noreferrer' });
    } else paper.textContent = row.paper;
    const figures = el('dl', '', null, about);
    const told = [
      ['top-1', percent(row.top1)], ['top-5', percent(row.top5)], ['params', counted(row.params)], ['MACs', counted(row.macs)],
      ['last map', null], ['file', megabytes(row.file_mb)],
    ];
    for (const [name, value] of told) {
      const cell = el('div', '', null, figures), figure = el('dd', '', value);
      cell.append(el('dt', '', name), figure);
      if (value === null) fillMap(figure, row);
    }
    const note = [row.weights ? `${row.weights} at ${row.size} px.` : 'torchvision has no weights of it.', row.recipe];
    if (row.licence.startsWith('http')) note.push('They have a licence of their own.');
    about.append(el('p', 'recipe', note.filter(Boolean).join(' ')));
  }

  // ---- last maps ----
  // The first are asked for when somebody is about to open the gallery, the others while it is open, one question at a
  // time and those in sight first; after three without an answer no more.
  const wanted = new Set(), FAILURES = 3, AT_ONCE = 40, SCREEN = 16;
  let asking = false, failures = 0;
  const rest = () => (dialog.open ? rows : rows.slice(0, SCREEN)).filter(row => !row.map && !wanted.has(row.name)).map(row => row.name);
  const seen = new IntersectionObserver(entries => {
    for (const { isIntersecting, target: { dataset: { name } } } of entries) {
      if (isIntersecting && !byName.get(name)?.map) wanted.add(name); else wanted.delete(name);
    }
    askMaps();
  });

  async function askMaps() {
    if (asking || failures >= FAILURES || !server?.maps) return;
    const first = [...wanted].sort((a, b) => (b === looked) - (a === looked)).concat(rest()).slice(0, AT_ONCE);
    if (!first.length) return;
    asking = true;
    const found = await Promise.resolve(server.maps(first)).catch(() => undefined);
    asking = false;
    const names = Object.keys(found ?? {});
    failures = names.length ? 0 : failures + 1;
    if (failures === FAILURES) { rows.forEach(paint); tell(); }
    for (const name of names) {
      wanted.delete(name);
      const row = byName.get(name);
      if (!row) continue;
      row.map = found[name];
      paint(row);
    }
    if (names.includes(looked)) tell();
    askMaps();
  }

  // ---- picking ----
  function pick(name) {
    close();
    if (name === state.chosen) return;
    state.chosen = name;
    trigger('chosen', { arch: name });
  }

  function open() {
    if (!built) build();
    current = state.chosen;
    if (!isShown(byName.get(current) ?? rows[0])) showAll();
    dialog.showModal();
    document.documentElement.classList.add('gallery-open');
    draw();
    looked = null;
    look(state.chosen);
    const own = cards.get(state.chosen)?.box, wide = scroll.scrollHeight > scroll.clientHeight && getComputedStyle(scroll).overflowY !== 'visible';
    if (own && wide) scroll.scrollTop = own.offsetTop - scroll.clientHeight / 3;
    (matchMedia('(pointer: coarse)').matches ? dialog : field).focus({ preventScroll: true });
  }

  function close() {
    dialog.close();
    opener.focus({ preventScroll: true });
  }

  // ---- built when it is opened for the first time ----
  function build() {
    built = true;
    dialog.querySelector('.find').prepend(icon('search'));
    part('close').append(icon('cross'));
    part('close').addEventListener('click', close);
    plot = Explorer.galleryPlot(part('plot'), part('costs'), part('key'), { rows: () => rows, isShown, chosen: () => state.chosen, look, pick, words, megabytes });
    chip(null, 'All');
    for (const family of new Set(rows.map(row => row.family))) chip(family, family);
    el('span', '', 'Sort', part('sorts'));
    SORTS.forEach(sorter);
    field.addEventListener('input', () => { query = field.value.trim().toLowerCase(); scroll.scrollTop = 0; draw(); });
    field.addEventListener('keydown', event => {
      if (event.key === 'Enter' && shown.length === 1) pick(shown[0].name);
      else if ((event.key === 'ArrowDown' || event.key === 'Enter') && shown.length) go(shown[0].name);
      else return;
      event.preventDefault();
    });
    grid.addEventListener('click', event => { const name = nameOf(event); if (name) pick(name); });
    grid.addEventListener('pointerover', event => { const name = nameOf(event); if (name && event.pointerType === 'mouse') look(name); });
    grid.addEventListener('focusin', event => { const name = nameOf(event); if (name) look(name); });
    grid.addEventListener('keydown', onKey);
  }

  const nameOf = event => event.target.closest('.card')?.dataset.name;

  function chip(family, title) {
    const button = el('button', 'chip', title, part('families'));
    button.type = 'button';
    if (family) el('span', '', rows.filter(row => row.family === family).length, button);
    chips.set(family, button);
    button.addEventListener('click', () => {
      if (family === null) families.clear();
      else if (!families.delete(family)) families.add(family);
      scroll.scrollTop = 0;
      draw();
    });
  }

  // First click: the way one mostly wants it. Second: the other way.
  function sorter({ id, title, up }) {
    const button = el('button', 'link', title, part('sorts')), mark = el('i', '', '', button);
    button.type = 'button';
    sorters.set(id, { button, mark });
    button.addEventListener('click', () => {
      sort = { id, up: sort.id === id ? !sort.up : up };
      scroll.scrollTop = 0;
      draw();
    });
  }

  // Arrows go from card to card as they stand.
  function onKey(event) {
    const at = shown.findIndex(row => row.name === current), first = cards.get(shown[0]?.name)?.box;
    const across = Math.max(1, shown.filter(row => cards.get(row.name).box.offsetTop === first?.offsetTop).length);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + across, ArrowUp: at - across, Home: 0, End: shown.length - 1, PageDown: at + 3 * across, PageUp: at - 3 * across }[event.key];
    if (to !== undefined) go(shown[Math.max(0, Math.min(shown.length - 1, to))].name);
    else if (event.key === 'Enter' || event.key === ' ') pick(current);
    else return;
    event.preventDefault();
  }

  function go(name) {
    const before = byName.get(current);
    current = name;
    if (before) paint(before);
    paint(byName.get(name));
    cards.get(name).box.focus();
  }

  for (const about of ['pointerenter', 'focus']) opener.addEventListener(about, askMaps);
  opener.addEventListener('click', open);
  dialog.addEventListener('click', event => { if (event.target === dialog) close(); });
  dialog.addEventListener('close', () => document.documentElement.classList.remove('gallery-open'));
  dialog.addEventListener('keydown', event => {           // the drawer, which hears Escape too, stays
    if (event.key !== 'Escape') return;
    event.preventDefault();
    event.stopPropagation();
    close();
  });

  Explorer.live(element, props, watch, value => {
    state = { ...props.value, ...state, ...value };
    if (!rows.length) {
      unpack(state);
      opener.textContent = `Browse ${rows.length} bodies`;
    }
    if (dialog.open) draw();
  });
};
