"""The ribbon: a traced classifier as stages, cut, head and groups, in the plain values that assets/ribbon.js draws.

Stages, read from the rows of the trace: the parts are the body's children, or the children of its only child where
there is one ("features" of a vgg, squeezenet, densenet, alexnet).

* A container of containers ("layer1", "denseblock1") is a stage, its children are the slabs. A single block right
  before it that no other follows (a densenet's transition) is its first slab.
* Single blocks of one class (Fire) in a row form a stage, a slab each.
* Other layers (conv, batch norm, ReLU, pool) in a row form a stage, a slab for each convolution.
* A pooling layer closes the stage it follows. The shape shown is the one before it: what the stage sees at its finest.
* What is no convolution and stands alone (a densenet's last batch norm) belongs to the stage before it.
* A stage that spans two parameter groups is divided between two of its slabs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import PurePath
from typing import Protocol

from explorer.spec import ClassifierSpec
from explorer.trace.records import EARLY, HEAD, LATE, MIXED, Dropped, Failure, Layer, Shape, Trace, inside
from explorer.views.groups import NAMES as GROUP_NAMES
from explorer.views.numbers import rate, shape, short

IMAGENET_CLASSES = 1000
PLAIN = {"Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "AvgPool2d", "Dropout"}
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


@dataclass(frozen=True)
class Item:
    """One part of the body with all rows below it, its own first; `name` is its dotted name in the architecture."""

    name: str
    rows: tuple[Layer, ...]

    @property
    def row(self) -> Layer:
        return self.rows[0]

    @property
    def blocks(self) -> tuple[Layer, ...]:
        """The children, where all of them are containers; none for a block."""
        children = [row for row in self.rows if row.depth == self.row.depth + 1]
        return tuple(children) if children and all(child.container for child in children) else ()

    @property
    def slabs(self) -> int:
        if self.row.container:
            return len(self.blocks) or 1
        return int(self.row.cls.startswith("Conv"))

    @property
    def pools(self) -> bool:
        return self.row.cls.endswith("Pool2d")


@dataclass(frozen=True)
class Stage:
    """Items drawn as one group of slabs."""

    items: tuple[Item, ...]
    name: str = ""

    @property
    def rows(self) -> tuple[Layer, ...]:
        return tuple(row for item in self.items for row in item.rows)

    @property
    def shown(self) -> Item:
        """The item whose output the last slab shows: the last one before a closing pool."""
        return next((item for item in reversed(self.items) if not item.pools), self.items[-1])

    @property
    def main(self) -> Item:
        """The item that speaks for the stage: the container of blocks, else the first one with a slab."""
        stacks = [item for item in self.items if item.blocks]
        return next(iter(stacks), None) or next((item for item in self.items if item.slabs), self.items[0])

    @property
    def slabs(self) -> int:
        return max(1, sum(item.slabs for item in self.items))

    @property
    def blocks(self) -> int:
        return len(self.main.blocks) or self.slabs

    @property
    def behind(self) -> int:
        """How many layers without a slab follow its slabs."""
        return sum(not item.slabs for item in self.items)

    @property
    def group(self) -> str:
        return _group(self.main)


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
) -> dict:
    """What assets/ribbon.js draws, JSON of less than 8 kB.

    frozen, lrs  as in TrainSpec; `lrs` has a rate for each group there is, lowest first, or one for all
    weights      what is really in use where that is not what the spec asks for ("random" when offline)
    notice       a banner: {"kind": "offline" | "info", "title", "text", "actions": [{"id", "label"}]}
    photo        address of the picture that goes in
    loading      weights are on their way: the slabs pulse in grey
    """
    weights = weights or spec.body.weights or "random"
    stages = body_stages(trace)
    place = _current(spec, trace, cuts)
    groups = _groups(trace, frozen, lrs)
    frozen_groups = {group["group"] for group in groups if group["frozen"]}
    head = _head(spec, trace, cuts[place])
    behind = cut_name(cuts[place], stages)
    return {
        "arch": spec.body.arch,
        "size": spec.body.size,
        "n_out": spec.n_out,
        "headline": f"{spec.body.arch}, cut after {behind}, new head for {spec.n_out} {n_classes_word}",
        "subline": _subline(trace, weights),
        "input": {"shape": list(trace.in_shape), "say": f"photo, {shape(trace.in_shape)}"},
        "stages": [_stage(stage, trace.failure, frozen_groups) for stage in stages],
        "cuts": _cuts(cuts, place, stages, _children_of_network(trace)),
        "cut": place,
        "behind": behind,
        "dropped": _dropped(trace.dropped),
        "head": head,
        "groups": groups,
        "failure": _failure(trace.failure),
        "notice": notice,
        "photo": photo,
        "faces_key": _faces_key(spec, weights, trace.failure),
        "loading": loading,
    }


def ribbon_text(payload: dict) -> str:
    """The ribbon in words: a line for each thing one would see, left to right."""
    lines = [payload["headline"], payload["subline"], "", "Body", f"- {payload['input']['say']}"]
    lines += [f"- {stage['say']}" for stage in payload["stages"]]
    cut = payload["cuts"][payload["cut"]]
    lines += ["", f"Cut after {payload['behind']}" + (f", {cut['word']}" if cut["word"] != cut["name"] else "")]
    if payload["dropped"]:
        lines.append(f"- {payload['dropped']['words']}: {payload['dropped']['names']}")
    lines += ["", "Head"] + [f"- {layer['say']}" for layer in payload["head"]]
    lines += ["", "Groups"] + [f"- {group['words']}" for group in payload["groups"]]
    if payload["failure"]:
        lines += ["", f"Failed: {payload['failure']['title']}", payload["failure"]["text"]]
    return "\n".join(lines) + "\n"


# ---- the body ----


def body_stages(trace: Trace) -> tuple[Stage, ...]:
    """The body's stages, named, none of them across two groups."""
    items = body_items(trace.layers)
    mixed = any(item.row.container for item in items) or _blocks_behind(trace.dropped, nested="." in items[0].name)
    return _named([part for stage in _gather(items) for part in _divide(stage)], mixed)


def body_items(layers: tuple[Layer, ...]) -> tuple[Item, ...]:
    """The body's children, or those of its only child."""
    children = _below(layers, "0")
    prefix = ""
    if len(children) == 1 and children[0].container:
        prefix = children[0].name + "."
        children = _below(layers, children[0].qual)
    return tuple(Item(prefix + child.name, inside(layers, child.qual)) for child in children)


def _below(layers: Iterable[Layer], qual: str) -> list[Layer]:
    depth = qual.count(".") + 1
    return [row for row in layers if row.depth == depth and row.qual.startswith(qual + ".")]


def _gather(items: Iterable[Item]) -> Iterator[Stage]:
    """Items in a row become stages, by the rules at the head of this file."""
    done: list[list[Item]] = []
    current: list[Item] = []

    def close() -> None:
        nonlocal current
        if current:
            done.append(current)
        current = []

    for item in items:
        if item.blocks:
            if not (len(current) == 1 and current[0].row.container):
                close()
            current.append(item)
            close()
        elif item.row.container:
            if current and current[-1].row.cls != item.row.cls:
                close()
            current.append(item)
        elif not item.slabs and not current and done:
            done[-1].append(item)
        else:
            if item.slabs and any(other.row.container for other in current):
                close()
            current.append(item)
            if item.pools:
                close()
    close()
    return (Stage(tuple(stage)) for stage in done)


def _divide(stage: Stage) -> Iterator[Stage]:
    """The stage itself, or its parts where it spans groups: what has no slab stays with the slab before it."""
    owner, groups = None, []
    for item in stage.items:
        owner = item if item.slabs or owner is None else owner
        groups.append(_group(owner))
    for _, part in groupby(zip(groups, stage.items, strict=True), key=lambda pair: pair[0]):
        yield Stage(tuple(item for _, item in part))


def _group(item: Item) -> str:
    """An item's group; that of its last layer where it holds both."""
    return item.rows[-1].group if item.row.group == MIXED else item.row.group


def _named(stages: list[Stage], mixed: bool) -> tuple[Stage, ...]:
    """Stages with names: the container's own, "fire 2–3" by weighty parts counted from 1, "stem", or "block2"."""
    numbers = {item.name: i for i, item in enumerate((i for s in stages for i in s.items if i.slabs), start=1)}
    names, block = [], 0
    for k, stage in enumerate(stages):
        own, main = stage.main.row.name, stage.main.row
        weighty = [numbers[item.name] for item in stage.items if item.slabs]
        if main.container and own.isdigit():
            names.append(f"{main.cls.lower()} {_span(weighty)}")
        elif main.container:
            names.append(own)
        elif mixed:
            names.append("stem")
        else:
            divided = bool(k) and not stages[k - 1].items[-1].pools
            opens = k + 1 < len(stages) and not stage.items[-1].pools
            block += not divided
            names.append(f"block{block}" + ("b" if divided else "a" if opens else ""))
    return tuple(replace(stage, name=name) for stage, name in zip(stages, names, strict=True))


def _span(numbers: list[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}–{numbers[-1]}"


def _blocks_behind(dropped: tuple[Dropped, ...], nested: bool) -> bool:
    """Whether containers of features lie behind the cut: the network has blocks, though the body has none."""
    alike = [
        part for part in dropped if ("." in part.name) == nested and not part.cls.startswith(("Adaptive", "Linear"))
    ]
    return any(part.cls not in PLAIN for part in alike)


def _stage(stage: Stage, failure: Failure | None, frozen_groups: set[str]) -> dict:
    broken = _broken_slab(stage, failure)
    out = stage.shown.row.out_shape
    state = "failed" if broken is not None else "ok" if out else "unknown"
    params, macs = sum(row.params for row in stage.rows), sum(row.macs for row in stage.rows)
    what = _times(stage.blocks, stage.main.blocks[0].cls if stage.main.blocks else stage.main.row.cls)
    group = _word(stage.group)
    return {
        "name": stage.name,
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


# ---- the cut ----


def cut_name(cut: Place, stages: Sequence[Stage]) -> str:
    """What the cut lies behind, in words: "layer4", "denseblock3", "features.12"; the last stage of a whole body."""
    if cut.index is not None and "." in stages[0].items[0].name:
        return stages[-1].name
    return _without_prefix(cut.name)


def _current(spec: ClassifierSpec, trace: Trace, cuts: Sequence[Place]) -> int:
    """Which of the legal cuts this body has: the one it is named after, or the one that keeps as many children."""
    kept = len(_below(trace.layers, "0"))
    for i, cut in enumerate(cuts):
        if cut.name == spec.body.cut or (not isinstance(spec.body.cut, str) and cut.index == kept):
            return i
    return _deepest(trace, cuts)


def _deepest(trace: Trace, cuts: Sequence[Place]) -> int:
    """The last legal cut whose module is still in the body, for a cut that goes by another of its names."""
    names = {name for item in body_items(trace.layers) for name in (item.name, *_inner_names(item))}
    return max((i for i, cut in enumerate(cuts) if cut.name in names), default=len(cuts) - 1)


def _inner_names(item: Item) -> Iterator[str]:
    return (f"{item.name}.{block.name}" for block in item.blocks)


def _children_of_network(trace: Trace) -> int:
    """Direct children of the whole network: those that stay and those behind the cut."""
    return len(_below(trace.layers, "0")) + sum("." not in part.name for part in trace.dropped)


def _cuts(cuts: Sequence[Place], current: int, stages: Sequence[Stage], children: int) -> list[dict]:
    """Legal cuts: `at` says where in the picture those of the body lie, stage and share of its slabs (2.5 is halfway
    through the third stage); those behind the cut bring the shape they have at 224 px and the share they would keep."""
    places = _places(stages)
    rows = []
    for i, cut in enumerate(cuts):
        row = {"name": cut.name, "word": cut.name if cut.index is None else f"−{children - cut.index}"}
        if i > current:
            row |= {"shape": list(cut.out_shape), "keep": round(cut.share, 3)}
        else:
            row["at"] = len(stages) if i == current else round(places.get(cut.name, len(stages)), 3)
        rows.append(row)
    return rows


def _places(stages: Sequence[Stage]) -> dict[str, float]:
    """Where each part of the body ends, in stages: a slab of a block counts 1, a layer behind the blocks a half; where
    a stage has no blocks, each layer counts the same."""
    places = {}
    for i, stage in enumerate(stages):
        done, total = 0.0, stage.slabs + stage.behind / 2 if stage.main.row.container else len(stage.items)
        for item in stage.items:
            for k, block in enumerate(item.blocks, start=1):
                places[f"{item.name}.{block.name}"] = i + min(1, (done + k) / total)
            done += (item.slabs or 0.5) if stage.main.row.container else 1
            places[item.name] = i + done / total
    return places


def _dropped(parts: tuple[Dropped, ...]) -> dict | None:
    """What the cut throws away, in words; the last part ends in the classes of ImageNet."""
    if not parts:
        return None
    names = [_without_prefix(part.name) for part in parts]
    names[-1] += f" {IMAGENET_CLASSES}"
    listed = ", ".join(names) if len(names) <= 4 else f"{names[0]} … {names[-1]}"
    return {"names": listed, "words": f"thrown away, {weights_words(sum(part.params for part in parts))}"}


# ---- the head, groups, words ----


def _head(spec: ClassifierSpec, trace: Trace, cut: Place) -> list[dict]:
    """A rod for each layer of the head; widths follow from the spec, so they are known where no run came."""
    width = cut.out_shape[0] * (2 if spec.head.pool == "concat" else 1)
    widths = iter((*spec.head.widths, spec.n_out))
    rows = _below(trace.layers, "1")
    last = max((i for i, row in enumerate(rows) if row.cls == "Linear"), default=-1)
    rods = []
    for i, row in enumerate(rows):
        kind, name = HEAD_NAMES.get(row.cls, ("other", row.cls))
        width = next(widths, width) if kind == "lin" else width
        here = trace.failure is not None and _lies_in(trace.failure.qual, row.qual)
        state = "failed" if here else "ok" if row.out_shape else "unknown"
        below = inside(trace.layers, row.qual)
        out = shape(row.out_shape) if state == "ok" else "?"
        rods.append(
            {
                "qual": row.qual,
                "kind": "out" if i == last else kind,
                "name": name,
                "width": width,
                "state": state,
                "params": sum(r.params for r in below),
                "macs": sum(r.macs for r in below),
                "detail": row.detail,
                "say": f"{name}{', ' + row.detail if row.detail else ''}: {out}"
                + (f", {short(sum(r.params for r in below))} parameters" if row.params else "")
                + (", fails here" if here else ""),
            }
        )
    return rods


def _groups(trace: Trace, frozen: bool | int, lrs: float | Sequence[float] | None) -> list[dict]:
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
                "words": f"{GROUP_NAMES[name]}: {doing + ', ' if doing else ''}{params}",
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


def _subline(trace: Trace, weights: str) -> str:
    body = weights_words(sum(row.params for row in trace.layers if row.group in (EARLY, LATE)))
    new = weights_words(sum(row.params for row in trace.layers if row.group == HEAD))
    if weights == "random":
        return f"{body} random weights"
    borrowed = "borrowed weights" if weights == "imagenet" else f"weights from {PurePath(weights).name}"
    return f"{body} {borrowed}, {new} new ones"


def weights_words(n: int) -> str:
    """A count of weights beside others: 546304 -> "0.55 M", 21284672 -> "21.3 M", 9536 -> "9,536"."""
    return f"{n / 1e6:.2f} M" if 1e5 <= n < 1e6 else short(n)


def _failure(failure: Failure | None) -> dict | None:
    """The card above the picture, and the few words below the layer that broke."""
    if failure is None:
        return None
    return {
        "qual": failure.qual,
        "title": f"The model stops at {failure.name}, {failure.cls}",
        "text": failure.reason,
        "words": _clash(failure.got, failure.needed),
        "fix": failure.fix.label if failure.fix else None,
    }


def _clash(got: str, needed: str) -> str:
    """ "512", "1024 features" -> "512 ≠ 1024"; "256×3×3", "at least 7×7 px" -> "3×3 < 7×7"."""
    sizes = [re.search(r"\d+(?:×\d+)*", words) for words in (got, needed)]
    if None in sizes:
        return "fails"
    has, wants = (size.group() for size in sizes)
    least = "at least" in needed
    if wants.count("×") == 1 and has.count("×") == 2:
        has = has.partition("×")[2]
    return f"{has} {'<' if least else '≠'} {wants}"


def _faces_key(spec: ClassifierSpec, weights: str, failure: Failure | None) -> list | None:
    """What the pictures of the slabs depend on; None where the body does not run."""
    if failure is not None and _lies_in(failure.qual, "0"):
        return None
    return [spec.body.arch, weights, spec.body.size, spec.body.cut, spec.body.n_in]


def _without_prefix(name: str) -> str:
    """ "features.denseblock2" -> "denseblock2"; "features.12" and "layer3.2" stay, a number alone says too little."""
    last = name.partition(".")[2]
    return last if last and not last[0].isdigit() else name


def _lies_in(qual: str, outer: str) -> bool:
    return qual == outer or qual.startswith(outer + ".")


def _times(count: int, cls: str) -> str:
    """6 BasicBlocks, 1 convolution."""
    word = "convolution" if cls == "Conv2d" else cls.lstrip("_")
    return f"{count} {word}" + ("s" if count > 1 else "")


def _word(group: str) -> str:
    """ "body-early" -> "early"."""
    return group.removeprefix("body-")
