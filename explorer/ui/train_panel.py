"""The training panel, the same on every page: what to train on, how, Train and Stop, and the live run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import gradio as gr
from gradio.events import Dependency

from explorer.data.registry import Choice
from explorer.jobs.record import spec_from_dict
from explorer.jobs.store import RunRecord
from explorer.spec import STYLE_IMAGE, ClassifierSpec, UnetSpec, size_text
from explorer.trace.tracer import trace
from explorer.train.events import Activations
from explorer.ui.controls import count, dropdown, segments, slider, switch, text
from explorer.ui.read import AUGMENTATIONS, SCHEDULES, SIZES, TRAIN_REACH
from explorer.ui.services import PLOTLY_URL, Services
from explorer.ui.unet_read import KINDS, LOSS_WORDS, PRECISION_WORDS
from explorer.ui.upload_desk import UploadDesk
from explorer.ui.widget import widget
from explorer.views import curves
from explorer.views.activations import layer_words

DECODER_WORDS = {kind: words for words, kind in KINDS.items()}


@dataclass(frozen=True)
class TrainPanel:
    """Components by control name, the two buttons, what is asked before a run, the live run, a line about the data."""

    controls: dict[str, gr.Component]
    go: gr.Button
    halt: gr.Button
    question: gr.HTML
    run: gr.HTML
    hint: gr.HTML


def train_panel(
    services: Services, first: dict, choices: tuple[Choice, ...], *, page: str = "", styles: tuple[str, ...] = ()
) -> TrainPanel:
    """Lay out the panel with first values by control name; nothing listens yet.

    choices  sets to train on
    page     begins the ids of its components: "unet-"
    styles   drawn pictures whose style can be learnt; with them come loss, style and a style picture of one's own
    """
    c: dict[str, gr.Component] = {}
    with gr.Row(elem_classes="bar"):
        gr.HTML("<h2>Train</h2>", apply_default_css=False, min_width=0)
        go = gr.Button("Train", variant="primary", elem_id=f"{page}go", min_width=0)
        halt = gr.Button("Stop", elem_id=f"{page}halt", min_width=0, interactive=False)
    question = widget("question", {}, events=("answered",), elem_id=f"{page}question")
    sets = [(" · ".join(filter(None, (choice.label, choice.download))), choice.name) for choice in choices]
    with gr.Row(elem_classes="set"):
        c["data"] = dropdown(
            f"{page}data", "Data", sets, first["data"], elem_classes="field", filterable=False, min_width=0
        )
        c["epochs"] = count(f"{page}epochs", "Epochs", first["epochs"])
        c["rate"] = text(f"{page}rate", "Rate", first["rate"])
        c["batch_size"] = count(f"{page}batch_size", "Batch", first["batch_size"])
    hint = widget("line", first["datahint"], elem_id=f"{page}datahint")
    c["path"] = text(f"{page}path", "Folder on this machine", placeholder="/home/me/pictures", visible=False)
    c["upload"] = widget(
        "upload",
        first["upload"],
        events=("moved",),
        server_functions=UploadDesk(services).functions(),
        elem_id=f"{page}upload",
    )
    c["schedule"] = segments(f"{page}schedule", "Schedule", SCHEDULES, first["schedule"], show_label=False)
    if styles:
        c["loss"] = segments(f"{page}loss", "Loss", LOSS_WORDS, first["loss"], visible=False)
        c["style"] = dropdown(
            f"{page}style",
            "Style",
            styles,
            first["style"],
            filterable=False,
            visible=False,
            help="A picture of your own, given below, is taken instead.",
        )
        c["style_file"] = gr.File(
            show_label=False, elem_id=f"{page}style_file", visible=False, height=104, file_types=["image"],
            type="filepath",
        )  # fmt: skip
    more = gr.Accordion("More", open=False, elem_id=f"{page}train_more", elem_classes="fold")
    with more, gr.Column(elem_classes="stack"):
        c["data_size"] = segments(
            f"{page}data_size",
            "Drawn set",
            SIZES,
            first["data_size"],
            help="400, 1,600 or 6,000 pictures to learn from.",
        )
        c["difficulty"] = slider(
            f"{page}difficulty",
            "Difficulty",
            0,
            1,
            first["difficulty"],
            step=0.1,
            help="Clutter, noise and cover in the drawings.",
        )
        c["augment"] = segments(
            f"{page}augment",
            "Augmentation",
            AUGMENTATIONS,
            first["augment"],
            help="Turn, zoom, warp and light at random.",
        )
        if styles:
            c["precision"] = segments(
                f"{page}precision",
                "Products",
                PRECISION_WORDS,
                first["precision"],
                help="Auto: the faster one on this machine.",
            )
        with gr.Row(elem_classes="three"):
            c["freeze_epochs"] = count(f"{page}freeze_epochs", "Frozen epochs", first["freeze_epochs"])
            c["wd"] = text(f"{page}wd", "Weight decay", first["wd"])
            c["seed"] = count(f"{page}seed", "Seed", first["seed"])
        c["valid_pct"] = slider(
            f"{page}valid_pct",
            "Held back",
            *TRAIN_REACH["valid_pct"],
            first["valid_pct"],
            step=0.05,
            help="Share for validation, of folders without a split.",
        )
        c["train_bn"] = switch(
            f"{page}train_bn", first["train_bn"], label="train_bn", help="Norm layers learn in frozen groups too"
        )
    run = widget(
        "run",
        idle_run(services),
        events=("ended", "attached", "another"),
        server_functions=[poll_function(services), wish_function(services)],
        elem_id=f"{page}run",
    )
    return TrainPanel(c, go, halt, question, run, hint)


def idle_run(services: Services) -> dict[str, object]:
    """What the run widget holds before there is a run: its charts, and milliseconds between two questions."""
    return {
        "run": None,
        "plotly": PLOTLY_URL,
        "figure": curves.base(),
        "pace": 2000 if services.is_public else 250,
    }


def poll_function(services: Services) -> Callable[[object], dict]:
    """The server function by which a page follows a run: [run, since] -> what is new (`jobs.queue.Queue.poll`).

    The first answer also holds `title`, which model the run trains on what. One with Activations of before the first
    epoch holds `layers`, what their layers are called (`views.activations.layer_words`).
    """

    def poll(asked: object) -> dict:
        run, since = asked if isinstance(asked, list) and len(asked) == 2 else (None, 0)
        answer = services.queue.poll(run, since)
        if answer["state"] != "gone" and answer["since"] == 0:
            answer["title"] = run_title(services.queue.store.run(run))
        first = next((event for event in answer.get("events", ()) if _is_first_look(event)), None)
        if first:
            answer["layers"] = layer_words(first["quals"], trace(spec_of(services.queue.store.run(run))))
        return answer

    return poll


def wish_function(services: Services) -> Callable[[object], dict]:
    """The server function by which a page pauses and resumes its run: [run, token, "pause" or "resume"] -> {"text"}."""

    def wish(asked: object) -> dict:
        run, token, what = asked if isinstance(asked, list) and len(asked) == 3 else (None, None, None)
        queue = services.queue
        if what not in ("pause", "resume"):
            return {"text": "A run can be paused and resumed."}
        return {"text": (queue.pause if what == "pause" else queue.resume)(run, token).text}

    return wish


def lend_gpu(services: Services, run: gr.HTML, *starts: Dependency) -> None:
    """After what may have started a run: on a ZeroGPU Space it trains inside an event of its page, in the queue, since
    the GPU is lent to that alone. Elsewhere nothing listens."""
    if services.train_lent is None:
        return

    def train(shown: object) -> Iterator[None]:
        yield from services.train_lent(shown.get("run") if isinstance(shown, dict) else None)

    how = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
    for start in starts:
        start.then(train, run, None, **how)


def run_title(record: RunRecord) -> str:
    """ "resnet34 to layer3 at 224 px, concat, 512 → 10" of a recorded run."""
    spec = spec_of(record)
    body = spec.body
    place = "" if body.cut is None else f" to {body.cut}"
    if isinstance(spec, UnetSpec) and spec.task == STYLE_IMAGE:
        top = "the pixels of one picture"
    elif isinstance(spec, UnetSpec):
        top = f"{DECODER_WORDS[spec.decoder.kind]}, {spec.n_out} outputs"
    else:
        widths = " → ".join(map(str, (*spec.head.widths, spec.n_out)))
        top = f"{spec.head.pool or 'no pooling'}, {widths}"
    return f"{body.arch}{place} at {size_text(body.size)} px, {top}"


def spec_of(record: RunRecord) -> ClassifierSpec | UnetSpec:
    """The spec that a run was recorded with."""
    return spec_from_dict(record.family, record.spec)


def _is_first_look(event: dict) -> bool:
    return event["event"] == Activations.__name__ and event["epoch"] == 0
