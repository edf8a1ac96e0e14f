"""The ribbon's data: stages, cuts, head, groups, failures and words, from real traces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from explorer.models.bodies import legal_cuts, list_archs, resolve_cut
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec
from explorer.trace.records import EARLY, HEAD, LATE
from explorer.trace.tracer import trace
from explorer.views.ribbon import body_stages, ribbon, ribbon_text, weights_words

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
DRAWN = tuple(
    name
    for name in list_archs()
    if name.startswith(("resnet", "squeezenet", "densenet", "vgg", "alexnet")) and name != "resnet152"
)
SEVERAL = ("resnet34", "vgg13_bn", "squeezenet1_0", "densenet121", "alexnet")
DEEP_HEAD = HeadSpec(lin_ftrs=(512, 400, 300, 256, 200, 128, 96, 64), bn_final=True)


def spec_of(arch="resnet34", head=None, n_out=37, **body):
    return ClassifierSpec(BodySpec(arch=arch, **body), head or HeadSpec(), n_out)


def draw(spec, **options):
    return ribbon(spec, trace(spec), legal_cuts(spec.body.arch), **options)


def stages_of(arch, **body):
    return {stage["name"]: stage for stage in draw(spec_of(arch, **body))["stages"]}


@pytest.mark.parametrize("arch", ["resnet34", "vgg16_bn", "densenet121"])
def test_reads_as_in_the_golden_file(arch):
    text = ribbon_text(draw(spec_of(arch), frozen=1, lrs=(1e-5, 1e-4, 1e-3)))
    assert text == (GOLDEN / f"ribbon_{arch}.txt").read_text()


@pytest.mark.parametrize("arch", ["resnet18", "swin_t", "swin_v2_t", "convnext_tiny", "densenet121"])
def test_a_rectangle_keeps_its_shape_through_the_stages(arch):
    size = (96, 160)
    drawn = draw(spec_of(arch, size=size))
    assert (drawn["size"], drawn["input"]["shape"], drawn["failure"]) == (size, [3, *size], None)
    for _, height, width in (stage["shape"] for stage in drawn["stages"]):
        assert abs(height / width - size[0] / size[1]) < 0.15
    assert [s["name"] for s in drawn["stages"]] == list(stages_of(arch))


@pytest.mark.parametrize("arch", DRAWN)
def test_is_small_and_plain_json(arch):
    for head, most in ((HeadSpec(), 8_000), (DEEP_HEAD, 14_000)):
        sent = json.dumps(draw(spec_of(arch, head=head), lrs=1e-3), ensure_ascii=False, separators=(",", ":"))
        assert len(sent.encode()) < most
        assert '"path":' not in sent  # Gradio would take it for a file


@pytest.mark.parametrize("arch", DRAWN)
def test_stages_hold_the_whole_body_and_head_rods_the_whole_head(arch):
    spec = spec_of(arch)
    traced, drawn = trace(spec), draw(spec)
    for column in ("params", "macs"):
        parts = [*drawn["stages"], *drawn["head"]]
        assert sum(part[column] for part in parts) == getattr(traced.totals, column)
    assert len({stage["name"] for stage in drawn["stages"]}) == len(drawn["stages"])


@pytest.mark.parametrize("arch", DRAWN)
def test_no_weights_of_a_stage_belong_to_another_group_except_a_norm_split_from_its_convolution(arch):
    for stage in body_stages(trace(spec_of(arch))):
        foreign = [row for row in stage.rows if row.params and row.group != stage.group]
        assert all(row.norm for row in foreign)  # vgg13_bn: fastai's constant 22 falls between the two


@pytest.mark.parametrize("arch", SEVERAL)
def test_every_legal_cut_is_found_again_and_lies_right_of_the_one_before(arch):
    cuts = legal_cuts(arch)
    for i, cut in enumerate(cuts):
        for asked in {cut.name, cut.index} - {None}:
            drawn = draw(spec_of(arch, cut=asked))
            assert drawn["cut"] == i
            places = [row["at"] for row in drawn["cuts"][: i + 1]]
            assert places == sorted(set(places)) and places[-1] == len(drawn["stages"])
            assert all("shape" in row and "at" not in row for row in drawn["cuts"][i + 1 :])


def test_a_cut_is_found_by_a_negative_count_and_by_a_containers_last_element():
    for cut in (-3, "layer3.5"):
        drawn = draw(spec_of(cut=cut))
        assert drawn["cuts"][drawn["cut"]]["name"] == resolve_cut("resnet34", cut).name == "layer3"


def test_boundaries_of_children_are_counted_from_the_end_and_places_inside_go_by_name():
    words = {cut["name"]: cut.get("word", cut["name"]) for cut in draw(spec_of(cut="layer3.2"))["cuts"]}
    assert words["layer4"] == "−2" and words["layer3"] == "−3" and words["conv1"] == "−9"
    assert words["layer3.2"] == "layer3.2"


def test_a_stem_shows_its_shape_before_the_pool_and_counts_what_follows_as_its_own():
    stem = stages_of("resnet34")["stem"]
    assert stem["shape"] == [64, 112, 112] and stem["quals"] == ["0.0", "0.1", "0.2", "0.3"] and stem["face"] == "0.2"


@pytest.mark.parametrize(
    ("arch", "names"),
    [
        ("resnet152", ["stem", "layer1", "layer2", "layer3", "layer4"]),
        ("densenet201", ["stem", "denseblock1", "denseblock2", "denseblock3", "denseblock4"]),
        ("squeezenet1_1", ["features.0–2", "features.3–5", "features.6–8", "features.9–12"]),
        ("vgg16_bn", ["features.0–6", "features.7–13", "features.14–23", "features.24–33", "features.34–43"]),
        ("alexnet", ["features.0–2", "features.3–5", "features.6–12"]),
        ("convnext_tiny", ["features.0–1", "features.2–3", "features.4–5", "features.6–7"]),
        ("mnasnet1_0", ["layers.0–7", "layers.8", "layers.9", "layers.10–11", "layers.12–16"]),
        ("vit_b_16", ["stem", "layer_0–5", "layer_6–11"]),
        ("maxvit_t", ["stem", "blocks.0", "blocks.1", "blocks.2", "blocks.3"]),
    ],
)
def test_stages_have_the_names_that_the_architecture_gives_them(arch, names):
    assert list(stages_of(arch)) == names


def test_a_body_cut_before_its_blocks_still_calls_its_first_layers_a_stem():
    assert list(stages_of("resnet34", cut="conv1")) == ["stem"]
    assert list(stages_of("squeezenet1_1", cut="features.1")) == ["features.0–1"]


@pytest.mark.parametrize(
    ("arch", "cut", "behind", "stage"),
    [
        ("vgg16_bn", None, "features.43", "features.34–43"),
        ("squeezenet1_1", None, "features.12", "features.9–12"),
        ("mobilenet_v3_large", None, "features.16", "features.13–16"),
        ("efficientnet_b0", None, "features.8", "features.6–8"),
        ("convnext_tiny", None, "features.7", "features.6–7"),
        ("swin_t", None, "features.7 + permute", "features.6–7"),
        ("densenet121", None, "denseblock4 + relu", "denseblock4"),
        ("vit_b_16", None, "layer_11 + ln", "layer_6–11"),
        ("vit_b_16", "encoder.layers.encoder_layer_5", "layer_5", "layer_0–5"),
        ("squeezenet1_1", "features.10.squeeze_activation", "features.10…activation", "features.9–10"),
        ("maxvit_t", "blocks.2.layers.4.layers.window_attention", "blocks.2…4.attention", "blocks.2"),
        ("regnet_y_400mf", "trunk_output.block3", "block3", "block3"),
    ],
)
def test_a_cut_and_the_slabs_it_lies_behind_are_called_alike(arch, cut, behind, stage):
    drawn = draw(spec_of(arch, cut=cut))
    assert (drawn["behind"], drawn["stages"][-1]["name"]) == (behind, stage)
    assert f"cut after {behind}," in drawn["headline"]


@pytest.mark.parametrize("arch", ["vit_b_16", "maxvit_t", "squeezenet1_1", "regnet_y_400mf", "inception_v3"])
def test_short_names_of_cuts_are_short_and_all_different(arch):
    names = [cut.get("brief", cut["name"]) for cut in draw(spec_of(arch))["cuts"]]
    assert len(set(names)) == len(names) and max(map(len, names)) <= 24


def test_a_transition_is_the_first_slab_of_the_dense_block_it_leads_to():
    block = stages_of("densenet121")["denseblock3"]
    assert (block["blocks"], block["slabs"], block["group"]) == (24, 25, "late")
    assert block["quals"] == ["0.0.transition2", "0.0.denseblock3"]
    alone = stages_of("densenet121", cut="features.transition2")["transition2"]
    assert alone["slabs"] == 1 and alone["shape"] == [256, 14, 14]


def test_frozen_groups_and_rates_are_said_on_the_rail():
    words = [group["words"] for group in draw(spec_of(), frozen=1, lrs=(1e-5, 1e-4, 1e-3))["groups"]]
    assert words == ["Body, early: frozen, 1.3 M", "Body, late: rate 1e-4, 19.9 M", "Head: rate 1e-3, 0.55 M"]
    assert [group["frozen"] for group in draw(spec_of())["groups"]] == [True, True, False]
    assert [group["frozen"] for group in draw(spec_of(), frozen=False)["groups"]] == [False, False, False]
    short_body = draw(spec_of(cut="layer2"), frozen=0, lrs=(1e-5, 1e-4, 1e-3))["groups"]
    assert [group["brief"] for group in short_body] == ["early: rate 1e-4", "head: rate 1e-3"]


def test_frozen_stages_are_marked():
    frozen = {stage["name"]: stage["frozen"] for stage in draw(spec_of(), frozen=1)["stages"]}
    assert frozen == {"stem": True, "layer1": True, "layer2": True, "layer3": False, "layer4": False}


def test_headline_and_what_is_borrowed():
    drawn = draw(spec_of(), n_classes_word="breeds")
    assert drawn["headline"] == "resnet34, cut after layer4, new head for 37 breeds"
    assert drawn["subline"] == "21.3 M borrowed weights, 0.55 M new ones"
    assert draw(spec_of(weights="random"))["subline"] == draw(spec_of(), weights="random")["subline"]
    assert draw(spec_of(weights="random"))["subline"] == "21.3 M random weights"
    assert draw(spec_of(weights="somewhere/mine.pth"))["subline"].startswith("21.3 M weights from mine.pth")
    assert draw(spec_of("densenet121", cut="features.transition1"))["behind"] == "transition1"


def test_what_is_thrown_away_is_named_and_weighed():
    assert draw(spec_of())["dropped"] == {"names": "avgpool, fc 1000", "words": "thrown away, 0.51 M"}
    assert draw(spec_of(cut="layer2"))["dropped"]["names"] == "layer3, layer4, avgpool, fc 1000"
    assert draw(spec_of(cut="layer3.2"))["dropped"]["names"] == "layer3.3 … fc 1000"


@pytest.mark.parametrize("pool", ["concat", "avg", "max"])
def test_the_head_is_a_rod_for_each_layer(pool):
    head = draw(spec_of(head=HeadSpec(pool=pool, lin_ftrs=(256,), bn_final=True)))["head"]
    assert [rod["kind"] for rod in head] == [pool, "flat", "bn", "drop", "lin", "relu", "bn", "drop", "out", "bn"]
    features = 1024 if pool == "concat" else 512
    assert [rod["width"] for rod in head] == [features] * 4 + [256] * 4 + [37] * 2


def test_a_head_that_cannot_take_a_map_fails_at_its_first_layer_and_the_rest_is_unknown():
    drawn = draw(spec_of(head=HeadSpec(pool=None)))
    assert [rod["state"] for rod in drawn["head"]] == ["failed"] + ["unknown"] * 6
    assert [rod["width"] for rod in drawn["head"]] == [512] * 6 + [37]
    assert drawn["failure"]["words"] == "512×7×7 ≠ 512" and drawn["failure"]["fix"] == "Pool with concat"
    assert all(stage["state"] == "ok" for stage in drawn["stages"]) and drawn["faces_key"]


def test_a_picture_too_small_fails_in_the_stage_and_slab_it_breaks_in():
    drawn = draw(spec_of("alexnet", size=32))
    assert [stage["state"] for stage in drawn["stages"]] == ["ok", "ok", "failed"]
    assert drawn["stages"][-1]["failed"] == 2 and drawn["failure"]["words"] == "1×1 < 3×3"
    assert {rod["state"] for rod in drawn["head"]} == {"unknown"} and drawn["faces_key"] is None


def test_stages_behind_a_failure_are_unknown():
    drawn = draw(spec_of("vgg16_bn", size=10))
    states = [stage["state"] for stage in drawn["stages"]]
    assert states == ["ok", "ok", "ok", "failed", "unknown"] and drawn["stages"][-1]["shape"] is None
    assert "Failed" in ribbon_text(drawn)


@pytest.mark.parametrize("cut", [None, "encoder.layers.encoder_layer_5"])
def test_a_network_that_refuses_its_picture_is_marked_at_the_photo(cut):
    drawn = draw(spec_of("vit_b_16", size=64, cut=cut))
    assert drawn["input"]["state"] == "failed" and drawn["failure"]["words"] == "64×64 ≠ 224×224"
    assert {stage["state"] for stage in drawn["stages"]} == {"unknown"}
    assert "photo, 3×64×64, fails here" in ribbon_text(drawn) and "state" not in draw(spec_of("vit_b_16"))["input"]
    assert drawn["failure"]["title"] == "The model stops inside VisionTransformer"


def test_a_head_that_runs_and_ends_in_a_map_is_marked_at_its_end():
    body = BodySpec("resnet18", "random", "layer1", 256)
    drawn = draw(ClassifierSpec(body, HeadSpec(pool=None, first_bn=False, lin_ftrs=())))
    assert drawn["head"][-1]["state"] == "failed" and drawn["failure"]["words"] == "64×64×37 ≠ 37"
    assert drawn["failure"]["title"] == "The model stops at the end of its head"


def test_windows_that_do_not_fit_are_told_with_their_multiple():
    failure = draw(spec_of("maxvit_t", size=64))["failure"]
    assert failure["words"] == "16×16 ≠ 7·n" and failure["title"].endswith("at … window_attention.partition_op")


def test_groups_of_the_trace_are_all_there_are():
    assert {row.group for row in trace(spec_of()).layers if not row.container} == {EARLY, LATE, HEAD}


@pytest.mark.parametrize(
    ("n", "words"), [(9408, "9,408"), (85_800, "85.8 k"), (546_304, "0.55 M"), (21_284_672, "21.3 M")]
)
def test_weights_are_counted_in_words(n, words):
    assert weights_words(n) == words
