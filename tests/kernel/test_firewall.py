"""The firewall's table as the kernel has it, in network namespaces of the tests' own."""

from __future__ import annotations

import errno
import multiprocessing
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.linux import nftables as nft
from core.linux.nftables import BRIDGE, INET, Nftables, Table
from core.model.network import Network, Subnet
from core.monitor import port_maps
from core.monitor.guard import GUARDED, SENDERS, SOURCES4, SOURCES6, Guard
from core.monitor.port_maps import Mapping
from core.network.nft_rules import NftablesFirewall
from tests.network_lab import Space

TAG = "wharf-lab"
GOLDEN = Path(__file__).parents[1] / "golden" / "nftables.txt"


@pytest.fixture
def host() -> Iterator[Space]:
    with Space() as space:
        yield space


def network(name: str, **fields: Any) -> Network:
    return Network(name=name, id="0" * 64, created_ns=1, driver="bridge", interface=name, **fields)


MAPPINGS = [
    Mapping("tcp", "0.0.0.0", 8080, "172.30.1.2", 80),
    Mapping("udp", "192.0.2.1", 53, "172.30.1.2", 5353),
    Mapping("sctp", "::", 9, "fd00:30:1::2", 9),
    Mapping("tcp", "fd00::1", 65535, "fd00:30:1::2", 1),
]


ENDPOINT = {"host_interface": "veth1234567", "mac": "02:42:ac:1e:01:02", "ipv4": "172.30.1.2", "ipv6": "fd00:30:1::2"}
LISTING = f"nft -p list table inet {TAG}; nft -p list table bridge {TAG}"


def test_the_tables_are_as_the_golden_text_has_them(host: Space) -> None:
    """What `nft -p` reads out of the kernel."""
    host.run(make_golden)
    assert host.shell(LISTING) == GOLDEN.read_text()


def make_golden() -> None:
    firewall = NftablesFirewall()
    firewall.add_network(TAG, network("whred"))
    firewall.add_network(TAG, network("whshut", internal=True))
    with Nftables() as socket:
        port_maps.add(socket, Table(INET, TAG), MAPPINGS)
    Guard(TAG).watch([{"driver": "bridge", "endpoint": ENDPOINT}])


def test_SN10_what_was_said_of_interfaces_that_are_gone_is_forgotten(host: Space) -> None:
    host.ip("link add veth7654321 type veth peer name other")

    def come_and_go() -> list[int]:
        firewall, found = NftablesFirewall(), []
        for name in ("whred", "whblue"):
            firewall.add_network(TAG, network(name))
        guard = Guard(TAG)
        for endpoints in ([], [ENDPOINT], [ENDPOINT, {**ENDPOINT, "host_interface": "veth7654321"}], [ENDPOINT]):
            guard.watch([{"driver": "bridge", "endpoint": one} for one in endpoints])
            found.append(guarded())
        Guard(TAG).watch([{"driver": "bridge", "endpoint": {**ENDPOINT, "host_interface": "veth7654321"}}])
        firewall.remove_network(TAG, network("whblue"))  # the first one's is gone without a word
        found.append(guarded())
        return found

    assert host.run(come_and_go) == [0, 1, 2, 1, 1]


def guarded() -> int:
    with Nftables() as socket:
        counts = {
            name: len(socket.elements(Table(BRIDGE, TAG), name)) for name in (GUARDED, SENDERS, SOURCES4, SOURCES6)
        }
    assert counts[SENDERS] == counts[GUARDED]
    assert counts[SOURCES4] == counts[SOURCES6] == 2 * counts[GUARDED]
    return counts[GUARDED]


def test_options_choose_the_sets_a_bridge_is_in(host: Space) -> None:
    options = {
        "com.docker.network.bridge.enable_ip_masquerade": "false",
        "com.docker.network.bridge.enable_icc": "false",
    }
    host.run(NftablesFirewall().add_network, TAG, network("whopen", options=options))
    assert "whopen" not in host.shell(f"nft list set inet {TAG} masqueraded")
    assert "whopen" in host.shell(f"nft list set inet {TAG} separated")


def test_E1_published_ports_are_read_as_they_were_written(host: Space) -> None:
    def write_and_read() -> list[Mapping]:
        NftablesFirewall().add_network(TAG, network("whred"))
        with Nftables() as socket:
            port_maps.add(socket, Table(INET, TAG), MAPPINGS)
        return NftablesFirewall().published(TAG)

    assert sorted(host.run(write_and_read)) == sorted(MAPPINGS)


def test_E1_what_a_killed_monitor_has_left_is_replaced(host: Space) -> None:
    def publish_twice() -> list[Mapping]:
        NftablesFirewall().add_network(TAG, network("whred"))
        with Nftables() as socket:
            table = Table(INET, TAG)
            for address in ("172.30.1.2", "172.30.1.2", "172.30.1.3"):
                port_maps.add(socket, table, [MAPPINGS[0]._replace(address=address)])
            port_maps.remove(socket, table, [MAPPINGS[0]])  # leads elsewhere by now: not ours to take away
        return NftablesFirewall().published(TAG)

    assert host.run(publish_twice) == [MAPPINGS[0]._replace(address="172.30.1.3")]


def test_E1_thousands_of_ports_are_more_than_a_socket_takes_at_once(host: Space) -> None:
    mappings = [Mapping("tcp", "0.0.0.0", port, "172.30.1.2", port) for port in range(10000, 15000)]

    def publish() -> int:
        nft._SEND_BUFFER_BYTES = 106496  # twice that is what kernels begin with
        NftablesFirewall().add_network(TAG, network("whred"))
        with Nftables() as socket:
            table = Table(INET, TAG)
            port_maps.add(socket, table, mappings)
            found = set(port_maps.read(socket, table))
            port_maps.remove(socket, table, mappings)
            assert port_maps.read(socket, table) == []
        return len(found & set(mappings))

    assert host.run(publish) == len(mappings)


def test_SN11_a_network_takes_what_was_published_from_it_along(host: Space) -> None:
    def leave() -> list[Mapping]:
        firewall = NftablesFirewall()
        red = network("whred", subnets=(Subnet(subnet="172.30.1.0/24"), Subnet(subnet="fd00:30:1::/64")))
        firewall.add_network(TAG, red)
        firewall.add_network(TAG, network("whblue"))
        with Nftables() as socket:
            port_maps.add(socket, Table(INET, TAG), [*MAPPINGS, Mapping("tcp", "0.0.0.0", 81, "172.30.2.2", 81)])
        firewall.remove_network(TAG, red)
        return firewall.published(TAG)

    assert host.run(leave) == [Mapping("tcp", "0.0.0.0", 81, "172.30.2.2", 81)]


def test_a_flushed_ruleset_is_noticed_and_made_again(host: Space) -> None:
    firewall = NftablesFirewall()
    red = network("whred")
    host.run(firewall.add_network, TAG, red)
    before = host.shell("nft list ruleset")
    assert host.run(firewall.has_network, TAG, red)
    host.shell("nft flush ruleset")
    assert not host.run(firewall.has_network, TAG, red)
    host.run(firewall.add_network, TAG, red)
    host.run(firewall.add_network, TAG, red)
    assert host.shell("nft list ruleset") == before


def test_many_engines_at_once_make_one_table_and_leave_none(host: Space) -> None:
    """Adding and removing race each other; at the end the table is as with one alone, and then gone."""

    def come_and_go(number: int) -> None:
        firewall = NftablesFirewall()
        for _ in range(20):
            firewall.add_network(TAG, network(f"wh{number}"))
            assert firewall.has_network(TAG, network(f"wh{number}"))
            firewall.remove_network(TAG, network(f"wh{number}"))
            assert not firewall.has_network(TAG, network(f"wh{number}"))

    def race() -> list[int]:
        children = [multiprocessing.get_context("fork").Process(target=come_and_go, args=(n,)) for n in range(4)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        return [child.exitcode or 0 for child in children]

    assert host.run(race) == [0, 0, 0, 0]
    assert host.shell("nft list ruleset") == ""


def test_a_batch_is_taken_as_a_whole_or_not_at_all(host: Space) -> None:
    def commit() -> int:
        table = Table(INET, TAG)
        with Nftables() as socket:
            with pytest.raises(FileNotFoundError):
                socket.commit([table.make(), table.remove("nothing", nft.interface("x")), table.chain("after")])
            assert not socket.has_table(table)
            with pytest.raises(OSError, match="restarted") as raised:
                socket.commit([table.make()], generation=socket.generation() + 1)
            assert not socket.has_table(table)
            socket.commit([table.make()], generation=socket.generation())
            assert socket.tables(INET) == [TAG]
        return raised.value.errno or 0

    assert host.run(commit) == errno.ERESTART


def test_without_the_right_to_it_is_said(host: Space) -> None:
    def commit() -> int:
        os.setresuid(65534, 65534, 65534)
        try:
            with Nftables() as socket:
                socket.commit([Table(INET, TAG).make()])
        except OSError as error:
            return error.errno or 0
        return 0

    assert host.run(commit) == errno.EPERM


def test_the_policy_of_other_tables_is_seen(host: Space) -> None:
    host.shell("iptables-nft -P FORWARD DROP; iptables-nft -N DOCKER-USER")

    def look() -> list[int | None]:
        with Nftables() as socket:
            table = Table(nft.IPV4, "filter")
            return [socket.policy(table, chain) for chain in ("FORWARD", "DOCKER-USER", "nothing")]

    assert host.run(look) == [nft.DROP, nft.ACCEPT, None]


def test_what_is_only_tried_changes_nothing(host: Space) -> None:
    from core.host import network_features

    def look() -> list[tuple[str, str]]:
        return [(feature.standing, feature.found) for feature in network_features.network_features()]

    firewall, forwarding = host.run(look)
    assert firewall == ("ok", "nf_tables")
    assert forwarding == ("note", "net.ipv4.ip_forward is 0") or forwarding[0] == "ok"
    assert host.shell("nft list ruleset") == ""


def test_what_the_kernel_would_refuse_is_told_without_trying(host: Space) -> None:
    def check() -> bool:
        with Nftables() as socket, pytest.raises(FileNotFoundError):
            socket.check([Table(INET, TAG).make(), Table(INET, TAG).remove("nothing", nft.interface("x"))])
        with Nftables() as socket:
            return socket.has_table(Table(INET, TAG))

    assert host.run(check) is False
