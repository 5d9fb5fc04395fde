"""Ports as people name them in filters (`80`, `8000-8010/udp`), and as lists show them (`0.0.0.0:8080->80/tcp`)."""

from __future__ import annotations

from collections.abc import Iterable

from core.errors import InvalidInput
from core.model.container import Container, Running
from core.model.ports import LARGEST_PORT, PROTOCOLS, PublishedPort


def parse_ports(text: str, *, what: str) -> frozenset[str]:
    """Every port of a filter's value as `80/tcp`; tcp where no protocol is named.

    Raises: InvalidInput: naming what it was for.
    """
    numbers, _, protocol = text.partition("/")
    first, dash, last = numbers.partition("-")
    low, high = _number(first, text, what), _number(last if dash else first, text, what)
    protocol = protocol.lower() or "tcp"
    if low > high or protocol not in PROTOCOLS:
        raise _refusal(text, what)
    return frozenset(f"{number}/{protocol}" for number in range(low, high + 1))


def _number(text: str, whole: str, what: str) -> int:
    if not (text.isdigit() and text.isascii()) or int(text) > LARGEST_PORT:
        raise _refusal(whole, what)
    return int(text)


def _refusal(text: str, what: str) -> InvalidInput:
    return InvalidInput(f"invalid {what} '{text}'", hint="write for example 80, 53/udp or 8000-8010/tcp")


def host_address(port: PublishedPort) -> str:
    """Where it is reached: `0.0.0.0:8080`, `[::]:8080`."""
    host = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip
    return f"{host}:{port.host_port}"


def open_ports(container: Container) -> tuple[str, ...]:
    """Ports it exposes and nobody outside reaches, as `80/tcp`: known of a running one with an address."""
    state = container.state
    if not isinstance(state, Running) or not state.endpoints:
        return ()
    published = {f"{port.container_port}/{port.protocol}" for port in state.ports}
    return tuple(port for port in container.config.exposed_ports if port not in published)


def ports_text(container: Container) -> str:
    """The PORTS column. Neighbours that keep their number are one range; what gets another number comes last."""
    state = container.state
    if not isinstance(state, Running):
        return ""
    known = [(int(number), "", 0, protocol) for number, _, protocol in _parted(open_ports(container))]
    known += [(port.container_port, port.host_ip, port.host_port, port.protocol) for port in state.ports]
    ranges: dict[tuple[str, str], tuple[int, int]] = {}
    broken_off: list[str] = []
    renumbered: list[str] = []
    for number, host_ip, host_port, protocol in sorted(known):
        if host_ip and host_port != number:
            outside = PublishedPort(container_port=number, host_ip=host_ip, host_port=host_port)
            renumbered.append(f"{host_address(outside)}->{number}/{protocol}")
            continue
        key = host_ip, protocol
        first, last = ranges.get(key, (number, number - 1))
        if number != last + 1:
            broken_off.append(_range_text(key, first, last))
            first = number
        ranges[key] = first, number
    rest = [_range_text(key, first, last) for key, (first, last) in ranges.items()]
    return ", ".join([*broken_off, *rest, *renumbered])


def _parted(ports: Iterable[str]) -> list[tuple[str, str, str]]:
    return [port.partition("/") for port in ports]


def _range_text(key: tuple[str, str], first: int, last: int) -> str:
    host_ip, protocol = key
    numbers = str(first) if first == last else f"{first}-{last}"
    if not host_ip:
        return f"{numbers}/{protocol}"
    host = f"[{host_ip}]" if ":" in host_ip else host_ip
    return f"{host}:{numbers}->{numbers}/{protocol}"
