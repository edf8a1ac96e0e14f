"""Style pictures: drawn ones, one's own, and what is refused."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from explorer.data.dataset import DataError
from explorer.data.styles import STYLES, style_note, style_picture


@pytest.mark.parametrize("name", STYLES)
def test_a_drawn_style_is_a_lively_picture_and_always_the_same(name):
    picture = style_picture(name, 96)
    assert picture.shape == (3, 96, 96) and picture.dtype == torch.uint8
    assert picture.float().std() > 20 and torch.equal(picture, style_picture(name, 96))
    assert style_note(name) == ""


def test_the_styles_differ():
    assert len({style_picture(name, 16).numpy().tobytes() for name in STYLES}) == len(STYLES) >= 4


def test_a_picture_of_ones_own_is_cut_to_its_middle(tmp_path, picture):
    file = picture(tmp_path / "own.png", (10, 200, 30), size=(60, 20))
    assert style_picture(str(file), 24).flatten(1).unique(dim=1).flatten().tolist() == [10, 200, 30]
    assert style_note(str(file)) == ""


def test_what_is_transparent_becomes_white_and_is_told(tmp_path):
    file = tmp_path / "glass.png"
    Image.new("RGBA", (20, 20), (200, 0, 0, 0)).save(file)
    assert style_picture(str(file), 8).min() == 255
    assert "count as white" in style_note(str(file))


@pytest.mark.parametrize("name, words", [("wavs", "There is no style “wavs”"), ("", "no name"), ("~nobody/x", "style")])
def test_an_unknown_style_is_told_with_the_names_there_are(name, words):
    with pytest.raises(DataError, match=words) as caught:
        style_picture(name, 32)
    assert "waves" in str(caught.value)


def test_files_that_are_no_pictures_are_told(tmp_path):
    (tmp_path / "note.png").write_text("not a picture")
    with pytest.raises(DataError, match="cannot be used"):
        style_picture(str(tmp_path / "note.png"), 32)
    with pytest.raises(DataError, match="is a folder"):
        style_picture(str(tmp_path), 32)


@pytest.mark.parametrize("side", [0, -1, 5000, 3.5, True])
def test_a_side_that_cannot_be_is_told(side):
    with pytest.raises(DataError, match="pixels high and wide"):
        style_picture("waves", side)
