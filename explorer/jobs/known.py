"""What a run has told already: so that one that begins again after its machine was lost tells only what is new."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from explorer.train.events import EpochDone, Progress, Started, Step


@dataclass(frozen=True)
class Known:
    """Of the events of a run: the last step and epoch, and the marks of all that are no steps.

    The same specs and seed give the same events again, so what is known can be left out and what follows fits on.
    """

    step: int = 0
    epoch: int = 0
    marks: frozenset[tuple] = frozenset()

    def holds(self, event: Mapping[str, object]) -> bool:
        """Was this told before? `event` as `events.to_dict` gives it."""
        return event["step"] <= self.step if event["event"] == Step.__name__ else mark_of(event) in self.marks


def known_of(events: Iterable[Mapping[str, object]]) -> Known:
    """What these events tell, as `events.to_dict` gives them."""
    step, epoch, marks = 0, 0, set()
    for event in events:
        kind = event["event"]
        if kind == Step.__name__:
            step = max(step, event["step"])
        elif kind != Progress.__name__:
            marks.add(mark_of(event))
        if kind == EpochDone.__name__:
            epoch = max(epoch, event["epoch"])
    return Known(step, epoch, frozenset(marks))


def mark_of(event: Mapping[str, object]) -> tuple:
    """By what an event that is no step is known again: its kind, with its epoch and its words.

    How far a preparation is has the mark of the start that it comes before.
    """
    kind = event["event"]
    return Started.__name__ if kind == Progress.__name__ else kind, event.get("epoch"), event.get("text")
