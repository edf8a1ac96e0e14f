"""Scores of masks and pictures against counts by hand."""

from __future__ import annotations

import pytest
import torch

from explorer.data.masks import VOID
from explorer.train.scores import MaskScores, PictureScores, psnr_each, right_share

CPU = torch.device("cpu")
TRUTH = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, VOID]]])
GUESS = torch.tensor([[[0, 0, 1, 0], [0, 1, 1, 2]]])


def test_void_is_left_out_and_a_class_that_is_nowhere_has_no_score():
    scores = MaskScores(4, CPU)
    scores.add(GUESS, TRUTH)
    assert scores.per_class() == (pytest.approx(3 / 5), pytest.approx(2 / 4), None, None)
    assert dict(scores.metrics()) == {"accuracy": pytest.approx(5 / 7), "miou": pytest.approx(0.55)}
    assert scores.void_share == 1 / 8
    assert right_share(GUESS, TRUTH) == (round(5 / 7, 4),)


def test_scores_are_of_all_batches():
    one, two = MaskScores(4, CPU), MaskScores(4, CPU)
    one.add(torch.cat((GUESS, TRUTH.clamp(max=1))), torch.cat((TRUTH, TRUTH)))
    two.add(GUESS, TRUTH)
    two.add(TRUTH.clamp(max=1), TRUTH)
    assert one.metrics() == two.metrics() and one.per_class() == two.per_class()


def test_only_void_scores_nothing():
    scores = MaskScores(2, CPU)
    scores.add(torch.zeros(1, 2, 2, dtype=torch.long), torch.full((1, 2, 2), VOID))
    assert dict(scores.metrics()) == {"accuracy": 0.0, "miou": 0.0} and scores.per_class() == (None, None)


def test_psnr_is_the_mean_over_pictures():
    truth = torch.full((2, 3, 16, 16), 0.5)
    guess = torch.stack((truth[0] + 0.1, truth[1] + 0.01))
    scores = PictureScores(CPU)
    scores.add(guess, truth)
    assert dict(scores.metrics())["psnr"] == pytest.approx(30, abs=0.01)
    assert psnr_each(guess, truth) == (20.0, 40.0)
    assert psnr_each(truth, truth) == (100.0, 100.0)


def test_what_is_beyond_white_is_white_and_small_pictures_have_no_ssim():
    scores = PictureScores(CPU)
    scores.add(torch.full((1, 3, 8, 8), 1.5), torch.full((1, 3, 8, 8), 0.9))
    assert dict(scores.metrics()) == {"psnr": pytest.approx(20, abs=0.01)}
    scores = PictureScores(CPU)
    picture = torch.rand(2, 3, 24, 24)
    scores.add(picture, picture)
    assert dict(scores.metrics())["ssim"] == pytest.approx(1)


def test_products_of_bfloat16_do_not_blur_the_scores():
    """SSIM of two like pictures fell from .7 to .15 when its window was of bfloat16."""
    torch.manual_seed(0)
    truth = torch.nn.functional.interpolate(torch.rand(2, 3, 8, 8), 64, mode="bilinear")
    plain, coarse = PictureScores(CPU), PictureScores(CPU)
    plain.add(truth * 0.97, truth)
    with torch.autocast("cpu", torch.bfloat16):
        coarse.add(truth * 0.97, truth)
    assert coarse.metrics() == plain.metrics()
