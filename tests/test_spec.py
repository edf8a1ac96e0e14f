"""Specs are values: frozen, hashable, and made only of what can be meant."""

from __future__ import annotations

import dataclasses

import pytest

from explorer.spec import BodySpec, ClassifierSpec, HeadSpec, SpecError, TrainSpec, count_frozen, field_names

BAD = [
    (HeadSpec, {"lin_ftrs": ("wide",)}, "head.lin_ftrs", "whole number"),
    (HeadSpec, {"lin_ftrs": (0,)}, "head.lin_ftrs", "between"),
    (HeadSpec, {"lin_ftrs": (512,) * 9}, "head.lin_ftrs", "at most 8"),
    (HeadSpec, {"lin_ftrs": "512"}, "head.lin_ftrs", "list of widths"),
    (HeadSpec, {"ps": 1.0}, "head.ps", "everything"),
    (HeadSpec, {"ps": -0.1}, "head.ps", "less than nothing"),
    (HeadSpec, {"ps": (0.1,)}, "head.ps", "1 dropout values for 2"),
    (HeadSpec, {"ps": (0.1, 0.2, 0.3)}, "head.ps", "3 dropout values for 2"),
    (HeadSpec, {"ps": float("nan")}, "head.ps", "number"),
    (HeadSpec, {"pool": "median"}, "head.pool", "concat, avg, max"),
    (HeadSpec, {"bn_final": "yes"}, "head.bn_final", "on or off"),
    (HeadSpec, {"y_range": (3, 1)}, "head.y_range", "rise"),
    (HeadSpec, {"y_range": (0, 1, 2)}, "head.y_range", "low and a high"),
    (BodySpec, {"size": 0}, "body.size", "between"),
    (BodySpec, {"size": 224.0}, "body.size", "whole number"),
    (BodySpec, {"size": (97, 0)}, "body.size.width", "width must lie between"),
    (BodySpec, {"size": (4096, 97)}, "body.size.height", "height must lie between"),
    (BodySpec, {"size": (97, True)}, "body.size.width", "whole number"),
    (BodySpec, {"size": (97, 131, 3)}, "body.size", "a height and a width"),
    (BodySpec, {"size": "97"}, "body.size", "whole number"),
    (BodySpec, {"n_in": 0}, "body.n_in", "between"),
    (BodySpec, {"arch": ""}, "body.arch", "architecture"),
    (BodySpec, {"cut": 1.5}, "body.cut", "number of children"),
    (BodySpec, {"weights": 7}, "body.weights", "imagenet"),
    (ClassifierSpec, {"n_out": 0}, "n_out", "between"),
    (TrainSpec, {"lr": 1e9}, "lr", "between"),
    (TrainSpec, {"lr": float("inf")}, "lr", "number"),
    (TrainSpec, {"epochs": 0}, "epochs", "between"),
    (TrainSpec, {"epochs": True}, "epochs", "whole number"),
    (TrainSpec, {"batch_size": 0}, "batch_size", "between"),
    (TrainSpec, {"schedule": "cosine"}, "schedule", "one of"),
    (TrainSpec, {"data_size": "huge"}, "data_size", "one of"),
    (TrainSpec, {"augment": "strong"}, "augment", "one of"),
    (TrainSpec, {"difficulty": 2}, "difficulty", "between"),
    (TrainSpec, {"frozen": -1}, "frozen", "between"),
    (TrainSpec, {"lrs": (1e-3, "fast")}, "lrs", "number"),
    (TrainSpec, {"data": ""}, "data", "name of a set"),
]


@pytest.mark.parametrize(
    ("cls", "values", "field", "words"), BAD, ids=[f"{b[2]}={list(b[1].values())[0]}" for b in BAD]
)
def test_what_cannot_be_meant_is_refused_in_one_sentence(cls, values, field, words):
    with pytest.raises(SpecError, match=words) as caught:
        cls(**values)
    assert caught.value.field == field
    assert str(caught.value).endswith(".") and str(caught.value).count(". ") == 0


def test_the_default_is_the_chapters_model():
    spec = ClassifierSpec()
    assert (spec.body.arch, spec.body.size, spec.head.pool, spec.head.widths, spec.n_out) == (
        "resnet34",
        224,
        "concat",
        (512,),
        37,
    )


@pytest.mark.parametrize(
    ("size", "held", "both"),
    [
        (224, 224, (224, 224)),
        ((97, 131), (97, 131), (97, 131)),
        ([97, 131], (97, 131), (97, 131)),
        ([64, 64], 64, (64, 64)),
    ],
)
def test_a_size_is_one_side_or_height_and_width(size, held, both):
    body = BodySpec(size=size)
    assert (body.size, body.height_width) == (held, both)
    assert hash(body) == hash(BodySpec(size=held))


def test_specs_are_hashable_and_equal_by_value():
    assert len({ClassifierSpec(), ClassifierSpec(), ClassifierSpec(n_out=2)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        ClassifierSpec().n_out = 3


def test_the_callers_lists_become_tuples_and_stay_as_they_were():
    widths, ps = [256, 128], [0.1, 0.2, 0.3]
    head = HeadSpec(lin_ftrs=widths, ps=ps)
    assert head.lin_ftrs == (256, 128) and head.ps == (0.1, 0.2, 0.3) and hash(head)
    assert widths == [256, 128] and ps == [0.1, 0.2, 0.3]


def test_an_empty_list_of_widths_means_one_linear_layer():
    assert HeadSpec(lin_ftrs=[]).widths == ()
    assert HeadSpec(lin_ftrs=[], ps=[0.5]).ps == (0.5,)


def test_field_names_reach_into_nested_specs():
    assert field_names(ClassifierSpec())[:2] == ("body.arch", "body.weights")
    assert "n_out" in field_names(ClassifierSpec())


def test_equal_heads_are_written_alike():
    plain, point = HeadSpec(ps=0, y_range=(0, 5)), HeadSpec(ps=0.0, y_range=(0.0, 5.0))
    assert plain == point and repr(plain) == repr(point)
    assert repr(HeadSpec(ps=[0, 0.5])) == repr(HeadSpec(ps=(0.0, 0.5)))


@pytest.mark.parametrize(
    ("frozen", "n_groups", "count"), [(True, 3, 2), (True, 1, 0), (True, 0, 0), (False, 3, 0), (1, 3, 1), (9, 3, 9)]
)
def test_frozen_is_counted_in_groups(frozen, n_groups: int, count: int):
    assert count_frozen(frozen, n_groups) == count
