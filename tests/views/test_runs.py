"""Runs as a table: filtered, grouped with spread, on one axis; the line before them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from explorer import link
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec, TrainSpec, UnetSpec
from explorer.views.runs import KNOBS, Asked, Row, can, counted, differing, knobs_of, line_of, table

AT_FIRST = Asked()


def row(name: str, value: float | None = None, *, pool="concat", seed=0, state="finished", **more) -> Row:
    summary = {"done": 2, "metrics": {"accuracy": value}, "seconds": 9.0} if value is not None else {}
    knobs = knobs_of(ClassifierSpec(head=HeadSpec(pool=pool)), TrainSpec(seed=seed))
    return Row(id=name, family="classifier", state=state, created=1.0, knobs=knobs, summary=summary, **more)


RUNS = [
    row("a", 0.9, seed=0),
    row("b", 0.8, seed=1),
    row("c", 0.7, pool="max", seed=0),
    row("d", 0.1, pool="max", seed=1, state="failed", reason="It broke."),
    row("e", pool="max", seed=2, state="queued", place=1, wait=3.0),
]


@pytest.mark.parametrize("spec", [ClassifierSpec(), UnetSpec()])
def test_every_field_of_a_link_has_a_word(spec):
    assert {field.key for field in link.FIELDS[type(spec)]} <= set(KNOBS)
    assert all(knobs_of(spec, TrainSpec()).values())


def test_a_group_has_the_mean_and_the_spread_of_its_finished_runs():
    made = table(RUNS, replace(AT_FIRST, group="pool"))
    assert [group["title"] for group in made["groups"]] == ["concat", "max"]
    concat, largest = made["groups"]
    assert (concat["mean"], concat["sd"]) == (pytest.approx(0.85), pytest.approx(0.0707, abs=1e-4))
    assert concat["about"] == "2 seeds" and concat["mixed"] == ""
    assert (largest["values"], largest["sd"]) == ([0.7], None)
    assert [one["id"] for one in largest["rows"]] == ["c", "e", "d"]


def test_what_differs_besides_the_group_is_told():
    mixed = [row("a", 0.9), replace(row("b", 0.8), knobs={**row("b").knobs, "lr": "1e-2", "arch": "resnet18"})]
    made = table([*mixed, row("c", 0.5, pool="max")], replace(AT_FIRST, group="pool"))
    assert made["groups"][0]["mixed"] == "body and rate differ, too" and made["groups"][0]["about"] == "2 runs"


def test_the_axis_fits_all_values_but_those_of_failed_runs():
    axis = table(RUNS, AT_FIRST)["axis"]
    assert axis["label"] == "accuracy" and 0.65 < axis["low"] < 0.7 and 0.9 < axis["high"] < 0.95
    by_id = {one["id"]: one for one in table(RUNS, AT_FIRST)["groups"][0]["rows"]}
    assert (by_id["d"]["on_axis"], by_id["d"]["value"], by_id["a"]["on_axis"]) == (False, None, True)


def test_a_run_with_another_metric_stands_beside_the_axis():
    knobs = knobs_of(UnetSpec(), TrainSpec())
    unet = Row("u", "unet", "finished", 1.0, knobs=knobs, summary={"metrics": {"accuracy": 0.9, "miou": 0.5}})
    shown = {one["id"]: one for one in table([*RUNS, unet], AT_FIRST)["groups"][0]["rows"]}["u"]
    assert (shown["metric"], shown["value"], shown["on_axis"]) == ("mIoU", 0.5, False)


def test_what_is_shown_can_be_narrowed():
    pinned = replace(RUNS[1], pinned=True, name="My Best", note="for Tuesday")
    runs = [RUNS[0], pinned, *RUNS[2:]]

    def ids(**asked) -> str:
        return "".join(one["id"] for one in table(runs, replace(AT_FIRST, **asked))["groups"][0]["rows"])

    assert ids() == "bacde"
    assert (ids(show="pinned"), ids(show="failed"), ids(show="live")) == ("b", "d", "e")
    assert (ids(search="tuesday best"), ids(search="max"), ids(search="nothing like it")) == ("b", "cde", "")


def test_a_long_list_shows_its_beginning_and_says_how_many_follow():
    made = table([row(str(i), 0.5) for i in range(100)], replace(AT_FIRST, most=10))
    assert (len(made["groups"][0]["rows"]), made["groups"][0]["more"], made["of"]) == (10, 90, 100)


def test_a_group_shows_its_best_and_all_that_is_picked_or_under_way():
    runs = [row(str(i), 0.5 - i / 100, seed=i) for i in range(9)] + [
        row("w", seed=9, state="running"),
        row("x", 0.9, pool="max"),
    ]
    asked = replace(AT_FIRST, group="pool", picked=("7",))
    concat = table(runs, asked)["groups"][1]
    assert [one["id"] for one in concat["rows"]] == ["0", "1", "2", "3", "7", "w"] and concat["more"] == 4
    assert table(runs, replace(asked, open=("concat",)))["groups"][1]["more"] == 0
    assert {one["id"]: one["letter"] for one in concat["rows"]}["7"] == "A"


def test_knobs_that_differ_come_in_the_forms_order_and_the_seed_last():
    assert differing(RUNS) == ("pool", "seed")
    other = knobs_of(ClassifierSpec(BodySpec("resnet18")), TrainSpec())
    assert differing([*RUNS, replace(RUNS[0], knobs=other)]) == ("arch", "pool", "seed")


def test_what_can_be_done_depends_on_the_state():
    done = {"done": 1}
    expected = {
        "queued": ["stop", "again"],
        "running": ["pause", "stop", "again"],
        "paused": ["resume", "stop", "again"],
        "finished": ["again", "go_on"],
        "failed": ["again", "go_on"],
    }
    assert {state: can(replace(RUNS[0], state=state, summary=done)) for state in expected} == expected
    assert can(replace(RUNS[0], state="failed", summary={"done": 0})) == ["again"]


def test_the_count_is_a_sentence():
    assert counted(RUNS) == "5 runs of yours, 1 waits"
    assert counted([row("a", state="running"), row("b", state="paused")]) == "2 runs of yours, 1 trains, 1 rests"
    assert counted([]) == "no run yet"


def test_others_runs_have_no_names_in_the_line():
    line = line_of([(RUNS[4], 3.0), (None, None)], [(None, 5.0)])
    assert [(one["place"], one["title"], one["seconds"]) for one in line] == [
        (0, "someone else’s", 5.0), (1, "resnet34, max", 3.0), (2, "someone else’s", None),
    ]  # fmt: skip
    assert line[2]["id"] == ""
