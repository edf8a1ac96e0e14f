"""Heads: from a body's features to the outputs, layer by layer as fastai lays them (fastai facts B)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm, nn.LayerNorm)


class AdaptiveConcatPool2d(nn.Module):
    """Maximum and average of each channel, side by side: (B, C, H, W) -> (B, 2C, size, size), maxima first."""

    def __init__(self, size: int | tuple[int, int] = 1):
        super().__init__()
        self.ap = nn.AdaptiveAvgPool2d(size)
        self.mp = nn.AdaptiveMaxPool2d(size)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.mp(x), self.ap(x)], dim=1)


class SigmoidRange(nn.Module):
    """Squeeze every output between `low` and `high`; the shape stays."""

    def __init__(self, low: float, high: float):
        super().__init__()
        self.low, self.high = low, high

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x) * (self.high - self.low) + self.low

    def extra_repr(self) -> str:
        return f"low={self.low:g}, high={self.high:g}"


def create_head(
    nf: int,
    n_out: int,
    *,
    lin_ftrs: Sequence[int] | None = None,
    ps: float | Sequence[float] = 0.5,
    pool: str | None = "concat",
    first_bn: bool = True,
    bn_final: bool = False,
    lin_first: bool = False,
    y_range: tuple[float, float] | None = None,
) -> nn.Sequential:
    """Pooling, flatten, then blocks of batch norm, dropout, linear and ReLU: (B, nf, H, W) -> (B, n_out).

    nf         channels out of the body, before pooling; "concat" doubles them
    lin_ftrs   widths of the hidden layers, one of 512 when None; none at all when empty
    ps         dropout before each linear layer; a single number is halved for all but the last
    pool       "concat", "avg", "max"; None takes flat features (B, nf)
    first_bn   batch norm before the first linear layer (with lin_first: in the first hidden block)
    bn_final   batch norm over the outputs
    lin_first  linear, ReLU, batch norm, dropout instead, and a last linear layer with bias
    y_range    outputs squeezed between two numbers

    A linear layer has a bias only where its block has no batch norm. Weights are as PyTorch makes them; see
    `init_head`. Raises ValueError for sizes, dropout or a range that cannot be meant. Source: fastai facts B.2, B.3.
    """
    _check_sizes(nf, n_out, lin_ftrs)
    check_range(y_range)
    pooling = _pooling(pool)
    sizes = [2 * nf if pool == "concat" else nf, *(512,) * (lin_ftrs is None), *(lin_ftrs or ()), n_out]
    drops = _spread_dropout(ps, len(sizes) - 1)
    norms = [first_bn] + [True] * (len(sizes) - 2)
    relu = nn.ReLU(inplace=True)
    build = _linear_first if lin_first else _norm_first

    layers = pooling + build(sizes, drops, norms, relu)
    if bn_final:
        layers.append(nn.BatchNorm1d(n_out, momentum=0.01))
    if y_range is not None:
        layers.append(SigmoidRange(*y_range))
    return nn.Sequential(*layers)


def init_head(head: nn.Module) -> nn.Module:
    """Draw the head's weights anew, in place: Kaiming normal for what has a fan-in, biases 0 (fastai facts B.5).

    Norm layers keep theirs, and so do one-dimensional weights of other layers (PReLU), which have no fan-in.
    """
    for module in head.modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, NORMS) or not isinstance(weight, nn.Parameter) or not weight.requires_grad:
            continue
        if weight.ndim > 1:
            nn.init.kaiming_normal_(weight)
        if isinstance(getattr(module, "bias", None), nn.Parameter) and weight.ndim > 1:
            nn.init.zeros_(module.bias)
    return head


def _pooling(pool: str | None) -> list[nn.Module]:
    if pool is None:
        return []
    pools = {"concat": AdaptiveConcatPool2d, "avg": nn.AdaptiveAvgPool2d, "max": nn.AdaptiveMaxPool2d}
    if pool not in pools:
        raise ValueError(f"Pooling is concat, avg, max or none, not {pool!r}.")
    return [pools[pool](1), nn.Flatten()]


def _norm_first(sizes: list[int], drops: list[float], norms: list[bool], relu: nn.ReLU) -> list[nn.Module]:
    """[batch norm, dropout, linear, ReLU] for each linear layer, no ReLU after the last."""
    layers: list[nn.Module] = []
    last = len(drops) - 1
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        layers += _batch_norm(n_in) * norms[i] + _dropout(drops[i])
        layers += [nn.Linear(n_in, n_out, bias=not norms[i])] + [relu] * (i < last)
    return layers


def _linear_first(sizes: list[int], drops: list[float], norms: list[bool], relu: nn.ReLU) -> list[nn.Module]:
    """Dropout, then [linear, ReLU, batch norm, dropout] for each hidden layer, then a linear layer with bias."""
    layers: list[nn.Module] = [nn.Dropout(drops[0])]
    for i, (n_in, n_out) in enumerate(pairwise(sizes[:-1])):
        layers += [nn.Linear(n_in, n_out, bias=not norms[i]), relu]
        layers += _batch_norm(n_out) * norms[i] + _dropout(drops[i + 1])
    return layers + [nn.Linear(sizes[-2], sizes[-1])]


def _batch_norm(n: int) -> list[nn.Module]:
    """Batch norm that starts at weight 1 and bias 0.001, fastai's choice."""
    norm = nn.BatchNorm1d(n)
    nn.init.constant_(norm.bias, 1e-3)
    return [norm]


def _dropout(p: float) -> list[nn.Module]:
    return [nn.Dropout(p)] if p else []


def _spread_dropout(ps: float | Sequence[float], n_layers: int) -> list[float]:
    """One dropout for each linear layer; ValueError for a wrong number of them or one outside [0, 1)."""
    drops = list(ps) if isinstance(ps, (list, tuple)) else None
    for p in [ps] if drops is None else drops:
        if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p < 1:
            raise ValueError(f"Dropout must be a number from 0 up to, but not including, 1, not {p!r}.")
    if drops is None:
        return [ps / 2] * (n_layers - 1) + [ps]
    if len(drops) != n_layers:
        raise ValueError(
            f"{len(drops)} dropout values for {n_layers} linear layers: give one for each, or a single number."
        )
    return drops


def _check_sizes(nf: int, n_out: int, lin_ftrs: Sequence[int] | None) -> None:
    if lin_ftrs is not None and not isinstance(lin_ftrs, (list, tuple)):
        raise ValueError(f"Head layers are a list of widths, not {lin_ftrs!r}.")
    named = [("number of features", nf), ("number of outputs", n_out)]
    named += [("width of a head layer", width) for width in lin_ftrs or ()]
    for what, value in named:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"The {what} must be a whole number of at least 1, not {value!r}.")


def check_range(y_range: tuple[float, float] | None) -> None:
    if y_range is None:
        return
    if not isinstance(y_range, (list, tuple)) or len(y_range) != 2:
        raise ValueError(f"y_range is a low and a high number, not {y_range!r}.")
    low, high = y_range
    if not all(isinstance(end, (int, float)) and math.isfinite(end) for end in y_range) or low >= high:
        raise ValueError(f"y_range must rise from a low to a high number, not from {low!r} to {high!r}.")
