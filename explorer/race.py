"""The decoder race: the same body, data, seeds and epochs for four ways from the last map back to an image.

The chapter says of the first two that they do not work really well; the race makes that something one can see, and
the fourth shows what the skips are worth.
"""

from __future__ import annotations

from dataclasses import replace

from explorer.spec import STYLE_IMAGE, DecoderSpec, SpecError, TrainSpec, UnetSpec, check_whole

NEAREST, TRANSPOSED, WITHOUT, UNET = "Nearest", "Transposed", "U-Net without skips", "U-Net"
RACERS = (NEAREST, TRANSPOSED, WITHOUT, UNET)
MOST_SEEDS = 5
LAST_SEED = 2**31 - 1


def race_specs(spec: UnetSpec, train: TrainSpec, seeds: int) -> tuple[tuple[str, UnetSpec, TrainSpec], ...]:
    """(label, spec, how to train) of every run, all decoders of one seed before those of the next.

    seeds  how many, from 1 to 5: the seed of `train` and those after it

    All decoders share the body, the width cap, the norm, the activation and the rest of `spec`. The one without skips
    has no last cross connection either: like the first two it sees the last map alone. Raises SpecError.
    """
    if not isinstance(spec, UnetSpec):
        raise SpecError("spec", f"Decoders race for a U-Net's body, not for a {type(spec).__name__}.")
    if spec.task == STYLE_IMAGE:
        raise SpecError("task", "One picture's pixels learn in this task, no decoder does: choose another task.")
    check_whole("seeds", "The number of seeds", seeds, 1, MOST_SEEDS)
    check_whole("seed", "The last seed of the race", train.seed + seeds - 1, 0, LAST_SEED)
    return tuple(
        (label, replace(spec, decoder=decoder_of(label, spec.decoder)), replace(train, seed=train.seed + k))
        for k in range(seeds)
        for label in RACERS
    )


def decoder_of(label: str, decoder: DecoderSpec) -> DecoderSpec:
    """The decoder that races under this label, else as given."""
    if label == NEAREST:
        return replace(decoder, kind="nearest", skips=None)
    if label == TRANSPOSED:
        return replace(decoder, kind="transposed", skips=None)
    if label == WITHOUT:
        return replace(decoder, kind="unet", skips=(), last_cross=False)
    return replace(decoder, kind="unet", skips=None)


def label_of(decoder: DecoderSpec) -> str:
    """Under which label a decoder of `race_specs` raced."""
    if decoder.kind != "unet":
        return NEAREST if decoder.kind == "nearest" else TRANSPOSED
    return WITHOUT if decoder.skips == () else UNET
