"""Turns go round by person."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from explorer.jobs.fair import Waiting, fair_order


def order(people: str, running: dict | None = None, turns: dict | None = None) -> str:
    """Who is served, in order; `people` came in the order of the letters."""
    waiting = [Waiting(number, person) for number, person in enumerate(people)]
    return "".join(run.person for run in fair_order(waiting, running or {}, turns or {}))


def test_ten_runs_of_one_do_not_stand_before_anothers_first():
    assert order("aaaaaaaaaab") == "abaaaaaaaaa"


def test_turns_alternate():
    assert order("aaabbbcc") == "abcabcab"


def test_who_trains_comes_after_who_does_not():
    assert order("aab", running={"a": 1}) == "baa"


def test_whose_last_turn_is_longest_ago_comes_first():
    assert order("abc", turns={"a": 7, "b": 5, "c": 6}) == "bca"


def test_ones_own_runs_keep_their_order():
    waiting = [Waiting(number, "b" if number % 3 else "a") for number in range(9)]
    numbers = [run.number for run in fair_order(waiting[::-1], {}, {}) if run.person == "b"]
    assert numbers == sorted(numbers)


@given(st.text("abcd", max_size=40), st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3)))
def test_everybody_is_served_once_and_nobody_twice_before_another(people, running):
    served = order(people, running=running)
    assert Counter(served) == Counter(people)
    for place, person in enumerate(served):
        later = set(served[place:])
        ahead = {name: served[:place].count(name) + running.get(name, 0) for name in later}
        assert ahead[person] == min(ahead.values())
