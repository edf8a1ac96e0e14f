"""The training panel, the same on every page: what to train on, how, Train and Stop, and the live run."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from explorer.data.registry import list_data
from explorer.spec import TrainSpec
from explorer.ui.read import AUGMENTATIONS, SCHEDULES, SIZES, show_rate
from explorer.ui.services import PLOTLY_JS, Services
from explorer.ui.widget import widget

RUN = """<div class='run'></div>"""


@dataclass(frozen=True)
class TrainPanel:
    """Components by control name, the two buttons and the live run."""

    controls: dict[str, gr.Component]
    go: gr.Button
    halt: gr.Button
    run: gr.HTML


def train_panel(services: Services) -> TrainPanel:
    """Lay out the panel; nothing listens yet."""
    usual = TrainSpec()
    choices = [(choice.label, choice.name) for choice in list_data()]
    with gr.Row(elem_classes="bar"):
        gr.HTML("<h2>Train</h2>", apply_default_css=False, min_width=0)
        go = gr.Button("Train", variant="primary", elem_id="go", min_width=0)
        halt = gr.Button("Stop", elem_id="halt", min_width=0, interactive=False)
    with gr.Row(elem_classes="set"):
        data = gr.Dropdown(
            choices, value=usual.data, label="Data", elem_id="data", elem_classes="field", filterable=False,
            interactive=True, min_width=0,
        )  # fmt: skip
        epochs = _field(gr.Number, usual.epochs, "Epochs", "epochs", precision=0)
        rate = _field(gr.Textbox, show_rate(usual.lr), "Rate", "rate", max_lines=1)
        batch_size = _field(gr.Number, usual.batch_size, "Batch", "batch_size", precision=0)
    path = gr.Textbox(
        "", label="Folder on this machine", elem_id="path", elem_classes="field", visible=False, max_lines=1,
        placeholder="/home/me/pictures", interactive=True,
    )  # fmt: skip
    schedule = gr.Radio(list(SCHEDULES), value="One-cycle", label="Schedule", elem_id="schedule", elem_classes="seg",
                        show_label=False, interactive=True)  # fmt: skip
    with gr.Accordion("More", open=False, elem_id="train_more", elem_classes="fold"):
        data_size = gr.Radio(list(SIZES), value="Small", label="Drawn set", elem_id="data_size", elem_classes="seg",
                             info="400, 1,600 or 6,000 pictures to learn from.", interactive=True)  # fmt: skip
        difficulty = gr.Slider(0, 1, usual.difficulty, step=0.1, label="Difficulty", elem_id="difficulty", buttons=[],
                               info="Clutter, noise and cover in the drawn pictures.", interactive=True)  # fmt: skip
        augment = gr.Radio(list(AUGMENTATIONS), value="Basic", label="Augmentation", elem_id="augment",
                           elem_classes="seg", info="Turn, zoom, warp and light at random.",
                           interactive=True)  # fmt: skip
        with gr.Row(elem_classes="pair"):
            wd = _field(gr.Textbox, f"{usual.wd:g}", "Weight decay", "wd", max_lines=1)
            seed = _field(gr.Number, usual.seed, "Seed", "seed", precision=0)
        train_bn = gr.Checkbox(usual.train_bn, label="train_bn", elem_id="train_bn", elem_classes="sw",
                               info="Norm layers learn in frozen groups too", interactive=True)  # fmt: skip
    run = widget(
        "run", RUN, {"plotly": f"/gradio_api/file={PLOTLY_JS}"}, events=("ended", "attached"),
        server_functions=[poll_function(services)],
    )  # fmt: skip
    controls = dict(
        data=data, path=path, epochs=epochs, rate=rate, batch_size=batch_size, schedule=schedule, data_size=data_size,
        difficulty=difficulty, augment=augment, wd=wd, seed=seed, train_bn=train_bn,
    )  # fmt: skip
    return TrainPanel(controls, go, halt, run)


def poll_function(services: Services):
    """The server function by which the page follows a run: [run, since] -> what is new (`jobs.queue.Queue.poll`)."""

    def poll(asked):
        run, since = (asked + [None, 0])[:2] if isinstance(asked, list) else (None, 0)
        return services.queue.poll(run, since)

    return poll


def _field(kind, value, label: str, name: str, **more):
    return kind(value, label=label, elem_id=name, elem_classes="field", min_width=0, interactive=True, **more)
