"""What a real picture looks like inside a body: each layer's mean over its channels, as a small grey picture."""

from __future__ import annotations

from collections.abc import Iterable
from threading import get_ident

import numpy as np
import torch
from torch import Tensor, nn

LOW, HIGH = 0.01, 0.99


def faces(body: nn.Module, x: Tensor, quals: Iterable[str]) -> dict[str, np.ndarray]:
    """Grey pictures (h, w) uint8 of the layers named in the model: "0" is the body, "0.4" its child 4.

    x is one normalised picture, (C, H, W) or (1, C, H, W). A layer's picture is the mean over its channels, at its
    last call, stretched so that its 1st and 99th percentile are 0 and 255; a flat one is 0. The body runs in eval
    mode and may serve several threads at once. Raises ValueError for a name that the body does not have, and for an
    x that is not one picture.
    """
    batch = x[None] if x.ndim == 3 else x
    if batch.ndim != 4 or len(batch) != 1:
        raise ValueError(f"Activations need one picture of channels, height and width, not a {tuple(x.shape)}.")
    layers = {qual: _layer(body, qual) for qual in quals}
    maps: dict[str, Tensor] = {}
    thread = get_ident()

    def keep(qual: str, out: Tensor) -> None:
        if get_ident() == thread and out.ndim == 4:
            maps[qual] = out[0].mean(0)

    hooks = [
        layer.register_forward_hook(lambda _, args, out, qual=qual: keep(qual, out)) for qual, layer in layers.items()
    ]
    try:
        if body.training:
            body.eval()
        with torch.no_grad():
            body(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return {qual: to_grey(maps[qual]) for qual in layers if qual in maps}


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
