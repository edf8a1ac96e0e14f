"""A picture file -> uint8 pixels: what can be used, and how it is turned, cut and converted."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from explorer.data.dataset import DataError
from explorer.spec import Size, sides

Image.init()  # `Image.open(formats=…)` knows only formats whose plugins are loaded

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")
SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".jpe", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")
)
MAX_PIXELS = 50_000_000
MIN_SIDE = 4

_ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9"}
"""Marks that end a whole file. In a JPEG's compressed data the bytes of this mark cannot stand next to each other."""


def check_channels(n_in: int) -> None:
    """Refuse a number of channels that pictures do not have."""
    if n_in not in (1, 3):
        raise DataError(
            f"Pictures have 3 channels (colour) or 1 (grey), not {n_in!r}: "
            "set the input channels to 3 or 1 to train on them."
        )


def fault(path: Path) -> str:
    """Why a file cannot be used ("1×1 pixels", "cut off or damaged"), or "".

    A PNG is read whole and its check sums are compared. Others are decoded, and only where the end of the file looks
    wrong. Nothing beyond MAX_PIXELS is.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return f"{width * height / 1e6:.0f} megapixels, more than {MAX_PIXELS / 1e6:.0f}"
            if min(width, height) < MIN_SIDE:
                return f"{width}×{height} pixels"
            if image.format == "PNG":
                image.verify()
            elif not _has_end(path, _ENDS.get(image.format or "")):
                image.load()
    except Image.DecompressionBombError:
        return f"more than {MAX_PIXELS / 1e6:.0f} megapixels"
    except Image.UnidentifiedImageError:
        return "empty" if os.path.getsize(path) == 0 else "not a picture"
    except PermissionError:
        return "may not be read"
    except Exception:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error, …
        return "cut off or damaged"
    return ""


def _has_end(path: Path, mark: bytes | None) -> bool:
    if mark is None:
        return False
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - 4096))
        return mark in file.read()


def read_picture(path: Path, size: Size, n_in: int = 3) -> np.ndarray:
    """A file as uint8 (n_in, height, width), the right way up (EXIF). `size` is one side, or height and width.

    The largest box of that shape in the middle is cut out (fastai's Resize with its method crop, as in validation).
    Grey, CMYK, palette and 16-bit pictures are converted; what is transparent becomes white.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                limit = f"{MAX_PIXELS / 1e6:.0f} megapixels"
                raise DataError(f"The picture “{path.name}” is larger than {limit}: make it smaller.")
            image.draft("L" if n_in == 1 else "RGB", (max(sides(size)),) * 2)  # height and width may yet change places
            upright = ImageOps.exif_transpose(image)
            return to_array(middle_box(converted(upright, n_in), size))
    except (DataError, MemoryError):
        raise
    except Exception as error:  # see `fault`
        where = f"“{path.name}” in “{path.parent}”"
        raise DataError(f"The picture {where} cannot be read any more: mend it or remove it.") from error


def converted(image: Image.Image, n_in: int) -> Image.Image:
    """Any picture in mode L (n_in 1) or RGB (3)."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image, dtype=np.int64) >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if n_in == 1 else "RGB")


def middle_box(image: Image.Image, size: Size) -> Image.Image:
    """The largest box of this shape in the middle, resampled to this size with smoothing."""
    height, width = sides(size)
    across = min(image.width, image.height * width / height)
    down = min(image.height, image.width * height / width)
    left, top = (image.width - across) / 2, (image.height - down) / 2
    box = (left, top, left + across, top + down)
    return image.resize((width, height), Image.Resampling.BILINEAR, box=box, reducing_gap=3.0)


def to_array(image: Image.Image) -> np.ndarray:
    """A picture in mode L or RGB as uint8 (C, H, W)."""
    array = np.array(image)
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))
