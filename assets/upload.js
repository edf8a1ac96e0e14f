// Pictures of one's own: a field to drop them on, how far they are, what was found in them, and the sets from before.
// Value {on, use, set}: whether it is on show, what pictures are for ("classes", "masks", "pictures"), the set chosen.
// What is dropped travels as one zip to Gradio's upload address; then server.bring([secret, file, name, use]) -> {set, sets,
// limits} or {problem}. server.brought([secret, use]) and server.remove([secret, use, id]) -> {sets, limits}.
Explorer.upload = (element, props, trigger, watch, server) => {
  const { el, icon } = Explorer;
  const root = element.querySelector('.upload'), MEGA = 1e6, FRESH = 60_000, MOST_BARS = 8, MOST_NOTES = 2;
  const field = el('div', 'field-drop', null, root), call = el('p', 'call', null, field), pick = el('p', 'pick', null, field);
  const bounds = el('p', 'help', null, root), fault = el('div', 'fault', null, root), work = el('div', 'work', null, root);
  const card = el('div', 'card', null, root), others = el('ul', 'others', null, root), spoken = el('p', 'sr', null, root);
  spoken.setAttribute('aria-live', 'polite');
  fault.append(icon('warn'));
  const reason = el('p', '', null, fault);
  const bar = Explorer.progress(el('div', 'prog', null, work)), words = el('p', 'when', null, work);
  bar.root.setAttribute('aria-label', 'Bringing pictures');
  const doing = el('span', '', '', words), cancel = button('Cancel', () => stop(), 'link', words);
  fault.hidden = work.hidden = card.hidden = true;

  const HOW = {
    classes: 'A folder a class, names like beagle_12.jpg, or a CSV of names and labels.',
    masks: 'Pictures in a folder images, masks of the same names in masks.',
    pictures: 'Any pictures: each is its own answer.',
  };
  let state = { on: false, use: '', set: '' }, sets = [], limits = null, asked = '', askedAt = 0, stop = () => {};

  button('Choose files', () => choose(false), 'link', pick);
  pick.append(' · ');
  button('Choose a folder', () => choose(true), 'link', pick);

  function button(text, act, cls, parent) {
    const b = el('button', cls, text, parent);
    b.type = 'button';
    b.onclick = act;
    return b;
  }

  // ---- getting files ----

  function choose(folder) {
    const input = el('input');
    input.type = 'file';
    input.multiple = true;
    input.webkitdirectory = folder;
    input.className = 'sr';
    input.tabIndex = -1;
    input.setAttribute('aria-label', folder ? 'A folder of pictures' : 'Pictures, a zip, a CSV');
    input.onchange = () => { bring(Explorer.chosen(input.files)); input.remove(); };
    root.querySelector(':scope > input')?.remove();
    root.append(input);
    input.click();
  }

  const over = on => event => {
    if (![...event.dataTransfer.types].includes('Files')) return;
    event.preventDefault();
    field.classList.toggle('over', on);
  };
  for (const name of ['dragenter', 'dragover']) root.addEventListener(name, over(true));
  root.addEventListener('dragleave', over(false));
  root.addEventListener('drop', async event => {
    over(false)(event);
    try {
      await bring(await Explorer.dropped(event.dataTransfer));
    } catch {
      fail('What was dropped cannot be read here: choose the files, or pack them into a zip.');
    }
  });

  // Who misses the field does not lose the page to the picture.
  for (const name of ['dragover', 'drop']) {
    document.addEventListener(name, event => {
      if (!root.hidden && !event.defaultPrevented && event.dataTransfer.types.includes('Files')) event.preventDefault();
    });
  }

  const isZip = file => /\.zip$/i.test(file.name);
  // "pets" of files in one folder, "pets.zip" of a zip alone, "cats, dogs" of two folders, else how many files there are.
  function nameOf(files) {
    const tops = [...new Set(files.map(({ name }) => name.split('/')[0]))];
    const named = tops.length === 1 || (tops.length <= 3 && files.every(({ name }) => name.includes('/')));
    return named ? tops.join(', ') : `${files.length} files`;
  }
  function tooMuch(files) {
    const bytes = files.reduce((n, { file }) => n + file.size, 0), zip = files.length === 1 && isZip(files[0].file);
    if (limits && !zip && files.length > limits.files) return `${Explorer.exact(files.length)} files are too many, ${Explorer.exact(limits.files)} at most may come in: bring fewer.`;
    if (limits && bytes > limits.bytes) return `${megabytes(bytes)} are too much, ${megabytes(limits.bytes)} at most may come in: bring fewer pictures, or smaller ones.`;
    return files.length ? '' : 'There are no files in what was dropped: bring pictures, their folder, or a zip.';
  }

  // ---- bringing them ----

  async function bring(files) {
    if (!work.hidden) return;                                                  // one set at a time
    const wrong = tooMuch(files), name = nameOf(files);
    if (wrong) { fail(wrong); return; }
    let stopped = false;
    const request = new XMLHttpRequest();
    stop = () => { stopped = true; request.abort(); rest_(); };
    begin();
    try {
      const zip = files.length === 1 && isZip(files[0].file) ? files[0].file : await Explorer.zip(files, (done, total) => tell(done / total, `Packing ${name}`));
      if (stopped) return;
      const place = await send(request, zip);
      if (stopped) return;
      tell(null, `Looking through ${name}`);
      cancel.hidden = true;
      take(await server.bring([Explorer.secret.read(), place, name, state.use]));
    } catch {
      if (!stopped) fail('The pictures did not arrive: check the connection and drop them once more.');
    } finally {
      if (!stopped) rest_();
    }
  }

  function send(request, zip) {
    const form = new FormData();
    const mark = [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte.toString(16).padStart(2, '0')).join('');
    form.append('files', zip, `pictures-${mark}.zip`);
    return new Promise((take, fail) => {
      request.upload.onprogress = ({ loaded, total }) => tell(loaded / total, `Sending ${megabytes(loaded)} of ${megabytes(total)}`);
      request.onload = () => { try { take(JSON.parse(request.responseText)[0]); } catch (error) { fail(error); } };
      request.onerror = request.onabort = () => fail(new Error('not sent'));
      request.open('POST', new URL('gradio_api/upload', document.baseURI));
      request.send(form);
    });
  }

  function begin() {
    fault.hidden = true;
    work.hidden = cancel.hidden = false;
    root.setAttribute('aria-busy', 'true');
    tell(0, 'Packing');
  }
  function rest_() {
    work.hidden = true;
    root.removeAttribute('aria-busy');
  }
  function tell(part, text) {
    doing.textContent = `${text}${part == null ? '…' : ''}`;
    bar.draw(1, part, text);
  }
  function fail(sentence) {
    fault.hidden = false;
    reason.textContent = spoken.textContent = sentence;
  }

  // What the server said: the sets from now on, and which is chosen; or what is wrong, and all stays as it was.
  function take(answer) {
    if (!answer || answer.problem) {
      fail(answer?.problem ?? 'The server gave no answer: try once more.');
      return;
    }
    fault.hidden = true;
    ({ sets, limits } = answer);
    const wanted = answer.set ?? (sets.some(({ id }) => id === state.set) ? state.set : sets[0]?.id ?? '');
    if (answer.set) spoken.textContent = `${sets[0].name}: ${counted(sets[0])}`;
    if (wanted !== state.set) set({ set: wanted });
    else draw();
  }

  async function ask(name, more = []) {
    [asked, askedAt] = [state.use, Date.now()];
    take(await Promise.resolve(server[name]([Explorer.secret.read(), state.use, ...more])).catch(() => null));
  }

  // ---- drawing ----

  const megabytes = bytes => (bytes >= 10 * MEGA ? `${Math.round(bytes / MEGA)} MB` : bytes >= 1e5 ? `${(bytes / MEGA).toFixed(1)} MB` : `${Math.max(1, Math.round(bytes / 1000))} kB`);
  const some = (n, one) => `${Explorer.exact(n)} ${one}${n === 1 ? '' : 's'}`;
  const classesOf = ({ classes, more }) => classes.length + more;
  const counted = one => [some(one.pictures, 'picture'), classesOf(one) && `${classesOf(one)} classes`, megabytes(one.megabytes * MEGA)].filter(Boolean).join(' · ');

  function drawBounds() {
    if (!limits) return;
    const kept = limits.hours ? `kept for ${limits.hours === 1 ? 'an hour' : `${limits.hours} hours`} after their last use` : 'kept until you remove them';
    bounds.textContent = `Up to ${megabytes(limits.bytes)}, ${Explorer.exact(limits.files)} files, ${Math.round(limits.pixels / MEGA)} megapixels each; `
      + `${kept}${limits.public ? ' and seen by you alone' : ''}.`;
  }

  // A row for each class: its name, its pictures to scale, those held back behind them.
  function bars({ classes, more, masks }) {
    const table = el('table', 'bars'), body = el('tbody', '', null, table), shown = classes.slice(0, classes.length > MOST_BARS + 1 ? MOST_BARS : classes.length);
    el('caption', 'sr', masks ? 'Pictures that show each class' : 'Pictures of each class', table);
    const most = Math.max(1, ...classes.map(([, train, valid]) => train + valid));
    const fill = rows => {
      for (const [name, train, valid] of rows) {
        const row = el('tr', '', null, body), th = el('th', '', Explorer.readable(name), row), scale = el('td', 'scale', null, row);
        th.scope = 'row';
        th.title = name;
        el('i', 'learnt', null, scale).style.width = 100 * train / most + '%';
        el('i', 'held', null, scale).style.width = 100 * valid / most + '%';
        el('td', '', Explorer.exact(train + valid), row).title = `${Explorer.exact(train)} to learn from, ${Explorer.exact(valid)} to check on`;
      }
    };
    fill(shown);
    const rest = classes.slice(shown.length);
    if (rest.length) {
      const row = el('tr', '', null, body), cell = el('td', 'rest', null, row);
      cell.colSpan = 3;
      button(`${rest.length + more} more`, () => { row.remove(); fill(rest); }, 'link', cell);
    }
    return table;
  }

  function line(text, kind) {
    const item = el('li', kind);
    item.append(icon(kind === 'warning' ? 'warn' : 'info'), el('span', '', text));
    return item;
  }

  function drawCard(one) {
    card.hidden = !one;
    card.replaceChildren();
    if (!one) return;
    const head = el('div', 'head', null, card), title = el('div', 'title', null, head);
    el('b', '', one.name, title).title = one.name;
    el('span', 'mute', counted(one), title);
    const gone = button('', () => remove(one.id), 'btn icon', head);
    gone.append(icon('cross'));
    gone.title = 'Remove these pictures from this host';
    gone.setAttribute('aria-label', `Remove ${one.name}`);
    if (one.classes.length) card.append(bars(one));
    el('ul', 'notes', null, card).append(...one.warnings.map(text => line(text, 'warning')));
    const fold = one.notes.length > MOST_NOTES ? el('details', '', null, card) : null;
    if (fold) el('summary', '', `${one.notes.length} notes`, fold);
    el('ul', 'notes', null, fold ?? card).append(...one.notes.map(text => line(text, 'note')));
  }

  function remove(id) {
    if (!work.hidden) return;
    ask('remove', [id]);
    call.parentElement.querySelector('button')?.focus();
  }

  function drawOthers() {
    others.replaceChildren(...sets.filter(({ id }) => id !== state.set).map(one => {
      const item = el('li'), use = button('', () => set({ set: one.id }), 'other', item);
      el('span', '', one.name, use);
      el('span', 'mute', counted(one), use);
      use.setAttribute('aria-label', `Use ${one.name}, ${counted(one)}`);
      return item;
    }));
  }

  function draw() {
    const one = sets.find(({ id }) => id === state.set);
    root.classList.toggle('has', Boolean(one));
    call.textContent = one ? 'Drop others here' : 'Drop pictures, a folder or a zip here';
    call.title = HOW[state.use] ?? '';
    drawBounds();
    drawCard(one);
    drawOthers();
  }

  const set = Explorer.hold(element, props, watch, trigger, value => {
    state = { set: '', use: '', ...value };
    root.hidden = !value.on;
    if (value.on && (asked !== state.use || Date.now() - askedAt > FRESH)) ask('brought');
    draw();
  });
};
