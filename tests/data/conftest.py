"""Small folders of pictures, made when a test needs them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def picture() -> Callable[..., Path]:
    """picture(path, colour, size) writes a plain picture, and the folders it lies in."""

    def write(path: Path, colour="teal", size=(24, 20), mode="RGB", **options) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, colour).save(path, **options)
        return path

    return write


@pytest.fixture
def class_folders(tmp_path: Path, picture) -> Path:
    """A folder with ten red squares and twenty blue ones in their class folders."""
    for name, colour, n in (("blue", (20, 40, 200), 20), ("red", (200, 40, 20), 10)):
        for i in range(n):
            picture(tmp_path / "colours" / name / f"{i:02}.png", colour)
    return tmp_path / "colours"
