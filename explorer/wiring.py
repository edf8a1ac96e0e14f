"""How a decoder is wired, as plain values: what it is built from, and what a picture of it is drawn from.

`models.wiring` works them out. Source: fastai facts C.1 to C.8.
"""

from __future__ import annotations

from dataclasses import dataclass

Shape = tuple[int, int, int]  # channels, height, width

SHUFFLE, NEAREST, TRANSPOSED = "pixel shuffle", "nearest", "transposed convolution"


@dataclass(frozen=True)
class Tap:
    """A map that a body hands to its decoder.

    node    the module of the body whose output it is: "6", "0.denseblock1"
    shape   as the decoder gets it, channels first
    turned  the body has it channel-last, so it is turned round
    copied  the body changes it in place afterwards, so the decoder gets a copy
    """

    node: str
    shape: Shape
    turned: bool = False
    copied: bool = False


@dataclass(frozen=True)
class Pyramid:
    """What a body makes of a picture: its taps from the finest on, and its last map.

    doublings  steps of ×2 from the last map to the size of the picture
    full_size  the finest tap is as large as the picture
    """

    image: Shape
    taps: tuple[Tap, ...]
    features: Shape
    doublings: int
    full_size: bool


@dataclass(frozen=True)
class Step:
    """One block of a decoder, in the order in which it runs.

    block         1 for the deepest
    up            how it doubles the grid: SHUFFLE, NEAREST or TRANSPOSED
    in_shape      what comes from below
    up_shape      after the doubling, and the blur where there is one
    skip          the module of the body that gives the skip, "" where the network has none at this scale
    skip_shape    its map, None where there is none
    joined        the skip is concatenated; False where it is switched off
    resized       a nearest resize brings the doubled map to the skip's size
    cat_shape     what the convolutions get
    out_shape     what they give
    blur          each pixel becomes the mean of itself and its neighbours above and to the left
    attention     self-attention follows the convolutions
    """

    block: int
    up: str
    in_shape: Shape
    up_shape: Shape
    skip: str
    skip_shape: Shape | None
    joined: bool
    resized: bool
    cat_shape: Shape
    out_shape: Shape
    blur: bool = False
    attention: bool = False

    @property
    def growth(self) -> float:
        """How much higher the map is after the block: 2 where neighbouring scales of the network differ by 2."""
        return self.out_shape[1] / self.in_shape[1]


@dataclass(frozen=True)
class Wiring:
    """A decoder from the body's last map to the output.

    image         what the model takes
    features      the body's last map
    middle        widths of the two convolutions at the bottom; () for none
    steps         the blocks, deepest first
    last_shuffle  shape after one more doubling of the same width, None where there is none
    resized       a nearest resize brings the map to the picture's size
    cross         channels of map and picture together, in the residual block at full size; 0 without the block
    cross_hidden  width between its two convolutions
    out_shape     what the model gives
    """

    image: Shape
    features: Shape
    middle: tuple[int, ...]
    steps: tuple[Step, ...]
    last_shuffle: Shape | None
    resized: bool
    cross: int
    cross_hidden: int
    out_shape: Shape

    @property
    def skips(self) -> tuple[Step, ...]:
        """The blocks that a skip can reach, deepest first: what `skips=` of `DynamicUnet` switches."""
        return tuple(step for step in self.steps if step.skip)

    @property
    def n_skips(self) -> int:
        """How many skips are on."""
        return sum(step.joined for step in self.steps)

    @property
    def before_resize(self) -> Shape:
        """The map before it is brought to the picture's size."""
        if self.last_shuffle is not None:
            return self.last_shuffle
        return self.steps[-1].out_shape if self.steps else self._bottom

    @property
    def filled(self) -> float:
        """By how much the nearest resize at the end enlarges: 1 for not at all, 2 for convnext and swin."""
        return self.image[1] / self.before_resize[1]

    @property
    def _bottom(self) -> Shape:
        return (self.middle[-1] if self.middle else self.features[0], *self.features[1:])
