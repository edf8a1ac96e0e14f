"""A run in a real Chromium: train, watch, stop, reload and re-attach, a second tab, a killed worker."""

from __future__ import annotations

import os
import signal
import sqlite3
import time

import pytest

pytestmark = pytest.mark.browser
STEPS_PER_EPOCH = 6  # 400 pictures in batches of 64
TINY = "?arch=squeezenet1_1&weights=random&size=32&epochs=2&batch_size=64"
# So long that it has not ended when a slow page comes to it, but with fewer points than a chart thins out.
LONG = "?arch=squeezenet1_1&weights=random&size=96&epochs=80&batch_size=64"


def wait_for(page, words: str) -> None:
    page.wait_for_function("words => document.querySelector('#run')?.innerText.includes(words)", arg=words)


def wait_for_epoch(page, epoch: int) -> None:
    """Until the run is in this epoch or a later one."""
    page.wait_for_function(
        "n => Number(document.querySelector('#run')?.innerText.match(/Epoch (\\d+) of/)?.[1]) >= n", arg=epoch
    )


def drawn_steps(page, epochs: int) -> list[int]:
    """Which steps the chart's line of the training loss has, once it shows this many epochs."""
    line = page.wait_for_function(
        """epochs => {
          const x = document.querySelector('#run .js-plotly-plot')?.data?.find(line => line.name === 'train')?.x;
          return x?.at(-1) >= epochs && x;
        }""",
        arg=epochs,
    )
    return [round(x * STEPS_PER_EPOCH) for x in line.json_value()]


def start(page) -> str:
    page.click("#go")
    page.wait_for_function("location.hash.includes('run=')")
    return page.evaluate("location.hash")


def test_a_run_is_trained_and_watched_to_its_end(open_page):
    page = open_page(TINY)
    start(page)
    wait_for(page, "after 2 epochs")
    wait_for(page, "after epoch 2")
    page.wait_for_selector("#go:not([disabled])")
    assert drawn_steps(page, 2) == list(range(1, 2 * STEPS_PER_EPOCH + 1))
    page.wait_for_function("document.querySelectorAll('#run .guesses .im img').length === 24")
    page.wait_for_selector("#run .confusion :is(table, [role=table])")
    page.click("#inner button[role=tab]:has-text('Activations')")
    assert looked_at(page) == ("after epoch 2 of 2", "2")
    page.reload()
    page.wait_for_selector("html[data-opened] #tree tbody tr", state="attached")
    page.click("#inner button[role=tab]:has-text('Activations')")
    assert looked_at(page) == ("after epoch 2 of 2", "2")


def looked_at(page) -> tuple[str, str]:
    """What the epochs of the run's activations say, and the slider's end, once the run's last is there."""
    page.wait_for_function("document.querySelector('.during output')?.innerText.includes('of 2')")
    page.wait_for_function("document.querySelectorAll('.during .network svg').length === 1")
    return page.inner_text(".during output"), page.get_attribute(".during input", "max")


def test_a_reload_finds_the_run_again_and_loses_no_point(open_page):
    page = open_page(LONG)
    start(page)
    wait_for_epoch(page, 2)
    page.reload()
    page.wait_for_selector("#halt:not([disabled])")
    wait_for_epoch(page, 3)
    steps = drawn_steps(page, 2)
    assert steps == list(range(1, len(steps) + 1))
    page.click("#halt")
    wait_for(page, "Stopped")


def test_stop_answers_long_before_the_end_and_keeps_the_last_epoch(open_page):
    page = open_page(LONG)
    start(page)
    page.wait_for_selector("#go[disabled]")
    wait_for_epoch(page, 2)
    begin = time.monotonic()
    page.click("#halt")
    wait_for(page, "Stopped after epoch")
    assert time.monotonic() - begin < 20
    page.wait_for_selector("#go:not([disabled])")


def test_a_second_tab_watches_the_same_run(open_page):
    page = open_page(LONG)
    run = start(page)
    other = open_page(LONG + run)
    wait_for_epoch(page, 2)
    wait_for(other, "of 80")
    page.click("#halt")
    wait_for(other, "Stopped")


def test_two_clicks_on_train_start_one_run(open_page, app):
    page = open_page(LONG)
    before = runs_in(app)
    page.dblclick("#go")
    wait_for_epoch(page, 1)
    page.click("#halt")
    wait_for(page, "Stopped")
    assert runs_in(app) == before + 1


def test_a_cut_that_leaves_next_to_nothing_is_trained_only_after_a_yes(open_page, app):
    page = open_page("?arch=resnet18&cut=layer1.0&weights=random&size=32&epochs=80&batch_size=64")
    before = runs_in(app)
    page.focus("#go")
    page.keyboard.press("Enter")
    page.wait_for_selector("#question p:has-text('layer1.0 keeps 0.71 % of resnet18')")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.wait_for_selector("#question section", state="hidden")
    assert page.evaluate("document.activeElement.id") == "go" and runs_in(app) == before
    page.keyboard.press("Enter")
    page.wait_for_selector("#question .btn")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.click("#halt")
    page.wait_for_selector("#go:not([disabled])")
    page.click("#go")
    page.click("#halt")
    page.wait_for_selector("#go:not([disabled])")
    assert runs_in(app) == before + 2 and page.is_hidden("#question section")


def test_who_is_asked_can_cut_later_instead(open_page, app):
    page = open_page("?arch=resnet18&cut=layer1.0&weights=random&size=32&epochs=3")
    before = runs_in(app)
    page.click("#go")
    page.click("#question .btn:has-text('Cut after layer1')")
    page.wait_for_selector("#question section", state="hidden")
    page.wait_for_selector("#cut .step:has-text('layer1')")
    assert page.input_value("#epochs :is(input, textarea)") == "3" and runs_in(app) == before


def test_a_killed_worker_ends_as_failed_with_the_reason_and_the_app_lives(open_page, app):
    page = open_page(LONG)
    run = start(page).split("run=")[1].split("&")[0]
    wait_for_epoch(page, 1)
    with sqlite3.connect(app.home / "runs.sqlite") as db:
        (pid,) = db.execute("SELECT pid FROM runs WHERE id = ?", (run,)).fetchone()
    os.kill(pid, signal.SIGKILL)
    wait_for(page, "killed")
    page.wait_for_selector("#go:not([disabled])")
    page.reload()
    wait_for(page, "killed")


def test_a_broken_folder_says_so_and_starts_nothing(open_page, app, tmp_path):
    page = open_page(TINY)
    before = runs_in(app)
    page.click("#data input")
    page.click(".options .item:has-text('A folder of yours')")
    page.wait_for_selector("#path input, #path textarea")
    page.fill("#path input, #path textarea", str(tmp_path / "nowhere"))
    page.press("#path input, #path textarea", "Tab")
    page.wait_for_selector(".problem:visible:has-text('nowhere')")
    with page.expect_response(lambda answer: "/run/predict" in answer.url):
        page.click("#go")
    page.wait_for_function("atRest()")
    page.wait_for_selector(".problem:visible:has-text('nowhere')")
    assert runs_in(app) == before


def runs_in(app) -> int:
    with sqlite3.connect(app.home / "runs.sqlite") as db:
        return db.execute("SELECT count(*) FROM runs").fetchone()[0]
