"""torchvision's own sets, fetched once: whole, checked, or not at all.

An archive is streamed into a folder of its own, checked by its hash, unpacked there, and only a whole set is moved to
where torchvision looks for it. So what lies there is never half of a set, and a failure leaves nothing behind.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
from PIL import Image
from torchvision import datasets
from torchvision.datasets.utils import extract_archive

from explorer.data.dataset import KEEP_BYTES, DataError, DataSet, Split, Tell
from explorer.data.pictures import check_channels, converted, middle_box, read_picture, to_array
from explorer.fetch import Spoiled, fetch
from explorer.home import home
from explorer.spec import sides

SILENCE = 15.0
"""Seconds without a byte after which a host counts as out of reach."""

FAILURES = (OSError, EOFError, RuntimeError, HTTPException, tarfile.TarError, zlib.error)
"""How addresses, sockets, archives and disks fail."""

Items = tuple[Sequence[Any], Sequence[int], Sequence[str]]
"""Paths or arrays, their class numbers, and the names of all classes."""


@dataclass(frozen=True)
class Download:
    """A set that can be fetched.

    archives  (address, MD5) of the files it consists of
    size      bytes of all of them
    folder    what it unpacks to, as torchvision expects it
    parts     what torchvision calls the parts to learn from and to check on
    open      (root, part) -> items, through torchvision
    """

    name: str
    label: str
    classes: int
    size: int
    folder: str
    archives: tuple[tuple[str, str], ...]
    parts: tuple[str, str]
    open: Callable[[Path, str], Items]
    help: str

    @property
    def size_text(self) -> str:
        return f"{self.size / 1e6:.0f} MB"


def _open_pets(root: Path, part: str) -> Items:
    pets = datasets.OxfordIIITPet(root, split=part)
    return pets._images, pets._labels, pets.classes


def _open_flowers(root: Path, part: str) -> Items:
    flowers = datasets.Flowers102(root, split=part)
    return flowers._image_files, flowers._labels, flowers.classes


def _open_cifar(root: Path, part: str) -> Items:
    cifar = datasets.CIFAR10(root, train=part == "train")
    return cifar.data, cifar.targets, cifar.classes


def _open_imagenette(root: Path, part: str) -> Items:
    nette = datasets.Imagenette(root, split=part, size="160px")
    samples = nette._samples
    return [Path(path) for path, _ in samples], [label for _, label in samples], [names[0] for names in nette.classes]


DOWNLOADS = (
    Download(
        name="pets",
        label="Oxford-IIIT Pets",
        classes=37,
        size=811_092_049,
        folder="oxford-iiit-pet",
        archives=(
            ("https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz", "5c4f3ee8e5d25df40f4fd59a7f44e54c"),
            ("https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz", "95a8c909bbe2e81eed6a22bccdf3f68f"),
        ),
        parts=("trainval", "test"),
        open=_open_pets,
        help="The chapter's set: 37 breeds of cats and dogs, 3,680 photographs to learn from and 3,669 to check on.",
    ),
    Download(
        name="flowers102",
        label="Oxford Flowers 102",
        classes=102,
        size=344_878_000,
        folder="flowers-102",
        archives=(
            ("https://www.robots.ox.ac.uk/~vgg/data/flowers/102/102flowers.tgz", "52808999861908f626f3c1f4e79d11fa"),
            ("https://www.robots.ox.ac.uk/~vgg/data/flowers/102/imagelabels.mat", "e0620be6f572b9609742df49c70aed4d"),
            ("https://www.robots.ox.ac.uk/~vgg/data/flowers/102/setid.mat", "a5357ecc9cb78c4bef273ce3793fc85c"),
        ),
        parts=("train", "val"),
        open=_open_flowers,
        help="102 kinds of flowers with ten photographs each to learn from: few pictures, many classes.",
    ),
    Download(
        name="cifar10",
        label="CIFAR-10",
        classes=10,
        size=170_498_071,
        folder="cifar-10-batches-py",
        archives=(("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),),
        parts=("train", "test"),
        open=_open_cifar,
        help="60,000 pictures of 32×32 pixels in ten classes: many and tiny.",
    ),
    Download(
        name="imagenette",
        label="Imagenette",
        classes=10,
        size=99_003_388,
        folder="imagenette2-160",
        archives=(
            ("https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz", "e793b78cc4c9e9a4ccc0c1155377a412"),
        ),
        parts=("train", "val"),
        open=_open_imagenette,
        help="Ten easy classes of ImageNet, 9,469 photographs to learn from and 3,925 to check on.",
    ),
)


def _open_trimaps(root: Path, part: str) -> Items:
    pets = datasets.OxfordIIITPet(root, split=part, target_types="segmentation")
    return list(zip(pets._images, pets._segs, strict=True)), [0] * len(pets._images), ()


def _open_voc(root: Path, part: str) -> Items:
    voc = datasets.VOCSegmentation(root, year="2012", image_set=part)
    pairs = zip(map(Path, voc.images), map(Path, voc.masks), strict=True)
    return list(pairs), [0] * len(voc.images), ()


MASK_DOWNLOADS = (
    replace(
        DOWNLOADS[0],
        label="Oxford-IIIT Pets with trimaps",
        classes=2,
        open=_open_trimaps,
        help="Cats and dogs cut out: pet, background, and a border that is left out.",
    ),
    Download(
        name="voc",
        label="Pascal VOC 2012",
        classes=21,
        size=1_999_639_040,
        folder="VOCdevkit",
        archives=(
            (
                "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
                "6cd6e144f989b92b3379bac3b3de84fd",
            ),
        ),
        parts=("train", "val"),
        open=_open_voc,
        help="Photographs with 20 kinds of things, each pixel labelled: 1,464 to learn from and 1,449 to check on.",
    ),
)
"""Sets with masks: their items are pairs of a picture and its mask."""


def fetched_pairs(entry: Download, progress: Tell | None = None) -> tuple[Sequence[Any], Sequence[Any]]:
    """The pairs of a set of MASK_DOWNLOADS to learn from and to check on, fetched first where it is not there yet."""
    root = data_home()
    if not (root / entry.folder).is_dir():
        fetch_set(entry, root, progress)
    try:
        train, valid = (entry.open(root, part)[0] for part in entry.parts)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        where = root / entry.folder
        raise DataError(f"{entry.label} in “{where}” is damaged: remove that folder to fetch it anew.") from error
    return train, valid


def downloaded_set(
    entry: Download, *, size: int | tuple[int, int], n_in: int = 3, keep: int = KEEP_BYTES, progress: Tell | None = None
) -> DataSet:
    """A set of torchvision's, fetched first where it is not there yet; DataError says what failed."""
    check_channels(n_in)
    root = data_home()
    if not (root / entry.folder).is_dir():
        fetch_set(entry, root, progress)
    try:
        (train, classes), (valid, _) = (_split(entry, root, part, size, n_in, keep) for part in entry.parts)
    except ModuleNotFoundError as error:
        package = error.name
        raise DataError(f"{entry.label} needs the package {package}: run pip install {package}.") from error
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        where = root / entry.folder
        raise DataError(f"{entry.label} in “{where}” is damaged: remove that folder to fetch it anew.") from error
    return DataSet(entry.label, tuple(classes), train, valid)


def _split(
    entry: Download, root: Path, part: str, size: int | tuple[int, int], n_in: int, keep: int
) -> tuple[Split, Sequence[str]]:
    items, labels, classes = entry.open(root, part)
    read = partial(_read_array if isinstance(items, np.ndarray) else read_picture, size=size, n_in=n_in)
    return Split(items, labels, read, (n_in, *sides(size)), keep), classes


def _read_array(pixels: np.ndarray, size: int | tuple[int, int], n_in: int) -> np.ndarray:
    """uint8 (H, W, 3) -> uint8 (n_in, height, width) of that size."""
    return to_array(middle_box(converted(Image.fromarray(pixels), n_in), size))


def data_home() -> Path:
    """Where fetched sets lie: the folder data of the app's home."""
    return home() / "data"


def fetch_set(entry: Download, root: Path, progress: Tell | None = None) -> None:
    """Put a whole set into root / entry.folder, or raise DataError and leave nothing behind."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{entry.name}-", dir=root) as staging:
            _check_room(entry, root)
            _fetch_into(entry, Path(staging), progress)
            if not (root / entry.folder).exists():
                os.replace(Path(staging) / entry.folder, root / entry.folder)
    except DataError:
        raise
    except FAILURES as error:
        host = urlparse(entry.archives[0][0]).hostname
        raise DataError(
            f"{entry.label} ({entry.size_text}) could not be fetched from {host} ({_why(error)}): "
            "check the connection, or choose the drawn shapes or a folder of your own."
        ) from error


def _fetch_into(entry: Download, staging: Path, progress: Tell | None) -> None:
    """Archives unpack to the set's folder or, where they hold bare folders and files, into it."""
    inside = staging / entry.folder
    done = 0
    for address, md5 in entry.archives:
        file = staging / Path(urlparse(address).path).name
        done = _stream(address, md5, file, entry, done, progress)
        if file.suffix not in (".gz", ".tgz", ".tar"):
            inside.mkdir(exist_ok=True)
            shutil.copy(file, inside)
            continue
        unpacked = staging / "unpacked"
        extract_archive(str(file), str(unpacked))
        file.unlink()
        own = unpacked / entry.folder
        shutil.copytree(own if own.is_dir() else unpacked, inside, dirs_exist_ok=True, copy_function=shutil.move)
        shutil.rmtree(unpacked)


def _stream(address: str, md5: str, file: Path, entry: Download, done: int, progress: Tell | None) -> int:
    """One file, checked; returns the bytes of the set that are here now."""

    def tell(here: int, _: int) -> None:
        if progress:
            progress(f"Fetching {entry.label}", done + here, max(done + here, entry.size), "bytes")

    try:
        return done + fetch(address, file, digest=f"md5:{md5}", timeout=SILENCE, progress=tell)
    except Spoiled as error:
        raise OSError(f"{file.name} arrived cut off or changed") from error


def _check_room(entry: Download, root: Path) -> None:
    needed, free = 2.5 * entry.size, shutil.disk_usage(root).free
    if free < needed:
        raise DataError(
            f"{entry.label} needs {needed / 1e6:.0f} MB of disk while it unpacks, and {free / 1e6:.0f} MB "
            f"are free at “{root}”: make room, or name another place in EXPLORER_HOME."
        )


def _why(error: Exception) -> str:
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, TimeoutError):
        return f"no answer within {SILENCE:.0f} s"
    return str(getattr(reason, "strerror", None) or reason) or type(reason).__name__
