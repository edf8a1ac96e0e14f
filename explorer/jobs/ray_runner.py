"""Runs on a Ray cluster: each is an actor (`jobs.post`) with processors and GPUs of its own, wherever there is room.

A thread for each run asks its actor what is new and writes that into the app's store: weights first, then what the run
told, so what is shown has been kept, in order and exactly once; the cursor is the store's own count. A lost machine
costs time alone: the run begins again elsewhere, with the same seed, and tells what is new. Actors outlive the app; the
next one finds them by the runs' ids and goes on asking.
"""

from __future__ import annotations

import json
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from explorer.files import write_whole
from explorer.jobs.known import Known, known_of
from explorer.jobs.post import Order, Post, Seen
from explorer.jobs.process import usable_cores
from explorer.jobs.runner import workers_from_environment
from explorer.jobs.store import RunRecord, Store
from explorer.jobs.worker import FIT, ROOT, app_version, commit, write_down
from explorer.train.events import Failed, Note, from_dict
from explorer.train.places import START, START_DESCRIPTION, STATE, WEIGHTS
from explorer.train.reason import reason_of

log = logging.getLogger(__name__)

NAMESPACE = "architecture-explorer"
OBJECTS = 80 * 2**20  # bytes of shared memory for a Ray that we start: files travel in pieces
PIECE = 8 * 2**20
EVERY = 0.2  # seconds between two questions
SOON = 10.0  # seconds after which a run that waits for a machine says so
PLACES_HOLD = 2.0  # seconds that a look at the cluster's machines is good for
IN_THE_WAY = 30.0  # seconds that an actor which is ending may keep its name
MOST_LOSSES = 3
KILLED = -9
NOT_HERE = 'EXPLORER_RUNNER=ray needs Ray, which is not installed here: pip install "ray[default]".'
WAITS = "The cluster has no free place for this run yet: it waits for one."
BEGAN_AGAIN = "The machine that trained this run was lost: it began again, and goes on where it had broken off."
LOST_TOO_OFTEN = "The machine that trained this run was lost {n} times, the last time so: {why}."


class Lost(Exception):
    """The actor has died, with its process, its machine or the way to it."""


class Over(Exception):
    """Nobody waits for this run any more: it was killed, or the app goes."""


class RayRunner:
    """Each run an actor of the cluster at RAY_ADDRESS; without an address, of a Ray of this machine's own.

    places   how many at the same time; EXPLORER_WORKERS, else as many as fit into the cluster as it is now
    threads  torch threads of each; OMP_NUM_THREADS, else as many as it has processors
    fit      "package.module:function" that trains; for tests
    every    seconds between two questions to an actor

    Raises ValueError, one sentence, where there is no Ray, no cluster at the address, or a setting is none.
    """

    grace = 5.0

    def __init__(
        self,
        store: Store,
        *,
        places: int | None = None,
        threads: int | None = None,
        fit: str = FIT,
        every: float = EVERY,
    ):
        self.store, self.fit, self.every = store, fit, every
        self.cpus = number("EXPLORER_RAY_CPUS", "how many processors a run gets", 1.0)
        text = os.environ.get("OMP_NUM_THREADS", "")
        self.threads = threads or max(1, int(text) if text.isdecimal() else int(self.cpus))
        self._places = places or (workers_from_environment() if os.environ.get("EXPLORER_WORKERS") else None)
        self._counted, self._counted_at = 1, -math.inf
        self.ray, self._is_ours, self.outlives = connect()
        has_gpus = self.ray.cluster_resources().get("GPU", 0) > 0
        self.gpus = number("EXPLORER_RAY_GPUS", "how many GPUs a run gets", 1.0 if has_gpus else 0.0, least=0.0)

    def places(self) -> int:
        """Those asked for; else what fits, machine by machine, and at least one, which may wait for a machine."""
        if self._places is not None:
            return self._places
        if time.monotonic() - self._counted_at > PLACES_HOLD:
            there = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
            self._counted, self._counted_at = max(1, sum(map(self._fit_into, there))), time.monotonic()
        return self._counted

    def _fit_into(self, has: dict[str, float]) -> int:
        """How many runs one machine can hold."""
        fits = int(has.get("CPU", 0) // self.cpus)
        return min(fits, int(has.get("GPU", 0) // self.gpus)) if self.gpus else fits

    def start(self, run: RunRecord) -> RayHandle:
        return RayHandle(self, run)

    def attach(self, run: RunRecord) -> RayHandle | None:
        try:
            return RayHandle(self, run, self.ray.get_actor(run.id, namespace=NAMESPACE))
        except ValueError:
            return None

    def create(self, run_id: str):
        """A new actor for a run, which waits for its place in the cluster. ValueError while an older one is there."""
        actor = self.ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_restarts=0)(Post)
        return actor.options(name=run_id, namespace=NAMESPACE, lifetime="detached").remote(run_id)

    def close(self) -> None:
        if self._is_ours:
            self.ray.shutdown()


class RayHandle:
    """A run on the cluster, and the thread that asks after it; `post` is its actor where it has one already."""

    def __init__(self, runner: RayRunner, run: RunRecord, post=None):
        self._runner, self._ray, self._store, self._run, self._post = runner, runner.ray, runner.store, run, post
        self._code: int | None = None
        self._killed, self._left, self._over = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"run {run.id}", daemon=True)
        self._thread.start()

    def poll(self) -> int | None:
        return self._code

    def kill(self) -> None:
        self._killed.set()
        self._over.set()

    def leave(self) -> bool:
        if self._runner.outlives and not self._killed.is_set():
            self._left.set()
        else:
            self._killed.set()
        self._over.set()
        self._thread.join()
        return self._left.is_set() and self._code is None

    # What the run's thread does

    def _work(self) -> None:
        """Follow the run to its end, through as many machines as it takes."""
        code = KILLED
        try:
            code = self._through_losses()
        except Over:
            pass
        except Exception as error:
            self._tell(Failed(reason_of(error)))
        if not self._left.is_set():
            self._dismiss()
            self._code = code

    def _through_losses(self) -> int:
        losses = 0
        while True:
            try:
                return self._follow()
            except Lost as lost:
                losses += 1
                self._dismiss()
                if self._store.stop_requested(self._run.id):
                    return KILLED
                if losses > MOST_LOSSES:
                    self._tell(Failed(LOST_TOO_OFTEN.format(n=losses, why=lost)))
                    return 1
                self._tell(Note(BEGAN_AGAIN, "warn"))

    def _follow(self) -> int:
        """Have the run trained and write down what it tells; how its process ended. Raises Lost and Over."""
        if self._post is None:
            self._post = self._create()
        if not self._ready()["begun"]:
            self._begin()
        have: dict = {}
        is_new = True
        while True:
            seen = self._look(have)
            for name in seen.files:
                self._fetch(name)
            have |= seen.files
            if is_new and seen.events:
                is_new = False
                self._check_in()
            for _, text in seen.events:
                if not self._tell(from_dict(json.loads(text))):
                    return seen.code or 0
            if seen.code is not None:
                return seen.code
            if not seen.events and self._over.wait(self._runner.every):
                raise Over

    def _create(self):
        """An actor; that of the same name which has just died may be in the way for a moment."""
        end = time.monotonic() + IN_THE_WAY
        while True:
            try:
                return self._runner.create(self._run.id)
            except ValueError:
                if time.monotonic() > end:
                    raise
                if self._over.wait(0.2):
                    raise Over from None

    def _ready(self) -> dict:
        """Who the actor is, as soon as the cluster has a place for it."""
        return self._ask(lambda post: post.who.remote(), late=lambda: self._tell(Note(WAITS)))

    def _begin(self) -> None:
        """Send the files that the run begins with, and what to train."""
        folder = self._store.folder(self._run.id)
        folder.mkdir(parents=True, exist_ok=True)
        rested = rested_after(folder)
        names = (START, START_DESCRIPTION, *((WEIGHTS, STATE) if rested is not None else ()))
        for name in names:
            if (folder / name).is_file():
                for at, piece in pieces(folder / name):
                    self._ask(lambda post, n=name, a=at, p=piece: post.take.remote(n, a, p))
        told, known = told_of(self._store, self._run.id)
        run, runner = self._run, self._runner
        order = Order(run.id, run.family, run.spec, run.train, runner.fit, runner.threads, told, known, rested)
        self._ask(lambda post: post.begin.remote(order))

    def _look(self, have: dict) -> Seen:
        run = self._store.run(self._run.id)
        since = self._store.look(self._run.id, 0, 1).n
        stop, pause = run.stop_requested is not None, run.pause_requested is not None
        return self._ask(lambda post: post.look.remote(since, have, stop, pause))

    def _fetch(self, name: str) -> None:
        """Bring a file of the run into its folder, whole or not at all."""

        def write(path: Path) -> None:
            with path.open("wb") as file:
                while piece := self._ask(lambda post: post.piece.remote(name, file.tell(), PIECE)):
                    file.write(piece)

        write_whole(self._store.folder(self._run.id) / name, write)

    def _check_in(self) -> None:
        """What the run's numbers depend on there; the app is the same as here."""
        there = self._ask(lambda post: post.versions.remote())
        self._store.check_in(self._run.id, None, None, {**there, "app": app_version(), "commit": commit()})

    def _tell(self, event) -> bool:
        """Write an event down; False where the run has its end already."""
        return write_down(self._store, self._run.id, event)

    def _ask(self, question: Callable, late: Callable[[], object] | None = None):
        """The actor's answer, however long that takes; `late` is called once where it takes long.

        Raises Lost where the actor is no more, Over where nobody waits, and what the actor itself raised.
        """
        errors = self._ray.exceptions
        try:
            answer, waited = question(self._post), 0.0
            while not self._ray.wait([answer], timeout=0.5)[0]:
                waited += 0.5
                if self._over.is_set():
                    raise Over
                if late and waited >= SOON:
                    late()
                    late = None
            return self._ray.get(answer)
        except errors.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from None
        except errors.RayError as error:
            raise Lost(first_line(error)) from error

    def _dismiss(self) -> None:
        """End the actor, where there is one, with all that it left on its machine."""
        post, self._post = self._post, None
        if post is None:
            return
        try:
            self._ray.get(post.end.remote(), timeout=2.0)
        except self._ray.exceptions.RayError:
            log.info("The actor of run %s is gone, or too busy to take its leave.", self._run.id)
        self._ray.kill(post)


def connect():
    """Ray itself, whether this call has connected to it, and whether its runs outlive the app. Raises ValueError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise ValueError(NOT_HERE) from None
    address = os.environ.get("RAY_ADDRESS", "").strip()
    if ray.is_initialized():
        return ray, False, bool(address)
    how = {"namespace": NAMESPACE, "log_to_driver": False, "configure_logging": False}
    try:
        if address:
            knock(address)
            ray.init(address=address, runtime_env={"py_modules": [str(ROOT / "explorer")]}, **how)
        else:
            cores = max(1, usable_cores() - 1)
            ray.init(address="local", num_cpus=cores, include_dashboard=False, object_store_memory=OBJECTS, **how)
    except Exception as error:
        where = f"The Ray cluster at {address} cannot be reached" if address else "Ray could not be started here"
        raise ValueError(f"{where} ({first_line(error)}): see RAY_ADDRESS, or set EXPLORER_RUNNER=local.") from error
    return ray, True, bool(address)


def knock(address: str) -> None:
    """OSError where nobody listens at "host:port" or "ray://host:port"; Ray itself would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def told_of(store: Store, run_id: str) -> tuple[int, Known]:
    """How many events a run has, and what they tell."""
    events = list(events_of(store, run_id))
    return len(events), known_of(events)


def events_of(store: Store, run_id: str) -> Iterator[dict]:
    """All events of a run in order, as `events.to_dict` gives them."""
    since = 0
    while events := store.look(run_id, since, 500).events:
        yield from (json.loads(text) for _, _, text in events)
        since = events[-1][0]


def rested_after(folder: Path) -> int | None:
    """The epoch after which a run in this folder can go on: its weights and its state are there, of the same epoch."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, "np") as weights, safe_open(folder / STATE, "np") as state:
            epoch = int((weights.metadata() or {}).get("epoch", 0))
            return epoch if json.loads(state.metadata()["state"])["epoch"] == epoch else None
    except (OSError, SafetensorError):
        return None


def pieces(file: Path) -> Iterator[tuple[int, bytes]]:
    """A file as (first byte, bytes)."""
    with file.open("rb") as source:
        while piece := source.read(PIECE):
            yield source.tell() - len(piece), piece


def number(name: str, what: str, usual: float, least: float = 1e-3) -> float:
    """A setting of the environment. Raises ValueError, one sentence, for what is no part of one from `least` on, and
    no whole number."""
    text = os.environ.get(name, "").strip()
    try:
        value = float(text) if text else usual
    except ValueError:
        value = -1.0
    if not least <= value <= 1024 or (value > 1 and value != int(value)):
        raise ValueError(f"{name} is {what}, a part of one or a whole number, not {text!r}.")
    return value


def first_line(error: Exception) -> str:
    """What an error says, as much of it as fits into a sentence."""
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)[:200].rstrip(".:")
