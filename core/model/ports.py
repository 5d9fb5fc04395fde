"""Published ports: the forms of `-p`, and what they come to.

[[ip:][host port or range]:]container port or range[/tcp|udp|sctp]        [::1]:8080:80 with brackets
"""

from __future__ import annotations

import ipaddress
import re

import msgspec

from core.errors import InvalidInput

PROTOCOLS = ("tcp", "udp", "sctp")
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_MOST = 65535


class PortWish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One container port to be published."""

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    """Empty: every address of the host, of both families."""
    host_first: int = 0
    """0: any free one."""
    host_last: int = 0
    """Of a range that one free port is taken from; 0: host_first alone."""


class PublishedPort(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One container port as it is reached from outside, by one family of addresses."""

    container_port: int
    protocol: str = "tcp"
    host_ip: str
    """0.0.0.0 and :: are every address of a family."""
    host_port: int


def parse_publish(text: str) -> tuple[PortWish, ...]:
    """`-p`'s value. Raises: InvalidInput, with docker's words."""
    where, slash, protocol = text.rpartition("/")
    if not slash:
        where, protocol = text, "tcp"
    protocol = protocol.lower()
    if protocol not in PROTOCOLS:
        raise InvalidInput(f"invalid proto: {protocol}", hint="/tcp, /udp or /sctp may follow the port")
    host_ip, host, inside = _split(where, text)
    first, last = _range(inside, text, "containerPort")
    if not host:
        return tuple(
            PortWish(container_port=port, protocol=protocol, host_ip=host_ip) for port in range(first, last + 1)
        )
    host_first, host_last = _range(host, text, "hostPort")
    if first == last:
        last_of_range = host_last if host_last != host_first else 0
        wish = PortWish(
            container_port=first, protocol=protocol, host_ip=host_ip, host_first=host_first, host_last=last_of_range
        )
        return (wish,)
    if host_last - host_first != last - first:
        raise InvalidInput(
            f"invalid ranges specified for container and host Ports: {inside} and {host}",
            hint="both ranges must have the same length",
        )
    return tuple(
        PortWish(container_port=port, protocol=protocol, host_ip=host_ip, host_first=host_first + port - first)
        for port in range(first, last + 1)
    )


def _split(where: str, whole: str) -> tuple[str, str, str]:
    """Address, host port, container port."""
    if where.startswith("["):
        address, bracket, rest = where[1:].partition("]")
        if not bracket or not rest.startswith(":"):
            raise InvalidInput(f"invalid publish {whole!r}", hint="write [v6 address]:host port:container port")
        host, _, inside = rest[1:].rpartition(":")
    else:
        address, _, rest = where.rpartition(":")
        inside = rest
        address, _, host = address.rpartition(":") if address else ("", "", "")
        if not _ and host and not where.count(":") > 1:
            address = ""
    if not inside:
        raise InvalidInput(f"No port specified: {whole}<empty>", hint="write host port:container port")
    if address:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise InvalidInput(
                f"invalid IP address: {address}", hint="write address:host port:container port; names don't count"
            ) from None
    return address, host, inside


def _range(text: str, whole: str, what: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if not match:
        raise InvalidInput(
            f"invalid {what}: {text}", hint=f"in {whole!r} a number or a range like 8000-8010 goes there"
        )
    first = int(match[1])
    last = int(match[2] or first)
    if not 0 <= first <= last <= _MOST or (first == 0 and what == "containerPort"):
        raise InvalidInput(f"invalid {what}: {text}", hint=f"ports go from 1 to {_MOST}, and a range upwards")
    return first, last


def parse_port(text: str) -> tuple[str, ...]:
    """`--expose`'s value or an image's: a port or a range with a protocol, one `80/tcp` for each port."""
    ports, _, protocol = text.partition("/")
    protocol = (protocol or "tcp").lower()
    if protocol not in PROTOCOLS:
        raise InvalidInput(f"invalid proto: {protocol}", hint="/tcp, /udp or /sctp may follow the port")
    first, last = _range(ports, text, "containerPort")
    return tuple(f"{port}/{protocol}" for port in range(first, last + 1))
