"""What is left of a run: weights and a description, each written whole or not at all; no pickled code."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import nn

from explorer.files import write_whole
from explorer.spec import ClassifierSpec, TrainSpec, UnetSpec
from explorer.train.places import DESCRIPTION, WEIGHTS


def save_weights(folder: Path, model: nn.Module, epoch: int) -> Path:
    """Write the state_dict, keys unchanged, to folder/last.safetensors; its metadata holds the epoch (0: the start)."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    return write_whole(folder / WEIGHTS, lambda path: save_file(tensors, path, metadata={"epoch": str(epoch)}))


def load_weights(file: Path, model: nn.Module) -> None:
    """Fill a model with what `save_weights` wrote; ValueError, one sentence, where that is gone or does not fit."""
    try:
        model.load_state_dict(load_file(file))
    except Exception as error:
        raise ValueError(
            "The weights that this run was to go on with are gone or belong to another model: run it from its start."
        ) from error


def save_description(
    folder: Path,
    spec: ClassifierSpec | UnetSpec,
    train_spec: TrainSpec,
    classes: tuple[str, ...],
    stats: tuple[tuple[float, ...], tuple[float, ...]] | None,
) -> Path:
    """Write folder/spec.json: all that is needed to build and feed the model again (stats: mean and std, or None)."""
    words = {
        "spec": asdict(spec),
        "train": asdict(train_spec),
        "classes": classes,
        "normalise": {"mean": stats[0], "std": stats[1]} if stats else None,
    }
    text = json.dumps(words, indent=2, ensure_ascii=False)
    return write_whole(folder / DESCRIPTION, lambda path: path.write_text(text, encoding="utf-8"))
