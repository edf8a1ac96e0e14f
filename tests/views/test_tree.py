"""The tree: every module once, sums of what is below, repeats in one row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from explorer.models.bodies import list_archs
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec
from explorer.trace.records import EARLY, HEAD, LATE, MIXED, Layer, Trace, add_up, freeze_rows, inside
from explorer.trace.tracer import trace
from explorer.views.measures import MEASURES
from explorer.views.tree import FAILED, FOLD, FROZEN, KIDS, OPEN, Row, tree, tree_rows, tree_text

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def classifier(arch: str, size: int = 224, **head) -> Trace:
    return trace(ClassifierSpec(BodySpec(arch=arch, size=size), HeadSpec(**head)))


def named(rows: tuple[Row, ...]) -> dict[str, Row]:
    """Rows by qualified name, joined as the browser joins them: a fold's part is no part of what is in it."""
    bases, found = {0: ""}, {}
    for row in rows:
        qual = bases[row.depth] + row.part
        bases[row.depth + 1] = bases[row.depth] if row.flags & FOLD else qual + "."
        assert qual not in found
        found[qual] = row
    return found


def leaf(qual: str, group: str = EARLY, params: int = 10, cls: str = "Conv2d", **fields) -> Layer:
    name, depth = qual.rpartition(".")[2], qual.count(".")
    return Layer(qual, name, cls, depth, (3, 8, 8), (3, 8, 8), params, params, 100, 4, group, **fields)


def frame(qual: str, group: str = EARLY, name: str = "", cls: str = "Sequential") -> Layer:
    name = name or qual.rpartition(".")[2]
    return Layer(qual, name, cls, qual.count("."), (3, 8, 8), (3, 8, 8), 0, 0, 0, 0, group, container=True)


def made(*layers: Layer) -> Trace:
    return Trace(layers, (), add_up(layers), None)


@pytest.mark.parametrize("arch", list_archs())
def test_every_module_has_exactly_one_row_and_its_sums_are_those_of_the_records(arch):
    record = classifier(arch)
    rows = {qual: row for qual, row in named(tree_rows(record)).items() if not row.flags & FOLD}
    assert list(rows) == [layer.qual for layer in record.layers]
    for layer in record.layers:
        if layer.depth < 3:
            sums = add_up(inside(record.layers, layer.qual))
            row = rows[layer.qual]
            assert (row.params, row.macs, row.activation_bytes) == (sums.params, sums.macs, sums.activation_bytes)


@pytest.mark.parametrize("arch", list_archs())
def test_the_rows_below_a_row_add_up_to_it(arch):
    rows = tree_rows(classifier(arch))
    own = {layer.qual: layer.params for layer in classifier(arch).layers}
    for (qual, row), k in zip(named(rows).items(), range(len(rows)), strict=True):
        below = []
        for other in rows[k + 1 :]:
            if other.depth <= row.depth:
                break
            if other.depth == row.depth + 1:
                below.append(other)
        assert row.params == own.get(qual, 0) + sum(other.params for other in below)


@pytest.mark.parametrize("arch", list_archs())
def test_the_payload_is_small_and_safe_for_gradio(arch):
    payload = tree(classifier(arch))
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    assert len(text.encode()) < 60_000
    assert '"path"' not in text
    whole = len(payload["columns"])
    assert {len(row) for row in payload["rows"]} <= {4, whole - 1, whole}


@pytest.mark.parametrize("arch", ["resnet34", "efficientnet_b0", "maxvit_t", "regnet_y_400mf", "vit_b_16"])
def test_repeats_told_once_stand_for_all_their_rows(arch):
    described = classifier(arch)
    full: list = []
    begin: dict[int, int] = {}
    for line in tree(described)["rows"]:
        before, begin[line[0]] = begin.get(line[0], 0), len(full)
        full += [line] if len(line) > 4 else [line + full[before][4:], *full[before + 1 :]]
    rows = tree_rows(described)
    assert len(full) == len(rows)
    assert all(
        (depth, part, index, name, list(out or ()), params)
        == (r.depth, r.part, r.index, r.name, list(r.out_shape or ()), r.params)
        for (depth, part, index, name, _, out, params, *_), r in zip(full, rows, strict=True)
    )


def test_resnet34_reads_as_its_diagram():
    top = [row for row in tree_rows(classifier("resnet34")) if row.depth < 2]
    assert [(row.index, row.name, row.cls) for row in top[:7]] == [
        ("0", "body", "Sequential"),
        ("0–3", "stem", "Conv, BN, ReLU, MaxPool"),
        ("4", "layer1", "BasicBlock ×3"),
        ("5", "layer2", "BasicBlock ×4"),
        ("6", "layer3", "BasicBlock ×6"),
        ("7", "layer4", "BasicBlock ×3"),
        ("1", "head", "Sequential"),
    ]
    assert top[1].out_shape == (64, 56, 56)
    assert top[10].cls == "Dropout 0.25"


def test_identical_neighbours_are_one_row_that_holds_each_of_them():
    rows = named(tree_rows(classifier("resnet34")))
    fold = rows["0.6.1–5"]
    assert (fold.index, fold.cls, bool(fold.flags & FOLD)) == ("6.1–5", "BasicBlock ×5", True)
    assert fold.params == sum(rows[f"0.6.{k}"].params for k in range(1, 6))
    assert {rows[f"0.6.{k}"].depth for k in range(1, 6)} == {fold.depth + 1}
    assert rows["0.6.0"].depth == fold.depth


@pytest.mark.parametrize(("size", "folds"), [((3, 8, 8), True), ((3, 4, 4), False)])
def test_blocks_of_other_shapes_are_not_the_same(size, folds):
    blocks = [(frame(f"0.0.{k}", cls="Block"), leaf(f"0.0.{k}.conv")) for k in range(3)]
    blocks[2] = (blocks[2][0], Layer(**{**vars(blocks[2][1]), "out_shape": size}))
    layers = [frame("0", name="body"), frame("0.0"), leaf("0.0.a"), *(row for block in blocks for row in block)]
    found = [row.cls for row in tree_rows(made(*layers)) if row.flags & FOLD]
    assert ("Block ×3" in found) is folds


def test_many_of_one_structure_fold_together_and_the_row_names_what_differs():
    rows = tree_rows(classifier("densenet201"))
    folds = [row for row in rows if row.flags & FOLD and row.cls.startswith("_DenseLayer")]
    assert [(row.name, row.cls) for row in folds] == [
        ("denselayer1–6", "_DenseLayer ×6, in 64–224 channels"),
        ("denselayer1–12", "_DenseLayer ×12, in 128–480 channels"),
        ("denselayer1–48", "_DenseLayer ×48, in 256–1,760 channels"),
        ("denselayer1–32", "_DenseLayer ×32, in 896–1,888 channels"),
    ]
    members = [row for row in rows if row.cls == "_DenseLayer"]
    assert len(members) == 6 + 12 + 48 + 32
    assert sum(row.params for row in folds) == sum(row.params for row in members)


def test_a_difference_deep_inside_is_named_too():
    blocks = [
        [frame(f"0.0.{k}", cls="Block"), leaf(f"0.0.{k}.0"), leaf(f"0.0.{k}.1", cls="Dropout", detail=f"p 0.{k}")]
        for k in range(6)
    ]
    text = tree_text(made(frame("0"), frame("0.0"), *sum(blocks, []), frame("1", HEAD)))
    assert "Block ×6, p 0.0 to p 0.5" in text


def test_a_parent_with_one_kind_of_child_needs_no_fold():
    rows = named(tree_rows(classifier("resnet34")))
    assert "0.4.0–2" not in rows
    assert rows["0.4.0"].depth == 2


@pytest.mark.parametrize(("arch", "opened"), [("resnet34", {"0", "1"}), ("vgg11_bn", {"0", "0.0", "1"})])
def test_what_is_open_at_first_shows_the_stages(arch, opened):
    assert {qual for qual, row in named(tree_rows(classifier(arch))).items() if row.flags & OPEN} == opened


def test_a_mixed_row_knows_the_true_share_of_its_early_part():
    record = classifier("resnet34")
    body = tree_rows(record)[0]
    early = sum(layer.params for layer in record.layers if layer.group == EARLY)
    assert body.group == MIXED
    assert body.early == early / body.params
    assert {row.group for row in tree_rows(record)[1:]} == {EARLY, LATE, HEAD}


def test_frozen_rows_are_marked_down_to_the_weights_but_not_the_norms_that_learn():
    rows = named(tree_rows(freeze_rows(classifier("resnet34"), 1)))
    frozen = {qual for qual, row in rows.items() if row.flags & FROZEN}
    assert {"0.0–3", "0.0", "0.4", "0.4.0", "0.4.0.conv1", "0.5.1–3"} <= frozen
    assert not {"0", "0.1", "0.2", "0.4.0.bn1", "0.6", "1"} & frozen


def test_norms_that_do_not_learn_either_are_frozen_too():
    rows = named(tree_rows(freeze_rows(classifier("resnet34"), True, train_bn=False)))
    assert rows["0"].flags & FROZEN
    assert rows["0.1"].flags & FROZEN
    assert not rows["1"].flags & FROZEN


def test_a_failure_is_marked_and_what_follows_has_no_shape():
    record = classifier("alexnet", size=32)
    payload, rows = tree(record), named(tree_rows(record))
    assert payload["failure"] == {"qual": record.failure.qual, "reason": record.failure.reason}
    assert [qual for qual, row in rows.items() if row.flags & FAILED] == [record.failure.qual]
    assert rows["0.0.0"].out_shape == (64, 7, 7)
    assert rows["1.8"].out_shape is None


def test_a_head_knob_leaves_the_names_of_the_body_alone():
    before = [qual for qual in named(tree_rows(classifier("resnet34"))) if qual.startswith("0")]
    after = [qual for qual in named(tree_rows(classifier("resnet34", pool="avg"))) if qual.startswith("0")]
    assert before == after


def test_only_rows_with_something_below_can_be_unfolded():
    rows = tree_rows(classifier("densenet121"))
    for row, following in zip(rows, rows[1:], strict=False):
        assert bool(row.flags & KIDS) == (following.depth > row.depth)


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("resnet34", lambda: freeze_rows(classifier("resnet34"), 1)),
        ("alexnet_32px", lambda: classifier("alexnet", size=32)),
    ],
)
def test_the_text_twin_stays_as_it_is(name, record):
    assert tree_text(record()) == (GOLDEN / f"tree_{name}.txt").read_text()


def test_the_text_twin_tells_of_repeats_once():
    lines = tree_text(classifier("resnet152")).splitlines()
    assert sum("6.1–35" in line for line in lines) == 1
    assert not any(line.lstrip().startswith("6.2 ") for line in lines)


@pytest.mark.parametrize("field", ["params", "macs", "activation_bytes"])
def test_a_mixed_row_is_split_by_the_cost_that_is_shown(field):
    record = trace(ClassifierSpec())
    measure = next(measure for measure in MEASURES.values() if measure.field == field)
    body = tree_rows(record, measure)[0]
    early = sum(getattr(layer, field) for layer in record.layers if layer.group == EARLY)
    assert body.group == MIXED and 0 < body.early < 1
    assert body.early == pytest.approx(early / getattr(body, field))
