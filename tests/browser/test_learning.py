"""The step through a run's activations, on a bare page: what it shows of which epoch, and how it follows the run."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from explorer.train.events import Activations, EpochDone, Finished, Note, Started, Stopped, ValidSample, to_dict

pytestmark = pytest.mark.browser
ASSETS = Path(__file__).resolve().parents[2] / "assets"
SCRIPTS = ("kit.js", "rows.js", "history.js", "activation_charts.js", "learning.js")
LAYERS = {
    "names": ["relu", "layer4.relu", "head.8"],
    "groups": ["body-early", "body-late", "head"],
    "cls": ["ReLU", "ReLU", "Linear"],
}
BEFORE = (
    Started(9, 5, 45, 80, 20, ("a", "b"), "cpu", 1000, 100, "random"),
    ValidSample(("data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=",), (0,)),
)


def seen(epoch: int) -> Activations:
    def maps(side: int) -> str:
        return b64encode(bytes((10 * epoch + i) % 256 for i in range(2 * side * side))).decode()

    return Activations(
        epoch, ("0.2", "0.7", "1.8"), (0.5, 1.0 + epoch, 0.1), (1.0, 2.0, None), (0.25, 0.0, 0.0),
        map_quals=("0.2", "0.7"), map_channels=((0, 9), (3, 4)), map_shapes=((2, 8, 8), (2, 3, 3)),
        map_pixels=(maps(8), maps(3)),
    )  # fmt: skip


def done(epoch: int) -> EpochDone:
    return EpochDone(epoch, 1.0, 1.0, (("accuracy", 0.5),), 1.0)


@pytest.fixture
def page(browser) -> Iterator:
    page = browser.new_page(viewport={"width": 700, "height": 900})
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.set_content("<style>:root { --sans: serif } canvas { width: 40px }</style><section></section>")
    for name in SCRIPTS:
        page.add_script_tag(content=(ASSETS / name).read_text())
    page.evaluate("Explorer.duringRun(document.querySelector('section'))")
    yield page
    page.close()
    assert faults == []


def tell(page, *events, run: str = "r") -> None:
    page.evaluate(
        """([events, id, layers]) => Explorer.learning.tell({
             id, layers, subject: 'resnet18 at 64 px', epochs: 9,
             run: events.reduce(Explorer.history.fold, Explorer.history.empty()) })""",
        [[to_dict(event) for event in (*BEFORE, *events)], run, LAYERS],
    )


def shown(page) -> str:
    return page.inner_text("output")


def test_without_a_run_one_line_says_what_will_come(page):
    assert "before the first and after each epoch" in page.inner_text("section .help")
    assert not page.is_visible("section .body")


def test_the_latest_epoch_is_shown_and_followed_until_one_goes_back(page):
    tell(page, seen(0))
    assert shown(page) == "before training" and page.is_disabled("input")
    tell(page, seen(0), done(1), seen(1), done(2), seen(2))
    assert shown(page) == "after epoch 2 of 9"
    page.focus("input")
    page.keyboard.press("ArrowLeft")
    assert shown(page) == "after epoch 1 of 9"
    assert page.get_attribute("input", "aria-valuetext") == "after epoch 1"
    tell(page, seen(0), done(1), seen(1), done(2), seen(2), done(3), seen(3))
    assert shown(page) == "after epoch 1 of 9" and page.get_attribute("input", "max") == "3"
    page.keyboard.press("End")
    assert shown(page) == "after epoch 3 of 9"


def test_maps_of_the_epoch_stand_below_those_of_before(page):
    tell(page, seen(0), done(1), seen(1))
    rows = page.locator(".maps .row")
    assert [rows.nth(i).get_attribute("aria-label") for i in (0, 1)] == [
        "Channels 0, 9 of relu, before training",
        "Channels 0, 9 of relu, after epoch 1",
    ]
    first = "canvas => canvas.getContext('2d').getImageData(1, 0, 1, 1).data[3]"
    assert [rows.nth(i).locator("canvas").first.evaluate(first) for i in (0, 1)] == [1, 11]
    page.click(".which button:has-text('layer4.relu')")
    assert rows.nth(1).get_attribute("aria-label") == "Channels 3, 4 of layer4.relu, after epoch 1"
    assert page.inner_text(".about h3") == "layer4.relu" and "1 → 2" in page.inner_text(".about dl")


def test_a_layer_that_did_not_change_is_said_to_be_as_before(page):
    tell(page, seen(0), done(1), replace(seen(0), epoch=1))
    assert "as it was before training" in page.inner_text(".maps + .hint")
    tell(page, seen(0), done(1), seen(1), run="other")
    assert "as it was" not in page.inner_text(".maps + .hint")


def test_the_line_across_the_network_has_its_ghost_after_the_first_epoch(page):
    tell(page, seen(0))
    assert page.locator(".network path.was").count() == 0
    tell(page, seen(0), done(1), seen(1))
    assert page.locator(".network path.was:not(.edge)").count() >= 1
    page.focus(".network .canvas")
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    assert page.inner_text(".about h3") == "head.8"


def test_play_goes_through_the_epochs_from_the_start(page):
    tell(page, seen(0), done(1), seen(1))
    page.click(".steps button")
    assert shown(page) == "before training"
    page.wait_for_function("document.querySelector('output').innerText === 'after epoch 1 of 9'")
    assert page.inner_text(".steps button") == "Play"


def test_a_run_of_before_there_were_looks_and_a_thinned_one_say_so(page):
    tell(page, done(1), Finished(1.0))
    assert page.inner_text("section > .help") == "This run kept no activations."
    tell(page, seen(0), done(1), done(2), done(3), seen(3), Stopped(3), run="long")
    assert page.inner_text(".body > .help:last-child").startswith("2 of 4 moments are kept")
    assert shown(page) == "after epoch 3 of 9"


def test_another_run_begins_anew(page):
    tell(page, seen(0), done(1), seen(1))
    page.focus("input")
    page.keyboard.press("Home")
    tell(page, Note("fresh"), run="next")
    assert not page.is_visible("section .body") and "once the run has begun" in page.inner_text("section > .help")
    tell(page, seen(0), done(1), seen(1), run="next")
    assert shown(page) == "after epoch 1 of 9"


def test_until_the_first_epoch_is_there_its_row_waits(page):
    tell(page, seen(0))
    assert page.locator(".maps .name").all_inner_texts() == ["before", "epoch 1"]
    assert page.locator(".maps .soon canvas.ghost").count() == 2
    assert "Those after epoch 1 are on their way." in page.inner_text(".maps + .hint")
    tell(page, seen(0), done(1), seen(1))
    assert page.locator(".maps .ghost").count() == 0
    assert "on their way" not in page.inner_text(".maps + .hint")


def test_before_training_the_maps_stand_once(page):
    tell(page, seen(0), done(1), seen(1))
    page.focus("input")
    page.keyboard.press("Home")
    assert page.locator(".maps .row.room").count() == 1 and page.locator(".maps .soon").count() == 0
    tell(page, seen(0), Stopped(0), run="none")
    assert page.locator(".maps .row.none").count() == 1 and "on their way" not in page.inner_text(".maps + .hint")
