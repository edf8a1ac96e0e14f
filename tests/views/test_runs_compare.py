"""Runs side by side, and runs to take away."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

from explorer.spec import ClassifierSpec, HeadSpec, TrainSpec
from explorer.views.runs import LETTERS, Asked, Row, knobs_of
from explorer.views.runs_compare import compare
from explorer.views.runs_export import as_csv


def row(name: str, pool: str, best: float, seconds: float, **more) -> Row:
    summary = {"done": 2, "metrics": {"accuracy": best}, "best": {"valid_loss": 1 - best, "accuracy": best},
               "seconds": seconds, "params": 21_800_000, "trainable": 600_000}  # fmt: skip
    knobs = knobs_of(ClassifierSpec(head=HeadSpec(pool=pool)), TrainSpec())
    return Row(name, "classifier", "finished", 1.0, knobs=knobs, summary=summary, **more)


def epoch_of(k: int) -> dict:
    return {"epoch": k, "train_loss": 1.0 / k, "valid_loss": 2.0 / k, "metrics": [["accuracy", 0.1 * k]]}


ROWS = [row("a", "concat", 0.9, 30.0), row("b", "max", 0.8, 20.0), row("c", "avg", 0.7, 25.0)]
EPOCHS = dict.fromkeys("abc", [epoch_of(k) for k in (1, 2)])


def cells(made: dict, label: str) -> list[tuple[str, bool]]:
    line = next(line for line in made["table"] if line["label"] == label)
    return [(cell["text"], cell["best"]) for cell in line["cells"]]


def test_the_knobs_that_differ_and_the_best_of_each_metric_are_told():
    made = compare(ROWS, EPOCHS, Asked(picked=("a", "b")))
    assert made["title"] == "Two side by side"
    assert cells(made, "Pooling") == [("concat", False), ("max", False)]
    assert cells(made, "Best accuracy") == [("0.900", True), ("0.800", False)]
    assert cells(made, "Best valid loss") == [("0.100", True), ("0.200", False)]
    assert cells(made, "Time") == [("30 s", False), ("20 s", True)]
    assert cells(made, "Parameters") == [("21.8 M", False), ("21.8 M", False)]
    assert [curve["name"] for curve in made["curves"]] == ["concat", "max"]
    assert made["same"] == f"{len(ROWS[0].knobs) - 1} other knobs are the same. Bold is best."


def test_the_curve_is_the_one_that_was_asked_for():
    for against, expected in (("valid_loss", [2.0, 1.0]), ("train_loss", [1.0, 0.5]), ("metric", [0.1, 0.2])):
        made = compare(ROWS, EPOCHS, Asked(picked=("b",), against=against))
        assert made["curves"][0]["y"] == expected and made["curves"][0]["x"] == [1, 2]
    assert made["label"] == "accuracy"


def test_nothing_picked_is_no_comparison_and_a_run_that_is_gone_is_left_out():
    assert compare(ROWS, EPOCHS, Asked()) is None
    assert [curve["letter"] for curve in compare(ROWS, EPOCHS, Asked(picked=("gone", "c")))["curves"]] == ["A"]


def test_equal_values_have_no_best():
    made = compare([ROWS[0], replace(ROWS[0], id="b")], EPOCHS, Asked(picked=("a", "b")))
    assert not any(cell["best"] for line in made["table"] for cell in line["cells"])


def test_no_more_are_compared_than_there_are_letters():
    rows = [replace(ROWS[0], id=str(i)) for i in range(12)]
    made = compare(rows, {}, Asked(picked=tuple(str(i) for i in range(12))))
    assert len(made["letters"]) == len(LETTERS)


def test_a_table_holds_knobs_results_and_no_formula():
    text = as_csv([*ROWS[:2], replace(ROWS[2], name="=HYPERLINK(1)", note='a, "b"\nc')])
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [line["pool"] for line in lines] == ["concat", "max", "avg"]
    assert [float(line["best_accuracy"]) for line in lines] == [0.9, 0.8, 0.7]
    assert (lines[2]["name"], lines[2]["note"]) == ("'=HYPERLINK(1)", 'a, "b"\nc')


def test_what_looks_equal_is_equally_good():
    rows = [row("a", "concat", 0.9, 30.2), row("b", "max", 0.8, 30.4), row("c", "avg", 0.9, 31.4)]
    made = compare(rows, EPOCHS, Asked(picked=("a", "b", "c")))
    assert cells(made, "Time") == [("30 s", True), ("30 s", True), ("31 s", False)]
    assert cells(made, "Best accuracy") == [("0.900", True), ("0.800", False), ("0.900", True)]
    same = compare(rows[:2], EPOCHS, Asked(picked=("a", "b")))
    assert cells(same, "Time") == [("30 s", False), ("30 s", False)]
