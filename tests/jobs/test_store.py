"""The store keeps runs and events whole, in order, for any number of readers and writers."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path

import pytest

from explorer.jobs import store as store_module
from explorer.jobs.store import App, Store, StoreError
from explorer.train.events import EpochDone, Failed, Finished, Note, Started, Step, Stopped, from_dict

APP = App("q", 1, "mark")
STARTED = Started(1, 2, 2, 64, 16, ("a", "b"), "cuda:0", 10, 5, "random")


def add(store: Store, run_id: str, **options) -> int:
    return store.add(run_id, "token", "classifier", {"n_out": 3}, {"lrs": [1e-3]}, APP, **{"at_most": 99, **options})


def events_of(store: Store, run_id: str) -> list:
    return [from_dict(json.loads(text)) for _, _, text in store.look(run_id, 0, 1000).events]


def schema_number(path: Path) -> int:
    with sqlite3.connect(path) as db:
        return db.execute("PRAGMA user_version").fetchone()[0]


def in_threads(count: int, work) -> list:
    """Run work(0) … work(count - 1) at once; what was raised is raised here."""
    results, raised = {}, []

    def one(number):
        try:
            results[number] = work(number)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not raised, raised
    return [results[i] for i in range(count)]


def test_a_run_waits_runs_and_ends(store):
    assert add(store, "a") == 1
    queued = store.run("a")
    assert (queued.state, queued.spec, queued.train, queued.app) == ("queued", {"n_out": 3}, {"lrs": [1e-3]}, APP)
    taken = store.take_next("q")
    assert (taken.id, taken.state) == ("a", "running")
    assert taken.created <= taken.started
    store.check_in("a", 42, "born", {"torch": "2.11"})
    for event in (STARTED, Finished(1.0)):
        assert store.append("a", event)
    ended = store.run("a")
    assert (ended.state, ended.device, ended.pid, ended.versions) == ("finished", "cuda:0", 42, {"torch": "2.11"})
    assert ended.started <= ended.ended == ended.heartbeat


def test_the_token_is_not_kept(store):
    add(store, "a")
    assert "token" not in store.run("a").owner
    assert len(store.run("a").owner) == 64


@pytest.mark.parametrize(
    "ending, state, reason",
    [(Finished(2.0), "finished", ""), (Stopped(1), "stopped", ""), (Failed("No room\udcff."), "failed", "No room?.")],
)
def test_an_ending_sets_the_state_and_is_the_last_event(store, running, ending, state, reason):
    assert store.append(running, Step(1, 0.5, 1e-3))
    assert store.append(running, ending)
    assert not store.append(running, Step(2, 0.4, 1e-3))
    assert not store.append(running, Failed("too late"))
    assert (store.run(running).state, store.run(running).reason) == (state, reason)
    assert events_of(store, running) == [Step(1, 0.5, 1e-3), ending]


def test_an_event_is_there_for_another_connection_when_append_returns(store, running):
    for step in range(1, 20):
        store.append(running, Step(step, 1 / step, 1e-3))
        with sqlite3.connect(store.path) as other:
            seq, data = other.execute("SELECT seq, data FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        assert (seq, json.loads(data)["step"]) == (step, step)


def test_events_of_many_writers_are_numbered_without_gap(store, running):
    def write(thread):
        for i in range(50):
            store.append(running, Note(f"{thread} {i}"))

    in_threads(8, write)
    look = store.look(running, 0, 1000)
    assert [seq for seq, _, _ in look.events] == list(range(1, 401))
    for thread in range(8):
        mine = [event.text for event in events_of(store, running) if event.text.startswith(f"{thread} ")]
        assert mine == [f"{thread} {i}" for i in range(50)]


def test_a_number_that_is_not_finite_is_kept(store, running):
    store.append(running, Step(1, float("inf"), 1e-3))
    assert events_of(store, running) == [Step(1, float("inf"), 1e-3)]


def test_a_look_gives_a_slice_after_the_cursor(store, running):
    for step in range(1, 8):
        store.append(running, Step(step, 1.0, 1e-3))
    assert [seq for seq, _, _ in store.look(running, 2, 3).events] == [3, 4, 5]
    assert store.look(running, 7, 3).events == ()
    assert (store.look(running, 8, 3).since, store.look(running, 8, 3).n) == (0, 7)
    assert store.look("nobody", 0, 3) is None


def test_the_last_whole_epoch_is_known(store, running):
    assert store.last_epoch(running) == 0
    for epoch in (1, 2):
        store.append(running, EpochDone(epoch, 1.0, 1.0, (), 1.0))
        store.append(running, Step(epoch, 1.0, 1e-3))
    assert store.last_epoch(running) == 2


def test_the_line_is_first_come_first_served_and_ends_somewhere(store):
    assert [add(store, name, at_most=3) for name in "abcd"] == [1, 2, 3, 0]
    assert store.run("d") is None
    assert [store.look(name, 0, 1).position for name in "abc"] == [1, 2, 3]
    assert store.take_next("another queue") is None
    assert store.take_next("q").id == "a"
    assert [store.look(name, 0, 1).position for name in "abc"] == [0, 1, 2]
    assert [run.id for run in store.runs("queued")] == ["b", "c"]
    assert [run.id for run in store.runs(queue="another queue")] == []
    assert [run.id for run in store.runs()] == ["a", "b", "c"]


def test_a_run_is_taken_once_however_many_want_it(store):
    for i in range(5):
        add(store, str(i))
    taken = [run.id for run in in_threads(10, lambda _: store.take_next("q")) if run]
    assert sorted(taken) == ["0", "1", "2", "3", "4"]


def test_a_stop_ends_who_waits_and_flags_who_runs(store):
    add(store, "a"), add(store, "b")
    store.take_next("q")
    assert (store.request_stop("a"), store.request_stop("b")) == ("running", "queued")
    assert store.stop_requested("a")
    assert (store.run("a").state, store.run("b").state) == ("running", "stopped")
    assert events_of(store, "b") == [Stopped(0)]
    asked = store.run("a").stop_requested
    assert (store.request_stop("a"), store.request_stop("b")) == ("running", "stopped")
    assert store.run("a").stop_requested == asked
    assert not store.stop_requested("nobody")


def test_an_older_file_is_brought_up_to_date_with_its_records(tmp_path, monkeypatch):
    path = tmp_path / "runs.sqlite"
    sqlite3.connect(path).close()
    assert schema_number(path) == 0
    add(Store(path), "a")
    assert schema_number(path) == len(store_module.MIGRATIONS)
    later = (*store_module.MIGRATIONS, ("ALTER TABLE runs ADD COLUMN colour TEXT DEFAULT 'unnamed'",))
    monkeypatch.setattr(store_module, "MIGRATIONS", later)
    assert Store(path).run("a").state == "queued"
    assert schema_number(path) == len(later)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT colour FROM runs").fetchall() == [("unnamed",)]


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    path = tmp_path / "runs.sqlite"
    add(Store(path), "a")
    before = schema_number(path)
    broken = ("CREATE TABLE sweeps (id TEXT)", "ALTER TABLE missing ADD COLUMN x")
    monkeypatch.setattr(store_module, "MIGRATIONS", (*store_module.MIGRATIONS, broken))
    with pytest.raises(StoreError, match="no such table: missing"):
        Store(path)
    assert schema_number(path) == before
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT name FROM sqlite_master WHERE name = 'sweeps'").fetchall() == []


def test_a_file_from_a_later_version_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "runs.sqlite"
    Store(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="schema 99.*update the app"):
        Store(path)
    assert schema_number(path) == 99


@pytest.mark.parametrize("what", ["garbage", "a folder"])
def test_what_is_no_store_is_refused_in_one_sentence(tmp_path, what):
    path = tmp_path / "runs.sqlite"
    path.write_bytes(b"garbage " * 1000) if what == "garbage" else path.mkdir()
    with pytest.raises(StoreError, match="EXPLORER_HOME"):
        Store(path)


def test_many_may_open_a_new_file_at_once(tmp_path):
    stores = in_threads(10, lambda _: Store(tmp_path / "new" / "runs.sqlite"))
    add(stores[0], "a")
    assert all(store.run("a") for store in stores)


def test_the_file_is_written_ahead(store):
    with sqlite3.connect(store.path) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
