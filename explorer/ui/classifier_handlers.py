"""What happens on the classifier page alone; `ui.page_handlers` has what all pages share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from explorer import link
from explorer.data.registry import list_data
from explorer.models.archs import Nameable, is_arch, list_archs
from explorer.spec import ClassifierSpec, SpecError, TrainSpec
from explorer.trace.hints import hints
from explorer.trace.tracer import trace
from explorer.ui import sheet
from explorer.ui.describe import (
    AT_FIRST,
    View,
    describe,
    describe_tab,
    draw_pinned,
    group_payload,
    is_path,
    suggestions,
)
from explorer.ui.held import Held, Payloads
from explorer.ui.page_handlers import (
    PageHandlers,
    answering,
    place_of_data,
    problems,
    seen,
    set_fields,
    with_body_that_is,
    with_rates_that_fit,
)
from explorer.ui.read import LINK_REACH, TRAIN_REACH, Reading, cut_steps, read, show, within_reach

TABS = ("tree", "layers", "cost", "activations", "compare", "code", "summary", "data")


class ClassifierHandlers(PageHandlers):
    """Handlers of the classifier page."""

    tabs = TABS
    start = (ClassifierSpec(), TrainSpec(), AT_FIRST)

    def _read(self, values: Mapping[str, object]) -> Reading:
        return read(values, self.services.is_allowed_file)

    def redrawn(self, values: Mapping[str, object], view: View) -> Payloads:
        """Values of all widgets that show the model; only the sentences where something it is made of is in doubt."""
        reading = self._read(values)
        if not reading.builds:
            return {"notices": problems(seen(values, reading.problems))}
        try:
            payloads, doubts = describe(reading, self.services, view)
        except SpecError as error:
            return {"notices": problems({**seen(values, reading.problems), error.field: str(error)})}
        payloads["gallery"] = {"chosen": reading.spec.body.arch}
        if "data" in reading.problems:  # nothing named or brought yet, say: how it should look
            payloads["datahint"] = {"text": set_help(values.get("data"))}
        notices = problems({**doubts, **seen(values, reading.problems)}, suggestions(reading.spec))
        return {**answering(values, reading, payloads), "notices": notices}

    def described_tab(self, reading: Reading, view: View) -> Payloads:
        return describe_tab(reading, self.services, view)

    def acted(self, held: Held) -> Payloads:
        """A button of the ribbon: this design stays as A, or what the banner offers."""
        return self.pin(held) if held.asked("id") == "pin" else super().acted(held)

    # ---- two designs side by side ----

    def pin(self, held: Held) -> Payloads:
        """The present design stays as A; where it cannot be built, nothing happens."""
        reading = self._read(held.values)
        return self._beside(held.values, replace(held.view, pinned=reading)) if reading.builds else self.refresh(held)

    def compared(self, held: Held) -> Payloads:
        """A button of the second ribbon: A goes, or A and B change places."""
        if held.asked("id") != "swap" or held.view.pinned is None:
            return self._beside(held.values, replace(held.view, pinned=None))
        pinned, reading = held.view.pinned, self._read(held.values)
        if not reading.builds:
            return self.refresh(held)
        page = self.page_for(pinned.spec, pinned.train, replace(held.view, pinned=reading))
        return {**page, **self._pinned(replace(held.view, pinned=reading))}

    def _beside(self, values: Mapping[str, object], view: View) -> Payloads:
        return {**self.redrawn(values, view), **self._pinned(view)}

    def _pinned(self, view: View) -> Payloads:
        return {"view": view, "ribbon_a": draw_pinned(view.pinned, self.services, view.measure)}

    # ---- the model ----

    def followed(self, held: Held) -> Payloads:
        """A suggestion at a control: its change is made."""
        reading = self._read(held.values)
        found = hints(reading.spec, trace(reading.spec)) if reading.builds else ()
        fix = next((hint.fix for hint in found if hint.field == held.asked("field")), None)
        return self._with(held, reading, fix) if fix else self.refresh(held)

    def shown(self, spec: ClassifierSpec, train: TrainSpec) -> Payloads:
        """What the controls hold for these specs."""
        return show(spec, train)

    def body_chosen(self, held: Held) -> Payloads:
        """One of the gallery; anything else changes nothing."""
        arch = held.asked("arch")
        return self.changed(held, arch=arch) if is_arch(arch) else self.refresh(held)

    def measured(self, held: Held) -> Payloads:
        """A cost was chosen to be laid over the pictures, or once more to be taken off."""
        return self._beside(held.values, self.view_measured(held))

    # ---- data ----

    def _sheet(self, values: Mapping[str, object], seed: int = 0) -> Payloads:
        return sheet.payload(self._read(values), self.services, seed)

    def _fit_outputs(self, held: Held) -> tuple[Payloads, str]:
        """The head's outputs brought to the number of classes, and what is wrong with the set, if anything."""
        classes, problem = sheet.count_classes(self._read(held.values), self.services)
        if not classes or classes == held.part("chips").get("outputs"):
            return {}, problem
        help = f"The set has {classes} classes, so the head has {classes} outputs."
        return {"chips": {**held.part("chips"), "outputs": classes, "help": help}}, problem

    # ---- whole pages ----

    def page_for(self, spec: ClassifierSpec, train: TrainSpec, view: View = AT_FIRST, said: str = "") -> Payloads:
        """Every control for these specs, and the picture; `said` is a sentence about the page as a whole."""
        weights_file = spec.body.weights if is_path(spec.body.weights) else None
        held: Payloads = {
            **show(spec, train),
            **set_fields(train),
            "cut": cut_steps(spec),
            "chips": {"widths": list(spec.head.widths), "outputs": spec.n_out, "outputs_editable": True},
            "groups": group_payload(spec, train),
        }
        payloads = {**held, **self.redrawn({**held, "file": weights_file}, view)}
        if said:
            payloads["notices"] = problems({"link": said})
        return {
            **payloads,
            "file": {"visible": bool(weights_file), "value": weights_file},
            "path": {"visible": place_of_data(held) == "path", "value": held["path"]},
            "upload": self._zone(held),
        }

    def opened(self, query: Mapping[str, str]) -> Payloads:
        """A visit: the page for its link, with a sentence for each part of the link that was dropped."""
        spec, train, dropped = self._meant(query)
        view = AT_FIRST
        if link.PINNED in query:
            pinned_spec, pinned_train, more = self._meant(query[link.PINNED])
            view, dropped = replace(view, pinned=Reading(pinned_spec, pinned_train)), (*dropped, *more)
        page = {**self.page_for(spec, train, view, said=" ".join(dropped)), **self._pinned(view)}
        return {**page, "topbar": {**page.get("topbar", {}), "opened": True}}

    def _meant(self, query: Mapping[str, str] | str) -> tuple[ClassifierSpec, TrainSpec, tuple[str, ...]]:
        """The design that a query asks for, brought within reach, and a sentence for each part that was dropped."""
        sets = [choice.name for choice in list_data() if choice.name[-1:] != ":"]
        known = {"arch": Nameable(list_archs()), "weights": ("imagenet", "random"), "data": sets}
        decoded = link.decode(query, known=known)
        spec, dropped = with_body_that_is(decoded.spec, decoded.problems)
        spec, far = within_reach(spec, LINK_REACH)
        train, too_far = within_reach(decoded.train, TRAIN_REACH)
        train, dropped = with_rates_that_fit(spec, train, (*dropped, *far, *too_far))
        return spec, train, dropped


def set_help(name: object) -> str:
    """What is said of a set of the list, "" for what is none."""
    return next((choice.help for choice in list_data() if choice.name == name), "")
