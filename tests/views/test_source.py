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

from explorer.models.archs import get_arch, list_archs, weights_entry
from explorer.models.bodies import child_names, legal_cuts
from explorer.models.build import build_model
from explorer.models.meta import Blank
from explorer.models.weights import own_key
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec, sides
from explorer.trace.tracer import trace
from explorer.views.source import script, why_no_fastai

ARCHS = (
    "resnet18", "resnext50_32x4d", "wide_resnet50_2", "squeezenet1_1", "densenet121", "vgg11", "alexnet", "googlenet",
    "inception_v3", "mobilenet_v2", "shufflenet_v2_x0_5", "mnasnet0_5", "efficientnet_b0", "regnet_y_400mf",
    "convnext_tiny", "vit_b_32", "swin_t", "maxvit_t",
)  # fmt: skip
INSIDE = (
    ("resnet18", "layer1.0.add"),
    ("mobilenet_v2", "features.1.conv.0.1"),
    ("densenet121", "features.transition1.norm"),
    ("regnet_y_400mf", "stem.1"),
    ("convnext_tiny", "features.0.1.permute"),
    ("googlenet", "conv1.conv"),
    ("vit_b_32", "encoder.layers.encoder_layer_0.add"),
    ("swin_t", "features.1.0.add"),
    ("maxvit_t", "blocks.0.layers.0"),
)
SIZES = {"vit_b_32": 224, "maxvit_t": 224, "inception_v3": 96}  # 65 px for the others
COMPUTED = ("relative_position_index", "_tensor_constant")  # tables of indices, which tracing turns into constants
FASTAI_HEAD = HeadSpec(lin_ftrs=(24, 16), ps=(0.1, 0, 0.4), bn_final=True, y_range=(0, 5.5))


def run(code: str) -> dict:
    """The names that a script leaves behind: `network`, `body`, `head`, `model`."""
    names: dict = {"__name__": "script"}
    exec(compile(code, "script.py", "exec"), names)
    return names


def assert_same_model(spec: ClassifierSpec, size: int | None = None) -> None:
    """Built without drawing weights, then given the same ones: same tensors, same modules, same outputs."""
    with Blank():
        ours, left = build_model(spec).model, run(script(spec, trace(spec)))
    theirs, here = left["model"], names_in_script(spec, ours)
    assert dict(tensors_of(ours, here)) == dict(tensors_of(theirs))
    assert {here[name] for name, _ in ours.named_parameters()} == {name for name, _ in theirs.named_parameters()}
    if trace(spec).body_code:
        assert tensors_of(ours) == tensors_of(theirs)
        assert modules_of(ours) == modules_of(theirs)
    if spec.head.pool is None:
        return
    ours, theirs = ours.to_empty(device="cpu").eval(), theirs.eval()
    draw_weights(ours)
    copy_tables(left["network"], ours, own_names(spec, ours))
    state = {here[name]: tensor for name, tensor in ours.state_dict().items()}
    theirs.load_state_dict(state, strict=False, assign=True)
    size = size or spec.body.height_width
    x = torch.rand(1, spec.body.n_in, *sides(size))
    with torch.no_grad():
        out = ours(x)
        assert out.isfinite().all()
        torch.testing.assert_close(theirs(x), out, rtol=1e-6, atol=1e-6)


def own_names(spec: ClassifierSpec, model: nn.Module) -> dict[str, str]:
    """What torchvision's network calls the tensors of our model's body: "0.4.0.conv1.weight" is
    "layer1.0.conv1.weight"."""
    children = child_names(spec.body.arch, spec.body.cut)
    split = {name: name.split(".", 2) for name in model.state_dict() if name.startswith("0.")}
    return {name: own_key(children[int(child)], rest) for name, (_, child, rest) in split.items()}


def names_in_script(spec: ClassifierSpec, model: nn.Module) -> dict[str, str]:
    """What the script calls our model's tensors: as we do, or by their own names where it cuts in the graph."""
    names = {name: name for name in model.state_dict()}
    if trace(spec).body_code:
        return names
    return names | {name: f"0.0.network.{own}" for name, own in own_names(spec, model).items()}


def tensors_of(model: nn.Module, names: dict[str, str] | None = None) -> list[tuple]:
    return [
        ((names or {}).get(name, name), (tensor.shape, tensor.dtype))
        for name, tensor in model.state_dict().items()
        if not name.rpartition(".")[2].startswith(COMPUTED)
    ]


def copy_tables(network: nn.Module, ours: nn.Module, names: dict[str, str]) -> None:
    """Those buffers of a blank network that hold numbers although no weights were drawn, into our model's."""
    tables = {name: buffer for name, buffer in network.named_buffers() if not buffer.is_meta}
    for name, buffer in ours.named_buffers():
        if names.get(name) in tables:
            buffer.copy_(tables[names[name]])


def pictures(arch: str) -> int:
    return SIZES.get(arch, 65)


def modules_of(model: nn.Module) -> list[tuple]:
    """Name, class and settings of every module; our range layer prints its range, the script's does not."""
    return [
        (name, type(module).__name__, "" if type(module).__name__ == "SigmoidRange" else module.extra_repr())
        for name, module in model.named_modules(remove_duplicate=False)
    ]


def draw_weights(model: nn.Module) -> None:
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            tensor.zero_()
        elif tensor.ndim > 1:
            tensor.uniform_(-1, 1).mul_((6 / tensor[0].numel()) ** 0.5)
        elif tensor.ndim:
            tensor.uniform_(0, 0.1) if name.endswith("bias") else tensor.uniform_(0.5, 1)


@pytest.mark.parametrize("arch", ARCHS)
def test_the_script_builds_the_described_model(arch: str):
    assert_same_model(ClassifierSpec(BodySpec(arch, "random", size=pictures(arch)), FASTAI_HEAD, 5))


def test_every_family_is_tried():
    assert {get_arch(arch).family for arch in ARCHS} == {get_arch(arch).family for arch in list_archs()}


@pytest.mark.parametrize(
    ("arch", "cut"),
    [
        ("resnet18", "layer2.0"),
        ("squeezenet1_1", 1),
        ("densenet121", "features.denseblock1"),
        ("alexnet", "features.4"),
    ],
)
def test_the_script_cuts_where_the_spec_cuts(arch: str, cut: int | str):
    spec = ClassifierSpec(BodySpec(arch, "random", cut, size=65), n_out=3)
    assert trace(spec).body_code
    assert_same_model(spec)


@pytest.mark.parametrize("arch", ["resnet18", "swin_t"])
def test_the_script_runs_on_a_rectangle(arch: str):
    spec = ClassifierSpec(BodySpec(arch, "random", size=(65, 97)), n_out=3)
    assert "torch.rand(1, 3, 65, 97)" in script(spec, trace(spec))
    assert_same_model(spec)


@pytest.mark.parametrize(("arch", "cut"), INSIDE)
def test_the_script_cuts_in_the_graph(arch: str, cut: str):
    spec = ClassifierSpec(BodySpec(arch, "random", cut, size=pictures(arch)), HeadSpec(lin_ftrs=()), 3)
    assert not trace(spec).body_code
    assert_same_model(spec)


@pytest.mark.parametrize(
    ("arch", "cut", "n_in"),
    [("resnet18", None, 1), ("squeezenet1_1", None, 2), ("resnet18", "layer1.0.add", 5)],
)
def test_the_script_starts_from_the_same_random_weights(arch: str, cut: str | None, n_in: int):
    """With one seed both draw the same numbers: the head starts as fastai's, and nothing else is drawn."""
    spec = ClassifierSpec(BodySpec(arch, "random", cut, 65, n_in), FASTAI_HEAD, 4)
    torch.manual_seed(3)
    ours = build_model(spec).model
    torch.manual_seed(3)
    theirs = run(script(spec, trace(spec)))["model"].state_dict()
    here = names_in_script(spec, ours)
    assert all(torch.equal(tensor, theirs[here[name]]) for name, tensor in ours.state_dict().items())


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
    cut = draw(st.sampled_from([None, *(cut.name for cut in legal_cuts(arch))]))
    return ClassifierSpec(BodySpec(arch, None, cut, 65, draw(st.integers(1, 5))), head, draw(st.integers(1, 50)))


@settings(max_examples=12, deadline=None)
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


@pytest.mark.parametrize("arch", ARCHS)
def test_imagenet_weights_are_the_entry_that_the_model_gets(arch: str):
    spec = ClassifierSpec(BodySpec(arch, size=pictures(arch)), FASTAI_HEAD, 5)
    entry = torchvision.models.get_weight(f"{trace(spec).weights_enum}.{trace(spec).weights_entry}")
    assert entry is weights_entry(arch)
    assert f"network = {arch}(weights={entry})" in script(spec, trace(spec)).splitlines()


def test_a_vision_transformer_for_224_pixels_gets_weights_for_224_pixels():
    spec = ClassifierSpec(BodySpec("vit_h_14", size=224), FASTAI_HEAD, 5)
    entry = "ViT_H_14_Weights.IMAGENET1K_SWAG_LINEAR_V1"
    assert f"network = vit_h_14(weights={entry})" in script(spec, trace(spec)).splitlines()


def test_a_graph_is_cut_behind_no_second_normalisation():
    """With its weights torchvision's googlenet turns the input, which our pictures have behind them."""
    spec = ClassifierSpec(BodySpec("googlenet", "imagenet", "conv1.conv"))
    assert "\nnetwork.transform_input = False" in script(spec, trace(spec))


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
    theirs = run(script(spec, trace(spec)))["body"].state_dict()
    drawn = {"0.0.bias"} if n_in != 3 else set()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if name not in drawn)


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("n_in", [3, 4])
@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("cut", ["features.9", "features.9.squeeze"])
def test_a_weights_file_is_loaded(ending: str, n_in: int, whole: bool, cut: str, tmp_path: Path):
    """Of the whole model as it was saved, and of the network it was cut from."""
    random = ClassifierSpec(BodySpec("squeezenet1_1", "random", cut, n_in=n_in if whole else 3, size=65), n_out=4)
    state = build_model(random).model.state_dict() if whole else torchvision.models.squeezenet1_1().state_dict()
    path = tmp_path / f'odd "name" \\ of.{ending}'
    torch.save(state, path) if ending == "pth" else safetensors.torch.save_file(state, path)
    spec = replace(random, body=replace(random.body, weights=str(path), n_in=n_in))
    ours, theirs = build_model(spec).model, run(script(spec, trace(spec)))["model"].state_dict()
    drawn = {"0.0.0.bias"} if n_in != 3 and not whole else set()
    here = names_in_script(spec, ours)
    for name, tensor in ours.state_dict().items():
        if whole or (name.startswith("0.") and name not in drawn):
            assert torch.equal(tensor, theirs[here[name]]), name


def test_a_model_that_cannot_run_is_written_with_the_reason():
    spec = ClassifierSpec(BodySpec("alexnet", "random", size=40), n_out=2)
    code = script(spec, trace(spec))
    assert "It cannot run as it is: features.12" in code
    assert_same_model(spec, size=65)


@pytest.mark.parametrize(
    ("body", "pool", "reason"),
    [
        (BodySpec(), "concat", ""),
        (BodySpec(), "max", "maximum alone"),
        (BodySpec("resnet18", cut="layer1.0.add", size=65), "concat", "this cut lies inside one"),
        (BodySpec("maxvit_t", size=224), "concat", "a forward of its own"),
        (BodySpec("vit_b_32", size=224), "concat", "tokens have to be folded"),
        (BodySpec("swin_t", cut="features.1", size=65), "concat", "has to be turned round"),
        (BodySpec("mobilenet_v2", size=65), "concat", "cannot load IMAGENET1K_V2"),
        (BodySpec("mobilenet_v2", "random", size=65), "concat", ""),
    ],
    ids=lambda value: value.arch if isinstance(value, BodySpec) else "",
)
def test_what_fastai_cannot_build_has_a_reason(body: BodySpec, pool: str, reason: str):
    spec = ClassifierSpec(body, HeadSpec(pool=pool))
    assert reason in why_no_fastai(spec, trace(spec))
    assert bool(reason) == bool(why_no_fastai(spec, trace(spec)))


def test_the_chapters_model_reads_as_in_the_golden_file():
    golden = Path(__file__).parent.parent / "golden" / "source_resnet34.py.txt"
    assert script(ClassifierSpec(), trace(ClassifierSpec())) == golden.read_text()
