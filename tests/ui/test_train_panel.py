"""What a page hears of a run: the queue's answer, and once which model it is."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from explorer.jobs.record import spec_to_dict
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec
from explorer.ui.train_panel import poll_function, run_title

SPEC = ClassifierSpec(BodySpec("resnet18", cut="layer3", size=96), HeadSpec("avg", (256, 64)), 10)
RECORD = SimpleNamespace(family="classifier", spec=spec_to_dict(SPEC))


def test_a_run_is_called_by_its_model():
    assert run_title(RECORD) == "resnet18 to layer3 at 96 px, avg, 256 → 64 → 10"


@pytest.fixture
def poll():
    def answer(run, since=0, limit=500):
        events = [{"event": "Step", "step": 1}, {"event": "Activations", "epoch": since, "quals": ["0.2", "1.8"]}]
        return {"state": "running", "since": since, "events": events} if run == "r" else {"state": "gone"}

    return poll_function(
        SimpleNamespace(queue=SimpleNamespace(poll=answer, store=SimpleNamespace(run=lambda run: RECORD)))
    )


def test_only_the_first_answer_holds_the_title(poll):
    assert "resnet18" in poll(["r", 0])["title"]
    assert "title" not in poll(["r", 7])


def test_layers_are_named_with_the_look_before_the_first_epoch_and_not_again(poll):
    assert poll(["r", 0])["layers"]["names"] == ["relu", "head.8"]
    assert "layers" not in poll(["r", 7])


@pytest.mark.parametrize("asked", [None, [], ["x"], [1, 2, 3], "r", {"r": 0}, [None, 0]])
def test_nonsense_is_a_run_that_is_gone(poll, asked):
    assert poll(asked) == {"state": "gone"}
