"""The workbench of one image: layers and files, waste, packages, history, its document, and what can be done."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from app import short
from app.console import copy_entries, image_buttons, keymap
from app.console.actions import sentence
from app.console.dialogs.commit import CommitDialog
from app.console.dialogs.compare import CompareDialog
from app.console.dialogs.delete_images import DeleteImages
from app.console.dialogs.image_files import SaveDialog
from app.console.dialogs.image_making import SbomDialog, SquashDialog, TagDialog, UnpackDialog
from app.console.dialogs.menu import Menu
from app.console.dialogs.run import RunDialog
from app.console.file_sources import ImageFiles
from app.console.image_columns import PACKAGE_COLUMNS, WASTE_COLUMNS, HiddenFile
from app.console.image_facts import history_lines, image_name, summary_lines
from app.console.inspection import document_lines
from app.console.screens.compare import ComparePlace
from app.console.screens.place import Place
from app.console.screens.transfer import TransferPlace
from app.console.seat import ask
from app.console.widgets.button_bar import ButtonBar
from app.console.widgets.file_browser import FileBrowser
from app.console.widgets.filtered_table import FilteredTable
from app.console.widgets.image_head import ImageHead
from app.console.widgets.pager import Pager
from app.console.widgets.resource_table import ResourceTable
from app.console.widgets.tree_table import TreeTable
from app.console.widgets.view_bar import ViewBar
from app.console.widgets.workbench import Workbench
from core.errors import EngineError
from core.model.container import Container
from core.model.display import safe_text
from core.model.image import HistoryEntry, Image, Package
from core.model.progress import CancelToken, silent

VIEWS = (
    ("layers", "l", "Layers"),
    ("files", "f", "Files"),
    ("waste", "w", "Waste"),
    ("packages", "p", "Packages"),
    ("history", "h", "History"),
    ("inspect", "i", "Inspect"),
)


class ImagePlace(Place):
    """Opened on an image by Enter, or on a container's image, whose uncommitted changes come first then."""

    PLACE = "image"
    TAB = "images"
    DEFAULT_CSS = """
    ImagePlace ContentSwitcher { height: 1fr; }
    """

    def __init__(self, key: str, *, container: str = "") -> None:
        super().__init__()
        self._key = key
        self._container = container
        self._cancel = CancelToken()
        self._filled: set[str] = set()

    def body(self) -> Iterable[Widget]:
        yield ImageHead()
        yield ViewBar(VIEWS, "layers")
        with ContentSwitcher(initial="layers"):
            with Vertical(id="layers"):
                yield Workbench(self._key, container=self._container)
            with Vertical(id="files"):
                title = image_name(self.image) if self.image else ""
                yield FileBrowser(ImageFiles(self.seat.actions.backend, self._key, title))
            yield FilteredTable(WASTE_COLUMNS, lambda one: one.path, id="waste")
            yield FilteredTable(
                PACKAGE_COLUMNS, lambda one: "\0".join((one.manager, one.name, one.version, one.path)), id="packages"
            )
            for view in ("history", "inspect"):
                yield Pager(id=view)
        yield ButtonBar()

    def on_mount(self) -> None:
        self.seat.store.listen(self, {"images", "containers"}, self._changed)
        self._tell()
        self.workbench.stack.focus()

    def on_unmount(self) -> None:
        self._cancel.cancel()
        self.seat.store.forget(self)

    @property
    def image(self) -> Image | None:
        """What the store knows of it just now; None once it is gone."""
        return self.seat.store.image(self._key)

    @property
    def workbench(self) -> Workbench:
        """Layers and files."""
        return self.query_one(Workbench)

    @property
    def users(self) -> list[Container]:
        """Containers made from it."""
        store = self.seat.store
        keys = self.image.used_by if self.image is not None else ()
        return sorted((store.containers[key] for key in keys if key in store.containers), key=lambda one: one.name)

    def _changed(self) -> None:
        if self.image is None and self.is_current:
            self.app.pop_screen()
        else:
            self._tell()

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self.call_after_refresh(self._changed)  # the image may have gone while a dialog lay over it

    def _tell(self) -> None:
        """Head and buttons as they are to be just now."""
        image = self.image
        if image is None or not self.query(ButtonBar):
            return
        head, bench = self.query_one(ImageHead), self.workbench
        head.image = image
        if bench.image_layers:
            head.unique_bytes = sum(layer.size_bytes for layer in bench.image_layers if layer.shared_by < 2)
        if bench.trees is not None:
            head.wasted_bytes = bench.trees.hidden_bytes
        head.refresh()
        self.query_one(ButtonBar).show(image_buttons.for_image(image_name(image), self._to_commit()))

    def on_workbench_known(self, event: Workbench.Known) -> None:
        event.stop()
        self._tell()
        if "waste" in self._filled:
            self._fill_waste()

    # ------------------------------------------------------------------ views

    def action_show(self, view: str) -> None:
        self.query_one(ContentSwitcher).current = view
        self.query_one(ViewBar).choose(view)
        if view == "layers":
            self.workbench.stack.focus()
        elif view == "files":
            browser = self.query_one(FileBrowser)
            browser.open_first()
            browser.focus_list()
        else:
            shown = self.query_one(f"#{view}")
            self.set_focus(shown.table if isinstance(shown, FilteredTable) else shown)
            if view not in self._filled:
                self._filled.add(view)
                self._fill(view)

    def _fill(self, view: str) -> None:
        image = self.image
        if image is None:
            return
        if view == "inspect":
            lines = document_lines(msgspec.structs.replace(image, raw_config=b""))
            self.query_one("#inspect", Pager).show(lines)
        elif view == "history":
            self._fill_history(image)
        elif view == "waste":
            self._fill_waste()
        elif view == "packages":
            self._fill_packages()

    def _fill_history(self, image: Image) -> None:
        pager, head = self.query_one("#history", Pager), summary_lines(image, self.seat.store.containers)
        pager.show(head)

        def show(entries: Sequence[HistoryEntry]) -> None:
            pager.show([*head, [], *history_lines(entries)])

        ask(self, lambda: self.seat.actions.backend.images.history(self._key), show)

    def _fill_waste(self) -> None:
        table, trees = self.query_one("#waste", FilteredTable), self.workbench.trees
        if trees is None:
            table.show("reading the layers …", ())
            return
        hidden = [HiddenFile(*one) for one in trees.hidden_files()]
        many = f"{len(hidden)} file{'' if len(hidden) == 1 else 's'}"
        words = (
            f"efficiency {100 * trees.efficiency:.1f}%   {short.size(trees.hidden_bytes)} in {many} that upper layers"
        )
        table.show(f"{words} replace or delete", hidden, empty="nothing is hidden: every byte shows")

    def _fill_packages(self) -> None:
        table, images = self.query_one("#packages", FilteredTable), self.seat.actions.backend.images
        table.show("looking for package databases …", ())

        def show(packages: Sequence[Package]) -> None:
            words = f"{len(packages)} packages   b writes them as SPDX, CycloneDX or a table"
            table.show(words, packages, empty="no package database was found (dpkg, apk, rpm, pip, npm)")

        def failed(error: EngineError) -> None:
            self._filled.discard("packages")
            table.show(sentence(error), ())

        ask(self, lambda: images.packages(self._key, silent, self._cancel), show, failed)

    async def on_resource_table_opened(self, event: ResourceTable.Opened) -> None:
        """From a wasted file to the lowest layer that holds it."""
        event.stop()
        trees = self.workbench.trees
        if trees is not None and self.query_one(ContentSwitcher).current == "waste":
            layer = trees.lowest(event.key)
            if layer is not None:
                self.action_show("layers")
                self.workbench.go_to(layer, event.key)

    def action_again(self) -> None:
        self.workbench.again()

    def action_pane(self) -> None:
        self._pane(1)

    def action_pane_back(self) -> None:
        self._pane(-1)

    def _pane(self, step: int) -> None:
        """Around: what the view has to give keys to, then the buttons."""
        chain = [widget for widget in self.focus_chain if not isinstance(widget, Pager) or widget.id != "details"]
        if self.focused in chain:
            self.set_focus(chain[(chain.index(self.focused) + step) % len(chain)])
        elif chain:
            self.set_focus(chain[0])

    def on_file_browser_copy_wanted(self, event: FileBrowser.CopyWanted) -> None:
        event.stop()
        self.app.push_screen(
            TransferPlace(event.browser.source, event.browser.directory, at=event.browser.name_here, tab=self.TAB)
        )

    # ------------------------------------------------------------------ actions

    def action_run(self) -> None:
        if self.image is not None:
            self.app.push_screen(RunDialog(image_name(self.image)))

    def action_tag(self) -> None:
        if self.image is not None:
            self.app.push_screen(TagDialog(image_name(self.image)))

    def action_save(self) -> None:
        if self.image is not None:
            self.app.push_screen(SaveDialog([image_name(self.image)]))

    def action_push(self) -> None:
        if self.image is not None:
            self.seat.push_dialog(image_name(self.image))

    def action_delete(self) -> None:
        if self.image is not None:
            self.app.push_screen(DeleteImages([self.image]))

    def action_squash(self) -> None:
        if self.image is not None:
            self.app.push_screen(SquashDialog(self.image))

    def action_sbom(self) -> None:
        if self.image is not None:
            self.app.push_screen(SbomDialog(image_name(self.image)))

    def action_unpack(self) -> None:
        if self.image is not None:
            self.app.push_screen(UnpackDialog(image_name(self.image)))

    def action_compare(self) -> None:
        if self.image is not None:
            first = image_name(self.image)
            self.app.push_screen(CompareDialog(first), lambda other: self._compare(first, other))

    def _compare(self, first: str, other: str | None) -> None:
        if other:
            self.app.push_screen(ComparePlace(first, other))

    def _to_commit(self) -> Container | None:
        """The container whose changes are looked at, or the only one of the image."""
        row = self.workbench.row if self.query(ResourceTable) else None
        if row is not None and row.container is not None:
            return row.container
        users = self.users
        return users[0] if len(users) == 1 else None

    def action_commit(self) -> None:
        container, users = self._to_commit(), self.users
        if container is not None:
            self.app.push_screen(CommitDialog(container))
        elif users:
            entries = [(safe_text(user.name), user.id) for user in users]
            self.app.push_screen(Menu(" Commit which container? ", entries), self._commit)
        else:
            self.seat.store.put_notice("no container is made from this image: there is nothing to commit", "warn")

    def _commit(self, key: str | None) -> None:
        container = self.seat.store.container(key) if key else None
        if container is not None:
            self.app.push_screen(CommitDialog(container))

    # ------------------------------------------------------------------ menus

    def action_copy_menu(self) -> None:
        if self.image is None:
            return
        entries = copy_entries.for_image(self.image)
        node = self.workbench.pane.current
        if node is not None and self.query_one(ContentSwitcher).current == "layers":
            entries = [(f"path  /{node.path[-50:]}", "/" + node.path), *entries]
        self.app.push_screen(Menu(" Copy ", [(safe_text(words), text) for words, text in entries]), self._copied)

    def _copied(self, text: str | None) -> None:
        if text is not None:
            self.seat.copy(safe_text(text), "that")

    def on_resource_table_menu_wanted(self, event: ResourceTable.MenuWanted) -> None:
        """A right click: on a file what can be done to it, else everything about the image."""
        event.stop()
        on_file = isinstance(event.table, TreeTable)
        keys = keymap.TREE_KEYS if on_file else keymap.PLACES[self.PLACE]
        skipped = ("leave", "pane", "pane_back", "next_change(1)", "next_change(-1)")
        entries = [
            (f"{keymap.display(key.keys):>3}  {key.words}", key.action) for key in keys if key.action not in skipped
        ]
        if on_file:
            entries.append(("  y  copy path …", "copy_menu"))
        pane = self.workbench.pane

        async def chosen(action: str | None) -> None:
            if action is not None:
                await (pane if on_file and action != "copy_menu" else self).run_action(action)

        self.app.push_screen(Menu(" What to do ", entries, at=event.at), chosen)

    def on_button_bar_menu_wanted(self, event: ButtonBar.MenuWanted) -> None:
        event.stop()
        entries = [(f"{button.key:>3}  {button.words}", button.action) for button in event.buttons]
        self.app.push_screen(Menu(" What to do ", entries, at=event.at), self._menu_chosen)

    async def _menu_chosen(self, action: str | None) -> None:
        if action is not None:
            await self.run_action(action)
