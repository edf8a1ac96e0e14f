"""Small folders of pictures, made when a test needs them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
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


@pytest.fixture
def uploads_home(tmp_path: Path, monkeypatch) -> Path:
    """A home of its own, with room, where sets that are brought would lie."""
    monkeypatch.setenv("EXPLORER_HOME", str(tmp_path / "home"))
    for name in ("SPACE_ID", "EXPLORER_UPLOAD_MB", "EXPLORER_UPLOAD_HOURS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home" / "uploads"


@pytest.fixture
def png() -> Callable[..., bytes]:
    """png(i, size, format) -> the bytes of a small picture, another one for each i."""

    def write(i: int = 0, size=(20, 16), format="PNG", mode="RGB") -> bytes:
        noise = np.random.default_rng(i).integers(0, 256, (size[1], size[0], 3), np.uint8)
        out = io.BytesIO()
        Image.fromarray(noise).convert(mode).save(out, format)
        return out.getvalue()

    return write


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """pack({name: bytes}) -> a zip with these members."""

    def write(members: Mapping[str, bytes], method=zipfile.ZIP_DEFLATED) -> Path:
        archive = tmp_path / "brought.zip"
        with zipfile.ZipFile(archive, "w", method) as out:
            for name, content in members.items():
                out.writestr(name, content)
        return archive

    return write
