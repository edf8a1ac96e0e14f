"""torchinfo's own text about a model, so that people recognise it."""

from __future__ import annotations

from functools import lru_cache

import torchinfo

from explorer.spec import ClassifierSpec
from explorer.trace.tracer import blank_model, trace

COLUMNS = ("input_size", "output_size", "num_params", "mult_adds")
DEPTH = 5


@lru_cache(maxsize=64)
def torchinfo_text(spec: ClassifierSpec) -> str:
    """`torchinfo.summary` of the model for one picture, run on the meta device; where the model cannot run, why not.

    Raises SpecError as `trace`.
    """
    failure = trace(spec).failure
    return failure.reason if failure else str(statistics(spec))


def statistics(spec: ClassifierSpec) -> torchinfo.ModelStatistics:
    """What torchinfo finds about a model that runs.

    Its `total_params` equals the trace's. Its `total_mult_adds` counts biases and the weights of norms besides: for a
    convolution its bias at each output pixel, for a linear layer its bias, for a batch norm its weights and biases.
    """
    shape = (1, spec.body.n_in, *spec.body.height_width)
    return torchinfo.summary(
        blank_model(spec), input_size=shape, device="meta", mode="eval", col_names=COLUMNS, depth=DEPTH, verbose=0
    )
