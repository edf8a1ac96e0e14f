"""Folders of pictures: what is read, how it is split, and what bad input gets."""

from __future__ import annotations

import os
import shutil
import struct
import time
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from explorer.data import folders, pictures
from explorer.data.registry import DataError, load


def refusal(name: str, **options) -> str:
    """The sentence with which a set is refused."""
    with pytest.raises(DataError) as refused:
        load(name, size=16, **options)
    sentence = str(refused.value)
    assert sentence.endswith(".") and "\n" not in sentence and "Traceback" not in sentence
    return sentence


def names(split) -> list[str]:
    return [f"{item.parent.name}/{item.name}" for item in split.items]


# ---- one folder, split by seed


def test_class_folders_become_classes_and_pictures_keep_their_colours(class_folders):
    data = load(f"folder:{class_folders}", size=16, valid_pct=0.3)
    assert data.classes == ("blue", "red") and data.notes == ()
    assert data.name == "colours", "the folder's own name, not how it was asked for"
    x = data.train.images(range(len(data.train)))
    assert x.shape == (21, 3, 16, 16)
    for picture, label in zip(x, data.train.labels, strict=True):
        assert picture[:, 8, 8].tolist() == [[20, 40, 200], [200, 40, 20]][label]


def test_the_split_holds_back_the_same_share_of_each_class_and_nothing_twice(class_folders):
    data = load(f"folder:{class_folders}", size=16, valid_pct=0.3)
    assert Counter(data.valid.labels.tolist()) == {0: 6, 1: 3}
    assert Counter(data.train.labels.tolist()) == {0: 14, 1: 7}
    assert not set(names(data.train)) & set(names(data.valid))


def test_the_split_depends_on_the_seed_and_on_nothing_else(class_folders, tmp_path, monkeypatch):
    def held_back(root, seed=0):
        return names(load(f"folder:{root}", size=16, seed=seed).valid)

    first = held_back(class_folders)
    moved = shutil.copytree(class_folders, tmp_path / "elsewhere")
    real = os.scandir

    class Backwards:
        def __init__(self, path):
            self.entries = real(path)

        def __enter__(self):
            return reversed(list(self.entries))

        def __exit__(self, *_):
            self.entries.close()

    assert held_back(class_folders, seed=1) != first
    assert held_back(moved) == first
    reverse = {"red", "blue"}
    monkeypatch.setattr(os, "scandir", lambda path: (Backwards if Path(path).name in reverse else real)(path))
    assert held_back(class_folders) == first


@pytest.mark.parametrize("valid_pct", [0.01, 0.5, 0.9])
def test_every_class_keeps_a_picture_on_both_sides(tmp_path, picture, valid_pct):
    for name in ("a", "b"):
        for i in range(2):
            picture(tmp_path / name / f"{i}.png")
    data = load(f"folder:{tmp_path}", size=16, valid_pct=valid_pct)
    assert data.train.labels.tolist() == data.valid.labels.tolist() == [0, 1]


def test_pictures_in_deeper_folders_belong_to_their_class(tmp_path, picture):
    for path in ("cats/1.png", "cats/more/2.png", "dogs/1.jpg", "dogs/2.JPG"):
        picture(tmp_path / path)
    data = load(f"folder:{tmp_path}", size=16)
    assert len(data.train) + len(data.valid) == 4 and data.classes == ("cats", "dogs")


def test_other_and_hidden_files_are_passed_over(class_folders, picture):
    (class_folders / "red" / "notes.txt").write_text("no picture")
    (class_folders / "red" / ".DS_Store").write_bytes(b"x")
    (class_folders / "red" / "._01.png").write_bytes(b"x")
    picture(class_folders / ".thumbs" / "1.png")
    picture(class_folders / "__MACOSX" / "1.png")
    data = load(f"folder:{class_folders}", size=16)
    assert data.classes == ("blue", "red") and data.notes == ()
    assert len(data.train) + len(data.valid) == 30


# ---- a split of its own


@pytest.mark.parametrize("train, valid", [("train", "valid"), ("train", "val"), ("Train", "Validation")])
def test_a_split_of_its_own_is_taken_as_it_is(tmp_path, picture, train, valid):
    for part, n in ((train, 3), (valid, 1)):
        for name in ("a", "b"):
            for i in range(n):
                picture(tmp_path / part / name / f"{i}.png")
    data = load(f"folder:{tmp_path}", size=16, valid_pct=0.9)
    assert (len(data.train), len(data.valid), data.classes) == (6, 2, ("a", "b"))
    assert {item.parent.parent.name for item in data.valid.items} == {valid}


def test_a_folder_in_a_folder_is_found_and_said(class_folders, tmp_path):
    outer = tmp_path / "download" / "colours-main"
    outer.mkdir(parents=True)
    class_folders.rename(outer / "colours")
    data = load(f"folder:{tmp_path / 'download'}", size=16)
    assert data.classes == ("blue", "red") and "“colours”" in data.notes[-1]


def test_a_train_folder_alone_is_split_and_said(class_folders, tmp_path):
    (tmp_path / "set").mkdir()
    class_folders.rename(tmp_path / "set" / "train")
    (tmp_path / "set" / "test").mkdir()
    data = load(f"folder:{tmp_path / 'set'}", size=16, valid_pct=0.2)
    assert (len(data.train), len(data.valid)) == (24, 6)
    assert "no valid folder" in data.notes[0] and "20%" in data.notes[0]


def test_classes_that_only_one_part_has_are_said(tmp_path, picture):
    for path in ("train/a/1.png", "train/b/1.png", "valid/a/2.png", "valid/z/2.png"):
        picture(tmp_path / path)
    data = load(f"folder:{tmp_path}", size=16)
    assert data.valid.labels.tolist() == [0]
    assert any("“z”" in note for note in data.notes) and any("“b”" in note for note in data.notes)


# ---- the class in the file's name


def test_the_class_is_read_from_the_file_name(tmp_path, picture):
    for name in ("great_dane", "beagle"):
        for i in range(5):
            picture(tmp_path / f"{name}_{i}.jpg")
    data = load(f"pattern:{tmp_path}", size=16)
    assert data.classes == ("beagle", "great_dane") and (len(data.train), len(data.valid)) == (8, 2)


def test_another_pattern_may_follow_the_path(tmp_path, picture):
    for i in range(4):
        picture(tmp_path / f"{i}-{'cat' if i % 2 else 'dog'}.png")
    picture(tmp_path / "x.png")
    data = load(rf"pattern:{tmp_path}|^\d-(cat|dog)\.png$", size=16)
    assert data.classes == ("cat", "dog") and "x.png" in data.notes[0]


def test_pictures_one_folder_down_are_found(tmp_path, picture):
    for i in range(4):
        picture(tmp_path / "images" / f"{'ab'[i % 2]}_{i}.png")
    (tmp_path / "annotations").mkdir()
    data = load(f"pattern:{tmp_path}", size=16)
    assert data.classes == ("a", "b") and "“images”" in data.notes[0]


def test_a_pattern_that_cannot_work_is_refused(tmp_path, picture):
    picture(tmp_path / "cat.png")
    assert "not a regular expression" in refusal(f"pattern:{tmp_path}|(")
    assert "no group" in refusal(f"pattern:{tmp_path}|cat")
    assert "cat.png" in refusal(f"pattern:{tmp_path}")
    (tmp_path / "empty").mkdir()
    assert "no pictures" in refusal(f"pattern:{tmp_path / 'empty'}")


# ---- folders that cannot be used


def test_a_missing_folder_says_where_its_path_ends(tmp_path):
    sentence = refusal(f"folder:{tmp_path}/nope/deeper")
    assert "There is no folder" in sentence and f"“{tmp_path}” exists, “nope” in it does not" in sentence


@pytest.mark.parametrize("path", ["", "   ", "a\0b", "x" * 5000, "~nobody-of-that-name/x"])
def test_a_path_that_is_none_is_refused(path):
    assert len(refusal(f"folder:{path}")) < 6000


def test_a_file_is_no_folder(tmp_path, picture):
    assert "is a file" in refusal(f"folder:{picture(tmp_path / 'a.png')}")


def test_a_folder_without_classes(tmp_path, picture):
    assert "has no class folders" in refusal(f"folder:{tmp_path}")
    picture(tmp_path / "holiday.png")
    assert "put the pictures of each class into a folder" in refusal(f"folder:{tmp_path}")


def test_a_folder_of_named_pictures_points_to_their_names(tmp_path, picture):
    for i in range(8):
        picture(tmp_path / f"{'ab'[i % 2]}_{i}.png")
    assert "“a_0.png”, so read the class from the file name" in refusal(f"folder:{tmp_path}")


def test_class_folders_without_pictures(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert "no pictures in the folders" in refusal(f"folder:{tmp_path}")


def test_an_empty_class_is_left_out_and_said(class_folders):
    (class_folders / "green").mkdir()
    data = load(f"folder:{class_folders}", size=16)
    assert data.classes == ("blue", "red") and "“green”" in data.notes[0]


def test_one_class_is_none(class_folders):
    shutil.rmtree(class_folders / "red")
    assert "one class only, “blue”" in refusal(f"folder:{class_folders}")


def test_one_picture_in_a_class_cannot_be_split(class_folders, picture):
    picture(class_folders / "green" / "1.png")
    sentence = refusal(f"folder:{class_folders}")
    assert "“green” has one picture only" in sentence and "needs two" in sentence


def test_an_empty_valid_folder(class_folders, tmp_path):
    (tmp_path / "set").mkdir()
    class_folders.rename(tmp_path / "set" / "train")
    (tmp_path / "set" / "valid").mkdir()
    assert "valid” has no class folders" in refusal(f"folder:{tmp_path / 'set'}")
    for name in ("green", "grey"):
        shutil.copytree(tmp_path / "set" / "train" / "red", tmp_path / "set" / "valid" / name)
    assert "no pictures of the classes to learn" in refusal(f"folder:{tmp_path / 'set'}")


def test_far_too_many_files_end_the_search(class_folders, monkeypatch):
    monkeypatch.setattr(folders, "MAX_FILES", 10)
    assert "more than 10 pictures" in refusal(f"folder:{class_folders}")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the rights of files do not bind root")
def test_a_folder_one_may_not_read(class_folders):
    class_folders.chmod(0)
    assert "cannot be opened" in refusal(f"folder:{class_folders}")


@pytest.fixture
def closed(monkeypatch):
    """Folders of this name cannot be opened, for root neither."""

    def close(name: str) -> None:
        def scandir(path, real=os.scandir):
            if Path(path).name == name:
                raise PermissionError(13, "Permission denied", str(path))
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)

    return close


@pytest.mark.parametrize("path", ["locked", "red/locked"])
def test_a_folder_below_that_cannot_be_opened_is_left_out_and_said(class_folders, picture, closed, path):
    picture(class_folders / path / "0.png")
    closed("locked")
    data = load(f"folder:{class_folders}", size=16)
    assert len(data.train) + len(data.valid) == 30 and data.classes == ("blue", "red")
    assert data.notes == (f"Folders that cannot be opened were left out: “{path}”.",)


def test_class_folders_that_cannot_be_opened_are_named(tmp_path, picture, closed):
    for name in ("a", "locked"):
        (tmp_path / name).mkdir()
    closed("locked")
    assert "such as “locked”: check its rights" in refusal(f"folder:{tmp_path}")


def test_a_folder_beside_named_pictures_may_be_closed(tmp_path, picture, closed):
    for i in range(4):
        picture(tmp_path / "images" / f"{'ab'[i % 2]}_{i}.png")
    picture(tmp_path / "locked" / "0.png")
    closed("locked")
    assert load(f"pattern:{tmp_path}", size=16).classes == ("a", "b")


# ---- pictures that cannot be used


def huge_png(side: int) -> bytes:
    """The head of a PNG that claims side × side pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(b"\0" * 64)
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (head, body, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def truncated(path: Path) -> bytes:
    return path.read_bytes()[: path.stat().st_size // 2]


@pytest.mark.parametrize(
    "file, content, why",
    [
        ("bomb.png", huge_png(10_000), "100 megapixels"),
        ("bigger.png", huge_png(60_000), "megapixels"),
        ("text.jpg", b"no picture at all", "not a picture"),
        ("zero.gif", b"", "empty"),
        ("page.jpg", b"<!doctype html><title>404</title>", "not a picture"),
    ],
)
def test_a_file_that_is_no_usable_picture_is_left_out_and_said(class_folders, file, content, why):
    (class_folders / "red" / file).write_bytes(content)
    begun = time.perf_counter()
    data = load(f"folder:{class_folders}", size=16)
    assert time.perf_counter() - begun < 20, "never decoded"
    assert len(data.train) + len(data.valid) == 30
    assert file in data.notes[0] and why in data.notes[0]


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "webp", "bmp"])
def test_a_picture_that_was_cut_off_is_left_out_and_said(class_folders, tmp_path, suffix):
    noisy = Image.effect_noise((120, 90), 80)
    noisy.save(tmp_path / f"whole.{suffix}")
    (class_folders / "red" / f"cut.{suffix}").write_bytes(truncated(tmp_path / f"whole.{suffix}"))
    shutil.copy(tmp_path / f"whole.{suffix}", class_folders / "red" / f"whole.{suffix}")
    data = load(f"folder:{class_folders}", size=16)
    assert data.notes == (f"Left out: cut.{suffix} (cut off or damaged).",)
    assert len(data.train) + len(data.valid) == 31


def test_a_png_that_is_damaged_in_the_middle_is_left_out_and_said(class_folders):
    path = class_folders / "red" / "hurt.png"
    Image.effect_noise((120, 90), 80).save(path)
    damaged = bytearray(path.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 40] = bytes(40)
    path.write_bytes(damaged)
    data = load(f"folder:{class_folders}", size=16)
    assert data.notes == ("Left out: hurt.png (cut off or damaged).",)
    assert len(data.train.images(range(len(data.train)))) == len(data.train)


def test_a_picture_of_one_pixel_is_left_out_and_said(class_folders, picture):
    picture(class_folders / "red" / "dot.png", size=(1, 1))
    data = load(f"folder:{class_folders}", size=16)
    assert data.notes == ("Left out: dot.png (1×1 pixels).",)


def test_a_folder_of_mostly_broken_pictures_is_refused(class_folders):
    for i in range(8):
        (class_folders / "red" / f"bad{i}.jpg").write_bytes(b"junk")
    sentence = refusal(f"folder:{class_folders}")
    assert "8 of 38 pictures" in sentence and "bad0.jpg (not a picture)" in sentence


def test_a_picture_with_bytes_behind_its_end_is_whole(class_folders):
    path = class_folders / "red" / "phone.jpg"
    Image.new("RGB", (40, 40)).save(path)
    path.write_bytes(path.read_bytes() + b"\0" * 9_000)
    assert load(f"folder:{class_folders}", size=16).notes == ()


def test_a_picture_that_goes_away_later_is_named(class_folders):
    data = load(f"folder:{class_folders}", size=16)
    data.train.items[3].unlink()
    with pytest.raises(DataError, match=data.train.items[3].name):
        data.train.images(range(8))


# ---- links and public hosts


@pytest.fixture
def outside(tmp_path, picture) -> Path:
    for i in range(4):
        picture(tmp_path / "outside" / f"{i}.png")
    return tmp_path / "outside"


def test_links_are_followed_neither_in_circles_nor_out_of_the_folder(class_folders, outside):
    (class_folders / "red" / "again").symlink_to(class_folders, target_is_directory=True)
    (class_folders / "green").symlink_to(outside, target_is_directory=True)
    (class_folders / "red" / "stolen.png").symlink_to(outside / "0.png")
    (class_folders / "red" / "gone.png").symlink_to(outside / "nothing.png")
    (class_folders / "red" / "twin.png").symlink_to(class_folders / "red" / "00.png")
    data = load(f"folder:{class_folders}", size=16)
    assert len(data.train) + len(data.valid) == 31
    assert data.classes == ("blue", "red") and "“green”" in data.notes[0] and "not followed" in data.notes[0]


def test_on_a_public_host_only_the_lent_folder_opens(class_folders, outside, monkeypatch):
    monkeypatch.setenv("SPACE_ID", "someone/explorer")
    closed = "cannot be opened from a public page"
    assert closed in refusal(f"folder:{class_folders}")
    assert closed in refusal("folder:/there/is/nothing"), "and does not tell what exists"
    monkeypatch.setenv("EXPLORER_DATA", str(class_folders))
    assert load(f"folder:{class_folders}", size=16).classes == ("blue", "red")
    assert closed in refusal(f"folder:{class_folders}/../outside")
    (class_folders / "way out").symlink_to(outside, target_is_directory=True)
    assert closed in refusal(f"pattern:{class_folders}/way out")
    assert "one's own machine" in refusal(f"pattern:{class_folders}|(a+)+$")


# ---- how a file becomes pixels


def pixels(path: Path, n_in=3, size=16) -> torch.Tensor:
    return torch.from_numpy(pictures.read_picture(path, size, n_in))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "bmp"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_colour_and_grey_files_give_colour_and_grey(tmp_path, picture, mode, suffix):
    path = picture(tmp_path / f"a.{suffix}", 120 if mode == "L" else (120, 120, 120), (32, 32), mode)
    for n_in in (1, 3):
        x = pixels(path, n_in)
        assert x.shape == (n_in, 16, 16) and x.dtype == torch.uint8
        assert (x.int() - 120).abs().max() <= 2


def test_cmyk_palette_and_sixteen_bits_become_their_colours(tmp_path, picture):
    red = Image.new("RGB", (32, 32), (255, 0, 0))
    red.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    red.convert("P").save(tmp_path / "palette.png")
    red.convert("P").save(tmp_path / "palette.gif")
    for name in ("cmyk.jpg", "palette.png", "palette.gif"):
        assert (pixels(tmp_path / name)[:, 8, 8].int() - torch.tensor([255, 0, 0])).abs().max() <= 3
    Image.new("I;16", (32, 32), 128 * 256).save(tmp_path / "deep.png")
    assert pixels(tmp_path / "deep.png").unique().tolist() == [128]


@pytest.mark.parametrize("mode, clear", [("RGBA", (0, 0, 0, 0)), ("LA", (0, 0))])
def test_what_is_transparent_becomes_white(tmp_path, picture, mode, clear):
    assert pixels(picture(tmp_path / "clear.png", clear, (32, 32), mode)).unique().tolist() == [255]


def test_transparency_of_a_palette_becomes_white(tmp_path):
    image = Image.new("P", (32, 32), 0)
    image.putpalette([10, 20, 30])
    image.save(tmp_path / "p.png", transparency=0)
    assert pixels(tmp_path / "p.png").unique().tolist() == [255]


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_a_picture_stands_the_right_way_up(tmp_path, suffix):
    image = Image.new("RGB", (64, 64), "black")
    image.paste("white", (0, 0, 64, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    image.save(tmp_path / f"a.{suffix}", exif=exif)
    x = pixels(tmp_path / f"a.{suffix}").float()
    assert x[:, :, 10:].min() > 240 and x[:, :, :6].max() < 15, "what was above is right"


@pytest.mark.parametrize("size", [(64, 32), (32, 64)])
def test_the_short_side_is_fitted_and_the_middle_cut_out(tmp_path, size):
    image = Image.effect_noise(size, 60)
    image.save(tmp_path / "a.png")
    fitted = image.resize((size[0] // 2, size[1] // 2), Image.Resampling.BILINEAR)
    left, top = (fitted.width - 16) // 2, (fitted.height - 16) // 2
    middle = torch.from_numpy(np.array(fitted.crop((left, top, left + 16, top + 16))))
    assert (pixels(tmp_path / "a.png", n_in=1)[0].int() - middle.int()).abs().max() <= 1


def test_large_jpegs_are_reduced_as_they_are_decoded_to_the_same_picture(tmp_path):
    image = Image.linear_gradient("L").resize((1024, 1024)).convert("RGB")
    image.save(tmp_path / "a.jpg", quality=95)
    image.save(tmp_path / "a.png")
    assert (pixels(tmp_path / "a.jpg").int() - pixels(tmp_path / "a.png").int()).abs().max() <= 3


@pytest.mark.parametrize("n_in", [2, 4, 64])
def test_other_numbers_of_channels_are_refused(class_folders, n_in):
    for name in (f"folder:{class_folders}", f"pattern:{class_folders}", "shapes"):
        assert f"not {n_in}: set the input channels to 3 or 1" in refusal(name, n_in=n_in)


def test_progress_is_told_and_may_end_the_search(class_folders):
    told = []
    load(f"folder:{class_folders}", size=16, progress=lambda *step: told.append(step))
    assert told == [("Looking through colours", 30, 30, "pictures")]

    class Enough(Exception):
        pass

    def stop(*_):
        raise Enough

    with pytest.raises(Enough):
        load(f"folder:{class_folders}", size=16, progress=stop)


# ---- real photographs


@pytest.mark.parametrize(
    "name, n_classes, n_train, n_valid",
    [
        ("folder:hymenoptera_data", 2, 244, 77),
        ("folder:flowers", 5, 400, 100),
        ("folder:mnist_tiny", 2, 709, 699),
        ("folder:cifar10_sample/train", 10, 800, 200),
        ("pattern:pets/images", 3, 288, 72),
        ("pattern:pets_fewshot", 17, 136, 34),
    ],
)
@pytest.mark.parametrize("n_in", [1, 3])
def test_real_photographs_load(shared_data, name, n_classes, n_train, n_valid, n_in):
    kind, _, place = name.partition(":")
    data = load(f"{kind}:{shared_data / place}", size=48, n_in=n_in)
    assert (len(data.classes), len(data.train), len(data.valid)) == (n_classes, n_train, n_valid)
    assert not set(data.train.items) & set(data.valid.items)
    x = data.train.images(range(0, n_train, 40))
    assert x.shape[1:] == (n_in, 48, 48) and x.float().std() > 20
    assert set(data.train.labels.tolist()) == set(data.valid.labels.tolist()) == set(range(n_classes))
