"""What the Cost tab is answered: figures of the trace room, a batch that fits, and one sentence for nonsense."""

from __future__ import annotations

import json
from threading import Event, Thread

import pytest

from explorer.spec import BodySpec, ClassifierSpec, TrainSpec
from explorer.trace.memory import growth, step_memory
from explorer.trace.tracer import trace
from explorer.ui import cost_desk as desk
from explorer.ui.cost_desk import cost_functions
from explorer.views.cost import asked_about, parts

SPEC = ClassifierSpec(BodySpec("squeezenet1_1", weights="random", size=64), n_out=5)
NORMS = ClassifierSpec(BodySpec("resnet18", weights="random", size=64), n_out=5)


@pytest.fixture
def functions():
    return dict(zip(("memory", "growth", "times"), cost_functions(), strict=True))


@pytest.fixture
def ask(functions):
    """ask("memory", spec, batch=4, …) -> the answer, which must be plain JSON."""

    def asked(name: str, spec: ClassifierSpec = SPEC, frozen: int = 0, train_bn: bool = True, **wish) -> dict:
        text = asked_about(spec, TrainSpec(train_bn=train_bn), frozen)
        answer = functions[name]({"spec": text, **wish})
        return json.loads(json.dumps(answer, allow_nan=False))

    return asked


# ---- memory ----


@pytest.mark.parametrize(
    ("precision", "optimizer"),
    [("float32", "adamw"), ("bf16", "adamw"), ("float32", "sgd"), ("float32", "sgd_momentum")],
)
def test_the_step_is_the_one_that_was_asked_for(ask, precision, optimizer):
    answer = ask("memory", NORMS, frozen=1, batch=4, precision=precision, optimizer=optimizer)
    step = step_memory(NORMS, 4, precision, optimizer, 1)
    assert answer["total"] == step.total
    assert sum(answer[part] for part in ("weights", "gradients", "optimizer", "kept", "transient")) == step.total
    assert answer["there"] > 0 and answer["where"] in ("this machine", "this GPU")


def test_kept_bytes_come_by_part(ask):
    answer = ask("memory", NORMS, batch=4)
    assert len(answer["parts"]) == len(parts(trace(NORMS)))
    assert sum(answer["parts"]) == pytest.approx(answer["kept_in_all"], rel=1e-3)


def test_norm_layers_of_frozen_groups_are_told_of_only_where_they_learn(ask):
    assert "train_bn" in ask("memory", NORMS, frozen=2, batch=32)["norms"]
    for wish in ({"frozen": 0}, {"frozen": 2, "train_bn": False}):
        assert ask("memory", NORMS, batch=32, **wish)["norms"] == ""
    assert ask("memory", SPEC, frozen=2, batch=32)["norms"] == ""  # no norm layer in this body


@pytest.mark.parametrize(("there", "batch"), [(400_000_000, 512), (250_000_000, 4096), (250_000_000, 33)])
def test_the_largest_batch_that_fits_is_found(ask, monkeypatch, there, batch):
    monkeypatch.setattr(desk, "memory_here", lambda: ("this machine", there))
    answer = ask("memory", NORMS, batch=batch)
    largest = answer["largest"]
    if answer["total"] <= there:
        assert largest is None and answer["too_large"] == ""
        return
    assert 1 <= largest < batch and f"{largest:,}" in answer["too_large"]
    assert step_memory(NORMS, largest).total <= there < step_memory(NORMS, largest + 1).total


def test_a_model_whose_single_picture_does_not_fit_says_so(ask, monkeypatch):
    monkeypatch.setattr(desk, "memory_here", lambda: ("this GPU", 1_000_000))
    assert "not even one picture fits" in ask("memory", batch=8)["too_large"]


# ---- growth ----


def test_growth_has_the_present_size_among_the_others(ask):
    spec = ClassifierSpec(BodySpec("squeezenet1_1", weights="random", size=100), n_out=5)
    points = ask("growth", spec, batch=2)["points"]
    assert [point[0] for point in points] == [64, 100, 128, 192, 256, 384, 512]
    here = dict(zip(("size", "params", "macs", "bytes", "kept", "step"), points[1], strict=True))
    assert here["macs"] == trace(spec).totals.macs and here["bytes"] == trace(spec).totals.activation_bytes
    assert here["step"] == growth(spec, (100,), 2)[0].step_bytes


def test_growth_has_a_rectangle_among_squares_by_its_area(ask):
    spec = ClassifierSpec(BodySpec("squeezenet1_1", weights="random", size=(97, 131)), n_out=5)
    points = ask("growth", spec, batch=2)["points"]
    assert [point[0] for point in points] == [64, [97, 131], 128, 192, 256, 384, 512]
    assert points[1][2] == trace(spec).totals.macs


# ---- time ----


@pytest.mark.parametrize(("backward", "batch"), [(False, 1), (True, 2)])
def test_layers_are_timed_on_the_real_model(ask, monkeypatch, backward, batch):
    monkeypatch.setattr(desk, "SECONDS", 0.05)
    answer = ask("times", batch=1, backward=backward)
    assert answer["batch"] == batch and bool(answer["note"]) == backward
    assert len(answer["layers"]) == 12 < answer["count"] and answer["device"]
    times = [layer["ms"] for layer in answer["layers"]]
    assert times == sorted(times, reverse=True) and 0 < sum(times) <= answer["total"]
    assert {layer["qual"] for layer in answer["layers"]} <= {layer.qual for layer in trace(SPEC).layers}


def test_a_batch_that_takes_too_long_is_cut_down_and_said(ask, monkeypatch):
    monkeypatch.setattr(desk, "SECONDS", 1e-6)
    answer = ask("times", batch=64)
    assert answer["batch"] == 1 and "64 would take too long" in answer["note"]


def test_only_one_measures_at_a_time(functions, monkeypatch):
    begun, go_on = Event(), Event()

    def slow(*_, **__):
        begun.set()
        go_on.wait(10)
        return {"0.0.0": 1.0}

    monkeypatch.setattr(desk, "time_layers", slow)
    asked = {"spec": asked_about(SPEC, TrainSpec(), 0)}
    first = Thread(target=functions["times"], args=(asked,))
    first.start()
    assert begun.wait(10)
    refused = functions["times"](asked)
    go_on.set()
    first.join()
    assert refused == {"error": desk.BUSY}
    assert functions["times"](asked)["layers"][0]["qual"] == "0.0.0"


def test_the_lock_is_free_again_after_a_failure(functions):
    assert functions["times"]({"spec": 7}) == functions["times"]({"spec": 7}) == {"error": desk.RELOAD}


@pytest.mark.parametrize(
    ("spec", "wish", "sentence"),
    [
        (ClassifierSpec(BodySpec("regnet_y_128gf", weights="random")), {}, "too large to be timed"),
        (ClassifierSpec(BodySpec("vgg19", weights="random", size=1024)), {"backward": True}, "too long"),
        (SPEC, {"backward": "yes"}, "on or off"),
    ],
)
def test_what_would_hold_the_machine_up_is_refused(ask, spec, wish, sentence):
    assert sentence in ask("times", spec, **wish)["error"]


def test_a_model_that_does_not_fit_is_not_timed(ask, monkeypatch):
    monkeypatch.setattr(desk, "memory_here", lambda: ("this machine", 20_000_000))
    assert "too much memory" in ask("times")["error"]


# ---- strangers ----

GOOD = asked_about(SPEC, TrainSpec(), 0)
NONSENSE = [
    None, "x", [], 7, [1, 2], {}, {"spec": None}, {"spec": ["x"]}, {"spec": "x" * 10_000}, {"spec": "[]"},
    {"spec": "{"}, {"spec": "[" * 4000}, {"spec": '{"arch": "resnet99"}'}, {"spec": '{"arch": ["a"]}'},
    {"spec": '{"size": 1e99}'}, {"spec": '{"size": -1}'}, {"spec": '{"cut": "nowhere"}'},
    {"spec": '{"frozen": 99}'}, {"spec": '{"frozen": "all"}'},
    {"spec": '{"widths": [[1]]}'}, {"spec": '{"ps": {"a": 1}}'}, {"spec": '{"arch": "alexnet", "size": 32}'},
    {"spec": GOOD, "batch": 0}, {"spec": GOOD, "batch": 4097}, {"spec": GOOD, "batch": "32"},
    {"spec": GOOD, "batch": True}, {"spec": GOOD, "batch": 1.5}, {"spec": GOOD, "precision": "int8"},
    {"spec": GOOD, "precision": ["bf16"]}, {"spec": GOOD, "optimizer": None}, {"spec": GOOD, "optimizer": {"a": 1}},
]  # fmt: skip


@pytest.mark.parametrize("asked", NONSENSE, ids=lambda asked: str(asked)[:40])
@pytest.mark.parametrize("name", ["memory", "growth", "times"])
def test_nonsense_is_answered_with_one_sentence(functions, name, asked):
    answer = functions[name](asked)
    assert list(answer) == ["error"] and answer["error"].endswith(".") and "\n" not in answer["error"]


def test_no_file_of_the_server_is_opened(functions, monkeypatch):
    asked = json.loads(GOOD) | {"weights": "/etc/passwd"}
    assert "error" not in functions["memory"]({"spec": json.dumps(asked), "batch": 2})


def test_a_model_that_does_not_run_says_why(ask):
    spec = ClassifierSpec(BodySpec("alexnet", weights="random", size=32))
    reason = trace(spec).failure.reason
    assert [ask(name, spec) for name in ("memory", "growth", "times")] == [{"error": reason}] * 3


def test_what_breaks_in_torch_is_a_sentence(ask, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("out of memory\nat line 7")

    monkeypatch.setattr(desk, "time_layers", broken)
    assert ask("times") == {"error": desk.NO_RUN}
