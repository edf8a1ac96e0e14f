"""A described model as Python: a plain PyTorch script that builds exactly it, and the fastai call that does.

Everything is read from the spec and its trace; the head is written out layer by layer from the `code` of its rows.
"""

from __future__ import annotations

import json
import re
from textwrap import wrap

from explorer.spec import ClassifierSpec
from explorer.trace.records import HEAD, Layer, Trace
from explorer.views.numbers import shape

WIDTH = 100

CONCAT_POOL = '''
class AdaptiveConcatPool2d(nn.Module):
    """The maximum and the average of each channel, side by side: twice the features."""

    def __init__(self):
        super().__init__()
        self.ap = nn.AdaptiveAvgPool2d(1)
        self.mp = nn.AdaptiveMaxPool2d(1)

    def forward(self, x):
        return torch.cat([self.mp(x), self.ap(x)], dim=1)
'''

SIGMOID_RANGE = '''
class SigmoidRange(nn.Module):
    """Squeezes the outputs between two numbers."""

    def __init__(self, low, high):
        super().__init__()
        self.low, self.high = low, high

    def forward(self, x):
        return torch.sigmoid(x) * (self.high - self.low) + self.low
'''

SAME_CUT_AS_FASTAI = ("resnet", "squeezenet", "vgg", "alexnet")  # fastai cuts a densenet before its last ReLU

HELPERS = {"AdaptiveConcatPool2d": CONCAT_POOL, "SigmoidRange": SIGMOID_RANGE}


def script(spec: ClassifierSpec, trace: Trace) -> str:
    """A complete Python file that needs torch and torchvision alone and leaves the model in `model`.

    Its state dict has the keys, shapes and order of the described model's. A weights file that ends in .safetensors
    needs the package safetensors, too.
    """
    head = head_layers(trace)
    helpers = [code for name, code in HELPERS.items() if any(layer.cls == name for layer in head)]
    blocks = [
        _title(spec, trace),
        "\n".join(_imports(spec, trace)),
        *helpers,
        "\n" * bool(helpers) + "\n".join(_network(spec, trace)),
        *(["\n".join(_first_layer(spec, trace))] if spec.body.n_in != 3 else []),
        "\n".join(_body(spec, trace)),
        "\n".join(_head(head, spec.head.bn_final)),
        "\n".join(_model(spec, trace)),
        "\n".join(_try_it(trace)),
    ]
    return "\n\n".join(block.rstrip("\n") for block in blocks) + "\n"


def fastai_call(spec: ClassifierSpec, trace: Trace) -> str | None:
    """The fastai 2.8 code that builds the same model; None where there is none, see `why_no_fastai`.

    `create_vision_model` is the call, because `vision_learner` ignores `cut` (fastai facts A.8).
    """
    if why_no_fastai(spec, trace):
        return None
    arguments = [spec.body.arch, str(spec.n_out), *_fastai_body(spec, trace), *_fastai_head(spec)]
    lines = ["from fastai.vision.all import *", "", *_call("model = create_vision_model", arguments)]
    if spec.body.weights not in (None, "random", "imagenet"):
        lines += [f"# then load your weights into it: {_quoted(spec.body.weights)}"]
    elif _own_cut(spec):
        learner = _call("learn = vision_learner", ["dls", spec.body.arch, f"n_out={spec.n_out}", *arguments[2:]])
        lines += ["", "# the same model in a learner over your data loaders:", *(f"# {line}" for line in learner)]
    return "\n".join(lines) + "\n"


def _call(function: str, arguments: list[str]) -> list[str]:
    """A call on one line, or with a line an argument where it would be too long."""
    line = f"{function}({', '.join(arguments)})"
    return [line] if len(line) <= WIDTH else [f"{function}(", *(f"    {argument}," for argument in arguments), ")"]


def why_no_fastai(spec: ClassifierSpec, trace: Trace) -> str:
    """Why fastai has no call that builds this model; empty where it has."""
    if not trace.body_code:
        return "fastai cuts between layers, and this cut lies inside one."
    if spec.head.pool == "max":
        return "fastai's head pools by average, or by maximum and average together, but not by maximum alone."
    return ""


def head_layers(trace: Trace) -> tuple[Layer, ...]:
    """The rows of the head's own layers, without what lies inside them."""
    return tuple(layer for layer in trace.layers if layer.group == HEAD and layer.depth == 1)


def body_children(trace: Trace) -> tuple[Layer, ...]:
    """The rows of the body's direct children."""
    return tuple(layer for layer in trace.layers if layer.qual.startswith("0.") and layer.depth == 1)


def kept_inside(trace: Trace) -> int | None:
    """How many elements of the body's last child are kept, where the cut lies inside it; None where it does not."""
    last = body_children(trace)[-1]
    if not any(part.name.startswith(f"{last.name}.") for part in trace.dropped):
        return None
    return sum(layer.depth == 2 and layer.qual.startswith(f"{last.qual}.") for layer in trace.layers)


def _title(spec: ClassifierSpec, trace: Trace) -> str:
    outputs = f"{spec.n_out} output{'s' * (spec.n_out > 1)}"
    lines = [f'"""{spec.body.arch} up to {_place(trace)}, and a head with {outputs}.', ""]
    lines += [f"{trace.totals.params:,} parameters, {trace.totals.macs:,} multiply-accumulates for one picture."]
    if trace.failure:
        lines += ["", *wrap(f"It cannot run as it is: {trace.failure.reason}", WIDTH)]
    return "\n".join([*lines, '"""'])


def _place(trace: Trace) -> str:
    """The name of the last module that the body keeps: "layer4", "features.transition1"."""
    last = body_children(trace)[-1]
    if kept_inside(trace) is None:
        return last.name
    inner = [layer for layer in trace.layers if layer.depth == 2 and layer.qual.startswith(f"{last.qual}.")]
    return f"{last.name}.{inner[-1].name}"


def _imports(spec: ClassifierSpec, trace: Trace) -> list[str]:
    arch = spec.body.arch
    names = f"{trace.weights_enum}, {arch}" if spec.body.weights == "imagenet" else arch
    lines = ["import torch"]
    if _is_file(spec) and spec.body.weights.endswith(".safetensors"):
        lines.append("from safetensors.torch import load_file")
    return [*lines, "from torch import nn", f"from torchvision.models import {names}"]


def _network(spec: ClassifierSpec, trace: Trace) -> list[str]:
    if spec.body.weights == "imagenet":
        start = f"{trace.weights_enum}.DEFAULT"
        return ["# the network as torchvision trained it on ImageNet", f"network = {spec.body.arch}(weights={start})"]
    return ["# the network with random weights", f"network = {spec.body.arch}(weights=None)"]


def _first_layer(spec: ClassifierSpec, trace: Trace) -> list[str]:
    conv = _first_conv(trace)
    channels = spec.body.n_in
    place = _place_in_network(conv, trace)
    lines = [f"# a first layer for {channels} channel{'s' * (channels > 1)}"]
    if spec.body.weights != "imagenet":
        return [*lines, f"{place} = {conv.code}"]
    return [
        *lines,
        f"kernel = {place}.weight.detach()",
        f"{place} = {conv.code}",
        "with torch.no_grad():",
        f"    {place}.weight.copy_({_adapted(channels)})",
    ]


def _first_conv(trace: Trace) -> Layer:
    return next(layer for layer in trace.layers if layer.cls == "Conv2d")


def _adapted(channels: int) -> str:
    """The expression for a pretrained `kernel` over 3 channels made to fit others (fastai facts A.5)."""
    if channels == 1:
        return "kernel.sum(1, keepdim=True)"
    if channels == 2:
        return "kernel[:, :2] * 1.5"
    return f"torch.cat([kernel, torch.zeros_like(kernel[:, :1]).repeat(1, {channels - 3}, 1, 1)], 1)"


def _place_in_network(layer: Layer, trace: Trace) -> str:
    """How one gets at a body's module in the whole network: "network.features[0]" for "0.0.0"."""
    _, child, *inner = layer.qual.split(".")
    names = [body_children(trace)[int(child)].name, *inner]
    return "network" + "".join(f"[{name}]" if name.isdigit() else f".{name}" for name in names)


def _body(spec: ClassifierSpec, trace: Trace) -> list[str]:
    row = trace.layers[0]
    lines = [f"# the body: {shape(row.in_shape)} → {shape(row.out_shape)}"]
    if trace.dropped:
        lines += [f"# {line}" for line in wrap("left behind: " + ", ".join(p.name for p in trace.dropped), WIDTH)]
    if not trace.body_code:
        lines += ["# this cut lies inside a layer's own forward, which no expression over layers can say"]
        return [*lines, 'raise SystemExit("Cut between two layers to get a script: this one is inside a layer.")']
    return [*lines, f"body = {_children(trace, 'network')}"]


def _children(trace: Trace, network: str) -> str:
    """The expression for a network's children up to the cut; one that stops where there is none."""
    return trace.body_code.replace("network.", f"{network}.") if trace.body_code else "None"


def _head(head: tuple[Layer, ...], bn_final: bool) -> list[str]:
    """The head's layers with the shape behind each; its one ReLU is one object, as in fastai."""
    lines = ["# the head, with the shape behind each layer"]
    relus = [layer for layer in head if layer.cls == "ReLU"]
    if relus:
        lines.append(f"relu = {relus[0].code}")
    entries = ["relu" if layer.cls == "ReLU" else layer.code for layer in head]
    width = max(map(len, entries)) + 1
    lines.append("head = nn.Sequential(")
    for entry, layer in zip(entries, head, strict=True):
        comment = f"  # {shape(layer.out_shape)}" if layer.out_shape else ""
        lines.append(f"    {entry + ',':{width}}{comment}".rstrip())
    return [*lines, ")", *_start(head, bn_final)]


def _start(head: tuple[Layer, ...], bn_final: bool) -> list[str]:
    """How fastai starts a head's weights: Kaiming normal, biases 0, batch norm's bias 0.001 except over the outputs."""
    norms = [i for i, layer in enumerate(head) if layer.norm]
    norms = norms[:-1] if bn_final else norms
    lines = [
        "for layer in head:",
        "    if isinstance(layer, nn.Linear):",
        "        nn.init.kaiming_normal_(layer.weight)",
        "        if layer.bias is not None:",
        "            nn.init.zeros_(layer.bias)",
    ]
    if norms:
        places = ", ".join(f"head[{i}]" for i in norms) + "," * (len(norms) == 1)
        lines += [f"for layer in ({places}):" if len(norms) == 1 else f"for layer in {places}:"]
        lines += ["    nn.init.constant_(layer.bias, 1e-3)"]
    return lines


def _model(spec: ClassifierSpec, trace: Trace) -> list[str]:
    lines = ["model = nn.Sequential(body, head)"]
    return [*lines, "", *_file(spec, trace)] if _is_file(spec) else lines


def _file(spec: ClassifierSpec, trace: Trace) -> list[str]:
    path = spec.body.weights
    load = f"load_file({_quoted(path)})"
    if not path.endswith(".safetensors"):
        load = f'torch.load({_quoted(path)}, map_location="cpu", weights_only=True)'
    lines = [
        "# weights of this whole model, whose names begin with 0 and 1, or of the network it was cut from",
        f"state = {load}",
        'state = state.get("model", state)',
        'target = model if any(name.startswith("0.") for name in state) else network',
    ]
    if spec.body.n_in != 3:
        conv = _first_conv(trace)
        own = _place_in_network(conv, trace).removeprefix("network.").replace("[", ".").replace("]", "")
        lines += [
            f'first = "{conv.qual}" if target is model else "{own}"',
            'kernel = state[f"{first}.weight"]',
            "if kernel.shape[1] == 3:",
            f'    state[f"{{first}}.weight"] = {_adapted(spec.body.n_in)}',
            '    state.pop(f"{first}.bias", None)',
        ]
    return [
        *lines,
        "own = target.state_dict()",
        "state = {name: t for name, t in state.items() if name in own and t.shape == own[name].shape}",
        "target.load_state_dict(state, strict=False)",
    ]


def _try_it(trace: Trace) -> list[str]:
    sizes = ", ".join(map(str, trace.in_shape))
    return [
        'if __name__ == "__main__":',
        "    model.eval()",
        "    with torch.no_grad():",
        f"        print(model(torch.rand(1, {sizes})).shape)",
    ]


def _fastai_body(spec: ClassifierSpec, trace: Trace) -> list[str]:
    arguments = [] if spec.body.weights == "imagenet" else ["pretrained=False"]
    if not (_own_cut(spec) and spec.body.arch.startswith(SAME_CUT_AS_FASTAI)):
        plain = re.fullmatch(r"nn\.Sequential\(\*list\(network\.children\(\)\)\[:(\d+)\]\)", trace.body_code)
        cut = plain[1] if plain else f"lambda network: {_children(trace, 'network')}"
        arguments.append(f"cut={cut}")
    return arguments + ([f"n_in={spec.body.n_in}"] if spec.body.n_in != 3 else [])


def _fastai_head(spec: ClassifierSpec) -> list[str]:
    head = spec.head
    arguments = {"avg": ["concat_pool=False"], None: ["pool=False"]}.get(head.pool, [])
    if head.lin_ftrs is not None:
        arguments.append(f"lin_ftrs={list(head.lin_ftrs)}")
    if head.ps != 0.5:
        arguments.append(f"ps={list(head.ps) if isinstance(head.ps, tuple) else head.ps}")
    if not head.first_bn:
        arguments.append("first_bn=False")
    arguments += [f"{name}=True" for name in ("bn_final", "lin_first") if getattr(head, name)]
    return arguments + ([f"y_range={head.y_range}"] if head.y_range else [])


def _quoted(text: str) -> str:
    """A string as Python writes it, whatever is in it."""
    return json.dumps(text, ensure_ascii=False)


def _own_cut(spec: ClassifierSpec) -> bool:
    return spec.body.cut is None


def _is_file(spec: ClassifierSpec) -> bool:
    return spec.body.weights not in (None, "random", "imagenet")
