"""Costs counted by hand, and the words and the code of a module."""

from __future__ import annotations

from math import prod

import pytest
import torch
from torch import nn

from explorer.models.heads import AdaptiveConcatPool2d, SigmoidRange
from explorer.trace import cost

MODULES = {
    nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False): (
        "3→64 7×7, stride 2",
        "nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)",
    ),
    nn.Conv2d(4, 8, (1, 3), dilation=2, groups=2): (
        "4→8 1×3, dilation 2, groups 2",
        "nn.Conv2d(4, 8, kernel_size=(1, 3), dilation=2, groups=2)",
    ),
    nn.Linear(1024, 512, bias=False): ("1024→512, no bias", "nn.Linear(1024, 512, bias=False)"),
    nn.Linear(5, 2): ("5→2", "nn.Linear(5, 2)"),
    nn.BatchNorm1d(37, momentum=0.01): ("37 channels, momentum 0.01", "nn.BatchNorm1d(37, momentum=0.01)"),
    nn.BatchNorm2d(64): ("64 channels", "nn.BatchNorm2d(64)"),
    nn.Dropout(0.25): ("p 0.25", "nn.Dropout(p=0.25)"),
    nn.MaxPool2d(3, 2, ceil_mode=True): ("3×3, stride 2", "nn.MaxPool2d(3, stride=2, ceil_mode=True)"),
    nn.AvgPool2d(2): ("2×2, stride 2", "nn.AvgPool2d(2)"),
    nn.AdaptiveAvgPool2d(1): ("to 1×1", "nn.AdaptiveAvgPool2d(1)"),
    nn.ReLU(inplace=True): ("", "nn.ReLU(inplace=True)"),
    nn.Flatten(): ("", "nn.Flatten()"),
    AdaptiveConcatPool2d(1): ("maximum and average", "AdaptiveConcatPool2d()"),
    SigmoidRange(0, 5.123456789): ("0 to 5.12346", "SigmoidRange(0, 5.123456789)"),
    nn.Sequential(nn.ReLU()): ("", ""),
}


@pytest.mark.parametrize(("module", "words"), MODULES.items(), ids=lambda value: getattr(value, "_get_name", str)())
def test_a_module_is_told_in_words_and_in_code(module: nn.Module, words: tuple[str, str]):
    assert (cost.detail(module), cost.code(module)) == words


@pytest.mark.parametrize(
    "module", [m for m in MODULES if not isinstance(m, nn.Sequential)], ids=lambda m: m._get_name()
)
def test_the_code_makes_a_module_that_prints_the_same(module: nn.Module):
    names = {"nn": nn, "AdaptiveConcatPool2d": AdaptiveConcatPool2d, "SigmoidRange": SigmoidRange}
    assert repr(eval(cost.code(module), names)) == repr(module)


@pytest.mark.parametrize(
    ("module", "in_shape", "macs"),
    [
        (nn.Conv2d(3, 5, 3), (3, 8, 6), 5 * 6 * 4 * 3 * 9),
        (nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2), (4, 8, 8), 8 * 4 * 4 * 2 * 9),
        (nn.Conv2d(3, 5, 1, bias=True), (3, 2, 2), 5 * 4 * 3),
        (nn.ConvTranspose2d(3, 5, 2, stride=2), (3, 4, 4), 3 * 4 * 4 * 5 * 4),
        (nn.Linear(7, 3), (7,), 21),
        (nn.Linear(7, 3), (10, 7), 210),
        (nn.BatchNorm2d(3), (3, 4, 4), 0),
        (nn.MaxPool2d(2), (3, 4, 4), 0),
        (nn.ReLU(), (3,), 0),
    ],
    ids=lambda value: getattr(value, "_get_name", str)(),
)
def test_multiply_accumulates_are_those_counted_by_hand(module: nn.Module, in_shape: tuple, macs: int):
    out_shape = tuple(module.eval()(torch.zeros(1, *in_shape)).shape[1:])
    assert cost.macs(module, in_shape, out_shape) == macs


def test_a_linear_layer_costs_what_its_1x1_convolution_costs():
    conv, linear = nn.Conv2d(6, 9, 1), nn.Linear(6, 9)
    assert cost.macs(conv, (6, 1, 1), (9, 1, 1)) == cost.macs(linear, (6,), (9,)) == prod((6, 9))


def test_activations_are_float32():
    assert cost.activation_bytes((64, 7, 7)) == torch.zeros(64, 7, 7).nbytes


@pytest.mark.parametrize(
    ("norm", "is_norm"),
    [(nn.BatchNorm2d(2), True), (nn.LayerNorm(2), True), (nn.GroupNorm(1, 2), False), (nn.Linear(1, 1), False)],
)
def test_norms_are_the_ones_fastai_leaves_trainable(norm: nn.Module, is_norm: bool):
    assert cost.is_norm(norm) is is_norm
