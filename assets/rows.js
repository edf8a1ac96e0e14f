// Keyed table rows: new data moves and repaints rows that are there instead of making new ones, so focus and scroll survive.

// Make the children of `body` exactly `rows`, in this order. A row that stays in order is never taken out.
Explorer.placeRows = (body, rows) => {
  const wanted = new Set(rows);
  for (const row of [...body.children]) if (!wanted.has(row)) row.remove();
  let at = body.firstChild;
  for (const row of rows) {
    if (row === at) at = at.nextSibling;
    else body.insertBefore(row, at);
  }
};

// Write only what changed: reading the DOM back costs more than remembering what was written.
Explorer.painter = () => {
  const written = new Map();
  return (key, value, write) => {
    if (written.get(key) === value) return;
    written.set(key, value);
    write(value);
  };
};

Explorer.groupClass = group => ({ 'body-early': 'c-early', 'body-late': 'c-late', head: 'c-head' }[group] || 'c-mixed');

// A drawing that waits while its tab is hidden: soon() draws now where the element has a height, else when it gets one.
// `resized` hears of every new height. The observer is told sizes, so nothing has to be measured while drawing.
Explorer.whenShown = (element, draw, resized = () => {}) => {
  let height = element.clientHeight, stale = false;
  const soon = () => {
    if (height || !element.isConnected) draw();
    else stale = true;
  };
  new ResizeObserver(([entry]) => {
    height = entry.contentRect.height;
    if (height) resized(height);
    if (height && stale) {
      stale = false;
      draw();
    }
  }).observe(element);
  return soon;
};
