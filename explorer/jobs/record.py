"""A spec as a row of the store, and back: the family's name and plain JSON values."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from explorer.spec import BodySpec, ClassifierSpec, DecoderSpec, HeadSpec, SpecError, TrainSpec, UnetSpec


@dataclass(frozen=True)
class Family:
    """The spec of one family, and which of its fields are specs themselves."""

    spec: type
    parts: dict[str, type] = field(default_factory=dict)


FAMILIES = {
    "classifier": Family(ClassifierSpec, {"body": BodySpec, "head": HeadSpec}),
    "unet": Family(UnetSpec, {"body": BodySpec, "decoder": DecoderSpec}),
}


def family_of(spec) -> str:
    """The name a spec's family has in the store; raises SpecError for what is no spec of a known family."""
    for name, family in FAMILIES.items():
        if type(spec) is family.spec:
            return name
    raise SpecError("spec", f"What to train must be the spec of a {' or '.join(FAMILIES)}, not {type(spec).__name__}.")


def spec_to_dict(spec) -> dict:
    """Nested dictionaries of scalars and tuples, ready for JSON."""
    return asdict(spec)


def spec_from_dict(family: str, values: dict):
    """The inverse of `spec_to_dict`, after JSON too; fields that are missing take their defaults.

    Raises SpecError for a value that cannot be meant, and for a family or a field that this version does not know.
    """
    if family not in FAMILIES:
        raise SpecError("spec", f"This version trains {' and '.join(FAMILIES)}, not {family!r}.")
    parts = FAMILIES[family].parts
    whole = {name: _make(parts[name], value) if name in parts else value for name, value in values.items()}
    return _make(FAMILIES[family].spec, whole)


def train_from_dict(values: dict) -> TrainSpec:
    """A TrainSpec from its dictionary; raises SpecError as `spec_from_dict` does."""
    return _make(TrainSpec, values)


def _make(cls: type, values: dict):
    unknown = set(values) - set(cls.__dataclass_fields__)
    if unknown:
        raise SpecError(min(unknown), f"{cls.__name__} has no field {min(unknown)!r} in this version of the app.")
    return cls(**values)
