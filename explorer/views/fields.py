"""Receptive fields in words, and as one small JSON value for all layers of a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from explorer.spec import Size

COLUMNS = (
    "height", "width", "jump_y", "jump_x", "start_y", "start_x", "centre_y", "centre_x",
    "top", "left", "bottom", "right", "whole", "gated",
)  # fmt: skip
"""A field as a list, in pixels. height, width: what a cell can see, also outside the picture. jump: from a cell to the
next. start: centre of the first cell's field; centre: of the middle cell's. top … right: the middle cell's box inside
the picture, ends exclusive. whole, gated: 1 or 0, as `trace.receptive.Field` has them."""

HEIGHT, WIDTH, JUMP_Y, JUMP_X = range(4)
WHOLE, GATED = len(COLUMNS) - 2, len(COLUMNS) - 1

Numbers = Sequence[float]
Fields = Mapping[str, Numbers | None]
"""By a layer's qualified name; None where the field cannot be told."""


def sees(field: Numbers | None) -> str:
    """What one cell sees: "99×99", "99×99 +gate", "all", "nothing"; "?" where it is not known."""
    if field is None:
        return "?"
    if field[WHOLE]:
        return "all"
    if not field[HEIGHT] or not field[WIDTH]:
        return "nothing"
    return f"{field[HEIGHT]:g}×{field[WIDTH]:g}" + (" +gate" if field[GATED] else "")


def jump(field: Numbers | None) -> str:
    """Pixels from one cell to the next: "8", "8×4" where rows and columns differ; "" where there is one cell."""
    if field is None or field[WHOLE]:
        return ""
    return f"{field[JUMP_Y]:g}" if field[JUMP_Y] == field[JUMP_X] else f"{field[JUMP_Y]:g}×{field[JUMP_X]:g}"


def indexed(quals: Sequence[str], fields: Fields) -> tuple[list[int], list[list[float]]]:
    """The place of each name's field in a list where every field stands once; -1 where it is not known."""
    places: dict[tuple[float, ...], int] = {}
    at = []
    for qual in quals:
        field = fields.get(qual)
        at.append(-1 if field is None else places.setdefault(tuple(field), len(places)))
    return at, [list(field) for field in places]


def packed(fields: Fields, size: Size) -> dict[str, object]:
    """All fields of a model for a script, `Explorer.fields.unpack`.

    {"size": of the picture, "columns", "depths", "names", "at", "fields"}. Layers stand in the order of the run: each
    is told by how many parts its name has and by the last of them, the parts before are those of the layers above.
    """
    at, shown = indexed(list(fields), fields)
    parts = [qual.split(".") for qual in fields]
    return {
        "size": size,
        "columns": COLUMNS,
        "depths": [len(part) for part in parts],
        "names": [part[-1] for part in parts],
        "at": at,
        "fields": shown,
    }


def rounded(value: float) -> float | int:
    """Two digits after the point at most, whole numbers without one."""
    value = round(float(value), 2)
    return int(value) if value == math.floor(value) else value
