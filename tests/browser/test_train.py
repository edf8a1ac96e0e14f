"""A run in a real Chromium: train, watch, stop, reload and re-attach, a second tab, a killed worker."""

from __future__ import annotations

import os
import signal
import sqlite3
import time

import pytest

pytestmark = pytest.mark.browser
TINY = "?arch=squeezenet1_1&weights=random&size=32&epochs=2&batch_size=64"
LONG = "?arch=squeezenet1_1&weights=random&size=32&epochs=60&batch_size=16"


def said(page) -> str:
    return page.inner_text("#run")


def wait_for(page, words: str, seconds: float = 45) -> None:
    page.wait_for_function(
        "words => document.querySelector('#run')?.innerText.includes(words)", arg=words, timeout=1000 * seconds
    )


def wait_for_epoch(page, epoch: int, seconds: float = 60) -> None:
    """Until the run is in this epoch or a later one."""
    page.wait_for_function(
        "n => Number(document.querySelector('#run')?.innerText.match(/Epoch (\\d+) of/)?.[1]) >= n",
        arg=epoch,
        timeout=1000 * seconds,
    )


def start(page) -> str:
    page.click("#go")
    page.wait_for_function("location.hash.includes('run=')")
    return page.evaluate("location.hash")


def test_a_run_is_trained_and_watched_to_its_end(open_page):
    page = open_page(TINY)
    start(page)
    assert page.is_disabled("#go")
    wait_for(page, "Epoch")
    wait_for(page, "after epoch 2")
    page.wait_for_selector("#go:not([disabled])", timeout=30_000)
    assert page.locator("#run .js-plotly-plot").count() >= 1
    assert page.locator("#run .guesses .im img").count() == 24
    page.wait_for_selector("#run .confusion :is(table, [role=table])")


def test_a_reload_finds_the_run_again_and_loses_no_point(open_page):
    page = open_page(LONG)
    start(page)
    wait_for_epoch(page, 2)
    page.reload()
    page.wait_for_selector("#halt:not([disabled])")
    wait_for_epoch(page, 3)
    points = page.evaluate("document.querySelector('#run .js-plotly-plot').data.find(t => t.name === 'train').x")
    steps = [round(x * 25) for x in points]
    assert steps == list(range(1, len(steps) + 1))
    page.click("#halt")
    wait_for(page, "Stopped")


def test_stop_answers_within_a_second_or_so_and_keeps_the_last_epoch(open_page):
    page = open_page(LONG)
    start(page)
    wait_for_epoch(page, 2)
    begin = time.perf_counter()
    page.click("#halt")
    wait_for(page, "Stopped")
    assert time.perf_counter() - begin < 3
    assert "after epoch" in said(page)
    page.wait_for_selector("#go:not([disabled])")


def test_a_second_tab_watches_the_same_run(open_page):
    page = open_page(LONG)
    run = start(page)
    other = open_page(LONG + run)
    wait_for_epoch(page, 2)
    wait_for(other, "of 60")
    page.click("#halt")
    wait_for(other, "Stopped")


def test_two_clicks_on_train_start_one_run(open_page, app):
    page = open_page(LONG)
    before = runs_in(app)
    page.dblclick("#go")
    wait_for_epoch(page, 1)
    assert runs_in(app) == before + 1
    page.click("#halt")
    wait_for(page, "Stopped")


def test_a_killed_worker_ends_as_failed_with_the_reason_and_the_app_lives(open_page, app):
    page = open_page(LONG)
    run = start(page).split("run=")[1].split("&")[0]
    wait_for_epoch(page, 1)
    with sqlite3.connect(app.home / "runs.sqlite") as db:
        (pid,) = db.execute("SELECT pid FROM runs WHERE id = ?", (run,)).fetchone()
    os.kill(pid, signal.SIGKILL)
    wait_for(page, "killed", 15)
    page.wait_for_selector("#go:not([disabled])")
    page.reload()
    wait_for(page, "killed", 15)


def test_a_broken_folder_says_so_and_starts_nothing(open_page, app, tmp_path):
    page = open_page(TINY)
    before = runs_in(app)
    page.click("#data input")
    page.click(".options .item:has-text('A folder of yours')")
    page.wait_for_selector("#path input, #path textarea")
    page.fill("#path input, #path textarea", str(tmp_path / "nowhere"))
    page.click("#go")
    page.wait_for_selector("#path .problem, .problem:visible")
    assert "nowhere" in page.inner_text(".problem:visible")
    assert runs_in(app) == before


def runs_in(app) -> int:
    with sqlite3.connect(app.home / "runs.sqlite") as db:
        return db.execute("SELECT count(*) FROM runs").fetchone()[0]
