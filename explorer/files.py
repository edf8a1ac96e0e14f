"""Files that are whole or not there at all. The standard library alone, so every room may ask."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

HALF = ".tmp"
"""How the name of a file ends while it is written; what died then leaves it behind."""


def write_whole(target: Path, write: Callable[[Path], object]) -> Path:
    """Let `write(path)` write beside the target, then put that in its place in one step; returns the target.

    A failed write leaves the old file as it was. The new one is on the disk before it takes the old one's place.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(target.name + HALF)
    try:
        write(half)
        with half.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(half, target)
    finally:
        half.unlink(missing_ok=True)
    return target


def remove_halves(folder: Path) -> None:
    """Remove what somebody who died in the middle of `write_whole` left in a folder."""
    for half in folder.glob(f"*{HALF}"):
        half.unlink(missing_ok=True)


def share(file: Path, place: Path) -> None:
    """Have a file in another place as well, in the same bytes of the disk where that can be had."""
    try:
        os.link(file, place)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(file, place)
