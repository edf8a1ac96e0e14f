"""What one module costs and how it is written: multiply-accumulates, bytes, a few words, and the line that makes it.

MACs count products for one example: of weights with activations, and in attention of activations with one another
(queries with keys, and their weights with values). Biases, norms, activations, pooling, and sums of skips are no
multiply-accumulates and count 0.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor, nn

from explorer.models.cutting import TokensToMap
from explorer.models.heads import NORMS, AdaptiveConcatPool2d, SigmoidRange
from explorer.trace.records import Shape

BYTES_PER_VALUE = 4

CONVS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
DROPOUTS = nn.modules.dropout._DropoutNd
POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
ADAPTIVE = (nn.modules.pooling._AdaptiveAvgPoolNd, nn.modules.pooling._AdaptiveMaxPoolNd)


def macs(module: nn.Module, in_shape: Shape, out_shape: Shape) -> int:
    """Multiply-accumulates of the module's own weights in one call; shapes are those of one example.

    A convolution multiplies each output value with one kernel over its group's channels, a transposed convolution
    each *input* value with one, a linear layer each output value with one row of its matrix.
    """
    if isinstance(module, CONVS):
        return prod(out_shape) * prod(module.weight.shape[1:])
    if isinstance(module, TRANSPOSED):
        return prod(in_shape) * prod(module.weight.shape[1:])
    if isinstance(module, nn.Linear):
        return prod(out_shape) * module.in_features
    if isinstance(module, nn.Bilinear):
        return prod(out_shape) * module.in1_features * module.in2_features
    return 0


def product_macs(func: Callable, args: tuple, out: Tensor) -> int:
    """Multiply-accumulates of a function that multiplies two tensors: a linear map, a matrix product, an einsum."""
    if func is not torch.einsum:
        return out.numel() * args[0].shape[-1]
    sizes: dict[str, int] = {}
    for labels, tensor in zip(args[0].split("->")[0].split(","), args[1:], strict=True):
        sizes |= dict(zip(labels.replace(" ", ""), tensor.shape, strict=True))
    return prod(sizes.values())


def attention_macs(args: tuple) -> int:
    """Multiply-accumulates of `F.multi_head_attention_forward` for queries (L, N, E) and keys (S, N, E): the three
    projections in, and the two products with the L×S weights. The projection out is the linear layer's own."""
    length, batch, width = args[0].shape
    keys = args[1].shape[0]
    return batch * width * (length * width + 2 * keys * width + 2 * length * keys)


def activation_bytes(out_shape: Shape) -> int:
    """Bytes of one example's output in float32."""
    return BYTES_PER_VALUE * prod(out_shape)


def is_norm(module: nn.Module) -> bool:
    """Whether fastai keeps the module trainable in a frozen group (facts G.4): batch, instance and layer norms."""
    return isinstance(module, NORMS)


def detail(module: nn.Module) -> str:
    """What the class's name does not say, in a few words: "64→64 3×3, stride 2", "p 0.25", "1024→512, no bias"."""
    if isinstance(module, CONVS + TRANSPOSED):
        return ", ".join((f"{module.in_channels}→{module.out_channels} {times(module.kernel_size)}", *_strides(module)))
    if isinstance(module, nn.Linear):
        return f"{module.in_features}→{module.out_features}" + (", no bias" if module.bias is None else "")
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return f"{module.num_features} channels" + ("" if module.momentum == 0.1 else f", momentum {module.momentum:g}")
    if isinstance(module, DROPOUTS):
        return f"p {module.p:g}"
    if isinstance(module, POOLS):
        return ", ".join((times(module.kernel_size), *_strides(module)))
    if isinstance(module, ADAPTIVE):
        return f"to {times(module.output_size)}"
    if isinstance(module, SigmoidRange):
        return f"{module.low:g} to {module.high:g}"
    return "maximum and average" if isinstance(module, AdaptiveConcatPool2d) else ""


def code(module: nn.Module) -> str:
    """The Python expression that makes such a module: "nn.Linear(1024, 512, bias=False)"; empty for a container."""
    if any(True for _ in module.children()) and not isinstance(module, AdaptiveConcatPool2d):
        return ""
    name = type(module).__name__
    prefix = "nn." if getattr(nn, name, None) is type(module) else ""
    return f"{prefix}{name}({', '.join(_arguments(module))})"


def _arguments(module: nn.Module) -> tuple[str, ...]:
    if isinstance(module, nn.Conv2d):
        return (
            f"{module.in_channels}, {module.out_channels}",
            f"kernel_size={_plain(module.kernel_size)}",
            *_unless(module, stride=1, padding=0, dilation=1, groups=1, padding_mode="zeros"),
            *(() if module.bias is not None else ("bias=False",)),
        )
    if isinstance(module, nn.Linear):
        return (f"{module.in_features}, {module.out_features}", *(() if module.bias is not None else ("bias=False",)))
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return (f"{module.num_features}", *_unless(module, eps=1e-5, momentum=0.1))
    if isinstance(module, DROPOUTS):
        return (f"p={module.p}",)
    if isinstance(module, nn.ReLU):
        return ("inplace=True",) if module.inplace else ()
    if isinstance(module, ADAPTIVE):
        return (f"{_plain(module.output_size)}",)
    if isinstance(module, POOLS):
        defaults = {"stride": _plain(module.kernel_size), "padding": 0, "dilation": 1, "ceil_mode": False}
        return (f"{_plain(module.kernel_size)}", *_unless(module, **defaults))
    if isinstance(module, SigmoidRange):
        return (f"{module.low!r}, {module.high!r}",)
    if isinstance(module, TokensToMap):
        return _unless(module, extra=1, last=False)
    return ()


def _unless(module: nn.Module, **defaults) -> tuple[str, ...]:
    values = {name: _plain(getattr(module, name, defaults[name])) for name in defaults}
    return tuple(f"{name}={value!r}" for name, value in values.items() if value != defaults[name])


def _plain(value):
    """A pair of equal numbers is written as one: (3, 3) is 3."""
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 else value


def _strides(module: nn.Module) -> list[str]:
    """Stride, dilation and groups, where they are not 1."""
    words = []
    for name in ("stride", "dilation", "groups"):
        value = _plain(getattr(module, name, 1))
        if value != 1:
            words.append(f"{name} {times(value) if isinstance(value, tuple) else value}")
    return words


def times(size: int | tuple) -> str:
    """A kernel's or a picture's size for people: 3 and (3, 3) are "3×3"."""
    if not isinstance(size, tuple):
        size = (size, size)
    return "×".join(map(str, size))
