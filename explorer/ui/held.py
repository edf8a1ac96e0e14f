"""What a page holds when something happens, and what a handler answers: plain values, no component."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from explorer.ui.describe import AT_FIRST, View

Payloads = dict[str, object]


@dataclass(frozen=True)
class Held:
    """What the page holds when something happens.

    values  of the controls, by name
    view    what of the model is on show
    run     the value of the run widget: {"run", "token", …}
    event   what a widget sent with its event
    agreed  cuts that leave next to nothing and that the page's reader wants to train on all the same (`place_of`)
    me      the browser's secret, whatever it sent for one
    """

    values: Mapping[str, object]
    view: View = AT_FIRST
    run: object = None
    event: Mapping[str, object] | None = None
    agreed: frozenset[str] = frozenset()
    me: object = ""

    def asked(self, key: str) -> object:
        """A part of what the widget sent; None where a stranger sent something else."""
        return self.event.get(key) if isinstance(self.event, Mapping) else None

    def part(self, name: str) -> dict:
        """The value of a widget among the controls, as a dictionary."""
        value = self.values.get(name)
        return dict(value) if isinstance(value, Mapping) else {}
