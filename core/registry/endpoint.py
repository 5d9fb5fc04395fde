"""Which servers a reference's host stands for, in the order in which they are asked, and what is demanded of them."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

import msgspec

from core.model.registry import DOCKER_HUB
from core.model.registry_settings import LOOPBACK, RegistrySettings

HUB_ADDRESS = "registry-1.docker.io"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One server."""

    host: str
    """As references and keyrings name it: `docker.io`, `localhost:5000`; of a mirror its own."""
    address: str
    """Where it is asked: host[:port]."""
    schemes: tuple[str, ...] = ("https",)
    """In the order in which they are tried."""
    is_verified: bool = True
    """Whether its certificate counts."""
    networks: tuple[str, ...] = ()
    """Where it must lie, when it is trusted for lying there: a name may mean another address a moment later."""
    is_mirror: bool = False


def endpoints_of(host: str, settings: RegistrySettings) -> list[Endpoint]:
    """Whom to ask for what lies at a host; looks up its addresses where it may lie in an insecure network."""
    if host != DOCKER_HUB:
        return [_endpoint(host, host, settings)]
    mirrors = [_mirror(url, settings) for url in settings.mirrors]
    return [*mirrors, Endpoint(host=DOCKER_HUB, address=HUB_ADDRESS)]


def origin_of(host: str, settings: RegistrySettings) -> Endpoint:
    """The server itself, not its mirrors: who takes what is pushed."""
    return endpoints_of(host, settings)[-1]


def _mirror(url: str, settings: RegistrySettings) -> Endpoint:
    parts = urlsplit(url)
    found = _endpoint(parts.netloc, parts.netloc, settings)
    return msgspec.structs.replace(found, schemes=(parts.scheme,), is_mirror=True)


def _endpoint(host: str, address: str, settings: RegistrySettings) -> Endpoint:
    if host in settings.insecure:
        return Endpoint(host=host, address=address, schemes=("https", "http"), is_verified=False)
    networks = tuple(entry for entry in settings.insecure if "/" in entry) + LOOPBACK
    if _lies_in(host, networks):
        return Endpoint(host=host, address=address, schemes=("https", "http"), is_verified=False, networks=networks)
    return Endpoint(host=host, address=address)


def _lies_in(host: str, networks: tuple[str, ...]) -> bool:
    """Whether all addresses of a host lie in networks."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        addresses = [str(ipaddress.ip_address(name))]
    except ValueError:
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return False
        addresses = [str(entry[4][0]) for entry in found]
    return bool(addresses) and all(is_within(address, networks) for address in addresses)


def is_within(address: str, networks: tuple[str, ...]) -> bool:
    """Whether an address, written out, lies in one of some networks."""
    try:
        there = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(there, ipaddress.IPv6Address) and there.ipv4_mapped:
        there = there.ipv4_mapped
    return any(there in ipaddress.ip_network(network) for network in networks)
