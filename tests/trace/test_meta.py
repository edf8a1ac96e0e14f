"""Running on the meta device: same shapes, same failures, nothing left behind."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from explorer.models.meta import Blank
from explorer.trace.meta import ShapesOnly
from explorer.trace.watch import runs, watch


def test_shapes_only_still_refuses_a_wrong_number_of_channels():
    norm = nn.BatchNorm2d(3, device="meta").eval()
    with ShapesOnly():
        assert norm(torch.empty(1, 3, 2, 2, device="meta")).shape == (1, 3, 2, 2)
        with pytest.raises(RuntimeError):
            norm(torch.empty(1, 4, 2, 2, device="meta"))


def test_shapes_only_still_refuses_maps_of_different_sizes():
    small, large = torch.empty(1, 2, 3, 3, device="meta"), torch.empty(1, 5, 4, 4, device="meta")
    with ShapesOnly():
        assert torch.cat([large, large, large[:, :1]], 1).shape == (1, 11, 4, 4)
        with pytest.raises(RuntimeError):
            torch.cat([small, large], 1)


def test_a_watched_run_tells_where_it_broke_and_leaves_no_hook():
    with Blank():
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Sequential(nn.MaxPool2d(4), nn.ReLU()))
    run = watch(model, (3, 5, 5))
    assert run.broke is model[1][0]
    assert run.calls[model[0]][0].out_shape == (8, 3, 3)
    assert run.calls[model[1]][0].out_shape is None
    assert model[1][1] not in run.calls
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert runs(model, (3, 6, 6)) and not runs(model, (3, 5, 5))
