"""Gradio's controls in our manner: label left, value right, one line of help below, a class for the sheet."""

from __future__ import annotations

from collections.abc import Iterable

import gradio as gr


class Slider(gr.Slider):
    """A slider whose typed numbers reach the handler also from beyond its ends: what is wrong is said in the page."""

    def preprocess(self, payload: float) -> float:
        return payload


def dropdown(name: str, label: str, choices: Iterable, value: str, *, help: str = "", **more) -> gr.Dropdown:
    """A list to choose from; typing searches it."""
    return gr.Dropdown(
        list(choices), value=value, label=label, info=help or None, elem_id=name, interactive=True, **more
    )


def segments(name: str, label: str, choices: Iterable[str], value: str, *, help: str = "", **more) -> gr.Radio:
    """A few words of which one holds."""
    return gr.Radio(
        list(choices),
        value=value,
        label=label,
        info=help or None,
        elem_id=name,
        elem_classes="seg",
        interactive=True,
        **more,
    )


def slider(
    name: str, label: str, low: float, high: float, value: float, *, step: float, help: str, classes: str = ""
) -> Slider:
    """A number between two ends, also to be typed."""
    return Slider(
        low,
        high,
        value,
        step=step,
        label=label,
        info=help,
        elem_id=name,
        elem_classes=classes,
        buttons=[],
        interactive=True,
    )


def switch(name: str, value: bool, *, help: str, label: str = "") -> gr.Checkbox:
    """On or off; the label is the argument's name, so that it is found again in the code."""
    return gr.Checkbox(value, label=label or name, info=help, elem_id=name, elem_classes="sw", interactive=True)


def text(name: str, label: str, value: str = "", *, help: str = "", placeholder: str = "", **more) -> gr.Textbox:
    """One line of text; also for rates, since a number box cannot show 1e-3."""
    return gr.Textbox(
        value, label=label, info=help or None, placeholder=placeholder, elem_id=name, elem_classes="field", max_lines=1,
        min_width=0, interactive=True, **more,
    )  # fmt: skip


def count(name: str, label: str, value: int) -> gr.Number:
    """A whole number in a small field."""
    return gr.Number(value, label=label, precision=0, elem_id=name, elem_classes="field", min_width=0, interactive=True)
