"""What a run is about: its loss, what is measured on the valid set, and what is told after an epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from explorer.train.events import Event, Predictions
from explorer.train.metrics import Validation, confusion, summarise

Batch = tuple[Tensor, Tensor]
Stop = Callable[[], bool]


@dataclass(frozen=True)
class Seen:
    """The valid set seen once: its mean loss, its metrics, and the events that tell more of an epoch."""

    loss: float
    metrics: tuple[tuple[str, float], ...]
    events: Callable[[int], Iterator[Event]]


class Task(Protocol):
    """What the loop asks of a task."""

    def loss(self, out: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """The loss of a batch, a scalar: what the model gave, what it got, what it should give."""

    def validate(self, model: nn.Module, batches: Iterable[Batch], stop: Stop) -> Seen | None:
        """The valid set seen in eval mode, without gradients; None when `stop` said so between two batches."""


@dataclass(frozen=True)
class Classification:
    """A class for each picture: cross-entropy, accuracy, guesses.

    classes  of the data
    sample   positions, in valid order, of the images whose guesses are told one by one
    """

    classes: int
    sample: tuple[int, ...] = ()

    def loss(self, out: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(out, y)

    def validate(self, model: nn.Module, batches: Iterable[Batch], stop: Stop = lambda: False) -> Seen | None:
        losses, logits, labels = [], [], []
        model.eval()
        with torch.inference_mode():
            for x, y in batches:
                if stop():
                    return None
                out = model(x)
                losses.append(cross_entropy(out, y, reduction="sum"))
                logits.append(out)
                labels.append(y)
            seen = summarise(losses, logits, labels, self.classes)
        return Seen(seen.loss, (("accuracy", seen.accuracy),), lambda epoch: iter((self.predictions(epoch, seen),)))

    def predictions(self, epoch: int, seen: Validation) -> Predictions:
        """Guesses and confidences of the sample, and the confusion of the whole valid set."""
        chosen = torch.tensor(self.sample, dtype=torch.long)
        return Predictions(
            epoch=epoch,
            guesses=tuple(seen.guesses[chosen].tolist()),
            confidences=tuple(round(p, 4) for p in seen.confidences[chosen].tolist()),
            confusion=confusion(seen.labels, seen.guesses, self.classes),
        )
