"""The classifier page: components, then handlers, then listeners."""

from __future__ import annotations

import gradio as gr

from explorer.data.registry import list_data
from explorer.spec import ClassifierSpec, TrainSpec
from explorer.ui.activations_desk import activations_functions
from explorer.ui.build_panel import build_panel
from explorer.ui.classifier_handlers import ClassifierHandlers
from explorer.ui.cost_desk import cost_functions
from explorer.ui.describe import AT_FIRST
from explorer.ui.faces import faces_function
from explorer.ui.field_desk import field_functions, sights_function
from explorer.ui.services import Services
from explorer.ui.train_panel import lend_gpu, train_panel
from explorer.ui.widget import widget
from explorer.ui.wires import AT_ONCE, Page, Shell, Wires
from explorer.views.ribbon import NO_RIBBON

ON_DATA = ("data_size", "valid_pct", "difficulty", "augment", "seed", "width", "n_in")
PICTURE = (
    "ribbon", "ribbon_a", "numbers", "tree", "layers", "cost", "activations", "compare", "code", "summary", "notices",
    "topbar", "weightsline", "datahint", "cut", "groups", "gallery", "question",
)  # fmt: skip
OWN_HANDLER = ("schedule", "cut", "chips", "groups", "rate", "weights", "file", "data", "path", "upload", "size")
TARGETS = {
    "body.arch": "arch", "body.weights": "weights", "body.cut": "cut", "body.size": "size", "width": "width",
    "body.n_in": "n_in",
    "head.pool": "pool", "head.lin_ftrs": "chips", "head.ps": "ps", "ps_each": "ps_each", "head.y_range": "y_range",
    "head.first_bn": "first_bn",
    "n_out": "chips", "data": "data", "path": "path", "upload": "upload",
    "data_size": "data_size", "difficulty": "difficulty",
    "valid_pct": "valid_pct", "epochs": "epochs", "freeze_epochs": "freeze_epochs", "lr": "rate", "lrs": "groups",
    "batch_size": "batch_size", "schedule": "schedule", "wd": "wd", "seed": "seed", "augment": "augment", "run": "run",
}  # fmt: skip


def classifier_page(services: Services, shell: Shell) -> Page:
    """Build the page inside its tab."""
    handlers = ClassifierHandlers(services)
    first = handlers.page_for(ClassifierSpec(), TrainSpec())

    # ---- components ----
    build = build_panel(first)
    with gr.Column(elem_classes="page"):
        notices = widget("notices", {"problems": {}, "targets": TARGETS}, events=("follow",))
        seen_by = [faces_function(services), sights_function(services)]
        ribbon = widget("ribbon", first["ribbon"], events=("act", "mend"), server_functions=seen_by)
        ribbon_a = widget("ribbon", NO_RIBBON, events=("act",), server_functions=seen_by, elem_id="ribbon_a")
        with gr.Row(elem_classes="cols"):
            with gr.Column(min_width=0):
                numbers = widget("numbers", first["numbers"], events=("measured",))
                with gr.Tabs(elem_id="inner", elem_classes="words", overflow_behavior="wrap") as inner:
                    with gr.Tab("Tree", id="tree", elem_id="tab-tree"):
                        tree = widget("tree", first["tree"])
                    with gr.Tab("Layers", id="layers", elem_id="tab-layers"):
                        layers = widget("layers")
                    with gr.Tab("Cost", id="cost", elem_id="tab-cost"):
                        asked = cost_functions(services.queue.trains)
                        spent = widget("cost", events=("measured",), server_functions=asked)
                    with gr.Tab("Activations", id="activations", elem_id="tab-activations"):
                        inside = [*activations_functions(services), *field_functions(services)]
                        seen = widget("activations", server_functions=inside)
                    with gr.Tab("Compare", id="compare", elem_id="tab-compare"):
                        compared = widget("compare", {}, events=("act",))
                    with gr.Tab("Code", id="code", elem_id="tab-code"):
                        code = widget("code", {"loading": True})
                    with gr.Tab("Summary", id="summary", elem_id="tab-summary"):
                        summary = widget("code", {"loading": True}, elem_id="summary")
                    with gr.Tab("Data", id="data", elem_id="tab-data"):
                        pictures = widget("sheet", {"loading": True}, events=("again",))
            with gr.Column(min_width=0, elem_classes="train"):
                panel = train_panel(services, first, list_data())
    view, agreed = gr.State(AT_FIRST), gr.State(frozenset())

    controls = {**build.controls, **panel.controls}
    components = {
        **controls, "ribbon": ribbon, "ribbon_a": ribbon_a, "numbers": numbers, "tree": tree, "layers": layers,
        "cost": spent, "activations": seen, "compare": compared, "code": code, "gallery": build.gallery,
        "summary": summary, "sheet": pictures, "notices": notices, "topbar": shell.topbar, "view": view,
        "agreed": agreed, "weightsline": build.weights_line, "datahint": panel.hint, "run": panel.run,
        "go": panel.go, "halt": panel.halt, "question": panel.question,
    }  # fmt: skip

    # ---- listeners ----
    wires = Wires(controls, components, PICTURE, shell.me)
    on, on_run = wires.on, wires.on_run
    for name, control in controls.items():
        if name in ON_DATA:
            on(control.input, handlers.data_changed, "sheet")
        elif name not in OWN_HANDLER:
            on(control.input, handlers.refresh)
    on(controls["size"].input, handlers.size_moved, "width", "sheet")
    on(controls["cut"].moved, handlers.refresh)
    on(controls["chips"].moved, handlers.refresh)
    on(controls["groups"].moved, handlers.groups_moved, "rate")
    on(controls["rate"].input, handlers.rate_typed)
    on(controls["schedule"].input, handlers.schedule_chosen)
    on(controls["weights"].input, handlers.weights_chosen, "file")
    on(controls["file"].upload, handlers.refresh)
    on(controls["file"].clear, handlers.refresh)
    for chosen in (controls["data"].select, controls["path"].submit, controls["path"].blur, controls["upload"].moved):
        on(chosen, handlers.data_chosen, "path", "upload", "chips", "sheet")
    on(build.title.defaults, handlers.defaults, *components)
    on(build.gallery.chosen, handlers.body_chosen, "arch", **AT_ONCE)
    for costs in (numbers, spent):
        on(costs.measured, handlers.measured, "view", **AT_ONCE)
    on(notices.follow, handlers.followed, *build.controls, **AT_ONCE)
    on(ribbon.act, handlers.acted, "view", "weights", "file", **AT_ONCE)
    on(compared.act, handlers.pin, "view", **AT_ONCE)
    on(ribbon_a.act, handlers.compared, *components, **AT_ONCE)
    on(ribbon.mend, handlers.mended, *build.controls)
    on(inner.select, handlers.tab_chosen, "view", "sheet", **AT_ONCE)
    on(pictures.again, handlers.another_batch, "sheet", **AT_ONCE)
    clicked = on_run(panel.go.click, handlers.train, *PICTURE, "chips", "run", "go", "halt", trigger_mode="once")
    answers = (*PICTURE, "chips", "run", "go", "halt", "agreed")
    answered = on_run(panel.question.answered, handlers.answered, *answers, trigger_mode="once")
    more = on_run(panel.run.another, handlers.another, *PICTURE, "chips", "run", "go", "halt", trigger_mode="once")
    lend_gpu(services, panel.run, clicked, answered, more)
    on_run(panel.halt.click, handlers.stop, "halt", trigger_mode="once")
    on_run(panel.run.attached, handlers.attached, "go", "halt")
    on_run(panel.run.ended, handlers.ended, "go", "halt")
    return wires.page(handlers.opened)
