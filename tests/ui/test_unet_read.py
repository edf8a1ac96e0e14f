"""The U-Net page's controls as specs, and back."""

from __future__ import annotations

import pytest

from explorer.spec import BodySpec, DecoderSpec, TrainSpec, UnetSpec
from explorer.ui.read import cut_steps
from explorer.ui.unet_read import read_unet, show_unet

SPECS = (
    UnetSpec(),
    UnetSpec(BodySpec("resnet18", "random", size=(97, 131)), DecoderSpec(kind="nearest", width_cap=300), 12),
    UnetSpec(decoder=DecoderSpec(skips=(0, 3), blur=True, norm_type="batch", act="mish", y_range=(0, 1))),
    UnetSpec(decoder=DecoderSpec(skips=()), n_out=3, task="colour"),
    UnetSpec(decoder=DecoderSpec(kind="transposed", kernel=4), n_out=3, task="style"),
)


def values_of(spec, train=None, **changed):
    rows = [{"rate": "1e-5", "frozen": True}, {"rate": "1e-4", "frozen": True}, {"rate": "1e-3", "frozen": False}]
    return {**show_unet(spec, train or TrainSpec()), "cut": cut_steps(spec), "groups": {"rows": rows}, **changed}


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_what_the_page_shows_is_read_again(spec):
    reading = read_unet(values_of(spec), lambda path: False)
    assert (reading.spec, dict(reading.problems)) == (spec, {})


def test_skips_beyond_a_body_are_left_alone():
    reading = read_unet(values_of(UnetSpec(), off=[1, 7]), lambda path: False)
    assert reading.spec.decoder.skips == (0, 2, 3) and reading.builds


@pytest.mark.parametrize("off", ["all", [True], ["0"], [None], list(range(99))])
def test_what_is_no_list_of_skips_is_a_sentence(off):
    reading = read_unet(values_of(UnetSpec(), off=off), lambda path: False)
    assert "by their numbers" in reading.problems["decoder.skips"] and not reading.builds


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"task": "Paint"}, "task"),
        ({"decoder": "GAN"}, "decoder.kind"),
        ({"width_cap": "wide"}, "decoder.width_cap"),
        ({"width_cap": "0"}, "decoder.width_cap"),
        ({"n_out": 0}, "n_out"),
        ({"norm": "group"}, "decoder.norm_type"),
        ({"act": "step"}, "decoder.act"),
        ({"kernel": "5"}, "decoder.kernel"),
        ({"y_range": "1"}, "decoder.y_range"),
        ({"y_range": "2, 1"}, "decoder.y_range"),
        ({"arch": "resnet99"}, "body.arch"),
        ({"loss": "hinge"}, "loss"),
        ({"style": "/etc/passwd"}, "style"),
    ],
)
def test_what_cannot_be_meant_is_told_at_its_field(changed, field):
    reading = read_unet(values_of(UnetSpec(), **changed), lambda path: False)
    assert reading.problems[field] and reading.builds is (field in ("loss", "style"))


def test_a_style_picture_must_have_been_given_here():
    given = values_of(UnetSpec(n_out=3, task="style"), style_file="/tmp/mine.png")
    assert read_unet(given, lambda path: path == "/tmp/mine.png").train.style == "/tmp/mine.png"
    assert "given in this page" in read_unet(given, lambda path: False).problems["style"]
