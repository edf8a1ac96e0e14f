"""Folders of pictures -> a DataSet: a folder a class, or the class in the file's name.

`folder_set` reads train/valid (or train/val) folders, or one folder of class folders that it splits by seed.
`pattern_set` reads the class from file names such as "beagle_12.jpg". Every refusal is a DataError of one sentence;
what was left out or guessed stands in the set's notes.
"""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from PIL import Image

from explorer.data.dataset import KEEP_BYTES, DataError, DataSet, Split, Tell
from explorer.data.pattern import NAME_LENGTH, PETS_PATTERN, compile_pattern
from explorer.data.pictures import SUFFIXES, check_channels, fault, read_picture
from explorer.host import is_public
from explorer.spec import sides

TRAIN, VALID = ("train", "training"), ("valid", "val", "validation")
MAX_FILES = 200_000
MAX_FOLDERS = 10_000
MAX_FAULTY = 0.1

Labelled = list[tuple[Path, str]]
"""Pictures with the names of their classes."""


def folder_set(
    path: str | Path,
    *,
    size: int | tuple[int, int],
    n_in: int = 3,
    valid_pct: float = 0.2,
    seed: int = 0,
    keep: int = KEEP_BYTES,
    progress: Tell | None = None,
) -> DataSet:
    """A folder with one folder a class, or with such folders in train/ and valid/.

    A split of its own is taken as it is; otherwise `valid_pct` of each class is held back, by `seed` and the files'
    names alone, so that neither the order of listing nor the place of the folder changes it.
    """
    check_channels(n_in)
    named = open_folder(path)
    root, notes = _descend(named)
    parts = {folder.name.lower(): folder for folder in subfolders(root)}
    train_folder = next((parts[name] for name in TRAIN if name in parts), None)
    valid_folder = next((parts[name] for name in VALID if name in parts), None)
    if train_folder and valid_folder:
        train = usable(_by_class(train_folder, notes), train_folder, notes, progress)
        valid = usable(_by_class(valid_folder, notes), valid_folder, notes, progress)
        valid = _known_only(valid, train, valid_folder, notes)
    else:
        if train_folder:
            root = train_folder
            notes.append(f"There is no valid folder beside “{root.name}”: {valid_pct:.0%} of it is held back.")
        pictures = usable(_by_class(root, notes), root, notes, progress)
        train, valid = hold_back(pictures, root, valid_pct, seed)
    return _assemble(named.name, root, train, valid, size, n_in, keep, notes)


def pattern_set(
    path: str | Path,
    pattern: str = PETS_PATTERN,
    *,
    size: int | tuple[int, int],
    n_in: int = 3,
    valid_pct: float = 0.2,
    seed: int = 0,
    keep: int = KEEP_BYTES,
    progress: Tell | None = None,
) -> DataSet:
    """A folder whose file names hold the class: the first group of the regular expression `pattern`."""
    check_channels(n_in)
    expression = compile_pattern(pattern)
    root = named = open_folder(path)
    notes: list[str] = []
    files = _pictures_in(root)
    while not files and len(inner := _with_pictures(root) or subfolders(root)) == 1:
        root = inner[0]
        notes.append(f"The pictures were found in “{root.name}”.")
        files = _pictures_in(root)
    if not files:
        raise DataError(f"There are no pictures in “{root}”: name the folder in which they lie.")
    matches = [(file, expression.search(file.name[:NAME_LENGTH])) for file in files]
    labelled = [(file, match[1]) for file, match in matches if match and match[1]]
    if not labelled:
        first = files[0].name
        raise DataError(f"No file name in “{root}” fits {pattern} (the first is “{first}”): change the pattern.")
    if len(labelled) < len(files):
        odd = next(file.name for file, match in matches if not match or not match[1])
        notes.append(f"{len(files) - len(labelled)} files do not fit the pattern and were left out, such as “{odd}”.")
    train, valid = hold_back(usable(labelled, root, notes, progress), root, valid_pct, seed)
    return _assemble(named.name, root, train, valid, size, n_in, keep, notes)


def folders_on_offer() -> bool:
    """Whether any folder of this machine can be used by its name here."""
    return not is_public() or bool(os.environ.get("EXPLORER_DATA"))


def open_folder(path: str | Path) -> Path:
    """The folder of that name, if it is one that may be read here.

    On a public host (`host.is_public`) only folders below EXPLORER_DATA may, and nothing else is even looked at. A text
    is what a person wrote; a Path is a folder of the app's own, which may always.
    """
    if isinstance(path, Path):
        return path
    if not path.strip():
        raise DataError("The name of the folder is missing: write where the pictures lie.")
    try:
        folder = Path(path.strip()).expanduser().resolve()
        if is_public() and not _is_lent(folder):
            raise DataError(
                "Folders of this machine cannot be opened from a public page: "
                "choose another set, or run the app on a machine of your own."
            )
        if not folder.exists():
            raise DataError(f"There is no folder “{path}”: check its name; {_nearest(folder)}.")
        if not folder.is_dir():
            raise DataError(f"“{path}” is a file: name the folder in which the pictures lie.")
        next(os.scandir(folder), None)
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        shown = path[:200]
        raise DataError(f"The folder “{shown}” cannot be opened ({why(error)}): check its name and rights.") from error
    return folder


def last_change(path: str | Path) -> tuple[int, int]:
    """When something last came, went or was renamed in a folder or below it (ns since 1970), and how many folders
    it holds.

    Looks at the first MAX_FOLDERS folders, the nearest first, and opens no picture: one that was painted over in
    its place is not noticed. Raises DataError as `open_folder`.
    """
    newest, seen = 0, 0
    waiting = deque([open_folder(path)])
    while waiting and seen < MAX_FOLDERS:
        folder = waiting.popleft()
        try:
            newest, seen = max(newest, folder.stat().st_mtime_ns), seen + 1
            waiting.extend(subfolders(folder))
        except (OSError, DataError):  # it went away meanwhile, or may not be read
            continue
    return newest, seen


def hold_back(pictures: Labelled, root: Path, valid_pct: float, seed: int) -> tuple[Labelled, Labelled]:
    """Split each class by itself: `valid_pct` of it, at least one picture and never all, for validation."""
    by_class: dict[str, Labelled] = {}
    for file, label in pictures:
        by_class.setdefault(label, []).append((file, label))
    single = [label for label, members in by_class.items() if len(members) < 2]
    if single:
        raise DataError(
            f"{listed(single)} {'has' if len(single) == 1 else 'have'} one picture only in “{root}”: "
            "a class needs two at least, one to learn from and one to check on."
        )
    train: Labelled = []
    valid: Labelled = []
    for members in by_class.values():
        drawn = sorted(members, key=lambda member: _lot(seed, member[0].relative_to(root).as_posix()))
        held = min(len(drawn) - 1, max(1, round(valid_pct * len(drawn))))
        valid += drawn[:held]
        train += drawn[held:]
    return sorted(train), sorted(valid)


def _lot(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode("utf-8", "surrogateescape")).digest()


# ---- looking through folders


def _descend(root: Path) -> tuple[Path, list[str]]:
    """An archive often unpacks to a folder in a folder: go down while there is one folder only, with folders in it."""
    notes: list[str] = []
    while len(inner := subfolders(root)) == 1 and not _pictures_in(root) and subfolders(inner[0]):
        if inner[0].name.lower() in TRAIN:
            break
        root = inner[0]
        notes.append(f"The classes were found in “{root.name}”.")
    return root, notes


def _by_class(root: Path, notes: list[str]) -> Labelled:
    """All pictures below the folders of `root`; the class is the name of the folder."""
    folders = subfolders(root)
    if not folders:
        names = [file.name for file in _pictures_in(root)]
        matches = [match for name in names if (match := re.search(PETS_PATTERN, name))]
        if 2 * len(matches) > len(names) and len({match[1] for match in matches}) < len(names) / 2:
            remedy = f"its files are named like “{matches[0][0]}”, so read the class from the file name"
        else:
            remedy = "put the pictures of each class into a folder that bears its name"
        raise DataError(f"“{root}” has no class folders{_but_links(root)}: {remedy}.")
    pictures: Labelled = []
    empty: list[str] = []
    closed: list[str] = []
    for folder in folders:
        found = [(file, folder.name) for file in walk(folder, root, closed)]
        pictures += found
        if not found and folder.name not in closed:
            empty.append(folder.name)
        if len(pictures) > MAX_FILES:
            raise DataError(f"“{root}” holds more than {MAX_FILES:,} pictures: name the folder of the classes itself.")
    if linked := _linked_folders(root):
        notes.append(f"Links to folders are not followed: {listed(linked)}.")
    if empty and pictures:
        notes.append(f"No pictures in {listed(empty)}: left out.")
    if closed and pictures:
        notes.append(f"Folders that cannot be opened were left out: {listed(closed)}.")
    if not pictures and closed:
        raise DataError(f"No folder of “{root}” with pictures can be opened, such as “{closed[0]}”: check its rights.")
    if not pictures:
        raise DataError(f"There are no pictures in the folders of “{root}”: put those of each class into its folder.")
    return pictures


def walk(folder: Path, root: Path, closed: list[str]) -> Iterator[Path]:
    """Pictures in a folder and below it, by name. Links to folders are not followed, so no loop and no way out.

    Folders that cannot be opened are added to `closed`, as they are called from `root`.
    """
    try:
        entries = _entries(folder)
    except DataError:
        closed.append(folder.relative_to(root).as_posix())
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from walk(Path(entry.path), root, closed)
        elif _is_picture(entry, root):
            yield Path(entry.path)


def _pictures_in(folder: Path) -> list[Path]:
    return [Path(entry.path) for entry in _entries(folder) if _is_picture(entry, folder)]


def _with_pictures(root: Path) -> list[Path]:
    """Folders right below `root` that hold pictures, of those that can be opened."""
    found = []
    for folder in subfolders(root):
        try:
            found += [folder] if _pictures_in(folder) else []
        except DataError:
            continue
    return found


def subfolders(folder: Path) -> list[Path]:
    """Folders right in a folder, by name, without links. Raises DataError where it cannot be opened."""
    return [Path(entry.path) for entry in _entries(folder) if entry.is_dir(follow_symlinks=False)]


def _linked_folders(folder: Path) -> list[str]:
    return [entry.name for entry in _entries(folder) if entry.is_symlink() and os.path.isdir(entry.path)]


def _but_links(folder: Path) -> str:
    linked = _linked_folders(folder)
    return f" but links ({listed(linked)}), which are not followed" if linked else ""


def _entries(folder: Path) -> list[os.DirEntry]:
    """What a folder holds, by name, without hidden files and what a Mac leaves in archives."""
    try:
        with os.scandir(folder) as entries:
            seen = [entry for entry in entries if not entry.name.startswith((".", "__MACOSX"))]
    except OSError as error:
        raise DataError(f"The folder “{folder}” cannot be opened ({why(error)}): check its rights.") from error
    return sorted(seen, key=lambda entry: entry.name)


def _is_picture(entry: os.DirEntry, root: Path) -> bool:
    """A file with a picture's suffix; a link counts when it stays inside the folder."""
    if os.path.splitext(entry.name)[1].lower() not in SUFFIXES:
        return False
    if entry.is_symlink():
        target = Path(os.path.realpath(entry.path))
        return target.is_file() and target.is_relative_to(root)
    return entry.is_file(follow_symlinks=False)


# ---- what can be used of it


def usable(pictures: Labelled, root: Path, notes: list[str], progress: Tell | None) -> Labelled:
    """The pictures that can be read; the others are noted, or refused where they are many."""
    good: Labelled = []
    bad: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for number, (file, label) in enumerate(pictures, 1):
            wrong = fault(file)
            if wrong:
                bad.append(f"{file.name} ({wrong})")
            else:
                good.append((file, label))
            if progress and (number % 100 == 0 or number == len(pictures)):
                progress(f"Looking through {root.name}", number, len(pictures), "pictures")
    if not good or len(bad) > max(3, MAX_FAULTY * len(pictures)):
        share = f"{len(bad)} of {len(pictures)} pictures in “{root}”"
        raise DataError(f"{share} cannot be used, such as {bad[0]}: mend or remove them.")
    if bad:
        notes.append(f"Left out: {listed(bad, quote=False)}.")
    return good


def _known_only(valid: Labelled, train: Labelled, folder: Path, notes: list[str]) -> Labelled:
    """Validation pictures of classes that can be learnt."""
    known = {label for _, label in train}
    strange = sorted({label for _, label in valid} - known)
    unseen = sorted(known - {label for _, label in valid})
    if strange:
        notes.append(f"“{folder.name}” holds classes that are not trained on, left out: {listed(strange)}.")
    if unseen:
        notes.append(f"No validation pictures of {listed(unseen)}.")
    kept = [(file, label) for file, label in valid if label in known]
    if not kept:
        raise DataError(f"“{folder}” has no pictures of the classes to learn: name its folders as those in train.")
    return kept


def _assemble(
    name: str,
    root: Path,
    train: Labelled,
    valid: Labelled,
    size: int | tuple[int, int],
    n_in: int,
    keep: int,
    notes: Sequence[str],
) -> DataSet:
    count = Counter(label for _, label in train)
    if len(count) < 2:
        raise DataError(f"“{root}” holds one class only, {listed(list(count))}: a classifier needs two at least.")
    classes = tuple(sorted(count))
    number = {label: i for i, label in enumerate(classes)}

    def split(pictures: Labelled) -> Split:
        read = partial(read_picture, size=size, n_in=n_in)
        labels = [number[label] for _, label in pictures]
        return Split([file for file, _ in pictures], labels, read, (n_in, *sides(size)), keep)

    return DataSet(name or str(root), classes, split(train), split(valid), tuple(notes))


# ---- words


def _is_lent(folder: Path) -> bool:
    lent = os.environ.get("EXPLORER_DATA")
    return bool(lent) and folder.is_relative_to(Path(lent).expanduser().resolve())


def _nearest(folder: Path) -> str:
    """The part of a path that does exist, for a typing error."""
    parent = next(parent for parent in folder.parents if parent.exists())
    return f"“{parent}” exists, “{folder.relative_to(parent).parts[0]}” in it does not"


def why(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__


def listed(names: Sequence[str], quote: bool = True, most: int = 4) -> str:
    shown = [f"“{name}”" if quote else name for name in names[:most]]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")
