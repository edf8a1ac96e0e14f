"""The Runs page in a real Chromium: runs of this browser and of nobody else, compared, changed, taken away."""

from __future__ import annotations

import csv
import io
import json

import pytest

pytestmark = pytest.mark.browser
SIZE = "?arch=squeezenet1_1&weights=random&size=32&batch_size=64"
ROW = ".runs tbody tr[data-run]"


def train(page, query: str, url: str) -> str:
    """Press Train on a page of its own address; the run's id."""
    page.goto(url + query)
    page.wait_for_selector("html[data-opened] #tree tbody tr")
    page.wait_for_function("atRest()")
    page.click("#go")
    page.wait_for_function("location.hash.includes('run=')")
    return page.evaluate("new URLSearchParams(location.hash.slice(1)).get('run')")


def to_runs(page) -> None:
    page.click("#pages > .tab-wrapper button:has-text('Runs')")


def wait_for_states(page, *states: str) -> None:
    """Until the rows of the table, from the top, are in these states."""
    page.wait_for_function(
        "states => JSON.stringify([...document.querySelectorAll('.runs tbody tr[data-run]')]"
        ".map(row => [...row.classList].at(-1))) === JSON.stringify(states)",
        arg=list(states),
    )


def said(page, words: str) -> None:
    page.wait_for_function("words => document.querySelector('.runs .toast')?.innerText.includes(words)", arg=words)


@pytest.fixture(scope="module")
def kept(browser, app):
    """The storage of a browser that has trained three runs, two poolings and two seeds."""
    context = browser.new_context()
    context.set_default_timeout(90_000)
    page = context.new_page()
    page.add_init_script("window.atRest = () => true")
    for more in ("&epochs=2", "&epochs=2&pool=max", "&epochs=2&seed=1"):
        train(page, SIZE + more, app.url)
        page.wait_for_function("document.querySelector('#run')?.innerText.includes('after 2 epochs')")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def open_runs(open_page, kept):
    """open_runs(**options) -> the Runs page of that browser."""

    def open_(**options):
        page = open_page("?open=runs", storage_state=kept, wait=False, **options)
        page.wait_for_selector(ROW)
        return page

    return open_


def test_a_browser_sees_its_own_runs_and_no_others(open_page, open_runs):
    page = open_runs()
    assert page.locator(ROW).count() == 3
    assert "3 runs of yours" in page.inner_text(".runs .count")
    stranger = open_page("?open=runs", wait=False)
    stranger.wait_for_selector(".runs .none h2")
    assert stranger.inner_text(".runs .none h2") == "No run yet" and stranger.locator(ROW).count() == 0


def test_groups_have_mean_and_spread_and_picked_runs_their_differences(open_runs):
    page = open_runs()
    page.select_option(".runs select", "pool")
    page.wait_for_selector(".runs tr.gh")
    assert [text.split("\n")[0] for text in page.locator(".runs tr.gh td:first-child b").all_inner_texts()] != []
    group = page.locator(".runs tr.gh", has_text="concat")
    assert "2 seeds" in group.inner_text() and "±" in group.inner_text()
    assert group.locator("svg circle").count() == 2
    for place in range(3):
        page.locator(f"{ROW} .pk").nth(place).click()
    page.wait_for_function("document.querySelectorAll('.runs .cmp .hand').length === 3")
    table = page.inner_text(".runs .df")
    assert "Pooling" in table and "Seed" in table and "Best accuracy" in table
    assert "other knobs are the same" in page.inner_text(".runs .compared")
    page.click(".runs .choice button:has-text('accuracy')")
    page.wait_for_function("document.querySelector('.runs .cmp svg').getAttribute('aria-label').startsWith('accuracy')")


def test_a_run_is_renamed_noted_pinned_deleted_and_brought_back(open_runs):
    page = open_runs()
    page.locator(f"{ROW} .stt").nth(2).click()
    page.wait_for_selector(".runs .detail dl")
    assert "torch" in page.inner_text(".runs .detail")
    page.click(".runs .detail button:has-text('Rename')")
    page.fill(".runs .rename", "the <b>first</b> one")
    page.keyboard.press("Enter")
    page.wait_for_selector(".runs .stt b:has-text('the <b>first</b> one')")
    page.fill(".runs .detail textarea", "for the talk")
    page.click(".runs h1")
    page.wait_for_selector(".runs .stt .note:has-text('for the talk')")
    page.locator(f"{ROW} .kb button[aria-label^='Pin the']").click()
    page.wait_for_function("document.querySelector('.runs tbody tr .stt b').textContent.startsWith('the <b>')")
    page.locator(f"{ROW} .pk").nth(0).click()
    page.click(".runs .tool button:has-text('Delete')")
    page.wait_for_function("document.querySelectorAll('.runs tbody tr[data-run]').length === 2")
    said(page, "Deleted one run")
    page.click(".runs .toast button:has-text('Undo')")
    page.wait_for_function("document.querySelectorAll('.runs tbody tr[data-run]').length === 3")
    page.fill(".runs .search", "talk")
    page.wait_for_function("document.querySelectorAll('.runs tbody tr[data-run]').length === 1")


def test_runs_are_taken_away_as_a_table_and_as_records(open_runs):
    page = open_runs()
    with page.expect_download() as got:
        page.click(".runs .tool button:has-text('CSV')")
    lines = list(csv.DictReader(io.StringIO(got.value.path().read_text())))
    assert len(lines) == 3 and {line["pool"] for line in lines} == {"concat", "max"}
    with page.expect_download() as got:
        page.click(".runs .tool button:has-text('JSON')")
    records = json.loads(got.value.path().read_text())
    assert all(len(record["epochs"]) == 2 and record["versions"]["torch"] for record in records)


def test_the_key_opens_the_runs_in_another_browser(open_page, open_runs):
    key = open_runs().evaluate("Explorer.secret.read()")
    page = open_page("?open=runs", wait=False)
    page.wait_for_selector(".runs .none h2")
    page.click(".runs .fold-own summary")
    page.fill(".runs .key input[type=password] >> xpath=../following-sibling::div/input", key)
    page.click(".runs .key button:has-text('Use')")
    page.wait_for_selector(ROW)
    assert page.locator(ROW).count() == 3


def test_a_run_rests_while_another_trains_and_goes_on_to_its_end(open_page, app):
    page = open_page(SIZE + "&size=64&epochs=12")
    page.click("#go")
    page.wait_for_selector("#run .rest:not([hidden])")
    page.click("#run .rest")
    page.wait_for_function("document.querySelector('#run').innerText.includes('Rests after epoch')")
    page.wait_for_selector("#go:not([disabled])")
    to_runs(page)
    wait_for_states(page, "paused")
    row = page.locator(ROW).first
    assert "rests after" in row.inner_text()
    row.locator("button[aria-label^='Run again']").click()
    wait_for_states(page, "running", "paused")
    page.locator(ROW).nth(1).locator("button[aria-label^='Go on']").click()
    wait_for_states(page, "running", "queued")
    assert "1st in line" in page.locator(ROW).nth(1).inner_text()
    assert page.locator(".runs .qu b").count() == 2
    page.locator(ROW).nth(0).locator("button[aria-label^='Stop']").click()
    wait_for_states(page, "stopped", "running")
    wait_for_states(page, "stopped", "finished")
    page.locator(ROW).nth(1).locator("button[aria-label^='Continue']").click()
    page.wait_for_function("document.querySelectorAll('.runs tbody tr[data-run]').length === 3")
    page.locator(ROW).nth(0).locator("button[aria-label^='Stop']").click()
    wait_for_states(page, "stopped", "stopped", "finished")
    page.click("#pages > .tab-wrapper button:has-text('Classifier')")
    page.wait_for_function("document.querySelector('#run').innerText.includes('after 12 epochs')")


def test_a_second_run_is_queued_from_the_page_behind_the_first(open_page):
    page = open_page(SIZE + "&size=96&epochs=60")
    page.click("#go")
    page.wait_for_selector("#run .another:not([hidden])")
    first = page.evaluate("location.hash")
    page.click("#run .another")
    page.wait_for_function("first => location.hash !== first", arg=first)
    page.wait_for_function("document.querySelector('#run').innerText.includes('1st in line')")
    to_runs(page)
    wait_for_states(page, "queued", "running")
    for row in (0, 1):
        page.locator(ROW).nth(row).locator("button[aria-label^='Stop']").click()
    wait_for_states(page, "stopped", "stopped")


@pytest.mark.parametrize("width", [400, 1440])
def test_the_page_does_not_scroll_sideways_and_keys_reach_everything(width, open_runs):
    page = open_runs(width=width)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator(f"{ROW} .pk").first.focus()
    page.keyboard.press("Space")
    page.wait_for_selector(f"{ROW} .pk[aria-checked=true]")
    assert page.evaluate("document.activeElement.className") == "pk"
    assert page.locator("#right .burger").is_hidden()
