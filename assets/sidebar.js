// Small pieces of the sidebar.

// The sidebar's heading, and the way back to the chapter's model.
Explorer.buildtitle = (element, props, trigger) => {
  element.querySelector('button').addEventListener('click', () => trigger('defaults'));
};

// What is said below the choice of weights. Payload {text, entry: torchvision's name of them, recipe: address}.
Explorer.weightsline = (element, props, trigger, watch) => {
  const line = element.querySelector('p');
  Explorer.live(props, watch, ({ text, entry = '', recipe }) => {
    line.replaceChildren(text);
    line.title = entry;
    if (!recipe) return;
    const link = Explorer.el('a', '', 'recipe');
    link.href = recipe;
    link.target = '_blank';
    link.rel = 'noreferrer';
    line.append('; ', link);
  });
};
