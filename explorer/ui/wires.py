"""How the events of a page reach its handlers, and how their answers reach its components."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import gradio as gr
from gradio.events import Dependency

from explorer.ui.blocks import MISFIT
from explorer.ui.held import Held, Payloads
from explorer.ui.widget import widget

INSTANT = {
    "preprocess": False,
    "queue": False,
    "show_progress": "hidden",
    "trigger_mode": "always_last",
    "api_visibility": "private",
}
AT_ONCE = {"trigger_mode": "multiple"}


@dataclass(frozen=True)
class Shell:
    """What stands around all pages.

    topbar  is told device and link
    me      holds the secret of the browser: its runs and its data are known by it
    """

    topbar: gr.HTML
    me: gr.HTML


@dataclass(frozen=True)
class Page:
    """What the app needs of a built page: what answers a visit by its query, and the components it may change."""

    opened: Callable[[Mapping[str, str]], dict[gr.Component, object]]
    outputs: list[gr.Component]


class Wires:
    """Listeners of one page.

    controls    components whose values each handler gets, by name
    components  all that an answer may change, by name, the controls among them
    drawn       names of our own widgets: what they show travels as one message through a hidden widget, `picture`
    me          holds the browser's secret
    """

    def __init__(
        self,
        controls: Mapping[str, gr.Component],
        components: Mapping[str, gr.Component],
        drawn: tuple[str, ...],
        me: gr.HTML,
        picture_id: str = "picture",
    ):
        self.controls, self.components, self.drawn, self.me = controls, components, drawn, me
        self.picture = widget("picture", "", classes=("unseen",), elem_id=picture_id)
        self.instant = {**INSTANT, "show_progress_on": self.picture}

    def changing(self, *names: str) -> list[gr.Component]:
        """The components that an answer names: all that is drawn goes through one of them."""
        return list(dict.fromkeys(self.picture if name in self.drawn else self.components[name] for name in names))

    def placed(self, payloads: Payloads) -> dict[gr.Component, object]:
        """Payloads by name as updates of components; what is drawn is one message for all its widgets."""
        parts = self.components
        drawn = {parts[name].elem_id: payloads[name] for name in payloads if name in self.drawn}
        updates = {
            parts[name]: as_update(parts[name], value) for name, value in payloads.items() if name not in self.drawn
        }
        return {**updates, self.picture: json.dumps(drawn, separators=(",", ":"))} if drawn else updates

    def on(self, event, handler: Callable[[Held], Payloads], *more: str, **how) -> None:
        """Let a handler answer an event: it gets what the page holds, and changes the picture and what `more` names.

        An event names as little as it can: each component it may change costs the browser a millisecond or two.
        Where the handler reads what the event brought, `AT_ONCE`: a deferred event would bring that of the first.
        """

        def answer(sent: gr.EventData, on_show, me, *values):
            held = Held(self._meant(values), on_show, None, sent._data, me=me)
            return self.placed(handler(held)) or nothing(outputs)

        inputs = [self.components["view"], self.me, *self.controls.values()]
        outputs = self.changing(*self.drawn, *more)
        event(answer, inputs, outputs, **{**self.instant, **how})

    def on_run(self, event, handler: Callable[[Held], Payloads], *changes: str, **how) -> Dependency:
        """The same for what concerns the run: the handler is told of it, and only what `changes` names may change.

        Returns the listener, for what comes after it.
        """

        def answer(sent: gr.EventData, on_show, run, agreed_to, me, *values):
            held = Held(self._meant(values), on_show, run, sent._data, agreed_to, me)
            return self.placed(handler(held)) or nothing(outputs)

        inputs = [*(self.components[name] for name in ("view", "run", "agreed")), self.me, *self.controls.values()]
        outputs = self.changing(*changes)
        return event(answer, inputs, outputs, **{**self.instant, **how})

    def _meant(self, values: Sequence[object]) -> dict[str, object]:
        """What controls mean by the values that the browser sent.

        Gradio would ask each control in a thread of its own turn, forty an event: thirty people then waited for those.
        """
        pairs = zip(self.controls.items(), values, strict=True)
        try:
            return {name: meant(control, value) for (name, control), value in pairs}
        except Exception as error:
            raise gr.Error(MISFIT, print_exception=False) from error

    def page(self, opened: Callable[[Mapping[str, str]], Payloads]) -> Page:
        """The page; `opened` answers a visit, by its query."""
        return Page(lambda query: self.placed(opened(query)), self.changing(*self.components))


def nothing(outputs: list[gr.Component]) -> dict[gr.Component, object]:
    """An answer that changes nothing: Gradio takes an empty one for a value."""
    return {outputs[0]: gr.skip()}


def meant(component: gr.Component, sent: object) -> object:
    """A value as its component means it, from the plain one that the browser sent.

    What can be chosen may be other words by now in this visit; whoever reads the value knows which. Raises ValueError
    for what no control of its kind sends.
    """
    if isinstance(component, (gr.Dropdown, gr.Radio)):
        if sent is not None and not isinstance(sent, str):
            raise ValueError("a choice that is no word")
        return sent
    model = getattr(component, "data_model", None)
    return component.preprocess(sent if model is None or sent is None else model.model_validate(sent))


def as_update(component: gr.Component, value: object) -> object:
    """A widget of ours takes its payload whole; for Gradio's own controls a dictionary names properties to change."""
    if isinstance(value, dict) and not isinstance(component, gr.HTML):
        return gr.update(**value)
    return value
