"""What is said of a race is what its numbers say."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from explorer.race import NEAREST, RACERS, TRANSPOSED, UNET, WITHOUT
from explorer.spec import TrainSpec, UnetSpec
from explorer.train.events import EpochDone
from explorer.views.race import Lane, Racer, race, standing

SIZES = [Racer(label, 1000 * (i + 1), 10**6 * (i + 1)) for i, label in enumerate(RACERS)]


def lane(label, seed, values, state="finished", name="miou", **more) -> Lane:
    first = (("accuracy", 0.5),) if name == "miou" else ()
    told = tuple(EpochDone(e, 1.0, 1.0, (*first, (name, v)), 2.0) for e, v in enumerate(values, 1))
    return Lane(label, seed, state, told, **more)


def whole(unet=(0.80, 0.82), without=(0.70, 0.72), nearest=(0.60, 0.62), transposed=(0.50, 0.52), **more) -> list[Lane]:
    ends = {UNET: unet, WITHOUT: without, NEAREST: nearest, TRANSPOSED: transposed}
    return [lane(label, seed, (0.1, value), **more) for label, each in ends.items() for seed, value in enumerate(each)]


def said(lanes, epochs=2, at=0, **more) -> list[str]:
    return standing(SIZES, lanes, epochs, **more)["metrics"][at]["verdict"]


def test_mean_and_spread_stand_over_seeds():
    answer = standing(SIZES, whole(), 2)
    miou = answer["metrics"][0]
    assert (miou["name"], [metric["name"] for metric in answer["metrics"]]) == ("miou", ["miou", "accuracy"])
    unet = miou["curves"][RACERS.index(UNET)]
    assert unet["epochs"] == [1, 2] and unet["mean"] == pytest.approx([0.1, 0.81])
    assert unet["sd"] == pytest.approx([0.0, 0.02 / 2**0.5])
    final = miou["finals"][RACERS.index(UNET)]
    assert final["text"] == "0.810 ± 0.014" and final["each"] == [[0, 0.80], [1, 0.82]]
    json.dumps(answer, allow_nan=False)


def test_a_lead_beyond_the_spread_is_said_to_be_one():
    first, lead, beside = said(whole())
    assert first == (
        "After epoch 2, the U-Net is best with mIoU 0.810 ± 0.014; then the U-Net without skips 0.710 ± 0.014, "
        "nearest 0.610 ± 0.014, transposed 0.510 ± 0.014."
    )
    assert lead == "The lead of 0.100 is more than the spread between seeds (0.014)."
    assert "nearest 0.200 worse; transposed 0.300 worse; the U-Net without skips 0.100 worse" in beside


def test_a_lead_within_the_spread_is_not_called_one():
    first, lead, beside = said(whole(nearest=(0.70, 0.94)))
    assert first.startswith("After epoch 2, nearest is best")
    assert "is within the spread" in lead and "do not tell nearest and the U-Net apart" in lead
    assert "nearest 0.010 better, within the spread" in beside


def test_a_tie_has_no_winner():
    first, beside = said(whole((0.5,), (0.5,), (0.4,), (0.5,)))
    assert "nobody is ahead" in first and "the U-Net without skips level" in beside


def test_one_seed_does_not_decide():
    _, lead, beside = said(whole((0.8,), (0.7,), (0.6,), (0.5,)))
    assert "nobody can say" in lead and "±" not in beside


def test_all_are_compared_after_the_same_epoch():
    lanes = whole((0.8,), (0.7,), (0.6,), ()) + [lane(TRANSPOSED, 0, (0.9,), "running")]
    assert said(lanes)[0].startswith("So far, after epoch 1 of 2, transposed is best with mIoU 0.900")


def test_nothing_is_said_before_every_decoder_has_an_epoch():
    assert said([lane(UNET, 0, (0.8,)), lane(NEAREST, 0, (), "queued")]) == []
    assert standing(SIZES, [Lane(label, 0, "waiting") for label in RACERS], 2)["metrics"] == []


def test_a_failed_run_is_told_and_does_not_hold_up_the_others():
    lanes = whole((0.8,), (0.7,), (0.6,), ()) + [lane(TRANSPOSED, 0, (), "failed", reason="The loss is not finite.")]
    answer = standing(SIZES, lanes, 2)
    assert answer["state"] == "over" and answer["faults"] == ["Transposed, seed 0, failed: The loss is not finite."]
    assert "transposed" not in answer["metrics"][0]["verdict"][0]


def test_a_loss_is_better_when_it_is_lower():
    first, _, beside = said(whole((9.0, 9.1), (12.0, 12.1), (14.0, 14.1), (13.0, 13.1), name="style"))
    assert first.startswith("After epoch 2, the U-Net is best with style loss 9.05")
    assert "nearest 5.00 worse" in beside


@pytest.mark.parametrize(("plain", "words"), [(20.0, "is beaten."), (40.0, "is not beaten by any of them.")])
def test_a_network_is_held_against_none(plain, words):
    lanes = whole((30.0, 31.0), (25.0, 26.0), (24.0, 25.0), (23.0, 24.0), name="psnr")
    assert said(lanes, baseline=(("psnr", plain),))[-1] == f"What one has without a network, {plain:.2f} dB, {words}"


def test_the_time_left_follows_the_pace_of_epochs():
    done = lane(UNET, 0, (0.1, 0.2), seconds=20.0)
    half = lane(NEAREST, 0, (0.1,), "running", seconds=10.0)
    assert standing(SIZES, [done, half, Lane(NEAREST, 1, "waiting")], 2)["left"] == pytest.approx(30.0)
    assert standing(SIZES, [done], 2)["left"] is None


def test_the_state_of_each_run_and_what_it_costs_stand_in_the_table():
    rows = standing(SIZES, [lane(UNET, 4, (0.1,), "stopped")], 2)["decoders"]
    row = rows[RACERS.index(UNET)]
    assert row["runs"] == [{"seed": 4, "state": "stopped", "epoch": 1}]
    assert (row["params"], row["macs"], row["seconds"]) == (4000, 4 * 10**6, 2.0)
    assert rows[0]["seconds"] is None and rows[0]["runs"] == []


def test_a_page_is_told_what_would_race():
    assert json.loads(race(UnetSpec(), TrainSpec())["spec"])["family"] == "unet"


def test_decoders_that_tell_nothing_apart_are_named():
    flat = [replace(one, painted="background") if one.label in (NEAREST, TRANSPOSED) else one for one in whole()]
    assert (
        said(flat)[-1] == "Nearest and transposed found nothing but background: that is where their pixels are right."
    )
    some = [replace(one, painted="background") if one.label == NEAREST and one.seed else one for one in whole()]
    assert "nothing but" not in " ".join(said(some))
