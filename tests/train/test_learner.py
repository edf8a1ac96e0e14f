from __future__ import annotations

import base64
import io
import json
import logging
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from explorer.data.dataset import DataError, DataSet, Split
from explorer.jobs.worker import look_inside
from explorer.models.build import build_model
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec, TrainSpec
from explorer.train import learner, tasks
from explorer.train.events import (
    ENDINGS,
    Activations,
    EpochDone,
    Failed,
    Finished,
    Note,
    Predictions,
    Progress,
    Started,
    Step,
    Stopped,
    ValidSample,
)
from explorer.train.learner import fit, has_batch_norm, spread_sample, statistics

SPEC = ClassifierSpec(BodySpec("squeezenet1_1", weights="random", size=32), HeadSpec(lin_ftrs=(16,)), n_out=3)
TRAIN = TrainSpec(epochs=2, batch_size=8, augment="none")


def colours(n_train: int = 40, n_valid: int = 30, classes: int = 3, size: int = 32, channels: int = 3) -> DataSet:
    """Noisy pictures whose brightness says their class."""

    def split(n: int, seed: int) -> Split:
        labels = [i % classes for i in range(n)]

        def read(item: int) -> np.ndarray:
            noise = np.random.default_rng(1000 * seed + item).integers(0, 60, (channels, size, size))
            return (noise + 60 * (item % classes)).astype(np.uint8)

        return Split(range(n), labels, read, (channels, size, size))

    return DataSet("colours", tuple("abcdefghij"[:classes]), split(n_train, 1), split(n_valid, 2))


@pytest.fixture
def data(monkeypatch):
    """Let `fit` load a small set; a test may put another in its place."""

    def use(dataset: DataSet) -> None:
        monkeypatch.setattr(learner, "load", lambda name, **options: dataset)

    use(colours())
    return use


def run(spec=SPEC, train_spec=TRAIN, **options) -> list:
    return list(fit(spec, train_spec, device="cpu", **options))


def of(kind, events) -> list:
    return [event for event in events if isinstance(event, kind)]


def test_events_come_in_the_order_their_module_writes(data):
    kinds = [type(event) for event in run() if not isinstance(event, (Note, Progress))]
    assert kinds == [Started, ValidSample] + ([Step] * 5 + [EpochDone, Predictions]) * 2 + [Finished]


def restless(model, pictures, epoch) -> Activations:
    """A look that does all that it should not: it trains, draws numbers and moves statistics."""
    model.train()
    model(torch.rand_like(pictures))
    return Activations(epoch, ("0",), (float(pictures.mean()),), (0.0,), (0.0,))


def broken(model, pictures, epoch) -> Activations:
    if epoch:
        raise RuntimeError("no room\nat all")
    return restless(model, pictures, epoch)


def told_by(events) -> list:
    """What a run told, without clock times and looks."""
    shown = [event for event in events if not isinstance(event, (Activations, Note, Finished))]
    return [replace(event, seconds=0.0) if isinstance(event, EpochDone) else event for event in shown]


def test_looks_come_before_the_first_and_after_each_epoch(data):
    events = run(look=restless)
    kinds = [type(event) for event in events if not isinstance(event, (Note, Progress, Step))]
    assert kinds == [Started, ValidSample, Activations] + [EpochDone, Predictions, Activations] * 2 + [Finished]
    assert [seen.epoch for seen in of(Activations, events)] == [0, 1, 2]


def test_a_look_is_given_the_first_pictures_of_the_sample(data):
    given = []
    run(look=lambda model, pictures, epoch: given.append(pictures))
    assert all(torch.equal(pictures, given[0]) for pictures in given)
    assert torch.equal(given[0], colours().valid.images([0, 1]).float() / 255)


@pytest.mark.parametrize("look", [restless, broken, look_inside])
def test_looks_leave_the_run_as_it_is_to_the_last_bit(data, look, tmp_path):
    train_spec = replace(TRAIN, augment="basic")
    plain = run(train_spec=train_spec, weights_out=tmp_path / "plain")
    looked = run(train_spec=train_spec, weights_out=tmp_path / "looked", look=look)
    assert of(Activations, looked) and told_by(looked) == told_by(plain)
    first, second = (load_file(tmp_path / name / "last.safetensors") for name in ("plain", "looked"))
    assert first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_a_look_that_fails_ends_the_looks_and_not_the_run(data):
    events = run(look=broken)
    assert [seen.epoch for seen in of(Activations, events)] == [0]
    said = [note.text for note in of(Note, events) if "looking" in note.text]
    assert said == ["The run goes on without looking at its activations: RuntimeError, no room."]
    assert isinstance(events[-1], Finished)


def test_a_run_says_what_it_is(data):
    started = of(Started, run())[0]
    assert (started.epochs, started.steps_per_epoch, started.steps) == (2, 5, 10)
    assert (started.n_train, started.n_valid, started.classes) == (40, 30, ("a", "b", "c"))
    assert started.device.startswith("CPU · ") and started.weights.startswith("random")
    model = build_model(SPEC).model
    assert started.params == sum(p.numel() for p in model.parameters())
    assert started.trainable == sum(p.numel() for p in model[1].parameters())


def test_two_runs_give_the_same_curve_and_another_seed_another(data):
    train_spec = replace(TRAIN, augment="basic")
    first, second, other = (of(Step, run(train_spec=t)) for t in (train_spec, train_spec, replace(train_spec, seed=1)))
    assert first == second
    assert first != other


def test_the_built_in_set_is_learnt_from_end_to_end():
    spec = replace(SPEC, n_out=10)
    events = run(spec, TrainSpec(epochs=1, batch_size=100))
    assert isinstance(events[-1], Finished), events[-1]
    assert len(of(ValidSample, events)[0].images) == 24
    assert set(of(ValidSample, events)[0].labels) == set(range(10))


def test_a_set_that_is_easy_is_learnt(data):
    events = run(train_spec=replace(TRAIN, epochs=8, lr=0.01, frozen=False))
    assert of(EpochDone, events)[-1].metrics[0] == ("accuracy", pytest.approx(1.0, abs=0.1))
    steps = of(Step, events)
    assert steps[-1].smooth < 0.7 * steps[0].smooth


def test_the_sample_is_small_jpegs_and_the_guesses_are_of_it(data):
    events = run()
    sample = of(ValidSample, events)[0]
    assert len(sample.images) == len(sample.labels) == 24
    assert sorted(sample.labels) == [0] * 8 + [1] * 8 + [2] * 8
    head, _, body = sample.images[0].partition(",")
    image = Image.open(io.BytesIO(base64.b64decode(body)))
    assert (head, image.format, image.size) == ("data:image/jpeg;base64", "JPEG", (96, 96))
    for guessed in of(Predictions, events):
        assert len(guessed.guesses) == len(guessed.confidences) == 24
        assert sum(map(sum, guessed.confusion)) == 30


def test_a_sample_takes_classes_in_turn():
    assert spread_sample([0, 0, 0, 0, 1, 2, 2], 5) == (0, 1, 4, 5, 6)
    assert spread_sample([0, 0, 1], 24) == (0, 1, 2)


@pytest.mark.parametrize("n_in", [1, 2, 4])
def test_other_numbers_of_channels_train_and_show_pictures(data, n_in):
    data(colours(channels=n_in))
    events = run(replace(SPEC, body=replace(SPEC.body, n_in=n_in)), replace(TRAIN, epochs=1))
    assert isinstance(events[-1], Finished), events[-1]


def test_pictures_are_normalised_only_for_learnt_weights_and_three_channels():
    assert statistics(SPEC, "random") is None
    assert statistics(SPEC, "imagenet") == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert statistics(SPEC, "file") is not None
    assert statistics(replace(SPEC, body=replace(SPEC.body, n_in=1)), "imagenet") is None


# Stopping


@pytest.mark.parametrize(("asked", "epoch"), [(3, 0), (12, 1)])
def test_stop_ends_the_run_and_names_the_last_whole_epoch(data, tmp_path, asked, epoch):
    seen = []

    def stop() -> bool:
        return len(of(Step, seen)) >= (asked if epoch == 0 else 7)

    for event in fit(SPEC, TRAIN, device="cpu", stop=stop, weights_out=tmp_path):
        seen.append(event)
    assert seen[-1] == Stopped(epoch)
    with safe_open(tmp_path / "last.safetensors", "pt") as file:
        assert file.metadata()["epoch"] == str(epoch)


def test_stop_before_anything_stops(data):
    events = run(stop=lambda: True)
    assert events[-1] == Stopped(0) and not of(Step, events)


def test_stop_does_not_wait_for_a_download_that_hangs(monkeypatch):
    hang, waited = threading.Event(), threading.Event()

    def load(name, **options):
        hang.wait(90)
        waited.set()

    monkeypatch.setattr(learner, "load", load)
    try:
        events = []
        for event in fit(SPEC, TRAIN, device="cpu", stop=lambda: True):
            events.append(event)
        assert not waited.is_set()
    finally:
        hang.set()
    assert events[-1] == Stopped(0)


def test_a_generator_that_is_closed_ends_quietly(data):
    events = fit(SPEC, TRAIN, device="cpu")
    for event in events:
        if isinstance(event, Step):
            break
    events.close()
    assert list(events) == []


# What is left of a run


def test_weights_are_written_after_every_epoch_with_the_models_own_names(data, tmp_path):
    epochs = []
    for event in fit(SPEC, TRAIN, device="cpu", weights_out=tmp_path / "run"):
        if isinstance(event, EpochDone):
            with safe_open(tmp_path / "run" / "last.safetensors", "pt") as file:
                epochs.append(file.metadata()["epoch"])
    assert epochs == ["1", "2"]
    kept = load_file(tmp_path / "run" / "last.safetensors")
    model = build_model(SPEC).model
    assert kept.keys() == model.state_dict().keys()
    model.load_state_dict(kept)
    described = json.loads((tmp_path / "run" / "spec.json").read_text())
    assert described["spec"]["body"]["arch"] == "squeezenet1_1" and described["train"]["epochs"] == 2
    assert described["classes"] == ["a", "b", "c"] and described["normalise"] is None
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["last.safetensors", "spec.json"]


def test_weights_that_were_kept_give_the_accuracy_that_was_told(data, tmp_path):
    dataset = colours()
    done = of(EpochDone, run(weights_out=tmp_path))[-1]
    model = build_model(SPEC).model.eval()
    model.load_state_dict(load_file(tmp_path / "last.safetensors"))
    with torch.inference_mode():
        guesses = model(dataset.valid.images(range(30)).float() / 255).argmax(1)
    assert (guesses == dataset.valid.labels).float().mean().item() == pytest.approx(dict(done.metrics)["accuracy"])


def test_a_place_that_cannot_be_written_fails_with_a_sentence(data, tmp_path):
    (tmp_path / "file").write_text("")
    failed = run(weights_out=tmp_path / "file" / "run")[-1]
    assert isinstance(failed, Failed) and failed.reason.startswith("A file could not be")


# What goes wrong


def test_a_weight_that_is_not_finite_stops_the_first_batch_and_names_its_layer(data, tmp_path):
    model = build_model(SPEC).model
    tensors = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    tensors["0.0.3.expand3x3.weight"][0] = float("inf")
    save_file(tensors, tmp_path / "bad.safetensors")
    spec = replace(SPEC, body=replace(SPEC.body, weights=str(tmp_path / "bad.safetensors")))
    failed = run(spec, weights_out=tmp_path / "out")[-1]
    assert isinstance(failed, Failed) and failed.epoch == 0
    assert "epoch 1, batch 1" in failed.reason
    assert "0.0.3.expand3x3 (Conv2d)" in failed.reason


def test_a_run_that_diverges_keeps_the_last_good_weights(data, tmp_path, monkeypatch):
    losses = iter([False] * 7 + [True] * 100)
    forward = tasks.cross_entropy

    def spoiled(out, y, reduction="mean"):
        loss = forward(out, y, reduction=reduction)
        return loss * float("nan") if reduction == "mean" and next(losses) else loss

    monkeypatch.setattr(tasks, "cross_entropy", spoiled)
    failed = run(weights_out=tmp_path)[-1]
    assert isinstance(failed, Failed) and failed.epoch == 1
    assert "epoch 2, batch 3" in failed.reason and "lower learning rate" in failed.reason
    with safe_open(tmp_path / "last.safetensors", "pt") as file:
        assert file.metadata()["epoch"] == "1"
    assert all(torch.isfinite(tensor).all() for tensor in load_file(tmp_path / "last.safetensors").values())


def test_rectangles_are_learnt_to_the_end():
    spec = replace(SPEC, body=replace(SPEC.body, size=(40, 64)), n_out=10)
    events = list(fit(spec, replace(TRAIN, data="shapes", epochs=1, batch_size=128), device="cpu"))
    assert isinstance(events[-1], Finished) and of(EpochDone, events)


@pytest.mark.parametrize(
    ("spec", "train_spec", "words"),
    [
        (replace(SPEC, n_out=2), TRAIN, "The head has 2 outputs, the data 3 classes: set outputs to 3."),
        (replace(SPEC, n_out=1), TRAIN, "The head has 1 output, the data 3 classes"),
        (SPEC, replace(TRAIN, batch_size=1), "The batch size is 1, and batch norm cannot learn from a batch of one"),
        (SPEC, replace(TRAIN, frozen=3), "nothing would learn"),
        (SPEC, replace(TRAIN, lrs=(0.1,)), "1 learning rates for 3 groups"),
        (replace(SPEC, body=replace(SPEC.body, arch="resnet81")), TRAIN, "resnet18"),
        (replace(SPEC, body=replace(SPEC.body, size=8)), TRAIN, "8 px"),
        (replace(SPEC, body=replace(SPEC.body, weights="/no/such/file.pth")), TRAIN, "file.pth"),
        (replace(SPEC, head=HeadSpec(pool=None)), TRAIN, "pool"),
    ],
)
def test_what_cannot_be_trained_is_one_sentence_and_no_step(data, caplog, spec, train_spec, words):
    with caplog.at_level(logging.ERROR):
        events = run(spec, train_spec)
    assert isinstance(events[-1], Failed) and not of(Step, events)
    assert words in events[-1].reason and "\n" not in events[-1].reason
    assert not caplog.records


def test_a_train_set_of_one_image_is_refused(data):
    data(colours(n_train=1))
    assert "The train set has one image" in run()[-1].reason


@pytest.mark.parametrize(("n_train", "n_valid", "word"), [(0, 30, "train"), (40, 0, "valid")])
def test_an_empty_split_is_refused(data, n_train, n_valid, word):
    data(colours(n_train, n_valid))
    assert f"The {word} set of colours has no image" in run()[-1].reason


def test_an_unknown_device_is_refused_with_those_there_are(data):
    for name in ("toaster", "cuda:99"):
        failed = list(fit(SPEC, TRAIN, device=name))[-1]
        assert isinstance(failed, Failed) and "cpu" in failed.reason and name in failed.reason


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (DataError("The folder is empty: choose another."), "The folder is empty: choose another."),
        (MemoryError(), "ran out of memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB"), "ran out of memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"),
            "ran out of memory",
        ),
        (OSError(28, "No space left on device"), "The disk is full"),
    ],
)
def test_errors_from_below_become_one_sentence(monkeypatch, caplog, error, words):
    def refuse(name, **options):
        raise error

    monkeypatch.setattr(learner, "load", refuse)
    failed = run()[-1]
    assert isinstance(failed, Failed) and words in failed.reason
    assert not caplog.records


def test_what_nobody_expected_is_logged_and_told_plainly(monkeypatch, caplog):
    monkeypatch.setattr(learner, "load", lambda name, **options: {}["missing"])
    failed = run()[-1]
    assert failed.reason == "Training ended by an unexpected error, KeyError: 'missing'."
    assert caplog.records[0].exc_info


def test_exactly_one_ending(data):
    for events in (run(), run(stop=lambda: True), run(replace(SPEC, n_out=2))):
        assert [isinstance(event, ENDINGS) for event in events].count(True) == 1
        assert isinstance(events[-1], ENDINGS)


# What is worth a note


def notes(events) -> str:
    return " ".join(event.text for event in of(Note, events))


def test_a_freeze_says_what_it_froze_and_that_statistics_move(data):
    resnet = replace(SPEC, body=replace(SPEC.body, arch="resnet18"))
    told = notes(run(resnet, replace(TRAIN, epochs=1)))
    assert "Frozen: early body and late body, 11,166,912 of 11,176,512 parameters" in told
    assert "norm layers keep learning: 9,600" in told and "statistics of batch norm move" in told
    assert "722,496 of 722,496 parameters." in notes(run())
    assert "Frozen" not in notes(run(train_spec=replace(TRAIN, frozen=False, epochs=1)))


@pytest.mark.parametrize(("epochs", "when"), [(1, "epoch"), (2, "2 epochs")])
def test_fine_tune_says_when_everything_learns(data, epochs, when):
    told = notes(run(train_spec=replace(TRAIN, schedule="fine_tune", epochs=1, freeze_epochs=epochs)))
    assert f"Frozen in the first {when}: early body and late body, 722,496 of 722,496 parameters; " in told
    assert told.endswith("; then everything learns.")


def test_a_loss_that_explodes_but_stays_finite_is_told_before_the_end(data):
    *before, note, end = run(train_spec=replace(TRAIN, lr=10.0, frozen=False))
    loss = of(EpochDone, before)[-1].valid_loss
    assert loss > 100 and isinstance(end, Finished)
    sentence = f"The loss has grown to {loss:,.0f}, far above guessing (1.10): a lower rate would learn."
    assert note == Note(sentence, "warn")
    assert "has grown" not in notes(run())


def test_spare_outputs_train_and_are_told(data):
    events = run(replace(SPEC, n_out=5), replace(TRAIN, epochs=1))
    assert isinstance(events[-1], Finished)
    assert "5 outputs, the data 3 classes: 2 stay unused" in notes(events)
    assert len(of(Predictions, events)[0].confusion) == 3


def test_a_set_smaller_than_a_batch_is_one_step(data):
    events = run(train_spec=replace(TRAIN, batch_size=64))
    assert of(Started, events)[0].steps == len(of(Step, events)) == 2
    assert "fewer than a batch" in notes(events)


def test_a_last_partial_batch_is_dropped(data):
    data(colours(n_train=41))
    assert of(Started, run())[0].steps_per_epoch == 5


def test_progress_of_what_loads_is_yielded_while_it_loads(monkeypatch):
    moving = threading.Event()

    def load(name, *, progress, **options):
        progress("Fetching pictures", 3, 7, "images")
        assert moving.wait(90)
        return colours()

    monkeypatch.setattr(learner, "load", load)
    told = []
    for event in fit(SPEC, replace(TRAIN, epochs=1), device="cpu"):
        told.append(event)
        if isinstance(event, Progress):
            moving.set()
    assert of(Progress, told) == [Progress("Fetching pictures", 3, 7, "images")]
    assert isinstance(told[-1], Finished)


def test_batch_norm_is_found_wherever_it_is():
    assert has_batch_norm(build_model(SPEC).model)
    assert not has_batch_norm(torch.nn.Sequential(torch.nn.Linear(1, 1), torch.nn.LayerNorm(1)))
