"""The sidebar, the ribbon and the tabs in a real Chromium: every knob moves the picture."""

from __future__ import annotations

import time

import pytest

pytestmark = pytest.mark.browser
QUICK = "?weights=random&size=64"


def headline(page) -> str:
    return page.inner_text("#ribbon h1")


def wait_for(page, selector: str, words: str) -> None:
    """Until the words stand in the first element of this (CSS) selector."""
    page.wait_for_function(
        "([selector, words]) => document.querySelector(selector)?.innerText.includes(words)", arg=[selector, words]
    )


def wait_for_headline(page, beginning: str) -> None:
    page.wait_for_function(
        "beginning => document.querySelector('#ribbon h1').textContent.startsWith(beginning)", arg=beginning
    )


def changes(page, selector: str, act) -> None:
    """Once nothing else is on its way, `act` changes the words in the first element of this (CSS) selector."""
    page.wait_for_function("atRest()")
    before = page.inner_text(selector)
    act()
    page.wait_for_function(
        "([selector, before]) => document.querySelector(selector).innerText !== before", arg=[selector, before]
    )


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
    assert "21.8" in page.inner_text("#numbers")
    page.wait_for_selector("#ribbon svg image")
    wait_for(page, "#ribbon", "not reachable")


def test_the_cut_is_dragged_and_everything_follows(open_page):
    page = open_page(QUICK)
    page.wait_for_selector("#ribbon svg image.face")
    page.wait_for_function("atRest()")
    grip = page.locator("#ribbon .grip").bounding_box()
    x, y = grip["x"] + grip["width"] / 2, grip["y"] + grip["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 60, y, steps=4)
    page.mouse.move(x - 240, y, steps=8)
    page.mouse.up()
    page.wait_for_function(
        """() => {
          const place = document.querySelector('#cut .step span').textContent.split('after ').at(-1);
          return !place.includes('layer4') && document.querySelector('#ribbon h1').textContent.includes(place);
        }"""
    )
    page.wait_for_function("!document.querySelector('#tree').innerText.includes('layer4')")
    page.mouse.move(x, y)


def test_the_cut_moves_by_key_and_by_its_stepper(open_page):
    page = open_page(QUICK)
    whole = headline(page)
    page.focus("#ribbon .grip")
    changes(page, "#ribbon h1", lambda: page.keyboard.press("ArrowLeft"))
    changes(page, "#ribbon h1", lambda: page.keyboard.press("ArrowRight"))
    wait_for_headline(page, whole)
    page.focus("#cut .step")
    changes(page, "#ribbon h1", lambda: page.keyboard.press("Home"))
    changes(page, "#ribbon h1", lambda: page.click("#cut button:last-of-type"))


@pytest.mark.parametrize("arch", ["resnet152", "densenet201", "vgg13_bn", "squeezenet1_0", "alexnet"])
def test_another_body_is_chosen_by_typing(open_page, arch):
    page = open_page(QUICK.replace("64", "224"))
    page.click("#arch input")
    page.wait_for_function("getSelection().toString() === 'resnet34'")
    page.keyboard.type(arch)
    page.wait_for_selector(f".options .item.active:has-text('{arch}')")
    page.keyboard.press("Enter")
    wait_for_headline(page, f"{arch},")
    page.wait_for_function("atRest()")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_every_knob_of_the_head_moves_the_picture(open_page):
    page = open_page(QUICK)
    changes(page, "#ribbon .track", lambda: slide(page, "#size input[type=range]", 128))
    for pool in ("Avg", "Max", "Concat"):
        changes(page, "#tree", lambda pool=pool: page.click(f"#pool label:has-text('{pool}')"))
    changes(page, "#tree", lambda: page.click("#chips .add"))
    changes(page, "#tree", lambda: slide(page, "#ps input[type=range]", 0.2))
    for name in ("first_bn", "bn_final", "lin_first"):
        changes(page, "#tree", lambda name=name: page.click(f"#{name} input"))
    changes(page, "#numbers .numbers > :first-child", lambda: page.click("#groups [role=switch] >> nth=0"))
    page.click("#build_more > button, #build_more .label-wrap")
    page.wait_for_selector("#n_in input[type=range]")
    changes(page, "#tree", lambda: slide(page, "#n_in input[type=range]", 1))
    page.fill("#y_range input, #y_range textarea", "0, 5.5")
    wait_for(page, "#tree", "SigmoidRange")


def test_the_layer_picked_in_the_tree_is_picked_in_the_ribbon(open_page):
    page = open_page(QUICK)
    row = page.locator("#tree tbody tr", has_text="layer3").first
    assert page.locator("#ribbon [aria-current=true]").count() == 0
    row.click()
    page.wait_for_selector("#tree tbody tr[aria-selected=true]:has-text('layer3')")
    page.wait_for_selector("#ribbon [aria-current=true]:has-text('layer3')")
    page.click("#tab-layers-button")
    page.wait_for_selector("#layers tbody tr[aria-selected=true]")


def test_the_tree_is_searched_and_folded_by_key(open_page):
    page = open_page(QUICK)
    page.fill("#tree input[type=search]", "downsample")
    page.wait_for_function("document.querySelector('#tree .count').textContent.includes(' of ')")
    page.fill("#tree input[type=search]", "")
    page.wait_for_function("document.querySelector('#tree .count').textContent === ''")
    page.focus("#tree tbody tr[tabindex='0']")
    changes(page, "#tree tbody", lambda: page.keyboard.press("ArrowLeft"))
    changes(page, "#tree tbody", lambda: page.keyboard.press("ArrowRight"))


def test_every_tab_has_its_content(open_page):
    page = open_page(QUICK)
    for tab, words in (
        ("layers", "Conv2d"),
        ("code", "import torch"),
        ("summary", "Total params"),
        ("data", "train"),
    ):
        page.click(f"#tab-{tab}-button")
        wait_for(page, f"#tab-{tab}", words)
    page.wait_for_function("document.querySelectorAll('#sheet img').length === 24")


def test_code_follows_the_knobs_while_it_is_on_show(open_page):
    page = open_page(QUICK)
    page.click("#tab-code-button")
    page.wait_for_selector("#code pre .line")
    changes(page, "#code pre", lambda: page.click("#pool label:has-text('Max')"))


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
    page.wait_for_selector(f".problem:visible:has-text('{words}')")
    page.wait_for_function("atRest()")
    assert page.locator("#chips .chip:not(.out):not(.add)").count() == 2


def test_a_size_too_small_shows_where_and_mends_it(open_page):
    page = open_page("?weights=random&arch=alexnet&size=32")
    wait_for(page, "#ribbon", "needs")
    changes(page, "#ribbon .track", lambda: page.click("#ribbon .btn.mend"))
    page.wait_for_function("!document.querySelector('#ribbon').innerText.includes('needs')")


def test_a_width_makes_the_picture_a_rectangle(open_page):
    page = open_page("?weights=random&arch=alexnet&size=97")
    page.click("#build_more > .label-wrap")
    page.click("#width input, #width textarea")
    page.keyboard.type("131")
    wait_for(page, "#ribbon", "3×97×131")
    page.wait_for_function("location.search.includes('size=97x131')")
    page.keyboard.press("Control+a")
    page.keyboard.type("17x301")
    wait_for(page, "#ribbon", "a picture of 17×301 px")
    page.click("#ribbon .btn.mend")
    wait_for(page, "#ribbon", "3×63×63")
    assert page.input_value("#width input, #width textarea") == ""


def test_a_link_opens_what_it_says_and_tells_what_it_dropped(open_page):
    page = open_page("?weights=random&arch=resnet18&cut=layer3&widths=256,&ps=9&arch2=x")
    wait_for_headline(page, "resnet18, cut after layer3")
    page.wait_for_selector("#notices .noticebar:visible:has-text('everything')")


def test_a_link_that_is_read_late_still_decides_what_is_shown(open_page, app):
    page = open_page(QUICK)
    page.wait_for_selector("#ribbon svg image.face")
    asked = []

    def late(route):
        time.sleep(3)
        route.continue_()

    page.route("**/run/predict*", late, times=1)
    page.on("request", lambda request: asked.append(request.post_data or ""))
    page.goto(app.url + "?weights=random&arch=alexnet&size=32")
    page.wait_for_selector("html[data-opened]")
    wait_for(page, "#ribbon", "needs")
    assert [data for data in asked if "resnet34" in data] == []


def test_an_unknown_architecture_in_a_link_falls_back_and_says_so(open_page):
    page = open_page("?arch=resnet99")
    wait_for(page, "#notices", "resnet99")
    assert headline(page).startswith("resnet34")


def test_the_share_button_copies_a_link_that_brings_the_model_back(open_page, app):
    page = open_page(QUICK, permissions=["clipboard-read", "clipboard-write"])
    page.click("#pool label:has-text('Max')")
    wait_for(page, "#tree", "AdaptiveMaxPool2d")
    page.wait_for_function("location.search.includes('pool=max')")
    page.click(".share")
    wait_for(page, ".share", "copied")
    link = page.evaluate("navigator.clipboard.readText()")
    assert "pool=max" in link
    again = open_page(link.removeprefix(app.url))
    wait_for(again, "#tree", "AdaptiveMaxPool2d")


def test_chapter_defaults_bring_everything_back(open_page):
    page = open_page("?weights=random&arch=resnet18&pool=avg")
    page.click("#buildtitle button")
    wait_for_headline(page, "resnet34")
    page.wait_for_selector("#pool label:has-text('Concat') input:checked", state="attached")


@pytest.mark.parametrize("width", [400, 768, 1280, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_never_scrolls_sideways(open_page, width, scheme):
    page = open_page(QUICK, width=width, color_scheme=scheme)
    page.wait_for_function("dark => document.body.classList.contains('dark') === dark", arg=scheme == "dark")
    page.wait_for_selector("#ribbon svg image.face", state="attached")
    page.wait_for_function("atRest()")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_dark_is_kept_over_a_reload(open_page):
    page = open_page(QUICK)
    page.click(".theme")
    page.wait_for_function("document.body.classList.contains('dark')")
    page.reload()
    page.wait_for_selector("#tree tbody tr")
    page.wait_for_function("document.body.classList.contains('dark')")


def test_on_a_phone_the_sidebar_is_a_drawer(open_page):
    page = open_page(QUICK, width=400, height=860, has_touch=True, is_mobile=True)
    page.wait_for_selector("#arch", state="hidden")
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


BOXES = "all => all.map(e => e.getBoundingClientRect()).map(b => [b.left, b.right, b.top, b.bottom])"


SIDES = """all => all.map(one => document.querySelector('#ribbon ' + one).getBoundingClientRect())
  .map(box => [box.left, box.right])"""


@pytest.mark.parametrize("cut", ["blocks.2.layers.4.layers.window_attention", "stem.0.0"])
def test_a_long_name_of_a_cut_is_short_in_the_ribbon_and_whole_in_the_title(open_page, cut):
    page = open_page(f"?arch=maxvit_t&weights=random&cut={cut}", width=1280)
    pill, thrown, names, ribbon = page.evaluate(SIDES, [".pill", ".thrown path:nth-of-type(2)", ".names", ".pic"])
    assert ribbon[0] <= pill[0] and pill[1] < thrown[0] < names[0] < names[1] <= ribbon[1]
    step = page.locator("#cut .step span")
    assert cut in step.get_attribute("title") and cut in page.get_attribute("#ribbon .grip", "title")
    assert step.inner_text().removeprefix("after ") in headline(page)
    assert step.evaluate("e => e.scrollWidth <= e.clientWidth")


def test_a_network_that_refuses_its_picture_is_marked_at_the_photo(open_page):
    page = open_page("?arch=vit_b_16&weights=random&size=200", width=1280)
    words = page.locator("#ribbon svg .words.failed")
    assert words.count() == 1 and words.text_content() == "photo200×200 ≠ 224×224"
    assert page.locator("#ribbon svg .c-fail").count() == 0


@pytest.mark.parametrize("arch", ["resnet18", "vgg16_bn"])
def test_with_costs_laid_over_every_part_keeps_its_name_and_none_overlaps(open_page, arch):
    page = open_page(f"?arch={arch}&weights=random", width=1280)
    names = page.locator("#ribbon .words").count()
    page.click("#numbers button:nth-child(1)")
    page.wait_for_selector("#ribbon svg .portion", state="attached")
    page.wait_for_function("atRest()")
    words = sorted(page.eval_on_selector_all("#ribbon .words", BOXES))
    assert len(words) == names and all(before[1] <= after[0] for before, after in zip(words, words[1:], strict=False))
    bars = sorted(page.eval_on_selector_all("#ribbon .portion .of", BOXES))
    assert all(before[1] < after[0] for before, after in zip(bars, bars[1:], strict=False))
    page.hover("#ribbon .spot >> nth=-1")
    wait_for(page, "#ribbon .tip", "of parameters")


def test_a_pressed_number_lays_its_shares_over_the_table_of_layers(open_page):
    page = open_page(QUICK + "&arch=resnet18", width=1280)
    page.get_by_role("tab", name="Layers").click()
    page.wait_for_selector("#layers tbody tr[data-qual='0.0']")
    assert page.locator("#layers tbody .over").count() == 0
    page.click("#numbers button:nth-child(2)")
    cell = page.locator("#layers tbody tr[data-qual='0.0'] .over")
    cell.wait_for()
    part = cell.evaluate("e => parseFloat(e.style.getPropertyValue('--part'))")
    row = page.locator("#layers tbody tr[data-qual='0.0'] .share").text_content()
    assert "macs" in cell.get_attribute("class") and part == pytest.approx(float(row.split()[0]), abs=0.06) and part > 5
    assert cell.get_attribute("data-share") == row
    page.click("#numbers button:nth-child(2)")
    cell.wait_for(state="detached")


@pytest.mark.parametrize(("width", "least"), [(1440, 6), (1280, 5), (400, 3)])
def test_the_table_of_layers_shows_whole_columns_only(open_page, width, least):
    page = open_page(QUICK + "&arch=resnet18", width=width)
    page.get_by_role("tab", name="Layers").click()
    page.wait_for_selector("#layers tbody tr[data-qual='0.0']")
    box = page.locator("#layers .scroll")
    for laid_over in (False, True):
        if laid_over:
            page.click("#numbers button:nth-child(2)")
            page.wait_for_selector("#layers tbody .over")
        page.wait_for_function("atRest()")
        assert box.evaluate("e => e.scrollWidth <= e.clientWidth")
        cut_off = "all => all.filter(e => e.offsetWidth && e.scrollWidth > e.clientWidth + 1 && !e.matches('.name'))"
        assert page.eval_on_selector_all("#layers tbody td", f"{cut_off}.map(e => e.textContent)") == []
        assert page.locator("#layers thead th:visible").count() >= least
    page.click("#layers .toggle:has-text('all columns')")
    page.wait_for_function("document.querySelector('#layers .scroll').classList.contains('all')")
    assert page.locator("#layers thead th:visible").count() == 13


def test_the_names_of_deep_rows_are_read_in_the_tree(open_page):
    page = open_page("?arch=densenet121&weights=random&size=64", width=1280)
    page.focus("#tree tbody tr[tabindex='0']")
    page.keyboard.press("*")
    row = page.locator("#tree tbody tr[data-qual$='denseblock3.denselayer24']")
    row.wait_for()
    assert row.locator("td").first.evaluate("e => e.scrollWidth <= e.clientWidth")
    row.hover()
    assert row.get_attribute("title").startswith("0.0.denseblock3.denselayer24\n_DenseLayer")
