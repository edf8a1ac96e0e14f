"""Running a module while writing down what goes into and comes out of everything inside it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import get_ident
from typing import Any

import torch
from torch import Tensor, nn

from explorer.trace import cost
from explorer.trace.meta import ATTENTION, LINEAR, Products, ShapesOnly
from explorer.trace.records import Shape


@dataclass
class Call:
    """One call of a module; `out_shape` is None while it runs, and stays None where it broke.

    extra  multiply-accumulates of functions that its own `forward` calls, for one example: attention
    """

    in_shape: Shape
    out_shape: Shape | None = None
    extra: int = 0


@dataclass
class Run:
    """A watched run: calls of each module in order, and the innermost module that broke (None when it came through).

    outputs  modules and the shapes of the tensors that they gave, in the order in which they ended
    """

    calls: dict[nn.Module, list[Call]] = field(default_factory=lambda: defaultdict(list))
    out_shape: Shape | None = None
    broke: nn.Module | None = None
    outputs: list[tuple[nn.Module, Shape]] = field(default_factory=list)


Input = Shape | tuple[Shape, ...]
"""What a module takes: a tensor of this shape, or a list of tensors of these."""


def watch(module: nn.Module, *inputs: Input) -> Run:
    """Run a module of meta tensors on one example of these shapes; an error ends the run and is told, never raised.

    A linear layer that is not called itself, because a function takes its weights (swin's and vit's attention), counts
    as called. The hooks belong to this call and are gone after it; other threads may run the module meanwhile.
    """
    run, running, thread = Run(), [], get_ident()
    modules = list(module.modules())
    owners = {id(p): inner for inner in modules for p in inner.parameters(recurse=False)}

    def enter(inner: nn.Module, args: tuple) -> None:
        if get_ident() != thread:
            return
        call = Call(shape_of(args[0]) if args else ())
        run.calls[inner].append(call)
        running.append((inner, call))

    def leave(inner: nn.Module, args: tuple, out: object) -> None:
        if get_ident() != thread:
            return
        shape = running.pop()[1].out_shape = shape_of(out)
        if isinstance(out, Tensor):
            run.outputs.append((inner, shape))

    def note(func: Callable, args: tuple, kwargs: dict, out: Any) -> None:
        if not running:
            return
        caller, call = running[-1]
        if func is LINEAR:
            args = (*args, *kwargs.values())
            owner = owners.get(id(args[1]))
            if owner is not None and owner is not caller:
                run.calls[owner].append(Call(_whole_shape(args[0]), _whole_shape(out)))
            elif owner is None:
                call.extra += cost.product_macs(func, args, out)
        elif func is ATTENTION:
            call.extra += cost.attention_macs(args)
            owner = owners.get(id(args[11]))
            if owner is not None:
                shape = (args[0].shape[0], args[0].shape[2])
                run.calls[owner].append(Call(shape, shape))
        else:
            call.extra += cost.product_macs(func, args, out)

    hooks = [inner.register_forward_pre_hook(enter) for inner in modules]
    hooks += [inner.register_forward_hook(leave) for inner in modules]
    try:
        run.out_shape = shape_of(run_once(module, *inputs, mode=Products(note)))
    except Exception:  # whatever a layer raises over a shape: which layer it was says more than its words
        run.broke = running[-1][0] if running else module
    finally:
        for hook in hooks:
            hook.remove()
    return run


def run_once(module: nn.Module, *inputs: Input, mode: AbstractContextManager | None = None) -> Tensor:
    """The output for one example of these shapes, on the meta device, in eval mode."""
    with torch.no_grad(), mode or ShapesOnly():
        return module.eval()(*map(_blank_input, inputs))


def _blank_input(shape: Input) -> Tensor | list[Tensor]:
    if shape and isinstance(shape[0], tuple):
        return [torch.empty(1, *each, device="meta") for each in shape]
    return torch.empty(1, *shape, device="meta")


def runs(module: nn.Module, in_shape: Shape) -> bool:
    """Whether a module of meta tensors can work on an example of this shape."""
    try:
        run_once(module, in_shape)
    except Exception:
        return False
    return True


def shape_of(value: object) -> Shape:
    """The shape without its batch dimension: of a dense layer's list the maps laid on one another, of an attention's
    several outputs the first; () for what is no tensor."""
    if isinstance(value, Tensor):
        return tuple(value.shape[1:])
    if isinstance(value, tuple):
        return shape_of(value[0]) if value else ()
    if not isinstance(value, list) or not value:
        return ()
    first = shape_of(value[0])
    return (sum(tensor.shape[1] for tensor in value), *first[1:])


def _whole_shape(x: Tensor) -> Shape:
    """The shape of one example's tensor whose windows stand in the place of the batch."""
    return tuple(x.shape) if x.shape[0] > 1 else tuple(x.shape[1:])
