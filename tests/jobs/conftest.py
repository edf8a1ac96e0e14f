"""A store in a temporary folder, queues of fake fits on it, and the patience to follow a run to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from explorer.jobs.queue import Queue
from explorer.jobs.store import App, Store

HERE = Path(__file__).parent
PATIENCE = 180  # seconds that anything may take, on a machine whose cores are all busy
ENDED = ("finished", "stopped", "failed")


@pytest.fixture(autouse=True)
def fakes_can_be_found(monkeypatch):
    """Worker processes, and this one, find the module `fake_fits`."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.delenv("EXPLORER_WORKERS", raising=False)


@pytest.fixture
def store(tmp_path):
    store = Store.at_home(tmp_path)
    yield store
    store.close()


@pytest.fixture
def running(store):
    """The id of a run that a queue has taken from the line, without any process."""
    store.add("run", "token", "classifier", {}, {}, App("q", 1, "mark"), at_most=1)
    return store.take_next("q").id


@pytest.fixture
def open_queue(store):
    """open_queue("short", workers=2) is a Queue of that fake fit; all are closed when the test ends."""
    queues = []

    def open_(fake: str, **options) -> Queue:
        queues.append(Queue(store, fit=f"fake_fits:{fake}", **options))
        return queues[-1]

    yield open_
    for queue in queues:
        queue.close()


@pytest.fixture
def wait_for():
    """wait_for(condition) returns what the condition at last gives; the test fails where it never does."""

    def wait(condition: Callable):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if value := condition():
                return value
            time.sleep(0.01)
        pytest.fail(f"waited {PATIENCE} s in vain")

    return wait


@pytest.fixture
def follow():
    """follow(queue, run_id) polls a run to its end, as a page does: all its events and the last answer."""

    def follow_(queue: Queue, run_id: str, since: int = 0, limit: int = 500):
        events, end = [], time.monotonic() + PATIENCE
        while time.monotonic() < end:
            answer = queue.poll(run_id, since, limit)
            assert answer["since"] == since
            events += answer["events"]
            since = answer["next"]
            if answer["state"] in ENDED and since == answer["n"]:
                return events, answer
            time.sleep(0.005)
        pytest.fail(f"the run did not end in {PATIENCE} s: {answer}")

    return follow_
