"""Run: an image, a command and what it may use → a new container."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from textual.containers import Container as Box
from textual.suggester import SuggestFromList
from textual.widget import Widget

from app.console.command_text import command_text
from app.console.dialogs.dialog import Dialog, Field
from app.console.dialogs.tick import Tick
from app.console.registry_work import RegistryWork
from core.errors import InvalidSpec
from core.model.container import ContainerSpec
from core.model.display import safe_text
from core.model.ids import is_name
from core.model.limits import Limits, parse_bytes
from core.model.mounts import MountSpec
from core.model.network import BRIDGE, EndpointWish
from core.model.networking import parse_network
from core.model.ports import parse_publish
from core.model.reference import parse_reference


class RunDialog(Dialog[str]):
    """Answers the new container's id."""

    TITLE_WORDS = " Run a container "
    DO_WORDS = "Run  ⏎"

    def __init__(self, image: str = "", *, command: str = "") -> None:
        super().__init__()
        self._image = image
        self._command = command

    def fields(self) -> Iterable[Widget]:
        tags = [safe_text(tag) for image in self.seat.store.images for tag in image.tags]
        yield Field("Image", "image", value=self._image, hint="name:tag", suggester=SuggestFromList(tags))
        yield Field("Command", "argv", value=self._command, hint="the image's own")
        yield Field("Name", "name", hint="one is made up")
        yield Field("Variables", "env", hint="KEY=value KEY2='two words'")
        yield Field("Volumes", "volumes", hint="name-or-/path:/inside[:ro] …")
        yield Field("Network", "network", hint=BRIDGE, suggester=SuggestFromList(self._networks()))
        yield Field("Ports", "ports", hint="8080:80 127.0.0.1:53:53/udp …")
        yield Field("Memory", "memory", hint="no limit; 64m, 1g …")
        yield Field("CPUs", "cpus", hint="no limit; 0.5, 2 …")
        yield Field("CPU shares", "shares", hint="1024")
        yield Field("User", "user", hint="the image's own")
        yield Field("Directory", "workdir", hint="the image's own")
        with_ticks = Box(
            Tick("terminal (-it)", True, id="tty"),
            Tick("remove at end (--rm)", id="rm"),
            Tick("read-only root", id="readonly"),
            Tick("privileged ⚠", id="privileged"),
            classes="ticks",
        )
        yield with_ticks

    def _networks(self) -> list[str]:
        return [safe_text(network.name) for network in self.seat.store.networks]

    def command(self) -> str:
        words = ["run", "-d"]
        for name, flag in (
            ("tty", "-it"),
            ("rm", "--rm"),
            ("readonly", "--read-only"),
            ("privileged", "--privileged"),
        ):
            if self.ticked(name):
                words.append(flag)
        for name, flag in (
            ("name", "--name"),
            ("network", "--network"),
            ("memory", "-m"),
            ("cpus", "--cpus"),
            ("shares", "--cpu-shares"),
            ("user", "-u"),
            ("workdir", "-w"),
        ):
            if self.value(name):
                words += [flag, self.value(name)]
        for variable in _words(self.value("env")):
            words += ["-e", variable]
        for volume in _words(self.value("volumes")):
            words += ["-v", volume]
        for port in self.value("ports").split():
            words += ["-p", port]
        return command_text(*words, self.value("image") or "IMAGE", *_words(self.value("argv")))

    def act(self) -> None:
        spec, actions = self.spec(), self.seat.actions
        if self._is_here(spec.image):
            actions.run(spec, lambda _key: None)
        else:
            RegistryWork(actions).pull(
                parse_reference(spec.image),
                command=self.command(),
                then=lambda _is_new: actions.run(spec, lambda _key: None),
            )
        self.dismiss(spec.name or spec.image)

    def _is_here(self, image: str) -> bool:
        """Whether an image need not be fetched first, as far as is known."""
        store = self.seat.store
        if "images" not in store.loaded or any(
            one.id.removeprefix("sha256:").startswith(image) for one in store.images
        ):
            return True
        return store.image_named(parse_reference(image).familiar) is not None

    def spec(self) -> ContainerSpec:
        """The wish as the fields say it.

        Raises: InvalidInput: names the field that can't be right.
        """
        image, name = self.value("image"), self.value("name")
        if not image:
            raise InvalidSpec("image: which one?", hint="type a name, for example one from the Images tab")
        if not all(character in "0123456789abcdef" for character in image):
            parse_reference(image)
        if name and not is_name(name):
            raise InvalidSpec(f"name {name!r}: letters, digits, _ . and - only, two at least")
        tty = self.ticked("tty")
        network = parse_network(self.value("network") or BRIDGE)
        return ContainerSpec(
            image=image,
            command=tuple(_words(self.value("argv"))),
            name=name,
            env=tuple(_words(self.value("env"))),
            network=network.network,
            endpoints=() if network == EndpointWish(network=network.network) else (network,),
            ports=tuple(port for text in self.value("ports").split() for port in parse_publish(text)),
            mounts=tuple(parse_volume(text) for text in _words(self.value("volumes"))),
            limits=Limits(
                memory_bytes=parse_bytes(self.value("memory")) if self.value("memory") else 0,
                nano_cpus=_nano_cpus(self.value("cpus")),
                cpu_shares=_shares(self.value("shares")),
            ),
            user=self.value("user"),
            working_dir=self.value("workdir"),
            tty=tty,
            open_stdin=tty,
            auto_remove=self.ticked("rm"),
            read_only=self.ticked("readonly"),
            privileged=self.ticked("privileged"),
        )


def parse_volume(text: str) -> MountSpec:
    """`source:/inside[:ro]` or `/inside`, as `-v` has it."""
    parts = text.split(":")
    if len(parts) == 1:
        return MountSpec(kind="volume", target=parts[0])
    if len(parts) > 3 or not parts[1].startswith("/") or not parts[0]:
        raise InvalidSpec(f"volume {text!r}: write it as name:/inside or /host:/inside[:ro]")
    options = set(parts[2].split(",")) if len(parts) == 3 else set()
    if options - {"ro", "rw", "nocopy"}:
        raise InvalidSpec(f"volume {text!r}: only ro, rw and nocopy may follow the second colon")
    bind = parts[0].startswith("/")
    return MountSpec(
        kind="bind" if bind else "volume",
        source=parts[0],
        target=parts[1],
        read_only="ro" in options,
        no_copy="nocopy" in options,
        create_source=bind,
    )


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        raise InvalidSpec(f"{text}: {str(error).lower()}", hint="close the quotation mark") from error


def _nano_cpus(text: str) -> int:
    try:
        value = Decimal(text or "0")
    except InvalidOperation:
        raise InvalidSpec(f"cpus {text!r}: write a number such as 0.5") from None
    if not 0 <= value <= 4096:
        raise InvalidSpec(f"cpus {text!r}: write a number such as 0.5")
    return int(value * 1_000_000_000)


def _shares(text: str) -> int:
    if text and not (text.isascii() and text.isdigit() and 2 <= int(text) <= 262_144):
        raise InvalidSpec(f"cpu shares {text!r}: a number from 2 to 262144")
    return int(text or "0")
