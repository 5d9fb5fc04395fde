"""What a person wants of images → jobs: each shows the command it stands for, and says what became of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from app.console import image_work
from app.console.command_text import command_text
from app.console.jobs import Job
from app.console.store import Store
from core.backend import CommitWish
from core.errors import EngineError
from core.model.container import Container
from core.model.display import safe_text
from core.model.ids import short_id

if TYPE_CHECKING:
    from app.console.actions import Actions


class ImageActions:
    """Everything the console can do to images, and what was deleted of them."""

    def __init__(self, actions: Actions, store: Store) -> None:
        self._actions = actions
        self._store = store
        self._deleted: list[image_work.DeletedImages] = []

    def close(self) -> None:
        """Forget what could have been brought back."""
        for deleted in self._deleted:
            deleted.close()

    def commit(self, container: Container, wish: CommitWish, command: str) -> None:
        """Make an image of what a container has become."""
        self._actions.long(
            f"commit {safe_text(container.name)}",
            command,
            lambda job: self._actions.backend.images.commit(container.id, wish, job.report, job.cancel),
            lambda made: f"committed as {safe_text(wish.reference) or short_id(made)}",
            "images",
        )

    def save(self, keys: Sequence[str], path: Path, command: str, *, format: str = "docker-archive") -> None:
        """Write images to a file."""
        self._actions.long(
            f"save {safe_text(' '.join(keys))}",
            command,
            lambda job: image_work.save_images(self._actions.backend, keys, path, job, format=format),
            lambda _none: f"saved to {safe_text(str(path))}",
        )

    def load(self, path: Path) -> None:
        """Read images from a file or an OCI layout's directory."""
        self._actions.long(
            f"load {safe_text(path.name)}",
            command_text("load", "-i", str(path)),
            lambda job: image_work.load_images(self._actions.backend, path, job),
            lambda loaded: "loaded " + ", ".join(safe_text(one.reference or short_id(one.image_id)) for one in loaded),
            "images",
        )

    def squash(self, key: str, reference: str, command: str, *, base: str = "") -> None:
        """Make an image of one layer of it."""
        self._actions.long(
            f"squash {safe_text(key)}",
            command,
            lambda job: self._actions.backend.images.squash(key, reference, job.report, job.cancel, base=base),
            lambda made: f"squashed as {safe_text(reference) or short_id(made)}",
            "images",
        )

    def perform(self, words: Sequence[str], title: str, done: str) -> None:
        """Run a command that takes long and says nothing."""
        self._actions.long(
            title,
            command_text(*words),
            lambda job: image_work.perform(self._actions.backend, words, job),
            lambda _none: done,
        )

    def write_output(self, words: Sequence[str], path: Path, title: str, command: str) -> None:
        """Run a command with its output in a file."""
        self._actions.long(
            title,
            command,
            lambda job: image_work.write_output(self._actions.backend, words, path, job),
            lambda _none: f"written to {safe_text(str(path))}",
        )

    def starter(self, reference: str, then: Callable[[str], None] | None = None) -> None:
        """Make the starter image of this host's own tools."""
        self._actions.long(
            f"make {reference}",
            command_text("starter"),
            lambda job: self._actions.backend.images.starter(reference, job.report, job.cancel),
            lambda _id: f"{reference} is ready",
            "images",
            then=then,
        )

    def tag(self, key: str, reference: str) -> None:
        """Give an image one more name."""
        self._actions.do(
            lambda: self._actions.backend.images.tag(key, reference), f"tagged {safe_text(reference)}", "images"
        )

    def remove(self, keys: Sequence[str], command: str, *, force: bool, keep: bool) -> None:
        """Untag, and delete what nothing else needs; keep: for `undo`."""

        def done(kept: image_work.DeletedImages | None) -> str:
            if kept is not None:
                self._deleted.append(kept)
            return f"removed {safe_text(', '.join(keys))}" + (": U brings it back" if kept is not None else "")

        self._actions.long(
            f"delete {safe_text(keys[0])}" + (f" and {len(keys) - 1} more" if len(keys) > 1 else ""),
            command,
            lambda job: image_work.delete_images(self._actions.backend, keys, job, force=force, keep=keep),
            done,
            "images",
        )

    def undo(self) -> None:
        """Bring back the images that were deleted last."""
        if not self._deleted:
            self._store.put_notice("no image was deleted here that could come back", "warn")
            return
        deleted = self._deleted.pop()

        def work(job: Job) -> None:
            try:
                deleted.restore(self._actions.backend, job.report, job.cancel)
            except EngineError:
                self._deleted.append(deleted)
                raise
            deleted.close()

        names = safe_text(", ".join(deleted.names))
        self._actions.long(f"bring back {names}", "", work, lambda _none: f"{names} is back", "images")
