"""How long a run will take on this machine, before it does."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch.nn.functional import conv2d

from explorer.data.drawn import SIZES
from explorer.jobs.record import family_of, spec_from_dict, train_from_dict
from explorer.jobs.store import Store
from explorer.spec import ClassifierSpec, SpecError, TrainSpec, UnetSpec
from explorer.trace.records import Trace
from explorer.trace.tracer import trace

WRITTEN = 11e9  # bytes of maps a second, and seconds of a layer for a batch: measured on two cores
LAYER = 1e-4
START_UP = 5.0  # seconds before a run's first step
MINUTE = 60.0
ALIKE = 3  # times as large or as small: small networks do less in a second
Spec = ClassifierSpec | UnetSpec


class Pace:
    """How fast this machine trains, by the runs in a store; looked up at most once a minute."""

    def __init__(self, store: Store):
        self._store = store
        self._speeds: tuple[tuple[str, int, float], ...] = ()
        self._at = -math.inf

    def seconds(self, effort: Effort, spec: Spec, train: TrainSpec, pictures: tuple[int, int]) -> float:
        """About how long a run takes when nobody else trains; `pictures` to learn from, and to check on."""
        known, work = self.speed(family_of(spec), effort.macs), work_of(pictures, passes_of(spec, train))
        epoch = effort.macs * work / known if known else guessed(effort, train.batch_size, work)
        epochs = train.epochs + (train.freeze_epochs if train.schedule == "fine_tune" else 0)
        return START_UP + epoch * epochs

    def speed(self, family: str, macs: int) -> float | None:
        """Multiply-accumulates a second of the last run of a network of this family and about this size; None before
        there was one."""
        if time.monotonic() - self._at > MINUTE:
            self._speeds, self._at = past_speeds(self._store), time.monotonic()
        alike = (
            speed for kind, other, speed in self._speeds if kind == family and macs / ALIKE <= other <= macs * ALIKE
        )
        return next(alike, None)


def guessed(effort: Effort, batch_size: int, work: int) -> float:
    """Seconds of an epoch before any run has told how fast this machine is: multiplying, writing maps, and what a
    layer costs however small it is. mobilenet_v2 at 64 px: 5.0 s, of which 1.8 for all pictures; measured 4.3 to 5.0.
    """
    picture = effort.macs / machine_speed() + effort.activation_bytes / WRITTEN
    return work * (picture + effort.layers * LAYER / batch_size)


@dataclass(frozen=True)
class Effort:
    """What a forward pass of one picture takes: multiply-accumulates, bytes of maps, and layers that make them."""

    macs: int
    activation_bytes: int
    layers: int


def effort_of(trace: Trace) -> Effort:
    """Of a described model."""
    layers = sum(bool(layer.activation_bytes) for layer in trace.layers)
    return Effort(trace.totals.macs, trace.totals.activation_bytes, layers)


def passes_of(spec: Spec, train: TrainSpec) -> int:
    """A training step in forward passes: 3 where everything learns. In a body that rests nothing goes back, but for
    its norms where they learn; a decoder, most of a U-Net's work, never rests."""
    if isinstance(spec, UnetSpec) or train.frozen is False or train.schedule == "fine_tune":
        return 3
    return 2 if train.train_bn else 1


def work_of(pictures: tuple[int, int], passes: int = 3) -> int:
    """An epoch in forward passes of one picture."""
    return pictures[0] * passes + pictures[1]


def duration_words(seconds: float) -> str:
    """ "40 seconds", "3 minutes", "2 hours"."""
    if seconds < 90:
        return f"{max(10, round(seconds, -1)):.0f} seconds"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours"


def drawn_pictures(spec: Spec, train: TrainSpec) -> tuple[int, int] | None:
    """Pictures to learn from and to check on, of the drawn set; None for folders."""
    return SIZES[train.data_size] if train.data == TrainSpec.data else None


def past_speeds(store: Store, looks: int = 8) -> tuple[tuple[str, int, float], ...]:
    """(family, multiply-accumulates of one picture, those done in a second) of the last runs here on drawn pictures,
    the last first."""
    found = []
    for record in store.latest("finished", looks):
        try:
            spec, train = spec_from_dict(record.family, record.spec), train_from_dict(record.train)
            pictures, macs = drawn_pictures(spec, train), trace(spec).totals.macs
        except SpecError:
            continue
        epochs = store.epochs_of(record.id)
        seconds = sum(epoch["seconds"] for epoch in epochs)
        if pictures and seconds > 0:
            work = work_of(pictures, passes_of(spec, train))
            found.append((record.family, macs, macs * work * len(epochs) / seconds))
    return tuple(found)


@lru_cache(maxsize=1)
def machine_speed() -> float:
    """Multiply-accumulates a second of a convolution on this machine's processor, found in a few milliseconds."""
    x, w = torch.rand(4, 64, 56, 56), torch.rand(64, 64, 3, 3)

    def seconds() -> float:
        start = time.perf_counter()
        conv2d(x, w, padding=1)
        return time.perf_counter() - start

    with torch.inference_mode():
        return x.numel() * w[0].numel() / max(1e-6, min(seconds() for _ in range(8)))
