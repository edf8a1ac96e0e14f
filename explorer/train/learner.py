"""`fit`: a spec and a train spec in, a stream of events out.

It reads from top to bottom as a run goes: model, data, what learns, batches, the loop, the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from explorer.data.batches import batches, count_batches, data_uri, normalise
from explorer.data.dataset import DataSet, Split
from explorer.data.registry import load
from explorer.models.bodies import get_arch
from explorer.models.build import Built, build_model
from explorer.models.groups import EARLY, HEAD, LATE, freeze
from explorer.spec import ClassifierSpec, TrainSpec
from explorer.train.aside import Halted, aside
from explorer.train.checkpoint import save_description, save_weights
from explorer.train.device import describe_device, pick_device
from explorer.train.diagnose import check_runs, growth_sentence
from explorer.train.events import (
    EpochDone,
    Event,
    Failed,
    Finished,
    Note,
    Predictions,
    Started,
    Stopped,
    ValidSample,
)
from explorer.train.looks import Look, Looks
from explorer.train.loop import Loaders, train_loop
from explorer.train.reason import reason_of
from explorer.train.schedule import Phase, phases

BATCH_NORM = nn.modules.batchnorm._BatchNorm
GROUP_WORDS = {EARLY: "early body", LATE: "late body", HEAD: "head"}
SAMPLE = 24
SAMPLE_SIDE = 96
LOOKED_AT = 2  # pictures of the sample

Stats = tuple[tuple[float, ...], tuple[float, ...]]


def fit(
    spec: ClassifierSpec,
    train_spec: TrainSpec,
    *,
    device: str | None = None,
    stop: Callable[[], bool] | None = None,
    weights_out: Path | None = None,
    look: Look | None = None,
) -> Iterator[Event]:
    """Train the model of `spec` as `train_spec` says; yields events in the order of `train.events`.

    device       "cuda", "mps", "cpu"; None for the best there is
    stop         asked between batches and while something downloads; True ends the run with Stopped
    weights_out  folder for last.safetensors (the start's, then each whole epoch's weights, keys as `state_dict`) and
                 spec.json, each written whole or not at all
    look         makes an event of the model, two normalised valid pictures (2, C, H, W) and the epoch: before the
                 first epoch (0) and after each, unless it takes too long (`train.looks`). It never changes the run

    Never raises: whatever goes wrong is the last event, Failed, with one sentence. Seeds torch's global generator (it
    is meant for a process of its own), so the same specs give the same curve on the same machine.
    """
    epoch = 0
    try:
        for event in _run(spec, train_spec, device, stop or (lambda: False), weights_out, look):
            if isinstance(event, EpochDone):
                epoch = event.epoch
            yield event
    except Halted:
        yield Stopped(epoch)
    except Exception as error:
        yield Failed(reason_of(error), epoch)


def _run(
    spec: ClassifierSpec,
    train_spec: TrainSpec,
    device: str | None,
    stop: Callable[[], bool],
    weights_out: Path | None,
    look: Look | None,
) -> Iterator[Event]:
    start = time.perf_counter()
    where = pick_device(device)

    torch.manual_seed(train_spec.seed)
    built = yield from aside(lambda tell: build_model(spec, progress=_telling(tell, spec.body.arch)), stop)
    dataset = yield from aside(lambda tell: _load(spec, train_spec, tell), stop)
    plan = phases(train_spec, len(built.groups))
    check_fit(built.model, spec, train_spec, dataset)
    check_runs(built.model, built.example_inputs[0], spec.n_out)
    learning = freeze(built.model, built.groups, plan[0].frozen, train_spec.train_bn)
    yield from _notes(spec, train_spec, built, dataset, plan, learning)

    stats = statistics(spec, built.weights.source)
    model = place(built.model, where)
    loaders = create_loaders(dataset, train_spec, stats, where)
    if weights_out:
        save_description(weights_out, spec, train_spec, dataset.classes, stats)
        save_weights(weights_out, model, epoch=0)

    epochs = sum(phase.epochs for phase in plan)
    yield Started(
        epochs=epochs,
        steps_per_epoch=loaders.steps,
        steps=epochs * loaders.steps,
        n_train=len(dataset.train),
        n_valid=len(dataset.valid),
        classes=dataset.classes,
        device=describe_device(where),
        params=sum(total for _, _, total in learning),
        trainable=sum(trainable for _, trainable, _ in learning),
        weights=" · ".join(filter(None, (built.weights.source, built.weights.detail))),
    )
    yield valid_sample(dataset.valid, loaders.sample)
    looks = Looks(look, model, looked_at(dataset.valid, loaders.sample, stats, where), epochs)
    yield from looks.after(0)

    valid_loss = trained = 0.0
    torch.manual_seed(train_spec.seed)
    for event in train_loop(
        model,
        built.groups,
        loaders,
        plan,
        wd=train_spec.wd,
        train_bn=train_spec.train_bn,
        stop=stop,
        keep=lambda epoch: weights_out and save_weights(weights_out, model, epoch),
    ):
        yield event
        if isinstance(event, Stopped):
            return
        if isinstance(event, EpochDone):
            valid_loss, trained = event.valid_loss, trained + event.seconds
        if isinstance(event, Predictions):
            yield from looks.after(event.epoch, trained)
    if grown := growth_sentence(valid_loss, len(dataset.classes)):
        yield Note(grown, "warn")
    yield Finished(time.perf_counter() - start)


def check_fit(model: nn.Module, spec: ClassifierSpec, train_spec: TrainSpec, dataset: DataSet) -> None:
    """Refuse, with one ValueError sentence, what training would stumble over: too few outputs, a batch of one."""
    classes, n_train = len(dataset.classes), len(dataset.train)
    if spec.n_out < classes:
        raise ValueError(
            f"The head has {spec.n_out} output{'s' * (spec.n_out > 1)}, the data {classes} classes: "
            f"set outputs to {classes}."
        )
    if not n_train or not len(dataset.valid):
        empty = "train" if not n_train else "valid"
        raise ValueError(f"The {empty} set of {dataset.name} has no image: choose another share for validation.")
    if min(train_spec.batch_size, n_train) == 1 and has_batch_norm(model):
        cause = "The train set has one image" if n_train == 1 else "The batch size is 1"
        mend = "add images" if n_train == 1 else "set it to 2 or more"
        raise ValueError(f"{cause}, and batch norm cannot learn from a batch of one: {mend}.")


def has_batch_norm(model: nn.Module) -> bool:
    """Whether there is a batch norm anywhere in the model."""
    return any(isinstance(module, BATCH_NORM) for module in model.modules())


def statistics(spec: ClassifierSpec, source: str) -> Stats | None:
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


def create_loaders(dataset: DataSet, train_spec: TrainSpec, stats: Stats | None, device: torch.device) -> Loaders:
    """Batches of a data set: train shuffled, changed and without a last partial batch; valid plain and whole.

    Order and changes come from one generator of their own, seeded by the spec, which goes on from epoch to epoch.
    """
    size = train_spec.batch_size
    mean, std = stats or (None, None)
    generator = torch.Generator().manual_seed(train_spec.seed)
    feed = {"mean": mean, "std": std, "device": device}
    return Loaders(
        train=lambda: batches(
            dataset.train, size, shuffle=True, drop_last=True, augment=train_spec.augment, generator=generator, **feed
        ),
        valid=lambda: batches(dataset.valid, size, shuffle=False, drop_last=False, augment="none", **feed),
        steps=count_batches(len(dataset.train), size, drop_last=True),
        classes=len(dataset.classes),
        sample=spread_sample(dataset.valid.labels.tolist(), SAMPLE),
    )


def spread_sample(labels: Sequence[int], n: int) -> tuple[int, ...]:
    """Positions of n items, taken in turn from every class, each class in its own order; in rising order."""
    seen: dict[int, int] = {}
    turns = []
    for position, label in enumerate(labels):
        seen[label] = seen.get(label, 0) + 1
        turns.append((seen[label], label, position))
    return tuple(sorted(position for _, _, position in sorted(turns)[:n]))


def valid_sample(split: Split, positions: Sequence[int]) -> ValidSample:
    """The pictures at those positions as JPEG data URIs of 96 px, with their labels."""
    pictures = split.images(positions)
    shown = pictures if pictures.shape[1] in (1, 3) else pictures[:, : 3 if pictures.shape[1] > 3 else 1]
    return ValidSample(
        images=tuple(data_uri(picture, SAMPLE_SIDE) for picture in shown),
        labels=tuple(split.labels[list(positions)].tolist()),
    )


def looked_at(split: Split, positions: Sequence[int], stats: Stats | None, device: torch.device) -> Tensor:
    """The first of these pictures as batches would give them: float32 (n, C, H, W), normalised, on the device."""
    mean, std = stats or (None, None)
    return normalise(split.images(positions[:LOOKED_AT]).to(device).float() / 255, mean, std)


def _load(spec: ClassifierSpec, train_spec: TrainSpec, tell: Callable[..., None]) -> DataSet:
    return load(
        train_spec.data,
        size=spec.body.size,
        n_in=spec.body.n_in,
        data_size=train_spec.data_size,
        difficulty=train_spec.difficulty,
        valid_pct=train_spec.valid_pct,
        seed=train_spec.seed,
        progress=tell,
    )


def _telling(tell: Callable[..., None], arch: str) -> Callable[[int, int], None]:
    return lambda done, total: tell(f"Fetching {arch}", done, total, "bytes")


def _notes(
    spec: ClassifierSpec,
    train_spec: TrainSpec,
    built: Built,
    dataset: DataSet,
    plan: Sequence[Phase],
    learning: Sequence[tuple[str, int, int]],
) -> Iterator[Note]:
    """What is not as asked, or not as one would think: weights, data, spare outputs, what a freeze really froze."""
    if built.weights.note:
        offline = spec.body.weights == "imagenet" and built.weights.source == "random"
        yield Note(built.weights.note, "offline" if offline else "info")
    for text in dataset.notes:
        yield Note(text)
    spare = spec.n_out - len(dataset.classes)
    if spare:
        yield Note(f"The head has {spec.n_out} outputs, the data {len(dataset.classes)} classes: {spare} stay unused.")
    if len(dataset.train) < train_spec.batch_size:
        yield Note(f"The train set has {len(dataset.train)} images, fewer than a batch: each epoch is one step.")
    if plan[0].frozen:
        yield Note(_frozen_sentence(built, plan, learning[: plan[0].frozen]))
    elif len(built.groups) == 1 and (train_spec.frozen is True or train_spec.schedule == "fine_tune"):
        yield Note("Nothing was frozen: the model has one group.")


def _frozen_sentence(built: Built, plan: Sequence[Phase], frozen: Sequence[tuple[str, int, int]]) -> str:
    """What rests, for how long, and what does not: "Frozen: early body, 673,472 of 683,072 parameters; norm …"."""
    awake, total = sum(learning for _, learning, _ in frozen), sum(count for _, _, count in frozen)
    names = {name for group in built.groups[: len(frozen)] for name in group.params}
    norms = [path for path, module in built.model.named_modules() if isinstance(module, BATCH_NORM)]
    learns = f"; norm layers keep learning: {awake:,}" if awake else ""
    moves = "; running statistics of batch norm move" if any(f"{path}.weight" in names for path in norms) else ""
    groups = " and ".join(GROUP_WORDS.get(name, name) for name, _, _ in frozen)
    thaws = len(plan) > 1 and not plan[1].frozen
    first = f" in the first {f'{plan[0].epochs} epochs' if plan[0].epochs > 1 else 'epoch'}" if thaws else ""
    then = "; then everything learns" if thaws else ""
    return f"Frozen{first}: {groups}, {total - awake:,} of {total:,} parameters{learns}{moves}{then}."
