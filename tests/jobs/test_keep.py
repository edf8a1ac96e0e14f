"""What goes first where runs take too much room, and what never goes."""

from __future__ import annotations

import pytest

from explorer.jobs.keep import DAY, UNDO, Limits, Tidied, limits_from_environment, tidy, used_bytes
from explorer.jobs.store import App, Store
from explorer.train.events import Finished, Step

APP = App("q", 1, "mark")
KILO = 1000


@pytest.fixture
def ended(store):
    """ended("a", 500) is a run that finished, with so many kilobytes of weights."""

    def make(run_id: str, kilobytes: int = 100) -> None:
        store.add(run_id, "token", "classifier", {}, {}, APP, at_most=9)
        store.take_next("q")
        store.append(run_id, Step(1, 0.5, 1e-3))
        store.append(run_id, Finished(1.0))
        store.folder(run_id).mkdir(parents=True)
        (store.folder(run_id) / "last.safetensors").write_bytes(bytes(kilobytes * KILO))
        (store.folder(run_id) / "spec.json").write_text("{}")

    return make


def ids(store: Store) -> set[str]:
    return {run.id for run in store.runs()}


def weights(store: Store, run_id: str) -> bool:
    return (store.folder(run_id) / "last.safetensors").exists()


def later(store: Store, days: float = 0.0) -> float:
    return store.runs()[-1].created + days * DAY


def test_where_there_is_room_nothing_goes(store, ended):
    ended("a")
    assert tidy(store, Limits(10**9, 1.0), later(store, 0.5)) == Tidied()
    assert weights(store, "a")


def test_weights_of_the_oldest_go_first_and_its_curves_stay(store, ended):
    for name in "abc":
        ended(name, 300)
    limit = used_bytes(store) - 100 * KILO
    done = tidy(store, Limits(limit), later(store))
    assert (done.weights, done.runs) == (("a",), ()) and done.freed >= 300 * KILO
    assert not weights(store, "a") and weights(store, "b") and store.look("a", 0, 9).n == 2
    assert used_bytes(store) <= limit


def test_when_no_weights_are_left_the_oldest_runs_go_whole(store, ended):
    for name in "abc":
        ended(name, 10)
    done = tidy(store, Limits(0), later(store))
    assert set(done.weights) == {"a", "b", "c"} and done.runs == ("a", "b", "c")
    assert ids(store) == set() and not any((store.path.parent / "runs").iterdir())


def test_runs_beyond_their_days_go_whole_with_their_events(store, ended):
    ended("a")
    assert tidy(store, Limits(None, 2.0), later(store, 1.9)) == Tidied()
    assert tidy(store, Limits(None, 2.0), later(store, 2.1)).runs == ("a",)
    assert store.look("a", 0, 9) is None and not store.folder("a").exists()


def test_what_waits_or_trains_is_never_touched(store, ended):
    store.add("trains", "token", "classifier", {}, {}, APP, at_most=9)
    store.take_next("q")
    store.folder("trains").mkdir(parents=True)
    (store.folder("trains") / "last.safetensors").write_bytes(bytes(KILO))
    store.add("waits", "token", "classifier", {}, {}, APP, at_most=9)
    assert tidy(store, Limits(0, 0.0), later(store, 9)) == Tidied()
    assert ids(store) == {"trains", "waits"} and weights(store, "trains")
    assert not store.remove("trains") and not store.remove("none")


def test_a_folder_whose_run_is_gone_goes(store, ended):
    ended("a")
    store.remove("a")
    assert store.folder("a").exists()
    tidy(store, Limits(), 0.0)
    assert not store.folder("a").exists()


def test_limits_are_numbers_or_none(monkeypatch):
    for name in ("EXPLORER_KEEP_GB", "EXPLORER_KEEP_DAYS"):
        monkeypatch.delenv(name, raising=False)
    assert limits_from_environment() == Limits(20 * 10**9, None)
    monkeypatch.setenv("EXPLORER_KEEP_GB", "0.5")
    monkeypatch.setenv("EXPLORER_KEEP_DAYS", "7")
    assert limits_from_environment() == Limits(5 * 10**8, 7.0)
    monkeypatch.setenv("EXPLORER_KEEP_GB", "")
    assert limits_from_environment().size is None
    for wrong in ("much", "-1", "nan"):
        monkeypatch.setenv("EXPLORER_KEEP_DAYS", wrong)
        with pytest.raises(ValueError, match="EXPLORER_KEEP_DAYS is how many days"):
            limits_from_environment()


def test_what_was_deleted_goes_when_it_can_no_longer_be_brought_back(store, ended):
    ended("a"), ended("b")
    now = later(store)
    store.change("a", deleted=now)
    assert tidy(store, Limits(None, None), now + UNDO - 1).runs == ()
    assert tidy(store, Limits(None, None), now + UNDO + 1).runs == ("a",)
    assert ids(store) == {"b"}


def test_a_pinned_run_does_not_go_for_its_age(store, ended):
    ended("a"), ended("b")
    store.change("a", pinned=True)
    assert tidy(store, Limits(None, 1.0), later(store, 10)).runs == ("b",)


def test_a_run_on_brought_pictures_goes_when_their_time_is_over(store, ended):
    ended("a")
    store.add("b", "token", "classifier", {}, {"data": "upload:abcdefghijkl"}, APP, at_most=9)
    store.take_next("q")
    store.append("b", Finished(1.0))
    store.change("b", pinned=True)
    assert tidy(store, Limits(None, None, 2.0), later(store, 1 / 24)).runs == ()
    assert tidy(store, Limits(None, None, 2.0), later(store, 3 / 24)).runs == ("b",)
