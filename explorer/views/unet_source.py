"""A described U-Net as Python: with this project's decoders, line by line, and the fastai call where there is one."""

from __future__ import annotations

from textwrap import dedent

from explorer.spec import DecoderSpec, UnetSpec
from explorer.trace.records import Trace
from explorer.views.numbers import shape

CLASSES = {"unet": "DynamicUnet", "nearest": "NearestDecoder", "transposed": "TransposedDecoder"}
OF_A_UNET = ("blur", "blur_final", "self_attention", "last_cross", "bottle", "norm_type", "act", "skips")
ACTIVATIONS = {"leaky_relu": "nn.LeakyReLU", "elu": "nn.ELU", "gelu": "nn.GELU", "silu": "nn.SiLU", "mish": "nn.Mish"}
FASTAI_NORMS = {"batch": "Batch", "instance": "Instance", "weight": "Weight", "spectral": "Spectral"}
AS_FASTAI = ("resnet", "resnext", "wide_resnet")  # whose direct children are the scales (fastai facts C.6, C.7)


def code(spec: UnetSpec, trace: Trace) -> dict[str, object]:
    """The payload of `Explorer.code`: scripts with their titles, or a note where there is none."""
    why_not = why_no_fastai(spec)
    return {
        "sections": [
            {
                "title": "PyTorch, with this project's decoders: run it in its folder",
                "lang": "python",
                "text": script(spec, trace),
                "note": "",
            },
            {
                "title": "fastai",
                "lang": "python",
                "text": "" if why_not else fastai_call(spec),
                "note": why_not,
            },
        ]
    }


def script(spec: UnetSpec, trace: Trace) -> str:
    """A Python file that builds the model with the modules of this project, and runs it once."""
    body, name = spec.body, CLASSES[spec.decoder.kind]
    sides = ", ".join(map(str, body.height_width))
    arguments = ["body", str(spec.n_out), f"({sides})", *map("=".join, options(spec.decoder))]
    modules = ["import torch"] + ["from torch import nn"] * any("nn." in argument for argument in arguments)
    return dedent(
        """\
        {modules}

        from explorer.models.bodies import create_body
        from explorer.models.decoders import {name}

        body = create_body({body})
        model = {name}({arguments})
        model.eval()

        image = torch.rand(1, {n_in}, {sides})
        output = model(image)  # {out}
        encoder, decoder = model.encoder, model.decoder
        maps = encoder(image)  # the skips that are on, finest first, and the last map
        assert torch.equal(decoder(maps, image), output)
        """
    ).format(
        modules="\n".join(modules),
        name=name,
        body=", ".join(_body_arguments(spec)),
        arguments=_wrapped(arguments),
        n_in=body.n_in,
        sides=sides,
        out=f"1×{shape(trace.out_shape)}" if trace.out_shape else "does not run at this size",
    )


def fastai_call(spec: UnetSpec) -> str:
    """The fastai 2.8 code that builds the same model."""
    body, decoder = spec.body, spec.decoder
    sides = ", ".join(map(str, body.height_width))
    arguments = [body.arch, str(spec.n_out), f"({sides})", f"pretrained={body.weights == 'imagenet'}"]
    arguments += [f"cut={body.cut}"] * isinstance(body.cut, int) + [f"n_in={body.n_in}"] * (body.n_in != 3)
    changed = [(name, value) for name, value in options(decoder) if name not in ("norm_type", "act_cls")]
    arguments += map("=".join, changed)
    if decoder.norm_type is not None:
        arguments.append(f"norm_type=NormType.{FASTAI_NORMS[decoder.norm_type]}")
    if decoder.act in ACTIVATIONS:
        arguments.append(f"act_cls={ACTIVATIONS[decoder.act]}")
    return f"from fastai.vision.all import *\n\nmodel = create_unet_model({_wrapped(arguments)})\n"


def why_no_fastai(spec: UnetSpec) -> str:
    """Why fastai has no call that builds this model; "" where it has."""
    decoder = spec.decoder
    if decoder.kind != "unet":
        return "fastai has no decoder without skips: the chapter describes the two and goes on to the U-Net."
    if not spec.body.arch.startswith(AS_FASTAI):
        return (
            f"fastai looks for skips between the children of a network and finds fewer or none in {spec.body.arch}; "
            "here the last map of each scale is taken from its graph."
        )
    if isinstance(spec.body.cut, str):
        return "fastai cuts between a network's children by their number; this cut has a name."
    if decoder.skips is not None or decoder.width_cap is not None:
        return "fastai's U-Net has neither switches for its skips nor a cap on its widths."
    if decoder.bottle and decoder.last_cross:
        return "fastai's bottle breaks together with last_cross: it builds, and fails when it runs (fastai facts C.4)."
    return ""


def options(decoder: DecoderSpec) -> list[tuple[str, str]]:
    """The arguments that differ from the decoder's defaults, as code: [("blur", "True")]."""
    plain = DecoderSpec()
    names = [*(OF_A_UNET if decoder.kind == "unet" else ()), *(("kernel",) if decoder.kind == "transposed" else ())]
    changed = [name for name in (*names, "width_cap", "y_range") if getattr(decoder, name) != getattr(plain, name)]
    return [
        ("act_cls", ACTIVATIONS[decoder.act]) if name == "act" else (name, repr(getattr(decoder, name)))
        for name in changed
    ]


def _body_arguments(spec: UnetSpec) -> list[str]:
    body = spec.body
    arguments = [f'"{body.arch}"'] + [f"cut={body.cut!r}"] * (body.cut is not None)
    arguments += [f"weights={body.weights!r}"] * (body.weights not in (None, "random"))
    return arguments + [f"n_in={body.n_in}"] * (body.n_in != 3)


def _wrapped(arguments: list[str], width: int = 80) -> str:
    """Arguments on one line, or a line each where they would be too long."""
    line = ", ".join(arguments)
    return line if len(line) <= width else "\n    " + "\n    ".join(f"{argument}," for argument in arguments) + "\n"
