"""The true learner in a true worker process: the only test here that trains."""

from __future__ import annotations

import json

import pytest

from explorer.jobs.queue import Queue
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec, TrainSpec

SPEC = ClassifierSpec(BodySpec("squeezenet1_1", "random", size=32), HeadSpec("avg", ()), n_out=10)


@pytest.fixture
def queue(store, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with Queue(store, threads=1) as queue:
        yield queue


def test_a_small_network_trains_in_a_worker_and_leaves_curves_and_weights(queue, store, follow):
    run = queue.submit(SPEC, TrainSpec(epochs=1, augment="none"))
    events, last = follow(queue, run.id)
    kinds = [event["event"] for event in events]
    assert (last["state"], last["reason"]) == ("finished", "")
    started = events[kinds.index("Started")]
    assert kinds.count("Step") == started["steps"] == started["steps_per_epoch"] > 1
    assert kinds.count("EpochDone") == 1
    assert [event["epoch"] for event in events if event["event"] == "Activations"] == [0, 1]
    assert all(len(json.dumps(event)) < 20_000 for event in events if event["event"] == "Activations")
    assert kinds[-1] == "Finished"
    assert last["device"] == started["device"] != ""
    assert (store.folder(run.id) / "last.safetensors").stat().st_size > 1_000_000


def test_an_order_that_cannot_be_carried_out_ends_as_failed_with_the_learners_sentence(queue, follow):
    run = queue.submit(ClassifierSpec(SPEC.body, n_out=3), TrainSpec(epochs=1))
    _, last = follow(queue, run.id)
    assert last["state"] == "failed"
    assert last["reason"].startswith("The head has 3 outputs, the data 10 classes")
