"""Grey pictures of real activations."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from explorer.models.bodies import create_body
from explorer.trace.activations import faces, to_grey


@pytest.fixture(scope="module")
def body() -> nn.Module:
    torch.manual_seed(0)
    return create_body("resnet18").eval()


def picture(seed: int = 0) -> torch.Tensor:
    return torch.rand(3, 64, 48, generator=torch.Generator().manual_seed(seed))


def test_faces_have_the_size_of_their_layer(body: nn.Module):
    found = faces(body, picture(), ("0.0", "0.4", "0.4.0.conv1", "0"))
    assert {qual: face.shape for qual, face in found.items()} == {
        "0.0": (32, 24), "0.4": (16, 12), "0.4.0.conv1": (16, 12), "0": (2, 2),
    }  # fmt: skip
    assert all(face.dtype == np.uint8 for face in found.values())
    assert found["0.0"].min() == 0 and found["0.0"].max() == 255


def test_a_face_is_the_mean_over_channels_of_that_layers_own_output(body: nn.Module):
    """In-place layers behind it do not change it: the batch norm's face is taken before the ReLU."""
    x = picture()
    with torch.no_grad():
        after_norm = body[1](body[0](x[None]))[0].mean(0)
    assert np.array_equal(faces(body, x, ("0.1",))["0.1"], to_grey(after_norm))


def test_one_extreme_value_does_not_hide_the_rest():
    values = torch.linspace(0, 1, 1000)
    values[0] = 1e6
    assert len(np.unique(to_grey(values))) > 200


def test_a_flat_map_and_broken_numbers_are_black():
    assert not to_grey(torch.full((4, 4), 7.0)).any()
    assert not to_grey(torch.full((2, 2), torch.nan)).any()
    assert to_grey(torch.tensor([0.0, torch.nan, 1.0]))[1] == 0


def test_no_hook_and_no_gradient_is_left_behind(body: nn.Module):
    faces(body, picture(), ("0.4",))
    assert not any(module._forward_hooks for module in body.modules())
    with pytest.raises(ValueError, match="no layer '0.99'"):
        faces(body, picture(), ("0.99",))
    with pytest.raises(ValueError, match="one picture"):
        faces(body, torch.rand(2, 3, 32, 32), ("0.4",))


def test_threads_sharing_a_body_see_their_own_picture(body: nn.Module):
    alone = [faces(body, picture(seed), ("0.0", "0.5")) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda seed: faces(body, picture(seed), ("0.0", "0.5")), range(8)))
    for one, other in zip(alone, together, strict=True):
        assert all(np.array_equal(one[qual], other[qual]) for qual in one)
