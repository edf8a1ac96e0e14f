"""Training on a ZeroGPU Space, where a GPU is lent to an event of the page for some seconds, and to nothing else.

The page's event iterates `ZeroRunner.train`, which waits for the run's turn and then has the GPU lent: `spaces.GPU`
runs `train_lent` in a forked process, on the quota of whoever clicked, and hands on what it yields. Those are the run's
events; the event writes them into the store, so every page that watches sees them by the usual questions. The forked
process must not touch the store (SQLite does not survive a fork), so wishes reach it as files in the run's folder.
Elsewhere `spaces` is not touched.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from explorer.jobs.runner import is_zero
from explorer.jobs.store import RunRecord, Store
from explorer.jobs.worker import FIT, told, versions, write_down
from explorer.train.events import Failed, Stopped, from_dict, to_dict
from explorer.train.reason import reason_of

USUAL_SECONDS = 60
LEAST_SECONDS = 20
FOR_THE_END = 5.0  # seconds of those lent that are kept for beginning and for writing down
CLAIMED_WITHIN = 30.0  # seconds in which a page must come for a run whose turn it is
TELL_EVERY = 0.25  # seconds between two signs of life to the page
STOP, PAUSE = "stop.wish", "pause.wish"
KILLED = -9
PAGE_GONE = "The page that asked for this run was closed; a ZeroGPU Space trains only while it is open."
NOBODY_CAME = "No page came for this run at its turn: a ZeroGPU Space trains only what a page that is open asks for."
USED_UP = (
    "The {seconds} seconds of GPU time that a run gets on this Space are used up; its last whole epoch is kept: "
    "continue from there."
)


def seconds_from_environment() -> int:
    """EXPLORER_ZERO_SECONDS, the most seconds of GPU time that one run may ask for; 60. ValueError for what is none."""
    text = os.environ.get("EXPLORER_ZERO_SECONDS", "").strip() or str(USUAL_SECONDS)
    if not text.isdecimal() or not LEAST_SECONDS <= int(text) <= 3600:
        raise ValueError(
            f"EXPLORER_ZERO_SECONDS is how long a run may have the GPU, {LEAST_SECONDS} to 3600 seconds, not {text!r}."
        )
    return int(text)


def on_gpu(duration: Callable[..., int]) -> Callable:
    """`spaces.GPU(duration=…)` on a ZeroGPU Space; elsewhere a decorator that changes nothing."""
    if not is_zero():
        return lambda task: task
    import spaces

    return spaces.GPU(duration=duration)


class TimeLimit:
    """Called between batches: is the time used up, or is there a file that says stop?"""

    def __init__(self, seconds: float, wish: Path):
        self._end, self._wish = time.monotonic() + seconds, wish

    def is_up(self) -> bool:
        return time.monotonic() > self._end

    def __call__(self) -> bool:
        return self.is_up() or self._wish.exists()


def train_lent(run: RunRecord, folder: Path, resume: bool, fit: str, seconds: int) -> Iterator[dict]:
    """Train a run in this process within so many seconds: its events, as `events.to_dict` gives them."""
    calm()
    limit = TimeLimit(max(1.0, seconds - FOR_THE_END), folder / STOP)
    for event in told(run, fit, stop=limit, pause=(folder / PAUSE).exists, weights_out=folder, resume=resume):
        if isinstance(event, Stopped) and limit.is_up() and not (folder / STOP).exists():
            event = replace(event, reason=USED_UP.format(seconds=seconds))
        yield to_dict(event)


def calm() -> None:
    """Have torch, where it is loaded, use one thread: those that it had did not come along into a forked process."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


class ZeroRunner:
    """One run at a time, in the event of a page that asked for it.

    seconds  most GPU time of a run; EXPLORER_ZERO_SECONDS
    fit      "package.module:function" that trains; for tests
    """

    grace = 5.0

    def __init__(self, store: Store, *, seconds: int | None = None, fit: str = FIT, patience: float = CLAIMED_WITHIN):
        self._store, self._fit, self._patience = store, fit, patience
        self._most = seconds or seconds_from_environment()
        self._lent = on_gpu(lambda run, folder, resume, fit, seconds: seconds)(train_lent)
        self._handles: dict[str, ZeroHandle] = {}

    def places(self) -> int:
        return 1

    def start(self, run: RunRecord) -> ZeroHandle:
        self._store.folder(run.id).mkdir(parents=True, exist_ok=True)
        self._handles = {run.id: ZeroHandle(self._store, run.id, self._patience)}
        return self._handles[run.id]

    def attach(self, run: RunRecord) -> None:
        """Nothing: the event has ended with its app."""

    def close(self) -> None:
        pass

    def train(self, run_id: object, every: float = 0.2) -> Iterator[None]:
        """What a page's event iterates: waits for the turn of a run, has the GPU lent, and trains.

        Nothing happens for what is no run that waits, or one that another event trains.
        """
        while (run := self._store.run(run_id) if isinstance(run_id, str) else None) and run.state == "queued":
            time.sleep(every)
            yield
        handle = self._handle_of(run, every)
        if handle is None or not handle.claim():
            return
        folder, resume = self._store.folder(run.id), self._store.has_paused(run.id)
        take_back(folder)
        try:
            self._store.check_in(run.id, None, None, versions())
            with closing(self._lent(run, folder, resume, self._fit, self.seconds_for(run))) as events:
                yield from self._written(run.id, events)
        except Exception as error:
            self._store.append(run.id, Failed(why_not_lent(error), self._store.last_epoch(run.id)))
        finally:
            take_back(folder)
            handle.end(0)

    def _written(self, run_id: str, events: Iterator[dict]) -> Iterator[None]:
        """Write down what is told; yields now and then, for the page's event to go on."""
        said = 0.0
        try:
            for event in events:
                if not write_down(self._store, run_id, from_dict(event)):
                    return
                if time.monotonic() - said > TELL_EVERY:
                    said = time.monotonic()
                    yield
        except GeneratorExit:
            self._store.request_stop(run_id, PAGE_GONE)
            hand_on(self._store, run_id)
            write_down(self._store, run_id, Stopped())
            raise

    def seconds_for(self, run: RunRecord) -> int:
        """GPU time to ask for: half as much again as was estimated, and no more than one may."""
        wanted = self._most if run.seconds is None else 1.5 * run.seconds + 2 * FOR_THE_END
        return int(min(self._most, max(LEAST_SECONDS, wanted)))

    def _handle_of(self, run: RunRecord | None, every: float) -> ZeroHandle | None:
        """The handle of a run whose turn has come; the queue makes it a moment after it took the run."""
        end = time.monotonic() + 2.0
        while run is not None and run.state == "running" and run.id not in self._handles and time.monotonic() < end:
            time.sleep(every)
        return self._handles.get(run.id) if run is not None else None


class ZeroHandle:
    """A run whose turn it is: a page must come for it in time."""

    def __init__(self, store: Store, run_id: str, patience: float):
        self._store, self._run_id, self._until = store, run_id, time.monotonic() + patience
        self._lock, self._is_claimed = threading.Lock(), False
        self._code: int | None = None

    def claim(self) -> bool:
        """Whether whoever asks is the one who trains the run."""
        with self._lock:
            free = not self._is_claimed and self._code is None
            self._is_claimed = self._is_claimed or free
            return free

    def end(self, code: int) -> None:
        """The run has ended, by itself or not."""
        with self._lock:
            self._code = code if self._code is None else self._code

    def poll(self) -> int | None:
        """As ever; wishes are handed on as well, and a run that nobody came for has failed."""
        if self._is_claimed:
            hand_on(self._store, self._run_id)
        elif time.monotonic() > self._until and self.claim():
            self._store.append(self._run_id, Failed(NOBODY_CAME, self._store.last_epoch(self._run_id)))
            self.end(1)
        return self._code

    def kill(self) -> None:
        """The process that trains sees that its run has ended, with the next thing it has to tell."""
        self.end(KILLED)

    def leave(self) -> bool:
        self.kill()
        return False


def why_not_lent(error: Exception) -> str:
    """One sentence on why the GPU was not lent, or taken back; `spaces` says it in words for people."""
    said = getattr(error, "message", None)
    return f"ZeroGPU did not train this run: {str(said).rstrip('.')}." if isinstance(said, str) else reason_of(error)


def hand_on(store: Store, run_id: str) -> None:
    """Lay the wishes for a run where the process that trains it looks."""
    if store.stop_requested(run_id):
        (store.folder(run_id) / STOP).touch()
    if store.pause_requested(run_id):
        (store.folder(run_id) / PAUSE).touch()


def take_back(folder: Path) -> None:
    """Remove the wishes that are left from before."""
    for wish in (STOP, PAUSE):
        (folder / wish).unlink(missing_ok=True)
