"""Receptive fields against brute force (which pixels have a gradient) and published values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.ops.misc import SqueezeExcitation

from explorer.models.meta import Blank
from explorer.trace.receptive import Axis, Field, effective_field, receptive_fields

FAMILIES = {
    "alexnet": (67, "features"), "vgg11_bn": (33, "features"), "resnet18": (65, ""), "resnet50": (64, ""),
    "squeezenet1_1": (80, ""), "densenet121": (64, ""), "mobilenet_v2": (64, ""), "mobilenet_v3_small": (96, ""),
    "efficientnet_b0": (96, ""), "shufflenet_v2_x0_5": (128, ""), "convnext_tiny": (64, "features.:4"),
    "swin_t": (104, "features.:5"), "vit_b_16": (224, ""), "googlenet": (96, ""), "inception_v3": (99, ""),
    "regnet_y_400mf": (96, ""), "mnasnet0_5": (96, ""),
}  # fmt: skip
ATTENDING = ("swin_t", "vit_b_16")
LAYERS = 7


def network(name: str) -> nn.Module:
    options = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    return torchvision.models.get_model(name, weights=None, **options)


def part_of(name: str, part: str) -> nn.Module:
    """A network, its part "features", or the first children of one ("features.:4")."""
    child, _, end = part.partition(".:")
    module = network(name).get_submodule(child)
    return module[: int(end)] if end else module


def blank(name: str) -> nn.Module:
    with Blank():
        return network(name)


def positive(module: nn.Module) -> nn.Module:
    """The same module in float64 where every path counts: positive weights, no unit shut, averages for maxima."""
    module = module.double().eval()
    for name, inner in list(module.named_modules()):
        if isinstance(inner, nn.MaxPool2d) and name:
            module.set_submodule(
                name, Mean(inner.kernel_size, inner.stride, inner.padding, inner.dilation, inner.ceil_mode)
            )
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.rand_like(parameter) + 0.1)
            if parameter.ndim > 1:
                parameter /= parameter[0].numel()
    return module


class Mean(nn.Module):
    """What a max pooling sees, all of it counting."""

    def __init__(self, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> None:
        super().__init__()
        self.settings = kernel, stride, padding, dilation, ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        rows, columns = (torch.arange(n, device=x.device) for n in x.shape[2:])
        marks = (rows[:, None] * 1.0 + columns[None] * 0.0)[None, None]
        if x.device.type == "meta":
            return F.max_pool2d(x, *self.settings)
        shape = F.max_pool2d(marks.double(), *self.settings).shape[2:]
        kernel, stride, padding, dilation, _ = self.settings
        reach = [(o - 1) * stride + dilation * (kernel - 1) + 1 - padding for o in shape]
        need = [max(0, end - n) for end, n in zip(reach, x.shape[2:], strict=True)]
        x = F.pad(x, (padding, need[1], padding, need[0]))
        weight = torch.full((x.shape[1], 1, kernel, kernel), 1 / kernel**2, dtype=x.dtype)
        out = F.conv2d(x, weight, stride=stride, dilation=dilation, groups=x.shape[1])
        return out[:, :, : shape[0], : shape[1]]


def influence(
    module: nn.Module, x: Tensor, wanted: dict[str, list[tuple[int, ...]]], fields: dict[str, Field], least: float = 0.0
) -> dict[tuple[str, tuple[int, ...]], np.ndarray]:
    """Where the gradient of each wanted cell is not zero, (H, W) bool, by layer and cell."""
    targets: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    def aim(name: str) -> Callable:
        def hook(inner: nn.Module, args: tuple, out: Tensor) -> None:
            for cell in wanted[name]:
                index: list = [slice(None)] * out.ndim
                for i, dim in zip(cell, fields[name].dims, strict=True):
                    if dim is not None:
                        index[dim] = i
                entry = out[tuple(index)]
                weight = torch.rand_like(entry) if least == 0 else torch.randn_like(entry)
                targets[name, cell] = (entry * weight).sum()

        return hook

    hooks = [module.get_submodule(name).register_forward_hook(aim(name)) for name in wanted]
    x = x.clone().requires_grad_()
    module(x * 1)
    for hook in hooks:
        hook.remove()
    masks = {}
    for key, target in targets.items():
        strength = torch.autograd.grad(target, x, retain_graph=True)[0].abs().amax((0, 1))
        masks[key] = (strength > least * strength.max()).numpy()
    return masks


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    if not mask.any():
        return 0, 0, 0, 0
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def some_cells(field: Field) -> list[tuple[int, ...]]:
    first, last = tuple(0 for _ in field.cells), tuple(n - 1 for n in field.cells)
    return sorted({first, last, field.centre, (*first[:-1], last[-1]), tuple(n // 3 for n in field.cells)})


def check_by_force(module: nn.Module, shape: tuple[int, int, int], names: list[str] | None = None) -> None:
    """Every cell's box is the box of the pixels that have a gradient."""
    module = positive(module)
    fields = receptive_fields(module, shape)
    names = [name for name, field in fields.items() if field] if names is None else names
    wanted = {name: list(np.ndindex(*fields[name].cells)) for name in names}
    masks = influence(module, torch.rand(1, *shape, dtype=torch.float64) + 0.5, wanted, fields)
    for (name, cell), mask in masks.items():
        assert fields[name].box(cell) == box_of(mask), (name, cell)


class Residual(nn.Module):
    """Two convolutions beside a strided 1×1 shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.short = nn.Conv2d(3, 4, 1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.conv1(x).relu_())
        out += self.short(x)
        return out.relu()


class Inception(nn.Module):
    """Branches of several kernels, laid on one another."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 2, 1)
        self.wide = nn.Conv2d(3, 2, (1, 7), padding=(0, 3))
        self.tall = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(2, 2, (5, 1), padding=(2, 0)))
        self.last = nn.Conv2d(6, 2, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.cat([self.one(x), self.wide(x), self.tall(x)], 1))


class Shuffled(nn.Module):
    """Half of the channels go by, then they are shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.branch = nn.Conv2d(3, 4, 1), nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        passing, worked = self.first(x).chunk(2, dim=1)
        out = torch.cat((passing, self.branch(worked)), dim=1)
        batch, channels, height, width = out.shape
        return out.view(batch, 2, channels // 2, height, width).transpose(1, 2).reshape(batch, -1, height, width)


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def conv(*args, **kwargs) -> nn.Conv2d:
    return nn.Conv2d(3, 3, *args, **kwargs)


SMALL = {
    "strided valid kernels drop the last pixels": nn.Sequential(conv(3, stride=2), conv(3, padding=1)),
    "dilation reaches past the padding": nn.Sequential(conv(3, padding=1, dilation=2), conv(3, dilation=3)),
    "an even kernel lies off centre": nn.Sequential(conv(4, stride=2, padding=1), conv(2)),
    "same padding of an even kernel": nn.Sequential(conv(4, padding="same"), conv(3, padding="same", dilation=2)),
    "axes of their own": nn.Sequential(conv((1, 5), stride=(2, 1)), conv((3, 2), padding=(1, 0))),
    "ceil mode": nn.Sequential(nn.AvgPool2d(3, 2, ceil_mode=True), nn.MaxPool2d(2, 2, ceil_mode=True)),
    "pooling with padding": nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(3, 1, 1, dilation=1), conv(3)),
    "adaptive pooling, even and uneven": nn.Sequential(nn.AdaptiveAvgPool2d(6), nn.AdaptiveAvgPool2d((4, 3))),
    "nearest then convolution": nn.Sequential(conv(3, 2), nn.Upsample(scale_factor=2), conv(3, padding=1)),
    "bilinear": nn.Sequential(conv(3, 2), nn.Upsample(scale_factor=2, mode="bilinear"), conv(2)),
    "transposed": nn.Sequential(conv(3, 2), nn.ConvTranspose2d(3, 3, 3, 2, 1, 1), nn.ConvTranspose2d(3, 3, 2, 2)),
    "pixel shuffle": nn.Sequential(nn.Conv2d(3, 12, 3, 2), nn.PixelShuffle(2), nn.PixelUnshuffle(3)),
    "reflected padding": nn.Sequential(conv(3, padding=2, padding_mode="reflect"), conv(3, stride=2)),
    "cropping and shifting": Function(lambda x: torch.roll(F.pad(x, (-1, 2, 3, 0)), (1, -2), (2, 3))[:, :, 1::2, :-1]),
    "patches by slices": Function(lambda x: torch.cat([x[..., 0::2, :], x[..., 1::2, :]], 1).permute(0, 2, 3, 1)),
    "residual": Residual(),
    "inception": Inception(),
    "shuffled channels": Shuffled(),
}  # fmt: skip


@pytest.mark.parametrize("case", SMALL)
def test_every_cell_of_a_small_network_sees_just_what_brute_force_finds(case):
    check_by_force(SMALL[case], (3, 14, 13))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("conv", "max", "avg")),
            st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2), st.booleans(),
        ),
        min_size=1, max_size=4,
    ),
    st.integers(7, 15), st.integers(7, 15),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_random_stacks_see_just_what_brute_force_finds(stack, height, width):
    layers: list[nn.Module] = []
    for kind, kernel, stride, padding, dilation, ceil_mode in stack:
        if kind == "conv":
            layers.append(nn.Conv2d(1, 1, kernel, stride, padding, dilation))
        elif kind == "max":
            layers.append(nn.MaxPool2d(kernel, stride, min(padding, kernel // 2), dilation, ceil_mode=ceil_mode))
        else:
            layers.append(nn.AvgPool2d(kernel, stride, min(padding, kernel // 2), ceil_mode=ceil_mode))
    module = nn.Sequential(*layers)
    if receptive_fields(module, (1, height, width))[""] is not None:
        check_by_force(module, (1, height, width), [""])


@contextmanager
def gates_held() -> Iterator[None]:
    """Squeeze-and-excitation whose gate has a value and no gradient."""
    forward = SqueezeExcitation.forward
    SqueezeExcitation.forward = lambda self, x: self._scale(x).detach() * x
    try:
        yield
    finally:
        SqueezeExcitation.forward = forward


@pytest.mark.parametrize("name", FAMILIES)
def test_layers_of_real_networks_see_just_what_brute_force_finds(name):
    torch.manual_seed(0)
    (side, part), least = FAMILIES[name], 1e-20 if name in ATTENDING else 0.0
    module = part_of(name, part)
    module = module.double().eval() if least else positive(module)
    fields = receptive_fields(module, (3, side, side))
    local = [layer for layer, field in fields.items() if field and not field.whole and field.cells[0] < 500]
    wanted = {layer: some_cells(fields[layer]) for layer in local[:: max(1, len(local) // LAYERS)]}
    x = torch.rand(1, 3, side, side, dtype=torch.float64) + 0.5
    assert len(wanted) >= min(LAYERS, len(local)) > 1
    with gates_held():
        masks = influence(module, x, wanted, fields, least)
    for (layer, cell), mask in masks.items():
        assert fields[layer].box(cell) == box_of(mask), (layer, cell)


def test_a_gate_is_told_and_counts_when_asked_strictly():
    torch.manual_seed(0)
    module = positive(torchvision.models.mobilenet_v3_small())
    fields = receptive_fields(module, (3, 96, 96))
    before, behind = fields["features.1.block.0"], fields["features.1.block.1"]
    assert (before.gated, before.whole) == (False, False)
    assert (behind.gated, behind.whole, behind.height) == (True, False, before.height)
    assert behind.box((0, 0)) == before.box((0, 0)) == before.box((0, 0), strict=True)
    assert fields["features.1.block.1.avgpool"].whole
    x = torch.rand(1, 3, 96, 96, dtype=torch.float64) + 0.5
    ((_, mask),) = influence(module, x, {"features.1.block.1": [(0, 0)]}, fields).items()
    assert behind.box((0, 0), strict=True) == box_of(mask) == (0, 0, 96, 96)


class SlimBottleneck(nn.Module):
    """TF-slim's residual unit: the stride stands on the last unit of a stage, the shortcut only leaves cells out."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.path = nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, stride, 1), nn.Conv2d(4, 4, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.path(x) + F.max_pool2d(x, 1, self.stride))


def slim_resnet(*units: int) -> nn.Module:
    stem = [nn.Conv2d(3, 4, 7, 2, 3), nn.MaxPool2d(3, 2, 1)]
    strides = [[1] * (count - 1) + [2 if stage < 3 else 1] for stage, count in enumerate(units)]
    return nn.Sequential(*stem, *(SlimBottleneck(stride) for stage in strides for stride in stage))


def mobilenet_v1() -> nn.Module:
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    pairs = [(nn.Conv2d(4, 4, 3, stride, 1, groups=4), nn.Conv2d(4, 4, 1)) for stride in strides]
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), *(layer for pair in pairs for layer in pair))


PUBLISHED = {
    "alexnet": (lambda: network("alexnet").features, 195, 32),
    "vgg16": (lambda: network("vgg16").features, 212, 32),
    "resnet_v1_50": (lambda: slim_resnet(3, 4, 6, 3), 483, 32),
    "resnet_v1_101": (lambda: slim_resnet(3, 4, 23, 3), 1027, 32),
    "resnet_v1_152": (lambda: slim_resnet(3, 8, 36, 3), 1507, 32),
    "mobilenet_v1": (mobilenet_v1, 315, 32),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_sizes_are_those_published_by_araujo(name):
    build, size, jump = PUBLISHED[name]
    with Blank():
        module = build()
    field = receptive_fields(module, (3, 224, 224))[""]
    assert (field.height.size, field.width.size, field.height.jump, field.whole) == (size, size, jump, False)


AXES = [
    (conv(3, padding=1, dilation=2), (5, 1, 1), (5, 1, 1)),
    (nn.Sequential(conv(3, padding=1, dilation=2), conv(3, dilation=3)), (11, 1, 4), (11, 1, 4)),
    (nn.Sequential(conv(4, stride=2, padding=1), conv(2)), (6, 2, 1.5), (6, 2, 1.5)),
    (nn.Sequential(conv((1, 5), stride=(2, 1)), conv((3, 2), padding=(1, 0))), (5, 2, 0), (6, 1, 2.5)),
    (nn.MaxPool2d(3, 2, 1, ceil_mode=True), (3, 2, 0), (3, 2, 0)),
    (nn.Sequential(conv(3), Function(lambda x: x[:, :, 1::2, 3:])), (3, 2, 2), (3, 1, 4)),
    (Function(lambda x: F.pad(x, (2, 0, -1, 0))), (1, 1, 1), (1, 1, -2)),
    (nn.AdaptiveAvgPool2d((7, 4)), (2, 2, 0.5), (4, 3.25, 1.5)),
    (nn.Upsample(scale_factor=2), (1, 0.5, -0.25), (1, 0.5, -0.25)),
]


@pytest.mark.parametrize(("module", "height", "width"), AXES)
def test_size_jump_and_start_along_each_axis(module, height, width):
    field = receptive_fields(module, (3, 14, 13))[""]
    assert (field.height, field.width) == (Axis(*height), Axis(*width))


def test_inception_v3_has_its_published_size():
    field = receptive_fields(blank("inception_v3"), (3, 299, 299))["Mixed_7c"]
    assert (field.height.size, field.height.jump, field.cells) == (1311, 32, (8, 8))


@pytest.mark.parametrize(
    ("name", "layer", "size", "jump"),
    [("resnet18", "layer4", 435, 32), ("resnet50", "layer4", 427, 32), ("densenet121", "features", 2071, 32)],
)
def test_torchvisions_own_strides_give_these_sizes(name, layer, size, jump):
    field = receptive_fields(blank(name), (3, 224, 224))[layer]
    assert (field.height.size, field.height.jump, field.height.start % 1) == (size, jump, 0)


def test_windows_of_swin_join_at_every_shift():
    fields = receptive_fields(blank("swin_t"), (3, 224, 224))
    assert [fields[f"features.{i}"].height.size for i in ("0", "1.0", "1.1", "3.0")] == [4, 28, 56, 112]
    assert fields["features.1.0"].box((0, 55)) == (0, 196, 28, 224)
    assert fields["features.1.1"].box((55, 55)) == (196, 196, 224, 224)
    assert fields["features.1.1"].dims == (1, 2)
    assert fields["features.7"].whole


def test_tokens_see_their_patch_until_the_first_attention():
    fields = receptive_fields(blank("vit_b_16"), (3, 224, 224))
    tokens = fields["encoder.dropout"]
    assert (tokens.cells, tokens.dims, tokens.height.size, tokens.height.jump) == ((197,), (1,), 16, 16)
    assert tokens.box((0,)) == (0, 0, 0, 0)
    assert tokens.box((16,)) == (16, 16, 32, 32)
    assert tokens.box(tokens.centre) == (112, 112, 128, 128)
    assert fields["encoder.layers.encoder_layer_0.ln_2"].whole
    assert fields["heads"].whole


def test_what_takes_the_whole_map_in_is_whole():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3))
    fields = receptive_fields(module, (3, 12, 12))
    assert [fields[name].whole for name in "012"] == [False, True, True]
    flat = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(400, 10))
    fields = receptive_fields(flat, (3, 12, 12))
    assert [fields[name].whole for name in "012"] == [False, False, True]
    assert fields["1"].box((11,)) == (1, 1, 4, 4)


def test_what_no_rule_covers_is_none_and_so_is_all_behind_it():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), Function(lambda x: torch.cumsum(x, 2)), nn.ReLU(), nn.Conv2d(4, 4, 3))
    fields = receptive_fields(module, (3, 12, 12))
    assert fields["0"].height.size == 3
    assert [fields[name] for name in ("1", "2", "3", "")] == [None] * 4


def test_writing_into_a_map_is_not_taken_for_the_map():
    def write(x: Tensor) -> Tensor:
        x = x.clone()
        x[:, :, :2] = x[:, :, 4:6]
        return x

    assert receptive_fields(Function(write), (3, 12, 12))[""] is None


def test_a_model_that_breaks_off_has_its_fields_up_to_there():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(5, 4, 3), nn.Conv2d(4, 4, 3))
    fields = receptive_fields(module, (3, 12, 12))
    assert fields["0"].height.size == 3
    assert fields["1"] is fields["2"] is fields[""] is None


def test_a_module_with_two_names_has_a_field_for_each():
    relu = nn.ReLU()
    module = nn.Sequential(nn.Conv2d(1, 1, 3), relu, nn.Conv2d(1, 1, 3), relu)
    fields = receptive_fields(module, (1, 12, 12))
    assert [fields[name].height.size for name in "0123"] == [3, 3, 5, 5]


def test_modes_come_back_and_no_hook_stays():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    module[1].eval()
    receptive_fields(module, (3, 12, 12))
    effective_field(module, torch.rand(1, 3, 12, 12), "0")
    assert [inner.training for inner in module.modules()] == [True, True, False]
    assert not any(inner._forward_hooks for inner in module.modules())
    assert all(p.requires_grad and p.grad is None for p in module.parameters())
    assert module[1].num_batches_tracked == 0


@pytest.mark.parametrize("cell", [(7, 0), (0, -1), (0,), (0, 0, 0)])
def test_a_cell_that_is_not_there_is_refused(cell):
    module = nn.Conv2d(3, 4, 3, 2)
    field = receptive_fields(module, (3, 15, 15))[""]
    with pytest.raises(ValueError, match="7×7 cells"):
        field.box(cell)
    with pytest.raises(ValueError, match="7×7 cells"):
        effective_field(module, torch.rand(1, 3, 15, 15), "", cell)


def test_a_shape_that_is_no_picture_is_refused():
    with pytest.raises(ValueError, match="channels, height and width"):
        receptive_fields(nn.ReLU(), (3, 12))
    with pytest.raises(ValueError, match="N, C, H, W"):
        effective_field(nn.ReLU(), torch.rand(3, 12, 12), "")
    with pytest.raises(ValueError, match="no layer 'x'"):
        effective_field(nn.ReLU(), torch.rand(1, 3, 12, 12), "x")


def test_the_effective_field_of_one_convolution_is_its_kernel():
    module = nn.Conv2d(2, 1, 3, padding=1, bias=False)
    field = effective_field(module, torch.rand(4, 2, 9, 9), "", (4, 2))
    kernel = module.weight[0].detach().abs().sum(0)
    expected = np.zeros((9, 9), np.float32)
    expected[3:6, 1:4] = (kernel / kernel.max()).numpy()
    assert field.dtype == np.float32
    np.testing.assert_allclose(field, expected, rtol=1e-5)


def test_the_effective_field_is_the_mean_over_pictures_of_channel_sums():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3, stride=2)).eval()
    pictures = torch.randn(3, 3, 11, 11)
    expected = torch.zeros(11, 11)
    for picture in pictures:
        x = picture[None].clone().requires_grad_()
        module(x)[0, :, 2, 2].sum().backward()
        expected += x.grad[0].abs().sum(0)
    np.testing.assert_allclose(effective_field(module, pictures, ""), expected / expected.max(), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "layer"), [("resnet18", "layer2"), ("swin_t", "features.1"), ("vit_b_16", "conv_proj")]
)
def test_the_effective_field_lies_in_the_box_and_fades_to_its_edge(name, layer):
    torch.manual_seed(0)
    module, side = network(name), 224 if name == "vit_b_16" else 128
    found = effective_field(module, torch.randn(2, 3, side, side), layer)
    field = receptive_fields(module, (3, side, side))[layer]
    top, left, bottom, right = field.box(field.centre)
    assert found.max() == 1
    inside = np.zeros_like(found, dtype=bool)
    inside[top:bottom, left:right] = True
    assert found[~inside].max() < 1e-12
    assert (found[inside] > 0).mean() > 0.9


def test_a_layer_cut_off_from_the_picture_has_an_empty_effective_field():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), Function(lambda x: x.detach()), nn.ReLU())
    assert not effective_field(module, torch.rand(1, 3, 9, 9), "2").any()


def test_threads_may_share_a_body_for_effective_fields():
    torch.manual_seed(0)
    body = network("resnet18")
    pictures = [torch.randn(1, 3, 64, 64) for _ in range(4)]
    alone = [effective_field(body, x, "layer2") for x in pictures]
    with ThreadPoolExecutor(4) as pool, torch.no_grad():
        together = list(pool.map(lambda x: effective_field(body, x, "layer2"), pictures))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert all(inner.training and not inner._forward_hooks for inner in body.modules())


def test_threads_may_share_a_module_for_fields():
    module = blank("resnet18")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda side: receptive_fields(module, (3, side, side)), (64, 96, 128, 160) * 3))
    for side, fields in zip((64, 96, 128, 160) * 3, found, strict=True):
        assert {field.picture for field in fields.values()} == {(side, side)}
        assert fields["layer1"].cells == (side // 4, side // 4)


def test_no_grad_and_inference_mode_around_it_do_not_matter():
    module, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)), torch.rand(1, 3, 9, 9)
    expected = effective_field(module, x, "1")
    with torch.inference_mode():
        np.testing.assert_array_equal(effective_field(module, x, "1"), expected)
