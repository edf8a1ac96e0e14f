// The wiring of a U-Net: encoder down the left, decoder up the right, skips level between them; rows are resolutions.
// Data is views/wiring.py's payload. Events: skip {skip, on, off: [numbers]}, cross {on}, mend, act {id};
// server.faces(payload.faces_key) -> {photo, faces: {qual: address}}, asked for when the picture stands.
// The picture is hidden from screen readers: buttons and switches lie over it, and a list tells it in words.
(() => {
  const { el, svg, icon, live, fit, sides, pick, onPick, isIn } = Explorer;

  // ---- Geometry ----
  const PITCH = 65, FIRST = 62, LINE = 16;
  const RISE = .2;                                              // how far a slab runs up, as a share of its height
  const LEAST = 320, WIDE = 820;                                // narrower than WIDE, labels stand between the two arms
  const high = side => 88 * (side / 224) ** .3;
  const thick = channels => Math.min(42, 2.7 * channels ** .34);
  const broad = channels => 1.1 * channels ** .24;              // a skip's line
  const mix = (a, b, f) => a + (b - a) * f;
  const points = list => list.map(p => p.map(v => v.toFixed(1)).join(',')).join(' ');

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
  const LONGEST = 92;                                            // pixels of a stage's name
  function shortened(name) {
    if (textWidth(name, true) <= LONGEST) return name;
    const end = name.slice(name.lastIndexOf('.') + 1);
    if (end !== name && textWidth('…' + end, true) <= LONGEST) return '…' + end;
    let n = name.length;
    while (n > 3 && textWidth(name.slice(0, n) + '…', true) > LONGEST) n--;
    return name.slice(0, n) + '…';
  }
  const dims = shape => (shape ? shape.join('×') : '?');
  const lineWidth = lines => Math.max(0, ...lines.map(([text, cls]) => textWidth(text, cls === 'b')));

  // What stands where nothing can be drawn: a plain U in outlines.
  const ghost = (name, row, more) => ({ name, row, shape: null, state: 'outline', quals: [], qual: '', facts: [], notes: [], say: '', marks: [], join: '', ...more });
  const OUTLINE = {
    size: 224, headline: '', subline: '', photo: { name: '', shape: [3, 224, 224], facts: [], say: '' }, groups: [], failure: null, notice: null, faces_key: null,
  };
  const NOTHING = {
    rows: 5, skips: [], marks: [],
    encoder: [1, 2, 3, 4, 5].map(row => ghost('', row, { group: 'early' })), middle: ghost('', 5, { words: '', widths: [1024, 512] }),
    ups: [4, 3, 2, 1, 0].map(row => ghost('', row, { slab: true })), output: ghost('', 0),
  };
  Object.assign(OUTLINE, NOTHING);

  // The sizes of a slab: a map that is not known has half the side of the one before it.
  function sized(v, thin, depth, most) {
    const [h0, w0] = sides(v.size), scale = Math.min(1, 92 / high(Math.max(h0, w0))) * most;
    const of = (shape, row) => {
      const [c, h, w] = shape ?? [128, h0 / 2 ** row, w0 / 2 ** row], dh = scale * high(h);
      return { h: dh, d: depth * scale * high(w), rise: RISE * scale * high(w), t: thin * thick(c) };
    };
    const photo = { h: scale * high(h0), d: depth * scale * high(w0), rise: RISE * scale * high(w0), t: 3 };
    return { of, photo };
  }
  const wideOf = s => s.t + s.d;

  // Words beside a piece: name, shape, what else is to be said.
  const wordsOf = (name, shape, notes = []) => !name && shape === '?' ? [] : [[name, 'b'], [shape, ''], ...notes.map(note => [note, 'q'])].filter(([text]) => text);

  // The squeeze that fits a box this wide, 1 as drawn by hand, 0 the tightest; null where none does.
  function squeeze(v, room, beside) {
    const fits = f => plan(v, room, f, beside).spare >= 0;
    if (!fits(0)) return null;
    let low = 0, top = 1.3;
    for (let i = 0; i < 9; i++) { const f = (low + top) / 2; if (fits(f)) low = f; else top = f; }
    return low;
  }

  function plan(v, room, f, beside) {
    const se = mix(30, 58, f), thin = mix(.6, 1, Math.min(1, f)), depth = mix(.36, .46, Math.min(1, f)), size = sized(v, thin, depth, 1);
    const ups = v.ups.map(up => ({ up, s: size.of(up.shape, up.row) }));
    const sd = Math.max(mix(52, 82, f), ...ups.filter(({ up }) => up.row > 0).map(({ s }) => 18 + wideOf(s) + 8));
    const labels = [[0, wordsOf('photo', dims(v.photo.shape))], ...v.encoder.map(e => [e.row, wordsOf(shortened(e.name), dims(e.shape))])];
    const x0 = Math.max(...labels.map(([row, lines]) => lineWidth(lines) + 12 - se * row));
    const gap = mix(14, 26, Math.min(1, f)), last = v.encoder.at(-1), bottom = size.of(last?.shape, v.rows);
    let end = x0 + se * v.rows + wideOf(bottom);
    const mids = v.middle ? v.middle.widths.map((width, k) => {
      const s = { ...bottom, t: thin * thick(width) }, x = end + (k ? gap * .55 : gap);
      end = x + wideOf(s);
      return { x, s };
    }) : [];
    const top = ups.at(-1), out = size.of(v.output.shape, 0), slab = top && hasSlab(top.up) ? wideOf(top.s) + 8 : 0;
    const join = v.output.marks?.length ? 16 : 0;
    const tail = 18 + slab + join + wideOf(out) + (beside ? 12 + lineWidth(wordsOf(v.output.name, dims(v.output.shape), v.output.notes)) : 30);
    const cat0 = room - tail, first = v.ups[0]?.row ?? v.rows - 1;
    const climb = row => cat0 - sd * row;
    const level = v.skips.length ? climb(first) - 12 - (x0 + se * first + wideOf(size.of(v.encoder.at(-2)?.shape, first))) - 128 : 0;
    // Without room beside the output its words stand below it: then those of the slab before it must fit left of them.
    const words = beside ? 0 : slab ? room - 20 - textWidth(v.output.name, true) - textWidth(top.up.name, true) - (cat0 + 12) : -1;
    return { se, sd, x0, size, mids, end, out, climb, spare: Math.min(climb(first) - end - 22, level, words), labels };
  }
  const hasSlab = up => up.slab !== false;
  const topWords = up => wordsOf(up.name, up.cross && up.join === 'on' ? '' : dims(up.shape), up.notes);

  // Words in a narrow place: "96×130 becomes 97×131" is "from 96×130" beside the shape that it became.
  const fitted = (lines, width) => lines.map(([text, cls]) => [textWidth(text, cls === 'b') > width ? text.replace(/^(.+) becomes .*/, 'from $1') : text, cls]);

  // Where everything stands, labels outside: for screens.
  function layoutWide(v, room, f, beside) {
    const P = plan(v, room, f, beside), Y = row => FIRST + PITCH * row;
    const at = (x, y, s) => ({ x, y, ...s, right: x + s.t + s.d, top: y - s.h / 2 - s.rise / 2, bottom: y + s.h / 2 + s.rise / 2 });
    const text = (x, y, anchor, lines) => ({ x, y, anchor, lines });
    const photo = { ...at(P.x0, Y(0), P.size.photo), label: text(P.x0 - 12, Y(0), 'end', wordsOf('photo', dims(v.photo.shape))) };
    const encoder = v.encoder.map((e, i) => {
      const x = P.x0 + P.se * e.row, y = Y(e.row);
      return { ...at(x, y, P.size.of(e.shape, e.row)), label: text(x - 12, y + 6, 'end', wordsOf(shortened(e.name), e.state === 'failed' ? v.failure?.words || 'fails' : dims(e.shape))) };
    });
    const mids = P.mids.map(({ x, s }) => at(x, Y(v.rows), s));
    const below = v.ups.find(up => up.row === 1), clear = below ? P.climb(0) + 12 : 0;
    const outWords = wordsOf(v.output.name, dims(v.output.shape), beside ? v.output.notes : []), edge = beside ? room : room - 10 - Math.max(...outWords.slice(0, 1).map(([text]) => textWidth(text, true)));
    // Below the slab at full size: clear of the slab down left and of the words of what comes out; then the next row's words follow.
    const under = (lines, mid) => {
      const kept = beside ? lines : lines.slice(0, 1), width = lineWidth(kept);
      return { kept, x: Math.max(clear, Math.min(edge - width, mid - width / 2)) };
    };
    const topmost = v.ups.at(-1), extra = topmost?.row === 0 && hasSlab(topmost) ? Math.max(0, under(topWords(topmost), 0).kept.length - 1) : 0;
    const middle = v.middle && { x: mids[0].x, right: mids[1].right, top: Math.min(...mids.map(m => m.top)), bottom: Math.max(...mids.map(m => m.bottom)), y: Y(v.rows), mids,
      label: text((mids[0].x + mids[1].right) / 2, Math.max(Y(v.rows) + 36, ...mids.map(m => m.bottom + 12)), 'middle', wordsOf(v.middle.name, v.middle.words)) };
    const ups = v.ups.map((up, k) => {
      const x = P.climb(up.row), y = Y(up.row), slab = hasSlab(up) ? at(x + 18, y, P.size.of(up.shape, up.row)) : null;
      const marks = up.marks.length === 3 ? [46, 30, 15.5] : up.marks.length === 1 && up.marks[0].kind === 'resize' ? [24] : [42, 21];
      const notes = up.notes, crossed = up.row === 0 && slab;
      const lines = topWords(up), placed = crossed && under(lines, (slab.x + slab.right) / 2);
      const label = crossed ? text(placed.x, slab.bottom + 14, 'start', placed.kept)
        : slab ? text(slab.right + 10, y + (up.row === 1 ? 24 + LINE * extra : 20), 'start', fitted(lines, room - slab.right - 10)) : notes.length ? text(x + 16, y + 28, 'start', notes.map(n => [n, 'q'])) : null;
      return { x, y, slab, label, marks: up.marks.map((m, i) => ({ m, x, y: y + marks[i] })), from: k ? null : 'bottom' };
    });
    const last = ups.at(-1), ox = (last?.slab ? last.slab.right + 8 : (last?.x ?? P.end) + 18) + (v.output.marks?.length ? 16 : 0);
    const output = { ...at(ox, Y(0), P.out) };
    output.label = beside ? text(output.right + 12, Y(0) - 2, 'start', outWords) : text(room, output.bottom + 14, 'end', outWords);
    output.marks = (v.output.marks || []).map(m => ({ m, x: ox - 12, y: Y(0) }));
    return { wide: true, width: room, height: Math.max(Y(v.rows) + 62, (middle?.label.y ?? 0) + 24), photo, encoder, middle, ups, output, skip: (piece, up) => [piece.right + 2, up.x - 12, up.y, 9 + (up.x - piece.right) * .026] };
  }

  // The same for a narrow box: the way up is a column at the right, words stand between the arms.
  function layoutNarrow(v, room) {
    const slope = Math.max(0, Math.min(34, (room - 372) / (2 * Math.max(1, v.rows)))), size = sized(v, .7, .42, .72);
    const at = (x, y, s) => ({ x, y, ...s, right: x + s.t + s.d, top: y - s.h / 2 - s.rise / 2, bottom: y + s.h / 2 + s.rise / 2 });
    const text = (x, y, anchor, lines) => ({ x, y, anchor, lines });
    const tall = s => s.h + s.rise, out = size.of(v.output.shape, 0), byRow = new Map(v.ups.map(up => [up.row, up]));
    const Y = [0], top = byRow.get(0), rises = up => (up && hasSlab(up) ? tall(size.of(up.shape, up.row)) + 12 : 0);
    Y[0] = 8 + tall(out) + (v.output.marks?.length ? 34 : 14) + rises(top);
    for (let row = 1; row <= v.rows; row++) {
      const over = byRow.get(row - 1), enc = v.encoder.find(e => e.row === row), least = row === 1 ? size.photo.h : 40;
      Y[row] = Y[row - 1] + Math.max(least + (enc ? tall(size.of(enc.shape, row)) / 2 + 6 : 0), (row < v.rows ? rises(byRow.get(row)) : 6) + 8 + (over?.marks.length === 3 ? 60 : over?.marks.length ? 50 : 24), 60);
    }
    const rightmost = Math.max(wideOf(out), ...v.ups.map(up => wideOf(size.of(up.shape, up.row)))) / 2 + 2;
    const xc = row => room - rightmost - slope * row;
    const photo = { ...at(2, Y[0], size.photo) };
    photo.label = text(photo.right + 8, Y[0] + 20, 'start', wordsOf('photo', dims(v.photo.shape)));
    const encoder = v.encoder.map(e => {
      const piece = at(2 + slope * e.row, Y[e.row], size.of(e.shape, e.row));
      return { ...piece, label: text(piece.right + 8, piece.y + 20, 'start', wordsOf(shortened(e.name), e.state === 'failed' ? v.failure?.words || 'fails' : dims(e.shape))) };
    });
    const bottom = size.of(v.encoder.at(-1)?.shape, v.rows);
    let middle = null;
    if (v.middle) {
      const parts = v.middle.widths.map(width => ({ ...bottom, t: .7 * thick(width) })), total = parts.reduce((sum, s) => sum + wideOf(s), 12);
      let x = Math.max(encoder.at(-1).right + 8 + lineWidth(encoder.at(-1).label.lines) - 30, (encoder.at(-1).right + xc(v.rows - 1) - total) / 2 + 12);
      const mids = parts.map(s => { const m = at(x, Y[v.rows], s); x = m.right + 12; return m; });
      middle = { x: mids[0].x, right: mids[1].right, top: Math.min(...mids.map(m => m.top)), bottom: Math.max(...mids.map(m => m.bottom)), y: Y[v.rows], mids,
        label: text(Math.min(room - 62, (mids[0].x + mids[1].right) / 2 + 10), Y[v.rows] + 50, 'middle', wordsOf(v.middle.name, v.middle.words)) };
    }
    const ups = v.ups.map(up => {
      const x = xc(up.row), y = Y[up.row], s = size.of(up.shape, up.row), slab = hasSlab(up) ? at(x - wideOf(s) / 2, y - 12 - tall(s) / 2, s) : null;
      const marks = up.marks.length === 3 ? [50, 33, 17] : [42, 20];
      const lines = topWords(up), n = lines.length;
      const label = slab ? text(slab.x - 10, Math.min(slab.y + 5 - LINE * (n - 1) / 2, y - 12 - LINE * (n - 1)), 'end', lines)
        : up.notes.length ? text(x - 16, y + 36, 'end', up.notes.map(note => [note, 'q'])) : null;
      return { x, y, slab, label, marks: up.marks.map((m, i) => ({ m, x, y: y + marks[i] })) };
    });
    const lastTop = ups.at(-1)?.slab?.top ?? Y[0] - 10;
    const output = at(xc(0) - wideOf(out) / 2, 8 + tall(out) / 2, out), lines = wordsOf(v.output.name, dims(v.output.shape), v.output.notes);
    output.label = text(output.x - 10, output.y + 5 - LINE * (lines.length - 1) / 2, 'end', lines);
    output.marks = (v.output.marks || []).map(m => ({ m, x: xc(0), y: (output.bottom + lastTop) / 2 }));
    return { wide: false, width: room, height: Y[v.rows] + 74, photo, encoder, middle, ups, output, skip: (piece, up) => [piece.right + 2, up.x - 12, up.y, 0] };
  }

  function layout(v, room) {
    if (room >= WIDE) {
      for (const beside of [true, false]) {
        const f = squeeze(v, room, beside);
        if (f != null && (f > .45 || !beside)) return layoutWide(v, room, f, beside);
      }
    }
    return layoutNarrow(v, Math.max(LEAST, room));
  }

  // ---- Drawing ----
  // One slab: front, top, and the side on which its output is painted.
  function slab(parent, p, { cls = '', picture, soft, hatch }) {
    const g = svg('g', { class: cls }, parent), a = p.y - p.h / 2 + p.rise / 2, b = a + p.h, r = p.x + p.t, ux = p.d, uy = p.rise;
    const front = points([[p.x, a], [r, a], [r, b], [p.x, b]]), top = points([[p.x, a], [r, a], [r + ux, a - uy], [p.x + ux, a - uy]]);
    svg('polygon', { class: 'sd', points: points([[r, a], [r + ux, a - uy], [r + ux, b - uy], [r, b]]) }, g);
    if (picture) svg('image', { href: picture, width: 1, height: 1, preserveAspectRatio: 'none', class: soft ? 'soft' : 'face', transform: `matrix(${ux} ${-uy} 0 ${p.h} ${r} ${a})` }, g);
    svg('polygon', { class: 'fr', points: front }, g);
    svg('polygon', { class: 'tp', points: top }, g);
    if (hatch) for (const face of [front, top]) svg('polygon', { points: face, fill: `url(#${hatch})`, class: 'hatch' }, g);
    return g;
  }

  function write(parent, label) {
    if (!label) return;
    label.lines.forEach(([text, cls], i) => svg('text', { x: label.x, y: label.y + LINE * i, class: cls, 'text-anchor': label.anchor }, parent, text));
  }
  function boxOf({ x, y, anchor, lines }) {
    const width = lineWidth(lines), left = anchor === 'end' ? x - width : anchor === 'middle' ? x - width / 2 : x;
    return [left, y - 11, left + width, y - 11 + LINE * lines.length];
  }

  // The signs: each has its own form, so that none rests on colour alone.
  function sign(parent, kind, x, y, fires) {
    const g = svg('g', { class: 'sign ' + kind + (fires ? ' fires' : '') }, parent), box = size => ({ x: x - size / 2, y: y - size / 2, width: size, height: size, rx: 3 });
    if (kind === 'shuffle') {
      svg('rect', { ...box(16), class: 'body' }, g);
      svg('path', { d: `M${x} ${y - 5}v10M${x - 5} ${y}h10`, class: 'cut' }, g);
    } else if (kind === 'nearest') {
      svg('rect', { ...box(16), class: 'empty' }, g);
      for (const [i, j] of [[0, 0], [1, 0], [0, 1], [1, 1]]) svg('rect', { x: x - 4.5 + 5 * i, y: y - 4.5 + 5 * j, width: 4, height: 4, class: 'cell' }, g);
    } else if (kind === 'transposed') {
      svg('path', { d: `M${x - 3} ${y + 7}h6l5.5-14h-17z`, class: 'body' }, g);
      svg('path', { d: `M${x} ${y + 4}V${y - 5}`, class: 'cut' }, g);
    } else if (kind === 'blur') {
      svg('circle', { cx: x, cy: y, r: 7, class: 'haze' }, g);
      svg('circle', { cx: x, cy: y, r: 4.2, class: 'haze' }, g);
      svg('circle', { cx: x, cy: y, r: 1.8, class: 'core' }, g);
    } else if (kind === 'resize') svg('path', { d: `M${x} ${y - 5.5}l5.5 5.5-5.5 5.5-5.5-5.5z`, class: 'diamond' }, g);
    else if (kind === 'join') {
      svg('circle', { cx: x, cy: y, r: 9, class: 'ring' }, g);
      svg('path', { d: `M${x - 4} ${y}h8M${x} ${y - 4}v8`, class: 'plus' }, g);
    } else if (kind === 'attention') {
      const around = [0, 1, 2, 3, 4].map(k => [x + 6 * Math.sin(k * 1.2566), y - 6 * Math.cos(k * 1.2566)]);
      svg('circle', { cx: x, cy: y, r: 9, class: 'ring' }, g);
      around.forEach((p, i) => around.slice(i + 1).forEach(q => svg('line', { x1: p[0], y1: p[1], x2: q[0], y2: q[1], class: 'ray' }, g)));
      around.forEach(p => svg('circle', { cx: p[0], cy: p[1], r: 1.5, class: 'core' }, g));
    }
    return g;
  }
  const SIGN_NAMES = { shuffle: 'Pixel shuffle', nearest: 'Nearest', transposed: 'Transposed convolution', blur: 'Blur', resize: 'Nearest resize', join: 'Join', attention: 'Self-attention' };

  // ---- The widget ----
  Explorer.wiring = (element, props, trigger, watch, server) => {
    const root = element.querySelector('.wiring');
    const lead = el('div', 'lead', null, root), title = el('h1', '', null, lead), sub = el('p', '', null, lead), more = el('button', 'link tell', 'Text', lead);
    const notes = el('div', 'notes', null, root), pic = el('div', 'pic', null, root), track = el('div', 'track', null, pic);
    const list = el('ol', 'spots', null, track), switches = el('div', 'switches', null, track), keys = el('div', 'keys', null, track);
    const groupKeys = el('ul', 'groups', null, keys), markKeys = el('ul', 'marks', null, keys);
    const twin = el('ol', 'twin sr', null, root), tip = el('div', 'tip', null, root);
    notes.setAttribute('role', 'status');
    list.setAttribute('aria-label', 'The pieces of the network, from photo to output');
    switches.setAttribute('role', 'group');
    switches.setAttribute('aria-label', 'Skips');
    groupKeys.setAttribute('aria-label', 'Parameter groups');
    markKeys.setAttribute('aria-label', 'Signs');
    twin.setAttribute('aria-label', 'The network in words');
    more.type = 'button';
    more.title = 'The picture in words';
    more.setAttribute('aria-expanded', 'false');
    more.onclick = () => more.setAttribute('aria-expanded', String(!twin.classList.toggle('sr')));
    tip.setAttribute('aria-hidden', 'true');
    tip.hidden = true;
    const hatch = 'wires-' + Math.random().toString(36).slice(2, 8);
    let v = OUTLINE, L = null, picture = null, told = '', current = 0, keyed = '', said = '';

    // -- faces: what the stages see, asked for when the picture stands --
    const cache = new Map();
    let waiting = 0, shown = null, pending = null, photo = null;
    function faces() {
      const known = v.faces_key && cache.get(JSON.stringify(v.faces_key));
      if (known) shown = { of: v.faces_key, ...known };
      const same = v.faces_key && shown && shown.of[0] === v.faces_key[0] && shown.of[1] === v.faces_key[1];      // an older size will do meanwhile
      return same && !v.loading ? shown.faces || {} : {};
    }
    function ask() {
      clearTimeout(waiting);
      const key = v.faces_key && JSON.stringify(v.faces_key);
      if (!key || (cache.has(key) && !v.loading) || !server?.faces) return;
      const opened = () => 'opened' in document.documentElement.dataset;      // before that, v is not what this visit's link says
      waiting = setTimeout(() => (opened() ? look(v.faces_key, key) : ask()), v.loading ? 1000 : 250);
    }
    async function look(of, key) {
      if (!v.loading) cache.set(key, null);
      const answer = await Promise.resolve(server.faces(of)).catch(() => null);
      if (key !== JSON.stringify(v.faces_key)) { if (!answer?.faces) cache.delete(key); }
      else if (answer?.pending) {                                  // weights are on their way: ask again
        cache.delete(key);
        pending = answer.pending;
        waiting = setTimeout(() => look(of, key), 1000);
      } else if (v.loading) trigger('act', { id: 'loaded' });
      if (answer?.faces) {
        cache.set(key, answer);
        if (cache.size > 24) cache.delete(cache.keys().next().value);
      }
      if (answer && !answer.pending) pending = null;
      photo = answer?.photo || photo;
      paint();
    }

    // -- painting --
    const partOf = new Map();                                      // what is drawn of each piece, by its id
    const part = (id, parent) => { const g = svg('g', { class: 'part' }, parent); partOf.set(id, [...(partOf.get(id) || []), g]); return g; };
    const group = (name, frozen) => (v.loading ? 'skel' : 'c-' + name + (frozen ? ' frz' : ''));
    const look3 = (state, normal) => (state === 'failed' ? 'c-fail' : state === 'ok' ? normal : 'outline');

    function paint() {
      if (pic.clientWidth < 200) return;
      const began = performance.now(), pad = parseFloat(getComputedStyle(track).marginLeft) || 0, seen = faces();
      L = layout(v, pic.clientWidth - 2 * pad);
      partOf.clear();
      const s = svg('svg', { width: L.width, height: L.height, viewBox: `0 0 ${L.width} ${L.height}`, 'aria-hidden': 'true' });
      const pattern = svg('pattern', { id: hatch, width: 5, height: 5, patternUnits: 'userSpaceOnUse', patternTransform: 'rotate(45)' }, svg('defs', {}, s));
      svg('rect', { width: 1.4, height: 5, class: 'stroke' }, pattern);
      const chosen = svg('g', {}, s), back = svg('g', {}, s), front = svg('g', {}, s);
      picture = { svg: s, chosen, marks: [], boxes: [] };
      drawEncoder(back, front, seen);
      drawMiddle(back, front, seen);
      drawUps(back, front, seen);
      drawSkips(back);
      track.style.width = L.width + 'px';
      track.querySelector('svg')?.remove();
      track.prepend(s);
      root.classList.toggle('narrow', !L.wide);
      root.classList.toggle('broken', Boolean(v.failure) || v.encoder === NOTHING.encoder);
      flip();
      spots();
      legend();
      select();
      words();
      element.dataset.painted = String(performance.now());
      element.dataset.took = (performance.now() - began).toFixed(1);
    }
    const note = label => { if (label) picture.boxes.push(boxOf(label)); };

    function drawEncoder(back, front, seen) {
      const all = [L.photo, ...L.encoder];
      const g = part('photo', front);
      slab(g, L.photo, { cls: 'c-photo', picture: v.picture || photo, soft: true });
      write(g, L.photo.label);
      note(L.photo.label);
      v.encoder.forEach((e, i) => {
        const p = L.encoder[i], q = all[i], id = 'e' + i, line = part(id, back), on = part(id, front), dashed = e.state === 'unknown' || e.state === 'outline' ? ' dashed' : '';
        const d = L.wide ? `M${q.right - 8} ${q.bottom - q.rise - 6}Q${q.right - 2} ${p.y - 8} ${p.x + p.t + 4} ${p.y - 8}`
          : `M${q.x + q.t + 4} ${q.bottom - 8}C${q.x + q.t + 4} ${p.top - 8} ${p.x + p.t + 4} ${p.top - 16} ${p.x + p.t + 4} ${p.top + 8}`;
        svg('path', { class: 'flow' + dashed, d }, line);
        slab(on, p, { cls: look3(e.state, group(e.group, e.frozen)), picture: e.state === 'ok' && seen[e.qual], hatch: e.frozen && e.state === 'ok' && !v.loading && hatch });
        if (e.state === 'failed') svg('path', { class: 'cross', d: `M${p.x - 4} ${p.top - 4}l8 8m0-8l-8 8` }, on);
        on.classList.toggle('failed', e.state === 'failed');
        write(on, p.label);
        note(p.label);
      });
    }

    function drawMiddle(back, front, seen) {
      const last = L.encoder.at(-1), m = L.middle;
      if (!m) return;
      const line = part('m', back), on = part('m', front), runs = v.middle.state === 'ok';
      svg('path', { class: 'up' + (runs ? '' : ' dashed'), d: `M${last.right - 4} ${m.y}H${m.mids[1].x}` }, line);
      m.mids.forEach((p, k) => slab(on, p, { cls: look3(v.middle.state, group('head')), picture: k && runs && seen[v.middle.qual] }));
      write(on, m.label);
      note(m.label);
    }

    function drawUps(back, front, seen) {
      let from = L.middle ? { x: L.middle.right, y: L.middle.y, top: L.middle.mids[1].top } : { x: L.encoder.at(-1)?.right ?? L.photo.right, y: L.encoder.at(-1)?.y ?? L.photo.y };
      let bottom = true;
      L.ups.forEach((p, k) => {
        const up = v.ups[k], id = 'u' + k, line = part(id, back), on = part(id, front), runs = up.state === 'ok', cls = 'up' + (runs ? '' : ' dashed');
        const lowest = p.marks[0]?.y ?? p.y + 30, end = p.slab ? p.slab.x : p.x + 20;
        if (L.wide) svg('path', { class: cls, d: `M${from.x - 3} ${from.y}C${p.x - 8} ${from.y} ${p.x} ${from.y - 6} ${p.x} ${Math.min(lowest + 8, from.y - 8)}V${p.y}H${end + 4}` }, line);
        else if (bottom) svg('path', { class: cls, d: `M${from.x - 3} ${from.y}H${p.x - 14}Q${p.x} ${from.y} ${p.x} ${from.y - 14}V${p.y - 14}` }, line);
        else svg('path', { class: cls, d: `M${from.x} ${from.y}C${from.x} ${from.y - 14} ${p.x} ${lowest + 22} ${p.x} ${lowest + 6}V${p.y - 14}` }, line);
        p.marks.forEach(mark => addSign(on, mark.m, mark.x, mark.y));
        if (up.join === 'on') addSign(on, { kind: 'join', qual: up.join_qual, words: up.cross ? 'the photo and the map, side by side' : 'skip and upsampled channels, side by side' }, p.x, p.y);
        else if (up.join === 'off') svg('circle', { cx: p.x, cy: p.y, r: 4, class: 'dot' }, on);
        if (p.slab) slab(on, p.slab, { cls: look3(up.state, group('head')), picture: runs && seen[up.qual] });
        if (p.slab && up.attention) addSign(on, { kind: 'attention', qual: up.qual + '.conv2', words: 'every cell sees every other' }, (L.wide ? (p.slab.x + p.slab.right) / 2 : p.slab.right - 2), p.slab.top + (L.wide ? -8 : 4));
        write(on, p.label);
        note(p.label);
        from = L.wide ? { x: p.slab ? p.slab.right : p.x + 20, y: p.y } : { x: p.slab ? (p.slab.x + p.slab.right) / 2 : p.x, y: p.slab ? p.slab.top + p.slab.rise : p.y };
        bottom = false;
      });
      const o = L.output, line = part('out', back), on = part('out', front), runs = v.output.state === 'ok', cls = 'up' + (runs ? '' : ' dashed');
      if (bottom && !L.ups.length) return;
      svg('path', { class: cls, d: L.wide ? `M${from.x - 4} ${o.y}H${o.x + 4}` : `M${from.x} ${from.y}V${o.bottom - 8}` }, line);
      slab(on, o, { cls: look3(v.output.state, group('head')), picture: runs && (seen.output || seen[v.output.qual]), soft: true });
      o.marks.forEach(mark => addSign(on, mark.m, mark.x, mark.y));
      write(on, o.label);
      note(o.label);
    }

    function addSign(parent, mark, x, y) {
      const g = sign(parent, mark.kind, x, y, mark.fires), name = SIGN_NAMES[mark.kind];
      g.sign = { name, words: mark.words || (mark.kind === 'blur' ? 'the mean of 2×2 neighbours' : 'doubles height and width'), qual: mark.qual, x, y };
      picture.marks.push(g);
    }

    // Skips, level; the picture's own is the last.
    function wires() {
      const all = v.skips.map((skip, k) => ({ id: 's' + k, key: 'skip' + skip.number, skip, piece: L.encoder[skip.source], up: L.ups[skip.block - 1] }));
      const top = v.ups.findIndex(up => up.cross);
      if (top >= 0) {
        const up = v.ups[top];
        all.push({ id: 'cross', key: 'cross', piece: L.photo, up: L.ups[top], skip: { on: up.join === 'on', channels: up.channels, words: up.words, prefix: 'last_cross ', name: 'last_cross, the photo to the end',
          say: `last_cross: the photo itself joins at the end, ${up.words}`, facts: [['carries', up.words], ['into', up.join === 'on' ? up.name : 'off'], ['joined', up.join === 'on' ? dims(up.shape) : 'off']] } });
      }
      return all.filter(({ piece, up }) => piece && up);
    }
    function drawSkips(back) {
      for (const { id, skip, piece, up } of wires()) {
        const g = part(id, back), [a, b, y, lift] = L.skip(piece, up), mid = (a + b) / 2;
        svg('path', { class: 'skip' + (v.failure ? ' ghost' : skip.on ? '' : ' off'), d: `M${a} ${y}Q${mid} ${y - lift} ${b - (skip.on ? 5 : 0)} ${y - (skip.on ? 1 : 0)}`, ...(skip.on ? { 'stroke-width': broad(skip.channels).toFixed(1) } : {}) }, g);
        if (skip.on && !v.failure) svg('path', { d: `M${b - 6} ${y - 5}l8 5-8 4.4z`, class: 'tipoff' }, g);
      }
    }

    // -- the switches on the skips: kept from drawing to drawing, so that none loses the focus --
    const wanted = new Map(), held = new Map();
    function flip() {
      const all = wires(), now = new Set(all.map(w => w.key));
      for (const [key, b] of held) if (!now.has(key)) { b.remove(); held.delete(key); }
      for (const w of all) {
        let b = held.get(w.key);
        if (!b) {
          b = el('button', 'swt', null, switches);
          b.type = 'button';
          b.setAttribute('role', 'switch');
          el('i', '', null, b);
          el('span', '', null, b);
          b.onclick = () => toggle(b.wire);
          held.set(w.key, b);
        }
        b.wire = w;
        const on = wanted.get(w.key) ?? w.skip.on, [a, end, y, lift] = L.skip(w.piece, w.up), room = end - a;
        const text = ['' + (w.skip.prefix || '') + w.skip.words + (on ? '' : ', off'), w.skip.words + (on ? '' : ', off'), w.skip.words, '']
          .find(t => !t || (L.wide && textWidth(t, true) + 76 <= room));
        b.setAttribute('aria-checked', String(on));
        if (b.getAttribute('aria-label') !== w.skip.say) b.setAttribute('aria-label', w.skip.say);
        if (b.lastChild.textContent !== text) b.lastChild.textContent = text;
        b.disabled = Boolean(v.failure);
        Object.assign(b.style, { left: (a + end) / 2 + 'px', top: y - lift / 2 + 'px' });
      }
      [...all].reverse().forEach((w, i) => { const b = held.get(w.key); if (switches.children[i] !== b && document.activeElement !== b) switches.insertBefore(b, switches.children[i]); });
    }
    function toggle(w) {
      const on = !(wanted.get(w.key) ?? w.skip.on);
      wanted.set(w.key, on);
      flip();
      if (w.key === 'cross') trigger('cross', { on });
      else {
        const off = v.skips.filter(s => !(wanted.get('skip' + s.number) ?? s.on)).map(s => s.number);
        trigger('skip', { skip: w.skip.number, on, off });
      }
    }

    // -- words: title, cards, legend, the list of sentences --
    function words() {
      title.textContent = v.headline;
      sub.textContent = v.subline;
      const all = [v.failure && { kind: 'failed', icon: 'warn', title: v.failure.title, text: v.failure.text },
        v.loading && pending && { kind: 'info', title: pending.text, text: pending.total ? `${(pending.done / 1e6).toFixed(0)} of ${(pending.total / 1e6).toFixed(0)} MB` : '' }, v.notice];
      const say = JSON.stringify([all, v.failure?.fix]);
      if (say !== told) {                                          // an unchanged card is not read out again
        told = say;
        notes.replaceChildren(...all.filter(Boolean).map(card));
      }
      const lines = pieces().map(p => p.v.say).filter(Boolean), text = lines.join('\n');
      if (text !== said) {
        said = text;
        twin.replaceChildren(...lines.map(line => el('li', '', line)));
      }
    }
    function card(one) {
      const box = el('div', 'note ' + one.kind), p = el('p', '', null, null);
      const button = (text, cls, act) => { const b = el('button', 'btn ' + cls, text, box); b.type = 'button'; b.onclick = act; };
      box.append(icon(one.icon || (one.kind === 'offline' ? 'offline' : 'info')), p);
      el('b', '', one.title, p);
      if (one.text) p.append(el('br'), one.text);
      if (one.kind === 'failed') {
        button('Show', '', () => pick(v.failure.qual));
        if (v.failure.fix) button(v.failure.fix, 'mend', () => trigger('mend', {}));
      }
      for (const { id, label } of one.actions || []) button(label, '', () => trigger('act', { id }));
      return box;
    }
    // The keys stand in the two empty corners where they fit, else below the picture.
    function legend() {
      const say = JSON.stringify([v.groups, v.marks]);
      if (say !== keyed) {
        keyed = say;
        groupKeys.replaceChildren(...v.groups.map(g => { const li = el('li', 'c-' + g.group); el('i', 'bar', null, li); el('span', '', g.words, li); return li; }));
        markKeys.replaceChildren(...v.marks.map(m => {
          const li = el('li', ''), s = svg('svg', { width: 20, height: 20, viewBox: '0 0 20 20', 'aria-hidden': 'true' }, li);
          sign(s, m.kind, 10, 10, m.fires);
          el('span', '', m.words, li);
          return li;
        }));
      }
      const wide = Math.max(0, ...v.groups.map(g => textWidth(g.words))) + 24, marks = Math.max(0, ...v.marks.map(m => textWidth(m.words))) + 40;
      const boxes = [...picture.boxes, ...[...L.encoder, ...(L.middle?.mids || []), ...L.ups.map(u => u.slab).filter(Boolean)].map(p => [p.x, p.top, p.right, p.bottom])];
      const free = (x0, y0, x1, y1) => x0 > 0 && boxes.every(([a, b, c, d]) => c < x0 || a > x1 || d < y0 || b > y1);
      const tall = n => L.height - 22 * n - 4;
      const left = L.wide && free(1, tall(v.groups.length) - 4, wide + 16, L.height);
      // The signs may stand a little lower than the picture ends.
      const drop = L.wide && L.width - marks > (L.ups[0]?.x ?? 0) + 24 ? [0, 11, 22, 33, 44, 55, 66].find(d => free(L.width - marks - 12, tall(v.marks.length) - 4 + d, L.width + 200, L.height + d)) : null;
      const right = drop != null;
      L.height += drop || 0;
      const above = !L.wide && free(1, 2, wide + 12, 22 * v.groups.length + 6);
      groupKeys.className = 'groups' + (left ? ' corner' : above ? ' above' : '');
      markKeys.className = 'marks' + (right ? ' corner' : '');
      groupKeys.style.top = left ? tall(v.groups.length) - (drop || 0) + 'px' : '';
      markKeys.style.top = right ? tall(v.marks.length) + 'px' : '';
      track.style.paddingTop = L.height + 'px';
    }

    // -- the list over the picture: a button for each piece --
    const pieces = () => [
      { id: 'photo', v: v.photo, p: L.photo, head: 'photo' },
      ...v.encoder.map((e, i) => ({ id: 'e' + i, v: e, p: L.encoder[i], head: e.name })),
      ...(v.middle ? [{ id: 'm', v: v.middle, p: L.middle, head: v.middle.name }] : []),
      ...v.ups.map((u, k) => ({ id: 'u' + k, v: u, p: L.ups[k].slab ?? { x: L.ups[k].x - 10, right: L.ups[k].x + 12, top: L.ups[k].y - 12, bottom: L.ups[k].y + 30 }, head: u.name || 'full size' })),
      { id: 'out', v: v.output, p: L.output, head: v.output.name },
    ].filter(one => one.p);
    function spots() {
      const all = v.encoder === NOTHING.encoder ? [] : pieces();
      while (list.children.length > all.length) list.lastChild.remove();
      current = Math.max(0, Math.min(current, all.length - 1));
      all.forEach((one, k) => {
        const b = list.children[k]?.firstChild ?? el('button', 'spot', null, el('li', '', null, list)), say = one.head + (one.v.shape ? ', ' + dims(one.v.shape) : '');
        b.type = 'button';
        b.one = one;
        b.tabIndex = k === current ? 0 : -1;
        if (b.textContent !== say) b.textContent = say;
        Object.assign(b.style, { left: one.p.x - 3 + 'px', width: one.p.right - one.p.x + 6 + 'px', top: one.p.top - 3 + 'px', height: one.p.bottom - one.p.top + 6 + 'px' });
      });
      picture.spots = all;
    }
    // A soft field behind what is picked, a ring round a sign.
    function select() {
      const q = Explorer.picked;
      const mine = q ? picture.spots.filter(one => one.v.quals?.some(own => isIn(q, own) || isIn(own, q))) : [];
      picture.chosen.replaceChildren();
      for (const { p } of mine) svg('rect', { class: 'column', x: p.x - 7, y: p.top - 7, width: p.right - p.x + 14, height: p.bottom - p.top + 14, rx: 8 }, picture.chosen);
      picture.spots.forEach((one, k) => list.children[k].firstChild.setAttribute('aria-current', String(mine.includes(one))));
      for (const g of picture.marks) g.classList.toggle('picked', Boolean(q && g.sign.qual && isIn(q, g.sign.qual)));
    }
    onPick(() => { if (picture?.spots) select(); });

    // -- one tensor from image to output: everything else steps back --
    function follow(id) {
      const n = v.encoder.length, last = v.ups.length - 1, way = new Set(['photo', 'out']);
      const down = i => { for (let k = 0; k <= i; k++) way.add('e' + k); }, rise = k => { for (; k <= last; k++) way.add('u' + k); };
      const through = k => { const s = v.skips[k]; down(s.source); way.add('s' + k); rise(s.block - 1); };
      const whole = () => { down(n - 1); way.add('m'); rise(0); };
      const kind = id[0] === 'e' || id[0] === 's' || id[0] === 'u' ? id[0] : id, i = +id.slice(1);
      const taken = kind === 'e' ? v.skips.findIndex(s => s.source === i && s.on) : -1;
      if (kind === 's') through(i);
      else if (taken >= 0) through(taken);
      else if (kind === 'cross' || (kind === 'photo' && v.ups.some(u => u.cross && u.join === 'on'))) { way.add('cross'); rise(last); }
      else if (kind === 'u') {
        whole();
        v.skips.forEach((s, k) => { if (s.on && s.block - 1 <= i) way.add('s' + k); });
        if (v.ups[i].cross && v.ups[i].join === 'on') way.add('cross');
      } else whole();
      root.classList.add('following');
      for (const [key, parts] of partOf) for (const g of parts) g.classList.toggle('dim', !way.has(key));
      for (const b of held.values()) b.classList.toggle('dim', !way.has(b.wire.id));
    }
    function show(anchor, head, what, facts) {
      tip.replaceChildren();
      el('b', '', head, tip);
      if (what) tip.append(', ' + what);
      if (facts?.length) {
        const dl = el('dl', '', null, tip);
        for (const [name, value] of facts) { const d = el('div', '', null, dl); el('dt', '', name, d); el('dd', '', value, d); }
      }
      tip.hidden = false;
      const home = root.getBoundingClientRect(), box = track.getBoundingClientRect(), mid = box.left - home.left + (anchor.x0 + anchor.x1) / 2;
      const left = Math.max(0, Math.min(home.width - tip.offsetWidth, mid - tip.offsetWidth / 2)), over = box.top - home.top + anchor.top - tip.offsetHeight - 8;
      const below = over < 0 && anchor.bottom != null;
      tip.classList.toggle('below', below);
      tip.style.left = left + 'px';
      tip.style.top = (below ? box.top - home.top + anchor.bottom + 8 : over) + 'px';
      tip.style.setProperty('--at', mid - left + 'px');
    }
    function hide() {
      tip.hidden = true;
      root.classList.remove('following');
      for (const parts of partOf.values()) for (const g of parts) g.classList.remove('dim');
      for (const b of held.values()) b.classList.remove('dim');
    }
    const area = p => ({ x0: p.x, x1: p.right, top: p.top, bottom: p.bottom });
    const showPiece = one => { follow(one.id); show(area(one.p), one.head, one.v.group ? `${one.v.group} body${one.v.frozen ? ', frozen' : ''}` : '', one.v.facts); };
    const showWire = b => {
      const w = b.wire, x = parseFloat(b.style.left), y = parseFloat(b.style.top);
      follow(w.id);
      show({ x0: x, x1: x, top: y - 12, bottom: y + 12 }, w.skip.name, '', w.skip.facts);
    };
    const spotOf = e => e.target.closest?.('.spot'), switchOf = e => e.target.closest?.('.swt'), signOf = e => e.target.closest?.('.sign');
    function over(e) {
      const spot = spotOf(e), swt = switchOf(e), g = signOf(e);
      if (spot) showPiece(spot.one);
      else if (swt) showWire(swt);
      else if (g?.sign) show({ x0: g.sign.x, x1: g.sign.x, top: g.sign.y - 9, bottom: g.sign.y + 9 }, g.sign.name, g.sign.words);
    }
    track.addEventListener('pointerover', over);
    track.addEventListener('pointerout', hide);
    track.addEventListener('focusin', e => { if (e.target.matches(':focus-visible')) over(e); });
    track.addEventListener('focusout', hide);
    track.addEventListener('click', e => {
      const spot = spotOf(e), g = signOf(e);
      if (spot) { roam([...list.children].indexOf(spot.parentNode), false); if (spot.one.v.qual) pick(spot.one.v.qual); }
      else if (g?.sign?.qual) pick(g.sign.qual);
    });
    track.addEventListener('keydown', e => { if (e.key === 'Escape') hide(); });
    list.addEventListener('keydown', e => {
      const last = picture.spots.length - 1, to = { ArrowLeft: current - 1, ArrowUp: current - 1, ArrowRight: current + 1, ArrowDown: current + 1, Home: 0, End: last }[e.key];
      if (to == null) return;
      roam(Math.max(0, Math.min(last, to)), true);
      e.preventDefault();
    });
    function roam(k, focus) {
      current = k;
      picture.spots.forEach((_, i) => { list.children[i].firstChild.tabIndex = i === k ? 0 : -1; });
      if (focus) list.children[k].firstChild.focus();
    }

    function update(value) {
      const pointed = root.classList.contains('following') && track.querySelector('.spot:hover, .swt:hover, .spot:focus-visible, .swt:focus-visible');
      v = value.rows ? value : { ...OUTLINE, ...value, ...NOTHING };
      wanted.clear();
      hide();
      paint();
      if (pointed?.isConnected && pointed.one) showPiece(pointed.one);      // what one points at is told anew
      else if (pointed?.isConnected) showWire(pointed);
      ask();
    }
    fit(pic, paint);
    live(element, props, watch, update);
    if (v === OUTLINE) paint();
  };
})();
