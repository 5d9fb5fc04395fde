"""Networks: their documents and names, who holds what of them, and what of them stands on the host."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from core.engine.fsck.survey import Broken, Survey, read_or_note
from core.engine.fsck.trouble import Trouble, damage, leftover, loss
from core.engine.joining import Joining, host_end
from core.engine.records import ContainerRecords
from core.errors import EngineError
from core.linux.files import is_locked
from core.model.container import Running
from core.model.ids import is_full_id, short_id
from core.model.network import Network
from core.network import bridge
from core.network.store import BUILDING, NetworkStore
from core.state.damaged import set_aside
from core.state.trash import discard


class NetworkCheck:
    """One look at all networks of a data root."""

    def __init__(self, survey: Survey, records: ContainerRecords, firewall: str) -> None:
        self._roots = survey.roots
        self._records = records
        self._store = NetworkStore(survey.roots)
        self._joining = Joining(survey.roots, self._store, records, firewall)
        self._networks: dict[str, Network] = {}

    def troubles(self) -> Iterator[Trouble]:
        """Everything found."""
        yield from self._documents()
        yield from self._names()
        for network in self._networks.values():
            yield from self._claims(network)
        yield from self._host()
        yield from self._firewall()

    def _documents(self) -> Iterator[Trouble]:
        for name in sorted(os.listdir(self._roots.networks)):
            path = self._roots.networks / name
            if name in ("names", ".lock"):
                continue
            if name.startswith(BUILDING):
                yield leftover(
                    "network", name.removeprefix(BUILDING)[:12], "it is half-made", partial(self._discard, path)
                )
            elif not is_full_id(name):
                why = "it is nothing of this engine's"
                yield damage("file", str(path), why, "move it to damaged/", partial(set_aside, self._roots, path, why))
            else:
                network, problem = read_or_note(path / "network.json", partial(self._store.load, name))
                if network is not None:
                    self._networks[name] = network
                elif problem is not None:
                    yield self._broken(path, problem)

    def _discard(self, path: Path) -> None:
        discard(self._roots, path)

    def _broken(self, path: Path, problem: Broken) -> Trouble:
        key, why = short_id(path.name), problem.sentence
        if problem.is_newer:
            return loss("network", key, why, "use that version")
        return damage("network", key, why, "move it to damaged/", partial(set_aside, self._roots, path, why))

    def _names(self) -> Iterator[Trouble]:
        directory = self._roots.networks / "names"
        named = set()
        for name in sorted(os.listdir(directory)):
            target = self._store.target(name)
            if target in self._networks and self._networks[target].name == name:
                named.add(target)
            else:
                path = directory / name
                yield leftover("name", name, "its network is gone", partial(path.unlink, missing_ok=True))
        for network_id in sorted(self._networks.keys() - named):
            network = self._networks[network_id]
            yield damage(
                "network",
                network.name,
                "its name does not lead to it",
                "give it its name",
                partial(self._store.take_name, network),
            )

    def _claims(self, network: Network) -> Iterator[Trouble]:
        for container_id in sorted(self._store.claimants(network.id)):
            if not self._joining.is_on(container_id, network.id) and not self._is_at_work(container_id):
                yield leftover(
                    "address",
                    f"{short_id(container_id)} on {network.name}",
                    "its container does not run",
                    partial(self._joining.release_dead, network),
                    "give it back",
                )

    def _is_at_work(self, container_id: str) -> bool:
        return is_locked(self._roots.container(container_id) / "lock")

    def _host(self) -> Iterator[Trouble]:
        """Bridges, and interfaces on them."""
        try:
            links = bridge.links()
        except EngineError:
            return  # doctor says why
        prefix = f"{self._roots.tag} "
        ours = {network.interface: network for network in self._networks.values() if network.driver == "bridge"}
        wanted = {name: self._ends(network) for name, network in ours.items()}
        numbers = {}
        for link in links:
            if link.kind == "bridge" and link.name in ours:
                numbers[link.number] = link.name
            elif link.kind == "bridge" and link.alias.startswith(prefix):
                remove = partial(bridge.remove_bridge, link.name)
                yield leftover("bridge", link.name, "its network is no more", remove, "remove it")
        for link in links:
            if link.kind == "veth" and link.master in numbers and link.name not in wanted[numbers[link.master]]:
                remove = partial(bridge.remove_link, link.name)
                yield leftover("interface", link.name, "its container is not on this network", remove, "remove it")
        yield from self._rules([network for name, network in ours.items() if name in numbers.values()])
        for name, network in ours.items():
            if wanted[name] and name not in numbers.values():
                yield loss(
                    "bridge",
                    name,
                    f"it is gone, and containers on network {network.name} can't reach anything",
                    "restart them",
                )

    def _firewall(self) -> Iterator[Trouble]:
        """Rules for bridges of no network, and ports that lead to an address that nobody has."""
        tag, wall = self._roots.tag, self._joining.wall
        try:
            ruled, published = wall.bridges(tag), wall.published(tag)
        except OSError:
            return  # doctor says why
        known = {network.interface for network in self._networks.values()}
        for name in sorted(ruled - known):
            gone = Network(name=name, id="", created_ns=0, driver="bridge", interface=name)
            remove = partial(wall.remove_network, tag, gone)
            yield leftover(
                "firewall", name, "rules for it are there, and its network is no more", remove, "remove them"
            )
        addresses = {
            address
            for container in self._records.all()
            if isinstance(container.state, Running)
            for endpoint in container.state.endpoints
            for address in (endpoint.ipv4, endpoint.ipv6)
        }
        for mapping in published:
            if mapping.address not in addresses:
                where = f"{mapping.host_ip}:{mapping.host_port}/{mapping.protocol}"
                remove = partial(wall.unpublish, tag, [mapping])
                yield leftover("port", where, "it leads to a container that does not run", remove, "unpublish it")

    def _rules(self, standing: Sequence[Network]) -> Iterator[Trouble]:
        """Of networks whose bridges stand and have containers; on others the next start makes what is missing."""
        for network in standing:
            if not self._ends(network):
                continue
            try:
                if self._joining.has_rules(network):
                    continue
            except OSError:
                return  # doctor says why
            yield damage(
                "network",
                network.name,
                "its firewall rules are missing: somebody has flushed them",
                "make them again",
                partial(self._joining.raise_network, network),
            )

    def _ends(self, network: Network) -> set[str]:
        """Interfaces that belong on its bridge: of containers that run, or are just starting or leaving."""
        found = set()
        for container_id in self._store.claimants(network.id):
            found.add(host_end(container_id, network.id))
        for container in self._records.all():
            if isinstance(container.state, Running):
                found |= {each.host_interface for each in container.state.endpoints if each.network_id == network.id}
        return found
