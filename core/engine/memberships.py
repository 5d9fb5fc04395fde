"""A container's memberships: what a start needs of all its networks, and what changes while it runs.

claims (joining.py) · who answers names · /etc/hosts and /etc/resolv.conf · links ─▶ SandboxNetwork
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from core.engine import links, name_files
from core.engine.joining import Joining
from core.engine.records import ContainerRecords
from core.errors import EngineError, NotFound
from core.linux.checkpoints import checkpoint
from core.model.container import Container, Running
from core.model.network import PREDEFINED, Endpoint, EndpointWish, Network
from core.model.ports import PortWish
from core.model.sandbox import SandboxEndpoint, SandboxNetwork, SandboxResolver
from core.network.store import NetworkStore, renamed
from core.state.paths import Roots

Tell = Callable[[Container, dict[str, Any]], None]


class Claimed(NamedTuple):
    """What a start needs of networks."""

    network: SandboxNetwork
    warnings: tuple[str, ...]
    variables: tuple[str, ...]
    """For the process's environment: of containers it is linked to."""


class Memberships:
    """Of all containers of a data root. Args: tell: asks a container's monitor."""

    def __init__(
        self, roots: Roots, store: NetworkStore, records: ContainerRecords, joining: Joining, tell: Tell
    ) -> None:
        self._roots = roots
        self._store = store
        self._records = records
        self._joining = joining
        self._tell = tell

    def claim(self, container: Container) -> Claimed:
        """All that a start needs of a container's networks, claimed.

        Its files of names are written. Under its lock. Raises: EngineError: nothing is held then.
        """
        claimed: list[SandboxEndpoint] = []
        warnings: list[str] = []
        try:
            for number, wish in enumerate(container.network_wishes):
                endpoint, more = self._joining.claim(container, wish, f"eth{number}")
                claimed.append(endpoint)
                warnings += more
            resolver = self._resolver(container, [each.endpoint.network_id for each in claimed])
            linked = self._linked(container)
            self._write_names(container, claimed, linked, is_answered=resolver is not None)
            self._tell_linkers(container, claimed)
        except BaseException:
            self.release(container)
            raise
        network = SandboxNetwork(
            endpoints=_with_default_route(claimed),
            ports=_ports(container),
            resolver=resolver,
            table=self._joining.wall.table(self._roots.tag),
        )
        return Claimed(network, tuple(warnings), links.variables(container, linked) if linked else ())

    def _linked(self, container: Container) -> list[links.Link]:
        """The containers it is linked to on the default network, noted for those who start them again."""
        found: list[links.Link] = []
        for wish in container.network_wishes:
            if wish.links and not self._joining.find(wish).has_names:
                found += links.links_of(container, wish, self._records)
                links.note_links(self._roots, wish.network_id, container.id, found)
        return found

    def link_variables(self, container: Container) -> tuple[str, ...]:
        """What processes that are added to it are told of containers it is linked to; those that run just now."""
        if not any(wish.links for wish in container.network_wishes):
            return ()
        try:
            return links.variables(container, self._linked(container))
        except EngineError:
            return ()

    def _tell_linkers(self, container: Container, claimed: Sequence[SandboxEndpoint]) -> None:
        for each in claimed:
            if each.endpoint.network in PREDEFINED:
                endpoint = each.endpoint
                links.tell_linkers(self._roots, endpoint.network_id, container, endpoint.ipv4, self._records)

    def _write_names(
        self,
        container: Container,
        claimed: Sequence[SandboxEndpoint],
        linked: Sequence[links.Link],
        *,
        is_answered: bool,
    ) -> None:
        config = container.config
        hosts = name_files.hosts_file(
            (each.endpoint for each in claimed),
            config.hostname,
            config.spec.domainname,
            config.spec.extra_hosts,
            (link.row for link in linked),
        )
        name_files.rewrite(self._roots.container(container.id) / "hosts", hosts)
        self._write_resolver(container, is_answered=is_answered)

    def _write_resolver(self, container: Container, *, is_answered: bool) -> None:
        dns = container.config.spec.dns
        text = name_files.answered_file(dns) if is_answered else name_files.resolver_file(dns, reachable_only=True)
        name_files.rewrite(self._roots.container(container.id) / "resolv.conf", text)

    def _resolver(self, container: Container, network_ids: Sequence[str]) -> SandboxResolver | None:
        """Who answers names, None where none of its networks has any."""
        networks = [self._store.load(network_id) for network_id in network_ids]
        if not any(network.has_names for network in networks):
            return None
        others = {}
        for wish in container.network_wishes:
            for link in wish.links:
                name, _, alias = link.partition(":")
                with suppress(NotFound):
                    others[alias or name] = self._records.resolve(name)
        is_closed = all(network.internal for network in networks)
        return SandboxResolver(
            networks=tuple(str(self._roots.network(each.id)) for each in networks if each.has_names),
            servers=() if is_closed else name_files.forwarders(container.config.spec.dns),
            links=others,
        )

    def release(self, container: Container) -> None:
        """Give back what a container holds of any network. Under its lock, and it does not run."""
        if wishes := container.network_wishes:
            known = set(self._store.ids())
            self._joining.release(container.id, [each.network_id for each in wishes if each.network_id in known])

    def rename(self, container: Container, old: str) -> None:
        """Let the others on its networks know its new name. Under its lock."""
        for wish in container.network_wishes:
            for endpoint in self._store.endpoints(wish.network_id):
                if endpoint.container_id == container.id:
                    self._store.write_endpoint(renamed(endpoint, container.name, old))

    def connect(self, container: Container, state: Running, network: Network, wish: EndpointWish) -> None:
        """Put a running container on one network more. Raises: EngineError: it is not on it then."""
        taken = {each.interface for each in state.endpoints}
        interface = next(name for number in range(1000) if (name := f"eth{number}") not in taken)
        endpoint, _ = self._joining.claim(container, wish, interface)
        checkpoint("connect:claimed")
        try:
            resolver = self._resolver(container, [*(each.network_id for each in state.endpoints), network.id])
            request = {"op": "connect", "endpoint": msgspec.to_builtins(endpoint)}
            self._tell(container, {**request, "resolver": msgspec.to_builtins(resolver)})
        except EngineError:
            self._joining.release(container.id, [network.id])
            raise
        config = container.config
        path = self._roots.container(container.id) / "hosts"
        rows = name_files.own_rows(endpoint.endpoint, config.hostname, config.spec.domainname)
        name_files.rewrite(path, name_files.with_rows(path, rows))
        self._write_resolver(container, is_answered=resolver is not None)

    def disconnect(self, container: Container, state: Running, endpoint: Endpoint) -> None:
        """Take a running container off a network. Raises: EngineError."""
        others = [each.network_id for each in state.endpoints if each.network_id != endpoint.network_id]
        resolver = self._resolver(container, others)
        request = {"op": "disconnect", "network_id": endpoint.network_id}
        self._tell(container, {**request, "resolver": msgspec.to_builtins(resolver)})
        self._joining.release(container.id, [endpoint.network_id])
        path = self._roots.container(container.id) / "hosts"
        addresses = [address for address in (endpoint.ipv4, endpoint.ipv6) if address]
        name_files.rewrite(path, name_files.without_rows(path, addresses))
        self._write_resolver(container, is_answered=resolver is not None)


def _with_default_route(endpoints: Sequence[SandboxEndpoint]) -> tuple[SandboxEndpoint, ...]:
    """The first network with a way out has it."""
    first = next((each for each in endpoints if not each.is_internal and each.endpoint.ipv4_gateway), None)
    return tuple(msgspec.structs.replace(each, is_default_route=each is first) for each in endpoints)


def _ports(container: Container) -> tuple[PortWish, ...]:
    """What is to be published; with -P everything that is exposed, too."""
    config = container.config
    ports = list(config.spec.ports)
    if config.spec.publish_all:
        known = {f"{port.container_port}/{port.protocol}" for port in ports}
        for each in config.exposed_ports:
            if each not in known:
                number, _, protocol = each.partition("/")
                ports.append(PortWish(container_port=int(number), protocol=protocol or "tcp"))
    return tuple(ports)
