"""What the Runs page asks of the server: only of one's own runs, whatever is asked."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from explorer.jobs.queue import Queue
from explorer.jobs.record import spec_to_dict
from explorer.jobs.rules import Rules
from explorer.jobs.store import App, Store
from explorer.spec import ClassifierSpec, HeadSpec, TrainSpec, UnetSpec
from explorer.train.events import EpochDone, Failed, Finished, Started
from explorer.ui.runs_desk import RELOAD, STRANGER, RunsDesk, page_link
from explorer.ui.runs_page import limits_words

ME, YOU = "m" * 32, "y" * 32
WISHES = ("stop", "pause", "resume", "again", "go_on", "delete", "restore", "pin", "rename", "note")
KEYS = ("mark", "group", "show", "picked", "open", "most", "against", "search", "do", "runs", "text", "run", "as")
PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
KNOWN = st.sampled_from(["a", "c", "pin", "csv"])
ANYTHING = st.recursive(
    PLAIN | KNOWN,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)
DIVERGED = Failed("The loss became nan; try a lower learning rate, such as 0.01.", 1)
STARTED = Started(1, 2, 2, 64, 16, ("a", "b"), "cpu", 10, 5, "random")


@pytest.fixture
def desk(tmp_path):
    store = Store.at_home(tmp_path)
    for name, owner, pool in (("a", ME, "concat"), ("b", ME, "max"), ("c", YOU, "max")):
        spec, train = ClassifierSpec(head=HeadSpec(pool=pool)), TrainSpec(epochs=1, lr=0.1)
        store.add(name, owner, "classifier", spec_to_dict(spec), spec_to_dict(train), App("q", 1, "m"), at_most=9)
        store.take_next("q")
        store.append(name, STARTED)
        store.append(name, EpochDone(1, 1.0, 1.1, (("accuracy", 0.5),), 2.0))
        end = (
            Failed("The loss became nan; try a lower learning rate, such as 0.01.", 1) if name == "b" else Finished(3.0)
        )
        store.append(name, end)
    with Queue(store) as queue:
        yield RunsDesk(queue)


@pytest.fixture
def ask(desk):
    """ask("look", group="pool") -> the answer to who holds the key ME."""
    functions = {function.__name__.removeprefix("runs_"): function for function in desk.functions()}

    def ask_(what: str, me: object = ME, **asked):
        return functions[what]([{"me": me, **asked}])

    return ask_


def ids(page: dict) -> set[str]:
    return {row["id"] for group in page["groups"] for row in group["rows"]}


def test_one_sees_ones_own_runs(ask):
    assert (ids(ask("look")), ids(ask("look", me=YOU)), ids(ask("look", me="n" * 32))) == ({"a", "b"}, {"c"}, set())


def test_what_has_not_changed_is_not_sent_again(ask, desk):
    mark = ask("look")["mark"]
    assert ask("look", mark=mark) == {"same": True}
    assert "groups" in ask("look", mark=mark, group="pool")
    ask("do", do="pin", runs=["a"])
    assert "groups" in ask("look", mark=mark)


@pytest.mark.parametrize(
    "wish", ["stop", "pause", "resume", "again", "go_on", "delete", "restore", "pin", "rename", "note"]
)
def test_others_runs_cannot_be_touched(wish, ask, desk):
    answer = ask("do", do=wish, runs=["c"], text="mine now")
    assert answer["done"] == [] and answer["problem"].startswith("Only")
    assert desk._store.run("c").name == "" and desk._store.run("c").deleted is None
    assert "error" in ask("more", run="c") and "a" not in ask("export", me=YOU, runs=["a"], **{"as": "csv"})["error"]


def test_a_run_is_renamed_and_noted_within_bounds(ask, desk):
    ask("do", do="rename", runs=["a"], text="  two\nlines  " + "x" * 200)
    ask("do", do="note", runs=["a"], text="y" * 9999)
    run = desk._store.run("a")
    assert run.name.startswith("two lines x") and len(run.name) == 80 and len(run.note) == 2000


def test_a_deleted_run_is_out_of_the_list_until_it_is_brought_back(ask):
    assert "They can be brought back for 10 minutes" in ask("do", do="delete", runs=["a", "b"])["text"]
    assert ids(ask("look")) == set()
    assert ask("do", do="restore", runs=["a"])["done"] == ["a"]
    assert ids(ask("look")) == {"a"}


def test_a_run_that_diverged_is_offered_a_tenth_of_its_rate(ask):
    rows = {row["id"]: row for group in ask("look")["groups"] for row in group["rows"]}
    assert rows["b"]["hint"] == {"do": "slower", "label": "Run again at 0.01"} and rows["a"]["hint"] == {}


def test_particulars_and_the_address_of_its_page(ask, desk):
    more = ask("more", run="b")
    assert more["link"] == "?pool=max&epochs=1&lr=0.1#run=b"
    assert ["Pictures", "64 to learn from, 16 to check on"] in more["facts"]
    store = desk._store
    store.add("u", ME, "unet", spec_to_dict(UnetSpec()), spec_to_dict(TrainSpec()), App("q", 1, "m"), at_most=9)
    assert page_link(store.run("u")).endswith("#unet-run=u")


def test_an_export_holds_what_is_needed_to_run_it_again(ask):
    records = json.loads(ask("export", runs=[], **{"as": "json"})["text"])
    assert {record["id"] for record in records} == {"a", "b"}
    assert records[0]["spec"]["head"]["pool"] == "max" and records[0]["epochs"][0]["valid_loss"] == 1.1
    assert len(ask("export", runs=["a"], **{"as": "csv"})["text"].splitlines()) == 2


def test_a_run_of_another_version_is_listed_without_knobs(ask, desk):
    desk._store.add("x", ME, "classifier", {"wings": 2}, {}, App("q", 1, "m"), at_most=9)
    page = ask("look")
    assert "x" in ids(page) and ask("more", run="x")["link"] == ""


@pytest.mark.parametrize("asked", [None, 3, [], [1, 2], "x", [{}], [{"me": 5}], [{"me": "short"}], [{"me": "é" * 32}]])
def test_who_cannot_say_who_they_are_sees_nothing(asked, desk):
    assert all(function(asked) in (RELOAD, STRANGER) for function in desk.functions())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(KEYS), ANYTHING))
def test_whatever_is_asked_has_an_answer(desk, asked):
    for function in desk.functions():
        json.dumps(function([{**asked, "me": ME}]))


def test_limits_are_told_in_one_sentence():
    assert limits_words(Rules()) == ""
    assert limits_words(Rules(5, 1.0, 3)) == "A run here takes at most 5 epochs and 1 minute. 3 of yours may wait."
