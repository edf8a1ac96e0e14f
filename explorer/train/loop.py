"""The training loop itself: a model, its groups, its batches and its task in, events out. It knows no spec and no data
set."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from torch import Generator, Tensor, nn

from explorer.models.groups import Group, freeze
from explorer.train.diagnose import first_not_finite
from explorer.train.events import EpochDone, Event, Paused, Step, Stopped
from explorer.train.metrics import SmoothLoss
from explorer.train.optim import create_optimizer, set_rates
from explorer.train.precision import products
from explorer.train.schedule import Phase
from explorer.train.state import State, restore_optimizer, restore_random, state_of
from explorer.train.tasks import Batch, Task


class Diverged(ValueError):
    """A loss that is not finite; one sentence that says where."""


@dataclass(frozen=True)
class Loaders:
    """Where batches come from: x (B, C, H, W) float32 and y as the task takes it, on the model's device.

    train    called once an epoch, gives that epoch's batches
    valid    called once an epoch, gives all valid images in the same order
    steps    batches that `train` gives
    generator  of order and changes of the train set, where there is one
    """

    train: Callable[[], Iterable[Batch]]
    valid: Callable[[], Iterable[Batch]]
    steps: int
    generator: Generator | None = None


def train_loop(
    model: nn.Module,
    groups: Sequence[Group],
    loaders: Loaders,
    phases: Sequence[Phase],
    task: Task,
    *,
    wd: float = 0.01,
    train_bn: bool = True,
    precision: str = "float32",
    stop: Callable[[], bool] = lambda: False,
    keep: Callable[[int], None] = lambda epoch: None,
    pause: Callable[[], bool] = lambda: False,
    leave: Callable[[State], object] = lambda state: None,
    state: State | None = None,
) -> Iterator[Event]:
    """Train: (Step* EpochDone …)*, where the task tells what follows, and Stopped when `stop` said so between batches.

    The optimiser is new in every phase, the smoothed loss too. The model is in train mode while it learns, so the
    running statistics of batch norm move in frozen groups as well, with and without `train_bn` (fastai facts G.4).
    With `precision` "bf16" convolutions and matrix products are of bfloat16, in training and validation; weights, what
    the optimiser does and the loss stay float32.
    `keep(epoch)` is called when an epoch is whole and its valid loss finite, before its EpochDone. When `pause` says
    so after an epoch that is not the last, `leave(state)` is called and Paused is the last event; a model with that
    epoch's weights and that `state` goes on to the same events as without the pause, to the last bit.
    Raises Diverged for a loss that is not finite, before that batch changes any weight.
    """
    epoch, step = (state.epoch, state.step) if state else (0, 0)
    if state:
        restore_random(state, loaders.generator)
    epochs = sum(phase.epochs for phase in phases)
    for phase, laps in laps_left(phases, epoch):
        freeze(model, groups, phase.frozen, train_bn)
        optimizer = create_optimizer(model, groups, phase.lrs, wd)
        smoothed = SmoothLoss()
        smooth = 0.0
        if state and laps.start:
            restore_optimizer(state, model, optimizer, smoothed)
            state = None
        for lap in laps:
            began = time.perf_counter()
            model.train()
            for i, (x, y) in enumerate(loaders.train()):
                if stop():
                    yield Stopped(epoch)
                    return
                lrs, momentum = phase.at((lap * loaders.steps + i) / (phase.epochs * loaders.steps))
                set_rates(optimizer, lrs, momentum)
                optimizer.zero_grad()
                with products(precision, x.device):
                    loss = task.loss(model(x).float(), x, y)
                loss.backward()
                value = loss.item()
                if not math.isfinite(value):
                    where = f"in epoch {epoch + 1}, batch {i + 1}"
                    raise Diverged(_sentence(value, where, model, x, max(phase.lrs)))
                optimizer.step()
                step += 1
                smooth = smoothed.add(value)
                yield Step(step, value, lrs[-1], smooth)
            with products(precision, x.device):
                seen = task.validate(model, loaders.valid(), stop)
            if seen is None:
                yield Stopped(epoch)
                return
            if not math.isfinite(seen.loss):
                where = f"on the valid set after epoch {epoch + 1}"
                raise Diverged(_sentence(seen.loss, where, model, next(iter(loaders.valid()))[0], max(phase.lrs)))
            epoch += 1
            keep(epoch)
            seconds = time.perf_counter() - began
            yield EpochDone(epoch, smooth, seen.loss, seen.metrics, seconds)
            yield from seen.events(epoch)
            if epoch < epochs and pause():
                leave(state_of(epoch, step, precision, model, optimizer, smoothed, loaders.generator))
                yield Paused(epoch)
                return


def laps_left(phases: Sequence[Phase], done: int) -> Iterator[tuple[Phase, range]]:
    """The phases that are not over after so many epochs, each with the numbers of its epochs that are left."""
    for phase in phases:
        if done < phase.epochs:
            yield phase, range(max(0, done), phase.epochs)
        done -= phase.epochs


def _sentence(value: float, where: str, model: nn.Module, x: Tensor, lr: float) -> str:
    return (
        f"The loss became {value} {where}: {first_not_finite(model, x)}; "
        f"the weights before that are kept, try a lower learning rate, such as {lr / 10:.1g}."
    )
