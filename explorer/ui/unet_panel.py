"""The sidebar in which a U-Net is built: task, body, weights, size, cut, decoder and parameter groups."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from explorer.models import timm_archs
from explorer.models.archs import list_choices
from explorer.spec import ACTIVATIONS, KERNELS
from explorer.ui.build_panel import WEIGHT_FILES
from explorer.ui.controls import count, dropdown, segments, slider, switch, text
from explorer.ui.read import BUILD_REACH, WEIGHTS
from explorer.ui.unet_read import CAPS, KINDS, NORM_WORDS, TASKS
from explorer.ui.widget import widget

SWITCH_HELP = {
    "blur": "Soften shuffles: no checkerboard",
    "self_attention": "Let far pixels see each other, once",
    "last_cross": "Join the photo itself at the end",
    "bottle": "Narrow the last block by half",
    "blur_final": "With blur: in the last block, too",
}


@dataclass(frozen=True)
class UnetPanel:
    """Components by control name, and the widgets that say something beside them, by name."""

    controls: dict[str, gr.Component]
    lines: dict[str, gr.HTML]


def unet_panel(first: dict) -> UnetPanel:
    """Lay out the sidebar with first values by control name; nothing listens yet."""
    c: dict[str, gr.Component] = {}
    lines: dict[str, gr.HTML] = {}
    with gr.Sidebar(elem_classes="build", width=280):
        lines["title"] = widget("buildtitle", {}, events=("defaults",), elem_id="unet-buildtitle")
        c["task"] = dropdown("unet-task", "Task", TASKS, first["task"], filterable=False)
        lines["taskline"] = widget("line", first["taskline"], elem_id="unet-taskline")
        c["arch"] = dropdown(
            "unet-arch",
            "Body",
            list_choices(),
            first["arch"],
            help="Becomes the encoder, the way down.",
            allow_custom_value=timm_archs.installed(),
        )
        with gr.Column(elem_classes="stack"):
            c["weights"] = segments("unet-weights", "Weights", WEIGHTS, first["weights"])
            c["file"] = gr.File(
                show_label=False, elem_id="unet-file", visible=False, height=104,
                file_types=WEIGHT_FILES, type="filepath",
            )  # fmt: skip
            lines["weightsline"] = widget("line", first["weightsline"], elem_id="unet-weightsline")
        c["size"] = slider(
            "unet-size", "Image size", *BUILD_REACH["body.size"], first["size"], step=16, classes="px",
            help="Odd sizes need a resize on the way up.",
        )  # fmt: skip
        c["cut"] = widget("stepper", first["cut"], events=("moved",), elem_id="unet-cut")
        c["decoder"] = segments("unet-decoder", "Decoder", KINDS, first["decoder"])
        lines["skipsline"] = widget("line", first["skipsline"], elem_id="unet-skipsline")
        c["width_cap"] = dropdown(
            "unet-width_cap", "Width cap", CAPS, first["width_cap"], allow_custom_value=True,
            help="Most channels of the deepest block; halved upwards.",
        )  # fmt: skip
        with gr.Column(elem_classes="switches"):
            for name in ("blur", "self_attention", "last_cross", "bottle"):
                c[name] = switch(f"unet-{name}", first[name], help=SWITCH_HELP[name], label=name)
        c["n_out"] = count("unet-n_out", "Classes", first["n_out"])
        with gr.Accordion("Parameter groups", open=True, elem_id="unet-groups_fold", elem_classes="fold"):
            c["groups"] = widget("groups", first["groups"], events=("moved",), elem_id="unet-groups")
        more = gr.Accordion("More", open=False, elem_id="unet-build_more", elem_classes="fold")
        with more, gr.Column(elem_classes="stack"):
            c["blur_final"] = switch(
                "unet-blur_final", first["blur_final"], help=SWITCH_HELP["blur_final"], label="blur_final"
            )
            c["norm"] = dropdown(
                "unet-norm", "Norm", NORM_WORDS, first["norm"], filterable=False, help="fastai's own decoder has none."
            )
            c["act"] = dropdown(
                "unet-act",
                "Activation",
                ACTIVATIONS,
                first["act"],
                filterable=False,
                help="Of the decoder's convolutions.",
            )
            c["kernel"] = segments(
                "unet-kernel",
                "Transposed kernel",
                map(str, KERNELS),
                first["kernel"],
                help="3 leaves checkerboards, 4 and 2 do not.",
            )
            c["y_range"] = text(
                "unet-y_range",
                "y_range",
                first["y_range"],
                placeholder="0, 1",
                help="Squeezes the outputs between two numbers.",
            )
            c["width"] = text(
                "unet-width",
                "Width",
                first["width"],
                placeholder="131",
                help="Empty: as high as wide. Or both: 97×131.",
            )
            c["n_in"] = slider(
                "unet-n_in", "Input channels", *BUILD_REACH["body.n_in"], first["n_in"], step=1,
                help="Not 3: the first kernel is summed or padded.",
            )  # fmt: skip
    return UnetPanel(c, lines)
