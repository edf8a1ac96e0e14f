"""A sweep: one design with some of its knobs at several values each, all of it with several seeds. Plain values.

A knob is named by its place in the link: "head.pool", "body.arch", "train.lr".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from explorer import link
from explorer.spec import SpecError, TrainSpec, check_whole

MOST_RUNS = 64
LAST_SEED = 2**31 - 1
SEED = "train.seed"
Setting = tuple[tuple[str, object], ...]
"""(place of a knob, its value) of each knob that the sweep moves."""


@dataclass(frozen=True)
class Entry:
    """One run of a sweep."""

    setting: Setting
    seed: int
    spec: link.Spec
    train: TrainSpec


def sweep(
    spec: link.Spec, train: TrainSpec, knobs: Mapping[str, Sequence[object]], seeds: int = 1, most: int = MOST_RUNS
) -> tuple[Entry, ...]:
    """Every combination of the values, all of one seed before those of the next, so that an early end tells most.

    seeds  how many: the seed of `train` and those after it

    Raises SpecError, one sentence, for a knob that is none, a value that it cannot have, and more runs than `most`.
    """
    check_whole("seeds", "The number of seeds", seeds, 1, most)
    check_whole("seed", "The last seed of the sweep", train.seed + seeds - 1, 0, LAST_SEED)
    for place, values in knobs.items():
        check_knob(type(spec), place, values)
    settings = [tuple(zip(knobs, values, strict=True)) for values in product(*knobs.values())]
    if len(settings) * seeds > most:
        raise SpecError("sweep", f"This sweep would be {len(settings) * seeds} runs, and {most} are the most.")
    return tuple(
        Entry(setting, seed, *designed(spec, replace(train, seed=seed), setting))
        for seed in range(train.seed, train.seed + seeds)
        for setting in settings
    )


def check_knob(family: type, place: str, values: Sequence[object]) -> None:
    """SpecError for a place that a family has not, for no values, and for the same one twice."""
    places = [field.place for field in link.FIELDS[family] if field.place != SEED]
    if place not in places:
        raise SpecError("sweep", f"There is no knob {place!r} to sweep: choose from {', '.join(places)}.")
    if not values:
        raise SpecError("sweep", f"The knob {place} has no values to try: name at least one.")
    if len(set(map(repr, values))) < len(values):
        raise SpecError("sweep", f"The knob {place} has the same value twice.")


def designed(spec: link.Spec, train: TrainSpec, setting: Setting) -> tuple[link.Spec, TrainSpec]:
    """Both specs with the knobs of a setting turned, in the order in which links are read. Raises SpecError."""
    order = [field.place for field in link.FIELDS[type(spec)]]
    for place, value in sorted(setting, key=lambda knob: order.index(knob[0])):
        if place.startswith("train."):
            train = link.put(train, place.removeprefix("train."), value)
        else:
            spec = link.put(spec, place, value)
    return spec, train


def read_knob(family: type, text: str) -> tuple[str, tuple[object, ...]]:
    """ "head.pool=concat,avg" as a place and its values, each as a link writes it; values that hold commas themselves
    are parted by ";": "head.lin_ftrs=512;256,128". Raises SpecError, one sentence."""
    place, _, told = text.partition("=")
    field = next((field for field in link.FIELDS[family] if field.place == place.strip()), None)
    if field is None:
        check_knob(family, place.strip(), ("",))
    try:
        values = tuple(field.read(value.strip()) for value in told.split(";" if ";" in told else ",") if value.strip())
    except (ValueError, KeyError, IndexError, OverflowError) as error:
        raise SpecError("sweep", f"The values of {place.strip()} cannot be read: {told!r}.") from error
    check_knob(family, field.place, values)
    return field.place, values


def setting_words(setting: Setting) -> str:
    """ "head.pool concat · train.lr 0.001" for people; "as it is" where no knob moves."""
    return " · ".join(f"{place} {'none' if value is None else value}" for place, value in setting) or "as it is"
