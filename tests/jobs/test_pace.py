"""How long a run will take, by the runs that there were."""

from __future__ import annotations

from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from explorer.jobs.pace import (
    START_UP,
    Effort,
    Pace,
    duration_words,
    effort_of,
    guessed,
    passes_of,
    past_speeds,
    work_of,
)
from explorer.spec import BodySpec, ClassifierSpec, TrainSpec, UnetSpec
from explorer.trace.tracer import trace
from explorer.train.events import EpochDone, to_dict

SPEC = UnetSpec(BodySpec("resnet18", "random", size=32))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "10 seconds"), (44, "40 seconds"), (100, "2 minutes"), (3599, "60 minutes"), (9000, "2 hours")],
)
def test_durations_are_round(seconds, words):
    assert duration_words(seconds) == words


def test_twice_the_epochs_take_twice_the_time():
    class Nothing:
        def latest(self, state, most):
            return ()

    pace = Pace(Nothing())
    effort = Effort(10**9, 10**7, 100)
    once, twice = (pace.seconds(effort, SPEC, TrainSpec(epochs=k), (400, 100)) - START_UP for k in (1, 2))
    assert twice == pytest.approx(2 * once) == 2 * guessed(effort, 32, work_of((400, 100)))
    assert pace.speed("unet", 10**9) is None


def test_a_guess_grows_with_products_maps_and_layers():
    plain = Effort(10**9, 10**7, 100)
    for more in (replace(plain, macs=10**10), replace(plain, activation_bytes=10**9), replace(plain, layers=10**4)):
        assert guessed(more, 8, 1000) > 1.2 * guessed(plain, 8, 1000)
    assert guessed(plain, 64, 1000) < guessed(plain, 1, 1000)


def test_a_networks_effort_counts_the_layers_that_make_maps():
    effort = effort_of(trace(SPEC))
    assert effort.macs == trace(SPEC).totals.macs and 40 < effort.layers < 200


class OneRun:
    """A store with one finished run of two epochs, two seconds each."""

    def latest(self, state, most):
        return (SimpleNamespace(id="r", family="unet", spec=asdict(SPEC), train=asdict(TrainSpec())),)

    def epochs_of(self, run_id):
        return tuple(to_dict(EpochDone(k, 1.0, 1.0, (), 2.0)) for k in (1, 2))


def test_a_finished_run_tells_the_speed_of_networks_of_its_size():
    macs = trace(SPEC).totals.macs
    speed = macs * work_of((400, 100)) / 2.0
    assert past_speeds(OneRun()) == (("unet", macs, pytest.approx(speed)),)
    pace = Pace(OneRun())
    assert pace.speed("unet", 2 * macs) == pytest.approx(speed)
    assert pace.speed("unet", 100 * macs) is None
    assert pace.speed("classifier", macs) is None


def test_what_rests_needs_no_way_back():
    spec = ClassifierSpec()
    passes = [
        passes_of(spec, TrainSpec(frozen=frozen, train_bn=norms))
        for frozen, norms in ((False, True), (True, True), (True, False))
    ]
    assert passes == [3, 2, 1]
    assert passes_of(spec, TrainSpec(schedule="fine_tune")) == passes_of(SPEC, TrainSpec()) == 3
