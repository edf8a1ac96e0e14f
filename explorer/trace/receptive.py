"""Receptive fields: the pixels that a cell of a layer can see, and how much each of them really counts.

What a cell *can* see follows from the operations alone (Araujo, Norris and Sim, "Computing Receptive Fields of
Convolutional Neural Networks", Distill 2019). One forward on the meta device carries, with every tensor, the first
and the last pixel that each of its cells depends on. What it *does* see is a gradient (Luo, Li, Urtasun and Zemel,
"Understanding the Effective Receptive Field in Deep Convolutional Neural Networks", NeurIPS 2016).
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

FAR = 2**30
BLOCKING = -100.0

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

Pair = tuple[np.ndarray, np.ndarray]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Axis:
    """A layer's cells along the picture's height or width, in pixels; 0 is the centre of the first pixel.

    size   pixels that one cell can see, also those that would lie outside the picture; where cells see differently
           many (windows of attention, resized maps), the most that one of them sees inside it
    jump   from one cell to the next
    start  centre of cell 0's field; fractional for even sizes, negative where padding outweighs the kernel
    """

    size: float
    jump: float
    start: float


@dataclass(frozen=True, eq=False)
class Field:
    """What the cells of one layer's output see of a picture of `picture` = (height, width) pixels.

    height, width  the field along each axis
    whole          every cell sees all that is seen of the picture: behind a global pooling, an attention over all
                   tokens, or a linear layer over the flattened map
    gated          a product with a squeezed map (squeeze-and-excitation) lies on the way, through which every cell
                   depends on the whole picture; size and box leave that gate out
    cells          how many cells: (rows, columns) of a map, (tokens,) of a list
    centre         the cell in the middle of the map
    dims           the tensor's dimensions in which the cells lie, batch first: (2, 3), (1, 2) for a channel-last map,
                   (1,) for tokens; None for an axis with one cell
    """

    height: Axis
    width: Axis
    whole: bool
    gated: bool
    cells: tuple[int, ...]
    dims: tuple[int | None, ...]
    centre: tuple[int, ...]
    picture: tuple[int, int]
    edges: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

    def box(self, cell: Sequence[int], *, strict: bool = False) -> Box:
        """The smallest box (top, left, bottom, right) of pixels around all that the cell sees, ends exclusive.

        It lies inside the picture, and is (0, 0, 0, 0) for a cell that sees none of it (a class token, bare padding).
        strict=True counts gates too. Raises ValueError for a cell that the layer does not have.
        """
        cell = tuple(cell)
        if len(cell) != len(self.cells) or not all(0 <= i < n for i, n in zip(cell, self.cells, strict=True)):
            raise ValueError(f"The layer has {'×'.join(map(str, self.cells)) or 1} cells: there is no cell {cell}.")
        if strict and self.gated:
            return 0, 0, *self.picture
        top, left, bottom, right = (
            int(edge[tuple(min(i, n - 1) for i, n in zip(cell, edge.shape, strict=True))]) for edge in self.edges
        )
        return (top, left, bottom, right) if top < bottom and left < right else (0, 0, 0, 0)


def receptive_fields(module: nn.Module, in_shape: Sequence[int]) -> dict[str, Field | None]:
    """The field of every module's output for a picture of this shape (channels, height, width), by qualified name.

    Names are those of `named_modules(remove_duplicate=False)`, "" is the module itself. A module that is called more
    often than it has names shows its last call. None stands for what cannot be told: a module that was not called or
    lies behind an error, or the result of a function with no rule here. Boxes cover all channels of a cell together;
    a chain that splits its channels and never mixes them again may see less. The module may stand on any device and
    its numbers are not used; it runs in eval mode, and a module in training mode is put back into it.
    """
    if len(in_shape) != 3:
        raise ValueError(f"A picture has channels, height and width, not the shape {tuple(in_shape)}.")
    seen: dict[nn.Module, list[Spread | None]] = defaultdict(list)
    named = list(module.named_modules(remove_duplicate=False))
    modules = list(dict.fromkeys(inner for _, inner in named))
    thread = get_ident()

    def keep(inner: nn.Module, args: tuple, out: Any) -> None:
        if get_ident() == thread:
            seen[inner].append(_spread_of_output(out))

    hooks = [inner.register_forward_hook(keep) for inner in modules]
    learning = [inner for inner in modules if inner.training]
    try:
        if learning:
            module.eval()
        with torch.no_grad(), Spreading():
            module(_marked(torch.empty(1, *in_shape, device="meta"), _picture(*in_shape[1:])))
    except Exception:  # a model that breaks off still has its fields up to there
        pass
    finally:
        for hook in hooks:
            hook.remove()
        for inner in learning:
            inner.training = True
    return _by_name(named, seen, (in_shape[1], in_shape[2]))


def effective_field(body: nn.Module, pictures: Tensor, qual: str, cell: Sequence[int] | None = None) -> np.ndarray:
    """How strongly each pixel moves one cell of a layer: (H, W) float32, 0 to 1 (Luo et al. 2016).

    The absolute gradient of the cell, summed over the layer's channels, with respect to the picture, summed over the
    picture's channels, averaged over `pictures` (N, C, H, W), divided by its maximum; all 0 where nothing flows back.
    qual is a name in `body.named_modules()`, cell as `Field.box` takes it, None the one in the middle. The body is
    only read, so that several threads may use it at once.

    Raises ValueError for a name or cell that is not there, pictures of another shape, and a layer without output.
    """
    if pictures.ndim != 4 or len(pictures) == 0:
        raise ValueError(f"Pictures come as (N, C, H, W) with at least one of them, not as {tuple(pictures.shape)}.")
    if qual not in dict(body.named_modules(remove_duplicate=False)):
        raise ValueError(f"The body has no layer {qual!r}.")
    twin = _twin(body, {})
    field = receptive_fields(twin, pictures.shape[1:])[qual]
    targets: list[Tensor] = []
    twin.get_submodule(qual).register_forward_hook(
        lambda inner, args, out: targets.append(_cell_of(out, field, cell).sum())
    )
    with torch.inference_mode(False), torch.enable_grad():
        x = pictures.detach().clone().requires_grad_()
        twin(x.clone())
        if not targets:
            raise ValueError(f"The layer {qual!r} is never called: choose another.")
        if not targets[-1].requires_grad:
            return np.zeros(tuple(pictures.shape[2:]), np.float32)
        (gradient,) = torch.autograd.grad(targets[-1], x, allow_unused=True)
    if gradient is None:
        return np.zeros(tuple(pictures.shape[2:]), np.float32)
    strength = gradient.abs().sum(1).mean(0)
    return (strength / strength.max().clamp_min(torch.finfo(strength.dtype).tiny)).float().cpu().numpy()


def _twin(module: nn.Module, made: dict[nn.Module, nn.Module]) -> nn.Module:
    """A module that shares every tensor but has a mode, eval, and forward hooks of its own."""
    if module not in made:
        twin = made[module] = object.__new__(type(module))
        twin.__dict__.update(module.__dict__)
        children = {name: child and _twin(child, made) for name, child in module._modules.items()}
        twin.__dict__.update(_modules=children, _forward_hooks=OrderedDict(), training=False)
    return made[module]


def _cell_of(out: Any, field: Field | None, cell: Sequence[int] | None) -> Tensor:
    """All channels of one cell, of every picture."""
    out = next(_tensors((out,)))
    dims, counts = (field.dims, field.cells) if field else (tuple(range(2, out.ndim)), tuple(out.shape[2:]))
    if cell is None:
        cell = field.centre if field else tuple(n // 2 for n in counts)
    if len(cell) != len(counts) or not all(0 <= i < n for i, n in zip(cell, counts, strict=True)):
        raise ValueError(f"The layer has {'×'.join(map(str, counts)) or 1} cells: there is no cell {cell}.")
    index: list[Any] = [slice(None)] * out.ndim
    for i, dim in zip(cell, dims, strict=True):
        if dim is not None:
            index[dim] = i
    return out[tuple(index)]


class Ruler(NamedTuple):
    """A map's cells along one axis: cell i sees the pixels left + i·jump to right + i·jump, where uniform."""

    jump: float
    left: float
    right: float
    uniform: bool = True

    def window(self, kernel: int, stride: float, before: int, dilation: int = 1) -> Ruler:
        """Behind a window of `kernel` cells that starts `before` cells outside."""
        left = self.left - before * self.jump
        right = self.right + (dilation * (kernel - 1) - before) * self.jump
        return Ruler(self.jump * stride, left, right, self.uniform)

    def uneven(self) -> Ruler:
        return self._replace(uniform=False)


@dataclass(frozen=True, eq=False)
class Spread:
    """What each entry of a tensor depends on; each pair is for the picture's (height, width).

    The arrays have the tensor's dimensions and length 1 in those in which nothing changes, as channels.

    low      first pixel, FAR where there is none
    high     one past the last pixel, 0 where there is none
    place    row and column of the entry's cell
    blocked  entries that an attention's mask puts out of play
    """

    low: Pair
    high: Pair
    place: Pair
    rulers: tuple[Ruler, Ruler]
    gated: bool = False
    blocked: np.ndarray | None = None


UNKNOWN = Spread((np.array(0),) * 2, (np.array(0),) * 2, (np.array(0),) * 2, (Ruler(0, 0, 0),) * 2)


class Spreading(TorchFunctionMode):
    """Functions inside compute shapes and carry the spread of the picture from inputs to outputs.

    A torch function mode: it holds for the thread that enters it and ends with its `with` block.
    """

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "new_zeros":  # an attention's mask is built from it, and its numbers matter
            return torch.Tensor.new_zeros(torch.empty(0), *args[1:], **{**kwargs, "device": "cpu"})
        spreads = [_spread(tensor) for tensor in _tensors((*args, *kwargs.values())) if _spread(tensor) is not None]
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
    if len({tensor.device.type for tensor in _tensors((*args, *kwargs.values()))}) > 1:
        args, kwargs = _to_meta(args), _to_meta(kwargs)
    return func(*args, **kwargs)


def _unknown(func: Callable, args: tuple, kwargs: dict) -> Any:
    out = _run(func, args, kwargs)
    if func is Tensor.__setitem__:
        args[0].spread = UNKNOWN
    for tensor in _tensors((out,)):
        tensor.spread = UNKNOWN
    return out


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)
        elif isinstance(value, dict):
            yield from _tensors(value.values())


def _to_meta(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value if value.device.type == "meta" else value.detach().to("meta")
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(map(_to_meta, value))
    return {key: _to_meta(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def _spread(value: Any) -> Spread | None:
    return getattr(value, "spread", None)


def _marked(tensor: Tensor, spread: Spread) -> Tensor:
    tensor.spread = spread
    return tensor


def _made(shape: Sequence[int], spread: Spread) -> Tensor:
    return _marked(torch.empty(shape, device="meta"), spread)


def _picture(height: int, width: int) -> Spread:
    rows, columns = _along(2, np.arange(height)), _along(3, np.arange(width))
    return Spread((rows, columns), (rows + 1, columns + 1), (rows, columns), (Ruler(1, 0, 0), Ruler(1, 0, 0)))


def _along(dim: int, values: np.ndarray, ndim: int = 4) -> np.ndarray:
    return values.reshape([-1 if d == dim else 1 for d in range(ndim)])


# What happens to spreads ----------------------------------------------------------------------------------------


def _arranged(spread: Spread, move: Callable[[np.ndarray], np.ndarray], rulers: Any = None) -> Spread:
    """The same entries in another order or shape."""
    blocked = None if spread.blocked is None else move(spread.blocked)
    low, high, place = (tuple(map(move, pair)) for pair in (spread.low, spread.high, spread.place))
    return Spread(low, high, place, rulers or spread.rulers, spread.gated, blocked)


def _reduced(spread: Spread, dims: Iterable[int], ndim: int, keepdim: bool = True) -> Spread:
    """Everything along these dimensions taken together."""
    dims = tuple(dim % ndim for dim in dims)
    low = tuple(_drop(array.min(axis=dims, keepdims=True), dims, keepdim) for array in spread.low)
    high = tuple(_drop(array.max(axis=dims, keepdims=True), dims, keepdim) for array in spread.high)
    place = tuple(_drop(array.min(axis=dims, keepdims=True), dims, keepdim) for array in spread.place)
    return Spread(low, high, place, _rulers_over(spread, dims), spread.gated)


def _drop(array: np.ndarray, dims: tuple[int, ...], keepdim: bool) -> np.ndarray:
    return array if keepdim else array.squeeze(axis=dims)


def _rulers_over(spread: Spread, dims: Iterable[int]) -> tuple[Ruler, Ruler]:
    """Rulers that hold no longer where cells along these dimensions are taken together."""
    dims = tuple(dims)
    return tuple(
        ruler.uneven() if any(array.shape[dim] > 1 for array in arrays for dim in dims) else ruler
        for ruler, *arrays in zip(spread.rulers, spread.low, spread.high, spread.place, strict=True)
    )


def _united(spreads: Sequence[Spread]) -> Spread:
    """All that any of them depends on, entry by entry, broadcast as torch does."""
    spreads = list(dict.fromkeys(spreads))
    if len(spreads) == 1:
        return spreads[0]
    low = tuple(_extreme(np.minimum, [spread.low[axis] for spread in spreads]) for axis in (0, 1))
    high = tuple(_extreme(np.maximum, [spread.high[axis] for spread in spreads]) for axis in (0, 1))
    place = tuple(_extreme(np.maximum, [spread.place[axis] for spread in spreads]) for axis in (0, 1))
    rulers = tuple(_cover([spread.rulers[axis] for spread in spreads]) for axis in (0, 1))
    return Spread(low, high, place, rulers, any(spread.gated for spread in spreads))


def _extreme(which: np.ufunc, arrays: list[np.ndarray]) -> np.ndarray:
    if all(array.shape == arrays[0].shape for array in arrays):
        return which.reduce(arrays)
    result = arrays[0]
    for array in arrays[1:]:
        result = which(result, array)
    return result


def _cover(rulers: list[Ruler]) -> Ruler:
    jump = min(ruler.jump for ruler in rulers)
    alike = [ruler for ruler in rulers if ruler.jump == jump]
    uniform = len(alike) == len(rulers) and all(ruler.uniform for ruler in rulers)
    return Ruler(jump, min(ruler.left for ruler in alike), max(ruler.right for ruler in alike), uniform)


def _is_one(spread: Spread) -> bool:
    """Whether all entries depend on the same pixels."""
    return all(array.size == 1 for array in (*spread.low, *spread.high))


def _windowed(x: Tensor, channels: int, taps: tuple[np.ndarray, np.ndarray], rulers: Any) -> Tensor:
    """A map each of whose cells takes the cells `taps` (cells, taken) of `x` along height and width."""
    spread = _reduced(x.spread, (1,), 4) if _varies(x.spread, 1) else x.spread
    straight = not (_varies(x.spread, 1) or spread.low[0].shape[3] > 1 or spread.low[1].shape[2] > 1)
    rulers = tuple(
        new if straight and old.uniform else new.uneven() for new, old in zip(rulers, x.spread.rulers, strict=True)
    )
    low = tuple(_take_both(array, axis, x.shape, taps, FAR, np.min) for axis, array in enumerate(spread.low))
    high = tuple(_take_both(array, axis, x.shape, taps, 0, np.max) for axis, array in enumerate(spread.high))
    size = [len(taken) for taken in taps]
    place = (_along(2, np.arange(size[0])), _along(3, np.arange(size[1])))
    return _made((x.shape[0], channels, *size), Spread(low, high, place, rulers, spread.gated))


def _varies(spread: Spread, dim: int) -> bool:
    return any(array.shape[dim] > 1 for array in (*spread.low, *spread.high))


def _take_both(
    array: np.ndarray, axis: int, shape: Sequence[int], taps: tuple[np.ndarray, ...], nothing: int, extreme: Callable
) -> np.ndarray:
    """Taken along both dimensions, where the array has them: its own also where the map is one cell long."""
    for other, taken in enumerate(taps):
        dim = 2 + other
        if array.shape[dim] > 1 or (other == axis and shape[dim] == 1 and taken.max() > 0):
            edge = np.full([1 if d == dim else n for d, n in enumerate(array.shape)], nothing)
            array = extreme(np.take(np.concatenate([array, edge], dim), taken, axis=dim), axis=dim + 1)
    return array


@lru_cache(maxsize=1024)
def _window_taps(cells: int, out: int, kernel: int, stride: int, before: int, dilation: int) -> np.ndarray:
    taps = np.arange(out)[:, None] * stride - before + np.arange(kernel) * dilation
    return _inside(taps, cells)


def _inside(taps: np.ndarray, cells: int) -> np.ndarray:
    """Taps outside the map take the empty cell behind its last one."""
    return np.where((taps < 0) | (taps >= cells), cells, taps)


# Rules: torch's own signatures ----------------------------------------------------------------------------------


def _elementwise(name: str, args: tuple, kwargs: dict, in_place: bool | None) -> Tensor:
    tensors = list(_tensors((*args, *kwargs.values())))
    spread = tensors[0].spread if len(tensors) == 1 else _joined(name, tensors)
    if in_place:
        return _marked(args[0], spread)
    first = tensors[0].shape
    same = all(tensor.shape == first for tensor in tensors)
    return _made(first if same else torch.broadcast_shapes(*(tensor.shape for tensor in tensors)), spread)


def _joined(name: str, tensors: list[Tensor]) -> Spread:
    ndim = max(tensor.ndim for tensor in tensors)
    spreads = [_with_ndim(tensor.spread, ndim) for tensor in tensors if _spread(tensor)]
    if name in PRODUCTS and len(spreads) == 2:
        gates = [spread for spread in spreads if _is_one(spread) and not any(r.uniform for r in spread.rulers)]
        if len(gates) == 1:
            (gated,) = [spread for spread in spreads if spread is not gates[0]]
            return replace(gated, gated=True)
    united = _united(spreads)
    blocked = _mask(tensors) if name in SUMS else None
    return united if blocked is None else replace(united, blocked=blocked)


def _mask(tensors: list[Tensor]) -> np.ndarray | None:
    """Where a constant takes so much off that a softmax leaves nothing."""
    for tensor in tensors:
        if _spread(tensor) is None and tensor.device.type == "cpu" and tensor.ndim > 1 and type(tensor) is Tensor:
            blocked = (tensor <= BLOCKING).numpy()
            if blocked.any():
                return blocked
    return None


def _with_ndim(spread: Spread, ndim: int) -> Spread:
    missing = ndim - spread.low[0].ndim
    return _arranged(spread, lambda array: array[(None,) * missing]) if missing else spread


def _reshaped(func: Callable, args: tuple, kwargs: dict) -> Tensor:
    x, out = args[0], func(*args, **kwargs)
    groups = _groups(tuple(x.shape), tuple(out.shape))
    return _marked(out, _arranged(x.spread, lambda array: _regroup(array, x.shape, out.shape, groups)))


@lru_cache(maxsize=1024)
def _groups(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[tuple[range, range], ...]:
    """The smallest runs of old and new dimensions that hold the same entries."""
    groups, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        first_i, first_j = i, j
        i, j = min(i + 1, len(old)), min(j + 1, len(new))
        while (held := math.prod(old[first_i:i])) != (wanted := math.prod(new[first_j:j])):
            if held < wanted:
                i += 1
            else:
                j += 1
        groups.append((range(first_i, i), range(first_j, j)))
    return tuple(groups)


def _regroup(array: np.ndarray, old: Sequence[int], new: Sequence[int], groups: tuple) -> np.ndarray:
    array = np.broadcast_to(array, [max(n, 1) for n in array.shape])
    full, shape, mixed = list(array.shape), [1] * len(new), []
    for before, after in groups:
        if any(array.shape[dim] > 1 for dim in before):
            for dim in before:
                full[dim] = old[dim]
            for dim in after:
                shape[dim] = new[dim]
            mixed += after if len(after) > 1 else ()
    array = np.broadcast_to(array, full).reshape(shape)
    for dim in mixed:
        first = array.take([0], dim)
        if array.shape[dim] > 1 and (array == first).all():
            array = first
    return array


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
    if kernel == stride == (1, 1) and edges == [(0, 0), (0, 0)] and not _varies(input.spread, 1):
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
    taps = tuple(_window_taps(n, o, *window) for n, o, window in zip(x.shape[2:], out, windows, strict=True))
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
        taps.append(_inside(np.where(reached % s == 0, reached // s, -1), n))
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
        spread = _padded(spread, input.ndim - 1 - k, pad[2 * k], pad[2 * k + 1], mode)
    return _marked(out, spread)


def _padded(spread: Spread, dim: int, before: int, after: int, mode: str) -> Spread:
    if before == after == 0:
        return spread
    how = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]

    def grow(array: np.ndarray, nothing: int) -> np.ndarray:
        if array.shape[dim] == 1:
            return array
        array = array.take(range(max(0, -before), array.shape[dim] - max(0, -after)), dim)
        widths = [(max(0, before), max(0, after)) if d == dim else (0, 0) for d in range(array.ndim)]
        return np.pad(array, widths, how, **({"constant_values": nothing} if how == "constant" else {}))

    rulers = _cut_rulers(spread, dim, -before, 1)
    low, high = tuple(grow(a, FAR) for a in spread.low), tuple(grow(a, 0) for a in spread.high)
    return Spread(low, high, tuple(grow(a, FAR) for a in spread.place), rulers, spread.gated)


def _cut_rulers(spread: Spread, dim: int, start: int, step: int) -> tuple[Ruler, Ruler]:
    """Rulers of the cells `start`, `start` + `step`, … along a dimension."""
    rulers = []
    for ruler, place in zip(spread.rulers, spread.place, strict=True):
        if place.shape[dim] > 1 and (start, step) != (0, 1):
            alone = sum(n > 1 for n in place.shape) == 1
            shift = start * ruler.jump
            moved = Ruler(ruler.jump * step, ruler.left + shift, ruler.right + shift, ruler.uniform)
            ruler = moved if alone else moved.uneven()
        rulers.append(ruler)
    return tuple(rulers)


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
            spread = replace(spread, rulers=_cut_rulers(spread, dim, start, step))
        dim += item is not None
    return _marked(input[index], _arranged(spread, lambda array: array[_index_for(array, index)]))


def _index_for(array: np.ndarray, index: tuple) -> tuple:
    """The index where dimensions of length 1 stand for all."""
    own, dim = [], 0
    for item in index:
        if item is not None and array.shape[dim] == 1:
            item = slice(None) if isinstance(item, slice) else 0
        own.append(item)
        dim += item is not None
    return tuple(own)


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
    spreads = [tensor.spread for tensor in tensors if _spread(tensor)]
    if not any(_varies(spread, dim) for spread in spreads):
        return _made(rest, _united(spreads))

    def joined(which: str, axis: int, nothing: int) -> np.ndarray:
        parts = [getattr(t.spread, which)[axis] if _spread(t) else np.array(nothing) for t in tensors]
        shape = np.broadcast_shapes(*([1 if d == dim else n for d, n in enumerate(part.shape)] for part in parts))
        return np.concatenate(
            [np.broadcast_to(p, [t.shape[dim] if d == dim else n for d, n in enumerate(shape)])
             for p, t in zip(parts, tensors, strict=True)], dim
        )  # fmt: skip

    low, high, place = (
        (joined(which, 0, nothing), joined(which, 1, nothing))
        for which, nothing in (("low", FAR), ("high", 0), ("place", FAR))
    )
    rulers = tuple(_cover([spread.rulers[axis] for spread in spreads]) for axis in (0, 1))
    if len(spreads) > 1:
        rulers = tuple(ruler.uneven() for ruler in rulers)
    return _made(rest, Spread(low, high, place, rulers, any(spread.gated for spread in spreads)))


def _stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    dim = dim % (tensors[0].ndim + 1)
    spreads = [tensor.spread for tensor in tensors if _spread(tensor)]
    return _marked(
        torch.stack(_to_meta(tensors), dim), _arranged(_united(spreads), lambda array: np.expand_dims(array, dim))
    )


def _permute(input: Tensor, *dims: Any) -> Tensor:
    dims = tuple(dims[0]) if len(dims) == 1 and not isinstance(dims[0], int) else dims
    return _marked(input.permute(dims), _arranged(input.spread, lambda array: array.transpose(dims)))


def _transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    return _marked(input.transpose(dim0, dim1), _arranged(input.spread, lambda array: array.swapaxes(dim0, dim1)))


def _expand(input: Tensor, *sizes: Any) -> Tensor:
    out = input.expand(*sizes)
    return _marked(out, _with_ndim(input.spread, out.ndim))


def _roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    if dims is None:
        return _unknown(torch.roll, (input, shifts), {})
    return _marked(torch.roll(input, shifts, dims), _arranged(input.spread, lambda array: np.roll(array, shifts, dims)))


def _linear(input: Tensor, weight: Tensor, bias: Any = None) -> Tensor:
    if input.shape[-1] != weight.shape[1]:
        return _unknown(nn.functional.linear, (input, weight), {})
    spread = _reduced(input.spread, (-1,), input.ndim) if _varies(input.spread, input.ndim - 1) else input.spread
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
    if not any(_varies(x.spread, dim) for dim in dims):
        return _made(x.shape, x.spread)
    place = x.spread.place
    return _made(x.shape, replace(_reduced(x.spread, dims, x.ndim), place=place))


def _softmax(input: Tensor, dim: Any = None, *settings: Any, **named: Any) -> Tensor:
    if dim is None:
        return _unknown(torch.softmax, (input, -1), {})
    spread, blocked = input.spread, input.spread.blocked
    if blocked is not None:
        low = tuple(np.where(blocked, FAR, array) for array in spread.low)
        high = tuple(np.where(blocked, 0, array) for array in spread.high)
        spread = replace(spread, low=low, high=high)
    return _made(input.shape, replace(_reduced(spread, (dim,), input.ndim), blocked=blocked))


def _matmul(input: Tensor, other: Tensor) -> Tensor:
    out = torch.matmul(_to_meta(input), _to_meta(other))
    if min(input.ndim, other.ndim) < 2:
        return _marked(out, UNKNOWN)
    ndim = out.ndim
    spreads = []
    if _spread(input):
        spreads.append(_with_ndim(_reduced(input.spread, (-1,), input.ndim), ndim))
    if _spread(other):
        blocked = input.spread.blocked if _spread(input) else None
        spread = other.spread if blocked is None else _unblocked(other.spread, blocked)
        spreads.append(_with_ndim(_reduced(spread, (-1,) if blocked is not None else (-2,), spread.low[0].ndim), ndim))
    return _marked(out, _united(spreads))


def _unblocked(values: Spread, blocked: np.ndarray) -> Spread:
    """Values (…, j, d) as seen by (…, i, j), where blocked ones are not."""
    seen = _arranged(_reduced(values, (-1,), values.low[0].ndim), lambda array: array.swapaxes(-1, -2))
    low = tuple(np.where(blocked, FAR, array) for array in seen.low)
    high = tuple(np.where(blocked, 0, array) for array in seen.high)
    return Spread(low, high, seen.place, tuple(ruler.uneven() for ruler in seen.rulers), seen.gated)


def _einsum(equation: str, *operands: Any) -> Tensor:
    operands = tuple(_tensors(operands))
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    if not arrow or "." in equation:
        return _unknown(torch.einsum, (equation, *operands), {})
    spreads = []
    for labels, operand in zip(inputs.split(","), operands, strict=True):
        if _spread(operand):
            gone = tuple(i for i, label in enumerate(labels) if label not in output)
            kept = [label for label in labels if label in output]
            order = [kept.index(label) for label in output if label in kept]
            new = tuple(i for i, label in enumerate(output) if label not in kept)
            spread = _reduced(operand.spread, gone, operand.ndim, keepdim=False) if gone else operand.spread
            spreads.append(
                _arranged(spread, lambda array, order=order, new=new: np.expand_dims(array.transpose(order), new))
            )
    return _marked(torch.einsum(equation, *_to_meta(operands)), _united(spreads))


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
        return _marked(out, UNKNOWN)
    return _marked(out, _attended(query, key, value, -2))


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
    spreads = [_reduced(query.spread, (-1,), query.ndim)] if _spread(query) else []
    spreads += [_reduced(t.spread, (-1, tokens), t.ndim) for t in (key, value) if _spread(t)]
    return _united(spreads)


def _reduction(func: Callable) -> Callable:
    def rule(input: Tensor, dim: Any = None, keepdim: Any = False, **settings: Any) -> Tensor:
        out = func(input) if dim is None else func(input, dim, keepdim=keepdim)
        dims = range(input.ndim) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
        return _marked(out, _reduced(input.spread, dims, input.ndim, keepdim and dim is not None))

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


# From spreads to fields -----------------------------------------------------------------------------------------


def _spread_of_output(out: Any) -> Spread | None:
    """The spread of a module's output: its one tensor's, nothing where there are several."""
    spreads = [_spread(tensor) for tensor in _tensors((out,))]
    return spreads[0] if len(spreads) == 1 and spreads[0] is not UNKNOWN else None


def _by_name(
    named: list[tuple[str, nn.Module]], seen: dict[nn.Module, list[Spread | None]], picture: tuple[int, int]
) -> dict[str, Field | None]:
    """Calls go to a module's names in order; its last name takes the last call."""
    left = Counter(inner for _, inner in named)
    fields: dict[Spread | None, Field | None] = {None: None}
    found: dict[str, Field | None] = {}
    for name, inner in named:
        left[inner] -= 1
        waiting = seen[inner]
        calls = waiting[:1] if left[inner] else waiting
        seen[inner] = waiting[len(calls) :]
        spread = calls[-1] if calls else None
        if spread not in fields:
            fields[spread] = _field(spread, picture)
        found[name] = fields[spread]
    return found


def _field(spread: Spread, picture: tuple[int, int]) -> Field:
    edges = (*spread.low, *spread.high)
    same = all(_constant(edge) for edge in edges)
    whole = same and not any(ruler.uniform for ruler in spread.rulers)
    height, width = (
        _axis(ruler, low, high) for ruler, low, high in zip(spread.rulers, spread.low, spread.high, strict=True)
    )
    dims = _cell_dims(spread)
    shape = np.broadcast_shapes(*(array.shape for array in (*edges, *spread.place)))
    cells = tuple(1 if dim is None else shape[dim] for dim in dims)
    centre = _middle(tuple(_only(place, dims) for place in spread.place), cells)
    low_and_high = tuple(_only(edge, dims) for edge in edges)
    return Field(height, width, whole, spread.gated, cells, dims, centre, picture, low_and_high)


def _middle(places: tuple[np.ndarray, ...], cells: tuple[int, ...]) -> tuple[int, ...]:
    """The first cell that lies nearest to row h // 2 and column w // 2 of the map."""
    off = sum(abs(place - (place[place < FAR].max(initial=0) + 1) // 2) for place in places)
    return tuple(int(i) for i in np.unravel_index(np.broadcast_to(off, cells).argmin(), cells)) if cells else ()


def _constant(array: np.ndarray) -> bool:
    return array.size == 1 or bool((array == array.flat[0]).all())


def _axis(ruler: Ruler, low: np.ndarray, high: np.ndarray) -> Axis:
    size = ruler.right - ruler.left + 1 if ruler.uniform else max(0, int((high - low).max()))
    return Axis(size, ruler.jump, (ruler.left + ruler.right) / 2)


def _cell_dims(spread: Spread) -> tuple[int | None, ...]:
    """Where the cells lie: the row's and the column's dimension of a map, else every dimension that places them."""
    rows, columns = ([dim for dim, n in enumerate(array.shape) if n > 1] for array in spread.place)
    if len(rows) <= 1 and len(columns) <= 1 and (not rows or rows != columns):
        return (rows[0] if rows else None, columns[0] if columns else None)
    return tuple(sorted({*rows, *columns}))


def _only(edge: np.ndarray, dims: tuple[int | None, ...]) -> np.ndarray:
    """An edge as an array over the cells alone."""
    kept = [dim for dim in dims if dim is not None]
    rest = tuple(dim for dim in range(edge.ndim) if dim not in kept)
    edge = edge.min(axis=rest, keepdims=True) if any(edge.shape[dim] > 1 for dim in rest) else edge
    return edge.transpose(*kept, *rest).reshape([1 if dim is None else edge.shape[dim] for dim in dims])
