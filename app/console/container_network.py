"""A container's networks as lines: addresses, what flows, ports, and names. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from app import short
from app.commands.ports import host_address, open_ports
from app.console.network_picture import Rates
from core.model.container import Container, Running
from core.model.display import safe_text
from core.model.network import CONTAINER_PREFIX, HOST, NONE, Endpoint, EndpointWish

Lines = list[Sequence[tuple[str, str]]]


def network_lines(container: Container, name_of: dict[str, str], rates: Rates) -> Lines:
    """Everything about a container's way to others.

    Args: name_of: container id → name, for networks that are shared.
    """
    mode = container.config.spec.network
    if mode.startswith(CONTAINER_PREFIX):
        key = mode.removeprefix(CONTAINER_PREFIX)
        words = f"shares the network of {safe_text(name_of.get(key, key[:12]))}: its addresses and ports are that one's"
        return [[(words, "text")]]
    if mode in (HOST, NONE) and container.settings.endpoints is None:
        told = {HOST: "shares the host's network: every port it listens on is the host's", NONE: "has no network"}
        return [[(told[mode], "text")]]
    state = container.state
    endpoints = state.endpoints if isinstance(state, Running) else ()
    lines: Lines = []
    for wish in container.networks:
        endpoint = next((one for one in endpoints if wish.network in (one.network, one.network_id)), None)
        lines += [*_network(container, wish, endpoint, rates), []]
    return lines + _ports(container) + _names(container)


def _network(container: Container, wish: EndpointWish, endpoint: Endpoint | None, rates: Rates) -> Lines:
    name = safe_text(endpoint.network if endpoint else wish.network)
    if endpoint is None:
        wanted = " ".join(filter(None, (wish.ipv4, wish.ipv6))) or "an address at its start"
        return [[(f"{name:<16}", "accent"), (f"not running; gets {wanted}", "muted")]]
    head = [(f"{name:<16}", "accent"), (f"{endpoint.interface:<6}", "text")]
    if rate := rates(container.id, endpoint.interface):
        head.append((f"↓ {short.rate(rate[0])}  ↑ {short.rate(rate[1])}", "text" if any(rate) else "faint"))
    facts = [
        ("IPv4", f"{endpoint.ipv4}/{endpoint.ipv4_prefix_length}" if endpoint.ipv4 else "", endpoint.ipv4_gateway),
        ("IPv6", f"{endpoint.ipv6}/{endpoint.ipv6_prefix_length}" if endpoint.ipv6 else "", endpoint.ipv6_gateway),
        ("MAC", endpoint.mac, ""),
        ("on the host", endpoint.host_interface, ""),
        ("names", " ".join(endpoint.names), ""),
        ("links", " ".join(endpoint.links), ""),
    ]
    lines: Lines = [head]
    for title, value, gateway in facts:
        if value:
            more = f"  by way of {gateway}" if gateway else ""
            lines.append([(f"  {title:<14}", "muted"), (safe_text(value), "text"), (more, "muted")])
    return lines


def _ports(container: Container) -> Lines:
    state = container.state
    published = state.ports if isinstance(state, Running) else ()
    lines: Lines = [
        [
            (f"{'published' if not number else '':<16}", "muted"),
            (f"{host_address(port)} ▸ {port.container_port}/{port.protocol}", "ok"),
        ]
        for number, port in enumerate(published)
    ]
    for number, port in enumerate(open_ports(container)):
        lines.append([(f"{'exposed' if not number else '':<16}", "muted"), (f"{port}   not published", "faint")])
    if not published and isinstance(state, Running):
        lines.append([(f"{'':<16}", "muted"), ("no port of it is reached from outside   P tries one", "muted")])
    return lines


def _names(container: Container) -> Lines:
    spec = container.config.spec
    facts = [
        ("DNS", " ".join(spec.dns.servers)),
        ("search", " ".join(spec.dns.search)),
        ("options", " ".join(spec.dns.options)),
        ("hosts", "  ".join(spec.extra_hosts)),
    ]
    return [[(f"{title:<16}", "muted"), (safe_text(value), "text")] for title, value in facts if value]
