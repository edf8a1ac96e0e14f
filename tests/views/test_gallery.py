"""The catalogue as a payload: all comes back out of the short arrays, and a front is what is best at its cost."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from explorer.models.catalogue import Entry, list_entries
from explorer.views.gallery import COSTS, NUMBERS, TEXTS, front, gallery

ENTRIES = list_entries()
BARE = Entry("new_net", "new", "new")


def rows_of(payload: dict) -> list[dict]:
    rows = [dict(zip(payload["columns"], row, strict=True)) for row in payload["rows"]]
    return [{**row, **{name: payload["words"][row[name]] for name in payload["texts"]}} for row in rows]


def test_every_value_comes_back_out_of_the_payload():
    payload = json.loads(json.dumps(gallery(ENTRIES, "resnet34")))
    for row, entry in zip(rows_of(payload), ENTRIES, strict=True):
        assert row == {name: getattr(entry, name) for name in ("name", *NUMBERS, *TEXTS)}
    assert payload["chosen"] == "resnet34"


def test_words_are_said_once():
    words = gallery(ENTRIES, "resnet34")["words"]
    assert len(words) == len(set(words))


def test_the_payload_stays_small():
    assert len(json.dumps(gallery(ENTRIES, "resnet34"), separators=(",", ":"))) < 14_000


def test_what_is_not_known_is_none_and_on_no_front():
    payload = gallery((*ENTRIES, BARE), "new_net")
    last = rows_of(payload)[-1]
    assert [last[name] for name in NUMBERS] == [None] * len(NUMBERS)
    assert all(len(ENTRIES) not in places for places in payload["fronts"].values())


@pytest.mark.parametrize("cost", COSTS)
def test_the_front_is_what_no_other_beats(cost):
    def beaten(entry):
        return any(
            getattr(other, cost) <= getattr(entry, cost)
            and other.top1 >= entry.top1
            and (getattr(other, cost), other.top1) != (getattr(entry, cost), entry.top1)
            for other in ENTRIES
        )

    places = front(ENTRIES, cost)
    assert sorted(places) == [i for i, entry in enumerate(ENTRIES) if not beaten(entry)]
    costs = [getattr(ENTRIES[i], cost) for i in places]
    assert costs == sorted(costs)


def test_of_two_alike_one_is_on_the_front():
    one = replace(ENTRIES[0], name="one")
    assert front((one, replace(one, name="two")), "macs") == [0]


def test_a_catalogue_of_nothing_is_a_payload_of_nothing():
    payload = gallery((), "")
    assert (payload["rows"], payload["words"]) == ([], [])
    assert payload["fronts"] == {cost: [] for cost in COSTS}
