"""Subnets, gateways, ranges and reserved addresses as `network create` names them, brought together."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

import msgspec

from core.errors import InvalidInput
from core.model.network import Subnet

_Block = ipaddress.IPv4Network | ipaddress.IPv6Network
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def join_subnets(
    subnets: Sequence[str], *, ranges: Sequence[str] = (), gateways: Sequence[str] = (), reserved: Iterable[str] = ()
) -> tuple[Subnet, ...]:
    """Give every range, gateway and `name=address` to the subnet it lies in.

    Raises: InvalidInput: with docker's words.
    """
    if len(ranges) > len(subnets) or len(gateways) > len(subnets):
        raise InvalidInput(
            "every ip-range or gateway must have a corresponding subnet", hint="name the --subnet they lie in, too"
        )
    blocks: list[_Block] = []
    for text in subnets:
        block = parse_subnet(text)
        if any(_overlap(block, other) for other in blocks):
            raise InvalidInput(
                "multiple overlapping subnet configuration is not supported", hint="each subnet has its own addresses"
            )
        blocks.append(block)
    found = [Subnet(subnet=str(block)) for block in blocks]
    for text in ranges:
        block = parse_subnet(text, what="range")
        at = _home(blocks, block, f"no matching subnet for range {text}")
        _refuse_second("ranges", "on", found[at].ip_range, text, blocks[at])
        found[at] = msgspec.structs.replace(found[at], ip_range=str(block))
    for text in gateways:
        address = _parse_address(text, "gateway")
        at = _home(blocks, address, f"no matching subnet for gateway {text}")
        _refuse_second("gateways", "for", found[at].gateway, text, blocks[at])
        found[at] = msgspec.structs.replace(found[at], gateway=str(address))
    for text in reserved:
        name, equals, written = text.partition("=")
        if not name or not equals:
            raise InvalidInput(f"bad format for aux-address: {text}", hint="write NAME=ADDRESS")
        address = _parse_address(written, "aux-address")
        at = _home(blocks, address, f"no matching subnet for aux-address {written}")
        found[at] = msgspec.structs.replace(found[at], reserved={**found[at].reserved, name: str(address)})
    return tuple(found)


def parse_subnet(text: str, *, what: str = "subnet") -> _Block:
    """A block of addresses such as 172.30.0.0/16. Raises: InvalidInput."""
    try:
        if "/" not in text:
            raise ValueError
        block = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise InvalidInput(
            f"invalid {what} {text}: invalid CIDR block notation", hint="write for example 172.30.0.0/16"
        ) from None
    if str(block.network_address) != str(ipaddress.ip_address(text.partition("/")[0])):
        raise InvalidInput(f"invalid {what} {text}: it should be {block}", hint=f"write {block}")
    return block


def _parse_address(text: str, what: str) -> _Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise InvalidInput(f"invalid {what} address: {text}", hint="write for example 172.30.0.1") from None


def _home(blocks: Sequence[_Block], inner: _Block | _Address, refusal: str) -> int:
    for at, block in enumerate(blocks):
        if block.version == inner.version and _contains(block, inner):
            return at
    raise InvalidInput(refusal, hint="name the --subnet it lies in, too")


def _contains(block: _Block, inner: _Block | _Address) -> bool:
    if isinstance(inner, ipaddress.IPv4Network | ipaddress.IPv6Network):
        return inner.prefixlen >= block.prefixlen and inner.network_address in block
    return inner in block


def _overlap(one: _Block, other: _Block) -> bool:
    return one.version == other.version and (one.network_address in other or other.network_address in one)


def _refuse_second(what: str, where: str, first: str, second: str, block: _Block) -> None:
    if first:
        raise InvalidInput(
            f"cannot configure multiple {what} ({second}, {first}) {where} the same subnet ({block})",
            hint="leave one of them out",
        )
