"""How the app is, for those who watch over it: version, queue, store, device. Nothing about anybody's runs."""

from __future__ import annotations

import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from functools import lru_cache

from explorer.jobs.keep import used_bytes
from explorer.jobs.queue import Queue
from explorer.jobs.store import Store
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
            counts = {"running": store.count("running"), "waiting": store.count("queued")}
        except sqlite3.Error:
            counts = {"running": None, "waiting": None}
        return {**counts, "workers": self._queue.places()}

    def _store(self, now: float) -> dict:
        store = self._queue.store
        try:
            if now - self._bytes[0] >= BYTES_FRESH:
                self._bytes = now, used_bytes(store)
            return {"runs": store.count(), "bytes": self._bytes[1], "writable": can_write(store)}
        except (sqlite3.Error, OSError):
            return {"runs": None, "bytes": None, "writable": False}


def can_write(store: Store) -> bool:
    """Whether runs can be written down: not on a full disk, nor in a file that is read only or locked for long.

    The database is asked and its file never opened by hand: to close it again would take SQLite's locks away, all those
    of this process, and others would then remove the log that it writes ahead.
    """
    try:
        with tempfile.TemporaryFile(dir=store.path.parent) as probe:
            probe.write(b"0" * 4096)
            probe.flush()
        store.touch()
        return True
    except (OSError, sqlite3.Error):
        return False


@lru_cache(maxsize=1)
def _commit() -> str:
    return commit()
