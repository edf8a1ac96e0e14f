"""Random changes of a whole batch at once: fastai's defaults (fastai facts G.8), drawn from one generator.

Flip, rotation, zoom and perspective are composed into one 3×3 matrix a picture, so that every picture is resampled
once. Brightness and contrast work on logits, so that nothing leaves 0..1.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

FLIP_P, AFFINE_P, LIGHT_P = 0.5, 0.75, 0.75
MAX_DEGREES, MAX_ZOOM, MAX_WARP, MAX_LIGHT = 10.0, 1.1, 0.2, 0.2


def augment_basic(x: Tensor, generator: Generator | None = None) -> Tensor:
    """A randomly changed copy of a batch x, float (B, C, H, W) in 0..1; shape and range stay."""
    geometry = random_geometry(len(x), generator)
    brightness, contrast = random_light(len(x), generator)
    return light(resample(x, geometry.to(x)), brightness.to(x), contrast.to(x))


def random_geometry(n: int, generator: Generator | None = None) -> Tensor:
    """n composed homographies (n, 3, 3), from output to input coordinates in -1..1."""
    flipped = sometimes(n, FLIP_P, generator)
    angle = uniform(n, -MAX_DEGREES, MAX_DEGREES, generator) * sometimes(n, AFFINE_P, generator)
    zoom = 1 + uniform(n, 0, MAX_ZOOM - 1, generator) * sometimes(n, AFFINE_P, generator)
    centre_x, centre_y = uniform(n, -1, 1, generator), uniform(n, -1, 1, generator)
    warped = sometimes(n, AFFINE_P, generator)
    tilt_x, tilt_y = (uniform(n, -MAX_WARP, MAX_WARP, generator) * warped for _ in range(2))
    return flip(flipped) @ rotation(angle) @ zooming(zoom, centre_x, centre_y) @ tilt(tilt_x, 0) @ tilt(tilt_y, 1)


def random_light(n: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
    """n shifts of the logits and n factors on them: (brightness, contrast)."""
    level = 0.5 + uniform(n, -MAX_LIGHT / 2, MAX_LIGHT / 2, generator) * sometimes(n, LIGHT_P, generator)
    steepest = -math.log(1 - MAX_LIGHT)
    contrast = torch.exp(uniform(n, -steepest, steepest, generator) * sometimes(n, LIGHT_P, generator))
    return torch.logit(level), contrast


def resample(x: Tensor, homographies: Tensor) -> Tensor:
    """The batch as seen through (B, 3, 3) homographies: bilinear, with the picture mirrored beyond its edges."""
    return at_places(x, places(homographies, x.shape[2], x.shape[3]))


def at_places(x: Tensor, places: Tensor) -> Tensor:
    """The batch read at places (B, H, W, 2), as `places` gives them: bilinear, mirrored beyond the edges."""
    return F.grid_sample(x, places, mode="bilinear", padding_mode="reflection", align_corners=False)


def places(homographies: Tensor, height: int, width: int) -> Tensor:
    """Where (B, 3, 3) homographies look for each pixel: x and y in -1..1, (B, height, width, 2)."""
    like = {"device": homographies.device, "dtype": homographies.dtype}
    down = (torch.arange(height, **like) * 2 + 1) / height - 1
    across = (torch.arange(width, **like) * 2 + 1) / width - 1
    ys, xs = torch.meshgrid(down, across, indexing="ij")
    pixels = torch.stack((xs, ys, torch.ones_like(xs)), dim=-1).reshape(1, -1, 3)
    seen = pixels @ homographies.transpose(1, 2)
    return (seen[..., :2] / seen[..., 2:]).reshape(len(homographies), height, width, 2)


def light(x: Tensor, brightness: Tensor, contrast: Tensor) -> Tensor:
    """Logits shifted by `brightness` and then multiplied by `contrast`, each (B,)."""
    logits = torch.logit(x, eps=1e-7)
    return torch.sigmoid((logits + brightness[:, None, None, None]) * contrast[:, None, None, None])


def flip(flipped: Tensor) -> Tensor:
    """Left and right change places where `flipped` (n,) is 1."""
    return _matrices(len(flipped), {(0, 0): 1 - 2 * flipped})


def rotation(degrees: Tensor) -> Tensor:
    """Rotations about the centre by `degrees` (n,), counter-clockwise as one sees it."""
    radians = torch.deg2rad(degrees)
    cos, sin = radians.cos(), radians.sin()
    return _matrices(len(degrees), {(0, 0): cos, (0, 1): -sin, (1, 0): sin, (1, 1): cos})


def zooming(zoom: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Magnifications by `zoom` (n,) into a window at x, y (n,): -1 left or top edge, 0 centre, 1 right or bottom."""
    side = 1 / zoom
    return _matrices(len(zoom), {(0, 0): side, (1, 1): side, (0, 2): (1 - side) * x, (1, 2): (1 - side) * y})


def tilt(amount: Tensor, axis: int) -> Tensor:
    """Perspective: the picture leans about the other axis, and its two sides at ±1 of `axis` stay where they are.

    One side appears (1+a)/(1-a) as large as the other: 3:2 for the amount of 0.2.
    """
    other = 1 - axis
    shrink = torch.sqrt(1 - amount**2)
    return _matrices(len(amount), {(axis, 2): amount, (2, axis): amount, (other, other): shrink})


def uniform(n: int, low: float, high: float, generator: Generator | None) -> Tensor:
    """n numbers from low to high."""
    return torch.rand(n, generator=generator) * (high - low) + low


def sometimes(n: int, p: float, generator: Generator | None) -> Tensor:
    """n times 1 with probability p, else 0."""
    return (torch.rand(n, generator=generator) < p).float()


def _matrices(n: int, entries: dict[tuple[int, int], Tensor]) -> Tensor:
    matrices = torch.eye(3).repeat(n, 1, 1)
    for (row, column), values in entries.items():
        matrices[:, row, column] = values
    return matrices
