"""A U-Net described from shapes alone is the U-Net that is built."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from explorer.models.build import build_model, wiring_of
from explorer.spec import ACTIVATIONS, NORMS, BodySpec, DecoderSpec, SpecError, UnetSpec
from explorer.trace.memory import step_memory
from explorer.trace.records import EARLY, HEAD, LATE, freeze_rows, groups_of
from explorer.trace.tracer import trace

SMALL = BodySpec("resnet18", weights="random", size=64)
DECODERS = (
    DecoderSpec(),
    DecoderSpec(kind="nearest"),
    DecoderSpec(kind="transposed", kernel=4),
    DecoderSpec(skips=(0, 2), width_cap=64, self_attention=True, blur=True),
    DecoderSpec(skips=(), last_cross=False, y_range=(-1, 1)),
    *(DecoderSpec(norm_type=norm, width_cap=32) for norm in NORMS[1:]),
    *(DecoderSpec(act=act, width_cap=32) for act in ACTIVATIONS[1:]),
)


@pytest.mark.parametrize("decoder", DECODERS, ids=str)
@pytest.mark.parametrize("size", [64, (49, 67)], ids=str)
def test_the_trace_is_that_of_the_built_model(decoder, size):
    spec = UnetSpec(replace(SMALL, size=size), decoder, n_out=5)
    described, built = trace(spec), build_model(spec)
    assert described.failure is None
    assert [row.qual for row in described.layers] == [
        name for name, _ in built.model.named_modules(remove_duplicate=False) if name
    ]
    assert described.totals.params == sum(p.numel() for p in built.model.parameters())
    with torch.no_grad():
        out = built.model.eval()(built.example_inputs[0])
    assert tuple(out.shape[1:]) == described.out_shape == (5, *replace(SMALL, size=size).height_width)


@pytest.mark.parametrize("arch", ["vgg11_bn", "densenet121", "squeezenet1_1", "mobilenet_v3_small", "swin_t"])
def test_skips_are_told_with_their_makers_and_takers(arch):
    spec = UnetSpec(replace(SMALL, arch=arch, size=224))
    described = trace(spec)
    rows = {row.qual: row for row in described.layers}
    assert len(described.skips) == wiring_of(spec).n_skips >= 3
    for skip in described.skips:
        assert skip.source in rows and skip.target in rows
        assert rows[skip.target].out_shape[1:] == skip.shape[1:]


def test_groups_are_early_late_and_decoder():
    described = trace(UnetSpec(SMALL))
    assert groups_of(described) == (EARLY, LATE, HEAD)
    frozen = freeze_rows(described, True)
    assert {row.group for row in frozen.layers if row.trainable and not row.norm} == {HEAD}


def test_a_picture_that_is_too_small_leaves_the_rows_and_says_what_would_do():
    described = trace(UnetSpec(BodySpec("densenet121", size=16)))
    assert described.failure.qual.startswith("encoder.") and described.failure.fix.value == 29
    assert described.out_shape is None
    decoder = [row for row in described.layers if row.qual.startswith("decoder")]
    assert sum(row.params for row in decoder) and all(row.out_shape is None for row in decoder)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (UnetSpec(SMALL, DecoderSpec(skips=(9,))), "decoder.skips"),
        (UnetSpec(replace(SMALL, arch="resnet99")), "body.arch"),
        (UnetSpec(replace(SMALL, cut="layer9")), "body.cut"),
    ],
)
def test_what_cannot_be_built_names_its_field(spec, field):
    for attempt in (trace, build_model):
        with pytest.raises(SpecError) as caught:
            attempt(spec)
        assert caught.value.field == field


def test_equal_options_share_one_description():
    assert trace(UnetSpec(SMALL, DecoderSpec(skips=(0, 1)))) is trace(UnetSpec(SMALL, DecoderSpec(skips=[1, 0])))


def test_a_step_of_a_unet_is_weighed():
    wide, capped = (step_memory(UnetSpec(SMALL, DecoderSpec(width_cap=cap)), 4) for cap in (None, 64))
    assert wide.weights > capped.weights and wide.total > capped.total
