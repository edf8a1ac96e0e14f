"""Files become pixels of the size that was asked for, cut from the middle."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from explorer.data.folders import folder_set
from explorer.data.pictures import middle_box, read_picture
from explorer.data.registry import DataError, load


def striped(width: int, height: int) -> Image.Image:
    """Each pixel holds its column in red and its row in green."""
    rows, columns = np.mgrid[:height, :width].astype(np.uint8)
    return Image.fromarray(np.dstack([columns, rows, np.zeros_like(rows)]))


@pytest.mark.parametrize(
    ("picture", "size", "box"),
    [
        ((120, 60), 60, (30, 0, 90, 60)),
        ((60, 120), 60, (0, 30, 60, 90)),
        ((120, 60), (30, 60), (0, 0, 120, 60)),
        ((120, 60), (60, 30), (45, 0, 75, 60)),
        ((120, 120), (20, 120), (0, 50, 120, 70)),
    ],
)
def test_the_largest_box_of_that_shape_is_cut_from_the_middle(picture, size, box):
    out = middle_box(striped(*picture), size)
    height, width = size if isinstance(size, tuple) else (size, size)
    left, top, right, bottom = box
    assert out.size == (width, height)
    middle = out.getpixel((width // 2, height // 2))
    assert middle[:2] == pytest.approx(((left + right) / 2, (top + bottom) / 2), abs=2)
    assert out.getpixel((0, 0))[:2] == pytest.approx((left, top), abs=2)
    assert out.getpixel((width - 1, height - 1))[:2] == pytest.approx((right - 1, bottom - 1), abs=2)


def test_a_turned_photo_is_cut_the_right_way_up(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    striped(120, 60).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    assert read_picture(tmp_path / "turned.jpg", (40, 20)).shape == (3, 40, 20)
    up = read_picture(tmp_path / "turned.jpg", (120, 60))
    assert up[0, 110, 30] > up[0, 10, 30] + 60  # what was the column is now the row


def test_a_folder_gives_rectangles(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(4):
            striped(40, 30).save(tmp_path / name / f"{i}.png")
    data = folder_set(str(tmp_path), size=(16, 24), n_in=1)
    assert data.train.images([0, 1]).shape == (2, 1, 16, 24)


def test_drawn_scenes_keep_their_shape_in_a_rectangle():
    square, wide = (load("shapes", size=size).train.images([3])[0].float() for size in (160, (160, 240)))
    assert wide.shape == (3, 160, 240)
    assert (wide[..., 40:200] - square).abs().median() < 16  # the square scene stands in the middle


@pytest.mark.parametrize("size", [(64, 0), (0, 64), (64, 4096), (64,), (64, 96, 3), (64, 96.0), [64, 96], (True, 64)])
def test_sizes_that_no_picture_can_have_are_refused(size):
    with pytest.raises(DataError, match="change the image size"):
        load("shapes", size=size)
