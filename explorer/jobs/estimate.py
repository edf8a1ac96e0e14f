"""What a run will need before it begins: memory and time, and what this machine has of the first."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from explorer.jobs.pace import Pace, effort_of
from explorer.jobs.rules import Estimate
from explorer.spec import STYLE_IMAGE, ClassifierSpec, TrainSpec, UnetSpec
from explorer.trace.memory import step_memory
from explorer.trace.tracer import trace

WORKER = 700_000_000  # bytes of a process with torch that trains a tiny network, measured
APP = 1_500_000_000  # bytes for the app itself and the system

Spec = ClassifierSpec | UnetSpec
Pictures = tuple[int, int]


class Estimator:
    """Estimates of runs on this machine.

    pace    how fast it trains, by the runs that there were
    counts  (spec, train) -> pictures to learn from and to check on; None for a set that nobody looked at yet
    device  "cuda", "mps" or "cpu"
    """

    def __init__(self, pace: Pace, counts: Callable[[Spec, TrainSpec], Pictures | None], device: str):
        self._pace, self._counts, self._device = pace, counts, device

    def __call__(self, spec: Spec, train: TrainSpec) -> Estimate:
        return Estimate(self._memory(spec, train), self._seconds(spec, train))

    def _memory(self, spec: Spec, train: TrainSpec) -> int:
        batch = 1 if isinstance(spec, UnetSpec) and spec.task == STYLE_IMAGE else train.batch_size
        frozen = False if train.schedule == "fine_tune" else train.frozen
        try:
            step = step_memory(spec, batch, frozen=frozen, train_bn=train.train_bn).total
        except ValueError:
            return 0
        return step + (0 if self._device == "cuda" else WORKER)

    def _seconds(self, spec: Spec, train: TrainSpec) -> float | None:
        pictures = self._counts(spec, train)
        if pictures is None or (isinstance(spec, UnetSpec) and spec.task == STYLE_IMAGE):
            return None
        shown = trace(spec)
        return None if shown.failure else self._pace.seconds(effort_of(shown), spec, train, pictures)


def memory_here(device: str) -> int:
    """Bytes that all runs together may take: the accelerator's, or the machine's without what the app needs."""
    if device == "cuda":
        return torch.cuda.mem_get_info()[1]
    return max(WORKER, machine_memory() - APP)


def machine_memory(limit: Path = Path("/sys/fs/cgroup/memory.max")) -> int:
    """Bytes of the machine, or of its container where that has fewer (cgroup v2)."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(whole, int(limit.read_text()))
    except (OSError, ValueError):
        return whole
