// Guesses on a fixed handful of validation pictures; wrong ones carry a cross and the truth. A click enlarges one.
Explorer.guesses = root => {
  const { el, icon } = Explorer, FEW = 12;
  const top = el('div', 'top', null, root), caption = el('p', '', null, top);
  const all = toggle('All'), only = toggle('Only wrong');
  const grid = el('div', 'grid', null, root), none = el('p', 'help', 'None of these is wrong.', root);
  const dialog = enlarged(root);
  let cards = [], sample = null, shown = null;

  function toggle(text) {
    const b = el('button', 'link', text, top);
    b.type = 'button';
    b.setAttribute('aria-pressed', 'false');
    b.onclick = () => { b.setAttribute('aria-pressed', !pressed(b)); filter(); };
    return b;
  }
  function pressed(b) { return b.getAttribute('aria-pressed') === 'true'; }

  const name = (run, k) => Explorer.readable(run.started.classes[k] ?? String(k));
  const percent = p => `${p > 0.995 && p < 1 ? 99 : Math.round(100 * p)}\u202f%`;

  function facts(run, i) {
    const { guesses, confidences, epoch } = run.predictions, truth = run.sample.labels[i], guess = guesses[i];
    return { image: run.sample.images[i], guess: name(run, guess), truth: name(run, truth), right: guess === truth, sure: confidences[i], epoch };
  }

  function card(image) {
    const b = el('button', 'guess', null, grid);
    b.type = 'button';
    const frame = el('span', 'im', null, b), picture = el('img', '', null, frame), mark = el('span', 'mark', null, frame);
    picture.alt = '';
    picture.src = image;
    const sure = el('span', 'sure', null, b);
    const bar = el('i', '', null, sure), share = el('span', '', null, sure);
    return { b, mark, bar, share, guess: el('span', 'name', null, b), truth: el('span', 'truth', null, b) };
  }

  function fill(c, f) {
    c.b.classList.toggle('wrong', !f.right);
    c.mark.replaceChildren(icon(f.right ? 'check' : 'cross'));
    c.bar.style.setProperty('--p', 100 * f.sure + '%');
    c.share.textContent = percent(f.sure);
    c.guess.textContent = f.guess;
    c.guess.title = f.guess;
    c.truth.textContent = f.right ? '' : 'is ' + f.truth;
    c.b.setAttribute('aria-label', `${f.guess}, ${percent(f.sure)} sure: ${f.right ? 'right' : 'wrong, it is ' + f.truth}`);
    c.b.onclick = () => dialog.show(f);
  }

  function filter() {
    const wrong = pressed(only), few = !wrong && !pressed(all);
    cards.forEach((c, i) => { c.b.hidden = (wrong && !c.b.classList.contains('wrong')) || (few && i >= FEW); });
    all.textContent = `All ${cards.length}`;
    all.hidden = wrong || cards.length <= FEW;
    none.hidden = !cards.length || cards.some(c => !c.b.hidden);
  }

  function draw(run) {
    const ready = run.sample && run.predictions && run.started;
    root.hidden = !run.started || run.pictured != null || (!ready && run.state !== 'running');
    only.hidden = !ready;
    all.hidden = all.hidden || !ready;
    if (run.sample !== sample) {
      sample = run.sample;
      cards = [];
      grid.replaceChildren();
    }
    if (!ready) {
      caption.textContent = 'Guesses on validation come after the first epoch';
      none.hidden = true;
      shown = null;
      return;
    }
    if (shown === run.predictions) return;
    shown = run.predictions;
    if (!cards.length) cards = sample.images.map(card);
    cards.forEach((c, i) => fill(c, facts(run, i)));
    caption.textContent = `Guesses on validation, after epoch ${shown.epoch}`;
    filter();
  }

  // One picture, large; Escape, the cross or a click beside it closes.
  function enlarged(parent) {
    const box = el('dialog', 'large', null, parent), figure = el('figure', '', null, box), picture = el('img', '', null, figure);
    const text = el('figcaption', '', null, figure), close = el('button', 'btn icon', null, box);
    close.type = 'button';
    close.append(icon('cross'));
    close.setAttribute('aria-label', 'Close');
    close.onclick = () => box.close();
    box.onclick = e => { if (e.target === box) box.close(); };
    function show(f) {
      picture.src = f.image;
      picture.alt = f.truth;
      const verdict = el('p', f.right ? 'right' : 'wrong');
      verdict.append(icon(f.right ? 'check' : 'cross'), el('b', '', f.guess), `, ${percent(f.sure)} sure`);
      text.replaceChildren(verdict, el('p', 'mute', `${f.right ? 'It is' : 'No, it is'} ${f.truth}. Guess after epoch ${f.epoch}.`));
      box.setAttribute('aria-label', `Guess: ${f.guess}`);
      box.showModal();
    }
    return { show };
  }

  return { draw };
};
