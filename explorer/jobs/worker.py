"""One run in one process: `python -m explorer.jobs.worker STORE RUN_ID` iterates `fit` and writes each event down.

The queue starts it, and it dies with the queue's process. torch is imported only when `fit` is.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module, metadata
from pathlib import Path

from explorer.jobs.process import birth_mark, die_with, step_back
from explorer.jobs.record import spec_from_dict, train_from_dict
from explorer.jobs.store import RunRecord, Store
from explorer.train.events import ENDINGS, Activations, Event, Failed, Paused, Stopped
from explorer.train.reason import reason_of

FIT = "explorer.train.learner:fit"
SNAPSHOT = "explorer.trace.activations:snapshot"
ROOT = Path(__file__).resolve().parents[2]
COMMIT = ("git", "--no-optional-locks", "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty=+")


class StopFlag:
    """Called between batches: has somebody asked this run to stop? Asks the store at most every `every` seconds."""

    def __init__(self, store: Store, run_id: str, every: float = 0.1):
        self._store, self._run_id, self._every = store, run_id, every
        self._asked, self._stop = 0.0, False

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self._stop and now - self._asked >= self._every:
            self._stop, self._asked = self._store.stop_requested(self._run_id), now
        return self._stop


def work(store: Store, record: RunRecord, fit: str = FIT) -> None:
    """Run `fit` to its end and write all that it tells; whatever it raises becomes a Failed event."""
    ways = {
        "stop": StopFlag(store, record.id),
        "pause": lambda: store.pause_requested(record.id),
        "weights_out": store.folder(record.id),
        "resume": store.has_paused(record.id),
    }
    try:
        for event in told(record, fit, **ways):
            if not write_down(store, record.id, event):
                return
    except Exception as error:
        write_down(store, record.id, Failed(reason_of(error)))


def told(record: RunRecord, fit: str = FIT, **ways) -> Iterator[Event]:
    """What `fit` tells of a run up to its end or its rest, which there always is; `ways` are arguments of `fit`."""
    try:
        spec, train = spec_from_dict(record.family, record.spec), train_from_dict(record.train)
        for event in find(fit)(spec, train, look=look_inside, **ways):
            yield event
            if isinstance(event, (*ENDINGS, Paused)):
                return
        reason = "Training came to its end without saying whether it succeeded."
    except Exception as error:
        reason = reason_of(error)
    yield Failed(reason)


def write_down(store: Store, run_id: str, event: Event) -> bool:
    """Append an event to a run; an early end tells how many epochs are kept. False where the run has ended already."""
    if isinstance(event, (Stopped, Failed)):
        event = replace(event, epoch=max(event.epoch, store.last_epoch(run_id)))
    return store.append(run_id, event)


def look_inside(model, pictures, epoch: int) -> Activations:
    """Figures of many layers for normalised pictures (B, C, H, W), and a few channel maps of the first picture.

    Maps are of three layers: the body's first and last telling one, and one in the middle of the network.
    """
    snapshot = find(SNAPSHOT)
    whole = snapshot(model, pictures, epoch)
    body = [qual for qual in whole.quals if qual.startswith("0.")]
    ends = [snapshot(model, pictures[:1], epoch, (qual,)) for qual in (body[:1] + body[1:][-1:])]
    order = {qual: place for place, qual in enumerate(whole.quals)}
    kept = {one.map_qual: one for one in (*ends, whole) if one.map_qual}
    maps = sorted(kept.values(), key=lambda one: order[one.map_qual])
    return Activations(
        epoch=epoch,
        quals=whole.quals,
        means=whole.means,
        stds=whole.stds,
        dead=whole.dead,
        lows=whole.lows,
        highs=whole.highs,
        histograms=whole.histograms,
        map_quals=tuple(one.map_qual for one in maps),
        map_channels=tuple(one.map_channels for one in maps),
        map_shapes=tuple(one.map_shape for one in maps),
        map_pixels=tuple(one.map_pixels for one in maps),
    )


def find(name: str) -> Callable:
    """The function that "package.module:function" names."""
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)


def versions() -> dict[str, str]:
    """Versions of what a run's numbers may depend on."""
    packages = {name: installed(name) for name in ("torch", "torchvision", "numpy", "pillow")}
    return {"python": platform.python_version(), **packages, "app": app_version(), "commit": commit()}


def installed(package: str) -> str:
    """The version of an installed package, "" where it is not installed; does not import it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def app_version() -> str:
    """The version that pyproject.toml gives, "" where that file did not come along."""
    try:
        found = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    except OSError:
        return ""
    return found.group(1) if found else ""


def commit() -> str:
    """The commit of the app's checkout, with "+" behind it where files were changed; "" where there is no checkout."""
    try:
        found = subprocess.run(COMMIT, cwd=ROOT, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return found.stdout.strip()


def main(args: list[str] | None = None) -> int:
    """The command line; returns the exit code, 0 for every run that ended with an event of its own."""
    parser = argparse.ArgumentParser(prog="python -m explorer.jobs.worker", description=__doc__)
    parser.add_argument("store", type=Path, help="the file of runs")
    parser.add_argument("run", help="the id of a run that the queue has taken from the line")
    parser.add_argument("--parent", type=int, help="the process to end with")
    parser.add_argument("--fit", default=FIT, help="package.module:function that trains (default: %(default)s)")
    given = parser.parse_args(args)
    if given.parent is not None:
        die_with(given.parent)
        step_back()
    store = Store(given.store)
    record = store.run(given.run)
    if record is None or record.state != "running":
        print("No such run waits for a worker.", file=sys.stderr)
        return 2
    store.check_in(record.id, os.getpid(), birth_mark(os.getpid()), versions())
    work(store, record, given.fit)
    store.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
