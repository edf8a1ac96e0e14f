"""A run whose answers are masks or pictures: segmentation, super-resolution, colour, a style learnt by a network.

It reads from top to bottom as a run goes, like `train.learner`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from explorer.data.batches import count_batches
from explorer.data.dense import DenseSet, dense_batches, load_dense
from explorer.data.styles import style_note, style_picture
from explorer.models.build import Built, build_model
from explorer.models.groups import freeze
from explorer.spec import COLOUR, SEGMENTATION, STYLE, TrainSpec, UnetSpec
from explorer.train.aside import Halted, aside
from explorer.train.control import Control, begun, keeper, resumed, start_stats
from explorer.train.dense_tasks import Restoration, Sample, Segmentation, Style, Styling, denormalise
from explorer.train.device import pick_device
from explorer.train.diagnose import dry_run, growth_sentence
from explorer.train.events import EpochDone, Event, Finished, Note, Paused, Resumed, Stopped
from explorer.train.looks import Looks, epochs_to_look
from explorer.train.loop import Loaders, train_loop
from explorer.train.losses import Critic
from explorer.train.paint import picture_uri
from explorer.train.precision import choose_precision
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
from explorer.train.schedule import Phase, phases
from explorer.train.scores import PictureScores

SAMPLE = 4
LEAST_GAIN = 0.01  # dB that pictures must be better than what one has without a network
LOOKED_AT = 2  # pictures of the sample

Task = Segmentation | Restoration | Styling


def run_dense(
    spec: UnetSpec,
    train_spec: TrainSpec,
    control: Control,
) -> Iterator[Event]:
    """The events of one run; raises what `learner.fit` turns into Failed."""
    start = time.perf_counter()
    where = pick_device(control.device)

    torch.manual_seed(train_spec.seed)
    built = yield from aside(lambda tell: build_model(spec, progress=telling(tell, spec.body.arch)), control.stop)
    dataset = yield from aside(lambda tell: load_data(spec, train_spec, tell), control.stop)
    plan = phases(train_spec, len(built.groups))
    check_fit(built.model, spec, train_spec, dataset)
    dry_run(built.model, built.example_inputs[0])
    if adds_to_input(spec):
        start_at_nothing(built.model)
    learning = freeze(built.model, built.groups, plan[0].frozen, train_spec.train_bn)
    if not control.resume:
        yield from _notes(spec, train_spec, built, dataset, plan, learning)

    stats = start_stats(control, statistics(spec, built.weights.source))
    model = place(built.model, where)
    loaders = create_loaders(dataset, train_spec, stats, where)
    epochs = sum(phase.epochs for phase in plan)
    task = yield from aside(
        lambda tell: create_task(spec, train_spec, dataset, model, loaders, stats, epochs, control.stop), control.stop
    )
    looks = Looks(control.look, model, task.sample.x[:LOOKED_AT], epochs)
    keep = keeper(control, spec, train_spec, model, dataset.classes, stats)

    state = resumed(control, model)
    if state is None:
        yield from begun(control, model)
        keep(0)
        sizes = len(dataset.train), len(dataset.valid)
        yield started(built, learning, plan, loaders.steps, sizes, dataset.classes, where)
        yield task.told()
        yield from task.outputs(model, 0)
        precision, chosen = choose_precision(train_spec.precision, model, task, *next(iter(loaders.valid())))
        if chosen:
            yield chosen
        yield from looks.after(0)
    else:
        precision = state.precision
        yield Resumed(state.epoch)

    last, trained = None, 0.0
    torch.manual_seed(train_spec.seed)
    for event in train_loop(
        model,
        built.groups,
        loaders,
        plan,
        task,
        wd=train_spec.wd,
        train_bn=train_spec.train_bn,
        precision=precision,
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
            last, trained = event, trained + event.seconds
            yield from looks.after(event.epoch, trained)
    yield from _closing_notes(task, last)
    yield Finished(time.perf_counter() - start)


def load_data(spec: UnetSpec, train_spec: TrainSpec, tell: Callable[..., None]) -> DenseSet:
    """The set that a run asks for; DataError where it cannot be used."""
    return load_dense(train_spec.data, task=spec.task, progress=tell, **load_options(spec, train_spec))


def check_fit(model: nn.Module, spec: UnetSpec, train_spec: TrainSpec, dataset: DenseSet) -> None:
    """Refuse, with one ValueError sentence, what training would stumble over."""
    if spec.task != SEGMENTATION:
        check_channels(spec)
    if spec.n_out < len(dataset.classes):
        raise ValueError(
            f"The decoder has {spec.n_out} output{'s' * (spec.n_out > 1)}, the data {len(dataset.classes)} classes: "
            f"set outputs to {len(dataset.classes)}."
        )
    check_splits(dataset.name, len(dataset.train), len(dataset.valid))
    if has_batch_norm(model) and model.wiring.features[1:] == (1, 1):
        check_batch(train_spec, len(dataset.train))


def check_channels(spec: UnetSpec) -> None:
    """Refuse, with one ValueError sentence, a network whose input is no picture in colour."""
    if spec.body.n_in != 3:
        raise ValueError(
            f"This task makes pictures in colour from pictures with 3 channels, and the body takes {spec.body.n_in}: "
            "set the input channels to 3."
        )


def create_loaders(dataset: DenseSet, train_spec: TrainSpec, stats: Stats | None, device: torch.device) -> Loaders:
    """Batches as `learner.create_loaders` makes them; y is what the task wants."""
    size = train_spec.batch_size
    mean, std = stats or (None, None)
    generator = torch.Generator().manual_seed(train_spec.seed)
    feed = {"task": dataset.task, "mean": mean, "std": std, "device": device}
    order = {"shuffle": True, "drop_last": True, "augment": train_spec.augment, "generator": generator}
    plain = {"shuffle": False, "drop_last": False, "augment": "none", "generator": None}
    return Loaders(
        train=lambda: dense_batches(dataset.train, size, **order, **feed),
        valid=lambda: dense_batches(dataset.valid, size, **plain, **feed),
        steps=count_batches(len(dataset.train), size, drop_last=True),
        generator=generator,
    )


def create_task(
    spec: UnetSpec,
    train_spec: TrainSpec,
    dataset: DenseSet,
    model: nn.Module,
    loaders: Loaders,
    stats: Stats | None,
    epochs: int,
    stop: Callable[[], bool],
) -> Task:
    """The task of a spec with its sample; the valid set is seen once, which measures what one has without a network.

    Where `adds_to_input` says so the output is added to what the network gets, else it is the picture itself.
    """
    common = {"stats": stats, "shown": epochs_to_look(epochs)}
    if spec.task == SEGMENTATION:
        sample, _ = survey(loaders, len(dataset.valid), stop)
        return Segmentation(sample, classes=dataset.classes, colours=dataset.colours, **common)
    common |= {"name": spec.task, "difference": adds_to_input(spec)}
    critic = create_critic(spec, train_spec, model, stats)
    if spec.task == STYLE:
        sample, _ = survey(loaders, len(dataset.valid), stop)
        picture = style_of(spec, train_spec, sample.y.device)
        return Styling(sample, style=Style.of(critic, picture), shown_style=picture_uri(picture[0]), **common)
    sample, scores = survey(loaders, len(dataset.valid), stop, lambda x: denormalise(x, stats))
    return Restoration(sample, critic=critic, keep_light=spec.task == COLOUR, baseline=scores, **common)


def adds_to_input(spec: UnetSpec) -> bool:
    """Whether the network predicts a difference: for pictures, unless they have a range of their own (`y_range`)."""
    return spec.task != SEGMENTATION and spec.decoder.y_range is None


def start_at_nothing(model: nn.Module) -> None:
    """Set the last convolution to 0, in place, so that a fresh network gives back what it gets.

    Otherwise the first hundred steps only unlearn the noise of random weights: after 40 steps of super-resolution a
    resnet18 U-Net was still 0.4 dB below bicubic. A convolution that has a norm stays as it is.
    """
    conv = model.decoder.output[0][0]
    if conv.bias is not None and not parametrize.is_parametrized(conv):
        nn.init.zeros_(conv.weight)
        nn.init.zeros_(conv.bias)


def create_critic(spec: UnetSpec, train_spec: TrainSpec, model: nn.Module, stats: Stats | None) -> Critic | None:
    """A copy of the body as it is before training, where the loss compares its maps."""
    if spec.task != STYLE and train_spec.loss != "feature":
        return None
    return Critic(model.encoder, spec.body.size, stats)


def style_of(spec: UnetSpec, train_spec: TrainSpec, device: torch.device) -> Tensor:
    """The style picture as float (1, 3, S, S) in 0..1, S the longer side of the pictures that are trained on."""
    pixels = torch.as_tensor(style_picture(train_spec.style, max(spec.body.height_width)))
    return pixels[None].to(device).float() / 255


def style_notes(train_spec: TrainSpec, built: Built) -> Iterator[Note]:
    """What one may not expect of the style picture, and of the body that looks at it."""
    if text := style_note(train_spec.style):
        yield Note(text)
    yield from critic_notes(built)


def critic_notes(built: Built) -> Iterator[Note]:
    """Whether pictures are compared by what a body has learnt."""
    if built.weights.source == "random":
        yield Note("The maps that pictures are compared by are those of a body with random weights.")


def survey(
    loaders: Loaders, n_valid: int, stop: Callable[[], bool], plain: Callable[[Tensor], Tensor] | None = None
) -> tuple[Sample, tuple[tuple[str, float], ...]]:
    """The pictures to watch, evenly spread over the valid set, and what `plain(x)` scores on all of it.

    Raises Halted when `stop` says so between two batches.
    """
    wanted, seen, scores = spread_positions(n_valid, SAMPLE), 0, None
    xs, ys = [], []
    for x, y in loaders.valid():
        if stop():
            raise Halted
        chosen = [position - seen for position in wanted if seen <= position < seen + len(x)]
        xs.append(x[chosen])
        ys.append(y[chosen])
        seen += len(x)
        if plain is not None:
            scores = scores or PictureScores(y.device)
            scores.add(plain(x), y)
        elif seen > wanted[-1]:
            break
    return Sample(torch.cat(xs), torch.cat(ys)), scores.metrics() if scores else ()


def spread_positions(n: int, most: int) -> tuple[int, ...]:
    """At most so many positions of n, evenly spread, in the middle of equal parts."""
    count = min(n, most)
    return tuple(n * (2 * i + 1) // (2 * count) for i in range(count))


def _notes(
    spec: UnetSpec, train_spec: TrainSpec, built: Built, dataset: DenseSet, plan: tuple[Phase, ...], learning: list
) -> Iterator[Note]:
    """What is not as asked, or not as one would think."""
    yield from weights_notes(spec, built)
    for text in dataset.notes:
        yield Note(text)
    spare = spec.n_out - len(dataset.classes)
    if spec.task == SEGMENTATION and spare:
        classes = len(dataset.classes)
        yield Note(f"The decoder has {spec.n_out} outputs, the data {classes} classes: {spare} stay unused.")
    if spec.task == STYLE:
        yield from style_notes(train_spec, built)
    elif spec.task != SEGMENTATION and train_spec.loss == "feature":
        yield from critic_notes(built)
    yield from learning_notes(train_spec, built, len(dataset.train), plan, learning, head="decoder")


def _closing_notes(task: Task, last: EpochDone | None) -> Iterator[Note]:
    """What came of the run, where it went wrong or made things worse."""
    if last is None:
        return
    if isinstance(task, Segmentation) and (grown := growth_sentence(last.valid_loss, len(task.classes))):
        yield Note(grown, "warn")
    if isinstance(task, Restoration):
        before, now = dict(task.baseline)["psnr"], dict(last.metrics)["psnr"]
        if now < before + LEAST_GAIN:
            told = task.told().baseline
            yield Note(f"The pictures are no better yet than {told}: {now:.1f} dB against {before:.1f}; train longer.")
