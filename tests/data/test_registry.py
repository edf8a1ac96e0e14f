"""Names of sets."""

from __future__ import annotations

import os

import pytest

from explorer.data.dense import list_dense
from explorer.data.downloads import DOWNLOADS
from explorer.data.registry import DataError, fingerprint, list_data, load
from explorer.spec import DATA_SIZES, TrainSpec


def test_the_default_of_a_train_spec_loads_and_comes_first():
    spec = TrainSpec()
    assert list_data()[0].name == spec.data
    data = load(spec.data, size=32, data_size=spec.data_size, difficulty=spec.difficulty, seed=spec.seed)
    assert len(data.classes) == list_data()[0].classes


@pytest.mark.parametrize("data_size", DATA_SIZES)
def test_every_size_of_the_spec_is_drawn(data_size):
    assert len(load("shapes", size=8, data_size=data_size).train) >= 400


def test_choices_name_themselves_and_what_they_fetch():
    choices = list_data()
    assert len({choice.name for choice in choices}) == len(choices)
    assert all(choice.label and choice.help.endswith(".") for choice in choices)
    fetched = {choice.name: choice.download for choice in choices if choice.download}
    assert fetched == {"pets": "811 MB", "flowers102": "345 MB", "cifar10": "170 MB", "imagenette": "99 MB"}
    assert set(fetched) == {entry.name for entry in DOWNLOADS}


@pytest.mark.parametrize(
    "name, words",
    [
        ("shape", "did you mean shapes?"),
        ("imagenet", "did you mean imagenette?"),
        ("qqq", "choose shapes, folder:PATH"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_one(name, words):
    with pytest.raises(DataError) as refused:
        load(name, size=32)
    assert words in str(refused.value)


def test_an_endless_name_gives_a_short_sentence():
    with pytest.raises(DataError) as refused:
        load("x" * 100_000, size=32)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("size", [0, -1, 100_000])
def test_an_absurd_size_is_refused(size):
    with pytest.raises(DataError, match="1 to 2048 pixels"):
        load("shapes", size=size)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"name": None}, "not None"),
        ({"name": 5}, "not 5"),
        ({"size": "64"}, "not '64'"),
        ({"size": None}, "not None"),
        ({"size": 64.0}, "not 64.0"),
        ({"size": True}, "not True"),
        ({"difficulty": "x"}, "not 'x'"),
        ({"difficulty": float("nan")}, "not nan"),
        ({"data_size": []}, r"not \[\]"),
        ({"data_size": "huge"}, "not 'huge'"),
        ({"valid_pct": 5}, "not 5"),
        ({"valid_pct": float("nan")}, "not nan"),
        ({"valid_pct": None}, "not None"),
        ({"n_in": None}, "not None"),
        ({"n_in": "3"}, "not '3'"),
    ],
)
def test_what_is_no_option_is_refused_with_a_sentence(class_folders, options, words):
    given = {"name": f"folder:{class_folders}", "size": 16} | options
    with pytest.raises(DataError, match=words) as refused:
        load(**given)
    assert str(refused.value).endswith(".") and "\n" not in str(refused.value)
    assert fingerprint(None) is None


def test_a_set_bears_a_name_for_people(class_folders, picture):
    for i in range(2):
        for breed in "ab":
            picture(class_folders.parent / "breeds" / f"{breed}_{i}.png")
    assert load("shapes", size=8).name == "Drawn shapes" == list_data()[0].label
    assert load(f"folder:{class_folders.parent}/colours/", size=8).name == "colours"
    assert load(f"pattern:{class_folders.parent / 'breeds'}", size=8).name == "breeds"


@pytest.mark.parametrize("keep", [0, 3 * 8 * 8 * 5, 1 << 30])
def test_decoded_pictures_are_kept_up_to_a_limit(class_folders, keep):
    for name in ("shapes", f"folder:{class_folders}", f"pattern:{class_folders / 'blue'}|^(.)"):
        for split in (data := load(name, size=8, keep=keep)).train, data.valid:
            assert len(split._pictures) == min(len(split), keep // (3 * 8 * 8))
            assert split.images([0, 0]).shape == (2, 3, 8, 8)


def a_minute_ago(root) -> None:
    """As if nothing in these folders had changed for a while, so that the clock's grain plays no part."""
    for folder, _, _ in os.walk(root):
        then = os.stat(folder).st_mtime - 60
        os.utime(folder, (then, then))


def test_a_folder_that_changes_has_another_fingerprint(class_folders, picture):
    seen = []
    changes = (
        lambda: None,
        lambda: picture(class_folders / "red" / "new.png"),
        lambda: (class_folders / "red" / "new.png").unlink(),
        lambda: picture(class_folders / "green" / "deep" / "0.png"),
        lambda: (class_folders / "green" / "deep" / "0.png").unlink(),
        lambda: (class_folders / "green").rename(class_folders / "lime"),
    )
    for change in changes:
        a_minute_ago(class_folders)
        change()
        prints = {kind: fingerprint(f"{kind}:{class_folders}") for kind in ("folder", "pattern")}
        assert prints["folder"] == prints["pattern"] == fingerprint(f"pattern:{class_folders}|^(.*)_")
        assert fingerprint(f"folder:{class_folders}") == prints["folder"], "looking changes nothing"
        hash(prints["folder"])
        seen.append(prints["folder"])
    assert len(set(seen)) == len(seen)


def test_what_is_no_folder_here_has_the_same_fingerprint_always(class_folders, monkeypatch):
    names = ("shapes", "pets", "nothing", "folder:", "folder:/no/such/folder", "pattern:\0", "folder:~nobody-at-all/x")
    assert {fingerprint(name) for name in names} == {None}
    monkeypatch.setenv("SPACE_ID", "somebody/explorer")
    assert fingerprint(f"folder:{class_folders}") is None, "on a public host nothing is even looked at"


@pytest.mark.parametrize(("public", "lent", "offered"), [("", "", True), ("1", "", False), ("1", "/data/pets", True)])
def test_folders_of_the_machine_are_not_on_offer_to_strangers(public, lent, offered, monkeypatch):
    monkeypatch.setenv("EXPLORER_PUBLIC", public)
    monkeypatch.setenv("EXPLORER_DATA", lent)
    names = [choice.name for choice in (*list_data(), *list_dense("segmentation"), *list_dense("colour"))]
    assert {name in names for name in ("folder:", "pattern:", "masks:", "pictures:")} == {offered}
    assert "upload:" in names
