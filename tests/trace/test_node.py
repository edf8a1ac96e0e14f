"""Where a body stops, in the words of torchvision's feature extraction."""

from __future__ import annotations

import pytest
from torchvision.models import get_model
from torchvision.models.feature_extraction import get_graph_node_names

from explorer.models.meta import Blank
from explorer.trace.node import last_node, whole_layer
from explorer.trace.tracer import blank_body


@pytest.mark.parametrize(
    ("arch", "cut", "node"),
    [
        ("resnet18", "layer1.0.add", "layer1.0.add"),
        ("resnet18", "layer3", "layer3"),
        ("vit_b_32", None, "encoder"),
        ("swin_t", "features.1", "features.1"),
        ("squeezenet1_1", "features.9.squeeze", "features.9.squeeze"),
    ],
)
def test_a_body_ends_with_a_node_that_torchvision_knows(arch: str, cut: str | None, node: str):
    parts = blank_body(arch, cut, 3)
    assert (last_node(parts), whole_layer(parts)) == (node, "")
    with Blank():
        train, evaluation = get_graph_node_names(get_model(arch, weights=None))
    for known in (train, evaluation):
        assert any(f"{name}.".startswith(f"{node}.") for name in known)


@pytest.mark.parametrize(
    ("arch", "cut"),
    [("mobilenet_v2", "features.0.0"), ("mobilenet_v2", "features.1.conv.0.1"), ("regnet_y_400mf", "stem.1")],
)
def test_a_layer_that_torchvision_takes_whole_has_to_be_opened(arch: str, cut: str):
    parts = blank_body(arch, cut, 3)
    assert (last_node(parts), whole_layer(parts)) == (cut, cut.rpartition(".")[0])
