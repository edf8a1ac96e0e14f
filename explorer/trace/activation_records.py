"""What a picture becomes inside a network, as dull values: numbers, strings and uint8 arrays, no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LayerStats:
    """One layer's output in figures.

    shape      without the batch dimension, as it left the layer
    mean, std  of all finite values; None where there is none
    low, high  the least and the largest finite value
    dead       share of dead channels, 0 to 1: all values of such a channel are zero, or, where it has several, equal
    broken     share of values that are no number or infinite, 0 to 1
    """

    qual: str
    cls: str
    shape: tuple[int, ...]
    mean: float | None
    std: float | None
    low: float | None
    high: float | None
    dead: float
    broken: float = 0.0


@dataclass(frozen=True)
class Histogram:
    """How often values occur: counts of equal steps from low to high."""

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class ChannelMaps:
    """The picked layer's channels, the most energetic first.

    grid       height and width of a map; (1, 1) for a vector
    count      channels that the layer has
    channels   numbers of those shown, by falling energy; equals keep their order
    energies   of those shown: the mean of the squares
    lows, highs  the values painted 0 and 255 in each picture
    pictures   uint8 (n, h, w); at most as large as asked for
    values     of those shown, where the layer is a vector; else empty
    tokens_left_out  tokens in front of the grid (a class token)
    """

    stats: LayerStats
    histogram: Histogram
    grid: tuple[int, int]
    count: int
    channels: tuple[int, ...]
    energies: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    pictures: np.ndarray
    values: tuple[float, ...] = ()
    tokens_left_out: int = 0


@dataclass(frozen=True)
class Look:
    """One picture's way through a network: every layer that ran, in the order of the run, and the picked one.

    `picked` is None where none was picked, or it did not run.
    """

    layers: tuple[LayerStats, ...]
    picked: ChannelMaps | None = None


@dataclass(frozen=True)
class Snapshot:
    """A network at the end of an epoch (0: before the first), small enough to be kept with each: about 5 kB as JSON.

    Flat, of numbers, strings and tuples alone, so that it can travel as a training event does. One entry a layer:

    quals, means, stds, dead   as LayerStats
    lows, highs, histograms    counts in thousandths of all values, in equal steps from low to high
    map_qual     the layer whose channels are kept as pictures
    map_channels their numbers, evenly spread and the same in every epoch
    map_shape    (channels, height, width) of map_pixels: uint8, row by row, in base64
    """

    epoch: int
    quals: tuple[str, ...]
    means: tuple[float | None, ...]
    stds: tuple[float | None, ...]
    dead: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    histograms: tuple[tuple[int, ...], ...]
    map_qual: str = ""
    map_channels: tuple[int, ...] = ()
    map_shape: tuple[int, ...] = (0, 0, 0)
    map_pixels: str = ""
