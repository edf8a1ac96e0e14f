"""The built-in set: what its classes need, and that a seed is a picture."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.data.batches import batches
from explorer.data.dataset import DataError
from explorer.data.drawn import (
    BYSTANDERS,
    KINDS,
    PATTERNS,
    SHAPES,
    SIZES,
    TEXTURES,
    Thing,
    describe,
    drawn_set,
    outline,
    paint,
)

SEED = "7/train/3"


def test_there_are_ten_classes_with_names_for_people():
    names = drawn_set(size=32).classes
    assert len(names) == len(set(names)) == 10
    assert {"striped star", "dotted heart", "plain leaf"} <= set(names)


@pytest.mark.parametrize("part", ["shape", "texture"])
def test_neither_shape_nor_texture_alone_tells_the_class(part):
    seen = Counter(getattr(kind, part) for kind in KINDS)
    assert set(seen.values()) == {2}, "who sees only this part is right half of the time"
    assert len(set(KINDS)) == 10, "and both together name one class"


def test_every_shape_and_texture_can_be_drawn():
    assert {kind.shape for kind in KINDS} | set(BYSTANDERS) <= set(SHAPES)
    assert {kind.texture for kind in KINDS} == set(TEXTURES) == set(PATTERNS) | {"plain"}


@pytest.mark.parametrize("difficulty", [0, 0.3, 1])
def test_all_but_shape_and_texture_is_the_same_for_every_class(difficulty):
    def without_kind(kind):
        scene = describe(kind, SEED, difficulty)
        things = list(scene.things)
        things[scene.subject] = replace(things[scene.subject], shape="", texture="")
        return replace(scene, things=tuple(things))

    assert len({without_kind(kind) for kind in KINDS}) == 1


def test_the_subject_of_a_scene_shows_its_class():
    for kind in KINDS:
        scene = describe(kind, SEED, 1)
        subject = scene.things[scene.subject]
        assert (subject.shape, subject.texture) == (kind.shape, kind.texture)


def test_a_seed_gives_the_same_bytes_in_another_process():
    program = (
        "import hashlib; from explorer.data.drawn import *;"
        f"print(hashlib.sha256(paint(describe(KINDS[2], {SEED!r}, 0.5)).tobytes()).hexdigest())"
    )
    there = subprocess.check_output([sys.executable, "-c", program], text=True).strip()
    here, again = (paint(describe(KINDS[2], SEED, 0.5)).tobytes() for _ in range(2))
    assert here == again
    assert there == hashlib.sha256(here).hexdigest()


def test_the_scene_of_a_seed_stays_what_it_is():
    scene = describe(KINDS[0], "0/train/0", 0.3)
    subject = scene.things[scene.subject]
    assert (len(scene.things), scene.subject) == (3, 2)
    assert (subject.shape, subject.paper, subject.ink) == ("star", (166, 111, 34), (224, 207, 179))
    assert (subject.x, subject.y, subject.radius) == pytest.approx((0.41597, 0.42210, 0.32565), abs=1e-5)


def test_another_seed_is_another_set():
    one, other = (drawn_set(size=32, seed=seed).train.images([0, 1]) for seed in (0, 1))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("data_size", SIZES)
def test_sizes_and_balance(data_size):
    data = drawn_set(size=32, data_size=data_size)
    assert (len(data.train), len(data.valid)) == SIZES[data_size]
    for split in (data.train, data.valid):
        assert len(set(torch.bincount(split.labels, minlength=10).tolist())) == 1


def test_a_small_set_is_the_beginning_of_a_larger_one():
    small, medium = (drawn_set(size=32, data_size=name).train for name in ("small", "medium"))
    assert torch.equal(small.images(range(12)), medium.images(range(12)))


def test_what_is_checked_on_is_never_learnt_from():
    data = drawn_set(size=32)
    assert not set(data.train.items) & set(data.valid.items)
    learnt = {picture.numpy().tobytes() for picture in data.train.images(range(400))}
    assert len(learnt) == 400
    assert not learnt & {picture.numpy().tobytes() for picture in data.valid.images(range(100))}


@pytest.mark.parametrize("n_in, size", [(3, 64), (1, 64), (3, 160), (1, 33), (3, 1)])
def test_pictures_come_in_the_asked_shape(n_in, size):
    x = drawn_set(size=size, n_in=n_in).valid.images([0, 5])
    assert (x.dtype, x.shape) == (torch.uint8, (2, n_in, size, size))


def test_difficulty_adds_clutter_and_noise_and_takes_contrast_away():
    easy, hard = ([describe(kind, f"0/{i}", d) for i in range(20) for kind in KINDS] for d in (0, 1))
    assert all(len(scene.things) == 1 for scene in easy)
    assert np.mean([len(scene.things) for scene in hard]) > 3
    assert min(scene.noise for scene in hard) > max(scene.noise for scene in easy)

    def contrast(scenes):
        subjects = [scene.things[scene.subject] for scene in scenes]
        return np.mean([np.abs(np.subtract(s.paper, s.ink)).mean() for s in subjects])

    def radii(scenes):
        return [scene.things[scene.subject].radius for scene in scenes]

    assert contrast(hard) < 0.7 * contrast(easy)
    assert min(radii(hard)) < 0.25 < min(radii(easy))


@pytest.mark.parametrize("difficulty", [0, 0.3, 1])
def test_the_subject_stays_in_the_picture(difficulty):
    for i in range(200):
        scene = describe(KINDS[i % 10], f"0/{i}", difficulty)
        subject = scene.things[scene.subject]
        for centre in (subject.x, subject.y):
            assert subject.radius * 0.79 <= centre <= 1 - subject.radius * 0.79


def test_an_outline_covers_what_the_shape_covers():
    disc = Thing("disc", "plain", 0.5, 0.5, 0.4, 0.3, (9, 9, 9), (0, 0, 0), 0.1, 0)
    mask, corner = outline(disc, 160)
    area = np.asarray(mask).sum() / 255
    assert area == pytest.approx(np.pi * (0.9 * 0.4 * 160) ** 2, rel=0.01)
    middle = np.average(np.indices(np.asarray(mask).shape), axis=(1, 2), weights=np.asarray(mask)) + corner + 0.5
    assert middle.tolist() == pytest.approx([80, 80], abs=0.1)


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_a_shape_turns_without_being_cut(shape):
    areas = []
    for angle in np.linspace(0, 6, 7):
        thing = Thing(shape, "plain", 0.5, 0.5, 0.3, angle, (0, 0, 0), (0, 0, 0), 0.1, 0)
        areas.append(np.asarray(outline(thing, 160)[0]).sum() / 255)
    assert max(areas) - min(areas) < 0.03 * max(areas)


def test_two_textures_on_one_shape_look_different():
    for shape in {kind.shape for kind in KINDS}:
        one, other = (paint(describe(kind, SEED, 0)) for kind in KINDS if kind.shape == shape)
        assert np.abs(np.subtract(one, other, dtype=int)).mean() > 2


def test_a_picture_is_colour_of_the_painted_side():
    assert isinstance(paint(describe(KINDS[0], SEED, 1), 96), Image.Image)
    assert paint(describe(KINDS[0], SEED, 1), 96).size == (96, 96)


@pytest.mark.parametrize(
    "options, words",
    [({"data_size": "huge"}, "small, medium, large"), ({"difficulty": 2}, "between 0 and 1"), ({"n_in": 4}, "3 or 1")],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(options, words):
    with pytest.raises(DataError, match=words):
        drawn_set(size=32, **options)


def test_pretrained_features_tell_the_classes_apart_and_difficulty_hides_them(shared_weights):
    torchvision = pytest.importorskip("torchvision")
    body = torchvision.models.squeezenet1_1(weights=None)
    body.load_state_dict(torch.load(next(shared_weights.glob("squeezenet1_1-*.pth")), weights_only=True))
    body.eval()
    easy, hard = (probe(body.features, drawn_set(size=80, difficulty=d)) for d in (0, 1))
    assert easy > 0.75
    assert hard < easy - 0.3


@torch.no_grad()
def probe(body, data, n_train=200) -> float:
    """Share of the valid set that ridge regression on pooled features gets right."""

    def features(split):
        split = type(split)(split.items[:n_train], split.labels[:n_train], split._read, split.shape)
        seen = [
            (body(x).mean((2, 3)), y)
            for x, y in batches(split, 50, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
        ]
        x, y = (torch.cat(parts) for parts in zip(*seen, strict=True))
        return x.double(), y

    (x, y), (x_valid, y_valid) = features(data.train), features(data.valid)
    mean, std = x.mean(0), x.std(0) + 1e-6
    x, x_valid = (x - mean) / std, (x_valid - mean) / std
    targets = torch.nn.functional.one_hot(y, 10).double()
    weights = torch.linalg.solve(x.T @ x + 100 * torch.eye(x.shape[1]), x.T @ (targets - targets.mean(0)))
    return ((x_valid @ weights).argmax(1) == y_valid).double().mean().item()
