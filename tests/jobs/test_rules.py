"""What a host allows."""

from __future__ import annotations

import pytest

from explorer.jobs.rules import NO_RULES, PUBLIC, Rules, rules_from_environment
from explorer.spec import SpecError, TrainSpec


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch):
    for name in ("EPOCHS", "MINUTES", "WAITING"):
        monkeypatch.delenv(f"EXPLORER_MAX_{name}", raising=False)


def test_a_public_host_has_limits_of_its_own_and_a_private_one_none():
    assert (rules_from_environment(True), rules_from_environment(False)) == (PUBLIC, NO_RULES)


def test_what_is_set_counts_on_both(monkeypatch):
    monkeypatch.setenv("EXPLORER_MAX_EPOCHS", "3")
    monkeypatch.setenv("EXPLORER_MAX_MINUTES", "0.5")
    assert rules_from_environment(False) == Rules(3, 0.5, None)
    assert rules_from_environment(True) == Rules(3, 0.5, PUBLIC.each)


@pytest.mark.parametrize("text", ["0", "-1", "many", "nan", "1e9"])
def test_what_is_no_limit_is_refused(text, monkeypatch):
    monkeypatch.setenv("EXPLORER_MAX_MINUTES", text)
    with pytest.raises(ValueError, match="EXPLORER_MAX_MINUTES"):
        rules_from_environment(False)


def test_half_an_epoch_is_refused(monkeypatch):
    monkeypatch.setenv("EXPLORER_MAX_EPOCHS", "1.5")
    with pytest.raises(ValueError, match="whole number, not 1.5"):
        rules_from_environment(True)


def test_frozen_epochs_count_only_where_there_are_some():
    rules = Rules(epochs=5)
    rules.check(TrainSpec(epochs=5, freeze_epochs=3))
    with pytest.raises(SpecError, match="at most 5 epochs, and these are 6"):
        rules.check(TrainSpec(epochs=5, freeze_epochs=1, schedule="fine_tune"))
