"""Parameter groups of a classifier or a U-Net, and freezing them (fastai facts A.1, G.4).

Three for every architecture: early body, late body, head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import get_ident

import torch
from torch import Tensor, nn

from explorer.models import timm_archs
from explorer.models.archs import get_arch
from explorer.models.bodies import TO_MAP, blank_parts, build_original, child_names
from explorer.models.graphs import SAME_SCALE, SIZE
from explorer.models.heads import NORMS
from explorer.models.meta import Blank, ShapesOnly
from explorer.spec import EARLY, HEAD, LATE, count_frozen

# modules, in the order in which they end, with the shapes of their outputs without the batch
Outputs = list[tuple[nn.Module, tuple[int, ...]]]


@dataclass(frozen=True)
class Group:
    """Parameters that learn, or rest, together: names as in `model.named_parameters()`."""

    name: str
    params: tuple[str, ...]


def classifier_groups(model: nn.Sequential, arch: str) -> tuple[Group, ...]:
    """Early body, late body and head of `nn.Sequential(body, head)`, split where `split_of` says.

    A group without parameters is left out: a body cut before its split is all "body-early".
    """
    return _groups_around(model, "0", arch)


def unet_groups(model: nn.Module, arch: str) -> tuple[Group, ...]:
    """The same for a model with an `encoder` and a decoder, which is the head (fastai facts C.5)."""
    return _groups_around(model, "encoder", arch)


def _groups_around(model: nn.Module, name: str, arch: str) -> tuple[Group, ...]:
    """Groups of a model whose body is the child of this name."""
    body = model.get_submodule(name)
    by_module = body_groups(own_names(body, body_names(body, arch)), split_of(arch))
    found: dict[str, list[str]] = {EARLY: [], LATE: [], HEAD: []}
    for qual, module in model.named_modules():
        part, _, inner = qual.partition(".")
        group = by_module[inner] if part == name else HEAD
        found[group] += [f"{qual}.{own}" if qual else own for own, _ in module.named_parameters(recurse=False)]
    groups = tuple(Group(group, tuple(params)) for group, params in found.items() if params)
    check_groups(model, groups)
    return groups


def body_names(body: nn.Sequential, arch: str) -> tuple[str, ...]:
    """The architecture's own names of a body's children, wherever it was cut: those of the whole body, in order."""
    names = child_names(arch)
    return names[:1] * len(body) if names[0] == "" else (*names, *[TO_MAP] * len(body))[: len(body)]


def own_names(body: nn.Module, children: Sequence[str]) -> dict[str, str]:
    """What the architecture calls each module of a body, whose children it calls `children`, in order.

    "4.0.conv1" is "layer1.0.conv1"; the body itself is "", and so is a child that is the network itself, opened.
    A module that is used twice has both its names.
    """
    found = {}
    for qual, _ in body.named_modules(remove_duplicate=False):
        child, _, rest = qual.partition(".")
        found[qual] = ".".join(filter(None, (children[int(child)], rest))) if child else ""
    return found


def body_groups(names: Mapping[str, str], split: Sequence[str]) -> dict[str, str]:
    """The group in which each module of a body stands, by its name in the body; `names` as `own_names` gives them.

    Late from the split on, as `split_of` gives it.
    """
    groups, group = {}, EARLY
    for qual, name in names.items():
        groups[qual] = group = LATE if name in split else group
    return groups


@lru_cache(maxsize=128)
def split_of(arch: str) -> tuple[str, ...]:
    """Names of the modules that begin the late half of a body.

    fastai's where it has decided (`archs.SPLITS`); timm's; else found by running the body on the meta device.
    """
    known = get_arch(arch).split
    if known:
        return known
    parts = blank_parts(arch, None, 3)
    names = own_names(parts.body, parts.names)
    if timm_archs.is_timm(arch):
        order = list(names.values())
        with Blank():
            known = timm_archs.split_of(build_original(arch), order)
        return known or (timm_archs.middle_of(parts.body, order),)
    return find_split(parts.body, names, _outputs(parts.body))


def find_split(body: nn.Module, names: Mapping[str, str], outputs: Outputs) -> tuple[str, ...]:
    """What follows the third-last scale of a whole body, as in a resnet; half of its blocks where there is one scale
    only (vit). `outputs` are those of its modules for a 224×224 picture."""
    scales = _last_of_each_scale(_maps(body, names, outputs))
    if len(scales) < 3:
        return (_middle_block(body, names),)
    order, last = list(names.values()), scales[-3]
    inside = [i for i, name in enumerate(order) if name == last or name.startswith(f"{last}.")]
    return (order[inside[-1] + 1],)


def _maps(body: nn.Module, names: Mapping[str, str], outputs: Outputs) -> list[tuple[str, int]]:
    """(own name, side of its square map) for the outer two levels of modules, in the order in which they end."""
    outer = {module: names[qual] for qual, module in body.named_modules() if names[qual] and names[qual].count(".") < 2}
    return [
        (outer[module], shape[1] if shape[1] == shape[2] else shape[0])
        for module, shape in outputs
        if module in outer and len(shape) == 3
    ]


def _outputs(body: nn.Module) -> Outputs:
    """Every tensor that a module of a body of meta tensors gives for a 224×224 picture."""
    found: Outputs = []
    thread = get_ident()

    def note(module: nn.Module, args: tuple, out: object) -> None:
        if get_ident() == thread and isinstance(out, Tensor):
            found.append((module, tuple(out.shape[1:])))

    hooks = [module.register_forward_hook(note) for module in body.modules()]
    try:
        with torch.no_grad(), ShapesOnly():
            body(torch.empty(1, 3, SIZE, SIZE, device="meta"))
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _last_of_each_scale(maps: list[tuple[str, int]]) -> list[str]:
    """As `graphs.last_maps`: of each scale's modules the shallowest, and of these the last."""
    scales: list[list[tuple[str, int]]] = []
    for name, side in maps:
        if scales and side > scales[-1][-1][1]:
            continue  # another branch of a block that has begun the next scale
        if scales and scales[-1][-1][1] < SAME_SCALE * side:
            scales[-1].append((name, side))
        else:
            scales.append([(name, side)])
    return [_shallowest([name for name, _ in scale]) for scale in scales]


def _shallowest(names: list[str]) -> str:
    dots = min(name.count(".") for name in names)
    return [name for name in names if name.count(".") == dots][-1]


def _middle_block(body: nn.Module, names: Mapping[str, str]) -> str:
    """The middle one of the longest chain of blocks: the sixth of twelve is the first that is late."""
    qual, chain = max(
        body.named_modules(), key=lambda entry: len(entry[1]) if isinstance(entry[1], nn.Sequential) else 0
    )
    keys = [key for key, _ in chain.named_children()]
    return names[f"{qual}.{keys[len(keys) // 2]}"]


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
