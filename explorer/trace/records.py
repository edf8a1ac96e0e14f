"""What a model is, as dull values: frozen dataclasses of numbers and strings, no torch.

Shapes leave out the batch dimension; activations are float32 of one example. `params`, `macs` and
`activation_bytes` of a row are the module's *own*, not its children's, so that every column adds up to the totals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log

from explorer.spec import EARLY, HEAD, LATE, count_frozen

Shape = tuple[int, ...]

MIXED = "mixed"


@dataclass(frozen=True)
class Layer:
    """One module, in the order of `named_modules`.

    qual       its name in the built model ("0.4.0.conv1"), unique in a trace
    name       what the architecture calls it ("layer1", "conv1"), for people
    cls        its class ("Conv2d")
    depth      0 for body and head, 1 for their children, …
    in_shape   None where the run never came to it
    own params, macs (multiply-accumulates for one example), activation bytes (its output; 0 for containers)
    trainable  own parameters that learn
    group      "body-early", "body-late", "head"; "mixed" for a container that spans groups
    detail     what its class does not say: "3×3, stride 2", "p 0.25"
    norm       True for normalisation layers, which stay trainable in a frozen group (fastai facts G.4)
    container  True when it has modules inside
    code       the Python expression that makes it ("nn.Linear(1024, 512, bias=False)"), empty for a container
    """

    qual: str
    name: str
    cls: str
    depth: int
    in_shape: Shape | None
    out_shape: Shape | None
    params: int
    trainable: int
    macs: int
    activation_bytes: int
    group: str
    detail: str = ""
    norm: bool = False
    container: bool = False
    code: str = ""


@dataclass(frozen=True)
class Dropped:
    """A part of the original network behind the cut."""

    name: str
    cls: str
    params: int


@dataclass(frozen=True)
class Skip:
    """A tensor that jumps over layers, from its maker to its taker. A classifier has none."""

    source: str
    target: str
    shape: Shape


@dataclass(frozen=True)
class Fix:
    """A change of one field that would mend a failure: a button's words, the field ("body.size"), its new value."""

    label: str
    field: str
    value: object


@dataclass(frozen=True)
class Failure:
    """Where a model cannot run: the module, what it needed, what it got, one sentence, and a mend if there is one."""

    qual: str
    name: str
    cls: str
    needed: str
    got: str
    reason: str
    fix: Fix | None = None


@dataclass(frozen=True)
class Totals:
    """Sums of the rows' columns, in the rows' units."""

    params: int
    trainable: int
    macs: int
    activation_bytes: int


@dataclass(frozen=True)
class Trace:
    """A described model: a row a module, its skips, sums, and where it failed (None when it runs).

    in_shape and out_shape are the model's own; `dropped` is what the cut threw away of the original network;
    `weights_enum` and `weights_entry` are torchvision's names of the architecture's weights ("ResNet34_Weights",
    "IMAGENET1K_V1"). `body_code` is the Python expression that takes the body out of `network`, "" where only the graph
    of its `forward` tells how: the body then ends with the node `body_node` ("layer1.0.add"), which is found once the
    layer `body_opened`, if any, is looked into.
    """

    layers: tuple[Layer, ...]
    skips: tuple[Skip, ...]
    totals: Totals
    failure: Failure | None
    in_shape: Shape = ()
    out_shape: Shape | None = None
    dropped: tuple[Dropped, ...] = ()
    weights_enum: str = ""
    body_code: str = ""
    weights_entry: str = ""
    body_node: str = ""
    body_opened: str = ""


def add_up(layers: tuple[Layer, ...]) -> Totals:
    """Totals of rows, column by column."""
    return Totals(
        params=sum(layer.params for layer in layers),
        trainable=sum(layer.trainable for layer in layers),
        macs=sum(layer.macs for layer in layers),
        activation_bytes=sum(layer.activation_bytes for layer in layers),
    )


def inside(layers: tuple[Layer, ...], qual: str) -> tuple[Layer, ...]:
    """The row named `qual` and every row below it."""
    return tuple(layer for layer in layers if layer.qual == qual or layer.qual.startswith(qual + "."))


def groups_of(trace: Trace) -> tuple[str, ...]:
    """The parameter groups that hold parameters, from the input on."""
    present = {layer.group for layer in trace.layers if layer.params}
    return tuple(group for group in (EARLY, LATE, HEAD) if group in present)


def is_channels_last(shape: Shape, picture: Shape = (1, 1)) -> bool:
    """Whether three sizes are a map's height, width, channels: these two sides go with the picture's height and width,
    and the last two do not as well."""
    if picture[0] == picture[1]:
        return shape[0] == shape[1] != shape[2]
    ratio = picture[0] / picture[1]
    return abs(log(shape[0] / shape[1] / ratio)) < abs(log(shape[1] / shape[2] / ratio))


def freeze_rows(trace: Trace, frozen: bool | int, train_bn: bool = True) -> Trace:
    """The trace with the first `frozen` groups not learning; True is all groups but the last (fastai facts G.4).

    Norm layers of a frozen group go on learning while `train_bn`.
    """
    groups = groups_of(trace)
    still = set(groups[: count_frozen(frozen, len(groups))])
    layers = tuple(
        replace(layer, trainable=0 if layer.group in still and not (layer.norm and train_bn) else layer.params)
        for layer in trace.layers
    )
    return replace(trace, layers=layers, totals=add_up(layers))
