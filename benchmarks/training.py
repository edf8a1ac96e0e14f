"""Training against fastai: the first frozen epoch, and what real weights bring on real photographs.

`rows()` gives (what, ours, name of the peer, the peer's value, the limit as text); run as a script it prints them.
"""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import tempfile
import time
from pathlib import Path

from PIL import Image

from explorer.data.registry import load
from explorer.spec import BodySpec, ClassifierSpec, TrainSpec, UnetSpec
from explorer.train.events import EpochDone, Failed
from explorer.train.learner import fit

N_TRAIN, SIZE, BATCH = 400, 128, 32
RECIPE = {"epochs": 5, "batch_size": 16, "lr": 1e-3, "augment": "basic"}
ROOT_OF_DATA = Path(
    os.environ.get("EXPLORER_SHARED_DATA", Path(__file__).resolve().parent.parent.parent / "shared" / "data")
)

Row = tuple[str, float, str, float, str]


def rows(quick: bool = False) -> list[Row]:
    """All rows; `quick` measures once instead of three times."""
    return [*first_epoch(1 if quick else 3), *hymenoptera((0,) if quick else (0, 1, 2))]


def first_epoch(times: int) -> list[Row]:
    """Seconds from a folder of JPEGs to the end of one frozen epoch with its validation, resnet18 with random weights,
    batches of 32 without augmentation: loading, building and decoding are in it, on both sides."""
    with tempfile.TemporaryDirectory() as place:
        folder = draw(Path(place))
        ours, theirs, plain = [], [], []
        for _ in range(times):
            ours.append(seconds_ours(folder))
            theirs.append(seconds_fastai(folder, workers=None))
            plain.append(seconds_fastai(folder, workers=0))
    what, own = "first frozen epoch, 400 images at 128 px, resnet18, s", statistics.median(ours)
    return [
        (what, own, name, statistics.median(values), "<= 1x fastai")
        for name, values in (("fastai, its own workers", theirs), ("fastai, num_workers=0", plain))
    ]


def draw(folder: Path) -> Path:
    """The built-in set as JPEGs in train/valid folders: 400 to learn from, 100 to check on."""
    data = load("shapes", size=SIZE)
    for part, split in (("train", data.train), ("valid", data.valid)):
        for i, label in enumerate(split.labels.tolist()):
            path = folder / part / data.classes[label] / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(split.images([i])[0].permute(1, 2, 0).numpy()).save(path, quality=92)
    assert len(data.train) == N_TRAIN
    return folder


def seconds_ours(folder: Path) -> float:
    spec = ClassifierSpec(BodySpec("resnet18", weights="random", size=SIZE), n_out=10)
    start = time.perf_counter()
    last_accuracy(spec, TrainSpec(data=f"folder:{folder}", epochs=1, batch_size=BATCH, augment="none"))
    return time.perf_counter() - start


def seconds_fastai(folder: Path, workers: int | None) -> float:
    """fastai's own way to the same epoch; `workers` None leaves the number of loader processes to fastai."""
    from fastai.vision.all import ImageDataLoaders, Resize, accuracy, resnet18, vision_learner

    options = {} if workers is None else {"num_workers": workers}
    start = time.perf_counter()
    loaders = ImageDataLoaders.from_folder(
        folder, train="train", valid="valid", item_tfms=Resize(SIZE), bs=BATCH, **options
    )
    learner = vision_learner(loaders, resnet18, pretrained=False, metrics=accuracy)
    learner.freeze()
    with learner.no_bar(), contextlib.redirect_stdout(io.StringIO()):
        learner.fit_one_cycle(1, 1e-3)
    return time.perf_counter() - start


def hymenoptera(seeds: tuple[int, ...]) -> list[Row]:
    """Valid accuracy on ants and bees, mean over seeds: squeezenet1_1, head only, 160 px; no row without them."""
    folder = ROOT_OF_DATA / "hymenoptera_data"
    if not folder.is_dir():
        return []
    os.environ.setdefault("EXPLORER_WEIGHTS", str(ROOT_OF_DATA / "weights"))
    real, random = (
        100 * statistics.mean(ants_and_bees(folder, weights, seed) for seed in seeds)
        for weights in ("imagenet", "random")
    )
    what = "hymenoptera, squeezenet1_1, head only, 5 epochs"
    return [
        (f"{what}, ImageNet weights, % right", real, "linear probe", 94.8, ">= 90"),
        (f"{what}, random weights, % right", random, "linear probe, mean of two seeds", 58.4, "15 points below"),
    ]


def ants_and_bees(folder: Path, weights: str, seed: int, size: int = 160) -> float:
    """Share of valid photographs guessed right after the last epoch, 0 to 1."""
    spec = ClassifierSpec(BodySpec("squeezenet1_1", weights=weights, size=size), n_out=2)
    return last_accuracy(spec, TrainSpec(data=f"folder:{folder}", frozen=True, seed=seed, **RECIPE))


def last_accuracy(spec: ClassifierSpec, train_spec: TrainSpec) -> float:
    """Train on the CPU; the accuracy after the last epoch. Raises RuntimeError where the run failed."""
    return last_metrics(spec, train_spec)["accuracy"]


def last_metrics(spec: ClassifierSpec | UnetSpec, train_spec: TrainSpec) -> dict[str, float]:
    """Train on the CPU; the metrics after the last epoch. Raises RuntimeError where the run failed."""
    metrics: dict[str, float] = {}
    for event in fit(spec, train_spec, device="cpu"):
        if isinstance(event, EpochDone):
            metrics = dict(event.metrics)
        if isinstance(event, Failed):
            raise RuntimeError(event.reason)
    return metrics


if __name__ == "__main__":
    for row in rows():
        print(*row, sep=" | ")
