"""--link on the default network, which has no names: rows in /etc/hosts, and variables.

    networks/<id>/linked/<target>.<linker>     an empty file: whose rows change when the target has a new address

On other networks a link is one more name, which the answerer knows (SandboxResolver.links).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from core.engine import name_files
from core.engine.records import ContainerRecords
from core.errors import NotFound, WrongState
from core.model.container import Container, Running
from core.model.network import EndpointWish
from core.state.paths import Roots

_LINKED = "linked"
_OWN_VARIABLES = ("HOME", "PATH")
"""Of the linked container: no business of others."""


class Link(NamedTuple):
    """A running container, by another name."""

    container: Container
    alias: str
    address: str

    @property
    def row(self) -> str:
        """Of /etc/hosts."""
        names = dict.fromkeys((self.alias, self.container.config.hostname, self.container.name))
        return f"{self.address}\t{' '.join(names)}\n"


def links_of(container: Container, wish: EndpointWish, records: ContainerRecords) -> list[Link]:
    """The containers that one is linked to. Raises: NotFound, WrongState: one is gone, or does not run there."""
    found = []
    for text in wish.links:
        key, _, alias = text.partition(":")
        target = find_target(text, records)
        address = _address(target, wish.network_id)
        if not address:
            raise WrongState(
                f"Cannot link to a non running container: /{target.name} AS /{container.name}/{alias or key}",
                hint=f"start it first: start {target.name}",
            )
        found.append(Link(target, alias or key.removeprefix("/"), address))
    return found


def find_target(link: str, records: ContainerRecords) -> Container:
    """The container that `container:alias` names. Raises: NotFound: with docker's words."""
    key = link.partition(":")[0]
    try:
        return records.get(key)
    except NotFound:
        text = f"could not get container for {key}: No such container: {key}"
        raise NotFound(text, kind="container", key=key) from None


def _address(container: Container, network_id: str) -> str:
    state = container.state
    endpoints = state.endpoints if isinstance(state, Running) else ()
    return next((each.ipv4 for each in endpoints if each.network_id == network_id), "")


def variables(container: Container, links: Sequence[Link]) -> tuple[str, ...]:
    """What docker tells a process of the containers it is linked to."""
    return tuple(each for link in links for each in _variables(container, link))


def _variables(container: Container, link: Link) -> Iterator[str]:
    prefix = link.alias.upper().replace("-", "_")
    ports = sorted(_parsed(each) for each in link.container.config.exposed_ports)
    if ports:
        number, protocol = ports[0]
        yield f"{prefix}_PORT={protocol}://{link.address}:{number}"
    for number, protocol in ports:
        name = f"{prefix}_PORT_{number}_{protocol.upper()}"
        yield f"{name}={protocol}://{link.address}:{number}"
        yield f"{name}_ADDR={link.address}"
        yield f"{name}_PORT={number}"
        yield f"{name}_PROTO={protocol}"
    yield f"{prefix}_NAME=/{container.name}/{link.alias}"
    for entry in link.container.config.env:
        key, equals, value = entry.partition("=")
        if equals and key not in _OWN_VARIABLES:
            yield f"{prefix}_ENV_{key}={value}"


def _parsed(port: str) -> tuple[int, str]:
    number, _, protocol = port.partition("/")
    return int(number), protocol or "tcp"


def note_links(roots: Roots, network_id: str, linker: str, links: Sequence[Link]) -> None:
    """Let those who start a target later know whose rows change."""
    directory = roots.network(network_id) / _LINKED
    for link in links:
        with suppress(OSError):
            directory.mkdir(mode=0o700, exist_ok=True)
            (directory / f"{link.container.id}.{linker}").touch(mode=0o600)


def tell_linkers(roots: Roots, network_id: str, target: Container, address: str, records: ContainerRecords) -> None:
    """A container has an address: who is linked to it, and runs, finds it there."""
    directory = roots.network(network_id) / _LINKED
    try:
        names = [name for name in os.listdir(directory) if name.startswith(f"{target.id}.")]
    except OSError:
        return  # nobody is linked to anybody
    for name in names:
        linker_id = name.rpartition(".")[2]
        try:
            linker = records.load(linker_id)
        except NotFound:
            _forget(directory / name)
            continue
        if isinstance(linker.state, Running):
            _give_row(roots, linker, target, address)


def _give_row(roots: Roots, linker: Container, target: Container, address: str) -> None:
    path = roots.container(linker.id) / "hosts"
    for wish in linker.config.spec.endpoints:
        for text in wish.links:
            key, _, alias = text.partition(":")
            if key.removeprefix("/") == target.name or target.id.startswith(key):
                row = Link(target, alias or key, address).row
                name_files.rewrite(path, name_files.with_row_of(path, alias or key, row))


def _forget(path: Path) -> None:
    with suppress(OSError):
        path.unlink()
