"""What a real picture becomes inside a network: grey faces of layers, channel maps of one layer, figures of all.

`faces` is what the ribbon paints; `look` is one layer seen closely and every layer in figures; `snapshot` is the same
small enough to be kept with each epoch; `imagenet_labels` is what an uncut network says.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import get_ident

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from explorer.trace.activation_records import ChannelMaps, Histogram, LayerStats, Look, Snapshot
from explorer.trace.records import is_channels_last

LOW, HIGH = 0.01, 0.99
BINS = 40
NOT_POINTWISE = (nn.MultiheadAttention, nn.Softmax, nn.LogSoftmax, nn.Softmin, nn.Softmax2d)


def faces(body: nn.Module, x: Tensor, quals: Iterable[str]) -> dict[str, np.ndarray]:
    """Grey pictures (h, w) uint8 of the layers named in the model: "0" is the body, "0.4" its child 4.

    x is one normalised picture, (C, H, W) or (1, C, H, W). A layer's picture is the mean over its channels, at its
    last call, stretched so that its 1st and 99th percentile are 0 and 255; a flat one is 0. Tokens are laid out as the
    grid they came from. The body runs in eval mode and may serve several threads at once. Raises ValueError for a name
    that the body does not have, and for an x that is not one picture.
    """
    batch = _one_picture(x)
    layers = {qual: _layer(body, qual) for qual in quals}
    maps: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, out: object) -> None:
        if isinstance(out, Tensor) and out.ndim in (3, 4):
            folded = _fold(module, out, {}, batch.shape[-2:])
            maps[module] = folded.values[0, :, folded.left_out :].mean(0).reshape(folded.grid)

    if body.training:
        body.eval()
    with torch.no_grad(), _hooked(set(layers.values()), keep):
        body(batch)
    return {qual: to_grey(maps[layer]) for qual, layer in layers.items() if layer in maps}


def to_grey(values: Tensor) -> np.ndarray:
    """A map of numbers as uint8, its 1st percentile black and its 99th white; what is no number is black."""
    values = values.float()
    finite = values[torch.isfinite(values)]
    if finite.numel() == 0:
        return np.zeros(tuple(values.shape), np.uint8)
    low, high = torch.quantile(_thinned(finite), torch.tensor([LOW, HIGH], device=finite.device))
    spread = (high - low).clamp_min(1e-12)
    grey = ((values - low) / spread).clamp(0, 1) * 255
    return torch.nan_to_num(grey).round().to(torch.uint8).cpu().numpy()


def _thinned(values: Tensor, most: int = 1_000_000) -> Tensor:
    """At most about a million of the values, evenly chosen: `torch.quantile` takes no more than 16 million."""
    return values[:: max(1, values.numel() // most)]


def _layer(body: nn.Module, qual: str) -> nn.Module:
    root, _, inner = qual.partition(".")
    try:
        if root == "0":
            return body.get_submodule(inner)
    except AttributeError:
        pass
    raise ValueError(f"The body has no layer {qual!r}.")


# ---- one picture through the whole network ----


def look(
    model: nn.Module,
    x: Tensor,
    pick: str | None = None,
    *,
    most: int = 48,
    side: int = 64,
    one_scale: bool = False,
    channel: int | None = None,
) -> Look:
    """Figures of every layer for one normalised picture (C, H, W) or (1, C, H, W), and the picked layer's channels.

    model      `nn.Sequential(body, head)`, or `nn.Sequential(body)`: names begin "0." and "1." as in a trace
    pick       the layer whose channel maps are kept; None for figures alone
    most       channels shown at most, those with the largest mean square
    side       longest side of their pictures in pixels; larger maps are averaged down
    one_scale  one black and one white for all pictures; else each is stretched by itself (1st to 99th percentile)
    channel    only this channel, whatever its energy

    Layers are those inside which no other module ran, in the order of the run; of several calls of a module that has
    one name the last counts. Channel-last maps are turned round. Tokens become a grid where their number, or one
    less (a class token), is a square; else each channel is a line of tokens. Figures are taken inside the hooks, so
    no map is kept but the picked one. The model runs in eval mode and may serve several threads at once.

    Raises ValueError for a picked name or a channel that the model does not have, and for an x that is not one
    picture. A picked layer that never runs as a module (its parent reads its weights) leaves `picked` None.
    """
    batch = _one_picture(x)
    if pick is not None and pick not in dict(model.named_modules(remove_duplicate=False)):
        raise ValueError(f"The model has no layer {pick!r}: pick one of its own.")
    layers: dict[str, LayerStats] = {}
    around: set[str] = set()
    kept: list[tuple[LayerStats, Folded]] = []

    def see(qual: str, module: nn.Module, folded: Folded) -> None:
        innermost = qual not in around
        around.update(_around(qual))
        if not (innermost or qual == pick):
            return
        stats = _stats(qual, module, folded)
        if qual == pick:
            kept[:] = [(stats, replace(folded, values=folded.values.clone()))]
        if innermost:
            layers.pop(qual, None)
            layers[qual] = stats

    if model.training:
        model.eval()
    _run(model, batch, see)
    chosen = None if channel is None else (channel,)
    picked = _channel_maps(*kept[0], most, side, one_scale, chosen) if kept else None
    return Look(tuple(layers.values()), picked)


def snapshot(
    model: nn.Module,
    x: Tensor,
    epoch: int,
    layers: Sequence[str] | None = None,
    *,
    most: int = 24,
    channels: int = 8,
    side: int = 16,
    bins: int = 12,
) -> Snapshot:
    """The state of a network in a few kB, for normalised pictures x (B, C, H, W) on the model's device.

    layers    names as in a trace; None for the layers behind activation functions and the last one, at most `most`
    channels  of the middle one of those with a map, kept as pictures of at most `side` pixels; of the first picture

    The choice depends on the model alone, so snapshots of one run can be laid side by side. The model runs in eval
    mode without gradients, and every module's train mode is set back. Raises ValueError for a name that is not the
    model's.
    """
    wanted = tuple(layers) if layers is not None else _telling_layers(model, most)
    strange = set(wanted) - set(dict(model.named_modules(remove_duplicate=False)))
    if strange:
        raise ValueError(f"The model has no layer {sorted(strange)[0]!r}: name its own.")
    rows: dict[str, tuple[LayerStats, Histogram]] = {}
    maps: dict[str, tuple[Tensor, tuple[int, ...]]] = {}

    def see(qual: str, module: nn.Module, folded: Folded) -> None:
        if qual in wanted:
            stats = _stats(qual, module, folded)
            rows[qual] = (stats, _histogram(folded.values, stats, bins))
            if math.prod(folded.grid) > 1:
                spread = _spread(folded.values.shape[1], channels)
                maps[qual] = (_shrunk(_maps(folded, spread), side), spread)

    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        _run(model, x, see)
    finally:
        for module in training:
            module.training = True
    found = [rows[qual] for qual in wanted if qual in rows]
    with_map = [qual for qual in wanted if qual in maps]
    shown = with_map[len(with_map) // 2] if with_map else ""
    pixels, spread = maps.get(shown, (torch.zeros(0, 0, 0), ()))
    pictures = _painted(pixels, one_scale=False)[0]
    return Snapshot(
        epoch=epoch,
        quals=tuple(stats.qual for stats, _ in found),
        means=tuple(_short(stats.mean) for stats, _ in found),
        stds=tuple(_short(stats.std) for stats, _ in found),
        dead=tuple(_short(stats.dead) for stats, _ in found),
        lows=tuple(_short(histogram.low) for _, histogram in found),
        highs=tuple(_short(histogram.high) for _, histogram in found),
        histograms=tuple(_thousandths(histogram.counts) for _, histogram in found),
        map_qual=shown,
        map_channels=spread,
        map_shape=tuple(pictures.shape),
        map_pixels=b64encode(pictures.tobytes()).decode(),
    )


def imagenet_labels(
    model: nn.Module, x: Tensor, arch: str, weights: str | None, count: int = 5
) -> tuple[tuple[str, float], ...]:
    """The most likely ImageNet classes of one normalised picture, (name, probability), by an uncut network.

    weights  where the model's come from, "imagenet" or not: only those have learnt the 1000 classes

    Names are torchvision's (`meta["categories"]` of the architecture's weights). Raises ValueError for other weights,
    and for a model that does not end in those classes.
    """
    if weights != "imagenet":
        raise ValueError("Labels need ImageNet weights, and these are others: choose ImageNet weights to see them.")
    try:
        names = torchvision.models.get_model_weights(arch).DEFAULT.meta["categories"]
    except (ValueError, KeyError) as error:
        raise ValueError(f"torchvision knows no ImageNet labels of {arch}: choose another body.") from error
    if model.training:
        model.eval()
    with torch.no_grad():
        logits = model(_one_picture(x))
    if logits.shape != (1, len(names)):
        raise ValueError(
            f"Labels need the uncut network with its {len(names):,} outputs, not one of {logits.shape[-1]:,}."
        )
    likely = logits[0].softmax(0).topk(min(count, len(names)))
    return tuple((names[i], p) for i, p in zip(likely.indices.tolist(), likely.values.tolist(), strict=True))


# ---- watching a forward pass ----


@dataclass(frozen=True)
class Folded:
    """A layer's output by channel.

    values    (B, C, N) float32: for each picture and channel all its cells or tokens
    grid      height and width of a map; its cells are the last height × width of N
    left_out  how many of N stand before them
    shape     as it left the layer, without the batch dimension
    """

    values: Tensor
    grid: tuple[int, int]
    left_out: int
    shape: tuple[int, ...]


def _run(model: nn.Module, batch: Tensor, see: Callable[[str, nn.Module, Folded], None]) -> None:
    """Run the model without gradients; `see(qual, module, output)` at each call of a module that gives real numbers."""
    names: dict[nn.Module, list[str]] = {}
    for qual, module in model.named_modules(remove_duplicate=False):
        if qual:
            names.setdefault(module, []).append(qual)
    calls = dict.fromkeys(names, 0)
    layouts: dict[tuple[int, ...], bool] = {}

    def watch(module: nn.Module, out: object) -> None:
        qual = names[module][min(calls[module], len(names[module]) - 1)]
        calls[module] += 1
        tensor = out[0] if isinstance(out, tuple) and out else out
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.ndim >= 2 and tensor.numel():
            see(qual, module, _fold(module, tensor.detach(), layouts))

    with torch.no_grad(), _hooked(names, watch):
        model(batch)


@contextmanager
def _hooked(modules: Iterable[nn.Module], watch: Callable[[nn.Module, object], None]) -> Iterator[None]:
    """Tell `watch` of each output of these modules, as long as the block runs and in this thread alone."""
    thread = get_ident()

    def hook(module: nn.Module, args: object, out: object) -> None:
        if get_ident() == thread:
            watch(module, out)

    hooks = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


def _around(qual: str) -> Iterator[str]:
    """Everything a dotted name lies in: "0.4.1" lies in "0.4" and "0"."""
    while qual := qual.rpartition(".")[0]:
        yield qual


def _fold(
    module: nn.Module, out: Tensor, layouts: dict[tuple[int, ...], bool], picture: tuple[int, ...] = (1, 1)
) -> Folded:
    """Any output as (B, C, N) with the grid of its map. `picture`: height and width of the network's input."""
    shape = tuple(out.shape[1:])
    out = out.float()
    if out.ndim == 2:
        return Folded(out[:, :, None], (1, 1), 0, shape)
    if out.ndim == 3:
        tokens = out.shape[1]
        grid, left_out = _token_grid(tokens)
        return Folded(out.transpose(1, 2), grid, left_out, shape)
    if out.ndim == 4 and _is_channel_last(module, shape, layouts, picture):
        out = out.permute(0, 3, 1, 2)
    grid = (out.shape[2], math.prod(out.shape[3:]))
    return Folded(out.flatten(2), grid, 0, shape)


def _token_grid(tokens: int) -> tuple[tuple[int, int], int]:
    """Height and width for so many tokens, and how many stand in front: 196 and 197 are 14 × 14, 15 is a line."""
    for left_out in (0, 1):
        side = math.isqrt(tokens - left_out)
        if side and side * side == tokens - left_out:
            return (side, side), left_out
    return (1, tokens), 0


def _is_channel_last(
    module: nn.Module, shape: tuple[int, ...], layouts: dict[tuple[int, ...], bool], picture: tuple[int, ...]
) -> bool:
    """Whether a map is (H, W, C): known from the layer's kind, else from the last map of the same shape, else from
    which two sides go with the picture's, or are equal where that is not known to be a rectangle."""
    if isinstance(module, (nn.Conv2d, nn.BatchNorm2d)):
        last = False
    elif type(module) in (nn.Linear, nn.LayerNorm):
        last = True
    elif shape in layouts:
        return layouts[shape]
    elif picture[0] != picture[1]:
        last = is_channels_last(shape, picture)
    elif (shape[0] == shape[1]) != (shape[1] == shape[2]):
        last = shape[0] == shape[1]
    else:
        return False
    layouts[shape] = last
    return last


# ---- figures and pictures of one output ----


def _stats(qual: str, module: nn.Module, folded: Folded) -> LayerStats:
    values, cls = folded.values, type(module).__name__
    low, high = values.amin(2).amin(0), values.amax(2).amax(0)
    several = values.shape[0] * values.shape[2] > 1
    dead = ((low == high) if several else (high == 0)).float().mean().item()
    whole = bool(torch.isfinite(low + high).all())
    finite = values if whole else values[torch.isfinite(values)]
    if finite.numel() == 0:
        return LayerStats(qual, cls, folded.shape, None, None, None, None, dead, broken=1.0)
    mean = finite.mean()
    return LayerStats(
        qual=qual,
        cls=cls,
        shape=folded.shape,
        mean=mean.item(),
        std=(finite - mean).square().mean().sqrt().item(),
        low=(low if whole else finite).min().item(),
        high=(high if whole else finite).max().item(),
        dead=dead,
        broken=1 - finite.numel() / values.numel(),
    )


def _histogram(values: Tensor, stats: LayerStats, bins: int = BINS) -> Histogram:
    """Of all finite values; a single value stands in the middle of a step to either side."""
    if stats.low is None or stats.high is None:
        return Histogram(0.0, 1.0, (0,) * bins)
    low, high = (stats.low, stats.high) if stats.high > stats.low else (stats.low - 0.5, stats.high + 0.5)
    counts = torch.histc(values[torch.isfinite(values)] if stats.broken else values, bins, low, high)
    return Histogram(low, high, tuple(int(count) for count in counts.tolist()))


def _channel_maps(
    stats: LayerStats, folded: Folded, most: int, side: int, one_scale: bool, chosen: tuple[int, ...] | None
) -> ChannelMaps:
    count = folded.values.shape[1]
    if chosen and not 0 <= chosen[0] < count:
        raise ValueError(f"The layer {stats.qual!r} has channels 0 to {count - 1}, not {chosen[0]}.")
    energy = torch.nan_to_num(folded.values.square().mean((0, 2)), nan=0.0)
    channels = chosen or tuple(torch.argsort(energy, descending=True, stable=True)[:most].tolist())
    maps = _maps(folded, channels)
    pictures, lows, highs = _painted(_shrunk(maps, side), one_scale)
    return ChannelMaps(
        stats=stats,
        histogram=_histogram(folded.values, stats),
        grid=folded.grid,
        count=count,
        channels=channels,
        energies=tuple(energy[list(channels)].tolist()),
        lows=lows,
        highs=highs,
        pictures=pictures,
        values=tuple(maps.flatten().tolist()) if folded.grid == (1, 1) else (),
        tokens_left_out=folded.left_out,
    )


def _maps(folded: Folded, channels: Sequence[int]) -> Tensor:
    """The first picture's maps of some channels: (n, h, w)."""
    return folded.values[0, list(channels)][:, folded.left_out :].reshape(len(channels), *folded.grid)


def _shrunk(maps: Tensor, side: int) -> Tensor:
    """(n, h, w) averaged down to at most `side` × `side`, in proportion."""
    height, width = maps.shape[1:]
    share = side / max(height, width)
    if share >= 1:
        return maps
    return adaptive_avg_pool2d(maps, (max(1, round(height * share)), max(1, round(width * share))))


def _painted(maps: Tensor, one_scale: bool) -> tuple[np.ndarray, tuple[float, ...], tuple[float, ...]]:
    """(n, h, w) as uint8, with the values that became 0 and 255; what is no number is 0."""
    if maps.numel() == 0:
        return np.zeros(tuple(maps.shape), np.uint8), (), ()
    clean = torch.nan_to_num(maps.flatten(1))
    seen = _thinned(clean.flatten())[None] if one_scale else clean
    low, high = torch.quantile(seen, torch.tensor([LOW, HIGH], device=seen.device), dim=1)
    flat = high <= low
    low, high = torch.where(flat, seen.amin(1), low), torch.where(flat, seen.amax(1), high)
    low, high = low.expand(len(maps)), high.expand(len(maps))
    grey = (clean - low[:, None]) / (high - low).clamp_min(1e-12)[:, None]
    pixels = (grey.clamp(0, 1) * 255).round().to(torch.uint8).reshape(maps.shape)
    return pixels.cpu().numpy(), tuple(low.tolist()), tuple(high.tolist())


# ---- what a snapshot keeps ----


def _telling_layers(model: nn.Module, most: int) -> tuple[str, ...]:
    """Names of activation functions and of the last layer, evenly thinned to `most`; of all layers without any."""
    leaves = [
        (qual, module)
        for qual, module in model.named_modules(remove_duplicate=False)
        if qual and not any(True for _ in module.children())
    ]
    functions = [qual for qual, module in leaves if _is_activation(module)]
    names = list(dict.fromkeys([*functions, leaves[-1][0]])) if functions else [qual for qual, _ in leaves]
    return tuple(names[i] for i in _spread(len(names), most))


def _is_activation(module: nn.Module) -> bool:
    return type(module).__module__ == nn.ReLU.__module__ and not isinstance(module, NOT_POINTWISE)


def _spread(count: int, most: int) -> tuple[int, ...]:
    """At most `most` places among `count`, evenly, the first and the last among them."""
    if count <= most:
        return tuple(range(count))
    return tuple(round(i * (count - 1) / (most - 1)) for i in range(most)) if most > 1 else (0,)


def _short(value: float | None) -> float | None:
    """Four significant digits: what is kept with each epoch must be small."""
    return None if value is None else float(f"{value:.4g}")


def _thousandths(counts: Sequence[int]) -> tuple[int, ...]:
    total = sum(counts) or 1
    return tuple(round(1000 * count / total) for count in counts)


def _one_picture(x: Tensor) -> Tensor:
    batch = x[None] if x.ndim == 3 else x
    if batch.ndim != 4 or len(batch) != 1:
        raise ValueError(f"Activations need one picture of channels, height and width, not a {tuple(x.shape)}.")
    return batch
