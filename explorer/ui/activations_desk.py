"""The server's side of the Activations tab: which model and which picture is meant, and what becomes of it inside."""

from __future__ import annotations

import io
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from threading import Lock

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from explorer.data.batches import data_uri, normalise
from explorer.data.pictures import MIN_SIDE, converted, middle_box, to_array
from explorer.data.registry import load
from explorer.models.bodies import build_original
from explorer.models.build import build_head, build_model, features_of
from explorer.models.draws import same_draws
from explorer.models.weights import fetch, read_file
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec, size_text
from explorer.trace import activations as inside
from explorer.trace.records import Trace
from explorer.trace.tracer import trace
from explorer.train.learner import statistics
from explorer.ui.faces import LARGEST, PATIENCE, shared_body
from explorer.ui.services import Services
from explorer.ui.widget import ASSETS
from explorer.views import activations as views
from explorer.views.numbers import short

SAMPLES = ASSETS / "samples"
PICTURES = ("JPEG", "PNG", "WEBP")
ENDINGS = (".jpg", ".png", ".webp")
DRAWN = (0, 25, 47, 82)  # places in the drawn set, of different classes
THUMB = 96
MAX_UPLOAD = 1_400_000  # characters of a data URI: a picture of a megabyte
MAX_SIDE = 2048
MAX_HEAD = 60_000_000  # parameters
LARGE_MAP = 512
NO_RUN = "The network could not run on this picture: choose a smaller image size."
HEAD_NOTE = "The head is untrained: its weights are random."
BODY_NOTE = "The body's weights are random: it has seen no picture yet."


def activations_functions(services: Services) -> tuple[Callable, Callable, Callable]:
    """What `Explorer.activations` calls: samples(…), activations({…}) and labels({…}).

    Anyone can call them: everything is checked, one network at a time is run, and whatever cannot be done is
    answered with {"error": one sentence}. While ImageNet weights are on their way the answer is {"pending": {…}}.
    """
    one_at_a_time = Lock()

    def samples(asked: object = None) -> dict:
        """{"samples": [{"name", "label", "thumb"}]}."""
        return {"samples": sample_thumbs()}

    def activations(asked: object) -> dict:
        """{"spec", "qual", "photo": {"sample"} or {"uri"}, "one_scale", "channel"} -> `views.activations.answer`.

        "qual" None or not in this model: a layer to begin with. "channel": that one alone, large.
        """
        return answered(asked, services, lambda wish, spec: _activations(wish, spec, one_at_a_time))

    def labels(asked: object) -> dict:
        """{"spec", "photo"} -> {"labels": [[name, probability]…]}, or {"note"} that says why there are none."""
        return answered(asked, services, lambda wish, spec: _labels(wish, spec, one_at_a_time))

    return samples, activations, labels


def answered(asked: object, services: Services, work: Callable[[Mapping, ClassifierSpec], dict]) -> dict:
    try:
        wish = read_wish(asked)
        spec = read_spec(wish.get("spec"), services)
        trace(spec)
        if spec.body.weights == "imagenet":
            desk = services.weights.ask(spec.body.arch, wait=PATIENCE)
            if desk.state == "fetching":
                return {"pending": {"text": f"Fetching {spec.body.arch}", "done": desk.done, "total": desk.total}}
            if desk.state == "missing":
                spec = replace(spec, body=replace(spec.body, weights="random"))
        return work(wish, spec)
    except (ValueError, TypeError) as error:
        return {"error": str(error)}
    except (RuntimeError, MemoryError, OSError):
        return {"error": NO_RUN}


# ---- what is asked ----


def read_wish(asked: object) -> Mapping:
    if isinstance(asked, list) and len(asked) == 1:
        asked = asked[0]
    if not isinstance(asked, Mapping):
        raise ValueError("The page asked for something that is no layer and no picture: reload it.")
    return asked


def read_spec(asked: object, services: Services) -> ClassifierSpec:
    """The spec that a dictionary means; ValueError for what is none, is too large to run, or names a secret file."""
    try:
        parts = {**asked}
        spec = ClassifierSpec(BodySpec(**parts.pop("body")), HeadSpec(**parts.pop("head")), **parts)
        hash(spec)
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError("The page asked for a model that cannot be read: reload it.") from error
    if max(spec.body.height_width) > LARGEST:
        raise ValueError(
            f"Activations are shown up to {LARGEST} px: set the image size lower than {size_text(spec.body.size)}."
        )
    if spec.body.weights not in ("imagenet", "random", None) and not services.is_allowed_file(spec.body.weights):
        raise ValueError("Only a weights file given in this page can be opened: upload it.")
    return spec


def read_photo(asked: object) -> Image.Image:
    """The picture that {"sample": name} or {"uri": data URI} means; ValueError with one sentence for anything else."""
    wish = asked if isinstance(asked, Mapping) else {}
    if "uri" in wish:
        return _uploaded(wish["uri"])
    name = wish.get("sample", "cat")
    if name not in sample_names():
        raise ValueError(f"There is no sample picture {str(name)[:40]!r}: choose one of those shown.")
    return _sample(name)


def _uploaded(uri: object) -> Image.Image:
    """A data URI's picture, the right way up. Its size is read before anything is unpacked."""
    kind, comma, data = uri.partition(",") if isinstance(uri, str) else ("", "", "")
    if not comma or kind not in [f"data:image/{name.lower()};base64" for name in PICTURES]:
        raise ValueError("That is no picture: choose a PNG, JPEG or WebP file.")
    if len(uri) > MAX_UPLOAD:
        raise ValueError(f"The picture has {len(uri) * 0.75e-6:.1f} MB, and 1 MB is the limit: make it smaller.")
    try:
        with Image.open(io.BytesIO(b64decode(data, validate=True)), formats=PICTURES) as image:
            _check_sides(*image.size)
            return converted(ImageOps.exif_transpose(image), 3)
    except _Sides:
        raise
    except NotBase64 as error:
        raise ValueError("The picture did not arrive whole: choose it again.") from error
    except Image.DecompressionBombError as error:
        raise ValueError(f"The picture has more than {MAX_SIDE}×{MAX_SIDE} pixels: make it smaller.") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, zlib.error, …
        raise ValueError("The picture is cut off or damaged: choose another.") from error


class _Sides(ValueError):
    """A picture too large or too small."""


def _check_sides(width: int, height: int) -> None:
    if max(width, height) > MAX_SIDE:
        raise _Sides(f"The picture is {width}×{height} pixels, and {MAX_SIDE} is the limit: make it smaller.")
    if min(width, height) < MIN_SIDE:
        raise _Sides(f"The picture is {width}×{height} pixels, and {MIN_SIDE} is the least: choose a larger one.")


# ---- samples ----


@lru_cache(maxsize=1)
def sample_names() -> tuple[str, ...]:
    """Photos of assets/samples by the names of their files, then pictures of the drawn set, "shapes 25"."""
    files = sorted(path.stem for path in SAMPLES.iterdir() if path.suffix in ENDINGS)
    return (*files, *(f"shapes {place}" for place in DRAWN))


@lru_cache(maxsize=1)
def sample_thumbs() -> list[dict[str, str]]:
    """A small picture of each sample with what it shows."""
    return [
        {"name": name, "label": _sample_label(name), "thumb": data_uri(torch.from_numpy(_pixels(name)), THUMB)}
        for name in sample_names()
    ]


def _pixels(name: str) -> np.ndarray:
    return to_array(middle_box(_sample(name), THUMB))


def _sample_label(name: str) -> str:
    if not name.startswith("shapes "):
        return name.replace("_", " ")
    drawn = _drawn()
    return drawn.classes[int(drawn.valid.labels[int(name.split()[1])])]


@lru_cache(maxsize=8)
def _sample(name: str) -> Image.Image:
    if not name.startswith("shapes "):
        path = next(path for path in SAMPLES.iterdir() if path.stem == name and path.suffix in ENDINGS)
        with Image.open(path) as image:
            return converted(ImageOps.exif_transpose(image), 3)
    pixels = _drawn().valid.images([int(name.split()[1])])[0]
    return Image.fromarray(pixels.permute(1, 2, 0).numpy())


def _drawn():
    return load("shapes", size=224)


# ---- the model and its input ----


def as_input(spec: ClassifierSpec, photo: Image.Image) -> Tensor:
    """The picture as training would give it to the body: (1, n_in, height, width). More channels than a picture has, or
    two, repeat them."""
    body = spec.body
    pixels = torch.from_numpy(to_array(middle_box(converted(photo, 1 if body.n_in == 1 else 3), body.size)))
    x = pixels.repeat(-(-body.n_in // len(pixels)), 1, 1)[None, : body.n_in].float() / 255
    mean, std = statistics(spec, body.weights or "random") or (None, None)
    return normalise(x, mean, std)


def network_of(spec: ClassifierSpec, described: Trace) -> tuple[nn.Module, list[str]]:
    """The network, names as in the trace, and what must be said about it. A head that cannot run is left out."""
    body = spec.body
    if body.weights not in ("imagenet", "random", None):
        return _from_file(spec, Path(body.weights).stat().st_mtime)
    notes = [] if body.weights == "imagenet" else [BODY_NOTE]
    network = shared_body(body.arch, body.weights, body.cut, body.n_in)
    if described.failure:
        return nn.Sequential(network).eval(), [*notes, described.failure.reason]
    return nn.Sequential(network, _head(spec.head, body.arch, body.cut, spec.n_out)).eval(), [*notes, HEAD_NOTE]


@lru_cache(maxsize=2)
def _head(head: HeadSpec, arch: str, cut: int | str | None, n_out: int) -> nn.Module:
    with same_draws():
        return build_head(head, features_of(arch, cut), n_out).eval()


@lru_cache(maxsize=1)
def _from_file(spec: ClassifierSpec, changed: float) -> tuple[nn.Module, list[str]]:
    """Body and head of a weights file, where it holds one that fits; `changed` is when the file was written."""
    with same_draws():
        built = build_model(spec)
    is_head = [name for name in (*built.weights.missing, *built.weights.reshaped) if name.startswith("1.")]
    return built.model.eval(), [HEAD_NOTE] if is_head else []


def check_runs(described: Trace) -> None:
    """Refuse a body that fails and a head that would not fit into memory."""
    failure = described.failure
    if failure and failure.qual.partition(".")[0] == "0":
        raise ValueError(failure.reason)
    head = sum(layer.params for layer in described.layers if layer.qual.partition(".")[0] == "1")
    if head > MAX_HEAD:
        raise ValueError(f"A head of {short(head)} parameters is too large to look into: choose narrower layers.")


# ---- what is answered ----


def _activations(wish: Mapping, spec: ClassifierSpec, lock: Lock) -> dict:
    described = trace(spec)
    check_runs(described)
    photo = read_photo(wish.get("photo"))
    quals = {layer.qual for layer in described.layers}
    asked = wish.get("qual")
    channel = wish.get("channel")
    if channel is not None and (isinstance(channel, bool) or not isinstance(channel, int)):
        raise ValueError("A channel is a whole number.")
    with lock:
        model, notes = network_of(spec, described)
        known = dict(model.named_modules(remove_duplicate=False))
        pick = asked if isinstance(asked, str) and asked in quals else views.default_layer(described)
        seen = inside.look(
            model,
            as_input(spec, photo),
            pick if pick in known else None,
            side=LARGE_MAP if channel is not None else 64,
            one_scale=wish.get("one_scale") is True,
            channel=channel,
        )
    if channel is not None:
        if seen.picked is None:
            raise ValueError("That layer gives no map: pick another.")
        return views.one_map(seen.picked)
    if seen.picked is None:
        notes = [*notes, "This layer has no output of its own: the module around it uses its weights."]
    return views.answer(seen, described, notes)


def _labels(wish: Mapping, spec: ClassifierSpec, lock: Lock) -> dict:
    body = spec.body
    if body.weights != "imagenet":
        return {"note": "ImageNet labels need ImageNet weights."}
    if body.n_in != 3:
        return {"note": "ImageNet labels need three channels."}
    x = as_input(spec, read_photo(wish.get("photo")))
    with lock:
        likely = _said(body.arch, body.height_width, x.numpy().tobytes())
    return {"labels": [[name, round(p, 4)] for name, p in likely]}


@lru_cache(maxsize=16)
def _said(arch: str, picture: tuple[int, int], pixels: bytes) -> tuple[tuple[str, float], ...]:
    """What the uncut network says. It is built and let go again: as a whole it is up to ten times its body."""
    x = torch.frombuffer(bytearray(pixels), dtype=torch.float32).reshape(1, 3, *picture)
    network = build_original(arch)
    stored, own = read_file(fetch(arch)), network.state_dict()
    fits = {name: tensor for name, tensor in stored.items() if name in own and tensor.shape == own[name].shape}
    missing = network.load_state_dict(fits, strict=False).missing_keys
    if any(not name.endswith("num_batches_tracked") for name in missing):
        raise ValueError(f"The stored weights of {arch} hold no classifier, so there are no labels.")
    return inside.imagenet_labels(network, x, arch, "imagenet")
