"""Building and running modules on the meta device, where a tensor has a shape and no numbers.

Both switches are torch function modes: they hold for the thread that enters them and end with their `with` block.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

FACTORIES = frozenset(
    (torch.empty, torch.zeros, torch.ones, torch.full, torch.tensor, torch.rand, torch.randn, torch.arange)
    + (torch.linspace, torch.eye, torch.as_tensor)
)
FILLS = frozenset(
    ("fill_", "zero_", "uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_", "constant_")
)
ELEMENTWISE = frozenset((F.relu, F.dropout, F.sigmoid, Tensor.sigmoid, torch.sigmoid))


class Blank(TorchFunctionMode):
    """Modules made inside stand on the meta device, and what would fill their tensors with numbers is left out.

    Unlike `with torch.device("meta")` this leaves no trace in torch's globals when threads overlap.
    """

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in FILLS:
            return args[0] if args else kwargs["tensor"]
        if func in FACTORIES and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)


class ShapesOnly(TorchFunctionMode):
    """Functions that keep a shape hand back their input, and maps laid on one another are only measured.

    The shapes are the same in a fraction of the time. A batch norm over a wrong number of channels, or maps of
    different sizes, still fail as they do in earnest.
    """

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func in ELEMENTWISE or (func is F.batch_norm and args[1].shape[0] == args[0].shape[1]):
            return args[0]
        if func is torch.cat and len(args) == 2 and args[1] == 1 and _same_but_channels(args[0]):
            first = args[0][0].shape
            channels = sum(tensor.shape[1] for tensor in args[0])
            return torch.empty(first[0], channels, *first[2:], device="meta")
        return func(*args, **(kwargs or {}))


def _same_but_channels(tensors: Sequence[Tensor]) -> bool:
    first = tensors[0].shape
    return all(t.ndim == len(first) and t.shape[0] == first[0] and t.shape[2:] == first[2:] for t in tensors)
