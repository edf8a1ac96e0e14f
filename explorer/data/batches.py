"""A split -> batches for training and validation, and a contact sheet of what such a batch looks like."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import zip_longest

import torch
from PIL import Image
from torch import Generator, Tensor

from explorer.data.augment import augment_basic
from explorer.data.dataset import DataSet, Split
from explorer.spec import AUGMENTATIONS

THUMB = 104


def batches(
    split: Split,
    batch_size: int,
    *,
    shuffle: bool = False,
    drop_last: bool = False,
    augment: str = "none",
    generator: Generator | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    device: str | torch.device = "cpu",
) -> Iterator[tuple[Tensor, Tensor]]:
    """One pass over a split: (x, y) with x float32 (B, C, H, W) on `device`, y int64 (B,).

    The order is that of the split, or drawn from `generator` (a CPU generator). `drop_last` leaves out a last batch
    that is not full (fastai facts G.6), except where it is the only one. `augment="basic"` changes each picture at
    random (`data.augment`). Then `mean` and `std` normalise; without them x stays in 0..1. Statistics of another
    number of channels than the pictures have are not applied (fastai facts I.17).
    """
    for chunk, images in decoded_ahead(split, chunks_of(len(split), batch_size, shuffle, drop_last, generator)):
        x = _augmented(images.to(device).float() / 255, augment, generator)
        yield normalise(x, mean, std), split.labels[chunk].to(device)


def chunks_of(
    n: int, batch_size: int, shuffle: bool, drop_last: bool, generator: Generator | None
) -> tuple[Tensor, ...]:
    """The numbers of the pictures of each batch; see `batches`."""
    order = torch.randperm(n, generator=generator) if shuffle else torch.arange(n)
    chunks = order.split(batch_size)
    return chunks[:-1] if drop_last and len(chunks[-1]) < batch_size <= n else chunks


def decoded_ahead(split: Split, chunks: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Each chunk with its pictures; while the caller works on one, the next is decoded beside it."""
    with ThreadPoolExecutor(1) as beside:
        coming = beside.submit(split.images, chunks[0])
        for chunk, following in zip_longest(chunks, chunks[1:]):
            images = coming.result()
            if following is not None:
                coming = beside.submit(split.images, following)
            yield chunk, images


def _augmented(x: Tensor, augment: str, generator: Generator | None) -> Tensor:
    if augment not in AUGMENTATIONS:
        raise ValueError(f"Augmentation is one of {', '.join(AUGMENTATIONS)}, not {augment!r}.")
    return augment_basic(x, generator) if augment == "basic" else x


def count_batches(n: int, batch_size: int, drop_last: bool = False) -> int:
    """How many batches `batches` yields for n pictures."""
    full, rest = divmod(n, batch_size)
    return full if full and drop_last else full + (rest > 0)


def normalise(x: Tensor, mean: Sequence[float] | None, std: Sequence[float] | None) -> Tensor:
    """(x - mean) / std for each channel of x (B, C, H, W); x itself without statistics for its C channels."""
    if mean is None or std is None or len(mean) != x.shape[1]:
        return x
    return (x - x.new_tensor(mean)[:, None, None]) / x.new_tensor(std)[:, None, None]


def sheet(dataset: DataSet, n: int, *, augment: str = "basic", seed: int = 0) -> tuple[tuple[str, str], ...]:
    """A contact sheet: n training pictures as a batch shows them, each a JPEG data URI with the name of its class."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(dataset.train), generator=generator)[:n]
    x = _augmented(dataset.train.images(chosen).float() / 255, augment, generator)
    pictures = (x * 255).round().to(torch.uint8)
    labels = [dataset.classes[label] for label in dataset.train.labels[chosen].tolist()]
    return tuple(zip((data_uri(picture) for picture in pictures), labels, strict=True))


def data_uri(picture: Tensor, side: int = THUMB) -> str:
    """A picture, uint8 (1 or 3, H, W), as a JPEG data URI whose long side has `side` pixels."""
    array = picture.permute(1, 2, 0).numpy()
    image = Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
    buffer = io.BytesIO()
    shown = tuple(max(1, round(side * length / max(image.size))) for length in image.size)
    image.resize(shown, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
