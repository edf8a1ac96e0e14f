"""Time per layer: the slow layer is the slow one, and the model does not notice."""

from __future__ import annotations

import time
from threading import Event, Thread

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from explorer.models.draws import same_draws
from explorer.trace.timing import time_layers


class Sleep(nn.Module):
    """Takes a known time forward, and another backward."""

    def __init__(self, forward: float, backward: float = 0.0):
        super().__init__()
        self.seconds, self.back = forward, backward

    def forward(self, x):
        return Sleeping.apply(x, self.seconds, self.back)


class Sleeping(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, seconds, back):
        ctx.back = back
        time.sleep(seconds)
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        time.sleep(ctx.back)
        return grad, None, None


def test_a_layer_takes_its_own_time_and_its_container_none():
    model = nn.Sequential(nn.Sequential(Sleep(0.02), nn.ReLU()), Sleep(0.005))
    times = time_layers(model, (torch.zeros(1, 4),), repeats=3)
    assert list(times) == ["0.0", "0.1", "1"]
    assert 20 <= times["0.0"] < 80
    assert 5 <= times["1"] < times["0.0"]
    assert times["0.1"] < times["1"]


def test_backward_adds_the_time_of_the_layers_part_of_the_graph():
    model = nn.Sequential(nn.Linear(4, 4), Sleep(0.002, 0.03), nn.ReLU(inplace=True))
    forward = time_layers(model, (torch.zeros(1, 4),), repeats=3)
    both = time_layers(model, (torch.zeros(1, 4),), repeats=3, backward=True)
    assert both["1"] - forward["1"] > 25
    assert both["0"] < both["1"] / 2
    assert both["2"] < both["1"] / 2


def test_a_layer_used_twice_in_a_pass_takes_the_sum():
    shared = Sleep(0.01)
    assert time_layers(nn.Sequential(shared, shared), (torch.zeros(1),), repeats=2)["0"] >= 20


@pytest.mark.parametrize("backward", [False, True])
def test_a_real_network_is_left_as_it_was(backward: bool):
    model = resnet18()
    model.layer1.eval()
    modes = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    times = time_layers(model, (torch.zeros(2, 3, 32, 32),), repeats=1, backward=backward)
    assert torch.equal(torch.rand(2), expected)
    leaves = [name for name, module in model.named_modules() if not list(module.children())]
    assert sorted(times) == sorted(leaves)
    assert min(times.values()) > 0
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_the_hooks_go_when_the_model_fails():
    model = nn.Sequential(nn.ReLU(), nn.Linear(4, 4))
    with pytest.raises(RuntimeError):
        time_layers(model, (torch.zeros(1, 5),))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    assert model.training


def test_it_ends_when_its_seconds_are_over():
    begin = time.perf_counter()
    times = time_layers(nn.Sequential(Sleep(0.05)), (torch.zeros(1),), repeats=1000, seconds=0.2)
    assert time.perf_counter() - begin < 20
    assert times["0"] >= 50


def test_passes_of_other_threads_do_not_count():
    model = nn.Sequential(Sleep(0.02)).eval()
    others = [Thread(target=lambda: [model(torch.zeros(1)) for _ in range(10)]) for _ in range(3)]
    for other in others:
        other.start()
    times = time_layers(model, (torch.zeros(1),), repeats=5)
    for other in others:
        other.join()
    assert 20 <= times["0"] < 60


def test_a_frozen_model_has_no_backward_to_time():
    model = nn.Sequential(Sleep(0.001, 0.05)).requires_grad_(False)
    assert time_layers(model, (torch.zeros(1),), repeats=2, backward=True)["0"] < 25


def test_no_repeats_is_refused():
    with pytest.raises(ValueError, match="at least 1 pass, not 0"):
        time_layers(nn.ReLU(), (torch.zeros(1),), repeats=0)


def test_dropout_of_a_timed_pass_takes_no_numbers_from_a_thread_that_draws_the_same_ones_each_time():
    with same_draws():
        expected = torch.rand(3), torch.rand(3)
    inside, drawn = Event(), Event()

    class Dropping(nn.Dropout):
        def forward(self, x):
            out = super().forward(x)
            inside.set()
            drawn.wait(1)
            return out

    model = nn.Sequential(nn.Linear(8, 8), Dropping())
    timed = Thread(target=time_layers, args=(model, (torch.ones(2, 8),), 1), kwargs={"backward": True})
    with same_draws():
        first = torch.rand(3)
        timed.start()
        inside.wait(0.2)
        second = torch.rand(3)
        drawn.set()
    timed.join()
    assert inside.is_set() and torch.equal(first, expected[0]) and torch.equal(second, expected[1])
