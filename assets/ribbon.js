// The ribbon: photo, stages, the cut, the head. Oblique slabs whose height is resolution and whose thickness is channels.
// Data is views/ribbon.py's payload; events are mend, act {id}; the cut is the stepper's, #cut; server.faces(payload.faces_key) tells what the
// stages see. The picture itself is hidden from screen readers: a list of buttons and a slider lie over it.
// Two designs side by side: mark "" offers to compare (act {id: 'pin'}), "B" is the one that follows the controls, "A" the
// pinned one, to be looked at only (act {id: 'swap' | 'unpin'}). Marked ribbons have one scale; {hidden: true} is none.
(() => {
  const { el, svg, icon, live, fit, short, shape, sides, pick, onPick, isIn } = Explorer;

  // ---- Geometry ----
  const AXIS = 106, LABEL = 216, RAIL = 246, HEIGHT = 272;
  const DEPTH_X = .46, DEPTH_Y = .2;            // how far a slab runs right and up, as shares of what its width would be as a height
  const MIN_GAP = 18, MAX_GAP = 140, MORE_STEP = 40, COMFORT = 900;
  const SQUEEZE = [[1, 99], [.85, 99], [.7, 99], [.6, 14], [.5, 12], [.42, 10], [.36, 8]];     // thinner slabs, then fewer
  const ROD = { t: 10, ux: 6, uy: 3 };

  const height = side => 150 * (side / 224) ** .36;
  const thickness = channels => 1.75 * channels ** .33;
  const rodHeight = width => 9.5 * width ** .36;
  // A stage of 36 blocks shows fewer slabs, but still more than one of 23.
  const slabsShown = n => (n <= 8 ? n : Math.round(8 + 3 * Math.log2(n / 8)));
  const points = list => list.map(p => p.map(v => v.toFixed(1)).join(',')).join(' ');
  const random = seed => () => (seed = seed * 16807 % 2147483647) / 2147483647;

  const pen = document.createElement('canvas').getContext('2d');
  const widths = new Map();
  function textWidth(text, bold) {
    const key = (bold ? 'b' : 'r') + text;
    if (!widths.has(key)) {
      pen.font = `${bold ? 600 : 400} 12px ${getComputedStyle(document.documentElement).getPropertyValue('--sans') || 'sans-serif'}`;
      widths.set(key, pen.measureText(text).width);
    }
    return widths.get(key);
  }
  const briefOf = cut => cut.brief ?? cut.name;
  const labelWidth = (name, times, below) =>
    Math.max(textWidth(name, true) + (times ? textWidth(times) + 4 : 0), textWidth(below));

  // What an empty page shows as an outline: the chapter's default.
  const OUTLINE = {
    size: 224, input: { shape: [3, 224, 224], say: '' }, cuts: [], cut: -1, groups: [], dropped: null, failure: null, notice: null,
    headline: '', subline: '', faces_key: null, n_out: 37,
    stages: [[1, 64, 112], [3, 64, 56], [4, 128, 28], [6, 256, 14], [3, 512, 7]].map(([n, c, s]) =>
      ({ name: '', quals: [], slabs: n, blocks: n, shape: [c, s, s], group: 'early', state: 'outline', whole: true })),
    head: [['concat', 1024], ['flat', 1024], ['lin', 512], ['relu', 512], ['out', 37]].map(([kind, width]) =>
      ({ qual: '', name: '', kind, width, state: 'outline' })),
  };

  // Names below the stages; where they would crowd, what "features.7–13" shares with the one before it is said once.
  function titles(stages, room) {
    const names = stages.map(s => s.name), list = name => name.match(/^.*?(?=\.\d)/)?.[0];
    const all = stages.reduce((sum, s, i) => sum + 10 + textWidth(names[i], true) + (s.blocks > 1 ? 22 : 0), 70);
    return all < .5 * room ? names : names.map((name, i) => (i && list(name) && list(name) === list(names[i - 1]) ? name.slice(list(name).length) : name));
  }

  // What a ribbon shows, measured but not yet placed; `size` and `widest` are the largest picture and rod that share its scale.
  function draft(v, room, size, widest) {
    const names = titles(v.stages, room);
    const scale = Math.min(1, 160 / height(size)), [high, wide] = sides(v.size);
    const tall = side => scale * height(side);
    const pool = ['concat', 'avg', 'max'].includes(v.head[0]?.kind) ? v.head[0] : null;
    const rods = pool ? v.head.slice(1) : v.head;
    const guesses = room > 1060 && v.guesses?.length ? 92 : 12;
    const first = pool ? (pool.kind === 'concat' ? 100 : 82) : 44;              // from the cut to the first rod

    let now = [high, wide];
    const stages = v.stages.map((s, i) => {
      now = s.shape ? s.shape.slice(1) : now.map(side => Math.max(1, Math.round(side / 2)));
      const times = s.blocks > 1 ? '×' + s.blocks : '';
      return { s, name: names[i], times, below: told(s, shape(s.shape)), h: tall(now[0]), d: tall(now[1]), t: thickness(s.shape ? s.shape[0] : 64),
        label: labelWidth(names[i], times, told(s, shape(s.shape))) };
    });
    const photo = { h: tall(high), d: tall(wide), below: v.input.state === 'failed' ? v.failure.words : shape(v.input.shape) };
    photo.right = 3 + DEPTH_X * photo.d;
    photo.label = labelWidth('photo', '', photo.below);
    photo.mid = Math.max(photo.label / 2, photo.right / 2);

    const place = ([thin, most], gap) => {
      let x = photo.right + gap, mid = photo.mid, label = photo.label;
      const spots = stages.map(st => {
        const space = 3.5 * Math.min(1, thin + .2), pitch = thin * st.t + space, shown = Math.min(most, slabsShown(st.s.slabs));
        const width = shown * pitch - space + DEPTH_X * st.d;
        const x0 = Math.max(x, mid + (label + st.label) / 2 + 10 - width / 2);
        x = x0 + width + gap;
        mid = x0 + width / 2;
        label = st.label;
        return { ...st, x0, x1: x0 + width, mid, pitch, shown, t: thin * st.t };
      });
      const end = spots.length ? spots.at(-1).x1 : photo.right;
      return { spots, gap, cut: Math.max(end + Math.max(22, gap * .7), mid + label / 2 + 6) };
    };
    const headWidth = step => first + (rods.length - 1) * step + 16 + guesses;
    return { scale, pool, rods, guesses, first, photo, place, headWidth, rodScale: Math.min(1, 126 / rodHeight(widest)) };
  }

  // The squeeze of the slabs, the gaps and the steps of the head that fill a box this wide.
  function squeeze({ rods, place, headWidth }, room) {
    let step = Math.max(12, Math.min(40, (.42 * Math.max(room, COMFORT)) / Math.max(1, rods.length)));
    const wide = room >= COMFORT, ways = wide ? SQUEEZE : SQUEEZE.slice(0, 3);
    const way = ways.find(w => place(w, MIN_GAP).cut <= room - headWidth(step)) ?? ways.at(-1);
    const over = place(way, MIN_GAP).cut + headWidth(step) - room;
    if (wide && over > 0) step = Math.max(.72 * step, step - over / Math.max(1, rods.length - 1));      // the head gives way last
    const limit = room - headWidth(step);
    let low = MIN_GAP, high = MAX_GAP;
    for (let i = 0; i < 10; i++) {
      const gap = (low + high) / 2;
      if (place(way, gap).cut <= limit) low = gap; else high = gap;
    }
    const rest = limit - place(way, low).cut;                // an early cut leaves room that the head takes
    if (rest > 8) step += Math.min(MORE_STEP, rest / Math.max(1, rods.length - 1));
    return { way, gap: low, step };
  }

  // One scale for all of `shown`: heights by the largest picture and rod, else the tightest of what each would need alone.
  function common(shown, room) {
    const size = Math.max(...shown.flatMap(v => sides(v.size))), widest = Math.max(...shown.flatMap(v => v.head.map(h => h.width)), 1);
    const each = shown.map(v => squeeze(draft(v, room, size, widest), room));
    return { size, widest, way: SQUEEZE[Math.max(...each.map(one => SQUEEZE.indexOf(one.way)))],
      gap: Math.min(...each.map(one => one.gap)), step: Math.min(...each.map(one => one.step)) };
  }

  // Where everything stands, for a box this wide and a scale. No drawing here.
  function layout(v, room, { size, widest, way, gap, step }) {
    const { scale, pool, rods, guesses, first, photo, place, headWidth, rodScale } = draft(v, room, size, widest);
    const body = place(way, gap);
    body.spots.forEach((st, i) => { st.until = i + 1 < body.spots.length ? (st.x1 + body.spots[i + 1].x0) / 2 : body.cut; });
    const end = body.cut + headWidth(step);
    const ghost = body.cut + Math.max(62, v.cuts[v.cut] ? pillHalf('cut ' + v.cuts[v.cut].word) + 16 : 0);
    const thrown = v.dropped ? ghost + 56 + Math.max(textWidth(v.dropped.names), textWidth(v.dropped.words)) : 0;
    const head = rods.map((rod, i) => ({ rod, x: body.cut + first + i * step, h: Math.max(7, rodScale * rodHeight(rod.width)) }));
    return { width: Math.max(room, end, thrown), end, photo, stages: body.spots, gap: body.gap, cut: body.cut, ghost, pool, head, step, guesses, scale,
      poolHeight: pool ? rodScale * rodHeight(pool.width / (pool.kind === 'concat' ? 2 : 1)) * .52 : 0 };
  }

  // x of a place in the body: 2.5 lies halfway through the third stage, 3 behind it.
  function along(L, at) {
    const i = Math.max(0, Math.ceil(at - 1e-6) - 1), st = L.stages[i], share = at - i;
    if (share > .999) return st.until;
    if (!st.s.whole) return st.x0 + share * (st.until - st.x0);
    const slabs = share * (st.s.slabs + st.s.behind / 2), front = st.x0 + st.shown * st.pitch;
    if (slabs <= st.s.slabs + 1e-6) return st.x0 + (slabs / st.s.slabs) * (front - st.x0) - 1.75;
    return front + ((slabs - st.s.slabs) / (st.s.behind / 2)) * (st.until - front);
  }

  // ---- Drawing ----
  // One slab: front face, top, and the side on which its output is painted.
  function slab(parent, { x, h, d = h, t, y = AXIS, ux = DEPTH_X * d, uy = DEPTH_Y * d, cls = '', picture, soft, hatch }) {
    const g = svg('g', { class: cls }, parent), a = y - h / 2 + uy / 2, b = a + h, r = x + t;
    const front = points([[x, a], [r, a], [r, b], [x, b]]), top = points([[x, a], [r, a], [r + ux, a - uy], [x + ux, a - uy]]);
    svg('polygon', { class: 'sd', points: points([[r, a], [r + ux, a - uy], [r + ux, b - uy], [r, b]]) }, g);
    if (picture) {
      svg('image', { href: picture, width: 1, height: 1, preserveAspectRatio: 'none', class: soft ? 'soft' : 'face',
        transform: `matrix(${ux} ${-uy} 0 ${h} ${r} ${a})` }, g);
    }
    svg('polygon', { class: 'fr', points: front }, g);
    svg('polygon', { class: 'tp', points: top }, g);
    if (hatch) for (const face of [front, top]) svg('polygon', { points: face, fill: `url(#${hatch})`, class: 'hatch' }, g);
    return { g, top: a - uy, right: r + ux };
  }

  // Two centred lines: a name with its count, what comes out below.
  function label(parent, x, name, times, below, cls = '') {
    const g = svg('g', { class: 'words ' + cls }, parent);
    const line = svg('text', { x, y: LABEL, class: 'b' }, g, name);
    if (times) svg('tspan', { class: 'q', dx: 4 }, line, times);
    svg('text', { x, y: LABEL + 16 }, g, below);
  }

  // The share of the whole network's cost, where one is laid over: a bar below the words, to scale.
  const percent = n => (n >= .0995 ? `${Math.round(100 * n)} %` : n >= .001 ? `${(100 * n).toFixed(1)} %` : n ? '< 0.1 %' : '0 %');
  const told = ({ share }, size) => (share == null ? size : percent(share));          // the second line below a part
  function portion(parent, x, { share, group = 'head' }, room) {
    if (share == null) return;
    const g = svg('g', { class: 'portion c-' + group }, parent);
    svg('rect', { x: x - room / 2, y: LABEL + 20, width: room, height: 4, rx: 2, class: 'of' }, g);
    if (share) svg('rect', { x: x - room / 2, y: LABEL + 20, width: Math.max(2, room * share), height: 4, rx: 2, class: 'part' }, g);
  }

  function cross(parent, x, y) {
    svg('circle', { cx: x, cy: y, r: 9, class: 'bad' }, parent);
    svg('path', { d: `M${x - 3} ${y - 3}l6 6m0-6l-6 6`, class: 'badmark' }, parent);
  }

  const look = (state, loading) => (state === 'unknown' || state === 'outline' ? 'outline' : loading ? 'skel' : '');

  function drawStage(root, st, v, pictures, hatch) {
    const { s } = st, g = svg('g', { class: 'stage' }, root), ghost = look(s.state, v.loading), broken = s.failed == null ? -1 : Math.floor((s.failed * st.shown) / s.slabs);
    st.slabs = [];
    for (let k = 0; k < st.shown; k++) {
      const after = broken >= 0 && k > broken;
      const cls = k === broken ? 'c-fail' : ghost || (after ? 'outline' : `c-${s.group}${s.frozen ? ' frz' : ''}`);
      const plain = ghost || after || k === broken;
      const last = k === st.shown - 1 && !plain;
      const drawn = slab(g, { x: st.x0 + k * st.pitch, h: st.h, d: st.d, t: st.t, cls, picture: last && pictures[s.face], hatch: s.frozen && !plain && hatch });
      st.slabs.push(drawn.g);
      st.top = drawn.top;
    }
    if (broken >= 0) cross(root, st.x0 + broken * st.pitch + st.t / 2, Math.max(12, st.top - 6));
    const words = s.state === 'failed' ? v.failure.words : st.below;
    if (st.name) label(root, st.mid, st.name, st.times, words, s.state);
    portion(root, st.mid, s, 64);
  }

  function drawPool(root, back, L, v) {
    const { pool, cut } = L, x = cut + 34, join = x + 42, both = pool.kind === 'concat', off = L.poolHeight / 2 + 8;
    const ghost = look(pool.state, v.loading);
    for (const [way, word] of both ? [[-1, 'max'], [1, 'avg']] : [[0, pool.kind]]) {
      const y = AXIS + way * off;
      if (way) {
        svg('path', { class: 'flow', d: `M${cut} ${AXIS}C${cut + 16} ${AXIS} ${x - 18} ${y} ${x} ${y}M${x + 15} ${y}C${x + 28} ${y} ${join - 14} ${AXIS} ${join} ${AXIS}` }, back);
      }
      slab(root, { ...ROD, x, y, h: L.poolHeight, cls: pool.state === 'failed' ? 'c-fail' : ghost || 'c-head' + (word === 'avg' && both ? ' lite' : '') });
      if (both) svg('text', { x: x + 8, y: y + way * (L.poolHeight / 2 + 10) + 4, class: 'mid' }, root, ghost === 'outline' ? '' : word);
    }
    if (both) {
      svg('circle', { cx: join, cy: AXIS, r: 8, class: 'join' }, root);
      svg('path', { d: `M${join - 4} ${AXIS}h8M${join} ${AXIS - 4}v8`, class: 'plus' }, root);
    }
  }

  function drawRod(root, back, spot, before, L, v) {
    const { rod, x, h } = spot, dense = rod.kind === 'lin' || rod.kind === 'out', ghost = look(rod.state, v.loading);
    const t = Math.min(ROD.t, L.step * .55), ux = ROD.ux * (t / ROD.t), shape3 = { x, h, t, ux, uy: ROD.uy };
    const cls = rod.state === 'failed' ? 'c-fail' : ghost || 'c-head' + (dense ? '' : ' lite');
    if (dense && before && !ghost) {
      const from = before.x + t + ux, b = before.h;
      svg('polygon', { points: points([[from, AXIS - b / 2], [x, AXIS - h / 2], [x, AXIS + h / 2], [from, AXIS + b / 2]]), class: 'fan' }, back);
      for (let k = 0; k <= 6; k++) {
        svg('line', { x1: from, x2: x, y1: AXIS - b / 2 + (b * k) / 6, y2: AXIS - h / 2 + (h * ((k * 5 + 2) % 7)) / 6, class: 'ray' }, back);
      }
    }
    if (rod.kind === 'flat' && L.pool?.kind === 'concat' && !cls.includes('fail') && !ghost) {
      slab(root, { ...shape3, y: AXIS + h / 4, h: h / 2, cls: 'c-head lite' });
      slab(root, { ...shape3, y: AXIS - h / 4, h: h / 2, cls: 'c-head' });
    } else slab(root, { ...shape3, cls });
    if (!ghost && rod.state === 'ok') drawGlyph(root, rod, x, h, t);
    if (rod.state === 'failed') L.step > 30 ? cross(root, x - L.step / 2 + 4, AXIS) : cross(root, x + t / 2, AXIS - h / 2 - 14);
  }

  // Batch norm carries a bell, ReLU its bend, the range an S, dropout holes, the output its one bright value.
  function drawGlyph(root, { kind, width }, x, h, t) {
    const u = t / 10;
    if (kind === 'relu') svg('path', { class: 'glyph', d: `M${x + 1.5 * u} ${AXIS + 5}h${3.5 * u}l${3.5 * u}-8` }, root);
    if (kind === 'bn') svg('path', { class: 'glyph', d: `M${x + 1.5 * u} ${AXIS + 5}c${3 * u} 0 ${2 * u}-8 ${3.5 * u}-8s${.5 * u} 8 ${3.5 * u} 8` }, root);
    if (kind === 'range') svg('path', { class: 'glyph', d: `M${x + 1.5 * u} ${AXIS + 4}c${5 * u} 0 ${2 * u}-8 ${7 * u}-8` }, root);
    if (kind === 'out') svg('rect', { x: x + u, y: AXIS - Math.min(9, h / 2 - 2), width: 8 * u, height: 2.5, class: 'bright' }, root);
    if (kind === 'drop') {
      const many = Math.max(2, Math.round(h / 7)), roll = random(width + 7);
      for (let k = 0; k < many; k++) {
        if (roll() < .4) svg('rect', { x: x + 2 * u, y: AXIS - h / 2 + 4 + (k * (h - 5)) / many, width: 6 * u, height: Math.min(3.6, h / 6), rx: 1, class: 'hole' }, root);
      }
    }
  }

  // Names under the rods: the broken one and the linear layers first, others where there is room.
  function drawRodLabels(root, L, v) {
    const last = L.stages.at(-1), ends = last ? [[last.mid - last.label / 2, last.mid + last.label / 2]] : [];
    const taken = { names: [...ends], below: [...ends] };
    const all = L.head.map(spot => ({ spot, x: spot.x + 8, name: spot.rod.name, state: spot.rod.state,
      below: spot.rod.state === 'failed' ? v.failure.words : spot.rod.state === 'ok' ? told(spot.rod, String(spot.rod.width)) : '?' }));
    if (L.pool) {
      const { kind, width, name, state } = L.pool;
      all.unshift({ spot: { rod: L.pool }, x: L.cut + 42, name, state,
        below: state === 'failed' ? v.failure.words : state !== 'ok' ? '?' : told(L.pool, kind === 'concat' ? `2×${width / 2}` : String(width)) });
    }
    const rank = ({ spot: { rod }, state }) => (state === 'failed' ? 0 : rod.kind === 'out' ? 1 : rod.kind === 'lin' ? 2 : rod === L.pool ? 3 : 4);
    for (const one of [...all].sort((a, b) => rank(a) - rank(b))) {
      const fits = (line, text, bold) => {
        const half = textWidth(text, bold) / 2 + 1.5, from = one.x - half, to = one.x + half;
        return to <= L.width + 4 && taken[line].every(([a, b]) => from >= b + 1.5 || to <= a - 1.5) && taken[line].push([from, to]);
      };
      if (!one.name || !fits('names', one.name, true)) continue;
      const below = [one.below, one.below.replace('< 0.1', '<.1')].find(text => fits('below', text, false)) ?? '';     // the share at least on hover
      label(root, one.x, one.name, '', below, one.state);
      if (below) portion(root, one.x, one.spot.rod, Math.min(40, one.spot.rod === L.pool ? 40 : L.step - 6));
    }
  }

  function drawGhost(root, L, dropped) {
    const x = L.ghost, g = svg('g', { class: 'thrown' }, root);
    svg('path', { d: `M${L.cut + 4} ${AXIS - 8}C${L.cut + 10} ${AXIS - 50} ${L.cut + 4} 20 ${x - 6} 20` }, g);
    svg('path', { d: `M${x} 16h9v9h-9zl5-3h9v9l-5 3m0-9l5-3M${x + 18} 20h10` }, g);
    svg('path', { d: `M${x + 30} 4h9v34h-9zl5-3h9v34l-5 3m0-34l5-3` }, g);
    svg('text', { x: x + 56, y: 17, class: 'names' }, root, dropped.names);
    svg('text', { x: x + 56, y: 33, class: 'q price' }, root, dropped.words);
  }

  function drawGuesses(root, L, guesses) {
    guesses.slice(0, 3).forEach(([name, share], k) => {
      const x = L.end - 80, y = AXIS - 18 + k * 26;
      svg('text', { x, y, class: k ? 'q' : 'b' }, root, textWidth(name, !k) > 80 ? name.slice(0, 11) + '…' : name);
      svg('rect', { x, y: y + 5, width: Math.max(2, 76 * share), height: 3, rx: 1.5, class: k ? 'other' : 'best' }, root);
    });
  }

  // The rail: a stretch for each group with its words, rings where one may cut.
  function drawRail(root, L, v, places) {
    const late = L.stages.find(st => st.s.group === 'late'), border = late && late !== L.stages[0] ? L.stages[L.stages.indexOf(late) - 1].until : null;
    const start = L.stages[0].x0;
    const span = { early: [start, border ? border - 7 : L.cut - 11], late: [border ? border + 7 : start, L.cut - 11], head: [L.cut + 11, L.end] };
    v.groups.forEach((group, i) => {
      const [from, to] = span[group.group], next = v.groups[i + 1], lock = group.frozen ? 20 : 0;
      const g = svg('g', { class: 'c-' + group.group }, root), room = (next ? span[next.group][0] - 14 : L.width) - from - lock;
      svg('rect', { x: from, y: RAIL, width: Math.max(0, to - from), height: 4, rx: 2, class: 'rail' }, g);
      const words = [group.words, group.brief, group.brief.split(': ')[1]].find(w => textWidth(w) <= room);
      if (lock && room > -4) svg('use', { href: '#i-lock', x: from, y: RAIL + 10, width: 16, height: 16, class: 'lock' }, g);
      if (words) svg('text', { x: from + lock, y: RAIL + 22, class: 'owner' }, g, words);
    });
    let last = -99;
    v.cuts.forEach((cut, i) => {
      if (i >= v.cut || v.pinned) return;
      const x = places[i], whole = Math.abs(cut.at - Math.round(cut.at)) < .001;
      if (Math.abs(x - L.cut) < 12 || (!whole && x - last < 6)) return;
      svg('circle', { cx: x, cy: RAIL + 2, r: whole ? 3.5 : 2, class: whole ? 'ring' : 'ring small' }, root);
      last = x;
    });
  }

  // The pill of a cut that stands at `x`: wide enough for its words, and never beyond the ends of the ribbon.
  const pillHalf = text => Math.max(27, textWidth(text, true) / 2 + 9);
  const pillMid = (L, x, half) => Math.max(half, Math.min(L.width - half, x));

  function drawCut(root, L, cut, pinned) {
    const g = svg('g', { class: 'cut' }, root), text = 'cut ' + cut.word, half = pillHalf(text), mid = pillMid(L, L.cut, half);
    svg('title', {}, g, 'cut after ' + cut.name);
    svg('line', { x1: L.cut, x2: L.cut, y1: 22, y2: RAIL - 6, class: 'cutline' }, g);
    svg('rect', { x: mid - half, y: 0, width: 2 * half, height: 22, rx: 11, class: 'pill' }, g);
    svg('text', { x: mid, y: 15, class: 'cutname' }, g, text);
    svg('circle', { cx: L.cut, cy: RAIL + 2, r: 8, class: 'knob' }, g);
    if (!pinned) svg('path', { d: `M${L.cut - 2} ${RAIL - .5}l-2.5 2.5 2.5 2.5M${L.cut + 2} ${RAIL - .5}l2.5 2.5-2.5 2.5`, class: 'arrows' }, g);
    return g;
  }

  // What lies behind the cut, as outlines over the head while one drags: places alike in shape stand together.
  function drawBeyond(root, L, v) {
    const beyond = v.cuts.slice(v.cut + 1), runs = [];
    beyond.forEach((cut, k) => {
      const run = runs.at(-1);
      if (run && String(run.shape) === String(cut.shape)) run.of.push(k); else runs.push({ shape: cut.shape, of: [k] });
    });
    const { scale } = L, room = L.width - L.cut - 24;
    const sizes = runs.map(run => ({ h: scale * height((run.shape[1] * sides(v.size)[0]) / 224), d: scale * height((run.shape[2] * sides(v.size)[1]) / 224), n: slabsShown(run.of.length) }));
    const wanted = sizes.reduce((sum, r) => sum + 20 + DEPTH_X * r.d + r.n * 13, 0), fitted = Math.min(1, room / wanted);
    const g = svg('g', { class: 'beyond' }, root), xs = [], slabs = [];
    let x = L.cut + 16 * fitted;
    runs.forEach((run, r) => {
      const { h, d, n } = sizes[r], width = (n * 13 + DEPTH_X * d) * fitted;
      for (let k = 0; k < n; k++) {
        const drawn = slab(g, { x: x + k * 13 * fitted, h, d, t: 9 * fitted, ux: DEPTH_X * d * fitted, cls: 'outline' });
        slabs.push([run.of[Math.min(run.of.length - 1, Math.floor(((k + 1) * run.of.length) / n) - 1)], drawn.g]);
      }
      run.of.forEach((_, k) => {
        const at = k === run.of.length - 1 ? x + width + 10 * fitted : x + (k + 1) * ((n * 13 * fitted) / run.of.length);
        xs.push(at);
        svg('circle', { cx: at, cy: RAIL + 2, r: k === run.of.length - 1 ? 3.5 : 2, class: 'ring' }, g);
      });
      x += width + 20 * fitted;
    });
    return { g, xs, slabs };
  }

  // ---- The widget ----
  const beside = new Set();             // the marked ribbons of the page: { data, room, scale, redraw }
  let wanted = '';                      // the button that takes over the focus from one that goes: Unpin from Compare, and back

  Explorer.ribbon = (element, props, trigger, watch, server) => {
    const root = element.querySelector('.ribbon');
    const lead = el('div', 'lead', null, root), badge = el('span', 'badge', null, lead), title = el('h1', '', null, lead), sub = el('p', '', null, lead);
    const deeds = el('div', 'deeds', null, lead);
    const deed = (id, text, hint) => { const b = el('button', 'btn', text, deeds); b.type = 'button'; b.title = hint; b.onclick = () => { wanted = { pin: 'unpin', unpin: 'pin' }[id] || ''; trigger('act', { id }); }; return b; };
    const compare = deed('pin', 'Compare', 'Pin this design as A: what you change from then on is B');
    const swap = deed('swap', 'Swap', 'The pinned design becomes the one that follows the controls, and the other way round');
    const unpin = deed('unpin', 'Unpin', 'Stop comparing');
    const notes = el('div', 'notes', null, root), pic = el('div', 'pic', null, root), track = el('div', 'track', null, pic);
    const list = el('ol', 'spots', null, track), grip = el('div', 'grip', null, track), tip = el('div', 'tip', null, root);
    notes.setAttribute('role', 'status');
    list.setAttribute('aria-label', 'The network from photo to outputs');
    grip.tabIndex = 0;
    for (const [name, value] of [['role', 'slider'], ['aria-label', 'Cut'], ['aria-orientation', 'horizontal']]) grip.setAttribute(name, value);
    tip.setAttribute('aria-hidden', 'true');
    tip.hidden = true;
    const hatch = 'hatch-' + Math.random().toString(36).slice(2, 8);
    const start = el('button', 'btn start', 'Pick a body, or start with resnet34', track);
    start.type = 'button';
    start.onclick = () => trigger('act', { id: 'start' });

    const me = { data: OUTLINE, room: 0, scale: '', redraw: () => paint() };
    let v = OUTLINE, L = null, picture = null, places = [], seen = '', asked = null, drag = null, column = null, sight = null, current = 0, told = '';

    // -- faces: what the stages see, asked for when the picture stands --
    const cache = new Map();
    let waiting = 0, shown = null, photo = null, pending = null;
    function pictures() {
      const key = v.faces_key, known = key && cache.get(JSON.stringify(key));
      if (known) shown = { of: key, ...known };
      const same = key && shown && shown.of[0] === key[0] && shown.of[1] === key[1];      // an older size will do meanwhile
      return { faces: same && !v.loading ? shown.faces : {}, guesses: v.guesses ?? (same ? shown.guesses : null), notice: same ? shown.notice : null };
    }
    // What one cell in the middle of a layer sees of the photo, as views/fields.py tells it.
    const fieldOf = qual => (v.faces_key && cache.get(JSON.stringify(v.faces_key))?.fields?.get(qual)) || null;
    function see(qual) {
      const field = fieldOf(qual);
      sight?.setAttribute('visibility', field ? 'visible' : 'hidden');
      if (!field) return;
      const [top, left, bottom, right] = field.slice(8, 12).map((n, k) => n / sides(v.size)[k % 2]);
      for (const [name, value] of Object.entries({ x: left, y: top, width: right - left, height: bottom - top })) sight.setAttribute(name, value);
    }
    const sees = qual => {
      const field = fieldOf(qual);
      return field ? [['sees', field[12] ? 'all' : `${field[0]}×${field[1]} px`]] : [];
    };
    function ask() {
      clearTimeout(waiting);
      const key = v.faces_key && JSON.stringify(v.faces_key);
      if (!key || (cache.has(key) && !v.loading) || !server?.faces) return;
      const opened = () => 'opened' in document.documentElement.dataset;      // before that, v is not what this visit's link says
      waiting = setTimeout(() => (opened() ? look(v.faces_key, key) : ask()), v.loading ? 1000 : 250);
    }
    async function learn(of, answer) {
      answer.fields = Explorer.fields.unpack(await Promise.resolve(server.sights(of)).catch(() => null));
      if (picture?.spots) select();
    }
    async function look(of, key) {
      if (!v.loading) cache.set(key, null);
      const answer = await Promise.resolve(server.faces(of)).catch(() => null);
      if (key !== JSON.stringify(v.faces_key)) { if (!answer?.faces) cache.delete(key); }
      else if (answer?.pending) {                                  // weights are on their way: ask again
        cache.delete(key);
        pending = answer.pending;
        photo = answer.photo || photo;
        waiting = setTimeout(() => look(of, key), 1000);
      } else if (v.loading) trigger('act', { id: 'loaded' });
      if (answer?.faces) {
        cache.set(key, answer);
        learn(of, answer);
        if (cache.size > 24) cache.delete(cache.keys().next().value);
      }
      if (answer && !answer.pending) pending = null;
      photo = answer?.photo || photo;
      if (!drag) paint();
    }

    // -- painting --
    function paint() {
      if (pic.clientWidth < 200) return;
      const began = performance.now(), pad = parseFloat(getComputedStyle(track).marginLeft) || 0;
      const extra = pictures(), empty = v === OUTLINE;
      const data = extra.guesses === v.guesses ? v : { ...v, guesses: extra.guesses };
      me.data = data;
      me.room = pic.clientWidth - 2 * pad;
      const others = beside.has(me) ? [...beside].filter(one => one !== me && one.room) : [];
      const scale = common([data, ...others.map(one => one.data)], Math.min(me.room, ...others.map(one => one.room)));
      me.scale = JSON.stringify(scale);
      L = layout(data, me.room, scale);
      const s = svg('svg', { width: L.width, height: HEIGHT, viewBox: `0 0 ${L.width} ${HEIGHT}`, 'aria-hidden': 'true' });
      const pattern = svg('pattern', { id: hatch, width: 5, height: 5, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' }, svg('defs', {}, s));
      svg('rect', { width: 1.4, height: 5, class: 'stroke' }, pattern);
      const back = svg('g', {}, s), front = svg('g', {}, s), head = svg('g', { class: 'headpart' }, s), headBack = svg('g', {}, head);
      column = svg('rect', { class: 'column', rx: 8 }, back);

      slab(front, { x: 0, h: L.photo.h, d: L.photo.d, t: 3, cls: 'c-photo', picture: v.photo || photo, soft: true });
      const depth = DEPTH_X * L.photo.d, rise = DEPTH_Y * L.photo.d;
      sight = svg('rect', { class: 'sight', visibility: 'hidden', transform: `matrix(${depth} ${-rise} 0 ${L.photo.h} 3 ${AXIS - L.photo.h / 2 + rise / 2})` }, front);
      label(front, L.photo.mid, 'photo', '', empty ? '' : L.photo.below, v.input.state);
      if (v.input.state === 'failed') cross(front, L.photo.right / 2, Math.max(12, AXIS - L.photo.h / 2 - 4));
      for (const st of L.stages) drawStage(front, st, v, extra.faces, hatch);
      const broken = [...(v.input.state === 'failed' ? [0] : []), ...L.stages.filter(st => st.s.state === 'failed').map(st => st.x0), ...(L.pool?.state === 'failed' ? [L.cut + 34] : []),
        ...L.head.filter(h => h.rod.state === 'failed').map(h => h.x)][0] ?? (empty ? 20 : Infinity);
      const solid = (from, to) => {
        if (Math.min(to, broken) > from) svg('path', { class: 'flow', d: `M${from} ${AXIS}H${Math.min(to, broken)}` }, back);
        if (to > broken) svg('path', { class: 'flow dashed', d: `M${Math.max(from, broken)} ${AXIS}H${to}` }, back);
      };
      solid(30, L.cut);
      solid(L.pool?.kind === 'concat' ? L.cut + 76 : L.cut, (L.head.at(-1)?.x ?? L.cut + 34) + 16 + (L.guesses > 20 ? 6 : 0));
      if (L.pool) drawPool(head, headBack, L, v);
      L.head.forEach((spot, i) => drawRod(head, headBack, spot, L.head[i - 1], L, v));
      drawRodLabels(head, L, v);
      if (v.dropped) drawGhost(head, L, v.dropped);
      if (L.guesses > 20) drawGuesses(head, L, data.guesses);
      places = v.cuts.map((cut, i) => (i >= v.cut ? L.cut : along(L, cut.at)));
      picture = { svg: s, of: v, k: v.cut };
      if (empty) svg('line', { x1: L.cut, x2: L.cut, y1: 22, y2: RAIL - 30, class: 'cutline pale' }, s);
      else {
        drawRail(s, L, v, places);
        picture.cut = drawCut(s, L, v.cuts[v.cut], v.pinned);
        grip.title = 'cut after ' + v.cuts[v.cut].name;
      }
      track.style.width = L.width + 'px';
      track.querySelector('svg')?.remove();
      track.prepend(s);
      grip.hidden = empty || Boolean(v.pinned);
      start.hidden = !empty;
      moveGrip(L.cut);
      hold(asked ?? v.cut);
      spots();
      select();
      words(extra.notice);
      if (seen !== v.arch) {                                       // another body: begin where the cut is to be seen
        seen = v.arch;
        pic.scrollLeft = L.width + 2 * pad > pic.clientWidth + 1 ? L.cut + pad - pic.clientWidth * .7 : 0;
      }
      for (const one of others) if (one.scale !== me.scale) one.redraw();
      requestAnimationFrame(edges);
      element.dataset.painted = String(performance.now());
      element.dataset.took = (performance.now() - began).toFixed(1);
    }

    function words(notice) {
      title.textContent = v.headline;
      sub.textContent = v.subline;
      marked();
      const all = [v.failure && { kind: 'failed', icon: 'warn', title: v.failure.title, text: v.failure.text },
        v.loading && pending && { kind: 'info', title: pending.text, text: progress(pending) }, v.notice || notice];
      const say = JSON.stringify([all, v.failure?.fix]);
      if (say === told) return;                                    // an unchanged card is not read out again
      told = say;
      notes.replaceChildren(...all.filter(Boolean).map(card));
    }
    function marked() {
      const { mark, pinned } = v;
      if (pinned) title.setAttribute('aria-level', 2); else title.removeAttribute('aria-level');
      if (mark) root.setAttribute('aria-label', pinned ? 'A, the pinned design' : 'B, the design that follows the controls'); else root.removeAttribute('aria-label');
      if (mark) root.setAttribute('role', 'group'); else root.removeAttribute('role');
      list.setAttribute('aria-label', 'The network from photo to outputs' + (mark ? `, ${mark}` : ''));
      badge.textContent = mark || '';
      badge.hidden = !mark;
      compare.hidden = mark !== '';
      swap.hidden = unpin.hidden = !pinned;
      deeds.hidden = compare.hidden && swap.hidden;
      root.classList.toggle('pinned', Boolean(pinned));
      const next = { pin: compare, unpin }[wanted];
      if (next && !next.hidden) { wanted = ''; next.focus({ preventScroll: true }); }
    }
    const progress = ({ done, total }) => (total ? `${(done / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB` : '');
    function card(note) {
      const box = el('div', 'note ' + note.kind), p = el('p', '', null, null);
      const button = (text, cls, act) => { const b = el('button', 'btn ' + cls, text, box); b.type = 'button'; b.onclick = act; };
      box.append(icon(note.icon || (note.kind === 'offline' ? 'offline' : 'info')), p);
      el('b', '', note.title, p);
      if (note.text) p.append(el('br'), note.text);
      if (note.kind === 'failed' && !v.pinned) {
        p.onclick = () => getSelection().isCollapsed && pick(v.failure.qual);      // for the mouse; the button does it for keys
        button('Show', '', () => { pick(v.failure.qual); reveal(v.failure.qual); });
        if (v.failure.fix) button(v.failure.fix, 'mend', () => trigger('mend', {}));
      }
      for (const { id, label: text } of note.actions || []) button(text, '', () => trigger('act', { id }));
      return box;
    }

    // -- the list over the picture: a button for each stage and each layer of the head --
    function spots() {
      const all = v === OUTLINE ? [] : [
        ...L.stages.map(st => ({ qual: st.s.qual, quals: st.s.quals, say: st.s.say, x0: st.x0 - 8, x1: st.x1 + 8, top: st.top - 8, head: st.s.name, what: st.s.what, face: st.s.face,
          facts: [['out', shape(st.s.shape)], ['params', short(st.s.params)], ['MACs', st.s.shape ? short(st.s.macs) : '?'], ...shareOf(st.s)] })),
        ...(L.pool ? [rodSpot(L.pool, L.cut + 22, L.cut + 62, L.poolHeight * 2 + 40)] : []),
        ...L.head.map(({ rod, x, h }) => rodSpot(rod, x + 8 - L.step / 2, x + 8 + L.step / 2, h)),
      ];
      if (!list.firstChild) el('li', 'sr', '', list);
      list.firstChild.textContent = v.input.say;
      while (list.children.length > all.length + 1) list.lastChild.remove();
      current = Math.max(0, Math.min(current, all.length - 1));
      all.forEach((spot, k) => {
        const b = list.children[k + 1]?.firstChild ?? el('button', 'spot', null, el('li', '', null, list));
        b.type = 'button';
        b.spot = spot;
        b.tabIndex = k === current ? 0 : -1;
        if (b.textContent !== spot.say) b.textContent = spot.say;
        Object.assign(b.style, { left: spot.x0 + 'px', width: spot.x1 - spot.x0 + 'px', top: spot.top + 'px', height: LABEL + 24 - spot.top + 'px' });
      });
      picture.spots = all;
    }
    const rodSpot = (rod, x0, x1, h) => ({ qual: rod.qual, quals: [rod.qual], say: rod.say, x0, x1, top: Math.max(24, AXIS - h / 2 - 12), head: rod.name, what: rod.detail,
      facts: [['out', rod.state === 'ok' ? String(rod.width) : '?'], ['params', short(rod.params)], ['MACs', short(rod.macs)], ...shareOf(rod)] });
    const shareOf = ({ share }) => (share == null ? [] : [['of ' + v.measure, percent(share)]]);

    // The layer whose sight stands on the photo while nothing is pointed at: the picked one, or its stage.
    const viewer = () => (shares() && fieldOf(Explorer.picked) ? Explorer.picked : null);
    // Names of layers mean the other ribbon's design: a pinned one takes part where it has the same body.
    const shares = () => !v.pinned || [...beside].some(one => one !== me && one.data.arch === v.arch);
    // The column behind what is picked: the stage that holds the layer, or all that lies in a picked container.
    function select() {
      const q = shares() && Explorer.picked, mine = q ? picture.spots.filter(s => s.quals.some(own => isIn(q, own) || isIn(own, q))) : [];
      picture.spots.forEach((s, k) => list.children[k + 1].firstChild.setAttribute('aria-current', String(mine.includes(s))));
      column.setAttribute('visibility', mine.length ? 'visible' : 'hidden');
      see(viewer());
      if (!mine.length) return;
      const x = Math.min(...mine.map(s => s.x0)), top = Math.min(...mine.map(s => s.top));
      for (const [name, value] of Object.entries({ x, y: top, width: Math.max(...mine.map(s => s.x1)) - x, height: LABEL + 24 - top })) column.setAttribute(name, value);
    }
    function reveal(qual) {
      const k = picture.spots.findIndex(s => s.quals.some(own => isIn(qual, own)));
      if (k >= 0) list.children[k + 1].firstChild.scrollIntoView({ inline: 'center', block: 'nearest' });
    }
    onPick(() => { if (picture?.spots) select(); });

    function show(spot) {
      tip.replaceChildren();
      el('b', '', spot.head, tip);
      if (spot.what) tip.append(', ' + spot.what);
      const dl = el('dl', '', null, tip);
      for (const [name, value] of [...spot.facts, ...sees(spot.face)]) {
        const d = el('div', '', null, dl);
        el('dt', '', name, d);
        el('dd', '', value, d);
      }
      see(spot.face);
      tip.hidden = false;
      const home = root.getBoundingClientRect(), box = track.getBoundingClientRect(), mid = box.left - home.left + (spot.x0 + spot.x1) / 2;
      const left = Math.max(0, Math.min(home.width - tip.offsetWidth, mid - tip.offsetWidth / 2));
      tip.style.left = left + 'px';
      tip.style.top = box.top - home.top + spot.top - tip.offsetHeight - 4 + 'px';
      tip.style.setProperty('--at', mid - left + 'px');
    }
    const hide = () => { tip.hidden = true; see(viewer()); };
    const spotOf = e => e.target.closest?.('.spot');
    list.addEventListener('pointerover', e => { const b = spotOf(e); if (b && !drag) show(b.spot); });
    list.addEventListener('pointerout', hide);
    list.addEventListener('focusin', e => { const b = spotOf(e); if (b && b.matches(':focus-visible')) show(b.spot); });
    list.addEventListener('focusout', hide);
    list.addEventListener('click', e => { const b = spotOf(e); if (b) { roam([...list.children].indexOf(b.parentNode) - 1, false); if (shares()) pick(b.spot.qual); else show(b.spot); } });
    list.addEventListener('keydown', e => {
      const last = picture.spots.length - 1, to = { ArrowLeft: current - 1, ArrowRight: current + 1, Home: 0, End: last }[e.key];
      if (e.key === 'Escape') hide();
      if (to == null) return;
      roam(Math.max(0, Math.min(last, to)), true);
      e.preventDefault();
    });
    function roam(k, focus) {
      current = k;
      picture.spots.forEach((_, i) => { list.children[i + 1].firstChild.tabIndex = i === k ? 0 : -1; });
      if (focus) list.children[k + 1].firstChild.focus();
    }

    // -- the cut --
    let gripX = 0;
    function moveGrip(x) {
      gripX = x;
      grip.style.transform = `translateX(${x}px)`;
    }
    function hold(k) {
      const cut = v.cuts[k];
      if (!cut) return;
      const words = { 'aria-valuemin': 0, 'aria-valuemax': v.cuts.length - 1, 'aria-valuenow': k,
        'aria-valuetext': `after ${k === v.cut ? v.behind : cut.name}` + (isWhole(cut) ? ', ' + cut.word : '') };
      for (const name in words) grip.setAttribute(name, words[name]);
    }
    let unanswered = 0;
    function cutAt(k) {
      const to = Math.max(0, Math.min(v.cuts.length - 1, k));
      if (to === (asked ?? v.cut)) return;
      asked = to;
      root.classList.add('waiting');
      hold(to);
      clearTimeout(unanswered);
      unanswered = setTimeout(() => { asked = null; if (!drag) settle(); }, 4000);
      Explorer.change('cut', { value: v.cuts[to].name, problem: '' });
    }
    const isWhole = cut => cut.word !== briefOf(cut);
    grip.addEventListener('keydown', e => {
      const k = asked ?? v.cut, next = way => { let i = k + way; while (v.cuts[i] && !isWhole(v.cuts[i])) i += way; return i; };
      const to = { ArrowLeft: k - 1, ArrowDown: k - 1, ArrowRight: k + 1, ArrowUp: k + 1, Home: 0, End: v.cuts.length - 1, PageDown: next(-1), PageUp: next(1) }[e.key];
      if (to == null) return;
      cutAt(to);
      e.preventDefault();
    });
    grip.addEventListener('pointerdown', e => {
      if (e.button) return;
      grip.setPointerCapture(e.pointerId);
      hide();
      const { of, k } = picture, beyond = k < of.cuts.length - 1 ? drawBeyond(picture.svg, L, of) : null;     // the picture may be older than the data
      if (beyond) picture.svg.append(picture.cut);
      drag = { xs: of.cuts.map((_, i) => (i <= k ? places[i] : beyond.xs[i - k - 1])), from: k, origin: asked ?? v.cut, cuts: of.cuts, beyond,
        pointer: e.pointerId, grab: e.clientX - track.getBoundingClientRect().left - gripX };
      root.classList.add('dragging');
      root.classList.toggle('reaching', !!beyond);
    });
    grip.addEventListener('pointermove', e => {
      if (!drag) return;
      const box = pic.getBoundingClientRect();
      if (e.clientX > box.right - 32) pic.scrollLeft += 12;
      if (e.clientX < box.left + 32) pic.scrollLeft -= 12;
      const x = e.clientX - track.getBoundingClientRect().left - drag.grab;
      let best = 0;
      drag.xs.forEach((at, i) => { if (Math.abs(at - x) <= Math.abs(drag.xs[best] - x)) best = i; });
      preview(best);
      cutAt(best);
    });
    const release = () => {
      if (!drag) return;
      drag = null;
      if (asked == null || asked === v.cut) settle();              // else the answer, or its absence, settles it
    };
    // Escape while one drags: the cut goes back to where it was.
    function cancel(e) {
      if (e.key !== 'Escape' || !drag) return;
      const { origin, pointer } = drag, asking = asked != null;
      preview(origin);
      cutAt(origin);
      drag = null;
      grip.releasePointerCapture(pointer);
      if (!asking && asked == null) settle();                      // else the answer, or its absence, settles it
      e.preventDefault();
      e.stopImmediatePropagation();
    }
    document.addEventListener('keydown', cancel, true);
    grip.addEventListener('pointerup', release);
    grip.addEventListener('pointercancel', release);
    grip.addEventListener('lostpointercapture', release);
    function settle() {
      clearTimeout(unanswered);
      root.classList.remove('waiting');
      asked = null;
      root.classList.remove('dragging', 'reaching');
      paint();
    }
    // While one drags, everything stays where it was: the line moves, what would go turns into outlines.
    function preview(k) {
      const x = drag.xs[k], cut = drag.cuts[k], text = picture.cut.querySelector('text'), word = 'cut ' + cut.word;
      picture.cut.style.transform = `translateX(${x - L.cut}px)`;
      moveGrip(x);
      if (text.textContent !== word) {
        const half = pillHalf(word), mid = pillMid(L, x, half) - x + L.cut, pill = picture.cut.querySelector('.pill');
        text.textContent = word;
        text.setAttribute('x', mid);
        pill.setAttribute('x', mid - half);
        pill.setAttribute('width', 2 * half);
      }
      L.stages.forEach(st => st.slabs.forEach((g, n) => g.classList.toggle('gone', k < drag.from && x < st.x0 + (n + .5) * st.pitch)));
      drag.beyond?.slabs.forEach(([n, g]) => g.classList.toggle('back', n + drag.from + 1 <= k));
    }

    // New data under the hand: only the words follow.
    function follow() {
      title.textContent = v.headline;
      sub.textContent = v.subline;
      for (const [cls, key] of [['names', 'names'], ['price', 'words']]) {
        const e = picture.svg.querySelector('.' + cls);
        if (e) e.textContent = v.dropped?.[key] ?? '';
      }
    }

    function edges() {
      const more = pic.scrollWidth - pic.clientWidth;
      pic.style.setProperty('--l', (pic.scrollLeft > 4 ? 32 : 0) + 'px');
      pic.style.setProperty('--r', (more - pic.scrollLeft > 4 ? 32 : 0) + 'px');
    }
    pic.addEventListener('scroll', () => { edges(); hide(); }, { passive: true });

    function update(value) {
      const fresh = value.stages ? value : OUTLINE, others = [...beside].filter(one => one !== me);
      root.hidden = Boolean(value.hidden);
      if (fresh.mark) beside.add(me); else if (beside.delete(me)) others.forEach(one => one.redraw());
      if (value.hidden) { v = me.data = OUTLINE; me.room = 0; return; }
      const otherBody = fresh.arch !== v.arch;
      for (const cut of fresh.cuts) cut.word ??= briefOf(cut);
      v = fresh;
      if (asked === v.cut || otherBody) { asked = null; clearTimeout(unanswered); }
      if (asked == null) root.classList.remove('waiting');
      if (drag && !otherBody) { follow(); return; }
      drag = null;
      if (asked != null && root.classList.contains('dragging')) return;
      root.classList.remove('dragging', 'reaching');
      paint();
      ask();
    }
    fit(pic, paint);
    live(element, props, watch, update);
    if (v === OUTLINE) paint();
  };
})();
