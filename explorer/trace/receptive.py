"""Receptive fields: the pixels that a cell of a layer can see, and how much each of them really counts.

What a cell *can* see follows from the operations alone (Araujo, Norris and Sim, "Computing Receptive Fields of
Convolutional Neural Networks", Distill 2019). One forward on the meta device carries, with every tensor, the first
and the last pixel that each of its cells depends on. What it *does* see is a gradient (Luo, Li, Urtasun and Zemel,
"Understanding the Effective Receptive Field in Deep Convolutional Neural Networks", NeurIPS 2016).
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import get_ident
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from explorer.trace.spread import FAR, UNKNOWN, Ruler, Spread, spread_of_picture
from explorer.trace.spread_rules import Spreading, marked, spread_of, tensors_in

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
            module(marked(torch.empty(1, *in_shape, device="meta"), spread_of_picture(*in_shape[1:])))
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
    out = next(tensors_in((out,)))
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


def _spread_of_output(out: Any) -> Spread | None:
    """The spread of a module's output: its one tensor's, nothing where there are several."""
    spreads = [spread_of(tensor) for tensor in tensors_in((out,))]
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
