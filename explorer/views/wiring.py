"""The wiring picture: encoder down, decoder up, skips across, in the plain values that assets/wiring.js draws.

Rows are resolutions, row 0 the picture's: a skip lies level in the row of the block that it joins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from math import log2, prod

from explorer.spec import (
    COLOUR,
    HEAD,
    SEGMENTATION,
    STYLE,
    STYLE_IMAGE,
    SUPER_RESOLUTION,
    UnetSpec,
)
from explorer.trace.records import Layer, Shape, Trace, inside
from explorer.views.groups import NAMES
from explorer.views.numbers import shape, short
from explorer.views.ribbon import brief, failure_words, group_words
from explorer.views.stages import Stage, body_stages, channels_first
from explorer.wiring import NEAREST, SHUFFLE, TRANSPOSED, Step, Tap, Wiring

TITLES = {**NAMES, HEAD: "Decoder"}
KINDS = {SHUFFLE: "shuffle", NEAREST: "nearest", TRANSPOSED: "transposed"}
HEADLINES = {"unet": "pixel shuffle up", "nearest": "nearest neighbours up", "transposed": "transposed convolutions up"}
UP_WORDS = {SHUFFLE: "pixel shuffle", NEAREST: "nearest neighbours", TRANSPOSED: "a transposed convolution"}
PICTURES = {
    SUPER_RESOLUTION: "a sharp picture",
    COLOUR: "a picture in colours",
    STYLE: "a picture in another style",
    STYLE_IMAGE: "a picture in another style",
}
MARKS = {
    "shuffle": "pixel shuffle: four channels become a 2×2 patch",
    "nearest": "nearest: each cell is copied to a 2×2 patch, then convolved",
    "transposed": "transposed convolution: each cell paints a patch, learned",
    "blur": "blur: the mean of 2×2 neighbours, against checkerboards",
    "join": "join: skip and upsampled channels, side by side",
    "attention": "self-attention: every cell sees every other",
}
OWN_ROW = 2**0.5  # a resize at the end that enlarges more than this has a row of its own below it


def wiring(
    spec: UnetSpec,
    trace: Trace,
    plan: Wiring | None,
    taps: Sequence[Tap],
    *,
    frozen: bool | int = True,
    lrs: float | Sequence[float] | None = None,
    weights: str | None = None,
    notice: dict | None = None,
    photo: str | None = None,
    loading: bool = False,
) -> dict:
    """What assets/wiring.js draws, JSON of about 8 kB.

    trace        of the same spec
    plan         how its decoder is wired; of a model that does not run: at a size at which it would, or None
    taps         the body's maps, finest first (`Pyramid.taps`), also where the decoder takes none of them
    frozen, lrs  as in TrainSpec; `lrs` has a rate for each group there is, lowest first, or one for all
    weights, notice, photo, loading  as for `views.ribbon.ribbon`
    """
    weights = weights or spec.body.weights or "random"
    runs = trace.failure is None
    groups = group_words(trace, frozen, lrs, TITLES)
    still = {group["group"] for group in groups if group["frozen"]}
    drawn = _drawn(spec, trace, plan, taps, still) if plan else {"rows": 0, "encoder": [], "ups": [], "skips": []}
    body = spec.body
    return {
        "arch": body.arch,
        "kind": spec.decoder.kind,
        "size": body.size,
        "headline": _headline(spec),
        "subline": _subline(spec, plan) if runs and plan else "",
        "photo": _photo(trace),
        **drawn,
        "groups": groups,
        "failure": failure_words(trace.failure),
        "notice": notice,
        "picture": photo,
        "faces_key": [body.arch, weights, body.size, body.cut, body.n_in] if runs else None,
        "loading": loading,
    }


def wiring_text(payload: dict) -> str:
    """The picture in words: a line for each thing one would see, from the photo to the output."""
    lines = [payload["headline"], payload["subline"], "", payload["photo"]["say"]]
    lines += [stage["say"] for stage in payload["encoder"]]
    if payload.get("middle"):
        lines.append(payload["middle"]["say"])
    lines += [up["say"] for up in payload["ups"]]
    if payload.get("output"):
        lines.append(payload["output"]["say"])
    if payload["failure"]:
        lines += ["", payload["failure"]["title"], payload["failure"]["text"]]
    return "\n".join(lines) + "\n"


def _drawn(spec: UnetSpec, trace: Trace, plan: Wiring, taps: Sequence[Tap], still: set[str]) -> dict:
    """All pieces: encoder stages finest first, the middle, the ways up deepest first, skips, the output."""
    runs = trace.failure is None
    encoder = _encoder(trace, plan, taps, still, spec.body.arch)
    names = {tap.node: stage["name"] for tap, stage in zip(taps, encoder, strict=False)}
    rows = _rows(plan, taps)
    skips = _skips(plan, taps, names)
    ups = _ups(trace, plan, names, rows, skips)
    for stage, row in zip(encoder, _encoder_rows(plan, taps, rows, skips), strict=True):
        stage["row"] = row
    middle, output = _middle(trace, plan), _output(spec, trace, plan, at_end=len(ups) == len(plan.steps))
    if not runs:
        for piece in filter(None, (middle, *ups, output)):
            piece |= {"state": "unknown", "shape": None, "notes": [], "facts": []}
            piece["say"] = f"{piece['name']}: not known, the encoder does not run."
            piece["marks"] = [{**mark, "fires": False, "words": ""} for mark in piece.get("marks", ())]
            piece["words"] = shape(trace.in_shape) if piece.get("cross") else "?"
    return {
        "rows": rows,
        "encoder": encoder,
        "middle": middle,
        "ups": ups,
        "skips": skips if runs else [{**skip, "words": "?"} for skip in skips],
        "output": output,
        "marks": _marks(plan, ups, output),
    }


# ---- rows ----


def _own_row(plan: Wiring) -> bool:
    """Whether the last doubling ends far below the picture's size, as with convnext and swin."""
    return plan.last_shuffle is not None and plan.filled > OWN_ROW


def _rows(plan: Wiring, taps: Sequence[Tap]) -> int:
    """The number of the deepest row, the body's last map's."""
    above = 1 if any(step.up == SHUFFLE for step in plan.steps) or not plan.steps else int(_has_full_tap(plan, taps))
    return max(len(plan.steps) + above + _own_row(plan), len(taps) + 1)


def _has_full_tap(plan: Wiring, taps: Sequence[Tap]) -> bool:
    return bool(taps) and 2 * taps[0].shape[1] > 1.5 * plan.image[1]


def _encoder_rows(plan: Wiring, taps: Sequence[Tap], rows: int, skips: Sequence[dict]) -> list[int]:
    """A row for each stage, finest first: that of the block its skip goes to, else by its size from below."""
    taken = {skip["source"]: rows - 1 - k for k, skip in enumerate(skips)}
    found, below = [rows], rows
    for i in reversed(range(len(taps))):
        doublings = round(log2(taps[i].shape[1] / plan.features[1]))
        below = taken.get(i, max(i + 1, min(below - 1, rows - doublings)))
        found.insert(0, below)
    return found


# ---- the encoder ----


def _photo(trace: Trace) -> dict:
    dims = trace.in_shape
    return {
        "name": "photo",
        "shape": list(dims),
        "facts": [["in", shape(dims)], ["values", short(prod(dims))], ["scale", "1"]],
        "say": f"The photo goes in as {shape(dims)}.",
    }


def _encoder(trace: Trace, plan: Wiring, taps: Sequence[Tap], still: set[str], arch: str) -> list[dict]:
    """The stages that end in a tap, and the last one, with all modules of the encoder between them."""
    rows = inside(trace.layers, "encoder")[1:]
    owners = _owners(rows, [f"encoder.{tap.node}" for tap in taps])
    shapes = [tap.shape for tap in taps] + [plan.features]
    stages = body_stages(trace)
    by_qual = {row.qual: row for row in rows}
    picture = trace.in_shape[1:]
    pieces = []
    for i, dims in enumerate(shapes):
        own = [row for row in rows if owners[row.qual] == i]
        quals = _whole(own, owners, rows, i)
        end = f"encoder.{taps[i].node}" if i < len(taps) else _weightiest(quals, own)
        if trace.failure:
            made = by_qual[end].out_shape if end in by_qual else None
            dims = channels_first(made, picture) if made else None
        group = next((row.group for row in reversed(own) if row.params), trace.layers[0].group).removeprefix("body-")
        params = sum(row.params for row in own)
        name = _stage_name(stages, taps, i, end) if taps else arch
        failed = trace.failure is not None and owners.get(trace.failure.qual) == i
        pieces.append(
            {
                "name": name,
                "shape": list(dims) if dims else None,
                "group": group if group in ("early", "late") else "late",
                "frozen": group in still,
                "state": "failed" if failed else "ok" if dims else "unknown",
                "qual": end,
                "quals": quals,
                "facts": [["out", shape(dims)], ["scale", _scale(plan, dims)], ["params", short(params)]],
                "say": _stage_words(name, dims, group, group in still, params, failed, last=i == len(taps)),
            }
        )
    return pieces


def _stage_words(
    name: str, dims: Shape | None, group: str, frozen: bool, params: int, failed: bool, *, last: bool
) -> str:
    if failed:
        return f"{name} fails here."
    if dims is None:
        return f"{name}: not known, the encoder does not run."
    end = ", the encoder's last map" if last else ""
    weights = f"{short(params)} parameters, {'frozen' if frozen else 'learning'}" if params else "no parameters"
    return f"{name} makes {shape(dims)} of it{end}: {weights}."


def _owners(rows: Sequence[Layer], ends: Sequence[str]) -> dict[str, int]:
    """Which stage each module belongs to: the first whose end has not yet been passed."""
    owners, current = {}, 0
    seen: set[str] = set()
    for row in rows:
        while current < len(ends) and ends[current] in seen and not _is_in(row.qual, ends[current]):
            current += 1
        seen.add(row.qual)
        owners[row.qual] = current
    return owners


def _whole(own: Sequence[Layer], owners: Mapping[str, int], rows: Sequence[Layer], stage: int) -> list[str]:
    """The fewest modules that hold all of a stage and nothing of another one."""
    shared = {"encoder"}
    for row in rows:
        if owners[row.qual] != stage:
            parent = row.qual.rpartition(".")[0]
            while parent and parent not in shared:
                shared.add(parent)
                parent = parent.rpartition(".")[0]
    return [row.qual for row in own if row.qual not in shared and row.qual.rpartition(".")[0] in shared]


def _weightiest(quals: Sequence[str], own: Sequence[Layer]) -> str:
    """Of the modules of the last stage, which ends in no tap, the one with most parameters."""
    return max(quals, key=lambda qual: sum(row.params for row in own if _is_in(row.qual, qual)), default="encoder")


def _stage_name(stages: Sequence[Stage], taps: Sequence[Tap], i: int, end: str) -> str:
    """The ribbon's name of the stage, where it holds this map alone; else the module's own."""
    ends = [f"encoder.{tap.node}" for tap in taps] + ([] if i < len(taps) else [end])
    for stage in stages:
        held = [each for each in ends if any(row.qual == each for row in stage.rows)]
        if end in held:
            names = [item.name for item in stage.items if any(row.qual == end for row in item.rows)]
            return stage.name if len(held) == 1 or not names else brief(names[0])
    return brief(end.partition(".")[2])


def _scale(plan: Wiring, dims: Shape | None) -> str:
    """How much smaller than the picture: 1/8."""
    return f"1/{round(plan.image[1] / dims[1])}" if dims else "?"


# ---- skips ----


def _skips(plan: Wiring, taps: Sequence[Tap], names: Mapping[str, str]) -> list[dict]:
    """The skips a body has, deepest first, by the number under which they are switched."""
    order = {tap.node: i for i, tap in enumerate(taps)}
    return [
        {
            "number": number,
            "source": order[step.skip],
            "block": step.block,
            "on": step.joined,
            "channels": step.skip_shape[0],
            "words": shape(step.skip_shape),
            "name": f"{names[step.skip]} to block {step.block}",
            "facts": [
                ["carries", shape(step.skip_shape)],
                ["into", f"block {step.block}"],
                ["joined", shape(step.cat_shape) if step.joined else "no, it is off"],
            ],
            "say": f"Skip from {names[step.skip]} to block {step.block}, {shape(step.skip_shape)}",
        }
        for number, step in zip(count(), plan.skips)
    ]


# ---- the way up ----


def _middle(trace: Trace, plan: Wiring) -> dict | None:
    if not plan.middle:
        return None
    hidden, out = plan.middle
    dims = (out, *plan.features[1:])
    quals = ["decoder.norm", "decoder.relu", "decoder.middle"]
    params = _params(trace, quals)
    return {
        "name": "middle convs",
        "widths": [hidden, out],
        "shape": list(dims),
        "words": f"{hidden}, then {shape(dims)}",
        "state": "ok",
        "qual": "decoder.middle",
        "quals": quals,
        "facts": [["in", shape(plan.features)], ["between", f"{hidden} wide"], ["params", short(params)]],
        "say": f"Two middle convolutions make {shape(plan.features)} {hidden} channels wide, then {shape(dims)}.",
    }


def _ups(trace: Trace, plan: Wiring, names: Mapping[str, str], rows: int, skips: Sequence[dict]) -> list[dict]:
    """The ways up: the blocks, one more doubling where it has its own row, and what stands at full size."""
    by_block = {skip["block"]: k for k, skip in enumerate(skips)}
    ups = [
        _block(trace, step, names.get(step.skip, ""), rows - step.block, by_block.get(step.block))
        for step in plan.steps
    ]
    if _own_row(plan):
        ups.append(_fill(trace, plan, 1))
    if not ups or ups[-1]["row"] > 0:
        ups.append(_top(trace, plan))
    return ups


def _block(trace: Trace, step: Step, source: str, row: int, skip: int | None) -> dict:
    unet = step.up == SHUFFLE
    qual = f"decoder.blocks.{step.block - 1}" if unet else f"decoder.steps.{step.block - 1}"
    marks = [{"kind": KINDS[step.up], "qual": f"{qual}.shuf" if unet else f"{qual}.0"}]
    if step.blur:
        marks.append({"kind": "blur", "qual": f"{qual}.shuf"})
    if step.joined:
        marks.append(_resize_mark(step.up_shape, step.cat_shape, step.resized, ""))
    notes = [_becomes(step.up_shape, step.cat_shape)] if step.resized else []
    if skip is not None and not step.joined:
        notes.append(f"{step.cat_shape[0] + step.skip_shape[0]} with its skip")
    if step.attention:
        notes.append("self-attention")
    return {
        "name": f"up {step.block}",
        "row": row,
        "marks": marks,
        "join": "" if skip is None else "on" if step.joined else "off",
        "join_qual": f"{qual}.bn" if step.joined else "",
        "skip": skip,
        "attention": step.attention,
        "state": "ok",
        "shape": list(step.out_shape),
        "notes": notes,
        "qual": qual,
        "quals": [qual],
        "facts": [
            ["doubled", shape(step.up_shape)],
            ["joined", shape(step.cat_shape)] if step.joined else ["params", short(_params(trace, [qual]))],
            ["out", shape(step.out_shape)],
        ],
        "say": _block_words(step, source),
    }


def _block_words(step: Step, source: str) -> str:
    """ "Block 1 doubles 512×7×7 to 256×14×14 by pixel shuffle, joins layer3's 256×14×14 and convolves all to …"."""
    words = f"Block {step.block} doubles {shape(step.in_shape)} to {shape(step.up_shape)} by {UP_WORDS[step.up]}"
    if step.blur:
        words += ", blurs it"
    if step.resized:
        words += f", a nearest resize makes {_becomes(step.up_shape, step.cat_shape).replace(' becomes ', ' to ')}"
    if step.joined:
        words += f", joins {source}'s {shape(step.skip_shape)} to {shape(step.cat_shape)}"
    words += f" and convolves that to {shape(step.out_shape)}" if step.up != TRANSPOSED else ""
    words += ", with self-attention" if step.attention else ""
    off = f" The skip from {source}, {shape(step.skip_shape)}, is off." if step.skip and not step.joined else ""
    return f"{words}.{off}"


def _fill(trace: Trace, plan: Wiring, row: int) -> dict:
    """One more pixel shuffle, far below the picture's size."""
    before = (plan.last_shuffle[0], plan.last_shuffle[1] // 2, plan.last_shuffle[2] // 2)
    return {
        "name": "last shuffle",
        "row": row,
        "marks": [{"kind": "shuffle", "qual": "decoder.last_shuffle"}],
        "join": "",
        "state": "ok",
        "shape": list(plan.last_shuffle),
        "notes": [],
        "qual": "decoder.last_shuffle",
        "quals": ["decoder.last_shuffle"],
        "facts": [
            ["in", shape(before)],
            ["out", shape(plan.last_shuffle)],
            ["params", short(_params(trace, ["decoder.last_shuffle"]))],
        ],
        "say": f"One more pixel shuffle doubles {shape(before)} to {shape(plan.last_shuffle)}.",
    }


def _top(trace: Trace, plan: Wiring) -> dict:
    """What happens at the picture's own size: the last doubling, a resize, the picture itself, a residual block."""
    below = plan.before_resize
    shuffles = plan.last_shuffle is not None and not _own_row(plan)
    marks = [{"kind": "shuffle", "qual": "decoder.last_shuffle"}] if shuffles else []
    marks.append(_resize_mark(below, plan.image, plan.resized, "decoder.last_shuffle" if shuffles else ""))
    unet = bool(plan.middle)
    full = (plan.cross or below[0], *plan.image[1:])
    quals = ["decoder.cross"] * bool(plan.cross) + ["decoder.last_shuffle"] * shuffles
    words = []
    if shuffles:
        before = (below[0], below[1] // 2, below[2] // 2)
        words.append(f"one more pixel shuffle doubles {shape(before)} to {shape(below)}")
    if plan.resized:
        words.append(f"a nearest resize makes {_becomes(below, plan.image).replace(' becomes ', ' to ')}")
    if plan.cross:
        hidden = f", {plan.cross_hidden} wide inside" if plan.cross_hidden != plan.cross else ""
        words.append(f"the photo itself joins: {shape(full)} go through a residual block{hidden}")
    elif unet:
        words.append("the photo itself does not join, last_cross is off")
    say = "; ".join(words) or "the map already has the photo's size"
    return {
        "name": f"ResBlock {plan.cross}" if plan.cross else "full size" if shuffles else "",
        "row": 0,
        "marks": marks,
        "join": ("on" if plan.cross else "off") if unet else "",
        "join_qual": "decoder.cross" if plan.cross else "",
        "cross": unet,
        "words": shape(plan.image),
        "channels": plan.image[0],
        "state": "ok",
        "shape": list(full),
        "slab": bool(plan.cross or shuffles),
        "notes": [_becomes(below, plan.image)] if plan.resized else [],
        "qual": quals[0] if quals else "",
        "quals": quals,
        "facts": [
            ["before", shape(below)],
            ["joined" if plan.cross else "full size", shape(full)],
            ["params", short(_params(trace, quals))],
        ],
        "say": f"At full size {say}.",
    }


def _output(spec: UnetSpec, trace: Trace, plan: Wiring, *, at_end: bool) -> dict:
    """The scores or the picture; a resize right before it where the way up ends `at_end` beside it."""
    name = "scores" if spec.task == SEGMENTATION else "picture"
    dims = plan.out_shape
    what = f"{dims[0]} scores for each pixel" if name == "scores" else PICTURES[spec.task]
    marks = [_resize_mark(plan.before_resize, plan.image, plan.resized, "")] if at_end else []
    resized = at_end and plan.resized
    becomes = _becomes(plan.before_resize, plan.image)
    first = f"A nearest resize makes {becomes.replace(' becomes ', ' to ')}; a" if resized else "A"
    y_range = spec.decoder.y_range
    squeezed = f", squeezed between {y_range[0]:g} and {y_range[1]:g}" if y_range else ""
    return {
        "name": name,
        "shape": list(dims),
        "marks": marks,
        "notes": [becomes] if resized else [],
        "state": "ok",
        "qual": "decoder.output",
        "quals": ["decoder.output"],
        "facts": [
            ["out", shape(dims)],
            ["values", short(prod(dims))],
            ["params", short(_params(trace, ["decoder.output"]))],
        ],
        "say": f"{first} 1×1 convolution gives {what}: {shape(dims)}{squeezed}.",
    }


def _resize_mark(before: Shape, after: Shape, fires: bool, qual: str) -> dict:
    words = _becomes(before, after) if fires else f"idle, {_size(before)} fits"
    return {"kind": "resize", "fires": fires, "words": words, "qual": qual}


def _becomes(before: Shape, after: Shape) -> str:
    """ "16 becomes 15", "50×66 becomes 49×66"."""
    both_square = before[1] == before[2] and after[1] == after[2]
    return f"{before[1]} becomes {after[1]}" if both_square else f"{_size(before)} becomes {_size(after)}"


def _size(dims: Shape) -> str:
    return str(dims[1]) if dims[1] == dims[2] else f"{dims[1]}×{dims[2]}"


def _params(trace: Trace, quals: Sequence[str]) -> int:
    return sum(row.params for row in trace.layers if any(_is_in(row.qual, qual) for qual in quals))


# ---- words ----


def _marks(plan: Wiring, ups: Sequence[dict], output: dict) -> list[dict]:
    """What the signs in the picture mean, of those that stand in it."""
    drawn = [mark for piece in (*ups, output) for mark in piece["marks"]]
    kinds = {mark["kind"] for mark in drawn}
    kinds |= {"join"} if any(up["join"] == "on" for up in ups) else set()
    kinds |= {"attention"} if any(step.attention for step in plan.steps) else set()
    legend = [{"kind": kind, "words": words} for kind, words in MARKS.items() if kind in kinds]
    if "resize" in kinds:
        fired = [mark["words"] for mark in drawn if mark.get("fires")]
        idle = f"idle at {_size(plan.image)} px"
        known = any(mark.get("words") for mark in drawn)
        words = f"nearest resize: {fired[0] if fired else idle}" if known else "nearest resize"
        legend.insert(1, {"kind": "resize", "fires": bool(fired), "words": words})
    return legend


def _headline(spec: UnetSpec) -> str:
    """ "resnet34 down, pixel shuffle up, 32 classes per pixel"."""
    if spec.task == STYLE_IMAGE:
        return f"{spec.body.arch} compares, one picture's pixels learn"
    what = f"{spec.n_out} classes per pixel" if spec.task == SEGMENTATION else PICTURES[spec.task]
    return f"{spec.body.arch} down, {HEADLINES[spec.decoder.kind]}, {what}"


def _subline(spec: UnetSpec, plan: Wiring) -> str:
    if spec.task == STYLE_IMAGE:
        return "The way down alone is used: no decoder takes part"
    if spec.decoder.kind != "unet":
        return f"No skips: all detail must come out of {shape(plan.features)}"
    total = len(plan.skips)
    if not total:
        return "This body works at one scale: there is nothing to skip from"
    if plan.n_skips == 0:
        beside = ", but for the photo itself" if spec.decoder.last_cross else ""
        return f"All skips off: all detail must come out of {shape(plan.features)}{beside}"
    if plan.n_skips < total:
        return f"{plan.n_skips} of {total} skips on"
    if plan.filled > OWN_ROW:
        return f"The body's first step is large: a resize ×{plan.filled:.2g} ends the way up"
    return "Skips carry the detail that pooling lost"


def _is_in(qual: str, outer: str) -> bool:
    return qual == outer or qual.startswith(outer + ".")
