"""How the app is, for those who watch over it: version, queue, store, device. Nothing about anybody's runs."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from explorer.jobs.keep import used_bytes
from explorer.jobs.queue import Queue
from explorer.jobs.worker import app_version, commit

FRESH, BYTES_FRESH = 2.0, 60.0  # seconds for which an answer holds, so that asking costs next to nothing


class Health:
    """`report` looks at most every two seconds, whoever asks how often."""

    def __init__(self, queue: Queue, device: str, clock: Callable[[], float] = time.monotonic):
        self._queue, self._device, self._clock = queue, device, clock
        self._begun, self._lock = clock(), threading.Lock()
        self._told: tuple[float, dict] = (-FRESH, {})
        self._bytes: tuple[float, int] = (-BYTES_FRESH, 0)

    def report(self) -> dict:
        """{"status": "ok" or "degraded", "version", "commit", "uptime_seconds", "queue", "store", "device"}."""
        with self._lock:
            now = self._clock()
            if not self._told[1] or now - self._told[0] >= FRESH:
                self._told = now, self._look(now)
            return self._told[1]

    def _look(self, now: float) -> dict:
        store = self._store(now)
        lives = self._queue.lives()
        return {
            "status": "ok" if lives and store["writable"] else "degraded",
            "version": app_version(),
            "commit": _commit(),
            "uptime_seconds": round(now - self._begun, 1),
            "queue": {"alive": lives, **self._counts()},
            "store": store,
            "device": self._device,
        }

    def _counts(self) -> dict:
        store = self._queue.store
        try:
            counts = {"running": len(store.runs("running")), "waiting": len(store.runs("queued"))}
        except sqlite3.Error:
            counts = {"running": None, "waiting": None}
        return {**counts, "workers": self._queue.places()}

    def _store(self, now: float) -> dict:
        store = self._queue.store
        try:
            if now - self._bytes[0] >= BYTES_FRESH:
                self._bytes = now, used_bytes(store)
            return {"runs": len(store.runs()), "bytes": self._bytes[1], "writable": can_write(store.path)}
        except (sqlite3.Error, OSError):
            return {"runs": None, "bytes": None, "writable": False}


def can_write(file: Path) -> bool:
    """Whether a database can be written where it lies: a full disk and one that is read only cannot."""
    try:
        with tempfile.TemporaryFile(dir=file.parent) as probe:
            probe.write(b"0" * 4096)
            probe.flush()
        with file.open("ab"):
            return True
    except OSError:
        return False


@lru_cache(maxsize=1)
def _commit() -> str:
    return commit()
