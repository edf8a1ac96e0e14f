"""Sets whose answer is a picture: what they hold, and the pairs that come of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from explorer.data.dataset import DataError, Split
from explorer.data.dense import VOID, degrade, dense_batches, dense_sheet, list_dense, load_dense, plain_input
from explorer.spec import TASKS

PICTURES = [task for task in TASKS if task != "segmentation"]
STATS = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.2)}


def generator(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def first(dataset, **options):
    return next(dense_batches(dataset.train, 4, task=dataset.task, **options))


def columns(n=4) -> Split:
    """Pictures whose red is 10 times the number of the column, with that number as the mask."""
    across = np.broadcast_to(np.arange(16, dtype=np.uint8), (16, 16))
    stored = np.stack([across * 10, across * 0, across * 0, across])
    return Split(list(range(n)), [0] * n, lambda _: stored, (4, 16, 16))


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_drawn_set_and_pairs_of_the_promised_kind(task):
    dataset = load_dense("shapes", task=task, size=(40, 56))
    x, y = first(dataset)
    assert x.dtype == torch.float32 and x.shape == (4, 3, 40, 56)
    if task == "segmentation":
        assert y.dtype == torch.int64 and y.shape == (4, 40, 56) and y.max() < len(dataset.classes) == 6
        assert len(dataset.colours) == len(set(dataset.colours)) == 6
    else:
        assert y.dtype == torch.float32 and y.shape == x.shape and y.min() >= 0 and y.max() <= 1
        assert dataset.classes == dataset.colours == ()
    assert [choice.name for choice in list_dense(task)][0] == "shapes"


def test_grey_pictures_are_segmented_in_one_channel():
    x, y = first(load_dense("shapes", task="segmentation", size=32, n_in=1))
    assert x.shape == (4, 1, 32, 32) and y.shape == (4, 32, 32)


def test_the_same_seed_gives_the_same_set_and_parts_share_no_picture():
    a, b, other = (load_dense("shapes", task="colour", size=32, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(a.train.images([0, 5]), b.train.images([0, 5]))
    assert not torch.equal(a.train.images([0]), other.train.images([0]))
    assert not set(a.train.items) & set(a.valid.items)


@pytest.mark.parametrize("task", TASKS)
def test_the_plain_input_is_what_the_network_sees_before_statistics(task):
    dataset = load_dense("shapes", task=task, size=32)
    x, _ = first(dataset, **STATS)
    mean, std = (torch.tensor(STATS[name])[:, None, None] for name in ("mean", "std"))
    plain = plain_input(dataset.train.images(range(4)), task)
    assert torch.allclose(x * std + mean, plain, atol=1e-6)
    assert plain.min() >= 0 and plain.max() <= 1


def test_super_resolution_gets_a_picture_without_its_detail_and_wants_the_sharp_one():
    dataset = load_dense("shapes", task="super_resolution", size=64)
    x, y = first(dataset)
    assert torch.equal(y, dataset.train.images(range(4)).float() / 255)
    fine, left = (F.avg_pool2d(one, 2).repeat_interleave(2, 2).repeat_interleave(2, 3) - one for one in (y, x))
    assert left.std() < 0.6 * fine.std()
    assert (x.mean((1, 2, 3)) - y.mean((1, 2, 3))).abs().max() < 0.01


@pytest.mark.parametrize("shape", [(1, 3, 33, 47), (2, 3, 64, 32), (1, 1, 32, 32)])
def test_degraded_pictures_keep_their_size_and_flat_ones_do_not_change(shape):
    assert degrade(torch.rand(shape)).shape == shape
    assert torch.allclose(degrade(torch.full(shape, 0.3)), torch.full(shape, 0.3), atol=1e-5)


def test_colour_gets_three_equal_channels_that_weigh_as_pillow_weighs():
    dataset = load_dense("shapes", task="colour", size=32)
    x, y = first(dataset)
    assert torch.equal(x[:, 0], x[:, 1]) and torch.equal(x[:, 0], x[:, 2])
    assert torch.allclose(x[:, 0], 0.299 * y[:, 0] + 0.587 * y[:, 1] + 0.114 * y[:, 2], atol=1e-6)
    assert (y.amax(1) - y.amin(1)).mean() > 0.15, "the pictures have colours to learn"


@pytest.mark.parametrize("task", ["style", "style_image"])
def test_style_gets_and_wants_the_picture_itself(task):
    x, y = first(load_dense("shapes", task=task, size=32))
    assert torch.equal(x, y)


def test_augmentation_moves_mask_and_picture_alike_without_mixing_classes():
    moved, bare = 0, 0
    for seed in range(6):
        x, y = next(dense_batches(columns(), 4, task="segmentation", augment="basic", generator=generator(seed)))
        assert set(y.unique().tolist()) <= {*range(16), VOID}
        inside = y != VOID
        logits, expected = torch.logit(x[:, 0].clamp(1e-4, 1 - 1e-4)), torch.logit((y * 10 / 255).clamp(1e-4, 1))
        middle = inside & (y > 2) & (y < 14)
        for one in range(4):  # light is a straight line on the logits
            pair = torch.stack((logits[one][middle[one]], expected[one][middle[one]]))
            assert torch.corrcoef(pair)[0, 1] > 0.97
        moved += int((y[:, 8] != y[0, 8]).any())
        bare += int((~inside).sum())
    assert moved and bare, "pictures differ, and some show what lies outside"


def test_without_augmentation_masks_are_as_stored():
    _, y = next(dense_batches(columns(), 4, task="segmentation"))
    assert torch.equal(y[0, 3], torch.arange(16))


@pytest.mark.parametrize("task", PICTURES)
def test_what_goes_in_is_made_of_the_augmented_picture(task):
    dataset = load_dense("shapes", task=task, size=32)
    x, y = first(dataset, augment="basic", generator=generator(3))
    again = first(dataset, augment="basic", generator=generator(3))
    assert torch.equal(x, again.x) and torch.equal(y, again.y)
    seen = {"super_resolution": degrade(y), "colour": x[:, :1].expand_as(y)}.get(task, y)
    assert torch.allclose(x, seen, atol=1e-6)
    assert not torch.equal(y, first(dataset).y)


def test_pictures_to_sharpen_are_mirrored_but_not_resampled():
    split = Split([0] * 8, [0] * 8, lambda _: np.arange(3072, dtype=np.uint8).reshape(3, 32, 32), (3, 32, 32))
    _, y = next(dense_batches(split, 8, task="super_resolution", augment="basic", generator=generator()))
    rising = y[:, 0, 0].diff() > 0
    assert {tuple(row) for row in rising.unique(dim=1).tolist()} == {(True,), (False,)}
    assert set(rising.all(1).tolist()) == {True, False}


def test_order_and_last_batch_are_those_of_other_batches():
    sizes = [len(x) for x, _ in dense_batches(columns(7), 3, task="segmentation", drop_last=True)]
    assert sizes == [3, 3]
    assert [len(x) for x, _ in dense_batches(columns(7), 3, task="segmentation")] == [3, 3, 1]


@pytest.mark.parametrize("task", ["segmentation", "super_resolution", "colour"])
def test_the_contact_sheet_shows_pairs(task):
    sheet = dense_sheet(load_dense("shapes", task=task, size=32), 3)
    assert len(sheet) == 3 and all(uri.startswith("data:image/jpeg;base64,") for uri, _ in sheet)
    assert ("background" in sheet[0][1]) == (task == "segmentation")


@pytest.mark.parametrize(
    "name, options, words",
    [
        ("shapes", {"task": "super_resolution", "size": 15}, "set the image size to 16 at least"),
        ("shapes", {"task": "tracking"}, "There is no task"),
        ("shapes", {"task": "segmentation", "n_in": 2}, "Pictures have 3 channels"),
        ("shpaes", {"task": "segmentation"}, "did you mean shapes?"),
        ("pictures:/tmp", {"task": "segmentation"}, "needs a mask for each picture"),
        ("masks:/tmp", {"task": "colour"}, "needs pictures only"),
        ("pictures:/no/such/folder", {"task": "style"}, "There is no folder"),
        (3, {"task": "style"}, "is called by a text"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_one_sentence(name, options, words):
    with pytest.raises(DataError, match=words.replace("?", r"\?")):
        load_dense(name, **{"size": 32, **options})


def test_an_unknown_augmentation_is_refused():
    with pytest.raises(ValueError, match="Augmentation is one of"):
        next(dense_batches(columns(), 2, task="segmentation", augment="wild"))


def test_a_folder_of_pictures_is_split_by_name_and_small_ones_are_told(tmp_path, picture):
    for i in range(10):
        picture(tmp_path / "photos" / f"album{i % 2}" / f"{i}.png", size=(40, 16))
    dataset = load_dense(f"pictures:{tmp_path / 'photos'}", task="super_resolution", size=64)
    assert (len(dataset.train), len(dataset.valid)) == (8, 2)
    assert "smaller than 64×64" in dataset.notes[0] and "40×16" in dataset.notes[0]
    assert first(dataset).y.shape == (4, 3, 64, 64)


def test_a_single_picture_is_not_enough(tmp_path, picture):
    picture(tmp_path / "one.png")
    with pytest.raises(DataError, match="one picture only"):
        load_dense(f"pictures:{tmp_path}", task="colour", size=32)


def test_real_flowers_can_be_sharpened(shared_data):
    dataset = load_dense(f"pictures:{shared_data / 'flowers'}", task="super_resolution", size=64)
    assert (len(dataset.train), len(dataset.valid)) == (400, 100), "its own split is kept"
    x, y = first(dataset)
    assert 0 < F.mse_loss(x, y) < 0.02
