"""The training loop itself: a model, its groups and its batches in, events out. It knows no spec and no data set."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from explorer.models.groups import Group, freeze
from explorer.train.diagnose import first_not_finite
from explorer.train.events import EpochDone, Event, Predictions, Step, Stopped
from explorer.train.metrics import SmoothLoss, Validation, confusion, summarise
from explorer.train.optim import create_optimizer, set_rates
from explorer.train.schedule import Phase

Batch = tuple[Tensor, Tensor]


class Diverged(ValueError):
    """A loss that is not finite; one sentence that says where."""


@dataclass(frozen=True)
class Loaders:
    """Where batches come from: x (B, C, H, W) float32 and y (B,) int64, on the model's device.

    train    called once an epoch, gives that epoch's batches
    valid    called once an epoch, gives all valid images in the same order
    steps    batches that `train` gives
    classes  of the data
    sample   positions, in valid order, of the images whose guesses are told one by one
    """

    train: Callable[[], Iterable[Batch]]
    valid: Callable[[], Iterable[Batch]]
    steps: int
    classes: int
    sample: tuple[int, ...] = ()


def train_loop(
    model: nn.Module,
    groups: Sequence[Group],
    loaders: Loaders,
    phases: Sequence[Phase],
    *,
    wd: float = 0.01,
    train_bn: bool = True,
    stop: Callable[[], bool] = lambda: False,
    keep: Callable[[int], None] = lambda epoch: None,
) -> Iterator[Event]:
    """Train with cross-entropy: (Step* EpochDone Predictions)*, and Stopped when `stop` said so between two batches.

    The optimiser is new in every phase, the smoothed loss too. The model is in train mode while it learns, so the
    running statistics of batch norm move in frozen groups as well, with and without `train_bn` (fastai facts G.4).
    `keep(epoch)` is called when an epoch is whole and its valid loss finite, before its EpochDone.
    Raises Diverged for a loss that is not finite, before that batch changes any weight.
    """
    epoch = step = 0
    for phase in phases:
        freeze(model, groups, phase.frozen, train_bn)
        optimizer = create_optimizer(model, groups, phase.lrs, wd)
        smoothed = SmoothLoss()
        smooth = 0.0
        for lap in range(phase.epochs):
            began = time.perf_counter()
            model.train()
            for i, (x, y) in enumerate(loaders.train()):
                if stop():
                    yield Stopped(epoch)
                    return
                lrs, momentum = phase.at((lap * loaders.steps + i) / (phase.epochs * loaders.steps))
                set_rates(optimizer, lrs, momentum)
                optimizer.zero_grad()
                loss = cross_entropy(model(x), y)
                loss.backward()
                value = loss.item()
                if not math.isfinite(value):
                    where = f"in epoch {epoch + 1}, batch {i + 1}"
                    raise Diverged(_sentence(value, where, model, x, max(phase.lrs)))
                optimizer.step()
                step += 1
                smooth = smoothed.add(value)
                yield Step(step, value, lrs[-1], smooth)
            seen = validate(model, loaders, stop)
            if seen is None:
                yield Stopped(epoch)
                return
            if not math.isfinite(seen.loss):
                where = f"on the valid set after epoch {epoch + 1}"
                raise Diverged(_sentence(seen.loss, where, model, next(iter(loaders.valid()))[0], max(phase.lrs)))
            epoch += 1
            keep(epoch)
            seconds = time.perf_counter() - began
            yield EpochDone(epoch, smooth, seen.loss, (("accuracy", seen.accuracy),), seconds)
            yield predictions(epoch, seen, loaders)


def validate(model: nn.Module, loaders: Loaders, stop: Callable[[], bool] = lambda: False) -> Validation | None:
    """The valid set seen once in eval mode, without gradients; None when `stop` said so between two batches."""
    losses, logits, labels = [], [], []
    model.eval()
    with torch.inference_mode():
        for x, y in loaders.valid():
            if stop():
                return None
            out = model(x)
            losses.append(cross_entropy(out, y, reduction="sum"))
            logits.append(out)
            labels.append(y)
        return summarise(losses, logits, labels, loaders.classes)


def predictions(epoch: int, seen: Validation, loaders: Loaders) -> Predictions:
    """Guesses and confidences of the sample, and the confusion of the whole valid set."""
    chosen = torch.tensor(loaders.sample, dtype=torch.long)
    return Predictions(
        epoch=epoch,
        guesses=tuple(seen.guesses[chosen].tolist()),
        confidences=tuple(round(p, 4) for p in seen.confidences[chosen].tolist()),
        confusion=confusion(seen.labels, seen.guesses, loaders.classes),
    )


def _sentence(value: float, where: str, model: nn.Module, x: Tensor, lr: float) -> str:
    return (
        f"The loss became {value} {where}: {first_not_finite(model, x)}; "
        f"the weights before that are kept, try a lower learning rate, such as {lr / 10:.1g}."
    )
