"""A zip that a person brings -> a set of theirs: checked, unpacked, brought into a layout that loaders read, looked at.

All of it happens in a folder beside the person's sets, which gets its name when it is whole: whatever is refused, or
dies on the way, leaves no set behind.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from explorer.data import door, uploads
from explorer.data.dataset import THREADS, DataError, Split
from explorer.data.dense import DenseSet, upload_dense
from explorer.data.door import Limits, NoPicture, shown
from explorer.data.folders import TRAIN, VALID, listed, subfolders
from explorer.data.labels import Labels, find_labels
from explorer.data.mask_folders import MASK_FOLDERS, PICTURE_FOLDERS, find_pairs, has_masks
from explorer.data.masks import VOID, offer, parse_remap, scan_masks
from explorer.data.pattern import PETS_PATTERN
from explorer.data.pictures import FORMATS, read_picture
from explorer.data.registry import upload_set
from explorer.data.uploads import CLASSES, MASKS, PICTURES, Upload
from explorer.spec import SEGMENTATION, SUPER_RESOLUTION

TINY = 64
"""Pixels of a side at which a set is loaded to be looked at."""
TWIN_SIDE = 16
"""Pictures are twins where they are the same at this size."""
TWIN_PIXELS = 2_000_000_000
"""Of sets with more pixels in all only the bytes are compared."""
UNEVEN = 3
"""A class this many times as large as another is worth a word."""
NAMED_SETS = (*TRAIN, *VALID, *PICTURE_FOLDERS, *MASK_FOLDERS)
USES = (CLASSES, MASKS, PICTURES)


def receive(person: str, archive: Path, *, name: str, use: str, limits: Limits | None = None) -> Upload:
    """Make a set of a zip, for a person known by a hash.

    name    what the person calls it, "pets.zip"
    use     what it is brought for, one of `uploads`' CLASSES, MASKS, PICTURES: a set that cannot serve it is refused
    limits  by default `uploads.limits()`

    Raises DataError, one sentence, and then leaves nothing behind.
    """
    limits, said = limits or uploads.limits(), shown(name)
    if use not in USES:
        raise DataError("A set is brought for its classes, masks or pictures: choose what to train on first.")
    if archive.stat().st_size > limits.bytes:
        raise DataError(
            f"“{said}” has {archive.stat().st_size / door.MEGA:,.0f} MB, and {limits.bytes / door.MEGA:.0f} MB at most "
            "may come in: bring fewer pictures, or smaller ones."
        )
    place = uploads.new_place(person, limits.bytes)
    try:
        return uploads.publish(place, _prepared(place, archive, said, use, limits))
    except BaseException:
        uploads.discard(place)
        raise


def _prepared(place: Path, archive: Path, said: str, use: str, limits: Limits) -> Upload:
    inside = place / ".unpacked"
    n, skipped = _unpack(archive, inside, said, limits)
    notes = door.told(skipped)
    if not n:
        why = "".join(f" {note}" for note in notes[:2])
        raise DataError(f"There are no pictures in “{said}”: bring JPEG, PNG, WebP, GIF, BMP or TIFF files.{why}")
    folder = _outermost(inside, place / _title(said, inside))
    layout = _arrange(folder, use, notes)
    serves = {"masks": (MASKS, PICTURES), "pictures": (PICTURES,)}.get(layout, (CLASSES, PICTURES))
    upload = Upload(
        id=uploads.id_of(place),
        name=folder.name,
        layout=layout,
        uses=serves,
        classes=(),
        pictures=0,
        bytes=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        split=_has_split(folder),
        remap="",
        notes=tuple(notes),
        warnings=(),
        made=time.time(),
        folder=folder,
    )
    try:
        with uploads.in_own_words(upload):
            return _looked_at(upload, use)
    except DataError as error:
        raise DataError(" ".join((str(error), *notes[:2]))) from error


# ---- from an archive to a folder


def _unpack(archive: Path, folder: Path, said: str, limits: Limits) -> tuple[int, dict[str, list[str]]]:
    """Unpack what may come in; returns how many pictures that is, and the names that were left out, by reason."""
    n, pixels, left = 0, 0, limits.bytes
    folder.mkdir()
    with door.opened(archive, said) as inside:
        survey = door.survey(inside, said, limits)
        for member in survey.members:
            target = folder.joinpath(*member.parts)
            left -= door.unpack(inside, member, target, said, left)
            if door.text_limit(target.name) is not None:
                continue
            try:
                pixels += _name_rightly(target, limits)
            except NoPicture as error:
                target.unlink()
                survey.skipped.setdefault(str(error), []).append(member.name)
                continue
            n += 1
            if pixels > limits.all_pixels:
                raise DataError(
                    f"The pictures in “{said}” have more than {limits.all_pixels / door.MEGA:,.0f} megapixels in all: "
                    "make them smaller, or bring fewer."
                )
    _remove_empty(folder)
    return n, survey.skipped


def _name_rightly(file: Path, limits: Limits) -> int:
    """Give a picture the suffix of what it holds: a mask that is a JPEG, say, must not pass for a PNG.

    Returns its pixels; raises NoPicture.
    """
    suffix, pixels = door.look(file, limits)
    if suffix != file.suffix:
        better = file.with_suffix(suffix)
        os.rename(file, file.with_name(file.name + suffix) if better.exists() else better)
    return pixels


def _remove_empty(folder: Path) -> None:
    """Take folders away in which nothing is left."""
    for inner, _, _ in os.walk(folder, topdown=False):
        if not os.listdir(inner) and Path(inner) != folder:
            os.rmdir(inner)


def _outermost(folder: Path, target: Path) -> Path:
    """What an archive unpacked to, as `target`, without the folders around it that hold one folder each."""
    inner = folder
    while len(entries := list(inner.iterdir())) == 1 and entries[0].is_dir() and not _tells(entries[0]):
        inner = entries[0]
    os.rename(inner, target)
    shutil.rmtree(folder, ignore_errors=True)
    return target


def _tells(folder: Path) -> bool:
    return folder.name.lower() in NAMED_SETS


def _title(said: str, folder: Path) -> str:
    """What the set's folder is called: as the archive, in letters that no path and no sentence stumbles over."""
    stem = said[:-4] if said.lower().endswith(".zip") else said
    return re.sub(r"[^\w(), -]+", " ", stem).strip()[:60].strip() or "Pictures"


# ---- which layout


def _arrange(folder: Path, use: str, notes: list[str]) -> str:
    """The layout of a folder, after a CSV's labels have become folders."""
    if use == CLASSES and not (_has_split(folder) and _has_classes(folder)):
        if labels := _labels(folder):
            _into_classes(folder, labels, notes)
            return "folder"
        named = _part(folder, PICTURE_FOLDERS)
        if named and _is_named_by_class(named):
            _become(folder, named)
            notes.append(f"The classes were read from the names in “{named.name}”.")
            return "pattern"
    if has_masks(folder):
        return "masks"
    if _has_classes(folder):
        loose = 0 if _part(folder, TRAIN) else len(_files(folder))
        if loose:
            notes.append(f"Left out: {loose:,} beside the class folders, in none of them.")
        return "folder"
    return "pattern" if _is_named_by_class(folder) else "pictures"


def _part(folder: Path, names: Sequence[str]) -> Path | None:
    return next((inner for inner in subfolders(folder) if inner.name.lower() in names), None)


def _has_split(folder: Path) -> bool:
    return _part(folder, TRAIN) is not None and _part(folder, VALID) is not None


def _has_classes(folder: Path) -> bool:
    """Whether there is a folder a class, in a folder train where there is one."""
    train = _part(folder, TRAIN)
    return bool(subfolders(train)) if train else len(_with_pictures(folder)) > 1


def _with_pictures(folder: Path) -> list[Path]:
    return [inner for inner in subfolders(folder) if any(file.is_file() for file in inner.rglob("*"))]


def _files(folder: Path) -> list[Path]:
    """Pictures right in a folder; all else that was unpacked are texts."""
    return [file for file in folder.iterdir() if file.is_file() and door.text_limit(file.name) is None]


def _is_named_by_class(folder: Path) -> bool:
    """Whether most names are like beagle_12.jpg, of few classes."""
    names = [file.name for file in _files(folder)]
    classes = Counter(match[1] for name in names if (match := re.search(PETS_PATTERN, name)))
    few = len(classes) > 1 and min(classes.values()) > 1
    return few and 2 * sum(classes.values()) > len(names)


def _labels(folder: Path) -> Labels | None:
    files = [file for file in sorted(folder.rglob("*")) if file.is_file()]
    tables = [file for file in files if file.suffix.lower() in (".csv", ".tsv")]
    pictures = [file.relative_to(folder).as_posix() for file in files if door.text_limit(file.name) is None]
    return find_labels(tables, pictures) if tables else None


def _into_classes(folder: Path, labels: Labels, notes: list[str]) -> None:
    """Move each picture that has a label into the folder of its class; the others go."""
    sorted_out = folder.with_name(".sorted")
    folders = _class_folders(set(labels.of.values()))
    reserved = {*TRAIN, *VALID} & {name.lower() for name in folders.values()}
    for name, label in labels.of.items():
        part = "" if labels.held is None and not reserved else "valid" if name in (labels.held or ()) else "train"
        target = sorted_out / part / folders[label] / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(folder / name, target)
    rest = [file for file in folder.rglob("*") if file.is_file() and door.text_limit(file.name) is None]
    if rest:
        notes.append(f"Left out: {len(rest):,} that no row of the table names, such as “{shown(rest[0].name)}”.")
    notes.extend(labels.notes)
    _become(folder, sorted_out)


def _become(folder: Path, part: Path) -> None:
    """A part of what came is the set, in the place of all of it."""
    alone = folder.with_name(".alone")
    os.rename(part, alone)
    shutil.rmtree(folder)
    os.rename(alone, folder)


def _class_folders(labels: set[str]) -> dict[str, str]:
    """A folder's name for each label, each another one even where letters' case does not count."""
    taken: set[str] = set()
    names = {}
    for label in sorted(labels):
        plain = re.sub(r"[/\\:\x00-\x1f\x7f]", "_", label).strip(" .") or "_"
        plain = f"_{plain}" if plain.startswith("__MACOSX") else plain
        name, n = plain, 2
        while name.lower() in taken:
            name, n = f"{plain} ({n})", n + 1
        taken.add(name.lower())
        names[label] = name
    return names


# ---- what the set holds


def _looked_at(upload: Upload, use: str) -> Upload:
    """The set loaded as it will be, with what is worth saying; DataError where it cannot serve its use."""
    common = {"valid_pct": 0.2, "seed": 0, "keep": 0, "n_in": 3}
    if use == CLASSES:
        dataset = upload_set(upload, size=TINY, progress=None, **common)
        train, valid = _numbered(dataset.train, dataset.classes), _numbered(dataset.valid, dataset.classes)
        counts = tuple((name, train[name], valid[name]) for name in dataset.classes)
        warnings = [*_uneven(counts), *_twins(dataset.train, dataset.valid, upload.split, dataset.classes)]
    else:
        upload = replace(upload, remap=_remap(upload)) if use == MASKS else upload
        task = SEGMENTATION if use == MASKS else SUPER_RESOLUTION
        dataset = upload_dense(upload, task, TINY, **common)
        counts = _shown_in(dataset) if use == MASKS else ()
        files = [[item[0] if use == MASKS else item for item in part.items] for part in (dataset.train, dataset.valid)]
        warnings = _twins(*(_unlabelled(part) for part in files), upload.split, ())
    notes = [note for note in dataset.notes if "smaller than" not in note]
    if upload.remap:
        notes.append(f"The values of the masks are read as classes by {upload.remap}.")
    return replace(
        upload,
        classes=counts,
        pictures=len(dataset.train) + len(dataset.valid),
        notes=(*upload.notes, *notes),
        warnings=tuple(warnings),
    )


def _numbered(split: Split, classes: Sequence[str]) -> Counter[str]:
    return Counter(classes[label] for label in split.labels.tolist())


def _unlabelled(files: Sequence[Path]) -> Split:
    return Split(files, [0] * len(files), read_picture, (3, TINY, TINY), keep=0)


def _shown_in(dataset: DenseSet) -> tuple[tuple[str, int, int], ...]:
    """For each class of masks how many pictures to learn from, and to check on, show it."""
    counts = []
    for part in (dataset.train, dataset.valid):
        seen: Counter[int] = Counter()
        for start in range(0, len(part), 64):
            masks = part.images(range(start, min(start + 64, len(part))))[:, -1]
            for mask in masks:
                seen.update(value for value in np.unique(mask.numpy()).tolist() if value != VOID)
        counts.append(seen)
    return tuple((name, counts[0][i], counts[1][i]) for i, name in enumerate(dataset.classes))


def _remap(upload: Upload) -> str:
    """How the values of the masks are to be read where they are no class numbers, 0 and 255 say; "" as they are."""
    if upload.layout != "masks":
        return ""
    found = find_pairs(upload.folder, valid_pct=0.2, seed=0)
    mapping = parse_remap(found.default)
    values = sorted({mapping.get(value, value) for value in scan_masks(found.masks).values})
    return offer(values, None if found.codes is None else len(found.codes))


def _uneven(counts: Sequence[tuple[str, int, int]]) -> list[str]:
    """A sentence where classes differ much in size."""
    sizes = sorted((train + valid, name) for name, train, valid in counts)
    (least, rare), (most, common) = sizes[0], sizes[-1]
    if most <= UNEVEN * least:
        return []
    return [
        f"“{shown(common)}” has {most:,} pictures and “{shown(rare)}” {least:,}: accuracy counts the large classes "
        "most, so look at the confusions, too."
    ]


def _twins(train: Split, valid: Split, split: bool, classes: Sequence[str]) -> list[str]:
    """Sentences about pictures that are there more than once."""
    files = [*train.items, *valid.items]
    labels = [*train.labels.tolist(), *valid.labels.tolist()]
    keys = _keys(files)
    learnt = {key for key in keys[: len(train)] if key}
    both = sum(key in learnt for key in keys[len(train) :])
    said = []
    if split and both:
        said.append(
            f"{both:,} of {len(valid):,} validation pictures {_are(both)} also learnt from: that says nothing about "
            "new ones, so take them out of train or valid."
        )
    again = len(files) - len(set(keys))
    if again and not (split and both):
        said.append(
            f"{again:,} of {len(files):,} pictures {_are(again)} there twice: where one is learnt and its twin held "
            "back, the score is too good."
        )
    by_key: dict[bytes, set[int]] = {}
    for key, label in zip(keys, labels, strict=True):
        by_key.setdefault(key, set()).add(label)
    torn = [members for members in by_key.values() if len(members) > 1]
    if torn:
        names = listed([classes[label] for label in sorted(torn[0])])
        many = "1 picture stands" if len(torn) == 1 else f"{len(torn):,} pictures stand"
        said.append(f"{many} in more than one class, such as {names}.")
    return said


def _are(n: int) -> str:
    return "is" if n == 1 else "are"


def _keys(files: Sequence[Path]) -> list[bytes]:
    """The same key for the same picture: its pixels when shrunk, or its bytes where that would take too long."""
    look = _bytes_of if sum(map(_pixels, files)) > TWIN_PIXELS else _pixels_of
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(look, files))


def _pixels(file: Path) -> int:
    with Image.open(file, formats=FORMATS) as image:
        return image.width * image.height


def _pixels_of(file: Path) -> bytes:
    return hashlib.sha256(read_picture(file, TWIN_SIDE).tobytes()).digest()


def _bytes_of(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()
