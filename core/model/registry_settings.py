"""How registries are reached, as the settings file and the environment have it."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

import msgspec

from core.errors import InvalidInput

_HOST = re.compile(r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")

LOOPBACK = ("127.0.0.0/8", "::1/128")
"""Networks that are always spoken to as if they were insecure registries."""


class Proxies(msgspec.Struct, frozen=True, kw_only=True):
    """Who passes requests on; empty: nobody. Its text hides what a URL may hold of a password."""

    http: str = ""
    https: str = ""
    none_for: str = ""
    """Hosts that are reached without: names, `.domain`, addresses, networks, separated by commas; `*`: all."""

    def __repr__(self) -> str:
        return "Proxies(…)" if self != Proxies() else "Proxies()"


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Docker's keys of daemon.json, with docker's defaults."""

    mirrors: tuple[str, ...] = ()
    """URLs that are asked before Docker Hub, in order."""
    insecure: tuple[str, ...] = ()
    """Hosts (`name[:port]`) and networks that may be spoken to without a certificate, and without TLS."""
    downloads: int = 3
    """Blobs that are fetched at once."""
    uploads: int = 5
    attempts: int = 5
    """How often a blob is tried."""
    proxies: Proxies = Proxies()


def check_mirror(url: str) -> str:
    """A mirror's URL, without a slash at its end. Raises: InvalidInput: in docker's words."""
    try:
        parts = urlsplit(url)
        is_host = bool(parts.hostname) and _HOST.fullmatch(parts.netloc.rpartition("@")[2]) is not None
        _ = parts.port
    except ValueError:
        raise InvalidInput(f"invalid mirror: {url!r} is not a valid URI") from None
    if parts.username is not None or parts.password is not None:
        raise InvalidInput(
            "invalid mirror: username/password not allowed in URI", hint="log in to the mirror's host instead"
        )
    if parts.scheme not in ("http", "https"):
        raise InvalidInput(
            f"invalid mirror: unsupported scheme {parts.scheme!r} in {url!r}", hint="begin it with https://"
        )
    if not is_host:
        raise InvalidInput(f"invalid mirror: {url!r} is not a valid URI")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidInput(f"invalid mirror: path, query, or fragment at end of the URI {url!r}")
    return f"{parts.scheme}://{parts.netloc}"


def check_insecure(entry: str) -> str:
    """A host or a network. Raises: InvalidInput: in docker's words."""
    if "/" in entry:
        try:
            return str(ipaddress.ip_network(entry, strict=False))
        except ValueError:
            pass
    elif _HOST.fullmatch(entry):
        return entry
    if "://" in entry:
        raise InvalidInput(f"insecure registry {entry!r} should not contain '://'", hint="write host[:port]")
    raise InvalidInput(f"insecure registry {entry!r} is not valid: invalid host", hint="write host[:port] or a network")
