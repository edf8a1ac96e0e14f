from __future__ import annotations

import torch
from torch import nn

from explorer.models.groups import Group
from explorer.train.optim import AdamW, create_optimizer, set_rates, undecayed


def toy() -> tuple[nn.Module, tuple[Group, ...]]:
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    model = nn.Sequential(body, nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    names = [name for name, _ in model.named_parameters()]
    split = {"body-early": "0.", "head": "1."}
    return model, tuple(Group(g, tuple(n for n in names if n.startswith(p))) for g, p in split.items())


def test_norm_layers_and_biases_are_not_decayed():
    assert undecayed(toy()[0]) == {"0.0.bias", "0.1.weight", "0.1.bias", "1.1.bias"}


def test_the_biases_of_an_lstm_are_decayed():
    assert undecayed(nn.LSTM(3, 4)) == set()


def test_a_layer_norm_is_a_norm_and_a_bare_one_has_no_dot_before_its_names():
    assert undecayed(nn.LayerNorm(3)) == {"weight", "bias"}


def test_each_group_has_its_rate_and_its_decay():
    model, groups = toy()
    optimizer = create_optimizer(model, groups, (1e-4, 1e-3), wd=0.05)
    found = {(p["index"], p["wd"]): (p["lr"], len(p["params"])) for p in optimizer.param_groups}
    assert found == {(0, 0.05): (1e-4, 1), (0, 0.0): (1e-4, 3), (1, 0.05): (1e-3, 1), (1, 0.0): (1e-3, 1)}


def test_frozen_parameters_are_left_out():
    model, groups = toy()
    model[0][0].requires_grad_(False)
    held = {id(p) for part in create_optimizer(model, groups, (1, 1)).param_groups for p in part["params"]}
    assert held == {id(p) for p in model.parameters() if p.requires_grad}


def test_a_new_rate_and_momentum_reach_every_part():
    model, groups = toy()
    optimizer = create_optimizer(model, groups, (1, 1))
    set_rates(optimizer, (0.1, 0.2), 0.85)
    assert {(p["index"], p["lr"], p["momentum"]) for p in optimizer.param_groups} == {
        (0, 0.1, 0.85),
        (1, 0.2, 0.85),
    }


def test_a_step_decays_the_weight_and_leaves_the_bias():
    model, groups = toy()
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizer = create_optimizer(model, groups, (0.1, 0.1), wd=0.5)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    now = dict(model.named_parameters())
    torch.testing.assert_close(now["1.1.weight"], before["1.1.weight"] * (1 - 0.1 * 0.5))
    assert torch.equal(now["1.1.bias"], before["1.1.bias"]) and torch.equal(now["0.1.weight"], before["0.1.weight"])


def test_steps_equal_torchs_adamw_while_rate_and_momentum_change():
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(value.double()) for value in [torch.randn(50)] * 2)
    mine = AdamW([{"params": [ours], "lr": 0.1, "wd": 0.01}])
    peer = torch.optim.AdamW([theirs], lr=0.1, betas=(0.9, 0.99), eps=1e-5, weight_decay=0.01)
    for i in range(20):
        ours.grad = theirs.grad = torch.randn(50, dtype=torch.float64)
        lr, momentum = 0.1 / (i + 1), 0.95 - 0.005 * i
        mine.param_groups[0].update(lr=lr, momentum=momentum)
        peer.param_groups[0].update(lr=lr, betas=(momentum, 0.99))
        mine.step()
        peer.step()
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)


def test_a_parameter_without_a_gradient_stays():
    alone = nn.Parameter(torch.ones(3))
    AdamW([{"params": [alone], "lr": 0.1, "wd": 0.5}]).step()
    assert torch.equal(alone, torch.ones(3))
