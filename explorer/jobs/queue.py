"""The line in front of the machine: runs wait their turn, a runner trains each, anyone may watch.

A thread that lives as long as the queue has runs started, sees them end and kills those that do not stop in time.
Nothing that a run tells is kept here: it stands in the store, so a page, or the app, may leave and come back.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from pathlib import Path

from explorer.files import remove_halves, share
from explorer.jobs.keep import Limits, limits_from_environment, tidy
from explorer.jobs.logs import RunLog
from explorer.jobs.process import birth_mark, describe_exit, is_alive, last_line
from explorer.jobs.record import family_of, spec_from_dict, spec_to_dict, train_from_dict
from explorer.jobs.rules import NO_RULES, Estimate, Rules
from explorer.jobs.runner import LOG, Handle, LocalRunner, Runner
from explorer.jobs.store import App, RunRecord, Store, hash_token, no_constant
from explorer.jobs.worker import FIT
from explorer.spec import SpecError, TrainSpec
from explorer.train.events import Failed, Stopped
from explorer.train.places import DESCRIPTION, START, START_DESCRIPTION, WEIGHTS

log = logging.getLogger(__name__)

LONGEST_SPEC = 65_536
SECRET = re.compile(r"[A-Za-z0-9_-]{24,64}")
WAITS_HOLD = 1.0  # seconds that a look at the line is good for
TIDY_EVERY = 3600.0  # seconds, and after each run's end
APP_GONE_RUNNING = "The app was stopped while this run was training; its curves and its last whole epoch are kept."
APP_GONE_QUEUED = "The app was stopped before this run's turn came: start it again."


class QueueFull(ValueError):
    """Too many runs wait already; one sentence."""


class NotYours(LookupError):
    """A run that is not there, or not of whoever asks: its state, or "gone", and one sentence."""


class TooLarge(ValueError):
    """A run that this machine's memory cannot hold; one sentence."""


@dataclass(frozen=True)
class Run:
    """What whoever started a run gets: the id lets anyone watch it, the token is needed to change anything."""

    id: str
    token: str
    position: int


@dataclass(frozen=True)
class Begin:
    """Weights to begin with: the run that they are of, the file, and what describes their model."""

    run: str
    weights: Path
    description: Path


@dataclass(frozen=True)
class Answer:
    """What became of a wish: `state` is the run's (or "gone"), `text` one sentence."""

    ok: bool
    state: str
    text: str


@dataclass
class Worker:
    """A run that trains, and the bytes set aside for it.

    began     by the clock that never jumps, as all times here
    deadline  when it will be killed: it was asked to stop and has not
    """

    run_id: str
    handle: Handle
    memory: int
    began: float
    deadline: float | None = None


class Queue:
    """Runs in turn, by `jobs.fair`, at most as many at once as the runner has places, and as many as the memory holds.

    runner      what trains them; a `LocalRunner` with `workers` places, `threads` and `fit` where none is given
    waiting     how many may stand in line
    memory      bytes that all runs together may take; None for no limit
    estimate    (spec, train) -> what a run will need
    rules       what this host allows
    stop_grace  seconds that a run has to end by itself after a stop, before it is killed; the runner's own by default
    keep        how much of ended runs is kept; EXPLORER_KEEP_GB and EXPLORER_KEEP_DAYS
    tidy_more   what else is to be removed now and then
    """

    def __init__(
        self,
        store: Store,
        *,
        workers: int | None = None,
        threads: int | None = None,
        waiting: int = 256,
        memory: int | None = None,
        estimate: Callable[..., Estimate] = lambda spec, train: Estimate(),
        rules: Rules = NO_RULES,
        stop_grace: float | None = None,
        fit: str = FIT,
        keep: Limits | None = None,
        tidy_more: Callable[[], object] = lambda: None,
        runner: Runner | None = None,
    ):
        self.store = store
        self._runner = runner or LocalRunner(store, places=workers, threads=threads, fit=fit)
        self._memory, self._estimate, self.rules = memory, estimate, rules
        self._waits: tuple[float, dict[str, float | None]] = (-math.inf, {})
        self._waiting, self._stop_grace = waiting, self._runner.grace if stop_grace is None else stop_grace
        self._keep, self._tidy_at, self._tidy_more = keep or limits_from_environment(), 0.0, tidy_more
        self._app = App(secrets.token_urlsafe(6), os.getpid(), birth_mark(os.getpid()))
        self._workers: list[Worker] = []
        self._wake, self._closing = threading.Event(), threading.Event()
        self._take_over()
        self._log = RunLog(store, self._app.queue)
        self._supervisor = threading.Thread(target=self._supervise, name="job supervisor", daemon=True)
        self._supervisor.start()

    def __enter__(self) -> Queue:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    # What the page calls, from any thread

    def submit(self, spec, train_spec: TrainSpec, *, me: object = None, begin: Begin | None = None) -> Run:
        """Put a run in line.

        me     the secret of whose it is, which then is the run's token; without one the run gets a token of its own
        begin  with which weights it begins, where not with its own

        Raises SpecError for what cannot be recorded as a run or is longer than the host allows, TooLarge for what the
        memory cannot hold, QueueFull where too many wait.
        """
        if self._closing.is_set():
            raise QueueFull("The app is closing and takes no more runs.")
        if not isinstance(train_spec, TrainSpec):
            raise SpecError("train", f"How to train must be a TrainSpec, not {type(train_spec).__name__}.")
        family, spec_values, train_values = family_of(spec), spec_to_dict(spec), spec_to_dict(train_spec)
        if len(json.dumps([spec_values, train_values])) > LONGEST_SPEC:
            raise SpecError("spec", f"What describes a run must not be longer than {LONGEST_SPEC:,} letters.")
        spec_from_dict(family, spec_values), train_from_dict(train_values)
        self.rules.check(train_spec)
        needed = self._needed(spec, train_spec)
        run_id, token = secrets.token_urlsafe(12), me if is_secret(me) else secrets.token_urlsafe(24)
        if begin is not None:
            hand_on(begin, self.store.folder(run_id))
        position = self.store.add(
            run_id,
            token,
            family,
            spec_values,
            train_values,
            self._app,
            at_most=self._waiting,
            each=self.rules.each,
            parent=begin.run if begin else "",
            memory=needed.memory,
            seconds=needed.seconds,
        )
        if position < 1:
            remove_folder(self.store.folder(run_id))
            full = f"{self._waiting} runs wait in line already: try again when some of them have ended."
            raise QueueFull(self.rules.too_many if position else full)
        self._wake.set()
        return Run(run_id, token, position)

    def _needed(self, spec, train_spec: TrainSpec) -> Estimate:
        """What a run will need; TooLarge where that is more than there is."""
        needed = self._estimate(spec, train_spec)
        if self._memory is not None and needed.memory > self._memory:
            raise TooLarge(
                f"This run would take about {needed.memory / 1e9:.1f} GB at the peak of a step, and this machine has "
                f"{self._memory / 1e9:.1f} GB for runs: choose a smaller batch, image size or model."
            )
        return needed

    def again(self, run_id, token, *, slower: float = 1.0) -> Run:
        """The same run once more, from its own beginning, with the same seed. Raises what `submit` does, and NotYours
        for who has not the token.

        slower  by which all its rates are divided
        """
        run = self.own(run_id, token, "run it again")
        spec, train = specs_of(run)
        if slower != 1.0:
            train = replace(train, lr=train.lr / slower, lrs=train.lrs and tuple(lr / slower for lr in train.lrs))
        folder = self.store.folder(run.id)
        begin = Begin(run.parent, folder / START, folder / START_DESCRIPTION) if run.parent else None
        return self.submit(spec, train, me=token, begin=begin)

    def go_on(self, run_id, token) -> Run:
        """A new run of the same specs that begins with the last weights of this one. Raises as `again` does."""
        run = self.own(run_id, token, "continue it")
        folder = self.store.folder(run.id)
        return self.submit(*specs_of(run), me=token, begin=Begin(run.id, folder / WEIGHTS, folder / DESCRIPTION))

    def stop(self, run_id, token) -> Answer:
        """Ask a run to stop; it does within a second. Needs the run's token.

        Asking twice, too late, or with anything at all for arguments does no harm; so with all that follows.
        """
        return self._for_owner(run_id, token, "stop it", self._stop)

    def pause(self, run_id, token) -> Answer:
        """Ask a run to rest at the end of its epoch, so that others' turns come. Needs the run's token."""
        return self._for_owner(run_id, token, "pause it", self._pause)

    def resume(self, run_id, token) -> Answer:
        """Put a run that rests back in line. Needs the run's token."""
        return self._for_owner(run_id, token, "resume it", self._resume)

    def delete(self, run_id, token) -> Answer:
        """Take a run out of its owner's list; what trains stops. `restore` brings it back for some minutes."""
        return self._for_owner(run_id, token, "delete it", self._delete)

    def restore(self, run_id, token) -> Answer:
        """Bring a deleted run back, while it is there."""
        return self._for_owner(run_id, token, "restore it", self._restore)

    def _for_owner(self, run_id, token, wish: str, act: Callable[[RunRecord], Answer]) -> Answer:
        try:
            return act(self.own(run_id, token, wish))
        except NotYours as error:
            return Answer(False, *error.args)

    def _stop(self, run: RunRecord) -> Answer:
        before = self.store.request_stop(run.id)
        self._wake.set()
        if before == "queued":
            return Answer(True, "stopped", "The run has left the line before its turn.")
        if before == "paused":
            return Answer(True, "stopped", "The run rested and has ended; it keeps its last whole epoch.")
        if before == "running":
            return Answer(True, "running", "The run stops within a second and keeps its last whole epoch.")
        return Answer(True, before, f"The run had {before} already.")

    def _pause(self, run: RunRecord) -> Answer:
        state = self.store.request_pause(run.id)
        if state == "running":
            return Answer(True, state, "The run rests when the epoch it is in is done.")
        return Answer(False, state, f"Only a run that trains can be paused, and this one is {state}.")

    def _resume(self, run: RunRecord) -> Answer:
        before = self.store.resume(run.id, self._app)
        self._wake.set()
        if before == "paused":
            return Answer(True, "queued", "The run is in line and goes on where it rested.")
        return Answer(False, before, f"Only a run that rests can be resumed, and this one is {before}.")

    def _delete(self, run: RunRecord) -> Answer:
        self._stop(run)
        self.store.change(run.id, deleted=time.time())
        return Answer(True, run.state, "Deleted.")

    def _restore(self, run: RunRecord) -> Answer:
        self.store.change(run.id, deleted=None)
        return Answer(True, run.state, "Restored.")

    def own(self, run_id, token, wish: str) -> RunRecord:
        """A run of whoever has this token. Raises NotYours."""
        run = self.store.run(run_id) if is_run_id(run_id) else None
        if run is None:
            raise NotYours("gone", "There is no such run any more.")
        if not isinstance(token, str) or not secrets.compare_digest(hash_token(token), run.owner):
            raise NotYours(run.state, f"Only whoever started this run can {wish}.")
        return run

    def waits(self) -> dict[str, float | None]:
        """Seconds until each waiting run of this queue will begin, about; None where that is not known."""
        at, waits = self._waits
        if time.monotonic() - at > WAITS_HOLD:
            waits = expected_waits(
                [self._left_of(worker.run_id) for worker in list(self._workers)],
                [(run.id, run.seconds) for run in self.store.line(self._app.queue)],
                self._runner.places(),
            )
            self._waits = time.monotonic(), waits
        return waits

    def _left_of(self, run_id: str) -> float | None:
        run = self.store.run(run_id)
        return None if run is None else self.left(run)

    def left(self, run: RunRecord) -> float | None:
        """Seconds that a run which trains still needs, by its pace so far, else by what was estimated; None where
        neither is known."""
        last, steps = self.store.last_step(run.id), (run.summary or {}).get("steps")
        if run.started is None:
            return None
        if last and steps:
            step, at = last
            return max(0.0, (at - run.started) / step * (steps - step))
        return None if run.seconds is None else max(0.0, run.seconds - (time.time() - run.started))

    def progress(self, run: RunRecord) -> float:
        """How much of a run is done, 0 to 1."""
        last, steps = self.store.last_step(run.id), (run.summary or {}).get("steps")
        return last[0] / steps if last and steps else 0.0

    def running(self) -> tuple[RunRecord, ...]:
        """The runs of this queue that train now."""
        return self.store.runs("running", queue=self._app.queue)

    def line(self) -> dict[str, int]:
        """The place in line, from 1, of every run that waits, in order."""
        return {run.id: place for place, run in enumerate(self.store.line(self._app.queue), 1)}

    def clock(self) -> int:
        """Goes on every two seconds while a run trains, so that what is known of it is looked at anew."""
        return int(time.monotonic() / 2) if self._workers else 0

    def poll(self, run_id, since=0, limit=500) -> dict:
        """What is new in a run since a cursor, ready for JSON; {"state": "gone"} for a run that is not known.

        Whatever the arguments are, there is an answer.

        state       queued, running, paused, finished, stopped or failed; `stopping` and `pausing` while a wish to stop
                    or to rest is on its way
        position    place in line from 1, 0 when not waiting; `wait` is about how many seconds that will take, None
                    where it is not known
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
            "pausing": run.state == "running" and run.pause_requested is not None,
            "reason": run.reason,
            "position": look.position,
            "wait": self.waits().get(run.id) if look.position else None,
            "events": [json.loads(text, parse_constant=no_constant) for _, _, text in events],
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

    def places(self) -> int:
        """How many runs can train at the same time."""
        return self._runner.places()

    def trains(self) -> bool:
        """Whether a run is going on right now."""
        return bool(self.store.runs("running"))

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
            code = worker.handle.poll()
            if code is not None:
                self._record_end(worker.run_id, code)
                self._workers.remove(worker)
                self._tidy_at = 0.0

    def _record_end(self, run_id: str, code: int) -> None:
        """Give a run whose worker has ended its last event, where the worker could not; one that rests, or that was
        put back in line already, has told so."""
        remove_halves(self.store.folder(run_id))
        run, epoch = self.store.run(run_id), self.store.last_epoch(run_id)
        if run.state != "running":
            return
        if run.stop_requested is not None:
            self.store.append(run_id, Stopped(epoch))
        else:
            self.store.append(run_id, Failed(describe_exit(code, last_line(self._log_of(run_id))), epoch))

    def _tidy(self) -> None:
        """Make room by the rules of `jobs.keep`, now and then."""
        if time.monotonic() < self._tidy_at:
            return
        self._tidy_at = time.monotonic() + TIDY_EVERY
        self._tidy_more()
        done = tidy(self.store, self._keep, time.time())
        if done.runs or done.weights:
            log.info("Removed %d runs and the weights of %d: %d bytes.", len(done.runs), len(done.weights), done.freed)

    def _hurry_the_stopping(self) -> None:
        now, minutes = time.monotonic(), self.rules.minutes
        for worker in self._workers:
            if worker.deadline is None and minutes is not None and now - worker.began > 60 * minutes:
                self.store.request_stop(worker.run_id, self.rules.too_long)
            if worker.deadline is None and self.store.stop_requested(worker.run_id):
                worker.deadline = now + self._stop_grace
            if worker.deadline is not None and now >= worker.deadline:
                worker.handle.kill()

    def _start_the_next(self) -> None:
        while len(self._workers) < self._runner.places():
            taken = sum(worker.memory for worker in self._workers)
            room = None if self._memory is None or not taken else self._memory - taken
            run = self.store.take_next(self._app.queue, room)
            if run is None:
                return
            self._let_go_of(run.id)
            try:
                self._workers.append(Worker(run.id, self._runner.start(run), run.memory, time.monotonic()))
            except OSError as error:
                self.store.append(run.id, Failed(f"The training process could not be started: {error}."))

    def _let_go_of(self, run_id: str) -> None:
        """Of the worker of a run that rested, whose turn came again before that worker had quite ended."""
        for worker in [worker for worker in self._workers if worker.run_id == run_id]:
            worker.handle.kill()
            self._workers.remove(worker)

    def _log_of(self, run_id: str):
        return self.store.folder(run_id) / LOG

    def _end_all(self) -> None:
        go_on = {worker.run_id for worker in self._workers if worker.handle.leave()}
        ours = self.store.runs("running", "queued", queue=self._app.queue)
        end_runs(self.store, tuple(run for run in ours if run.id not in go_on))
        self._workers.clear()
        self._log.look(at_once=True)
        self._runner.close()

    def _take_over(self) -> None:
        """Go on with what apps that have died left behind, where their runner's runs outlived them; end the rest."""
        left = runs_of_dead_apps(self.store)
        for run in left:
            handle = self._runner.attach(run) if run.state == "running" else None
            if handle is None:
                end_runs(self.store, (run,))
            elif self.store.adopt(run, self._app):
                self._workers.append(Worker(run.id, handle, run.memory, time.monotonic()))
            else:
                handle.leave()


def runs_of_dead_apps(store: Store) -> tuple[RunRecord, ...]:
    """Runs that an app left behind when it died."""
    runs = store.runs("running", "queued")
    dead = {app for app in {run.app for run in runs} if not is_alive(app.pid, app.mark)}
    return tuple(run for run in runs if run.app in dead)


def end_runs(store: Store, runs: tuple[RunRecord, ...]) -> None:
    """Record that the app has gone away from these runs."""
    for run in runs:
        if run.stop_requested is not None:
            store.append(run.id, Stopped(store.last_epoch(run.id)))
        elif run.state == "queued" and store.has_paused(run.id):
            store.rest(run.id)
        else:
            reason = APP_GONE_RUNNING if run.state == "running" else APP_GONE_QUEUED
            store.append(run.id, Failed(reason, store.last_epoch(run.id)))


def expected_waits(
    left: Sequence[float | None], line: Sequence[tuple[str, float | None]], workers: int
) -> dict[str, float | None]:
    """When each run of a line begins, in seconds from now.

    left  seconds that the running ones still need   line  ids and seconds of those that wait, in order
    Behind one of which that is not known, nothing is.
    """
    free = sorted([math.inf if seconds is None else seconds for seconds in left] + [0.0] * (workers - len(left)))
    waits: dict[str, float | None] = {}
    for run_id, seconds in line:
        begins = heappop(free) if free else math.inf
        waits[run_id] = None if math.isinf(begins) else begins
        heappush(free, math.inf if seconds is None else begins + seconds)
    return waits


def hand_on(begin: Begin, folder: Path) -> None:
    """Give a new run's folder the weights that it begins with. Raises SpecError, one sentence, where they are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        share(begin.weights, folder / START)
        share(begin.description, folder / START_DESCRIPTION)
    except FileNotFoundError as error:
        remove_folder(folder)
        raise SpecError("run", "The weights of that run are gone, so it cannot be continued: run it again.") from error


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it, if it is there."""
    shutil.rmtree(folder, ignore_errors=True)


def is_secret(given) -> bool:
    """Could this be the secret of somebody's browser, whoever sent it?"""
    return isinstance(given, str) and SECRET.fullmatch(given) is not None


def is_run_id(given) -> bool:
    """Could this be the id of a run, whoever sent it?"""
    return isinstance(given, str) and len(given) <= 64 and given.isascii()


def specs_of(run: RunRecord):
    """The spec and the train spec of a record; SpecError for one of another version."""
    return spec_from_dict(run.family, run.spec), train_from_dict(run.train)


def _cursor(since) -> int:
    return since if isinstance(since, int) and not isinstance(since, bool) and 0 <= since < 2**62 else 0


def _limit(limit) -> int:
    return limit if isinstance(limit, int) and not isinstance(limit, bool) and 1 <= limit <= 500 else 500
