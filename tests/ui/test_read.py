"""Controls become specs; what cannot be meant becomes one sentence at its field, and the rest still counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.models.bodies import legal_cuts, list_archs
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec, TrainSpec
from explorer.ui.read import BUILD_FIELDS, TRAIN_FIELDS, cut_steps, read, show, upload_folder_only, usual_rates


def no_file(_path: str) -> bool:
    return False


def values_for(spec: ClassifierSpec, train: TrainSpec) -> dict:
    rates = train.lrs or usual_rates(train.schedule, train.lr, 3)
    frozen = 2 if train.frozen is True else int(train.frozen)
    return {
        **show(spec, train),
        "cut": cut_steps(spec),
        "chips": {"widths": list(spec.head.widths), "outputs": spec.n_out},
        "groups": {"rows": [{"rate": rate, "frozen": i < frozen} for i, rate in enumerate(rates)]},
    }


SPECS = [
    ClassifierSpec(),
    ClassifierSpec(BodySpec("resnet18", "random", "layer3", 96, 1), HeadSpec("avg", (256, 128), (0.1, 0.2, 0.3)), 5),
    ClassifierSpec(BodySpec("vgg16_bn", cut="features.12"), HeadSpec(None, (), 0.0, y_range=(0.0, 5.5)), 1),
    ClassifierSpec(BodySpec(size=(97, 131))),
    ClassifierSpec(BodySpec(size=(17, 301))),
    ClassifierSpec(BodySpec(size=29)),
    ClassifierSpec(head=HeadSpec("max", first_bn=False, bn_final=True, lin_first=True)),
]
TRAINS = [
    TrainSpec(),
    TrainSpec(data="cifar10", epochs=3, lr=5e-4, lrs=(1e-6, 1e-5, 5e-4), batch_size=16, frozen=1, seed=7),
    TrainSpec(data_size="large", difficulty=0.9, augment="none", schedule="fine_tune", train_bn=False),
]


@pytest.mark.parametrize("spec", SPECS, ids=range(len(SPECS)))
@pytest.mark.parametrize("train", TRAINS, ids=range(len(TRAINS)))
def test_what_the_controls_show_is_read_back(spec, train):
    reading = read(values_for(spec, train), no_file)
    assert (reading.spec, reading.train, reading.problems) == (spec, train, {})


@pytest.mark.parametrize(
    ("width", "size"),
    [("", 96), (None, 96), ("131", (96, 131)), (" 96 ", 96), (131, (96, 131)), ("17x301", (17, 301)),
     ("17 × 301", (17, 301))],
)  # fmt: skip
def test_a_width_beside_the_slider_makes_a_rectangle(width, size):
    values = {**values_for(SPECS[1], TrainSpec()), "width": width}
    assert read(values, no_file).spec.body.size == size


BAD = [
    ({"chips": {"widths": ["wide"], "outputs": 37}}, "head.lin_ftrs", "wide"),
    ({"chips": {"widths": [512], "outputs": 0}}, "n_out", "between"),
    ({"chips": {"widths": [512], "outputs": 37, "problem": "A width is a whole number."}}, "head.lin_ftrs", "whole"),
    ({"chips": None}, "head.lin_ftrs", "list of widths"),
    ({"ps": 1}, "head.ps", "everything"),
    ({"ps_each": "0.1, 0.2"}, "ps_each", "2 dropout values for 3"),
    ({"ps_each": "a bit"}, "ps_each", "number"),
    ({"y_range": "1"}, "head.y_range", "two numbers"),
    ({"epochs": None}, "epochs", "nothing at all"),
    ({"size": "huge"}, "body.size", "whole number"),
    ({"size": 10**9}, "body.size", "between"),
    ({"width": "wide"}, "width", "whole number, or height×width such as 97×131, not “wide”"),
    ({"width": "97×wide"}, "width", "not “97×wide”"),
    ({"width": "0"}, "width", "width must lie between"),
    ({"width": "97×4096"}, "width", "width must lie between"),
    ({"width": "4096x97"}, "width", "height must lie between"),
    ({"width": "9x9x9"}, "width", "a height and a width"),
    ({"width": "131", "size": 10**9}, "body.size", "height must lie between"),
    ({"arch": "resnet99"}, "body.arch", "no body"),
    ({"arch": ["resnet18"]}, "body.arch", "no body"),
    ({"weights": "File", "file": None}, "body.weights", "Choose a weights file"),
    ({"weights": "File", "file": "/etc/passwd"}, "body.weights", "given in this page"),
    ({"weights": 7}, "body.weights", "ImageNet"),
    ({"pool": "Median"}, "head.pool", "Concat"),
    ({"y_range": "low, high"}, "head.y_range", "number"),
    ({"y_range": "5, 1"}, "head.y_range", "rise"),
    ({"rate": "1e9"}, "lr", "between"),
    ({"rate": "fast"}, "lr", "number"),
    ({"epochs": None}, "epochs", "whole number"),
    ({"epochs": float("nan")}, "epochs", "whole number"),
    ({"batch_size": 0}, "batch_size", "between"),
    ({"data": "folder:", "path": "  "}, "data", "where the pictures are"),
    ({"data": None}, "data", "what to train on"),
    ({"groups": {"rows": []}}, "lrs", "groups"),
    ({"groups": {"rows": [{"rate": "x", "frozen": False}]}}, "lrs", "number"),
    ({"seed": -1}, "seed", "between"),
    ({"schedule": "cosine"}, "schedule", "One-cycle"),
]


@pytest.mark.parametrize(("wrong", "field", "words"), BAD, ids=[f"{b[1]}-{i}" for i, b in enumerate(BAD)])
def test_a_wrong_value_is_one_sentence_at_its_field_and_the_rest_counts(wrong, field, words):
    values = {**values_for(SPECS[1], TrainSpec()), "ps_each": "", **wrong}
    reading = read(values, no_file)
    assert words in reading.problems[field] and reading.problems[field].endswith(".")
    assert reading.spec.body.n_in == 1


absurd = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.lists(st.text(), max_size=2)
absurd_widgets = absurd | st.dictionaries(st.sampled_from(["widths", "outputs", "rows", "value", "problem"]), absurd)
NAMES = list(values_for(ClassifierSpec(), TrainSpec()))


@given(st.dictionaries(st.sampled_from([*NAMES, "file", "path"]), absurd_widgets))
def test_whatever_a_stranger_sends_reading_never_raises(values):
    reading = read({**values_for(ClassifierSpec(), TrainSpec()), **values}, no_file)
    assert isinstance(reading.spec, ClassifierSpec)
    assert set(reading.problems) <= set(BUILD_FIELDS) | set(TRAIN_FIELDS) | {"n_out", "ps_each", "width"}


@pytest.mark.parametrize("arch", list_archs())
def test_the_stepper_walks_all_legal_cuts(arch):
    steps = cut_steps(ClassifierSpec(BodySpec(arch)))
    assert [step["id"] for step in steps["values"]] == [cut.name for cut in legal_cuts(arch)]
    assert steps["value"] == steps["values"][-1]["id"]
    last = legal_cuts(arch)[-1]
    assert steps["values"][-1]["label"] == (f"−{-last.from_end} · " if last.from_end else "") + f"after {last.name}"


def test_one_number_for_all_layers_may_be_typed_too():
    assert read({**values_for(ClassifierSpec(), TrainSpec()), "ps_each": "0.3"}, no_file).spec.head.ps == 0.3


def test_a_cut_that_another_body_does_not_have_falls_back_to_its_own():
    values = {**values_for(ClassifierSpec(), TrainSpec()), "arch": "vgg11_bn", "cut": {"value": "layer3"}}
    assert read(values, no_file).spec.body.cut is None


def test_only_files_below_the_given_folders_are_allowed(tmp_path):
    inside, outside = tmp_path / "uploads" / "w.pth", tmp_path / "secret.pth"
    inside.parent.mkdir()
    for file in (inside, outside):
        file.write_bytes(b"x")
    link = inside.parent / "link.pth"
    link.symlink_to(outside)
    allowed = upload_folder_only((inside.parent,))
    assert allowed(str(inside))
    assert not any(map(allowed, [str(outside), str(link), str(inside.parent), str(inside.parent / "no.pth"), "\0"]))


def test_usual_rates_rise_evenly_to_the_heads():
    assert usual_rates("one_cycle", 1e-3, 3) == pytest.approx((1e-5, 1e-4, 1e-3))
    assert usual_rates("one_cycle", 1e-3, 1) == (1e-3,)
    assert usual_rates("flat", 1e-3, 3) == (1e-3, 1e-3, 1e-3)
