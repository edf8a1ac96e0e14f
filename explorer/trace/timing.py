"""How long each layer takes, measured on the device at hand, when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from statistics import median
from threading import get_ident
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models.draws import borrowed_draws

Mark = Any
Spans = list[tuple[str, Mark, Mark]]


def time_layers(
    model: nn.Module,
    example_inputs: Sequence[Tensor],
    repeats: int = 7,
    *,
    seconds: float = 2.0,
    backward: bool = False,
) -> dict[str, float]:
    """Milliseconds that each layer without children takes in one pass over `example_inputs`, by its name.

    The median over `repeats` passes after one to warm up; a layer that runs several times in a pass has their sum,
    one that has several names the first. What stands in a container's own `forward` (sums of skips, concatenations) is
    no layer's time, so the times add up to less than a whole pass.

    repeats   passes that are measured, 1 or more; fewer when `seconds` are over, but at least one
    seconds   after which no other pass begins; if the first one took longer, that one counts
    backward  False: forward in eval mode, without gradients. True: forward in training mode and backward together,
              for layers that learn or hand gradients on

    Measured where the inputs are: by the clock on a CPU, by events on CUDA, by the clock after a synchronisation on
    MPS. Only passes of the calling thread count. Afterwards modes, buffers (running statistics), gradients and torch's
    random numbers (on MPS those of the CPU only) are as before and the hooks are gone; while a training pass is
    measured, nobody else should use the model. Raises ValueError for less than one repeat, and what the model raises.
    """
    if repeats < 1:
        raise ValueError(f"Layers are timed in at least 1 pass, not {repeats}.")
    begin = perf_counter()
    clock = clock_of(example_inputs[0].device)
    passes: list[dict[str, float]] = []
    with undisturbed(model, backward), spans(model, clock, backward) as taken:
        while len(passes) <= repeats and (not passes or perf_counter() - begin < seconds):
            taken.clear()
            with draws_of(model, backward):
                run(model, example_inputs, backward)
                clock.wait()
            passes.append(summed(taken, clock))
    measured = passes[1:] or passes
    return {qual: median(one[qual] for one in measured if qual in one) for qual in measured[0]}


def run(model: nn.Module, inputs: Sequence[Tensor], backward: bool) -> None:
    """One pass; the gradients of a backward pass are found and thrown away."""
    with torch.set_grad_enabled(backward):
        out = model(*inputs)
    learning = [p for p in model.parameters() if p.requires_grad]
    if backward and learning:
        first = out[0] if isinstance(out, tuple) else out
        torch.autograd.grad(first.sum(), learning, allow_unused=True)


def summed(taken: Spans, clock: Clock) -> dict[str, float]:
    """Milliseconds of each layer in one pass."""
    times: dict[str, float] = {}
    for qual, begin, end in taken:
        times[qual] = times.get(qual, 0.0) + clock.milliseconds(begin, end)
    return times


@contextmanager
def spans(model: nn.Module, clock: Clock, backward: bool) -> Iterator[Spans]:
    """Marks before and after every call of a layer by this thread, and with `backward` of its part of the graph."""
    taken: Spans = []
    thread = get_ident()
    open_calls: list[tuple[Mark, set]] = []

    def enter(_, args: tuple) -> None:
        if get_ident() == thread:
            nodes = {x.grad_fn for x in args if isinstance(x, Tensor) and x.grad_fn} if backward else set()
            open_calls.append((clock.mark(), nodes))

    def leave(qual: str, out: Tensor) -> None:
        if get_ident() == thread:
            end = clock.mark()
            begin, before = open_calls.pop()
            taken.append((qual, begin, end))
            if backward and isinstance(out, Tensor) and out.grad_fn:
                for node in nodes_between(before, out.grad_fn):
                    time_node(node, qual, clock, taken)

    hooks = []
    for qual, module in model.named_modules():
        if not any(True for _ in module.children()):
            hooks.append(module.register_forward_pre_hook(enter))
            hooks.append(module.register_forward_hook(lambda _, args, out, qual=qual: leave(qual, out)))
    try:
        yield taken
    finally:
        for hook in hooks:
            hook.remove()


def nodes_between(before: set, last: Any) -> list:
    """The nodes of autograd's graph from `last` down to those in `before`, which are left out, as are parameters."""
    found, waiting = [], [last]
    seen = set(before)
    while waiting:
        node = waiting.pop()
        if node is None or node in seen or hasattr(node, "variable"):
            continue
        seen.add(node)
        found.append(node)
        waiting += [following for following, _ in node.next_functions]
    return found


def time_node(node: Any, qual: str, clock: Clock, taken: Spans) -> None:
    """Have a node of the graph marked before and after it runs; its hooks go with the graph."""
    begun: list[Mark] = []
    node.register_prehook(lambda _: begun.append(clock.mark()))
    node.register_hook(lambda *_: taken.append((qual, begun.pop(), clock.mark())) if begun else None)


@contextmanager
def undisturbed(model: nn.Module, train: bool) -> Iterator[None]:
    """The model in training or eval mode; afterwards modes and buffers are as before."""
    modes = {module: module.training for module in model.modules()}
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()] if train else []
    try:
        if any(mode != train for mode in modes.values()):
            model.train(train)
        yield
    finally:
        for module, mode in modes.items():
            if module.training != mode:
                module.training = mode
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def draws_of(model: nn.Module, train: bool) -> AbstractContextManager[None]:
    """For one pass, so that others need not wait for all: what dropout draws in training mode is put back."""
    if not train:
        return nullcontext()
    device = next(iter(model.parameters()), torch.empty(0)).device
    return borrowed_draws([device] if device.type == "cuda" else [])


class Clock:
    """Marks of the wall clock: right where a call returns when its work is done, as on a CPU."""

    def mark(self) -> Mark:
        """This moment."""
        return perf_counter()

    def milliseconds(self, begin: Mark, end: Mark) -> float:
        """From one mark to another; to be asked after `wait`."""
        return 1000 * (end - begin)

    def wait(self) -> None:
        """Until all work is done."""


class CudaClock(Clock):
    """Events in the stream, which do not hold the work up."""

    def mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def milliseconds(self, begin: torch.cuda.Event, end: torch.cuda.Event) -> float:
        return begin.elapsed_time(end)

    def wait(self) -> None:
        torch.cuda.synchronize()


class MpsClock(Clock):
    """The wall clock once all work that was given out is done."""

    def mark(self) -> float:
        torch.mps.synchronize()
        return perf_counter()


def clock_of(device: torch.device) -> Clock:
    """What measures time on this device."""
    clocks: dict[str, Callable[[], Clock]] = {"cuda": CudaClock, "mps": MpsClock}
    return clocks.get(device.type, Clock)()
