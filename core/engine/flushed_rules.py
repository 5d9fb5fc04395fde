"""After somebody has flushed the host's rules: what the other networks have lost, and what was said of containers."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from core.engine.attachments import ask
from core.engine.records import ContainerRecords
from core.errors import EngineError
from core.model.container import Container, Running
from core.model.network import Network
from core.network import bridge
from core.network.firewall import Firewall
from core.network.store import NetworkStore
from core.state.paths import Roots

_ASK_S = 2.0
"""A monitor that does not answer by then is stopped; its container is in the rules again with its next start."""


def restore(
    roots: Roots,
    store: NetworkStore,
    records: ContainerRecords,
    wall: Firewall,
    *,
    made: Network,
    known: Collection[str],
) -> None:
    """Make the rules of all networks whose bridges stand; ports lead to their containers again, and guards hold them.

    Args: made: the one whose rules have just been made. known: bridges that there were rules for before.
    """
    restored = {made.id}
    for network in store.all():
        if network.driver != "bridge" or network.id == made.id or network.interface in known:
            continue
        with suppress(EngineError, OSError), store.lock(network, "restore its rules"):
            if bridge.stands(roots.tag, network):
                wall.add_network(roots.tag, network)
                restored.add(network.id)
    for container in records.all():
        state = container.state
        if isinstance(state, Running) and restored & {each.network_id for each in state.endpoints}:
            _tell_monitor(roots, container)


def _tell_monitor(roots: Roots, container: Container) -> None:
    """It writes what concerns its container: it alone knows for how long."""
    with suppress(EngineError):
        path = roots.monitor_socket(container.id)
        connection, _ = ask(path, {"op": "rules"}, timeout_s=_ASK_S, whose=f"container {container.name}")
        connection.close()
