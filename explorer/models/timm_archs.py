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
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from explorer.models import graphs
from explorer.models.graphs import Graph, Place
from explorer.models.meta import Blank, ShapesOnly, blank_copy

PREFIX = "timm:"
SWITCH = "EXPLORER_TIMM"
WEIGHTS, OLD_WEIGHTS = "model.safetensors", "pytorch_model.bin"  # files of timm's repositories
PATIENCE = 4  # seconds that a host of weights may take for its first answer
LAST = "features"  # the place behind all features, where the stages before it are found by running
FEW_STAGES = 8  # that are run one by one, to see what each needs
MOST_EXTRA = 2  # class and distillation token, where a network does not say how many tokens are no cells
PLAIN_NAME = re.compile(r"[A-Za-z0-9_]{1,80}(\.[A-Za-z0-9_.-]{1,80})?")


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
        near = difflib.get_close_matches(PREFIX + arch[:60], names(), n=3, cutoff=0.4) or names()[:3]
        raise ValueError(f"timm has no architecture {plain[:60]!r}: choose {' or '.join(near)}.")
    tags = _tags(arch)
    if tag and tag not in tags:
        raise ValueError(f"timm has no weights {tag[:60]!r} of {arch}: choose {' or '.join(tags[:3]) or 'no tag'}.")


def knows(name: str) -> bool:
    """Whether `check` has nothing to say."""
    try:
        check(name)
    except ValueError:
        return False
    return True


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
        network = _create(name)
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
    network = _create(name, n_in)
    network.picture = (n_in, picture_side(name))
    return network


def _create(name: str, n_in: int = 3) -> nn.Module:
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


def read_graph(network: nn.Module) -> Graph:
    """Legal cuts of a network of meta tensors: in its graph, or at its stages where that cannot be had.

    Raises ValueError where neither is possible.
    """
    try:
        graph = graphs.read_graph(network)
    except ValueError:
        return read_stages(network)
    fine = len(graph.features) >= len(stage_names(network))  # a rotary table that all blocks share leaves few places
    return _without_shared_inputs(network, graph) if fine and _ends_in_a_map(network, graph) else read_stages(network)


def _without_shared_inputs(network: nn.Module, graph: Graph) -> Graph:
    """Without the places inside blocks that are given more than a map: a rotary table, a mask."""
    opened, _ = graphs.record(network, opened=True)
    given_more = {n.target for n in opened.nodes if n.op == "call_module" and len(n.args) + len(n.kwargs) > 1}
    places = tuple(p for p in graph.places if not any(p.name.startswith(f"{block}.") for block in given_more))
    return replace(graph, places=places, kept=len(places))


def read_stages(network: nn.Module) -> Graph:
    """Places behind the stages that `feature_info` lists, and behind all features.

    Raises ValueError for a network that does not run, or that cannot stop at a stage and gives no map either.
    """
    x = graphs.blank_picture(network)
    stages = stage_names(network)
    places = []
    with torch.no_grad(), ShapesOnly(), graphs.resting(network):
        for i, out in _stage_maps(network, x, len(stages)):
            places.append(_place(stages[i], out, _params_up_to(network, i, stages[i], x)))
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
    lean, dropped = _without(opened, _idle(opened))
    return (lean, dropped) if _runs(blank_copy(lean)) else (opened, [])


def stage_names(network: nn.Module) -> tuple[str, ...]:
    """What the stages are called: the modules that `feature_info` lists, numbered where names would meet."""
    listed = _feature_info(network) if hasattr(network, "forward_intermediates") else []
    modules = [str(info.get("module", "")) for info in listed]
    whole = len(set(modules)) == len(modules) and all(modules)
    return tuple(modules) if whole else tuple(f"stage{i}" for i in range(len(modules)))


def split_of(network: nn.Module, names: Sequence[str]) -> tuple[str, ...] | None:
    """What follows the third-last scale of `feature_info`, or the middle one of its places where there are fewer
    scales; `names` are the body's modules in order. None where `feature_info` does not tell.
    """
    listed = [(str(info.get("module")), info.get("reduction")) for info in _feature_info(network)]
    listed = [(name, scale) for name, scale in listed if any(_inside(n, name) for n in names)]
    if len(listed) < 2 or len(dict(listed)) < len(listed):
        return None
    last_of_scale = {scale: name for name, scale in listed}
    scales = list(last_of_scale.values())
    before = scales[-3] if len(scales) > 2 else listed[len(listed) // 2 - 1][0]
    end = max(i for i, name in enumerate(names) if _inside(name, before))
    return (names[end + 1],) if end + 1 < len(names) else None


def middle_of(body: nn.Module, names: Sequence[str]) -> str:
    """The module of a body behind which the second half of its parameters stands; `names` in order."""
    modules = [module for _, module in body.named_modules(remove_duplicate=False)]
    own = [sum(p.numel() for p in module.parameters(recurse=False)) for module in modules]
    seen = 0
    for name, count in zip(names, own, strict=True):
        if seen and 2 * (seen + count) > sum(own):
            return name
        seen += count
    return names[-1]


def pretrained(name: str, stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of timm's checkpoint as timm itself loads them: under today's names, in today's shapes.

    Raises whatever timm raises where they do not fit.
    """
    import timm

    source = {"state_dict": stored, "source": "timm"}
    plain = name.removeprefix(PREFIX)
    return timm.create_model(plain, pretrained=True, pretrained_cfg_overlay=source).state_dict()


def fetch(name: str) -> Path:
    """The file of its weights, from the cache of huggingface_hub or torch.hub, or the network.

    The network is asked once, for the file's headers, before huggingface_hub downloads: it would ask five times more.
    Raises whatever these raise where it cannot be had.
    """
    cfg = config(name)
    if not cfg.hf_hub_id:
        from timm.models import download_cached_file

        return Path(download_cached_file(cfg.url, progress=False))
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError

    repository, _, revision = cfg.hf_hub_id.partition("@")
    for file in filter(None, (cfg.hf_hub_filename, WEIGHTS, OLD_WEIGHTS)):
        cached = try_to_load_from_cache(repository, file, revision=revision or None)
        if isinstance(cached, str):
            return Path(cached)
    file = cfg.hf_hub_filename or WEIGHTS
    try:
        get_hf_file_metadata(hf_hub_url(repository, file, revision=revision or None), timeout=PATIENCE)
    except EntryNotFoundError:
        file = OLD_WEIGHTS
    return Path(hf_hub_download(repository, file, revision=revision or None))


def host(name: str) -> str:
    """Where its weights are: "huggingface.co"."""
    cfg = config(name)
    return "huggingface.co" if cfg.hf_hub_id else str(cfg.url).split("/")[2]


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
        if side > 1 and side * side == shape[0] - extra:
            return graphs.TOKENS, (side, side)
    return graphs.OTHER, None


def _stage_maps(network: nn.Module, x: Tensor, count: int) -> list[tuple[int, Tensor]]:
    """The square maps among the outputs of `count` stages, with their numbers; none where timm cannot stop at them."""
    try:
        found = network.forward_intermediates(x, output_fmt="NCHW", intermediates_only=True) if count else []
    except Exception:  # a foreign forward may fail in any way
        return []
    return [(i, out) for i, out in enumerate(found[:count]) if _is_square_map(out)]


def _params_up_to(network: nn.Module, index: int, name: str, x: Tensor) -> int:
    """Parameters used up to a stage; of many stages, those of the modules that stand before it or in it."""
    modules = [each for each, _ in network.named_modules()]
    if name not in modules or len(stage_names(network)) <= FEW_STAGES:
        return _used(_stage(network, index), x)
    end = max(i for i, each in enumerate(modules) if _inside(each, name))
    return sum(p.numel() for each in modules[: end + 1] for p in network.get_submodule(each).parameters(recurse=False))


def _is_square_map(out: object) -> bool:
    return isinstance(out, Tensor) and out.ndim == 4 and out.shape[2] == out.shape[3]


def _place(name: str, out: Tensor, params: int) -> Place:
    shape = tuple(out.shape[1:])
    return Place(name, name, shape, graphs.MAP, shape[1:], "container", params)


def _runs(network: nn.Module) -> bool:
    try:
        with torch.no_grad(), ShapesOnly(), graphs.resting(network):
            network(graphs.blank_picture(network))
    except Exception:  # a foreign forward may fail in any way
        return False
    return True


def _used(network: nn.Module, x: Tensor) -> int:
    """Parameters of the modules that run, and of those that hold them."""
    idle = _idle(network, x)
    gone = {id(p) for name in idle for p in network.get_submodule(name).parameters()}
    return sum(p.numel() for p in network.parameters() if id(p) not in gone)


def _idle(network: nn.Module, x: Tensor | None = None) -> tuple[str, ...]:
    """The shallowest modules in which nothing runs in eval mode, of the network's own children and of its lists."""
    ran: set[nn.Module] = set()
    blank = network if x is not None else blank_copy(network)
    x = graphs.blank_picture(blank) if x is None else x
    hooks = [module.register_forward_pre_hook(lambda module, args: ran.add(module)) for module in blank.modules()]
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
