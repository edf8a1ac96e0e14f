"""The pictures on the ribbon: real activations, and nothing but silence for a stranger's nonsense."""

from __future__ import annotations

import pytest

from explorer.ui.faces import faces_function


@pytest.fixture
def faces(handlers):
    return faces_function(handlers.services)


def test_each_stage_gets_a_picture_of_what_it_sees(faces):
    answer = faces(["squeezenet1_1", "random", 64, None, 3])
    assert len(answer["faces"]) == 4
    assert all(uri.startswith("data:image/png;base64,") for uri in answer["faces"].values())
    assert answer["photo"].startswith("data:image/jpeg;base64,")


def test_without_weights_the_pictures_are_those_of_random_ones(faces):
    faces(["squeezenet1_1", "imagenet", 64, None, 3])
    random, imagenet = (faces(["squeezenet1_1", weights, 64, None, 3]) for weights in ("random", "imagenet"))
    assert random["faces"] == imagenet["faces"]


@pytest.mark.parametrize("n_in", [1, 2, 5])
def test_other_channels_work(faces, n_in):
    assert faces(["squeezenet1_1", "random", 64, "features.4", n_in])["faces"]


@pytest.mark.parametrize(
    "asked",
    [
        None, "x", [], [1, 2, 3, 4, 5], ["resnet99", "random", 64, None, 3], ["alexnet", "random", 16, None, 3],
        ["resnet18", "/etc/passwd", 64, None, 3], ["resnet18", "random", 10**9, None, 3], [None] * 5, {"a": 1},
        ["resnet18", "random", 64, "nowhere", 3], ["resnet18", "random", 64, None, 0], [[], {}, [], {}, []],
    ],
)  # fmt: skip
def test_nonsense_gets_no_pictures_and_no_error(faces, asked):
    assert "faces" not in faces(asked)
