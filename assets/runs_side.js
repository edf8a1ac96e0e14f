// Beside the table: picked runs on one chart and their differing knobs; the line before the machine; the browser's key.
// does = {against, unpick, take}.
Explorer.runsSide = (root, does) => {
  const { el, svg } = Explorer;
  const compared = el('section', 'compared', null, root), line = el('section', 'line', null, root), own = el('section', 'own', null, root);
  const HANDS = ['thick', 'thin', 'dashed', 'dotted', 'thick far', 'thin far', 'dashed far', 'dotted far'];
  const chart = el('div', 'cmp');
  let page = null;

  function header(section, title, note) {
    const head = el('header', '', null, section);
    el('h2', '', title, head);
    if (note) el('span', 'mute', note, head);
    return head;
  }

  // ---- side by side ----
  function drawCompared() {
    const { compare } = page;
    compared.hidden = !page.of;
    compared.replaceChildren();
    if (!compare) {
      header(compared, 'Side by side');
      el('p', 'help', 'Tick two runs or more: their curves come on one chart, with the knobs in which they differ and the best of each metric.', compared);
      return;
    }
    const head = header(compared, compare.title), choice = el('span', 'choice', null, head);
    for (const { key, label } of compare.choices) {
      const b = el('button', 'link', label, choice);
      b.type = 'button';
      b.setAttribute('aria-pressed', key === compare.against);
      b.onclick = () => does.against(key);
    }
    compared.append(chart);
    plot();
    compared.append(knobs(compare));
    if (compare.same) el('p', 'help', compare.same, compared);
  }

  function knobs({ letters, table }) {
    const t = el('table', 'df'), top = el('tr', '', null, el('thead', '', null, t));
    el('span', 'sr', 'knob or result', el('th', '', null, top));
    for (const { letter, id, title } of letters) {
      const th = el('th', '', null, top), b = el('button', 'pk', letter, th);
      th.scope = 'col';
      b.type = 'button';
      b.setAttribute('role', 'checkbox');
      b.setAttribute('aria-checked', 'true');
      b.title = `${title}: take it away`;
      b.setAttribute('aria-label', `${letter}: ${title}`);
      b.onclick = () => does.unpick(id);
    }
    const rows = el('tbody', '', null, t);
    for (const { label, cells } of table) {
      const tr = el('tr', '', null, rows);
      el('th', '', label, tr).scope = 'row';
      for (const { text, best } of cells) el('td', best ? 'best' : '', text, tr).title = text;
    }
    const frame = el('div', 'scroll');
    frame.append(t);
    return frame;
  }

  function plot() {
    const { compare } = page ?? {}, W = chart.clientWidth, H = 216, LEFT = 36, RIGHT = 116, BOTTOM = 190, TOP = 8;
    if (!compare || W < 200) return;
    const curves = compare.curves.filter(curve => curve.x.length), all = curves.flatMap(curve => curve.y);
    if (!all.length) { chart.replaceChildren(el('p', 'help', 'Curves come when an epoch is done.')); return; }
    const low = compare.against === 'metric' ? Math.min(...all) - 0.05 * (Math.max(...all) - Math.min(...all)) : Math.min(0, ...all), high = Math.max(...all) * 1.03 || 1;
    const first = Math.min(...curves.map(curve => curve.x[0])), last = Math.max(...curves.map(curve => curve.x.at(-1)));
    const X = e => LEFT + (W - LEFT - RIGHT) * (last === first ? 0.5 : (e - first) / (last - first)), Y = v => BOTTOM - (BOTTOM - TOP) * (v - low) / (high - low || 1);
    const drawing = svg('svg', { width: '100%', height: H, viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': said(compare, curves) });
    svg('path', { d: `M${LEFT} ${BOTTOM}H${W - RIGHT}`, class: 'ax' }, drawing);
    for (const v of rounds(low, high, 4)) svg('text', { x: LEFT - 8, y: Y(v) + 4, 'text-anchor': 'end' }, drawing, v);
    for (const e of rounds(first, last, Math.min(6, last - first || 1)).filter(Number.isInteger)) svg('text', { x: X(e), y: H - 8, 'text-anchor': 'middle' }, drawing, e);
    svg('text', { x: W - RIGHT + 12, y: H - 8 }, drawing, last === 1 ? 'epoch' : 'epochs');
    const ends = curves.map(curve => ({ curve, y: Y(curve.y.at(-1)) })).sort((a, b) => a.y - b.y);
    ends.forEach((end, i) => { end.at = Math.max(end.y, i ? ends[i - 1].at + 16 : TOP + 8); });
    ends.reverse().forEach((end, i) => { end.at = Math.min(end.at, i ? ends[i - 1].at - 16 : BOTTOM - 6); });
    for (const { curve, at } of ends) {
      const g = svg('g', { class: `hand ${HANDS[compare.curves.indexOf(curve)]}` }, drawing);
      svg('path', { d: curve.x.map((e, i) => `${i ? 'L' : 'M'}${X(e).toFixed(1)} ${Y(curve.y[i]).toFixed(1)}`).join('') }, g);
      if (curve.x.length < 40) curve.x.forEach((e, i) => svg('title', {}, svg('circle', { cx: X(e), cy: Y(curve.y[i]), r: 2.75 }, g), `${curve.title}, epoch ${e}: ${Explorer.charts.fine(curve.y[i])}`));
      const text = svg('text', { x: W - RIGHT + 12, y: at + 4, class: 'b' }, drawing, curve.letter);
      svg('tspan', { dx: 6 }, text, `${curve.name.length > 9 ? `${curve.name.slice(0, 8)}…` : curve.name} ${Explorer.charts.fine(curve.y.at(-1))}`);
    }
    chart.replaceChildren(drawing);
  }

  const said = (compare, curves) => `${compare.label} over epochs: ${curves.map(curve => `${curve.letter}, ${curve.title}, ${Explorer.charts.fine(curve.y.at(-1))} after epoch ${curve.x.at(-1)}`).join('; ')}`;

  function rounds(low, high, most) {
    if (high <= low) return [+low.toPrecision(3)];
    const rough = (high - low) / most, power = 10 ** Math.floor(Math.log10(rough)), step = power * ([1, 2, 5, 10].find(k => k * power >= rough) ?? 10);
    const start = Math.ceil(low / step - 1e-9);
    return Array.from({ length: Math.floor(high / step + 1e-9) - start + 1 }, (_, i) => +((start + i) * step).toPrecision(4));
  }

  // ---- the line ----
  function drawLine() {
    line.replaceChildren();
    header(line, 'Queue', page.workers === 1 ? 'one at a time here' : `${page.workers} at a time here`);
    if (!page.line.length) el('p', 'help', 'Nobody trains: a run begins at once.', line);
    const rows = el('div', 'qu', null, line), MOST = 12, near = page.line.filter((one, i) => i < MOST || one.yours).slice(0, 2 * MOST);
    for (const { place, yours, title, about, seconds } of near) {
      const at = el('span', 'pos', place || null, rows);
      if (!place) at.append(Explorer.icon('run'));
      const what = el('span', '', null, rows);
      if (yours) what.append(el('b', '', title), el('em', '', about));
      else el('em', '', title, what);
      const when = seconds == null ? (place ? '' : 'trains') : place ? `in ${Explorer.duration(seconds)}` : `${Explorer.duration(seconds)} left`;
      el('span', '', [yours && page.line.some(one => !one.yours) ? 'yours' : '', when].filter(Boolean).join(', '), rows);
    }
    if (page.line.length > near.length) el('p', 'help', `${page.line.length - near.length} more.`, line);
    const turns = page.line.length > 1 ? 'Turns go round by person: your second run stands behind another’s first.' : '';
    const rules = [turns, page.limits].filter(Boolean).join(' ');
    if (rules) el('p', 'help', rules, line);
  }

  // ---- whose runs these are ----
  function drawOwn() {
    if (own.childElementCount) return;
    const fold = el('details', 'fold-own', null, own);
    el('summary', '', 'These are the runs of this browser', fold);
    el('p', 'help', 'Nobody else sees them without a run’s own link, and nobody else can change them. To have them in another browser, give that one this key; keep it to yourself.', fold);
    const bar = el('div', 'key', null, fold), field = el('input', '', null, bar), copy = el('button', 'btn q', 'Copy', bar);
    Object.assign(field, { type: 'password', value: Explorer.secret.read(), readOnly: true });
    field.setAttribute('aria-label', 'The key of this browser');
    copy.type = 'button';
    copy.onclick = async () => {
      try { await navigator.clipboard.writeText(field.value); Explorer.say(copy, 'Key copied'); } catch { field.type = 'text'; field.select(); }
    };
    const other = el('div', 'key', null, fold), typed = el('input', '', null, other), use = el('button', 'btn q', 'Use', other);
    typed.placeholder = 'Another browser’s key';
    typed.setAttribute('aria-label', typed.placeholder);
    use.type = 'button';
    use.onclick = () => does.take(typed.value);
  }

  function draw(next) {
    page = next;
    drawCompared();
    drawLine();
    drawOwn();
  }

  Explorer.fit(chart, () => plot());
  return { draw };
};
