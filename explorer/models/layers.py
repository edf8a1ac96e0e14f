"""The layers that decoders are made of: convolution with norm and activation, attention, upsampling, residual block.

Their weights are drawn as fastai draws them (fastai facts C.3, C.4, C.10).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

NORM_TYPES = (None, "batch", "instance", "weight", "spectral")
EXACT_START = 15  # power iterations before training, after which the largest singular value is known well

Activation = Callable[[], nn.Module]


class ConvLayer(nn.Sequential):
    """Convolution, norm, activation: (B, ni, H, W) -> (B, nf, H', W'), H' = H where the kernel is odd and stride 1.

    norm_type  None (then the convolution has a bias), "batch", "instance", "weight" or "spectral"
    act_cls    makes the activation; None for none
    zero_norm  the norm's weights start at 0, so that a residual block starts as the identity
    conv       the convolution itself, for another kind than an ordinary one
    draw       draws its weights and bias, in place
    """

    def __init__(
        self,
        ni: int,
        nf: int,
        ks: int = 3,
        *,
        norm_type: str | None = None,
        act_cls: Activation | None = nn.ReLU,
        zero_norm: bool = False,
        conv: nn.Module | None = None,
        draw: Callable[[nn.Module], None] | None = None,
    ):
        if norm_type not in NORM_TYPES:
            raise ValueError(f"The norm is {', '.join(map(str, NORM_TYPES[1:]))} or None, not {norm_type!r}.")
        if conv is None:
            conv = nn.Conv2d(ni, nf, ks, padding=ks // 2, bias=needs_bias(norm_type))
        (draw or draw_kaiming)(conv)
        layers = [normalised(conv, norm_type)]
        if norm_type in ("batch", "instance"):
            layers.append(norm_layer(nf, norm_type, zero_norm))
        if act_cls is not None:
            layers.append(activation(act_cls))
        super().__init__(*layers)


class ResBlock(nn.Module):
    """Two 3×3 convolutions around which the input goes, too: (B, ni, H, W) -> (B, ni, H, W); `hidden` between them."""

    def __init__(self, ni: int, hidden: int, *, norm_type: str | None = None, act_cls: Activation = nn.ReLU):
        super().__init__()
        self.convpath = nn.Sequential(
            ConvLayer(ni, hidden, norm_type=norm_type, act_cls=act_cls),
            ConvLayer(hidden, ni, norm_type=norm_type, act_cls=None, zero_norm=True),
        )
        self.act = activation(act_cls)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.convpath(x) + x)


class SelfAttention(nn.Module):
    """Every place looks at every other: (B, C, H, W) -> the same shape. Source: Self-Attention GAN, arXiv 1805.08318.

    Starts as the identity, because `gamma` starts at 0. Memory grows with (H·W)².
    """

    def __init__(self, channels: int):
        super().__init__()
        inner = max(1, channels // 8)
        self.query, self.key, self.value = (_pointwise(channels, width) for width in (inner, inner, channels))
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        places = x.flatten(2)
        query, key, value = self.query(places), self.key(places), self.value(places)
        weights = torch.bmm(query.transpose(1, 2), key).softmax(dim=1)
        return (self.gamma * torch.bmm(value, weights) + places).reshape(x.shape)


class PixelShuffleUp(nn.Sequential):
    """Double the grid: (B, ni, H, W) -> (B, nf, 2H, 2W).

    A 1×1 convolution makes four values for each new 2×2 cell. They start equal (ICNR, arXiv 1707.02937), so that a
    fresh one enlarges like nearest neighbour. With `blur` each pixel becomes the mean of itself and its neighbours
    above and to the left (arXiv 1806.02658).
    """

    def __init__(
        self,
        ni: int,
        nf: int,
        *,
        blur: bool = False,
        norm_type: str | None = None,
        act_cls: Activation = nn.ReLU,
    ):
        layer = ConvLayer(ni, 4 * nf, ks=1, norm_type=norm_type, act_cls=act_cls, draw=draw_icnr)
        blurring = [nn.ReplicationPad2d((1, 0, 1, 0)), nn.AvgPool2d(2, stride=1)] if blur else []
        super().__init__(layer, nn.PixelShuffle(2), *blurring)


class SpectralNorm(nn.Module):
    """A weight divided by its largest singular value (arXiv 1802.05957), for `torch.nn.utils.parametrize`.

    One power iteration a training step follows the singular value. Order of steps and of tensors is that of
    `torch.nn.utils.spectral_norm`, which fastai uses; but the first value is found before the first step, so that a
    fresh layer can be evaluated.
    """

    def __init__(self, weight: Tensor):
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.register_buffer("u", F.normalize(weight.new_empty(matrix.shape[0]).normal_(), dim=0, eps=1e-12))
        self.register_buffer("v", F.normalize(weight.new_empty(matrix.shape[1]).normal_(), dim=0, eps=1e-12))
        for _ in range(EXACT_START):
            self._iterate(matrix)

    def forward(self, weight: Tensor) -> Tensor:
        matrix = weight.flatten(1)
        if self.training:
            self._iterate(matrix)
        u, v = self.u.clone(), self.v.clone()
        return weight / torch.dot(u, torch.mv(matrix, v))

    @torch.no_grad()
    def _iterate(self, matrix: Tensor) -> None:
        """One power iteration; on the meta device there is nothing to follow."""
        if matrix.is_meta:
            return
        self.v.copy_(F.normalize(torch.mv(matrix.t(), self.u), dim=0, eps=1e-12))
        self.u.copy_(F.normalize(torch.mv(matrix, self.v), dim=0, eps=1e-12))


def norm_layer(channels: int, norm_type: str = "batch", zero: bool = False) -> nn.Module:
    """Batch or instance norm that starts at weight 1 (or 0) and bias 0.001, fastai's choice."""
    norm = nn.BatchNorm2d(channels) if norm_type == "batch" else nn.InstanceNorm2d(channels, affine=True)
    nn.init.constant_(norm.weight, 0.0 if zero else 1.0)
    nn.init.constant_(norm.bias, 1e-3)
    return norm


def activation(act_cls: Activation) -> nn.Module:
    """ReLU writes over the convolution's output, which nothing else needs."""
    return nn.ReLU(inplace=True) if act_cls is nn.ReLU else act_cls()


def needs_bias(norm_type: str | None) -> bool:
    return norm_type not in ("batch", "instance")


def normalised(conv: nn.Module, norm_type: str | None) -> nn.Module:
    """The convolution with its weight normalised, for "weight" and "spectral"; its values stay as they are drawn."""
    if norm_type == "weight":
        return parametrizations.weight_norm(conv)
    if norm_type == "spectral":
        parametrize.register_parametrization(conv, "weight", SpectralNorm(conv.weight))
    return conv


def draw_kaiming(conv: nn.Module) -> None:
    """Kaiming normal weights and no bias, in place."""
    nn.init.kaiming_normal_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def draw_icnr(conv: nn.Module) -> None:
    """Kaiming normal weights of which each four output channels in a row have the same, and no bias, in place."""
    draw_kaiming(conv)
    with torch.no_grad():
        conv.weight.copy_(conv.weight[::4].repeat_interleave(4, dim=0))


def draw_output(conv: nn.Module) -> None:
    """PyTorch's own weights, and biases close to 0, in place: fastai's choice where no activation follows."""
    if conv.bias is not None:
        nn.init.normal_(conv.bias, 0, 0.01)


def _pointwise(ni: int, nf: int) -> nn.Sequential:
    """A 1×1 convolution over places in a row, (B, ni, S) -> (B, nf, S), spectrally normalised."""
    return nn.Sequential(normalised(nn.Conv1d(ni, nf, 1, bias=False), "spectral"))
