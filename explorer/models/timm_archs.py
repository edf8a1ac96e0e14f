"""timm's architectures, named "timm:NAME", where timm is installed: an extra, off by default.

`EXPLORER_TIMM=1` lists them among the bodies; naming one needs no switch. timm is imported only when one is named.

A network is built with its classifier, so that checkpoints fit by name, but its `forward` ends with its features
(timm's `forward_features`), the last map or tokens before pooling. It is cut in its graph like any other; one that
torch.fx cannot trace, or whose features are no single map, is cut at the stages that timm itself can stop at
(`forward_intermediates`).
"""

from __future__ import annotations

import copy
import difflib
import os
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models import graphs
from explorer.models.graphs import Graph, Place
from explorer.models.meta import Blank, ShapesOnly

PREFIX = "timm:"
SWITCH = "EXPLORER_TIMM"
LAST = "features"  # the place behind all features, where the stages before it are found by running
MOST_EXTRA = 2  # class and distillation token, where a network does not say how many tokens are no cells
PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_.-]+)?")


def is_timm(name: object) -> bool:
    """Whether a name is meant for timm."""
    return isinstance(name, str) and name.startswith(PREFIX)


def installed() -> bool:
    """Whether timm can be imported; it is not imported to find out."""
    return find_spec("timm") is not None


def offered() -> tuple[str, ...]:
    """Names of all of timm's architectures where they are switched on, else none."""
    on = os.environ.get(SWITCH, "").lower() not in ("", "0", "false", "no", "off")
    return names() if on and installed() else ()


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """Names of all of timm's architectures, without the tags of their weights."""
    import timm

    return tuple(PREFIX + name for name in timm.list_models())


def check(name: str) -> None:
    """ValueError for a name that cannot be built: timm is not installed, or has no such architecture or weights tag."""
    if not installed():
        raise ValueError(f"The body {name!r} needs timm: run pip install timm and start the app again.")
    plain = name.removeprefix(PREFIX)
    arch, _, tag = plain.partition(".")
    if not PLAIN_NAME.fullmatch(plain) or PREFIX + arch not in _known():
        near = difflib.get_close_matches(PREFIX + arch, names(), n=3, cutoff=0.4) or names()[:3]
        raise ValueError(f"timm has no architecture {plain[:60]!r}: choose {' or '.join(near)}.")
    tags = _tags(arch)
    if tag and tag not in tags:
        raise ValueError(f"timm has no weights {tag[:60]!r} of {arch}: choose {' or '.join(tags[:3]) or 'no tag'}.")


def family(name: str) -> str:
    """The letters that a name begins with: "timm:resnet50d" is a "timm:resnet"."""
    return PREFIX + re.match(r"[A-Za-z]*", name.removeprefix(PREFIX))[0]


def statistics(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of the pictures that its weights were trained on, one value a channel."""
    cfg = config(name)
    return tuple(cfg.mean), tuple(cfg.std)


@lru_cache(maxsize=256)
def config(name: str) -> Any:
    """timm's description of an architecture's weights (`PretrainedCfg`); timm's defaults where it has none."""
    from timm.models import PretrainedCfg, get_pretrained_cfg

    check(name)
    return get_pretrained_cfg(name.removeprefix(PREFIX)) or PretrainedCfg()


@lru_cache(maxsize=256)
def picture_side(name: str) -> int:
    """Side in pixels of the square picture that it is looked at with: 224, or its own where that does not run."""
    cfg = config(name)
    own = max(cfg.input_size[1:])
    if cfg.fixed_input_size or own == graphs.SIZE:
        return own
    with Blank():
        network = build(name)
    try:
        with torch.no_grad(), ShapesOnly():
            network.eval()(torch.empty(1, 3, graphs.SIZE, graphs.SIZE, device="meta"))
    except Exception:  # a foreign forward may fail in any way
        return own
    return graphs.SIZE


def build(name: str, n_in: int = 3) -> nn.Module:
    """The network with random weights, whose `forward` gives its features; on the meta device under `Blank`.

    Raises ValueError with one sentence where timm cannot build it.
    """
    import timm

    check(name)
    more = {} if n_in == 3 else {"in_chans": n_in}
    try:
        network = timm.create_model(name.removeprefix(PREFIX), pretrained=False, **more)
    except Exception as error:  # a foreign builder may fail in any way
        channels = f" for {n_in} channels" if more else ""
        raise ValueError(f"timm cannot build {name.removeprefix(PREFIX)}{channels}: {_first_line(error)}.") from error
    if any(parameter.is_meta for parameter in network.parameters()):
        network.to("meta")
    return _ends_with_features(network)


def read_graph(name: str, network: nn.Module) -> Graph:
    """Legal cuts of a network of meta tensors: in its graph, or at its stages where that cannot be had.

    Raises ValueError where neither is possible.
    """
    network.picture = (3, picture_side(name))
    try:
        graph = graphs.read_graph(network)
    except ValueError:
        return read_stages(network)
    return graph if _ends_in_a_map(network, graph) else read_stages(network)


def read_stages(network: nn.Module) -> Graph:
    """Places behind the stages that `feature_info` lists, and behind all features.

    Raises ValueError for a network that does not run, or that cannot stop at a stage and gives no map either.
    """
    x = graphs.blank_picture(network)
    places = []
    with torch.no_grad(), ShapesOnly(), graphs.resting(network):
        for i, name in enumerate(stage_names(network)):
            try:
                out = _stage(network, i)(x)
            except Exception:  # timm cannot stop there
                continue
            if _is_square_map(out):
                places.append(_place(name, out, _used(_stage(network, i), x)))
        try:
            out = network(x)
        except Exception as error:  # a foreign forward may fail in any way
            raise ValueError(f"{_title(network)} does not run on shapes alone: {_first_line(error)}.") from error
    layout, grid = features_layout(network, out)
    if grid is not None:
        places.append(Place(LAST, LAST, tuple(out.shape[1:]), layout, grid, "", _used(network, x)))
    if not places:
        raise ValueError(f"{_title(network)} gives no map of features at any of its stages: choose another body.")
    total = sum(p.numel() for p in network.parameters())
    children = tuple(name for name, _ in network.named_children())
    return Graph(tuple(places), len(places), children, (), total, traced=False)


def open_stage(network: nn.Module, place: str) -> tuple[nn.Module, list[tuple[str, str, int]]]:
    """The network up to a place of `read_stages`, without the modules that do not run there, and what falls away.

    Modules are the network's own, not copies.
    """
    found = stage_names(network)
    opened = network if place == LAST else _stage(network, found.index(place))
    return _without(opened, _idle(opened))


def stage_names(network: nn.Module) -> tuple[str, ...]:
    """What the stages are called: the modules that `feature_info` lists, numbered where names would meet."""
    listed = _feature_info(network) if hasattr(network, "forward_intermediates") else []
    modules = [str(info.get("module", "")) for info in listed]
    whole = len(set(modules)) == len(modules) and all(modules)
    return tuple(modules) if whole else tuple(f"stage{i}" for i in range(len(modules)))


def split_of(network: nn.Module, names: Sequence[str]) -> tuple[str, ...] | None:
    """What follows the third-last scale of `feature_info`, or the middle one of its places where there are fewer
    scales; `names` are the body's modules in order. None where `feature_info` does not tell."""
    listed = [(str(info.get("module")), info.get("reduction")) for info in _feature_info(network)]
    listed = [(name, scale) for name, scale in listed if any(_inside(n, name) for n in names)]
    if len(listed) < 2:
        return None
    last_of_scale = {scale: name for name, scale in listed}
    scales = list(last_of_scale.values())
    before = scales[-3] if len(scales) > 2 else listed[len(listed) // 2 - 1][0]
    end = max(i for i, name in enumerate(names) if _inside(name, before))
    return (names[end + 1],) if end + 1 < len(names) else None


def pretrained(name: str) -> dict[str, Tensor]:
    """timm's own ImageNet weights by name, loaded by timm itself: from its cache, or the network.

    Raises OSError or whatever else timm raises where they cannot be had.
    """
    import timm

    return timm.create_model(name.removeprefix(PREFIX), pretrained=True).state_dict()


def has_weights(name: str) -> bool:
    """Whether timm knows where weights of it are."""
    return bool(config(name).has_weights)


def describe_weights(name: str) -> str:
    """One line on timm's weights: tag, where they are, licence.

    "resnet18.a1_in1k: timm's weights for 224 px pictures, licence apache-2.0; recipe https://…"
    """
    cfg = config(name)
    arch = name.removeprefix(PREFIX).partition(".")[0]
    tagged = f"{arch}.{cfg.tag}" if cfg.tag else arch
    licence = f"licence {cfg.license}" if cfg.license else "licence not stated"
    where = cfg.origin_url or (f"https://huggingface.co/{cfg.hf_hub_id}" if cfg.hf_hub_id else cfg.url) or "not stated"
    return f"{tagged}: timm's weights, made for {max(cfg.input_size[1:])} px; {licence}; recipe {where}"


def file_in(folder: Path, name: str) -> Path | None:
    """A weights file of a folder: "resnet18.safetensors", "resnet18.a1_in1k.pth"; None where there is none."""
    plain = name.removeprefix(PREFIX)
    endings = (".safetensors", ".pth")
    alike = [path for path in sorted(folder.glob(f"{plain}.*")) if path.suffix in endings and path.is_file()]
    return alike[0] if alike else None


# ---- networks that end with their features ---------------------------------------------------------------------------


def _ends_with_features(network: nn.Module) -> nn.Module:
    """The network itself, of a class of the same name whose `forward` is timm's `forward_features`."""
    kind = type(network)
    if not hasattr(kind, "forward_features"):
        raise ValueError(f"timm's {kind.__name__} does not tell its features: choose another body.")
    more = getattr(network, "num_prefix_tokens", None)
    members = {
        "forward": kind.forward_features,
        "ends_with_features": True,
        "extra_tokens": tuple(range(MOST_EXTRA + 1)) if more is None else (more,),
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
    }
    network.__class__ = type(kind.__name__, (kind,), members)
    return network


def _stage(network: nn.Module, index: int) -> nn.Module:
    """The network once more, over the same modules, ending with one of its stages, channels first."""
    kind = type(network)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_intermediates(
            x, indices=[index], stop_early=True, output_fmt="NCHW", intermediates_only=True
        )[-1]

    opened = copy.copy(network)
    opened._modules = dict(network._modules)
    opened.__class__ = type(kind.__name__, (kind,), {"forward": forward, "__module__": kind.__module__})
    return opened


def _ends_in_a_map(network: nn.Module, graph: Graph) -> bool:
    """Whether the last legal cut is all that the network gives, and can be laid out as a map."""
    if len(graph.features) < 3 or graph.features[-1] != graph.places[-1]:
        return False
    with torch.no_grad(), ShapesOnly(), graphs.resting(network):
        out = network(graphs.blank_picture(network))
    return isinstance(out, Tensor) and tuple(out.shape[1:]) == graph.places[-1].shape


def features_layout(network: nn.Module, out: object) -> tuple[str, tuple[int, int] | None]:
    """How the features are laid out, and the grid of their map; None where they are none (a list, no square)."""
    if not isinstance(out, Tensor) or out.ndim not in (3, 4):
        return graphs.OTHER, None
    shape = tuple(out.shape[1:])
    if len(shape) == 3:
        for layout, sides in ((graphs.MAP, shape[1:]), (graphs.MAP_LAST, shape[:2])):
            if sides[0] == sides[1]:
                return layout, sides
        return graphs.OTHER, None
    for extra in network.extra_tokens:
        side = isqrt(max(0, shape[0] - extra))
        if side and side * side == shape[0] - extra:
            return graphs.TOKENS, (side, side)
    return graphs.OTHER, None


def _is_square_map(out: object) -> bool:
    return isinstance(out, Tensor) and out.ndim == 4 and out.shape[2] == out.shape[3]


def _place(name: str, out: Tensor, params: int) -> Place:
    shape = tuple(out.shape[1:])
    return Place(name, name, shape, graphs.MAP, shape[1:], "container", params)


def _used(network: nn.Module, x: Tensor) -> int:
    """Parameters of the modules that run, and of those that hold them."""
    idle = _idle(network, x)
    gone = {id(p) for name in idle for p in network.get_submodule(name).parameters()}
    return sum(p.numel() for p in network.parameters() if id(p) not in gone)


def _idle(network: nn.Module, x: Tensor | None = None) -> tuple[str, ...]:
    """The shallowest modules in which nothing runs in eval mode, of the network's own children and of its lists."""
    ran: set[nn.Module] = set()
    blank = network if x is not None else _blank_copy(network)
    x = graphs.blank_picture(blank) if x is None else x
    hooks = [
        module.register_forward_pre_hook(lambda module, args: ran.add(module)) for module in blank.modules()
    ]
    try:
        with torch.no_grad(), ShapesOnly(), graphs.resting(blank):
            blank(x)
    finally:
        for hook in hooks:
            hook.remove()
    idle = []
    for name, child in blank.named_children():
        if not any(module in ran for module in child.modules()):
            idle.append(name)
        elif isinstance(child, (nn.ModuleList, nn.Sequential)):
            inside = child.named_children()
            idle += [f"{name}.{k}" for k, each in inside if not any(module in ran for module in each.modules())]
    return tuple(name for name in idle if any(True for _ in blank.get_submodule(name).parameters()))


def _without(network: nn.Module, idle: Sequence[str]) -> tuple[nn.Module, list[tuple[str, str, int]]]:
    """The network without these modules, over the same others, and (name, class, parameters) of each.

    They become identities without weights, so that a `forward` that only looks at them still runs.
    """
    opened = copy.copy(network)
    opened._modules = dict(network._modules)
    dropped = []
    for name in idle:
        gone = network.get_submodule(name)
        dropped.append((name, type(gone).__name__, sum(p.numel() for p in gone.parameters())))
        outer, _, key = name.rpartition(".")
        if outer and opened._modules[outer] is network._modules[outer]:
            opened._modules[outer] = copy.copy(network._modules[outer])
            opened._modules[outer]._modules = dict(network._modules[outer]._modules)
        (opened._modules[outer] if outer else opened)._modules[key] = nn.Identity()
    return opened, dropped


def _blank_copy(module: nn.Module) -> nn.Module:
    """A copy on the meta device; the numbers are not copied on the way."""
    tensors = [*module.parameters(), *module.buffers()]
    blank = {
        id(t): nn.Parameter(t.detach().to("meta"), t.requires_grad) if isinstance(t, nn.Parameter) else t.to("meta")
        for t in tensors
    }
    return copy.deepcopy(module, blank)


@lru_cache(maxsize=1)
def _known() -> frozenset[str]:
    return frozenset(names())


@lru_cache(maxsize=256)
def _tags(arch: str) -> tuple[str, ...]:
    from timm.models import list_pretrained

    begins = f"{arch}."
    return tuple(name.removeprefix(begins) for name in list_pretrained(f"{begins}*") if name.startswith(begins))


def _feature_info(network: nn.Module) -> list[dict]:
    info = getattr(network, "feature_info", None) or []
    return [entry for entry in getattr(info, "info", info) if isinstance(entry, dict)]


def _inside(name: str, outer: str) -> bool:
    return name == outer or name.startswith(f"{outer}.")


def _title(network: nn.Module) -> str:
    return type(network).__name__


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
