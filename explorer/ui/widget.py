"""How one of our own widgets becomes a Gradio component, and how its sheet and script reach the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import gradio as gr

ASSETS = Path(__file__).resolve().parents[2] / "assets"


def widget(
    name: str,
    value: object = None,
    *,
    events: Sequence[str] = (),
    server_functions: Sequence[Callable] = (),
    elem_id: str | None = None,
    classes: Sequence[str] = (),
) -> gr.HTML:
    """A gr.HTML that starts as assets/<name>.html and is brought to life once by `Explorer.<name>` of assets/<name>.js.

    The template is static: data never goes through it, since Gradio evaluates `${…}` in templates.

    value             what the script draws, JSON; a new value redraws in place
    events            names that the script may `trigger`; Gradio grants `.name(…)` in Python only for names that stand
                      quoted in js_on_load
    server_functions  functions the script may call as `server.f([…])`: anyone can, so they check what they are given
    """
    granted = ", ".join(f"'{event}'" for event in events)
    return gr.HTML(
        value=value,
        html_template=(ASSETS / f"{name}.html").read_text(),
        js_on_load=f"Explorer.{name}(element, props, trigger, watch, server); // {granted}",
        server_functions=list(server_functions) or None,
        apply_default_css=False,
        elem_id=elem_id or name,
        elem_classes=list(classes),
    )


def page_head() -> str:
    """Sheets and scripts for `launch(head=…)`, which passes them through untouched (css= would rewrite the rules)."""
    sheets = "\n".join(path.read_text() for path in _first("style.css", "*.css"))
    scripts = "\n".join(path.read_text() for path in _first("kit.js", "*.js"))
    return f"<style>{sheets}</style><script>{scripts}</script>"


def _first(name: str, pattern: str) -> list[Path]:
    """All assets of a kind, the one that the others build on in front."""
    return [ASSETS / name, *(path for path in sorted(ASSETS.glob(pattern)) if path.name != name)]


def icons() -> str:
    """The symbols that widgets refer to as #i-name."""
    return (ASSETS / "icons.svg").read_text()
