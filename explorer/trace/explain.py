"""Why a model cannot run: which module stops it, what that needs and gets, and what would mend it, in one sentence.

Two kinds of models are explained: those of a spec (`body_failure`, `head_failure`), where a control of the page mends,
and any module that somebody wrote (`diagnose`), where an argument of a layer does (`mend`).
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

from torch import nn

from explorer.models.graphs import SIZE
from explorer.models.meta import blank_copy
from explorer.spec import LARGEST_SIDE, HeadSpec
from explorer.trace import cost
from explorer.trace.needs import BEFORE, FLATTEN, POOL, Need, need, smallest_input
from explorer.trace.records import Failure, Fix, Shape, Trace
from explorer.trace.watch import Run, run_once, watch

__all__ = [
    "Break", "Need", "batch_failure", "body_failure", "diagnose", "error_of", "find_break", "head_failure", "mend",
    "need", "smallest_input",
]  # fmt: skip

LONGEST_QUOTE = 160


@dataclass(frozen=True)
class Break:
    """The module that could not go on, its name below the one that was run, what it needed, and the input it got."""

    module: nn.Module
    qual: str
    need: Need
    in_shape: Shape

    @property
    def got(self) -> str:
        return self.need.got or in_words(self.in_shape)


def find_break(module: nn.Module, run: Run, error: Exception | None = None, root: str = "") -> Break | None:
    """Where a watched run of `module` went wrong; None where it did not.

    The first layer that does not get what its class needs is named even where the run went on: shapes on the meta
    device are not checked everywhere (a transposed convolution takes any channels there). `error` is what ended the
    run; `root` is the module's own name.
    """
    names = {inner: _join(root, qual) for qual, inner in module.named_modules()}
    for inner, calls in run.calls.items():
        for call in calls if next(inner.children(), None) is None else ():
            wanted = need(inner, call.in_shape)
            if wanted is not None:
                return Break(inner, names[inner], wanted, call.in_shape)
    if run.broke is None:
        return None
    calls = run.calls.get(run.broke)
    got = calls[-1].in_shape if calls else ()
    wanted = need(run.broke, got) or need_of_error(run.broke, got, error)
    return Break(run.broke, names[run.broke], wanted, got)


def error_of(module: nn.Module, in_shape: Shape) -> Exception | None:
    """What a module of meta tensors raises over an example of this shape; None where it runs."""
    try:
        run_once(module, in_shape)
    except Exception as error:
        return error
    return None


# ---- what torch says, in other words ----


def need_of_error(module: nn.Module, got: Shape, error: Exception | None) -> Need:
    """What a module needs whose class does not tell, read from the error its `forward` raised."""
    text = " ".join(str(error).split())
    for pattern, words in ERRORS:
        found = re.search(pattern, text)
        if found:
            return words(module, got, found)
    return Need("an input of another shape", advice=f"PyTorch says: {_quote(text)}" if text else "")


def _sum(module: nn.Module, got: Shape, found: re.Match) -> Need:
    second, first = (tuple(map(int, shape.split(", ")))[1:] for shape in found.groups())
    return _two_maps(
        "add", f"{times(first)} and {times(second)}", first[:1] != second[:1] and len(first) == len(second)
    )


def _lengths(module: nn.Module, got: Shape, found: re.Match) -> Need:
    first, second, dim = found.groups()
    return _two_maps("add", f"{first} and {second} along dimension {dim}", dim == "1")


def _concat(module: nn.Module, got: Shape, found: re.Match) -> Need:
    joined, first, dim, second = found.groups()
    return Need(
        "maps of one height and width to put side by side" if joined == "1" else "tensors of one size to put together",
        got=f"{first} and {second} along dimension {dim}",
        advice="give its branches the same stride and padding",
    )


def _stack(module: nn.Module, got: Shape, found: re.Match) -> Need:
    first, second = (shape.partition(", ")[2].replace(", ", "×") for shape in found.groups())
    return _two_maps("stack", f"{first} and {second}", False)


def _two_maps(verb: str, got: str, channels: bool) -> Need:
    same = "number of channels" if channels else "stride and padding"
    return Need(f"tensors of one shape to {verb}", got=got, advice=f"give its branches the same {same}")


def _layout(module: nn.Module, got: Shape, found: re.Match) -> Need:
    sizes = tuple(map(int, found[1].split(", ")))
    if len(sizes) == 6 and sizes[3] == sizes[5] and len(got) == 3:  # windows: (B, C, rows, side, columns, side)
        return Need(f"a height and width that are multiples of {sizes[3]}", advice="choose another picture size")
    if -1 in sizes:
        return Need(f"a number of values that fits into {times(sizes)}", advice="let the sizes follow from its input")
    return Need(
        f"{prod(sizes)} values to lay out as {times(sizes[sizes[0] == 1 :])}",
        got=f"{prod(got)} ({times(got)})",
        advice="let the sizes follow from its input",
    )


def _one_size(module: nn.Module, got: Shape, found: re.Match) -> Need:
    size = int(found[1])
    return Need(f"a picture of {size}×{size} px", size=size, advice=f"give it pictures of {size}×{size} px")


def _multiple(module: nn.Module, got: Shape, found: re.Match) -> Need:
    return Need(f"a height and width that are multiples of {found[1]}", advice="choose another picture size")


def _product(module: nn.Module, got: Shape, found: re.Match) -> Need:
    have, wanted = found.groups()
    return Need(f"a last dimension of {wanted}", advice=f"make its weight take {have}")


def _few_dims(module: nn.Module, got: Shape, found: re.Match) -> Need:
    low, high, asked = map(int, found.groups())
    dims = asked if asked >= 0 else -asked - 1
    return Need(f"at least {dims} dimensions besides the batch", advice="put it where the map is not yet flat")


def _permute(module: nn.Module, got: Shape, found: re.Match) -> Need:
    dims = int(found[1]) - 1
    return Need(f"{dims} dimensions besides the batch", advice="put it where its input has as many")


def _whole_numbers(module: nn.Module, got: Shape, found: re.Match) -> Need:
    what, has = "whole numbers, such as the ids of words", "a picture's decimals"
    return Need(what, got=has, advice="put a convolution in its place")


def _more_inputs(module: nn.Module, got: Shape, found: re.Match) -> Need:
    names = re.findall(r"'(\w+)'", found[2])
    listed = " and ".join(names)
    return Need(f"{1 + len(names)} inputs", got="one", advice=f"call it with {listed} from a module of your own")


def _no_forward(module: nn.Module, got: Shape, found: re.Match) -> Need:
    return Need("a forward method", got="none", advice="write def forward(self, x) in its class")


def _width(module: nn.Module, got: Shape, found: re.Match) -> Need:
    wanted, has = found.groups()
    advice = f"give it {wanted}, or make it with embed_dim={has}"
    return Need(f"{wanted} features for each step", got=has, advice=advice)


def _lone_value(module: nn.Module, got: Shape, found: re.Match) -> Need:
    return Need("more than one value for each channel to learn from", advice="set the batch size to 2 or more")


_SHAPE = r"\[([\d, ]+)\]"
ERRORS: tuple[tuple[str, Callable[[nn.Module, Shape, re.Match], Need]], ...] = (
    (rf"Attempting to broadcast .* had torch\.Size\({_SHAPE}\).* broadcastable to {_SHAPE}", _sum),
    (r"tensor a \((\d+)\) must match the size of tensor b \((\d+)\) at non-singleton dimension (\d+)", _lengths),
    (r"must match except in dimension (\d+)\. Expected (?:size )?(\d+) in dimension (\d+) but got (\d+)", _concat),
    (rf"stack expects each tensor to be equal size, but got {_SHAPE} at entry 0 and {_SHAPE}", _stack),
    (r"shape '\[([-\d, ]+)\]' is invalid for input of size \d+", _layout),
    (r"Wrong image (?:height|width)! Expected (\d+)", _one_size),
    (r"Input (?:image )?(?:height|width|size) \(.*\) doesn't match model \((\d+)", _one_size),
    (r"Input (?:image )?(?:height|width) \(.*\) (?:should|must) be divisible by patch size \((\d+)", _multiple),
    (r"mat1 and mat2 shapes cannot be multiplied \(\d+x(\d+) and (\d+)x\d+\)", _product),
    (r"same reduction dim, but got \[\d+, (\d+)\] X \[(\d+), \d+\]", _product),
    (r"Dimension out of range \(expected to be in range of \[(-?\d+), (-?\d+)\], but got (-?\d+)\)", _few_dims),
    (r"number of dimensions in the tensor input does not match .*len\(dims\) = (\d+)", _permute),
    (r"scalar types: Long", _whole_numbers),
    (r"missing (\d+) required positional arguments?: (.*)", _more_inputs),
    (r"is missing the required \"forward\" function", _no_forward),
    (r"expecting embedding dimension of (\d+), but got (\d+)", _width),
    (r"Expected more than 1 value per channel when training", _lone_value),
)  # fmt: skip


def _quote(text: str) -> str:
    short = text if len(text) <= LONGEST_QUOTE else text[:LONGEST_QUOTE].rsplit(" ", 1)[0] + " …"
    return f"“{short.rstrip('.')}”"


# ---- the model of a spec ----


def body_failure(
    found: Break,
    name: str,
    in_shape: Shape,
    runs_at: Callable[[int], bool],
    smallest: Callable[[], int | None],
    own_size: int | None = None,
) -> Failure:
    """The failure of a body on a picture of `in_shape`, with the size that would do, if one does.

    name      what the architecture calls the module that broke; "" for the body itself
    runs_at   whether the body runs on a picture of this side
    smallest  the side of the smallest picture that it runs on, None where that cannot be found
    own_size  the side of the pictures it was made for, where that is known
    """
    wanted = replace(found.need, size=found.need.size or own_size)
    size, made_for = _mending_size(wanted, in_shape[-2:], runs_at, smallest)
    fix = Fix(f"Set the size to {size} px", "body.size", size) if size else None
    what = f"{title(name or 'The body', found.module)} needs {found.need.words}"
    whole = tuple(in_shape) == tuple(found.in_shape)
    picture = times(in_shape[1:])
    problem = f"but gets a picture of {picture} px" if whole else f"but a picture of {picture} px leaves it {found.got}"
    advice = f"set the size to {size} px{made_for}" if size else "choose another cut"
    return Failure(
        qual=found.qual,
        name=name or type(found.module).__name__,
        cls=type(found.module).__name__,
        needed=found.need.words,
        got=found.got,
        reason=f"{what}, {problem}: {advice}.",
        fix=fix,
    )


def _mending_size(
    wanted: Need, picture: Shape, runs_at: Callable[[int], bool], smallest: Callable[[], int | None]
) -> tuple[int | None, str]:
    """The side of a square that a body runs on where it does not on a picture of this height and width, and a word
    about its like.

    Where a larger picture would do it is the smallest one; else the one size the body was made for, or the multiple of
    it that is nearest.
    """
    if wanted.larger:
        least = smallest()
        if least is not None and least > min(picture):
            return least, " or more"
    if wanted.size and runs_at(wanted.size):
        return wanted.size, ", which it was made for"
    near = sorted(range(SIZE, LARGEST_SIDE + 1, SIZE), key=lambda size: (abs(size - max(picture)), size))
    works = next((size for size in near if (size, size) != tuple(picture) and runs_at(size)), None)
    if works is None:
        return None, ""
    many = works != SIZE or runs_at(2 * SIZE)
    return works, f", a multiple of {SIZE}" if many else ", which it was made for"


def head_failure(found: Break, spec: HeadSpec, in_shape: Shape, out_shape: Shape | None, n_out: int) -> Failure:
    """The failure of a head on a body's map of `in_shape`.

    A head without pooling may run on a map by accident, where the map's width is the number of features: `out_shape`
    is what then comes out of it instead of `n_out` numbers.
    """
    name = _join("head", found.qual.partition(".")[2])
    unpooled = spec.pool is None
    if out_shape is None:
        needed, got = found.need.words, found.got
        what = f"{title(name, found.module)} needs {needed}, but gets {got}"
    else:
        needed, got = f"{n_out} numbers for a picture", times(out_shape)
        what = f"The head must end in {needed}, but ends in {got}"
    because = (
        ", because nothing pools the body's map" + (f" ({times(in_shape)})" if out_shape else "") + ": choose a pooling"
    )
    return Failure(
        qual=found.qual,
        name=name,
        cls=type(found.module).__name__,
        needed=needed,
        got=got,
        reason=f"{what}{because}." if unpooled else f"{what}: {found.need.advice}.",
        fix=Fix("Pool with concat", "head.pool", "concat") if unpooled else None,
    )


def batch_failure(trace: Trace, batch_size: int) -> Failure | None:
    """Why a model cannot *learn* from batches of this size, where it could run: a batch norm of lists sees one value.

    Maps have a value for each cell, so a batch of one is enough for a body that ends in a large map and a head
    without batch norm. None for a model that does not run at all.
    """
    if batch_size != 1 or trace.failure is not None:
        return None
    for layer in trace.layers:
        cells = (layer.out_shape or ())[1:]
        if layer.cls.startswith("BatchNorm") and layer.out_shape is not None and all(n == 1 for n in cells):
            name = _join("head", layer.qual.partition(".")[2]) if layer.qual.startswith("1") else layer.name
            channels = layer.out_shape[0]
            return Failure(
                qual=layer.qual,
                name=name,
                cls=layer.cls,
                needed="more than one value for each feature",
                got="one",
                reason=f"{name} ({layer.cls}) needs more than one value for each of its {channels} features to learn, "
                "but a batch of one picture gives it one: set the batch size to 2 or more.",
                fix=Fix("Set the batch size to 2", "batch_size", 2),
            )
    return None


# ---- anybody's module ----


def diagnose(module: nn.Module, in_shape: Shape, name: str = "") -> Failure | None:
    """Why any module cannot run on one example of this shape, without the batch; None where it can.

    The module is copied to the meta device and run there in eval mode, so nothing of it changes and no numbers are
    computed. The failure's `qual` is the broken module's name below `module` ("" for itself), under `name` where one
    is given; a fix names that module and an argument of it ("1.in_features"), and `mend` carries it out.
    """
    blank = blank_copy(module)
    run = watch(blank, in_shape)
    found = find_break(blank, run, error_of(blank, in_shape) if run.broke is not None else None, name)
    return None if found is None else _own_failure(found, blank)


def _own_failure(found: Break, whole: nn.Module) -> Failure:
    wanted, cls = found.need, type(found.module).__name__
    advice = wanted.advice or "look at what comes before it"
    return Failure(
        qual=found.qual,
        name=found.qual or cls,
        cls=cls,
        needed=wanted.words,
        got=found.got,
        reason=f"{title(found.qual, found.module)} needs {wanted.words}, but gets {found.got}: {advice}.",
        fix=_own_fix(found, whole),
    )


def _own_fix(found: Break, whole: nn.Module) -> Fix | None:
    if found.need.change is None or found.module is whole:
        return None
    argument, value = found.need.change
    if argument != BEFORE:
        return Fix(f"Set {argument} to {value}", f"{found.qual}.{argument}", value)
    chains = isinstance(whole.get_submodule(found.qual.rpartition(".")[0]), nn.Sequential)
    label = {POOL: "Pool and flatten before it", FLATTEN: "Flatten before it"}[value]
    return Fix(label, f"{found.qual}.{BEFORE}", value) if chains else None


def mend(module: nn.Module, fix: Fix) -> nn.Module:
    """A copy of a module with a diagnosed fix carried out: one layer made anew, or pooling and flatten before it.

    A layer that is made anew starts from new weights.
    """
    mended = copy.deepcopy(module)
    qual, _, argument = fix.field.rpartition(".")
    layer = mended.get_submodule(qual)
    if argument == BEFORE:
        pooling = [nn.AdaptiveAvgPool2d(1)] if fix.value == POOL else []
        mended.set_submodule(qual, nn.Sequential(*pooling, nn.Flatten(), layer))
    else:
        mended.set_submodule(qual, _made_anew(layer, argument, fix.value))
    return mended


def _made_anew(layer: nn.Module, argument: str, value: object) -> nn.Module:
    """A layer of torch's with one of its arguments changed; it keeps the others under their own names."""
    recurrent = isinstance(layer, nn.RNNBase)
    parameters = inspect.signature(nn.RNNBase if recurrent else type(layer)).parameters
    arguments = {name: getattr(layer, name) for name in parameters if hasattr(layer, name) and name != "mode"}
    if "bias" in parameters and not isinstance(arguments.get("bias"), bool):
        arguments["bias"] = arguments.get("bias") is not None
    return type(layer)(**{**arguments, argument: value})


# ---- words ----


def title(name: str, module: nn.Module) -> str:
    """A module in a sentence: "features.5 (MaxPool2d 3×3, stride 2)"; its class alone where it has no name."""
    words = f"{type(module).__name__} {cost.detail(module)}".strip()
    return f"{name} ({words})" if name else words


def in_words(shape: Shape) -> str:
    """What a shape is called in a sentence: "a list of 192", "8×6×6"."""
    if len(shape) == 1:
        return f"a list of {shape[0]}"
    return times(shape) or "something else"


def times(shape: Shape) -> str:
    """3×224×224"""
    return "×".join(map(str, shape))


def _join(root: str, qual: str) -> str:
    return f"{root}.{qual}" if root and qual else root or qual
