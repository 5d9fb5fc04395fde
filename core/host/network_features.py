"""What networks need of a host: something that redirects and keeps apart, and packets that are passed on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from core.linux import nftables as nft
from core.linux.nftables import INET, Nftables, Table
from core.model.host_report import HostFeature

_NAME = "network firewall"
_SBIN = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def network_features() -> Iterator[HostFeature]:
    """The firewall first."""
    yield _firewall()
    yield _forwarding()


def _firewall() -> HostFeature:
    """The kinds of rules that networks are made of, shown to the kernel without taking effect."""
    if os.geteuid() != 0:
        return HostFeature(name=_NAME, standing="note", found="tried as root only")
    try:
        _try_rules()
    except OSError as error:
        lacking = (error.strerror or str(error)).lower()
    else:
        return HostFeature(name=_NAME, standing="ok", found="nf_tables")
    if tool := shutil.which("iptables", path=_SBIN):
        return HostFeature(
            name=_NAME,
            standing="note",
            found=f"iptables ({tool}); {lacking}",
            consequence="published ports are passed on by monitors: containers see their bridge as the client",
            remedy="boot a kernel with CONFIG_NF_TABLES_INET, CONFIG_NFT_NAT, CONFIG_NFT_MASQ and CONFIG_NFT_FIB_INET",
        )
    return HostFeature(
        name=_NAME,
        standing="warning",
        found=f"none: {lacking}",
        consequence="networks are not kept apart and reach no other hosts; published ports are passed on by monitors",
        remedy="boot a kernel with nf_tables, or apt-get install iptables",
    )


def _try_rules() -> None:
    """Raises: OSError: the kernel lacks one of them."""
    table = Table(INET, "trial")
    asked = nft.meta(nft.L4PROTO) + nft.payload(nft.TRANSPORT_HEADER, 2, 2, to=1)
    with Nftables() as nftables:
        nftables.check(
            [
                table.make(),
                table.set("ports", (nft.PROTOCOL, nft.PORT), (nft.IPV4_ADDRESS, nft.PORT), number=1),
                table.chain("in", "nat", "prerouting", nft.DESTINATION_NAT),
                table.rule(
                    "in", nft.goes_to(nft.LOCAL), asked, nft.mapped("ports"), nft.redirect(2, address=0, port=1)
                ),
                table.chain("out", "nat", "postrouting", nft.SOURCE_NAT),
                table.rule("out", nft.has_state(nft.ESTABLISHED_OR_RELATED), nft.masquerade()),
            ]
        )


def _forwarding() -> HostFeature:
    name = "packet forwarding"
    try:
        is_on = Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "1"
    except OSError as error:
        return HostFeature(name=name, standing="note", found=f"can't be seen: {(error.strerror or str(error)).lower()}")
    if is_on:
        return HostFeature(name=name, standing="ok", found="net.ipv4.ip_forward is 1")
    return HostFeature(
        name=name,
        standing="note",
        found="net.ipv4.ip_forward is 0",
        consequence="the first network of containers sets it to 1, as Docker's daemon does",
        remedy="sysctl -w net.ipv4.ip_forward=1, and the same in /etc/sysctl.d to choose it yourself",
    )
