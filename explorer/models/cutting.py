"""Cutting a module in its graph: what stands before a place stays, what stands behind it falls away.

Only the modules that the cut lies in are opened, one inside the other; every other one stays the network's own, whole.
"""

from __future__ import annotations

import copy
import operator
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, fx, nn

from explorer.models.graphs import features_end, record, record_calls

Entry = tuple[str, nn.Module]
Dropped = tuple[str, str, int]


class Opened(fx.GraphModule):
    """The part of a module's `forward` that stands before a cut, over the module's own children and parameters.

    It goes by the class of the module it was made from, in copies, too.
    """

    def __deepcopy__(self, memo: dict) -> Opened:
        copied = super().__deepcopy__(memo)
        type(copied).__name__ = type(self).__name__
        return copied


class TokensToMap(nn.Module):
    """Tokens folded to the grid they come from: (B, S, C) -> (B, C, side, side); a class token in front is dropped.

    last  the tokens come as (B, C, S)
    """

    def __init__(self, extra: int = 1, last: bool = False):
        super().__init__()
        self.extra, self.last = extra, last

    def forward(self, tokens: Tensor) -> Tensor:
        channels_first = tokens if self.last else tokens.transpose(1, 2)
        cells = channels_first[:, :, self.extra :]
        side = round(cells.shape[2] ** 0.5)
        return cells.reshape(cells.shape[0], cells.shape[1], side, side)

    def extra_repr(self) -> str:
        return f"extra={self.extra}" + (", last=True" if self.last else "")


class ChannelsFirst(nn.Module):
    """A channel-last map turned round: (B, H, W, C) -> (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)


def is_chain(module: nn.Module) -> bool:
    """Whether a module runs its children one after the other: a `nn.Sequential`, or a subclass with its forward."""
    return isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward and len(module) > 0


def open_network(network: nn.Module, place: str) -> tuple[list[Entry], list[Dropped]]:
    """The modules that lead to a place, one after the other, with the network's own names, and what falls away.

    place  a node's or a module's name, as `graphs.Place` has it

    Where the network's own `forward` is no chain, there is one module, `Opened`, whose name is "".
    Raises ValueError for a place that is not there, or a network that cannot be traced.
    """
    if is_chain(network):
        return _cut_chain(network, place, "")
    graph, names = record(network, opened=True)
    return _as_entries(network, graph, *_cut_graph(network, graph, names, _find(names, place), place, ""))


def open_features(network: nn.Module) -> tuple[list[Entry], list[Dropped], bool] | None:
    """The same up to the network's own cut, the last place before its classifier, which is found in its own `forward`
    alone; and whether the classifier picks one token there. None where nothing comes before a classifier."""
    try:
        graph, names = record_calls(network)
    except ValueError:
        graph, names = record(network, opened=True)
    end, picks_token = features_end(network, graph)
    if end is None:
        return None
    return *_as_entries(network, graph, *_cut_graph(network, graph, names, end, names[end], "")), picks_token


def open_children(network: nn.Module, place: str) -> tuple[list[Entry], list[Dropped]]:
    """The same for a network that cannot be traced: its children are taken to run one after the other."""
    return _cut_chain(network, place, "")


def describe(name: str, module: nn.Module) -> Dropped:
    """(name, class, parameters) of a module."""
    return name, type(module).__name__, sum(p.numel() for p in module.parameters())


def _shorten(module: nn.Module, place: str, name: str) -> tuple[nn.Module, list[Dropped]]:
    """A module up to a place inside it, "" for its end, and what falls away; `name` is its own, for what is told."""
    if not place:
        return module, []
    if is_chain(module):
        entries, dropped = _cut_chain(module, place, name)
        kept = copy.copy(module)
        kept._modules = dict(entries)
        return kept, dropped
    graph, names = record(module, opened=True)
    shell, dropped = _cut_graph(module, graph, names, _find(names, place), place, name)
    return _opened(shell, graph, type(module).__name__), dropped


def _cut_chain(chain: nn.Sequential, place: str, name: str) -> tuple[list[Entry], list[Dropped]]:
    key, _, inside = place.partition(".")
    children = list(chain.named_children())
    keys = [k for k, _ in children]
    if key not in keys:
        raise ValueError(f"There is no place {_join(name, place)!r} to cut at.")
    end = keys.index(key)
    last, dropped = _shorten(children[end][1], inside, _join(name, key))
    dropped += [describe(_join(name, k), child) for k, child in children[end + 1 :]]
    return [*children[:end], (key, last)], dropped


def _as_entries(
    network: nn.Module, graph: fx.Graph, shell: nn.Module, dropped: list[Dropped]
) -> tuple[list[Entry], list[Dropped]]:
    return _as_chain(shell, graph) or [("", _opened(shell, graph, type(network).__name__))], dropped


def _cut_graph(
    module: nn.Module, graph: fx.Graph, names: dict[fx.Node, str], end: fx.Node | None, place: str, name: str
) -> tuple[nn.Module, list[Dropped]]:
    """The module with what stays of a child that the cut lies in, and what falls away; the graph is cut in place."""
    if end is None:
        raise ValueError(f"There is no place {_join(name, place)!r} to cut at.")
    dropped: list[Dropped] = []
    shell = module
    if end.op == "call_module" and place.startswith(f"{end.target}."):
        last, dropped = _shorten(
            module.get_submodule(end.target), place[len(end.target) + 1 :], _join(name, end.target)
        )
        shell = _with_child(module, end.target, last)
    _end_at(graph, end)
    used = {node.target for node in graph.nodes if node.op == "call_module"}
    dropped += [describe(_join(name, k), child) for k, child in _unused(module, used)]
    for node in graph.nodes:
        node.meta["name"] = names.get(node, "")
    return shell, dropped


def _find(names: dict[fx.Node, str], place: str) -> fx.Node | None:
    """The node that a place is, lies in, or (where it names a list of modules) that is the last in it."""
    exact = [node for node, name in names.items() if name == place and node.op not in ("placeholder", "get_attr")]
    around = [node for node, name in names.items() if place.startswith(f"{name}.") and node.op == "call_module"]
    within = [node for node, name in names.items() if name.startswith(f"{place}.") and node.op == "call_module"]
    return (exact[-1:] or around[-1:] or within[-1:] or [None])[0]


def _with_child(module: nn.Module, path: str, child: nn.Module) -> nn.Module:
    """The module with another child in a place; itself and the other children are left as they are."""
    key, _, inside = path.partition(".")
    changed = copy.copy(module)
    old = module._modules[key]
    changed._modules = {**module._modules, key: _with_child(old, inside, child) if inside else child}
    return changed


def _end_at(graph: fx.Graph, end: fx.Node) -> None:
    """Drop what stands behind a node, which becomes the output."""
    nodes = list(graph.nodes)
    for node in reversed(nodes[nodes.index(end) + 1 :]):
        graph.erase_node(node)
    graph.output(end)
    for node in reversed(list(graph.nodes)):
        if not node.users and (node.op == "get_attr" or node.target in READS):
            graph.erase_node(node)


def _unused(module: nn.Module, used: set[str]) -> list[Entry]:
    """Children, or elements of those whose elements are called one by one, that the graph does not call."""
    found = []
    for key, child in module.named_children():
        if isinstance(child, (nn.ModuleList, nn.ModuleDict)) or (key not in used and _in_use(key, used)):
            elements = [(f"{key}.{k}", element) for k, element in child.named_children()]
            inside = [(path, element) for path, element in elements if not _in_use(path, used)]
            found += [(key, child)] if len(inside) == len(elements) else inside
        elif key not in used:
            found.append((key, child))
    return found


def _in_use(path: str, used: set[str]) -> bool:
    return path in used or any(other.startswith(f"{path}.") for other in used)


def _as_chain(module: nn.Module, graph: fx.Graph) -> list[Entry]:
    """The graph's nodes as modules that follow one another; none where a node takes more than the one before."""
    entries: list[Entry] = []
    before = None
    for node in graph.nodes:
        if node.op == "output":
            break
        if node.op != "placeholder":
            step = _step(module, node) if node.all_input_nodes == [before] and node.args[:1] == (before,) else None
            if step is None:
                return []
            entries.append((node.meta["name"], step))
        before = node
    return _gather(entries) if len({id(step) for _, step in entries}) == len(entries) else []


def _gather(entries: Sequence[Entry]) -> list[Entry]:
    """Elements of a list of modules ("blocks.0", "blocks.1") as one chain that goes by the list's name."""
    gathered: list[Entry] = []
    for name, step in entries:
        key, _, inside = name.partition(".")
        if not inside:
            gathered.append((name, step))
        elif "." in inside:
            return []
        elif gathered and gathered[-1][0] == key:
            gathered[-1][1].add_module(inside, step)
        else:
            gathered.append((key, nn.Sequential(OrderedDict([(inside, step)]))))
    return gathered if len(dict(gathered)) == len(gathered) else []


def _step(module: nn.Module, node: fx.Node) -> nn.Module | None:
    """A node that takes one tensor as a module; None for a function that has none here."""
    if node.op == "call_module":
        return module.get_submodule(node.target) if len(node.args) == 1 and not node.kwargs else None
    name = node.target if node.op == "call_method" else FUNCTIONS.get(node.target)
    make = STEPS.get(name) if node.op in ("call_method", "call_function") else None
    return make(*node.args[1:], **node.kwargs) if make else None


def _permute(*dims: Any) -> nn.Module:
    return torchvision.ops.Permute(list(dims[0] if isinstance(dims[0], (tuple, list)) else dims))


READS = (getattr, operator.getitem, "size")
FUNCTIONS: dict[Callable, str] = {
    F.relu: "relu",
    torch.relu: "relu",
    torch.permute: "permute",
    torch.flatten: "flatten",
}
STEPS: dict[str, Callable[..., nn.Module]] = {"relu": nn.ReLU, "permute": _permute, "flatten": nn.Flatten}


def _opened(module: nn.Module, graph: fx.Graph, title: str) -> Opened:
    """The graph as a module; what depended on `self.training` while it was traced goes on doing so, and what an
    assertion says does not name the stand-in that was traced with."""
    for node in list(graph.nodes):
        if node.target is torch._assert and isinstance(node.args[1], str):
            node.args = (node.args[0], re.sub(r",? (but )?got Proxy\([^)]*\)", "", node.args[1]))
        if node.kwargs.get("training") is False:
            with graph.inserting_before(node):
                node.kwargs = {**node.kwargs, "training": graph.get_attr("training")}
    opened = Opened(module, graph, class_name=title)
    for name, child in list(opened.named_children()):
        bare = type(child) is nn.Module and not (child._parameters or child._buffers)
        if bare:  # what torch.fx puts in the place of a list of modules
            opened._modules[name] = nn.ModuleList()
            opened._modules[name]._modules = child._modules
    return opened


def _join(root: str, name: str) -> str:
    return f"{root}.{name}" if root else name
