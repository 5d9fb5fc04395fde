"""Around a boot: what runs is stopped before it, and started after it if its policy says so; and the unit for both.

`always` starts whatever has ever run; `unless-stopped` leaves out what a person had stopped.
"""

from __future__ import annotations

from pathlib import Path

from core import about
from core.engine.containers import EngineContainers
from core.errors import EngineError
from core.model.container import Container, Exited
from core.model.restart import RestartPolicy, Restored
from core.state.paths import Roots

_UNITS = Path("/etc/systemd/system")
_TEMPLATE = Path(__file__).with_name(f"{about.NAME}-restore.service")
_AT_ONCE = 64
_AFTER_BOOT = ("always", "unless-stopped")


def restore(containers: EngineContainers) -> list[Restored]:
    """Start what should run, oldest first; one that fails keeps no other from being started."""
    restored = []
    for container in sorted(containers.all(), key=lambda found: found.config.created_ns):
        if not _is_due(container):
            continue
        error = ""
        try:
            containers.start(container.id)
        except EngineError as failure:
            error = failure.message
        restored.append(Restored(id=container.id, name=container.name, error=error))
    return restored


def stop_all(containers: EngineContainers) -> list[Restored]:
    """The host shuts down: everything that runs gets its stop signal and its time, all at once."""
    from concurrent.futures import ThreadPoolExecutor

    running = containers.list()
    if not running:
        return []

    def stop(container: Container) -> Restored:
        error = ""
        try:
            containers.stop(container.id, by="shutdown")
        except EngineError as failure:
            error = failure.message
        return Restored(id=container.id, name=container.name, error=error)

    with ThreadPoolExecutor(min(len(running), _AT_ONCE)) as pool:
        return list(pool.map(stop, running))


def _is_due(container: Container) -> bool:
    match container.state:
        case Exited(stopped_by_hand=by_hand):
            name = container.settings.restart.name
            return name == "always" or (name == "unless-stopped" and not by_hand)
    return False


def unit(roots: Roots, program: str) -> tuple[str, str]:
    """The systemd unit that runs `restore` at boot: its file's name, and its text.

    Args: program: how this program is called, with the options that name other roots.
    """
    name = _unit_name(roots)
    return name, _TEMPLATE.read_text(encoding="utf-8").format(name=name, program=program, root=roots.data)


def _unit_name(roots: Roots) -> str:
    """A root of its own has a unit of its own."""
    ending = "" if str(roots.data) == about.DATA_ROOT else f"-{roots.identity[:8]}"
    return f"{about.NAME}-restore{ending}.service"


def missing_unit(roots: Roots, policy: RestartPolicy) -> str:
    """What a person who wants a container after a reboot must be told; empty when all is well."""
    name = _unit_name(roots)
    if policy.name not in _AFTER_BOOT or any(_UNITS.glob(f"*.wants/{name}")):
        return ""
    return (
        f"the container will not be started after a reboot: the unit {name} is not installed"
        f" ({about.NAME} restore --help tells how)"
    )
