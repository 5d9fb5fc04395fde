"""One manifest of a registry: its platforms and layers with their sizes, and the document itself."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget
from textual.widgets import ContentSwitcher

from app.console.command_text import command_text
from app.console.dialogs.menu import Menu
from app.console.manifest_lines import layer_lines, raw_lines, summary_lines
from app.console.screens.place import Place
from app.console.widgets.pager import Pager
from app.console.widgets.view_bar import ViewBar
from core.model.display import safe_text
from core.model.reference import parse_reference
from core.model.registry import RemoteManifest

_VIEWS = (("layers", "l", "Layers"), ("raw", "i", "Raw"))


class RemoteManifestPlace(Place):
    """Opened on a tag by Enter."""

    PLACE = "manifest"
    TAB = "images"
    DEFAULT_CSS = """
    RemoteManifestPlace ContentSwitcher { height: 1fr; }
    """

    def __init__(self, repository: str, tag: str, manifest: RemoteManifest) -> None:
        super().__init__()
        self._repository = repository
        self._tag = tag
        self._manifest = manifest

    def body(self) -> Iterable[Widget]:
        yield ViewBar(_VIEWS, "layers")
        with ContentSwitcher(initial="layers"):
            yield Pager(id="layers")
            yield Pager(id="raw")

    def on_mount(self) -> None:
        name = safe_text(parse_reference(f"{self._repository}:{self._tag}").familiar)
        head = [[(name, "accent")], *summary_lines(self._manifest), []]
        self.query_one("#layers", Pager).show([*head, *layer_lines(self._manifest)])
        self.query_one("#raw", Pager).show(raw_lines(self._manifest))
        self.action_show("layers")

    def action_show(self, view: str) -> None:
        self.query_one(ContentSwitcher).current = view
        self.query_one(ViewBar).choose(view)
        self.set_focus(self.query_one(f"#{view}", Pager))

    def action_pull(self) -> None:
        self.seat.pull_dialog(parse_reference(self._repository).familiar_name, self._tag)

    def action_copy_menu(self) -> None:
        name = parse_reference(f"{self._repository}:{self._tag}").familiar
        entries = [
            ("name", safe_text(name)),
            ("digest", self._manifest.digest),
            ("inspect command", command_text("registry", "inspect", name)),
        ]
        self.app.push_screen(Menu(" Copy ", entries), self._copied)

    def _copied(self, text: str | None) -> None:
        if text is not None:
            self.seat.copy(text, "that")
