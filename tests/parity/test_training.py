"""Same weights, batches and rates: the same losses as fastai's own loop with its own Adam.

Both are given the same batches and draw dropout from the same seed. fastai's schedulers round the position to float32,
so its rates differ from ours in the eighth digit, which a network of eleven million weights makes visible after a few
steps: our rates are compared with fastai's first, then ours learns with fastai's.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from explorer.models.build import build_model
from explorer.spec import BodySpec, ClassifierSpec, TrainSpec
from explorer.train.events import EpochDone, Step
from explorer.train.loop import Loaders, train_loop
from explorer.train.schedule import Phase, phases
from explorer.train.tasks import Classification

pytest.importorskip("fastai")
from fastai.callback.core import Callback  # noqa: E402
from fastai.callback.schedule import Learner  # noqa: E402
from fastai.data.core import DataLoaders  # noqa: E402
from fastai.losses import CrossEntropyLossFlat  # noqa: E402
from fastai.metrics import accuracy  # noqa: E402

CLASSES, BATCH, STEPS = 4, 8, 10

Rates = tuple[tuple[float, ...], float]


class Diary(Callback):
    """Of every training step the loss and, as the optimiser sees them, the groups' rates and the momentum."""

    order = 100

    def before_fit(self):
        self.told = getattr(self, "told", [])
        self.rates = getattr(self, "rates", [])

    def after_loss(self):
        if self.training:
            self.told.append(self.loss.item())
            hypers = self.opt.hypers
            self.rates.append((tuple(float(h["lr"]) for h in hypers), float(hypers[-1]["mom"])))


@dataclass(frozen=True)
class GivenPhase(Phase):
    """A phase whose rates were written down, a step each."""

    rates: tuple[Rates, ...] = ()

    def at(self, position: float) -> Rates:
        return self.rates[round(position * len(self.rates))]


@dataclass(frozen=True)
class Run:
    losses: list[float]
    epochs: list[tuple[float, ...]]
    model: torch.nn.Module
    rates: list[Rates]


@pytest.fixture(scope="module")
def batches() -> list[DataLoader]:
    generator = torch.Generator().manual_seed(3)
    y = torch.randint(0, CLASSES, (STEPS * BATCH + 20,), generator=generator)
    x = torch.randn(len(y), 3, 64, 64, generator=generator) + y[:, None, None, None] / 2
    n = STEPS * BATCH
    return [DataLoader(TensorDataset(*part), BATCH, generator=generator) for part in ((x[:n], y[:n]), (x[n:], y[n:]))]


@pytest.fixture(scope="module", params=["resnet18", "squeezenet1_1"])
def built(request):
    torch.manual_seed(0)
    return build_model(ClassifierSpec(BodySpec(request.param, weights="random", size=64), n_out=CLASSES))


def run_fastai(built, batches, fit, train_bn: bool, wd: float) -> Run:
    model, diary = copy.deepcopy(built.model), Diary()
    params = dict(model.named_parameters())
    learner = Learner(
        DataLoaders(*batches),
        model,
        loss_func=CrossEntropyLossFlat(),
        splitter=lambda model: [[params[name] for name in group.params] for group in built.groups],
        metrics=accuracy,
        wd=wd,
        train_bn=train_bn,
        cbs=diary,
    )
    torch.manual_seed(7)
    with learner.no_bar(), learner.no_logging():
        fit(learner)
    return Run(diary.told, [tuple(values) for values in learner.recorder.values], model, diary.rates)


def run_ours(built, batches, plan: list[Phase], train_bn: bool, wd: float) -> Run:
    model = copy.deepcopy(built.model)
    loaders = Loaders(lambda: batches[0], lambda: batches[1], STEPS)
    torch.manual_seed(7)
    events = list(train_loop(model, built.groups, loaders, plan, Classification(CLASSES), train_bn=train_bn, wd=wd))
    steps = [event.loss for event in events if isinstance(event, Step)]
    epochs = [(e.train_loss, e.valid_loss, e.metrics[0][1]) for e in events if isinstance(e, EpochDone)]
    return Run(steps, epochs, model, [])


def assert_equal_runs(built, batches, train_spec: TrainSpec, fit, train_bn: bool = True, wd: float = 0.01) -> None:
    theirs = run_fastai(built, batches, fit, train_bn, wd)
    plan, start = [], 0
    for phase in phases(train_spec, len(built.groups)):
        n = phase.epochs * STEPS
        rates = tuple(theirs.rates[start : start + n])
        for i, (lrs, momentum) in enumerate(rates):
            assert phase.at(i / n)[0] == pytest.approx(lrs, rel=1e-6)
            assert phase.at(i / n)[1] == pytest.approx(momentum, rel=1e-6)
        plan.append(GivenPhase(phase.epochs, phase.lrs, phase.frozen, rates=rates))
        start += n
    ours = run_ours(built, batches, plan, train_bn, wd)

    assert len(ours.losses) == len(theirs.losses) == start >= 20
    assert ours.losses == pytest.approx(theirs.losses, abs=1e-6)
    assert max(ours.losses) > 1.1 * min(ours.losses)
    for mine, other in zip(ours.epochs[-len(theirs.epochs) :], theirs.epochs, strict=True):
        assert mine == pytest.approx(other, abs=1e-5)  # fastai smooths in float32
    for name, tensor in theirs.model.state_dict().items():
        torch.testing.assert_close(ours.model.state_dict()[name], tensor, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "unfrozen"])
def test_one_cycle_with_discriminative_rates_equals_fastai(built, batches, frozen):
    assert len(built.groups) == 3

    def fit(learner):
        learner.freeze() if frozen else learner.unfreeze()
        learner.fit_one_cycle(2, slice(3e-5, 3e-3))

    assert_equal_runs(built, batches, TrainSpec(epochs=2, lr=3e-3, frozen=frozen), fit)


def test_both_phases_of_fine_tune_equal_fastai(built, batches):
    spec = TrainSpec(epochs=1, lr=4e-3, schedule="fine_tune", freeze_epochs=1)
    assert_equal_runs(built, batches, spec, lambda learner: learner.fine_tune(1, 4e-3))


def test_a_flat_rate_with_norm_layers_at_rest_equals_fastai(built, batches):
    def fit(learner):
        learner.freeze()
        learner.fit(2, 1e-3)

    spec = TrainSpec(epochs=2, lr=1e-3, schedule="flat")
    assert_equal_runs(built, batches, spec, fit, train_bn=False, wd=0.1)
