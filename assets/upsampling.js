// The upsampling bench: a small grid made larger in three ways, cell by cell, and where checkerboards come from.
// value = views/upsampling.py's bench(). Steps and torch's numbers come from server.enlarge({way, grid, …}), pictures of
// a constant image from server.checkerboard({kernel, stride, padding, output_padding, seed}); each may answer {error}.
Explorer.upsampling = (element, props, trigger, watch, server) => {
  const { el, svg, board, placeRows } = Explorer, { asCells, typed, cellText, exactText, largest } = board;
  const KEPT = 64, TYPED = 34, WIDE = 560, MOST_SIDE = 38, LEAST_SIDE = 5;    // answers; px
  const WAYS = [['nearest', 'Nearest + convolution'], ['transposed', 'Transposed'], ['shuffle', 'Pixel shuffle']];
  const KINDS = {
    nearest: [['box', 'Box'], ['gauss', 'Gaussian'], ['edge', 'Edge'], ['own', 'Own']],
    transposed: [['gauss', 'Gaussian'], ['ones', 'Ones'], ['edge', 'Edge'], ['count', '1 2 3'], ['random', 'Random'], ['own', 'Own']],
  };
  const GRIDS = {
    ramp: ['Ramp', (i, j, h, w) => i * w + j + 1], one: ['One cell', (i, j, h, w) => Number(i === h >> 1 && j === w >> 1)],
    even: ['Constant', () => 1], edge: ['Edge', (i, j, h, w) => Number(j >= w / 2)], checks: ['Checks', (i, j) => (i + j) % 2],
    random: ['Random', () => Math.floor(Math.random() * 10)],
  };
  const KNOBS = [['kernel', 'Kernel'], ['stride', 'Stride'], ['padding', 'Padding'], ['output_padding', 'Output padding']];
  const STEPS = {
    nearest: ['Grid', 'Copy 2×2', 'Zeros around', 'Slide the kernel'],
    transposed: ['Grid', 'Zeros between', 'Zeros around', 'Slide the kernel'],
    shuffle: ['Grid', 'Four channels', 'One patch each'],
  };
  const SAYS = {
    nearest: 'Each cell is copied to 2×2, then an ordinary convolution smooths the copies. Every output cell sees nine of them.',
    transposed: 'Zeros go between the cells and around them. Then the kernel, turned by 180°, slides over it all with stride 1.',
    shuffle: 'A 1×1 convolution makes four channels. Their cells at the same place become one 2×2 patch.',
  };
  const root = element.querySelector('.upsampling');
  let bench = null, answer = null, at = null, over = null, playing = 0, counted = false;
  const state = {
    way: 'transposed', grid: [], preset: 'ramp', kind: { nearest: 'box', transposed: 'gauss' }, kernel: {}, stride: 2, padding: 0,
    output_padding: 0, init: 'plain', seed: 3, weights: null, blur: false,
  };
  const make = (name, h, w) => Array.from({ length: h }, (_, i) => Array.from({ length: w }, (_, j) => GRIDS[name][1](i, j, h, w)));

  // ---- what stands on the page ----
  const head = el('div', 'top', null, root), title = el('h2', '', 'Upsampling bench', head);
  const ways = choice('Way', WAYS, head, way => { stop(); set({ way }); });
  title.id = 'upsampling-title';
  const says = el('p', 'says', null, root), controls = el('div', 'controls', null, root);
  const sizes = group('Grid', 'sides'), height = knob('Rows', sizes, n => resize(n, state.grid[0].length)), width = knob('Columns', sizes, n => resize(state.grid.length, n));
  const gridKinds = choice('Fill', Object.entries(GRIDS).map(([id, [word]]) => [id, word]), group('Fill', 'fill'), preset => set({ preset, grid: make(preset, state.grid.length, state.grid[0].length) }), true);
  const kernelGroup = group('Numbers in the kernel', 'kinds'), kernelKinds = {};
  for (const way of ['nearest', 'transposed']) kernelKinds[way] = choice('Kernel', KINDS[way], kernelGroup, kind => takeKernel(kind), true);
  const initGroup = group('Fresh weights', 'init');
  const inits = choice('Fresh weights', [['plain', 'Plain'], ['icnr', 'ICNR'], ['own', 'Own']], initGroup, init => set(init === 'own' ? { init, weights: answer?.weights ?? [1, 1, 1, 1] } : { init, weights: null }));
  const draw2 = button('Draw again', initGroup, () => set({ seed: (state.seed + 1) % 10000, weights: null, init: state.init === 'own' ? 'plain' : state.init }));
  const blur = toggle('Blur', group('After the shuffle', 'soft'), on => set({ blur: on }));
  const knobs = group('Transposed convolution', 'knobs'), dials = {};
  for (const [id, word] of KNOBS) dials[id] = knob(word, knobs, n => (id === 'kernel' ? resizeKernel(n) : set({ [id]: n })));
  const cases = group('A 28×28 map becomes', 'cases'), caseRow = el('div', 'chips', null, cases);
  const wrong = el('div', 'wrong', null, root);
  wrong.setAttribute('aria-live', 'polite');

  const work = el('div', 'work', null, root), bar = el('div', 'player', null, work);
  const back = button('‹', bar, () => { stop(); go(at - 1); }, 'One step back'), play = button('▶', bar, toggle_play, 'Play'), on = button('›', bar, () => { stop(); go(at + 1); }, 'One step on');
  const scrub = el('input', '', null, bar), where = el('span', 'where', null, bar), crumbs = el('ol', 'crumbs', null, work);
  scrub.type = 'range';
  scrub.min = 0;
  scrub.setAttribute('aria-label', 'Step');
  scrub.addEventListener('input', () => { stop(); go(Number(scrub.value)); });
  play.classList.add('play');

  const stage = el('div', 'stage', null, work), lines = svg('svg', { class: 'lines', 'aria-hidden': 'true' }, stage), beams = [svg('path', {}, lines), svg('path', {}, lines)];
  const left = el('div', 'left', null, stage);
  const gridFig = figure(left), grid = typed(gridFig.body, 'in', () => `Grid, ${size(state.grid)}, to type into`, rows => set({ grid: rows, preset: '' }), place => { over = place; drawReach(); });
  const kernelFig = figure(left), kernel = typed(kernelFig.body, 'weight', () => `Kernel, ${size(shownKernel())}, to type into`, rows => typeKernel(rows));
  const middleFig = figure(stage, 'middle'), middle = board(middleFig.body, 'in'), channels = el('div', 'channels', null, middleFig.body);
  const quarters = ['a', 'b', 'c', 'd'].map(name => { const f = figure(channels, `quarter q-${name}`); return { ...f, board: board(f.body, 'in') }; });
  const outFig = figure(stage, 'result'), out = board(outFig.body, 'out'), counting = toggle('Count the inputs', outFig.foot, now => { counted = now; drawStage(); });
  out.box.tabIndex = 0;
  out.box.setAttribute('role', 'application');

  const under = el('div', 'under', null, work), hand = el('section', 'hand', null, under), truth = el('section', 'truth', null, under);
  const handHead = el('h3', '', null, hand), product = el('div', 'product', null, hand), sum = el('p', 'sum', null, hand);
  const parts = ['in', 'weight', 'out'].map((kind, k) => {
    if (k) el('span', 'sign', k === 1 ? '×' : '=', product);
    const f = figure(product, 'part');
    return { ...f, board: board(f.body, kind) };
  });
  const total = el('div', 'total', null, product);
  const twin = el('details', 'twin', null, root);
  el('summary', '', 'All numbers as text', twin);
  const text = el('pre', '', null, twin);
  text.tabIndex = 0;
  const checker = checkerboard();

  // ---- pieces of the page ----
  function group(word, cls) {
    const box = el('div', `group ${cls}`, null, controls);
    el('span', 'word', word, box);
    return box;
  }

  function figure(parent, cls = '') {
    const box = el('figure', cls, null, parent), caption = el('figcaption', '', null, box), name = el('b', '', null, caption), detail = el('span', '', null, caption);
    const body = el('div', 'body', null, box), foot = el('div', 'foot', null, box);
    return { box, body, foot, name: (a, b = '') => { name.textContent = a; detail.textContent = b; } };
  }

  function button(word, parent, act, label) {
    const b = el('button', 'small', word, parent);
    b.type = 'button';
    if (label) b.setAttribute('aria-label', label);
    b.addEventListener('click', act);
    return b;
  }

  function toggle(word, parent, changed) {
    const b = button(word, parent, () => { put(b.getAttribute('aria-checked') !== 'true'); changed(b.getAttribute('aria-checked') === 'true'); });
    const put = now => b.setAttribute('aria-checked', now);
    b.className = 'toggle';
    b.prepend(el('i'));
    b.setAttribute('role', 'switch');
    put(false);
    return { b, put };
  }

  // Buttons of which at most one is on. -> {box, put(id)}; `again` lets the one that is on be chosen again.
  function choice(label, options, parent, changed, again = false) {
    const box = el('div', 'choice', null, parent), buttons = new Map();
    let now = null;
    box.setAttribute('role', 'radiogroup');
    box.setAttribute('aria-label', label);
    const put = id => {
      now = id;
      let any = false;
      for (const [key, b] of buttons) { b.setAttribute('aria-checked', key === id); b.tabIndex = key === id ? 0 : -1; any ||= key === id; }
      if (!any) buttons.values().next().value.tabIndex = 0;
    };
    for (const [id, word] of options) {
      const b = el('button', '', word, box);
      b.type = 'button';
      b.setAttribute('role', 'radio');
      b.addEventListener('click', () => { if (again || id !== now) { put(id); changed(id); } });
      buttons.set(id, b);
    }
    box.addEventListener('keydown', event => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key], ids = [...buttons.keys()];
      if (!step) return;
      event.preventDefault();
      const id = ids.at((Math.max(0, ids.indexOf(now)) + step) % ids.length);
      buttons.get(id).focus();
      put(id);
      changed(id);
    });
    return { box, put };
  }

  // A whole number with a button to either side. -> put(value, low, high)
  function knob(word, parent, changed) {
    const box = el('div', 'knob', null, parent), name = el('span', '', word, box), less = button('−', box, () => step(-1), `${word}: one less`);
    const shown = el('b', '', null, box), more = button('+', box, () => step(1), `${word}: one more`);
    let [value, low, high] = [0, 0, 1];
    name.id = `upsampling-${word.toLowerCase().replace(' ', '-')}`;
    shown.setAttribute('role', 'spinbutton');
    shown.setAttribute('aria-labelledby', name.id);
    shown.tabIndex = 0;
    less.tabIndex = more.tabIndex = -1;
    const to = n => { if (n >= low && n <= high && n !== value) changed(n); };
    const step = by => to(value + by);
    shown.addEventListener('keydown', event => {
      const n = { ArrowUp: value + 1, ArrowRight: value + 1, ArrowDown: value - 1, ArrowLeft: value - 1, Home: low, End: high }[event.key];
      if (n === undefined) return;
      event.preventDefault();
      to(n);
    });
    return (n, a, b) => {
      [value, low, high] = [n, a, b];
      shown.textContent = n;
      less.disabled = n <= a;
      more.disabled = n >= b;
      for (const [key, of] of [['valuemin', a], ['valuemax', b], ['valuenow', n]]) shown.setAttribute(`aria-${key}`, of);
    };
  }

  // ---- what a person changes ----
  function set(change) {
    const way = change.way && change.way !== state.way;
    Object.assign(state, change);
    if (way) at = null;
    drawControls();
    ask();
  }
  const shownKernel = () => (state.way === 'shuffle' ? two(answer?.weights ?? [1, 1, 1, 1]) : state.kernel[state.way]);
  const two = ([a, b, c, d]) => [[a, b], [c, d]];
  const size = rows => `${rows.length}×${rows[0].length}`;

  function resize(h, w) {
    const fresh = state.preset ? make(state.preset, h, w) : Array.from({ length: h }, (_, i) => Array.from({ length: w }, (_, j) => state.grid[i]?.[j] ?? 0));
    at = null;
    set({ grid: fresh });
  }

  function kernelOf(kind, k) {
    if (kind === 'random') return Array.from({ length: k }, () => Array.from({ length: k }, () => Math.round(20 * Math.random() - 10) / 10));
    return (state.way === 'nearest' ? bench.after_nearest : bench.kernels[k])[kind];
  }

  function takeKernel(kind) {
    const now = state.kernel[state.way];
    set({ kind: { ...state.kind, [state.way]: kind }, kernel: { ...state.kernel, [state.way]: kind === 'own' ? now : kernelOf(kind, now.length) } });
  }

  function resizeKernel(k) {
    const now = state.kernel.transposed, kind = state.kind.transposed;
    const next = kind === 'own' ? Array.from({ length: k }, (_, i) => Array.from({ length: k }, (_, j) => now[i]?.[j] ?? 0)) : kernelOf(kind, k);
    set({ kernel: { ...state.kernel, transposed: next } });
  }

  function typeKernel(rows) {
    if (state.way === 'shuffle') set({ init: 'own', weights: rows.flat() });
    else set({ kind: { ...state.kind, [state.way]: 'own' }, kernel: { ...state.kernel, [state.way]: rows } });
  }

  function takeCase({ kernel: k, ...others }) {
    const kind = state.kind.transposed === 'own' ? 'gauss' : state.kind.transposed;
    set({ ...others, kind: { ...state.kind, transposed: kind }, kernel: { ...state.kernel, transposed: kernelOf(kind, k) } });
  }

  // ---- asking: one question at a time, and the latest that was meant ----
  const answers = new Map();
  let wanted = '', busy = false;

  function question() {
    const { way, grid: rows } = state, asked = { way, grid: rows };
    if (way === 'shuffle') return { ...asked, blur: state.blur, ...(state.weights ? { weights: state.weights } : { init: state.init, seed: state.seed }) };
    if (way === 'nearest') return { ...asked, kernel: state.kernel.nearest };
    return { ...asked, kernel: state.kernel.transposed, stride: state.stride, padding: state.padding, output_padding: state.output_padding };
  }

  async function call(name, asked) {
    const got = await Promise.resolve(server[name](asked)).catch(() => null);
    return got ?? { error: 'The server gave no answer.' };
  }

  async function ask() {
    wanted = JSON.stringify(question());
    checker.ask();
    if (answers.has(wanted)) { take(answers.get(wanted)); return; }
    if (busy) return;
    busy = true;
    for (let key = ''; key !== wanted;) {
      key = wanted;
      const got = answers.get(key) ?? await call('enlarge', JSON.parse(key));
      if (!got.error) answers.set(key, got);
      if (answers.size > KEPT) answers.delete(answers.keys().next().value);
      if (key === wanted) take(got);
    }
    busy = false;
  }

  function take(got) {
    wrong.replaceChildren();
    const bad = got.error || got.problem;
    work.classList.toggle('stale', Boolean(bad));
    work.inert = false;
    if (bad) {
      stop();
      el('p', 'problem', bad, wrong);
      if (got.error) button('Try again', wrong, ask).className = 'btn';
      for (const [id, n] of Object.entries(got.mend ?? {})) button(`Set ${KNOBS.find(([key]) => key === id)[1].toLowerCase()} to ${n}`, wrong, () => set({ [id]: n })).className = 'btn';
      middleFig.box.inert = outFig.box.inert = true;
      grid.draw(state.grid, TYPED);
      if (state.way !== 'shuffle') kernel.draw(shownKernel(), TYPED);
      return;
    }
    middleFig.box.inert = outFig.box.inert = false;
    answer = { ...got, way: state.way, grid: state.grid, stride: state.stride, padding: state.padding };
    const last = frames() - 1;
    if (at === null) at = prep() + telling();
    at = Math.max(0, Math.min(last, at));
    drawStage();
    drawTruth();
    text.textContent = answer.text;
  }

  // The place of a cell near the middle that most inputs reach.
  function telling() {
    const rows = answer.overlaps ?? answer.out.map(row => row.map(() => 1)), wide = rows[0].length;
    const far = (i, j) => Math.hypot(i - rows.length / 2 + .6, j - wide / 2 + .6), places = rows.flatMap((row, i) => row.map((n, j) => [n, far(i, j), i * wide + j]));
    return places.reduce((best, one) => (one[0] > best[0] || (one[0] === best[0] && one[1] < best[1]) ? one : best))[2];
  }

  // ---- steps: first those that prepare, then one for each output cell ----
  const prep = () => STEPS[state.way].length - 1;
  const frames = () => prep() + answer.out.length * answer.out[0].length;
  const handCell = () => (at < prep() ? null : [Math.floor((at - prep()) / answer.out[0].length), (at - prep()) % answer.out[0].length]);

  function go(to) {
    if (!answer) return;
    at = Math.max(0, Math.min(frames() - 1, to));
    drawStage();
  }

  function toggle_play() {
    if (playing) { stop(); return; }
    if (!answer) return;
    if (at >= frames() - 1) go(0);
    const tick = () => {
      if (at >= frames() - 1 || !root.isConnected) { stop(); return; }
      go(at + 1);
      playing = setTimeout(tick, at < prep() + 1 ? 900 : Math.max(50, Math.min(420, 12000 / frames())));
    };
    playing = setTimeout(tick, 500);
    showPlaying();
  }

  function stop() {
    clearTimeout(playing);
    const was = playing;
    playing = 0;
    showPlaying();
    if (was && answer) drawStage();
  }

  function showPlaying() {
    play.textContent = playing ? '❚❚' : '▶';
    play.setAttribute('aria-label', playing ? 'Pause' : 'Play');
    work.classList.toggle('playing', Boolean(playing));
    sum.setAttribute('aria-live', playing ? 'off' : 'polite');
  }

  // ---- drawing ----
  function drawControls() {
    const { way } = state, { least, most } = bench;
    ways.put(way);
    says.textContent = SAYS[way];
    height(state.grid.length, least, most);
    width(state.grid[0].length, least, most);
    gridKinds.put(state.preset);
    kernelGroup.hidden = way === 'shuffle';
    for (const key in kernelKinds) { kernelKinds[key].box.hidden = key !== way; kernelKinds[key].put(state.kind[key]); }
    knobs.hidden = cases.hidden = way !== 'transposed';
    initGroup.hidden = way !== 'shuffle';
    root.querySelector('.group.soft').hidden = way !== 'shuffle';
    inits.put(state.init);
    blur.put(state.blur);
    const now = { kernel: state.kernel.transposed.length, stride: state.stride, padding: state.padding, output_padding: state.output_padding };
    for (const id in dials) dials[id](now[id], ...bench.knobs[id]);
    for (const chip of caseRow.children) chip.setAttribute('aria-pressed', JSON.stringify(now) === chip.dataset.knobs);
    crumbs.replaceChildren(...STEPS[way].map((word, k) => {
      const item = el('li');
      button(word, item, () => { stop(); go(k); });
      return item;
    }));
  }

  function drawStage() {
    if (!answer || answer.way !== state.way || !stage.clientWidth) return;
    const shuffle = state.way === 'shuffle', place = handCell(), outRows = answer.out.length, outColumns = answer.out[0].length;
    const sides = layout(shuffle);
    scrub.max = frames() - 1;
    scrub.value = at;
    scrub.style.setProperty('--range_progress', `${100 * at / (frames() - 1)}%`);
    const said = place ? `row ${place[0] + 1}, column ${place[1] + 1}` : STEPS[state.way][at];
    where.textContent = place ? `Cell ${at - prep() + 1} of ${outRows * outColumns}` : STEPS[state.way][at];
    scrub.setAttribute('aria-valuetext', place ? `Cell ${at - prep() + 1} of ${outRows * outColumns}, ${said}` : said);
    back.disabled = at === 0;
    on.disabled = at === frames() - 1;
    [...crumbs.children].forEach((item, k) => {
      const current = k === Math.min(at, prep());
      item.classList.toggle('done', k < Math.min(at, prep()));
      item.firstChild.toggleAttribute('aria-current', current);
    });

    gridFig.name('Grid', size(state.grid));
    grid.draw(state.grid, TYPED);
    kernelFig.name(shuffle ? 'Weights a b c d' : 'Kernel', shuffle ? '1×1 convolution' : size(shownKernel()));
    kernel.draw(shownKernel(), TYPED);
    middle.box.hidden = shuffle;
    channels.hidden = !shuffle;
    counting.b.hidden = shuffle;
    if (shuffle) drawChannels(sides.middle); else drawMiddle(sides.middle);
    drawOut(sides.out, place);
    drawHand(place);
    drawReach();
    drawLines(place);
  }

  // Sides of the cells, so that all fits beside each other, or below each other where it is narrow.
  function layout(shuffle) {
    const wide = stage.clientWidth, across = wide >= WIDE, { columns } = shuffle ? { columns: 2 * state.grid[0].length + 1 } : middleSize();
    const first = TYPED * Math.max(state.grid[0].length, shownKernel()[0].length, 3), outColumns = answer.out[0].length;
    const clamp = px => Math.max(LEAST_SIDE, Math.min(MOST_SIDE, Math.floor(px)));
    stage.classList.toggle('across', across);
    stage.style.setProperty('--first', `${first}px`);
    const room = across ? (wide - first - 2 * 36 - 4) / (columns + outColumns) : wide / Math.max(columns, outColumns);
    return { middle: clamp(room), out: clamp(room) };
  }

  // Where the padded grid lies in the picture, which also holds what negative padding cuts off.
  function middleSize() {
    const { before, spread, padded } = answer, o = Math.max(0, -before);
    return { o, rows: Math.max(o + padded.length, before + o + spread.length), columns: Math.max(o + padded[0].length, before + o + spread[0].length) };
  }

  function drawMiddle(side) {
    const { spread, padded, before, grid: given, stride } = answer, { o, rows, columns } = middleSize(), copies = state.way === 'nearest';
    const start = before + o, cells = [], near = (n, length, i) => start + (n - 1) / 2 + i - (length - 1) / 2;
    const isIn = (i, j) => i >= o && j >= o && i < o + padded.length && j < o + padded[0].length;
    spread.forEach((row, i) => row.forEach((value, j) => {
      const real = copies || (i % stride === 0 && j % stride === 0), [r, c] = copies ? [i >> 1, j >> 1] : [Math.floor(i / stride), Math.floor(j / stride)];
      const apart = at >= 1, kind = [real ? 'real' : 'zero', !apart && !real ? 'away' : '', at >= 2 && !isIn(start + i, start + j) ? 'cut' : ''].filter(Boolean).join(' ');
      cells.push({
        key: `${real ? 'r' : 'z'}${real && !copies ? `${r},${c}` : `${i},${j}`}`, value, kind,
        row: apart || !real ? start + i : near(spread.length, given.length, r), column: apart || !real ? start + j : near(spread[0].length, given[0].length, c),
      });
    }));
    padded.forEach((row, i) => row.forEach((value, j) => {
      const [r, c] = [i - before, j - before];
      if (r >= 0 && c >= 0 && r < spread.length && c < spread[0].length) return;
      cells.push({ key: `p${i},${j}`, value: 0, kind: at >= 2 ? 'pad' : 'pad away', row: i + o, column: j + o });
    }));
    middle.draw(cells, rows, columns, side, largest(given));
    const between = copies ? '2×2 copies' : stride > 1 ? `${stride - 1} zero${stride > 2 ? 's' : ''} between` : 'no zeros between', around = before < 0 ? `, ${-before} cut off around` : before ? `, ${before} around` : '';
    middleFig.name(['Grid', copies ? 'Copied' : 'Spread', 'Padded', 'Padded'][Math.min(at, 3)], at < 1 ? size(given) : at < 2 ? `${size(spread)}, ${between}` : `${size(padded)}, ${between}${around}`);
    const place = handCell(), k = answer.window.length;
    if (place) middle.mark(place[0] + o, place[1] + o, k, k); else middle.mark();
  }

  function drawChannels(side) {
    const most = Math.max(...answer.channels.map(largest)), place = handCell();
    middleFig.name('Four channels', `4×${size(state.grid)}`);
    quarters.forEach((quarter, k) => {
      quarter.name('abcd'[k], `× ${cellText(answer.weights[k])}`);
      quarter.board.draw(asCells(answer.channels[k], at < 1 ? 'real away' : 'real'), state.grid.length, state.grid[0].length, side, most);
      const mine = place && 2 * (place[0] % 2) + (place[1] % 2) === k;
      if (mine) quarter.board.mark(place[0] >> 1, place[1] >> 1, 1, 1); else quarter.board.mark();
    });
  }

  const counts = () => counted && state.way !== 'shuffle';
  function drawOut(side, place) {
    const rows = counts() ? answer.overlaps : answer.out, before = at - prep(), wide = rows[0].length;
    out.draw(asCells(rows).map((cell, n) => ({ ...cell, kind: at < prep() || (playing && n > before) ? 'later' : state.way === 'shuffle' ? `q q${2 * (cell.row % 2) + (cell.column % 2)}` : '' })), rows.length, wide, side, largest(rows));
    outFig.name(counts() ? 'Inputs that reach each cell' : state.way === 'shuffle' && state.blur ? 'Output, blurred' : 'Output', size(rows));
    out.box.classList.toggle('patches', state.way === 'shuffle');
    out.box.setAttribute('aria-label', `Output, ${size(rows)}. Arrow keys move from cell to cell.`);
    if (place) out.mark(...place, 1, 1); else out.mark();
  }

  // What one cell of the grid reaches: its copies or its place among the zeros, and its outputs.
  function drawReach() {
    const reached = root.querySelectorAll('.reached');
    reached.forEach(e => e.classList.remove('reached'));
    if (!over || !answer || over[0] >= answer.grid.length) return;
    const [r, c] = over, cells = [], { stride, padding, way } = answer, k = answer.window?.length ?? 2;
    const [step, first, last] = way === 'shuffle' ? [2, 0, 1] : way === 'nearest' ? [2, -1, 2] : [stride, -padding, k - 1 - padding];
    for (let i = first; i <= last; i++) for (let j = first; j <= last; j++) cells.push(out.cell(`${r * step + i},${c * step + j}`));
    if (way === 'transposed') cells.push(middle.cell(`r${r},${c}`));
    if (way === 'nearest') for (const i of [0, 1]) for (const j of [0, 1]) cells.push(middle.cell(`r${2 * r + i},${2 * c + j}`));
    if (way === 'shuffle') quarters.forEach(quarter => cells.push(quarter.board.cell(`${r},${c}`)));
    cells.forEach(e => e?.classList.add('reached'));
  }

  // Two lines from the window to the cell that it gives.
  function drawLines(place) {
    const from = state.way === 'shuffle' ? quarters.find(({ board: b }) => !b.frame.hidden)?.board.frame : middle.frame;
    const shown = place && from && stage.classList.contains('across');
    beams.forEach(beam => beam.setAttribute('d', ''));
    if (!shown) return;
    const base = stage.getBoundingClientRect(), a = from.getBoundingClientRect(), b = out.frame.getBoundingClientRect();
    const line = (x1, y1, x2, y2) => `M${x1 - base.left} ${y1 - base.top}L${x2 - base.left} ${y2 - base.top}`;
    beams[0].setAttribute('d', line(a.right, a.top, b.left, b.top));
    beams[1].setAttribute('d', line(a.right, a.bottom, b.left, b.bottom));
  }

  // ---- the cell in hand ----
  function drawHand(place) {
    hand.classList.toggle('idle', !place);
    product.hidden = !place;
    if (!place) {
      handHead.textContent = STEPS[state.way][at];
      sum.textContent = sentences()[at];
      for (const e of [...gridFig.body.querySelectorAll('.used')]) e.classList.remove('used');
      return;
    }
    const value = answer.out[place[0]][place[1]];
    handHead.textContent = `Row ${place[0] + 1}, column ${place[1] + 1}`;
    total.replaceChildren(el('span', 'sign', '→'), el('b', '', exactText(value)));
    if (state.way === 'shuffle') handShuffle(place, value); else handWindow(place, value);
  }

  function sentences() {
    const { way, grid: given, spread, padded, before } = answer, n = given.length * given[0].length;
    if (way === 'shuffle') return [`${n} cells in one channel.`, 'Each cell times four weights: four channels of the same size.'];
    const around = before > 0 ? `${before} = ${way === 'nearest' ? 'padding' : 'kernel − 1 − padding'} zeros around` : before < 0 ? `${-before} cut off around` : 'nothing around';
    return [`${n} cells.`, way === 'nearest' ? `Each cell becomes 2×2: ${size(spread)}.` : `${answer.stride - 1} zero${answer.stride === 2 ? '' : 's'} between neighbours: ${size(spread)}.`, `${around[0].toUpperCase()}${around.slice(1)}: ${size(padded)}.`];
  }

  function showUsed(used) {
    [...grid.box.children].forEach((e, n) => e.classList.toggle('used', used.has(`${Math.floor(n / state.grid[0].length)},${n % state.grid[0].length}`)));
  }

  const bracket = value => (value < 0 ? `(${exactText(value)})` : exactText(value));
  function handWindow([i, j], value) {
    const { window: weights, padded, before, stride, spread } = answer, k = weights.length, seen = [], used = new Set(), terms = [];
    for (let a = 0; a < k; a++) {
      seen.push([]);
      for (let b = 0; b < k; b++) {
        const [r, c] = [i + a - before, j + b - before], real = r >= 0 && c >= 0 && r < spread.length && c < spread[0].length && (state.way === 'nearest' || (r % stride === 0 && c % stride === 0));
        seen[a].push(real);
        if (!real) continue;
        used.add(state.way === 'nearest' ? `${r >> 1},${c >> 1}` : `${r / stride},${c / stride}`);
        terms.push(`${bracket(padded[i + a][j + b])} × ${bracket(weights[a][b])}`);
      }
    }
    showUsed(used);
    const cut = (rows, name) => asCells(rows).map(cell => ({ ...cell, kind: seen[cell.row][cell.column] ? `real ${name}` : 'pad' }));
    const under = padded.slice(i, i + k).map(row => row.slice(j, j + k)), made = under.map((row, a) => row.map((v, b) => v * weights[a][b])), side = 26;
    parts[0].board.draw(cut(under), k, k, side, largest(answer.grid));
    parts[1].board.draw(asCells(weights), k, k, side, largest(weights));
    parts[2].board.draw(cut(made), k, k, side, largest(made));
    parts[0].name('Window');
    parts[1].name(state.way === 'nearest' ? 'Kernel' : 'Turned kernel');
    parts[2].name('Products');
    const zeros = k * k - terms.length, rest = zeros ? ` ${zeros} of ${k * k} terms are zeros that were put in.` : '';
    sum.replaceChildren(el('code', '', `${terms.join(' + ') || '0'} = ${exactText(value)}`), el('span', '', rest));
  }

  function handShuffle([i, j], value) {
    const near = [[i - 1, j - 1], [i - 1, j], [i, j - 1], [i, j]].map(pair => pair.map(n => Math.max(0, n))), places = state.blur ? near : [[i, j]];
    const name = ([r, c]) => 2 * (r % 2) + (c % 2), cells = places.map(([r, c]) => answer.grid[r >> 1][c >> 1]), weights = places.map(p => answer.weights[name(p)]), made = places.map(([r, c]) => answer.patches[r][c]);
    const shape = values => (state.blur ? two(values) : [values]), n = state.blur ? 2 : 1, show = (part, values, most) => part.board.draw(asCells(shape(values), 'real'), n, n, 36, most);
    show(parts[0], cells, largest(answer.grid));
    show(parts[1], weights, Math.max(...answer.weights.map(Math.abs)) || 1);
    show(parts[2], made, largest(answer.patches));
    parts[0].name('Grid');
    parts[1].name(state.blur ? 'Weights' : `Weight ${'abcd'[name([i, j])]}`);
    parts[2].name(state.blur ? 'Shuffled' : 'Output');
    showUsed(new Set(places.map(([r, c]) => `${r >> 1},${c >> 1}`)));
    const one = `${bracket(answer.grid[i >> 1][j >> 1])} × ${bracket(answer.weights[name([i, j])])} = ${exactText(answer.patches[i][j])}`;
    const corner = `${['upper', 'lower'][i % 2]} ${['left', 'right'][j % 2]}`;
    sum.replaceChildren(el('code', '', state.blur ? `(${made.map(exactText).join(' + ')}) / 4 = ${exactText(value)}` : one), el('span', '', state.blur ? ' The blur is the mean of the cell and its neighbours above and to the left.' : ` Channel ${'abcd'[name([i, j])]} goes to the ${corner} of the patch.`));
  }

  // ---- sizes by the formula, and what torch says ----
  function drawTruth() {
    const { way, sizes: rows, difference, chain, out: given } = answer;
    truth.replaceChildren();
    const formula = { transposed: '(H − 1)·s − 2p + k + op', nearest: '2·H', shuffle: '2·H' }[way];
    el('h3', '', 'Size', truth).append(el('code', '', formula));
    const table = el('table', '', null, truth), top = el('tr', '', null, el('thead', '', null, table)), body = el('tbody', '', null, table);
    for (const word of ['side', 'formula', '', 'torch']) el('th', '', word, top);
    for (const row of rows) {
      const line = el('tr', row.formula === row.torch ? '' : 'wrong', null, body);
      el('th', '', String(row.side), line).scope = 'row';
      el('td', 'sum', row.sum, line);
      el('td', '', String(row.formula), line);
      el('td', '', `${row.torch} ${row.formula === row.torch ? '✓' : '✗'}`, line);
    }
    const n = given.length * given[0].length;
    el('p', 'agree', difference ? `These steps and torch differ by up to ${difference}.` : `torch gives the same ${n} numbers as these steps.`, truth);
    if (chain) {
      const last = chain.at(-1), exact = last === bench.image && chain.length === 6;
      el('p', 'chain', `Five times from 7: ${chain.join(' → ')}. ${exact ? `Exactly a ${bench.image} px image.` : `An image needs ${bench.image}.`}`, truth);
    }
    if (way === 'shuffle') el('p', 'chain', answer.same ? 'The four weights are equal: this is nearest neighbour, without a checkerboard.' : 'The four weights differ: every patch repeats the same pattern, a checkerboard.', truth);
  }

  // ---- a constant picture ----
  function checkerboard() {
    const box = el('section', 'checker', null, root), top = el('div', 'top', null, box), name = el('h2', '', 'Where checkerboards come from', top);
    const again = button('Another random kernel', top, () => { seed = (seed + 1) % 10000; asks(); }), why = el('p', 'says', null, box), table = el('div', 'columns', null, box), note = el('p', 'note', null, box);
    why.textContent = 'Each input stamps the kernel onto the output. Where a stride does not divide the kernel, some cells get more stamps than others.';
    name.id = 'upsampling-checker';
    box.setAttribute('aria-labelledby', name.id);
    let seed = 0, meant = '', shown = '', waits = false;
    const percent = share => `${share > 0 && share < .01 ? '< 1' : Math.round(100 * share)}\u202f%`;

    async function asks() {
      meant = JSON.stringify({ kernel: state.kernel.transposed.length, stride: state.stride, padding: state.padding, output_padding: state.output_padding, seed });
      if (waits || meant === shown) return;
      waits = true;
      for (let key = ''; key !== meant;) {
        key = meant;
        const got = await call('checkerboard', JSON.parse(key));
        if (key === meant) { if (!got.error) shown = key; show(got); }
      }
      waits = false;
    }

    function show({ error, columns, side, many }) {
      table.replaceChildren();
      if (error) { el('p', 'problem', error, table); button('Try again', table, asks).className = 'btn'; return; }
      table.style.setProperty('--columns', columns.length);
      for (const column of columns) {
        const item = el('div', 'column', null, table);
        const words = el('div', 'name', null, item);
        el('b', '', column.title, words);
        el('span', '', column.detail, words);
        picture(item, column.counts, `Inputs for each cell: ${column.says}`, column.title, column.even ? '✓' : '');
        picture(item, column.one, `One random kernel: varies by ${percent(column.one.spread)}`, column.title);
        picture(item, column.many, `Mean of ${many}: varies by ${percent(column.many.spread)}`, column.title);
      }
      note.textContent = `The picture is ${side}×${side} ones. Kernel 4 with stride 2 mends the counts: one random kernel still makes a pattern, but over ${many} kernels the mean size is even. After nearest neighbour no kernel makes one. The rim gets fewer inputs everywhere.`;
    }

    function picture(parent, cells, words, title, sign = '') {
      const f = el('figure', '', null, parent);
      board.heat(f, cells, `${title}. ${words}.`);
      const [a, b] = words.split(': ');
      const caption = el('figcaption', '', null, f);
      el('span', '', a, caption);
      el('b', '', `${b} ${sign}`.trim(), caption);
    }
    return { ask: asks };
  }

  // ---- listening ----
  const inside = ([i, j]) => answer && i >= 0 && j >= 0 && i < answer.out.length && j < answer.out[0].length;
  const point = event => {
    const place = out.under(event);
    if (!inside(place) || (event.type === 'pointermove' && (playing || event.pointerType !== 'mouse'))) return;
    if (playing) stop();
    go(prep() + place[0] * answer.out[0].length + place[1]);
  };
  out.box.addEventListener('pointermove', point);
  out.box.addEventListener('click', point);
  out.box.addEventListener('keydown', event => {
    const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key], from = handCell() ?? [0, -1];
    if (!by || !answer) return;
    event.preventDefault();
    stop();
    const to = from.map((n, d) => n + by[d]);
    if (inside(to)) go(prep() + to[0] * answer.out[0].length + to[1]);
  });
  Explorer.fit(stage, drawStage, 100);
  const start = Explorer.whenShown(root, ask);

  Explorer.live(element, props, watch, value => {
    if (bench) return;
    bench = value;
    state.grid = make('ramp', 3, 3);
    state.kernel = { nearest: bench.after_nearest.box, transposed: bench.kernels[3].gauss };
    for (const { becomes, side, knobs: to } of bench.cases) {
      const chip = button(`${side} → ${becomes}`, caseRow, () => takeCase(to));
      el('small', '', `k${to.kernel} s${to.stride}${to.padding ? ` p${to.padding}` : ''}${to.output_padding ? ` +${to.output_padding}` : ''}`, chip);
      chip.dataset.knobs = JSON.stringify(to);
      chip.title = `Kernel ${to.kernel}, stride ${to.stride}, padding ${to.padding}, output padding ${to.output_padding}`;
    }
    showPlaying();
    drawControls();
    start();
  });
};
