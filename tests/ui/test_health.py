"""How the app is, for those who watch over it."""

from __future__ import annotations

import pytest

from explorer.jobs.queue import Queue
from explorer.jobs.store import Store
from explorer.ui import health
from explorer.ui.doors import healthz
from explorer.ui.health import Health, can_write


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
    monkeypatch.setattr(health, "can_write", lambda file: False)
    answer = healthz(Health(queue, "CPU"))
    assert answer.status_code == 503 and b'"degraded"' in answer.body


def test_a_queue_whose_thread_has_ended_is_told(queue):
    queue.close()
    assert Health(queue, "CPU").report()["status"] == "degraded"


def test_a_look_is_taken_every_two_seconds_at_most(queue, monkeypatch):
    now = [100.0]
    watched = Health(queue, "CPU", clock=lambda: now[0])
    first = watched.report()
    monkeypatch.setattr(health, "can_write", lambda file: False)
    assert watched.report() is first
    now[0] += 3
    assert watched.report()["status"] == "degraded"


def test_a_folder_that_is_gone_cannot_be_written(tmp_path):
    assert can_write(tmp_path / "runs.sqlite")
    assert not can_write(tmp_path / "gone" / "runs.sqlite")
