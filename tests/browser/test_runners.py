"""A run of the page where something else than a process of the app trains it: a lent GPU (a stand-in), a Ray."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from explorer.jobs.store import Store
from tests.browser.conftest import free_port, start_app, stop_app

pytestmark = pytest.mark.browser
STAND_IN = Path(__file__).resolve().parents[1] / "jobs" / "stand_in"
TINY = "?arch=squeezenet1_1&weights=random&size=32&epochs=2&batch_size=64"
HOSTS = {
    "zero": {"SPACES_ZERO_GPU": "true", "PYTHONPATH": str(STAND_IN)},
    "ray": {"EXPLORER_RUNNER": "ray", "RAY_ADDRESS": "", "CUDA_VISIBLE_DEVICES": ""},
}


@pytest.mark.parametrize("host", HOSTS)
def test_a_click_trains_a_run_to_its_end(host, open_page, tmp_path):
    if host == "ray" and importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    app = start_app(tmp_path, free_port(), **HOSTS[host])
    try:
        page = open_page(TINY, url=app.url)
        page.click("#go")
        page.wait_for_function("document.querySelector('#run')?.innerText.includes('after 2 epochs')")
        page.wait_for_selector("#go:not([disabled])")
        page.close()
    finally:
        stop_app(app)
    store = Store.at_home(tmp_path)
    (run,) = store.runs()
    store.close()
    assert (run.state, run.pid) == ("finished", None), "a local run has a process of this machine"
    assert "Traceback" not in app.log.read_text()
