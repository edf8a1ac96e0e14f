"""Torch draws from one generator, which all threads share: who borrows it does so alone and puts it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import RLock

import torch

DRAWING = RLock()


@contextmanager
def borrowed_draws(devices: Sequence[torch.device] = ()) -> Iterator[None]:
    """What is drawn inside, on the CPU or on these GPUs, changes no number that is drawn elsewhere or afterwards."""
    with DRAWING, torch.random.fork_rng(devices=devices):
        yield


@contextmanager
def same_draws() -> Iterator[None]:
    """What is drawn on the CPU inside is the same each time."""
    with borrowed_draws():
        torch.manual_seed(0)
        yield
