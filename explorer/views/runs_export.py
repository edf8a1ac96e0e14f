"""Runs to take away: a table for a spreadsheet, whole records for programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence

from explorer.views.runs import KNOBS, Row, seconds_of

ALWAYS = (
    "id", "name", "family", "state", "reason", "note", "epochs_done", "seconds", "train_loss", "valid_loss",
)  # fmt: skip


def as_csv(rows: Sequence[Row]) -> str:
    """One line a run: what it was, what came of it, and every knob in a column."""
    metrics = list(dict.fromkeys(name for row in rows for name in (row.summary.get("metrics") or {})))
    keys = [key for key in KNOBS if any(key in row.knobs for row in rows)]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*ALWAYS, *metrics, *(f"best_{name}" for name in metrics), *keys])
    for row in rows:
        told = row.summary
        values, best = told.get("metrics") or {}, told.get("best") or {}
        writer.writerow([_cell(cell) for cell in (
            row.id, row.title, row.family, row.state, row.reason, row.note, told.get("done", 0), seconds_of(row),
            told.get("train_loss"), told.get("valid_loss"), *(values.get(name) for name in metrics),
            *(best.get(name) for name in metrics), *(row.knobs.get(key) for key in keys),
        )])  # fmt: skip
    return out.getvalue()


def _cell(value: object) -> object:
    """A text that a spreadsheet would take for a formula gets a mark before it."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def as_json(runs: Sequence[Mapping]) -> str:
    """Whole records, for programs."""
    return json.dumps(list(runs), indent=2, ensure_ascii=False)
