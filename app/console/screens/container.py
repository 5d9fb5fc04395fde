"""One container: log, meters, processes, changed files, inspect, and a shell below or full-screen."""

from __future__ import annotations

from collections.abc import Iterable

from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from app import short
from app.commands.detach import DEFAULT, parse_detach_keys
from app.console import copy_entries
from app.console.container_network import network_lines
from app.console.dialogs.commit import CommitDialog
from app.console.dialogs.delete import DeleteContainers, KillDialog
from app.console.dialogs.limits import LimitsDialog
from app.console.dialogs.menu import Menu
from app.console.dialogs.rename import RenameDialog
from app.console.file_sources import ContainerFiles
from app.console.inspection import change_lines, document_lines, process_lines
from app.console.screens.place import Place
from app.console.screens.transfer import TransferPlace
from app.console.seat import ask, interface_rates
from app.console.standing import LIVE
from app.console.widgets.container_side import ContainerTitle, why_no_log
from app.console.widgets.file_browser import FileBrowser
from app.console.widgets.log_view import LogPane
from app.console.widgets.pager import Line, Pager
from app.console.widgets.stats_graph import StatsGraphs
from app.console.widgets.terminal import TerminalPane
from app.console.widgets.view_bar import ViewBar
from core.backend import Attachment, AttachWish
from core.errors import EngineError, WrongState
from core.model.container import Container, ExecSpec, Running
from core.model.display import safe_text

VIEWS = (
    ("logs", "l", "Logs"),
    ("stats", "m", "Stats"),
    ("processes", "t", "Processes"),
    ("changes", "f", "Changes"),
    ("files", "b", "Files"),
    ("inspect", "i", "Inspect"),
    ("network", "v", "Network"),
)
_SHELL = "command -v bash >/dev/null 2>&1 && exec bash; exec sh"
_PROCESSES_EVERY_S = 2.0


class ContainerPlace(Place):
    """Opened on a container by Enter; Escape leads back to the list."""

    PLACE = "container"
    TAB = "containers"
    DEFAULT_CSS = """
    ContainerPlace #upper { height: 1fr; }
    ContainerPlace #stats-side { width: 38%; border-left: tall $line; }
    ContainerPlace.-narrow #stats-side { display: none; }
    ContainerPlace.stats-view #stats-side { display: none; }
    ContainerPlace #shell { display: none; height: 45%; border-top: solid $border-blurred; }
    ContainerPlace.shell #shell:focus-within { border-top: solid $accent; }
    ContainerPlace.zoomed #upper, ContainerPlace.zoomed ContainerTitle, ContainerPlace.zoomed ViewBar,
    ContainerPlace.zoomed Header, ContainerPlace.zoomed TabBar, ContainerPlace.zoomed NoticeLine,
    ContainerPlace.zoomed JobLines { display: none; }
    ContainerPlace.zoomed #shell, ContainerPlace.zoomed #shell:focus-within { height: 1fr; border-top: none; }
    """

    def __init__(self, key: str, view: str = "logs") -> None:
        super().__init__()
        self._key = key
        self._first_view = view
        self._view = "logs"

    def body(self) -> Iterable[Widget]:
        title = ContainerTitle()
        title.key = self._key
        yield title
        yield ViewBar(VIEWS, "logs")
        with Horizontal(id="upper"):
            with ContentSwitcher(initial="logs"):
                with Vertical(id="logs"):
                    yield LogPane()
                with Vertical(id="stats"):
                    yield StatsGraphs()
                for name in ("processes", "changes", "inspect", "network"):
                    yield Pager(id=name)
                with Vertical(id="files"):
                    name = self.container.name if self.container else ""
                    yield FileBrowser(ContainerFiles(self.seat.actions.backend, self._key, name))
            with Vertical(id="stats-side"):
                yield StatsGraphs()
        with Vertical(id="shell"):
            yield TerminalPane("e opens another shell")

    def on_mount(self) -> None:
        for graphs in self.query(StatsGraphs):
            graphs.show(self._key)
        log = self.query_one(LogPane).lines
        log.why_empty = why_no_log(self.container)
        log.open(self._key)
        self.seat.store.listen(self, {"containers", "stats"}, self._changed)
        self.set_interval(_PROCESSES_EVERY_S, self._tick)
        if self._first_view == "shell":
            self.action_show("logs")
            self.action_shell()
        else:
            self.action_show(self._first_view)

    def on_unmount(self) -> None:
        self.seat.store.forget(self)

    @property
    def container(self) -> Container | None:
        """What the store knows of it just now; None once it is gone."""
        return self.seat.store.container(self._key)

    def _changed(self) -> None:
        if self.container is None and self.is_current:
            self.seat.store.put_notice("the container is gone", "warn")
            self.app.pop_screen()
        elif self._view == "network" and self.is_current:
            self._show_network(keep_place=True)

    # ------------------------------------------------------------------ views

    def action_show(self, view: str) -> None:
        self._view = view
        self.query_one(ContentSwitcher).current = view
        self.query_one(ViewBar).choose(view)
        self.set_class(view in ("stats", "files"), "stats-view")
        if view == "logs":
            self.set_focus(self.query_one(LogPane).lines)  # at once: keys that follow belong there
        elif view == "stats":
            self.set_focus(None)
        elif view == "files":
            browser = self.query_one(FileBrowser)
            browser.open_first()
            browser.focus_list()
        else:
            self.set_focus(self.query_one(f"#{view}", Pager))
            self._load(view)

    def _show_network(self, *, keep_place: bool = False) -> None:
        store, container = self.seat.store, self.container
        if container is not None:
            names = {one.id: one.name for one in store.containers.values()}
            lines = network_lines(container, names, interface_rates(self.seat))
            self.query_one("#network", Pager).show(lines, keep_place=keep_place)

    def _tick(self) -> None:
        if self._view == "processes" and self.is_current and not self.has_class("zoomed"):
            self._load("processes", keep_place=True)

    def _load(self, view: str, *, keep_place: bool = False) -> None:
        if view == "network":  # the store knows it all
            self._show_network()
            return
        pager = self.query_one(f"#{view}", Pager)
        containers = self.seat.actions.backend.containers

        def show(lines: list[Line], titles: int = 0) -> None:
            pager.show(lines, titles=titles, keep_place=keep_place)

        def failed(error: EngineError) -> None:
            show([[(error.message, "warn")], [(error.hint or "", "muted")]])

        if view == "processes":
            ask(self, lambda: containers.top(self._key), lambda table: show(process_lines(table), 1), failed)
        elif view == "changes":
            ask(self, lambda: containers.changes(self._key), lambda found: show(change_lines(found)), failed)
        else:
            ask(self, lambda: containers.inspect(self._key), lambda found: show(document_lines(found)), failed)

    def on_file_browser_copy_wanted(self, event: FileBrowser.CopyWanted) -> None:
        event.stop()
        place = TransferPlace(event.browser.source, event.browser.directory, at=event.browser.name_here, tab=self.TAB)
        self.app.push_screen(place, lambda _none: event.browser.again())

    # ------------------------------------------------------------------ shell

    def action_shell(self) -> None:
        container = self.container
        if container is None or not isinstance(container.state, Running):
            name = safe_text(container.name) if container else "it"
            self.seat.store.put_notice(f"{name} is not running: s starts it", "warn")
            return
        pane = self._show_shell()
        if not pane.is_open:
            pane.open(self._exec)

    def action_attach(self) -> None:
        container = self.container
        if container is None or not isinstance(container.state, Running):
            self.seat.store.put_notice("it is not running: s starts it", "warn")
            return
        self._show_shell().open(self._join, parse_detach_keys(DEFAULT))

    def action_zoom(self) -> None:
        if self.has_class("shell"):
            self.toggle_class("zoomed")
            self.set_focus(self.query_one(TerminalPane))
        else:
            self.action_shell()
            if self.has_class("shell"):
                self.add_class("zoomed")

    def _show_shell(self) -> TerminalPane:
        self.add_class("shell")
        self.query_one("#shell").display = True
        pane = self.query_one(TerminalPane)
        self.set_focus(pane)
        return pane

    def _exec(self, rows: int, columns: int) -> Attachment:
        spec = ExecSpec(
            argv=("/bin/sh", "-c", _SHELL), tty=True, attach_stdin=True, env=("TERM=xterm-256color",), hangs_up=True
        )
        wish = AttachWish(stdin=True, rows=rows, columns=columns)
        attachment = self.seat.actions.backend.containers.exec(self._key, spec, wish)
        if attachment is None:
            raise WrongState("the shell started without streams")
        return attachment

    def _join(self, rows: int, columns: int) -> Attachment:
        wish = AttachWish(stdin=True, rows=rows, columns=columns)
        return self.seat.actions.backend.containers.attach(self._key, wish)

    def on_stats_graphs_moment_picked(self, event: StatsGraphs.MomentPicked) -> None:
        """A moment in the meters is a line in the log."""
        self.action_show("logs")
        self.query_one(LogPane).lines.go_to_moment(event.at_ns)
        self.seat.store.put_notice(f"the log at {short.clock(event.at_ns)}; End follows it again")

    def on_terminal_pane_left(self) -> None:
        self.remove_class("zoomed")
        self.query_one(ViewBar).refresh()
        self.action_show(self._view)

    def on_terminal_pane_ended(self, event: TerminalPane.Ended) -> None:
        self.remove_class("zoomed")
        if event.why.startswith(("ended with 0", "detached")):
            self.remove_class("shell")
            self.query_one("#shell").display = False
        self.action_show(self._view)

    # ------------------------------------------------------------------ keys

    def action_stop(self) -> None:
        if self.container is not None:
            act = self.seat.actions
            (act.stop if self.container.status in LIVE else act.start)([self.container])

    def action_restart(self) -> None:
        if self.container is not None:
            self.seat.actions.restart([self.container])

    def action_pause(self) -> None:
        if self.container is not None and self.container.status in ("running", "paused"):
            self.seat.actions.toggle_pause([self.container])

    def action_why(self) -> None:
        self.seat.show_why(self._key)

    def action_reach(self) -> None:
        self.seat.show_reach(self._key)

    def action_image(self) -> None:
        self.seat.show_image_of(self._key)

    def action_limits(self) -> None:
        if self.container is not None:
            self.app.push_screen(LimitsDialog(self.container))

    def action_rename(self) -> None:
        if self.container is not None:
            self.app.push_screen(RenameDialog(self.container))

    def action_kill(self) -> None:
        if self.container is not None and self.container.status in ("running", "paused"):
            self.app.push_screen(KillDialog([self.container]))

    def action_delete(self) -> None:
        if self.container is not None:
            self.app.push_screen(DeleteContainers([self.container]))

    def action_commit(self) -> None:
        if self.container is not None:
            self.app.push_screen(CommitDialog(self.container))

    def action_copy_menu(self) -> None:
        if self.container is not None:
            self.app.push_screen(Menu(" Copy ", copy_entries.for_container(self.container)), self._copied)

    def _copied(self, text: str | None) -> None:
        if text is not None:
            self.seat.copy(text, "that")
