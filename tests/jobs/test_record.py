"""Specs go into the store and come back the same."""

from __future__ import annotations

import json

import pytest

from explorer.jobs.record import FAMILIES, family_of, spec_from_dict, spec_to_dict, train_from_dict
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec, SpecError, TrainSpec

RICH = ClassifierSpec(
    BodySpec("resnet18", None, "layer3.1", 64, 4), HeadSpec("avg", (256, 128), (0.1, 0.2, 0.3), y_range=(0.0, 5.5)), 3
)
SPECS = [*(family.spec() for family in FAMILIES.values()), RICH, ClassifierSpec(BodySpec(cut=-2))]


@pytest.mark.parametrize("spec", SPECS)
def test_a_spec_survives_json(spec):
    values = json.loads(json.dumps(spec_to_dict(spec)))
    again = spec_from_dict(family_of(spec), values)
    assert again == spec
    assert hash(again) == hash(spec)


@pytest.mark.parametrize("train", [TrainSpec(), TrainSpec(lrs=(1e-5, 1e-4, 1e-3), frozen=2, schedule="fine_tune")])
def test_a_train_spec_survives_json(train):
    assert train_from_dict(json.loads(json.dumps(spec_to_dict(train)))) == train


def test_fields_that_are_missing_take_their_defaults():
    assert spec_from_dict("classifier", {"body": {"arch": "alexnet"}}) == ClassifierSpec(BodySpec("alexnet"))


@pytest.mark.parametrize(
    "family, values, words",
    [
        ("poem", {}, "not 'poem'"),
        ("classifier", {"tail": 1}, "no field 'tail'"),
        ("classifier", {"head": {"hat": 1}}, "no field 'hat'"),
        ("classifier", {"n_out": 0}, "between 1 and"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(family, values, words):
    with pytest.raises(SpecError, match=words):
        spec_from_dict(family, values)


@pytest.mark.parametrize("other", [None, {}, TrainSpec(), BodySpec()])
def test_only_specs_of_a_family_have_a_family(other):
    with pytest.raises(SpecError, match="spec of a classifier"):
        family_of(other)
