"""A place that lists one kind of thing: filter, marks, order, copy menu and context menu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.console import keymap
from app.console.dialogs.menu import Menu
from app.console.screens.place import Place
from app.console.widgets.prompt import Prompt
from app.console.widgets.resource_table import ResourceTable
from app.console.widgets.tabs import TabBar


class ListPlace(Place):
    """A table with the keys that every table has. The body must hold one ResourceTable and one Prompt.

    A subclass names the TOPICS it shows, and fill() puts what is known of them into the table.
    """

    TOPICS: frozenset[str] = frozenset()

    def on_mount(self) -> None:
        self.seat.store.listen(self, set(self.TOPICS), self._changed)
        self._changed()
        self.table.focus()

    def on_unmount(self) -> None:
        self.seat.store.forget(self)

    def on_screen_resume(self) -> None:
        self._changed()

    def _changed(self) -> None:
        if self.is_current and self.query(ResourceTable):  # else not shown, or about to go: then its children go first
            self.fill()

    def fill(self) -> None:
        """Show what is known by now; called on every news while the place is shown."""
        raise NotImplementedError

    @property
    def table(self) -> ResourceTable[Any]:
        """The list."""
        return self.query_one(ResourceTable)

    def copy_entries(self, item: Any) -> Sequence[tuple[str, str]]:
        """What the copy menu offers for an item: words, and the text to copy."""
        raise NotImplementedError

    def filter_prompt(self) -> Prompt:
        """The prompt for the body."""
        return Prompt("/", "text  !not  column=value  ~fuzzy  /regex/     Enter keeps it, Esc clears it")

    # ------------------------------------------------------------------ keys

    def action_filter(self) -> None:
        self.query_one(Prompt).open(self.table.filter_text)

    def on_prompt_typed(self, event: Prompt.Typed) -> None:
        self.table.set_filter(event.text)

    def on_prompt_done(self, event: Prompt.Done) -> None:
        self.table.set_filter(event.text if event.kept else "")
        self.show_filter()
        self.set_focus(self.table)

    def show_filter(self) -> None:
        """Say in the tab line what is filtered."""
        tabs = self.query_one(TabBar)
        table = self.table
        tabs.filter_words = f"{table.filter_text}  {table.shown_count} fit" if table.filter_text else ""
        tabs.refresh()

    def action_mark(self) -> None:
        self.table.toggle_mark()

    def action_mark_all(self) -> None:
        self.table.toggle_all()

    def action_sort(self) -> None:
        self.table.sort_next()

    def action_reverse(self) -> None:
        self.table.sort_reverse()

    def action_back(self) -> None:
        """Escape peels off: first the filter, then the marks."""
        if self.table.filter_text:
            self.table.set_filter("")
            self.show_filter()
        elif self.table.marked:
            self.table.toggle_all()
        else:
            super().action_back()

    def action_copy_menu(self, at: tuple[int, int] | None = None) -> None:
        item = self.table.current
        if item is not None:
            entries = self.copy_entries(item)
            self.app.push_screen(Menu(" Copy ", entries, at=at), self._copied)

    def _copied(self, text: str | None) -> None:
        if text is not None:
            self.seat.copy(text, "that")

    def on_resource_table_menu_wanted(self, event: ResourceTable.MenuWanted) -> None:
        entries = [
            (f"{keymap.display(key.keys):>3}  {key.words}", key.action)
            for key in keymap.PLACES[self.PLACE]
            if not key.action.startswith(("filter", "mark", "sort", "reverse"))
        ]
        self.app.push_screen(Menu(" What to do ", entries, at=event.at), self._menu_chosen)

    async def _menu_chosen(self, action: str | None) -> None:
        if action is not None:
            await self.run_action(action)

    async def on_resource_table_opened(self, event: ResourceTable.Opened) -> None:
        await self.run_action("open")
