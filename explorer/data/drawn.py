"""The built-in set: pictures drawn with Pillow, whose classes need shape *and* texture.

A class is a pair such as "striped star" or "dotted star". Every shape stands in two classes and so does every texture:
who sees one of them only is right half of the time at best. Colours, place, size, turn and background say nothing.

    describe(kind, seed, difficulty) -> Scene      what is to be seen, as a plain value
    paint(scene, size)               -> Image      how it looks

The same seed gives the same scene everywhere, and the same bytes with the same Pillow. `outline` is the exact
silhouette that `paint` uses. `difficulty` 0..1 adds clutter, things in front, noise and small objects, and takes
contrast away; colours, turn and direction stay the same for a seed, so that two difficulties can be compared.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from explorer.data.dataset import KEEP_BYTES, DataError, DataSet, Split
from explorer.data.pictures import check_channels, to_array
from explorer.spec import sides

Colour = tuple[int, int, int]
Point = tuple[float, float]
Patch = tuple[int, int]
"""Width and height in pixels."""

LABEL = "Drawn shapes"

SIZES = {"small": (400, 100), "medium": (1_600, 400), "large": (6_000, 1_500)}
"""Pictures to learn from and to check on. A smaller set is the beginning of a larger one."""

NATIVE, LONGEST = 160, 4096
"""Short side at which a picture is painted before it is resized to what was asked for, and the most of the long one."""


@dataclass(frozen=True)
class Kind:
    """What makes a class: a shape and the texture on it."""

    shape: str
    texture: str

    @property
    def name(self) -> str:
        return f"{self.texture} {self.shape}"


KINDS = (
    Kind("star", "striped"),
    Kind("star", "dotted"),
    Kind("heart", "dotted"),
    Kind("heart", "checked"),
    Kind("ring", "checked"),
    Kind("ring", "zigzag"),
    Kind("fish", "zigzag"),
    Kind("fish", "plain"),
    Kind("leaf", "plain"),
    Kind("leaf", "striped"),
)


@dataclass(frozen=True)
class Thing:
    """One object. Lengths and places are shares of the picture's short side, from the largest square in its middle on;
    angles are radians.

    radius   of the circle around the shape        period   length after which the texture repeats
    paper    colour of the shape                   ink      colour of the texture and the rim
    phase    where in its tile the texture begins, in periods
    """

    shape: str
    texture: str
    x: float
    y: float
    radius: float
    angle: float
    paper: Colour
    ink: Colour
    period: float
    texture_angle: float
    phase: Point = (0.0, 0.0)


@dataclass(frozen=True)
class Backdrop:
    """Two colours that run into each other at an angle, and over them a texture whose ink covers by a share, 0 to 1."""

    low: Colour
    high: Colour
    angle: float
    texture: str = "plain"
    ink: Colour = (0, 0, 0)
    strength: float = 0.0
    period: float = 0.1


@dataclass(frozen=True)
class Scene:
    """A backdrop, things from back to front, the number of the thing that is meant, and the grain on top of all."""

    backdrop: Backdrop
    things: tuple[Thing, ...]
    subject: int
    noise: float = 0.0
    noise_seed: int = 0


# ---- from a seed to a scene

LIGHTS = ("#f3e6cf", "#ecca94", "#f0b49a", "#bcd8bd", "#a6cade", "#cbbce0", "#f4d886", "#eeb1ba")
DARKS = ("#27374d", "#1f6f78", "#6b3f69", "#b0493b", "#39603d", "#6f4a33", "#434f8a", "#a86a14")
GROUNDS = ("#dfe3e6", "#c9c3b8", "#8b97a8", "#a9b8a2", "#c9a995", "#5e6b7a", "#3f4d5f", "#ede4d8", "#7f8f86", "#9c8a93")
TEXTURES = ("plain", "striped", "dotted", "checked", "zigzag")
BYSTANDERS = ("disc", "square", "triangle")


def describe(kind: Kind, seed: str, difficulty: float) -> Scene:
    """The scene of a seed that shows an object of this kind; `difficulty` from 0 to 1."""
    calm, busy = new_dice(seed + "/object"), new_dice(seed + "/clutter")
    backdrop = _backdrop(calm, busy, difficulty)
    subject = _subject(kind, calm, difficulty, backdrop)
    behind = [bystander(busy, difficulty, backdrop) for _ in range(round(9 * difficulty * busy.random()))]
    before = [strip_across(busy, subject, difficulty, backdrop) for _ in range(round(3 * difficulty * busy.random()))]
    return Scene(
        backdrop=backdrop,
        things=(*behind, subject, *before),
        subject=len(behind),
        noise=3 + 45 * difficulty**1.5,
        noise_seed=int(busy.random() * 2**32),
    )


def new_dice(seed: str) -> random.Random:
    """Only `.random()` and `.randbytes()` of it are used: their streams are the same on every platform and Python."""
    return random.Random(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))


def _backdrop(calm: random.Random, busy: random.Random, difficulty: float) -> Backdrop:
    low, high = pick_colour(calm, GROUNDS), pick_colour(calm, GROUNDS)
    middle = mix(low, high, 0.5)
    return Backdrop(
        low=mix(low, middle, 0.45),
        high=mix(high, middle, 0.45),
        angle=between(calm, 0, math.tau),
        texture=pick(busy, TEXTURES),
        ink=pick_colour(busy, LIGHTS + DARKS),
        strength=0.55 * difficulty,
        period=between(busy, 0.06, 0.16),
    )


def _subject(kind: Kind, dice: random.Random, difficulty: float, backdrop: Backdrop) -> Thing:
    smallest = 0.36 - 0.2 * difficulty
    radius = between(dice, smallest, 0.42)
    room = max(0.0, 0.5 - radius * (1 - 0.2 * difficulty))
    light, dark = pick_colour(dice, LIGHTS), pick_colour(dice, DARKS)
    paper, ink = (light, dark) if dice.random() < 0.5 else (dark, light)
    return Thing(
        shape=kind.shape,
        texture=kind.texture,
        x=0.5 + between(dice, -room, room),
        y=0.5 + between(dice, -room, room),
        radius=radius,
        angle=between(dice, 0, math.tau),
        paper=faded(paper, backdrop, difficulty),
        ink=faded(mix(ink, paper, 0.45 * difficulty), backdrop, difficulty),
        period=radius * between(dice, 0.4, 0.56),
        texture_angle=between(dice, 0, math.tau),
        phase=(dice.random(), dice.random()),
    )


def bystander(dice: random.Random, difficulty: float, backdrop: Backdrop) -> Thing:
    radius = between(dice, 0.05, 0.08 + 0.08 * difficulty)
    paper, ink = pick_colour(dice, LIGHTS + DARKS), pick_colour(dice, LIGHTS + DARKS)
    return Thing(
        shape=pick(dice, BYSTANDERS),
        texture=pick(dice, TEXTURES),
        x=dice.random(),
        y=dice.random(),
        radius=radius,
        angle=between(dice, 0, math.tau),
        paper=faded(paper, backdrop, difficulty),
        ink=faded(ink, backdrop, difficulty),
        period=between(dice, 0.05, 0.12),
        texture_angle=between(dice, 0, math.tau),
    )


def strip_across(dice: random.Random, subject: Thing, difficulty: float, backdrop: Backdrop) -> Thing:
    """A long thin thing that lies across the subject."""
    colour = faded(pick_colour(dice, LIGHTS + DARKS), backdrop, difficulty)
    reach = 0.6 * subject.radius
    return Thing(
        shape="strip",
        texture="plain",
        x=subject.x + between(dice, -reach, reach),
        y=subject.y + between(dice, -reach, reach),
        radius=between(dice, 0.3, 0.6),
        angle=between(dice, 0, math.tau),
        paper=colour,
        ink=colour,
        period=0.1,
        texture_angle=0.0,
    )


def faded(colour: Colour, backdrop: Backdrop, difficulty: float) -> Colour:
    return mix(colour, mix(backdrop.low, backdrop.high, 0.5), 0.35 * difficulty)


def between(dice: random.Random, low: float, high: float) -> float:
    return low + (high - low) * dice.random()


def pick(dice: random.Random, options: tuple[str, ...]) -> str:
    return options[int(dice.random() * len(options))]


def pick_colour(dice: random.Random, options: tuple[str, ...]) -> Colour:
    text = pick(dice, options)
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """a with a share of b in it."""
    return tuple(round(u + (v - u) * share) for u, v in zip(a, b, strict=True))


# ---- from a scene to a picture


def paint(scene: Scene, size: int | tuple[int, int] = NATIVE) -> Image.Image:
    """The scene as an RGB picture of a side, or of a height and a width: what is longer shows more of the backdrop."""
    height, width = sides(size)
    canvas = paint_backdrop(scene.backdrop, width, height)
    for thing in scene.things:
        paint_thing(canvas, thing)
    return grained(canvas, scene.noise, scene.noise_seed)


def outline(thing: Thing, side: int, part: str = "whole") -> tuple[Image.Image, tuple[int, int]]:
    """The silhouette of a thing in a picture of `side`: a mask (L, smooth edges) and where its top left corner goes.

    part   "whole", or "inside" without the rim
    """
    left, top = math.floor((thing.x - thing.radius) * side), math.floor((thing.y - thing.radius) * side)
    patch = math.ceil(2 * thing.radius * side) + 1
    master = _master(thing.shape, part, patch)
    scale = master.width / (2 * thing.radius * side)
    centre = (thing.x * side - left, thing.y * side - top)
    return _turned(master, (patch, patch), scale, thing.angle, centre), (left, top)


def corner_in(canvas: Image.Image, at: tuple[int, int]) -> tuple[int, int]:
    """Where a corner `at` of the middle square lies in the whole picture."""
    side = min(canvas.size)
    return at[0] + (canvas.width - side) // 2, at[1] + (canvas.height - side) // 2


def paint_backdrop(backdrop: Backdrop, width: int, height: int) -> Image.Image:
    """A backdrop alone, RGB."""
    ramp, patch = Image.linear_gradient("L"), (width, height)
    shade = _turned(ramp, patch, ramp.width / (1.5 * max(patch)), backdrop.angle, (width / 2, height / 2))
    canvas = Image.new("RGB", patch, backdrop.low)
    canvas.paste(backdrop.high, (0, 0), shade)
    if backdrop.texture != "plain" and backdrop.strength:
        pattern = _texture(backdrop.texture, patch, backdrop.period * min(patch), backdrop.angle)
        canvas.paste(backdrop.ink, (0, 0), pattern.point(_scaled(backdrop.strength)))
    return canvas


def paint_thing(canvas: Image.Image, thing: Thing) -> None:
    """A thing with its shadow, rim and texture, painted over what is there."""
    side = min(canvas.size)
    whole, at = outline(thing, side)
    inside, _ = outline(thing, side, "inside")
    corner = corner_in(canvas, at)
    drop = max(1, round(0.012 * side))
    canvas.paste((20, 22, 30), (corner[0] + drop, corner[1] + drop), whole.point(_scaled(0.16)))
    rim = min(thing.ink, thing.paper, key=sum)
    canvas.paste(rim, corner, whole)
    patch = Image.new("RGB", whole.size, thing.paper)
    if thing.texture != "plain":
        period = thing.period * side
        patch.paste(thing.ink, (0, 0), _texture(thing.texture, whole.size, period, thing.texture_angle, thing.phase))
    canvas.paste(patch, corner, inside)


def _scaled(share: float) -> list[int]:
    """The table by which a mask covers only a share."""
    return [round(share * value) for value in range(256)]


def grained(canvas: Image.Image, noise: float, seed: int) -> Image.Image:
    """The picture with even grain on it, `noise` of 255 from the darkest to the brightest."""
    grain = Image.frombytes("L", canvas.size, random.Random(seed).randbytes(canvas.width * canvas.height))
    around_128 = grain.point([round(128 + (value - 127.5) / 255 * noise) for value in range(256)])
    return ImageChops.add(canvas, Image.merge("RGB", (around_128,) * 3), 1, -128)


def _texture(name: str, patch: Patch, period: float, angle: float, phase: Point = (0, 0)) -> Image.Image:
    tile = _tile(name)
    scale = TILE_PERIOD / period
    middle = (patch[0] / 2 + phase[0] * period, patch[1] / 2 + phase[1] * period)
    return _turned(tile, patch, scale, angle, middle)


def _turned(master: Image.Image, patch: Patch, scale: float, angle: float, centre: Point) -> Image.Image:
    """A turned view, of the patch's width and height, of a master whose middle lies at `centre`; its pixels span
    `scale` of the master."""
    cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
    x, y = centre
    half = master.width / 2
    affine = (cos, sin, half - cos * x - sin * y, -sin, cos, half + sin * x - cos * y)
    return master.transform(patch, Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)


# ---- masters: each shape and texture drawn once, large and smooth

MASTER, SMOOTH = 256, 4
TILE, TILE_PERIOD = 768, 20


def _master(shape: str, part: str, patch: int) -> Image.Image:
    """The master that is a little larger than the patch, so that reducing it leaves no stairs."""
    return _silhouette(shape, part, next((side for side in (64, 128) if side >= patch), MASTER))


@lru_cache(maxsize=64)
def _silhouette(shape: str, part: str, side: int) -> Image.Image:
    """A shape in the circle that touches the sides of an L picture: 255 inside, 0 outside."""
    if side < MASTER:
        return _silhouette(shape, part, MASTER).resize((side, side), Image.Resampling.BOX)
    if part == "inside":
        thinner = _silhouette(shape, "whole", MASTER)
        for _ in range(2):
            thinner = thinner.filter(ImageFilter.MinFilter(5))
        return thinner
    big = Image.new("L", (MASTER * SMOOTH,) * 2)
    draw = ImageDraw.Draw(big)
    for value, points in SHAPES[shape]():
        draw.polygon([((x + 1) * big.width / 2, (y + 1) * big.width / 2) for x, y in points], fill=value)
    return big.resize((MASTER, MASTER), Image.Resampling.BOX)


@lru_cache(maxsize=16)
def _tile(name: str) -> Image.Image:
    """A texture as an L picture: 255 where there is ink."""
    big = Image.new("L", (TILE * 2,) * 2)
    PATTERNS[name](ImageDraw.Draw(big), TILE_PERIOD * 2, TILE * 2)
    return big.resize((TILE, TILE), Image.Resampling.BOX)


Outline = list[tuple[int, list[Point]]]


def _circle(radius: float, x: float = 0, y: float = 0, squeeze: float = 1, n: int = 90) -> list[Point]:
    return [
        (x + radius * math.cos(math.tau * i / n), y + squeeze * radius * math.sin(math.tau * i / n)) for i in range(n)
    ]


def _corners(*radii: float) -> list[Point]:
    n = len(radii)
    turns = [math.tau * i / n for i in range(n)]
    return [(r * math.sin(t), -r * math.cos(t)) for r, t in zip(radii, turns, strict=True)]


def _star() -> Outline:
    return [(255, _corners(*(0.98, 0.47) * 5))]


def _heart() -> Outline:
    turns = [math.tau * i / 120 for i in range(120)]
    curve = [
        (16 * math.sin(t) ** 3, -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)))
        for t in turns
    ]
    return [(255, [(x / 17.6, (y - 1.5) / 17.6) for x, y in curve])]


def _ring() -> Outline:
    return [(255, _circle(0.95)), (0, _circle(0.42))]


def _fish() -> Outline:
    tail = [(0.28, 0), (0.9, -0.42), (0.76, 0), (0.9, 0.42)]
    fin = [(-0.35, -0.4), (0.12, -0.78), (0.3, -0.2)]
    return [(255, _circle(0.72, x=-0.24, squeeze=0.68)), (255, tail), (255, fin)]


def _leaf() -> Outline:
    steps = [i / 40 for i in range(-40, 41)]
    right = [(0.56 * math.cos(math.pi / 2 * y) ** 0.9, 0.86 * y - 0.12) for y in steps]
    stalk = [(-0.05, 0.6), (0.05, 0.6), (0.05, 0.99), (-0.05, 0.99)]
    return [(255, right + [(-x, y) for x, y in reversed(right)]), (255, stalk)]


def _strip_shape() -> Outline:
    return [(255, [(-0.99, -0.09), (0.99, -0.09), (0.99, 0.09), (-0.99, 0.09)])]


SHAPES: dict[str, Callable[[], Outline]] = {
    "star": _star,
    "heart": _heart,
    "ring": _ring,
    "fish": _fish,
    "leaf": _leaf,
    "disc": lambda: [(255, _circle(0.9))],
    "square": lambda: [(255, _corners(0.98, 0.98, 0.98, 0.98))],
    "triangle": lambda: [(255, _corners(0.98, 0.98, 0.98))],
    "strip": _strip_shape,
}


def _stripes(draw: ImageDraw.ImageDraw, period: int, side: int) -> None:
    for x in range(0, side, period):
        draw.rectangle((x, 0, x + period // 2 - 1, side), fill=255)


def _dots(draw: ImageDraw.ImageDraw, period: int, side: int) -> None:
    radius = 0.31 * period
    for row, y in enumerate(range(0, side + period, period)):
        for x in range(0, side + period, period):
            middle = x + row % 2 * period / 2
            draw.ellipse((middle - radius, y - radius, middle + radius, y + radius), fill=255)


def _checks(draw: ImageDraw.ImageDraw, period: int, side: int) -> None:
    cell = round(0.62 * period)
    for row, y in enumerate(range(0, side, cell)):
        for x in range(row % 2 * cell, side, 2 * cell):
            draw.rectangle((x, y, x + cell - 1, y + cell - 1), fill=255)


def _zigzags(draw: ImageDraw.ImageDraw, period: int, side: int) -> None:
    half = round(0.6 * period)
    for y in range(-period, side + period, period):
        points = [(x, y + (i % 2) * 0.7 * period) for i, x in enumerate(range(0, side + half, half))]
        draw.line(points, fill=255, width=round(0.36 * period), joint="curve")


PATTERNS: dict[str, Callable[[ImageDraw.ImageDraw, int, int], None]] = {
    "striped": _stripes,
    "dotted": _dots,
    "checked": _checks,
    "zigzag": _zigzags,
}


# ---- the set


def drawn_set(
    *,
    size: int | tuple[int, int],
    n_in: int = 3,
    data_size: str = "small",
    difficulty: float = 0.3,
    seed: int = 0,
    keep: int = KEEP_BYTES,
) -> DataSet:
    """The built-in set; every class is as frequent as every other. Nothing is drawn before it is asked for."""

    def split(part: str, n: int) -> Split:
        items = [(i % len(KINDS), f"{seed}/{part}/{i}") for i in range(n)]
        return Split(items, [label for label, _ in items], read, (n_in, height, width), keep)

    def read(item: tuple[int, str]) -> np.ndarray:
        label, scene_seed = item
        picture = paint(describe(KINDS[label], scene_seed, difficulty), native)
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        return to_array(picture.convert("L") if n_in == 1 else picture)

    check_channels(n_in)
    height, width = sides(size)
    larger = min(NATIVE / min(height, width), LONGEST / max(height, width))
    native = round(height * larger), round(width * larger)
    if data_size not in SIZES:
        raise DataError(f"The drawn set comes in the sizes {', '.join(SIZES)}, not {data_size!r}.")
    if not 0 <= difficulty <= 1:
        raise DataError(f"The difficulty of the drawn set lies between 0 and 1, not {difficulty:g}.")
    n_train, n_valid = SIZES[data_size]
    names = tuple(kind.name for kind in KINDS)
    return DataSet(LABEL, names, split("train", n_train), split("valid", n_valid))
