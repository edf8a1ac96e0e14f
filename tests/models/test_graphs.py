"""The graph of every architecture: as many legal cuts, and the same last maps, as the graph facts say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import torchvision
from torch import fx, nn

from explorer.models.archs import OPTIONS
from explorer.models.bodies import legal_cuts, list_archs, read_graph, skips
from explorer.models.graphs import MAP_LAST, alone, record, record_calls
from explorer.models.graphs import read_graph as read_network
from explorer.models.meta import Blank, to_blank

STAGES = ("features.1", "features.3", "features.5", "features")
MOBILE = ("features.1", "features.3", "features.6", "features.13", "features")
RESNET = ("relu", "layer1", "layer2", "layer3", "layer4")
REGNET = ("stem", "trunk_output.block1", "trunk_output.block2", "trunk_output.block3", "trunk_output")
EFFICIENT = ("features.1", "features.2", "features.3", "features.5", "features")
DENSE = ("features.relu0", "features.denseblock1", "features.denseblock2", "features.denseblock3", "relu")
MNAS = ("layers.7", "layers.8", "layers.9", "layers.11", "layers")
SHUFFLE = ("conv1", "maxpool", "stage2", "stage3", "conv5")
HALVED = (112, 56, 28, 14, 7)
FROM_224 = (224, 112, 56, 28, 14, 7)


def vgg(*ends: int) -> tuple[str, ...]:
    return (*(f"features.{end}" for end in ends), "features")


# graph facts: legal cuts (the input counts as one), names, channels and sizes of the last map of each scale
FACTS = {
    "resnet18": (24, RESNET, (64, 64, 128, 256, 512), HALVED),
    "resnet34": (40, RESNET, (64, 64, 128, 256, 512), HALVED),
    "resnet50": (40, RESNET, (64, 256, 512, 1024, 2048), HALVED),
    "resnet101": (74, RESNET, (64, 256, 512, 1024, 2048), HALVED),
    "resnet152": (108, RESNET, (64, 256, 512, 1024, 2048), HALVED),
    "resnext50_32x4d": (40, RESNET, (64, 256, 512, 1024, 2048), HALVED),
    "resnext101_64x4d": (74, RESNET, (64, 256, 512, 1024, 2048), HALVED),
    "resnext101_32x8d": (74, RESNET, (64, 256, 512, 1024, 2048), HALVED),
    "wide_resnet50_2": (40, RESNET, (64, 256, 512, 1024, 2048), HALVED),
    "wide_resnet101_2": (74, RESNET, (64, 256, 512, 1024, 2048), HALVED),
    "squeezenet1_1": (
        35,
        ("features.1", "features.4", "features.7", "features"),
        (64, 128, 256, 512),
        (111, 55, 27, 13),
    ),
    "squeezenet1_0": (
        35,
        ("features.1", "features.5", "features.10", "features"),
        (96, 256, 512, 512),
        (109, 54, 27, 13),
    ),
    "densenet121": (26, DENSE, (64, 256, 512, 1024, 1024), HALVED),
    "densenet169": (26, DENSE, (64, 256, 512, 1280, 1664), HALVED),
    "densenet201": (26, DENSE, (64, 256, 512, 1792, 1920), HALVED),
    "densenet161": (26, DENSE, (96, 384, 768, 2112, 2208), HALVED),
    "vgg11": (31, vgg(1, 4, 9, 14, 19), (64, 128, 256, 512, 512, 512), FROM_224),
    "vgg11_bn": (39, vgg(2, 6, 13, 20, 27), (64, 128, 256, 512, 512, 512), FROM_224),
    "vgg13": (35, vgg(3, 8, 13, 18, 23), (64, 128, 256, 512, 512, 512), FROM_224),
    "vgg13_bn": (45, vgg(5, 12, 19, 26, 33), (64, 128, 256, 512, 512, 512), FROM_224),
    "vgg16": (41, vgg(3, 8, 15, 22, 29), (64, 128, 256, 512, 512, 512), FROM_224),
    "vgg16_bn": (54, vgg(5, 12, 22, 32, 42), (64, 128, 256, 512, 512, 512), FROM_224),
    "vgg19": (47, vgg(3, 8, 17, 26, 35), (64, 128, 256, 512, 512, 512), FROM_224),
    "vgg19_bn": (63, vgg(5, 12, 25, 38, 51), (64, 128, 256, 512, 512, 512), FROM_224),
    "alexnet": (23, ("features.1", "features.4", "features.11", "features"), (64, 192, 256, 256), (55, 27, 13, 6)),
    "googlenet": (
        27,
        ("conv1", "conv3", "inception3b", "inception4e", "inception5b"),
        (64, 192, 480, 832, 1024),
        HALVED,
    ),
    "inception_v3": (
        33,
        ("Conv2d_2b_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e", "Mixed_7c"),
        (64, 192, 288, 768, 2048),
        (109, 52, 25, 12, 5),
    ),
    "mobilenet_v2": (74, MOBILE, (16, 24, 32, 96, 1280), HALVED),
    "mobilenet_v3_small": (
        60,
        ("features.0", "features.1", "features.3", "features.8", "features"),
        (16, 16, 24, 48, 576),
        HALVED,
    ),
    "mobilenet_v3_large": (
        66,
        ("features.1", "features.3", "features.6", "features.12", "features"),
        (16, 24, 40, 112, 960),
        HALVED,
    ),
    "shufflenet_v2_x0_5": (42, SHUFFLE, (24, 24, 48, 96, 1024), HALVED),
    "shufflenet_v2_x1_0": (42, SHUFFLE, (24, 24, 116, 232, 1024), HALVED),
    "shufflenet_v2_x1_5": (42, SHUFFLE, (24, 24, 176, 352, 1024), HALVED),
    "shufflenet_v2_x2_0": (42, SHUFFLE, (24, 24, 244, 488, 2048), HALVED),
    "mnasnet0_5": (73, MNAS, (8, 16, 24, 48, 1280), HALVED),
    "mnasnet0_75": (73, MNAS, (16, 24, 32, 72, 1280), HALVED),
    "mnasnet1_0": (73, MNAS, (16, 24, 40, 96, 1280), HALVED),
    "mnasnet1_3": (73, MNAS, (24, 32, 56, 128, 1280), HALVED),
    "efficientnet_b0": (80, EFFICIENT, (16, 24, 40, 112, 1280), HALVED),
    "efficientnet_b1": (87, EFFICIENT, (16, 24, 40, 112, 1280), HALVED),
    "efficientnet_b2": (87, EFFICIENT, (16, 24, 48, 120, 1408), HALVED),
    "efficientnet_b3": (90, EFFICIENT, (24, 32, 48, 136, 1536), HALVED),
    "efficientnet_b4": (96, EFFICIENT, (24, 32, 56, 160, 1792), HALVED),
    "efficientnet_b5": (103, EFFICIENT, (24, 40, 64, 176, 2048), HALVED),
    "efficientnet_b6": (109, EFFICIENT, (32, 40, 72, 200, 2304), HALVED),
    "efficientnet_b7": (119, EFFICIENT, (32, 48, 80, 224, 2560), HALVED),
    "efficientnet_v2_s": (83, EFFICIENT, (24, 48, 64, 160, 1280), HALVED),
    "efficientnet_v2_m": (108, EFFICIENT, (24, 48, 80, 176, 1280), HALVED),
    "efficientnet_v2_l": (130, EFFICIENT, (32, 64, 96, 224, 1280), HALVED),
    "regnet_x_400mf": (51, REGNET, (32, 32, 64, 160, 400), HALVED),
    "regnet_x_800mf": (39, REGNET, (32, 64, 128, 288, 672), HALVED),
    "regnet_x_1_6gf": (43, REGNET, (32, 72, 168, 408, 912), HALVED),
    "regnet_x_3_2gf": (57, REGNET, (32, 96, 192, 432, 1008), HALVED),
    "regnet_x_8gf": (53, REGNET, (32, 80, 240, 720, 1920), HALVED),
    "regnet_x_16gf": (51, REGNET, (32, 256, 512, 896, 2048), HALVED),
    "regnet_x_32gf": (53, REGNET, (32, 336, 672, 1344, 2520), HALVED),
    "regnet_y_400mf": (39, REGNET, (32, 48, 104, 208, 440), HALVED),
    "regnet_y_800mf": (35, REGNET, (32, 64, 144, 320, 784), HALVED),
    "regnet_y_1_6gf": (61, REGNET, (32, 48, 120, 336, 888), HALVED),
    "regnet_y_3_2gf": (49, REGNET, (32, 72, 216, 576, 1512), HALVED),
    "regnet_y_8gf": (41, REGNET, (32, 224, 448, 896, 2016), HALVED),
    "regnet_y_16gf": (43, REGNET, (32, 224, 448, 1232, 3024), HALVED),
    "regnet_y_32gf": (47, REGNET, (32, 232, 696, 1392, 3712), HALVED),
    "regnet_y_128gf": (61, REGNET, (32, 528, 1056, 2904, 7392), HALVED),
    "convnext_tiny": (41, STAGES, (96, 192, 384, 768), HALVED[1:]),
    "convnext_small": (59, STAGES, (96, 192, 384, 768), HALVED[1:]),
    "convnext_base": (59, STAGES, (128, 256, 512, 1024), HALVED[1:]),
    "convnext_large": (59, STAGES, (192, 384, 768, 1536), HALVED[1:]),
    "vit_b_16": (33, (), (), ()),
    "vit_b_32": (33, (), (), ()),
    "vit_l_16": (57, (), (), ()),
    "vit_l_32": (57, (), (), ()),
    "vit_h_14": (73, (), (), ()),
    "swin_t": (42, STAGES, (96, 192, 384, 768), HALVED[1:]),
    "swin_s": (66, STAGES, (96, 192, 384, 768), HALVED[1:]),
    "swin_b": (66, STAGES, (128, 256, 512, 1024), HALVED[1:]),
    "swin_v2_t": (42, STAGES, (96, 192, 384, 768), HALVED[1:]),
    "swin_v2_s": (66, STAGES, (96, 192, 384, 768), HALVED[1:]),
    "swin_v2_b": (66, STAGES, (128, 256, 512, 1024), HALVED[1:]),
    "maxvit_t": (154, ("stem", "blocks.0", "blocks.1", "blocks.2", "blocks"), (64, 64, 128, 256, 512), HALVED),
}


@pytest.mark.parametrize("name", list_archs())
def test_cuts_and_last_maps_are_those_of_the_graph_facts(name):
    cuts, names, channels, sizes = FACTS[name]
    found = skips(name)
    assert len(read_graph(name).places) + 1 == cuts
    assert tuple(place.name for place in found) == names
    assert tuple(place.shape[-1 if place.layout == MAP_LAST else 0] for place in found) == channels
    assert tuple(place.grid for place in found) == tuple((size, size) for size in sizes)
    assert all((place.layout == MAP_LAST) == name.startswith("swin") for place in found)
    assert len(legal_cuts(name)) >= 3


def test_liveness_follows_tuples_and_sizes_and_leaves_parameters_out():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

        def forward(self, x):
            scale = self.scale * 1
            left, right = x.chunk(2, 1)
            y = torch.cat([left, right], 1)
            count = y.size(0)
            z = y.relu()
            return (z * scale).view(count, -1)

    graph, names = record(Block())
    found = {names[node]: free for node, free in alone(graph).items()}
    assert not found["getitem"] and not found["cat"] and not found["relu"] and found["view"]


def test_nodes_go_by_the_paths_of_modules_and_repeated_ones_are_numbered():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU())

        def forward(self, x):
            return self.block(self.block(x) + 1) + 2

    names = list(record(Twice())[1].values())
    assert names == ["x", "block.0", "block.1", "add", "block.0_1", "block.1_1", "add_1", "output"]
    with Blank():
        graph = read_network(Twice())
    assert [place.name for place in graph.places] == ["block.0", "block.1", "add", "block.0_1", "block", "add_1"]


def test_windows_are_no_maps_and_no_places_to_cut():
    """maxvit's 49 and 64 count windows."""
    sizes = {cut.out_shape[1:] for cut in legal_cuts("maxvit_t")}
    assert sizes == {(112, 112), (56, 56), (28, 28), (14, 14), (7, 7)}
    assert len(legal_cuts("maxvit_t")) < len(read_graph("maxvit_t").features) + 1 < len(read_graph("maxvit_t").places)


def test_auxiliary_heads_are_in_no_body():
    assert read_graph("googlenet").unused == ("aux1", "aux2")
    assert read_graph("inception_v3").unused == ("AuxLogits",)


def test_other_threads_run_modules_while_one_traces():
    """torch.fx replaces nn.Module's methods while it traces: only the tracing thread may notice."""
    with Blank():
        network = to_blank(torchvision.models.mobilenet_v3_small())
    real = torchvision.models.squeezenet1_1().eval()
    x = torch.rand(1, 3, 64, 64)

    def run() -> torch.Tensor:
        with torch.no_grad():
            return real(x)

    expected = run()
    with ThreadPoolExecutor(4) as pool:
        traced = [pool.submit(record, network) for _ in range(4)]
        outs = [pool.submit(run) for _ in range(24)]
        assert all(torch.equal(out.result(), expected) for out in outs)
        assert len({len(future.result()[0].nodes) for future in traced}) == 1
    assert nn.Module.__call__.__module__ == "torch.nn.modules.module"


@pytest.mark.parametrize("name", list_archs())
def test_calls_alone_give_the_graph_that_torch_fx_gives(name):
    with Blank():
        network = to_blank(torchvision.models.get_model(name, **OPTIONS.get(name, {}))).eval()
    if name.startswith("vit") or name == "maxvit_t":  # they compute with a parameter, and go through a list of blocks
        with pytest.raises(ValueError, match="does more than call its children"):
            record_calls(network)
    else:
        assert told(*record_calls(network)) == told(*record(network, opened=True))


def told(graph: fx.Graph, names: dict[fx.Node, str]) -> list[tuple]:
    return [(names[node], node.op, str(node.target), str(node.args), str(node.kwargs)) for node in graph.nodes]


def test_a_recorded_network_is_left_as_it_was():
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Sequential(), nn.ReLU()).train()
    children = list(network.children())
    graph, names = record_calls(network)
    assert list(names.values()) == ["x", "0", "1", "2", "output"] and len(graph.nodes) == 5
    assert network.training and list(network.children()) == children
