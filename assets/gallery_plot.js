// The gallery's chart: a point an architecture, top-1 against a cost on a logarithmic axis, with the Pareto front.
// told: rows(), isShown(row), chosen(), look(name), pick(name), words(row), megabytes(value). Returns {draw, look(name)}.
Explorer.galleryPlot = (box, switches, key, told) => {
  const { el, svg, short } = Explorer;
  const COSTS = [
    { id: 'macs', title: 'MACs', text: short },
    { id: 'params', title: 'Parameters', text: short },
    { id: 'file_mb', title: 'File', text: value => told.megabytes(value) },
  ];
  const LEFT = 38, RIGHT = 12, TOP = 10, BOTTOM = 24, NEAR = 26, RADIUS = 4, ALOOF = 3;
  const LETTER = 6.1;                          // width of one, about
  const SIDES = [[8, 4, 'start'], [-8, 4, 'end'], [0, -9, 'middle'], [0, 17, 'middle'], [7, -6, 'start'], [-7, -6, 'end'], [7, 14, 'start'], [-7, 14, 'end']];
  let cost = COSTS[0], looked = null, width = 0, height = 0, spots = [], near = null;

  const root = svg('svg', { role: 'listbox', tabindex: 0, 'aria-label': 'Top-1 accuracy against cost; arrow keys go from point to point' }, box);
  const tip = el('div', 'tip', null, box);
  tip.hidden = true;
  const parts = Object.fromEntries(['axes', 'series', 'front', 'points', 'labels'].map(name => [name, svg('g', { class: name }, root)]));
  for (const name of ['axes', 'series', 'front', 'labels']) parts[name].setAttribute('aria-hidden', true);
  const points = new Map();

  for (const choice of COSTS) {
    const button = el('button', '', choice.title, switches);
    button.type = 'button';
    button.setAttribute('role', 'radio');
    button.addEventListener('click', () => set(choice));
    button.addEventListener('keydown', event => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      set(COSTS[(COSTS.indexOf(choice) + step + COSTS.length) % COSTS.length]);
      switches.children[COSTS.indexOf(cost)].focus();
    });
  }
  for (const [sign, text] of [['line', 'none better at its cost'], ['ring', 'trained on more pictures than ImageNet-1K’s']]) {
    const entry = el('span', '', null, key);
    entry.append(el('i', sign), text);
  }

  function set(choice) {
    cost = choice;
    draw();
  }

  // ---- scales ----
  const drawable = () => told.rows().filter(row => row.top1 != null && row[cost.id] != null);

  function scales(rows) {
    const values = rows.map(row => row[cost.id]), tops = rows.map(row => row.top1);
    const low = Math.log10(Math.min(...values)), high = Math.log10(Math.max(...values)), spare = 0.04 * (high - low || 1);
    const bottom = 5 * Math.floor(Math.min(...tops) / 5), top = 5 * Math.ceil(Math.max(...tops) / 5 + 0.01);
    const X = value => LEFT + 6 + (width - LEFT - RIGHT - 6) * (Math.log10(value) - low + spare) / (high - low + 2 * spare);
    const Y = value => height - BOTTOM - (height - TOP - BOTTOM) * (value - bottom) / (top - bottom);
    return { X, Y, low: low - spare, high: high + spare, bottom, top };
  }

  function axes({ X, Y, low, high, bottom, top }) {
    const g = parts.axes;
    g.replaceChildren();
    for (let v = bottom; v <= top; v += 5) {
      if (v % 10 && height < 240) continue;
      svg('path', { d: `M${LEFT} ${Y(v)}H${width - RIGHT}`, class: 'grid' }, g);
      svg('text', { x: LEFT - 8, y: Y(v) + 4, 'text-anchor': 'end' }, g, v === top ? `${v} %` : v);
    }
    for (let power = Math.floor(low); power <= high; power += 1) {
      for (const digit of [1, 2, 3, 4, 5, 6, 7, 8, 9]) {
        const value = digit * 10 ** power, at = Math.log10(value);
        if (at < low || at > high) continue;
        svg('path', { d: `M${X(value)} ${height - BOTTOM}v${digit === 1 ? 6 : 3}`, class: 'tick' }, g);
        if (digit === 1) svg('text', { x: X(value), y: height - 4, 'text-anchor': 'middle' }, g, cost.text(value).replace('.0', ''));
      }
    }
  }

  const path = (list, { X, Y }) => list.map((row, i) => `${i ? 'L' : 'M'}${X(row[cost.id]).toFixed(1)} ${Y(row.top1).toFixed(1)}`).join('');

  // Nothing below the stairs is worth its cost.
  function stairs(list, { X, Y }) {
    const corners = list.map((row, i) => `${i ? `H${X(row[cost.id]).toFixed(1)}V` : `M${X(row[cost.id]).toFixed(1)} `}${Y(row.top1).toFixed(1)}`);
    return `${corners.join('')}H${width - RIGHT}`;
  }

  function draw() {
    width = box.clientWidth;
    height = box.clientHeight;
    const rows = drawable();
    if (width < 160 || height < 120 || !rows.length) return;
    for (const [i, choice] of COSTS.entries()) {
      switches.children[i].setAttribute('aria-checked', choice === cost);
      switches.children[i].tabIndex = choice === cost ? 0 : -1;
    }
    root.setAttribute('viewBox', `0 0 ${width} ${height}`);
    root.setAttribute('width', width);
    root.setAttribute('height', height);
    const scale = scales(rows), front = told.rows().fronts[cost.id] ?? [];
    axes(scale);
    parts.front.replaceChildren();
    svg('path', { d: stairs(front, scale) }, parts.front);
    spots = rows.map(row => ({ row, x: scale.X(row[cost.id]), y: scale.Y(row.top1), on: told.isShown(row) }));
    for (const spot of spots) place(spot, front.includes(spot.row));
    // What is drawn later lies on top: those that match, the chosen last.
    const rank = ({ row, on }) => (row.name === told.chosen() ? 2 : on ? 1 : 0);
    parts.points.append(...[...spots].sort((a, b) => rank(a) - rank(b)).map(({ row }) => points.get(row.name)));
    labels(rows);
    mark();
  }

  function place({ row, x, y, on }, best) {
    if (!points.has(row.name)) {
      const made = svg('circle', { r: RADIUS, role: 'option', id: `gallery-${row.name}` });
      made.setAttribute('aria-label', [row.name, ...told.words(row)].join(', '));
      points.set(row.name, made);
    }
    const point = points.get(row.name), chosen = row.name === told.chosen();
    point.setAttribute('cx', x.toFixed(1));
    point.setAttribute('cy', y.toFixed(1));
    point.setAttribute('r', chosen ? RADIUS + 2 : RADIUS);
    point.setAttribute('class', [best && 'best', row.more_data && 'more', !on && 'pale', chosen && 'chosen'].filter(Boolean).join(' '));
    point.setAttribute('aria-selected', chosen);
  }

  // The chosen one's name, and a name for each series where there is room: at its best, or at the next best.
  function labels(rows) {
    parts.labels.replaceChildren();
    const taken = [], own = spots.find(({ row }) => row.name === told.chosen());
    if (own) write(own.row.name, [own], taken, 0);
    for (const list of series(rows.filter(told.isShown))) {
      if (!list.includes(own?.row)) write(list[0].series, list.map(row => spots.find(spot => spot.row === row)), taken, ALOOF);
    }
  }

  // A text beside one of these points, `aloof` pixels from all points that are not theirs; without room only the chosen one's.
  function write(text, at, taken, aloof) {
    const over = ([a, b, c, d], [e, f, g, h]) => a < g && c > e && b < h && d > f;
    const around = ({ x, y, row }) => { const r = RADIUS + (row.series === at[0].row.series ? 0 : aloof); return [x - r, y - r, x + r, y + r]; };
    const clash = room => room[0] < LEFT || room[2] > width - 2 || room[1] < 0 || room[3] > height - BOTTOM
      || taken.some(other => over(room, other)) || spots.some(spot => over(room, around(spot)));
    const wide = LETTER * text.length;
    const choices = at.flatMap(({ x, y }) => SIDES.map(([dx, dy, anchor]) => {
      const left = x + dx - { start: 0, middle: wide / 2, end: wide }[anchor];
      return { x: x + dx, y: y + dy, anchor, room: [left - 1, y + dy - 10, left + wide + 1, y + dy + 2] };
    }));
    const found = choices.find(({ room }) => !clash(room)) ?? (aloof ? null : choices[0]);
    if (!found) return;
    taken.push(found.room);
    svg('text', { x: found.x, y: found.y, 'text-anchor': found.anchor, class: aloof ? '' : 'chosen' }, parts.labels, text);
  }

  // Lists of one design, the best first; the longest list first.
  function series(rows) {
    const lists = new Map();
    for (const row of rows) lists.set(row.series, [...(lists.get(row.series) ?? []), row]);
    return [...lists.values()].map(list => list.sort((a, b) => b.top1 - a.top1)).sort((a, b) => b.length - a.length);
  }

  // ---- looking at one ----
  function mark() {
    for (const [name, point] of points) point.classList.toggle('looked', name === looked);
    const row = told.rows().find(({ name }) => name === looked), scale = row && scales(drawable());
    parts.series.replaceChildren();
    if (!row) return;
    root.setAttribute('aria-activedescendant', `gallery-${looked}`);
    const kin = drawable().filter(({ series: of }) => of === row.series).sort((a, b) => a[cost.id] - b[cost.id]);
    if (kin.length > 1) svg('path', { d: path(kin, scale) }, parts.series);
  }

  function look(name) {
    if (name === looked) return;
    looked = name;
    if (!near && document.activeElement !== root) hide();
    mark();
  }

  function show(spot) {
    const { row, x, y } = spot;
    tip.replaceChildren(el('b', '', row.name), ` ${row.year ?? ''}`);
    const list = el('dl', '', null, tip);
    for (const [value, name] of [[`${row.top1.toFixed(1)} %`, 'top-1'], [short(row.macs), 'MACs'], [short(row.params), 'params'], [told.megabytes(row.file_mb), 'file']]) {
      const cell = el('div', '', null, list);
      cell.append(el('dt', '', name), el('dd', '', value));
    }
    tip.hidden = false;
    const { offsetWidth: w, offsetHeight: h } = tip, left = Math.max(0, Math.min(width - w, x - w / 2)), above = y - h - 12 > -40;
    tip.style.left = `${left}px`;
    tip.style.top = `${above ? y - h - 12 : y + 12}px`;
    tip.style.setProperty('--at', `${x - left}px`);
    tip.classList.toggle('below', !above);
  }
  const hide = () => { tip.hidden = true; };

  // The nearest point that is on show; a pale one only where none of those is near.
  function nearest(event) {
    const { left, top } = root.getBoundingClientRect(), x = event.clientX - left, y = event.clientY - top;
    const far = spot => Math.hypot(spot.x - x, spot.y - y) + (spot.on ? 0 : NEAR / 2);
    const best = spots.reduce((a, b) => (a && far(a) <= far(b) ? a : b), null);
    return best && far(best) <= NEAR ? best : null;
  }

  function turn(spot) {
    near = spot;
    root.classList.toggle('near', Boolean(spot));
    if (!spot) { hide(); return; }
    told.look(spot.row.name);
    show(spot);
  }

  root.addEventListener('pointermove', event => { if (event.pointerType === 'mouse') turn(nearest(event)); });
  root.addEventListener('pointerleave', event => { if (event.pointerType === 'mouse') turn(null); });
  // With a mouse a click picks what is pointed at; a finger first looks, and picks with the button below, or by a second touch.
  root.addEventListener('click', event => {
    const spot = nearest(event), again = spot && near?.row === spot.row;
    if (again) told.pick(spot.row.name);
    else turn(spot);
  });
  root.addEventListener('focus', () => { if (root.matches(':focus-visible')) step(0); });
  root.addEventListener('blur', () => turn(null));
  root.addEventListener('keydown', event => {
    const way = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, Home: -Infinity, End: Infinity }[event.key];
    if (way) step(way, event.key === 'ArrowUp' || event.key === 'ArrowDown' ? 'y' : 'x');
    else if ((event.key === 'Enter' || event.key === ' ') && looked) told.pick(looked);
    else return;
    event.preventDefault();
  });

  // To the next of those on show, by cost or by accuracy.
  function step(way, axis = 'x') {
    const sign = axis === 'y' ? -1 : 1, list = spots.filter(spot => spot.on).sort((a, b) => sign * (a[axis] - b[axis]));
    if (!list.length) return;
    const at = list.findIndex(spot => spot.row.name === looked);
    turn(list[Math.max(0, Math.min(list.length - 1, at < 0 ? 0 : at + way))]);
  }

  Explorer.fit(box, draw, 160);
  return { draw, look };
};
