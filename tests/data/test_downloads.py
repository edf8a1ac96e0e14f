"""torchvision's sets, with tiny archives of the real layout: whole or not at all, and a clear line."""

from __future__ import annotations

import hashlib
import io
import pickle
import socket
import tarfile
import threading
import time
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets

from explorer.data import dense, downloads, registry
from explorer.data.downloads import DOWNLOADS, MASK_DOWNLOADS
from explorer.data.registry import DataError, load

ENTRIES = {entry.name: entry for entry in DOWNLOADS}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("EXPLORER_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "data"


def use(monkeypatch, entry) -> None:
    """Let `load` find this entry in the place of the real one."""
    monkeypatch.setattr(registry, "DOWNLOADS", (entry,))


def archive(path: Path, files: dict[str, bytes]) -> tuple[str, str]:
    """A tar.gz of these files: its address and MD5."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return address_of(path)


def address_of(path: Path) -> tuple[str, str]:
    return path.as_uri(), hashlib.md5(path.read_bytes()).hexdigest()


def jpeg(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (value, value, value)).save(buffer, "JPEG")
    return buffer.getvalue()


def tiny_pets(folder: Path):
    breeds = ("Abyssinian", "beagle")
    images = {f"images/{breed}_{i}.jpg": jpeg(100 * n) for n, breed in enumerate(breeds) for i in range(3)}
    lists = {}
    for part, which in (("trainval", (0, 1)), ("test", (2,))):
        lines = [f"{breed}_{i} {n} 1 1\n" for n, breed in enumerate(breeds, 1) for i in which]
        lists[f"annotations/{part}.txt"] = "".join(lines).encode()
    archives = archive(folder / "images.tar.gz", images), archive(folder / "annotations.tar.gz", lists)
    return replace(ENTRIES["pets"], archives=archives, size=10_000)


def tiny_imagenette(folder: Path):
    files = {
        f"imagenette2-160/{part}/{wnid}/{i}.JPEG": jpeg(100 * n)
        for part, many in (("train", 2), ("val", 1))
        for n, wnid in enumerate(("n01440764", "n02102040"))
        for i in range(many)
    }
    files = {name.replace(".JPEG", ".jpeg"): content for name, content in files.items()}
    return replace(ENTRIES["imagenette"], archives=(archive(folder / "imagenette2-160.tgz", files),), size=10_000)


def tiny_cifar(folder: Path, monkeypatch):
    def batch(n):
        return pickle.dumps({"data": np.full((2, 3072), n, np.uint8), "labels": [0, 1]})

    files = {name: batch(i) for i, (name, _) in enumerate(datasets.CIFAR10.train_list + datasets.CIFAR10.test_list)}
    files["batches.meta"] = pickle.dumps({"label_names": ["airplane", "automobile"]})
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    for lists in ("train_list", "test_list"):
        hashed = [[name, md5[name]] for name, _ in getattr(datasets.CIFAR10, lists)]
        monkeypatch.setattr(datasets.CIFAR10, lists, hashed)
    monkeypatch.setattr(datasets.CIFAR10, "meta", {**datasets.CIFAR10.meta, "md5": md5["batches.meta"]})
    packed = {f"cifar-10-batches-py/{name}": content for name, content in files.items()}
    return replace(ENTRIES["cifar10"], archives=(archive(folder / "cifar-10-python.tar.gz", packed),), size=10_000)


def tiny_flowers(folder: Path, monkeypatch):
    scipy_io = pytest.importorskip("scipy.io")
    scipy_io.savemat(folder / "imagelabels.mat", {"labels": np.array([1, 2, 1, 2])})
    parts = {"trnid": np.array([1, 2]), "valid": np.array([3, 4]), "tstid": np.array([1])}
    scipy_io.savemat(folder / "setid.mat", parts)
    pictures = archive(folder / "102flowers.tgz", {f"jpg/image_{i:05}.jpg": jpeg(50 * i) for i in range(1, 5)})
    labels, sets = (address_of(folder / name) for name in ("imagelabels.mat", "setid.mat"))
    known = {
        "image": ("102flowers.tgz", pictures[1]),
        "label": ("imagelabels.mat", labels[1]),
        "setid": ("setid.mat", sets[1]),
    }
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", known)
    return replace(ENTRIES["flowers102"], archives=(pictures, labels, sets), size=10_000)


@pytest.fixture(params=sorted(ENTRIES))
def tiny(request, tmp_path, monkeypatch):
    """Each set with a handful of pictures, in archives laid out as the real ones."""
    folder = tmp_path / "host"
    folder.mkdir()
    make = {
        "pets": tiny_pets,
        "imagenette": tiny_imagenette,
        "cifar10": lambda at: tiny_cifar(at, monkeypatch),
        "flowers102": lambda at: tiny_flowers(at, monkeypatch),
    }
    entry = make[request.param](folder)
    use(monkeypatch, entry)
    return entry


@pytest.mark.parametrize(
    "name, theirs",
    [
        ("pets", datasets.OxfordIIITPet._RESOURCES),
        ("imagenette", [datasets.Imagenette._ARCHIVES["160px"]]),
        ("cifar10", [(datasets.CIFAR10.url, datasets.CIFAR10.tgz_md5)]),
        ("flowers102", datasets.Flowers102._file_dict.values()),
    ],
)
def test_the_files_and_their_hashes_are_torchvisions(name, theirs):
    ours = {address.rsplit("/", 1)[-1]: md5 for address, md5 in ENTRIES[name].archives}
    assert ours == {address.rsplit("/", 1)[-1]: md5 for address, md5 in theirs}


def test_a_set_is_fetched_once_and_read_by_torchvision(tiny, home):
    told = []
    data = load(tiny.name, size=16, progress=lambda *step: told.append(step))
    again = load(tiny.name, size=16, n_in=1, progress=lambda *_: pytest.fail("fetched again"))
    assert told[0][0] == f"Fetching {tiny.label}" and told[-1][3] == "bytes"
    assert sum(path.stat().st_size for path in (home.parent.parent / "host").iterdir()) == told[-1][1]
    x = data.train.images(range(len(data.train)))
    assert x.shape[1:] == (3, 16, 16) and len(data.valid) > 0
    assert again.valid.images([0]).shape == (1, 1, 16, 16)
    assert set(data.train.labels.tolist()) == {0, 1}
    assert [path.name for path in home.iterdir()] == [tiny.folder], "nothing else stays behind"


def test_the_names_of_classes_are_for_people(tiny):
    firsts = {"pets": "Abyssinian", "imagenette": "tench", "cifar10": "airplane", "flowers102": "pink primrose"}
    assert load(tiny.name, size=16).classes[0] == firsts[tiny.name]


def test_a_set_that_arrives_changed_is_refused_and_leaves_nothing(tiny, home, monkeypatch):
    address, _ = tiny.archives[-1]
    use(monkeypatch, replace(tiny, archives=(*tiny.archives[:-1], (address, "0" * 32))))
    with pytest.raises(DataError, match="arrived cut off or changed"):
        load(tiny.name, size=16)
    assert list(home.iterdir()) == []


def test_an_archive_that_is_none_is_refused_and_leaves_nothing(tmp_path, home, monkeypatch):
    (tmp_path / "x.tar.gz").write_bytes(b"<html>not found</html>")
    use(monkeypatch, replace(ENTRIES["cifar10"], archives=(address_of(tmp_path / "x.tar.gz"),), size=100))
    with pytest.raises(DataError, match="CIFAR-10"):
        load("cifar10", size=16)
    assert list(home.iterdir()) == []


def test_who_ends_it_in_the_middle_leaves_nothing(tiny, home):
    class Enough(Exception):
        pass

    def stop(*_):
        raise Enough

    with pytest.raises(Enough):
        load(tiny.name, size=16, progress=stop)
    assert list(home.iterdir()) == []


@pytest.fixture
def silent_host() -> Iterator[str]:
    """A host that takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/set.tar.gz"


def refusal_from(address: str, monkeypatch) -> str:
    use(monkeypatch, replace(ENTRIES["pets"], archives=((address, ""),), size=811_000_000))
    monkeypatch.setattr(downloads, "SILENCE", 0.3)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(downloads.shutil, "disk_usage", lambda _: namedtuple("Disk", "free")(10**12))
    begun = time.perf_counter()
    with pytest.raises(DataError) as refused:
        load("pets", size=16)
    assert time.perf_counter() - begun < 20
    sentence = str(refused.value)
    assert sentence.startswith("Oxford-IIIT Pets (811 MB) could not be fetched from 127.0.0.1 (")
    assert "\n" not in sentence and sentence.endswith("choose the drawn shapes or a folder of your own.")
    return sentence


def test_a_host_that_says_nothing_is_given_up(silent_host, monkeypatch, home):
    assert "no answer within" in refusal_from(silent_host, monkeypatch)
    assert list(home.iterdir()) == []


def test_a_host_out_of_reach_is_named(monkeypatch, home):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert "refused" in refusal_from(f"http://127.0.0.1:{port}/set.tar.gz", monkeypatch)
    assert list(home.iterdir()) == []


def test_a_host_that_breaks_off_is_named(monkeypatch, home):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            line, _ = server.accept()
            with line:
                line.recv(1000)
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        assert "cut off" in refusal_from(f"http://127.0.0.1:{server.getsockname()[1]}/set.tar.gz", monkeypatch)
        thread.join(5)
    assert list(home.iterdir()) == []


def test_a_full_disk_is_told_before_anything_is_fetched(tiny, monkeypatch):
    use(monkeypatch, replace(tiny, size=10**18))
    with pytest.raises(DataError, match="of disk .* EXPLORER_HOME"):
        load(tiny.name, size=16, progress=lambda *_: pytest.fail("fetched"))


def test_a_set_that_was_damaged_later_says_what_to_remove(tiny, home):
    load(tiny.name, size=16)
    for path in sorted((home / tiny.folder).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(DataError, match="damaged: remove that folder"):
        load(tiny.name, size=16)


def test_a_missing_package_is_named(tmp_path, home, monkeypatch):
    def needs_scipy(root, part):
        raise ModuleNotFoundError("No module named 'scipy'", name="scipy")

    (home / "flowers-102").mkdir(parents=True)
    use(monkeypatch, replace(ENTRIES["flowers102"], open=needs_scipy))
    with pytest.raises(DataError, match="pip install scipy"):
        load("flowers102", size=16)


def test_without_a_place_of_ones_own_sets_lie_in_the_cache(monkeypatch):
    monkeypatch.delenv("EXPLORER_HOME")
    assert downloads.data_home() == Path.home() / ".cache" / "architecture-explorer" / "data"


def test_a_set_is_here_once_it_was_fetched(tiny):
    assert not registry.is_here(tiny.name)
    load(tiny.name, size=16)
    assert registry.is_here(tiny.name)
    assert registry.is_here("shapes")


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.full((30, 40), value, np.uint8)
    pixels[:5] = 255 if value < 3 else 3
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def tiny_voc(folder: Path):
    files = {}
    for part, names in (("train", ("a", "b")), ("val", ("c",))):
        files[f"VOCdevkit/VOC2012/ImageSets/Segmentation/{part}.txt"] = "\n".join(names).encode()
        for name in names:
            files[f"VOCdevkit/VOC2012/JPEGImages/{name}.jpg"] = jpeg(100)
            files[f"VOCdevkit/VOC2012/SegmentationClass/{name}.png"] = png(2)
    path = folder / "voc.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    entry = next(entry for entry in MASK_DOWNLOADS if entry.name == "voc")
    return replace(entry, archives=(address_of(path),), size=10_000)


def test_fetched_masks_are_pairs_with_their_void(tmp_path, monkeypatch):
    monkeypatch.setattr(dense, "MASK_DOWNLOADS", (tiny_voc(tmp_path),))
    assert not registry.is_here("voc")
    dataset = dense.load_dense("voc", task="segmentation", size=(30, 40))
    assert registry.is_here("voc")
    assert (len(dataset.train), len(dataset.valid), len(dataset.classes)) == (2, 1, 21)
    assert dataset.train.images([0])[0, 3].unique().tolist() == [2, dense.VOID]


def test_a_fetched_set_without_masks_serves_tasks_with_pictures(tmp_path, monkeypatch):
    folder = tmp_path / "host"
    folder.mkdir()
    monkeypatch.setattr(dense, "DOWNLOADS", (tiny_pets(folder),))
    dataset = dense.load_dense("pets", task="colour", size=32)
    assert dataset.classes == () and dataset.train.images([0]).shape == (1, 3, 32, 32)
