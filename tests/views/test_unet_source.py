"""The scripts of a U-Net run as they stand, and build what is described."""

from __future__ import annotations

import pytest

from explorer.spec import BodySpec, DecoderSpec, UnetSpec
from explorer.trace.tracer import trace
from explorer.views.unet_source import code, script, why_no_fastai

SMALL = BodySpec("resnet18", weights="random", size=64)
BUILT_BY_BOTH = (
    UnetSpec(SMALL),
    UnetSpec(SMALL, DecoderSpec(blur=True, blur_final=False, self_attention=True, y_range=(-1, 1)), 3),
    UnetSpec(SMALL, DecoderSpec(norm_type="batch", last_cross=False, bottle=True, act="mish"), 2),
)
OURS_ALONE = (
    UnetSpec(
        BodySpec("resnet18", "random", cut="layer3", size=(49, 67), n_in=1), DecoderSpec(skips=(0,), width_cap=64), 2
    ),
    UnetSpec(BodySpec("vgg11", "random", size=64)),
    UnetSpec(SMALL, DecoderSpec("nearest", width_cap=32)),
    UnetSpec(SMALL, DecoderSpec("transposed", kernel=4)),
)


@pytest.mark.parametrize("spec", BUILT_BY_BOTH + OURS_ALONE, ids=str)
def test_the_script_builds_the_described_model(spec):
    names: dict = {}
    exec(script(spec, trace(spec)), names)
    described = trace(spec)
    assert sum(p.numel() for p in names["model"].parameters()) == described.totals.params
    assert tuple(names["output"].shape[1:]) == described.out_shape


@pytest.mark.parametrize("spec", BUILT_BY_BOTH, ids=str)
def test_the_fastai_call_builds_as_many_parameters(spec):
    pytest.importorskip("fastai")
    names: dict = {}
    exec(code(spec, trace(spec))["sections"][1]["text"], names)
    assert sum(p.numel() for p in names["model"].parameters()) == trace(spec).totals.params


@pytest.mark.parametrize("spec", OURS_ALONE, ids=str)
def test_where_fastai_has_no_call_it_is_said_why(spec):
    fastai = code(spec, trace(spec))["sections"][1]
    assert fastai["text"] == "" and fastai["note"] == why_no_fastai(spec) != ""


def test_bottle_with_last_cross_is_said_to_break_in_fastai():
    assert "breaks" in why_no_fastai(UnetSpec(SMALL, DecoderSpec(bottle=True)))
