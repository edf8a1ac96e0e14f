from __future__ import annotations

import pytest
import torch

from explorer.train.device import describe_device, pick_device


@pytest.fixture
def machine(monkeypatch):
    def has(cuda: int = 0, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return has


@pytest.mark.parametrize(
    ("cuda", "mps", "best"), [(1, False, "cuda"), (1, True, "cuda"), (0, True, "mps"), (0, False, "cpu")]
)
def test_the_best_device_there_is(machine, cuda, mps, best):
    machine(cuda, mps)
    assert pick_device() == torch.device(best)


def test_a_named_device_is_taken(machine):
    machine(cuda=2)
    assert pick_device("cpu") == torch.device("cpu")
    assert pick_device("cuda:1") == torch.device("cuda:1")


@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps", "meta", "toaster", ""])
def test_what_is_not_there_is_refused_with_what_is(machine, name):
    machine()
    with pytest.raises(ValueError, match="choose from cpu"):
        pick_device(name)


def test_a_second_gpu_that_is_not_there_is_refused(machine):
    machine(cuda=1)
    with pytest.raises(ValueError, match="cuda:1"):
        pick_device("cuda:1")


def test_a_device_is_described_for_people(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert describe_device(torch.device("cpu")) == "CPU · 2 cores"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert describe_device(torch.device("cpu")) == "CPU · 1 core"
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H200")
    assert describe_device(torch.device("cuda")) == "CUDA · NVIDIA H200"
