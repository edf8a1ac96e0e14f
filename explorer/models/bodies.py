"""Bodies: a torchvision classifier without its ImageNet end, cut where one likes.

A body is an `nn.Sequential` of the architecture's own children, numbered "0", "1", … as fastai numbers them, so
that weight files fit both ways (fastai facts A and K). Where it is cut is said by a count of children (-2, 8) or by
the name of a module ("layer3", "layer3.2", "features.12").
"""

from __future__ import annotations

import copy
import difflib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn

from explorer.models.archs import ARCHS, get_arch, list_archs
from explorer.models.meta import Blank
from explorer.models.weights import adapt_kernel, load_weights

Architecture = str | Callable[..., nn.Module] | nn.Module


@dataclass(frozen=True)
class Cut:
    """A place to cut.

    name       the last module kept ("layer3", "layer3.2", "features.12")
    index      children kept, as fastai counts; None inside a child
    out_shape  (channels, height, width) there, for a 224×224 picture
    share      of the original network's parameters that stay, 0 to 1
    """

    name: str
    index: int | None
    out_shape: tuple[int, ...]
    share: float


@dataclass(frozen=True)
class Parts:
    """A network taken apart at a cut.

    body             the children that stay
    names            the architecture's own names of those children
    dropped          what falls away: (name, class, parameters)
    dropped_tensors  names of the original's tensors that fall away, in each naming a weights file may follow:
                     "layer4.0.conv1.weight", "0.7.0.conv1.weight" (fastai's), "7.0.conv1.weight" (a body's alone)
    """

    body: nn.Sequential
    names: tuple[str, ...]
    dropped: tuple[tuple[str, str, int], ...]
    dropped_tensors: frozenset[str]


def legal_cuts(arch: Architecture) -> tuple[Cut, ...]:
    """Every place to cut, from the input on; the last is the architecture's own cut.

    A place lies behind each direct child of the features and behind each element of a plain `nn.Sequential` in it.
    Blocks with a class of their own stay whole, and the last element of a container goes by the container's name.
    Shapes are found on the meta device.
    """
    name = _registered_name(arch)
    return _measure_places(_on_meta(arch)) if name is None else _legal_cuts(name)


def resolve_cut(arch: Architecture, cut: int | str | None = None) -> Cut:
    """The place that `cut` means: None is the architecture's own, a number counts children, a name is a module's.

    Raises ValueError for a cut that keeps no child, lies behind the features, or names no place.
    """
    name = _place(_on_meta(arch), cut, _title(arch))
    return next(place for place in legal_cuts(arch) if place.name == name)


def create_body(
    arch: Architecture, *, cut: int | str | None = None, weights: str | Path | None = None, n_in: int = 3
) -> nn.Sequential:
    """The children of `arch` up to the cut: (B, n_in, H, W) -> (B, C, h, w).

    arch     a name, a torchvision builder (resnet34), or an instance, which keeps the weights it has
    weights  None or "random", "imagenet", or a file
    n_in     input channels; a pretrained first kernel is adapted (fastai facts A.5)

    Raises ValueError for what cannot be built or a file that does not fit, and `weights.WeightsUnavailable` where
    ImageNet weights cannot be had.
    """
    parts = take_apart(build_original(arch), cut, _title(arch))
    adapt_input(parts.body, n_in, pretrained=isinstance(arch, nn.Module))
    if isinstance(arch, nn.Module) and weights == "imagenet":
        raise ValueError("An instance keeps the weights it came with: give a name to get ImageNet's.")
    if weights not in (None, "random"):
        load_weights(nn.Sequential(parts.body), weights, _title(arch), parts.names, parts.dropped_tensors)
    return parts.body


def build_original(arch: Architecture) -> nn.Module:
    """The whole network with random weights; an instance is handed back as it is."""
    if isinstance(arch, nn.Module):
        return arch
    name = _registered_name(arch)
    if name is not None:
        return torchvision.models.get_model(name, weights=None)
    model = arch()
    if not isinstance(model, nn.Module):
        raise ValueError(f"An architecture is a name, a function that builds a module, or a module, not {arch!r}.")
    return model


def take_apart(original: nn.Module, cut: int | str | None = None, title: str = "") -> Parts:
    """Body and remainder of a network; the modules are the original's own, not copies.

    Raises ValueError as `resolve_cut`; `title` is what its sentence calls the network.
    """
    first, *inside = _place(original, cut, title or type(original).__name__).split(".")
    names = [name for name, _ in original.named_children()]
    children = list(original.children())
    end = names.index(first) + 1
    last, dropped = _truncate(children[end - 1], inside, first)
    body = nn.Sequential(*children[: end - 1], last)
    dropped += [_describe(names[i], children[i]) for i in range(end, len(names))]
    return Parts(body, tuple(names[:end]), tuple(dropped), _dropped_tensors(original, names, body))


def child_names(arch: Architecture, cut: int | str | None = None) -> tuple[str, ...]:
    """The architecture's own names of the body's children: body child "4" of a resnet is "layer1"."""
    return _outline(arch, cut)[0]


def dropped_parts(arch: Architecture, cut: int | str | None = None) -> tuple[tuple[str, str, int], ...]:
    """What the cut throws away, in order: (name, class, parameters), as ("fc", "Linear", 513000)."""
    return _outline(arch, cut)[1]


def count_features(body: nn.Module, n_in: int = 3) -> int:
    """Channels that come out of a body, found with a blank picture: 32 px, and double while that is too small.

    Raises ValueError for a body that runs at no size up to 2048 px.
    """
    device = next((p.device for p in body.parameters()), torch.device("cpu"))
    learning = [module for module in body.modules() if module.training]
    body.eval()
    try:
        for size in (32, 64, 128, 256, 512, 1024, 2048):
            try:
                with torch.no_grad():
                    return body(torch.zeros(1, n_in, size, size, device=device)).shape[1]
            except (RuntimeError, ValueError, TypeError) as error:
                reason = str(error).strip().splitlines()[0]
    finally:
        for module in learning:
            module.training = True
    raise ValueError(f"The body does not run on {n_in} channels at any size from 32 to 2048 pixels: {reason}.")


def adapt_input(body: nn.Module, n_in: int, *, pretrained: bool) -> None:
    """Give the first convolution `n_in` input channels, in place; nothing happens for 3 (fastai facts A.5).

    A pretrained kernel is adapted by `weights.adapt_kernel`; its bias, like an untrained layer, starts anew.
    Raises ValueError where the first layer is no convolution over 3 channels.
    """
    if n_in < 1:
        raise ValueError(f"A picture has at least one channel, not {n_in}: choose 1 for grey or 3 for colour.")
    name = next(iter(body.named_parameters()))[0].rpartition(".")[0]
    old = body.get_submodule(name)
    if n_in == getattr(old, "in_channels", None):
        return
    if not isinstance(old, nn.Conv2d) or old.in_channels != 3:
        raise ValueError(
            f"Only a convolution over 3 channels can be adapted to {n_in}, but the first layer {name!r} is {old}."
        )
    new = nn.Conv2d(
        n_in, old.out_channels, old.kernel_size, old.stride, old.padding, old.dilation, old.groups,
        bias=old.bias is not None, padding_mode=old.padding_mode, device=old.weight.device, dtype=old.weight.dtype,
    )  # fmt: skip
    if pretrained:
        with torch.no_grad():
            new.weight.copy_(adapt_kernel(old.weight, n_in))
    body.set_submodule(name, new)


def _registered_name(arch: Architecture) -> str | None:
    """The name under which the registry has it, None for builders and instances it does not know."""
    if isinstance(arch, str):
        return get_arch(arch).name
    if isinstance(arch, nn.Module):
        return None
    if not callable(arch):
        raise ValueError(f"An architecture is a name, a function that builds a module, or a module, not {arch!r}.")
    name = getattr(arch, "__name__", "")
    return name if name in list_archs() else None


def _title(arch: Architecture) -> str:
    """What a sentence calls it."""
    if isinstance(arch, str):
        return arch
    return type(arch).__name__ if isinstance(arch, nn.Module) else getattr(arch, "__name__", repr(arch))


def _on_meta(arch: Architecture) -> nn.Module:
    """The whole network on the meta device, to be looked at and not changed."""
    name = _registered_name(arch)
    if name is not None:
        return _original_on_meta(name)
    if isinstance(arch, nn.Module):
        return copy.deepcopy(arch).to("meta")
    with Blank():
        return build_original(arch)


@cache
def _original_on_meta(name: str) -> nn.Module:
    with Blank():
        return build_original(name)


@cache
def _legal_cuts(name: str) -> tuple[Cut, ...]:
    return _measure_places(_original_on_meta(name))


def _outline(arch: Architecture, cut: int | str | None) -> tuple[tuple[str, ...], tuple[tuple[str, str, int], ...]]:
    """Names of the body's children, and what falls away; remembered for the registry's names."""
    name = _registered_name(arch)
    if name is not None:
        return _registered_outline(name, cut)
    parts = take_apart(_on_meta(arch), cut, _title(arch))
    return parts.names, parts.dropped


@lru_cache(maxsize=256, typed=True)
def _registered_outline(name: str, cut: int | str | None) -> tuple[tuple[str, ...], tuple[tuple[str, str, int], ...]]:
    parts = take_apart(_original_on_meta(name), cut, name)
    return parts.names, parts.dropped


def _place(original: nn.Module, cut: int | str | None, title: str) -> str:
    """The name of the place that `cut` means; ValueError as `resolve_cut`."""
    if isinstance(cut, bool) or not isinstance(cut, (int, str, type(None))):
        raise ValueError(f"The cut is a number of children or the name of a layer, not {cut!r}.")
    if isinstance(cut, str):
        return _named_place(original, cut, title)
    names = [name for name, _ in original.named_children()]
    kept = _own_cut(original, title) if cut is None else _count_kept(original, cut, title)
    return names[kept - 1]


def _named_place(original: nn.Module, cut: str, title: str) -> str:
    places = _places(original)
    for place in places:
        if cut in (place, f"{place}.{_last_name(original, place)}"):
            return place
    near = difflib.get_close_matches(cut, places, n=3, cutoff=0.3) or places[-3:]
    raise ValueError(f"{title} cannot be cut behind {cut!r}: choose {' or '.join(near)}.")


def _count_kept(original: nn.Module, cut: int, title: str) -> int:
    """How many children `children[:cut]` keeps; ValueError for none, or more than the features."""
    names = [name for name, _ in original.named_children()]
    most = _features_end(original)
    kept = cut if cut >= 0 else len(names) + cut
    if kept < 1:
        raise ValueError(f"A cut at {cut} keeps none of the {len(names)} children of {title}: choose 1 to {most}.")
    if kept > most:
        raise ValueError(
            f"A cut at {cut} is too deep for {title}: its features end with child {most}, {names[most - 1]!r}, "
            f"and what follows ({', '.join(names[most:])}) belongs to the old classifier, so choose 1 to {most}."
        )
    return kept


def _features_end(original: nn.Module) -> int:
    """How many direct children make features: up to the own cut, or where none is known, to the first linear layer."""
    try:
        return _own_cut(original, "")
    except ValueError:
        children = list(original.children())
        ends = [i for i, child in enumerate(children) if any(isinstance(m, nn.Linear) for m in child.modules())]
        return ends[0] if ends and ends[0] > 0 else len(children)


def _own_cut(original: nn.Module, title: str) -> int:
    """Children kept when nobody chose: the family's rule, else up to the last child with a pooling layer in it.

    Raises ValueError where there is no such child, or where less than a hundredth of the network would stay
    (torchvision's shufflenet pools in a function, which no rule about modules can see; fastai facts A.3).
    """
    children = list(original.named_children())
    family = type(original).__name__.lower()
    for arch in ARCHS:
        if arch.family == family:
            return len(children) + arch.cut
    pooled = [i for i, (_, child) in enumerate(children) if any(_is_pool(module) for module in child.modules())]
    if not pooled or pooled[-1] == 0:
        listed = ", ".join(name for name, _ in children)
        raise ValueError(f"{title} has no child with a pooling layer to cut at: choose a cut from {listed}.")
    share = sum(_count(child) for _, child in children[: pooled[-1]]) / max(1, _count(original))
    if share < 0.01:
        raise ValueError(
            f"Cut at its last pooling layer, {children[pooled[-1]][0]!r}, {title} would keep {share:.1%} of its "
            f"parameters: choose a cut from {', '.join(name for name, _ in children)}."
        )
    return pooled[-1]


def _is_pool(module: nn.Module) -> bool:
    return type(module).__name__.endswith(("Pool1d", "Pool2d", "Pool3d"))


def _places(original: nn.Module) -> list[str]:
    """Names of all places to cut, in order of depth; the last element of a container goes by the container's name."""
    children = list(original.named_children())[: _features_end(original)]
    return [place for name, child in children for place in _places_within(name, child)]


def _places_within(name: str, module: nn.Module) -> list[str]:
    if not _is_chain(module):
        return [name]
    inner = [place for key, child in module.named_children() for place in _places_within(f"{name}.{key}", child)]
    return inner[:-1] + [name]


def _is_chain(module: nn.Module) -> bool:
    """Can it be cut between its elements? Only a plain Sequential; a class of its own may do more than chain."""
    return type(module) is nn.Sequential and len(module) > 0


def _last_name(original: nn.Module, place: str) -> str:
    """The key of a chain's last element, "" for a block."""
    module = original.get_submodule(place)
    return list(module.named_children())[-1][0] if _is_chain(module) else ""


def _measure_places(original: nn.Module) -> tuple[Cut, ...]:
    """Run a 224×224 picture through a network on the meta device and note each place's shape and share."""
    original.eval()
    names = [name for name, _ in original.named_children()]
    places, total = set(_places(original)), _count(original)
    cuts: list[Cut] = []
    kept = 0

    def run(name: str, module: nn.Module, x: Tensor) -> Tensor:
        nonlocal kept
        if _is_chain(module):
            for key, child in module.named_children():
                x = run(f"{name}.{key}", child, x)
        else:
            x = module(x)
            kept += _count(module)
        if name in places:
            index = names.index(name) + 1 if name in names else None
            cuts.append(Cut(name, index, tuple(x.shape[1:]), kept / total))
        return x

    first_weight = next(p for p in original.parameters() if p.ndim == 4)
    x = torch.empty(1, first_weight.shape[1], 224, 224, device="meta")
    with torch.no_grad():
        for name in names[: _features_end(original)]:
            x = run(name, original.get_submodule(name), x)
    return tuple(cuts)


def _truncate(module: nn.Module, path: list[str], name: str) -> tuple[nn.Module, list[tuple[str, str, int]]]:
    """A chain up to the element that `path` names, and what lies behind it there, nearest first."""
    if not path:
        return module, []
    key, *deeper = path
    keys = [k for k, _ in module.named_children()]
    end = keys.index(key) + 1
    elements = OrderedDict(list(module.named_children())[:end])
    elements[key], dropped = _truncate(elements[key], deeper, f"{name}.{key}")
    rest = list(module.named_children())[end:]
    return nn.Sequential(elements), dropped + [_describe(f"{name}.{k}", child) for k, child in rest]


def _dropped_tensors(original: nn.Module, names: list[str], body: nn.Sequential) -> frozenset[str]:
    kept, gone = set(body.state_dict()), set()
    for key in original.state_dict():
        child, _, rest = key.partition(".")
        numbered = f"{names.index(child)}.{rest}"
        if numbered not in kept:
            gone |= {key, numbered, f"0.{numbered}"}
    return frozenset(gone)


def _describe(name: str, module: nn.Module) -> tuple[str, str, int]:
    return name, type(module).__name__, _count(module)


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
