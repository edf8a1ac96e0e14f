"""The sidebar, the ribbon and the tabs in a real Chromium: every knob moves the picture."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser
QUICK = "?weights=random&size=64"


def headline(page) -> str:
    return page.inner_text("#ribbon h1")


def numbers(page) -> str:
    return page.inner_text("#numbers")


def changes(page, read, act) -> None:
    """`act` changes what `read` reads, within three seconds."""
    before = read()
    act()
    for _ in range(60):
        if read() != before:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"nothing changed: {before[:200]!r}")


def slide(page, selector: str, value: float) -> None:
    page.eval_on_selector(
        selector,
        """(input, value) => {
          Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, value);
          input.dispatchEvent(new Event('input', { bubbles: true }));
        }""",
        value,
    )


def test_the_first_paint_is_the_chapters_model(open_page):
    page = open_page()
    assert headline(page) == "resnet34, cut after layer4, new head for 37 outputs"
    assert "21.8" in numbers(page)
    page.wait_for_selector("#ribbon svg image", timeout=30_000)
    assert "not reachable" in page.inner_text("#ribbon")


def test_the_cut_is_dragged_and_everything_follows(open_page):
    page = open_page(QUICK)
    page.wait_for_selector("#ribbon svg image")
    page.wait_for_timeout(400)
    grip = page.locator("#ribbon .grip").bounding_box()
    x, y = grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y, steps=4)
    page.mouse.move(x - 240, y, steps=8)
    page.mouse.up()
    page.wait_for_function("!document.querySelector('#cut .step span').textContent.includes('layer4')")
    place = page.inner_text("#cut .step span").rpartition("after ")[2]
    page.wait_for_function("place => document.querySelector('#ribbon h1').textContent.includes(place)", arg=place)
    assert page.locator("#tree tr", has_text="layer4").count() == 0
    page.mouse.move(x, y)


def test_the_cut_moves_by_key_and_by_its_stepper(open_page):
    page = open_page(QUICK)
    page.focus("#ribbon .grip")
    changes(page, lambda: headline(page), lambda: page.keyboard.press("ArrowLeft"))
    changes(page, lambda: headline(page), lambda: page.keyboard.press("ArrowRight"))
    page.focus("#cut .step")
    changes(page, lambda: headline(page), lambda: page.keyboard.press("Home"))
    changes(page, lambda: headline(page), lambda: page.click("#cut button:last-of-type"))


@pytest.mark.parametrize("arch", ["resnet152", "densenet201", "vgg13_bn", "squeezenet1_0", "alexnet"])
def test_another_body_is_chosen_by_typing(open_page, arch):
    page = open_page(QUICK.replace("64", "224"))
    page.click("#arch input")
    page.keyboard.type(arch)
    page.keyboard.press("Enter")
    page.wait_for_function(f"document.querySelector('#ribbon h1').textContent.startsWith('{arch}')")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_every_knob_of_the_head_moves_the_picture(open_page):
    page = open_page(QUICK)
    tree = lambda: page.inner_text("#tree")  # noqa: E731
    changes(page, lambda: page.inner_text("#ribbon .track"), lambda: slide(page, "#size input[type=range]", 128))
    for pool in ("Avg", "Max", "Concat"):
        changes(page, tree, lambda pool=pool: page.click(f"#pool label:has-text('{pool}')"))
    changes(page, tree, lambda: page.click("#chips .add"))
    changes(page, tree, lambda: slide(page, "#ps input[type=range]", 0.2))
    for name in ("first_bn", "bn_final", "lin_first"):
        changes(page, tree, lambda name=name: page.click(f"#{name} input"))
    changes(page, lambda: numbers(page), lambda: page.click("#groups [role=switch] >> nth=0"))
    page.click("#build_more > button, #build_more .label-wrap")
    page.wait_for_selector("#n_in input[type=range]")
    changes(page, tree, lambda: slide(page, "#n_in input[type=range]", 1))
    page.fill("#y_range input, #y_range textarea", "0, 5.5")
    page.wait_for_function("document.querySelector('#tree').innerText.includes('SigmoidRange')")


def test_the_layer_picked_in_the_tree_is_picked_in_the_ribbon(open_page):
    page = open_page(QUICK)
    row = page.locator("#tree tbody tr", has_text="layer3").first
    before = page.inner_html("#ribbon svg")
    row.click()
    page.wait_for_function("html => document.querySelector('#ribbon svg').innerHTML !== html", arg=before)
    assert row.get_attribute("aria-selected") == "true"
    page.click("#tab-layers-button")
    page.wait_for_selector("#layers tbody tr[aria-selected=true]")


def test_the_tree_is_searched_and_folded_by_key(open_page):
    page = open_page(QUICK)
    page.fill("#tree input[type=search]", "downsample")
    page.wait_for_function("document.querySelector('#tree .count').textContent.includes(' of ')")
    page.fill("#tree input[type=search]", "")
    page.focus("#tree tbody tr[tabindex='0']")
    count = lambda: str(page.locator("#tree tbody tr:visible").count())  # noqa: E731
    changes(page, count, lambda: page.keyboard.press("ArrowLeft"))
    changes(page, count, lambda: page.keyboard.press("ArrowRight"))


def test_every_tab_has_its_content(open_page):
    page = open_page(QUICK)
    for tab, words in (
        ("layers", "Conv2d"),
        ("code", "import torch"),
        ("summary", "Total params"),
        ("data", "train"),
    ):
        page.click(f"#tab-{tab}-button")
        page.wait_for_function(
            "([tab, words]) => document.querySelector(`#tab-${tab}`)?.innerText.includes(words)", arg=[tab, words]
        )
    assert page.locator("#sheet img").count() == 24


def test_code_follows_the_knobs_while_it_is_on_show(open_page):
    page = open_page(QUICK)
    page.click("#tab-code-button")
    page.wait_for_selector("#code pre .line")
    changes(page, lambda: page.inner_text("#code pre"), lambda: page.click("#pool label:has-text('Max')"))


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda p: p.fill("#rate input, #rate textarea", "1e9"), "between"),
        (lambda p: p.fill("#rate input, #rate textarea", "fast"), "number"),
        (lambda p: p.fill("#epochs input", "0"), "between"),
        (lambda p: p.fill("#batch_size input", "-3"), "between"),
    ],
    ids=["rate 1e9", "rate fast", "no epochs", "batch -3"],
)
def test_a_wrong_value_gets_a_sentence_at_its_control_and_nothing_is_lost(open_page, act, words):
    page = open_page(QUICK)
    page.click("#chips .add")
    page.wait_for_function("document.querySelectorAll('#chips .chip').length >= 3")
    act(page)
    page.wait_for_selector(".problem:visible")
    assert words in page.inner_text(".problem:visible")
    assert page.locator("#chips .chip:not(.out):not(.add)").count() == 2


def test_a_size_too_small_shows_where_and_mends_it(open_page):
    page = open_page("?weights=random&arch=alexnet&size=32")
    page.wait_for_function("document.querySelector('#ribbon').innerText.includes('needs')")
    changes(page, lambda: page.inner_text("#ribbon .track"), lambda: page.click("#ribbon .btn.mend"))
    page.wait_for_function("!document.querySelector('#ribbon').innerText.includes('needs')")


def test_a_link_opens_what_it_says_and_tells_what_it_dropped(open_page):
    page = open_page("?weights=random&arch=resnet18&cut=layer3&widths=256,&ps=9&arch2=x")
    page.wait_for_function("document.querySelector('#ribbon h1').textContent.startsWith('resnet18, cut after layer3')")
    page.wait_for_selector("#notices .noticebar:visible")
    assert "everything" in page.inner_text("#notices")


def test_an_unknown_architecture_in_a_link_falls_back_and_says_so(open_page):
    page = open_page("?arch=resnet99")
    assert headline(page).startswith("resnet34")
    page.wait_for_function("document.querySelector('#notices').innerText.includes('resnet99')")


def test_the_share_button_copies_a_link_that_brings_the_model_back(open_page, app):
    page = open_page(QUICK, permissions=["clipboard-read", "clipboard-write"])
    page.click("#pool label:has-text('Max')")
    page.wait_for_function("document.querySelector('#tree').innerText.includes('AdaptiveMaxPool2d')")
    page.click(".share")
    page.wait_for_function("document.querySelector('.share').innerText.includes('copied')")
    link = page.evaluate("navigator.clipboard.readText()")
    assert "pool=max" in link
    again = open_page(link.removeprefix(app.url))
    again.wait_for_function("document.querySelector('#tree').innerText.includes('AdaptiveMaxPool2d')")


def test_chapter_defaults_bring_everything_back(open_page):
    page = open_page("?weights=random&arch=resnet18&pool=avg")
    page.click("#buildtitle button")
    page.wait_for_function("document.querySelector('#ribbon h1').textContent.startsWith('resnet34')")
    assert page.is_checked("#pool label:has-text('Concat') input")


@pytest.mark.parametrize("width", [400, 768, 1280, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_never_scrolls_sideways(open_page, width, scheme):
    page = open_page(QUICK, width=width, color_scheme=scheme)
    page.wait_for_timeout(400)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.body.classList.contains('dark')") is (scheme == "dark")


def test_dark_is_kept_over_a_reload(open_page):
    page = open_page(QUICK)
    page.click(".theme")
    page.wait_for_function("document.body.classList.contains('dark')")
    page.reload()
    page.wait_for_selector("#tree tbody tr")
    page.wait_for_function("document.body.classList.contains('dark')")


def test_on_a_phone_the_sidebar_is_a_drawer(open_page):
    page = open_page(QUICK, width=400, height=860, has_touch=True, is_mobile=True)
    assert not page.is_visible("#arch")
    page.tap(".burger")
    page.wait_for_selector("#arch", state="visible")
    page.keyboard.press("Escape")
    page.wait_for_selector("#arch", state="hidden")


def test_all_controls_have_names_and_are_reached_by_key(open_page):
    page = open_page(QUICK)
    nameless = page.evaluate(
        """[...document.querySelectorAll('#app input, #app textarea, #app button, #app [tabindex="0"]')]
          .filter(e => e.checkVisibility({ visibilityProperty: true }) && e.getBoundingClientRect().width > 1)
          .filter(e => !(e.ariaLabel || e.getAttribute('aria-labelledby') || e.labels?.[0]?.innerText || e.innerText
            || e.title || e.placeholder)).map(e => e.outerHTML.slice(0, 200))"""
    )
    assert nameless == []
    seen = set()
    for _ in range(120):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.closest('[id]')?.id"))
    assert {"ribbon", "arch", "tree", "go", "cut", "chips", "groups"} <= {name for name in seen if name} | {
        page.evaluate("id => document.getElementById(id)?.closest('#ribbon,#arch,#tree,#cut,#chips,#groups')?.id", s)
        for s in seen
        if s
    }
