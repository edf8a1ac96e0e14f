"""How torch's operations carry a spread from their inputs to their outputs: one rule each, with torch's signature."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from explorer.trace.spread import (
    BLOCKING,
    FAR,
    UNKNOWN,
    Ruler,
    Spread,
    along,
    arranged,
    cover,
    cut_rulers,
    index_for,
    inside,
    is_one,
    padded,
    reduced,
    regrouped,
    shape_groups,
    take_both,
    unblocked,
    union,
    varies,
    window_taps,
    with_ndim,
)

ELEMENTWISE = frozenset((
    "abs", "add", "addcdiv", "addcmul", "alpha_dropout", "bfloat16", "celu", "channel_shuffle", "clamp",
    "clamp_max", "clamp_min", "clip", "clone", "contiguous", "cos", "detach", "div", "double", "dropout",
    "dropout2d", "elu", "erf", "exp", "feature_dropout", "float", "floor", "gelu", "half", "hardsigmoid",
    "hardswish", "hardtanh", "iadd", "idiv", "imul", "isub", "itruediv", "leaky_relu", "lerp", "log", "logsigmoid",
    "masked_fill", "maximum", "minimum", "mish", "mul", "multiply", "native_dropout", "neg", "pow", "prelu", "radd",
    "rdiv", "reciprocal", "relu", "relu6", "requires_grad", "rmul", "round", "rpow", "rrelu", "rsqrt", "rsub",
    "rtruediv", "selu", "sigmoid", "sign", "silu", "sin", "softplus", "softsign", "sqrt", "square", "sub", "tanh",
    "threshold", "to", "true_divide", "truediv", "type", "type_as", "where",
))  # fmt: skip
PRODUCTS = frozenset(("mul", "rmul", "imul", "multiply"))
SUMS = frozenset(("add", "radd", "iadd"))
RESHAPES = frozenset(("reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "reshape_as", "view_as"))


class Spreading(TorchFunctionMode):
    """Functions inside compute shapes and carry the spread of the picture from inputs to outputs.

    A torch function mode: it holds for the thread that enters it and ends with its `with` block.
    """

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "new_zeros":  # an attention's mask is built from it, and its numbers matter
            return torch.Tensor.new_zeros(torch.empty(0), *args[1:], **{**kwargs, "device": "cpu"})
        spreads = [
            spread_of(tensor) for tensor in tensors_in((*args, *kwargs.values())) if spread_of(tensor) is not None
        ]
        if not spreads:
            return _run(func, args, kwargs)
        plain = name.strip("_")
        if any(spread is UNKNOWN for spread in spreads):
            return _unknown(func, args, kwargs)
        if plain in ELEMENTWISE:
            return _elementwise(plain, args, kwargs, in_place=name[-1:] == "_" != name[:1] or kwargs.get("inplace"))
        if plain in RESHAPES:
            return _reshaped(func, args, kwargs)
        rule = RULES.get(plain)
        return _unknown(func, args, kwargs) if rule is None else rule(*args, **kwargs)


def _run(func: Callable, args: tuple, kwargs: dict) -> Any:
    """The function on the meta device, unless all it works on has numbers."""
    if len({tensor.device.type for tensor in tensors_in((*args, *kwargs.values()))}) > 1:
        args, kwargs = _to_meta(args), _to_meta(kwargs)
    return func(*args, **kwargs)


def _unknown(func: Callable, args: tuple, kwargs: dict) -> Any:
    out = _run(func, args, kwargs)
    if func is Tensor.__setitem__:
        args[0].spread = UNKNOWN
    for tensor in tensors_in((out,)):
        tensor.spread = UNKNOWN
    return out


def tensors_in(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from tensors_in(value)
        elif isinstance(value, dict):
            yield from tensors_in(value.values())


def _to_meta(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value if value.device.type == "meta" else value.detach().to("meta")
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(map(_to_meta, value))
    return {key: _to_meta(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def spread_of(value: Any) -> Spread | None:
    return getattr(value, "spread", None)


def marked(tensor: Tensor, spread: Spread) -> Tensor:
    tensor.spread = spread
    return tensor


def _made(shape: Sequence[int], spread: Spread) -> Tensor:
    return marked(torch.empty(shape, device="meta"), spread)


def _windowed(x: Tensor, channels: int, taps: tuple[np.ndarray, np.ndarray], rulers: Any) -> Tensor:
    """A map each of whose cells takes the cells `taps` (cells, taken) of `x` along height and width."""
    spread = reduced(x.spread, (1,), 4) if varies(x.spread, 1) else x.spread
    straight = not (varies(x.spread, 1) or spread.low[0].shape[3] > 1 or spread.low[1].shape[2] > 1)
    rulers = tuple(
        new if straight and old.uniform else new.uneven() for new, old in zip(rulers, x.spread.rulers, strict=True)
    )
    low = tuple(take_both(array, axis, x.shape, taps, FAR, np.min) for axis, array in enumerate(spread.low))
    high = tuple(take_both(array, axis, x.shape, taps, 0, np.max) for axis, array in enumerate(spread.high))
    size = [len(taken) for taken in taps]
    place = (along(2, np.arange(size[0])), along(3, np.arange(size[1])))
    return _made((x.shape[0], channels, *size), Spread(low, high, place, rulers, spread.gated))


def _elementwise(name: str, args: tuple, kwargs: dict, in_place: bool | None) -> Tensor:
    tensors = list(tensors_in((*args, *kwargs.values())))
    spread = tensors[0].spread if len(tensors) == 1 else _joined(name, tensors)
    if in_place:
        return marked(args[0], spread)
    first = tensors[0].shape
    same = all(tensor.shape == first for tensor in tensors)
    return _made(first if same else torch.broadcast_shapes(*(tensor.shape for tensor in tensors)), spread)


def _joined(name: str, tensors: list[Tensor]) -> Spread:
    ndim = max(tensor.ndim for tensor in tensors)
    spreads = [with_ndim(tensor.spread, ndim) for tensor in tensors if spread_of(tensor)]
    if name in PRODUCTS and len(spreads) == 2:
        gates = [spread for spread in spreads if is_one(spread) and not any(r.uniform for r in spread.rulers)]
        if len(gates) == 1:
            (gated,) = [spread for spread in spreads if spread is not gates[0]]
            return replace(gated, gated=True)
    united = union(spreads)
    blocked = _mask(tensors) if name in SUMS else None
    return united if blocked is None else replace(united, blocked=blocked)


def _mask(tensors: list[Tensor]) -> np.ndarray | None:
    """Where a constant takes so much off that a softmax leaves nothing."""
    for tensor in tensors:
        if spread_of(tensor) is None and tensor.device.type == "cpu" and tensor.ndim > 1 and type(tensor) is Tensor:
            blocked = (tensor <= BLOCKING).numpy()
            if blocked.any():
                return blocked
    return None


def _reshaped(func: Callable, args: tuple, kwargs: dict) -> Tensor:
    x, out = args[0], func(*args, **kwargs)
    groups = shape_groups(tuple(x.shape), tuple(out.shape))
    return marked(out, arranged(x.spread, lambda array: regrouped(array, x.shape, out.shape, groups)))


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: Any = 1,
) -> Tensor:
    kernel, stride, dilation = tuple(weight.shape[2:]), _two(stride), _two(dilation)
    if padding == "same":
        edges = [((d * (k - 1)) // 2, d * (k - 1)) for k, d in zip(kernel, dilation, strict=True)]
    else:
        edges = [(p, 2 * p) for p in _two(0 if padding == "valid" else padding)]
    if input.ndim != 4 or input.shape[1] != weight.shape[1] * groups:
        return _unknown(torch.conv2d, (input, weight, None, stride, padding, dilation, groups), {})
    if kernel == stride == (1, 1) and edges == [(0, 0), (0, 0)] and not varies(input.spread, 1):
        return _made((input.shape[0], weight.shape[0], *input.shape[2:]), input.spread)
    out = [
        (n + both - d * (k - 1) - 1) // s + 1
        for n, (_, both), d, k, s in zip(input.shape[2:], edges, dilation, kernel, stride, strict=True)
    ]
    if min(out) < 1:
        return _unknown(torch.conv2d, (input, weight, None, stride, padding, dilation, groups), {})
    return _slide(input, weight.shape[0], out, kernel, stride, [before for before, _ in edges], dilation)


def _slide(x: Tensor, channels: int, out: Any, kernel: Any, stride: Any, before: Any, dilation: Any) -> Tensor:
    windows = list(zip(kernel, stride, before, dilation, strict=True))
    taps = tuple(window_taps(n, o, *window) for n, o, window in zip(x.shape[2:], out, windows, strict=True))
    rulers = tuple(ruler.window(*window) for ruler, window in zip(x.spread.rulers, windows, strict=True))
    return _windowed(x, channels, taps, rulers)


def _conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: Any = 1,
    dilation: Any = 1,
) -> Tensor:
    options = (stride, padding, output_padding, groups, dilation)
    shape = torch.conv_transpose2d(_to_meta(input), _to_meta(weight), None, *options).shape
    taps, rulers = [], []
    for ruler, n, out, k, s, p, d in zip(
        input.spread.rulers, input.shape[2:], shape[2:], weight.shape[2:], _two(stride), _two(padding), _two(dilation),
        strict=True,
    ):  # fmt: skip
        reached = np.arange(out)[:, None] + p - np.arange(k) * d
        taps.append(inside(np.where(reached % s == 0, reached // s, -1), n))
        jump, shift = ruler.jump / s, (p - d * (k - 1) / 2) * ruler.jump / s
        rulers.append(Ruler(jump, ruler.left + shift, ruler.right + shift, False))
    return _windowed(input, shape[1], tuple(taps), tuple(rulers))


def _max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: Any = False,
    return_indices: Any = False,
) -> Tensor:
    kernel, padding, dilation = _two(kernel_size), _two(padding), _two(dilation)
    stride = kernel if stride is None or stride == [] else _two(stride)
    shape = tuple(torch.max_pool2d(input, kernel, stride, padding, dilation, ceil_mode).shape)
    return _slide(input, shape[1], shape[2:], kernel, stride, padding, dilation)


def _avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: Any = False,
    count_include_pad: Any = True,
    divisor_override: Any = None,
) -> Tensor:
    kernel, padding = _two(kernel_size), _two(padding)
    stride = kernel if stride is None or stride == [] else _two(stride)
    shape = tuple(torch._C._nn.avg_pool2d(input, kernel, stride, padding, ceil_mode).shape)
    return _slide(input, shape[1], shape[2:], kernel, stride, padding, (1, 1))


def _adaptive_pool2d(input: Tensor, output_size: Any, return_indices: Any = False) -> Tensor:
    wanted = _two(output_size)
    out = [n if size is None else size for n, size in zip(input.shape[-2:], wanted, strict=True)]
    taps, rulers = [], []
    for ruler, n, cells in zip(input.spread.rulers, input.shape[-2:], out, strict=True):
        first = np.arange(cells) * n // cells
        last = -(-(np.arange(cells) + 1) * n // cells)
        kernel = int((last - first).max())
        taken = first[:, None] + np.arange(kernel)
        taps.append(np.where(taken < last[:, None], taken, n))
        even = n % cells == 0 and (cells > 1 or n == 1)
        moved = ruler.window(kernel, n / cells if n % cells else n // cells, 0)
        rulers.append(moved if even else moved.uneven())
    return _windowed(input, input.shape[1], tuple(taps), tuple(rulers))


def _interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: Any = None,
    recompute_scale_factor: Any = None,
    antialias: Any = False,
) -> Tensor:
    options = {"recompute_scale_factor": recompute_scale_factor, "antialias": antialias}
    if mode in ("bilinear", "bicubic"):
        options["align_corners"] = align_corners
    if input.ndim != 4 or antialias or align_corners or mode not in ("nearest", "nearest-exact", "bilinear"):
        return _unknown(nn.functional.interpolate, (input, size, scale_factor, mode), options)
    shape = nn.functional.interpolate(input, size, scale_factor, mode, **options).shape
    given = None if scale_factor is None or recompute_scale_factor else _two(scale_factor)
    taps, rulers = [], []
    for axis, (n, out) in enumerate(zip(input.shape[2:], shape[2:], strict=True)):
        ruler, step = input.spread.rulers[axis], 1 / given[axis] if given else n / out
        at = np.arange(out) * step if mode == "nearest" else (np.arange(out) + 0.5) * step
        if mode == "bilinear":
            at = np.maximum(at - 0.5, 0)
        first = np.minimum(np.floor(at).astype(int), n - 1)
        second = np.minimum(first + (at > first), n - 1) if mode == "bilinear" else first
        taps.append(np.stack([first, second], 1))
        shift = (step - 1) / 2 * ruler.jump
        rulers.append(Ruler(ruler.jump * step, ruler.left + shift, ruler.right + shift, False))
    return _windowed(input, shape[1], tuple(taps), tuple(rulers))


def _pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    r, (_, channels, *size) = upscale_factor, input.shape
    taps = tuple((np.arange(n * r) // r)[:, None] for n in size)
    rulers = tuple(ruler._replace(jump=ruler.jump / r, uniform=False) for ruler in input.spread.rulers)
    return _windowed(input, channels // r**2, taps, rulers)


def _pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    r, out = downscale_factor, [n // downscale_factor for n in input.shape[2:]]
    return _slide(input, input.shape[1] * r**2, out, (r, r), (r, r), (0, 0), (1, 1))


def _pad(input: Tensor, pad: Any, mode: str = "constant", value: Any = None) -> Tensor:
    out = nn.functional.pad(input, pad, mode, value)
    spread = input.spread
    for k in range(len(pad) // 2):
        spread = padded(spread, input.ndim - 1 - k, pad[2 * k], pad[2 * k + 1], mode)
    return marked(out, spread)


def _getitem(input: Tensor, index: Any) -> Tensor:
    index = index if isinstance(index, tuple) else (index,)
    if not all(item is None or item is Ellipsis or type(item) in (int, slice) for item in index):
        return _unknown(Tensor.__getitem__, (input, index), {})
    named = sum(item is not None and item is not Ellipsis for item in index)
    rest = (slice(None),) * (input.ndim - named)
    if Ellipsis in index:
        here = index.index(Ellipsis)
        index = (*index[:here], *rest, *index[here + 1 :])
    else:
        index = (*index, *rest)
    spread, dim = input.spread, 0
    for item in index:
        if isinstance(item, slice):
            start, _, step = item.indices(input.shape[dim])
            spread = replace(spread, rulers=cut_rulers(spread, dim, start, step))
        dim += item is not None
    return marked(input[index], arranged(spread, lambda array: array[index_for(array, index)]))


def _split(func: Callable) -> Callable:
    def rule(input: Tensor, how: Any, dim: int = 0) -> tuple:
        dim = dim % input.ndim
        pieces, first = [], 0
        for piece in func(input, how, dim):
            stop = first + piece.shape[dim]
            pieces.append(_getitem(input, (slice(None),) * dim + (slice(first, stop),)))
            first = stop
        return tuple(pieces)

    return rule


def _chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple:
    return _split(torch.chunk)(input, chunks, dim)


def _split_sizes(tensor: Tensor, split_size_or_sizes: Any = None, dim: int = 0, *, split_size: Any = None) -> tuple:
    return _split(torch.split)(tensor, split_size if split_size_or_sizes is None else split_size_or_sizes, dim)


def _unbind(input: Tensor, dim: int = 0) -> tuple:
    dim = dim % input.ndim
    return tuple(_getitem(input, (slice(None),) * dim + (i,)) for i in range(input.shape[dim]))


def _cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    first = tensors[0].shape
    dim, rest = dim % len(first), list(first)
    if any(t.ndim != len(first) or any(t.shape[d] != first[d] for d in range(t.ndim) if d != dim) for t in tensors):
        return _unknown(torch.cat, (tensors, dim), {})
    rest[dim] = sum(tensor.shape[dim] for tensor in tensors)
    spreads = [tensor.spread for tensor in tensors if spread_of(tensor)]
    if not any(varies(spread, dim) for spread in spreads):
        return _made(rest, union(spreads))

    def joined(which: str, axis: int, nothing: int) -> np.ndarray:
        parts = [getattr(t.spread, which)[axis] if spread_of(t) else np.array(nothing) for t in tensors]
        shape = np.broadcast_shapes(*([1 if d == dim else n for d, n in enumerate(part.shape)] for part in parts))
        return np.concatenate(
            [np.broadcast_to(p, [t.shape[dim] if d == dim else n for d, n in enumerate(shape)])
             for p, t in zip(parts, tensors, strict=True)], dim
        )  # fmt: skip

    low, high, place = (
        (joined(which, 0, nothing), joined(which, 1, nothing))
        for which, nothing in (("low", FAR), ("high", 0), ("place", FAR))
    )
    rulers = tuple(cover([spread.rulers[axis] for spread in spreads]) for axis in (0, 1))
    if len(spreads) > 1:
        rulers = tuple(ruler.uneven() for ruler in rulers)
    return _made(rest, Spread(low, high, place, rulers, any(spread.gated for spread in spreads)))


def _stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    dim = dim % (tensors[0].ndim + 1)
    spreads = [tensor.spread for tensor in tensors if spread_of(tensor)]
    return marked(
        torch.stack(_to_meta(tensors), dim), arranged(union(spreads), lambda array: np.expand_dims(array, dim))
    )


def _permute(input: Tensor, *dims: Any) -> Tensor:
    dims = tuple(dims[0]) if len(dims) == 1 and not isinstance(dims[0], int) else dims
    return marked(input.permute(dims), arranged(input.spread, lambda array: array.transpose(dims)))


def _transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    return marked(input.transpose(dim0, dim1), arranged(input.spread, lambda array: array.swapaxes(dim0, dim1)))


def _expand(input: Tensor, *sizes: Any) -> Tensor:
    out = input.expand(*sizes)
    return marked(out, with_ndim(input.spread, out.ndim))


def _roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    if dims is None:
        return _unknown(torch.roll, (input, shifts), {})
    return marked(torch.roll(input, shifts, dims), arranged(input.spread, lambda array: np.roll(array, shifts, dims)))


def _linear(input: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
    if input.shape[-1] != weight.shape[1]:
        return _unknown(nn.functional.linear, (input, weight), {})
    spread = reduced(input.spread, (-1,), input.ndim) if varies(input.spread, input.ndim - 1) else input.spread
    return _made((*input.shape[:-1], weight.shape[0]), spread)


def _batch_norm(
    input: Tensor,
    running_mean: Any,
    running_var: Any,
    weight: Tensor = None,
    bias: Any = None,
    training: Any = False,
    *settings: Any,
    **named: Any,
) -> Tensor:
    if running_mean is not None and running_mean.shape[0] != input.shape[1]:
        return _unknown(nn.functional.batch_norm, (input, running_mean, running_var), {})
    return _over(input, {0, *range(2, input.ndim)}) if training else _made(input.shape, input.spread)


def _layer_norm(input: Tensor, normalized_shape: Any, *settings: Any, **named: Any) -> Tensor:
    if tuple(input.shape[-len(normalized_shape) :]) != tuple(normalized_shape):
        return _unknown(nn.functional.layer_norm, (input, normalized_shape), {})
    return _over(input, range(-len(normalized_shape), 0))


def _whole_norm(input: Tensor, *settings: Any, **named: Any) -> Tensor:
    return _over(input, range(1, input.ndim))


def _channel_norm(input: Tensor, *settings: Any, **named: Any) -> Tensor:
    return _over(input, (1,))


def _normalize(input: Tensor, p: Any = 2.0, dim: int = 1, *settings: Any, **named: Any) -> Tensor:
    return _over(input, dim if isinstance(dim, tuple) else (dim,))


def _over(x: Tensor, dims: Iterable[int]) -> Tensor:
    """A tensor of the same shape, each entry of which depends on all along these dimensions."""
    dims = tuple(dim % x.ndim for dim in dims)
    if not any(varies(x.spread, dim) for dim in dims):
        return _made(x.shape, x.spread)
    place = x.spread.place
    return _made(x.shape, replace(reduced(x.spread, dims, x.ndim), place=place))


def _softmax(input: Tensor, dim: Any = None, *settings: Any, **named: Any) -> Tensor:
    if dim is None:
        return _unknown(torch.softmax, (input, -1), {})
    spread, blocked = input.spread, input.spread.blocked
    if blocked is not None:
        low = tuple(np.where(blocked, FAR, array) for array in spread.low)
        high = tuple(np.where(blocked, 0, array) for array in spread.high)
        spread = replace(spread, low=low, high=high)
    return _made(input.shape, replace(reduced(spread, (dim,), input.ndim), blocked=blocked))


def _matmul(input: Tensor, other: Tensor) -> Tensor:
    out = torch.matmul(_to_meta(input), _to_meta(other))
    if min(input.ndim, other.ndim) < 2:
        return marked(out, UNKNOWN)
    ndim = out.ndim
    spreads = []
    if spread_of(input):
        spreads.append(with_ndim(reduced(input.spread, (-1,), input.ndim), ndim))
    if spread_of(other):
        blocked = input.spread.blocked if spread_of(input) else None
        spread = other.spread if blocked is None else unblocked(other.spread, blocked)
        spreads.append(with_ndim(reduced(spread, (-1,) if blocked is not None else (-2,), spread.low[0].ndim), ndim))
    return marked(out, union(spreads))


def _einsum(equation: str, *operands: Any) -> Tensor:
    operands = tuple(tensors_in(operands))
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    if not arrow or "." in equation:
        return _unknown(torch.einsum, (equation, *operands), {})
    spreads = []
    for labels, operand in zip(inputs.split(","), operands, strict=True):
        if spread_of(operand):
            gone = tuple(i for i, label in enumerate(labels) if label not in output)
            kept = [label for label in labels if label in output]
            order = [kept.index(label) for label in output if label in kept]
            new = tuple(i for i, label in enumerate(output) if label not in kept)
            spread = reduced(operand.spread, gone, operand.ndim, keepdim=False) if gone else operand.spread
            spreads.append(
                arranged(spread, lambda array, order=order, new=new: np.expand_dims(array.transpose(order), new))
            )
    return marked(torch.einsum(equation, *_to_meta(operands)), union(spreads))


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Any = None,
    dropout_p: Any = 0.0,
    is_causal: Any = False,
    **settings: Any,
) -> Tensor:
    out = torch.nn.functional.scaled_dot_product_attention(*_to_meta((query, key, value)))
    if attn_mask is not None or is_causal:
        return marked(out, UNKNOWN)
    return marked(out, _attended(query, key, value, -2))


def _multi_head_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    *settings: Any,
    need_weights: Any = True,
    attn_mask: Any = None,
    **named: Any,
) -> tuple:
    mask = named.get("key_padding_mask")
    spread = UNKNOWN if attn_mask is not None or mask is not None else _attended(query, key, value, 0)
    weights = _made((query.shape[1], query.shape[0], key.shape[0]), UNKNOWN) if need_weights else None
    return _made(query.shape, spread), weights


def _attended(query: Tensor, key: Tensor, value: Tensor, tokens: int) -> Spread:
    """Each query with all keys and values along the dimension `tokens`; the features, last, are mixed."""
    spreads = [reduced(query.spread, (-1,), query.ndim)] if spread_of(query) else []
    spreads += [reduced(t.spread, (-1, tokens), t.ndim) for t in (key, value) if spread_of(t)]
    return union(spreads)


def _reduction(func: Callable) -> Callable:
    def rule(input: Tensor, dim: Any = None, keepdim: Any = False, **settings: Any) -> Tensor:
        out = func(input) if dim is None else func(input, dim, keepdim=keepdim)
        dims = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
        return marked(out, reduced(input.spread, dims, input.ndim, keepdim and dim is not None))

    return rule


def _two(value: Any) -> tuple:
    return tuple(value) * (2 if len(value) == 1 else 1) if isinstance(value, (list, tuple)) else (value, value)


RULES: dict[str, Callable] = {
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "adaptive_avg_pool2d": _adaptive_pool2d,
    "adaptive_max_pool2d": _adaptive_pool2d,
    "interpolate": _interpolate,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "pad": _pad,
    "getitem": _getitem,
    "chunk": _chunk,
    "split": _split_sizes,
    "unbind": _unbind,
    "cat": _cat,
    "concat": _cat,
    "stack": _stack,
    "permute": _permute,
    "transpose": _transpose,
    "swapaxes": _transpose,
    "expand": _expand,
    "roll": _roll,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "rms_norm": _layer_norm,
    "group_norm": _whole_norm,
    "instance_norm": _whole_norm,
    "local_response_norm": _channel_norm,
    "normalize": _normalize,
    "softmax": _softmax,
    "log_softmax": _softmax,
    "matmul": _matmul,
    "bmm": _matmul,
    "einsum": _einsum,
    "scaled_dot_product_attention": _attention,
    "multi_head_attention_forward": _multi_head_attention,
    "mean": _reduction(torch.mean),
    "sum": _reduction(torch.sum),
    "amax": _reduction(torch.amax),
    "amin": _reduction(torch.amin),
}
