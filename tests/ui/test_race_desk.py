"""A race on a queue of fake runs: fair to others, whole without its page, and deaf to strangers."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from explorer import link
from explorer.jobs.pace import drawn_pictures, machine_speed
from explorer.jobs.queue import Queue
from explorer.jobs.store import Store
from explorer.race import RACERS
from explorer.spec import BodySpec, ClassifierSpec, TrainSpec, UnetSpec
from explorer.ui.race_desk import MOST_RACES, RaceDesk
from explorer.views.race import WAITING

HERE = Path(__file__).parent
SPEC, TRAIN = UnetSpec(BodySpec("resnet18", "random", size=64), n_out=6), TrainSpec(epochs=2)
PATIENCE = 120


@pytest.fixture
def open_desk(tmp_path, monkeypatch):
    """open_desk("quick") -> a desk on a queue of that fake fit, in one store."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.delenv("EXPLORER_WORKERS", raising=False)
    store, queues, desks = Store.at_home(tmp_path), [], []

    def open_(fake: str, **options) -> RaceDesk:
        queues.append(Queue(store, fit=f"fake_races:{fake}", **options))
        desks.append(RaceDesk(queues[-1]))
        desks[-1].queue = queues[-1]
        return desks[-1]

    yield open_
    for desk in desks:
        for race in desk._races.values():
            race.ending.set()
    for queue in queues:
        queue.close()
    store.close()


def ask(desk: RaceDesk, name: str, *asked):
    return next(f for f in desk.functions() if f.__name__ == name)(*asked)


def until(condition):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.02)
    pytest.fail("waited in vain")


def test_a_race_runs_to_its_end_by_itself_and_another_app_finds_it_again(open_desk):
    desk = open_desk("quick", workers=4)
    begun = desk.begin(SPEC, TRAIN, 1)
    over = until(lambda: (a := ask(desk, "race_look", {"race": begun["race"]}))["state"] == "over" and a)
    assert (over["done"], over["of"], len(over["runs"])) == (4, 4, 4)
    assert [row["label"] for row in over["decoders"]] == list(RACERS)
    assert all(row["runs"] == [{"seed": 0, "state": "finished", "epoch": 2}] for row in over["decoders"])
    assert over["metrics"][0]["verdict"][0].startswith("After epoch 2, the U-Net is best")
    assert over["pictures"]["made"][RACERS[0]]["images"] == ("made 2",)
    again = ask(desk, "race_look", {"race": begun["race"], "seen": over["pictures"]["mark"]})
    assert again["pictures"] is None

    other = RaceDesk(desk.queue)
    found = ask(other, "race_look", [{"race": begun["race"], "runs": over["runs"]}])
    assert found["metrics"] == over["metrics"] and found["state"] == "over"
    assert ask(other, "race_look", {"race": begun["race"]}) == {"state": "gone"}


def test_the_line_is_not_filled_with_one_race_and_stop_ends_it_all(open_desk):
    desk = open_desk("patient")
    begun = desk.begin(SPEC, TRAIN, 5)
    until(lambda: len(desk.queue.store.runs(*WAITING)) == 2)
    time.sleep(1.2)
    assert len(desk.queue.store.runs()) == 2
    refused = ask(desk, "race_stop", {"race": begun["race"], "token": "guessed"})
    assert refused["text"] == "Only whoever started this race can stop it."
    ask(desk, "race_stop", {"race": begun["race"], "token": begun["token"]})
    over = until(lambda: (a := ask(desk, "race_look", {"race": begun["race"]}))["state"] == "over" and a)
    assert over["stopped"] and over["of"] == 20 and len(desk.queue.store.runs()) == 2


def test_a_full_line_and_too_many_races_are_said(open_desk):
    desk = open_desk("patient", waiting=1)
    until(lambda: "problem" not in desk.begin(SPEC, TRAIN, 1))
    until(lambda: desk.queue.store.runs("running"))
    until(lambda: "problem" in desk.begin(SPEC, TRAIN, 1))
    assert "wait in line already" in desk.begin(SPEC, TRAIN, 1)["problem"]
    for race in list(desk._races.values()) * MOST_RACES:
        desk._races[f"{race.id}{len(desk._races)}"] = race
    assert "races are under way already" in desk.begin(SPEC, TRAIN, 1)["problem"]


@pytest.mark.parametrize(
    ("spec", "train", "seeds"),
    [
        (ClassifierSpec(), TRAIN, 3), (SPEC, None, 3), (SPEC, TRAIN, 6), (SPEC, TRAIN, None), (SPEC, TRAIN, "1"),
        (replace(SPEC, task="style_image", n_out=3), TRAIN, 1),
        (replace(SPEC, body=replace(SPEC.body, arch="no such")), TRAIN, 1),
        (replace(SPEC, body=replace(SPEC.body, arch="alexnet", size=16)), TRAIN, 1),
    ],
)  # fmt: skip
def test_what_cannot_race_starts_nothing_and_is_one_sentence(open_desk, spec, train, seeds):
    desk = open_desk("quick")
    problem = desk.begin(spec, train, seeds)["problem"]
    assert problem.startswith("Not started. ") and problem.endswith(".") and desk.queue.store.runs() == ()


def test_a_plan_knows_the_sizes_and_about_how_long(open_desk):
    desk = open_desk("quick")
    asked = {"spec": link.to_json(SPEC, TRAIN), "seeds": 2}
    plan = ask(desk, "race_plan", asked)
    assert [racer["label"] for racer in plan["racers"]] == list(RACERS)
    assert plan["racers"][3]["params"] > plan["racers"][0]["params"]
    assert ask(desk, "race_plan", {**asked, "seeds": 4})["seconds"] == pytest.approx(2 * plan["seconds"])
    folder = {**asked, "spec": link.to_json(SPEC, replace(TRAIN, data="masks:/pictures"))}
    assert ask(desk, "race_plan", folder)["seconds"] is None
    assert drawn_pictures(SPEC, TRAIN)[0] == 400 and machine_speed() > 1e6


@pytest.mark.parametrize(
    "asked",
    [None, [], 3, {}, {"spec": 3, "seeds": 1}, {"spec": "{}", "seeds": 1}, {"spec": "x" * 6000, "seeds": 1},
     {"spec": link.to_json(SPEC, TRAIN), "seeds": 1.5}, {"race": [], "runs": "all"}, {"runs": [None, {}, "x" * 99]},
     {"runs": ["a"] * 1000}, {"race": {}, "token": 5}],
)  # fmt: skip
def test_strangers_get_an_answer_whatever_they_send(open_desk, asked):
    desk = open_desk("quick")
    assert "error" in ask(desk, "race_plan", asked)
    look = ask(desk, "race_look", asked)
    assert look == {"state": "gone"} or "error" in look
    stop = ask(desk, "race_stop", asked)
    assert stop.get("text") == "There is no such race any more." or "error" in stop
