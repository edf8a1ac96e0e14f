"""Describing a model, beside those who describe models: medians of runs that take turns in one process."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from statistics import median
from time import perf_counter

import torch
import torchinfo
import torchvision

from explorer.models import bodies, build, groups
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec
from explorer.trace import tracer

Row = tuple[str, float, str, float, str]

ARCH = "resnet50"
INPUT = (1, 3, 224, 224)
RUNS = 9
CACHES = (
    tracer._trace,
    tracer.trace_body,
    tracer.trace_head,
    tracer.smallest_size,
    tracer.runs_at,
    bodies._legal_cuts,
    bodies.read_graph,
    bodies._original_on_meta,
    bodies._registered_outline,
    groups.split_of,
    build.features_of,
)


def rows(quick: bool = False) -> list[Row]:
    """(what, our milliseconds, peer, the peer's milliseconds, limit) for describing resnet50 with its head."""
    runs = 3 if quick else RUNS
    widths = count(1)
    peers = {
        "bare meta build + forward": bare,
        "torchinfo on meta": lambda: torchinfo_on("meta"),
        "torchinfo on CPU": lambda: torchinfo_on("cpu"),
        **({"torchview on meta": torchview} if has_torchview() else {}),
    }
    times = medians({"from nothing": from_nothing, "head knob": lambda: head_knob(next(widths)), **peers}, runs)
    limits = {"bare meta build + forward": "<= 1.5x"}
    table = [
        (f"describe {ARCH} from nothing", times["from nothing"], peer, times[peer], limits.get(peer, "<= 1x"))
        for peer in peers
    ]
    again = "torchinfo on meta"
    return [*table, ("describe after a head knob", times["head knob"], f"{again}, all again", times[again], "<= 5 ms")]


def from_nothing() -> None:
    """Build and trace with every cache empty."""
    for cached in CACHES:
        cached.cache_clear()
    tracer.trace(ClassifierSpec(BodySpec(ARCH)))


def head_knob(width: int) -> None:
    """A width never seen before, over a body that is known."""
    tracer.trace(ClassifierSpec(BodySpec(ARCH), HeadSpec(lin_ftrs=(width,))))


def bare() -> None:
    """What any description on the meta device has to do: build the network and run it once."""
    with torch.device("meta"):
        model = torchvision.models.get_model(ARCH).eval()
    with torch.no_grad():
        model(torch.empty(INPUT, device="meta"))


def torchinfo_on(device: str) -> None:
    with torch.device(device):
        model = torchvision.models.get_model(ARCH)
    torchinfo.summary(model, input_size=INPUT, device=device, mode="eval", verbose=0)


def has_torchview() -> bool:
    try:
        import torchview  # noqa: F401
    except ImportError:
        return False
    return True


def torchview() -> None:
    from torchview import draw_graph

    with torch.device("meta"):
        model = torchvision.models.get_model(ARCH)
    draw_graph(model, input_size=INPUT, device="meta", mode="eval")


def medians(jobs: dict[str, Callable[[], None]], runs: int) -> dict[str, float]:
    """Milliseconds of each job, the jobs taking turns so that a busy moment meets them all; two rounds to warm up."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(runs + 2):
        for name, job in jobs.items():
            begin = perf_counter()
            job()
            if turn >= 2:
                times[name].append(1000 * (perf_counter() - begin))
    return {name: median(values) for name, values in times.items()}
