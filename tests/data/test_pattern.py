"""Patterns for file names: which are taken, and which would never end."""

from __future__ import annotations

import time

import pytest

from explorer.data.dataset import DataError
from explorer.data.pattern import PETS_PATTERN, compile_pattern
from explorer.data.registry import load

LONG = "a" * 47


@pytest.mark.parametrize(
    ("pattern", "name", "label"),
    [
        (PETS_PATTERN, "great_dane_12.jpg", "great_dane"),
        (r"^\d-(cat|dog)\.png$", "3-cat.png", "cat"),
        (r"([a-z]+)_\d+\.(?:jpg|png)$", "beagle_7.png", "beagle"),
        (r"^(.+?)[-_ ]\d{1,4}", "tabby cat-0012 (2).jpg", "tabby cat"),
        (r"^(\w+)-(\d+)_(\d+)\.\w+$", "rose-1_2.jpg", "rose"),
        (r"^(?:\d{2})+_(.)", "2024_x.jpg", "x"),
        (r"^(?P<label>[^_]+)_(?!test)", "pug_1.jpg", "pug"),
    ],
)
def test_a_sane_pattern_is_taken(pattern, name, label):
    assert compile_pattern(pattern).search(name)[1] == label


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+$",
        "^(a+)*$",
        "(a*?)*?b",
        "^((a|aa)+)$",
        "(.*,){30}x",
        "(a?){40}" + "a" * 40,
        "(" + "a?" * 60 + ")" + "a" * 50,
        "(aa|a)" * 30 + "$",
        "^(.*)(.*)(.*)(.*)(.*)x",
        r"(.*)\1$",
        r"(a)(?:b+(?=(c+)+))",
        "((" * 3 + "){65535}){65535}" + "){60000}){60000}){60000}){60000}" + "(a)",
        "(((){64}){64}){64}",
    ],
)
def test_a_pattern_that_could_search_for_ever_is_refused_at_once(pattern):
    begun = time.perf_counter()
    with pytest.raises(DataError, match="could search for ever: .*no repeat"):
        compile_pattern(pattern)
    assert time.perf_counter() - begun < 10


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("(" + "a" * 200 + ")", "has 202 characters, 200 at most"),
        ("(" * 150 + ")" * 50, "not a regular expression"),
        ("(a{99999999999999999999})", "not a regular expression"),
        (r"^\w+", "has no group"),
    ],
)
def test_a_pattern_that_is_none_is_refused(pattern, words):
    with pytest.raises(DataError, match=words) as refused:
        compile_pattern(pattern)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 450


def test_long_names_do_not_hold_up_the_app(tmp_path, picture):
    for i in range(4):
        picture(tmp_path / f"{LONG}{'xy'[i % 2]}_{i}.png")
    begun = time.perf_counter()
    with pytest.raises(DataError, match="could search for ever"):
        load(f"pattern:{tmp_path}|(a+)+$", size=16)
    assert load(f"pattern:{tmp_path}", size=16).classes == (f"{LONG}x", f"{LONG}y")
    assert time.perf_counter() - begun < 20
