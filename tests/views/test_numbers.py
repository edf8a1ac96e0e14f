"""Numbers for people, and the row of big numbers."""

from __future__ import annotations

import pytest

from explorer.spec import BodySpec, ClassifierSpec, HeadSpec
from explorer.trace.tracer import trace
from explorer.views.numbers import megabytes, numbers, rate, shape, short


@pytest.mark.parametrize(
    ("n", "words"), [(0, "0"), (9408, "9,408"), (21_830_976, "21.8 M"), (546_304, "546 k"), (3_663_792_640, "3.7 G")]
)
def test_counts_are_short(n, words):
    assert short(n) == words


@pytest.mark.parametrize(("lr", "words"), [(1e-3, "1e-3"), (2.5e-4, "2.5e-4"), (0.01, "1e-2"), (3, "3e0"), (0, "0")])
def test_rates_are_written_as_people_type_them(lr, words):
    assert rate(lr) == words


def test_shapes_and_bytes():
    assert shape((512, 7, 7)) == "512×7×7" and shape(None) == "?" and megabytes(38_535_168) == "38.5 MB"


def test_the_row_is_the_traces_totals():
    row = {number["key"]: number for number in numbers(trace(ClassifierSpec()), ms=38.24)}
    assert list(row) == ["params", "macs", "memory", "outputs", "ms"]
    assert row["params"]["value"] == 21_830_976 and row["params"]["caption"] == "parameters, 21.8 M train"
    assert row["params"]["exact"].startswith("21,830,976 parameters")
    assert row["outputs"]["value"] == 37 and row["ms"]["value"] == 38.2
    assert row["memory"]["value"] == trace(ClassifierSpec()).totals.activation_bytes


@pytest.mark.parametrize(
    "spec", [ClassifierSpec(head=HeadSpec(pool=None)), ClassifierSpec(BodySpec(arch="alexnet", size=32))]
)
def test_what_a_broken_model_would_cost_is_not_known(spec):
    row = {number["key"]: number["value"] for number in numbers(trace(spec))}
    assert row["params"] > 0
    assert row["macs"] is row["memory"] is row["outputs"] is row["ms"] is None
