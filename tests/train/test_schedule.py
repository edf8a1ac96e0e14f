from __future__ import annotations

import pytest

from explorer.spec import TrainSpec
from explorer.train.schedule import Phase, group_rates, half_cosine, phases, planned_rates

TABLE = {
    0: (4.000e-5, 0.95),
    0.1: (3.717e-4, 0.91545),
    0.125: (5.200e-4, 0.90),
    0.25: (1.000e-3, 0.85),
    0.5: (7.500e-4, 0.875),
    0.75: (2.500e-4, 0.925),
    0.9: (4.324e-5, 0.94568),
    0.99: (4.486e-7, 0.94996),
}


@pytest.mark.parametrize("position", TABLE)
def test_one_cycle_follows_the_measured_table(position):
    (rate,), momentum = Phase(epochs=1, lrs=(1e-3,), frozen=0).at(position)
    lr, mom = TABLE[position]
    assert float(f"{rate:.3e}") == pytest.approx(lr, rel=1e-9)
    assert momentum == pytest.approx(mom, abs=6e-6)


def test_every_group_follows_its_own_maximum_with_the_same_shape():
    rates, _ = Phase(epochs=1, lrs=(1e-5, 1e-4, 1e-3), frozen=0).at(0.6)
    assert rates[2] == pytest.approx(10 * rates[1]) == pytest.approx(100 * rates[0])


def test_half_cosine_has_its_ends_and_its_middle():
    assert [half_cosine(2, 6, p) for p in (0, 0.5, 1)] == pytest.approx([2, 4, 6])


@pytest.mark.parametrize(
    ("rates", "n", "expected"),
    [
        (1e-3, 3, (1e-3, 1e-3, 1e-3)),
        (slice(1e-3), 3, (1e-4, 1e-4, 1e-3)),
        (slice(1e-5, 1e-3), 3, (1e-5, 1e-4, 1e-3)),
        (slice(1e-5, 1e-3), 2, (1e-5, 1e-3)),
        (slice(1e-5, 1e-3), 1, (1e-3,)),
        (slice(1e-3), 1, (1e-3,)),
        ([1e-5, 3e-4], 2, (1e-5, 3e-4)),
    ],
)
def test_rates_are_spread_over_groups(rates, n, expected):
    assert group_rates(rates, n) == pytest.approx(expected)


def test_a_list_of_another_length_is_refused():
    with pytest.raises(ValueError, match="2 learning rates for 3 groups"):
        group_rates([1e-3, 1e-4], 3)


def test_fine_tune_starts_and_peaks_at_the_measured_rates():
    frozen, unfrozen = phases(TrainSpec(schedule="fine_tune", lr=2e-3, epochs=2), 3)
    assert (frozen.epochs, frozen.frozen, unfrozen.epochs, unfrozen.frozen) == (1, 2, 2, 0)
    assert frozen.at(0)[0] == pytest.approx((8e-6, 8e-6, 8e-5))
    assert unfrozen.at(0)[0] == pytest.approx((2e-6, 2e-5, 2e-4))
    assert unfrozen.at(0.3)[0] == pytest.approx((1e-5, 1e-4, 1e-3))
    assert frozen.at(0.99)[0] == pytest.approx((2e-4, 2e-4, 2e-3))


def test_fine_tune_without_frozen_epochs_is_its_second_phase():
    (only,) = phases(TrainSpec(schedule="fine_tune", freeze_epochs=0), 3)
    assert only.frozen == 0


def test_one_cycle_spreads_the_rate_geometrically_and_flat_does_not():
    assert phases(TrainSpec(lr=1e-3), 3)[0].lrs == pytest.approx((1e-5, 1e-4, 1e-3))
    flat = phases(TrainSpec(lr=1e-3, schedule="flat"), 3)[0]
    assert flat.at(0.1) == flat.at(0.9) == ((1e-3, 1e-3, 1e-3), 0.9)


@pytest.mark.parametrize("schedule", ["one_cycle", "flat", "fine_tune"])
def test_given_rates_are_taken(schedule):
    given = phases(TrainSpec(lrs=(1e-4, 1e-2), schedule=schedule), 2)
    assert given[0].lrs == (1e-4, 1e-2)
    assert given[-1].lrs == ((5e-5, 5e-3) if schedule == "fine_tune" else (1e-4, 1e-2))


@pytest.mark.parametrize(("frozen", "expected"), [(True, 2), (False, 0), (0, 0), (1, 1), (2, 2)])
def test_frozen_counts_groups_from_the_input(frozen, expected):
    assert phases(TrainSpec(frozen=frozen), 3)[0].frozen == expected


@pytest.mark.parametrize("frozen", [3, 4, 1000])
def test_freezing_every_group_is_refused(frozen):
    with pytest.raises(ValueError, match="nothing would learn"):
        phases(TrainSpec(frozen=frozen), 3)


@pytest.mark.parametrize("schedule", ["one_cycle", "flat", "fine_tune"])
def test_planned_rates_are_those_of_the_head_over_the_whole_run(schedule):
    plan = phases(TrainSpec(schedule=schedule, epochs=4, lr=1e-3), 3)
    rates = planned_rates(plan)
    assert rates[0] == plan[0].at(0)[0][-1]
    assert max(rates) == pytest.approx(1e-3, rel=0.02)
    assert len(rates) == pytest.approx(120, abs=2)
