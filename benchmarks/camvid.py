"""Street scenes (the CamVid sample) by three decoders on one body with ImageNet weights, three seeds each.

`rows()` gives (what, ours, name of the peer, the peer's value, the limit as text); run as a script it prints them.
More is better. There is no row where the sample is not at hand.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.training import ROOT_OF_DATA, Row, last_metrics
from explorer.race import NEAREST, TRANSPOSED, UNET, WITHOUT, decoder_of
from explorer.spec import BodySpec, DecoderSpec, TrainSpec, UnetSpec

BODY = BodySpec("mobilenet_v2", weights="imagenet", size=(96, 128))
CLASSES = 11
CAP = 256
RECIPE = TrainSpec(
    epochs=6, batch_size=8, lr=3e-3, schedule="fine_tune", freeze_epochs=2, augment="basic", precision="auto"
)
DECODERS = {label: decoder_of(label, DecoderSpec(width_cap=CAP)) for label in (UNET, NEAREST, TRANSPOSED, WITHOUT)}
SHOWN = {"accuracy": "pixels right, %", "miou": "mIoU, %"}


def rows(quick: bool = False) -> list[Row]:
    """Pixel accuracy and mIoU on the 40 valid pictures after the last epoch, beside those of the U-Net; `quick`: one
    seed."""
    if not (ROOT_OF_DATA / "camvid").is_dir():
        return []
    os.environ.setdefault("EXPLORER_WEIGHTS", str(ROOT_OF_DATA / "weights"))
    seeds = (0,) if quick else (0, 1, 2)
    scores = {label: [trained(decoder, seed) for seed in seeds] for label, decoder in DECODERS.items()}
    return [
        (
            f"CamVid at 96×128, mobilenet_v2, {label}, {shown} ({spread(scores[label], name)})",
            mean(scores[label], name),
            "" if label == UNET else UNET,
            0 if label == UNET else mean(scores[UNET], name),
            "",
        )
        for label in scores
        for name, shown in SHOWN.items()
    ]


def trained(decoder: DecoderSpec, seed: int) -> dict[str, float]:
    """The metrics after the last epoch of one run on the CPU."""
    spec = UnetSpec(BODY, decoder, CLASSES)
    return last_metrics(spec, replace(RECIPE, data=f"masks:{ROOT_OF_DATA / 'camvid'}", seed=seed))


def mean(runs: Sequence[dict[str, float]], name: str) -> float:
    return 100 * statistics.mean(run[name] for run in runs)


def spread(runs: Sequence[dict[str, float]], name: str) -> str:
    """How many seeds, smallest to largest."""
    values = sorted(100 * run[name] for run in runs)
    return f"{len(values)} seeds: {values[0]:.1f} to {values[-1]:.1f}"


if __name__ == "__main__":
    for row in rows():
        print(*row, sep=" | ", flush=True)
