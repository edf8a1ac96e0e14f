"""Two designs side by side in a real Chromium: pinned, compared, swapped and let go, by mouse and by key."""

from __future__ import annotations

import pytest

from explorer import link
from explorer.trace.tracer import trace

pytestmark = pytest.mark.browser
LINK = "?weights=random&arch=resnet18&size=64"
FOCUSED = "document.activeElement.textContent"


def totals(query: str):
    return trace(link.decode(query).spec).totals


def layers(query: str) -> int:
    return sum(not layer.container for layer in trace(link.decode(query).spec).layers)


def wait_for_headline(page, ribbon: str, words: str) -> None:
    page.wait_for_function(
        "([id, words]) => document.querySelector(`#${id} h1`)?.textContent.includes(words)", arg=[ribbon, words]
    )


def pinned(open_page, query: str = LINK, **options):
    """A page whose design is pinned as A, with the Compare tab open."""
    page = open_page(query, **options)
    page.click("#ribbon button:has-text('Compare')")
    page.wait_for_selector("#ribbon_a h1:visible")
    page.click("#tab-compare-button")
    page.wait_for_selector("#compare .diff tbody tr")
    page.wait_for_function("atRest()")
    return page


def cut_earlier(page) -> None:
    """B is cut after layer3."""
    page.evaluate("Explorer.change('cut', { value: 'layer3', problem: '' })")
    wait_for_headline(page, "ribbon", "layer3")
    page.wait_for_function("!document.querySelector('#compare .knobs').hidden")
    page.wait_for_function("atRest()")


def spots(page, ribbon: str) -> dict[str, tuple[int, int]]:
    """Width and height of what stands for each part."""
    return {
        name: tuple(size)
        for name, *size in page.eval_on_selector_all(
            f"#{ribbon} .spot",
            """all => all.map(spot => {
              const box = spot.getBoundingClientRect();
              return [spot.textContent.split(/[,:]/)[0], Math.round(box.width), Math.round(box.height)];
            })""",
        )
    }


def test_before_a_design_is_pinned_the_tab_offers_it(open_page):
    page = open_page(LINK)
    page.click("#tab-compare-button")
    page.click("#compare button:text-is('Pin this design as A')")
    page.wait_for_selector("#ribbon_a h1:visible")
    page.wait_for_selector("#compare .diff tbody tr")
    assert page.inner_text("#ribbon_a h1") == page.inner_text("#ribbon h1")
    assert "are the same" in page.inner_text("#compare .same") and not page.is_visible("#compare .knobs")


def test_a_changed_knob_is_b_and_the_totals_say_the_difference(open_page):
    page = pinned(open_page)
    cut_earlier(page)
    assert "layer4" in page.inner_text("#ribbon_a h1") and "layer3" in page.inner_text("#ribbon h1")
    a, b = totals(LINK), totals(f"{LINK}&cut=layer3")
    lines = page.locator("#compare .sums tbody tr")
    assert f"{a.params:,}" in lines.nth(0).get_attribute("title")
    assert f"{b.params:,}" in lines.nth(0).get_attribute("title")
    parameters = lines.nth(0).inner_text()
    assert f"{a.params / 1e6:.1f}" in parameters and f"{b.params / 1e6:.1f}" in parameters
    assert f"−{100 * (1 - b.params / a.params):.0f}" in parameters and "▼" in parameters
    assert page.locator("#compare .knobs tbody tr").all_inner_texts() == ["Cut\tafter layer4\tafter layer3"]


def test_both_ribbons_share_one_scale(open_page):
    page = pinned(open_page)
    alike = spots(page, "ribbon_a")
    assert alike == spots(page, "ribbon") and "layer1" in alike
    page.eval_on_selector(
        "#size input[type=range]",
        """input => {
          Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, 128);
          input.dispatchEvent(new Event('input', { bubbles: true }));
        }""",
    )
    page.wait_for_function("document.querySelector('#ribbon svg').textContent.includes('3×128×128')")
    page.wait_for_function("atRest()")
    small, large = spots(page, "ribbon_a"), spots(page, "ribbon")
    for name in ("stem", "layer1", "layer4"):
        assert small[name][1] < large[name][1], name


def test_layers_are_aligned_as_equal_changed_gone_and_added(open_page):
    page = pinned(open_page)
    cut_earlier(page)
    row = page.locator("#compare .diff tbody tr", has=page.locator(".called:text-is('layer4')"))
    assert row.get_attribute("class").startswith("gone") and "only in A" in row.text_content()
    legend = page.inner_text("#compare .legend")
    gone = int(legend.split(" only in A")[0].split()[-1])
    assert gone == layers(LINK) - layers(f"{LINK}&cut=layer3") and "only in B" not in legend
    flatten = page.locator("#compare .diff tbody tr", has_text="Flatten")
    assert flatten.get_attribute("class").startswith("equal") is False
    assert flatten.locator("td.shape").inner_text() == "1024 → 512"
    page.click("#ribbon_a button:has-text('Swap')")
    wait_for_headline(page, "ribbon", "layer4")
    wait_for_headline(page, "ribbon_a", "layer3")
    page.wait_for_function("document.querySelector('#compare .legend').innerText.includes('only in B')")
    assert f"{gone} only in B" in page.inner_text("#compare .legend")
    assert row.get_attribute("class").startswith("added")
    assert flatten.locator("td.shape").inner_text() == "512 → 1024"


def test_rows_unfold_and_are_picked_by_key(open_page):
    page = pinned(open_page)
    cut_earlier(page)
    rows = "#compare .diff tbody tr"
    page.focus(f"{rows}[tabindex='0']")
    for key in ("ArrowDown", "ArrowDown"):
        page.keyboard.press(key)
    assert "layer4" in page.evaluate(FOCUSED)
    before = page.locator(rows).count()
    page.keyboard.press("ArrowRight")
    assert page.locator(rows).count() == before + 2
    page.keyboard.press("ArrowLeft")
    assert page.locator(rows).count() == before
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    assert page.get_attribute(f"{rows}:first-child", "aria-selected") == "true"


def test_swap_and_unpin_are_pressed_by_key_and_keep_the_focus(open_page):
    page = pinned(open_page)
    cut_earlier(page)
    page.focus("#ribbon_a button:has-text('Swap')")
    page.keyboard.press("Enter")
    wait_for_headline(page, "ribbon_a", "layer3")
    assert page.evaluate(FOCUSED) == "Swap"
    page.keyboard.press("Tab")
    assert page.evaluate(FOCUSED) == "Unpin"
    page.keyboard.press(" ")
    page.wait_for_selector("#ribbon_a .ribbon", state="hidden")
    page.wait_for_selector("#compare .none:visible")
    assert page.evaluate(FOCUSED) == "Compare"
    assert "layer4" in page.inner_text("#ribbon h1")


def test_on_a_phone_nothing_is_wider_than_the_screen(open_page):
    page = open_page(LINK, width=400, height=860, color_scheme="dark")
    page.click("#ribbon button:has-text('Compare')")
    page.wait_for_selector("#ribbon_a h1:visible")
    page.click("#tab-compare-button")
    page.wait_for_selector("#compare .diff tbody tr")
    page.wait_for_function("atRest()")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.is_visible("#ribbon_a button:has-text('Unpin')")
