"""Which data there is, and how a name becomes a set."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.data.dataset import DataError, DataSet, Tell
from explorer.data.drawn import KINDS, drawn_set

__all__ = ["Choice", "DataError", "list_data", "load"]


@dataclass(frozen=True)
class Choice:
    """Data one can choose. A name that ends in ":" waits for a path behind it.

    classes    how many, None where that depends on the folder
    download   how much is fetched the first time ("811 MB"), "" for nothing
    """

    name: str
    label: str
    classes: int | None
    download: str
    help: str


def list_data() -> tuple[Choice, ...]:
    """All choices, the built-in set first."""
    return (
        Choice("shapes", "Drawn shapes", len(KINDS), "", "Ten classes that need shape and texture, drawn when they are needed."),
    )


def load(
    name: str,
    *,
    size: int,
    n_in: int = 3,
    data_size: str = "small",
    difficulty: float = 0.3,
    valid_pct: float = 0.2,
    seed: int = 0,
    progress: Tell | None = None,
) -> DataSet:
    if name == "shapes":
        return drawn_set(size=size, n_in=n_in, data_size=data_size, difficulty=difficulty, seed=seed)
    raise DataError(f"There is no data set “{name}”.")
