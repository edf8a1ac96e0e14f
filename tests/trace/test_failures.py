"""Ways to break a model: each says where, what was needed and what came, in one sentence; each fix is tried.

Read the sentences: they are what a person sees on the failure card.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from explorer import link
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec
from explorer.trace.explain import batch_failure, diagnose, mend
from explorer.trace.hints import hints
from explorer.trace.records import Failure
from explorer.trace.tracer import trace


@dataclass(frozen=True)
class Broken:
    """A spec that cannot run, where it stops, the sentence, and the field that mends it with its new value."""

    qual: str
    sentence: str
    fix: tuple[str, object]
    arch: str = "resnet18"
    size: int = 224
    cut: str | None = None
    head: HeadSpec = HeadSpec()

    @property
    def spec(self) -> ClassifierSpec:
        return ClassifierSpec(BodySpec(self.arch, "random", self.cut, self.size), self.head)


def flat(**more) -> HeadSpec:
    """A head without pooling."""
    return HeadSpec(pool=None, **more)


SPECS = {
    "a kernel larger than the picture": Broken(
        "0.0.0",
        "features.0 (Conv2d 3→64 11×11, stride 4) needs a map of at least 7×7, but gets a picture of 1×1 px: "
        "set the size to 63 px or more.",
        ("body.size", 63), "alexnet", 1,
    ),
    "a pooling in the middle": Broken(
        "0.0.5",
        "features.5 (MaxPool2d 3×3, stride 2) needs a map of at least 3×3, but a picture of 16×16 px leaves it "
        "192×1×1: set the size to 63 px or more.",
        ("body.size", 63), "alexnet", 16,
    ),
    "a pooling at the end": Broken(
        "0.0.12",
        "features.12 (MaxPool2d 3×3, stride 2) needs a map of at least 3×3, but a picture of 48×48 px leaves it "
        "256×2×2: set the size to 63 px or more.",
        ("body.size", 63), "alexnet", 48,
    ),
    "one pixel too few": Broken(
        "0.0.43",
        "features.43 (MaxPool2d 2×2, stride 2) needs a map of at least 2×2, but a picture of 31×31 px leaves it "
        "512×1×1: set the size to 32 px or more.",
        ("body.size", 32), "vgg16_bn", 31,
    ),
    "a pooling that rounds up": Broken(
        "0.0.11",
        "features.11 (MaxPool2d 3×3, stride 2) needs a map of at least 2×2, but a picture of 16×16 px leaves it "
        "512×1×1: set the size to 21 px or more.",
        ("body.size", 21), "squeezenet1_0", 16,
    ),
    "an average pooling in a transition": Broken(
        "0.0.transition3.pool",
        "features.transition3.pool (AvgPool2d 2×2, stride 2) needs a map of at least 2×2, but a picture of 16×16 px "
        "leaves it 512×1×1: set the size to 29 px or more.",
        ("body.size", 29), "densenet121", 16,
    ),
    "a branch of an inception block": Broken(
        "0.15.branch3x3_2.conv",
        "Mixed_7a.branch3x3_2.conv (Conv2d 192→320 3×3, stride 2) needs a map of at least 3×3, but a picture of "
        "64×64 px leaves it 192×2×2: set the size to 75 px or more.",
        ("body.size", 75), "inception_v3", 64,
    ),
    "a convolution that halves": Broken(
        "0.0.6.1",
        "features.6.1 (Conv2d 384→768 2×2, stride 2) needs a map of at least 2×2, but a picture of 16×16 px leaves it "
        "384×1×1: set the size to 32 px or more.",
        ("body.size", 32), "convnext_tiny", 16,
    ),
    "a patch larger than the picture": Broken(
        "0.0.0.0",
        "features.0.0 (Conv2d 3→96 4×4, stride 4) needs a map of at least 4×4, but gets a picture of 3×3 px: "
        "set the size to 4 px or more.",
        ("body.size", 4), "swin_t", 3,
    ),
    "a vit on small pictures": Broken(
        "0.0",
        "The body (VisionTransformer) needs a picture of 224×224 px, but gets a picture of 48×48 px: "
        "set the size to 224 px, which it was made for.",
        ("body.size", 224), "vit_b_16", 48,
    ),
    "a vit on large pictures": Broken(
        "0.0",
        "The body (VisionTransformer) needs a picture of 224×224 px, but gets a picture of 500×500 px: "
        "set the size to 224 px, which it was made for.",
        ("body.size", 224), "vit_b_32", 500,
    ),
    "windows that do not divide the map": Broken(
        "0.1.0.layers.0.layers.window_attention.partition_op",
        "blocks.0.layers.0.layers.window_attention.partition_op (WindowPartition) needs a height and width that are "
        "multiples of 7, but a picture of 64×64 px leaves it 64×16×16: set the size to 224 px, which it was made for.",
        ("body.size", 224), "maxvit_t", 64,
    ),
    "no pooling before batch norm": Broken(
        "1.0",
        "head.0 (BatchNorm1d 512 channels) needs a list of 512 features, but gets 512×7×7, because nothing pools the "
        "body's map: choose a pooling.",
        ("head.pool", "concat"), head=flat(),
    ),
    "no pooling before dropout and a layer": Broken(
        "1.1",
        "head.1 (Linear 512→512) needs a list of 512 features, but gets 512×7×7, because nothing pools the body's "
        "map: choose a pooling.",
        ("head.pool", "concat"), head=flat(first_bn=False),
    ),
    "no pooling, linear first": Broken(
        "1.1",
        "head.1 (Linear 512→512, no bias) needs a list of 512 features, but gets 512×7×7, because nothing pools the "
        "body's map: choose a pooling.",
        ("head.pool", "concat"), head=flat(lin_first=True),
    ),
    "no pooling, no hidden layer": Broken(
        "1.0",
        "head.0 (Linear 512→37) needs a list of 512 features, but gets 512×7×7, because nothing pools the body's map: "
        "choose a pooling.",
        ("head.pool", "concat"), head=flat(first_bn=False, lin_ftrs=(), ps=0),
    ),
    "no pooling, and the width is the number of features": Broken(
        "1",
        "The head must end in 37 numbers for a picture, but ends in 64×64×37, because nothing pools the body's map "
        "(64×64×64): choose a pooling.",
        ("head.pool", "concat"), size=256, cut="layer1", head=flat(first_bn=False, lin_ftrs=()),
    ),
}  # fmt: skip


class Two(nn.Module):
    """Two branches over one input."""

    def __init__(self, a: nn.Module, b: nn.Module):
        super().__init__()
        self.a, self.b = a, b


class Residual(Two):
    def forward(self, x):
        return self.a(x) + self.b(x)


class Concat(Two):
    def forward(self, x):
        return torch.cat([self.a(x), self.b(x)], 1)


class Reshape(nn.Module):
    def forward(self, x):
        return x.view(x.shape[0], 100)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)[0]


class Pair(nn.Module):
    def forward(self, x, y):
        return x + y


class Empty(nn.Module):
    pass


class Moody(nn.Module):
    def forward(self, x):
        raise RuntimeError("not on\nMondays")


def conv(n_in: int = 3, n_out: int = 8, kernel: int = 3, **more) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, kernel, **more)


PICTURE, CHAIN = (3, 8, 8), nn.Sequential

# A name: the module, one example's shape, the sentence, and the labels of the fixes that make it run; () for none.
MODULES: dict[str, tuple[nn.Module, tuple[int, ...], str, tuple[str, ...]]] = {
    "channels": (
        CHAIN(conv(), conv(16, 4)), PICTURE,
        "1 (Conv2d 16→4 3×3) needs 16 channels, but gets 8 (8×6×6): make it take 8 channels.",
        ("Set in_channels to 8",),
    ),
    "channels of groups": (
        CHAIN(conv(4, 4, groups=4)), PICTURE,
        "0 (Conv2d 4→4 3×3, groups 4) needs 4 channels, but gets 3 (3×8×8): give it 4 channels, because 4 groups "
        "cannot share 3.",
        (),
    ),
    "channels of a transposed convolution": (
        CHAIN(nn.ConvTranspose2d(4, 2, 2)), PICTURE,
        "0 (ConvTranspose2d 4→2 2×2) needs 4 channels, but gets 3 (3×8×8): make it take 3 channels.",
        ("Set in_channels to 3",),
    ),
    "two layers in a row": (
        CHAIN(conv(), conv(16, 4), nn.BatchNorm2d(5)), PICTURE,
        "1 (Conv2d 16→4 3×3) needs 16 channels, but gets 8 (8×6×6): make it take 8 channels.",
        ("Set in_channels to 8", "Set num_features to 4"),
    ),
    "a convolution behind the flatten": (
        CHAIN(nn.Flatten(), conv()), PICTURE,
        "1 (Conv2d 3→8 3×3) needs a map of channels × height × width, but gets a list of 192: put it before the "
        "pooling and the flatten.",
        (),
    ),
    "one dimension too many": (
        CHAIN(nn.Conv1d(3, 4, 3)), PICTURE,
        "0 (Conv1d 3→4 3) needs a sequence of channels × length, but gets 3×8×8: use Conv2d.",
        (),
    ),
    "a kernel larger than the map": (
        CHAIN(conv(), nn.MaxPool2d(8)), PICTURE,
        "1 (MaxPool2d 8×8, stride 8) needs a map of at least 8×8, but gets 8×6×6: put in a larger picture, or shrink "
        "it less before.",
        (),
    ),
    "padding beyond half the kernel": (
        CHAIN(nn.MaxPool2d(3, padding=2)), PICTURE,
        "0 (MaxPool2d 3×3, stride 3) needs a padding of at most 1×1, half its kernel of 3×3, but gets a padding of "
        "2×2: set padding=1.",
        ("Set padding to 1",),
    ),
    "a mirror larger than the map": (
        CHAIN(nn.ReflectionPad2d(9)), PICTURE,
        "0 (ReflectionPad2d) needs a map of at least 10×10, but gets 3×8×8: put in a larger picture, or pad less.",
        (),
    ),
    "features of a linear layer": (
        CHAIN(conv(), nn.Flatten(), nn.Linear(100, 2)), PICTURE,
        "2 (Linear 100→2) needs a list of 100 features, but gets a list of 288: make it take 288 features.",
        ("Set in_features to 288",),
    ),
    "the flatten forgotten": (
        CHAIN(conv(), nn.Linear(288, 2)), PICTURE,
        "1 (Linear 288→2) needs a list of 288 features, but gets 8×6×6: flatten the map first.",
        ("Flatten before it",),
    ),
    "the pooling forgotten": (
        CHAIN(conv(), nn.Linear(8, 2)), PICTURE,
        "1 (Linear 8→2) needs a list of 8 features, but gets 8×6×6: pool the map and flatten it first.",
        ("Pool and flatten before it",),
    ),
    "features of batch norm": (
        CHAIN(conv(), nn.BatchNorm2d(16)), PICTURE,
        "1 (BatchNorm2d 16 channels) needs 16 channels, but gets 8 (8×6×6): make it take 8 channels.",
        ("Set num_features to 8",),
    ),
    "batch norm of lists on a map": (
        CHAIN(conv(), nn.BatchNorm1d(8)), PICTURE,
        "1 (BatchNorm1d 8 channels) needs a list of 8 features, but gets 8×6×6: pool the map and flatten it first, or "
        "use BatchNorm2d.",
        ("Pool and flatten before it",),
    ),
    "batch norm of maps on a list": (
        CHAIN(nn.Flatten(), nn.BatchNorm2d(192)), PICTURE,
        "1 (BatchNorm2d 192 channels) needs a map of channels × height × width, but gets a list of 192: use "
        "BatchNorm1d.",
        (),
    ),
    "group norm": (
        CHAIN(conv(), nn.GroupNorm(4, 16)), PICTURE,
        "1 (GroupNorm) needs 16 channels, but gets 8 (8×6×6): make it take 8 channels.",
        ("Set num_channels to 8",),
    ),
    "layer norm on channels first": (
        CHAIN(conv(), nn.LayerNorm(8)), PICTURE,
        "1 (LayerNorm) needs a last dimension of 8, but gets 8×6×6: use nn.GroupNorm(1, 8), which normalises the "
        "channels of a map.",
        (),
    ),
    "layer norm of another size": (
        CHAIN(conv(), nn.LayerNorm((8, 7, 7))), PICTURE,
        "1 (LayerNorm) needs inputs that end in 8×7×7, but gets 8×6×6: make it normalise over 8×6×6.",
        ("Set normalized_shape to (8, 6, 6)",),
    ),
    "instance norm of one cell": (
        CHAIN(conv(kernel=8), nn.InstanceNorm2d(8)), PICTURE,
        "1 (InstanceNorm2d) needs a map of more than one cell, but gets 8×1×1: put in a larger picture, or shrink it "
        "less before.",
        (),
    ),
    "pooling behind the flatten": (
        CHAIN(nn.Flatten(), nn.AdaptiveAvgPool2d(1)), PICTURE,
        "1 (AdaptiveAvgPool2d to 1×1) needs a map of channels × height × width, but gets a list of 192: put it before "
        "the pooling and the flatten.",
        (),
    ),
    "flatten beyond the last dimension": (
        CHAIN(nn.Flatten(1, 4)), PICTURE,
        "0 (Flatten) needs at least 4 dimensions besides the batch, but gets 3×8×8: use nn.Flatten() without "
        "arguments.",
        ("Set end_dim to -1",),
    ),
    "unflatten of another product": (
        CHAIN(nn.Flatten(), nn.Unflatten(1, (8, 5, 5))), PICTURE,
        "1 (Unflatten) needs 200 values to lay out as 8×5×5, but gets a list of 192: choose sizes whose product is "
        "192.",
        (),
    ),
    "pixel shuffle": (
        CHAIN(conv(3, 6, 1), nn.PixelShuffle(2)), PICTURE,
        "1 (PixelShuffle) needs channels that 4 divides (2×2), but gets 6×8×8: give the layer before it 8 output "
        "channels.",
        (),
    ),
    "upsampling a list": (
        CHAIN(nn.Flatten(), nn.Upsample(scale_factor=2, mode="bilinear")), PICTURE,
        "1 (Upsample) needs a map of channels × height × width, but gets a list of 192: put it before the pooling and "
        "the flatten.",
        (),
    ),
    "ids of words": (
        CHAIN(nn.Embedding(10, 4)), (5,),
        "0 (Embedding) needs whole numbers, such as the ids of words, but gets a picture's decimals: put a convolution "
        "in its place.",
        (),
    ),
    "steps of an LSTM": (
        CHAIN(nn.LSTM(8, 4, batch_first=True)), (5, 9),
        "0 (LSTM) needs 8 features for each step, but gets 5×9: make it take 9 features.",
        ("Set input_size to 9",),
    ),
    "attention of another width": (
        Attention(), (5, 9),
        "attention (MultiheadAttention) needs 8 features for each step of its query, but gets 5×9: give its query 8 "
        "features, or make it with embed_dim=9.",
        (),
    ),
    "attention over a map": (
        Attention(), (8, 5, 5),
        "attention (MultiheadAttention) needs a sequence of 8 features for each step, but gets 8×5×5: flatten height "
        "and width to one row of tokens, channels last.",
        (),
    ),
    "a residual of another size": (
        CHAIN(Residual(conv(), conv(kernel=1))), PICTURE,
        "0 (Residual) needs tensors of one shape to add, but gets 8×6×6 and 8×8×8: give its branches the same stride "
        "and padding.",
        (),
    ),
    "a residual of other channels": (
        CHAIN(Residual(conv(kernel=1), conv(3, 4, 1))), PICTURE,
        "0 (Residual) needs tensors of one shape to add, but gets 8×8×8 and 4×8×8: give its branches the same number "
        "of channels.",
        (),
    ),
    "maps of two sizes side by side": (
        CHAIN(Concat(conv(), conv(kernel=1))), PICTURE,
        "0 (Concat) needs maps of one height and width to put side by side, but gets 6 and 8 along dimension 2: give "
        "its branches the same stride and padding.",
        (),
    ),
    "a view of a fixed size": (
        CHAIN(Reshape()), PICTURE,
        "0 (Reshape) needs 100 values to lay out as 100, but gets 192 (3×8×8): let the sizes follow from its input.",
        (),
    ),
    "a second input": (
        CHAIN(Pair()), PICTURE,
        "0 (Pair) needs 2 inputs, but gets one: call it with y from a module of your own.",
        (),
    ),
    "no forward": (
        CHAIN(Empty()), PICTURE,
        "0 (Empty) needs a forward method, but gets none: write def forward(self, x) in its class.",
        (),
    ),
    "an error of one's own": (
        Moody(), PICTURE,
        "Moody needs an input of another shape, but gets 3×8×8: PyTorch says: “not on Mondays”.",
        (),
    ),
}  # fmt: skip


# What torch lets pass, because it takes the batch for the channels of one example: the outcome means nothing.
SILENT = {MODULES["pooling behind the flatten"][2]}


@pytest.mark.parametrize("case", SPECS.values(), ids=SPECS)
def test_a_spec_that_cannot_run_says_where_and_why_and_is_mended(case: Broken):
    failure = trace(case.spec).failure
    assert (failure.qual, failure.reason) == (case.qual, case.sentence)
    assert_tells_all(failure)
    assert (failure.fix.field, failure.fix.value) == case.fix
    assert trace(link.put(case.spec, *case.fix)).failure is None


@pytest.mark.parametrize(("module", "in_shape", "sentence", "fixes"), MODULES.values(), ids=MODULES)
def test_a_module_that_cannot_run_says_where_and_why_and_is_mended(module, in_shape, sentence, fixes):
    failure = diagnose(module, in_shape)
    assert failure.reason == sentence
    assert_tells_all(failure)
    assert type(module.get_submodule(failure.qual)).__name__ == failure.cls
    assert sentence in SILENT or not gives(module, in_shape)
    assert (failure.fix is None) == (not fixes)
    for label in fixes:
        failure = diagnose(module, in_shape)
        assert failure.fix.label == label
        module = mend(module, failure.fix)
    if fixes:
        assert diagnose(module, in_shape) is None
        assert gives(module, in_shape)


def gives(module: nn.Module, in_shape: tuple[int, ...]) -> bool:
    """Whether a batch of two such examples goes through in earnest."""
    try:
        with torch.no_grad():
            module.eval()(torch.zeros(2, *in_shape))
    except Exception:  # whatever torch raises over a shape
        return False
    return True


def assert_tells_all(failure: Failure) -> None:
    """One sentence that names the module, what it needed and what it got."""
    reason = failure.reason
    assert reason.endswith(".") and "\n" not in reason and ". " not in reason.replace("px. ", "")
    assert failure.needed in reason and failure.cls in reason or failure.qual == "1"
    assert all(part in reason for part in re.findall(r"\d+", failure.got)[-2:])
    assert not re.search(r"Error|torch\.Size|Traceback|None", reason)


def test_there_are_many_ways_to_break_a_model():
    assert len({case.sentence for case in SPECS.values()} | {row[2] for row in MODULES.values()}) >= 25


def test_a_diagnosis_leaves_the_module_as_it_was():
    module = CHAIN(conv(), nn.BatchNorm2d(16)).train()
    assert diagnose(module, PICTURE) is not None
    assert module.training and not any(p.is_meta for p in module.parameters())
    assert not any(inner._forward_hooks or inner._forward_pre_hooks for inner in module.modules())


def test_a_module_that_runs_has_no_failure():
    assert diagnose(CHAIN(conv(), nn.Flatten(), nn.Linear(288, 2)), PICTURE) is None


def test_what_comes_before_the_failure_keeps_its_shapes():
    case = SPECS["a pooling in the middle"]
    layers = [layer for layer in trace(case.spec).layers if layer.qual.startswith("0.0.")]
    at = [layer.qual for layer in layers].index(case.qual)
    assert all(layer.out_shape for layer in layers[:at]) and layers[at].in_shape == (192, 1, 1)
    assert not any(layer.out_shape for layer in layers[at:])


@pytest.mark.parametrize(
    ("spec", "fails"),
    [
        (ClassifierSpec(BodySpec("resnet18", "random", size=64)), "head.2"),
        (ClassifierSpec(BodySpec("resnet18", "random", size=32), HeadSpec(first_bn=False, lin_ftrs=())), "bn1"),
        (ClassifierSpec(BodySpec("resnet18", "random", size=64), HeadSpec(first_bn=False, lin_ftrs=())), None),
        (ClassifierSpec(BodySpec("alexnet", "random", size=16)), None),  # cannot run at all: told elsewhere
    ],
)
def test_a_batch_of_one_cannot_pass_batch_norm_in_training(spec: ClassifierSpec, fails: str | None):
    found = trace(spec)
    failure = batch_failure(found, 1)
    assert batch_failure(found, 2) is None
    if fails is None:
        assert failure is None
        return
    assert failure.name == fails and failure.fix.field == "batch_size" and failure.fix.value == 2
    assert failure.reason == (
        f"{fails} ({failure.cls}) needs more than one value for each of its {failure.reason.split('each of its ')[1]}"
    )


DEFAULT = ClassifierSpec(BodySpec("resnet18", "random"))


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        (DEFAULT, ()),
        (replace(DEFAULT, body=replace(DEFAULT.body, size=32)), ("head.pool",)),
        (replace(DEFAULT, body=replace(DEFAULT.body, cut="bn1")), ("body.cut", "head.first_bn")),
        (replace(DEFAULT, head=HeadSpec(y_range=(0, 5))), ("head.y_range",)),
        (replace(DEFAULT, head=HeadSpec(y_range=(0, 5)), n_out=1), ()),
        (ClassifierSpec(BodySpec("mobilenet_v2", "random", "features.14")), ("head.first_bn",)),
        (ClassifierSpec(BodySpec("mobilenet_v2", "random", "features.15")), ()),  # a sum follows its last batch norm
        (replace(DEFAULT, head=HeadSpec(pool=None)), ()),  # a failure, not a suggestion
    ],
)
def test_suggestions_stand_at_their_controls_and_are_gone_once_followed(spec: ClassifierSpec, fields: tuple[str, ...]):
    found = hints(spec, trace(spec))
    assert tuple(hint.field for hint in found) == fields
    for hint in found:
        assert hint.text.endswith(".") and hint.fix.field == hint.field
        mended = link.put(spec, hint.fix.field, hint.fix.value)
        assert trace(mended).failure is None
        assert hint.field not in {left.field for left in hints(mended, trace(mended))}
