"""Draws cat.jpg, the sample picture: a flat portrait, 384 × 384, painted four times as large and reduced.

python assets/samples/make_cat.py        writes cat.jpg beside this file
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

SIDE, SMOOTH = 384, 4
UNIT = SIDE * SMOOTH / 100
"""Pixels of the large canvas in one hundredth of the picture; all places below are in hundredths."""

SKY, SAND, SUN = "#86a9b8", "#ecd9bd", "#fbeecb"
FUR, STRIPE, PALE = "#b98a5b", "#7d5636", "#f0dfc8"
EYE, PUPIL, NOSE, WHITE = "#c6d27a", "#1d1a17", "#b8605a", "#ffffff"

EARS = (((25, 50), (26, 13), (49, 36)), ((30, 38), (30, 22), (41, 33)))
STRIPES = (
    ((50, 31), (50, 39)), ((42.5, 32), (44, 39)), ((57.5, 32), (56, 39)),
    ((25, 53), (32, 55)), ((75, 53), (68, 55)), ((27, 60), (33, 60)), ((73, 60), (67, 60)),
)  # fmt: skip
WHISKERS = (((41, 63), (18, 59)), ((41, 65), (17, 66)), ((41.5, 67), (19, 73)))


def portrait() -> Image.Image:
    """The cat, RGB 384 × 384."""
    picture = Image.new("RGB", (SIDE * SMOOTH,) * 2)
    brush = Brush(picture)
    brush.sky()
    brush.body()
    brush.face()
    brush.eyes_and_mouth()
    return picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


class Brush:
    """Draws in hundredths of the picture."""

    def __init__(self, picture: Image.Image):
        self.picture = picture
        self.draw = ImageDraw.Draw(picture)

    def sky(self) -> None:
        """A sky that turns to sand, a sun, a hill."""
        ramp = Image.linear_gradient("L").resize(self.picture.size, Image.Resampling.BICUBIC)
        self.picture.paste(SKY, (0, 0, *self.picture.size))
        self.picture.paste(SAND, (0, 0, *self.picture.size), ramp)
        self.ellipse(78, 25, 15, 15, SUN)
        before = self.picture.copy()
        self.ellipse(20, 96, 60, 26, SKY)
        self.picture.paste(Image.blend(before, self.picture, 0.35))

    def body(self) -> None:
        self.ellipse(50, 108, 33, 38, FUR)
        for side in (-1, 1):
            self.line((50 + side * 23.5, 84), (50 + side * 18, 85.5), STRIPE, 2.6)
            self.line((50 + side * 27.5, 91), (50 + side * 20.5, 92.5), STRIPE, 2.6)
        self.ellipse(50, 106, 15, 30, PALE)

    def face(self) -> None:
        for points, colour in zip(EARS, (FUR, PALE), strict=True):
            self.polygon(points, colour)
            self.polygon([(100 - x, y) for x, y in points], colour)
        self.ellipse(50, 52, 27, 23.5, FUR)
        for start, end in STRIPES:
            self.line(start, end, STRIPE, 2.6)

    def eyes_and_mouth(self) -> None:
        for side in (-1, 1):
            self.ellipse(50 + side * 5.5, 63, 8, 6.5, PALE)
            self.ellipse(50 + side * 11, 50, 5.6, 5.2, EYE)
            self.ellipse(50 + side * 11, 50, 2, 4.6, PUPIL)
            self.ellipse(51 + side * 11, 48.4, 1.1, 1.1, WHITE)
        for side in (-1, 1):
            smile = [v * UNIT for v in (50 + side * 2.6 - 2.6, 61.4, 50 + side * 2.6 + 2.6, 66)]
            self.draw.arc(smile, 8, 172, fill=STRIPE, width=round(0.8 * UNIT))
            for start, end in WHISKERS:
                self.line(*((50 + side * (50 - x), y) for x, y in (start, end)), WHITE, 0.5)
        self.line((50, 60.5), (50, 63.7), STRIPE, 0.8)
        self.polygon([(47, 57.5), (53, 57.5), (50, 61)], NOSE)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: str) -> None:
        self.draw.ellipse([v * UNIT for v in (x - rx, y - ry, x + rx, y + ry)], fill=colour)

    def polygon(self, points, colour: str) -> None:
        self.draw.polygon([(x * UNIT, y * UNIT) for x, y in points], fill=colour)

    def line(self, start, end, colour: str, width: float) -> None:
        """A line with round ends."""
        ends = [(x * UNIT, y * UNIT) for x, y in (start, end)]
        self.draw.line(ends, fill=colour, width=round(width * UNIT))
        for x, y in (start, end):
            self.ellipse(x, y, width / 2, width / 2, colour)


if __name__ == "__main__":
    portrait().save(Path(__file__).with_name("cat.jpg"), quality=90, optimize=True)
