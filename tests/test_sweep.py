"""A sweep as plain values: which runs it is made of, and what it refuses."""

from __future__ import annotations

import pytest

from explorer.spec import ClassifierSpec, SpecError, TrainSpec, UnetSpec
from explorer.sweep import read_knob, setting_words, sweep


def test_every_combination_comes_with_every_seed_and_all_of_one_seed_first():
    entries = sweep(ClassifierSpec(), TrainSpec(seed=5), {"head.pool": ("avg", None), "train.lr": (1e-3, 1e-2)}, 2)
    assert [entry.seed for entry in entries] == [5] * 4 + [6] * 4
    assert [(e.spec.head.pool, e.train.lr, e.train.seed) for e in entries[:5]] == [
        ("avg", 1e-3, 5), ("avg", 1e-2, 5), (None, 1e-3, 5), (None, 1e-2, 5), ("avg", 1e-3, 6),
    ]  # fmt: skip
    assert entries[1].setting == (("head.pool", "avg"), ("train.lr", 1e-2))


def test_widths_and_dropouts_that_belong_together_may_be_given_in_any_order():
    knobs = {"head.ps": ((0.1, 0.2, 0.3),), "head.lin_ftrs": ((64, 32),)}
    assert sweep(ClassifierSpec(), TrainSpec(), knobs)[0].spec.head.ps == (0.1, 0.2, 0.3)


def test_without_knobs_only_the_seeds_differ():
    assert [(e.setting, e.seed) for e in sweep(UnetSpec(), TrainSpec(), {}, 3)] == [((), 0), ((), 1), ((), 2)]


@pytest.mark.parametrize(
    "knobs, seeds, words",
    [
        ({"head.colour": ("red",)}, 1, "There is no knob 'head.colour' to sweep: choose from body.arch, "),
        ({"decoder.blur": (True,)}, 1, "There is no knob 'decoder.blur'"),
        ({"train.seed": (1, 2)}, 1, "There is no knob 'train.seed'"),
        ({"head.pool": ("median",)}, 1, "Pooling is concat, avg, max or none, not 'median'."),
        ({"head.pool": ()}, 1, "has no values to try"),
        ({"head.pool": ("avg", "avg")}, 1, "the same value twice"),
        ({"train.epochs": tuple(range(1, 34))}, 2, "This sweep would be 66 runs, and 64 are the most."),
        ({}, 0, "The number of seeds must lie between 1 and 64, not 0."),
    ],
)
def test_what_cannot_be_swept_is_refused_in_one_sentence(knobs, seeds, words):
    with pytest.raises(SpecError, match=words.replace(".", r"\.")) as refused:
        sweep(ClassifierSpec(), TrainSpec(), knobs, seeds)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "text, place, values",
    [
        ("head.pool=concat,none", "head.pool", ("concat", None)),
        ("train.lr=1e-3, 0.01", "train.lr", (1e-3, 1e-2)),
        ("head.lin_ftrs=512;256,128", "head.lin_ftrs", ((512,), (256, 128))),
        ("body.cut=layer3,-2", "body.cut", ("layer3", -2)),
        ("head.first_bn=1,0", "head.first_bn", (True, False)),
    ],
)
def test_values_are_read_as_a_link_writes_them(text, place, values):
    assert read_knob(ClassifierSpec, text) == (place, values)


@pytest.mark.parametrize("text", ["head.pool", "train.lr=fast", "nonsense=1", "head.pool=avg,avg"])
def test_words_that_mean_no_knob_are_refused(text):
    with pytest.raises(SpecError):
        read_knob(ClassifierSpec, text)


def test_a_setting_is_told_in_words():
    assert setting_words((("head.pool", None), ("train.lr", 0.001))) == "head.pool none · train.lr 0.001"
    assert setting_words(()) == "as it is"
