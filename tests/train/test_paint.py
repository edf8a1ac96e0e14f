"""Masks and pictures as data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
import torch
from PIL import Image

from explorer.data.masks import VOID
from explorer.train.paint import mask_uri, picture_uri


def opened(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def test_a_mask_has_the_colours_of_its_classes_and_void_is_transparent():
    mask = torch.tensor([[0, 1, 2], [2, VOID, 0]])
    pixels = np.asarray(opened(mask_uri(mask, ("#102030", "#ff0000", "#00ff7f"))).convert("RGBA"))
    assert pixels[0].tolist() == [[16, 32, 48, 255], [255, 0, 0, 255], [0, 255, 127, 255]]
    assert pixels[1, 1, 3] == 0 and pixels[1, 2].tolist() == [16, 32, 48, 255]


def test_a_large_mask_is_shrunk_without_mixing_classes():
    mask = torch.zeros(300, 600, dtype=torch.long)
    mask[:, 300:] = 1
    shown = opened(mask_uri(mask, ("#000000", "#ffffff")))
    assert shown.size == (256, 128)
    assert set(np.asarray(shown.convert("L")).ravel()) == {0, 255}


def test_a_picture_keeps_its_colours_and_its_place():
    picture = torch.zeros(3, 40, 60)
    picture[0, :, 30:] = 1.7
    pixels = np.asarray(opened(picture_uri(picture))).astype(int)
    assert pixels.shape == (40, 60, 3)
    assert abs(pixels[20, 50] - (255, 0, 0)).max() < 12 and pixels[20, 5].max() < 12
    assert opened(picture_uri(torch.rand(1, 8, 8))).mode == "L"
