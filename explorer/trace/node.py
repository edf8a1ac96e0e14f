"""Where in a network's graph a body stops, for scripts that cut with torchvision's feature extraction."""

from __future__ import annotations

from torch import nn

from explorer.models.bodies import TO_MAP, Parts
from explorer.models.cutting import Opened, is_chain

WHOLE = "torchvision.ops"  # torchvision's feature extraction does not look into the layers of this package


def last_node(parts: Parts) -> str:
    """The node that a body ends with, as torchvision's `create_feature_extractor` calls it: "layer1.0.add",
    "encoder"."""
    return ".".join(key for key, _ in _way(parts) if key)


def whole_layer(parts: Parts) -> str:
    """The layer that has to be opened before that node can be found: "features.0" for "features.0.1"; "" for none."""
    path: list[str] = []
    for key, module in _way(parts)[:-1]:
        path += [key] if key else []
        if any(kind.__module__.startswith(WHOLE) for kind in type(module).__mro__):
            return ".".join(path)
    return ""


def _way(parts: Parts) -> list[tuple[str, nn.Module | None]]:
    """The last module of a body, what it ends with, and so on; None for a function.

    Where a module stays whole, the way ends there.
    """
    name, module = next((n, m) for n, m in zip(reversed(parts.names), reversed(parts.body), strict=True) if n != TO_MAP)
    way: list[tuple[str, nn.Module | None]] = [(name, module)]
    path = name
    while (step := _end_of(module, path, parts)) is not None:
        key, module = step
        path = f"{path}.{key}" if path else key
        way.append(step)
    return way


def _end_of(module: nn.Module | None, path: str, parts: Parts) -> tuple[str, nn.Module | None] | None:
    """Name and module of what a shortened module ends with; None for one that stays whole."""
    if isinstance(module, Opened):
        node = next(node for node in module.graph.nodes if node.op == "output").args[0]
        called = node.op == "call_module"
        return node.meta["name"], module.get_submodule(node.target) if called else None
    shortened = any(name.startswith(f"{path}.") for name, *_ in parts.dropped)
    if module is not None and is_chain(module) and (shortened or _opened_inside(module)):
        return list(module.named_children())[-1]
    return None


def _opened_inside(module: nn.Module) -> bool:
    return any(isinstance(inner, Opened) for inner in module.modules())
