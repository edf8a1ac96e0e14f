"""Pictures that people brought: a folder a set under `home()/uploads/PERSON/ID/`, each whole or not there.

A person is known by a hash, a set by an id that nobody can guess: who knows it may train on it, and a worker process
finds it by the id alone. Sets go when their person removes them, and on a public host some time after their last use.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from explorer.data.dataset import DataError, Read, Split
from explorer.data.door import MEGA, Limits
from explorer.home import home
from explorer.host import upload_hours

FOLDER, RECORD = "uploads", "set.json"
ID_BYTES = 12
ID = re.compile(r"[A-Za-z0-9_-]{16}")
PERSON = re.compile(r"[0-9a-f]{64}")
CLASSES, MASKS, PICTURES = "classes", "masks", "pictures"
"""What a set can be used for: pictures with classes, pictures with masks, pictures that are their own answers."""
MOST_SETS = 10
HALF_SECONDS = 3600
"""After that what was being unpacked is given up: whoever did it is dead."""
SPARE_BYTES = 1000 * MEGA
"""What must stay free on the disk besides the pictures."""


class HasSplits(Protocol):
    """A DataSet or a DenseSet."""

    train: Split
    valid: Split


Loaded = TypeVar("Loaded", bound=HasSplits)


@dataclass(frozen=True)
class Upload:
    """A set that a person brought.

    layout    "folder" (class folders), "pattern" (class in the name), "masks" or "pictures"
    uses      of CLASSES, MASKS, PICTURES those that it serves
    classes   name, pictures to learn from and to check on that show it; () where pictures have none
    pictures  how many may be used; `bytes` they have on the disk
    split     whether it brings a split of its own
    remap     how the values of its masks are read, "" as they are
    notes     what was left out or noticed, `warnings` what makes a score mean less
    made      seconds since 1970
    folder    where the pictures lie
    """

    id: str
    name: str
    layout: str
    uses: tuple[str, ...]
    classes: tuple[tuple[str, int, int], ...]
    pictures: int
    bytes: int
    split: bool
    remap: str
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    made: float
    folder: Path = field(compare=False)


def limits() -> Limits:
    """How much may come in at once: EXPLORER_UPLOAD_MB, default 200."""
    return Limits(bytes=round(_number("EXPLORER_UPLOAD_MB", Limits.bytes / MEGA) * MEGA))


def _number(name: str, default: float) -> float:
    try:
        value = float(os.environ.get(name) or default)
    except ValueError:
        return default
    return value if 0 < value < 1e6 else default


# ---- finding sets


def is_id(text: object) -> bool:
    return isinstance(text, str) and ID.fullmatch(text) is not None


def find(id: object) -> Upload:
    """The set of that id, whoever brought it. Raises DataError where there is none (any more)."""
    places = list(_root().glob(f"*/{id}/{RECORD}")) if is_id(id) else []
    upload = _read(places[0].parent) if places else None
    if upload is None:
        kept = upload_hours()
        how_long = f" (they are kept for {kept:g} hours on this host)" if kept else ""
        raise DataError(f"The pictures you brought are gone{how_long}: bring them again.")
    return upload


def is_there(id: object) -> bool:
    """Whether there is (still) a set of that id."""
    try:
        find(id)
    except DataError:
        return False
    return True


def uploads_of(person: str) -> tuple[Upload, ...]:
    """The sets of a person, the newest first."""
    own = _root() / _checked(person)
    found = [_read(place.parent) for place in own.glob(f"*/{RECORD}") if is_id(place.parent.name)]
    return tuple(sorted((upload for upload in found if upload), key=lambda upload: -upload.made))


def take(id: object) -> Upload:
    """`find`, for use: the time that the set is kept begins anew."""
    upload = find(id)
    with suppress(OSError):
        os.utime(upload.folder.parent / RECORD)
    return upload


@contextmanager
def in_own_words(upload: Upload) -> Iterator[None]:
    """Sentences about the set name its folders as the person does, and none of this machine's."""
    try:
        yield
    except DataError as error:
        raise DataError(str(error).replace(f"{upload.folder.parent}{os.sep}", "")) from error


def guarded(upload: Upload, dataset: Loaded) -> Loaded:
    """A set loaded from the upload, whose pictures that cannot be read any more are told of in its own words: mostly it
    was removed while somebody trained on it."""

    def guard(read: Read) -> Read:
        def told(item: object) -> np.ndarray:
            try:
                with in_own_words(upload):
                    return read(item)
            except DataError:
                find(upload.id)  # raises what is to be said where it is gone
                raise

        return told

    for split in (dataset.train, dataset.valid):
        split.guard(guard)
    return dataset


# ---- sets come and go


def new_place(person: str, room: int) -> Path:
    """An empty folder in which a set of up to `room` bytes can be prepared, beside the person's others.

    Raises DataError where the person has enough sets, or the disk has no room.
    """
    own = _root() / _checked(person)
    if len(uploads_of(person)) >= MOST_SETS:
        raise DataError(f"You have {MOST_SETS} sets here, which is all that are kept: remove one first.")
    place = own / f".{secrets.token_urlsafe(ID_BYTES)}"
    try:
        place.mkdir(parents=True, mode=0o700)
        free = shutil.disk_usage(place).free
    except OSError as error:
        raise DataError("Pictures cannot be kept on this host, its disk cannot be written: try another set.") from error
    if free < room + SPARE_BYTES:
        discard(place)
        raise DataError("There is no room left for pictures on this host: try again later.")
    return place


def id_of(place: Path) -> str:
    """The id that a set will have which is prepared here."""
    return place.name.removeprefix(".")


def publish(place: Path, upload: Upload) -> Upload:
    """Let a prepared set be found, in one step."""
    kept = {key: value for key, value in asdict(upload).items() if key != "folder"}
    record = place / RECORD
    record.write_text(json.dumps({**kept, "folder": upload.folder.name}), "utf-8")
    final = place.with_name(upload.id)
    os.rename(place, final)
    return find(upload.id)


def remove(person: str, id: object) -> bool:
    """Take a person's set away with all its pictures; False where it is not theirs, or not there."""
    place = _root() / _checked(person) / str(id)
    if not is_id(id) or not place.is_dir():
        return False
    discard(place)
    return True


def discard(place: Path) -> None:
    """Remove a set, or what was prepared; nobody sees it half there."""
    gone = place.with_name(f".{secrets.token_urlsafe(ID_BYTES)}")
    try:
        os.rename(place, gone)
    except OSError:
        gone = place
    shutil.rmtree(gone, ignore_errors=True)
    with suppress(OSError):
        place.parent.rmdir()  # where it was the last one


def expire(now: float | None = None, seconds: float | None = None) -> int:
    """Remove sets that were not used for so long (by default `host.upload_hours`), and what died half unpacked;
    returns how many sets went."""
    now = time.time() if now is None else now
    hours = upload_hours()
    seconds = 3600 * hours if seconds is None and hours else seconds
    gone = 0
    for place in list(_root().glob("*/*")):
        try:
            record = place / RECORD
            half = not is_id(place.name)
            last = (place if half or not record.is_file() else record).stat().st_mtime
        except OSError:
            continue  # somebody else removed it
        if now - last > (HALF_SECONDS if half else seconds or float("inf")):
            discard(place)
            gone += not half
    return gone


def _root() -> Path:
    return home() / FOLDER


def _checked(person: str) -> str:
    if not isinstance(person, str) or not PERSON.fullmatch(person):
        raise DataError("This page does not say whose pictures these are: load it again.")
    return person


def _read(place: Path) -> Upload | None:
    """The set in a folder; None where its record cannot be read, or the pictures are not there."""
    try:
        told = json.loads((place / RECORD).read_text("utf-8"))
        known = {part.name: told[part.name] for part in fields(Upload)}
        known |= {key: tuple(known[key]) for key in ("uses", "notes", "warnings")}
        known["classes"] = tuple(tuple(row) for row in known["classes"])
        known["folder"] = place / Path(known["folder"]).name
        upload = Upload(**known)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return upload if upload.folder.is_dir() and upload.id == place.name else None
