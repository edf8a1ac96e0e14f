"""Toy models and batches: small enough that a whole run takes milliseconds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from explorer.models.groups import Group
from explorer.train.loop import Loaders
from explorer.train.tasks import Classification


class Toy:
    """A model of two groups on 8×8 pictures of three classes that differ in their mean colour."""

    def __init__(self, steps: int = 5, batch: int = 8, classes: int = 3):
        torch.manual_seed(0)
        body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU())
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.1), nn.Linear(6, classes))
        self.model = nn.Sequential(body, head)
        names = [name for name, _ in self.model.named_parameters()]
        self.groups = (
            Group("body-early", tuple(name for name in names if name.startswith("0."))),
            Group("head", tuple(name for name in names if name.startswith("1."))),
        )
        generator = torch.Generator().manual_seed(1)
        y = torch.arange(steps * batch) % classes
        x = torch.rand(steps * batch, 3, 8, 8, generator=generator) + nn.functional.one_hot(y, 3)[:, :, None, None]
        self.batches = list(zip(x.split(batch), y.split(batch), strict=True))
        self.loaders = Loaders(lambda: self.batches, lambda: self.batches, steps)
        self.task = Classification(classes, sample=(0, 3, 7))


@pytest.fixture
def toy() -> Toy:
    return Toy()
