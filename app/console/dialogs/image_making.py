"""What is made of an image: one more name, one layer, a list of its packages, a directory."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from app import short
from app.console.command_text import command_text
from app.console.dialogs.delete import counted
from app.console.dialogs.dialog import Dialog, Field
from app.console.dialogs.tick import Tick
from app.console.image_facts import image_name
from core.errors import AlreadyExists, InvalidInput
from core.model.display import safe_text
from core.model.image import Image
from core.model.reference import parse_reference

SBOM_FORMATS = (
    ("spdx-json", "SPDX 2.3, JSON"),
    ("cyclonedx-json", "CycloneDX 1.5, JSON"),
    ("table", "a table to read"),
)


class TagDialog(Dialog[str]):
    """Answers the new name."""

    DO_WORDS = "Tag  ⏎"

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def title_words(self) -> str:
        return f" One more name for {safe_text(self._key)} "

    def fields(self) -> Iterable[Widget]:
        yield Field("Name", "name", hint="shop/api:9.4")

    def command(self) -> str:
        return command_text("tag", self._key, self.value("name") or "NAME")

    def act(self) -> None:
        if not self.value("name"):
            raise InvalidInput("name: which one?")
        parse_reference(self.value("name"))
        self.seat.actions.images.tag(self._key, self.value("name"))
        self.dismiss(self.value("name"))


class SquashDialog(Dialog[str]):
    """All layers, or those above a base's, as one. Answers the new image's name."""

    DO_WORDS = "Squash  ⏎"

    def __init__(self, image: Image) -> None:
        super().__init__()
        self._image = image
        self._key = image_name(image)

    def title_words(self) -> str:
        return f" Squash {safe_text(self._key)} "

    def fields(self) -> Iterable[Widget]:
        many = counted(len(self._image.layers), "layer")
        words = f"{many}, {short.size(self._image.size_bytes)}, to be one; what upper layers"
        yield Label(f"{words} hide goes. The image itself stays as it is.", markup=False, classes="quiet")
        yield Field("Name", "name", value=_squashed(self._key))
        bases = [safe_text(tag) for one in self.seat.store.images if self._begins_with(one) for tag in one.tags]
        hint = f"keep the layers of an image it begins with: {', '.join(bases[:3])}" if bases else "none it begins with"
        yield Field("Base", "base", hint=hint, suggester=SuggestFromList(bases))

    def _begins_with(self, other: Image) -> bool:
        mine, theirs = self._image.layers, other.layers
        return len(theirs) < len(mine) and bool(theirs) and mine[: len(theirs)] == theirs

    def command(self) -> str:
        base = ["--base", self.value("base")] if self.value("base") else []
        return safe_text(command_text("image", "squash", *base, self._key, self.value("name") or "NAME"))

    def act(self) -> None:
        name = self.value("name")
        if not name:
            raise InvalidInput("name: of the new image?")
        parse_reference(name)
        self.seat.actions.images.squash(self._key, name, self.command(), base=self.value("base"))
        self.dismiss(name)


def _squashed(key: str) -> str:
    """A name for what an image becomes: `shop/api:9.3` → `shop/api:9.3-squashed`."""
    name, colon, tag = key.rpartition(":")
    return f"{name}:{tag}-squashed" if colon and "/" not in tag else "squashed:latest"


class SbomDialog(Dialog[str]):
    """The packages of an image as a document. Answers the path."""

    DO_WORDS = "Write  ⏎"
    DEFAULT_CSS = """
    SbomDialog OptionList, SbomDialog OptionList:focus {
        height: auto; border: none; background: $raised; padding: 0;
    }
    """

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key
        self._format = SBOM_FORMATS[0][0]
        self._stem = safe_text(key.rpartition("/")[2].replace(":", "-"))

    def title_words(self) -> str:
        return f" Packages of {safe_text(self._key)} as a file "

    def fields(self) -> Iterable[Widget]:
        yield Field("File", "path", value=self._path_for(self._format))
        yield Tick("replace the file if it is there", id="replace")
        yield OptionList(*(Option(f"{name:<16} {words}") for name, words in SBOM_FORMATS), id="formats", markup=False)

    def _path_for(self, format: str) -> str:
        ending = {"spdx-json": ".spdx.json", "cyclonedx-json": ".cdx.json"}.get(format, ".packages.txt")
        return str(Path.cwd() / f"{self._stem}{ending}")

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        self._choose(event.option_index)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self._choose(event.option_index)
        self.query_one("#path").focus()

    def _choose(self, number: int) -> None:
        box, before = self.query_one("#path", Input), self._path_for(self._format)
        self._format = SBOM_FORMATS[number][0]
        if box.value == before:
            box.value = self._path_for(self._format)
        self.refresh_command()

    def _words(self) -> list[str]:
        return ["image", "sbom", "--format", self._format, self._key]

    def command(self) -> str:
        return safe_text(f"{command_text(*self._words())} > {shlex.quote(self.value('path') or 'FILE')}")

    def act(self) -> None:
        path = _new_file(self.value("path"), replace=self.ticked("replace"))
        self.seat.actions.images.write_output(
            self._words(), path, f"packages of {safe_text(self._key)}", self.command()
        )
        self.dismiss(str(path))


def _new_file(text: str, *, replace: bool) -> Path:
    """A path that may be written.

    Raises: InvalidInput, AlreadyExists.
    """
    if not text:
        raise InvalidInput("file: where to?")
    path = Path(text).expanduser()
    if not path.parent.is_dir():
        raise InvalidInput(f"{path.parent} is not there", hint="make that directory first")
    if path.exists() and not replace:
        raise AlreadyExists(f"{path} is there already", hint="choose another name or tick replace")
    return path


class UnpackDialog(Dialog[str]):
    """The whole tree of an image as a directory. Answers its path."""

    DO_WORDS = "Unpack  ⏎"

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key
        self._stem = safe_text(key.rpartition("/")[2].replace(":", "-"))

    def title_words(self) -> str:
        return f" Unpack {safe_text(self._key)} "

    def fields(self) -> Iterable[Widget]:
        yield Field("Directory", "path", value=str(Path.cwd() / self._stem))
        yield Label(
            "It must be empty, or not there yet. Owners and modes are the image's.", markup=False, classes="quiet"
        )

    def _words(self) -> list[str]:
        return ["image", "unpack", self._key, self.value("path") or "DIRECTORY"]

    def command(self) -> str:
        return safe_text(command_text(*self._words()))

    def act(self) -> None:
        path = Path(self.value("path")).expanduser()
        if not self.value("path"):
            raise InvalidInput("directory: where to?")
        if path.exists() and (not path.is_dir() or any(os.scandir(path))):
            raise AlreadyExists(f"{path} is there already", hint="choose an empty directory, or a new name")
        words = ["image", "unpack", self._key, str(path)]
        self.seat.actions.images.perform(
            words, f"unpack {safe_text(self._key)}", f"unpacked into {safe_text(str(path))}"
        )
        self.dismiss(str(path))
