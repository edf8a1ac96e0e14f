"""Masks: pictures whose pixels are class numbers. What values they hold, which class each value means, and how they
are read.

Values are looked at before anything is trained (fastai facts I.29): a value outside 0…n-1 otherwise ends training
with an index error, or, on a GPU, with no reason at all. Where a mapping of values would help it is offered as a
*remap*, a text such as "0:0,255:1": value 0 is class 0 and value 255 is class 1. Values it does not name stay.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from explorer.data.dataset import THREADS, DataError, Tell
from explorer.data.pictures import FORMATS
from explorer.spec import sides

VOID = 255
"""The number of a pixel that no class is asked of: no loss, no score."""

VOID_NAMES = ("void", "unlabelled", "unlabeled", "unknown", "ignore")
SCAN_LIMIT = 5_000
GAP_FROM = 64
"""Without names of classes, a value that no other is near and that is at least this counts as no class number."""

PALETTE = (
    "#c7d5e4", "#b4583f", "#7b9f8e", "#e0b458", "#48536a", "#8d86a6", "#b3b0a6", "#2b2f3a", "#e9e4d4",
)  # fmt: skip
"""Muted on purpose, so that no class is taken for a group of parameters."""


# ---- what the files hold


@dataclass(frozen=True)
class Scan:
    """What masks hold.

    counts   pixels of each value, of all masks that were looked at
    first    the first file with each value
    files    how many were looked at, of how many
    """

    counts: Mapping[int, int]
    first: Mapping[int, Path] = field(repr=False)
    files: int = 0
    total: int = 0

    @property
    def values(self) -> tuple[int, ...]:
        return tuple(sorted(self.counts))

    def share(self, value: int) -> float:
        """Of all pixels, those of this value."""
        return self.counts.get(value, 0) / max(1, sum(self.counts.values()))


def scan_masks(files: Sequence[Path], progress: Tell | None = None) -> Scan:
    """Count the values of all masks; of more than SCAN_LIMIT, every n-th."""
    looked = files[:: -(-len(files) // SCAN_LIMIT)] if files else []
    counts = np.zeros(256, np.int64)
    first: dict[int, Path] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        for number, (file, seen) in enumerate(zip(looked, pool.map(_count, looked), strict=True), 1):
            counts += seen
            for value in np.flatnonzero(seen).tolist():
                first.setdefault(value, file)
            if progress and (number % 100 == 0 or number == len(looked)):
                progress("Looking through the masks", number, len(looked), "masks")
    present = {value: int(counts[value]) for value in np.flatnonzero(counts).tolist()}
    return Scan(present, first, len(looked), len(files))


def _count(file: Path) -> np.ndarray:
    return np.bincount(read_values(file).ravel(), minlength=256)


def read_values(file: Path) -> np.ndarray:
    """The stored numbers of a mask, uint8 (H, W): indices where it has a palette, else its grey values.

    DataError for colours, numbers above 255, and files that cannot be read.
    """
    return np.asarray(_opened(file))


def _opened(file: Path) -> Image.Image:
    """A mask in mode P or L, with its numbers as they are stored."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            image.load()
    except MemoryError:
        raise
    except Exception as error:  # see `pictures.fault`
        where = f"“{file.name}” in “{file.parent}”"
        raise DataError(f"The mask {where} cannot be read: mend it, or remove it with its picture.") from error
    if image.mode in ("P", "L"):
        return image
    if image.mode == "1":
        return Image.fromarray(np.asarray(image, dtype=np.uint8))
    if image.mode.startswith(("I", "F")):
        return _narrowed(image, file)
    if image.mode == "LA":
        return image.getchannel("L")
    return _one_of_three(image.convert("RGB"), file)


def _narrowed(image: Image.Image, file: Path) -> Image.Image:
    values = np.asarray(image)
    if values.max(initial=0) > 255 or values.min(initial=0) < 0 or (values != values.round()).any():
        raise DataError(
            f"The mask “{file.name}” holds numbers up to {values.max():g}: class numbers go from 0 to 254, and 255 is "
            "for pixels without a class, so save it with 8 bits."
        )
    return Image.fromarray(values.astype(np.uint8))


def _one_of_three(image: Image.Image, file: Path) -> Image.Image:
    red, green, blue = image.split()
    if red.tobytes() != green.tobytes() or red.tobytes() != blue.tobytes():
        raise DataError(
            f"The mask “{file.name}” holds colours, not class numbers: save masks as grey or palette pictures "
            "in which class 0 is 0, class 1 is 1 and so on."
        )
    return red


# ---- from values to classes


def parse_remap(text: str) -> dict[int, int]:
    """ "0:0,255:1" -> {0: 0, 255: 1}; raises DataError for what is not a remap."""
    remap: dict[int, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        value, colon, number = (piece.strip() for piece in part.partition(":"))
        whole = all(piece.isascii() and piece.isdigit() and int(piece) <= 255 for piece in (value, number))
        if not colon or not whole:
            raise DataError(
                f"“{part[:40]}” does not map a value of the masks to a class: write numbers from 0 to 255 "
                "such as 0:0,255:1."
            )
        if int(value) in remap:
            raise DataError(f"The remap names the value {value} twice: name each value once.")
        remap[int(value)] = int(number)
    return remap


def remap_text(remap: Mapping[int, int]) -> str:
    return ",".join(f"{value}:{number}" for value, number in sorted(remap.items()))


def offer(values: Sequence[int], n_codes: int | None = None) -> str:
    """The remap that makes sense of these values, "" where they do without.

    values    that the masks hold
    n_codes   how many classes have names, None where there are none
    """
    plain = [value for value in sorted(values) if value != VOID]
    if list(values) and set(values) == {0, VOID} and n_codes in (None, 2):
        return "0:0,255:1"
    if n_codes is not None:
        return remap_text({value: VOID for value in plain if value >= n_codes})
    if not plain or not _has_gap(plain):
        return ""
    low = [value for value in plain if value < GAP_FROM]
    if len(low) >= 2 and not _has_gap(low) and len(plain) == len(low) + 1:
        return remap_text({plain[-1]: VOID})
    scaled = [value for value in sorted(values) if value != VOID or len(plain) < 2 or _is_step(plain, VOID)]
    return remap_text({value: number for number, value in enumerate(scaled)})


def _has_gap(values: Sequence[int]) -> bool:
    """Whether the largest value is too far from the others to be the number of a class."""
    return values[-1] >= GAP_FROM and values[-1] + 1 > 2 * len(values)


def _is_step(values: Sequence[int], value: int) -> bool:
    """Whether a value goes on with the steps of the others, as 255 does after 0, 85, 170."""
    return abs((value - values[-1]) - (values[-1] - values[-2])) <= 2


@dataclass(frozen=True)
class Classes:
    """What masks mean: names and colours of the classes, and the class of each stored value (uint8 table of 256)."""

    names: tuple[str, ...]
    colours: tuple[str, ...]
    table: np.ndarray = field(repr=False)
    notes: tuple[str, ...] = ()


def settle(
    scan: Scan,
    place: str,
    *,
    remap: str = "",
    codes: Sequence[str] | None = None,
    known: Mapping[int, str] | None = None,
    default: str = "",
    colours: Mapping[str, str] | None = None,
) -> Classes:
    """Which class each value means, or DataError with the sentence that helps.

    place     the folder, for sentences
    remap     of the person
    codes     names of the classes, line by line (codes.txt); one of VOID_NAMES is void
    known     names of stored values that a layout brings (Oxford's 1 pet, 2 background)
    default   the remap of such a layout, used where the person gives none
    colours   of names, "#rrggbb"
    """
    names_of_values = dict(known or {})
    chosen = parse_remap(remap) if remap.strip() else parse_remap(default)
    mapped = {value: chosen.get(value, value) for value in scan.values}
    if not remap.strip():
        _check_values(scan, mapped, place, codes)
    numbers = sorted(set(mapped.values()) - {VOID})
    _check_numbers(numbers, scan, place, codes, remap)
    count = len(codes) if codes is not None else numbers[-1] + 1
    names = list(codes) if codes is not None else _names(count, mapped, names_of_values)
    return _without_void(names, {**dict.fromkeys(range(256), VOID), **mapped}, scan, colours or {})


def _check_values(scan: Scan, mapped: Mapping[int, int], place: str, codes: Sequence[str] | None) -> None:
    """Refuse values that no class has, with the remap that helps."""
    values = sorted(set(mapped.values()))
    offered = offer(values, None if codes is None else len(codes))
    if not offered:
        return
    held = _numbers(values)
    if set(values) == {0, VOID}:
        raise DataError(
            f"The masks in “{place}” hold 0 and 255 where class numbers 0 and 1 are needed: remap them with {offered}."
        )
    if codes is not None:
        beyond = [value for value in values if len(codes) <= value < VOID]
        file = scan.first.get(beyond[0])
        example = f", such as “{file.name}”" if file else ""
        raise DataError(
            f"The masks in “{place}” hold {_numbers(beyond)}{example}, but codes.txt "
            f"names {len(codes)} classes, 0 to {len(codes) - 1}: add the missing lines, or leave such pixels out "
            f"with the remap {offered}."
        )
    if offered.endswith(f":{VOID}"):
        odd = offered.partition(":")[0]
        raise DataError(
            f"The masks in “{place}” hold {held}, and {odd} is far from the other class numbers: if it means that a "
            f"pixel has no class, remap it with {offered}."
        )
    raise DataError(
        f"The masks in “{place}” hold {held} where class numbers from 0 on are needed: remap them with {offered}."
    )


def _check_numbers(numbers: Sequence[int], scan: Scan, place: str, codes: Sequence[str] | None, remap: str) -> None:
    """Refuse fewer than two classes, and numbers of a remap for which there are no names."""
    if not numbers:
        raise DataError(f"No pixel of the masks in “{place}” has a class: all are void ({VOID}).")
    if codes is not None and numbers[-1] >= len(codes):
        raise DataError(
            f"The remap {remap} leads to class {numbers[-1]}, but codes.txt in “{place}” names {len(codes)}, "
            f"0 to {len(codes) - 1}: add lines, or change the remap."
        )
    if len(numbers) < 2:
        raise DataError(
            f"All masks in “{place}” show one class only, {numbers[0]}: to tell pixels apart two classes at least are "
            "needed: add masks that show another, or remap values that mean one, such as 0:0,255:1."
        )
    if codes is None and numbers[-1] + 1 > 2 * len(numbers) and numbers[-1] >= GAP_FROM:
        raise DataError(
            f"The remap {remap} leads to the classes {_numbers(numbers)}: number them from 0 on, without gaps."
        )


def _names(count: int, mapped: Mapping[int, int], known: Mapping[int, str]) -> list[str]:
    """A class is called as the first stored value that means it, or by its number."""
    names = {number: known[value] for value, number in sorted(mapped.items(), reverse=True) if value in known}
    return [names.get(number, f"class {number}") for number in range(count)]


def _without_void(names: Sequence[str], mapped: Mapping[int, int], scan: Scan, colours: Mapping[str, str]) -> Classes:
    """Classes that are called void are none: their pixels become VOID, and the others close the gap."""
    kept = [number for number, name in enumerate(names) if name.strip().lower() not in VOID_NAMES]
    new = {old: number for number, old in enumerate(kept)}
    table = np.array([new.get(mapped[value], VOID) for value in range(256)], np.uint8)
    classes = tuple(names[number] for number in kept)
    notes = []
    void = sum(scan.share(value) for value in scan.values if table[value] == VOID)
    if void:
        notes.append(f"{void:.1%} of the pixels are void: they are neither learnt nor counted.")
    unseen = [classes[number] for number in sorted(set(range(len(classes))) - {table[v] for v in scan.values})]
    if unseen:
        notes.append(f"No mask shows {', '.join(f'“{name}”' for name in unseen)}.")
    if scan.files < scan.total:
        notes.append(f"{scan.files:,} of {scan.total:,} masks were looked at; other values that turn up are void.")
    own = [colours.get(name) for name in classes]
    fallback = class_colours(len(classes))
    return Classes(classes, tuple(c or f for c, f in zip(own, fallback, strict=True)), table, tuple(notes))


def _numbers(values: Sequence[int], most: int = 12) -> str:
    shown = [str(value) for value in values[:most]]
    if len(values) > most:
        return f"{', '.join(shown)} and {len(values) - most} more values"
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


# ---- colours


def class_colours(n: int) -> tuple[str, ...]:
    """A muted colour for each of n classes: PALETTE, then hues a golden angle apart in three depths."""
    more = []
    for i in range(max(0, n - len(PALETTE))):
        hue, lightness = (0.61803 * i + 0.08) % 1, (0.42, 0.68, 0.55)[i % 3]
        red, green, blue = colorsys.hls_to_rgb(hue, lightness, 0.28)
        more.append("#" + "".join(f"{round(255 * part):02x}" for part in (red, green, blue)))
    return (*PALETTE[:n], *more)


def muted(rgb: Sequence[int]) -> str:
    """A colour of one's own, "#rrggbb", half as colourful; see PALETTE."""
    grey = sum(rgb) / 3
    return "#" + "".join(f"{round(part + (0.6 * grey + 0.4 * 128 - part) / 2):02x}" for part in rgb)


# ---- pixels


def mask_reader(table: np.ndarray, size: int | tuple[int, int]) -> Callable[[Path], np.ndarray]:
    """A reader of masks: file -> classes, uint8 (H, W), the middle box as `pictures.middle_box` cuts it, nearest."""

    def read(file: Path) -> np.ndarray:
        image = _opened(file)
        return table[np.asarray(_nearest_box(image, size))]

    return read


def _nearest_box(image: Image.Image, size: int | tuple[int, int]) -> Image.Image:
    height, width = sides(size)
    across = min(image.width, image.height * width / height)
    down = min(image.height, image.width * height / width)
    left, top = (image.width - across) / 2, (image.height - down) / 2
    return image.resize((width, height), Image.Resampling.NEAREST, box=(left, top, left + across, top + down))
