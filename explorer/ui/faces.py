"""What each stage of the body sees of one picture: the real activations that the ribbon paints on its slabs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from threading import Lock

import torch
from torch import Tensor, nn

from explorer.data.batches import data_uri, normalise
from explorer.data.pictures import read_picture
from explorer.models.bodies import create_body
from explorer.models.build import pyramid_of
from explorer.models.draws import same_draws
from explorer.spec import BodySpec, ClassifierSpec, Size, sides
from explorer.trace import activations
from explorer.trace.tracer import trace
from explorer.train.learner import statistics
from explorer.ui.services import Services
from explorer.ui.widget import ASSETS
from explorer.views.previews import face_png
from explorer.views.ribbon import body_stages

PHOTO = ASSETS / "samples" / "cat.jpg"
PHOTO_SIDE = 240
LARGEST = 512  # pixels: above that a forward pass takes seconds
PATIENCE = 0.4  # seconds to wait for weights before the page is told that they are on their way


def stage_ends(body: BodySpec) -> dict[str, str]:
    """The last module of each stage that the ribbon draws, under its own name."""
    quals = (stage.shown.row.qual for stage in body_stages(trace(ClassifierSpec(body=body))))
    return {qual: qual for qual in quals}


def tap_ends(body: BodySpec) -> dict[str, str]:
    """The modules of an encoder whose maps a decoder may get, by their names in a U-Net ("encoder.6"), and the body's
    own ("encoder"): {name in a U-Net: name in a classifier}. Raises SpecError as `models.build.pyramid_of`."""
    return {"encoder": "0"} | {f"encoder.{tap.node}": f"0.{tap.node}" for tap in pyramid_of(body).taps}


def faces_function(
    services: Services, ends_of: Callable[[BodySpec], dict[str, str]] = stage_ends
) -> Callable[[object], dict]:
    """The server function that a picture calls when it has painted: [arch, weights, size, cut, n_in] -> pictures.

    ends_of  which modules' faces a page shows: {name on the page: name in a classifier's model}

    The answer holds `photo`, and `faces` (data URIs by module), or `pending` with words and bytes while weights are on
    their way, or neither where there is nothing to show. Anyone can call it: everything is checked, and one network at
    a time is built and run.
    """
    one_at_a_time = Lock()

    def faces(asked: object) -> dict:
        try:
            body = body_of(asked, services)
            if body.weights == "imagenet":
                desk = services.weights.ask(body.arch, wait=PATIENCE)
                if desk.state == "fetching":
                    how_far = {"text": f"Fetching {body.arch}", "done": desk.done, "total": desk.total}
                    return {"photo": photo(_for_the_page(body)), "pending": how_far}
                if desk.state == "missing":
                    body = replace(body, weights="random")
            ends = ends_of(body)
            with one_at_a_time:
                seen = stage_pictures(body, tuple(ends.values()))
            faces = {name: seen[qual] for name, qual in ends.items() if qual in seen}
            return {"photo": photo(_for_the_page(body)), "faces": faces}
        except (ValueError, TypeError, RuntimeError, OSError):
            return {"photo": photo()}

    return faces


def body_of(asked: object, services: Services) -> BodySpec:
    """The body that a key names; ValueError for what is none, or names a file that may not be opened."""
    if not isinstance(asked, list) or len(asked) != 5:
        raise ValueError("A key names architecture, weights, size, cut and channels.")
    arch, weights, size, cut, n_in = asked
    body = BodySpec(arch=arch, weights=weights, cut=cut, size=size, n_in=n_in)
    if max(body.height_width) > LARGEST:
        raise ValueError(f"Faces are shown up to {LARGEST} pixels.")
    if body.weights not in ("imagenet", "random", None) and not services.is_allowed_file(body.weights):
        raise ValueError("Only a file given in this page can be opened.")
    return body


@lru_cache(maxsize=16)
def photo(size: Size = PHOTO_SIDE) -> str:
    """The part of the sample picture that a network of this size gets, as a data URI."""
    return data_uri(torch.from_numpy(read_picture(PHOTO, size)), max(sides(size)))


def _for_the_page(body: BodySpec) -> Size:
    """The size of its picture, in proportion small enough for the page."""
    longest = max(body.height_width)
    return tuple(max(1, round(PHOTO_SIDE * side / longest)) for side in body.height_width)


@lru_cache(maxsize=32)
def stage_pictures(body: BodySpec, quals: tuple[str, ...]) -> dict[str, str]:
    """PNG data URIs by name of a module in the built model ("0.4"): mean activation over channels, at true resolution.

    Raises ValueError where the body cannot be built, RuntimeError where it cannot run at this size.
    """
    network = shared_body(body.arch, body.weights, body.cut, body.n_in)
    seen = activations.faces(network, _picture(body), quals)
    return {qual: face_png(face) for qual, face in seen.items()}


@lru_cache(maxsize=2)
def shared_body(arch: str, weights: str | None, cut: int | str | None, n_in: int) -> nn.Sequential:
    """The body in eval mode; the last two are kept, for all who look inside one."""
    with same_draws():
        return create_body(arch, cut=cut, weights=weights, n_in=n_in).eval()


def _picture(body: BodySpec) -> Tensor:
    """The sample picture as training would give it to the body: (1, n_in, height, width); more than a picture's three
    channels, or two, repeat them."""
    pixels = torch.from_numpy(read_picture(PHOTO, body.size, 1 if body.n_in == 1 else 3))
    x = pixels.repeat(-(-body.n_in // len(pixels)), 1, 1)[None, : body.n_in].float() / 255
    mean, std = statistics(ClassifierSpec(body=body), body.weights or "random") or (None, None)
    return normalise(x, mean, std)
