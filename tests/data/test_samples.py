"""The sample picture is what its program draws."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
from PIL import Image

SAMPLES = Path(__file__).resolve().parents[2] / "assets" / "samples"


def test_the_cat_is_small_and_drawn_by_its_program():
    cat = Image.open(SAMPLES / "cat.jpg")
    assert cat.size == (384, 384) and cat.mode == "RGB"
    assert (SAMPLES / "cat.jpg").stat().st_size <= 40_000
    drawn = runpy.run_path(str(SAMPLES / "make_cat.py"))["portrait"]()
    assert np.abs(np.subtract(cat, drawn, dtype=int)).mean() < 2
