"""A container's way onto its networks: what it claims before a start, and what is given back.

claim (under the container's lock) ─▶ SandboxNetwork ─▶ its monitor, which gives the claims back at the end
                                                        or: release_dead(), by whoever looks
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cached_property

from core.engine import network_wishes
from core.engine.records import ContainerRecords
from core.errors import EngineError, InvalidInput, NotFound
from core.linux.checkpoints import checkpoint
from core.linux.files import is_locked
from core.model.container import Container, Restarting, Running
from core.model.ids import short_id
from core.model.network import Endpoint, EndpointWish, Network
from core.model.sandbox import SandboxEndpoint
from core.network import bridge, firewall, ipam
from core.network.firewall import Firewall
from core.network.store import NetworkStore
from core.state.locks import attempted
from core.state.paths import Roots

_DIGITS = 11
"""Of an interface's name after "veth": 15 is the most a name may have."""
_MACVLAN_MODE, _ICC = "macvlan_mode", "com.docker.network.bridge.enable_icc"


class Joining:
    """Claims on the networks of a data root."""

    def __init__(self, roots: Roots, store: NetworkStore, records: ContainerRecords, wanted_firewall: str = "") -> None:
        self._roots = roots
        self._store = store
        self._records = records
        self._wanted_firewall = wanted_firewall

    @cached_property
    def wall(self) -> Firewall:
        """The firewall of this host."""
        return firewall.choose(self._wanted_firewall)

    def claim(self, container: Container, wish: EndpointWish, interface: str) -> tuple[SandboxEndpoint, Sequence[str]]:
        """A place on one network, its addresses claimed and written down; and what a person should know.

        Args: interface: its name inside. Raises: EngineError: nothing of it is left then.
        """
        network = self.find(wish)
        try:
            with self._store.lock(network, "join", shared=True):
                if network.driver != "bridge" or self._stands(network):
                    return self._claim(container, network, wish, interface), ()
            warnings = self.raise_network(network)
            with self._store.lock(network, "join", shared=True):
                return self._claim(container, network, wish, interface), warnings
        except FileNotFoundError:
            raise NotFound(f"network {network.name} not found", kind="network", key=network.name) from None

    def find(self, wish: EndpointWish) -> Network:
        """The network that is meant: by its id, or the one that has its name now. Raises: NotFound."""
        try:
            return self._store.load(wish.network_id)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return self._store.find(wish.network)

    def raise_network(self, network: Network) -> Sequence[str]:
        """Have its bridge and its rules stand; what a person should know. Raises: EngineError, FileNotFoundError."""
        tag = self._roots.tag
        with self._store.lock(network, "make its bridge"):
            warnings = () if bridge.stands(tag, network) else bridge.raise_bridge(tag, network)
            try:
                known = self.wall.bridges(tag)
                warnings = (*warnings, *self.wall.add_network(tag, network))
            except OSError as error:
                raise EngineError(
                    f"cannot write the firewall's rules of network {network.name}: {(error.strerror or '').lower()}",
                    hint="doctor shows what this host's kernel can do",
                ) from error
        if network.interface not in known:
            from core.engine import flushed_rules

            flushed_rules.restore(self._roots, self._store, self._records, self.wall, made=network, known=known)
        return warnings

    def _stands(self, network: Network) -> bool:
        return bridge.stands(self._roots.tag, network) and self.has_rules(network)

    def has_rules(self, network: Network) -> bool:
        """Whether the firewall knows it. Raises: OSError."""
        return self.wall.has_network(self._roots.tag, network)

    def remove_network(self, network: Network) -> None:
        """Take its rules and its bridge away. Raises: EngineError."""
        try:
            self.wall.remove_network(self._roots.tag, network)
        except OSError as error:
            raise EngineError(
                f"cannot remove the firewall's rules of network {network.name}: {(error.strerror or '').lower()}"
            ) from error
        checkpoint("network-remove:rules")
        if not bridge.is_anothers(self._roots.tag, network):
            bridge.remove_bridge(network.interface)
        checkpoint("network-remove:bridge")

    def _claim(self, container: Container, network: Network, wish: EndpointWish, interface: str) -> SandboxEndpoint:
        directory = self._roots.network(network.id)
        host_interface = host_end(container.id, network.id) if network.driver == "bridge" else ""
        self._drop(network.id, container.id)  # what a run or a start that was killed may have left
        fields: dict[str, str | int] = {}
        try:
            for subnet in network.subnets:
                family = "ipv6" if ":" in subnet.subnet else "ipv4"
                if family in fields:
                    continue  # docker, too, takes one address of each family
                fields[family] = ipam.claim(
                    directory / "addresses",
                    subnet,
                    container.id,
                    wish=wish.ipv6 if family == "ipv6" else wish.ipv4,
                    release_dead=lambda: self.release_dead(network, sparing=container.id),
                )
                checkpoint("join:claimed")
                fields[f"{family}_prefix_length"] = ipam.parse_range(subnet.subnet).length
                fields[f"{family}_gateway"] = "" if network.internal else subnet.gateway
            for family, address in (("ipv4", wish.ipv4), ("ipv6", wish.ipv6)):
                if address and family not in fields:
                    raise InvalidInput(
                        f"invalid endpoint settings: no configured subnet contains IP address {address}",
                        hint=f"network {network.name} has no {family.replace('ip', 'IP')} addresses",
                    )
            endpoint = Endpoint(
                network=network.name,
                network_id=network.id,
                endpoint_id=os.urandom(32).hex(),
                container_id=container.id,
                container_name=container.name,
                interface=wish.options.get(network_wishes.IFNAME, interface),
                host_interface=host_interface,
                mac=wish.mac or random_mac(),
                names=_names(container, wish) if network.has_names else (),
                aliases=wish.aliases,
                links=wish.links,
                wish=wish,
                **fields,  # type: ignore[arg-type]
            )
            path = self._store.write_endpoint(endpoint)
            checkpoint("join:written")
        except BaseException:
            self._store.release(network.id, container.id)
            raise
        addresses = (directory / "addresses" / address for address in (endpoint.ipv4, endpoint.ipv6) if address)
        return SandboxEndpoint(
            endpoint=endpoint,
            driver=network.driver,
            link=network.interface,
            mode=network.options.get(_MACVLAN_MODE, ""),
            mtu=network.mtu or bridge.mtu_of(network.interface),
            is_internal=network.internal,
            sysctls=network_wishes.endpoint_sysctls(wish) if wish.options else {},
            is_isolated=network.options.get(_ICC) == "false",
            claims=(str(path), *map(str, addresses)),
        )

    def release(self, container_id: str, network_ids: Iterable[str]) -> None:
        """Give back all that a container holds of networks. Under its lock, and it does not run."""
        for network_id in network_ids:
            self._drop(network_id, container_id)

    def _drop(self, network_id: str, container_id: str) -> None:
        """Its interface is known by its name; nearly always it has gone with its namespace."""
        if not (addresses := self._store.held(network_id, container_id)):
            return
        with suppress(OSError):
            dead = [each for each in self.wall.published(self._roots.tag) if each.address in addresses]
            if dead:
                self.wall.unpublish(self._roots.tag, dead)
        interface = host_end(container_id, network_id)
        if os.path.exists(f"/sys/class/net/{interface}"):
            with suppress(EngineError):
                bridge.remove_link(interface)
        self._store.release(network_id, container_id)

    def release_dead(self, network: Network, *, sparing: str = "") -> None:
        """Give back what is held by containers that do not run, or are not on the network after all.

        What an operation under way has claimed is safe: it holds its container's lock.
        Args: sparing: the container whose lock the caller holds.
        """
        for container_id in self._store.claimants(network.id) - {sparing}:
            directory = self._roots.container(container_id)
            if not directory.exists() and not is_locked(self._roots.alive_lock(container_id)):
                self._drop(network.id, container_id)
                continue
            with attempted(directory / "lock") as is_ours:
                if is_ours and not self.is_on(container_id, network.id):
                    self._drop(network.id, container_id)

    def is_on(self, container_id: str, network_id: str) -> bool:
        """Whether a container runs there, or will be started there again by its policy."""
        try:
            state = self._records.load(container_id).state
        except NotFound:
            return False
        if isinstance(state, Running):
            return any(endpoint.network_id == network_id for endpoint in state.endpoints)
        return isinstance(state, Restarting) or is_locked(self._roots.alive_lock(container_id))


def host_end(container_id: str, network_id: str) -> str:
    """The name of an interface's other end: the same at each start, so that what was left of one can be found."""
    return f"veth{int(container_id[:_DIGITS], 16) ^ int(network_id[-_DIGITS:], 16):0{_DIGITS}x}"


def random_mac() -> str:
    """Of those that belong to nobody, with docker's beginning."""
    return "02:42:" + os.urandom(4).hex(":")


def _names(container: Container, wish: EndpointWish) -> tuple[str, ...]:
    hostname = container.config.hostname
    return tuple(dict.fromkeys((container.name, short_id(container.id), *wish.aliases, hostname)))
