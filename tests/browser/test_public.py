"""A public host in a real browser: its headers and its limits break nothing of the page."""

from __future__ import annotations

import pytest
import torch

from tests.open.served import serve, stop

SLIDE = """value => {
  const input = document.querySelector('#size input[type=range]');
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, value);
  input.dispatchEvent(new Event('input', { bubbles: true }));
}"""


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """A public host with the limits that it has by itself."""
    served = serve(tmp_path_factory.mktemp("public"))
    yield served
    stop(served)


@pytest.fixture
def page(open_page, public):
    """Its page, and `statuses` of all that it asked for."""
    opened = open_page(url=f"{public.url}/", wait=False)
    opened.statuses = []
    opened.on("response", lambda answer: opened.statuses.append(answer.status))
    opened.wait_for_selector("html[data-opened] #tree tbody tr")
    return opened


def test_knobs_that_move_ten_times_a_second_are_never_held_up(page):
    for step in range(60):
        page.evaluate(SLIDE, 64 + step * 8 % 128)
        page.wait_for_timeout(100)
    page.wait_for_function("atRest()")
    assert len(page.statuses) > 40 and set(page.statuses) <= {200, 304}


def test_a_run_grows_its_curves(page):
    page.evaluate(SLIDE, 32)
    page.locator("#epochs input").fill("1")
    page.locator("#epochs input").press("Enter")
    page.wait_for_function("atRest()")
    page.locator("#go").click()
    page.wait_for_selector("#run .main-svg")
    page.wait_for_function("document.querySelector('#run').innerText.includes('after 1 epoch')")
    assert set(page.statuses) <= {200, 304}


def test_a_weights_file_is_taken(page, tmp_path):
    torch.save({"weight": torch.zeros(3)}, tmp_path / "mine.pth")
    page.locator("#weights label").filter(has_text="File").click()
    page.locator("#file input[type=file]").set_input_files(tmp_path / "mine.pth")
    page.wait_for_function("document.querySelector('#file').innerText.includes('mine')")
    assert set(page.statuses) <= {200, 304}


def test_the_other_page_and_its_race_open(page):
    page.get_by_role("tab", name="U-Net", exact=True).click()
    page.locator("#page-unet").get_by_role("tab", name="Race").click()
    page.wait_for_selector("#unet-race button")
    assert set(page.statuses) <= {200, 304}
