"""A model that cannot run says where, with which shape, and what would help."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from explorer.models.build import build_model
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec
from explorer.train.diagnose import check_runs

RAW = ("expected", "Calculated", "Kernel", "Output size", "mat1", "4D", "RuntimeError")


def refusal(arch: str, size: int, **head) -> str:
    spec = ClassifierSpec(BodySpec(arch, weights="random", size=size), HeadSpec(**head), n_out=3)
    model = build_model(spec).model
    with pytest.raises(ValueError) as refused:
        check_runs(model, torch.zeros(1, 3, size, size), 3)
    sentence = str(refused.value)
    assert sentence.endswith(".") and "\n" not in sentence and not any(word in sentence for word in RAW), sentence
    return sentence


def test_a_head_without_pooling_is_told_to_pool():
    assert refusal("resnet18", 64, pool=None) == (
        "Images of 64 px cannot pass layer 1.0 (BatchNorm1d), which gets 512×2×2: "
        "it takes flat features, so switch the head's pooling on."
    )


def test_an_image_that_is_too_small_names_a_size_that_would_do():
    assert refusal("alexnet", 16) == (
        "Images of 16 px cannot pass layer 0.0.5 (MaxPool2d), which gets 192×1×1: "
        "choose a larger image size, 64 would do."
    )


class OneSize(nn.Module):
    """Takes pictures of 224 px and no others, as a vit does."""

    def forward(self, x):
        torch._assert(x.shape[-1] == 224, f"Wrong image height! Expected 224 but got {x.shape[-1]}!")
        return x.mean((2, 3))


@pytest.mark.parametrize(("size", "words"), [(48, "a larger"), (256, "another")])
def test_a_body_made_for_one_size_names_it(size: int, words: str):
    with pytest.raises(
        ValueError, match=rf"layer 0 \(OneSize\), which gets 3×{size}×{size}: choose {words} image size, 224"
    ):
        check_runs(nn.Sequential(OneSize(), nn.Linear(3, 2)), torch.zeros(1, 3, size, size), 2)


def test_a_rectangle_is_named_by_both_sides():
    with pytest.raises(ValueError, match="Images of 48×96 px .*: choose a larger image size, 224 would do"):
        check_runs(nn.Sequential(OneSize(), nn.Linear(3, 2)), torch.zeros(1, 3, 48, 96), 2)


class Joins(nn.Module):
    """Fails by itself, after a layer that ran."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return torch.cat([x, self.conv(x)[:, :, 1:]])


def test_the_module_that_fails_is_named_and_not_the_last_that_ran():
    with pytest.raises(ValueError, match=r"layer 1 \(Joins\), which gets 3×8×8: choose another image size, cut or"):
        check_runs(nn.Sequential(nn.Identity(), Joins()), torch.zeros(1, 3, 8, 8), 3)


def test_memory_that_runs_out_is_not_taken_for_a_small_image():
    class Greedy(nn.Module):
        def forward(self, x):
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    with pytest.raises(RuntimeError, match="allocate"):
        check_runs(Greedy(), torch.zeros(1, 3, 8, 8), 3)


def test_no_hook_is_left_behind_by_a_model_that_fails():
    model = build_model(replace(ClassifierSpec(), body=BodySpec("alexnet", weights="random", size=16))).model
    with pytest.raises(ValueError):
        check_runs(model, torch.zeros(1, 3, 16, 16), 10)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
