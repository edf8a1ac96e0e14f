"""What the Activations tab is answered: real networks, real pictures, and one sentence for a stranger's nonsense."""

from __future__ import annotations

import io
import json
from base64 import b64encode
from dataclasses import asdict, replace

import pytest
import safetensors.torch
import torch
from PIL import Image

from explorer.models.build import build_model
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec
from explorer.ui import activations_desk as desk
from explorer.ui.activations_desk import activations_functions, read_photo
from explorer.ui.weights_desk import WeightsDesk, WeightsState

SPEC = ClassifierSpec(BodySpec("squeezenet1_1", weights="random", size=64), n_out=5)


@pytest.fixture
def functions(handlers):
    return activations_functions(handlers.services)


@pytest.fixture
def ask(functions):
    """ask(spec, qual="0.0.1", …) -> the answer, which must be plain JSON."""

    def asked(spec: ClassifierSpec = SPEC, **wish) -> dict:
        answer = functions[1]({"spec": asdict(spec), "photo": {"sample": "cat"}, **wish})
        return json.loads(json.dumps(answer, allow_nan=False))

    return asked


def uri(image: Image.Image | bytes, kind: str = "png") -> str:
    buffer = io.BytesIO()
    if isinstance(image, bytes):
        buffer.write(image)
    else:
        image.save(buffer, kind)
    return f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode()}"


def red(width: int = 40, height: int = 30) -> Image.Image:
    return Image.new("RGB", (width, height), "red")


# ---- answers ----


def test_a_layer_of_the_body_is_shown_as_maps(ask):
    answer = ask(qual="0.0.1")
    assert (answer["kind"], answer["count"], answer["grid"]) == ("maps", 64, [31, 31])
    assert answer["sheet"]["uri"].startswith("data:image/png;base64,")
    assert len(answer["network"]["quals"]) == len(answer["network"]["dead"]) > 60
    assert sum(answer["histogram"]["counts"]) == 64 * 31 * 31
    assert desk.HEAD_NOTE in answer["notes"] and desk.BODY_NOTE in answer["notes"]


def test_a_layer_of_the_head_is_shown_as_numbers(ask):
    answer = ask(qual="1.8")
    assert answer["kind"] == "vector" and len(answer["values"]) == 5 and answer["layer"]["name"] == "head.8"


@pytest.mark.parametrize("qual", [None, "0.99", "nowhere", 7, ["0"], {"a": 1}])
def test_without_a_layer_of_this_model_one_is_chosen(ask, qual):
    assert ask(qual=qual)["layer"]["qual"] == "0.0.1"


def test_one_channel_comes_large(ask):
    large = ask(qual="0.0.1", channel=5)
    assert large["channel"] == 5 and large["uri"].startswith("data:image/png")
    assert "channels 0 to 63" in ask(qual="0.0.1", channel=64)["error"]
    assert "whole number" in ask(qual="0.0.1", channel="5")["error"]


def test_one_scale_and_a_scale_each_differ(ask):
    each, one = ask(qual="0.0.1"), ask(qual="0.0.1", one_scale=True)
    assert len(set(one["highs"])) == 1 < len(set(each["highs"]))


def test_two_pictures_give_two_answers(ask):
    cat, other = ask(qual="0.0.1"), ask(qual="0.0.1", photo={"uri": uri(red())})
    assert cat["mean"] != other["mean"]


def test_the_same_question_gets_the_same_answer(ask):
    assert ask(qual="1.8") == ask(qual="1.8")


@pytest.mark.parametrize("n_in", [1, 2, 5])
def test_other_channels_work(ask, n_in):
    assert ask(replace(SPEC, body=replace(SPEC.body, n_in=n_in)), qual="0.0.0")["kind"] == "maps"


def test_a_head_that_cannot_run_leaves_the_body_to_be_seen(ask):
    answer = ask(replace(SPEC, head=HeadSpec(pool=None)), qual="0.0.1")
    assert answer["kind"] == "maps" and any("choose a pooling" in note for note in answer["notes"])
    assert all(qual.startswith("0.") for qual in answer["network"]["quals"])


def test_a_body_that_cannot_run_says_why(ask):
    assert "set the size to" in ask(ClassifierSpec(BodySpec("alexnet", weights="random", size=16)))["error"]


def test_a_head_too_large_for_memory_is_refused_before_it_is_built(ask):
    assert "choose narrower layers" in ask(replace(SPEC, head=HeadSpec(lin_ftrs=(65536, 65536))))["error"]


def test_without_imagenet_weights_random_ones_are_shown_and_said(ask):
    answer = ask(replace(SPEC, body=replace(SPEC.body, weights="imagenet")), qual="0.0.1")
    assert answer["kind"] == "maps" and desk.BODY_NOTE in answer["notes"]


def test_while_weights_are_on_their_way_the_page_waits(handlers):
    class Slow(WeightsDesk):
        def ask(self, arch, *, wait=0.0):
            return WeightsState("fetching", 54, 87)

    functions = activations_functions(replace(handlers.services, weights=Slow(None)))
    spec = asdict(replace(SPEC, body=replace(SPEC.body, weights="imagenet")))
    pending = {"pending": {"text": "Fetching squeezenet1_1", "done": 54, "total": 87}}
    assert functions[1]({"spec": spec}) == functions[2]({"spec": spec}) == pending


def test_a_weights_file_of_a_whole_run_brings_its_head(ask, tmp_path):
    model = build_model(SPEC).model
    with torch.no_grad():
        model[1][8].weight.zero_()
    path = tmp_path / "last.safetensors"
    safetensors.torch.save_file(model.state_dict(), path)
    answer = ask(replace(SPEC, body=replace(SPEC.body, weights=str(path))), qual="1.8")
    assert answer["dead"] == 1.0 and answer["notes"] == []


# ---- what a stranger sends ----


@pytest.mark.parametrize(
    "asked",
    [
        None, "x", [], 7, {}, {"spec": None}, {"spec": {"body": {}}},
        {"spec": {"body": {"arch": "resnet99"}, "head": {}}},
        {"spec": {"body": {"arch": "resnet18", "weights": "/etc/passwd"}, "head": {}}},
        {"spec": {"body": {"arch": "resnet18", "weights": "random", "size": 2000}, "head": {}}},
        {"spec": {"body": {"arch": ["a"]}, "head": {}}}, {"spec": {"body": {"oops": 1}, "head": {}}},
        {"spec": {"body": {}, "head": {"ps": [[1]]}}}, {"spec": {"body": {}, "head": {}, "n_out": "many"}},
        {"spec": {"body": {"arch": "resnet18", "weights": "random", "cut": "nowhere"}, "head": {}}},
    ],
)  # fmt: skip
def test_nonsense_gets_one_sentence(functions, asked):
    for function in functions[1:]:
        answer = function(asked)
        assert list(answer) == ["error"] and answer["error"].endswith((".", "?"))


def test_a_name_that_is_no_architecture_is_not_asked_for_in_the_network(handlers):
    asked = []

    class Noting(WeightsDesk):
        def ask(self, arch, *, wait=0.0):
            asked.append(arch)
            return WeightsState("missing")

    functions = activations_functions(replace(handlers.services, weights=Noting(None)))
    functions[1]({"spec": {"body": {"arch": "resnet99"}, "head": {}}})
    assert asked == []


@pytest.mark.parametrize(
    ("photo", "words"),
    [
        ({"sample": "dog"}, "no sample picture 'dog'"), ({"sample": "../../etc/passwd"}, "no sample picture"),
        ({"sample": ["cat"]}, "no sample picture"), ({"uri": 5}, "no picture"), ({"uri": ""}, "no picture"),
        ({"uri": "data:text/html;base64,AAAA"}, "no picture"), ({"uri": "data:image/gif;base64,AAAA"}, "no picture"),
        ({"uri": "data:image/svg+xml;base64,AAAA"}, "no picture"),
        ({"uri": "data:image/png;base64,@@@@"}, "did not arrive whole"),
        ({"uri": "data:image/png;base64," + "A" * 2_000_000}, "1 MB is the limit"),
        ({"uri": uri(b"nothing at all")}, "cut off or damaged"), ({"uri": uri(red(3, 3))}, "4 is the least"),
        ({"uri": uri(Image.new("1", (9000, 9000)))}, "2048 is the limit"),
        ({"uri": uri(Image.new("L", (60000, 1)))}, "2048 is the limit"),
    ],
)  # fmt: skip
def test_what_is_no_picture_is_refused_with_a_sentence(photo, words):
    with pytest.raises(ValueError, match=words) as refused:
        read_photo(photo)
    assert str(refused.value).endswith(".") and len(str(refused.value)) < 140


def test_a_picture_that_ends_too_early_is_refused():
    noisy = Image.effect_noise((200, 200), 90).convert("RGB")
    whole = uri(noisy, "jpeg")
    kind, _, data = whole.partition(",")
    with pytest.raises(ValueError, match="cut off or damaged"):
        read_photo({"uri": f"{kind},{data[: len(data) // 2 // 4 * 4]}"})


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_png_jpeg_and_webp_are_read(kind):
    assert read_photo({"uri": uri(red(), kind)}).getpixel((20, 15))[0] > 240


def test_what_is_transparent_is_white_and_exif_turns():
    clear = Image.new("RGBA", (20, 20), (0, 0, 0, 0))
    assert read_photo({"uri": uri(clear)}).getpixel((3, 3)) == (255, 255, 255)
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    red(40, 20).save(buffer, "jpeg", exif=exif)
    assert read_photo({"uri": uri(buffer.getvalue(), "jpeg")}).size == (20, 40)


# ---- samples and labels ----


def test_samples_have_a_picture_and_a_name(functions):
    found = functions[0]()["samples"]
    assert found[0]["name"] == "cat" and len({sample["label"] for sample in found}) == len(found) >= 4
    assert all(sample["thumb"].startswith("data:image/jpeg") for sample in found)
    assert all(read_photo({"sample": sample["name"]}).mode == "RGB" for sample in found)


def test_random_weights_have_no_labels(functions):
    answer = functions[2]({"spec": asdict(SPEC), "photo": {"sample": "cat"}})
    assert answer == {"note": "ImageNet labels need ImageNet weights."}


def test_an_uncut_network_says_what_it_sees(handlers, shared_weights, monkeypatch):
    monkeypatch.setenv("EXPLORER_WEIGHTS", str(shared_weights))
    services = replace(handlers.services, weights=WeightsDesk(desk.fetch))
    functions = activations_functions(services)
    spec = asdict(ClassifierSpec(BodySpec("squeezenet1_1", size=224)))
    photo = next((shared_weights.parent / "imagenet_samples").glob("963_*"))
    with Image.open(photo) as image:
        small = image.convert("RGB").resize((256, 256))
    answer = functions[2]({"spec": spec, "photo": {"uri": uri(small, "jpeg")}})
    assert "pizza" in [name for name, _ in answer["labels"]]
    seen = functions[1]({"spec": spec, "qual": "0.0.1", "photo": {"sample": "cat"}})
    assert seen["notes"] == [desk.HEAD_NOTE]
    grey = asdict(ClassifierSpec(BodySpec("squeezenet1_1", n_in=1)))
    assert functions[2]({"spec": grey, "photo": {"sample": "cat"}}) == {"note": "ImageNet labels need three channels."}


def test_a_file_without_a_classifier_has_no_labels(handlers, tmp_path, monkeypatch):
    body = {f"features.{name}": t for name, t in build_model(SPEC).model[0][0].state_dict().items()}
    torch.save(body, tmp_path / "squeezenet1_1-body.pth")
    monkeypatch.setenv("EXPLORER_WEIGHTS", str(tmp_path))
    functions = activations_functions(replace(handlers.services, weights=WeightsDesk(desk.fetch)))
    spec = asdict(replace(SPEC, body=replace(SPEC.body, weights="imagenet")))
    answer = functions[2]({"spec": spec, "photo": {"uri": uri(red())}})
    assert answer == {"error": "The stored weights of squeezenet1_1 hold no classifier, so there are no labels."}
