"""Links: what is encoded comes back, and nothing that stands in one can do harm."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer import link
from explorer.spec import (
    ACTIVATIONS,
    DECODERS,
    NORMS,
    TASKS,
    BodySpec,
    ClassifierSpec,
    DecoderSpec,
    HeadSpec,
    TrainSpec,
    UnetSpec,
    field_names,
)

numbers = st.floats(min_value=0, max_value=0.95, allow_nan=False)


@st.composite
def heads(draw):
    widths = draw(st.none() | st.lists(st.integers(1, 4096), max_size=4).map(tuple))
    layers = 2 if widths is None else len(widths) + 1
    ps = draw(numbers | st.lists(numbers, min_size=layers, max_size=layers).map(tuple))
    y_range = draw(
        st.none() | st.tuples(st.integers(-9, 0), st.integers(1, 9)).map(lambda r: (float(r[0]), float(r[1])))
    )
    flags = {name: draw(st.booleans()) for name in ("first_bn", "bn_final", "lin_first")}
    return HeadSpec(draw(st.sampled_from(["concat", "avg", "max", None])), widths, ps, y_range=y_range, **flags)


bodies = st.builds(
    BodySpec,
    arch=st.sampled_from(["resnet18", "vgg16_bn"]),
    weights=st.sampled_from(["imagenet", "random"]),
    cut=st.none() | st.integers(-4, 8) | st.sampled_from(["layer3", "features.12"]),
    size=st.integers(32, 512) | st.tuples(st.integers(1, 2048), st.integers(1, 2048)),
    n_in=st.integers(1, 6),
)
decoders = st.builds(
    DecoderSpec,
    kind=st.sampled_from(DECODERS),
    skips=st.none() | st.lists(st.integers(0, 5), max_size=4).map(tuple),
    blur=st.booleans(),
    last_cross=st.booleans(),
    norm_type=st.sampled_from(NORMS),
    act=st.sampled_from(ACTIVATIONS),
    kernel=st.integers(2, 4),
    width_cap=st.none() | st.integers(1, 2048),
    y_range=st.none() | st.just((-1.0, 2.5)),
)


@st.composite
def unets(draw):
    task = draw(st.sampled_from(TASKS))
    n_out = draw(st.integers(1, 1000)) if task == "segmentation" else 3
    return UnetSpec(draw(bodies), draw(decoders), n_out, task)


specs = st.builds(ClassifierSpec, body=bodies, head=heads(), n_out=st.integers(1, 1000)) | unets()
KEYS = sorted({field.key for fields in link.FIELDS.values() for field in fields} | {link.FAMILY})
trains = st.builds(
    TrainSpec,
    data=st.sampled_from(["shapes", "cifar10"]),
    epochs=st.integers(1, 99),
    lr=st.floats(1e-8, 9),
    lrs=st.none() | st.lists(st.floats(0, 9), min_size=1, max_size=4).map(tuple),
    batch_size=st.integers(1, 512),
    frozen=st.booleans() | st.integers(0, 5),
    difficulty=st.floats(0, 1),
    schedule=st.sampled_from(["one_cycle", "fine_tune", "flat"]),
    seed=st.integers(0, 2**31 - 1),
)


@given(specs, trains)
def test_a_link_brings_back_what_it_was_made_of(spec, train):
    decoded = link.decode(link.encode(spec, train))
    assert (decoded.spec, decoded.train, decoded.problems) == (spec, train, ())
    assert type(decoded.train.frozen) is type(train.frozen)


@given(specs, trains)
def test_json_brings_back_what_it_was_made_of(spec, train):
    spec = replace(spec, body=replace(spec.body, weights="/home/me/weights.pth"))
    train = replace(train, data="folder:/home/me/pictures")
    decoded = link.from_json(link.to_json(spec, train))
    assert (decoded.spec, decoded.train, decoded.problems) == (spec, train, ())


@given(st.dictionaries(st.sampled_from([*KEYS, "x", ""]), st.text(max_size=40)), st.sampled_from([*link.SPECS, None]))
def test_decoding_never_raises(query, family):
    decoded = link.decode(query if family is None else {**query, link.FAMILY: family})
    assert type(decoded.spec) is link.SPECS.get(family, ClassifierSpec) and isinstance(decoded.train, TrainSpec)


@given(st.text() | st.recursive(st.none() | st.booleans() | st.text(), st.lists, max_leaves=5).map(str))
def test_reading_json_never_raises(text):
    assert isinstance(link.from_json(text).spec, ClassifierSpec)


@given(
    st.dictionaries(
        st.sampled_from(KEYS),
        st.none() | st.integers() | st.text() | st.lists(st.text(), max_size=3),
    )
)
def test_json_with_absurd_values_never_raises(values):
    import json

    assert isinstance(link.from_json(json.dumps(values)).train, TrainSpec)


@pytest.mark.parametrize(("text", "size"), [("224", 224), ("97x131", (97, 131)), ("97×131", (97, 131)), ("64x64", 64)])
def test_a_size_is_one_side_or_height_and_width(text, size):
    assert link.decode({"size": text}).spec.body.size == size


def test_a_rectangle_is_written_plainly():
    spec = ClassifierSpec(BodySpec(size=(97, 131)))
    assert link.encode(spec, TrainSpec()) == "size=97x131"
    assert link.to_json(spec, TrainSpec()) == '{"size": [97, 131]}'


def test_the_defaults_are_an_empty_link():
    assert link.encode(ClassifierSpec(), TrainSpec()) == ""


@pytest.mark.parametrize("spec", [ClassifierSpec(), UnetSpec()], ids=link.family_of)
def test_every_field_of_the_specs_is_in_the_table(spec):
    places = {f.place for f in link.FIELDS[type(spec)]}
    of_pictures = {f.place for f in link.PICTURE_FIELDS}
    training = {f"train.{name}" for name in field_names(TrainSpec())}
    assert places == set(field_names(spec)) | (training if type(spec) is UnetSpec else training - of_pictures)


def test_a_link_names_its_family_unless_it_is_a_classifiers():
    assert link.encode(UnetSpec(), link.TRAINS[UnetSpec]) == "family=unet"
    assert link.encode(UnetSpec(decoder=DecoderSpec(skips=())), link.TRAINS[UnetSpec]) == "family=unet&skips=none"


def test_a_family_that_is_not_known_is_a_classifiers_and_says_so():
    decoded = link.decode("family=gan&size=64")
    assert decoded.spec == ClassifierSpec(BodySpec(size=64)) and "no page for “gan”" in decoded.problems[0]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("ps=1", "everything"),
        ("widths=a,b", "cannot be read"),
        ("size=99999", "between"),
        ("size=97x9999", "between"),
        ("size=97x", "cannot be read"),
        ("size=9x9x9", "height and a width"),
        ("arch=resnet99", "not known here"),
        ("weights=/etc/passwd", "cannot be read"),
        ("data=folder:/etc", "cannot be read"),
        ("lr=1e9", "between"),
        ("widths=256,128&ps=0.1,", "1 dropout values for 3"),
        ("size=" + "9" * 5000, "cannot be read"),
    ],
)
def test_what_a_link_cannot_mean_falls_back_and_says_so(query, words):
    decoded = link.decode(query, known={"arch": ("resnet18", "resnet34")})
    assert decoded.spec.body == BodySpec() and decoded.train.lr == TrainSpec().lr
    assert any(words in problem for problem in decoded.problems)


def test_the_rest_of_a_link_with_one_bad_part_still_counts():
    decoded = link.decode("size=0&pool=avg&epochs=3")
    assert decoded.spec.head.pool == "avg" and decoded.train.epochs == 3 and len(decoded.problems) == 1


def test_order_in_a_link_does_not_matter():
    assert link.decode("ps=0.1,0.2,0.3&widths=256,128").spec.head.ps == (0.1, 0.2, 0.3)


def test_no_weights_means_random_ones():
    spec = ClassifierSpec(body=BodySpec(weights=None))
    assert link.decode(link.encode(spec, TrainSpec())).spec.body.weights == "random"


def test_paths_stay_out_of_links():
    spec = ClassifierSpec(body=BodySpec(weights="/home/me/w.pth"))
    assert link.encode(spec, TrainSpec(data="folder:/home/me")) == ""


def test_a_link_holds_a_second_design_beside_the_pages():
    here, there = ClassifierSpec(BodySpec(arch="resnet50", cut="layer3")), ClassifierSpec(n_out=10)
    for a, b in ((here, there), (there, here), (here, ClassifierSpec()), (ClassifierSpec(), here)):
        query = link.beside(link.encode(b, TrainSpec()), link.encode(a, TrainSpec(epochs=3)))
        pinned = dict(parse_qsl(query, keep_blank_values=True))[link.PINNED]
        assert link.decode(query) == link.Decoded(b, TrainSpec(), ())
        assert link.decode(pinned) == link.Decoded(a, TrainSpec(epochs=3), ())
    assert link.beside("", "") == "a="
