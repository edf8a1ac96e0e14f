"""The parameter groups of a model as rows: colour, name, rate, lock, how much learns."""

from __future__ import annotations

from explorer.trace.records import EARLY, HEAD, LATE, Trace, groups_of
from explorer.views.numbers import rate as words

NAMES = {EARLY: "Body, early", LATE: "Body, late", HEAD: "Head"}


def groups(trace: Trace, frozen: int, rates: tuple[float, ...]) -> dict[str, object]:
    """Rows of the groups that have parameters, from the input on; the first `frozen` of them are locked."""
    pairs = zip(groups_of(trace), rates, strict=True)
    return {"rows": [_row(trace, group, i < frozen, rate) for i, (group, rate) in enumerate(pairs)]}


def _row(trace: Trace, group: str, frozen: bool, rate: float) -> dict[str, object]:
    layers = [layer for layer in trace.layers if layer.group == group]
    return {
        "id": group,
        "name": NAMES[group],
        "rate": words(rate),
        "frozen": frozen,
        "params": sum(layer.params for layer in layers),
        "trainable": sum(layer.trainable for layer in layers),
    }
