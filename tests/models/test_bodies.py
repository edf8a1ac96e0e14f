"""The registry, every place to cut, and bodies that come of it."""

from __future__ import annotations

from itertools import groupby
from types import SimpleNamespace

import pytest
import torch
import torchvision
from torch import nn

from explorer.models.archs import weights_entry
from explorer.models.bodies import (
    adapt_input,
    build_original,
    child_names,
    count_features,
    create_body,
    dropped_parts,
    get_arch,
    legal_cuts,
    list_archs,
    resolve_cut,
    take_apart,
)
from explorer.models.meta import Blank

# fastai facts A.1: children of the body, children of its first child where it has one only, features, parameters
FACTS = {
    "resnet18": (8, None, 512, 11_176_512),
    "resnet34": (8, None, 512, 21_284_672),
    "resnet50": (8, None, 2048, 23_508_032),
    "resnet101": (8, None, 2048, 42_500_160),
    "resnet152": (8, None, 2048, 58_143_808),
    "squeezenet1_0": (1, 13, 512, 735_424),
    "squeezenet1_1": (1, 13, 512, 722_496),
    "densenet121": (1, 12, 1024, 6_953_856),
    "densenet161": (1, 12, 2208, 26_472_000),
    "densenet169": (1, 12, 1664, 12_484_480),
    "densenet201": (1, 12, 1920, 18_092_928),
    "vgg11_bn": (1, 29, 512, 9_225_984),
    "vgg13_bn": (1, 35, 512, 9_410_880),
    "vgg16_bn": (1, 44, 512, 14_723_136),
    "vgg19_bn": (1, 53, 512, 20_035_392),
    "alexnet": (1, 13, 256, 2_469_696),
}
TRANSFORMS = SimpleNamespace(transform_input=True)
SMALL = ("resnet18", "squeezenet1_1")


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def meta_body(name: str, **options) -> nn.Sequential:
    with Blank():
        return create_body(name, **options)


def test_registry_holds_all_of_torchvision_families_together_and_small_to_large():
    names = list_archs()
    assert sorted(names) == sorted(torchvision.models.list_models(module=torchvision.models))
    families = [family for family, _ in groupby(get_arch(name).family for name in names)]
    assert len(families) == len(set(families)) == 18
    assert names[:5] == ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
    assert set(FACTS) < set(names)


@pytest.mark.parametrize("name", list_archs())
def test_statistics_are_those_of_the_weights(name):
    """The two that torchvision builds with `transform_input` turn ImageNet's normalisation into one by halves."""
    transforms, arch = weights_entry(name).transforms(), get_arch(name)
    expected = torch.tensor(transforms.mean), torch.tensor(transforms.std)
    if name in ("googlenet", "inception_v3"):
        picture = torch.rand(2, 3, 4, 4)
        mean, std = (t.reshape(1, 3, 1, 1) for t in expected)
        turned = torchvision.models.GoogLeNet._transform_input(TRANSFORMS, (picture - mean) / std)
        expected = torch.full((3,), 0.5), torch.full((3,), 0.5)
        torch.testing.assert_close(turned, (picture - 0.5) / 0.5)
    assert torch.equal(torch.tensor(arch.mean), expected[0]) and torch.equal(torch.tensor(arch.std), expected[1])


@pytest.mark.parametrize("name", FACTS)
def test_body_has_the_children_features_and_parameters_of_the_facts(name):
    children, inner, features, params = FACTS[name]
    body = meta_body(name)
    assert len(body) == children + (get_arch(name).family == "densenet")
    assert inner is None or len(body[0]) == inner
    assert (count_features(body), count(body)) == (features, params)
    assert legal_cuts(name)[-1].out_shape[0] == features
    assert legal_cuts(name)[-1] == resolve_cut(name)


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "densenet121", "vgg11_bn", "alexnet"])
def test_every_legal_cut_builds_what_it_promises(name):
    cuts = legal_cuts(name)
    network = build_on_meta(name)
    total = count(network)
    assert len({cut.name for cut in cuts}) == len(cuts)
    assert [cut.share for cut in cuts] == sorted(cut.share for cut in cuts)
    for cut in cuts[:: max(1, len(cuts) // 4)]:
        parts = take_apart(network, cut.name)
        assert tuple(parts.body.eval()(torch.empty(1, 3, 224, 224, device="meta")).shape[1:]) == cut.out_shape
        assert count(parts.body) == pytest.approx(cut.share * total)
        assert count(parts.body) + sum(params for *_, params in parts.dropped) == total
        assert cut.index is None or len(parts.body) == cut.index


def build_on_meta(name: str) -> nn.Module:
    with Blank():
        return build_original(name)


def test_shape_on_meta_is_the_shape_of_a_real_run():
    for name in SMALL:
        for cut in legal_cuts(name)[::3]:
            with torch.no_grad():
                out = create_body(name, cut=cut.name).eval()(torch.zeros(1, 3, 224, 224))
            assert tuple(out.shape[1:]) == cut.out_shape


def test_places_of_resnet18_in_order():
    assert [(cut.name, cut.index) for cut in legal_cuts("resnet18")] == [
        ("conv1", 1), ("bn1", 2), ("relu", 3), ("maxpool", 4),
        ("layer1.0.add", None), ("layer1.0", None), ("layer1.1.add", None), ("layer1", 5),
        ("layer2.0.add", None), ("layer2.0", None), ("layer2.1.add", None), ("layer2", 6),
        ("layer3.0.add", None), ("layer3.0", None), ("layer3.1.add", None), ("layer3", 7),
        ("layer4.0.add", None), ("layer4.0", None), ("layer4.1.add", None), ("layer4", 8),
    ]  # fmt: skip
    assert [cut.from_end for cut in legal_cuts("resnet18") if cut.index] == [-9, -8, -7, -6, -5, -4, -3, -2]


def test_a_cut_inside_a_child_keeps_torchvisions_names_and_numbers():
    body = meta_body("resnet34", cut="layer3.2")
    assert [key for key in body.state_dict() if key.startswith("6.2.conv1")] == ["6.2.conv1.weight"]
    assert len(body) == 7 and len(body[6]) == 3
    assert list(dict(meta_body("densenet121", cut="features.transition2")[0].named_children()))[-1] == "transition2"


@pytest.mark.parametrize("cut", [7, -3, "layer3", "layer3.1"])
def test_one_place_by_count_and_by_name(cut):
    assert resolve_cut("resnet18", cut).name == "layer3"
    assert len(create_body("resnet18", cut=cut)) == 7


@pytest.mark.parametrize(
    ("cut", "told"),
    [
        (0, "keeps none of the 10 children"),
        (-10, "keeps none"),
        (9, "too deep"),
        (-1, "choose 1 to 8"),
        ("fc", "choose"),
        ("layer5", "layer4"),
        ("layer1.0.conv1", "cannot be cut"),
        ("", "cannot be cut"),
        (True, "number of children"),
        (2.0, "number of children"),
    ],
)
def test_an_impossible_cut_is_refused_with_a_way_out(cut, told):
    for attempt in (resolve_cut, lambda arch, cut: create_body(arch, cut=cut)):
        with pytest.raises(ValueError, match=told):
            attempt("resnet18", cut)


def test_an_unknown_architecture_names_its_neighbours():
    with pytest.raises(ValueError, match="resnet34"):
        create_body("resnet43")
    for wrong in ("", "no such thing", 3, None):
        with pytest.raises(ValueError, match="architecture"):
            create_body(wrong)


def test_children_keep_their_own_names_and_the_rest_is_listed():
    assert child_names("resnet34")[4] == "layer1"
    assert child_names("vgg16_bn") == ("features",)
    assert dropped_parts("resnet34")[-1] == ("fc", "Linear", 513_000)
    assert [name for name, *_ in dropped_parts("resnet18", "layer3.0")] == ["layer3.1", "layer4", "avgpool", "fc"]


def test_builders_and_instances_are_architectures_too():
    assert len(create_body(torchvision.models.resnet18, cut=-3)) == 7
    instance = torchvision.models.resnet18()
    assert create_body(instance)[0] is instance.conv1
    assert count_features(create_body(torchvision.models.mobilenet_v3_small)) == 576
    assert legal_cuts(instance) == legal_cuts("resnet18")
    assert next(instance.parameters()).device.type == "cpu"


def test_builders_and_names_of_all_torchvision_are_one():
    assert count_features(create_body(torchvision.models.mobilenet_v2)) == 1280
    assert resolve_cut("shufflenet_v2_x0_5").share > 0.2  # fastai keeps 696 parameters of it (facts A.3)
    assert count_features(create_body(torchvision.models.mobilenet_v2, cut="features.3")) == 24


class Choosy(nn.Module):
    """A network that torch.fx cannot trace: it looks at the numbers it gets."""

    def __init__(self, pool: bool = True):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 8, 3))
        self.pool = nn.AdaptiveAvgPool2d(1) if pool else nn.Identity()
        self.top = nn.Linear(8, 10)

    def forward(self, x):
        return self.top(self.pool(self.stem(x if x.sum() > 0 else -x)).flatten(1))


def test_a_network_that_cannot_be_traced_is_a_chain_of_its_children():
    assert [(cut.name, cut.index) for cut in legal_cuts(Choosy)] == [("stem.0", None), ("stem.1", None), ("stem", 1)]
    assert count_features(create_body(Choosy)) == 8
    assert count_features(create_body(Choosy(), cut="stem.1")) == 4
    with pytest.raises(ValueError, match="no child with a pooling layer.*stem"):
        create_body(Choosy(pool=False))


class Stump(nn.Module):
    """Most of it lies behind the pooling."""

    def __init__(self):
        super().__init__()
        self.conv, self.pool = nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(8)
        self.top = nn.Sequential(nn.Flatten(), nn.Linear(256, 1000))

    def forward(self, x):
        return self.top(self.pool(self.conv(x)))


def test_a_cut_that_nobody_chose_keeps_a_hundredth_of_the_network():
    with pytest.raises(ValueError, match="'conv'.*would keep 0.0%.*choose a cut from conv, pool, top"):
        create_body(Stump)
    assert resolve_cut(Stump, "conv").share == pytest.approx(112 / 257_112)
    assert count_features(create_body(Stump(), cut="conv")) == 4


@pytest.mark.parametrize(("n_in", "total"), [(1, 11_716_544), (2, 11_719_680), (3, 11_722_816), (6, 11_732_224)])
def test_channels_change_the_first_convolution_alone(n_in, total):
    body = meta_body("resnet18", n_in=n_in)
    assert body[0].in_channels == n_in and body[0].stride == (2, 2) and body[0].bias is None
    assert count(body) + 546_304 == total


def test_only_a_convolution_over_three_channels_is_adapted():
    with pytest.raises(ValueError, match="first layer '0'"):
        adapt_input(nn.Sequential(nn.Linear(3, 4)), 4, pretrained=True)
    with pytest.raises(ValueError, match="at least one channel"):
        create_body("squeezenet1_1", n_in=0)


def test_counting_features_leaves_the_body_as_it_was():
    body = create_body("resnet18").train()
    body[1].eval()
    before = {key: value.clone() for key, value in body.state_dict().items()}
    assert count_features(body) == 512
    assert body.training and not body[1].training
    assert all(torch.equal(value, before[key]) for key, value in body.state_dict().items())


def test_a_body_that_runs_nowhere_is_refused():
    with pytest.raises(ValueError, match="does not run on 3 channels"):
        count_features(nn.Sequential(nn.Conv2d(4, 2, 1)))
