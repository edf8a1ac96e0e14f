"""A worker writes down all that fit tells, and makes an ending of whatever fit does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from base64 import b64decode
from types import SimpleNamespace

import pytest

from explorer.jobs.record import spec_to_dict
from explorer.jobs.store import App
from explorer.jobs.worker import ROOT, StopFlag, app_version, main, versions, work
from explorer.spec import ClassifierSpec, TrainSpec
from explorer.train.events import Activations, EpochDone, Failed, Finished, Step, from_dict

APP = App("q", 1, "mark")


@pytest.fixture
def record(store):
    spec, train = spec_to_dict(ClassifierSpec()), spec_to_dict(TrainSpec(epochs=2))
    store.add("run", "token", "classifier", spec, train, APP, at_most=1)
    record = store.take_next("q")
    store.folder("run").mkdir(parents=True)
    return record


def events_of(store):
    return [from_dict(json.loads(text)) for _, _, text in store.look("run", 0, 1000).events]


def test_a_worker_writes_all_that_fit_tells(store, record):
    work(store, record, "fake_fits:short")
    events = events_of(store)
    assert [type(e).__name__ for e in events[:3]] == ["Note", "Started", "Step"]
    assert [e.step for e in events if isinstance(e, Step)] == [1, 2, 3, 4, 5, 6]
    assert [e.epoch for e in events if isinstance(e, EpochDone)] == [1, 2]
    assert events[-1] == Finished(0.1)
    assert (store.folder("run") / "last.safetensors").read_text() == "epoch 2"


def test_fit_gets_the_very_specs_that_were_recorded(store, record):
    work(store, record, "fake_fits:tells_its_orders")
    assert events_of(store)[0].text == repr((ClassifierSpec(), TrainSpec(epochs=2)))


def test_a_look_inside_is_written_as_an_event_with_maps_of_the_first_and_the_last_layer(store, record):
    work(store, record, "fake_fits:looks_inside")
    seen, _ = events_of(store)
    assert isinstance(seen, Activations) and seen.epoch == 4
    assert seen.quals == ("0.1", "0.3", "1.2") and len(seen.means) == len(seen.dead) == len(seen.histograms) == 3
    assert seen.map_quals == ("0.1", "0.3")
    assert seen.map_channels == ((0, 1, 2, 3), (0, 1, 2, 3, 4, 5))
    assert seen.map_shapes == ((4, 6, 6), (6, 4, 4))
    assert [len(b64decode(pixels)) for pixels in seen.map_pixels] == [4 * 6 * 6, 6 * 4 * 4]


@pytest.mark.parametrize(
    "fake, reason, epoch",
    [
        ("teaches", "The image size 16 is too small for layer4: 64 would do.", 1),
        ("breaks", "Training ended by an unexpected error, RuntimeError: mat1 and mat2 shapes.", 0),
        ("out_of_memory", "The machine ran out of memory: try a smaller batch, image size or head.", 0),
        ("forgets_its_end", "Training came to its end without saying whether it succeeded.", 0),
        (
            "is_not_there",
            "Training ended by an unexpected error, AttributeError: module 'fake_fits' has no attribute",
            0,
        ),
    ],
)
def test_what_fit_raises_becomes_a_failure_with_its_reason(store, record, fake, reason, epoch):
    work(store, record, f"fake_fits:{fake}")
    ending = events_of(store)[-1]
    assert isinstance(ending, Failed)
    assert ending.reason.startswith(reason)
    assert ending.epoch == epoch
    assert store.run("run").state == "failed"


def test_nothing_is_written_after_an_ending(store, record):
    work(store, record, "fake_fits:goes_on_after_its_end")
    assert events_of(store) == [Finished()]


def test_a_record_that_cannot_be_read_fails_with_the_sentence(store):
    store.add("run", "token", "classifier", {"n_out": -1}, {}, APP, at_most=1)
    work(store, store.take_next("q"), "fake_fits:short")
    assert "number of outputs" in store.run("run").reason


def test_the_flag_asks_the_store_now_and_then(store, record, monkeypatch):
    asked = []
    monkeypatch.setattr(store, "stop_requested", lambda run: asked.append(run) or len(asked) > 1)
    clock = SimpleNamespace(monotonic=lambda: clock.now, now=1000.0)
    monkeypatch.setattr("explorer.jobs.worker.time", clock)
    flag = StopFlag(store, "run", every=0.05)
    assert not any(flag() for _ in range(100))
    assert asked == ["run"]
    clock.now += 0.06
    assert flag()
    assert flag()
    assert len(asked) == 2


def test_versions_are_told_without_importing_torch():
    code = (
        "import sys, explorer.jobs.worker as w, explorer.jobs.queue; found = w.versions(); "
        "assert 'torch' not in sys.modules; print(found)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == str(versions())
    assert versions()["torch"]
    assert versions()["app"] == app_version() != ""
    assert re.fullmatch(r"([0-9a-f]{40}\+?)?", versions()["commit"])


def test_the_command_line_refuses_a_run_that_does_not_wait(store, record, capsys):
    assert main([str(store.path), "nobody"]) == 2
    store.append("run", Finished())
    assert main([str(store.path), "run"]) == 2
    assert "No such run" in capsys.readouterr().err


def test_the_command_line_trains_a_run(store, record):
    assert main([str(store.path), "run", "--fit", "fake_fits:short"]) == 0
    done = store.run("run")
    assert (done.state, done.pid) == ("finished", os.getpid())
