"""Where a model goes wrong: the first layer that gives what is not finite, or that cannot run at all; a loss that
grew."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn

from explorer.train.reason import is_out_of_memory

FAR_ABOVE = 4.0
"""How many times the loss of guessing a loss must be to count as one that has grown."""

FLAT = (nn.BatchNorm1d, nn.Linear)
"""Layers that take features (B, C), as those of a head do."""
SIDES = (16, 32, 64, 128, 224, 448)
"""Image sizes to try where one does not do; 224 is what most networks were trained on, and the only one of some."""
REFUSALS = (RuntimeError, ValueError, IndexError, TypeError, AssertionError, NotImplementedError)
"""What layers raise over a shape: a vit asserts its picture's size."""


def first_not_finite(model: nn.Module, x: Tensor) -> str:
    """Run x (B, …) once more without gradients; says which layer's output is the first with a NaN or an infinity.

    The model stays in its mode, so batch norm uses the same statistics as in the run that failed.
    """
    if not torch.isfinite(x).all():
        return "the images of that batch are not finite"
    found: list[str] = []

    def look(name: str, layer: nn.Module, output: object) -> None:
        if not found and isinstance(output, Tensor) and not torch.isfinite(output).all():
            found.append(f"the first layer whose output is not finite is {name} ({type(layer).__name__})")

    with torch.no_grad(), _watching(model, after=look):
        model(x)
    return found[0] if found else "every layer's output is finite, only the loss is not"


def check_runs(model: nn.Module, x: Tensor, n_out: int) -> None:
    """Run x (B, C, H, W) as `dry_run` does; also raises ValueError when the output is not (B, n_out)."""
    out = dry_run(model, x)
    if tuple(out.shape[1:]) != (n_out,):
        raise ValueError(
            f"The head gives {tuple(out.shape[1:])} for an image instead of {n_out} numbers: switch its pooling on."
        )


def dry_run(model: nn.Module, x: Tensor) -> Tensor:
    """Run x (B, C, H, W) once in eval mode, without gradients; returns what comes out.

    Raises ValueError with the layer that cannot take its input, its shape and what would help. Memory that runs out
    stays the error it is.
    """
    inside: list[tuple[str, nn.Module, tuple[int, ...]]] = []

    def enter(name: str, layer: nn.Module, args: tuple) -> None:
        inside.append((name, layer, next((tuple(arg.shape) for arg in args if isinstance(arg, Tensor)), ())))

    def leave(name: str, layer: nn.Module, out: object) -> None:
        inside.pop()

    model.eval()
    try:
        with torch.no_grad(), _watching(model, before=enter, after=leave, leaves=False):
            return model(x)
    except REFUSALS as error:
        if is_out_of_memory(error) or not inside:
            raise
        name, layer, shape = inside[-1]
        layer_words = f"layer {name} ({type(layer).__name__})" if name else f"the whole ({type(layer).__name__})"
        got = f", which gets {'×'.join(map(str, shape[1:]))}" if len(shape) > 1 else ""
        raise ValueError(
            f"Images of {_size(x)} px cannot pass {layer_words}{got}: {_remedy(model, x, layer, shape)}."
        ) from error


def _remedy(model: nn.Module, x: Tensor, layer: nn.Module, shape: tuple[int, ...]) -> str:
    """What to change so that images like x pass: the pooling before a layer for flat features, else the image size."""
    if isinstance(layer, FLAT) and len(shape) > 2:
        return "it takes flat features, so switch the head's pooling on"
    larger = [side for side in SIDES if side > min(x.shape[-2:])]
    smaller = [side for side in reversed(SIDES) if side < min(x.shape[-2:])]
    for side in larger + smaller:
        with torch.no_grad(), suppress(*REFUSALS):
            model(x.new_zeros((*x.shape[:2], side, side)))
            return f"choose {'a larger' if side in larger else 'another'} image size, {side} would do"
    return "choose another image size, cut or pooling"


def _size(x: Tensor) -> str:
    """ "224" or "97×131" of pictures (B, C, H, W)."""
    height, width = x.shape[-2:]
    return f"{height}×{width}" if height != width else str(height)


def growth_sentence(valid_loss: float, classes: int) -> str:
    """What to say of a last valid loss that is far above that of guessing among `classes`; "" where it is not."""
    guessing = math.log(max(classes, 2))
    if valid_loss <= FAR_ABOVE * guessing:
        return ""
    loss = f"{valid_loss:,.0f}" if valid_loss >= 100 else f"{valid_loss:.2f}"
    return f"The loss has grown to {loss}, far above guessing ({guessing:.2f}): a lower rate would learn."


@contextmanager
def _watching(
    model: nn.Module,
    before: Callable[[str, nn.Module, tuple], None] | None = None,
    after: Callable[[str, nn.Module, object], None] | None = None,
    leaves: bool = True,
) -> Iterator[None]:
    """Call back around every module, or every one that has none inside, in the order in which they run."""
    handles = []
    for name, layer in model.named_modules():
        if leaves and next(layer.children(), None) is not None:
            continue
        if before:
            handles.append(layer.register_forward_pre_hook(lambda m, args, name=name: before(name, m, args)))
        if after:
            handles.append(layer.register_forward_hook(lambda m, args, out, name=name: after(name, m, out)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
