"""Which data there is, and how a name becomes a set."""

from __future__ import annotations

import difflib
import math
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

from explorer.data.dataset import KEEP_BYTES, DataError, DataSet, Tell
from explorer.data.downloads import DOWNLOADS, MASK_DOWNLOADS, data_home, downloaded_set
from explorer.data.drawn import KINDS, LABEL, SIZES, drawn_set
from explorer.data.folders import folder_set, folders_on_offer, last_change, pattern_set
from explorer.data.pattern import PETS_PATTERN
from explorer.data.uploads import CLASSES, Upload, guarded, in_own_words, is_there, take

__all__ = ["Choice", "DataError", "fingerprint", "is_here", "list_data", "load"]

MAX_SIZE = 2048


@dataclass(frozen=True)
class Choice:
    """Data one can choose. A name that ends in ":" waits for a path behind it.

    classes    how many, None where that depends on the folder
    download   how much is fetched the first time ("811 MB"), "" for nothing
    """

    name: str
    label: str
    classes: int | None
    download: str
    help: str


OWN = (
    Choice(
        name="shapes",
        label=LABEL,
        classes=len(KINDS),
        download="",
        help="Ten classes that need shape and texture, drawn when they are needed.",
    ),
    Choice(
        name="upload:",
        label="Pictures of yours",
        classes=None,
        download="",
        help="Pictures dropped into the page: a folder a class, beagle_12.jpg, or a CSV of names and labels.",
    ),
)
NAMED = (
    Choice(
        name="folder:",
        label="A folder of yours",
        classes=None,
        download="",
        help="A folder with one folder a class, or with such folders in train and valid.",
    ),
    Choice(
        name="pattern:",
        label="Class in the file name",
        classes=None,
        download="",
        help="Pictures named like beagle_12.jpg; another pattern may follow the path after a bar |.",
    ),
)


def list_data() -> tuple[Choice, ...]:
    """All choices: the built-in set, one's own pictures and folders, then what can be fetched. Folders of the machine
    are not on offer on a public host."""
    return (
        OWN
        + (NAMED if folders_on_offer() else ())
        + tuple(Choice(d.name, d.label, d.classes, d.size_text, d.help) for d in DOWNLOADS)
    )


def is_here(name: str) -> bool:
    """Whether a set can be loaded without fetching anything."""
    entry = next((entry for entry in (*DOWNLOADS, *MASK_DOWNLOADS) if entry.name == name), None)
    return entry is None or (data_home() / entry.folder).is_dir()


def fingerprint(name: str) -> Hashable:
    """What changes when pictures come to a person's own folder or go: part of a key under which a loaded set is kept.

    Also for the sets of `data.dense`. None for all other sets, and for a folder that cannot be opened; `load` says
    why. See `folders.last_change`.
    """
    kind, _, place = name.partition(":") if isinstance(name, str) else ("", "", "")
    if kind == "upload":
        return is_there(place)
    if kind not in ("folder", "pattern", "masks", "pictures"):
        return None
    try:
        return last_change(place.partition("|")[0] if kind in ("pattern", "masks") else place)
    except DataError:
        return None


def load(
    name: str,
    *,
    size: int | tuple[int, int],
    n_in: int = 3,
    data_size: str = "small",
    difficulty: float = 0.3,
    valid_pct: float = 0.2,
    seed: int = 0,
    keep: int = KEEP_BYTES,
    progress: Tell | None = None,
) -> DataSet:
    """The set of that name, with pictures of `size` pixels, one side or height and width, in `n_in` channels
    (3 colour, 1 grey).

    name       "shapes", "folder:PATH", "pattern:PATH" or "pattern:PATH|REGEX", "upload:ID" of pictures that somebody
               brought (`data.uploads`), or a name of torchvision's sets
    data_size, difficulty   of the drawn set        valid_pct   of folders that bring no split of their own
    keep       bytes of decoded pictures that each of the two splits holds in memory
    progress   told (what, done, total, unit), the fields of `train.events.Progress`; what it raises ends the loading

    Pictures are decoded when they are asked for. Raises DataError, one sentence for the person.
    """
    check_request(name, size, data_size, difficulty, valid_pct)
    kind, _, place = name.partition(":")
    if name == "shapes":
        return drawn_set(size=size, n_in=n_in, data_size=data_size, difficulty=difficulty, seed=seed, keep=keep)
    common = {"size": size, "n_in": n_in, "keep": keep, "progress": progress}
    if kind == "upload":
        upload = take(place)
        return guarded(upload, upload_set(upload, valid_pct=valid_pct, seed=seed, **common))
    if kind == "folder":
        return folder_set(place, valid_pct=valid_pct, seed=seed, **common)
    if kind == "pattern":
        path, _, pattern = place.partition("|")
        return pattern_set(path, pattern or PETS_PATTERN, valid_pct=valid_pct, seed=seed, **common)
    entry = next((entry for entry in DOWNLOADS if entry.name == name), None)
    if entry is None:
        raise DataError(_unknown(name))
    return downloaded_set(entry, **common)


def upload_set(upload: Upload, *, valid_pct: float, seed: int, **common: Any) -> DataSet:
    """Pictures that somebody brought, with their classes; `common` as in `folder_set`."""
    if CLASSES not in upload.uses:
        what = "masks and no classes" if upload.layout == "masks" else "no classes"
        raise DataError(
            f"“{upload.name}” has {what}: put the pictures of each class into a folder that bears its name, or bring a "
            "CSV of names and labels beside them."
        )
    load_it = pattern_set if upload.layout == "pattern" else folder_set
    with in_own_words(upload):
        dataset = load_it(upload.folder, valid_pct=valid_pct, seed=seed, **common)
    return replace(dataset, notes=(*dataset.notes, *upload.warnings))


def check_request(name: Any, size: Any, data_size: Any, difficulty: Any, valid_pct: Any) -> None:
    """Refuse what is of the wrong kind or out of range, whether the set needs it or not, with a DataError."""
    if not isinstance(name, str):
        raise DataError(f"A data set is called by a text such as shapes, not {_shown(name)}: choose one from the list.")
    if not _is_size(size):
        raise DataError(
            f"Pictures can be 1 to {MAX_SIZE} pixels high and wide, not {_shown(size)}: change the image size."
        )
    if not isinstance(data_size, str) or data_size not in SIZES:
        raise DataError(f"The drawn set comes in the sizes {', '.join(SIZES)}, not {_shown(data_size)}: choose one.")
    if not _is_number(difficulty) or not 0 <= difficulty <= 1:
        raise DataError(f"The difficulty of the drawn set lies between 0 and 1, not {_shown(difficulty)}: change it.")
    if not _is_number(valid_pct) or not 0 < valid_pct < 1:
        raise DataError(
            f"The share held back for validation lies between 0 and 1, such as 0.2, not {_shown(valid_pct)}: change it."
        )


def _is_size(size: Any) -> bool:
    pair = size if isinstance(size, tuple) else (size, size)
    whole = all(isinstance(side, int) and not isinstance(side, bool) and 1 <= side <= MAX_SIZE for side in pair)
    return len(pair) == 2 and whole


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _shown(value: Any) -> str:
    return repr(value)[:80]


def _unknown(name: str) -> str:
    named = [choice.name for choice in list_data() if choice.name != "upload:"]  # whose ids nobody types
    names = [f"{one}PATH" if one.endswith(":") else one for one in named]
    near = difflib.get_close_matches(name[:80], names, 1)
    hint = f"did you mean {near[0]}?" if near else f"choose {', '.join(names)}."
    return f"There is no data set “{name[:80]}”: {hint}"
