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
from explorer.jobs.fair import Waiting, fair_order
from explorer.jobs.summary import summarise
from explorer.train.events import (
    ENDINGS,
    EpochDone,
    Event,
    Failed,
    Finished,
    Paused,
    Resumed,
    Started,
    Step,
    Stopped,
    to_dict,
)

FILE = "runs.sqlite"
MOST_STEPS = 512  # that a summary reads
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
    (
        *(
            f"ALTER TABLE runs ADD COLUMN {column}"
            for column in (
                "name TEXT NOT NULL DEFAULT ''",
                "note TEXT NOT NULL DEFAULT ''",
                "pinned INTEGER NOT NULL DEFAULT 0",
                "deleted REAL",
                "parent TEXT NOT NULL DEFAULT ''",
                "memory INTEGER NOT NULL DEFAULT 0",
                "seconds REAL",
                "turn INTEGER NOT NULL DEFAULT 0",
                "pause_requested REAL",
                "stop_reason TEXT NOT NULL DEFAULT ''",
                "summary TEXT",
                "revision INTEGER NOT NULL DEFAULT 0",
            )
        ),
        "CREATE INDEX runs_by_owner ON runs (owner, number)",
        "CREATE INDEX runs_by_revision ON runs (revision)",
        "CREATE INDEX runs_by_turn ON runs (owner, turn)",
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

    state   queued, running, paused, finished, stopped or failed
    name, note, pinned, deleted   what its owner made of it; `deleted` is when, None for what is there
    parent  id of the run whose weights it began with, "" for none
    memory, seconds   what it was thought to need: bytes, and how long it would train; 0 and None where unknown
    summary     see `jobs.summary`; None where nothing was summed up yet
    revision    rises with everything that a list of runs shows, over all runs of the file
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
    name: str
    note: str
    pinned: bool
    deleted: float | None
    parent: str
    memory: int
    seconds: float | None
    pause_requested: float | None
    stop_reason: str
    summary: dict | None
    revision: int
    number: int
    app: App

    @property
    def epochs(self) -> int:
        """Whole epochs whose weights are kept, as last summed up."""
        return (self.summary or {}).get("done", 0)


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

    def add(
        self,
        run_id: str,
        token: str,
        family: str,
        spec: dict,
        train: dict,
        app: App,
        *,
        at_most: int,
        each: int | None = None,
        parent: str = "",
        memory: int = 0,
        seconds: float | None = None,
    ) -> int:
        """Put a run into the line of its app and return its place in it; 0, and no run, if `at_most` wait.

        each  how many may wait of one person; -1, and no run, where so many do
        """
        owner = hash_token(token)
        with self._write() as db:
            line = _line(db, app.queue)
            if len(line) >= at_most:
                return 0
            if each is not None and sum(run.person == owner for run in line) >= each:
                return -1
            db.execute(
                "INSERT INTO runs (id, owner, family, spec, train, state, created, queue, app_pid, app_mark, parent,"
                " memory, seconds) VALUES (?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?)",
                (
                    run_id, owner, family, json.dumps(spec), json.dumps(train), time.time(), *_row_of(app), parent,
                    memory, seconds,
                ),
            )  # fmt: skip
            _revise(db, run_id)
            return _position(db, db.execute("SELECT * FROM runs WHERE id = ?", (run_id,)).fetchone())

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

    def count(self, *states: str) -> int:
        """How many runs are in these states, or in any."""
        where = f" WHERE state IN ({', '.join('?' * len(states))})" if states else ""
        with self._read() as db:
            return db.execute(f"SELECT count(*) FROM runs{where}", states).fetchone()[0]

    def touch(self) -> None:
        """Begin to write, and leave everything as it is. Raises sqlite3.Error where nothing can be written."""
        with self._write():
            pass

    def latest(self, state: str, most: int) -> tuple[RunRecord, ...]:
        """The last runs that came into the store and are in this state, the newest first."""
        with self._read() as db:
            rows = db.execute("SELECT * FROM runs WHERE state = ? ORDER BY number DESC LIMIT ?", (state, most))
            return tuple(_record(row) for row in rows.fetchall())

    def runs_of(self, owner: str) -> tuple[RunRecord, ...]:
        """All runs of an owner (a hash of a token) that are not deleted, the newest first."""
        with self._read() as db:
            rows = db.execute("SELECT * FROM runs WHERE owner = ? AND deleted IS NULL ORDER BY number DESC", (owner,))
            return tuple(_record(row) for row in rows.fetchall())

    def revision(self) -> int:
        """Rises with every change of what a list of runs shows."""
        with self._read() as db:
            return db.execute("SELECT coalesce(max(revision), 0) FROM runs").fetchone()[0]

    def change(self, run_id: str, **values) -> bool:
        """Set `name`, `note`, `pinned` or `deleted` of a run; False where there is none."""
        unknown = set(values) - {"name", "note", "pinned", "deleted"}
        if unknown:
            raise TypeError(f"A run has no {min(unknown)!r} that could be set.")
        columns = ", ".join(f"{name} = ?" for name in values)
        with self._write() as db:
            done = db.execute(f"UPDATE runs SET {columns} WHERE id = ?", (*values.values(), run_id))
            _revise(db, run_id)
            return done.rowcount > 0

    def line(self, queue: str) -> tuple[RunRecord, ...]:
        """The runs that wait in a queue, in the order in which their turns will come."""
        with self._read() as db:
            records = {
                row["number"]: _record(row)
                for row in db.execute("SELECT * FROM runs WHERE state = 'queued' AND queue = ?", (queue,)).fetchall()
            }
            return tuple(records[run.number] for run in _line(db, queue))

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

    def take_next(self, queue: str, room: int | None = None) -> RunRecord | None:
        """The run of this queue whose turn it is (`jobs.fair`), now running; None where none waits.

        room  bytes that are free: None, and no run, where the next one needs more
        """
        with self._write() as db:
            line = _line(db, queue)
            if not line:
                return None
            row = db.execute("SELECT id, memory FROM runs WHERE number = ?", (line[0].number,)).fetchone()
            if room is not None and row["memory"] > room:
                return None
            now = time.time()
            turn = db.execute("SELECT max(turn) + 1 FROM runs").fetchone()[0]
            db.execute(
                "UPDATE runs SET state = 'running', started = coalesce(started, ?), heartbeat = ?, turn = ?"
                " WHERE id = ?",
                (now, now, turn, row["id"]),
            )
            _revise(db, row["id"])
            return _record(db.execute("SELECT * FROM runs WHERE id = ?", (row["id"],)).fetchone())

    def check_in(self, run_id: str, pid: int | None, mark: str | None, versions: dict) -> None:
        """A worker says who it is (nothing where it is no process of this machine) and what it runs on."""
        with self._write() as db:
            db.execute(
                "UPDATE runs SET pid = ?, pid_mark = ?, versions = ?, heartbeat = ? WHERE id = ?",
                (pid, mark, json.dumps(versions), time.time(), run_id),
            )

    def adopt(self, run: RunRecord, app: App) -> bool:
        """Another app answers for a run that trains; False where it has ended, or a third app was quicker."""
        with self._write() as db:
            done = db.execute(
                "UPDATE runs SET queue = ?, app_pid = ?, app_mark = ? WHERE id = ? AND state = 'running' AND queue = ?",
                (*_row_of(app), run.id, run.app.queue),
            )
            return done.rowcount > 0

    def request_stop(self, run_id: str, reason: str = "") -> str:
        """Ask a run to stop and return its state before: one that waits or rests ends at once, one that has ended
        stays so. `reason` is a sentence where it is not its owner who wants it."""
        with self._write() as db:
            state = db.execute("SELECT state FROM runs WHERE id = ?", (run_id,)).fetchone()["state"]
            if state in ("queued", "running", "paused"):
                db.execute(
                    "UPDATE runs SET stop_reason = iif(stop_requested IS NULL, ?, stop_reason),"
                    " stop_requested = coalesce(stop_requested, ?) WHERE id = ?",
                    (reason, time.time(), run_id),
                )
                _revise(db, run_id)
            if state in ("queued", "paused"):
                _append(db, run_id, Stopped(_last_epoch(db, run_id)))
            return state

    def request_pause(self, run_id: str) -> str:
        """Ask a run to rest after the epoch that it is in; returns its state. Only one that trains can."""
        with self._write() as db:
            state = db.execute("SELECT state FROM runs WHERE id = ?", (run_id,)).fetchone()["state"]
            if state == "running":
                db.execute(
                    "UPDATE runs SET pause_requested = coalesce(pause_requested, ?) WHERE id = ?",
                    (time.time(), run_id),
                )
                _revise(db, run_id)
            return state

    def resume(self, run_id: str, app: App) -> str:
        """Put a run that rests into the line of an app, and return the state it had."""
        with self._write() as db:
            state = db.execute("SELECT state FROM runs WHERE id = ?", (run_id,)).fetchone()["state"]
            if state == "paused":
                db.execute(
                    "UPDATE runs SET state = 'queued', pause_requested = NULL, queue = ?, app_pid = ?, app_mark = ?"
                    " WHERE id = ?",
                    (*_row_of(app), run_id),
                )
                _revise(db, run_id)
            return state

    def pause_requested(self, run_id: str) -> bool:
        """Has somebody asked this run to rest?"""
        with self._read() as db:
            row = db.execute("SELECT pause_requested FROM runs WHERE id = ?", (run_id,)).fetchone()
        return row is not None and row["pause_requested"] is not None

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
            return _last_epoch(db, run_id)

    def epochs_of(self, run_id: str) -> tuple[dict, ...]:
        """All EpochDone of a run, in order, as `events.to_dict` gives them."""
        with self._read() as db:
            return _told(db, run_id, EpochDone)

    def has_paused(self, run_id: str) -> bool:
        """Has this run rested before, so that it goes on instead of beginning?"""
        with self._read() as db:
            return bool(_told(db, run_id, Paused))

    def rest(self, run_id: str) -> bool:
        """Let a run that was to go on rest again, since its app has gone; False where it does not wait."""
        with self._write() as db:
            done = db.execute("UPDATE runs SET state = 'paused' WHERE id = ? AND state = 'queued'", (run_id,))
            _revise(db, run_id)
            return done.rowcount > 0

    def last_step(self, run_id: str) -> tuple[int, float] | None:
        """The number of a run's last batch and when it was, in seconds since 1970; None before the first."""
        with self._read() as db:
            row = db.execute(
                "SELECT data, time FROM events WHERE run = ? AND kind = ? ORDER BY seq DESC LIMIT 1",
                (run_id, Step.__name__),
            ).fetchone()
        return (json.loads(row["data"])["step"], row["time"]) if row else None

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
    row = db.execute("SELECT state, stop_reason FROM runs WHERE id = ?", (run_id,)).fetchone()
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
    if isinstance(event, Paused):
        db.execute("UPDATE runs SET state = 'paused', pause_requested = NULL WHERE id = ?", (run_id,))
    if isinstance(event, ENDINGS):
        state, reason = ENDED[type(event)], getattr(event, "reason", "").encode(errors="replace").decode()
        if isinstance(event, Stopped):
            reason = reason or row["stop_reason"]
        db.execute("UPDATE runs SET state = ?, reason = ?, ended = ? WHERE id = ?", (state, reason, now, run_id))
    if isinstance(event, (Started, EpochDone, Paused, Resumed, *ENDINGS)):
        summary = json.dumps(_summary(db, run_id))
        db.execute("UPDATE runs SET summary = ? WHERE id = ?", (summary, run_id))
        _revise(db, run_id)
    return True


def _summary(db: sqlite3.Connection, run_id: str) -> dict:
    """What a list of runs tells of this one, from its events."""
    started = _told(db, run_id, Started)
    steps = started[0]["steps"] if started else 0
    return summarise(
        started[0] if started else None,
        _told(db, run_id, EpochDone),
        [step["smooth"] for step in _told(db, run_id, Step, every=max(1, steps // MOST_STEPS))],
    )


def _told(db: sqlite3.Connection, run_id: str, kind: type, every: int = 1) -> tuple[dict, ...]:
    """Events of one kind in order, or about one in `every`."""
    sql = "SELECT data FROM events WHERE run = ? AND kind = ? AND seq % ? = 0 ORDER BY seq"
    return tuple(json.loads(row["data"]) for row in db.execute(sql, (run_id, kind.__name__, every)).fetchall())


def _last_epoch(db: sqlite3.Connection, run_id: str) -> int:
    row = db.execute(
        "SELECT data FROM events WHERE run = ? AND kind = ? ORDER BY seq DESC LIMIT 1", (run_id, EpochDone.__name__)
    ).fetchone()
    return json.loads(row["data"])["epoch"] if row else 0


def _revise(db: sqlite3.Connection, run_id: str) -> None:
    db.execute("UPDATE runs SET revision = (SELECT max(revision) + 1 FROM runs) WHERE id = ?", (run_id,))


def _line(db: sqlite3.Connection, queue: str) -> tuple[Waiting, ...]:
    """The line of a queue in the order in which turns will come."""
    rows = db.execute("SELECT number, owner FROM runs WHERE state = 'queued' AND queue = ?", (queue,)).fetchall()
    waiting = [Waiting(row["number"], row["owner"]) for row in rows]
    if len(waiting) < 2:
        return tuple(waiting)
    running = db.execute(
        "SELECT owner, count(*) AS n FROM runs WHERE state = 'running' AND queue = ? GROUP BY owner", (queue,)
    ).fetchall()
    turns = {
        person: db.execute("SELECT max(turn) AS turn FROM runs WHERE owner = ?", (person,)).fetchone()["turn"]
        for person in {run.person for run in waiting}
    }
    return fair_order(waiting, {row["owner"]: row["n"] for row in running}, turns)


def _position(db: sqlite3.Connection, row: sqlite3.Row) -> int:
    if row["state"] != "queued":
        return 0
    return [run.number for run in _line(db, row["queue"])].index(row["number"]) + 1


def no_constant(constant: str) -> None:
    """NaN and infinity are not JSON: who reads strictly gets null."""


def _row_of(app: App) -> tuple[str, int, str]:
    return app.queue, app.pid, app.mark


def _record(row: sqlite3.Row | None) -> RunRecord | None:
    if row is None:
        return None
    values = {name: row[name] for name in row.keys() if name in RunRecord.__dataclass_fields__}  # noqa: SIM118
    values |= {name: json.loads(row[name]) for name in ("spec", "train", "versions")}
    summary = json.loads(row["summary"], parse_constant=no_constant) if row["summary"] else None
    values |= {"pinned": bool(row["pinned"]), "summary": summary}
    return RunRecord(**values, app=App(row["queue"], row["app_pid"], row["app_mark"]))
