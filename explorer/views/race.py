"""The decoder race as it stands: curves with spread, a table, and sentences made of nothing but the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from explorer import link
from explorer.race import UNET
from explorer.spec import TrainSpec, UnetSpec
from explorer.train.events import EpochDone

METRICS = {
    "miou": "mIoU", "accuracy": "Pixels right", "psnr": "PSNR", "ssim": "SSIM",
    "style": "Style loss", "content": "Content loss",
}  # fmt: skip
"""What the numbers of a run are called, the one that a race is judged by first."""

FALLING = ("style", "content")
"""Metrics that fall as a run gets better."""

WAITING = ("waiting", "queued", "running")
"""States of a run from which something is still to come; "waiting" has not been put in line yet."""


@dataclass(frozen=True)
class Racer:
    """A decoder in the race: its label, the model's parameters, and multiply-accumulates for one picture."""

    label: str
    params: int
    macs: int


@dataclass(frozen=True)
class Lane:
    """One run of a race.

    state    waiting, queued, running, finished, stopped or failed
    seconds  that it has trained so far
    painted  the one class that its masks have right anywhere, "" where there are several or none
    """

    label: str
    seed: int
    state: str
    epochs: tuple[EpochDone, ...] = ()
    reason: str = ""
    seconds: float = 0.0
    painted: str = ""


@dataclass(frozen=True)
class Score:
    """A decoder's metric after an epoch, over those seeds that have come so far; `sd` is None for a single one."""

    label: str
    epoch: int
    mean: float
    sd: float | None
    each: tuple[tuple[int, float], ...]


def race(spec: UnetSpec, train: TrainSpec) -> dict:
    """The value of `Explorer.race` while nothing is begun: {"spec": text for the server, "epochs"}."""
    return {"spec": link.to_json(spec, train), "epochs": train.epochs}


def standing(
    racers: Sequence[Racer], lanes: Sequence[Lane], epochs: int, baseline: Sequence[tuple[str, float]] = ()
) -> dict:
    """What `Explorer.race` draws of a race whose runs train `epochs` each.

    baseline  (metric, value) that one has without any network

    {"state": "running" or "over", "stopped": whether somebody stopped it, "epochs", "done", "of": runs,
    "now": which run trains, "left": seconds to go or None,
    "decoders": [{"label", "params", "macs", "seconds": of an epoch, "runs": [{"seed", "state", "epoch"}]}],
    "metrics": [{"name", "title", "falls", "curves": [{"epochs", "mean", "sd"}], "finals": [{"epoch", "mean", "sd",
    "each": [[seed, value]], "text"}], "verdict": sentences}], "faults": one sentence a failed run}
    """
    going = [lane for lane in lanes if lane.state in WAITING]
    return {
        "state": "running" if going else "over",
        "stopped": any(lane.state == "stopped" for lane in lanes),
        "epochs": epochs,
        "done": sum(lane.state in ("finished", "failed") for lane in lanes),
        "of": len(lanes),
        "now": " and ".join(_now(lane, epochs) for lane in lanes if lane.state == "running"),
        "left": _seconds_left(lanes, epochs),
        "decoders": [_row(racer, [lane for lane in lanes if lane.label == racer.label]) for racer in racers],
        "metrics": [_metric(name, racers, lanes, epochs, baseline) for name in _names(lanes)],
        "faults": _faults(lanes),
    }


def _now(lane: Lane, epochs: int) -> str:
    return f"{lane.label}, seed {lane.seed}, epoch {min(epochs, len(lane.epochs) + 1)} of {epochs}"


def _row(racer: Racer, lanes: Sequence[Lane]) -> dict:
    seconds = [epoch.seconds for lane in lanes for epoch in lane.epochs]
    return {
        "label": racer.label,
        "params": racer.params,
        "macs": racer.macs,
        "seconds": fmean(seconds) if seconds else None,
        "runs": [{"seed": lane.seed, "state": lane.state, "epoch": len(lane.epochs)} for lane in lanes],
    }


def _faults(lanes: Sequence[Lane]) -> list[str]:
    return [f"{lane.label}, seed {lane.seed}, failed: {lane.reason}" for lane in lanes if lane.state == "failed"]


def _seconds_left(lanes: Sequence[Lane], epochs: int) -> float | None:
    """At the pace so far, each run counted by its epochs; None before the first epoch, and when all has ended."""
    begun = [lane for lane in lanes if lane.epochs and lane.seconds]
    going = [lane for lane in lanes if lane.state in WAITING]
    if not begun or not going:
        return None
    pace = sum(lane.seconds for lane in begun) / sum(len(lane.epochs) for lane in begun)
    together = max(1, sum(lane.state == "running" for lane in lanes))
    return pace * sum(epochs - len(lane.epochs) for lane in going) / together


# ---- metrics ----


def _names(lanes: Sequence[Lane]) -> list[str]:
    told = {name for lane in lanes for epoch in lane.epochs for name, _ in epoch.metrics}
    return [name for name in METRICS if name in told] + sorted(told - set(METRICS))


def _metric(name: str, racers: Sequence[Racer], lanes: Sequence[Lane], epochs: int, baseline) -> dict:
    curves = [_curve(name, racer.label, lanes) for racer in racers]
    return {
        "name": name,
        "title": METRICS.get(name, name),
        "falls": name in FALLING,
        "curves": [
            {"epochs": [s.epoch for s in curve], "mean": [s.mean for s in curve], "sd": [s.sd for s in curve]}
            for curve in curves
        ],
        "finals": [_final(name, curve) for curve in curves],
        "verdict": verdict(name, curves, lanes, epochs, dict(baseline).get(name)),
    }


def _curve(name: str, label: str, lanes: Iterable[Lane]) -> list[Score]:
    """The decoder's score after each epoch, from the runs that have come so far."""
    runs = [(lane.seed, dict(epoch.metrics).get(name), epoch.epoch) for lane in lanes if lane.label == label
            for epoch in lane.epochs]  # fmt: skip
    known = [(seed, value, epoch) for seed, value, epoch in runs if value is not None]
    return [
        _score(label, epoch, [(seed, value) for seed, value, at in known if at == epoch])
        for epoch in sorted({epoch for *_, epoch in known})
    ]


def _score(label: str, epoch: int, each: list[tuple[int, float]]) -> Score:
    values = [value for _, value in each]
    return Score(label, epoch, fmean(values), stdev(values) if len(values) > 1 else None, tuple(each))


def _final(name: str, curve: Sequence[Score]) -> dict | None:
    if not curve:
        return None
    last = curve[-1]
    return {
        "epoch": last.epoch,
        "mean": last.mean,
        "sd": last.sd,
        "each": [list(pair) for pair in last.each],
        "text": figure(name, last),
    }


def figure(name: str, score: Score) -> str:
    """ "0.612 ± 0.011", "27.31 ± 0.24 dB"; without a spread where there is one seed."""
    spread = "" if score.sd is None else f" ± {_number(name, score.sd)}"
    return f"{_number(name, score.mean)}{spread}{_unit(name)}"


def _number(name: str, value: float) -> str:
    return f"{value:.2f}" if name == "psnr" or name in FALLING else f"{value:.3f}"


def _unit(name: str) -> str:
    return " dB" if name == "psnr" else ""


# ---- what came out ----


def verdict(
    name: str, curves: Sequence[Sequence[Score]], lanes: Sequence[Lane], epochs: int, baseline: float | None = None
) -> list[str]:
    """What the numbers say, in sentences; nothing before every decoder that still runs has its first epoch.

    All are compared after the same epoch. The spread of two decoders is the larger of their standard deviations over
    the seeds; a difference that does not exceed it is called none.
    """
    at = _common_epoch(curves, lanes)
    scores = [score for curve in curves for score in curve if score.epoch == at]
    if len(scores) < 2:
        return []
    ranked = sorted(scores, key=lambda score: score.mean, reverse=name not in FALLING)
    going = any(lane.state in WAITING for lane in lanes)
    when = f"So far, after epoch {at} of {epochs}" if going else f"After epoch {at}"
    title = _words(METRICS.get(name, name))
    order = ", ".join(f"{_inside(score.label)} {figure(name, score)}" for score in ranked[1:])
    said = [f"{when}, {_inside(ranked[0].label)} is best with {title} {figure(name, ranked[0])}; then {order}."]
    if ranked[0].mean == ranked[1].mean:
        said = [f"{when}, nobody is ahead: {_inside(ranked[0].label)} has {title} {figure(name, ranked[0])}, {order}."]
    else:
        said.append(_lead(name, ranked[0], ranked[1]))
    said += _against_unet(name, scores)
    if baseline is not None:
        said.append(_without_network(name, ranked[0], baseline))
    return said + _one_colour(lanes)


def _one_colour(lanes: Sequence[Lane]) -> list[str]:
    """Which decoders tell nothing apart: their masks show one class, and their pixels are right where that one is."""
    painted = {lane.painted for lane in lanes if lane.painted}
    by_label = {lane.label: {other.painted for other in lanes if other.label == lane.label} for lane in lanes}
    return [
        f"{_listed([_inside(label) for label, seen in by_label.items() if seen == {name}])} found nothing but {name}: "
        "that is where their pixels are right."
        for name in sorted(painted)
        if any(seen == {name} for seen in by_label.values())
    ]


def _listed(words: Sequence[str]) -> str:
    """ "Nearest, transposed and the U-Net"."""
    said = " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
    return said[0].upper() + said[1:]


def _common_epoch(curves: Sequence[Sequence[Score]], lanes: Sequence[Lane]) -> int:
    """The last epoch that all decoders have told of; those that failed before their first are left out."""
    labels = {lane.label for lane in lanes if lane.epochs or lane.state in WAITING}
    reached = {curve[-1].label: curve[-1].epoch for curve in curves if curve}
    return min((reached.get(label, 0) for label in labels), default=0)


def _spread(a: Score, b: Score) -> float | None:
    known = [score.sd for score in (a, b) if score.sd is not None]
    return max(known) if known else None


def _lead(name: str, first: Score, second: Score) -> str:
    gap, spread = abs(first.mean - second.mean), _spread(first, second)
    lead = f"{_number(name, gap)}{_unit(name)}"
    if spread is None:
        return f"With one seed each, nobody can say whether the lead of {lead} is more than chance: race more seeds."
    if gap > spread:
        return f"The lead of {lead} is more than the spread between seeds ({_number(name, spread)})."
    return (
        f"The lead of {lead} is within the spread between seeds ({_number(name, spread)}): "
        f"these runs do not tell {_inside(first.label)} and {_inside(second.label)} apart."
    )


def _against_unet(name: str, scores: Sequence[Score]) -> list[str]:
    unet = next((score for score in scores if score.label == UNET), None)
    others = [score for score in scores if score.label != UNET]
    if unet is None or not others:
        return []
    return [f"Beside the U-Net: {'; '.join(_beside(name, score, unet) for score in others)}."]


def _beside(name: str, score: Score, unet: Score) -> str:
    gap, spread = score.mean - unet.mean, _spread(score, unet)
    if gap == 0:
        return f"{_inside(score.label)} level"
    better = (gap < 0) == (name in FALLING)
    words = f"{_inside(score.label)} {_number(name, abs(gap))}{_unit(name)} {'better' if better else 'worse'}"
    if spread is None:
        return words
    return words if abs(gap) > spread else f"{words}, within the spread"


def _without_network(name: str, best: Score, baseline: float) -> str:
    plain = f"{_number(name, baseline)}{_unit(name)}"
    beaten = best.mean < baseline if name in FALLING else best.mean > baseline
    verb = "is beaten" if beaten else "is not beaten by any of them"
    return f"What one has without a network, {plain}, {verb}."


def _words(title: str) -> str:
    """A title inside a sentence: "pixels right", but "PSNR"."""
    return title[0].lower() + title[1:] if title[1:2].islower() else title


def _inside(label: str) -> str:
    """A label inside a sentence: "nearest", "the U-Net without skips"."""
    return f"the {label}" if label.startswith(UNET) else label.lower()
