"""What any widget of the console may reach: the store to read, actions to ask, a palette to draw."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from textual.css.query import NoMatches

from core.errors import EngineError

if TYPE_CHECKING:
    from textual.widget import Widget

    from app.console.actions import Actions
    from app.console.store import Store
    from app.console.theme import Palette


Answer = TypeVar("Answer")


class Seat(Protocol):
    """The console, as far as its widgets need to know it."""

    store: Store
    actions: Actions
    palette: Palette
    cpu_of_host: bool
    """Whether CPU shares are of all cores together rather than of one."""

    def copy(self, text: str, what: str) -> None:
        """Put text on the person's clipboard (OSC 52) and say so."""

    def pull_dialog(self, reference: str = "", tag: str = "") -> None:
        """Ask which image is to be fetched, and fetch it."""

    def push_dialog(self, name: str) -> None:
        """Ask where an image is to be sent, and send it."""

    def show_why(self, key: str) -> None:
        """The why-card of a container, and what is chosen there done."""

    def show_reach(self, key: str) -> None:
        """The card that tries the way to a container's port."""

    def show_image_of(self, key: str) -> None:
        """The workbench of a container's image, with what the container has changed under the cursor."""


def seat(widget: Widget) -> Seat:
    """The console that a widget is part of."""
    return cast("Seat", widget.app)


def interface_rates(console: Seat) -> Callable[[str, str], tuple[float, float] | None]:
    """What answers how much flows through a container's interface: bytes a second received and sent."""
    tracks = console.store.tracks

    def rates(key: str, interface: str) -> tuple[float, float] | None:
        track = tracks.get(key)
        return track.flows.get(interface) if track else None

    return rates


def ask(
    widget: Widget,
    question: Callable[[], Answer],
    answered: Callable[[Answer], object],
    failed: Callable[[EngineError], object] | None = None,
) -> None:
    """Ask the backend something for a widget, in a worker; the answer comes on the UI thread.

    An answer that comes when the widget has gone, or is going (its children go first), is dropped.
    Without `failed` a refusal becomes a notice.
    """

    def still_there(receive: Callable[[Any], object]) -> Callable[[Any], None]:
        def deliver(value: Any) -> None:
            if widget.is_running and widget.is_attached:
                with suppress(NoMatches):
                    receive(value)

        return deliver

    console = seat(widget)
    console.actions.ask(question, still_there(answered), still_there(failed) if failed else None)
