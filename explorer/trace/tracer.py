"""`trace(spec)`: a model described from shapes alone, on the meta device, without one weight.

The body's part is found once for its architecture, cut, size and channels; a change of the head runs the head alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from torch import nn

from explorer.models.archs import get_arch, weights_entry
from explorer.models.bodies import Parts
from explorer.models.build import (
    blank_body,
    build_head,
    build_model,
    build_unet,
    features_of,
    pyramid_of,
    wiring_of,
)
from explorer.models.cutting import Opened
from explorer.models.graphs import SIZE
from explorer.models.groups import body_groups, find_split, own_names, split_of
from explorer.models.meta import Blank
from explorer.models.timm_archs import is_timm, picture_side
from explorer.models.weights import enum_name
from explorer.spec import HEAD, LARGEST_SIDE, BodySpec, ClassifierSpec, DecoderSpec, HeadSpec, Size, UnetSpec, sides
from explorer.trace import cost
from explorer.trace.explain import body_failure, error_of, find_break, head_failure
from explorer.trace.node import last_node, whole_layer
from explorer.trace.records import (
    MIXED,
    Dropped,
    Failure,
    Layer,
    Shape,
    Skip,
    Trace,
    add_up,
)
from explorer.trace.watch import Call, Run, runs, watch


@dataclass(frozen=True)
class Part:
    """The body's or the head's share of a trace."""

    layers: tuple[Layer, ...]
    out_shape: Shape | None
    failure: Failure | None = None
    dropped: tuple[Dropped, ...] = ()
    weights_enum: str = ""
    code: str = ""
    weights_entry: str = ""
    node: str = ""
    opened: str = ""


def trace(spec: ClassifierSpec | UnetSpec) -> Trace:
    """Every module of the model that `models.build.build_model(spec)` builds, under the name it has there.

    Rows stand in the order of `named_modules(remove_duplicate=False)`: "0" is the body, "1" the head; of a U-Net they
    are "encoder" and "decoder", and its skips are told. A module that is used twice has a row for each of its names.
    A model that cannot run gives all its rows, shapes up to the layer that broke, and a `failure`.

    Raises SpecError, which names the field, where nothing can be built: an unknown architecture, an impossible cut.
    """
    if isinstance(spec, UnetSpec):
        return _trace_unet(spec.body, spec.decoder, spec.n_out)
    return _trace(spec.body.arch, spec.body.cut, spec.body.size, spec.body.n_in, spec.head, spec.n_out)


@lru_cache(maxsize=1024)
def _trace(arch: str, cut: int | str | None, size: Size, n_in: int, head: HeadSpec, n_out: int) -> Trace:
    body = trace_body(arch, cut, size, n_in)
    features = body.out_shape[0] if body.out_shape else features_of(arch, cut)
    top = trace_head(head, features, n_out, body.out_shape)
    layers = body.layers + top.layers
    return Trace(
        layers=layers,
        skips=(),
        totals=add_up(layers),
        failure=body.failure or top.failure,
        in_shape=(n_in, *sides(size)),
        out_shape=top.out_shape,
        dropped=body.dropped,
        weights_enum=body.weights_enum,
        body_code=body.code,
        weights_entry=body.weights_entry,
        body_node=body.node,
        body_opened=body.opened,
    )


@lru_cache(maxsize=512)
def _trace_unet(body: BodySpec, decoder: DecoderSpec, n_out: int) -> Trace:
    encoder = trace_body(body.arch, body.cut, body.size, body.n_in)
    known = replace(body, weights="random", size=size_that_runs(body) if encoder.failure else body.size)
    wiring = wiring_of(UnetSpec(known, decoder, n_out)) if known.size else None
    bottom = trace_decoder(known, decoder, n_out, runs=encoder.failure is None) if wiring else Part((), None)
    layers = _renamed(encoder.layers, "encoder") + bottom.layers
    failure = encoder.failure and replace(encoder.failure, qual=_under("encoder", encoder.failure.qual))
    skips = wiring.steps if wiring else ()
    return Trace(
        layers=layers,
        skips=tuple(
            Skip(f"encoder.{step.skip}", f"decoder.blocks.{step.block - 1}", step.skip_shape)
            for step in skips
            if step.joined
        ),
        totals=add_up(layers),
        failure=failure or bottom.failure,
        in_shape=(body.n_in, *body.height_width),
        out_shape=bottom.out_shape,
        dropped=encoder.dropped,
        weights_enum=encoder.weights_enum,
        body_code=encoder.code,
        weights_entry=encoder.weights_entry,
        body_node=encoder.node,
        body_opened=encoder.opened,
    )


def size_that_runs(body: BodySpec) -> Size | None:
    """A size at which the decoder's layers are known, for a body that does not run at its own."""
    if runs_at(body.arch, body.cut, SIZE):
        return SIZE
    return smallest_size(body.arch, body.cut)


@lru_cache(maxsize=256)
def trace_decoder(body: BodySpec, decoder: DecoderSpec, n_out: int, runs: bool) -> Part:
    """The decoder's rows for the maps of a body; without shapes where it never `runs`."""
    pyramid = pyramid_of(body)
    with Blank():
        blank = blank_body(body.arch, body.cut, body.n_in).body
        model = build_unet(blank, decoder, n_out, body.size, pyramid)
    maps = (*(tap.shape for tap in model.encoder.taps), pyramid.features)
    run = watch(model.decoder, maps, pyramid.image) if runs else Run()
    names = {qual: qual for qual, _ in model.decoder.named_modules(remove_duplicate=False)}
    first, *inner = rows("decoder", "decoder", model.decoder, run, names, dict.fromkeys(names, HEAD))
    first = replace(first, in_shape=pyramid.features if runs else None)
    return Part((first, *inner), run.out_shape)


def _renamed(layers: tuple[Layer, ...], root: str) -> tuple[Layer, ...]:
    """The rows of a body under another name than "0"."""
    first, *inner = (replace(layer, qual=_under(root, layer.qual)) for layer in layers)
    return (replace(first, name=root), *inner)


def _under(root: str, qual: str) -> str:
    return _join(root, qual.partition(".")[2])


@lru_cache(maxsize=64)
def trace_body(arch: str, cut: int | str | None, size: Size, n_in: int) -> Part:
    """The body's rows; `out_shape` is None where the picture is too small for it."""
    parts, in_shape = blank_body(arch, cut, n_in), (n_in, *sides(size))
    run = watch(parts.body, in_shape)
    names = own_names(parts.body, parts.names)
    groups = mix_containers(body_groups(names, _split(arch, cut, size, parts, run, names)), parts.body)
    layers = rows("0", "body", parts.body, run, names, groups)
    failure = None if run.broke is None else _body_failure(arch, cut, parts.body, run, names, in_shape)
    dropped = tuple(Dropped(*part) for part in parts.dropped)
    code = body_code(parts)
    ends = ("", "") if code else (last_node(parts), whole_layer(parts))
    entry = "" if is_timm(arch) else weights_entry(arch).name
    return Part(layers, run.out_shape, failure, dropped, enum_name(arch), code, entry, *ends)


@lru_cache(maxsize=512)
def trace_head(head: HeadSpec, features: int, n_out: int, in_shape: Shape | None) -> Part:
    """The head's rows; without shapes where `in_shape` is None, because the body came to no end.

    Without pooling a head may run on a map by accident, where its width is the number of features; what comes out
    then is another map, and counts as a failure of the head.
    """
    module = blank_head(head, features, n_out)
    run = Run() if in_shape is None else watch(module, in_shape)
    names = {qual: qual for qual, _ in module.named_modules(remove_duplicate=False)}
    layers = rows("1", "head", module, run, names, dict.fromkeys(names, HEAD))
    if run.out_shape is not None and run.out_shape != (n_out,):
        run.broke = module
    failure = None if run.broke is None else _head_failure(module, run, head, in_shape, n_out)
    return Part(layers, run.out_shape, failure)


def _split(
    arch: str, cut: int | str | None, size: Size, parts: Parts, run: Run, names: dict[str, str]
) -> tuple[str, ...]:
    """`split_of(arch)`, from the run that is at hand where that is of the whole body at the size that it goes by."""
    if cut is None and size == SIZE and run.broke is None and not get_arch(arch).split and not is_timm(arch):
        return find_split(parts.body, names, run.outputs)
    return split_of(arch)


def blank_head(head: HeadSpec, features: int, n_out: int) -> nn.Sequential:
    """The head on the meta device, over a body of this many features."""
    with Blank():
        return build_head(head, features, n_out)


def blank_model(spec: ClassifierSpec) -> nn.Module:
    """Body and head on the meta device, as `models.build.build_model` puts them together."""
    with Blank():
        return build_model(spec).model


def body_code(parts: Parts) -> str:
    """The expression that takes the body out of `network`: its first children, the last of them cut between elements,
    or children and small layers one by one; "" where a `forward` was opened."""
    names, dropped = parts.names, [name for name, *_ in parts.dropped]
    opened = any(isinstance(module, Opened) for module in parts.body.modules())
    made = [name for name in names if name not in parts.children]
    if opened or any(not isinstance(parts.body[names.index(name)], nn.ReLU) for name in made):
        return ""
    inside = [name for name in dropped if name.startswith(f"{names[-1]}.")]
    if any(name.count(".") > 1 for name in inside):
        return ""
    if inside and type(parts.body[-1]) is not nn.Sequential:
        return ""
    last = [f"network.{names[-1]}[:{len(parts.body[-1])}]"] if inside else []
    whole = names[: len(names) - len(last)]
    if whole == parts.children[: len(whole)]:
        first = [f"*list(network.children())[:{len(whole)}]"] if whole else []
        return f"nn.Sequential({', '.join(first + last)})"
    each = [cost.code(parts.body[names.index(n)]) if n in made else f"network.{n}" for n in whole]
    return f"nn.Sequential({', '.join(each + last)})"


def mix_containers(groups: dict[str, str], body: nn.Module) -> dict[str, str]:
    """The same for rows: a container, given by its dotted name in the body, has the group of what it holds, mixed where
    it holds both. One with parameters of its own (a transformer's position table) has their group."""
    inside: dict[str, set[str]] = {}
    containers = {name.rpartition(".")[0] for name in groups if name}
    for name in groups.keys() - containers:
        for container in _containers_of(name):
            inside.setdefault(container, set()).add(groups[name])
    mixed = {
        name: held.pop() if len(held) == 1 else MIXED
        for name, held in inside.items()
        if not any(True for _ in body.get_submodule(name).parameters(recurse=False))
    }
    return groups | mixed


def _containers_of(name: str) -> Iterator[str]:
    """Everything a dotted name lies in: "layer1.0.conv1" lies in "layer1.0", "layer1" and the body, ""."""
    while name:
        name = name.rpartition(".")[0]
        yield name


def rows(
    root: str, title: str, module: nn.Module, run: Run, names: dict[str, str], groups: dict[str, str]
) -> tuple[Layer, ...]:
    """A row for each name in `module`, which is called `root` in the model and `title` by people.

    Parameters are counted where they are first met; calls go to a module's names in order, the last name takes what
    is left over. Of several calls a row shows the last one's shapes and the sum of the work.
    """
    counted: set[int] = set()
    uses = {inner: list(calls) for inner, calls in run.calls.items()}
    modules = list(module.named_modules(remove_duplicate=False))
    left = Counter(inner for _, inner in modules)
    layers = []
    for qual, inner in modules:
        left[inner] -= 1
        waiting = uses.get(inner, [])
        calls = waiting[:1] if left[inner] else waiting
        uses[inner] = waiting[len(calls) :]
        fresh = [p for p in inner.parameters(recurse=False) if id(p) not in counted]
        counted.update(map(id, fresh))
        name = _last(names[qual]) or (type(inner).__name__ if qual else title)
        layers.append(_row(inner, calls, sum(p.numel() for p in fresh), _join(root, qual), name, groups[qual]))
    return tuple(layers)


def _row(module: nn.Module, calls: list[Call], params: int, qual: str, name: str, group: str) -> Layer:
    container = any(True for _ in module.children())
    done = [call for call in calls if call.out_shape is not None]
    return Layer(
        qual=qual,
        name=name,
        cls=type(module).__name__,
        depth=qual.count("."),
        in_shape=calls[-1].in_shape if calls else None,
        out_shape=calls[-1].out_shape if calls else None,
        params=params,
        trainable=params,
        macs=sum(cost.macs(module, call.in_shape, call.out_shape) + call.extra for call in done),
        activation_bytes=0 if container else sum(cost.activation_bytes(call.out_shape) for call in done),
        group=group,
        detail=cost.detail(module),
        norm=cost.is_norm(module),
        container=container,
        code=cost.code(module),
    )


def _body_failure(
    arch: str, cut: int | str | None, body: nn.Sequential, run: Run, names: dict[str, str], in_shape: Shape
) -> Failure:
    found = find_break(body, run, error_of(body, in_shape), root="0")
    return body_failure(
        found,
        name=names[found.qual.partition(".")[2]],
        in_shape=in_shape,
        runs_at=lambda size: runs_at(arch, cut, size),
        smallest=lambda: smallest_size(arch, cut),
        own_size=picture_side(arch) if is_timm(arch) else None,
    )


@lru_cache(maxsize=256)
def runs_at(arch: str, cut: int | str | None, size: int) -> bool:
    """Whether the body can work on a square picture of this side, in pixels."""
    return runs(blank_body(arch, cut, 3).body, (3, size, size))


@lru_cache(maxsize=256)
def smallest_size(arch: str, cut: int | str | None) -> int | None:
    """Side of the smallest square picture the body can work on: doubled until it does, then the gap halved.

    None where no size up to 4096 px will do.
    """
    body = blank_body(arch, cut, 3).body
    fails, works = 0, 1
    while not runs(body, (3, works, works)):
        fails, works = works, 2 * works
        if fails > LARGEST_SIDE:
            return None
    while works - fails > 1:
        middle = (works + fails) // 2
        if runs(body, (3, middle, middle)):
            works = middle
        else:
            fails = middle
    return works


def _head_failure(head: nn.Sequential, run: Run, spec: HeadSpec, in_shape: Shape, n_out: int) -> Failure:
    error = error_of(head, in_shape) if run.out_shape is None else None
    return head_failure(find_break(head, run, error, root="1"), spec, in_shape, run.out_shape, n_out)


def _join(root: str, qual: str) -> str:
    return f"{root}.{qual}" if qual else root


def _last(name: str) -> str:
    return name.rpartition(".")[2]
