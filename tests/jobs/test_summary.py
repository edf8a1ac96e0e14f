"""A run in a few figures."""

from __future__ import annotations

from explorer.jobs.store import App, Store
from explorer.jobs.summary import POINTS, best_of, summarise, thin
from explorer.train.events import EpochDone, Finished, Paused, Started, Step, to_dict

STARTED = Started(2, 100, 200, 640, 16, ("a", "b"), "cpu", 10, 5, "random")
EPOCHS = [
    EpochDone(1, 1.0, 0.9, (("accuracy", 0.8), ("style", 3.0)), 2.0),
    EpochDone(2, 0.5, 1.1, (("accuracy", 0.7), ("style", 2.0)), 2.5),
]


def test_the_best_of_each_metric_is_of_any_epoch():
    assert best_of([to_dict(epoch) for epoch in EPOCHS]) == {"valid_loss": 0.9, "accuracy": 0.8, "style": 2.0}


def test_a_curve_is_thinned_evenly_and_keeps_its_ends():
    curve = thin([float(i) for i in range(1000)])
    assert len(curve) == POINTS and (curve[0], curve[-1]) == (0.0, 999.0)
    assert thin([0.123456]) == [0.1235]


def test_a_run_that_told_nothing_has_a_summary():
    assert summarise(None, (), ()) == {"done": 0, "curve": []}


def test_the_store_sums_up_when_an_epoch_is_done(tmp_path):
    store = Store.at_home(tmp_path)
    store.add("r", "token", "classifier", {}, {}, App("q", 1, "m"), at_most=9)
    store.take_next("q")
    before = store.run("r").revision
    store.append("r", STARTED)
    for epoch in EPOCHS:
        for step in range(1, 101):
            store.append("r", Step(100 * (epoch.epoch - 1) + step, 1.0, 1e-3, 1.0 / step))
        unsummed = store.run("r").revision
        store.append("r", epoch)
        assert store.run("r").revision > unsummed > before
        assert store.run("r").epochs == epoch.epoch
    told = store.run("r").summary
    assert (told["epochs"], told["done"], told["classes"], told["seconds"]) == (2, 2, 2, 4.5)
    assert (told["valid_loss"], told["best"]["valid_loss"]) == (1.1, 0.9)
    assert len(told["curve"]) == POINTS
    store.append("r", Finished(5.0))
    assert store.run("r").summary["metrics"] == {"accuracy": 0.7, "style": 2.0}


def test_a_paused_run_is_none_that_has_ended(tmp_path):
    store = Store.at_home(tmp_path)
    store.add("r", "token", "classifier", {}, {}, App("q", 1, "m"), at_most=9)
    store.take_next("q")
    store.append("r", Paused(1))
    assert store.run("r").state == "paused" and store.run("r").ended is None
    assert store.resume("r", App("p", 2, "n")) == "paused"
    assert store.run("r").app.queue == "p" and store.take_next("p").id == "r"
