// The table of runs: a row a run, a row a group with all its values on one axis. does = {pick, act, more, open, rename, expand}.
Explorer.runsTable = (root, does) => {
  const { el, svg, icon } = Explorer;
  const table = el('table', 'rt', null, root), head = el('tr', '', null, el('thead', '', null, table)), axis = el('div', 'axis');
  for (const [cls, text] of [['pc', 'picked'], ['nm0', 'name'], ['h2 fam', 'family'], ['h2 hide cur', 'loss'], ['ac', ''], ['n h2 tm', 'time'], ['n h2 sd', 'seed'], ['h2 kb0', '']]) {
    const th = el('th', cls, cls === 'pc' ? null : text, head);
    th.scope = 'col';
    if (cls === 'pc') el('span', 'sr', text, th);
    if (cls === 'ac') th.append(axis);
    if (cls === 'h2 kb0') el('span', 'sr', 'what can be done', th);
  }
  const body = el('tbody', '', null, table);
  const foot = el('button', 'link more-rows', '', root);
  foot.type = 'button';
  foot.onclick = does.more;
  let shown = null, editing = null;

  const ICONS = { finished: 'check', failed: 'warn', stopped: 'stop', running: 'run', queued: 'wait', paused: 'pause' };
  const WORDS = { finished: 'finished', failed: 'failed', stopped: 'stopped', running: 'trains', queued: 'waits', paused: 'rests' };
  const ACTS = {
    again: ['again', 'Run again, with the same seed'], go_on: ['on', 'Continue with the last weights'], pause: ['pause', 'Rest after this epoch'],
    resume: ['run', 'Go on'], stop: ['stop', 'Stop'],
  };
  const figures = metric => (metric === 'PSNR' ? 2 : 3);

  function draw(page, state, expanded) {
    shown = { page, state, expanded };
    if (!page || editing) return;
    const focused = document.activeElement?.closest?.('.runs')?.contains(root) && body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const parts = [];
    for (const group of page.groups) {
      if (page.group) parts.push(groupRow(group, page));
      for (const row of group.rows) {
        parts.push(runRow(row, page));
        if (row.reason || row.hint.do) parts.push(whyRow(row));
        if (expanded?.id === row.id) parts.push(detailRow(row, expanded));
      }
    }
    body.replaceChildren(...parts);
    table.hidden = !parts.length;
    const more = page.group ? 0 : page.groups[0].more;
    foot.hidden = !more;
    foot.textContent = `Show ${Math.min(200, more)} more of ${more}`;
    if (focused) body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    plot();
  }

  // ---- rows ----
  const cell = (row, cls, span) => {
    const td = el('td', cls, null, row);
    if (span) td.colSpan = span;
    return td;
  };

  function groupRow(group) {
    const tr = el('tr', 'gh'), name = cell(tr, '', 2);
    el('b', '', group.title, name);
    el('span', 'mute', group.about, name);
    if (group.more || shown.state.open.includes(group.key)) {
      const b = el('button', 'link more', group.more ? `${group.more} more` : 'fewer', name);
      b.type = 'button';
      b.dataset.key = `more ${group.key}`;
      b.onclick = () => does.open(group.key);
    }
    const mixed = cell(tr, 'h2 mixed', 2);
    el('span', 'mute', group.mixed, mixed).title = group.mixed;
    cell(tr, 'strip').value = group;
    const mean = cell(tr, 'h2 mean', 3);
    if (group.mean != null) {
      el('b', '', group.mean.toFixed(figures(shown.page.axis?.label)), mean);
      if (group.sd != null) el('span', 'mute', ` ± ${group.sd.toFixed(figures(shown.page.axis?.label))}`, mean);
    }
    return tr;
  }

  function runRow(run, page) {
    const tr = el('tr', [run.letter && 'on', (run.reason || run.hint.do) && 'pre', run.state].filter(Boolean).join(' '));
    tr.dataset.run = run.id;
    const box = el('button', 'pk', run.letter, cell(tr, 'pc'));
    Object.assign(box, { type: 'button', onclick: () => does.pick(run.id) });
    box.setAttribute('role', 'checkbox');
    box.setAttribute('aria-checked', Boolean(run.letter));
    box.setAttribute('aria-label', `Compare ${run.title}`);
    box.dataset.key = `pick ${run.id}`;
    nameCell(tr, run);
    cell(tr, 'h2 fam').textContent = run.family;
    const curve = cell(tr, 'h2 hide cur');
    if (run.curve.length > 1) curve.append(spark(run));
    metricCell(tr, run, page);
    cell(tr, 'n h2 tm').textContent = run.seconds == null ? '' : Explorer.duration(run.seconds);
    cell(tr, 'n h2 sd').textContent = run.seed;
    const bar = el('span', 'kb', null, cell(tr, 'h2 kb0'));
    for (const wish of run.can) actButton(bar, run, wish);
    pinButton(bar, run);
    return tr;
  }

  function nameCell(tr, run) {
    const td = cell(tr, 'nm'), name = el('button', `stt ${run.state === 'failed' ? 'bad' : ''}`, null, td);
    name.type = 'button';
    name.dataset.key = `name ${run.id}`;
    name.title = `${run.title}: ${WORDS[run.state]}`;
    name.setAttribute('aria-expanded', shown.expanded?.id === run.id);
    name.append(icon(ICONS[run.state]), el('b', '', run.title));
    el('span', 'sr', WORDS[run.state], name);
    if (run.note) name.append(Object.assign(el('span', 'mute note', run.note), { title: run.note }));
    name.onclick = () => does.expand(run.id);
    name.ondblclick = () => rename(run);
  }

  function metricCell(tr, run, page) {
    const ended = ['finished', 'stopped', 'failed'].includes(run.state), td = cell(tr, 'dot');
    if (run.state === 'queued') td.append(Object.assign(el('span', 'mute', place(run)), {}));
    else if (!ended) {
      const bar = el('span', 'pb', null, td);
      bar.style.setProperty('--p', `${100 * run.progress}%`);
      bar.setAttribute('role', 'progressbar');
      bar.setAttribute('aria-valuenow', Math.round(100 * run.progress));
      bar.setAttribute('aria-label', `${run.title}: ${run.done} of ${run.epochs} epochs`);
      el('span', 'mute', run.state === 'paused' ? `rests after ${run.done} of ${run.epochs}`
        : run.stopping ? 'stopping…' : run.pausing ? 'resting soon…' : run.left == null || !run.progress ? 'starting…' : `${Explorer.duration(run.left)} left`, td);
    } else if (run.value == null) el('span', run.state === 'failed' ? 'why' : 'mute', run.state === 'failed' ? (run.done ? `failed after ${run.done} of ${run.epochs} epochs` : 'failed before its first epoch was done') : 'before its first epoch', td);
    else if (run.on_axis) td.value = run;
    else {
      el('span', 'mute other', run.metric, td);
      el('span', 'val', run.value.toFixed(figures(run.metric)), td);
    }
    td.dataset.axis = page.axis ? '1' : '';
  }

  function place(run) {
    const nth = run.place + (['th', 'st', 'nd', 'rd'][run.place % 100 > 10 && run.place % 100 < 14 ? 0 : run.place % 10] ?? 'th');
    if (!run.place) return 'waits for another app';
    return `${nth} in line${run.wait == null ? '' : run.wait < 1 ? ', next' : `, in ${Explorer.duration(run.wait)}`}`;
  }

  function actButton(bar, run, wish) {
    const [name, text] = ACTS[wish], b = el('button', '', null, bar);
    b.type = 'button';
    b.title = text;
    b.setAttribute('aria-label', `${text}: ${run.title}`);
    b.dataset.key = `${wish} ${run.id}`;
    b.append(icon(name));
    b.onclick = () => { b.disabled = true; does.act(wish, [run.id]); };
  }

  function pinButton(bar, run) {
    const b = el('button', run.pinned ? 'on' : '', null, bar);
    b.type = 'button';
    b.title = run.pinned ? 'Pinned: stays on top and is kept longest' : 'Pin';
    b.setAttribute('aria-pressed', run.pinned);
    b.setAttribute('aria-label', `Pin ${run.title}`);
    b.dataset.key = `pin ${run.id}`;
    b.append(icon('pin'));
    b.onclick = () => does.act(run.pinned ? 'unpin' : 'pin', [run.id]);
  }

  function whyRow(run) {
    const tr = el('tr', 'fx');
    cell(tr, '');
    const td = cell(tr, run.state === 'failed' ? 'why' : 'mute', 7);
    el('span', '', run.reason, td);
    if (run.hint.do) {
      const b = el('button', '', run.hint.label, td);
      b.type = 'button';
      b.dataset.key = `hint ${run.id}`;
      b.onclick = () => does.act(run.hint.do, [run.id]);
    }
    return tr;
  }

  // ---- the particulars of one run ----
  function detailRow(run, { more }) {
    const tr = el('tr', 'detail');
    cell(tr, '');
    const td = cell(tr, '', 7);
    if (!more) { el('p', 'mute', 'Looking…', td); return tr; }
    if (more.error) { el('p', 'problem', more.error, td); return tr; }
    const facts = el('dl', '', null, td);
    for (const [label, text] of more.facts) {
      const pair = el('div', '', null, facts);
      el('dt', '', label, pair);
      el('dd', '', text, pair);
    }
    const note = el('textarea', '', null, td);
    Object.assign(note, { value: run.note, placeholder: 'A note on this run', rows: 2, maxLength: 2000 });
    note.setAttribute('aria-label', `Note on ${run.title}`);
    note.dataset.key = `note ${run.id}`;
    note.onfocus = () => { editing = note; };
    note.onblur = () => {
      editing = null;
      if (note.value.trim() !== run.note) does.act('note', [run.id], note.value);
      else draw(shown.page, shown.state, shown.expanded);
    };
    const bar = el('div', 'acts', null, td);
    if (more.link) {
      const a = el('a', 'btn q', null, bar);
      a.href = location.pathname + more.link;
      a.append(icon('goto'), el('span', '', 'Open in its page'));
    }
    wide(bar, 'pen', 'Rename', () => rename(run), run);
    for (const wish of run.can) wide(bar, ACTS[wish][0], { again: 'Run again', go_on: 'Continue', pause: 'Pause', resume: 'Resume', stop: 'Stop' }[wish], () => does.act(wish, [run.id]), run);
    wide(bar, 'bin', 'Delete', () => does.act('delete', [run.id]), run);
    return tr;
  }

  function wide(bar, name, text, act, run) {
    const b = el('button', 'btn q', null, bar);
    b.type = 'button';
    b.dataset.key = `wide ${name} ${run.id}`;
    b.append(icon(name), el('span', '', text));
    b.onclick = act;
  }

  function rename(run) {
    const td = body.querySelector(`tr[data-run="${CSS.escape(run.id)}"] .nm`);
    if (!td || editing) return;
    const field = el('input', 'rename');
    Object.assign(field, { value: run.title, maxLength: 80 });
    field.setAttribute('aria-label', `New name of ${run.title}`);
    editing = field;
    td.replaceChildren(field);
    field.focus();
    field.select();
    const done = keep => {
      if (editing !== field) return;
      editing = null;
      if (keep && field.value.trim() !== run.title) does.rename(run.id, field.value);
      draw(shown.page, shown.state, shown.expanded);
    };
    field.onblur = () => done(true);
    field.onkeydown = event => { if (event.key === 'Enter') done(true); if (event.key === 'Escape') done(false); };
  }

  // ---- marks on the axis ----
  function spark(run) {
    const W = 76, H = 22, low = Math.min(...run.curve), high = Math.max(...run.curve), failed = run.state === 'failed';
    const X = i => (failed ? 0.6 : 1) * (W - 8) * i / (run.curve.length - 1), Y = v => 2 + (H - 4) * (high - v) / (high - low || 1);
    const root = svg('svg', { width: W, height: H, class: failed ? 'spark bad' : 'spark', role: 'img', 'aria-label': `Training loss from ${run.curve[0]} to ${run.curve.at(-1)}` });
    svg('path', { d: run.curve.map((v, i) => `${i ? 'L' : 'M'}${X(i).toFixed(1)} ${Y(v).toFixed(1)}`).join('') }, root);
    if (failed) {
      const x = X(run.curve.length - 1) + 5, y = Y(run.curve.at(-1));
      svg('path', { d: `M${x - 3} ${y - 3}l6 6m0-6l-6 6` }, root);
    }
    return root;
  }

  const narrow = () => matchMedia('(max-width: 960px)').matches;
  function plot() {
    const scale = shown?.page?.axis, RIGHT = 56;
    axis.replaceChildren();
    if (!scale || !axis.clientWidth) return;
    const W = axis.clientWidth - 8, X = v => 6 + (W - RIGHT - 6) * (v - scale.low) / (scale.high - scale.low);
    const top = svg('svg', { width: W, height: 16 }, axis);
    const room = W - 7 * scale.label.length - 20;                             // the label stands at the end
    for (const v of ticks(scale.low, scale.high, W > 240 ? 3 : 2).filter(v => X(v) < room)) svg('text', { x: X(v), y: 12, 'text-anchor': 'middle' }, top, v);
    svg('text', { x: W, y: 12, 'text-anchor': 'end' }, top, scale.label);
    for (const td of body.querySelectorAll('td.strip, td.dot')) {
      if (!td.value) continue;
      td.replaceChildren();
      (td.classList.contains('strip') ? strip : dot)(td, X, W, scale);
    }
  }

  function strip(td, X, W, scale) {
    const { values, mean, sd } = td.value;
    if (mean == null) return;
    const root = svg('svg', { width: W, height: 30, role: 'img', 'aria-label': `${values.length} values, mean ${mean.toFixed(3)}` }, td), end = X(scale.high);
    svg('path', { d: `M${X(scale.low)} 15H${end}`, class: 'ax' }, root);
    if (sd) {
      const from = Math.max(X(mean - sd), X(scale.low)), to = Math.min(X(mean + sd), end);
      svg('rect', { x: from, width: Math.max(0, to - from), y: 8, height: 14, rx: 4, class: 'band' }, root);
    }
    svg('path', { d: `M${X(mean)} 3V27`, class: 'mean' }, root);
    for (const v of values) svg('circle', { cx: X(v), cy: 15, r: 4, class: 'one' }, root);
    if (narrow()) svg('text', { x: W, y: 19, 'text-anchor': 'end', class: 'b' }, root, mean.toFixed(figures(scale.label)));
  }

  function dot(td, X, W, scale) {
    const run = td.value, root = svg('svg', { width: W, height: 26, role: 'img', 'aria-label': `${scale.label} ${run.value.toFixed(3)}` }, td);
    svg('path', { d: `M${X(scale.low)} 13H${X(scale.high)}`, class: 'ax' }, root);
    svg('circle', { cx: X(run.value), cy: 13, r: 4, class: 'at' }, root);
    svg('text', { x: W, y: 17, 'text-anchor': 'end' }, root, run.value.toFixed(figures(scale.label)));
  }

  // A few round numbers between low and high.
  function ticks(low, high, most) {
    const rough = (high - low) / (most + 1), power = 10 ** Math.floor(Math.log10(rough)), step = power * [1, 2, 5, 10].find(k => k * power >= rough);
    const first = Math.ceil(low / step - 1e-9), all = Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => +((first + i) * step).toPrecision(6));
    return all.slice(0, most + 1);
  }

  Explorer.fit(root, () => { if (shown) plot(); });
  return { draw };
};
