"""The pictures on the ribbon: real activations, and nothing but silence for a stranger's nonsense."""

from __future__ import annotations

import io
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from PIL import Image

from explorer.spec import BodySpec
from explorer.ui import faces as faces_module
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


@pytest.mark.parametrize(("weights", "n_in"), [("random", 3), ("imagenet", 3), ("random", 1), ("imagenet", 1)])
def test_the_sample_is_seen_as_training_would_give_it(monkeypatch, tmp_path, weights, n_in):
    Image.new("RGB", (90, 60), (255, 0, 0)).save(tmp_path / "red.png")
    monkeypatch.setattr(faces_module, "PHOTO", tmp_path / "red.png")
    x = faces_module._picture(BodySpec("resnet18", weights=weights, size=32, n_in=n_in))
    assert x.shape == (1, n_in, 32, 32)
    red = {("random", 3): 1.0, ("imagenet", 3): (1 - 0.485) / 0.229}.get((weights, n_in), 76 / 255)
    assert x[0, 0, 16, 16].item() == pytest.approx(red, abs=1e-3)


def test_a_rectangle_sees_its_own_part_of_the_photo():
    assert faces_module._picture(BodySpec("resnet18", weights="random", size=(33, 70))).shape == (1, 3, 33, 70)
    shown = faces_module.photo(faces_module._for_the_page(BodySpec(size=(97, 131))))
    assert Image.open(io.BytesIO(b64decode(shown.partition(",")[2]))).size == (240, 178)


def test_the_photo_is_the_middle_square(monkeypatch, tmp_path):
    wide = Image.new("RGB", (120, 40), "red")
    wide.paste("blue", (40, 0, 80, 40))
    wide.save(tmp_path / "wide.png")
    monkeypatch.setattr(faces_module, "PHOTO", tmp_path / "wide.png")
    shown = Image.open(io.BytesIO(b64decode(faces_module.photo.__wrapped__().partition(",")[2])))
    assert shown.size == (240, 240)
    assert shown.getpixel((5, 120))[2] > 200 > shown.getpixel((5, 120))[0]


def test_threads_that_build_at_once_get_the_weights_that_one_alone_gets():
    alone = faces_module.shared_body.__wrapped__("resnet18", "random", None, 3).state_dict()
    with ThreadPoolExecutor(4) as pool:
        bodies = list(pool.map(lambda _: faces_module.shared_body.__wrapped__("resnet18", "random", None, 3), range(4)))
    for body in bodies:
        assert all(torch.equal(tensor, alone[name]) for name, tensor in body.state_dict().items())
