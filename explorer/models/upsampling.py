"""What torch's own layers make of a small grid: the truth beside the upsampling bench's steps. Grids are (H, W)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from explorer.models.draws import borrowed_draws
from explorer.models.layers import PixelShuffleUp, draw_icnr, draw_kaiming

DRAWS = {"icnr": draw_icnr, "plain": draw_kaiming}


def nearest(grid: Tensor, kernel: Tensor) -> Tensor:
    """Nearest ×2, then a convolution with stride 1 that keeps the size: (H, W), odd (k, k) -> (2H, 2W)."""
    copies = F.interpolate(grid[None, None], scale_factor=2, mode="nearest")
    return F.conv2d(copies, kernel[None, None], padding=kernel.shape[-1] // 2)[0, 0]


def transposed(grid: Tensor, kernel: Tensor, stride: int, padding: int, output_padding: int) -> Tensor:
    """`torch.nn.functional.conv_transpose2d` with one channel: (H, W), (k, k) -> (H', W')."""
    out = F.conv_transpose2d(
        grid[None, None], kernel[None, None], stride=stride, padding=padding, output_padding=output_padding
    )
    return out[0, 0]


def transposed_side(side: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    """The side that torch gives a square map, found on meta."""
    with torch.device("meta"):
        return transposed(torch.empty(side, side), torch.empty(kernel, kernel), stride, padding, output_padding).shape[
            0
        ]


def shuffle_weights(init: str, seed: int) -> list[float]:
    """The four weights of a fresh 1×1 convolution from one channel to four; init "icnr" or "plain"."""
    with borrowed_draws():
        torch.manual_seed(seed)
        conv = nn.Conv2d(1, 4, 1, bias=False)
        DRAWS[init](conv)
    return conv.weight.detach().flatten().tolist()


def shuffled(grid: Tensor, weights: list[float], blur: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Channels (4, H, W), the patches made of them (2H, 2W), and those blurred where asked for.

    Computed by the decoder's own `PixelShuffleUp`, here without ReLU so that negative numbers stay.
    """
    with borrowed_draws(), torch.no_grad():
        up = PixelShuffleUp(1, 1, blur=blur, act_cls=None).to(grid.dtype)
        up[0][0].weight.copy_(torch.tensor(weights, dtype=grid.dtype).view(4, 1, 1, 1))
        layer, shuffle, *blurring = up
        channels = layer(grid[None, None])
        patches = shuffle(channels)
        last = nn.Sequential(*blurring)(patches)
    return channels[0], patches[0, 0], last[0, 0]


def random_kernels(count: int, kernel: int, seed: int) -> Tensor:
    """(count, k, k), normally distributed; smaller kernels are the corner of larger ones of the same seed."""
    drawn = torch.randn(count, 5, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn[:, :kernel, :kernel]


def of_constant(side: int, kernels: Tensor, stride: int, padding: int, output_padding: int) -> Tensor:
    """A picture of ones through many transposed convolutions: (count, k, k) -> (count, H', H')."""
    ones = torch.ones(1, 1, side, side, dtype=kernels.dtype)
    return F.conv_transpose2d(ones, kernels[None], stride=stride, padding=padding, output_padding=output_padding)[0]


def of_constant_nearest(side: int, kernels: Tensor) -> Tensor:
    """A picture of ones through nearest ×2 and many convolutions: odd (count, k, k) -> (count, 2H, 2H)."""
    ones = torch.ones(1, 1, side, side, dtype=kernels.dtype)
    copies = F.interpolate(ones, scale_factor=2, mode="nearest")
    return F.conv2d(copies, kernels[:, None], padding=kernels.shape[-1] // 2)[0]
