"""Fixtures that every part of the tests may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photographs and weights; a test that needs it is skipped where it is not there."""
    folder = Path(os.environ.get("EXPLORER_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "weights").is_dir():
        pytest.skip(f"needs real photographs and weights: no folder {folder.name}/weights (set EXPLORER_SHARED_DATA)")
    return folder


@pytest.fixture(scope="session")
def shared_weights(shared_data: Path) -> Path:
    """The folder of real ImageNet weights."""
    return shared_data / "weights"
