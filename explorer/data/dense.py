"""Data whose answer is a picture: masks for segmentation, and pictures for tasks that give the picture itself back.

`load_dense` -> DenseSet with two splits; `dense_batches` -> pairs of what the network gets and what is wanted. The
degraded or grey picture is made from the whole batch at once, when it is asked for; nothing is stored twice.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import ImageColor
from torch import Generator, Tensor
from torch.nn import functional as F

from explorer.data import drawn_masks
from explorer.data.augment import at_places, flip, light, places, random_geometry, random_light, sometimes
from explorer.data.batches import chunks_of, data_uri, decoded_ahead, normalise
from explorer.data.dataset import KEEP_BYTES, DataError, Split, Tell
from explorer.data.downloads import DOWNLOADS, MASK_DOWNLOADS, Download, downloaded_set, fetched_pairs
from explorer.data.folders import folders_on_offer
from explorer.data.mask_folders import OXFORD_NOTE, Found, find_pairs, find_pictures, upright_size
from explorer.data.mask_folders import Pair as Files
from explorer.data.masks import VOID, class_colours, mask_reader, offer, parse_remap, scan_masks, settle
from explorer.data.pictures import check_channels, read_picture
from explorer.data.registry import Choice, check_request
from explorer.data.uploads import Upload, guarded, in_own_words, take
from explorer.spec import AUGMENTATIONS, COLOUR, SEGMENTATION, STYLE, STYLE_IMAGE, SUPER_RESOLUTION, TASKS, sides

SHRINK = 2
"""Super-resolution gets the picture from half its side: in a minute it gains 1.7 dB on drawn scenes, and 0.6 from a
quarter, of which one sees little."""
LEAST_SIDE = 8 * SHRINK
"""Below that, half the side is too little to begin from."""

GREY = (0.299, 0.587, 0.114)
"""What red, green and blue add to grey (ITU-R BT.601), as Pillow's "L"."""

VOC_CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table",
    "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
)  # fmt: skip
KNOWN_MASKS = {"pets": (("background", "pet"), {1: 1, 2: 0}, (OXFORD_NOTE,)), "voc": (VOC_CLASSES, None, ())}
"""Classes of fetched sets, the class of each stored value (None: as it is), notes."""


@dataclass(frozen=True)
class DenseSet:
    """A set for a task whose answer is a picture.

    classes  names in the order of their numbers, () for tasks without classes; `colours` has one "#rrggbb" for each
    train    and `valid`: items decode to uint8 (C + 1, H, W) for segmentation, the last channel a mask of class numbers
             or VOID, and to (3, H, W) for all other tasks; labels are all 0
    notes    what was left out or decided
    """

    name: str
    task: str
    classes: tuple[str, ...]
    colours: tuple[str, ...]
    train: Split
    valid: Split
    notes: tuple[str, ...] = ()


class Pair(NamedTuple):
    """What the network gets, float32 (B, C, H, W), and what is wanted: int64 (B, H, W) or float32 (B, 3, H, W)."""

    x: Tensor
    y: Tensor


# ---- which sets there are

DRAWN = {
    SEGMENTATION: "Several objects of five forms in one picture: each pixel belongs to one or to the background.",
    SUPER_RESOLUTION: "Objects with fine stripes, dots and checks, which shrinking takes away.",
    COLOUR: "Landscapes whose colours go with form and texture: leaves green, hearts red, the sky blue.",
    STYLE: "Landscapes with several objects.",
    STYLE_IMAGE: "Landscapes with several objects; the first one gets the style.",
}
OWN_MASKS = Choice(
    name="masks:",
    label="A folder with masks",
    classes=None,
    download="",
    help="Pictures in images and masks in masks, or CamVid's train and trainannot; 0:0,255:1 may follow after a bar |.",
)
BROUGHT_MASKS = Choice(
    name="upload:",
    label="Pictures of yours",
    classes=None,
    download="",
    help="Dropped into the page: pictures in a folder images, masks of the same names in masks.",
)
BROUGHT_PICTURES = Choice(
    name="upload:",
    label="Pictures of yours",
    classes=None,
    download="",
    help="Any pictures, dropped into the page: each is its own answer.",
)
OWN_PICTURES = Choice(
    name="pictures:",
    label="A folder of pictures",
    classes=None,
    download="",
    help="Any pictures, in folders or not: the picture is its own answer.",
)


def list_dense(task: str) -> tuple[Choice, ...]:
    """All sets for a task: the drawn one, those that one brings or has on this machine, then what can be fetched."""
    masked = task == SEGMENTATION
    classes = len(drawn_masks.CLASSES) if masked else None
    brought = BROUGHT_MASKS if masked else BROUGHT_PICTURES
    drawn = Choice("shapes", drawn_masks.LABEL, classes, "", DRAWN[_known_task(task)])
    fetched = [Choice(d.name, d.label, d.classes if masked else None, d.size_text, d.help) for d in _fetched(task)]
    named = (OWN_MASKS if masked else OWN_PICTURES,) if folders_on_offer() else ()
    return (drawn, brought, *named, *fetched)


def _fetched(task: str) -> tuple[Download, ...]:
    """Sets that can be fetched; CIFAR's pictures are too small to be answers."""
    return MASK_DOWNLOADS if task == SEGMENTATION else tuple(d for d in DOWNLOADS if d.name != "cifar10")


def _known_task(task: str) -> str:
    if task not in TASKS:
        raise DataError(f"There is no task {str(task)[:40]!r}: choose {', '.join(TASKS)}.")
    return task


def load_dense(
    name: str,
    *,
    task: str,
    size: int | tuple[int, int],
    n_in: int = 3,
    data_size: str = "small",
    difficulty: float = 0.3,
    valid_pct: float = 0.2,
    seed: int = 0,
    keep: int = KEEP_BYTES,
    progress: Tell | None = None,
) -> DenseSet:
    """The set of that name for a task, its pictures of `size` pixels, one side or height and width.

    name       "shapes", "masks:PATH" or "masks:PATH|REMAP" ("masks:/x|0:0,255:1"), "pictures:PATH", "upload:ID" of
               pictures that somebody brought (`data.uploads`), or a fetched set's
    n_in       channels of pictures to be segmented, 3 colour or 1 grey; all other tasks have 3
    the rest   as in `registry.load`

    Pictures are decoded when they are asked for; the values of masks are looked at now. Raises DataError.
    """
    _known_task(task)
    check_request(name, size, data_size, difficulty, valid_pct)
    check_channels(n_in)
    _check_size(size, task)
    masked = task == SEGMENTATION
    kind, _, place = name.partition(":")
    if name == "shapes":
        return _drawn(task, size, n_in if masked else 3, data_size, difficulty, seed, keep)
    if kind == "upload":
        upload = take(place)
        return guarded(upload, upload_dense(upload, task, size, n_in, valid_pct, seed, keep, progress))
    if kind == "masks" and masked:
        path, _, remap = place.partition("|")
        found = find_pairs(path, valid_pct=valid_pct, seed=seed, progress=progress)
        return _masked(found, remap, size, n_in, keep, progress)
    if kind == "pictures" and not masked:
        return _pictures(place, task, size, valid_pct, seed, keep, progress)
    entry = next((entry for entry in _fetched(task) if entry.name == name), None)
    if entry is None:
        raise DataError(_unknown(name, task))
    return _fetch(entry, task, size, n_in, keep, progress)


def offered_remap(name: str) -> str:
    """The remap for a folder "masks:PATH" whose masks hold no class numbers: "0:0,255:1"; "" where none would help.

    Raises DataError where the folder itself cannot be used.
    """
    kind, _, place = name.partition(":")
    if kind != "masks":
        return ""
    found = find_pairs(place.partition("|")[0], valid_pct=0.2, seed=0)
    mapping = parse_remap(found.default)
    values = {mapping.get(value, value) for value in scan_masks(found.masks).values}
    return offer(sorted(values), None if found.codes is None else len(found.codes))


def _check_size(size: int | tuple[int, int], task: str) -> None:
    smallest = min(sides(size))
    if task == SUPER_RESOLUTION and smallest < LEAST_SIDE:
        raise DataError(
            f"A picture of {smallest} px shrunk to half has {-(-smallest // SHRINK)} px left, too few to sharpen: "
            f"set the image size to {LEAST_SIDE} at least."
        )


def _unknown(name: str, task: str) -> str:
    kind = name.partition(":")[0]
    if kind in ("pictures", "folder", "pattern") and task == SEGMENTATION:
        return "Segmentation needs a mask for each picture: choose a folder with masks (masks:PATH), or shapes."
    if kind in ("masks", "folder", "pattern"):
        return "This task needs pictures only, and no masks or classes: choose a folder of pictures (pictures:PATH)."
    named = [choice.name for choice in list_dense(task) if choice.name != "upload:"]  # whose ids nobody types
    names = [f"{one}PATH" if one.endswith(":") else one for one in named]
    near = difflib.get_close_matches(name[:80], names, 1)
    hint = f"did you mean {near[0]}?" if near else f"choose {', '.join(names)}."
    return f"There is no set “{name[:80]}” for this task: {hint}"


# ---- from a name to a set


def upload_dense(
    upload: Upload,
    task: str,
    size: int | tuple[int, int],
    n_in: int,
    valid_pct: float,
    seed: int,
    keep: int,
    progress: Tell | None = None,
) -> DenseSet:
    """Pictures that somebody brought, with their masks where the task is segmentation."""
    masked = upload.layout == "masks"
    if task == SEGMENTATION and not masked:
        raise DataError(
            f"“{upload.name}” has no masks: put the pictures into a folder images, and masks of the same names into "
            "a folder masks beside it."
        )
    with in_own_words(upload):
        if not masked:
            return _pictures(upload.folder, task, size, valid_pct, seed, keep, progress)
        found = find_pairs(upload.folder, valid_pct=valid_pct, seed=seed, progress=progress)
        if task == SEGMENTATION:
            return _masked(found, upload.remap, size, n_in, keep, progress)
        train, valid = ([file for file, _ in part] for part in (found.train, found.valid))
        return _own_answers(upload.name, task, train, valid, found.notes, size, keep)


def _drawn(
    task: str, size: int | tuple[int, int], n_in: int, data_size: str, difficulty: float, seed: int, keep: int
) -> DenseSet:
    masked = task == SEGMENTATION
    train, valid = drawn_masks.drawn_scenes(
        size=size,
        n_in=n_in,
        masked=masked,
        landscape=task in (COLOUR, STYLE, STYLE_IMAGE),
        data_size=data_size,
        difficulty=difficulty,
        seed=seed,
        keep=keep,
    )
    classes = drawn_masks.CLASSES if masked else ()
    return DenseSet(drawn_masks.LABEL, task, classes, class_colours(len(classes)), train, valid)


def _masked(
    found: Found, remap: str, size: int | tuple[int, int], n_in: int, keep: int, progress: Tell | None
) -> DenseSet:
    classes = settle(
        scan_masks(found.masks, progress),
        found.place,
        remap=remap,
        codes=found.codes,
        known=found.known,
        default=found.default,
        colours=found.colours,
    )
    train, valid = (_pair_split(part, classes.table, size, n_in, keep) for part in (found.train, found.valid))
    notes = (*found.notes, *classes.notes, *_enlarged([file for file, _ in found.train], size))
    return DenseSet(found.name, SEGMENTATION, classes.names, classes.colours, train, valid, notes)


def _pair_split(pairs: Sequence[Files], table: np.ndarray, size: int | tuple[int, int], n_in: int, keep: int) -> Split:
    read_mask = mask_reader(table, size)

    def read(pair: Files) -> np.ndarray:
        file, mask = pair
        return np.concatenate((read_picture(file, size, n_in), read_mask(mask)[None]))

    return Split(pairs, [0] * len(pairs), read, (n_in + 1, *sides(size)), keep)


def _pictures(
    place: str | Path,
    task: str,
    size: int | tuple[int, int],
    valid_pct: float,
    seed: int,
    keep: int,
    progress: Tell | None,
) -> DenseSet:
    name, train, valid, notes = find_pictures(place, valid_pct=valid_pct, seed=seed, progress=progress)
    return _own_answers(name, task, train, valid, notes, size, keep)


def _own_answers(
    name: str,
    task: str,
    train: Sequence[Path],
    valid: Sequence[Path],
    notes: Sequence[str],
    size: int | tuple[int, int],
    keep: int,
) -> DenseSet:
    notes = [*notes, *_enlarged(train, size)]
    read = partial(read_picture, size=size, n_in=3)
    learnt, checked = (Split(part, [0] * len(part), read, (3, *sides(size)), keep) for part in (train, valid))
    return DenseSet(name, task, (), (), learnt, checked, tuple(notes))


def _enlarged(files: Sequence[Path], size: int | tuple[int, int], most: int = 200) -> list[str]:
    """A note where pictures are smaller than what is asked for; looks at `most` of them."""
    height, width = sides(size)
    looked = files[:: -(-len(files) // most)] if files else []
    shown = [upright_size(file) for file in looked]
    small = [pair for pair in shown if pair[0] < width or pair[1] < height]
    if not small:
        return []
    least = min(small, key=min)
    share = "All" if len(small) == len(shown) else f"{len(small) / len(shown):.0%} of the"
    return [
        f"{share} pictures are smaller than {width}×{height} pixels (such as {least[0]}×{least[1]}) and are enlarged: "
        "detail that they have not cannot be learnt."
    ]


def _fetch(
    entry: Download, task: str, size: int | tuple[int, int], n_in: int, keep: int, progress: Tell | None
) -> DenseSet:
    if task != SEGMENTATION:
        dataset = downloaded_set(entry, size=size, n_in=3, keep=keep, progress=progress)
        return DenseSet(dataset.name, task, (), (), dataset.train, dataset.valid, dataset.notes)
    classes, values, notes = KNOWN_MASKS[entry.name]
    table = np.full(256, VOID, np.uint8)
    for value, number in (values or {i: i for i in range(len(classes))}).items():
        table[value] = number
    train, valid = (_pair_split(part, table, size, n_in, keep) for part in fetched_pairs(entry, progress))
    return DenseSet(entry.label, task, classes, class_colours(len(classes)), train, valid, notes)


# ---- from a set to batches


def dense_batches(
    split: Split,
    batch_size: int,
    *,
    task: str,
    shuffle: bool = False,
    drop_last: bool = False,
    augment: str = "none",
    generator: Generator | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    device: str | torch.device = "cpu",
) -> Iterator[Pair]:
    """One pass over a split as pairs on `device`; order, last batch and statistics as in `batches.batches`.

    segmentation      x the picture, y its mask with VOID
    super_resolution  x the picture from half its side, y the sharp picture in 0..1
    colour            x the grey picture in three equal channels, y the colours
    style             x and y the same picture

    Only x is normalised. `augment="basic"` moves picture and mask alike, the mask without mixing, and what comes from
    outside the picture is VOID; light and contrast change pictures alone. For super-resolution pictures are mirrored
    and not turned, because turning resamples, and that takes away the detail which is wanted.
    """
    _known_task(task)
    if augment not in AUGMENTATIONS:
        raise ValueError(f"Augmentation is one of {', '.join(AUGMENTATIONS)}, not {augment!r}.")
    for _, images in decoded_ahead(split, chunks_of(len(split), batch_size, shuffle, drop_last, generator)):
        picture, mask = _parted(images.to(device), task)
        if augment == "basic":
            picture, mask = _augmented(picture, mask, task, generator)
        x = _seen(picture, task)
        yield Pair(normalise(x, mean, std), picture if mask is None else mask.long())


def plain_input(images: Tensor, task: str) -> Tensor:
    """What the network sees of a split's uint8 batch before statistics are applied: float32 (B, C, H, W) in 0..1."""
    return _seen(_parted(images, _known_task(task))[0], task)


def _parted(images: Tensor, task: str) -> tuple[Tensor, Tensor | None]:
    """A split's uint8 batch -> pictures, float in 0..1, and masks, uint8 (B, H, W)."""
    if task != SEGMENTATION:
        return images.float() / 255, None
    return images[:, :-1].float() / 255, images[:, -1]


def _seen(picture: Tensor, task: str) -> Tensor:
    how: dict[str, Callable[[Tensor], Tensor]] = {SUPER_RESOLUTION: degrade, COLOUR: to_grey}
    return how[task](picture) if task in how else picture


def degrade(picture: Tensor) -> Tensor:
    """Shrunk to half its side and enlarged again, both bicubic: the detail is gone, the size is the same.

    picture   float (B, C, H, W) in 0..1
    """
    size = picture.shape[2:]
    small = F.interpolate(picture, tuple(-(-side // SHRINK) for side in size), mode="bicubic", antialias=True)
    return F.interpolate(small.clamp(0, 1), size, mode="bicubic").clamp(0, 1)


def to_grey(picture: Tensor) -> Tensor:
    """Float (B, 3, H, W) -> its grey in three equal channels."""
    grey = (picture * picture.new_tensor(GREY)[:, None, None]).sum(1, keepdim=True)
    return grey.expand_as(picture).contiguous()


def _augmented(
    picture: Tensor, mask: Tensor | None, task: str, generator: Generator | None
) -> tuple[Tensor, Tensor | None]:
    n, _, height, width = picture.shape
    moves = flip(sometimes(n, 0.5, generator)) if task == SUPER_RESOLUTION else random_geometry(n, generator)
    brightness, contrast = random_light(n, generator)
    if task == SUPER_RESOLUTION:
        mirrored = moves[:, 0, 0].to(picture.device) < 0
        picture = torch.where(mirrored[:, None, None, None], picture.flip(3), picture)
    else:
        where = places(moves.to(picture), height, width)
        picture = at_places(picture, where)
        mask = None if mask is None else _moved_mask(mask, where)
    return light(picture, brightness.to(picture), contrast.to(picture)), mask


def _moved_mask(mask: Tensor, where: Tensor) -> Tensor:
    """Masks (B, H, W) read at places (B, H, W, 2), each from the nearest pixel; VOID outside."""
    inverse = (VOID - mask.to(where.dtype))[:, None]
    moved = F.grid_sample(inverse, where, mode="nearest", padding_mode="zeros", align_corners=False)
    return (VOID - moved[:, 0]).to(mask.dtype)


# ---- a look at a batch


def dense_sheet(dataset: DenseSet, n: int, *, augment: str = "basic", seed: int = 0) -> tuple[tuple[str, str], ...]:
    """A contact sheet: n training pairs, each one data URI with a line of text.

    A mask lies over its picture, in the colours of its classes, which the text names; void stays bare. Of other tasks
    the left half shows what the network gets and the right half what is wanted.
    """
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(dataset.train), generator=generator)[:n]
    picture, mask = _parted(dataset.train.images(chosen), dataset.task)
    if augment == "basic":
        picture, mask = _augmented(picture, mask, dataset.task, generator)
    if mask is not None:
        texts = [", ".join(dataset.classes[c] for c in one.unique().tolist() if c != VOID) for one in mask]
        return tuple(zip(map(data_uri, _bytes(_tinted(picture, mask, dataset.colours))), texts, strict=True))
    x, middle = _seen(picture, dataset.task), picture.shape[-1] // 2
    halves = torch.cat((x[..., :middle], picture[..., middle:]), dim=-1)
    return tuple((data_uri(one), "") for one in _bytes(halves))


def _tinted(picture: Tensor, mask: Tensor, colours: Sequence[str], share: float = 0.65) -> Tensor:
    """Pictures, grey or not, under their masks: float (B, 3, H, W)."""
    palette = torch.zeros(256, 3)
    palette[: len(colours)] = torch.tensor([ImageColor.getrgb(colour) for colour in colours]) / 255
    painted = palette[mask.long()].permute(0, 3, 1, 2)
    return torch.where((mask == VOID)[:, None], picture, picture + share * (painted - picture))


def _bytes(picture: Tensor) -> Tensor:
    return (picture * 255).round().to(torch.uint8)
