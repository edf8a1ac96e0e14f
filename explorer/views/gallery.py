"""The catalogue of architectures as data for `Explorer.gallery`: cards, and a chart of accuracy against cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

# A column of the payload is the entry's attribute of that name; the texts among them are said once, in "words".
NUMBERS = ("year", "params", "macs", "top1", "top5", "file_mb", "size")
TEXTS = ("family", "series", "paper", "address", "weights", "more_data", "recipe", "licence")
COLUMNS = ("name", *NUMBERS, *TEXTS)
COSTS = ("macs", "params", "file_mb")


class Described(Protocol):
    """What is shown of an architecture; `models.catalogue.Entry` says what each means. None and "" are not known."""

    name: str
    family: str
    series: str
    year: int | None
    paper: str
    address: str
    params: int | None
    macs: int | None
    top1: float | None
    top5: float | None
    file_mb: float | None
    size: int | None
    weights: str
    more_data: str
    recipe: str
    licence: str


def gallery(entries: Sequence[Described], chosen: str) -> dict:
    """The payload of `Explorer.gallery`: short arrays under one header.

    {"columns", "texts": columns whose values are places in "words", "words", "rows", "fronts": {cost: [place of a row,
    …], cheapest first}, "chosen": name}. Later payloads need only hold what is new: {"chosen": "resnet50"}.
    """
    words: dict[str, int] = {}
    rows = [
        [entry.name]
        + [getattr(entry, column) for column in NUMBERS]
        + [words.setdefault(getattr(entry, column), len(words)) for column in TEXTS]
        for entry in entries
    ]
    return {
        "columns": COLUMNS,
        "texts": TEXTS,
        "words": list(words),
        "rows": rows,
        "fronts": {cost: front(entries, cost) for cost in COSTS},
        "chosen": chosen,
    }


def front(entries: Sequence[Described], cost: str) -> list[int]:
    """Pareto front: places of the entries that no other beats in top-1 at the same or a lower cost, cheapest first."""
    known = [i for i, entry in enumerate(entries) if getattr(entry, cost) is not None and entry.top1 is not None]
    best, places = -1.0, []
    for i in sorted(known, key=lambda i: (getattr(entries[i], cost), -entries[i].top1)):
        if entries[i].top1 > best:
            best = entries[i].top1
            places.append(i)
    return places
