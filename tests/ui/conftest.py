"""A page's handlers with services that start nothing: a queue that only remembers, weights that are not to be had."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from explorer.data.dense import load_dense
from explorer.data.registry import load
from explorer.jobs.queue import Answer, Run
from explorer.models.weights import WeightsUnavailable
from explorer.spec import ClassifierSpec, TrainSpec
from explorer.ui.classifier_handlers import ClassifierHandlers
from explorer.ui.describe import View
from explorer.ui.held import Held
from explorer.ui.services import Remembering, Services
from explorer.ui.weights_desk import WeightsDesk


class EmptyStore:
    """A store in which nothing ever ran."""

    def latest(self, state, most):
        return ()


@dataclass
class QueueThatRemembers:
    """Takes runs and never starts one."""

    store: EmptyStore = field(default_factory=EmptyStore)
    submitted: list = field(default_factory=list)
    stopped: list = field(default_factory=list)
    state: str = "gone"

    def submit(self, spec, train, me=None):
        self.submitted.append((spec, train))
        return Run(f"run{len(self.submitted)}", "token", 1)

    def stop(self, run, token):
        self.stopped.append((run, token))
        return Answer(True, "running", "It stops.")

    def poll(self, run, since=0, limit=500):
        return {"state": self.state if run else "gone"}


def no_network(arch, progress=None):
    raise WeightsUnavailable(f"The weights of {arch} cannot be fetched here.")


@pytest.fixture
def queue() -> QueueThatRemembers:
    return QueueThatRemembers()


@pytest.fixture
def handlers(queue, tmp_path) -> ClassifierHandlers:
    return ClassifierHandlers(
        Services(
            queue=queue,
            weights=WeightsDesk(no_network),
            is_allowed_file=lambda path: path.startswith(str(tmp_path)),
            device="CPU · 2 cores",
            device_kind="cpu",
            load_data=Remembering(load),
            load_dense=Remembering(load_dense),
            is_public=False,
        )
    )


@pytest.fixture
def held(handlers):
    """held(size=64, …) -> what the page holds after these changes of its first state."""
    first = handlers.page_for(ClassifierSpec(), TrainSpec())

    def changed(*, tab="tree", run=None, event=None, **values) -> Held:
        return Held({**first, "file": None, "path": "", **values}, View(tab=tab), run, event)

    return changed
