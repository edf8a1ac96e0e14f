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

UP_TO = '''
class UpTo(nn.Module):
    """A network up to one step: torchvision records the steps of its forward and keeps those that lead there."""

    def __init__(self, network, step):
        super().__init__()
        self.network = create_feature_extractor(network, {step: "map"})

    def forward(self, x):
        return self.network(x)["map"]
'''

TOKENS_TO_MAP = '''
class TokensToMap(nn.Module):
    """Tokens folded to the square grid they come from: (batch, tokens, channels) to (batch, channels, side, side)."""

    def __init__(self, extra=1, last=False):
        super().__init__()
        self.extra = extra  # tokens in front that are no part of the picture: the class token
        self.last = last  # whether the tokens come last already

    def forward(self, x):
        channels_first = x if self.last else x.transpose(1, 2)
        grid = channels_first[:, :, self.extra :]
        side = round(grid.shape[2] ** 0.5)
        return grid.unflatten(2, (side, side))
'''

CHANNELS_FIRST = '''
class ChannelsFirst(nn.Module):
    """A map turned round: (batch, height, width, channels) to (batch, channels, height, width)."""

    def forward(self, x):
        return x.permute(0, 3, 1, 2)
'''

HELPERS = {
    "TokensToMap": TOKENS_TO_MAP,
    "ChannelsFirst": CHANNELS_FIRST,
    "AdaptiveConcatPool2d": CONCAT_POOL,
    "SigmoidRange": SIGMOID_RANGE,
}

SHAPERS = ("TokensToMap", "ChannelsFirst")  # behind the network's own steps

SAME_CUT_AS_FASTAI = ("resnet", "squeezenet", "vgg", "alexnet")  # fastai cuts a densenet before its last ReLU
KNOWN_TO_FASTAI = ("resnet", "squeezenet", "densenet", "alexnet")  # and the vggs with batch norm (fastai facts A.1)
IN_SCRIPT = "0.0.network"  # begins the names of a body's tensors where a script cuts the graph
FIRST_WEIGHTS = "IMAGENET1K_V1"  # what fastai loads into the others (fastai facts A.3)

CHECKS_SHAPES = ("vit", "maxvit")  # torch.fx never leaves out a check, nor what it looks at
TURNS_INPUT = ("googlenet", "inception_v3")  # with ImageNet weights their forward begins with another normalisation


TIMM = "timm:"  # begins the names of timm's networks


def script(spec: ClassifierSpec, trace: Trace) -> str:
    """A complete Python file that needs torch and torchvision alone and leaves the model in `model`.

    Its state dict has the keys, shapes and order of the described model's. A weights file that ends in .safetensors
    needs the package safetensors, too.
    """
    head = head_layers(trace)
    helpers = _helpers(trace)
    blocks = [
        _title(spec, trace),
        "\n".join(_imports(spec, trace)),
        *helpers,
        "\n" * bool(helpers) + "\n".join(_network(spec, trace)),
        *(
            ["\n".join(_first_layer(spec, trace))]
            if spec.body.n_in != 3 and not spec.body.arch.startswith(TIMM)
            else []
        ),
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
    elif spec.body.cut is None and _known_to_fastai(spec.body.arch) and _cuts_as_fastai(spec):
        learner = _call("learn = vision_learner", ["dls", spec.body.arch, f"n_out={spec.n_out}", *arguments[2:]])
        lines += ["", "# the same model in a learner over your data loaders:", *(f"# {line}" for line in learner)]
    return "\n".join(lines) + "\n"


def _call(function: str, arguments: list[str]) -> list[str]:
    """A call on one line, or with a line an argument where it would be too long."""
    line = f"{function}({', '.join(arguments)})"
    return [line] if len(line) <= WIDTH else [f"{function}(", *(f"    {argument}," for argument in arguments), ")"]


def why_no_fastai(spec: ClassifierSpec, trace: Trace) -> str:
    """Why fastai has no call that builds this model; empty where it has."""
    if spec.body.arch.startswith(TIMM):
        return "This body is timm's, which fastai takes by name and cuts by rules of its own."
    if not trace.body_code:
        return _why_no_cut(spec, trace)
    arch, entry = spec.body.arch, trace.weights_entry
    if spec.body.weights == "imagenet" and entry != FIRST_WEIGHTS and not _known_to_fastai(arch):
        return f"fastai's table does not list {arch}, and of its weights fastai cannot load {entry}."
    if spec.head.pool == "max":
        return "fastai's head pools by average, or by maximum and average together, but not by maximum alone."
    return ""


def _why_no_cut(spec: ClassifierSpec, trace: Trace) -> str:
    last = body_children(trace)[-1].cls
    if last == "TokensToMap":
        return "fastai takes what a network's children give, and here tokens have to be folded to a map."
    if last == "ChannelsFirst":
        return "fastai takes what a network's children give, and here a channel-last map has to be turned round."
    if spec.body.cut is None:
        return "fastai runs a network's children one after the other, and this network has a forward of its own."
    return "fastai cuts between layers, and this cut lies inside one."


def _known_to_fastai(arch: str) -> bool:
    """Whether fastai's own table has it, and with it today's weights (fastai facts A.1)."""
    return arch.startswith(KNOWN_TO_FASTAI) or (arch.startswith("vgg") and arch.endswith("_bn"))


def _cuts_as_fastai(spec: ClassifierSpec) -> bool:
    return spec.body.cut is None and spec.body.arch.startswith(SAME_CUT_AS_FASTAI)


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
    """The name of the last module that the body keeps, or of its last step: "layer4", "features.transition1"."""
    if trace.body_node:
        return trace.body_node
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
    if arch.startswith(TIMM):
        lines += ["import timm", "from torch import nn"]
        return lines + ["from timm.layers import create_feature_extractor"] * bool(trace.body_node)
    lines += ["from torch import nn", f"from torchvision.models import {names}"]
    if trace.body_node:
        lines.append("from torchvision.models.feature_extraction import create_feature_extractor")
    return lines


def _helpers(trace: Trace) -> list[str]:
    """The classes that the model needs besides torch's own."""
    used = {layer.cls for layer in (*body_children(trace), *head_layers(trace))}
    return [UP_TO] * bool(trace.body_node) + [code for name, code in HELPERS.items() if name in used]


def _network(spec: ClassifierSpec, trace: Trace) -> list[str]:
    if spec.body.arch.startswith(TIMM):
        pretrained = spec.body.weights == "imagenet"
        more = "" if spec.body.n_in == 3 else f", in_chans={spec.body.n_in}"
        name = _quoted(spec.body.arch.removeprefix(TIMM))
        return ["# timm's network", f"network = timm.create_model({name}, pretrained={pretrained}{more})"]
    if spec.body.weights == "imagenet":
        start = f"{trace.weights_enum}.{trace.weights_entry}"
        lines = ["# the network as torchvision trained it on ImageNet", f"network = {spec.body.arch}(weights={start})"]
        if trace.body_node and spec.body.arch in TURNS_INPUT:
            lines += ["network.transform_input = False  # pictures come with mean 0.5 and deviation 0.5 already"]
        return lines
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
    names = _name_in_network(layer.qual, trace).split(".")
    return "network" + "".join(f"[{name}]" if name.isdigit() else f".{name}" for name in names)


def _name_in_network(qual: str, trace: Trace) -> str:
    """What the network calls a body's module: "features.0" for "0.0.0"."""
    _, child, inner = qual.split(".", 2) if qual.count(".") > 1 else (*qual.split("."), "")
    return ".".join(filter(None, (_child_names(trace)[int(child)], inner)))


def _child_names(trace: Trace) -> list[str]:
    """The network's own names of the body's children; "" for a child that is the network itself, cut short, which goes
    by its class."""
    return ["" if child.name == child.cls else child.name for child in body_children(trace)]


def _body(spec: ClassifierSpec, trace: Trace) -> list[str]:
    row = trace.layers[0]
    lines = [f"# the body: {shape(row.in_shape)} → {shape(row.out_shape)}"]
    if trace.dropped:
        lines += [f"# {line}" for line in wrap("left behind: " + ", ".join(p.name for p in trace.dropped), WIDTH)]
    if trace.body_code:
        return [*lines, f"body = {trace.body_code}"]
    if trace.body_opened:
        opened = f'"{trace.body_opened}"'
        lines += [
            f"# to torchvision {opened} is a single step; as a plain nn.Sequential it is one step for each layer",
            f"network.set_submodule({opened}, nn.Sequential(*network.get_submodule({opened})))",
        ]
    if spec.body.cut is not None and spec.body.arch.startswith(CHECKS_SHAPES):
        lines += [
            "# torchvision keeps every check of shapes and what it looks at, so what is left behind is taken out first",
            "behind = [",
            *(f"    {line}" for line in wrap(", ".join(f'"{part.name}"' for part in trace.dropped) + ",", WIDTH - 4)),
            "]",
            "for name in behind:",
            "    network.set_submodule(name, nn.Sequential())",
        ]
    shaping = [layer.code for layer in body_children(trace) if layer.cls in SHAPERS]
    steps = [f'UpTo(network, "{trace.body_node}")', *shaping]
    return [*lines, f"body = nn.Sequential({', '.join(steps)})"]


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
        *(_renaming(trace) if trace.body_node else []),
    ]
    if spec.body.n_in != 3:
        conv = _first_conv(trace)
        own = _name_in_network(conv.qual, trace)
        first = f"{IN_SCRIPT}.{own}" if trace.body_node else conv.qual
        lines += [
            f'first = "{first}" if target is model else "{own}"',
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


def _renaming(trace: Trace) -> list[str]:
    """A weights file counts the body's children; where a script cuts the graph they go by their own names."""
    shapers = len([child for child in body_children(trace) if child.cls in SHAPERS])
    names = _child_names(trace)[: len(body_children(trace)) - shapers]
    names = {f"0.{i}": f"{IN_SCRIPT}.{name}".rstrip(".") for i, name in enumerate(names)}
    return [
        "if target is model:",
        "    # the file counts the body's children, which go by their own names here",
        "    names = {",
        *(f'        "{counted}": "{named}",' for counted, named in names.items()),
        "    }",
        '    counted = {name: ".".join(name.split(".")[:2]) for name in state}',
        "    state = {name.replace(c, names.get(c, c), 1): state[name] for name, c in counted.items()}",
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
    if not _cuts_as_fastai(spec):
        plain = re.fullmatch(r"nn\.Sequential\(\*list\(network\.children\(\)\)\[:(\d+)\]\)", trace.body_code)
        cut = plain[1] if plain else f"lambda network: {trace.body_code}"
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


def _is_file(spec: ClassifierSpec) -> bool:
    return spec.body.weights not in (None, "random", "imagenet")
