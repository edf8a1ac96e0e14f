"""AdamW as fastai sets it (fastai facts G.5), with a torch parameter group for every (group, decay)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from explorer.models.groups import Group
from explorer.models.heads import NORMS

BETA2 = 0.99
EPS = 1e-5


class AdamW(torch.optim.Optimizer):
    """Adam with decoupled weight decay (Loshchilov & Hutter, arXiv:1711.05101, algorithm 2).

    Equal to `torch.optim.AdamW` but for rounding: the operations come in the order in which fastai does them, so that
    in float32 a run can be compared with fastai's to the last bit. A parameter group has lr, momentum (β₁), wd.
    """

    def __init__(self, parts: list[dict], momentum: float = 0.9):
        super().__init__(parts, {"momentum": momentum, "steps": 0})

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for part in self.param_groups:
            params = [p for p in part["params"] if p.grad is not None]
            if not params:
                continue
            grads = [p.grad for p in params]
            means, squares = (self._averages(name, params) for name in ("mean", "square"))
            part["steps"] += 1
            lr, momentum, steps = part["lr"], part["momentum"], part["steps"]
            torch._foreach_mul_(params, 1 - lr * part["wd"])
            torch._foreach_mul_(means, momentum)
            torch._foreach_add_(means, grads, alpha=1 - momentum)
            torch._foreach_mul_(squares, BETA2)
            torch._foreach_addcmul_(squares, grads, grads, value=1 - BETA2)
            scales = torch._foreach_div(squares, 1 - BETA2**steps)
            torch._foreach_sqrt_(scales)
            torch._foreach_add_(scales, EPS)
            torch._foreach_addcdiv_(params, means, scales, value=-lr / (1 - momentum**steps))

    def _averages(self, name: str, params: Sequence[Tensor]) -> list[Tensor]:
        """The running average of that name of every parameter, zero at first."""
        for p in params:
            if name not in self.state[p]:
                self.state[p][name] = torch.zeros_like(p)
        return [self.state[p][name] for p in params]


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


def create_optimizer(model: nn.Module, groups: Sequence[Group], lrs: Sequence[float], wd: float = 0.01) -> AdamW:
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
                parts.append({"params": chosen, "lr": lr, "wd": wd if decay else 0.0, "index": index})
    return AdamW(parts)


def set_rates(optimizer: AdamW, lrs: Sequence[float], momentum: float) -> None:
    """Give every parameter group the rate of its group, and all of them the momentum."""
    for part in optimizer.param_groups:
        part["lr"] = lrs[part["index"]]
        part["momentum"] = momentum
