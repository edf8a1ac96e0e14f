"""What the controls of the U-Net page hold, as specs; and specs, as what the controls should hold: as `ui.read`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from explorer import link
from explorer.models.build import pyramid_of
from explorer.spec import (
    ACTIVATIONS,
    COLOUR,
    DECODERS,
    KERNELS,
    LOSSES,
    NORMS,
    SEGMENTATION,
    STYLE,
    STYLE_IMAGE,
    SUPER_RESOLUTION,
    BodySpec,
    SpecError,
    TrainSpec,
    UnetSpec,
)
from explorer.ui.read import (
    BUILD_FIELDS,
    TRAIN_FIELDS,
    Reading,
    Values,
    name_of,
    number,
    show_body,
    show_train,
    whole,
    word,
)

TASKS = {
    "Segment": SEGMENTATION,
    "Sharpen": SUPER_RESOLUTION,
    "Colour": COLOUR,
    "Style": STYLE,
    "Style of one picture": STYLE_IMAGE,
}
KINDS = dict(zip(("U-Net", "Nearest", "Transposed"), DECODERS, strict=True))
CAPS = {"none": None, "512": 512, "256": 256, "128": 128, "64": 64}
NORM_WORDS = {norm or "none": norm for norm in NORMS}
LOSS_WORDS = dict(zip(("The task's own", "L1", "Features"), LOSSES, strict=True))
PRECISION_WORDS = {"Auto": "auto", "float32": "float32", "bfloat16": "bf16"}
SWITCHES = ("blur", "blur_final", "self_attention", "last_cross", "bottle")
MOST_SKIPS = 16
COLOURS = 3

BUILD_MARKS = ("body.", "width", "decoder.", "n_out", "task")
"""How the names of fields begin that the model is made of."""


def read_unet(values: Values, is_allowed_file: Callable[[str], bool]) -> Reading:
    """Specs from control values by name; `is_allowed_file` says which files of this machine may be opened."""
    spec, train, problems = UnetSpec(), TrainSpec(), {}
    for place, parse in UNET_FIELDS.items():
        try:
            spec = link.put(spec, place, parse(values, is_allowed_file))
        except SpecError as error:
            problems[error.field if place == "body.size" else place] = str(error)
    try:
        spec = link.put(spec, "decoder.skips", _skips(values, spec))
    except SpecError as error:
        problems["decoder.skips"] = str(error)
    of_pictures = {**PICTURE_FIELDS, "style": lambda v: _style(v, is_allowed_file)}
    for place, parse in {**TRAIN_FIELDS, **of_pictures}.items():
        try:
            train = link.put(train, place, parse(values))
        except SpecError as error:
            problems[place] = str(error)
    return Reading(spec, train, problems, BUILD_MARKS)


def show_unet(spec: UnetSpec, train: TrainSpec) -> dict[str, object]:
    """What each control should hold for these specs; `cut` and `groups` follow from the picture and are not here."""
    decoder = spec.decoder
    return {
        **show_body(spec.body),
        "task": name_of(TASKS, spec.task),
        "decoder": name_of(KINDS, decoder.kind),
        "off": skips_off(spec),
        "width_cap": "none" if decoder.width_cap is None else str(decoder.width_cap),
        **{name: getattr(decoder, name) for name in SWITCHES},
        "norm": decoder.norm_type or "none",
        "act": decoder.act,
        "kernel": str(decoder.kernel),
        "y_range": "" if decoder.y_range is None else "{:g}, {:g}".format(*decoder.y_range),
        "n_out": spec.n_out,
        **show_train(train),
        "loss": name_of(LOSS_WORDS, train.loss),
        "style": train.style,
        "precision": name_of(PRECISION_WORDS, train.precision),
    }


def skips_off(spec: UnetSpec) -> list[int]:
    """The numbers of those skips that are switched off, 0 the deepest; none where the body does not run."""
    if spec.decoder.skips is None:
        return []
    return [skip for skip in range(count_skips(spec.body)) if skip not in spec.decoder.skips]


def count_skips(body: BodySpec) -> int:
    """How many skips the body can give; 0 where it does not run at its size."""
    try:
        return len(pyramid_of(body).taps)
    except SpecError:
        return 0


def _skips(values: Values, spec: UnetSpec) -> tuple[int, ...] | None:
    """Those that are on; numbers beyond this body's are left alone, for they may come back with another body."""
    off = values.get("off")
    if not off:
        return None
    if not isinstance(off, list) or len(off) > MOST_SKIPS or not all(type(skip) is int for skip in off):
        raise SpecError("decoder.skips", "Skips are switched by their numbers, 0 the deepest.")
    count = count_skips(spec.body)
    on = tuple(skip for skip in range(count) if skip not in off)
    return None if len(on) == count else on


def _n_out(values: Values, _files) -> int:
    """Channels of the output: one a class; a picture has three."""
    if values.get("task") in tuple(TASKS) and TASKS[values["task"]] != SEGMENTATION:
        return COLOURS
    return whole("n_out", "The number of classes", values.get("n_out"))


def _width_cap(values: Values, _files) -> int | None:
    text = str(values.get("width_cap") or "none").strip()
    return None if text == "none" else whole("decoder.width_cap", "The width cap", text)


def _y_range(values: Values, _files) -> tuple[float, float] | None:
    text = str(values.get("y_range") or "").strip()
    if not text:
        return None
    ends = tuple(number("decoder.y_range", "An end of y_range", part.strip()) for part in text.split(","))
    if len(ends) != 2:
        raise SpecError("decoder.y_range", "y_range is two numbers, the low end and the high one, such as 0, 1.")
    return ends


def _flag(name: str) -> Callable[[Values, object], bool]:
    return lambda values, _files: bool(values.get(name))


def _style(values: Values, is_allowed_file: Callable[[str], bool]) -> str:
    """The picture that was given here, else the chosen drawn one."""
    given = values.get("style_file")
    if given:
        if not isinstance(given, str) or not is_allowed_file(given):
            raise SpecError("style", "Only a picture given in this page can be opened: choose it once more.")
        return given
    name = values.get("style")
    if not isinstance(name, str) or not name or any(mark in name for mark in link.PATH_MARKS):
        raise SpecError("style", "Choose a style from the list, or give a picture of your own.")
    return name


UNET_FIELDS: Mapping[str, Callable[[Values, Callable[[str], bool]], object]] = {
    **{place: parse for place, parse in BUILD_FIELDS.items() if place.startswith("body.")},
    "decoder.kind": lambda v, _: word("decoder.kind", "The decoder", KINDS, v.get("decoder")),
    "decoder.width_cap": _width_cap,
    **{f"decoder.{name}": _flag(name) for name in SWITCHES},
    "decoder.norm_type": lambda v, _: word("decoder.norm_type", "The norm", NORM_WORDS, v.get("norm")),
    "decoder.act": lambda v, _: word("decoder.act", "The activation", {a: a for a in ACTIVATIONS}, v.get("act")),
    "decoder.kernel": lambda v, _: word("decoder.kernel", "The kernel", {str(k): k for k in KERNELS}, v.get("kernel")),
    "decoder.y_range": _y_range,
    "n_out": _n_out,
    "task": lambda v, _: word("task", "The task", TASKS, v.get("task")),
}
PICTURE_FIELDS: Mapping[str, Callable[[Values], object]] = {
    "precision": lambda v: word("precision", "The precision", PRECISION_WORDS, v.get("precision")),
    "loss": lambda v: word("loss", "The loss", LOSS_WORDS, v.get("loss")),
}
