"""Published ports: the forms of `-p`, and what they come to.

[[address:][host port or range]:]container port or range[/tcp|udp|sctp]       [::1]:8080:80, or 2001:db8::1:8080:80
target=80,published=8080,protocol=tcp,mode=host
"""

from __future__ import annotations

import re

import msgspec

from core.errors import InvalidInput

PROTOCOLS = ("tcp", "udp", "sctp")
LARGEST_PORT = 65535
_RANGE = re.compile(r"0*([0-9]{1,5})(?:-0*([0-9]{1,5}))?")
_LONG_FIELDS = ("target", "published", "protocol", "mode")


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
    where, _, protocol = (_from_long_form(text) if "=" in text else text).partition("/")
    protocol = _protocol(protocol)
    address, host, inside = _split(where)
    if not inside:
        raise InvalidInput(f"no port specified: {text}<empty>", hint="write host port:container port")
    host_ip = _address(address)
    first, last = _range(inside, "containerPort")
    host_first, host_last = _range(host, "hostPort") if host else (0, 0)
    if first == last:  # of a host's range the first free port is taken
        last_of_range = host_last if host_last > host_first else 0
        wish = PortWish(
            container_port=first, protocol=protocol, host_ip=host_ip, host_first=host_first, host_last=last_of_range
        )
        return (wish,)
    if host_first and host_last - host_first != last - first:
        raise InvalidInput(
            f"invalid ranges specified for container and host Ports: {inside} and {host}",
            hint="both ranges must have the same length",
        )
    step = 1 if host_first else 0
    return tuple(
        PortWish(container_port=port, protocol=protocol, host_ip=host_ip, host_first=host_first + (port - first) * step)
        for port in range(first, last + 1)
    )


def parse_expose(text: str) -> tuple[str, ...]:
    """`--expose`'s value: a port or a range with a protocol; one `80/tcp` for each port.

    Raises: InvalidInput: with docker's words.
    """
    ports, _, protocol = text.partition("/")
    if ":" in ports:
        raise InvalidInput(
            f"invalid port format for --expose: {text}", hint="write a container's port; -p publishes one"
        )
    protocol = _protocol(protocol)
    try:
        first, last = _range(ports, "containerPort")
    except InvalidInput:
        raise InvalidInput(
            f"invalid range format for --expose: {text}", hint="write for example 80, 53/udp or 8000-8010"
        ) from None
    return tuple(f"{port}/{protocol}" for port in range(first, last + 1))


def parse_port(text: str) -> tuple[int, str]:
    """One port of a container, `80` or `53/udp`, as number and protocol. Raises: InvalidInput."""
    number, _, protocol = text.partition("/")
    first, last = _range(number, "port")
    if first == 0 or first != last:
        raise InvalidInput(f"invalid port: {text}", hint="write one port, for example 80 or 53/udp")
    return first, _protocol(protocol)


def _from_long_form(text: str) -> str:
    fields = {}
    for word in text.split(","):
        key, equals, value = word.partition("=")
        key = key.strip().lower()
        if not equals or key not in _LONG_FIELDS:
            raise InvalidInput(f"invalid field key {key} in {text}", hint=f"there are {', '.join(_LONG_FIELDS)}")
        fields[key] = value.strip()
    if fields.get("mode", "host") not in ("host", "ingress"):
        raise InvalidInput(
            f"invalid publish mode {fields['mode']} in {text}", hint="leave mode out, or write mode=host"
        )
    return f"{fields.get('published', '')}:{fields.get('target', '')}/{fields.get('protocol', 'tcp')}"


def _protocol(text: str) -> str:
    protocol = text.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise InvalidInput(f"invalid proto: {text}", hint="/tcp, /udp or /sctp may follow the port")
    return protocol


def _split(where: str) -> tuple[str, str, str]:
    """Address, host port and container port, from the right: an address without brackets may have colons of its own."""
    rest, _, inside = where.rpartition(":")
    address, _, host = rest.rpartition(":")
    return address, host, inside


def _address(text: str) -> str:
    """An address without its brackets, as the standard library writes it; empty stays empty."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not bare:
        return ""
    import ipaddress  # only for an address: a plain run needs none

    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        address = None
    if address is None or getattr(address, "scope_id", None):
        raise InvalidInput(
            f"invalid IP address: {text}", hint="write address:host port:container port, an IPv6 address in [ ]"
        )
    return str(address)


def _range(text: str, what: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    # a host's port 0 is any free one; nothing can listen at a container's, and a range from 0 on means nothing
    if not 0 <= first <= last <= LARGEST_PORT or (first == 0 and (what == "containerPort" or last > 0)):
        raise InvalidInput(f"invalid {what}: {text}", hint=f"ports go from 1 to {LARGEST_PORT}, and a range upwards")
    return first, last
