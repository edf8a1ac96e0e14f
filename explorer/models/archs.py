"""The registry of architectures: what transfer learning must know of each. One line in `ARCHS` adds another."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Arch:
    """What transfer learning must know of an architecture (fastai facts A.1).

    name    torchvision's name of it
    family  the name its pictures and rules share with its relatives
    cut     how many children to keep, as a Python slice end
    split   names of the modules that begin a new parameter group
    mean, std  of the pictures it was trained on, one value a channel
    """

    name: str
    family: str
    cut: int
    split: tuple[str, ...]
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


ARCHS = (
    Arch("resnet18", "resnet", cut=-2, split=("layer3",)),
    Arch("resnet34", "resnet", cut=-2, split=("layer3",)),
    Arch("resnet50", "resnet", cut=-2, split=("layer3",)),
    Arch("resnet101", "resnet", cut=-2, split=("layer3",)),
    Arch("resnet152", "resnet", cut=-2, split=("layer3",)),
    Arch("squeezenet1_0", "squeezenet", cut=-1, split=("features.5",)),
    Arch("squeezenet1_1", "squeezenet", cut=-1, split=("features.5",)),
    Arch("densenet121", "densenet", cut=-1, split=("features.transition2",)),
    Arch("densenet161", "densenet", cut=-1, split=("features.transition2",)),
    Arch("densenet169", "densenet", cut=-1, split=("features.transition2",)),
    Arch("densenet201", "densenet", cut=-1, split=("features.transition2",)),
    Arch("vgg11_bn", "vgg", cut=-2, split=("features.22",)),
    Arch("vgg13_bn", "vgg", cut=-2, split=("features.22",)),
    Arch("vgg16_bn", "vgg", cut=-2, split=("features.22",)),
    Arch("vgg19_bn", "vgg", cut=-2, split=("features.22",)),
    Arch("alexnet", "alexnet", cut=-2, split=("features.6",)),
)


def list_archs() -> tuple[str, ...]:
    """Names of all architectures, families together, small to large."""
    return tuple(arch.name for arch in ARCHS)


def get_arch(name: str) -> Arch:
    """The registry's entry; ValueError with the nearest names for one that is not there."""
    for arch in ARCHS:
        if arch.name == name:
            return arch
    near = difflib.get_close_matches(str(name), list_archs(), n=3, cutoff=0.4) or list_archs()
    raise ValueError(f"There is no architecture {name!r}: choose {' or '.join(near)}.")
