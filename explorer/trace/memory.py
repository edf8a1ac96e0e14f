"""The memory of a training step: found by going through the step on the meta device and weighing what is alive.

A step is that of `train.loop`: gradients cleared, forward, cross-entropy, backward, update. On the meta device each
tensor is made and freed in the order in which a CPU makes and frees it, so the peak is read off instead of guessed:

    weights + optimizer's state + max over the step of (kept and still alive + gradients so far + transient)

What it leaves out: workspace inside a kernel (blocked copies of oneDNN, cuDNN's workspace), what the allocator holds
back, the interpreter and its libraries, and the next batch while it is prepared.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from explorer.models.build import Built, build_model
from explorer.models.groups import freeze
from explorer.models.meta import Blank
from explorer.spec import ClassifierSpec, Size, sides
from explorer.trace import cost
from explorer.trace.kept import AsOnCpu, check_precision, kept_bytes, shapes_of, storage_key, training
from explorer.trace.records import Shape
from explorer.trace.tracer import trace
from explorer.trace.watch import Run, watch

STATES = {"adamw": 2, "sgd_momentum": 1, "sgd": 0}
"""Optimisers, and how many numbers each remembers of a parameter that learns."""

SIZES = (64, 128, 192, 256, 384, 512)


@dataclass(frozen=True)
class StepMemory:
    """Bytes that are alive at the peak of one training step, by what they are for; the five parts add up to `total`.

    weights    parameters and buffers, all of them, float32
    gradients  of the parameters that have got theirs by then; all of those that learn at moment "update"
    optimizer  state: two float32 numbers for each parameter that learns in AdamW, one in SGD with momentum, none in SGD
    kept       what autograd keeps for the backward pass and has not let go yet
    transient  everything else: outputs and gradients under way, a picture that no layer keeps, the optimiser's scratch
    total      their sum, the peak
    moment     when it is: "forward", "backward" or "update"
    kept_in_all  what autograd keeps when the forward pass ends: the sum of `kept_bytes`, and the loss's few numbers
    """

    weights: int
    gradients: int
    optimizer: int
    kept: int
    transient: int
    total: int
    moment: str
    kept_in_all: int


@dataclass(frozen=True)
class SizePoint:
    """What a model costs at one size of picture.

    size              of the picture, pixels: the side of a square, or (height, width)
    params            parameters; the same at every size
    macs              multiply-accumulates for one picture
    activation_bytes  outputs of all layers for one picture, float32
    kept_bytes        what autograd keeps of one batch when the forward pass ends
    step_bytes        peak of a training step of that batch
    """

    size: Size
    params: int
    macs: int
    activation_bytes: int
    kept_bytes: int
    step_bytes: int


@lru_cache(maxsize=256)
def step_memory(
    spec: ClassifierSpec,
    batch_size: int = 32,
    precision: str = "float32",
    optimizer: str = "adamw",
    frozen: bool | int = False,
    train_bn: bool = True,
) -> StepMemory:
    """What one training step of the spec's model needs, from its second step on, when the optimiser has its state.

    precision  "float32", as the trainer computes today, or "bf16": weights, gradients and state float32, products in
               bfloat16 as under `torch.autocast`
    optimizer  "adamw", the trainer's own, "sgd" or "sgd_momentum" (`torch.optim.SGD` with weight decay)
    frozen     groups that do not learn, from the input on; True is all but the last; with `train_bn` their norms learn

    Raises ValueError where the model does not run (its failure's sentence), and for an unknown precision or optimiser.
    """
    _check_runs(spec)
    built = _blank(spec, frozen, train_bn)
    return _of_built(built, _in_shape(spec), batch_size, precision, optimizer)


@lru_cache(maxsize=64)
def kept_per_layer(
    spec: ClassifierSpec,
    batch_size: int = 1,
    precision: str = "float32",
    frozen: bool | int = False,
    train_bn: bool = True,
) -> Mapping[str, int]:
    """`kept_bytes` of the spec's model, by the names that its trace's rows have; read-only.

    The other arguments are those of `step_memory`; raises ValueError as it does.
    """
    _check_runs(spec)
    model = _blank(spec, frozen, train_bn).model
    return MappingProxyType(kept_bytes(model, _in_shape(spec), batch_size, precision=precision))


@lru_cache(maxsize=64)
def growth(
    spec: ClassifierSpec,
    sizes: tuple[Size, ...] = SIZES,
    batch_size: int = 32,
    precision: str = "float32",
    optimizer: str = "adamw",
    frozen: bool | int = False,
    train_bn: bool = True,
) -> tuple[SizePoint, ...]:
    """Parameters, MACs, activation, kept and step bytes at each size of picture at which the model runs.

    The other arguments are those of `step_memory`, whose errors it raises except the one for a size that fails.
    """
    _check(precision, optimizer)
    built = _blank(spec, frozen, train_bn)
    params = sum(p.numel() for p in built.model.parameters())
    points = []
    for size in sizes:
        in_shape = (spec.body.n_in, *sides(size))
        run = watch(built.model, in_shape)
        if run.broke is not None or run.out_shape[:1] != (spec.n_out,):
            continue
        memory = _of_built(built, in_shape, batch_size, precision, optimizer)
        points.append(SizePoint(size, params, *work_of(run), memory.kept_in_all, memory.total))
    return tuple(points)


def work_of(run: Run) -> tuple[int, int]:
    """Multiply-accumulates and bytes of activations of a watched run, as the rows of a trace add them up."""
    macs = held = 0
    for module, calls in run.calls.items():
        container = any(True for _ in module.children())
        for call in calls:
            macs += cost.macs(module, call.in_shape, call.out_shape) + call.extra
            held += 0 if container else cost.activation_bytes(call.out_shape)
    return macs, held


def model_memory(
    model: nn.Module,
    in_shape: Shape,
    batch_size: int,
    precision: str = "float32",
    optimizer: str = "adamw",
    parts: Sequence[Sequence[Tensor]] | None = None,
) -> StepMemory:
    """The same for any model on the meta device that gives (B, classes), or a tuple that begins with it.

    in_shape  of one example; which parameters have `requires_grad` is respected
    parts     the parameters that the optimiser updates in one go; None for all at once
    """
    _check(precision, optimizer)
    learning = [p for p in model.parameters() if p.requires_grad]
    weights = nbytes(model.parameters()) + nbytes(model.buffers())
    state = STATES[optimizer] * nbytes(learning)
    step = weigh(model, in_shape, batch_size, precision)
    at_update = Peak(step.alive_after, nbytes(learning), step.kept_after, "update")
    at_update.alive += _scratch(optimizer, learning, parts or [learning])
    peak = max(step.peak, at_update, key=lambda peak: peak.alive)
    return StepMemory(
        weights=weights,
        gradients=peak.gradients,
        optimizer=state,
        kept=peak.kept,
        transient=peak.alive - peak.gradients - peak.kept,
        total=weights + state + peak.alive,
        moment=peak.moment,
        kept_in_all=step.kept_in_all,
    )


def nbytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of these tensors together."""
    return sum(tensor.nbytes for tensor in tensors)


@dataclass
class Peak:
    """Bytes alive besides weights and state, and how many of them are gradients and kept tensors, at one moment."""

    alive: int = 0
    gradients: int = 0
    kept: int = 0
    moment: str = "forward"


@dataclass(frozen=True)
class Step:
    """A weighed step: its peak in forward and backward, what was kept in between, and what is alive at its end."""

    peak: Peak
    kept_in_all: int
    alive_after: int
    kept_after: int


def weigh(model: nn.Module, in_shape: Shape, batch_size: int, precision: str = "float32") -> Step:
    """Forward, loss and backward of one batch on the meta device, with gradients cleared before and after."""
    scales = Scales([*model.parameters(), *model.buffers()])
    hooks = [p.register_post_accumulate_grad_hook(scales.count_gradient) for p in _learning(model)]
    model.zero_grad()
    try:
        with training(model), scales, torch.enable_grad():
            x = torch.empty(batch_size, *in_shape, device="meta")
            with saved_tensors_hooks(scales.keep, lambda tensor: tensor), AsOnCpu(precision):
                out = logits(model(x))
                loss = cross_entropy(out, torch.empty(batch_size, *out.shape[2:], dtype=torch.int64, device="meta"))
            kept_in_all = scales.now.kept
            scales.now.moment = "backward"
            if loss.requires_grad:
                loss.backward()
            return Step(scales.peak, kept_in_all, scales.now.alive, scales.now.kept)
    finally:
        for hook in hooks:
            hook.remove()
        model.zero_grad()


def logits(out: Tensor | tuple) -> Tensor:
    """The model's own output, (B, classes) or (B, classes, H, W), which may be followed by those of auxiliary heads;
    else ValueError."""
    first = out[0] if isinstance(out, tuple) else out
    if first.ndim not in (2, 4):
        raise ValueError(f"The model gives {'×'.join(map(str, first.shape[1:]))} for a picture, not a list of classes.")
    return first


class Scales(TorchDispatchMode):
    """Weighs the memory of every tensor that an operation makes, as long as anybody holds it."""

    def __init__(self, uncounted: Sequence[Tensor]):
        super().__init__()
        self.now, self.peak = Peak(), Peak()
        self.kept: set[int] = set()
        self.uncounted = {storage_key(tensor) for tensor in uncounted}
        self.held: dict[int, weakref.ref] = {}

    def __torch_dispatch__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        made = shapes_of(func, args, kwargs or {})
        for tensor in made if isinstance(made, (tuple, list)) else (made,):
            if isinstance(tensor, Tensor):
                self.add(tensor.untyped_storage())
        return made

    def add(self, storage: torch.UntypedStorage) -> None:
        """Put a storage on the scales until it is freed, unless it is on them already."""
        key, size = storage._cdata, storage.nbytes()
        if key in self.held or key in self.uncounted:
            return
        self.held[key] = weakref.ref(storage, lambda _: self.drop(key, size))
        self.now.alive += size
        if self.now.alive > self.peak.alive:
            self.peak = replace(self.now)

    def drop(self, key: int, size: int) -> None:
        """Take it off again."""
        del self.held[key]
        self.now.alive -= size
        if key in self.kept:
            self.kept.remove(key)
            self.now.kept -= size

    def keep(self, tensor: Tensor) -> Tensor:
        """A hook for tensors that autograd saves, given and handed back without their graph."""
        key = storage_key(tensor)
        if key in self.held and key not in self.kept:
            self.kept.add(key)
            self.now.kept += tensor.untyped_storage().nbytes()
        return tensor

    def count_gradient(self, parameter: Tensor) -> None:
        """A hook for parameters that have got their gradient."""
        self.now.gradients += parameter.grad.nbytes


def _of_built(built: Built, in_shape: Shape, batch_size: int, precision: str, optimizer: str) -> StepMemory:
    params = dict(built.model.named_parameters())
    parts = [[params[name] for name in group.params if params[name].requires_grad] for group in built.groups]
    return model_memory(built.model, in_shape, batch_size, precision, optimizer, parts)


def _scratch(optimizer: str, learning: Sequence[Tensor], parts: Sequence[Sequence[Tensor]]) -> int:
    """Bytes an update needs for itself: the trainer's AdamW a copy of the largest part, SGD of the largest tensor.

    Weight decay splits a part in two, matrices and kernels here, biases and norms there.
    """
    if optimizer == "adamw":
        return max((nbytes(p for p in part if p.ndim > 1) for part in parts), default=0)
    return max((p.nbytes for p in learning), default=0)


def _learning(model: nn.Module) -> list[Tensor]:
    return [p for p in model.parameters() if p.requires_grad]


def _blank(spec: ClassifierSpec, frozen: bool | int, train_bn: bool) -> Built:
    with Blank():
        built = build_model(spec)
    freeze(built.model, built.groups, frozen, train_bn)
    return built


def _in_shape(spec: ClassifierSpec) -> Shape:
    return spec.body.n_in, *spec.body.height_width


def _check_runs(spec: ClassifierSpec) -> None:
    failure = trace(spec).failure
    if failure:
        raise ValueError(failure.reason)


def _check(precision: str, optimizer: str) -> None:
    check_precision(precision)
    if optimizer not in STATES:
        raise ValueError(f"The optimiser is one of {', '.join(STATES)}, not {optimizer!r}.")
