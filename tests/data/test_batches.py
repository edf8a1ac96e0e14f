"""Batches: order, last ones, numbers; and the contact sheet."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.data.batches import batches, count_batches, data_uri, normalise, sheet
from explorer.data.dataset import Split
from explorer.data.drawn import drawn_set


def numbered(n: int, channels: int = 3) -> Split:
    """n flat pictures whose value is their number."""
    return Split(
        list(range(n)), [i % 3 for i in range(n)], lambda i: np.full((channels, 8, 8), i, np.uint8), (channels, 8, 8)
    )


def numbers(passed) -> list[list[int]]:
    return [(x[:, 0, 0, 0] * 255).round().int().tolist() for x, _ in passed]


def generator(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_without_shuffling_the_order_is_the_splits_and_the_last_batch_stays():
    assert numbers(batches(numbered(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_batch_is_float_in_0_1_with_its_labels():
    x, y = next(batches(numbered(4), 4))
    assert (x.dtype, x.shape, y.dtype, y.tolist()) == (torch.float32, (4, 3, 8, 8), torch.int64, [0, 1, 2, 0])
    assert x[3].unique().tolist() == pytest.approx([3 / 255])


@pytest.mark.parametrize("n, size, last", [(7, 3, 2), (6, 3, 2), (3, 3, 1)])
def test_training_drops_a_last_batch_that_is_not_full(n, size, last):
    passed = list(batches(numbered(n), size, drop_last=True))
    assert [len(x) for x, _ in passed] == [size] * last
    assert count_batches(n, size, True) == last


def test_a_set_smaller_than_a_batch_is_one_batch():
    assert [len(x) for x, _ in batches(numbered(5), 64, drop_last=True)] == [5]
    assert count_batches(5, 64, True) == 1 == count_batches(5, 64)


@pytest.mark.parametrize("n", [1, 5, 6, 7, 31])
@pytest.mark.parametrize("drop_last", [True, False])
def test_batches_are_as_many_as_counted(n, drop_last):
    assert len(list(batches(numbered(n), 3, drop_last=drop_last))) == count_batches(n, 3, drop_last)


def test_a_generator_decides_the_order_and_goes_on():
    split, dice = numbered(20), generator()
    first, second = (sum(numbers(batches(split, 6, shuffle=True, generator=dice)), []) for _ in range(2))
    assert first != second and sorted(first) == sorted(second) == list(range(20))
    assert sum(numbers(batches(split, 6, shuffle=True, generator=generator())), []) == first


def test_augmented_batches_are_the_same_for_the_same_generator_and_others_for_another():
    split = drawn_set(size=32).train

    def one(seed):
        return next(batches(split, 8, shuffle=True, augment="basic", generator=generator(seed)))

    assert torch.equal(one(1)[0], one(1)[0])
    assert not torch.equal(one(1)[0], one(2)[0])


def test_no_augmentation_changes_nothing():
    split = drawn_set(size=32).train
    x, _ = next(batches(split, 8, augment="none"))
    assert torch.equal(x, split.images(range(8)).float() / 255)


def test_an_unknown_augmentation_is_refused():
    with pytest.raises(ValueError, match="none, basic"):
        next(batches(numbered(4), 2, augment="wild"))


def test_normalisation_subtracts_and_divides_for_each_channel():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 0.2)
    x, _ = next(batches(numbered(3), 3, mean=mean, std=std))
    for c in range(3):
        assert x[2, c].unique().tolist() == pytest.approx([(2 / 255 - mean[c]) / std[c]])


def test_statistics_for_colour_are_not_applied_to_grey():
    x, _ = next(batches(numbered(3, channels=1), 3, mean=(0.5,) * 3, std=(0.2,) * 3))
    assert x[2].unique().tolist() == pytest.approx([2 / 255])
    assert normalise(x, (0.5,), (0.5,))[2].unique().tolist() == pytest.approx([(2 / 255 - 0.5) / 0.5])


def test_who_stops_in_the_middle_ends_the_decoding_too():
    passed = batches(drawn_set(size=32).train, 8)
    next(passed)
    passed.close()
    assert list(passed) == []


@pytest.mark.parametrize("n_in", [1, 3])
def test_a_sheet_shows_labelled_pictures_after_augmentation(n_in):
    data = drawn_set(size=48, n_in=n_in)
    shown = sheet(data, 9, augment="basic", seed=3)
    assert len(shown) == 9 and {name for _, name in shown} <= set(data.classes)
    for uri, _ in shown:
        assert uri.startswith("data:image/jpeg;base64,")
        image = Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))
        assert image.size == (104, 104) and image.mode == ("L" if n_in == 1 else "RGB")
    assert shown == sheet(data, 9, augment="basic", seed=3)
    assert shown != sheet(data, 9, augment="basic", seed=4)


def test_a_sheet_keeps_pictures_and_labels_together():
    data = drawn_set(size=104)
    plain, changed = (sheet(data, 6, augment=augment, seed=3) for augment in ("none", "basic"))
    assert [name for _, name in plain] == [name for _, name in changed]
    first = torch.randperm(len(data.train), generator=generator(3))[0]
    assert plain[0] == (data_uri(data.train.images([first])[0]), data.classes[data.train.labels[first]])


def test_a_sheet_of_more_than_there_is_shows_all():
    data = drawn_set(size=8)
    assert len(sheet(data, 1_000, augment="none")) == len(data.train)
