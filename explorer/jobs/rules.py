"""What a run needs, and what a host allows: how long a run may be, how many of one person may stand in line."""

from __future__ import annotations

import os
from dataclasses import dataclass

from explorer.spec import SpecError, TrainSpec


@dataclass(frozen=True)
class Estimate:
    """Bytes at the peak of a training step, 0 where that is not known; seconds of the run, None where it is not."""

    memory: int = 0
    seconds: float | None = None


@dataclass(frozen=True)
class Rules:
    """None where there is no limit.

    epochs   of a run, frozen ones among them
    minutes  that a run may train
    each     runs of one person that may wait
    """

    epochs: int | None = None
    minutes: float | None = None
    each: int | None = None

    def check(self, train: TrainSpec) -> None:
        """SpecError, one sentence, for a run that is too long for this host."""
        epochs = train.epochs + (train.freeze_epochs if train.schedule == "fine_tune" else 0)
        if self.epochs is not None and epochs > self.epochs:
            raise SpecError("epochs", f"This host trains at most {self.epochs} epochs, and these are {epochs}.")

    @property
    def too_many(self) -> str:
        """Why one more run is refused to a person."""
        runs = "run of yours waits" if self.each == 1 else "runs of yours wait"
        return f"{self.each} {runs} already, as many as this host takes from one person: wait for one, or stop one."

    @property
    def too_long(self) -> str:
        """Why a run was stopped."""
        unit = "minute" if self.minutes == 1 else "minutes"
        return f"Stopped at this host's limit of {self.minutes:g} {unit}."


NO_RULES, PUBLIC = Rules(), Rules(epochs=50, minutes=15, each=4)


def rules_from_environment(is_public: bool) -> Rules:
    """EXPLORER_MAX_EPOCHS, EXPLORER_MAX_MINUTES, EXPLORER_MAX_WAITING; where one is not set, a public host has a limit
    of its own and a private one none. ValueError for what is no positive number."""
    usual = PUBLIC if is_public else NO_RULES
    return Rules(
        epochs=_whole("EXPLORER_MAX_EPOCHS", usual.epochs),
        minutes=_number("EXPLORER_MAX_MINUTES", usual.minutes),
        each=_whole("EXPLORER_MAX_WAITING", usual.each),
    )


def _number(name: str, usual: float | None) -> float | None:
    text = os.environ.get(name, "").strip()
    if not text:
        return usual
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        raise ValueError(f"{name} is a limit for runs, a number above 0, or nothing for the usual one, not {text!r}.")
    return value


def _whole(name: str, usual: int | None) -> int | None:
    value = _number(name, usual)
    if value is not None and value != int(value):
        raise ValueError(f"{name} is a whole number, not {value:g}.")
    return None if value is None else int(value)
