"""Looks into the network while it learns: at which epochs, at what price, and without touching the run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from explorer.train.events import Event, Note

Look = Callable[[nn.Module, Tensor, int], Event | None]

MOST = 30  # looks in a run
FREE = 2.0  # seconds that all looks of a run may take in any case
SHARE = 0.05  # of the time trained so far, that all looks may take in a long run


class Looks:
    """Events that `look(model, pictures, epoch)` makes in one run.

    The first look, before the first epoch, is always taken; a later one when its epoch is among `epochs_to_look` and
    all looks together, with one kept back for the end, would take at most FREE seconds or SHARE of the time trained.
    A look that raises is the last: a Note says so, and the run goes on without.
    """

    def __init__(self, look: Look | None, model: nn.Module, pictures: Tensor, epochs: int):
        self._look, self._model, self._pictures = look, model, pictures
        self._epochs = epochs_to_look(epochs)
        self._spent, self._last = 0.0, 0.0

    def after(self, epoch: int, trained: float = 0.0) -> Iterator[Event]:
        """What is seen after this epoch, `trained` seconds of training into the run: one event or none."""
        if self._look is None or epoch not in self._epochs:
            return
        wanted = 1 if epoch == max(self._epochs) else 2
        if self._spent + wanted * self._last > max(FREE, SHARE * trained):
            return
        began = time.perf_counter()
        try:
            with undisturbed(self._model):
                seen = self._look(self._model, self._pictures, epoch)
        except Exception as error:
            self._look = None
            yield Note(f"The run goes on without looking at its activations: {_said(error)}.")
            return
        self._last = time.perf_counter() - began
        self._spent += self._last
        if seen is not None:
            yield seen


def epochs_to_look(epochs: int, most: int = MOST) -> frozenset[int]:
    """0 (before the first), the last, and so many between them, evenly, that there are `most` (2 or more) at most."""
    count = min(epochs + 1, most)
    return frozenset(round(i * epochs / (count - 1)) for i in range(count)) if epochs else frozenset({0})


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Whatever the block does with the model: modes, buffers and random numbers are afterwards as they were before."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        for module, training in modes:
            module.training = training
        with torch.no_grad():
            for buffer, kept in buffers:
                buffer.copy_(kept)


def _said(error: Exception) -> str:
    text = (str(error).strip().splitlines() or [""])[0][:300].rstrip(".")
    return f"{type(error).__name__}, {text}" if text else type(error).__name__
