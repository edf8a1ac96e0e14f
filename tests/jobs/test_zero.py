"""Training in an event of the page, with a stand-in for the package `spaces` that forks as the real one does."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from explorer.jobs.queue import Queue
from explorer.jobs.rules import Estimate
from explorer.jobs.runner import LocalRunner, open_runner
from explorer.jobs.zero import ZeroRunner, on_gpu, seconds_from_environment
from explorer.spec import ClassifierSpec, TrainSpec

STAND_IN = Path(__file__).parent / "stand_in"
SPEC = ClassifierSpec()


@pytest.fixture
def spaces(monkeypatch):
    """The stand-in, on what looks like a ZeroGPU Space."""
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.syspath_prepend(str(STAND_IN))
    monkeypatch.delitem(sys.modules, "spaces", raising=False)
    import spaces

    yield spaces
    sys.modules.pop("spaces", None)


@pytest.fixture
def open_zero(store, spaces):
    """open_zero("short") is a queue of that fake fit and its runner; `train` options go to the runner."""
    queues = []

    def open_(fake: str, estimate=None, **options) -> tuple[Queue, ZeroRunner]:
        runner = ZeroRunner(store, fit=f"fake_fits:{fake}", **options)
        how = {"estimate": estimate} if estimate else {}
        queues.append(Queue(store, runner=runner, **how))
        return queues[-1], runner

    yield open_
    for queue in queues:
        queue.close()


def in_an_event(runner: ZeroRunner, run_id: str) -> threading.Thread:
    """A page's event that trains a run, in a thread as Gradio would have it."""
    event = threading.Thread(target=lambda: list(runner.train(run_id)), daemon=True)
    event.start()
    return event


def test_elsewhere_nothing_is_lent_and_runs_are_local(store, monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert on_gpu(lambda: 1)(print) is print
    assert isinstance(open_runner(store), LocalRunner)


def test_on_a_zerogpu_space_its_runner_is_taken(store, spaces):
    assert isinstance(open_runner(store), ZeroRunner)


def test_the_event_of_a_page_trains_the_run_in_another_process_and_all_watchers_see_it(open_zero, follow, spaces):
    queue, runner = open_zero("tells_process")
    run = queue.submit(SPEC, TrainSpec())
    event = in_an_event(runner, run.id)
    events, last = follow(queue, run.id)
    assert (last["state"], [e["event"] for e in events]) == ("finished", ["Note", "Finished"])
    assert int(events[0]["text"]) != os.getpid()
    event.join(10)
    assert not event.is_alive()
    assert spaces.asked == [60]


def test_what_is_told_is_what_a_local_run_tells(open_zero, open_queue, follow, monkeypatch):
    queue, runner = open_zero("paced")
    run = queue.submit(SPEC, TrainSpec(epochs=2))
    in_an_event(runner, run.id)
    lent, _ = follow(queue, run.id)
    local = open_queue("paced")
    assert lent == follow(local, local.submit(SPEC, TrainSpec(epochs=2)).id)[0]
    assert (queue.store.folder(run.id) / "last.safetensors").read_text() == "epoch 2"


@pytest.mark.parametrize("seconds, asked", [(2.0, 20), (20.0, 40), (500.0, 60), (None, 60)])
def test_the_time_asked_for_is_half_as_much_again_as_was_estimated(open_zero, follow, spaces, seconds, asked):
    queue, runner = open_zero("short", estimate=lambda spec, train: Estimate(0, seconds))
    run = queue.submit(SPEC, TrainSpec(epochs=1))
    in_an_event(runner, run.id)
    follow(queue, run.id)
    assert spaces.asked == [asked]


def test_a_run_whose_time_is_used_up_stops_and_says_so(open_zero, follow):
    queue, runner = open_zero("paced", seconds=6)
    run = queue.submit(SPEC, TrainSpec(epochs=200))
    in_an_event(runner, run.id)
    events, last = follow(queue, run.id)
    assert last["state"] == "stopped" and last["reason"].startswith("The 6 seconds of GPU time")
    assert events[-1]["epoch"] == max(e["epoch"] for e in events if e["event"] == "EpochDone") >= 1


def test_a_stop_reaches_a_run_between_two_of_its_events(open_zero, follow, wait_for):
    queue, runner = open_zero("polite")
    run = queue.submit(SPEC, TrainSpec())
    event = in_an_event(runner, run.id)
    wait_for(lambda: queue.poll(run.id)["n"] == 2)
    queue.stop(run.id, run.token)
    _, last = follow(queue, run.id)
    assert (last["state"], last["reason"]) == ("stopped", "")
    event.join(10)
    assert not event.is_alive() and not list(queue.store.folder(run.id).glob("*.wish"))


def test_a_pause_lets_the_run_rest_and_go_on_in_another_event(open_zero, follow, wait_for):
    queue, runner = open_zero("pauses")
    run = queue.submit(SPEC, TrainSpec(epochs=30))
    event = in_an_event(runner, run.id)
    wait_for(lambda: queue.poll(run.id)["n"] > 2)
    queue.pause(run.id, run.token)
    wait_for(lambda: queue.poll(run.id)["state"] == "paused")
    event.join(10)
    queue.resume(run.id, run.token)
    in_an_event(runner, run.id)
    events, last = follow(queue, run.id)
    assert last["state"] == "finished"
    assert [e["step"] for e in events if e["event"] == "Step"] == list(range(1, 91))


def test_a_page_that_is_closed_ends_its_run(open_zero, follow, wait_for):
    queue, runner = open_zero("paced")
    run = queue.submit(SPEC, TrainSpec(epochs=200))
    wait_for(lambda: queue.poll(run.id)["state"] == "running")
    event = runner.train(run.id)
    next(event)
    event.close()
    _, last = follow(queue, run.id)
    assert last["state"] == "stopped" and "closed" in last["reason"]


def test_a_run_that_no_page_comes_for_fails_and_the_next_has_its_turn(open_zero, follow):
    queue, runner = open_zero("short", patience=0.3)
    first, second = (queue.submit(SPEC, TrainSpec(epochs=1)) for _ in range(2))
    in_an_event(runner, second.id)
    assert "No page came" in follow(queue, first.id)[1]["reason"]
    assert follow(queue, second.id)[1]["state"] == "finished"


def test_a_gpu_that_is_not_lent_is_a_failure_in_the_words_of_the_host(open_zero, follow, spaces, monkeypatch):
    refusal = RuntimeError()
    refusal.message = "You have exceeded your GPU quota"
    monkeypatch.setattr(spaces, "refusal", refusal)
    queue, runner = open_zero("short")
    run = queue.submit(SPEC, TrainSpec())
    in_an_event(runner, run.id)
    last = follow(queue, run.id)[1]
    assert last["reason"] == "ZeroGPU did not train this run: You have exceeded your GPU quota."


def test_a_run_is_trained_once_however_many_events_ask(open_zero, follow, spaces):
    queue, runner = open_zero("paced")
    run = queue.submit(SPEC, TrainSpec(epochs=2))
    for _ in range(3):
        in_an_event(runner, run.id)
    events, _ = follow(queue, run.id)
    assert [e["step"] for e in events if e["event"] == "Step"] == list(range(1, 11))
    assert len(spaces.asked) == 1
    assert list(runner.train(run.id)) == list(runner.train("nobody")) == list(runner.train(None)) == []


@pytest.mark.parametrize("text", ["soon", "5", "99999"])
def test_a_time_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv("EXPLORER_ZERO_SECONDS", text)
    with pytest.raises(ValueError, match="EXPLORER_ZERO_SECONDS"):
        seconds_from_environment()
