"""Records as a table: a row a module, and the sums of its columns."""

from __future__ import annotations

from explorer.trace.records import EARLY, HEAD, LATE, MIXED, Layer, Trace
from explorer.views.fields import COLUMNS as FIELD
from explorer.views.fields import Fields, indexed, jump, sees
from explorer.views.measures import Measure, percent, share
from explorer.views.numbers import megabytes, shape, short

GROUPS = (EARLY, LATE, HEAD, MIXED)
NUMBERS = ("params", "trainable", "macs", "bytes")
COLUMNS = ("qual", "name", "cls", "detail", "in_shape", "out_shape", *NUMBERS, "group", "container")


def table(trace: Trace, fields: Fields | None = None, measure: Measure | None = None) -> dict:
    """The payload of `Explorer.layers`: one array a module in the order of the run, words said once.

    {"columns", "words", "groups", "rows": [[qual, name, …, container]], "totals": [params, trainable, MACs, bytes],
    "failed": qual | None, "measure": [column, title] of the cost whose shares are laid over | None}; cls, detail and
    group are places in `words` and `groups`. Every row holds its own numbers only, so that the columns add up to the
    totals. `container` is 1 for a frame around other modules and nothing else, which a table of leaves leaves out.

    With `fields`, receptive fields by name, also {"fields": {"columns", "at": a place in "list" for each row or -1,
    "list"}}.
    """
    words: dict[str, int] = {}
    rows = [
        [
            layer.qual, "" if layer.qual.endswith(f".{layer.name}") else layer.name,
            words.setdefault(layer.cls, len(words)), words.setdefault(layer.detail, len(words)),
            layer.in_shape, layer.out_shape, layer.params, layer.trainable, layer.macs, layer.activation_bytes,
            GROUPS.index(layer.group), int(is_frame(layer)),
        ]
        for layer in trace.layers
    ]  # fmt: skip
    totals = trace.totals
    at, known = indexed([layer.qual for layer in trace.layers], fields or {})
    return {
        "columns": COLUMNS,
        "words": list(words),
        "groups": GROUPS,
        "rows": rows,
        "totals": [totals.params, totals.trainable, totals.macs, totals.activation_bytes],
        "failed": trace.failure.qual if trace.failure else None,
        "measure": measure and [measure.column, measure.title],
        **({"fields": {"columns": FIELD, "at": at, "list": known}} if fields else {}),
    }


def is_frame(layer: Layer) -> bool:
    """True for a container that has nothing of its own to count."""
    return layer.container and not (layer.params or layer.macs or layer.activation_bytes)


def table_text(trace: Trace, fields: Fields | None = None, measure: Measure | None = None) -> str:
    """The leaves as lines of text, with the sums below; with `fields` also what a cell sees, and the step between, with
    `measure` the share of the whole that each costs."""
    titles = ("sees", "jump") if fields else ()
    costs = ("params", "trainable", "MACs", "activations", *((f"of {measure.words}",) if measure else ()))
    lines = [("#", "name", "class", "in shape", "out shape", *titles, *costs)]
    for number, layer in enumerate((layer for layer in trace.layers if not is_frame(layer)), 1):
        cls = f"{layer.cls} {layer.detail}".rstrip()
        shapes = shape(layer.in_shape), shape(layer.out_shape)
        seen = (sees(fields.get(layer.qual)), jump(fields.get(layer.qual))) if fields else ()
        part = (percent(share(measure, [layer], trace)),) if measure else ()
        lines.append((str(number), layer.qual, cls, *shapes, *seen, *_numbers(layer), *part))
    whole = ("100 %",) if measure else ()
    lines.append(("", "total", "", "", "", *("" for _ in titles), *_numbers(trace.totals), *whole))
    wide = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    text = [
        "  ".join(
            cell.ljust(width) if 1 <= k <= 4 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, wide, strict=True))
        ).rstrip()
        for line in lines
    ]
    if trace.failure:
        text += ["", trace.failure.reason]
    return "\n".join(text) + "\n"


def _numbers(row) -> tuple[str, ...]:
    counts = tuple(short(n) if n else "" for n in (row.params, row.trainable, row.macs))
    return (*counts, megabytes(row.activation_bytes) if row.activation_bytes else "")
