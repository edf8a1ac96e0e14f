// The row of big numbers: what is read at a glance; the exact value is in the title and for screen readers.
(() => {
  const { el, live, human } = Explorer;
  const UNITS = { memory: n => (n >= 1e9 ? [(n / 1e9).toFixed(1), 'GB'] : [(n / 1e6).toFixed(n >= 1e7 ? 0 : 1), 'MB']),
    ms: n => [n < 10 ? n.toFixed(1) : n.toFixed(0), 'ms'] };

  Explorer.numbers = (element, props, trigger, watch) => {
    const cell = () => make(key => trigger('measured', { key }));
    const row = element.querySelector('.numbers');
    live(element, props, watch, list => {
      while (row.children.length > list.length) row.lastChild.remove();
      list.forEach(({ key, value, caption, exact, on }, i) => {
        const box = row.children[i] ?? row.appendChild(cell()), [number, unit, words] = box.parts;
        box.key = key;
        box.disabled = on === undefined;
        if (on !== undefined) box.setAttribute('aria-pressed', on);
        const [text, sign] = value == null ? ['–', ''] : (UNITS[key] ?? human)(value);
        box.title = on === undefined ? exact : `${exact}. Press to ${on ? 'take its shares off' : 'lay its shares over'} the pictures.`;
        set(number, text);
        set(unit, sign);
        set(words, caption);
      });
    });
  };

  // Those that can be laid over the pictures are buttons.
  function make(press) {
    const box = el('button');
    box.type = 'button';
    box.addEventListener('click', () => press(box.key));
    const big = el('b', '', null, box), number = el('span', '', null, big), unit = el('small', '', null, big);
    box.parts = [number, unit, el('p', '', null, box)];
    return box;
  }
  function set(e, text) { if (e.textContent !== text) e.textContent = text; }
})();
