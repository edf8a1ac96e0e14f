"""A few runs side by side: their curves on one chart, the knobs in which they differ, the best of each metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from explorer.views.numbers import short
from explorer.views.runs import FALLING, KNOBS, LETTERS, METRIC_WORDS, Asked, Row, differing, seconds_of

AGAINST = ("valid_loss", "train_loss", "metric")


def compare(rows: Sequence[Row], epochs: Mapping[str, Sequence[Mapping]], asked: Asked) -> dict | None:
    """The picked runs side by side; None where fewer than one is picked.

    epochs  of each run, by id: `EpochDone` as dictionaries

    {"title", "label", "choices", "curves": [{"letter", "title", "name", "x", "y"}], "table": [{"label", "cells":
    [{"text", "best"}]}], "same": sentence}
    """
    by_id = {row.id: row for row in rows}
    picked = [by_id[run] for run in asked.picked[: len(LETTERS)] if run in by_id]
    if not picked:
        return None
    knobs = differing(picked) if len(picked) > 1 else ()
    curves = [
        _curve(row, letter, epochs.get(row.id, ()), asked.against) for row, letter in zip(picked, LETTERS, strict=False)
    ]
    label = _against_words(picked, asked.against)
    for curve, row in zip(curves, picked, strict=True):
        curve["name"] = row.knobs[knobs[0]] if knobs and knobs[0] in row.knobs else row.title
    return {
        "title": f"{_number_word(len(picked))} side by side" if len(picked) > 1 else picked[0].title,
        "label": label,
        "against": asked.against,
        "choices": [
            {"key": key, "label": _against_words(picked, key)} for key in ("valid_loss", "train_loss", "metric")
        ],
        "curves": curves,
        "letters": [
            {"letter": letter, "id": row.id, "title": row.title} for row, letter in zip(picked, LETTERS, strict=False)
        ],
        "table": [_plain(key, picked) for key in knobs] + _results(picked),
        "same": _same(picked, knobs),
    }


def _plain(key: str, rows: Sequence[Row]) -> dict:
    return {"label": KNOBS[key], "cells": [{"text": row.knobs.get(key, "–"), "best": False} for row in rows]}


def _curve(row: Row, letter: str, epochs: Sequence[Mapping], against: str) -> dict:
    points = [(epoch["epoch"], _at(epoch, against, row.metric)) for epoch in epochs]
    known = [(x, y) for x, y in points if y is not None]
    return {"letter": letter, "title": row.title, "x": [x for x, _ in known], "y": [y for _, y in known]}


def _at(epoch: Mapping, against: str, metric: str) -> float | None:
    return dict(epoch["metrics"]).get(metric) if against == "metric" else epoch[against]


def _against_words(rows: Sequence[Row], against: str) -> str:
    if against != "metric":
        return METRIC_WORDS[against]
    names = {row.metric for row in rows}
    return METRIC_WORDS.get(*names, "metric") if len(names) == 1 else "metric"


def _results(rows: Sequence[Row]) -> list[dict]:
    """Rows of results: the best of each metric over the epochs, parameters, epochs, time; the best is marked."""
    names = list(dict.fromkeys(name for row in rows for name in (row.summary.get("best") or {})))
    lines = [
        _result(f"Best {METRIC_WORDS.get(name, name)}", [(row.summary.get("best") or {}).get(name) for row in rows],
                f"{{:.{digits_of(name)}f}}".format, name in FALLING)
        for name in names
    ]  # fmt: skip
    params = [row.summary.get("params") for row in rows]
    lines.append(_result("Parameters", params, short, None))
    lines.append(_result("Learn", [row.summary.get("trainable") for row in rows], short, None))
    times = [seconds_of(row) if row.state == "finished" else None for row in rows]
    lines.append(_result("Time", times, _duration, True))
    return [line for line in lines if any(cell["text"] != "–" for cell in line["cells"])]


def _result(label: str, values: Sequence, words, falls: bool | None) -> dict:
    known = [value for value in values if value is not None]
    best = None if falls is None or len(known) < 2 or len(set(known)) < 2 else (min if falls else max)(known)
    texts = ["–" if value is None else words(value) for value in values]
    winner = None if best is None or len(set(texts)) < 2 else words(best)
    return {"label": label, "cells": [{"text": text, "best": text == winner} for text in texts]}


def digits_of(name: str) -> int:
    """Figures behind the point that tell runs apart."""
    return 1 if name == "psnr" else 3


def _same(rows: Sequence[Row], knobs: Sequence[str]) -> str:
    if len(rows) < 2:
        return ""
    shared = set.intersection(*(set(row.knobs) for row in rows)) - set(knobs)
    return f"{len(shared)} other knobs are the same. Bold is best."


def _number_word(count: int) -> str:
    return ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight")[count]


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
