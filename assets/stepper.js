// One of an ordered list, moved by two buttons or arrow keys: the cut.
// `help` is said below it and goes with the next answer. Payload and value {"label", "value", "values": [{"id", "label"}], "help", "problem"}; `value` is the id that is chosen.
Explorer.stepper = (element, props, trigger, watch) => {
  const box = element.querySelector('.step'), [less, more] = box.querySelectorAll('button'), shown = box.querySelector('span');
  const label = element.querySelector('.label'), help = element.querySelector('.help');
  label.id ||= `${element.id || 'step'}-label-${Math.random().toString(36).slice(2, 8)}`;
  box.setAttribute('aria-labelledby', label.id);

  const place = ({ value, values }) => values.findIndex(({ id }) => String(id) === String(value));

  let state = { values: [] };
  function draw(now) {
    state = now;
    const k = place(state), name = state.values[k]?.label ?? String(state.value ?? '');
    if (state.label) label.textContent = state.label;
    help.textContent = state.help || '';
    help.hidden = !state.help;
    shown.textContent = name;
    shown.title = state.values[k]?.title ?? name;
    less.disabled = k === 0 || !state.values.length;
    more.disabled = k === state.values.length - 1;
    box.setAttribute('aria-valuemin', 1);
    box.setAttribute('aria-valuemax', state.values.length);
    box.setAttribute('aria-valuenow', k + 1);
    box.setAttribute('aria-valuetext', name);
    Explorer.problem(element, box, state.problem);
  }

  function go(k) {
    const last = state.values.length - 1, to = Math.max(0, Math.min(last, k));
    if (last < 0 || to === place(state)) return;
    set({ value: state.values[to].id, problem: '' });
  }

  less.addEventListener('click', () => go(place(state) - 1));
  more.addEventListener('click', () => go(place(state) + 1));
  box.addEventListener('keydown', event => {
    const k = place(state), end = state.values.length - 1;
    const to = { ArrowUp: k + 1, ArrowRight: k + 1, ArrowDown: k - 1, ArrowLeft: k - 1, Home: 0, End: end, PageUp: k + 4, PageDown: k - 4 }[event.key];
    if (to === undefined) return;
    go(to);
    event.preventDefault();
  });

  const set = Explorer.hold(element, props, watch, trigger, draw, ['label', 'values']);
};
