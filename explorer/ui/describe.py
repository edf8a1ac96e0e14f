"""From a spec to what the widgets of a page draw: one trace, one payload a widget, only what is on show."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch

from explorer import link
from explorer.data.dataset import DataError
from explorer.data.pictures import check_channels
from explorer.data.registry import Choice, is_here, list_data
from explorer.models.bodies import legal_cuts, resolve_cut
from explorer.models.build import build_model
from explorer.models.weights import WeightsReport, describe_imagenet
from explorer.spec import BodySpec, ClassifierSpec, SpecError, TrainSpec, count_frozen
from explorer.trace.explain import batch_failure
from explorer.trace.hints import early_cut, hints, later_cut, percent
from explorer.trace.memory import kept_per_layer, step_memory
from explorer.trace.records import Trace, freeze_rows, groups_of
from explorer.trace.summary import torchinfo_text
from explorer.trace.tracer import trace
from explorer.train.device import pick_device
from explorer.ui.field_desk import fields
from explorer.ui.read import BROUGHT, Reading, cut_steps, usual_rates
from explorer.ui.services import Services
from explorer.ui.weights_desk import WeightsState
from explorer.views.activations import activations
from explorer.views.compare import Design, compare
from explorer.views.cost import cost, size_words
from explorer.views.groups import groups
from explorer.views.measures import MEASURES, with_kept
from explorer.views.numbers import numbers
from explorer.views.ribbon import NO_RIBBON, cut_name, marked, ribbon
from explorer.views.source import fastai_call, script, why_no_fastai
from explorer.views.stages import body_stages
from explorer.views.table import table
from explorer.views.tree import tree

CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
GROUPS_HELP = {
    "one_cycle": "Early layers learn slowest; frozen ones not at all.",
    "flat": "One rate for all, unless you set others; frozen groups do not learn.",
    "fine_tune": "First the head alone, then everything at half these rates: no locks here.",
}


@dataclass(frozen=True)
class View:
    """What of the model a page has on show.

    tab      the inner tab
    measure  the cost laid over ribbon and tree, of `views.measures.MEASURES`; "" for none
    pinned   the design that the page's own is compared with
    """

    tab: str = "tree"
    measure: str = ""
    pinned: Reading | None = None


AT_FIRST = View()


def describe(reading: Reading, services: Services, view: View) -> tuple[dict[str, object], dict[str, str]]:
    """Payloads by widget name for a model, of the tabs only the one on show; and what it makes doubtful, by field.

    Raises SpecError where nothing can be built.
    """
    start = time.perf_counter()
    spec, train = reading.spec, reading.train
    shown = shown_trace(spec, train)
    rates = group_rates(shown, train)
    frozen = frozen_count(train, len(rates))
    payloads = {
        "ribbon": marked(draw(reading, services, view.measure), "B" if view.pinned else ""),
        "groups": {**groups(shown, frozen, rates), "help": GROUPS_HELP[train.schedule]},
        "weightsline": weights_line(spec),
        "datahint": data_hint(spec, train),
        "topbar": topbar(services, spec, train, view.pinned),
        **one_tab(view, reading, shown, services),
    }
    payloads["cut"] = named_steps(cut_steps(spec), payloads["ribbon"])
    payloads["numbers"] = numbers(shown, 1000 * (time.perf_counter() - start), view.measure)
    return payloads, train_problems(shown, train)


def size_hint(body: BodySpec) -> dict[str, dict[str, str]]:
    """Where the width stands of a picture that is no square: the slider holds its height alone."""
    height, width = body.height_width
    return {} if height == width else {"body.size": {"text": f"{height} high, {width} wide: the width is under More."}}


def named_steps(steps: dict[str, object], drawn: dict[str, object]) -> dict[str, object]:
    """The stepper's cuts by the names that the ribbon gives them, and the whole name for those who hover."""
    words = [cut.get("brief", cut["name"]) for cut in drawn["cuts"]]
    words[drawn["cut"]] = drawn["behind"]
    values = [
        step if step["id"] == word else {
            "id": step["id"], "label": step["label"].removesuffix(step["id"]) + word, "title": step["label"]
        }
        for step, word in zip(steps["values"], words, strict=True)
    ]  # fmt: skip
    return {**steps, "values": values}


def describe_tab(reading: Reading, services: Services, view: View) -> dict[str, object]:
    """The payload of one inner tab alone; {} where nothing can be built."""
    try:
        return one_tab(view, reading, shown_trace(reading.spec, reading.train), services)
    except SpecError:
        return {}


def group_payload(spec: ClassifierSpec, train: TrainSpec) -> dict[str, object]:
    """The rows of the parameter groups alone."""
    shown = shown_trace(spec, train)
    rates = group_rates(shown, train)
    return groups(shown, frozen_count(train, len(rates)), rates)


def count_groups(spec: ClassifierSpec) -> int:
    """How many parameter groups a model has. Raises SpecError where nothing can be built."""
    return len(groups_of(trace(spec)))


@lru_cache(maxsize=128)
def shown_trace(spec: ClassifierSpec, train: TrainSpec) -> Trace:
    """The model as it would train: frozen groups do not learn. Raises SpecError where nothing can be built."""
    plain = trace(spec)
    return freeze_rows(plain, frozen_count(train, len(groups_of(plain))), train.train_bn)


def one_tab(view: View, reading: Reading, shown: Trace, services: Services) -> dict[str, object]:
    """The payload of one inner tab; {} for tabs that do not show the model."""
    spec = reading.spec
    if view.tab == "compare":
        return {"compare": compare(design(view.pinned), design(reading)) if view.pinned else {}}
    if view.tab == "tree":
        return {"tree": drawn_tree(spec, reading.train, view.measure)}
    if view.tab == "layers":
        measure = MEASURES.get(view.measure)
        return {"layers": table(laid_over(spec, reading.train, shown, view.measure), fields(spec), measure)}
    if view.tab == "cost":
        frozen = frozen_count(reading.train, len(groups_of(shown)))
        return {"cost": cost(spec, shown, reading.train, frozen, view.measure)}
    if view.tab == "activations":
        return {"activations": activations(spec, shown, **in_use(spec, services))}
    if view.tab == "code":
        return {"code": code(spec, shown)}
    if view.tab == "summary":
        return {"summary": {"sections": [{"title": "torchinfo", "lang": "text", "text": torchinfo_text(spec)}]}}
    return {}


def laid_over(spec: ClassifierSpec, train: TrainSpec, shown: Trace, measure: str) -> Trace:
    """The trace whose bytes are the measure's: those kept for backward, for one picture, where they are asked for."""
    if measure != "kept" or shown.failure:
        return shown
    frozen = frozen_count(train, len(groups_of(shown)))
    return with_kept(shown, kept_per_layer(spec, frozen=frozen, train_bn=train.train_bn))


def suggestions(spec: ClassifierSpec) -> dict[str, dict[str, str]]:
    """What could be meant otherwise, by field: a sentence, and a button's words where something can be changed."""
    found = {
        hint.field: {"text": hint.text, "label": hint.fix.label if hint.fix else ""}
        for hint in hints(spec, trace(spec))
    }
    return {**size_hint(spec.body), **found}


def place_of(spec: ClassifierSpec) -> str:
    """Which cut of which network a question is about: "resnet34 layer1"."""
    return f"{spec.body.arch} {resolve_cut(spec.body.arch, spec.body.cut).name}"


def question(spec: ClassifierSpec) -> dict[str, str]:
    """What is asked before such a model is trained, {} where nothing is: a sentence and the words of two answers."""
    cut, arch = early_cut(spec), spec.body.arch
    if cut is None:
        return {}
    later = later_cut(spec)
    return {
        "about": place_of(spec),
        "text": f"The cut {cut.name} keeps {percent(cut.share)} of {arch}'s parameters: train on what is left, "
        f"or cut after {later.value}?",
        "train": "Train anyway",
        "later": later.label,
    }


def draw(reading: Reading, services: Services, measure: str = "") -> dict[str, object]:
    """The ribbon of a design."""
    spec, train = reading.spec, reading.train
    used = in_use(spec, services)
    return drawn_ribbon(spec, train, measure) if not used else new_ribbon(spec, train, measure, **used)


def new_ribbon(spec: ClassifierSpec, train: TrainSpec, measure: str, **used: object) -> dict[str, object]:
    """The ribbon of a model as it would train; `used` is what is known of its weights."""
    shown = shown_trace(spec, train)
    rates = group_rates(shown, train)
    return ribbon(
        spec,
        laid_over(spec, train, shown, measure),
        legal_cuts(spec.body.arch),
        frozen=frozen_count(train, len(rates)),
        lrs=rates,
        measure=MEASURES.get(measure),
        **used,
    )


@lru_cache(maxsize=64)
def drawn_ribbon(spec: ClassifierSpec, train: TrainSpec, measure: str) -> dict[str, object]:
    """The same where nothing is to be said of the weights; kept, since a class of thirty turns the same knobs."""
    return new_ribbon(spec, train, measure)


@lru_cache(maxsize=64)
def drawn_tree(spec: ClassifierSpec, train: TrainSpec, measure: str) -> dict[str, object]:
    """The tree of a model as it would train, kept likewise."""
    return tree(laid_over(spec, train, shown_trace(spec, train), measure), MEASURES[measure or "params"])


def draw_pinned(pinned: Reading | None, services: Services, measure: str = "") -> dict[str, object]:
    """The second ribbon: the pinned design's, or none. Raises SpecError where nothing can be built."""
    if pinned is None:
        return NO_RIBBON
    return marked(draw(pinned, services, measure), "A")


def design(reading: Reading) -> Design:
    """One side of a comparison. Raises SpecError where nothing can be built."""
    shown = shown_trace(reading.spec, reading.train)
    body = reading.spec.body
    behind = cut_name(resolve_cut(body.arch, body.cut).name, body_stages(shown))
    return Design(reading.spec, shown, behind, reading.train)


def code(spec: ClassifierSpec, shown: Trace) -> dict[str, object]:
    """The script that builds this model, and the fastai call that does, where there is one."""
    call = fastai_call(spec, shown)
    return {
        "sections": [
            {"title": "PyTorch", "lang": "python", "text": script(spec, shown), "note": ""},
            {
                "title": "fastai",
                "lang": "python",
                "text": call or "",
                "note": "" if call else why_no_fastai(spec, shown),
            },
        ]
    }


def group_rates(shown: Trace, train: TrainSpec) -> tuple[float, ...]:
    """A rate for each group of this model: the chosen ones where they fit, else the usual ones below the head's."""
    count = len(groups_of(shown))
    return train.lrs if train.lrs and len(train.lrs) == count else usual_rates(train.schedule, train.lr, count)


def frozen_count(train: TrainSpec, count: int) -> int:
    """How many of `count` groups do not learn; in the end all do with fine_tune, which freezes them at first only."""
    if train.schedule == "fine_tune":
        return 0
    return min(count_frozen(train.frozen, count), count)


def weights_line(spec: ClassifierSpec) -> dict[str, object]:
    """What is said below the choice of weights: accuracy, size, licence and recipe; how a file fits; what random means.

    Raises SpecError for a file that cannot be read or does not fit.
    """
    if spec.body.weights == "imagenet":
        facts, _, recipe = describe_imagenet(spec.body.arch).partition("; recipe ")
        entry, _, facts = facts.partition(": ")
        return {"text": facts, "title": entry, "link": {"text": "recipe", "address": recipe}}
    if spec.body.weights in ("random", None):
        return {"text": "Nothing is borrowed: every layer starts from noise."}
    report = file_report(replace(spec.body, size=BodySpec.size), Path(spec.body.weights).stat().st_mtime)
    return {"text": fit_words(report), "title": "\n".join(report.missing + report.unexpected + report.reshaped)}


@lru_cache(maxsize=16)
def file_report(body: BodySpec, changed: float) -> WeightsReport:
    """How a weights file fits a body, of whatever image size; SpecError where it does not.

    `changed` is when the file was written.
    """
    return build_model(ClassifierSpec(body)).weights


def fit_words(report: WeightsReport) -> str:
    """How many tensors fitted, and which kinds did not, in one line."""
    parts = [f"{report.detail}: {report.loaded} tensors loaded"]
    for names, words in (
        (report.missing, "missing"),
        (report.unexpected, "unexpected"),
        (report.reshaped, "of another shape"),
        (report.dropped, "behind the cut"),
    ):
        if names:
            parts.append(f"{len(names)} {words}" + (f" ({names[0]}, …)" if words != "behind the cut" else ""))
    return ", ".join(parts) + "." + (f" {report.note}" if report.note else "")


def data_hint(spec: ClassifierSpec, train: TrainSpec) -> dict[str, object]:
    """One line about the chosen set: what Train will do first, or what it is."""
    choice = find_choice(train.data)
    if choice is None:
        return {"text": ""}
    parts = []
    if choice.download and not is_here(train.data):
        parts.append(f"Train fetches it first ({choice.download}).")
    if choice.classes and choice.classes != spec.n_out:
        parts.append(f"It has {choice.classes} classes: Train gives the head {choice.classes} outputs.")
    return {"text": " ".join(parts) or choice.help}


def find_choice(name: str) -> Choice | None:
    """The entry of a set; a path behind its name does not matter."""
    kind = name.partition(":")[0] + ":" if ":" in name else name
    return next((choice for choice in list_data() if choice.name == kind), None)


def cannot_train(spec: ClassifierSpec, train: TrainSpec) -> dict[str, str]:
    """Why this model cannot be trained so on pictures on this machine, by field; {} when it can."""
    described = trace(spec)
    if described.failure:
        return {"run": f"This model cannot train yet. {described.failure.reason}"}
    try:
        check_channels(spec.body.n_in)
    except DataError as error:
        return {"body.n_in": str(error)}
    frozen = False if train.schedule == "fine_tune" else train.frozen  # there everything learns in the end
    needed = step_memory(spec, train.batch_size, frozen=frozen, train_bn=train.train_bn).total
    where, there = memory_here()
    if needed > there:
        return {
            "run": f"A step of this training needs about {size_words(needed)} and {where} has {size_words(there)}: "
            "choose a smaller batch, image or body, or narrower layers."
        }
    return {}


def memory_here() -> tuple[str, int]:
    """Where a step must fit: ("this machine", bytes), or the GPU's own memory."""
    device = pick_device()
    if device.type == "cuda":
        return "this GPU", torch.cuda.get_device_properties(device).total_memory
    return "this machine", machine_memory()


def machine_memory(limit: Path = CONTAINER_LIMIT) -> int:
    """Bytes of memory in this machine, or in the container that it runs in where that has fewer."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(whole, int(limit.read_text()))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return whole


def train_problems(shown: Trace, train: TrainSpec) -> dict[str, str]:
    """What the model makes impossible in the training, by field."""
    failure = batch_failure(shown, train.batch_size)
    return {"batch_size": failure.reason} if failure else {}


def topbar(
    services: Services, spec: ClassifierSpec, train: TrainSpec, pinned: Reading | None = None
) -> dict[str, object]:
    """Device and the link to share, with a word about what a link cannot hold."""
    query = link.encode(spec, train)
    pictures = "your pictures" if train.data.startswith(BROUGHT) else "the folder"
    files = [what for what, path in (("the weights file", spec.body.weights), (pictures, train.data)) if is_path(path)]
    return {
        "device": services.device,
        "kind": services.device_kind,
        "link": link.beside(query, link.encode(pinned.spec, pinned.train)) if pinned else query,
        "left_out": " and ".join(files),
    }


def is_path(value: str | None) -> bool:
    """Whether a weights or data field names a place on this machine."""
    return value is not None and any(mark in value for mark in link.PATH_MARKS)


def in_use(spec: ClassifierSpec, services: Services) -> dict[str, object]:
    """What the ribbon must know of the weights: which are really in use, whether they are on their way, a banner."""
    if spec.body.weights != "imagenet":
        return {}
    desk = services.weights.ask(spec.body.arch)
    if desk.state == "ready":
        return {}
    if desk.state == "fetching":
        return {"loading": True}
    return {"weights": "random", "notice": offline(desk)}


def offline(desk: WeightsState) -> dict[str, object]:
    """The banner that names what failed and offers another try or a file."""
    return {
        "kind": "offline",
        "title": "ImageNet weights not reachable: random weights in use.",
        "text": f"{desk.reason} Shapes and costs are exact; accuracy will be low.",
        "actions": [
            {"id": "retry", "label": "Try again"},
            {"id": "file", "label": "Use a file"},
            {"id": "scratch", "label": "Train from scratch"},
        ],
    }
