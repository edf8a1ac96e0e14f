"""What stands twice, in Python and in the page's scripts, says the same: the fold, the figure and the words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from explorer.train.events import (
    Activations,
    EpochDone,
    Failed,
    Finished,
    Note,
    Predictions,
    Progress,
    Started,
    Step,
    Stopped,
    ValidSample,
    to_dict,
)
from explorer.train.history import History, fold_all
from explorer.views import curves, previews

pytestmark = pytest.mark.browser
ASSETS = Path(__file__).resolve().parents[2] / "assets"
SCRIPTS = ("kit.js", "history.js", "charts.js", "confusion.js")
CLASSES = ("striped star", "dotted_ring", "oak leaf", "hatched cross", "pansy", "bees", "n0212")
CONFUSION = tuple(tuple((3 * i + 5 * j) % 7 + 9 * (i == j) for j in range(len(CLASSES))) for i in range(len(CLASSES)))


@pytest.fixture(scope="module")
def page(browser) -> Iterator:
    page = browser.new_page()
    page.set_content("<style>:root { --sans: serif }</style><body></body>")
    for name in SCRIPTS:
        page.add_script_tag(content=(ASSETS / name).read_text())
    yield page
    page.close()


def story(ending, steps_per_epoch=40, epochs=60, done=None, metric="accuracy") -> list[tuple]:
    """Events of `done` epochs of a run with their clock, a few of them delivered twice."""
    total = epochs * steps_per_epoch
    events = [Note("Random weights.", "offline"), Progress("Fetching", 5, 10)]
    events += [
        Started(epochs, steps_per_epoch, total, 80, 20, CLASSES, "cpu", 1000, 100, "random"),
        ValidSample((), ()),
    ]
    for step in range(1, (done or epochs) * steps_per_epoch + 1):
        events.append(Step(step, 3 / step + 0.2 * (step * 37 % 11), 1e-3 * step / total, 4 / step))
        if step % steps_per_epoch == 0:
            epoch = step // steps_per_epoch
            events.append(EpochDone(epoch, 1 / epoch, 1.2 / epoch, ((metric, 1 - 1 / (epoch + 1)),), 2.0))
            events.append(Predictions(epoch, (), (), CONFUSION))
            events.append(Activations(epoch, ("0.2",), (1 / epoch,), (None,), (0.5,)))
    repeated = events[:200] + [event for event in events[150:200] if isinstance(event, Step)] + events[200:]
    return [(event, 100 + 0.25 * i) for i, event in enumerate([*repeated, *ending])]


ENDINGS = {
    "running": (),
    "finished": (Finished(9.0), Note("too late")),
    "stopped": (Stopped(3),),
    "failed": (Failed("The loss is not finite.", 2), Step(99_999, 1.0, 1.0)),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_page_folds_events_as_python_does(page, ending):
    told = story(ENDINGS[ending])
    history = fold_all(History(), told)
    run = page.evaluate(
        """events => { const run = events.reduce(Explorer.history.fold, Explorer.history.empty());
                       return { ...run, left: Explorer.history.secondsLeft(run) }; }""",
        [{**to_dict(event), "at": at} for event, at in told],
    )
    assert run["state"] == history.state
    assert run["steps"] == list(history.steps)
    assert (run["losses"], run["smooth"], run["lrs"]) == tuple(map(list, (history.losses, history.smooth, history.lrs)))
    assert [epoch["epoch"] for epoch in run["epochs"]] == [epoch.epoch for epoch in history.epochs]
    assert [(seen["epoch"], seen["means"]) for seen in run["activations"]] == [
        (seen.epoch, list(seen.means)) for seen in history.activations
    ]
    assert [note["text"] for note in run["notes"]] == [note.text for note in history.notes]
    assert (run["reason"], run["keptEpochs"]) == (history.reason, history.kept_epochs)
    assert (run["progress"], run["at"], run["startedAt"]) == (None, history.at, history.started_at)
    assert run["left"] == pytest.approx(history.seconds_left)


@pytest.mark.parametrize("metric", ["accuracy", "miou", "psnr"])
@pytest.mark.parametrize(("epochs", "done"), [(2, 2), (5, 1), (10, 5), (10, 7), (60, 60)])
def test_the_page_draws_the_figure_that_python_draws(page, epochs, done, metric):
    told = story((), epochs=epochs, done=done, metric=metric)
    plan = [0.0, 1e-3, 5e-4]
    expected = curves.figure(fold_all(History(), told), plan=tuple(plan))
    drawn = page.evaluate(
        """([events, base, epochs, plan]) => {
             const run = events.reduce(Explorer.history.fold, Explorer.history.empty());
             return Explorer.charts.figure(base, run, 'id', epochs, plan); }""",
        [[{**to_dict(event), "at": at} for event, at in told], curves.base(), epochs, plan],
    )
    for ours, theirs in zip(expected["data"], drawn["data"], strict=True):
        assert (theirs["name"], theirs["mode"]) == (ours["name"], ours["mode"])
        assert theirs["x"] == pytest.approx(ours["x"])
        assert theirs["y"] == pytest.approx(ours["y"])
    assert _places(drawn) == json.loads(json.dumps(_places(expected)))
    assert drawn["layout"]["yaxis3"]["range"] == pytest.approx(expected["layout"]["yaxis3"]["range"])


def test_the_page_says_the_same_about_mistakes(page):
    said = page.evaluate("([matrix, classes]) => Explorer.worstPairs(matrix, classes, 30)", [CONFUSION, CLASSES])
    assert tuple(said) == previews.worst_pairs(CONFUSION, CLASSES, 30)


def _places(figure: dict) -> list:
    """Words and level lines with their places, without colours (the bare page has no tokens)."""
    marks = figure["layout"]["annotations"] + figure["layout"]["shapes"]
    return [
        {
            key: round(value, 9) if isinstance(value, float) else value
            for key, value in mark.items()
            if key not in ("font", "line")
        }
        for mark in marks
    ]
