"""Runs and their events in one SQLite file: what is shown has been written, and outlives page, worker and app.

Any number of threads and processes may use one file at once. Each call takes a connection for itself out of a small
pool; every change is one transaction.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from explorer.home import home
from explorer.train.events import ENDINGS, EpochDone, Event, Failed, Finished, Started, Stopped, to_dict

FILE = "runs.sqlite"
ENDED = {Finished: "finished", Stopped: "stopped", Failed: "failed"}

# One tuple of statements for each schema number: to change the schema, add a tuple, and never touch those before it.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE runs (
            number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,
            family TEXT NOT NULL, spec TEXT NOT NULL, train TEXT NOT NULL,
            state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '',
            created REAL NOT NULL, started REAL, ended REAL, heartbeat REAL, stop_requested REAL,
            versions TEXT NOT NULL DEFAULT '{}', device TEXT NOT NULL DEFAULT '', pid INTEGER, pid_mark TEXT,
            queue TEXT NOT NULL, app_pid INTEGER NOT NULL, app_mark TEXT NOT NULL)""",
        "CREATE INDEX runs_by_state ON runs (state, number)",
        """CREATE TABLE events (
            run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE, seq INTEGER NOT NULL, time REAL NOT NULL,
            kind TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (run, seq))""",
    ),
)


class StoreError(ValueError):
    """The file of runs cannot be used; one sentence."""


@dataclass(frozen=True)
class App:
    """Who answers for a run: one queue in one process of the app."""

    queue: str
    pid: int
    mark: str


@dataclass(frozen=True)
class RunRecord:
    """One row of `runs`; times in seconds since 1970, `owner` a hash of the token, dictionaries as they were given.

    state   queued, running, finished, stopped or failed
    """

    id: str
    owner: str
    family: str
    spec: dict
    train: dict
    state: str
    reason: str
    created: float
    started: float | None
    ended: float | None
    heartbeat: float | None
    stop_requested: float | None
    versions: dict
    device: str
    pid: int | None
    pid_mark: str | None
    app: App


@dataclass(frozen=True)
class Look:
    """A run at one moment: its row, its place in line (0: not waiting), a slice of its events, how many there are."""

    run: RunRecord
    position: int
    since: int
    events: tuple[tuple[int, float, str], ...]
    n: int


def hash_token(token: str) -> str:
    """What the store keeps of a token: enough to know it again, not enough to use it."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


class Store:
    """The file of runs at `path`, made and brought up to date when it is opened. Raises StoreError."""

    def __init__(self, path: str | Path, *, busy_seconds: float = 10.0):
        self.path = Path(path)
        self._busy_seconds = busy_seconds
        self._idle: list[sqlite3.Connection] = []
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._migrate()
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise StoreError(
                f"The file of runs {self.path} cannot be used ({error}): "
                "move it away, or set EXPLORER_HOME to another folder."
            ) from error

    @classmethod
    def at_home(cls, place: Path | None = None) -> Store:
        """The store in a folder, by default `home()`."""
        return cls((place or home()) / FILE)

    @property
    def runs_folder(self) -> Path:
        """Where the folders of all runs lie."""
        return self.path.parent / "runs"

    def folder(self, run_id: str) -> Path:
        """Where a run keeps its weights and its log."""
        return self.runs_folder / run_id

    def close(self) -> None:
        """Close the connections that are not in use."""
        while self._idle:
            self._idle.pop().close()

    # Runs

    def add(self, run_id: str, token: str, family: str, spec: dict, train: dict, app: App, *, at_most: int) -> int:
        """Put a run at the end of the line of its app and return its place in it; 0, and no run, if `at_most` wait."""
        with self._write() as db:
            waiting = db.execute("SELECT count(*) FROM runs WHERE state = 'queued' AND queue = ?", (app.queue,))
            place = waiting.fetchone()[0] + 1
            if place > at_most:
                return 0
            db.execute(
                "INSERT INTO runs (id, owner, family, spec, train, state, created, queue, app_pid, app_mark)"
                " VALUES (?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?)",
                (run_id, hash_token(token), family, json.dumps(spec), json.dumps(train), time.time(), *_row_of(app)),
            )
            return place

    def run(self, run_id: str) -> RunRecord | None:
        """The record of a run, None where there is no such run."""
        with self._read() as db:
            return _record(db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone())

    def runs(self, *states: str, queue: str | None = None) -> tuple[RunRecord, ...]:
        """All runs in these states (all states if none is named), of one queue or of all, oldest first."""
        places = ", ".join("?" * len(states))
        where = [f"state IN ({places})"] * bool(states) + ["queue = ?"] * (queue is not None)
        sql = "SELECT * FROM runs" + (" WHERE " + " AND ".join(where) if where else "") + " ORDER BY number"
        with self._read() as db:
            rows = db.execute(sql, (*states, *([] if queue is None else [queue]))).fetchall()
        return tuple(_record(row) for row in rows)

    def remove(self, run_id: str) -> bool:
        """Remove a run that has ended, with its events; False where there is none, or it has not ended."""
        ended = tuple(ENDED.values())
        with self._write() as db:
            places = ", ".join("?" * len(ended))
            done = db.execute(f"DELETE FROM runs WHERE id = ? AND state IN ({places})", (run_id, *ended))
            return done.rowcount > 0

    def used_bytes(self) -> int:
        """Bytes of the file that hold something; what was removed leaves room that is used again."""
        with self._read() as db:
            pages, free, size = (
                db.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count", "page_size")
            )
        return (pages - free) * size

    def take_next(self, queue: str) -> RunRecord | None:
        """The run that has waited longest in this queue, now running; None where none waits."""
        with self._write() as db:
            row = db.execute(
                "SELECT id FROM runs WHERE state = 'queued' AND queue = ? ORDER BY number LIMIT 1", (queue,)
            ).fetchone()
            if row is None:
                return None
            now = time.time()
            db.execute(
                "UPDATE runs SET state = 'running', started = ?, heartbeat = ? WHERE id = ?", (now, now, row["id"])
            )
            return _record(db.execute("SELECT * FROM runs WHERE id = ?", (row["id"],)).fetchone())

    def check_in(self, run_id: str, pid: int, mark: str, versions: dict) -> None:
        """A worker says who it is and what it runs on."""
        with self._write() as db:
            db.execute(
                "UPDATE runs SET pid = ?, pid_mark = ?, versions = ?, heartbeat = ? WHERE id = ?",
                (pid, mark, json.dumps(versions), time.time(), run_id),
            )

    def request_stop(self, run_id: str) -> str:
        """Ask a run to stop and return its state before: one that waits ends at once, one that has ended stays so."""
        with self._write() as db:
            state = db.execute("SELECT state FROM runs WHERE id = ?", (run_id,)).fetchone()["state"]
            if state in ("queued", "running"):
                db.execute(
                    "UPDATE runs SET stop_requested = coalesce(stop_requested, ?) WHERE id = ?", (time.time(), run_id)
                )
            if state == "queued":
                _append(db, run_id, Stopped())
            return state

    def stop_requested(self, run_id: str) -> bool:
        """Has somebody asked this run to stop?"""
        with self._read() as db:
            row = db.execute("SELECT stop_requested FROM runs WHERE id = ?", (run_id,)).fetchone()
        return row is not None and row["stop_requested"] is not None

    # Events

    def append(self, run_id: str, event: Event) -> bool:
        """Write an event at the end of a run; an ending sets the run's state as well, in the same transaction.

        False, and nothing is written, where the run has ended already or does not exist.
        """
        with self._write() as db:
            return _append(db, run_id, event)

    def last_epoch(self, run_id: str) -> int:
        """How many whole epochs a run has told of."""
        with self._read() as db:
            row = db.execute(
                "SELECT data FROM events WHERE run = ? AND kind = ? ORDER BY seq DESC LIMIT 1",
                (run_id, EpochDone.__name__),
            ).fetchone()
        return json.loads(row["data"])["epoch"] if row else 0

    def look(self, run_id: str, since: int, limit: int) -> Look | None:
        """A run and at most `limit` of its events after number `since`, all of one moment; None: no such run.

        Each event is its number, its time and its JSON text. A `since` that the run has not reached counts as 0.
        """
        with self._read() as db:
            row = db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone()
            if row is None:
                return None
            n = db.execute("SELECT coalesce(max(seq), 0) FROM events WHERE run = ?", (run_id,)).fetchone()[0]
            since = since if since <= n else 0
            events = db.execute(
                "SELECT seq, time, data FROM events WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?",
                (run_id, since, limit),
            ).fetchall()
            return Look(_record(row), _position(db, row), since, tuple(map(tuple, events)), n)

    def last_row(self) -> int:
        """The number of the youngest event of all runs: a cursor for `epochs_since`."""
        with self._read() as db:
            return db.execute("SELECT coalesce(max(rowid), 0) FROM events").fetchone()[0]

    def epochs_since(self, row: int, queue: str) -> tuple[int, list[tuple[str, dict]]]:
        """(cursor to go on with, [(run, epoch as JSON values)]) of the epochs that runs of a queue have told since."""
        with self._read() as db:
            last = db.execute("SELECT coalesce(max(rowid), 0) FROM events").fetchone()[0]
            rows = db.execute(
                "SELECT events.run, events.data FROM events JOIN runs ON runs.id = events.run"
                " WHERE events.rowid > ? AND events.kind = ? AND runs.queue = ? ORDER BY events.rowid",
                (row, EpochDone.__name__, queue),
            ).fetchall()
        return last, [(run, json.loads(data)) for run, data in rows]

    # Connections and transactions

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._open()
        try:
            yield connection
        finally:
            self._idle.append(connection)

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous = FULL")  # on the disk before it is shown
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        with self._connection() as connection:
            connection.execute(begin)
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _read(self):
        return self._transaction("BEGIN")

    def _write(self):
        return self._transaction("BEGIN IMMEDIATE")

    def _migrate(self) -> None:
        with self._connection() as connection:
            write_ahead(connection, self._busy_seconds)
        with self._write() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise StoreError(
                    f"The file of runs {self.path} has schema {version}, this app knows up to {len(MIGRATIONS)}: "
                    "update the app, or set EXPLORER_HOME to another folder."
                )
            for statement in (s for migration in MIGRATIONS[version:] for s in migration):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def write_ahead(connection: sqlite3.Connection, seconds: float) -> None:
    """Turn write-ahead logging on; SQLite does not wait by itself where others do the same at this moment.

    A disk that cannot do it stays with SQLite's older journal: slower, as safe.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
        time.sleep(0.01)


def _append(db: sqlite3.Connection, run_id: str, event: Event) -> bool:
    row = db.execute("SELECT state FROM runs WHERE id = ?", (run_id,)).fetchone()
    if row is None or row["state"] in ENDED.values():
        return False
    now = time.time()
    db.execute(
        "INSERT INTO events (run, seq, time, kind, data)"
        " SELECT ?, coalesce(max(seq), 0) + 1, ?, ?, ? FROM events WHERE run = ?",
        (run_id, now, type(event).__name__, json.dumps(to_dict(event)), run_id),
    )
    db.execute("UPDATE runs SET heartbeat = ? WHERE id = ?", (now, run_id))
    if isinstance(event, Started):
        db.execute("UPDATE runs SET device = ? WHERE id = ?", (event.device, run_id))
    if isinstance(event, ENDINGS):
        state, reason = ENDED[type(event)], getattr(event, "reason", "").encode(errors="replace").decode()
        db.execute("UPDATE runs SET state = ?, reason = ?, ended = ? WHERE id = ?", (state, reason, now, run_id))
    return True


def _position(db: sqlite3.Connection, row: sqlite3.Row) -> int:
    if row["state"] != "queued":
        return 0
    sql = "SELECT count(*) FROM runs WHERE state = 'queued' AND queue = ? AND number <= ?"
    return db.execute(sql, (row["queue"], row["number"])).fetchone()[0]


def _row_of(app: App) -> tuple[str, int, str]:
    return app.queue, app.pid, app.mark


def _record(row: sqlite3.Row | None) -> RunRecord | None:
    if row is None:
        return None
    values = {name: row[name] for name in row.keys() if name in RunRecord.__dataclass_fields__}  # noqa: SIM118
    values |= {name: json.loads(row[name]) for name in ("spec", "train", "versions")}
    return RunRecord(**values, app=App(row["queue"], row["app_pid"], row["app_mark"]))
