"""Folders with masks: layouts, values, remaps, and a sentence for everything that cannot be used."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.data.dataset import DataError
from explorer.data.dense import VOID, dense_batches, load_dense, offered_remap
from explorer.data.masks import class_colours, offer, parse_remap

SIZE = (24, 16)  # height and width


def save(path, values, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8), **options).save(path)


def mask(*values, size=SIZE):
    """Bars of these values, one below the other."""
    return np.broadcast_to(np.repeat(values, size[0] // len(values))[:, None], (size[0], size[1]))


@pytest.fixture
def folder(tmp_path, picture):
    """folder(*values) writes ten pictures in images/ and as many masks with bars of these values in masks/."""

    def write(*values, masks="masks", ending="", n=10):
        for i in range(n):
            picture(tmp_path / "set" / "images" / f"{i}.jpg", size=SIZE[::-1])
            save(tmp_path / "set" / masks / f"{i}{ending}.png", mask(*values))
        return tmp_path / "set"

    return write


def load(path, remap="", **options):
    return load_dense(
        f"masks:{path}{'|' + remap if remap else ''}", **{"task": "segmentation", "size": SIZE, **options}
    )


def values_of(dataset):
    return dataset.train.images(range(len(dataset.train)))[:, -1].unique().tolist()


@pytest.mark.parametrize("masks, ending", [("masks", ""), ("labels", "_P"), ("annotations", "_mask")])
def test_pictures_and_masks_of_the_same_name_are_pairs(folder, masks, ending):
    dataset = load(folder(0, 1, 2, VOID, masks=masks, ending=ending))
    assert dataset.classes == ("class 0", "class 1", "class 2") and len(dataset.colours) == 3
    assert (len(dataset.train), len(dataset.valid)) == (8, 2)
    assert values_of(dataset) == [0, 1, 2, VOID]
    assert "25.0% of the pixels are void" in dataset.notes[0]


def test_camvids_layout_names_classes_and_leaves_out_void(tmp_path, picture):
    for part, n in (("train", 4), ("val", 2)):
        for i in range(n):
            picture(tmp_path / part / f"{i}.png", size=SIZE[::-1])
            save(tmp_path / f"{part}annot" / f"{i}.png", mask(0, 1, 2, 3))
    (tmp_path / "codes.txt").write_text("Sky\nVoid\nRoad\nCar\nTree\n")
    (tmp_path / "colors.json").write_text(json.dumps({"Sky": [128, 128, 128], "Car": [200, 0, 0]}))
    dataset = load(tmp_path)
    assert dataset.classes == ("Sky", "Road", "Car", "Tree")
    assert (len(dataset.train), len(dataset.valid)) == (4, 2)
    assert values_of(dataset) == [0, 1, 2, VOID], "Road and Car close the gap that Void leaves"
    assert dataset.colours[0] == "#808080" and len(set(dataset.colours)) == 4
    assert any("No mask shows “Tree”" in note for note in dataset.notes)


def test_trimaps_leave_out_the_border_unless_a_remap_says_otherwise(folder):
    path = folder(1, 2, 3, masks="annotations/trimaps")
    dataset = load(path)
    assert dataset.classes == ("background", "pet") and values_of(dataset) == [0, 1, VOID]
    assert "border between them is void" in dataset.notes[0]
    assert load(path, "1:1,2:0,3:2").classes == ("background", "pet", "border")


def test_black_and_white_masks_come_with_an_offer_that_works(folder):
    path = folder(0, 255)
    with pytest.raises(DataError, match="0 and 255 where class numbers 0 and 1 are needed.*0:0,255:1"):
        load(path)
    assert offered_remap(f"masks:{path}") == "0:0,255:1"
    assert values_of(load(path, "0:0,255:1")) == [0, 1]


@pytest.mark.parametrize(
    "values, codes, offered",
    [
        ((0, 1), None, ""),
        ((0, 1, 2, 255), None, ""),
        ((0, 255), None, "0:0,255:1"),
        ((0, 255), 2, "0:0,255:1"),
        ((0, 255), 12, ""),
        ((0, 1, 2, 250), None, "250:255"),
        ((0, 128, 255), None, "0:0,128:1,255:2"),
        ((0, 85, 170, 255), None, "0:0,85:1,170:2,255:3"),
        ((0, 100, 200, 255), None, "0:0,100:1,200:2"),
        ((0, 1, 2, 14), 3, "14:255"),
        (tuple(range(151)), None, ""),
    ],
)
def test_a_remap_is_offered_where_values_are_no_class_numbers(values, codes, offered):
    assert offer(values, codes) == offered


def test_an_offer_is_taken(folder):
    path = folder(0, 1, 250)
    with pytest.raises(DataError, match="250 is far from the other"):
        load(path)
    assert values_of(load(path, offered_remap(f"masks:{path}"))) == [0, 1, VOID]


def test_more_classes_than_codes(folder):
    path = folder(0, 1, 5, 7)
    (path / "codes.txt").write_text("ground\nthing\n")
    with pytest.raises(DataError, match="hold 5 and 7, such as “.*png”, but codes.txt names 2 classes"):
        load(path)
    assert values_of(load(path, offered_remap(f"masks:{path}"))) == [0, 1, VOID]


@pytest.mark.parametrize(
    "values, remap, words",
    [
        ((1, 1), "", "show one class only, 1"),
        ((255, 255), "", "No pixel of the masks"),
        ((0, 1), "0:0,1:0", "show one class only, 0"),
        ((0, 1), "0-0", "does not map a value"),
        ((0, 1), "0:0,300:1", "does not map a value"),
        ((0, 1), "0:0,0:1", "names the value 0 twice"),
        ((0, 1), "1:200", "without gaps"),
    ],
)
def test_values_that_cannot_be_used_are_told(folder, values, remap, words):
    with pytest.raises(DataError, match=words):
        load(folder(*values), remap)


def test_a_remap_is_a_mapping_and_spaces_do_no_harm():
    assert parse_remap(" 0:0, 255 : 1 ") == {0: 0, 255: 1} and parse_remap("") == {}


def test_a_picture_without_its_mask_is_left_out_and_many_are_refused(folder):
    path = folder(0, 1)
    (path / "masks" / "3.png").unlink()
    dataset = load(path)
    assert len(dataset.train) + len(dataset.valid) == 9 and "have no mask were left out: “3.jpg”" in dataset.notes[0]
    for i in range(4, 8):
        (path / "masks" / f"{i}.png").unlink()
    with pytest.raises(DataError, match="5 of 10 pictures .* have no mask in “masks”"):
        load(path)


def test_masks_of_another_size_are_resized_where_the_shape_is_the_same(folder):
    path = folder(0, 1)
    for i in range(10):
        save(path / "masks" / f"{i}.png", mask(0, 1, 2, size=(48, 32)))
    dataset = load(path)
    assert values_of(dataset) == [0, 1, 2], "nothing is mixed"
    assert any("10 masks have another size" in note for note in dataset.notes)
    for i in range(10):
        save(path / "masks" / f"{i}.png", mask(0, 1, size=(16, 24)))
    with pytest.raises(DataError, match="another shape than their picture, such as “.*” \\(24×16 pixels"):
        load(path)


def test_palettes_are_read_by_index_and_bits_as_0_and_1(folder):
    path = folder(0, 1)
    for i in range(10):
        image = Image.fromarray(np.array(mask(0, 1, 2), np.uint8)).convert("L")
        image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200] + [0] * 759)
        image.save(path / "masks" / f"{i}.png")
    assert image.mode == "P" and values_of(load(path)) == [0, 1, 2]
    for i in range(10):
        Image.fromarray(np.array(mask(0, 1), bool)).save(path / "masks" / f"{i}.png")
    assert values_of(load(path)) == [0, 1]


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda file: Image.new("RGB", SIZE[::-1], (200, 10, 10)).save(file), "holds colours, not class numbers"),
        (lambda file: Image.fromarray(np.full(SIZE, 1000, np.uint16)).save(file), "holds numbers up to 1000"),
        (lambda file: file.rename(file.with_suffix(".jpg")), "is a JPEG"),
    ],
)
def test_masks_of_another_kind_are_told(folder, spoil, words):
    path = folder(0, 1)
    spoil(path / "masks" / "4.png")
    with pytest.raises(DataError, match=words):
        load(path)


@pytest.mark.parametrize("codes, words", [("", "names 0 classes"), ("a\na\n", "names “a” twice")])
def test_codes_that_cannot_be_used_are_told(folder, codes, words):
    path = folder(0, 1)
    (path / "codes.txt").write_text(codes)
    with pytest.raises(DataError, match=words):
        load(path)


def test_folders_without_masks_are_told(tmp_path, picture):
    picture(tmp_path / "images" / "1.png")
    picture(tmp_path / "other" / "1.png")
    with pytest.raises(DataError, match="no pictures with masks"):
        load(tmp_path)


def test_damaged_masks_leave_their_picture_out(folder):
    path = folder(0, 1)
    whole = (path / "masks" / "2.png").read_bytes()
    (path / "masks" / "2.png").write_bytes(whole[: len(whole) // 2])
    dataset = load(path)
    assert len(dataset.train) + len(dataset.valid) == 9 and any("2.png" in note for note in dataset.notes)


def test_picture_and_mask_are_cut_at_the_same_place(tmp_path):
    across = np.arange(40, dtype=np.uint8)[None].repeat(20, 0)
    for i in range(4):
        save(tmp_path / "images" / f"{i}.png", np.stack([across * 5] * 3, -1))
        save(tmp_path / "masks" / f"{i}.png", across)
    stored = load(tmp_path, size=20).train.images([0])[0]
    assert torch.equal(stored[3], torch.arange(10, 30, dtype=torch.uint8).expand(20, 20))
    assert (stored[0].int() - stored[3].int() * 5).abs().max() <= 1


@pytest.mark.parametrize("n", [2, 9, 21, 32, 100])
def test_every_class_has_a_colour_of_its_own(n):
    assert len(set(class_colours(n))) == n


def test_real_camvid(shared_data):
    dataset = load(shared_data / "camvid", size=64)
    assert (len(dataset.train), len(dataset.valid), len(dataset.classes)) == (100, 40, 11)
    assert "Unlabelled" not in dataset.classes and any("void" in note for note in dataset.notes)
    _, y = next(dense_batches(dataset.valid, 8, task="segmentation"))
    assert {0, 1, 3} <= set(y.unique().tolist()) <= {*range(11), VOID}


def test_real_trimaps(shared_data):
    dataset = load(shared_data / "pets", size=64)
    assert dataset.classes == ("background", "pet") and len(dataset.train) + len(dataset.valid) == 360
    _, y = next(dense_batches(dataset.valid, 16, task="segmentation"))
    assert y.unique().tolist() == [0, 1, VOID]
