"""Parameter groups of a classifier, and freezing them (fastai facts A.1, G.4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import nn

from explorer.models.archs import get_arch
from explorer.models.bodies import child_names
from explorer.models.heads import NORMS
from explorer.spec import EARLY, HEAD, LATE, count_frozen


@dataclass(frozen=True)
class Group:
    """Parameters that learn, or rest, together: names as in `model.named_parameters()`."""

    name: str
    params: tuple[str, ...]


def classifier_groups(model: nn.Sequential, arch: str) -> tuple[Group, ...]:
    """Early body, late body and head of `nn.Sequential(body, head)`, split at the module `Arch.split` names.

    A group without parameters is left out: a body cut before its split is all "body-early".
    """
    names = own_names(model[0], child_names(arch))
    by_name = body_groups(names.values(), arch)
    found: dict[str, list[str]] = {EARLY: [], LATE: [], HEAD: []}
    for qual, module in model.named_modules():
        part, _, inner = qual.partition(".")
        group = by_name[names[inner]] if part == "0" else HEAD
        found[group] += [f"{qual}.{name}" for name, _ in module.named_parameters(recurse=False)]
    groups = tuple(Group(name, tuple(params)) for name, params in found.items() if params)
    check_groups(model, groups)
    return groups


def own_names(body: nn.Module, children: Sequence[str]) -> dict[str, str]:
    """What the architecture calls each module of a body, whose children it calls `children`, in order.

    "4.0.conv1" is "layer1.0.conv1"; the body itself is "". A module that is used twice has both its names.
    """
    found = {}
    for qual, _ in body.named_modules(remove_duplicate=False):
        child, dot, rest = qual.partition(".")
        found[qual] = children[int(child)] + dot + rest if child else ""
    return found


def body_groups(names: Iterable[str], arch: str) -> dict[str, str]:
    """The group in which each module of a body stands, by the architecture's names in order: late from the split on."""
    split = get_arch(arch).split
    groups, group = {}, EARLY
    for name in names:
        groups[name] = group = LATE if name in split else group
    return groups


def check_groups(model: nn.Module, groups: Sequence[Group]) -> None:
    """Raise ValueError unless every parameter of the model is in exactly one group."""
    owner: dict[str, str] = {}
    known = dict(model.named_parameters())
    for group in groups:
        for name in group.params:
            if name not in known:
                raise ValueError(f"Group {group.name!r} lists {name!r}, which is no parameter of the model.")
            if name in owner:
                raise ValueError(
                    f"Parameter {name!r} is in {owner[name]!r} and again in {group.name!r}: keep it in one group, "
                    f"or each step would move it twice."
                )
            owner[name] = group.name
    forgotten = [name for name in known if name not in owner]
    if forgotten:
        raise ValueError(
            f"{len(forgotten)} parameters are in no group, {forgotten[0]!r} first: put each into one, or it "
            f"never learns."
        )


def freeze(
    model: nn.Module, groups: Sequence[Group], n: int | bool = True, train_bn: bool = True
) -> list[tuple[str, int, int]]:
    """Let the first `n` groups rest and the others learn, in place; True is all but the last, False none.

    With `train_bn`, norm layers of resting groups go on learning. Running statistics of batch norm move in training
    mode whatever is frozen. Returns what came of it: (group, trainable parameters, all parameters).
    Raises ValueError for more groups than there are.
    """
    count = count_frozen(n, len(groups))
    if not 0 <= count <= len(groups):
        raise ValueError(f"{n} groups cannot be frozen: the model has {len(groups)}, so choose 0 to {len(groups)}.")
    params = dict(model.named_parameters())
    norms = _norm_params(model)
    told = []
    for i, group in enumerate(groups):
        own = [params[name] for name in group.params]
        for name in group.params:
            params[name].requires_grad_(i >= count or (train_bn and name in norms))
        told.append((group.name, sum(p.numel() for p in own if p.requires_grad), sum(p.numel() for p in own)))
    return told


def _norm_params(model: nn.Module) -> set[str]:
    return {
        f"{qual}.{name}"
        for qual, module in model.named_modules()
        if isinstance(module, NORMS)
        for name, _ in module.named_parameters(recurse=False)
    }
