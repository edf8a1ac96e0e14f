"""Weights from ImageNet, from a file, or left as they are: found, read safely, and matched by name.

`EXPLORER_WEIGHTS` names a folder whose files are taken before the network.
"""

from __future__ import annotations

import os
import pickle
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

import safetensors
import safetensors.torch
import torch
import torchvision
from torch import Tensor, nn

from explorer.fetch import fetch as download
from explorer.host import is_public
from explorer.models import timm_archs
from explorer.models.archs import OPTIONS, list_archs, weights_entry
from explorer.models.meta import Blank

FOLDER = "EXPLORER_WEIGHTS"
TIMEOUT = 8  # seconds, to connect and between two pieces
WRAPS = 8  # of {"model": …} around the tensors
SWELLING = 4  # times a file's own size that it may hold
LIKENESS = 0.9  # share of a file's tensors that fit before it is said to look like a network

Progress = Callable[[int, int], None]
"""Told (bytes done, bytes in all) while something is fetched; in all is 0 where it is not known."""


@dataclass(frozen=True)
class WeightsReport:
    """Which weights a model has, and how well they fitted.

    source      "imagenet", "random" or "file"
    detail      recipe and licence, or the file's name
    missing     tensors of the model that the file does not hold; they keep their random values
    unexpected  tensors of the file that the architecture does not know
    reshaped    tensors of another shape in the file, not loaded
    note        "" or one sentence: why it is not what was asked for, or what to look at
    dropped     tensors of the file that belong to what the cut threw away
    loaded      how many tensors were copied
    """

    source: str
    detail: str
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    reshaped: tuple[str, ...] = ()
    note: str = ""
    dropped: tuple[str, ...] = ()
    loaded: int = 0


class WeightsUnavailable(OSError):
    """ImageNet weights that cannot be had; its text is one sentence that names what failed."""


def load_weights(
    model: nn.Sequential,
    source: str | Path | None,
    arch: str,
    names: Sequence[str],
    dropped: frozenset[str] = frozenset(),
    progress: Progress | None = None,
) -> WeightsReport:
    """Fill a model, `nn.Sequential(body)` or `nn.Sequential(body, head)`, in place.

    source   None or "random" (nothing happens), "imagenet", or a file
    names    the architecture's own names of the body's children
    dropped  names of the original's tensors that the cut threw away

    Raises ValueError for a file that cannot be read or does not fit, WeightsUnavailable for ImageNet weights that
    cannot be had.
    """
    if source in (None, "random"):
        return WeightsReport("random", f"{'timm' if timm_archs.is_timm(arch) else 'torchvision'}'s own initialisation")
    if source == "imagenet":
        path = fetch(arch, progress)
        try:
            report = _fill(model, _stored(arch, path), arch, names, dropped)
        except ValueError as error:
            raise WeightsUnavailable(f"The stored ImageNet weights of {arch} do not serve. {error}") from error
        return replace(report, source="imagenet", detail=_imagenet_line(arch, path))
    path = Path(source).expanduser()
    return replace(_fill(model, read_file(path), arch, names, dropped), detail=path.name)


def describe_imagenet(arch: str) -> str:
    """One line on torchvision's weights: entry, accuracy, size, licence and recipe.

    >>> describe_imagenet("resnet34")[:37]
    'ResNet34_Weights.IMAGENET1K_V1: 73.3 '
    """
    if timm_archs.is_timm(arch):
        return timm_archs.describe_weights(arch)
    entry = _entry(arch)
    meta = entry.meta
    licence = f"licence {meta['license']}" if "license" in meta else "BSD-3-Clause"
    return (
        f"{enum_name(arch)}.{entry.name}: {meta['_metrics']['ImageNet-1K']['acc@1']:.1f} % top-1 on ImageNet-1K, "
        f"{meta['num_params'] / 1e6:.1f} M parameters, {meta['_file_size']:.0f} MB; torchvision, {licence}, "
        f"trained on ImageNet (non-commercial research terms); recipe {meta['recipe']}"
    )


def enum_name(arch: str) -> str:
    """torchvision's name of an architecture's weights; "" for timm's, which go by the network's name.

    >>> enum_name("resnet34")
    'ResNet34_Weights'
    """
    if timm_archs.is_timm(arch):
        return ""
    return type(_entry(arch)).__name__


def fetch(arch: str, progress: Progress | None = None) -> Path:
    """The file of an architecture's ImageNet weights: in the EXPLORER_WEIGHTS folder, torch.hub's cache, or fetched.

    A download is checked against the hash in its name and stands in the cache whole or not at all. timm's are fetched
    by timm's own means, into its cache. Raises WeightsUnavailable.
    """
    if timm_archs.is_timm(arch):
        return _fetch_timms(arch)
    url = _entry(arch).url
    name = url.rpartition("/")[2]
    cached = Path(torch.hub.get_dir()) / "checkpoints" / name
    for path in (_in_folder(arch, name), cached):
        if path is not None and path.is_file():
            return path
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        _download(url, cached, progress)
    except (OSError, HTTPException, ValueError) as error:
        host = url.split("/")[2]
        raise WeightsUnavailable(
            f"The ImageNet weights of {arch} could not be fetched from {host} ({_reason(error)})."
        ) from error
    return cached


def read_file(path: str | Path) -> dict[str, Tensor]:
    """Tensors by name from a `.pth` (read without running any code in it) or `.safetensors` file.

    `{"model": …}` and `{"state_dict": …}` are opened, "module." prefixes taken off, and the names of torchvision's
    early densenet files renewed. Raises ValueError with one sentence for a file that is not there, is broken, holds
    code, or holds no weights.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ValueError(f"There is no weights file {path.name!r} at that place: check the path.")
    _check_unpacked_size(path)
    try:
        stored = safetensors.torch.load_file(path) if path.suffix.lower() == ".safetensors" else _read_pickle(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path.name} is broken or no safetensors file: save or download it again.") from error
    tensors = _tensors_in(stored)
    if not tensors:
        raise ValueError(f"{path.name} holds no weights by name: save a model's state_dict().")
    return tensors


def adapt_kernel(kernel: Tensor, n_in: int) -> Tensor:
    """A pretrained kernel over 3 channels for `n_in`: (O, 3, k, k) -> (O, n_in, k, k) (fastai facts A.5).

    One channel gets the sum of the three, two get the first two times 1.5, more than three start at zero.
    """
    if n_in == 1:
        return kernel.sum(dim=1, keepdim=True)
    if n_in == 2:
        return kernel[:, :2] * 1.5
    more = kernel.new_zeros(kernel.shape[0], n_in - 3, *kernel.shape[2:])
    return torch.cat([kernel, more], dim=1)


def own_key(child: str, rest: str) -> str:
    """A tensor's name in the architecture, from its body child's own name and its name there.

    >>> own_key("layer1", "0.conv1.weight"), own_key("", "class_token")
    ('layer1.0.conv1.weight', 'class_token')
    """
    return f"{child}.{rest}" if child else rest


def first_kernel(model: nn.Module) -> str:
    """Name of the parameter that meets the picture: the first kernel, or the first of all where there is none."""
    names = [(name, parameter.ndim) for name, parameter in model.named_parameters()]
    return next((name for name, ndim in names if ndim == 4 and name.endswith("weight")), names[0][0])


def _fill(
    model: nn.Sequential, tensors: Mapping[str, Tensor], arch: str, names: Sequence[str], dropped: frozenset[str]
) -> WeightsReport:
    """Copy what fits by name and shape; ValueError for a file that is not this architecture's."""
    own = model.state_dict(keep_vars=True)
    in_file = _naming(own, tensors, names)
    tensors, in_file = _widen_first(model, tensors, in_file)
    fits, missing, reshaped = _compare(own, tensors, in_file)
    others = set(tensors) - set(in_file.values())
    behind_cut = [name for name in tensors if name in others & dropped]
    unexpected = [name for name in tensors if name in others - dropped]

    body = [key for key in in_file if key.startswith("0.") and not _is_counter(key)]
    body_fits = [key for key in body if key in set(fits)]
    whole = len(body_fits) == len(body)
    alike = None if whole and not unexpected else _recognise(tensors)
    stranger = alike not in (None, arch)
    if 2 * len(body_fits) < len(body) or (stranger and not whole):
        looks = f"; it looks like {alike}" if stranger else ""
        raise ValueError(
            f"That file fits {len(body_fits)} of {len(body)} tensors of {arch}{looks}: choose a file of {arch}, "
            f"or another body."
        )
    with torch.no_grad():
        for key in fits:
            own[key].copy_(tensors[in_file[key]])
    note = _remark(arch, missing, unexpected, [(in_file[key], tensors[in_file[key]], own[key]) for key in reshaped])
    return WeightsReport(
        source="file",
        detail="",
        missing=tuple(missing),
        unexpected=tuple(unexpected),
        reshaped=tuple(in_file[key] for key in reshaped),
        note=note + (f" It looks like {alike}." if stranger else ""),
        dropped=tuple(behind_cut),
        loaded=len(fits),
    )


def _compare(
    own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], in_file: Mapping[str, str]
) -> tuple[list[str], list[str], list[str]]:
    """The model's keys that fit, the file's names that are missing, and the model's keys of another shape."""
    present = [key for key, name in in_file.items() if name in tensors]
    fits = [key for key in present if tensors[in_file[key]].shape == own[key].shape]
    missing = [name for name in in_file.values() if name not in tensors and not _is_counter(name)]
    return fits, missing, [key for key in present if key not in set(fits)]


def _is_counter(name: str) -> bool:
    """Batch norm's count of batches, which older files lack and nothing here needs."""
    return name.endswith("num_batches_tracked")


def _naming(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], names: Sequence[str]) -> dict[str, str]:
    """Which of three ways of naming the file follows: model's key -> file's name, for every tensor it may hold.

    torchvision's ("layer1.0.conv1.weight"), a classifier's as fastai saves it ("0.4.0.conv1.weight"), or a body's
    alone ("4.0.conv1.weight").
    """
    body = [key.split(".", 2) for key in own if key.startswith("0.")]
    torchvision_names = {f"0.{i}.{rest}": own_key(names[int(i)], rest) for _, i, rest in body}
    classifier = {key: key for key in own}
    body_alone = {f"0.{i}.{rest}": f"{i}.{rest}" for _, i, rest in body}
    ways = (torchvision_names, classifier, body_alone)
    return max(ways, key=lambda way: sum(name in tensors for name in way.values()))


def _widen_first(
    model: nn.Sequential, tensors: Mapping[str, Tensor], in_file: Mapping[str, str]
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Adapt the file's first kernel where the model takes other than its 3 channels, and leave its bias out."""
    tensors, in_file = dict(tensors), dict(in_file)
    first = first_kernel(model)
    own = model.get_parameter(first)
    kernel = tensors.get(in_file.get(first, ""))
    if kernel is None or kernel.ndim != 4 or kernel.shape[1] != 3 or own.shape[1] == 3:
        return tensors, in_file
    tensors[in_file[first]] = adapt_kernel(kernel, own.shape[1])
    bias = in_file.pop(first.removesuffix("weight") + "bias", "")
    tensors.pop(bias, None)
    return tensors, in_file


def _remark(arch: str, missing: list, unexpected: list, reshaped: list[tuple[str, Tensor, Tensor]]) -> str:
    """One sentence on what did not fit, "" when all did."""
    said = []
    if missing:
        said.append(f"lacks {_listed(missing)}, which start{'s' * (len(missing) == 1)} at random")
    if reshaped:
        name, got, needed = reshaped[0]
        shapes = f"{name!r} is {_shape(got)}, {arch} needs {_shape(needed)}"
        said.append(f"has {len(reshaped)} of another shape, left out ({shapes})")
    if unexpected:
        said.append(f"holds {_listed(unexpected)}, for which {arch} has no place")
    return f"The file {', and '.join(said)}." if said else ""


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 1:,} more" if len(names) > 1 else ""
    return f"{names[0]!r}{more}"


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a single number"


def _recognise(tensors: Mapping[str, Tensor]) -> str | None:
    """The torchvision classifier whose names and shapes a file follows best, None where none comes near.

    Candidates are those that have room for the file's parameters, the nearest in size first.
    """
    shapes = {name: tuple(t.shape) for name, t in tensors.items()}
    size = sum(t.numel() for name, t in tensors.items() if not name.endswith(("running_mean", "running_var")))
    sizes = _sizes()
    roomy = sorted((name for name in sizes if sizes[name] >= 0.98 * size), key=sizes.__getitem__)
    best, best_share = None, LIKENESS
    for name in roomy:
        known = _shapes_of(name)
        share = sum(known.get(key) == shape for key, shape in shapes.items()) / len(shapes)
        if share == 1:
            return name
        if share > best_share:
            best, best_share = name, share
    return best


@cache
def _sizes() -> dict[str, int]:
    """Parameters of the torchvision classifiers, from their weights' description."""
    return {name: _entry(name).meta["num_params"] for name in list_archs() if _has_weights(name)}


def _has_weights(arch: str) -> bool:
    return len(torchvision.models.get_model_weights(arch)) > 0


@lru_cache(maxsize=16)
def _shapes_of(arch: str) -> dict[str, tuple[int, ...]]:
    with Blank():
        model = torchvision.models.get_model(arch, weights=None, **OPTIONS.get(arch, {}))
    return {name: tuple(t.shape) for name, t in model.state_dict().items()}


def _entry(arch: str):
    """torchvision's best weights for an architecture at the size it is built for."""
    return weights_entry(arch)


def _imagenet_line(arch: str, path: Path) -> str:
    if timm_archs.is_timm(arch):
        return describe_imagenet(arch) + (f"; from {path.name}" if _is_ours(arch, path) else "")
    official = path.name == _entry(arch).url.rpartition("/")[2]
    return describe_imagenet(arch) + ("" if official else f"; from {path.name}")


def _in_folder(arch: str, name: str) -> Path | None:
    """A file of the EXPLORER_WEIGHTS folder: of the official name, else one that begins "<arch>-"."""
    folder = os.environ.get(FOLDER)
    if not folder:
        return None
    official = Path(folder).expanduser() / name
    alike = sorted(p for ending in ("pth", "safetensors") for p in official.parent.glob(f"{arch}-*.{ending}"))
    return next((path for path in (official, *alike) if path.is_file()), None)


def _fetch_timms(arch: str) -> Path:
    """The file of timm's weights: in the EXPLORER_WEIGHTS folder, in timm's cache, or fetched; WeightsUnavailable."""
    folder = os.environ.get(FOLDER)
    stored = timm_archs.file_in(Path(folder).expanduser(), arch) if folder else None
    if stored is not None:
        return stored
    if not timm_archs.has_weights(arch):
        raise WeightsUnavailable(f"timm has no ImageNet weights of {arch}.")
    if is_public() and not timm_archs.offered():
        raise WeightsUnavailable(f"The weights of {arch} are not fetched on this public page: take a body of the list.")
    try:
        return timm_archs.fetch(arch)
    except Exception as error:  # a foreign downloader may fail in any way
        reason = _reason(error).partition(". ")[0]
        raise WeightsUnavailable(
            f"The ImageNet weights of {arch} could not be fetched from {timm_archs.host(arch)} ({reason})."
        ) from error


def _stored(arch: str, path: Path) -> dict[str, Tensor]:
    """Tensors by name of a file that `fetch` found; timm brings its own files into today's names itself."""
    tensors = read_file(path)
    if not timm_archs.is_timm(arch) or _is_ours(arch, path):
        return tensors
    try:
        return timm_archs.pretrained(arch, tensors)
    except Exception as error:  # a foreign loader may fail in any way
        raise ValueError(f"timm cannot load {path.name}: {_reason(error)}.") from error


def _is_ours(arch: str, path: Path) -> bool:
    """Whether a file of timm's weights lies in the EXPLORER_WEIGHTS folder."""
    folder = os.environ.get(FOLDER)
    return bool(folder) and timm_archs.file_in(Path(folder).expanduser(), arch) == path


def _download(url: str, target: Path, progress: Progress | None) -> None:
    """Stream a file to its place, checked against the hash in its name; OSError where that fails."""
    expected = re.search(r"-([0-9a-f]{8,})\.", target.name)
    digest = f"sha256:{expected[1]}" if expected else ""
    download(url, target, digest=digest, timeout=TIMEOUT, progress=progress)


def _reason(error: Exception) -> str:
    """A few words: "HTTP 403", "timed out", "Name or service not known"."""
    if isinstance(error, HTTPError):
        return f"HTTP {error.code}"
    inner = getattr(error, "reason", None) or error
    lines = str(getattr(inner, "strerror", None) or inner).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(inner).__name__


def _check_unpacked_size(path: Path) -> None:
    """Refuse a file that holds far more than it weighs: PyTorch stores tensors as they are, so only a trap does."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > SWELLING * path.stat().st_size:
        raise ValueError(f"{path.name} would swell to {unpacked / 1e6:,.0f} MB: save the model's state_dict() anew.")


def _read_pickle(path: Path) -> object:
    """torch.load with weights only; ValueError for code, TorchScript, other zips and broken files."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a foreign file may make the reader fail in any way
        raise ValueError(f"{path.name} {_why_unread(path, error)}.") from error


def _why_unread(path: Path, error: Exception) -> str:
    with open(path, "rb") as file:
        begin = file.read(2)
    if begin == b"":
        return "is empty: save or download it again"
    if begin != b"PK" and begin[:1] != b"\x80":
        return "is no weights file: choose a .pth or .safetensors file"
    if isinstance(error, pickle.UnpicklingError):
        return "holds pickled code, which is never run here: save the model's state_dict() instead"
    if zipfile.is_zipfile(path):
        return "is a zip archive without plain weights: save a model's state_dict()"
    return "is broken or cut short: save or download it again"


def _tensors_in(stored: object) -> dict[str, Tensor]:
    """A flat {name: tensor}, opened where it is wrapped, without what is no tensor of real numbers."""
    for _ in range(WRAPS):
        if not isinstance(stored, Mapping):
            return {}
        inner = next((stored[key] for key in ("model", "state_dict") if isinstance(stored.get(key), Mapping)), None)
        if inner is None:
            break
        stored = inner
    return {_plain_name(k): v for k, v in stored.items() if isinstance(k, str) and _is_plain(v)}


def _is_plain(value: object) -> bool:
    """A dense tensor of real numbers with contents: not sparse, quantised, complex or on the meta device."""
    return (
        isinstance(value, Tensor)
        and value.layout == torch.strided
        and not (value.is_quantized or value.is_complex() or value.is_meta)
    )


def _plain_name(name: str) -> str:
    """Without "module." in front, and "norm.1.weight" of early densenet files as "norm1.weight"."""
    name = name.removeprefix("module.")
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", name)
