// Receptive fields: their numbers in words, and a photo with a box round what one cell sees.
// Numbers: explorer/views/fields.py; answers of the server: explorer/ui/field_desk.py.
Explorer.fields = (() => {
  const named = (columns, numbers) => numbers && Object.fromEntries(columns.map((column, k) => [column, numbers[k]]));
  const flat = v => String(+v.toFixed(2)).replace('-', '−');
  const times = (a, b) => `${flat(a)}×${flat(b)}`;

  // All fields of a model: Map of qualified name -> numbers in the order of the columns, null where not known.
  function unpack(payload) {
    const { depths = [], names, at, fields } = payload ?? {}, path = [], found = new Map();
    depths.forEach((depth, k) => {
      path.length = depth - 1;
      path.push(names[k]);
      found.set(path.join('.'), fields[at[k]] ?? null);
    });
    return found;
  }

  // Of a field by its columns' names: "99×99", "99×99 +gate", "all", "nothing", "?"
  function sees(f) {
    if (!f) return '?';
    if (f.whole) return 'all';
    if (!f.height || !f.width) return 'nothing';
    return times(f.height, f.width) + (f.gated ? ' +gate' : '');
  }

  const step = f => (!f || f.whole ? '' : f.jump_y === f.jump_x ? flat(f.jump_y) : times(f.jump_y, f.jump_x));
  const centre = f => `${flat(f.centre_y)}, ${flat(f.centre_x)}`;

  // One or two sentences; `size` of the picture.
  function words(f, size) {
    if (!f) return 'What this layer sees cannot be told.';
    if (f.whole) return 'Every cell sees the whole picture.';
    if (!f.height || !f.width) return 'It sees nothing of the picture.';
    const [high, wide] = Explorer.sides(size), more = f.height > high || f.width > wide ? ', more than the picture has' : '';
    const gate = f.gated ? ' Through a gate (squeeze and excitation) it also depends on the whole picture.' : '';
    return `A cell sees ${times(f.height, f.width)} px${more}, a step of ${step(f)} px between cells, centre at ${centre(f)}.${gate}`;
  }

  // Exact numbers, for those who hover.
  function exact(f) {
    if (!f) return 'not known';
    if (f.whole) return 'every cell sees the whole picture';
    const gate = f.gated ? ', and the whole picture through a gate' : '';
    return `${times(f.height, f.width)} px${gate}; jump ${times(f.jump_y, f.jump_x)} px; first cell centred at ${flat(f.start_y)}, ${flat(f.start_x)}, middle cell at ${centre(f)}`;
  }

  // A number to sort by.
  const order = f => (!f ? -1 : f.whole ? Infinity : f.height * f.width);

  return { named, unpack, sees, step, words, exact, order };
})();

// What the server knows of photos and cells, asked once. call(name, asked) -> a promise of its answer.
Explorer.fieldSource = call => {
  const KEPT = 40, kept = new Map();

  function once(name, asked, ask = call) {
    const key = JSON.stringify([name, asked]);
    if (!kept.has(key)) {
      kept.set(key, ask(name, asked).then(answer => {
        if (!answer || answer.error || answer.pending) kept.delete(key);
        return answer;
      }));
      if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    }
    return kept.get(key);
  }

  // Gradients one after the other; of those that wait only the latest is computed, the others come to nothing.
  let last = Promise.resolve(), newest = 0;
  function queued(name, asked) {
    const turn = ++newest;
    last = last.then(() => (turn === newest ? call(name, asked) : null));
    return last;
  }

  return {
    picture: asked => once('picture', asked),
    field: asked => once('field', asked),
    effective: asked => once('effective', asked, queued),
  };
};

// A photo with the box of one cell. `place` takes the photo, `text` the words and the button.
// show({spec, qual, photo, name, grid, left_out}) tells which layer; point([row, column] | null) which of its
// cells, null for the one in the middle; cell() is the one that is shown, null where the map shows other cells.
Explorer.fieldView = (place, text, source, told = () => {}) => {
  const { el, svg, fields } = Explorer, LEAST = 5, SMALL = .12;  // px of the smallest box; share of the picture's side up to which a box is shown large too
  const frame = el('div', 'frame', null, place), photo = el('img', '', null, frame), heat = el('div', 'heat', null, frame);
  const loupe = el('div', 'loupe', null, frame), near = el('div', '', null, loupe), nearPhoto = el('img', '', null, near), nearHeat = el('div', 'heat', null, near);
  const over = svg('svg', { 'aria-hidden': 'true', preserveAspectRatio: 'none' }, frame);
  const line = el('p', 'sees', null, text), button = el('button', 'btn', 'Effective field', text), effect = el('p', 'help effect', null, text);
  let of = null, known = null, at = null, key = '';
  photo.alt = nearPhoto.alt = '';
  frame.hidden = button.hidden = true;
  button.type = 'button';
  button.title = 'How strongly each pixel really moves this cell: the gradient of the cell, on this photo';
  line.setAttribute('aria-live', 'polite');
  effect.setAttribute('aria-live', 'polite');

  async function show(layer) {
    const size = layer.spec.body.size, now = JSON.stringify([layer.spec, layer.qual, layer.photo]);
    if (now === key) return;
    key = now;
    of = { ...layer, size };
    const [picture, answer] = await Promise.all([
      source.picture({ photo: of.photo, size, n_in: of.spec.body.n_in === 1 ? 1 : 3 }),
      of.qual ? source.field({ spec: of.spec, qual: of.qual }) : {},
    ]);
    if (now !== key) return;
    if (answer.error || picture.error) key = '';                // asked again the next time
    known = answer.field ? { ...answer, field: fields.named(answer.columns, answer.field) } : null;
    if (picture.uri) photo.src = nearPhoto.src = picture.uri;
    const [high, wide] = Explorer.sides(size);
    frame.style.aspectRatio = `${wide} / ${high}`;
    frame.style.maxWidth = high > wide ? `${100 * wide / high}%` : '';
    frame.hidden = !picture.uri;
    line.classList.toggle('problem', Boolean(answer.error));
    point(null);
    if (answer.error) line.textContent = answer.error;
    told();
  }

  // ---- cells: of the layer, and rows and columns of the map that is shown ----
  function cellAt([row, column]) {
    const [h, w] = of.grid, { cells } = known;
    if (cells.length === 2 && cells[0] === h && cells[1] === w) return [row, column];
    return cells.length === 1 && cells[0] === of.left_out + h * w ? [of.left_out + row * w + column] : null;
  }

  function middle() {
    const { centre, cells } = known, first = centre[0] - of.left_out;
    if (cells.length === 2) return centre;
    return cells.length === 1 ? [Math.floor(first / of.grid[1]), first % of.grid[1]] : [0, 0];
  }

  const follows = () => Boolean(known && of.grid && cellAt([0, 0]));

  function box(cell) {
    const edge = ({ shape, values }) => values[cell.reduce((i, k, d) => i * shape[d] + Math.min(k, shape[d] - 1), 0)];
    const [top, left, bottom, right] = known.edges.map(edge);
    return top < bottom && left < right ? [top, left, bottom, right] : null;
  }

  function point(cell) {
    at = cell && follows() ? cell : null;
    draw();
  }

  const chosen = () => at && cellAt(at);
  const question = () => ({ spec: of.spec, qual: of.qual, photo: of.photo, cell: chosen() });

  // ---- drawing ----
  function draw() {
    const found = known && box(chosen() ?? known.centre), { size } = of, [high, wide] = Explorer.sides(size);
    over.replaceChildren();
    over.setAttribute('viewBox', `0 0 ${wide} ${high}`);
    if (found) outline(found, high, wide);
    magnify(found, high, wide);
    if (at && found) {
      const [top, left, bottom, right] = found;
      const what = (bottom - top) * (right - left) === high * wide ? 'the whole picture' : `rows ${top} to ${bottom - 1} and columns ${left} to ${right - 1}`;
      line.textContent = `The cell in row ${at[0]}, column ${at[1]} sees ${what}.`;
    } else line.textContent = at ? 'This cell sees nothing of the picture.' : fields.words(known?.field, size);
    frame.setAttribute('role', 'img');
    frame.setAttribute('aria-label', `The photo. ${line.textContent}`);
    button.hidden = !known || frame.hidden;
    lay(null);
    const answer = heats.get(JSON.stringify(question()));
    if (answer && pressed) lay(answer);
  }

  function outline([top, left, bottom, right], high, wide) {
    const room = frame.clientWidth || 200, least = LEAST * wide / room, grow = Math.max(0, least - Math.min(bottom - top, right - left)) / 2;
    const [y, x, h, w] = [top - grow, left - grow, bottom - top + 2 * grow, right - left + 2 * grow], edge = wide / room;
    svg('path', { class: 'dim', d: `M0 0H${wide}V${high}H0ZM${x} ${y}v${h}h${w}v${-h}Z` }, over);
    const inside = (from, long, end) => { const a = Math.max(edge, from), b = Math.min(end - edge, from + long); return [a, b - a]; };
    const [[x1, w1], [y1, h1]] = [inside(x, w, wide), inside(y, h, high)];
    for (const cls of ['under', 'box']) svg('rect', { class: cls, x: x1, y: y1, width: w1, height: h1 }, over);
  }

  // A small box is shown large in the corner that is farther from it, with half of it again to either side.
  function magnify(found, high, wide) {
    const [top, left, bottom, right] = found ?? [0, 0, high, wide], side = Math.max(bottom - top, right - left), region = 2 * side;
    const longest = Math.max(high, wide);
    loupe.hidden = side > SMALL * longest || 2 * Math.min(high, wide) < longest;      // no corner to stand in
    if (loupe.hidden) return;
    const x = (left + right - region) / 2, y = (top + bottom - region) / 2;
    loupe.classList.toggle('left', left + right > wide);
    Object.assign(near.style, { width: `${100 * wide / region}%`, height: `${100 * high / region}%`, left: `${-100 * x / region}%`, top: `${-100 * y / region}%` });
  }

  // ---- the effective field ----
  const heats = new Map();
  let pressed = false, waiting = '';

  function lay(answer) {
    frame.classList.toggle('hot', Boolean(answer));
    button.setAttribute('aria-pressed', Boolean(answer));
    heat.style.maskImage = nearHeat.style.maskImage = answer ? `url(${answer.uri})` : '';
    effect.classList.remove('problem');
    effect.textContent = answer ? found(answer) : waiting ? 'Computing the gradient…' : '';
  }

  function found({ share, of: what }) {
    if (share == null) return 'Nothing flows back: no pixel of this photo moves this cell.';
    const part = share > 1 ? 'more than the box' : `${share < .01 ? '< 1' : Math.round(100 * share)}\u202f% of the ${what === 'picture' ? 'picture' : 'box'}`;
    return `90\u202f% of the effect comes from ${part}.`;
  }

  button.onclick = async () => {
    if (button.getAttribute('aria-pressed') === 'true') { pressed = false; draw(); return; }
    const asked = question(), mine = waiting = JSON.stringify(asked);
    pressed = true;
    button.setAttribute('aria-busy', 'true');
    effect.textContent = 'Computing the gradient…';
    const answer = await source.effective(asked);
    if (waiting !== mine) return;
    waiting = '';
    button.removeAttribute('aria-busy');
    if (answer?.uri) {
      heats.set(mine, answer);
      if (heats.size > 12) heats.delete(heats.keys().next().value);
    }
    if (mine !== JSON.stringify(question())) { lay(null); return; }
    draw();
    if (!answer || answer.uri) return;
    effect.textContent = answer.error ?? 'The weights are on their way: try again when they are here.';
    effect.classList.add('problem');
  };

  return { show, point, follows, cell: () => at ?? (follows() ? middle() : null), ready: () => Boolean(known) };
};
