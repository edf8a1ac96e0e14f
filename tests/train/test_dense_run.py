"""Whole runs whose answers are masks or pictures, on toy sets with tiny networks."""

from __future__ import annotations

import base64
import io
import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from explorer.data.dataset import Split
from explorer.data.dense import DenseSet
from explorer.data.masks import VOID
from explorer.jobs.worker import look_inside
from explorer.models.build import build_model
from explorer.spec import TASKS, BodySpec, DecoderSpec, TrainSpec, UnetSpec
from explorer.train import dense_run
from explorer.train.dense_run import spread_positions
from explorer.train.events import (
    ENDINGS,
    Activations,
    EpochDone,
    Failed,
    Finished,
    Note,
    Outputs,
    PictureSample,
    Progress,
    Started,
    Step,
    Stopped,
    from_dict,
    to_dict,
)
from explorer.train.learner import fit

SIZE = 32
SPEC = UnetSpec(BodySpec("squeezenet1_1", "random", size=SIZE), DecoderSpec(width_cap=16), n_out=3)
TRAIN = TrainSpec(epochs=2, batch_size=4, frozen=False, lr=0.01, augment="none", style="waves")
PICTURES = ("super_resolution", "colour", "style", "style_image")


def of_task(task: str, spec: UnetSpec = SPEC) -> UnetSpec:
    return replace(spec, task=task)


def toy(task: str, n_train: int = 12, n_valid: int = 7, classes: int = 3, size: int = SIZE) -> DenseSet:
    """A bright bar on a dark ground, its colour says its class; the first column of the mask is void."""
    masked = task == "segmentation"

    def read(item: int) -> np.ndarray:
        dice = np.random.default_rng(item)
        picture = dice.integers(0, 20, (3, size, size))
        mask = np.zeros((1, size, size), int)
        at, kind = 4 * dice.integers(1, size // 4 - 3), 1 + item % (classes - 1)
        picture[kind % 3, at : at + 10] += 190
        mask[:, at : at + 10] = kind
        mask[..., 0] = VOID
        return np.concatenate((picture, mask) if masked else (picture,)).astype(np.uint8)

    def split(n: int, first: int) -> Split:
        return Split(range(first, first + n), [0] * n, read, (3 + masked, size, size))

    names = tuple("abcdefghi"[:classes]) if masked else ()
    return DenseSet(
        "bars", task, names, ("#000000", "#ff0000", "#00ff00")[: len(names)], split(n_train, 0), split(n_valid, 900)
    )


@pytest.fixture
def data(monkeypatch):
    """Let `fit` load a toy set; a test may say which."""
    wanted = {}
    monkeypatch.setattr(dense_run, "load_dense", lambda name, *, task, **options: toy(task, **wanted))
    return wanted.update


def run(spec: UnetSpec = SPEC, train_spec: TrainSpec = TRAIN, **options) -> list:
    return list(fit(spec, train_spec, device="cpu", **options))


def of(kind, events) -> list:
    return [event for event in events if isinstance(event, kind)]


def opened(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))


@pytest.mark.parametrize("task", TASKS)
def test_every_task_runs_to_its_end_and_tells_pictures_before_and_after_each_epoch(data, task):
    events = run(of_task(task))
    assert isinstance(events[-1], Finished), events[-1]
    kinds = [type(event) for event in events if not isinstance(event, (Note, Progress, Step))]
    assert kinds == [Started, PictureSample, Outputs] + [EpochDone, Outputs] * 2 + [Finished]
    assert [seen.epoch for seen in of(Outputs, events)] == [0, 1, 2]
    (sample,) = of(PictureSample, events)
    assert sample.task == task
    assert len(sample.inputs) == (1 if task == "style_image" else 4)
    assert all(len(seen.images) == len(sample.inputs) for seen in of(Outputs, events))
    assert all(opened(uri).shape == (SIZE, SIZE, 3) for seen in of(Outputs, events) for uri in seen.images)
    started = of(Started, events)[0]
    assert len(of(Step, events)) == started.steps == 2 * started.steps_per_epoch
    assert all(from_dict(json.loads(json.dumps(to_dict(event)))) == event for event in events)


def test_masks_are_learnt_and_scored(data):
    events = run(train_spec=replace(TRAIN, epochs=8, lr=0.02))
    first, *_, last = of(EpochDone, events)
    assert [name for name, _ in last.metrics] == ["accuracy", "miou"]
    assert last.valid_loss < first.valid_loss and dict(last.metrics)["accuracy"] > 0.8
    outputs = of(Outputs, events)
    assert outputs[0].per_class == () and len(outputs[-1].per_class) == len(of(Started, events)[0].classes) == 3
    assert outputs[-1].void_share == pytest.approx(1 / SIZE)
    assert np.mean(outputs[-1].scores) > 0.8 > np.mean(outputs[0].scores)
    (sample,) = of(PictureSample, events)
    assert sample.classes == ("a", "b", "c") and sample.baseline == "" and len(sample.targets) == 4


def test_a_trained_mask_is_painted_as_the_model_gives_it(data, tmp_path):
    events = run(weights_out=tmp_path)
    model = build_model(SPEC).model.eval()
    model.load_state_dict(load_file(tmp_path / "last.safetensors"))
    valid = toy("segmentation").valid
    positions = spread_positions(len(valid), 4)
    pictures = valid.images(positions)
    with torch.no_grad():
        guesses = model(pictures[:, :3].float() / 255).argmax(1)
    palette = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]])
    for uri, mask in zip(of(Outputs, events)[-1].images, guesses, strict=True):
        assert np.array_equal(opened(uri), palette[mask.numpy()])
    (sample,) = of(PictureSample, events)
    assert np.array_equal(opened(sample.targets[0])[:, 1:], palette[pictures[0, 3, :, 1:].numpy()])


@pytest.mark.parametrize(("task", "baseline"), [("super_resolution", "bicubic"), ("colour", "grey")])
def test_pictures_get_better_than_what_one_has_without_a_network(data, task, baseline):
    events = run(of_task(task), replace(TRAIN, epochs=25))
    (sample,) = of(PictureSample, events)
    assert (sample.baseline, sample.baselines) == (baseline, sample.inputs)
    before, last = dict(sample.baseline_scores), dict(of(EpochDone, events)[-1].metrics)
    assert before.keys() == last.keys() == {"psnr", "ssim"}
    assert last["psnr"] > before["psnr"]
    assert len(sample.baseline_each) == len(of(Outputs, events)[-1].scores) == 4


@pytest.mark.parametrize("task", ["super_resolution", "colour"])
def test_pictures_that_are_no_better_are_told(data, task):
    events = run(of_task(task), replace(TRAIN, epochs=1, lr=1e-9))
    assert "no better yet than" in of(Note, events)[-1].text


def test_a_feature_loss_takes_the_body_as_it_was(data, tmp_path):
    spec = of_task("super_resolution")
    plain, judged = (of(Step, run(spec, replace(TRAIN, epochs=1, loss=loss))) for loss in ("own", "feature"))
    assert judged[0].loss > plain[0].loss
    assert of(Step, run(spec, replace(TRAIN, epochs=1, loss="l1")))[0] == plain[0]
    assert "random weights" in " ".join(n.text for n in of(Note, run(spec, replace(TRAIN, epochs=1, loss="feature"))))


def test_a_range_makes_the_output_the_picture_itself(data):
    spec = replace(of_task("colour"), decoder=DecoderSpec(width_cap=16, y_range=(0.0, 1.0)))
    first = of(Outputs, run(spec, replace(TRAIN, epochs=1)))[0]
    grey = of(Outputs, run(of_task("colour"), replace(TRAIN, epochs=1)))[0]
    assert opened(first.images[0]).std() < 0.5 * opened(grey.images[0]).std()  # sigmoid of little is 1/2 everywhere


@pytest.mark.parametrize("norm", [None, "batch", "weight", "spectral"])
def test_without_a_range_a_fresh_network_gives_back_what_it_gets(data, norm):
    spec = replace(of_task("colour"), decoder=DecoderSpec(width_cap=16, norm_type=norm))
    events = run(spec, replace(TRAIN, epochs=1))
    (sample,), first = of(PictureSample, events), of(Outputs, events)[0]
    assert isinstance(events[-1], Finished)
    assert (first.scores == sample.baseline_each) is (norm is None)


@pytest.mark.parametrize(("task", "lr"), [("style", 0.003), ("style_image", 0.03)])
def test_a_style_comes_nearer(data, task, lr):
    events = run(of_task(task), replace(TRAIN, epochs=4, lr=lr))
    assert [name for name, _ in of(EpochDone, events)[0].metrics] == ["style", "content"]
    steps = of(Step, events)
    assert steps[-1].loss < 0.9 * steps[0].loss
    assert of(PictureSample, events)[0].style.startswith("data:image/jpeg")


def test_one_image_has_its_pixels_as_parameters_and_keeps_them(data, tmp_path):
    events = run(of_task("style_image"), weights_out=tmp_path)
    started = of(Started, events)[0]
    assert started.params == started.trainable == 3 * SIZE * SIZE
    assert load_file(tmp_path / "last.safetensors")["pixels"].shape == (1, 3, SIZE, SIZE)


def test_two_runs_are_equal_and_looks_change_nothing(data):
    train_spec = replace(TRAIN, augment="basic")
    first, second = run(train_spec=train_spec), run(train_spec=train_spec, look=look_inside)
    assert of(Step, first) == of(Step, second) and of(Outputs, first) == of(Outputs, second)
    assert not of(Activations, first) and of(Activations, second)[0].epoch == 0


@pytest.mark.parametrize("kind", ["nearest", "transposed"])
def test_plain_decoders_train_too(data, kind):
    spec = replace(SPEC, decoder=DecoderSpec(kind, width_cap=16))
    assert isinstance(run(spec, replace(TRAIN, epochs=1))[-1], Finished)


def test_long_runs_tell_thirty_pictures_at_most(data, monkeypatch):
    monkeypatch.setattr(dense_run, "epochs_to_look", lambda epochs: frozenset((0, epochs)))
    assert [seen.epoch for seen in of(Outputs, run(train_spec=replace(TRAIN, epochs=3)))] == [0, 3]


@pytest.mark.parametrize("schedule", ["one_cycle", "fine_tune", "flat"])
def test_one_pictures_pixels_take_the_rate_whatever_the_body_s_groups_hold(schedule):
    train = replace(TRAIN, lr=0.05, lrs=(1e-5, 1e-4, 1e-3), frozen=2, schedule=schedule)
    events = run(of_task("style_image"), train)
    assert not [event for event in events if isinstance(event, Failed)]
    assert isinstance(events[-1], Finished)


@pytest.mark.parametrize("asked", [0, 1, 2, 4, 8])
@pytest.mark.parametrize("task", ["segmentation", "style_image"])
def test_a_stop_ends_any_task(data, task, asked):
    turns = iter(range(1000))
    events = run(of_task(task), stop=lambda: next(turns) >= asked)
    assert isinstance(events[-1], Stopped) and sum(isinstance(event, ENDINGS) for event in events) == 1


@pytest.mark.parametrize(
    ("spec", "train_spec", "words"),
    [
        (replace(SPEC, n_out=2), TRAIN, "The decoder has 2 outputs, the data 3 classes: set outputs to 3."),
        (replace(SPEC, body=replace(SPEC.body, arch="resnet18")), replace(TRAIN, batch_size=1), "batch of one"),
        (replace(SPEC, body=replace(SPEC.body, n_in=1), task="colour"), TRAIN, "set the input channels to 3"),
        (replace(SPEC, body=replace(SPEC.body, n_in=1), task="style_image"), TRAIN, "set the input channels to 3"),
        (SPEC, replace(TRAIN, frozen=3), "nothing would learn"),
        (of_task("style"), replace(TRAIN, style="/no/such/picture.png"), "picture.png"),
        (of_task("style_image"), replace(TRAIN, style="/no/such/picture.png"), "picture.png"),
        (replace(SPEC, body=replace(SPEC.body, size=4)), TRAIN, "4 px"),
        (replace(SPEC, decoder=DecoderSpec(skips=(9,))), TRAIN, "skip"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_one_sentence_and_no_step(data, caplog, spec, train_spec, words):
    with caplog.at_level(logging.ERROR):
        events = run(spec, train_spec)
    assert isinstance(events[-1], Failed) and not of(Step, events)
    assert words in events[-1].reason and "\n" not in events[-1].reason
    assert not caplog.records


@pytest.mark.parametrize(("part", "word"), [("n_train", "train"), ("n_valid", "valid")])
def test_an_empty_split_is_refused(data, part, word):
    data({part: 0})
    assert f"The {word} set of bars has no image" in run()[-1].reason


def test_what_is_not_as_asked_is_noted(data):
    notes = " ".join(note.text for note in of(Note, run(replace(SPEC, n_out=5), replace(TRAIN, frozen=True))))
    assert "The decoder has 5 outputs, the data 3 classes: 2 stay unused." in notes
    assert "Frozen: early body and late body" in notes


def test_the_drawn_scenes_are_learnt_from_at_sixteen_pixels():
    spec = replace(SPEC, body=BodySpec("resnet18", "random", size=16), n_out=6)
    events = run(spec, TrainSpec(epochs=1, batch_size=100))
    assert isinstance(events[-1], Finished), events[-1]


@pytest.mark.parametrize(("n", "most", "chosen"), [(2, 4, (0, 1)), (4, 4, (0, 1, 2, 3)), (40, 4, (5, 15, 25, 35))])
def test_watched_pictures_are_spread(n, most, chosen):
    assert spread_positions(n, most) == chosen
