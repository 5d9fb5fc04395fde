"""Registries: those that logins, daemon.json and names of images speak of, and whether they answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widget import Widget

from app.console.command_text import command_text
from app.console.dialogs.login import LoginDialog
from app.console.dialogs.registry import OtherRegistry
from app.console.registry_work import RegistryWork
from app.console.relay import Relay
from app.console.screens.list_place import ListPlace
from app.console.screens.repositories import RepositoriesPlace
from app.console.seat import ask
from app.console.widgets.path_bar import PathBar
from app.console.widgets.resource_table import Column, ResourceTable
from app.registry_facts import KnownServer
from core.model.display import safe_text
from core.model.registry import DOCKER_HUB


class RegistriesPlace(ListPlace):
    """Opened from the images; Enter shows what lies in one."""

    PLACE = "registries"
    TAB = "images"

    def __init__(self) -> None:
        super().__init__()
        self._servers: list[KnownServer] = []
        self._answers: dict[str, tuple[str, str]] = {}
        """Host → what it has answered, and the colour of that."""

    def body(self) -> Iterable[Widget]:
        yield PathBar("Registries")
        yield ResourceTable(self._columns(), lambda server: server.host)
        yield self.filter_prompt()

    def on_mount(self) -> None:
        super().on_mount()
        self.table.empty_words = "looking which there are …"
        self._look()

    def fill(self) -> None:
        self.table.set_items(self._servers)

    def _look(self) -> None:
        work = RegistryWork(self.seat.actions)

        def show(servers: Sequence[KnownServer]) -> None:
            self._servers = list(servers)
            self.fill()
            hand = Relay(self.app)
            hosts = [server.host for server in servers]
            ask(self, lambda: work.probe(hosts, lambda *answer: hand(self._answer, *answer)), lambda _none: None)

        ask(self, work.servers, show)

    def _answer(self, host: str, words: str, tone: str) -> None:
        if self.is_attached:
            self._answers[host] = (words, tone)
            self.table.redraw()

    def _columns(self) -> list[Column[KnownServer]]:
        def answer(one: KnownServer) -> tuple[str, str]:
            return self._answers.get(one.host, ("…", "faint"))

        def name(one: KnownServer) -> tuple[str, str]:
            return safe_text(one.host), "faint" if answer(one)[1] == "faint" and one.host in self._answers else "text"

        def known(one: KnownServer) -> tuple[str, str]:
            return safe_text(", ".join(one.because)), "muted"

        return [
            Column("host", "REGISTRY", 24, name, lambda one: one.host, text=lambda one: one.host),
            Column("known", "KNOWN FROM", 20, known, lambda one: one.because, text=lambda one: known(one)[0]),
            Column("answer", "ANSWER", 26, answer, lambda one: answer(one)[0], grows=True),
        ]

    # ------------------------------------------------------------------ keys

    def action_open(self) -> None:
        server = self.table.current
        if server is not None:
            self.app.push_screen(RepositoriesPlace(server.host))

    def action_pull(self) -> None:
        server = self.table.current
        self.seat.pull_dialog("" if server is None or server.host == DOCKER_HUB else f"{server.host}/")

    def action_other(self) -> None:
        def open_it(host: str | None) -> None:
            if host is not None:
                self.app.push_screen(RepositoriesPlace(host))

        self.app.push_screen(OtherRegistry(), open_it)

    def action_login(self) -> None:
        server = self.table.current
        self.app.push_screen(LoginDialog(server.host if server is not None else ""), lambda _host: self._look())

    def action_logout(self) -> None:
        server = self.table.current
        if server is None:
            return
        work = RegistryWork(self.seat.actions)

        def done(words: str) -> None:
            self.seat.store.put_notice(safe_text(words))
            self._look()

        ask(self, lambda: work.log_out(server.host), done)

    def action_again(self) -> None:
        self._answers.clear()
        self._look()

    def copy_entries(self, item: KnownServer) -> Sequence[tuple[str, str]]:
        host = safe_text(item.host)
        return [("host", host), ("list command", command_text("registry", "ls", host))]
