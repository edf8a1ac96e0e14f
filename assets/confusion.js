// Which class was taken for which: a table of heat cells, rows the truth, columns the guess, and its worst cells in words.
Explorer.confusion = root => {
  const { el } = Explorer, WORST = 3, MANY = 12, ROOMY = 18, SMALL = 16;
  const summary = el('summary', '', 'Confusion', root), worst = el('ul', 'worst', null, root);
  const scroll = el('div', 'scroll', null, root), hint = el('p', 'help', null, root);
  const RULE = 'Rows are the truth, columns the guess.';
  let cells = [], shown = null, classes = [], opened = false;

  const total = row => row.reduce((sum, n) => sum + n, 0);
  const say = (matrix, i, j) => Explorer.takenFor(matrix[i][j], total(matrix[i]), classes[i], classes[j], i === j);

  // Fill up to 64 % of the colour under ink, 90 % under white for the maximum: both can be read in both themes.
  function heat(cell, count, of, most) {
    const share = of ? count / of : 0, top = count > 0 && count === most;
    cell.style.setProperty('--heat', !count ? '0%' : top ? '90%' : Math.max(16, Math.round(64 * share ** 0.7)) + '%');
    cell.classList.toggle('most', top);
  }

  function build(n) {
    const table = el('table', ''), head = el('tr', '', null, el('thead', '', null, table)), body = el('tbody', '', null, table);
    el('caption', 'sr', 'Confusion matrix. ' + RULE, table);
    el('td', 'corner', null, head);
    classes.forEach(name => { const th = el('th', '', null, head); th.scope = 'col'; el('span', '', Explorer.readable(name), th).title = name; });
    cells = classes.map((name, i) => {
      const row = el('tr', '', null, body), th = el('th', '', null, row);
      th.scope = 'row';
      el('span', '', Explorer.readable(name), th).title = name;
      return Array.from({ length: n }, (_, j) => {
        const cell = el('td', i === j ? 'hit' : '', null, row);
        cell.tabIndex = i || j ? -1 : 0;
        cell.onpointerenter = () => tell(i, j);
        cell.onfocus = () => tell(i, j);
        cell.onclick = () => focus(i, j);
        cell.onkeydown = e => move(e, i, j);
        return cell;
      });
    });
    table.onpointerleave = () => { hint.textContent = RULE; };
    scroll.replaceChildren(table);
    hint.textContent = RULE;
  }

  const tell = (i, j) => { hint.textContent = say(shown.confusion, i, j) + '.'; };

  function focus(i, j) {
    cells.flat().forEach(cell => { cell.tabIndex = -1; });
    cells[i][j].tabIndex = 0;
    cells[i][j].focus();
  }

  function move(e, i, j) {
    const n = cells.length, step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[e.key];
    const to = step ? [i + step[0], j + step[1]] : { Home: [i, 0], End: [i, n - 1] }[e.key];
    if (!to) return;
    e.preventDefault();
    if (cells[to[0]]?.[to[1]]) focus(...to);
  }

  function size() {
    if (!cells.length || !scroll.clientWidth) return;
    const n = cells.length, names = Math.min(112, 14 + 6.2 * Math.max(...classes.map(c => c.length)));
    const cell = Math.max(SMALL, Math.min(40, Math.floor((scroll.clientWidth - names - n - 2) / n)));
    const digits = Math.max(...shown.confusion.flat().map(count => String(count).length));
    scroll.style.setProperty('--cell', cell + 'px');
    scroll.style.setProperty('--names', names + 'px');
    scroll.classList.toggle('bare', cell < Math.max(ROOMY, 7.5 * digits + 3));
  }

  function draw(run) {
    const p = run.predictions;
    root.hidden = !p?.confusion?.length || !run.started;
    if (root.hidden) { shown = null; return; }
    if (!opened) {
      opened = true;
      root.open = run.started.n_valid > MANY;
    }
    if (shown === p) return;
    shown = p;
    const matrix = p.confusion, most = Math.max(...matrix.flat());
    if (cells.length !== matrix.length || classes.join('\n') !== run.started.classes.join('\n')) {
      classes = run.started.classes;
      build(matrix.length);
    }
    cells.forEach((row, i) => row.forEach((cell, j) => {
      const count = matrix[i][j];
      cell.textContent = count || '';
      cell.setAttribute('aria-label', say(matrix, i, j));
      heat(cell, count, total(matrix[i]), most);
    }));
    const pairs = Explorer.worstPairs(matrix, classes, WORST);
    worst.replaceChildren(...(pairs.length ? pairs : ['No mistake at all']).map(text => el('li', '', text)));
    const right = matrix.reduce((sum, row, i) => sum + row[i], 0), all = total(matrix.map(total));
    summary.textContent = `Confusion: ${right} of ${all} right`;
    size();
  }

  root.addEventListener('toggle', size);
  Explorer.fit(scroll, size, 1);
  return { draw };
};

// ---- words about classes, as explorer/views/previews.py has them ----

Explorer.readable = name => name.replaceAll('_', ' ').trim();

Explorer.plural = raw => {
  const name = Explorer.readable(raw);
  if (!name || /(?<!s)s$|[^\p{L}]$/u.test(name)) return name;
  if (/(ss|x|z|ch|sh)$/.test(name)) return name + 'es';
  if (/(lea|loa|thie|wol|cal|hal|el|shea|kni|wi|li)fe?$/i.test(name)) return name.replace(/fe?$/i, 'ves');
  return /[^aeiou]y$/.test(name) ? name.slice(0, -1) + 'ies' : name + 's';
};

Explorer.takenFor = (count, total, truth, guess, right = false) => {
  const of = `${count} of ${total} ${Explorer.plural(truth)}`, verb = count === 1 ? 'was' : 'were';
  if (right) return `${of} ${verb} known`;
  const one = Explorer.readable(guess);
  return `${of} ${verb} taken for ${count === 1 ? `${/^[aeiou]/i.test(one) ? 'an' : 'a'} ${one}` : Explorer.plural(guess)}`;
};

Explorer.worstPairs = (matrix, classes, n) => matrix
  .flatMap((row, i) => row.map((count, j) => ({ count, i, j })))
  .filter(({ count, i, j }) => count && i !== j)
  .sort((a, b) => b.count - a.count || a.i - b.i || a.j - b.j)
  .slice(0, n)
  .map(({ count, i, j }) => Explorer.takenFor(count, matrix[i].reduce((sum, v) => sum + v, 0), classes[i], classes[j]));
