"""In which numbers a model multiplies: float32, or bfloat16, which many processors multiply several times as fast."""

from __future__ import annotations

import copy
import time
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from explorer.train.events import Note
from explorer.train.tasks import Task

FLOAT32, BF16, AUTO = "float32", "bf16", "auto"
PROBED = 2  # pictures
ROUNDS = 3  # of one step each, of which the first warms up
LEAST_GAIN = 1.2  # times as fast, from which coarser numbers pay
CPU_SIGNS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # of torch.cpu


def products(precision: str, device: torch.device) -> AbstractContextManager:
    """The context in which convolutions and matrix products are of bfloat16, for "bf16"; else nothing changes."""
    return torch.autocast(device.type, torch.bfloat16) if precision == BF16 else nullcontext()


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 itself; where it does not, it is slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and any(getattr(torch.cpu, sign, bool)() for sign in CPU_SIGNS)


def choose_precision(asked: str, model: nn.Module, task: Task, x: Tensor, y: Tensor) -> tuple[str, Note | None]:
    """ "float32" or "bf16", and what to say about it; "auto" tries both on a few pictures and a copy of the model.

    x, y  a batch, on the device of the model
    """
    if asked == FLOAT32:
        return FLOAT32, None
    there = has_bfloat16(x.device)
    if asked == BF16:
        slow = "" if there else "; this device does not multiply bfloat16 itself, so float32 would be faster"
        return BF16, Note(f"Products are of bfloat16, as asked{slow}.")
    if not there:
        return FLOAT32, Note("Products are of float32: this device does not multiply bfloat16 itself.")
    gain = measure_gain(model, task, x[:PROBED], y[:PROBED])
    if gain < LEAST_GAIN:
        return FLOAT32, Note(
            f"Products are of float32: bfloat16 is {gain:.2f}× as fast here; its coarse numbers pay from {LEAST_GAIN}×."
        )
    return BF16, Note(f"Products are of bfloat16: {gain:.1f}× as fast here as float32.")


def measure_gain(model: nn.Module, task: Task, x: Tensor, y: Tensor) -> float:
    """How many times as fast steps without an optimiser are with products of bfloat16; the model is left as it is."""
    copied = copy.deepcopy(model).train()
    seconds: dict[str, list[float]] = {BF16: [], FLOAT32: []}
    for _ in range(ROUNDS):
        for precision, taken in seconds.items():
            taken.append(_seconds(copied, task, x, y, precision))
    return min(seconds[FLOAT32]) / min(seconds[BF16])


def _seconds(model: nn.Module, task: Task, x: Tensor, y: Tensor, precision: str) -> float:
    """Of one step without an optimiser."""
    start = time.perf_counter()
    with products(precision, x.device):
        loss = task.loss(model(x).float(), x, y)
    loss.backward()
    loss.item()
    if x.device.type == "cuda":
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - start
