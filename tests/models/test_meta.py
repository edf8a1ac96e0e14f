"""Building on the meta device: the same modules, without numbers, and nothing left behind."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from explorer.models.meta import Blank, ShapesOnly


def test_blank_modules_have_the_tensors_of_real_ones():
    real = torchvision.models.resnet18().state_dict()
    with Blank():
        blank = torchvision.models.resnet18()
    found = {name: (t.shape, t.dtype, t.requires_grad) for name, t in blank.state_dict(keep_vars=True).items()}
    keep = torchvision.models.resnet18().state_dict(keep_vars=True)
    assert found == {name: (t.shape, t.dtype, t.requires_grad) for name, t in keep.items()}
    assert list(found) == list(real)
    assert all(t.is_meta for t in blank.state_dict().values())


def test_blank_ends_with_its_block_and_does_not_touch_random_numbers():
    torch.manual_seed(0)
    first = torch.rand(3)
    torch.manual_seed(0)
    with Blank():
        nn.Linear(3, 3)
    assert torch.equal(torch.rand(3), first)
    assert not nn.Linear(3, 3).weight.is_meta


def test_blank_keeps_a_device_that_is_asked_for():
    with Blank():
        assert torch.zeros(2, device="cpu").device.type == "cpu"


def test_maps_laid_on_one_another_are_measured_however_that_is_written():
    maps = [torch.empty(1, channels, 4, 4, device="meta") for channels in (2, 3)]
    with ShapesOnly():
        shapes = {tuple(out.shape) for out in (torch.cat(maps, 1), torch.cat(maps, dim=1), torch.cat(maps, -3))}
        rows = torch.cat(maps[:1] * 2)
        with pytest.raises(RuntimeError):
            torch.cat([maps[0], maps[1][..., :3]], dim=1)
    assert shapes == {(1, 5, 4, 4)} and tuple(rows.shape) == (2, 2, 4, 4)
