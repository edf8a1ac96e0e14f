"""A run's history as a Plotly figure: loss, the rate in its own strip, and accuracy, all over epochs.

`base()` is the one place of layout and line styles. Its colours are names of the sheet's tokens ("var(--ink)"): the
page fills in live data and resolves them in the theme at hand (assets/charts.js), `figure()` fills in a History and
resolves them from `THEMES`. A figure is a plain dictionary, as `plotly.graph_objects.Figure` takes it.
"""

from __future__ import annotations

import math
from copy import deepcopy

from explorer.train.events import EpochDone
from explorer.train.history import History

MAX_POINTS = 500  # of a line
MAX_DOTS = 40  # epochs above which a dot for each is too many

TITLES = {"accuracy": "Accuracy", "psnr": "PSNR, dB", "ssim": "SSIM", "miou": "mIoU", "style": "Style loss"}
OPEN = ("psnr", "style", "content")  # metrics that are no shares: their axis fits their values
FIRST = {
    "segmentation": "miou", "super_resolution": "psnr", "colour": "psnr", "style": "style", "style_image": "style",
}  # fmt: skip
"""The number that a run is judged by, by its task."""

# The tokens of assets/style.css that the figure uses.
THEMES = {
    "light": {
        "paper": "#fcfcfb", "line": "#dfe2e5", "ink": "#15181e", "ink2": "#434a56", "ink3": "#5c6470",
        "frozen": "#b6bfca", "body-late": "#1f4a94", "body-late-ink": "#24508f", "tip": "#1b2029", "tip-ink": "#f3f5f8",
    },
    "dark": {
        "paper": "#0f1217", "line": "#2b323c", "ink": "#eef1f5", "ink2": "#bcc4cf", "ink3": "#98a2b0",
        "frozen": "#525d6c", "body-late": "#3d70cf", "body-late-ink": "#8db2f2", "tip": "#f0f2f5", "tip-ink": "#15181e",
    },
}  # fmt: skip
SANS = "-apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif"


def base() -> dict:
    """An empty figure: `data` (six lines without points), `layout`, and `labels`, the words that move with them."""
    return {"data": _traces(), "layout": _layout(), "labels": _labels()}


def figure(history: History, *, theme: str = "light", plan: tuple[float, ...] = ()) -> dict:
    """The figure of a run as it stands: {"data", "layout"}.

    theme  "light" or "dark"
    plan   the rates that were planned, from the start of the run at even distances; drawn dotted
    """
    made = base()
    labels = made.pop("labels")
    per_epoch = history.started.steps_per_epoch if history.started else 1
    epochs = history.started.epochs if history.started else 1
    at = [step / per_epoch for step in history.steps]  # a loss is known at the end of its step
    before = [(step - 1) / per_epoch for step in history.steps]  # a rate holds from its beginning
    done = [epoch.epoch for epoch in history.epochs]
    points = {
        "batches": thin(at, history.losses),
        "train": thin(at, history.smooth),
        "valid": (done, [epoch.valid_loss for epoch in history.epochs]),
        "rate": thin(before, history.lrs),
        "plan": ([epochs * i / len(plan) for i in range(len(plan))], list(plan)),
        "accuracy": (done, [metric(epoch)[1] for epoch in history.epochs]),
    }
    for trace in made["data"]:
        trace["x"], trace["y"] = points[trace["name"]]
        if epochs > MAX_DOTS:
            trace["mode"] = "lines"
    layout = made["layout"]
    layout["xaxis"]["range"] = [0, epochs]
    layout["annotations"][1]["text"] = f"<b>{title(history)}</b>"
    if metric_name(history) in OPEN:
        layout["yaxis3"] |= {"range": fitting(points["accuracy"][1]), "tickvals": None, "nticks": 4}
        layout["shapes"].pop()  # the level at 0
    layout["annotations"] += _placed(labels, points, history, epochs)
    if starts_guessing(history):
        layout["shapes"].append({**labels["guess_line"], "y0": guessing(history), "y1": guessing(history)})
    return _resolved(made, {**THEMES[theme], "sans": SANS})


def metric(epoch: EpochDone) -> tuple[str, float | None]:
    """The number that the right chart shows: mIoU or accuracy where there is one, else the first metric."""
    metrics = dict(epoch.metrics)
    name = next((name for name in ("miou", "accuracy", *metrics) if name in metrics), "accuracy")
    return name, metrics.get(name)


def metric_name(history: History) -> str:
    """Which number the right chart shows, or will."""
    if history.epochs:
        return metric(history.epochs[-1])[0]
    return FIRST.get(history.pictured.task, "accuracy") if history.pictured else "accuracy"


def title(history: History) -> str:
    """What that number is called."""
    name = metric_name(history)
    return TITLES.get(name, name)


def fine(value: float) -> str:
    """ "0.58", and "0.034": small numbers have one more place."""
    return f"{value:.{3 if abs(value) < 0.1 else 2}f}"


def fitting(values: list[float | None]) -> list[float]:
    """Both ends of an axis that these values fit on."""
    known = [value for value in values if value is not None] or [0.0, 1.0]
    room = max(0.15 * (max(known) - min(known)), 0.012 * abs(max(known))) or 1.0  # 21.4 and 21.6, not 21.51 and 21.52
    return [min(known) - room, max(known) + room]


def starts_guessing(history: History) -> bool:
    """Whether the run began from random weights, so that its loss should begin at ln(classes)."""
    started = history.started
    return started is not None and started.weights.startswith("random") and len(started.classes) > 1


def guessing(history: History) -> float:
    """The loss of somebody who gives every class the same chance: ln(classes)."""
    return math.log(len(history.started.classes))


def thin(x: list[float], y, limit: int = MAX_POINTS) -> tuple[list[float], list[float]]:
    """At most `limit` points that keep the look of a line: of each bucket the lowest and the highest, in order."""
    y = list(y)
    if len(x) <= limit:
        return list(x), y
    size = math.ceil(2 * len(x) / limit)
    keep = [0]
    for start in range(0, len(y), size):
        bucket = range(start, min(start + size, len(y)))
        keep += sorted({min(bucket, key=y.__getitem__), max(bucket, key=y.__getitem__)})
    keep.append(len(y) - 1)
    keep = sorted(set(keep))
    return [x[i] for i in keep], [y[i] for i in keep]


def _traces() -> list[dict]:
    """Batches pale behind the smooth line, the valid line with its dots, the rate and its plan, accuracy."""
    steps, whole = "epoch %{x:.2f}<br>", "epoch %{x}<br>"
    dotted = {"mode": "lines+markers", "marker": {"size": 6, "color": "var(--body-late)"}}
    return [
        _trace("batches", "frozen", 1, "", opacity=0.75),
        _trace("train", "ink2", 1.75, steps + "train %{y:.4g}"),
        _trace("valid", "body-late", 2, whole + "valid %{y:.4g}", **dotted),
        _trace("plan", "ink3", 1.25, "", dash="1.5px 3px", yaxis="y2"),
        _trace("rate", "ink2", 1.5, steps + "rate %{y:.3g}", yaxis="y2"),
        _trace("accuracy", "body-late", 2, whole + "%{y:.4f}", xaxis="x2", yaxis="y3", **dotted),
    ]


def _trace(name: str, color: str, width: float, hover: str, *, dash: str = "solid", **style) -> dict:
    """One line; `hover` is what is said under the pointer, nothing where it is empty."""
    said = {"hovertemplate": hover + "<extra></extra>"} if hover else {"hoverinfo": "skip"}
    line = {"color": f"var(--{color})", "width": width, "dash": dash}
    place = {"xaxis": "x", "yaxis": "y", "mode": "lines", "cliponaxis": False}
    return {"type": "scatter", "name": name, "x": [], "y": [], "line": line, **place, **said, **style}


def _layout() -> dict:
    """Loss above the rate at the left, accuracy at the right; their time axes move together."""
    quiet = {
        "showgrid": False,
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "tickcolor": "rgba(0,0,0,0)",
        "tickfont": {"color": "var(--ink3)"},
    }
    tip = {"bgcolor": "var(--tip)", "bordercolor": "var(--tip)", "font": {"color": "var(--tip-ink)", "size": 12}}
    return {
        "height": 208,
        "margin": {"l": 32, "r": 8, "t": 26, "b": 22},
        "showlegend": False,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "var(--sans)", "size": 12, "color": "var(--ink3)"},
        "hovermode": "closest",
        "hoverlabel": tip,
        "xaxis": {**quiet, "domain": [0, 0.6], "anchor": "y2", "range": [0, 1], "nticks": 6},
        "yaxis": {**quiet, "domain": [0.3, 1], "rangemode": "tozero", "nticks": 5},
        "yaxis2": {**quiet, "domain": [0, 0.2], "rangemode": "tozero", "showticklabels": False},
        "xaxis2": {**quiet, "domain": [0.73, 1], "anchor": "y3", "matches": "x", "nticks": 2},
        "yaxis3": {**quiet, "domain": [0, 1], "anchor": "x2", "range": [0, 1.02], "tickvals": [0, 0.5, 1]},
        "annotations": [_title("Loss", "x", "y"), _title("Accuracy", "x2", "y3")],
        "shapes": [_level("x", "y", "line", 1), _level("x2", "y3", "line", 1)],
    }


def _labels() -> dict:
    """Words on the lines; x, y, text and where they hang are filled in as the lines grow."""
    guess = {"xanchor": "right", "yanchor": "bottom", "x": 1}
    return {
        "train": _label("train", "ink3", "x", "y"),
        "valid": _label("valid", "body-late-ink", "x", "y"),
        "rate": _label("rate", "ink3", "x", "y2", yanchor="bottom", yshift=2),
        "accuracy": _label("accuracy", "body-late-ink", "x2", "y3"),
        "guess": _label("where guessing starts", "ink3", "x domain", "y", **guess),
        "guess_line": _level("x", "y", "ink3", 1.25, dash="4px 3px"),
    }


def _label(text: str, color: str, xref: str, yref: str, **place) -> dict:
    font = {"color": f"var(--{color})"}
    return {"text": text, "font": font, "xref": xref, "yref": yref, "showarrow": False, **place}


def _title(text: str, x: str, y: str) -> dict:
    """A chart's name over its tick labels."""
    corner = {"x": 0, "y": 1, "xanchor": "left", "yanchor": "bottom", "xshift": -32, "yshift": 6}
    return _label(f"<b>{text}</b>", "ink", f"{x} domain", f"{y} domain", **corner)


def _level(x: str, y: str, color: str, width: float, dash: str = "solid") -> dict:
    """A level line across a chart, at 0 until told otherwise."""
    line = {"color": f"var(--{color})", "width": width, "dash": dash}
    ends = {"x0": 0, "x1": 1, "y0": 0, "y1": 0}
    return {"type": "line", "layer": "below", "xref": f"{x} domain", "yref": y, "line": line, **ends}


def _placed(labels: dict, points: dict, history: History, epochs: int) -> list[dict]:
    """The words at their lines; a line without points has none."""
    placed = []

    def put(name: str, i: int, text: str, above: bool) -> None:
        x, y = points[name][0][i], points[name][1][i]
        side = {"xanchor": "right" if x > 0.6 * epochs else "left"}
        place = {"yanchor": "bottom", "yshift": 4} if above else {"yanchor": "top", "yshift": -4}
        placed.append({**side, **place, **labels[name], "x": x, "y": y, "text": text})

    if len(history.steps) > 1:
        third, valid = len(points["train"][0]) // 3, points["valid"][1]
        at, loss = points["train"][0][third], points["train"][1][third]
        near = valid[min(max(0, math.floor(at + 0.5) - 1), len(valid) - 1)] if valid else -math.inf
        put("train", third, "train", near <= loss)
        put("rate", -1, "rate", True)
    if history.epochs:
        last = history.epochs[-1]
        put("valid", -1, f"<b>valid {fine(last.valid_loss)}</b>", last.valid_loss > last.train_loss)
        name, value = metric(last)
        if value is not None:
            above = name in OPEN or value < 0.9 or last.epoch > 0.6 * epochs
            put("accuracy", -1, f"<b>{fine(value)}</b>", above)
    if starts_guessing(history):
        text = f"ln {len(history.started.classes)}, where guessing starts"
        placed.append({**labels["guess"], "y": guessing(history), "text": text})
    return placed


def _resolved(value, colors: dict[str, str]):
    """The same structure with every "var(--name)" replaced."""
    if isinstance(value, dict):
        return {key: _resolved(inner, colors) for key, inner in value.items()}
    if isinstance(value, list):
        return [_resolved(inner, colors) for inner in value]
    if isinstance(value, str) and value.startswith("var(--"):
        return colors[value[6:-1]]
    return deepcopy(value)
