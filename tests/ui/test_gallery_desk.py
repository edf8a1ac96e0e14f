"""What the gallery asks the server: last maps, of names that anyone may send."""

from __future__ import annotations

import pytest

from explorer.models.bodies import list_archs
from explorer.ui.gallery_desk import AT_ONCE, gallery_widget, maps_function


def test_the_component_holds_the_whole_catalogue_and_speaks_of_a_choice():
    component = gallery_widget("resnet34")
    assert [row[0] for row in component.value["rows"]] == list(list_archs())
    assert component.value["chosen"] == "resnet34"
    assert callable(component.chosen)


def test_maps_come_by_name():
    maps = maps_function()
    assert maps(["resnet18"]) == {"resnet18": (512, 7, 7)}


def test_asked_again_all_are_found():
    maps, names, found = maps_function(), ["resnet18", "alexnet", "squeezenet1_0"], {}
    while set(found) < set(names):
        found |= maps([name for name in names if name not in found])
    assert found["alexnet"] == (256, 6, 6)


@pytest.mark.parametrize("asked", [None, "resnet18", {"resnet18": 1}, [], ["resnet35"], [None], [["resnet18"]], [5]])
def test_what_is_no_list_of_names_is_answered_with_nothing(asked):
    assert maps_function()(asked) == {}


def test_a_long_list_is_cut_off():
    assert len(maps_function()(["resnet18"] * 10_000)) == 1
    assert len(maps_function()(list(list_archs()))) <= AT_ONCE
