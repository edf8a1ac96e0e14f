"""What is measured on the valid set where answers are masks or pictures; torchmetrics does the counting."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex
from torchmetrics.image import PeakSignalNoiseRatio, StructuralSimilarityIndexMeasure

from explorer.data.masks import VOID

SSIM_SIDE = 11  # of the window that SSIM looks through


class MaskScores:
    """Pixel accuracy and intersection over union; void is left out, and so is a class that is neither there nor
    guessed."""

    def __init__(self, classes: int, device: torch.device):
        kind = {"num_classes": classes, "ignore_index": VOID, "validate_args": False}
        self.accuracy = MulticlassAccuracy(average="micro", **kind).to(device)
        self.iou = MulticlassJaccardIndex(average="none", **kind).to(device)
        self.void = self.pixels = 0

    def add(self, guesses: Tensor, truth: Tensor) -> None:
        """Masks (B, H, W): class numbers, the truth with VOID."""
        self.accuracy.update(guesses, truth)
        self.iou.update(guesses, truth)
        self.void += int((truth == VOID).sum())
        self.pixels += truth.numel()

    @property
    def void_share(self) -> float:
        """Of all pixels."""
        return self.void / max(1, self.pixels)

    def per_class(self) -> tuple[float | None, ...]:
        """Intersection over union of each class."""
        counts = self.iou.confmat
        known = (counts.sum(0) + counts.sum(1) > 0).tolist()
        return tuple(iou if there else None for iou, there in zip(self.iou.compute().tolist(), known, strict=True))

    def metrics(self) -> tuple[tuple[str, float], ...]:
        """Accuracy, and the mean over the classes that are there or guessed."""
        ious = [iou for iou in self.per_class() if iou is not None]
        return ("accuracy", float(self.accuracy.compute())), ("miou", sum(ious) / max(1, len(ious)))


class PictureScores:
    """PSNR in dB, as the mean over pictures, and SSIM where they are large enough for its window; pictures in 0..1.

    Both are measured in float32, also where the network's products are of bfloat16: SSIM takes a variance as the
    difference of two nearly equal sums, of which bfloat16 leaves nothing.
    """

    def __init__(self, device: torch.device):
        self.psnr = PeakSignalNoiseRatio(data_range=(0.0, 1.0), dim=(1, 2, 3)).to(device)
        self.ssim = StructuralSimilarityIndexMeasure(data_range=1.0).to(device)
        self.windowed = False

    def add(self, pictures: Tensor, truth: Tensor) -> None:
        """Both (B, 3, H, W)."""
        pictures = pictures.clamp(0, 1)
        with torch.autocast(truth.device.type, enabled=False):
            self.psnr.update(pictures, truth)
            if min(truth.shape[-2:]) >= SSIM_SIDE:
                self.ssim.update(pictures, truth)
                self.windowed = True

    def metrics(self) -> tuple[tuple[str, float], ...]:
        ssim = (("ssim", float(self.ssim.compute())),) if self.windowed else ()
        return (("psnr", float(self.psnr.compute())), *ssim)


def right_share(guesses: Tensor, truth: Tensor) -> tuple[float, ...]:
    """Of each mask (B, H, W) the share of pixels that are right, void left out."""
    asked = truth != VOID
    right = ((guesses == truth) & asked).sum((1, 2)) / asked.sum((1, 2)).clamp(min=1)
    return tuple(round(share, 4) for share in right.tolist())


def psnr_each(pictures: Tensor, truth: Tensor) -> tuple[float, ...]:
    """PSNR in dB of each picture (B, 3, H, W) in 0..1; at most 100, so that equal pictures have a number."""
    errors = (pictures.clamp(0, 1) - truth).square().mean((1, 2, 3)).clamp(min=1e-10)
    return tuple(round(value, 2) for value in (-10 * errors.log10()).tolist())
