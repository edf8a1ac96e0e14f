"""Where a run computes: CUDA, else MPS, else CPU, chosen visibly (fastai facts I.25)."""

from __future__ import annotations

import torch


def pick_device(name: str | None = None) -> torch.device:
    """The device of that name ("cuda", "cuda:1", "mps", "cpu"), or the best there is.

    Raises ValueError for a name that means nothing, or a device that this machine has not.
    """
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name is None:
        return torch.device(next(kind for kind, there in available.items() if there))
    there = ", ".join(kind for kind in available if available[kind])
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ValueError(f"{name!r} is no device: choose from {there}.") from None
    beyond = device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()
    if not available.get(device.type) or beyond:
        raise ValueError(f"This machine has no device {name!r}: choose from {there}.")
    return device


def describe_device(device: torch.device) -> str:
    """For people: "CPU · 2 cores" (as many as torch may use), "CUDA · NVIDIA H200", "MPS · Apple"."""
    if device.type == "cuda":
        return f"{str(device).upper()} · {torch.cuda.get_device_name(device)}"
    if device.type == "mps":
        return "MPS · Apple"
    cores = torch.get_num_threads()
    return f"CPU · {cores} core{'s' if cores > 1 else ''}"
