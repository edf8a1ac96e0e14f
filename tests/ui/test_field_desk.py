"""What layers and cells see, as the page is told: numbers of real models, boxes of cells, a sentence for nonsense."""

from __future__ import annotations

import json
import threading
from base64 import b64decode
from dataclasses import asdict
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from explorer.models.build import build_model
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec
from explorer.trace.receptive import receptive_fields
from explorer.trace.tracer import trace
from explorer.ui import field_desk as desk
from explorer.ui.field_desk import field_functions, field_payload, fields, sights_function
from explorer.views.fields import COLUMNS


def classifier(arch: str = "squeezenet1_1", size: int = 64, head: HeadSpec | None = None) -> ClassifierSpec:
    return ClassifierSpec(BodySpec(arch, weights="random", size=size), head or HeadSpec(), n_out=5)


SPEC = classifier()


@pytest.fixture
def ask(handlers):
    """ask("field", qual="0.0.1", …) -> the answer, which must be plain JSON."""
    functions = dict(zip(("picture", "field", "effective"), field_functions(handlers.services), strict=True))

    def asked(name: str, spec: ClassifierSpec = SPEC, **wish) -> dict:
        answer = functions[name]({"spec": asdict(spec), "photo": {"sample": "cat"}, **wish})
        return json.loads(json.dumps(answer, allow_nan=False))

    return asked


def named(numbers: list[float]) -> dict[str, float]:
    return dict(zip(COLUMNS, numbers, strict=True))


def image(uri: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(b64decode(uri.partition(",")[2]))).convert("RGBA"))


# ---- fields of all layers ----


@pytest.mark.parametrize("arch", ["resnet18", "squeezenet1_1", "mobilenet_v3_small", "swin_t"])
def test_layers_are_those_of_the_trace_and_numbers_those_of_the_built_model(arch):
    spec = classifier(arch)
    known = fields(spec)
    assert list(known) == [layer.qual for layer in trace(spec).layers]
    built = receptive_fields(build_model(spec).model.eval(), (3, 64, 64))
    for qual, numbers in known.items():
        assert (numbers is None) == (built[qual] is None), qual
        if numbers is not None:
            row, field = named(numbers), built[qual]
            assert (row["height"], row["jump_x"]) == pytest.approx((field.height.size, field.width.jump), abs=0.01)
            assert [row[side] for side in ("top", "left", "bottom", "right")] == list(field.box(field.centre))
            assert (row["whole"], row["gated"]) == (field.whole, field.gated)


def test_the_middle_cell_lies_in_the_middle_of_its_box():
    row = named(fields(classifier("resnet18", 224))["0.5.0.conv1"])
    assert (row["height"], row["jump_y"], row["start_y"]) == (51, 8, 0)
    assert (row["centre_y"], row["top"], row["bottom"]) == (112, 112 - 25, 112 + 26)


def test_a_head_without_pooling_that_cannot_run_sees_nothing_that_is_known():
    known = fields(classifier(head=HeadSpec(pool=None)))
    assert known["0.0.12"] and known["1.2"] is None


def test_a_model_that_breaks_off_has_its_fields_up_to_there():
    known = fields(classifier("alexnet", 32))
    assert known["0.0.0"] and known["0.0.12"] is None and known["1.0"] is None


def test_pictures_that_take_long_have_no_fields():
    assert fields(classifier(size=1024)) == {} == field_payload(classifier(size=1024))


def test_the_payload_is_small_and_leads_back_to_the_fields():
    spec = classifier("densenet201", 224)
    payload = json.loads(json.dumps(field_payload(spec)))
    path, found = [], {}
    for depth, name, at in zip(payload["depths"], payload["names"], payload["at"], strict=True):
        path = [*path[: depth - 1], name]
        found[".".join(path)] = payload["fields"][at] if at >= 0 else None
    assert found == fields(spec)
    assert len(json.dumps(payload, separators=(",", ":"))) < 20_000


@pytest.mark.parametrize(
    "asked", [None, 7, {}, [], ["nowhere", "random", 64, None, 3], ["resnet18", "/etc/passwd", 64, None, 3]]
)
def test_the_ribbon_is_told_nothing_for_nonsense(handlers, asked):
    assert sights_function(handlers.services)(asked) == {}


# ---- one layer ----


def test_a_layer_comes_with_the_box_of_each_of_its_cells(ask):
    answer = ask("field", qual="0.0.1")
    assert answer["cells"] == [31, 31] and named(answer["field"])["height"] == 3
    top, left, bottom, right = (np.broadcast_to(np.reshape(e["values"], e["shape"]), (31, 31)) for e in answer["edges"])
    assert (top[5, 9], left[5, 9], bottom[5, 9], right[5, 9]) == (10, 18, 13, 21)


def test_a_layer_of_which_nothing_is_known_has_no_field(ask):
    unknown = next(qual for qual, field in fields(classifier("swin_t")).items() if field is None)
    assert ask("field", classifier("swin_t"), qual=unknown) == {}


@pytest.mark.parametrize("qual", [None, "0.99", 7, ["0"], {"a": 1}])
@pytest.mark.parametrize("name", ["field", "effective"])
def test_a_layer_that_is_not_there_is_named(ask, name, qual):
    assert ask(name, qual=qual) == {"error": desk.NO_LAYER}


def test_a_photo_is_shown_as_the_network_gets_it(ask):
    assert image(ask("picture", size=96)["uri"]).shape == (96, 96, 4)
    red, green, _, _ = np.moveaxis(image(ask("picture", size=64, n_in=1)["uri"]), -1, 0)
    assert (red == green).all()


def test_a_rectangle_has_fields_and_a_photo_of_its_own_shape(ask):
    spec = classifier(size=(97, 131))
    assert image(ask("picture", size=[97, 131])["uri"]).shape == (97, 131, 4)
    answer = ask("field", spec, qual="0.0.1")
    assert answer["cells"] == [48, 65]
    bottom, right = (max(answer["edges"][k]["values"]) for k in (2, 3))
    assert (bottom, right) == (97, 131)
    assert fields(classifier(size=(64, 1024))) == {}


@pytest.mark.parametrize(
    ("wish", "words"),
    [({"photo": {"sample": "../secret"}, "size": 64}, "no sample"), ({}, "whole number"), ({"size": 4096}, "between")],
)
def test_a_photo_that_cannot_be_shown_is_refused(ask, wish, words):
    assert words in ask("picture", **wish)["error"]


# ---- what really counts ----


def test_the_effective_field_lies_in_the_box_of_its_cell(ask):
    answer = ask("effective", qual="0.0.0", cell=[5, 9])
    rows, columns = np.nonzero(image(answer["uri"])[..., 3])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 12, 18, 20)
    assert 0.5 < answer["share"] <= 1 and answer["of"] == "field"


def test_without_a_cell_it_is_the_middle_one(ask):
    middle = ask("field", qual="0.0.3")["centre"]
    assert ask("effective", qual="0.0.3") == ask("effective", qual="0.0.3", cell=middle)


def test_a_layer_of_the_head_is_moved_by_the_whole_picture(ask):
    answer = ask("effective", classifier("resnet18"), qual="1.8")
    assert answer["of"] == "picture" and 0.05 < answer["share"] < 0.9


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ([31, 0], "no cell"),
        ([-1, 0], "no cell"),
        ([1], "no cell"),
        ("5,9", "whole numbers"),
        ([True, 1], "whole numbers"),
    ],
)
def test_a_cell_that_is_not_there_is_named(ask, cell, words):
    assert words in ask("effective", qual="0.0.1", cell=cell)["error"]


def test_one_gradient_at_a_time(ask, monkeypatch):
    started, go, compute = threading.Event(), threading.Event(), desk.effective_field

    def slow(*args):
        started.set()
        assert go.wait(10)
        return compute(*args)

    monkeypatch.setattr(desk, "effective_field", slow)
    answers = []
    first = threading.Thread(target=lambda: answers.append(ask("effective", qual="0.0.1")))
    first.start()
    assert started.wait(10)
    assert ask("effective", qual="0.0.1") == {"error": desk.BUSY}
    go.set()
    first.join(10)
    assert "uri" in answers[0] and "uri" in ask("effective", qual="0.0.1")


def test_a_model_that_takes_too_long_is_refused_before_it_is_built(ask, monkeypatch):
    monkeypatch.setattr(desk, "network_of", lambda *_: pytest.fail("The model was built."))
    assert "smaller image" in ask("effective", classifier("vgg19", 448), qual="0.0.1")["error"]


def test_a_mask_is_transparent_where_nothing_counts_and_only_there():
    mask = desk.opacity(np.array([[0.0, 1e-9], [0.25, 1.0]]))
    assert mask[0, 0] == 0 < mask[0, 1] < mask[1, 0] < mask[1, 1] == 255
    assert not desk.opacity(np.zeros((3, 3))).any()


def test_the_fewest_pixels_that_hold_most_of_the_strength_are_counted():
    assert desk.strongest(np.array([[0.0, 5.0], [4.0, 1.0]])) == 2
    assert desk.strongest(np.full((4, 5), 0.5)) == 18
    assert desk.strongest(np.zeros((3, 3))) == 0
