"""The estimate of a training step's memory beside a real step on the CPU, measured tensor by tensor.

The measured peak is that of all memory which torch's CPU allocator hands out, as its own profiler notes every
allocation and release (`profile_memory`), with the weights that stood before added: also buffers inside kernels are in
it. The growth of the process (RSS) is told beside it; it has oneDNN's blocked copies, and pages that the C library
keeps, besides. Each model is measured in a process of its own.

python -m benchmarks.memory ARCH SIZE BATCH PRECISION FROZEN prints the JSON of one measurement.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity, profile
from torchvision.models import get_model

from explorer.models.archs import list_archs
from explorer.models.build import build_model
from explorer.models.groups import Group, freeze
from explorer.models.meta import Blank
from explorer.spec import BodySpec, ClassifierSpec
from explorer.trace.memory import growth, model_memory, step_memory
from explorer.train.learner import place
from explorer.train.optim import create_optimizer

ARCHS = (
    "resnet18",
    "resnet50",
    "densenet121",
    "vgg11_bn",
    "squeezenet1_1",
    "mobilenet_v2",
    "efficientnet_b0",
    "convnext_tiny",
)
SIZE, BATCH = 224, 16
PAGE = 4096

Row = tuple[str, float, str, float, str]


def rows(quick: bool = False) -> list[Row]:
    """(what, our megabytes, measure, its megabytes, limit), all layers learning, 224 px; then the time it takes."""
    size, batch = (128, 8) if quick else (SIZE, BATCH)
    table = []
    for arch in ARCHS[::3] if quick else ARCHS:
        seen = in_process(arch, size, batch)
        what = f"memory of a training step, {arch}, {batch} pictures of {size} px, MB"
        table.append((what, seen["estimate"] / 1e6, "measured peak", seen["measured"] / 1e6, "within 15 %"))
        table.append((what, seen["estimate"] / 1e6, "growth of the process", seen["rss"] / 1e6, ""))
    return [*table, *speed()]


def speed(runs: int = 3) -> Iterator[Row]:
    """Milliseconds to find what resnet50 needs at one size, and at six, with nothing in their caches: medians."""
    spec = ClassifierSpec(BodySpec("resnet50"))
    for what, find in (("memory of a step", step_memory), ("growth with the size, six sizes", growth)):
        find(spec)
        times = []
        for _ in range(runs):
            find.cache_clear()
            begin = time.perf_counter()
            find(spec)
            times.append(1000 * (time.perf_counter() - begin))
        yield f"{what}, resnet50, ms", median(times), "", 0.0, "<= 300 ms"


def in_process(arch: str, size: int, batch: int, precision: str = "float32", frozen: bool = False) -> dict:
    """`measure` in a new process, whose memory is its own."""
    command = [sys.executable, "-m", "benchmarks.memory", arch, str(size), str(batch), precision, str(int(frozen))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).resolve().parent.parent)
    if done.returncode:
        raise RuntimeError(f"{arch} could not be measured: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(arch: str, size: int, batch: int, precision: str = "float32", frozen: bool = False) -> dict:
    """Bytes of two training steps: estimate, growth of the process, peak by the profiler; the estimate's parts.

    An architecture that the registry has stands under the head of a classifier, any other as torchvision makes it.
    """
    own = arch in list_archs()
    spec = ClassifierSpec(BodySpec(arch if own else "resnet18", weights="random", size=size))
    if own:
        estimate = step_memory(spec, batch, precision, frozen=frozen)
    else:
        with Blank():
            estimate = model_memory(get_model(arch), (3, size, size), batch, precision)
    before = resident()
    if own:
        built = build_model(spec)
        model, groups = built.model, built.groups
        freeze(model, groups, frozen)
    else:
        model = get_model(arch)
        groups = (Group("all", tuple(name for name, _ in model.named_parameters())),)
    model = place(model, torch.device("cpu")).train()
    optimizer = create_optimizer(model, groups, [1e-3] * len(groups))
    shape = (batch, 3, size, size)
    with Watcher() as watcher:
        train(model, optimizer, shape, precision)
    grown = watcher.most - before
    optimizer.zero_grad()
    optimizer.state.clear()
    measured = peak_bytes(model, optimizer, shape, precision)
    return {"estimate": estimate.total, "measured": measured, "rss": grown, "parts": vars(estimate)}


def train(model: nn.Module, optimizer: torch.optim.Optimizer, shape: tuple[int, ...], precision: str) -> None:
    """Two steps of the trainer's kind, so that the second one has the optimiser's state."""
    for _ in range(2):
        x, y = torch.rand(shape), torch.zeros(shape[0], dtype=torch.int64)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()


def peak_bytes(
    model: nn.Module, optimizer: torch.optim.Optimizer, shape: tuple[int, ...], precision: str = "float32"
) -> int:
    """Most bytes alive in `train`, the weights among them; the optimiser comes without state."""
    gc.collect()  # what earlier work left behind is not to be freed, and counted, while this is watched
    standing = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors_of(model)}
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        train(model, optimizer, shape, precision)
    changes = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    alive = most = 0
    for change in sorted(changes, key=lambda event: event.start_ns()):
        alive += change.nbytes()
        most = max(most, alive)
    return sum(standing.values()) + most


def tensors_of(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


class Watcher:
    """Notes the most memory that this process has resident, every two milliseconds, from a thread of its own."""

    def __init__(self):
        self.most = resident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.002):
            self.most = max(self.most, resident())


def resident() -> int:
    """Bytes of this process in memory (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


if __name__ == "__main__":
    name, side, pictures, numbers, still = sys.argv[1:]
    print(json.dumps(measure(name, int(side), int(pictures), numbers, bool(int(still)))))
