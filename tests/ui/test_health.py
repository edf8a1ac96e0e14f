"""How the app is, for those who watch over it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from explorer.jobs.queue import Queue
from explorer.jobs.store import App, Store
from explorer.ui import health
from explorer.ui.doors import healthz
from explorer.ui.health import Health, can_write

CLOSER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(db.execute("SELECT count(*) FROM runs").fetchone()[0])
db.close()
"""


@pytest.fixture
def queue(tmp_path):
    with Queue(Store.at_home(tmp_path), workers=2) as running:
        yield running


def test_all_is_well(queue):
    told = Health(queue, "CPU").report()
    assert told["status"] == "ok" and told["device"] == "CPU"
    assert told["queue"] == {"alive": True, "running": 0, "waiting": 0, "workers": 2}
    assert told["store"]["runs"] == 0 and told["store"]["bytes"] > 0


def test_a_store_that_cannot_be_written_is_told_with_503(queue, monkeypatch):
    monkeypatch.setattr(health, "can_write", lambda store: False)
    answer = healthz(Health(queue, "CPU"))
    assert answer.status_code == 503 and b'"degraded"' in answer.body


def test_a_queue_whose_thread_has_ended_is_told(queue):
    queue.close()
    assert Health(queue, "CPU").report()["status"] == "degraded"


def test_a_look_is_taken_every_two_seconds_at_most(queue, monkeypatch):
    now = [100.0]
    watched = Health(queue, "CPU", clock=lambda: now[0])
    first = watched.report()
    monkeypatch.setattr(health, "can_write", lambda store: False)
    assert watched.report() is first
    now[0] += 3
    assert watched.report()["status"] == "degraded"


def test_a_store_that_is_locked_or_gone_cannot_be_written(tmp_path):
    store = Store(tmp_path / "runs.sqlite", busy_seconds=0.1)
    assert can_write(store)
    with sqlite3.connect(store.path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert not can_write(store)
    other.close()
    shutil.move(tmp_path, tmp_path.with_name("moved"))
    assert not can_write(store)


def test_to_look_leaves_the_locks_of_the_database_alone(queue):
    """Where they are gone, whoever closes the file last as it seems removes the log that this process writes ahead."""
    Health(queue, "CPU").report()
    subprocess.run([sys.executable, "-c", CLOSER, str(queue.store.path)], check=True)
    assert Path(f"{queue.store.path}-wal").exists()
    queue.store.add("a", "token", "classifier", {}, {}, App("other", 1, "m"), at_most=9)
    found = subprocess.run([sys.executable, "-c", CLOSER, str(queue.store.path)], check=True, capture_output=True)
    assert found.stdout.split() == [b"1"]
