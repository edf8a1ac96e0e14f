"""What runs, and could still be meant otherwise: suggestions to a spec, each with the change that would follow it."""

from __future__ import annotations

from dataclasses import dataclass

from explorer.models.bodies import LEAST_SHARE, TO_MAP, Cut, legal_cuts, read_graph, resolve_cut
from explorer.spec import ClassifierSpec, size_text
from explorer.trace.records import Fix, Trace, inside


@dataclass(frozen=True)
class Hint:
    """A suggestion at a control: the spec's field ("head.first_bn"), one sentence, and the change it speaks of."""

    field: str
    text: str
    fix: Fix | None = None


def hints(spec: ClassifierSpec, trace: Trace) -> tuple[Hint, ...]:
    """Suggestions for a model that runs, in the order of the controls; none for one that does not.

    Raises ValueError where the spec's body cannot be built.
    """
    if trace.failure is not None:
        return ()
    found = (_small_share(spec), _one_cell(spec, trace), _norm_twice(spec, trace), _squeezed_classes(spec))
    return tuple(hint for hint in found if hint is not None)


def early_cut(spec: ClassifierSpec) -> Cut | None:
    """The cut, where it was chosen and leaves under a hundredth of the network's parameters.

    Raises ValueError where the spec's body cannot be built.
    """
    cut = resolve_cut(spec.body.arch, spec.body.cut)
    return None if cut.share >= LEAST_SHARE or cut == resolve_cut(spec.body.arch) else cut


def later_cut(spec: ClassifierSpec) -> Fix:
    """The change that is offered for such a cut: behind the first module that leaves a hundredth or more."""
    arch = spec.body.arch
    modules = {place.name for place in read_graph(arch).features if place.ends}
    enough = [place for place in legal_cuts(arch) if place.share >= LEAST_SHARE]
    deeper = next((place for place in enough if place.name in modules), resolve_cut(arch))
    return Fix(f"Cut after {deeper.name}", "body.cut", deeper.name)


def percent(share: float) -> str:
    """ "0.72 %" of 0.0072."""
    return f"{100 * share:.2g} %"


def _small_share(spec: ClassifierSpec) -> Hint | None:
    """A cut that leaves next to nothing of the network."""
    cut = early_cut(spec)
    if cut is None:
        return None
    fix = later_cut(spec)
    deeper = resolve_cut(spec.body.arch, fix.value)
    return Hint(
        "body.cut",
        f"This cut keeps {percent(cut.share)} of {spec.body.arch}'s parameters, so hardly anything it learned is "
        f"borrowed: cut after {deeper.name} to keep {percent(deeper.share)}.",
        fix,
    )


def _one_cell(spec: ClassifierSpec, trace: Trace) -> Hint | None:
    """Both poolings of a map of one cell are that cell: every feature comes twice."""
    shape = _body_shape(trace)
    if spec.head.pool != "concat" or shape is None or shape[1:] != (1, 1):
        return None
    return Hint(
        "head.pool",
        f"At {size_text(spec.body.size)} px the body's map is a single cell, so its maximum and its average are the "
        f"same {shape[0]} numbers twice: pool with avg, or use larger pictures.",
        Fix("Pool with avg", "head.pool", "avg"),
    )


def _norm_twice(spec: ClassifierSpec, trace: Trace) -> Hint | None:
    """A head that begins with batch norm over a body that ends in one."""
    norm = _last_norm(trace, resolve_cut(spec.body.arch, spec.body.cut), spec.body.arch)
    if not spec.head.first_bn or spec.head.lin_first or not norm:
        return None
    return Hint(
        "head.first_bn",
        f"The body already ends in a batch norm ({norm}), so the head's first batch norm does its work again: "
        "switch it off.",
        Fix("Switch it off", "head.first_bn", False),
    )


def _squeezed_classes(spec: ClassifierSpec) -> Hint | None:
    """A range is meant for one predicted number; a class's score must be free to grow."""
    if spec.head.y_range is None or spec.n_out == 1:
        return None
    low, high = spec.head.y_range
    return Hint(
        "head.y_range",
        f"y_range holds each of the {spec.n_out} outputs between {low:g} and {high:g}, which suits a predicted number; "
        "as scores of classes they stay too close to tell one clearly from another: leave it empty.",
        Fix("Leave it empty", "head.y_range", None),
    )


def _last_norm(trace: Trace, cut: Cut, arch: str) -> str:
    """Name of the batch norm whose output leaves the body, "" where none does: a sum may follow the last one."""
    node = next((place.node for place in read_graph(arch).features if place.name == cut.name), "")
    body = [layer for layer in inside(trace.layers, "0") if not layer.container and layer.name != TO_MAP]
    last = body[-1] if body else None
    ends = last is not None and last.cls.startswith("BatchNorm") and node.rpartition(".")[2] == last.name
    return node if ends else ""


def _body_shape(trace: Trace) -> tuple[int, ...] | None:
    return next((layer.out_shape for layer in trace.layers if layer.qual == "0"), None)
