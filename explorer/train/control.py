"""What comes into a run from outside, and the weights that one begins or goes on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from torch import nn

from explorer.spec import TrainSpec
from explorer.train.checkpoint import load_weights, save_description, save_weights
from explorer.train.events import Note
from explorer.train.looks import Look
from explorer.train.places import START, START_DESCRIPTION, WEIGHTS
from explorer.train.prepare import Spec, Stats
from explorer.train.state import State, load_state, save_state


def never() -> bool:
    """No."""
    return False


@dataclass(frozen=True)
class Control:
    """Wishes and places of a run; the arguments of `learner.fit` of the same names."""

    device: str | None = None
    stop: Callable[[], bool] = never
    pause: Callable[[], bool] = never
    weights_out: Path | None = None
    look: Look | None = None
    resume: bool = False

    @property
    def start(self) -> Path | None:
        """Weights of another run that this one begins with."""
        file = self.weights_out / START if self.weights_out else None
        return file if file and file.is_file() else None

    def leave(self, state: State) -> None:
        """Keep what a run that pauses needs to go on."""
        if self.weights_out:
            save_state(self.weights_out, state)


def resumed(control: Control, model: nn.Module) -> State | None:
    """The model gets the weights of a paused run's last whole epoch; where that stood. None for a run that begins."""
    if not control.resume:
        return None
    state = load_state(control.weights_out)
    load_weights(control.weights_out / WEIGHTS, model)
    return state


def begun(control: Control, model: nn.Module) -> Iterator[Note]:
    """The model gets the weights of the run that this one continues, where it does, and a note says so."""
    if control.start is None:
        return
    load_weights(control.start, model)
    with safe_open(control.start, "pt") as file:
        epoch = int((file.metadata() or {}).get("epoch", 0))
    after = f"after its epoch {epoch}" if epoch else "as they were before its first epoch"
    yield Note(f"Begins with the weights of another run, {after}.")


def keeper(
    control: Control,
    spec: Spec,
    train_spec: TrainSpec,
    model: nn.Module,
    classes: tuple[str, ...],
    stats: Stats | None,
) -> Callable[[int], None]:
    """keep(epoch) writes the model's weights, and with those of the start (0) what the model is; or nothing."""

    def keep(epoch: int) -> None:
        if control.weights_out is None:
            return
        if epoch == 0:
            save_description(control.weights_out, spec, train_spec, classes, stats)
        save_weights(control.weights_out, model, epoch)

    return keep


def start_stats(control: Control, own: Stats | None) -> Stats | None:
    """By which mean and deviation pictures are normalised: as in the run that this one continues, else its `own`."""
    if control.start is None:
        return own
    told = json.loads((control.weights_out / START_DESCRIPTION).read_text(encoding="utf-8"))["normalise"]
    return (tuple(told["mean"]), tuple(told["std"])) if told else None
