"""What any widget of the console may reach: the store to read, actions to ask, a palette to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from textual.widget import Widget

    from app.console.actions import Actions
    from app.console.store import Store
    from app.console.theme import Palette


class Seat(Protocol):
    """The console, as far as its widgets need to know it."""

    store: Store
    actions: Actions
    palette: Palette
    cpu_of_host: bool
    """Whether CPU shares are of all cores together rather than of one."""

    def copy(self, text: str, what: str) -> None:
        """Put text on the person's clipboard (OSC 52) and say so."""


def seat(widget: Widget) -> Seat:
    """The console that a widget is part of."""
    return cast("Seat", widget.app)
