"""What trains a run: something that starts it somewhere, and lets the queue see it end or end it.

`LocalRunner` gives each run a process of this machine. `jobs.ray_runner` gives it a place in a Ray cluster, `jobs.zero`
the time of a GPU that a ZeroGPU Space borrows; which one is used is EXPLORER_RUNNER's choice (`open_runner`).
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Protocol

from explorer.jobs.process import is_alive, kill_group, usable_cores
from explorer.jobs.store import RunRecord, Store
from explorer.jobs.worker import FIT, ROOT

LOCAL, RAY, ZERO = "local", "ray", "zero"
RUNNERS = (LOCAL, RAY)
LOG = "worker.log"


class Handle(Protocol):
    """A run that goes on somewhere; all it tells stands in the store."""

    def poll(self) -> int | None:
        """None while it goes on, else how it ended, as subprocess gives it: negative for a signal."""

    def kill(self) -> None:
        """End it at once."""

    def leave(self) -> bool:
        """The app goes: True where the run goes on without it, False where it has ended when this returns."""


class Runner(Protocol):
    """Somebody who trains runs.

    grace  seconds that a run has to end by itself after a stop, before it is killed
    """

    grace: float

    def places(self) -> int:
        """How many runs it can train at the same time now, at least 1."""

    def start(self, run: RunRecord) -> Handle:
        """Train a run that the queue has taken from the line. Raises OSError where that cannot begin."""

    def attach(self, run: RunRecord) -> Handle | None:
        """A run that an app which is no more had started, where it still goes on; None where it has ended with it."""

    def close(self) -> None:
        """Let go of what all runs shared."""


class LocalRunner:
    """Each run in a process of its own on this machine, which dies with the app.

    places   how many at the same time; EXPLORER_WORKERS, else one for every four cores
    threads  torch threads of each; OMP_NUM_THREADS, else its share of all usable cores but one: the page lives on
    fit      "package.module:function" that trains; for tests
    """

    grace = 0.7

    def __init__(self, store: Store, *, places: int | None = None, threads: int | None = None, fit: str = FIT):
        self._store, self._fit = store, fit
        self._places = places or workers_from_environment()
        self._threads = threads or threads_from_environment(self._places)

    def places(self) -> int:
        return self._places

    def start(self, run: RunRecord) -> LocalHandle:
        folder = self._store.folder(run.id)
        folder.mkdir(parents=True, exist_ok=True)
        options = ["--parent", str(os.getpid()), "--fit", self._fit]
        what = [str(self._store.path.absolute()), run.id]
        with (folder / LOG).open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "explorer.jobs.worker", *options, "--", *what],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=worker_environment(self._threads),
                start_new_session=True,
            )
        return LocalHandle(process)

    def attach(self, run: RunRecord) -> None:
        """Nothing; a process that outlived its app is ended."""
        if is_alive(run.pid, run.pid_mark):
            kill_group(run.pid)

    def close(self) -> None:
        pass


class LocalHandle:
    """The process of a run."""

    def __init__(self, process: subprocess.Popen):
        self._process = process

    def poll(self) -> int | None:
        return self._process.poll()

    def kill(self) -> None:
        kill_group(self._process.pid)

    def leave(self) -> bool:
        self.kill()
        self._process.wait()
        return False


def open_runner(store: Store, **options) -> Runner:
    """The runner that `runner_name` tells; `options` are those of all runners.

    Raises ValueError, one sentence, for a name that is none, and where Ray is named but not there.
    """
    name = runner_name()
    if name == RAY:
        from explorer.jobs.ray_runner import RayRunner

        return RayRunner(store, **options)
    if name == ZERO:
        from explorer.jobs.zero import ZeroRunner

        return ZeroRunner(store, **options)
    return LocalRunner(store, **options)


def runner_name() -> str:
    """What EXPLORER_RUNNER says; where it says nothing "zero" on a ZeroGPU Space, else "local". Raises ValueError for a
    name that is none."""
    usual = ZERO if is_zero() else LOCAL
    name = os.environ.get("EXPLORER_RUNNER", "").strip().lower() or usual
    if name not in (*RUNNERS, usual):
        raise ValueError(f"EXPLORER_RUNNER says what trains runs, {' or '.join(RUNNERS)}, not {name!r}.")
    return name


def is_zero() -> bool:
    """Is this a ZeroGPU Space?"""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def workers_from_environment() -> int:
    """EXPLORER_WORKERS; where it is not set one, and one more for every further four cores, at most 8. Raises
    ValueError for what is no whole number from 1 to 64."""
    text = os.environ.get("EXPLORER_WORKERS", str(max(1, min(8, usable_cores() // 4))))
    if not text.isdecimal() or not 1 <= int(text) <= 64:
        raise ValueError(f"EXPLORER_WORKERS is how many runs train at once, a whole number from 1 to 64, not {text!r}.")
    return int(text)


def threads_from_environment(workers: int = 1) -> int:
    """OMP_NUM_THREADS where it is a number, else each worker's share of all usable cores but one, at least 1."""
    text = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(text) if text.isdecimal() else (usable_cores() - 1) // workers)


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
