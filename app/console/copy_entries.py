"""What the copy menus offer: each entry's words, and the text that lands on the clipboard."""

from __future__ import annotations

from app.console.command_text import command_text
from app.console.image_facts import image_name
from core.model.container import Container
from core.model.display import safe_text
from core.model.ids import short_id
from core.model.image import Image
from core.model.network import Network
from core.model.volume import Volume

Entries = list[tuple[str, str]]


def for_container(container: Container) -> Entries:
    """Name, ids, image, and commands that begin something with it."""
    name = safe_text(container.name)
    return _aligned(
        [
            ("name", name),
            ("short id", container.id[:12]),
            ("id", container.id),
            ("image", safe_text(container.config.image_name)),
            ("command", safe_text(" ".join(container.config.argv))),
            ("shell command", command_text("exec", "-it", name, "sh")),
            ("logs command", command_text("logs", "-f", name)),
        ]
    )


def for_image(image: Image) -> Entries:
    """Name, ids, and the command that runs it."""
    name = safe_text(image_name(image))
    return _aligned(
        [
            ("name", name),
            ("short id", short_id(image.id)),
            ("id", image.id),
            ("run command", command_text("run", "-it", name)),
        ]
    )


def for_volume(volume: Volume) -> Entries:
    """Name, place, and the command that shows it."""
    return _aligned(
        [
            ("name", volume.name),
            ("place on the host", safe_text(volume.mountpoint)),
            ("inspect command", command_text("volume", "inspect", volume.name)),
        ]
    )


def for_network(network: Network) -> Entries:
    """Name, id, subnets, and commands that begin something with it."""
    return _aligned(
        [
            ("name", safe_text(network.name)),
            ("id", network.id),
            ("subnets", " ".join(subnet.subnet for subnet in network.subnets)),
            ("inspect command", command_text("network", "inspect", safe_text(network.name))),
            ("run command", command_text("run", "--network", safe_text(network.name), "IMAGE")),
        ]
    )


def _aligned(entries: Entries) -> Entries:
    width = max(len(words) for words, _value in entries) + 2
    return [(f"{words:<{width}}{value[:48]}", value) for words, value in entries if value]
