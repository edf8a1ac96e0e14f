"""Style pictures: six drawn by this project, and a picture of one's own.

    style_picture(name_or_path, side) -> uint8 (3, side, side)
    style_note(name_or_path)          -> what was done to the picture, "" where nothing was

Each drawn one differs from the others in what a style is made of: colours, and strokes of a size and a direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from explorer.data.dataset import DataError
from explorer.data.drawn import Colour, between, grained, mix, new_dice
from explorer.data.pictures import FORMATS, SUFFIXES, fault, read_picture

MASTER = 512
"""Side at which a style is drawn before it is resized."""
MAX_SIDE = 2048
MARGIN = 2
"""Cells around a cell of the mosaic in which the nearest seeds can lie."""

BLUES = ((24, 48, 92), (44, 92, 148), (96, 152, 190), (186, 214, 220), (240, 236, 220))
GLASS = ((196, 62, 52), (232, 168, 56), (38, 96, 134), (70, 140, 110), (238, 226, 196), (120, 70, 120))
FIELD = ((212, 160, 60), (240, 206, 110), (180, 110, 46), (110, 130, 60), (70, 100, 120))
PRINT = ((30, 60, 110), (220, 60, 70), (250, 200, 60))
PAPER, INK = (244, 238, 226), (36, 34, 40)
THREADS = ((150, 40, 50), (226, 190, 140), (40, 70, 90), (90, 120, 90))


def style_picture(name: str, side: int) -> Tensor:
    """A style as uint8 (3, side, side): a name of STYLES, or the path of a picture, whose middle square is taken.

    What is transparent becomes white (`style_note` says so). Which files may be opened is asked where a path comes in
    (`ui.unet_read`). Raises DataError, one sentence.
    """
    if isinstance(side, bool) or not isinstance(side, int) or not 1 <= side <= MAX_SIDE:
        raise DataError(
            f"A style picture is 1 to {MAX_SIDE} pixels high and wide, not {side!r}: change the image size."
        )
    if name in STYLES:
        drawn = draw_style(name).resize((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
        return torch.from_numpy(np.array(drawn).transpose(2, 0, 1).copy())
    return torch.from_numpy(read_picture(_open(name), side, 3))


def style_note(name: str) -> str:
    """What `style_picture` does to a picture of one's own that one may not expect, "" for nothing."""
    if name in STYLES:
        return ""
    file = _open(name)
    with Image.open(file, formats=FORMATS) as image:
        clear = image.has_transparency_data and np.asarray(image.convert("RGBA").getchannel("A")).min() < 255
    return f"The style picture “{file.name}” is transparent in places: they count as white." if clear else ""


def _open(name: str) -> Path:
    """The file of that path, if it is a picture."""
    choices = f"choose {', '.join(STYLES)}, or a picture of your own"
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"The style has no name: {choices}.")
    try:
        file = Path(name.strip()).expanduser().resolve()
        if not file.exists():
            raise DataError(f"There is no style “{name[:80]}”: {choices}.")
        if not file.is_file():
            raise DataError(f"“{name[:200]}” is a folder: name one picture in it.")
        wrong = fault(file)
    except DataError:
        raise
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"The style “{name[:80]}” cannot be opened: {choices}.") from error
    if wrong or file.suffix.lower() not in SUFFIXES:
        raise DataError(f"The style picture “{file.name}” cannot be used ({wrong or 'not a picture'}): {choices}.")
    return file


# ---- what is drawn


def draw_style(name: str) -> Image.Image:
    """A style of STYLES as it is drawn, RGB, MASTER pixels high and wide; always the same."""
    return STYLES[name]()


def _waves() -> Image.Image:
    """Bands that swell in three directions at once, in blues, with light crests."""
    y, x = np.mgrid[0:MASTER, 0:MASTER] / MASTER
    bend = 0.05 * np.sin(math.tau * (1.3 * x + 0.2 * y)) + 0.03 * np.sin(math.tau * (3.1 * x - 1.7 * y))
    height = (9 * (y + bend) + 1.2 * np.sin(math.tau * (0.7 * x + 0.9 * y))) % 1
    steps = np.array([*BLUES, (250, 248, 240)], np.float64)
    place = height**0.8 * (len(steps) - 1)
    low = np.floor(place).astype(int).clip(0, len(steps) - 2)
    share = ((place - low) ** 3)[..., None]
    colours = steps[low] * (1 - share) + steps[low + 1] * share
    return grained(Image.fromarray(colours.round().clip(0, 255).astype(np.uint8)), 24, 1)


def _mosaic() -> Image.Image:
    """Tiles of coloured glass around seeds, with dark joints."""
    dice = new_dice("mosaic")
    side, cells = MASTER, 16
    step = side / cells
    rows = cells + 2 * MARGIN
    spots = [(between(dice, 0.1, 0.9), between(dice, 0.1, 0.9)) for _ in range(rows * rows)]
    tones = np.array([_shaded(GLASS[int(dice.random() * len(GLASS))], dice, 0.3) for _ in spots])
    place = np.array(spots)
    y, x = (np.mgrid[0:side, 0:side] + 0.5) / step + MARGIN
    nearest, second = np.full((side, side), np.inf), np.full((side, side), np.inf)
    owner = np.zeros((side, side), int)
    for down in range(-MARGIN, MARGIN + 1):
        for across in range(-MARGIN, MARGIN + 1):
            row, column = y.astype(int) + down, x.astype(int) + across
            number = row * rows + column
            distance = step * np.hypot(x - column - place[number, 0], y - row - place[number, 1])
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, distance))
            nearest = np.where(closer, distance, nearest)
            owner = np.where(closer, number, owner)
    joint = ((second - nearest) / 4).clip(0, 1)[..., None]
    return Image.fromarray((tones[owner] * joint + np.array(INK) * (1 - joint)).round().astype(np.uint8))


def _strokes() -> Image.Image:
    """Short thick strokes of a brush that follow a swirling field, over one another."""
    dice = new_dice("strokes")
    canvas = Image.new("RGB", (MASTER, MASTER), FIELD[0])
    draw = ImageDraw.Draw(canvas)
    for _ in range(5_000):
        x, y = between(dice, 0, MASTER), between(dice, 0, MASTER)
        angle = 2.2 * math.sin(math.tau * x / MASTER * 1.1) + 1.8 * math.cos(math.tau * y / MASTER * 1.4)
        tone = FIELD[int(between(dice, 0, 2.4) + 2.6 * y / MASTER)]
        length, width = between(dice, 10, 26), round(between(dice, 3, 7))
        dx, dy = math.cos(angle) * length / 2, math.sin(angle) * length / 2
        draw.line((x - dx, y - dy, x + dx, y + dy), fill=_shaded(tone, dice, 0.35), width=width)
    return canvas.filter(ImageFilter.SMOOTH)


def _dots() -> Image.Image:
    """A print: three screens of dots at three angles, whose size swells and shrinks."""
    y, x = np.mgrid[0:MASTER, 0:MASTER].astype(np.float64)
    page = np.ones((MASTER, MASTER, 3)) * np.array(PAPER) / 255
    for number, colour in enumerate(PRINT):
        turn = math.radians(15 + 30 * number)
        u, v = (x * math.cos(turn) + y * math.sin(turn)) / 13, (y * math.cos(turn) - x * math.sin(turn)) / 13
        far = np.hypot(u % 1 - 0.5, v % 1 - 0.5)
        swell = 0.3 + 0.17 * np.sin(math.tau * (x / MASTER * (1 + number) + y / MASTER * (2 - number) + number / 3))
        cover = ((swell - far) * 13).clip(0, 1)[..., None]
        page *= 1 - cover * (1 - np.array(colour) / 255)
    return Image.fromarray((page * 255).round().astype(np.uint8))


def _ink() -> Image.Image:
    """Hatching with a pen: two layers of wavering lines, thicker where it is dark."""
    dice = new_dice("ink")
    canvas = Image.new("RGB", (MASTER, MASTER), PAPER)
    draw = ImageDraw.Draw(canvas)
    for angle, tone in ((0.7, INK), (-0.8, mix(INK, PAPER, 0.25))):
        cos, sin = math.cos(angle), math.sin(angle)
        for line in range(-380, 380, 7):
            phase, waver = between(dice, 0, math.tau), between(dice, 1, 3)
            points = []
            for along in range(-380, 381, 10):
                off = line + waver * math.sin(along / 40 + phase)
                points.append((MASTER / 2 + along * cos - off * sin, MASTER / 2 + along * sin + off * cos))
            for a, b in zip(points, points[1:], strict=False):
                dark = 0.5 + 0.5 * math.sin(a[0] / 70 + (2 if angle > 0 else 0)) * math.cos(a[1] / 90)
                if dark > 0.2:
                    draw.line((*a, *b), fill=tone, width=1 + round(3 * dark))
    return canvas.filter(ImageFilter.SMOOTH)


def _weave() -> Image.Image:
    """Cloth: warp over weft and under it, in stripes of four colours."""
    y, x = np.mgrid[0:MASTER, 0:MASTER]
    thread = 8
    across, down = x // thread, y // thread
    over = (across + down) % 4 < 2
    tones = np.array(THREADS, np.float64)
    plan = np.array([0, 0, 0, 1, 2, 2, 1, 3, 3, 3, 1, 1])
    colours = np.where(over[..., None], tones[plan[across % 12]], tones[plan[down % 12]])
    bow = np.where(over, x % thread, y % thread) / (thread - 1) * 2 - 1
    lit = (1.08 - 0.5 * bow**2)[..., None]
    return grained(Image.fromarray((colours * lit).clip(0, 255).round().astype(np.uint8)), 20, 2)


def _shaded(colour: Colour, dice, most: float) -> Colour:
    share = between(dice, -most, most)
    return mix(colour, (255, 255, 255) if share > 0 else (0, 0, 0), abs(share))


STYLES: dict[str, Callable[[], Image.Image]] = {
    "waves": _waves,
    "mosaic": _mosaic,
    "strokes": _strokes,
    "dots": _dots,
    "ink": _ink,
    "weave": _weave,
}
