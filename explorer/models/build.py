"""From a spec to a model: the only room of `models` that knows specs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from explorer.models.bodies import adapt_input, build_original, get_arch, resolve_cut, take_apart
from explorer.models.groups import Group, classifier_groups
from explorer.models.heads import create_head, init_head
from explorer.models.weights import FOLDER, Progress, WeightsReport, WeightsUnavailable, load_weights
from explorer.spec import ClassifierSpec, SpecError


@dataclass(frozen=True)
class Built:
    """A model ready to run.

    model           `nn.Sequential(body, head)`, so that names begin "0." and "1." as fastai's
    example_inputs  what it takes: two blank pictures, (2, n_in, size, size)
    groups          its parameter groups, from the input on
    weights         which weights it has, and how they fitted
    """

    model: nn.Module
    example_inputs: tuple[Tensor, ...]
    groups: tuple[Group, ...]
    weights: WeightsReport


def build_model(spec: ClassifierSpec, *, progress: Progress | None = None, strict: bool = False) -> Built:
    """Body, cut, head and weights as the spec says.

    progress  told (bytes done, bytes in all) while ImageNet weights are fetched
    strict    raise WeightsUnavailable where they cannot be had; else the body stays random and the report says so

    Raises SpecError, which names the field, for an unknown architecture, an impossible cut or a file that does not
    fit. On the meta device no weights are looked for.
    """
    body = spec.body
    _mend("body.arch", get_arch, body.arch)
    place = _mend("body.cut", resolve_cut, body.arch, body.cut)
    parts = take_apart(build_original(body.arch), place.name, body.arch)
    adapt_input(parts.body, body.n_in, pretrained=False)
    head = init_head(create_head(place.out_shape[0], spec.n_out, **_head_options(spec)))
    model = nn.Sequential(parts.body, head)
    report = _load(model, spec, parts.names, parts.dropped_tensors, progress, strict)
    pictures = torch.zeros(2, body.n_in, body.size, body.size)
    return Built(model, (pictures,), classifier_groups(model, body.arch), report)


def _head_options(spec: ClassifierSpec) -> dict:
    return {name: getattr(spec.head, name) for name in spec.head.__dataclass_fields__}


def _load(model, spec, names, dropped, progress, strict) -> WeightsReport:
    source, arch = spec.body.weights, spec.body.arch
    if next(model.parameters()).is_meta:
        return WeightsReport("random", "shapes only, on the meta device")
    try:
        return _mend("body.weights", load_weights, model, source, arch, names, dropped, progress)
    except WeightsUnavailable as error:
        if strict:
            raise
        random = load_weights(model, None, arch, names)
        note = f"{str(error).rstrip('.')}, so the body starts from random weights: choose a weights file, or put one "
        return replace(random, note=f"{note}into the folder that {FOLDER} names.")


def _mend(field: str, call, *args):
    """The call's result; its ValueError as a SpecError of the field that it concerns."""
    try:
        return call(*args)
    except ValueError as error:
        raise SpecError(field, str(error)) from error
