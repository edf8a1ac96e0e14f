"""Tasks whose answer is a mask or a picture: what the network's output means, its loss, and what is shown of it.

x is what the network gets, normalised, float (B, C, H, W). Pictures are float (B, 3, H, W) in 0..1, masks (B, H, W).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.spec import COLOUR, SEGMENTATION, STYLE
from explorer.train.events import Event, Outputs, PictureSample
from explorer.train.losses import (
    Critic,
    content_distance,
    feature_distance,
    gram,
    pixel_cross_entropy,
    roughness,
    style_distance,
)
from explorer.train.paint import mask_uri, picture_uri
from explorer.train.prepare import Stats
from explorer.train.scores import MaskScores, PictureScores, psnr_each, right_share
from explorer.train.tasks import Batch, Seen, Stop

LUMA = (0.299, 0.587, 0.114)  # how bright red, green and blue look (ITU-R BT.601), as Pillow's grey has it
BASELINES = {"super_resolution": "bicubic", COLOUR: "grey"}
FEATURES = 0.1  # what a feature distance counts beside L1
STYLE_WEIGHT, ROUGHNESS_WEIGHT = 5.0, 0.3
CONTENT_MAP = 2  # the scale whose map holds the content: an eighth of the picture's side in most bodies


def denormalise(x: Tensor, stats: Stats | None) -> Tensor:
    """x (B, C, H, W) before it was normalised by these mean and standard deviation."""
    if stats is None:
        return x
    mean, std = (x.new_tensor(values)[:, None, None] for values in stats)
    return x * std + mean


@dataclass(frozen=True)
class Sample:
    """A few valid pictures to watch: as the network gets them, and their answers."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Shown:
    """What all tasks share.

    sample  the pictures that are watched
    stats   by which x is normalised, or None
    shown   epochs after which the sample is told; None for all
    """

    sample: Sample
    stats: Stats | None = None
    shown: frozenset[int] | None = None

    def plain(self, x: Tensor) -> Tensor:
        """x before it was normalised, in 0..1."""
        return denormalise(x, self.stats)

    def run(self, model: nn.Module) -> Tensor:
        """What the model gives for the sample, in eval mode."""
        model.eval()
        with torch.inference_mode():
            return model(self.sample.x)

    def is_shown(self, epoch: int) -> bool:
        return self.shown is None or epoch in self.shown

    def inputs(self) -> tuple[str, ...]:
        """The sample as one sees it."""
        return tuple(picture_uri(picture) for picture in self.plain(self.sample.x))


@dataclass(frozen=True)
class Segmentation(Shown):
    """A class for each pixel. A guess is the best of the data's classes, also where the model has more outputs."""

    classes: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()

    def loss(self, out: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return pixel_cross_entropy(out, y)

    def guesses(self, out: Tensor) -> Tensor:
        """(B, H, W) class numbers."""
        return out[:, : len(self.classes)].argmax(dim=1)

    def validate(self, model: nn.Module, batches: Iterable[Batch], stop: Stop) -> Seen | None:
        losses, scores = [], None
        model.eval()
        with torch.inference_mode():
            for x, y in batches:
                if stop():
                    return None
                out = model(x).float()
                scores = scores or MaskScores(len(self.classes), y.device)
                losses.append(pixel_cross_entropy(out, y, reduction="sum"))
                scores.add(self.guesses(out), y)
            asked = max(1, scores.pixels - scores.void)
            loss = torch.stack(losses).double().sum().item() / asked
            told = scores.per_class(), scores.void_share
        return Seen(loss, scores.metrics(), lambda epoch: self.outputs(model, epoch, *told))

    def told(self) -> PictureSample:
        """The sample, before training."""
        masks = tuple(mask_uri(mask, self.colours) for mask in self.sample.y)
        return PictureSample(SEGMENTATION, self.inputs(), masks, self.classes, self.colours)

    def outputs(
        self, model: nn.Module, epoch: int, per_class: tuple[float | None, ...] = (), void_share: float = 0.0
    ) -> Iterator[Event]:
        """The sample's masks as they are now."""
        if self.is_shown(epoch):
            guesses = self.guesses(self.run(model))
            images = tuple(mask_uri(mask, self.colours) for mask in guesses)
            yield Outputs(epoch, images, right_share(guesses, self.sample.y), per_class, void_share)


@dataclass(frozen=True)
class Restoration(Shown):
    """The picture itself from a worse one: sharp from small (super-resolution), coloured from grey.

    critic      for a loss of L1 and feature distances; None for L1 alone
    difference  the output is what is added to the picture that the network gets; False: it is the picture itself
    keep_light  of that difference only what changes colours, not the brightness, counts: a grey picture has it right
    baseline    (name, value) of the picture that the network gets, on the valid set
    """

    name: str = "super_resolution"
    critic: Critic | None = None
    difference: bool = True
    keep_light: bool = False
    baseline: tuple[tuple[str, float], ...] = ()

    def picture(self, out: Tensor, x: Tensor) -> Tensor:
        """What an output means."""
        if not self.difference:
            return out
        if self.keep_light:
            out = out - (out * out.new_tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
        return self.plain(x) + out

    def loss(self, out: Tensor, x: Tensor, y: Tensor) -> Tensor:
        picture = self.picture(out, x)
        pixels = F.l1_loss(picture, y)
        if self.critic is None:
            return pixels
        with torch.no_grad():
            wanted = self.critic(y)
        return pixels + FEATURES * feature_distance(self.critic(picture), wanted)

    def validate(self, model: nn.Module, batches: Iterable[Batch], stop: Stop) -> Seen | None:
        losses, seen, scores = [], 0, None
        model.eval()
        with torch.inference_mode():
            for x, y in batches:
                if stop():
                    return None
                out = model(x).float()
                scores = scores or PictureScores(y.device)
                losses.append(self.loss(out, x, y) * len(x))
                seen += len(x)
                scores.add(self.picture(out, x), y)
            loss = torch.stack(losses).double().sum().item() / seen
        return Seen(loss, scores.metrics(), lambda epoch: self.outputs(model, epoch))

    def told(self) -> PictureSample:
        """The sample, before training, with what one has without a network."""
        plain = self.plain(self.sample.x)
        return PictureSample(
            task=self.name,
            inputs=self.inputs(),
            targets=tuple(picture_uri(picture) for picture in self.sample.y),
            baseline=BASELINES[self.name],
            baselines=self.inputs(),
            baseline_each=psnr_each(plain, self.sample.y),
            baseline_scores=self.baseline,
        )

    def outputs(self, model: nn.Module, epoch: int) -> Iterator[Event]:
        """The sample's pictures as they are now."""
        if self.is_shown(epoch):
            pictures = self.picture(self.run(model), self.sample.x)
            images = tuple(picture_uri(picture) for picture in pictures)
            yield Outputs(epoch, images, psnr_each(pictures, self.sample.y))


@dataclass(frozen=True)
class Style:
    """A style picture as a body sees it, and how far another picture is from it and from its own content."""

    critic: Critic
    grams: tuple[Tensor, ...]

    @classmethod
    def of(cls, critic: Critic, picture: Tensor) -> Style:
        """From a picture (1, 3, H, W)."""
        with torch.no_grad():
            return cls(critic, tuple(gram(features) for features in critic(picture)))

    def distances(self, picture: Tensor, content: Tensor) -> tuple[Tensor, Tensor]:
        """(style, content) of pictures (B, 3, H, W); 0 is equal."""
        maps = self.critic(picture)
        with torch.no_grad():
            wanted = self.critic(content)
        which = min(CONTENT_MAP, len(maps) - 1)
        return style_distance(maps, self.grams), content_distance(maps[which], wanted[which])

    def loss(self, picture: Tensor, content: Tensor) -> Tensor:
        style, kept = self.distances(picture, content)
        beyond = (picture - picture.clamp(0, 1)).abs().mean()
        return STYLE_WEIGHT * style + kept + ROUGHNESS_WEIGHT * roughness(picture) + beyond


@dataclass(frozen=True)
class Styling(Shown):
    """The picture in another one's style: y is the picture itself. Metrics are distances, so lower is better.

    style        wanted
    difference   as in `Restoration`
    shown_style  the style picture as a data URI
    """

    name: str = STYLE
    style: Style | None = None
    difference: bool = True
    shown_style: str = ""

    def picture(self, out: Tensor, x: Tensor) -> Tensor:
        """What an output means."""
        return self.plain(x) + out if self.difference else out

    def loss(self, out: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return self.style.loss(self.picture(out, x), y)

    def validate(self, model: nn.Module, batches: Iterable[Batch], stop: Stop) -> Seen | None:
        totals, seen = torch.zeros(3, dtype=torch.float64), 0
        model.eval()
        with torch.inference_mode():
            for x, y in batches:
                if stop():
                    return None
                picture = self.picture(model(x).float(), x)
                parts = self.style.loss(picture, y), *self.style.distances(picture.clamp(0, 1), y)
                totals += torch.stack(parts).cpu().double() * len(x)
                seen += len(x)
        loss, style, content = (totals / seen).tolist()
        return Seen(loss, (("style", style), ("content", content)), lambda epoch: self.outputs(model, epoch))

    def told(self) -> PictureSample:
        return PictureSample(self.name, self.inputs(), style=self.shown_style)

    def outputs(self, model: nn.Module, epoch: int) -> Iterator[Event]:
        """The sample's pictures as they are now."""
        if self.is_shown(epoch):
            pictures = self.picture(self.run(model), self.sample.x)
            yield Outputs(epoch, tuple(picture_uri(picture) for picture in pictures))
