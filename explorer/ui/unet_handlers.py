"""What happens on the U-Net page alone; `ui.page_handlers` has what all pages share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from explorer import link
from explorer.data.dense import list_dense
from explorer.data.uploads import MASKS, PICTURES
from explorer.models.archs import Nameable, list_archs
from explorer.models.build import wiring_of
from explorer.spec import (
    COLOUR,
    SEGMENTATION,
    STYLE,
    STYLE_IMAGE,
    SUPER_RESOLUTION,
    SpecError,
    TrainSpec,
    UnetSpec,
)
from explorer.ui import unet_sheet
from explorer.ui.describe import View, is_path, shown_trace
from explorer.ui.held import Held, Payloads
from explorer.ui.page_handlers import (
    PageHandlers,
    answering,
    place_of_data,
    problems,
    seen,
    set_fields,
    thawed,
    with_body_that_is,
    with_rates_that_fit,
)
from explorer.ui.race_desk import RaceDesk
from explorer.ui.read import LINK_REACH, TRAIN_REACH, Reading, cut_steps, within_reach
from explorer.ui.services import Services
from explorer.ui.unet_describe import describe_unet, describe_unet_tab, quick, unet_groups, unet_suggestions
from explorer.ui.unet_read import read_unet, show_unet
from explorer.views.numbers import rate as words

TABS = ("pictures", "tree", "layers", "race", "upsampling", "cost", "code", "summary", "data")
PIXEL_RATE = 0.05
REACH = {place: ends for place, ends in LINK_REACH.items() if place.startswith("body.")}
START = UnetSpec()
START_TRAIN = link.TRAINS[UnetSpec]
VIEW = View(tab=TABS[0])
"""What the page begins with."""


class UnetHandlers(PageHandlers):
    """Handlers of the U-Net page."""

    tabs = TABS
    start = (START, START_TRAIN, VIEW)

    def __init__(self, services: Services, races: RaceDesk):
        super().__init__(services)
        self.races = races

    def _read(self, values: Mapping[str, object]) -> Reading:
        return read_unet(values, self.services.is_allowed_file)

    def redrawn(self, values: Mapping[str, object], view: View) -> Payloads:
        """Values of all widgets that show the model; only the sentences where something it is made of is in doubt."""
        reading = self._read(values)
        if not reading.builds:
            return {"notices": problems(seen(values, reading.problems))}
        try:
            payloads = describe_unet(reading, self.services, view, self.races.pace)
        except SpecError as error:
            return {"notices": problems({**seen(values, reading.problems), error.field: str(error)})}
        if "data" in reading.problems:  # a folder without a path yet, say: how it should look
            payloads["datahint"] = {"text": set_help(reading.spec.task, values.get("data"))}
        notices = problems(seen(values, reading.problems), unet_suggestions(reading, self.services, self.races.pace))
        return {**answering(values, reading, payloads), "notices": notices}

    def described_tab(self, reading: Reading, view: View) -> Payloads:
        return describe_unet_tab(reading, self.services, view)

    def followed(self, held: Held) -> Payloads:
        """A suggestion is taken: the masks are read so, the body learns, too, or the network is smaller."""
        if held.asked("field") == "path":
            return self.remapped(held)
        if held.asked("field") == "thaw":
            return self.redrawn({**held.values, "groups": {"rows": thawed(held)}}, held.view)
        reading = self._read(held.values)
        wanted = self.shown(quick(reading.spec), reading.train)
        return self.changed(held, **{name: wanted[name] for name in ("size", "width", "width_cap")})

    # ---- skips ----

    def skip_switched(self, held: Held) -> Payloads:
        """A switch in the picture: which skips are off now, 0 the deepest."""
        off = held.asked("off")
        usable = isinstance(off, list) and all(type(skip) is int for skip in off)
        return self.changed(held, off=sorted(off)) if usable else self.refresh(held)

    def cross_switched(self, held: Held) -> Payloads:
        """The picture's own way to the end, switched in the picture."""
        return self.changed(held, last_cross=bool(held.asked("on")))

    # ---- the race ----

    def race_begun(self, held: Held) -> Payloads:
        """All decoders on the same data, body, seeds and budget."""
        fitted, problem = self._fit_outputs(held)
        reading = self._read({**held.values, **fitted})
        if problem or reading.problems:
            said = problem or next(iter(reading.problems.values()))
            return {"race": {"problem": f"Not started. {said}", "at": time.monotonic()}}
        return {"race": self.races.begin(reading.spec, reading.train, held.asked("seeds"), held.me)}

    # ---- tasks and data ----

    def task_chosen(self, held: Held) -> Payloads:
        """Another task: other data, other outputs."""
        reading = self._read(held.values)
        names = [choice.name for choice in list_dense(reading.spec.task)]
        values = dict(held.values)
        if values.get("data") not in names:
            values["data"] = names[0]
        values["rate"] = rate = usual_rate(reading.spec.task, held.values.get("rate"))
        shown = self.data_chosen(replace(held, values=values))
        classes = {"value": shown["n_out"]} if "n_out" in shown else {}
        return {
            **shown,
            **shown_for(reading.spec.task),
            "rate": rate,
            "data": {"choices": set_choices(reading.spec.task), "value": values["data"]},
            "n_out": {**classes, "visible": reading.spec.task == SEGMENTATION},
        }

    def data_chosen(self, held: Held) -> Payloads:
        """As on every page, and masks whose values are no class numbers come with a way to read them."""
        return self._with_remap(held, super().data_chosen(held))

    def train(self, held: Held) -> Payloads:
        """As on every page, and what is refused for its masks comes with a way to read them."""
        return self._with_remap(held, super().train(held))

    def _with_remap(self, held: Held, shown: Payloads) -> Payloads:
        notices = shown.get("notices", {})
        if "path" in notices.get("problems", {}) and (offer := unet_sheet.offered(self._read(held.values))):
            hint = {"text": "The values of the masks can be read as classes.", "label": f"Read them as {offer}"}
            notices["hints"] = {**notices.get("hints", {}), "path": hint}
        return shown

    def _use(self, values: Mapping[str, object]) -> str:
        return MASKS if self._read(values).spec.task == SEGMENTATION else PICTURES

    def remapped(self, held: Held) -> Payloads:
        """The offered reading of the masks' values is taken."""
        path = str(held.values.get("path") or "").strip()
        offer = unet_sheet.offered(self._read(held.values))
        if not offer:
            return {}
        path = f"{path}|{offer}"
        shown = self.data_chosen(replace(held, values={**held.values, "path": path}))
        return {**shown, "path": {"value": path, "visible": True}}

    def _fit_outputs(self, held: Held) -> tuple[Payloads, str]:
        """As many outputs as the data has classes, and what is wrong with the set, if anything."""
        reading = self._read(held.values)
        classes, problem = unet_sheet.count_classes(reading, self.services)
        if reading.spec.task != SEGMENTATION or not classes or classes == held.values.get("n_out"):
            return {}, problem
        return {"n_out": classes}, problem

    def _sheet(self, values: Mapping[str, object], seed: int = 0) -> Payloads:
        return unet_sheet.payload(self._read(values), self.services, seed)

    def measured(self, held: Held) -> Payloads:
        """A cost was chosen to be laid over tree and table, or once more to be taken off."""
        view = self.view_measured(held)
        return {"view": view, **self.redrawn(held.values, view)}

    # ---- whole pages ----

    def shown(self, spec: UnetSpec, train: TrainSpec) -> Payloads:
        return show_unet(spec, train)

    def first_values(self) -> Payloads:
        """What every control and widget of a fresh page holds."""
        return self._whole(START, START_TRAIN, VIEW)

    def page_for(self, spec: UnetSpec, train: TrainSpec, view: View = VIEW, said: str = "") -> Payloads:
        """Every control for these specs, and the picture; `said` is a sentence about the page as a whole."""
        weights_file = spec.body.weights if is_path(spec.body.weights) else None
        payloads = self._whole(spec, train, view)
        fields = set_fields(train)
        if said:
            payloads["notices"] = problems({"link": said})
        return {
            **payloads,
            "file": {"visible": bool(weights_file), "value": weights_file},
            "path": {"visible": place_of_data(fields) == "path", "value": fields["path"]},
            **shown_for(spec.task),
            "data": {"choices": set_choices(spec.task), "value": fields["data"]},
            "n_out": {"value": spec.n_out, "visible": spec.task == SEGMENTATION},
        }

    def _whole(self, spec: UnetSpec, train: TrainSpec, view: View) -> Payloads:
        held: Payloads = {
            **show_unet(spec, train),
            **set_fields(train),
            "cut": cut_steps(spec),
            "groups": unet_groups(shown_trace(spec, train), train),
        }
        weights_file = spec.body.weights if is_path(spec.body.weights) else None
        return {**held, "upload": self._zone(held), **self.redrawn({**held, "file": weights_file}, view)}

    def opened(self, query: Mapping[str, str]) -> Payloads:
        """A visit: the page for its link, with a sentence for each part of the link that was dropped."""
        spec, train, dropped = self._meant(query)
        page = self.page_for(spec, train, VIEW, said=" ".join(dropped))
        return {**page, "topbar": {**page.get("topbar", {}), "opened": True}}

    def _meant(self, query: Mapping[str, str]) -> tuple[UnetSpec, TrainSpec, tuple[str, ...]]:
        """The design that a query asks for, brought within reach, and a sentence for each part that was dropped."""
        known = {"arch": Nameable(list_archs()), "weights": ("imagenet", "random")}
        decoded = link.decode(query, known=known)
        spec, train, dropped = decoded.spec, decoded.train, decoded.problems
        if train.data not in [choice.name for choice in list_dense(spec.task)]:
            dropped = (*dropped, "The link's data is no set for this task; the default stands.")
            train = replace(train, data=TrainSpec.data)
        spec, dropped = with_body_that_is(spec, dropped)
        try:
            wiring_of(spec)
        except SpecError as error:
            if error.field == "decoder.skips":
                spec, dropped = link.put(spec, "decoder.skips", None), (*dropped, str(error))
        spec, far = within_reach(spec, REACH)
        train, too_far = within_reach(train, TRAIN_REACH)
        train, dropped = with_rates_that_fit(spec, train, (*dropped, *far, *too_far))
        return spec, train, dropped


def set_choices(task: str) -> list[tuple[str, str]]:
    """The sets that a task can be trained on: words and names."""
    return [(choice.label, choice.name) for choice in list_dense(task)]


def set_help(task: str, name: object) -> str:
    """What is said of one of those sets, "" for what is none."""
    return next((choice.help for choice in list_dense(task) if choice.name == name), "")


def usual_rate(task: str, rate: object) -> object:
    """The rate after another task was chosen: pixels learn far faster than networks; a rate of one's own stays."""
    network, pixels = words(START_TRAIN.lr), words(PIXEL_RATE)
    if task == STYLE_IMAGE:
        return pixels if rate == network else rate
    return network if rate == pixels else rate


def shown_for(task: str) -> Payloads:
    """Which controls of the training panel a task needs."""
    styled = task in (STYLE, STYLE_IMAGE)
    return {
        "loss": {"visible": task in (SUPER_RESOLUTION, COLOUR)},
        "style": {"visible": styled},
        "style_file": {"visible": styled},
    }
