"""Augmentation: fastai's defaults in one resampling."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from explorer.data import augment
from explorer.data.augment import (
    augment_basic,
    flip,
    light,
    random_geometry,
    random_light,
    resample,
    rotation,
    tilt,
    zooming,
)


@pytest.fixture
def x() -> torch.Tensor:
    return torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def generator(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def moved(matrix: torch.Tensor, x: float, y: float) -> tuple[float, float]:
    u, v, w = (matrix @ torch.tensor([x, y, 1.0])).tolist()
    return u / w, v / w


@pytest.mark.parametrize("shape", [(4, 3, 16, 16), (1, 1, 7, 7), (2, 5, 8, 12)])
def test_shape_and_range_stay_and_the_original_is_left_alone(shape):
    x = torch.rand(shape)
    before = x.clone()
    for seed in range(5):
        y = augment_basic(x, generator(seed))
        assert y.shape == x.shape and y.dtype == x.dtype
        assert y.min() >= 0 and y.max() <= 1
    assert torch.equal(x, before)


def test_black_and_white_stay_finite():
    y = augment_basic(torch.stack([torch.zeros(3, 8, 8), torch.ones(3, 8, 8)]), generator())
    assert y.isfinite().all() and y[0].max() < 0.01 and y[1].min() > 0.99


def test_the_same_generator_gives_the_same_changes(x):
    assert torch.equal(augment_basic(x, generator(1)), augment_basic(x, generator(1)))
    assert not torch.equal(augment_basic(x, generator(1)), augment_basic(x, generator(2)))


def test_each_picture_is_changed_by_itself(x):
    y = augment_basic(x[:1].expand(8, -1, -1, -1), generator())
    assert len({picture.numpy().tobytes() for picture in y}) > 4


def test_all_geometry_is_one_resampling(x, monkeypatch):
    calls = []
    monkeypatch.setattr(F, "grid_sample", lambda *a, real=F.grid_sample, **k: calls.append(k) or real(*a, **k))
    augment_basic(x, generator())
    assert [(call["mode"], call["padding_mode"]) for call in calls] == [("bilinear", "reflection")]


def test_doing_nothing_changes_nothing(x):
    torch.testing.assert_close(resample(x, torch.eye(3).repeat(4, 1, 1)), x, atol=1e-5, rtol=0)
    torch.testing.assert_close(light(x, torch.zeros(4), torch.ones(4)), x, atol=1e-6, rtol=0)


def test_a_flip_changes_left_and_right(x):
    y = resample(x, flip(torch.tensor([1.0, 0, 1, 0])))
    torch.testing.assert_close(y[[0, 2]], x[[0, 2]].flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(y[[1, 3]], x[[1, 3]], atol=1e-5, rtol=0)


def test_a_quarter_turn_is_exact(x):
    turned = resample(x, rotation(torch.full((4,), 90.0)))
    torch.testing.assert_close(turned, torch.rot90(x, 1, (2, 3)), atol=1e-5, rtol=0)


def test_zooming_shows_a_window_of_the_picture():
    for centre in (-1.0, 0.0, 1.0):
        matrix = zooming(torch.tensor([1.25]), torch.tensor([centre]), torch.tensor([centre]))[0]
        (left, top), (right, bottom) = moved(matrix, -1, -1), moved(matrix, 1, 1)
        assert right - left == pytest.approx(2 / 1.25) == bottom - top
        assert left >= -1 - 1e-6 and right <= 1 + 1e-6
    assert left == pytest.approx(1 - 2 / 1.25), "a centre of 1 lies at the right edge"


@pytest.mark.parametrize("axis", [0, 1])
def test_a_tilt_keeps_two_sides_and_makes_one_half_as_large_again(axis):
    matrix = tilt(torch.tensor([0.2]), axis)[0]
    low, high = ((moved(matrix, end, 1) if axis == 0 else moved(matrix, 1, end)) for end in (-1, 1))
    assert (low[axis], high[axis]) == pytest.approx((-1, 1))
    assert low[1 - axis] / high[1 - axis] == pytest.approx(1.5, rel=1e-5)


def test_chances_and_limits_are_fastais():
    n = 4000
    matrices = random_geometry(n, generator())
    assert (torch.linalg.det(matrices) < 0).float().mean() == pytest.approx(0.5, abs=0.03)
    untouched = ((matrices.abs() - torch.eye(3)).abs().amax((1, 2)) < 1e-6).float().mean()
    assert untouched == pytest.approx(0.25**3, abs=0.01), "rotation, zoom and warp each leave a quarter alone"
    brightness, contrast = random_light(n, generator())
    assert (brightness == 0).float().mean() == pytest.approx(0.25, abs=0.03)
    assert (contrast == 1).float().mean() == pytest.approx(0.25, abs=0.03)
    assert brightness.abs().max() <= math.log(0.6 / 0.4) + 1e-6
    assert contrast.min() >= 0.8 - 1e-6 and contrast.max() <= 1.25 + 1e-6


def test_brightness_and_contrast_reach_their_limits():
    grey = torch.full((1, 1, 2, 2), 0.5)
    assert light(grey, torch.tensor([math.log(0.6 / 0.4)]), torch.ones(1)).max() == pytest.approx(0.6)
    assert light(grey, torch.zeros(1), torch.tensor([1.25])).max() == pytest.approx(0.5)


def test_limits_are_the_facts():
    assert (augment.FLIP_P, augment.AFFINE_P, augment.LIGHT_P) == (0.5, 0.75, 0.75)
    assert (augment.MAX_DEGREES, augment.MAX_ZOOM, augment.MAX_WARP, augment.MAX_LIGHT) == (10, 1.1, 0.2, 0.2)
