"""A network as a graph: where it may be cut, and the last map of each scale.

The graph is recorded by torch.fx. A node is called by the path of its module, or of the module whose `forward` calls
the function: "layer1.0.conv1", "layer1.0.add", "relu"; what comes again gets a number ("relu_1").

A *legal cut* is a node after which exactly one tensor is still needed (graph facts): everything before it is a body
with one output. A node that ends modules goes by the shallowest of them ("layer1.0", "layer4").
"""

from __future__ import annotations

import copy
import inspect
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock, get_ident
from typing import Any

import torch
import torchvision
from torch import Tensor, fx, nn

from explorer.models.meta import ShapesOnly

Shape = tuple[int, ...]

SIZE = 224
SAME_SCALE = 1.5  # sizes closer than this factor count as one scale

MAP, MAP_LAST, TOKENS, TOKENS_LAST, OTHER = "map", "channel-last map", "tokens", "tokens last", "other"

TRACING = Lock()  # torch.fx replaces methods of nn.Module while it traces


@dataclass(frozen=True)
class Place:
    """A legal cut.

    name    what people call it: the shallowest module it ends, else its node
    node    its node
    shape   of its tensor for a 224×224 picture, without the batch, as the network has it
    layout  how the tensor is laid out: MAP (C, H, W), MAP_LAST (H, W, C), TOKENS (S, C), TOKENS_LAST (C, S), OTHER
    grid    (height, width) of the map, or of the map that the tokens are made from; None for OTHER
    ends    what it ends: "layer" (a module without modules inside), "container", or "" for a function between modules
    params  parameters of the network that are used up to here
    """

    name: str
    node: str
    shape: Shape
    layout: str
    grid: tuple[int, int] | None
    ends: str
    params: int


@dataclass(frozen=True)
class Graph:
    """Legal cuts of a whole network, in order, without the input itself; `kept` of them are features: the last of
    these stands before pooling and classifier.

    children  the network's own children
    unused    those of them that do not run in eval mode: auxiliary heads
    params    parameters of the whole network, those included
    traced    False where the network could not be traced, and its children are taken to run one after the other
    """

    places: tuple[Place, ...]
    kept: int
    children: tuple[str, ...]
    unused: tuple[str, ...]
    params: int
    traced: bool = True

    @property
    def features(self) -> tuple[Place, ...]:
        """The places where a body can end: features, and laid out so that they make a map."""
        return tuple(place for place in self.places[: self.kept] if place.layout != OTHER)


class Naming(fx.proxy.TracerBase):
    """Calls each node by the path of its module, or of the module whose `forward` calls the function."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.names: dict[fx.Node, str] = {}
        self._path = ""
        self._seen: Counter[str] = Counter()

    def create_node(self, kind: str, target: Any, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(kind, target, *args, **kwargs)
        own = re.sub(r"_\d+$", "", node.name)
        name = target if kind == "call_module" else f"{self._path}.{own}" if self._path else own
        self._seen[name] += 1
        self.names[node] = f"{name}_{self._seen[name] - 1}" if self._seen[name] > 1 else name
        return node


class CallRecorder(Naming, fx.proxy.GraphAppendingTracer):
    """Records what a `forward` does with its children, in whose places stand-ins stand that can only be called."""

    def stand_in(self, child: str) -> Callable[..., fx.Proxy]:
        """What makes a node instead of running the child of this name."""
        return lambda *args, **kwargs: self.create_proxy("call_module", child, args, kwargs)


class Recorder(Naming, fx.Tracer):
    """torch.fx's tracer; other threads may run modules meanwhile.

    opened  only the traced module itself is looked into, its children stay whole (a ModuleList's, too)
    """

    def __init__(self, opened: bool = False):
        self._whole, functions = timms_rules()
        super().__init__(autowrap_modules=(math, torchvision.ops), autowrap_functions=functions)
        self._opened = opened
        self._thread = get_ident()

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return self._opened or isinstance(m, self._whole) or super().is_leaf_module(m, module_qualified_name)

    def create_args_for_root(self, root_fn: Callable, is_module: bool, concrete_args: Any = None) -> Any:
        """Only what has no default is an input: a mask that nobody gives stays None."""
        more = list(inspect.signature(root_fn).parameters.values())[2:]
        if not more or any(each.default is each.empty for each in more if each.kind is each.POSITIONAL_OR_KEYWORD):
            return super().create_args_for_root(root_fn, is_module, concrete_args)

        def first_input_alone(module: nn.Module, x: Any) -> Any:
            return root_fn(module, x)

        return super().create_args_for_root(first_input_alone, is_module, concrete_args)

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: dict) -> Any:
        if get_ident() != self._thread:
            return attr_val
        return super().getattr(attr, attr_val, parameter_proxy_cache)

    def call_module(self, m: nn.Module, forward: Callable, args: tuple, kwargs: dict) -> Any:
        if get_ident() != self._thread:
            return forward(*args, **kwargs)
        outer, self._path = self._path, self.path_of_module(m)
        try:
            return super().call_module(m, forward, args, kwargs)
        finally:
            self._path = outer


def timms_rules() -> tuple[tuple[type, ...], tuple[Callable, ...]]:
    """Classes and functions that timm asks torch.fx to leave whole; none where timm is not in use."""
    if "timm" not in sys.modules:
        return (), ()
    from timm.models import get_notrace_functions, get_notrace_modules

    return tuple(get_notrace_modules()), tuple(filter(callable, get_notrace_functions()))


def record(module: nn.Module, *, opened: bool = False) -> tuple[fx.Graph, dict[fx.Node, str]]:
    """A module's graph and the names of its nodes, as it runs in eval mode.

    Raises ValueError for a module that torch.fx cannot trace: its `forward` depends on the numbers it is given.
    """
    try:
        with TRACING, resting(module, whole=not opened):
            tracer = Recorder(opened)
            graph = tracer.trace(module)
    except Exception as error:  # a foreign forward may do anything to the stand-in that it gets
        raise ValueError(f"{type(module).__name__} cannot be looked into: {_first_line(error)}.") from error
    return graph, tracer.names


def record_calls(module: nn.Module) -> tuple[fx.Graph, dict[fx.Node, str]]:
    """What `record(module, opened=True)` finds, for a `forward` that does nothing with the module's children but call
    them: in a fraction of the time, because torch.fx need not replace methods of all modules for it.

    Raises ValueError where it does more: it goes through a list of modules, or computes with a parameter.
    """
    graph = fx.Graph()
    recorder = CallRecorder(graph)
    opened = copy.copy(module)
    opened._modules = {
        name: None if child is None else recorder.stand_in(name) for name, child in module._modules.items()
    }
    opened.training = False
    try:
        out = type(module).forward(opened, recorder.create_proxy("placeholder", "x", (), {}))
        recorder.create_node("output", "output", (recorder.create_arg(out),), {})
    except Exception as error:  # as in `record`
        raise ValueError(f"{type(module).__name__} does more than call its children: {_first_line(error)}.") from error
    return graph, recorder.names


def alone(graph: fx.Graph) -> dict[fx.Node, bool]:
    """For each node whether, once it has run, nothing but its own value is still needed.

    Parameters that are read (`get_attr`) do not count.
    """
    order = {node: i for i, node in enumerate(graph.nodes)}
    last_use = {node: max((order[user] for user in node.users), default=-1) for node in order}
    alive: set[fx.Node] = set()
    found = {}
    for node, i in order.items():
        alive = {other for other in alive if last_use[other] > i}
        if node.op != "get_attr" and last_use[node] > i:
            alive.add(node)
        found[node] = alive == {node}
    return found


def closes(module: nn.Module, node: fx.Node) -> bool:
    """Whether a node of an opened network begins its classifier: it pools all, flattens, picks a token, classifies."""
    if node.op == "call_module":
        return _is_classifier(module.get_submodule(node.target))
    if node.op not in ("call_function", "call_method"):
        return False
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    if name == "getitem":
        return isinstance(node.args[1], tuple) and any(type(index) is int for index in node.args[1])
    return name in ("mean", "flatten") or name.startswith("adaptive_")


def features_end(module: nn.Module, graph: fx.Graph) -> tuple[fx.Node | None, bool]:
    """The last legal cut before the classifier in the graph of an opened network, and whether a token is picked there.

    None where nothing is legal before it. A network without a classifier (`ends_with_features`) ends where it returns.
    """
    legal = alone(graph)
    headless = getattr(module, "ends_with_features", False)
    end = None
    for node in graph.nodes:
        if node.op == "output" or (end is not None and not headless and closes(module, node)):
            picks = node.op == "call_function" and getattr(node.target, "__name__", "") == "getitem"
            return end, picks
        if legal[node] and node.op not in ("placeholder", "get_attr"):
            end = node
    return end, False


def read_network(network: nn.Module) -> Graph:
    """The graph of a network of meta tensors; where it cannot be traced, its children as a chain, as fastai takes them.

    Raises ValueError where it does not run on a 224×224 picture.
    """
    try:
        return read_graph(network)
    except ValueError:
        return read_chain(network)


def read_graph(network: nn.Module) -> Graph:
    """Legal cuts of a network of meta tensors, as it runs in eval mode on a 224×224 picture.

    Raises ValueError where it cannot be traced or does not run at this size.
    """
    graph, names = record(network)
    shapes = _shapes(network, graph)
    ends = _module_ends(network, graph, names)
    params = _params_used(network, graph)
    side, extra = _picture(network)[1], getattr(network, "extra_tokens", (0, 1))
    last_map = (side, side)
    places = []
    legal = alone(graph)
    for node in graph.nodes:
        shape = shapes.get(node)
        if shape is None or node.op in ("placeholder", "output", "get_attr"):
            continue
        layout, grid = _layout(shape, last_map, extra)
        if legal[node]:
            name = ends.get(node, "")
            kind = _kind(network, name)
            places.append(Place(name or names[node], names[node], shape, layout, grid, kind, params[node]))
        if grid and len(shape) == 3 and (legal[node] or (_is_conv(network, node) and grid != (1, 1))):
            last_map = grid
    children = tuple(name for name, _ in network.named_children())
    called = {name.partition(".")[0] for name in names.values()}
    return Graph(
        tuple(places),
        _count_features(network, places),
        children,
        tuple(name for name in children if name not in called),
        sum(p.numel() for p in network.parameters()),
    )


def read_chain(network: nn.Module) -> Graph:
    """Places behind each child up to the classifier, and behind each element of a plain `nn.Sequential` in them.

    Raises ValueError where they do not run one after the other.
    """
    children = dict(network.named_children())
    features = dict(list(children.items())[: chain_features(network)])
    try:
        with torch.no_grad(), resting(network):
            places = chain_places(features, blank_picture(network))
    except Exception as error:  # as in `record`
        raise ValueError(f"{type(network).__name__} is no chain of its children: {_first_line(error)}.") from error
    total = sum(p.numel() for p in network.parameters())
    return Graph(tuple(places), len(places), tuple(children), (), total, traced=False)


def chain_places(children: Mapping[str, nn.Module], picture: Tensor) -> list[Place]:
    """Places behind each of the modules, run one after the other on a square picture, and behind each element of a
    plain `nn.Sequential` in them."""
    places: list[Place] = []
    seen = 0
    last_map = (picture.shape[-2], picture.shape[-1])

    def run(name: str, module: nn.Module, x: Tensor) -> Tensor:
        nonlocal seen, last_map
        if type(module) is nn.Sequential and len(module):
            for key, child in module._modules.items():
                x = run(f"{name}.{key}", child, x)
            places[-1] = replace(places[-1], name=name, ends="container")
            return x
        x = module(x)
        seen += sum(p.numel() for p in module.parameters())
        layout, grid = _layout(tuple(x.shape[1:]), last_map)
        last_map = grid or last_map
        kind = "container" if any(True for _ in module.children()) else "layer"
        places.append(Place(name, name, tuple(x.shape[1:]), layout, grid, kind, seen))
        return x

    for name, module in children.items():
        picture = run(name, module, picture)
    return places


def chain_features(network: nn.Module) -> int:
    """How many children of a network that cannot be traced make features: those before the last that pools, else
    before the first with a linear layer."""
    children = list(network.children())
    pooled = [i for i, child in enumerate(children) if any(is_pool(module) for module in child.modules())]
    linear = [i for i, child in enumerate(children) if any(isinstance(m, nn.Linear) for m in child.modules())]
    return next((ends for ends in (pooled[-1:] + linear[:1]) if ends), len(children))


def is_pool(module: nn.Module) -> bool:
    """Whether its class says that it pools (fastai facts A.2)."""
    return type(module).__name__.endswith(("Pool1d", "Pool2d", "Pool3d"))


def last_maps(graph: Graph) -> tuple[Place, ...]:
    """The last map of each scale, from the finest on: what a decoder gets (graph facts, "skip of a scale").

    Of the places of one size those that end a module, or stand in the network's own forward; of these the shallowest
    names, and the last of them. Single layers behind the last container prepare for the classifier (swin's norm and
    permute) and do not count.
    """
    maps = [place for place in graph.features if place.layout in (MAP, MAP_LAST) and place.grid != (1, 1)]
    maps = [place for place in maps if place.ends or "." not in place.name]
    while maps and maps[-1].ends == "layer" and any(place.ends == "container" for place in maps):
        maps.pop()
    scales: list[list[Place]] = []
    for place in maps:
        if scales and scales[-1][-1].grid[0] < SAME_SCALE * place.grid[0]:
            scales[-1].append(place)
        else:
            scales.append([place])
    return tuple(_shallowest(scale) for scale in scales)


def _shallowest(places: list[Place]) -> Place:
    dots = min(place.name.count(".") for place in places)
    return [place for place in places if place.name.count(".") == dots][-1]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _is_classifier(module: nn.Module) -> bool:
    if isinstance(module, (nn.Linear, nn.Flatten)) or _pools_all(module):
        return True
    if not isinstance(module, nn.Sequential):
        return False
    inside = list(module.modules())
    works = any(isinstance(inner, (nn.modules.conv._ConvNd, nn.MultiheadAttention)) for inner in inside)
    return any(map(_pools_all, module)) or (any(isinstance(inner, nn.Linear) for inner in inside) and not works)


def _pools_all(module: nn.Module) -> bool:
    return isinstance(module, (nn.modules.pooling._AdaptiveAvgPoolNd, nn.modules.pooling._AdaptiveMaxPoolNd))


def _is_conv(network: nn.Module, node: fx.Node) -> bool:
    return node.op == "call_module" and isinstance(network.get_submodule(node.target), nn.modules.conv._ConvNd)


class _Shapes(fx.Interpreter):
    """Runs a graph and notes each tensor's shape without the batch."""

    def __init__(self, network: nn.Module, graph: fx.Graph):
        super().__init__(network, graph=graph)
        self.found: dict[fx.Node, Shape] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            self.found[n] = tuple(value.shape[1:])
        return value


def _shapes(network: nn.Module, graph: fx.Graph) -> dict[fx.Node, Shape]:
    run = _Shapes(network, graph)
    try:
        with torch.no_grad(), ShapesOnly(), resting(network):
            run.run(blank_picture(network))
    except Exception as error:  # as in `record`
        title = type(network).__name__
        raise ValueError(f"{title} does not run on a picture of {SIZE}×{SIZE} px: {_first_line(error)}.") from error
    return run.found


def blank_picture(network: nn.Module) -> Tensor:
    channels, side = _picture(network)
    return torch.empty(1, channels, side, side, device="meta")


def _picture(network: nn.Module) -> tuple[int, int]:
    """Channels and side of the pictures that a network is looked at with: those it says, else as many channels as its
    first kernel takes, and 224 px."""
    channels = next((p.shape[1] for p in network.parameters() if p.ndim == 4), 3)
    return getattr(network, "picture", (channels, SIZE))


@contextmanager
def resting(module: nn.Module, whole: bool = True) -> Iterator[None]:
    """Eval mode for a module, and for the whole of it if not for itself alone; afterwards each is as it was."""
    learning = [inner for inner in (module.modules() if whole else (module,)) if inner.training]
    for inner in learning:
        inner.training = False
    try:
        yield
    finally:
        for inner in learning:
            inner.training = True


def _module_ends(network: nn.Module, graph: fx.Graph, names: dict[fx.Node, str]) -> dict[fx.Node, str]:
    """The shallowest module that each node ends: no later node lies in it."""
    modules = {name for name, _ in network.named_modules(remove_duplicate=False)}
    last: dict[str, fx.Node] = {}
    for node in graph.nodes:
        for path in _paths(names[node]):
            if path in modules:
                last[path] = node
    ends: dict[fx.Node, str] = {}
    for path, node in last.items():
        if node.op != "get_attr" and (node not in ends or path.count(".") < ends[node].count(".")):
            ends[node] = path
    return ends


def _kind(network: nn.Module, name: str) -> str:
    if not name:
        return ""
    return "container" if any(True for _ in network.get_submodule(name).children()) else "layer"


def _paths(name: str) -> Iterator[str]:
    """ "layer1.0.conv1" lies in "layer1", "layer1.0" and is itself."""
    parts = name.split(".")
    return (".".join(parts[: i + 1]) for i in range(len(parts)))


def _params_used(network: nn.Module, graph: fx.Graph) -> dict[fx.Node, int]:
    """Parameters that are read up to each node, each counted once."""
    used: set[int] = set()
    count, counts = 0, {}
    for node in graph.nodes:
        for parameter in _params_of(network, node):
            if id(parameter) not in used:
                used.add(id(parameter))
                count += parameter.numel()
        counts[node] = count
    return counts


def _params_of(network: nn.Module, node: fx.Node) -> list[nn.Parameter]:
    if node.op == "call_module":
        return list(network.get_submodule(node.target).parameters())
    if node.op != "get_attr":
        return []
    owner, _, name = node.target.rpartition(".")
    value = getattr(network.get_submodule(owner), name)
    return [value] if isinstance(value, nn.Parameter) else []


def _layout(
    shape: Shape, last_map: tuple[int, int], extra: tuple[int, ...] = (0, 1)
) -> tuple[str, tuple[int, int] | None]:
    """How a tensor of a square picture is laid out. A map is no larger than the one before: what looks like a larger
    one counts windows (maxvit). Of tokens `extra` may be more than the cells of the map: a class token."""
    if len(shape) == 3:
        for layout, sides in ((MAP, shape[1:]), (MAP_LAST, shape[:2])):
            if sides[0] == sides[1] <= last_map[0]:
                return layout, sides
    if len(shape) == 2:
        cells = last_map[0] * last_map[1]
        if shape[0] - cells in extra:
            return TOKENS, last_map
        if shape[1] - cells in extra:
            return TOKENS_LAST, last_map
    return OTHER, None


def _count_features(network: nn.Module, places: list[Place]) -> int:
    """How many of the places stand before the classifier."""
    graph, names = record(network, opened=True)
    end, _ = features_end(network, graph)
    if end is None:
        return len(places)
    last = names[end]
    inside = [i for i, place in enumerate(places) if place.node == last or place.node.startswith(f"{last}.")]
    return inside[-1] + 1 if inside else len(places)
