"""Networks: what a person asks for, what is kept of one, and what a container has of it.

EndpointWish ─ create, connect ─▶ ContainerSettings.endpoints ─ start ─▶ Endpoint (Running.endpoints)
NetworkSpec  ─ create ─▶ Network (network.json)
"""

from __future__ import annotations

import msgspec

BRIDGE, HOST, NONE = "bridge", "host", "none"
PREDEFINED = (BRIDGE, HOST, NONE)
"""Names of the networks that are always there; "bridge" is also what a container gets that asks for nothing."""
CONTAINER_PREFIX = "container:"
"""Of a network mode that shares another container's."""


class Subnet(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A range of addresses of a network, as text (`172.18.0.0/16`, `fd00::/64`)."""

    subnet: str
    gateway: str = ""
    ip_range: str = ""
    """Where containers' addresses are taken from; empty: all of the subnet."""
    reserved: dict[str, str] = {}
    """`--aux-address`: name to address that no container gets."""


class NetworkSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What `network create` asks for; what is left empty is chosen."""

    name: str
    driver: str = BRIDGE
    subnets: tuple[Subnet, ...] = ()
    internal: bool = False
    ipv4: bool = True
    ipv6: bool = False
    attachable: bool = False
    options: dict[str, str] = {}
    labels: dict[str, str] = {}


class Network(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One network (network.json, without its members, which are looked up)."""

    name: str
    id: str
    """64 hex digits."""
    created_ns: int
    driver: str
    """bridge, macvlan, host or null (of the network "none")."""
    subnets: tuple[Subnet, ...] = ()
    internal: bool = False
    ipv6: bool = False
    attachable: bool = False
    options: dict[str, str] = {}
    labels: dict[str, str] = {}
    interface: str = ""
    """The bridge, or macvlan's parent; empty where there is neither."""
    mtu: int = 0
    """0: as the uplink has it."""
    members: tuple[Endpoint, ...] = ()
    """Of running containers."""

    @property
    def has_names(self) -> bool:
        """Whether its containers find each other by name: docker's default bridge has no names."""
        return self.name not in PREDEFINED


class EndpointWish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One network that a container is to be on, and what it asks for there."""

    network: str
    """As the person wrote it; the network's name once the engine has looked it up."""
    network_id: str = ""
    """Filled in by the engine."""
    aliases: tuple[str, ...] = ()
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    links: tuple[str, ...] = ()
    """`container:alias`."""
    options: dict[str, str] = {}
    """`driver-opt`."""


def wished_networks(mode: str, wishes: tuple[EndpointWish, ...]) -> tuple[EndpointWish, ...]:
    """Every network that a container is to be on, its mode's first; none where it shares another container's."""
    if mode.startswith(CONTAINER_PREFIX):
        return ()
    if any(wish.network == mode for wish in wishes):
        return wishes
    return (EndpointWish(network=mode), *wishes)


class Endpoint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A running container's place on one network; also what lies in the network's `endpoints/`."""

    network: str
    network_id: str
    endpoint_id: str
    """64 hex digits, new with every start."""
    container_id: str = ""
    container_name: str = ""
    interface: str = ""
    """Inside: eth0, eth1 …"""
    host_interface: str = ""
    """The other end of it on the host; empty for macvlan."""
    mac: str = ""
    ipv4: str = ""
    ipv4_prefix_length: int = 0
    ipv4_gateway: str = ""
    ipv6: str = ""
    ipv6_prefix_length: int = 0
    ipv6_gateway: str = ""
    names: tuple[str, ...] = ()
    """What others on the network may call it: container name, short id, aliases, host name."""
    aliases: tuple[str, ...] = ()
    """As asked for, for inspect."""
    links: tuple[str, ...] = ()
    wish: EndpointWish | None = None


class PathStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step of the way to a container's port, as it was tried."""

    name: str
    """running, address, listening, bridge, answer, published, firewall, outside: from the server outwards."""
    verdict: str
    """ok, failed, unknown or skipped."""
    text: str
    """One sentence for people: what was looked at, and what came of it."""
    hint: str = ""


class DnsWish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """--dns, --dns-search, --dns-option; what is empty is the host's."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
