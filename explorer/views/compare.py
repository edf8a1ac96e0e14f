"""Two designs side by side: totals with differences, the fields that differ, and their layers aligned.

A is the pinned design, B the one that follows the controls; every difference is read from A to B.

Layers are aligned level by level, from body and head down. Within a level the children of both sides are matched in
order so that the sum of likenesses is largest (Needleman and Wunsch, 1970); what finds no partner is in one design
only. Parts whose insides are the same to the last leaf are equal and are not looked into.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import groupby
from typing import NamedTuple

from explorer.spec import ClassifierSpec, TrainSpec, count_frozen, size_text
from explorer.trace.records import EARLY, HEAD, LATE, MIXED, Layer, Trace, groups_of
from explorer.views.numbers import megabytes, rate, shape, short
from explorer.views.tree import Node, grow

EQUAL, CHANGED, GONE, ADDED = "=", "≠", "−", "+"
GROUPS = (EARLY, LATE, HEAD, MIXED)
COLUMNS = ("depth", "state", "name", "cls", "shape", "params", "group", "count", "open", "qual")
COUNTED = {EQUAL: "equal", CHANGED: "changed", GONE: "gone", ADDED: "added"}
LEAST_FOLDED = {EQUAL: 2, GONE: 4, ADDED: 4, CHANGED: 10**9}
"""From how many neighbours on one row stands for all; changed ones each have their own."""
FRAME_SHARE = 0.9
"""A child with more than this share of the body's parameters is a frame around it ("features")."""


@dataclass(frozen=True)
class Design:
    """One side of a comparison; `behind` is where it is cut, in words, as the ribbon's payload has it ("layer4")."""

    spec: ClassifierSpec
    trace: Trace
    behind: str
    train: TrainSpec = TrainSpec()


class Part(NamedTuple):
    """A module with its children. `kind` is equal for parts that are the same inside, whatever they are called;
    `leaves` counts the layers in it."""

    node: Node
    kids: tuple[Part, ...]
    kind: int
    leaves: int

    @property
    def layer(self) -> Layer:
        return self.node.layer


class Row(NamedTuple):
    """A line of the diff. Cells hold one text, or two where the sides differ: ("64×56×56", "64×80×80").

    state  EQUAL, CHANGED, GONE (only in A), ADDED (only in B)
    count  layers that a fold of neighbours stands for; 0 for a module
    open   whether it is unfolded at first
    qual   the module's name in B, "" where B has none and for folds
    """

    depth: int
    state: str
    name: str | tuple[str, str]
    cls: str | tuple[str, str]
    shape: str | tuple[str, str]
    params: str | tuple[str, str]
    group: str
    count: int = 0
    open: bool = False
    qual: str = ""


Pair = tuple["Part | None", "Part | None"]


def compare(a: Design, b: Design) -> dict:
    """The payload of `Explorer.compare`, words ready to be shown.

    {"a", "b": title of each side, "totals": [{"label", "a", "b", "shares": [of the larger one], "diff", "ratio",
    "way": -1 | 0 | 1 | None, "exact"}], "fields", "train": [[label, in A, in B]], "same": sentence,
    "counts": {"equal", "changed", "gone", "added"} of layers, "summary": sentence,
    "columns", "words", "groups", "rows": [[depth, state, name, …, qual]]}.

    A cell of a row is a place in `words`, or two of them, A's and B's. Rows stand in pre-order.
    """
    rows, counts = layer_rows(a.trace, b.trace)
    design = _differing(FIELDS, a, b)
    training = _differing(TRAIN_FIELDS, a, b)
    return {
        "a": title(a),
        "b": title(b),
        "totals": totals(a.trace, b.trace),
        "fields": design,
        "train": training,
        "same": _same_words(len(design) + len(training), len(FIELDS) + len(TRAIN_FIELDS)),
        "counts": counts,
        "summary": _summary(counts),
        **_packed(rows),
    }


def title(design: Design) -> str:
    """ "resnet34, cut after layer4"."""
    return f"{design.spec.body.arch}, cut after {design.behind}"


def compare_text(payload: dict) -> str:
    """The comparison as lines of text, with every layer that differs and folds of those that do not."""
    lines = [f"A  {payload['a']}", f"B  {payload['b']}", ""]
    lines += _columns([("", "A", "B", "difference")] + [_total_line(row) for row in payload["totals"]])
    differing = payload["fields"] + payload["train"]
    lines += ["", *_columns([("", "A", "B"), *map(tuple, differing)])] if differing else [""]
    lines += [payload["same"], "", payload["summary"], ""]
    words = payload["words"]
    cell = dict(zip(payload["columns"], range(len(payload["columns"])), strict=True))

    def text(value: int | list[int]) -> str:
        return " → ".join(words[i] for i in value) if isinstance(value, list) else words[value]

    inside_of_equal = None
    table = [("", "name", "class", "out shape", "params")]
    for row in payload["rows"]:
        depth, state = row[cell["depth"]], row[cell["state"]]
        if inside_of_equal is not None and depth > inside_of_equal:
            continue
        inside_of_equal = None if state == CHANGED else depth
        name = "  " * depth + text(row[cell["name"]])
        table.append((state, name, *(text(row[cell[key]]) for key in ("cls", "shape", "params"))))
    return "\n".join(lines + _columns(table)) + "\n"


def _total_line(row: dict) -> tuple[str, str, str, str]:
    return row["label"], row["a"], row["b"], f"{row['diff']} {row['ratio']}".strip()


def _columns(table: Sequence[tuple[str, ...]]) -> list[str]:
    wide = [max(len(line[k]) for line in table) for k in range(len(table[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, wide, strict=True)).rstrip() for line in table]


# ---- totals ----


def totals(a: Trace, b: Trace) -> list[dict]:
    """A row for each sum, with its difference from A to B; what a model that fails would compute is not known."""

    def count(n: float) -> str:
        return f"{n:,.0f}"

    def size(n: float) -> str:
        return f"{n:,.0f} bytes"

    runs_a, runs_b = a.failure is None, b.failure is None
    return [
        _total("parameters", a.totals.params, b.totals.params, short, count),
        _total("trainable", a.totals.trainable, b.totals.trainable, short, count),
        _total("MACs", a.totals.macs if runs_a else None, b.totals.macs if runs_b else None, short, count),
        _total(
            "activations",
            a.totals.activation_bytes if runs_a else None,
            b.totals.activation_bytes if runs_b else None,
            _memory,
            size,
        ),
        _total("layers", _count_layers(a), _count_layers(b), short, count),
    ]


def _memory(n: float) -> str:
    """Bytes as the page writes them; what would be 0.0 MB in kB."""
    return megabytes(n) if n >= 1e5 or not n else f"{n / 1e3:.1f} kB"


def _count_layers(trace: Trace) -> int:
    return sum(not layer.container for layer in trace.layers)


def _total(
    label: str, a: int | None, b: int | None, write: Callable[[float], str], exactly: Callable[[float], str]
) -> dict:
    most = max(a or 0, b or 0)
    words = ["?" if n is None else write(n) for n in (a, b)]
    known = a is not None and b is not None
    return {
        "label": label,
        "a": words[0],
        "b": words[1],
        "shares": [round((n or 0) / most, 4) if most else 0 for n in (a, b)],
        "diff": difference(a, b, write) if known else "not known",
        "ratio": ratio(a, b) if known else "",
        "way": (b > a) - (b < a) if known else None,
        "exact": " → ".join("not known" if n is None else exactly(n) for n in (a, b)),
    }


def difference(a: int, b: int, write: Callable[[float], str] = short) -> str:
    """How B differs from A, signed: (21.8 M, 23.5 M) -> "+1.7 M"; "the same" where it does not."""
    return "the same" if a == b else ("+" if b > a else "−") + write(abs(b - a))


def ratio(a: int, b: int) -> str:
    """The same as a share of A, "+8.1 %", or as a multiple from ten on, "×12"; "" where there is nothing to say."""
    if a == b or not a:
        return ""
    if b >= 10 * a:
        return f"×{b / a:,.0f}"
    percent = 100 * abs(b - a) / a
    if percent < 0.05:
        return "< 0.1 %"
    words = f"{percent:.1f}" if percent < 9.95 else f"{percent:.0f}"
    return f"{'+' if b > a else '−'}{words} %"


# ---- fields ----


@dataclass(frozen=True)
class Field:
    """A control of the page: its words, the dotted place of its value, and the value in words."""

    label: str
    place: str
    words: Callable[[object], str]


def _choice(**names: str) -> Callable[[object], str]:
    return lambda value: names.get(str(value), str(value))


def _switch(value: object) -> str:
    return "on" if value else "off"


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value:,}"


def _each(value: object) -> str:
    """ "0.5", or "0.25, 0.5" layer by layer."""
    return ", ".join(map(_number, value)) if isinstance(value, tuple) else _number(value)


def _range(value: object) -> str:
    return "none" if value is None else "{:g} to {:g}".format(*value)


def _rates(value: object) -> str:
    return "the usual ones" if value is None else ", ".join(map(rate, value))


def _weights(value: object) -> str:
    named = {"imagenet": "ImageNet", "random": "random", None: "random"}
    return named[value] if value in named else _last(str(value))


def _data(value: object) -> str:
    kind, colon, path = str(value).partition(":")
    return f"{kind} {_last(path)}" if colon else kind


def _last(path: str) -> str:
    """A path's last part, on any system."""
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1]


_kind = _choice(one_cycle="one-cycle", fine_tune="fine-tune")

FIELDS = (
    Field("Body", "body.arch", str),
    Field("Weights", "body.weights", _weights),
    Field("Image size", "body.size", lambda size: f"{size_text(size)} px"),
    Field("Cut", "body.cut", str),
    Field("Pooling", "head.pool", _choice(concat="concat", avg="average", max="max")),
    Field("Head layers", "head.lin_ftrs", str),
    Field("Outputs", "n_out", _number),
    Field("Dropout", "head.ps", _each),
    Field("first_bn", "head.first_bn", _switch),
    Field("bn_final", "head.bn_final", _switch),
    Field("lin_first", "head.lin_first", _switch),
    Field("y_range", "head.y_range", _range),
    Field("Input channels", "body.n_in", str),
)
TRAIN_FIELDS = (
    Field("Data", "train.data", _data),
    Field("Drawn set", "train.data_size", str),
    Field("Difficulty", "train.difficulty", _number),
    Field("Augmentation", "train.augment", str),
    Field("Held back", "train.valid_pct", lambda share: f"{100 * share:.0f} %"),
    Field("Schedule", "train.schedule", _kind),
    Field("Epochs", "train.epochs", _number),
    Field("Frozen epochs", "train.freeze_epochs", _number),
    Field("Rate", "train.lr", rate),
    Field("Rates of groups", "train.lrs", _rates),
    Field("Frozen groups", "train.frozen", str),
    Field("train_bn", "train.train_bn", _switch),
    Field("Batch", "train.batch_size", _number),
    Field("Weight decay", "train.wd", _number),
    Field("Seed", "train.seed", str),
)


def _differing(fields: Sequence[Field], a: Design, b: Design) -> list[list[str]]:
    """[label, in A, in B] of the fields that read differently."""
    rows = [[field.label, _words(field, a, b), _words(field, b, a)] for field in fields]
    return [row for row in rows if row[1] != row[2]]


def _words(field: Field, design: Design, other: Design) -> str:
    """A field's value in words; some values say too little without the design around them."""
    spec = design.spec
    if field.place == "body.cut":
        own = spec.body.cut is None and other.spec.body.cut is None
        return "the body's own" if own else f"after {design.behind}"
    if field.place == "head.lin_ftrs":
        return " · ".join(map(str, spec.head.widths)) or "none"
    if field.place == "head.pool":
        return "none" if spec.head.pool is None else field.words(spec.head.pool)
    if field.place == "train.frozen":
        count = len(groups_of(design.trace))
        return f"{min(count_frozen(design.train.frozen, count), count)} of {count}"
    return field.words(reduce(getattr, field.place.split("."), design if field.place.startswith("train.") else spec))


def _same_words(differ: int, of: int) -> str:
    same = of - differ
    if not differ:
        return "All knobs are the same."
    return f"{same} other knob{' is' if same == 1 else 's are'} the same."


# ---- layers ----


def layer_rows(a: Trace, b: Trace) -> tuple[tuple[Row, ...], dict[str, int]]:
    """Both models' layers aligned, and how many layers are equal, changed, in A or in B only."""
    kinds: dict[tuple, int] = {}
    roots_a, roots_b = ([_part(root, kinds) for root in grow(trace)] for trace in (a, b))
    for i, (one, other) in enumerate(zip(roots_a, roots_b, strict=False)):
        roots_a[i], roots_b[i] = _without_frame(one, other), _without_frame(other, one)
    counts = {"equal": 0, "changed": 0, "gone": 0, "added": 0}
    rows = [row for pair in align(roots_a, roots_b) for row in _pair_rows(pair, 0, True, counts)]
    return tuple(rows), counts


def _part(node: Node, kinds: dict[tuple, int]) -> Part:
    kids = tuple(_part(kid, kinds) for kid in node.kids)
    layer = node.layer
    looks = (
        layer.cls, layer.detail, layer.in_shape, layer.out_shape, layer.params, tuple(kid.kind for kid in kids),
    )  # fmt: skip
    leaves = sum(kid.leaves for kid in kids) if kids else int(not layer.container)
    return Part(node, kids, kinds.setdefault(looks, len(kinds)), leaves)


def _without_frame(part: Part, other: Part) -> Part:
    """A body whose "features" give way to their own children, unless the other body has such a frame too."""
    names = {kid.layer.name for kid in other.kids}
    kids: list[Part] = []
    for kid in part.kids:
        frame = kid.layer.cls == "Sequential" and kid.node.params > FRAME_SHARE * part.node.params
        kids += kid.kids if frame and kid.layer.name not in names and len(kid.kids) > 1 else (kid,)
    return part._replace(kids=tuple(kids))


def align(a: Sequence[Part], b: Sequence[Part]) -> list[Pair]:
    """Parts of one level in pairs, both orders kept; None where one side has no partner."""
    start = 0
    while start < min(len(a), len(b)) and _is_same(a[start], b[start]):
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and _is_same(a[-1 - end], b[-1 - end]):
        end += 1
    middle = _match(a[start : len(a) - end], b[start : len(b) - end])
    tail = zip(a[len(a) - end :], b[len(b) - end :], strict=True)
    return [*zip(a[:start], b[:start], strict=True), *middle, *tail]


def _is_same(a: Part, b: Part) -> bool:
    return a.kind == b.kind and a.layer.name == b.layer.name


def _match(a: Sequence[Part], b: Sequence[Part]) -> list[Pair]:
    """The pairing with the largest sum of likenesses."""
    like = [[likeness(one, other) for other in b] for one in a]
    best = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in reversed(range(len(a))):
        here, below, likes = best[i], best[i + 1], like[i]
        for j in reversed(range(len(b))):
            most = below[j] if below[j] >= here[j + 1] else here[j + 1]
            here[j] = max(most, likes[j] + below[j + 1]) if likes[j] else most
    pairs: list[Pair] = []
    i = j = 0
    while i < len(a) and j < len(b):
        if like[i][j] and best[i][j] == like[i][j] + best[i + 1][j + 1]:
            pairs.append((a[i], b[j]))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            pairs.append((a[i], None))
            i += 1
        else:
            pairs.append((None, b[j]))
            j += 1
    return pairs + [(one, None) for one in a[i:]] + [(None, other) for other in b[j:]]


def likeness(a: Part, b: Part) -> int:
    """How much two parts are the same thing, from 0 (not at all: never paired) to 18.

    A name counts where it is a word; a number is only a place in a row.
    """
    one, other = a.layer, b.layer
    named = one.name == other.name
    if a.kind == b.kind:
        return 16 + 2 * named
    if bool(a.kids) != bool(b.kids):
        return 0
    alike = one.cls == other.cls
    number = one.name.isdigit() or other.name.isdigit()
    named = named and not number
    if not number and not named:
        related = _stem(one.name) == _stem(other.name) if a.kids else alike
        return 4 + 2 * alike + (one.out_shape == other.out_shape) if related else 0
    if alike:
        return 8 + 2 * named + 2 * (one.out_shape == other.out_shape) + 3 * (one.detail == other.detail)
    return 6 if named else 3 if a.kids else 0


def _stem(name: str) -> str:
    """ "denseblock3" -> "denseblock"."""
    return name.rstrip("0123456789-_.")


def _level(pairs: Sequence[Pair], depth: int, counts: dict[str, int]) -> Iterator[Row]:
    """Rows of one level with all below, neighbours of the same fate folded."""
    alone = sum(_state(pair) != EQUAL for pair in pairs) == 1
    for (state, _), run in groupby(pairs, key=_fate):
        neighbours = list(run)
        folded = len(neighbours) >= LEAST_FOLDED[state]
        if folded:
            yield _fold(neighbours, depth, state)
        for pair in neighbours:
            yield from _pair_rows(pair, depth + folded, alone, counts)


def _state(pair: Pair) -> str:
    a, b = pair
    return GONE if b is None else ADDED if a is None else EQUAL if a.kind == b.kind else CHANGED


def _fate(pair: Pair) -> tuple[str, str]:
    """What neighbours must share to stand in one row: equal ones only that, those of one side also their class."""
    state = _state(pair)
    return state, (pair[0] or pair[1]).layer.cls if state in (GONE, ADDED) else ""


def _pair_rows(pair: Pair, depth: int, opened: bool, counts: dict[str, int]) -> Iterator[Row]:
    """A pair's row and all below; the layers in it are added to `counts` where their fate is decided."""
    state = _state(pair)
    kids = bool(pair[0] and pair[0].kids) and bool(pair[1] and pair[1].kids)
    yield _row(pair, depth, state, opened and kids and state == CHANGED)
    if state == CHANGED and kids:
        yield from _level(align(pair[0].kids, pair[1].kids), depth + 1, counts)
    else:
        counts[COUNTED[state]] += 1 if state == CHANGED else (pair[1] or pair[0]).leaves
        yield from _inside(pair, depth + 1, state)


def _inside(pair: Pair, depth: int, state: str) -> Iterator[Row]:
    """Rows below what is equal, or in one design only: all share its state."""
    a, b = pair
    if state == CHANGED:
        return
    for k, kid in enumerate((b or a).kids):
        kids = (kid if b is None else a.kids[k] if a else None, kid if b else None)
        yield _row(kids, depth, state, False)
        yield from _inside(kids, depth + 1, state)


def _row(pair: Pair, depth: int, state: str, opened: bool) -> Row:
    a, b = pair
    here = b or a
    cells = _cells(here)
    if state == CHANGED:
        cells = tuple(_both(*texts) for texts in zip(_cells(a), cells, strict=True))
        if isinstance(cells[1], str) and not here.kids and a.layer.in_shape != b.layer.in_shape:
            cells = (cells[0], tuple(f"in {shape(side.layer.in_shape)}" for side in (a, b)), cells[2])
    name = _names(a.layer.name, b.layer.name) if a and b else here.layer.name
    return Row(depth, state, name, *cells, here.node.group, open=opened, qual=b.layer.qual if b else "")


def _cells(part: Part) -> tuple[str, str, str]:
    """Class, out shape and parameters."""
    params = part.node.params
    return class_words(part), shape(part.layer.out_shape), short(params) if params else ""


def _names(one: str, other: str) -> str | tuple[str, str]:
    """The name, or both where they are words that differ: a number only says where it stands."""
    return other if one == other or one.isdigit() or other.isdigit() else (one, other)


def _both(one: str, other: str) -> str | tuple[str, str]:
    return one if one == other else (one or "0", other or "0")


def _fold(run: Sequence[Pair], depth: int, state: str) -> Row:
    parts = [b or a for a, b in run]
    first, last = parts[0], parts[-1]
    params = sum(part.node.params for part in parts)
    groups = {part.node.group for part in parts}
    leaves = sum(part.leaves for part in parts)
    return Row(
        depth,
        state,
        f"{first.layer.name}–{last.layer.name}",
        f"{leaves} equal layers" if state == EQUAL else f"{first.layer.cls} ×{len(run)}",
        shape(last.layer.out_shape),
        short(params) if params else "",
        groups.pop() if len(groups) == 1 else MIXED,
        count=leaves,
    )


def class_words(part: Part) -> str:
    """Class and detail: "Conv2d 3×3, stride 2", "Dropout 0.25", "BasicBlock ×3" for a Sequential of such blocks."""
    layer = part.layer
    inner = {kid.layer.cls for kid in part.kids}
    if layer.cls == "Sequential" and len(inner) == 1 and len(part.kids) > 1:
        return f"{inner.pop()} ×{len(part.kids)}"
    return f"{layer.cls} {layer.detail.removeprefix('p ')}".rstrip()


def _summary(counts: dict[str, int]) -> str:
    if not (counts["changed"] or counts["gone"] or counts["added"]):
        return f"All {counts['equal']:,} layers are equal."
    words = {"equal": "equal", "changed": "changed", "gone": "only in A", "added": "only in B"}
    said = [f"{counts[key]:,} {word}" for key, word in words.items() if counts[key]]
    return "Layers: " + ", ".join(said) + "."


def _packed(rows: Sequence[Row]) -> dict:
    words: dict[str, int] = {}

    def place(cell: str | tuple[str, str]) -> int | list[int]:
        if isinstance(cell, str):
            return words.setdefault(cell, len(words))
        return [words.setdefault(text, len(words)) for text in cell]

    packed = [
        [
            row.depth, row.state, place(row.name), place(row.cls), place(row.shape), place(row.params),
            GROUPS.index(row.group), row.count, int(row.open), row.qual,
        ]
        for row in rows
    ]  # fmt: skip
    return {"columns": COLUMNS, "words": list(words), "groups": GROUPS, "rows": packed}
