"""Looks into a run: how many, how dear, and that they leave nothing behind."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from explorer.train import looks
from explorer.train.looks import Looks, epochs_to_look, undisturbed


def test_a_short_run_is_looked_at_after_every_epoch():
    assert sorted(epochs_to_look(4)) == [0, 1, 2, 3, 4]
    assert sorted(epochs_to_look(29)) == list(range(30))
    assert epochs_to_look(0) == {0}


@pytest.mark.parametrize("epochs", [30, 31, 100, 997, 10_000])
def test_a_long_run_is_looked_at_evenly_with_its_first_and_its_last_epoch(epochs):
    chosen = sorted(epochs_to_look(epochs))
    gaps = [later - earlier for earlier, later in zip(chosen, chosen[1:], strict=False)]
    assert len(chosen) == 30 and (chosen[0], chosen[-1]) == (0, epochs)
    assert max(gaps) - min(gaps) <= 1


@pytest.fixture
def taken(monkeypatch, toy):
    """taken(seconds a look, seconds an epoch, epochs) -> the epochs that were looked at."""

    def take(dear: float, epoch_seconds: float, epochs: int) -> list[int]:
        clock = SimpleNamespace(perf_counter=lambda: clock.now, now=0.0)
        monkeypatch.setattr(looks, "time", clock)

        def look(model, pictures, epoch):
            clock.now += dear
            return epoch

        inside = Looks(look, toy.model, torch.zeros(2, 3, 8, 8), epochs)
        return [seen for epoch in range(epochs + 1) for seen in inside.after(epoch, epoch * epoch_seconds)]

    return take


def test_cheap_looks_are_all_taken(taken):
    assert taken(0.09, 0.01, 19) == list(range(20))
    assert taken(2.4, 100.0, 5) == [0, 2, 3, 4, 5]


def test_dear_looks_wait_until_they_take_a_twentieth_of_the_training_at_most(taken):
    seen = taken(4.0, 20.0, 28)
    assert seen[0] == 0 and 2 < len(seen) < 10
    assert all(4.0 * (i + 1) <= 0.05 * 20.0 * epoch for i, epoch in enumerate(seen) if i)


def test_a_fast_run_is_not_slowed_down_by_more_than_two_seconds(taken):
    assert taken(0.5, 0.01, 28) == [0, 1, 2, 28]


def test_what_a_look_does_to_modes_statistics_and_random_numbers_is_undone(toy):
    model = toy.model.train()
    model[0].eval()
    modes, norm = [module.training for module in model.modules()], model[0][1]
    mean, count = norm.running_mean.clone(), norm.num_batches_tracked.clone()
    state = torch.get_rng_state()
    with undisturbed(model):
        model.train()
        model(torch.rand(4, 3, 8, 8))
        assert not torch.equal(norm.running_mean, mean)
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(norm.running_mean, mean) and torch.equal(norm.num_batches_tracked, count)
    assert torch.equal(torch.get_rng_state(), state)
