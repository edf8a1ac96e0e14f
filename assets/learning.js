// What the run that a page watches has told so far, for whoever draws it: {id, run, layers, subject, epochs}.
// Explorer.learning.of(element) is that of the page on which an element stands; Explorer.learning where there are no pages.
Explorer.learning = (() => {
  const pages = new Map();

  function channel() {
    const listeners = [];
    let now = null;
    function tell(what) {
      now = what;
      for (const heard of listeners) heard();
    }
    return { of, tell, listen: heard => listeners.push(heard), get now() { return now; } };
  }

  function of(element) {
    const page = element.closest('[id^=page-]')?.id ?? '';
    if (!pages.has(page)) pages.set(page, channel());
    return pages.get(page);
  }
  return of(document.documentElement);
})();

// A step through the epochs of a run: Play, a slider, and which epoch it is. It stays with the newest until somebody steps back.
// moved() hears of every step; take(epochs, of, waits) of what there is: their numbers, 0 for before training, of how many.
Explorer.epochSteps = (parent, moved) => {
  const { el } = Explorer, TEMPO = 700;                      // ms an epoch, when played
  const box = el('div', 'steps', null, parent), play = el('button', 'btn', 'Play', box), slider = el('input', '', null, box), when = el('output', '', null, box);
  play.type = 'button';
  slider.type = 'range';
  slider.min = 0;
  slider.setAttribute('aria-label', 'Epoch');
  let epochs = [], of = 0, at = 0, follows = true, playing = 0;
  const words = epoch => (epoch ? `after epoch ${epoch}` : 'before training');

  function go(to) {
    at = Math.max(0, Math.min(epochs.length - 1, to));
    follows = at === epochs.length - 1;
    draw();
    moved();
  }
  slider.oninput = () => { pause(); go(Number(slider.value)); };

  function pause() {
    clearInterval(playing);
    playing = 0;
    play.textContent = 'Play';
  }
  play.onclick = () => {
    if (playing) { pause(); return; }
    play.textContent = 'Pause';
    go(at === epochs.length - 1 ? 0 : at + 1);
    playing = setInterval(() => {
      if (at < epochs.length - 1 && box.isConnected) go(at + 1);
      if (at === epochs.length - 1) pause();
    }, TEMPO);
  };

  function draw() {
    slider.max = Math.max(1, epochs.length - 1);
    slider.disabled = play.disabled = epochs.length < 2;
    slider.value = at;
    slider.style.setProperty('--range_progress', `${100 * at / slider.max}%`);
    slider.setAttribute('aria-valuetext', words(epochs[at]));
    when.textContent = epochs[at] ? `after epoch ${epochs[at]} of ${of}` : words(0);
  }

  function take(those, total) {
    [epochs, of] = [those, total];
    if (follows || at >= epochs.length) at = Math.max(0, epochs.length - 1);
    draw();
  }
  function restart() {
    pause();
    follows = true;
  }
  return { box, take, go, restart, words, get at() { return at; }, get of() { return of; } };
};

// The network's activations before the first and after each epoch of a run: a step through the epochs, channel maps of
// a few layers beside those of before, and figures of every layer over the dotted lines of before.
Explorer.duringRun = root => {
  const { el, groupClass, history: runs } = Explorer, { line, flat, percent } = Explorer.activationCharts;
  const learning = Explorer.learning.of(root);
  const CLEAR = 6;                                           // px of a map that shows something
  const title = el('h2', '', 'During the run', root), subject = el('span', '', null, title), none = el('p', 'help', null, root);
  const body = el('div', 'body', null, root), steps = Explorer.epochSteps(body, drawEpoch), { words } = steps;
  const choice = el('div', 'choice', null, body), picture = el('img', '', null, choice), which = el('div', 'which', null, choice);
  const maps = el('div', 'maps', null, body), hint = el('p', 'help hint', null, body);
  const figures = el('div', 'about', null, body), network = el('figure', 'network', null, body), kept = el('p', 'help', null, body);
  which.setAttribute('role', 'group');
  which.setAttribute('aria-label', 'Layer whose maps are shown');
  picture.alt = 'The valid picture that is looked at';
  picture.title = picture.alt;
  let id = null, seen = [], layer = null, mapped = null, drawn = '';
  const rows = [row(), row()];

  // ---- which layer ----
  function choose(qual) {
    layer = qual;
    if (seen[0].map_quals.includes(qual)) mapped = qual;
    drawLayers();
    drawEpoch();
  }
  Explorer.onPick(qual => { if (seen[0]?.quals.includes(qual)) choose(qual); });
  const place = qual => seen[0].quals.indexOf(qual);
  const named = (what, qual) => learning.now.layers?.[what]?.[place(qual)] || (what === 'names' ? qual : '');

  function drawLayers() {
    which.replaceChildren(...seen[0].map_quals.map(qual => {
      const b = el('button', `layer ${groupClass(named('groups', qual))}`);
      b.type = 'button';
      el('i', '', null, b);
      el('span', '', named('names', qual), b);
      b.title = `${named('names', qual)} ${named('cls', qual)}`.trim();
      b.setAttribute('aria-pressed', qual === mapped);
      b.onclick = () => { choose(qual); which.querySelector('[aria-pressed=true]').focus(); };
      return b;
    }));
  }

  // ---- drawing ----
  function draw() {
    const { run, subject: model } = learning.now ?? {}, told = run?.activations ?? [];
    const key = [learning.now?.id, told.length, run?.state, !!learning.now?.layers, model].join();
    if (key === drawn) return;
    drawn = key;
    if (id !== learning.now?.id) {
      steps.restart();
      [id, layer] = [learning.now?.id ?? null, null];
    }
    seen = told;
    subject.textContent = seen.length ? model : '';
    none.textContent = seen.length ? '' : absent(run);
    none.hidden = seen.length > 0;
    none.classList.toggle('ghost', Boolean(run && id && !runs.ended(run)));
    body.hidden = !seen.length;
    if (!seen.length) return;
    if (!seen[0].quals.includes(layer)) begin(seen[0]);
    steps.take(seen.map(({ epoch }) => epoch), run.started?.epochs ?? learning.now.epochs);
    const image = run.sample?.images[0];
    picture.hidden = !image;
    if (image && picture.src !== image) picture.src = image;
    kept.textContent = left(run);
    drawLayers();
    drawEpoch();
  }

  // To begin with: the deepest layer of which a map still shows something.
  function begin({ quals, map_quals, map_shapes }) {
    const clear = map_quals.filter((_, k) => Math.min(map_shapes[k][1], map_shapes[k][2]) >= CLEAR);
    mapped = clear.at(-1) ?? map_quals[0] ?? null;
    layer = mapped ?? quals.at(-1);
  }

  function absent(run) {
    if (!id) return 'When a run begins, channel maps and figures of every layer appear here, from before the first and after each epoch.';
    return runs.ended(run) ? 'This run kept no activations.' : 'They appear here once the run has begun.';
  }

  // Not every epoch was looked at: of a long run 30, evenly, and fewer where looks would slow it down.
  function left(run) {
    const passed = run.epochs.length + 1, ended = runs.ended(run);
    if (seen.length >= passed - (ended ? 0 : 1)) return '';
    return `${seen.length} of ${passed} moments are kept, so that the run stays fast and small.`;
  }

  function drawEpoch() {
    const now = seen[steps.at], first = seen[0], i = place(layer);
    drawMaps(first, now);
    drawFigures(first, now, i);
    drawNetwork(first, now);
  }

  function drawMaps(first, now) {
    maps.hidden = hint.hidden = choice.hidden = mapped == null;
    if (mapped == null) return;
    maps.className = `maps ${groupClass(named('groups', mapped))}`;
    rows[0].draw('before', first);
    if (now.epoch) rows[1].draw(`epoch ${now.epoch}`, now);
    else rows[1].wait(runs.ended(learning.now.run) ? 'none' : seen.length > 1 ? 'room' : 'soon', first);
    const k = now.map_quals.indexOf(mapped), n = now.map_shapes[k][0], same = now.epoch && now.map_pixels[k] === first.map_pixels[k];
    const more = same ? ' This layer is as it was before training.' : seen.length > 1 || runs.ended(learning.now.run) ? '' : ' Those after epoch 1 are on their way.';
    hint.textContent = `The same ${n} channels in every epoch, each from its own black to its own white.${more}`;
  }

  // Eight maps of one epoch side by side, white on the layer's own colour.
  function row() {
    const name = el('span', 'name', null, maps), box = el('div', 'row', null, maps);
    box.setAttribute('role', 'img');

    // No maps to show: those after the first epoch are on their way ("soon"), only their room is kept ("room"), or "none".
    function wait(how, { map_quals, map_shapes }) {
      const [n, h, w] = map_shapes[map_quals.indexOf(mapped)];
      name.className = `name ${how}`;
      box.className = `row ${how}`;
      name.textContent = 'epoch 1';
      box.setAttribute('aria-label', 'Channels after epoch 1, not there yet');
      box.replaceChildren(...Array.from({ length: n }, () => Object.assign(el('canvas', 'ghost'), { width: w, height: h })));
    }

    function paint(text, { epoch, map_quals, map_channels, map_shapes, map_pixels }) {
      const k = map_quals.indexOf(mapped), [n, h, w] = map_shapes[k], bytes = Uint8Array.from(atob(map_pixels[k]), c => c.charCodeAt(0));
      name.className = 'name';
      box.className = 'row';
      for (const ghost of box.querySelectorAll('.ghost')) ghost.remove();
      while (box.childElementCount > n) box.lastChild.remove();
      while (box.childElementCount < n) el('canvas', '', null, box);
      [...box.children].forEach((canvas, j) => {
        Object.assign(canvas, { width: w, height: h, title: `channel ${map_channels[k][j]}` });
        const image = new ImageData(w, h);
        for (let p = 0; p < h * w; p += 1) image.data.set([255, 255, 255, bytes[j * h * w + p]], 4 * p);
        canvas.getContext('2d').putImageData(image, 0, 0);
      });
      name.textContent = text;
      box.setAttribute('aria-label', `Channels ${map_channels[k].join(', ')} of ${named('names', mapped)}, ${words(epoch)}`);
    }
    return { draw: paint, wait };
  }

  // Of the chosen layer: mean, std and dead channels, before and now.
  function drawFigures(first, now, i) {
    figures.replaceChildren(el('h3', '', named('names', layer)));
    const list = el('dl', 'figures', null, figures);
    for (const [name, of, text] of [['mean', 'means', flat], ['std', 'stds', flat], ['dead', 'dead', percent]]) {
      const pair = el('div', '', null, list), dd = el('dd');
      el('dt', '', name, pair);
      el('span', 'past', text(first[of][i]), dd);
      dd.append(now.epoch ? ` → ${text(now[of][i])}` : '');
      pair.append(dd);
    }
  }

  function drawNetwork(first, now) {
    if (!network.clientWidth) return;
    const { names = first.quals, groups = first.quals.map(() => ''), cls = groups } = learning.now.layers ?? {};
    const shown = { quals: now.quals, names, groups, cls, means: now.means, stds: now.stds, dead: now.dead };
    line(network, { network: shown, layer: { qual: layer }, before: now.epoch ? first : null, all: seen }, choose);
  }

  const soon = Explorer.whenShown(root, draw);
  Explorer.fit(network, () => { if (seen.length) drawNetwork(seen[0], seen[steps.at]); }, 100);
  learning.listen(soon);
  soon();
  draw();
};
