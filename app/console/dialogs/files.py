"""Questions about files: delete them, copy them, look for one, where a volume's archive is."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from pathlib import Path

from textual.widget import Widget
from textual.widgets import Label

from app.console.command_text import command_text
from app.console.dialogs.delete import DeleteDialog
from app.console.dialogs.dialog import Dialog, Field
from app.console.dialogs.tick import Tick
from app.console.file_sources import FileSource
from core.errors import AlreadyExists, InvalidInput
from core.model.display import safe_text
from core.model.ids import is_name

_MOST_NAMED = 8


def _named(paths: Iterable[str]) -> str:
    names = [safe_text(posixpath.basename(path.rstrip("/")) or path) for path in paths]
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


class DeleteFiles(DeleteDialog):
    """Answers True where nothing is to be kept for an undo, False where it is; None: leave them."""

    def __init__(self, source: FileSource, paths: Sequence[str]) -> None:
        super().__init__()
        self._source = source
        self._paths = list(paths)

    def title_words(self) -> str:
        return f" Delete {len(self._paths)} file{'' if len(self._paths) == 1 else 's'} of {self._source.title} "

    def fields(self) -> Iterable[Widget]:
        yield Label(_named(self._paths), markup=False, classes="words")
        yield Label(
            "Directories go with all that is in them. U brings them back while this view is open.",
            markup=False,
            classes="quiet",
        )
        yield Tick("for good: nothing is kept for an undo", id="forgood")

    def command(self) -> str:
        named = [self._source.on_command_line(path) for path in self._paths]
        if not all(named):
            return ""
        container = named[0].partition(":")[0]
        return command_text("exec", container, "rm", "-rf", *self._paths)

    def act(self) -> None:
        self.dismiss(self.ticked("forgood"))


class CopyFiles(Dialog[bool]):
    """From one side to the other; says what will be replaced there."""

    DO_WORDS = "Copy  ⏎"

    def __init__(
        self, source: FileSource, paths: Sequence[str], target: FileSource, directory: str, replaced: Sequence[str]
    ) -> None:
        super().__init__()
        self._source, self._paths = source, list(paths)
        self._target, self._directory = target, directory
        self._replaced = list(replaced)

    def title_words(self) -> str:
        return f" Copy to {self._target.title} "

    def fields(self) -> Iterable[Widget]:
        yield Label(f"{_named(self._paths)}  →  {safe_text(self._directory)}", markup=False, classes="words")
        if self._replaced:
            words = f"There already, and replaced: {_named(self._replaced)}"
            yield Label(words, markup=False, classes="words")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#do").focus()

    def command(self) -> str:
        sources = [self._source.on_command_line(path) for path in self._paths]
        target = self._target.on_command_line(self._directory)
        if not target or not all(sources):
            return ""
        return " && ".join(command_text("cp", source, target) for source in sources)

    def act(self) -> None:
        self.dismiss(True)


class FindFiles(Dialog[str]):
    """Answers what is to be looked for."""

    TITLE_WORDS = " Find files by name "
    DO_WORDS = "Find  ⏎"

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def fields(self) -> Iterable[Widget]:
        yield Field("Name has", "text", hint=f"at any depth below {safe_text(self._path)}")

    def command(self) -> str:
        return ""

    def act(self) -> None:
        if not self.value("text"):
            raise InvalidInput("name: which part of it?")
        self.dismiss(self.value("text"))


class ExportVolume(Dialog[str]):
    """Answers the path of the archive."""

    DO_WORDS = "Export  ⏎"

    def __init__(self, name: str) -> None:
        super().__init__()
        self._volume = name

    def title_words(self) -> str:
        return f" Export volume {safe_text(self._volume[:24])} "

    def fields(self) -> Iterable[Widget]:
        yield Field("File", "path", value=str(Path.cwd() / f"{self._volume[:40]}.tar"))
        yield Tick("replace the file if it is there", id="replace")

    def command(self) -> str:
        return command_text("volume", "export", "-o", self.value("path") or "FILE", self._volume)

    def act(self) -> None:
        if not self.value("path"):
            raise InvalidInput("file: where to?")
        path = Path(self.value("path")).expanduser()
        if path.exists() and not self.ticked("replace"):
            raise AlreadyExists(f"{path} is there already", hint="choose another name or tick replace")
        self.seat.actions.export_volume(self._volume, path)
        self.dismiss(str(path))


class ImportVolume(Dialog[str]):
    """Answers the volume's name; one that is not there is made."""

    TITLE_WORDS = " Import an archive into a volume "
    DO_WORDS = "Import  ⏎"

    def __init__(self, name: str = "") -> None:
        super().__init__()
        self._volume = name

    def fields(self) -> Iterable[Widget]:
        yield Field("Volume", "name", value=self._volume, hint="one that is not there is made")
        yield Field("File", "path", hint="a tar, plain or compressed")
        words = "Files of the archive replace those of the same name; all others stay."
        yield Label(words, markup=False, classes="quiet")

    def command(self) -> str:
        return command_text("volume", "import", self.value("name") or "VOLUME", self.value("path") or "FILE")

    def act(self) -> None:
        name, path = self.value("name"), Path(self.value("path")).expanduser()
        if not is_name(name):
            raise InvalidInput(f"volume {name!r}: letters, digits, _ . and - only, two at least")
        if not self.value("path") or not path.is_file() or not os.access(path, os.R_OK):
            raise InvalidInput(f"{path} is not a file that can be read")
        self.seat.actions.import_volume(name, path)
        self.dismiss(name)
