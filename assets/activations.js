// What a picture becomes inside the network: channel maps of the picked layer, its values, and figures of every layer.
// value = views/activations.py's activations(): {spec, failure, loading, note}. The server is asked only while this
// can be seen: server.activations({spec, qual, photo, one_scale}) and server.labels({spec, photo}) answer, or {pending}, or {error}.
// Below stands what the run that this page watches tells of its own activations (learning.js).
Explorer.activations = (element, props, trigger, watch, server) => {
  const { el, icon, shape, groupClass } = Explorer, { figure, bars, line, flat } = Explorer.activationCharts;
  const CALM = 250, AGAIN = 1000, KEPT = 24, SMALL = 32;     // ms to wait while things move, and for weights; answers; px
  const root = element.querySelector('.activations');
  const top = el('div', 'top', null, root), chooser = picker(el('div', 'photos', null, top)), said = el('div', 'said', null, top);
  const state = el('div', 'state', null, root), main = el('div', 'main', null, root);
  state.setAttribute('aria-live', 'polite');
  const lead = el('div', 'lead', null, main), sight = el('div', 'sight', null, lead), beside = el('div', 'beside', null, lead);
  const head = el('div', 'head', null, beside), title = el('h2', '', null, head), oneScale = switchOf('one scale', head);
  const figures = el('dl', 'figures', null, beside), source = Explorer.fieldSource(call), seen = Explorer.fieldView(sight, el('div', 'field', null, beside), source);
  const strip = el('div', 'strip', null, main), hint = el('p', 'help hint', null, main);
  const charts = el('div', 'charts', null, main), values = el('figure', 'values', null, charts), network = el('figure', 'network', null, charts);
  const notes = el('ul', 'notes', null, main), enlarged = enlargement();
  hint.after(enlarged.box);
  Explorer.duringRun(el('section', 'during', null, root));
  let value = null, photo = { sample: 'cat' }, shown = null, shownKey = '', busy = false, wanted = '', waiting = 0, labelled = '', drawn = '';
  const answers = new Map(), soon = Explorer.whenShown(root, ask), tiles = [];
  main.hidden = oneScale.button.hidden = true;

  // ---- asking: one question at a time, and the latest that was meant ----
  const question = () => ({ spec: value.spec, qual: Explorer.picked, photo, one_scale: oneScale.on() });

  async function call(name, asked) {
    const answer = await Promise.resolve(server[name](asked)).catch(() => null);
    return answer ?? { error: 'The server gave no answer.' };
  }

  function ask() {
    clearTimeout(waiting);
    if (!value || value.failure) { draw(); return; }
    wanted = JSON.stringify(question());
    if (wanted === shownKey && shown && !shown.error) return;
    if (answers.has(wanted)) { take(wanted, answers.get(wanted)); return; }
    if (busy) return;
    waiting = setTimeout(look, shown ? CALM : 0);
  }

  async function look() {
    const key = wanted;
    busy = true;
    loading(true);
    const answer = await call('activations', JSON.parse(key));
    busy = false;
    if (key !== wanted) { look(); return; }
    if (answer.pending) {
      tell('Fetching', answer.pending);
      waiting = setTimeout(look, AGAIN);
      return;
    }
    if (!answer.error) {
      answers.set(key, answer);
      if (answers.size > KEPT) answers.delete(answers.keys().next().value);
    }
    take(key, answer);
  }

  function take(key, answer) {
    [shownKey, shown] = [key, answer];
    loading(false);
    draw();
    if (!answer.error) name(JSON.parse(key));
  }

  // What the uncut network says of the picture: it hangs on body and picture alone.
  async function name({ spec, photo: of }) {
    const key = JSON.stringify([spec.body.arch, spec.body.weights, spec.body.size, spec.body.n_in, of]);
    if (key === labelled) return;
    labelled = key;
    said.setAttribute('aria-busy', 'true');
    const answer = await call('labels', { spec, photo: of });
    if (key !== labelled) return;
    said.removeAttribute('aria-busy');
    if (answer.pending) { labelled = ''; return; }
    drawLabels(spec.body.arch, answer);
  }

  function loading(on) {
    root.setAttribute('aria-busy', on);
    if (!on || shown) return;
    main.hidden = false;
    strip.replaceChildren(...Array.from({ length: 24 }, () => el('i', 'ghost')));
  }

  function tell(text, { done, total, text: what } = {}) {
    const far = total ? `, ${(done / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)}\u202fMB` : '';
    state.replaceChildren(el('p', 'mute', `${what || text}${far}`));
  }

  function fail(text) {
    const again = el('button', 'btn', 'Try again');
    again.type = 'button';
    again.onclick = () => { shownKey = ''; answers.clear(); labelled = ''; ask(); };
    state.replaceChildren(el('p', 'problem', text), again);
  }

  // ---- drawing ----
  function draw() {
    state.replaceChildren();
    if (!value) { state.append(el('p', 'empty', 'No model yet.')); main.hidden = true; return; }
    if (value.failure || shown?.error) unsay();
    if (value.failure) { shownKey = ''; main.hidden = true; state.append(el('p', 'problem', value.failure)); return; }
    if (!shown) { main.hidden = true; return; }
    if (shown.error) { main.hidden = true; fail(shown.error); return; }
    main.hidden = false;
    if (drawn === shownKey) { drawCharts(); return; }
    drawn = shownKey;
    const { layer } = shown;
    main.className = `main ${groupClass(layer?.group)}`;
    title.replaceChildren(layer ? layer.name : 'No layer', el('span', '', layer ? `${layer.cls} ${layer.detail}`.trim() : ''));
    drawFigures();
    seen.show(shownLayer());
    drawStrip();
    drawCharts();
    notes.replaceChildren(...[value.note, ...shown.notes].filter(Boolean).map(text => {
      const item = el('li');
      item.append(icon('info'), el('span', '', text));
      return item;
    }));
  }

  // What is on show, as Explorer.fieldView takes it.
  function shownLayer() {
    const { spec, photo: of } = JSON.parse(shownKey);
    return { spec, photo: of, qual: shown.layer?.qual, grid: shown.kind === 'maps' ? shown.grid : null, left_out: shown.left_out ?? 0 };
  }

  function drawFigures() {
    figures.replaceChildren();
    if (!shown.layer) return;
    const pair = (name, text, hint) => {
      const box = el('div', '', null, figures);
      el('dt', '', name, box);
      el('dd', '', text, box).title = hint || '';
    };
    const dead = Math.round(shown.dead * shown.count);
    pair(shown.kind === 'vector' ? 'numbers' : 'shape', shape(shown.layer.shape), shown.left_out ? 'The class token is left out of the maps.' : '');
    pair('mean', flat(shown.mean));
    pair('std', flat(shown.std));
    pair('range', `${flat(shown.low)} to ${flat(shown.high)}`);
    pair('dead', share(shown.dead), `${dead} of ${shown.count} say nothing about this picture: all their values are zero, or all the same.`);
    if (shown.broken) pair('not a number', share(shown.broken));
  }

  const share = p => (p > 0 && p < .01 ? '< 1\u202f%' : `${Math.round(100 * p)}\u202f%`);
  const words = k => {
    const energy = `channel ${shown.channels[k]}, energy ${flat(shown.energies[k])}`;
    return shown.kind === 'vector' ? `number ${shown.channels[k]}: ${flat(shown.values[k])}` : energy;
  };

  function rule() {
    const what = shown.kind === 'vector' ? 'numbers' : 'channels', all = shown.count > shown.channels.length ? `${shown.channels.length} of ${shown.count} ${what}` : `All ${shown.count} ${what}`;
    return shown.kind === 'vector' ? `${all}, the largest first.` : `${all}, the most energetic first. Click one to enlarge it.`;
  }

  function drawStrip() {
    tiles.length = 0;
    strip.replaceChildren();
    hint.textContent = shown.kind === 'none' ? '' : rule();
    oneScale.button.hidden = shown.kind !== 'maps';
    strip.className = `strip ${shown.kind}`;
    if (shown.kind === 'maps') shown.channels.forEach(tile);
    if (shown.kind === 'vector') bars(strip, shown, words, hint, rule);
    enlarged.follow();
  }

  function tile(channel, k) {
    const b = el('button', 'tile', null, strip);
    b.type = 'button';
    b.tabIndex = k ? -1 : 0;
    b.setAttribute('aria-label', words(k));
    paint(b, k);
    b.classList.toggle('dead', !shown.energies[k]);
    b.onpointerenter = b.onfocus = () => { hint.textContent = sentence(words(k)); };
    b.setAttribute('aria-pressed', false);
    b.onclick = () => enlarged.toggle(k);
    tiles.push(b);
  }
  const sentence = text => text[0].toUpperCase() + text.slice(1);

  // One map of a sheet as an element's background.
  function paint(e, k, sheet = shown.sheet) {
    const { uri, columns, rows, tile: [h, w], gutter } = sheet;
    // Of a sheet n tiles long, each `side` and a gutter to either side of it: how long it is in tiles, and where tile i lies.
    const along = (i, n, side) => {
      const long = n * (side + 2 * gutter) / side, before = (i * (side + 2 * gutter) + gutter) / side;
      return [100 * long, long > 1 ? 100 * before / (long - 1) : 0];
    };
    const [wide, x] = along(k % columns, columns, w), [tall, y] = along(Math.floor(k / columns), rows, h);
    e.style.background = `url(${uri}) ${x}% ${y}% / ${wide}% ${tall}% var(--cd)`;
    e.style.imageRendering = Math.max(h, w) <= SMALL ? 'pixelated' : 'auto';
    e.style.aspectRatio = `${w} / ${Math.max(h, w / 8)}`;
  }

  strip.addEventListener('pointerleave', () => { if (shown?.channels) hint.textContent = rule(); });
  strip.addEventListener('keydown', event => {
    const at = tiles.indexOf(document.activeElement);
    if (at < 0) return;
    const across = tiles.filter(t => t.offsetTop === tiles[0].offsetTop).length;
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + across, ArrowUp: at - across, Home: 0, End: tiles.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (!tiles[to]) return;
    tiles[at].tabIndex = -1;
    tiles[to].tabIndex = 0;
    tiles[to].focus();
  });

  function drawCharts() {
    if (!shown?.network || !charts.clientWidth) return;
    values.hidden = !shown.histogram;
    if (shown.histogram) figure(values, shown);
    line(network, shown, qual => Explorer.pick(qual));
  }
  Explorer.fit(charts, drawCharts, 100);

  function unsay() {
    labelled = '';
    said.replaceChildren();
  }

  function drawLabels(arch, { labels, note, error }) {
    said.replaceChildren();
    if (!labels) { el('p', 'help', note || error, said); return; }
    el('p', 'help', `The uncut ${arch} says`, said);
    const list = el('ol', '', null, said);
    for (const [label, p] of labels) {
      const item = el('li', '', null, list);
      item.style.setProperty('--p', `${100 * p}%`);
      el('span', '', label, item).title = label;
      el('b', '', share(p), item);
    }
  }

  // ---- one map, large, below the strip: the rest of the page stays within reach ----
  function enlargement() {
    const box = el('section', 'large', null, root), both = el('div', 'both', null, box), picture = el('div', 'map', null, both), side = el('div', 'side', null, both);
    const text = el('div', 'words', null, box), mark = el('i', 'cell', null, picture);
    const view = Explorer.fieldView(el('div', 'sight', null, side), el('div', 'field', null, side), source, () => point(null));
    const [back, next, close] = [['‹', 'The one before'], ['›', 'The next one'], [null, 'Close']].map(([sign, name]) => {
      const b = el('button', 'btn icon', sign, box);
      b.type = 'button';
      b.setAttribute('aria-label', name);
      return b;
    });
    close.append(icon('cross'));
    box.hidden = true;
    let at = 0, of = {}, latest = '', kept = null;             // place in the strip; {qual, channel}; what was asked; the cell that was clicked
    close.onclick = () => { shut(); tiles[at]?.focus(); };
    back.onclick = () => show(at - 1);
    next.onclick = () => show(at + 1);
    box.onkeydown = event => {
      const to = { ArrowLeft: at - 1, ArrowRight: at + 1 }[event.key];
      if (to !== undefined && tiles[to]) show(to);
    };
    main.addEventListener('keydown', event => {
      if (event.key !== 'Escape' || box.hidden) return;
      event.preventDefault();
      close.click();
    });

    function shut() {
      box.hidden = true;
      tiles[at]?.setAttribute('aria-pressed', false);
    }

    function toggle(k) {
      if (!box.hidden && at === k) { shut(); return; }
      if (box.hidden) kept = null;
      show(k, box.hidden);
    }

    // The strip is another one: the same channel stays, where it is of the same layer and still among those shown.
    function follow() {
      if (box.hidden) return;
      const k = shown.kind === 'maps' && shown.layer.qual === of.qual ? shown.channels.indexOf(of.channel) : -1;
      if (k < 0) shut(); else show(k);
    }

    // ---- its cells ----
    function point(cell) {
      const on = view.follows(), [h, w] = shown.grid;
      view.point(cell ?? kept);
      const [row, column] = view.cell() ?? [0, 0];
      mark.hidden = !on;
      picture.tabIndex = on ? 0 : -1;
      Object.assign(mark.style, { left: `${100 * column / w}%`, top: `${100 * row / h}%`, width: `${100 / w}%`, height: `${100 / h}%` });
    }

    function under(event) {
      const { left, top, width, height } = picture.getBoundingClientRect(), [h, w] = shown.grid;
      const along = (p, n) => Math.max(0, Math.min(n - 1, Math.floor(p * n)));
      return [along((event.clientY - top) / height, h), along((event.clientX - left) / width, w)];
    }

    picture.onpointermove = event => point(under(event));
    picture.onpointerleave = () => point(null);
    picture.onclick = event => point(kept = under(event));
    picture.onkeydown = event => {
      const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key], from = view.cell();
      if (!by || !from) return;
      event.preventDefault();
      event.stopPropagation();
      point(kept = from.map((i, d) => Math.max(0, Math.min(shown.grid[d] - 1, i + by[d]))));
    };

    async function show(k, isNew = false) {
      tiles[at]?.setAttribute('aria-pressed', false);
      tiles[k].setAttribute('aria-pressed', true);
      at = k;
      const channel = shown.channels[k], asked = JSON.stringify({ ...JSON.parse(shownKey), qual: shown.layer.qual, channel });
      of = { qual: shown.layer.qual, channel };
      latest = asked;
      back.disabled = !tiles[k - 1];
      next.disabled = !tiles[k + 1];
      box.className = `large ${groupClass(shown.layer.group)}`;
      picture.setAttribute('role', 'application');
      picture.setAttribute('aria-label', `Channel ${channel} of ${shown.layer.name}. Arrow keys move from cell to cell.`);
      paint(picture, k);
      caption(channel, shown.energies[k], shown.lows[k], shown.highs[k], shown.grid);
      box.setAttribute('aria-label', `Channel ${channel} of ${shown.layer.name}, large`);
      box.hidden = false;
      await view.show(shownLayer());
      point(null);
      if (isNew) box.scrollIntoView({ block: 'nearest' });
      if (Math.max(...shown.grid) <= Math.max(...shown.sheet.tile)) return;
      const answer = await call('activations', JSON.parse(asked));
      if (latest !== asked || !answer.uri) return;
      picture.style.background = `url(${answer.uri}) 0 0 / 100% 100% var(--cd)`;
      caption(channel, answer.energy, answer.low, answer.high, answer.grid);
    }

    function caption(channel, energy, low, high, grid) {
      const size = `${grid[0]}×${grid[1]}`;
      text.replaceChildren(el('b', '', `Channel ${channel}`), el('span', '', `${size}, energy ${flat(energy)}`),
        el('span', 'mute', `dark is ${flat(low)}, white ${flat(high)}`));
    }
    return { box, toggle, follow };
  }

  // ---- the picture: samples, or one's own ----
  function picker(box) {
    const row = el('div', 'row', null, box), own = el('label', 'btn own', null, row), field = el('input', 'sr', null, own);
    el('span', '', 'Your photo', own);
    own.title = 'Choose a picture, or drop one here';
    field.type = 'file';
    field.accept = 'image/*';
    const mine = el('button', 'thumb', null, null), problem = el('p', 'problem', null, box);
    problem.hidden = true;
    mine.type = 'button';
    mine.title = 'your photo';
    mine.setAttribute('aria-label', 'your photo');
    let uri = null;
    const buttons = new Map();

    function choose(what, button) {
      photo = what;
      problem.hidden = true;
      for (const b of [...buttons.values(), mine]) b.setAttribute('aria-pressed', b === button);
      soon();
    }

    async function samples() {
      const { samples: found = [] } = await call('samples', {});
      for (const { name: key, label, thumb } of found) {
        const b = el('button', 'thumb');
        b.type = 'button';
        b.title = label;
        b.setAttribute('aria-label', `Sample: ${label}`);
        b.setAttribute('aria-pressed', photo.sample === key);
        el('img', '', null, b).src = thumb;
        b.firstChild.alt = '';
        b.onclick = () => choose({ sample: key }, b);
        buttons.set(key, b);
        own.before(b);
      }
    }

    async function upload(file) {
      try {
        uri = await small(file);
      } catch (fault) {
        problem.textContent = fault.message;
        problem.hidden = false;
        return;
      }
      mine.replaceChildren(el('img'));
      mine.firstChild.src = uri;
      mine.firstChild.alt = '';
      own.before(mine);
      choose({ uri }, mine);
    }

    mine.onclick = () => choose({ uri }, mine);
    field.onchange = () => { if (field.files[0]) upload(field.files[0]); field.value = ''; };
    const over = on => event => {
      if (![...(event.dataTransfer?.types ?? [])].includes('Files')) return;
      event.preventDefault();
      root.classList.toggle('over', on);
      if (event.type === 'drop' && event.dataTransfer.files[0]) upload(event.dataTransfer.files[0]);
    };
    root.addEventListener('dragover', over(true));
    root.addEventListener('dragleave', over(false));
    root.addEventListener('drop', over(false));
    return { samples };
  }

  // A picture file as a JPEG data URI of at most 512 px, made in this browser: no more than that leaves it.
  async function small(file, side = 512) {
    if (file.size > 50e6) throw new Error('That file has more than 50 MB: choose a smaller picture.');
    const image = await createImageBitmap(file, { imageOrientation: 'from-image' }).catch(() => null);
    if (!image) throw new Error('This browser cannot read that file as a picture: choose a PNG, JPEG or WebP.');
    const scale = Math.min(1, side / Math.max(image.width, image.height)), canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(image.width * scale));
    canvas.height = Math.max(1, Math.round(image.height * scale));
    const pen = canvas.getContext('2d');
    pen.fillStyle = '#fff';
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.drawImage(image, 0, 0, canvas.width, canvas.height);
    return canvas.toDataURL('image/jpeg', .9);
  }

  function switchOf(text, parent) {
    const button = el('button', 'toggle', null, parent);
    button.type = 'button';
    button.title = 'One black and one white for all maps, or each map by itself';
    button.setAttribute('role', 'switch');
    button.setAttribute('aria-checked', 'false');
    el('span', '', text, button);
    el('i', '', null, button);
    const on = () => button.getAttribute('aria-checked') === 'true';
    button.onclick = () => { button.setAttribute('aria-checked', !on()); soon(); };
    return { button, on };
  }

  Explorer.onPick(() => { if (value && shown?.layer?.qual !== Explorer.picked) soon(); });
  Explorer.whenShown(root, chooser.samples)();
  Explorer.live(element, props, watch, payload => { value = payload; soon(); });
  if (!value) draw();
};
