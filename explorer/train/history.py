"""A run as it stands: events folded, one by one, into curves. Pure; the standard library alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby

from explorer.train.events import (
    Activations,
    EpochDone,
    Event,
    Failed,
    Finished,
    Note,
    Outputs,
    Paused,
    PictureSample,
    Predictions,
    Progress,
    Resumed,
    Started,
    Step,
    Stopped,
    ValidSample,
)


@dataclass(frozen=True)
class History:
    """All that events have told of a run.

    state         "waiting", "preparing", "running", "paused", then "finished", "stopped" or "failed"
    started       sizes, classes and device, once known
    steps, losses, smooth, lrs   one entry a batch: step from 1, loss, smoothed loss, the head's rate
    epochs        one EpochDone a whole epoch
    predictions   guesses after the last whole epoch
    activations   one Activations each time somebody looked inside
    sample        the valid pictures that the guesses are about
    pictured      the valid pictures that masks or pictures are made of
    outputs       what was made of them, one Outputs each time, epoch 0 first
    notes         what the person should know
    progress      of the preparation that goes on now; None while it trains
    reason        why it failed, or what stopped it, one sentence; "" otherwise
    kept_epochs   whole epochs whose weights are kept
    started_at, at   clock of Started and of the last event, in seconds; None where no clock was given. A pause moves
                  `started_at` by as long as it took
    """

    state: str = "waiting"
    started: Started | None = None
    steps: tuple[int, ...] = ()
    losses: tuple[float, ...] = ()
    smooth: tuple[float, ...] = ()
    lrs: tuple[float, ...] = ()
    epochs: tuple[EpochDone, ...] = ()
    predictions: Predictions | None = None
    activations: tuple[Activations, ...] = ()
    sample: ValidSample | None = None
    pictured: PictureSample | None = None
    outputs: tuple[Outputs, ...] = ()
    notes: tuple[Note, ...] = ()
    progress: Progress | None = None
    reason: str = ""
    kept_epochs: int = 0
    started_at: float | None = None
    at: float | None = None

    @property
    def ended(self) -> bool:
        """Whether no further event will come."""
        return self.state in ("finished", "stopped", "failed")

    @property
    def seconds_left(self) -> float | None:
        """Time to go at the pace since the start, validation included; None before the first step or after the end."""
        if self.ended or not self.steps or self.started is None or self.started_at is None or self.at is None:
            return None
        return (self.at - self.started_at) / self.steps[-1] * (self.started.steps - self.steps[-1])


def fold(history: History, event: Event, at: float | None = None) -> History:
    """The history after one more event, seen at clock time `at` (seconds).

    A step that is already known changes nothing, nor does anything after the end, so a repeated delivery is harmless.
    """
    return fold_all(history, [(event, at)])


def fold_all(history: History, events: Iterable[tuple[Event, float | None]]) -> History:
    """The history after many (event, clock time) pairs; a run of steps is appended at once."""
    for is_steps, run in groupby(events, key=lambda pair: isinstance(pair[0], Step)):
        if is_steps:
            history = _with_steps(history, run)
            continue
        for event, at in run:
            if not history.ended:
                history = replace(_with_event(history, event, at), at=history.at if at is None else at)
    return history


def _with_steps(history: History, run: Iterable[tuple[Step, float | None]]) -> History:
    if history.ended:
        return history
    last, clock, fresh = history.steps[-1] if history.steps else 0, history.at, []
    for event, at in run:
        if event.step > last:
            last, clock = event.step, clock if at is None else at
            fresh.append(event)
    return replace(
        history,
        steps=history.steps + tuple(event.step for event in fresh),
        losses=history.losses + tuple(event.loss for event in fresh),
        smooth=history.smooth + tuple(event.smooth for event in fresh),
        lrs=history.lrs + tuple(event.lr for event in fresh),
        at=clock,
    )


def _with_event(history: History, event: Event, at: float | None) -> History:
    match event:
        case Note():
            return replace(history, notes=(*history.notes, event), state="running" if history.started else "preparing")
        case Progress():
            return replace(history, progress=event, state="preparing")
        case Started():
            return replace(history, started=event, started_at=at, progress=None, state="running")
        case ValidSample():
            return replace(history, sample=event)
        case PictureSample():
            return replace(history, pictured=event)
        case Outputs():
            return replace(history, outputs=(*history.outputs, event))
        case EpochDone():
            return replace(history, epochs=(*history.epochs, event), kept_epochs=event.epoch)
        case Predictions():
            return replace(history, predictions=event)
        case Activations():
            return replace(history, activations=(*history.activations, event))
        case Paused():
            return replace(history, state="paused", kept_epochs=event.epoch)
        case Resumed():
            rested = at - history.at if at is not None and history.at is not None else 0.0
            started_at = None if history.started_at is None else history.started_at + rested
            return replace(history, state="running", started_at=started_at, progress=None)
        case Finished():
            return replace(history, state="finished", progress=None)
        case Stopped():
            return replace(history, state="stopped", progress=None, reason=event.reason, kept_epochs=event.epoch)
        case Failed():
            return replace(history, state="failed", progress=None, reason=event.reason, kept_epochs=event.epoch)
    raise TypeError(f"{type(event).__name__} is no event of a run.")
