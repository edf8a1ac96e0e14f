"""What a training run tells, one frozen dataclass an event; no torch.

The order is (Progress | Note)* Started ValidSample Activations? (Step* EpochDone Predictions Activations?)* Note*
Finished; the last notes say what came of the run, and a Note may stand where Activations could not be had. A run may
break off anywhere: then exactly one Stopped or Failed takes the place of all that would follow.

After an epoch a run may pause, (Paused Resumed)?; the steps go on where they ended.

Where the answers are masks or pictures: … Started PictureSample Outputs Activations? (Step* EpochDone Activations?
Outputs?)* …
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import get_args


@dataclass(frozen=True)
class Note:
    """Something the person should know that does not stop the run: which weights are really in use, say.

    kind  "info", "offline" (weights that could not be fetched), "warn"
    """

    text: str
    kind: str = "info"


@dataclass(frozen=True)
class Progress:
    """How far a preparation is: "Fetching resnet34", 54e6 of 87e6 bytes. `total` is 0 where it is not known."""

    what: str
    done: int
    total: int
    unit: str = "bytes"


@dataclass(frozen=True)
class Started:
    """The run begins: sizes of the sets, steps in one epoch and in all, where it runs, what learns."""

    epochs: int
    steps_per_epoch: int
    steps: int
    n_train: int
    n_valid: int
    classes: tuple[str, ...]
    device: str
    params: int
    trainable: int
    weights: str


@dataclass(frozen=True)
class ValidSample:
    """A fixed handful of validation pictures (JPEG data URIs) with their true labels, to watch guesses change."""

    images: tuple[str, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """After one batch: the step counted from 1, its loss, the head's rate, and the smoothed loss (facts G.6)."""

    step: int
    loss: float
    lr: float
    smooth: float = 0.0


@dataclass(frozen=True)
class EpochDone:
    """After one pass and its validation; epochs count from 1, `metrics` are (name, value) pairs."""

    epoch: int
    train_loss: float
    valid_loss: float
    metrics: tuple[tuple[str, float], ...]
    seconds: float


@dataclass(frozen=True)
class Predictions:
    """After an epoch: classes and confidences for the sample, and the whole set's confusion (a row a true class)."""

    epoch: int
    guesses: tuple[int, ...]
    confidences: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Activations:
    """What some valid pictures become inside the network after an epoch (0: before the first): about 12 kB.

    The pictures are the first of `ValidSample`. One entry a layer, in the order of the run:

    quals                names as in a trace
    means, stds          over all finite values; None where there is none
    dead                 share of channels that say nothing about these pictures, 0 to 1
    lows, highs, histograms   the ends, and thousandths of all values in equal steps between them

    One entry a layer of which maps are kept, of the first picture alone:

    map_quals, map_channels   the layer, and the numbers of its channels: the same in every epoch
    map_shapes, map_pixels    (channels, height, width), and uint8 row by row in base64
    """

    epoch: int
    quals: tuple[str, ...]
    means: tuple[float | None, ...]
    stds: tuple[float | None, ...]
    dead: tuple[float, ...]
    lows: tuple[float | None, ...] = ()
    highs: tuple[float | None, ...] = ()
    histograms: tuple[tuple[int, ...], ...] = ()
    map_quals: tuple[str, ...] = ()
    map_channels: tuple[tuple[int, ...], ...] = ()
    map_shapes: tuple[tuple[int, int, int], ...] = ()
    map_pixels: tuple[str, ...] = ()


@dataclass(frozen=True)
class PictureSample:
    """Up to four fixed valid pictures of a task whose answer is a mask or a picture; all pictures are data URIs.

    task      "segmentation", "super_resolution", "colour", "style", "style_image"
    inputs    what the network gets
    targets   what it should give: a mask painted in `colours`, void transparent, or a picture; () for styles
    classes, colours   names, and "#rrggbb" of each, of a segmentation
    baseline  what one has without a network, "bicubic" or "grey"; "" where there is nothing
    baselines, baseline_each   its pictures (that of super-resolution is what the network gets), and their PSNR
    baseline_scores   (name, value) over the whole valid set, named as in `EpochDone.metrics`
    style     the picture whose style is wanted
    """

    task: str
    inputs: tuple[str, ...]
    targets: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()
    baseline: str = ""
    baselines: tuple[str, ...] = ()
    baseline_each: tuple[float, ...] = ()
    baseline_scores: tuple[tuple[str, float], ...] = ()
    style: str = ""


@dataclass(frozen=True)
class Outputs:
    """What the network makes of the `PictureSample` after an epoch (0: before the first), as data URIs.

    images      masks painted in the colours of the classes, or pictures
    scores      one for each: its share of right pixels, void left out, or its PSNR; () for styles
    per_class   intersection over union on the whole valid set, None for a class that is neither there nor guessed;
                () for pictures and at epoch 0
    void_share  of the valid set's pixels, 0 to 1, that no class is asked of
    """

    epoch: int
    images: tuple[str, ...]
    scores: tuple[float, ...] = ()
    per_class: tuple[float | None, ...] = ()
    void_share: float = 0.0


@dataclass(frozen=True)
class Paused:
    """It rests after a whole epoch, to go on later as if nothing had been; its process ends."""

    epoch: int


@dataclass(frozen=True)
class Resumed:
    """It goes on after that epoch, in another process."""

    epoch: int


@dataclass(frozen=True)
class Stopped:
    """It was stopped; weights of the last whole epoch are kept (0: none was finished).

    reason  one sentence where it was not the person who stopped it: a limit of the host
    """

    epoch: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Failed:
    """It could not go on: one sentence that says why, and how many whole epochs are kept."""

    reason: str
    epoch: int = 0


@dataclass(frozen=True)
class Finished:
    """All epochs are done; seconds of the whole run."""

    seconds: float = 0.0


Event = (
    Note
    | Progress
    | Started
    | ValidSample
    | Step
    | EpochDone
    | Predictions
    | Activations
    | PictureSample
    | Outputs
    | Paused
    | Resumed
    | Stopped
    | Failed
    | Finished
)
ENDINGS = (Finished, Stopped, Failed)
KINDS = {cls.__name__: cls for cls in get_args(Event)}


def to_dict(event: Event) -> dict:
    """A JSON-ready dictionary; `kind` names the class."""
    return {"event": type(event).__name__, **asdict(event)}


def from_dict(data: dict) -> Event:
    """The inverse of `to_dict`; raises KeyError for an unknown event."""
    values = {name: _tuples(value) for name, value in data.items() if name != "event"}
    return KINDS[data["event"]](**values)


def _tuples(value):
    return tuple(_tuples(v) for v in value) if isinstance(value, (list, tuple)) else value
