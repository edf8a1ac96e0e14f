"""A split decodes what is asked for, once."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from explorer.data.dataset import DataError, Split


def counting_split(n=10, keep=1 << 20):
    reads: list[int] = []
    lock = threading.Lock()

    def read(item: int) -> np.ndarray:
        with lock:
            reads.append(item)
        return np.full((3, 4, 4), item, dtype=np.uint8)

    return Split(list(range(n)), [i % 2 for i in range(n)], read, (3, 4, 4), keep), reads


def test_pictures_come_in_the_asked_order():
    split, _ = counting_split()
    assert split.images([7, 0, 3, 3])[:, 0, 0, 0].tolist() == [7, 0, 3, 3]
    assert split.images(torch.tensor([9]))[0].unique().tolist() == [9]
    assert split.images([]).shape == (0, 3, 4, 4)
    assert (len(split), split.labels.dtype, split.labels.tolist()[:3]) == (10, torch.int64, [0, 1, 0])


def test_nothing_is_decoded_before_it_is_asked_for_and_nothing_twice():
    split, reads = counting_split()
    assert reads == []
    for _ in range(3):
        split.images(range(10))
    assert sorted(reads) == list(range(10))


def test_only_what_fits_the_limit_is_kept():
    split, reads = counting_split(keep=4 * 48)
    split.images(range(10))
    again = split.images(range(10))
    assert sorted(reads) == sorted([*range(10), *range(4, 10)])
    assert again[:, 0, 0, 0].tolist() == list(range(10))


def test_what_a_reader_raises_comes_through():
    def read(item):
        raise DataError("The picture “x.jpg” cannot be read any more.")

    with pytest.raises(DataError, match="x.jpg"):
        Split([0] * 8, [0] * 8, read, (3, 4, 4)).images(range(8))
