"""The U-Net page: opened by a link, rewired in its picture, trained to masks."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser
SMALL = "?family=unet&arch=resnet18&weights=random&size=64&width_cap=32&n_out=6"
PARAMS = "#unet-numbers [title*='of them learn']"


@pytest.fixture
def open_unet(open_page):
    def open_(query: str = SMALL, **options):
        page = open_page(query, wait=False, **options)
        page.wait_for_selector("html[data-opened] #unet-wiring [role=switch]")
        page.wait_for_function("atRest()")
        return page

    return open_


def params(page) -> str:
    return page.locator(PARAMS).first.get_attribute("title")


def test_a_link_opens_the_wiring(open_unet):
    page = open_unet()
    assert page.locator("#unet-wiring h1").inner_text() == "resnet18 down, pixel shuffle up, 6 classes per pixel"
    assert page.locator("#unet-wiring [role=switch][aria-checked=true]").count() == 5  # four skips and the last cross
    assert page.locator("#page-unet-button, [role=tab][aria-selected=true]:has-text('U-Net')").count()


def test_a_switch_rewires_the_model_and_keeps_the_focus(open_unet):
    page = open_unet()
    before = params(page)
    switch = page.locator("#unet-wiring [role=switch]").nth(1)
    switch.focus()
    page.keyboard.press("Space")
    page.wait_for_function(f'document.querySelector("{PARAMS}").title !== {before!r}')
    assert page.locator("#unet-wiring [role=switch][aria-checked=false]").count() == 1
    assert page.evaluate("document.activeElement.getAttribute('role')") == "switch"
    page.wait_for_function("location.search.includes('skips=')")
    page.keyboard.press("Space")
    page.wait_for_function(f'document.querySelector("{PARAMS}").title === {before!r}')
    page.wait_for_function("!location.search.includes('skips=')")


def test_a_decoder_without_skips_has_no_switches(open_unet):
    page = open_unet()
    page.locator("#unet-decoder label:has-text('Nearest')").click()
    page.wait_for_function("!document.querySelector('#unet-wiring [role=switch]')")
    assert "nearest neighbours up" in page.locator("#unet-wiring h1").inner_text()


def test_each_page_keeps_its_state_and_its_link(open_unet):
    page = open_unet()
    tabs = page.locator("#pages > .tab-wrapper [role=tab]")
    tabs.filter(has_text="Classifier").click()
    page.wait_for_function("!location.search.includes('family=unet')")
    tabs.filter(has_text="U-Net").click()
    page.wait_for_function("location.search.includes('family=unet') && location.search.includes('width_cap=32')")
    assert "resnet18 down" in page.locator("#unet-wiring h1").inner_text()


def test_nothing_scrolls_sideways_on_a_phone(open_unet):
    page = open_unet(width=400, height=900)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_the_bench_says_the_sizes_of_the_facts(open_unet):
    page = open_unet()
    page.locator("#unet-inner [role=tab]:has-text('Upsampling')").click()
    page.locator("#unet-upsampling button:has-text('28 → 57')").click()
    page.wait_for_function("document.querySelector('#unet-upsampling .truth')?.innerText.includes('57 ✓')")


def test_a_cell_of_the_bench_says_what_is_no_number_and_keeps_the_old(open_unet):
    page = open_unet()
    page.locator("#unet-inner [role=tab]:has-text('Upsampling')").click()
    cell = page.locator("#unet-upsampling .typed input").first
    before = cell.input_value()
    cell.fill("abc")
    cell.blur()
    assert "“abc” is no number" in page.locator("#unet-upsampling .problem:visible").inner_text()
    assert cell.input_value() == before
    cell.fill("9")
    cell.blur()
    assert cell.input_value() == "9" and not page.locator("#unet-upsampling .problem:visible").count()


def test_a_run_fills_the_pictures(open_unet):
    page = open_unet(SMALL + "&epochs=1&frozen=false&batch_size=64")
    page.locator("#unet-go").click()
    page.wait_for_selector("#unet-pictures img")
    page.locator("#unet-halt").click()
    page.wait_for_selector("#unet-go:not([disabled])")


def test_a_link_s_cut_and_groups_stand_and_stay(open_unet):
    """A tab that is shown for the first time gets the values once more with which Gradio began."""
    page = open_unet("?family=unet&arch=vgg16_bn&weights=random&size=64&width_cap=32&cut=features.33")
    page.wait_for_timeout(1000)
    assert page.locator("#unet-cut .step span").inner_text() == "after features.33"
    late = page.locator("#unet-groups").inner_text().split("Body, late")[1].split()[0]
    assert f"frozen, {late}" in page.locator("#unet-wiring").inner_text().split("Body, late")[1]
    page.locator("#unet-size input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("location.search.includes('size=80')")
    assert page.locator("#unet-cut .step span").inner_text() == "after features.33"
    assert "cut=features.33" in page.url


def test_what_the_other_page_is_told_leaves_the_address_alone(open_unet):
    """Weights of the classifier's body came, or could not be had, and its link took the place of this page's."""
    page = open_unet()
    address = page.evaluate("location.href")
    page.evaluate("Explorer.give('right', { link: '' })")
    assert page.evaluate("location.href") == address
    page.evaluate("Explorer.give('right', { link: 'family=unet&seed=3' })")
    assert page.evaluate("location.search") == "?family=unet&seed=3"
