"""What a layer costs, one measure at a time: the one that a page has chosen is laid over ribbon and tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from explorer.trace.records import Layer, Trace, add_up


@dataclass(frozen=True)
class Measure:
    """A column of the records: the rows' field, the tree's column, and what people call it."""

    field: str
    column: str
    title: str
    words: str


MEASURES = {
    "params": Measure("params", "params", "params", "parameters"),
    "macs": Measure("macs", "macs", "MACs", "MACs"),
    "memory": Measure("activation_bytes", "bytes", "activations", "activation bytes"),
    "kept": Measure("activation_bytes", "bytes", "kept", "bytes kept for backward"),
}


def with_kept(trace: Trace, kept: Mapping[str, int]) -> Trace:
    """The trace with the bytes that autograd keeps, by name of the layer, in place of activation bytes."""
    layers = tuple(replace(layer, activation_bytes=kept.get(layer.qual, 0)) for layer in trace.layers)
    return replace(trace, layers=layers, totals=add_up(layers))


def percent(part: float) -> str:
    """A share of the whole in words: 0.184 -> "18 %", 0.0123 -> "1.2 %", 0.0001 -> "< 0.1 %", 0 -> ""."""
    if not part:
        return ""
    if part < 0.001:
        return "< 0.1 %"
    return f"{100 * part:.0f} %" if part >= 0.0995 else f"{100 * part:.1f} %"


def share(measure: Measure, rows: Iterable[Layer], trace: Trace) -> float:
    """The part of the whole that these rows cost, 0 to 1."""
    return sum(getattr(row, measure.field) for row in rows) / (getattr(trace.totals, measure.field) or 1)
