"""Sets that people bring: which layouts are understood, what is said of them, whose they are, and when they go."""

from __future__ import annotations

import hashlib
import io
import os
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np
import pytest
from PIL import Image

from explorer.data import receive as room
from explorer.data import registry, uploads
from explorer.data.dataset import DataError
from explorer.data.dense import list_dense, load_dense
from explorer.data.door import MEGA, Limits
from explorer.data.receive import receive
from explorer.data.registry import fingerprint, list_data, load
from explorer.data.uploads import Upload
from explorer.host import upload_hours
from explorer.spec import COLOUR, SEGMENTATION, TASKS

ME, YOU = "a" * 64, "b" * 64


@pytest.fixture
def bring(uploads_home, pack) -> Callable[..., Upload]:
    """bring(members, use) -> the set that they become."""

    def brought(members: Mapping[str, bytes], use="classes", *, name="pets.zip", person=ME) -> Upload:
        return receive(person, pack(members), name=name, use=use)

    return brought


@pytest.fixture
def refusal(bring, uploads_home) -> Callable[..., str]:
    """refusal(members, use) -> the sentence with which they are refused; nothing is left on the disk then."""

    def refused(members: Mapping[str, bytes], use="classes") -> str:
        with pytest.raises(DataError) as error:
            bring(members, use)
        sentence = str(error.value)
        assert sentence.endswith(".") and "\n" not in sentence and str(uploads_home) not in sentence
        assert list(uploads_home.rglob("*")) == []
        return sentence

    return refused


@pytest.fixture
def folders(png) -> Callable[..., dict[str, bytes]]:
    """folders(cat=3, dog=3, inside="train/") -> pictures in a folder a class, all of them different."""
    numbers = iter(range(10_000))

    def members(inside="", **sizes: int) -> dict[str, bytes]:
        return {f"{inside}{name}/{i}.png": png(next(numbers)) for name, n in sizes.items() for i in range(n)}

    return members


def mask(values: list[int]) -> bytes:
    """A mask of 20×16 pixels in stripes of these values."""
    out = io.BytesIO()
    Image.fromarray(np.resize(np.array(values, np.uint8), (16, 20))).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def masked(png) -> Callable[..., dict[str, bytes]]:
    """masked(values) -> five pictures with masks of these values."""

    def members(values=(0, 1, 2), inside="") -> dict[str, bytes]:
        return {f"{inside}images/{i}.jpg": png(i, format="JPEG") for i in range(5)} | {
            f"{inside}masks/{i}.png": mask(list(values)) for i in range(5)
        }

    return members


# ---- layouts


def test_a_folder_a_class_becomes_a_set_that_loads_by_its_id(bring, folders):
    upload = bring(folders(cat=5, dog=6))
    assert (upload.name, upload.layout, upload.pictures, upload.split) == ("pets", "folder", 11, False)
    assert upload.classes == (("cat", 4, 1), ("dog", 5, 1)) and upload.notes == () and upload.warnings == ()
    data = load(f"upload:{upload.id}", size=16)
    assert (data.name, data.classes, len(data.train) + len(data.valid)) == ("pets", ("cat", "dog"), 11)
    assert data.train.images([0]).shape == (1, 3, 16, 16)


@pytest.mark.parametrize("valid", ["valid", "val", "validation"])
def test_a_split_of_its_own_is_kept(valid, bring, folders):
    members = folders("x/train/", cat=4, dog=4) | folders(f"x/{valid}/", cat=2, dog=3)
    upload = bring(members)
    assert upload.split and upload.classes == (("cat", 4, 2), ("dog", 4, 3))


def test_folders_around_the_classes_are_taken_off(bring, folders):
    upload = bring(folders("home/me/pets/", cat=3, dog=3))
    assert upload.pictures == 6 and sorted(path.name for path in upload.folder.iterdir()) == ["cat", "dog"]


def test_a_train_folder_alone_holds_the_classes(bring, folders):
    assert [row[0] for row in bring(folders("train/", cat=3, dog=3)).classes] == ["cat", "dog"]


def test_names_that_carry_the_class_become_a_set(bring, png):
    upload = bring({f"{kind}_{i}.png": png(10 * j + i) for j, kind in enumerate(("beagle", "pug")) for i in range(4)})
    assert (upload.layout, upload.classes) == ("pattern", (("beagle", 3, 1), ("pug", 3, 1)))
    assert load(f"upload:{upload.id}", size=16).classes == ("beagle", "pug")


def test_pictures_beside_the_class_folders_are_told(bring, folders, png):
    upload = bring(folders(cat=3, dog=3) | {"extra.png": png(99)})
    assert upload.pictures == 6 and upload.notes == ("Left out: 1 beside the class folders, in none of them.",)


def test_masks_become_a_set_for_segmentation_and_for_pictures(bring, masked):
    upload = bring(masked(), use="masks")
    assert upload.uses == ("masks", "pictures") and upload.classes == tuple((f"class {i}", 4, 1) for i in range(3))
    data = load_dense(f"upload:{upload.id}", task=SEGMENTATION, size=16)
    assert data.train.images([0]).shape == (1, 4, 16, 16)
    assert len(load_dense(f"upload:{upload.id}", task=COLOUR, size=16).train) == 4


def test_masks_of_0_and_255_are_read_as_two_classes_and_it_is_said(bring, masked):
    upload = bring(masked((0, 255)), use="masks")
    assert upload.remap == "0:0,255:1" and any("0:0,255:1" in note for note in upload.notes)
    assert len(load_dense(f"upload:{upload.id}", task=SEGMENTATION, size=16).classes) == 2


def test_names_of_classes_come_along_with_masks(bring, masked):
    upload = bring(masked() | {"codes.txt": b"sky\nroad\ntree"}, use="masks")
    assert [row[0] for row in upload.classes] == ["sky", "road", "tree"]


def test_pictures_with_masks_and_telling_names_serve_a_classifier_too(bring, png):
    members = {f"images/{kind}_{i}.png": png(10 * j + i) for j, kind in enumerate(("cat", "dog")) for i in range(3)}
    members |= {name.replace("images", "masks"): mask([0, 1]) for name in members}
    upload = bring(members)
    assert (upload.layout, upload.pictures) == ("pattern", 6) and "“images”" in upload.notes[0]


@pytest.mark.parametrize("task", [task for task in TASKS if task != SEGMENTATION])
def test_any_pictures_serve_a_task_that_gives_pictures(task, bring, png):
    upload = bring({f"{i}.png": png(i, (40, 40)) for i in range(6)}, use="pictures")
    data = load_dense(f"upload:{upload.id}", task=task, size=32)
    assert (upload.uses, len(data.train) + len(data.valid)) == (("pictures",), 6)


# ---- a CSV of names and labels


NAMES = [f"{i}.png" for i in range(6)]
LABELS = ["cat", "cat", "cat", "dog", "dog", "dog"]


def table(*rows: tuple, mark=",", header: tuple = ()) -> bytes:
    return "\n".join(mark.join(row) for row in ([header] if header else []) + list(rows)).encode()


PAIRS = list(zip(NAMES, LABELS, strict=True))
TABLES = {
    "comma": table(*PAIRS, header=("name", "label")),
    "semicolon": table(*PAIRS, mark=";", header=("file", "Class")),
    "tab": table(*PAIRS, mark="\t", header=("id", "target")),
    "bar": table(*PAIRS, mark="|", header=("x", "y")),
    "no header": table(*PAIRS),
    "label first": table(*((label, name) for name, label in PAIRS), header=("breed", "picture")),
    "no suffix": table(*((name[:-4], label) for name, label in PAIRS), header=("id", "label")),
    "folders": table(*((f"images/{name}", label) for name, label in PAIRS), header=("path", "label")),
    "other folders": table(*((f".\\train\\{name}", label) for name, label in PAIRS), header=("path", "label")),
    "more columns": table(*((name, "7", label, "x") for name, label in PAIRS), header=("name", "age", "label", "z")),
    "quotes": "\r\n".join(f'"{name}","{label}"' for name, label in PAIRS).encode(),
    "byte order mark": b"\xef\xbb\xbf" + table(*PAIRS, header=("name", "label")),
    "utf-16": table(*PAIRS, header=("name", "label")).decode().encode("utf-16"),
    "empty lines": b"\n\n" + table(*PAIRS).replace(b"\n", b"\n\n") + b"\n,\n",
    "the same rows again": table(*PAIRS, *PAIRS, header=("name", "label")),
}


@pytest.fixture
def with_table(png) -> Callable[..., dict[str, bytes]]:
    """with_table(bytes) -> six pictures in a folder images, and the table beside it."""

    def members(content: bytes, name="labels.csv") -> dict[str, bytes]:
        return {f"images/{file}": png(i) for i, file in enumerate(NAMES)} | {name: content}

    return members


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_of_names_and_labels_becomes_classes(kind, bring, with_table):
    upload = bring(with_table(TABLES[kind], "labels.tsv" if kind == "tab" else "labels.csv"))
    assert (upload.layout, upload.classes) == ("folder", (("cat", 2, 1), ("dog", 2, 1)))


@pytest.mark.parametrize(
    ("column", "values"),
    [("is_valid", ("False", "True")), ("split", ("train", "val")), ("subset", ("training", "valid")),
     ("is_valid", ("0", "1"))],
)  # fmt: skip
def test_a_column_says_what_is_held_back(column, values, bring, with_table):
    rows = [(name, label, values[i % 3 == 0]) for i, (name, label) in enumerate(PAIRS)]
    upload = bring(with_table(table(*rows, header=("name", "label", column))))
    assert upload.split and upload.classes == (("cat", 2, 1), ("dog", 2, 1))


def test_rows_of_a_test_split_and_pictures_without_a_row_are_left_out(bring, with_table, png):
    rows = [(name, label, ("train", "valid")[i % 3 == 0]) for i, (name, label) in enumerate(PAIRS)]
    rows.append(("7.png", "cat", "test"))
    upload = bring(with_table(table(*rows, header=("name", "label", "split"))) | {"images/7.png": png(7)})
    assert upload.pictures == 6 and any("“images/7.png”" in note or "7.png" in note for note in upload.notes)


@pytest.mark.parametrize(
    ("row", "said"),
    [(("nowhere.png", "cat"), "that name a picture that is not there: 1, such as “nowhere.png”"),
     (("5.png", "cat"), "that contradict another: 1, such as “5.png”"),
     (("6.png", ""), "that have no label: 1, such as “6.png”")],
)  # fmt: skip
def test_a_row_of_no_use_is_left_out_and_told(row, said, bring, with_table, png):
    upload = bring(with_table(table(*PAIRS, row, header=("name", "label"))) | {"images/6.png": png(6)})
    assert upload.pictures == 6 and any(said in note for note in upload.notes)


@pytest.mark.parametrize(
    "label", ["a/b", "..", ".", ".hidden", "__MACOSX", "C:\\x", "a\\b", "é ü", "x" * 200, "train", "valid"]
)
def test_any_label_becomes_a_folder_inside_the_set(label, bring, with_table):
    rows = [(name, label if kind == "cat" else kind) for name, kind in PAIRS]
    upload = bring(with_table(table(*rows, header=("name", "label"))))
    assert len(upload.classes) == 2 and upload.pictures == 6
    assert all(path.resolve().is_relative_to(upload.folder.resolve()) for path in upload.folder.rglob("*"))


def test_labels_that_look_alike_as_folders_stay_apart(bring, with_table):
    rows = [(name, ("a/b", "a\\b", "A_b")[i // 2]) for i, name in enumerate(NAMES)]
    assert len(bring(with_table(table(*rows, header=("name", "label")))).classes) == 3


BAD_TABLES = {
    "only a header": (table(header=("name", "label")), "holds no rows"),
    "empty": (b"", "holds no rows"),
    "no labels": (table(*((name, "") for name in NAMES), header=("name", "label")), "have no label"),
    "names alone": (table(*((name,) for name in NAMES), header=("name",)), "add a column label"),
    "one label": (table(*((name, "cat") for name in NAMES)), "all pictures one label, “cat”"),
    "each label once": (table(*((name, f"k{i}") for i, name in enumerate(NAMES))), "fewer than two labels"),
    "latin-1": ("name,label\n0.png,K\xe4tzchen".encode("latin-1"), "not written in UTF-8"),
    "not text": (table(*PAIRS) + b"\0\0", "is no text"),
    "which column": (
        table(*((name, "a", "b") for name in NAMES), header=("name", "colour", "shape")), "(colour, shape)",
    ),
    "half a character": (b"0.png,caf\xc3", "not written in UTF-8"),
    "utf-16 cut off": (b"\xff\xfea", "not written in UTF-8"),
    "all contradict": (table(*((NAMES[0], str(i)) for i in range(9))), "one label"),
    "too many columns": (table(*((name, *"x" * 200) for name in NAMES)), "more than 100 columns"),
    "nothing fits": (table(("0.png", "", "x"), ("1.png", "", "y"), header=("name", "label", "z")), "have no label"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD_TABLES)
def test_a_table_that_cannot_be_used_is_refused_in_a_sentence(kind, refusal, with_table):
    content, said = BAD_TABLES[kind]
    assert said in refusal(with_table(content))


def test_a_table_of_too_many_rows_is_refused(refusal, with_table, monkeypatch):
    monkeypatch.setattr("explorer.data.labels.MOST_ROWS", 5)
    assert "more than 5 rows" in refusal(with_table(table(*PAIRS)))


def test_of_two_tables_that_name_pictures_the_one_called_labels_counts(bring, refusal, with_table):
    other = table(*((name, "x") for name in NAMES))
    assert bring(with_table(table(*PAIRS)) | {"other.csv": other}).classes == (("cat", 2, 1), ("dog", 2, 1))


def test_two_tables_without_telling_names_are_refused(refusal, with_table):
    members = with_table(table(*PAIRS), "one.csv") | {"two.csv": table(*PAIRS)}
    assert "call the one with the labels labels.csv" in refusal(members)


def test_a_table_that_names_no_picture_does_not_disturb_class_folders(bring, folders):
    upload = bring(folders(cat=3, dog=3) | {"prices.csv": b"a,b\n1,2\n"})
    assert upload.classes == (("cat", 2, 1), ("dog", 2, 1))


def test_folders_with_a_split_of_their_own_come_before_a_table(bring, folders):
    members = folders("train/", cat=3, dog=3) | folders("valid/", cat=2, dog=2)
    members["labels.csv"] = table(*((name, name.split("/")[1]) for name in members))
    assert bring(members).classes == (("cat", 3, 2), ("dog", 3, 2))


# ---- what cannot serve


def test_one_class_is_refused(refusal, folders):
    assert "has no classes" in refusal(folders(cat=5))


def test_a_class_with_one_picture_is_refused(refusal, folders):
    assert "“dog” has one picture only" in refusal(folders(cat=5, dog=1))


def test_pictures_without_classes_are_refused_for_a_classifier(refusal, png):
    assert "CSV of names and labels" in refusal({f"{i}.png": png(i) for i in range(5)})


def test_pictures_with_masks_are_refused_for_a_classifier(refusal, masked):
    assert "“pets” has masks and no classes" in refusal(masked())


def test_classes_are_refused_where_masks_are_wanted(refusal, folders):
    assert "“pets” has no masks: put the pictures into a folder images" in refusal(folders(cat=3, dog=3), "masks")


def test_masks_without_pictures_are_refused(refusal, masked):
    assert "has no masks" in refusal({name: content for name, content in masked().items() if "masks" in name}, "masks")


def test_pictures_without_their_masks_are_refused(refusal, masked):
    members = {name: content for name, content in masked().items() if "masks/" not in name or "0.png" in name}
    assert "have no mask" in refusal(members, "masks")


def test_masks_of_one_class_are_refused(refusal, masked):
    assert "one class only" in refusal(masked((0,)), "masks")


def test_coloured_masks_are_refused(refusal, masked, png):
    members = {name: png(1) if "masks/" in name else content for name, content in masked().items()}
    assert "colour" in refusal(members, "masks").lower()


def test_masks_of_another_shape_are_refused(refusal, masked, png):
    members = {name: png(1, (8, 40), mode="L") if "masks/" in name else c for name, c in masked().items()}
    assert "another shape" in refusal(members, "masks")


@pytest.mark.parametrize("codes", [b"", b"sky\nsky\nroad", b"sky"])
def test_names_of_classes_that_do_not_fit_the_masks_are_refused(codes, refusal, masked):
    assert refusal(masked() | {"codes.txt": codes}, "masks")


def test_one_picture_alone_is_refused(refusal, png):
    assert "one picture only" in refusal({"a.png": png()}, "pictures")


def test_damaged_pictures_are_refused_where_they_are_many(refusal, folders):
    broken = {name.replace("cat", "cat/x"): content[:60] for name, content in folders(cat=5).items()}
    assert "cannot be used" in refusal(folders(cat=3, dog=3) | broken)


def test_validation_of_other_classes_is_refused(refusal, folders):
    assert "no pictures of the classes to learn" in refusal(folders("train/", a=3, b=3) | folders("valid/", c=3))


@pytest.mark.parametrize("use", ["", "everything", None, "CLASSES", 3])
def test_an_unknown_use_is_refused(use, refusal, folders):
    assert "classes, masks or pictures" in refusal(folders(cat=3, dog=3), use)


# ---- warnings


def test_uneven_classes_are_named_with_their_counts(bring, folders):
    (warning,) = bring(folders(cat=13, dog=4)).warnings
    assert "“cat” has 13 pictures and “dog” 4" in warning


def test_classes_that_differ_little_are_not_worth_a_word(bring, folders):
    assert bring(folders(cat=12, dog=4)).warnings == ()


def test_pictures_that_stand_in_train_and_valid_are_counted(bring, folders):
    train = folders("train/", cat=4, dog=4)
    copies = {name.replace("train", "valid").replace(".", "x."): train[name] for name in list(train)[:2]}
    upload = bring(train | copies | folders("valid/", cat=2, dog=3))
    assert "2 of 7 validation pictures are also learnt from" in upload.warnings[0]
    assert load(f"upload:{upload.id}", size=16).notes[-1] == upload.warnings[0]


def test_the_same_pixels_in_another_format_are_the_same_picture(bring, folders, png):
    train = folders("train/", cat=4, dog=4) | {"train/cat/x.png": png(777)}
    upload = bring(train | folders("valid/", dog=3) | {"valid/cat/y.bmp": png(777, format="BMP")})
    assert "1 of 4 validation pictures is also learnt from" in upload.warnings[0]


def test_pictures_twice_without_a_split_are_counted(bring, folders):
    members = folders(cat=4, dog=4)
    assert "1 of 9 pictures is there twice" in bring(members | {"cat/again.png": members["cat/0.png"]}).warnings[0]


def test_a_picture_in_two_classes_is_told(bring, folders):
    members = folders(cat=4, dog=4)
    warnings = bring(members | {"dog/again.png": members["cat/0.png"]}).warnings
    assert "1 picture stands in more than one class, such as “cat”, “dog”." in warnings


def test_large_sets_are_compared_by_their_bytes(bring, folders, monkeypatch):
    monkeypatch.setattr(room, "TWIN_PIXELS", 100)
    members = folders(cat=4, dog=4)
    assert "1 of 9" in bring(members | {"cat/again.png": members["cat/0.png"]}).warnings[0]


# ---- whose they are, and how long


def test_a_person_sees_their_own_sets_alone_the_newest_first(bring, folders):
    first, second = bring(folders(a=2, b=2)), bring(folders(a=2, b=2))
    theirs = bring(folders(a=2, b=2), person=YOU)
    assert [upload.id for upload in uploads.uploads_of(ME)] == [second.id, first.id]
    assert [upload.id for upload in uploads.uploads_of(YOU)] == [theirs.id]


def test_only_its_person_removes_a_set(bring, folders, uploads_home):
    upload = bring(folders(a=2, b=2))
    assert not uploads.remove(YOU, upload.id) and uploads.find(upload.id) == upload
    assert uploads.remove(ME, upload.id) and not uploads.remove(ME, upload.id)
    assert list(uploads_home.rglob("*")) == []


@pytest.mark.parametrize(
    "id", ["", ".", "..", "../x", "*", "a" * 15, "a" * 17, "a/" * 8, "?" * 16, None, 7, ["a"], "ä" * 16]
)
def test_what_is_no_id_finds_and_removes_nothing(id, bring, folders):
    upload = bring(folders(a=2, b=2))
    assert not uploads.is_id(id) and not uploads.remove(ME, id)
    with pytest.raises(DataError, match="The pictures you brought are gone: bring them again."):
        uploads.find(id)
    assert uploads.find(upload.id)


@pytest.mark.parametrize("person", ["", "..", "a" * 63, "A" * 64, "../" + "a" * 61, None, "a" * 63 + "\n"])
def test_what_is_no_person_brings_and_sees_nothing(person, pack, folders, uploads_home):
    with pytest.raises(DataError, match="whose pictures"):
        receive(person, pack(folders(a=2, b=2)), name="x", use="classes")
    with pytest.raises(DataError, match="whose pictures"):
        uploads.uploads_of(person)
    assert not uploads_home.exists()


def test_ids_cannot_be_guessed(bring, folders):
    ids = {bring(folders(a=2, b=2), person=hashlib.sha256(bytes([i])).hexdigest()).id for i in range(5)}
    assert len(ids) == 5 and all(len(id) == 16 for id in ids)


def test_a_set_that_is_gone_says_so_and_for_how_long_it_was_kept(bring, folders, monkeypatch):
    name = f"upload:{bring(folders(a=2, b=2)).id}"
    before = fingerprint(name)
    uploads.remove(ME, name[7:])
    assert fingerprint(name) != before
    monkeypatch.setenv("EXPLORER_UPLOAD_HOURS", "2")
    said = "The pictures you brought are gone (they are kept for 2 hours on this host): bring them again."
    for ask in (lambda: load(name, size=16), lambda: load_dense(name, task=COLOUR, size=32)):
        with pytest.raises(DataError) as error:
            ask()
        assert str(error.value) == said


@pytest.mark.parametrize(("space", "hours", "expected"), [
    ("", "", None), ("1", "", 2.0), ("", "5", 5.0), ("1", "0.5", 0.5), ("1", "x", 2.0), ("", "-3", None),
    ("1", "inf", 2.0),
])  # fmt: skip
def test_how_long_sets_are_kept_follows_host_and_setting(space, hours, expected, uploads_home, monkeypatch):
    monkeypatch.setenv("SPACE_ID", space)
    monkeypatch.setenv("EXPLORER_UPLOAD_HOURS", hours)
    assert upload_hours() == expected


@pytest.mark.parametrize(("setting", "megabytes"), [("", 200), ("50", 50), ("0.5", 0.5), ("many", 200), ("-1", 200)])
def test_how_much_may_come_in_follows_the_setting(setting, megabytes, uploads_home, monkeypatch):
    monkeypatch.setenv("EXPLORER_UPLOAD_MB", setting)
    assert uploads.limits().bytes == megabytes * MEGA


def test_a_set_that_goes_while_it_is_trained_on_says_so(bring, folders, masked):
    classes, pairs = bring(folders(a=2, b=2)), bring(masked(), use="masks")
    loaded = [load(f"upload:{classes.id}", size=16), load_dense(f"upload:{pairs.id}", task=SEGMENTATION, size=16)]
    for upload, dataset in zip((classes, pairs), loaded, strict=True):
        uploads.remove(ME, upload.id)
        with pytest.raises(DataError, match="The pictures you brought are gone: bring them again."):
            dataset.train.images([0])


def test_a_picture_that_cannot_be_read_any_more_is_named_without_the_folders_of_the_host(bring, folders, uploads_home):
    upload = bring(folders(a=2, b=2))
    data = load(f"upload:{upload.id}", size=16)
    data.train.items[0].write_bytes(b"x")
    with pytest.raises(DataError) as error:
        data.train.images([0])
    assert "in “pets/a”" in str(error.value) and str(uploads_home) not in str(error.value)


def test_a_set_goes_some_time_after_its_last_use(bring, folders):
    old, used = bring(folders(a=2, b=2)), bring(folders(a=2, b=2))
    for upload in (old, used):
        os.utime(upload.folder.parent / uploads.RECORD, (0, 0))
    load(f"upload:{used.id}", size=16)
    assert uploads.expire(time.time(), 7200) == 1
    assert [upload.id for upload in uploads.uploads_of(ME)] == [used.id]
    assert uploads.expire(time.time() + 7201, 7200) == 1


def test_on_a_host_of_ones_own_sets_stay(bring, folders):
    upload = bring(folders(a=2, b=2))
    assert uploads.expire(time.time() + 1e9) == 0 and uploads.find(upload.id)


def test_what_died_half_unpacked_goes_after_an_hour(uploads_home):
    half = uploads.new_place(ME, 0)
    (half / "some.png").write_bytes(b"x")
    assert uploads.expire(time.time() + 60) == 0 and half.exists()
    uploads.expire(time.time() + uploads.HALF_SECONDS + 60)
    assert list(uploads_home.rglob("*")) == []


def test_what_dies_on_the_way_is_never_seen(bring, folders, uploads_home, monkeypatch):
    def dies(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(room, "_looked_at", dies)
    with pytest.raises(KeyboardInterrupt):
        bring(folders(a=2, b=2))
    assert uploads.uploads_of(ME) == () and list(uploads_home.rglob("*")) == []


def test_a_set_that_is_being_unpacked_is_not_listed(uploads_home):
    uploads.new_place(ME, 0)
    assert uploads.uploads_of(ME) == ()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": "x"}', "null"])
def test_a_record_that_cannot_be_read_is_no_set(content, bring, folders):
    upload = bring(folders(a=2, b=2))
    (upload.folder.parent / uploads.RECORD).write_text(content)
    assert uploads.uploads_of(ME) == () and not uploads.is_there(upload.id)


def test_a_record_cannot_lead_out_of_its_folder(bring, folders, tmp_path):
    upload = bring(folders(a=2, b=2))
    record = upload.folder.parent / uploads.RECORD
    record.write_text(record.read_text().replace('"folder": "pets"', f'"folder": "{tmp_path}"'))
    assert not uploads.is_there(upload.id)


def test_nobody_keeps_more_than_a_few_sets(bring, folders, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_SETS", 1)
    bring(folders(a=2, b=2))
    with pytest.raises(DataError, match="remove one first"):
        bring(folders(a=2, b=2))
    assert bring(folders(a=2, b=2), person=YOU)


def test_a_full_disk_is_told(bring, folders, uploads_home, monkeypatch):
    monkeypatch.setattr(uploads, "SPARE_BYTES", 10**18)
    with pytest.raises(DataError, match="no room left"):
        bring(folders(a=2, b=2))
    assert list(uploads_home.rglob("*")) == []


def test_many_come_in_at_once(pack, folders, uploads_home):
    archive, made = pack(folders(a=2, b=2)), []

    def one(person: str) -> None:
        made.append(receive(person, archive, name="x.zip", use="classes"))

    threads = [threading.Thread(target=one, args=(person,)) for person in (ME, YOU) * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({upload.id for upload in made}) == 8 and len(uploads.uploads_of(ME)) == 4


# ---- names


@pytest.mark.parametrize(
    ("name", "shown"),
    [("pets.zip", "pets"), ("../../etc", "etc"), ("", "Pictures"), ("...", "Pictures"), ("a/b.zip", "a b"),
     (".ZIP", "Pictures"),
     ("Käfer (2).ZIP", "Käfer (2)"), ("x" * 300, "x" * 59), ("\0\n", "Pictures"), ("cats, dogs", "cats, dogs")],
)  # fmt: skip
def test_a_set_is_called_as_its_archive_in_harmless_letters(name, shown, bring, folders):
    upload = bring(folders(a=2, b=2), name=name)
    assert upload.name == shown and upload.folder.parent.name == upload.id


def test_own_pictures_are_a_choice_for_every_task():
    assert "upload:" in [choice.name for choice in list_data()]
    assert all("upload:" in [choice.name for choice in list_dense(task)] for task in TASKS)


def test_a_public_host_opens_brought_pictures_and_no_path_to_them(bring, folders, uploads_home, monkeypatch):
    upload = bring(folders(a=2, b=2))
    monkeypatch.setenv("SPACE_ID", "someone/space")
    assert len(load(f"upload:{upload.id}", size=16).classes) == 2
    for place in (uploads_home, uploads_home / ME, upload.folder):
        with pytest.raises(DataError, match="from a public page"):
            load(f"folder:{place}", size=16)


def test_real_photographs_come_in(shared_data, tmp_path, uploads_home, pack):
    ants = sorted((shared_data / "hymenoptera_data").rglob("*.jpg"))
    members = {str(file.relative_to(shared_data)): file.read_bytes() for file in ants}
    upload = receive(ME, pack(members), name="hymenoptera.zip", use="classes", limits=Limits())
    assert [row[0] for row in upload.classes] == ["ants", "bees"] and upload.pictures == len(ants)
    assert registry.load(f"upload:{upload.id}", size=32).valid.images([0]).float().std() > 10
