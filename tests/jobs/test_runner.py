"""What the queue needs of whatever trains a run, and which runner the environment names."""

from __future__ import annotations

import json
import sys

import pytest

from explorer.jobs.known import known_of
from explorer.jobs.post import Order, Post, sweep
from explorer.jobs.queue import Queue
from explorer.jobs.record import spec_to_dict
from explorer.jobs.runner import LocalRunner, open_runner
from explorer.jobs.store import App
from explorer.spec import ClassifierSpec, TrainSpec
from explorer.train.events import EpochDone, Finished, Note, Paused, Progress, Resumed, Started, Step, to_dict

GONE = App("gone", 1, "the mark of a process that is no more")


class Told:
    """A runner of runs that go on until a test ends them."""

    grace = 0.0

    def __init__(self, outlives: bool = False):
        self.outlives, self.handles, self.attached, self.is_closed = outlives, [], [], False

    def places(self) -> int:
        return 2

    def start(self, run):
        self.handles.append(Going(run.id, self.outlives))
        return self.handles[-1]

    def attach(self, run):
        self.attached.append(run.id)
        return self.start(run) if self.outlives else None

    def close(self):
        self.is_closed = True


class Going:
    def __init__(self, run_id: str, outlives: bool):
        self.run_id, self.outlives, self.code, self.left = run_id, outlives, None, False

    def poll(self):
        return self.code

    def kill(self):
        self.code = -9

    def leave(self) -> bool:
        self.left = True
        return self.outlives


def test_the_environment_names_the_runner(store, monkeypatch):
    monkeypatch.delenv("EXPLORER_RUNNER", raising=False)
    assert isinstance(open_runner(store), LocalRunner)
    monkeypatch.setenv("EXPLORER_RUNNER", "cloud")
    with pytest.raises(ValueError, match="EXPLORER_RUNNER says what trains runs, local or ray, not 'cloud'."):
        open_runner(store)


def test_without_ray_one_sentence_says_how_to_get_it(store, monkeypatch):
    monkeypatch.setenv("EXPLORER_RUNNER", "ray")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="needs Ray, which is not installed here: pip install"):
        open_runner(store)


def test_a_run_whose_turn_comes_again_before_its_worker_has_ended_goes_on(store, wait_for):
    """It told that it rests, its process has not quite ended, and its owner has resumed it already."""
    runner = Told()
    with Queue(store, runner=runner) as queue:
        run = queue.submit(ClassifierSpec(), TrainSpec())
        (first,) = wait_for(lambda: runner.handles)
        store.append(run.id, Paused(1))
        assert queue.resume(run.id, run.token).ok
        _, second = wait_for(lambda: len(runner.handles) == 2 and runner.handles)
        assert first.code == -9 and second.code is None
        assert store.run(run.id).state == "running"
        store.append(run.id, Finished())
        second.code = 0
        wait_for(lambda: not queue._workers)
        assert store.run(run.id).state == "finished"
    assert runner.is_closed


def test_a_worker_that_ends_after_its_run_was_resumed_does_not_fail_it(store, wait_for):
    runner = Told()
    runner.places = lambda: 1
    with Queue(store, runner=runner) as queue:
        run = queue.submit(ClassifierSpec(), TrainSpec())
        (first,) = wait_for(lambda: runner.handles)
        store.append(run.id, Paused(1))
        queue.resume(run.id, run.token)
        first.code = 0
        wait_for(lambda: len(runner.handles) == 2)
        assert store.run(run.id).state == "running"


@pytest.mark.parametrize("outlives, state", [(True, "running"), (False, "failed")])
def test_runs_of_a_dead_app_go_on_where_their_runner_says_so(store, outlives, state):
    store.add("run", "token", "classifier", {}, {}, GONE, at_most=1)
    store.take_next(GONE.queue)
    runner = Told(outlives)
    with Queue(store, runner=runner):
        assert runner.attached == ["run"]
        assert store.run("run").state == state
        assert (store.run("run").app != GONE) == outlives
    assert [handle.left for handle in runner.handles] == [True] * outlives
    assert store.run("run").state == state


def test_a_run_is_adopted_by_one_app_alone(store):
    store.add("run", "token", "classifier", {}, {}, GONE, at_most=1)
    run = store.take_next(GONE.queue)
    assert store.adopt(run, App("a", 1, "m"))
    assert not store.adopt(run, App("b", 2, "m"))
    assert store.run("run").app == App("a", 1, "m")


def test_what_was_told_is_known_again_and_what_follows_is_not():
    before = [Note("Random weights."), Progress("resnet", 1, 2), *map(event_of_step, (1, 2)), done(1), Paused(1)]
    known = known_of(map(to_dict, before))
    again = [Note("Random weights."), event_of_step(2), done(1)]
    assert all(known.holds(to_dict(event)) for event in again)
    new = [Note("Another."), Progress("resnet", 2, 2), event_of_step(3), done(2), Resumed(1), Finished()]
    assert not any(known.holds(to_dict(event)) for event in new)
    begun = known_of([to_dict(Started(1, 1, 1, 1, 1, ("a",), "cpu", 1, 1, "random"))])
    assert begun.holds(to_dict(Progress("resnet", 2, 2)))


def event_of_step(step: int) -> Step:
    return Step(step, 1.0, 1e-3)


def done(epoch: int) -> EpochDone:
    return EpochDone(epoch, 1.0, 1.0, (), 0.1)


@pytest.fixture
def post(tmp_path):
    """A post of this process, as a cluster's machine would have it."""
    (tmp_path / "far").mkdir()
    post = Post("run", str(tmp_path / "far"))
    yield post
    post.end()
    assert not list((tmp_path / "far").iterdir())


def order(fit: str, told: int = 0, known=None, epochs: int = 2) -> Order:
    spec, train = spec_to_dict(ClassifierSpec()), spec_to_dict(TrainSpec(epochs=epochs))
    return Order("run", "classifier", spec, train, f"fake_fits:{fit}", 1, told, known or known_of([]))


def heard(post: Post, wait_for, since: int = 0) -> list[tuple[int, dict]]:
    """All that a post tells until its process has ended."""
    seen = wait_for(lambda: (now := post.look(since, {}, False, False)).code is not None and now)
    assert seen.code == 0
    return [(number, json.loads(text)) for number, text in seen.events]


def test_a_post_numbers_events_on_and_repeats_what_was_not_written_down(post, wait_for):
    post.begin(order("short", told=5))
    events = heard(post, wait_for)
    assert [number for number, _ in events] == list(range(6, 6 + len(events)))
    assert heard(post, wait_for) == events
    assert heard(post, wait_for, since=8) == events[3:]
    assert heard(post, wait_for, since=8 + len(events)) == []


def test_a_post_tells_only_what_is_new_and_gives_no_weights_older_than_that(post, wait_for):
    before = [Note("Random weights."), *map(event_of_step, range(1, 12)), done(1), done(2)]
    post.begin(order("paced", told=14, known=known_of(map(to_dict, before)), epochs=3))
    early = wait_for(lambda: (now := post.look(14, {}, False, False)).events and now)
    assert "last.safetensors" not in early.files
    kinds = [event["event"] for _, event in heard(post, wait_for, since=14)]
    assert kinds == ["Started", *["Step"] * 4, "EpochDone", "Finished"]
    assert "last.safetensors" in post.look(14, {}, False, False).files


def test_a_file_is_given_as_it_was_when_it_was_told_of(post, wait_for):
    post.take("start.safetensors", 0, b"one ")
    post.take("start.safetensors", 4, b"two")
    post.begin(order("keeps_weights", epochs=1))
    events = heard(post, wait_for)
    assert events[0][1]["text"] == "one two"
    files = post.look(0, {}, False, False).files
    assert set(files) == {"last.safetensors", "spec.json", "worker.log"}
    assert post.piece("last.safetensors", 0, 2) + post.piece("last.safetensors", 2, 99) == b"run"
    assert post.look(0, files, False, False).files == {}


def test_what_a_killed_post_left_is_swept_by_the_next(tmp_path):
    left = tmp_path / "explorer-run-1-abc"
    left.mkdir()
    (left / "owner").write_text("not the mark of process 1")
    (tmp_path / "explorer-run-notes").mkdir()
    sweep(tmp_path)
    assert [place.name for place in tmp_path.iterdir()] == ["explorer-run-notes"]
