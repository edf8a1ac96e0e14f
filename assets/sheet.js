// The contact sheet: what a batch looks like after augmentation, and how many pictures each class has.
// value = {title, items: [[dataURI, label]…], notes: […], classes: [[name, n_train, n_valid]…], loading}, of masks also
// palette: [[class, colour]…], and act: {label}, a way on where the set is of no use; pressing it sends event act.
Explorer.sheet = (element, props, trigger, watch) => {
  const { el, icon } = Explorer;
  const root = element.querySelector('.sheet');
  const top = el('div', 'top', null, root), title = el('h2', '', null, top), again = el('button', 'btn', 'Another batch', top);
  const notes = el('ul', 'notes', null, root), way = el('button', 'btn way', '', root), palette = el('ul', 'palette', null, root), grid = el('ul', 'grid', null, root), counts = el('div', 'counts', null, root);
  again.type = way.type = 'button';
  way.onclick = () => { busy(true); trigger('act', {}); };
  again.onclick = () => { busy(true); trigger('again'); };

  function busy(on) {
    again.disabled = on;
    root.classList.toggle('loading', on);
    root.setAttribute('aria-busy', on);
  }

  function picture([uri, label]) {
    const item = el('li'), img = el('img', '', null, item), name = el('span', '', Explorer.readable(label), item);
    img.src = uri;
    img.alt = '';
    name.title = label;
    return item;
  }

  function colour([name, hex]) {
    const item = el('li');
    el('i', '', null, item).style.background = hex;
    el('span', '', Explorer.readable(name), item);
    return item;
  }

  function note(text) {
    const line = el('li');
    line.append(icon('info'), el('span', '', text));
    return line;
  }

  // A row for each class: its name, its training pictures to scale, then its validation pictures behind them.
  function bars(classes) {
    const most = Math.max(1, ...classes.map(([, train, valid]) => train + valid));
    const table = el('table', ''), head = el('tr', '', null, el('thead', '', null, table)), body = el('tbody', '', null, table);
    el('caption', 'sr', 'Pictures of each class', table);
    for (const name of ['class', '', 'train', 'valid']) el(name ? 'th' : 'td', '', name, head);
    for (const [name, train, valid] of classes) {
      const row = el('tr', '', null, body);
      const th = el('th', '', Explorer.readable(name), row), bar = el('td', 'bar', null, row);
      th.scope = 'row';
      th.title = name;
      el('i', 'learnt', null, bar).style.width = 100 * train / most + '%';
      el('i', 'held', null, bar).style.width = 100 * valid / most + '%';
      el('td', '', train.toLocaleString('en'), row);
      el('td', '', valid.toLocaleString('en'), row);
    }
    return table;
  }

  function draw(value) {
    const items = value.items ?? [], classes = value.classes ?? [];
    busy(Boolean(value.loading));
    title.textContent = value.title || 'A batch as the network sees it';
    notes.replaceChildren(...(value.notes ?? []).map(note));
    way.hidden = !value.act;
    way.textContent = value.act?.label ?? '';
    palette.replaceChildren(...(value.palette ?? []).map(colour));
    grid.classList.toggle('wide', Boolean(value.palette));
    grid.replaceChildren(...(items.length ? items.map(picture) : Array.from({ length: value.loading ? 12 : 0 }, () => el('li', 'ghost'))));
    again.hidden = !items.length && !value.loading;
    counts.replaceChildren(...(classes.length ? [bars(classes)] : items.length || value.loading || value.notes?.length ? [] : [el('p', 'empty', 'No data chosen yet.')]));
  }

  Explorer.live(element, props, watch, draw);
};
