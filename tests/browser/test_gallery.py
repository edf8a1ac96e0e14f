"""The gallery of bodies in a real Chromium: found, compared, and picked with mouse and keyboard."""

from __future__ import annotations

import pytest

from explorer.models.bodies import list_archs

pytestmark = pytest.mark.browser
QUICK = "?weights=random&size=64"
FIELD, CARDS, HITS = "dialog.gallery input", "dialog.gallery .card", "dialog.gallery .hits"
FOCUSED = "() => document.activeElement.dataset.name ?? document.activeElement.className"


def opened(open_page, **options):
    page = open_page(QUICK, **options)
    page.click("#gallery .browse")
    page.wait_for_selector("dialog.gallery[open] .card")
    return page


def names(page) -> list[str]:
    return page.eval_on_selector_all(CARDS, "cards => cards.map(card => card.dataset.name)")


def wait_for_body(page, arch: str) -> None:
    page.wait_for_function("arch => document.querySelector('#ribbon h1').textContent.startsWith(arch)", arg=arch)


def test_all_bodies_are_shown_and_the_one_in_use_is_marked(open_page):
    page = opened(open_page)
    assert names(page) == list(list_archs())
    assert page.locator(f"{CARDS}[aria-selected=true]").get_attribute("data-name") == "resnet34"
    assert page.locator("dialog.gallery circle").count() == len(list_archs())


@pytest.mark.parametrize(
    "words, found",
    [
        ("swin_v2", ["swin_v2_t", "swin_v2_s", "swin_v2_b"]),
        ("Searching for MobileNetV3", ["mobilenet_v3_small", "mobilenet_v3_large"]),
        ("2012", ["alexnet"]),
    ],
)
def test_the_search_finds_names_papers_and_years_and_pales_the_other_points(open_page, words, found):
    page = opened(open_page)
    page.fill(FIELD, words)
    assert names(page) == found
    assert page.inner_text(HITS).split() == [str(len(found)), "of", str(len(list_archs())), "bodies"]
    assert page.locator("dialog.gallery circle:not(.pale)").count() == len(found)


def test_what_is_not_found_says_what_to_change_and_changes_it(open_page):
    page = opened(open_page)
    page.click("dialog.gallery .chip:has-text('densenet')")
    page.fill(FIELD, "resnet34")
    assert "Nothing among densenet matches “resnet34”" in page.inner_text("dialog.gallery .empty")
    page.click("dialog.gallery .empty button")
    assert len(names(page)) == len(list_archs())


def test_families_filter_and_columns_sort(open_page):
    page = opened(open_page)
    page.click("dialog.gallery .chip:has-text('alexnet')")
    page.click("dialog.gallery .chip:has-text('googlenet')")
    page.click("dialog.gallery .sorts button:has-text('Top-1')")
    assert names(page) == ["googlenet", "alexnet"]
    page.click("dialog.gallery .sorts button:has-text('Top-1')")
    assert names(page) == ["alexnet", "googlenet"]


def test_a_card_is_picked_with_the_keyboard_and_focus_returns(open_page):
    page = opened(open_page)
    page.fill(FIELD, "resnet18")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(FOCUSED) == "resnet18"
    page.keyboard.press("Enter")
    wait_for_body(page, "resnet18")
    assert page.locator("dialog.gallery").get_attribute("open") is None
    assert "browse" in page.evaluate(FOCUSED)
    assert page.input_value("#arch input") == "resnet18"


def test_a_point_says_its_figures_and_is_picked_by_a_click(open_page):
    page = opened(open_page)
    page.click("dialog.gallery .costs button:has-text('File')")
    spot = page.locator("#gallery-alexnet").bounding_box()
    page.mouse.move(spot["x"] + 4, spot["y"] + 4)
    assert "alexnet 2012" in page.inner_text("dialog.gallery .tip")
    assert "56.5 %" in page.inner_text("dialog.gallery .tip")
    page.mouse.click(spot["x"] + 4, spot["y"] + 4)
    wait_for_body(page, "alexnet")


def test_arrows_go_from_point_to_point_by_cost(open_page):
    page = opened(open_page)
    page.fill(FIELD, "resnet")
    page.click("dialog.gallery .chip:has-text('vgg')")
    page.fill(FIELD, "")
    page.focus("dialog.gallery .plot svg")
    page.keyboard.press("Home")
    assert page.inner_text("dialog.gallery .about h3").startswith("vgg11")
    page.keyboard.press("End")
    assert page.inner_text("dialog.gallery .about h3").startswith("vgg19")


def test_escape_closes_it_and_leaves_the_drawer_open(open_page):
    page = open_page(QUICK, width=400, height=860)
    page.click(".burger")
    page.click("#gallery .browse")
    page.wait_for_selector("dialog.gallery[open] .card")
    assert page.eval_on_selector("dialog.gallery", "dialog => dialog.scrollWidth <= innerWidth")
    page.keyboard.press("Escape")
    assert page.locator("dialog.gallery").get_attribute("open") is None
    assert page.evaluate("document.documentElement.classList.contains('drawer')")


def test_last_maps_come_for_the_cards_in_sight(open_page):
    page = opened(open_page)
    page.fill(FIELD, "squeezenet")
    page.wait_for_function("() => document.querySelector('dialog.gallery .card').innerText.includes('512×13×13')")


def test_no_last_map_is_missing_for_long(open_page):
    page = opened(open_page)
    page.click("dialog.gallery .chip:has-text('squeezenet')")
    page.wait_for_function("() => !document.querySelector('dialog.gallery :is(.card, .about) .ghost')")
    assert all("512×13×13" in text for text in page.locator(CARDS).all_inner_texts())


def test_the_gallery_follows_the_list(open_page):
    page = open_page(QUICK + "&arch=vgg11")
    page.click("#gallery .browse")
    assert page.locator(f"{CARDS}[aria-selected=true]").get_attribute("data-name") == "vgg11"
