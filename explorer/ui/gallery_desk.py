"""The gallery of architectures as a component, and what it may ask the server."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

import gradio as gr

from explorer.models.catalogue import last_maps, list_entries
from explorer.ui.widget import widget
from explorer.views.gallery import gallery

AT_ONCE = 40  # names that are answered in one go
PATIENCE = 0.3  # seconds of reading graphs before an answer, so that the page is soon told of the first


def gallery_widget(chosen: str) -> gr.HTML:
    """The button that opens it; its event `chosen` brings {"arch": name}."""
    return widget(
        "gallery", gallery(list_entries(), chosen), events=("chosen",), server_functions=[maps_function()]
    )  # fmt: skip


def maps_function() -> Callable[[object], dict]:
    """The server function that the gallery calls for the cards in sight: [name, …] -> last maps by name.

    It answers with those it finds in time, at least one, and is asked again for the others; {} for what are no names.
    Anyone can call it: names are checked, and one graph at a time is read.
    """
    one_at_a_time = Lock()

    def maps(names: object) -> dict:
        if not isinstance(names, list):
            return {}
        try:
            with one_at_a_time:
                return last_maps(names[:AT_ONCE], PATIENCE)
        except (ValueError, TypeError, RuntimeError):
            return {}

    return maps
