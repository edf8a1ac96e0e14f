"""Folders of pictures with masks -> pairs of files, and what their layout says about classes.

    CamVid    train/ with trainannot/ and val/ with valannot/, codes.txt, colors.json if there is one
    Oxford    images/ with annotations/trimaps/: 1 pet, 2 background, 3 border
    plain     images/ with masks/ or labels/, also inside train/ and valid/; codes.txt if there is one

A picture and its mask bear the same name but for the suffix, or for an ending such as _mask. Every refusal is a
DataError of one sentence; what was left out or guessed stands in the notes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from explorer.data.dataset import DataError, Tell
from explorer.data.folders import MAX_FAULTY, TRAIN, VALID, hold_back, listed, open_folder, subfolders, usable, walk
from explorer.data.masks import muted
from explorer.data.pictures import FORMATS

PICTURE_FOLDERS = ("images", "image", "imgs", "img")
MASK_FOLDERS = ("masks", "mask", "labels", "label")
BESIDE = ("annot", "_annot", "_masks", "_labels")
"""What the folder of masks is called beside that of the pictures: train and trainannot."""
ENDINGS = ("_mask", "_masks", "_label", "_labels", "_seg", "_P", "_L")
"""What a mask's name may have behind that of its picture; fastai's CamVid has _P."""

OXFORD = {1: "pet", 2: "background", 3: "border"}
OXFORD_REMAP = "1:1,2:0,3:255"
OXFORD_NOTE = (
    "Trimaps: background is class 0, pet is class 1, and the border between them is void, because it belongs to both."
)
MOST_CODES = 255
TURNED = (5, 6, 7, 8)
"""EXIF orientations that exchange height and width."""

Pair = tuple[Path, Path]
"""A picture and its mask."""


@dataclass(frozen=True)
class Found:
    """What lies in a folder: pairs, held back already, and what is said about the values of the masks.

    codes    names of the classes, line by line, None without codes.txt
    known    names of stored values that the layout brings, with `default`, the remap that goes with them
    colours  "#rrggbb" of class names
    """

    name: str
    place: str
    train: tuple[Pair, ...]
    valid: tuple[Pair, ...]
    codes: tuple[str, ...] | None = None
    colours: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[int, str] = field(default_factory=dict)
    default: str = ""
    notes: tuple[str, ...] = ()

    @property
    def masks(self) -> list[Path]:
        return [mask for _, mask in (*self.train, *self.valid)]


def has_masks(folder: Path) -> bool:
    """Whether a folder lies as one of the layouts, whatever its files are worth."""
    try:
        _layout(folder, [])
    except DataError:
        return False
    return True


def find_pairs(path: str | Path, *, valid_pct: float, seed: int, progress: Tell | None = None) -> Found:
    """The pairs of a folder. A split of its own is taken as it is, else `valid_pct` is held back, by seed and name."""
    named = open_folder(path)
    notes: list[str] = []
    root, (train, valid) = _layout(named, notes)
    oxford = train[1].name == "trimaps"
    pairs = _pairs(*train, notes, progress)
    if valid:
        learnt, checked = pairs, _pairs(*valid, notes, progress)
    else:
        learnt, checked = _held_back(pairs, train[0], valid_pct, seed)
    return Found(
        name=named.name or str(named),
        place=str(root),
        train=tuple(learnt),
        valid=tuple(checked),
        codes=_codes(root),
        colours=_colours(root, notes),
        known=OXFORD if oxford else {},
        default=OXFORD_REMAP if oxford else "",
        notes=tuple(notes),
    )


def find_pictures(
    path: str | Path, *, valid_pct: float, seed: int, progress: Tell | None = None
) -> tuple[str, list[Path], list[Path], list[str]]:
    """All pictures in a folder and below it: its name, those to learn from, those to check on, notes.

    train/ and valid/ are taken as they are; otherwise `valid_pct` of all is held back.
    """
    root = open_folder(path)
    notes: list[str] = []
    parts = _by_name(root)
    train, valid = _first(parts, TRAIN), _first(parts, VALID)
    if train and valid:
        return root.name, _all_below(train, notes, progress), _all_below(valid, notes, progress), notes
    files = _all_below(root, notes, progress)
    if len(files) < 2:
        raise DataError(
            f"“{root}” holds one picture only: two at least are needed, one to learn from, one to check on."
        )
    learnt, checked = hold_back([(file, "") for file in files], root, valid_pct, seed)
    return root.name or str(root), [file for file, _ in learnt], [file for file, _ in checked], notes


def _all_below(folder: Path, notes: list[str], progress: Tell | None) -> list[Path]:
    closed: list[str] = []
    files = list(walk(folder, folder, closed))
    if closed:
        notes.append(f"Folders that cannot be opened were left out: {listed(closed)}.")
    if not files:
        raise DataError(f"There are no pictures in “{folder}”: name the folder in which they lie.")
    return [file for file, _ in usable([(file, "") for file in files], folder, notes, progress)]


# ---- which layout


def _layout(root: Path, notes: list[str]) -> tuple[Path, tuple[Pair, Pair | None]]:
    """The folder where the layout begins, and folders of pictures and masks: to learn from, and to check on if any."""
    start = root
    while True:
        parts = _by_name(root)
        train = _beside(parts, TRAIN) or _inside(_first(parts, TRAIN))
        if train:
            return root, (train, _beside(parts, VALID) or _inside(_first(parts, VALID)))
        whole = _inside(root)
        if whole:
            if whole[1].name == "trimaps":
                notes.append(OXFORD_NOTE)
            return root, (whole, None)
        if len(parts) != 1:
            raise DataError(
                f"“{start}” has no pictures with masks that are known here: put pictures into images and masks of the "
                "same names into masks, or use train and trainannot, val and valannot."
            )
        root = next(iter(parts.values()))
        notes.append(f"The pictures were found in “{root.name}”.")


def _by_name(folder: Path) -> dict[str, Path]:
    return {inner.name.lower(): inner for inner in subfolders(folder)}


def _first(parts: Mapping[str, Path], names: Sequence[str]) -> Path | None:
    return next((parts[name] for name in names if name in parts), None)


def _beside(parts: Mapping[str, Path], names: Sequence[str]) -> Pair | None:
    """train and trainannot."""
    pairs = [(name, name + ending) for name in names for ending in BESIDE]
    return next(((parts[a], parts[b]) for a, b in pairs if a in parts and b in parts), None)


def _inside(folder: Path | None) -> Pair | None:
    """images and masks, or images and annotations/trimaps."""
    if folder is None:
        return None
    parts = _by_name(folder)
    pictures, masks = _first(parts, PICTURE_FOLDERS), _first(parts, MASK_FOLDERS)
    if not masks and "annotations" in parts:
        masks = _by_name(parts["annotations"]).get("trimaps") or parts["annotations"]
    return (pictures, masks) if pictures and masks else None


# ---- which mask belongs to which picture


def _pairs(pictures: Path, masks: Path, notes: list[str], progress: Tell | None) -> list[Pair]:
    """Pairs that can be used; the others are noted, or refused where they are many."""
    closed: list[str] = []
    files, answers = list(walk(pictures, pictures, closed)), list(walk(masks, masks, closed))
    if closed:
        notes.append(f"Folders that cannot be opened were left out: {listed(closed)}.")
    for folder, found, what in ((pictures, files, "pictures"), (masks, answers, "masks")):
        if not found:
            raise DataError(f"There are no {what} in “{folder}”: put them there.")
    _refuse_lossy(answers)
    of_name = {_key(mask, masks): mask for mask in reversed(answers)}
    paired = [(file, mask) for file in files if (mask := _mask_of(_key(file, pictures), of_name))]
    lonely = sorted(set(files) - {file for file, _ in paired})
    _leave_out([file.name for file in lonely], len(files), "have no mask", pictures, f"“{masks.name}”", notes)
    spare = sorted(set(answers) - {mask for _, mask in paired})
    if spare:
        notes.append(f"Masks without a picture were left out: {listed([mask.name for mask in spare])}.")
    good = dict(usable(paired, pictures, notes, progress))
    readable = {mask for mask, _ in usable([(mask, "") for mask in good.values()], masks, notes, progress)}
    return _of_one_shape([(file, mask) for file, mask in good.items() if mask in readable], pictures, notes)


def _key(file: Path, root: Path) -> str:
    return file.relative_to(root).with_suffix("").as_posix()


def _mask_of(key: str, of_name: Mapping[str, Path]) -> Path | None:
    return next((of_name[key + ending] for ending in ("", *ENDINGS) if key + ending in of_name), None)


def _refuse_lossy(masks: Sequence[Path]) -> None:
    lossy = next((mask for mask in masks if mask.suffix.lower() in (".jpg", ".jpeg", ".jpe")), None)
    if lossy:
        raise DataError(
            f"The mask “{lossy.name}” is a JPEG, which changes numbers a little everywhere: save the masks as PNG, "
            "from the originals."
        )


def _leave_out(bad: list[str], total: int, what: str, folder: Path, where: str, notes: list[str]) -> None:
    """A note about pictures that cannot be used, or DataError where they are more than a few."""
    if not bad:
        return
    if len(bad) == total or len(bad) > max(3, MAX_FAULTY * total):
        raise DataError(
            f"{len(bad)} of {total} pictures in “{folder}” {what} in {where}, such as “{bad[0]}”: add the masks, "
            "or remove these pictures."
        )
    notes.append(f"Pictures that {what} were left out: {listed(bad)}.")


def _of_one_shape(pairs: list[Pair], folder: Path, notes: list[str]) -> list[Pair]:
    """Masks of another size go with their picture when the shape is the same."""
    good: list[Pair] = []
    wrong: list[tuple[Path, str]] = []
    resized = 0
    for file, mask in pairs:
        (width, height), (across, down) = upright_size(file), upright_size(mask)
        if abs(height * across - down * width) > max(width, across):
            wrong.append((mask, f"{across}×{down} pixels, its picture {width}×{height}"))
        else:
            good.append((file, mask))
            resized += (width, height) != (across, down)
    if len(wrong) == len(pairs) or len(wrong) > max(3, MAX_FAULTY * len(pairs)):
        mask, sizes = wrong[0]
        raise DataError(
            f"{len(wrong)} of {len(pairs)} masks in “{mask.parent}” have another shape than their picture, such as "
            f"“{mask.name}” ({sizes}): cut and resize pictures and masks alike."
        )
    if wrong:
        names = [mask.name for mask, _ in wrong]
        notes.append(f"Masks of another shape than their picture were left out: {listed(names)}.")
    if resized:
        some = f"{resized} masks have another size than their pictures: they are"
        one = "One mask has another size than its picture: it is"
        notes.append(f"{one if resized == 1 else some} resized to it, without mixing.")
    return good


def upright_size(file: Path) -> tuple[int, int]:
    """Width and height of a picture as it is shown, from its header."""
    with Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        return (height, width) if image.getexif().get(0x0112) in TURNED else (width, height)


def _held_back(pairs: list[Pair], root: Path, valid_pct: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    if len(pairs) < 2:
        raise DataError(
            f"“{root}” holds one picture with a mask only: two at least are needed, one to learn from, one to check on."
        )
    masks = dict(pairs)
    parts = hold_back([(file, "") for file, _ in pairs], root, valid_pct, seed)
    learnt, checked = ([(file, masks[file]) for file, _ in part] for part in parts)
    return learnt, checked


# ---- what is said about classes


def _codes(root: Path) -> tuple[str, ...] | None:
    file = root / "codes.txt"
    if not file.is_file():
        return None
    try:
        lines = file.read_text("utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"“{file}” cannot be read: check its rights, or remove it.") from error
    codes = tuple(line.strip() for line in lines if line.strip())
    if not codes or len(codes) > MOST_CODES:
        raise DataError(f"“{file}” names {len(codes)} classes, 1 to {MOST_CODES} will do: write one name a line.")
    double = next((code for code in codes if codes.count(code) > 1), None)
    if double:
        raise DataError(f"“{file}” names “{double}” twice: each class needs a name of its own.")
    return codes


def _colours(root: Path, notes: list[str]) -> dict[str, str]:
    """Colours of one's own, muted like all others here: {"Sky": [128, 128, 128]}."""
    file = root / "colors.json"
    if not file.is_file():
        return {}
    try:
        return {str(name): muted(_rgb(colour)) for name, colour in json.loads(file.read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        notes.append(
            "colors.json cannot be read: it needs a name and three numbers for each class, {“Sky”: [128, 128, 128]}."
        )
        return {}


def _rgb(colour: Sequence[int]) -> tuple[int, int, int]:
    red, green, blue = (int(part) for part in colour)
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError("colours go from 0 to 255")
    return red, green, blue
