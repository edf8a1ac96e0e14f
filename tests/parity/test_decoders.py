"""`DynamicUnet` against fastai's: outputs, gradients and running statistics to the last bit, given the same weights."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

pytest.importorskip("fastai")

from fastai.layers import NormType
from fastai.vision.models.unet import DynamicUnet as FastaiUnet

from explorer.models.bodies import create_body
from explorer.models.decoders import DynamicUnet

NORMS = {"batch": NormType.Batch, "instance": NormType.Instance, "weight": NormType.Weight}
NORMS["spectral"] = NormType.Spectral
OPTIONS = (
    {},
    {"blur": True},
    {"blur": True, "blur_final": False},
    {"self_attention": True},
    {"last_cross": False},
    {"y_range": (-1.0, 2.5)},
    {"act_cls": nn.Mish},
    {"act_cls": partial(nn.LeakyReLU, 0.1)},
    *({"norm_type": norm} for norm in NORMS),
    {"norm_type": "batch", "blur": True, "self_attention": True, "last_cross": False, "y_range": (0, 1)},
    {"bottle": True, "last_cross": False},
)
SIZES = ((64, 64), (101, 101), (127, 127), (96, 130), (135, 241), (256, 256), (33, 64))


def pair(arch: str, size: tuple[int, int], n_out: int = 3, n_in: int = 3, **options) -> tuple[DynamicUnet, nn.Module]:
    """Ours and fastai's, both in evaluation mode, with fastai's weights."""
    theirs = fastai_unet(arch, size, n_out, n_in, **options)
    ours = DynamicUnet(create_body(arch, n_in=n_in), n_out, size, **options)
    ours.load_fastai(theirs.state_dict())
    return ours.eval(), theirs.eval()


def fastai_unet(arch: str, size: tuple[int, int], n_out: int, n_in: int, **options) -> nn.Module:
    body = create_body(arch, n_in=n_in)
    if "norm_type" in options:
        options["norm_type"] = NORMS[options["norm_type"]]
    theirs = FastaiUnet(body, n_out, size, **options)
    with torch.no_grad():
        for parameter in theirs.parameters():  # so that biases, norms and attention's weight take part
            if parameter.ndim < 2:
                parameter += 0.01 * torch.randn_like(parameter)
    return theirs


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_outputs_and_a_step_of_training_equal_fastais_for_every_option(options):
    torch.manual_seed(0)
    ours, theirs = pair("resnet18", (64, 64), **options)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))
    ours.train()
    theirs.train()
    (mine, other) = ours(x), theirs(x)
    assert torch.equal(mine, other)
    mine.square().mean().backward()
    other.square().mean().backward()
    names = [name for name, _ in ours.named_parameters()]
    triples = zip(names, ours.parameters(), theirs.parameters(), strict=True)
    unequal = [n for n, a, b in triples if not torch.equal(a.grad, b.grad)]
    assert unequal == []
    pairs = zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True)
    assert [name for (name, a), b in pairs if not torch.equal(a, b)] == []


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_outputs_equal_fastais_at_odd_and_rectangular_sizes(size):
    torch.manual_seed(1)
    ours, theirs = pair("resnet18", size, blur=True)
    with torch.no_grad():
        for shape in (size, (64, 96), (77, 51)):
            x = torch.randn(1, 3, *shape)
            assert torch.equal(ours(x), theirs(x)), shape


@pytest.mark.parametrize("arch", ("resnet34", "resnet50"))
def test_outputs_equal_fastais_for_deeper_resnets(arch, monkeypatch):
    monkeypatch.setattr(nn.init, "kaiming_normal_", nn.init.kaiming_uniform_)  # drawn sooner, for 339 million weights
    torch.manual_seed(2)
    ours, theirs = pair(arch, (49, 64), self_attention=True)
    x = torch.randn(1, 3, 49, 64)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("n_in", (1, 4))
def test_outputs_equal_fastais_for_other_numbers_of_channels(n_in):
    ours, theirs = pair("resnet18", (64, 64), n_out=1, n_in=n_in)
    x = torch.randn(1, n_in, 64, 64)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))
