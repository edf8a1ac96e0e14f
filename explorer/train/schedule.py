"""Rates and momentum over a run: one-cycle, flat, and fine_tune's two phases (fastai facts G.1 to G.3). No torch.

A run is one or two phases. In a phase every group follows its own largest rate with the same shape, and momentum
mirrors it. Position is i/N at step i of N, so the very end of a cycle is never quite reached.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from explorer.spec import TrainSpec, count_frozen

MOMENTUM = (0.95, 0.85, 0.95)
FLAT_MOMENTUM = 0.9
DIV_FINAL = 100_000.0

Rates = float | slice | Sequence[float]


@dataclass(frozen=True)
class Phase:
    """A stretch of epochs under one schedule.

    epochs     passes over the train set
    lrs        the largest rate of each group, lowest group first
    frozen     how many groups, from the input on, do not learn
    shape      "one_cycle" or "flat"
    pct_start  share of the phase in which the rate rises
    div        the rate starts at its maximum divided by this
    """

    epochs: int
    lrs: tuple[float, ...]
    frozen: int
    shape: str = "one_cycle"
    pct_start: float = 0.25
    div: float = 25.0

    def at(self, position: float) -> tuple[tuple[float, ...], float]:
        """Rates of the groups and momentum (AdamW's first beta) at a position from 0 to 1 of this phase."""
        if self.shape == "flat":
            return self.lrs, FLAT_MOMENTUM
        rates = tuple(rise_and_fall(position, self.pct_start, lr / self.div, lr, lr / DIV_FINAL) for lr in self.lrs)
        return rates, rise_and_fall(position, self.pct_start, *MOMENTUM)


def half_cosine(start: float, end: float, p: float) -> float:
    """From start (p = 0) to end (p = 1) along half a cosine."""
    return start + (end - start) * (1 + math.cos(math.pi * (1 - p))) / 2


def rise_and_fall(position: float, pct_start: float, start: float, middle: float, end: float) -> float:
    """Two half-cosines: start to middle over the first `pct_start` of the way, then middle to end."""
    if position < pct_start:
        return half_cosine(start, middle, position / pct_start)
    return half_cosine(middle, end, (position - pct_start) / (1 - pct_start))


def group_rates(rates: Rates, n_groups: int) -> tuple[float, ...]:
    """One rate a group, lowest group first (facts G.3).

    A number is everybody's; slice(hi) is hi for the last group and hi/10 below; slice(lo, hi) is a geometric row
    (one group: hi); a list is taken as it is. Raises ValueError for a list of another length.
    """
    if isinstance(rates, (int, float)):
        return (float(rates),) * n_groups
    if not isinstance(rates, slice):
        if len(rates) != n_groups:
            raise ValueError(f"{len(rates)} learning rates for {n_groups} groups: give one for each, lowest first.")
        return tuple(map(float, rates))
    if rates.start is None:
        return (rates.stop / 10,) * (n_groups - 1) + (rates.stop,)
    if n_groups == 1:
        return (rates.stop,)
    step = (rates.stop / rates.start) ** (1 / (n_groups - 1))
    return tuple(rates.start * step**k for k in range(n_groups - 1)) + (rates.stop,)


def phases(train_spec: TrainSpec, n_groups: int) -> tuple[Phase, ...]:
    """The phases that a TrainSpec asks for on a model of n_groups groups.

    one_cycle  a geometric row of rates from lr/100 (lowest group) to lr (head)
    flat       the same lr for all groups, momentum 0.9
    fine_tune  `freeze_epochs` with all groups but the last frozen and slice(lr), then `epochs` of everything with
               half of it, slice(lr/200, lr/2) (facts G.2); `frozen` is not asked

    `train_spec.lrs` gives the largest rates instead (halved in fine_tune's second phase).
    Raises ValueError where `lrs` has another length, or where every group would be frozen.
    """
    lr, lrs, epochs = train_spec.lr, train_spec.lrs, train_spec.epochs
    if train_spec.schedule == "fine_tune":
        first = group_rates(lrs or slice(lr), n_groups)
        second = group_rates([rate / 2 for rate in lrs] if lrs else slice(lr / 200, lr / 2), n_groups)
        warm_up = Phase(train_spec.freeze_epochs, first, count_frozen(True, n_groups), pct_start=0.99)
        everything = Phase(epochs, second, 0, pct_start=0.3, div=5.0)
        return (warm_up, everything) if warm_up.epochs else (everything,)
    frozen = frozen_groups(train_spec.frozen, n_groups)
    if train_spec.schedule == "flat":
        return (Phase(epochs, group_rates(lrs or lr, n_groups), frozen, shape="flat"),)
    return (Phase(epochs, group_rates(lrs or slice(lr / 100, lr), n_groups), frozen),)


def planned_rates(plan: Sequence[Phase], points: int = 120) -> tuple[float, ...]:
    """The head's rate over a whole run, at evenly spaced positions from its first step to its last."""
    epochs = sum(phase.epochs for phase in plan)
    rates = []
    for phase in plan:
        n = max(2, round(points * phase.epochs / epochs))
        rates += [phase.at(i / n)[0][-1] for i in range(n)]
    return tuple(rates)


def frozen_groups(frozen: bool | int, n_groups: int) -> int:
    """How many groups a TrainSpec's `frozen` holds still; True is all but the last. ValueError if none is left."""
    count = count_frozen(frozen, n_groups)
    if count >= n_groups:
        raise ValueError(
            f"With {count} of {n_groups} group{'s' if n_groups > 1 else ''} frozen nothing would learn: "
            f"freeze at most {n_groups - 1}."
        )
    return count
