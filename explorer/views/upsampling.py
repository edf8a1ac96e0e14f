"""Three ways to enlarge a grid, taken apart into steps that can be drawn: plain numbers, no torch.

A grid is a list of rows. Torch gives the same results (`models/upsampling.py`): the tests compare them, and so does
the page each time. Sources: arXiv 1603.07285 (transposed convolution as an ordinary one), 1609.05158 (pixel shuffle),
distill.pub/2016/deconv-checkerboard (how many inputs reach an output).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

Grid = list[list[float]]
Sides = tuple[int, int]  # height, width

WAYS = ("nearest", "transposed", "shuffle")
LEAST_SIDE, MOST_SIDE = 2, 6
MOST_KERNEL, MOST_STRIDE, MOST_PADDING, MOST_OUTPUT_PADDING = 5, 4, 4, 4
MAP_SIDE = 28  # of the map that the known cases speak of
DEEPEST, DOUBLINGS, IMAGE_SIDE = 7, 5, 224  # what a body leaves of an image, and the steps back

CASES = ((3, 1, 0, 0), (3, 2, 0, 0), (3, 2, 1, 0), (3, 2, 1, 1), (4, 2, 1, 0), (2, 2, 0, 0))
"""Kernel, stride, padding and output padding of transposed convolutions, fastai facts C.10."""


@dataclass(frozen=True)
class Steps:
    """A larger grid by an ordinary convolution with stride 1, in the order in which it comes about."""

    spread: Grid  # the input's cells with copies, or zeros, between them
    before: int  # rows of zeros above, and columns to the left; cut off where negative
    after: int  # below and to the right
    padded: Grid
    window: Grid  # the kernel as it is laid over the padded grid
    out: Grid


# ---- what the steps are made of ----


def copied(grid: Grid, factor: int = 2) -> Grid:
    """Nearest neighbour: each cell becomes factor×factor of the same."""
    return [[value for value in row for _ in range(factor)] for row in grid for _ in range(factor)]


def stretched(grid: Grid, stride: int) -> Grid:
    """stride − 1 zeros between neighbours: (H, W) -> ((H − 1)·stride + 1, (W − 1)·stride + 1)."""
    height, width = (len(grid) - 1) * stride + 1, (len(grid[0]) - 1) * stride + 1
    return [
        [grid[i // stride][j // stride] if i % stride == j % stride == 0 else 0.0 for j in range(width)]
        for i in range(height)
    ]


def bordered(grid: Grid, before: int, after: int) -> Grid:
    """Zeros around: `before` above and to the left, `after` below and to the right; as much cut off where negative."""
    height, width = len(grid), len(grid[0])
    return [
        [grid[i][j] if 0 <= i < height and 0 <= j < width else 0.0 for j in range(-before, width + after)]
        for i in range(-before, height + after)
    ]


def flipped(kernel: Grid) -> Grid:
    """Upside down and left to right."""
    return [row[::-1] for row in kernel[::-1]]


def convolved(grid: Grid, window: Grid) -> Grid:
    """Slide the window one cell at a time: (H, W), (k, k) -> (H − k + 1, W − k + 1)."""
    k = len(window)
    return [
        [
            sum(grid[i + a][j + b] * window[a][b] for a in range(k) for b in range(k))
            for j in range(len(grid[0]) - k + 1)
        ]
        for i in range(len(grid) - k + 1)
    ]


def interleaved(channels: Sequence[Grid]) -> Grid:
    """Pixel shuffle: cell (i, j) of four channels becomes the 2×2 patch at (2i, 2j), row by row."""
    height, width = len(channels[0]), len(channels[0][0])
    return [[channels[2 * (i % 2) + j % 2][i // 2][j // 2] for j in range(2 * width)] for i in range(2 * height)]


def blurred(grid: Grid) -> Grid:
    """Each cell the mean of itself, the one above, the one to the left and the one above that, edges repeated."""
    at = [grid[0], *grid]
    rows = [[row[0], *row] for row in at]
    return convolved(rows, [[0.25, 0.25], [0.25, 0.25]])


# ---- the two ways that are convolutions ----


def transposed_steps(grid: Grid, kernel: Grid, stride: int, padding: int, output_padding: int) -> Steps:
    """A transposed convolution: zeros between, zeros around, then slide the flipped kernel."""
    before = len(kernel) - 1 - padding
    return _steps(stretched(grid, stride), before, before + output_padding, flipped(kernel))


def nearest_steps(grid: Grid, kernel: Grid) -> Steps:
    """Nearest ×2, then the chapter's convolution, padded so that it keeps the size."""
    return _steps(copied(grid), len(kernel) // 2, (len(kernel) - 1) // 2, kernel)


def _steps(spread: Grid, before: int, after: int, window: Grid) -> Steps:
    padded = bordered(spread, before, after)
    return Steps(spread, before, after, padded, window, convolved(padded, window))


# ---- sizes ----


def transposed_side(side: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    """(H − 1)·s − 2p + k + op."""
    return (side - 1) * stride - 2 * padding + kernel + output_padding


def transposed_sum(side: int, kernel: int, stride: int, padding: int, output_padding: int) -> str:
    """The same with its numbers, "(3 − 1)·2 − 2·0 + 3 + 0"."""
    return f"({side} − 1)·{stride} − 2·{padding} + {kernel} + {output_padding}"


def wrong_knobs(sides: Sides, kernel: int, stride: int, padding: int, output_padding: int) -> tuple[str, dict] | None:
    """One sentence about a transposed convolution that cannot be, and the knobs that would mend it; None for others."""
    if output_padding >= stride:
        sentence = (
            f"Output padding {output_padding} must be smaller than the stride, {stride}: "
            f"it only settles which of the {stride} sizes with the same way back is meant."
            if stride > 1
            else f"Output padding {output_padding} needs a stride above it: with stride 1 there is only one size."
        )
        return sentence, {"output_padding": stride - 1}
    for side in sides:
        out = transposed_side(side, kernel, stride, padding, output_padding)
        if out < 1:
            sentence = f"Padding {padding} cuts everything off: {side} cells would become {out}; use a smaller padding."
            return sentence, {"padding": most_padding(min(sides), kernel, stride, output_padding)}
    return None


def most_padding(side: int, kernel: int, stride: int, output_padding: int) -> int:
    """The largest padding that leaves at least one cell."""
    return (transposed_side(side, kernel, stride, 0, output_padding) - 1) // 2


# ---- checkerboards ----


def overlaps(sides: Sides, kernel: int, stride: int, padding: int, output_padding: int) -> list[list[int]]:
    """How many inputs reach each output cell of a transposed convolution."""
    rows, columns = (_reached(side, kernel, stride, padding, output_padding) for side in sides)
    return [[row * column for column in columns] for row in rows]


def _reached(side: int, kernel: int, stride: int, padding: int, output_padding: int) -> list[int]:
    length = transposed_side(side, kernel, stride, padding, output_padding)
    return [sum(0 <= at + padding - i * stride < kernel for i in range(side)) for at in range(length)]


def copy_overlaps(sides: Sides, kernel: int = 3) -> list[list[int]]:
    """How many copies reach each cell of a convolution after nearest ×2 that keeps the size."""
    before, after = kernel // 2, (kernel - 1) // 2
    rows, columns = (
        [min(2 * side - 1, at + after) - max(0, at - before) + 1 for at in range(2 * side)] for side in sides
    )
    return [[row * column for column in columns] for row in rows]


def inner(grid: Sequence[Sequence[float]], edge: int) -> list[list[float]]:
    """A grid without `edge` cells on each side; the whole grid where nothing would be left."""
    if min(len(grid), len(grid[0])) <= 2 * edge:
        return [list(row) for row in grid]
    return [list(row[edge : len(row) - edge]) for row in grid[edge : len(grid) - edge]]


def says_overlaps(counts: Sequence[Sequence[float]]) -> str:
    """[[1, 2], [2, 4]] -> "1, 2 or 4 inputs"."""
    found = sorted({int(count) for row in counts for count in row})
    if len(found) == 1:
        return f"{found[0]} everywhere"
    return f"{', '.join(map(str, found[:-1]))} or {found[-1]}"


# ---- what the page starts with ----


def kernels(k: int) -> dict[str, Grid]:
    """Kernels of a transposed convolution by name; "gauss" with stride 2 and k = 3 is bilinear."""
    row = [comb(k - 1, i) for i in range(k)]
    most = max(row) ** 2
    return {
        "ones": [[1.0] * k for _ in range(k)],
        "gauss": [[a * b / most for b in row] for a in row],
        "edge": [[k * k - 1.0 if a == b == k // 2 else -1.0 for b in range(k)] for a in range(k)],
        "count": [[a * k + b + 1.0 for b in range(k)] for a in range(k)],
    }


def mean_kernels() -> dict[str, Grid]:
    """3×3 kernels that follow nearest neighbour, by name: the first two keep a constant picture as it is."""
    row = [1, 2, 1]
    return {
        "box": [[1 / 9] * 3 for _ in range(3)],
        "gauss": [[a * b / 16 for b in row] for a in row],
        "edge": kernels(3)["edge"],
    }


def bench() -> dict[str, object]:
    """The widget's value: kernels by size and name, known cases, limits."""
    return {
        "kernels": {str(k): kernels(k) for k in range(1, MOST_KERNEL + 1)},
        "after_nearest": mean_kernels(),
        "cases": [
            {"side": MAP_SIDE, "becomes": transposed_side(MAP_SIDE, *case), "knobs": _knobs(*case)} for case in CASES
        ],
        "least": LEAST_SIDE,
        "most": MOST_SIDE,
        "knobs": {
            "kernel": [1, MOST_KERNEL],
            "stride": [1, MOST_STRIDE],
            "padding": [0, MOST_PADDING],
            "output_padding": [0, MOST_OUTPUT_PADDING],
        },
        "image": IMAGE_SIDE,
    }


def _knobs(kernel: int, stride: int, padding: int, output_padding: int) -> dict[str, int]:
    return {"kernel": kernel, "stride": stride, "padding": padding, "output_padding": output_padding}


# ---- in words ----


def as_text(named: Sequence[tuple[str, Sequence[Sequence[float]]]]) -> str:
    """Grids one below the other, each under its name and size."""
    parts = []
    for name, grid in named:
        rows = [[plain(value) for value in row] for row in grid]
        wide = max((len(word) for row in rows for word in row), default=0)
        lines = ["  ".join(word.rjust(wide) for word in row) for row in rows]
        parts.append("\n".join([f"{name}, {len(grid)}×{len(grid[0])}", *lines]))
    return "\n\n".join(parts)


def plain(value: float) -> str:
    """2.0 -> "2", 0.333333 -> "0.333"."""
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
