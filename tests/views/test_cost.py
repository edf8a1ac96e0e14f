"""What a model costs and where: parts that add up, the model as text for the server, sentences with both figures."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from explorer import link
from explorer.spec import BodySpec, ClassifierSpec, TrainSpec
from explorer.trace.records import Trace
from explorer.trace.tracer import trace
from explorer.views import cost as views
from explorer.views.cost import by_part, cost, norms_keep, parts, size_words, slowest, too_large

FAMILIES = ("resnet34", "densenet201", "mobilenet_v2", "vit_b_16", "vgg16_bn", "swin_t", "regnet_y_400mf", "maxvit_t")


def spec_of(arch: str, size: int = 224) -> ClassifierSpec:
    return ClassifierSpec(BodySpec(arch, weights="random", size=size))


def traced(arch: str, size: int = 224) -> Trace:
    return trace(spec_of(arch, size))


def payload(arch: str, size: int = 224, train: TrainSpec | None = None, frozen: int = 2) -> dict:
    return json.loads(json.dumps(cost(spec_of(arch, size), traced(arch, size), train or TrainSpec(), frozen)))


@pytest.mark.parametrize("arch", FAMILIES)
def test_parts_add_up_to_the_totals(arch):
    found, totals = parts(traced(arch)), traced(arch).totals
    assert sum(part.params for part in found) == totals.params
    assert sum(part.macs for part in found) == totals.macs
    assert sum(part.activation_bytes for part in found) == totals.activation_bytes


@pytest.mark.parametrize("arch", FAMILIES)
def test_parts_are_few_and_each_can_be_picked(arch):
    found = parts(traced(arch))
    assert 4 <= len(found) <= 12
    assert len({part.qual for part in found}) == len(found)
    assert {part.qual for part in found} <= {layer.qual for layer in traced(arch).layers}


def test_a_resnet_has_its_stages_and_its_head():
    found = parts(traced("resnet34"))
    assert [part.name for part in found] == ["stem", "layer1", "layer2", "layer3", "layer4", "head"]
    assert [part.what for part in found][1:3] == ["BasicBlock ×3", "BasicBlock ×4"]
    assert found[4].params == 13_114_368


def test_what_stands_outside_the_stages_is_a_part_of_its_own():
    rest = parts(traced("vit_b_16"))[-1]
    assert (rest.qual, rest.params) == ("0", 768 + 197 * 768)  # class token and positions; the stages have the norm
    assert parts(traced("resnet34"))[-1].name == "head"


def test_numbers_by_name_are_summed_up_for_each_part():
    found = parts(traced("resnet34"))
    sums = by_part(found, {"0.0": 1, "0.4.1.conv1": 10, "0.4": 100, "1.8": 1000, "0.40": 7})
    assert sums[:2] == [1, 110] and sums[-1] == 1000 + 7


def test_what_a_container_of_parts_keeps_counts_where_its_work_ends():
    found = parts(traced("densenet201"))
    assert by_part(found, {"0.0": 5})[4] == 5
    tokens = parts(traced("vit_b_16"))
    assert by_part(tokens, {"0.0": 5})[-1] == 5


def test_the_text_for_the_server_leads_back_to_the_model():
    train = TrainSpec(train_bn=False, lr=0.1, epochs=9, batch_size=64)
    back = link.from_json(payload("resnet34", 128, train, frozen=1)["spec"])
    assert back.spec == spec_of("resnet34", 128)
    assert (back.train.frozen, back.train.train_bn) == (1, False)


def test_what_does_not_change_the_cost_does_not_change_the_text():
    spec, other = spec_of("resnet34"), replace(spec_of("resnet34"), body=BodySpec("resnet34", "/secret/weights.pth"))
    texts = {views.asked_about(s, TrainSpec(epochs=n, batch_size=n), 2) for n, s in ((1, spec), (7, other))}
    assert len(texts) == 1 and "secret" not in texts.pop()


def test_the_value_says_what_the_trainer_does_and_the_batch_of_the_page():
    value = payload("resnet34", train=TrainSpec(batch_size=48))
    assert (value["batch"], value["size"], value["failure"]) == (48, 224, "")
    assert value["trainer"] == {"precision": "float32", "optimizer": "adamw"}


def test_a_model_that_does_not_run_has_parameters_and_a_reason_only():
    value = payload("alexnet", 32)
    assert value["failure"] == traced("alexnet", 32).failure.reason
    assert all(part["macs"] is None and part["bytes"] is None and part["params"] for part in value["parts"])


def test_the_slowest_layers_come_first_with_their_share():
    times = {"0.4.0.conv1": 3.0, "0.0": 5.0, "1.8": 2.0}
    rows = slowest(traced("resnet34"), times, top=2)
    assert [(row["qual"], row["name"], row["share"]) for row in rows] == [
        ("0.0", "conv1", 0.5), ("0.4.0.conv1", "layer1.0.conv1", 0.3),
    ]  # fmt: skip
    assert rows[0]["cls"].startswith("Conv2d 3→64 7×7") and rows[0]["group"] == "body-early"


def test_a_network_that_was_opened_gives_its_layers_no_class_in_front():
    name = "0.0.encoder.layers.encoder_layer_0.mlp.0"
    assert slowest(traced("vit_b_16"), {name: 1.0})[0]["name"] == "encoder.layers.encoder_layer_0.mlp.0"


@pytest.mark.parametrize(
    ("n", "words"),
    [(2_916_301_760, "2.92 GB"), (23_216_488_864, "23.2 GB"), (2_631_560_516_768, "2,632 GB"), (473_000_000, "473 MB"),
     (13_500_000, "13.5 MB"), (12_900, "13 kB")],
)  # fmt: skip
def test_bytes_for_people(n, words):
    assert size_words(n) == words


def test_a_step_that_does_not_fit_says_what_would():
    said = too_large(66_800_000_000, 33_700_000_000, "this machine", 2048, 1015)
    assert said == "A batch of 2,048 needs 66.8 GB and this machine has 33.7 GB: the largest batch that fits is 1,015."
    assert "not even one picture" in too_large(2, 1, "this GPU", 1, None)
    assert too_large(1, 1, "this machine", 1, None) == ""


def test_norm_layers_that_keep_much_more_are_worth_a_sentence_with_both_figures():
    said = norms_keep(2_916_301_760, 473_000_000)
    assert "2.92 GB" in said and "473 MB" in said and "train_bn" in said
    assert norms_keep(1_000_000, 990_000) == ""
