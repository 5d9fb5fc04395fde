"""Every document of a data root, read once. A broken one is noted with the reason, never raised."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from core.errors import EngineError, Unsupported
from core.images.store import ImageRecord, RefRecord
from core.model.container import ContainerConfig
from core.model.ids import is_full_id
from core.state.documents import read_struct
from core.state.leases import survey_leases
from core.state.paths import DIRECTORIES, Roots

T = TypeVar("T")


class Broken:
    """A document that can't be read. `is_newer`: a later version wrote it, so it is not for us to touch."""

    def __init__(self, path: Path, why: str, *, is_newer: bool = False) -> None:
        self.path = path
        self.why = why
        self.is_newer = is_newer

    @property
    def sentence(self) -> str:
        """What is wrong, the file named."""
        return self.why if self.path.name in self.why else f"{self.path.name}: {self.why}"


class Survey:
    """What the documents say. Strangers are names where only ours belong."""

    def __init__(self, roots: Roots) -> None:
        self.roots = roots
        self.missing_directories = [name for name in DIRECTORIES if not (roots.data / name).is_dir()]
        self.images: dict[str, ImageRecord] = {}
        self.broken_images: dict[str, Broken] = {}
        self.references: dict[str, RefRecord] = {}
        """By file name."""
        self.broken_references: dict[str, Broken] = {}
        self.containers: dict[str, ContainerConfig] = {}
        self.broken_containers: dict[str, Broken] = {}
        self.strangers: list[Path] = []
        self.holds: set[str] = set()
        self.dead_leases: list[Path] = []
        if self.missing_directories:
            return  # to be made first: then there is something to look into
        self.holds, self.dead_leases = survey_leases(roots.leases)
        self._read_images()
        self._read_references()
        self._read_containers()

    @property
    def is_whole(self) -> bool:
        """Whether all that could need a layer or a blob has been read, so that what nothing needs can be told."""
        dangling = any(record.image_id not in self.images for record in self.references.values())
        return not (dangling or self.broken_images or self.broken_references or self.broken_containers)

    def users_of(self, chain: str) -> list[str]:
        """Ids of containers that stand on a layer."""
        return [container_id for container_id, config in self.containers.items() if chain in config.layers]

    def _read_images(self) -> None:
        for entry in _entries(self.roots.images):
            digits, ending = entry.name[:-5], entry.name[-5:]
            if ending != ".json" or not is_full_id(digits):
                self._note_stranger(entry)
                continue
            image_id = f"sha256:{digits}"
            record = self._read(entry, "image", ImageRecord, self.broken_images, image_id)
            if record is None:
                continue
            if record.id != image_id:
                self.broken_images[image_id] = Broken(entry, f"it names another image, {record.id[:100]}")
            else:
                self.images[image_id] = record

    def _read_references(self) -> None:
        for entry in _entries(self.roots.refs):
            if entry.name == ".lock":
                continue
            if not entry.name.endswith(".json"):
                self._note_stranger(entry)
                continue
            record = self._read(entry, "ref", RefRecord, self.broken_references, entry.name)
            if record is None:
                continue
            if self.roots.ref(record.reference).name != entry.name:
                self.broken_references[entry.name] = Broken(entry, f"it holds another one, {record.reference[:200]}")
            elif not is_full_id(record.image_id.removeprefix("sha256:")):
                self.broken_references[entry.name] = Broken(entry, f"it names no image but {record.image_id[:100]!r}")
            else:
                self.references[entry.name] = record

    def _read_containers(self) -> None:
        for entry in _entries(self.roots.containers):
            if not is_full_id(entry.name) or not entry.is_dir() or entry.is_symlink():
                if not entry.name.startswith("."):
                    self._note_stranger(entry)
                continue
            path = entry / "config.json"
            config = self._read(path, "container.config", ContainerConfig, self.broken_containers, entry.name)
            if config is not None and config.id != entry.name:
                self.broken_containers[entry.name] = Broken(path, f"it is the config of {config.id[:100]}")
            elif config is not None:
                self.containers[entry.name] = config

    def _read(self, path: Path, kind: str, struct: type[T], broken: dict[str, Broken], key: str) -> T | None:
        found, problem = read_or_note(path, lambda: read_struct(path, kind, struct))
        if problem is not None:
            broken[key] = problem
        return found

    def _note_stranger(self, path: Path) -> None:
        if not path.name.endswith(".tmp"):
            self.strangers.append(path)


def read_or_note(path: Path, read: Callable[[], T]) -> tuple[T | None, Broken | None]:
    """Read a document; what keeps it from being read instead."""
    try:
        return read(), None
    except FileNotFoundError:
        return None, Broken(path, f"{path.name} is missing")
    except Unsupported as error:
        return None, Broken(path, error.message, is_newer=True)
    except EngineError as error:
        return None, Broken(path, error.message.removeprefix(f"{path} is damaged: "))


def _entries(directory: Path) -> list[Path]:
    return [directory / name for name in sorted(os.listdir(directory))]
