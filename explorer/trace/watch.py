"""Running a module while writing down what goes into and comes out of everything inside it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from explorer.trace.meta import ShapesOnly
from explorer.trace.records import Shape


@dataclass
class Call:
    """One call of a module; `out_shape` is None while it runs, and stays None where it broke."""

    in_shape: Shape
    out_shape: Shape | None = None


@dataclass
class Run:
    """A watched run: calls of each module in order, and the innermost module that broke (None when it came through)."""

    calls: dict[nn.Module, list[Call]] = field(default_factory=lambda: defaultdict(list))
    out_shape: Shape | None = None
    broke: nn.Module | None = None


def watch(module: nn.Module, in_shape: Shape) -> Run:
    """Run a module of meta tensors on one example of this shape; an error ends the run and is told, never raised.

    The hooks belong to this call and are gone after it.
    """
    run, running = Run(), []

    def enter(inner: nn.Module, args: tuple) -> None:
        call = Call(shape_of(args[0]))
        run.calls[inner].append(call)
        running.append((inner, call))

    def leave(inner: nn.Module, args: tuple, out: Tensor) -> None:
        running.pop()[1].out_shape = shape_of(out)

    hooks = [inner.register_forward_pre_hook(enter) for inner in module.modules()]
    hooks += [inner.register_forward_hook(leave) for inner in module.modules()]
    try:
        run.out_shape = shape_of(run_once(module, in_shape))
    except Exception:  # whatever a layer raises over a shape: which layer it was says more than its words
        run.broke = running[-1][0] if running else module
    finally:
        for hook in hooks:
            hook.remove()
    return run


def run_once(module: nn.Module, in_shape: Shape) -> Tensor:
    """The output for one example of this shape, on the meta device, in eval mode."""
    with torch.no_grad(), ShapesOnly():
        return module.eval()(torch.empty(1, *in_shape, device="meta"))


def runs(module: nn.Module, in_shape: Shape) -> bool:
    """Whether a module of meta tensors can work on an example of this shape."""
    try:
        run_once(module, in_shape)
    except Exception:
        return False
    return True


def shape_of(value: Tensor | list[Tensor]) -> Shape:
    """The shape without its batch dimension; a dense layer's list of maps counts as the maps laid on one another."""
    if isinstance(value, Tensor):
        return tuple(value.shape[1:])
    first = shape_of(value[0])
    return (sum(tensor.shape[1] for tensor in value), *first[1:])
