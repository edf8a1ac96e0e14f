"""The far end of a run that trains on another machine.

A `Post` stands there, trains the run as `LocalRunner` would, in a process of its own with a store of its own, and
answers the app, which asks: what is new, which files changed, does somebody want it to stop. It keeps what it has told
until the app has written that down, so an app may die and another one go on. It knows nothing of Ray.

All its calls are short and come one after the other, from one thread: the process ends with that thread.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from explorer.files import HALF, share
from explorer.jobs.known import Known
from explorer.jobs.process import birth_mark, is_alive
from explorer.jobs.runner import LOG, LocalRunner
from explorer.jobs.store import App, Store
from explorer.train.events import Paused

NAME = "explorer-run-"
MOST_EVENTS = 500  # in one answer
LONELY = 86_400.0  # seconds after which a run that has ended, and that nobody asked about, is given up

Mark = tuple[int, int]
"""By which a file that was written again is known: when that was, and its bytes."""


@dataclass(frozen=True)
class Order:
    """What to train, and where its story stands.

    fit     "package.module:function" that trains
    threads torch threads of the process
    told    how many events the app has of this run already: the first new one gets the next number
    known   what those tell; it is not told again
    rested  the epoch that it goes on after, from the files that were sent; None for a run that begins
    """

    run: str
    family: str
    spec: dict
    train: dict
    fit: str
    threads: int
    told: int
    known: Known
    rested: int | None = None


@dataclass(frozen=True)
class Seen:
    """What is new.

    events  (number, JSON text), numbered on from `Order.told`
    files   marks of the files that changed, which `piece` gives as they were now
    code    how the process has ended, as subprocess gives it; None while it, or its story, goes on
    """

    events: tuple[tuple[int, str], ...]
    files: dict[str, Mark]
    code: int | None


class Post:
    """A run's place on a machine; `run` is its id. Its folder goes with it, or with the next post on this machine."""

    def __init__(self, run: str, place: str | None = None):
        sweep(Path(place or tempfile.gettempdir()))
        self._run = run
        self._place = Path(tempfile.mkdtemp(prefix=f"{NAME}{os.getpid()}-", dir=place))
        (self._place / "owner").write_text(birth_mark(os.getpid()))
        self._store = Store(self._place / "runs.sqlite")
        self._folder, self._out = self._store.folder(run), self._place / "out"
        for folder in (self._folder, self._out):
            folder.mkdir(parents=True)
        self._order = self._handle = None
        self._sent: dict[str, Mark] = {}
        self._told = self._read_to = 0
        self._untold: deque[tuple[int, str]] = deque()
        self._asked = time.monotonic()
        threading.Thread(target=self._give_up, name="lonely", daemon=True).start()

    def who(self) -> dict:
        """The process, and whether it has been told what to train."""
        return {"pid": os.getpid(), "begun": self._order is not None}

    def take(self, name: str, at: int, piece: bytes) -> None:
        """A piece of a file that the run begins with, from byte `at` on."""
        with (self._folder / name).open("r+b" if at else "wb") as file:
            file.seek(at)
            file.write(piece)

    def begin(self, order: Order) -> None:
        """Train. Raises OSError where that cannot begin."""
        app = App("post", os.getpid(), birth_mark(os.getpid()))
        self._store.add(self._run, "", order.family, order.spec, order.train, app, at_most=1)
        record = self._store.take_next(app.queue)
        if order.rested is not None:
            self._store.append(self._run, Paused(order.rested))
            self._store.resume(self._run, app)
            record = self._store.take_next(app.queue)
        self._read_to, self._told = self._store.look(self._run, 0, 1).n, order.told
        self._sent = self._marks()
        self._handle = LocalRunner(self._store, places=1, threads=order.threads, fit=order.fit).start(record)
        self._order = order

    def look(self, since: int, have: Mapping[str, Mark], stop: bool, pause: bool) -> Seen:
        """What is new after event `since`, and which files are others than those one has; wishes are handed on."""
        self._asked = time.monotonic()
        if stop:
            self._store.request_stop(self._run)
        elif pause:
            self._store.request_pause(self._run)
        code = self._handle.poll()
        self._read()
        while self._untold and self._untold[0][0] <= since:
            self._untold.popleft()
        events = tuple(self._untold)[:MOST_EVENTS]
        return Seen(events, self._hold(have), None if len(self._untold) > MOST_EVENTS else code)

    def versions(self) -> dict[str, str]:
        """What the run's numbers may depend on here, as its process told."""
        return self._store.run(self._run).versions

    def piece(self, name: str, at: int, most: int) -> bytes:
        """At most so many bytes of a file that `look` told of, from byte `at` on."""
        with (self._out / name).open("rb") as file:
            file.seek(at)
            return file.read(most)

    def end(self) -> None:
        """End the process where it goes on, and leave nothing behind."""
        if self._handle is not None:
            self._handle.leave()
        self._store.close()
        shutil.rmtree(self._place, ignore_errors=True)

    def _read(self) -> None:
        """Number what the process told since the last time, without what was known."""
        while events := self._store.look(self._run, self._read_to, MOST_EVENTS).events:
            for number, _, text in events:
                self._read_to = number
                if not self._order.known.holds(json.loads(text)):
                    self._told += 1
                    self._untold.append((self._told, text))

    def _hold(self, have: Mapping[str, Mark]) -> dict[str, Mark]:
        """Keep the changed files as they are now; the log alone while the run is behind what it had told before."""
        is_behind = self._store.last_epoch(self._run) < self._order.known.epoch
        changed = {
            name: mark
            for name, mark in self._marks().items()
            if mark not in (have.get(name), self._sent.get(name)) and (name == LOG or not is_behind)
        }
        for name in changed:
            (self._out / name).unlink(missing_ok=True)
            share(self._folder / name, self._out / name)
        return changed

    def _marks(self) -> dict[str, Mark]:
        """The whole files in the run's folder."""
        marks = {}
        for file in self._folder.iterdir():
            if file.suffix != HALF and file.is_file():
                told = file.stat()
                marks[file.name] = (told.st_mtime_ns, told.st_size)
        return marks

    def _give_up(self) -> None:
        """End this process when the run has ended and no app has asked for a day."""
        while True:
            time.sleep(min(60.0, LONELY))
            over = self._handle is None or self._handle.poll() is not None
            if over and time.monotonic() - self._asked > LONELY:
                shutil.rmtree(self._place, ignore_errors=True)
                os._exit(0)


def sweep(place: Path) -> None:
    """Remove the folders of posts whose process was killed."""
    for folder in place.glob(f"{NAME}*"):
        owner, pid = folder / "owner", folder.name.removeprefix(NAME).partition("-")[0]
        if owner.is_file() and not is_alive(int(pid), owner.read_text()):
            shutil.rmtree(folder, ignore_errors=True)
