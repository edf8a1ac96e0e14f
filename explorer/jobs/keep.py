"""How much of the runs is kept, and what goes first where that is too much.

What its owner deleted goes after UNDO seconds; a run on pictures that somebody brought, of which it holds some, when
their time is over. A run that waits, trains or rests is never touched. Of those that have
ended, those that are pinned come last in each of these, and never go for their age:

1. whole runs go that ended longer ago than the limit of days, the oldest first;
2. then, while more is used than the limit of bytes, the weights of the run that ended longest ago: its curves and
   figures stay, it can be run again, and only continuing from its weights is lost;
3. then, when no weights are left, whole runs, the oldest first.

What a crash left half removed (a folder whose run is gone) goes first of all.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from explorer.host import upload_hours
from explorer.jobs.store import RunRecord, Store

DAY, HOUR = 86_400.0, 3600.0
BROUGHT = "upload:"
UNDO = 600.0  # seconds in which a deleted run can be brought back
GIGABYTE = 10**9
USUAL_GIGABYTES = 20.0
WEIGHTS = ".safetensors"


@dataclass(frozen=True)
class Limits:
    """How much is kept: bytes of records, weights and logs together, days after a run's end, hours of one on pictures
    that somebody brought; None where none is set."""

    size: int | None = int(USUAL_GIGABYTES * GIGABYTE)
    days: float | None = None
    brought_hours: float | None = None


@dataclass(frozen=True)
class Tidied:
    """What went: runs whose weights did, runs as a whole, and how many bytes that made free."""

    weights: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    freed: int = 0


def limits_from_environment() -> Limits:
    """EXPLORER_KEEP_GB (20 where it is not set), EXPLORER_KEEP_DAYS (no limit) and EXPLORER_UPLOAD_HOURS;
    ValueError for what is no number."""
    size = _number("EXPLORER_KEEP_GB", "how many gigabytes of runs are kept", str(USUAL_GIGABYTES))
    days = _number("EXPLORER_KEEP_DAYS", "how many days a run is kept after its end", "")
    return Limits(None if size is None else int(size * GIGABYTE), days, upload_hours())


def _number(name: str, what: str, usual: str) -> float | None:
    text = os.environ.get(name, usual).strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e9:
        raise ValueError(f"{name} is {what}, a number from 0 on, or nothing for no limit, not {text!r}.")
    return value


def tidy(store: Store, limits: Limits, now: float) -> Tidied:
    """Remove what goes by the rules above; `now` in seconds since 1970."""
    before = used_bytes(store)
    for folder in orphans(store):
        shutil.rmtree(folder, ignore_errors=True)
    ended = sorted(store.runs("finished", "stopped", "failed"), key=lambda run: (run.pinned, run.ended or run.created))
    old = [run for run in ended if _is_over(run, limits, now)]
    runs = [run.id for run in old if remove(store, run)]
    left, weights = [run for run in ended if run.id not in runs], []
    files = file_bytes(store.runs_folder)
    for run in left:
        if limits.size is None or store.used_bytes() + files <= limits.size:
            break
        if gone := remove_weights(store, run):
            weights.append(run.id)
            files -= gone
    for run in left:
        if limits.size is None or store.used_bytes() + files <= limits.size:
            break
        held = file_bytes(store.folder(run.id))
        if remove(store, run):
            runs.append(run.id)
            files -= held
    return Tidied(tuple(weights), tuple(runs), max(0, before - store.used_bytes() - files))


def _is_over(run: RunRecord, limits: Limits, now: float) -> bool:
    """Whether this run is to go for its age: deleted, on pictures whose time is over, or old and not pinned."""
    ended = run.ended or run.created
    if run.deleted is not None:
        return run.deleted < now - UNDO
    if limits.brought_hours is not None and str(run.train.get("data")).startswith(BROUGHT):
        return ended < now - limits.brought_hours * HOUR
    return limits.days is not None and not run.pinned and ended < now - limits.days * DAY


def used_bytes(store: Store) -> int:
    """What the file of runs holds, and all files in the folders of runs."""
    return store.used_bytes() + file_bytes(store.runs_folder)


def file_bytes(folder: Path) -> int:
    """All files below a folder."""
    return sum(size_of(file) for file in _files(folder))


def remove(store: Store, run: RunRecord) -> bool:
    """Remove a run that has ended: its record and events first, then its folder. False where it is there no more."""
    gone = store.remove(run.id)
    shutil.rmtree(store.folder(run.id), ignore_errors=True)
    return gone


def remove_weights(store: Store, run: RunRecord) -> int:
    """Remove a run's weights; how many bytes that made free."""
    freed = 0
    for file in _files(store.folder(run.id)):
        if file.suffix == WEIGHTS:
            freed += size_of(file)
            file.unlink(missing_ok=True)
    return freed


def orphans(store: Store) -> Iterator[Path]:
    """Folders of runs whose record is gone."""
    known = {run.id for run in store.runs()}
    for place in sorted(store.runs_folder.iterdir()) if store.runs_folder.is_dir() else ():
        if place.is_dir() and place.name not in known:
            yield place


def size_of(file: Path) -> int:
    """Bytes of a file; 0 where it has just gone."""
    try:
        return file.lstat().st_size
    except OSError:
        return 0


def _files(folder: Path) -> Iterator[Path]:
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names)
