// What every widget shares: elements, numbers for people, when to draw, and the bus on which a picked layer travels.
// Widgets are functions Explorer.<name>(element, props, trigger, watch, server), called once by gr.HTML's js_on_load.
window.Explorer = (() => {
  const SVG = 'http://www.w3.org/2000/svg';

  // One HTML element: tag, class, text, parent.
  function el(tag, cls, text, parent) {
    const e = document.createElement(tag);
    if (cls) e.className = cls;
    if (text != null) e.textContent = text;
    if (parent) parent.append(e);
    return e;
  }

  // One SVG element: tag, attributes, parent, text.
  function svg(tag, attrs = {}, parent, text) {
    const e = document.createElementNS(SVG, tag);
    for (const key in attrs) e.setAttribute(key, attrs[key]);
    if (text != null) e.textContent = text;
    if (parent) parent.append(e);
    return e;
  }

  // A symbol of assets/icons.svg.
  function icon(name, cls = 'ico') {
    const e = svg('svg', { class: cls, 'aria-hidden': 'true', viewBox: '0 0 16 16' });
    svg('use', { href: '#i-' + name }, e);
    return e;
  }

  // ---- values from the server ----
  // They come in one message for all widgets (picture.js): an update of a single component costs Gradio milliseconds.
  const given = new Map(), takers = new Map(), hearers = new Map();          // by the elem_id of a widget
  const idOf = element => element.closest('.block').id;

  // Hand a widget its new value; one that is not on the page yet takes it when it comes.
  function give(id, value) {
    given.set(id, value);
    takers.get(id)?.(value);
    hearers.get(id)?.(value);
  }

  // Hear what another widget is given, now and from now on.
  function hear(id, take) {
    hearers.set(id, take);
    if (given.has(id)) take(given.get(id));
  }

  // A widget that shows a value: call draw(value) now and at each new one. Gradio sets the value that it began with once
  // more when its tab is shown for the first time: what was given since stands.
  function live(element, props, watch, draw) {
    const id = idOf(element), value = given.get(id) ?? props.value;
    takers.set(id, draw);
    watch('value', () => { if (props.value && !given.has(id)) draw(props.value); });
    if (value) draw(value);
  }

  // A widget whose value the server reads back: it stands in props.value, whoever changed it, less the parts that are
  // only to be shown. -> set(change), by which the page changes it. Each of these is a new turn, and an answer to an
  // earlier turn comes too late to be shown.
  const changers = new Map();
  function hold(element, props, watch, trigger, draw, shown = []) {
    let turn = 0, state = null;
    function keep() {
      const kept = Object.fromEntries(Object.entries(state).filter(([key]) => !shown.includes(key)));
      if (JSON.stringify(kept) !== JSON.stringify(props.value)) props.value = kept;
    }
    function take(value) {
      state = value;
      keep();
      draw(value);
    }
    const set = change => {
      take({ ...state, ...change, turn: ++turn });
      trigger('moved');
    };
    changers.set(idOf(element), set);
    live(element, props, watch, value => { if (!(value.turn < turn)) take(value); });
    watch('value', () => { if (given.has(idOf(element))) keep(); });
    return set;
  }
  const change = (id, to) => changers.get(id)(to);

  // Draw when there is room and when the width changes. A hidden tab is 0 wide: the 0 is remembered too,
  // so that data which came meanwhile is drawn when the tab is shown again at the same width.
  function fit(e, draw, min = 200) {
    let last = 0;
    new ResizeObserver(() => {
      const width = e.clientWidth;
      if (width === last) return;
      last = width;
      if (width >= min) draw();
    }).observe(e);
  }

  // 21830976 -> ["21.8", "M"]: what is read at a glance; the exact number belongs in a title.
  function human(n) {
    const [scale, unit] = n >= 1e9 ? [1e9, 'G'] : n >= 1e6 ? [1e6, 'M'] : n >= 1e4 ? [1e3, 'k'] : [1, ''];
    const v = n / scale;
    return [scale === 1 ? Math.round(v).toLocaleString('en') : v >= 100 ? v.toFixed(0) : v.toFixed(1), unit];
  }
  const short = n => human(n).filter(Boolean).join('\u202f');
  const exact = n => Math.round(n).toLocaleString('en');
  // (512, 7, 7) -> "512×7×7"; an unknown shape is a question mark.
  const shape = dims => (dims ? dims.join('×') : '?');
  // A size of 224 or [97, 131], height and width: as both, and in words.
  const sides = size => (Array.isArray(size) ? size : [size, size]);
  const sizeText = size => [].concat(size).join('×');
  const css = (e, name, fallback) => parseFloat(getComputedStyle(e).getPropertyValue(name)) || fallback;

  // A layer picked anywhere is picked everywhere: the bus carries its qualified name.
  const bus = new EventTarget();
  let picked = null;
  function pick(qual) {
    if (qual === picked) return;
    picked = qual;
    bus.dispatchEvent(new CustomEvent('pick', { detail: qual }));
  }
  const onPick = handle => bus.addEventListener('pick', e => handle(e.detail));
  const isIn = (qual, outer) => qual === outer || qual.startsWith(outer + '.');

  return { el, svg, icon, give, hear, live, hold, change, fit, human, short, exact, shape, sides, sizeText, css, bus, pick, onPick, isIn, get picked() { return picked; } };
})();
