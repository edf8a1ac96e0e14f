// What the model costs: memory of a training step, growth with the picture, shares of its parts, time per layer.
// value = views/cost.py's cost(). The server is asked only while this can be seen: server.memory, server.growth({spec, batch,
// precision, optimizer}) and, when a person wants it, server.times({…, backward}); each answers {error} where it cannot.
Explorer.cost = (element, props, trigger, watch, server) => {
  const { el, svg, icon, short, exact, sides, sizeText, placeRows, groupClass } = Explorer;
  const CALM = 250, KEPT = 24, MOST = 4096;       // ms to wait while things move; answers; largest batch
  const PRECISIONS = [['float32', 'float32'], ['bf16', 'bf16']];
  const OPTIMIZERS = [['adamw', 'AdamW'], ['sgd_momentum', 'SGD, momentum'], ['sgd', 'SGD']];
  const PARTS = [
    ['weights', 'weights', 'Parameters and buffers, float32.'],
    ['gradients', 'gradients', 'Of the parameters that have got theirs when the memory is fullest.'],
    ['optimizer', 'optimiser', 'What the optimiser remembers of each parameter that learns.'],
    ['kept', 'kept for backward', 'Outputs of layers that the backward pass still needs at this moment.'],
    ['transient', 'transient', 'Outputs and gradients under way, the batch, the optimiser’s scratch.'],
  ];
  const MOMENTS = { forward: 'the forward pass', backward: 'the backward pass', update: 'the update' };

  const root = element.querySelector('.cost');
  const why = el('p', 'problem', null, root), empty = el('p', 'empty', 'No model yet.', root);
  const memory = memoryView(), growth = growthView(), table = tableView(), time = timeView();
  const running = [memory.box, growth.box, time.box];
  [why, table.box, ...running].forEach(box => { box.hidden = true; });

  let value = null, wanted = '', busy = false, waiting = 0;
  const answers = { memory: new Map(), growth: new Map() };
  const soon = Explorer.whenShown(root, ask);

  // ---- asking: one question at a time, and the latest that was meant ----
  async function call(name, asked) {
    const answer = await Promise.resolve(server[name](asked)).catch(() => null);
    return answer ?? { error: 'The server gave no answer.' };
  }

  function ask() {
    clearTimeout(waiting);
    if (!value || value.failure) return;
    wanted = JSON.stringify({ spec: value.spec, ...memory.chosen() });
    const known = answers.memory.has(wanted) && answers.growth.has(wanted);
    for (const [name, view] of [['memory', memory], ['growth', growth]]) {
      if (answers[name].has(wanted)) show(view, answers[name].get(wanted));
      else view.loading();
    }
    if (!answers.memory.has(wanted)) table.keep(null);
    if (!known) waiting = setTimeout(run, memory.shown() ? CALM : 0);
  }

  async function run() {
    if (busy) return;
    busy = true;
    for (let key = ''; key !== wanted;) {
      key = wanted;
      for (const [name, view] of [['memory', memory], ['growth', growth]]) {
        if (answers[name].has(key)) continue;
        const answer = await call(name, JSON.parse(key));
        if (!answer.error) {
          answers[name].set(key, answer);
          if (answers[name].size > KEPT) answers[name].delete(answers[name].keys().next().value);
        }
        if (key !== wanted) break;
        show(view, answer);
      }
    }
    busy = false;
  }

  function show(view, answer) {
    view.show(answer);
    if (view === memory) table.keep(answer.error ? [] : answer.parts, answer.kept_in_all);
  }

  Explorer.live(element, props, watch, next => {
    const other = value?.spec !== next.spec;
    value = next;
    empty.hidden = true;
    table.box.hidden = false;
    why.hidden = !value.failure;
    why.textContent = value.failure;
    running.forEach(box => { box.hidden = Boolean(value.failure); });
    memory.follow();
    if (other) time.outdated();
    table.draw();
    soon();
  });

  // ---- what the four views share ----
  function section(cls, heading, note) {
    const box = el('section', cls, null, root), head = el('div', 'top', null, box), title = el('h2', '', heading, head);
    title.id = `cost-${cls}`;
    box.setAttribute('aria-labelledby', title.id);
    return { box, head, note: el('span', 'note', note, head) };
  }

  // Buttons of which one is on. -> {box, get, set}
  function choice(label, options, parent, changed) {
    const box = el('div', 'choice', null, parent), buttons = new Map();
    box.setAttribute('role', 'radiogroup');
    box.setAttribute('aria-label', label);
    let on = options[0][0];
    const set = id => {
      on = id;
      for (const [key, b] of buttons) {
        b.setAttribute('aria-checked', key === on);
        b.tabIndex = key === on ? 0 : -1;
      }
    };
    for (const [id, word] of options) {
      const b = el('button', '', word, box);
      b.type = 'button';
      b.setAttribute('role', 'radio');
      b.addEventListener('click', () => { set(id); changed(); });
      buttons.set(id, b);
    }
    box.addEventListener('keydown', event => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key], ids = [...buttons.keys()];
      if (!step) return;
      set(ids.at((ids.indexOf(on) + step) % ids.length));
      buttons.get(on).focus();
      changed();
      event.preventDefault();
    });
    set(on);
    return { box, get: () => on, set, name: (id, word) => { buttons.get(id).textContent = word; } };
  }

  function labelled(text, parent) {
    const box = el('div', 'control', null, parent);
    el('span', 'word', text, box);
    return box;
  }

  function again(parent, sentence, act) {
    const b = el('button', 'btn', 'Try again');
    b.type = 'button';
    b.addEventListener('click', act);
    parent.replaceChildren(el('p', 'problem', sentence), b);
  }

  // 2916301760 -> "2.92 GB", as views/cost.py says it.
  function bytes(n) {
    if (n >= 1e9) return `${n >= 1e11 ? Math.round(n / 1e9).toLocaleString('en') : (n / 1e9).toFixed(n >= 1e10 ? 1 : 2)}\u202fGB`;
    if (n >= 1e6) return `${(n / 1e6).toFixed(n >= 1e8 ? 0 : 1)}\u202fMB`;
    if (n >= 1e3) return `${n >= 1e4 ? Math.round(n / 1e3) : (n / 1e3).toFixed(1)}\u202fkB`;
    return `${n}\u202fB`;
  }
  function percent(share) {
    return share <= 0 ? '0' : share < .001 ? '< 0.1\u202f%' : `${(100 * share).toFixed(share < .1 ? 1 : 0)}\u202f%`;
  }

  // ---- memory of one training step ----
  function memoryView() {
    const { box, note } = section('memory', 'Memory of one training step');
    const controls = el('div', 'controls', null, box);
    const far = el('p', 'problem', null);
    const batch = stepper(labelled('Batch size', controls));
    const precision = choice('Precision', PRECISIONS, labelled('Precision', controls), moved);
    const optimizer = choice('Optimiser', OPTIMIZERS, labelled('Optimiser', controls), moved);
    far.setAttribute('role', 'alert');
    far.hidden = true;
    box.append(far);
    const says = el('p', 'says', null, box), words = el('span', '', null, says), back = el('button', 'link', 'Show what Train does', says);
    back.type = 'button';
    const state = el('div', 'state', null, box), shown = el('div', 'shown', null, box);
    const line = el('p', 'line', null, shown), big = el('b', '', null, line), rest = el('span', '', null, line);
    const bar = el('div', 'stack', null, shown), legend = el('dl', 'legend', null, shown);
    const segments = PARTS.map(([id, name, hint]) => {
      const entry = el('div', `part ${id}`, null, legend), term = el('dt', '', null, entry), mark = el('i', id, null, term);
      mark.setAttribute('aria-hidden', 'true');
      el('span', '', name, term);
      entry.title = hint;
      const piece = el('i', id, null, bar);
      entry.addEventListener('pointerenter', () => piece.classList.add('at'));
      entry.addEventListener('pointerleave', () => piece.classList.remove('at'));
      piece.addEventListener('pointerenter', () => entry.classList.add('at'));
      piece.addEventListener('pointerleave', () => entry.classList.remove('at'));
      return { id, name, piece, figure: el('dd', '', null, entry), aside: el('dd', 'aside', '', entry) };
    });
    const gauge = el('div', 'gauge', null, shown), fill = el('i', '', null, el('div', 'rail', null, gauge)), of = el('span', '', null, gauge);
    const tooLarge = el('p', 'problem', null, shown), norms = el('p', 'remark', null, shown);
    bar.setAttribute('aria-hidden', 'true');
    state.setAttribute('aria-live', 'polite');
    tooLarge.setAttribute('aria-live', 'polite');
    norms.append(icon('info'), el('span'));
    shown.hidden = true;
    let followed = 0, own = false;

    back.addEventListener('click', () => {
      own = false;
      precision.set(value.trainer.precision);
      optimizer.set(value.trainer.optimizer);
      batch.set(value.batch);
      sayWhose();
      ask();
    });

    function moved() {
      own = true;
      sayWhose();
      ask();
    }

    // Whether what is chosen is what Train does.
    function sayWhose() {
      const theirs = chosen().batch === value.batch && precision.get() === value.trainer.precision && optimizer.get() === value.trainer.optimizer;
      const name = OPTIMIZERS.find(([id]) => id === value.trainer.optimizer)[1];
      words.textContent = theirs ? 'This is what Train does.' : `Train uses ${value.trainer.precision}, ${name} and a batch of ${exact(value.batch)}.`;
      back.hidden = theirs;
    }

    function stepper(parent) {
      const frame = el('div', 'amount', null, parent), less = el('button', '', '−', frame), field = el('input', '', null, frame), more = el('button', '', '+', frame);
      less.type = more.type = 'button';
      less.setAttribute('aria-label', 'Half the batch');
      more.setAttribute('aria-label', 'Twice the batch');
      field.type = 'text';
      field.inputMode = 'numeric';
      field.setAttribute('aria-label', 'Batch size');
      let now = 32;
      const set = n => {
        now = Math.min(MOST, Math.max(1, n));
        field.value = now;
        less.disabled = now === 1;
        more.disabled = now === MOST;
      };
      const take = n => {
        far.hidden = true;
        if (n !== now) { set(n); moved(); } else field.value = now;
      };
      // What was typed, or what is nearest to it, with a word about that.
      const typed = text => {
        const number = /^[+-]?\d+$/.test(text) ? Number(text) : NaN;
        take(number ? Math.min(MOST, Math.max(1, number)) : number === 0 ? 1 : now);
        if (number === now) return;
        far.textContent = `The batch size is a whole number from 1 to ${exact(MOST)}: ${exact(now)} ${number === number ? 'is used' : 'stays'}.`;
        far.hidden = false;
      };
      less.addEventListener('click', () => take(Math.floor(now / 2)));
      more.addEventListener('click', () => take(now * 2));
      field.addEventListener('change', () => typed(field.value.trim().replaceAll(',', '')));
      field.addEventListener('keydown', event => {
        if (event.key === 'ArrowUp') take(Math.min(MOST, now + 1));
        else if (event.key === 'ArrowDown') take(Math.max(1, now - 1));
        else if (event.key === 'Escape') take(now);
        else return;
        event.preventDefault();
      });
      set(now);
      return { get: () => now, set };
    }

    const chosen = () => ({ batch: batch.get(), precision: precision.get(), optimizer: optimizer.get() });

    // The page's own batch, until somebody chooses another here.
    function follow() {
      if (!own || value.batch !== followed) {
        batch.set(value.batch);
        followed = value.batch;
      }
      note.textContent = `${value.arch} at ${sizeText(value.size)}\u202fpx`;
      time.batchOf(value.batch);
      sayWhose();
    }

    function loading() {
      box.setAttribute('aria-busy', 'true');
      if (shown.hidden) state.replaceChildren(el('p', 'ghost', 'Going through a step …'));
    }

    function draw(answer) {
      box.removeAttribute('aria-busy');
      shown.hidden = Boolean(answer.error);
      if (answer.error) { again(state, answer.error, ask); return; }
      state.replaceChildren();
      big.textContent = bytes(answer.total);
      big.title = `${exact(answer.total)} bytes`;
      rest.textContent = ` at the peak, in ${MOMENTS[answer.moment]}`;
      for (const { id, piece, figure } of segments) {
        piece.style.flexGrow = answer[id] / answer.total;
        piece.hidden = !answer[id];
        figure.textContent = answer[id] ? bytes(answer[id]) : 'none';
        figure.title = `${exact(answer[id])} bytes, ${percent(answer[id] / answer.total)}`;
      }
      sayGradients(answer);
      sayKept(answer);
      fill.style.width = `${Math.min(100, 100 * answer.total / answer.there)}%`;
      gauge.classList.toggle('over', Boolean(answer.too_large));
      const share = answer.total / answer.there;
      of.textContent = share > 1 ? `${share.toFixed(share < 10 ? 1 : 0)} times ${answer.where}’s ${bytes(answer.there)}` : `${percent(share)} of ${answer.where}’s ${bytes(answer.there)}`;
      tooLarge.hidden = !answer.too_large;
      if (tooLarge.textContent !== answer.too_large) tooLarge.textContent = answer.too_large;
      norms.hidden = !answer.norms;
      norms.lastChild.textContent = answer.norms;
    }

    // Gradients are made one after the other: where the memory is fullest before the last, the others come later.
    function sayGradients({ gradients, gradients_in_all: all }) {
      const { figure, aside } = segments.find(({ id }) => id === 'gradients');
      if (!gradients && all) figure.textContent = 'none yet';
      aside.textContent = gradients < .95 * all ? `${bytes(all)} when backward ends` : '';
    }

    // What is kept grows through the forward pass and is let go in the backward pass: most is kept between the two.
    function sayKept({ kept, kept_in_all: most, moment }) {
      const { figure, aside } = segments.find(({ id }) => id === 'kept');
      const when = { forward: `${bytes(most)} when it ends`, backward: `of ${bytes(most)} at its start`, update: `of ${bytes(most)} before` };
      if (!kept) figure.textContent = moment === 'forward' ? 'none yet' : 'none left';
      aside.textContent = most === kept ? '' : when[moment];
    }

    return { box, chosen, follow, loading, show: draw, shown: () => !shown.hidden };
  }

  // ---- growth with the picture ----
  function growthView() {
    const { box, note } = section('growth', 'How it grows with the picture');
    const state = el('div', 'state', null, box), shown = el('div', 'shown', null, box), charts = el('div', 'charts', null, shown);
    const SERIES = [['params', 1, short], ['MACs', 2, short], ['activations', 3, bytes], ['kept', 4, bytes], ['step memory', 5, bytes]];
    const figures = SERIES.map(([name, column, write]) => {
      const figure = el('figure', '', null, charts), caption = el('figcaption', '', null, figure);
      el('span', '', name, caption);
      const number = el('b', '', null, figure), times = el('span', 'times', null, figure), canvas = el('div', 'canvas', null, figure);
      return { column, write, number, times, canvas, drawing: svg('svg', { 'aria-hidden': 'true' }, canvas) };
    });
    const ruler = el('div', 'ruler', null, shown), slider = el('input', '', null, ruler), at = el('output', '', null, ruler);
    slider.type = 'range';
    slider.min = 0;
    slider.setAttribute('aria-label', 'Image size');
    const twin = el('details', '', null, shown), grid = (el('summary', '', 'As a table', twin), el('table', '', null, el('div', 'wide', null, twin)));
    shown.hidden = true;
    const HEIGHT = 72, PAD = 5;
    let points = [], here = 0, resting = 0, k = 0, width = 0;     // places in points: of the present size, of the slider, of what is read

    const side = i => Math.sqrt(sides(points[i][0]).reduce((a, b) => a * b));      // of the square as large
    const x = i => PAD + (width - 2 * PAD) * (side(i) - side(0)) / (side(points.length - 1) - side(0));
    const y = (i, column) => HEIGHT - 1 - (HEIGHT - PAD - 1) * points[i][column] / Math.max(1, ...points.map(point => point[column]));

    function loading() {
      box.setAttribute('aria-busy', 'true');
      if (shown.hidden) state.replaceChildren(el('p', 'ghost', 'Trying other sizes …'));
    }

    function show(answer) {
      box.removeAttribute('aria-busy');
      const few = !answer.error && answer.points.length < 2;
      shown.hidden = Boolean(answer.error) || few;
      if (answer.error) { again(state, answer.error, ask); return; }
      state.replaceChildren(...(few ? [el('p', 'mute', `This model runs at ${sizeText(value.size)}\u202fpx only: there is nothing to compare.`)] : []));
      const before = resting === here ? value.size : points[resting]?.[0];
      points = answer.points;
      here = Math.max(0, points.findIndex(point => String(point[0]) === String(value.size)));
      k = resting = points.some(point => String(point[0]) === String(before)) ? points.findIndex(point => String(point[0]) === String(before)) : here;
      note.textContent = few ? '' : `a batch of ${exact(memory.chosen().batch)}; kept: when its forward pass ends`;
      if (few) return;
      slider.max = points.length - 1;
      fillTwin();
      draw();
    }

    function draw() {
      width = figures[0].canvas.clientWidth;
      if (!width || points.length < 2) return;
      for (const f of figures) {
        const { drawing, column } = f, line = points.map((_, i) => `${x(i).toFixed(1)},${y(i, column).toFixed(1)}`).join(' ');
        drawing.replaceChildren();
        drawing.setAttribute('viewBox', `0 0 ${width} ${HEIGHT + 16}`);
        svg('polygon', { class: 'area', points: `${x(0)},${HEIGHT} ${line} ${x(points.length - 1)},${HEIGHT}` }, drawing);
        svg('path', { class: 'axis', d: `M0 ${HEIGHT + .5}H${width}` }, drawing);
        svg('path', { class: 'now', d: `M${x(here)} 0V${HEIGHT}` }, drawing);
        svg('polyline', { class: 'curve', points: line }, drawing);
        points.forEach((_, i) => svg('circle', { class: 'dot', cx: x(i), cy: y(i, column), r: 1.75 }, drawing));
        svg('text', { x: 0, y: HEIGHT + 13 }, drawing, sizeText(points[0][0]));
        svg('text', { x: width, y: HEIGHT + 13, 'text-anchor': 'end' }, drawing, sizeText(points.at(-1)[0]));
        f.cursor = svg('circle', { class: 'cursor', r: 4 }, drawing);
      }
      read();
    }

    // The values at one size, everywhere.
    function read() {
      const size = sizeText(points[k][0]);
      slider.value = k;
      slider.style.setProperty('--range_progress', `${100 * k / (points.length - 1)}%`);
      slider.setAttribute('aria-valuetext', `${size} pixels${k === here ? ', the present size' : ''}`);
      at.textContent = `${size}\u202fpx`;
      at.classList.toggle('here', k === here);
      for (const { column, write, number, times, cursor } of figures) {
        const ratio = points[k][column] / (points[here][column] || 1);
        number.textContent = write(points[k][column]);
        number.title = exact(points[k][column]);
        times.textContent = k === here ? 'now' : ratio === 1 ? 'as now' : `${ratio < 10 ? ratio.toFixed(ratio < .1 ? 2 : 1) : ratio.toFixed(0)} × now`;
        if (cursor) {
          cursor.setAttribute('cx', x(k));
          cursor.setAttribute('cy', y(k, column));
        }
      }
    }

    function fillTwin() {
      const head = el('tr'), names = ['image', ...SERIES.map(([name]) => name)];
      names.forEach(name => { el('th', '', name, head).scope = 'col'; });
      const rows = points.map((point, i) => {
        const row = el('tr', i === here ? 'here' : ''), first = el('th', '', `${sizeText(point[0])}\u202fpx`, row);
        first.scope = 'row';
        SERIES.forEach(([, column, write]) => { el('td', '', write(point[column]), row).title = exact(point[column]); });
        return row;
      });
      const thead = el('thead'), tbody = el('tbody');
      thead.append(head);
      tbody.append(...rows);
      grid.replaceChildren(thead, tbody);
    }

    const nearest = px => points.reduce((best, _, i) => (Math.abs(x(i) - px) < Math.abs(x(best) - px) ? i : best), 0);
    charts.addEventListener('pointermove', event => {
      const canvas = event.target.closest('.canvas');
      if (!canvas || points.length < 2) return;
      k = nearest(event.clientX - canvas.getBoundingClientRect().left);
      read();
    });
    charts.addEventListener('pointerleave', () => { if (points.length > 1) { k = resting; read(); } });
    slider.addEventListener('input', () => { k = resting = Number(slider.value); read(); });
    Explorer.fit(charts, draw, 100);
    return { box, loading, show };
  }

  // ---- shares of the parts ----
  function tableView() {
    const { box, note } = section('where', 'Where it goes');
    const grid = el('table', '', null, box), head = el('tr', '', null, el('thead', '', null, grid)), body = el('tbody', '', null, grid), foot = el('tr', '', null, el('tfoot', '', null, grid));
    const MEASURES = [['params', 'params', short], ['macs', 'MACs', short], ['bytes', 'activations', bytes], ['kept', 'kept', bytes]];
    const lines = new Map(), marks = new Map();
    let kept = null, inAll = 0, sort = null, shown = [], current = null;
    grid.setAttribute('aria-label', 'Shares of the parts');
    for (const [id, title] of [['name', 'part'], ...MEASURES]) {
      const th = el('th', id, null, head), b = el('button', '', null, th);
      th.scope = 'col';
      b.type = 'button';
      el('span', '', title, b);
      marks.set(id, { th, mark: el('i', '', '', b) });
      b.addEventListener('click', () => sortBy(id));
    }
    const label = el('th', 'name', 'total', foot), sums = MEASURES.map(([id]) => el('td', id, null, foot));
    label.scope = 'row';
    const over = el('p', 'over', 'Show on ribbon and tree: ', box), switches = new Map(), keyOf = id => (id === 'bytes' ? 'memory' : id);
    for (const [id, title] of MEASURES) {
      const b = el('button', 'link', id === 'params' ? 'parameters' : title, over);
      b.type = 'button';
      b.addEventListener('click', () => trigger('measured', { key: keyOf(id) }));
      switches.set(id, b);
    }

    // Largest first, then the other way, then in the order of the run.
    function sortBy(id) {
      sort = id === 'name' ? null : sort?.id !== id ? { id, up: false } : sort.up ? null : { id, up: true };
      draw();
    }

    function keep(list, all) {
      kept = list;
      inAll = all;
      if (value) draw();
    }

    function draw() {
      const rows = value.parts.map((part, k) => ({ ...part, kept: kept && kept.length ? kept[k] : null, k }));
      const totals = Object.fromEntries(MEASURES.map(([id]) => [id, rows.some(row => row[id] == null) ? null : rows.reduce((sum, row) => sum + row[id], 0)]));
      const ofLoss = totals.kept == null ? 0 : inAll - totals.kept;
      if (ofLoss) totals.kept = inAll;
      const share = (row, id) => (row[id] == null || !totals[id] ? null : row[id] / totals[id]);
      const most = Math.max(...rows.flatMap(row => MEASURES.map(([id]) => share(row, id) ?? 0)), .01);
      shown = sort ? [...rows].sort((a, b) => (sort.up ? 1 : -1) * ((a[sort.id] ?? 0) - (b[sort.id] ?? 0)) || a.k - b.k) : rows;
      if (!shown.some(row => row.qual === current)) current = shown[0]?.qual;
      for (const [id, { th, mark }] of marks) {
        const on = sort?.id === id;
        if (on) th.setAttribute('aria-sort', sort.up ? 'ascending' : 'descending'); else th.removeAttribute('aria-sort');
        mark.textContent = on ? (sort.up ? '↑' : '↓') : '';
      }
      for (const [id, b] of switches) {
        const on = value.measure === keyOf(id);
        b.setAttribute('aria-pressed', on);
        marks.get(id).th.classList.toggle('laid', on);
      }
      const picked = holder(Explorer.picked);
      placeRows(body, shown.map(row => {
        const line = lines.get(row.qual) ?? make(row.qual);
        lines.set(row.qual, line);
        line.tr.className = groupClass(row.group);
        line.tr.setAttribute('aria-selected', row.qual === picked);
        line.tr.tabIndex = row.qual === current ? 0 : -1;
        line.name.textContent = row.name;
        line.what.textContent = row.what;
        line.th.title = `${row.name}: ${row.what}`;
        MEASURES.forEach(([id, title, write], k) => {
          const part = share(row, id), { cell, text, bar } = line.cells[k];
          const waits = id === 'kept' && kept === null && !value.failure;
          text.textContent = part === null ? (waits ? '…' : '–') : percent(part);
          bar.style.width = part ? `${Math.max(1, 100 * part / most)}%` : '0';
          cell.title = part === null ? '' : `${title}: ${write(row[id])}, ${exact(row[id])}${id === 'params' || id === 'macs' ? '' : ' bytes'}`;
        });
        return line.tr;
      }));
      MEASURES.forEach(([id, , write], k) => { sums[k].textContent = totals[id] == null ? '–' : write(totals[id]); });
      const plus = ofLoss > 0 ? `; ${bytes(ofLoss)} of it by the loss` : '';
      note.textContent = kept?.length ? `kept: a batch of ${exact(memory.chosen().batch)}, when its forward pass ends${plus}` : '';
    }

    function make(qual) {
      const tr = el('tr'), th = el('th', 'name', null, tr);
      th.scope = 'row';
      tr.dataset.qual = qual;
      const label = el('div', '', null, th), name = el('span', '', null, label), what = el('small', '', null, label);
      const cells = MEASURES.map(([id]) => {
        const cell = el('td', id, null, tr), frame = el('div', '', null, cell), rail = el('i', '', null, frame);
        return { cell, bar: el('u', '', null, rail), text: el('span', '', null, frame) };
      });
      return { tr, th, name, what, cells };
    }

    // The part in which a layer lies; a container of several has none.
    const holder = qual => qual && value.parts.find(part => part.qual !== '0' && part.quals.some(own => Explorer.isIn(qual, own)))?.qual;
    const choose = qual => { current = qual; Explorer.pick(qual); draw(); };
    Explorer.onPick(() => { if (value) draw(); });
    body.addEventListener('click', event => {
      const qual = event.target.closest('tr')?.dataset.qual;
      if (qual) choose(qual);
    });
    body.addEventListener('keydown', event => {
      const at = shown.findIndex(row => row.qual === current);
      const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: shown.length - 1 }[event.key];
      if (to !== undefined) {
        current = shown[Math.max(0, Math.min(shown.length - 1, to))].qual;
        draw();
        lines.get(current).tr.focus();
      } else if (event.key === 'Enter' || event.key === ' ') choose(current);
      else return;
      event.preventDefault();
    });
    return { box, draw: () => { kept = value.failure ? [] : kept; draw(); }, keep };
  }

  // ---- time per layer, when somebody asks ----
  function timeView() {
    const { box, note } = section('time', 'Time per layer');
    const controls = el('div', 'controls', null, box);
    const pass = choice('Pass', [['forward', 'Forward'], ['both', 'Forward + backward']], labelled('Pass', controls), () => {});
    const batch = choice('Batch', [['one', '1'], ['page', '32']], labelled('Batch', controls), () => {});
    const start = el('button', 'btn', 'Measure', controls), state = el('div', 'state', null, box), list = el('ol', 'slow', null, box);
    start.type = 'button';
    state.setAttribute('aria-live', 'polite');
    state.append(el('p', 'mute', 'Runs the model here for a few seconds, with random weights: they take as long as trained ones.'));
    let pageBatch = 32, old = false, said = null;

    function batchOf(n) {
      pageBatch = n;
      batch.name('page', n);
      batch.box.parentNode.hidden = n === 1;
      if (n === 1) batch.set('one');
    }

    start.addEventListener('click', async () => {
      if (start.disabled || !value) return;
      const asked = value.spec, chosen = { batch: batch.get() === 'one' ? 1 : pageBatch, backward: pass.get() === 'both' };
      start.disabled = true;
      start.textContent = 'Measuring …';
      box.setAttribute('aria-busy', 'true');
      const answer = await call('times', { spec: asked, ...chosen });
      start.disabled = false;
      start.textContent = 'Measure';
      box.removeAttribute('aria-busy');
      list.replaceChildren();
      list.classList.remove('old');
      if (answer.error) { state.replaceChildren(el('p', 'problem', answer.error)); return; }
      show(answer, chosen.backward);
      if (value.spec !== asked) outdated();
    });

    const duration = ms => `${ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2)}\u202fms`;

    function show(answer, backward) {
      old = false;
      const what = backward ? 'forward and backward' : 'forward', n = answer.layers.length;
      const line = el('p', 'line'), pictures = answer.batch === 1 ? 'one picture' : `${answer.batch} pictures`;
      note.textContent = '';
      state.replaceChildren(
        line,
        said = el('p', 'mute', `Measured here just now, ${what}, ${pictures}, on ${answer.device}. The ${n} slowest of ${answer.count} layers take ${percent(answer.shown)}.`),
        ...[answer.note, answer.shared].filter(Boolean).map(sentence => el('p', 'mute', sentence)),
      );
      el('b', '', duration(answer.total), line);
      el('span', '', ' in all layers', line);
      const most = answer.layers[0]?.ms || 1;
      list.replaceChildren(...answer.layers.map(layer => {
        const item = el('li', groupClass(layer.group)), b = el('button', '', null, item);
        b.type = 'button';
        b.dataset.qual = layer.qual;
        b.title = `${layer.name}: ${layer.cls}`;
        el('bdi', '', layer.name, el('span', 'who', null, b));
        el('span', 'cls', layer.cls, b);
        const bar = el('u', '', null, el('i', '', null, b));
        bar.style.width = `${Math.max(1, 100 * layer.ms / most)}%`;
        el('span', 'ms', duration(layer.ms), b);
        el('span', 'portion', percent(layer.share), b);
        b.addEventListener('click', () => Explorer.pick(layer.qual));
        return item;
      }));
      mark();
    }

    // The model is another one now: what was measured is said to be the former's.
    function outdated() {
      if (!list.children.length || old) return;
      old = true;
      list.classList.add('old');
      said.textContent = said.textContent.replace('just now', 'before the model changed');
    }

    function mark() {
      for (const b of list.querySelectorAll('button')) b.setAttribute('aria-pressed', b.dataset.qual === Explorer.picked);
    }
    Explorer.onPick(mark);
    return { box, batchOf, outdated };
  }
};
