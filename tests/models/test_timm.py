"""timm's architectures: cut, grouped, described like torchvision's; and what is said where timm is not installed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from socket import socket

import pytest
import torch
from torch import Tensor, nn

from explorer.models import timm_archs
from explorer.models.archs import HALF, IMAGENET_MEAN, IMAGENET_STD, get_arch, is_arch, list_archs, list_choices
from explorer.models.bodies import build_original, create_body, legal_cuts, read_graph, resolve_cut, take_apart
from explorer.models.build import build_model
from explorer.models.graphs import MAP_LAST, TOKENS
from explorer.models.groups import split_of
from explorer.models.weights import FOLDER, WeightsUnavailable, describe_imagenet, fetch, read_file
from explorer.spec import BodySpec, ClassifierSpec, SpecError
from explorer.trace.tracer import trace
from explorer.ui.read import read

needs_timm = pytest.mark.skipif(not timm_archs.installed(), reason="needs timm, an extra: pip install timm")

SPLITS = {
    "timm:resnet18": "layer3",
    "timm:resnet10t": "layer3",
    "timm:mobilenetv3_small_050": "blocks.2",
    "timm:convnext_atto": "stages.2",
    "timm:regnetx_002": "s3",
    "timm:efficientnet_lite0": "blocks.3",
    "timm:vit_tiny_patch16_224": "blocks.6",
    "timm:swin_tiny_patch4_window7_224": "layers.2",
}
AT_STAGES = ("timm:tnt_s_patch16_224", "timm:pit_ti_224", "timm:levit_128s")  # not cut in their graph


def spec_of(name: str, **body) -> ClassifierSpec:
    return ClassifierSpec(body=BodySpec(arch=name, **{"weights": "random", **body}))


@pytest.fixture
def without_timm(monkeypatch) -> Iterator[None]:
    monkeypatch.setattr(timm_archs, "installed", lambda: False)
    monkeypatch.setitem(sys.modules, "timm", None)
    return


def as_map(out: Tensor, layout: str, grid: tuple[int, int], extra: int) -> Tensor:
    """What timm gives as the body has to give it, written out plainly."""
    if layout == MAP_LAST:
        return out.movedim(3, 1)
    if layout == TOKENS:
        return out[:, extra:].unflatten(1, grid).movedim(3, 1)
    return out


# ---- without timm ----


def test_without_timm_a_body_of_timms_is_refused_with_what_to_install(without_timm):
    with pytest.raises(ValueError, match="^The body 'timm:resnet50d' needs timm: run pip install timm"):
        get_arch("timm:resnet50d")
    with pytest.raises(SpecError, match="needs timm") as refused:
        trace(spec_of("timm:resnet50d"))
    assert refused.value.field == "body.arch"


def test_without_timm_the_page_says_so_at_the_body(without_timm):
    assert "needs timm" in read({"arch": "timm:resnet50d"}, lambda path: False).problems["body.arch"]


def test_without_timm_nothing_is_offered_even_if_switched_on(without_timm, monkeypatch):
    monkeypatch.setenv(timm_archs.SWITCH, "1")
    assert list_choices() == list_archs()


# ---- names ----


@needs_timm
def test_timms_names_are_offered_only_where_they_are_switched_on(monkeypatch):
    monkeypatch.delenv(timm_archs.SWITCH, raising=False)
    assert list_choices() == list_archs()
    monkeypatch.setenv(timm_archs.SWITCH, "1")
    assert len(list_choices()) > len(list_archs()) + 500
    assert "timm:resnet18" in list_choices()
    assert not any(name.startswith("timm:") for name in list_archs())


@needs_timm
@pytest.mark.parametrize("name", ["timm:resnet18", "timm:resnet18.a1_in1k"])
def test_a_name_is_known_with_and_without_the_tag_of_its_weights(name):
    assert is_arch(name)


@needs_timm
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm:resnet18x", "choose timm:resnet18"),
        ("timm:resnet18.nosuch", "timm has no weights 'nosuch' of resnet18: choose "),
        ("timm:hf-hub:someone/network", "timm has no architecture"),
        ("timm:local-dir:/etc", "timm has no architecture"),
        ("timm:", "timm has no architecture"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name, said):
    with pytest.raises(ValueError, match=said):
        get_arch(name)


@needs_timm
def test_statistics_are_those_of_the_weights():
    assert (get_arch("timm:resnet18").mean, get_arch("timm:resnet18").std) == (IMAGENET_MEAN, IMAGENET_STD)
    assert (get_arch("timm:vit_tiny_patch16_224").mean, get_arch("timm:vit_tiny_patch16_224").std) == (HALF, HALF)


# ---- bodies ----


@needs_timm
@pytest.mark.parametrize("name", [*SPLITS, *AT_STAGES])
def test_a_body_gives_what_timms_forward_features_gives_to_the_last_bit(name):
    torch.manual_seed(0)
    network = build_original(name).eval()
    place = read_graph(name).features[-1]
    assert read_graph(name).traced == (name not in AT_STAGES)
    x = torch.rand(2, 3, 224, 224) - 0.5
    with torch.no_grad():
        features = network.forward_features(x)
        if not isinstance(features, Tensor) or features.ndim == 3 and features.shape[1] == 1:
            features = network.forward_intermediates(x, intermediates_only=True)[-1]
        out = take_apart(network, None, name).body.eval()(x)
    extra = getattr(network, "num_prefix_tokens", features.shape[1] - place.grid[0] * place.grid[1])
    assert out.shape[1:] == resolve_cut(name).out_shape
    assert out.isfinite().all() and out.std() > 0
    assert torch.equal(out, as_map(features, place.layout, place.grid, extra))


@needs_timm
@pytest.mark.parametrize("name", ["timm:resnet10t", "timm:vit_tiny_patch16_224", "timm:levit_128s"])
def test_a_body_cut_in_the_middle_gives_that_modules_output_to_the_last_bit(name):
    network = build_original(name).eval()
    wanted = {"timm:resnet10t": "layer2", "timm:vit_tiny_patch16_224": "blocks.5", "timm:levit_128s": "stages.1"}[name]
    place = next(place for place in read_graph(name).features if place.name == wanted)
    found = []
    hook = network.get_submodule(wanted).register_forward_hook(lambda module, args, out: found.append(out))
    x = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        network.forward_features(x)
        hook.remove()
        body = take_apart(network, wanted, name).body.eval()
        out = body(x)
    expected = found[0]
    if expected.ndim == 3:
        expected = expected[:, -place.grid[0] * place.grid[1] :].unflatten(1, place.grid).movedim(3, 1)
    assert torch.equal(out, expected)
    assert sum(p.numel() for p in body.parameters()) == place.params < sum(p.numel() for p in network.parameters())


@needs_timm
@pytest.mark.parametrize("name", [*SPLITS, *AT_STAGES])
def test_there_are_three_places_to_cut_and_the_body_trains_in_three_groups(name):
    assert len(legal_cuts(name)) >= 3
    built = build_model(spec_of(name))
    assert [group.name for group in built.groups] == ["body-early", "body-late", "head"]
    if name in SPLITS:
        assert split_of(name) == (SPLITS[name],)


@needs_timm
@pytest.mark.parametrize("name", ["timm:resnet18", "timm:vit_tiny_patch16_224", "timm:tnt_s_patch16_224"])
def test_a_description_names_what_falls_away_and_the_models_own_parameters(name):
    described = trace(spec_of(name))
    assert described.failure is None
    assert described.layers[0].out_shape == resolve_cut(name).out_shape
    assert described.totals.params == sum(p.numel() for p in build_model(spec_of(name)).model.parameters())
    assert {"fc", "head"} & {part.name for part in described.dropped}


@needs_timm
@pytest.mark.parametrize("n_in", [1, 2, 4, 12])
def test_other_channels_go_in_where_timm_adapts_the_first_layer(n_in):
    body = create_body("timm:resnet10t", n_in=n_in).eval()
    assert body(torch.rand(1, n_in, 64, 64)).shape == (1, 512, 2, 2)
    assert trace(spec_of("timm:resnet10t", n_in=n_in)).failure is None


@needs_timm
def test_a_size_it_was_not_made_for_is_a_failure_with_the_size_that_mends_it():
    failure = trace(spec_of("timm:vit_tiny_patch16_384", size=224)).failure
    assert failure.name == "patch_embed"
    assert "needs a picture of 384×384 px, but gets a picture of 224×224 px: set the size to 384 px" in failure.reason
    assert (failure.fix.field, failure.fix.value) == ("body.size", 384)
    assert trace(spec_of("timm:vit_tiny_patch16_384", size=384)).failure is None


# ---- weights ----


@needs_timm
@pytest.mark.parametrize("name", ["timm:resnet18", "timm:vit_tiny_patch16_224", "timm:tnt_s_patch16_224"])
@pytest.mark.parametrize("cut", [None, 3])
def test_a_checkpoint_of_the_whole_network_fits_the_body_by_name(name, cut, tmp_path):
    torch.manual_seed(1)
    network = build_original(name)
    torch.save(network.state_dict(), tmp_path / "whole.pth")
    place = cut and legal_cuts(name)[cut].name
    report = build_model(spec_of(name, weights=str(tmp_path / "whole.pth"), cut=place)).weights
    assert (report.unexpected, report.reshaped) == ((), ())
    assert all(key.startswith("1.") for key in report.missing)
    assert report.loaded > 3


@needs_timm
def test_a_file_of_the_weights_folder_is_taken_before_the_network(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    torch.save(build_original("timm:resnet10t").state_dict(), tmp_path / "resnet10t.c3_in1k.pth")
    assert fetch("timm:resnet10t").name == "resnet10t.c3_in1k.pth"
    built = build_model(spec_of("timm:resnet10t", weights="imagenet"))
    assert (built.weights.source, built.weights.note) == ("imagenet", "")
    stored = read_file(tmp_path / "resnet10t.c3_in1k.pth")
    assert torch.equal(built.model.state_dict()["0.0.0.weight"], stored["conv1.0.weight"])


@needs_timm
def test_weights_that_cannot_be_fetched_are_told_in_one_sentence_and_the_body_starts_at_random(monkeypatch):
    def fails(name: str):
        raise ConnectionError("no way there\nand more lines")

    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setattr(timm_archs, "fetch", fails)
    with pytest.raises(WeightsUnavailable, match=r"could not be fetched from huggingface.co \(no way there\)"):
        fetch("timm:resnet10t")
    report = build_model(spec_of("timm:resnet10t", weights="imagenet")).weights
    assert report.source == "random"
    assert report.note.count(".") >= 1 and "no way there" in report.note


@needs_timm
def test_a_host_that_refuses_is_asked_once_and_told_with_its_reason(monkeypatch):
    with socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setenv("https_proxy", nobody)
    begin = time.monotonic()
    with pytest.raises(WeightsUnavailable, match="could not be fetched from huggingface.co .*refused"):
        fetch("timm:resnet14t")
    assert time.monotonic() - begin < 20


@needs_timm
def test_timms_own_loader_fills_the_body(monkeypatch, tmp_path):
    whole = {key: torch.full_like(t, 0.5) for key, t in build_original("timm:resnet10t").state_dict().items()}
    torch.save(whole, tmp_path / "model.pth")
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setattr(timm_archs, "fetch", lambda name: tmp_path / "model.pth")
    built = build_model(spec_of("timm:resnet10t", weights="imagenet"))
    assert built.weights.source == "imagenet" and "resnet10t.c3_in1k" in built.weights.detail
    assert all((p == 0.5).all() for p in built.model[0].parameters())


@needs_timm
def test_the_line_on_the_weights_names_tag_licence_and_recipe():
    line = describe_imagenet("timm:resnet18")
    assert line.startswith("resnet18.a1_in1k: timm's weights")
    assert "licence apache-2.0" in line and "; recipe https://" in line


# ---- networks that cannot be looked into ----


class Several(nn.Module):
    """Features that are no single map, and stages that timm could stop at."""

    feature_info = [{"module": "a", "reduction": 1}, {"module": "b", "reduction": 2}]
    extra_tokens = (0,)
    picture = (3, 32)
    ends_with_features = True

    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 8, 2, 2), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.a(x), self.b(self.a(x))]

    def forward_intermediates(self, x: Tensor, indices=None, stop_early=False, output_fmt="", intermediates_only=True):
        found = [self.a(x)]
        if indices is None or indices[0] > 0:
            found.append(self.b(found[0]))
        return found if indices is None else [found[indices[0]]]


def test_a_network_of_several_maps_is_cut_at_its_stages_and_what_does_not_run_falls_away():
    graph = timm_archs.read_graph(Several().to("meta"))
    assert [(place.name, place.shape, place.params) for place in graph.features] == [
        ("a", (4, 32, 32), 16), ("b", (8, 16, 16), 152),
    ]  # fmt: skip
    network = Several()
    opened, dropped = timm_archs.open_stage(network, "a")
    assert [name for name, *_ in dropped] == ["b", "head"]
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(opened(x), network.a(x))
    assert isinstance(network.head, nn.Linear) and list(opened.state_dict()) == ["a.weight", "a.bias"]
