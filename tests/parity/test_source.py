"""The fastai call that the page shows is run, and builds the same model."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("fastai")

from explorer.models.build import build_model
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec
from explorer.trace.tracer import trace
from explorer.views.source import fastai_call

SPECS = (
    ClassifierSpec(BodySpec("resnet18", "random")),
    ClassifierSpec(BodySpec("resnet18", "random", cut="layer2"), HeadSpec(pool="avg")),
    ClassifierSpec(BodySpec("mobilenet_v2", "random")),
    ClassifierSpec(BodySpec("resnet18", "random", cut="layer3.0"), HeadSpec(lin_ftrs=())),
    ClassifierSpec(BodySpec("resnet18", "random", cut=-4, n_in=1), HeadSpec(ps=0.25, lin_first=True)),
    ClassifierSpec(BodySpec("squeezenet1_1", "random", cut="features.6"), HeadSpec(first_bn=False)),
    ClassifierSpec(BodySpec("squeezenet1_0", "random", n_in=4), HeadSpec(lin_ftrs=(64, 32), ps=(0.1, 0.0, 0.3)), 3),
    ClassifierSpec(BodySpec("densenet121", "random", cut="features.transition1"), HeadSpec(bn_final=True)),
    ClassifierSpec(BodySpec("alexnet", "random", cut="features.4"), HeadSpec(y_range=(0, 5.5), bn_final=True), 1),
    ClassifierSpec(BodySpec("resnet18", "random", cut=5), HeadSpec(pool=None)),
)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.body.arch}-{spec.body.cut}")
def test_the_fastai_call_builds_the_same_model(spec: ClassifierSpec):
    names: dict = {}
    exec(fastai_call(spec, trace(spec)), names)
    theirs, ours = names["model"], build_model(spec).model
    mine, other = ours.state_dict(), theirs.state_dict()
    assert [(name, t.shape) for name, t in mine.items()] == [(name, t.shape) for name, t in other.items()]
    theirs.load_state_dict(mine)
    if spec.head.pool is not None:
        x = torch.rand(2, spec.body.n_in, 96, 96)
        with torch.no_grad():
            assert torch.equal(ours.eval()(x), theirs.eval()(x))


def test_there_is_no_call_for_maximum_pooling():
    spec = ClassifierSpec(head=HeadSpec(pool="max"))
    assert fastai_call(spec, trace(spec)) is None


def test_the_learner_is_offered_where_it_keeps_the_cut():
    """vision_learner ignores `cut` (fastai facts A.8)."""
    own, cut, relu = ClassifierSpec(), ClassifierSpec(BodySpec(cut="layer3")), ClassifierSpec(BodySpec("densenet121"))
    assert "vision_learner(dls, resnet34, n_out=37)" in fastai_call(own, trace(own))
    assert "vision_learner" not in fastai_call(cut, trace(cut))
    assert "cut=7" in fastai_call(cut, trace(cut))
    assert "vision_learner" not in fastai_call(relu, trace(relu))
