"""Push: an image under a name that says where to; then a job with a bar for each layer."""

from __future__ import annotations

from collections.abc import Iterable

from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Label

from app.console.command_text import command_text
from app.console.dialogs.dialog import Dialog, Field
from app.console.dialogs.tick import Tick
from app.console.jobs import Job
from app.console.registry_work import RegistryWork
from app.console.seat import ask
from core.errors import EngineError, InvalidInput
from core.model.reference import ImageRef, parse_reference
from core.model.registry import DOCKER_HUB

_DEBOUNCE_S = 0.3


class PushDialog(Dialog[Job]):
    """Answers the job that has begun."""

    DO_WORDS = "Push  ⏎"

    def __init__(self, name: str) -> None:
        super().__init__()
        self._image = name
        self._waiting: Timer | None = None

    def title_words(self) -> str:
        return f" Push {self._image} "

    def fields(self) -> Iterable[Widget]:
        is_named = self.seat.store.image_named(self._image) is not None  # else it is known by its id alone
        yield Field("As", "name", value=self._image if is_named else "", hint="[HOST[:PORT]/]NAME[:TAG]")
        yield Tick("all tags of that name (-a)", id="all")
        yield Label("", id="where", markup=False, classes="quiet")

    def on_mount(self) -> None:
        super().on_mount()
        self._look_who()

    def on_input_changed(self, event: Input.Changed) -> None:
        super().on_input_changed(event)
        if self._waiting is not None:
            self._waiting.stop()
        self._waiting = self.set_timer(_DEBOUNCE_S, self._look_who)  # a helper may have to be asked

    def _look_who(self) -> None:
        """Say where it goes, and who goes there."""
        try:
            host = parse_reference(self.value("name")).host
        except EngineError:
            self._tell("")
            return
        shown = "Docker Hub" if host == DOCKER_HUB else host
        work = RegistryWork(self.seat.actions)

        def told(username: str) -> None:
            self._tell(f"to {shown}{f' as {username}' if username else ', without a login'}")

        def look() -> str:
            found = work.keyring().find(host)
            return (found.username or "whom a token names") if found is not None else ""

        ask(self, look, told, lambda error: self._tell(f"to {shown}; the login can't be read: {error.message}"))

    def _tell(self, words: str) -> None:
        self.query_one("#where", Label).update(words)

    def reference(self) -> ImageRef:
        """The name it is to have.

        Raises: InvalidInput: that is none.
        """
        if not self.value("name"):
            raise InvalidInput("as: under which name?", hint="for example localhost:5000/shop/api:1")
        reference = parse_reference(self.value("name"))
        if reference.digest:
            raise InvalidInput("cannot push a digest reference", hint="leave the digest out")
        return reference

    def command(self) -> str:
        reference = self.reference()
        words = ["push", "-a", reference.familiar_name] if self.ticked("all") else ["push", reference.familiar]
        push = command_text(*words)
        if parse_reference(self._image).canonical == reference.canonical:
            return push
        return f"{command_text('tag', self._image, reference.familiar)} && {push}"

    def act(self) -> None:
        work = RegistryWork(self.seat.actions)
        self.dismiss(work.push(self._image, self.reference(), all_tags=self.ticked("all"), command=self.command()))
