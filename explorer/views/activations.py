"""What a picture becomes inside the network, for `Explorer.activations`: figures, lines, and one sheet of maps."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from io import BytesIO

import numpy as np
from PIL import Image

from explorer.spec import HEAD, ClassifierSpec
from explorer.trace.activation_records import ChannelMaps, Histogram, LayerStats, Look
from explorer.trace.records import Layer, Trace

ACTIVATIONS = ("ReLU", "ReLU6", "LeakyReLU", "SiLU", "GELU", "Hardswish", "ELU", "Mish", "Sigmoid", "Tanh")
COLUMNS = 8  # of tiles in a sheet
DIGITS = 4  # significant ones: more cannot be seen


def activations(
    spec: ClassifierSpec,
    trace: Trace,
    *,
    weights: str | None = None,
    loading: bool = False,
    notice: Mapping[str, object] | None = None,
) -> dict:
    """The value of the widget: what to ask the server about, {"spec", "failure", "loading", "note"}.

    weights  those in use, where they are not the spec's ("random" where ImageNet's are not to be had)
    loading  weights are on their way
    notice   the ribbon's banner; its title is said here too
    """
    in_use = replace(spec, body=replace(spec.body, weights=weights or spec.body.weights))
    failure = trace.failure
    return {
        "spec": asdict(in_use),
        "failure": failure.reason if failure and _lies_in(failure.qual, "0") else "",
        "loading": loading,
        "note": str(notice.get("title", "")) if notice else "",
    }


def answer(look: Look, trace: Trace, notes: Sequence[str] = ()) -> dict:
    """What the server answers about one picture and one layer.

    {"layer": {"qual", "name", "cls", "detail", "group", "shape"}, "kind": "maps" | "vector" | "none", "mean", "std",
    "low", "high", "dead", "broken", "grid", "count", "channels", "energies", "lows", "highs", "values",
    "left_out", "sheet": {"uri", "columns", "rows", "tile", "gutter"}, "histogram": {"low", "high", "counts"},
    "network": {"quals", "names", "groups", "cls", "means", "stds", "dead"}, "notes"}

    All that has one entry a tile is in the tiles' order, by falling energy. Where no layer was picked, or it did not
    run, "kind" is "none" and all about a layer is left out.
    """
    names, rows = own_paths(trace.layers), {layer.qual: layer for layer in trace.layers}
    shown: dict = {"kind": "none"}
    if look.picked:
        shown = {**_layer(look.picked.stats, rows, names), **_channels(look.picked)}
    return {**shown, "network": _network(look.layers, rows, names), "notes": list(notes)}


def one_map(maps: ChannelMaps) -> dict:
    """One channel, large: {"uri", "channel", "energy", "low", "high", "grid"}."""
    return {
        "uri": sheet(maps.pictures, columns=1, gutter=0)["uri"],
        "channel": maps.channels[0],
        "energy": _short(maps.energies[0]),
        "low": _short(maps.lows[0]),
        "high": _short(maps.highs[0]),
        "grid": maps.grid,
    }


def default_layer(trace: Trace) -> str | None:
    """The layer to begin with: the body's first activation function, else the first layer that runs."""
    ran = [layer for layer in trace.layers if not layer.container and layer.out_shape]
    functions = (layer for layer in ran if layer.cls in ACTIVATIONS and _lies_in(layer.qual, "0"))
    first = next(functions, next(iter(ran), None))
    return first.qual if first else None


def own_paths(layers: Sequence[Layer]) -> dict[str, str]:
    """What people call each layer: "0.4.0.conv1" -> "layer1.0.conv1", "1.2" -> "head.2", "0" -> "body"."""
    paths: dict[str, str] = {}
    for layer in layers:
        outer = layer.qual.rpartition(".")[0]
        before = "" if outer in ("", "0") else paths.get(outer, outer) + "."
        paths[layer.qual] = before + layer.name
    return paths


def sheet(pictures: np.ndarray, columns: int = COLUMNS, gutter: int = 1) -> dict:
    """Many small maps (n, h, w) uint8 as one PNG, row by row: {"uri", "columns", "rows", "tile": (h, w), "gutter"}.

    A pixel is white and its value the alpha, so that the layer's own colour shines through. Round each tile its edge
    is repeated `gutter` pixels wide: a browser that smooths would mix in the neighbour's.
    """
    count, height, width = pictures.shape
    columns = max(1, min(columns, count))
    rows = max(1, math.ceil(count / columns))
    tiles = np.pad(pictures, ((0, 0), (gutter, gutter), (gutter, gutter)), mode="edge")
    tall, wide = tiles.shape[1:]
    canvas = np.zeros((rows * columns, tall, wide), np.uint8)
    canvas[:count] = tiles
    whole = canvas.reshape(rows, columns, tall, wide).swapaxes(1, 2).reshape(rows * tall, columns * wide)
    return {"uri": _white(whole), "columns": columns, "rows": rows, "tile": (height, width), "gutter": gutter}


def layer_words(quals: Sequence[str], trace: Trace) -> dict[str, list[str]]:
    """What is said of some layers, one entry each: {"names", "groups", "cls"}; one that the trace lacks is its qual."""
    names, rows = own_paths(trace.layers), {layer.qual: layer for layer in trace.layers}
    return {
        "names": [names.get(qual, qual) for qual in quals],
        "groups": [_group(rows, qual) for qual in quals],
        "cls": [rows[qual].cls if qual in rows else "" for qual in quals],
    }


def _layer(stats: LayerStats, rows: Mapping[str, Layer], names: Mapping[str, str]) -> dict:
    row = rows.get(stats.qual)
    return {
        "layer": {
            "qual": stats.qual,
            "name": names.get(stats.qual, stats.qual),
            "cls": stats.cls,
            "detail": row.detail if row else "",
            "group": _group(rows, stats.qual),
            "shape": stats.shape,
        },
        "mean": _short(stats.mean),
        "std": _short(stats.std),
        "low": _short(stats.low),
        "high": _short(stats.high),
        "dead": _short(stats.dead),
        "broken": _short(stats.broken),
    }


def _channels(maps: ChannelMaps) -> dict:
    is_vector = maps.grid == (1, 1)
    return {
        "kind": "vector" if is_vector else "maps",
        "grid": maps.grid,
        "count": maps.count,
        "channels": maps.channels,
        "energies": _shorts(maps.energies),
        "lows": [] if is_vector else _shorts(maps.lows),
        "highs": [] if is_vector else _shorts(maps.highs),
        "values": _shorts(maps.values),
        "left_out": maps.tokens_left_out,
        "sheet": None if is_vector else sheet(maps.pictures),
        "histogram": _histogram(maps.histogram),
    }


def _histogram(histogram: Histogram) -> dict:
    return {"low": _short(histogram.low), "high": _short(histogram.high), "counts": histogram.counts}


def _network(layers: Sequence[LayerStats], rows: Mapping[str, Layer], names: Mapping[str, str]) -> dict:
    return {
        "quals": [stats.qual for stats in layers],
        "names": [names.get(stats.qual, stats.qual) for stats in layers],
        "groups": [_group(rows, stats.qual) for stats in layers],
        "cls": [stats.cls for stats in layers],
        "means": _shorts([stats.mean for stats in layers]),
        "stds": _shorts([stats.std for stats in layers]),
        "dead": _shorts([stats.dead for stats in layers]),
    }


def _group(rows: Mapping[str, Layer], qual: str) -> str:
    if qual in rows:
        return rows[qual].group
    return HEAD if _lies_in(qual, "1") else ""


def _lies_in(qual: str, outer: str) -> bool:
    return qual == outer or qual.startswith(outer + ".")


def _short(value: float | None) -> float | None:
    """Four significant digits; None for what JSON cannot say."""
    return float(f"{value:.{DIGITS}g}") if value is not None and math.isfinite(value) else None


def _shorts(values: Sequence[float | None]) -> list[float | None]:
    return [_short(value) for value in values]


def _white(alpha: np.ndarray) -> str:
    """(H, W) uint8 as a PNG data URI: white, as opaque as its value; one byte a pixel by a palette."""
    image = Image.fromarray(np.ascontiguousarray(alpha), mode="P")
    image.putpalette([255] * 768)
    buffer = BytesIO()
    image.save(buffer, "png", transparency=bytes(range(256)))
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"
