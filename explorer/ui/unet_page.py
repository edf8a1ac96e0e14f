"""The U-Net page: components, then listeners."""

from __future__ import annotations

from functools import partial

import gradio as gr

from explorer.data.dense import list_dense
from explorer.data.styles import STYLES
from explorer.ui.cost_desk import cost_functions
from explorer.ui.faces import faces_function, tap_ends
from explorer.ui.race_desk import RaceDesk
from explorer.ui.services import Services
from explorer.ui.train_panel import lend_gpu, train_panel
from explorer.ui.unet_describe import count_pictures
from explorer.ui.unet_handlers import START, VIEW, UnetHandlers
from explorer.ui.unet_panel import unet_panel
from explorer.ui.upsampling_desk import upsampling_functions
from explorer.ui.widget import widget
from explorer.ui.wires import AT_ONCE, Page, Shell, Wires
from explorer.views.upsampling import bench

PREFIX = "unet-"
ON_DATA = ("data_size", "valid_pct", "difficulty", "augment", "seed", "width", "n_in")
DRAWN = (
    "wiring", "numbers", "tree", "layers", "cost", "code", "summary", "notices", "topbar", "weightsline", "taskline",
    "skipsline", "datahint", "cut", "groups", "question", "pictures", "race",
)  # fmt: skip
OWN_HANDLER = (
    "schedule", "cut", "groups", "rate", "weights", "file", "data", "path", "upload", "size", "task", "off",
    "style_file",
)  # fmt: skip
TARGETS = {
    "body.arch": "arch", "body.weights": "weights", "body.cut": "cut", "body.size": "size", "width": "width",
    "body.n_in": "n_in", "task": "task", "n_out": "n_out",
    "decoder.kind": "decoder", "decoder.skips": "skipsline", "decoder.width_cap": "width_cap",
    "decoder.norm_type": "norm", "decoder.act": "act", "decoder.kernel": "kernel", "decoder.y_range": "y_range",
    "data": "data", "path": "path", "upload": "upload", "data_size": "data_size", "difficulty": "difficulty",
    "valid_pct": "valid_pct",
    "epochs": "epochs", "freeze_epochs": "freeze_epochs", "lr": "rate", "lrs": "groups", "batch_size": "batch_size",
    "schedule": "schedule", "wd": "wd", "seed": "seed", "augment": "augment", "loss": "loss", "style": "style",
    "precision": "precision", "quick": "datahint", "thaw": "groups",
    "run": "run",
}  # fmt: skip


def unet_page(services: Services, shell: Shell) -> Page:
    """Build the page inside its tab."""
    races = RaceDesk(services.queue, count_pictures=partial(count_pictures, services=services))
    handlers = UnetHandlers(services, races)
    first = handlers.first_values()

    def own(name: str, value: object = None, **more) -> gr.HTML:
        return widget(more.pop("kind", name), value, elem_id=f"{PREFIX}{name}", **more)

    # ---- components ----
    build = unet_panel(first)
    with gr.Column(elem_classes="page"):
        targets = {field: f"{PREFIX}{name}" for field, name in TARGETS.items()}
        notices = own("notices", {"problems": {}, "targets": targets}, events=("follow",))
        faces = faces_function(services, tap_ends)
        wiring = own("wiring", first["wiring"], events=("skip", "cross", "mend", "act"), server_functions=[faces])
        with gr.Row(elem_classes="cols"):
            with gr.Column(min_width=0):
                numbers = own("numbers", first["numbers"], events=("measured",))
                with gr.Tabs(
                    elem_id=f"{PREFIX}inner", elem_classes="words", overflow_behavior="wrap", selected="pictures"
                ) as inner:
                    with gr.Tab("Pictures", id="pictures", elem_id=f"{PREFIX}tab-pictures"):
                        pictures = own("pictures", first["pictures"])
                    with gr.Tab("Tree", id="tree", elem_id=f"{PREFIX}tab-tree"):
                        tree = own("tree")
                    with gr.Tab("Layers", id="layers", elem_id=f"{PREFIX}tab-layers"):
                        layers = own("layers")
                    with gr.Tab("Race", id="race", elem_id=f"{PREFIX}tab-race"):
                        race = own("race", {}, events=("begin",), server_functions=races.functions())
                    with gr.Tab("Upsampling", id="upsampling", elem_id=f"{PREFIX}tab-upsampling"):
                        own("upsampling", bench(), server_functions=upsampling_functions())
                    with gr.Tab("Cost", id="cost", elem_id=f"{PREFIX}tab-cost"):
                        asked = cost_functions(services.queue.trains)
                        spent = own("cost", events=("measured",), server_functions=asked)
                    with gr.Tab("Code", id="code", elem_id=f"{PREFIX}tab-code"):
                        code = own("code", {"loading": True})
                    with gr.Tab("Summary", id="summary", elem_id=f"{PREFIX}tab-summary"):
                        summary = own("summary", {"loading": True}, kind="code")
                    with gr.Tab("Data", id="data", elem_id=f"{PREFIX}tab-data"):
                        sheet = own("sheet", {"loading": True}, events=("again", "act"))
            with gr.Column(min_width=0, elem_classes="train"):
                panel = train_panel(services, first, list_dense(START.task), page=PREFIX, styles=tuple(STYLES))
    off = gr.State(first["off"])
    controls = {**build.controls, **panel.controls, "off": off}
    components = {
        **controls, **build.lines, "wiring": wiring, "numbers": numbers, "pictures": pictures, "tree": tree,
        "layers": layers, "race": race, "cost": spent, "code": code, "summary": summary, "sheet": sheet,
        "notices": notices, "topbar": shell.topbar, "view": gr.State(VIEW), "agreed": gr.State(frozenset()),
        "datahint": panel.hint, "run": panel.run, "go": panel.go, "halt": panel.halt, "question": panel.question,
    }  # fmt: skip

    # ---- listeners ----
    wires = Wires(controls, components, DRAWN, shell.me, f"{PREFIX}picture")
    on, on_run = wires.on, wires.on_run
    for name, control in controls.items():
        if name in ON_DATA:
            on(control.input, handlers.data_changed, "sheet")
        elif name not in OWN_HANDLER:
            on(control.input, handlers.refresh)
    on(controls["size"].input, handlers.size_moved, "width", "sheet")
    on(controls["cut"].moved, handlers.refresh)
    on(controls["groups"].moved, handlers.groups_moved, "rate")
    on(controls["rate"].input, handlers.rate_typed)
    on(controls["schedule"].input, handlers.schedule_chosen)
    on(controls["weights"].input, handlers.weights_chosen, "file")
    for file in (controls["file"], controls["style_file"]):
        on(file.upload, handlers.refresh)
        on(file.clear, handlers.refresh)
    of_data = ("path", "upload", "n_out", "sheet")
    for chosen in (controls["data"].select, controls["path"].submit, controls["path"].blur, controls["upload"].moved):
        on(chosen, handlers.data_chosen, *of_data)
    on(controls["task"].input, handlers.task_chosen, "data", "rate", "loss", "style", "style_file", *of_data)
    on(components["title"].defaults, handlers.defaults, *components)
    for costs in (numbers, spent):
        on(costs.measured, handlers.measured, "view", **AT_ONCE)
    on(wiring.skip, handlers.skip_switched, "off", **AT_ONCE)
    on(wiring.cross, handlers.cross_switched, "last_cross", **AT_ONCE)
    on(notices.follow, handlers.followed, "size", "width", "width_cap", *of_data, **AT_ONCE)
    on(wiring.mend, handlers.mended, *build.controls)
    on(wiring.act, handlers.acted, "view", "weights", "file", **AT_ONCE)
    on(inner.select, handlers.tab_chosen, "view", "sheet", **AT_ONCE)
    on(sheet.again, handlers.another_batch, "sheet", **AT_ONCE)
    on(sheet.act, handlers.remapped, *of_data, **AT_ONCE)
    on(race.begin, handlers.race_begun, **AT_ONCE)
    changes = (*DRAWN, "n_out", "run", "go", "halt")
    clicked = on_run(panel.go.click, handlers.train, *changes, trigger_mode="once")
    answered = on_run(panel.question.answered, handlers.answered, *changes, "agreed", trigger_mode="once")
    more = on_run(panel.run.another, handlers.another, *changes, trigger_mode="once")
    lend_gpu(services, panel.run, clicked, answered, more)
    on_run(panel.halt.click, handlers.stop, "halt", trigger_mode="once")
    on_run(panel.run.attached, handlers.attached, "go", "halt")
    on_run(panel.run.ended, handlers.ended, "go", "halt")
    return wires.page(handlers.opened)
