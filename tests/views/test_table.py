"""The table of layers: own numbers only, so that every column adds up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from explorer.models.bodies import list_archs
from explorer.spec import BodySpec, ClassifierSpec
from explorer.trace.records import Trace, freeze_rows
from explorer.trace.tracer import trace
from explorer.ui.field_desk import fields
from explorer.views.fields import COLUMNS, jump, packed, sees
from explorer.views.measures import MEASURES, percent
from explorer.views.table import NUMBERS, table, table_text

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def classifier(arch: str, size: int = 224) -> Trace:
    return trace(ClassifierSpec(BodySpec(arch=arch, size=size)))


def rows_of(payload: dict) -> list[dict]:
    return [dict(zip(payload["columns"], row, strict=True)) for row in payload["rows"]]


@pytest.mark.parametrize("arch", list_archs())
def test_every_column_adds_up_to_the_totals_with_and_without_frames(arch):
    payload = table(freeze_rows(classifier(arch), 1))
    rows = rows_of(payload)
    for shown in (rows, [row for row in rows if not row["container"]]):
        assert [sum(row[name] for row in shown) for name in NUMBERS] == payload["totals"]


def test_a_row_a_module_in_the_order_of_the_run():
    record = classifier("resnet34")
    rows = rows_of(table(record))
    assert [row["qual"] for row in rows] == [layer.qual for layer in record.layers]


def test_words_are_said_once_and_lead_back_to_class_and_detail():
    record = classifier("squeezenet1_1")
    payload = table(record)
    assert len(payload["words"]) == len(set(payload["words"]))
    for row, layer in zip(rows_of(payload), record.layers, strict=True):
        assert payload["words"][row["cls"]] == layer.cls
        assert payload["words"][row["detail"]] == layer.detail
        assert payload["groups"][row["group"]] == layer.group


def test_a_failure_is_named_and_leaves_shapes_unknown():
    record = classifier("alexnet", size=32)
    payload = table(record)
    assert payload["failed"] == record.failure.qual
    assert rows_of(payload)[-1]["out_shape"] is None


def test_the_payload_is_safe_for_gradio():
    assert '"path"' not in json.dumps(table(classifier("densenet201")))


def test_fields_stand_beside_their_rows_each_once():
    spec = ClassifierSpec(BodySpec(arch="densenet121"))
    record, known = trace(spec), fields(spec)
    payload = table(record, known)["fields"]
    assert len(payload["list"]) == len(set(map(tuple, payload["list"]))) < len(payload["at"]) == len(record.layers)
    for layer, at in zip(record.layers, payload["at"], strict=True):
        assert known[layer.qual] == (payload["list"][at] if at >= 0 else None)
    assert "fields" not in table(record) and "fields" not in table(record, {})


def field(**numbers) -> list[float]:
    return [numbers.get(column, 0) for column in COLUMNS]


@pytest.mark.parametrize(
    ("numbers", "seen", "step"),
    [
        ({"height": 99, "width": 99, "jump_y": 8, "jump_x": 8}, "99×99", "8"),
        ({"height": 99, "width": 7.5, "jump_y": 8, "jump_x": 4, "gated": 1}, "99×7.5 +gate", "8×4"),
        ({"height": 224, "width": 224, "jump_y": 8, "jump_x": 8, "whole": 1, "gated": 1}, "all", ""),
        ({}, "nothing", "0"),
    ],
)
def test_a_field_in_words(numbers, seen, step):
    assert (sees(field(**numbers)), jump(field(**numbers))) == (seen, step)


def test_a_field_that_is_not_known_says_so():
    assert (sees(None), jump(None)) == ("?", "")
    assert packed({"0": None}, 64)["at"] == [-1]


def test_the_text_twin_stays_as_it_is():
    spec = ClassifierSpec(BodySpec(arch="squeezenet1_1"))
    assert table_text(trace(spec), fields(spec)) == (GOLDEN / "table_squeezenet1_1.txt").read_text()


def test_the_text_twin_does_without_fields():
    assert "sees" not in table_text(classifier("squeezenet1_1"))


def test_a_cost_that_is_laid_over_is_named_and_its_shares_add_up():
    described = classifier("squeezenet1_1")
    assert table(described)["measure"] is None
    assert table(described, measure=MEASURES["macs"])["measure"] == ["macs", "MACs"]
    lines = table_text(described, measure=MEASURES["macs"]).splitlines()
    assert lines[0].endswith("of MACs") and lines[-1].endswith("100 %") and "of " not in table_text(described)
    leaves = [row for row in described.layers if row.macs]
    told = [
        float(line[-8:].removesuffix(" %").split()[-1])
        for line in lines[1:-1]
        if line.endswith("%") and "<" not in line
    ]
    assert len(leaves) >= len(told) > 20 and sum(told) == pytest.approx(100, abs=6)


@pytest.mark.parametrize(
    ("part", "words"),
    [(0, ""), (0.0001, "< 0.1 %"), (0.0123, "1.2 %"), (0.184, "18 %"), (0.0996, "10 %"), (1, "100 %")],
)
def test_shares_are_told_in_per_cent(part, words):
    assert percent(part) == words
