"""The race's widget on a bare page with a server of canned answers: start, follow, stop, and what a reload finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from explorer.race import RACERS
from explorer.train.events import EpochDone
from explorer.views.race import Lane, Racer, standing

pytestmark = pytest.mark.browser
ASSETS = Path(__file__).resolve().parents[2] / "assets"
SCRIPTS = ("kit.js", "rows.js", "history.js", "follow.js", "run.js", "learning.js", "pictures.js", "race.js")
PAGE = (
    "<style>:root { --sans: serif } .chart, .canvas { width: 600px }</style>"
    '<div id=app><div class="block" id="unet-race"><section class="race"></section></div></div>'
)
START = """answers => {
  window.asked = [];
  window.answers = answers;
  const said = name => async asked => { window.asked.push([name, asked]); return window.answers[name]; };
  const server = Object.fromEntries(['race_plan', 'race_look', 'race_stop'].map(name => [name, said(name)]));
  const props = { value: { spec: 'the spec', epochs: 2 } };
  const trigger = (name, data) => window.asked.push([name, data]);
  Explorer.race(document.querySelector('.block'), props, trigger, () => {}, server);
}"""
SIZES = [Racer(label, 10**6 * (i + 1), 10**9) for i, label in enumerate(RACERS)]
PLAN = {"racers": [vars(racer) for racer in SIZES], "seconds": 400.0}
IMAGE = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
PICTURES = {
    "mark": "0", "seed": 0, "seeds": [0, 1], "task": "segmentation", "inputs": [IMAGE], "each": [], "targets": [IMAGE],
    "made": {RACERS[0]: {"epoch": 2, "images": [IMAGE], "scores": [0.75]}},
}  # fmt: skip


def lanes(state: str, epochs: int) -> list[Lane]:
    return [
        Lane(label, seed, state, tuple(
            EpochDone(e, 1.0, 1.0, (("accuracy", 0.5), ("miou", 0.1 * e + 0.1 * k + 0.01 * seed)), 3.0)
            for e in range(1, epochs + 1)
        ), seconds=9.0)
        for seed in (0, 1) for k, label in enumerate(RACERS)
    ]  # fmt: skip


def look(state: str, epochs: int, **more) -> dict:
    return {
        **standing(SIZES, lanes(state, epochs), 2),
        "runs": ["r1"],
        "title": "resnet18",
        "pictures": PICTURES,
        **more,
    }


@pytest.fixture
def open_race(browser) -> Iterator:
    """open_race(race_look=…) -> a page with the widget, whose server says that."""
    context = browser.new_context(viewport={"width": 900, "height": 900})
    faults = []

    def open_(**answers):
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.route("http://page.test/", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
        page.goto("http://page.test/")
        for name in SCRIPTS:
            page.add_script_tag(content=(ASSETS / name).read_text())
        page.evaluate(START, {"race_plan": PLAN, "race_look": look("running", 1), "race_stop": {}, **answers})
        return page

    yield open_
    context.close()
    assert faults == []


def begun(page) -> None:
    page.wait_for_function("document.querySelector('.go').innerText.includes('minutes')")
    page.click(".go")
    page.evaluate("Explorer.give('unet-race', { race: 'id', token: 'key' })")
    page.wait_for_selector(".race[data-phase=live] .board .dot", state="attached")


def asked(page, name: str) -> list:
    return [data for what, data in page.evaluate("window.asked") if what == name]


def test_the_button_says_what_it_would_start_and_asks_for_as_many_seeds(open_race):
    page = open_race()
    page.wait_for_function("document.querySelector('.go').innerText === 'Race: 4 decoders × 3 seeds, about 7 minutes'")
    page.click("[aria-label='One seed more']")
    page.wait_for_function("document.querySelector('.go').innerText.includes('4 seeds')")
    page.click(".go")
    assert asked(page, "begin") == [{"seeds": 4}] and page.is_disabled(".go")
    page.evaluate("Explorer.give('unet-race', { problem: 'Not started. The line is full.', at: 1 })")
    assert page.inner_text(".problem") == "Not started. The line is full." and page.is_enabled(".go")


def test_a_race_is_followed_to_its_end(open_race):
    page = open_race()
    begun(page)
    assert "of 8" in page.inner_text(".when") and page.is_visible(".halt")
    page.evaluate("next => { window.answers.race_look = next; }", look("finished", 2))
    page.wait_for_selector(".race[data-phase=over]")
    assert page.inner_text(".when b") == "All 8 runs done" and not page.is_visible(".halt")
    assert page.inner_text(".verdict .first").startswith("After epoch 2, the U-Net is best with mIoU 0.505 ± 0.007")
    assert page.locator(".board tbody .value b").all_inner_texts()[0] == "0.205 ± 0.007"
    assert page.locator(".chart svg .racer .band").count() == 4
    assert page.locator(".chart .sr tbody tr").count() == 2
    alts = [image.get_attribute("alt") for image in page.locator(".shots img").all()]
    assert alts == ["Photo", "Nearest: 75\u202f% right", "True mask"]
    page.click(".choice .link:has-text('Pixels right')")
    assert "pixels right 0.500" in page.inner_text(".verdict .first")


def test_one_line_is_shown_alone(open_race):
    page = open_race(race_look=look("finished", 2))
    page.evaluate("Explorer.give('unet-race', { race: 'id', token: 'key' })")
    page.click(".who:has-text('Nearest')")
    assert page.get_attribute(".who:has-text('Nearest')", "aria-pressed") == "true"
    assert page.locator(".chart .canvas.chosen .racer.lit").count() == 1


def test_stop_ends_all_with_the_key_of_the_race(open_race):
    page = open_race()
    begun(page)
    page.evaluate("next => { window.answers.race_look = next; }", look("stopped", 1))
    page.click(".halt")
    page.wait_for_selector(".race[data-phase=over]")
    assert asked(page, "race_stop") == [{"race": "id", "token": "key"}]
    assert page.inner_text(".when b") == "Stopped when 0 of 8 runs were done"


def test_a_reload_asks_for_the_same_race_and_a_stranger_cannot_stop_it(open_race):
    page = open_race()
    begun(page)
    page.wait_for_function("localStorage['explorer.unet-race.runs']?.includes('r1')")
    again = open_race()
    again.wait_for_selector(".race[data-phase=live]")
    first = asked(again, "race_look")[0]
    assert (first["race"], first["runs"]) == ("id", ["r1"])
    assert again.locator(".count span").text_content() == "2 seeds"
    again.evaluate("localStorage.clear()")
    stranger = open_race()
    stranger.evaluate("Explorer.give('unet-race', { race: 'id' })")
    stranger.wait_for_selector(".race[data-phase=live] .board .dot", state="attached")
    assert not stranger.is_visible(".halt")


def test_a_race_that_is_gone_and_a_failed_run_are_said(open_race):
    page = open_race(race_look={"state": "gone"})
    page.evaluate("Explorer.give('unet-race', { race: 'id', token: 'key' })")
    page.wait_for_selector(".problem:has-text('no longer on the server')")
    bad = [replace(lane, state="failed", reason="The loss is not finite.") for lane in lanes("finished", 0)]
    page.evaluate("next => { window.answers.race_look = next; }", {**look("finished", 2), **standing(SIZES, bad, 2)})
    page.evaluate("Explorer.give('unet-race', { race: 'other', token: 'key' })")
    page.wait_for_selector(".faults li:has-text('Nearest, seed 0, failed: The loss is not finite.')")
