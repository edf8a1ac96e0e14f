"""Where a model goes wrong: the first layer that gives what is not finite, or that cannot run at all; a loss that
grew."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

FAR_ABOVE = 4.0
"""How many times the loss of guessing a loss must be to count as one that has grown."""


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
    """Run x (1, C, S, S) once in eval mode, without gradients.

    Raises ValueError with the layer that cannot take its input, and why, or when the output is not (1, n_out).
    """
    entered = [("", model)]
    model.eval()
    try:
        with torch.no_grad(), _watching(model, before=lambda name, layer: entered.append((name, layer))):
            out = model(x)
    except (RuntimeError, ValueError) as error:
        name, layer = entered[-1]
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise ValueError(
            f"Images of {x.shape[-1]} px cannot pass layer {name} ({type(layer).__name__}): {reason}; "
            "change the image size, the cut or the pooling."
        ) from error
    if tuple(out.shape[1:]) != (n_out,):
        raise ValueError(
            f"The head gives {tuple(out.shape[1:])} for an image instead of {n_out} numbers: switch its pooling on."
        )


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
    before: Callable[[str, nn.Module], None] | None = None,
    after: Callable[[str, nn.Module, object], None] | None = None,
) -> Iterator[None]:
    """Call back around every module that has none inside, in the order in which they run."""
    handles = []
    for name, layer in model.named_modules():
        if next(layer.children(), None) is not None:
            continue
        if before:
            handles.append(layer.register_forward_pre_hook(lambda m, args, name=name: before(name, m)))
        if after:
            handles.append(layer.register_forward_hook(lambda m, args, out, name=name: after(name, m, out)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
