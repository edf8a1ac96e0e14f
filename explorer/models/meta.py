"""Building and running modules on the meta device, where a tensor has a shape and no numbers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

FACTORIES = frozenset((torch.empty, torch.zeros, torch.ones, torch.full))
FILLS = frozenset(
    ("fill_", "zero_", "uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_", "constant_")
)

ELEMENTWISE = frozenset(
    (F.relu, F.dropout, F.sigmoid, Tensor.sigmoid, torch.sigmoid, F.silu, F.gelu, F.hardswish, F.hardsigmoid, F.relu6)
    + (F.hardtanh, F.softmax)
)

POOLS_TO = frozenset((F.adaptive_avg_pool2d, F.adaptive_max_pool2d))


class Blank(TorchFunctionMode):
    """Modules made inside stand on the meta device, and what would fill their tensors with numbers is left out.

    Only the functions that layers allocate with are redirected: tensors that a builder computes with (a regnet's
    widths) keep their numbers. Buffers that are made of such tensors go to the meta device by `to_blank`.
    A torch function mode: it holds for the thread that enters it and ends with its `with` block. Unlike
    `with torch.device("meta")` it leaves no trace in torch's globals when threads overlap.
    """

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in FILLS:
            return args[0] if args else kwargs["tensor"]
        single = func is torch.tensor and args and isinstance(args[0], (int, float))  # batch norm's counter
        if (single or func in FACTORIES) and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)


def to_blank(module: nn.Module) -> nn.Module:
    """Move the buffers of a module to the meta device, in place, where its parameters stand there."""
    if any(parameter.is_meta for parameter in module.parameters()):
        for inner in module.modules():
            for name, buffer in inner.named_buffers(recurse=False):
                if not buffer.is_meta:
                    inner._buffers[name] = buffer.to("meta")
    return module


def blank_copy(module: nn.Module) -> nn.Module:
    """A copy on the meta device; the numbers are not copied on the way."""
    tensors = [*module.parameters(), *module.buffers()]
    blank = {
        id(t): nn.Parameter(t.detach().to("meta"), t.requires_grad) if isinstance(t, nn.Parameter) else t.to("meta")
        for t in tensors
    }
    return copy.deepcopy(module, blank)


class ShapesOnly(TorchFunctionMode):
    """Functions that keep a shape hand back their input, and maps laid on one another are only measured.

    A torch function mode: it holds for the thread that enters it and ends with its `with` block.
    The shapes are the same in a fraction of the time. A batch norm over a wrong number of channels, or maps of
    different sizes, still fail as they do in earnest.
    """

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func in ELEMENTWISE or (func is F.batch_norm and len(args) > 1 and _fits(*args[:2])):
            return args[0]
        if func is F.layer_norm and tuple(args[0].shape[-len(args[1]) :]) == tuple(args[1]):
            return args[0]
        if func in POOLS_TO and args[0].ndim == 4 and len(args) > 1 and isinstance(args[1], (int, tuple)):
            sides = args[1] if isinstance(args[1], tuple) else (args[1], args[1])
            if None not in sides:
                return torch.empty(*args[0].shape[:2], *sides, device="meta")
        if func is torch.cat and (args[1:] == (1,) or kwargs == {"dim": 1}) and _same_but_channels(args[0]):
            first = args[0][0].shape
            channels = sum(tensor.shape[1] for tensor in args[0])
            return torch.empty(first[0], channels, *first[2:], device="meta")
        return func(*args, **(kwargs or {}))


def _fits(x: Tensor, running_mean: Tensor | None) -> bool:
    """Whether a batch norm has statistics of its own, of as many channels as its input."""
    return running_mean is not None and running_mean.shape[0] == x.shape[1]


def _same_but_channels(tensors: Sequence[Tensor]) -> bool:
    first = tensors[0].shape
    return all(t.ndim == len(first) and t.shape[0] == first[0] and t.shape[2:] == first[2:] for t in tensors)
