"""The catalogue: torchvision's own figures of every architecture, and the one thing it does not say, the paper."""

from __future__ import annotations

import re

import pytest
import torchvision

from explorer.models import catalogue
from explorer.models.bodies import build_original, list_archs
from explorer.models.catalogue import ARXIV, last_map, last_maps, list_entries

ENTRIES = {entry.name: entry for entry in list_entries()}
OF_OTHER_PAGES = ("alexnet", "squeezenet1_1")  # torchvision names a later paper of the one, a page of the other


def test_an_entry_for_every_architecture_in_the_order_of_the_registry():
    assert tuple(ENTRIES) == list_archs()


def test_figures_of_the_weights_one_gets():
    entry = ENTRIES["resnet34"]
    assert (entry.params, entry.macs, entry.top1, entry.top5) == (21_797_672, 3_664_000_000, 73.314, 91.42)
    assert (entry.file_mb, entry.size, entry.weights, entry.licence) == (83.275, 224, "IMAGENET1K_V1", "BSD-3-Clause")


@pytest.mark.parametrize("name", list_archs())
def test_all_figures_are_known_and_of_sensible_size(name):
    entry = ENTRIES[name]
    assert 1e6 < entry.params < 1e9
    assert 1e7 < entry.macs < 1e12
    assert 50 < entry.top1 < entry.top5 < 100
    assert entry.file_mb == pytest.approx(4 * entry.params / 1024**2, rel=0.08) or name == "googlenet"  # two heads more
    assert 224 <= entry.size <= 600
    assert entry.recipe.endswith(".")


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v3_small", "resnet18"])
def test_parameters_are_those_of_the_whole_network(name):
    assert ENTRIES[name].params == sum(p.numel() for p in build_original(name).parameters())


@pytest.mark.parametrize("name", [name for name in list_archs() if name not in OF_OTHER_PAGES])
def test_the_paper_is_the_one_torchvision_names_and_its_year_that_of_the_first_print(name):
    entry = ENTRIES[name]
    number = entry.address.removeprefix(ARXIV)
    assert f"/{number}>" in torchvision.models.get_model_builder(name).__doc__
    assert entry.year == 2000 + int(number[:2])


def test_alexnet_is_of_2012_and_has_no_address():
    assert (ENTRIES["alexnet"].year, ENTRIES["alexnet"].address) == (2012, "")


@pytest.mark.parametrize(
    "name, series",
    [
        ("resnet34", "resnet"),
        ("resnext50_32x4d", "resnext"),
        ("wide_resnet50_2", "wide_resnet"),
        ("vgg16", "vgg"),
        ("vgg16_bn", "vgg_bn"),
        ("efficientnet_b7", "efficientnet"),
        ("efficientnet_v2_s", "efficientnet_v2"),
        ("swin_t", "swin"),
        ("swin_v2_t", "swin_v2"),
        ("regnet_x_8gf", "regnet_x"),
        ("inception_v3", "inception"),
    ],
)
def test_a_series_is_one_design_in_several_sizes(name, series):
    assert ENTRIES[name].series == series


def test_weights_trained_on_more_than_imagenet_say_so():
    more = {entry.name: entry.more_data for entry in ENTRIES.values() if entry.more_data}
    assert more == {"regnet_y_128gf": "SWAG", "vit_h_14": "SWAG"}
    for name in more:
        assert "SWAG" in ENTRIES[name].recipe
        assert ENTRIES[name].licence.startswith("https://")


@pytest.mark.parametrize("name", list_archs())
def test_recipes_are_plain_sentences(name):
    assert not re.search(r"`|<|>|_\b|\s\s|\n", ENTRIES[name].recipe)


@pytest.mark.parametrize(
    "docs, plain",
    [
        ("\n    Better by `new recipe\n     <https://a.b/c_d>`_.\n", "Better by new recipe."),
        ("By `DeIT <https://a.b/1.2>`__'s recipe.", "By DeIT's recipe."),
        ("A ``momentum`` of 0.99.", "A momentum of 0.99."),
    ],
)
def test_links_in_a_recipe_become_their_words(docs, plain):
    assert catalogue._plain(docs) == plain


def test_an_architecture_without_weights_has_an_entry_without_figures(monkeypatch):
    def none(name):
        raise ValueError(f"torchvision has no ImageNet weights of {name}.")

    monkeypatch.setattr(catalogue, "weights_entry", none)
    entry = catalogue._entry("resnet18")
    assert (entry.year, entry.family, entry.series) == (2015, "resnet", "resnet")
    assert (entry.params, entry.macs, entry.top1, entry.top5, entry.file_mb, entry.size) == (None,) * 6


def test_an_architecture_without_a_paper_has_no_year_and_is_of_its_family(monkeypatch):
    monkeypatch.setattr(catalogue, "PAPERS", {})
    entry = catalogue._entry("mobilenet_v2")
    assert (entry.year, entry.paper, entry.address, entry.series) == (None, "", "", "mobilenet")


def test_no_model_is_built_for_the_entries(monkeypatch):
    def refuse(*args, **more):
        raise AssertionError("a model was built")

    monkeypatch.setattr(torchvision.models, "get_model", refuse)
    monkeypatch.setattr(catalogue, "resolve_cut", refuse)
    list_entries.cache_clear()
    assert len(list_entries()) == len(list_archs())


@pytest.mark.parametrize(
    "name, shape",
    [
        ("alexnet", (256, 6, 6)),
        ("resnet34", (512, 7, 7)),
        ("squeezenet1_1", (512, 13, 13)),
        ("mobilenet_v3_small", (576, 7, 7)),
        ("inception_v3", (2048, 5, 5)),
        ("vit_b_32", (768, 7, 7)),
        ("swin_t", (768, 7, 7)),
    ],
)
def test_the_last_map_is_that_of_the_architectures_own_cut(name, shape):
    assert last_map(name) == shape


def test_without_time_one_last_map_is_found_and_with_time_all():
    names = ["resnet18", "alexnet", "vgg11"]
    assert list(last_maps(names, 0.0)) == ["resnet18"]
    assert list(last_maps(names, 60.0)) == names
    assert last_maps([], 1.0) == {}


def test_an_unknown_name_has_no_last_map():
    with pytest.raises(ValueError, match="There is no architecture 'resnet35'"):
        last_maps(["resnet35"], 1.0)
