"""Bodies and their groups against fastai's own, for every architecture both list."""

from __future__ import annotations

import copy

import pytest
import torch
import torchvision
from fastai.vision.learner import create_body as fastai_body
from fastai.vision.learner import model_meta, num_features_model
from torch import nn

from explorer.models.bodies import count_features, create_body, get_arch, list_archs
from explorer.models.groups import classifier_groups

META = {arch.__name__: meta for arch, meta in model_meta.items() if not arch.__name__.startswith("xresnet")}
SIZE = 64


def original(name: str) -> nn.Module:
    return torchvision.models.get_model(name, weights=None)


def output(body: nn.Module, n_in: int = 3) -> torch.Tensor:
    x = torch.rand(2, n_in, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return body.eval()(x)


def same_tensors(one: nn.Module, other: nn.Module) -> bool:
    mine, theirs = one.state_dict(), other.state_dict()
    return list(mine) == list(theirs) and all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_registry_lists_fastais_torchvision_architectures():
    assert set(list_archs()) >= set(META)


@pytest.mark.parametrize("name", META)
def test_body_and_groups_equal_fastais(name):
    """densenet's own cut here lies behind the ReLU that fastai loses: its cut is a number there."""
    meta, arch = META[name], get_arch(name)
    theirs = fastai_body(original(name), pretrained=False, cut=meta["cut"])
    with torch.device("meta"):
        ours = create_body(name, cut=meta["cut"] if arch.family == "densenet" else None)
    ours.load_state_dict(theirs.state_dict(), assign=True)
    assert torch.equal(output(ours), output(theirs))
    assert count_features(ours) == num_features_model(theirs)
    assert [list(arch.mean), list(arch.std)] == [*map(list, meta["stats"])]

    model = nn.Sequential(ours, nn.Linear(2, 2))
    params = dict(model.named_parameters())
    groups = [[params[name] for name in group.params] for group in classifier_groups(model, name)]
    expected = meta["split"](nn.Sequential(ours, nn.Linear(2, 2)))
    assert [[id(p) for p in group] for group in groups[:2]] == [[id(p) for p in group] for group in expected[:2]]


@pytest.mark.parametrize("name", ["densenet121", "densenet169"])
def test_densenet_ends_in_the_relu_that_fastai_loses(name):
    ours = create_body(name)
    theirs = fastai_body(original(name), pretrained=False, cut=-1)
    theirs.load_state_dict(ours.state_dict())
    assert torch.equal(output(ours), output(theirs).relu())


@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn"])
def test_same_seed_gives_fastais_very_weights(name):
    torch.manual_seed(0)
    theirs = fastai_body(original(name), n_in=2, pretrained=False, cut=META[name]["cut"])
    torch.manual_seed(0)
    assert same_tensors(create_body(name, n_in=2), theirs)


@pytest.mark.parametrize("cut", [1, 3, 5, 7, -2, -3, -5, -8])
def test_integer_cuts_slice_as_fastais(cut):
    instance = original("resnet18")
    assert same_tensors(create_body(instance, cut=cut), fastai_body(instance, cut=cut))


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "densenet121", "vgg11_bn"])
def test_pretrained_kernels_adapt_as_fastais(name):
    trained = original(name)
    if hasattr(trained, "classifier"):
        trained.classifier = nn.Identity()  # dropped anyway, and large to copy
    for n_in in (1, 2, 4, 6):
        torch.manual_seed(n_in)
        theirs = fastai_body(copy.deepcopy(trained), n_in=n_in, pretrained=True, cut=META[name]["cut"])
        torch.manual_seed(n_in)
        ours = create_body(copy.deepcopy(trained), n_in=n_in, cut=-1 if name == "densenet121" else None)
        assert same_tensors(ours, theirs)
    assert torch.equal(output(ours, n_in), output(theirs, n_in))
