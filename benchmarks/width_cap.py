"""What a width cap costs in mIoU: a resnet18 U-Net as wide as fastai's against a capped one, three seeds each.

`rows()` gives (what, ours, name of the peer, the peer's value, the limit as text); run as a script it prints them.
More is better. What the cap gains in speed is measured in `benchmarks.unet`.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.training import Row, last_metrics
from benchmarks.unet import CAP
from explorer.data.drawn_masks import CLASSES
from explorer.spec import BodySpec, DecoderSpec, TrainSpec, UnetSpec

BODY = BodySpec("resnet18", weights="random", size=128)
RECIPE = TrainSpec(epochs=4, batch_size=8, frozen=False, precision="auto")


def rows(quick: bool = False) -> list[Row]:
    """mIoU on the 100 valid pictures of the small drawn set after the last epoch; `quick`: one seed, one epoch."""
    seeds, epochs = ((0,), 1) if quick else ((0, 1, 2), RECIPE.epochs)
    wide, capped = (
        [trained(DecoderSpec(width_cap=cap), replace(RECIPE, seed=seed, epochs=epochs)) for seed in seeds]
        for cap in (None, CAP)
    )
    what = f"U-Net on drawn scenes, resnet18, 128 px, {epochs} epochs, width_cap={CAP}, mIoU, % ({spread(capped)})"
    return [(what, statistics.mean(capped), f"no cap ({spread(wide)})", statistics.mean(wide), "no worse")]


def trained(decoder: DecoderSpec, recipe: TrainSpec) -> float:
    """mIoU in % after the last epoch of one run on the CPU."""
    return 100 * last_metrics(UnetSpec(BODY, decoder, len(CLASSES)), recipe)["miou"]


def spread(values: Sequence[float]) -> str:
    """How many seeds, smallest to largest."""
    return f"{len(values)} seeds: {min(values):.1f} to {max(values):.1f}"


if __name__ == "__main__":
    for row in rows():
        print(*row, sep=" | ", flush=True)
