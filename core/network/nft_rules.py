"""The table of one engine: what its containers may send where, as nf_tables' rules.

All that differs between hosts is in sets and maps; the rules are the same everywhere:

    bridges      interfaces of our networks            lans       the same, twice: what stays on one network
    internal     those with no way out                 separated  those whose containers don't see each other
    masqueraded  those that go out by the host's address
    published…   ports of the host: core.monitor.port_maps

`nft list table inet <tag>` shows all of it.
"""

from __future__ import annotations

import _socket as socket  # the library around it takes 2 ms to import, of every start
import errno
from collections.abc import Iterator

from core.linux import nftables as nft
from core.linux.nftables import BRIDGE, INET, Nftables, Table
from core.model.network import Network
from core.monitor import port_maps
from core.monitor.port_maps import PORT_MAPS, Mapping
from core.network import guard_rules, iptables
from core.network.iptables import NO_MASQUERADE, NO_NEIGHBOURS, is_off

BRIDGES, LANS, INTERNAL, SEPARATED, MASQUERADED = "bridges", "lans", "internal", "separated", "masqueraded"
_IPV4, _IPV6 = bytes([socket.AF_INET]), bytes([10])
_LOOPBACK4 = bytes([127])
_LOOPBACK6 = socket.inet_pton(socket.AF_INET6, "::1")
_TO_PORTS = "to_published"


def skeleton(table: Table) -> list[bytes]:
    """The table with everything but its elements."""
    interface = (nft.INTERFACE,)
    messages = [table.make()]
    for number, name in enumerate((BRIDGES, INTERNAL, SEPARATED, MASQUERADED), 1):
        messages.append(table.set(name, interface, number=number))
    messages.append(table.set(LANS, interface * 2, number=5))
    messages += [table.set(one.name, one.key, one.data, number=10 + number) for number, one in enumerate(PORT_MAPS)]
    return [*messages, *_filters(table), *_redirects(table), *_masquerades(table)]


def _filters(table: Table) -> Iterator[bytes]:
    comes_in, goes_out = nft.meta(nft.IIFNAME), nft.meta(nft.OIFNAME)
    drop, accept = nft.verdict(nft.DROP), nft.verdict(nft.ACCEPT)
    stays = comes_in + nft.meta(nft.OIFNAME, to=4) + nft.is_in(LANS)
    ours = comes_in + nft.is_in(BRIDGES)
    to_us = goes_out + nft.is_in(BRIDGES)

    yield table.chain("spoofed", "filter", "prerouting", nft.RAW)
    unspecified = _has_family(_IPV6) + nft.payload(nft.NETWORK_HEADER, 8, 16) + nft.equals(bytes(16))
    yield table.rule("spoofed", ours, unspecified, accept)  # who looks for an address has none yet
    yield table.rule("spoofed", ours, nft.has_no_way_back(), drop)

    # who has no way out reaches the host at its network's gateway alone
    yield table.chain("input", "filter", "input", nft.FILTER)
    elsewhere = nft.goes_to(nft.UNICAST, of_its_interface=True)
    yield table.rule("input", comes_in + nft.is_in(INTERNAL), elsewhere, drop)

    yield table.chain("forward", "filter", "forward", nft.FILTER)
    yield table.rule("forward", comes_in + nft.is_not_in(SEPARATED), stays, accept)
    yield table.rule("forward", comes_in + nft.is_in(INTERNAL), drop)
    yield table.rule("forward", goes_out + nft.is_in(INTERNAL), drop)
    yield table.rule("forward", to_us, nft.has_state(nft.ESTABLISHED_OR_RELATED), accept)
    yield table.rule("forward", to_us, nft.is_redirected(), accept)
    yield table.rule("forward", to_us, drop)  # other networks, and whoever routes to us


def _redirects(table: Table) -> Iterator[bytes]:
    """To published ports, of packets for any address of the host but loopback's: see core.monitor.publishing."""
    yield table.chain(_TO_PORTS)
    protocol = nft.meta(nft.L4PROTO)
    for one in PORT_MAPS:
        words = one.address.length // 4
        key = protocol
        if one.has_host_address:
            offset = 24 if one.is_ipv6 else 16
            key = _has_family(_IPV6 if one.is_ipv6 else _IPV4) + protocol
            key += nft.payload(nft.NETWORK_HEADER, offset, one.address.length, to=1)
        key += nft.payload(nft.TRANSPORT_HEADER, 2, 2, to=1 + words * one.has_host_address)
        family = 10 if one.is_ipv6 else socket.AF_INET
        yield table.rule(_TO_PORTS, key, nft.mapped(one.name), nft.redirect(family, address=0, port=words))
    for hook in ("prerouting", "output"):
        yield table.chain(hook, "nat", hook, nft.DESTINATION_NAT)
        if hook == "prerouting":
            # our own containers take the socket: where bridges are filtered (br_netfilter), a packet that is led back
            # to the port it came from would be lost
            yield table.rule(hook, nft.meta(nft.IIFNAME), nft.is_in(BRIDGES), nft.verdict(nft.RETURN))
        first_byte = nft.payload(nft.NETWORK_HEADER, 16, 1) + nft.equals(_LOOPBACK4)
        yield table.rule(hook, _has_family(_IPV4), first_byte, nft.verdict(nft.RETURN))
        whole = nft.payload(nft.NETWORK_HEADER, 24, 16) + nft.equals(_LOOPBACK6)
        yield table.rule(hook, _has_family(_IPV6), whole, nft.verdict(nft.RETURN))
        yield table.rule(hook, nft.goes_to(nft.LOCAL), nft.jump(_TO_PORTS))


def _masquerades(table: Table) -> Iterator[bytes]:
    comes_in, goes_out = nft.meta(nft.IIFNAME), nft.meta(nft.OIFNAME)
    yield table.chain("postrouting", "nat", "postrouting", nft.SOURCE_NAT)
    leaves = comes_in + nft.is_in(MASQUERADED) + goes_out + nft.is_not_in(BRIDGES)
    yield table.rule("postrouting", leaves, nft.masquerade())


def _has_family(family: bytes) -> bytes:
    return nft.meta(nft.NFPROTO) + nft.equals(family)


def _memberships(network: Network) -> dict[str, bytes]:
    """The sets that a network's bridge is in."""
    name = nft.interface(network.interface)
    found = {BRIDGES: name, LANS: name * 2}
    if network.internal:
        found[INTERNAL] = name
    elif not is_off(network, NO_MASQUERADE):
        found[MASQUERADED] = name
    if is_off(network, NO_NEIGHBOURS):
        found[SEPARATED] = name
    return found


class NftablesFirewall:
    """One table for each engine; it comes with the first network and goes with the last."""

    name = "nftables"

    def table(self, tag: str) -> str:
        """Where monitors put published ports."""
        return tag

    def add_network(self, tag: str, network: Network) -> list[str]:
        """Whatever is missing of it, also after somebody has flushed all rules. Raises: OSError."""
        table = Table(INET, tag)
        memberships = _memberships(network)
        with Nftables() as socket:
            while True:
                generation = socket.generation()
                messages = [] if socket.has_table(table) else skeleton(table)
                messages += [table.add(name, key) for name, key in memberships.items()]
                try:
                    socket.commit(messages, generation=generation)
                except OSError as error:
                    if error.errno != errno.ERESTART:  # else somebody was faster: look again
                        raise
                else:
                    break
            _add_guard(socket, tag)
        for tool in iptables.strangers():
            iptables.add(tool, tag, network, alone=False)
        return []

    def has_network(self, tag: str, network: Network) -> bool:
        """Whether all of it is there. Raises: OSError."""
        table = Table(INET, tag)
        with Nftables() as socket:
            if not all(socket.has_element(table, name, key) for name, key in _memberships(network).items()):
                return False
        return iptables.is_let_through(tag, network.interface)

    def remove_network(self, tag: str, network: Network) -> None:
        """All of it, and what was published from it; the table too if it was the last. Raises: OSError."""
        for tool in iptables.ours(tag):
            iptables.remove(tool, tag, network.interface)
        table = Table(INET, tag)
        name = nft.interface(network.interface)
        with Nftables() as socket:
            while socket.has_table(table):
                generation = socket.generation()
                if set(socket.elements(table, BRIDGES)) <= {name}:
                    messages = [one.delete() for one in _tables(tag) if socket.has_table(one)]
                else:
                    messages = list(_leave(socket, table, name)) + list(_unpublish(socket, table, network))
                    messages += guard_rules.leftovers(socket, tag)
                try:
                    if messages:
                        socket.commit(messages, generation=generation)
                except OSError as error:
                    if error.errno not in (errno.ERESTART, errno.ENOENT):
                        raise
                else:
                    return

    def remove_all(self, tag: str) -> None:
        """The tables, whoever still uses them. Raises: OSError."""
        for tool in iptables.ours(tag):
            iptables.remove_all(tool, tag)
        with Nftables() as socket:
            for table in _tables(tag):
                try:
                    socket.commit([table.delete()])
                except FileNotFoundError:
                    pass

    def bridges(self, tag: str) -> set[str]:
        """Interfaces that the table knows. Raises: OSError."""
        with Nftables() as socket:
            try:
                found = socket.elements(Table(INET, tag), BRIDGES)
            except FileNotFoundError:
                return set()
        return {name.rstrip(b"\0").decode() for name in found}

    def published(self, tag: str) -> list[Mapping]:
        """Ports that lead anywhere. Raises: OSError."""
        with Nftables() as socket:
            return port_maps.read(socket, Table(INET, tag))

    def unpublish(self, tag: str, mappings: list[Mapping]) -> None:
        """Take away what a killed monitor has left. Raises: OSError."""
        with Nftables() as socket:
            port_maps.remove(socket, Table(INET, tag), mappings)
            if forgotten := guard_rules.leftovers(socket, tag):
                socket.commit(forgotten)


def _tables(tag: str) -> tuple[Table, Table]:
    return Table(INET, tag), Table(BRIDGE, tag)


def _add_guard(socket: Nftables, tag: str) -> None:
    """The table on bridges, where the kernel filters them; elsewhere neighbours are trusted."""
    while not socket.has_table(Table(BRIDGE, tag)):
        try:
            socket.commit([*guard_rules.skeleton(tag)], generation=socket.generation())
        except OSError as error:
            if error.errno != errno.ERESTART:
                return


def _leave(socket: Nftables, table: Table, name: bytes) -> Iterator[bytes]:
    for one, key in ((BRIDGES, name), (INTERNAL, name), (SEPARATED, name), (MASQUERADED, name), (LANS, name * 2)):
        if key in socket.elements(table, one):
            yield table.remove(one, key)


def _unpublish(socket: Nftables, table: Table, network: Network) -> Iterator[bytes]:
    import ipaddress

    subnets = [ipaddress.ip_network(one.subnet, strict=False) for one in network.subnets if one.subnet]
    for mapping in port_maps.read(socket, table):
        if any(ipaddress.ip_address(mapping.address) in subnet for subnet in subnets):
            yield table.remove(mapping.map.name, mapping.key)
