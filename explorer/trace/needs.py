"""What a layer needs of its input, in words: a rule for each class of `torch.nn` that can refuse a shape.

The rules are those of a *batch*: torch also takes a lone example, and then a batch of lists for one picture of a
single channel; what means something else than it says counts as refused here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torchvision.models.convnext import LayerNorm2d

from explorer.models.heads import AdaptiveConcatPool2d
from explorer.trace.cost import ADAPTIVE, CONVS, POOLS, TRANSPOSED
from explorer.trace.records import Shape

POOL, FLATTEN = "pool", "flatten"
"""What may be put before a layer: an adaptive average pooling with a flatten behind it, or the flatten alone."""
BEFORE = "before"

WORDS = {
    1: "a list of features",
    2: "a sequence of channels × length",
    3: "a map of channels × height × width",
    4: "a volume of channels × depth × height × width",
}
LP_POOLS = (nn.LPPool1d, nn.LPPool2d)
REFLECTION = nn.modules.padding._ReflectionPadNd
REPLICATION = nn.modules.padding._ReplicationPadNd
PADS = (REFLECTION, REPLICATION, nn.modules.padding._CircularPadNd)


@dataclass(frozen=True)
class Need:
    """What a module needs, in words.

    larger  a larger picture would do
    size    the one side of a picture that does, where only one does
    got     what it got, where that is more than its input's shape: "64×8×8 and 64×7×7"
    advice  what to change in a module of one's own, as an order: "make it take 4 channels"
    change  the same for a program: an argument of the layer and its value, ("in_channels", 4), or `BEFORE` and what to
            put before it, ("before", "pool")
    """

    words: str
    larger: bool = False
    size: int | None = None
    got: str = ""
    advice: str = ""
    change: tuple[str, object] | None = None


def need(module: nn.Module, *in_shapes: Shape) -> Need | None:
    """What `module` needs and these shapes do not give; None where it gets it, or its class does not tell.

    in_shapes  of one example, without the batch; a layer of several inputs (attention, `nn.Bilinear`) has one for each
    """
    rule = _rule_of(type(module))
    return rule(module, *in_shapes) if rule else None


def smallest_input(module: nn.Module) -> tuple[int, ...]:
    """Least size along each axis (height, width) that leaves a convolution or pooling one cell of output."""
    return tuple(max(1, least) for least in _each_least(module))


# ---- convolutions and pools ----


def _conv(module: nn.Module, shape: Shape) -> Need | None:
    channels = module.in_channels
    if len(shape) != len(module.kernel_size) + 1:
        return _dims(module, shape, len(module.kernel_size) + 1)
    if shape[0] != channels:
        fits = shape[0] % module.groups == 0
        shared = f"give it {channels} channels, because {module.groups} groups cannot share {shape[0]}"
        return Need(
            f"{channels} channels",
            got=_count(shape),
            advice=f"make it take {shape[0]} channels" if fits else shared,
            change=("in_channels", shape[0]) if fits else None,
        )
    return _room(module, shape)


def _pool(module: nn.Module, shape: Shape) -> Need | None:
    dims = int(type(module).__name__[-2])
    if len(shape) != dims + 1:
        return _dims(module, shape, dims + 1)
    kernel, padding = _axes(module.kernel_size, dims), _axes(getattr(module, "padding", 0), dims)
    dilation = _axes(getattr(module, "dilation", 1), dims)
    most = tuple((d * (k - 1) + 1) // 2 for k, d in zip(kernel, dilation, strict=True))
    if any(p > m for p, m in zip(padding, most, strict=True)):
        return Need(
            f"a padding of at most {_times(most)}, half its kernel of {_times(kernel)}",
            got=f"a padding of {_times(padding)}",
            advice=f"set padding={_plain(most)}",
            change=("padding", _plain(most)),
        )
    return _room(module, shape)


def _room(module: nn.Module, shape: Shape) -> Need | None:
    least = smallest_input(module)
    if all(have >= want for have, want in zip(shape[1:], least, strict=True)):
        return None
    what = {1: "a length of at least", 2: "a map of at least", 3: "a volume of at least"}[len(least)]
    return Need(f"{what} {_times(least)}", larger=True, advice="put in a larger picture, or shrink it less before")


def _each_least(module: nn.Module) -> list[int]:
    dims = int(type(module).__name__[-2])
    kernel = _axes(module.kernel_size, dims)
    stride = _axes(module.stride if module.stride is not None else module.kernel_size, dims)
    dilation = _axes(getattr(module, "dilation", 1), dims)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padding = getattr(module, "padding", 0)
    if padding == "same":
        return [1] * dims
    padding = _axes(0 if padding == "valid" else padding, dims)
    if isinstance(module, TRANSPOSED):
        extra = _axes(module.output_padding, dims)
        rows = zip(spans, stride, padding, extra, strict=True)
        return [1 - (span + more - 1 - 2 * p) // s for span, s, p, more in rows]
    spare = [s - 1 if getattr(module, "ceil_mode", False) else 0 for s in stride]
    least = [span - 2 * p - more for span, p, more in zip(spans, padding, spare, strict=True)]
    mirrored = {"reflect": 1, "circular": 0}.get(getattr(module, "padding_mode", "zeros"))
    return least if mirrored is None else [max(n, p + mirrored) for n, p in zip(least, padding, strict=True)]


def _adaptive(module: nn.Module, shape: Shape) -> Need | None:
    dims = int(type(module).__name__[-2])
    return _dims(module, shape, dims + 1) if len(shape) != dims + 1 else None


def _unfold(module: nn.Unfold, shape: Shape) -> Need | None:
    if len(shape) != 3:
        return _dims(module, shape, 3)
    pairs = [_axes(value, 2) for value in (module.kernel_size, module.dilation, module.padding)]
    least = tuple(max(1, d * (k - 1) + 1 - 2 * p) for k, d, p in zip(*pairs, strict=True))
    small = shape[1] < least[0] or shape[2] < least[1]
    return Need(f"a map of at least {_times(least)}", larger=True, advice="put in a larger picture") if small else None


def _pad(module: nn.Module, shape: Shape) -> Need | None:
    dims = len(module.padding) // 2
    if len(shape) != dims + 1:
        return _dims(module, shape, dims + 1)
    if isinstance(module, REPLICATION):
        return None
    beyond = int(isinstance(module, REFLECTION))
    pairs = [module.padding[2 * i : 2 * i + 2] for i in reversed(range(dims))]
    least = tuple(max(1, *(p + beyond for p in pair)) for pair in pairs)
    small = any(have < want for have, want in zip(shape[1:], least, strict=True))
    advice = "put in a larger picture, or pad less"
    return Need(f"a map of at least {_times(least)}", larger=True, advice=advice) if small else None


# ---- norms ----


def _batch_norm(module: _BatchNorm, shape: Shape) -> Need | None:
    features = module.num_features
    dims = {"1": (1, 2), "2": (3,), "3": (4,)}.get(type(module).__name__[-2:-1], (max(1, len(shape)),))
    if dims == (1, 2) and len(shape) == 3:
        own = shape[0] == features
        advice = "pool the map and flatten it first" + (", or use BatchNorm2d" if own else "")
        return Need(f"a list of {features} features", advice=advice, change=(BEFORE, POOL))
    if len(shape) not in dims:
        return _dims(module, shape, dims[0])
    return _channels(
        module, shape, features, "num_features", f"a list of {features} features" if len(shape) == 1 else ""
    )


def _instance_norm(module: _InstanceNorm, shape: Shape) -> Need | None:
    dims = int(type(module).__name__[-2]) + 1
    if len(shape) != dims:
        return _dims(module, shape, dims)
    if module.affine or module.track_running_stats:
        wrong = _channels(module, shape, module.num_features, "num_features")
        if wrong:
            return wrong
    if prod(shape[1:]) == 1 and not module.track_running_stats:
        return Need(
            "a map of more than one cell", larger=True, advice="put in a larger picture, or shrink it less before"
        )
    return None


def _layer_norm(module: nn.LayerNorm, shape: Shape) -> Need | None:
    wanted = tuple(module.normalized_shape)
    if shape[-len(wanted) :] == wanted:
        return None
    last = shape[-len(wanted) :]
    if len(shape) == 3 and wanted == shape[:1]:
        advice = f"use nn.GroupNorm(1, {shape[0]}), which normalises the channels of a map"
        return Need(f"a last dimension of {wanted[0]}", advice=advice)
    what = "a last dimension of" if len(wanted) == 1 else "inputs that end in"
    return Need(
        f"{what} {_times(wanted)}",
        advice=f"make it normalise over {_times(last)}" if last else "",
        change=("normalized_shape", last) if len(last) == len(wanted) else None,
    )


def _layer_norm_2d(module: LayerNorm2d, shape: Shape) -> Need | None:
    if len(shape) != 3:
        return _dims(module, shape, 3)
    wrong = _channels(module, shape, module.normalized_shape[0], "normalized_shape")
    return wrong and replace(wrong, change=("normalized_shape", (shape[0],)))


def _group_norm(module: nn.GroupNorm, shape: Shape) -> Need | None:
    if not shape:
        return _dims(module, shape, 1)
    wrong = _channels(module, shape, module.num_channels, "num_channels")
    if wrong and shape[0] % module.num_groups:
        shared = f"give it {module.num_channels} channels, because {module.num_groups} groups cannot share {shape[0]}"
        return Need(wrong.words, got=wrong.got, advice=shared)
    if module.affine:
        return wrong
    return wrong if shape[0] % module.num_groups else None


def _channels(module: nn.Module, shape: Shape, wanted: int, argument: str, words: str = "") -> Need | None:
    if shape[0] == wanted:
        return None
    unit = "features" if len(shape) == 1 else "channels"
    return Need(
        words or f"{wanted} channels",
        got=_count(shape),
        advice=f"make it take {shape[0]} {unit}",
        change=(argument, shape[0]),
    )


# ---- flat layers, sequences, attention ----


def _linear(module: nn.Linear, shape: Shape) -> Need | None:
    wanted = module.in_features
    if shape and shape[-1] == wanted:
        return None
    if len(shape) == 3:
        flat = prod(shape) == wanted
        advice = "flatten the map first" if flat else "pool the map and flatten it first"
        return Need(f"a list of {wanted} features", advice=advice, change=(BEFORE, FLATTEN if flat else POOL))
    a_step = f"{wanted} features for each of the {shape[0]} steps" if len(shape) == 2 else ""
    got = shape[-1] if shape else 1
    return Need(
        a_step or f"a list of {wanted} features",
        advice=f"make it take {got} features",
        change=("in_features", got) if shape else None,
    )


def _bilinear(module: nn.Bilinear, first: Shape, second: Shape | None = None) -> Need | None:
    if first[-1] != module.in1_features:
        return Need(
            f"{module.in1_features} features in its first input",
            advice=f"make it take {first[-1]}",
            change=("in1_features", first[-1]),
        )
    if second is not None and second[-1] != module.in2_features:
        return Need(
            f"{module.in2_features} features in its second input",
            got=f"{_times(second)} there",
            advice=f"make it take {second[-1]}",
            change=("in2_features", second[-1]),
        )
    return None


def _attention(module: nn.MultiheadAttention, query: Shape, key: Shape = (), value: Shape = ()) -> Need | None:
    wanted = (("query", query, module.embed_dim), ("key", key, module.kdim), ("value", value, module.vdim))
    for what, shape, width in wanted:
        if len(shape) > 2:
            words = f"a sequence of {width} features for each step"
            return Need(words, advice="flatten height and width to one row of tokens, channels last")
        if shape and shape[-1] != width:
            return Need(
                f"{width} features for each step of its {what}",
                got=f"{_times(shape)}",
                advice=f"give its {what} {width} features, or make it with embed_dim={shape[-1]}",
            )
    return None


def _recurrent(module: nn.RNNBase, shape: Shape) -> Need | None:
    if len(shape) > 2:
        return Need(
            f"a sequence of {module.input_size} features for each step",
            advice="flatten height and width to one row of steps, channels last",
        )
    if shape and shape[-1] == module.input_size:
        return None
    got = shape[-1] if shape else 1
    words = f"{module.input_size} features for each step"
    return Need(words, advice=f"make it take {got} features", change=("input_size", got) if shape else None)


def _encoder(
    module: nn.TransformerEncoderLayer | nn.TransformerDecoderLayer, shape: Shape, *more: Shape
) -> Need | None:
    return _attention(module.self_attn, shape)


# ---- layers that only rearrange ----


def _flatten(module: nn.Flatten, shape: Shape) -> Need | None:
    dims = len(shape) + 1
    ends = (module.start_dim, module.end_dim)
    if all(-dims <= end < dims for end in ends):
        return None
    needed = max(end + 1 if end >= 0 else -end for end in ends) - 1
    return Need(
        f"at least {needed} dimensions besides the batch",
        advice="use nn.Flatten() without arguments",
        change=("end_dim", -1) if -dims <= module.start_dim < dims else None,
    )


def _unflatten(module: nn.Unflatten, shape: Shape) -> Need | None:
    if not isinstance(module.dim, int) or not isinstance(module.unflattened_size, (tuple, list)):
        return None
    sizes, dims = tuple(module.unflattened_size), len(shape) + 1
    if not -dims <= module.dim < dims:
        return Need(f"at least {module.dim if module.dim >= 0 else -module.dim - 1} dimensions besides the batch")
    at = module.dim % dims
    if at == 0:
        return None
    have, known = shape[at - 1], prod(size for size in sizes if size != -1)
    if have == known or (-1 in sizes and known and have % known == 0):
        return None
    if -1 in sizes:
        return Need(f"a number that {known} divides, to lay it out as {_times(sizes)}")
    return Need(f"{known} values to lay out as {_times(sizes)}", advice=f"choose sizes whose product is {have}")


def _pixel_shuffle(module: nn.PixelShuffle, shape: Shape) -> Need | None:
    block = module.upscale_factor**2
    if len(shape) != 3:
        return _dims(module, shape, 3)
    if shape[0] % block == 0:
        return None
    more = (shape[0] // block + 1) * block
    advice = f"give the layer before it {more} output channels"
    return Need(f"channels that {block} divides ({module.upscale_factor}×{module.upscale_factor})", advice=advice)


def _pixel_unshuffle(module: nn.PixelUnshuffle, shape: Shape) -> Need | None:
    factor = module.downscale_factor
    if len(shape) != 3:
        return _dims(module, shape, 3)
    if shape[1] % factor == 0 and shape[2] % factor == 0:
        return None
    return Need(f"a height and width that {factor} divides", advice="choose another picture size")


def _channel_shuffle(module: nn.ChannelShuffle, shape: Shape) -> Need | None:
    if len(shape) < 2:
        return _dims(module, shape, 3)
    if shape[0] % module.groups == 0:
        return None
    return Need(f"channels that {module.groups} divides", advice="choose another number of groups")


def _upsample(module: nn.Upsample, shape: Shape) -> Need | None:
    dims = {"linear": (2,), "bilinear": (3,), "bicubic": (3,), "trilinear": (4,)}.get(module.mode, (2, 3, 4))
    if len(shape) in dims:
        return None
    return _dims(module, shape, 3 if 3 in dims else dims[0])


def _glu(module: nn.GLU, shape: Shape) -> Need | None:
    at = module.dim if module.dim < 0 else module.dim - 1
    if module.dim == 0 or not -len(shape) <= at < len(shape) or shape[at] % 2 == 0:
        return None
    return Need("an even number of channels to halve", advice=f"give the layer before it {shape[at] + 1} outputs")


def _prelu(module: nn.PReLU, shape: Shape) -> Need | None:
    if module.num_parameters == 1 or (shape and shape[0] == module.num_parameters):
        return None
    return Need(
        f"{module.num_parameters} channels",
        got=_count(shape),
        advice=f"make it take {shape[0]} channels" if shape else "",
        change=("num_parameters", shape[0]) if shape else None,
    )


def _softmax_2d(module: nn.Softmax2d, shape: Shape) -> Need | None:
    return None if len(shape) == 3 else _dims(module, shape, 3)


def _dims(module: nn.Module, shape: Shape, wanted: int) -> Need:
    """A wrong number of dimensions; `wanted` ones besides the batch."""
    name = type(module).__name__
    if len(shape) == 1 and isinstance(module, _BatchNorm):
        advice = "use BatchNorm1d"
    elif len(shape) == 1 and wanted > 1:
        advice = "put it before the pooling and the flatten"
    elif name[-1:] == "d" and name[-2:-1].isdigit() and len(shape) in (2, 3, 4):
        advice = f"use {name[:-2]}{len(shape) - 1}d"
    else:
        advice = ""
    return Need(WORDS[wanted], advice=advice)


RULES: tuple[tuple[tuple[type, ...], Callable[..., Need | None]], ...] = (
    (CONVS + TRANSPOSED, _conv),
    (POOLS + LP_POOLS, _pool),
    (ADAPTIVE, _adaptive),
    ((AdaptiveConcatPool2d,), _adaptive),
    ((_BatchNorm, nn.SyncBatchNorm), _batch_norm),
    ((_InstanceNorm,), _instance_norm),
    ((LayerNorm2d,), _layer_norm_2d),
    ((nn.LayerNorm,), _layer_norm),
    ((nn.GroupNorm,), _group_norm),
    ((nn.Linear,), _linear),
    ((nn.Bilinear,), _bilinear),
    ((nn.MultiheadAttention,), _attention),
    ((nn.TransformerEncoderLayer, nn.TransformerDecoderLayer), _encoder),
    ((nn.RNNBase,), _recurrent),
    ((nn.Flatten,), _flatten),
    ((nn.Unflatten,), _unflatten),
    ((nn.PixelShuffle,), _pixel_shuffle),
    ((nn.PixelUnshuffle,), _pixel_unshuffle),
    ((nn.ChannelShuffle,), _channel_shuffle),
    ((nn.Upsample,), _upsample),
    ((nn.Unfold,), _unfold),
    (PADS, _pad),
    ((nn.GLU,), _glu),
    ((nn.PReLU,), _prelu),
    ((nn.Softmax2d,), _softmax_2d),
)


@lru_cache(maxsize=512)
def _rule_of(cls: type) -> Callable[..., Need | None] | None:
    """The rule of a class that computes as one of torch's own does: a subclass with a `forward` of its own has none."""
    for classes, rule in RULES:
        for known in classes:
            own = known.forward is nn.Module.forward and cls.__module__.startswith("torch.")
            if issubclass(cls, known) and (own or cls.forward is known.forward):
                return rule
    return None


def _count(shape: Shape) -> str:
    """Channels that came, and the whole shape: "3 (3×9×9)"; a list's length says it all."""
    return f"{shape[0]} ({_times(shape)})" if len(shape) > 1 else ""


def _axes(value: int | tuple[int, ...], dims: int) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,) * dims


def _plain(value: tuple[int, ...]) -> int | tuple[int, ...]:
    return value[0] if len(set(value)) == 1 else value


def _times(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes))
