"""Save and load: images to files, files to images."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from textual.widget import Widget
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from app import short
from app.console.archives import Archive, find_archives, names_in
from app.console.command_text import command_text
from app.console.dialogs.dialog import Dialog, Field
from app.console.dialogs.tick import Tick
from app.console.packed_file import packing_command
from app.console.seat import ask
from core.errors import AlreadyExists, InvalidInput
from core.model.display import clip, safe_text

_LIST_CSS = """
    height: auto; max-height: 8; border: none; background: $raised; padding: 0;
"""
_MOST_NAMED = 6


class SaveDialog(Dialog[str]):
    """One image or many → one file. Answers the path."""

    DO_WORDS = "Save  ⏎"
    DEFAULT_CSS = f"""
    SaveDialog OptionList, SaveDialog OptionList:focus {{ {_LIST_CSS} }}
    """

    def __init__(self, keys: Sequence[str], size_bytes: int = 0) -> None:
        super().__init__()
        self._keys = list(keys)
        self._size_bytes = size_bytes
        first = keys[0].rpartition("/")[2].replace(":", "-") if keys else "images"
        self._name = safe_text(first) if len(keys) == 1 else "images"
        self._places: list[Path] = []

    def title_words(self) -> str:
        many = f"{len(self._keys)} images: " if len(self._keys) > 1 else ""
        return clip(f" Save {many}{safe_text(' '.join(self._keys))} ", 70)

    def fields(self) -> Iterable[Widget]:
        yield Field("File", "path", value=str(Path.cwd() / f"{self._name}.tar"))
        yield Label("ending .tar: plain; .tar.gz .tar.zst .tar.bz2 .tar.xz: compressed", markup=False, classes="quiet")
        yield Tick("OCI archive (else docker's format, which OCI tools read too)", id="oci")
        yield Tick("replace the file if it is there", id="replace")
        yield Label("where to:", id="where", markup=False, classes="quiet")
        yield OptionList(id="places", markup=False)

    def on_mount(self) -> None:
        super().on_mount()
        ask(self, destinations, self._offer)

    def _offer(self, found: Sequence[tuple[Path, int]]) -> None:
        self._places = [path for path, _free in found]
        self.query_one(OptionList).add_options(
            Option(clip(f"{short.size(free):>6} free  {safe_text(str(path))}", 68)) for path, free in found
        )

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        box = self.query_one("#path", Input)
        box.value = str(self._places[event.option_index] / Path(box.value).name)
        box.focus()

    def command(self) -> str:
        format_words = ["--format", "oci-archive"] if self.ticked("oci") else []
        path = self.value("path") or "FILE"
        packer = packing_command(path)
        if packer:
            return f"{command_text('save', *format_words, *self._keys)} | {packer} > {shlex.quote(path)}"
        return command_text("save", *format_words, "-o", path, *self._keys)

    def act(self) -> None:
        if not self.value("path"):
            raise InvalidInput("file: where to?")
        path = Path(self.value("path")).expanduser()
        if path.is_dir():
            raise InvalidInput(f"{path} is a directory", hint=f"add a name, such as {self._name}.tar")
        if not path.parent.is_dir():
            raise InvalidInput(f"{path.parent} is not there", hint="make that directory first")
        if path.exists() and not self.ticked("replace"):
            raise AlreadyExists(f"{path} is there already", hint="choose another name or tick replace")
        archive = "oci-archive" if self.ticked("oci") else "docker-archive"
        self.seat.actions.images.save(self._keys, path, self.command(), format=archive)
        self.dismiss(str(path))


def destinations() -> list[tuple[Path, int]]:
    """Directories where a file may go, with the bytes that are free there: ., ~, what is mounted by hand, /tmp."""
    places = [Path.cwd(), Path.home()]
    for parent in (Path("/mnt"), Path("/media")):
        if parent.is_dir():
            places += [parent, *sorted(path for path in parent.iterdir() if path.is_dir())]
    found: dict[Path, int] = {}
    for place in [*places, Path("/tmp")]:
        try:
            if os.access(place, os.W_OK):
                found.setdefault(place, shutil.disk_usage(place).free)
        except OSError:
            continue  # gone, or not to be looked at: nothing goes there
    return list(found.items())


class LoadDialog(Dialog[str]):
    """A file, or one of those found near by; what is in it shows before it is loaded. Answers the path."""

    TITLE_WORDS = " Load images from a file "
    DO_WORDS = "Load  ⏎"
    DEFAULT_CSS = f"""
    LoadDialog OptionList, LoadDialog OptionList:focus {{ {_LIST_CSS} }}
    """

    def __init__(self) -> None:
        super().__init__()
        self._found: list[Archive] = []

    def fields(self) -> Iterable[Widget]:
        yield Field("File", "path", hint="an archive that save wrote: .tar, .tar.gz, .tar.zst; or an OCI layout")
        yield Label("looking about …", id="found", markup=False, classes="quiet")
        yield OptionList(id="files", markup=False)
        yield Label("", id="inside", markup=False, classes="quiet")

    def on_mount(self) -> None:
        super().on_mount()
        ask(self, find_archives, self._offer)

    def _offer(self, found: Sequence[Archive]) -> None:
        words = "found near by (↓ chooses):" if found else "none found in ., ~, /mnt, /media and /tmp"
        self.query_one("#found", Label).update(words)
        self.query_one(OptionList).add_options(
            Option(
                clip(
                    f"{short.size(one.size_bytes):>6}  {safe_text(one.path.name)}{'/' if one.is_layout else ''}"
                    f"  in {safe_text(str(one.path.parent))}",
                    68,
                )
            )
            for one in found
        )
        self._found = list(found)
        self.query_one(OptionList).highlighted = 0 if found else None

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        self._glance(self._found[event.option_index].path)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        box = self.query_one("#path", Input)
        box.value = str(self._found[event.option_index].path)
        box.focus()

    def _glance(self, path: Path) -> None:
        """Say what is in an archive, if that is cheap to know."""
        inside = self.query_one("#inside", Label)
        inside.update(f"{safe_text(path.name)} …")

        def told(names: Sequence[str]) -> None:
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            shown = ", ".join(safe_text(name) for name in names[:_MOST_NAMED])
            inside.update(clip(f"{safe_text(path.name)} holds {shown}{more}", 140))

        ask(self, lambda: names_in(path), told, lambda error: inside.update(safe_text(error.message)))

    def command(self) -> str:
        return command_text("load", "-i", self.value("path") or "FILE")

    def act(self) -> None:
        if not self.value("path"):
            raise InvalidInput("file: which one?", hint="type a path or choose one below")
        path = Path(self.value("path")).expanduser()
        if not path.is_file() and not (path / "oci-layout").is_file():
            raise InvalidInput(f"{path} is not a file", hint="choose an archive that save wrote, or an OCI layout")
        self.seat.actions.images.load(path)
        self.dismiss(str(path))
