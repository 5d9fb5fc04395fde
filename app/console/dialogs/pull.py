"""Pull: search as you type, a tag from the registry, a platform; then a job with a bar for each layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar, TypeVar

from textual import events
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from app.console.actions import sentence
from app.console.command_text import command_text
from app.console.dialogs.dialog import Dialog, Field
from app.console.dialogs.tick import Tick
from app.console.jobs import Job
from app.console.registry_work import RegistryWork
from app.console.seat import ask
from core.errors import EngineError, InvalidInput
from core.model.display import clip, safe_text
from core.model.reference import ImageRef, parse_reference
from core.model.registry import SearchResult

Answer = TypeVar("Answer")

_DEBOUNCE_S = 0.3
_LEAST_LETTERS = 2
_MOST_FOUND = 25
_MOST_TAGS = 500
_LIST_CELLS = 68


class PullDialog(Dialog[Job]):
    """Answers the job that has begun."""

    TITLE_WORDS = " Pull an image "
    DO_WORDS = "Pull  ⏎"
    DEFAULT_CSS = """
    PullDialog OptionList, PullDialog OptionList:focus {
        height: auto; max-height: 8; border: none; background: $raised; padding: 0;
    }
    """
    BINDINGS: ClassVar = [("down", "into_list", "the list"), ("up", "out_of_list", "the fields")]

    def __init__(self, reference: str = "", *, tag: str = "") -> None:
        super().__init__()
        self._reference = reference
        self._tag = tag
        self._offered: list[str] = []
        self._offers_tags = False
        self._asked = ""
        """What the list is of: `search WORD` or `tags REPOSITORY`; answers to anything else come too late."""
        self._is_out = False
        """Whether a question is on its way: registries that are slow must not take all workers."""
        self._waiting: Timer | None = None

    @property
    def _work(self) -> RegistryWork:
        return RegistryWork(self.seat.actions)

    def fields(self) -> Iterable[Widget]:
        yield Field("Image", "image", value=self._reference, hint="a word to search, or [HOST/]NAME")
        yield Field("Tag", "tag", value=self._tag, hint="latest")
        yield Field("Platform", "platform", hint="this machine's; linux/arm64 …")
        yield Tick("all tags (-a)", id="all")
        yield Label(
            "type to search Docker Hub, or HOST/word another registry", id="found", markup=False, classes="quiet"
        )
        yield OptionList(id="offers", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        if self._reference and not self._reference.endswith("/"):
            self.query_one("#tag", Input).focus()

    # ------------------------------------------------------------------ searching

    def on_input_changed(self, event: Input.Changed) -> None:
        super().on_input_changed(event)
        if event.input.id == "image":
            self._ask_soon()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if isinstance(event.widget, Input) and event.widget.id in ("image", "tag"):
            self._ask_soon()

    def _ask_soon(self) -> None:
        """Once the person has stopped typing for a moment."""
        if self._waiting is not None:
            self._waiting.stop()
        self._waiting = self.set_timer(_DEBOUNCE_S, self._ask)

    def _ask(self) -> None:
        if self._is_out:
            return  # its answer asks again
        word = self.value("image")
        if self.focused is not None and self.focused.id == "tag" and word:
            self._ask_tags(word)
        elif len(word) >= _LEAST_LETTERS and f"search {word}" != self._asked:
            self._asked = f"search {word}"
            self._say_of_list(f"searching for {word} …")
            term = word.partition("@")[0].rpartition(":")[0] if _has_tag(word) else word
            self._question(lambda: self._work.search(term, _MOST_FOUND), self._offer_found)

    def _ask_tags(self, word: str) -> None:
        try:
            reference = parse_reference(word)
        except EngineError:
            return
        repository = f"{reference.host}/{reference.path}"
        if f"tags {repository}" != self._asked:
            self._asked = f"tags {repository}"
            self._say_of_list(f"asking for tags of {reference.familiar_name} …")
            self._question(lambda: self._work.tags(repository), self._offer_tags)

    def _question(self, question: Callable[[], Answer], answered: Callable[[Answer], None]) -> None:
        """Ask in a worker; what is answered when something else has been asked meanwhile is dropped."""
        asked = self._asked
        self._is_out = True

        def offer(answer: Answer) -> None:
            self._is_out = False
            if self._is_asked_still(asked):
                answered(answer)

        def refused(error: EngineError) -> None:
            self._is_out = False
            if self._is_asked_still(asked):
                self._refused(error)

        ask(self, question, offer, refused)

    def _is_asked_still(self, asked: str) -> bool:
        """Whether an answer is to the question of now; if not, that one is asked."""
        self._ask()
        return self._asked == asked

    def _offer_found(self, found: Sequence[SearchResult]) -> None:
        lines = []
        for one in found:
            mark = "✓" if one.is_official else " "
            stars = f"★{one.stars}" if one.stars else ""
            lines.append(f"{mark} {safe_text(one.name):<26} {stars:>6}  {safe_text(' '.join(one.description.split()))}")
        self._offer([one.name for one in found], lines, tags=False)
        self._say_of_list("found, ✓ official:" if found else "nothing found; Enter pulls the name as it stands")

    def _offer_tags(self, tags: Sequence[str]) -> None:
        shown = list(tags)[-_MOST_TAGS:]
        shown.sort(key=lambda tag: tag != "latest")
        self._offer(shown, [safe_text(tag) for tag in shown], tags=True)
        more = f" (the last {_MOST_TAGS} of {len(tags)})" if len(tags) > _MOST_TAGS else ""
        self._say_of_list(f"its tags{more}:" if tags else "it has no tags")

    def _offer(self, values: list[str], lines: list[str], *, tags: bool) -> None:
        box = self.query_one(OptionList)
        box.clear_options()
        box.add_options(Option(clip(line, _LIST_CELLS)) for line in lines)
        self._offered, self._offers_tags = values, tags
        box.highlighted = 0 if values else None

    def _refused(self, error: EngineError) -> None:
        self._offer([], [], tags=False)
        self._say_of_list(f"✖ {clip(sentence(error), 200)}")

    def _say_of_list(self, words: str) -> None:
        self.query_one("#found", Label).update(safe_text(words))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        chosen = self._offered[event.option_index]
        self.query_one("#tag" if self._offers_tags else "#image", Input).value = chosen
        if not self._offers_tags:
            self._asked = f"search {chosen}"  # it need not be looked for again
        self.query_one("#tag", Input).focus()

    def action_into_list(self) -> None:
        if self._offered and isinstance(self.focused, Input) and self.focused.id in ("image", "tag"):
            self.query_one(OptionList).focus()
        else:
            self.app.action_focus_next()

    def action_out_of_list(self) -> None:
        self.app.action_focus_previous()

    # ------------------------------------------------------------------ pulling

    def reference(self) -> ImageRef:
        """What is to be pulled.

        Raises: InvalidInput: the fields contradict each other, or are no reference.
        """
        image, tag = self.value("image"), self.value("tag")
        if not image:
            raise InvalidInput("image: which one?", hint="type a name, for example alpine")
        if tag and _has_tag(image):
            raise InvalidInput("tag: the image has one already", hint="write it in one of the two fields")
        if self.ticked("all") and (tag or _has_tag(image)):
            raise InvalidInput("all tags: then no tag can be named")
        return parse_reference(f"{image}:{tag}" if tag else image)

    def command(self) -> str:
        platform = ["--platform", self.value("platform")] if self.value("platform") else []
        if not self.value("image"):
            return command_text("pull", *platform, "NAME[:TAG]")
        reference = self.reference()
        if self.ticked("all"):
            return command_text("pull", "-a", *platform, reference.familiar_name)
        return command_text("pull", *platform, reference.familiar)

    def act(self) -> None:
        job = self._work.pull(
            self.reference(),
            platform=self.value("platform"),
            all_tags=self.ticked("all"),
            command=self.command(),
        )
        self.dismiss(job)


def _has_tag(image: str) -> bool:
    return "@" in image or ":" in image.rpartition("/")[2]
