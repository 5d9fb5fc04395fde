"""Delete: asked once, with the names of everything that goes along."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widget import Widget
from textual.widgets import Input, Label

from app.console.command_text import command_text
from app.console.dialogs.dialog import Dialog, Field
from app.console.dialogs.tick import Tick
from app.console.standing import LIVE
from core.errors import InvalidSpec
from core.model.container import Container
from core.model.display import safe_text
from core.model.ids import is_name
from core.model.volume import Volume
from core.model.volume_options import read_volume_device

_MOST_NAMED = 8


class DeleteDialog(Dialog[bool]):
    """A question with a red frame; Enter on the button does it."""

    DO_WORDS = "Delete  ⏎"
    DANGEROUS = True

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#do").focus()


class DeleteContainers(DeleteDialog):
    """Containers, running ones only by force, anonymous volumes on request."""

    def __init__(self, containers: Sequence[Container]) -> None:
        super().__init__()
        self._containers = list(containers)
        self._live = [one for one in containers if one.status in LIVE]
        self._anonymous = sum(mount.anonymous for one in containers for mount in one.config.mounts)

    def title_words(self) -> str:
        return f" Delete {counted(len(self._containers), 'container')} "

    def fields(self) -> Iterable[Widget]:
        yield Label(named(one.name for one in self._containers), markup=False, classes="words")
        yield Label("With it goes all that was written inside and its log.", markup=False, classes="quiet")
        if self._live:
            words = f"still running: {named(one.name for one in self._live)}"
            yield Tick(f"kill first (--force)  {words}", True, id="force")
        if self._anonymous:
            yield Tick(f"and {counted(self._anonymous, 'anonymous volume')} (-v)", id="volumes")

    def _is(self, name: str) -> bool:
        return any(box.value for box in self.query(f"#{name}").results(Tick))

    def command(self) -> str:
        flags = [*(["-f"] if self._is("force") else []), *(["-v"] if self._is("volumes") else [])]
        return command_text("rm", *flags, *(safe_text(one.name) for one in self._containers))

    def act(self) -> None:
        self.seat.actions.remove(self._containers, force=self._is("force"), volumes=self._is("volumes"))
        self.dismiss(True)


class DeleteVolumes(DeleteDialog):
    """Volumes, and every file in them."""

    def __init__(self, volumes: Sequence[Volume]) -> None:
        super().__init__()
        self._volumes = list(volumes)

    def title_words(self) -> str:
        return f" Delete {counted(len(self._volumes), 'volume')} "

    def fields(self) -> Iterable[Widget]:
        yield Label(named(volume.name for volume in self._volumes), markup=False, classes="words")
        yield Label("Every file in it goes; this can't be undone.", markup=False, classes="quiet")

    def command(self) -> str:
        return command_text("volume", "rm", *(volume.name for volume in self._volumes))

    def act(self) -> None:
        self.seat.actions.remove_volumes([volume.name for volume in self._volumes])
        self.dismiss(True)


class KillDialog(DeleteDialog):
    """SIGKILL, or another signal."""

    DO_WORDS = "Kill  ⏎"

    def __init__(self, containers: Sequence[Container]) -> None:
        super().__init__()
        self._containers = list(containers)

    def title_words(self) -> str:
        return f" Kill {counted(len(self._containers), 'container')} "

    def fields(self) -> Iterable[Widget]:
        yield Label(named(one.name for one in self._containers), markup=False, classes="words")
        yield Field("Signal", "signal", value="KILL")

    def command(self) -> str:
        signal = self.value("signal") or "KILL"
        flags = [] if signal == "KILL" else ["-s", signal]
        return command_text("kill", *flags, *(safe_text(one.name) for one in self._containers))

    def act(self) -> None:
        self.seat.actions.kill(self._containers, self.value("signal") or "KILL")
        self.dismiss(True)


class NewVolume(Dialog[str]):
    """A volume by name, or an anonymous one."""

    TITLE_WORDS = " New volume "
    DO_WORDS = "Create  ⏎"

    def fields(self) -> Iterable[Widget]:
        yield Field("Name", "name", hint="empty: an anonymous one")
        yield Field("Labels", "labels", hint="key=value key=value")
        yield Field("Type", "type", hint="empty: a directory here; tmpfs, none, nfs, ext4 …")
        yield Field("Device", "device", hint="of a type: tmpfs, /a/directory, :/export, /dev/sdb1")
        yield Field("Options", "o", hint="as mount has them: size=64m  bind  addr=10.0.0.2,rw")

    def _options(self) -> dict[str, str]:
        options = {key: self.value(key) for key in ("type", "device", "o") if self.value(key)}
        read_volume_device(options)
        return options

    def _labels(self) -> dict[str, str]:
        return {key: value for key, _, value in (word.partition("=") for word in self.value("labels").split())}

    def command(self) -> str:
        labels = [word for text in self.value("labels").split() for word in ("--label", text)]
        options = [word for key, value in self._options().items() for word in ("--opt", f"{key}={value}")]
        return command_text(
            "volume", "create", *labels, *options, *([self.value("name")] if self.value("name") else [])
        )

    def act(self) -> None:
        name = self.query_one("#name", Input).value.strip()
        if name and not is_name(name):
            raise InvalidSpec(f"name {name!r}: letters, digits, _ . and - only, two at least")
        self.seat.actions.create_volume(name, self._options(), self._labels())
        self.dismiss(name)


def counted(number: int, noun: str) -> str:
    """`1 image`, `3 images`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def named(names: Iterable[str]) -> str:
    """The first of some names, and how many more there are; safe text."""
    all_names = [safe_text(name) for name in names]
    shown = ", ".join(all_names[:_MOST_NAMED])
    more = len(all_names) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown
