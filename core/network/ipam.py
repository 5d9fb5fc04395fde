"""Addresses: which subnet a network gets, and which address of it a container.

An address is claimed by symlink(2), so that any number of engines may do so at once without a lock.
"""

from __future__ import annotations

import _socket
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from core.errors import Conflict, EngineError, InvalidInput
from core.model.network import Subnet

_AF_INET, _AF_INET6 = 2, 10
_FIRST_IPV4_POOL = (
    *((f"172.{second}.0.0", 16) for second in range(17, 32)),
    *((f"192.168.{third}.0", 20) for third in range(0, 256, 16)),
)
"""What docker takes when nothing is asked for."""


class Range(NamedTuple):
    """A subnet by its numbers."""

    family: int
    first: int
    length: int
    """Of the prefix."""

    @property
    def last(self) -> int:
        """Its highest address."""
        return self.first | (1 << self._bits - self.length) - 1

    @property
    def _bits(self) -> int:
        return 32 if self.family == _AF_INET else 128

    def overlaps(self, other: Range) -> bool:
        """Whether they have an address in common."""
        return self.family == other.family and self.first <= other.last and other.first <= self.last

    def contains(self, number: int) -> bool:
        """Whether an address (of the same family) lies in it."""
        return self.first <= number <= self.last

    def text(self, number: int) -> str:
        """An address of it as people write it."""
        return _socket.inet_ntop(self.family, number.to_bytes(self._bits // 8, "big"))

    def __str__(self) -> str:
        return f"{self.text(self.first)}/{self.length}"


def parse_address(text: str) -> tuple[int, int]:
    """Family and number. Raises: ValueError."""
    family = _AF_INET6 if ":" in text else _AF_INET
    try:
        return family, int.from_bytes(_socket.inet_pton(family, text), "big")
    except (OSError, UnicodeError):
        raise ValueError(f"{text!r} is no address") from None


def parse_range(text: str) -> Range:
    """`172.18.0.0/16`; bits below the prefix are dropped. Raises: ValueError."""
    address, slash, digits = text.partition("/")
    family, number = parse_address(address)
    bits = 32 if family == _AF_INET else 128
    if not slash or not digits.isascii() or not digits.isdigit() or int(digits) > bits:
        raise ValueError(f"{text!r} is no subnet")
    length = int(digits)
    return Range(family, number >> bits - length << bits - length, length)


def host_ranges() -> list[Range]:
    """Where the host has routes to, the default ones left out."""
    found = []
    for line in _lines("/proc/net/route")[1:]:
        fields = line.split()
        mask = int.from_bytes(bytes.fromhex(fields[7])[::-1], "big")
        if mask:
            first = int.from_bytes(bytes.fromhex(fields[1])[::-1], "big")
            found.append(Range(_AF_INET, first, mask.bit_count()))
    for line in _lines("/proc/net/ipv6_route"):
        fields = line.split()
        first, length = int(fields[0], 16), int(fields[1], 16)
        is_local_only = first >> 120 == 0xFF or first >> 118 == 0x3FA  # multicast, fe80::/10
        if length and not is_local_only and fields[9] != "lo":
            found.append(Range(_AF_INET6, first, length))
    return found


def _lines(path: str) -> list[str]:
    try:
        with open(path) as file:
            return file.read().splitlines()
    except OSError:
        return []  # a kernel without that family


def choose_ipv4(taken: Iterable[Range]) -> Range:
    """A subnet that overlaps nothing. Raises: Conflict: all of docker's pools are in use."""
    occupied = list(taken)
    for address, length in _FIRST_IPV4_POOL:
        candidate = parse_range(f"{address}/{length}")
        if not any(candidate.overlaps(other) for other in occupied):
            return candidate
    raise Conflict(
        "all predefined address pools have been fully subnetted",
        hint="name a subnet with --subnet, or remove networks that nobody uses: network prune",
    )


def choose_ipv6(taken: Iterable[Range], identity: str) -> Range:
    """A /64 of a unique local prefix (RFC 4193) that follows from the data root's own number."""
    occupied = list(taken)
    prefix = 0xFD << 120 | int(identity[:10], 16) << 80
    for number in range(1, 1 << 16):
        candidate = Range(_AF_INET6, prefix | number << 64, 64)
        if not any(candidate.overlaps(other) for other in occupied):
            return candidate
    raise Conflict("no IPv6 subnet is left", hint="name one with --subnet")


def completed(subnet: Subnet) -> Subnet:
    """With its gateway: the first address where none is asked for."""
    if subnet.gateway:
        return subnet
    whole = parse_range(subnet.subnet)
    low = parse_range(subnet.ip_range).first if subnet.ip_range else whole.first
    first = low if low != whole.first or whole.first == whole.last else low + 1
    return Subnet(
        subnet=subnet.subnet, gateway=whole.text(first), ip_range=subnet.ip_range, reserved=dict(subnet.reserved)
    )


def claim(
    addresses: Path,
    subnet: Subnet,
    owner: str,
    *,
    wish: str = "",
    release_dead: Callable[[], None],
) -> str:
    """Take an address for a container: the wished one, or the lowest that is free.

    Args: addresses: the network's directory of them. release_dead: gives back what containers hold
        that ended without a word; called once, when there seems to be nothing left.
    Raises: Conflict: it is taken, or none is left. InvalidInput: the wish lies outside.
    """
    try:
        if wish:
            return _claim_wished(addresses, subnet, owner, wish, release_dead)
        for attempt in (1, 2):
            taken = set(os.listdir(addresses))
            for address in _free(subnet, taken):
                if _take(addresses / address, owner):
                    return address
            if attempt == 1:
                release_dead()
    except OSError as error:
        raise EngineError(f"cannot claim an address in {addresses}: {error.strerror}") from error
    raise Conflict(
        f"no available IPv4 addresses on this network's address pools: {subnet.subnet}"
        if ":" not in subnet.subnet
        else f"no available IPv6 addresses on this network's address pools: {subnet.subnet}",
        hint="stop a container that is on it, or make a larger network",
    )


def _claim_wished(addresses: Path, subnet: Subnet, owner: str, wish: str, release_dead: Callable[[], None]) -> str:
    whole = parse_range(subnet.subnet)
    family, number = parse_address(wish)
    if family != whole.family or not whole.contains(number):
        raise InvalidInput(
            f"invalid endpoint settings: no configured subnet contains IP address {wish}",
            hint=f"choose one of {subnet.subnet}",
        )
    address = whole.text(number)
    if number not in _kept_back(subnet):
        for attempt in (1, 2):
            if _take(addresses / address, owner):
                return address
            if attempt == 1:
                release_dead()
    raise Conflict("Address already in use", hint=f"{address} is taken: choose another one, or none")


def _free(subnet: Subnet, taken: set[str]) -> Iterator[str]:
    whole = parse_range(subnet.subnet)
    within = parse_range(subnet.ip_range) if subnet.ip_range else whole
    kept_back = _kept_back(subnet)
    for number in range(within.first, within.last + 1):
        if number not in kept_back and (address := whole.text(number)) not in taken:
            yield address


def _kept_back(subnet: Subnet) -> set[int]:
    """The network's own address, the broadcast, the gateway, and what was reserved."""
    whole = parse_range(subnet.subnet)
    kept = {parse_address(text)[1] for text in (subnet.gateway, *subnet.reserved.values()) if text}
    if whole.family == _AF_INET6:
        kept.add(whole.first)
    elif whole.length < 31:
        kept |= {whole.first, whole.last}
    return kept


def _take(path: Path, owner: str) -> bool:
    try:
        os.symlink(owner, path)
    except FileExistsError:
        return False
    return True
