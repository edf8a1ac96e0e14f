"""From a body's maps back to an image: three decoders, each of which gives exactly the input's height and width.

Skips are arguments: `encoder(image)` gives the maps, `decoder(maps, image)` takes them. The two may stand on different
devices: `unet.decoder([m.to(other) for m in unet.encoder(image)], image.to(other))`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from explorer.models.heads import SigmoidRange, check_range
from explorer.models.layers import (
    Activation,
    ConvLayer,
    PixelShuffleUp,
    ResBlock,
    SelfAttention,
    activation,
    draw_output,
    norm_layer,
)
from explorer.models.pyramid import Encoder, read_pyramid
from explorer.models.wiring import plan_plain, plan_unet
from explorer.spec import Size
from explorer.wiring import NEAREST, TRANSPOSED, Pyramid, Step, Wiring

TRANSPOSED_KERNELS = {2: (0, 0), 3: (1, 1), 4: (1, 0)}  # kernel: (padding, output padding) that exactly double


class DynamicUnet(nn.Module):
    """A U-Net around any body: (B, n_in, H, W) -> (B, n_out, H, W), for any H and W that the body takes.

    body            as `bodies.create_body` makes it; it becomes the encoder, it is not copied
    img_size        of the pictures, in pixels or as (height, width): shapes in `wiring` are for these; others run, too
    blur            average 2×2 neighbours after each doubling, against checkerboards
    blur_final      with `blur`: in the last block, too
    self_attention  after the third-last block; after the deepest where there are fewer
    last_cross      join the picture itself at the end, in a residual block at full size
    bottle          halve the width inside that block
    norm_type       None (biases and no norm), "batch", "instance", "weight", "spectral" for the decoder's convolutions
    act_cls         makes the decoder's activations
    y_range         outputs squeezed between two numbers
    skips           None for all; a bool for each, deepest first; or the numbers of those that are on, 0 the deepest.
                    Without its skip a block only doubles, and its convolutions are narrower
    width_cap       most channels of the deepest block; each finer one has at most half of those
    pyramid         what `pyramid.read_pyramid` says about this body and size, for whoever knows it already

    `wiring` is the list that it was built from. Parameters stand in fastai's order, see `load_fastai`.
    Raises ValueError for options that cannot be meant or a body that does not run at this size.
    Source: U-Net, arXiv 1505.04597; fastai facts C.
    """

    def __init__(
        self,
        body: nn.Module,
        n_out: int,
        img_size: Size,
        *,
        blur: bool = False,
        blur_final: bool = True,
        self_attention: bool = False,
        last_cross: bool = True,
        bottle: bool = False,
        norm_type: str | None = None,
        act_cls: Activation = nn.ReLU,
        y_range: tuple[float, float] | None = None,
        skips: Sequence[bool] | Sequence[int] | None = None,
        width_cap: int | None = None,
        pyramid: Pyramid | None = None,
    ):
        super().__init__()
        pyramid = pyramid or read_pyramid(body, img_size)
        self.wiring = plan_unet(
            pyramid,
            n_out,
            blur=blur,
            blur_final=blur_final,
            self_attention=self_attention,
            last_cross=last_cross,
            bottle=bottle,
            skips=skips,
            width_cap=width_cap,
        )
        joined = {step.skip for step in self.wiring.steps if step.joined}
        self.encoder = Encoder(body, tuple(tap for tap in pyramid.taps if tap.node in joined))
        self.decoder = UnetDecoder(self.wiring, norm_type=norm_type, act_cls=act_cls, y_range=y_range)

    def forward(self, image: Tensor) -> Tensor:
        return self.decoder(self.encoder(image), image)

    def load_fastai(self, state: Mapping[str, Any]) -> None:
        """Take over the weights of fastai's DynamicUnet of the same architecture and options, in place.

        state  its state dict, or what a learner saves: {"model": state dict, …}

        The tensors are the same, in the same order, under other names ("layers.0.0.weight" is "encoder.0.weight").
        Raises ValueError, with nothing changed, where number or shapes differ.
        """
        theirs = state.get("model", state)
        ours = self.state_dict()
        if len(theirs) != len(ours):
            raise ValueError(
                f"The file has {len(theirs)} tensors and this U-Net {len(ours)}: build it with the same body, options "
                f"and no skip switched off."
            )
        for (name, mine), (other, tensor) in zip(ours.items(), theirs.items(), strict=True):
            if mine.shape != tensor.shape:
                raise ValueError(
                    f"{other!r} has shape {tuple(tensor.shape)}, but {name!r} needs {tuple(mine.shape)}: build the "
                    f"U-Net with the same body and options."
                )
        self.load_state_dict(dict(zip(ours, theirs.values(), strict=True)))


class UnetDecoder(nn.Module):
    """From the maps of a body, finest first, and the picture to the output: a list of (B, C, h, w) -> (B, n_out, H, W).

    Takes the maps of the skips that are on, and the body's last map; it doubles where a skip is off.
    """

    def __init__(
        self,
        wiring: Wiring,
        *,
        norm_type: str | None = None,
        act_cls: Activation = nn.ReLU,
        y_range: tuple[float, float] | None = None,
    ):
        super().__init__()
        kinds = {"norm_type": norm_type, "act_cls": act_cls}
        nf, (hidden, out) = wiring.features[0], wiring.middle
        self.norm = norm_layer(nf)
        self.relu = nn.ReLU(inplace=True)
        self.middle = nn.Sequential(ConvLayer(nf, hidden, **kinds), ConvLayer(hidden, out, **kinds))
        self.blocks = nn.ModuleList(UnetBlock(step, **kinds) for step in wiring.steps)
        width = wiring.before_resize[0]
        self.last_shuffle = PixelShuffleUp(width, width, **kinds) if wiring.last_shuffle else nn.Identity()
        self.cross = CrossConnection(wiring.cross, wiring.cross_hidden, **kinds) if wiring.cross else None
        self.output = _output(wiring.cross or width, wiring.out_shape[0], norm_type, y_range)

    def forward(self, maps: Sequence[Tensor], image: Tensor) -> Tensor:
        *skips, features = maps
        x = self.middle(self.relu(self.norm(features)))
        for block in self.blocks:
            x = block(x, skips.pop() if block.joins else None)
        x = resize_to(self.last_shuffle(x), image)
        if self.cross is not None:
            x = self.cross(x, image)
        return self.output(x)


class UnetBlock(nn.Module):
    """Double the grid, join the skip, convolve twice: (B, u, h, w), (B, s, H, W) -> (B, nf, H, W)."""

    def __init__(self, step: Step, *, norm_type: str | None = None, act_cls: Activation = nn.ReLU):
        super().__init__()
        kinds = {"norm_type": norm_type, "act_cls": act_cls}
        joined, width = step.cat_shape[0], step.out_shape[0]
        self.joins = step.joined
        self.shuf = PixelShuffleUp(step.in_shape[0], step.up_shape[0], blur=step.blur, **kinds)
        if step.joined:
            self.bn = norm_layer(step.skip_shape[0])
        self.conv1 = ConvLayer(joined, width, **kinds)
        self.conv2 = ConvLayer(width, width, **kinds)
        if step.attention:
            self.conv2.append(SelfAttention(width))
        self.relu = activation(act_cls)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        x = self.shuf(x)
        if skip is not None:
            x = torch.cat([resize_to(x, skip), self.bn(skip)], dim=1)
        return self.conv2(self.conv1(self.relu(x)))


class CrossConnection(nn.Module):
    """The picture beside the map, through a residual block: (B, c, H, W), (B, n_in, H, W) -> (B, c + n_in, H, W)."""

    def __init__(self, width: int, hidden: int, *, norm_type: str | None = None, act_cls: Activation = nn.ReLU):
        super().__init__()
        self.block = ResBlock(width, hidden, norm_type=norm_type, act_cls=act_cls)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        return self.block(torch.cat([x, image], dim=1))


class NearestDecoder(nn.Module):
    """The chapter's first way: double by nearest neighbour, then convolve, until the picture's size is reached.

    (B, n_in, H, W) -> (B, n_out, H, W). Each step is nearest ×2, 3×3 convolution, batch norm, ReLU and halves the
    width; a 1×1 convolution ends it.

    width_cap  most channels of the first step; each further one has at most half of those
    y_range    outputs squeezed between two numbers
    pyramid    as for `DynamicUnet`
    """

    def __init__(
        self,
        body: nn.Module,
        n_out: int,
        img_size: Size,
        *,
        width_cap: int | None = None,
        y_range: tuple[float, float] | None = None,
        pyramid: Pyramid | None = None,
    ):
        super().__init__()
        self.wiring = plan_plain(pyramid or read_pyramid(body, img_size), n_out, NEAREST, width_cap)
        self.encoder = Encoder(body)
        self.decoder = PlainDecoder(self.wiring, [_nearest_step(step) for step in self.wiring.steps], y_range)

    def forward(self, image: Tensor) -> Tensor:
        return self.decoder(self.encoder(image), image)


class TransposedDecoder(nn.Module):
    """The chapter's second way: stride-½ (transposed) convolutions, with batch norm and ReLU, halving the width.

    (B, n_in, H, W) -> (B, n_out, H, W); arguments as for `NearestDecoder`.

    kernel  3 shows checkerboards, 4 and 2 overlap evenly; padded so that each step exactly doubles
    """

    def __init__(
        self,
        body: nn.Module,
        n_out: int,
        img_size: Size,
        *,
        kernel: int = 3,
        width_cap: int | None = None,
        y_range: tuple[float, float] | None = None,
        pyramid: Pyramid | None = None,
    ):
        super().__init__()
        if kernel not in TRANSPOSED_KERNELS:
            raise ValueError(f"The kernel of a transposed convolution that doubles is 2, 3 or 4, not {kernel!r}.")
        self.wiring = plan_plain(pyramid or read_pyramid(body, img_size), n_out, TRANSPOSED, width_cap)
        self.encoder = Encoder(body)
        steps = [_transposed_step(step, kernel) for step in self.wiring.steps]
        self.decoder = PlainDecoder(self.wiring, steps, y_range)

    def forward(self, image: Tensor) -> Tensor:
        return self.decoder(self.encoder(image), image)


class PlainDecoder(nn.Module):
    """Steps one after the other, without skips: [(B, C, h, w)], picture -> (B, n_out, H, W)."""

    def __init__(self, wiring: Wiring, steps: Sequence[nn.Module], y_range: tuple[float, float] | None = None):
        super().__init__()
        self.steps = nn.Sequential(*steps)
        self.output = _output(wiring.before_resize[0], wiring.out_shape[0], None, y_range)

    def forward(self, maps: Sequence[Tensor], image: Tensor) -> Tensor:
        return self.output(resize_to(self.steps(maps[-1]), image))


@fx.wrap
def resize_to(x: Tensor, other: Tensor) -> Tensor:
    """Nearest resize to the height and width of another map; nothing happens where they are the same."""
    if x.shape[-2:] == other.shape[-2:]:
        return x
    return F.interpolate(x, other.shape[-2:], mode="nearest")


def _nearest_step(step: Step) -> nn.Sequential:
    return nn.Sequential(nn.Upsample(scale_factor=2), ConvLayer(step.in_shape[0], step.out_shape[0], norm_type="batch"))


def _transposed_step(step: Step, kernel: int) -> nn.Sequential:
    ni, nf = step.in_shape[0], step.out_shape[0]
    padding, more = TRANSPOSED_KERNELS[kernel]
    conv = nn.ConvTranspose2d(ni, nf, kernel, stride=2, padding=padding, output_padding=more, bias=False)
    return ConvLayer(ni, nf, norm_type="batch", conv=conv)


def _output(ni: int, n_out: int, norm_type: str | None, y_range: tuple[float, float] | None) -> nn.Sequential:
    """A 1×1 convolution and, where one is given, the range."""
    check_range(y_range)
    conv = ConvLayer(ni, n_out, ks=1, norm_type=norm_type, act_cls=None, draw=draw_output)
    return nn.Sequential(conv, *([SigmoidRange(*y_range)] if y_range is not None else []))
