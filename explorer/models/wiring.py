"""How a decoder is wired: plain numbers and names, worked out before a module is made.

A model is built from this list, and a picture of it can be drawn from it. Source: fastai facts C.1 to C.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Shape = tuple[int, int, int]  # channels, height, width

SHUFFLE, NEAREST, TRANSPOSED = "pixel shuffle", "nearest", "transposed convolution"
ATTENDED_FROM_END = 3  # self-attention follows the third-last block
LEAST_WIDTH = 16  # of the steps of a decoder without skips


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


def plan_unet(
    pyramid: Pyramid,
    n_out: int,
    *,
    blur: bool = False,
    blur_final: bool = True,
    self_attention: bool = False,
    last_cross: bool = True,
    bottle: bool = False,
    skips: Sequence[bool] | Sequence[int] | None = None,
    width_cap: int | None = None,
) -> Wiring:
    """The wiring of a `DynamicUnet`; its docstring says what the options mean.

    Raises ValueError for skips that the body has not, and for widths and outputs that cannot be meant.
    """
    check_count("number of outputs", n_out)
    caps = _caps(width_cap)
    taps: list[Tap | None] = list(reversed(pyramid.taps)) or [None] * (pyramid.doublings - 1)
    on = read_switches(skips, len(pyramid.taps))
    nf = pyramid.features[0]
    middle = (_capped(2 * nf, caps, 0), _capped(nf, caps, 0))
    attended = max(0, len(taps) - ATTENDED_FROM_END) if self_attention else None

    steps: list[Step] = []
    below: Shape = (middle[1], *pyramid.features[1:])
    for i, tap in enumerate(taps):
        last = i == len(taps) - 1
        up_shape = _doubled(below, max(1, below[0] // 2))
        joined = tap is not None and on[i]
        cat_shape = (up_shape[0] + tap.shape[0], *tap.shape[1:]) if joined else up_shape
        width = max(1, cat_shape[0] // 2) if last else cat_shape[0]
        step = Step(
            block=i + 1,
            up=SHUFFLE,
            in_shape=below,
            up_shape=up_shape,
            skip=tap.node if tap else "",
            skip_shape=tap.shape if tap else None,
            joined=joined,
            resized=joined and up_shape[1:] != cat_shape[1:],
            cat_shape=cat_shape,
            out_shape=(_capped(width, caps, i), *cat_shape[1:]),
            blur=blur and (blur_final or not last),
            attention=i == attended,
        )
        steps.append(step)
        below = step.out_shape

    last_shuffle = _doubled(below, below[0]) if _needs_last_shuffle(pyramid) else None
    cross = below[0] + pyramid.image[0] if last_cross else 0
    return Wiring(
        image=pyramid.image,
        features=pyramid.features,
        middle=middle,
        steps=tuple(steps),
        last_shuffle=last_shuffle,
        resized=(last_shuffle or below)[1:] != pyramid.image[1:],
        cross=cross,
        cross_hidden=max(1, cross // 2) if bottle and cross else cross,
        out_shape=(n_out, *pyramid.image[1:]),
    )


def plan_plain(pyramid: Pyramid, n_out: int, up: str, width_cap: int | None = None) -> Wiring:
    """The wiring of a decoder without skips: each step doubles the grid and halves the width, down to 16 channels.

    width_cap  most channels of the first step; each further one has at most half of those
    """
    check_count("number of outputs", n_out)
    caps = _caps(width_cap)
    steps: list[Step] = []
    below = pyramid.features
    for i in range(pyramid.doublings):
        width = _capped(max(LEAST_WIDTH, below[0] // 2), caps, i)
        up_shape = _doubled(below, width if up == TRANSPOSED else below[0])
        out_shape = (width, *up_shape[1:])
        steps.append(Step(i + 1, up, below, up_shape, "", None, False, False, up_shape, out_shape))
        below = out_shape
    return Wiring(
        image=pyramid.image,
        features=pyramid.features,
        middle=(),
        steps=tuple(steps),
        last_shuffle=None,
        resized=below[1:] != pyramid.image[1:],
        cross=0,
        cross_hidden=0,
        out_shape=(n_out, *pyramid.image[1:]),
    )


def read_switches(skips: Sequence[bool] | Sequence[int] | None, count: int) -> tuple[bool, ...]:
    """Which of `count` skips are on, deepest first: all for None; one bool for each; or the numbers of those that are.

    Raises ValueError for another number of bools, or a number that no skip has.
    """
    if skips is None:
        return (True,) * count
    if any(isinstance(each, bool) for each in skips):
        if len(skips) != count or not all(isinstance(each, bool) for each in skips):
            raise ValueError(f"The body has {count} skips, but {len(skips)} switches are given: give one for each.")
        return tuple(skips)
    wrong = [each for each in skips if not isinstance(each, int) or not 0 <= each < count]
    if wrong:
        valid = f"0 (the deepest) to {count - 1}" if count else "an empty list"
        raise ValueError(f"There is no skip {wrong[0]!r} in a body with {count} skips: choose {valid}.")
    return tuple(i in skips for i in range(count))


def check_count(what: str, value: object) -> None:
    """Raise ValueError unless it is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"The {what} must be a whole number of at least 1, not {value!r}.")


def _needs_last_shuffle(pyramid: Pyramid) -> bool:
    return not pyramid.full_size if pyramid.taps else pyramid.doublings > 0


def _caps(width_cap: int | None) -> int | None:
    if width_cap is not None:
        check_count("width cap", width_cap)
    return width_cap


def _capped(width: int, cap: int | None, step: int) -> int:
    """A cap holds for the deepest block, half of it for the next, and so on, as in the U-Net paper."""
    return width if cap is None else min(width, max(1, cap >> step))


def _doubled(shape: Shape, channels: int) -> Shape:
    return (channels, 2 * shape[1], 2 * shape[2])
