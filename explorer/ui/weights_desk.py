"""Who fetches ImageNet weights while the page stays alive: a background thread for each architecture."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class WeightsState:
    """What is known of an architecture's weights.

    state   "fetching", "ready" or "missing"
    done, total   bytes, while fetching
    reason  one sentence, when missing
    """

    state: str
    done: int = 0
    total: int = 0
    reason: str = ""


class WeightsDesk:
    """Remembers, by architecture, whether its weights are here, on their way, or not to be had.

    fetch   `models.weights.fetch`: (arch, progress) -> path, raises OSError with one sentence when there is no way
    """

    def __init__(self, fetch: Callable[..., Path]):
        self._fetch = fetch
        self._known: dict[str, WeightsState] = {}
        self._lock = threading.Lock()

    def ask(self, arch: str, *, wait: float = 0.0) -> WeightsState:
        """What is known now; the first question starts the fetching and waits for it up to `wait` seconds."""
        with self._lock:
            known = self._known.get(arch)
            if known is not None:
                return known
            self._known[arch] = WeightsState("fetching")
        worker = threading.Thread(target=self._work, args=(arch,), name=f"weights of {arch}", daemon=True)
        worker.start()
        worker.join(wait)
        with self._lock:
            return self._known.get(arch, WeightsState("fetching"))

    def forget_missing(self) -> None:
        """Before another try: what was missing is asked for again."""
        with self._lock:
            self._known = {arch: desk for arch, desk in self._known.items() if desk.state != "missing"}

    def _work(self, arch: str) -> None:
        try:
            self._fetch(arch, progress=lambda done, total: self._tell(arch, done=done, total=total))
        except (OSError, ValueError) as error:
            self._tell(arch, state="missing", reason=str(error))
        else:
            self._tell(arch, state="ready")

    def _tell(self, arch: str, **change) -> None:
        with self._lock:
            if arch in self._known:
                self._known[arch] = replace(self._known[arch], **change)
