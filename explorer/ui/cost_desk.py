"""The server's side of the Cost tab: memory of a training step, its growth with the picture, and time per layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, dataclass, replace
from math import prod
from threading import Lock

import torch
from torch import Tensor, nn

from explorer import link
from explorer.models.build import build_model
from explorer.models.draws import same_draws
from explorer.models.groups import freeze
from explorer.spec import ClassifierSpec, SpecError, TrainSpec, check_choice, check_flag, check_whole, sides
from explorer.trace.kept import PRECISIONS
from explorer.trace.memory import SIZES, STATES, StepMemory, growth, kept_per_layer, step_memory
from explorer.trace.records import Trace, freeze_rows
from explorer.trace.timing import time_layers
from explorer.trace.tracer import trace
from explorer.train.device import describe_device, pick_device
from explorer.ui.describe import memory_here
from explorer.views import cost as views
from explorer.views.numbers import short

MAX_BATCH = 4096
MAX_TEXT = 5000  # characters of a model as JSON
MAX_PARAMS = 300_000_000  # of a model that is built to be timed
SECONDS = 2.0
WORK = {"cpu": 150e9, "mps": 1e12, "cuda": 1e13}
"""Multiply-accumulates of the smallest pass that is run for anybody who asks: a few seconds, by kind of device."""
BYTES_A_GRADIENT = 4  # float32, as the parameters are
BACKWARD = 3  # times the work of a forward pass, for both together
BUSY = "Somebody else is measuring right now: try again in a few seconds."
SHARED = "A training run is going on here and shares the machine: alone, the layers are faster."
NO_RUN = "The model could not be measured here: choose a smaller image or a smaller body."
RELOAD = "The page asked for a model that cannot be read: reload it."


@dataclass(frozen=True)
class Wish:
    """What a page asks about, checked."""

    spec: ClassifierSpec
    train: TrainSpec
    trace: Trace
    batch: int
    precision: str
    optimizer: str


def cost_functions(trains: Callable[[], bool] = lambda: False) -> tuple[Callable, Callable, Callable]:
    """What `Explorer.cost` calls: memory({…}), growth({…}) and times({…}).

    trains  whether a training run is going on right now

    {"spec": the text of the widget's value, "batch", "precision", "optimizer"} is asked about; times also takes
    {"backward"}. Anyone can call them: everything is checked, one is answered at a time, and whatever cannot be done
    is answered with {"error": one sentence}.
    """
    one_estimate, one_measurement = Lock(), Lock()

    def memory(asked: object) -> dict:
        """{"weights", …, "total", "moment", "kept_in_all", "gradients_in_all", "there", "where", "too_large", "norms",
        "parts"}.

        "gradients_in_all" is what the gradients take when the backward pass ends, "there" the memory of "where",
        "parts" the bytes kept by each part of the widget's value.
        """
        return _answered(asked, _memory, one_estimate)

    def growth(asked: object) -> dict:
        """{"points": [[size, params, macs, activation bytes, kept bytes, step bytes], …]}, the present size too."""
        return _answered(asked, _growth, one_estimate)

    def times(asked: object) -> dict:
        """{"layers": as `views.cost.slowest`, "total" ms, "count", "shown" share, "device", "batch", "note",
        "shared": a sentence where a training run went on meanwhile, else ""}."""
        if not one_measurement.acquire(blocking=False):
            return {"error": BUSY}
        try:
            before = trains()
            answer = _answered(asked, _times)
            return answer if "error" in answer else {**answer, "shared": SHARED if before or trains() else ""}
        finally:
            one_measurement.release()

    return memory, growth, times


def _answered(asked: object, work: Callable[[Wish, Mapping], dict], lock: Lock | None = None) -> dict:
    try:
        raw = _mapping(asked)
        wish = read_wish(raw)
        with lock or Lock():
            return work(wish, raw)
    except (ValueError, TypeError) as error:
        return {"error": str(error) if isinstance(error, ValueError) else RELOAD}
    except (RuntimeError, MemoryError, OSError):
        return {"error": NO_RUN}


# ---- what is asked ----


def _mapping(asked: object) -> Mapping:
    if isinstance(asked, list) and len(asked) == 1:
        asked = asked[0]
    if not isinstance(asked, Mapping):
        raise ValueError(RELOAD)
    return asked


def read_wish(asked: Mapping) -> Wish:
    """The model and the step that are meant; ValueError with one sentence for what is none, or does not run."""
    text = asked.get("spec")
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise ValueError(RELOAD)
    decoded = link.from_json(text)
    if decoded.problems:
        raise ValueError(decoded.problems[0])
    spec = replace(decoded.spec, body=replace(decoded.spec.body, weights="random"))
    batch = asked.get("batch", TrainSpec.batch_size)
    precision, optimizer = asked.get("precision", "float32"), asked.get("optimizer", "adamw")
    check_whole("batch", "The batch size", batch, 1, MAX_BATCH)
    check_choice("precision", "The precision", precision, PRECISIONS)
    check_choice("optimizer", "The optimiser", optimizer, tuple(STATES))
    described = trace(spec)
    if described.failure:
        raise SpecError("run", described.failure.reason)
    return Wish(spec, decoded.train, described, batch, precision, optimizer)


# ---- what is answered ----


def _memory(wish: Wish, _: Mapping) -> dict:
    where, there = memory_here()
    frozen, train_bn = wish.train.frozen, wish.train.train_bn
    step = _step(wish, wish.batch)
    kept = kept_per_layer(wish.spec, wish.batch, wish.precision, frozen, train_bn)
    largest = largest_batch(wish, there) if step.total > there else None
    quiet = _step(wish, wish.batch, train_bn=False) if frozen and train_bn else step
    return {
        **asdict(step),
        "gradients_in_all": BYTES_A_GRADIENT * freeze_rows(wish.trace, frozen, train_bn).totals.trainable,
        "there": there,
        "where": where,
        "largest": largest,
        "too_large": views.too_large(step.total, there, where, wish.batch, largest),
        "norms": views.norms_keep(step.total, quiet.total),
        "parts": views.by_part(views.parts(wish.trace), kept),
    }


def _step(wish: Wish, batch: int, train_bn: bool | None = None) -> StepMemory:
    train_bn = wish.train.train_bn if train_bn is None else train_bn
    return step_memory(wish.spec, batch, wish.precision, wish.optimizer, wish.train.frozen, train_bn)


def largest_batch(wish: Wish, there: int, tries: int = 12) -> int | None:
    """The largest batch below the asked one whose step needs at most `there` bytes; None where one picture does not.

    By bisection, mostly where a straight line between the ends would have it, since memory grows almost linearly;
    after `tries` steps the best one found.
    """
    low, high = 1, wish.batch
    least, most = _step(wish, low).total, _step(wish, high).total
    if least > there:
        return None
    for attempt in range(tries):
        if high - low <= 1:
            break
        line = low + (there - least) * (high - low) / max(1, most - least)
        middle = round(line) if attempt % 3 < 2 else (low + high) // 2
        middle = min(high - 1, max(low + 1, middle + attempt % 2))
        needed = _step(wish, middle).total
        if needed <= there:
            low, least = middle, needed
        else:
            high, most = middle, needed
    return low


def _growth(wish: Wish, _: Mapping) -> dict:
    sizes = tuple(sorted({*SIZES, wish.spec.body.size}, key=lambda size: prod(sides(size))))
    points = growth(
        wish.spec, sizes, wish.batch, wish.precision, wish.optimizer, wish.train.frozen, wish.train.train_bn
    )
    return {"points": [astuple(point) for point in points]}


def _times(wish: Wish, asked: Mapping) -> dict:
    backward = asked.get("backward", False)
    check_flag("backward", "The backward pass", backward)
    device, least = pick_device(), 2 if backward else 1  # batch norm learns from two values on
    check_can_be_timed(wish, backward, least, device.type)
    model = random_model(wish).to(device)

    def timed(batch: int, **how) -> dict[str, float]:
        return time_layers(model, (_pictures(wish.spec, batch, device),), backward=backward, seconds=SECONDS, **how)

    tried = max(1e-6, sum(timed(least, repeats=1).values()) / 1000)
    batch = max(least, min(wish.batch, int(least * SECONDS / tried), fitting_batch(wish)))
    times = timed(batch)
    layers = views.slowest(wish.trace, times)
    return {
        "layers": layers,
        "total": round(sum(times.values()), 3),
        "count": len(times),
        "shown": round(sum(layer["share"] for layer in layers), 4),
        "device": describe_device(device),
        "batch": batch,
        "note": batch_note(wish.batch, batch),
    }


def check_can_be_timed(wish: Wish, backward: bool, least: int, kind: str) -> None:
    """Raise ValueError for a model too large to be built, or to run once on `least` pictures, for anybody who asks."""
    params = wish.trace.totals.params
    if params > MAX_PARAMS:
        size, limit = short(params), short(MAX_PARAMS)
        raise ValueError(f"A model of {size} parameters is too large to be timed here: {limit} is the limit.")
    if least * wish.trace.totals.macs * (BACKWARD if backward else 1) > WORK[kind]:
        raise ValueError("One pass of this model takes too long to be timed here: choose a smaller image or body.")
    if fitting_batch(wish) < least:
        raise ValueError("This model needs too much memory to be timed here: choose a smaller image or body.")


def fitting_batch(wish: Wish) -> int:
    """The largest batch, up to the asked one, whose step takes at most a quarter of the memory; 0 where none does."""
    room = memory_here()[1] / 4
    needed = step_memory(wish.spec, wish.batch, optimizer="sgd").total
    if needed <= room:
        return max(2, wish.batch)
    alone = step_memory(wish.spec, 1, optimizer="sgd").total
    if alone > room:
        return 0
    return 1 + int((wish.batch - 1) * (room - alone) / (needed - alone))


def batch_note(asked: int, timed: int) -> str:
    """A sentence where the timed batch is not the one that was asked for."""
    if timed < asked:
        return f"Timed with a batch of {timed}: {asked:,} would take too long here."
    return "" if timed == asked else "Timed with a batch of 2: batch norm cannot learn from a single picture."


def random_model(wish: Wish) -> nn.Module:
    """The model with random weights; frozen groups do not learn."""
    with same_draws():
        built = build_model(wish.spec)
    freeze(built.model, built.groups, wish.train.frozen, wish.train.train_bn)
    return built.model


def _pictures(spec: ClassifierSpec, batch: int, device: torch.device) -> Tensor:
    return torch.full((batch, spec.body.n_in, *spec.body.height_width), 0.5, device=device)
