"""What happens on every page that builds and trains a model: control values in, widget values out, both by name.

`redrawn` is the one way from the controls to the picture; every other handler changes a value or two and goes through
it. Nothing here knows a component, so each handler can be tried without a page.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace

from explorer import link
from explorer.data.uploads import CLASSES
from explorer.models.bodies import resolve_cut
from explorer.models.timm_archs import is_timm
from explorer.spec import BodySpec, SpecError, TrainSpec
from explorer.trace.hints import early_cut, later_cut
from explorer.trace.records import Fix
from explorer.trace.tracer import trace
from explorer.train.schedule import phases, planned_rates
from explorer.ui.describe import View, cannot_train, count_groups, place_of, question
from explorer.ui.held import Held, Payloads
from explorer.ui.read import BROUGHT, BUILD_REACH, Reading, cut_steps, dropped_cut, number, usual_rates
from explorer.ui.services import Services
from explorer.views.measures import MEASURES
from explorer.views.numbers import rate as words

LIVE = ("queued", "running")
BUSY = {"go": {"value": "Training…", "interactive": False}, "halt": {"interactive": True}}
RESTING = {"go": {"value": "Train", "interactive": True}, "halt": {"interactive": True}}
IDLE = {"go": {"value": "Train", "interactive": True}, "halt": {"interactive": False}}

Spec = link.Spec


class PageHandlers(ABC):
    """What the handlers of all pages share; they keep nothing between calls. A page says what it alone knows:

    tabs           names of its inner tabs, the first one first on show
    start          what it begins with: spec, training, view
    redrawn        from control values to what all widgets show
    described_tab  what one inner tab shows
    shown          what the controls hold for specs; `page_for` every control, and the picture
    _read          control values as specs
    _fit_outputs   the outputs brought to the number of classes of the data
    _sheet         a batch of the data
    """

    tabs: tuple[str, ...]
    start: tuple[Spec, TrainSpec, View]

    def __init__(self, services: Services):
        self.services = services

    @abstractmethod
    def redrawn(self, values: Mapping[str, object], view: View) -> Payloads:
        """Values of all widgets that show the model; only the sentences where something it is made of is in doubt."""

    @abstractmethod
    def described_tab(self, reading: Reading, view: View) -> Payloads:
        """What the inner tab of the view shows, where the model builds."""

    @abstractmethod
    def shown(self, spec: Spec, train: TrainSpec) -> Payloads:
        """What the controls hold for these specs."""

    @abstractmethod
    def page_for(self, spec: Spec, train: TrainSpec, view: View, said: str = "") -> Payloads:
        """Every control for these specs, and the picture; `said` is a sentence about the page as a whole."""

    @abstractmethod
    def _read(self, values: Mapping[str, object]) -> Reading:
        """The specs that the controls mean."""

    @abstractmethod
    def _fit_outputs(self, held: Held) -> tuple[Payloads, str]:
        """The outputs brought to the number of classes, and what is wrong with the set, if anything."""

    @abstractmethod
    def _sheet(self, values: Mapping[str, object], seed: int = 0) -> Payloads:
        """A batch of the data."""

    # ---- the picture follows the controls ----

    def refresh(self, held: Held) -> Payloads:
        """Any control moved."""
        return self.redrawn(held.values, held.view)

    def changed(self, held: Held, **new: object) -> Payloads:
        """Some controls get new values, and the picture follows."""
        return {**new, **self.redrawn({**held.values, **new}, held.view)}

    def rate_typed(self, held: Held) -> Payloads:
        """The head's rate: the groups below keep their distance to it."""
        reading, rates = self._read(held.values), self._rates(held)
        if "lr" in reading.problems or not rates:
            return self.refresh(held)
        if None in rates or not rates[-1]:
            rates = usual_rates(reading.train.schedule, reading.train.lr, len(rates))
        rows = [
            {**row, "rate": words(min(10.0, rate * reading.train.lr / rates[-1]))}
            for row, rate in zip(held.part("groups")["rows"], rates, strict=True)
        ]
        return self.redrawn({**held.values, "groups": {"rows": rows}}, held.view)

    def groups_moved(self, held: Held) -> Payloads:
        """A rate or a lock of a group: the head's rate and the rate field are one and the same."""
        rates = self._rates(held)
        if held.part("groups").get("problem") or not rates or rates[-1] is None:
            return self.refresh(held)
        return self.changed(held, rate=words(rates[-1]))

    def schedule_chosen(self, held: Held) -> Payloads:
        """Another schedule: its usual rates, and its usual locks."""
        train, rates = self._read(held.values).train, self._rates(held)
        locked = 0 if train.schedule == "fine_tune" else len(rates) - 1
        rows = [
            {**row, "rate": words(rate), "frozen": i < locked}
            for i, (row, rate) in enumerate(
                zip(held.part("groups").get("rows", []), usual_rates(train.schedule, train.lr, len(rates)), strict=True)
            )
        ] if rates else []  # fmt: skip
        return self.redrawn({**held.values, "groups": {"rows": rows}}, held.view)

    def _rates(self, held: Held) -> list[float | None]:
        """The groups' rates as numbers; None for what is none, nothing at all for what are no rows."""
        rows = held.part("groups").get("rows")
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            return []
        return [number_or_none(row.get("rate")) for row in rows]

    def weights_chosen(self, held: Held) -> Payloads:
        """ImageNet, random or a file: the file's field comes or goes."""
        return {**self.refresh(held), "file": {"visible": held.values.get("weights") == "File"}}

    def acted(self, held: Held) -> Payloads:
        """A button of the banner: the network once more, a file, or from scratch; anything else looks again."""
        if held.asked("id") == "file":
            return {**self.changed(held, weights="File"), "file": {"visible": True}}
        if held.asked("id") == "scratch":
            return self._from_scratch(held)
        if held.asked("id") == "retry":
            self.services.weights.forget_missing()
        shown = self.refresh(held)
        if held.asked("id") == "loaded" and "cut" in shown:  # nobody changed anything: what is said stays
            shown["cut"]["help"] = str(held.part("cut").get("help") or "")
        return shown

    def _from_scratch(self, held: Held) -> Payloads:
        """Random weights, said openly, and no group frozen."""
        values = {**held.values, "weights": "Random", "groups": {"rows": thawed(held)}}
        return {**self.redrawn(values, held.view), "weights": "Random"}

    def mended(self, held: Held) -> Payloads:
        """The mend that a failed trace offers: one field gets the value that works."""
        reading = self._read(held.values)
        failure = trace(reading.spec).failure if reading.builds else None
        if failure is None or failure.fix is None:
            return self.refresh(held)
        return self._with(held, reading, failure.fix)

    def _with(self, held: Held, reading: Reading, fix: Fix) -> Payloads:
        """One field of the model gets another value."""
        spec = link.put(reading.spec, fix.field, fix.value)
        wanted = self.shown(spec, reading.train)
        mended = {name: value for name, value in wanted.items() if value != held.values.get(name)}
        if fix.field == "body.cut":
            mended["cut"] = cut_steps(spec)
        return self.changed(held, **mended)

    def view_measured(self, held: Held) -> View:
        """The view with the cost that a widget asks for."""
        key = held.asked("key")
        return replace(held.view, measure=key if key in tuple(MEASURES) and key != held.view.measure else "")

    def tab_chosen(self, held: Held) -> Payloads:
        """Another inner tab: only what is on show is described."""
        tab = next((tab for tab in self.tabs if tab == str(held.asked("value")).lower()), self.tabs[0])
        view = replace(held.view, tab=tab)
        if tab == "data":
            return {"view": view, "sheet": self._sheet(held.values)}
        reading = self._read(held.values)
        return {"view": view, **(self.described_tab(reading, view) if reading.builds else {})}

    # ---- data ----

    def data_chosen(self, held: Held) -> Payloads:
        """Another set: the path's field comes or goes, and the outputs follow the number of classes."""
        place = place_of_data(held.values)
        shown: Payloads = {"path": {"visible": place == "path"}, "upload": self._zone(held.values)}
        if place != "data" and "data" in self._read(held.values).problems:  # nothing named or brought yet
            return {**shown, **self.refresh(held)}
        fitted, problem = self._fit_outputs(held)
        shown |= {**fitted, **self.redrawn({**held.values, **fitted}, held.view)}
        if problem:
            shown["notices"]["problems"][place_of_data(held.values)] = problem
        if held.view.tab == "data":
            shown["sheet"] = self._sheet(held.values)
        return shown

    def _use(self, values: Mapping[str, object]) -> str:
        """What pictures that somebody brings are for."""
        return CLASSES

    def _zone(self, values: Mapping[str, object]) -> Payloads:
        """What the drop zone holds: whether it is on show, what for, which set is chosen."""
        held = values.get("upload")
        own = held if isinstance(held, Mapping) else {}
        return {**own, "on": values.get("data") == BROUGHT, "use": self._use(values)}

    def data_changed(self, held: Held) -> Payloads:
        """How much of the set, how hard, how augmented, how large."""
        return {**self.refresh(held), **({"sheet": self._sheet(held.values)} if held.view.tab == "data" else {})}

    def size_moved(self, held: Held) -> Payloads:
        """The slider of the image size: where the field beside it held both sides, it keeps the width alone.

        What was typed below the slider's reach, which the slider cannot show, stands in that field.
        """
        beside = str(held.values.get("width") or "")
        sides = [part.strip() for part in beside.replace("×", "x").split("x")]
        width = "" if len(sides) == 2 and sides[0] == sides[1] else sides[-1]
        height = held.values.get("size")
        if isinstance(height, (int, float)) and 1 <= height < BUILD_REACH["body.size"][0]:
            width = f"{height:g}×{width or f'{height:g}'}"
        if width == beside:
            return self.data_changed(held)
        return {"width": width, **self.data_changed(replace(held, values={**held.values, "width": width}))}

    def another_batch(self, held: Held) -> Payloads:
        """The contact sheet of another batch."""
        seed = held.asked("seed")
        usable = isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**31
        return {"sheet": self._sheet(held.values, seed if usable else 0)}

    # ---- whole pages ----

    def defaults(self, held: Held) -> Payloads:
        """Back to the chapter's model."""
        spec, train, _ = self.start
        return self.page_for(spec, train, held.view)

    # ---- runs ----

    def train(self, held: Held) -> Payloads:
        """Put a run in line, unless this page has one on its way, something is in doubt, or must be asked first."""
        run = held.run if isinstance(held.run, Mapping) else {}
        if self.services.queue.poll(run.get("run"), 0, 1)["state"] in LIVE:
            return BUSY
        return self.another(held)

    def another(self, held: Held) -> Payloads:
        """Put a run in line, also behind one of this page, which then follows the new one."""
        run = held.run if isinstance(held.run, Mapping) else {}
        fitted, problem = self._fit_outputs(held)
        values = {**held.values, **fitted}
        shown = {**fitted, **self.redrawn(values, held.view)}
        wrong = shown["notices"]["problems"]
        reading = self._read(values)
        if problem:
            wrong.setdefault(place_of_data(values), problem)
        if not wrong:
            wrong |= cannot_train(reading.spec, reading.train)
        again = {"at": time.monotonic()}  # the same message twice would not reach the page
        if wrong:
            refused = {"about": "", "text": f"Not started. {next(iter(wrong.values()))}"}
            return {"notices": shown["notices"], "question": {**refused, **again}}
        asked = question(reading.spec)
        if asked and asked["about"] not in held.agreed:
            return {"notices": shown["notices"], "question": {**asked, **again}}
        try:
            plan = planned_rates(phases(reading.train, len(shown["groups"]["rows"])))
            job = self.services.queue.submit(reading.spec, reading.train, me=held.me)
        except ValueError as error:
            wrong[getattr(error, "field", "run")] = str(error)
            return shown
        started = {"run": job.id, "token": job.token, "epochs": reading.train.epochs, "plan": plan}
        return {**shown, "question": {}, "run": {**run, **started}, **BUSY}

    def answered(self, held: Held) -> Payloads:
        """The answer to the question that stood before a run: cut later, or train on what is left.

        An answer counts for the cut that it was asked about, and is not asked for again.
        """
        reading = self._read(held.values)
        if not reading.builds:
            return self.refresh(held)
        if held.asked("id") == "later" and early_cut(reading.spec):
            return self._with(held, reading, later_cut(reading.spec))
        if held.asked("id") != "train" or held.asked("about") != place_of(reading.spec):
            return self.refresh(held)
        agreed = held.agreed | {place_of(reading.spec)}
        return {"agreed": agreed, **self.another(replace(held, agreed=agreed))}

    def stop(self, held: Held) -> Payloads:
        """Ask the run of this page to stop."""
        if isinstance(held.run, Mapping):
            self.services.queue.stop(held.run.get("run"), held.run.get("token"))
        return {"halt": {"interactive": False}}

    def attached(self, held: Held) -> Payloads:
        """The page found a run again after a reload, or its run has gone to rest or on."""
        state = held.asked("state")
        return BUSY if state in LIVE else RESTING if state == "paused" else IDLE

    def ended(self, held: Held) -> Payloads:
        """The run has come to its end."""
        return IDLE


def with_body_that_is(spec, dropped: tuple[str, ...]):
    """A link's spec with a body and a cut that exist, and a sentence more for each that does not."""
    if is_timm(spec.body.arch):
        try:
            resolve_cut(spec.body.arch)
        except ValueError as error:
            spec, dropped = link.put(spec, "body", BodySpec()), (*dropped, f"The link's body was left out. {error}")
    try:
        resolve_cut(spec.body.arch, spec.body.cut)
    except ValueError as error:
        spec, dropped = link.put(spec, "body.cut", None), (*dropped, f"The link's cut was left out. {error}")
    return spec, dropped


def with_rates_that_fit(spec, train: TrainSpec, dropped: tuple[str, ...]) -> tuple[TrainSpec, tuple[str, ...]]:
    """A link's training with rates and locks for the groups that there are, and a sentence more where they were not."""
    try:
        phases(train, count_groups(spec))
    except ValueError as error:
        return replace(train, lrs=None, frozen=True), (*dropped, f"The link's rates and locks were left out. {error}")
    return train, dropped


def answering(values: Mapping[str, object], reading: Reading, payloads: Payloads) -> Payloads:
    """A picture as the answer to these control values: with their turns, and what became of a cut that is none here."""
    held = {name: {**payloads[name], **turn_of(values.get(name))} for name in ("cut", "groups")}
    if dropped := dropped_cut(values):
        held["cut"]["help"] = f"“{dropped}” is not a cut of {reading.spec.body.arch}: its own default stands."
    return {**payloads, **held, "question": {"about": place_of(reading.spec)}}


def place_of_data(values: Mapping[str, object]) -> str:
    """The field that a sentence about the set belongs to: the folder's, where one is to be named, or the drop zone."""
    if values.get("data") == BROUGHT:
        return "upload"
    return "path" if str(values.get("data")).endswith(":") else "data"


def seen(values: Mapping[str, object], found: Mapping[str, str]) -> Payloads:
    """Sentences to be shown while nobody trains: that pictures are yet to be brought, the drop zone says itself."""
    empty = place_of_data(values) == "upload"
    return {field: sentence for field, sentence in found.items() if not (empty and field == "data")}


def set_fields(train: TrainSpec) -> Payloads:
    """What the fields hold that say which set is trained on."""
    kind, colon, place = train.data.partition(":")
    brought = kind + colon == BROUGHT
    return {"data": kind + colon, "path": "" if brought else place, "upload": {"set": place if brought else ""}}


def thawed(held: Held) -> list[dict]:
    """The rows of the groups, none of them frozen."""
    return [{**row, "frozen": False} for row in held.part("groups").get("rows", []) if isinstance(row, dict)]


def turn_of(value: object) -> Payloads:
    """Which turn of a widget an answer is about: a page that has gone on drops the answer to an earlier one."""
    turn = value.get("turn") if isinstance(value, Mapping) else None
    return {"turn": turn} if isinstance(turn, int) else {}


def number_or_none(value: object) -> float | None:
    """A rate that a TrainSpec could hold; None for anything else."""
    try:
        return TrainSpec(lrs=(number("lrs", "The rate", value),)).lrs[0]
    except SpecError:
        return None


def problems(by_field: Mapping[str, str], hints: Mapping[str, Payloads] | None = None) -> Payloads:
    """The value of the notices widget: a sentence for each field in doubt, and a suggestion for others."""
    return {"problems": dict(by_field), **({"hints": dict(hints)} if hints else {})}
