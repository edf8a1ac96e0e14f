"""Runs on a true Ray of this machine with room for two: told as a local runner tells them, whatever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from explorer.jobs.process import birth_mark, is_alive
from explorer.jobs.queue import Queue
from explorer.jobs.runner import LocalRunner
from explorer.jobs.store import Store
from explorer.jobs.sweeps import rows_of, submit_all, wait_for_all
from explorer.jobs.worker import ROOT
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec, TrainSpec
from explorer.sweep import sweep

ray = pytest.importorskip("ray")

from explorer.jobs.ray_runner import BEGAN_AGAIN, NAMESPACE, RayRunner, events_of  # noqa: E402

HERE = Path(__file__).parent
SPEC = ClassifierSpec()
REAL = ClassifierSpec(BodySpec("squeezenet1_1", "random", size=32), HeadSpec("avg", ()), n_out=10)
SOON = 10.0  # seconds

APP = """
import sys, time
from explorer.jobs.queue import Queue
from explorer.jobs.ray_runner import RayRunner
from explorer.jobs.store import Store
from explorer.spec import ClassifierSpec, TrainSpec
store = Store(sys.argv[1])
queue = Queue(store, runner=RayRunner(store, fit="fake_fits:paced"))
run = queue.submit(ClassifierSpec(), TrainSpec(epochs=12))
while queue.poll(run.id)["n"] < 8: time.sleep(.01)
print(run.id, run.token, flush=True)
time.sleep(300)
"""


@pytest.fixture(scope="module")
def cluster():
    """The address of a Ray with two processors and no GPU, for as long as this module's tests run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(HERE)]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.delenv("RAY_ADDRESS", raising=False)
        told = ray.init(
            address="local", num_cpus=2, num_gpus=0, include_dashboard=False, object_store_memory=80 * 2**20,
            namespace=NAMESPACE, log_to_driver=False, configure_logging=False,
        )  # fmt: skip
        yield told.address_info["gcs_address"]
        ray.shutdown()


@pytest.fixture
def open_ray(store, cluster):
    """open_ray("short") is a queue of that fake fit, or of the true one, on the cluster."""
    queues = []

    def open_(fake: str = "", **options) -> Queue:
        fit = {"fit": f"fake_fits:{fake}"} if fake else {}
        queues.append(Queue(store, runner=RayRunner(store, threads=1, every=0.05, **fit, **options)))
        return queues[-1]

    yield open_
    for queue in queues:
        queue.close()


def actor_of(run_id: str) -> int:
    """The process of a run's actor."""
    return ray.get(ray.get_actor(run_id, namespace=NAMESPACE).who.remote())["pid"]


def trainer_of(actor: int) -> tuple[int, str]:
    """The process that an actor's process has started, and its birth mark."""
    pid = int(Path(f"/proc/{actor}/task/{actor}/children").read_text().split()[0])
    return pid, birth_mark(pid)


def kinds_of(store: Store, run_id: str) -> list[str]:
    """Names of all events of a run so far."""
    return [event["event"] for event in events_of(store, run_id)]


def told(events: list[dict]) -> list[dict]:
    """What a run tells, without clocks, and without that it began again."""
    kept = [event for event in events if event.get("text") != BEGAN_AGAIN]
    return [{name: value for name, value in event.items() if name != "seconds"} for event in kept]


def test_a_run_on_the_cluster_tells_what_a_local_one_tells(open_ray, follow):
    queue = open_ray("short")
    run = queue.submit(SPEC, TrainSpec(epochs=2))
    events, last = follow(queue, run.id)
    steps = ["Step"] * 3
    kinds = [event["event"] for event in events]
    assert kinds == ["Note", "Started", *steps, "EpochDone", *steps, "EpochDone", "Finished"]
    assert (last["state"], last["reason"], last["device"]) == ("finished", "", "cpu")
    assert (queue.store.folder(run.id) / "last.safetensors").read_text() == "epoch 2"
    assert queue.store.run(run.id).versions["torch"]


def test_places_are_what_fits_into_the_cluster(store, cluster, monkeypatch):
    assert RayRunner(store).places() == 2
    monkeypatch.setenv("EXPLORER_RAY_CPUS", "2")
    assert RayRunner(store).places() == 1
    monkeypatch.setenv("EXPLORER_WORKERS", "5")
    assert RayRunner(store).places() == 5


def test_an_address_where_no_cluster_listens_is_told_in_one_sentence(store):
    """In a process without a Ray of its own."""
    environment = {
        **os.environ,
        "EXPLORER_RUNNER": "ray",
        "RAY_ADDRESS": "127.0.0.1:9",
        "EXPLORER_HOME": str(store.path.parent),
    }
    command = [sys.executable, "-m", "explorer.jobs.sweep"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=60)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("The Ray cluster at 127.0.0.1:9 cannot be reached (")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "name, text", [("EXPLORER_RAY_CPUS", "0"), ("EXPLORER_RAY_CPUS", "many"), ("EXPLORER_RAY_GPUS", "1.5")]
)
def test_a_share_that_is_none_is_refused(store, cluster, monkeypatch, name, text):
    monkeypatch.setenv(name, text)
    with pytest.raises(ValueError, match=name):
        RayRunner(store)


def test_a_sweep_that_loses_a_worker_is_complete(open_ray, follow, wait_for):
    """Four runs, two at a time; the process of one is killed, and the end is that of runs that nobody disturbed."""
    queue = open_ray("paced")
    entries = sweep(SPEC, TrainSpec(epochs=4), {"head.pool": ("avg", "max")}, 2)
    runs = submit_all(queue, entries)
    wait_for(lambda: queue.poll(runs[0].id)["n"] > 10)
    actor = actor_of(runs[0].id)
    trainer = trainer_of(actor)
    os.kill(actor, signal.SIGKILL)
    wait_for(lambda: not is_alive(*trainer))
    wait_for_all(queue, runs)
    rows = rows_of(entries, [queue.store.run(run.id) for run in runs])
    assert [(row.metrics["valid_loss"].n, row.failed) for row in rows] == [(2, ())] * 2
    assert [row.metrics["valid_loss"].mean for row in rows] == [0.375] * 2
    notes = [[event["text"] for event in events_of(queue.store, run.id) if event["event"] == "Note"] for run in runs]
    assert notes == [["Random weights.", BEGAN_AGAIN], *[["Random weights."]] * 3]
    again = queue.again(runs[0].id, runs[0].token)
    assert told(events_of(queue.store, runs[0].id)) == told(follow(queue, again.id)[0])
    assert queue.store.run(runs[0].id).summary["done"] == 4
    assert (queue.store.folder(runs[0].id) / "last.safetensors").read_text() == "epoch 4"


def test_a_run_that_loses_every_worker_says_so_at_last(open_ray, follow, monkeypatch):
    monkeypatch.setattr("explorer.jobs.ray_runner.MOST_LOSSES", 1)
    queue = open_ray("kills_its_parent")
    run = queue.submit(SPEC, TrainSpec())
    events, last = follow(queue, run.id)
    assert last["state"] == "failed" and "was lost 2 times, the last time so: " in last["reason"]
    assert [event["event"] for event in events].count("Note") == 1


def test_a_stopped_run_stops_soon_and_is_not_begun_again(open_ray, follow, wait_for):
    queue = open_ray("paced")
    run = queue.submit(SPEC, TrainSpec(epochs=200))
    wait_for(lambda: queue.poll(run.id)["n"] > 10)
    began = time.monotonic()
    queue.stop(run.id, run.token)
    events, last = follow(queue, run.id)
    assert time.monotonic() - began < SOON
    assert (last["state"], events[-1]["event"]) == ("stopped", "Stopped")
    assert sum(event["event"] == "Started" for event in events) == 1


def test_a_run_that_does_not_listen_is_killed_with_its_process(open_ray, follow, wait_for):
    queue = open_ray("long_batch")
    queue._stop_grace = 0.5
    run = queue.submit(SPEC, TrainSpec())
    wait_for(lambda: queue.poll(run.id)["n"] == 3)
    trainer = trainer_of(actor_of(run.id))
    queue.stop(run.id, run.token)
    assert follow(queue, run.id)[1]["state"] == "stopped"
    wait_for(lambda: not is_alive(*trainer))


def test_a_process_that_ends_by_itself_fails_with_the_last_line_of_its_log(open_ray, follow):
    queue = open_ray("speaks_garbage")
    _, last = follow(queue, queue.submit(SPEC, TrainSpec()).id)
    assert last["state"] == "failed"
    assert "exit code 3: malloc(): corrupted top size" in last["reason"]


def test_the_next_app_goes_on_with_the_runs_of_one_that_died(store, cluster, follow, monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", cluster)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)])}
    app = subprocess.Popen(
        [sys.executable, "-c", APP, str(store.path)], stdout=subprocess.PIPE, text=True, env=environment
    )
    run_id, token = app.stdout.readline().split()
    app.kill()
    app.wait()
    app.stdout.close()
    assert store.run(run_id).state == "running"
    with Queue(store, runner=RayRunner(store, fit="fake_fits:paced", every=0.05)) as queue:
        events, last = follow(queue, run_id)
    assert last["state"] == "finished"
    assert [event["step"] for event in events if event["event"] == "Step"] == list(range(1, 61))
    assert sum(event["event"] == "Started" for event in events) == 1


def test_a_true_run_that_pauses_and_loses_its_worker_is_to_the_last_bit_a_local_one(store, open_ray, follow, wait_for):
    train = TrainSpec(epochs=2, augment="basic", frozen=False)
    with Queue(store, runner=LocalRunner(store, places=1, threads=1)) as local:
        events, last = follow(local, (there := local.submit(REAL, train)).id)
    assert last["state"] == "finished"
    queue = open_ray()
    run = queue.submit(REAL, train)
    wait_for(lambda: queue.poll(run.id)["state"] == "running")
    queue.pause(run.id, run.token)
    wait_for(lambda: queue.poll(run.id)["state"] == "paused")
    queue.resume(run.id, run.token)
    wait_for(lambda: "Resumed" in kinds_of(store, run.id) or queue.poll(run.id)["state"] == "failed")
    os.kill(actor_of(run.id), signal.SIGKILL)
    again, last = follow(queue, run.id)
    assert last["state"] == "finished"
    assert BEGAN_AGAIN in [event.get("text") for event in again]
    rest = ("Paused", "Resumed")
    assert [event for event in told(again) if event["event"] not in rest] == told(events)
    weights = [store.folder(of.id) / "last.safetensors" for of in (there, run)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
