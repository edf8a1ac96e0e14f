"""A generator that tells how a long piece of work comes along, for work that can only report through a callback."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator
from typing import TypeVar

from explorer.train.events import Progress

Result = TypeVar("Result")
Tell = Callable[[str, int, int, str], None]

PAUSE = 0.2


class Halted(Exception):
    """The person stopped the run while it was being prepared."""


def aside(work: Callable[[Tell], Result], stop: Callable[[], bool]) -> Generator[Progress, None, Result]:
    """Do work(tell) and yield its latest Progress, at most five a second; returns what `work` returns.

    A download blocks, and a generator cannot yield from inside it: `work` has a thread of its own, which ends with it.
    Raises what `work` raises, and Halted within 0.2 s when `stop` says so; `work` then ends at its next `tell`.
    """
    told: deque[Progress] = deque(maxlen=1)
    results: list[Result] = []
    errors: list[BaseException] = []
    left = threading.Event()

    def tell(what: str, done: int, total: int, unit: str = "bytes") -> None:
        if left.is_set():
            raise Halted
        told.append(Progress(what, done, total, unit))

    def run() -> None:
        try:
            results.append(work(tell))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(PAUSE)
            if stop():
                raise Halted
            if told:
                yield told.pop()
    finally:
        left.set()
    if errors:
        raise errors[0]
    return results[0]
