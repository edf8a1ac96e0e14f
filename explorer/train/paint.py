"""Masks and pictures as data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

from PIL import Image, ImageColor
from torch import Tensor

from explorer.data.masks import VOID

SIDE = 256  # longest side of what is shown


def picture_uri(picture: Tensor) -> str:
    """A picture, float (1 or 3, H, W) in 0..1, as a JPEG in which fine detail stays."""
    pixels = (picture.detach().float().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().contiguous().numpy()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    return _uri(_fitted(image, Image.Resampling.BICUBIC), "JPEG", quality=92, subsampling=0)


def mask_uri(mask: Tensor, colours: Sequence[str]) -> str:
    """A mask (H, W) of class numbers as a PNG in the classes' colours; void is transparent."""
    image = Image.fromarray(mask.byte().cpu().contiguous().numpy(), "P")
    palette = [level for colour in colours for level in ImageColor.getrgb(colour)]
    image.putpalette(palette + [0] * (768 - len(palette)))
    return _uri(_fitted(image, Image.Resampling.NEAREST), "PNG", transparency=VOID, optimize=True)


def _fitted(image: Image.Image, how: Image.Resampling) -> Image.Image:
    """Not larger than SIDE."""
    longest = max(image.size)
    if longest <= SIDE:
        return image
    return image.resize(tuple(max(1, round(SIDE * side / longest)) for side in image.size), how)


def _uri(image: Image.Image, kind: str, **options) -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
