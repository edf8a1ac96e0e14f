"""What to build and how to train it: frozen, hashable values of the standard library alone.

A value that cannot be meant is refused when it is made, with a `SpecError` that names the field and says in one
sentence what was got and what would do. Whether a *model* can be built from a valid spec (does the architecture
exist, is the picture large enough) is known to `models.build` and `trace.tracer`, not here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields

POOLS = ("concat", "avg", "max", None)
SCHEDULES = ("one_cycle", "fine_tune", "flat")
DATA_SIZES = ("small", "medium", "large")
AUGMENTATIONS = ("none", "basic")
DECODERS = ("unet", "nearest", "transposed")
NORMS = (None, "batch", "instance", "weight", "spectral")
ACTIVATIONS = ("relu", "leaky_relu", "elu", "gelu", "silu", "mish")
KERNELS = (2, 3, 4)
SEGMENTATION, SUPER_RESOLUTION, COLOUR, STYLE, STYLE_IMAGE = (
    "segmentation", "super_resolution", "colour", "style", "style_image",
)  # fmt: skip
TASKS = (SEGMENTATION, SUPER_RESOLUTION, COLOUR, STYLE, STYLE_IMAGE)
LOSSES = ("own", "l1", "feature")
PRECISIONS = ("float32", "bf16", "auto")

EARLY, LATE, HEAD = "body-early", "body-late", "head"
"""The parameter groups of a classifier, from the input on."""


Size = int | tuple[int, int]
"""Of a picture, in pixels: the side of a square, or height and width."""

LARGEST_SIDE = 2048


class SpecError(ValueError):
    """A field that holds what cannot be meant; `field` is its dotted name ("head.ps"), the text one sentence."""

    def __init__(self, field: str, sentence: str):
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True)
class BodySpec:
    """A pretrained network up to its cut.

    arch     name of an architecture in `models.bodies.list_archs()`
    weights  "imagenet", "random" (or None), or the path of a weights file
    cut      None for the architecture's own cut, a count of children as fastai's (-2, 8), or a node's name ("layer3")
    size     of the input in pixels: the side of a square, or (height, width); equal sides are held as one number
    n_in     channels of the input
    """

    arch: str = "resnet34"
    weights: str | None = "imagenet"
    cut: int | str | None = None
    size: Size = 224
    n_in: int = 3

    def __post_init__(self):
        if not isinstance(self.arch, str) or not self.arch:
            raise SpecError("body.arch", f"The body must be the name of an architecture, not {self.arch!r}.")
        if not (self.weights is None or (isinstance(self.weights, str) and self.weights)):
            raise SpecError("body.weights", f'Weights are "imagenet", "random" or a file, not {self.weights!r}.')
        if isinstance(self.cut, bool) or not isinstance(self.cut, (int, str, type(None))):
            raise SpecError("body.cut", f"The cut is a number of children or the name of a layer, not {self.cut!r}.")
        _as_tuples(self, "size")
        check_size("body.size", self.size, LARGEST_SIDE)
        object.__setattr__(self, "size", _one_if_equal(self.size))
        check_whole("body.n_in", "The number of input channels", self.n_in, 1, 64)

    @property
    def height_width(self) -> tuple[int, int]:
        """Height and width of the input, in pixels."""
        return sides(self.size)


@dataclass(frozen=True)
class HeadSpec:
    """The arguments of `models.heads.create_head` that a person chooses (fastai facts B.1)."""

    pool: str | None = "concat"
    lin_ftrs: tuple[int, ...] | None = None
    ps: float | tuple[float, ...] = 0.5
    first_bn: bool = True
    bn_final: bool = False
    lin_first: bool = False
    y_range: tuple[float, float] | None = None

    def __post_init__(self):
        _as_tuples(self, "lin_ftrs", "ps", "y_range")
        if self.pool not in POOLS:
            raise SpecError("head.pool", f"Pooling is concat, avg, max or none, not {self.pool!r}.")
        if self.lin_ftrs is not None:
            if not isinstance(self.lin_ftrs, tuple):
                raise SpecError("head.lin_ftrs", f"Head layers are a list of widths, not {self.lin_ftrs!r}.")
            if len(self.lin_ftrs) > 8:
                raise SpecError("head.lin_ftrs", f"A head has at most 8 hidden layers, not {len(self.lin_ftrs)}.")
            for width in self.lin_ftrs:
                check_whole("head.lin_ftrs", "The width of a head layer", width, 1, 65536)
        for p in self.ps if isinstance(self.ps, tuple) else (self.ps,):
            check_real("head.ps", "Dropout", p)
            if not 0 <= p < 1:
                drops = "everything" if p >= 1 else "less than nothing"
                raise SpecError("head.ps", f"Dropout of {p:g} would drop {drops}: choose from 0 up to 0.95.")
        linears = len(self.widths) + 1
        if isinstance(self.ps, tuple) and len(self.ps) != linears:
            got = f"{len(self.ps)} dropout values for {linears} linear layers"
            raise SpecError("head.ps", f"{got}: give one each, or a single number.")
        for name in ("first_bn", "bn_final", "lin_first"):
            check_flag(f"head.{name}", name, getattr(self, name))
        if self.y_range is not None:
            _check_range("head.y_range", self.y_range)
        _as_floats(self, "ps", "y_range")

    @property
    def widths(self) -> tuple[int, ...]:
        """Hidden widths with the default filled in: one layer of 512."""
        return (512,) if self.lin_ftrs is None else self.lin_ftrs


@dataclass(frozen=True)
class ClassifierSpec:
    """A body, its cut and a head: the chapter's resnet34 with 37 outputs when nothing is given."""

    body: BodySpec = field(default_factory=BodySpec)
    head: HeadSpec = field(default_factory=HeadSpec)
    n_out: int = 37

    def __post_init__(self):
        check_whole("n_out", "The number of outputs", self.n_out, 1, 100_000)


@dataclass(frozen=True)
class DecoderSpec:
    """How a body's maps become an image again: the arguments of `models.decoders` that a person chooses.

    kind       "unet" (`DynamicUnet`), "nearest" (`NearestDecoder`) or "transposed" (`TransposedDecoder`)
    skips      None for all, else the numbers of those that are on, 0 the deepest; of a U-Net alone, like all up to act
    act        makes the activations of a U-Net
    kernel     of the transposed convolutions
    width_cap  most channels of the deepest block, each finer one at most half of that; None for the decoder's own rule
    y_range    outputs squeezed between two numbers
    """

    kind: str = "unet"
    skips: tuple[int, ...] | None = None
    blur: bool = False
    blur_final: bool = True
    self_attention: bool = False
    last_cross: bool = True
    bottle: bool = False
    norm_type: str | None = None
    act: str = "relu"
    kernel: int = 3
    width_cap: int | None = None
    y_range: tuple[float, float] | None = None

    def __post_init__(self):
        _as_tuples(self, "skips", "y_range")
        check_choice("decoder.kind", "The decoder", self.kind, DECODERS)
        check_choice("decoder.norm_type", "The decoder's norm", self.norm_type, NORMS)
        check_choice("decoder.act", "The decoder's activation", self.act, ACTIVATIONS)
        check_choice("decoder.kernel", "The kernel of a transposed convolution that doubles", self.kernel, KERNELS)
        for name in ("blur", "blur_final", "self_attention", "last_cross", "bottle"):
            check_flag(f"decoder.{name}", name, getattr(self, name))
        if self.skips is not None:
            if not isinstance(self.skips, tuple):
                raise SpecError("decoder.skips", f"Skips are a list of numbers, 0 the deepest, not {self.skips!r}.")
            for skip in self.skips:
                check_whole("decoder.skips", "The number of a skip", skip, 0, 15)
            object.__setattr__(self, "skips", tuple(sorted(set(self.skips))))
        if self.width_cap is not None:
            check_whole("decoder.width_cap", "The width cap", self.width_cap, 1, 65536)
        if self.y_range is not None:
            _check_range("decoder.y_range", self.y_range)
        _as_floats(self, "y_range")


@dataclass(frozen=True)
class UnetSpec:
    """A body and a decoder: an image in, an image out; the chapter's resnet34 U-Net with CamVid's 32 classes.

    n_out  channels of the output: scores of classes, or 3 colours
    task   what the output is meant to be: "segmentation" (a class for each pixel), "super_resolution" and "colour" (the
           same picture, sharp or in colours), "style" (the picture in another one's style), or "style_image": no
           network learns, one picture's pixels do
    """

    body: BodySpec = field(default_factory=BodySpec)
    decoder: DecoderSpec = field(default_factory=DecoderSpec)
    n_out: int = 32
    task: str = SEGMENTATION

    def __post_init__(self):
        check_whole("n_out", "The number of outputs", self.n_out, 1, 1000)
        check_choice("task", "The task", self.task, TASKS)
        if self.task != SEGMENTATION and self.n_out != 3:
            raise SpecError("n_out", f"A picture has 3 channels, so this task needs 3 outputs, not {self.n_out}.")


@dataclass(frozen=True)
class TrainSpec:
    """How a spec is trained, and on what.

    data         a name of `data.registry` ("shapes"), or "folder:PATH" or "pattern:PATH" (label in the file name), or
                 "upload:ID" of pictures that somebody brought (`data.uploads`);
                 for tasks with pictures as answers a name of `data.dense` ("shapes", "masks:PATH", "pictures:PATH")
    data_size    how much of the drawn set: small, medium or large
    difficulty   of the drawn set, 0 (plain) to 1 (cluttered)
    valid_pct    share held back for validation where the data brings no split of its own
    lr           the head's rate; `lrs` gives one for each group instead, lowest first
    frozen       how many groups, from the input on, do not learn; True is all but the last (fastai's freeze)
    schedule     one_cycle, fine_tune (a frozen phase, then all of it) or flat
    loss         of tasks whose answer is a picture: "l1", "feature" (L1 and distances between a body's maps), "own" is
                 the task's usual one
    style        of style tasks: a name of `data.styles`, or the path of a picture
    precision    of products: "float32", "bf16" (bfloat16; weights and loss stay float32), "auto" the faster one here
    """

    data: str = "shapes"
    data_size: str = "small"
    difficulty: float = 0.3
    valid_pct: float = 0.2
    epochs: int = 5
    lr: float = 1e-3
    lrs: tuple[float, ...] | None = None
    batch_size: int = 32
    frozen: bool | int = True
    train_bn: bool = True
    schedule: str = "one_cycle"
    freeze_epochs: int = 1
    wd: float = 0.01
    augment: str = "basic"
    seed: int = 0
    loss: str = "own"
    style: str = "waves"
    precision: str = "float32"

    def __post_init__(self):
        _as_tuples(self, "lrs")
        if not isinstance(self.data, str) or not self.data:
            raise SpecError("data", f"Data is the name of a set or a folder, not {self.data!r}.")
        check_choice("data_size", "The size of the set", self.data_size, DATA_SIZES)
        check_choice("schedule", "The schedule", self.schedule, SCHEDULES)
        check_choice("augment", "Augmentation", self.augment, AUGMENTATIONS)
        check_choice("loss", "The loss", self.loss, LOSSES)
        check_choice("precision", "The precision", self.precision, PRECISIONS)
        if not isinstance(self.style, str) or not self.style:
            raise SpecError("style", f"A style is the name of a picture or its path, not {self.style!r}.")
        check_between("difficulty", "Difficulty", self.difficulty, 0, 1)
        check_between("valid_pct", "The share held back for validation", self.valid_pct, 0.01, 0.9)
        check_whole("epochs", "The number of epochs", self.epochs, 1, 1000)
        check_whole("freeze_epochs", "The number of frozen epochs", self.freeze_epochs, 0, 1000)
        check_whole("batch_size", "The batch size", self.batch_size, 1, 4096)
        check_whole("seed", "The seed", self.seed, 0, 2**31 - 1)
        check_between("lr", "The learning rate", self.lr, 1e-9, 10)
        check_between("wd", "Weight decay", self.wd, 0, 1)
        check_flag("train_bn", "train_bn", self.train_bn)
        if not isinstance(self.frozen, bool):
            check_whole("frozen", "The number of frozen groups", self.frozen, 0, 1000)
        for rate in self.lrs or ():
            check_between("lrs", "The learning rate of a group", rate, 0, 10)


def check_whole(field: str, what: str, value, low: int, high: int) -> None:
    """Refuse what is not a whole number from low to high."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise SpecError(field, f"{what} must be a whole number, not {value!r}.")
    if not low <= value <= high:
        raise SpecError(field, f"{what} must lie between {low:,} and {high:,}, not {value:,}.")


def check_size(field: str, size, most: int) -> None:
    """Refuse what is neither the side of a square nor a height and a width, each from 1 to `most` pixels.

    The error names the side that is wrong: "body.size.height", and the size itself where that is no pair.
    """
    if isinstance(size, tuple):
        if len(size) != 2:
            raise SpecError(field, f"The image size is one side, or a height and a width, not {size!r}.")
        for name, side in zip(("height", "width"), size, strict=True):
            check_whole(f"{field}.{name}", f"The image {name}", side, 1, most)
    else:
        check_whole(field, "The image size", size, 1, most)


def sides(size: Size) -> tuple[int, int]:
    """Height and width of a size: (224, 224) of 224."""
    return size if isinstance(size, tuple) else (size, size)


def size_text(size: Size) -> str:
    """A size for people, without its unit: "224", "97×131" (height × width)."""
    return "×".join(map(str, size)) if isinstance(size, tuple) else str(size)


def check_real(field: str, what: str, value) -> None:
    """Refuse what is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise SpecError(field, f"{what} must be a number, not {value!r}.")


def check_between(field: str, what: str, value, low: float, high: float) -> None:
    """Refuse what is not a number from low to high."""
    check_real(field, what, value)
    if not low <= value <= high:
        raise SpecError(field, f"{what} must lie between {low:g} and {high:g}, not {value:g}.")


def check_choice(field: str, what: str, value, allowed: tuple) -> None:
    """Refuse what is not one of the allowed words."""
    if value not in allowed:
        raise SpecError(field, f"{what} is one of {', '.join(map(str, allowed))}, not {value!r}.")


def check_flag(field: str, what: str, value) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise SpecError(field, f"{what} is on or off, not {value!r}.")


def _check_range(field: str, y_range) -> None:
    if not isinstance(y_range, tuple) or len(y_range) != 2:
        raise SpecError(field, f"y_range is a low and a high number, not {y_range!r}.")
    for end in y_range:
        check_real(field, "An end of y_range", end)
    if y_range[0] >= y_range[1]:
        raise SpecError(field, f"y_range must rise, not go from {y_range[0]:g} to {y_range[1]:g}.")


def _as_tuples(spec, *names: str) -> None:
    """Lists become tuples of one's own: hashable, and the caller's list is left alone."""
    for name in names:
        value = getattr(spec, name)
        if isinstance(value, list):
            object.__setattr__(spec, name, tuple(value))


def _one_if_equal(size: Size) -> Size:
    return size[0] if isinstance(size, tuple) and size[0] == size[1] else size


def _as_floats(spec, *names: str) -> None:
    """Numbers become floats, so that equal specs are also written alike: ps=0 is 0.0, y_range=(0, 5) is (0.0, 5.0)."""
    for name in names:
        value = getattr(spec, name)
        if value is not None:
            floats = tuple(map(float, value)) if isinstance(value, tuple) else float(value)
            object.__setattr__(spec, name, floats)


def count_frozen(frozen: bool | int, n_groups: int) -> int:
    """How many of a model's groups `frozen` means: True is all but the last, False none, a number itself.

    What is too many is the caller's to say.
    """
    if isinstance(frozen, bool):
        return max(0, n_groups - 1) if frozen else 0
    return frozen


def field_names(spec) -> tuple[str, ...]:
    """Dotted names of all plain fields of a spec: ("body.arch", …, "n_out")."""
    names: list[str] = []
    for f in fields(spec):
        value = getattr(spec, f.name)
        if hasattr(value, "__dataclass_fields__"):
            names += [f"{f.name}.{inner}" for inner in field_names(value)]
        else:
            names.append(f.name)
    return tuple(names)
