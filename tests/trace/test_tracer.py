"""The trace against real forwards, parameter sums, torchinfo, and against itself."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from explorer.models import bodies
from explorer.models.archs import weights_entry
from explorer.models.bodies import legal_cuts, list_archs
from explorer.models.build import build_model
from explorer.models.meta import Blank
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec, SpecError
from explorer.trace import tracer
from explorer.trace.records import EARLY, HEAD, LATE, add_up
from explorer.trace.summary import statistics
from explorer.trace.tracer import trace

SIZE = 65
TOTALS = {
    "resnet18": 11_722_816, "resnet34": 21_830_976, "resnet50": 25_633_344, "resnet101": 44_625_472,
    "resnet152": 60_269_120, "squeezenet1_0": 1_281_728, "squeezenet1_1": 1_268_800, "densenet121": 8_026_496,
    "densenet161": 28_761_792, "densenet169": 14_215_040, "densenet201": 20_086_656, "vgg11_bn": 9_772_288,
    "vgg13_bn": 9_957_184, "vgg16_bn": 15_269_440, "vgg19_bn": 20_581_696, "alexnet": 2_752_832,
}  # fmt: skip
GROUPS = {
    "resnet34": (1_347_904, 19_936_768, 546_304),
    "squeezenet1_1": (25_632, 696_864, 546_304),
    "densenet121": (1_297_536, 5_656_320, 1_072_640),
    "vgg13_bn": (2_327_360, 7_083_520, 546_304),
    "alexnet": (330_688, 2_139_008, 283_136),
}
HEADS = {
    HeadSpec(): 546_304,
    HeadSpec(lin_ftrs=(256, 128)): 302_464,
    HeadSpec(lin_ftrs=()): 39_936,
    HeadSpec(bn_final=True): 546_378,
    HeadSpec(lin_first=True): 544_293,
    HeadSpec(lin_first=True, first_bn=False): 543_781,
    HeadSpec(pool="avg"): 283_136,
    HeadSpec(pool=None): 283_136,
    HeadSpec(first_bn=False): 544_768,
}
FAMILIES = (
    "resnext50_32x4d", "vgg11", "googlenet", "inception_v3", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x0_5",
    "mnasnet0_5", "efficientnet_b0", "regnet_y_400mf", "convnext_tiny", "vit_b_32", "swin_t", "swin_v2_t", "maxvit_t",
)  # fmt: skip
ARCHS = ("resnet18", "squeezenet1_1", "densenet121", "vgg11_bn", "alexnet", *FAMILIES)  # one of each kind
FIXED = ("vit_b_32", "maxvit_t")  # they take pictures of 224 px
SMALLEST = {"alexnet": 63, "vgg11_bn": 32, "vgg19_bn": 32, "squeezenet1_0": 21, "squeezenet1_1": 17, "densenet121": 29}


def spec_of(arch: str = "resnet18", size: int = SIZE, head: HeadSpec | None = None, **body) -> ClassifierSpec:
    return ClassifierSpec(BodySpec(arch, weights="random", size=size, **body), head or HeadSpec())


def shapes_of_a_real_run(model: nn.Module, size: int, n_in: int = 3) -> dict[str, tuple]:
    """(input, output) by name from hooks on a forward of real numbers; a module used twice gives its calls in order."""
    names: dict[nn.Module, list[str]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        names.setdefault(module, []).append(name)
    calls: dict[nn.Module, list[tuple]] = {module: [] for module in names}

    def note(module: nn.Module, args: tuple, out: torch.Tensor | tuple) -> None:
        given = torch.cat(args[0], 1) if isinstance(args[0], list) else args[0]
        out = out[0] if isinstance(out, tuple) else out
        calls[module].append((tuple(given.shape[1:]), tuple(out.shape[1:])))

    for module in names:
        module.register_forward_hook(note)
    with torch.no_grad():
        model.eval()(torch.rand(2, n_in, size, size))
    return {
        name: calls[module][i] if len(own) > 1 else calls[module][-1]
        for module, own in names.items()
        for i, name in enumerate(own)
        if name and calls[module]
    }


@pytest.mark.parametrize("arch", ARCHS)
def test_rows_have_the_shapes_and_parameters_of_a_real_forward(arch: str):
    size = 224 if arch in FIXED else 96 if arch == "inception_v3" else SIZE
    spec = spec_of(arch, size, head=HeadSpec(lin_ftrs=(24, 16)))
    model = build_model(spec).model
    layers = trace(spec).layers
    shapes = shapes_of_a_real_run(model, size)
    assert [layer.qual for layer in layers] == [n for n, _ in model.named_modules(remove_duplicate=False) if n]
    found = {layer.qual: (layer.in_shape, layer.out_shape) for layer in layers}
    assert {qual: found[qual] for qual in shapes} == shapes
    for qual in found.keys() - shapes.keys():  # modules that functions use, or nothing: see the next test
        assert found[qual][0] is None or isinstance(model.get_submodule(qual), nn.Linear)
    for layer in layers:
        module = model.get_submodule(layer.qual)
        assert layer.cls == type(module).__name__
        assert layer.params == sum(p.numel() for p in module.parameters(recurse=False))
        assert layer.container == (len(list(module.children())) > 0)


def test_linear_layers_whose_weights_a_function_takes_count_as_run():
    """swin's attention is one function, vit's out_proj is used inside another: 197 tokens of 768, 64 windows of 49."""
    rows = {row.qual: row for row in trace(spec_of("vit_b_16", 224)).layers}
    attention = rows["0.0.encoder.layers.encoder_layer_0.self_attention"]
    out = rows["0.0.encoder.layers.encoder_layer_0.self_attention.out_proj"]
    assert (out.in_shape, out.out_shape, out.macs) == ((197, 768), (197, 768), 197 * 768 * 768)
    assert attention.macs == 197 * 768 * 3 * 768 + 2 * 197 * 197 * 768
    rows = {row.qual: row for row in trace(spec_of("swin_t", 224)).layers}
    qkv, attention = rows["0.0.1.0.attn.qkv"], rows["0.0.1.0.attn"]
    assert (qkv.in_shape, qkv.out_shape) == ((64, 49, 96), (64, 49, 288))
    assert (qkv.macs, attention.macs) == (64 * 49 * 96 * 288, 2 * 64 * 49 * 49 * 96)


@pytest.mark.parametrize("arch", list_archs())
def test_macs_are_the_published_ones(arch: str):
    """torchvision publishes them in 10⁹ to three digits, at the size of its weights and with its classifier."""
    entry = weights_entry(arch)
    found = trace(spec_of(arch, entry.transforms().crop_size[0]))
    assert found.failure is None
    total = sum(row.macs for row in found.layers if row.qual.startswith("0"))
    if not arch.startswith("squeezenet"):  # whose classifier is a convolution on 13×13 px
        total += sum(part.params for part in found.dropped if "aux" not in part.name.lower())
        assert total == pytest.approx(entry.meta["_ops"] * 1e9, rel=0.01, abs=6e5)


@pytest.mark.parametrize("arch", TOTALS)
def test_parameters_add_up_to_the_published_totals(arch: str):
    """fastai facts A.1, for 37 outputs."""
    assert trace(spec_of(arch, 224)).totals.params == TOTALS[arch]


@pytest.mark.parametrize(("head", "params"), HEADS.items())
def test_head_parameters_are_fastais(head: HeadSpec, params: int):
    """fastai facts B.4."""
    rows = trace(spec_of("resnet34", 224, head)).layers
    assert sum(row.params for row in rows if row.group == HEAD) == params


@pytest.mark.parametrize(("arch", "params"), GROUPS.items())
def test_groups_are_fastais(arch: str, params: tuple[int, ...]):
    """fastai facts A.1."""
    rows = trace(spec_of(arch, 224)).layers
    assert tuple(sum(row.params for row in rows if row.group == group) for group in (EARLY, LATE, HEAD)) == params


@pytest.mark.parametrize("arch", ARCHS)
def test_every_parameter_is_in_the_group_that_training_uses(arch: str):
    for cut in legal_cuts(arch)[:: max(1, len(legal_cuts(arch)) // 4)]:
        spec = spec_of(arch, 224, cut=cut.name)
        group_of = {layer.qual: layer.group for layer in trace(spec).layers}
        with Blank():
            groups = build_model(spec).groups
        for group in groups:
            assert {group_of[name.rpartition(".")[0]] for name in group.params} == {group.name}


def test_containers_that_span_groups_are_mixed():
    group = {layer.qual: layer.group for layer in trace(spec_of("resnet18", 224)).layers}
    assert (group["0"], group["0.3"], group["0.5"], group["0.6"], group["1"]) == ("mixed", EARLY, EARLY, LATE, HEAD)
    group = {layer.qual: layer.group for layer in trace(spec_of("vgg16_bn", 224)).layers}
    assert (group["0.0"], group["0.0.21"], group["0.0.22"]) == ("mixed", EARLY, LATE)
    group = {layer.qual: layer.group for layer in trace(spec_of("vgg16_bn", 224, cut="features.5")).layers}
    assert (group["0"], group["0.0"]) == (EARLY, EARLY)


@pytest.mark.parametrize("arch", ["resnet18", "resnet50", "squeezenet1_0", "densenet121", "vgg11_bn", "alexnet"])
def test_macs_and_parameters_are_torchinfos_after_its_extra_terms(arch: str):
    """torchinfo counts a conv's bias at each output pixel, a linear layer's bias, and a norm's weights and biases."""
    spec = spec_of(arch, 224, HeadSpec(lin_ftrs=(64, 32), lin_first=True, bn_final=True))
    with torch.device("meta"):
        model = build_model(spec).model
    found, theirs = trace(spec), statistics(spec)
    extra = 0
    for layer in found.layers:
        module = model.get_submodule(layer.qual)
        bias = getattr(module, "bias", None)
        if isinstance(module, nn.Conv2d) and bias is not None:
            extra += bias.numel() * layer.out_shape[1] * layer.out_shape[2]
        elif isinstance(module, nn.Linear) and bias is not None:
            extra += bias.numel()
        elif layer.norm:
            extra += layer.params
    assert theirs.total_params == found.totals.params
    assert theirs.total_mult_adds == found.totals.macs + extra


def test_macs_of_resnet50_are_the_published_ones():
    """torchvision publishes 4.089 G multiply-accumulates with its classifier of 2048 × 1000."""
    body = sum(layer.macs for layer in trace(spec_of("resnet50", 224)).layers if layer.group != HEAD)
    assert body + 2048 * 1000 == pytest.approx(4.089e9, rel=1e-3)


@pytest.mark.parametrize("arch", ["resnet50", "densenet121", "squeezenet1_1"])
def test_activation_bytes_are_those_of_a_real_forward(arch: str):
    spec = spec_of(arch)
    model = build_model(spec).model.eval()
    seen = []
    for module in model.modules():
        if not any(True for _ in module.children()):
            module.register_forward_hook(lambda _, args, out: seen.append(out[0].nelement() * out.element_size()))
    with torch.no_grad():
        model(torch.rand(1, 3, SIZE, SIZE))
    assert trace(spec).totals.activation_bytes == sum(seen)


def test_a_shared_module_has_a_row_for_each_name():
    rows = {row.qual: row for row in trace(spec_of("resnet18", head=HeadSpec(lin_ftrs=(24, 16)))).layers}
    relus = [row for row in rows.values() if row.group == HEAD and row.cls == "ReLU"]
    assert [row.out_shape for row in relus] == [(24,), (16,)]
    assert rows["1.5"].code == rows["1.9"].code == "nn.ReLU(inplace=True)"


def test_names_are_the_architectures_own():
    rows = {row.qual: row for row in trace(spec_of("resnet18")).layers}
    assert (rows["0"].name, rows["1"].name, rows["0.4"].name, rows["0.4.0.conv1"].name) == (
        "body", "head", "layer1", "conv1",
    )  # fmt: skip
    assert [rows[qual].depth for qual in ("0", "0.4", "0.4.0.conv1", "1.2")] == [0, 1, 3, 1]


def test_what_the_cut_drops_is_told():
    found = trace(spec_of("resnet34", cut="layer3"))
    assert [part.name for part in found.dropped] == ["layer4", "avgpool", "fc"]
    assert found.dropped[-1].params == 513_000
    assert found.in_shape == (3, SIZE, SIZE) and found.out_shape == (37,)


@pytest.mark.parametrize(("arch", "size"), SMALLEST.items())
def test_a_picture_too_small_names_the_layer_and_the_size_that_would_do(arch: str, size: int):
    failed = trace(spec_of(arch, size - 1))
    failure = failed.failure
    assert (failure.fix.field, failure.fix.value) == ("body.size", size)
    assert failure.name in failure.reason and f"{size} px" in failure.reason
    assert failure.cls in ("Conv2d", "MaxPool2d", "AvgPool2d")
    assert trace(spec_of(arch, size)).failure is None


@pytest.mark.parametrize(("arch", "size"), [("vit_b_16", 192), ("vit_b_32", 256), ("maxvit_t", 225), ("maxvit_t", 64)])
def test_a_network_made_for_one_size_says_so_and_offers_it(arch: str, size: int):
    failure = trace(spec_of(arch, size)).failure
    assert "to 224 px, which it was made for" in failure.reason and f"picture of {size}×{size} px" in failure.reason
    assert "Proxy" not in failure.reason and "or more" not in failure.reason
    assert (failure.fix.field, failure.fix.value) == ("body.size", 224)
    assert trace(spec_of(arch, 224)).failure is None


@pytest.mark.parametrize(("size", "cells"), [((17, 301), (1, 10)), ((97, 131), (4, 5)), ((301, 17), (10, 1))])
def test_a_rectangle_is_described_as_it_is(size: tuple[int, int], cells: tuple[int, int]):
    found = trace(spec_of("resnet34", size))
    assert (found.failure, found.in_shape, found.out_shape) == (None, (3, *size), (37,))
    assert next(row for row in found.layers if row.qual == "0").out_shape == (512, *cells)


@pytest.mark.parametrize(
    ("arch", "size", "side"),
    [("vit_b_16", (97, 131), 224), ("maxvit_t", (97, 131), 224), ("vit_b_16", (224, 131), 224),
     ("maxvit_t", (448, 224), 224), ("alexnet", (17, 301), 63), ("alexnet", (301, 17), 63),
     ("vgg16_bn", (17, 301), 32), ("densenet121", (17, 301), 29)],
)  # fmt: skip
def test_a_rectangle_that_cannot_run_names_both_sides_and_a_square_that_can(
    arch: str, size: tuple[int, int], side: int
):
    failure = trace(spec_of(arch, size)).failure
    assert f"picture of {size[0]}×{size[1]} px" in failure.reason and f"set the size to {side} px" in failure.reason
    assert (failure.fix.label, failure.fix.value) == (f"Set the size to {side} px", side)
    assert trace(spec_of(arch, side)).failure is None


@pytest.mark.parametrize("arch", FAMILIES)
def test_no_size_makes_a_description_raise(arch: str):
    for size in (17, 33, 301, 2048, (17, 301), (301, 17), (97, 131), (1, 1024)):
        found = trace(spec_of(arch, size))
        failure = found.failure
        if failure is None:
            assert found.out_shape == (37,)
            continue
        assert failure.reason.endswith(".") and "Error" not in failure.reason
        assert trace(spec_of(arch, failure.fix.value)).failure is None


@pytest.mark.parametrize("arch", ["resnet18", "squeezenet1_0", "squeezenet1_1", "densenet121", "vgg13_bn", "alexnet"])
def test_the_sizes_that_fail_are_those_that_fail_in_earnest(arch: str):
    """At the size the fix names a real forward works, one pixel below it raises."""
    failure = trace(spec_of(arch, 1)).failure
    if failure is None:
        build_model(spec_of(arch, 1)).model.eval()(torch.rand(1, 3, 1, 1))
        return
    model = build_model(spec_of(arch)).model.eval()
    smallest = failure.fix.value
    with torch.no_grad():
        model(torch.rand(1, 3, smallest, smallest))
        with pytest.raises(RuntimeError):
            model(torch.rand(1, 3, smallest - 1, smallest - 1))


def test_a_partial_trace_keeps_rows_and_parameters_and_shapes_up_to_the_failure():
    failed, whole = trace(spec_of("vgg11_bn", 20)), trace(spec_of("vgg11_bn", 64))
    assert [row.qual for row in failed.layers] == [row.qual for row in whole.layers]
    assert failed.totals.params == whole.totals.params
    assert failed.out_shape is None
    broken = [row.qual for row in failed.layers].index(failed.failure.qual)
    leaves = [row for row in failed.layers if not row.container]
    at = [row.qual for row in leaves].index(failed.failure.qual)
    assert all(row.out_shape for row in leaves[:at])
    assert failed.layers[broken].in_shape and failed.layers[broken].out_shape is None
    assert all(row.in_shape is None and row.out_shape is None for row in leaves[at + 1 :])
    assert all(row.macs == 0 and row.activation_bytes == 0 for row in leaves[at:])
    assert all(word not in failed.failure.reason for word in ("Error", "Traceback", "\n"))


@pytest.mark.parametrize("first_bn", [True, False])
def test_a_head_without_pooling_asks_for_one(first_bn: bool):
    failed = trace(spec_of("resnet18", 224, HeadSpec(pool=None, first_bn=first_bn)))
    assert failed.failure.got == "512×7×7"
    assert failed.failure.qual.startswith("1.")
    assert (failed.failure.fix.field, failed.failure.fix.value) == ("head.pool", "concat")
    assert {row.qual: row for row in failed.layers}["0"].out_shape == (512, 7, 7)


def test_a_head_that_runs_on_maps_by_accident_is_no_classifier():
    """64 channels on 64×64: a lone linear layer takes each row of the map for its 64 features."""
    head = HeadSpec(pool=None, lin_ftrs=(), first_bn=False)
    failed = trace(spec_of("resnet18", 256, head, cut="maxpool"))
    assert failed.failure is not None and failed.failure.fix.field == "head.pool"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (BodySpec("resnt34"), "body.arch"),
        (BodySpec("resnet34", cut=0), "body.cut"),
        (BodySpec("resnet34", cut=99), "body.cut"),
        (BodySpec("resnet34", cut="nowhere"), "body.cut"),
    ],
)
def test_what_cannot_be_built_is_refused_at_its_field(body: BodySpec, field: str):
    with pytest.raises(SpecError) as caught:
        trace(ClassifierSpec(body))
    assert caught.value.field == field
    assert str(caught.value).endswith(".")


def test_a_change_of_the_head_does_not_run_the_body_again(monkeypatch: pytest.MonkeyPatch):
    built = []
    real = tracer.watch
    monkeypatch.setattr(tracer, "watch", lambda *args: built.append(args[1]) or real(*args))
    tracer.trace_head.cache_clear()
    tracer.trace_body.cache_clear()
    tracer._trace.cache_clear()
    spec = spec_of("resnet18", 71)
    trace(spec)
    trace(replace(spec, head=HeadSpec(ps=0.125)))
    trace(replace(spec, n_out=3))
    trace(replace(spec, body=replace(spec.body, weights="imagenet")))
    assert [shape for shape in built if len(shape) == 3 and shape[0] == 3] == [(3, 71, 71)]
    assert trace(spec) is trace(spec)
    trace(replace(spec, body=replace(spec.body, size=72)))
    assert (3, 72, 72) in built


@pytest.mark.parametrize("arch", ["resnet18", "swin_t", "vit_b_16", "densenet121"])
def test_another_size_cut_or_channel_count_does_not_build_the_network_again(arch: str, monkeypatch: pytest.MonkeyPatch):
    spec = spec_of(arch, 224)
    trace(spec)
    first = trace(replace(spec, body=replace(spec.body, n_in=4)))
    monkeypatch.setattr(bodies, "build_original", lambda *args: pytest.fail("the network was built again"))
    found = trace(replace(spec, body=replace(spec.body, size=192)))
    assert found.in_shape == (3, 192, 192)
    for cut in legal_cuts(arch)[3::9]:
        for n_in in (1, 2, 3, 12):
            found = trace(replace(spec, body=replace(spec.body, cut=cut.name, n_in=n_in)))
            assert found.failure is None and found.in_shape == (n_in, 224, 224)
    tracer.trace_body.cache_clear()
    tracer._trace.cache_clear()
    assert trace(spec).in_shape[0] == 3 and first.in_shape[0] == 4
    assert trace(spec).failure is None and trace(replace(spec, body=replace(spec.body, n_in=4))) == first


@pytest.mark.parametrize("arch", FAMILIES)
def test_the_split_is_the_same_from_the_run_at_hand(arch: str):
    parts = tracer.blank_body(arch, None, 3)
    names = tracer.own_names(parts.body, parts.names)
    if not tracer.get_arch(arch).split:
        run = tracer.watch(parts.body, (3, 224, 224))
        assert tracer.find_split(parts.body, names, run.outputs) == tracer.split_of(arch)


def test_tracing_needs_no_real_tensor(monkeypatch: pytest.MonkeyPatch):
    """resnet152 without a byte of weights: every parameter that is made stands on the meta device."""
    made = []
    real = nn.Parameter.__new__
    monkeypatch.setattr(nn.Parameter, "__new__", lambda cls, data=None, *a: made.append(data) or real(cls, data, *a))
    bodies._original_on_meta.cache_clear()
    bodies.blank_parts.cache_clear()
    tracer.blank_body("resnet152", None, 4)
    tracer.blank_head(HeadSpec(), 2048, 37)
    assert len(made) > 400 and all(data.is_meta for data in made)


def test_threads_find_what_one_thread_finds():
    specs = [
        spec_of(arch, size, HeadSpec(lin_ftrs=(width,)))
        for arch in ("resnet18", "squeezenet1_1", "alexnet")
        for size in (30, 67, 96, 128)
        for width in (8, 9)
    ] * 3
    random.Random(0).shuffle(specs)
    for cached in (tracer._trace, tracer.trace_body, tracer.trace_head, bodies.blank_parts, bodies._original_on_meta):
        cached.cache_clear()
    with ThreadPoolExecutor(12) as pool:
        found = list(pool.map(trace, specs))
    for cached in (tracer._trace, tracer.trace_body, tracer.trace_head):
        cached.cache_clear()
    assert found == [trace(spec) for spec in specs]
    assert torch.empty(1).device.type == "cpu"
    assert torch.nn.Linear(2, 2).weight.device.type == "cpu"
    assert torch.utils._device.CURRENT_DEVICE is None


@st.composite
def specs(draw: st.DrawFn) -> ClassifierSpec:
    arch = draw(
        st.sampled_from(("resnet18", "squeezenet1_1", "densenet121", "vgg11_bn", "alexnet", "vit_b_32", "swin_t"))
    )
    cut = draw(st.one_of(st.none(), st.sampled_from([cut.name for cut in legal_cuts(arch)])))
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
        y_range=draw(st.sampled_from((None, (0, 5.5)))),
    )
    body = BodySpec(arch, "random", cut, size=draw(st.integers(1, 160)), n_in=draw(st.integers(1, 6)))
    return ClassifierSpec(body, head, draw(st.integers(1, 200)))


@settings(max_examples=60, deadline=None)
@given(specs())
def test_any_valid_spec_is_described(spec: ClassifierSpec):
    found = trace(spec)
    assert found.totals == add_up(found.layers)
    assert (found.failure is None) == (found.out_shape == (spec.n_out,))
    assert len({layer.qual for layer in found.layers}) == len(found.layers)
    if spec.head.pool is None:
        assert found.failure is not None
    if found.failure:
        assert found.failure.reason.endswith(".") and "\n" not in found.failure.reason
        assert found.failure.qual in {layer.qual for layer in found.layers}
    if found.failure and found.failure.fix and found.failure.fix.field == "body.size":
        mended = trace(replace(spec, body=replace(spec.body, size=found.failure.fix.value)))
        assert mended.failure is None or mended.failure.qual.startswith("1")
