"""The firewall that this host has, of the kinds there are."""

from __future__ import annotations

from typing import Protocol

from core.linux.nftables import Nftables
from core.model.network import Network
from core.monitor.port_maps import Mapping
from core.network import iptables
from core.network.iptables import IptablesFirewall
from core.network.nft_rules import NftablesFirewall


class Firewall(Protocol):
    """What keeps networks apart and lets them out. Every call may be repeated. Raises: OSError."""

    name: str

    def table(self, tag: str) -> str:
        """What monitors are to know it by: SandboxNetwork.table."""

    def add_network(self, tag: str, network: Network) -> list[str]:
        """Let a bridge's network live; what can't be had here comes back as sentences."""

    def has_network(self, tag: str, network: Network) -> bool:
        """Whether that still stands: a look of a few microseconds, for every start."""

    def remove_network(self, tag: str, network: Network) -> None:
        """To the last rule."""

    def remove_all(self, tag: str) -> None:
        """Everything of one engine."""

    def bridges(self, tag: str) -> set[str]:
        """Interfaces it has rules for, to find leftovers by."""

    def published(self, tag: str) -> list[Mapping]:
        """Ports that lead into containers."""

    def unpublish(self, tag: str, mappings: list[Mapping]) -> None:
        """Let these lead nowhere."""


class NoFirewall:
    """Neither nf_tables nor iptables: ports are passed on by monitors, and nothing gets out by the host's address."""

    name = "none"

    def table(self, _tag: str) -> str:
        """There is none."""
        return ""

    def add_network(self, _tag: str, network: Network) -> list[str]:
        """Says what is missing."""
        return [
            f"network {network.name}: there is neither nf_tables nor iptables here: nothing keeps it apart from other"
            " networks, its containers reach no other hosts, and monitors pass ports on"
        ]

    def has_network(self, _tag: str, _network: Network) -> bool:
        """There is nothing to stand."""
        return True

    def remove_network(self, _tag: str, _network: Network) -> None:
        """Nothing was made."""

    def remove_all(self, _tag: str) -> None:
        """Nothing was made."""

    def bridges(self, _tag: str) -> set[str]:
        """None."""
        return set()

    def published(self, _tag: str) -> list[Mapping]:
        """None."""
        return []

    def unpublish(self, _tag: str, _mappings: list[Mapping]) -> None:
        """None are."""


def choose(kind: str = "") -> Firewall:
    """The best this host has, or of the wanted kind where it has that.

    Args: kind: nftables, iptables or none; empty: any.
    """
    if kind in ("", "nftables") and has_nftables():
        return NftablesFirewall()
    if kind in ("", "iptables"):
        for tools in ("", "legacy"):
            if iptables.works(tools):
                return IptablesFirewall(tools)
    return NoFirewall()


def has_nftables() -> bool:
    """Whether the kernel has them, and lets us."""
    try:
        with Nftables() as nftables:
            nftables.generation()
    except OSError:
        return False
    return True
