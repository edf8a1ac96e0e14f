"""Workers that die at any moment, a full disk, a locked file: what was told stays, and nothing half is left."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import time

import numpy as np
import pytest
from PIL import Image

from explorer.files import HALF
from explorer.jobs.process import is_alive
from explorer.jobs.store import Store
from explorer.spec import BodySpec, ClassifierSpec, TrainSpec
from explorer.train.events import EpochDone, Failed, Started, Step, Stopped, from_dict
from explorer.train.learner import fit

KILLS = 50


def events_of(store: Store, run_id: str) -> list:
    """All events, which must be numbered without a gap."""
    found, since = [], 0
    while (look := store.look(run_id, since, 500)).events:
        found += look.events
        since = look.events[-1][0]
    assert [number for number, _, _ in found] == list(range(1, len(found) + 1))
    return [from_dict(json.loads(text)) for _, _, text in found]


def test_a_worker_killed_at_any_of_fifty_moments_loses_nothing_and_leaves_nothing(open_queue, wait_for):
    """The weights that lie there are whole, and of an epoch not before the last one that was told."""
    queue, dice = open_queue("steady", workers=2), random.Random(0)
    for _ in range(KILLS):
        run = queue.submit(ClassifierSpec(), TrainSpec())
        pid = wait_for(lambda run=run: queue.store.run(run.id).pid)
        mark = queue.store.run(run.id).pid_mark
        time.sleep(dice.uniform(0.0, 0.12))
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda run=run: queue.poll(run.id)["state"] == "failed")

        *told, last = events_of(queue.store, run.id)
        epochs = [event.epoch for event in told if isinstance(event, EpochDone)]
        steps = [event.step for event in told if isinstance(event, Step)]
        assert "killed (signal 9)" in last.reason and last.epoch == (epochs[-1] if epochs else 0)
        assert epochs == list(range(1, len(epochs) + 1)) and steps == list(range(1, len(steps) + 1))
        assert not is_alive(pid, mark)
        folder = queue.store.folder(run.id)
        assert not list(folder.glob(f"*{HALF}"))
        words = (folder / "last.safetensors").read_text().split() if (folder / "last.safetensors").exists() else []
        assert len(words) in (0, 20_000) and len(set(words)) <= 1
        assert int(words[0] if words else 0) - last.epoch in (0, 1)
    assert not queue.store.runs("running", "queued")


def test_a_full_disk_ends_the_run_with_its_reason(open_queue, follow):
    """The disk has room again for a line in the store once the weights' half is gone."""
    queue = open_queue("disk_full")
    events, last = follow(queue, queue.submit(ClassifierSpec(), TrainSpec()).id)
    assert last["state"] == "failed" and "disk is full" in last["reason"] and "EXPLORER_HOME" in last["reason"]
    assert any(event["event"] == "EpochDone" for event in events)


def test_a_file_that_stays_locked_is_an_error_and_nothing_is_lost_after_it(store, running):
    patient = Store(store.path, busy_seconds=0.2)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        patient.append(running, Step(1, 1.0, 1e-3))
    other.execute("ROLLBACK")
    assert patient.append(running, Step(1, 1.0, 1e-3)) and patient.append(running, Stopped(0))
    assert len(events_of(store, running)) == 2
    patient.close()
    other.close()


def test_a_clock_that_jumps_back_does_not_disturb_the_order(store, running, monkeypatch):
    for step, at in enumerate((1000.0, 500.0, 2000.0), 1):
        monkeypatch.setattr("explorer.jobs.store.time.time", lambda at=at: at)
        assert store.append(running, Step(step, 1.0, 1e-3))
    assert [event.step for event in events_of(store, running)] == [1, 2, 3]


def test_pictures_that_vanish_while_a_run_trains_end_it_with_their_name(tmp_path):
    rng, folder = np.random.default_rng(0), tmp_path / "pets"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for i in range(10):
            Image.fromarray(rng.integers(0, 255, (40, 40, 3), np.uint8)).save(folder / name / f"{i}.png")
    spec = ClassifierSpec(BodySpec("squeezenet1_1", "random", size=32), n_out=2)
    events = []
    for event in fit(spec, TrainSpec(data=f"folder:{folder}", epochs=2, batch_size=4), weights_out=tmp_path / "run"):
        if isinstance(event, Started):
            shutil.rmtree(folder)
        events.append(event)
    assert isinstance(events[-1], Failed)
    assert ".png" in events[-1].reason and "Traceback" not in events[-1].reason
    assert (tmp_path / "run" / "last.safetensors").exists()


def test_two_apps_on_one_store_train_their_own_runs(store, open_queue, follow):
    one, two = open_queue("short"), open_queue("short")
    runs = [(queue, queue.submit(ClassifierSpec(), TrainSpec(epochs=1))) for queue in (one, two) * 3]
    for queue, run in runs:
        assert follow(queue, run.id)[1]["state"] == "finished"
    assert {store.run(run.id).app.queue for _, run in runs[::2]} == {one._app.queue}
    one.close()
    assert follow(two, two.submit(ClassifierSpec(), TrainSpec(epochs=1)).id)[1]["state"] == "finished"
    assert two.stop(runs[0][1].id, runs[0][1].token).state == "finished"
