"""What the controls of the classifier page hold, as specs; and specs, as what the controls should hold.

Anyone may call a handler with anything (the endpoints are reachable through REST), so nothing here trusts a value:
what cannot be meant becomes a sentence at its field, and the rest still counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from explorer import link
from explorer.data.uploads import is_id
from explorer.models.archs import get_arch, is_arch
from explorer.models.bodies import Cut, legal_cuts, resolve_cut
from explorer.models.build import blamed
from explorer.models.timm_archs import is_timm
from explorer.spec import (
    LARGEST_SIDE,
    BodySpec,
    ClassifierSpec,
    SpecError,
    TrainSpec,
    UnetSpec,
    check_size,
    check_whole,
)
from explorer.train.schedule import group_rates
from explorer.views.numbers import rate as words

POOLS = {"Concat": "concat", "Avg": "avg", "Max": "max", "None": None}
WEIGHTS = {"ImageNet": "imagenet", "Random": "random", "File": "file"}
SCHEDULES = {"One-cycle": "one_cycle", "Fine-tune": "fine_tune", "Flat": "flat"}
AUGMENTATIONS = {"Basic": "basic", "None": "none"}
SIZES = {"Small": "small", "Medium": "medium", "Large": "large"}

BROUGHT = "upload:"
"""The set that waits for pictures of one's own; see `data.uploads`."""
MOST_GROUPS = 64
LONGEST_NAME = 60  # letters of a cut's name in a sentence

# What the sliders reach, by field; a spec may hold more.
BUILD_REACH = {"body.size": (32, 512), "body.n_in": (1, 12), "head.ps": (0.0, 0.95)}
LINK_REACH = {**BUILD_REACH, "body.size": (1, 512)}
"""What a link may ask for: the Width field holds a size that is too small for the slider."""
TRAIN_REACH = {"valid_pct": (0.05, 0.5)}

Values = Mapping[str, object]


@dataclass(frozen=True)
class Reading:
    """Both specs, and by field the sentence for each value that could not be used."""

    spec: ClassifierSpec | UnetSpec
    train: TrainSpec
    problems: Mapping[str, str] = field(default_factory=dict)
    build_marks: tuple[str, ...] = ("body.", "width", "head.", "n_out", "ps_each")

    @property
    def builds(self) -> bool:
        """Whether the picture may follow: nothing that the model is made of is in doubt.

        The names of such fields begin with `build_marks`.
        """
        return not any(name.startswith(self.build_marks) for name in self.problems)


def read(values: Values, is_allowed_file: Callable[[str], bool]) -> Reading:
    """Specs from control values by name; `is_allowed_file` says which weight files of this machine may be opened."""
    spec, train, problems = ClassifierSpec(), TrainSpec(), {}
    for place, parse in BUILD_FIELDS.items():
        try:
            spec = link.put(spec, place, parse(values, is_allowed_file))
        except SpecError as error:
            at = error.field if place == "body.size" else place
            problems["ps_each" if place == "head.ps" and values.get("ps_each") else at] = str(error)
    for place, parse in TRAIN_FIELDS.items():
        try:
            train = link.put(train, place, parse(values))
        except SpecError as error:
            problems[place] = str(error)
    return Reading(spec, train, problems)


# ---- one function a field -------------------------------------------------------------------------------------------


def whole(place: str, what: str, value: object) -> int:
    """A whole number from a slider, a number box or text."""
    try:
        number = float(value)  # type: ignore[arg-type]
        if number == int(number):
            return int(number)
    except (TypeError, ValueError, OverflowError):
        pass
    raise SpecError(place, f"{what} must be a whole number, not {_short(value)}.")


def _within_reach(place: str, what: str, value: object) -> int:
    """A slider's whole number, not beyond its upper end; what is too small for a network is told in its picture."""
    read = whole(place, what, value)
    check_whole(place, what, read, 1, BUILD_REACH[place][1])
    return read


def number(place: str, what: str, value: object) -> float:
    """A number from a slider or from text such as 1e-3."""
    try:
        read = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        read = math.nan
    if not math.isfinite(read):
        raise SpecError(place, f"{what} must be a number such as 0.001 or 1e-3, not {_short(value)}.")
    return read


def _short(value: object) -> str:
    """What was got, for a sentence: quoted, or "nothing at all"."""
    return "nothing at all" if value is None or value == "" else f"“{str(value)[:40]}”"


def word(place: str, what: str, words: Mapping[str, object], value: object):
    if not isinstance(value, str) or value not in words:
        raise SpecError(place, f"{what} is one of {', '.join(words)}, not {_short(value)}.")
    return words[value]


def _part(values: Values, name: str, key: str) -> object:
    """A part of a widget's value; None where a stranger sent something else."""
    value = values.get(name)
    return value.get(key) if isinstance(value, dict) else None


def _arch(values: Values, _files) -> str:
    arch = values.get("arch")
    if is_arch(arch):
        return arch
    if is_timm(arch):
        with blamed("body.arch"):
            get_arch(arch)
    raise SpecError("body.arch", f"There is no body {_short(arch)}: choose one from the list.")


def _weights(values: Values, is_allowed_file) -> str:
    kind = word("body.weights", "Weights", WEIGHTS, values.get("weights"))
    if kind != "file":
        return kind
    path = values.get("file")
    if not path:
        raise SpecError("body.weights", "Choose a weights file (.pth or .safetensors), or ImageNet or random weights.")
    if not isinstance(path, str) or not is_allowed_file(path):
        raise SpecError("body.weights", "Only a file given in this page can be opened: choose it once more.")
    return path


def _size(values: Values, _files) -> int | tuple[int, ...]:
    """The slider's side; with a width beside it a height and a width, and where that field holds both, those."""
    height = whole("body.size", "The image size", values.get("size"))
    text = values.get("width")
    text = "" if text is None else str(text).strip()
    if not text:
        return _within_reach("body.size", "The image size", height)
    typed = _typed_sides(text)
    size = (height, *typed) if len(typed) == 1 else typed
    try:
        check_size("body.size", size, LARGEST_SIDE)
    except SpecError as error:
        slider = len(typed) == 1 and error.field == "body.size.height"
        raise SpecError("body.size" if slider else "width", str(error)) from error
    return size


def _typed_sides(text: str) -> tuple[int, ...]:
    """ "131" is a width, "97×131" and "97x131" are height and width."""
    try:
        return tuple(whole("width", "A side", part.strip()) for part in re.split("[x×]", text))
    except SpecError as error:
        said = f"The width must be a whole number, or height×width such as 97×131, not {_short(text)}."
        raise SpecError("width", said) from error


def _cut(values: Values, _files) -> int | str | None:
    """The stepper's place; None (the architecture's own) where this body has no such place, and where nobody chose
    one: the stepper still stands at the own cut of the body that it was drawn for.
    """
    arch, cut = values.get("arch"), _part(values, "cut", "value")
    if not is_arch(arch) or cut in (None, _part(values, "cut", "own")):
        return None
    try:
        place = resolve_cut(arch, cut)
    except ValueError:
        return None
    return None if place.name == resolve_cut(arch).name else place.name


def dropped_cut(values: Values) -> str:
    """The cut that somebody chose in another body and that this one has not; "" where there is none."""
    arch, cut = values.get("arch"), _part(values, "cut", "value")
    if not is_arch(arch) or not isinstance(cut, str) or cut in ("", _part(values, "cut", "own")):
        return ""
    try:
        resolve_cut(arch, cut)
    except ValueError:
        return cut[:LONGEST_NAME]
    return ""


def _widths(values: Values, _files) -> tuple[int, ...] | None:
    widths = _part(values, "chips", "widths")
    problem = _part(values, "chips", "problem")
    if problem:
        raise SpecError("head.lin_ftrs", str(problem)[:200])
    if not isinstance(widths, list):
        raise SpecError("head.lin_ftrs", "Head layers are a list of widths such as 512, 256.")
    read = tuple(whole("head.lin_ftrs", "The width of a head layer", width) for width in widths)
    return None if read == (512,) else read


def _dropout(values: Values, _files) -> float | tuple[float, ...]:
    each = str(values.get("ps_each") or "").strip()
    if not each:
        return number("head.ps", "Dropout", values.get("ps"))
    drops = tuple(number("head.ps", "Dropout", part.strip()) for part in each.rstrip(",").split(","))
    return drops if "," in each else drops[0]


def _flag(name: str) -> Callable[[Values, object], bool]:
    return lambda values, _files: bool(values.get(name))


def _y_range(values: Values, _files) -> tuple[float, float] | None:
    text = str(values.get("y_range") or "").strip()
    if not text:
        return None
    ends = tuple(number("head.y_range", "An end of y_range", part.strip()) for part in text.split(","))
    if len(ends) != 2:
        raise SpecError("head.y_range", "y_range is two numbers, the low end and the high one, such as 0, 5.5.")
    return ends


BUILD_FIELDS: dict[str, Callable[[Values, Callable[[str], bool]], object]] = {
    "body.arch": _arch,
    "body.weights": _weights,
    "body.cut": _cut,
    "body.size": _size,
    "body.n_in": lambda v, _: _within_reach("body.n_in", "The number of input channels", v.get("n_in")),
    "head.pool": lambda v, _: word("head.pool", "Pooling", POOLS, v.get("pool")),
    "head.lin_ftrs": _widths,
    "head.ps": _dropout,
    "head.first_bn": _flag("first_bn"),
    "head.bn_final": _flag("bn_final"),
    "head.lin_first": _flag("lin_first"),
    "head.y_range": _y_range,
    "n_out": lambda v, _: whole("n_out", "The number of outputs", _part(v, "chips", "outputs")),
}


def _data(values: Values) -> str:
    name = values.get("data")
    if not isinstance(name, str) or not name:
        raise SpecError("data", "Choose what to train on.")
    if name == BROUGHT:
        chosen = _part(values, "upload", "set")
        if not is_id(chosen):
            raise SpecError("data", "Bring pictures first: drop them on the field below.")
        return f"{name}{chosen}"
    path = str(values.get("path") or "").strip()
    if name.endswith(":") and not path:
        raise SpecError("data", "Say where the pictures are: the path of a folder on this machine.")
    return name + path if name.endswith(":") else name


def _group_rows(values: Values) -> list[dict]:
    rows = _part(values, "groups", "rows")
    if not isinstance(rows, list) or not 0 < len(rows) <= MOST_GROUPS or not all(isinstance(r, dict) for r in rows):
        raise SpecError("lrs", "Parameter groups need a rate and a lock each.")
    return rows


def _rate(values: Values) -> float:
    return number("lr", "The rate", values.get("rate"))


def _rates(values: Values) -> tuple[float, ...] | None:
    """One rate a group; None where they are the usual ones, a hundredth of the head's and rising evenly."""
    problem = _part(values, "groups", "problem")
    if problem:
        raise SpecError("lrs", str(problem)[:200])
    rates = tuple(number("lrs", "The rate of a group", row.get("rate")) for row in _group_rows(values))
    try:
        head = TrainSpec(lr=_rate(values), schedule=TRAIN_FIELDS["schedule"](values))
    except SpecError:
        return rates
    usual = usual_rates(head.schedule, head.lr, len(rates))
    return None if all(abs(a - b) <= 1e-6 * b for a, b in zip(rates, usual, strict=True)) else rates


def _frozen(values: Values) -> bool | int:
    """How many groups, from the input on, are locked; True for all but the last. Fine-tune has locks of its own."""
    if values.get("schedule") == "Fine-tune":
        return True
    locks = [bool(row.get("frozen")) for row in _group_rows(values)]
    count = locks.index(False) if False in locks else len(locks)
    return True if count == len(locks) - 1 and count > 0 else count


TRAIN_FIELDS: dict[str, Callable[[Values], object]] = {
    "data": _data,
    "data_size": lambda v: word("data_size", "The size of the set", SIZES, v.get("data_size")),
    "difficulty": lambda v: number("difficulty", "Difficulty", v.get("difficulty")),
    "epochs": lambda v: whole("epochs", "The number of epochs", v.get("epochs")),
    "lr": _rate,
    "lrs": _rates,
    "batch_size": lambda v: whole("batch_size", "The batch size", v.get("batch_size")),
    "frozen": _frozen,
    "train_bn": lambda v: bool(v.get("train_bn")),
    "schedule": lambda v: word("schedule", "The schedule", SCHEDULES, v.get("schedule")),
    "wd": lambda v: number("wd", "Weight decay", v.get("wd")),
    "augment": lambda v: word("augment", "Augmentation", AUGMENTATIONS, v.get("augment")),
    "seed": lambda v: whole("seed", "The seed", v.get("seed")),
    "freeze_epochs": lambda v: whole("freeze_epochs", "The number of frozen epochs", v.get("freeze_epochs")),
    "valid_pct": lambda v: number("valid_pct", "The share held back for validation", v.get("valid_pct")),
}


def usual_rates(schedule: str, lr: float, groups: int) -> tuple[float, ...]:
    """The rates of the groups where none are chosen: all the same when flat, else rising to the head's.

    They are what `train.schedule.phases` trains with; the second phase of fine_tune halves them.
    """
    return group_rates(lr if schedule == "flat" else slice(lr / 100, lr), groups)


# ---- and back -------------------------------------------------------------------------------------------------------


def within_reach(spec, reach: Mapping[str, tuple[float, float]]):
    """A spec with values that the sliders can show, and a sentence for each that had to be brought nearer."""
    said = []
    for place, (low, high) in reach.items():
        value = link.get(spec, place)
        if not isinstance(value, tuple) and not low <= value <= high:
            nearer = min(max(value, low), high)
            spec = link.put(spec, place, nearer)
            said.append(f"{place.rpartition('.')[2]} {value:g} is beyond this page's reach: {nearer:g} is used.")
    return spec, tuple(said)


def show(spec: ClassifierSpec, train: TrainSpec) -> dict[str, object]:
    """What each control should hold for these specs; `cut` and `groups` follow from the picture and are not here."""
    head = spec.head
    each = isinstance(head.ps, tuple)
    return {
        **show_body(spec.body),
        "pool": name_of(POOLS, head.pool),
        "ps": min(max(head.ps) if each else head.ps, BUILD_REACH["head.ps"][1]),
        "ps_each": ", ".join(f"{p:g}" for p in head.ps) if each else "",
        "first_bn": head.first_bn,
        "bn_final": head.bn_final,
        "lin_first": head.lin_first,
        "y_range": "" if head.y_range is None else f"{head.y_range[0]:g}, {head.y_range[1]:g}",
        **show_train(train),
    }


def show_body(body: BodySpec) -> dict[str, object]:
    """What the controls of a body should hold, but for its cut."""
    names = {value: name for name, value in WEIGHTS.items()}
    return {
        "arch": body.arch,
        "weights": names.get(body.weights or "random", "File"),
        "size": _height_shown(body),
        "width": _width_text(body),
        "n_in": body.n_in,
    }


def show_train(train: TrainSpec) -> dict[str, object]:
    """What the controls of the training panel should hold, but for the groups."""
    return {
        "data": train.data,
        "data_size": name_of(SIZES, train.data_size),
        "difficulty": train.difficulty,
        "epochs": train.epochs,
        "rate": words(train.lr),
        "batch_size": train.batch_size,
        "train_bn": train.train_bn,
        "schedule": name_of(SCHEDULES, train.schedule),
        "wd": f"{train.wd:g}",
        "augment": name_of(AUGMENTATIONS, train.augment),
        "seed": train.seed,
        "freeze_epochs": train.freeze_epochs,
        "valid_pct": train.valid_pct,
    }


def _height_shown(body: BodySpec) -> int:
    """The height, or what the slider can show that is nearest to it."""
    low, high = BUILD_REACH["body.size"]
    return min(max(body.height_width[0], low), high)


def _width_text(body: BodySpec) -> str:
    """ "" for a square, else the width; height and width where the slider cannot show the height."""
    height, width = body.height_width
    if height != _height_shown(body):
        return f"{height}×{width}"
    return "" if width == height else str(width)


def name_of(words: Mapping[str, object], value: object) -> str:
    return next(name for name, meaning in words.items() if meaning == value)


def cut_steps(spec: ClassifierSpec | UnetSpec) -> dict[str, object]:
    """What the cut's stepper shows: every legal cut, and which one stands."""
    arch = spec.body.arch
    return {
        "value": resolve_cut(arch, spec.body.cut).name,
        "own": resolve_cut(arch).name,
        "values": [{"id": place.name, "label": cut_label(place)} for place in legal_cuts(arch)],
    }


def cut_label(place: Cut) -> str:
    """Where a cut lies, "−2 · after layer4" at a boundary of the network's children, "after layer3.2" inside one."""
    return f"after {place.name}" if place.from_end is None else f"−{-place.from_end} · after {place.name}"


def upload_folder_only(folders: tuple[Path, ...]) -> Callable[[str], bool]:
    """A test for paths: only regular files below one of these folders may be opened."""
    roots = tuple(folder.resolve() for folder in folders)

    def allowed(path: str) -> bool:
        try:
            real = Path(path).resolve(strict=True)
        except (OSError, ValueError):
            return False
        return real.is_file() and any(real.is_relative_to(root) for root in roots)

    return allowed
