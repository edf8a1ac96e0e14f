"""The Chromium of this machine, and how it is started: for the browser tests and the page's benchmark."""

from __future__ import annotations

import shutil

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
"""Path of the program; None where there is none."""


def launch(playwright):
    """A headless browser. Raises FileNotFoundError without Chromium."""
    if CHROMIUM is None:
        raise FileNotFoundError("needs Chromium")
    return playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
