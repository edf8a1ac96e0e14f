"""The page in a real Chromium: start to served page, and knob to pixels, beside a gr.Plot that redraws a bar chart."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chromium import launch

ROOT = Path(__file__).resolve().parents[1]
PEER = """
import gradio as gr, plotly.graph_objects as go
with gr.Blocks() as demo:
    size = gr.Slider(64, 384, 224, step=16, elem_id="size", interactive=True)
    plot = gr.Plot(elem_id="plot")
    size.input(lambda s: go.Figure(go.Bar(y=[s, 400, 300, 200, 100])), size, plot,
               queue=False, show_progress="hidden", trigger_mode="always_last")
demo.launch(quiet=True, ssr_mode=False)
"""
# Does `act(value)`, waits until `changed` differs, then for the frame in which it is seen; milliseconds of each move.
MOVE = """async ([values, changed, act]) => {
  const read = new Function('return ' + changed), move = new Function('value', act), out = [];
  for (const value of values) {
    const before = read(), start = performance.now();
    move(value);
    while (read() === before && performance.now() - start < 3000) await new Promise(r => setTimeout(r, 0));
    await new Promise(requestAnimationFrame);
    await new Promise(r => setTimeout(r, 0));
    out.push(performance.now() - start);
    await new Promise(r => setTimeout(r, 80));
  }
  return out;
}"""


SLIDE = """const input = document.querySelector('#{size} input[type=range]');
Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(input, value);
input.dispatchEvent(new Event('input', {{ bubbles: true }}));"""
SWITCH = """const skips = document.querySelectorAll('#unet-wiring [role=switch]');
skips[value % skips.length].dispatchEvent(new MouseEvent('click', { bubbles: true }));"""


def rows(quick: bool = False) -> list[tuple[str, float, str, float, str]]:
    """(what, ours, peer, peer's, limit): milliseconds, seconds for the start."""
    from playwright.sync_api import sync_playwright

    moves = [64 + 16 * ((7 * i) % 21) for i in range(21 if quick else 63)]
    with sync_playwright() as playwright:
        browser = launch(playwright)
        starts = [start_seconds() for _ in range(1 if quick else 3)]
        with served([sys.executable, "app.py"]) as url:
            ours, *heavy = (
                knob_times(browser, f"{url}?arch={arch}&weights=random", moves, PAINTED, ready=OPENED)
                for arch in ("resnet50", *HEAVY)
            )
            unet = f"{url}?family=unet&arch=resnet34&weights=random"
            sizes = knob_times(browser, unet, moves, WIRED, ready=UNET_OPENED, act=SLIDE.format(size="unet-size"))
            skips = knob_times(browser, unet, moves, WIRED, ready=UNET_OPENED, act=SWITCH)
        with served([sys.executable, "-c", PEER]) as url:
            peer = knob_times(browser, url, moves, PLOTTED, ready="#size input")
        browser.close()
    return [
        ("page: start to a served page, s", statistics.median(starts), "", 0, "<= 8 s"),
        (
            "page: knob to pixels, resnet50, p50 ms",
            quantile(ours, 0.5),
            "gr.Plot bars",
            quantile(peer, 0.5),
            "<= 60 ms",
        ),
        (
            "page: knob to pixels, resnet50, p95 ms",
            quantile(ours, 0.95),
            "gr.Plot bars",
            quantile(peer, 0.95),
            "<= 100 ms",
        ),
        *(
            (f"page: knob to pixels, {arch}, p95 ms", quantile(times, 0.95), "", 0, "<= 150 ms")
            for arch, times in zip(HEAVY, heavy, strict=True)
        ),
        ("page: image size to wiring, resnet34 U-Net, p95 ms", quantile(sizes, 0.95), "", 0, "<= 100 ms"),
        ("page: a skip's switch to wiring, resnet34 U-Net, p95 ms", quantile(skips, 0.95), "", 0, "<= 100 ms"),
    ]


HEAVY = ("regnet_y_128gf", "densenet201", "efficientnet_b7")  # most weights, most layers in a row, most layers
OPENED = "html[data-opened] #tree tbody tr"
PAINTED = "document.querySelector('#ribbon [data-painted], #ribbon[data-painted]')?.dataset.painted"
UNET_OPENED = "html[data-opened] #unet-wiring [role=switch]"
WIRED = "document.querySelector('#unet-wiring [data-painted], #unet-wiring[data-painted]')?.dataset.painted"
PLOTTED = "document.querySelector('#plot .js-plotly-plot .points path')?.getAttribute('d')"


def knob_times(
    browser, url: str, moves: list[int], changed: str, *, ready: str, act: str = SLIDE.format(size="size")
) -> list[float]:
    """Milliseconds from `act`, a move of the size slider by default, to the frame that shows its effect, after one warm
    round."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(url)
    page.wait_for_selector(ready)
    page.wait_for_timeout(3000)
    page.evaluate(MOVE, [moves[:21], changed, act])
    times = page.evaluate(MOVE, [moves, changed, act])
    page.close()
    return times


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def start_seconds() -> float:
    """From `python app.py` to an answered request."""
    start = time.perf_counter()
    with served([sys.executable, "app.py"]):
        return time.perf_counter() - start


@contextmanager
def served(command: list[str]) -> Iterator[str]:
    """A server on a free port, stopped at the end."""
    with tempfile.TemporaryDirectory() as home, started(command, home) as (url, _):
        yield url


@contextmanager
def started(command: list[str], home: str) -> Iterator[tuple[str, int]]:
    """The address and the process of a server that keeps its things in that folder, stopped at the end."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    environment = {**os.environ, "EXPLORER_HOME": home, "GRADIO_SERVER_PORT": str(port)}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/"
    try:
        wait_for(url, process)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(10)


def wait_for(url: str, process: subprocess.Popen, seconds: float = 60) -> None:
    deadline = time.time() + seconds
    while time.time() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).read()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"Nothing was served at {url} within {seconds:.0f} s.")
