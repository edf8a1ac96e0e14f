"""What handlers of every page share: the job queue, the weights desk, and what kind of host this is."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import plotly
import torch
from gradio.utils import get_upload_folder

from explorer.data import uploads
from explorer.data.dense import load_dense
from explorer.data.registry import fingerprint, load
from explorer.host import is_public
from explorer.jobs.estimate import Estimator, memory_here
from explorer.jobs.pace import Pace, drawn_pictures
from explorer.jobs.queue import Queue
from explorer.jobs.rules import rules_from_environment
from explorer.jobs.runner import LocalRunner, open_runner
from explorer.jobs.store import Store
from explorer.jobs.zero import ZeroRunner
from explorer.models.weights import fetch
from explorer.spec import ClassifierSpec, TrainSpec, UnetSpec
from explorer.train.device import describe_device, pick_device
from explorer.ui.read import upload_folder_only
from explorer.ui.weights_desk import WeightsDesk

KEPT_BYTES = 64 * 2**20  # of decoded pictures in a split, for contact sheets
MOST_COUNTS = 256  # sets of which it is remembered how many pictures they hold
PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
PLOTLY_URL = f"plotly-{plotly.__version__}.js"


@dataclass(frozen=True)
class Services:
    """Made once by `app.build` and handed to every page.

    is_allowed_file   whether a weights file of this machine may be opened: uploaded here, or in EXPLORER_WEIGHTS
    device, device_kind   what training will run on: words for people, and "cuda", "mps" or "cpu"
    load_data, load_dense   `data.registry.load` and `data.dense.load_dense`, remembering the last few sets
    is_public         strangers may come (`host.is_public`)
    train_lent        on a ZeroGPU Space what a page's event must iterate for a run to train: its id -> signs of life
    """

    queue: Queue
    weights: WeightsDesk
    is_allowed_file: Callable[[str], bool]
    device: str
    device_kind: str
    load_data: Remembering
    load_dense: Remembering
    is_public: bool
    train_lent: Callable[[object], Iterator[None]] | None = None


def open_services() -> Services:
    """Open the store, start the queue, look at the machine."""
    where, store = pick_device(None), Store.at_home()
    kind = torch.device(where).type
    load_data, load_masks = Remembering(load), Remembering(load_dense)

    def counts(spec: ClassifierSpec | UnetSpec, train: TrainSpec) -> tuple[int, int] | None:
        loader = load_masks if isinstance(spec, UnetSpec) else load_data
        return drawn_pictures(spec, train) or loader.counts(train.data)

    public = is_public()
    runner = open_runner(store)
    is_here = isinstance(runner, LocalRunner)
    queue = Queue(
        store,
        runner=runner,
        memory=memory_here(kind) if is_here else None,
        estimate=Estimator(Pace(store), counts, kind),
        tidy_more=uploads.expire,
        rules=rules_from_environment(public),
    )
    atexit.register(queue.close)
    own = os.environ.get("EXPLORER_WEIGHTS")
    folders = (Path(get_upload_folder()), *([Path(own)] if own else []))
    return Services(
        queue=queue,
        weights=WeightsDesk(fetch),
        is_allowed_file=upload_folder_only(folders),
        device=describe_device(where),
        device_kind=kind,
        load_data=load_data,
        load_dense=load_masks,
        is_public=public,
        train_lent=runner.train if isinstance(runner, ZeroRunner) else None,
    )


class Remembering:
    """A loader of sets that remembers the last few, until their folders change, with little kept decoded; and of more
    of them how many pictures they hold."""

    def __init__(self, load: Callable[..., Any]):
        @lru_cache(maxsize=4)
        def kept(mark: Hashable, name: str, **options):
            return load(name, keep=KEPT_BYTES, **options)

        self._kept = kept
        self._counts: dict[str, tuple[int, int]] = {}

    def __call__(self, name: str, **options):
        found = self._kept(fingerprint(name), name, **options)
        self._counts[name] = len(found.train), len(found.valid)
        if len(self._counts) > MOST_COUNTS:
            del self._counts[next(iter(self._counts))]
        return found

    def forget(self) -> None:
        """Let go of the sets that are kept: somebody's pictures are to be gone."""
        self._kept.cache_clear()

    def counts(self, name: str) -> tuple[int, int] | None:
        """Pictures to learn from and to check on, as last loaded; None for a set that never was."""
        return self._counts.get(name)
