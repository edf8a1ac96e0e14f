"""Pictures come back out of their data URIs; sentences say what a confusion matrix counts."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from explorer.views import previews

CLASSES = ("striped star", "dotted_ring", "owl")
CONFUSION = ((28, 12, 0), (3, 36, 1), (0, 12, 28))


def opened(uri: str) -> Image.Image:
    head, data = uri.split(",", 1)
    image = Image.open(BytesIO(b64decode(data)))
    assert head == f"data:image/{image.format.lower()};base64"
    return image


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 3), (7, 9, 4)])
def test_a_png_keeps_every_value(shape):
    array = noise(*shape)
    assert np.array_equal(np.asarray(opened(previews.png(array))), array)


def test_a_jpeg_keeps_size_and_colour():
    array = np.full((16, 24, 3), (200, 40, 90), dtype=np.uint8)
    image = opened(previews.jpeg(array))
    assert image.size == (24, 16)
    assert np.abs(np.asarray(image).astype(int) - array).max() < 8


@pytest.mark.parametrize("shape", [(1, 1), (7, 7), (112, 56)])
def test_a_face_is_white_with_the_map_as_its_alpha(shape):
    array = noise(*shape)
    white, alpha = np.moveaxis(np.asarray(opened(previews.face_png(array))), -1, 0)
    assert (white == 255).all()
    assert np.array_equal(alpha, array)


def test_a_face_may_be_a_slice_of_a_larger_array():
    array = noise(14, 14)[::2, ::2]
    assert np.array_equal(np.asarray(opened(previews.face_png(array)))[..., 1], array)


@pytest.mark.parametrize("make", [previews.png, previews.jpeg, previews.face_png])
def test_other_numbers_than_bytes_are_refused(make):
    with pytest.raises(ValueError, match="uint8, not of float32"):
        make(np.zeros((4, 4), dtype=np.float32))


def test_a_face_of_many_channels_is_refused():
    with pytest.raises(ValueError, match=r"one map .* shape \(3, 4, 4\)"):
        previews.face_png(np.zeros((3, 4, 4), dtype=np.uint8))


def test_the_worst_mistakes_come_first_and_ties_in_the_order_of_the_classes():
    assert previews.worst_pairs(CONFUSION, CLASSES) == (
        "12 of 40 striped stars were taken for dotted rings",
        "12 of 40 owls were taken for dotted rings",
        "3 of 40 dotted rings were taken for striped stars",
    )


def test_one_mistake_is_told_in_the_singular():
    assert previews.worst_pairs(CONFUSION, CLASSES, n=9)[-1] == "1 of 40 dotted rings was taken for an owl"


def test_no_mistake_no_sentence():
    assert previews.worst_pairs(((5, 0), (0, 7)), ("ant", "bee")) == ()
    assert previews.worst_pairs((), ()) == ()


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("star", "stars"),
        ("hatched_cross", "hatched crosses"),
        ("box", "boxes"),
        ("pansy", "pansies"),
        ("monkey", "monkeys"),
        ("oak_leaf", "oak leaves"),
        ("knife", "knives"),
        ("giraffe", "giraffes"),
        ("cliff", "cliffs"),
        ("bees", "bees"),
        ("n02123045", "n02123045"),
        ("", ""),
    ],
)
def test_plurals(one, many):
    assert previews.plural(one) == many
