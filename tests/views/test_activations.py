"""Figures and pictures of activations as the widget draws them."""

from __future__ import annotations

import io
import json
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from explorer.spec import BodySpec, ClassifierSpec, HeadSpec
from explorer.trace.activation_records import ChannelMaps, Histogram, LayerStats, Look
from explorer.trace.records import Trace
from explorer.trace.tracer import trace
from explorer.views.activations import (
    activations,
    answer,
    default_layer,
    layer_words,
    one_map,
    own_paths,
    sheet,
)


@pytest.fixture(scope="module")
def resnet() -> Trace:
    return trace(ClassifierSpec(BodySpec("resnet18", size=64), n_out=3))


def figures(qual: str = "0.2", **change) -> LayerStats:
    return replace(LayerStats(qual, "ReLU", (3, 2, 2), 0.123456, 1.0, 0.0, 9.0, 0.25), **change)


def maps(**change) -> ChannelMaps:
    pictures = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    plain = ChannelMaps(
        stats=figures(), histogram=Histogram(0.0, 9.0, (3, 9)), grid=(2, 2), count=64, channels=(2, 0, 1),
        energies=(3.0, 2.0, 0.0), lows=(0.0,) * 3, highs=(1.0,) * 3, pictures=pictures,
    )  # fmt: skip
    return replace(plain, **change)


def pixels(uri: str) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(b64decode(uri.partition(",")[2]))).convert("RGBA"))


def test_the_value_names_the_model_with_the_weights_in_use():
    spec = ClassifierSpec(BodySpec("resnet18"), HeadSpec(lin_ftrs=(64,), y_range=(0, 5)))
    value = json.loads(json.dumps(activations(spec, trace(spec), weights="random", notice={"title": "Not reachable."})))
    body, head = value["spec"].pop("body"), value["spec"].pop("head")
    assert body["weights"] == "random" and value["note"] == "Not reachable."
    again = ClassifierSpec(BodySpec(**body), HeadSpec(**head), **value["spec"])
    assert again == replace(spec, body=replace(spec.body, weights="random"))
    assert value["failure"] == ""


def test_only_a_failure_of_the_body_hides_everything():
    body = ClassifierSpec(BodySpec("alexnet", size=16))
    assert "needs" in activations(body, trace(body))["failure"]
    head = ClassifierSpec(BodySpec("resnet18", size=64), HeadSpec(pool=None))
    assert trace(head).failure and activations(head, trace(head))["failure"] == ""


def test_the_answer_names_the_layer_as_people_do(resnet: Trace):
    said = answer(Look((figures("0.0"), figures("0.4.0.conv1"), figures("1.8")), maps()), resnet, ("a note",))
    assert said["layer"] == {
        "qual": "0.2", "name": "relu", "cls": "ReLU", "detail": "inplace", "group": "body-early", "shape": (3, 2, 2),
    } | {"detail": said["layer"]["detail"]}  # fmt: skip
    assert said["network"]["names"] == ["conv1", "layer1.0.conv1", "head.8"]
    assert said["network"]["groups"] == ["body-early", "body-early", "head"]
    assert (said["kind"], said["mean"], said["notes"]) == ("maps", 0.1235, ["a note"])
    json.dumps(said, allow_nan=False)


def test_a_vector_has_values_and_no_sheet(resnet: Trace):
    vector = maps(grid=(1, 1), values=(5.0, -2.0, 0.0), stats=figures("1.8", shape=(3,)))
    said = answer(Look((), vector), resnet)
    assert said["kind"] == "vector" and said["values"] == [5.0, -2.0, 0.0] and said["sheet"] is None


def test_without_a_picked_layer_the_network_still_stands(resnet: Trace):
    said = answer(Look((figures(),), None), resnet)
    assert said["kind"] == "none" and "layer" not in said and said["network"]["quals"] == ["0.2"]


def test_what_json_cannot_say_becomes_nothing(resnet: Trace):
    lost = figures(mean=None, std=float("inf"), low=float("nan"), high=None)
    said = answer(Look((lost,), maps(stats=lost, energies=(float("inf"), 1.0, 0.0))), resnet)
    assert said["std"] is None and said["energies"][0] is None and said["network"]["means"] == [None]
    json.dumps(said, allow_nan=False)


@pytest.mark.parametrize("gutter", [0, 1])
def test_a_sheet_holds_every_map_in_its_place(gutter):
    pictures = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3)
    drawn = sheet(pictures, columns=2, gutter=gutter)
    assert (drawn["columns"], drawn["rows"], drawn["tile"], drawn["gutter"]) == (2, 3, (2, 3), gutter)
    shown, tall, wide = pixels(drawn["uri"]), 2 + 2 * gutter, 3 + 2 * gutter
    assert shown.shape == (3 * tall, 2 * wide, 4) and (shown[..., :3] == 255).all()
    for k in range(5):
        top, left = tall * (k // 2) + gutter, wide * (k % 2) + gutter
        assert np.array_equal(shown[top : top + 2, left : left + 3, 3], pictures[k])
        assert shown[top - gutter, left, 3] == pictures[k][0, 0], "the edge is repeated, not the neighbour's"
    assert not shown[2 * tall :, wide:, 3].any()


def test_a_sheet_is_no_larger_than_its_pixels():
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 64), dtype=np.uint8)
    assert len(sheet(noise)["uri"]) < 1.5 * noise.nbytes


def test_one_map_comes_alone(resnet: Trace):
    large = one_map(maps(channels=(7,), pictures=np.full((1, 4, 6), 9, np.uint8), grid=(4, 6)))
    assert large["channel"] == 7 and pixels(large["uri"]).shape[:2] == (4, 6)


def test_the_first_layer_shown_is_an_activation_function(resnet: Trace):
    assert default_layer(resnet) == "0.2"
    assert default_layer(replace(resnet, layers=())) is None
    plain = tuple(layer for layer in resnet.layers if layer.cls != "ReLU" or layer.qual.startswith("1."))
    assert default_layer(replace(resnet, layers=plain)) == "0.0"


def test_paths_are_the_architectures_own(resnet: Trace):
    paths = own_paths(resnet.layers)
    assert (paths["0"], paths["0.4"], paths["0.4.1.bn2"], paths["1"], paths["1.2"]) == (
        "body", "layer1", "layer1.1.bn2", "head", "head.2",
    )  # fmt: skip


def test_layers_of_a_run_are_called_as_people_do(resnet: Trace):
    assert layer_words(["0.2", "0.4.0.relu", "1.8", "9.9"], resnet) == {
        "names": ["relu", "layer1.0.relu", "head.8", "9.9"],
        "groups": ["body-early", "body-early", "head", ""],
        "cls": ["ReLU", "ReLU", "Linear", ""],
    }
