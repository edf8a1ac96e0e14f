from __future__ import annotations

import pytest
import torch

from explorer.train.metrics import SmoothLoss, confusion, summarise


def test_the_smoothed_loss_has_the_measured_values():
    smooth = SmoothLoss()
    assert [round(smooth.add(loss), 5) for loss in (1, 2, 3, 4)] == [1, 1.50505, 2.01347, 2.52525]


def test_validation_weighs_every_image_alike():
    logits = [torch.tensor([[2.0, 0.0], [0.0, 2.0], [2.0, 0.0]]), torch.tensor([[0.0, 2.0]])]
    labels = [torch.tensor([0, 1, 1]), torch.tensor([1])]
    seen = summarise([torch.tensor(3.0), torch.tensor(5.0)], logits, labels, classes=2)
    assert seen.loss == pytest.approx(2.0)
    assert seen.accuracy == pytest.approx(0.75)
    assert seen.guesses.tolist() == [0, 1, 0, 1]
    assert seen.confidences.tolist() == pytest.approx([0.8808] * 4, abs=1e-4)


def test_a_guess_is_one_of_the_datas_classes_though_the_head_has_more_outputs():
    seen = summarise([torch.tensor(1.0)], [torch.tensor([[0.0, 1.0, 9.0]])], [torch.tensor([1])], classes=2)
    assert seen.guesses.tolist() == [1]
    assert seen.confidences.item() < 0.01


def test_confusion_has_truth_in_its_rows():
    labels, guesses = torch.tensor([0, 0, 1, 2, 2, 2]), torch.tensor([0, 1, 1, 0, 2, 2])
    assert confusion(labels, guesses, 3) == ((1, 1, 0), (0, 1, 0), (1, 0, 2))
