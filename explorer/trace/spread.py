"""What each entry of a tensor depends on, as values: the first and the last pixel along height and width.

`Spread` says it for a tensor, `Ruler` for maps whose cells see windows at even distances. The functions here make new
spreads from old ones and know no torch operation: `trace.spread_rules` says which of them an operation needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

FAR = 2**30
BLOCKING = -100.0
Pair = tuple[np.ndarray, np.ndarray]


class Ruler(NamedTuple):
    """A map's cells along one axis: cell i sees the pixels left + i·jump to right + i·jump, where uniform."""

    jump: float
    left: float
    right: float
    uniform: bool = True

    def window(self, kernel: int, stride: float, before: int, dilation: int = 1) -> Ruler:
        """Behind a window of `kernel` cells that starts `before` cells outside."""
        left = self.left - before * self.jump
        right = self.right + (dilation * (kernel - 1) - before) * self.jump
        return Ruler(self.jump * stride, left, right, self.uniform)

    def uneven(self) -> Ruler:
        return self._replace(uniform=False)


@dataclass(frozen=True, eq=False)
class Spread:
    """What each entry of a tensor depends on; each pair is for the picture's (height, width).

    The arrays have the tensor's dimensions and length 1 in those in which nothing changes, as channels.

    low      first pixel, FAR where there is none
    high     one past the last pixel, 0 where there is none
    place    row and column of the entry's cell
    blocked  entries that an attention's mask puts out of play
    """

    low: Pair
    high: Pair
    place: Pair
    rulers: tuple[Ruler, Ruler]
    gated: bool = False
    blocked: np.ndarray | None = None


UNKNOWN = Spread((np.array(0),) * 2, (np.array(0),) * 2, (np.array(0),) * 2, (Ruler(0, 0, 0),) * 2)


def spread_of_picture(height: int, width: int) -> Spread:
    rows, columns = along(2, np.arange(height)), along(3, np.arange(width))
    return Spread((rows, columns), (rows + 1, columns + 1), (rows, columns), (Ruler(1, 0, 0), Ruler(1, 0, 0)))


def along(dim: int, values: np.ndarray, ndim: int = 4) -> np.ndarray:
    return values.reshape([-1 if d == dim else 1 for d in range(ndim)])


def arranged(spread: Spread, move: Callable[[np.ndarray], np.ndarray], rulers: Any = None) -> Spread:
    """The same entries in another order or shape."""
    blocked = None if spread.blocked is None else move(spread.blocked)
    low, high, place = (tuple(map(move, pair)) for pair in (spread.low, spread.high, spread.place))
    return Spread(low, high, place, rulers or spread.rulers, spread.gated, blocked)


def reduced(spread: Spread, dims: Iterable[int], ndim: int, keepdim: bool = True) -> Spread:
    """Everything along these dimensions taken together."""
    dims = tuple(dim % ndim for dim in dims)
    low = tuple(_drop(array.min(axis=dims, keepdims=True), dims, keepdim) for array in spread.low)
    high = tuple(_drop(array.max(axis=dims, keepdims=True), dims, keepdim) for array in spread.high)
    place = tuple(_drop(array.min(axis=dims, keepdims=True), dims, keepdim) for array in spread.place)
    return Spread(low, high, place, _rulers_over(spread, dims), spread.gated)


def _drop(array: np.ndarray, dims: tuple[int, ...], keepdim: bool) -> np.ndarray:
    return array if keepdim else array.squeeze(axis=dims)


def _rulers_over(spread: Spread, dims: Iterable[int]) -> tuple[Ruler, Ruler]:
    """Rulers that hold no longer where cells along these dimensions are taken together."""
    dims = tuple(dims)
    return tuple(
        ruler.uneven() if any(array.shape[dim] > 1 for array in arrays for dim in dims) else ruler
        for ruler, *arrays in zip(spread.rulers, spread.low, spread.high, spread.place, strict=True)
    )


def union(spreads: Sequence[Spread]) -> Spread:
    """All that any of them depends on, entry by entry, broadcast as torch does."""
    spreads = list(dict.fromkeys(spreads))
    if len(spreads) == 1:
        return spreads[0]
    low = tuple(_extreme(np.minimum, [spread.low[axis] for spread in spreads]) for axis in (0, 1))
    high = tuple(_extreme(np.maximum, [spread.high[axis] for spread in spreads]) for axis in (0, 1))
    place = tuple(_extreme(np.maximum, [spread.place[axis] for spread in spreads]) for axis in (0, 1))
    rulers = tuple(cover([spread.rulers[axis] for spread in spreads]) for axis in (0, 1))
    return Spread(low, high, place, rulers, any(spread.gated for spread in spreads))


def _extreme(which: np.ufunc, arrays: list[np.ndarray]) -> np.ndarray:
    if all(array.shape == arrays[0].shape for array in arrays):
        return which.reduce(arrays)
    result = arrays[0]
    for array in arrays[1:]:
        result = which(result, array)
    return result


def cover(rulers: list[Ruler]) -> Ruler:
    jump = min(ruler.jump for ruler in rulers)
    alike = [ruler for ruler in rulers if ruler.jump == jump]
    uniform = len(alike) == len(rulers) and all(ruler.uniform for ruler in rulers)
    return Ruler(jump, min(ruler.left for ruler in alike), max(ruler.right for ruler in alike), uniform)


def is_one(spread: Spread) -> bool:
    """Whether all entries depend on the same pixels."""
    return all(array.size == 1 for array in (*spread.low, *spread.high))


def varies(spread: Spread, dim: int) -> bool:
    return any(array.shape[dim] > 1 for array in (*spread.low, *spread.high))


def take_both(
    array: np.ndarray, axis: int, shape: Sequence[int], taps: tuple[np.ndarray, ...], nothing: int, extreme: Callable
) -> np.ndarray:
    """Taken along both dimensions, where the array has them: its own also where the map is one cell long."""
    for other, taken in enumerate(taps):
        dim = 2 + other
        if array.shape[dim] > 1 or (other == axis and shape[dim] == 1 and taken.max() > 0):
            edge = np.full([1 if d == dim else n for d, n in enumerate(array.shape)], nothing)
            array = extreme(np.take(np.concatenate([array, edge], dim), taken, axis=dim), axis=dim + 1)
    return array


@lru_cache(maxsize=1024)
def window_taps(cells: int, out: int, kernel: int, stride: int, before: int, dilation: int) -> np.ndarray:
    taps = np.arange(out)[:, None] * stride - before + np.arange(kernel) * dilation
    return inside(taps, cells)


def inside(taps: np.ndarray, cells: int) -> np.ndarray:
    """Taps outside the map take the empty cell behind its last one."""
    return np.where((taps < 0) | (taps >= cells), cells, taps)


def with_ndim(spread: Spread, ndim: int) -> Spread:
    missing = ndim - spread.low[0].ndim
    return arranged(spread, lambda array: array[(None,) * missing]) if missing else spread


@lru_cache(maxsize=1024)
def shape_groups(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[tuple[range, range], ...]:
    """The smallest runs of old and new dimensions that hold the same entries."""
    groups, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        first_i, first_j = i, j
        i, j = min(i + 1, len(old)), min(j + 1, len(new))
        while (held := math.prod(old[first_i:i])) != (wanted := math.prod(new[first_j:j])):
            if held < wanted:
                i += 1
            else:
                j += 1
        groups.append((range(first_i, i), range(first_j, j)))
    return tuple(groups)


def regrouped(array: np.ndarray, old: Sequence[int], new: Sequence[int], groups: tuple) -> np.ndarray:
    array = np.broadcast_to(array, [max(n, 1) for n in array.shape])
    full, shape, mixed = list(array.shape), [1] * len(new), []
    for before, after in groups:
        if any(array.shape[dim] > 1 for dim in before):
            for dim in before:
                full[dim] = old[dim]
            for dim in after:
                shape[dim] = new[dim]
            mixed += after if len(after) > 1 else ()
    array = np.broadcast_to(array, full).reshape(shape)
    for dim in mixed:
        first = array.take([0], dim)
        if array.shape[dim] > 1 and (array == first).all():
            array = first
    return array


def padded(spread: Spread, dim: int, before: int, after: int, mode: str) -> Spread:
    if before == after == 0:
        return spread
    how = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]

    def grow(array: np.ndarray, nothing: int) -> np.ndarray:
        if array.shape[dim] == 1:
            return array
        array = array.take(range(max(0, -before), array.shape[dim] - max(0, -after)), dim)
        widths = [(max(0, before), max(0, after)) if d == dim else (0, 0) for d in range(array.ndim)]
        return np.pad(array, widths, how, **({"constant_values": nothing} if how == "constant" else {}))

    rulers = cut_rulers(spread, dim, -before, 1)
    low, high = tuple(grow(a, FAR) for a in spread.low), tuple(grow(a, 0) for a in spread.high)
    return Spread(low, high, tuple(grow(a, FAR) for a in spread.place), rulers, spread.gated)


def cut_rulers(spread: Spread, dim: int, start: int, step: int) -> tuple[Ruler, Ruler]:
    """Rulers of the cells `start`, `start` + `step`, … along a dimension."""
    rulers = []
    for ruler, place in zip(spread.rulers, spread.place, strict=True):
        if place.shape[dim] > 1 and (start, step) != (0, 1):
            alone = sum(n > 1 for n in place.shape) == 1
            shift = start * ruler.jump
            moved = Ruler(ruler.jump * step, ruler.left + shift, ruler.right + shift, ruler.uniform)
            ruler = moved if alone else moved.uneven()
        rulers.append(ruler)
    return tuple(rulers)


def index_for(array: np.ndarray, index: tuple) -> tuple:
    """The index where dimensions of length 1 stand for all."""
    own, dim = [], 0
    for item in index:
        if item is not None and array.shape[dim] == 1:
            item = slice(None) if isinstance(item, slice) else 0
        own.append(item)
        dim += item is not None
    return tuple(own)


def unblocked(values: Spread, blocked: np.ndarray) -> Spread:
    """Values (…, j, d) as seen by (…, i, j), where blocked ones are not."""
    seen = arranged(reduced(values, (-1,), values.low[0].ndim), lambda array: array.swapaxes(-1, -2))
    low = tuple(np.where(blocked, FAR, array) for array in seen.low)
    high = tuple(np.where(blocked, 0, array) for array in seen.high)
    return Spread(low, high, seen.place, tuple(ruler.uneven() for ruler in seen.rulers), seen.gated)
