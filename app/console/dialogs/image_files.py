"""Save, load and tag: images to files, files to images, and one more name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from textual.widget import Widget
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from app import short
from app.console.command_text import command_text
from app.console.dialogs.dialog import Dialog, Field
from app.console.dialogs.tick import Tick
from app.console.seat import ask
from core.errors import AlreadyExists, InvalidInput
from core.model.display import clip, safe_text
from core.model.reference import parse_reference

_MOST_FOUND = 40


class SaveDialog(Dialog[str]):
    """Answers the path."""

    DO_WORDS = "Save  ⏎"

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__()
        self._keys = list(keys)
        first = keys[0].rpartition("/")[2].replace(":", "-") if keys else "images"
        self._default = str(Path.cwd() / f"{safe_text(first)}.tar")

    def title_words(self) -> str:
        return f" Save {safe_text(' '.join(self._keys))} "

    def fields(self) -> Iterable[Widget]:
        yield Field("File", "path", value=self._default)
        yield Tick("OCI archive (else docker's format, which OCI tools read too)", id="oci")
        yield Tick("replace the file if it is there", id="replace")

    def command(self) -> str:
        format_words = ["--format", "oci-archive"] if self.ticked("oci") else []
        return command_text("save", *format_words, "-o", self.value("path") or "FILE", *self._keys)

    def act(self) -> None:
        if not self.value("path"):
            raise InvalidInput("file: where to?")
        path = Path(self.value("path")).expanduser()
        if path.exists() and not self.ticked("replace"):
            raise AlreadyExists(f"{path} is there already", hint="choose another name or tick replace")
        self.seat.actions.save(self._keys, path, format="oci-archive" if self.ticked("oci") else "docker-archive")
        self.dismiss(str(path))


class LoadDialog(Dialog[str]):
    """Answers the path; offers what lies about."""

    TITLE_WORDS = " Load images from a file "
    DO_WORDS = "Load  ⏎"
    DEFAULT_CSS = """
    LoadDialog OptionList, LoadDialog OptionList:focus {
        height: auto; max-height: 9; border: none; background: $raised; padding: 0;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._found: list[Path] = []

    def fields(self) -> Iterable[Widget]:
        yield Field("File", "path", hint="an archive that save wrote: .tar, .tar.gz, .tar.zst")
        yield Label("looking about …", id="found", markup=False, classes="quiet")
        yield OptionList(id="files", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        ask(self, find_archives, self._offer)

    def _offer(self, found: Sequence[tuple[Path, int]]) -> None:
        words = "found here:" if found else "none found in ., ~, /mnt, /media and /tmp"
        self.query_one("#found", Label).update(words)
        self.query_one(OptionList).add_options(
            Option(clip(f"{short.size(size):>6}  {safe_text(path.name)}  in {safe_text(str(path.parent))}", 68))
            for path, size in found
        )
        self._found = [path for path, _size in found]
        self.query_one(OptionList).highlighted = 0 if found else None

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        box = self.query_one("#path", Input)
        box.value = str(self._found[event.option_index])
        box.focus()

    def command(self) -> str:
        return command_text("load", "-i", self.value("path") or "FILE")

    def act(self) -> None:
        if not self.value("path"):
            raise InvalidInput("file: which one?", hint="type a path or choose one below")
        path = Path(self.value("path")).expanduser()
        if not path.is_file():
            raise InvalidInput(f"{path} is not a file", hint="choose an archive that save wrote")
        self.seat.actions.load(path)
        self.dismiss(str(path))


def find_archives() -> list[tuple[Path, int]]:
    """Tar files in the places where people keep them, newest first, with their sizes."""
    found: list[tuple[float, Path, int]] = []
    for directory in dict.fromkeys((Path.cwd(), Path.home(), Path("/mnt"), Path("/media"), Path("/tmp"))):
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    if entry.name.endswith((".tar", ".tar.gz", ".tgz", ".tar.zst", ".oci")) and entry.is_file():
                        facts = entry.stat()
                        found.append((facts.st_mtime, Path(entry.path), facts.st_size))
        except OSError:
            continue  # a place that can't be read holds nothing to offer
    found.sort(key=lambda one: one[0], reverse=True)
    return [(path, size) for _age, path, size in found[:_MOST_FOUND]]


class TagDialog(Dialog[str]):
    """Answers the new name."""

    TITLE_WORDS = " Tag "
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
        self.seat.actions.tag(self._key, self.value("name"))
        self.dismiss(self.value("name"))
