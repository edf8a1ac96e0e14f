"""The maps of a body that a decoder is given: one for each scale, handed out as values, without hooks."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Collection, Generator, Iterator
from contextlib import contextmanager
from functools import lru_cache

import torch
from torch import Tensor, nn

from explorer.models.bodies import blank_parts
from explorer.models.graphs import MAP_LAST, SAME_SCALE, SIZE, Graph, Place, chain_places, last_maps, resting
from explorer.models.meta import ShapesOnly, blank_copy
from explorer.spec import Size, sides
from explorer.wiring import Pyramid, Shape, Tap


class Encoder(nn.Sequential):
    """A body that hands out its taps, too: (B, n_in, H, W) -> [finest tap, …, last map], each (B, C, h, w).

    Children and keys are the body's own.
    """

    def __init__(self, body: nn.Module, taps: tuple[Tap, ...] = ()):
        children = body._modules if type(body) is nn.Sequential else {"0": body}
        super().__init__(OrderedDict(children))
        self.taps = taps

    def forward(self, image: Tensor) -> list[Tensor]:
        taps = {tap.node: tap for tap in self.taps}
        return [_hand_out(out, taps.get(node)) for node, out in visit(self, (*taps, ""), image)]


def visit(
    module: nn.Module, stops: Collection[str], x: Tensor, path: str = ""
) -> Generator[tuple[str, Tensor], None, Tensor]:
    """Run the children of a chain, and theirs where a stop lies inside; yield (path, output) at each stop.

    The chain itself is the stop "".
    """
    if not path or any(stop.startswith(f"{path}.") for stop in stops):
        for name, child in module._modules.items():
            x = yield from visit(child, stops, x, f"{path}.{name}" if path else name)
    else:
        x = module(x)
    if path in stops:
        yield path, x
    return x


def read_pyramid(body: nn.Module, img_size: Size) -> Pyramid:
    """The maps of a body for pictures of this size, found on the meta device.

    Which maps they are is decided at 224 px, so that the size of the pictures does not change the model.
    Raises ValueError for a size at which the body does not run.
    """
    blank = body if next(body.parameters()).is_meta else blank_copy(body)
    return _measure(blank, _find_taps(blank, img_size), img_size)


@lru_cache(maxsize=256, typed=True)
def arch_pyramid(arch: str, cut: int | str | None, n_in: int, img_size: Size) -> Pyramid:
    """The same for the body of a registered architecture; also raises ValueError as `bodies.resolve_cut`."""
    return _measure(blank_parts(arch, cut, n_in).body, _arch_taps(arch, cut), img_size)


@lru_cache(maxsize=128, typed=True)
def _arch_taps(arch: str, cut: int | str | None) -> Pyramid:
    return _find_taps(blank_parts(arch, cut, 3).body, SIZE)


def _find_taps(blank: nn.Module, img_size: Size) -> Pyramid:
    """Taps and scales of a body of meta tensors at 224 px; at the side of its pictures where it runs at no other."""
    try:
        return _find_taps_at(blank, SIZE)
    except ValueError:
        return _find_taps_at(blank, max(_checked_sides(img_size)))


def _find_taps_at(blank: nn.Module, side: int) -> Pyramid:
    picture = _blank_picture(blank, side)
    with _trying(side), torch.no_grad(), resting(blank), ShapesOnly():
        places = chain_places(Encoder(blank)._modules, picture)
    graph = Graph(tuple(places), len(places), (), (), 0, traced=False)
    features = _as_map(places[-1])
    _check_map(features)
    coarsest = SAME_SCALE * features[1]
    taps = tuple(
        Tap(place.name, _as_map(place), place.layout == MAP_LAST)
        for place in last_maps(graph)
        if place.grid[0] >= coarsest
    )
    copied = _changed_in_place(blank, taps, picture)
    return Pyramid(
        image=(picture.shape[1], side, side),
        taps=tuple(Tap(tap.node, tap.shape, tap.turned, tap.node in copied) for tap in taps),
        features=features,
        doublings=max(0, round(math.log2(side / features[1]))),
        full_size=bool(taps) and side < SAME_SCALE * taps[0].shape[1],
    )


def _changed_in_place(blank: nn.Module, taps: tuple[Tap, ...], picture: Tensor) -> set[str]:
    """Taps whose maps the body writes over after it has made them."""
    stops = [tap.node for tap in taps]
    with torch.no_grad(), resting(blank):
        seen = [(path, out, out._version) for path, out in visit(Encoder(blank), stops, picture)]
    return {path for path, out, version in seen if out._version != version}


def _measure(blank: nn.Module, found: Pyramid, img_size: Size) -> Pyramid:
    """The pyramid with the shapes that it has for pictures of another size."""
    picture = _blank_picture(blank, img_size)
    with _trying(img_size), torch.no_grad(), resting(blank), ShapesOnly():
        *maps, features = (tuple(out.shape[1:]) for out in Encoder(blank, found.taps)(picture))
    _check_map(features)
    taps = tuple(Tap(tap.node, shape, tap.turned, tap.copied) for tap, shape in zip(found.taps, maps, strict=True))
    return Pyramid(tuple(picture.shape[1:]), taps, features, found.doublings, found.full_size)


def _hand_out(out: Tensor, tap: Tap | None) -> Tensor:
    """A map as the decoder gets it; the body's last map, which is no tap, as it is."""
    if tap is None:
        return out
    out = out.clone() if tap.copied else out
    return out.permute(0, 3, 1, 2) if tap.turned else out


def _as_map(place: Place) -> Shape:
    """(C, H, W) of a place."""
    return (place.shape[-1], *place.shape[:2]) if place.layout == MAP_LAST else place.shape


def _check_map(features: tuple[int, ...]) -> None:
    if len(features) != 3:
        raise ValueError(f"A decoder needs a body that ends in a map (C, H, W), not in {features}: cut before pooling.")


def _blank_picture(body: nn.Module, img_size: Size) -> Tensor:
    channels = next((p.shape[1] for p in body.parameters() if p.ndim == 4), 3)
    return torch.empty(1, channels, *_checked_sides(img_size), device="meta")


def _checked_sides(img_size: Size) -> tuple[int, int]:
    """Height and width; ValueError for what is no size."""
    both = sides(img_size)
    if len(both) != 2 or any(isinstance(side, bool) or not isinstance(side, int) or side < 1 for side in both):
        raise ValueError(f"A size is a number of pixels or (height, width), not {img_size!r}.")
    return both


@contextmanager
def _trying(img_size: Size) -> Iterator[None]:
    """An error of the body at this size as one sentence."""
    try:
        yield
    except Exception as error:  # a foreign forward may do anything
        size = "×".join(map(str, _checked_sides(img_size)))
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ValueError(f"The body does not run on a picture of {size} px: {reason}.") from error
