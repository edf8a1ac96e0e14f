// Gaps in Gradio's controls, mended after each change of the page: names for screen readers, and keys that do what they should.
(() => {
  const set = (e, name, value) => { if (e.getAttribute(name) !== value) e.setAttribute(name, value); };
  const label = e => e.getAttribute('aria-label') || '';

  // Each of Gradio's radio buttons has a name of its own, so arrow keys do not move between them, and the set has no name.
  function radios(app) {
    app.querySelectorAll('fieldset.block').forEach((fieldset, k) => {
      const info = fieldset.querySelector('[data-testid=block-info]');
      if (!info) return;
      info.id ||= `set-${fieldset.id || k}-label`;
      set(fieldset, 'aria-labelledby', info.id);
      set(fieldset, 'role', 'radiogroup');
      for (const radio of fieldset.querySelectorAll('input[type=radio]')) if (radio.name !== info.id) radio.name = info.id;
    });
  }

  // An accordion does not say whether it is open, and its arrow "▼" is read aloud.
  function accordions(app) {
    for (const button of app.querySelectorAll('.label-wrap')) {
      set(button, 'aria-expanded', String(button.classList.contains('open')));
      for (const arrow of button.querySelectorAll('.icon')) set(arrow, 'aria-hidden', 'true');
    }
  }

  // A checkbox that looks like a switch is one.
  function switches(app) {
    for (const box of app.querySelectorAll('.sw input[type=checkbox]')) set(box, 'role', 'switch');
  }

  // "range slider for Image size" and "number input for Image size" -> "Image size", "Image size, as a number".
  function names(app) {
    for (const range of app.querySelectorAll('input[type=range]')) if (label(range).startsWith('range slider for ')) set(range, 'aria-label', label(range).slice(17));
    for (const number of app.querySelectorAll('[data-testid=number-input]')) if (label(number).startsWith('number input for ')) set(number, 'aria-label', `${label(number).slice(17)}, as a number`);
  }

  // Typing into a dropdown appends to the chosen name and then finds nothing: select the name first.
  function selectChosen(event) {
    if (event.target.matches?.('#app [role=combobox]:not([readonly])') || event.target.matches?.('#app .secondary-wrap input:not([readonly])')) requestAnimationFrame(() => event.target.select());
  }

  const isMenu = e => Boolean(e.matches?.('#app input[role=combobox]'));

  // A dropdown opens at any key but Escape, also at the Tab that leaves it: such keys are not told to it.
  function tabOnMenu(event) {
    if (isMenu(event.target) && ['Tab', 'Shift', 'Control', 'Alt', 'Meta'].includes(event.key)) event.stopImmediatePropagation();
  }

  // A dropdown opens when it is focused, so a click on one that has the focus and was closed by Escape must say so again.
  let closed = null;
  function pressOnMenu(event) {
    const input = event.target.closest?.('#app .container > .wrap')?.querySelector('input[role=combobox]');
    closed = input && input === document.activeElement && input.getAttribute('aria-expanded') === 'false' ? input : null;
  }
  function clickOnMenu() {
    if (closed && closed === document.activeElement && closed.getAttribute('aria-expanded') === 'false') closed.dispatchEvent(new FocusEvent('focus'));
    closed = null;
  }

  // Enter flips a checkbox without telling the server; a click tells it.
  function enterOnCheckbox(event) {
    if (event.key !== 'Enter' || !event.target.matches?.('#app input[type=checkbox]')) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    event.target.click();
  }

  // A text box tells the server of pressed letters only, not of what is pasted, cut or deleted: tell it of every edit.
  let pressed = false;
  function everyEdit(event) {
    if (!event.target.matches?.('#app [data-testid=textbox]')) return;
    if (event.type === 'keypress') pressed = event.isTrusted;
    else if (pressed) pressed = false;
    else event.target.dispatchEvent(new KeyboardEvent('keypress', { bubbles: true }));
  }

  // Arrow keys, Home and End between tabs.
  function arrowsOnTabs(event) {
    const tab = event.target.closest?.('#app [role=tab]');
    if (!tab) return;
    const tabs = [...tab.parentElement.querySelectorAll('[role=tab]:not(:disabled)')], k = tabs.indexOf(tab), n = tabs.length;
    const to = { ArrowRight: (k + 1) % n, ArrowLeft: (k + n - 1) % n, Home: 0, End: n - 1 }[event.key];
    if (to === undefined) return;
    tabs[to].focus();
    tabs[to].click();
    tabs[to].scrollIntoView({ inline: 'nearest', block: 'nearest' });
    event.preventDefault();
  }

  function mend(app) {
    const fix = () => {
      due = 0;
      for (const repair of [radios, accordions, switches, names]) repair(app);
    };
    let due = 0;
    new MutationObserver(() => { due ||= requestAnimationFrame(fix); }).observe(app, { subtree: true, childList: true, attributes: true, attributeFilter: ['class'] });
    fix();
    document.addEventListener('focusin', selectChosen);
    document.addEventListener('keydown', enterOnCheckbox, true);
    document.addEventListener('keydown', tabOnMenu, true);
    document.addEventListener('pointerdown', pressOnMenu, true);
    document.addEventListener('click', clickOnMenu);
    document.addEventListener('keydown', arrowsOnTabs);
    for (const type of ['keypress', 'input']) document.addEventListener(type, everyEdit, type === 'keypress');
  }

  // The script stands in the head: Gradio puts #app on the page some time later.
  const waiting = new MutationObserver(() => {
    const app = document.getElementById('app');
    if (!app) return;
    waiting.disconnect();
    mend(app);
  });
  waiting.observe(document.documentElement, { subtree: true, childList: true });
})();
