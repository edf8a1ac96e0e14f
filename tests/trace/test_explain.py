"""What a module says it needs is what it needs in earnest."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from explorer.trace.explain import need, smallest_input

WINDOWS = [
    nn.Conv2d(1, 1, 3),
    nn.Conv2d(1, 1, 11, stride=4, padding=2),
    nn.Conv2d(1, 1, 3, dilation=3),
    nn.Conv2d(1, 1, (5, 1)),
    nn.MaxPool2d(2),
    nn.MaxPool2d(3, 2),
    nn.MaxPool2d(3, 2, ceil_mode=True),
    nn.MaxPool2d(3, 2, padding=1),
    nn.AvgPool2d(2, 2),
]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_the_smallest_input_is_the_smallest_that_runs(window: nn.Module):
    height, width = smallest_input(window)
    assert window(torch.zeros(1, 1, height, width)).numel() > 0
    for small in ((height - 1, width), (height, width - 1)):
        if min(small) > 0:
            with pytest.raises(RuntimeError):
                window(torch.zeros(1, 1, *small))


@pytest.mark.parametrize(
    ("module", "in_shape", "words", "larger"),
    [
        (nn.MaxPool2d(2), (64, 1, 1), "at least 2×2 px", True),
        (nn.Conv2d(3, 8, 3), (4, 9, 9), "3 channels", False),
        (nn.Conv2d(3, 8, 3), (3,), "a picture of channels × height × width", False),
        (nn.BatchNorm1d(512), (512, 7, 7), "a list of 512 features", False),
        (nn.Linear(512, 37), (512, 7, 7), "a list of 512 features", False),
        (nn.AdaptiveAvgPool2d(1), (512,), "a picture of channels × height × width", False),
    ],
    ids=lambda value: getattr(value, "_get_name", str)(),
)
def test_what_is_needed_is_said(module: nn.Module, in_shape: tuple, words: str, larger: bool):
    found = need(module, in_shape)
    assert (found.words, found.larger) == (words, larger)


def test_a_module_that_gets_what_it_needs_has_nothing_to_say():
    assert need(nn.MaxPool2d(2), (64, 2, 2)) is None
    assert need(nn.ReLU(), (1,)) is None
