"""The Runs page: one widget that asks for what it shows, since runs change without anybody touching the page."""

from __future__ import annotations

import gradio as gr

from explorer.jobs.rules import Rules
from explorer.ui.runs_desk import RunsDesk
from explorer.ui.services import Services
from explorer.ui.widget import widget


def runs_page(services: Services) -> None:
    """Build the page inside its tab."""
    desk = RunsDesk(services.queue, lambda: limits_words(services.queue.rules))
    with gr.Column(elem_classes=["page", "bare"]):
        widget("runs", {"pace": 2000 if services.is_public else 1000}, server_functions=desk.functions())


def limits_words(rules: Rules) -> str:
    """What this host allows, in a sentence or two; "" where there is no limit."""
    of_a_run = [
        f"{limit:g} {word}{'s' * (limit != 1)}"
        for limit, word in ((rules.epochs, "epoch"), (rules.minutes, "minute"))
        if limit is not None
    ]
    told = [f"A run here takes at most {' and '.join(of_a_run)}."] if of_a_run else []
    if rules.each is not None:
        told.append(f"{rules.each} of yours may wait.")
    return " ".join(told)
