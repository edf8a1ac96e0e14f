"""AdamW as fastai sets it (fastai facts G.5), with a torch parameter group for every (group, decay)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from explorer.models.groups import Group

BETA2 = 0.99
EPS = 1e-5
NORMS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm, nn.LayerNorm)


def undecayed(model: nn.Module) -> set[str]:
    """Names of the parameters that weight decay leaves alone: those of norm layers, and every module's `bias`.

    The biases of an LSTM have other names (bias_ih_l0) and are decayed, as in fastai.
    """
    names = set()
    for path, module in model.named_modules():
        own = [name for name, _ in module.named_parameters(recurse=False)]
        spared = own if isinstance(module, NORMS) else [name for name in own if name == "bias"]
        names |= {f"{path}.{name}" if path else name for name in spared}
    return names


def create_optimizer(
    model: nn.Module, groups: Sequence[Group], lrs: Sequence[float], wd: float = 0.01
) -> torch.optim.AdamW:
    """A fresh AdamW over the parameters that require gradients now, so its state is clear after a (un)freeze.

    Every torch parameter group carries `index`, the number of its group, by which `set_rates` finds its rate.
    """
    params = dict(model.named_parameters())
    spared = undecayed(model)
    parts = []
    for index, (group, lr) in enumerate(zip(groups, lrs, strict=True)):
        learning = [name for name in group.params if params[name].requires_grad]
        for decay in (True, False):
            chosen = [params[name] for name in learning if (name not in spared) is decay]
            if chosen:
                parts.append({"params": chosen, "lr": lr, "weight_decay": wd if decay else 0.0, "index": index})
    return torch.optim.AdamW(parts, betas=(0.9, BETA2), eps=EPS)


def set_rates(optimizer: torch.optim.AdamW, lrs: Sequence[float], momentum: float) -> None:
    """Give every parameter group the rate of its group, and all of them the momentum (first beta)."""
    for part in optimizer.param_groups:
        part["lr"] = lrs[part["index"]]
        part["betas"] = (momentum, BETA2)
