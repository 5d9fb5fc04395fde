"""Delete images: what goes, what stays, and whether it can be brought back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from textual.widget import Widget
from textual.widgets import Label

from app import short
from app.console.command_text import command_text
from app.console.dialogs.delete import DeleteDialog, counted, named
from app.console.dialogs.tick import Tick
from app.console.file_work import MOST_KEPT_BYTES
from core.model.display import safe_text
from core.model.ids import short_id
from core.model.image import Image


class DeleteImages(DeleteDialog):
    """Images by all their names, or some names of images that have more."""

    def __init__(self, images: Sequence[Image], *, only: Sequence[str] = ()) -> None:
        """Args: only: these names go and no others."""
        super().__init__()
        self._images = list(images)
        self._keys = list(only) or [key for image in images for key in (image.tags or (image.id,))]

    def title_words(self) -> str:
        return f" Delete {counted(len(self._images), 'image')} "

    @property
    def _going(self) -> list[Image]:
        """Those that lose their last name."""
        return [image for image in self._images if set(image.tags) <= set(self._keys)]

    def fields(self) -> Iterable[Widget]:
        store, going = self.seat.store, self._going
        yield Label(named(key if "sha256:" not in key else short_id(key) for key in self._keys), markup=False)
        names = [
            store.containers[key].name if key in store.containers else short_id(key)
            for image in going
            for key in image.used_by
        ]
        if names:
            yield Label(f"Used by {named(names)}.", markup=False, classes="words")
        yield Label(self._what_goes(going), markup=False, classes="quiet")
        size_bytes = sum(image.size_bytes for image in going)
        if going and size_bytes <= MOST_KEPT_BYTES:
            yield Tick("keep it aside, so that U brings it back while this console is open", True, id="keep")
        yield Tick("even if a stopped container uses it (--force)", id="force")

    def _what_goes(self, going: Sequence[Image]) -> str:
        if not going:
            return "Only the name goes: the image has others."
        there = Counter(chain for image in self.seat.store.images for chain in set(image.layers))
        lost = Counter(chain for image in going for chain in set(image.layers))
        alone = sum(1 for chain, count in lost.items() if there[chain] == count)
        shared = len(lost) - alone
        stay = (
            f", {counted(shared, 'layer')} that other images share {'stay' if shared != 1 else 'stays'}"
            if shared
            else ""
        )
        size = short.size(sum(image.size_bytes for image in going))
        return f"{size} in {counted(len(lost), 'layer')}: {alone} {'go' if alone != 1 else 'goes'}{stay}."

    def _is(self, name: str) -> bool:
        return any(box.value for box in self.query(f"#{name}").results(Tick))

    def command(self) -> str:
        return safe_text(command_text("rmi", *(["-f"] if self._is("force") else []), *self._keys))

    def act(self) -> None:
        self.seat.actions.images.remove(self._keys, self.command(), force=self._is("force"), keep=self._is("keep"))
        self.dismiss(True)
