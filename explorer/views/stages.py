"""A traced body as stages: the groups of slabs that the ribbon draws, from the photo to the cut.

The parts are the body's children, or the children of its only child where there is one ("features" of a vgg,
squeezenet, densenet); a part that holds several stacks of blocks ("trunk_output" of a regnet) is opened.

* A stack of blocks ("layer1", "denseblock1") is a stage, its blocks are the slabs. A single block right before it at
  the same resolution (a densenet's transition) is its first slab.
* Single blocks in a row (Fire, InvertedResidual) form a stage as long as they work at one resolution.
* Other layers (conv, batch norm, ReLU, pool) in a row form a stage, a slab for each convolution.
* A pooling layer closes the stage it follows. The shape shown is the one before it: what the stage sees at its finest.
* What is no convolution and stands alone (a densenet's last batch norm) belongs to the stage before it.
* Where that makes more stages than one can look at, neighbours at one resolution become one.
* A stage that spans two parameter groups is divided between two of its slabs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from math import isqrt

from explorer.trace.records import MIXED, Dropped, Layer, Shape, Trace, inside, is_channels_last

MOST = 6  # stages that stand side by side without merging
LONGEST = 16  # letters of a name below a stage
PLAIN = {"Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "AvgPool2d", "Dropout"}
WRAPPERS = {"Conv2dNormActivation", "BasicConv2d", "SqueezeExcitation", "SimpleStemIN"}  # a convolution and its helpers
HOLDERS = {"encoder", "layers"}  # what has no name of its own beside those of its blocks
LISTS = {"Sequential", "ModuleList", "AnyStage"}


@dataclass(frozen=True)
class Item:
    """One part of the body with all rows below it, its own first; `name` is its dotted name in the architecture.

    frames   rows of opened parts that begin with it: what they hold themselves (a vit's class token) counts here
    picture  height and width of what the body takes, by which those of a map are known
    """

    name: str
    rows: tuple[Layer, ...]
    frames: tuple[Layer, ...] = ()
    picture: Shape = (1, 1)

    @property
    def row(self) -> Layer:
        return self.rows[0]

    @property
    def blocks(self) -> tuple[Layer, ...]:
        """The blocks that are stacked in it; none for a block."""
        return _stacked(self.rows, self.row)

    @property
    def slabs(self) -> int:
        if self.row.container:
            return len(self.blocks) or 1
        return int(self.row.cls.startswith("Conv"))

    @property
    def pools(self) -> bool:
        return self.row.cls.endswith("Pool2d")

    @property
    def side(self) -> tuple[int, ...] | None:
        """Height and width of what comes out, None where they are not known."""
        return resolution(self.row.out_shape, self.picture)

    def name_of(self, row: Layer) -> str:
        """The dotted name of a row below it."""
        return f"{self.name}.{row.qual.removeprefix(self.row.qual + '.')}"


@dataclass(frozen=True)
class Stage:
    """Items drawn as one group of slabs."""

    items: tuple[Item, ...]
    name: str = ""

    @property
    def rows(self) -> tuple[Layer, ...]:
        return tuple(row for item in self.items for row in (*item.frames, *item.rows))

    @property
    def shown(self) -> Item:
        """The item whose output the last slab shows: the last one before a closing pool."""
        return next((item for item in reversed(self.items) if not item.pools), self.items[-1])

    @property
    def main(self) -> Item:
        """The item that speaks for the stage: the container of blocks, else the first one with a slab."""
        stacks = [item for item in self.items if item.blocks]
        weighty = [item for item in self.items if item.slabs]
        own = [item for item in weighty if item.row.container and item.row.cls not in WRAPPERS]
        return next(iter([*stacks, *own, *weighty]), self.items[0])

    @property
    def slabs(self) -> int:
        return max(1, sum(item.slabs for item in self.items))

    @property
    def blocks(self) -> int:
        """Blocks in its stacks, or slabs where there are none."""
        return sum(len(item.blocks) for item in self.items) or self.slabs

    @property
    def contents(self) -> tuple[tuple[str, int], ...]:
        """Classes of what its slabs stand for, in order, and how many there are of each."""
        classes = [row.cls for item in self.items if item.slabs for row in item.blocks or (item.row,)]
        return tuple(Counter(classes or [self.main.row.cls]).items())

    @property
    def behind(self) -> int:
        """How many layers without a slab follow its slabs."""
        return sum(not item.slabs for item in self.items)

    @property
    def side(self) -> tuple[int, ...] | None:
        return self.shown.side

    @property
    def group(self) -> str:
        return group_of(self.main)

    @property
    def numbered(self) -> tuple[str, ...]:
        """The names of those of its items that have only a number in a list, where its slabs are such: "features.3"."""
        if not self.main.row.name.isdigit():
            return ()
        return tuple(item.name for item in self.items if item.row.name.isdigit() and "." in item.name)


def body_stages(trace: Trace) -> tuple[Stage, ...]:
    """The body's stages, named, none of them across two groups."""
    items = body_items(trace.layers)
    mixed = any(item.row.container for item in items) or _blocks_behind(trace.dropped, nested="." in items[0].name)
    gathered = list(_gather(items))
    if len(gathered) > MOST and mixed:
        gathered = list(_merge(gathered))
    return _named([part for stage in gathered for part in _divide(stage)], mixed)


def body_items(layers: tuple[Layer, ...]) -> tuple[Item, ...]:
    """The body's children, or those of its only child with layers inside, and what follows that one; opened where they
    hold several stacks."""
    first, *behind = below(layers, layers[0].qual)
    children, prefix, frames = [first], "", ()
    if first.container and not any(child.container for child in behind):
        frames = (first,)
        prefix = "" if first.name == first.cls else first.name + "."  # a network that was opened has no name in itself
        children = below(layers, first.qual)
    items = [Item(prefix + child.name, inside(layers, child.qual)) for child in children]
    items += [Item(child.name, inside(layers, child.qual)) for child in behind]
    items[0] = replace(items[0], frames=frames)
    picture = (layers[0].in_shape or ())[1:] or (1, 1)
    items = [replace(item, picture=picture) for item in items]
    return tuple(part for item in items for part in _opened(item))


def below(layers: Iterable[Layer], qual: str) -> list[Layer]:
    """The rows of a module's children."""
    depth = qual.count(".") + 1
    return [row for row in layers if row.depth == depth and row.qual.startswith(qual + ".")]


def resolution(shape: Shape | None, picture: Shape = (1, 1)) -> tuple[int, ...] | None:
    """Height and width of a map or a grid of tokens, whichever side its channels stand on."""
    return None if shape is None else channels_first(shape, picture)[1:]


def channels_first(shape: Shape, picture: Shape = (1, 1)) -> Shape:
    """A map's shape as channels, height, width; tokens as the grid they came from; other lists as they are.

    picture  height and width of the network's input
    """
    if len(shape) == 2 and isqrt(shape[0]) ** 2 in (shape[0], shape[0] - 1):
        return (shape[1], isqrt(shape[0]), isqrt(shape[0]))
    return (shape[2], *shape[:2]) if len(shape) == 3 and is_channels_last(shape, picture) else shape


def group_of(item: Item) -> str:
    """An item's group; that of its last layer where it holds both."""
    return item.rows[-1].group if item.row.group == MIXED else item.row.group


def _stacked(rows: tuple[Layer, ...], row: Layer) -> tuple[Layer, ...]:
    """The children of `row` where they are blocks one behind the other; where its only child with layers inside is such
    a stack, that one's children; else nothing."""
    children = below(rows, row.qual)
    containers = [child for child in children if child.container]
    if not containers or any(child.cls in WRAPPERS for child in containers):
        return ()
    classes = {child.cls for child in containers}
    alike = len(children) > 1 and len(classes) == 1 and not classes <= LISTS
    if len(containers) == len(children) and (row.cls in LISTS or alike):
        return tuple(children)
    if len(containers) == 1 and row.cls not in LISTS and containers[0].cls in LISTS:
        inner = _stacked(rows, containers[0])
        return inner if len({block.cls for block in inner}) == 1 else ()
    return ()


def _opened(item: Item) -> Iterator[Item]:
    """The item itself, or its children where they are stacks at several resolutions, or one stack across two groups."""
    stacks = [row for row in item.blocks if _stacked(item.rows, row)]
    sides = {resolution(row.out_shape, item.picture) for row in stacks}
    across = len({row.group for row in item.blocks}) > 1
    if len(sides) <= 1 and not across:
        yield item
        return
    frames = [*item.frames, item.row]
    for row in _parts(item):
        if any(row.qual == block.qual.rpartition(".")[0] for block in item.blocks):  # the list that holds the blocks
            frames.append(row)
            continue
        yield Item(item.name_of(row), inside(item.rows, row.qual), tuple(frames), item.picture)
        frames = []


def _parts(item: Item) -> Iterator[Layer]:
    """The children of an item, and the blocks of a list among them after it."""
    for row in below(item.rows, item.row.qual):
        yield row
        yield from (block for block in item.blocks if block.qual.rpartition(".")[0] == row.qual)


def _gather(items: Iterable[Item]) -> Iterator[Stage]:
    """Items in a row become stages, by the rules at the head of this file."""
    done: list[list[Item]] = []
    current: list[Item] = []

    def close() -> None:
        nonlocal current
        if current:
            done.append(current)
        current = []

    for item in items:
        if item.blocks:
            if not (len(current) == 1 and current[0].row.container and current[0].side == item.side):
                close()
            current.append(item)
            close()
        elif item.row.container:
            if current and not _goes_on(current[-1], item):
                close()
            current.append(item)
        elif not item.slabs and not current and done:
            done[-1].append(item)
        else:
            if item.slabs and any(other.row.container for other in current):
                close()
            current.append(item)
            if item.pools:
                close()
    close()
    return (Stage(tuple(stage)) for stage in done)


def _goes_on(before: Item, item: Item) -> bool:
    """Whether a block belongs to the stage of the part before it."""
    alike = before.row.cls == item.row.cls or {before.row.cls, item.row.cls} <= WRAPPERS
    return alike and (before.side == item.side or item.row.cls in WRAPPERS)


def _merge(stages: list[Stage]) -> Iterator[Stage]:
    """Neighbours at one resolution as one stage."""
    for _, alike in groupby(stages, key=lambda stage: stage.side):
        yield Stage(tuple(item for stage in alike for item in stage.items))


def _divide(stage: Stage) -> Iterator[Stage]:
    """The stage itself, or its parts where it spans groups: what has no slab stays with the slab before it."""
    owner, groups = None, []
    for item in stage.items:
        owner = item if item.slabs or owner is None else owner
        groups.append(group_of(owner))
    for _, part in groupby(zip(groups, stage.items, strict=True), key=lambda pair: pair[0]):
        yield Stage(tuple(item for _, item in part))


def _named(stages: list[Stage], mixed: bool) -> tuple[Stage, ...]:
    """Stages with the names that their cuts have too: the container's own ("layer1"), the range of the blocks' own
    ("inception4a–e"), "stem" for plain layers in front, "features.3–5" for what has only numbers; "stage3" for what
    has no name that fits below it."""
    names = []
    for k, stage in enumerate(stages):
        main = stage.main.row
        weighty = [item for item in stage.items if item.slabs]
        if stage.numbered:
            names.append(_range(stage.numbered))
        elif main.container and main.cls not in WRAPPERS:
            parts = [item.row.name for item in weighty if item.row.container and item.row.cls not in WRAPPERS]
            stacked = [item.row.name for item in weighty if item.blocks]
            inner = main.name in HOLDERS and stage.blocks > 1
            names.append(_own_name([row.name for row in stage.main.blocks] if inner else stacked or parts))
        elif mixed:
            names.append("stem" if not k else _own_name([item.row.name for item in weighty]))
        else:
            names.append(_own_name([stage.main.row.name]))
    count = iter(range(1, len(names) + 1))
    names = [name or f"stage{next(count)}" for name in names]
    return tuple(replace(stage, name=name) for stage, name in zip(stages, names, strict=True))


def _range(names: tuple[str, ...]) -> str:
    """ "features.3–5", "features.4–5.2": the first, and of the last what lies below what both share."""
    first, last = names[0].split("."), names[-1].split(".")
    if first == last:
        return names[0]
    shared = next(i for i, pair in enumerate(zip(first, last, strict=False)) if pair[0] != pair[1])
    name = f"{names[0]}–{'.'.join(last[shared:])}"
    return name if len(name) <= LONGEST else ""


def _own_name(names: list[str]) -> str:
    """One name, or "inception4a–e" for a row of them; "" for numbers and names too long to stand below a stage."""
    if names[0].isdigit():
        return ""
    name = _span(names).removeprefix("encoder_")
    while len(name) > LONGEST and "_" in name:
        name = name.partition("_")[2]
    return name if len(name) <= LONGEST else ""


def _span(names: list[str]) -> str:
    """ "2–3", "inception4a–e", "encoder_layer_0–5": the first, and of the last what differs."""
    first, last = names[0], names[-1]
    if first == last:
        return first
    same = 0
    while same < min(len(first), len(last)) - 1 and first[same] == last[same] and not first[same:].isdigit():
        same += 1
    return f"{first}–{last[same:]}"


def _blocks_behind(dropped: tuple[Dropped, ...], nested: bool) -> bool:
    """Whether containers of features lie behind the cut: the network has blocks, though the body has none."""
    alike = [
        part for part in dropped if ("." in part.name) == nested and not part.cls.startswith(("Adaptive", "Linear"))
    ]
    return any(part.cls not in PLAIN for part in alike)
