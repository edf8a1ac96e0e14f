"""Whose turn it is: nobody's second run stands before another person's first."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush


@dataclass(frozen=True)
class Waiting:
    """A run in line: the store's number of it, which rises with time, and whose it is."""

    number: int
    person: str


def fair_order(waiting: Iterable[Waiting], running: Mapping[str, int], turns: Mapping[str, int]) -> tuple[Waiting, ...]:
    """The line as it will be served: each place goes to the person with the fewest runs that train or stand before it.

    Among equals to the one whose last turn is longest ago, then to the run that came first.

    running  how many runs of a person train now
    turns    number of a person's last turn, rising with time; nothing for who never had one
    """
    own: dict[str, deque[Waiting]] = {}
    for run in sorted(waiting, key=lambda run: run.number):
        own.setdefault(run.person, deque()).append(run)
    claims = [(running.get(name, 0), turns.get(name, 0), runs[0].number, name) for name, runs in own.items()]
    heapify(claims)
    order: list[Waiting] = []
    latest = max(turns.values(), default=0)
    while claims:
        served, _, _, person = heappop(claims)
        order.append(own[person].popleft())
        latest += 1
        if own[person]:
            heappush(claims, (served + 1, latest, own[person][0].number, person))
    return tuple(order)
