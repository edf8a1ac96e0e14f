"""Records as a tree: rows in pre-order, each with the sums of everything below it, repeats folded into one row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby, takewhile
from typing import NamedTuple

from explorer.trace.records import EARLY, HEAD, LATE, MIXED, Layer, Shape, Trace
from explorer.views.measures import MEASURES, Measure
from explorer.views.numbers import shape, short
from explorer.views.stages import resolution

GROUPS = (EARLY, LATE, HEAD, MIXED)
COLUMNS = ("depth", "part", "index", "name", "cls", "shape", "params", "macs", "bytes", "group", "flags", "early")
OPEN, FOLD, FROZEN, FAILED, KIDS = 1, 2, 4, 8, 16
NEVER = 10**9
ALIKE = 5  # so many siblings of one structure fold into a row even where their sizes differ
SHORT_CLASSES = {"BatchNorm2d": "BN", "Conv2d": "Conv", "MaxPool2d": "MaxPool", "AvgPool2d": "AvgPool"}


class Node(NamedTuple):
    """A module with its children and the sums over itself and everything below.

    early    what its early group has of the chosen measure, from which a mixed row's two colours follow
    weights  parameters outside normalisation layers; `learning` of them learn: norms learn even in a frozen group
    group    of all its parameters; "mixed" when they are not in one
    kind     equal for nodes of the same structure, shapes and sizes, down to the leaves
    form     equal for nodes of the same structure at one resolution, whatever their channels
    """

    layer: Layer
    kids: tuple[Node, ...]
    params: int
    trainable: int
    macs: int
    activation_bytes: int
    early: int
    weights: int
    learning: int
    group: str
    kind: int
    form: int

    @property
    def part(self) -> str:
        """Its name in its parent, "1" of "0.4.1"."""
        return self.layer.qual.rpartition(".")[2]

    @property
    def frozen(self) -> bool:
        """True when nothing in it learns but, at most, its normalisation layers."""
        return self.learning == 0 if self.weights else self.params > 0 and self.trainable == 0


class Row(NamedTuple):
    """A line of the tree: a module, or a fold that stands for several siblings.

    part     its name in the parent: "1", "conv1"; of a fold the range, "1–5"
    index    its number for people: "4", "0–3", "6.1–5"; "" for what is called by name
    name     what the architecture calls it; "" for what has only a number
    cls      class and detail in one: "Dropout 0.25", "BasicBlock ×5"
    early    share of the early group in the chosen measure, for mixed rows
    flags    OPEN by default, FOLD, FROZEN, FAILED, KIDS, added up
    again    all below it is as below the sibling before it
    """

    depth: int
    part: str
    index: str
    name: str
    cls: str
    out_shape: Shape | None
    params: int
    macs: int
    activation_bytes: int
    group: str
    early: float
    flags: int
    again: bool = False


def tree(trace: Trace, measure: Measure = MEASURES["params"]) -> dict:
    """The payload of `Explorer.tree`: short arrays under one header, class texts said once.

    {"columns", "classes", "groups", "rows": [[depth, part, …, flags(, early)]], "measure": [column, title], "total",
    "failure": {"qual", "reason"} | None}. A row's qualified name is its parts joined from the root, folds left out.
    A row of [depth, part, index, name] alone is otherwise as the sibling before it, and so is all below it.
    """
    classes: dict[str, int] = {}
    rows = []
    for row in _once(tree_rows(trace, measure)):
        if row.again:
            rows.append([row.depth, row.part, row.index, row.name])
            continue
        values = [
            row.depth, row.part, row.index, row.name, classes.setdefault(row.cls, len(classes)), row.out_shape,
            row.params, row.macs, row.activation_bytes, GROUPS.index(row.group), row.flags,
        ]  # fmt: skip
        rows.append(values + [round(row.early, 4)] if row.group == MIXED else values)
    failure = trace.failure and {"qual": trace.failure.qual, "reason": trace.failure.reason}
    return {
        "columns": COLUMNS,
        "classes": list(classes),
        "groups": GROUPS,
        "rows": rows,
        "measure": [measure.column, measure.title],
        "total": getattr(trace.totals, measure.field),
        "failure": failure,
    }


def _once(rows: Iterable[Row]) -> Iterator[Row]:
    """Rows without those below a row that is `again`."""
    told = NEVER
    for row in rows:
        if row.depth > told:
            continue
        told = row.depth if row.again else NEVER
        yield row


def tree_text(trace: Trace) -> str:
    """The same tree as lines of text; of folded repeats the first one's inside is told."""
    lines = [("name", "class", "out shape", "params", "")]
    for row in tree_rows(trace, each=False):
        label = "  " * row.depth + " ".join(filter(None, (row.index, row.name)))
        mark = "failed" if row.flags & FAILED else "frozen" if row.flags & FROZEN else ""
        lines.append((label, row.cls, shape(row.out_shape), short(row.params) if row.params else "", mark))
    wide = [max(len(line[k]) for line in lines) for k in range(4)]
    text = [
        f"{name:<{wide[0]}}  {cls:<{wide[1]}}  {out:<{wide[2]}}  {params:>{wide[3]}}  {mark}".rstrip()
        for name, cls, out, params, mark in lines
    ]
    if trace.failure:
        text += ["", trace.failure.reason]
    return "\n".join(text) + "\n"


def tree_rows(trace: Trace, measure: Measure = MEASURES["params"], each: bool = True) -> tuple[Row, ...]:
    """All rows in pre-order. `each` gives every member of a folded repeat, otherwise only the first one's inside."""
    failed = trace.failure.qual if trace.failure else None
    roots = grow(trace, measure)
    rows = (row for root in roots for row in _walk(root, 0, failed, each, True, root.layer.group != HEAD))
    return tuple(_with_early_share(row, measure) if row.group == MIXED else row for row in rows)


def _with_early_share(row: Row, measure: Measure) -> Row:
    return row._replace(early=row.early / (getattr(row, measure.field) or 1))


def grow(trace: Trace, measure: Measure = MEASURES["params"]) -> tuple[Node, ...]:
    """Rows to trees, from the last row to the first, so that every child is whole before its parent is made."""
    kids: dict[str, list[Node]] = defaultdict(list)
    kinds: dict[tuple, int] = {}
    failed = trace.failure.qual if trace.failure else None
    for layer in reversed(trace.layers):
        below = tuple(reversed(kids.pop(layer.qual, ())))
        kids[layer.qual.rpartition(".")[0]].append(_node(layer, below, kinds, layer.qual == failed, measure))
    return tuple(reversed(kids[""]))


def _node(layer: Layer, kids: tuple[Node, ...], kinds: dict[tuple, int], failed: bool, measure: Measure) -> Node:
    looks = (
        layer.cls, layer.detail, layer.in_shape, layer.out_shape, layer.params, layer.trainable, layer.group, failed,
        tuple((kid.part, kid.kind) for kid in kids),
    )  # fmt: skip
    side = resolution(layer.out_shape) if kids else None
    structure = (layer.cls, layer.group, failed, side, tuple((kid.part, kid.form) for kid in kids))
    params, trainable, macs, held = layer.params, layer.trainable, layer.macs, layer.activation_bytes
    early = getattr(layer, measure.field) if layer.group == EARLY else 0
    weights, learning = (0, 0) if layer.norm else (params, trainable)
    for kid in kids:
        params += kid.params
        trainable += kid.trainable
        macs += kid.macs
        held += kid.activation_bytes
        early += kid.early
        weights += kid.weights
        learning += kid.learning
    kind, form = (kinds.setdefault(key, len(kinds)) for key in (looks, structure))
    return Node(layer, kids, params, trainable, macs, held, early, weights, learning, layer.group, kind, form)


def _together(run: tuple[Node, ...]) -> Node:
    """Siblings as one: their sums, what the last one hands on."""
    sums = [sum(column) for column in zip(*(node[2:9] for node in run), strict=True)]
    groups = {node.group for node in run}
    return Node(run[-1].layer, run, *sums, group=groups.pop() if len(groups) == 1 else MIXED, kind=-1, form=-1)


def _walk(
    node: Node, depth: int, failed: str | None, each: bool, alone: bool, first: bool, again: bool = False
) -> Iterator[Row]:
    """A node's row, then its children's, runs of them folded.

    alone  there is no other to look into: unfolded from the start
    first  it holds the input's end of the body, where the stem is
    again  the sibling before it is of the same kind, and its row stands at the same depth
    """
    yield _module_row(node, depth, failed, opened=alone)._replace(again=again)
    before = None
    for run in _runs(node.kids, first, each):
        inner = depth + 1
        if len(run) == 1:
            only = alone and run[0] is _lone(node)
            again = before is not None and before.kind == run[0].kind
            yield from _walk(run[0], inner, failed, each, only, first and run[0] is node.kids[0], again)
            before = run[0]
            continue
        before = None
        repeats = run[0].form == run[1].form
        yield _fold_row(run, inner, repeats)
        members = run[0].kids if repeats and not each else run
        for k, member in enumerate(members):
            again = k > 0 and member.kind == members[k - 1].kind
            yield from _walk(member, inner + 1, failed, each, False, False, again)


def _lone(node: Node) -> Node | None:
    """The only child, or in the body the only one with something inside."""
    inside = [kid for kid in node.kids if kid.kids] if node.layer.group != HEAD else []
    lone = node.kids if len(node.kids) == 1 else inside
    return lone[0] if len(lone) == 1 else None


def _runs(kids: tuple[Node, ...], first: bool, each: bool) -> list[tuple[Node, ...]]:
    """Children side by side that share one row: the stem's layers, and neighbours of the same kind.

    Where all children are of one kind, their parent's row already says so: no fold, unless the text is to be short.
    Many of one structure fold together even where their sizes differ, as in a dense block.
    """
    stem = tuple(takewhile(lambda kid: not kid.layer.container, kids)) if first else ()
    runs = [stem] if 2 <= len(stem) < len(kids) else []
    rest = kids[len(stem) :] if runs else kids
    for _, alike in groupby(rest, key=lambda kid: kid.form):
        siblings = tuple(alike)
        if len(siblings) >= ALIKE and siblings[0].layer.container and not _same(siblings):
            runs.append(siblings)
            continue
        for _, same in groupby(siblings, key=lambda kid: kid.kind):
            run = tuple(same)
            apart = not run[0].layer.container or (each and len(run) == len(kids))
            runs += [(kid,) for kid in run] if apart else [run]
    return runs


def _same(run: tuple[Node, ...]) -> bool:
    return all(node.kind == run[0].kind for node in run)


def _difference(run: tuple[Node, ...]) -> str:
    """What sets siblings of one structure apart, from the first to the last: "in 256–2,160 channels"; "" if nothing."""
    first, last = run[0].layer, run[-1].layer
    if first.in_shape and last.in_shape and first.in_shape != last.in_shape:
        if first.in_shape[1:] == last.in_shape[1:]:
            return f"in {first.in_shape[0]:,}–{last.in_shape[0]:,} channels"
        return f"in {shape(first.in_shape)} to {shape(last.in_shape)}"
    if first.detail != last.detail:
        return f"{first.detail} to {last.detail}"
    inner = (_difference(pair) for pair in zip(run[0].kids, run[-1].kids, strict=True))
    return next(filter(None, inner), "")


def _module_row(node: Node, depth: int, failed: str | None, opened: bool) -> Row:
    qual, part, name = node.layer.qual, node.part, node.layer.name
    flags = OPEN * (opened and bool(node.kids)) + FAILED * (qual == failed)
    name = "" if name == part and name.isdigit() else name
    return _row(node, depth, part, _index(qual), name, _class_text(node), flags)


def _fold_row(run: tuple[Node, ...], depth: int, repeats: bool) -> Row:
    part = f"{run[0].part}–{run[-1].part}"
    index = _index(f"{run[0].layer.qual.rpartition('.')[0]}.{part}")
    if repeats:
        name = "" if index else _span(run[0].part, run[-1].part)
        cls = ", ".join(filter(None, (f"{run[0].layer.cls} ×{len(run)}", _difference(run))))
    else:
        name, cls = "stem", ", ".join(SHORT_CLASSES.get(node.layer.cls, node.layer.cls) for node in run)
    return _row(_together(run), depth, part, index, name, cls, FOLD)


def _row(node: Node, depth: int, part: str, index: str, name: str, cls: str, flags: int) -> Row:
    return Row(
        depth,
        part,
        index,
        name,
        cls,
        _out_shape(node),
        node.params,
        node.macs,
        node.activation_bytes,
        node.group,
        early=node.early,
        flags=flags + FROZEN * node.frozen + KIDS * bool(node.kids),
    )


def _out_shape(node: Node) -> Shape | None:
    """What comes out; of a list of modules, which is never called itself, what its last entry gives."""
    if node.layer.out_shape is None and node.layer.cls == "ModuleList" and node.kids:
        return _out_shape(node.kids[-1])
    return node.layer.out_shape


def _span(first: str, last: str) -> str:
    """A range of siblings for people: "denselayer1" to "denselayer6" is "denselayer1–6"."""
    word = first.rstrip("0123456789")
    return f"{first}–{last.removeprefix(word) or last}"


def _index(qual: str) -> str:
    """The number that people read: a child's own, and below a numbered child of the body both, "6.1–5"."""
    *outer, own = qual.split(".")
    if not own[0].isdigit():
        return ""
    return f"{outer[1]}.{own}" if len(outer) == 2 and outer[1].isdigit() else own


def _class_text(node: Node) -> str:
    """Class and detail: "Dropout 0.25", "Conv2d 3×3, stride 2", "BasicBlock, stride 2", "BasicBlock ×6"."""
    layer = node.layer
    inner = {kid.layer.cls for kid in node.kids if kid.layer.container}
    if layer.cls == "Sequential" and len(inner) == 1 and all(kid.layer.container for kid in node.kids):
        return f"{inner.pop()} ×{len(node.kids)}" if len(node.kids) > 1 else layer.cls
    if layer.container:
        detail = layer.detail or ("stride 2" if layer.cls != "Sequential" and _halves(layer) else "")
        return f"{layer.cls}, {detail}" if detail else layer.cls
    return f"{layer.cls} {layer.detail.removeprefix('p ')}".rstrip()


def _halves(layer: Layer) -> bool:
    """True when the picture leaves with half its side."""
    before, after = layer.in_shape, layer.out_shape
    return bool(before and after and len(before) == len(after) == 3 and after[1] == -(-before[1] // 2) != before[1])
