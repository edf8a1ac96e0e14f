"""Random weights that are the same each time, also where several threads build networks at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import torch

DRAWING = Lock()


@contextmanager
def same_draws() -> Iterator[None]:
    """What torch draws on the CPU inside is the same each time; the generator is one for all threads, so one by one."""
    with DRAWING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
