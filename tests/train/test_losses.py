"""Losses for masks and pictures: equal is 0, void is nothing, and gradients reach only what should move."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from explorer.data.masks import VOID
from explorer.models.bodies import create_body
from explorer.models.pyramid import Encoder
from explorer.train.losses import (
    Critic,
    content_distance,
    feature_distance,
    gram,
    pixel_cross_entropy,
    roughness,
    style_distance,
)


@pytest.fixture(scope="module")
def critic() -> Critic:
    torch.manual_seed(0)
    return Critic(Encoder(create_body("squeezenet1_1")), 48, None)


def test_pixels_count_alike_and_void_counts_nothing():
    scores, mask = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5))
    mask[0] = VOID
    mask[1, :2] = VOID
    wanted = F.cross_entropy(scores[1:, :, 2:], mask[1:, 2:])
    torch.testing.assert_close(pixel_cross_entropy(scores, mask), wanted)
    torch.testing.assert_close(pixel_cross_entropy(scores, mask, "sum"), wanted * 10)


def test_a_batch_of_nothing_but_void_has_no_loss_and_no_gradient():
    scores = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = pixel_cross_entropy(scores, torch.full((1, 4, 4), VOID))
    loss.backward()
    assert loss == 0 and not scores.grad.any()


def test_a_critic_gives_one_map_a_scale_and_does_not_learn(critic):
    picture = torch.rand(1, 3, 48, 48, requires_grad=True)
    maps = critic.train()(picture)
    sides = [features.shape[-1] for features in maps]
    assert len(maps) >= 3 and sides == sorted(sides, reverse=True)
    feature_distance(maps, [torch.zeros_like(features) + 1 for features in maps]).backward()
    assert picture.grad.abs().sum() > 0
    assert not any(p.requires_grad for p in critic.parameters()) and not critic.encoder.training


def test_a_critic_is_a_copy():
    encoder = Encoder(create_body("squeezenet1_1"))
    x = torch.rand(1, 3, 48, 48)
    critic = Critic(encoder, 48, None)
    before = critic(x)
    with torch.no_grad():
        for p in encoder.parameters():
            p.zero_()
    assert all(torch.equal(a, b) for a, b in zip(before, critic(x), strict=True))


def test_a_body_without_a_map_before_its_last_is_refused():
    with pytest.raises(ValueError, match="cut later"):
        Critic(Encoder(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1))), 48, None)


def test_equal_pictures_are_at_no_distance(critic):
    maps = critic(torch.rand(2, 3, 48, 48))
    assert feature_distance(maps, maps) == 0 and content_distance(maps[0], maps[0]) == 0
    assert style_distance([m[:1] for m in maps], [gram(m[:1]) for m in maps]) == 0


def test_a_style_does_not_ask_where_but_content_does(critic):
    features = torch.rand(1, 4, 6, 6)
    moved = features.roll((2, 3), (2, 3))
    torch.testing.assert_close(gram(features), gram(moved))
    assert content_distance(moved, features) > 0.01


def test_roughness_is_that_of_neighbours():
    stripes = torch.zeros(1, 3, 8, 8)
    stripes[..., ::2] = 1
    assert roughness(stripes) == 0.5 and roughness(torch.ones(1, 3, 8, 8)) == 0
