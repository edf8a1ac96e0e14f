"""The figure of a run says what its history says, in the page's colours."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import plotly.graph_objects as go
import pytest

from explorer.spec import TrainSpec
from explorer.train.events import EpochDone, Failed, PictureSample, Started, Step
from explorer.train.history import History, fold_all
from explorer.train.schedule import phases, planned_rates
from explorer.views import curves

SHEET = Path(__file__).resolve().parents[2] / "assets" / "style.css"


def run(epochs=3, done=2, per_epoch=10, weights="imagenet", classes=("ant", "bee"), metric="accuracy") -> History:
    """A history of `done` whole epochs out of `epochs`."""
    events = [Started(epochs, per_epoch, epochs * per_epoch, 80, 20, classes, "cpu", 1000, 100, weights)]
    for step in range(1, done * per_epoch + 1):
        events.append(Step(step, 2 / step, 1e-3 * step, 2.5 / step))
        if step % per_epoch == 0:
            epoch = step // per_epoch
            events.append(EpochDone(epoch, 1 / epoch, 1.5 / epoch, ((metric, 0.3 * epoch),), 1.0))
    return fold_all(History(), [(event, None) for event in events])


def traces(figure: dict) -> dict:
    return {trace["name"]: trace for trace in figure["data"]}


def words(figure: dict) -> list[str]:
    return [annotation["text"] for annotation in figure["layout"]["annotations"]]


@pytest.mark.parametrize("theme", curves.THEMES)
def test_plotly_takes_the_figure_and_no_token_is_left(theme):
    figure = curves.figure(run(weights="random"), theme=theme, plan=(1e-4, 1e-3, 0.0))
    go.Figure(figure)
    assert "var(--" not in json.dumps(figure)


@pytest.mark.parametrize(("theme", "selector"), [("light", ":root {"), ("dark", "\n.dark {")])
def test_colours_are_the_tokens_of_the_sheet(theme, selector):
    block = SHEET.read_text().split(selector, 1)[1].split("}", 1)[0]
    tokens = dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})\b", block))
    assert {name: tokens.get(name) for name in curves.THEMES[theme]} == curves.THEMES[theme]


def test_every_line_stands_over_epochs():
    history = run()
    lines = traces(curves.figure(history))
    assert lines["batches"]["x"][-1] == lines["train"]["x"][-1] == 2.0
    assert (lines["rate"]["x"][0], lines["rate"]["x"][-1]) == (0, 1.9)
    assert tuple(lines["batches"]["y"]) == history.losses
    assert tuple(lines["train"]["y"]) == history.smooth
    assert tuple(lines["rate"]["y"]) == history.lrs
    assert (lines["valid"]["x"], lines["valid"]["y"]) == ([1, 2], [1.5, 0.75])
    assert (lines["accuracy"]["x"], lines["accuracy"]["y"]) == ([1, 2], [0.3, 0.6])
    assert curves.figure(history)["layout"]["xaxis"]["range"] == [0, 3]


def test_loss_and_rate_share_an_axis_and_accuracy_moves_with_them():
    layout, lines = curves.base()["layout"], traces(curves.base())
    assert lines["valid"]["xaxis"] == lines["rate"]["xaxis"] == "x"
    assert lines["rate"]["yaxis"] != lines["train"]["yaxis"]
    assert layout["xaxis2"]["matches"] == "x"
    assert layout["yaxis2"]["domain"][1] < layout["yaxis"]["domain"][0]


def test_words_stand_at_the_lines_instead_of_a_legend():
    figure = curves.figure(run())
    assert not figure["layout"]["showlegend"]
    assert words(figure) == [
        "<b>Loss</b>", "<b>Accuracy</b>", "train", "rate", "<b>valid 0.75</b>", "<b>0.60</b>",
    ]  # fmt: skip


def test_only_a_random_start_shows_where_guessing_starts():
    from_random = curves.figure(run(weights="random", classes=tuple("abcdefghij")))
    level = from_random["layout"]["shapes"][-1]
    assert level["y0"] == level["y1"] == pytest.approx(math.log(10))
    assert "ln 10, where guessing starts" in words(from_random)
    assert not any("guessing" in text for text in words(curves.figure(run())))


@pytest.mark.parametrize("history", [History(), run(done=0), fold_all(run(done=0), [(Failed("It broke."), None)])])
def test_a_run_without_steps_is_two_empty_charts(history):
    figure = curves.figure(history)
    go.Figure(figure)
    assert not any(trace["x"] for trace in figure["data"])
    assert words(figure) == ["<b>Loss</b>", "<b>Accuracy</b>"]


@pytest.mark.parametrize(
    "plan", [phases(TrainSpec(epochs=3), 3), phases(TrainSpec(schedule="fine_tune", epochs=3, freeze_epochs=1), 3)]
)
def test_the_rate_lies_on_its_plan(plan):
    epochs = sum(phase.epochs for phase in plan)
    rates = tuple(phase.at(i / (10 * phase.epochs))[0][-1] for phase in plan for i in range(10 * phase.epochs))
    history = replace(run(epochs=epochs, done=epochs, per_epoch=10), lrs=rates)
    drawn = traces(curves.figure(history, plan=planned_rates(plan)))
    planned = dict(zip((round(x, 6) for x in drawn["plan"]["x"]), drawn["plan"]["y"], strict=True))
    assert drawn["rate"]["y"] == pytest.approx([planned[round(x, 6)] for x in drawn["rate"]["x"]])


def test_another_metric_takes_the_place_of_a_missing_accuracy():
    assert curves.metric(run(metric="dice").epochs[0]) == ("dice", 0.3)
    assert curves.metric(EpochDone(1, 1.0, 1.0, (), 1.0)) == ("accuracy", None)
    assert curves.metric(EpochDone(1, 1.0, 1.0, (("dice", 0.1), ("accuracy", 0.7)), 1.0)) == ("accuracy", 0.7)


def test_a_metric_that_is_no_share_has_an_axis_that_fits_it():
    layout = curves.figure(run(metric="psnr"))["layout"]
    assert "<b>PSNR, dB</b>" in [annotation["text"] for annotation in layout["annotations"]]
    low, high = layout["yaxis3"]["range"]
    assert 0.2 < low < 0.3 and 0.6 < high < 0.7 and layout["yaxis3"]["tickvals"] is None


def test_masks_are_judged_by_the_mean_over_classes():
    """Accuracy of pixels is high where nothing but background is guessed."""
    assert curves.title(replace(run(done=0), pictured=PictureSample("segmentation", ()))) == "mIoU"
    assert curves.metric(EpochDone(1, 1.0, 1.0, (("accuracy", 0.7), ("miou", 0.1)), 1.0)) == ("miou", 0.1)


def test_small_numbers_have_one_more_place():
    assert [curves.fine(value) for value in (21.518, 0.576, 0.0342)] == ["21.52", "0.58", "0.034"]


def test_before_the_first_epoch_the_task_says_what_will_be_shown():
    assert curves.title(replace(run(done=0), pictured=PictureSample("colour", ()))) == "PSNR, dB"


def test_many_epochs_are_a_line_without_dots():
    assert traces(curves.figure(run(epochs=curves.MAX_DOTS + 1)))["valid"]["mode"] == "lines"
    assert traces(curves.figure(run(epochs=curves.MAX_DOTS)))["valid"]["mode"] == "lines+markers"


def test_a_long_line_keeps_its_ends_and_its_spikes():
    x, y = list(range(20_000)), [math.sin(i / 900) for i in range(20_000)]
    y[7_777], y[13_131] = 50.0, -50.0
    thin_x, thin_y = curves.thin(x, y)
    assert len(thin_x) <= curves.MAX_POINTS + 2
    assert (thin_x[0], thin_x[-1]) == (0, 19_999)
    assert max(thin_y) == 50.0 and min(thin_y) == -50.0
    assert thin_x == sorted(set(thin_x))
    assert all(y[i] == v for i, v in zip(thin_x, thin_y, strict=True))


def test_a_figure_does_not_touch_the_next_one():
    before = json.dumps(curves.base())
    curves.figure(run(weights="random"))
    assert json.dumps(curves.base()) == before
