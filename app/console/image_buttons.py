"""The buttons under an image: what can be done, and the command that each stands for. Pure."""

from __future__ import annotations

from app.console.command_text import command_text
from app.console.keymap import PLACES, display
from app.console.widgets.button_bar import BarButton
from core.model.container import Container
from core.model.display import safe_text


def for_image(name: str, container: Container | None) -> list[BarButton]:
    """Args: name: the image's. container: the one that Commit is about, if it is clear which."""
    shown = safe_text(name)
    who = safe_text(container.name) if container is not None else ""
    return [
        _button("run", "Run…", command_text("run", "-it", shown)),
        _button("tag", "Tag…", command_text("tag", shown, "NAME")),
        _button(
            "commit", f"Commit {who[:16]}…" if who else "Commit…", command_text("commit", who or "CONTAINER", "NAME")
        ),
        _button("save", "Save…", command_text("save", "-o", "FILE", shown)),
        _button("load", "Load…", command_text("load", "-i", "FILE")),
        _button("push", "Push…", command_text("push", shown)),
        _button("pull", "Pull…", command_text("pull", "NAME")),
        _button("compare", "Compare…", command_text("image", "diff", shown, "OTHER")),
        _button("squash", "Squash…", command_text("image", "squash", shown, "NAME")),
        _button("sbom", "SBOM…", command_text("image", "sbom", "--format", "spdx-json", shown)),
        _button("unpack", "Unpack…", command_text("image", "unpack", shown, "DIRECTORY")),
        _button("delete", "Delete…", command_text("rmi", shown)),
    ]


def _button(name: str, words: str, command: str) -> BarButton:
    key = next(key for key in PLACES["image"] if key.id == name)
    return BarButton(display(key.keys), words, key.action, command)
