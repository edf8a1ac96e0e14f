"""The Data tab: what a batch looks like after augmentation, how many pictures each class has, and how many classes."""

from __future__ import annotations

from collections import Counter

from explorer.data.batches import sheet
from explorer.data.dataset import DataError, DataSet
from explorer.data.registry import is_here
from explorer.ui.describe import find_choice
from explorer.ui.read import Reading
from explorer.ui.services import Services

PICTURES = 24


def payload(reading: Reading, services: Services, seed: int = 0) -> dict[str, object]:
    """What the contact sheet draws: pictures with labels, counts by class, notes; or a sentence why there are none."""
    train = reading.train
    if "data" in reading.problems:
        return {"title": "", "items": [], "classes": [], "notes": [reading.problems["data"]]}
    choice = find_choice(train.data)
    if choice and choice.download and not is_here(train.data):
        text = f"Pictures come when {choice.label} has been fetched ({choice.download}): Train fetches it."
        return {"title": choice.label, "items": [], "classes": [], "notes": [text]}
    try:
        dataset = _load(reading, services)
        items = sheet(dataset, PICTURES, augment=train.augment, seed=seed)
    except DataError as error:
        return {"title": "", "items": [], "classes": [], "notes": [str(error)]}
    return {
        "title": f"{dataset.name}: a batch, {'augmented' if train.augment != 'none' else 'as it is'}",
        "items": [list(item) for item in items],
        "classes": _counts(dataset),
        "notes": list(dataset.notes),
        "seed": seed,
    }


def count_classes(reading: Reading, services: Services) -> tuple[int | None, str]:
    """How many classes the chosen data has, None where that is not known yet; and one sentence if it cannot be used."""
    if "data" in reading.problems:
        return None, reading.problems["data"]
    choice = find_choice(reading.train.data)
    if choice and choice.classes:
        return choice.classes, ""
    try:
        return len(_load(reading, services).classes), ""
    except DataError as error:
        return None, str(error)


def _load(reading: Reading, services: Services) -> DataSet:
    body, train = reading.spec.body, reading.train
    return services.load_data(
        train.data,
        size=body.size,
        n_in=body.n_in,
        data_size=train.data_size,
        difficulty=train.difficulty,
        valid_pct=train.valid_pct,
        seed=train.seed,
    )


def _counts(dataset: DataSet) -> list[list[object]]:
    train, valid = Counter(dataset.train.labels.tolist()), Counter(dataset.valid.labels.tolist())
    return [[name, train[i], valid[i]] for i, name in enumerate(dataset.classes)]
