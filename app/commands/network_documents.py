"""Docker's JSON documents of networks, and of what a container has of them."""

from __future__ import annotations

from collections.abc import Sequence

from app.commands.go_values import OpenMap, Struct
from app.commands.ports import open_ports
from app.format import rfc3339_nano
from core.model.container import Container, Running
from core.model.network import BRIDGE, HOST, PREDEFINED, Endpoint, EndpointWish, Network, Subnet
from core.model.ports import PortWish, PublishedPort

Document = dict[str, object]


def network_document(network: Network) -> Document:
    """What `network inspect` shows."""
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": rfc3339_nano(network.created_ns),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": any(":" not in subnet.subnet for subnet in network.subnets),
        "EnableIPv6": network.ipv6,
        "IPAM": Struct(
            Driver="default",
            Options=None if network.name in PREDEFINED else OpenMap(),
            Config=[_subnet(subnet) for subnet in network.subnets],
        ),
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": Struct(Network=""),
        "ConfigOnly": False,
        "Containers": OpenMap({member.container_id: _member(member) for member in _sorted(network.members)}),
        "Options": OpenMap(network.options),
        "Labels": OpenMap(network.labels),
    }


def _sorted(members: Sequence[Endpoint]) -> list[Endpoint]:
    return sorted(members, key=lambda member: member.container_id)


def _subnet(subnet: Subnet) -> Struct:
    document = Struct(Subnet=subnet.subnet)
    if subnet.ip_range:
        document["IPRange"] = subnet.ip_range
    if subnet.gateway:
        document["Gateway"] = subnet.gateway
    if subnet.reserved:
        document["AuxiliaryAddresses"] = OpenMap(subnet.reserved)
    return document


def _member(member: Endpoint) -> Struct:
    return Struct(
        Name=member.container_name,
        EndpointID=member.endpoint_id,
        MacAddress=member.mac,
        IPv4Address=f"{member.ipv4}/{member.ipv4_prefix_length}" if member.ipv4 else "",
        IPv6Address=f"{member.ipv6}/{member.ipv6_prefix_length}" if member.ipv6 else "",
    )


def network_settings(container: Container) -> Document:
    """`NetworkSettings` of a container's document. What is on no network it knows has docker's nothing."""
    state = container.state
    endpoints = state.endpoints if isinstance(state, Running) else ()
    own = isinstance(state, Running) and container.config.spec.network != HOST and bool(container.networks)
    by_default = next((endpoint for endpoint in endpoints if endpoint.network == BRIDGE), None)
    addresses = _addresses(by_default)
    return {
        "Bridge": "",
        "SandboxID": "",
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "Ports": _ports(container),
        "SandboxKey": f"/proc/{state.pid}/ns/net" if own and isinstance(state, Running) else "",
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **{name: addresses[name] for name in sorted(addresses)},
        "Networks": OpenMap({wish.network: _endpoint(wish, endpoints) for wish in _by_name(container)}),
    }


def _by_name(container: Container) -> list[EndpointWish]:
    return sorted(container.networks, key=lambda wish: wish.network)


def _ports(container: Container) -> OpenMap:
    """Where each port is reached; null for one that is exposed and not published."""
    published: dict[str, list[PublishedPort]] = {}
    if isinstance(container.state, Running):
        for port in container.state.ports:
            published.setdefault(f"{port.container_port}/{port.protocol}", []).append(port)
    found: Document = dict.fromkeys(open_ports(container))
    for key, ports in published.items():
        ports.sort(key=lambda port: (":" in port.host_ip, port.host_port))
        found[key] = [Struct(HostIp=port.host_ip, HostPort=str(port.host_port)) for port in ports]
    return OpenMap({key: found[key] for key in sorted(found)})


def _addresses(endpoint: Endpoint | None) -> Document:
    """The fields that stand both at the top, for the default network, and with each network."""
    return {
        "EndpointID": endpoint.endpoint_id if endpoint else "",
        "Gateway": endpoint.ipv4_gateway if endpoint else "",
        "IPAddress": endpoint.ipv4 if endpoint else "",
        "IPPrefixLen": endpoint.ipv4_prefix_length if endpoint else 0,
        "IPv6Gateway": endpoint.ipv6_gateway if endpoint else "",
        "GlobalIPv6Address": endpoint.ipv6 if endpoint else "",
        "GlobalIPv6PrefixLen": endpoint.ipv6_prefix_length if endpoint else 0,
        "MacAddress": endpoint.mac if endpoint else "",
    }


def _endpoint(wish: EndpointWish, endpoints: Sequence[Endpoint]) -> Document:
    endpoint = next((one for one in endpoints if wish.network in (one.network, one.network_id)), None)
    addresses = _addresses(endpoint)
    wished = {"IPv4Address": wish.ipv4, "IPv6Address": wish.ipv6}
    on_bridge = wish.network == BRIDGE  # whose links stand in HostConfig
    return {
        "IPAMConfig": {name: text for name, text in wished.items() if text} or None,
        "Links": None if on_bridge else list(wish.links) or None,
        "Aliases": list(wish.aliases) or None,
        "NetworkID": endpoint.network_id if endpoint else wish.network_id,
        **addresses,
        "DriverOpts": OpenMap(wish.options) or None,
        "DNSNames": None if on_bridge or endpoint is None else list(endpoint.names) or None,
    }


def port_bindings(wishes: Sequence[PortWish]) -> OpenMap:
    """`HostConfig.PortBindings`: what was asked for."""
    found: dict[str, list[object]] = {}
    for wish in wishes:
        host_port = str(wish.host_first) if wish.host_first else ""
        if wish.host_last:
            host_port += f"-{wish.host_last}"
        bindings = found.setdefault(f"{wish.container_port}/{wish.protocol}", [])
        bindings.append(Struct(HostIp=wish.host_ip, HostPort=host_port))
    return OpenMap({key: found[key] for key in sorted(found)})


def default_links(container: Container) -> list[str] | None:
    """`HostConfig.Links`: those of the default network, as `/target:/container/alias`."""
    wished = (link.partition(":") for wish in container.networks if wish.network == BRIDGE for link in wish.links)
    return [f"/{target.lstrip('/')}:/{container.name}/{alias}" for target, _, alias in wished] or None
