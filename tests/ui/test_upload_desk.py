"""What the drop zone asks and is answered, and how its set becomes what the page trains on."""

from __future__ import annotations

import os
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explorer.data import uploads
from explorer.spec import COLOUR, ClassifierSpec, TrainSpec, UnetSpec
from explorer.ui import upload_desk
from explorer.ui.race_desk import RaceDesk
from explorer.ui.unet_handlers import START, START_TRAIN, UnetHandlers
from explorer.ui.upload_desk import UploadDesk, person_of

ME, YOU = "m" * 32, "y" * 32
EMPTY = {"set": "", "on": True, "use": "classes"}


@pytest.fixture
def sent(tmp_path, monkeypatch):
    """sent({name: colour}, n) -> where a zip of plain pictures lies that the page has uploaded."""
    monkeypatch.setenv("EXPLORER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "gradio"))
    for name in ("SPACE_ID", "EXPLORER_UPLOAD_MB", "EXPLORER_UPLOAD_HOURS"):
        monkeypatch.delenv(name, raising=False)

    def send(*names: str, mark="0" * 32) -> str:
        folder = tmp_path / "gradio" / "abc"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"pictures-{mark}.zip"
        with zipfile.ZipFile(file, "w") as out:
            for i, name in enumerate(names):
                picture = Image.fromarray(np.random.default_rng(i).integers(0, 256, (16, 16, 3), np.uint8))
                picture.save(tmp_path / "one.png")
                out.write(tmp_path / "one.png", name)
        return str(file)

    return send


@pytest.fixture
def pets(sent):
    return lambda **more: sent(*(f"{kind}/{i}.png" for kind in ("cat", "cow", "dog") for i in range(3)), **more)


@pytest.fixture
def desk(sent, handlers) -> UploadDesk:
    return UploadDesk(handlers.services)


@pytest.fixture
def ask(desk):
    """ask("brought", …) -> the answer of that server function."""
    functions = {function.__name__: function for function in desk.functions()}
    return lambda name, *asked: functions[name](list(asked))


def test_a_set_comes_in_is_listed_and_goes(ask, pets):
    file = pets()
    answer = ask("bring", ME, file, "pets.zip", "classes")
    (shown,) = answer["sets"]
    assert (answer["set"], shown["name"], shown["pictures"]) == (shown["id"], "pets", 9)
    assert shown["classes"] == [["cat", 2, 1], ["cow", 2, 1], ["dog", 2, 1]] and shown["more"] == 0
    assert ask("brought", ME, "classes")["sets"] == [shown] and ask("brought", YOU, "classes")["sets"] == []
    assert ask("remove", YOU, "classes", shown["id"])["sets"] == [] and uploads.is_there(shown["id"])
    assert ask("remove", ME, "classes", shown["id"])["sets"] == [] and not uploads.is_there(shown["id"])


def test_the_zip_that_was_sent_is_gone_whatever_became_of_it(ask, pets, sent):
    for file, use in ((pets(), "classes"), (pets(), "masks"), (sent(), "classes")):
        ask("bring", ME, file, "x", use)
        assert not Path(file).exists() and not Path(file).parent.exists()


def test_a_set_is_listed_only_where_it_can_be_used(ask, pets):
    ask("bring", ME, pets(), "pets", "classes")
    assert [len(ask("brought", ME, use)["sets"]) for use in ("classes", "pictures", "masks", None)] == [1, 1, 0, 0]


def test_what_is_refused_is_a_sentence_and_what_was_there_stays(ask, pets, sent):
    first = ask("bring", ME, pets(), "pets", "classes")["set"]
    answer = ask("bring", ME, sent("cat/1.png"), "one", "classes")
    assert answer == {"problem": answer["problem"]} and "has no classes" in answer["problem"]
    assert [one["id"] for one in ask("brought", ME, "classes")["sets"]] == [first]


@pytest.mark.parametrize(
    "secret", [None, "", "short", "x" * 65, 7, ["m" * 32], "m" * 31 + "/", "ä" * 32, "m" * 32 + "\n"]
)
def test_a_stranger_without_a_secret_brings_and_sees_nothing(secret, ask, pets, tmp_path):
    assert person_of(secret) is None
    assert ask("bring", secret, pets(), "pets", "classes")["problem"]
    assert ask("brought", secret, "classes") == ask("remove", secret, "classes", "a" * 16)
    assert ask("brought", secret, "classes")["sets"] == [] and not (tmp_path / "home" / "uploads").exists()


@pytest.mark.parametrize(
    "asked", [None, 7, "x", {}, [], [[]], [None] * 9, [{}, {}, {}, {}], [ME], [ME, ["x"], {}, 3.5]]
)
def test_rubbish_is_answered_and_never_raises(asked, desk):
    for function in desk.functions():
        answer = function(asked)
        assert isinstance(answer, dict) and (answer.get("problem") or answer["sets"] == [])


def test_only_what_the_page_sent_is_opened_or_removed(ask, sent, tmp_path):
    weights = tmp_path / "gradio" / "abc" / "weights.pth"
    outside = tmp_path / f"pictures-{'0' * 32}.zip"
    link = tmp_path / "gradio" / "abc" / f"pictures-{'1' * 32}.zip"
    Path(sent("cat/1.png")).rename(outside)
    weights.write_bytes(b"x")
    link.symlink_to(outside)
    for file in (
        weights,
        outside,
        link,
        tmp_path / "gradio",
        f"{tmp_path}/gradio/abc/../../{outside.name}",
        "",
        None,
        3,
    ):
        answer = ask("bring", ME, file if file in (None, 3) else str(file), "x", "classes")
        assert "drop them once more" in answer["problem"]
    assert weights.exists() and outside.exists() and link.is_symlink()


def test_limits_are_told_before_anything_is_sent(ask, monkeypatch):
    monkeypatch.setenv("EXPLORER_UPLOAD_MB", "50")
    monkeypatch.setenv("EXPLORER_UPLOAD_HOURS", "3")
    limits = ask("brought", ME, "classes")["limits"]
    assert limits == {"bytes": 50_000_000, "files": 5000, "pixels": 25_000_000, "hours": 3, "public": False}


def test_what_nobody_received_goes_after_a_while(desk, pets, sent):
    file = Path(pets())
    other = file.with_name("weights.pth")
    other.write_bytes(b"x")
    desk.tidy(time.time() + 60)
    assert file.exists()
    desk.tidy(time.time() + upload_desk.LEFT_SECONDS + 60)
    assert not file.exists() and other.exists()


def test_sets_whose_time_is_over_go_when_somebody_brings_another(ask, pets, monkeypatch):
    old = uploads.find(ask("bring", ME, pets(), "pets", "classes")["set"])
    monkeypatch.setenv("EXPLORER_UPLOAD_HOURS", "1")
    os.utime(old.folder.parent / uploads.RECORD, (0, 0))
    new = ask("bring", YOU, pets(mark="1" * 32), "pets", "classes")["set"]
    assert not uploads.is_there(old.id) and uploads.is_there(new)


def test_many_at_once_are_asked_to_wait(desk, ask, pets, monkeypatch):
    monkeypatch.setattr(upload_desk, "PATIENCE", 0.01)
    taken = [desk._free.acquire() for _ in range(upload_desk.AT_ONCE)]
    assert all(taken) and "try again" in ask("bring", ME, pets(), "pets", "classes")["problem"]
    desk._free.release()
    assert ask("bring", ME, pets(), "pets", "classes")["set"]


def test_decoded_pictures_are_let_go_with_their_set(ask, pets, handlers):
    id = ask("bring", ME, pets(), "pets", "classes")["set"]
    first = handlers.services.load_data(f"upload:{id}", size=32)
    assert handlers.services.load_data(f"upload:{id}", size=32) is first
    ask("remove", ME, "classes", id)
    assert handlers.services.load_data._kept.cache_info().currsize == 0


# ---- the page


def test_pictures_of_ones_own_open_the_drop_zone_and_complain_of_nothing_yet(handlers, held):
    shown = handlers.data_chosen(held(data="upload:", upload={"set": ""}))
    assert shown["upload"] == EMPTY and shown["path"] == {"visible": False}
    assert shown["notices"]["problems"] == {} and "dropped into the page" in shown["datahint"]["text"]
    assert handlers.data_chosen(held(data="shapes", upload=EMPTY))["upload"]["on"] is False


def test_training_without_pictures_says_at_the_drop_zone_what_is_missing(handlers, held, queue):
    shown = handlers.train(held(data="upload:", upload=EMPTY))
    assert queue.submitted == [] and shown["notices"]["problems"] == {
        "upload": "Bring pictures first: drop them on the field below."
    }


def test_the_outputs_follow_the_classes_of_what_was_brought(handlers, held, ask, pets, queue):
    id = ask("bring", ME, pets(), "pets", "classes")["set"]
    chosen = held(data="upload:", upload={"set": id, "turn": 3}, size=32)
    shown = handlers.data_chosen(chosen)
    assert shown["chips"]["outputs"] == 3 and shown["upload"] == {"set": id, "turn": 3, "on": True, "use": "classes"}
    assert "your pictures" in shown["topbar"]["left_out"] and id not in shown["topbar"]["link"]
    handlers.train(chosen)
    ((spec, train),) = queue.submitted
    assert (spec.n_out, train.data) == (3, f"upload:{id}")


def test_pictures_that_are_gone_are_told_at_the_drop_zone(handlers, held, queue, sent):
    shown = handlers.train(held(data="upload:", upload={"set": "a" * 16}, size=32))
    assert queue.submitted == []
    assert shown["notices"]["problems"] == {"upload": "The pictures you brought are gone: bring them again."}


@pytest.mark.parametrize("value", [None, 7, "x", {}, {"set": None}, {"set": "../../x"}, {"set": ["a" * 16]}, []])
def test_a_strangers_value_of_the_drop_zone_is_no_set(value, handlers, held, queue):
    handlers.data_chosen(held(data="upload:", upload=value))
    assert "upload" in handlers.train(held(data="upload:", upload=value))["notices"]["problems"]
    assert queue.submitted == []


def test_a_page_for_brought_pictures_shows_them_chosen(handlers):
    page = handlers.page_for(ClassifierSpec(), TrainSpec(data=f"upload:{'a' * 16}"))
    assert page["data"] == "upload:" and page["path"] == {"visible": False, "value": ""}
    assert page["upload"] == {"set": "a" * 16, "on": True, "use": "classes"}
    assert handlers.page_for(ClassifierSpec(), TrainSpec(data="folder:/x"))["path"] == {"visible": True, "value": "/x"}


def test_the_unet_page_asks_for_what_its_task_needs(handlers, held):
    page = UnetHandlers(handlers.services, RaceDesk(handlers.services.queue))
    first = {**page.first_values(), "file": None, "style_file": None}
    used = {}
    for task in ("Segment", "Sharpen", "Colour", "Style"):
        values = {**first, "task": task, "data": "upload:"}
        used[task] = page.data_chosen(held(**values))["upload"]["use"]
    assert used == {"Segment": "masks", "Sharpen": "pictures", "Colour": "pictures", "Style": "pictures"}
    shown = page.page_for(UnetSpec(n_out=3, task=COLOUR), TrainSpec(data=f"upload:{'a' * 16}"))
    assert shown["upload"] == {"set": "a" * 16, "on": True, "use": "pictures"}
    assert page.page_for(START, START_TRAIN)["upload"]["on"] is False
