"""The recipe on real photographs: ants and bees, a frozen squeezenet1_1, five epochs of its head."""

from __future__ import annotations

from pathlib import Path

import pytest

from explorer.spec import BodySpec, ClassifierSpec, TrainSpec
from explorer.train.events import EpochDone, Finished, Note, Started
from explorer.train.learner import fit


@pytest.fixture
def train(shared_data: Path, shared_weights: Path, monkeypatch):
    monkeypatch.setenv("EXPLORER_WEIGHTS", str(shared_weights))

    def run(weights: str) -> list:
        spec = ClassifierSpec(BodySpec("squeezenet1_1", weights=weights, size=128), n_out=2)
        train_spec = TrainSpec(data=f"folder:{shared_data / 'hymenoptera_data'}", epochs=5, batch_size=16)
        return list(fit(spec, train_spec, device="cpu"))

    return run


def accuracy(events: list) -> float:
    assert isinstance(events[-1], Finished), events[-1]
    return dict([event for event in events if isinstance(event, EpochDone)][-1].metrics)["accuracy"]


def test_imagenet_weights_tell_ants_from_bees_and_random_ones_hardly_do(train):
    real, random = train("imagenet"), train("random")
    assert accuracy(real) >= 0.87
    assert accuracy(random) <= accuracy(real) - 0.15
    started = next(event for event in real if isinstance(event, Started))
    assert started.weights.startswith("imagenet") and (started.n_train, started.n_valid) == (244, 77)
    assert not [event for event in real if isinstance(event, Note) and event.kind == "offline"]
