// Curves of a run. Plotly draws them once its bundle is there; until then, and where it cannot be had, plain SVG lines do.
// Layout, line styles and the style of the words come from explorer/views/curves.py: base().
Explorer.charts = (() => {
  const { el, svg } = Explorer;
  const HEIGHT = 208, MAX_POINTS = 500, MAX_DOTS = 40, CONFIG = { displayModeBar: false, doubleClick: 'reset', typesetMath: false };

  const metric = epoch => Explorer.history.metric(epoch);
  const TITLES = { accuracy: 'Accuracy', psnr: 'PSNR, dB', ssim: 'SSIM', miou: 'mIoU', style: 'Style loss' };
  const OPEN = ['psnr', 'style', 'content'];                 // no shares: their axis fits their values
  const FIRST = { segmentation: 'miou', super_resolution: 'psnr', colour: 'psnr', style: 'style', style_image: 'style' };

  // Which number the right chart shows, or will, and what it is called.
  // `task` is the page's, for a run that has not said which it is.
  const metricName = (run, task) => (run.epochs.length ? metric(run.epochs.at(-1))[0] : FIRST[run.pictured?.task ?? task] ?? 'accuracy');
  function title(run, task) {
    const name = metricName(run, task);
    return TITLES[name] ?? name;
  }

  // 0.58, and 0.034: small numbers have one more place.
  const fine = v => v.toFixed(Math.abs(v) < 0.1 ? 3 : 2);

  // Both ends of an axis that these values fit on.
  function fitting(values) {
    const found = values.filter(v => v != null), known = found.length ? found : [0, 1], low = Math.min(...known), high = Math.max(...known);
    const room = Math.max(0.15 * (high - low), 0.012 * Math.abs(high)) || 1;      // 21.4 and 21.6, not 21.51 and 21.52
    return [low - room, high + room];
  }

  let bundle = null;
  // Plotly from our own server, fetched once; null where that fails.
  function load(url) {
    bundle ||= new Promise(resolve => {
      if (!url) { resolve(null); return; }
      const script = el('script');
      script.src = url;
      script.onload = () => resolve(window.Plotly ?? null);
      script.onerror = () => resolve(null);
      document.head.append(script);
    });
    return bundle;
  }

  // At most `limit` points of x from..to that keep the look of a line: of each bucket the lowest and the highest, in order.
  function thin(x, y, [from, to] = [-Infinity, Infinity], limit = MAX_POINTS) {
    let first = 0, end = x.length;
    while (first < end - 1 && x[first + 1] < from) first += 1;
    while (end > first + 1 && x[end - 2] > to) end -= 1;
    if (end - first <= limit) return { x: x.slice(first, end), y: y.slice(first, end) };
    const size = Math.ceil(2 * (end - first) / limit), keep = new Set([first]);
    for (let start = first; start < end; start += size) {
      let low = start, high = start;
      for (let i = start; i < Math.min(start + size, end); i += 1) {
        if (y[i] < y[low]) low = i;
        if (y[i] > y[high]) high = i;
      }
      keep.add(Math.min(low, high)).add(Math.max(low, high));
    }
    const at = [...keep.add(end - 1)];
    return { x: at.map(i => x[i]), y: at.map(i => y[i]) };
  }

  // Points of every line, by the names of the traces. A loss is known at the end of its step, a rate holds from its beginning.
  function points(run, epochs, plan, range) {
    const each = run.started?.steps_per_epoch ?? 1, at = run.steps.map(step => step / each), before = run.steps.map(step => (step - 1) / each), done = run.epochs.map(e => e.epoch);
    return {
      batches: thin(at, run.losses, range),
      train: thin(at, run.smooth, range),
      valid: { x: done, y: run.epochs.map(e => e.valid_loss) },
      rate: thin(before, run.lrs, range),
      plan: { x: plan.map((_, i) => epochs * i / plan.length), y: plan },
      accuracy: { x: done, y: run.epochs.map(e => metric(e)[1]) },
    };
  }

  const guesses = run => run.started && run.started.weights.startsWith('random') && run.started.classes.length > 1;

  // The words at the lines, as views/curves.py places them.
  function words(run, lines, labels, epochs) {
    const placed = [];
    const put = (name, i, text, above) => {
      const { x, y } = lines[name], right = x.at(i) > 0.6 * epochs;
      const place = { xanchor: right ? 'right' : 'left', yanchor: above ? 'bottom' : 'top', yshift: above ? 4 : -4 };
      placed.push({ ...place, ...labels[name], x: x.at(i), y: y.at(i), text });
    };
    if (run.steps.length > 1) {
      const third = Math.floor(lines.train.x.length / 3);
      const near = lines.valid.y[Math.min(Math.max(0, Math.round(lines.train.x[third]) - 1), lines.valid.y.length - 1)];
      put('train', third, 'train', !(near > lines.train.y[third]));
      put('rate', -1, 'rate', true);
    }
    const last = run.epochs.at(-1);
    if (last?.valid_loss != null) put('valid', -1, `<b>valid ${fine(last.valid_loss)}</b>`, last.valid_loss > last.train_loss);
    const value = last && metric(last)[1];
    if (value != null) put('accuracy', -1, `<b>${fine(value)}</b>`, OPEN.includes(metricName(run)) || value < 0.9 || last.epoch > 0.6 * epochs);
    if (guesses(run)) {
      const n = run.started.classes.length;
      placed.push({ ...labels.guess, y: Math.log(n), text: `ln ${n}, where guessing starts` });
    }
    return placed;
  }

  // Every "var(--name)" of a structure, in the theme at hand.
  function resolved(value, style = getComputedStyle(document.body)) {
    if (typeof value === 'string') {
      return value.startsWith('var(--') ? style.getPropertyValue(value.slice(4, -1)).trim() : value;
    }
    if (Array.isArray(value)) return value.map(inner => (typeof inner === 'number' ? inner : resolved(inner, style)));
    if (value && typeof value === 'object') {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolved(inner, style)]));
    }
    return value;
  }

  // Data and layout for Plotly.
  function figure(base, run, id, epochs, plan, range) {
    const lines = points(run, epochs, plan, range), { data, layout, labels } = resolved(base);
    layout.uirevision = id;
    layout.xaxis.range = [0, epochs];
    layout.annotations[1].text = `<b>${title(run)}</b>`;
    if (OPEN.includes(metricName(run))) {
      Object.assign(layout.yaxis3, { range: fitting(lines.accuracy.y), tickvals: null, nticks: 4 });
      layout.shapes.pop();                                   // the level at 0
    }
    layout.annotations.push(...words(run, lines, labels, epochs));
    if (guesses(run)) {
      const level = Math.log(run.started.classes.length);
      layout.shapes.push({ ...labels.guess_line, y0: level, y1: level });
    }
    const bare = epochs > MAX_DOTS ? { mode: 'lines' } : {};
    return { data: data.map(trace => ({ ...trace, ...lines[trace.name], ...bare })), layout };
  }

  // ---- plain SVG: the axes of an empty chart, and the lines where there is no Plotly ----

  // 3.6 -> [0, 1, 2, 3]
  function ticks(top) {
    const rough = top / 5, power = 10 ** Math.floor(Math.log10(rough)), step = power * ([1, 2, 5, 10].find(k => k * power >= rough) ?? 10);
    return Array.from({ length: Math.floor(top / step) + 1 }, (_, i) => +(i * step).toPrecision(3));
  }

  function frame(root, { left, width, top, bottom, name, low = 0, high, marks, epochs, epochMarks, foot }) {
    const X = e => left + width * e / epochs, Y = v => bottom - (bottom - top) * (v - low) / (high - low);
    svg('text', { x: left - 32, y: 14, class: 'title' }, root, name);
    svg('path', { d: `M${left} ${bottom}H${left + width}`, class: 'axis' }, root);
    for (const v of marks) svg('text', { x: left - 8, y: Y(v) + 4, 'text-anchor': 'end' }, root, v);
    for (const e of epochMarks) svg('text', { x: X(e), y: foot, 'text-anchor': 'middle' }, root, e);
    return { X, Y };
  }

  function path(root, cls, { x, y }, X, Y) {
    const d = x.map((e, i) => (y[i] == null ? '' : `${i ? 'L' : 'M'}${X(e).toFixed(1)} ${Y(y[i]).toFixed(1)}`)).join('');
    if (d) svg('path', { d: d.replace(/^L/, 'M'), class: cls }, root);
  }

  function dots(root, { x, y }, X, Y) {
    x.forEach((e, i) => { if (y[i] != null) svg('circle', { cx: X(e), cy: Y(y[i]), r: 3, class: 'dot' }, root); });
  }

  const most = (values, floor) => values.reduce((top, v) => (v > top ? v : top), floor);

  function sketch(box, run, epochs, plan, note, task) {
    const width = Math.max(260, box.clientWidth), lines = points(run, epochs, plan), inner = width - 40;
    const root = svg('svg', { width: '100%', height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, class: 'sketch', 'aria-hidden': 'true' });
    const high = run.steps.length ? most([...lines.batches.y, ...lines.valid.y], 0.1) * 1.05 : 3.5;
    const marks = ticks(epochs).filter(Number.isInteger), foot = HEIGHT - 4;
    const loss = frame(root, { left: 32, width: inner * 0.6, top: 28, bottom: note ? 186 : 138, name: 'Loss', high, marks: ticks(high), epochs, epochMarks: marks, foot });
    const open = OPEN.includes(metricName(run)) && run.epochs.length, [low, top] = open ? fitting(lines.accuracy.y) : [0, 1];
    const right = frame(root, { left: 32 + inner * 0.73, width: inner * 0.27, top: 28, bottom: 186, name: title(run, task), low, high: top,
      marks: open ? [low, top].map(v => +v.toPrecision(3)) : OPEN.includes(metricName(run, task)) ? [] : [0, 0.5, 1], epochs, epochMarks: [0, epochs], foot });
    if (note) svg('text', { x: 32 + inner * 0.3, y: 110, 'text-anchor': 'middle' }, root, note);
    path(root, 'batches', lines.batches, loss.X, loss.Y);
    path(root, 'train', lines.train, loss.X, loss.Y);
    path(root, 'valid', lines.valid, loss.X, loss.Y);
    dots(root, lines.valid, loss.X, loss.Y);
    path(root, 'valid', lines.accuracy, right.X, right.Y);
    dots(root, lines.accuracy, right.X, right.Y);
    const peak = most([...lines.rate.y, ...plan], 0);
    if (peak) path(root, 'train', lines.rate, loss.X, v => 186 - 34 * v / peak);
    const last = run.epochs.at(-1);
    if (last?.valid_loss != null) {
      svg('text', { x: loss.X(last.epoch), y: loss.Y(last.valid_loss) + 18, 'text-anchor': 'end', class: 'late' }, root, `valid ${fine(last.valid_loss)}`);
    }
    box.replaceChildren(root);
  }

  // A chart in `box` (a plain element): draw({run, id, epochs, plan, note, task, base, url}), at most five times a second,
  // and on a slow machine so rarely that a quarter of the time goes into drawing. onPlot(whether) hears when Plotly's chart stands.
  function create(box, onZoom, onPlot) {
    const canvas = el('div', 'canvas', null, box), SLOW = 200;
    let Plotly = null, wanted = null, timer = 0, next = 0, drawn = false, asked = false;

    function draw(what) {
      wanted = what;
      if (!timer) timer = setTimeout(paint, Math.max(0, next - performance.now()));
    }

    function paint() {
      timer = 0;
      if (!wanted || canvas.clientWidth < 200) return;
      const begun = performance.now(), { run, epochs, plan, note, task, base, url } = wanted, alive = run.steps.length > 1;
      if (alive && !asked) {
        asked = true;
        load(base && url).then(found => { Plotly = found; draw(wanted); });
      }
      if (alive && Plotly) plot();
      else {
        clear();
        sketch(canvas, run, epochs, plan, note, task);
      }
      const cost = performance.now() - begun;
      next = begun + Math.max(SLOW, 4 * cost);
    }

    function plot() {
      const { run, id, epochs, plan, base } = wanted;
      const { data, layout } = figure(base, run, id, epochs, plan, zoomed() ? canvas.layout.xaxis.range : undefined);
      layout.width = canvas.clientWidth;
      layout.dragmode = matchMedia('(pointer: coarse)').matches ? false : 'zoom';
      if (!drawn) canvas.replaceChildren();
      Plotly.react(canvas, data, layout, CONFIG);
      if (drawn) return;
      drawn = true;
      canvas.on('plotly_relayout', () => { onZoom(zoomed()); draw(wanted); });
      onPlot(true);
    }

    function zoomed() {
      if (!drawn) return false;
      const { xaxis, yaxis, yaxis2, yaxis3 } = canvas.layout, [from, to] = xaxis.range;
      const whole = from === 0 && to === wanted.epochs && Math.abs(yaxis3.range[0] - metricRange()[0]) < 1e-9;
      return !whole || yaxis.autorange === false || yaxis2.autorange === false;
    }

    function metricRange() {
      const { run, base } = wanted;
      return OPEN.includes(metricName(run)) ? fitting(run.epochs.map(e => metric(e)[1])) : base.layout.yaxis3.range.slice();
    }

    function clear() {
      if (!drawn) return;
      Plotly.purge(canvas);
      drawn = false;
      onZoom(false);
      onPlot(false);
    }

    function reset() {
      const whole = { 'xaxis.range': [0, wanted.epochs], 'yaxis3.range': metricRange() };
      if (drawn) Plotly.relayout(canvas, { ...whole, 'yaxis.autorange': true, 'yaxis2.autorange': true });
    }

    // The chart as a PNG on the page's paper, twice as fine as the screen.
    async function save() {
      const { run, id, epochs, plan, base } = wanted;
      if (!Plotly) return;
      const { data, layout } = figure(base, run, id, epochs, plan);
      layout.paper_bgcolor = resolved('var(--paper)');
      layout.margin = { ...layout.margin, t: 40, l: 48, r: 32, b: 32 };
      await Plotly.downloadImage({ data, layout }, { format: 'png', width: 880, height: 420, scale: 2, filename: `run-${id}` });
    }

    Explorer.fit(canvas, () => draw(wanted));
    // The page's theme is a class of the body: colours are read again.
    new MutationObserver(() => draw(wanted)).observe(document.body, { attributes: true, attributeFilter: ['class'] });
    return { draw, reset, save };
  }

  return { create, figure, thin, title, fine };
})();
