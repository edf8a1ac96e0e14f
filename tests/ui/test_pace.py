"""How long a run will take, by the runs that there were."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from explorer.spec import BodySpec, TrainSpec, UnetSpec
from explorer.trace.tracer import trace
from explorer.train.events import EpochDone, to_dict
from explorer.ui.pace import START_UP, Effort, Pace, duration_words, effort_of, guessed, past_speeds, work_of

SPEC = UnetSpec(BodySpec("resnet18", "random", size=32))


class Line:
    def __init__(self, store):
        self.store = store


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "10 seconds"), (44, "40 seconds"), (100, "2 minutes"), (3599, "60 minutes"), (9000, "2 hours")],
)
def test_durations_are_round(seconds, words):
    assert duration_words(seconds) == words


def test_twice_the_epochs_take_twice_the_time():
    class Nothing:
        def runs(self, state=None):
            return ()

    pace = Pace(Line(Nothing()))
    effort = Effort(10**9, 10**7, 100)
    once, twice = (pace.seconds(effort, TrainSpec(epochs=k), (400, 100)) - START_UP for k in (1, 2))
    assert twice == pytest.approx(2 * once) == 2 * guessed(effort, 32, (400, 100)) and pace.speed(10**9) is None


def test_a_guess_grows_with_products_maps_and_layers():
    plain = Effort(10**9, 10**7, 100)
    for more in (replace(plain, macs=10**10), replace(plain, activation_bytes=10**9), replace(plain, layers=10**4)):
        assert guessed(more, 8, (400, 100)) > 1.2 * guessed(plain, 8, (400, 100))
    assert guessed(plain, 64, (400, 100)) < guessed(plain, 1, (400, 100))


def test_a_networks_effort_counts_the_layers_that_make_maps():
    effort = effort_of(trace(SPEC))
    assert effort.macs == trace(SPEC).totals.macs and 40 < effort.layers < 200


class OneRun:
    """A store with one finished run of two epochs, two seconds each."""

    def runs(self, state=None):
        return (SimpleNamespace(id="r", family="unet", spec=asdict(SPEC), train=asdict(TrainSpec())),)

    def look(self, run_id, since, limit):
        events = [json.dumps(to_dict(EpochDone(k, 1.0, 1.0, (), 2.0))) for k in (1, 2)] + ['{"event": "Finished"}']
        numbered = [(n, 0.0, text) for n, text in enumerate(events, 1) if n > since]
        return SimpleNamespace(events=numbered[:limit])


def test_a_finished_run_tells_the_speed_of_networks_of_its_size():
    macs = trace(SPEC).totals.macs
    speed = macs * work_of((400, 100)) / 2.0
    assert past_speeds(OneRun()) == ((macs, pytest.approx(speed)),)
    pace = Pace(Line(OneRun()))
    assert pace.speed(2 * macs) == pytest.approx(speed)
    assert pace.speed(100 * macs) is None
