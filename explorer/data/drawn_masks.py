"""Drawn scenes with an answer for every pixel: several things of five forms on one backdrop, and which form lies where.

    describe_scene(seed, difficulty, landscape=…) -> Scene       what is to be seen, as a plain value
    paint_scene(scene, size)                      -> Image       how it looks
    paint_mask(scene, size)                       -> uint8 (H, W)  the class of each pixel, from the same silhouettes

Each form has a hue of its own: stars yellow, hearts red, rings violet, fish orange, leaves green. Two kinds of scene:
before any backdrop (segmentation, super-resolution), where a thing in `difficulty` of all cases wears other colours, so
that colour shows where to look and only form is sure; and a *landscape* (colourisation, style), whose colours can be
learnt from a grey picture: all things wear their own, all else is stone grey, what is smooth and above the horizon is
blue, and the ground's texture tells meadow (dotted, green) from sand (zigzag, ochre). How light a colour is can be read
from the grey; which of a form's two tones is texture and which is ground is drawn at random.

`difficulty` 0..1 also makes things smaller, adds noise where masks are wanted, and adds discs, squares, triangles and
strips that count as background: those in front of a thing hide its pixels from the mask too.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from explorer.data.dataset import Split
from explorer.data.drawn import (
    DARKS,
    GROUNDS,
    LIGHTS,
    SIZES,
    TEXTURES,
    Backdrop,
    Colour,
    Thing,
    between,
    bystander,
    corner_in,
    faded,
    grained,
    mix,
    new_dice,
    outline,
    paint_backdrop,
    paint_thing,
    pick,
    pick_colour,
    strip_across,
)
from explorer.data.pictures import to_array
from explorer.spec import sides

LABEL = "Drawn scenes"

FORMS = ("star", "heart", "ring", "fish", "leaf")
CLASSES = ("background", *FORMS)

LEAST_SIDE = 128
"""Smaller pictures are painted at a whole multiple of their size, at least this high and wide, and shrunk."""

MOST_THINGS = 16

TONES = {
    "star": ((246, 212, 92), (186, 138, 24)),
    "heart": ((236, 146, 150), (178, 50, 66)),
    "ring": ((190, 168, 226), (94, 70, 156)),
    "fish": ((246, 176, 112), (198, 96, 38)),
    "leaf": ((160, 210, 140), (46, 120, 66)),
}
STONES = ((214, 212, 208), (96, 98, 104))
SKY = ((206, 230, 245), (104, 162, 214))
MEADOW, SAND = ((150, 180, 108), (92, 134, 72)), ((226, 200, 148), (188, 150, 92))


@dataclass(frozen=True)
class Scene:
    """A backdrop, a ground in front of it up to the horizon, and things from back to front.

    horizon   where the ground begins at the left and the right edge, as shares of the height from the top
    things    lengths and places as in `drawn.Thing`; forms of FORMS have a class, all others are background
    """

    backdrop: Backdrop
    things: tuple[Thing, ...]
    ground: Backdrop | None = None
    horizon: tuple[float, float] = (1.0, 1.0)
    noise: float = 0.0
    noise_seed: int = 0


# ---- from a seed to a scene


def describe_scene(
    seed: str, difficulty: float, *, size: int | tuple[int, int] = 128, landscape: bool = False
) -> Scene:
    """The scene of a seed; `size` says how far a picture reaches beyond the square in its middle."""
    calm, busy = new_dice(seed + "/things"), new_dice(seed + "/clutter")
    reach = _reach(size)
    backdrop = _sky(calm) if landscape else _backdrop(calm, busy, difficulty)
    things = _things(calm, difficulty, backdrop, reach, landscape)
    decoys = [
        _decoy(busy, difficulty, backdrop, reach, landscape) for _ in range(round(8 * difficulty * busy.random()))
    ]
    strips = [
        _strip(busy, things, difficulty, backdrop, landscape) for _ in range(round(4 * difficulty * busy.random()))
    ]
    left = between(calm, 0.4, 0.75)
    return Scene(
        backdrop=backdrop,
        things=(*decoys, *things, *strips),
        ground=_ground(calm) if landscape else None,
        horizon=(left, left + between(calm, -0.15, 0.15)) if landscape else (1.0, 1.0),
        noise=3 + 45 * difficulty**1.5,
        noise_seed=int(busy.random() * 2**32),
    )


def _reach(size: int | tuple[int, int]) -> tuple[float, float]:
    """Width and height in short sides."""
    height, width = sides(size)
    return width / min(height, width), height / min(height, width)


def _things(
    dice: random.Random, difficulty: float, backdrop: Backdrop, reach: tuple[float, float], landscape: bool
) -> list[Thing]:
    """Three to six things a square, of different forms as far as there are, each where most room is left."""
    area = min(reach[0] * reach[1], 3)
    n = min(MOST_THINGS, round(between(dice, 2.5, 6.5) * area))
    order = sorted(FORMS, key=lambda _: dice.random())
    things: list[Thing] = []
    for i in range(n):
        radius = between(dice, 0.15 - 0.06 * difficulty, 0.28 - 0.04 * difficulty)
        x, y = _roomy(dice, things, reach, radius)
        form = order[i % len(order)]
        own, strange = _tones(form, dice), (pick_colour(dice, LIGHTS), pick_colour(dice, DARKS))
        disguised = dice.random() < difficulty and not landscape
        light, dark = strange if disguised else own
        paper, ink = (light, dark) if dice.random() < 0.5 else (dark, light)
        things.append(
            Thing(
                shape=form,
                texture=pick(dice, TEXTURES),
                x=x,
                y=y,
                radius=radius,
                angle=between(dice, 0, math.tau),
                paper=paper if landscape else faded(paper, backdrop, difficulty),
                ink=ink if landscape else faded(ink, backdrop, difficulty),
                period=radius * between(dice, 0.28, 0.5),
                texture_angle=between(dice, 0, math.tau),
                phase=(dice.random(), dice.random()),
            )
        )
    return things


def _roomy(dice: random.Random, things: list[Thing], reach: tuple[float, float], radius: float) -> tuple[float, float]:
    """Of six places, the one with most room to the things that are there (Mitchell's best candidate)."""

    def place(along: float) -> float:
        inside = max(0.0, along / 2 - 0.7 * radius)
        return 0.5 + between(dice, -inside, inside)

    def room(spot: tuple[float, float]) -> float:
        return min((math.dist(spot, (t.x, t.y)) - t.radius for t in things), default=0.0)

    return max([(place(reach[0]), place(reach[1])) for _ in range(6)], key=room)


def _decoy(
    dice: random.Random, difficulty: float, backdrop: Backdrop, reach: tuple[float, float], landscape: bool
) -> Thing:
    """A disc, square or triangle, which counts as background."""
    thing = bystander(dice, difficulty, backdrop)
    x, y = 0.5 + (thing.x - 0.5) * reach[0], 0.5 + (thing.y - 0.5) * reach[1]
    paper, ink = _stone(dice) if landscape else (thing.paper, thing.ink)
    return replace(thing, x=x, y=y, paper=paper, ink=ink)


def _strip(dice: random.Random, things: list[Thing], difficulty: float, backdrop: Backdrop, landscape: bool) -> Thing:
    """A long thin thing that lies across one of the others."""
    crossed = things[int(dice.random() * len(things))]
    strip = strip_across(dice, crossed, difficulty, backdrop)
    colour = _stone(dice)[0] if landscape else strip.paper
    return replace(strip, radius=0.7 * strip.radius, paper=colour, ink=colour)


def _backdrop(calm: random.Random, busy: random.Random, difficulty: float) -> Backdrop:
    low, high = pick_colour(calm, GROUNDS), pick_colour(calm, GROUNDS)
    middle = mix(low, high, 0.5)
    return Backdrop(
        low=mix(low, middle, 0.45),
        high=mix(high, middle, 0.45),
        angle=between(calm, 0, math.tau),
        texture=pick(busy, TEXTURES),
        ink=pick_colour(busy, LIGHTS + DARKS),
        strength=0.1 + 0.45 * difficulty,
        period=between(busy, 0.06, 0.14),
    )


def _sky(dice: random.Random) -> Backdrop:
    low, high = SKY
    return Backdrop(_lit(low, dice), _lit(high, dice), angle=math.pi + between(dice, -0.4, 0.4))


def _ground(dice: random.Random) -> Backdrop:
    (light, dark), texture = (MEADOW, "dotted") if dice.random() < 0.5 else (SAND, "zigzag")
    light, dark = _lit(light, dice), _lit(dark, dice)
    period = between(dice, 0.05, 0.1)
    return Backdrop(light, mix(light, dark, 0.5), between(dice, -0.4, 0.4), texture, dark, 0.8, period)


def _tones(form: str, dice: random.Random) -> tuple[Colour, Colour]:
    light, dark = TONES[form]
    return _lit(light, dice), _lit(dark, dice)


def _stone(dice: random.Random) -> tuple[Colour, Colour]:
    light, dark = STONES
    return (light, dark) if dice.random() < 0.5 else (dark, light)


def _lit(colour: Colour, dice: random.Random) -> Colour:
    """The colour a little lighter or darker."""
    share = between(dice, -0.15, 0.15)
    return mix(colour, (255, 255, 255) if share > 0 else (0, 0, 0), abs(share))


# ---- from a scene to a picture and its mask


def paint_scene(scene: Scene, size: int | tuple[int, int]) -> Image.Image:
    """The scene as an RGB picture of a side, or of a height and a width."""
    height, width = sides(size)
    times = math.ceil(LEAST_SIDE / min(height, width))
    canvas = paint_backdrop(scene.backdrop, width * times, height * times)
    if scene.ground:
        canvas.paste(paint_backdrop(scene.ground, *canvas.size), (0, 0), _below(scene.horizon, canvas.size))
    for thing in scene.things:
        paint_thing(canvas, thing)
    return grained(canvas.reduce(times) if times > 1 else canvas, scene.noise, scene.noise_seed)


def _below(horizon: tuple[float, float], size: tuple[int, int]) -> Image.Image:
    width, height = size
    mask = Image.new("L", size)
    corners = [(0, horizon[0] * height), (width, horizon[1] * height), (width, height), (0, height)]
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    return mask


HALF = [255 * (value >= 128) for value in range(256)]
"""The table that keeps the pixels of which a silhouette covers half or more."""


def paint_mask(scene: Scene, size: int | tuple[int, int]) -> np.ndarray:
    """The class of each pixel, uint8 (H, W): the number in CLASSES of the thing in front."""
    height, width = sides(size)
    canvas = Image.new("L", (width, height))
    for thing in scene.things:
        silhouette, at = outline(thing, min(height, width))
        number = CLASSES.index(thing.shape) if thing.shape in FORMS else 0
        canvas.paste(number, corner_in(canvas, at), silhouette.point(HALF))
    return np.array(canvas)


# ---- the set


def drawn_scenes(
    *,
    size: int | tuple[int, int],
    n_in: int,
    masked: bool,
    landscape: bool,
    data_size: str,
    difficulty: float,
    seed: int,
    keep: int,
) -> tuple[Split, Split]:
    """Splits to learn from and to check on; nothing is drawn before it is asked for.

    Items decode to uint8 (n_in, H, W), where `masked` with the mask as one more channel; else the picture is the answer
    and has no noise, which nobody could predict.
    """
    read = _reader(sides(size), n_in, masked, landscape, difficulty)
    shape = (n_in + masked, *sides(size))

    def split(part: str, n: int) -> Split:
        return Split([f"{seed}/scenes/{part}/{i}" for i in range(n)], [0] * n, read, shape, keep)

    n_train, n_valid = SIZES[data_size]
    return split("train", n_train), split("valid", n_valid)


def _reader(
    size: tuple[int, int], n_in: int, masked: bool, landscape: bool, difficulty: float
) -> Callable[[str], np.ndarray]:
    def read(seed: str) -> np.ndarray:
        scene = describe_scene(seed, difficulty, size=size, landscape=landscape)
        picture = paint_scene(scene if masked else replace(scene, noise=0.0), size)
        pixels = to_array(picture.convert("L") if n_in == 1 else picture)
        return np.concatenate((pixels, paint_mask(scene, size)[None])) if masked else pixels

    return read
