// Code and plain text in sections: segments, copy, download, light colours.
// Payload {"sections": [{"title", "lang": "python" | "text", "text", "note", "file"}]}; without sections it is still being made.
Explorer.code = (element, props, trigger, watch) => {
  const { el, button } = Explorer;
  const box = element.querySelector('.code'), segments = box.querySelector('.segments'), tools = box.querySelector('.tools');
  const note = box.querySelector('.note'), text = box.querySelector('pre');
  let sections = [], chosen = 0;

  const copy = button('copy', 'Copy', tools), file = button(null, 'Download', tools);
  copy.addEventListener('click', async () => Explorer.say(copy, (await Explorer.copy(section().text)) ? 'Copied' : 'Refused'));
  file.addEventListener('click', () => Explorer.save(section().text, section().file || (section().lang === 'python' ? 'model.py' : 'summary.txt')));

  const section = () => sections[chosen];
  draw();

  function draw() {
    const ready = sections.length > 0;
    box.toggleAttribute('aria-busy', !ready);
    tools.hidden = !ready;
    segments.hidden = sections.length < 2;
    const names = sections.map(({ title }) => title);
    if (names.join('\n') !== segments.dataset.names) tabs(names);
    [...segments.children].forEach((tab, k) => {
      tab.setAttribute('aria-checked', k === chosen);
      tab.tabIndex = k === chosen ? 0 : -1;
    });
    note.textContent = ready ? section().note || '' : '';
    note.hidden = !note.textContent;
    if (!ready) text.textContent = '…';
    else if (text.written !== section().text) {
      text.written = section().text;
      const lines = section().lang === 'python' ? Explorer.colourLines(section().text) : section().text.split('\n').map(line => [['', line]]);
      text.classList.toggle('numbered', section().lang === 'python');
      text.replaceChildren(...lines.map(line));
    }
    text.setAttribute('aria-label', ready ? section().title || 'Text' : 'Being written');
  }

  function line(tokens) {
    const span = el('span', 'line');
    for (const [kind, word] of tokens) if (kind) el('span', kind, word, span); else span.append(word);
    span.append('\n');
    return span;
  }

  function tabs(names) {
    segments.dataset.names = names.join('\n');
    segments.replaceChildren(...names.map((name, k) => {
      const tab = el('button', '', name);
      tab.type = 'button';
      tab.setAttribute('role', 'radio');
      tab.addEventListener('click', () => choose(k));
      return tab;
    }));
  }

  function choose(k) {
    chosen = k;
    draw();
  }

  segments.addEventListener('keydown', event => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    choose((chosen + step + sections.length) % sections.length);
    segments.children[chosen].focus();
    event.preventDefault();
  });

  Explorer.live(element, props, watch, payload => {
    sections = payload.sections || [];
    chosen = Math.min(chosen, Math.max(0, sections.length - 1));
    draw();
  });
};

// Python -> lines of [kind, text]: comments, strings, keywords, numbers; everything else has no kind.
Explorer.colourLines = source => {
  const PYTHON = new RegExp([
    /(?<comment>#[^\n]*)/, /(?<string>[rbfuRBFU]{0,2}(?:"""[^]*?"""|'''[^]*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))/,
    /(?<number>(?<![\w.])(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)/, /(?<word>[A-Za-z_]\w*)/,
  ].map(part => part.source).join('|'), 'g');
  const KEYWORDS = new Set('False None True and as assert async await break class continue def del elif else except finally for from global if import in is lambda nonlocal not or pass raise return try while with yield'.split(' '));
  const lines = [[]];
  const add = (kind, text) => text.split('\n').forEach((part, k) => {
    if (k) lines.push([]);
    if (part) lines.at(-1).push([kind, part]);
  });
  let end = 0;
  for (const match of source.matchAll(PYTHON)) {
    add('', source.slice(end, match.index));
    const { comment, string, number, word } = match.groups;
    add(comment ? 'comment' : string ? 'string' : number ? 'number-word' : KEYWORDS.has(word) ? 'keyword' : '', match[0]);
    end = match.index + match[0].length;
  }
  add('', source.slice(end));
  if (!lines.at(-1).length) lines.pop();
  return lines;
};
