"""What is known of every architecture before anything is built: who wrote of it, what it costs, how good it is.

All figures are torchvision's own, from the description of the weights that `archs.weights_entry` chooses, so they are
those of the weights one gets here. Only the paper is not written there: a table holds one line for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter

from explorer.models.archs import get_arch, list_archs, weights_entry
from explorer.models.bodies import resolve_cut

LICENCE = "BSD-3-Clause"  # torchvision's own, which holds where an entry names no other
ARXIV = "https://arxiv.org/abs/"


@dataclass(frozen=True)
class Paper:
    """Where a series of architectures comes from: the year of its first print, its title, its number at arXiv or ""."""

    year: int
    title: str
    arxiv: str = ""


REGNET = Paper(2020, "Designing Network Design Spaces", "2003.13678")

# By series: how the names of its members begin; the longest beginning holds.
PAPERS = {
    "resnet": Paper(2015, "Deep Residual Learning for Image Recognition", "1512.03385"),
    "resnext": Paper(2016, "Aggregated Residual Transformations for Deep Neural Networks", "1611.05431"),
    "wide_resnet": Paper(2016, "Wide Residual Networks", "1605.07146"),
    "squeezenet": Paper(
        2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size", "1602.07360"
    ),
    "densenet": Paper(2016, "Densely Connected Convolutional Networks", "1608.06993"),
    "vgg": Paper(2014, "Very Deep Convolutional Networks for Large-Scale Image Recognition", "1409.1556"),
    # the one that made the name; torchvision builds its single-tower version, which 1404.5997 describes
    "alexnet": Paper(2012, "ImageNet Classification with Deep Convolutional Neural Networks"),
    "googlenet": Paper(2014, "Going Deeper with Convolutions", "1409.4842"),
    "inception": Paper(2015, "Rethinking the Inception Architecture for Computer Vision", "1512.00567"),
    "mobilenet_v2": Paper(2018, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", "1801.04381"),
    "mobilenet_v3": Paper(2019, "Searching for MobileNetV3", "1905.02244"),
    "shufflenet": Paper(
        2018, "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", "1807.11164"
    ),
    "mnasnet": Paper(2018, "MnasNet: Platform-Aware Neural Architecture Search for Mobile", "1807.11626"),
    "efficientnet": Paper(
        2019, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", "1905.11946"
    ),
    "efficientnet_v2": Paper(2021, "EfficientNetV2: Smaller Models and Faster Training", "2104.00298"),
    "regnet_x": REGNET,
    "regnet_y": REGNET,
    "convnext": Paper(2022, "A ConvNet for the 2020s", "2201.03545"),
    "vit": Paper(2020, "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", "2010.11929"),
    "swin": Paper(2021, "Swin Transformer: Hierarchical Vision Transformer using Shifted Windows", "2103.14030"),
    "swin_v2": Paper(2021, "Swin Transformer V2: Scaling Up Capacity and Resolution", "2111.09883"),
    "maxvit": Paper(2022, "MaxViT: Multi-Axis Vision Transformer", "2204.01697"),
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """An architecture as the catalogue knows it; None or "" where nothing is known, as without weights.

    series     architectures of one design that differ in size: "resnet", "vgg_bn", "efficientnet_v2"
    year       of the paper's first print
    address    of the paper, "" for none
    params     of the whole classifier
    macs       multiply-accumulates of one picture of `size` pixels, the classifier's end included
    top1, top5 per cent right on ImageNet-1K's validation pictures, at `size` pixels
    file_mb    of the weight file, in units of 1024² bytes, as torchvision counts
    size       side in pixels of the pictures that the figures are measured on
    weights    name of the weight entry, "IMAGENET1K_V2"
    more_data  pictures besides ImageNet-1K's that the weights were trained on: "SWAG"; "" for none
    recipe     how they were trained, in torchvision's words
    """

    name: str
    family: str
    series: str
    year: int | None = None
    paper: str = ""
    address: str = ""
    params: int | None = None
    macs: int | None = None
    top1: float | None = None
    top5: float | None = None
    file_mb: float | None = None
    size: int | None = None
    weights: str = ""
    more_data: str = ""
    recipe: str = ""
    licence: str = ""


@lru_cache(maxsize=1)
def list_entries() -> tuple[Entry, ...]:
    """An entry for every architecture, in the registry's order; no model is built."""
    return tuple(_entry(name) for name in list_archs())


@lru_cache(maxsize=4096)
def last_map(name: str) -> tuple[int, ...]:
    """(channels, height, width) of the last map of an architecture, for a 224×224 picture, at its own cut.

    The first time it reads the architecture's graph: 20 ms to most of a second. ValueError for an unknown name.
    """
    return resolve_cut(get_arch(name).name).out_shape


def last_maps(names: Iterable[str], seconds: float) -> dict[str, tuple[int, ...]]:
    """Last maps by name, at least one, and no further one begun once so much time has passed.

    Raises ValueError for an unknown name.
    """
    began, found = perf_counter(), {}
    for name in names:
        found[name] = last_map(name)
        if perf_counter() - began > seconds:
            break
    return found


def _entry(name: str) -> Entry:
    series = _series(name)
    known = {"name": name, "family": get_arch(name).family, "series": series, **_printed(series)}
    try:
        entry = weights_entry(name)
    except ValueError:
        return Entry(**known)
    meta = entry.meta
    scores = meta["_metrics"]["ImageNet-1K"]
    return Entry(
        **known,
        params=meta["num_params"],
        macs=round(meta["_ops"] * 1e9),
        top1=scores["acc@1"],
        top5=scores["acc@5"],
        file_mb=meta["_file_size"],
        size=_picture_size(entry),
        weights=entry.name,
        more_data=_more_data(entry.name),
        recipe=_plain(meta["_docs"]),
        licence=meta.get("license", LICENCE),
    )


def _series(name: str) -> str:
    """The longest beginning that has a paper; with batch norm a series of its own; without a paper the family."""
    begins = max(filter(name.startswith, PAPERS), key=len, default=get_arch(name).family)
    return f"{begins}_bn" if name.endswith("_bn") else begins


def _printed(series: str) -> dict[str, object]:
    paper = PAPERS.get(series.removesuffix("_bn"))
    if paper is None:
        return {}
    return {"year": paper.year, "paper": paper.title, "address": ARXIV + paper.arxiv if paper.arxiv else ""}


def _picture_size(entry) -> int:
    side = entry.transforms().crop_size
    return side if isinstance(side, int) else side[0]


def _more_data(weights: str) -> str:
    """The word between the set and the version: "IMAGENET1K_SWAG_E2E_V1" is "SWAG", "IMAGENET1K_V1" is ""."""
    found = re.match(r"IMAGENET1K_([A-Z]+)_", weights)
    return found.group(1) if found else ""


def _plain(docs: str) -> str:
    """torchvision's paragraph as one line, links reduced to their words, the reference to a figure or link left out."""
    words = re.sub(r"`+([^`<]+?)\s*(?:<[^>]*>)?`+_{0,2}", r"\1", docs)
    return re.sub(r"\s+", " ", words).strip()
