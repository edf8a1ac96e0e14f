// Grids of numbers for the upsampling bench: cells that are looked at, cells that are typed into, and pictures of many cells.
Explorer.board = (() => {
  const { el, svg } = Explorer;
  const MOST = 1000, LEVELS = 16;

  // 2.5 -> "2.5", 0.0333 -> "0.03", -4 -> "−4": what fits into a cell.
  function cellText(value) {
    const size = Math.abs(value), digits = size >= 100 ? 0 : size >= 10 ? 1 : 2;
    return String(Number(value.toFixed(digits))).replace('-', '−').replace(/^−0$/, '0');
  }
  // The same for sums that are written out.
  const exactText = value => String(Number(value.toFixed(3))).replace('-', '−').replace(/^−0$/, '0');
  const largest = rows => Math.max(...rows.flat().map(Math.abs)) || 1;

  function paint(e, value, most, side) {
    const share = Math.abs(value) / most, text = side >= 20 ? cellText(value) : '';
    e.style.setProperty('--v', share.toFixed(3));
    e.classList.toggle('deep', share > .6);
    e.classList.toggle('minus', value < 0);
    e.classList.toggle('long', text.length * (side < 28 ? 6 : 6.4) > side - 3);
    return text;
  }

  // Cells in their places. -> {box, frame, draw(cells, rows, columns, side), mark(row, column, height, width), cell(key)}
  // A cell is {key, row, column, value, kind, title}; one that keeps its key glides to its new place.
  function board(parent, kind) {
    const box = el('div', `board ${kind}`, null, parent), frame = el('i', 'frame', null, box), cells = new Map();
    let side = 30;
    frame.hidden = true;

    function draw(list, rows, columns, wide, most) {
      side = wide;
      box.style.width = `${columns * side}px`;
      box.style.height = `${rows * side}px`;
      box.style.setProperty('--side', `${side}px`);
      box.classList.toggle('tiny', side < 14);
      const left = new Set(cells.keys());
      for (const one of list) {
        left.delete(one.key);
        let e = cells.get(one.key);
        if (!e) { e = el('i', '', null, box); cells.set(one.key, e); }
        e.className = one.kind;
        const text = paint(e, one.value, most, side);
        if (e.textContent !== text) e.textContent = text;
        e.style.transform = `translate(${one.column * side}px, ${one.row * side}px)`;
      }
      for (const key of left) { cells.get(key).remove(); cells.delete(key); }
      box.append(frame);
    }

    function mark(row, column, height, width) {
      frame.hidden = row == null;
      if (row == null) return;
      Object.assign(frame.style, {
        transform: `translate(${column * side}px, ${row * side}px)`, width: `${width * side}px`, height: `${height * side}px`,
      });
    }
    // The cell under the pointer, as [row, column].
    function under(event) {
      const { left, top } = box.getBoundingClientRect();
      return [Math.floor((event.clientY - top) / side), Math.floor((event.clientX - left) / side)];
    }
    return { box, frame, draw, mark, under, cell: key => cells.get(key) };
  }

  // Rows of numbers as cells that lie where they lie.
  const asCells = (rows, kind = '') => rows.flatMap((row, i) => row.map((value, j) => ({ key: `${i},${j}`, row: i, column: j, value, kind })));

  // Cells to type into; arrows move between them. -> {box, draw(rows, side)}; `changed(rows)` hears of each new number.
  function typed(parent, kind, label, changed, over = () => {}) {
    const box = el('div', `board typed ${kind}`, null, parent), fault = el('p', 'problem', '', parent);
    fault.setAttribute('role', 'alert');
    fault.hidden = true;
    let rows = [], fields = [];
    box.setAttribute('role', 'group');

    function draw(next, side) {
      const same = rows.length === next.length && rows[0]?.length === next[0].length;
      rows = next;
      box.setAttribute('aria-label', label());
      box.style.setProperty('--side', `${side}px`);
      box.style.width = `${next[0].length * side}px`;
      box.style.height = `${next.length * side}px`;
      if (!same) { fields = next.map((row, i) => row.map((_, j) => field(i, j))); box.replaceChildren(...fields.flat()); }
      const most = largest(next);
      next.forEach((row, i) => row.forEach((value, j) => {
        const e = fields[i][j], text = paint(e, value, most, side);
        e.style.transform = `translate(${j * side}px, ${i * side}px)`;
        if (e !== document.activeElement) { e.value = text; e.removeAttribute('aria-invalid'); }
      }));
    }

    function field(i, j) {
      const e = el('input');
      e.type = 'text';
      e.inputMode = 'decimal';
      e.autocomplete = 'off';
      e.maxLength = 7;
      e.setAttribute('aria-label', `Row ${i + 1}, column ${j + 1}`);
      const read = () => { const text = e.value.trim().replace('−', '-').replace(',', '.'); return text === '' ? NaN : Number(text); };
      e.addEventListener('focus', () => { e.value = exactText(rows[i][j]); e.select(); over([i, j]); });
      e.addEventListener('pointerenter', () => over([i, j]));
      e.addEventListener('pointerleave', () => over(null));
      const fits = value => Number.isFinite(value) && Math.abs(value) <= MOST;
      e.addEventListener('blur', () => {
        over(null);
        fault.hidden = fits(read());
        fault.textContent = fault.hidden ? '' : `“${e.value}” is no number from −${MOST} to ${MOST}: ${cellText(rows[i][j])} stays.`;
        e.removeAttribute('aria-invalid');
        e.value = cellText(rows[i][j]);
      });
      e.addEventListener('input', () => {
        const value = read();
        e.setAttribute('aria-invalid', String(!fits(value)));
        if (fits(value)) changed(rows.map((row, r) => row.map((old, c) => (r === i && c === j ? value : old))));
      });
      e.addEventListener('keydown', event => {
        const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], Enter: [1, 0] }[event.key];
        if (!by) return;
        event.preventDefault();
        fields[i + by[0]]?.[j + by[1]]?.focus();
      });
      return e;
    }
    return { box, draw };
  }

  // Many cells without numbers, their shade between low and high: one path for each shade.
  function heat(parent, { cells, low, high }, label) {
    const rows = cells.length, columns = cells[0].length, paths = Array.from({ length: LEVELS + 1 }, () => '');
    const flat = high - low < 1e-6 * Math.max(1, Math.abs(high));
    cells.forEach((row, i) => row.forEach((value, j) => {
      const share = flat ? .5 + Math.sign(Math.abs(value - low) < 1e-6 ? 0 : value - low) * .3 : (value - low) / (high - low);
      paths[Math.round(LEVELS * Math.max(0, Math.min(1, share)))] += `M${j} ${i}h1v1h-1z`;
    }));
    const e = svg('svg', { class: 'heat', viewBox: `0 0 ${columns} ${rows}`, role: 'img', 'aria-label': label, 'shape-rendering': 'crispEdges' }, parent);
    paths.forEach((d, level) => { if (d) svg('path', { d, style: `--v:${level / LEVELS}` }, e); });
    return e;
  }

  return Object.assign(board, { asCells, typed, heat, cellText, exactText, largest });
})();
