"""Which proxy leads to a server: what daemon.json says, else what the environment says, as docker's daemon has it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from core.model.registry_settings import Proxies


def configured_proxies(settings: Proxies, environment: Mapping[str, str]) -> Proxies:
    """The settings' proxies, what they leave open filled in from HTTP_PROXY, HTTPS_PROXY and NO_PROXY."""

    def told(name: str) -> str:
        return environment.get(name, "") or environment.get(name.lower(), "")

    # HTTP_PROXY in capitals could come from a request's header under CGI; here nobody serves requests
    return Proxies(
        http=settings.http or told("HTTP_PROXY"),
        https=settings.https or told("HTTPS_PROXY"),
        none_for=settings.none_for or told("NO_PROXY"),
    )


def proxy_for(url: str, proxies: Proxies) -> str:
    """The proxy's URL, empty for none. Loopback is never asked of a proxy."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    proxy = proxies.https if parts.scheme == "https" else proxies.http
    if not proxy or _is_excepted(host, port, proxies.none_for):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_excepted(host: str, port: int | None, none_for: str) -> bool:
    address = _address(host)
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    for entry in none_for.split(","):
        entry = entry.strip().lower()
        if not entry:
            continue
        if entry == "*":
            return True
        if "/" in entry and address is not None:
            try:
                if address in ipaddress.ip_network(entry, strict=False):
                    return True
            except ValueError:
                pass
            continue
        name, colon, wanted = entry.rpartition(":")
        if colon and wanted.isdigit() and not entry.endswith("]") and name.count(":") == 0:
            if int(wanted) != port:
                continue
            entry = name
        entry = entry.strip("[]").removeprefix("*")
        if host == entry.removeprefix(".") and (not entry.startswith(".") or address is None):
            return True
        if address is None and host.endswith(entry if entry.startswith(".") else f".{entry}"):
            return True
    return False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
