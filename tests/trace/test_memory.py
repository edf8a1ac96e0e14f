"""The estimate of a training step's memory, against real steps, and how it grows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks.memory import peak_bytes
from explorer.models.build import build_model
from explorer.models.groups import freeze
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec
from explorer.trace.kept import kept_bytes
from explorer.trace.memory import growth, kept_per_layer, model_memory, step_memory
from explorer.trace.tracer import blank_model, trace
from explorer.train.learner import place
from explorer.train.optim import create_optimizer

ARCHS = ("resnet18", "resnet50", "densenet121", "vgg11_bn", "squeezenet1_1", "alexnet")
WITHIN = 0.15


def spec_of(arch: str, size: int = 64) -> ClassifierSpec:
    return ClassifierSpec(BodySpec(arch, weights="random", size=size), HeadSpec(), n_out=10)


def measured(spec: ClassifierSpec, batch: int, precision: str = "float32", frozen: int = 0, bn: bool = True) -> int:
    built = build_model(spec)
    model = place(built.model, torch.device("cpu")).train()
    freeze(model, built.groups, frozen, bn)
    optimizer = create_optimizer(model, built.groups, [1e-3] * len(built.groups))
    return peak_bytes(model, optimizer, (batch, spec.body.n_in, spec.body.size, spec.body.size), precision)


@pytest.mark.parametrize("arch", ARCHS)
def test_the_estimate_is_within_15_percent_of_a_measured_step(arch: str):
    spec = spec_of(arch, 64)
    assert step_memory(spec, 4).total == pytest.approx(measured(spec, 4), rel=WITHIN)


@pytest.mark.parametrize(
    ("precision", "frozen", "train_bn"),
    [("bf16", 0, True), ("float32", 1, True), ("float32", 2, True), ("float32", 2, False)],
)
def test_also_in_bfloat16_and_with_frozen_groups(precision: str, frozen: int, train_bn: bool):
    spec = spec_of("resnet18", 64)
    estimate = step_memory(spec, 8, precision, frozen=frozen, train_bn=train_bn)
    assert estimate.total == pytest.approx(measured(spec, 8, precision, frozen, train_bn), rel=WITHIN)


@pytest.mark.parametrize(
    ("optimizer", "numbers"), [("adamw", 2), ("sgd_momentum", 1), ("sgd", 0)], ids=["AdamW", "momentum", "SGD"]
)
def test_the_optimiser_remembers_as_many_numbers_of_a_weight_that_learns(optimizer: str, numbers: int):
    spec = spec_of("resnet18")
    learning = trace(spec).totals.trainable
    assert step_memory(spec, 2, optimizer=optimizer).optimizer == 4 * numbers * learning


@pytest.mark.parametrize(("optimizer", "momentum"), [("sgd", 0), ("sgd_momentum", 0.9)])
def test_also_with_sgd(optimizer: str, momentum: float):
    spec = spec_of("resnet18")
    model = build_model(spec).model.train()
    sgd = torch.optim.SGD(model.parameters(), 1e-3, momentum=momentum, weight_decay=0.01)
    assert step_memory(spec, 2, optimizer=optimizer).total == pytest.approx(
        peak_bytes(model, sgd, (2, 3, 64, 64)), rel=WITHIN
    )


@pytest.mark.parametrize("spec", [spec_of("resnet18"), spec_of("vgg11_bn"), spec_of("densenet121", 128)])
@pytest.mark.parametrize("batch", [2, 16])
def test_the_parts_add_up_to_the_peak(spec: ClassifierSpec, batch: int):
    memory = step_memory(spec, batch)
    parts = (memory.weights, memory.gradients, memory.optimizer, memory.kept, memory.transient)
    assert sum(parts) == memory.total
    assert min(parts) >= 0
    assert memory.moment in ("forward", "backward", "update")
    assert memory.kept <= memory.kept_in_all


def test_what_is_kept_is_what_the_layers_keep():
    spec = spec_of("densenet121")
    model = blank_model(spec)
    loss = 4 * (3 * 10 + 1) + 3 * 8
    assert step_memory(spec, 3).kept_in_all - sum(kept_bytes(model, (3, 64, 64), 3).values()) in range(loss + 1)


def test_kept_bytes_go_by_the_names_of_the_trace():
    spec = spec_of("resnet18")
    kept = kept_per_layer(spec, 2)
    assert set(kept) <= {layer.qual for layer in trace(spec).layers}
    assert dict(kept) == kept_bytes(blank_model(spec), (3, 64, 64), 2)
    assert not any(qual.startswith("0") for qual in kept_per_layer(spec, 2, frozen=True, train_bn=False))


def test_a_small_batch_peaks_in_the_update_and_a_large_one_in_the_backward_pass():
    spec = spec_of("vgg11_bn")
    small, large = step_memory(spec, 2), step_memory(spec, 64)
    assert (small.moment, large.moment) == ("update", "backward")
    assert small.gradients == 4 * trace(spec).totals.trainable > large.gradients


def test_a_frozen_body_needs_less_only_when_its_norms_rest_too():
    spec = spec_of("resnet50", 128)
    every, norms, head = (
        step_memory(spec, 16),
        step_memory(spec, 16, frozen=True),
        step_memory(spec, 16, frozen=True, train_bn=False),
    )
    assert norms.kept_in_all > 0.9 * every.kept_in_all
    assert head.kept_in_all < 0.01 * every.kept_in_all
    assert head.total < 0.5 * norms.total < 0.5 * every.total


def test_half_precision_halves_what_a_large_batch_keeps_and_no_weight():
    spec = spec_of("resnet50", 128)
    full, half = step_memory(spec, 32), step_memory(spec, 32, "bf16")
    assert half.kept_in_all == pytest.approx(full.kept_in_all / 2, rel=0.15)
    assert (half.weights, half.optimizer) == (full.weights, full.optimizer)


@pytest.mark.parametrize("arch", ["resnet18", "densenet121", "squeezenet1_1", "vgg11_bn"])
def test_growth_says_what_traces_and_steps_of_those_sizes_say(arch: str):
    spec, sizes = spec_of(arch), (64, 97, 160)
    points = growth(spec, sizes, batch_size=4)
    assert [point.size for point in points] == list(sizes)
    for point in points:
        sized = replace(spec, body=replace(spec.body, size=point.size))
        totals, memory = trace(sized).totals, step_memory(sized, 4)
        assert (point.params, point.macs, point.activation_bytes) == (
            totals.params, totals.macs, totals.activation_bytes,
        )  # fmt: skip
        assert (point.kept_bytes, point.step_bytes) == (memory.kept_in_all, memory.total)


def test_growth_leaves_out_sizes_at_which_the_model_does_not_run():
    assert [point.size for point in growth(spec_of("alexnet", 224), (8, 16, 63, 64), batch_size=2)] == [63, 64]


def test_a_model_that_does_not_run_gives_its_failure():
    spec = spec_of("alexnet", 16)
    with pytest.raises(ValueError) as caught:
        step_memory(spec, 2)
    assert str(caught.value) == trace(spec).failure.reason


@pytest.mark.parametrize("wrong", [{"precision": "fp8"}, {"optimizer": "lion"}])
def test_unknown_words_are_refused_with_those_that_are_known(wrong: dict):
    with pytest.raises(ValueError, match=r"float32 or bf16|adamw, sgd_momentum, sgd"):
        step_memory(spec_of("alexnet"), 2, **wrong)


def test_any_model_that_gives_classes_can_be_weighed():
    model = nn.Sequential(nn.Flatten(), nn.Linear(300, 100, bias=False), nn.Linear(100, 10, bias=False)).to("meta")
    memory = model_memory(model, (3, 10, 10), 2, optimizer="sgd")
    weights = 4 * (300 * 100 + 100 * 10)
    assert (memory.weights, memory.gradients, memory.optimizer) == (weights, weights, 0)
    assert memory.kept_in_all == 2 * 4 * (300 + 100 + 10) + 2 * 8 + 4
    with pytest.raises(ValueError, match="not a list of classes"):
        model_memory(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(2)).to("meta"), (3, 10, 10), 2)


def test_the_model_is_left_without_hooks_and_gradients():
    model = blank_model(spec_of("resnet18"))
    model_memory(model, (3, 64, 64), 2)
    assert all(p.grad is None and not p._post_accumulate_grad_hooks for p in model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
