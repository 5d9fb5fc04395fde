"""A small editor for one text file of a container or a volume."""

from __future__ import annotations

from collections.abc import Iterable

from textual import events
from textual.widget import Widget
from textual.widgets import TextArea

from app.console.actions import sentence
from app.console.file_sources import FileSource
from app.console.screens.place import Place
from app.console.seat import ask
from app.console.widgets.file_browser import PathLine
from core.errors import EngineError
from core.model.display import safe_text

MOST_EDITED_BYTES = 1 << 20


class _Text(TextArea):
    """The text; Escape is the place's, not a way to move the focus."""

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "escape":
            event.stop()
            event.prevent_default()
            await self.run_action("screen.back")


class EditorPlace(Place):
    """Ctrl-S writes it, Escape leaves; with changes that are not written, a second Escape."""

    PLACE = "editor"
    TAB = "volumes"
    DEFAULT_CSS = """
    EditorPlace TextArea, EditorPlace TextArea:focus {
        height: 1fr; border: none; padding: 0; background: $background; color: $text;
    }
    """

    def __init__(self, source: FileSource, path: str, *, tab: str = "") -> None:
        super().__init__()
        self.TAB = tab or self.TAB
        self._source = source
        self._path = path
        self._written = ""
        self._is_loaded = False
        self._was_warned = False

    def body(self) -> Iterable[Widget]:
        line = PathLine(self._source.title)
        line.path = self._path
        yield line
        yield _Text("", read_only=True, show_line_numbers=True, soft_wrap=False, tab_behavior="indent")

    @property
    def _area(self) -> TextArea:
        return self.query_one(TextArea)

    def on_mount(self) -> None:
        self.set_focus(self._area)  # at once: what is typed next belongs there
        ask(self, lambda: self._source.read_file(self._path, MOST_EDITED_BYTES + 1), self._show, self._refuse)

    def _refuse(self, error: EngineError) -> None:
        self._give_up(sentence(error))

    def _give_up(self, words: str) -> None:
        self.seat.store.put_notice(words, "fail")
        self.dismiss(None)

    def _show(self, data: bytes) -> None:
        name = safe_text(self._path)
        if len(data) > MOST_EDITED_BYTES:
            self._give_up(f"{name} is larger than {MOST_EDITED_BYTES >> 20} MiB: copy it out to edit it")
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self._give_up(f"{name} is not text in UTF-8: it can't be edited here")
            return
        if any(ord(character) < 32 and character not in "\t\n\r\f" for character in text):
            self._give_up(f"{name} has control characters: it can't be edited here")
            return
        self._area.text = text
        if self._area.text != text:
            self._give_up(f"{name} mixes ways to end a line: it can't be edited here without changing all of them")
            return
        self._written, self._is_loaded = text, True
        self._area.read_only = False

    @property
    def is_changed(self) -> bool:
        """Whether there is something that has not been written."""
        return self._is_loaded and self._area.text != self._written

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self._was_warned = False
        line = self.query_one(PathLine)
        line.note = "changed" if self.is_changed else ""
        line.refresh()

    def action_save(self) -> None:
        if not self._is_loaded:
            return
        text = self._area.text

        def done(_none: None) -> None:
            self._written = text
            line = self.query_one(PathLine)
            line.note = "changed" if self.is_changed else "written"
            line.refresh()
            self.seat.store.put_notice(f"{safe_text(self._path)} is written")

        ask(self, lambda: self._source.write_file(self._path, text.encode()), done)

    def action_back(self) -> None:
        if self.is_changed and not self._was_warned:
            self._was_warned = True
            self.seat.store.put_notice("not written: Ctrl-S writes it, Escape again leaves it as it was", "warn")
            return
        self.dismiss(None)
