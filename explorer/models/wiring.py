"""How a decoder is wired, worked out before a module is made. Source: fastai facts C.1 to C.8."""

from __future__ import annotations

from collections.abc import Sequence

from explorer.wiring import SHUFFLE, TRANSPOSED, Pyramid, Shape, Step, Tap, Wiring

ATTENDED_FROM_END = 3  # self-attention follows the third-last block
LEAST_WIDTH = 16  # of the steps of a decoder without skips


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
