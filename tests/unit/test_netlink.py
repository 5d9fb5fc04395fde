"""Our rtnetlink messages against pyroute2's classes: what they read out of ours, and our bytes against theirs."""

from __future__ import annotations

from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from core.linux import netlink

MAC = "02:42:ac:11:00:02"
_REQUEST_ACK_CREATE_EXCL = 0x605


def decoded(kind: type, data: bytes) -> Any:
    message = kind(data)
    message.decode()
    return message


def encoded(kind: type, number: int, flags: int, fields: dict[str, Any]) -> bytes:
    message = kind()
    message.update(fields)
    message["header"]["type"], message["header"]["flags"] = number, flags
    message.encode()
    return bytes(message.data)


def test_a_veth_is_byte_for_byte_as_pyroute2_writes_it() -> None:
    ours = netlink.new_veth("veth1234567", "eth0", namespace=7, master=3, mtu=1400, mac=MAC)
    peer = {
        "attrs": [("IFLA_IFNAME", "eth0"), ("IFLA_MTU", 1400), ("IFLA_ADDRESS", MAC), ("IFLA_NET_NS_FD", 7)],
    }
    info = {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", peer)]})]}
    attrs = [("IFLA_IFNAME", "veth1234567"), ("IFLA_MTU", 1400), ("IFLA_MASTER", 3)]
    attrs.append(("IFLA_LINKINFO", info))
    theirs = encoded(ifinfmsg, 16, _REQUEST_ACK_CREATE_EXCL, {"flags": 1, "change": 1, "attrs": attrs})
    assert ours == theirs


@pytest.mark.parametrize(("mode", "number"), [("private", 1), ("vepa", 2), ("bridge", 4), ("passthru", 8)])
def test_a_macvlan_is_read_as_meant(mode: str, number: int) -> None:
    ours = netlink.new_macvlan("eth1", parent=2, namespace=9, mode=mode, mtu=0, mac=MAC)
    message = decoded(ifinfmsg, ours)
    info = message.get_attr("IFLA_LINKINFO")
    assert info.get_attr("IFLA_INFO_KIND") == "macvlan"
    assert int.from_bytes(ours[ours.index(b"macvlan\0") + 16 :][:4], "little") == number
    assert message.get_attr("IFLA_LINK") == 2
    assert message.get_attr("IFLA_ADDRESS") == MAC
    assert message.get_attr("IFLA_MTU") is None


@pytest.mark.parametrize(
    ("address", "length", "family", "flags", "broadcast"),
    [
        ("172.17.0.2", 16, 2, 0, "172.17.255.255"),
        ("10.0.0.1", 31, 2, 0, None),
        ("fd00::2", 64, 10, 2, None),
    ],
)
def test_an_address_is_byte_for_byte_as_pyroute2_writes_it(
    address: str, length: int, family: int, flags: int, broadcast: str | None
) -> None:
    attrs = [("IFA_LOCAL", address), ("IFA_ADDRESS", address)]
    if broadcast:
        attrs.append(("IFA_BROADCAST", broadcast))
    fields = {"family": family, "prefixlen": length, "flags": flags, "index": 5, "attrs": attrs}
    assert netlink.add_address(5, address, length) == encoded(ifaddrmsg, 20, _REQUEST_ACK_CREATE_EXCL, fields)


@pytest.mark.parametrize(("gateway", "family"), [("172.17.0.1", 2), ("fd00::1", 10)])
def test_a_default_route_is_byte_for_byte_as_pyroute2_writes_it(gateway: str, family: int) -> None:
    attrs = [("RTA_GATEWAY", gateway), ("RTA_OIF", 5)]
    fields = {"family": family, "table": 254, "proto": 3, "scope": 0, "type": 1, "attrs": attrs}
    assert netlink.add_default_route(5, gateway) == encoded(rtmsg, 24, _REQUEST_ACK_CREATE_EXCL, fields)


def test_setting_and_deleting_are_read_as_meant() -> None:
    assert decoded(ifinfmsg, netlink.set_up(4))["flags"] == 1
    assert decoded(ifinfmsg, netlink.set_alias("wh1", "wharf-1 one")).get_attr("IFLA_IFALIAS") == "wharf-1 one"
    gone = decoded(ifinfmsg, netlink.delete_link("veth1"))
    assert gone["header"]["type"] == 17
    assert gone.get_attr("IFLA_IFNAME") == "veth1"
    address = decoded(ifaddrmsg, netlink.delete_address(4, "10.0.0.2", 24))
    assert (address["header"]["type"], address["prefixlen"], address.get_attr("IFA_LOCAL")) == (21, 24, "10.0.0.2")


def test_the_hosts_links_are_as_the_kernel_files_tell() -> None:
    from pathlib import Path

    kernel = netlink.Netlink()
    try:
        loopback = kernel.link("lo")
        assert loopback is not None
        assert loopback.mtu == int(Path("/sys/class/net/lo/mtu").read_text())
        assert loopback.number == int(Path("/sys/class/net/lo/ifindex").read_text())
        assert loopback in kernel.links()
        assert loopback.number in kernel.traffic()
        assert kernel.link("no-such-link") is None
        assert kernel.link("a-name-that-no-interface-can-have") is None
    finally:
        kernel.close()


def test_a_refusal_names_the_kernels_reason() -> None:
    kernel = netlink.Netlink()
    try:
        with pytest.raises(OSError, match=r"No such device|Operation not permitted"):
            kernel.ask(netlink.delete_link("whnothere0"))
    finally:
        kernel.close()
