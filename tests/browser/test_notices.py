"""Suggestions at controls and the card of a model that cannot run, in a real Chromium: words and buttons."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser
FAILED = "#ribbon .note.failed"


def wait_for(page, selector: str, words: str) -> None:
    page.wait_for_function(
        "([selector, words]) => document.querySelector(selector)?.innerText.includes(words)", arg=[selector, words]
    )


def gone(page, selector: str) -> None:
    page.wait_for_function("selector => !document.querySelector(selector)", arg=selector)


# ---- suggestions ----


def test_a_map_of_one_cell_suggests_another_pooling_and_follows_it(open_page):
    page = open_page("?weights=random&arch=resnet18&size=32")
    wait_for(page, "#pool .hint", "its maximum and its average are the same 512 numbers twice")
    assert "AdaptiveConcatPool2d" in page.inner_text("#tree")
    page.click("#pool .hint button:text-is('Pool with avg')")
    wait_for(page, "#tree", "AdaptiveAvgPool2d")
    gone(page, "#pool .hint")
    page.wait_for_selector("#pool label:has-text('Avg') input:checked", state="attached")


def test_a_range_of_many_outputs_suggests_none(open_page):
    page = open_page("?weights=random&arch=resnet18&size=64&y_range=0,5.5")
    page.click("#build_more > button, #build_more .label-wrap")
    wait_for(page, "#y_range .hint", "y_range holds each of the 37 outputs between 0 and 5.5")
    assert "SigmoidRange" in page.inner_text("#tree")
    page.click("#y_range .hint button:text-is('Leave it empty')")
    page.wait_for_function("!document.querySelector('#tree').innerText.includes('SigmoidRange')")
    gone(page, "#y_range .hint")
    assert page.input_value("#y_range input, #y_range textarea") == ""


def test_a_suggestion_goes_when_its_reason_does(open_page):
    page = open_page("?weights=random&arch=resnet18&size=32")
    wait_for(page, "#pool .hint", "single cell")
    page.click("#pool label:has-text('Max')")
    gone(page, "#pool .hint")


# ---- the card ----


def test_a_vit_at_a_size_it_was_not_made_for_is_mended_and_runs(open_page):
    page = open_page("?weights=random&arch=vit_b_16&size=64")
    wait_for(page, FAILED, "needs a picture of 224×224 px, but gets a picture of 64×64 px")
    assert page.inner_text("#numbers button:nth-child(2)").startswith("–")
    page.click(f"{FAILED} .btn.mend:text-is('Set the size to 224 px')")
    gone(page, FAILED)
    wait_for(page, "#numbers button:nth-child(2)", "G")
    page.wait_for_function("document.querySelector('#ribbon svg').textContent.includes('3×224×224')")
    assert page.input_value("#size [data-testid=number-input]") == "224"
    assert page.inner_text("#numbers button:nth-child(4)").startswith("37")


def test_the_card_names_the_layer_that_breaks_and_marks_it(open_page):
    page = open_page("?weights=random&arch=alexnet&size=32")
    wait_for(page, FAILED, "needs a map of at least 3×3")
    wait_for(page, FAILED, "256×1×1")
    assert page.locator("#tree tr.failed").count() >= 1
    page.click("#tab-cost-button")
    wait_for(page, "#cost > .html-container .problem, #cost .problem", "set the size to 63 px or more")
    assert not page.is_visible("#cost .memory")
    page.click("#tab-activations-button")
    wait_for(page, "#activations .state", "set the size to 63 px or more")
    page.click(f"{FAILED} .btn.mend:text-is('Set the size to 63 px')")
    gone(page, FAILED)
    page.wait_for_selector("#activations .strip .tile")
    page.click("#tab-tree-button")
    page.wait_for_function("atRest()")
    assert page.locator("#tree tr.failed").count() == 0


def test_on_a_phone_the_card_and_its_button_are_in_sight(open_page):
    page = open_page("?weights=random&arch=alexnet&size=32", width=400, height=860, color_scheme="dark")
    wait_for(page, FAILED, "at least 3×3")
    box = page.locator(f"{FAILED} .btn.mend").bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 400
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
