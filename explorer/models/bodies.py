"""Bodies: a classifier without its ImageNet end, cut where one likes.

A body is an `nn.Sequential` of the architecture's own children, numbered "0", "1", … as fastai numbers them, so
that weight files fit both ways (fastai facts A and K). Where the architecture's `forward` does what modules do not
show, the cut is made in its graph: a function between children becomes a small module (densenet's last ReLU), and a
network that is no chain of its children (vit) becomes one module of the part of its graph that stays.

Where it is cut is said by a count of children (-2, 8) or by the name of a place: a module ("layer3", "layer3.2",
"features.12") or a function's node ("layer1.0.add", "relu"). What comes out is a map, channels first.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
import torchvision
from torch import nn

from explorer.models import graphs, timm_archs
from explorer.models.archs import OPTIONS, get_arch, is_arch, list_archs
from explorer.models.cutting import ChannelsFirst, Entry, TokensToMap, open_children, open_features, open_network
from explorer.models.graphs import Graph, Place
from explorer.models.meta import Blank, blank_copy, to_blank
from explorer.models.weights import adapt_kernel, first_kernel, load_weights, own_key

Architecture = str | Callable[..., nn.Module] | nn.Module

LEAST_SHARE = 0.01  # of a network's parameters that a cut nobody chose must leave
SIZES = (32, 64, 128, 224, 256, 512, 1024, 2048)  # of pictures that a body is tried on
TO_MAP = "to_map"  # name of the module that folds tokens or turns a map round


@dataclass(frozen=True)
class Cut:
    """A place to cut.

    name       the last module kept ("layer3", "layer3.2", "features.12"), or the node of a function ("layer1.0.add")
    index      children kept, as fastai counts; None inside a child, or behind a function
    out_shape  (channels, height, width) of the body's map, for a 224×224 picture
    share      of the original network's parameters that stay, 0 to 1
    note       what is done to make a map of what stands there, for people; "" for nothing
    from_end   the same count from the end, as fastai writes it: -2
    """

    name: str
    index: int | None
    out_shape: tuple[int, ...]
    share: float
    note: str = ""
    from_end: int | None = None


@dataclass(frozen=True)
class Parts:
    """A network taken apart at a cut.

    body             what stays
    names            the architecture's own names of the body's children; "" for a child that is the network itself,
                     opened, and `TO_MAP` for one that only brings a map into shape
    dropped          what falls away: (name, class, parameters)
    dropped_tensors  names of the original's tensors that fall away, in each naming a weights file may follow:
                     "layer4.0.conv1.weight", "0.7.0.conv1.weight" (fastai's), "7.0.conv1.weight" (a body's alone)
    children         the network's own children that can be called, by name
    """

    body: nn.Sequential
    names: tuple[str, ...]
    dropped: tuple[tuple[str, str, int], ...]
    dropped_tensors: frozenset[str]
    children: tuple[str, ...] = ()


def legal_cuts(arch: Architecture) -> tuple[Cut, ...]:
    """Every place to cut, from the input on; the last is the architecture's own cut.

    A place lies wherever exactly one tensor is needed by what follows (`graphs`), up to pooling and classifier; what
    cannot be laid out as a map (maxvit's windows) is left out.
    """
    name = _registered_name(arch)
    return _list_cuts(graphs.read_network(_on_meta(arch))) if name is None else _legal_cuts(name)


def resolve_cut(arch: Architecture, cut: int | str | None = None) -> Cut:
    """The place that `cut` means: None is the architecture's own, a number counts children, a name is a place's.

    Raises ValueError for a cut that keeps no child, lies behind the features, or names no place.
    """
    name = _registered_name(arch)
    graph = read_graph(name) if name else graphs.read_network(_on_meta(arch))
    if cut is None and name is None:
        place = _own_place(_on_meta(arch), graph, _title(arch))
    else:
        place = _place(graph, cut, _title(arch))
    return _as_cut(place, graph)


@lru_cache(maxsize=128)
def read_graph(name: str) -> Graph:
    """Legal cuts and layouts of a registered architecture, without its modules."""
    if timm_archs.is_timm(name):
        return timm_archs.read_graph(_original_on_meta(name))
    return graphs.read_network(_original_on_meta(name))


def skips(arch: str) -> tuple[Place, ...]:
    """The last map of each scale of a registered architecture, from the finest on (graph facts)."""
    return graphs.last_maps(read_graph(get_arch(arch).name))


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
    parts = take_apart(build_original(arch, n_in), cut, _title(arch))
    if not timm_archs.is_timm(arch):
        adapt_input(parts.body, n_in, pretrained=isinstance(arch, nn.Module))
    if isinstance(arch, nn.Module) and weights == "imagenet":
        raise ValueError("An instance keeps the weights it came with: give a name to get ImageNet's.")
    if weights not in (None, "random"):
        load_weights(nn.Sequential(parts.body), weights, _title(arch), parts.names, parts.dropped_tensors)
    return parts.body


def build_original(arch: Architecture, n_in: int = 3) -> nn.Module:
    """The whole network with random weights; an instance is handed back as it is.

    timm builds for `n_in` channels itself; any other network takes 3 until `adapt_input`.
    """
    if isinstance(arch, nn.Module):
        return arch
    name = _registered_name(arch)
    if timm_archs.is_timm(name):
        return timm_archs.build(name, n_in)
    if name is not None:
        return to_blank(torchvision.models.get_model(name, weights=None, **OPTIONS.get(name, {})))
    model = arch()
    if not isinstance(model, nn.Module):
        raise ValueError(f"An architecture is a name, a function that builds a module, or a module, not {arch!r}.")
    return to_blank(model)


def take_apart(original: nn.Module, cut: int | str | None = None, title: str = "") -> Parts:
    """Body and remainder of a network; the modules are the original's own, not copies.

    Raises ValueError as `resolve_cut`; `title` is what its sentence calls the network. The title of a registered
    architecture says that the network is one: its graph is then remembered.
    """
    title = title or type(original).__name__
    if timm_archs.is_timm(title):
        graph = read_graph(title)
        entries, dropped = _open_at(original, _place(graph, cut, title), graph.traced)
    elif title in list_archs():
        if cut is None:
            entries, dropped = _open_at_own_cut(original, title)
        else:
            entries, dropped = _open_at(original, _place(read_graph(title), cut, title), traced=True)
    else:
        on_meta = blank_copy(original)
        graph = graphs.read_network(on_meta)
        place = _own_place(on_meta, graph, title) if cut is None else _place(graph, cut, title)
        entries, dropped = _open_at(original, place, graph.traced)
    body = nn.Sequential(*(module for _, module in entries))
    names = tuple(name for name, _ in entries)
    children = tuple(name for name, child in original.named_children() if not isinstance(child, nn.ModuleList))
    return Parts(body, names, tuple(dropped), _dropped_tensors(original, names, body), children)


@lru_cache(maxsize=16, typed=True)
def blank_parts(name: str, cut: int | str | None, n_in: int) -> Parts:
    """A registered architecture taken apart on the meta device, in eval mode.

    Handed to all who ask, in any thread, with modules that bodies of other cuts have, too: it may be run, not changed,
    and a hook on it must look which thread calls it. Raises ValueError as `resolve_cut` and `adapt_input`.
    """
    if n_in == 3:
        return take_apart(_original_on_meta(name), cut, name)
    if timm_archs.is_timm(name):
        with Blank():
            return take_apart(build_original(name, n_in).eval(), cut, name)
    parts = blank_parts(name, cut, 3)
    body = _copy_to_first_layer(parts.body)
    with Blank():
        adapt_input(body, n_in, pretrained=False)
    return replace(parts, body=body)


def _copy_to_first_layer(body: nn.Sequential) -> nn.Sequential:
    """The body with the modules around its first layer copied, so that this can be exchanged; the others are shared."""
    around = first_kernel(body).split(".")[:-2]
    copied = {".".join(around[:i]) for i in range(len(around) + 1)}
    shared = {id(module): module for name, module in body.named_modules() if name not in copied}
    return copy.deepcopy(body, shared)


def child_names(arch: Architecture, cut: int | str | None = None) -> tuple[str, ...]:
    """The architecture's own names of the body's children: body child "4" of a resnet is "layer1"."""
    return _outline(arch, cut)[0]


def dropped_parts(arch: Architecture, cut: int | str | None = None) -> tuple[tuple[str, str, int], ...]:
    """What the cut throws away, in order: (name, class, parameters), as ("fc", "Linear", 513000)."""
    return _outline(arch, cut)[1]


def count_features(body: nn.Module, n_in: int = 3, sizes: tuple[int, ...] = SIZES) -> int:
    """Channels that come out of a body, found with a blank picture: 32 px, and larger while that does not do.

    Raises ValueError for a body that runs at no size up to 2048 px.
    """
    device = next((p.device for p in body.parameters()), torch.device("cpu"))
    learning = [module for module in body.modules() if module.training]
    body.eval()
    try:
        for size in sizes:
            try:
                with torch.no_grad():
                    return body(torch.zeros(1, n_in, size, size, device=device)).shape[1]
            except (RuntimeError, ValueError, TypeError, AssertionError) as error:
                reason = str(error).strip().splitlines()[0]
    finally:
        for module in learning:
            module.training = True
    span = f"at any size from {sizes[0]} to {sizes[-1]} pixels" if len(sizes) > 1 else f"at {sizes[0]} pixels"
    raise ValueError(f"The body does not run on {n_in} channels {span}: {reason}.")


def adapt_input(body: nn.Module, n_in: int, *, pretrained: bool) -> None:
    """Give the first convolution `n_in` input channels, in place; nothing happens for 3 (fastai facts A.5).

    A pretrained kernel is adapted by `weights.adapt_kernel`; its bias, like an untrained layer, starts anew.
    Raises ValueError where the first layer is no convolution over 3 channels.
    """
    if n_in < 1:
        raise ValueError(f"A picture has at least one channel, not {n_in}: choose 1 for grey or 3 for colour.")
    name = first_kernel(body).rpartition(".")[0]
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
    return name if is_arch(name) else None


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
        return blank_copy(arch)
    with Blank():
        return build_original(arch)


@lru_cache(maxsize=4)
def _original_on_meta(name: str) -> nn.Module:
    with Blank():
        return build_original(name).eval()


@lru_cache(maxsize=128)
def _legal_cuts(name: str) -> tuple[Cut, ...]:
    return _list_cuts(read_graph(name))


def _list_cuts(graph: Graph) -> tuple[Cut, ...]:
    return tuple(_as_cut(place, graph) for place in graph.features)


def _as_cut(place: Place, graph: Graph) -> Cut:
    index = graph.children.index(place.name) + 1 if place.name in graph.children else None
    return Cut(
        place.name,
        index,
        _map_shape(place),
        place.params / max(1, graph.params),
        _note(place),
        None if index is None else index - len(graph.children),
    )


def _map_shape(place: Place) -> tuple[int, ...]:
    """(C, H, W) of the body's output."""
    channels = {graphs.MAP: 0, graphs.TOKENS_LAST: 0}.get(place.layout, -1)
    return (place.shape[channels], *place.grid)


def _note(place: Place) -> str:
    grid = "×".join(map(str, place.grid))
    if place.layout == graphs.MAP_LAST:
        return "the channel-last map is turned round"
    if place.layout in (graphs.TOKENS, graphs.TOKENS_LAST):
        return f"tokens are folded to a {grid} grid" + (", without the class token" if _extra(place) else "")
    return ""


def _extra(place: Place) -> int:
    """Tokens that are no cells of the grid: a class token."""
    return place.shape[place.layout == graphs.TOKENS_LAST] - place.grid[0] * place.grid[1]


def _outline(arch: Architecture, cut: int | str | None) -> tuple[tuple[str, ...], tuple[tuple[str, str, int], ...]]:
    """Names of the body's children, and what falls away; remembered for the registry's names."""
    name = _registered_name(arch)
    if name is not None:
        return _registered_outline(name, cut)
    parts = take_apart(_on_meta(arch), cut, _title(arch))
    return parts.names, parts.dropped


@lru_cache(maxsize=256, typed=True)
def _registered_outline(name: str, cut: int | str | None) -> tuple[tuple[str, ...], tuple[tuple[str, str, int], ...]]:
    parts = blank_parts(name, cut, 3)
    return parts.names, parts.dropped


def _open_at(original: nn.Module, place: Place, traced: bool) -> tuple[list[Entry], list[tuple[str, str, int]]]:
    if not traced and getattr(original, "ends_with_features", False):
        opened, dropped = timm_archs.open_stage(original, place.name)
        entries = [("", opened)]
    else:
        entries, dropped = (open_network if traced else open_children)(original, place.name)
    if place.layout == graphs.MAP_LAST:
        entries = [*entries, (TO_MAP, ChannelsFirst())]
    elif place.layout in (graphs.TOKENS, graphs.TOKENS_LAST):
        entries = [*entries, (TO_MAP, TokensToMap(_extra(place), place.layout == graphs.TOKENS_LAST))]
    return entries, dropped


def _open_at_own_cut(original: nn.Module, title: str) -> tuple[list[Entry], list[tuple[str, str, int]]]:
    """The default cut, found in the network's own `forward` alone, without a graph of all it holds: the last place
    before the classifier; tokens where the classifier picks one of them."""
    opened = open_features(original)
    if opened is None:
        return _open_at(original, _place(read_graph(title), None, title), traced=True)
    entries, dropped, picks_token = opened
    return ([*entries, (TO_MAP, TokensToMap())] if picks_token else entries), dropped


def _own_place(original: nn.Module, graph: Graph, title: str) -> Place:
    """The last place before the classifier of a network that nobody chose a cut for.

    Raises ValueError where there is none, or where less than a hundredth of the network would stay.
    """
    children = ", ".join(graph.children)
    pools = any(graphs.is_pool(module) for module in original.modules())
    if not graph.features or (not graph.traced and not pools):
        raise ValueError(f"{title} has no child with a pooling layer to cut at: choose a cut from {children}.")
    place = graph.features[-1]
    share = place.params / max(1, graph.params)
    if share < LEAST_SHARE:
        raise ValueError(
            f"Cut at {place.name!r}, before its pooling, {title} would keep {share:.1%} of its parameters: choose a "
            f"cut from {children}."
        )
    return place


def _place(graph: Graph, cut: int | str | None, title: str) -> Place:
    """The place that `cut` means; ValueError as `resolve_cut`."""
    if isinstance(cut, bool) or not isinstance(cut, (int, str, type(None))):
        raise ValueError(f"The cut is a number of children or the name of a layer, not {cut!r}.")
    if cut is None:
        return graph.features[-1]
    return _named_place(graph, cut, title) if isinstance(cut, str) else _counted_place(graph, cut, title)


def _named_place(graph: Graph, cut: str, title: str) -> Place:
    """The place of this name, of this node, or of a module that ends where a shallower one does ("layer3.5")."""
    names = [place.name for place in graph.features]
    for place in graph.features:
        inside = cut.startswith(f"{place.name}.") and f"{place.node}.".startswith(f"{cut}.")
        if cut == place.name or inside:
            return place
    near = difflib.get_close_matches(cut, names, n=3, cutoff=0.3) or names[-3:]
    raise ValueError(f"{title} cannot be cut behind {cut!r}: choose {' or '.join(near)}.")


def _counted_place(graph: Graph, cut: int, title: str) -> Place:
    """The place behind the last of `children[:cut]`; auxiliary heads, which do not run, are passed over."""
    names, places = graph.children, {place.name: place for place in graph.features}
    counts = [i for i, name in enumerate(names, start=1) if name in places]
    most = counts[-1] if counts else 0
    kept = cut if cut >= 0 else len(names) + cut
    if kept < 1:
        raise ValueError(f"A cut at {cut} keeps none of the {len(names)} children of {title}: choose 1 to {most}.")
    if kept > most:
        raise ValueError(
            f"A cut at {cut} is too deep for {title}: its features end with child {most}, {names[most - 1]!r}, "
            f"and what follows ({', '.join(names[most:])}) belongs to the old classifier, so choose 1 to {most}."
        )
    while kept > 1 and names[kept - 1] in graph.unused:
        kept -= 1
    if names[kept - 1] not in places:
        raise ValueError(
            f"{title} cannot be cut behind child {kept}, {names[kept - 1]!r}, because more than its output is needed "
            f"later: choose {' or '.join(map(str, counts))}."
        )
    return places[names[kept - 1]]


def _dropped_tensors(original: nn.Module, names: tuple[str, ...], body: nn.Sequential) -> frozenset[str]:
    """Children behind the cut are numbered on as fastai would; those that never run come last."""
    kept = {own_key(names[int(i)], rest) for i, _, rest in (key.partition(".") for key in _tensor_names(body))}
    children = [name for name, _ in original.named_children()]
    last = max((children.index(name) for name in names if name in children), default=-1)
    behind = [name for i, name in enumerate(children) if i > last and name not in names]
    numbers = {name: i for i, name in enumerate((*names, *behind))}
    gone = set()
    for key in _tensor_names(original) - kept:
        child, _, rest = key.partition(".")
        numbered = f"0.{key}" if names[0] == "" else f"{numbers.get(child, len(numbers))}.{rest}"
        gone |= {key, numbered, f"0.{numbered}"}
    return frozenset(gone)


def _tensor_names(module: nn.Module) -> set[str]:
    """Names of the tensors that a weights file of it holds."""
    return set(module.state_dict(keep_vars=True))
