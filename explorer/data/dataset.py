"""What a set of pictures is: names of classes, and two splits that hand out uint8 batches.

A split holds *items* (paths, or seeds of scenes) and decodes them when they are asked for. What was decoded once stays
in memory up to a limit, so that later epochs do not decode again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

KEEP_BYTES = 1 << 30
THREADS = min(4, os.cpu_count() or 1)

Read = Callable[[Any], np.ndarray]
Tell = Callable[[str, int, int, str], None]
"""Told how far a preparation is, in the order of `train.events.Progress`: what, done, total, unit."""


class DataError(ValueError):
    """Data that cannot be used: one sentence that names the folder or file, what is wrong and what to do."""


class Split:
    """Pictures and their labels, in a fixed order.

    items   what `read` turns into a picture
    labels  class numbers, one an item
    read    item -> uint8 array (C, H, W); raises DataError where the picture cannot be read any more
    shape   (C, H, W) of every picture
    keep    bytes of decoded pictures to hold in memory; the first items that fit are kept
    """

    def __init__(
        self,
        items: Sequence[Any],
        labels: Sequence[int],
        read: Read,
        shape: tuple[int, int, int],
        keep: int = KEEP_BYTES,
    ):
        self.items = items
        self.labels = torch.as_tensor(labels, dtype=torch.int64)
        self.shape = shape
        self._read = read
        kept = min(len(items), keep // (shape[0] * shape[1] * shape[2]))
        self._pictures = torch.empty((kept, *shape), dtype=torch.uint8)
        self._decoded = torch.zeros(kept, dtype=torch.bool)

    def __len__(self) -> int:
        return len(self.items)

    def guard(self, guarded: Callable[[Read], Read]) -> None:
        """Let pictures be read by what `guarded` makes of the reader from now on."""
        self._read = guarded(self._read)

    def images(self, indices: Sequence[int] | Tensor) -> Tensor:
        """The pictures of `indices`, in that order: uint8 (B, C, H, W)."""
        wanted = torch.as_tensor(indices, dtype=torch.int64)
        batch = torch.empty((len(wanted), *self.shape), dtype=torch.uint8)
        cached = self._is_decoded(wanted)
        batch[cached] = self._pictures[wanted[cached]]
        missing = torch.nonzero(~cached).flatten()
        for row, picture in zip(missing.tolist(), self._decode(wanted[missing].tolist()), strict=True):
            batch[row] = picture
            self._keep(int(wanted[row]), picture)
        return batch

    def _is_decoded(self, wanted: Tensor) -> Tensor:
        keepable = wanted < len(self._decoded)
        decoded = torch.zeros(len(wanted), dtype=torch.bool)
        decoded[keepable] = self._decoded[wanted[keepable]]
        return decoded

    def _decode(self, indices: list[int]) -> list[Tensor]:
        """Pillow lets go of Python's lock while it decodes, so a few threads share the work."""
        items = [self.items[i] for i in indices]
        if len(items) < 4:
            return [torch.from_numpy(self._read(item)) for item in items]
        with ThreadPoolExecutor(THREADS) as pool:
            return [torch.from_numpy(picture) for picture in pool.map(self._read, items)]

    def _keep(self, index: int, picture: Tensor) -> None:
        if index < len(self._decoded):
            self._pictures[index] = picture
            self._decoded[index] = True


@dataclass(frozen=True)
class DataSet:
    """A set: its name for people, classes in the order of their numbers, what to learn from, what to check on, what
    was noticed."""

    name: str
    classes: tuple[str, ...]
    train: Split
    valid: Split
    notes: tuple[str, ...] = ()
