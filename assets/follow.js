// Follow a run on the server from its first event, by cursor, until told that it is over.
// told.news(answer, more) -> whether to go on: its events carry the server's clock as `at`, `more` says that others wait, and
// answer.anew that the server began again at the first. told.lost() at each poll that brought nothing. Returns what ends it.
Explorer.follow = (server, run, pace, told) => {
  const HIDDEN = 2000, PATIENCE = 15000;
  let cursor = 0, timer = 0, failures = 0, asking = false, over = false;

  const late = () => new Promise(resolve => setTimeout(resolve, PATIENCE));
  const again = wait => { timer = setTimeout(ask, wait); };

  async function ask() {
    clearTimeout(timer);
    if (asking || over) return;
    asking = true;
    // A server function that fails resolves to undefined.
    const answer = await Promise.race([server.poll([run, cursor]), late()]).catch(() => undefined);
    asking = false;
    if (over) return;
    if (!answer?.state) {
      failures += 1;
      told.lost();
      again(Math.min(8000, 500 * 2 ** failures));
      return;
    }
    failures = 0;
    const events = (answer.events ?? []).map((event, i) => ({ ...event, at: answer.times?.[i] }));
    const anew = answer.since != null && answer.since !== cursor, more = answer.next < answer.n;
    cursor = answer.next ?? 0;
    if (!told.news({ ...answer, events, anew }, more)) end();
    else again(more ? 0 : document.hidden ? Math.max(HIDDEN, pace) : pace);
  }

  const awake = () => { if (!document.hidden) ask(); };
  function end() {
    over = true;
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', awake);
    window.removeEventListener('online', awake);
  }
  document.addEventListener('visibilitychange', awake);
  window.addEventListener('online', awake);
  ask();
  return end;
};

// Which run a page watches, kept for a reload, a second tab and a woken laptop: id in the address, id and token in the browser.
// `name` is the page's own word for it, "run" or "unet-run".
Explorer.memory = name => {
  const KEY = `explorer.${name}`;
  const stored = () => { try { return JSON.parse(localStorage.getItem(KEY)); } catch { return null; } };
  const store = value => {
    try { value ? localStorage.setItem(KEY, JSON.stringify(value)) : localStorage.removeItem(KEY); } catch { /* private mode */ }
  };
  const hash = () => new URLSearchParams(location.hash.slice(1));
  function setHash(run) {
    const params = hash();
    run ? params.set(name, run) : params.delete(name);
    const text = params.toString();
    history.replaceState(history.state, '', location.pathname + location.search + (text && '#' + text));
  }

  // {run, token} or null; the token of somebody else's run is not known: it can be watched, not stopped.
  function recall() {
    const named = hash().get(name), own = stored();
    if (!named) return own?.run ? own : null;
    return { run: named, token: own?.run === named ? own.token : '' };
  }
  function remember(run, token) {
    if (token) store({ run, token });
    setHash(run);
  }
  function forget(run) {
    if (stored()?.run === run) store(null);
    if (hash().get(name) === run) setHash(null);
  }
  return { recall, remember, forget };
};
