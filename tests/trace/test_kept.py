"""What autograd keeps is found without numbers, and is what a real pass on the CPU keeps, layer by layer."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn
from torchvision.models import (
    ConvNeXt,
    DenseNet,
    SwinTransformer,
    VisionTransformer,
    efficientnet_b0,
    mobilenet_v3_small,
    resnet18,
    shufflenet_v2_x0_5,
    squeezenet1_1,
    vgg11_bn,
)
from torchvision.models.convnext import CNBlockConfig

from explorer.models.build import build_model
from explorer.models.groups import freeze
from explorer.spec import BodySpec, ClassifierSpec
from explorer.trace.kept import kept_by, kept_bytes
from explorer.trace.tracer import blank_model

MODELS = {
    "resnet": (resnet18, 32),
    "densenet": (lambda: DenseNet(8, (2, 3), 16), 32),
    "vgg": (lambda: vgg11_bn().features[:12], 32),
    "squeezenet": (squeezenet1_1, 64),
    "mobilenet": (mobilenet_v3_small, 32),
    "efficientnet": (lambda: efficientnet_b0().features[:5], 32),
    "shufflenet": (shufflenet_v2_x0_5, 32),
    "convnext": (lambda: ConvNeXt([CNBlockConfig(16, 32, 2), CNBlockConfig(32, None, 1)], 0.1), 32),
    "swin": (lambda: SwinTransformer([4, 4], 16, [2, 2], [2, 4], [4, 4]), 64),
    "vit": (lambda: VisionTransformer(32, 8, 2, 4, 32, 64), 32),
}


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("family", MODELS)
def test_it_is_what_a_real_pass_keeps_in_every_layer(family: str, precision: str):
    build, size = MODELS[family]
    real = build()
    found = kept_bytes(deepcopy(real).to("meta"), (3, size, size), 2, precision=precision)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        assert found == kept_by(real.train(), torch.rand(2, 3, size, size))
    assert sum(found.values()) > 0


@pytest.mark.parametrize("train_bn", [True, False])
@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_a_frozen_start_keeps_what_a_real_one_keeps(frozen: int, train_bn: bool):
    spec = ClassifierSpec(BodySpec("resnet18", weights="random", size=64))
    real = build_model(spec)
    blank = blank_model(spec)
    for model in (real.model, blank):
        freeze(model, real.groups, frozen, train_bn)
    found = kept_bytes(blank, (3, 64, 64), 2)
    assert found == kept_by(real.model.train(), torch.rand(2, 3, 64, 64))
    if frozen == 2 and not train_bn:
        assert all(qual.startswith("1.") for qual in found), "a body that does not learn keeps nothing"


@pytest.mark.parametrize(
    ("layers", "kept"),
    [
        ((nn.Conv2d(3, 4, 3, padding=1),), {"0": 3 * 64}),
        ((nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()), {"0": 3 * 64, "1": 4 * 64}),
        ((nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1)), {"0": 3 * 64, "1": 4 * 64}),
        ((nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1)), {"0": 3 * 64, "1": 4 * 64}),
        ((nn.Conv2d(3, 4, 1), nn.SiLU(inplace=True)), {"0": 3 * 64, "1": 4 * 64}),
        ((nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), {"0": 3 * 64, "1": 4 * 64 + 2 * 4}),
        ((nn.Conv2d(3, 4, 1), nn.Dropout(0.5)), {"0": 3 * 64, "1": 4 * 64}),
        ((nn.Conv2d(3, 4, 1), nn.MaxPool2d(2)), {"0": 3 * 64, "1": 4 * 64 + 2 * 4 * 16}),
        ((nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(256, 2)), {"0": 3 * 64, "2": 256}),
    ],
    ids=["conv", "relu", "relu in place", "relu kept once", "silu in place", "norm", "dropout", "pool", "view"],
)
def test_by_hand_in_float32_numbers(layers: tuple[nn.Module, ...], kept: dict[str, int]):
    model = nn.Sequential(*layers).to("meta")
    assert kept_bytes(model, (3, 8, 8)) == {qual: 4 * count for qual, count in kept.items()}


def test_it_grows_with_the_batch_except_for_the_statistics_of_norms():
    model = blank_model(ClassifierSpec(BodySpec("resnet18", size=64)))
    one, two, three = (sum(kept_bytes(model, (3, 64, 64), batch).values()) for batch in (1, 2, 3))
    assert three - two == two - one
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert one - (two - one) == sum(2 * 4 * norm.num_features for norm in norms)


def test_a_functional_operation_is_its_containers():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return (self.conv(x) * 2).exp()

    assert kept_bytes(nn.Sequential(Twice()).to("meta"), (3, 8, 8)) == {"0.conv": 768, "0": 768}


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4).train(), nn.Dropout()).to("meta").eval()
    model[1].train()
    kept_bytes(model, (3, 8, 8))
    assert [module.training for module in model] == [False, True, False]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    with pytest.raises(RuntimeError):
        kept_bytes(model, (5, 8, 8))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match=r"The precision is float32 or bf16, not 'int8'\."):
        kept_bytes(nn.Linear(1, 1).to("meta"), (1,), precision="int8")
