// Who this browser is: a secret it makes once and keeps. Runs and data that it brings are its own; the server keeps a hash.
Explorer.secret = (() => {
  const KEY = 'explorer.me', SHAPE = /^[\w-]{24,64}$/;
  const make = () => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(24)))).replace(/\+/g, '-').replace(/\//g, '_');
  let kept = null;                                   // where nothing can be stored the secret lasts as long as the page

  function read() {
    if (kept) return kept;
    try { kept = localStorage.getItem(KEY); } catch { /* private mode */ }
    return SHAPE.test(kept ?? '') ? kept : take(make());
  }
  // Another browser's secret, so that its runs are seen here too; returns it, or null for what is none.
  function take(secret) {
    if (!SHAPE.test(secret)) return null;
    kept = secret;
    try { localStorage.setItem(KEY, secret); } catch { /* private mode */ }
    return secret;
  }
  return { read, take };
})();

// The secret as a value that handlers are told with every event; Gradio writes its own first value once more after this.
Explorer.me = (element, props, trigger, watch) => {
  const put = () => { if (props.value !== Explorer.secret.read()) props.value = Explorer.secret.read(); };
  watch('value', put);
  setTimeout(put);
};
