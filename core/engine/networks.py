"""Networks, as the seam offers them.

A network is a document; its bridge is made with it, and again by the first start after a boot.
The default one is made when it is first needed. What starts and changes need is imported by them alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from core.engine.records import ContainerRecords
from core.errors import AlreadyExists, EngineError, InUse, InvalidInput, NoSpace, NotFound, WrongState
from core.linux.checkpoints import checkpoint
from core.model.container import Container, ContainerSpec, Restarting, Running
from core.model.isolation import joined_container
from core.model.network import HOST, NONE, PREDEFINED, EndpointWish, Network, NetworkSpec, PathStep, Subnet
from core.model.ports import PROTOCOLS
from core.model.pruning import EVERYTHING, PruneFilter
from core.state import journal
from core.state.paths import Roots

if TYPE_CHECKING:
    from core.engine.joining import Joining
    from core.engine.memberships import Claimed, Memberships
    from core.network.store import NetworkStore

_DRIVERS = ("bridge", "macvlan")
_PARENT, _MTU, _BRIDGE_NAME = "parent", "com.docker.network.driver.mtu", "com.docker.network.bridge.name"


class EngineNetworks:
    """core.backend.Networks over one data root. Args: firewall: the kind that is wanted; empty: the best there is."""

    def __init__(self, roots: Roots, records: ContainerRecords, firewall: str = "") -> None:
        self._roots = roots
        self._records = records
        self.firewall = firewall
        self.tell: Callable[[Container, dict[str, Any]], None]
        """Asks a container's monitor."""

    @cached_property
    def _store(self) -> NetworkStore:
        from core.network.store import NetworkStore

        return NetworkStore(self._roots)

    @cached_property
    def _joining(self) -> Joining:
        from core.engine.joining import Joining

        return Joining(self._roots, self._store, self._records, self.firewall)

    @property
    def firewall_name(self) -> str:
        """What keeps networks apart here: nftables, iptables or none."""
        return self._joining.wall.name

    @cached_property
    def _memberships(self) -> Memberships:
        from core.engine.memberships import Memberships

        return Memberships(self._roots, self._store, self._records, self._joining, self.tell)

    # ── networks ───────────────────────────────────────────────────────────────────────────────

    def create(self, spec: NetworkSpec) -> Network:
        """Make one; what the wish leaves open is chosen."""
        from core.engine.network_wishes import check_network

        if spec.name in PREDEFINED:
            raise WrongState(f"operation is not permitted on predefined {spec.name} network")
        check_network(spec)
        network = self._publish(spec)
        if network.driver == "bridge":
            try:
                self._joining.raise_network(network)
            except EngineError:
                with suppress(EngineError, FileNotFoundError):
                    self._erase(network)
                raise
        self._note(network, "create")
        return network

    def _publish(self, spec: NetworkSpec) -> Network:
        network_id = os.urandom(32).hex()
        with self._store.lock_pools():
            with suppress(NotFound):
                if self._store.find(spec.name).name == spec.name:
                    raise AlreadyExists(f"network with name {spec.name} already exists")
            network = self._chosen(spec, network_id)
            self._store.publish(network)
        return network

    def _chosen(self, spec: NetworkSpec, network_id: str) -> Network:
        """The wish with subnets, gateways and an interface filled in. Under the lock of the choice."""
        from core.engine.network_wishes import chosen_subnets
        from core.network import bridge

        subnets: tuple[Subnet, ...] = ()
        interface = ""
        if spec.driver == "bridge":
            interface = spec.options.get(_BRIDGE_NAME) or f"wh{network_id[:12]}"
            if bridge.exists(interface):
                raise AlreadyExists(
                    f"interface {interface} is there already", hint="choose another name for the bridge"
                )
        elif spec.driver == "macvlan":
            interface = spec.options.get(_PARENT) or ""
            bridge.check_parent(interface)
        if spec.driver in _DRIVERS:
            subnets = chosen_subnets(spec, self._store.all(), self._roots.identity)
        return Network(
            name=spec.name,
            id=network_id,
            created_ns=time.time_ns(),
            driver="null" if spec.driver == NONE else spec.driver,
            subnets=subnets,
            internal=spec.internal,
            ipv6=any(":" in subnet.subnet for subnet in subnets),
            attachable=spec.attachable,
            options=spec.options,
            labels=spec.labels,
            interface=interface,
            mtu=int(spec.options.get(_MTU) or 0),
        )

    def ensure(self, name: str) -> Network:
        """One of the networks that are always there; the first start on it makes its bridge."""
        try:
            return self._store.find(name)
        except NotFound:
            pass
        try:
            return self._publish(NetworkSpec(name=name, driver=name))
        except AlreadyExists:
            return self._store.find(name)  # somebody was faster

    def find(self, key: str) -> Network:
        """One by name, id or unambiguous id prefix, without members. Raises: NotFound, Conflict."""
        if key in PREDEFINED:
            return self.ensure(key)
        return self._store.find(key)

    def list(self) -> Sequence[Network]:
        """All, the predefined ones too, sorted by name; with the members of each."""
        for name in PREDEFINED:
            self.ensure(name)
        return [self._with_members(network) for network in self._store.all()]

    def inspect(self, key: str) -> Network:
        """One, by name, id or unambiguous id prefix."""
        return self._with_members(self.find(key))

    def _with_members(self, network: Network) -> Network:
        self._joining.release_dead(network)
        members = tuple(sorted(self._store.endpoints(network.id), key=lambda each: each.container_name))
        return msgspec.structs.replace(network, members=members)

    def remove(self, key: str) -> None:
        """Remove it, unless a running container is on it."""
        network = self.find(key)
        if network.name in PREDEFINED:
            raise WrongState(f"{network.name} is a pre-defined network and cannot be removed")
        self._joining.release_dead(network)
        try:
            self._erase(network)
        except FileNotFoundError:
            raise NotFound(f"network {key} not found", kind="network", key=key) from None
        self._note(network, "destroy")

    def _erase(self, network: Network) -> None:
        """Raises: InUse, EngineError, FileNotFoundError: somebody was faster."""
        with self._store.lock(network, "remove"):
            if members := self._store.endpoints(network.id):
                names = ", ".join(f'name:"{each.container_name}" id:"{each.endpoint_id[:12]}"' for each in members)
                raise InUse(
                    f"error while removing network: network {network.name} has active endpoints ({names})",
                    hint=f"stop them, or take them off it: network disconnect {network.name} NAME",
                )
            if network.driver == "bridge":
                self._joining.remove_network(network)
            self._store.erase(network)

    def prune(self, which: PruneFilter = EVERYTHING) -> Sequence[str]:
        """Remove all that no container is on; their names."""
        wished = {
            name
            for container in self._records.all()
            for wish in container.network_wishes
            for name in (wish.network_id, wish.network)
        }
        removed = []
        for network in self._store.all():
            if network.name in PREDEFINED or {network.id, network.name} & wished:
                continue
            if not which.admits(network.labels, network.created_ns):
                continue
            try:
                self.remove(network.id)
            except (InUse, NotFound):
                continue  # somebody has joined it meanwhile, or removed it
            removed.append(network.name)
        with suppress(NoSpace):
            journal.append(self._roots.journal, "network", "prune", "", {"reclaimed": "0"})
        return removed

    def remove_all(self) -> None:
        """Every network and every bridge, for a reset: no container is left."""
        from core.network import bridge

        for network in self._store.all():
            self._joining.release_dead(network)
            with suppress(FileNotFoundError):
                self._erase(network)
        with suppress(OSError):
            self._joining.wall.remove_all(self._roots.tag)
        for link in bridge.bridges_of(self._roots.tag):
            bridge.remove_bridge(link.name)

    def trace(self, container: str, port: int, protocol: str = "tcp") -> Sequence[PathStep]:
        """Why can't I reach it: each step of the way to a container's port, tried, in order."""
        from core.network import trace

        if protocol not in PROTOCOLS or not 0 < port < 65536:
            raise InvalidInput(f"invalid port: {port}/{protocol}", hint="write for example 80 or 53/udp")
        found = self._records.get(container)
        return trace.trace(found, port, protocol, self._store.all(), self._joining.wall, self._roots.tag)

    # ── containers on networks ─────────────────────────────────────────────────────────────────

    def connect(self, key: str, container: str, wish: EndpointWish) -> None:
        """Put a container on it, now where it runs, and whenever it is started."""
        from core.engine.network_wishes import check_endpoint

        network = self.find(key)
        container_id = self._records.resolve(container)
        with self._records.lock(container_id, "connect"):
            found = self._records.load(container_id)
            _refuse_shared(found, network)
            wishes = found.network_wishes
            check_endpoint(wish, network)
            is_private = found.config.spec.network == NONE and found.settings.endpoints is None
            if network.name == NONE or is_private:
                raise WrongState(
                    "container cannot be connected to multiple networks with one of the networks in"
                    " private (none) mode",
                    hint=f"take it off first: network disconnect none {found.name}",
                )
            if any(each.network_id == network.id for each in wishes):
                raise WrongState(f"endpoint with name {found.name} already exists in network {network.name}")
            wish = msgspec.structs.replace(wish, network=network.name, network_id=network.id)
            match found.state:
                case Running():
                    self._memberships.connect(found, found.state, network, wish)
                case Restarting():
                    raise WrongState(
                        f"Container {found.id} is restarting, wait until the container is running",
                        hint="try again then",
                    )
                case _:
                    pass
            checkpoint("connect:told")
            settings = msgspec.structs.replace(found.settings, endpoints=_replaced(wishes, network, wish))
            self._records.write_settings(found.id, settings)

    def disconnect(self, key: str, container: str, *, force: bool = False) -> None:
        """Take a container off it."""
        try:
            container_id = self._records.resolve(container)
        except NotFound:
            if not force:
                raise
            network = self.find(key)
            self._joining.release_dead(network)  # of a container that is gone
            return
        network = self.find(key)
        with self._records.lock(container_id, "disconnect"):
            found = self._records.load(container_id)
            if found.config.spec.network == HOST or network.name == HOST:
                raise WrongState("container cannot be disconnected from host network or connected to host network")
            wishes = found.network_wishes
            running = found.state if isinstance(found.state, Running) else None
            live = [each for each in running.endpoints if each.network_id == network.id] if running else []
            is_private = network.name == NONE == found.config.spec.network and found.settings.endpoints is None
            if not (live or is_private or any(each.network_id == network.id for each in wishes)):
                raise WrongState(f"container {found.id} is not connected to network {network.name}")
            if live and running:
                self._memberships.disconnect(found, running, live[0])
            checkpoint("disconnect:told")
            settings = msgspec.structs.replace(found.settings, endpoints=_replaced(wishes, network, None))
            self._records.write_settings(found.id, settings)

    def settled(self, spec: ContainerSpec) -> ContainerSpec:
        """A container's wish with its networks looked up, the mode's own first.

        Raises: NotFound: there is none of that name. InvalidInput: what is asked for can't be had there.
        """
        mode = spec.network
        if mode in (HOST, NONE) or joined_container(mode):
            return spec
        from core.engine.network_wishes import check_endpoint

        wishes = list(spec.endpoints)
        main = self.find(mode)
        if not any(self._means(wish, main) for wish in wishes):
            wishes.insert(0, EndpointWish(network=mode))
        settled: list[EndpointWish] = []
        for wish in wishes:
            network = self.find(wish.network)
            if network.name in (HOST, NONE):
                raise InvalidInput(f"a container can't be on {network.name} and on other networks")
            if any(each.network_id == network.id for each in settled):
                raise InvalidInput(
                    f"network {network.name} is named twice", hint="name it once, with all that it is asked"
                )
            check_endpoint(wish, network)
            if wish.links:
                from core.engine.links import find_target

                for link in wish.links:
                    find_target(link, self._records)
            settled.append(msgspec.structs.replace(wish, network=network.name, network_id=network.id))
        settled.sort(key=lambda wish: wish.network_id != main.id)
        return msgspec.structs.replace(spec, endpoints=tuple(settled))

    def claim(self, container: Container) -> Claimed | None:
        """All that a start needs of a container's networks, claimed; None for one that is on none.

        Its files of names are written. Under its lock. Raises: EngineError: nothing is held then.
        """
        return self._memberships.claim(container) if container.network_wishes else None

    def release(self, container: Container) -> None:
        """Give back what a container holds of any network. Under its lock, and it does not run."""
        if container.network_wishes:
            self._memberships.release(container)

    def rename(self, container: Container, old: str) -> None:
        """Let the others on its networks know its new name. Under its lock."""
        if container.network_wishes:
            self._memberships.rename(container, old)

    def link_variables(self, container: Container) -> tuple[str, ...]:
        """What processes that are added to it are told of containers it is linked to."""
        if not any(wish.links for wish in container.network_wishes):
            return ()
        return self._memberships.link_variables(container)

    @staticmethod
    def _means(wish: EndpointWish, network: Network) -> bool:
        return wish.network in (network.name, network.id) or (
            len(wish.network) >= 12 and network.id.startswith(wish.network)
        )

    def _note(self, network: Network, action: str) -> None:
        attributes = {"name": network.name, "type": network.driver}
        with suppress(NoSpace):  # removing must work on a full disk: an event is less than that
            journal.append(self._roots.journal, "network", action, network.id, attributes)


def _refuse_shared(container: Container, network: Network) -> None:
    if network.name == HOST:
        raise WrongState("container cannot be disconnected from host network or connected to host network")
    if joined_container(container.config.spec.network) or container.config.spec.network == HOST:
        raise WrongState(
            "container sharing network namespace with another container or host cannot be connected to any"
            " other network"
        )


def _replaced(wishes: Sequence[EndpointWish], network: Network, wish: EndpointWish | None) -> tuple[EndpointWish, ...]:
    """Wishes with another one, or none, for a network."""
    kept = tuple(each for each in wishes if each.network_id != network.id)
    if wish is None:
        return kept
    return (*kept, msgspec.structs.replace(wish, network=network.name, network_id=network.id))
