// Small pieces of the sidebar.

// The sidebar's heading, and the way back to the chapter's model.
Explorer.buildtitle = (element, props, trigger) => {
  element.querySelector('button').addEventListener('click', () => trigger('defaults'));
};

// One line below the choice of weights. Payload {"text": …}.
Explorer.weightsline = (element, props, trigger, watch) => {
  const line = element.querySelector('p');
  Explorer.live(props, watch, ({ text }) => { line.textContent = line.title = text; });
};
