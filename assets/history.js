// A run as it stands: events folded, one by one, into curves. The twin of explorer/train/history.py.
Explorer.history = (() => {
  const ENDED = ['finished', 'stopped', 'failed'];

  const empty = () => ({
    state: 'waiting', started: null, steps: [], losses: [], smooth: [], lrs: [], epochs: [], predictions: null,
    activations: [], sample: null, pictured: null, outputs: [], notes: [], progress: null, reason: '', keptEpochs: 0, seconds: null, startedAt: null, at: null,
  });
  const ended = run => ENDED.includes(run.state);

  const folds = {
    Note: (run, e) => { run.notes.push(e); run.state = run.started ? 'running' : 'preparing'; },
    Progress: (run, e) => { run.progress = e; run.state = 'preparing'; },
    Started: (run, e) => { run.started = e; run.startedAt = e.at ?? null; run.progress = null; run.state = 'running'; },
    ValidSample: (run, e) => { run.sample = e; },
    PictureSample: (run, e) => { run.pictured = e; },
    Outputs: (run, e) => { run.outputs.push(e); },
    Step: (run, e) => { run.steps.push(e.step); run.losses.push(e.loss); run.smooth.push(e.smooth); run.lrs.push(e.lr); },
    EpochDone: (run, e) => { run.epochs.push(e); run.keptEpochs = e.epoch; },
    Predictions: (run, e) => { run.predictions = e; },
    Activations: (run, e) => { run.activations.push(e); },
    Paused: (run, e) => { run.state = 'paused'; run.keptEpochs = e.epoch; },
    Resumed: (run, e) => {
      if (run.startedAt != null && run.at != null && e.at != null) run.startedAt += e.at - run.at;
      run.state = 'running';
      run.progress = null;
    },
    Finished: (run, e) => { run.state = 'finished'; run.progress = null; run.seconds = e.seconds; },
    Stopped: (run, e) => { run.state = 'stopped'; run.progress = null; run.keptEpochs = e.epoch; run.reason = e.reason ?? ''; },
    Failed: (run, e) => { run.state = 'failed'; run.progress = null; run.reason = e.reason; run.keptEpochs = e.epoch; },
  };

  // Fold one event into `run`. A step that is already known changes nothing, nor does anything after the end.
  function fold(run, event) {
    if (ended(run) || (event.event === 'Step' && event.step <= (run.steps.at(-1) ?? 0))) return run;
    folds[event.event]?.(run, event);
    run.at = event.at ?? run.at;
    return run;
  }

  // Epochs gone by, as a fraction: 2.61.
  const epochsDone = run => (run.steps.length ? run.steps.at(-1) / run.started.steps_per_epoch : 0);

  // Seconds to go at the pace so far: by the clock of the events, else by the seconds of the epochs that are done.
  function secondsLeft(run) {
    if (ended(run) || !run.steps.length || !run.started) return null;
    const step = run.steps.at(-1), left = run.started.steps - step;
    if (run.at != null && run.startedAt != null) return (run.at - run.startedAt) / step * left;
    if (!run.epochs.length) return null;
    const spent = run.epochs.reduce((sum, e) => sum + e.seconds, 0);
    return spent / (run.epochs.length * run.started.steps_per_epoch) * left;
  }

  // Metrics that fall as a run gets better: distances, not shares.
  const FALLING = ['style', 'content'];

  // The number that the right chart shows: mIoU or accuracy where there is one, else the first metric.
  const metric = epoch => epoch.metrics.find(([name]) => name === 'miou') ?? epoch.metrics.find(([name]) => name === 'accuracy')
    ?? epoch.metrics[0] ?? ['accuracy', null];

  // The epoch with the best metric; where there is none, with the lowest valid loss.
  function best(run) {
    const rising = epoch => metric(epoch)[1] != null && !FALLING.includes(metric(epoch)[0]);
    const better = (a, b) => (rising(a) ? metric(b)[1] > metric(a)[1] : b.valid_loss < a.valid_loss);
    return run.epochs.reduce((top, epoch) => (top && !better(top, epoch) ? top : epoch), null);
  }

  return { empty, fold, ended, epochsDone, secondsLeft, metric, best };
})();
