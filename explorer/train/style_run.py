"""One picture in another one's style: its pixels are optimised, no network learns (Gatys et al., arXiv 1508.06576)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from explorer.data.dense import dense_batches
from explorer.models.build import build_model
from explorer.models.groups import Group, freeze
from explorer.spec import HEAD, STYLE_IMAGE, TrainSpec, UnetSpec
from explorer.train.aside import aside
from explorer.train.control import Control, begun, keeper, resumed, start_stats
from explorer.train.dense_run import check_channels, load_data, style_notes, style_of
from explorer.train.dense_tasks import Sample, Style, Styling
from explorer.train.device import pick_device
from explorer.train.events import Event, Finished, Note, Paused, Resumed, Stopped
from explorer.train.looks import epochs_to_look
from explorer.train.loop import Loaders, train_loop
from explorer.train.losses import Critic
from explorer.train.paint import picture_uri
from explorer.train.prepare import place, started, statistics, telling, weights_notes
from explorer.train.schedule import phases

STEPS = 40  # of one epoch: there is no set to pass through


class Canvas(nn.Module):
    """A picture whose pixels are parameters: whatever it gets, it gives (1, 3, H, W)."""

    def __init__(self, picture: Tensor):
        super().__init__()
        self.pixels = nn.Parameter(picture.clone())

    def forward(self, x: Tensor) -> Tensor:
        return self.pixels


def run_style_image(
    spec: UnetSpec,
    train_spec: TrainSpec,
    control: Control,
) -> Iterator[Event]:
    """The events of one run, on the first valid picture; raises what `learner.fit` turns into Failed.

    An epoch is STEPS steps, the rate is that of the pixels, whose values go from 0 to 1. The weights kept are pixels.
    """
    start = time.perf_counter()
    where = pick_device(control.device)
    check_channels(spec)

    torch.manual_seed(train_spec.seed)
    built = yield from aside(lambda tell: build_model(spec, progress=telling(tell, spec.body.arch)), control.stop)
    dataset = yield from aside(lambda tell: load_data(spec, train_spec, tell), control.stop)
    if not control.resume:
        yield from weights_notes(spec, built)
        for text in dataset.notes:
            yield Note(text)
        yield from style_notes(train_spec, built)

    stats = start_stats(control, statistics(spec, built.weights.source))
    critic = Critic(place(built.model.encoder, where), spec.body.size, stats)
    style = yield from aside(lambda tell: style_of(spec, train_spec, where), control.stop)
    batches = dense_batches(
        dataset.valid,
        1,
        task=STYLE_IMAGE,
        shuffle=False,
        drop_last=False,
        augment="none",
        generator=None,
        mean=None,
        std=None,
        device=where,
    )
    content, _ = next(iter(batches))
    canvas = Canvas(content)
    groups = (Group(HEAD, ("pixels",)),)
    plan = phases(replace(train_spec, lrs=None, frozen=0), len(groups))  # rates and locks are of a body's groups
    epochs = sum(phase.epochs for phase in plan)
    task = Styling(
        Sample(content, content),
        shown=epochs_to_look(epochs),
        name=STYLE_IMAGE,
        style=Style.of(critic, style),
        difference=False,
        shown_style=picture_uri(style[0]),
    )
    batch = [(content, content)]
    loaders = Loaders(train=lambda: batch * STEPS, valid=lambda: batch, steps=STEPS)
    keep = keeper(control, spec, train_spec, canvas, (), stats)
    learning = freeze(canvas, groups, plan[0].frozen, train_spec.train_bn)

    state = resumed(control, canvas)
    if state is None:
        yield from begun(control, canvas)
        keep(0)
        yield started(built, learning, plan, STEPS, (1, 1), (), where)
        yield task.told()
        yield from task.outputs(canvas, 0)
    else:
        yield Resumed(state.epoch)

    for event in train_loop(
        canvas,
        groups,
        loaders,
        plan,
        task,
        wd=0.0,
        stop=control.stop,
        keep=keep,
        pause=control.pause,
        leave=control.leave,
        state=state,
    ):
        yield event
        if isinstance(event, (Stopped, Paused)):
            return
    yield Finished(time.perf_counter() - start)
