"""What runs do, one line an event, on the standard error: for whoever keeps the machine, and for programs that count.

EXPLORER_LOG chooses text (the usual), json, or off. A line tells a run's id, what happened and figures; never who
started it, a token or an address.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import time
from datetime import datetime, timezone

from explorer.jobs.store import ENDED, RunRecord, Store
from explorer.train.events import EpochDone

log = logging.getLogger("explorer.runs")

FORMS = ("text", "json", "off")
EVERY = 1.0  # seconds between two looks
FIRST_WORDS = 200  # letters of why a run failed


def form_from_environment() -> str:
    """EXPLORER_LOG; raises ValueError for what is no form."""
    form = os.environ.get("EXPLORER_LOG", "").strip().lower() or FORMS[0]
    if form not in FORMS:
        raise ValueError(f"EXPLORER_LOG is {', '.join(FORMS[:-1])} or {FORMS[-1]}, not {form!r}.")
    return form


def begin(form: str | None = None) -> None:
    """Write the app's log to the standard error in the chosen form; a second call replaces the first."""
    form = form or form_from_environment()
    app = logging.getLogger("explorer")
    for handler in [handler for handler in app.handlers if isinstance(handler, Lines)]:
        app.removeHandler(handler)
    handler = Lines(sys.stderr)
    handler.setFormatter(AsJson() if form == "json" else AsText())
    app.addHandler(handler)
    app.setLevel(logging.INFO)
    app.propagate = False
    log.setLevel(logging.CRITICAL if form == "off" else logging.INFO)


class Lines(logging.StreamHandler):
    """Our own handler, to be found again."""


class AsText(logging.Formatter):
    """ "2026-11-24 13:30:01 run Qk3… epoch epoch=1 train_loss=0.52"; other lines as they are, with their traceback."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created).strftime("%Y-%m-%d %H:%M:%S")
        facts = getattr(record, "facts", None)
        if facts is None:
            return f"{when} {record.levelname.lower()} {super().format(record)}"
        more = " ".join(f"{name}={_short(value)}" for name, value in facts.items() if name not in ("run", "event"))
        return f"{when} run {facts['run']} {facts['event']} {more}".rstrip()


class AsJson(logging.Formatter):
    """One JSON object a line: time, level, and the facts of a run's event, or else message and traceback."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        told = {"time": when, "level": record.levelname.lower()}
        facts = getattr(record, "facts", None)
        if facts is None:
            told |= {"event": "message", "message": record.getMessage()}
            if record.exc_info:
                told["traceback"] = self.formatException(record.exc_info)
        return json.dumps({**told, **{name: _sound(value) for name, value in (facts or {}).items()}})


def tell(run: str, event: str, **figures: object) -> None:
    """Write down what happened to a run."""
    log.info("run %s %s", run, event, extra={"facts": {"run": run, "event": event, **figures}})


class RunLog:
    """Watches a store and tells what happened to the runs of one queue since the last look.

    `look` may be called as often as one likes: it reads the store once a second. Whoever puts runs in line, pauses or
    removes them need not know of it.
    """

    def __init__(self, store: Store, queue: str):
        self._store, self._queue = store, queue
        self._states: dict[str, str] = {}
        self._cursor, self._next = store.last_row(), 0.0

    def look(self, at_once: bool = False) -> None:
        """Tell what is new."""
        if not log.isEnabledFor(logging.INFO) or (time.monotonic() < self._next and not at_once):
            return
        self._next = time.monotonic() + EVERY
        before, runs = self._states, {run.id: run for run in self._store.runs(queue=self._queue)}
        self._states = {run.id: run.state for run in runs.values()}
        for run in runs.values():
            self._tell_beginning(run, before.get(run.id))
        self._cursor, epochs = self._store.epochs_since(self._cursor, self._queue)
        for run_id, epoch in epochs:
            tell(run_id, "epoch", **_figures(epoch))
        for run in runs.values():
            self._tell_change(run, before.get(run.id))
        for run_id in before.keys() - runs.keys():
            tell(run_id, "removed")

    def _tell_beginning(self, run: RunRecord, before: str | None) -> None:
        """In line, and begun: also of a run that has gone through both since the last look."""
        if before is None:
            tell(
                run.id, "queued", family=run.family, arch=run.spec.get("body", {}).get("arch"), data=_kind_of_data(run)
            )
        if before in (None, "queued") and run.started is not None:
            tell(run.id, "started", waited=round(run.started - run.created, 3))

    def _tell_change(self, run: RunRecord, before: str | None) -> None:
        """Ended, or in any other state that is not one of a run on its way."""
        if run.state == before or run.state in ("queued", "running"):
            if before not in (None, run.state, "queued") and run.state == "running":
                tell(run.id, "resumed")
            return
        took = {} if run.ended is None or run.started is None else {"seconds": round(run.ended - run.started, 3)}
        why = {"reason": run.reason[:FIRST_WORDS]} if run.reason and run.state in ENDED.values() else {}
        tell(run.id, run.state, **took, **why)


def _kind_of_data(run: RunRecord) -> str:
    """The name of a set without a path."""
    return str(run.train.get("data", "")).partition(":")[0]


def _figures(epoch: dict) -> dict:
    names = (field for field in EpochDone.__dataclass_fields__ if isinstance(epoch.get(field), (int, float)))
    return {name: epoch[name] for name in names}


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value) if " " in str(value) else str(value)


def _sound(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value
