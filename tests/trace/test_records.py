"""Freezing and sums of rows, against the model that really freezes."""

from __future__ import annotations

import pytest
import torch

from explorer.models.build import build_model
from explorer.models.groups import freeze
from explorer.spec import BodySpec, ClassifierSpec
from explorer.trace.records import add_up, freeze_rows, groups_of, inside
from explorer.trace.tracer import trace

FROZEN_TRAINABLE = {"resnet18": 555_904, "resnet34": 563_328, "resnet50": 2_178_432}


@pytest.mark.parametrize(("arch", "trainable"), FROZEN_TRAINABLE.items())
def test_frozen_counts_are_fastais(arch: str, trainable: int):
    """fastai facts G.4, for 37 outputs."""
    assert freeze_rows(trace(ClassifierSpec(BodySpec(arch))), True).totals.trainable == trainable


@pytest.mark.parametrize("frozen", [True, False, 0, 1, 2, 3])
@pytest.mark.parametrize("train_bn", [True, False])
@pytest.mark.parametrize(
    ("arch", "cut"), [("resnet18", None), ("resnet18", "layer2"), ("vgg13_bn", None), ("densenet121", None)]
)
def test_frozen_rows_are_those_of_the_frozen_model(arch: str, cut: str | None, frozen: bool | int, train_bn: bool):
    spec = ClassifierSpec(BodySpec(arch, "random", cut))
    found = trace(spec)
    with torch.device("meta"):
        built = build_model(spec)
    if frozen > len(built.groups):
        pytest.skip("there are fewer groups")
    freeze(built.model, built.groups, frozen, train_bn)
    learning = {
        name: sum(p.numel() for p in module.parameters(recurse=False) if p.requires_grad)
        for name, module in built.model.named_modules()
    }
    rows = freeze_rows(found, frozen, train_bn)
    assert {row.qual: row.trainable for row in rows.layers if row.params} == {
        row.qual: learning[row.qual] for row in rows.layers if row.params
    }
    assert rows.totals == add_up(rows.layers)
    assert rows.totals.params == found.totals.params


def test_more_frozen_groups_than_there_are_freezes_all():
    assert freeze_rows(trace(ClassifierSpec()), 9, train_bn=False).totals.trainable == 0


def test_thawing_gives_the_first_rows_back():
    found = trace(ClassifierSpec())
    assert freeze_rows(freeze_rows(found, True), False) == found


def test_groups_without_parameters_are_left_out():
    assert groups_of(trace(ClassifierSpec())) == ("body-early", "body-late", "head")
    assert groups_of(trace(ClassifierSpec(BodySpec(cut="layer2")))) == ("body-early", "head")


def test_what_lies_inside_a_row():
    rows = trace(ClassifierSpec()).layers
    assert sum(row.params for row in inside(rows, "0.4")) == 221_952
    assert {row.qual for row in inside(rows, "1.0")} == {"1.0", "1.0.ap", "1.0.mp"}
