"""Where a run stands after a whole epoch: all that it needs, beside its weights, to go on as if it had never paused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Generator, Tensor, nn

from explorer.files import write_whole
from explorer.train.metrics import SmoothLoss
from explorer.train.optim import AdamW
from explorer.train.places import STATE

AVERAGES = ("mean", "square")


@dataclass(frozen=True)
class State:
    """A run between two epochs.

    epoch, step  whole epochs and steps that are done
    total, count  of the phase's smoothed loss
    precision    what products are of
    updates      how often each of the optimiser's parameter groups was updated
    averages     the optimiser's running averages, "mean.NAME" and "square.NAME"
    random       states of the generators (uint8): torch's own, the loaders', an accelerator's
    """

    epoch: int
    step: int
    total: float
    count: int
    precision: str
    updates: tuple[int, ...]
    averages: Mapping[str, Tensor]
    random: Mapping[str, Tensor]


def state_of(
    epoch: int,
    step: int,
    precision: str,
    model: nn.Module,
    optimizer: AdamW,
    smoothed: SmoothLoss,
    loaders: Generator | None,
) -> State:
    """The state at this moment; `loaders` is the generator of order and changes."""
    averages = {
        f"{kind}.{name}": optimizer.state[p][kind].detach().cpu().contiguous()
        for name, p in model.named_parameters()
        for kind in AVERAGES
        if kind in optimizer.state[p]
    }
    random = {"torch": torch.get_rng_state()}
    if loaders is not None:
        random["loaders"] = loaders.get_state()
    if torch.cuda.is_available():
        random["cuda"] = torch.cuda.get_rng_state()
    updates = tuple(part["steps"] for part in optimizer.param_groups)
    return State(epoch, step, smoothed.total, smoothed.count, precision, updates, averages, random)


def restore_random(state: State, loaders: Generator | None) -> None:
    """Set all generators to where they stood."""
    torch.set_rng_state(state.random["torch"])
    if loaders is not None:
        loaders.set_state(state.random["loaders"])
    if "cuda" in state.random and torch.cuda.is_available():
        torch.cuda.set_rng_state(state.random["cuda"])


def restore_optimizer(state: State, model: nn.Module, optimizer: AdamW, smoothed: SmoothLoss) -> None:
    """Set a new optimiser and a new smoothed loss, of the same phase, to where they stood."""
    smoothed.total, smoothed.count = state.total, state.count
    for part, steps in zip(optimizer.param_groups, state.updates, strict=True):
        part["steps"] = steps
    for name, p in model.named_parameters():
        for kind in AVERAGES:
            if f"{kind}.{name}" in state.averages:
                optimizer.state[p][kind] = (
                    state.averages[f"{kind}.{name}"].to(p.device).clone(memory_format=torch.preserve_format)
                )


def save_state(folder: Path, state: State) -> Path:
    """Write folder/state.safetensors, whole or not at all."""
    tensors = {f"averages.{name}": tensor for name, tensor in state.averages.items()}
    tensors |= {f"random.{name}": tensor for name, tensor in state.random.items()}
    numbers = {name: getattr(state, name) for name in ("epoch", "step", "total", "count", "precision", "updates")}
    return write_whole(folder / STATE, lambda path: save_file(tensors, path, metadata={"state": json.dumps(numbers)}))


def load_state(folder: Path) -> State:
    """What `save_state` wrote. Raises ValueError, one sentence, where it is gone or cannot be read."""
    try:
        with safe_open(folder / STATE, "pt") as file:
            numbers = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except Exception as error:
        raise ValueError(
            "What this run needs to go on is gone: continue from its last weights, or run it again."
        ) from error
    parts: dict[str, dict[str, Tensor]] = {"averages": {}, "random": {}}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        parts[kind][rest] = tensor
    return State(**{**numbers, "updates": tuple(numbers["updates"])}, **parts)
