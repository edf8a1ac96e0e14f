"""Bodies of the whole registry: what they give is what the uncut network has there, to the last bit."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from explorer.models.bodies import (
    adapt_input,
    build_original,
    count_features,
    create_body,
    legal_cuts,
    list_archs,
    read_graph,
    resolve_cut,
    take_apart,
)
from explorer.models.graphs import MAP_LAST, TOKENS, Place
from explorer.models.meta import Blank, ShapesOnly
from explorer.models.weights import first_kernel

# More than 120 M parameters: their shapes are checked on the meta device, their arithmetic is their smaller siblings'.
LARGE = ("vit_l_16", "vit_l_32", "vit_h_14", "regnet_y_32gf", "regnet_y_128gf", "convnext_large", "wide_resnet101_2")
FAMILIES = (
    "resnet18", "squeezenet1_1", "densenet121", "vgg11", "alexnet", "googlenet", "inception_v3", "mobilenet_v3_small",
    "shufflenet_v2_x0_5", "mnasnet0_5", "efficientnet_b0", "regnet_y_400mf", "convnext_tiny", "vit_b_32", "swin_t",
    "swin_v2_t", "maxvit_t",
)  # fmt: skip
# The arithmetic of one architecture of each family; of all but the large ones where EXPLORER_ALL_ARCHS is set.
REAL = [name for name in list_archs() if name not in LARGE] if os.environ.get("EXPLORER_ALL_ARCHS") else FAMILIES
NOISE = torch.randn(65_537, generator=torch.Generator().manual_seed(0))


def size_of(name: str) -> int:
    """The smallest size at which the whole network runs, or a little more."""
    return 224 if name.startswith(("vit", "maxvit")) else 96 if name == "inception_v3" else 64


def on_meta(name: str) -> nn.Module:
    with Blank():
        return build_original(name).eval()


def filled(network: nn.Module) -> nn.Module:
    """The network with numbers that keep its activations within bounds, drawn quickly."""
    network.to_empty(device="cpu")
    with torch.no_grad():
        for key, tensor in network.state_dict().items():
            if not tensor.is_floating_point():
                tensor.zero_()
                continue
            noise = NOISE.repeat(-(-tensor.numel() // len(NOISE)))[: tensor.numel()].view(tensor.shape)
            fan_in = tensor[0].numel() if tensor.ndim > 1 else 1
            tensor.copy_(noise * (2 / fan_in) ** 0.5 if tensor.ndim > 1 else 1 + 0.1 * noise)
            if key.endswith("running_var"):
                tensor.abs_()
    return network


def real(name: str) -> nn.Module:
    """With the index tables that are no weights, and without the classifier's where that is large."""
    network = on_meta(name)
    for key in ("classifier", "fc"):
        if name.startswith(("vgg", "alexnet")) and hasattr(network, key):
            setattr(network, key, nn.Flatten())
    tables = dict(indices(name)) if name.startswith(("swin", "maxvit")) else {}
    filled(network)
    for key, table in tables.items():
        network.get_buffer(key).copy_(table)
    return network


def indices(name: str) -> Iterator[tuple[str, Tensor]]:
    for key, buffer in build_original(name).named_buffers():
        if "relative" in key:
            yield key, buffer


def module_at(network: nn.Module, name: str) -> nn.Module:
    """The module of this name; the last element of a list of modules, which is never called itself."""
    module = network.get_submodule(name)
    return module[-1] if isinstance(module, nn.ModuleList) else module


def activations(network: nn.Module, names: list[str], x: Tensor) -> dict[str, Tensor]:
    """What modules of the uncut network give, at their last call."""
    found: dict[str, Tensor] = {}

    def keep(name: str) -> Callable:
        def hook(module: nn.Module, args: tuple, out: Tensor) -> None:
            found[name] = out.clone()

        return hook

    hooks = [module_at(network, name).register_forward_hook(keep(name)) for name in names]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return found


def as_map(place: Place, out: Tensor) -> Tensor:
    """An activation as the body has to give it, written out plainly."""
    if place.layout == MAP_LAST:
        return out.movedim(3, 1)
    if place.layout == TOKENS:
        cells = out[:, -place.grid[0] * place.grid[1] :]
        return cells.unflatten(1, place.grid).movedim(3, 1)
    return out


def some_places(name: str) -> list[Place]:
    """The architecture's own cut and two more, one in the middle and one in its last third, that end modules."""
    places = [place for place in read_graph(name).features if place.ends]
    own = read_graph(name).features[-1]
    return [places[len(places) // 2], places[5 * len(places) // 6], own]


@pytest.mark.parametrize("name", REAL)
def test_a_body_gives_the_uncut_networks_activation_to_the_last_bit(name):
    network, places = real(name), some_places(name)
    x = torch.rand(2, 3, size_of(name), size_of(name), generator=torch.Generator().manual_seed(1)) - 0.5
    before = {place: "features" if place.name == "relu" and not place.ends else place.name for place in places}
    expected = activations(network, list(before.values()), x)
    for place in places:
        body = take_apart(network, place.name, name).body.eval()
        with torch.no_grad():
            out = body(x)
        wanted = as_map(place, expected[before[place]])
        wanted = wanted.relu() if before[place] != place.name else wanted
        assert out.isfinite().all() and out.std() > 0
        assert torch.equal(out, wanted)
    if size_of(name) == 224:
        assert out.shape[1:] == resolve_cut(name).out_shape


def test_a_body_that_ends_inside_a_block_gives_its_sum_before_the_relu():
    network = real("resnet18")
    x = torch.rand(2, 3, 64, 64) - 0.5
    block = network.layer1[0]
    with torch.no_grad():
        x_in = network.maxpool(network.relu(network.bn1(network.conv1(x))))
        wanted = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x_in))))) + x_in
        assert torch.equal(create_body(network, cut="layer1.0.add").eval()(x), wanted)
        assert (wanted < 0).any()


@pytest.mark.parametrize("name", list_archs())
def test_the_default_body_is_the_last_legal_cut(name):
    """It is found in the network's own forward alone: the graph of the whole must agree."""
    network = on_meta(name)
    parts, named = take_apart(network, None, name), take_apart(network, legal_cuts(name)[-1].name, name)
    assert (parts.names, parts.dropped, parts.dropped_tensors) == (named.names, named.dropped, named.dropped_tensors)
    assert list(parts.body.state_dict()) == list(named.body.state_dict())
    with torch.no_grad(), ShapesOnly():
        out = parts.body.eval()(torch.empty(2, 3, 224, 224, device="meta"))
    cut = legal_cuts(name)[-1]
    assert tuple(out.shape) == (2, *cut.out_shape)
    kept = sum(p.numel() for p in parts.body.parameters())
    assert cut.share == pytest.approx(kept / sum(p.numel() for p in network.parameters())) and cut.share > 0.03
    assert not any("aux" in key.lower() for key in parts.body.state_dict())


@pytest.mark.parametrize("name", FAMILIES)
def test_every_place_gives_the_map_it_promises(name):
    cuts, network = legal_cuts(name), on_meta(name)
    total = sum(p.numel() for p in network.parameters())
    for cut in cuts[:: max(1, len(cuts) // 8)]:
        parts = take_apart(network, cut.name, name)
        with torch.no_grad(), ShapesOnly():
            out = parts.body.eval()(torch.empty(1, 3, 224, 224, device="meta"))
        assert tuple(out.shape[1:]) == cut.out_shape
        assert (cut.note != "") == (parts.names[-1] == "to_map")
        kept = sum(p.numel() for p in parts.body.parameters())
        assert kept == pytest.approx(cut.share * total)
        assert kept + sum(params for *_, params in parts.dropped) + own_parameters(network, parts) == total


def own_parameters(network: nn.Module, parts) -> int:
    """Parameters that belong to no child of what was opened, and are not needed before the cut."""
    held = dict(network.named_parameters())
    told = tuple(f"{n}." for n, *_ in parts.dropped)
    kept = {key.partition(".")[2] if parts.names[0] == "" else None for key in parts.body.state_dict()}
    lost = [n for n in held if not n.startswith(told) and n in parts.dropped_tensors and n not in kept]
    return sum(held[n].numel() for n in lost)


@pytest.mark.parametrize("name", FAMILIES)
def test_other_channels_go_in_everywhere(name):
    body = take_apart(on_meta(name), None, name).body.eval()
    key = first_kernel(body).rpartition(".")[0]
    first = body.get_submodule(key)
    for n_in in (1, 2, 4, 12):
        body.set_submodule(key, first)
        with Blank():
            adapt_input(body, n_in, pretrained=False)
        assert body.get_submodule(key).in_channels == n_in
        with torch.no_grad(), ShapesOnly():
            assert body(torch.empty(1, n_in, 224, 224, device="meta")).shape[1] == legal_cuts(name)[-1].out_shape[0]


NESTED = {
    "resnet18": "layer1.0.add", "densenet121": "features.denseblock1", "googlenet": "inception3a",
    "efficientnet_b0": "features.2.0.block.0", "regnet_y_400mf": "trunk_output.block2.block2-0.add",
    "convnext_tiny": "features.1.1", "vit_b_32": "encoder.layers.encoder_layer_3.add", "swin_t": "features.1.0.add",
    "swin_v2_t": "features.2.reduction", "maxvit_t": "blocks.0.layers.0.layers.MBconv",
    "shufflenet_v2_x0_5": "stage2.1",
}  # fmt: skip


@pytest.mark.parametrize(("name", "cut"), NESTED.items())
def test_a_body_cut_inside_a_block_is_a_module_like_any_other(name, cut):
    """It is copied, saved, loaded, trained, and takes batches of any size; the block goes by its class's name."""
    body = create_body(name, cut=cut).eval()
    x = torch.rand(4, 3, size_of(name), size_of(name))
    with torch.no_grad():
        out = body(x)
        alone = body(x[:1])
    torch.testing.assert_close(out[:1], alone, rtol=1e-4, atol=1e-5)
    assert resolve_cut(name, cut).name == cut

    again = create_body(name, cut=cut).eval()
    again.load_state_dict(body.state_dict())
    twin = copy.deepcopy(body)
    with torch.no_grad():
        assert torch.equal(again(x), out) and torch.equal(twin(x), out)
    assert [type(m).__name__ for m in twin.modules()] == [type(m).__name__ for m in body.modules()]
    assert not any("GraphModule" in type(m).__name__ for m in body.modules())

    body.train()(x).float().pow(2).mean().backward()
    assert all(p.grad is not None for p in body.parameters())
    originals = set(build_original(name).state_dict())
    names = take_apart(build_original(name), cut, name).names
    own = {f"{names[int(i)]}.{rest}".lstrip(".") for i, _, rest in (k.partition(".") for k in body.state_dict())}
    assert own <= originals


@pytest.mark.parametrize("name", ["vit_b_32", "swin_t", "convnext_tiny", "efficientnet_b0"])
def test_dropout_and_stochastic_depth_follow_the_mode(name):
    cut = legal_cuts(name)[2 * len(legal_cuts(name)) // 3].name
    body = create_body(name, cut=cut)
    for module in body.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    x = torch.rand(2, 3, size_of(name), size_of(name))
    with torch.no_grad():
        body.train()
        assert not torch.equal(body(x), body(x))
        body.eval()
        assert torch.equal(body(x), body(x))


def test_functional_dropout_of_an_opened_network_follows_the_mode():
    class Loose(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.top = nn.Conv2d(3, 8, 3), nn.Linear(8, 2)

        def forward(self, x):
            x = nn.functional.dropout(self.conv(x), 0.5, training=self.training)
            return self.top(x.mean((2, 3)))

    body = create_body(Loose())
    x = torch.ones(1, 3, 8, 8)
    assert count_features(body) == 8
    assert (body.train()(x) == 0).any() and not (body.eval()(x) == 0).any()


@pytest.mark.parametrize(
    ("name", "cut", "place"),
    [
        ("densenet121", -1, "features"), ("densenet121", 1, "features"), ("vit_b_16", 2, "encoder"),
        ("vit_b_16", -1, "encoder"), ("inception_v3", 16, "Mixed_6e"), ("inception_v3", 15, "Mixed_6e"),
        ("inception_v3", 17, "Mixed_7a"), ("googlenet", 16, "inception5b"), ("maxvit_t", -1, "blocks"),
        ("swin_t", 1, "features"), ("shufflenet_v2_x1_0", -1, "conv5"), ("efficientnet_b0", 1, "features"),
    ],
)  # fmt: skip
def test_counts_of_children_mean_what_fastai_means(name, cut, place):
    """Auxiliary heads, which are children but do not run, are passed over."""
    assert resolve_cut(name, cut).name == place


@pytest.mark.parametrize(
    ("name", "cut", "told"),
    [
        ("vit_b_16", 1, "cannot be cut behind child 1, 'conv_proj'.*choose 2"),
        ("googlenet", 17, "too deep.*'inception5b'"),
        ("squeezenet1_1", "classifier.0", "cannot be cut"),
        ("resnet18", "layer1.0.conv1", "cannot be cut"),
        ("maxvit_t", "blocks.0.layers.0.layers.window_attention.partition_op", "cannot be cut"),
    ],
)
def test_places_that_are_none_are_refused_with_others(name, cut, told):
    with pytest.raises(ValueError, match=told):
        resolve_cut(name, cut)
    with pytest.raises(ValueError, match=told):
        take_apart(on_meta(name), cut, name)


def test_what_is_done_to_make_a_map_is_said():
    notes = {name: resolve_cut(name, cut).note for name, cut in (("vit_b_16", None), ("swin_t", "features.1"))}
    assert notes == {
        "vit_b_16": "tokens are folded to a 14×14 grid, without the class token",
        "swin_t": "the channel-last map is turned round",
    }
    assert resolve_cut("swin_t").note == resolve_cut("resnet18", "layer2").note == ""


def test_a_transformer_says_which_size_it_needs():
    with pytest.raises(AssertionError, match="Expected 224$|Expected 224!?$"):
        create_body("vit_b_32").eval()(torch.rand(1, 3, 96, 96))
