"""The script is run, and what it builds is compared with what the spec builds."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from explorer.models.bodies import legal_cuts, list_archs
from explorer.models.build import build_model
from explorer.models.meta import Blank
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec
from explorer.trace.tracer import trace
from explorer.views.source import script, why_no_fastai

ARCHS = (
    "resnet18", "resnet50", "resnext50_32x4d", "squeezenet1_0", "squeezenet1_1", "densenet121", "vgg11", "vgg13_bn",
    "alexnet", "googlenet", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x0_5", "mnasnet0_5", "efficientnet_b0",
    "regnet_y_400mf", "convnext_tiny",
)  # fmt: skip
FASTAI_HEAD = HeadSpec(lin_ftrs=(24, 16), ps=(0.1, 0, 0.4), bn_final=True, y_range=(0, 5.5))


def run(code: str) -> nn.Module:
    """The `model` that a script leaves behind."""
    names: dict = {"__name__": "script"}
    exec(compile(code, "script.py", "exec"), names)
    return names["model"]


def assert_same_model(spec: ClassifierSpec, size: int = 65) -> None:
    """Built without drawing weights, then given the same ones: same tensors, same modules, same outputs."""
    with Blank():
        ours, theirs = build_model(spec).model, run(script(spec, trace(spec)))
    assert tensors_of(ours) == tensors_of(theirs)
    assert modules_of(ours) == modules_of(theirs)
    ours, theirs = ours.to_empty(device="cpu").eval(), theirs.to_empty(device="cpu").eval()
    draw_weights(ours)
    theirs.load_state_dict(ours.state_dict())
    if spec.head.pool is not None:
        x = torch.rand(2, spec.body.n_in, size, size)
        with torch.no_grad():
            out = ours(x)
            assert out.isfinite().all()
            assert torch.equal(out, theirs(x))


def cuts_between_layers(arch: str) -> list:
    """Those that a script can make: not inside a block."""
    return [cut for cut in legal_cuts(arch) if trace(ClassifierSpec(BodySpec(arch, "random", cut.name))).body_code]


def test_a_cut_inside_a_block_is_no_script_and_no_call():
    spec = ClassifierSpec(BodySpec("resnet18", "random", "layer1.0.add"))
    with pytest.raises(SystemExit, match="inside a layer"):
        run(script(spec, trace(spec)))
    assert "inside" in why_no_fastai(spec, trace(spec))


def tensors_of(model: nn.Module) -> list[tuple]:
    return [(name, tensor.shape, tensor.dtype) for name, tensor in model.state_dict().items()]


def modules_of(model: nn.Module) -> list[tuple]:
    """Name, class and settings of every module; our range layer prints its range, the script's does not."""
    return [
        (name, type(module).__name__, "" if type(module).__name__ == "SigmoidRange" else module.extra_repr())
        for name, module in model.named_modules(remove_duplicate=False)
    ]


def draw_weights(model: nn.Module) -> None:
    for name, tensor in model.state_dict().items():
        if tensor.ndim > 1:
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5)
        elif tensor.ndim:
            tensor.uniform_(0, 0.1) if name.endswith("bias") else tensor.uniform_(0.5, 1)


@pytest.mark.parametrize("arch", ARCHS)
def test_the_script_builds_the_described_model(arch: str):
    assert_same_model(ClassifierSpec(BodySpec(arch, "random", size=65), FASTAI_HEAD, 5))


@pytest.mark.parametrize("arch", ["resnet18", "squeezenet1_1", "densenet121", "vgg11_bn", "alexnet"])
def test_the_script_cuts_where_the_spec_cuts(arch: str):
    cuts = cuts_between_layers(arch)
    for cut in cuts[:: max(1, len(cuts) // 5)]:
        assert_same_model(ClassifierSpec(BodySpec(arch, "random", cut.name, size=65), n_out=3))


@pytest.mark.parametrize("arch", ["resnet18", "squeezenet1_1", "densenet121", "alexnet"])
@pytest.mark.parametrize("n_in", [1, 2, 5])
def test_the_script_starts_from_the_same_random_weights(arch: str, n_in: int):
    """With one seed both draw the same numbers: the head starts as fastai's, and nothing else is drawn."""
    spec = ClassifierSpec(BodySpec(arch, "random", n_in=n_in, size=65), FASTAI_HEAD, 4)
    torch.manual_seed(3)
    ours = build_model(spec).model.state_dict()
    torch.manual_seed(3)
    theirs = run(script(spec, trace(spec))).state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@st.composite
def specs(draw: st.DrawFn) -> ClassifierSpec:
    arch = draw(st.sampled_from(("resnet18", "squeezenet1_1", "alexnet")))
    widths = draw(st.one_of(st.none(), st.lists(st.integers(1, 40), max_size=3).map(tuple)))
    count = 2 if widths is None else len(widths) + 1
    drop = st.floats(0, 0.95)
    head = HeadSpec(
        pool=draw(st.sampled_from(("concat", "avg", "max", None))),
        lin_ftrs=widths,
        ps=draw(st.one_of(drop, st.lists(drop, min_size=count, max_size=count).map(tuple))),
        first_bn=draw(st.booleans()),
        bn_final=draw(st.booleans()),
        lin_first=draw(st.booleans()),
        y_range=draw(st.sampled_from((None, (-1, 1.25)))),
    )
    cut = draw(st.sampled_from([None, *(cut.name for cut in cuts_between_layers(arch))]))
    return ClassifierSpec(BodySpec(arch, None, cut, 65, draw(st.integers(1, 5))), head, draw(st.integers(1, 50)))


@settings(max_examples=25, deadline=None)
@given(specs())
def test_any_spec_gives_a_script_that_builds_it(spec: ClassifierSpec):
    assert_same_model(spec)


def test_the_script_needs_torch_and_torchvision_alone():
    tree = ast.parse(script(ClassifierSpec(head=FASTAI_HEAD), trace(ClassifierSpec(head=FASTAI_HEAD))))
    modules = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert modules == {"torch", "torchvision.models"}


@pytest.mark.parametrize("arch", list_archs())
def test_imagenet_weights_are_torchvisions_own(arch: str):
    enum = torchvision.models.get_model_weights(arch)
    spec = ClassifierSpec(BodySpec(arch))
    assert trace(spec).weights_enum == enum.__name__
    assert f"network = {arch}(weights={enum.__name__}.DEFAULT)" in script(spec, trace(spec)).splitlines()


@pytest.mark.parametrize("n_in", [1, 2, 3, 5])
def test_imagenet_weights_are_adapted_to_other_channels(n_in: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A stand-in for the download: a seeded network, given to our builder as the file of its weights."""
    torch.manual_seed(1)
    seeded = torchvision.models.squeezenet1_1()
    torch.save(seeded.state_dict(), tmp_path / "squeezenet1_1-00000000.pth")
    monkeypatch.setenv("EXPLORER_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(torchvision.models, "squeezenet1_1", lambda weights: seeded)
    spec = ClassifierSpec(BodySpec("squeezenet1_1", "imagenet", n_in=n_in, size=65))
    ours = build_model(spec, strict=True).model[0].state_dict()
    theirs = run(script(spec, trace(spec)))[0].state_dict()
    drawn = {"0.0.bias"} if n_in != 3 else set()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if name not in drawn)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("n_in", [3, 4])
@pytest.mark.parametrize("whole", [True, False])
def test_a_weights_file_is_loaded(ending: str, n_in: int, whole: bool, tmp_path: Path):
    """Of the whole model as it was saved, and of the network it was cut from."""
    random = ClassifierSpec(
        BodySpec("squeezenet1_1", "random", cut="features.9", n_in=n_in if whole else 3, size=65), n_out=4
    )
    state = build_model(random).model.state_dict() if whole else torchvision.models.squeezenet1_1().state_dict()
    path = tmp_path / f'odd "name" \\ of.{ending}'
    torch.save(state, path) if ending == "pth" else safetensors.torch.save_file(state, path)
    spec = replace(random, body=replace(random.body, weights=str(path), n_in=n_in))
    ours, theirs = build_model(spec).model.state_dict(), run(script(spec, trace(spec))).state_dict()
    drawn = {"0.0.0.bias"} if n_in != 3 and not whole else set()
    for name in ours:
        if whole or (name.startswith("0.") and name not in drawn):
            assert torch.equal(ours[name], theirs[name]), name


def test_a_model_that_cannot_run_is_written_with_the_reason():
    spec = ClassifierSpec(BodySpec("alexnet", "random", size=40), n_out=2)
    code = script(spec, trace(spec))
    assert "It cannot run as it is: features.12" in code
    assert_same_model(spec)


def test_maximum_pooling_alone_is_not_in_fastai():
    spec = ClassifierSpec(head=HeadSpec(pool="max"))
    assert "maximum alone" in why_no_fastai(spec, trace(spec))
    assert why_no_fastai(ClassifierSpec(), trace(ClassifierSpec())) == ""


def test_the_chapters_model_reads_as_in_the_golden_file():
    golden = Path(__file__).parent.parent / "golden" / "source_resnet34.py.txt"
    assert script(ClassifierSpec(), trace(ClassifierSpec())) == golden.read_text()
