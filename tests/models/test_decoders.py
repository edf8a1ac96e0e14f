"""Decoders: wiring, exact sizes, true skips for every body, and what hooks would break."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from explorer.models.archs import list_archs
from explorer.models.bodies import blank_parts, child_names, create_body, skips
from explorer.models.decoders import (
    DynamicUnet,
    NearestDecoder,
    TransposedDecoder,
)
from explorer.models.graphs import record
from explorer.models.groups import unet_groups
from explorer.models.layers import SpectralNorm
from explorer.models.meta import Blank
from explorer.models.pyramid import Encoder, arch_pyramid, read_pyramid
from explorer.models.wiring import plan_plain, plan_unet, read_switches
from explorer.wiring import NEAREST, TRANSPOSED, Wiring

VITS = tuple(name for name in list_archs() if name.startswith("vit_"))
SCALED = tuple(name for name in list_archs() if name not in VITS)
SMALL_OF_FAMILY = (
    "resnet18", "squeezenet1_1", "densenet121", "vgg11_bn", "alexnet", "googlenet", "inception_v3", "mobilenet_v2",
    "mobilenet_v3_small", "shufflenet_v2_x0_5", "mnasnet0_5", "efficientnet_b0", "efficientnet_v2_s",
    "regnet_y_400mf", "convnext_tiny", "swin_t", "maxvit_t",
)  # fmt: skip
SIDES = {"inception_v3": 96, "maxvit_t": 224, "alexnet": 96}
GAPS = {"alexnet", "inception_v3", "squeezenet1_0", "squeezenet1_1"}  # networks whose neighbouring scales are not ×2
LARGE_FIRST_STEP = ("alexnet", "convnext", "swin")  # the first step of the network shrinks ×4


def small_unet(**options) -> DynamicUnet:
    return DynamicUnet(create_body("resnet18"), 3, 64, width_cap=32, **options)


def blank_unet(arch: str, n_out: int = 10, size: int | tuple[int, int] = 224, **options) -> DynamicUnet:
    with Blank():
        parts = blank_parts(arch, None, 3)
        return DynamicUnet(parts.body, n_out, size, pyramid=arch_pyramid(arch, None, 3, size), **options)


def unet_wiring(arch: str, n_out: int, size: int, **options) -> Wiring:
    return plan_unet(arch_pyramid(arch, None, 3, size), n_out, **options)


def plain_wiring(arch: str, n_out: int, size: int, up: str, **options) -> Wiring:
    return plan_plain(arch_pyramid(arch, None, 3, size), n_out, up, **options)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def own_name(arch: str, node: str) -> str:
    """The architecture's own name of a body's module."""
    child, _, inside = node.partition(".")
    return ".".join(filter(None, (child_names(arch)[int(child)], inside)))


# --- wiring of every architecture ---------------------------------------------------------------------------------


@pytest.mark.parametrize("arch", SCALED)
def test_every_convolutional_and_hierarchical_body_has_three_skips_or_more_from_the_graphs_last_maps(arch):
    wiring = unet_wiring(arch, 10, 224)
    assert wiring.n_skips == len(wiring.steps) >= 3
    finest_first = [own_name(arch, step.skip) for step in reversed(wiring.steps)]
    assert finest_first == [place.name for place in skips(arch)][:-1]


@pytest.mark.parametrize("arch", SCALED)
def test_neighbouring_scales_differ_by_two_or_the_wiring_says_where_a_resize_fills_in(arch):
    wiring = unet_wiring(arch, 10, 224)
    assert [step.resized for step in wiring.steps] == [step.growth != 2 for step in wiring.steps]
    assert any(step.resized for step in wiring.steps) == (arch in GAPS)
    assert wiring.resized == (wiring.filled != 1)
    assert (wiring.filled > 1.5) == arch.startswith(LARGE_FIRST_STEP)


@pytest.mark.parametrize("arch", VITS)
def test_a_body_with_one_scale_doubles_without_skips(arch):
    wiring = unet_wiring(arch, 10, 224)
    assert wiring.n_skips == 0 and len(wiring.steps) >= 3
    assert not any(step.skip for step in wiring.steps)
    assert 1 / math.sqrt(2) < wiring.filled < math.sqrt(2)


@pytest.mark.parametrize("arch", SCALED)
def test_the_shapes_of_the_wiring_are_those_that_run(arch):
    size = (224, 224) if arch == "maxvit_t" else (97, 131)
    unet = blank_unet(arch, 7, size, width_cap=64)
    found = []
    unet.decoder.blocks[0].register_forward_hook(lambda module, args, out: found.append((args, tuple(out.shape[1:]))))
    with torch.no_grad():
        out = unet(torch.empty(2, 3, *size, device="meta"))
    (below, skip), out_shape = found[0]
    step = unet.wiring.steps[0]
    assert tuple(out.shape[1:]) == unet.wiring.out_shape == (7, *size)
    assert (tuple(below.shape[1:]), tuple(skip.shape[1:])) == (step.in_shape, step.skip_shape)
    assert out_shape == step.out_shape


@pytest.mark.parametrize("arch", SMALL_OF_FAMILY)
def test_gradient_flows_through_every_skip_into_the_body(arch):
    side = SIDES.get(arch, 64)
    torch.manual_seed(0)
    unet = DynamicUnet(create_body(arch), 2, side, width_cap=16)
    image = torch.randn(2, 3, side, side)
    maps = unet.encoder(image)
    assert len(maps) == unet.wiring.n_skips + 1 >= 4
    first = next(unet.encoder.parameters())
    for skip in maps[:-1]:
        (into_body,) = torch.autograd.grad(skip.square().sum(), first, retain_graph=True)
        assert into_body.abs().max() > 0
    handed = [out.detach().requires_grad_() for out in maps]
    unet.decoder(handed, image).square().sum().backward()
    assert all(out.grad.abs().max() > 0 for out in handed)


@pytest.mark.parametrize(
    ("arch", "total"),
    [
        ("resnet18", 31_113_808), ("resnet34", 41_221_968), ("resnet50", 339_072_336), ("resnet101", 358_064_464),
        ("resnext50_32x4d", 338_544_208), ("vgg16_bn", 68_134_080), ("densenet121", 146_079_440),
        ("mobilenet_v2", 79_744_224), ("mobilenet_v3_small", 16_855_624), ("efficientnet_b0", 82_351_340),
    ],
)  # fmt: skip
def test_parameter_counts_are_those_of_fastais_rule(arch, total):
    """fastai facts C.6, and C.7 for bodies whose inner sequence fastai is given."""
    assert count(blank_unet(arch)) == total


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ({}, 31_113_108), ({"blur": True}, 31_113_108), ({"self_attention": True}, 31_297_429),
        ({"last_cross": False}, 30_936_483), ({"norm_type": "batch"}, 31_121_053),
        ({"norm_type": "weight"}, 31_121_053), ({"norm_type": "instance"}, 31_121_053),
        ({"norm_type": "spectral"}, 31_113_108), ({"act_cls": nn.Mish}, 31_113_108),
    ],
)  # fmt: skip
def test_parameter_counts_of_the_options(options, total):
    """fastai facts C.4."""
    assert count(blank_unet("resnet18", 3, 64, **options)) == total


def test_the_wiring_of_resnet18_is_that_of_the_facts():
    """fastai facts C.6."""
    wiring = unet_wiring("resnet18", 10, 224)
    assert wiring.middle == (1024, 512)
    rows = [(s.skip, s.skip_shape, s.in_shape, s.up_shape[0], s.cat_shape, s.out_shape) for s in wiring.steps]
    assert rows == [
        ("6", (256, 14, 14), (512, 7, 7), 256, (512, 14, 14), (512, 14, 14)),
        ("5", (128, 28, 28), (512, 14, 14), 256, (384, 28, 28), (384, 28, 28)),
        ("4", (64, 56, 56), (384, 28, 28), 192, (256, 56, 56), (256, 56, 56)),
        ("2", (64, 112, 112), (256, 56, 56), 128, (192, 112, 112), (96, 112, 112)),
    ]
    assert (wiring.last_shuffle, wiring.cross, wiring.out_shape) == ((96, 224, 224), 99, (10, 224, 224))
    attended = unet_wiring("resnet18", 10, 224, self_attention=True)
    assert [s.attention for s in attended.steps] == [False, True, False, False]
    blurred = unet_wiring("resnet18", 10, 224, blur=True, blur_final=False)
    assert [s.blur for s in blurred.steps] == [True, True, True, False]


def test_the_wiring_at_an_odd_size_says_which_blocks_resize():
    """fastai facts C.8: 8, 14, 26, 52, 102 become 7, 13, 26, 51, 101."""
    wiring = unet_wiring("resnet18", 3, 101)
    assert [(s.up_shape[1], s.cat_shape[1]) for s in wiring.steps] == [(8, 7), (14, 13), (26, 26), (52, 51)]
    assert [s.resized for s in wiring.steps] == [True, True, False, True]
    assert (wiring.before_resize[1], wiring.resized) == (102, True)


def test_height_counts_as_well_as_width():
    """A body that shrinks in height alone after its stem: fastai compares widths only (fastai facts C.1)."""
    body = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU()),
        nn.Sequential(nn.Conv2d(4, 8, 3, (2, 2), 1), nn.ReLU()),
    )
    unet = DynamicUnet(body, 2, (48, 20))
    assert unet(torch.randn(2, 3, 48, 20)).shape == (2, 2, 48, 20)
    assert unet.wiring.steps[0].skip_shape == (4, 24, 10)


# --- sizes --------------------------------------------------------------------------------------------------------

DECODERS = (
    DynamicUnet,
    NearestDecoder,
    *(lambda *args, k=k, **kw: TransposedDecoder(*args, kernel=k, **kw) for k in (2, 3, 4)),
)


@pytest.mark.parametrize("make", DECODERS, ids=("unet", "nearest", "transposed2", "transposed3", "transposed4"))
@pytest.mark.parametrize("arch", ("resnet18", "squeezenet1_1", "convnext_tiny"))
def test_the_output_has_the_size_of_the_input_also_at_sizes_it_was_not_built_for(make, arch):
    model = make(create_body(arch), 2, 64, width_cap=16).eval()
    for size in ((64, 64), (97, 131), (33, 64), (101, 45)):
        with torch.no_grad():
            assert model(torch.randn(1, 3, *size)).shape == (1, 2, *size)


def test_a_tiny_picture_gives_the_same_architecture():
    """At 16 px fastai's has a block less, and its weights fit no other (fastai facts C.8)."""
    tiny, large = small_shapes(16), small_shapes(224)
    assert tiny == large
    unet = DynamicUnet(create_body("resnet18"), 3, 16, width_cap=16)
    assert unet(torch.randn(2, 3, 16, 16)).shape == (2, 3, 16, 16)


def small_shapes(size: int) -> list[tuple]:
    return [(name, t.shape) for name, t in blank_unet("resnet18", 3, size).state_dict().items()]


def test_plain_decoders_have_the_parameters_of_the_facts():
    """fastai facts C.10, with 32 outputs; the last convolution has a bias."""
    for make, options, total in (
        (NearestDecoder, {}, 1_572_864),
        (TransposedDecoder, {"kernel": 2}, 699_904),
        (TransposedDecoder, {"kernel": 3}, 1_572_864),
    ):
        with Blank():
            model = make(blank_parts("resnet18", None, 3).body, 32, 224, **options)
        convs = [m for m in model.decoder.steps.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))]
        assert [m.out_channels for m in convs] == [256, 128, 64, 32, 16]
        assert count(model.decoder) == total
    assert [s.out_shape[1] for s in plain_wiring("resnet18", 10, 224, NEAREST).steps] == [14, 28, 56, 112, 224]
    assert plain_wiring("resnet18", 10, 97, TRANSPOSED, width_cap=64).steps[-1].out_shape == (4, 128, 128)


# --- what hooks would break ---------------------------------------------------------------------------------------


def test_a_copy_after_training_is_equal_and_independent():
    """fastai's cannot be copied after a training step (fastai facts C.9)."""
    for options in ({}, {"self_attention": True, "norm_type": "weight"}):
        unet, x = small_unet(**options), torch.randn(2, 3, 64, 64)
        unet(x).sum().backward()
        twin = copy.deepcopy(unet).eval()
        unet.eval()
        with torch.no_grad():
            assert torch.equal(twin(x), unet(x))
            next(twin.encoder.parameters()).zero_()
            assert not torch.equal(twin(x), unet(x))


def test_nothing_of_a_forward_stays_in_the_model():
    """fastai's hooks keep the last activations (fastai facts C.9, I.12)."""
    unet = small_unet()
    before = {id(value) for module in unet.modules() for value in vars(module).values()}
    maps = unet.encoder(torch.randn(1, 3, 64, 64))
    assert not before & set(map(id, maps))
    assert not any(torch.is_tensor(value) for module in unet.modules() for value in vars(module).values())
    assert not any(module._forward_hooks for module in unet.modules())


def test_weights_are_saved_without_pickled_code(tmp_path):
    unet, twin = small_unet(norm_type="spectral").eval(), small_unet(norm_type="spectral").eval()
    save_file(unet.state_dict(), tmp_path / "unet.safetensors")
    twin.load_state_dict(load_file(tmp_path / "unet.safetensors"))
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(unet(x), twin(x))


@pytest.mark.parametrize("arch", ("resnet18", "swin_t"))
def test_the_graph_can_be_exported(arch):
    unet = DynamicUnet(create_body(arch), 2, 64, width_cap=16, self_attention=True, blur=True).eval()
    x = torch.randn(1, 3, 64, 64)
    exported = torch.export.export(unet, (x,)).module()
    with torch.no_grad():
        assert torch.allclose(exported(x), unet(x), atol=1e-5)


def test_the_graph_can_be_traced():
    """By torch.fx and by the tracer that finds cuts; the traced graph still takes other sizes."""
    unet = small_unet(self_attention=True).eval()
    graph, names = record(unet)
    assert {"decoder.blocks.0.shuf.0.0", "encoder.6.0.conv1"} <= set(names.values())
    traced = torch.fx.symbolic_trace(unet)
    for size in ((64, 64), (75, 90)):
        x = torch.randn(1, 3, *size)
        with torch.no_grad():
            assert torch.equal(traced(x), unet(x))


def test_encoder_and_decoder_may_stand_on_two_devices():
    unet, image = small_unet(), torch.randn(2, 3, 64, 64)
    unet.decoder.to("meta")
    maps = [out.to("meta") for out in unet.encoder(image)]
    out = unet.decoder(maps, image.to("meta"))
    assert out.is_meta and out.shape == (2, 3, 64, 64)


def test_a_map_that_the_body_writes_over_is_copied():
    """A stage that begins with an in-place activation would change the skip (fastai facts C.1)."""
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4)),
        Preactivated(4, 8),
    )
    pyramid = read_pyramid(body, 32)
    assert [(tap.node, tap.copied) for tap in pyramid.taps] == [("0", True)]
    image = torch.randn(2, 3, 32, 32)
    skip, _ = Encoder(body, pyramid.taps)(image)
    assert torch.equal(skip, body[0](image)) and skip.min() < 0
    assert not any(tap.copied for tap in arch_pyramid("resnet18", None, 3, 64).taps)


class Preactivated(nn.Module):
    def __init__(self, ni: int, nf: int):
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(ni, nf, 3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.relu(x))


# --- options ------------------------------------------------------------------------------------------------------


def test_a_skip_that_is_off_is_not_concatenated_and_narrows_its_block():
    full, less = unet_wiring("resnet18", 2, 64), unet_wiring("resnet18", 2, 64, skips=(True, False, True, True))
    assert (less.n_skips, len(less.steps), len(less.skips)) == (3, 4, 4)
    off = less.steps[1]
    assert (off.joined, off.skip, off.skip_shape) == (False, "5", (128, 8, 8))
    assert off.cat_shape == off.up_shape == (256, 8, 8)
    assert full.steps[1].cat_shape == (384, 8, 8)
    unet = small_unet(skips=(0, 2, 3))
    assert [step.joined for step in unet.wiring.steps] == [True, False, True, True]
    assert not hasattr(unet.decoder.blocks[1], "bn")
    assert [tap.node for tap in unet.encoder.taps] == ["2", "4", "6"]


@pytest.mark.parametrize("on", [(), (3,), (0,), (False, True, True, False)], ids=str)
def test_any_choice_of_skips_runs_at_any_size(on):
    unet = small_unet(skips=on).eval()
    for size in ((64, 64), (75, 97)):
        with torch.no_grad():
            assert unet(torch.randn(1, 3, *size)).shape == (1, 3, *size)


def test_switches_are_bools_or_numbers():
    assert read_switches(None, 2) == (True, True)
    assert read_switches((True, False), 2) == (True, False)
    assert read_switches((1,), 2) == (False, True)
    assert read_switches([], 2) == (False, False)
    for wrong, words in (((True,), "2 skips, but 1 switches"), ((2,), "no skip 2"), ((True, 1), "give one for each")):
        with pytest.raises(ValueError, match=words):
            read_switches(wrong, 2)


def test_a_width_cap_keeps_the_decoder_of_resnet50_small():
    wiring = unet_wiring("resnet50", 10, 224, width_cap=256)
    assert [s.out_shape[0] for s in wiring.steps] == [256, 128, 64, 32]
    assert wiring.middle == (256, 256)
    assert count(blank_unet("resnet50", width_cap=256).decoder) < 0.04 * count(blank_unet("resnet50").decoder)
    wide = unet_wiring("resnet50", 10, 224, width_cap=100_000)
    assert wide == unet_wiring("resnet50", 10, 224)


def test_bottle_halves_the_width_inside_the_residual_block():
    """fastai's builds and then fails at its last convolution (fastai facts C.4)."""
    unet = DynamicUnet(create_body("resnet18"), 3, 64, bottle=True)
    first, second = (layer[0] for layer in unet.decoder.cross.block.convpath)
    assert (first.in_channels, first.out_channels, second.out_channels) == (99, 49, 99)
    assert unet(torch.randn(2, 3, 64, 64)).shape == (2, 3, 64, 64)


def test_attention_follows_the_deepest_block_where_there_are_fewer_than_three():
    """fastai leaves it out without a word."""
    pyramid = arch_pyramid("resnet18", "layer2", 3, 64)
    assert [s.attention for s in plan_unet(pyramid, 2, self_attention=True).steps] == [True, False]


def test_outputs_stay_in_the_range():
    unet = small_unet(y_range=(-1, 2)).eval()
    with torch.no_grad():
        out = unet(10 * torch.randn(1, 3, 64, 64))
    assert -1 <= out.min() < out.max() <= 2


def test_activations_with_weights_of_their_own_are_left_as_they_are():
    """fastai's initialisation fails on a one-dimensional weight."""
    unet = small_unet(act_cls=nn.PReLU)
    slopes = [m.weight for m in unet.decoder.modules() if isinstance(m, nn.PReLU)]
    assert slopes and all(torch.equal(slope, torch.tensor([0.25])) for slope in slopes)


# --- weights at the start -----------------------------------------------------------------------------------------


def test_weights_start_as_fastais_do():
    """fastai facts C.4: Kaiming normal and no bias; the upsampling by ICNR; the output as PyTorch makes it."""
    torch.manual_seed(0)
    decoder = DynamicUnet(create_body("resnet18"), 200, 64).decoder
    drawn = [decoder.middle[0], decoder.middle[1], *decoder.cross.block.convpath]
    drawn += [layer for block in decoder.blocks for layer in (block.conv1, block.conv2, block.shuf[0])]
    for conv in (layer[0] for layer in [*drawn, decoder.last_shuffle[0]]):
        fan_in = conv.weight[0].numel()
        assert conv.weight.std().item() == pytest.approx(math.sqrt(2 / fan_in), rel=0.05)
        assert not conv.bias.any()
    output = decoder.output[0][0]
    assert output.weight.abs().max() <= 1 / math.sqrt(99)
    assert output.bias.std().item() == pytest.approx(0.01, rel=0.3)
    assert all(m.bias.eq(1e-3).all() for m in decoder.modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize("norm_type", (None, "batch", "weight", "spectral"))
def test_a_fresh_pixel_shuffle_is_nearest_neighbour(norm_type):
    """Under spectral norm fastai loses the ICNR weights."""
    shuf = small_unet(norm_type=norm_type).eval().decoder.blocks[0].shuf
    with torch.no_grad():
        out = shuf(torch.randn(1, 32, 5, 6))
    assert torch.equal(out, out[..., ::2, ::2].repeat_interleave(2, -1).repeat_interleave(2, -2))


def test_a_batch_normed_residual_block_starts_as_the_identity():
    block = small_unet(norm_type="batch").decoder.cross.block
    assert not block.convpath[1][1].weight.any()
    assert block.convpath[0][1].weight.eq(1).all()


def test_a_fresh_spectral_norm_divides_by_the_largest_singular_value():
    """fastai's knows only a random guess until it has trained."""
    torch.manual_seed(0)
    weight = torch.randn(20, 5, 3, 3)
    normed = SpectralNorm(weight).eval()(weight)
    assert torch.linalg.matrix_norm(normed.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


# --- groups and bad input -----------------------------------------------------------------------------------------


def test_the_decoder_is_the_head_group():
    """fastai facts C.5: resnet34, 10 outputs."""
    unet = blank_unet("resnet34")
    params = dict(unet.named_parameters())
    sizes = {g.name: sum(params[name].numel() for name in g.params) for g in unet_groups(unet, "resnet34")}
    assert sizes == {"body-early": 1_347_904, "body-late": 19_936_768, "head": 19_937_296}


def test_fastais_weights_of_another_model_are_refused():
    unet = small_unet()
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    state = {f"layers.{i}": tensor for i, tensor in enumerate(before.values())}
    unet.load_fastai({"model": state, "opt": {}})
    last = next(reversed(state))
    with pytest.raises(ValueError, match=r"has shape \(7,\), but 'decoder.output.0.0.bias' needs \(3,\)"):
        unet.load_fastai({**state, last: torch.zeros(7)})
    with pytest.raises(ValueError, match="tensors"):
        unet.load_fastai({last: state[last]})
    assert all(torch.equal(tensor, before[name]) for name, tensor in unet.state_dict().items())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n_out": 0}, "number of outputs"),
        ({"width_cap": 0}, "width cap"),
        ({"skips": (4,)}, r"no skip 4 in a body with 4 skips: choose 0 \(the deepest\) to 3"),
        ({"norm_type": "layer"}, "norm is batch, instance, weight, spectral or None"),
        ({"y_range": (1, 0)}, "must rise"),
        ({"img_size": 0}, "number of pixels or"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_a_sentence(options, words):
    arguments = {"n_out": 3, "img_size": 64, "width_cap": 8, **options}
    with pytest.raises(ValueError, match=words):
        DynamicUnet(create_body("squeezenet1_1") if "skips" not in options else create_body("resnet18"), **arguments)


def test_a_body_that_does_not_run_at_a_size_says_so():
    with pytest.raises(ValueError, match="does not run on a picture of 64×64 px"):
        unet_wiring("vit_b_16", 2, 64)
    with pytest.raises(ValueError, match="does not run on a picture of 8×8 px"):
        DynamicUnet(create_body("squeezenet1_1"), 2, 8)
    with pytest.raises(ValueError, match="needs a body that ends in a map"):
        DynamicUnet(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()), 2, 32)
    with pytest.raises(ValueError, match="kernel of a transposed"):
        TransposedDecoder(create_body("squeezenet1_1"), 2, 64, kernel=5)
