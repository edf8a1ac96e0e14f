"""A run that pauses after an epoch and goes on in another process ends as if it had never paused, to the last bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from explorer.spec import BodySpec, ClassifierSpec, DecoderSpec, HeadSpec, TrainSpec, UnetSpec
from explorer.train.events import EpochDone, Failed, Finished, Note, Paused, Resumed, Started, Step, Stopped
from explorer.train.history import History, fold_all
from explorer.train.learner import fit
from explorer.train.places import START, START_DESCRIPTION

BODY = BodySpec("resnet18", "random", size=32)
HEAD = HeadSpec(lin_ftrs=(16,))
SPEC = ClassifierSpec(BodySpec("squeezenet1_1", "random", size=48), HEAD, n_out=10)
TRAIN = TrainSpec(epochs=3, batch_size=64, augment="basic", frozen=False, seed=3)
CASES = {
    "one_cycle": (SPEC, TRAIN),
    "fine_tune across its phases": (SPEC, TrainSpec(epochs=2, freeze_epochs=1, schedule="fine_tune", batch_size=64)),
    "frozen body with batch norm": (ClassifierSpec(BODY, HEAD, n_out=10), TrainSpec(epochs=3, batch_size=64)),
    "masks": (
        UnetSpec(BodySpec("squeezenet1_1", "random", size=32), DecoderSpec(width_cap=16), n_out=7),
        TrainSpec(epochs=3, batch_size=64),
    ),
    "one picture's style": (
        UnetSpec(body=BodySpec("squeezenet1_1", "random", size=32), n_out=3, task="style_image"),
        TrainSpec(epochs=3, batch_size=8, lr=1e-2),
    ),
}


def told(events) -> list:
    """What a curve is made of, without the time that it took."""
    kept = []
    for event in events:
        if isinstance(event, Step):
            kept.append(event)
        if isinstance(event, EpochDone):
            kept.append((event.epoch, event.train_loss, event.valid_loss, event.metrics))
    return kept


def interrupted(spec, train, folder: Path) -> list:
    """A run that pauses after each of its epochs, every part as a process of its own would do it."""
    events, resume = [], False
    while True:
        torch.manual_seed(999)  # another process has other random numbers
        part = list(fit(spec, train, weights_out=folder, pause=lambda: True, resume=resume))
        events += part
        if not isinstance(part[-1], Paused):
            return events
        resume = True


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_pauses_after_every_epoch_ends_as_one_that_does_not(case, tmp_path):
    spec, train = CASES[case]
    whole = list(fit(spec, train, weights_out=tmp_path / "whole"))
    parts = interrupted(spec, train, tmp_path / "parts")
    assert isinstance(whole[-1], Finished) and isinstance(parts[-1], Finished)
    assert told(parts) == told(whole)
    assert [e.epoch for e in parts if isinstance(e, Resumed)] == [e.epoch for e in parts if isinstance(e, Paused)]
    assert sum(isinstance(e, Started) for e in parts) == 1
    ours, theirs = (load_file(tmp_path / name / "last.safetensors") for name in ("parts", "whole"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_there_is_no_pause_after_the_last_epoch(tmp_path):
    train = TrainSpec(epochs=1, batch_size=64)
    assert isinstance(list(fit(SPEC, train, weights_out=tmp_path, pause=lambda: True))[-1], Finished)


def test_a_stop_while_it_goes_on_keeps_the_epochs_before(tmp_path):
    list(fit(SPEC, TRAIN, weights_out=tmp_path, pause=lambda: True))
    events = []
    for event in fit(SPEC, TRAIN, weights_out=tmp_path, resume=True, stop=lambda: len(events) > 3):
        events.append(event)
    assert events[-1] == Stopped(1)


@pytest.mark.parametrize("gone", ["state.safetensors", "last.safetensors"])
def test_what_a_pause_left_behind_may_be_gone_or_broken(gone, tmp_path):
    list(fit(SPEC, TRAIN, weights_out=tmp_path, pause=lambda: True))
    (tmp_path / gone).write_bytes(b"half")
    last = list(fit(SPEC, TRAIN, weights_out=tmp_path, resume=True))[-1]
    assert isinstance(last, Failed) and "gone" in last.reason


def continued(spec, train, parent: Path, folder: Path) -> list:
    return list(fit_continued(spec, train, parent, folder))


def fit_continued(spec, train, parent: Path, folder: Path):
    folder.mkdir()
    (folder / START).write_bytes((parent / "last.safetensors").read_bytes())
    (folder / START_DESCRIPTION).write_bytes((parent / "spec.json").read_bytes())
    return fit(spec, train, weights_out=folder)


def test_a_run_begins_with_the_weights_of_another(tmp_path):
    train = TrainSpec(epochs=2, batch_size=64)
    first = list(fit(SPEC, train, weights_out=tmp_path / "first"))
    events = continued(SPEC, train, tmp_path / "first", tmp_path / "second")
    assert Note("Begins with the weights of another run, after its epoch 2.") in events
    assert told(events) != told(first)
    again = continued(SPEC, train, tmp_path / "first", tmp_path / "third")
    assert told(again) == told(events)


def test_it_begins_exactly_where_the_other_ended(tmp_path):
    list(fit(SPEC, TrainSpec(epochs=1, batch_size=64), weights_out=tmp_path / "first"))
    for event in fit_continued(SPEC, TRAIN, tmp_path / "first", tmp_path / "second"):
        if isinstance(event, Started):
            break
    ours, theirs = (load_file(tmp_path / name / "last.safetensors") for name in ("second", "first"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_weights_of_another_model_are_refused_in_one_sentence(tmp_path):
    list(fit(SPEC, TrainSpec(epochs=1, batch_size=64), weights_out=tmp_path / "first"))
    last = continued(CASES["frozen body with batch norm"][0], TRAIN, tmp_path / "first", tmp_path / "second")[-1]
    assert isinstance(last, Failed) and "another model" in last.reason


def test_the_pause_does_not_count_as_training_time():
    started = Started(2, 2, 4, 64, 16, ("a",), "cpu", 1, 1, "random")
    events = [(started, 10.0), (Step(1, 1.0, 1e-3), 11.0), (Step(2, 1.0, 1e-3), 12.0), (Paused(1), 12.0)]
    paused = fold_all(History(), events)
    assert (paused.state, paused.kept_epochs, paused.ended) == ("paused", 1, False)
    resumed = fold_all(paused, [(Resumed(1), 112.0), (Step(3, 1.0, 1e-3), 113.0)])
    assert (resumed.state, resumed.seconds_left) == ("running", pytest.approx(1.0))
