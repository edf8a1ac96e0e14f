"""Two designs side by side: signed differences, knobs in the page's words, layers aligned."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from explorer import link
from explorer.models.bodies import legal_cuts
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec, TrainSpec
from explorer.trace.records import EARLY, Layer, Trace, add_up, freeze_rows
from explorer.trace.tracer import trace
from explorer.views.compare import (
    ADDED,
    CHANGED,
    EQUAL,
    FIELDS,
    GONE,
    TRAIN_FIELDS,
    Design,
    Row,
    compare,
    compare_text,
    difference,
    layer_rows,
    ratio,
)
from explorer.views.ribbon import NO_RIBBON, marked, ribbon, ribbon_text


def spec_of(arch="resnet34", head=None, n_out=37, **body):
    return ClassifierSpec(BodySpec(arch=arch, **body), head or HeadSpec(), n_out)


def design(spec=None, behind="layer4", **train):
    spec, train = spec or spec_of(), TrainSpec(**train)
    return Design(spec, freeze_rows(trace(spec), train.frozen, train.train_bn), behind, train)


def rows_of(a: ClassifierSpec, b: ClassifierSpec) -> tuple[tuple[Row, ...], dict[str, int]]:
    return layer_rows(trace(a), trace(b))


def at(rows: tuple[Row, ...], depth: int, state: str | None = None) -> list[Row]:
    return [row for row in rows if row.depth == depth and state in (None, row.state)]


def leaf(qual: str, cls: str = "Conv2d", out=(3, 8, 8), **fields) -> Layer:
    return Layer(qual, qual.rpartition(".")[2], cls, qual.count("."), (3, 8, 8), out, 10, 10, 100, 4, EARLY, **fields)


def frame(qual: str, cls: str = "Sequential") -> Layer:
    name = qual.rpartition(".")[2]
    return Layer(qual, name, cls, qual.count("."), (3, 8, 8), (3, 8, 8), 0, 0, 0, 0, EARLY, container=True)


def made(*layers: Layer) -> Trace:
    return Trace(layers, (), add_up(layers), None)


def listed(*classes: str) -> Trace:
    return made(frame("0"), *(leaf(f"0.{k}", cls) for k, cls in enumerate(classes)))


# ---- totals ----


def test_differences_are_signed_from_a_to_b():
    assert difference(21_830_976, 25_600_000) == "+3.8 M"
    assert difference(25_600_000, 21_830_976) == "−3.8 M"
    assert difference(7, 7) == "the same"


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (100, 117, "+17 %"),
        (100, 92, "−8.0 %"),
        (100, 1_000, "×10"),
        (100, 999, "+899 %"),
        (100, 0, "−100 %"),
        (0, 5, ""),
        (5, 5, ""),
        (10**7, 10**7 + 1, "< 0.1 %"),
    ],
)
def test_the_ratio_is_a_share_of_a_or_a_multiple(a, b, words):
    assert ratio(a, b) == words


def test_totals_of_both_sides_and_which_way_they_go():
    a, b = design(), design(spec_of("resnet50"))
    sums = {row["label"]: row for row in compare(a, b)["totals"]}
    assert sums["parameters"]["exact"] == f"{a.trace.totals.params:,} → {b.trace.totals.params:,}"
    assert sums["parameters"]["diff"] == "+3.8 M" and sums["parameters"]["way"] == 1
    assert sums["parameters"]["shares"][1] == 1 and 0.8 < sums["parameters"]["shares"][0] < 0.9
    back = {row["label"]: row for row in compare(b, a)["totals"]}
    assert all(back[label]["way"] == -sums[label]["way"] for label in sums)


def test_freezing_changes_only_what_trains():
    sums = compare(design(), design(frozen=False))["totals"]
    assert [row["label"] for row in sums if row["way"]] == ["trainable"]


def test_what_a_model_that_fails_would_compute_is_not_known():
    broken = spec_of(head=HeadSpec(pool=None))
    assert trace(broken).failure
    for a, b in ((design(), design(broken)), (design(broken), design())):
        payload = compare(a, b)
        unknown = [row["label"] for row in payload["totals"] if row["way"] is None]
        assert unknown == ["MACs", "activations"]
        assert "?" in compare_text(payload) and "not known" in compare_text(payload)


# ---- knobs ----


def test_every_field_of_the_specs_has_words():
    places = {field.place for field in (*FIELDS, *TRAIN_FIELDS)}
    assert places == {field.place for field in link.FIELDS[ClassifierSpec]}


def test_only_what_differs_is_named_in_the_words_of_the_page():
    a = design(lr=1e-3)
    b = design(spec_of(head=HeadSpec(pool="avg", lin_ftrs=(512, 256), bn_final=True), size=320), lr=1e-2, frozen=1)
    payload = compare(a, b)
    assert payload["fields"] == [
        ["Image size", "224 px", "320 px"],
        ["Pooling", "concat", "average"],
        ["Head layers", "512", "512 · 256"],
        ["bn_final", "off", "on"],
    ]
    assert payload["train"] == [["Rate", "1e-3", "1e-2"], ["Frozen groups", "2 of 3", "1 of 3"]]
    assert payload["same"] == f"{len(FIELDS) + len(TRAIN_FIELDS) - 6} other knobs are the same."


@pytest.mark.parametrize("place", [field.place for field in link.FIELDS[ClassifierSpec]])
def test_a_changed_field_is_never_passed_over(place):
    other = {
        "body.arch": "resnet50", "body.weights": "random", "body.cut": "layer3", "body.size": 96, "body.n_in": 1,
        "head.pool": None, "head.lin_ftrs": (7,), "head.ps": 0.1, "head.first_bn": False, "head.bn_final": True,
        "head.lin_first": True, "head.y_range": (0.0, 1.0), "n_out": 2, "train.data": "folder:/home/me/pets/",
        "train.data_size": "large", "train.difficulty": 0.9, "train.valid_pct": 0.5, "train.epochs": 9,
        "train.lr": 0.5, "train.lrs": (0.1, 0.2, 0.3), "train.batch_size": 7, "train.frozen": 0,
        "train.train_bn": False, "train.schedule": "flat", "train.freeze_epochs": 3, "train.wd": 0.3,
        "train.augment": "none", "train.seed": 5,
    }[place]  # fmt: skip
    base = Design(spec_of(), trace(spec_of()), "layer4")
    if place.startswith("train."):
        changed = replace(base, train=link.put(base.train, place.removeprefix("train."), other))
    else:
        changed = replace(base, spec=link.put(base.spec, place, other), behind="layer3")
    payload = compare(base, changed)
    assert len(payload["fields"] + payload["train"]) == 1
    assert "/home" not in json.dumps(payload)


def test_the_same_place_under_another_name_is_no_difference():
    assert compare(design(), design(spec_of(cut="layer4")))["fields"] == []
    assert compare(design(), design())["same"] == "All knobs are the same."


# ---- layers ----


def test_a_design_equals_itself():
    payload = compare(design(), design())
    assert payload["counts"] == {"equal": 100, "changed": 0, "gone": 0, "added": 0}
    assert payload["summary"] == "All 100 layers are equal."
    assert {row[1] for row in payload["rows"]} == {EQUAL}


def test_a_shallower_cut_takes_the_last_stage_and_narrows_the_head():
    rows, counts = rows_of(spec_of(cut="layer3"), spec_of())
    assert [row.name for row in at(rows, 1, ADDED)] == ["layer4"]
    fold = next(row for row in rows if row.count)
    assert (fold.name, fold.cls) == ("conv1–layer3", "73 equal layers")
    assert counts == {"equal": 77, "changed": 6, "gone": 0, "added": 17}
    linear = next(row for row in rows if "Linear" in row.cls[0] and row.state == CHANGED)
    assert linear.params == ("262 k", "524 k")


def test_what_is_added_one_way_is_gone_the_other():
    specs = spec_of(), spec_of("resnet50")
    there, back = rows_of(*specs)[1], rows_of(*reversed(specs))[1]
    assert (there["equal"], there["added"], there["gone"]) == (back["equal"], back["gone"], back["added"])


def test_every_layer_of_both_is_counted_once():
    for a, b in (("resnet34", "resnet50"), ("vgg16_bn", "densenet121"), ("squeezenet1_0", "alexnet")):
        one, other = trace(spec_of(a)), trace(spec_of(b))
        counts = layer_rows(one, other)[1]
        leaves = [sum(not layer.container for layer in side.layers) for side in (one, other)]
        assert counts["equal"] + counts["changed"] + counts["gone"] == leaves[0]
        assert counts["equal"] + counts["changed"] + counts["added"] == leaves[1]


def test_stages_of_two_resnets_stand_side_by_side():
    rows, _ = rows_of(spec_of(), spec_of("resnet50"))
    stages = [row for row in at(rows, 1, CHANGED) if row.name in ("layer1", "layer2", "layer3", "layer4")]
    assert [row.cls for row in stages] == [(f"BasicBlock ×{n}", f"Bottleneck ×{n}") for n in (3, 4, 6, 3)]
    assert stages[0].shape == ("64×56×56", "256×56×56")


def test_a_deeper_stage_adds_its_last_blocks():
    rows, _ = rows_of(spec_of("resnet50"), spec_of("resnet101"))
    layer3 = next(row for row in rows if row.name == "layer3")
    below = rows[rows.index(layer3) + 1 :]
    assert (below[0].state, below[0].name) == (EQUAL, "0–5")
    added = next(row for row in below if row.state == ADDED)
    assert (added.name, added.cls) == ("6–22", "Bottleneck ×17")


def test_another_size_changes_shapes_and_nothing_else():
    rows, counts = rows_of(spec_of(), spec_of(size=320))
    assert counts["gone"] == counts["added"] == 0 and counts["changed"] > 80
    assert all(isinstance(row.params, str) and isinstance(row.cls, str) for row in rows)
    stem = next(row for row in rows if row.name == "conv1")
    assert stem.shape == ("64×112×112", "64×160×160")


def test_another_hidden_layer_stands_before_the_outputs():
    rows, _ = rows_of(spec_of(), spec_of(head=HeadSpec(lin_ftrs=(512, 256))))
    body, head = at(rows, 0)
    assert body.state == EQUAL and head.state == CHANGED
    last = at(rows, 1)[-1]
    assert last.state == CHANGED and last.shape == ("in 512", "in 256")
    added = next(row for row in rows if row.state == ADDED)
    assert added.cls.startswith("Dropout 0.25") or added.count


def test_nothing_is_paired_that_has_nothing_in_common():
    rows, _ = layer_rows(listed("Conv2d", "ReLU"), listed("Linear", "Dropout"))
    assert {row.state for row in at(rows, 1)} == {GONE, ADDED}


def test_layers_keep_their_order_and_the_most_find_a_partner():
    rows, counts = layer_rows(listed("A", "B", "C", "D"), listed("B", "C", "A", "D"))
    assert counts == {"equal": 3, "changed": 0, "gone": 1, "added": 1}
    assert [row.state for row in rows if not row.count and row.depth] == [GONE, EQUAL, EQUAL, ADDED, EQUAL]


def test_a_frame_around_all_features_does_not_hide_what_is_alike():
    rows, _ = rows_of(spec_of(), spec_of("densenet121"))
    stem = at(rows, 1)[0]
    assert stem.state == EQUAL and stem.cls == "4 equal layers"
    assert "denseblock1" in [row.name for row in at(rows, 1, ADDED)]


def test_rows_of_b_carry_the_names_that_the_page_picks_by():
    b = trace(spec_of("resnet50"))
    rows, _ = layer_rows(trace(spec_of()), b)
    quals = [row.qual for row in rows if row.qual]
    assert set(quals) <= {layer.qual for layer in b.layers} and len(quals) == len(set(quals))
    assert set(quals) == {layer.qual for layer in b.layers}
    assert not any(row.qual for row in rows if row.state == GONE or row.count)


def test_reading_the_text_shows_every_difference():
    text = compare_text(compare(design(spec_of(cut="layer3"), "layer3"), design()))
    lines = text.splitlines()
    assert lines[:2] == ["A  resnet34, cut after layer3", "B  resnet34, cut after layer4"]
    assert any(line.split() == ["parameters", "8.5", "M", "21.8", "M", "+13.4", "M", "+158", "%"] for line in lines)
    assert any(line.startswith("+    layer4") for line in lines)
    assert "Layers: 77 equal, 6 changed, 17 only in B." in lines
    assert not any("conv2" in line for line in lines)


def test_two_large_models_are_sent_small():
    payload = compare(design(spec_of("densenet201")), design(spec_of("resnet152")))
    sent = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    assert len(sent.encode()) < 90_000 and '"path":' not in sent


# ---- the ribbons ----


def test_the_pinned_ribbon_is_to_be_looked_at_only():
    spec = spec_of()
    plain = ribbon(spec, trace(spec), legal_cuts("resnet34"), notice={"kind": "info"}, loading=True)
    a, b = marked(plain, "A"), marked(plain, "B")
    assert a["pinned"] and a["notice"] is None and not a["loading"]
    assert b == {**plain, "mark": "B"} and marked(plain, "")["mark"] == ""
    assert ribbon_text(a).startswith("A · resnet34") and ribbon_text(plain) == ribbon_text(marked(plain, ""))
    assert "stages" not in NO_RIBBON
