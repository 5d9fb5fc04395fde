"""What a person writes about a container's networks, read and checked with docker's words."""

from __future__ import annotations

from core.errors import InvalidInput, InvalidSpec
from core.model.container import ContainerSpec
from core.model.network import BRIDGE, CONTAINER_PREFIX, HOST, NONE, PREDEFINED, DnsWish, EndpointWish

HOST_GATEWAY = "host-gateway"
"""Stands for the host's address in --add-host."""

# the standard library's re and ipaddress are imported by what uses them: a plain run needs neither
_MAC = r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}|[0-9a-f]{2}(?:-[0-9a-f]{2}){5}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*\.?"
_LONGEST_DOMAIN = 255
_NOT_YET = {
    "link-local-ip": "containers get no further link-local addresses",
    "gw-priority": "the default route goes through the first network that has a gateway",
}


def parse_network(text: str) -> EndpointWish:
    """`--network`'s value: a mode or a network, or `name=NETWORK,alias=…,ip=…,ip6=…,mac-address=…,driver-opt=K=V`.

    Raises: InvalidInput.
    """
    if "=" not in text or text.startswith(CONTAINER_PREFIX):
        if not text:
            raise InvalidInput("no name set for network", hint="network ls lists the networks there are")
        return EndpointWish(network=_mode(text))
    found: dict[str, list[str]] = {}
    for word in text.split(","):
        key, equals, value = word.partition("=")
        key, value = key.strip().lower(), value.strip()
        if not equals:
            raise InvalidInput(f"invalid field {word}", hint="write KEY=VALUE,KEY=VALUE")
        if key in _NOT_YET:
            raise InvalidInput(f"{key} is not available: {_NOT_YET[key]}", hint=f"leave {key} out")
        if key not in ("name", "alias", "ip", "ip6", "mac-address", "driver-opt"):
            raise InvalidInput(
                f"invalid field key {key}", hint="there are name, alias, ip, ip6, mac-address and driver-opt"
            )
        found.setdefault(key, []).append(value)
    if not found.get("name", [""])[-1]:
        raise InvalidInput("network name/id is not specified", hint="write name=NETWORK")
    mac = found.get("mac-address", [""])[-1]
    return EndpointWish(
        network=_mode(found["name"][-1]),
        aliases=tuple(map(parse_alias, found.get("alias", ()))),
        ipv4=parse_ipv4(found.get("ip", [""])[-1]),
        ipv6=parse_ipv6(found.get("ip6", [""])[-1]),
        mac=parse_mac(mac) if mac else "",
        options=dict(map(parse_driver_option, found.get("driver-opt", ()))),
    )


def _mode(name: str) -> str:
    """Docker's API calls the default network `default` too."""
    if name == CONTAINER_PREFIX:
        raise InvalidInput("invalid network mode: invalid container format container:<name|id>")
    return BRIDGE if name == "default" else name


def parse_ipv4(text: str) -> str:
    """An address, or nothing. Raises: InvalidInput."""
    import ipaddress

    try:
        return str(ipaddress.IPv4Address(text)) if text else ""
    except ValueError:
        raise InvalidInput(f"invalid IPv4 address: {text}", hint="write for example 172.30.0.5") from None


def parse_ipv6(text: str) -> str:
    """An address, or nothing. Raises: InvalidInput."""
    import ipaddress

    try:
        address = ipaddress.IPv6Address(text) if text else None
    except ValueError:
        address = None
    if text and (address is None or address.scope_id):
        raise InvalidInput(f"invalid IPv6 address: {text}", hint="write for example 2001:db8::33")
    return str(address) if address else ""


def parse_mac(text: str) -> str:
    """A network card's address, written with colons. Raises: InvalidInput."""
    import re

    digits = text.lower()
    plain = re.sub("[:.-]", "", digits)
    if not re.fullmatch(_MAC, digits):
        raise InvalidInput(f"{text} is not a valid mac address", hint="write for example 02:42:ac:11:00:09")
    if int(plain[:2], 16) & 1 or not int(plain, 16):
        raise InvalidInput(
            f"{text} is not a valid mac address: no single card can have it", hint="its first byte must be even"
        )
    return ":".join(plain[at : at + 2] for at in range(0, 12, 2))


def parse_alias(text: str) -> str:
    """A name that others on the network may use. Raises: InvalidInput."""
    if not text or len(text) > _LONGEST_DOMAIN or any(letter.isspace() or not letter.isprintable() for letter in text):
        raise InvalidInput(f"invalid network alias: {text!r}", hint="a name has no blanks in it")
    return text


def parse_driver_option(text: str) -> tuple[str, str]:
    """`KEY=VALUE` of `--driver-opt`. Raises: InvalidInput."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InvalidInput("invalid key value pair format in driver options", hint="write driver-opt=KEY=VALUE")
    return key.strip(), value.strip()


def parse_link(text: str) -> str:
    """`--link`'s value as `container:alias`. Raises: InvalidInput."""
    if not text:
        raise InvalidInput("empty string specified for links", hint="write CONTAINER or CONTAINER:ALIAS")
    container, colon, alias = text.partition(":")
    alias = alias if colon else container.lstrip("/")
    if not container or not alias or ":" in alias or any(c.isspace() or not c.isprintable() for c in text):
        raise InvalidInput(f"bad format for links: {text}", hint="write CONTAINER or CONTAINER:ALIAS")
    return f"{container}:{alias}"


def parse_extra_host(text: str) -> str:
    """`--add-host`'s value as `name:address`. Raises: InvalidInput."""
    name, separator, address = text.partition("=")
    if not separator:
        name, separator, address = text.partition(":")
    if not name or not separator or any(c.isspace() or not c.isprintable() for c in name):
        raise InvalidInput(f'bad format for add-host: "{text}"', hint="write NAME:ADDRESS")
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if address != HOST_GATEWAY:
        try:
            _parse_address(address)
        except ValueError:
            raise InvalidInput(
                f'invalid IP address in add-host: "{address}"', hint=f"write an address, or {HOST_GATEWAY}"
            ) from None
    return f"{name}:{address}"


def _parse_address(text: str) -> str:
    """An address of either family; the name of an interface behind it (%eth0) may hold anything, also a line's end.

    Raises: ValueError.
    """
    import ipaddress

    if "%" in text:
        raise ValueError(text)
    return str(ipaddress.ip_address(text))


def parse_dns_server(text: str) -> str:
    """`--dns`'s value. Raises: InvalidInput."""
    try:
        return _parse_address(text.strip())
    except ValueError:
        raise InvalidInput(
            f"IP address is not correctly formatted: {text}", hint="a name server is named by its address"
        ) from None


def parse_dns_search(text: str) -> str:
    """`--dns-search`'s value; a dot alone stands for no domain at all. Raises: InvalidInput."""
    import re

    domain = text.strip()
    is_domain = re.fullmatch(_DOMAIN, domain) and any(c.isalpha() for c in domain) and len(domain) <= _LONGEST_DOMAIN
    if domain != "." and not is_domain:
        raise InvalidInput(f"{text} is not a valid domain", hint="write for example example.org")
    return domain


def parse_dns_option(text: str) -> str:
    """`--dns-option`'s value. Raises: InvalidInput."""
    if not text or any(letter.isspace() or not letter.isprintable() for letter in text):
        raise InvalidInput(f"invalid DNS option: {text!r}", hint="write for example ndots:1")
    return text


def check_networking(spec: ContainerSpec) -> tuple[str, ...]:
    """Refuse what contradicts itself; what a person should know of the rest.

    Raises: InvalidSpec, InvalidInput: with docker's words.
    """
    mode, wishes = spec.network, spec.endpoints
    names = [wish.network for wish in wishes]
    for name in names:
        if names.count(name) > 1:
            raise InvalidSpec(f'network "{name}" is specified multiple times', hint="name each network once")
    modes = {mode, *names}
    if len(modes) > 1 and any(not is_network_name(name) for name in modes):
        raise InvalidSpec(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
            hint=f"leave {' and '.join(sorted(name for name in modes if not is_network_name(name)))} out",
        )
    if wishes and wishes[0].network != mode:
        raise InvalidSpec("the network mode is not the first of the networks", hint="name it first")
    for wish in wishes:
        _check_wish(wish)
    if mode.startswith(CONTAINER_PREFIX):
        _check_shared(spec)
    _check_links(spec)
    return tuple(_warnings(spec))


def is_network_name(mode: str) -> bool:
    """Whether a mode is the name of a network that somebody made."""
    return mode not in PREDEFINED and not mode.startswith(CONTAINER_PREFIX)


def _check_wish(wish: EndpointWish) -> None:
    if is_network_name(wish.network):
        return
    if wish.aliases:
        raise InvalidSpec(
            "network-scoped aliases are only supported for user-defined networks", hint="make one with network create"
        )
    if wish.ipv4 or wish.ipv6:
        raise InvalidSpec(
            "user specified IP address is supported on user defined networks only",
            hint="make one with network create --subnet",
        )
    if wish.mac and wish.network != BRIDGE:
        raise InvalidSpec("conflicting options: mac-address and the network mode", hint="leave one of the two out")


def _check_shared(spec: ContainerSpec) -> None:
    """What belongs to the container whose network is shared can't be asked for a second time."""
    conflicts = (
        (spec.hostname, "hostname and the network mode"),
        (spec.dns != DnsWish(), "dns and the network mode"),
        (spec.extra_hosts, "custom host-to-IP mapping and the network mode"),
        (spec.ports or spec.publish_all, "port publishing and the container type network mode"),
        (spec.expose, "port exposing and the container type network mode"),
    )
    for given, what in conflicts:
        if given:
            raise InvalidSpec(
                f"conflicting options: {what}", hint="give it to the container whose network is shared instead"
            )


def _check_links(spec: ContainerSpec) -> None:
    if not any(wish.links for wish in spec.endpoints) or is_network_name(spec.network) or spec.network == BRIDGE:
        return
    kind = {HOST: "host type networking", NONE: "a container without a network"}
    what = kind.get(spec.network, "container type network")
    raise InvalidSpec(
        f"conflicting options: {what} can't be used with links. This would result in undefined behavior",
        hint="leave --link out, or put both containers on one network",
    )


def _warnings(spec: ContainerSpec) -> list[str]:
    found = []
    if spec.network in (HOST, NONE) and (spec.ports or spec.publish_all):
        found.append(f"Published ports are discarded when using {spec.network} network mode")
    if spec.network != HOST and spec.dns.servers:
        import ipaddress

        local = [server for server in spec.dns.servers if ipaddress.ip_address(server).is_loopback]
        found += [f"Localhost DNS ({server}) may fail in containers." for server in local]
    return found
