"""What runs do, one line an event."""

import json
import logging

import pytest

from explorer.jobs import logs
from explorer.jobs.logs import AsJson, AsText, RunLog
from explorer.jobs.store import App, Store
from explorer.train.events import EpochDone, Failed, Finished

US = App("ours", 1, "mark")


@pytest.fixture
def store(tmp_path):
    with_runs = Store(tmp_path / "runs.sqlite")
    yield with_runs
    with_runs.close()


@pytest.fixture
def lines(caplog, monkeypatch):
    """What was told since the last time this was called, as (run, event, figures)."""
    monkeypatch.setattr(logging.getLogger("explorer"), "propagate", True)
    caplog.set_level(logging.INFO, "explorer.runs")

    def told():
        facts = [dict(record.facts) for record in caplog.records if hasattr(record, "facts")]
        caplog.clear()
        return [(fact.pop("run"), fact.pop("event"), fact) for fact in facts]

    return told


def put(store, run, app=US, data="shapes"):
    store.add(run, f"secret-{run}", "classifier", {"body": {"arch": "resnet18"}}, {"data": data}, app, at_most=9)


def test_a_run_is_told_from_the_line_to_its_end(store, lines):
    watch = RunLog(store, "ours")
    put(store, "a")
    watch.look(at_once=True)
    assert lines() == [("a", "queued", {"family": "classifier", "arch": "resnet18", "data": "shapes"})]
    store.take_next("ours")
    watch.look(at_once=True)
    assert [event for _, event, _ in lines()] == ["started"]
    store.append("a", EpochDone(1, 0.5, 0.4, (("accuracy", 0.9),), 2.0))
    watch.look(at_once=True)
    assert lines() == [("a", "epoch", {"epoch": 1, "train_loss": 0.5, "valid_loss": 0.4, "seconds": 2.0})]
    store.append("a", Finished())
    watch.look(at_once=True)
    (run, event, figures) = lines()[0]
    assert (run, event) == ("a", "finished") and figures["seconds"] >= 0
    store.remove("a")
    watch.look(at_once=True)
    watch.look(at_once=True)
    assert lines() == [("a", "removed", {})]


def test_what_happens_between_two_looks_is_told_in_order(store, lines):
    watch = RunLog(store, "ours")
    put(store, "a")
    store.take_next("ours")
    store.append("a", EpochDone(1, float("nan"), 0.4, (), 2.0))
    store.append("a", Failed("It burst.", 1))
    watch.look(at_once=True)
    told = lines()
    assert [event for _, event, _ in told] == ["queued", "started", "epoch", "failed"]
    assert told[-1][2]["reason"] == "It burst."


def test_runs_of_other_apps_and_runs_of_before_are_not_told_twice(store, lines):
    put(store, "a", App("theirs", 2, "mark"))
    store.take_next("theirs")
    store.append("a", EpochDone(1, 0.5, 0.4, (), 2.0))
    RunLog(store, "ours").look(at_once=True)
    assert lines() == []


def test_the_store_is_read_once_a_second(store, lines):
    watch = RunLog(store, "ours")
    watch.look()
    put(store, "a")
    watch.look()
    assert lines() == []


def test_neither_a_token_nor_a_path_stands_in_a_line(store, lines):
    watch = RunLog(store, "ours")
    put(store, "a", data="folder:/home/ada/pictures")
    watch.look(at_once=True)
    assert "secret" not in (told := str(lines())) and "ada" not in told and "folder" in told


def record(**facts):
    made = logging.LogRecord("explorer.runs", logging.INFO, "", 0, "run %s", ("a",), None)
    if facts:
        made.facts = facts
    return made


def test_a_line_as_json_holds_figures_and_is_strict_json():
    line = AsJson().format(record(run="a", event="epoch", train_loss=float("nan"), epoch=1))
    told = json.loads(line, parse_constant=pytest.fail)
    assert {**told, "time": ""} == {
        "time": "", "level": "info", "run": "a", "event": "epoch", "train_loss": None, "epoch": 1
    }  # fmt: skip
    assert json.loads(AsJson().format(record()))["message"] == "run a"


def test_a_line_as_text_is_short():
    line = AsText().format(record(run="a", event="failed", seconds=1.23456, reason="It burst."))
    assert line.endswith('run a failed seconds=1.235 reason="It burst."') and "\n" not in line


@pytest.fixture
def own_logger(monkeypatch):
    """The app's logger, left as it was."""
    app = logging.getLogger("explorer")
    for name, value in (("handlers", []), ("level", app.level), ("propagate", app.propagate)):
        monkeypatch.setattr(app, name, value)
    level = logs.log.level
    yield
    logs.log.setLevel(level)


@pytest.mark.usefixtures("own_logger")
def test_begin_chooses_the_form_and_does_not_double_lines(monkeypatch, capfd):
    monkeypatch.setenv("EXPLORER_LOG", "json")
    logs.begin()
    logs.begin()
    logs.tell("a", "started")
    assert [json.loads(line)["event"] for line in capfd.readouterr().err.splitlines()] == ["started"]
    logs.begin("off")
    logs.tell("a", "finished")
    assert capfd.readouterr().err == ""
    logs.begin("text")
    monkeypatch.setenv("EXPLORER_LOG", "xml")
    with pytest.raises(ValueError, match="EXPLORER_LOG"):
        logs.begin()
