"""The server's side of the upsampling bench: the steps of one enlargement beside torch's result, and checkerboards."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from explorer.models import upsampling as models
from explorer.spec import check_choice, check_flag, check_whole
from explorer.views import upsampling as views
from explorer.views.upsampling import Grid

LARGEST = 1000.0  # number in a cell
DIGITS = 9
SEEDS = 10_000
CONSTANT_SIDE, MANY = 12, 256  # the picture that shows checkerboards; kernels that their strength is averaged over
COLUMNS = ((3, 2, 1, 1), (4, 2, 1, 0))
RELOAD = "The page asked for a grid that cannot be read: reload it."
KNOBS = {
    "kernel": ("The kernel", 1, views.MOST_KERNEL),
    "stride": ("The stride", 1, views.MOST_STRIDE),
    "padding": ("The padding", 0, views.MOST_PADDING),
    "output_padding": ("The output padding", 0, views.MOST_OUTPUT_PADDING),
}


def upsampling_functions() -> tuple[Callable, Callable]:
    """What `Explorer.upsampling` calls: enlarge({"way", "grid", …}) and checkerboard({knobs, "seed"}).

    Anyone can call them: everything is checked, and what cannot be done is answered with {"error": one sentence}, or
    with {"problem": one sentence, "mend": knobs that work} where the knobs do not go together.
    """

    def enlarge(asked: object) -> dict:
        """Steps and torch's result: {"out", "difference", "sizes", "text", …} by way, see `_nearest` and the others."""
        return _answered(asked, _enlarged)

    def checkerboard(asked: object) -> dict:
        """{"columns": [{"title", "counts", "says", "one", "many", …}, …]} for fixed kernels and the asked knobs."""
        return _answered(asked, _checkerboard)

    return enlarge, checkerboard


def _answered(asked: object, work: Callable[[Mapping], dict]) -> dict:
    if isinstance(asked, list) and len(asked) == 1:
        asked = asked[0]
    if not isinstance(asked, Mapping):
        return {"error": RELOAD}
    try:
        return work(asked)
    except ValueError as error:
        return {"error": str(error)}


# ---- what is asked ----


def read_grid(raw: object, what: str, low: int, high: int) -> Grid:
    """Rows of numbers, low to high of each; ValueError with one sentence for anything else."""
    if not isinstance(raw, list) or not all(isinstance(row, list) for row in raw):
        raise ValueError(RELOAD)
    widths = {len(row) for row in raw}
    if not low <= len(raw) <= high or len(widths) != 1 or not low <= min(widths) <= high:
        raise ValueError(f"{what} has {low} to {high} rows of {low} to {high} numbers each.")
    return [[read_number(value) for value in row] for row in raw]


def read_number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("A cell holds a number.")
    if not abs(value) <= LARGEST or not math.isfinite(value):
        raise ValueError(f"A cell holds a number from −{LARGEST:,.0f} to {LARGEST:,.0f}.")
    return float(value)


def read_kernel(raw: object) -> Grid:
    kernel = read_grid(raw, "The kernel", 1, views.MOST_KERNEL)
    if len(kernel) != len(kernel[0]):
        raise ValueError("The kernel is square.")
    return kernel


def read_knob(asked: Mapping, name: str) -> int:
    what, low, high = KNOBS[name]
    value = asked.get(name)
    check_whole(name, what, value, low, high)
    return value


def read_seed(asked: Mapping) -> int:
    seed = asked.get("seed", 0)
    check_whole("seed", "The seed", seed, 0, SEEDS)
    return seed


# ---- one grid, larger ----


def _enlarged(asked: Mapping) -> dict:
    grid = read_grid(asked.get("grid"), "The grid", views.LEAST_SIDE, views.MOST_SIDE)
    way = asked.get("way")
    check_choice("way", "The way", way, views.WAYS)
    return {"nearest": _nearest, "transposed": _transposed, "shuffle": _shuffle}[way](grid, asked)


def _nearest(grid: Grid, asked: Mapping) -> dict:
    """{"spread", "before", "after", "padded", "window", "out", "difference", "overlaps", "sizes", "text"}."""
    kernel = read_kernel(asked.get("kernel"))
    if len(kernel) != 3:
        raise ValueError("The kernel after nearest neighbour is 3×3.")
    steps = views.nearest_steps(grid, kernel)
    out = models.nearest(_tensor(grid), _tensor(kernel))
    sizes = [
        {"side": side, "sum": f"2·{side}, kept by kernel 3 and padding 1", "formula": 2 * side, "torch": given}
        for side, given in _once_each(grid, out)
    ]
    return _walked(grid, steps, out, views.copy_overlaps(_sides(grid))) | {"sizes": sizes}


def _transposed(grid: Grid, asked: Mapping) -> dict:
    """As `_nearest`, and {"chain": [7, 15, …]}: what five such steps make of the deepest map."""
    kernel = read_kernel(asked.get("kernel"))
    knobs = (len(kernel), *(read_knob(asked, name) for name in ("stride", "padding", "output_padding")))
    wrong = views.wrong_knobs(_sides(grid), *knobs)
    if wrong:
        return {"problem": wrong[0], "mend": wrong[1]}
    steps = views.transposed_steps(grid, kernel, *knobs[1:])
    out = models.transposed(_tensor(grid), _tensor(kernel), *knobs[1:])
    sides = [*_once_each(grid, out), (views.MAP_SIDE, models.transposed_side(views.MAP_SIDE, *knobs))]
    sizes = [
        {
            "side": side,
            "sum": views.transposed_sum(side, *knobs),
            "formula": views.transposed_side(side, *knobs),
            "torch": given,
        }
        for side, given in sides
    ]
    chain = [views.DEEPEST]
    while len(chain) <= views.DOUBLINGS and views.transposed_side(chain[-1], *knobs) > 0:
        chain.append(models.transposed_side(chain[-1], *knobs))
    return _walked(grid, steps, out, views.overlaps(_sides(grid), *knobs)) | {"sizes": sizes, "chain": chain}


def _walked(grid: Grid, steps: views.Steps, out: Tensor, overlaps: list[list[int]]) -> dict:
    exact = out.tolist()
    named = (("Grid", grid), ("Padded", steps.padded), ("Window", steps.window), ("Output", exact))
    return {
        "spread": steps.spread,
        "before": steps.before,
        "after": steps.after,
        "padded": steps.padded,
        "window": steps.window,
        "out": _rounded(exact),
        "difference": _difference(steps.out, exact),
        "overlaps": overlaps,
        "text": views.as_text(named),
    }


def _shuffle(grid: Grid, asked: Mapping) -> dict:
    """{"weights": 4, "channels": 4 grids, "patches", "out", "difference", "same", "sizes", "text"}.

    {"init": "icnr" or "plain", "seed"} draws the weights; {"weights"} gives them.
    """
    blur = asked.get("blur", False)
    check_flag("blur", "The blur", blur)
    weights = read_weights(asked)
    channels, patches, out = (made.tolist() for made in models.shuffled(_tensor(grid), weights, blur))
    ours = views.interleaved([[[weight * value for value in row] for row in grid] for weight in weights])
    ours = views.blurred(ours) if blur else ours
    named = [(f"Channel {name}", channel) for name, channel in zip("abcd", channels, strict=True)]
    named = [("Grid", grid), *named, ("Patches", patches), *([("Blurred", out)] if blur else [])]
    sizes = [
        {"side": side, "sum": f"2·{side}, four channels become one", "formula": 2 * side, "torch": given}
        for side, given in _once_each(grid, torch.tensor(out))
    ]
    return {
        "weights": [round(weight, DIGITS) for weight in weights],
        "channels": [_rounded(channel) for channel in channels],
        "patches": _rounded(patches),
        "out": _rounded(out),
        "difference": _difference(ours, out),
        "same": len(set(weights)) == 1,
        "sizes": sizes,
        "text": views.as_text(named),
    }


def read_weights(asked: Mapping) -> list[float]:
    raw = asked.get("weights")
    if raw is None:
        init = asked.get("init")
        check_choice("init", "The start", init, tuple(models.DRAWS))
        return [round(weight, 2) for weight in models.shuffle_weights(init, read_seed(asked))]
    if not isinstance(raw, list) or len(raw) != 4:
        raise ValueError("Pixel shuffle takes four weights, one for each channel.")
    return [read_number(weight) for weight in raw]


# ---- checkerboards ----


def _checkerboard(asked: Mapping) -> dict:
    knobs = tuple(read_knob(asked, name) for name in KNOBS)
    seed = read_seed(asked)
    columns = [_column(f"Kernel {fixed[0]}, stride {fixed[1]}", fixed, seed) for fixed in COLUMNS]
    if knobs not in COLUMNS and not views.wrong_knobs((CONSTANT_SIDE, CONSTANT_SIDE), *knobs):
        columns.append(_column("Your knobs", knobs, seed) | {"own": True})
    many = models.of_constant_nearest(CONSTANT_SIDE, models.random_kernels(MANY, 3, seed))
    counts = views.copy_overlaps((CONSTANT_SIDE, CONSTANT_SIDE))
    columns.append({"title": "Nearest first", "detail": "×2, then 3×3 convolution", **_pictures(counts, many, 3)})
    return {"columns": columns, "side": CONSTANT_SIDE, "many": MANY}


def _column(title: str, knobs: tuple[int, int, int, int], seed: int) -> dict:
    kernel, stride, padding, more = knobs
    many = models.of_constant(CONSTANT_SIDE, models.random_kernels(MANY, kernel, seed), stride, padding, more)
    counts = views.overlaps((CONSTANT_SIDE, CONSTANT_SIDE), *knobs)
    detail = f"kernel {kernel}, stride {stride}" if title == "Your knobs" else f"padding {padding}"
    return {
        "title": title,
        "detail": detail + (f", output padding {more}" if more else ""),
        **_pictures(counts, many, kernel),
    }


def _pictures(counts: list[list[int]], many: Tensor, edge: int) -> dict:
    """Counts, the first kernel's output and the mean size over all kernels, each with what its inner cells span."""
    mean = many.abs().mean(0).tolist()
    inside = views.inner(counts, edge)
    return {
        "counts": _heat(counts, edge, low=0),
        "even": len({count for row in inside for count in row}) == 1,
        "says": views.says_overlaps(inside),
        "one": _heat(many[0].tolist(), edge),
        "many": _heat(mean, edge, low=0),
    }


def _heat(grid: Sequence[Sequence[float]], edge: int, low: float | None = None) -> dict:
    """{"cells", "low", "high", "spread"}: range of the inner cells, and their standard deviation over their mean size.

    low  where the range starts, for sizes that are compared with nothing
    """
    inside = torch.tensor(views.inner(grid, edge), dtype=torch.float64)
    size = inside.abs().mean().item()
    spread = inside.std(unbiased=False).item() / size if size else 0.0
    return {
        "cells": [[round(value, 4) for value in row] for row in grid],
        "low": round(inside.min().item(), 4) if low is None else low,
        "high": round(inside.max().item(), 4),
        "spread": round(spread, 4),
    }


# ---- small helpers ----


def _tensor(grid: Grid) -> Tensor:
    return torch.tensor(grid, dtype=torch.float64)


def _sides(grid: Grid) -> tuple[int, int]:
    return len(grid), len(grid[0])


def _once_each(grid: Grid, out: Tensor) -> list[tuple[int, int]]:
    """(side, torch's side) of height and width; one of them where they are the same."""
    return sorted(set(zip(_sides(grid), out.shape, strict=True)))


def _rounded(grid: Grid) -> Grid:
    return [[round(value, DIGITS) for value in row] for row in grid]


def _difference(ours: Grid, theirs: Grid) -> float:
    """The largest, after rounding to what the page shows."""
    return max(round(abs(a - b), DIGITS) for x, y in zip(ours, theirs, strict=True) for a, b in zip(x, y, strict=True))
