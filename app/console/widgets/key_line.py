"""The last line: the keys that matter here, each of which can be clicked as well."""

from __future__ import annotations

from textual.binding import Binding

from app.console import keymap
from app.console.widgets.bar import Bar
from app.console.widgets.strips import Cells


class KeyLine(Bar):
    """Keys of the place, and of the widget that has the focus; help has the rest."""

    BASE = ("muted", "background")

    def on_mount(self) -> None:
        super().on_mount()
        self.screen.bindings_updated_signal.subscribe(self, lambda _screen: self.refresh())

    def draw(self, cells: Cells, line: int) -> None:
        palette = self.seat.palette
        key_style, words_style = palette.style("accent", "background", "bold"), palette.style("muted")
        seen: set[str] = set()
        bindings = [active.binding for active in self.screen.active_bindings.values()]
        cells.gap()
        for key, words in getattr(self.screen.focused, "KEY_WORDS", ()):
            cells.put(key, key_style).put(f" {words}  ", words_style)
        for binding in sorted(bindings, key=_rank):
            if not binding.show or binding.action in seen:
                continue
            seen.add(binding.action)
            key = keymap.display(binding.key)
            words = f" {binding.description}  "
            if len(key) + len(words) > cells.room:
                continue
            cells.button(key, key_style, binding.action)
            cells.button(words, words_style, binding.action)


def _rank(binding: Binding) -> int:
    """The place's own keys first, help and command line last."""
    return 1 if binding.action in ("app.keys", "app.command_line") else 0
