"""In which numbers a U-Net multiplies while it learns."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from explorer.train import precision
from explorer.train.precision import AUTO, BF16, FLOAT32, choose_precision, products
from explorer.train.tasks import Classification

CPU = torch.device("cpu")


@pytest.fixture
def batch():
    return torch.rand(4, 3, 8, 8), torch.randint(0, 2, (4,))


@pytest.fixture
def model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


def test_float32_is_taken_without_a_word(model, batch):
    assert choose_precision(FLOAT32, model, Classification(2), *batch) == (FLOAT32, None)


@pytest.mark.parametrize(("there", "gain", "chosen"), [(False, 9.0, FLOAT32), (True, 1.1, FLOAT32), (True, 2.5, BF16)])
def test_auto_takes_what_is_faster_and_says_why(model, batch, monkeypatch, there, gain, chosen):
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: there)
    monkeypatch.setattr(precision, "measure_gain", lambda *asked: gain)
    taken, note = choose_precision(AUTO, model, Classification(2), *batch)
    assert taken == chosen and note.text.startswith(f"Products are of {'bfloat16' if chosen == BF16 else 'float32'}")


def test_a_probe_leaves_the_model_as_it_was(model, batch):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    precision.measure_gain(model, Classification(2), *batch)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_products_of_bfloat16_are_of_bfloat16(model, batch):
    with products(BF16, CPU):
        assert model(batch[0]).dtype is torch.bfloat16
    with products(FLOAT32, CPU):
        assert model(batch[0]).dtype is torch.float32
