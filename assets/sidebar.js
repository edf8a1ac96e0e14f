// Small pieces of the sidebar.

// The sidebar's heading, and the way back to the chapter's model.
Explorer.buildtitle = (element, props, trigger) => {
  element.querySelector('button').addEventListener('click', () => trigger('defaults'));
};

// One line of help that follows what was chosen. Payload {text, title, link: {text, address}}.
Explorer.line = (element, props, trigger, watch) => {
  const line = element.querySelector('p');
  Explorer.live(element, props, watch, ({ text, title = '', link: to }) => {
    line.replaceChildren(text);
    line.title = title;
    if (!to) return;
    const link = Explorer.el('a', '', to.text);
    link.href = to.address;
    link.target = '_blank';
    link.rel = 'noreferrer';
    line.append('; ', link);
  });
};
