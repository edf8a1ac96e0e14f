"""A spec as a URL query and as JSON, both ways, from one table of fields.

Encoding writes only what differs from the defaults. Decoding never raises: what it does not know or cannot use falls
back to the default and is told in `Decoded.problems`, one sentence each. A query may come from anyone, so it names no
file of the server: paths of weights and folders travel in JSON only.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from urllib.parse import parse_qsl, urlencode

from explorer.spec import ClassifierSpec, SpecError, TrainSpec, UnetSpec, size_text

Spec = ClassifierSpec | UnetSpec

PATH_MARKS = ("/", "\\", ":")
PINNED = "a"
FAMILY = "family"
SPECS: dict[str, type] = {"classifier": ClassifierSpec, "unet": UnetSpec}
"""What the key "family" of a link can say; without it a link is a classifier's."""
TRAINS: dict[type, TrainSpec] = {
    ClassifierSpec: TrainSpec(),
    UnetSpec: TrainSpec(batch_size=8, lr=3e-3, precision="auto"),
}
"""What a link that says nothing of the training means. A U-Net keeps ten times as much for each picture; its decoder
begins from nothing, and at 3e-3 is after three epochs of drawn scenes where 1e-3 is after five."""


@dataclass(frozen=True)
class Field:
    """One field of a link: its key, the dotted place of its value ("train." first for a TrainSpec), text both ways."""

    key: str
    place: str
    read: Callable[[str], object]
    write: Callable[[object], str]


@dataclass(frozen=True)
class Decoded:
    """What a link means: two specs, and a sentence for every part of it that was dropped."""

    spec: Spec
    train: TrainSpec
    problems: tuple[str, ...]


def _read_bool(text: str) -> bool:
    words = {"1": True, "true": True, "0": False, "false": False}
    return words[text.lower()]


def _read_cut(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdigit() else text


def _read_pool(text: str) -> str | None:
    return None if text == "none" else text


def _read_widths(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(",") if part)


def _read_skips(text: str) -> tuple[int, ...] | None:
    return () if text == "none" else _read_widths(text)


def _read_norm(text: str) -> str | None:
    return None if text == "none" else text


def _read_rates(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in text.split(",") if part)


def _read_numbers(text: str) -> float | tuple[float, ...]:
    return _read_rates(text) if "," in text else float(text)


def _read_frozen(text: str) -> bool | int:
    return {"true": True, "false": False}[text] if text.isalpha() else int(text)


def _read_public(text: str) -> str:
    if any(mark in text for mark in PATH_MARKS):
        raise ValueError("a link does not name files of the server")
    return text


def _read_size(text: str) -> int | tuple[int, ...]:
    """ "224", or height and width: "97x131"."""
    numbers = tuple(int(part) for part in text.replace("×", "x").split("x"))
    return numbers[0] if len(numbers) == 1 else numbers


def _write_size(value) -> str:
    return size_text(value).replace("×", "x")


def _write_weights(value) -> str:
    return value or "random"


def _write_number(value) -> str:
    return repr(float(value)) if isinstance(value, float) else str(value)


def _write_list(value) -> str:
    if isinstance(value, tuple):
        return ",".join(_write_number(part) for part in value) + ("," if len(value) == 1 else "")
    return _write_number(value)


def _write_bool(value) -> str:
    return "1" if value else "0"


def _write_pool(value) -> str:
    return value or "none"


def _write_skips(value) -> str:
    return _write_list(value) if value else "none"


def _write_frozen(value) -> str:
    return str(value).lower()


BODY_FIELDS = (
    Field("arch", "body.arch", str, str),
    Field("weights", "body.weights", _read_public, _write_weights),
    Field("cut", "body.cut", _read_cut, str),
    Field("size", "body.size", _read_size, _write_size),
    Field("n_in", "body.n_in", int, str),
)
HEAD_FIELDS = (
    Field("pool", "head.pool", _read_pool, _write_pool),
    Field("widths", "head.lin_ftrs", _read_widths, _write_list),
    Field("ps", "head.ps", _read_numbers, _write_list),
    Field("first_bn", "head.first_bn", _read_bool, _write_bool),
    Field("bn_final", "head.bn_final", _read_bool, _write_bool),
    Field("lin_first", "head.lin_first", _read_bool, _write_bool),
    Field("y_range", "head.y_range", _read_rates, _write_list),
    Field("n_out", "n_out", int, str),
)
DECODER_FIELDS = (
    Field("decoder", "decoder.kind", str, str),
    Field("skips", "decoder.skips", _read_skips, _write_skips),
    Field("blur", "decoder.blur", _read_bool, _write_bool),
    Field("blur_final", "decoder.blur_final", _read_bool, _write_bool),
    Field("self_attention", "decoder.self_attention", _read_bool, _write_bool),
    Field("last_cross", "decoder.last_cross", _read_bool, _write_bool),
    Field("bottle", "decoder.bottle", _read_bool, _write_bool),
    Field("norm", "decoder.norm_type", _read_norm, str),
    Field("act", "decoder.act", str, str),
    Field("kernel", "decoder.kernel", int, str),
    Field("width_cap", "decoder.width_cap", int, str),
    Field("y_range", "decoder.y_range", _read_rates, _write_list),
    Field("n_out", "n_out", int, str),
    Field("task", "task", str, str),
)
TRAIN_FIELDS = (
    Field("data", "train.data", _read_public, str),
    Field("data_size", "train.data_size", str, str),
    Field("difficulty", "train.difficulty", float, _write_number),
    Field("valid_pct", "train.valid_pct", float, _write_number),
    Field("epochs", "train.epochs", int, str),
    Field("lr", "train.lr", float, _write_number),
    Field("lrs", "train.lrs", _read_rates, _write_list),
    Field("batch_size", "train.batch_size", int, str),
    Field("frozen", "train.frozen", _read_frozen, _write_frozen),
    Field("train_bn", "train.train_bn", _read_bool, _write_bool),
    Field("schedule", "train.schedule", str, str),
    Field("freeze_epochs", "train.freeze_epochs", int, str),
    Field("wd", "train.wd", float, _write_number),
    Field("augment", "train.augment", str, str),
    Field("seed", "train.seed", int, str),
)
PICTURE_FIELDS = (
    Field("loss", "train.loss", str, str),
    Field("style", "train.style", _read_public, str),
    Field("precision", "train.precision", str, str),
)
FIELDS: dict[type, tuple[Field, ...]] = {
    ClassifierSpec: BODY_FIELDS + HEAD_FIELDS + TRAIN_FIELDS,
    UnetSpec: BODY_FIELDS + DECODER_FIELDS + TRAIN_FIELDS + PICTURE_FIELDS,
}
"""The fields of each family's links, in the order in which they are applied: widths before ps."""


def family_of(spec: Spec) -> str:
    """What a link calls the family of a spec."""
    return next(name for name, kind in SPECS.items() if type(spec) is kind)


def encode(spec: Spec, train: TrainSpec) -> str:
    """A URL query that says how these differ from the family's defaults; "" for a classifier's. Paths are left out."""
    pairs = [(f.key, f.write(value)) for f, value in _differing(spec, train) if _is_public(f, value)]
    family = [] if type(spec) is ClassifierSpec else [(FAMILY, family_of(spec))]
    return urlencode([*family, *pairs], safe=",")


def beside(query: str, pinned: str) -> str:
    """A query that holds two designs: `query` with another design's query under the key "a", to be decoded alike."""
    return "&".join(filter(None, (query, urlencode({PINNED: pinned}, safe=","))))


def decode(query: str | Mapping[str, str], known: Mapping[str, Collection[str]] | None = None) -> Decoded:
    """Read a URL query. `known` lists valid values by key ({"arch": …}), which this module cannot know itself."""
    texts = dict(parse_qsl(query.lstrip("?"), keep_blank_values=True)) if isinstance(query, str) else dict(query)

    def apply(decoded: Decoded, field: Field) -> Decoded:
        key = field.key
        if key not in texts:
            return decoded
        text = texts[key]
        if known and key in known and text not in known[key]:
            return _dropped(
                decoded, f"The link asks for {key} “{text[:60]}”, which is not known here; the default stands."
            )
        try:
            return _with(decoded, field.place, field.read(text))
        except SpecError as error:
            return _dropped(decoded, f"The link's {key} was left out. {error}")
        except (ValueError, KeyError, IndexError, OverflowError):
            return _dropped(decoded, f"The link's {key} “{text[:60]}” cannot be read; the default stands.")

    start = _defaults(texts.get(FAMILY))
    return reduce(apply, FIELDS[type(start.spec)], start)


def to_json(spec: Spec, train: TrainSpec) -> str:
    """Both specs as one flat JSON object that holds what differs from the defaults, paths included."""
    family = {} if type(spec) is ClassifierSpec else {FAMILY: family_of(spec)}
    return json.dumps({**family, **{f.key: value for f, value in _differing(spec, train)}})


def from_json(text: str) -> Decoded:
    """The inverse of `to_json`; like `decode` it never raises."""
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        data = None
    if not isinstance(data, dict):
        return Decoded(ClassifierSpec(), TrainSpec(), ("This is no description of a model; the defaults stand.",))

    def apply(decoded: Decoded, field: Field) -> Decoded:
        if field.key not in data:
            return decoded
        try:
            return _with(decoded, field.place, data[field.key])
        except SpecError as error:
            return _dropped(decoded, f"{field.key} was left out. {error}")
        except TypeError:
            return _dropped(decoded, f"{field.key} cannot be read; the default stands.")

    start = _defaults(data.get(FAMILY))
    return reduce(apply, FIELDS[type(start.spec)], start)


def _defaults(family: object) -> Decoded:
    """The default specs of a family; a classifier's, with a sentence, for one that is not known."""
    if family is None:
        return Decoded(ClassifierSpec(), TrainSpec(), ())
    if not isinstance(family, str) or family not in SPECS:
        problem = f"There is no page for “{str(family)[:60]}”: choose {' or '.join(SPECS)}; the classifier stands."
        return Decoded(ClassifierSpec(), TrainSpec(), (problem,))
    return Decoded(SPECS[family](), TRAINS[SPECS[family]], ())


def put(spec, place: str, value):
    """A copy of a spec with one field changed, named as in "head.ps"; SpecError where the value cannot be meant."""
    outer, _, inner = place.partition(".")
    return replace(spec, **{outer: put(getattr(spec, outer), inner, value) if inner else value})


def get(spec, place: str):
    """The value of a field named as in "head.ps"."""
    return reduce(getattr, place.split("."), spec)


def _with(decoded: Decoded, place: str, value) -> Decoded:
    if place.startswith("train."):
        return replace(decoded, train=put(decoded.train, place.removeprefix("train."), value))
    return replace(decoded, spec=put(decoded.spec, place, value))


def _dropped(decoded: Decoded, problem: str) -> Decoded:
    return replace(decoded, problems=(*decoded.problems, problem))


def _differing(spec: Spec, train: TrainSpec) -> Iterable[tuple[Field, object]]:
    default_spec, default_train = type(spec)(), TRAINS[type(spec)]
    for field in FIELDS[type(spec)]:
        place = field.place.removeprefix("train.")
        now, default = (train, default_train) if place != field.place else (spec, default_spec)
        value = get(now, place)
        if value != get(default, place) or type(value) is not type(get(default, place)):
            yield field, value


def _is_public(field: Field, value: object) -> bool:
    return field.read is not _read_public or value is None or not any(mark in str(value) for mark in PATH_MARKS)
