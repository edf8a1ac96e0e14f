"""The runs of a sweep: put in line, waited for, and summed up: a row a setting, with mean and spread over its seeds."""

from __future__ import annotations

import csv
import io
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from explorer.jobs.queue import Queue, QueueFull, Run
from explorer.jobs.record import spec_to_dict
from explorer.jobs.store import ENDED, RunRecord, Store
from explorer.jobs.summary import FALLING
from explorer.sweep import Entry, setting_words

LOSSES = ("train_loss", "valid_loss")
EVERY = 0.2  # seconds between two looks at the line


@dataclass(frozen=True)
class Told:
    """A metric of one setting over its seeds, as the last epoch of each run has it.

    spread  the sample's standard deviation; None for a single run
    best    of the seeds, the smallest of what falls
    """

    mean: float
    spread: float | None
    n: int
    best: float


@dataclass(frozen=True)
class Row:
    """What came of one setting: its metrics by name, and what went wrong, (seed, sentence) for each run that failed."""

    setting: dict[str, object]
    metrics: dict[str, Told]
    failed: tuple[tuple[int, str], ...]


def submit_all(
    queue: Queue, entries: Sequence[Entry], *, me: str | None = None, sleep: Callable[[float], None] = time.sleep
) -> tuple[Run, ...]:
    """Put all runs in line for one person, as fast as the line takes them. Raises what `Queue.submit` does but
    QueueFull, and then has stopped those that were in line."""
    runs: list[Run] = []
    try:
        for entry in entries:
            while True:
                try:
                    runs.append(queue.submit(entry.spec, entry.train, me=me))
                    break
                except QueueFull:
                    if not unfinished(queue.store, runs):
                        raise
                    sleep(EVERY)
    except BaseException:
        stop_all(queue, runs)
        raise
    return tuple(runs)


def stop_all(queue: Queue, runs: Sequence[Run]) -> None:
    """Ask all of these to stop; those that have ended stay as they are."""
    for run in runs:
        queue.stop(run.id, run.token)


def wait_for_all(
    queue: Queue, runs: Sequence[Run], tell: Callable[[int, int], None] = lambda done, of: None, every: float = EVERY
) -> None:
    """Return when all have ended; `tell` gets how many have, out of how many, whenever that changes."""
    told = -1
    while True:
        done = len(runs) - unfinished(queue.store, runs)
        if done != told:
            tell(told := done, len(runs))
        if done == len(runs):
            return
        time.sleep(every)


def unfinished(store: Store, runs: Sequence[Run]) -> int:
    """How many of these have not ended yet."""
    records = [store.run(run.id) for run in runs]
    return sum(record is not None and record.state not in ENDED.values() for record in records)


def rows_of(entries: Sequence[Entry], records: Sequence[RunRecord | None]) -> tuple[Row, ...]:
    """A row a setting, in the order of the sweep; `records` in that of `entries`, None for a run that is gone."""
    together: dict[tuple, list[tuple[int, RunRecord | None]]] = {}
    for entry, record in zip(entries, records, strict=True):
        together.setdefault(entry.setting, []).append((entry.seed, record))
    return tuple(_row(dict(setting), runs) for setting, runs in together.items())


def _row(setting: dict[str, object], runs: Sequence[tuple[int, RunRecord | None]]) -> Row:
    values: dict[str, list[float]] = {}
    failed = []
    for seed, run in runs:
        if run is None or run.state != "finished":
            failed.append((seed, why_not(run)))
            continue
        for name, value in metrics_of(run).items():
            values.setdefault(name, []).append(value)
    return Row(setting, {name: told(name, found) for name, found in values.items()}, tuple(failed))


def why_not(run: RunRecord | None) -> str:
    """Why a run has no figures."""
    if run is None:
        return "The run is gone."
    return run.reason or f"The run was {run.state} before its end."


def metrics_of(run: RunRecord) -> dict[str, float]:
    """Losses and metrics of a run's last epoch; what is no number (null in a summary) is left out."""
    summary = run.summary or {}
    named = {name: summary.get(name) for name in LOSSES} | summary.get("metrics", {})
    return {name: value for name, value in named.items() if value is not None}


def told(name: str, values: Sequence[float]) -> Told:
    """Mean, spread, number and best of a metric's values, at least one."""
    falls = name in (*LOSSES, *FALLING)
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Told(statistics.fmean(values), spread, len(values), min(values) if falls else max(values))


def markdown(rows: Sequence[Row]) -> str:
    """The table as text: mean ± spread of each metric, its best, and below it every failure."""
    names = metric_names(rows)
    head = ["setting", "runs", *(part for name in names for part in (name, f"best {name}"))]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    lines += [[setting_words(tuple(row.setting.items())), str(runs_of(row)), *_cells(row, names)] for row in rows]
    table = "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
    failures = [
        f"* {setting_words(tuple(row.setting.items()))}, seed {seed}: {why}" for row in rows for seed, why in row.failed
    ]
    return "\n".join([table, *(["", "Not finished:", "", *failures] if failures else [])])


def _cells(row: Row, names: Sequence[str]) -> list[str]:
    cells = []
    for name in names:
        got = row.metrics.get(name)
        spread = "" if got is None or got.spread is None else f" ± {got.spread:.2g}"
        cells += ["", ""] if got is None else [f"{got.mean:.4g}{spread}", f"{got.best:.4g}"]
    return cells


def as_csv(rows: Sequence[Row]) -> str:
    """The table for a spreadsheet: a column a knob, then mean, spread, n and best of each metric, and failures."""
    knobs, names, text = list(rows[0].setting) if rows else [], metric_names(rows), io.StringIO()
    figures = ("mean", "spread", "n", "best")
    writer = csv.writer(text)
    writer.writerow([*knobs, *(f"{name} {figure}" for name in names for figure in figures), "failed", "reasons"])
    for row in rows:
        got = [asdict(row.metrics[name]) if name in row.metrics else {} for name in names]
        found = [one.get(figure, "") for one in got for figure in figures]
        reasons = " ".join(dict.fromkeys(why for _, why in row.failed))
        writer.writerow([*row.setting.values(), *found, len(row.failed), reasons])
    return text.getvalue()


def as_json(rows: Sequence[Row], entries: Sequence[Entry], runs: Sequence[Run]) -> str:
    """The table, and of every run its id, seed and specs, so that each can be found and trained again."""
    every = [
        {
            "run": run.id,
            "seed": entry.seed,
            "setting": dict(entry.setting),
            "spec": spec_to_dict(entry.spec),
            "train": spec_to_dict(entry.train),
        }
        for entry, run in zip(entries, runs, strict=True)
    ]
    return json.dumps({"rows": [asdict(row) for row in rows], "runs": every}, indent=2, ensure_ascii=False)


def metric_names(rows: Sequence[Row]) -> list[str]:
    """All metrics that some row has, in the order in which they come."""
    return list(dict.fromkeys(name for row in rows for name in row.metrics))


def runs_of(row: Row) -> int:
    """How many runs of a row have finished."""
    return max((told.n for told in row.metrics.values()), default=0)
