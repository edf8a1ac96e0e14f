"""The registry of architectures: every classifier of torchvision, and what cannot be read off its graph.

The cut, the scales and the number of features are found in an architecture's graph (`graphs`), its statistics in the
description of its weights. What is written down here is what fastai decided for those it knows, and what a family is
called; a new architecture of a known family needs no line, any other none or one.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import lru_cache

import torchvision

from explorer.models import timm_archs

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)

# The page's order: the chapter's own first, then by age. A name belongs to the first family that it begins with.
FAMILIES = {
    "resnet": ("resnet",),
    "resnext": ("resnext",),
    "wide_resnet": ("wide_resnet",),
    "squeezenet": ("squeezenet",),
    "densenet": ("densenet",),
    "vgg": ("vgg",),
    "alexnet": ("alexnet",),
    "googlenet": ("googlenet",),
    "inception": ("inception",),
    "mobilenet": ("mobilenet_v2", "mobilenet_v3"),
    "shufflenet": ("shufflenet",),
    "mnasnet": ("mnasnet",),
    "efficientnet": ("efficientnet_b", "efficientnet_v2"),
    "regnet": ("regnet_x", "regnet_y"),
    "convnext": ("convnext",),
    "vit": ("vit",),
    "swin": ("swin", "swin_v2"),
    "maxvit": ("maxvit",),
}

# Where group 2 begins in the families that fastai knows (fastai facts A.1); of the vggs it knows those with batch norm.
SPLITS = {
    "resnet": "layer3",
    "squeezenet": "features.5",
    "densenet": "features.transition2",
    "vgg": "features.22",
    "alexnet": "features.6",
}

# With their weights torchvision sets `transform_input`, which turns pictures normalised as usual into pictures
# normalised by a half; that is what their first layer was trained on, so that is how a body's pictures are normalised.
TRAINED_ON_HALVES = ("googlenet", "inception_v3")

# torchvision's own defaults, said aloud where it warns that it will change them.
OPTIONS = {"googlenet": {"init_weights": True}, "inception_v3": {"init_weights": True}}


@dataclass(frozen=True)
class Arch:
    """What transfer learning must know of an architecture besides its graph.

    name    torchvision's name of it, or "timm:" and timm's
    family  the name its pictures and rules share with its relatives
    split   names of the modules that begin a new parameter group, as fastai decided; () where the graph decides
    mean, std  of the pictures it was trained on, one value a channel
    """

    name: str
    family: str
    split: tuple[str, ...] = ()
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


def list_archs() -> tuple[str, ...]:
    """Names of all of torchvision's architectures, families together, small to large."""
    return _names()


def list_choices() -> tuple[str, ...]:
    """What people are offered: the same, and behind it timm's names where EXPLORER_TIMM switches them on."""
    return _names() + timm_archs.offered()


def is_arch(name: object) -> bool:
    """Whether `get_arch` knows it."""
    if timm_archs.is_timm(name):
        return timm_archs.knows(name)
    return isinstance(name, str) and name in _names()


class Nameable(tuple):
    """Names that a link may hold: those listed here, and any of timm's, which is looked at when it is built."""

    def __contains__(self, name: object) -> bool:
        return timm_archs.is_timm(name) or super().__contains__(name)


def get_arch(name: str) -> Arch:
    """The registry's entry; ValueError with the nearest names for one that is not there, or that needs timm."""
    if timm_archs.is_timm(name):
        timm_archs.check(name)
        return _arch(name)
    if isinstance(name, str) and name in _names():
        return _arch(name)
    near = difflib.get_close_matches(str(name), list_archs(), n=3, cutoff=0.4) or list_archs()[:3]
    raise ValueError(f"There is no architecture {name!r}: choose {' or '.join(near)}.")


@lru_cache(maxsize=256)
def weights_entry(name: str):
    """torchvision's description of an architecture's best ImageNet weights: an entry of its weights enum.

    Of a network whose size is fixed they are the best for 224 px, at which it is built here.
    Raises ValueError for an architecture that torchvision has no weights of.
    """
    entries = list(torchvision.models.get_model_weights(name))
    if not entries:
        raise ValueError(f"torchvision has no ImageNet weights of {name}: choose random weights or a file.")
    best = torchvision.models.get_model_weights(name).DEFAULT
    fits = [entry for entry in entries if min(entry.meta["min_size"]) <= 224]
    if min(best.meta["min_size"]) <= 224 or not fits:
        return best
    return max(fits, key=lambda entry: entry.meta["_metrics"]["ImageNet-1K"]["acc@1"])


@lru_cache(maxsize=1)
def _names() -> tuple[str, ...]:
    names = torchvision.models.list_models(module=torchvision.models)
    return tuple(sorted(names, key=lambda name: (*_rank(name), _size(name), name)))


def _rank(name: str) -> tuple[int, int]:
    """Place of the family, and of the branch in it; behind all others where neither is known."""
    family = _family(name)
    ranks = list(FAMILIES)
    if family not in ranks:
        return len(ranks), 0
    begins = FAMILIES[family]
    return ranks.index(family), begins.index(max((b for b in begins if name.startswith(b)), key=len))


def _family(name: str) -> str:
    return next((family for family, begins in FAMILIES.items() if name.startswith(begins)), name.partition("_")[0])


def _size(name: str) -> int:
    try:
        return weights_entry(name).meta["num_params"]
    except ValueError:
        return 0


@lru_cache(maxsize=256)
def _arch(name: str) -> Arch:
    if timm_archs.is_timm(name):
        return Arch(name, timm_archs.family(name), (), *timm_archs.statistics(name))
    family = _family(name)
    known = name.endswith("_bn") if family == "vgg" else family in SPLITS
    mean, std = (HALF, HALF) if name in TRAINED_ON_HALVES else _statistics(name)
    return Arch(name, family, (SPLITS[family],) if known else (), mean, std)


def _statistics(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation that the transforms of its weights normalise with; ImageNet's where there are none."""
    try:
        transforms = weights_entry(name).transforms()
        return tuple(transforms.mean), tuple(transforms.std)
    except (ValueError, AttributeError):
        return IMAGENET_MEAN, IMAGENET_STD
