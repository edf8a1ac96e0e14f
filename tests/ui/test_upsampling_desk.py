"""The upsampling bench is answered with torch's numbers, and anybody's nonsense with one sentence."""

from __future__ import annotations

import json

import pytest
import torch
import torch.nn.functional as F

from explorer.models import upsampling as models
from explorer.ui.upsampling_desk import upsampling_functions

GRID = [[1, 2, 3], [4, -5, 6]]
KERNEL = [[1, 2, 0], [0, 1, -1], [0.5, 0, 3]]
FINE = {"way": "transposed", "grid": GRID, "kernel": KERNEL, "stride": 2, "padding": 1, "output_padding": 1}


def asked(name: str, wish: object) -> dict:
    """The answer, which must be plain JSON."""
    functions = dict(zip(("enlarge", "checkerboard"), upsampling_functions(), strict=True))
    return json.loads(json.dumps(functions[name](wish), allow_nan=False))


def enlarged(**wish) -> dict:
    return asked("enlarge", FINE | wish)


def as_tensor(rows: list) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def test_transposed_numbers_are_torchs_and_the_steps_agree():
    answer = enlarged()
    torchs = F.conv_transpose2d(as_tensor(GRID)[None, None], as_tensor(KERNEL)[None, None], None, 2, 1, 1)
    assert answer["out"] == torchs[0, 0].tolist()
    assert answer["difference"] == 0


def test_nearest_numbers_are_torchs_and_the_steps_agree():
    answer = enlarged(way="nearest")
    copies = F.interpolate(as_tensor(GRID)[None, None], scale_factor=2)
    assert answer["out"] == F.conv2d(copies, as_tensor(KERNEL)[None, None], padding=1)[0, 0].tolist()
    assert answer["difference"] == 0


@pytest.mark.parametrize("blur", [False, True])
def test_shuffled_numbers_are_torchs_and_the_steps_agree(blur):
    answer = enlarged(way="shuffle", weights=[1, 0.5, -1, 2], blur=blur)
    assert answer["patches"] == F.pixel_shuffle(as_tensor(answer["channels"])[None], 2)[0, 0].tolist()
    assert answer["difference"] == 0
    assert (answer["out"] == answer["patches"]) is not blur


@pytest.mark.parametrize(("knobs", "becomes"), [((3, 1, 0, 0), 30), ((3, 2, 0, 0), 57), ((4, 2, 1, 0), 56)])
def test_the_formula_stands_beside_the_size_that_torch_gives(knobs, becomes):
    k, stride, padding, more = knobs
    answer = enlarged(kernel=[[1] * k] * k, stride=stride, padding=padding, output_padding=more)
    assert [size["side"] for size in answer["sizes"]] == [2, 3, 28]
    assert all(size["formula"] == size["torch"] for size in answer["sizes"])
    assert answer["sizes"][-1]["torch"] == becomes


def test_five_steps_from_the_deepest_map():
    """fastai facts C.10."""
    assert enlarged(padding=0, output_padding=0)["chain"] == [7, 15, 31, 63, 127, 255]
    assert enlarged()["chain"][-1] == 224


def test_a_fresh_icnr_layer_enlarges_like_nearest_and_a_plain_one_does_not():
    icnr, plain = (enlarged(way="shuffle", init=init, seed=3) for init in ("icnr", "plain"))
    nearest = F.interpolate(as_tensor(GRID)[None, None], scale_factor=2)[0, 0]
    torch.testing.assert_close(as_tensor(icnr["out"]), nearest * icnr["weights"][0])
    assert icnr["same"] and not plain["same"]
    assert len(set(plain["weights"])) == 4


def test_weights_are_drawn_by_seed_and_leave_other_draws_alone():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    first = models.shuffle_weights("plain", 1)
    assert torch.rand(1) == expected
    assert first == models.shuffle_weights("plain", 1) != models.shuffle_weights("plain", 2)


# ---- checkerboards ----


@pytest.fixture(scope="module")
def board() -> dict:
    return asked("checkerboard", {"kernel": 5, "stride": 3, "padding": 0, "output_padding": 0, "seed": 0})


def test_kernel_4_and_nearest_mend_what_kernel_3_shows(board):
    three, four, own, nearest = board["columns"]
    assert [column["even"] for column in (three, four, own, nearest)] == [False, True, False, True]
    assert three["says"] == "1, 2 or 4" and four["says"] == "4 everywhere"
    assert three["many"]["spread"] > 0.15 > 2 * four["many"]["spread"]


def test_nothing_but_the_rim_varies_after_nearest(board):
    assert board["columns"][-1]["one"]["spread"] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("knobs", [(4, 2, 1, 0), (3, 2, 0, 3)])
def test_own_knobs_stand_there_only_where_they_add_something(knobs):
    names = ("kernel", "stride", "padding", "output_padding")
    columns = asked("checkerboard", dict(zip(names, knobs, strict=True)))["columns"]
    assert not any(column.get("own") for column in columns)


# ---- nonsense ----


@pytest.mark.parametrize("change", [{"output_padding": 2}, {"padding": 4, "kernel": [[1]]}])
def test_knobs_that_do_not_go_together_get_a_sentence_and_a_mend(change):
    answer = enlarged(**change)
    assert answer["problem"].endswith(".") and answer["mend"]
    assert "problem" not in enlarged(**{**change, "output_padding": 0, **answer["mend"]})


@pytest.mark.parametrize(
    "change",
    [
        {"way": "magic"},
        {"way": ["nearest"]},
        {"grid": None},
        {"grid": []},
        {"grid": [[1]]},
        {"grid": [[1, 2], [3]]},
        {"grid": [[1] * 7] * 7},
        {"grid": [[1, "2"], [3, 4]]},
        {"grid": [[1, True], [3, 4]]},
        {"grid": [[1, float("nan")], [3, 4]]},
        {"grid": [[1, float("inf")], [3, 4]]},
        {"grid": [[1, 1e9], [3, 4]]},
        {"grid": [[1, 10**400], [3, 4]]},
        {"kernel": [[1, 2]]},
        {"kernel": [[1] * 6] * 6},
        {"kernel": {"path": "x"}},
        {"stride": 0},
        {"stride": 10**9},
        {"stride": 1.5},
        {"padding": -1},
        {"output_padding": None},
        {"way": "nearest", "kernel": [[1]]},
        {"way": "shuffle", "weights": [1, 2]},
        {"way": "shuffle", "weights": "abcd"},
        {"way": "shuffle", "init": "zeros"},
        {"way": "shuffle", "init": ["icnr"]},
        {"way": "shuffle", "init": "icnr", "seed": -1},
        {"way": "shuffle", "init": "icnr", "blur": "yes"},
    ],
)
def test_nonsense_is_answered_with_one_sentence(change):
    answer = enlarged(**change)
    assert set(answer) == {"error"}
    assert answer["error"].endswith(".")


@pytest.mark.parametrize("wish", [None, 3, "x", [], [1, 2], [{}], {}])
@pytest.mark.parametrize("name", ["enlarge", "checkerboard"])
def test_what_is_no_question_is_answered_with_one_sentence(name, wish):
    assert set(asked(name, wish)) == {"error"}


def test_a_question_may_come_in_a_list():
    assert asked("enlarge", [FINE]) == asked("enlarge", FINE)
