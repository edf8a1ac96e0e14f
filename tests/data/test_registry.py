"""Names of sets."""

from __future__ import annotations

import pytest

from explorer.data.downloads import DOWNLOADS
from explorer.data.registry import DataError, list_data, load
from explorer.spec import DATA_SIZES, TrainSpec


def test_the_default_of_a_train_spec_loads_and_comes_first():
    spec = TrainSpec()
    assert list_data()[0].name == spec.data
    data = load(spec.data, size=32, data_size=spec.data_size, difficulty=spec.difficulty, seed=spec.seed)
    assert len(data.classes) == list_data()[0].classes


@pytest.mark.parametrize("data_size", DATA_SIZES)
def test_every_size_of_the_spec_is_drawn(data_size):
    assert len(load("shapes", size=8, data_size=data_size).train) >= 400


def test_choices_name_themselves_and_what_they_fetch():
    choices = list_data()
    assert len({choice.name for choice in choices}) == len(choices)
    assert all(choice.label and choice.help.endswith(".") for choice in choices)
    fetched = {choice.name: choice.download for choice in choices if choice.download}
    assert fetched == {"pets": "811 MB", "flowers102": "345 MB", "cifar10": "170 MB", "imagenette": "99 MB"}
    assert set(fetched) == {entry.name for entry in DOWNLOADS}


@pytest.mark.parametrize(
    "name, words",
    [
        ("shape", "did you mean shapes?"),
        ("imagenet", "did you mean imagenette?"),
        ("qqq", "choose shapes, folder:PATH"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(name, words):
    with pytest.raises(DataError) as refused:
        load(name, size=32)
    assert words in str(refused.value)


def test_an_endless_name_gives_a_short_sentence():
    with pytest.raises(DataError) as refused:
        load("x" * 100_000, size=32)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("size", [0, -1, 100_000])
def test_an_absurd_size_is_refused(size):
    with pytest.raises(DataError, match="1 to 2048 pixels"):
        load("shapes", size=size)
