// What is asked before a run, or why there is none. Payload {about, text, train, later, at}: a sentence and the words of
// two answers, or none; each answer sends event answered {id: "train" | "later", about}. Payloads about something else,
// without text, take it away.
Explorer.question = (element, props, trigger, watch) => {
  const { el } = Explorer;
  const box = element.querySelector('.question');
  let about = null;

  function hide() {
    about = null;
    box.hidden = true;
    box.replaceChildren();
  }

  // Focus goes where the question came from, before it is gone with the button it stands on.
  function leave() {
    element.closest('.train').querySelector('[id$=go]').focus();
    hide();
  }

  function answer(id, text, parent) {
    const button = el('button', 'btn', text, parent), to = about;
    button.type = 'button';
    button.onclick = () => {
      leave();
      trigger('answered', { id, about: to });
    };
  }

  function ask(value) {
    about = value.about;
    const sentence = el('p', '', value.text), answers = el('div', 'answers');
    sentence.tabIndex = -1;                     // a second Enter on Train must not answer
    box.replaceChildren(sentence);
    box.hidden = false;
    sentence.focus();
    if (!value.train) return;
    box.append(answers);
    answer('train', value.train, answers);
    answer('later', value.later, answers);
  }

  box.addEventListener('keydown', event => { if (event.key === 'Escape') leave(); });
  Explorer.live(element, props, watch, value => {
    if (value.text) ask(value);
    else if (about !== null && value.about !== about) hide();
  });
};
