"""The U-Net page's handlers: switches, tasks, data and links, without a page."""

from __future__ import annotations

import pytest
from PIL import Image

from explorer import link
from explorer.spec import TASKS, BodySpec, DecoderSpec, TrainSpec, UnetSpec
from explorer.ui.held import Held
from explorer.ui.race_desk import RaceDesk
from explorer.ui.unet_handlers import START, START_TRAIN, TABS, VIEW, UnetHandlers, View

SMALL = UnetSpec(BodySpec("resnet18", weights="random", size=64), n_out=6)


@pytest.fixture
def unet(handlers, queue) -> UnetHandlers:
    return UnetHandlers(handlers.services, RaceDesk(queue))


@pytest.fixture
def held(unet):
    """held(size=96, …) -> what the page holds after these changes of a small U-Net."""
    first = {**unet._whole(SMALL, START_TRAIN, VIEW), "file": None, "path": "", "style_file": None}

    def changed(*, tab="pictures", run=None, event=None, **values) -> Held:
        return Held({**first, **values}, View(tab=tab), run, event)

    return changed


def spec_of(unet, payloads, held) -> UnetSpec:
    return unet._read({**held.values, **payloads}).spec


def test_the_first_page_is_the_chapters(unet):
    first = unet.first_values()
    assert first["arch"] == "resnet34" and first["n_out"] == 32 and first["batch_size"] == START_TRAIN.batch_size
    assert first["notices"]["problems"] == {}
    assert link.decode(first["topbar"]["link"]).spec == START


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_has_its_payload_and_no_other(unet, held, tab):
    answer = unet.tab_chosen(held(event={"value": tab.title()}))
    assert answer["view"].tab == tab
    drawn = set(answer) - {"view"}
    assert drawn == ({"sheet"} if tab == "data" else set() if tab in ("pictures", "upsampling") else {tab})


def test_a_switch_in_the_picture_rewires_the_model(unet, held):
    before = held()
    answer = unet.skip_switched(held(event={"off": [1, 0]}))
    assert answer["off"] == [0, 1]
    assert spec_of(unet, answer, before).decoder.skips == (2, 3)
    assert "2 of 4 on" in answer["skipsline"]["text"]
    off = [skip["on"] for skip in answer["wiring"]["skips"]]
    assert off.count(False) == 2


@pytest.mark.parametrize("event", [None, {}, {"off": "all"}, {"off": [None]}, {"off": [[1]]}])
def test_what_is_no_switch_changes_nothing(unet, held, event):
    answer = unet.skip_switched(held(event=event))
    assert "off" not in answer and answer["notices"]["problems"] == {}


def test_the_last_cross_is_switched_in_the_picture(unet, held):
    answer = unet.cross_switched(held(event={"on": False}))
    assert answer["last_cross"] is False and spec_of(unet, answer, held()).decoder.last_cross is False


@pytest.mark.parametrize(("task", "outputs"), [("Sharpen", 3), ("Colour", 3), ("Style", 3), ("Segment", 6)])
def test_a_task_brings_its_data_and_outputs(unet, held, task, outputs):
    answer = unet.task_chosen(held(task=task, n_out=32, data="cifar10"))
    assert answer["data"]["value"] in [name for _, name in answer["data"]["choices"]]
    after = unet._read({**held(task=task).values, "data": "shapes", "n_out": answer["n_out"].get("value", 32)})
    assert after.spec.n_out == outputs and after.problems == {}
    assert answer["n_out"]["visible"] is (task == "Segment")
    assert answer["style"]["visible"] is (task == "Style")
    assert answer["loss"]["visible"] is (task in ("Sharpen", "Colour"))


def test_outputs_follow_the_classes_of_the_data(unet, held):
    assert unet.data_chosen(held(n_out=32))["n_out"] == 6


def test_a_folder_that_is_not_there_is_told_at_its_field(unet, held):
    answer = unet.data_chosen(held(data="masks:", path="/nowhere/at/all"))
    assert "no folder" in answer["notices"]["problems"]["path"]


def test_train_puts_the_unet_in_line(unet, held, queue):
    answer = unet.train(held())
    assert answer["run"]["run"] and answer["notices"]["problems"] == {}
    spec, train = queue.submitted[-1]
    assert spec == SMALL and train.batch_size == START_TRAIN.batch_size


def test_a_body_that_cannot_run_does_not_start(unet, held, queue):
    answer = unet.train(held(arch="densenet121", size=32, width="16"))
    assert "Not started" in answer["question"]["text"] and not queue.submitted


@pytest.mark.parametrize(
    "spec",
    [
        UnetSpec(),
        UnetSpec(BodySpec("vgg16_bn", "random", size=(97, 131)), DecoderSpec(skips=(0, 2), blur=True), 12),
        UnetSpec(BodySpec("swin_t", "random"), DecoderSpec("transposed", kernel=4), 3, "colour"),
        UnetSpec(decoder=DecoderSpec("nearest", width_cap=200), n_out=3, task="style"),
    ],
    ids=str,
)
def test_a_link_opens_what_it_was_made_of(unet, spec):
    query = dict(pair.split("=") for pair in link.encode(spec, TrainSpec(epochs=3)).split("&"))
    page = unet.opened(query)
    assert page["notices"]["problems"] == {} and page["topbar"]["opened"] is True
    assert link.decode(page["topbar"]["link"]) == link.Decoded(spec, TrainSpec(epochs=3), ())


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"skips": "0,9"}, "skip"),
        ({"data": "imdb"}, "no set for this task"),
        ({"size": "2048"}, "reach"),
        ({"task": "paint"}, "task"),
        ({"arch": "resnet99"}, "not known"),
        ({"frozen": "7"}, "rates and locks"),
    ],
)
def test_a_link_that_cannot_be_meant_opens_with_a_sentence(unet, query, words):
    page = unet.opened({link.FAMILY: "unet", **query})
    assert words in page["notices"]["problems"]["link"]
    assert page["arch"] == "resnet34"


def test_a_race_is_begun_with_the_pages_specs(unet, held, monkeypatch):
    begun = []
    monkeypatch.setattr(unet.races, "begin", lambda *asked: begun.append(asked) or {"race": "x"})
    assert unet.race_begun(held(event={"seeds": 2})) == {"race": {"race": "x"}}
    spec, train, seeds, _ = begun[0]
    assert spec == SMALL and train.batch_size == START_TRAIN.batch_size and seeds == 2


def test_a_race_of_what_is_in_doubt_does_not_begin(unet, held):
    assert "Not started" in unet.race_begun(held(event={"seeds": 2}, rate="fast"))["race"]["problem"]


def test_a_long_run_comes_with_a_shorter_one(unet, held, monkeypatch):
    monkeypatch.setattr(unet.races.pace, "speed", lambda family, macs: 50e9)
    large = held(size=224, width="", width_cap="none")
    offered = unet.refresh(large)["notices"]["hints"]["quick"]
    assert "96 px" in offered["text"] and offered["label"]
    taken = unet.followed(large)
    spec = spec_of(unet, taken, large)
    assert (spec.body.size, spec.decoder.width_cap, spec.body.arch) == (96, 128, SMALL.body.arch)
    assert "quick" not in taken["notices"].get("hints", {})


def test_a_short_run_comes_without_a_suggestion(unet, held, monkeypatch):
    monkeypatch.setattr(unet.races.pace, "speed", lambda family, macs: 1e15)
    assert "quick" not in unet.refresh(held(size=224, width="", width_cap="none"))["notices"].get("hints", {})


def test_a_random_body_that_rests_comes_with_the_offer_to_let_it_learn(unet, held, monkeypatch):
    monkeypatch.setattr(unet.races.pace, "speed", lambda family, macs: 1e15)
    before = held(event={"field": "thaw"})
    assert unet.refresh(before)["notices"]["hints"]["thaw"]["label"]
    after = unet.followed(before)
    assert not any(row["frozen"] for row in after["groups"]["rows"]) and "hints" not in after["notices"]
    assert unet.refresh(held(weights="ImageNet"))["notices"].get("hints") is None


def test_a_width_that_the_slider_cannot_hold_is_told_at_it(unet, held):
    hints = unet.refresh(held(size=97, width="131"))["notices"]["hints"]
    assert "97 high, 131 wide" in hints["body.size"]["text"] and not hints["body.size"].get("label")


def test_a_folder_without_a_path_says_how_it_should_look(unet, held):
    hint = unet.data_chosen(held(data="masks:", path=""))["datahint"]["text"]
    assert "masks in masks" in hint and unet.refresh(held(data="masks:", path="", size=96))["datahint"]["text"] == hint


def test_an_offered_remap_is_written_into_the_path(unet, held, tmp_path):
    for i in range(8):
        Image.new("RGB", (64, 64), (i * 20, 90, 90)).save(at(tmp_path / "images" / f"{i}.png"))
        mask = Image.new("L", (64, 64))
        mask.paste(255, (0, 0, 32, 8 * i + 1))
        mask.save(at(tmp_path / "masks" / f"{i}.png"))
    chosen = held(data="masks:", path=str(tmp_path))
    refused = unet.data_chosen(chosen)["notices"]
    assert "remap" in refused["problems"]["path"] and "0:0,255:1" in refused["hints"]["path"]["label"]
    assert unet.train(chosen)["notices"] == refused
    taken = unet.remapped(chosen)
    assert taken["path"] == {"value": f"{tmp_path}|0:0,255:1", "visible": True}
    assert taken["n_out"] == 2 and not taken["notices"]["problems"]
    assert "to learn from" in taken["datahint"]["text"] and "on this machine" in taken["datahint"]["text"]


def at(path):
    """The path, with its folder made."""
    path.parent.mkdir(exist_ok=True)
    return path


def test_a_chosen_cut_that_the_next_body_has_not_is_told(unet, held):
    answer = unet.refresh(held(arch="vgg11", cut={"value": "layer3", "own": "layer4"}))
    assert answer["cut"]["help"] == "“layer3” is not a cut of vgg11: its own default stands."


@pytest.mark.parametrize("task", TASKS)
def test_a_link_to_any_task_opens_the_page(unet, task):
    page = unet.opened({"family": "unet", "task": task, "n_out": "3", "arch": "resnet18", "size": "64"})
    assert page["wiring"]["headline"] and not page["notices"]["problems"]
