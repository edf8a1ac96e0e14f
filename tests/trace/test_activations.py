"""What a picture becomes inside a network: faces, channel maps, figures, snapshots and labels."""

from __future__ import annotations

import copy
import json
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from explorer.data.batches import normalise
from explorer.data.pictures import read_picture
from explorer.models.archs import IMAGENET_MEAN, IMAGENET_STD
from explorer.models.bodies import create_body
from explorer.models.build import build_model
from explorer.models.weights import read_file
from explorer.spec import BodySpec, ClassifierSpec
from explorer.trace.activations import faces, imagenet_labels, look, snapshot, to_grey


@pytest.fixture(scope="module")
def body() -> nn.Module:
    torch.manual_seed(0)
    return create_body("resnet18").eval()


def picture(seed: int = 0) -> torch.Tensor:
    return torch.rand(3, 64, 48, generator=torch.Generator().manual_seed(seed))


def test_faces_have_the_size_of_their_layer(body: nn.Module):
    found = faces(body, picture(), ("0.0", "0.4", "0.4.0.conv1", "0"))
    assert {qual: face.shape for qual, face in found.items()} == {
        "0.0": (32, 24), "0.4": (16, 12), "0.4.0.conv1": (16, 12), "0": (2, 2),
    }  # fmt: skip
    assert all(face.dtype == np.uint8 for face in found.values())
    assert found["0.0"].min() == 0 and found["0.0"].max() == 255


def test_a_face_is_the_mean_over_channels_of_that_layers_own_output(body: nn.Module):
    """In-place layers behind it do not change it: the batch norm's face is taken before the ReLU."""
    x = picture()
    with torch.no_grad():
        after_norm = body[1](body[0](x[None]))[0].mean(0)
    assert np.array_equal(faces(body, x, ("0.1",))["0.1"], to_grey(after_norm))


def test_one_extreme_value_does_not_hide_the_rest():
    values = torch.linspace(0, 1, 1000)
    values[0] = 1e6
    assert len(np.unique(to_grey(values))) > 200


def test_a_flat_map_and_broken_numbers_are_black():
    assert not to_grey(torch.full((4, 4), 7.0)).any()
    assert not to_grey(torch.full((2, 2), torch.nan)).any()
    assert to_grey(torch.tensor([0.0, torch.nan, 1.0]))[1] == 0


def test_no_hook_and_no_gradient_is_left_behind(body: nn.Module):
    faces(body, picture(), ("0.4",))
    assert not any(module._forward_hooks for module in body.modules())
    with pytest.raises(ValueError, match="no layer '0.99'"):
        faces(body, picture(), ("0.99",))
    with pytest.raises(ValueError, match="one picture"):
        faces(body, torch.rand(2, 3, 32, 32), ("0.4",))


def test_a_rectangles_maps_keep_its_shape_where_channels_stand_last():
    swin = create_body("swin_t").eval()
    x = torch.rand(3, 64, 96)
    assert faces(swin, x, ("0.0.1",))["0.0.1"].shape == (16, 24)
    picked = look(nn.Sequential(swin), x, "0.0.1.0").picked
    assert (picked.grid, picked.count) == ((16, 24), 96)


def test_threads_sharing_a_body_see_their_own_picture(body: nn.Module):
    alone = [faces(body, picture(seed), ("0.0", "0.5")) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda seed: faces(body, picture(seed), ("0.0", "0.5")), range(8)))
    for one, other in zip(alone, together, strict=True):
        assert all(np.array_equal(one[qual], other[qual]) for qual in one)


# ---- look ----


@pytest.fixture(scope="module")
def classifier() -> nn.Module:
    torch.manual_seed(0)
    return build_model(ClassifierSpec(BodySpec("resnet18", weights="random", size=64), n_out=5)).model.eval()


def test_every_layer_that_runs_gets_figures_in_the_order_of_the_run(classifier: nn.Module):
    x = picture()
    seen = look(classifier, x).layers
    assert [stats.qual for stats in seen[:4]] == ["0.0", "0.1", "0.2", "0.3"]
    assert seen[-1].qual == "1.8" and seen[-1].shape == (5,)
    assert not {"0", "1", "0.4", "0.4.0"} & {stats.qual for stats in seen}
    first = classifier[0][0](x[None])
    assert seen[0].mean == pytest.approx(first.mean().item(), abs=1e-6)
    assert seen[0].std == pytest.approx(first.std(correction=0).item(), rel=1e-4)
    assert (seen[0].low, seen[0].high) == (first.min().item(), first.max().item())


def test_an_in_place_layer_does_not_change_the_figures_before_it(classifier: nn.Module):
    norm, relu = look(classifier, picture()).layers[1:3]
    assert norm.low < 0 == relu.low


def test_a_layer_used_twice_shows_its_last_call_once(classifier: nn.Module):
    quals = [stats.qual for stats in look(classifier, picture()).layers]
    assert len(quals) == len(set(quals))
    assert quals.index("0.4.0.relu") > quals.index("0.4.0.bn2")


def test_a_container_can_be_picked(classifier: nn.Module):
    picked = look(classifier, picture(), "0.5").picked
    with torch.no_grad():
        out = classifier[0][:6](picture()[None])
    assert picked.stats.shape == (128, 8, 6) and picked.grid == (8, 6)
    assert picked.energies[0] == pytest.approx(out.square().mean((0, 2, 3)).max().item(), rel=1e-4)


def test_channels_come_by_falling_energy_and_equals_keep_their_order():
    model = nn.Sequential(Fixed([[0.0], [2.0], [-3.0], [2.0], [1.0]]))
    picked = look(model, picture(), "0").picked
    assert picked.channels == (2, 1, 3, 4, 0)
    assert picked.energies == (9.0, 4.0, 4.0, 1.0, 0.0)
    assert look(model, picture(), "0", most=2).picked.channels == (2, 1)


def test_a_channel_is_dead_when_all_its_values_are_zero_or_equal():
    alive, flat, zero = [0.0, 1.0, 2.0, 0.0], [3.0] * 4, [0.0] * 4
    stats = look(nn.Sequential(Fixed([alive, flat, zero, alive])), picture()).layers[0]
    assert stats.dead == 0.5
    vector = look(nn.Sequential(Fixed([[3.0], [0.0], [-1.0], [2.0]])), picture()).layers[0]
    assert vector.dead == 0.25, "a single number is dead only when it is zero"


def test_the_histogram_counts_all_values():
    values = torch.linspace(-1, 3, 400).reshape(4, 100)
    histogram = look(nn.Sequential(Fixed(values.tolist())), picture(), "0").picked.histogram
    assert (histogram.low, histogram.high) == (-1, 3)
    assert sum(histogram.counts) == 400 and set(histogram.counts) == {10}
    flat = look(nn.Sequential(Fixed([[2.0] * 4])), picture(), "0").picked.histogram
    assert flat.low < 2 < flat.high and sum(flat.counts) == 4


def test_numbers_that_are_none_are_counted_and_left_out():
    broken = Fixed([[1.0, 3.0, float("nan"), float("inf")], [2.0] * 4])
    seen = look(nn.Sequential(broken), picture(), "0")
    assert (seen.layers[0].mean, seen.layers[0].broken) == (2.0, 0.25)
    assert sum(seen.picked.histogram.counts) == 6
    lost = look(nn.Sequential(Fixed([[float("nan")] * 4])), picture(), "0")
    assert lost.layers[0].mean is None and lost.layers[0].broken == 1
    assert sum(lost.picked.histogram.counts) == 0 and not lost.picked.pictures.any()


def test_maps_are_stretched_each_by_itself_or_all_alike():
    faint, strong = torch.linspace(0, 1, 100), torch.linspace(0, 50, 100)
    model = nn.Sequential(Fixed([faint.tolist(), strong.tolist()]))
    alone = look(model, picture(), "0").picked
    assert [int(face.max()) for face in alone.pictures] == [255, 255]
    alike = look(model, picture(), "0", one_scale=True).picked
    assert alike.pictures[0].max() == 255 and alike.pictures[1].max() < 10
    assert alike.lows[0] == alike.lows[1] and alike.highs[0] == alike.highs[1]


def test_large_maps_are_averaged_down_in_proportion(classifier: nn.Module):
    assert look(classifier, picture(), "0.0", side=16).picked.pictures.shape == (48, 16, 12)
    alone = look(classifier, picture(), "0.0", side=512, channel=7).picked
    assert alone.channels == (7,) and alone.pictures.shape == (1, 32, 24)
    with pytest.raises(ValueError, match="channels 0 to 63, not 64"):
        look(classifier, picture(), "0.0", channel=64)


def test_a_vector_gives_its_numbers(classifier: nn.Module):
    picked = look(classifier, picture(), "1.8").picked
    with torch.no_grad():
        out = classifier(picture()[None])[0]
    assert picked.grid == (1, 1) and picked.count == 5
    assert picked.values == pytest.approx(tuple(out[list(picked.channels)].tolist()), rel=1e-4)


@pytest.mark.parametrize(
    ("shape", "grid", "left_out", "channels"),
    [
        ((1, 16, 3), (4, 4), 0, 3), ((1, 17, 3), (4, 4), 1, 3), ((1, 15, 3), (1, 15), 0, 3), ((1, 6), (1, 1), 0, 6),
        ((1, 3, 5, 4), (5, 4), 0, 3), ((1, 5, 5, 3), (5, 5), 0, 3), ((1, 3, 5, 5), (5, 5), 0, 3),
        ((1, 3, 2, 4, 5), (2, 20), 0, 3), ((1, 1, 3), (1, 1), 0, 3),
    ],
)  # fmt: skip
def test_tokens_and_channel_last_maps_are_folded(shape, grid, left_out, channels):
    model = nn.Sequential(Given(torch.rand(shape)))
    picked = look(model, picture(), "0").picked
    assert (picked.grid, picked.tokens_left_out, picked.count) == (grid, left_out, channels)
    assert picked.stats.shape == shape[1:]


def test_tokens_keep_their_places():
    tokens = torch.arange(17.0)[None, :, None]
    picked = look(nn.Sequential(Given(tokens)), picture(), "0").picked
    assert picked.pictures[0].argmax() == 15 and picked.pictures[0].argmin() == 0


def test_a_linear_layer_over_a_map_is_channel_last_whatever_its_sides():
    model = nn.Sequential(Given(torch.rand(1, 6, 6, 6)), nn.Linear(6, 4), nn.GELU())
    seen = look(model, picture(), "2")
    assert [stats.shape for stats in seen.layers] == [(6, 6, 6), (6, 6, 4), (6, 6, 4)]
    assert seen.picked.count == 4


@pytest.mark.parametrize("arch", ["swin_t", "vit_b_32", "convnext_tiny"])
def test_transformers_give_maps(arch: str):
    model = nn.Sequential(torchvision.models.get_model(arch, weights=None))
    x = torch.rand(3, 224, 224)
    names = {
        "swin_t": "0.features.1.0",
        "vit_b_32": "0.encoder.layers.encoder_layer_0",
        "convnext_tiny": "0.features.1",
    }
    picked = look(model, x, names[arch]).picked
    grid, count = {"swin_t": ((56, 56), 96), "vit_b_32": ((7, 7), 768), "convnext_tiny": ((56, 56), 96)}[arch]
    assert (picked.grid, picked.count) == (grid, count)


def test_attention_whose_inside_never_runs_counts_as_a_layer():
    model = nn.Sequential(Attention())
    seen = look(model, picture(), "0.heads.out_proj")
    assert [stats.qual for stats in seen.layers] == ["0.heads"]
    assert seen.picked is None


def test_only_the_picked_map_is_kept(classifier: nn.Module):
    seen = look(classifier, picture(), "0.0")
    assert seen.picked.pictures.nbytes <= 48 * 64 * 64
    assert not any(isinstance(value, torch.Tensor) for stats in seen.layers for value in vars(stats).values())


def test_look_refuses_unknown_names_and_leaves_no_hook(classifier: nn.Module):
    with pytest.raises(ValueError, match="no layer '0.99'"):
        look(classifier, picture(), "0.99")
    with pytest.raises(ValueError, match="one picture"):
        look(classifier, torch.rand(2, 3, 32, 32))
    with pytest.raises(RuntimeError):
        look(classifier, torch.rand(1, 32, 32))
    assert not any(module._forward_hooks for module in classifier.modules())


def test_threads_looking_into_one_network_see_their_own_picture(classifier: nn.Module):
    alone = [look(classifier, picture(seed), "0.5") for seed in range(6)]
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(lambda seed: look(classifier, picture(seed), "0.5"), range(6)))
    for one, other in zip(alone, together, strict=True):
        assert one.layers == other.layers
        assert np.array_equal(one.picked.pictures, other.picked.pictures)


# ---- snapshot ----


def test_a_snapshot_is_small_and_travels_as_json(classifier: nn.Module):
    kept = snapshot(classifier, torch.rand(2, 3, 64, 64), 3)
    text = json.dumps(asdict(kept))
    assert len(text) < 8000
    back = json.loads(text)
    assert back["epoch"] == 3 and len(back["quals"]) == len(back["means"]) == len(back["histograms"])
    assert all(abs(sum(counts) - 1000) <= 12 for counts in kept.histograms)
    assert len(b64decode(kept.map_pixels)) == np.prod(kept.map_shape) > 0


def test_snapshots_of_one_model_show_the_same_layers_and_channels(classifier: nn.Module):
    first, later = (snapshot(classifier, torch.rand(1, 3, size, size), 0) for size in (64, 96))
    assert (first.quals, first.map_qual, first.map_channels) == (later.quals, later.map_qual, later.map_channels)
    assert first.quals[0] == "0.2" and first.quals[-1] == "1.8"


def test_a_snapshot_sees_that_weights_have_changed(classifier: nn.Module):
    x, changed = torch.rand(1, 3, 64, 64), copy.deepcopy(classifier)
    with torch.no_grad():
        changed[0][0].weight.mul_(3)
        changed[0][1].bias.sub_(100)
    before, after = snapshot(classifier, x, 0, ["0.2"]), snapshot(changed, x, 1, ["0.2"])
    assert before.dead[0] < 0.5 and after.dead[0] == 1.0
    assert before.map_pixels != after.map_pixels


def test_a_snapshot_leaves_the_model_as_it_was():
    model = build_model(ClassifierSpec(BodySpec("squeezenet1_1", weights="random", size=64), n_out=5)).model.train()
    model[0].eval()
    modes, running = [m.training for m in model.modules()], model[1][2].running_mean.clone()
    snapshot(model, torch.rand(2, 3, 64, 64), 0)
    assert [m.training for m in model.modules()] == modes
    assert torch.equal(model[1][2].running_mean, running)
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(ValueError, match="no layer 'x'"):
        snapshot(model, torch.rand(2, 3, 64, 64), 0, ["x"])


# ---- labels ----


def test_labels_are_the_most_likely_classes_by_name():
    names = torchvision.models.get_model_weights("resnet18").DEFAULT.meta["categories"]
    logits = torch.zeros(1, 1000)
    logits[0, 207], logits[0, 3] = 9.0, 8.0
    likely = imagenet_labels(Given(logits), picture(), "resnet18", "imagenet", count=2)
    assert [name for name, _ in likely] == [names[207], names[3]]
    assert likely[0][1] == pytest.approx(logits.softmax(1)[0, 207].item())


@pytest.mark.parametrize(
    ("out", "arch", "weights", "words"),
    [
        (1000, "resnet18", "random", "choose ImageNet weights"), (1000, "resnet18", None, "choose ImageNet weights"),
        (37, "resnet18", "imagenet", "1,000 outputs, not one of 37"),
        (1000, "nothing", "imagenet", "no ImageNet labels"),
    ],
)  # fmt: skip
def test_there_are_no_labels_without_weights_that_know_them(out, arch, weights, words):
    with pytest.raises(ValueError, match=words):
        imagenet_labels(Given(torch.zeros(1, out)), picture(), arch, weights)


def test_a_real_network_knows_a_real_photo(shared_data):
    network = torchvision.models.squeezenet1_1(weights=None)
    network.load_state_dict(read_file(next((shared_data / "weights").glob("squeezenet1_1-*"))))
    photo = next((shared_data / "imagenet_samples").glob("963_*"))
    pixels = torch.from_numpy(read_picture(photo, 224))[None].float() / 255
    x = normalise(pixels, IMAGENET_MEAN, IMAGENET_STD)
    likely = imagenet_labels(network, x, "squeezenet1_1", "imagenet")
    assert "pizza" in [name for name, _ in likely]
    assert sum(p for _, p in likely) <= 1.0001


# ---- models for the tests ----


class Given(nn.Module):
    """Gives this tensor, whatever it is asked."""

    def __init__(self, out: torch.Tensor):
        super().__init__()
        self.out = out

    def forward(self, x):
        return self.out


class Fixed(Given):
    """Gives a map of these channels, each a row of values."""

    def __init__(self, channels: list[list[float]]):
        super().__init__(torch.tensor(channels)[None, :, None, :])


class Attention(nn.Module):
    """Self-attention over four tokens of eight numbers."""

    def __init__(self):
        super().__init__()
        self.heads = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        tokens = x.flatten()[:32].reshape(1, 4, 8)
        return self.heads(tokens, tokens, tokens)[0]
