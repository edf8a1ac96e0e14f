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
    """What this host allows, in one sentence; "" where there is no limit."""
    parts = []
    if rules.epochs is not None:
        parts.append(f"at most {rules.epochs} epochs")
    if rules.minutes is not None:
        parts.append(f"{rules.minutes:g} minutes")
    if rules.each is not None:
        parts.append(f"{rules.each} runs of yours in line")
    return f"Here a run has {', '.join(parts)}." if parts else ""
