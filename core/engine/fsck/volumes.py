"""Volumes, and whether every one that a container mounts is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from core.engine.fsck.survey import Survey, read_or_note
from core.engine.fsck.trouble import Trouble, damage, loss
from core.engine.volumes import POPULATING, EngineVolumes, empty_directory
from core.errors import wrapped
from core.linux.files import is_locked
from core.model.ids import is_name, short_id
from core.model.volume import Volume
from core.state.damaged import set_aside
from core.state.documents import read_struct, write_struct
from core.state.locks import Rank, locked


class VolumeCheck:
    """One look at all volumes."""

    def __init__(self, survey: Survey, volumes: EngineVolumes) -> None:
        self._survey = survey
        self._roots = survey.roots
        self._volumes = volumes

    def troubles(self) -> Iterator[Trouble]:
        """Everything found."""
        anonymous = {
            mount.name
            for config in self._survey.containers.values()
            for mount in config.mounts
            if mount.kind == "volume" and mount.anonymous
        }
        names = sorted(os.listdir(self._roots.volumes))
        for name in names:
            directory = self._roots.volumes / name
            if not is_name(name) or not directory.is_dir() or directory.is_symlink():
                why = "this is no volume"
                yield damage(
                    "volume",
                    name,
                    why,
                    "move it to damaged/",
                    partial(set_aside, self._roots, directory, why),
                )
            else:
                yield from self._volume(name, directory, anonymous=name in anonymous)
        yield from self._missing(set(names))

    def _volume(self, name: str, directory: Path, *, anonymous: bool) -> Iterator[Trouble]:
        path = directory / "volume.json"
        volume, broken = read_or_note(path, lambda: read_struct(path, "volume", Volume))
        if volume is not None and volume.name != name:
            why = f"volume.json is of another volume, {volume.name[:100]}"
            yield self._rewrite(name, directory, why, anonymous)
        elif broken is not None and broken.is_newer:
            yield loss("volume", name, broken.why, "use the newer version")
        elif broken is not None:
            yield self._rewrite(name, directory, broken.sentence, anonymous)
        data = directory / "_data"
        if not data.is_dir() or data.is_symlink():
            yield damage(
                "volume",
                name,
                "its files (_data) are missing",
                "make an empty directory; what was in it is gone",
                lambda: self._make_data(data),
            )
        elif (directory / POPULATING).exists() and not is_locked(directory / "lock"):
            yield damage(
                "volume",
                name,
                "whoever filled it with an image's files died half-way",
                "take these copies away; the next container fills it again",
                lambda: self._empty(name, directory),
            )

    def _rewrite(self, name: str, directory: Path, why: str, anonymous: bool) -> Trouble:
        path = directory / "volume.json"

        def mend() -> None:
            with locked(directory / "lock", Rank.VOLUME, what=f"volume {name}", purpose="fsck"):
                set_aside(self._roots, path, why)
                created_ns = os.stat(directory).st_ctime_ns
                write_struct(path, "volume", Volume(name=name, created_ns=created_ns, anonymous=anonymous))

        return damage("volume", name, why, "write it anew, without labels; its files are not touched", mend)

    def _make_data(self, data: Path) -> None:
        set_aside(self._roots, data, "it was no directory")
        try:
            data.mkdir()
            data.chmod(0o755)
        except OSError as error:
            raise wrapped(error, "make", data) from error

    def _empty(self, name: str, directory: Path) -> None:
        with locked(directory / "lock", Rank.VOLUME, what=f"volume {name}", purpose="fsck"):
            if (directory / POPULATING).exists():
                empty_directory(directory / "_data")
                (directory / POPULATING).unlink()

    def _missing(self, names: set[str]) -> Iterator[Trouble]:
        asked: set[str] = set()
        for container_id, config in self._survey.containers.items():
            for mount in config.mounts:
                if mount.kind != "volume" or mount.name in names | asked:
                    continue
                asked.add(mount.name)
                yield damage(
                    "volume",
                    mount.name,
                    f"it is missing, and container {short_id(container_id)} mounts it",
                    "make an empty one; what was in it is gone",
                    partial(self._volumes.create, mount.name),
                )
