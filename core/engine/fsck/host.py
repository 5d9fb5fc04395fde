"""What the kernel and the run root still hold of containers that don't run, or are no more."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from core.cgroups import driver
from core.engine.fsck.survey import Survey
from core.engine.fsck.trouble import Trouble, damage, leftover, loss
from core.engine.records import ContainerRecords
from core.errors import EngineError
from core.linux import procfs
from core.linux.files import is_locked
from core.model.container import Running
from core.model.ids import is_full_id, short_id
from core.state.trash import discard_elsewhere

_OCTAL = re.compile(r"\\([0-7]{3})")


class HostCheck:
    """One look at the run root, the control groups and the mounts."""

    def __init__(self, survey: Survey, records: ContainerRecords) -> None:
        self._survey = survey
        self._roots = survey.roots
        self._records = records

    def troubles(self) -> Iterator[Trouble]:
        """Everything found."""
        yield from self._runtime()
        yield from self._groups()
        yield from self._mounts()

    def _runtime(self) -> Iterator[Trouble]:
        directory = self._roots.run / "c"
        known = {container_id[:16] for container_id in os.listdir(self._roots.containers)}
        for name in sorted(os.listdir(directory)) if directory.is_dir() else ():
            if name in known:
                continue
            if is_locked(directory / name / "alive.lock"):
                yield loss("monitor", name, "it runs, and its container is no more", "it ends with its last process")
                continue
            yield leftover(
                "runtime",
                name,
                "its container is no more",
                partial(discard_elsewhere, directory, name),
            )

    def _groups(self) -> Iterator[Trouble]:
        hierarchies = driver.find_hierarchies()
        for name in sorted(driver.group_names(hierarchies, self._roots.tag)):
            if not is_full_id(name) or self._may_run(name):
                continue
            group = driver.choose(hierarchies, f"{self._roots.tag}/{name}")
            members = group.processes()
            if members:
                pids = ", ".join(map(str, members[:5])) + (" …" if len(members) > 5 else "")
                yield damage(
                    "cgroup",
                    short_id(name),
                    f"processes still run in it ({pids}), and its container does not",
                    "kill them and remove it",
                    group.remove,
                )
            else:
                yield leftover("cgroup", short_id(name), "its container does not run", group.remove, "remove it")

    def _may_run(self, container_id: str) -> bool:
        """Running, being started, or being stopped."""
        if is_locked(self._roots.alive_lock(container_id)):
            return True
        if is_locked(self._roots.container(container_id) / "lock"):
            return True
        try:
            return isinstance(self._records.load(container_id).state, Running)
        except EngineError:
            return False

    def _mounts(self) -> Iterator[Trouble]:
        """This engine mounts nothing outside containers: whatever hangs here is somebody else's doing."""
        places = [self._roots.containers, self._roots.layers, self._roots.trash, self._roots.run / "c"]
        for point in procfs.mount_points():
            path = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), point))
            if any(place in path.parents for place in places):
                yield loss("mount", str(path), "something is mounted here", f"umount {path}")
