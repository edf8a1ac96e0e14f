"""The wiring picture's data: rows, skips, signs, quals, words and failures, from real traces and plans."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from explorer.models.build import pyramid_of, wiring_of
from explorer.spec import TASKS, BodySpec, DecoderSpec, UnetSpec
from explorer.trace.records import inside
from explorer.trace.tracer import trace
from explorer.views.wiring import wiring, wiring_text

DRAWN = ("resnet34", "vgg16_bn", "densenet121", "convnext_tiny", "swin_t", "efficientnet_b0", "inception_v3")
SEVERAL = (*DRAWN, "squeezenet1_1", "alexnet", "mobilenet_v2", "shufflenet_v2_x1_0", "regnet_y_400mf", "maxvit_t")
SIZES = (224, (97, 131))


def spec_of(arch="resnet34", size=224, task="segmentation", n_out=32, **decoder):
    return UnetSpec(BodySpec(arch, "random", size=size), DecoderSpec(**decoder), n_out, task)


def draw(spec, **options):
    """The picture of a spec; of one that does not run, with the plan for 224 px."""
    known = spec if trace(spec).failure is None else replace(spec, body=replace(spec.body, size=224))
    return wiring(spec, trace(spec), wiring_of(known), pyramid_of(known.body).taps, **options)


def kinds(up):
    return [mark["kind"] for mark in up["marks"]]


def fired(payload):
    return {up["name"]: mark["words"] for up in payload["ups"] for mark in up["marks"] if mark.get("fires")}


def test_the_resnet_reads_as_a_person_would_tell_it():
    text = wiring_text(draw(spec_of(), frozen=1))
    assert text.startswith("resnet34 down, pixel shuffle up, 32 classes per pixel\n")
    for line in (
        "The photo goes in as 3×224×224.",
        "stem makes 64×112×112 of it: 9,536 parameters, frozen.",
        "layer4 makes 512×7×7 of it, the encoder's last map: 13.1 M parameters, learning.",
        "Two middle convolutions make 512×7×7 1024 channels wide, then 512×7×7.",
        "Block 1 doubles 512×7×7 to 256×14×14 by pixel shuffle, joins layer3's 256×14×14 to 512×14×14 and convolves "
        "that to 512×14×14.",
        "At full size one more pixel shuffle doubles 96×112×112 to 96×224×224; the photo itself joins: 99×224×224 go "
        "through a residual block.",
        "A 1×1 convolution gives 32 scores for each pixel: 32×224×224.",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize("arch", DRAWN)
@pytest.mark.parametrize("size", SIZES)
def test_is_small_and_plain_json(arch, size):
    sent = json.dumps(draw(spec_of(arch, size), lrs=(1e-5, 1e-4, 1e-3)), ensure_ascii=False, separators=(",", ":"))
    assert len(sent.encode()) < 12_000
    assert '"path":' not in sent  # Gradio would take it for a file


@pytest.mark.parametrize("arch", SEVERAL)
@pytest.mark.parametrize("kind", ["unet", "nearest"])
def test_rows_are_resolutions_and_a_skip_lies_level(arch, kind):
    drawn = draw(spec_of(arch, kind=kind))
    rows, ups = [stage["row"] for stage in drawn["encoder"]], [up["row"] for up in drawn["ups"]]
    assert rows == sorted(set(rows)) and rows[0] >= 1 and rows[-1] == drawn["rows"]
    assert ups == list(range(drawn["rows"] - 1, -1, -1))
    for skip in drawn["skips"]:
        assert rows[skip["source"]] == ups[skip["block"] - 1]
    assert len({stage["name"] for stage in drawn["encoder"]}) == len(rows)


@pytest.mark.parametrize("arch", SEVERAL)
def test_stages_hold_the_whole_encoder_once_and_every_qual_names_a_module(arch):
    spec = spec_of(arch)
    layers, drawn = trace(spec).layers, draw(spec)
    known = {layer.qual for layer in layers}
    held = [row.qual for stage in drawn["encoder"] for qual in stage["quals"] for row in inside(layers, qual)]
    assert len(held) == len(set(held))
    assert {row.qual for row in inside(layers, "encoder") if not row.container} <= set(held)
    assert all(stage["qual"] in known for stage in drawn["encoder"])
    pieces = [drawn["middle"], *drawn["ups"], drawn["output"]]
    named = {qual for piece in pieces for qual in piece["quals"]} | {
        up["join_qual"] for up in drawn["ups"] if "join_qual" in up
    }
    named |= {mark["qual"] for piece in pieces for mark in piece.get("marks", ())}
    assert named - {""} <= known
    assert {row.qual.split(".")[1] for row in inside(layers, "decoder")[1:] if row.params} <= {
        qual.split(".")[1] for qual in named if qual
    }


@pytest.mark.parametrize("arch", DRAWN)
@pytest.mark.parametrize("size", SIZES)
def test_resizes_fire_where_the_plan_says_and_tell_both_sizes(arch, size):
    spec = spec_of(arch, size)
    plan, drawn = wiring_of(spec), draw(spec)
    assert [any(m.get("fires") for m in up["marks"]) for up in drawn["ups"][: len(plan.steps)]] == [
        step.resized for step in plan.steps
    ]
    assert any(mark.get("fires") for mark in drawn["ups"][-1]["marks"]) == plan.resized
    told = next(mark for mark in drawn["marks"] if mark["kind"] == "resize")
    assert told["fires"] == bool(fired(drawn))


def test_a_square_resize_is_told_with_one_side_and_a_rectangle_with_both():
    assert fired(draw(spec_of(size=225)))["up 1"] == "16 becomes 15"
    assert fired(draw(spec_of(size=(97, 131))))["up 4"] == "50×66 becomes 49×66"
    assert "nearest resize: idle at 224 px" in [mark["words"] for mark in draw(spec_of())["marks"]]


@pytest.mark.parametrize("arch", ["convnext_tiny", "swin_t"])
def test_a_large_first_step_gets_a_row_without_a_stage_and_a_resize_that_fills(arch):
    drawn = draw(spec_of(arch))
    assert [up["name"] for up in drawn["ups"]] == ["up 1", "up 2", "up 3", "last shuffle", "ResBlock 195"]
    assert 1 not in [stage["row"] for stage in drawn["encoder"]] and fired(drawn) == {"ResBlock 195": "112 becomes 224"}
    assert "×2" in drawn["subline"]


def test_skips_are_numbered_from_the_deepest_and_switched_off_one_by_one():
    drawn = draw(spec_of(skips=(0, 1, 3)))
    assert [(skip["number"], skip["on"], skip["words"]) for skip in drawn["skips"]] == [
        (0, True, "256×14×14"),
        (1, True, "128×28×28"),
        (2, False, "64×56×56"),
        (3, True, "64×112×112"),
    ]
    third = drawn["ups"][2]
    assert third["join"] == "off" and third["shape"] == [192, 56, 56] and third["notes"] == ["256 with its skip"]
    assert kinds(third) == ["shuffle"] and "The skip from layer1, 64×56×56, is off." in third["say"]
    assert drawn["subline"] == "3 of 4 skips on"


def test_without_any_skip_the_last_map_is_all_there_is():
    drawn = draw(spec_of(skips=(), last_cross=False))
    assert "512×7×7" in drawn["subline"] and {up["join"] for up in drawn["ups"]} == {"off"}
    top = drawn["ups"][-1]
    assert top["name"] == "full size" and top["cross"] and "last_cross is off" in top["say"]
    assert "join" not in [mark["kind"] for mark in drawn["marks"]]


@pytest.mark.parametrize("kind", ["nearest", "transposed"])
@pytest.mark.parametrize("arch", ["resnet34", "vgg16_bn", "vit_b_16"])
def test_plain_decoders_have_signs_of_their_own_and_no_skips(kind, arch):
    drawn = draw(spec_of(arch, kind=kind))
    steps = [up for up in drawn["ups"] if up["quals"]]
    assert all(kinds(up) == [kind] and not up["join"] for up in steps) and len(steps) >= 4
    assert drawn["middle"] is None and drawn["skips"] == [] and "No skips" in drawn["subline"]
    ends = [
        mark for piece in (drawn["ups"][-1], drawn["output"]) for mark in piece["marks"] if mark["kind"] == "resize"
    ]
    assert len(ends) == 1


def test_a_plain_decoder_at_an_odd_size_is_resized_before_its_output():
    drawn = draw(spec_of(kind="nearest", size=97))
    assert drawn["output"]["notes"] == ["128 becomes 97"] and drawn["output"]["say"].startswith("A nearest resize")


def test_a_body_of_one_scale_only_doubles():
    drawn = draw(spec_of("vit_b_16"))
    assert [(stage["name"], stage["row"]) for stage in drawn["encoder"]] == [("vit_b_16", 4)]
    assert drawn["skips"] == [] and "nothing to skip from" in drawn["subline"]
    assert [up["join"] for up in drawn["ups"]] == ["", "", "", "on"]


def test_blur_attention_and_cap_are_drawn_where_they_act():
    drawn = draw(spec_of(blur=True, blur_final=False, self_attention=True))
    assert [("blur" in kinds(up), up.get("attention", False)) for up in drawn["ups"]] == [
        (True, False),
        (True, True),
        (True, False),
        (False, False),
        (False, False),
    ]
    assert {"blur", "attention"} <= {mark["kind"] for mark in drawn["marks"]}
    capped = draw(spec_of("resnet50", width_cap=256))["ups"]
    assert [up["shape"][0] for up in capped[:4]] == [256, 128, 64, 32]


def test_frozen_stages_and_groups_are_told():
    drawn = draw(spec_of(), frozen=1, lrs=(1e-5, 1e-4, 1e-3))
    assert [(s["name"], s["group"], s["frozen"]) for s in drawn["encoder"]] == [
        ("stem", "early", True),
        ("layer1", "early", True),
        ("layer2", "early", True),
        ("layer3", "late", False),
        ("layer4", "late", False),
    ]
    words = [group["words"] for group in drawn["groups"]]
    assert words[:2] == ["Body, early: frozen, 1.3 M", "Body, late: rate 1e-4, 19.9 M"]
    assert words[2].startswith("Decoder: rate 1e-3")


@pytest.mark.parametrize(
    ("task", "n_out", "name", "words"),
    [
        ("segmentation", 11, "scores", "11 classes per pixel"),
        ("super_resolution", 3, "picture", "a sharp picture"),
        ("colour", 3, "picture", "a picture in colours"),
        ("style", 3, "picture", "a picture in another style"),
        ("style_image", 3, "picture", "one picture's pixels learn"),
    ],
)
def test_the_output_is_called_what_the_task_makes(task, n_out, name, words):
    drawn = draw(spec_of(task=task, n_out=n_out))
    assert drawn["output"]["name"] == name and drawn["headline"].endswith(words)


def test_every_task_has_its_words():
    assert all(draw(spec_of(task=task, n_out=3))["headline"] for task in TASKS)


def test_an_encoder_that_cannot_run_keeps_what_stands_before_the_fault():
    drawn = draw(spec_of("alexnet", size=32))
    assert drawn["failure"]["fix"] and "features.12" in drawn["failure"]["title"] and drawn["faces_key"] is None
    assert [stage["state"] for stage in drawn["encoder"]] == ["ok", "ok", "ok", "failed"]
    assert drawn["encoder"][0]["shape"] == [64, 7, 7] and drawn["encoder"][-1]["shape"] is None
    assert {piece["state"] for piece in (drawn["middle"], *drawn["ups"], drawn["output"])} == {"unknown"}
    assert not fired(drawn) and {skip["words"] for skip in drawn["skips"]} == {"?"}
    assert "fails here" in wiring_text(drawn)


def test_without_a_plan_only_the_failure_is_told():
    spec = spec_of("vit_b_16", size=96)
    drawn = wiring(spec, trace(spec), None, ())
    assert drawn["rows"] == 0 and drawn["failure"]["fix"] == "Set the size to 224 px"
    assert wiring_text(drawn).endswith(drawn["failure"]["text"] + "\n")
