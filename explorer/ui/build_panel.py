"""The sidebar in which a classifier is built: body, weights, size, cut, head and parameter groups."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from explorer.models import timm_archs
from explorer.models.archs import list_choices
from explorer.ui.controls import dropdown, segments, slider, switch, text
from explorer.ui.gallery_desk import gallery_widget
from explorer.ui.read import BUILD_REACH, POOLS, WEIGHTS
from explorer.ui.widget import widget

WEIGHT_FILES = [".pth", ".pt", ".th", ".safetensors"]


@dataclass(frozen=True)
class BuildPanel:
    """Components by control name; `title` holds the way back to the chapter's model, `weights_line` what is in use,
    `gallery` all bodies to choose from."""

    controls: dict[str, gr.Component]
    title: gr.HTML
    weights_line: gr.HTML
    gallery: gr.HTML


def build_panel(first: dict) -> BuildPanel:
    """Lay out the sidebar with first values by control name; nothing listens yet."""
    c: dict[str, gr.Component] = {}
    with gr.Sidebar(elem_classes="build", width=280):
        title = widget("buildtitle", {}, events=("defaults",))
        c["arch"] = dropdown(
            "arch",
            "Body",
            list_choices(),
            first["arch"],
            help="The trained network you borrow.",
            allow_custom_value=timm_archs.installed(),
        )
        gallery = gallery_widget(first["arch"])
        with gr.Column(elem_classes="stack"):
            c["weights"] = segments("weights", "Weights", WEIGHTS, first["weights"])
            c["file"] = gr.File(
                show_label=False, elem_id="file", visible=False, height=104, file_types=WEIGHT_FILES, type="filepath"
            )
            weights_line = widget("line", first["weightsline"], elem_id="weightsline")
        c["size"] = slider(
            "size",
            "Image size",
            *BUILD_REACH["body.size"],
            first["size"],
            step=16,
            classes="px",
            help="Half the size, a quarter of the work.",
        )
        c["cut"] = widget("stepper", first["cut"], events=("moved",), elem_id="cut")
        c["pool"] = segments(
            "pool", "Pooling", POOLS, first["pool"], help="Concat keeps both peak and mean, Avg and Max one."
        )
        c["chips"] = widget("chips", first["chips"], events=("moved",))
        c["ps"] = slider(
            "ps",
            "Dropout",
            *BUILD_REACH["head.ps"],
            first["ps"],
            step=0.05,
            help="Half of it before the hidden layers.",
        )
        with gr.Column(elem_classes="switches"):
            c["first_bn"] = switch("first_bn", first["first_bn"], help="Normalise the pooled features first")
            c["bn_final"] = switch("bn_final", first["bn_final"], help="Normalise the outputs too")
            c["lin_first"] = switch("lin_first", first["lin_first"], help="Linear before norm, not after")
        with gr.Accordion("Parameter groups", open=True, elem_id="groups_fold", elem_classes="fold"):
            c["groups"] = widget("groups", first["groups"], events=("moved",))
        more = gr.Accordion("More", open=False, elem_id="build_more", elem_classes="fold")
        with more, gr.Column(elem_classes="stack"):
            c["ps_each"] = text(
                "ps_each", "Dropout layer by layer", placeholder="0.25, 0.5",
                help="A number for each linear layer; empty: the slider.",
            )  # fmt: skip
            c["y_range"] = text(
                "y_range", "y_range", placeholder="0, 5.5", help="Squeezes the outputs between two numbers."
            )
            c["width"] = text(
                "width", "Width", first["width"], placeholder="131", help="Empty: as high as wide. Or both: 97×131."
            )
            c["n_in"] = slider(
                "n_in",
                "Input channels",
                *BUILD_REACH["body.n_in"],
                first["n_in"],
                step=1,
                help="Not 3: the first kernel is summed or padded.",
            )
    return BuildPanel(c, title, weights_line, gallery)
