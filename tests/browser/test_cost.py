"""The Cost tab and the costs laid over ribbon and tree, in a real Chromium: every figure against the records."""

from __future__ import annotations

import re

import pytest

from explorer import link
from explorer.trace.memory import growth, kept_per_layer, step_memory
from explorer.trace.tracer import trace
from explorer.views.cost import by_part, parts

pytestmark = pytest.mark.browser
LINK = "?weights=random&arch=resnet18&size=64"
STEP = link.decode(LINK)
SPEC, TRAIN = STEP.spec, STEP.train
FROZEN = 2  # groups: one-cycle freezes the body
TOTAL = "#cost .memory .line b"


def needed(batch=32, precision="float32", optimizer="adamw", train_bn=True):
    return step_memory(SPEC, batch, precision, optimizer, FROZEN, train_bn)


def opened(open_page, query=LINK, **options):
    page = open_page(query, **options)
    page.click("#tab-cost-button")
    page.wait_for_selector("#cost .memory .shown:visible")
    page.wait_for_selector("#cost .growth .shown:visible")
    page.wait_for_function("atRest()")
    return page


def says(page, selector: str, exact: int) -> None:
    """Until the first element of this selector has this number in its title."""
    page.wait_for_function(
        "([selector, exact]) => document.querySelector(selector)?.title.startsWith(exact)",
        arg=[selector, f"{exact:,}"],
    )


def wait_for(page, selector: str, words: str) -> None:
    page.wait_for_function(
        "([selector, words]) => document.querySelector(selector)?.innerText.includes(words)", arg=[selector, words]
    )


def shown(share: float) -> str:
    """A share as the ribbon writes it."""
    if share >= 0.0995:
        return f"{100 * share:.0f} %"
    return f"{100 * share:.1f} %" if share >= 0.001 else "< 0.1 %" if share else "0 %"


# ---- memory of a step ----


def test_the_tab_opens_with_the_memory_of_the_step_that_train_does(open_page):
    page, step = opened(open_page), needed()
    says(page, TOTAL, step.total)
    for part in ("weights", "gradients", "optimizer", "kept", "transient"):
        says(page, f"#cost .part.{part} dd", getattr(step, part))
    assert "at the peak, in the backward pass" in page.inner_text("#cost .memory .line")
    assert page.inner_text("#cost .memory .says") == "This is what Train does."


def test_batch_precision_and_optimiser_change_the_estimate(open_page):
    page = opened(open_page)
    page.click("#cost .amount button[aria-label='Twice the batch']")
    says(page, TOTAL, needed(64).total)
    page.click("#cost [aria-label=Precision] button:has-text('bf16')")
    says(page, TOTAL, needed(64, "bf16").total)
    page.click("#cost [aria-label=Optimiser] button:text-is('SGD')")
    says(page, TOTAL, needed(64, "bf16", "sgd").total)
    assert page.inner_text("#cost .part.optimizer dd") == "none"
    assert "Train uses float32, AdamW and a batch of 32." in page.inner_text("#cost .says")
    page.click("#cost .says button")
    says(page, TOTAL, needed().total)
    assert page.inner_text("#cost .says") == "This is what Train does."


def test_the_selectors_are_moved_by_key(open_page):
    page = opened(open_page)
    page.focus("#cost .amount input")
    page.keyboard.press("ArrowDown")
    says(page, TOTAL, needed(31).total)
    page.focus("#cost [aria-label=Precision] [aria-checked=true]")
    page.keyboard.press("ArrowRight")
    says(page, TOTAL, needed(31, "bf16").total)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.textContent") == "SGD"
    says(page, TOTAL, needed(31, "bf16", "sgd").total)


def test_a_batch_that_cannot_be_is_told_and_the_nearest_or_the_former_used(open_page):
    page = opened(open_page)
    for typed, used in (("many", "32 stays"), ("9999999", "4,096 is used"), ("-3", "1 is used")):
        page.fill("#cost .amount input", typed)
        page.keyboard.press("Tab")
        said = page.inner_text("#cost .memory > .problem")
        assert said == f"The batch size is a whole number from 1 to 4,096: {used}."
        assert page.input_value("#cost .amount input") == used.split()[0].replace(",", "")
    page.fill("#cost .amount input", "16")
    page.keyboard.press("Tab")
    assert page.is_hidden("#cost .memory > .problem")


def test_gradients_that_come_after_the_peak_are_told(open_page):
    page = opened(open_page, f"{LINK}&train_bn=false")
    assert needed(train_bn=False).gradients == 0
    figure, aside = page.inner_text("#cost .part.gradients").split("\n")[1:]
    assert (figure, aside) == ("none yet", "2.2\u202fMB when backward ends")


def test_the_cost_that_is_laid_over_is_marked_where_it_was_chosen(open_page):
    page = opened(open_page)
    for name in ("kept", "activations"):
        page.click(f"#cost .over button:text-is('{name}')")
        page.wait_for_selector(f"#cost .over button[aria-pressed=true]:text-is('{name}')")
        assert page.locator("#cost .over [aria-pressed=true]").count() == 1
    page.wait_for_selector("#numbers button[aria-pressed=true]:has-text('activations')")
    page.click("#cost .over [aria-pressed=true]")
    page.wait_for_selector("#cost .over [aria-pressed=true]", state="detached")


def test_what_is_kept_is_told_for_its_moment(open_page):
    page, step = opened(open_page, f"{LINK}&train_bn=false"), needed(train_bn=False)
    assert (step.moment, step.kept) == ("forward", 0)
    says(page, TOTAL, step.total)
    assert page.inner_text("#cost .part.kept").split("\n")[1:] == ["none yet", "607\u202fkB when it ends"]
    assert page.inner_text("#cost tfoot .kept") == "607\u202fkB"
    assert page.inner_text("#cost .growth figure:nth-child(4) b") == "607\u202fkB"


# ---- growth, shares ----


def test_the_size_slider_reads_the_growth_at_every_size(open_page):
    page = opened(open_page)
    rows = page.locator("#cost .wide tbody th").all_text_contents()
    sizes = [int(row.split()[0]) for row in rows]
    assert page.locator("#cost .growth polyline.curve").count() == 5
    assert page.get_attribute("#cost .ruler input", "aria-valuetext") == "64 pixels, the present size"
    page.focus("#cost .ruler input")
    for key, size in (("ArrowRight", sizes[1]), ("End", sizes[-1])):
        page.keyboard.press(key)
        (point,) = growth(SPEC, (size,), 32, "float32", "adamw", FROZEN, True)
        assert page.get_attribute("#cost .ruler input", "aria-valuetext") == f"{size} pixels"
        titles = page.eval_on_selector_all("#cost .growth figure b", "all => all.map(b => b.title)")
        wanted = (point.params, point.macs, point.activation_bytes, point.kept_bytes, point.step_bytes)
        assert titles == [f"{number:,}" for number in wanted]
    assert sizes[-1] == 512 and page.inner_text("#cost .growth figure:first-child .times") == "as now"


def test_shares_of_the_parts_add_up_with_the_loss(open_page):
    page, found = opened(open_page), parts(trace(SPEC))
    kept = by_part(found, kept_per_layer(SPEC, 32, "float32", FROZEN, True))
    cells = page.eval_on_selector_all("#cost tbody td.kept", "all => all.map(td => td.title)")
    assert [int(re.search(r"([\d,]+) bytes", cell)[1].replace(",", "")) for cell in cells] == kept
    ours = needed().kept_in_all - sum(kept)
    assert f"{ours / 1e3:.1f}\u202fkB of it by the loss" in page.inner_text("#cost .where .note")
    page.click("#cost .where th.params button")
    order = page.eval_on_selector_all("#cost .where tbody .name span", "all => all.map(span => span.textContent)")
    assert order == [part.name for part in sorted(found, key=lambda part: -part.params)]
    page.click("#cost .where tbody tr:has-text('layer3')")
    page.wait_for_selector("#ribbon .spot[aria-current=true]:has-text('layer3')", state="attached")


# ---- time ----


@pytest.mark.parametrize(
    ("choice", "words"), [("Forward", "forward,"), ("Forward + backward", "forward and backward,")]
)
def test_time_per_layer_is_measured_on_request(open_page, choice, words):
    page = opened(open_page)
    assert page.locator("#cost .slow li").count() == 0
    page.click(f"#cost [aria-label=Pass] button:text-is('{choice}')")
    page.click("#cost .time .btn:text-is('Measure')")
    page.wait_for_selector("#cost .slow li:nth-child(12)")
    said = page.inner_text("#cost .time .state")
    assert f"Measured here just now, {words}" in said and "The 12 slowest of" in said
    times = [float(text.split()[0]) for text in page.locator("#cost .slow .ms").all_inner_texts()]
    assert times == sorted(times, reverse=True) and times[-1] > 0
    total = float(page.inner_text("#cost .time .line b").split()[0])
    share = float(page.locator("#cost .slow .portion").first.inner_text().rstrip("\u202f%"))
    assert share == pytest.approx(100 * times[0] / total, abs=1.1)
    first = page.locator("#cost .slow button").first
    first.click()
    assert first.get_attribute("aria-pressed") == "true"
    page.click("#pool label:has-text('Max')")
    wait_for(page, "#cost .time .state", "Measured here before the model changed")


# ---- laid over ribbon and tree ----


@pytest.mark.parametrize(
    ("place", "column", "title"), [(1, "params", "params"), (2, "macs", "MACs"), (3, "activation_bytes", "activations")]
)
def test_a_pressed_number_lays_its_shares_over_ribbon_and_tree(open_page, place, column, title):
    page, found = open_page(LINK), parts(trace(SPEC))
    number = f"#numbers button:nth-child({place})"
    before = page.text_content("#ribbon svg")
    page.click(number)
    page.wait_for_selector(f"{number}[aria-pressed=true]")
    page.wait_for_selector("#ribbon svg .portion", state="attached")
    texts = page.eval_on_selector_all("#ribbon svg text", "all => all.map(text => text.textContent)")
    whole = sum(getattr(part, column) for part in found)
    for part in found[:-1]:
        at = next(k for k, text in enumerate(texts) if text.startswith(part.name))
        assert (part.name, texts[at + 1]) == (part.name, shown(getattr(part, column) / whole))
    wait_for(page, "#tree thead", title)
    page.wait_for_function("atRest()")
    bar = page.locator("#tree tbody tr", has=page.locator(".name:text-is('layer3')")).locator(".share")
    width = bar.evaluate("bar => parseFloat(bar.style.width)")
    layer3 = next(part for part in found if part.name == "layer3")
    assert width == pytest.approx(100 * getattr(layer3, column) / whole, abs=0.1)
    page.click(number)
    page.wait_for_selector("#ribbon svg .portion", state="detached")
    assert page.text_content("#ribbon svg") == before


def test_on_a_phone_nothing_is_wider_than_the_screen(open_page):
    page = opened(open_page, width=400, height=860, color_scheme="dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    right = "all => Math.max(...all.map(e => e.getBoundingClientRect().right))"
    assert page.eval_on_selector_all("#cost :not(.wide *)", right) <= 400
