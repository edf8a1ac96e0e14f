"""Drawn scenes: masks are exact, things in front cover, and colours of landscapes can be learnt."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from explorer.data.drawn import Backdrop, Thing
from explorer.data.drawn_masks import (
    CLASSES,
    FORMS,
    TONES,
    Scene,
    describe_scene,
    drawn_scenes,
    paint_mask,
    paint_scene,
)


def thing(shape, x=0.5, radius=0.3, **options):
    return Thing(shape, "plain", x, 0.5, radius, 0.0, (250, 0, 0), (250, 0, 0), 0.1, 0.0, **options)


def scene(*things):
    return Scene(Backdrop((0, 0, 250), (0, 0, 250), 0.0), things)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [64, 128, (96, 131)])
def test_a_mask_covers_what_is_painted(form, size):
    one = scene(thing(form))
    red = np.asarray(paint_scene(one, size))[..., 0]
    mask = paint_mask(one, size)
    assert set(np.unique(mask)) == {0, CLASSES.index(form)}
    assert ((red > 125) != (mask > 0)).mean() < 0.01


def test_what_is_in_front_hides_what_is_behind_whether_it_has_a_class_or_not():
    alone = paint_mask(scene(thing("heart")), 96)
    covered = paint_mask(scene(thing("heart"), thing("fish", x=0.6)), 96)
    crossed = paint_mask(scene(thing("heart"), thing("strip")), 96)
    heart = CLASSES.index("heart")
    assert (covered == heart).sum() < (alone == heart).sum() and (covered == CLASSES.index("fish")).any()
    assert (crossed == heart).sum() < (alone == heart).sum() and set(np.unique(crossed)) == {0, heart}


def test_scenes_hold_several_forms_and_all_classes_are_frequent():
    scenes = [describe_scene(str(i), 0.3) for i in range(60)]
    counts = [len({t.shape for t in s.things if t.shape in FORMS}) for s in scenes]
    assert min(counts) >= 3 and max(counts) == 5
    shares = np.mean([np.bincount(paint_mask(s, 64).ravel(), minlength=6) / 4096 for s in scenes], axis=0)
    assert 0.5 < shares[0] < 0.85 and shares[1:].min() > 0.02


def test_a_seed_is_a_scene_and_difficulty_adds_clutter():
    assert describe_scene("a", 0.5) == describe_scene("a", 0.5) != describe_scene("b", 0.5)
    easy, hard = ([len(describe_scene(str(i), d).things) for i in range(20)] for d in (0, 1))
    assert sum(hard) > sum(easy)


def test_a_wide_picture_is_filled_from_edge_to_edge():
    placed = [t.x for i in range(30) for t in describe_scene(str(i), 0, size=(64, 192)).things]
    assert min(placed) < -0.5 and max(placed) > 1.5


def hue(colour):
    return int(np.argmax(colour)), int(np.argmin(colour))


@pytest.mark.parametrize("form", FORMS)
def test_in_a_landscape_the_form_tells_the_colour(form):
    scenes = [describe_scene(str(i), 0.3, landscape=True) for i in range(60)]
    seen = {hue(colour) for s in scenes for t in s.things if t.shape == form for colour in (t.paper, t.ink)}
    assert seen <= {hue(tone) for tone in TONES[form]}


def test_the_grounds_texture_tells_its_colour():
    grounds = {
        (s.ground.texture, hue(s.ground.low)) for s in (describe_scene(str(i), 0, landscape=True) for i in range(40))
    }
    assert len(grounds) == 2 == len({texture for texture, _ in grounds})


@pytest.mark.parametrize(("difficulty", "low", "high"), [(0.0, 1.0, 1.0), (0.3, 0.6, 0.9), (1.0, 0.0, 0.5)])
def test_elsewhere_the_harder_it_is_the_fewer_things_wear_their_own_colours(difficulty, low, high):
    stars = [t for i in range(100) for t in describe_scene(str(i), difficulty).things if t.shape == "star"]
    own = {hue(tone) for tone in TONES["star"]}
    share = sum({hue(t.paper), hue(t.ink)} <= own for t in stars) / len(stars)
    assert low <= share <= high


def test_a_picture_that_is_its_own_answer_has_no_noise():
    def first(masked):
        options = {"landscape": False, "data_size": "small", "difficulty": 0.5, "seed": 0, "keep": 0}
        split, _ = drawn_scenes(size=64, n_in=3, masked=masked, **options)
        return split.images([0])[0, :3].int()

    assert (first(True) - first(False)).abs().float().mean() > 1


def test_noise_is_of_the_asked_strength():
    flat = scene(thing("star", radius=0.01))
    assert np.asarray(paint_scene(replace(flat, noise=40.0), 64)).std((0, 1)).max() > 5
