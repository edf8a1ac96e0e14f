"""Groups by name of child, each parameter once, and what a freeze really freezes."""

from __future__ import annotations

import pytest
from torch import nn

from explorer.models.bodies import blank_parts, create_body, legal_cuts, list_archs, skips
from explorer.models.build import features_of
from explorer.models.groups import Group, check_groups, classifier_groups, freeze, own_names, split_of
from explorer.models.heads import create_head
from explorer.models.meta import Blank

# fastai facts A.1: parameters and tensors of early body, late body and head, 37 outputs
FACTS = {
    "resnet18": ((683_072, 10_493_440, 546_304), (30, 30, 6)),
    "resnet34": ((1_347_904, 19_936_768, 546_304), (48, 60, 6)),
    "resnet50": ((1_444_928, 22_063_104, 2_125_312), (72, 87, 6)),
    "resnet101": ((1_444_928, 41_055_232, 2_125_312), (72, 240, 6)),
    "resnet152": ((2_565_184, 55_578_624, 2_125_312), (108, 357, 6)),
    "squeezenet1_0": ((38_560, 696_864, 546_304), (14, 36, 6)),
    "squeezenet1_1": ((25_632, 696_864, 546_304), (14, 36, 6)),
    "densenet121": ((1_297_536, 5_656_320, 1_072_640), (114, 248, 6)),
    "densenet161": ((2_901_696, 23_570_304, 2_289_792), (114, 368, 6)),
    "densenet169": ((1_297_536, 11_186_944, 1_730_560), (114, 392, 6)),
    "densenet201": ((1_297_536, 16_795_392, 1_993_728), (114, 488, 6)),
    "vgg11_bn": ((4_504_320, 4_721_664, 546_304), (24, 8, 6)),
    "vgg13_bn": ((2_327_360, 7_083_520, 546_304), (26, 14, 6)),
    "vgg16_bn": ((1_737_792, 12_985_344, 546_304), (28, 24, 6)),
    "vgg19_bn": ((1_737_792, 18_297_600, 546_304), (28, 36, 6)),
    "alexnet": ((330_688, 2_139_008, 283_136), (4, 6, 6)),
}


def classifier(name: str, cut: str | None = None) -> nn.Sequential:
    with Blank():
        return nn.Sequential(create_body(name, cut=cut), create_head(features_of(name, cut), 37))


def shared_classifier(name: str, cut: str | None = None) -> nn.Sequential:
    """With the body that all share: to be looked at, not to be frozen."""
    with Blank():
        return nn.Sequential(blank_parts(name, cut, 3).body, create_head(features_of(name, cut), 37))


def sizes(model: nn.Module, groups: tuple[Group, ...]) -> tuple[int, ...]:
    params = dict(model.named_parameters())
    return tuple(sum(params[name].numel() for name in group.params) for group in groups)


@pytest.mark.parametrize("name", FACTS)
def test_groups_hold_what_the_facts_say(name):
    model = classifier(name)
    groups = classifier_groups(model, name)
    assert [group.name for group in groups] == ["body-early", "body-late", "head"]
    assert (sizes(model, groups), tuple(len(group.params) for group in groups)) == FACTS[name]


# where fastai has no groups: the first module of the late half, behind the third-last scale or half of the blocks
SPLITS = {
    "resnext50_32x4d": "layer3", "vgg11": "features.15", "googlenet": "maxpool3", "inception_v3": "Mixed_6a",
    "mobilenet_v2": "features.7", "mobilenet_v3_small": "features.4", "shufflenet_v2_x1_0": "stage3",
    "mnasnet1_0": "layers.10", "efficientnet_b0": "features.4", "regnet_y_400mf": "trunk_output.block3",
    "convnext_tiny": "features.4", "vit_b_16": "encoder.layers.encoder_layer_6", "swin_t": "features.4",
    "swin_v2_t": "features.4", "maxvit_t": "blocks.2",
}  # fmt: skip


@pytest.mark.parametrize("name", list_archs())
def test_every_architecture_has_three_groups_split_behind_a_scale(name):
    model = shared_classifier(name)
    groups = classifier_groups(model, name)
    assert [group.name for group in groups] == ["body-early", "body-late", "head"]
    assert sum(sizes(model, groups)) == sum(p.numel() for p in model.parameters())
    scales = [place.name for place in skips(name)]
    if name not in FACTS and len(scales) > 1:
        parts = blank_parts(name, None, 3)
        order = list(own_names(parts.body, parts.names).values())
        before = order[order.index(split_of(name)[0]) - 1]
        assert before == scales[-3] or before.startswith(f"{scales[-3]}.")


@pytest.mark.parametrize(("name", "split"), SPLITS.items())
def test_late_bodies_begin_where_they_should(name, split):
    assert split_of(name) == (split,)


@pytest.mark.parametrize("name", ["vit_b_32", "swin_t", "densenet121"])
def test_a_body_cut_in_its_graph_keeps_its_groups(name):
    """Parameters of the network itself (class token, position table) are early; what a late cut lacks is left out."""
    whole = [(group.name, set(group.params)) for group in classifier_groups(classifier(name), name)]
    for cut in legal_cuts(name)[4::7]:
        model = classifier(name, cut.name)
        for group in classifier_groups(model, name)[:-1]:
            assert set(group.params) <= dict(whole)[group.name]


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "densenet121", "vgg13_bn", "alexnet"])
def test_no_cut_leaves_an_empty_group_or_a_parameter_behind(name):
    for cut in legal_cuts(name):
        model = shared_classifier(name, cut.name)
        groups = classifier_groups(model, name)
        check_groups(model, groups)
        assert all(group.params for group in groups)
        assert [group.name for group in groups] in (["body-early", "head"], ["body-early", "body-late", "head"])
    assert len(classifier_groups(shared_classifier(name, legal_cuts(name)[0].name), name)) == 2


def test_every_parameter_belongs_to_exactly_one_group():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, bias=False))
    both = ("0.weight", "0.bias")
    check_groups(model, (Group("a", both), Group("b", ("1.weight",))))
    with pytest.raises(ValueError, match="'0.bias' is in 'a' and again in 'b'"):
        check_groups(model, (Group("a", both), Group("b", ("1.weight", "0.bias"))))
    with pytest.raises(ValueError, match="1 parameters are in no group, '1.weight'"):
        check_groups(model, (Group("a", both),))
    with pytest.raises(ValueError, match="no parameter of the model"):
        check_groups(model, (Group("a", (*both, "1.weight", "2.weight")),))


@pytest.mark.parametrize(("name", "trainable"), [("resnet18", 555_904), ("resnet34", 563_328), ("resnet50", 2_178_432)])
def test_frozen_bodies_go_on_learning_their_norms(name, trainable):
    model = classifier(name)
    told = freeze(model, classifier_groups(model, name))
    assert sum(learns for _, learns, _ in told) == trainable
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == trainable
    assert told[-1][1] == told[-1][2]


@pytest.mark.parametrize(
    ("n", "learning"),
    [
        (False, (683_072, 10_493_440, 546_304)),
        (0, (683_072, 10_493_440, 546_304)),
        (1, (0, 10_493_440, 546_304)),
        (2, (0, 0, 546_304)),
        (True, (0, 0, 546_304)),
        (3, (0, 0, 0)),
    ],
)
def test_freezing_counts_groups_from_the_input(n, learning):
    model = classifier("resnet18")
    groups = classifier_groups(model, "resnet18")
    freeze(model, groups, True)
    told = freeze(model, groups, n, train_bn=False)
    assert told == list(zip(("body-early", "body-late", "head"), learning, FACTS["resnet18"][0], strict=True))


@pytest.mark.parametrize("n", [4, -1])
def test_more_groups_than_there_are_cannot_be_frozen(n):
    model = classifier("resnet18")
    with pytest.raises(ValueError, match="choose 0 to 3"):
        freeze(model, classifier_groups(model, "resnet18"), n)
    assert all(p.requires_grad for p in model.parameters())
