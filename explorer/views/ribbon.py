"""The ribbon: a traced classifier as stages, cut, head and groups, in the plain values that assets/ribbon.js draws."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import PurePath
from typing import Protocol

from explorer.spec import ClassifierSpec
from explorer.trace.records import EARLY, HEAD, LATE, Dropped, Failure, Layer, Shape, Trace, inside
from explorer.views.groups import NAMES as GROUP_NAMES
from explorer.views.measures import Measure, share
from explorer.views.numbers import rate, shape, short
from explorer.views.stages import Item, Stage, below, body_items, body_stages, channels_first

NO_RIBBON = {"hidden": True}
"""What the second ribbon draws while nothing is pinned."""

IMAGENET_CLASSES = 1000
LONGEST_CUT = 24  # letters of a cut's name on its pill
HOLDERS = (
    "features.",
    "encoder.layers.encoder_",
    "encoder.layers.",
    "trunk_output.",
)  # what holds all parts, and tells nothing
SHAPERS = ("TokensToMap", "ChannelsFirst")  # behind the network's own steps
HEAD_NAMES = {
    "AdaptiveConcatPool2d": ("concat", "concat pool"),
    "AdaptiveAvgPool2d": ("avg", "avg pool"),
    "AdaptiveMaxPool2d": ("max", "max pool"),
    "Flatten": ("flat", "flatten"),
    "BatchNorm1d": ("bn", "BN"),
    "Dropout": ("drop", "drop"),
    "Linear": ("lin", "Linear"),
    "ReLU": ("relu", "ReLU"),
    "SigmoidRange": ("range", "range"),
}


class Place(Protocol):
    """A legal cut, as `models.bodies.Cut` has it."""

    name: str
    index: int | None
    out_shape: Shape
    share: float
    from_end: int | None


def ribbon(
    spec: ClassifierSpec,
    trace: Trace,
    cuts: Sequence[Place],
    *,
    frozen: bool | int = True,
    lrs: float | Sequence[float] | None = None,
    n_classes_word: str = "outputs",
    weights: str | None = None,
    notice: dict | None = None,
    photo: str | None = None,
    loading: bool = False,
    measure: Measure | None = None,
) -> dict:
    """What assets/ribbon.js draws, JSON of less than 8 kB.

    frozen, lrs  as in TrainSpec; `lrs` has a rate for each group there is, lowest first, or one for all
    weights      what is really in use where that is not what the spec asks for ("random" when offline)
    notice       a banner: {"kind": "offline" | "info", "title", "text", "actions": [{"id", "label"}]}
    photo        address of the picture that goes in
    loading      weights are on their way: the slabs pulse in grey
    measure      the cost of which each part tells its share
    """
    weights = weights or spec.body.weights or "random"
    stages = body_stages(trace)
    place = _current(spec, trace, cuts)
    groups = group_words(trace, frozen, lrs)
    frozen_groups = {group["group"] for group in groups if group["frozen"]}
    head = _head(spec, trace, cuts[place])
    drawn = [_stage(stage, _drawn_at(trace, stages), frozen_groups) for stage in stages]
    if measure and _is_known(measure, trace):
        parts = [stage.rows for stage in stages] + [inside(trace.layers, rod["qual"]) for rod in head]
        for part, rows in zip([*drawn, *head], parts, strict=True):
            part["share"] = round(share(measure, rows, trace), 4)
    behind = cut_name(cuts[place].name, stages)
    return {
        "arch": spec.body.arch,
        "size": spec.body.size,
        "n_out": spec.n_out,
        "headline": f"{spec.body.arch}, cut after {behind}, new head for {spec.n_out} {n_classes_word}",
        "subline": _subline(trace, weights, loading),
        "input": _input(trace, stages),
        "stages": drawn,
        "cuts": _cuts(cuts, place, stages, behind),
        "cut": place,
        "behind": behind,
        "dropped": _dropped(trace.dropped),
        "head": head,
        "groups": groups,
        "failure": failure_words(trace.failure),
        "notice": notice,
        "photo": photo,
        "faces_key": _faces_key(spec, weights, trace.failure),
        "loading": loading,
        "measure": measure and measure.words,
    }


def marked(payload: dict, mark: str) -> dict:
    """A ribbon that may stand beside another one, on the same scale.

    mark  "" for a design that can be pinned (it has a button Compare), "A" for the pinned one, which is to be looked at
          only, "B" for the one that follows the controls meanwhile
    """
    still = {"pinned": True, "notice": None, "loading": False} if mark == "A" else {}
    return {**payload, "mark": mark, **still}


def _is_known(measure: Measure, trace: Trace) -> bool:
    """Whether the whole of a cost is known: of a model that breaks off only its parameters are."""
    return trace.failure is None or measure.field == "params"


def ribbon_text(payload: dict) -> str:
    """The ribbon in words: a line for each thing one would see, left to right."""
    mark = f"{payload['mark']} · " if payload.get("mark") else ""
    lines = [mark + payload["headline"], payload["subline"], "", "Body", f"- {payload['input']['say']}"]
    lines += [f"- {stage['say']}" for stage in payload["stages"]]
    cut = payload["cuts"][payload["cut"]]
    lines += ["", f"Cut after {payload['behind']}" + (f", {cut['word']}" if "word" in cut else "")]
    if payload["dropped"]:
        lines.append(f"- {payload['dropped']['words']}: {payload['dropped']['names']}")
    lines += ["", "Head"] + [f"- {layer['say']}" for layer in payload["head"]]
    lines += ["", "Groups"] + [f"- {group['words']}" for group in payload["groups"]]
    if payload["failure"]:
        lines += ["", f"Failed: {payload['failure']['title']}", payload["failure"]["text"]]
    return "\n".join(lines) + "\n"


# ---- the body ----


def _stage(stage: Stage, failure: Failure | None, frozen_groups: set[str]) -> dict:
    broken = _broken_slab(stage, failure)
    out = channels_first(stage.shown.row.out_shape, stage.shown.picture) if stage.shown.row.out_shape else None
    state = "failed" if broken is not None else "ok" if out else "unknown"
    params, macs = sum(row.params for row in stage.rows), sum(row.macs for row in stage.rows)
    what = ", ".join(_times(count, cls) for cls, count in stage.contents)
    group = _word(stage.group)
    return {
        "name": stage.name,
        "qual": stage.main.row.qual,
        "quals": [item.row.qual for item in stage.items],
        "what": what,
        "blocks": stage.blocks,
        "slabs": stage.slabs,
        "shape": list(out) if out and state == "ok" else None,
        "params": params,
        "macs": macs,
        "group": group,
        "frozen": group in frozen_groups,
        "state": state,
        "failed": broken,
        "whole": stage.main.row.container,
        "behind": stage.behind,
        "face": stage.shown.row.qual,
        "say": f"{stage.name}, {what}: {shape(out)}, {short(params)} parameters, {short(macs)} MACs, "
        f"body {group}{', frozen' if group in frozen_groups else ''}{', fails here' if broken is not None else ''}",
    }


def _broken_slab(stage: Stage, failure: Failure | None) -> int | None:
    """Which slab of the stage the failure lies in, None where it lies elsewhere."""
    if failure is None:
        return None
    slab = -1
    for item in stage.items:
        blocks = item.blocks or ((item.row,) if item.slabs else ())
        for block in blocks:
            slab += 1
            if _lies_in(failure.qual, block.qual):
                return slab
        if _lies_in(failure.qual, item.row.qual):
            return max(0, slab)
    return None


def _input(trace: Trace, stages: Sequence[Stage]) -> dict:
    """The photo; it is marked where the network refuses it before any part has run, as a vit does."""
    refused = _refuses_input(trace, [item.row for stage in stages for item in stage.items])
    say = f"photo, {shape(trace.in_shape)}{', fails here' if refused else ''}"
    return {"shape": list(trace.in_shape), "say": say, **({"state": "failed"} if refused else {})}


def _refuses_input(trace: Trace, parts: Sequence[Layer]) -> bool:
    failure = trace.failure
    around = failure is not None and any(_lies_in(part.qual, failure.qual) for part in parts[:1])
    return around and failure.qual != parts[0].qual and all(part.out_shape is None for part in parts)


def _drawn_at(trace: Trace, stages: Sequence[Stage]) -> Failure | None:
    """The failure at a part that is drawn: a network that stops in a `forward` of its own stops before the first of
    its parts that gives nothing; None where it is the photo that it refuses."""
    failure = trace.failure
    parts = [item.row for stage in stages for item in stage.items]
    if _refuses_input(trace, parts):
        return None
    if failure is None or not any(_lies_in(part.qual, failure.qual) for part in parts):
        return failure
    return replace(failure, qual=next((part.qual for part in parts if part.out_shape is None), parts[-1].qual))


# ---- the cut ----


def cut_name(name: str, stages: Sequence[Stage]) -> str:
    """What the cut at the end of a body lies behind, in the words of its last slabs: "layer4", "features.12" (also
    where the cut is called after all "features"), "denseblock4 + relu" for a layer that no slab stands for."""
    last = stages[-1]
    named = [item for item in last.items if item.row.cls not in SHAPERS] or list(last.items)
    end, slabs = named[-1], [item for item in named if item.slabs]
    if name.startswith(f"{end.name}."):
        return brief(name)
    if end.slabs or not slabs or end.name in last.numbered or last.name == "stem":
        return brief(end.name)
    return f"{brief(slabs[-1].name)} + {end.row.name}"


def _current(spec: ClassifierSpec, trace: Trace, cuts: Sequence[Place]) -> int:
    """Which of the legal cuts this body has: the last where none was chosen, or the one of that name or count."""
    if spec.body.cut is None:
        return len(cuts) - 1
    for i, cut in enumerate(cuts):
        if spec.body.cut in (cut.name, cut.index, cut.from_end):
            return i
    return _deepest(trace, cuts)


def _deepest(trace: Trace, cuts: Sequence[Place]) -> int:
    """The last legal cut whose module is still in the body, for a cut that goes by another of its names."""
    names = {name for item in body_items(trace.layers) for name in (item.name, *_inner_names(item))}
    return max((i for i, cut in enumerate(cuts) if cut.name in names), default=len(cuts) - 1)


def _inner_names(item: Item) -> Iterator[str]:
    return (item.name_of(block) for block in item.blocks)


def _cuts(cuts: Sequence[Place], current: int, stages: Sequence[Stage], behind: str) -> list[dict]:
    """Legal cuts, with a `word` where they are not called by their name, and a `brief` name where theirs is long.

    `at` says where in the picture those of the body lie, stage and share of its slabs (2.5 is halfway through the third
    stage); those behind the cut bring the shape they have at 224 px and the share they would keep.
    """
    places = _spread([cut.name for cut in cuts[: current + 1]], _places(stages), len(stages))
    rows = []
    for i, cut in enumerate(cuts):
        row = {"name": cut.name}
        if cut.from_end is not None:
            row["word"] = f"−{-cut.from_end}"
        elif (word := behind if i == current else brief(cut.name)) != cut.name:
            row["brief"] = word
        if i > current:
            row |= {"shape": list(cut.out_shape), "keep": round(cut.share, 3)}
        else:
            row["at"] = round(places[i], 3)
        rows.append(row)
    return rows


def _spread(names: Sequence[str], known: dict[str, float], end: float) -> list[float]:
    """Where cuts of these names lie: the known ones in their places as far as these rise, those inside a slab evenly
    between their neighbours, and the last at the end."""
    fixed = [(-1, 0.0)]
    for i, name in enumerate(names[:-1]):
        if fixed[-1][1] < known.get(name, 0) < end:
            fixed.append((i, known[name]))
    fixed.append((len(names) - 1, end))
    places: list[float] = []
    for (i, low), (k, high) in pairwise(fixed):
        places += [low + (high - low) * (j - i) / (k - i) for j in range(i + 1, k + 1)]
    return places


def _places(stages: Sequence[Stage]) -> dict[str, float]:
    """Where each part of the body ends, in stages: a slab of a block counts 1, a layer behind the blocks a half; where
    a stage has no blocks, each layer counts the same."""
    places = {}
    for i, stage in enumerate(stages):
        done, total = 0.0, stage.slabs + stage.behind / 2 if stage.main.row.container else len(stage.items)
        for item in stage.items:
            for k, block in enumerate(item.blocks, start=1):
                places[item.name_of(block)] = i + min(1, (done + k) / total)
            done += (item.slabs or 0.5) if stage.main.row.container else 1
            places[item.name] = i + done / total
    return places


def _dropped(parts: tuple[Dropped, ...]) -> dict | None:
    """What the cut throws away, in words; the last part ends in the classes of ImageNet."""
    if not parts:
        return None
    names = [brief(part.name) for part in parts]
    names[-1] += f" {IMAGENET_CLASSES}"
    listed = ", ".join(names) if len(names) <= 4 else f"{names[0]} … {names[-1]}"
    return {"names": listed, "words": f"thrown away, {weights_words(sum(part.params for part in parts))}"}


# ---- the head, groups, words ----


def _head(spec: ClassifierSpec, trace: Trace, cut: Place) -> list[dict]:
    """A rod for each layer of the head; widths follow from the spec, so they are known where no run came."""
    width = cut.out_shape[0] * (2 if spec.head.pool == "concat" else 1)
    widths = iter((*spec.head.widths, spec.n_out))
    rows = below(trace.layers, "1")
    last = max((i for i, row in enumerate(rows) if row.cls == "Linear"), default=-1)
    rods = []
    for i, row in enumerate(rows):
        kind, name = HEAD_NAMES.get(row.cls, ("other", row.cls))
        width = next(widths, width) if kind == "lin" else width
        at_end = trace.failure is not None and trace.failure.qual == "1" and i == len(rows) - 1
        here = at_end or (trace.failure is not None and _lies_in(trace.failure.qual, row.qual))
        state = "failed" if here else "ok" if row.out_shape else "unknown"
        within = inside(trace.layers, row.qual)
        out = shape(row.out_shape) if state == "ok" else "?"
        rods.append(
            {
                "qual": row.qual,
                "kind": "out" if i == last else kind,
                "name": name,
                "width": width,
                "state": state,
                "params": sum(r.params for r in within),
                "macs": sum(r.macs for r in within),
                "detail": row.detail,
                "say": f"{name}{', ' + row.detail if row.detail else ''}: {out}"
                + (f", {short(sum(r.params for r in within))} parameters" if row.params else "")
                + (", fails here" if here else ""),
            }
        )
    return rods


def group_words(
    trace: Trace, frozen: bool | int, lrs: float | Sequence[float] | None, titles: Mapping[str, str] = GROUP_NAMES
) -> list[dict]:
    """The groups there are, in order: whether frozen, and words for the rail, long and brief."""
    names = [name for name in (EARLY, LATE, HEAD) if any(row.group == name for row in trace.layers)]
    count = len(names) - 1 if frozen is True else int(frozen)
    rates = _rates(lrs, len(names))
    groups = []
    for i, name in enumerate(names):
        params = weights_words(sum(row.params for row in trace.layers if row.group == name))
        doing = "frozen" if i < count else f"rate {rate(rates[i])}" if rates else ""
        groups.append(
            {
                "group": _word(name),
                "frozen": i < count,
                "words": f"{titles[name]}: {doing + ', ' if doing else ''}{params}",
                "brief": f"{_word(name)}: {doing or params}",
            }
        )
    return groups


def _rates(lrs: float | Sequence[float] | None, count: int) -> list[float]:
    """A rate for each group, as far as rates are given; a longer list is read from its end, the head's."""
    if lrs is None:
        return []
    rates = [lrs] * count if isinstance(lrs, (int, float)) else list(lrs)
    return rates[-count:] if len(rates) >= count else [rates[0]] * (count - len(rates)) + rates


def _subline(trace: Trace, weights: str, loading: bool) -> str:
    body = weights_words(sum(row.params for row in trace.layers if row.group in (EARLY, LATE)))
    new = weights_words(sum(row.params for row in trace.layers if row.group == HEAD))
    if weights == "random":
        return f"{body} random weights"
    if loading:
        return f"looking for the {body} weights, {new} new ones"
    borrowed = "borrowed weights" if weights == "imagenet" else f"weights from {PurePath(weights).name}"
    return f"{body} {borrowed}, {new} new ones"


def weights_words(n: int) -> str:
    """A count of weights beside others: 546304 -> "0.55 M", 21284672 -> "21.3 M", 9536 -> "9,536"."""
    return f"{n / 1e6:.2f} M" if 1e5 <= n < 1e6 else short(n)


def failure_words(failure: Failure | None) -> dict | None:
    """The card above the picture, and the few words below the layer that broke."""
    if failure is None:
        return None
    return {
        "qual": failure.qual,
        "title": f"The model stops {_where(failure)}",
        "text": failure.reason,
        "words": _clash(failure.got, failure.needed),
        "fix": failure.fix.label if failure.fix else None,
    }


def _where(failure: Failure) -> str:
    """A place in a title: "at features.12", "at … window_attention.partition_op", "inside VisionTransformer"."""
    if failure.name == failure.cls:
        return f"inside {failure.name}"
    if failure.name == "head":
        return "at the end of its head"
    parts = failure.name.split(".")
    return f"at {failure.name}" if len(parts) <= 4 else f"at … {'.'.join(parts[-2:])}"


def _clash(got: str, needed: str) -> str:
    """ "512", "1024 features" -> "512 ≠ 1024"; "256×3×3", "at least 7×7" -> "3×3 < 7×7"; "64×8×8", "multiples
    of 7" -> "8×8 ≠ 7·n"."""
    sizes = [re.search(r"\d+(?:×\d+)*", words) for words in (got, needed)]
    if None in sizes:
        return "fails"
    has, wants = (size.group() for size in sizes)
    least = "at least" in needed
    times = "·n" if "multiples of" in needed else ""
    if (wants.count("×") == 1 or times) and has.count("×") == 2:
        has = has.partition("×")[2]
    return f"{has} {'<' if least else '≠'} {wants}{times}"


def _faces_key(spec: ClassifierSpec, weights: str, failure: Failure | None) -> list | None:
    """What the pictures of the slabs depend on; None where the body does not run."""
    if failure is not None and _lies_in(failure.qual, "0"):
        return None
    return [spec.body.arch, weights, spec.body.size, spec.body.cut, spec.body.n_in]


def brief(name: str) -> str:
    """A dotted name as short as it can be told from others: "features.denseblock2" -> "denseblock2",
    "encoder.layers.encoder_layer_5.add" -> "layer_5.add", "blocks.2.layers.4.layers.window_attention" ->
    "blocks.2…4.attention"; "features.12" and "layer3.2" stay, a number alone says too little."""
    holder = next((word for word in HOLDERS if name.startswith(word)), "")
    parts = name.removeprefix("" if name.removeprefix(holder)[0].isdigit() else holder).split(".")
    if len(parts) > 1 and parts[1].startswith(f"{parts[0]}-"):  # a regnet's "block3.block3-12"
        parts = parts[1:]
    if len(".".join(parts)) <= LONGEST_CUT or len(parts) < 3:
        return ".".join(parts)
    inner = [part for part in parts[2:-1] if part.isdigit()]
    start, end = ".".join(parts[:2]) + "…" + "".join(f"{part}." for part in inner), parts[-1].lstrip("_")
    while len(start + end) > LONGEST_CUT and "_" in end:
        end = end.partition("_")[2]
    return start + end


def _lies_in(qual: str, outer: str) -> bool:
    return qual == outer or qual.startswith(outer + ".")


def _times(count: int, cls: str) -> str:
    """6 BasicBlocks, 1 convolution."""
    word = "convolution" if cls == "Conv2d" else cls.lstrip("_")
    return f"{count} {word}" + ("s" if count > 1 else "")


def _word(group: str) -> str:
    """ "body-early" -> "early"."""
    return group.removeprefix("body-")
