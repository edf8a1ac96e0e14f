"""torchinfo's text agrees with the trace."""

from __future__ import annotations

import pytest

from explorer.spec import BodySpec, ClassifierSpec, HeadSpec
from explorer.trace.summary import torchinfo_text
from explorer.trace.tracer import trace


@pytest.mark.parametrize("arch", ["resnet34", "densenet121", "squeezenet1_1", "alexnet"])
def test_the_total_is_the_traces(arch: str):
    spec = ClassifierSpec(BodySpec(arch, size=96), HeadSpec(lin_ftrs=(32, 16)))
    text = torchinfo_text(spec)
    assert f"Total params: {trace(spec).totals.params:,}" in text.splitlines()
    assert "Input Shape" in text and "Mult-Adds" in text and "[1, 37]" in text


def test_a_model_that_cannot_run_says_why():
    spec = ClassifierSpec(BodySpec("alexnet", size=40))
    assert torchinfo_text(spec) == trace(spec).failure.reason
