"""All runs of a person as a table: grouped by a knob, with spread; a few of them side by side; the line before them.

Everything is made of plain values. One axis serves the whole table, so that runs and groups compare downwards.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from explorer import link
from explorer.spec import TrainSpec, UnetSpec, size_text
from explorer.views.curves import FIRST
from explorer.views.numbers import rate

LETTERS = "ABCDEFGH"
"""Runs side by side are told apart by these: as many as can be picked."""

AT_MOST = 60  # rows of a list without groups; more on request
IN_GROUP = 4  # rows of a group; more on request
ENDED = ("finished", "stopped", "failed")
ALIVE = ("queued", "running", "paused")
FALLING = ("valid_loss", "train_loss", "style", "content")
FAMILY_WORDS = {"classifier": "Classifier", "unet": "U-Net"}
KNOBS = {
    "arch": "Body",
    "weights": "Weights",
    "cut": "Cut",
    "size": "Image size",
    "n_in": "Input channels",
    "pool": "Pooling",
    "widths": "Hidden layers",
    "ps": "Dropout",
    "first_bn": "first_bn",
    "bn_final": "bn_final",
    "lin_first": "lin_first",
    "y_range": "y_range",
    "n_out": "Outputs",
    "decoder": "Decoder",
    "skips": "Skips",
    "blur": "blur",
    "blur_final": "blur_final",
    "self_attention": "Self-attention",
    "last_cross": "last_cross",
    "bottle": "bottle",
    "norm": "Norm",
    "act": "Activation",
    "kernel": "Kernel",
    "width_cap": "Width cap",
    "task": "Task",
    "data": "Data",
    "data_size": "Drawn set",
    "difficulty": "Difficulty",
    "valid_pct": "Held back",
    "epochs": "Epochs",
    "lr": "Rate",
    "lrs": "Rates of groups",
    "batch_size": "Batch",
    "frozen": "Frozen groups",
    "train_bn": "train_bn",
    "schedule": "Schedule",
    "freeze_epochs": "Frozen epochs",
    "wd": "Weight decay",
    "augment": "Augmentation",
    "seed": "Seed",
    "loss": "Loss",
    "style": "Style",
    "precision": "Products",
}
METRIC_WORDS = {"valid_loss": "valid loss", "train_loss": "train loss", "accuracy": "accuracy", "miou": "mIoU",
                "psnr": "PSNR", "ssim": "SSIM", "style": "style loss", "content": "content loss"}  # fmt: skip
TASK_METRIC = {**FIRST, "": "accuracy"}
SEED = "seed"


@dataclass(frozen=True)
class Row:
    """One run.

    knobs     text of every field of its link, by key; {} for a run that this version cannot read
    summary   as `jobs.summary` gives it
    progress  0 to 1 of a run that trains or rests
    place, wait   in line from 1 (0: not), and seconds until its turn, None where not known
    left      seconds that one that trains still needs, None where not known
    hint      what the list may offer besides: {"label", "do", …}, {} for nothing
    """

    id: str
    family: str
    state: str
    created: float
    name: str = ""
    note: str = ""
    pinned: bool = False
    reason: str = ""
    parent: str = ""
    started: float | None = None
    ended: float | None = None
    stopping: bool = False
    pausing: bool = False
    knobs: Mapping[str, str] = field(default_factory=dict)
    summary: Mapping = field(default_factory=dict)
    progress: float = 0.0
    place: int = 0
    wait: float | None = None
    left: float | None = None
    hint: Mapping = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What its owner calls it, else what it is: "resnet34, concat"."""
        if self.name:
            return self.name
        knobs = self.knobs
        what = knobs.get("decoder") if self.family == "unet" else knobs.get("pool")
        return ", ".join(filter(None, (knobs.get("arch", "unknown model"), what)))

    @property
    def metric(self) -> str:
        """The name of the number that it is judged by."""
        told = self.summary.get("metrics") or {}
        wanted = TASK_METRIC[self.knobs.get("task", "") if self.family == "unet" else ""]
        return wanted if not told or wanted in told else next(iter(told))

    @property
    def value(self) -> float | None:
        """That number after the last whole epoch; None before."""
        return (self.summary.get("metrics") or {}).get(self.metric)


@dataclass(frozen=True)
class Asked:
    """What the page wants to see.

    group   key of a knob, "" for none          show  "all", "pinned", "failed" or "live"
    picked  ids, in order                       open  keys of groups of which all rows are wanted
    most    rows of a list without groups       search  words that a run's name, note or knobs contain
    against  the curve drawn side by side: "valid_loss", "train_loss" or "metric"
    """

    group: str = ""
    show: str = "all"
    picked: tuple[str, ...] = ()
    open: tuple[str, ...] = ()
    most: int = AT_MOST
    against: str = "valid_loss"
    search: str = ""


def knobs_of(spec, train: TrainSpec) -> dict[str, str]:
    """The text of every field of a link, by key, in words where they are shorter."""
    texts = {}
    for entry in link.FIELDS[type(spec)]:
        outer, _, inner = entry.place.partition(".")
        value = link.get(train, inner) if outer == "train" else link.get(spec, entry.place)
        texts[entry.key] = "" if value is None else entry.write(value).rstrip(",")
    texts["cut"] = texts["cut"] or "own"
    texts["size"] = size_text(spec.body.size)
    texts["lr"] = rate(train.lr)
    texts["pool"] = texts.get("pool", "")
    return {key: text or "none" for key, text in texts.items() if key != "pool" or not isinstance(spec, UnetSpec)}


def table(rows: Sequence[Row], asked: Asked) -> dict:
    """What `Explorer.runs` draws of a person's runs, the newest first.

    A group's mean and spread are those of its finished runs; one that failed has no place on the axis.

    {"count": sentence, "knobs": [{"key", "label"}] in which they differ, "group", "axis": {"metric", "label", "low",
    "high"} or None, "groups": [{"key", "title", "about", "values", "mean", "sd", "label", "rows", "more"}], "picked"}
    """
    shown = [row for row in rows if _wanted(row, asked)]
    knobs = differing(rows)
    group = asked.group if asked.group in knobs else ""
    axis = axis_of(shown)
    groups = _grouped(shown, group, asked, axis) if group else [_listed(shown, asked, axis)]
    return {
        "count": counted(rows),
        "of": len(rows),
        "shown": len(shown),
        "failed": sum(row.state == "failed" for row in rows),
        "pinned": sum(row.pinned for row in rows),
        "knobs": [{"key": key, "label": KNOBS[key]} for key in knobs],
        "group": group,
        "axis": axis,
        "groups": groups,
    }


def counted(rows: Iterable[Row]) -> str:
    """ "19 runs of yours, 1 trains, 2 wait"."""
    states = Counter(row.state for row in rows)
    total = sum(states.values())
    if not total:
        return "no run yet"
    parts = [
        f"{total} run{'s' * (total != 1)} of yours",
        *(f"{states[state]} {_does(word, states[state])}" for state, word in
          (("running", "train"), ("queued", "wait"), ("paused", "rest")) if states[state]),
    ]  # fmt: skip
    return ", ".join(parts)


def _does(word: str, count: int) -> str:
    return word + "s" * (count == 1)


def _wanted(row: Row, asked: Asked) -> bool:
    if asked.show == "pinned" and not row.pinned:
        return False
    if asked.show == "failed" and row.state != "failed":
        return False
    if asked.show == "live" and row.state not in ALIVE:
        return False
    words = asked.search.lower().split()
    if not words:
        return True
    text = f"{row.title} {row.note} {FAMILY_WORDS.get(row.family, '')} {' '.join(row.knobs.values())}".lower()
    return all(word in text for word in words)


def differing(rows: Sequence[Row]) -> tuple[str, ...]:
    """Knobs that not all runs have alike, in the order of the form; the seed last."""
    seen: dict[str, set[str]] = {}
    for row in rows:
        for key, text in row.knobs.items():
            seen.setdefault(key, set()).add(text)
    return tuple(key for key in (*(key for key in KNOBS if key != SEED), SEED) if len(seen.get(key, ())) > 1)


def axis_of(rows: Sequence[Row]) -> dict | None:
    """The axis of the metric that most of them have: its ends lie a little outside all values; None without a value."""
    with_value = [row for row in rows if row.value is not None and row.state != "failed"]
    if not with_value:
        return None
    metric = Counter(row.metric for row in with_value).most_common(1)[0][0]
    values = [row.value for row in with_value if row.metric == metric]
    room = max(0.08 * (max(values) - min(values)), 0.005 * abs(max(values)) or 0.005)
    low, high = min(values) - room, max(values) + room
    return {"metric": metric, "label": METRIC_WORDS.get(metric, metric), "low": low, "high": high}


def _listed(rows: Sequence[Row], asked: Asked, axis: dict | None) -> dict:
    """All runs in one list: those that are pinned first, then the newest."""
    ordered = sorted(rows, key=lambda row: not row.pinned)
    kept = ordered[: asked.most]
    return {"key": "", "title": "", "rows": [row_of(row, axis, asked) for row in kept], "more": len(rows) - len(kept)}


def _grouped(rows: Sequence[Row], group: str, asked: Asked, axis: dict | None) -> list[dict]:
    """A group for each value of a knob, the best mean first; runs that have no such knob come last."""
    members: dict[str, list[Row]] = {}
    for row in rows:
        members.setdefault(row.knobs.get(group, ""), []).append(row)
    others = members.pop("", [])
    made = [_group(value, runs, group, asked, axis) for value, runs in members.items()]
    falls = axis is not None and axis["metric"] in FALLING
    made.sort(key=lambda one: (one["mean"] is None, (one["mean"] or 0) * (1 if falls else -1)))
    if others:
        made.append(
            {**_group("", others, group, asked, axis), "title": "Without this knob", "mean": None, "values": []}
        )
    return made


def _group(value: str, rows: Sequence[Row], group: str, asked: Asked, axis: dict | None) -> dict:
    metric = axis["metric"] if axis else ""
    falls = metric in FALLING
    done = [row for row in rows if row.state == "finished"]
    values = [row.value for row in done if row.value is not None and row.metric == metric]
    ordered = sorted(rows, key=lambda row: _rank(row, metric, falls))
    kept = ordered if value in asked.open else _few(ordered, asked.picked)
    seeds = {row.knobs.get(SEED) for row in rows}
    others = [KNOBS[key] for key in differing(rows) if key not in (SEED, group)]
    about = f"{len(seeds)} seed{'s' * (len(seeds) != 1)}" if len(seeds) == len(rows) else _runs(len(rows))
    return {
        "key": value,
        "title": value,
        "about": about,
        "mixed": f"{_list_words(others)} differ{'s' * (len(others) == 1)}, too" if others and len(rows) > 1 else "",
        "values": values,
        "mean": fmean(values) if values else None,
        "sd": stdev(values) if len(values) > 1 else None,
        "best": (min if falls else max)(values) if values else None,
        "rows": [row_of(row, axis, asked) for row in kept],
        "more": len(ordered) - len(kept),
    }


def _few(rows: Sequence[Row], picked: Sequence[str]) -> list[Row]:
    """The first few of a group, all that are picked, and all that one is waiting for."""
    first = {row.id for row in rows[:IN_GROUP]}
    return [row for row in rows if row.id in first or row.id in picked or row.state in ALIVE or row.pinned]


def _rank(row: Row, metric: str, falls: bool) -> tuple:
    place = {"finished": 0, "stopped": 0, "running": 1, "paused": 1, "queued": 2, "failed": 3}[row.state]
    usable = row.value is not None and row.metric == metric
    return (place, not usable, (row.value if falls else -row.value) if usable else 0, -row.created)


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"


def _list_words(words: Sequence[str], most: int = 2) -> str:
    """ "Rate", "Rate and Batch", "Rate and 3 more"."""
    shown = [word if word.islower() or "_" in word else word.lower() for word in words]
    if len(shown) <= most:
        return " and ".join(shown)
    return f"{', '.join(shown[: most - 1])} and {len(shown) - most + 1} more"


def row_of(row: Row, axis: dict | None, asked: Asked) -> dict:
    """One row of the table."""
    counts = row.value is not None and row.state != "failed"
    on_axis = counts and axis is not None and row.metric == axis["metric"]
    letter = LETTERS[asked.picked.index(row.id)] if row.id in asked.picked[: len(LETTERS)] else ""
    summary = row.summary
    return {
        "id": row.id,
        "letter": letter,
        "state": row.state,
        "stopping": row.stopping,
        "pausing": row.pausing,
        "title": row.title,
        "named": bool(row.name),
        "note": row.note,
        "family": FAMILY_WORDS.get(row.family, row.family),
        "curve": list(summary.get("curve", ())),
        "metric": METRIC_WORDS.get(row.metric, row.metric),
        "value": row.value if counts else None,
        "on_axis": on_axis,
        "progress": row.progress,
        "done": summary.get("done", 0),
        "epochs": summary.get("epochs") or row.knobs.get("epochs"),
        "seconds": seconds_of(row),
        "left": row.left,
        "place": row.place,
        "wait": row.wait,
        "seed": row.knobs.get(SEED, ""),
        "pinned": row.pinned,
        "reason": row.reason if row.state in ("failed", "stopped") else "",
        "hint": dict(row.hint),
        "continues": bool(row.parent),
        "can": can(row),
    }


def can(row: Row) -> list[str]:
    """What its owner can do with a run now."""
    wishes = {
        "queued": ["stop"],
        "running": ["pause", "stop"],
        "paused": ["resume", "stop"],
    }.get(row.state, ["again"])
    kept = row.state in ENDED and row.summary.get("done", 0) > 0
    return [*wishes, *(["again"] if row.state in ALIVE else []), *(["go_on"] if kept else [])]


def seconds_of(row: Row) -> float | None:
    """How long it trained; of one that trains the epochs so far."""
    told = row.summary.get("seconds")
    if row.state in ENDED and told is None and row.started and row.ended:
        return row.ended - row.started
    return told


def line_of(
    waiting: Sequence[tuple[Row | None, float | None]], running: Sequence[tuple[Row | None, float | None]]
) -> list[dict]:
    """The line before the machine: who trains, then who waits; None stands for somebody else's run.

    With each run come the seconds that it still needs, or until its turn; None where that is not known.
    """
    made = [_in_line(row, seconds, 0) for row, seconds in running]
    return made + [_in_line(row, seconds, place) for place, (row, seconds) in enumerate(waiting, 1)]


def _in_line(row: Row | None, seconds: float | None, place: int) -> dict:
    return {
        "place": place,
        "yours": row is not None,
        "title": row.title if row else "someone else’s",
        "about": f"seed {row.knobs.get(SEED, '')}" if row else "",
        "id": row.id if row else "",
        "seconds": seconds,
    }
