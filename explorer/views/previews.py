"""Small pictures and sentences for the page: data URIs from uint8 arrays, and what a confusion matrix says in words."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

# Words whose f becomes a v where there are more than one of them.
IN_VES = re.compile("(lea|loa|thie|wol|cal|hal|el|shea|kni|wi|li)fe?$", re.IGNORECASE)


def png(array: np.ndarray) -> str:
    """A PNG data URI of a uint8 array: (H, W) grey, (H, W, 3) colour or (H, W, 4) colour with alpha."""
    return _uri(_image(array), "png")


def jpeg(array: np.ndarray, quality: int = 85) -> str:
    """A JPEG data URI of a uint8 array: (H, W) grey or (H, W, 3) colour."""
    return _uri(_image(array), "jpeg", quality=quality)


def face_png(array: np.ndarray) -> str:
    """A feature map (H, W) uint8 as white whose alpha is the value, so that a layer's own colour shines through it."""
    alpha = _checked(array)
    if alpha.ndim != 2:
        raise ValueError(f"A face is one map of height and width, not an array of shape {alpha.shape}.")
    white = np.full_like(alpha, 255)
    return _uri(Image.fromarray(np.dstack([white, alpha]), mode="LA"), "png")


def worst_pairs(confusion: Sequence[Sequence[int]], classes: Sequence[str], n: int = 3) -> tuple[str, ...]:
    """The n most frequent mistakes, a sentence each: "12 of 40 striped stars were taken for dotted rings".

    confusion  counts, a row for each true class and a column for each guess
    """
    mistakes = [
        (count, truth, guess)
        for truth, row in enumerate(confusion)
        for guess, count in enumerate(row)
        if count and guess != truth
    ]
    mistakes.sort(key=lambda mistake: (-mistake[0], mistake[1], mistake[2]))
    return tuple(
        taken_for(count, sum(confusion[truth]), classes[truth], classes[guess]) for count, truth, guess in mistakes[:n]
    )


def taken_for(count: int, total: int, truth: str, guess: str) -> str:
    """One cell of a confusion matrix in words."""
    verb = "was" if count == 1 else "were"
    what = plural(guess) if count > 1 else f"{_article(guess)} {readable(guess)}"
    return f"{count} of {total} {plural(truth)} {verb} taken for {what}"


def readable(name: str) -> str:
    """A class name with blanks for underscores."""
    return name.replace("_", " ").strip()


def plural(name: str) -> str:
    """More than one of a class, as English mostly has it: "star" -> "stars", "leaf" -> "leaves", "bees" stays."""
    name = readable(name)
    if not name or not name[-1].isalpha() or (name.endswith("s") and not name.endswith("ss")):
        return name
    if name.endswith(("ss", "x", "z", "ch", "sh")):
        return name + "es"
    if IN_VES.search(name):
        return IN_VES.sub(r"\1ves", name)
    if name.endswith("y") and name[-2:-1] not in ("a", "e", "o", "u", ""):
        return name[:-1] + "ies"
    return name + "s"


def _article(name: str) -> str:
    return "an" if readable(name)[:1].lower() in tuple("aeiou") else "a"


def _image(array: np.ndarray) -> Image.Image:
    return Image.fromarray(_checked(array))


def _checked(array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype != np.uint8:
        raise ValueError(f"A picture is an array of uint8, not of {array.dtype}: scale it to 0 to 255 first.")
    return np.ascontiguousarray(array)


def _uri(image: Image.Image, kind: str, **options) -> str:
    buffer = BytesIO()
    image.save(buffer, format=kind, **options)
    return f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode()}"
