"""iptables, by its tool: where there is no nf_tables, and beside others whose FORWARD chain lets nothing through.

    FORWARD ▶ <tag>-forward ▶ <tag>-to     who may reach a bridge
                            ▶ <tag>-from   where its containers may go
    INPUT   ▶ <tag>-input                  who has no way out reaches the host at its gateway alone
    POSTROUTING ▶ <tag>-out   PREROUTING (raw) ▶ <tag>-raw

An accept of nf_tables' ends nothing for iptables' chains: beside dockerd, whose policy is DROP, a bridge needs
both. Every rule carries "<tag> <bridge>" as its comment, by which it is found again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from core.linux.nftables import DROP, IPV4, IPV6, Nftables, Table
from core.model.network import Network
from core.monitor.port_maps import Mapping

if TYPE_CHECKING:
    import subprocess

NO_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
NO_NEIGHBOURS = "com.docker.network.bridge.enable_icc"
_WAIT_S = "5"
"""For iptables' own lock."""
_DOCKERS = ("docker+", "br-+")
"""Docker's bridges: what may reach their containers is for Docker's rules."""


class Rule(NamedTuple):
    """A rule of one of our chains."""

    table: str
    chain: str
    text: str


class Chain(NamedTuple):
    """A chain of ours, and the one it is called from."""

    table: str
    name: str
    parent: str


def _chains(tag: str) -> list[Chain]:
    return [
        Chain("filter", f"{tag}-forward", "FORWARD"),
        Chain("filter", f"{tag}-from", f"{tag}-forward"),
        Chain("filter", f"{tag}-to", f"{tag}-forward"),  # made last, so called first
        Chain("filter", f"{tag}-input", "INPUT"),
        Chain("nat", f"{tag}-out", "POSTROUTING"),
        Chain("raw", f"{tag}-raw", "PREROUTING"),
    ]


def is_off(network: Network, option: str) -> bool:
    """Whether an option that is on by default is not."""
    return network.options.get(option, "true").lower() in ("false", "0")


def _passing(tag: str, network: Network) -> Iterator[Rule]:
    """Who may send through the host to whom."""
    bridge = network.interface
    to, out = f"{tag}-to", f"{tag}-from"
    if not is_off(network, NO_NEIGHBOURS):
        yield Rule("filter", to, f"-i {bridge} -o {bridge} -j ACCEPT")
    if network.internal:
        yield Rule("filter", to, f"-o {bridge} -j DROP")
        yield Rule("filter", out, f"-i {bridge} -j DROP")
        return
    yield Rule("filter", to, f"-o {bridge} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
    yield Rule("filter", to, f"-o {bridge} -m conntrack --ctstate DNAT -j ACCEPT")
    yield Rule("filter", to, f"-o {bridge} -j DROP")
    for others in _DOCKERS:
        yield Rule("filter", out, f"-i {bridge} -o {others} -j RETURN")
    yield Rule("filter", out, f"-i {bridge} -j ACCEPT")


def _rest(tag: str, network: Network, *, is_ipv6: bool) -> Iterator[Rule]:
    """What nf_tables does where it is there."""
    bridge = network.interface
    yield Rule("raw", f"{tag}-raw", f"-i {bridge} -m rpfilter --invert -j DROP")
    if network.internal:
        yield Rule("filter", f"{tag}-input", f"-i {bridge} -m addrtype --dst-type UNICAST --limit-iface-in -j DROP")
    elif not is_off(network, NO_MASQUERADE):
        for one in network.subnets:
            if (":" in one.subnet) is is_ipv6:
                yield Rule("nat", f"{tag}-out", f"-s {one.subnet} ! -o {bridge} -j MASQUERADE")


class Tool(NamedTuple):
    """One of the iptables commands: of a family, and of a kind (iptables-nft, iptables-legacy)."""

    path: str
    is_ipv6: bool

    def rules(self, table: str, chain: str = "") -> list[str]:
        """As `-S` tells them; none where there is no such chain. Raises: OSError: the tool does not work here."""
        done = self._run(["-w", _WAIT_S, "-t", table, "-S", *([chain] if chain else [])])
        return done.stdout.splitlines() if done.returncode == 0 else []

    def make_chain(self, chain: Chain) -> None:
        """With a call of it at its parent's beginning, unless that is there. Raises: OSError."""
        self._run(["-w", _WAIT_S, "-t", chain.table, "-N", chain.name])
        call = ["-j", chain.name]
        if self._run(["-w", _WAIT_S, "-t", chain.table, "-C", chain.parent, *call]).returncode:
            self._must(["-w", _WAIT_S, "-t", chain.table, "-I", chain.parent, "1", *call])

    def remove_chain(self, chain: Chain) -> None:
        """With all calls of it; one that is not there is gone."""
        while not self._run(["-w", _WAIT_S, "-t", chain.table, "-D", chain.parent, "-j", chain.name]).returncode:
            pass
        for what in ("-F", "-X"):
            self._run(["-w", _WAIT_S, "-t", chain.table, what, chain.name])

    def change(self, table: str, lines: list[str]) -> None:
        """Lines that begin with -A or -D, all or none. Raises: OSError: with the tool's words."""
        import subprocess

        text = "\n".join((f"*{table}", *lines, "COMMIT", ""))
        done = subprocess.run(
            [f"{self.path}-restore", "--noflush", "-w", _WAIT_S],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OSError(0, _last_line(done.stderr), self.path)

    def _run(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        import subprocess  # nearly no start needs it

        return subprocess.run([self.path, *arguments], capture_output=True, text=True, check=False)

    def _must(self, arguments: list[str]) -> None:
        done = self._run(arguments)
        if done.returncode:
            raise OSError(0, _last_line(done.stderr), self.path)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it failed without a word"])[-1]


def find_tools(kind: str = "") -> list[Tool]:
    """The commands for both families. Args: kind: nft or legacy; empty: what the host has chosen."""
    import shutil

    found = []
    for name, is_ipv6 in (("iptables", False), ("ip6tables", True)):
        if path := (kind and shutil.which(f"{name}-{kind}")) or shutil.which(name):
            found.append(Tool(path, is_ipv6))
    return found


def add(tool: Tool, tag: str, network: Network, *, alone: bool) -> None:
    """The rules of a network, unless they are there. Args: alone: there is no nf_tables. Raises: OSError."""
    rules = list(_passing(tag, network))
    if alone:
        rules += _rest(tag, network, is_ipv6=tool.is_ipv6)
    mark = f"{tag} {network.interface}"
    for chain in _chains(tag):
        wanted = [rule.text for rule in rules if (rule.table, rule.chain) == (chain.table, chain.name)]
        if not wanted and not chain.name.endswith("-forward"):
            continue
        tool.make_chain(chain)
        if wanted and not any(f'"{mark}"' in line for line in tool.rules(chain.table, chain.name)):
            tool.change(chain.table, [f'-A {chain.name} -m comment --comment "{mark}" {text}' for text in wanted])


def remove(tool: Tool, tag: str, bridge: str) -> None:
    """The rules of a network, and our chains with the last one's. Raises: OSError."""
    mark = f'"{tag} {bridge}"'
    is_used = False
    for chain in _chains(tag):
        lines = tool.rules(chain.table, chain.name)
        ours = [line for line in lines if mark in line]
        if ours:
            tool.change(chain.table, [line.replace("-A", "-D", 1) for line in ours])
        is_used = is_used or any(f'"{tag} ' in line for line in lines if line not in ours)
    if not is_used:
        remove_all(tool, tag)


def remove_all(tool: Tool, tag: str) -> None:
    """All of our chains."""
    for chain in reversed(_chains(tag)):
        if tool.rules(chain.table, chain.name):
            tool.remove_chain(chain)


def bridges(tool: Tool, tag: str) -> set[str]:
    """Interfaces that there are rules for."""
    found = set()
    for line in tool.rules("filter", f"{tag}-to"):
        _, _, rest = line.partition(f'"{tag} ')
        if rest:
            found.add(rest.partition('"')[0])
    return found


# ── beside others ──────────────────────────────────────────────────────────────────────────────


def strangers() -> list[Tool]:
    """The tools whose FORWARD chain judges packets of ours too: somebody uses it. Raises: OSError."""
    found = [tool for tool in find_tools("nft") if _is_judging(tool.is_ipv6)]
    return found + [tool for tool in _legacy_tools() if _is_judged(tool.rules("filter", "FORWARD"))]


def ours(tag: str) -> list[Tool]:
    """The tools by which there are chains of ours. Raises: OSError."""
    found = []
    with Nftables() as nftables:
        for is_ipv6 in (False, True):
            if nftables.policy(_filter_table(is_ipv6), f"{tag}-forward") is not None:
                found += [tool for tool in find_tools("nft") if tool.is_ipv6 == is_ipv6]
    return found + [tool for tool in _legacy_tools() if tool.rules("filter", f"{tag}-forward")]


def _legacy_tools() -> list[Tool]:
    """For families where somebody uses them; to look by the tool would make the tables."""
    families = [is_ipv6 for is_ipv6 in (False, True) if _has_legacy_filter(is_ipv6)]
    return [tool for tool in find_tools("legacy") if tool.is_ipv6 in families] if families else []


def _is_judged(forward: list[str]) -> bool:
    return bool(forward) and forward != ["-P FORWARD ACCEPT"]


def _filter_table(is_ipv6: bool) -> Table:
    return Table(IPV6 if is_ipv6 else IPV4, "filter")


def _is_judging(is_ipv6: bool) -> bool:
    table = _filter_table(is_ipv6)
    with Nftables() as nftables:
        policy = nftables.policy(table, "FORWARD")
        return policy is not None and (policy == DROP or bool(nftables.rules(table, "FORWARD")))


def _has_legacy_filter(is_ipv6: bool) -> bool:
    try:
        with open("/proc/net/ip6_tables_names" if is_ipv6 else "/proc/net/ip_tables_names") as file:
            return "filter" in file.read().split()
    except OSError:
        return False


def is_let_through(tag: str, bridge: str) -> bool:
    """Whether whoever uses FORWARD as well has our rules there. Raises: OSError."""
    for is_ipv6 in (False, True):
        table = _filter_table(is_ipv6)
        if _is_judging(is_ipv6):
            with Nftables() as nftables:
                called = any(f"{tag}-forward".encode() in rule for rule in nftables.rules(table, "FORWARD"))
                if not called or not any(bridge.encode() in rule for rule in nftables.rules(table, f"{tag}-to")):
                    return False
    for tool in _legacy_tools():
        lines = tool.rules("filter", "FORWARD")
        if _is_judged(lines) and (f"-A FORWARD -j {tag}-forward" not in lines or bridge not in bridges(tool, tag)):
            return False
    return True


class IptablesFirewall:
    """All by iptables: for kernels without nf_tables. Published ports are passed on by monitors."""

    name = "iptables"

    def __init__(self, kind: str = "") -> None:
        self._tools = find_tools(kind)

    def table(self, _tag: str) -> str:
        """None that a monitor could write to."""
        return ""

    def add_network(self, tag: str, network: Network) -> list[str]:
        """Both families, as far as there are tools for them. Raises: OSError."""
        for tool in self._tools:
            add(tool, tag, network, alone=True)
        if network.ipv6 and not any(tool.is_ipv6 for tool in self._tools):
            return [
                f"network {network.name}: there is no ip6tables here: its IPv6 is not kept apart, and has no way out"
            ]
        return []

    def has_network(self, tag: str, network: Network) -> bool:
        """Whether rules of it are there, in all families. Raises: OSError."""
        return all(network.interface in bridges(tool, tag) for tool in self._tools)

    def remove_network(self, tag: str, network: Network) -> None:
        """Its rules; the chains with the last one's. Raises: OSError."""
        for tool in self._tools:
            remove(tool, tag, network.interface)

    def remove_all(self, tag: str) -> None:
        """The chains."""
        for tool in self._tools:
            remove_all(tool, tag)

    def bridges(self, tag: str) -> set[str]:
        """Interfaces that there are rules for. Raises: OSError."""
        return set().union(*(bridges(tool, tag) for tool in self._tools))

    def published(self, _tag: str) -> list[Mapping]:
        """None: monitors do it."""
        return []

    def unpublish(self, _tag: str, _mappings: list[Mapping]) -> None:
        """There are none."""


def works(kind: str = "") -> bool:
    """Whether there is a tool, and it can read its tables here."""
    try:
        return bool(os.geteuid() == 0 and any(tool.rules("filter") for tool in find_tools(kind)))
    except OSError:
        return False
