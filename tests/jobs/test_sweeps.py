"""Sweeps of fake fits: in line, waited for, summed up as a table, from Python and from the command line."""

from __future__ import annotations

import csv
import json
import statistics

import pytest

from explorer.jobs.queue import QueueFull
from explorer.jobs.store import Store, hash_token
from explorer.jobs.sweep import main
from explorer.jobs.sweeps import as_csv, as_json, markdown, rows_of, submit_all, told, unfinished, wait_for_all
from explorer.spec import ClassifierSpec, TrainSpec
from explorer.sweep import sweep

ME = "s" * 32


def swept(queue, knobs, seeds, **train):
    """A sweep's entries, its runs, and its rows when all have ended."""
    entries = sweep(ClassifierSpec(), TrainSpec(**train), knobs, seeds)
    runs = submit_all(queue, entries, me=ME)
    wait_for_all(queue, runs, every=0.02)
    return entries, runs, rows_of(entries, [queue.store.run(run.id) for run in runs])


def test_a_sweep_comes_back_as_a_row_a_setting_with_mean_spread_and_best(open_queue):
    """The fake's valid loss is (seed + 1) / epochs, its accuracy a tenth of the seed."""
    queue = open_queue("paced", workers=2)
    entries, runs, rows = swept(queue, {"train.epochs": (1, 2)}, 3)
    assert [row.setting for row in rows] == [{"train.epochs": 1}, {"train.epochs": 2}]
    for row, epochs in zip(rows, (1, 2), strict=True):
        losses = [(seed + 1) / epochs for seed in range(3)]
        got = row.metrics["valid_loss"]
        assert (got.mean, got.spread) == pytest.approx((statistics.fmean(losses), statistics.stdev(losses)))
        assert (got.n, got.best) == (3, min(losses))
        assert row.metrics["accuracy"].best == pytest.approx(0.2)
        assert row.failed == ()
    assert {queue.store.run(run.id).owner for run in runs} == {hash_token(ME)}
    table = markdown(rows)
    assert table.splitlines()[0].startswith("| setting | runs | train_loss | best train_loss | valid_loss |")
    assert "| train.epochs 1 | 3 |" in table and "2 ± 1" in table
    (first, _) = csv.DictReader(as_csv(rows).splitlines())
    assert (float(first["valid_loss mean"]), float(first["valid_loss spread"]), first["failed"]) == (2.0, 1.0, "0")
    every = json.loads(as_json(rows, entries, runs))
    assert [run["run"] for run in every["runs"]] == [run.id for run in runs]


def test_runs_that_failed_are_named_with_their_reasons(open_queue):
    _, _, rows = swept(open_queue("teaches"), {"body.size": (16,)}, 2)
    why = "The image size 16 is too small for layer4: 64 would do."
    assert rows[0].failed == ((0, why), (1, why)) and rows[0].metrics == {}
    assert f"* body.size 16, seed 1: {why}" in markdown(rows)
    assert why in as_csv(rows)


def test_one_seed_has_no_spread():
    assert told("accuracy", [0.5]).spread is None
    assert told("accuracy", [0.5, 0.7]).best == 0.7
    assert told("style", [0.5, 0.7]).best == 0.5


def test_a_line_that_is_full_is_waited_for(open_queue):
    queue = open_queue("short", waiting=1)
    _, runs, rows = swept(queue, {}, 5)
    assert rows[0].metrics["valid_loss"].n == len({run.id for run in runs}) == 5


def test_a_sweep_that_cannot_be_put_in_line_leaves_nothing_behind(open_queue, wait_for):
    queue = open_queue("gated", waiting=1)
    blocker = queue.submit(ClassifierSpec(), TrainSpec())
    wait_for(lambda: queue.poll(blocker.id)["state"] == "running")
    queue.submit(ClassifierSpec(), TrainSpec())
    with pytest.raises(QueueFull):
        submit_all(queue, sweep(ClassifierSpec(), TrainSpec(), {}, 2))
    assert len(queue.store.runs()) == 2


def test_the_command_line_prints_the_table_and_writes_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EXPLORER_HOME", str(tmp_path / "home"))
    words = ["--arch", "resnet18", "--set", "head.pool=avg,max", "--seeds", "2", "--epochs", "1", "--me", ME]
    assert main([*words, "--out", str(tmp_path / "table")], fit="fake_fits:paced") == 0
    table = capsys.readouterr().out
    assert "| head.pool avg | 2 |" in table and "| head.pool max | 2 |" in table
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 3
    every = json.loads((tmp_path / "table.json").read_text())["runs"]
    assert [(run["spec"]["body"]["arch"], run["train"]["epochs"]) for run in every] == [("resnet18", 1)] * 4
    store = Store.at_home(tmp_path / "home")
    assert {run.owner for run in store.runs()} == {hash_token(ME)} and not unfinished(store, ())
    store.close()


@pytest.mark.parametrize(
    "words, said",
    [
        (["--set", "head.pool=median"], "Pooling is concat"),
        (["--set", "head.pool=avg", "--set", "head.pool=max"], "named twice"),
        (["--me", "short"], "A browser's secret"),
        (["--link", "pool=median"], "Pooling is concat"),
        (["--epochs", "0"], "epochs"),
    ],
)
def test_the_command_line_says_in_one_sentence_what_cannot_be_meant(words, said, capsys):
    assert main(words) == 2
    told = capsys.readouterr().err
    assert said.lower() in told.lower() and len(told.strip().splitlines()) == 1


def test_a_dry_sweep_only_says_what_it_would_train(capsys):
    assert main(["--set", "train.lr=0.001,0.01", "--seeds", "2", "--dry"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_an_interrupted_sweep_stops_its_runs_and_tells_what_there_is(tmp_path, monkeypatch, capsys):
    """Ctrl-C while the first run trains."""
    monkeypatch.setenv("EXPLORER_HOME", str(tmp_path / "home"))
    waits = iter([KeyboardInterrupt, None])

    def wait(queue, runs, **how):
        if interrupt := next(waits):
            raise interrupt
        wait_for_all(queue, runs)

    monkeypatch.setattr("explorer.jobs.sweep.wait_for_all", wait)
    assert main(["--seeds", "3", "--epochs", "200", "--out", str(tmp_path / "table")], fit="fake_fits:paced") == 1
    told = capsys.readouterr().out
    assert "Not finished:" in told and told.count("was stopped before its end") == 3
