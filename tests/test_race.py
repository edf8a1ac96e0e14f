"""The four decoders of a race differ in their decoder alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from explorer.models.build import build_model
from explorer.models.meta import Blank
from explorer.race import MOST_SEEDS, RACERS, UNET, WITHOUT, label_of, race_specs
from explorer.spec import BodySpec, ClassifierSpec, DecoderSpec, SpecError, TrainSpec, UnetSpec

BODY = BodySpec("resnet18", "random", size=64)
SPEC = UnetSpec(BODY, DecoderSpec("nearest", skips=(1,), width_cap=64), n_out=6)


def test_every_seed_has_all_decoders_before_the_next_seed_begins():
    runs = race_specs(SPEC, TrainSpec(seed=7), 2)
    assert [(label, train.seed) for label, _, train in runs] == [(label, seed) for seed in (7, 8) for label in RACERS]


def test_nothing_but_decoder_and_seed_differs():
    for _, spec, train in race_specs(SPEC, TrainSpec(epochs=9, lr=0.02), 3):
        assert replace(spec, decoder=SPEC.decoder) == SPEC and spec.decoder.width_cap == 64
        assert replace(train, seed=0) == TrainSpec(epochs=9, lr=0.02)


def test_the_label_of_a_recorded_decoder_is_the_one_it_raced_under():
    assert all(label_of(spec.decoder) == label for label, spec, _ in race_specs(SPEC, TrainSpec(), 1))


@pytest.mark.parametrize("arch", ["resnet18", "vgg11_bn", "mobilenet_v2"])
def test_all_four_can_be_built_and_only_one_has_skips(arch):
    spec = replace(SPEC, body=replace(BODY, arch=arch))
    for label, racer, _ in race_specs(spec, TrainSpec(), 1):
        with Blank():
            wiring = getattr(build_model(racer).model, "wiring", None)
        joined = wiring.n_skips if wiring else 0
        assert (joined > 0) == (label == UNET), label
        assert label != WITHOUT or not wiring.cross


@pytest.mark.parametrize(
    ("spec", "train", "seeds", "field"),
    [
        (ClassifierSpec(), TrainSpec(), 3, "spec"),
        (replace(SPEC, task="style_image", n_out=3), TrainSpec(), 3, "task"),
        (SPEC, TrainSpec(), 0, "seeds"),
        (SPEC, TrainSpec(), MOST_SEEDS + 1, "seeds"),
        (SPEC, TrainSpec(), "3", "seeds"),
        (SPEC, TrainSpec(), True, "seeds"),
        (SPEC, TrainSpec(seed=2**31 - 1), 2, "seed"),
    ],
)
def test_what_cannot_race_is_refused_with_a_sentence(spec, train, seeds, field):
    with pytest.raises(SpecError) as error:
        race_specs(spec, train, seeds)
    assert error.value.field == field and str(error.value).endswith(".")
