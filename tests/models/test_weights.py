"""Weights: where they come from, what is refused unread, how they fit, and what a failed download leaves behind."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import zipfile
from pathlib import Path
from types import SimpleNamespace
from urllib.error import HTTPError, URLError

import pytest
import safetensors.torch
import torch
import torchvision
from torch import nn

from explorer.models import weights
from explorer.models.bodies import build_original, list_archs, take_apart
from explorer.models.heads import create_head
from explorer.models.weights import (
    WeightsUnavailable,
    adapt_kernel,
    describe_imagenet,
    fetch,
    load_weights,
    read_file,
)

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.tensor(3)}
ARCH = "squeezenet1_1"


def parts(arch: str = ARCH, cut: str | None = None):
    return take_apart(build_original(arch), cut, arch)


def fill(source, arch: str = ARCH, cut: str | None = None, head: nn.Module | None = None):
    """A model of body (and head) filled from a file, and the report."""
    made = parts(arch, cut)
    model = nn.Sequential(made.body, *([head] if head else []))
    return model, load_weights(model, source, arch, made.names, made.dropped_tensors)


def state_file(folder: Path, model: nn.Module | dict, name: str = "w.pth") -> Path:
    torch.save(model if isinstance(model, dict) else model.state_dict(), folder / name)
    return folder / name


# ---- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrapped",
    [
        TENSORS,
        {"model": TENSORS, "opt": {"lr": 1}},
        {"state_dict": TENSORS, "best_prec1": 91.7},
        {"state_dict": {f"module.{name}": t for name, t in TENSORS.items()}},
        {**TENSORS, "epoch": 3, "note": "best"},
    ],
    ids=["bare", "fastai", "state_dict", "parallel", "with other things"],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_tensors_are_found_however_they_are_wrapped(tmp_path, wrapped, legacy):
    torch.save(wrapped, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    read = read_file(tmp_path / "w.pth")
    assert set(read) == set(TENSORS) and all(torch.equal(read[name], TENSORS[name]) for name in TENSORS)


def test_safetensors_are_read(tmp_path):
    safetensors.torch.save_file(TENSORS, tmp_path / "w.safetensors")
    assert torch.equal(read_file(str(tmp_path / "w.safetensors"))["a.weight"], TENSORS["a.weight"])


class Code:
    """A pickle that would make a file when it is opened."""

    def __init__(self, trace: Path):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def pickled_code(folder: Path) -> None:
    torch.save({"a": Code(folder / "ran")}, folder / "w.pth")


def pickled_code_legacy(folder: Path) -> None:
    torch.save({"a": Code(folder / "ran")}, folder / "w.pth", _use_new_zipfile_serialization=False)


def bare_pickle(folder: Path) -> None:
    (folder / "w.pth").write_bytes(pickle.dumps(Code(folder / "ran"), protocol=2))


def whole_module(folder: Path) -> None:
    torch.save(nn.Linear(2, 2), folder / "w.pth")


def truncated(folder: Path) -> None:
    whole = state_file(folder, {"a": torch.zeros(1000)}).read_bytes()
    (folder / "w.pth").write_bytes(whole[: len(whole) // 2])


def truncated_legacy(folder: Path) -> None:
    torch.save({"a": torch.zeros(1000)}, folder / "w.pth", _use_new_zipfile_serialization=False)
    (folder / "w.pth").write_bytes((folder / "w.pth").read_bytes()[:-100])


def another_zip(folder: Path) -> None:
    with zipfile.ZipFile(folder / "w.pth", "w") as archive:
        archive.writestr("letter.txt", "hello")


def truncated_safetensors(folder: Path) -> None:
    (folder / "w.safetensors").write_bytes(safetensors.torch.save(TENSORS)[:-5])


def text(folder: Path) -> None:
    (folder / "w.pth").write_text("no weights at all")


def empty(folder: Path) -> None:
    (folder / "w.pth").write_bytes(b"")


def numbers(folder: Path) -> None:
    torch.save([1, 2, 3], folder / "w.pth")


def nothing(folder: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (pickled_code, "holds pickled code, which is never run"),
        (pickled_code_legacy, "holds pickled code, which is never run"),
        (bare_pickle, "holds pickled code, which is never run"),
        (whole_module, "holds pickled code"),
        (truncated, "broken or cut short"),
        (truncated_legacy, "broken or cut short"),
        (another_zip, "zip archive without plain weights"),
        (truncated_safetensors, "broken or no safetensors file"),
        (text, "no weights file"),
        (empty, "is empty"),
        (numbers, "no weights by name"),
        (nothing, "There is no weights file"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_what_holds_no_weights_is_refused_in_one_sentence_and_never_run(tmp_path, make, told):
    make(tmp_path)
    path = next(iter(tmp_path.glob("w.*")), tmp_path / "w.pth")
    with pytest.raises(ValueError, match=told) as refusal:
        read_file(path)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 160
    assert not (tmp_path / "ran").exists()


# ---- fitting ---------------------------------------------------------------------------------------------------------


def test_a_whole_torchvision_file_fits_a_cut_body(tmp_path):
    trained = torchvision.models.squeezenet1_1()
    model, report = fill(state_file(tmp_path, trained), cut="features.7")
    assert torch.equal(model[0][0][7].squeeze.weight, trained.features[7].squeeze.weight)
    assert (report.source, report.detail, report.note, report.loaded) == ("file", "w.pth", "", 26)
    assert "classifier.1.weight" in report.dropped and "features.9.squeeze.weight" in report.dropped
    assert report.missing == report.unexpected == report.reshaped == ()


@pytest.mark.parametrize("naming", ["classifier", "body alone"])
def test_fastais_numbered_names_load(tmp_path, naming):
    trained = nn.Sequential(parts("resnet18").body, create_head(512, 3))
    state = trained.state_dict() if naming == "classifier" else trained[0].state_dict()
    path = state_file(tmp_path, {"model": state, "opt": {}})
    model, report = fill(path, "resnet18", head=create_head(512, 3))
    assert all(torch.equal(p, q) for p, q in zip(model[0].parameters(), trained[0].parameters(), strict=True))
    assert torch.equal(model[1][8].weight, trained[1][8].weight) == (naming == "classifier")
    assert report.missing == report.unexpected == report.reshaped == ()


def test_a_saved_classifier_fits_a_shallower_body(tmp_path):
    trained = nn.Sequential(parts("resnet18").body, create_head(512, 3))
    model, report = fill(state_file(tmp_path, trained), "resnet18", cut="layer3", head=create_head(256, 3))
    assert "0.7.0.conv1.weight" in report.dropped and not report.unexpected
    assert "1.4.weight" in report.reshaped and "256" not in report.missing
    assert "'1.2.weight' is 1024, resnet18 needs 512" in report.note


def test_other_outputs_keep_the_body_and_name_the_layer(tmp_path):
    trained = nn.Sequential(parts("resnet18").body, create_head(512, 3))
    model, report = fill(state_file(tmp_path, trained), "resnet18", head=create_head(512, 37))
    assert report.reshaped == ("1.8.weight",)
    assert "'1.8.weight' is 3×512, resnet18 needs 37×512" in report.note
    assert torch.equal(model[0][0].weight, trained[0][0].weight)


def test_missing_tensors_are_named_and_the_rest_loads(tmp_path):
    state = torchvision.models.squeezenet1_1().state_dict()
    del state["features.12.squeeze.weight"]
    state["stranger"] = torch.zeros(2)
    _, report = fill(state_file(tmp_path, state))
    assert report.missing == ("features.12.squeeze.weight",) and report.unexpected == ("stranger",)
    assert report.note == (
        "The file lacks 'features.12.squeeze.weight', which starts at random, and holds 'stranger', "
        "for which squeezenet1_1 has no place."
    )


def test_old_files_without_counters_and_with_old_densenet_names_fit(tmp_path):
    state = build_original("densenet121").state_dict()
    old = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    }
    _, report = fill(state_file(tmp_path, old), "densenet121")
    assert report.missing == report.unexpected == () and report.note == ""


def test_a_file_of_another_architecture_is_recognised_and_changes_nothing(shared_weights):
    made = parts("resnet34")
    model = nn.Sequential(made.body)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for file, looks in {
        "squeezenet1_1": "; it looks like squeezenet1_1",
        "mobilenet_v2": "; it looks like mobilenet_v2",
    }.items():
        path = next(shared_weights.glob(f"{file}-*"))
        with pytest.raises(ValueError, match=f"fits 0 of 180 tensors of resnet34{looks}"):
            load_weights(model, path, "resnet34", made.names)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_relatives_file_is_refused_when_it_fits_in_part(shared_weights):
    with pytest.raises(ValueError, match="fits 28 of 50 tensors of squeezenet1_0; it looks like squeezenet1_1"):
        fill(next(shared_weights.glob("squeezenet1_1-*")), "squeezenet1_0")


def test_a_deeper_relatives_file_fits_and_says_what_it_is(tmp_path):
    _, report = fill(state_file(tmp_path, torchvision.models.resnet34()), "resnet18")
    assert report.missing == () and len(report.unexpected) == 96
    assert "has no place. It looks like resnet34." in report.note


@pytest.mark.parametrize("n_in", [1, 2, 5])
def test_three_channel_files_fill_bodies_of_other_channels(tmp_path, n_in):
    trained = torchvision.models.squeezenet1_1()
    made = parts()
    made.body[0][0] = nn.Conv2d(n_in, 64, 3, stride=2)
    report = load_weights(
        nn.Sequential(made.body), state_file(tmp_path, trained), ARCH, made.names, made.dropped_tensors
    )
    assert torch.equal(made.body[0][0].weight, adapt_kernel(trained.features[0].weight, n_in))
    assert torch.equal(made.body[0][3].squeeze.weight, trained.features[3].squeeze.weight)
    assert report.note == "" and report.unexpected == ()


def test_kernels_adapt_by_the_rules():
    kernel = torch.arange(3.0).reshape(1, 3, 1, 1)
    assert adapt_kernel(kernel, 1).flatten().tolist() == [3.0]
    assert adapt_kernel(kernel, 2).flatten().tolist() == [0.0, 1.5]
    assert adapt_kernel(kernel, 3).flatten().tolist() == [0.0, 1.0, 2.0]
    assert adapt_kernel(kernel, 5).flatten().tolist() == [0.0, 1.0, 2.0, 0.0, 0.0]


def test_random_weights_leave_the_model_alone():
    for source in (None, "random"):
        assert fill(source)[1].source == "random"


# ---- ImageNet --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", list_archs())
def test_every_architectures_weights_are_described_in_one_line(arch):
    line = describe_imagenet(arch)
    assert "% top-1" in line and "MB" in line and "recipe https://" in line
    assert ("BSD-3-Clause" in line) != ("licence https://" in line)  # SWAG's weights have one of their own
    assert "\n" not in line


@pytest.fixture
def offline_home(tmp_path, monkeypatch):
    """An empty cache, no weights folder, and a small file that the network would give for resnet18."""
    content = torch.save(torchvision.models.squeezenet1_1().state_dict(), buffer := io.BytesIO()) or buffer.getvalue()
    name = f"squeezenet1_1-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    monkeypatch.delenv(weights.FOLDER, raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(weights, "_entry", lambda arch: SimpleNamespace(url=f"https://weights.invalid/models/{name}"))
    return SimpleNamespace(content=content, cached=tmp_path / "hub" / "checkpoints" / name)


class Answer(io.BytesIO):
    """What `urlopen` gives: a body and its length."""

    def __init__(self, content: bytes, length: int | None = None):
        super().__init__(content)
        self.headers = {"Content-Length": str(len(content) if length is None else length)}


def serve(monkeypatch, answer) -> list[float]:
    """Answer every request with `answer()`; the list fills with the timeouts that were asked for."""
    timeouts: list[float] = []

    def urlopen(request, timeout):
        timeouts.append(timeout)
        return answer()

    monkeypatch.setattr("explorer.fetch.urlopen", urlopen)
    return timeouts


def refuse(error: Exception):
    def answer():
        raise error

    return answer


def test_a_download_is_whole_checked_told_and_kept(offline_home, monkeypatch):
    timeouts = serve(monkeypatch, lambda: Answer(offline_home.content))
    told: list[tuple[int, int]] = []
    path = fetch(ARCH, lambda done, total: told.append((done, total)))
    assert path == offline_home.cached and path.read_bytes() == offline_home.content
    assert told[-1] == (len(offline_home.content),) * 2 and told == sorted(told) and len(told) > 10
    assert timeouts == [weights.TIMEOUT] and weights.TIMEOUT <= 10
    assert fetch(ARCH) == path and len(timeouts) == 1
    assert [file.name for file in path.parent.iterdir()] == [path.name]


class Broken(Answer):
    """A line that dies after the first piece."""

    def read(self, size: int = -1) -> bytes:
        if self.tell():
            raise ConnectionResetError("Connection reset by peer")
        return super().read(size)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda content: refuse(URLError(OSError(-2, "Name or service not known"))), "Name or service not known"),
        (lambda content: refuse(TimeoutError("timed out")), "timed out"),
        (lambda content: refuse(HTTPError("https://x", 403, "Forbidden", {}, None)), "HTTP 403"),
        (lambda content: lambda: Broken(content), "Connection reset by peer"),
        (lambda content: lambda: Answer(content[:-9], len(content)), "broke off after"),
        (lambda content: lambda: Answer(b"<html>please log in</html>"), "does not match its hash"),
    ],
    ids=["no name", "time out", "forbidden", "reset", "short", "another file"],
)
def test_a_failed_download_says_why_and_leaves_nothing(offline_home, monkeypatch, answer, told):
    serve(monkeypatch, answer(offline_home.content))
    with pytest.raises(
        WeightsUnavailable, match=rf"squeezenet1_1 could not be fetched from weights.invalid \(.*{told}"
    ):
        fetch(ARCH)
    assert list(offline_home.cached.parent.iterdir()) == []


def test_a_download_that_is_given_up_leaves_nothing(offline_home, monkeypatch):
    serve(monkeypatch, lambda: Answer(offline_home.content))

    def give_up(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(ARCH, give_up)
    assert list(offline_home.cached.parent.iterdir()) == []


def test_the_weights_folder_comes_before_cache_and_network(offline_home, monkeypatch, tmp_path):
    serve(monkeypatch, refuse(AssertionError("the network was asked")))
    offline_home.cached.parent.mkdir(parents=True)
    offline_home.cached.write_bytes(b"x")
    assert fetch(ARCH) == offline_home.cached
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setenv(weights.FOLDER, str(folder))
    for name in ("squeezenet1_1-mine.safetensors", offline_home.cached.name):
        (folder / name).write_bytes(b"x")
        assert fetch(ARCH) == folder / name
    (folder / "squeezenet1_0-other.pth").write_bytes(b"x")
    assert fetch("squeezenet1_0").parent == folder


def test_stored_imagenet_weights_that_are_broken_are_unavailable(offline_home):
    offline_home.cached.parent.mkdir(parents=True)
    offline_home.cached.write_bytes(b"PK broken")
    with pytest.raises(WeightsUnavailable, match="stored ImageNet weights of squeezenet1_1 do not serve"):
        fill("imagenet")


def test_real_imagenet_weights_come_from_the_folder(shared_weights, monkeypatch):
    monkeypatch.setenv(weights.FOLDER, str(shared_weights))
    model, report = fill("imagenet")
    stored = read_file(next(shared_weights.glob("squeezenet1_1-*")))
    assert torch.equal(model[0][0][0].weight, stored["features.0.weight"])
    assert report.source == "imagenet" and report.loaded == 50 and report.note == ""
    assert report.detail.startswith("SqueezeNet1_1_Weights.IMAGENET1K_V1: 58.2 % top-1")
    assert report.detail.endswith("squeezenet1_1-imagenet-torchvision-fp16rounded.pth")


def test_a_file_wrapped_in_itself_is_refused_and_not_opened_for_ever(tmp_path):
    endless: dict = {}
    endless["model"] = endless
    torch.save(endless, tmp_path / "endless.pth")
    with pytest.raises(ValueError, match="no weights by name"):
        weights.read_file(tmp_path / "endless.pth")


def test_a_file_that_would_swell_is_refused_before_it_is_unpacked(tmp_path):
    torch.save({"weight": torch.zeros(2**22)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain, zipfile.ZipFile(tmp_path / "bomb.pth", "w") as bomb:
        for entry in plain.infolist():
            bomb.writestr(entry.filename, plain.read(entry), zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="swell"):
        weights.read_file(tmp_path / "bomb.pth")


def test_tensors_that_are_no_plain_numbers_do_not_count(tmp_path):
    plain = torch.ones(2, 2)
    odd = {"a": plain.to_sparse(), "b": torch.empty(2, device="meta"), "c": plain.to(torch.complex64), "d": plain}
    torch.save(odd, tmp_path / "odd.pth")
    assert list(weights.read_file(tmp_path / "odd.pth")) == ["d"]


def test_the_ending_of_a_safetensors_file_may_be_written_large(tmp_path):
    safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / "W.SAFETENSORS")
    assert list(weights.read_file(tmp_path / "W.SAFETENSORS")) == ["w"]
