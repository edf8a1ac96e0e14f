// Everything that one answer of the server draws, in one message: value = JSON text {elem_id: payload}. It is text, since
// Gradio wraps each part of a structured value, and compares and compiles for each component that an answer names.
Explorer.picture = (element, props, trigger, watch) => {
  function draw() {
    for (const [id, payload] of Object.entries(JSON.parse(props.value || '{}'))) {
      try {
        Explorer.give(id, payload);
      } catch (fault) {
        console.error(`#${id}`, fault);          // the other widgets still get theirs
      }
    }
  }
  watch('value', draw);
  draw();                                               // what came before its page was shown for the first time
};
