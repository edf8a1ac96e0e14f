"""The steps that the upsampling bench shows give what torch gives, and its words follow from the numbers."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from explorer.views import upsampling as views


def drawn(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def possible_knobs() -> list[tuple[int, int, int, int]]:
    knobs = itertools.product(range(1, 6), range(1, 5), range(5), range(5))
    return [each for each in knobs if not views.wrong_knobs((3, 4), *each)]


def test_zeros_and_an_ordinary_convolution_are_a_transposed_convolution():
    grid = drawn(3, 4)
    for kernel, stride, padding, more in possible_knobs():
        weights = drawn(kernel, kernel, seed=kernel)
        steps = views.transposed_steps(grid.tolist(), weights.tolist(), stride, padding, more)
        torchs = F.conv_transpose2d(
            grid[None, None], weights[None, None], stride=stride, padding=padding, output_padding=more
        )
        torch.testing.assert_close(torch.tensor(steps.out, dtype=torch.float64), torchs[0, 0])


def test_overlaps_are_what_ones_through_a_kernel_of_ones_add_up_to():
    for kernel, stride, padding, more in possible_knobs():
        ones = torch.ones(1, 1, 3, 4), torch.ones(1, 1, kernel, kernel)
        torchs = F.conv_transpose2d(*ones, stride=stride, padding=padding, output_padding=more)
        assert views.overlaps((3, 4), kernel, stride, padding, more) == torchs[0, 0].tolist()


def test_torch_refuses_what_is_called_wrong():
    for knobs in itertools.product(range(1, 6), range(1, 5), range(5), range(5)):
        kernel, stride, padding, more = knobs
        if views.wrong_knobs((3, 4), *knobs):
            with pytest.raises(RuntimeError):
                F.conv_transpose2d(
                    drawn(3, 4)[None, None],
                    drawn(kernel, kernel)[None, None],
                    stride=stride,
                    padding=padding,
                    output_padding=more,
                )


def test_every_offered_mend_works():
    for knobs in itertools.product(range(1, 6), range(1, 5), range(5), range(5)):
        named = dict(zip(("kernel", "stride", "padding", "output_padding"), knobs, strict=True))
        for _ in range(2):  # one knob after the other, where two are wrong
            wrong = views.wrong_knobs((2, 2), *named.values())
            if wrong:
                assert wrong[0].endswith(".") and wrong[1].items() - named.items()
                named |= wrong[1]
        assert views.wrong_knobs((2, 2), *named.values()) is None


def test_copies_and_a_convolution_are_nearest_neighbour():
    grid, kernel = drawn(3, 5), drawn(3, 3, seed=1)
    steps = views.nearest_steps(grid.tolist(), kernel.tolist())
    copies = F.interpolate(grid[None, None], scale_factor=2, mode="nearest")
    assert steps.spread == copies[0, 0].tolist()
    torch.testing.assert_close(
        torch.tensor(steps.out, dtype=torch.float64), F.conv2d(copies, kernel[None, None], padding=1)[0, 0]
    )


def test_copy_overlaps_are_what_ones_add_up_to():
    ones = F.conv2d(torch.ones(1, 1, 6, 8), torch.ones(1, 1, 3, 3), padding=1)
    assert views.copy_overlaps((3, 4)) == ones[0, 0].tolist()


def test_four_channels_become_patches():
    channels = torch.stack([drawn(3, 4, seed) for seed in range(4)])
    assert views.interleaved(channels.tolist()) == F.pixel_shuffle(channels[None], 2)[0, 0].tolist()


def test_blur_is_the_mean_with_the_edge_repeated():
    grid = drawn(4, 6)
    torchs = F.avg_pool2d(F.pad(grid[None, None], (1, 0, 1, 0), mode="replicate"), 2, stride=1)
    torch.testing.assert_close(torch.tensor(views.blurred(grid.tolist()), dtype=torch.float64), torchs[0, 0])


@pytest.mark.parametrize(
    ("knobs", "becomes"),
    [
        ((3, 1, 0, 0), 30),
        ((3, 2, 0, 0), 57),
        ((2, 2, 0, 0), 56),
        ((4, 2, 1, 0), 56),
        ((3, 2, 1, 1), 56),
        ((3, 2, 1, 0), 55),
    ],
)
def test_the_known_cases_are_offered(knobs, becomes):
    """fastai facts C.10."""
    case = next(case for case in views.bench()["cases"] if tuple(case["knobs"].values()) == knobs)
    assert (case["side"], case["becomes"]) == (28, becomes)


def test_kernel_3_overlaps_unevenly_and_kernel_4_evenly():
    uneven, even = views.overlaps((12, 12), 3, 2, 1, 1), views.overlaps((12, 12), 4, 2, 1, 0)
    assert views.says_overlaps(views.inner(uneven, 3)) == "1, 2 or 4"
    assert views.says_overlaps(views.inner(even, 4)) == "4 everywhere"
    assert len(uneven) == len(even) == 24


def test_kernels_after_nearest_keep_a_constant_picture():
    kernels = views.mean_kernels()
    assert sum(map(sum, kernels["box"])) == pytest.approx(1)
    assert sum(map(sum, kernels["gauss"])) == pytest.approx(1)


@pytest.mark.parametrize("k", range(1, 6))
def test_kernels_have_the_size_that_is_asked_for(k):
    assert {(len(kernel), len(kernel[0])) for kernel in views.kernels(k).values()} == {(k, k)}


def test_the_text_names_each_grid_with_its_size():
    text = views.as_text((("Grid", [[1.0, -0.25], [10.0, 0.0]]), ("Output", [[1 / 3]])))
    assert text == "Grid, 2×2\n    1  -0.25\n   10      0\n\nOutput, 1×1\n0.333"
