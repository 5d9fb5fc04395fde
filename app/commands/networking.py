"""The flags that say how a container is reached and what it reaches, and the part of a wish they make."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from app.commands.flags import Flag, Values, flag, refused
from core.errors import InvalidInput, InvalidSpec
from core.model.network import BRIDGE, DnsWish, EndpointWish
from core.model.networking import (
    parse_alias,
    parse_dns_option,
    parse_dns_search,
    parse_dns_server,
    parse_driver_option,
    parse_extra_host,
    parse_ipv4,
    parse_ipv6,
    parse_link,
    parse_mac,
    parse_network,
)
from core.model.ports import parse_expose, parse_publish

_LINK_LOCAL = refused("--link-local-ip strings", "containers get no further link-local addresses")

NETWORKING_FLAGS: tuple[Flag, ...] = (
    flag("--add-host list", "Add a custom host-to-IP mapping (host:ip)", check=parse_extra_host),
    flag("--dns list", "Set custom DNS servers", check=parse_dns_server),
    flag("--dns-opt list", "Set DNS options", check=parse_dns_option, hidden=True),
    flag("--dns-option list", "Set DNS options", check=parse_dns_option),
    flag("--dns-search list", "Set custom DNS search domains", check=parse_dns_search),
    flag("--expose list", "Expose a port or a range of ports"),
    flag("--ip string", 'IPv4 address (e.g., "172.30.100.104")'),
    flag("--ip6 string", 'IPv6 address (e.g., "2001:db8::33")'),
    flag("--link list", "Add link to another container", check=parse_link),
    _LINK_LOCAL,
    flag("--mac-address string", "Container MAC address (e.g., 92:d0:c6:0a:29:33)"),
    flag("--net network", "Connect a container to a network", check=parse_network, hidden=True),
    flag("--net-alias list", "Add network-scoped alias for the container", hidden=True),
    flag("--network network", "Connect a container to a network", check=parse_network),
    flag("--network-alias list", "Add network-scoped alias for the container"),
    flag("-p, --publish list", "Publish a container's port(s) to the host"),
    flag("-P, --publish-all", "Publish all exposed ports to random ports"),
)
CONNECT_FLAGS: tuple[Flag, ...] = (
    flag("--alias strings", "Add network-scoped alias for the container"),
    flag("--driver-opt strings", "driver options for the network"),
    refused("--gw-priority int", "the default route goes through the first network that has one", allowed=("0",)),
    flag("--ip string", 'IPv4 address (e.g., "172.30.100.104")'),
    flag("--ip6 string", 'IPv6 address (e.g., "2001:db8::33")'),
    flag("--link list", "Add link to another container", check=parse_link),
    _LINK_LOCAL,
)


def read_networking(flags: Values) -> dict[str, Any]:
    """The fields of a ContainerSpec that these flags fill.

    Raises: InvalidInput, InvalidSpec: with docker's words.
    """
    wishes = [parse_network(text) for text in (*flags.many("net"), *flags.many("network"))]
    first = _with_plain_flags(wishes[0] if wishes else EndpointWish(network=BRIDGE), flags)
    others = wishes[1:]
    mode = first.network
    says_more = first != EndpointWish(network=mode)
    return {
        "network": mode,
        "endpoints": (first, *others) if others or says_more else (),
        "ports": tuple(wish for text in flags.many("publish") for wish in parse_publish(text)),
        "publish_all": flags.truth("publish-all"),
        "expose": tuple(port for text in flags.many("expose") for port in parse_expose(text)),
        "dns": DnsWish(
            servers=_each(flags.many("dns"), parse_dns_server),
            search=_each(flags.many("dns-search"), parse_dns_search),
            options=_each((*flags.many("dns-opt"), *flags.many("dns-option")), parse_dns_option),
        ),
        "extra_hosts": _each(flags.many("add-host"), parse_extra_host),
    }


def _each(texts: Iterable[str], parse: Callable[[str], str]) -> tuple[str, ...]:
    return tuple(map(parse, texts))


def _with_plain_flags(wish: EndpointWish, flags: Values) -> EndpointWish:
    """--ip, --network-alias and the like speak of the first network; what it says itself they can't say again."""
    aliases = _each((*flags.many("net-alias"), *flags.many("network-alias")), parse_alias)
    mac = flags.text("mac-address")
    said = (
        ("aliases", aliases, "--network-alias and per-network alias"),
        ("links", _each(flags.many("link"), parse_link), "--link and per-network links"),
        ("ipv4", parse_ipv4(flags.text("ip")), "--ip and per-network IPv4 address"),
        ("ipv6", parse_ipv6(flags.text("ip6")), "--ip6 and per-network IPv6 address"),
        ("mac", parse_mac(mac) if mac else "", "--mac-address and per-network MAC address"),
    )
    for field, value, what in said:
        if value and getattr(wish, field):
            raise InvalidSpec(f"conflicting options: cannot specify both {what}", hint="write it once")
    return msgspec.structs.replace(wish, **{field: value for field, value, _ in said if value})


def read_connection(network: str, flags: Values) -> EndpointWish:
    """What `network connect` asks for. Raises: InvalidInput: with docker's words."""
    aliases = [alias for text in flags.many("alias") for alias in text.split(",")]
    options = [option for text in flags.many("driver-opt") for option in text.split(",")]
    if network in ("", "container:"):
        raise InvalidInput("no name set for network", hint="network ls lists the networks there are")
    return EndpointWish(
        network=network,
        aliases=_each(aliases, parse_alias),
        ipv4=parse_ipv4(flags.text("ip")),
        ipv6=parse_ipv6(flags.text("ip6")),
        links=_each(flags.many("link"), parse_link),
        options=dict(map(parse_driver_option, options)),
    )
