"""The line in front of the machine: runs wait their turn, each trains in a process of its own, anyone may watch.

A thread that lives as long as the queue starts the workers, sees them end and kills those that do not stop in time.
Nothing that a run tells is kept here: it stands in the store, so a page, or the app, may leave and come back.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

from explorer.files import remove_halves
from explorer.jobs.keep import Limits, limits_from_environment, tidy
from explorer.jobs.logs import RunLog
from explorer.jobs.process import birth_mark, describe_exit, is_alive, kill_group, last_line, usable_cores
from explorer.jobs.record import family_of, spec_from_dict, spec_to_dict, train_from_dict
from explorer.jobs.store import App, RunRecord, Store, hash_token
from explorer.jobs.worker import FIT, ROOT
from explorer.spec import SpecError, TrainSpec
from explorer.train.events import Failed, Stopped

log = logging.getLogger(__name__)

LONGEST_SPEC = 65_536
TIDY_EVERY = 3600.0  # seconds, and after each run's end
APP_GONE_RUNNING = "The app was stopped while this run was training; its curves and its last whole epoch are kept."
APP_GONE_QUEUED = "The app was stopped before this run's turn came: start it again."


class QueueFull(ValueError):
    """Too many runs wait already; one sentence."""


@dataclass(frozen=True)
class Run:
    """What whoever started a run gets: the id lets anyone watch it, the token is needed to stop it."""

    id: str
    token: str
    position: int


@dataclass(frozen=True)
class StopAnswer:
    """What became of a wish to stop: `state` is the run's (or "gone"), `text` one sentence."""

    ok: bool
    state: str
    text: str


@dataclass
class Worker:
    """A process that trains a run, and when it will be killed: when it was asked to stop and has not."""

    run_id: str
    process: subprocess.Popen
    deadline: float | None = None


class Queue:
    """Runs in the order they came, at most `workers` at once.

    workers     how many train at the same time; EXPLORER_WORKERS, else 1
    threads     torch threads of each worker; OMP_NUM_THREADS, else all usable cores but one, so that the page lives on
    waiting     how many may stand in line
    stop_grace  seconds that a worker has to end by itself after a stop, before it is killed
    fit         "package.module:function" that trains; for tests
    keep        how much of ended runs is kept; EXPLORER_KEEP_GB and EXPLORER_KEEP_DAYS
    """

    def __init__(
        self,
        store: Store,
        *,
        workers: int | None = None,
        threads: int | None = None,
        waiting: int = 64,
        stop_grace: float = 0.7,
        fit: str = FIT,
        keep: Limits | None = None,
    ):
        self.store = store
        self._workers_at_most = workers or workers_from_environment()
        self._threads = threads or threads_from_environment()
        self._waiting, self._stop_grace, self._fit = waiting, stop_grace, fit
        self._keep, self._tidy_at = keep or limits_from_environment(), 0.0
        self._app = App(secrets.token_urlsafe(6), os.getpid(), birth_mark(os.getpid()))
        self._workers: list[Worker] = []
        self._wake, self._closing = threading.Event(), threading.Event()
        end_runs_of_dead_apps(store)
        self._log = RunLog(store, self._app.queue)
        self._supervisor = threading.Thread(target=self._supervise, name="job supervisor", daemon=True)
        self._supervisor.start()

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    # What the page calls, from any thread

    def submit(self, spec, train_spec: TrainSpec) -> Run:
        """Put a run in line. Raises SpecError for what cannot be recorded as a run, QueueFull when the line is full."""
        if self._closing.is_set():
            raise QueueFull("The app is closing and takes no more runs.")
        if not isinstance(train_spec, TrainSpec):
            raise SpecError("train", f"How to train must be a TrainSpec, not {type(train_spec).__name__}.")
        family, spec_values, train_values = family_of(spec), spec_to_dict(spec), spec_to_dict(train_spec)
        if len(json.dumps([spec_values, train_values])) > LONGEST_SPEC:
            raise SpecError("spec", f"What describes a run must not be longer than {LONGEST_SPEC:,} letters.")
        spec_from_dict(family, spec_values), train_from_dict(train_values)
        run_id, token = secrets.token_urlsafe(12), secrets.token_urlsafe(24)
        position = self.store.add(run_id, token, family, spec_values, train_values, self._app, at_most=self._waiting)
        if not position:
            raise QueueFull(f"{self._waiting} runs wait in line already: try again when some of them have ended.")
        self._wake.set()
        return Run(run_id, token, position)

    def stop(self, run_id, token) -> StopAnswer:
        """Ask a run to stop; it does within a second. Needs the run's token.

        Asking twice, too late, or with anything at all for arguments does no harm.
        """
        run = self.store.run(run_id) if is_run_id(run_id) else None
        if run is None:
            return StopAnswer(False, "gone", "There is no such run any more.")
        if not isinstance(token, str) or not secrets.compare_digest(hash_token(token), run.owner):
            return StopAnswer(False, run.state, "Only whoever started this run can stop it.")
        before = self.store.request_stop(run_id)
        self._wake.set()
        if before == "queued":
            return StopAnswer(True, "stopped", "The run has left the line before its turn.")
        if before == "running":
            return StopAnswer(True, "running", "The run stops within a second and keeps its last whole epoch.")
        return StopAnswer(True, before, f"The run had {before} already.")

    def poll(self, run_id, since=0, limit=500) -> dict:
        """What is new in a run since a cursor, ready for JSON; {"state": "gone"} for a run that is not known.

        Whatever the arguments are, there is an answer.

        state       queued, running, finished, stopped or failed; `stopping` while a wish to stop is on its way
        position    place in line from 1, 0 when not waiting
        events      `events.to_dict` of each event after `since`, in order, at most `limit`; null for a number that is
                    not finite; `times` holds when each was written
        since, next the cursor this begins at (0 where the one asked for cannot be) and the one to ask with next
        n           how many events there are in all: there is more to fetch while next < n
        created, started, ended, heard, now   seconds since 1970 by the server's clock, None for what has not happened;
                    `heard` is when the worker last said something
        """
        look = self.store.look(run_id, _cursor(since), _limit(limit)) if is_run_id(run_id) else None
        if look is None:
            return {"state": "gone"}
        run, events = look.run, look.events
        return {
            "id": run.id,
            "state": run.state,
            "stopping": run.state == "running" and run.stop_requested is not None,
            "reason": run.reason,
            "position": look.position,
            "events": [json.loads(text, parse_constant=_null) for _, _, text in events],
            "times": [round(at, 3) for _, at, _ in events],
            "since": look.since,
            "next": events[-1][0] if events else look.since,
            "n": look.n,
            "created": run.created,
            "started": run.started,
            "ended": run.ended,
            "heard": run.heartbeat,
            "now": time.time(),
            "device": run.device,
        }

    def trains(self) -> bool:
        """Whether a run is going on right now."""
        return bool(self.store.runs("running"))

    @property
    def workers(self) -> int:
        """How many runs may train at once."""
        return self._workers_at_most

    def lives(self) -> bool:
        """Whether the thread that starts and ends workers is at work."""
        return self._supervisor.is_alive() and not self._closing.is_set()

    def close(self) -> None:
        """End all workers and whoever waits, and say so in the store; a second call does nothing."""
        self._closing.set()
        self._wake.set()
        self._supervisor.join()

    # What the supervisor's thread does

    def _supervise(self) -> None:
        while not self._closing.is_set():
            try:
                self._bury_the_dead()
                self._hurry_the_stopping()
                self._start_the_next()
                self._tidy()
                self._log.look()
            except Exception:
                log.exception("The job queue stumbled; it goes on in a second.")
                self._closing.wait(1.0)
            self._wake.wait(0.05 if self._workers else 1.0)
            self._wake.clear()
        self._end_all()

    def _bury_the_dead(self) -> None:
        for worker in list(self._workers):
            code = worker.process.poll()
            if code is not None:
                self._record_end(worker.run_id, code)
                self._workers.remove(worker)
                self._tidy_at = 0.0

    def _record_end(self, run_id: str, code: int) -> None:
        """Give a run whose worker has ended its last event, where the worker could not."""
        remove_halves(self.store.folder(run_id))
        run, epoch = self.store.run(run_id), self.store.last_epoch(run_id)
        if run.stop_requested is not None:
            self.store.append(run_id, Stopped(epoch))
        else:
            self.store.append(run_id, Failed(describe_exit(code, last_line(self._log_of(run_id))), epoch))

    def _tidy(self) -> None:
        """Make room by the rules of `jobs.keep`, now and then."""
        if time.monotonic() < self._tidy_at:
            return
        self._tidy_at = time.monotonic() + TIDY_EVERY
        done = tidy(self.store, self._keep, time.time())
        if done.runs or done.weights:
            log.info("Removed %d runs and the weights of %d: %d bytes.", len(done.runs), len(done.weights), done.freed)

    def _hurry_the_stopping(self) -> None:
        now = time.monotonic()
        for worker in self._workers:
            if worker.deadline is None and self.store.stop_requested(worker.run_id):
                worker.deadline = now + self._stop_grace
            if worker.deadline is not None and now >= worker.deadline:
                kill_group(worker.process.pid)

    def _start_the_next(self) -> None:
        while len(self._workers) < self._workers_at_most:
            run = self.store.take_next(self._app.queue)
            if run is None:
                return
            try:
                self._workers.append(Worker(run.id, self._start(run)))
            except OSError as error:
                self.store.append(run.id, Failed(f"The training process could not be started: {error}."))

    def _start(self, run: RunRecord) -> subprocess.Popen:
        self.store.folder(run.id).mkdir(parents=True, exist_ok=True)
        options = ["--parent", str(os.getpid()), "--fit", self._fit]
        what = [str(self.store.path.absolute()), run.id]
        with self._log_of(run.id).open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "explorer.jobs.worker", *options, "--", *what],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=worker_environment(self._threads),
                start_new_session=True,
            )

    def _log_of(self, run_id: str):
        return self.store.folder(run_id) / "worker.log"

    def _end_all(self) -> None:
        for worker in self._workers:
            kill_group(worker.process.pid)
        for worker in self._workers:
            worker.process.wait()
        end_runs(self.store, self.store.runs("running", "queued", queue=self._app.queue))
        self._workers.clear()
        self._log.look(at_once=True)


def end_runs_of_dead_apps(store: Store) -> None:
    """Give an ending to runs that an app left behind when it died, and end a worker that outlived it."""
    runs = store.runs("running", "queued")
    apps = {run.app for run in runs}
    dead = {app for app in apps if not is_alive(app.pid, app.mark)}
    left = tuple(run for run in runs if run.app in dead)
    for run in left:
        if is_alive(run.pid, run.pid_mark):
            kill_group(run.pid)
    end_runs(store, left)


def end_runs(store: Store, runs: tuple[RunRecord, ...]) -> None:
    """Record that the app has gone away from these runs."""
    for run in runs:
        if run.stop_requested is not None:
            store.append(run.id, Stopped(store.last_epoch(run.id)))
        else:
            reason = APP_GONE_RUNNING if run.state == "running" else APP_GONE_QUEUED
            store.append(run.id, Failed(reason, store.last_epoch(run.id)))


def workers_from_environment() -> int:
    """EXPLORER_WORKERS, 1 where it is not set; raises ValueError for what is no whole number from 1 to 64."""
    text = os.environ.get("EXPLORER_WORKERS", "1")
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise ValueError(f"EXPLORER_WORKERS is how many runs train at once, a whole number from 1 to 64, not {text!r}.")
    return int(text)


def threads_from_environment() -> int:
    """OMP_NUM_THREADS where it is a number, else all usable cores but one, at least 1."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(text) if text.isdecimal() else usable_cores() - 1)


def worker_environment(threads: int) -> dict[str, str]:
    """The app's own environment, with the package to be found and torch's threads set before it is imported."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
    }


def is_run_id(given) -> bool:
    """Could this be the id of a run, whoever sent it?"""
    return isinstance(given, str) and len(given) <= 64 and given.isascii()


def _cursor(since) -> int:
    return since if isinstance(since, int) and not isinstance(since, bool) and 0 <= since < 2**62 else 0


def _limit(limit) -> int:
    return limit if isinstance(limit, int) and not isinstance(limit, bool) and 1 <= limit <= 500 else 500


def _null(constant: str) -> None:
    """NaN and infinity are not JSON: a page that reads strictly gets null."""
