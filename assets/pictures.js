// What a run makes of the same few valid pictures: given, before training, now, and what is right. Any epoch can be called back,
// and a click lays two of a row over each other. value = views/pictures.py's pictures(): {task}; the rest the run tells (learning.js).
Explorer.pictures = (element, props, trigger, watch) => {
  const { el, history: runs } = Explorer, learning = Explorer.learning.of(element);
  const { kindOf, made, scoreText, sum } = Explorer.pictured;
  const FEW = 2;                                            // outlines while there is nothing
  const root = element.querySelector('.pictures');
  const say = el('p', 'say', null, root), steps = Explorer.epochSteps(root, drawEpoch), total = el('p', 'sum', null, root), against = el('p', 'help', null, root);
  const table = el('div', 'rows', null, root), heads = el('div', 'heads', null, table);
  const classes = Explorer.classBars(el('section', 'classes', null, root));
  const about = el('p', 'help about', null, root), wipe = Explorer.wipe(root, steps);
  steps.box.classList.add('scrub');
  heads.setAttribute('aria-hidden', 'true');
  let task = 'segmentation', id = null, run = null, seen = [], rows = [], drawn = '';

  // ---- which pictures ----
  const kind = () => kindOf(run?.pictured?.task ?? task);
  const outputs = () => Object.values(run?.outputs ?? []).filter(Boolean);

  function heard() {
    ({ run = null } = learning.now ?? {});
    const key = [learning.now?.id, run?.state, run?.epochs.length, outputs().length, !!run?.pictured, learning.now?.subject, task].join();
    if (key === drawn) return;
    drawn = key;
    if (id !== (learning.now?.id ?? null)) {
      id = learning.now?.id ?? null;
      steps.restart();
      rows = [];
      wipe.close();
    }
    seen = outputs();
    steps.take(seen.map(({ epoch }) => epoch), run?.started?.epochs ?? learning.now?.epochs);
    draw();
  }

  // ---- drawing ----
  function draw() {
    const there = run?.pictured, waits = Boolean(id && run && !runs.ended(run));
    root.dataset.phase = there ? 'there' : waits ? 'waits' : 'empty';
    say.textContent = sentence(waits);
    say.hidden = !say.textContent;
    about.textContent = there ? [learning.now.subject, kept()].filter(Boolean).join('. ') : '';
    steps.box.hidden = !there;
    heads.replaceChildren(...kind().columns.map(name => el('span', '', name)));
    const count = there ? there.inputs.length : FEW;
    if (rows.length !== count || rows.there !== there) {
      rows = Object.assign(Array.from({ length: count }, (_, i) => row(i, there)), { there });
      table.replaceChildren(heads, ...rows.map(r => r.box));
    }
    drawEpoch();
  }

  function sentence(waits) {
    const last = run?.keptEpochs, { plural } = kind();
    if (!id) return `No run yet. Press Train: a few valid pictures stand here then, before training and after every epoch, beside ${kind().aim}.`;
    if (!run?.pictured) return waits ? 'The pictures come when the run has begun.' : 'This run ended before it had made a picture.';
    if (run.state === 'failed') return `The run failed${last ? ` after epoch ${last}` : ''}: ${plural} that it had made stay.`;
    if (run.state === 'stopped') return `Stopped${last ? ` after epoch ${last}` : ' before the first epoch was done'}: ${plural} that it had made stay.`;
    return '';
  }

  // Of a long run not every epoch has its pictures.
  function kept() {
    const passed = run.epochs.length + 1;
    return seen.length >= passed - (runs.ended(run) ? 0 : 1) ? '' : `${seen.length} of ${passed} moments have their pictures`;
  }

  function row(i, there) {
    const box = el('div', 'row'), size = there ? '' : 'ghost';
    const cells = kind().columns.map((name, k) => {
      const b = el(there ? 'button' : 'div', `cell ${size}`, null, box), frame = el('span', 'frame', null, b), picture = el('img', '', null, frame);
      picture.alt = '';
      picture.hidden = true;
      if (there) {
        b.type = 'button';
        b.onclick = () => wipe.show({ pictured: there, kind: kind(), seen: () => seen, i, left: k === 3 ? 2 : k, right: k === 3 ? 3 : k === 0 ? 2 : 3 });
      }
      const caption = el('span', 'cap', null, b);
      return { b, picture, name: el('b', '', name, caption), score: el('span', '', '', caption) };
    });
    const { picture, score } = cells[0];
    if (there) picture.onload = () => {
      box.style.setProperty('--ratio', `${picture.naturalWidth} / ${picture.naturalHeight}`);
      score.textContent = scoreText(kind(), there, seen[0], seen[steps.at], i, 0, picture);
    };
    return { box, cells };
  }

  function drawEpoch() {
    const now = seen[steps.at], there = run?.pictured, titles = kind().columns.map((name, k) => (k === 2 && now?.epoch ? `${name}, ${steps.words(now.epoch)}` : name));
    [...heads.children].forEach((head, k) => { head.textContent = titles[k]; });
    rows.forEach(({ cells }, i) => cells.forEach((cell, k) => fill(cell, i, k, now, titles[k])));
    total.textContent = there && now ? sum(run, kind(), now) : '';
    total.hidden = !total.textContent;
    against.textContent = there ? kind().against(there) : '';
    against.hidden = !against.textContent;
    classes.draw(there, now, seen, kind());
    wipe.draw();
  }

  function fill({ b, picture, name, score }, i, k, now, title) {
    const there = run?.pictured, source = there ? made(there, seen[0], now, i, k) : null, words = there ? scoreText(kind(), there, seen[0], now, i, k, picture) : '';
    name.textContent = title;
    picture.hidden = !source;
    if (source && picture.getAttribute('src') !== source) picture.src = source;
    picture.classList.toggle('plain', kind().pixels && k > 0);
    score.textContent = words;
    b.classList.toggle('ghost', !source);
    b.classList.toggle('soon', !source && Boolean(there) && !runs.ended(run));
    if (!there) return;
    b.disabled = !source;
    b.setAttribute('aria-label', source ? `Picture ${i + 1}, ${title.toLowerCase()}${words ? `: ${words}` : ''}. Enlarge.` : `Picture ${i + 1}, ${title.toLowerCase()}: not there yet`);
  }

  Explorer.live(element, props, watch, value => { task = value.task ?? task; heard(); });
  const soon = Explorer.whenShown(root, heard);
  learning.listen(soon);
  heard();
};

// What the tasks call their pictures and how they count them. `made` and `given` find the picture of a row's column:
// 0 what goes in, 1 before training, 2 now, 3 what is right.
Explorer.pictured = (() => {
  const percent = v => `${v > 0.995 && v < 1 ? 99 : Math.round(100 * v)}\u202f%`, decibel = v => `${v.toFixed(1)}\u202fdB`;
  const NAMES = { accuracy: 'pixels right', miou: 'mIoU', psnr: 'PSNR', ssim: 'SSIM', content: 'content loss', style: 'style loss' };
  const figure = (name, v) => (v == null ? `${NAMES[name] ?? name} not known` : name === 'accuracy' ? `${percent(v)} of pixels right` : name === 'psnr' ? `PSNR ${decibel(v)}` : `${NAMES[name] ?? name} ${Math.abs(v) >= 100 ? v.toFixed(0) : v.toFixed(2)}`);
  const listed = pairs => pairs.map(([name, v]) => figure(name, v)).join(', ');
  const beside = base => there => (there.baseline_scores?.length ? `${base}: ${listed(there.baseline_scores)}.` : '');
  const KINDS = {
    segmentation: { columns: ['Photo', 'Before training', 'Now', 'True mask'], plural: 'the masks', aim: 'the true mask', pixels: true, score: v => `${percent(v)} right`, against: () => '' },
    super_resolution: { columns: ['Small, enlarged', 'Before training', 'Now', 'Sharp'], plural: 'the pictures', aim: 'the sharp one', score: decibel, against: beside('Without a network, bicubic') },
    colour: { columns: ['Grey', 'Before training', 'Now', 'True colours'], plural: 'the pictures', aim: 'the true colours', score: decibel, against: beside('Left grey') },
    style: { columns: ['Photo', 'Before training', 'Now', 'Style picture'], plural: 'the pictures', aim: 'the style picture', score: v => figure('loss', v), against: () => '' },
    style_image: { columns: ['Photo', 'At first', 'Now', 'Style picture'], plural: 'the pictures', aim: 'the style picture', score: v => figure('loss', v), against: () => '' },
  };
  const kindOf = task => KINDS[task] ?? KINDS.segmentation;

  const given = (there, i) => there.baselines?.[i] ?? there.inputs[i];
  const made = (there, first, now, i, k) => [given(there, i), first?.images[i], now?.epoch || k !== 2 ? now?.images[i] : null, there.targets[i] || there.style][k] || null;

  // The line under a picture.
  function scoreText(kind, there, first, now, i, k, picture) {
    const v = k === 0 ? there.baseline_each?.[i] : k === 1 ? first?.scores?.[i] : k === 2 && now?.epoch ? now.scores?.[i] : null;
    if (v != null) return kind.score(v);
    return k === 0 && picture?.naturalWidth ? `${picture.naturalHeight}×${picture.naturalWidth}` : '';
  }

  // All valid pictures together, at that epoch.
  function sum(run, kind, now) {
    const done = run.epochs.find(({ epoch }) => epoch === now.epoch), n = run.started?.n_valid;
    const where = `${n === 1 ? 'The picture' : n ? `All ${n} valid pictures` : 'All valid pictures'} ${now.epoch ? `after epoch ${now.epoch}` : 'before training'}`;
    return done?.metrics?.length ? `${where}: ${listed(done.metrics)}.` : '';
  }

  return { kindOf, made, scoreText, sum, figure, NAMES, percent };
})();

// Each class: its colour, and as a bar how well its area was found, beside a tick for the first epoch.
Explorer.classBars = root => {
  const { el } = Explorer, { percent } = Explorer.pictured;
  const head = el('div', 'head', null, root), title = el('h2', '', 'IoU of each class', head), list = el('ul', '', null, root), none = el('p', 'help', '', root);
  let shown = null, items = [];

  function build(there) {
    shown = there;
    items = there.classes.map((name, k) => {
      const li = el('li', '', null, list), swatch = el('i', 'swatch', null, li);
      swatch.style.background = there.colours[k];
      el('span', 'name', Explorer.readable(name), li).title = Explorer.readable(name);
      const bar = el('span', 'bar', null, li);
      el('i', 'now', null, bar);
      el('i', 'past', null, bar);
      return { li, bar, value: el('span', 'value', '', li), name: Explorer.readable(name) };
    });
    list.replaceChildren(...items.map(({ li }) => li));
  }

  function draw(there, now, seen, kind) {
    root.hidden = !kind.pixels || !there?.classes?.length;
    if (root.hidden) return;
    if (shown !== there) build(there);
    const first = seen.find(({ per_class }) => per_class?.length), per = now?.per_class ?? [], before = first?.per_class ?? [], later = first && now.epoch > first.epoch;
    title.textContent = per.length ? `IoU of each class, after epoch ${now.epoch}` : 'Classes';
    list.classList.toggle('plain', !per.length);
    items.forEach(({ li, bar, value, name }, k) => {
      const v = per[k], b = later ? before[k] : null;
      li.classList.toggle('absent', per.length > 0 && v == null);
      bar.style.setProperty('--p', `${100 * (v ?? 0)}%`);
      bar.style.setProperty('--b', `${100 * (b ?? 0)}%`);
      bar.classList.toggle('had', b != null);
      value.textContent = !per.length ? '' : v == null ? '–' : v.toFixed(2);
      li.title = !per.length ? name : v == null ? `${name}: neither there nor guessed in any valid picture` : `${name}: IoU ${v.toFixed(3)}${b == null ? '' : `, after epoch ${first.epoch} ${b.toFixed(3)}`}`;
    });
    const unknown = there.classes.filter((_, k) => per.length && per[k] == null).length, share = Math.max(0, ...seen.map(({ void_share }) => void_share ?? 0));
    none.textContent = [
      per.length ? `IoU: the area that mask and truth share, of the area that either has; 1 is perfect.${later ? ` The tick: where it was after epoch ${first.epoch}.` : ''}` : '',
      unknown ? `A dash: neither there nor guessed in any valid picture.` : '',
      share > 0 ? `Void, ${share < 0.01 ? 'under 1\u202f%' : percent(share)} of the pixels, belongs to no class and is not counted.` : '',
    ].filter(Boolean).join(' ');
  }

  return { draw };
};

// Two pictures of a row, large, one over the other, with a divider between them that follows the pointer and the arrow keys.
Explorer.wipe = (parent, outer) => {
  const { el, icon } = Explorer, { made, scoreText } = Explorer.pictured;
  const box = el('dialog', 'large', null, parent), top = el('div', 'top', null, box), title = el('h2', '', '', top);
  const back = step('caret', 'Picture before', -1), on = step('caret', 'Next picture', 1), close = el('button', 'btn icon', null, top);
  const stage = el('div', 'stage', null, box), under = el('img', 'under', null, stage), over = el('img', 'over', null, stage), line = el('i', 'divider', null, stage);
  const slide = el('input', '', null, stage), words = el('div', 'words', null, box), left = side('Left'), right = side('Right');
  const steps = Explorer.epochSteps(box, () => { outer.go(steps.at); });
  let what = null;
  back.classList.add('back');
  close.type = 'button';
  close.append(icon('cross'));
  close.setAttribute('aria-label', 'Close');
  close.onclick = () => box.close();
  box.onclick = e => { if (e.target === box) box.close(); };
  slide.type = 'range';
  slide.min = 0;
  slide.max = 100;
  slide.value = 50;
  slide.setAttribute('aria-label', 'Divider');
  slide.oninput = place;
  under.onload = () => stage.style.setProperty('--wide', under.naturalWidth / under.naturalHeight);

  function step(symbol, name, by) {
    const b = el('button', 'btn icon', null, top);
    b.type = 'button';
    b.append(icon(symbol));
    b.setAttribute('aria-label', name);
    b.onclick = () => { what.i = (what.i + by + what.pictured.inputs.length) % what.pictured.inputs.length; draw(); };
    return b;
  }

  function side(name) {
    const part = el('div', `side ${name.toLowerCase()}`, null, words), group = el('div', 'choice', null, part), score = el('p', 'mute', '', part);
    group.setAttribute('role', 'group');
    group.setAttribute('aria-label', name);
    return { group, score };
  }

  function place() {
    stage.style.setProperty('--x', `${slide.value}%`);
    slide.setAttribute('aria-valuetext', `${slide.value}\u202f% of ${what?.kind.columns[what.left].toLowerCase()}, the rest ${what?.kind.columns[what.right].toLowerCase()}`);
  }

  function choices({ group }, key) {
    group.replaceChildren(...what.kind.columns.map((name, k) => {
      const b = el('button', 'link', name);
      b.type = 'button';
      b.disabled = !source(k);
      b.setAttribute('aria-pressed', what[key] === k);
      b.onclick = () => { what[key] = k; draw(); group.children[k].focus(); };
      return b;
    }));
  }

  const present = () => what.seen()[outer.at];
  const source = k => made(what.pictured, what.seen()[0], present(), what.i, k);

  function draw() {
    if (!what || !box.open) return;
    const seen = what.seen(), now = present(), n = what.pictured.inputs.length, { columns, pixels } = what.kind;
    title.textContent = n > 1 ? `Picture ${what.i + 1} of ${n}` : 'Picture';
    back.hidden = on.hidden = n < 2;
    for (const [image, k, part] of [[under, what.left, left], [over, what.right, right]]) {
      const at = source(k) ?? source(0), text = scoreText(what.kind, what.pictured, seen[0], now, what.i, k);
      if (image.getAttribute('src') !== at) image.src = at;
      image.classList.toggle('plain', Boolean(pixels && k > 0));
      image.alt = `${columns[k]}${text ? `, ${text}` : ''}`;
      part.score.textContent = text;
    }
    choices(left, 'left');
    choices(right, 'right');
    steps.take(seen.map(({ epoch }) => epoch), outer.of);
    if (steps.at !== outer.at) steps.go(outer.at);
    place();
  }

  function show(asked) {
    what = asked;
    if (!source(what.left)) what.left = 0;
    if (!source(what.right)) what.right = 3;
    box.setAttribute('aria-label', 'Two pictures, one over the other');
    slide.value = 50;
    box.showModal();
    draw();
    slide.focus();
  }
  return { show, draw, close: () => box.close() };
};
