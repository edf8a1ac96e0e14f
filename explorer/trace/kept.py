"""What autograd keeps: the bytes that a forward pass leaves for the backward pass, by the module that saved them.

The model runs on the meta device in training mode, so it costs no numbers, and in-place activations, views, dropout
masks, the statistics of batch norm and the indices of max pooling are counted as they are on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from explorer.trace.records import Shape

PRECISIONS = ("float32", "bf16")
aten = torch.ops.aten


def kept_bytes(model: nn.Module, in_shape: Shape, batch: int = 1, *, precision: str = "float32") -> dict[str, int]:
    """Bytes that autograd keeps between the forward and the backward pass of one batch, by module name.

    model      on the meta device; which parameters have `requires_grad` is respected, so a frozen start keeps nothing
    in_shape   of one example: (channels, height, width)
    precision  "float32", or "bf16": weights float32, convolutions and products in bfloat16 as under `torch.autocast`

    A tensor is counted whole and once, for the innermost module that ran when it was first saved; names are those of
    `named_modules`, the first one of a module that has several, and only modules that saved something are there.
    Parameters and buffers are no extra bytes and are left out, the bfloat16 copies of weights are counted. The picture
    is counted where a layer that learns takes it in. Equal to what the same hooks find in a real pass on a CPU.
    Raises ValueError for an unknown precision, and whatever a layer raises that cannot work on the shape.
    """
    check_precision(precision)
    with training(model), Shortcuts(), AsOnCpu(precision):
        return kept_by(model, torch.empty(batch, *in_shape, device="meta"))


def kept_by(model: nn.Module, x: Tensor) -> dict[str, int]:
    """The same for one forward pass of `x`, on any device and in the mode in which the model is."""
    own = {storage_key(tensor) for tensor in (*model.parameters(), *model.buffers())}
    held: dict[int, torch.UntypedStorage] = {}
    found: dict[str, int] = {}

    with running_modules(model) as running:

        def pack(tensor: Tensor) -> None:
            storage = tensor.untyped_storage()
            if storage._cdata not in own and storage._cdata not in held:
                held[storage._cdata] = storage
                found[running[-1]] = found.get(running[-1], 0) + storage.nbytes()

        with torch.enable_grad(), saved_tensors_hooks(pack, lambda _: None):
            model(x)
    return found


def storage_key(tensor: Tensor) -> int:
    """What tells a tensor's memory from all other memory that is alive."""
    return tensor.untyped_storage()._cdata


def check_precision(precision: str) -> None:
    """Raise ValueError unless it is one of PRECISIONS."""
    if precision not in PRECISIONS:
        raise ValueError(f"The precision is {' or '.join(PRECISIONS)}, not {precision!r}.")


@contextmanager
def running_modules(model: nn.Module) -> Iterator[list[str]]:
    """The names of the modules that run at the moment, the innermost last; the model's own is ""."""
    running: list[str] = []
    hooks = []
    for qual, module in model.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, qual=qual: running.append(qual)))
        hooks.append(module.register_forward_hook(lambda *_: running.pop() and None, always_call=True))
    try:
        yield running
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def training(model: nn.Module) -> Iterator[None]:
    """The model in training mode; afterwards every module is in the mode in which it was."""
    before = {module: module.training for module in model.modules()}
    model.train()
    try:
        yield
    finally:
        for module, mode in before.items():
            module.training = mode


class Shortcuts(TorchDispatchMode):
    """Shapes of the commonest operations on the meta device at once, for which torch takes up to 1.5 ms each."""

    def __torch_dispatch__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return shapes_of(func, args, kwargs or {})


def shapes_of(func: Callable, args: tuple, kwargs: dict) -> Any:
    """What the operation gives on the meta device, by its shortcut if it has one for these arguments."""
    shortcut = SHORTCUTS.get(func)
    made = shortcut(*args, **kwargs) if shortcut else NotImplemented
    return func(*args, **kwargs) if made is NotImplemented else made


def _alike(x: Tensor, *_) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device) if x.is_contiguous() else torch.empty_like(x)


def _conv(x, weight, bias, stride, padding, dilation, transposed, _, groups):
    if transposed or x.ndim != weight.ndim or x.shape[1] != groups * weight.shape[1] or not x.is_contiguous():
        return NotImplemented
    steps = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    sides = [(side + 2 * pad - gap * (kernel - 1) - 1) // step + 1 for side, kernel, step, pad, gap in steps]
    if min(sides) < 1:
        return NotImplemented
    return torch.empty(x.shape[0], weight.shape[0], *sides, dtype=x.dtype, device=x.device)


def _conv_backward(grad, x, weight, *rest):
    to_x, to_weight, to_bias = rest[-1]
    bias = torch.empty(grad.shape[1], dtype=grad.dtype, device=grad.device) if to_bias else None
    return _alike(x) if to_x else None, _alike(weight) if to_weight else None, bias


def _batch_norm(x, weight, bias, mean, var, train, *_):
    channels = x.shape[1] if train else 0
    statistics = [torch.empty(channels, device=x.device) for _ in range(2)]
    return _alike(x), *statistics


def _batch_norm_backward(grad, x, weight, *rest):
    wanted = rest[-1]
    affine = [torch.empty(x.shape[1], device=x.device) if mask else None for mask in wanted[1:]]
    return _alike(x) if wanted[0] else None, *affine


def _add(x, y, **_):
    same = isinstance(y, Tensor) and x.shape == y.shape and x.dtype == y.dtype
    return _alike(x) if same else NotImplemented


def _add_(x, y, **_):
    return x if not isinstance(y, Tensor) or x.shape == y.shape else NotImplemented


SHORTCUTS = {
    aten.convolution.default: _conv,
    aten.convolution_backward.default: _conv_backward,
    aten.native_batch_norm.default: _batch_norm,
    aten.native_batch_norm_backward.default: _batch_norm_backward,
    aten.relu.default: _alike,
    aten.relu_.default: lambda x: x,
    aten.threshold_backward.default: _alike,
    aten.add.Tensor: _add,
    aten.add_.Tensor: _add_,
}


class AsOnCpu(TorchFunctionMode):
    """Functions that would take another way on the meta device take the one that they take on a CPU.

    Attention goes through the kernel that keeps no matrix of attention weights. In "bf16" the products (PRODUCTS) have
    their floating arguments cast to bfloat16, as `torch.autocast("cpu", torch.bfloat16)` does, and hand bfloat16 on;
    torch has no autocast for the meta device. A batch norm may have a single value to a channel: shapes are the same.
    """

    def __init__(self, precision: str = "float32"):
        super().__init__()
        self.bf16 = precision == "bf16"

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if func is F.multi_head_attention_forward:
            with self:
                return attention(*args, **kwargs)
        if func is F.batch_norm:
            return batch_norm(*args, **kwargs)
        if self.bf16 and func in PRODUCTS:
            args, kwargs = [to_bf16(value) for value in args], {name: to_bf16(value) for name, value in kwargs.items()}
        if func is F.scaled_dot_product_attention:
            return flash(*args, **kwargs)
        return func(*args, **kwargs)


PRODUCTS = frozenset(
    (F.conv1d, F.conv2d, F.conv3d, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d, F.linear)
    + (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.mm, torch.bmm, torch.baddbmm, torch.addmm, torch.einsum)
    + (F.scaled_dot_product_attention,)
)


def to_bf16(value: Any) -> Any:
    """A float32 tensor in bfloat16; anything else as it is."""
    return value.to(torch.bfloat16) if isinstance(value, Tensor) and value.dtype == torch.float32 else value


def batch_norm(x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5) -> Tensor:
    """`F.batch_norm` without its check that there is more than one value to a channel."""
    return torch.batch_norm(x, weight, bias, mean, var, training, momentum, eps, False)


def flash(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, **_) -> Tensor:
    """Attention, (B, heads, tokens, width), by the CPU's own kernel; it knows no dropout, whose mask is left out."""
    kernel = aten._scaled_dot_product_flash_attention_for_cpu
    return kernel(query, key, value, 0.0, is_causal, attn_mask=attn_mask, scale=scale)[0]


def attention(query, key, value, width, heads, weight, bias, *rest, **kwargs) -> tuple[Tensor, None]:
    """Self-attention of (tokens, B, width) without masks, as `F.multi_head_attention_forward` goes about it."""
    out_weight, out_bias = rest[4], rest[5]
    tokens, batch, _ = query.shape
    projected = F.linear(query, weight, bias)
    thirds = projected.unflatten(-1, (3, width)).unsqueeze(0).transpose(0, -2).squeeze(-2).contiguous()
    apart = (third.view(tokens, batch * heads, width // heads).transpose(0, 1) for third in thirds)
    mixed = F.scaled_dot_product_attention(*(part.view(batch, heads, tokens, width // heads) for part in apart))
    out = F.linear(mixed.permute(2, 0, 1, 3).contiguous().view(tokens * batch, width), out_weight, out_bias)
    return out.view(tokens, batch, width), None
