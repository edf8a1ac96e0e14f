"""Heads: what stands in them, what they refuse, and how they start."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from explorer.models.heads import AdaptiveConcatPool2d, SigmoidRange, create_head, init_head

# fastai facts B.4: arguments, parameters and modules behind the flatten of a head over 512 features with 37 outputs
VARIANTS = [
    ({}, 546_304, "BN1024 D0.25 L1024-512 ReLU BN512 D0.5 L512-37"),
    ({"lin_ftrs": [256, 128]}, 302_464, "BN1024 D0.25 L1024-256 ReLU BN256 D0.25 L256-128 ReLU BN128 D0.5 L128-37"),
    ({"lin_ftrs": []}, 39_936, "BN1024 D0.5 L1024-37"),
    ({"bn_final": True}, 546_378, "BN1024 D0.25 L1024-512 ReLU BN512 D0.5 L512-37 BN37"),
    ({"lin_first": True}, 544_293, "D0.25 L1024-512 ReLU BN512 D0.5 L512-37+b"),
    (
        {"lin_first": True, "lin_ftrs": [256, 128]},
        300_453,
        "D0.25 L1024-256 ReLU BN256 D0.25 L256-128 ReLU BN128 D0.5 L128-37+b",
    ),
    ({"lin_first": True, "first_bn": False}, 543_781, "D0.25 L1024-512+b ReLU D0.5 L512-37+b"),
    ({"lin_first": True, "bn_final": True}, 544_367, "D0.25 L1024-512 ReLU BN512 D0.5 L512-37+b BN37"),
    ({"lin_first": True, "ps": 0}, 544_293, "D0 L1024-512 ReLU BN512 L512-37+b"),
    ({"pool": "avg"}, 283_136, "BN512 D0.25 L512-512 ReLU BN512 D0.5 L512-37"),
    ({"pool": "max"}, 283_136, "BN512 D0.25 L512-512 ReLU BN512 D0.5 L512-37"),
    ({"first_bn": False}, 544_768, "D0.25 L1024-512+b ReLU BN512 D0.5 L512-37"),
    ({"ps": 0}, 546_304, "BN1024 L1024-512 ReLU BN512 L512-37"),
    ({"ps": [0.1, 0.3]}, 546_304, "BN1024 D0.1 L1024-512 ReLU BN512 D0.3 L512-37"),
    ({"n_out": 1, "y_range": (0, 5.5)}, 527_872, "BN1024 D0.25 L1024-512 ReLU BN512 D0.5 L512-1 SigmoidRange"),
]


def short(module: nn.Module) -> str:
    if isinstance(module, nn.BatchNorm1d):
        return f"BN{module.num_features}"
    if isinstance(module, nn.Dropout):
        return f"D{module.p:g}"
    if isinstance(module, nn.Linear):
        return f"L{module.in_features}-{module.out_features}" + "+b" * (module.bias is not None)
    return type(module).__name__


@pytest.mark.parametrize(("options", "params", "modules"), VARIANTS, ids=lambda v: str(v)[:40])
def test_variants_of_the_facts(options, params, modules):
    head = create_head(512, **{"n_out": 37, **options})
    assert " ".join(short(module) for module in head[2:]) == modules
    assert sum(p.numel() for p in head.parameters()) == params
    out = head(torch.randn(2, 512, 3, 5))
    assert out.shape == (2, options.get("n_out", 37))


def test_pooling_is_what_it_is_called():
    classes = {"concat": AdaptiveConcatPool2d, "avg": nn.AdaptiveAvgPool2d, "max": nn.AdaptiveMaxPool2d}
    for pool, cls in classes.items():
        assert [type(module) for module in create_head(4, 2, pool=pool)[:2]] == [cls, nn.Flatten]
    flat = create_head(512, 37, pool=None)
    assert short(flat[0]) == "BN512"
    assert flat(torch.randn(2, 512)).shape == (2, 37)


def test_concat_pooling_puts_maxima_first():
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]], [[-1.0, -2.0], [-3.0, -4.0]]]])
    assert AdaptiveConcatPool2d()(x).flatten().tolist() == [4.0, -1.0, 2.5, -2.5]


def test_norms_start_as_fastais_and_one_relu_serves_all():
    head = create_head(8, 3, lin_ftrs=[4, 4], bn_final=True)
    *inner, final = [module for module in head if isinstance(module, nn.BatchNorm1d)]
    assert all(torch.allclose(norm.bias, torch.tensor(1e-3)) and norm.momentum == 0.1 for norm in inner)
    assert final.momentum == 0.01 and not final.bias.any()
    relus = [module for module in head if isinstance(module, nn.ReLU)]
    assert len(relus) == 2 and relus[0] is relus[1] and relus[0].inplace


def test_range_squeezes_and_says_so():
    squeeze = SigmoidRange(-1, 3)
    assert squeeze(torch.tensor([-1e4, 0.0, 1e4])).tolist() == [-1.0, 1.0, 3.0]
    assert repr(squeeze) == "SigmoidRange(low=-1, high=3)"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"lin_ftrs": [256, 128], "ps": [0.1, 0.2]}, "2 dropout values for 3 linear layers"),
        ({"ps": [0.1, 0.2, 0.3]}, "3 dropout values for 2 linear layers"),
        ({"ps": []}, "0 dropout values"),
        ({"ps": [0.5]}, "1 dropout values for 2"),
        ({"ps": 1}, "Dropout"),
        ({"ps": [0.1, 1.0]}, "Dropout"),
        ({"ps": -0.1}, "Dropout"),
        ({"ps": float("nan")}, "Dropout"),
        ({"ps": "a lot"}, "Dropout"),
        ({"n_out": 0}, "number of outputs"),
        ({"nf": 0}, "number of features"),
        ({"lin_ftrs": [0]}, "width of a head layer"),
        ({"lin_ftrs": [2.5]}, "width of a head layer"),
        ({"lin_ftrs": 256}, "list of widths"),
        ({"pool": "median"}, "concat, avg, max or none"),
        ({"y_range": (3, 3)}, "rise"),
        ({"y_range": (0,)}, "low and a high"),
        ({"y_range": (0, math.inf)}, "rise"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_in_one_sentence(options, told):
    with pytest.raises(ValueError, match=told) as refusal:
        create_head(**{"nf": 8, "n_out": 3, **options})
    assert str(refusal.value).count(". ") == 0 and "\n" not in str(refusal.value)


@pytest.mark.parametrize("lin_first", [True, False])
def test_the_callers_lists_stay_as_they_are(lin_first):
    widths, ps = [4, 4], [0.1, 0.2, 0.3]
    kept = copy.deepcopy((widths, ps))
    head = create_head(8, 3, lin_ftrs=widths, ps=ps, lin_first=lin_first)
    assert (widths, ps) == kept
    assert [module.p for module in head if isinstance(module, nn.Dropout)] == ps


def test_init_draws_linear_layers_and_leaves_norms():
    torch.manual_seed(0)
    head = init_head(create_head(512, 37, first_bn=False))
    first, last = [module for module in head if isinstance(module, nn.Linear)]
    assert first.weight.std().item() == pytest.approx(math.sqrt(2 / 1024), rel=0.01)
    assert last.weight.std().item() == pytest.approx(math.sqrt(2 / 512), rel=0.02)
    assert not first.bias.any()
    assert all(torch.allclose(module.bias, torch.tensor(1e-3)) for module in head if isinstance(module, nn.BatchNorm1d))


def test_init_leaves_layers_without_fan_in():
    odd = nn.Sequential(nn.Linear(4, 4), nn.PReLU(4), nn.GroupNorm(2, 4), nn.LayerNorm(4))
    init_head(odd)
    assert odd[1].weight.tolist() == [0.25] * 4 and odd[2].weight.tolist() == [1.0] * 4


def test_init_leaves_what_is_frozen():
    head = create_head(8, 3)
    head[-1].weight.requires_grad_(False)
    before = head[-1].weight.clone()
    assert torch.equal(init_head(head)[-1].weight, before)
