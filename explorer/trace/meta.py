"""Running modules on the meta device, for their shapes alone, and seeing the products that functions make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from explorer.models.meta import ShapesOnly

__all__ = ["ATTENTION", "LINEAR", "PRODUCTS", "Products", "ShapesOnly"]

LINEAR, ATTENTION = F.linear, F.multi_head_attention_forward
PRODUCTS = frozenset(
    (LINEAR, ATTENTION, torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm, torch.einsum)
)

Note = Callable[[Callable, tuple, dict, Any], None]


class Products(ShapesOnly):
    """Runs for shapes, and tells of each function that multiplies matrices: (function, args, kwargs, output)."""

    def __init__(self, note: Note):
        super().__init__()
        self._note = note

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = super().__torch_function__(func, types, args, kwargs)
        if func in PRODUCTS:
            self._note(func, args, kwargs or {}, out)
        return out
