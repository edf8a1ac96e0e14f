"""The registry, every place to cut, and bodies that come of it."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

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
SMALL = ("resnet18", "squeezenet1_1")


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def meta_body(name: str, **options) -> nn.Sequential:
    with torch.device("meta"):
        return create_body(name, **options)


def test_registry_holds_the_architectures_of_the_facts():
    assert list_archs() == tuple(FACTS)


@pytest.mark.parametrize("name", FACTS)
def test_body_has_the_children_features_and_parameters_of_the_facts(name):
    children, inner, features, params = FACTS[name]
    body = meta_body(name)
    assert len(body) == children
    assert inner is None or len(body[0]) == inner
    assert (count_features(body), count(body)) == (features, params)
    assert legal_cuts(name)[-1].out_shape[0] == features
    assert legal_cuts(name)[-1] == resolve_cut(name) == resolve_cut(name, get_arch(name).cut)


@pytest.mark.parametrize("name", FACTS)
def test_every_legal_cut_builds_what_it_promises(name):
    cuts = legal_cuts(name)
    total = count(build_on_meta(name))
    assert len({cut.name for cut in cuts}) == len(cuts)
    assert [cut.share for cut in cuts] == sorted(cut.share for cut in cuts)
    for cut in cuts[:: max(1, len(cuts) // 4)]:
        with torch.device("meta"):
            parts = take_apart(build_original(name), cut.name)
        assert tuple(parts.body.eval()(torch.empty(1, 3, 224, 224, device="meta")).shape[1:]) == cut.out_shape
        assert count(parts.body) == pytest.approx(cut.share * total)
        assert count(parts.body) + sum(params for *_, params in parts.dropped) == total
        assert cut.index is None or len(parts.body) == cut.index


def build_on_meta(name: str) -> nn.Module:
    with torch.device("meta"):
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
        ("layer1.0", None), ("layer1", 5), ("layer2.0", None), ("layer2", 6),
        ("layer3.0", None), ("layer3", 7), ("layer4.0", None), ("layer4", 8),
    ]  # fmt: skip


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


def test_where_no_cut_can_be_found_it_is_asked_for():
    with pytest.raises(ValueError, match="no child with a pooling layer.*features"):
        create_body(torchvision.models.mobilenet_v2)
    with pytest.raises(ValueError, match="would keep"):
        create_body(torchvision.models.shufflenet_v2_x0_5)
    assert count_features(create_body(torchvision.models.mobilenet_v2, cut="features.3")) == 24


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
