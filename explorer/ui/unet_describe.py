"""From the reading of the U-Net page to what its widgets show: records in, payloads by widget name out."""

from __future__ import annotations

import time
from dataclasses import replace

from explorer.jobs.pace import Pace, drawn_pictures, duration_words, effort_of
from explorer.models.build import pyramid_of, wiring_of
from explorer.spec import (
    COLOUR,
    HEAD,
    SEGMENTATION,
    STYLE,
    STYLE_IMAGE,
    SUPER_RESOLUTION,
    SpecError,
    TrainSpec,
    UnetSpec,
)
from explorer.trace.records import Trace, groups_of
from explorer.trace.summary import torchinfo_text
from explorer.trace.tracer import size_that_runs
from explorer.ui.describe import (
    GROUPS_HELP,
    View,
    frozen_count,
    group_rates,
    in_use,
    laid_over,
    shown_trace,
    size_hint,
    topbar,
    weights_line,
)
from explorer.ui.read import Reading, cut_steps
from explorer.ui.services import Services
from explorer.ui.unet_sheet import find_dense
from explorer.views.cost import cost
from explorer.views.groups import groups
from explorer.views.measures import MEASURES
from explorer.views.numbers import numbers
from explorer.views.pictures import pictures
from explorer.views.race import race
from explorer.views.table import table
from explorer.views.tree import tree
from explorer.views.unet_source import code
from explorer.views.wiring import wiring

TASK_HELP = {
    SEGMENTATION: "A class for every pixel: one channel of scores each.",
    SUPER_RESOLUTION: "A picture shrunk to half its side becomes sharp again.",
    COLOUR: "A grey picture gets its colours back.",
    STYLE: "The U-Net learns to paint any picture in one style.",
    STYLE_IMAGE: "No network learns: one picture's pixels do, compared in the body's maps.",
}
OUTPUTS = {SEGMENTATION: "classes per pixel"}
KINDS_HELP = {
    "unet": "Pixel shuffle, then join the skip",
    "nearest": "Each pixel four times, then a convolution",
    "transposed": "Zeros in between, then a convolution",
}
LONG = 10 * 60.0  # seconds of a run, from which on a smaller one is suggested
QUICK_SIZE, QUICK_CAP = 96, 128


def describe_unet(reading: Reading, services: Services, view: View, pace: Pace) -> dict[str, object]:
    """Payloads by widget name for a U-Net, of the tabs only the one on show.

    Raises SpecError where nothing can be built.
    """
    start = time.perf_counter()
    spec, train = reading.spec, reading.train
    shown = shown_trace(spec, train)
    payloads = {
        "wiring": draw_wiring(reading, shown, services),
        "groups": unet_groups(shown, train),
        "weightsline": weights_line(spec),
        "datahint": dense_hint(reading, shown, services, pace),
        "taskline": {"text": TASK_HELP[spec.task]},
        "skipsline": skips_line(spec),
        "topbar": topbar(services, spec, train),
        "cut": cut_steps(spec),
        "pictures": pictures(spec),
        **unet_tab(view, reading, shown, services),
    }
    payloads["numbers"] = unet_numbers(spec, shown, 1000 * (time.perf_counter() - start), view.measure)
    return payloads


def describe_unet_tab(reading: Reading, services: Services, view: View) -> dict[str, object]:
    """The payload of one inner tab alone; {} where nothing can be built."""
    try:
        return unet_tab(view, reading, shown_trace(reading.spec, reading.train), services)
    except SpecError:
        return {}


def unet_tab(view: View, reading: Reading, shown: Trace, services: Services) -> dict[str, object]:
    """The payload of one inner tab; {} for tabs that do not show the model."""
    spec = reading.spec
    if view.tab == "tree":
        return {
            "tree": tree(
                laid_over(reading.spec, reading.train, shown, view.measure), MEASURES[view.measure or "params"]
            )
        }
    if view.tab == "layers":
        return {
            "layers": table(
                laid_over(reading.spec, reading.train, shown, view.measure), None, MEASURES.get(view.measure)
            )
        }
    if view.tab == "cost":
        return {"cost": cost(spec, shown, reading.train, frozen_count(reading.train, len(groups_of(shown))))}
    if view.tab == "race":
        return {"race": race(spec, reading.train)}
    if view.tab == "code":
        return {"code": code(spec, shown)}
    if view.tab == "summary":
        return {"summary": {"sections": [{"title": "torchinfo", "lang": "text", "text": torchinfo_text(spec)}]}}
    return {}


def draw_wiring(reading: Reading, shown: Trace, services: Services) -> dict[str, object]:
    """The wiring picture of a U-Net whose trace is `shown`."""
    spec, train = reading.spec, reading.train
    rates = group_rates(shown, train)
    size = size_that_runs(spec.body) if shown.failure else spec.body.size
    known = replace(spec, body=replace(spec.body, size=size)) if size else None
    return wiring(
        spec,
        shown,
        wiring_of(known) if known else None,
        pyramid_of(known.body).taps if known else (),
        frozen=frozen_count(train, len(rates)),
        lrs=rates,
        **in_use(spec, services),
    )


def unet_groups(shown: Trace, train: TrainSpec) -> dict[str, object]:
    """Rows of the parameter groups; the last is the decoder's."""
    rates = group_rates(shown, train)
    payload = groups(shown, frozen_count(train, len(rates)), rates)
    for row in payload["rows"]:
        if row["id"] == HEAD:
            row["name"] = "Decoder"
    return {**payload, "help": GROUPS_HELP[train.schedule]}


def unet_numbers(spec: UnetSpec, shown: Trace, ms: float, measure: str) -> list[dict]:
    """The row of big numbers; outputs are counted per pixel."""
    caption = OUTPUTS.get(spec.task, "colours per pixel")
    runs = shown.out_shape is not None
    return [
        {
            **number,
            "caption": caption,
            "exact": f"{spec.n_out:,} numbers come out for each pixel" if runs else number["exact"],
        }
        if number["key"] == "outputs"
        else number
        for number in numbers(shown, ms, measure)
    ]


def skips_line(spec: UnetSpec) -> dict[str, object]:
    """ "3 of 4 on", and how they are switched."""
    if spec.decoder.kind != "unet":
        how = KINDS_HELP[spec.decoder.kind]
        return {"text": f"{how}; no skips: it sees the last map alone."}
    try:
        plan = wiring_of(spec)
    except SpecError:
        return {"text": ""}
    if not plan.skips:
        return {"text": "This body has no scales to skip from: one grid all the way."}
    counted = f"{plan.n_skips} of {len(plan.skips)} on. Switch them in the picture."
    return {"text": f"{KINDS_HELP[spec.decoder.kind]}. Skips: {counted}"}


def dense_hint(reading: Reading, shown: Trace, services: Services, pace: Pace) -> dict[str, object]:
    """What the chosen set is or holds, and about how long a run on it takes where that is known."""
    spec, train = reading.spec, reading.train
    choice = find_dense(reading)
    if choice is None:
        return {"text": ""}
    text = choice.help
    if spec.task == SEGMENTATION and choice.classes and choice.classes != spec.n_out:
        text = f"It has {choice.classes} classes: Train gives the U-Net {choice.classes} outputs."
    elif ":" in train.data and (found := services.load_dense.counts(train.data)):
        text = "{:,} pictures to learn from, {:,} to check on.".format(*found)
    seconds = run_seconds(spec, train, shown, pace, count_pictures(spec, train, services))
    if seconds:
        text += f" About {duration_words(seconds)} on this machine."
    return {"text": text}


def count_pictures(spec: UnetSpec, train: TrainSpec, services: Services) -> tuple[int, int] | None:
    """Pictures to learn from and to check on; None for a set that was not looked at yet."""
    return drawn_pictures(spec, train) or services.load_dense.counts(train.data)


def run_seconds(
    spec: UnetSpec, train: TrainSpec, shown: Trace, pace: Pace, pictures: tuple[int, int] | None
) -> float | None:
    """About how long a run takes here; None where that is not known."""
    if not pictures or shown.failure or spec.task == STYLE_IMAGE:
        return None
    return pace.seconds(effort_of(shown), spec, train, pictures)


def quick(spec: UnetSpec) -> UnetSpec:
    """The same network for small pictures, with a narrow decoder: a run of minutes, to see it learn."""
    return replace(spec, body=replace(spec.body, size=QUICK_SIZE), decoder=replace(spec.decoder, width_cap=QUICK_CAP))


def unet_suggestions(reading: Reading, services: Services, pace: Pace) -> dict[str, dict[str, str]]:
    """By field what one may want to know or change: a width out of sight, a random body that rests, a long run."""
    return {**size_hint(reading.spec.body), **thaw(reading), **quicker(reading, services, pace)}


def thaw(reading: Reading) -> dict[str, dict[str, str]]:
    """The suggestion to let a body learn that knows nothing yet: fastai freezes pretrained ones alone, facts C.5."""
    spec, train = reading.spec, reading.train
    rests = frozen_count(train, len(groups_of(shown_trace(spec, train))))
    if spec.body.weights != "random" or spec.task == STYLE_IMAGE or not rests:
        return {}
    text = "These random weights rest: the decoder learns from what noise makes of a picture."
    return {"thaw": {"text": text, "label": "Let them learn"}}


def quicker(reading: Reading, services: Services, pace: Pace) -> dict[str, dict[str, str]]:
    """The suggestion to train a smaller network first, where a run would take long and that one would not."""
    spec, train = reading.spec, reading.train
    pictures = count_pictures(spec, train, services)
    seconds = run_seconds(spec, train, shown_trace(spec, train), pace, pictures)
    if not seconds or seconds < LONG:
        return {}
    short = run_seconds(quick(spec), train, shown_trace(quick(spec), train), pace, pictures)
    if not short or short > seconds / 2:
        return {}
    text = f"To see it learn sooner, {QUICK_SIZE} px and a width cap of {QUICK_CAP}: about {duration_words(short)}."
    return {"quick": {"text": text, "label": "Make it small"}}
