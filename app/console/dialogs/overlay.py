"""A screen over a place: what lies behind it is drawn once and kept, so that keys stay quick.

Textual draws the whole place anew, segment by segment, with every frame of a modal screen. Here
the place's own lines are taken as they are, again only when the size or what the problem line
says has changed: a dialog costs what its box costs, and only the box goes to the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from textual.geometry import Region, Size
from textual.screen import ModalScreen
from textual.strip import Strip

from app.console.seat import seat

Answer = TypeVar("Answer")


class Overlay(ModalScreen[Answer]):
    """A box over the place it was opened from. Subclasses compose the box."""

    DEFAULT_CSS = """
    Overlay { background: transparent; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._behind: Sequence[Strip] = ()
        self._drawn_at: Size | None = None
        self._said: object = None

    def on_mount(self) -> None:
        store = seat(self).store
        self._said = store.notice
        store.listen(self, {"notice"}, self._news)

    def on_unmount(self) -> None:
        seat(self).store.forget(self)

    def _news(self) -> None:
        said = seat(self).store.notice
        if said is not self._said and self.is_current:
            self._said, self._drawn_at = said, None
            self.refresh()

    def render_lines(self, crop: Region) -> list[Strip]:
        if self._drawn_at != self.size:
            self._behind, self._drawn_at = self._draw_behind(), self.size
        whole = crop.x == 0 and crop.width == self.size.width
        lines = self._behind[crop.y : crop.y + crop.height]
        return list(lines) if whole else [line.crop(crop.x, crop.x + crop.width) for line in lines]

    def _draw_behind(self) -> Sequence[Strip]:
        stack = self.app.screen_stack
        width, height = self.size
        blank = Strip.blank(width, seat(self).palette.style("text"))
        at = stack.index(self) if self in stack else 0
        if at == 0:
            return [blank] * height
        strips = stack[at - 1]._compositor.render_strips()[:height]
        return [*(strip.adjust_cell_length(width) for strip in strips), *[blank] * (height - len(strips))]
