"""The U-Net against fastai's: training steps on the CPU, and how soon its wiring is known.

`rows()` gives (what, ours, name of the peer, the peer's value, the limit as text); run as a script it prints them.
Images per second: more is better.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.training import Row
from explorer.models import pyramid
from explorer.models.bodies import create_body
from explorer.models.decoders import DynamicUnet
from explorer.models.groups import unet_groups
from explorer.models.meta import Blank
from explorer.models.wiring import plan_unet
from explorer.train.optim import create_optimizer

SIZE, BATCH, CLASSES = 128, 8, 10
STEPS = 2  # of each round; those of the first round warm up
CAP = 384

Steps = Callable[[], list[float]]


def rows(quick: bool = False) -> list[Row]:
    """All rows; `quick` measures two rounds instead of four."""
    return [*describing(3 if quick else 9), *training(2 if quick else 4)]


def training(rounds: int) -> list[Row]:
    """Images a second of whole steps (forward, loss, backward, optimizer), resnet18 body with random weights, 128 px,
    batches of 8, all parameters learning. Everybody has a turn in each round."""
    images, masks = torch.randn(BATCH, 3, SIZE, SIZE), torch.randint(0, CLASSES, (BATCH, SIZE, SIZE))
    runs: dict[str, Steps] = {"fastai": fastais(images, masks)}
    for cap in (None, CAP):
        kind = "the same architecture" if cap is None else f"width_cap={cap}"
        runs[f"{kind}, as built"] = ours(images, masks, cap)
        runs[f"{kind}, channels last"] = ours(images, masks, cap, channels_last=True)
        if has_bfloat16():
            runs[f"{kind}, channels last, bfloat16"] = ours(images, masks, cap, channels_last=True, bfloat16=True)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(1 + rounds):
        for name, steps in runs.items():
            seconds[name].append(statistics.median(steps()))
    speed = {name: BATCH / statistics.median(each[1:]) for name, each in seconds.items()}
    return [
        (f"U-Net training, resnet18, 128 px, images/s, {name}", value, "fastai", speed["fastai"], reach(name))
        for name, value in speed.items()
        if name != "fastai"
    ]


def reach(name: str) -> str:
    return ">= 4x fastai" if "width_cap" in name else ">= 1.5x fastai"


def ours(images: Tensor, masks: Tensor, cap: int | None, channels_last: bool = False, bfloat16: bool = False) -> Steps:
    """Runs a few steps and gives the seconds of each."""
    model = DynamicUnet(create_body("resnet18"), CLASSES, SIZE, width_cap=cap)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model.to(memory_format=layout)
    images = images.contiguous(memory_format=layout)
    groups = unet_groups(model, "resnet18")
    optimizer = create_optimizer(model, groups, [1e-4] * len(groups))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            out = model(images)
        F.cross_entropy(out.float(), masks).backward()
        optimizer.step()
        optimizer.zero_grad()

    def steps() -> list[float]:
        return [timed(step) for _ in range(STEPS)]

    return steps


def fastais(images: Tensor, masks: Tensor) -> Steps:
    """The same by fastai's own learner, the seconds of each batch."""
    from fastai.vision.all import Callback, CrossEntropyLossFlat, DataLoader, DataLoaders, Learner
    from fastai.vision.models.unet import DynamicUnet as FastaiUnet

    class Clock(Callback):
        def before_batch(self) -> None:
            self.start = time.perf_counter()

        def after_batch(self) -> None:
            self.seconds.append(time.perf_counter() - self.start)

    items = list(zip(images, masks, strict=True)) * STEPS
    loader = DataLoader(items, bs=BATCH, num_workers=0)
    loaders = DataLoaders(loader, DataLoader([], bs=BATCH, num_workers=0), device=torch.device("cpu"))
    clock = Clock()
    model = FastaiUnet(create_body("resnet18"), CLASSES, (SIZE, SIZE))
    learner = Learner(loaders, model, loss_func=CrossEntropyLossFlat(axis=1), lr=1e-4, cbs=clock)

    def steps() -> list[float]:
        clock.seconds = []
        with learner.no_bar(), learner.no_logging():
            learner.fit(1, reset_opt=False)
        return clock.seconds[:STEPS]

    return steps


def describing(times: int) -> list[Row]:
    """Milliseconds until the wiring of a resnet34 U-Net at 224 px is known, against building and running it on meta."""
    bare = statistics.median(timed(build_and_run) for _ in range(times))
    size = iter(range(224, 224 + times))
    new_size = statistics.median(timed(lambda: wire(next(size))) for _ in range(times))
    whole = statistics.median(timed(first_wiring) for _ in range(times))
    what, peer = "wiring of a U-Net, resnet34, 224 px, ms", "meta build and forward"
    return [
        (f"{what}, first time", 1e3 * whole, peer, 1e3 * bare, "<= 1.5x"),
        (f"{what}, another size", 1e3 * new_size, peer, 1e3 * bare, "<= 1.5x"),
    ]


@torch.no_grad()
def build_and_run() -> None:
    with Blank():
        body: nn.Module = create_body("resnet34")
        unet = DynamicUnet(body, CLASSES, 224, pyramid=pyramid.arch_pyramid("resnet34", None, 3, 224)).eval()
    unet(torch.empty(1, 3, 224, 224, device="meta"))


def first_wiring() -> None:
    """Without what is remembered about the body's maps."""
    pyramid.arch_pyramid.cache_clear()
    pyramid._arch_taps.cache_clear()
    wire(224)


def wire(size: int) -> None:
    plan_unet(pyramid.arch_pyramid("resnet34", None, 3, size), CLASSES)


def timed(step: Callable[[], object]) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 itself; where it does not, it is slower."""
    return any(getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


if __name__ == "__main__":
    for row in rows():
        print(*row, sep=" | ")
