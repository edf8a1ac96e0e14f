"""Running modules on the meta device, for their shapes alone; `models.meta.Blank` builds them there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

ELEMENTWISE = frozenset((F.relu, F.dropout, F.sigmoid, Tensor.sigmoid, torch.sigmoid))


class ShapesOnly(TorchFunctionMode):
    """Functions that keep a shape hand back their input, and maps laid on one another are only measured.

    A torch function mode: it holds for the thread that enters it and ends with its `with` block.
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
