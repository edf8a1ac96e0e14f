"""Why a module cannot work on what it gets: what it needs, in words."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from explorer.trace.cost import ADAPTIVE, CONVS, times
from explorer.trace.records import Shape

WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


@dataclass(frozen=True)
class Need:
    """What a module needs, in words; `larger` when a larger picture would do."""

    words: str
    larger: bool = False


def need(module: nn.Module, in_shape: Shape) -> Need | None:
    """What `module` needs and `in_shape` (one example's) does not give; None where its class does not tell."""
    if isinstance(module, WINDOWS) and len(in_shape) != 3:
        return Need("a picture of channels × height × width")
    if isinstance(module, CONVS) and in_shape[0] != module.in_channels:
        return Need(f"{module.in_channels} channels")
    if isinstance(module, WINDOWS):
        least = smallest_input(module)
        small = in_shape[1] < least[0] or in_shape[2] < least[1]
        return Need(f"at least {times(least)} px", larger=True) if small else None
    if isinstance(module, nn.BatchNorm1d):
        return Need(f"a list of {module.num_features} features")
    if isinstance(module, nn.Linear):
        return Need(f"a list of {module.in_features} features")
    if isinstance(module, ADAPTIVE) and len(in_shape) != 3:
        return Need("a picture of channels × height × width")
    return None


def smallest_input(module: nn.Module) -> tuple[int, int]:
    """Least height and width that leave a convolution or pooling one pixel of output."""
    kernel, stride = _pair(module.kernel_size), _pair(module.stride)
    padding, dilation = _pair(module.padding), _pair(getattr(module, "dilation", 1))
    spare = [s - 1 if getattr(module, "ceil_mode", False) else 0 for s in stride]
    return tuple(max(1, dilation[i] * (kernel[i] - 1) + 1 - 2 * padding[i] - spare[i]) for i in (0, 1))


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)
