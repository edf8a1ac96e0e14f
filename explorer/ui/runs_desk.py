"""The server's side of the Runs page: what a person's runs are now, and what becomes of them.

A person is known by the secret of their browser. Anyone can call these functions, so each checks what it is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from explorer import link
from explorer.data import uploads
from explorer.data.dataset import DataError
from explorer.jobs.keep import UNDO, file_bytes
from explorer.jobs.queue import Answer, NotYours, Queue, is_run_id, is_secret, specs_of
from explorer.jobs.store import RunRecord, hash_token
from explorer.spec import SpecError
from explorer.train.places import WEIGHTS
from explorer.views.runs import ALIVE, LETTERS, Asked, Row, knobs_of, line_of, table
from explorer.views.runs_compare import AGAINST, compare
from explorer.views.runs_export import as_csv, as_json

MOST_WANTED = 2000  # runs in one wish
MOST_ROWS = 5000
MOST_CURVES = 200  # runs of which an export holds every epoch
LONGEST_NAME, LONGEST_NOTE = 80, 2000
RELOAD = {"error": "The page asked for something that cannot be read: reload it."}
STRANGER = {"error": "This browser keeps nothing, so it has no runs of its own: allow storage for this page."}
SLOWER = 10.0  # by which the rate of a run that diverged is divided
DIVERGED = "try a lower learning rate"


class RunsDesk:
    """The functions that `Explorer.runs` calls; `functions` lists them."""

    def __init__(self, queue: Queue, limits: Callable[[], str] = lambda: ""):
        self._queue, self._store, self._limits = queue, queue.store, limits
        self._knobs_of: dict[str, Mapping[str, str]] = {}
        self._wishes: dict[str, Callable[[str, str, str], str]] = {
            "stop": lambda run, me, _: _said(queue.stop(run, me)),
            "pause": lambda run, me, _: _said(queue.pause(run, me)),
            "resume": lambda run, me, _: _said(queue.resume(run, me)),
            "again": lambda run, me, _: _in_line(queue.again(run, me)),
            "slower": lambda run, me, _: _in_line(queue.again(run, me, slower=SLOWER)),
            "go_on": lambda run, me, _: _in_line(queue.go_on(run, me)),
            "delete": lambda run, me, _: _said(queue.delete(run, me)),
            "restore": lambda run, me, _: _said(queue.restore(run, me)),
            "pin": lambda run, me, _: self._change(run, me, pinned=True),
            "unpin": lambda run, me, _: self._change(run, me, pinned=False),
            "rename": lambda run, me, text: self._change(run, me, name=_line(text)[:LONGEST_NAME]),
            "note": lambda run, me, text: self._change(run, me, note=text.strip()[:LONGEST_NOTE]),
        }

    def functions(self) -> list[Callable]:
        """What the page calls."""

        def runs_look(asked: object) -> dict:
            """{"me", "mark", "group", "show", "picked", "open", "most", "against", "search"} -> the whole page, or
            {"same": true} where nothing has changed since `mark`."""
            return self._answered(asked, self._look)

        def runs_do(asked: object) -> dict:
            """{"me", "do", "runs": ids, "text"} -> {"text": a sentence, "done": ids, "problem": a sentence or ""}."""
            return self._answered(asked, self._do)

        def runs_more(asked: object) -> dict:
            """{"me", "run": id} -> what stands in a run's record, and the address of its page."""
            return self._answered(asked, self._more)

        def runs_export(asked: object) -> dict:
            """{"me", "runs": ids, none for all, "as": "csv" or "json"} -> {"name", "type", "text"} of a file."""
            return self._answered(asked, self._export)

        return [runs_look, runs_do, runs_more, runs_export]

    def _answered(self, asked: object, answer: Callable[[str, Mapping], dict]) -> dict:
        if isinstance(asked, list) and len(asked) == 1:
            asked = asked[0]
        if not isinstance(asked, Mapping):
            return RELOAD
        me = asked.get("me")
        return answer(me, asked) if is_secret(me) else STRANGER

    # ---- the page ----

    def _look(self, me: str, asked: Mapping) -> dict:
        mark = f"{self._store.revision()}:{self._queue.clock()}"
        if asked.get("mark") == mark + _key(asked):
            return {"same": True}
        records = self._store.runs_of(hash_token(me))[:MOST_ROWS]
        waits, places = self._queue.waits(), self._queue.line()
        rows = [self._row(record, waits, places) for record in records]
        wanted = read_asked(asked)
        curves = {run: self._store.epochs_of(run) for run in wanted.picked if any(row.id == run for row in rows)}
        return {
            "mark": mark + _key(asked),
            **table(rows, wanted),
            "picked": [run for run in wanted.picked if run in curves],
            "compare": compare(rows, curves, wanted),
            "line": self._line(rows),
            "workers": self._queue.places(),
            "limits": self._limits(),
        }

    def _row(self, record: RunRecord, waits: Mapping[str, float | None], places: Mapping[str, int]) -> Row:
        return Row(
            id=record.id,
            family=record.family,
            state=record.state,
            created=record.created,
            name=record.name,
            note=record.note,
            pinned=record.pinned,
            reason=record.reason,
            parent=record.parent,
            started=record.started,
            ended=record.ended,
            stopping=record.state == "running" and record.stop_requested is not None,
            pausing=record.state == "running" and record.pause_requested is not None,
            knobs=self._knobs(record),
            summary=record.summary or {},
            progress=self._queue.progress(record) if record.state in ALIVE else 0.0,
            place=places.get(record.id, 0),
            wait=waits.get(record.id),
            left=self._queue.left(record) if record.state == "running" else None,
            hint=_hint(record),
        )

    def _knobs(self, record: RunRecord) -> Mapping[str, str]:
        """The knobs of a run, which never change; {} for one of another version."""
        if record.id not in self._knobs_of:
            if len(self._knobs_of) >= MOST_ROWS:
                self._knobs_of.clear()
            try:
                self._knobs_of[record.id] = named(knobs_of(*specs_of(record)))
            except SpecError:
                self._knobs_of[record.id] = {}
        return self._knobs_of[record.id]

    def _line(self, rows: list[Row]) -> list[dict]:
        own = {row.id: row for row in rows}
        waits = self._queue.waits()
        running = [(own.get(run.id), self._queue.left(run)) for run in self._queue.running()]
        waiting = [(own.get(run), waits.get(run)) for run in self._queue.line()]
        return line_of(waiting, running)

    # ---- wishes ----

    def _do(self, me: str, asked: Mapping) -> dict:
        wish, runs, text = asked.get("do"), asked.get("runs"), asked.get("text") or ""
        known = isinstance(wish, str) and wish in self._wishes
        if not known or not isinstance(runs, list) or not isinstance(text, str) or len(runs) > MOST_WANTED:
            return RELOAD
        done, said, problem = [], "", ""
        for run in runs:
            if not is_run_id(run):
                return RELOAD
            try:
                said = self._wishes[wish](run, me, text)
                done.append(run)
            except (ValueError, LookupError) as error:
                problem = problem or str(error.args[-1])
        return {"done": done, "text": _many(wish, len(done), said), "problem": problem}

    def _change(self, run: str, me: str, **values: object) -> str:
        self._queue.own(run, me, "change it")
        self._store.change(run, **values)
        return ""

    # ---- one run, and files ----

    def _more(self, me: str, asked: Mapping) -> dict:
        try:
            record = self._queue.own(asked.get("run"), me, "look into its record")
        except NotYours as error:
            return {"error": error.args[1]}
        weights = self._store.folder(record.id) / WEIGHTS
        return {
            "id": record.id,
            "link": page_link(record),
            "note": record.note,
            "parent": record.parent,
            "facts": _facts(record, file_bytes(self._store.folder(record.id)), weights.is_file()),
        }

    def _export(self, me: str, asked: Mapping) -> dict:
        wanted, kind = asked.get("runs"), asked.get("as")
        if not isinstance(wanted, list) or kind not in ("csv", "json"):
            return RELOAD
        records = [run for run in self._store.runs_of(hash_token(me)) if not wanted or run.id in wanted]
        if not records:
            return {"error": "There is no run to export."}
        stamp = time.strftime("%Y-%m-%d")
        if kind == "csv":
            rows = [self._row(record, {}, {}) for record in records]
            return {"name": f"runs-{stamp}.csv", "type": "text/csv", "text": as_csv(rows)}
        whole = [self._whole(record, curves=len(records) <= MOST_CURVES) for record in records]
        return {"name": f"runs-{stamp}.json", "type": "application/json", "text": as_json(whole)}

    def _whole(self, record: RunRecord, *, curves: bool) -> dict:
        """What was asked for, on what it ran, and what came of it; epochs too where `curves`."""
        names = ("id", "family", "spec", "train", "state", "reason", "name", "note", "parent", "created", "started",
                 "ended", "versions", "device", "summary")  # fmt: skip
        epochs = {"epochs": self._store.epochs_of(record.id)} if curves else {}
        return {**{name: getattr(record, name) for name in names}, **epochs}


def named(knobs: dict[str, str]) -> dict[str, str]:
    """Knobs with the name of a set that somebody brought, instead of its id."""
    kind, _, place = knobs["data"].partition(":")
    if kind != "upload":
        return knobs
    try:
        return {**knobs, "data": uploads.find(place).name}
    except DataError:
        return {**knobs, "data": "pictures of yours"}


def read_asked(asked: Mapping) -> Asked:
    """What the page wants to see, as far as it can be meant."""

    def word(name: str, usual: str, known: tuple[str, ...] = ()) -> str:
        value = asked.get(name)
        return value if isinstance(value, str) and len(value) <= 200 and (not known or value in known) else usual

    def words(name: str, most: int) -> tuple[str, ...]:
        values = asked.get(name)
        return tuple(v for v in values if isinstance(v, str))[:most] if isinstance(values, list) else ()

    most = asked.get("most")
    usable = isinstance(most, int) and not isinstance(most, bool) and 1 <= most <= MOST_ROWS
    return replace(
        Asked(),
        group=word("group", ""),
        show=word("show", "all", ("all", "pinned", "failed", "live")),
        picked=tuple(dict.fromkeys(run for run in words("picked", len(LETTERS)) if is_run_id(run))),
        open=words("open", 100),
        most=most if usable else Asked.most,
        against=word("against", "valid_loss", AGAINST),
        search=word("search", ""),
    )


def page_link(record: RunRecord) -> str:
    """The query and hash that open a run's page with its knobs and its curves; "" for a run of another version."""
    try:
        query = link.encode(*specs_of(record))
    except SpecError:
        return ""
    name = "run" if record.family == "classifier" else f"{record.family}-run"
    return f"?{query}#{name}={record.id}"


def _facts(record: RunRecord, size: int, has_weights: bool) -> list[list[str]]:
    versions = record.versions
    libraries = " · ".join(
        f"{name} {versions[name]}" for name in ("torch", "torchvision", "python") if versions.get(name)
    )
    app = " · ".join(filter(None, (versions.get("app", ""), versions.get("commit", "")[:12])))
    told = [
        ("Begun", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(record.started)) if record.started else "not yet"),
        ("Device", record.device),
        ("Weights", (record.summary or {}).get("weights", "")),
        ("Pictures", _pictures(record.summary or {})),
        ("Versions", libraries),
        ("App", app),
        ("Kept", f"{size / 1e6:.0f} MB, {'with' if has_weights else 'without'} weights"),
        ("Run", record.id),
    ]
    return [[label, text] for label, text in told if text]


def _pictures(summary: Mapping) -> str:
    if "n_train" not in summary:
        return ""
    return f"{summary['n_train']:,} to learn from, {summary['n_valid']:,} to check on"


def _hint(record: RunRecord) -> dict:
    """A run that diverged may be run again with a tenth of its rate."""
    lr = record.train.get("lr")
    if record.state != "failed" or DIVERGED not in record.reason or not isinstance(lr, float):
        return {}
    return {"do": "slower", "label": f"Run again at {lr / SLOWER:.2g}"}


def _key(asked: Mapping) -> str:
    return (
        "|"
        + repr([asked.get(name) for name in ("group", "show", "picked", "open", "most", "against", "search")])[:2000]
    )


def _many(wish: str, count: int, said: str) -> str:
    """The sentence after a wish for one run or for many."""
    if count == 0:
        return ""
    if wish == "delete":
        whose = "It" if count == 1 else "They"
        return f"Deleted {_runs(count)}. {whose} can be brought back for {UNDO / 60:.0f} minutes."
    if wish == "restore":
        return f"Brought back {_runs(count)}."
    if wish in ("again", "go_on") and count > 1:
        return f"{count} runs put in line."
    return said


def _runs(count: int) -> str:
    return "one run" if count == 1 else f"{count} runs"


def _line(text: str) -> str:
    return " ".join(text.split())


def _said(answer: Answer) -> str:
    if not answer.ok:
        raise LookupError(answer.text)
    return answer.text


def _in_line(run) -> str:
    return "In line, it begins at once." if run.position == 1 else f"In line, at place {run.position}."
