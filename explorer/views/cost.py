"""What a model costs and where: its parts and their sums, sentences about memory, the layers that take longest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from explorer import link
from explorer.spec import HEAD, ClassifierSpec, TrainSpec
from explorer.trace.records import Layer, Trace, inside
from explorer.views.activations import own_paths
from explorer.views.stages import Stage, below, body_stages

TRAINER = {"precision": "float32", "optimizer": "adamw"}
"""What the trainer of this app does."""

DECODER = "decoder"
REPEATED = ("blocks", "steps")
DECODER_WORDS = {"norm": "bottom norm", "relu": "bottom ReLU", "last_shuffle": "last doubling", "cross": "last cross"}

TOP = 12  # layers that are listed with their time
NOTICEABLE = 1.05  # a memory so many times as large is worth a sentence


@dataclass(frozen=True)
class Part:
    """A stage of the body, the head, or what stands outside of both ("0": a class token), with its sums.

    qual   the module that is picked when the part is
    quals  all its modules: what lies inside of them is the part's
    what   "BasicBlock ×3"
    """

    name: str
    what: str
    qual: str
    quals: tuple[str, ...]
    group: str
    params: int
    macs: int
    activation_bytes: int


def cost(spec: ClassifierSpec, trace: Trace, train: TrainSpec, frozen: int, measure: str = "") -> dict:
    """The value of `Explorer.cost`: where parameters, MACs and activations are, and what to ask the server about.

    frozen   how many groups do not learn in the end, from the input on
    measure  the cost that is laid over the pictures, of `views.measures.MEASURES`; "" for none

    {"spec": text for the server, "batch", "size", "trainer": {"precision", "optimizer"}, "failure": "" or a sentence,
    "parts": [{"name", "what", "qual", "quals", "group", "params", "macs", "bytes"}], "arch", "measure"}. In a model
    that does not run, MACs and bytes of a part are None.
    """
    runs = trace.failure is None
    return {
        "spec": asked_about(spec, train, frozen),
        "arch": spec.body.arch,
        "size": spec.body.size,
        "batch": train.batch_size,
        "trainer": TRAINER,
        "failure": "" if runs else trace.failure.reason,
        "measure": measure,
        "parts": [
            {
                "name": part.name,
                "what": part.what,
                "qual": part.qual,
                "quals": part.quals,
                "group": part.group,
                "params": part.params,
                "macs": part.macs if runs else None,
                "bytes": part.activation_bytes if runs else None,
            }
            for part in parts(trace)
        ],
    }


def asked_about(spec: ClassifierSpec, train: TrainSpec, frozen: int) -> str:
    """The model as JSON text, alike for all of the same cost: no weights, and of the training only what counts."""
    body = replace(spec.body, weights="random")
    return link.to_json(replace(spec, body=body), TrainSpec(frozen=frozen, train_bn=train.train_bn))


def parts(trace: Trace) -> tuple[Part, ...]:
    """The body's stages, the head, and what stands outside of them where that costs something; together the totals."""
    found = [_stage_part(stage) for stage in body_stages(trace)]
    body, *tops = (layer for layer in trace.layers if layer.depth == 0)
    found += [part for top in tops for part in _top_parts(top, trace.layers)]
    rest = trace.totals
    left = (
        rest.params - sum(part.params for part in found),
        rest.macs - sum(part.macs for part in found),
        rest.activation_bytes - sum(part.activation_bytes for part in found),
    )
    if any(left):
        found.append(Part("the rest", "tokens and positions", body.qual, (body.qual,), found[0].group, *left))
    return tuple(found)


def _top_parts(top: Layer, layers: tuple[Layer, ...]) -> list[Part]:
    """A classifier's head as one part; a decoder's blocks one by one."""
    if top.qual != DECODER:
        return [_part("head", "pool and linear layers", top.qual, (top.qual,), HEAD, layers)]
    found = []
    for row in below(layers, DECODER):
        blocks = below(layers, row.qual) if row.name in REPEATED else []
        found += [(f"up {i}", block) for i, block in enumerate(blocks, 1)] or [
            (DECODER_WORDS.get(row.name, row.name), row)
        ]
    named = [_part(name, row.cls, row.qual, (row.qual,), HEAD, layers) for name, row in found]
    return [part for part in named if part.params or part.macs or part.activation_bytes]


def by_part(found: Sequence[Part], numbers: Mapping[str, int]) -> list[int]:
    """Numbers by module name summed up for each part.

    A module counts for the part that it lies in; one that holds several of them for the part of its own, if there is
    one, else for the last part inside it, where its own work ends.
    """
    sums = [0] * len(found)
    owners = {qual: k for k, part in enumerate(found) for qual in part.quals}
    for name, number in numbers.items():
        sums[_owner(name, owners)] += number
    return sums


def _owner(name: str, owners: Mapping[str, int]) -> int:
    outer = name
    while outer:
        if outer in owners:
            return owners[outer]
        outer = outer.rpartition(".")[0]
    return max((k for qual, k in owners.items() if qual.startswith(f"{name}.")), default=len(set(owners.values())) - 1)


def slowest(trace: Trace, times: Mapping[str, float], top: int = TOP) -> list[dict]:
    """The layers that take longest: [{"qual", "name", "cls", "group", "ms", "share"}], share of all layers' time."""
    total = sum(times.values()) or 1.0
    paths, rows = own_paths(trace.layers), {layer.qual: layer for layer in trace.layers}
    nameless = {layer.cls for layer in trace.layers if layer.depth == 1 and layer.name == layer.cls}
    return [
        {
            "qual": qual,
            "name": _without(nameless, paths.get(qual, qual)),
            "cls": _class_text(rows.get(qual)),
            "group": rows[qual].group if qual in rows else "",
            "ms": round(ms, 3),
            "share": round(ms / total, 4),
        }
        for qual, ms in sorted(times.items(), key=lambda item: -item[1])[:top]
    ]


def size_words(n: float) -> str:
    """Bytes for people, as assets/cost.js writes them: "2.92 GB", "474 MB", "13 kB"."""
    if n >= 1e9:
        return f"{n / 1e9:,.0f} GB" if n >= 1e11 else f"{n / 1e9:.1f} GB" if n >= 1e10 else f"{n / 1e9:.2f} GB"
    if n >= 1e6:
        return f"{n / 1e6:.0f} MB" if n >= 1e8 else f"{n / 1e6:.1f} MB"
    return f"{n / 1e3:.0f} kB"


def too_large(total: int, there: int, where: str, batch: int, largest: int | None) -> str:
    """One sentence where a step does not fit; "" where it does.

    where    "this machine", "this GPU"
    largest  batch that fits, None where not even one picture does
    """
    if total <= there:
        return ""
    needs = f"A batch of {batch:,} needs {size_words(total)} and {where} has {size_words(there)}"
    if largest is None:
        return f"{needs}: not even one picture fits, so choose a smaller image or a smaller body."
    return f"{needs}: the largest batch that fits is {largest:,}."


def norms_keep(with_norms: int, without: int) -> str:
    """One sentence where norm layers that learn in frozen groups make the backward pass keep much more; else "".

    Both are the peak of a step, with train_bn on and off.
    """
    if with_norms < NOTICEABLE * without:
        return ""
    return (
        f"Norm layers learn in the frozen groups too, so these keep almost everything for backward: "
        f"{size_words(with_norms)} a step, {size_words(without)} with train_bn off."
    )


def _stage_part(stage: Stage) -> Part:
    quals = tuple(item.row.qual for item in stage.items)
    return _part(stage.name, _what(stage), stage.main.row.qual, quals, stage.group, stage.rows)


def _part(name: str, what: str, qual: str, quals: tuple[str, ...], group: str, layers: Iterable[Layer]) -> Part:
    rows = [row for inner in quals for row in inside(tuple(layers), inner)]
    return Part(
        name,
        what,
        qual,
        quals,
        group,
        sum(row.params for row in rows),
        sum(row.macs for row in rows),
        sum(row.activation_bytes for row in rows),
    )


def _what(stage: Stage) -> str:
    """What the stage is made of: "BasicBlock ×3", "InceptionB, InceptionC ×4"."""
    return ", ".join(f"{cls} ×{count}" if count > 1 else cls for cls, count in stage.contents)


def _without(nameless: set[str], path: str) -> str:
    """A path without the class of a network that was opened and has no name in itself."""
    first, _, rest = path.partition(".")
    return rest if rest and first in nameless else path


def _class_text(layer: Layer | None) -> str:
    return f"{layer.cls} {layer.detail.removeprefix('p ')}".rstrip() if layer else ""
