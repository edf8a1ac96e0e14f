"""The server's side of receptive fields: those of all layers of a model, one layer's cells, and what really counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from threading import Lock

import numpy as np
import torch
from torch import nn

from explorer.data.batches import data_uri
from explorer.data.pictures import converted, middle_box, to_array
from explorer.models.build import blank_body
from explorer.spec import ClassifierSpec, Size, SpecError, check_size, sides
from explorer.trace.receptive import Field, effective_field, receptive_fields
from explorer.trace.records import Trace
from explorer.trace.tracer import trace
from explorer.ui.activations_desk import (
    answered,
    as_input,
    check_runs,
    network_of,
    read_photo,
    read_spec,
    read_wish,
)
from explorer.ui.faces import LARGEST, body_of
from explorer.ui.services import Services
from explorer.views import activations as views
from explorer.views.fields import COLUMNS, packed, rounded

MOST_WORK = 50e9  # multiply-accumulates of a forward pass; with its gradient it takes three times as long
SHARE = 0.9
BUSY = "Another effective field is being computed: try again in a few seconds."
NO_LAYER = "The page asked for a layer that this model does not have: pick another."


def fields(spec: ClassifierSpec) -> dict[str, list[float] | None]:
    """What the cells of every layer see, by its name in the trace, as `views.fields.COLUMNS`; None where unknown.

    Empty for pictures above `LARGEST` pixels. Raises SpecError where nothing can be built.
    """
    return _compact(spec.body.arch, spec.body.cut, spec.body.size, spec.body.n_in, spec.head.pool) | _of_head(spec)


def field_payload(spec: ClassifierSpec) -> dict[str, object]:
    """The same for `Explorer.fields.unpack`, JSON; {} where there is nothing to tell."""
    try:
        known = fields(spec)
    except SpecError:
        return {}
    return packed(known, spec.body.size) if known else {}


def field_functions(services: Services) -> tuple[Callable, Callable, Callable]:
    """What `Explorer.activations` calls for the photo beside a layer: picture({…}), field({…}) and effective({…}).

    Anyone can call them: everything is checked, one gradient at a time is computed, and whatever cannot be done is
    answered with {"error": one sentence}.
    """
    one_at_a_time = Lock()

    def picture(asked: object) -> dict:
        """{"photo": {"sample"} or {"uri"}, "size", "n_in"} -> {"uri"}: the photo as the network gets it."""
        return _told(asked, _picture)

    def field(asked: object) -> dict:
        """{"spec", "qual"} -> {"field", "columns": its names, "cells", "centre", "edges"}, or {} where unknown.

        "edges" has top, left, bottom and right of every cell's box, {"shape", "values"}, to be broadcast over "cells".
        """
        return _told(asked, lambda wish: _field(wish, read_spec(wish.get("spec"), services)))

    def effective(asked: object) -> dict:
        """{"spec", "qual", "photo", "cell": as in "cells" or null} -> {"uri", "share", "of"}.

        "uri" is a mask, `opacity` of each pixel's strength. "share" of the cell's box is what its
        strongest pixels cover that hold 90 % of the strength, None where nothing flows back; "of" names the box, the
        "field" or the whole "picture".
        """
        return answered(asked, services, lambda wish, spec: _effective(wish, spec, one_at_a_time))

    return picture, field, effective


def sights_function(services: Services) -> Callable[[object], dict]:
    """The server function by which the ribbon asks what each layer sees: the key of its faces -> `field_payload`."""

    def sights(asked: object) -> dict:
        try:
            return field_payload(ClassifierSpec(body=body_of(asked, services)))
        except (ValueError, TypeError):
            return {}

    return sights


# ---- fields of all layers ----


@lru_cache(maxsize=8)
def exact(arch: str, cut: int | str | None, size: Size, n_in: int, pooled: bool) -> dict[str, Field | None]:
    """The body's fields by name in the trace, and as "1" what the head sees; {} above `LARGEST` pixels."""
    if max(sides(size)) > LARGEST:
        return {}
    body = blank_body(arch, cut, n_in).body
    head = nn.AdaptiveAvgPool2d(1) if pooled else nn.Identity()
    found = receptive_fields(nn.Sequential(body, head), (n_in, *sides(size)))
    return {qual: field for qual, field in found.items() if qual}


@lru_cache(maxsize=64)
def _compact(
    arch: str, cut: int | str | None, size: Size, n_in: int, pool: str | None
) -> dict[str, list[float] | None]:
    made: dict[Field | None, list[float] | None] = {None: None}
    found = exact(arch, cut, size, n_in, pool is not None)
    for field in found.values():
        if field not in made:
            made[field] = compact(field)
    return {qual: made[field] for qual, field in found.items()}


def _of_head(spec: ClassifierSpec) -> dict[str, list[float] | None]:
    """Every layer of a head sees what its pooling sees; without pooling it runs on a map of one cell, or not at all."""
    known = _compact(spec.body.arch, spec.body.cut, spec.body.size, spec.body.n_in, spec.head.pool)
    if not known:
        return {}
    rows = (layer for layer in trace(spec).layers if layer.qual.partition(".")[0] == "1")
    return {layer.qual: known["1"] if layer.out_shape else None for layer in rows}


def compact(field: Field) -> list[float]:
    """A field as `views.fields.COLUMNS`."""
    box = field.box(field.centre) if 0 not in field.cells else (0, 0, 0, 0)
    height, width = field.height, field.width
    numbers = (
        height.size, width.size, height.jump, width.jump, height.start, width.start, *_centre(field, box),
        *box, field.whole, field.gated,
    )  # fmt: skip
    return [rounded(number) for number in numbers]


def _centre(field: Field, box: tuple[int, int, int, int]) -> tuple[float, float]:
    """Of the middle cell: as rows and columns go, or where cells are no rows and columns, of its box."""
    if len(field.cells) == 2 and all(1 in edge.shape for edge in field.edges):
        row, column = field.centre
        return field.height.start + row * field.height.jump, field.width.start + column * field.width.jump
    top, left, bottom, right = box
    return (top + bottom - 1) / 2, (left + right - 1) / 2


# ---- one layer ----


def _told(asked: object, work: Callable[[Mapping], dict]) -> dict:
    try:
        return work(read_wish(asked))
    except (ValueError, TypeError) as error:
        return {"error": str(error)}


def _picture(wish: Mapping) -> dict:
    photo = converted(read_photo(wish.get("photo")), 1 if wish.get("n_in") == 1 else 3)
    size = wish.get("size")
    size = tuple(size) if isinstance(size, list) else size
    check_size("body.size", size, LARGEST)
    return {"uri": data_uri(torch.from_numpy(to_array(middle_box(photo, size))), max(sides(size)))}


def _field(wish: Mapping, spec: ClassifierSpec) -> dict:
    qual = _layer(wish, trace(spec))
    numbers, field = fields(spec).get(qual), _exact(spec, qual)
    if numbers is None or field is None:
        return {}
    edges = [{"shape": edge.shape, "values": edge.flatten().tolist()} for edge in field.edges]
    return {"field": numbers, "columns": COLUMNS, "cells": field.cells, "centre": field.centre, "edges": edges}


def _exact(spec: ClassifierSpec, qual: str) -> Field | None:
    body = spec.body
    found = exact(body.arch, body.cut, body.size, body.n_in, spec.head.pool is not None)
    return found.get("1" if qual.partition(".")[0] == "1" else qual)


def _layer(wish: Mapping, described: Trace) -> str:
    qual = wish.get("qual")
    if not isinstance(qual, str) or qual not in {layer.qual for layer in described.layers}:
        raise ValueError(NO_LAYER)
    return qual


def _cell(asked: object) -> tuple[int, ...] | None:
    if asked is None:
        return None
    if not isinstance(asked, list) or not all(isinstance(i, int) and not isinstance(i, bool) for i in asked):
        raise ValueError("A cell is a list of whole numbers: its row and its column.")
    return tuple(asked)


def _effective(wish: Mapping, spec: ClassifierSpec, lock: Lock) -> dict:
    described = trace(spec)
    check_runs(described)
    if described.totals.macs > MOST_WORK:
        raise ValueError("A gradient through this model takes too long here: choose a smaller image or body.")
    qual, cell = _layer(wish, described), _cell(wish.get("cell"))
    field, x = _exact(spec, qual), as_input(spec, read_photo(wish.get("photo")))
    if not lock.acquire(blocking=False):
        raise ValueError(BUSY)
    try:
        model, _ = network_of(spec, described)
        strength = effective_field(model, x, qual, cell)
    finally:
        lock.release()
    return _heat(strength, field, cell)


def _heat(strength: np.ndarray, field: Field | None, cell: tuple[int, ...] | None) -> dict:
    size = strength.shape
    box = field.box(field.centre if cell is None else cell, strict=True) if field else (0, 0, *size)
    area = (box[2] - box[0]) * (box[3] - box[1])
    needed = strongest(strength)
    return {
        "uri": views.sheet(opacity(strength)[None], columns=1, gutter=0)["uri"],
        "share": round(needed / area, 4) if needed and area else None,
        "of": "picture" if area == math.prod(size) else "field",
    }


def opacity(strength: np.ndarray) -> np.ndarray:
    """Strength as 0 to 255: the root, so that the weak can be seen, with the strongest hundredth alike, and 0 for 0."""
    values = np.nan_to_num(strength)
    top = np.quantile(values[values > 0], 0.99) if values.any() else 1.0
    return np.ceil(255 * np.sqrt(np.minimum(1.0, values / top))).astype(np.uint8)


def strongest(strength: np.ndarray, share: float = SHARE) -> int:
    """How few pixels hold this share of the whole strength; 0 where there is none."""
    falling = np.sort(np.nan_to_num(strength), axis=None)[::-1].cumsum(dtype=np.float64)
    return int(np.searchsorted(falling, share * falling[-1])) + 1 if falling[-1] > 0 else 0
