"""The sidebar in which a classifier is built: body, weights, size, cut, head and parameter groups."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from explorer.models.bodies import list_archs
from explorer.ui.read import POOLS, WEIGHTS
from explorer.ui.widget import widget

TITLE = "<h2>Build</h2><button type='button' class='link'>Chapter defaults</button>"
SWITCHES = (
    ("first_bn", "Normalise the pooled features first"),
    ("bn_final", "Normalise the outputs too"),
    ("lin_first", "Linear before norm, not after"),
)


@dataclass(frozen=True)
class BuildPanel:
    """Components by control name; `title` holds the button back to the chapter's defaults."""

    controls: dict[str, gr.Component]
    title: gr.HTML
    weights_line: gr.HTML


def build_panel(usual: dict) -> BuildPanel:
    """Lay out the sidebar with first values by control name; nothing listens yet."""
    with gr.Sidebar(elem_classes="build", width=280):
        title = widget("buildtitle", TITLE, {}, events=("defaults",))
        arch = gr.Dropdown(list(list_archs()), value=usual["arch"], label="Body", elem_id="arch", interactive=True,
                           info="The trained network you borrow.")  # fmt: skip
        with gr.Column(elem_classes="stack"):
            weights = gr.Radio(list(WEIGHTS), value=usual["weights"], label="Weights", elem_id="weights",
                               elem_classes="seg", interactive=True)  # fmt: skip
            file = gr.File(label="Weights file", show_label=False, elem_id="file", visible=False, height=88,
                           file_types=[".pth", ".pt", ".safetensors", ".th"], type="filepath")  # fmt: skip
            weights_line = widget("weightsline", "<p class='help'></p>", usual["weightsline"])
        size = gr.Slider(32, 512, usual["size"], step=16, label="Image size", elem_id="size", elem_classes="px",
                         info="Half the size, a quarter of the work.", buttons=[], interactive=True)  # fmt: skip
        cut = widget("stepper", STEPPER, usual["cut"], events=("moved",), elem_id="cut")
        pool = gr.Radio(list(POOLS), value=usual["pool"], label="Pooling", elem_id="pool", elem_classes="seg",
                        info="Concat keeps both peak and mean.", interactive=True)  # fmt: skip
        chips = widget("chips", CHIPS, usual["chips"], events=("moved",))
        ps = gr.Slider(0, 0.95, usual["ps"], step=0.05, label="Dropout", elem_id="ps", buttons=[], interactive=True,
                       info="Half of it before the hidden layers.")  # fmt: skip
        with gr.Column(elem_classes="switches"):
            flags = {
                name: gr.Checkbox(usual[name], label=name, info=info, elem_id=name, elem_classes="sw", interactive=True)
                for name, info in SWITCHES
            }
        with gr.Accordion("Parameter groups", open=True, elem_id="groups_fold", elem_classes="fold"):
            group_rows = widget("groups", GROUPS, usual["groups"], events=("moved",))
        with (
            gr.Accordion("More", open=False, elem_id="build_more", elem_classes="fold"),
            gr.Column(elem_classes="stack"),
        ):
            ps_each = gr.Textbox("", label="Dropout layer by layer", elem_id="ps_each", elem_classes="field", max_lines=1,
                                 placeholder="0.25, 0.5", info="One number for each linear layer; empty: the slider.",
                                 interactive=True)  # fmt: skip
            y_range = gr.Textbox("", label="y_range", elem_id="y_range", elem_classes="field", max_lines=1,
                                 placeholder="0, 5.5", info="Squeezes outputs between two numbers.",
                                 interactive=True)  # fmt: skip
            n_in = gr.Slider(1, 12, usual["n_in"], step=1, label="Input channels", elem_id="n_in", buttons=[],
                             info="Not 3: the first kernel is summed, scaled or padded.", interactive=True)  # fmt: skip
    controls = dict(
        arch=arch, weights=weights, file=file, size=size, cut=cut, pool=pool, chips=chips, ps=ps, **flags,
        groups=group_rows, ps_each=ps_each, y_range=y_range, n_in=n_in,
    )  # fmt: skip
    return BuildPanel(controls, title, weights_line)
