"""Who is called what on a container's networks, as their `endpoints/` say.

Read again when a directory has changed: whoever joins or leaves writes one file.
"""

from __future__ import annotations

import ipaddress
import json
import os
import time
from collections.abc import Sequence
from typing import Any

_SETTLED_NS = 100_000_000
"""A directory that has changed later than this ago may change once more within one tick of the clock."""
_LARGEST_BYTES = 1 << 20


class _NamesOfNetwork:
    """One network's names and addresses."""

    def __init__(self, directory: str) -> None:
        self._directory = f"{directory}/endpoints"
        self._changed_ns = -1
        self.addresses: dict[str, list[str]] = {}
        """By name, in both families."""
        self.names: dict[str, str] = {}
        """By address."""
        self.of_container: dict[str, list[str]] = {}

    def refresh(self) -> None:
        """Look whether anybody has come or gone."""
        try:
            changed_ns = os.stat(self._directory).st_mtime_ns
        except OSError:
            changed_ns = -1
        if changed_ns == self._changed_ns:
            return
        is_settled = 0 <= changed_ns < time.time_ns() - _SETTLED_NS
        self._changed_ns = changed_ns if is_settled else -2
        self.addresses, self.names, self.of_container = {}, {}, {}
        for endpoint in _endpoints(self._directory):
            self._take(endpoint)

    def _take(self, endpoint: dict[str, Any]) -> None:
        found = [text for key in ("ipv4", "ipv6") if (text := _address(endpoint.get(key)))]
        network, container = str(endpoint.get("network", "")), str(endpoint.get("container_name", ""))
        self.of_container.setdefault(str(endpoint.get("container_id", "")), []).extend(found)
        names = endpoint.get("names")
        for name in {str(name).lower() for name in names} if isinstance(names, list) else ():
            for full in (name, f"{name}.{network.lower()}"):
                self.addresses.setdefault(full, []).extend(found)
        for text in found:
            self.names[text] = f"{container}.{network}" if container else network


def _endpoints(directory: str) -> list[dict[str, Any]]:
    found = []
    try:
        files = sorted(name for name in os.listdir(directory) if name.endswith(".json"))
    except OSError:
        return []
    for name in files:
        try:
            with open(f"{directory}/{name}", "rb") as file:
                document = json.loads(file.read(_LARGEST_BYTES))
        except (OSError, ValueError, RecursionError):
            continue  # gone meanwhile, or damaged: the others have their names all the same
        if isinstance(document, dict):
            found.append(document)
    return found


def _address(value: object) -> str:
    try:
        return str(ipaddress.ip_address(str(value or "")))
    except ValueError:
        return ""


class NameTable:
    """The names of several networks; the first that knows a name decides.

    Args: directories: the networks'. links: alias to container id.
    """

    def __init__(self, directories: Sequence[str], links: dict[str, str]) -> None:
        self._networks = [_NamesOfNetwork(directory) for directory in directories]
        self._links = {alias.lower(): container for alias, container in links.items()}
        self._turn = 0

    def addresses(self, name: str) -> list[str] | None:
        """All addresses of a name, in turns another one first; None: nobody is called so."""
        for network in self._networks:
            network.refresh()
            found = network.addresses.get(name)
            if found is None and (container := self._links.get(name)):
                found = network.of_container.get(container)
            if found is not None:
                self._turn += 1
                start = self._turn % len(found) if found else 0
                return found[start:] + found[:start]
        return None

    def name(self, address: str) -> str | None:
        """Who has an address: `container.network`; None: nobody here."""
        for network in self._networks:
            network.refresh()
            if name := network.names.get(address):
                return name
        return None
