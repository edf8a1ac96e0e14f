"""What a run reports: the smoothed train loss, and on the valid set loss, accuracy, guesses, confusion (facts G.6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


class SmoothLoss:
    """Exponentially smoothed loss, β 0.98, debiased: 1, 2, 3, 4 give 1, 1.50505, 2.01347, 2.52525.

    One lives through all epochs of a phase.
    """

    def __init__(self, beta: float = 0.98):
        self.beta = beta
        self.total = 0.0
        self.count = 0

    def add(self, loss: float) -> float:
        """Take one batch's loss; returns the smoothed value."""
        self.count += 1
        self.total = self.beta * self.total + (1 - self.beta) * loss
        return self.total / (1 - self.beta**self.count)


@dataclass(frozen=True)
class Validation:
    """The valid set seen once: mean loss and accuracy over its images, and for each image, in order, its true label
    (N,), the guessed class (N,) and the confidence of that guess, 0 to 1 (N,)."""

    loss: float
    accuracy: float
    labels: Tensor
    guesses: Tensor
    confidences: Tensor


def summarise(losses: Sequence[Tensor], logits: Sequence[Tensor], labels: Sequence[Tensor], classes: int) -> Validation:
    """Validation from what every batch gave: summed loss (scalar), logits (B, n_out ≥ classes), labels (B,).

    A guess is the best of the data's classes; a confidence is its softmax share among all outputs.
    """
    probabilities = torch.cat(list(logits)).float().softmax(dim=1)[:, :classes]
    confidences, guesses = probabilities.max(dim=1)
    truth = torch.cat(list(labels))
    loss = torch.stack(list(losses)).cpu().double().sum().item() / len(truth)
    accuracy = (guesses == truth).float().mean().item()
    return Validation(loss, accuracy, truth.cpu(), guesses.cpu(), confidences.cpu())


def confusion(labels: Tensor, guesses: Tensor, classes: int) -> tuple[tuple[int, ...], ...]:
    """How often each class (row: truth) was guessed as each (column); all entries add up to N."""
    counts = torch.bincount(labels * classes + guesses, minlength=classes * classes)
    return tuple(map(tuple, counts.reshape(classes, classes).tolist()))
