"""Describing a model, beside those who describe models: medians of runs that take turns in one process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
import torchinfo
import torchvision

from explorer.models import bodies, build, groups
from explorer.models.archs import OPTIONS, list_archs
from explorer.models.meta import Blank
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec
from explorer.trace import tracer
from explorer.views.ribbon import ribbon
from explorer.views.tree import tree

Row = tuple[str, float, str, float, str]

ARCH = "resnet50"
INPUT = (1, 3, 224, 224)
RUNS = 9
MOVED = ("resnet50", "densenet201", "efficientnet_b7")  # at a size that is new to them
PAGE = 4096
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
    bodies.blank_parts,
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
    table.append(("describe after a head knob", times["head knob"], f"{again}, all again", times[again], "<= 5 ms"))
    names = list_archs()[::7] if quick else list_archs()
    return [*table, *map(new_size, MOVED), *ratios(names, 2 if quick else 5), *everything(), bit_equal()]


def ratios(names: tuple[str, ...], runs: int) -> list[Row]:
    """The middle and the worst of default descriptions beside bare ones, in seconds of this thread's processor."""
    pairs = {name: _pair(name, runs) for name in names}
    order = sorted(names, key=lambda name: pairs[name][0] / pairs[name][1])
    told = (("middle", order[len(order) // 2]), ("worst", order[-1]))
    return [
        (
            f"describe from nothing, {what} ratio of {len(names)}: {name}",
            pairs[name][0],
            "bare",
            pairs[name][1],
            "<= 1.5x",
        )
        for what, name in told
    ]


def _pair(name: str, runs: int) -> tuple[float, float]:
    ours, theirs = [], []
    for turn in range(runs + 1):
        for times, job in ((theirs, bare), (ours, from_nothing)):
            begin = time.thread_time()
            job(name)
            if turn:
                times.append(1000 * (time.thread_time() - begin))
    return median(ours), median(theirs)


def new_size(name: str) -> Row:
    """Milliseconds for a size that an architecture, known otherwise, was never described at; and from nothing."""
    begin = perf_counter()
    from_nothing(name)
    whole = 1000 * (perf_counter() - begin)
    tracer.trace(ClassifierSpec(BodySpec(name, size=96)))
    times = []
    for size in range(160, 230, 10):
        begin = perf_counter()
        tracer.trace(ClassifierSpec(BodySpec(name, size=size)))
        times.append(1000 * (perf_counter() - begin))
    return f"describe at a new size, {name}", median(times), "from nothing", whole, ""


def everything() -> list[Row]:
    """Seconds and resident megabytes of a process of its own that describes every architecture: `describe_all`."""
    done = _python("-m", "benchmarks.describe")
    seconds, megabytes = map(float, done.split()[-2:])
    what = f"describe all {len(list_archs())}: cuts, trace, ribbon, tree"
    return [(f"{what}, s", seconds, "", 0.0, "<= 60 s"), (f"{what}, resident MB", megabytes, "", 0.0, "<= 1200 MB")]


def describe_all() -> None:
    """Print the seconds that it takes in one thread, and the megabytes that are resident then (Linux)."""
    begin = perf_counter()
    for name in list_archs():
        spec = ClassifierSpec(BodySpec(name))
        found = tracer.trace(spec)
        ribbon(spec, found, bodies.legal_cuts(name))
        tree(found)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    print(perf_counter() - begin, pages * PAGE / 1e6)


def bit_equal() -> Row:
    """Seconds in which bodies of all architectures but the large ones give the uncut network's activations, to the
    last bit, at three cuts each. Raises RuntimeError where one does not."""
    begin = perf_counter()
    tests = "tests/models/test_bodies_all.py::test_a_body_gives_the_uncut_networks_activation_to_the_last_bit"
    _python("-m", "pytest", "-q", "-p", "no:cacheprovider", tests, EXPLORER_ALL_ARCHS="1")
    return "all bodies equal the uncut networks to the last bit, s", perf_counter() - begin, "", 0.0, "no failure"


def _python(*arguments: str, **variables: str) -> str:
    place = Path(__file__).resolve().parent.parent
    environment = {**os.environ, **variables}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=place, env=environment)
    if done.returncode:
        raise RuntimeError(f"FAILED: {' '.join(arguments[1:])}: {(done.stdout + done.stderr).strip().splitlines()[-1]}")
    return done.stdout


def from_nothing(name: str = ARCH) -> None:
    """Build and trace with every cache empty."""
    for cached in CACHES:
        cached.cache_clear()
    tracer.trace(ClassifierSpec(BodySpec(name)))


def head_knob(width: int) -> None:
    """A width never seen before, over a body that is known."""
    tracer.trace(ClassifierSpec(BodySpec(ARCH), HeadSpec(lin_ftrs=(width,))))


def bare(name: str = ARCH) -> None:
    """What any description on the meta device has to do: build the network and run it once.

    A regnet computes its widths with tensors, which have no numbers under `torch.device("meta")`.
    """
    with Blank() if name.startswith("regnet") else torch.device("meta"):
        model = torchvision.models.get_model(name, **OPTIONS.get(name, {})).eval()
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


if __name__ == "__main__":
    describe_all()
