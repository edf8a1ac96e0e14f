"""A running app and a real Chromium; a test fails on any console error and any request to another host."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.chromium import CHROMIUM, launch

ROOT = Path(__file__).resolve().parents[2]
DISCARD = 9  # a port on which nobody answers
PATIENCE = 90_000  # milliseconds that a page may take for anything, on a machine whose cores are all busy
# atRest(): has nothing on the page changed for ten frames? The live run does not count: it changes all the time.
# An answer of the server changes the page in several steps; who saw the first of them waits for the others by this.
AT_REST = """(() => {
  let frames = 0;
  new MutationObserver(changes => {
    const run = document.getElementById('run');
    if (!changes.every(change => run?.contains(change.target))) frames = 0;
  }).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
  const count = () => { frames += 1; requestAnimationFrame(count); };
  count();
  window.atRest = () => frames > 10;
})();"""


@dataclass
class App:
    """A server of ours: where it listens, its process, its folder."""

    url: str
    process: subprocess.Popen
    home: Path
    log: Path


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start_app(home: Path, port: int, **environment: str) -> App:
    """Start app.py, without weights and without a way to fetch any, and wait until it serves its page."""
    home.mkdir(parents=True, exist_ok=True)
    log = home / "app.log"
    env = {
        **os.environ,
        "EXPLORER_HOME": str(home),
        "TORCH_HOME": str(home / "torch"),
        "GRADIO_SERVER_PORT": str(port),
        "GRADIO_IS_E2E_TEST": "1",
        "EXPLORER_WEIGHTS": "",
        "https_proxy": f"http://127.0.0.1:{DISCARD}",
        **environment,
    }
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "app.py")], cwd=ROOT, env=env, stdout=log.open("w"), stderr=subprocess.STDOUT
    )
    url = f"http://127.0.0.1:{port}/"
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"The app did not start:\n{log.read_text()[-4000:]}")
        try:
            urllib.request.urlopen(url, timeout=20).read()
            return App(url, process, home, log)
        except OSError:
            time.sleep(0.2)
    process.kill()
    raise RuntimeError(f"The app was not up after 180 s:\n{log.read_text()[-4000:]}")


def stop_app(app: App) -> None:
    app.process.terminate()
    try:
        app.process.wait(30)
    except subprocess.TimeoutExpired:
        app.process.kill()


@pytest.fixture(scope="session")
def app(tmp_path_factory) -> Iterator[App]:
    """One app for all tests that do not stop it."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    running = start_app(tmp_path_factory.mktemp("home"), free_port())
    yield running
    stop_app(running)


@pytest.fixture(scope="session")
def app_with_weights(shared_weights: Path, tmp_path_factory) -> Iterator[App]:
    """One app that has the real ImageNet weights of this machine."""
    running = start_app(tmp_path_factory.mktemp("weights"), free_port(), EXPLORER_WEIGHTS=str(shared_weights))
    yield running
    stop_app(running)


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        chromium = launch(playwright)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, app):
    """open_page(query="", width=1440, …) -> page; whatever it complains about fails the test at its end."""
    faults: list[str] = []
    contexts = []

    def open_(query: str = "", *, url: str | None = None, width: int = 1440, height: int = 1000, wait=True, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.add_init_script(AT_REST)
        page = context.new_page()
        watch(page, url or app.url, faults)
        page.goto((url or app.url) + query)
        if wait:
            page.wait_for_selector("html[data-opened] #tree tbody tr")
            page.wait_for_function("atRest()")
        return page

    open_.faults = faults
    yield open_
    for context in contexts:
        context.close()
    assert faults == []


def watch(page, url: str, faults: list[str]) -> None:
    """Collect console errors, exceptions and requests that leave this machine's app."""

    def on_request(request):
        if not request.url.startswith((url, "data:", "blob:")):
            faults.append(f"request to another host: {request.url[:120]}")

    page.on("request", on_request)
    page.on("pageerror", lambda error: faults.append(f"exception: {str(error)[:300]}"))
    page.on("console", lambda m: faults.append(f"console: {m.text[:300]}") if m.type == "error" else None)
