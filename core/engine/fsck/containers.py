"""Containers and their names: documents, directories, the link between the two."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from core.engine.fsck.survey import Broken, Survey, read_or_note
from core.engine.fsck.trouble import Trouble, damage, leftover, loss
from core.engine.name_files import write_own_files
from core.engine.records import BUILDING, ContainerRecords
from core.errors import wrapped
from core.linux.files import is_locked
from core.model.container import ContainerConfig, ContainerSettings, Exited
from core.model.ids import is_full_id, is_name, short_id
from core.state.damaged import set_aside
from core.state.trash import discard
from core.storage.overlay import prepare_upper

_STATE_LOST = "its state was damaged, so what became of it is not known"
_LOST_CODE = 255
_OWN_FILES = ("hostname", "hosts", "resolv.conf")


class ContainerCheck:
    """One look at all containers."""

    def __init__(self, survey: Survey, records: ContainerRecords) -> None:
        self._survey = survey
        self._roots = survey.roots
        self._records = records
        self._links = self._read_links()

    def troubles(self) -> Iterator[Trouble]:
        """Everything found."""
        for container_id, broken in self._survey.broken_containers.items():
            yield self._unreadable(container_id, broken)
        for container_id, config in self._survey.containers.items():
            yield from self._container(container_id, config)
        yield from self._half_made()
        yield from self._stray_names()

    def _read_links(self) -> dict[str, str]:
        """Name to container id, of every link that has the form of one."""
        links = {}
        for name in sorted(os.listdir(self._roots.names)):
            try:
                target = os.readlink(self._roots.names / name)
            except OSError:
                continue
            if os.path.dirname(target) == "../containers" and is_full_id(os.path.basename(target)):
                links[name] = os.path.basename(target)
        return links

    def _locked(self, container_id: str, deed: Callable[[], object]) -> Callable[[], None]:
        """A deed under the container's lock, and only while no monitor owns its files."""

        def mend() -> None:
            with self._records.lock(container_id, "fsck"):
                deed()

        return mend

    def _unreadable(self, container_id: str, broken: Broken) -> Trouble:
        key = self._name_of(container_id)
        if broken.is_newer:
            return loss("container", key, broken.why, "use the newer version")
        if is_locked(self._roots.alive_lock(container_id)):
            return loss("container", key, f"{broken.sentence}, and it still runs", "stop it, then check again")
        directory = self._roots.container(container_id)

        def mend() -> None:
            set_aside(self._roots, directory, broken.why)
            for name, target in self._links.items():
                if target == container_id:
                    self._records.free_name(name, container_id)

        return damage("container", key, broken.sentence, "move it to damaged/ with all its files", mend)

    def _name_of(self, container_id: str) -> str:
        return next((name for name, target in self._links.items() if target == container_id), short_id(container_id))

    def _container(self, container_id: str, config: ContainerConfig) -> Iterator[Trouble]:
        directory = self._roots.container(container_id)
        settings, broken = read_or_note(
            directory / "settings.json",
            lambda: self._records.read_settings(directory, config),
        )
        if broken is not None:
            yield self._settings(container_id, config, broken)
        key = settings.name if settings else self._name_of(container_id)
        yield from self._state(container_id, key)
        yield from self._directories(container_id, config, key)
        if settings is not None:
            yield from self._name(container_id, settings.name)

    def _settings(self, container_id: str, config: ContainerConfig, broken: Broken) -> Trouble:
        """The limits in the wish are those it was created with; later changes to them are lost."""
        key = self._name_of(container_id)
        why = broken.sentence
        if broken.is_newer:
            return loss("container", key, why, "use the newer version")
        path = self._roots.container(container_id) / "settings.json"
        name = key if is_name(key) else container_id[:12]

        def deed() -> None:
            set_aside(self._roots, path, broken.why)
            wish = config.spec
            created = config.settings or ContainerSettings(name=name, limits=wish.limits, restart=wish.restart)
            self._records.write_settings(container_id, msgspec.structs.replace(created, name=name))

        repair = "write it anew with the name and the limits it was created with"
        return damage("container", key, why, repair, self._locked(container_id, deed))

    def _state(self, container_id: str, key: str) -> Iterator[Trouble]:
        path = self._roots.container(container_id) / "state.json"

        _, broken = read_or_note(path, lambda: self._records.read_state(path.parent))
        if broken is None:
            return
        why = broken.sentence
        if broken.is_newer:
            yield loss("container", key, why, "use the newer version")
            return
        if is_locked(self._roots.alive_lock(container_id)):
            yield loss("container", key, f"{why}; its monitor lives", "stop it: the monitor then writes its state anew")
            return

        def deed() -> None:
            set_aside(self._roots, path, broken.why)
            lost = Exited(exit_code=_LOST_CODE, started_ns=0, finished_ns=time.time_ns(), error=_STATE_LOST)
            self._records.write_state(container_id, lost)

        repair = f"note it as exited ({_LOST_CODE}), for nobody knows"
        yield damage("container", key, why, repair, self._locked(container_id, deed))

    def _directories(self, container_id: str, config: ContainerConfig, key: str) -> Iterator[Trouble]:
        directory = self._roots.container(container_id)
        missing = [name for name in ("upper", "work") if not (directory / name).is_dir()]
        if missing:
            what = "its changes to the image (upper/) are" if "upper" in missing else "its work directory is"
            repair = "make an empty one; what it had written is gone" if "upper" in missing else "make it"
            yield damage(
                "container",
                key,
                f"{what} missing",
                repair,
                self._locked(container_id, lambda: self._make_directories(config, directory, missing)),
            )
        own = [name for name in _OWN_FILES if not (directory / name).is_file() or (directory / name).is_symlink()]
        if own:

            def deed() -> None:
                for name in own:
                    set_aside(self._roots, directory / name, "it was no plain file")
                write_own_files(
                    directory,
                    config.hostname,
                    config.spec.network,
                    dns=config.spec.dns,
                    extra_hosts=config.spec.extra_hosts,
                    names=own,
                )

            yield damage("container", key, f"{', '.join(own)} missing", "write anew", self._locked(container_id, deed))

    def _make_directories(self, config: ContainerConfig, directory: Path, missing: list[str]) -> None:
        for name in missing:
            set_aside(self._roots, directory / name, "it was no directory")
        prepare_upper(self._roots, config.layers, directory, only=missing)

    def _name(self, container_id: str, name: str) -> Iterator[Trouble]:
        key = name if is_name(name) else short_id(container_id)
        if is_name(name) and self._links.get(name) == container_id:
            for other, target in self._links.items():
                if target == container_id and other != name:
                    yield leftover(
                        "name",
                        other,
                        f"it leads to container {name}, which is called otherwise",
                        partial(self._records.free_name, other, container_id),
                    )
            return
        holder = self._links.get(name, "")
        is_taken = holder in self._survey.containers or not is_name(name)
        others = [other for other, target in self._links.items() if target == container_id]
        if others:
            new = others[0]  # a rename that was cut off after the link
            repair = f"call it {new}, as its link does"
        elif is_taken:
            new = f"{name}-{container_id[:12]}" if is_name(name) else container_id[:12]
            repair = f"call it {new}"
        else:
            new, repair = name, "make the link"
        why = f"its name belongs to container {short_id(holder)}" if holder else "no name leads to it"
        if not is_name(name):
            why = f"{name[:100]!r} is no name for a container"

        def deed() -> None:
            container = self._records.load(container_id)
            link = self._roots.names / new
            if os.path.lexists(link) and not others:
                set_aside(self._roots, link, "it stood where the name of a container belongs")
            if not others:
                os.symlink(f"../containers/{container_id}", link)
            if new != container.settings.name:
                self._records.write_settings(container_id, msgspec.structs.replace(container.settings, name=new))

        yield damage("container", key, why, repair, self._locked(container_id, deed))

    def _half_made(self) -> Iterator[Trouble]:
        for name in sorted(os.listdir(self._roots.containers)):
            if not name.startswith("."):
                continue
            if name.startswith(BUILDING) and f"container {name.removeprefix(BUILDING)}" in self._survey.holds:
                continue
            path = self._roots.containers / name
            yield leftover("container", name, "it is half-made", partial(discard, self._roots, path))

    def _stray_names(self) -> Iterator[Trouble]:
        for name in sorted(os.listdir(self._roots.names)):
            target = self._links.get(name)
            if target is None:
                yield damage(
                    "name",
                    name,
                    "it is no link to a container",
                    "move it to damaged/",
                    partial(self._set_aside_stray, name),
                )
            elif not self._roots.container(target).exists() and f"container {target}" not in self._survey.holds:
                yield leftover(
                    "name",
                    name,
                    f"container {short_id(target)} is no more",
                    partial(self._free, name, target),
                )

    def _set_aside_stray(self, name: str) -> None:
        if name not in self._read_links():  # giving a container its name back may have made room already
            set_aside(self._roots, self._roots.names / name, "it is no link to a container")

    def _free(self, name: str, target: str) -> None:
        try:
            self._records.free_name(name, target)
        except OSError as error:
            raise wrapped(error, "delete", self._roots.names / name) from error
