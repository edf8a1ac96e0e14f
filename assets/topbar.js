// The bar at the top: brand, device, Share, light or dark, and on a phone the button that opens the sidebar as a drawer.
Explorer.brand = () => {};

// Payload {"device": "CPU, 2 cores", "kind": "cpu" | "cuda" | "mps", "link": query string of the page as it is now,
// "left_out": what a link cannot hold, "opened": true once the link of a visit was read, "base": address the link belongs to where that is not this one (a Space's frame)}.
Explorer.topbar = (element, props, trigger, watch) => {
  const { el, icon } = Explorer;
  const device = element.querySelector('.device span'), share = element.querySelector('.share'), burger = element.querySelector('.burger');
  const root = document.documentElement, dark = Explorer.theme();

  // Each page has a link of its own, told by its family; the bar shows that of the page on show.
  const states = {}, FAMILY = 'family';
  const familyOf = link => new URLSearchParams(link).get(FAMILY) ?? 'classifier';
  const onShow = () => document.querySelector('#pages > .tab-wrapper [role=tab][aria-selected=true]')?.id.match(/page-(\w+)/)?.[1] ?? 'classifier';

  let shown = {};
  Explorer.live(element, props, watch, state => {
    const page = familyOf(state.link);
    states[page] = state;
    if (state.device) device.textContent = state.device;
    element.querySelector('.device').dataset.kind = state.kind || '';
    if (state.opened) {                                // the link of this visit has been read
      shown = state;
      burger.hidden = onShow() === 'runs';
      root.dataset.opened = '';
    } else if (page === onShow()) {                    // a page behind it may be told something too, of its weights say
      shown = state;
      if ('opened' in root.dataset) follow(state.link);
    }
  });

  document.addEventListener('click', event => {
    if (!event.target.closest?.('#pages > .tab-wrapper [role=tab]')) return;
    requestAnimationFrame(() => {
      const page = onShow();
      const address = { classifier: '', runs: 'open=runs' }[page] ?? `${FAMILY}=${page}`;
      shown = states[page] ?? { ...shown, link: address };
      if ('opened' in root.dataset) follow(shown.link);
    });
  });

  setTimeout(() => { root.dataset.opened ??= ''; }, 30000);          // a link that is never answered does not lock the page

  // The address follows the knobs, so that a reload brings them back.
  function follow(link = '') {
    const theme = new URLSearchParams(location.search).get('__theme');
    const query = [link, theme && `__theme=${theme}`].filter(Boolean).join('&');
    history.replaceState(history.state, '', location.pathname + (query && `?${query}`) + location.hash);
  }

  // ---- light or dark ----
  const theme = element.querySelector('.theme');
  theme.addEventListener('click', dark.flip);

  // ---- the link ----
  share.addEventListener('click', async () => {
    const { link = '', base } = shown, page = base || location.origin + location.pathname;
    const address = link ? `${page}?${link.replace(/^\?/, '')}` : page;
    try {
      await navigator.clipboard.writeText(address);
      share.querySelector('use').setAttribute('href', '#i-check');
      setTimeout(() => share.querySelector('use').setAttribute('href', '#i-share'), 2000);
      Explorer.say(share, shown.left_out ? `Copied, without ${shown.left_out}` : 'Link copied');
    } catch {
      offer(address);
    }
  });

  // Without the clipboard the link stands selected in a field, to be copied by hand.
  function offer(address) {
    element.querySelector('.offer')?.remove();
    const box = el('label', 'offer', null, share.parentElement), field = el('input');
    el('span', '', 'Copy this link', box);
    box.append(field);
    field.readOnly = true;
    field.value = address;
    field.focus();
    field.select();
    const close = () => box.remove();
    field.addEventListener('blur', close);
    field.addEventListener('keydown', event => {
      if (event.key !== 'Escape') return;
      share.focus();
      close();
    });
  }

  // ---- the drawer ----
  const sidebar = () => [...document.querySelectorAll('#app .build')].find(side => side.closest('.tabitem')?.offsetParent !== null);
  const inert = on => { for (const page of document.querySelectorAll('#app .page:not(:has(.build))')) page.inert = on; };

  // Focus goes to the sidebar itself, not to its first control: a gr.Dropdown opens its list when focused.
  function open(on) {
    root.classList.toggle('drawer', on);
    burger.setAttribute('aria-expanded', on);
    inert(on);
    if (!on) { burger.focus({ preventScroll: true }); return; }
    const side = sidebar()?.querySelector('.sidebar-content') || sidebar();
    if (!side) return;
    side.tabIndex = -1;
    side.focus({ preventScroll: true });
  }

  const isOpen = () => root.classList.contains('drawer');
  burger.addEventListener('click', event => {
    event.stopPropagation();
    open(!isOpen());
  });
  document.addEventListener('click', event => { if (isOpen() && event.target.isConnected && !event.target.closest('.build, .options')) open(false); });
  document.addEventListener('keydown', event => { if (event.key === 'Escape' && isOpen() && !event.target.closest('.options')) open(false); });
  matchMedia('(min-width: 961px)').addEventListener('change', ({ matches }) => { if (matches && isOpen()) open(false); });
};

// A person's own choice of light or dark. Gradio writes .dark on <body> at start and whenever the system changes,
// so the choice is written again each time; ?__theme= in the address wins over it.
Explorer.theme = () => {
  const KEY = 'explorer.theme', forced = new URLSearchParams(location.search).get('__theme');
  let chosen = null;
  try { chosen = localStorage.getItem(KEY); } catch { /* no storage: the choice lasts as long as the page */ }
  const body = document.body.classList;
  const keep = () => {
    if (!forced && chosen && body.contains('dark') !== (chosen === 'dark')) body.toggle('dark', chosen === 'dark');
    document.documentElement.classList.toggle('dark', body.contains('dark'));          // the page's scrollbar too
  };
  const flip = () => {
    const next = body.contains('dark') ? 'light' : 'dark';
    if (forced) { body.toggle('dark'); return; }
    chosen = next;
    try { localStorage.setItem(KEY, next); } catch { /* as above */ }
    keep();
  };
  new MutationObserver(keep).observe(document.body, { attributes: true, attributeFilter: ['class'] });
  keep();
  return { flip };
};
