// The decoder race: four ways up from the same body on the same data, seeds and epochs. value = views/race.py's race(): {spec, epochs};
// or what the server says to a start: {race, token} or {problem}. server.race_plan({spec, seeds}), server.race_look({race, runs, seed, seen})
// and server.race_stop({race, token}) answer as explorer/ui/race_desk.py says.
Explorer.race = (element, props, trigger, watch, server) => {
  const { el, icon, exact, short } = Explorer, { kindOf } = Explorer.pictured;
  const PACE = 1000, HIDDEN = 4000, CALM = 300, MOST = 5;
  const root = element.querySelector('.race'), own = element.closest('.block').id, memory = Explorer.memory(own), RUNS = `explorer.${own}.runs`;
  const about = el('p', 'about', 'Four ways from the same last map back to an image: the same body, pictures, seeds and epochs, and nothing else differs.', root);
  const bar = el('div', 'bar', null, root), go = el('button', 'btn strong go', null, bar), goWords = el('span', '', 'Race', go);
  const count = el('div', 'count', null, bar), less = button('−', 'One seed less'), seedWords = el('span', '', '', count), more = button('+', 'One seed more');
  const halt = el('button', 'btn halt', 'Stop all', bar), fault = el('p', 'problem', '', root);
  const progress = el('div', 'prog', null, root), line = el('i', '', null, progress), head = el('p', 'when', null, root), words = el('span', '', null, head), clock = el('span', 'clock', null, head);
  const subject = el('p', 'help', '', root), main = el('div', 'main', null, root);
  const top = el('div', 'top', null, main), title = el('h2', '', '', top), choice = el('div', 'choice', null, top);
  const chart = Explorer.raceChart(el('figure', 'chart', null, main)), verdict = el('div', 'verdict', null, main), table = Explorer.raceTable(el('div', 'board', null, main), lit);
  const shots = Explorer.raceShots(el('section', 'shots', null, main), { seed: k => { wantedSeed = k; look(); }, kindOf });
  const faults = el('ul', 'faults', null, main), spoken = el('p', 'sr', null, root);
  spoken.setAttribute('aria-live', 'polite');
  fault.setAttribute('role', 'alert');
  choice.setAttribute('role', 'group');
  choice.setAttribute('aria-label', 'What is compared');
  progress.setAttribute('role', 'progressbar');
  progress.setAttribute('aria-label', 'Race');
  go.type = halt.type = 'button';

  let value = {}, seeds = 3, plan = null, planned = '', wanted = '', planning = 0, id = null, token = '', runs = [];
  let standing = null, pictures = null, wantedSeed = null, metric = null, timer = 0, asking = false, starting = false, stopping = false, lost = false, recalled = false, gone = '';

  function button(sign, name) {
    const b = el('button', 'btn icon', sign, count);
    b.type = 'button';
    b.setAttribute('aria-label', name);
    return b;
  }
  const step = by => { seeds = Math.max(1, Math.min(MOST, seeds + by)); draw(); soon(); };
  less.onclick = () => step(-1);
  more.onclick = () => step(1);

  // ---- before it starts: what it would be ----
  const call = async (name, asked) => (await Promise.resolve(server[name](asked)).catch(() => null)) ?? null;
  const soon = Explorer.whenShown(root, () => {
    clearTimeout(planning);
    if (!value.spec || live()) return;
    wanted = JSON.stringify({ spec: value.spec, seeds });
    if (wanted !== planned) planning = setTimeout(ask, planned ? CALM : 0);
  });

  async function ask() {
    const asked = wanted, answer = await call('race_plan', JSON.parse(asked));
    if (asked !== wanted) return;
    planned = asked;
    plan = answer;
    draw();
  }

  // ---- starting, stopping, following ----
  const live = () => Boolean(id) && standing?.state !== 'over';

  go.onclick = () => {
    if (live() || starting) return;
    starting = true;
    gone = '';
    value = { ...value, problem: '' };
    trigger('begin', { seeds });
    draw();
  };
  halt.onclick = async () => {
    stopping = true;
    draw();
    const answer = await call('race_stop', { race: id, token });
    stopping = answer?.text?.startsWith('The race') ?? false;
    look();
  };

  const stored = () => { try { return JSON.parse(localStorage.getItem(RUNS)) ?? {}; } catch { return {}; } };
  function keep() {
    try { localStorage.setItem(RUNS, JSON.stringify({ race: id, runs })); } catch { /* private mode */ }
  }

  function attach(race, key) {
    [id, token, standing, pictures, metric, wantedSeed, starting, stopping, gone] = [race, key ?? '', null, null, null, null, false, false, ''];
    runs = stored().race === id ? stored().runs : [];
    memory.remember(id, token);
    draw();
    look();
  }

  async function look() {
    clearTimeout(timer);
    if (!id || asking) return;
    asking = true;
    const asked = id, answer = await call('race_look', { race: id, runs, seed: wantedSeed, seen: pictures?.mark ?? '' });
    asking = false;
    if (!element.isConnected) return;
    if (asked !== id) { look(); return; }
    lost = !answer?.state;
    if (answer?.state === 'gone') forget();
    else if (!lost) take(answer);
    else draw();
    if (lost || live()) timer = setTimeout(look, document.hidden ? HIDDEN : lost ? 2 * PACE : PACE);
  }

  function take(answer) {
    standing = answer;
    if (recalled) seeds = standing.decoders[0]?.runs.length || seeds;      // what was asked for, before the page was left
    recalled = false;
    pictures = answer.pictures ?? pictures;
    if (answer.runs.join() !== runs.join()) {
      runs = answer.runs;
      keep();
    }
    if (!live()) {
      stopping = false;
      planned = '';                                          // now it is known how fast this machine is
      soon();
    }
    if (wantedSeed != null && pictures && pictures.seed !== wantedSeed) setTimeout(look);
    draw();
  }

  function forget() {
    memory.forget(id);
    [id, standing, pictures, gone] = [null, null, null, 'The race this page was watching is no longer on the server.'];
    draw();
    soon();
  }
  document.addEventListener('visibilitychange', () => { if (!document.hidden && live()) look(); });

  // ---- drawing ----
  const s = (n, word) => `${n} ${word}${n === 1 ? '' : 's'}`;
  const roughly = t => (t < 90 ? 'about a minute' : t < 5400 ? `about ${Math.round(t / 60)} minutes` : `about ${Math.round(t / 3600)} hours`);

  function draw() {
    const now = live() ? 'live' : starting ? 'starting' : standing ? 'over' : 'empty', n = plan?.racers?.length ?? 4;
    root.dataset.phase = now;
    goWords.textContent = now === 'live' ? 'Racing…' : now === 'starting' ? 'Starting…'
      : `Race${standing ? ' again' : ''}: ${n} decoders × ${s(seeds, 'seed')}${plan?.seconds && !plan.error ? `, ${roughly(plan.seconds)}` : ''}`;
    go.disabled = now === 'live' || now === 'starting' || Boolean(plan?.error);
    seedWords.textContent = s(seeds, 'seed');
    less.disabled = seeds === 1;
    more.disabled = seeds === MOST;
    count.hidden = now === 'live' || now === 'starting';
    halt.hidden = now !== 'live' || !token;
    halt.disabled = stopping;
    fault.textContent = value.problem || plan?.error || gone || '';
    fault.hidden = !fault.textContent;
    progress.hidden = head.hidden = !standing;
    subject.textContent = standing?.title ?? '';
    main.hidden = !standing && !plan?.racers;
    if (standing) drawWhen();
    drawMetrics();
    const at = standing?.metrics.find(({ name }) => name === metric);
    title.textContent = at ? `${at.title}, on the valid pictures` : 'How good after each epoch';
    chart.draw({ racers: standing?.decoders ?? plan?.racers ?? [], metric: at, epochs: standing?.epochs ?? value.epochs ?? 5, over: now === 'over' });
    verdict.replaceChildren(...(at?.verdict ?? []).map((text, k) => el('p', k ? '' : 'first', text)));
    table.draw({ racers: standing?.decoders ?? plan?.racers ?? [], metric: at, epochs: standing?.epochs, over: now === 'over' });
    shots.draw(pictures, standing?.decoders ?? [], live(), standing?.epochs);
    faults.replaceChildren(...(standing?.faults ?? []).map(text => { const li = el('li', ''); li.append(icon('warn'), el('span', '', text)); return li; }));
    speak();
  }

  function drawWhen() {
    const { done, of, now, left, stopped } = standing, going = live();
    line.style.setProperty('--p', `${100 * done / of}%`);
    progress.setAttribute('aria-valuenow', Math.round(100 * done / of));
    const bold = going ? (done < of ? `Run ${Math.min(of, done + 1)} of ${of}` : '') : stopped ? `Stopped when ${done} of ${of} runs were done` : `All ${of} runs done`;
    words.replaceChildren(el('b', '', bold), going ? (now ? `: ${now}` : ', waiting in line') : '');
    clock.textContent = lost ? 'reconnecting…' : stopping ? 'stopping…' : going && left ? `${Explorer.duration(left)} left` : '';
  }

  function drawMetrics() {
    const metrics = standing?.metrics ?? [];
    if (!metrics.some(({ name }) => name === metric)) metric = metrics[0]?.name ?? null;
    const key = metrics.map(({ name }) => name).join() + metric;
    if (choice.dataset.key === key) return;
    choice.dataset.key = key;
    choice.replaceChildren(...(metrics.length < 2 ? [] : metrics).map(({ name, title: text }) => {
      const b = el('button', 'link', text);
      b.type = 'button';
      b.setAttribute('aria-pressed', name === metric);
      b.onclick = () => { metric = name; draw(); choice.querySelector('[aria-pressed=true]').focus(); };
      return b;
    }));
  }

  function lit(label) { chart.light(label); shots.light(label); }

  function speak() {
    const text = !standing ? '' : live() ? `${standing.done} of ${standing.of} runs of the race done` : words.textContent;
    if (spoken.textContent !== text) spoken.textContent = text;
  }

  function read(next) {
    const { race, token: key, problem, ...rest } = next;
    value = { ...value, ...rest, problem: problem ?? (race ? '' : value.problem) };
    if (problem) starting = false;
    if ('spec' in rest && rest.spec !== undefined && problem === undefined && !race) value.problem = '';
    if (race && race !== id) attach(race, key);
    else draw();
    soon();
  }
  const known = memory.recall();
  if (known) attach(known.run, known.token);
  recalled = Boolean(known);
  Explorer.live(element, props, watch, read);
  draw();
};

// How the four are told apart without a hue: thick, dashed, thin, dotted.
Explorer.hands = { 'U-Net': 'thick', 'U-Net without skips': 'dashed', Nearest: 'thin', Transposed: 'dotted' };

// The metric after each epoch: the mean over seeds as a line, a standard deviation to either side as a band.
Explorer.raceChart = root => {
  const { el, svg, hands } = Explorer, HEIGHT = 248, LINE = 16, TOP = 12, FOOT = 24, LEFT = 36;
  const canvas = el('div', 'canvas', null, root), twin = el('div', 'sr', null, root);
  let shown = null, lit = '';

  // Round steps between low and high.
  function ticks(low, high) {
    const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough)), step = power * [1, 2, 5, 10].find(k => k * power >= rough);
    const first = Math.ceil(low / step - 1e-9);
    return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => +((first + i) * step).toPrecision(6));
  }

  function reach({ name, curves }) {
    const values = curves.flatMap(({ mean, sd }) => mean.flatMap((m, i) => [m - (sd[i] ?? 0), m + (sd[i] ?? 0)]));
    if (!values.length) return [0, 1];
    const share = ['accuracy', 'miou', 'ssim'].includes(name), low = Math.min(...values), high = Math.max(...values);
    const room = Math.max(0.08 * (high - low), share ? 0.05 : 1e-2 * Math.abs(high) || 1e-3);
    return share ? [Math.max(0, low - room), Math.min(1, high + room)] : [low - room, high + room];
  }

  function paint() {
    if (!shown || canvas.clientWidth < 200) return;
    const { racers, metric, epochs, over } = shown, width = canvas.clientWidth, right = width < 480 ? 104 : 148;
    const [low, high] = metric ? reach(metric) : [0, 1], bottom = HEIGHT - FOOT;
    const X = e => LEFT + (width - LEFT - right) * (epochs === 1 ? 1 : (e - 1) / (epochs - 1)), Y = v => bottom - (bottom - TOP) * (v - low) / (high - low);
    const drawing = svg('svg', { width: '100%', height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, 'aria-hidden': 'true' });
    svg('path', { d: `M${LEFT} ${bottom}H${width - right}`, class: 'axis' }, drawing);
    for (const v of ticks(low, high)) svg('text', { x: LEFT - 8, y: Y(v) + 4, 'text-anchor': 'end' }, drawing, +v.toFixed(4));
    const every = Math.ceil(epochs / Math.max(2, (width - LEFT - right) / 40));
    for (let e = 1; e <= epochs; e += every) svg('text', { x: X(e), y: HEIGHT - 6, 'text-anchor': 'middle' }, drawing, e);
    svg('text', { x: width - right + 14, y: HEIGHT - 6 }, drawing, epochs === 1 ? 'epoch' : 'epochs');
    if (!metric) svg('text', { x: (LEFT + width - right) / 2, y: HEIGHT / 2, 'text-anchor': 'middle' }, drawing, over ? 'no run had an epoch' : 'curves appear here');
    const ends = [];
    (metric?.curves ?? []).forEach((curve, k) => {
      const group = svg('g', { class: `racer ${hands[racers[k].label] ?? ''}`, 'data-label': racers[k].label }, drawing), points = curve.epochs.map((e, i) => [X(e), curve.mean[i], curve.sd[i] ?? 0]);
      if (!points.length) return;
      const up = points.map(([x, m, sd]) => `${x.toFixed(1)} ${Y(m + sd).toFixed(1)}`), down = points.map(([x, m, sd]) => `${x.toFixed(1)} ${Y(m - sd).toFixed(1)}`).reverse();
      if (points.some(([, , sd]) => sd)) svg('path', { d: `M${[...up, ...down].join('L')}Z`, class: 'band' }, group);
      svg('path', { d: `M${points.map(([x, m]) => `${x.toFixed(1)} ${Y(m).toFixed(1)}`).join('L')}`, class: 'line' }, group);
      if (points.length <= 40) for (const [x, m] of points) svg('circle', { cx: x, cy: Y(m), r: 2.5 }, group);
      const [x, m] = points.at(-1);
      ends.push({ label: racers[k].label, x, at: Y(m), y: Y(m) });
    });
    place(ends, TOP + 4, bottom).forEach(({ label, x, at, y }) => {
      const group = svg('g', { class: `end ${hands[label] ?? ''}`, 'data-label': label }, drawing);
      if (Math.abs(y - at) > 3 || x < width - right - 1) svg('path', { d: `M${x + 4} ${at}L${width - right + 10} ${y}`, class: 'leader' }, group);
      const narrow = right < 120 && label.length > 12 ? ['U-Net,', 'no skips'] : [label];
      narrow.forEach((part, i) => svg('text', { x: width - right + 14, y: y + 4 + 13 * i - 6 * (narrow.length - 1) }, group, part));
    });
    canvas.replaceChildren(drawing);
    light(lit);
  }

  // Words at the lines' ends that do not lie over each other.
  function place(ends, top, bottom) {
    const tall = canvas.clientWidth < 480 ? 24 : LINE, sorted = ends.sort((a, b) => a.y - b.y);
    sorted.forEach((end, i) => { if (i) end.y = Math.max(end.y, sorted[i - 1].y + tall); });
    for (let i = sorted.length - 1; i >= 0; i -= 1) sorted[i].y = Math.min(sorted[i].y, i === sorted.length - 1 ? bottom : sorted[i + 1].y - tall);
    sorted.forEach(end => { end.y = Math.max(end.y, top); });
    return sorted;
  }

  function light(label) {
    lit = label;
    canvas.classList.toggle('chosen', Boolean(label));
    for (const part of canvas.querySelectorAll('[data-label]')) part.classList.toggle('lit', part.dataset.label === label);
  }

  function tell({ racers, metric }) {
    twin.replaceChildren();
    if (!metric?.curves.some(({ epochs }) => epochs.length)) return;
    const t = el('table', '', null, twin), top = el('tr', '', null, el('thead', '', null, t)), body = el('tbody', '', null, t);
    el('caption', '', `${metric.title} after each epoch, mean over seeds and standard deviation`, t);
    for (const name of ['epoch', ...racers.map(({ label }) => label)]) el('th', '', name, top).scope = 'col';
    const last = Math.max(...metric.curves.flatMap(({ epochs }) => epochs));
    for (let e = 1; e <= last; e += 1) {
      const row = el('tr', '', null, body);
      el('td', '', e, row);
      for (const { epochs, mean, sd } of metric.curves) {
        const i = epochs.indexOf(e);
        el('td', '', i < 0 ? 'not yet' : `${mean[i].toFixed(4)}${sd[i] == null ? '' : ` ± ${sd[i].toFixed(4)}`}`, row);
      }
    }
  }

  let told = '';
  Explorer.fit(canvas, paint);
  return {
    light,
    draw(what) {
      shown = what;
      const key = JSON.stringify(what);
      if (key === told) return;
      told = key;
      paint();
      tell(what);
    },
  };
};

// A row a decoder: its line's hand, its runs, the metric of every seed on one axis, mean and spread, and what it costs.
Explorer.raceTable = (root, lit) => {
  const { el, short, exact, hands, svg } = Explorer;
  const STATES = { waiting: '○', queued: '○', running: '◐', finished: '●', stopped: '◌', failed: '▲' };
  const table = el('table', '', null, root), top = el('tr', '', null, el('thead', '', null, table)), body = el('tbody', '', null, table);
  el('caption', 'sr', 'The decoders of the race', table);
  const heads = [['name', 'decoder'], ['axis', ''], ['value', ''], ['n', 'params'], ['n', 'MACs'], ['n', 's/epoch']].map(([cls, text]) => { const th = el('th', cls, text, top); th.scope = 'col'; return th; });
  let chosen = '', rows = new Map(), told = '';

  function row(label) {
    const tr = el('tr'), name = el('th', 'name', null, tr), b = el('button', 'who', null, name), hand = svg('svg', { class: `hand ${hands[label] ?? ''}`, width: 24, height: 8, viewBox: '0 0 24 8', 'aria-hidden': 'true' }, b);
    name.scope = 'row';
    svg('path', { d: 'M0 4H24', class: 'line' }, hand);
    el('span', '', label, b);
    b.type = 'button';
    b.title = 'Show this line alone';
    b.onclick = () => { chosen = chosen === label ? '' : label; mark(); };
    tr.onpointerenter = e => { if (e.pointerType === 'mouse') lit(label); };
    tr.onpointerleave = () => lit(chosen);
    const runs = el('span', 'runs', null, name), cells = heads.slice(1).map(({ className }) => el('td', className, null, tr));
    return { tr, b, runs, cells };
  }

  function mark() {
    for (const [label, { b, tr }] of rows) {
      b.setAttribute('aria-pressed', label === chosen);
      tr.classList.toggle('lit', label === chosen);
    }
    lit(chosen);
  }

  function draw({ racers, metric, epochs, over }) {
    const key = JSON.stringify([racers, metric?.finals, metric?.name, over]);
    if (key === told) return;
    told = key;
    root.hidden = !racers.length;
    for (const { label } of racers) if (!rows.has(label)) rows.set(label, row(label));
    Explorer.placeRows(body, racers.map(({ label }) => rows.get(label).tr));
    const all = (metric?.finals ?? []).filter(Boolean).flatMap(({ each, mean, sd }) => [...each.map(([, v]) => v), mean - (sd ?? 0), mean + (sd ?? 0)]);
    const low = Math.min(...all), high = Math.max(...all), room = 0.06 * (high - low) || 0.01, X = v => 100 * (v - low + room) / (high - low + 2 * room);
    heads[1].textContent = all.length ? `${+low.toPrecision(3)} to ${+high.toPrecision(3)}, a circle a seed` : '';
    heads[2].textContent = metric ? `${metric.title}${metric.finals.some(final => final?.sd != null) ? ' ± sd' : ''}` : '';
    const best = metric && [...metric.finals].filter(Boolean).sort((a, b) => (metric.falls ? a.mean - b.mean : b.mean - a.mean))[0];
    racers.forEach(({ label, params, macs, seconds, runs = [] }, k) => {
      const r = rows.get(label), final = metric?.finals[k], [axis, value, p, m, t] = r.cells;
      r.runs.replaceChildren(...runs.map(run => { const i = el('i', run.state, STATES[run.state]); i.title = `seed ${run.seed}: ${run.state}${run.epoch ? `, ${run.epoch} epochs` : ''}`; return i; }));
      r.runs.setAttribute('role', 'img');
      r.runs.setAttribute('aria-label', runs.map(({ seed, state }) => `seed ${seed} ${state}`).join(', '));
      axis.replaceChildren();
      if (final) {
        const track = el('div', 'track', null, axis);
        if (final.sd != null) Object.assign(el('i', 'band', null, track).style, { left: `${X(final.mean - final.sd)}%`, width: `${X(final.mean + final.sd) - X(final.mean - final.sd)}%` });
        for (const [seed, v] of final.each) { const dot = el('i', 'dot', null, track); dot.style.left = `${X(v)}%`; dot.title = `seed ${seed}: ${v.toFixed(4)}`; }
        el('i', 'tick', null, track).style.left = `${X(final.mean)}%`;
      }
      value.replaceChildren(...(final ? [el('b', final === best ? 'best' : '', final.text), ...(final.epoch < epochs ? [el('span', 'mute', ` epoch ${final.epoch}`)] : [])] : [el('span', 'mute', over ? '–' : runs.length ? 'not yet' : '')]));
      p.textContent = short(params);
      p.title = `${exact(params)} parameters`;
      m.textContent = short(macs);
      m.title = `${exact(macs)} multiply-accumulates for one picture`;
      t.textContent = seconds == null ? '' : seconds < 10 ? seconds.toFixed(1) : Math.round(seconds);
    });
  }
  return { draw };
};

// The same valid picture by each decoder; which picture and which seed can be chosen.
Explorer.raceShots = (root, { seed, kindOf }) => {
  const { el } = Explorer;
  const head = el('div', 'top', null, root), title = el('h2', '', 'The same picture by each', head), which = el('div', 'choice', null, head), seeds = el('div', 'choice', null, head), grid = el('div', 'grid', null, root);
  which.setAttribute('role', 'group');
  which.setAttribute('aria-label', 'Picture');
  seeds.setAttribute('role', 'group');
  seeds.setAttribute('aria-label', 'Seed');
  let at = 0, shown = null, racers = [], alive = false, last = 0, told = '';

  const choose = (box, names, now, act) => {
    box.replaceChildren(...(names.length < 2 ? [] : names).map((name, i) => {
      const b = el('button', 'link', name);
      b.type = 'button';
      b.setAttribute('aria-pressed', i === now);
      b.onclick = () => { act(i); box.children[i].focus(); };
      return b;
    }));
  };

  function cell(name, source, score, plain, alt) {
    const figure = el('figure', source ? '' : alive ? 'ghost soon' : 'ghost'), frame = el('span', 'frame', null, figure);
    if (source) Object.assign(el('img', plain ? 'plain' : '', null, frame), { src: source, alt });
    const caption = el('figcaption', '', null, figure);
    el('b', '', name, caption);
    el('span', '', score, caption);
    figure.dataset.label = name;
    return figure;
  }

  function draw(pictures, those, going, epochs) {
    const key = JSON.stringify([pictures?.mark, pictures?.seed, at, those.map(({ label }) => label), going]);
    if (key === told) return;
    [told, shown, racers, alive, last] = [key, pictures, those, going, epochs];
    root.hidden = !pictures;
    if (!pictures) return;
    const kind = kindOf(pictures.task), n = pictures.inputs.length;
    at = Math.min(at, n - 1);
    title.textContent = `The same ${kind.pixels ? 'photo' : 'picture'} by each`;
    choose(which, pictures.inputs.map((_, i) => `Picture ${i + 1}`), at, i => { at = i; draw(shown, racers, alive, last); });
    choose(seeds, pictures.seeds.map(k => `seed ${k}`), pictures.seeds.indexOf(pictures.seed), i => seed(pictures.seeds[i]));
    const first = pictures.each?.[at];
    grid.replaceChildren(
      cell(kind.columns[0], pictures.inputs[at], first == null ? '' : kind.score(first), false, kind.columns[0]),
      ...racers.map(({ label }) => {
        const made = pictures.made[label], score = made?.scores?.[at];
        return cell(label, made?.images[at], made ? [score == null ? '' : kind.score(score), made.epoch === last ? '' : made.epoch ? `epoch ${made.epoch}` : 'before training'].filter(Boolean).join(', ') : 'not yet', kind.pixels, `${label}${score == null ? '' : `: ${kind.score(score)}`}`);
      }),
      cell(kind.columns[3], pictures.targets[at], '', kind.pixels, kind.columns[3]),
    );
    const image = grid.querySelector('img');
    if (image) image.onload = () => grid.style.setProperty('--ratio', `${image.naturalWidth} / ${image.naturalHeight}`);
  }

  function light(label) {
    for (const figure of grid.children) figure.classList.toggle('lit', Boolean(label) && figure.dataset.label === label);
  }
  return { draw, light };
};
