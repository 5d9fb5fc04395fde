"""What people ask of networks: refused where it can't work, completed where they left it open."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core.errors import Conflict, InvalidInput, NotFound, Unsupported
from core.linux.netlink import LONGEST_NAME, MACVLAN_MODES
from core.model.ids import NAME_RULE, is_name
from core.model.network import EndpointWish, Network, NetworkSpec, Subnet
from core.model.networking import parse_alias, parse_ipv4, parse_ipv6, parse_link, parse_mac
from core.network import ipam
from core.network.ipam import Range

_DRIVERS = ("bridge", "macvlan")
_NOBODYS = ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "::/96", "::ffff:0.0.0.0/96", "ff00::/8")
"""Unspecified, loopback's, groups': no interface may have them, or what it has would be taken for the host's own."""
_OPTIONS = {
    "bridge": (
        "com.docker.network.bridge.name",
        "com.docker.network.bridge.enable_icc",
        "com.docker.network.bridge.enable_ip_masquerade",
        "com.docker.network.driver.mtu",
    ),
    "macvlan": ("parent", "macvlan_mode", "com.docker.network.driver.mtu"),
}
IFNAME, SYSCTLS = "com.docker.network.endpoint.ifname", "com.docker.network.endpoint.sysctls"
_SYSCTL = r"net\.(ipv4|ipv6|mpls)\.(conf|neigh|input)\.IFNAME\.([a-z0-9_]+)"
_SMALLEST_MTU, _LARGEST_MTU = 68, 65535
_IPV6_MTU = 1280


def check_network(spec: NetworkSpec) -> None:
    """Refuse what can't be made. Raises: InvalidInput, NotFound, Unsupported: with docker's words where it has some."""
    if not is_name(spec.name):
        raise InvalidInput(
            f"invalid network name: {spec.name!r}, only {NAME_RULE} are allowed",
            hint="begin with a letter or digit, and use two characters or more",
        )
    if spec.driver in ("host", "none", "null"):
        raise InvalidInput(f'only one instance of "{spec.driver}" network is allowed')
    if spec.driver not in _DRIVERS:
        raise NotFound(
            f'could not find plugin {spec.driver} in v1 plugin registry: plugin "{spec.driver}" not found',
            kind="driver",
            key=spec.driver,
            hint="there are bridge and macvlan",
        )
    if not spec.ipv4:
        raise Unsupported("networks without IPv4 are not built", hint="leave --ipv4=false out")
    for option in spec.options:
        if option not in _OPTIONS[spec.driver]:
            raise InvalidInput(
                f"unknown option of the {spec.driver} driver: {option!r}",
                hint=f"there are {', '.join(_OPTIONS[spec.driver])}",
            )
    mtu = spec.options.get("com.docker.network.driver.mtu")
    if mtu is not None and not (mtu.isascii() and mtu.isdigit() and _SMALLEST_MTU <= int(mtu) <= _LARGEST_MTU):
        raise InvalidInput(f"invalid MTU: {mtu!r}", hint=f"a number from {_SMALLEST_MTU} to {_LARGEST_MTU}")
    if mtu is not None and spec.ipv6 and int(mtu) < _IPV6_MTU:
        raise InvalidInput(f"invalid MTU: {mtu} is too small for IPv6", hint=f"{_IPV6_MTU} or more")
    if spec.driver == "macvlan":
        _check_macvlan(spec)
    name = spec.options.get("com.docker.network.bridge.name")
    if name is not None and not is_interface_name(name):
        raise InvalidInput(
            f"invalid interface name: {name!r}",
            hint=f"at most {LONGEST_NAME} letters, digits, dots, dashes and underscores",
        )
    for subnet in spec.subnets:
        _check_subnet(subnet)
    for number, subnet in enumerate(spec.subnets):
        for other in spec.subnets[:number]:
            if ipam.parse_range(subnet.subnet).overlaps(ipam.parse_range(other.subnet)):
                raise InvalidInput("multiple overlapping subnet configuration is not supported")
    if not spec.ipv6 and any(":" in subnet.subnet for subnet in spec.subnets):
        raise InvalidInput("an IPv6 subnet needs --ipv6", hint="add --ipv6")


def _check_macvlan(spec: NetworkSpec) -> None:
    if not spec.options.get("parent"):
        raise InvalidInput("a macvlan network needs an interface of the host's", hint="add --opt parent=NAME")
    mode = spec.options.get("macvlan_mode", "bridge")
    if mode not in MACVLAN_MODES:
        raise InvalidInput(f"requested macvlan mode '{mode}' is not valid, 'bridge' mode is the macvlan driver default")


def is_interface_name(text: str) -> bool:
    """Whether it is one interface's name everywhere: to iptables eth+ is all that begin so, to sysctl a / leads on."""
    return (
        0 < len(text) <= LONGEST_NAME
        and text.isascii()
        and text[0].isalnum()
        and all(character.isalnum() or character in "_.-" for character in text)
    )


def _check_subnet(subnet: Subnet) -> None:
    """Docker's checks of one subnet, with its words."""
    try:
        whole = ipam.parse_range(subnet.subnet)
    except ValueError:
        raise InvalidInput(
            f"invalid subnet {subnet.subnet} : invalid CIDR address: {subnet.subnet}", hint="write 10.1.0.0/16"
        ) from None
    if str(whole) != _canonical(subnet.subnet):
        raise InvalidInput(f"invalid network config:\ninvalid subnet {subnet.subnet}: it should be {whole}")
    for text in _NOBODYS:
        if whole.overlaps(ipam.parse_range(text)):
            raise InvalidInput(
                f"invalid subnet {subnet.subnet}: it overlaps {text}, whose addresses no container can have",
                hint="choose a private one, for example 10.1.0.0/16 or fd00:1::/64",
            )
    if whole.last - whole.first < 3 and whole.length < (31 if whole.family == 2 else 127):
        raise InvalidInput(f"invalid subnet {subnet.subnet}: it has no room for a container")
    if subnet.ip_range:
        try:
            within = ipam.parse_range(subnet.ip_range)
        except ValueError:
            raise InvalidInput(f"invalid ip-range {subnet.ip_range}: invalid CIDR address: {subnet.ip_range}") from None
        if within.family != whole.family or not (whole.contains(within.first) and whole.contains(within.last)):
            raise InvalidInput(f"no matching subnet for range {subnet.ip_range}")
    for what, address in (("gateway", subnet.gateway), *(("aux-address", each) for each in subnet.reserved.values())):
        if not address:
            continue
        try:
            family, number = ipam.parse_address(address)
        except ValueError:
            raise InvalidInput(f"invalid {what} {address}: it is no address") from None
        if family != whole.family or not whole.contains(number):
            raise InvalidInput(f"no matching subnet for {what} {address}")


def _canonical(text: str) -> str:
    address, _, length = text.partition("/")
    family, number = ipam.parse_address(address)
    whole = Range(family, number, int(length))
    return f"{whole.text(number)}/{int(length)}"


def chosen_subnets(spec: NetworkSpec, networks: Sequence[Network], identity: str) -> tuple[Subnet, ...]:
    """The wished subnets, or free ones, each with its gateway.

    Raises: Conflict: one overlaps another network, or none is free.
    """
    ours = [ipam.parse_range(subnet.subnet) for network in networks for subnet in network.subnets]
    chosen = []
    for subnet in spec.subnets:
        wished = ipam.parse_range(subnet.subnet)
        if spec.driver != "macvlan" and any(wished.overlaps(other) for other in (*ours, *ipam.host_ranges())):
            raise Conflict(
                "invalid pool request: Pool overlaps with other one on this address space",
                hint=f"{subnet.subnet} is in use by another network or a route of the host's: choose another one",
            )
        chosen.append(msgspec.structs.replace(subnet, subnet=str(wished)))
    taken = [*ours, *ipam.host_ranges(), *(ipam.parse_range(subnet.subnet) for subnet in chosen)]
    if not any(":" not in subnet.subnet for subnet in chosen):
        chosen.insert(0, Subnet(subnet=str(ipam.choose_ipv4(taken))))
    if spec.ipv6 and not any(":" in subnet.subnet for subnet in chosen):
        chosen.append(Subnet(subnet=str(ipam.choose_ipv6(taken, identity))))
    if spec.internal and spec.driver == "macvlan":
        return tuple(chosen)
    return tuple(ipam.completed(subnet) for subnet in chosen)


def check_endpoint(wish: EndpointWish, network: Network) -> None:
    """Refuse what a container can't have on a network. Raises: InvalidInput: with docker's words."""
    if wish.mac:
        parse_mac(wish.mac)
    parse_ipv4(wish.ipv4)
    parse_ipv6(wish.ipv6)
    if (wish.ipv4 or wish.ipv6) and not network.has_names:
        raise InvalidInput(
            "user specified IP address is supported on user defined networks only",
            hint="make one with network create",
        )
    if wish.aliases and not network.has_names:
        raise InvalidInput(
            "network-scoped aliases are only supported for user-defined networks",
            hint="make one with network create",
        )
    for alias in wish.aliases:
        parse_alias(alias)
    for option, value in wish.options.items():
        if option == IFNAME and not is_interface_name(value):
            raise InvalidInput(f"invalid interface name: {value!r}", hint=f"at most {LONGEST_NAME} characters")
        if option == SYSCTLS:
            endpoint_sysctls(wish)
        if option not in (IFNAME, SYSCTLS):
            raise InvalidInput(f"unknown driver option: {option!r}", hint=f"there are {IFNAME} and {SYSCTLS}")
    for link in wish.links:
        parse_link(link)


def endpoint_sysctls(wish: EndpointWish) -> dict[str, str]:
    """Kernel parameters of one interface: path below /proc/sys, with IFNAME in it, and value.

    Raises: InvalidInput.
    """
    if SYSCTLS not in wish.options:
        return {}
    import re

    found = {}
    for each in wish.options[SYSCTLS].split(","):
        name, equals, value = each.partition("=")
        match = re.fullmatch(_SYSCTL, name)
        if not match or not equals or not value.isascii() or not value.isprintable():
            raise InvalidInput(
                f"invalid endpoint sysctl: {each!r}", hint="write net.ipv4.conf.IFNAME.log_martians=1, IFNAME as it is"
            )
        found[f"net/{match[1]}/{match[2]}/IFNAME/{match[3]}"] = value
    return found
