"""What a module says it needs is what it needs in earnest."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn
from torchvision.models.convnext import LayerNorm2d

from explorer.models.heads import AdaptiveConcatPool2d
from explorer.trace.explain import need, smallest_input
from explorer.trace.needs import WORDS

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

LAYERS = [
    nn.Conv1d(4, 4, 3),
    nn.Conv2d(4, 8, 5, stride=2, padding=1, dilation=2, groups=2),
    nn.Conv2d(4, 4, 3, padding="same"),
    nn.Conv2d(4, 4, 3, padding="valid"),
    nn.Conv2d(4, 4, 3, padding=2, padding_mode="reflect"),
    nn.Conv2d(4, 4, 3, padding=2, padding_mode="circular"),
    nn.Conv3d(4, 4, (1, 3, 2)),
    nn.ConvTranspose2d(4, 2, 2, stride=2, padding=2, output_padding=1),
    nn.ConvTranspose2d(4, 2, 1, padding=1),
    nn.ConvTranspose3d(4, 2, 2),
    nn.MaxPool1d(2),
    nn.MaxPool2d(3, 2, ceil_mode=True),
    nn.MaxPool2d(3, padding=2),
    nn.MaxPool3d(2),
    nn.AvgPool1d(3),
    nn.AvgPool2d((3, 1), padding=(2, 0)),
    nn.LPPool2d(2, 3),
    nn.AdaptiveAvgPool1d(1),
    nn.AdaptiveAvgPool2d(2),
    nn.AdaptiveMaxPool3d(1),
    AdaptiveConcatPool2d(),
    nn.BatchNorm1d(4),
    nn.BatchNorm2d(4),
    nn.BatchNorm3d(4),
    nn.SyncBatchNorm(4),
    nn.InstanceNorm2d(4),
    nn.InstanceNorm2d(4, affine=True),
    nn.LayerNorm(4),
    nn.LayerNorm((4, 3)),
    LayerNorm2d(4),
    nn.GroupNorm(2, 4),
    nn.GroupNorm(2, 4, affine=False),
    nn.Linear(4, 2),
    nn.LSTM(4, 2, batch_first=True),
    nn.Flatten(1, 3),
    nn.Unflatten(1, (2, 2)),
    nn.Unflatten(1, (2, -1)),
    nn.PixelShuffle(2),
    nn.PixelUnshuffle(2),
    nn.ChannelShuffle(2),
    nn.Upsample(scale_factor=2),
    nn.Upsample(scale_factor=2, mode="bilinear"),
    nn.Unfold(3),
    nn.ReflectionPad2d(2),
    nn.CircularPad2d((1, 2, 3, 0)),
    nn.ReplicationPad2d(2),
    nn.GLU(1),
    nn.PReLU(4),
    nn.Softmax2d(),
    nn.ReLU(),
    nn.TransformerEncoderLayer(4, 2, dim_feedforward=4, batch_first=True),
]
SHAPES = [shape for dims in (1, 2, 3, 4) for shape in product((1, 2, 3, 4, 5) if dims < 4 else (1, 3, 4), repeat=dims)]


@pytest.mark.parametrize("window", WINDOWS, ids=str)
def test_the_smallest_input_is_the_smallest_that_runs(window: nn.Module):
    height, width = smallest_input(window)
    assert window(torch.zeros(1, 1, height, width)).numel() > 0
    for small in ((height - 1, width), (height, width - 1)):
        if min(small) > 0:
            with pytest.raises(RuntimeError):
                window(torch.zeros(1, 1, *small))


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: str(layer).partition("\n")[0])
def test_a_need_is_told_where_a_layer_refuses_and_nowhere_else(layer: nn.Module):
    layer.eval()
    for shape in SHAPES:
        wanted = need(layer, shape)
        if wanted is None:
            assert gives(layer, shape), shape
        elif wanted.words not in WORDS.values():  # with a dimension too few, torch takes the batch for the channels
            assert not gives(layer, shape), (shape, wanted)


def gives(layer: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether a batch of two such examples gives anything."""
    try:
        with torch.no_grad():
            out = layer(torch.zeros(2, *shape))
    except (RuntimeError, ValueError, IndexError, AssertionError, NotImplementedError):
        return False
    return (out if isinstance(out, torch.Tensor) else out[0]).numel() > 0


@pytest.mark.parametrize(
    ("module", "in_shape", "words", "larger"),
    [
        (nn.MaxPool2d(2), (64, 1, 1), "a map of at least 2×2", True),
        (nn.Conv2d(3, 8, 3), (4, 9, 9), "3 channels", False),
        (nn.Conv2d(3, 8, 3), (3,), "a map of channels × height × width", False),
        (nn.BatchNorm1d(512), (512, 7, 7), "a list of 512 features", False),
        (nn.Linear(512, 37), (512, 7, 7), "a list of 512 features", False),
        (nn.AdaptiveAvgPool2d(1), (512,), "a map of channels × height × width", False),
    ],
    ids=lambda value: getattr(value, "_get_name", str)(),
)
def test_what_is_needed_is_said(module: nn.Module, in_shape: tuple, words: str, larger: bool):
    found = need(module, in_shape)
    assert (found.words, found.larger) == (words, larger)


def test_layers_of_several_inputs_are_asked_for_each():
    attention = nn.MultiheadAttention(8, 2, kdim=4, vdim=6, batch_first=True)
    assert need(attention, (5, 8), (5, 4), (5, 6)) is None
    assert need(attention, (5, 8), (5, 8), (5, 6)).words == "4 features for each step of its key"
    assert need(nn.Bilinear(4, 5, 6), (4,), (5,)) is None
    assert need(nn.Bilinear(4, 5, 6), (4,), (6,)).got == "6 there"


def test_a_subclass_with_a_forward_of_its_own_is_not_judged_by_its_parent():
    class Padded(nn.Conv2d):
        def forward(self, x):
            return super().forward(nn.functional.pad(x, (9, 9, 9, 9)))

    assert need(Padded(3, 8, 5), (3, 1, 1)) is None and need(nn.Conv2d(3, 8, 5), (3, 1, 1)) is not None
