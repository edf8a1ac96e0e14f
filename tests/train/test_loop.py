from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from explorer.train.diagnose import check_runs, first_not_finite, growth_sentence
from explorer.train.events import EpochDone, Predictions, Step, Stopped
from explorer.train.loop import Diverged, train_loop
from explorer.train.schedule import Phase


def plan(epochs: int = 2, lr: float = 0.01, frozen: int = 0) -> list[Phase]:
    return [Phase(epochs, (lr, lr), frozen)]


def snapshot(model) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_events_come_in_their_order(toy):
    events = list(train_loop(toy.model, toy.groups, toy.loaders, plan(epochs=2), toy.task))
    assert [type(event) for event in events] == ([Step] * 5 + [EpochDone, Predictions]) * 2
    assert [event.step for event in events if isinstance(event, Step)] == list(range(1, 11))
    assert [event.epoch for event in events if isinstance(event, EpochDone)] == [1, 2]


def test_a_toy_is_learnt(toy):
    events = list(train_loop(toy.model, toy.groups, toy.loaders, plan(epochs=20, lr=0.05), toy.task))
    done = [event for event in events if isinstance(event, EpochDone)]
    assert done[-1].valid_loss < 0.2 < done[0].valid_loss
    assert dict(done[-1].metrics)["accuracy"] > 0.95


def test_the_smoothed_loss_lives_through_a_phase_and_starts_again_in_the_next(toy):
    steps = [
        e for e in train_loop(toy.model, toy.groups, toy.loaders, plan(1) + plan(1), toy.task) if isinstance(e, Step)
    ]
    assert steps[0].smooth == pytest.approx(steps[0].loss) and steps[5].smooth == pytest.approx(steps[5].loss)
    steps = [e for e in train_loop(toy.model, toy.groups, toy.loaders, plan(2), toy.task) if isinstance(e, Step)]
    assert steps[5].smooth != pytest.approx(steps[5].loss)


def test_the_rate_told_is_the_heads_and_follows_the_schedule(toy):
    phase = Phase(1, (1e-4, 1e-2), 0)
    steps = [e for e in train_loop(toy.model, toy.groups, toy.loaders, [phase], toy.task) if isinstance(e, Step)]
    assert [step.lr for step in steps] == [phase.at(i / 5)[0][-1] for i in range(5)]


@pytest.mark.parametrize("train_bn", [True, False])
def test_a_frozen_group_keeps_its_weights_but_its_running_statistics_move(toy, train_bn):
    before = snapshot(toy.model)
    list(train_loop(toy.model, toy.groups, toy.loaders, plan(1, lr=0.1, frozen=1), toy.task, train_bn=train_bn))
    now = toy.model.state_dict()
    assert torch.equal(now["0.0.weight"], before["0.0.weight"])
    assert torch.equal(now["0.1.weight"], before["0.1.weight"]) is not train_bn
    assert not torch.equal(now["0.1.running_mean"], before["0.1.running_mean"])
    assert not torch.equal(now["1.3.weight"], before["1.3.weight"])


@pytest.mark.parametrize("batches_before", [0, 1, 4, 5, 9, 10, 14])
def test_stop_is_read_between_batches_of_train_and_valid(toy, batches_before):
    asked = iter(range(100))
    events = list(
        train_loop(toy.model, toy.groups, toy.loaders, plan(3), toy.task, stop=lambda: next(asked) == batches_before)
    )
    whole = sum(isinstance(event, EpochDone) for event in events)
    assert events[-1] == Stopped(whole)
    assert whole == batches_before // 10
    assert sum(isinstance(event, Step) for event in events) == 5 * whole + min(batches_before % 10, 5)


def test_weights_are_kept_when_an_epoch_is_whole_and_before_it_is_told(toy):
    kept = []
    for event in train_loop(toy.model, toy.groups, toy.loaders, plan(2), toy.task, keep=kept.append):
        if isinstance(event, EpochDone):
            assert kept[-1] == event.epoch
    assert kept == [1, 2]


def test_training_does_not_leave_gradients_switched_off(toy):
    events = train_loop(toy.model, toy.groups, toy.loaders, plan(1), toy.task)
    for _ in events:
        assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()


def test_predictions_are_of_the_sample_and_confusion_of_all(toy):
    *_, last = train_loop(toy.model, toy.groups, toy.loaders, plan(1), toy.task)
    seen = toy.task.validate(toy.model, toy.batches)
    assert list(seen.events(1)) == [last]
    with torch.no_grad():
        guesses = torch.cat([toy.model(x) for x, _ in toy.batches]).argmax(dim=1)
    labels = torch.cat([y for _, y in toy.batches])
    assert last.guesses == tuple(guesses[[0, 3, 7]].tolist())
    assert all(1 / 3 <= p <= 1 for p in last.confidences)
    assert [sum(row) for row in last.confusion] == torch.bincount(labels).tolist()
    assert sum(last.confusion[k][k] for k in range(3)) / 40 == pytest.approx(dict(seen.metrics)["accuracy"])


def poisoned(toy, name: str):
    """Batches that spoil a weight of the model just before the third."""
    for i, batch in enumerate(toy.batches):
        if i == 2:
            with torch.no_grad():
                dict(toy.model.named_parameters())[name].fill_(float("nan"))
        yield batch


@pytest.mark.parametrize(
    ("name", "layer"),
    [("0.0.weight", "0.0 (Conv2d)"), ("0.1.bias", "0.1 (BatchNorm2d)"), ("1.3.weight", "1.3 (Linear)")],
)
def test_a_loss_that_is_not_finite_names_epoch_batch_and_layer(toy, name, layer):
    loaders = replace(toy.loaders, train=lambda: poisoned(toy, name))
    with pytest.raises(Diverged) as caught:
        list(train_loop(toy.model, toy.groups, loaders, plan(2, lr=0.03), toy.task))
    text = str(caught.value)
    assert text.startswith("The loss became nan in epoch 1, batch 3: ")
    assert f"the first layer whose output is not finite is {layer};" in text
    assert "such as 0.003" in text


def test_a_rate_that_is_far_too_high_diverges(toy):
    with pytest.raises(Diverged, match="epoch 1, batch .* lower learning rate"):
        list(train_loop(toy.model, toy.groups, toy.loaders, [Phase(2, (1e30, 1e30), 0, shape="flat")], toy.task))


def test_a_valid_loss_that_is_not_finite_is_told_and_nothing_is_kept(toy):
    x, y = toy.batches[0]
    loaders = replace(toy.loaders, valid=lambda: [(x * float("nan"), y)])
    kept = []
    with pytest.raises(Diverged, match="on the valid set after epoch 1: the images of that batch are not finite"):
        list(train_loop(toy.model, toy.groups, loaders, plan(1), toy.task, keep=kept.append))
    assert kept == []


def test_looking_for_a_bad_layer_leaves_no_hook_behind(toy):
    x, _ = toy.batches[0]
    assert first_not_finite(toy.model, x) == "every layer's output is finite, only the loss is not"
    check_runs(toy.model, x[:1], 3)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in toy.model.modules())


def test_an_image_that_cannot_pass_names_the_layer(toy):
    with pytest.raises(ValueError, match=r"Images of 2 px cannot pass layer 0\.0 \(Conv2d\)"):
        check_runs(toy.model, torch.zeros(1, 3, 2, 2), 3)
    with pytest.raises(ValueError, match="instead of 5 numbers"):
        check_runs(toy.model, torch.zeros(1, 3, 8, 8), 5)


def test_a_loss_has_grown_when_it_is_four_times_that_of_guessing():
    assert growth_sentence(9.2, 10) == ""
    assert growth_sentence(9.3, 10).startswith("The loss has grown to 9.30, far above guessing (2.30): ")
    assert "grown to 28,923," in growth_sentence(28_923.4, 10)
