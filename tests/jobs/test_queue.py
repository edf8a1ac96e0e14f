"""Runs in real processes: the line, watching, stopping, dying, and the app coming and going."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time

import pytest

from explorer.jobs.keep import Limits
from explorer.jobs.process import birth_mark, is_alive
from explorer.jobs.queue import NotYours, Queue, QueueFull, TooLarge, expected_waits
from explorer.jobs.rules import Estimate, Rules
from explorer.jobs.runner import workers_from_environment
from explorer.jobs.store import Store, hash_token
from explorer.jobs.worker import ROOT
from explorer.spec import BodySpec, ClassifierSpec, SpecError, TrainSpec

SPEC, TRAIN = ClassifierSpec(), TrainSpec(epochs=2)
SOON = 20  # seconds, where the app promises one on a machine with a core to spare; the longest batch takes 300

APP = """
import signal, sys, time
from explorer.jobs.queue import Queue
from explorer.jobs.store import Store
from explorer.spec import ClassifierSpec, TrainSpec
signal.signal(signal.SIGINT, signal.default_int_handler)
store = Store(sys.argv[1])
queue = Queue(store, fit="fake_fits:long_batch")
runs = [queue.submit(ClassifierSpec(), TrainSpec()) for _ in range(2)]
while (now := queue.poll(runs[0].id))["n"] < 3 and now["state"] != "failed": time.sleep(.01)
print(runs[0].id, runs[1].id, store.run(runs[0].id).pid, flush=True)
{then}
"""


@pytest.fixture
def start_app(store):
    """start_app(then) starts another app on the store: its process, a running run, a waiting one, the worker's pid."""
    apps = []

    def start(then: str):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ["PYTHONPATH"]])}
        command = [sys.executable, "-c", APP.format(then=then), str(store.path)]
        apps.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        running, waiting, pid = apps[-1].stdout.readline().split()
        return apps[-1], running, waiting, int(pid)

    yield start
    for app in apps:
        app.kill()
        app.wait()
        app.stdout.close()


def kinds(events: list[dict]) -> list[str]:
    return [event["event"] for event in events]


def test_a_run_from_click_to_curve(open_queue, follow):
    queue = open_queue("short")
    run = queue.submit(SPEC, TRAIN)
    events, last = follow(queue, run.id)
    steps = ["Step"] * 3
    assert kinds(events) == ["Note", "Started", *steps, "EpochDone", *steps, "EpochDone", "Finished"]
    assert (last["state"], last["reason"], last["device"], last["position"]) == ("finished", "", "cpu", 0)
    assert last["created"] <= last["started"] <= last["ended"] <= last["now"]
    record = queue.store.run(run.id)
    assert record.versions["torch"]
    assert (record.spec["body"]["arch"], record.train["epochs"]) == ("resnet34", 2)
    assert (queue.store.folder(run.id) / "last.safetensors").read_text() == "epoch 2"


def test_ids_and_tokens_cannot_be_guessed(open_queue):
    queue = open_queue("gated")
    runs = [queue.submit(SPEC, TRAIN) for _ in range(3)]
    assert len({run.id for run in runs} | {run.token for run in runs}) == 6
    assert all(len(run.id) >= 16 and len(run.token) >= 32 for run in runs)


def test_an_id_may_begin_with_a_dash(open_queue, follow, monkeypatch):
    queue = open_queue("short")
    monkeypatch.setattr("secrets.token_urlsafe", lambda size: "-" + "h" * size)
    run = queue.submit(SPEC, TRAIN)
    assert run.id.startswith("-h")
    assert follow(queue, run.id)[1]["state"] == "finished"


def test_runs_train_one_after_the_other_in_the_order_they_came(open_queue, follow, wait_for):
    queue = open_queue("gated")
    first, second, third = (queue.submit(SPEC, TRAIN) for _ in range(3))
    wait_for(lambda: queue.poll(first.id)["n"])
    assert [queue.poll(run.id)["state"] for run in (first, second, third)] == ["running", "queued", "queued"]
    assert [queue.poll(run.id)["position"] for run in (first, second, third)] == [0, 1, 2]
    (queue.store.path.parent / "runs" / "go").touch()
    last = [follow(queue, run.id)[1] for run in (first, second, third)]
    assert [answer["state"] for answer in last] == ["finished"] * 3
    assert last[0]["ended"] <= last[1]["started"] <= last[1]["ended"] <= last[2]["started"]


def test_two_workers_train_two_runs_at_once(open_queue, wait_for):
    queue = open_queue("gated", workers=2)
    runs = [queue.submit(SPEC, TRAIN) for _ in range(3)]
    wait_for(lambda: all(queue.poll(run.id)["n"] for run in runs[:2]))
    assert [queue.poll(run.id)["state"] for run in runs] == ["running", "running", "queued"]


def test_a_cursor_loses_nothing_and_repeats_nothing(open_queue, follow):
    queue = open_queue("thousand_steps")
    run = queue.submit(SPEC, TRAIN)
    events, _ = follow(queue, run.id, limit=7)
    assert [e["step"] for e in events if e["event"] == "Step"] == list(range(1, 1001))


def test_twenty_watchers_see_every_point_and_the_answer_is_quick(open_queue, follow):
    queue = open_queue("thousand_steps")
    run = queue.submit(SPEC, TRAIN)
    seen = {}
    threads = [threading.Thread(target=lambda i=i: seen.update({i: follow(queue, run.id)[0]})) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 20
    assert all([e["step"] for e in seen[i] if e["event"] == "Step"] == list(range(1, 1001)) for i in range(20))
    took = []
    for _ in range(50):
        began = time.thread_time()
        queue.poll(run.id, 990)
        took.append(time.thread_time() - began)
    assert statistics.median(took) < 0.005


def test_another_store_and_queue_re_attach_in_the_middle(open_queue, store, follow, wait_for):
    queue = open_queue("thousand_steps")
    run = queue.submit(SPEC, TRAIN)
    middle = wait_for(lambda: (answer := queue.poll(run.id, 0, 100))["n"] >= 100 and answer)
    other = Store(store.path)
    with Queue(other, fit="fake_fits:short") as second:
        rest, last = follow(second, run.id, since=middle["next"])
    other.close()
    assert last["state"] == "finished"
    assert [e["step"] for e in middle["events"] + rest if e["event"] == "Step"] == list(range(1, 1001))


@pytest.mark.parametrize("since", [-1, 10**30, 13, "3", None, 2.5, True, [1], {}])
def test_a_bad_cursor_begins_at_the_beginning(open_queue, follow, since):
    queue = open_queue("short")
    run = queue.submit(SPEC, TrainSpec(epochs=1))
    events, _ = follow(queue, run.id)
    answer = queue.poll(run.id, since)
    assert (answer["since"], answer["events"], answer["next"]) == (0, events, len(events))


@pytest.mark.parametrize("limit", [0, -5, 10**30, "x", None, True])
def test_a_bad_limit_is_the_usual_one(open_queue, follow, limit):
    queue = open_queue("short")
    run = queue.submit(SPEC, TrainSpec(epochs=1))
    events, _ = follow(queue, run.id)
    assert queue.poll(run.id, 0, limit)["events"] == events


ABSURD = ["nobody", "", None, 7, ["x"], {}, "\ud800", "\0", "x" * 10**6, "'; DROP TABLE runs; --", "../.."]


@pytest.mark.parametrize("run_id", ABSURD)
def test_an_unknown_run_is_gone(open_queue, run_id):
    queue = open_queue("short")
    assert queue.poll(run_id) == {"state": "gone"}
    answer = queue.stop(run_id, "token")
    assert (answer.ok, answer.state) == (False, "gone")


def test_an_answer_is_strict_json(open_queue, follow):
    queue = open_queue("not_finite")
    run = queue.submit(SPEC, TRAIN)
    events, last = follow(queue, run.id)
    assert events[0] == {"event": "Step", "step": 1, "loss": None, "lr": None, "smooth": 1.0}
    json.dumps(queue.poll(run.id), allow_nan=False)
    assert (last["state"], last["reason"]) == ("failed", "The loss is not finite in epoch 1, batch 1.")


def test_a_stop_is_heard_between_batches(open_queue, follow, wait_for):
    queue = open_queue("polite")
    run = queue.submit(SPEC, TRAIN)
    wait_for(lambda: queue.poll(run.id)["n"] >= 2)
    pid = queue.store.run(run.id).pid
    answer = queue.stop(run.id, run.token)
    assert (answer.ok, answer.state) == (True, "running")
    events, last = follow(queue, run.id)
    assert events[-1] == {"event": "Stopped", "epoch": 1, "reason": ""}
    assert last["state"] == "stopped"
    wait_for(lambda: not birth_mark(pid))


def test_a_stop_does_not_wait_for_the_longest_batch(open_queue, follow, wait_for):
    queue = open_queue("long_batch")
    run = queue.submit(SPEC, TRAIN)
    wait_for(lambda: queue.poll(run.id)["n"] >= 3)
    pid = queue.store.run(run.id).pid
    asked = time.time()
    queue.stop(run.id, run.token)
    assert queue.poll(run.id)["stopping"]
    events, last = follow(queue, run.id)
    assert last["ended"] - asked < SOON
    assert kinds(events) == ["Started", "EpochDone", "Step", "Stopped"]
    assert events[-1]["epoch"] == 1
    assert (last["state"], last["stopping"]) == ("stopped", False)
    assert not birth_mark(pid)


def test_a_stop_while_the_worker_wakes_up_is_as_quick(open_queue, follow):
    queue = open_queue("long_batch")
    run = queue.submit(SPEC, TRAIN)
    asked = time.time()
    queue.stop(run.id, run.token)
    _, last = follow(queue, run.id)
    assert last["state"] == "stopped"
    assert last["ended"] - asked < SOON


def test_who_waits_stops_at_once_and_the_line_moves_up(open_queue, wait_for):
    queue = open_queue("gated")
    first, second, third = (queue.submit(SPEC, TRAIN) for _ in range(3))
    wait_for(lambda: queue.poll(first.id)["n"])
    assert queue.stop(second.id, second.token).state == "stopped"
    stopped = queue.poll(second.id)
    assert (stopped["state"], kinds(stopped["events"]), stopped["started"]) == ("stopped", ["Stopped"], None)
    assert queue.poll(third.id)["position"] == 1


@pytest.mark.parametrize("token", ["", "wrong", None, 5, "\ud800", ["token"]])
def test_a_wrong_token_stops_nothing(open_queue, wait_for, token):
    queue = open_queue("gated")
    run = queue.submit(SPEC, TRAIN)
    wait_for(lambda: queue.poll(run.id)["state"] == "running")
    answer = queue.stop(run.id, token)
    assert (answer.ok, answer.state) == (False, "running")
    assert "started this run" in answer.text
    assert not queue.poll(run.id)["stopping"]


def test_stopping_twice_or_after_the_end_does_no_harm(open_queue, follow, wait_for):
    queue = open_queue("polite")
    run = queue.submit(SPEC, TRAIN)
    wait_for(lambda: queue.poll(run.id)["n"] >= 2)
    assert queue.stop(run.id, run.token).ok
    assert queue.stop(run.id, run.token).ok
    events, _ = follow(queue, run.id)
    assert kinds(events).count("Stopped") == 1
    answer = queue.stop(run.id, run.token)
    assert (answer.ok, answer.state, answer.text) == (True, "stopped", "The run had stopped already.")
    assert queue.poll(run.id)["n"] == len(events)


def test_a_killed_worker_ends_as_failed_and_the_next_run_trains(open_queue, follow, wait_for):
    queue = open_queue("long_batch")
    run, after = queue.submit(SPEC, TRAIN), queue.submit(SPEC, TRAIN)
    wait_for(lambda: queue.poll(run.id)["n"] >= 3)
    os.kill(queue.store.run(run.id).pid, signal.SIGKILL)
    events, last = follow(queue, run.id)
    assert kinds(events) == ["Started", "EpochDone", "Step", "Failed"]
    assert events[-1]["epoch"] == 1
    assert "killed (signal 9)" in last["reason"]
    assert "smaller batch" in last["reason"]
    wait_for(lambda: queue.poll(after.id)["n"] >= 3)


@pytest.mark.parametrize(
    "fake, words",
    [
        ("teaches", "The image size 16 is too small for layer4: 64 would do."),
        ("speaks_garbage", "ended with exit code 3: malloc(): corrupted top size[0m."),
        ("exits_quietly", "ended without a result"),
        ("forgets_its_end", "without saying whether it succeeded"),
    ],
)
def test_a_worker_that_goes_wrong_ends_as_failed_with_the_reason(open_queue, follow, fake, words):
    queue = open_queue(fake)
    events, last = follow(queue, queue.submit(SPEC, TRAIN).id)
    assert last["state"] == "failed"
    assert words in last["reason"]
    assert kinds(events).count("Failed") == 1


def test_a_worker_that_cannot_start_ends_as_failed(open_queue, follow, monkeypatch, tmp_path):
    queue = open_queue("short")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    _, last = follow(queue, queue.submit(SPEC, TRAIN).id)
    assert (last["state"], last["reason"][:44]) == ("failed", "The training process could not be started: [")


def test_the_queue_survives_a_store_that_is_out_of_order_for_a_moment(store, open_queue, follow, monkeypatch):
    take, stumbles = store.take_next, []

    def stumble(name, room):
        if not stumbles:
            stumbles.append(name)
            raise OSError("disk is full")
        return take(name, room)

    monkeypatch.setattr(store, "take_next", stumble)
    queue = open_queue("short")
    _, last = follow(queue, queue.submit(SPEC, TRAIN).id)
    assert stumbles
    assert last["state"] == "finished"


def test_a_line_that_is_full_refuses_in_one_sentence(open_queue, wait_for):
    queue = open_queue("gated", waiting=2)
    first = queue.submit(SPEC, TRAIN)
    wait_for(lambda: queue.poll(first.id)["state"] == "running")
    queue.submit(SPEC, TRAIN), queue.submit(SPEC, TRAIN)
    with pytest.raises(QueueFull, match="2 runs wait in line already"):
        queue.submit(SPEC, TRAIN)
    assert len(queue.store.runs()) == 3


@pytest.mark.parametrize(
    "spec, train",
    [
        (None, TRAIN),
        ({"body": {}}, TRAIN),
        (SPEC, None),
        (SPEC, SPEC),
        (TRAIN, SPEC),
        (ClassifierSpec(BodySpec(arch="x" * 10**6)), TRAIN),
    ],
)
def test_what_is_no_run_is_refused_and_leaves_no_record(open_queue, spec, train):
    queue = open_queue("short")
    with pytest.raises(SpecError):
        queue.submit(spec, train)
    assert queue.store.runs() == ()


def test_a_spec_that_was_forced_into_nonsense_is_refused(open_queue):
    queue, spec = open_queue("short"), ClassifierSpec()
    object.__setattr__(spec, "n_out", -3)
    with pytest.raises(SpecError, match="number of outputs"):
        queue.submit(spec, TRAIN)


def test_closing_ends_the_workers_and_says_so(open_queue, wait_for):
    queue = open_queue("long_batch")
    run, waiting = queue.submit(SPEC, TRAIN), queue.submit(SPEC, TRAIN)
    wait_for(lambda: queue.poll(run.id)["n"] >= 3)
    pid = queue.store.run(run.id).pid
    queue.close()
    queue.close()
    assert not birth_mark(pid)
    ended, left = queue.poll(run.id), queue.poll(waiting.id)
    assert (ended["state"], left["state"]) == ("failed", "failed")
    assert "while this run was training" in ended["reason"]
    assert "before this run's turn" in left["reason"]
    assert kinds(ended["events"]) == ["Started", "EpochDone", "Step", "Failed"]
    with pytest.raises(QueueFull, match="closing"):
        queue.submit(SPEC, TRAIN)


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_the_app_and_its_runs_are_told_of_when_it_comes_back(open_queue, start_app, wait_for, death):
    app, running, waiting, pid = start_app("time.sleep(300)")
    mark = birth_mark(pid)
    assert mark
    app.send_signal(death)
    wait_for(lambda: app.poll() is not None)
    wait_for(lambda: not is_alive(pid, mark))
    queue = open_queue("short")
    ended, left = queue.poll(running), queue.poll(waiting)
    assert (ended["state"], left["state"]) == ("failed", "failed")
    assert "while this run was training" in ended["reason"]
    assert "before this run's turn" in left["reason"]
    assert kinds(ended["events"]) == ["Started", "EpochDone", "Step", "Failed"]
    assert ended["events"][-1]["epoch"] == 1


def test_an_app_that_ends_by_itself_leaves_no_worker(start_app, wait_for):
    app, _, _, pid = start_app("")
    wait_for(lambda: app.poll() is not None)
    wait_for(lambda: not birth_mark(pid))


def test_runs_of_an_app_that_lives_are_left_alone(open_queue, start_app):
    _, running, waiting, pid = start_app("time.sleep(300)")
    queue = open_queue("short")
    assert (queue.poll(running)["state"], queue.poll(waiting)["state"]) == ("running", "queued")
    assert birth_mark(pid)
    queue.close()
    assert (queue.poll(running)["state"], queue.poll(waiting)["state"]) == ("running", "queued")


def test_a_worker_leaves_a_core_to_the_page(open_queue, follow, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("explorer.jobs.runner.usable_cores", lambda: 4)
    for options, threads in (({}, "3"), ({"threads": 2}, "2")):
        queue = open_queue("tells_threads", **options)
        assert follow(queue, queue.submit(SPEC, TRAIN).id)[0][0]["text"] == threads


@pytest.mark.parametrize("text", ["0", "-1", "two", "", "65"])
def test_a_number_of_workers_that_cannot_be_is_refused(monkeypatch, text):
    monkeypatch.setenv("EXPLORER_WORKERS", text)
    with pytest.raises(ValueError, match="EXPLORER_WORKERS"):
        workers_from_environment()


def test_the_environment_says_how_many_workers(monkeypatch):
    assert workers_from_environment() == 1
    monkeypatch.setenv("EXPLORER_WORKERS", "3")
    assert workers_from_environment() == 3


def test_ended_runs_make_room_as_soon_as_another_ends(open_queue, follow, wait_for):
    queue = open_queue("short", keep=Limits(days=0.0))
    run = queue.submit(SPEC, TRAIN)
    wait_for(lambda: queue.poll(run.id)["state"] == "gone")


ME, YOU = "m" * 32, "y" * 32


def test_one_secret_is_the_token_of_all_ones_runs(open_queue):
    queue = open_queue("gated")
    mine = [queue.submit(SPEC, TRAIN, me=ME) for _ in range(2)]
    yours = queue.submit(SPEC, TRAIN, me=YOU)
    assert {run.token for run in mine} == {ME}
    assert [record.id for record in queue.store.runs_of(hash_token(ME))] == [run.id for run in reversed(mine)]
    assert not queue.stop(yours.id, ME).ok and queue.stop(yours.id, YOU).ok


@pytest.mark.parametrize("me", ["", None, 3, "short", "x" * 65, "m" * 31 + "é", ["m" * 32]])
def test_what_is_no_secret_gets_a_token_of_its_own(me, open_queue):
    run = open_queue("gated").submit(SPEC, TRAIN, me=me)
    assert run.token != me and len(run.token) == 32


def test_turns_go_round_by_person(open_queue, wait_for):
    queue = open_queue("gated")
    first = queue.submit(SPEC, TRAIN, me=ME)
    wait_for(lambda: queue.poll(first.id)["n"])
    mine = [queue.submit(SPEC, TRAIN, me=ME).id for _ in range(3)]
    yours = queue.submit(SPEC, TRAIN, me=YOU)
    assert yours.position == 1
    assert [queue.poll(run)["position"] for run in mine] == [2, 3, 4]
    assert [run.id for run in queue.store.line(queue._app.queue)] == [yours.id, *mine]


def test_a_paused_run_goes_on_where_it_rested(open_queue, follow, wait_for):
    queue = open_queue("pauses")
    run = queue.submit(SPEC, TrainSpec(epochs=4), me=ME)
    other = queue.submit(SPEC, TrainSpec(epochs=2), me=YOU)
    wait_for(lambda: queue.poll(run.id)["n"])
    assert not queue.pause(run.id, YOU).ok
    assert queue.pause(run.id, ME).ok
    wait_for(lambda: queue.poll(run.id)["state"] == "paused")
    follow(queue, other.id)
    assert queue.poll(run.id)["state"] == "paused"
    assert not queue.resume(run.id, YOU).ok
    assert queue.resume(run.id, ME).ok
    events, last = follow(queue, run.id)
    assert last["state"] == "finished"
    assert [event["step"] for event in events if event["event"] == "Step"] == list(range(1, 13))
    assert kinds(events).count("Started") == kinds(events).count("Paused") == kinds(events).count("Resumed") == 1
    assert not queue.resume(run.id, ME).ok and not queue.pause(run.id, ME).ok


def test_a_run_that_rests_can_be_stopped_and_outlives_its_app(open_queue, wait_for):
    queue = open_queue("pauses")
    runs = [queue.submit(SPEC, TrainSpec(epochs=50), me=ME) for _ in range(2)]
    wait_for(lambda: queue.poll(runs[0].id)["n"] > 4)
    queue.pause(runs[0].id, ME)
    wait_for(lambda: queue.poll(runs[0].id)["state"] == "paused")
    epoch = queue.store.last_epoch(runs[0].id)
    queue.resume(runs[0].id, ME)
    queue.close()
    again = open_queue("pauses")
    assert again.poll(runs[0].id)["state"] == "paused"
    assert again.stop(runs[0].id, ME).state == "stopped"
    assert again.poll(runs[0].id)["events"][-1] == {"event": "Stopped", "epoch": epoch, "reason": ""}


def test_a_run_is_run_again_or_continued_with_its_last_weights(open_queue, follow):
    queue = open_queue("keeps_weights")
    first = queue.submit(SPEC, TRAIN, me=ME)
    follow(queue, first.id)
    with pytest.raises(NotYours, match="Only whoever started"):
        queue.go_on(first.id, YOU)
    second, third = queue.go_on(first.id, ME), queue.again(first.id, ME)
    assert [follow(queue, run.id)[0][0]["text"] for run in (second, third)] == [first.id, "nothing"]
    fourth = queue.again(second.id, ME)
    assert follow(queue, fourth.id)[0][0]["text"] == first.id
    assert [queue.store.run(run.id).parent for run in (second, third, fourth)] == [first.id, "", first.id]
    assert queue.store.run(fourth.id).spec == queue.store.run(first.id).spec


def test_a_run_without_weights_cannot_be_continued(open_queue, follow):
    queue = open_queue("not_finite")
    run = queue.submit(SPEC, TRAIN, me=ME)
    follow(queue, run.id)
    with pytest.raises(SpecError, match="weights of that run are gone"):
        queue.go_on(run.id, ME)
    assert [folder.name for folder in queue.store.runs_folder.iterdir()] == [run.id]


def test_what_the_memory_cannot_hold_is_refused_with_the_figures(open_queue):
    queue = open_queue("gated", memory=4 * 10**9, estimate=lambda spec, train: Estimate(5 * 10**9))
    with pytest.raises(TooLarge, match=r"about 5.0 GB .* has 4.0 GB .*smaller batch"):
        queue.submit(SPEC, TRAIN)
    assert queue.store.runs() == ()


def test_two_large_runs_train_one_after_the_other(open_queue, wait_for, follow):
    queue = open_queue("gated", workers=2, memory=4 * 10**9, estimate=lambda spec, train: Estimate(3 * 10**9))
    first, second = queue.submit(SPEC, TRAIN), queue.submit(SPEC, TRAIN)
    wait_for(lambda: queue.poll(first.id)["n"])
    time.sleep(0.3)
    assert queue.poll(second.id)["state"] == "queued"
    (queue.store.path.parent / "runs" / "go").touch()
    assert follow(queue, second.id)[1]["started"] >= follow(queue, first.id)[1]["ended"]


def test_a_host_stops_a_run_at_its_limit_and_says_so(open_queue, follow):
    queue = open_queue("polite", rules=Rules(minutes=0.005))
    run = queue.submit(SPEC, TRAIN)
    events, last = follow(queue, run.id)
    assert (last["state"], events[-1]["event"]) == ("stopped", "Stopped")
    assert "limit of 0.005 minutes" in last["reason"]


def test_a_host_takes_so_many_waiting_runs_of_each_person(open_queue, wait_for):
    queue = open_queue("gated", rules=Rules(each=2))
    first = queue.submit(SPEC, TRAIN, me=ME)
    wait_for(lambda: queue.poll(first.id)["n"])
    for _ in range(2):
        queue.submit(SPEC, TRAIN, me=ME)
    with pytest.raises(QueueFull, match="2 runs of yours wait already"):
        queue.submit(SPEC, TRAIN, me=ME)
    assert queue.submit(SPEC, TRAIN, me=YOU).position == 1


def test_the_wait_is_told_as_far_as_it_is_known():
    line = [("a", 10.0), ("b", 20.0), ("c", None), ("d", 5.0)]
    assert expected_waits([30.0], line, 1) == {"a": 30.0, "b": 40.0, "c": 60.0, "d": None}
    assert expected_waits([30.0, 5.0], line, 2) == {"a": 5.0, "b": 15.0, "c": 30.0, "d": 35.0}
    assert expected_waits([], [("a", 1.0)], 2) == {"a": 0.0}
    assert expected_waits([None], [("a", 1.0)], 1) == {"a": None}


def test_a_deleted_run_stops_and_can_be_brought_back(open_queue, wait_for, follow):
    queue = open_queue("polite")
    run = queue.submit(SPEC, TRAIN, me=ME)
    wait_for(lambda: queue.poll(run.id)["n"])
    assert not queue.delete(run.id, YOU).ok
    assert queue.delete(run.id, ME).ok
    assert queue.store.runs_of(hash_token(ME)) == ()
    assert follow(queue, run.id)[1]["state"] == "stopped"
    assert queue.restore(run.id, ME).ok
    assert [record.id for record in queue.store.runs_of(hash_token(ME))] == [run.id]
