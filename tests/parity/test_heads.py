"""`create_head` and `init_head` against fastai's own, option set by option set."""

from __future__ import annotations

import random

import pytest
import torch
from fastai.basics import apply_init
from fastai.vision.learner import create_head as fastai_head
from torch import nn

from explorer.models.heads import create_head, init_head

POOLS = {"concat": (True, True), "avg": (True, False), None: (False, True)}
SETS_A_TEST = 30


def draw_options(rng: random.Random) -> dict:
    """One set of arguments that both sides can mean."""
    widths = rng.choice([None, [], [8], [16, 4], [7, 5, 3]])
    layers = (1 if widths is None else len(widths)) + 1
    single = rng.choice([0.0, 0.1, 0.5, 0.9])
    n_out = rng.choice([1, 2, 5, 37])
    return {
        "nf": rng.choice([1, 3, 8]),
        "n_out": n_out,
        "lin_ftrs": widths,
        "ps": single if rng.random() < 0.5 or layers == 1 else [rng.choice([0.0, 0.2, 0.7]) for _ in range(layers)],
        "pool": rng.choice(list(POOLS)),
        "first_bn": rng.random() < 0.5,
        "bn_final": rng.random() < 0.5,
        "lin_first": rng.random() < 0.5,
        "y_range": rng.choice([None, (0, 5.5), (-1.0, 1.0)]),
    }


def fastai_twin(options: dict) -> nn.Sequential:
    theirs = {key: list(value) if isinstance(value, list) else value for key, value in options.items()}
    theirs["pool"], theirs["concat_pool"] = POOLS[theirs["pool"]]
    return fastai_head(**theirs)


def outline(head: nn.Sequential) -> list[tuple]:
    """Class, dropout and momentum of each module in order."""
    return [
        (type(m).__name__, getattr(m, "p", None), getattr(m, "momentum", None), getattr(m, "eps", None)) for m in head
    ]


@pytest.mark.parametrize("seed", range(8))
def test_head_equals_fastais_for_random_options(seed):
    rng = random.Random(seed)
    for _ in range(SETS_A_TEST):
        options = draw_options(rng)
        torch.manual_seed(seed)
        theirs = fastai_twin(options)
        torch.manual_seed(seed)
        ours = create_head(**options)
        assert outline(ours) == outline(theirs), options
        check_same_tensors(ours, theirs, options)

        torch.manual_seed(seed + 1)
        apply_init(theirs, nn.init.kaiming_normal_)
        torch.manual_seed(seed + 1)
        init_head(ours)
        check_same_tensors(ours, theirs, options)
        check_same_output(ours, theirs, options)


def check_same_tensors(ours: nn.Module, theirs: nn.Module, options: dict) -> None:
    mine, other = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(other), options
    assert all(torch.equal(mine[key], other[key]) for key in mine), options


def check_same_output(ours: nn.Module, theirs: nn.Module, options: dict) -> None:
    """In training mode, with the same dropout, and in evaluation mode."""
    shape = (4, options["nf"]) if options["pool"] is None else (4, options["nf"], 3, 2)
    x = torch.randn(shape)
    for mode in (True, False):
        outputs = []
        for head in (ours, theirs):
            torch.manual_seed(3)
            with torch.no_grad():
                outputs.append(head.train(mode)(x.clone()))
        assert torch.equal(*outputs), (mode, options)
