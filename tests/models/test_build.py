"""From spec to model: shapes, groups, weights and their fallback, and errors at the field they concern."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from explorer.models import weights
from explorer.models.build import build_model
from explorer.models.weights import WeightsUnavailable
from explorer.spec import BodySpec, ClassifierSpec, HeadSpec, SpecError

RANDOM = BodySpec("squeezenet1_1", weights="random", size=64)


@pytest.mark.parametrize("n_in", [1, 3, 4])
def test_a_model_takes_its_example_and_gives_its_outputs(n_in):
    built = build_model(ClassifierSpec(BodySpec("resnet18", weights=None, size=64, n_in=n_in), n_out=7))
    assert built.example_inputs[0].shape == (2, n_in, 64, 64)
    assert built.model(*built.example_inputs).shape == (2, 7)
    assert [group.name for group in built.groups] == ["body-early", "body-late", "head"]


def test_a_model_takes_a_rectangle():
    built = build_model(ClassifierSpec(BodySpec("resnet18", weights=None, size=(33, 70)), n_out=7))
    assert built.example_inputs[0].shape == (2, 3, 33, 70)
    assert built.model(*built.example_inputs).shape == (2, 7)


def test_the_default_spec_is_the_chapters_model():
    with torch.device("meta"):
        built = build_model(ClassifierSpec())
    params = {name: p.numel() for name, p in built.model.named_parameters()}
    assert sum(params.values()) == 21_830_976
    assert sum(params[name] for name in built.groups[-1].params) == 546_304
    assert built.weights.source == "random"


@pytest.mark.parametrize("cut", [-4, "layer2.1", "maxpool", 1])
def test_every_kind_of_cut_gets_a_head_that_fits(cut):
    built = build_model(ClassifierSpec(BodySpec("resnet18", weights=None, cut=cut, size=32), n_out=3))
    assert built.model(*built.example_inputs).shape == (2, 3)


def test_head_fields_reach_the_head():
    head = HeadSpec(pool="avg", lin_ftrs=(8,), ps=(0.1, 0.2), bn_final=True, y_range=(0, 5))
    model = build_model(ClassifierSpec(RANDOM, head, n_out=2)).model
    names = [type(module).__name__ for module in model[1]]
    assert names[0] == "AdaptiveAvgPool2d" and names[-2:] == ["BatchNorm1d", "SigmoidRange"]
    assert [module.p for module in model[1] if hasattr(module, "p")] == [0.1, 0.2]


@pytest.mark.parametrize(
    ("body", "field", "told"),
    [
        (BodySpec("resnet43", weights=None), "body.arch", "resnet34"),
        (BodySpec("resnet18", weights=None, cut=0), "body.cut", "choose 1 to 8"),
        (BodySpec("resnet18", weights=None, cut="layer9"), "body.cut", "layer4"),
        (BodySpec("squeezenet1_1", weights="/nowhere/at/all.pth"), "body.weights", "no weights file 'all.pth'"),
    ],
)
def test_an_error_names_the_field_it_concerns(body, field, told):
    with pytest.raises(SpecError, match=told) as error:
        build_model(ClassifierSpec(body))
    assert error.value.field == field


def test_a_saved_classifier_comes_back_whole(tmp_path):
    spec = ClassifierSpec(RANDOM, n_out=4)
    torch.manual_seed(1)
    first = build_model(spec).model
    torch.save({"model": first.state_dict(), "opt": None}, tmp_path / "w.pth")
    again = build_model(ClassifierSpec(BodySpec("squeezenet1_1", weights=str(tmp_path / "w.pth"), size=64), n_out=4))
    assert again.weights.source == "file" and again.weights.note == ""
    assert all(torch.equal(p, q) for p, q in zip(first.parameters(), again.model.parameters(), strict=True))


@pytest.fixture
def offline(tmp_path, monkeypatch):
    monkeypatch.delenv(weights.FOLDER, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def urlopen(request, timeout):
        raise URLError(OSError(-2, "Name or service not known"))

    monkeypatch.setattr("explorer.fetch.urlopen", urlopen)


def test_without_a_network_the_body_starts_at_random_and_says_so(offline):
    built = build_model(ClassifierSpec(BodySpec("squeezenet1_1", size=64)))
    assert built.weights.source == "random"
    assert built.weights.note == (
        "The ImageNet weights of squeezenet1_1 could not be fetched from download.pytorch.org (Name or service not "
        "known), so the body starts from random weights: choose a weights file, or put one into the folder that "
        "EXPLORER_WEIGHTS names."
    )
    assert built.model(*built.example_inputs).shape == (2, 37)


def test_strict_raises_where_imagenet_cannot_be_had(offline):
    with pytest.raises(WeightsUnavailable, match="download.pytorch.org"):
        build_model(ClassifierSpec(BodySpec("squeezenet1_1")), strict=True)


def test_imagenet_weights_see_what_is_in_a_picture(shared_weights, monkeypatch):
    monkeypatch.setenv(weights.FOLDER, str(shared_weights))
    built = build_model(ClassifierSpec(BodySpec("squeezenet1_1", size=64, cut="features.8")), strict=True)
    assert built.weights.source == "imagenet" and built.weights.missing == ()
    assert len(built.weights.dropped) == 26


def test_models_import_neither_the_page_nor_the_peers():
    code = "import sys, explorer.models.build; print([m for m in sys.modules if m in sys.argv[1:]])"
    foreign = ["gradio", "plotly", "fastai", "torchinfo"]
    command = [sys.executable, "-c", code, *foreign]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert done.stdout.strip() == "[]"
