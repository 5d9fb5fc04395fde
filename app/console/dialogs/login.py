"""Log in to a registry. The password is never shown, and the command it stands for asks for it anew."""

from __future__ import annotations

from collections.abc import Iterable

from textual.widget import Widget
from textual.widgets import Input, Label

from app.console.actions import sentence
from app.console.command_text import command_text
from app.console.dialogs.dialog import Dialog, Field
from app.console.registry_work import RegistryWork
from app.console.seat import ask
from app.keyring import host_of, is_hub
from core.errors import EngineError, InvalidInput
from core.model.display import safe_text
from core.model.registry import DOCKER_HUB, Credentials


class LoginDialog(Dialog[str]):
    """Answers the server, once it has let the person in; until then it stays, and says why not."""

    TITLE_WORDS = " Log in to a registry "
    DO_WORDS = "Log in  ⏎"

    def __init__(self, server: str = "") -> None:
        super().__init__()
        self._server = server
        self._is_asking = False

    def fields(self) -> Iterable[Widget]:
        yield Field("Registry", "server", value=self._server, hint="Docker Hub; or HOST[:PORT]")
        yield Field("User", "user")
        yield Field("Password", "password", hint="or an access token", password=True)
        yield Label("It is kept in docker's config.json, or by the helper that is named there.", classes="quiet")

    def on_mount(self) -> None:
        super().on_mount()
        if self._server:
            self.query_one("#user", Input).focus()

    def _host(self) -> str:
        given = self.value("server") or DOCKER_HUB
        return DOCKER_HUB if is_hub(given) else host_of(given)

    def command(self) -> str:
        user = ["-u", self.value("user")] if self.value("user") else []
        server = [] if self._host() == DOCKER_HUB else [self._host()]
        return command_text("login", *user, *server)

    def act(self) -> None:
        if self._is_asking:
            return
        server, user = self._host(), self.value("user")
        password = self.query_one("#password", Input).value
        for name, text in (("user", user), ("password", password)):
            if not text:
                raise InvalidInput(f"{name}: whose?" if name == "user" else "password: it is empty")
        work = RegistryWork(self.seat.actions)
        self._is_asking = True
        self._say(f"asking {safe_text(server)} …")

        def let_in(words: str) -> None:
            self.seat.store.put_notice(safe_text(words))
            self.dismiss(server)

        def refused(error: EngineError) -> None:
            self._is_asking = False
            self._say(sentence(error))

        ask(self, lambda: work.log_in(server, Credentials(username=user, password=password)), let_in, refused)
