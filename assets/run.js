// The live run: how far it is, its curves, its guesses. value = {run, token, epochs, state, estimate, problem, plotly, figure, plan, pace}
Explorer.run = (element, props, trigger, watch, server) => {
  const { el, icon, history: runs } = Explorer, own = element.closest('.block').id;       // "run", or "unet-run" of another page
  const memory = Explorer.memory(own), learning = Explorer.learning.of(element), EPOCHS = `#${own.replace(/run$/, 'epochs')}`;
  const root = element.querySelector('.run');
  const bar = Explorer.progress(el('div', 'prog', null, root));
  const head = el('p', 'when', null, root), words = el('span', '', null, head), clock = el('span', 'clock', null, head);
  const wishes = el('div', 'wishes', null, root);
  const pause = el('button', 'link rest', 'Pause', wishes);                    // or Resume: after this epoch, and from where it rests
  pause.type = 'button';
  pause.hidden = true;
  pause.onclick = () => wish(run.state === 'paused' ? 'resume' : 'pause');
  const another = el('button', 'link rest another', 'Queue another', wishes);   // the model as it stands, behind this run
  another.type = 'button';
  another.hidden = true;
  another.onclick = () => { another.disabled = true; trigger('another', { run: id }); setTimeout(() => { another.disabled = false; }, 3000); };
  const subject = el('p', 'help subject', null, root);      // which model this run trains
  const detail = el('p', 'help detail', null, root);
  const fault = el('div', 'fault', null, root);
  fault.append(icon('warn'));
  const reason = el('p', '', null, fault);
  const notes = el('ul', 'notes', null, root);
  const picture = el('div', 'chart', null, root);
  picture.setAttribute('role', 'img');
  const tools = el('div', 'tools', null, root);
  const table = el('div', 'epochs sr', null, root);
  const chart = Explorer.charts.create(picture, zoomed => { buttons.reset.hidden = !zoomed; }, plotted => { buttons.save.hidden = !plotted; });
  const buttons = {
    table: button('Table', () => showTable(table.classList.contains('sr'))),
    save: button('Save as PNG', () => chart.save()),
    reset: button('Reset zoom', () => chart.reset()),
  };
  buttons.reset.hidden = buttons.save.hidden = true;
  buttons.table.setAttribute('aria-pressed', 'false');
  const guesses = Explorer.guesses(el('section', 'guesses', null, root));
  const confusion = Explorer.confusion(el('details', 'confusion', null, root));
  const spoken = el('p', 'sr', null, root);
  spoken.setAttribute('aria-live', 'polite');

  let id = null, token = '', run = runs.empty(), answered = {}, lost = false, restored = false, gone = '', task = '', drawnAxes = '', layers = null, leave = () => {};

  function button(text, act) {
    const b = el('button', 'link', text, tools);
    b.type = 'button';
    b.onclick = act;
    return b;
  }

  function showTable(on) {
    table.classList.toggle('sr', !on);
    buttons.table.setAttribute('aria-pressed', on);
  }

  // ---- following ----

  function attach(nextId, nextToken, fromMemory) {
    leave();
    [id, token, restored, gone, lost] = [nextId, nextToken ?? '', fromMemory, '', false];
    [run, answered, layers] = [runs.empty(), {}, null];
    subject.textContent = '';
    memory.remember(id, token);
    leave = Explorer.follow(server, id, props.value?.pace ?? 250, { news, lost: () => { lost = true; draw(); } });
    draw();
  }

  function news(answer, more) {
    if (!element.isConnected) return false;
    lost = false;
    if (answer.state === 'gone') { forget(); return false; }
    const rested = !restored && answered.state && (answered.state === 'paused') !== (answer.state === 'paused');
    answered = answer;
    if (answer.title) subject.textContent = answer.title;
    if (answer.anew) run = runs.empty();
    layers = answer.layers ?? layers;
    for (const event of answer.events) runs.fold(run, event);
    const over = !more && ['finished', 'stopped', 'failed'].includes(answer.state);
    if (over && !runs.ended(run)) settle(answer);
    if (!more || over) tell(answer, over);
    if (rested && !over) trigger('attached', { run: id, token, state: answer.state });
    draw();
    return !over;
  }

  // The server knows that it is over though no event said so: the worker died, or it was stopped in the line.
  function settle(answer) {
    run.state = answer.state;
    run.progress = null;
    run.reason = answer.reason || 'The run ended without saying why.';
  }

  function tell(answer, over) {
    if (restored) {
      restored = false;
      props.value = { ...props.value, run: id, token, state: answer.state };
      trigger('attached', { run: id, token, state: answer.state });
    } else if (over) {
      trigger('ended', { run: id, state: answer.state, reason: run.reason });
    }
  }

  // Pause or resume; what becomes of it is heard by the next poll.
  async function wish(what) {
    pause.disabled = true;
    await server.wish([id, token, what]).catch(() => undefined);
    pause.disabled = false;
  }

  function forget() {
    const lostId = id;
    memory.forget(id);
    id = null;
    run = runs.empty();
    gone = 'The run this page was watching is no longer on the server.';
    props.value = { ...props.value, run: null, token: '', state: 'gone' };
    draw();
    trigger('ended', { run: lostId, state: 'gone', reason: gone });
  }

  // ---- drawing ----

  const nth = n => n + (['th', 'st', 'nd', 'rd'][n % 100 > 10 && n % 100 < 14 ? 0 : n % 10] ?? 'th');
  const fixed = n => (n == null ? '?' : Explorer.charts.fine(n));
  // "PSNR 27.31 dB" of a title "PSNR, dB"
  function named(value) {
    const [name, unit] = Explorer.charts.title(run).split(', ');
    return [name, fixed(value), unit].filter(Boolean).join(' ');
  }
  // Of the run; of one that has not begun what was asked for, of none what the panel says.
  const epochsOf = () => run.started?.epochs ?? ((id && props.value?.epochs) || inPanel());
  function inPanel() {
    const typed = Number(document.querySelector(`${EPOCHS} :is(input, textarea)`)?.value);
    return Number.isInteger(typed) && typed > 0 && typed <= 10000 ? typed : 5;
  }
  const s = (n, word) => `${n} ${word}${n === 1 ? '' : 's'}`;

  function phase() {
    if (!id) return props.value?.state === 'starting' ? 'starting' : 'empty';
    if (runs.ended(run)) return run.state;
    if (run.state === 'running') return run.steps.length ? 'running' : 'starting';
    if (run.state === 'preparing' && run.progress) return 'preparing';
    if (run.state === 'paused') return answered.state === 'queued' ? 'queued' : answered.state === 'running' ? 'starting' : 'paused';
    return answered.state === 'queued' ? 'queued' : 'starting';
  }

  // Bold words, the rest of the sentence, a second quiet line, and what stands at the right.
  const says = {
    empty: () => ['No run yet.', ` ${gone || props.value?.estimate || ''}`],
    starting: () => ['Starting', '…'],
    queued: () => [`${nth(answered.position || 1)} in line`, answered.wait == null ? '. It starts by itself.' : `, begins in about ${Explorer.duration(answered.wait)}.`],
    paused: () => [`Rests after epoch ${run.keptEpochs} of ${epochsOf()}`, '; others may train meanwhile'],
    preparing: () => [run.progress.what, amount(run.progress)],
    running,
    stopped: () => (run.keptEpochs
      ? [`Stopped after epoch ${run.keptEpochs}`, '; its weights are kept']
      : ['Stopped', ' before the first epoch was done']),
    failed: () => ['The run failed', run.keptEpochs ? `; the weights of epoch ${run.keptEpochs} are kept` : ''],
    finished,
  };

  function amount({ done, total, unit }) {
    if (!done && !total) return '…';
    if (unit !== 'bytes') return total ? `, ${done} of ${total} ${unit}` : `, ${done} ${unit}`;
    const [scale, name] = (total || done) >= 1e6 ? [1e6, 'MB'] : [1e3, 'kB'];
    return total ? `, ${Math.round(done / scale)} of ${Math.round(total / scale)} ${name}` : `, ${Math.round(done / scale)} ${name}`;
  }

  function running() {
    const through = runs.epochsDone(run), checked = run.epochs.length;
    if (checked >= epochsOf()) return ['All epochs done', ', keeping the weights'];
    if (through >= checked + 1) return [`Epoch ${checked + 1} of ${epochsOf()}`, ', checking on validation'];
    const part = Math.floor(100 * (through - checked) + 1e-6);
    return [`Epoch ${Math.min(checked + 1, epochsOf())} of ${epochsOf()}`, `, ${part}\u202f% through`];
  }

  function finished() {
    const last = run.epochs.at(-1), top = runs.best(run);
    if (!last) return ['Finished', ''];
    const [, value] = runs.metric(last), took = run.seconds ? ` in ${Explorer.duration(run.seconds)}` : '';
    const bold = value == null ? `Valid loss ${fixed(last.valid_loss)}` : named(value);
    const was = top === last ? 'The last epoch was the best.'
      : `Epoch ${top.epoch} was the best, with ${fixed(runs.metric(top)[1] ?? top.valid_loss)}.`;
    return [bold, ` after ${s(last.epoch, 'epoch')}${took}`, run.epochs.length > 1 ? was : ''];
  }

  function right(now) {
    if (lost) return 'reconnecting…';
    if (answered.stopping) return 'stopping…';
    if (answered.pausing) return 'rests after this epoch…';
    const left = now === 'running' ? runs.secondsLeft(run) : null;
    return left == null ? '' : `${Explorer.duration(left)} left`;
  }

  function draw() {
    const now = phase(), [bold, rest, second = ''] = says[now](), value = props.value ?? {};
    root.dataset.phase = now;
    words.replaceChildren(el('b', '', bold), rest);
    clock.textContent = right(now);
    pause.hidden = !token || !['running', 'paused'].includes(now) || answered.stopping || answered.pausing || (now === 'running' && run.epochs.length + 1 >= epochsOf());
    another.hidden = !token || !['queued', 'starting', 'preparing', 'running'].includes(now);
    pause.textContent = now === 'paused' ? 'Resume' : 'Pause';
    detail.textContent = second;
    detail.hidden = !second;
    drawBar(now);
    const trouble = (['failed', 'stopped'].includes(now) && (run.reason || answered.reason)) || value.problem;
    fault.hidden = !trouble;
    reason.textContent = trouble || '';
    drawNotes();
    drawChart(now, value);
    drawTable();
    guesses.draw(run);
    confusion.draw(run);
    learning.tell({ id, run, layers, subject: subject.textContent, epochs: epochsOf() });
    speak(now, bold + rest);
  }

  function drawBar(now) {
    const total = run.progress?.total, known = now === 'preparing' && total > 0;
    bar.root.hidden = now === 'empty' || now === 'queued';
    if (now === 'starting' || now === 'preparing') bar.draw(1, known ? run.progress.done / total : null, words.textContent);
    else bar.draw(epochsOf(), now === 'finished' ? epochsOf() : runs.epochsDone(run), words.textContent);
  }

  function drawNotes() {
    if (notes.childElementCount === run.notes.length) return;
    notes.replaceChildren(...run.notes.map(note => {
      const line = el('li');
      line.append(icon(note.kind === 'info' ? 'info' : note.kind === 'offline' ? 'offline' : 'warn'), el('span', '', note.text));
      return line;
    }));
  }

  const axes = () => `${epochsOf()} ${task}`;
  function drawChart(now, value) {
    drawnAxes = axes();
    const waits = now === 'starting' || now === 'preparing', last = run.epochs.at(-1);
    picture.classList.toggle('pulse', waits && !run.steps.length);
    chart.draw({
      run, id, epochs: epochsOf(), plan: value.run === id ? value.plan ?? [] : [], base: value.figure, url: value.plotly,
      note: now === 'empty' || now === 'queued' ? 'curves appear here' : '', task,
    });
    tools.hidden = !run.steps.length;
    picture.setAttribute('aria-label', !run.steps.length ? 'Loss and metric: no run yet.' : last
      ? `Loss and ${Explorer.charts.title(run)} over ${s(epochsOf(), 'epoch')}. After epoch ${last.epoch}: training loss ${fixed(last.train_loss)}, `
        + `valid loss ${fixed(last.valid_loss)}, ${Explorer.charts.title(run)} ${fixed(runs.metric(last)[1])}.`
      : `Loss and ${Explorer.charts.title(run)} over ${s(epochsOf(), 'epoch')}. Training loss now ${fixed(run.smooth.at(-1))}.`);
  }

  // The curves as a table, a row for each epoch: new rows are added, the rest stays.
  function drawTable() {
    const body = table.querySelector('tbody');
    if (body && body.childElementCount <= run.epochs.length && body.dataset.run === id) {
      run.epochs.slice(body.childElementCount).forEach(epoch => row(body, epoch));
      return;
    }
    table.replaceChildren();
    if (!run.steps.length) return;
    const t = el('table', '', null, table), top = el('tr', '', null, el('thead', '', null, t));
    el('caption', 'sr', 'Losses and metric, epoch by epoch', t);
    for (const name of ['epoch', 'train', 'valid', 'accuracy']) el('th', '', name, top).scope = 'col';
    const rows = el('tbody', '', null, t);
    rows.dataset.run = id;
    run.epochs.forEach(epoch => row(rows, epoch));
  }

  function row(body, epoch) {
    const r = el('tr', '', null, body), [, value] = runs.metric(epoch);
    body.parentElement.querySelector('th:last-child').textContent = Explorer.charts.title(run).replace(/^[A-Z](?=[a-z])/, letter => letter.toLowerCase());
    for (const v of [epoch.epoch, epoch.train_loss?.toFixed(4), epoch.valid_loss?.toFixed(4), value?.toFixed(4)]) el('td', '', v ?? '?', r);
  }

  // Screen readers hear epochs and endings, not every batch.
  function speak(now, sentence) {
    const last = run.epochs.at(-1);
    const text = now === 'running' && last ? `Epoch ${last.epoch} done, valid loss ${fixed(last.valid_loss)}` : now === 'running' ? 'Training' : sentence;
    if (spoken.textContent !== text) spoken.textContent = text;
  }

  function take(value) {
    if (value.run && value.run !== id) attach(value.run, value.token, false);
    else draw();
  }
  watch('value', () => { if (props.value) take(props.value); });
  Explorer.hear(own.replace(/run$/, 'pictures'), pictures => { task = pictures.task; });
  // The panel's epochs come with an answer; the empty chart is drawn anew only where they, or the task, are others.
  Explorer.hear(own.replace(/run$/, 'numbers'), () => requestAnimationFrame(() => requestAnimationFrame(() => { if (!id && axes() !== drawnAxes) draw(); })));
  document.addEventListener('input', event => { if (!id && event.target.closest?.(EPOCHS)) draw(); });
  const known = props.value?.run ? null : memory.recall();
  if (known) attach(known.run, known.token, true);
  else take(props.value ?? {});
};

// 75 -> "1 min 15 s"
Explorer.duration = seconds => {
  const n = Math.max(0, Math.round(seconds));
  if (n < 90) return `${n} s`;
  if (n < 3600) return `${Math.floor(n / 60)} min${n < 600 && n % 60 ? ` ${n % 60} s` : ''}`;
  return `${Math.floor(n / 3600)} h ${Math.floor(n % 3600 / 60)} min`;
};

// A bar an epoch; above twelve one bar for all. draw(parts, done): done counts parts, null is unknown.
Explorer.progress = root => {
  const MOST = 12;
  root.setAttribute('role', 'progressbar');
  root.setAttribute('aria-label', 'Training');
  function draw(parts, done, text) {
    const bars = parts > MOST ? 1 : parts, full = done == null ? null : bars === parts ? done : done / parts;
    while (root.childElementCount > bars) root.lastChild.remove();
    while (root.childElementCount < bars) Explorer.el('i', '', null, root);
    [...root.children].forEach((bar, i) => bar.style.setProperty('--p', 100 * Math.max(0, Math.min(1, (full ?? 0) - i)) + '%'));
    root.classList.toggle('unknown', full == null);
    root.setAttribute('aria-valuetext', text);
    if (full == null) root.removeAttribute('aria-valuenow');
    else root.setAttribute('aria-valuenow', Math.round(100 * full / bars));
  }
  return { root, draw };
};
