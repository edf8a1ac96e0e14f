"""The U-Net page's Data tab: what a batch looks like, and how many classes the chosen set has."""

from __future__ import annotations

from explorer.data.dataset import DataError
from explorer.data.dense import DenseSet, dense_sheet, list_dense, offered_remap
from explorer.data.registry import is_here
from explorer.spec import SEGMENTATION
from explorer.ui.read import Reading
from explorer.ui.services import Services

PICTURES = 12


def payload(reading: Reading, services: Services, seed: int = 0) -> dict[str, object]:
    """What the contact sheet draws: pictures, beside them what is wanted, classes with their colours, notes; or a
    sentence why there are none."""
    train = reading.train
    if "data" in reading.problems:
        return _nothing("", reading.problems["data"])
    choice = find_dense(reading)
    if choice and choice.download and not is_here(train.data):
        text = f"Pictures come when {choice.label} has been fetched ({choice.download}): Train fetches it."
        return _nothing(choice.label, text)
    try:
        dataset = _load(reading, services)
        items = dense_sheet(dataset, PICTURES, augment=train.augment, seed=seed)
    except DataError as error:
        return _nothing("", str(error), offered(reading))
    return {
        "title": f"{dataset.name}: a batch, {'augmented' if train.augment != 'none' else 'as it is'}",
        "items": [list(item) for item in items],
        "classes": [],
        "palette": [list(pair) for pair in zip(dataset.classes, dataset.colours, strict=True)],
        "notes": list(dataset.notes),
        "seed": seed,
    }


def count_classes(reading: Reading, services: Services) -> tuple[int | None, str]:
    """How many classes the masks have, None where that is not known yet; and one sentence if the set is of no use."""
    if "data" in reading.problems:
        return None, reading.problems["data"]
    choice = find_dense(reading)
    if choice and (choice.classes or reading.spec.task != SEGMENTATION):
        return choice.classes, ""
    if choice and choice.download and not is_here(reading.train.data):
        return None, ""
    try:
        return len(_load(reading, services).classes), ""
    except DataError as error:
        return None, str(error)


def find_dense(reading: Reading):
    """The entry of the chosen set among those of the task."""
    name = reading.train.data
    kind = name.partition(":")[0] + ":" if ":" in name else name
    return next((choice for choice in list_dense(reading.spec.task) if choice.name == kind), None)


def offered(reading: Reading) -> str:
    """How the values of the masks could be read, where they are no class numbers: "0:0,255:1"; "" for no idea."""
    try:
        return offered_remap(reading.train.data) if reading.spec.task == SEGMENTATION else ""
    except DataError:
        return ""


def _nothing(title: str, text: str, offer: str = "") -> dict[str, object]:
    act = {"label": f"Read the masks as {offer}"} if offer else None
    return {"title": title, "items": [], "classes": [], "notes": [text], "act": act}


def _load(reading: Reading, services: Services) -> DenseSet:
    body, train = reading.spec.body, reading.train
    return services.load_dense(
        train.data,
        task=reading.spec.task,
        size=body.size,
        n_in=body.n_in,
        data_size=train.data_size,
        difficulty=train.difficulty,
        valid_pct=train.valid_pct,
        seed=train.seed,
    )
