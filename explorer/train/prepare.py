"""What every run does before its first step, whatever it trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import nn

from explorer.models.bodies import get_arch
from explorer.models.build import Built
from explorer.models.groups import EARLY, HEAD, LATE
from explorer.spec import ClassifierSpec, TrainSpec, UnetSpec
from explorer.train.device import describe_device
from explorer.train.events import Note, Started
from explorer.train.schedule import Phase

BATCH_NORM = nn.modules.batchnorm._BatchNorm

Spec = ClassifierSpec | UnetSpec
Stats = tuple[tuple[float, ...], tuple[float, ...]]
Learning = Sequence[tuple[str, int, int]]  # (group, parameters that learn, all of them), as `groups.freeze` gives


def statistics(spec: Spec, source: str) -> Stats | None:
    """Mean and standard deviation to normalise by: the architecture's own, when its weights were learnt with them.

    As fastai decides (facts A.6): only with pretrained weights ("imagenet" or a file) and three channels. Random
    weights see plain 0..1, of which the first batch norm makes what it needs.
    """
    if source == "random" or spec.body.n_in != 3:
        return None
    arch = get_arch(spec.body.arch)
    return tuple(arch.mean), tuple(arch.std)


def place(model: nn.Module, device: torch.device) -> nn.Module:
    """The model on its device, kernels in channels_last order: a frozen resnet18 step takes 15 % less time on a CPU.

    The order changes no value and no key of the state_dict; MPS keeps the usual one.
    """
    if device.type == "mps":
        return model.to(device)
    return model.to(device, memory_format=torch.channels_last)


def has_batch_norm(model: nn.Module) -> bool:
    """Whether there is a batch norm anywhere in the model."""
    return any(isinstance(module, BATCH_NORM) for module in model.modules())


def load_options(spec: Spec, train_spec: TrainSpec) -> dict[str, Any]:
    """What both loaders of data (`registry.load`, `dense.load_dense`) are told of a run."""
    return {
        "size": spec.body.size,
        "n_in": spec.body.n_in,
        "data_size": train_spec.data_size,
        "difficulty": train_spec.difficulty,
        "valid_pct": train_spec.valid_pct,
        "seed": train_spec.seed,
    }


def telling(tell: Callable[..., None], arch: str) -> Callable[[int, int], None]:
    """What tells the progress of an architecture's weights, in bytes."""
    return lambda done, total: tell(f"Fetching {arch}", done, total, "bytes")


def check_splits(name: str, n_train: int, n_valid: int) -> None:
    """Refuse, with one ValueError sentence, a set of which one part is empty."""
    if not n_train or not n_valid:
        empty = "train" if not n_train else "valid"
        raise ValueError(f"The {empty} set of {name} has no image: choose another share for validation.")


def check_batch(train_spec: TrainSpec, n_train: int) -> None:
    """Refuse, with one ValueError sentence, batches of one picture."""
    if min(train_spec.batch_size, n_train) == 1:
        cause = "The train set has one image" if n_train == 1 else "The batch size is 1"
        mend = "add images" if n_train == 1 else "set it to 2 or more"
        raise ValueError(f"{cause}, and batch norm cannot learn from a batch of one: {mend}.")


def started(
    built: Built, learning: Learning, plan: Sequence[Phase], steps: int, sizes: tuple[int, int], classes, device
) -> Started:
    """The event of that name; `sizes` of the train and the valid set, `steps` of one epoch."""
    epochs = sum(phase.epochs for phase in plan)
    return Started(
        epochs=epochs,
        steps_per_epoch=steps,
        steps=epochs * steps,
        n_train=sizes[0],
        n_valid=sizes[1],
        classes=classes,
        device=describe_device(device),
        params=sum(total for _, _, total in learning),
        trainable=sum(trainable for _, trainable, _ in learning),
        weights=" · ".join(filter(None, (built.weights.source, built.weights.detail))),
    )


def weights_notes(spec: Spec, built: Built) -> Iterator[Note]:
    """Which weights are really in use, where there is something to say about it."""
    if built.weights.note:
        offline = spec.body.weights == "imagenet" and built.weights.source == "random"
        yield Note(built.weights.note, "offline" if offline else "info")


def learning_notes(
    train_spec: TrainSpec, built: Built, n_train: int, plan: Sequence[Phase], learning: Learning, head: str = "head"
) -> Iterator[Note]:
    """A set smaller than a batch, and what a freeze really froze; `head` is what the last group is called."""
    if n_train < train_spec.batch_size:
        yield Note(f"The train set has {n_train} images, fewer than a batch: each epoch is one step.")
    if plan[0].frozen:
        yield Note(_frozen_sentence(built, plan, learning[: plan[0].frozen], head))
    elif len(built.groups) == 1 and (train_spec.frozen is True or train_spec.schedule == "fine_tune"):
        yield Note("Nothing was frozen: the model has one group.")


def _frozen_sentence(built: Built, plan: Sequence[Phase], frozen: Learning, head: str) -> str:
    """What rests, for how long, and what does not: "Frozen: early body, 673,472 of 683,072 parameters; norm …"."""
    words = {EARLY: "early body", LATE: "late body", HEAD: head}
    awake, total = sum(learning for _, learning, _ in frozen), sum(count for _, _, count in frozen)
    names = {name for group in built.groups[: len(frozen)] for name in group.params}
    norms = [path for path, module in built.model.named_modules() if isinstance(module, BATCH_NORM)]
    learns = f"; norm layers keep learning: {awake:,}" if awake else ""
    moves = "; running statistics of batch norm move" if any(f"{path}.weight" in names for path in norms) else ""
    groups = " and ".join(words.get(name, name) for name, _, _ in frozen)
    thaws = len(plan) > 1 and not plan[1].frozen
    first = f" in the first {f'{plan[0].epochs} epochs' if plan[0].epochs > 1 else 'epoch'}" if thaws else ""
    then = "; then everything learns" if thaws else ""
    return f"Frozen{first}: {groups}, {total - awake:,} of {total:,} parameters{learns}{moves}{then}."
