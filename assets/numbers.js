// The row of big numbers: what is read at a glance; the exact value is in the title and for screen readers.
(() => {
  const { el, live, human } = Explorer;
  const UNITS = { memory: n => (n >= 1e9 ? [(n / 1e9).toFixed(1), 'GB'] : [(n / 1e6).toFixed(n >= 1e7 ? 0 : 1), 'MB']),
    ms: n => [n < 10 ? n.toFixed(1) : n.toFixed(0), 'ms'] };

  Explorer.numbers = (element, props, trigger, watch) => {
    const row = element.querySelector('.numbers');
    live(element, props, watch, list => {
      while (row.children.length > list.length) row.lastChild.remove();
      list.forEach(({ key, value, caption, exact }, i) => {
        const box = row.children[i] ?? row.appendChild(cell()), [number, unit, words] = box.parts;
        const [text, sign] = value == null ? ['–', ''] : (UNITS[key] ?? human)(value);
        box.title = exact;
        set(number, text);
        set(unit, sign);
        set(words, caption);
      });
    });
  };

  function cell() {
    const box = el('div'), big = el('b', '', null, box), number = el('span', '', null, big), unit = el('small', '', null, big);
    box.parts = [number, unit, el('p', '', null, box)];
    return box;
  }
  function set(e, text) { if (e.textContent !== text) e.textContent = text; }
})();
