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
from explorer.models.build import Built, build_model
from explorer.models.groups import freeze
from explorer.spec import STYLE_IMAGE, ClassifierSpec, TrainSpec, UnetSpec
from explorer.train.aside import Halted, aside
from explorer.train.control import Control, begun, keeper, never, resumed, start_stats
from explorer.train.device import pick_device
from explorer.train.diagnose import check_runs, growth_sentence
from explorer.train.events import (
    EpochDone,
    Event,
    Failed,
    Finished,
    Note,
    Paused,
    Predictions,
    Resumed,
    Stopped,
    ValidSample,
)
from explorer.train.looks import Look, Looks
from explorer.train.loop import Loaders, train_loop
from explorer.train.prepare import (
    Stats,
    check_batch,
    check_splits,
    has_batch_norm,
    learning_notes,
    load_options,
    place,
    started,
    statistics,
    telling,
    weights_notes,
)
from explorer.train.reason import reason_of
from explorer.train.schedule import Phase, phases
from explorer.train.tasks import Classification

SAMPLE = 24
SAMPLE_SIDE = 96
LOOKED_AT = 2  # pictures of the sample


def fit(
    spec: ClassifierSpec | UnetSpec,
    train_spec: TrainSpec,
    *,
    device: str | None = None,
    stop: Callable[[], bool] = never,
    pause: Callable[[], bool] = never,
    weights_out: Path | None = None,
    look: Look | None = None,
    resume: bool = False,
) -> Iterator[Event]:
    """Train the model of `spec` as `train_spec` says; yields events in the order of `train.events`.

    device       "cuda", "mps", "cpu"; None for the best there is
    stop         asked between batches and while something downloads; True ends the run with Stopped
    pause        asked after each epoch but the last; True ends the events with Paused
    weights_out  folder for last.safetensors (the start's, then each whole epoch's weights, keys as `state_dict`),
                 spec.json and, of a paused run, state.safetensors, each written whole or not at all. With a
                 start.safetensors and start.json in it, another run's files, the run begins with those weights
    look         makes an event of the model, two normalised valid pictures (2, C, H, W) and the epoch: before the
                 first epoch (0) and after each, unless it takes too long (`train.looks`). It never changes the run
    resume       go on with a paused run: its weights and its state are in `weights_out`

    Never raises: whatever goes wrong is the last event, Failed, with one sentence. Seeds torch's global generator (it
    is meant for a process of its own), so the same specs give the same curve on the same machine.
    """
    epoch = 0
    try:
        control = Control(device, stop, pause, weights_out, look, resume)
        for event in _run_of(spec)(spec, train_spec, control):
            if isinstance(event, (EpochDone, Resumed)):
                epoch = event.epoch
            yield event
    except Halted:
        yield Stopped(epoch)
    except Exception as error:
        yield Failed(reason_of(error), epoch)


def _run_of(spec: ClassifierSpec | UnetSpec) -> Callable[..., Iterator[Event]]:
    """The run of a spec's family and task. What measures pictures takes seconds to import."""
    if not isinstance(spec, UnetSpec):
        return _run
    if spec.task == STYLE_IMAGE:
        from explorer.train.style_run import run_style_image

        return run_style_image
    from explorer.train.dense_run import run_dense

    return run_dense


def _run(
    spec: ClassifierSpec,
    train_spec: TrainSpec,
    control: Control,
) -> Iterator[Event]:
    start = time.perf_counter()
    where = pick_device(control.device)

    torch.manual_seed(train_spec.seed)
    built = yield from aside(lambda tell: build_model(spec, progress=telling(tell, spec.body.arch)), control.stop)
    dataset = yield from aside(lambda tell: _load(spec, train_spec, tell), control.stop)
    plan = phases(train_spec, len(built.groups))
    check_fit(built.model, spec, train_spec, dataset)
    check_runs(built.model, built.example_inputs[0], spec.n_out)
    learning = freeze(built.model, built.groups, plan[0].frozen, train_spec.train_bn)
    if not control.resume:
        yield from _notes(spec, train_spec, built, dataset, plan, learning)

    stats = start_stats(control, statistics(spec, built.weights.source))
    model = place(built.model, where)
    loaders = create_loaders(dataset, train_spec, stats, where)
    task = Classification(len(dataset.classes), spread_sample(dataset.valid.labels.tolist(), SAMPLE))
    epochs = sum(phase.epochs for phase in plan)
    looks = Looks(control.look, model, looked_at(dataset.valid, task.sample, stats, where), epochs)
    keep = keeper(control, spec, train_spec, model, dataset.classes, stats)

    state = resumed(control, model)
    if state is None:
        yield from begun(control, model)
        keep(0)
        sizes = len(dataset.train), len(dataset.valid)
        yield started(built, learning, plan, loaders.steps, sizes, dataset.classes, where)
        yield valid_sample(dataset.valid, task.sample)
        yield from looks.after(0)
    else:
        yield Resumed(state.epoch)

    valid_loss = trained = 0.0
    torch.manual_seed(train_spec.seed)
    for event in train_loop(
        model,
        built.groups,
        loaders,
        plan,
        task,
        wd=train_spec.wd,
        train_bn=train_spec.train_bn,
        stop=control.stop,
        keep=keep,
        pause=control.pause,
        leave=control.leave,
        state=state,
    ):
        yield event
        if isinstance(event, (Stopped, Paused)):
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
    check_splits(dataset.name, n_train, len(dataset.valid))
    if has_batch_norm(model):
        check_batch(train_spec, n_train)


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
        generator=generator,
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
    return load(train_spec.data, progress=tell, **load_options(spec, train_spec))


def _notes(
    spec: ClassifierSpec,
    train_spec: TrainSpec,
    built: Built,
    dataset: DataSet,
    plan: Sequence[Phase],
    learning: Sequence[tuple[str, int, int]],
) -> Iterator[Note]:
    """What is not as asked, or not as one would think: weights, data, spare outputs, what a freeze really froze."""
    yield from weights_notes(spec, built)
    for text in dataset.notes:
        yield Note(text)
    spare = spec.n_out - len(dataset.classes)
    if spare:
        yield Note(f"The head has {spec.n_out} outputs, the data {len(dataset.classes)} classes: {spare} stay unused.")
    yield from learning_notes(train_spec, built, len(dataset.train), plan, learning)
