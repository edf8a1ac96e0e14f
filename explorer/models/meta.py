"""Building modules on the meta device, where a tensor has a shape and no numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

FACTORIES = frozenset(
    (torch.empty, torch.zeros, torch.ones, torch.full, torch.tensor, torch.rand, torch.randn, torch.arange)
    + (torch.linspace, torch.eye, torch.as_tensor)
)
FILLS = frozenset(
    ("fill_", "zero_", "uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_", "constant_")
)


class Blank(TorchFunctionMode):
    """Modules made inside stand on the meta device, and what would fill their tensors with numbers is left out.

    A torch function mode: it holds for the thread that enters it and ends with its `with` block. Unlike
    `with torch.device("meta")` it leaves no trace in torch's globals when threads overlap.
    """

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in FILLS:
            return args[0] if args else kwargs["tensor"]
        if func in FACTORIES and kwargs.get("device") is None:
            kwargs = {**kwargs, "device": "meta"}
        return func(*args, **kwargs)
