"""The training panel, the same on every page: what to train on, how, Train and Stop, and the live run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr

from explorer.data.registry import list_data
from explorer.jobs.record import spec_from_dict
from explorer.jobs.store import RunRecord
from explorer.spec import ClassifierSpec, size_text
from explorer.trace.tracer import trace
from explorer.train.events import Activations
from explorer.ui.controls import count, dropdown, segments, slider, switch, text
from explorer.ui.read import AUGMENTATIONS, SCHEDULES, SIZES, TRAIN_REACH
from explorer.ui.services import PLOTLY_JS, Services
from explorer.ui.widget import widget
from explorer.views import curves
from explorer.views.activations import layer_words


@dataclass(frozen=True)
class TrainPanel:
    """Components by control name, the two buttons, what is asked before a run, the live run, a line about the data."""

    controls: dict[str, gr.Component]
    go: gr.Button
    halt: gr.Button
    question: gr.HTML
    run: gr.HTML
    hint: gr.HTML


def train_panel(services: Services, first: dict) -> TrainPanel:
    """Lay out the panel with first values by control name; nothing listens yet."""
    c: dict[str, gr.Component] = {}
    with gr.Row(elem_classes="bar"):
        gr.HTML("<h2>Train</h2>", apply_default_css=False, min_width=0)
        go = gr.Button("Train", variant="primary", elem_id="go", min_width=0)
        halt = gr.Button("Stop", elem_id="halt", min_width=0, interactive=False)
    question = widget("question", {}, events=("answered",))
    sets = [(" · ".join(filter(None, (choice.label, choice.download))), choice.name) for choice in list_data()]
    with gr.Row(elem_classes="set"):
        c["data"] = dropdown("data", "Data", sets, first["data"], elem_classes="field", filterable=False, min_width=0)
        c["epochs"] = count("epochs", "Epochs", first["epochs"])
        c["rate"] = text("rate", "Rate", first["rate"])
        c["batch_size"] = count("batch_size", "Batch", first["batch_size"])
    hint = widget("line", first["datahint"], elem_id="datahint")
    c["path"] = text("path", "Folder on this machine", placeholder="/home/me/pictures", visible=False)
    c["schedule"] = segments("schedule", "Schedule", SCHEDULES, first["schedule"], show_label=False)
    more = gr.Accordion("More", open=False, elem_id="train_more", elem_classes="fold")
    with more, gr.Column(elem_classes="stack"):
        c["data_size"] = segments(
            "data_size", "Drawn set", SIZES, first["data_size"], help="400, 1,600 or 6,000 pictures to learn from."
        )
        c["difficulty"] = slider(
            "difficulty",
            "Difficulty",
            0,
            1,
            first["difficulty"],
            step=0.1,
            help="Clutter, noise and cover in the drawings.",
        )
        c["augment"] = segments(
            "augment", "Augmentation", AUGMENTATIONS, first["augment"], help="Turn, zoom, warp and light at random."
        )
        with gr.Row(elem_classes="three"):
            c["freeze_epochs"] = count("freeze_epochs", "Frozen epochs", first["freeze_epochs"])
            c["wd"] = text("wd", "Weight decay", first["wd"])
            c["seed"] = count("seed", "Seed", first["seed"])
        c["valid_pct"] = slider(
            "valid_pct",
            "Held back",
            *TRAIN_REACH["valid_pct"],
            first["valid_pct"],
            step=0.05,
            help="Share for validation, of folders without a split.",
        )
        c["train_bn"] = switch("train_bn", first["train_bn"], help="Norm layers learn in frozen groups too")
    run = widget("run", idle_run(services), events=("ended", "attached"), server_functions=[poll_function(services)])
    return TrainPanel(c, go, halt, question, run, hint)


def idle_run(services: Services) -> dict[str, object]:
    """What the run widget holds before there is a run: its charts, and milliseconds between two questions."""
    return {
        "run": None,
        "plotly": f"/gradio_api/file={PLOTLY_JS}",
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


def run_title(record: RunRecord) -> str:
    """ "resnet34 to layer3 at 224 px, concat, 512 → 10" of a recorded run."""
    spec = spec_of(record)
    body, head = spec.body, spec.head
    place = "" if body.cut is None else f" to {body.cut}"
    widths = " → ".join(map(str, (*head.widths, spec.n_out)))
    return f"{body.arch}{place} at {size_text(body.size)} px, {head.pool or 'no pooling'}, {widths}"


def spec_of(record: RunRecord) -> ClassifierSpec:
    """The spec that a run was recorded with."""
    return spec_from_dict(record.family, record.spec)


def _is_first_look(event: dict) -> bool:
    return event["event"] == Activations.__name__ and event["epoch"] == 0
