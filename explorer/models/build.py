"""From a spec to a model: the only room of `models` that knows specs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import torch
from torch import Tensor, nn

from explorer.models.archs import get_arch
from explorer.models.bodies import (
    SIZES,
    Parts,
    adapt_input,
    blank_parts,
    build_original,
    count_features,
    take_apart,
)
from explorer.models.decoders import DynamicUnet, NearestDecoder, TransposedDecoder
from explorer.models.groups import Group, classifier_groups, unet_groups
from explorer.models.heads import create_head, init_head
from explorer.models.layers import Activation
from explorer.models.meta import ShapesOnly
from explorer.models.pyramid import arch_pyramid
from explorer.models.timm_archs import is_timm, picture_side
from explorer.models.weights import FOLDER, Progress, WeightsReport, WeightsUnavailable, load_weights
from explorer.models.wiring import plan_plain, plan_unet
from explorer.spec import BodySpec, ClassifierSpec, DecoderSpec, HeadSpec, Size, SpecError, UnetSpec
from explorer.wiring import NEAREST, TRANSPOSED, Pyramid, Wiring

ACTIVATIONS: dict[str, Activation] = {
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.1),
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "mish": nn.Mish,
}


@dataclass(frozen=True)
class Built:
    """A model ready to run.

    model           `nn.Sequential(body, head)`, so that names begin "0." and "1." as fastai's; or a model with the
                    children `encoder` and `decoder`
    example_inputs  what it takes: two blank pictures, (2, n_in, height, width)
    groups          its parameter groups, from the input on
    weights         which weights it has, and how they fitted
    """

    model: nn.Module
    example_inputs: tuple[Tensor, ...]
    groups: tuple[Group, ...]
    weights: WeightsReport


def build_model(spec: ClassifierSpec | UnetSpec, *, progress: Progress | None = None, strict: bool = False) -> Built:
    """Body, cut, head or decoder, and weights as the spec says.

    progress  told (bytes done, bytes in all) while ImageNet weights are fetched
    strict    raise WeightsUnavailable where they cannot be had; else the body stays random and the report says so

    Raises SpecError, which names the field, for an unknown architecture, an impossible cut or a file that does not
    fit. On the meta device no weights are looked for.
    """
    body = spec.body
    parts = build_body(body.arch, body.cut, body.n_in)
    pictures = torch.zeros(2, body.n_in, *body.height_width)
    if isinstance(spec, UnetSpec):
        report = _load(nn.Sequential(parts.body), spec, parts.names, parts.dropped_tensors, progress, strict)
        model = build_unet(parts.body, spec.decoder, spec.n_out, body.size, pyramid_of(body))
        return Built(model, (pictures,), unet_groups(model, body.arch), report)
    head = build_head(spec.head, features_of(body.arch, body.cut), spec.n_out)
    model = nn.Sequential(parts.body, head)
    report = _load(model, spec, parts.names, parts.dropped_tensors, progress, strict)
    return Built(model, (pictures,), classifier_groups(model, body.arch), report)


def build_body(arch: str, cut: int | str | None, n_in: int) -> Parts:
    """The body with random weights, its children's own names and what the cut drops; SpecError as `build_model`."""
    with blamed("body.arch"):
        original = build_original(arch, n_in)
    with blamed("body.cut"):
        parts = take_apart(original, cut, title=arch)
    with blamed("body.n_in"):
        if not is_timm(arch):
            adapt_input(parts.body, n_in, pretrained=False)
    return parts


def blank_body(arch: str, cut: int | str | None, n_in: int) -> Parts:
    """The same on the meta device, shared as `bodies.blank_parts` says; SpecError as `build_model`."""
    with blamed("body.arch"):
        get_arch(arch)
    with blamed("body.cut"):
        blank_parts(arch, cut, 3)
    with blamed("body.n_in"):
        return blank_parts(arch, cut, n_in)


@lru_cache(maxsize=256, typed=True)
def features_of(arch: str, cut: int | str | None) -> int:
    """Channels that come out of a registered architecture's body, found on the meta device; SpecError as
    `build_model`."""
    body = blank_body(arch, cut, n_in=3).body
    with ShapesOnly():
        return count_features(body, sizes=(picture_side(arch),) if is_timm(arch) else SIZES)


def build_head(head: HeadSpec, features: int, n_out: int) -> nn.Sequential:
    """The head over a body of this many features, with weights drawn as fastai draws them."""
    with blamed("head"):
        return init_head(create_head(features, n_out, **vars(head)))


def build_unet(body: nn.Module, decoder: DecoderSpec, n_out: int, size: Size, pyramid: Pyramid) -> nn.Module:
    """A decoder's model around a body, whose maps for pictures of this size are `pyramid`."""
    common = {"width_cap": decoder.width_cap, "y_range": decoder.y_range, "pyramid": pyramid}
    with blamed("decoder.skips" if decoder.skips else "decoder"):
        return DECODERS[decoder.kind].model(body, n_out, size, **DECODERS[decoder.kind].options(decoder), **common)


def wiring_of(spec: UnetSpec) -> Wiring:
    """The list that the spec's decoder is built from, without building it.

    Raises SpecError for a skip that the body has not ("decoder.skips") and a size at which it does not run
    ("body.size").
    """
    pyramid = pyramid_of(spec.body)
    with blamed("decoder.skips"):
        return DECODERS[spec.decoder.kind].plan(pyramid, spec.n_out, spec.decoder)


def _unet_options(decoder: DecoderSpec) -> dict[str, object]:
    return {**wiring_options(decoder), "norm_type": decoder.norm_type, "act_cls": ACTIVATIONS[decoder.act]}


def _plan_unet(pyramid: Pyramid, n_out: int, decoder: DecoderSpec) -> Wiring:
    return plan_unet(pyramid, n_out, **wiring_options(decoder), width_cap=decoder.width_cap)


def _plan_without_skips(pyramid: Pyramid, n_out: int, decoder: DecoderSpec, up: str) -> Wiring:
    return plan_plain(pyramid, n_out, up, decoder.width_cap)


def wiring_options(decoder: DecoderSpec) -> dict[str, object]:
    """Those options of a U-Net's decoder that say how it is wired, but for its width cap."""
    names = ("blur", "blur_final", "self_attention", "last_cross", "bottle", "skips")
    return {name: getattr(decoder, name) for name in names}


@dataclass(frozen=True)
class Decoder:
    """A kind of decoder.

    model    (body, n_out, size, *, width_cap, y_range, pyramid, **options) -> a model with `encoder` and `decoder`
    plan     (pyramid, n_out, DecoderSpec) -> the Wiring that it is built from
    options  the arguments of `model` that are its own, of a DecoderSpec
    """

    model: Callable[..., nn.Module]
    plan: Callable[[Pyramid, int, DecoderSpec], Wiring]
    options: Callable[[DecoderSpec], dict[str, object]] = lambda decoder: {}


DECODERS = {
    "unet": Decoder(DynamicUnet, _plan_unet, _unet_options),
    "nearest": Decoder(NearestDecoder, partial(_plan_without_skips, up=NEAREST)),
    "transposed": Decoder(
        TransposedDecoder, partial(_plan_without_skips, up=TRANSPOSED), lambda decoder: {"kernel": decoder.kernel}
    ),
}
"""By the kinds of `spec.DECODERS`."""


def pyramid_of(body: BodySpec) -> Pyramid:
    """The maps of the spec's body; SpecError of "body.size" where it does not run at that size."""
    blank_body(body.arch, body.cut, body.n_in)
    with blamed("body.size"):
        return arch_pyramid(body.arch, body.cut, body.n_in, body.size)


@contextmanager
def blamed(field: str) -> Iterator[None]:
    """A ValueError from inside is raised as a SpecError of this field, its sentence unchanged."""
    try:
        yield
    except SpecError:
        raise
    except ValueError as error:
        raise SpecError(field, str(error)) from error


def _load(model, spec, names, dropped, progress, strict) -> WeightsReport:
    source, arch = spec.body.weights, spec.body.arch
    if next(model.parameters()).is_meta:
        return WeightsReport("random", "shapes only, on the meta device")
    try:
        with blamed("body.weights"):
            return load_weights(model, source, arch, names, dropped, progress)
    except WeightsUnavailable as error:
        if strict:
            raise
        random = load_weights(model, None, arch, names)
        note = f"{str(error).rstrip('.')}, so the body starts from random weights: choose a weights file, or put one "
        return replace(random, note=f"{note}into the folder that {FOLDER} names.")
