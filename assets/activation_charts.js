// Drawings of one answer about activations: histogram, bars of a vector, and the line across the network.
Explorer.activationCharts = (() => {
  const { el, svg } = Explorer, groupClass = group => Explorer.groupClass(group);

  // 0.01234 -> "0.0123", -1234.5 -> "−1234": three digits that count.
  function flat(v) {
    if (v == null) return '–';
    const a = Math.abs(v), text = a === 0 ? '0' : a < .001 || a >= 1e5 ? a.toExponential(1).replace('e', 'e').replace('+', '') : a >= 100 ? a.toFixed(0) : String(+a.toPrecision(3));
    return (v < 0 && a ? '−' : '') + text;
  }
  const percent = p => (p > 0 && p < .01 ? '< 1\u202f%' : `${Math.round(100 * p)}\u202f%`);

  // A drawing one can go through by pointer and keys: at(i) is told where, choose(i) what was clicked or entered.
  function scan(box, { count, now, locate, at, choose, leave }) {
    let place = now;
    const go = i => {
      place = Math.max(0, Math.min(count - 1, i));
      box.setAttribute('aria-valuenow', place);
      box.setAttribute('aria-valuetext', at(place));
    };
    box.tabIndex = 0;
    box.setAttribute('role', 'slider');
    box.setAttribute('aria-valuemin', 0);
    box.setAttribute('aria-valuemax', count - 1);
    box.setAttribute('aria-valuenow', place);
    box.onpointermove = event => go(locate(event.clientX - box.getBoundingClientRect().left));
    box.onpointerleave = () => { place = now; leave(); };
    box.onfocus = () => { if (box.matches(':focus-visible')) go(place); };
    box.onblur = leave;
    box.onclick = event => choose?.(locate(event.clientX - box.getBoundingClientRect().left));
    box.onkeydown = event => {
      const to = { ArrowLeft: place - 1, ArrowRight: place + 1, Home: 0, End: count - 1, PageUp: place - 10, PageDown: place + 10 }[event.key];
      if (to !== undefined) { event.preventDefault(); go(to); }
      if ((event.key === 'Enter' || event.key === ' ') && choose) { event.preventDefault(); choose(place); }
    };
  }

  // A figure's parts: caption, drawing, words below; made once.
  function parts(root, name) {
    if (!root.firstChild) {
      el('figcaption', '', name, root);
      el('div', 'canvas', null, root);
      el('p', 'help', null, root);
    }
    return [...root.children];
  }

  // How often values occur. A bar far above all others (the zeros behind a ReLU) is cut, and says how much it is.
  function figure(root, { histogram: { low, high, counts }, layer }) {
    const [, canvas, help] = parts(root, 'Values'), width = canvas.clientWidth, height = 128, foot = 20;
    const total = counts.reduce((a, b) => a + b, 0) || 1, sorted = [...counts].sort((a, b) => b - a);
    const cut = sorted[0] > 3 * sorted[1] && sorted[1] > 0, most = cut ? sorted[1] * 1.6 : sorted[0] || 1;
    const X = v => (v - low) / (high - low || 1) * width, step = width / counts.length, room = height - foot - 14;
    const s = svg('svg', { width, height, viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' });
    counts.forEach((n, i) => {
      const h = Math.min(1, n / most) * room;
      if (n) svg('rect', { x: i * step + .5, y: height - foot - Math.max(1, h), width: Math.max(1, step - 1), height: Math.max(1, h), class: 'count' }, s);
    });
    svg('path', { d: `M0 ${height - foot + .5}H${width}`, class: 'axis' }, s);
    const zero = low < 0 && high > 0;
    if (zero) svg('path', { d: `M${X(0)} 12V${height - foot}`, class: 'zero' }, s);
    if (cut) {
      const i = counts.indexOf(sorted[0]), right = i > counts.length / 2;
      svg('path', { d: `M${i * step - 1} ${height - foot - room * .86}l${step + 2} -5`, class: 'cutmark' }, s);
      svg('text', { x: right ? i * step - 6 : (i + 1) * step + 6, y: 22, 'text-anchor': right ? 'end' : 'start' }, s, `${percent(sorted[0] / total)} here`);
    }
    svg('text', { x: 0, y: height - 5 }, s, flat(low));
    svg('text', { x: width, y: height - 5, 'text-anchor': 'end' }, s, flat(high));
    if (zero && X(0) > 44 && X(0) < width - 44) svg('text', { x: X(0), y: height - 5, 'text-anchor': 'middle' }, s, '0');
    canvas.replaceChildren(s);
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', `Histogram of ${layer.name}: values from ${flat(low)} to ${flat(high)}, most of them near ${flat(low + (counts.indexOf(sorted[0]) + .5) * (high - low) / counts.length)}`);
    help.textContent = 'How often each value occurs in this layer.';
  }

  // A vector: a bar a number, up or down from zero.
  function bars(root, { values, channels }, words, hint, rule) {
    const box = el('div', 'bars', null, root), top = Math.max(0, ...values), bottom = Math.min(0, ...values), span = top - bottom || 1;
    box.setAttribute('aria-label', 'Numbers of this layer, the largest first');
    box.style.setProperty('--zero', `${100 * top / span}%`);
    const all = values.map(v => {
      const bar = el('i', v < 0 ? 'down' : '', null, box);
      bar.style.setProperty('--from', `${100 * (top - Math.max(v, 0)) / span}%`);
      bar.style.setProperty('--long', `${100 * Math.abs(v) / span}%`);
      return bar;
    });
    let marked = null;
    const leave = () => { marked?.classList.remove('at'); hint.textContent = rule(); };
    scan(box, {
      count: channels.length, now: 0, leave,
      locate: x => Math.floor(x / box.clientWidth * channels.length),
      at: i => {
        marked?.classList.remove('at');
        marked = all[i];
        marked.classList.add('at');
        hint.textContent = words(i)[0].toUpperCase() + words(i).slice(1);
        return words(i);
      },
    });
  }

  // Mean (line) and one std to either side (band) of every layer in the order of the run, below it the share of dead
  // channels. Heights are asinh of the value over the typical std, so that layers of any scale can be read side by side.
  // `all` are the networks that share one scale, the first of them typical; `before` is drawn as dotted lines behind.
  function line(root, { network, layer, before, all = [network] }, choose) {
    const { quals, names, groups, cls, means, stds, dead } = network;
    const [, canvas, help] = parts(root, 'Across the network'), width = canvas.clientWidth, n = quals.length;
    const left = 34, right = 6, high = 118, gap = 14, low = 34, height = high + gap + low + 12, inner = width - left - right;
    const known = all[0].stds.filter(v => v > 0).sort((a, b) => a - b), unit = known[known.length >> 1] || 1;
    const bend = v => Math.asinh(v / unit), edge = (of, side) => of.means.map((m, i) => bend((m ?? 0) + side * (of.stds[i] ?? 0)));
    const tops = edge(network, 1), bottoms = edge(network, -1);
    const top = Math.max(.5, ...all.flatMap(of => edge(of, 1))), bottom = Math.min(-.5, ...all.flatMap(of => edge(of, -1)));
    const X = i => left + (n > 1 ? i / (n - 1) : .5) * inner, Y = b => 6 + (top - b) / (top - bottom) * (high - 12);
    const s = svg('svg', { width, height, viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' });
    for (const v of marks(unit, top, bottom)) {
      const y = Y(bend(v));
      svg('path', { d: `M${left} ${y}H${width - right}`, class: v ? 'rule' : 'axis' }, s);
      svg('text', { x: left - 6, y: y + 4, 'text-anchor': 'end' }, s, flat(v));
    }
    const along = list => list.map((b, i) => `${X(i).toFixed(1)} ${Y(b).toFixed(1)}`).join('L');
    svg('path', { d: `M${along(tops)}L${bottoms.map((b, i) => `${X(i).toFixed(1)} ${Y(b).toFixed(1)}`).reverse().join('L')}Z`, class: 'band' }, s);
    if (before) for (const side of [-1, 0, 1]) svg('path', { d: `M${along(edge(before, side))}`, class: side ? 'was edge' : 'was' }, s);
    svg('path', { d: `M${along(edge(network, 0))}`, class: n > inner / 2.5 ? 'mean dense' : 'mean' }, s);
    const base = high + gap + low, worst = Math.max(.1, Math.ceil(10 * Math.max(...all.flatMap(of => of.dead))) / 10), wide = Math.max(1, Math.min(8, inner / n - 1));
    svg('path', { d: `M${left} ${base + .5}H${width - right}`, class: 'axis' }, s);
    dead.forEach((p, i) => { if (p) svg('rect', { x: X(i) - wide / 2, y: base - Math.max(1, p / worst * low), width: wide, height: Math.max(1, p / worst * low), class: 'gone' }, s); });
    before?.dead.forEach((p, i) => { if (p) svg('path', { d: `M${X(i) - wide / 2 - 1} ${base - p / worst * low}h${wide + 2}`, class: 'was' }, s); });
    svg('text', { x: left - 6, y: base - low + 6, 'text-anchor': 'end' }, s, percent(worst));
    svg('text', { x: left - 6, y: base + 2, 'text-anchor': 'end' }, s, '0');
    const half = inner / Math.max(1, n - 1) / 2 - 1;
    for (let i = 0, from = 0; i < n; i += 1) {                  // the groups' colours below
      if (groups[i + 1] === groups[i] && i < n - 1) continue;
      const a = X(from) - (from ? half : 0), b = X(i) + (i < n - 1 ? half : 0);
      svg('rect', { x: a, y: base + 5, width: Math.max(2, b - a), height: 3, rx: 1.5, class: `group ${groupClass(groups[i])}` }, s);
      from = i + 1;
    }
    const inside = quals.map((q, i) => (layer && Explorer.isIn(q, layer.qual) ? i : -1)).filter(i => i >= 0);
    if (inside.length) {
      const [a, b] = [X(inside[0]), X(inside.at(-1))];
      svg('rect', { x: a - 3, y: 0, width: b - a + 6, height: base, rx: 3, class: 'picked' }, s);
      svg('circle', { cx: b, cy: Y(bend(means[inside.at(-1)] ?? 0)), r: 3.5, class: 'dot' }, s);
    }
    const cursor = svg('path', { class: 'cursor', d: '' }, s);
    canvas.replaceChildren(s);
    canvas.setAttribute('aria-label', `Mean, spread and dead channels of ${n} layers, from the picture to the output. Enter picks a layer.`);
    const words = i => `${names[i]} (${cls[i]}): mean ${flat(means[i])}, std ${flat(stds[i])}${dead[i] ? `, ${percent(dead[i])} dead` : ''}`;
    const rest = () => { cursor.setAttribute('d', ''); help.textContent = `Mean (line), one std to either side (band), dead channels (bars).${before ? ' Dotted: before training.' : ''} Click a layer to look at it.`; };
    rest();
    scan(canvas, {
      count: n, now: Math.max(0, inside.at(-1) ?? 0), leave: rest, choose: i => choose(quals[i]),
      locate: x => Math.max(0, Math.min(n - 1, Math.round((x - left) / inner * (n - 1)))),
      at: i => {
        cursor.setAttribute('d', `M${X(i)} 0V${base}`);
        help.textContent = words(i);
        return words(i);
      },
    });
  }

  // Zero, and powers of ten near the typical value and the ends, where their words do not touch.
  function marks(unit, top, bottom) {
    const most = Math.sinh(Math.max(top, -bottom)) * unit, found = [0];
    for (let p = Math.floor(Math.log10(most)); p > Math.log10(unit) - 1 && found.length < 5; p -= 1) found.push(10 ** p, -(10 ** p));
    const bend = v => Math.asinh(v / unit), apart = (top - bottom) / 7, kept = [];
    for (const v of found) if (bend(v) <= top && bend(v) >= bottom && kept.every(k => Math.abs(bend(k) - bend(v)) >= apart)) kept.push(v);
    return kept;
  }

  return { figure, bars, line, flat, percent };
})();
