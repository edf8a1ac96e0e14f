"""Losses for answers that are masks or pictures. Pictures are float (B, 3, H, W) in 0..1."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.data.batches import normalise
from explorer.data.masks import VOID
from explorer.models.pyramid import Encoder, read_pyramid

EPS = 1e-8


def pixel_cross_entropy(scores: Tensor, mask: Tensor, reduction: str = "mean") -> Tensor:
    """Cross-entropy of each pixel, void left out: (B, C, H, W) scores, (B, H, W) classes.

    fastai's: the mean over all pixels of the batch that have a class, 0 where none has.
    """
    flat = scores.permute(0, 2, 3, 1).reshape(-1, scores.shape[1])
    total = F.cross_entropy(flat, mask.reshape(-1), ignore_index=VOID, reduction="sum")
    return total if reduction == "sum" else total / (mask != VOID).sum().clamp(min=1)


class Critic(nn.Module):
    """A resting copy of a body, by whose maps pictures are compared: (B, 3, H, W) in 0..1 -> [finest map, …].

    encoder  of a model; its weights are copied as they are now and never change
    size     of the pictures
    stats    mean and standard deviation to normalise by, or None

    One map for each scale, without the body's last one. Gradients reach the picture, not the weights.
    """

    def __init__(self, encoder: nn.Sequential, size: int | tuple[int, int], stats: tuple | None):
        super().__init__()
        body = nn.Sequential(OrderedDict(copy.deepcopy(encoder)._modules))
        taps = read_pyramid(body, size).taps
        if not taps:
            raise ValueError("This loss compares maps of the body, and this body has none before its last: cut later.")
        self.encoder = Encoder(body, taps).eval().requires_grad_(False)
        self.stats = stats or (None, None)

    def train(self, mode: bool = True) -> Critic:
        """Stays in eval mode."""
        return self

    def forward(self, picture: Tensor) -> list[Tensor]:
        return [features.float() for features in self.encoder(normalise(picture, *self.stats))[:-1]]


def feature_distance(maps: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """How far apart maps are: the mean over all scales of Σ|a-b| / Σ|b|, so that every scale counts alike.

    Source: perceptual losses, arXiv 1603.08155; the division makes it independent of the body.
    """
    return torch.stack(
        [(a - b).abs().mean() / (b.abs().mean() + EPS) for a, b in zip(maps, wanted, strict=True)]
    ).mean()


def gram(features: Tensor) -> Tensor:
    """Which channels go together, wherever: (B, C, h, w) -> (B, C, C), the mean over places of their products.

    Source: Gatys et al., arXiv 1508.06576.
    """
    with torch.autocast(features.device.type, enabled=False):
        places = features.flatten(2)
        return places @ places.transpose(1, 2) / places.shape[-1]


def style_distance(maps: Sequence[Tensor], grams: Sequence[Tensor]) -> Tensor:
    """How far the style is from that of `grams` (1, C, C): the mean over scales of Σ(a-b)² / Σb²."""
    parts = [(gram(a) - b).square().sum((1, 2)) / (b.square().sum() + EPS) for a, b in zip(maps, grams, strict=True)]
    return torch.stack(parts).mean()


def content_distance(features: Tensor, wanted: Tensor) -> Tensor:
    """How far one scale's map is from that of the picture that should stay recognisable: Σ(a-b)² / Σb²."""
    return (features - wanted).square().mean() / (wanted.square().mean() + EPS)


def roughness(picture: Tensor) -> Tensor:
    """Total variation: the mean absolute difference between neighbouring pixels."""
    return (picture.diff(dim=-1).abs().mean() + picture.diff(dim=-2).abs().mean()) / 2
