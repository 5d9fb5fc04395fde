"""Networks on disk: their documents and names, and who is on which.

    networks/.lock                        held while a subnet is chosen
    networks/<id>/{network.json, lock}    lock: shared by those who join, alone for who removes
    networks/<id>/addresses/<ip>          a symlink to the container's id
    networks/<id>/endpoints/<container id>.json
    networks/names/<name>                 a symlink: a name is taken atomically

A network appears by one rename and goes by one rename to trash.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import msgspec

from core.errors import AlreadyExists, Conflict, CorruptDocument, EngineError, NotFound, Unsupported, wrapped
from core.linux.checkpoints import checkpoint
from core.linux.files import sync_directory
from core.model.ids import is_full_id, is_id_prefix, is_name
from core.model.network import Endpoint, Network
from core.state.documents import read_struct, write_struct
from core.state.locks import Rank, locked
from core.state.paths import Roots
from core.state.trash import discard

KIND = "network"
ENDPOINT_KIND = "network.endpoint"
BUILDING = ".new-"


class NetworkStore:
    """Every network of a data root."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots

    def ids(self) -> list[str]:
        """Full ids of all networks."""
        try:
            return [name for name in os.listdir(self._roots.networks) if is_full_id(name)]
        except FileNotFoundError:
            return []  # a data root of an earlier version

    def all(self) -> list[Network]:
        """All networks by name, without members; one that is being removed or can't be read is left out."""
        found = []
        for network_id in self.ids():
            with suppress(FileNotFoundError, CorruptDocument, Unsupported):
                found.append(self.load(network_id))
        return sorted(found, key=lambda network: network.name)

    def load(self, network_id: str) -> Network:
        """Read one. Raises: FileNotFoundError, CorruptDocument, Unsupported."""
        return read_struct(self._roots.network(network_id) / "network.json", KIND, Network)

    def find(self, key: str) -> Network:
        """One by name, id or unambiguous beginning of an id. Raises: NotFound, Conflict: with docker's words."""
        for network_id in self._matches(key):
            try:
                return self.load(network_id)
            except FileNotFoundError:
                continue
        raise NotFound(f"network {key} not found", kind="network", key=key)

    def _matches(self, key: str) -> Iterator[str]:
        if is_name(key) and (target := self.target(key)):
            yield target
        if is_full_id(key):
            yield key
        elif is_id_prefix(key):
            matches = [network_id for network_id in self.ids() if network_id.startswith(key)]
            if len(matches) > 1:
                raise Conflict(f"network {key} is ambiguous ({len(matches)} matches found on ID prefix)")
            yield from matches

    def target(self, name: str) -> str:
        """The id that a name leads to; empty if it leads nowhere."""
        try:
            return os.path.basename(os.readlink(self._roots.networks / "names" / name))
        except OSError:
            return ""

    def publish(self, network: Network) -> None:
        """Make a network exist, under its name. Raises: AlreadyExists: that is taken; NoSpace, Denied."""
        hidden = self._roots.networks / f"{BUILDING}{network.id}"
        target = self._roots.network(network.id)
        try:
            (self._roots.networks / "names").mkdir(mode=0o711, exist_ok=True)
            hidden.mkdir(mode=0o711)
            (hidden / "addresses").mkdir(mode=0o700)
            (hidden / "endpoints").mkdir(mode=0o700)
            (hidden / "lock").touch(mode=0o600)
            write_struct(hidden / "network.json", KIND, network)
            checkpoint("network-create:written")
            os.rename(hidden, target)
            sync_directory(self._roots.networks)
            checkpoint("network-create:published")
            self.take_name(network)
        except OSError as error:
            raise wrapped(error, "create network in", target) from error
        finally:
            if hidden.exists():
                discard(self._roots, hidden)

    def take_name(self, network: Network) -> None:
        """Have its name lead to it. Raises: AlreadyExists: it is another's, and the network is thrown away."""
        link = self._roots.networks / "names" / network.name
        for _ in range(3):
            try:
                os.symlink(f"../{network.id}", link)
                return
            except FileExistsError:
                if self.target(network.name) in self.ids():
                    break
                link.unlink(missing_ok=True)  # its network is gone
        discard(self._roots, self._roots.network(network.id))
        raise AlreadyExists(f"network with name {network.name} already exists")

    def erase(self, network: Network) -> None:
        """Take a network away. Under its lock."""
        discard(self._roots, self._roots.network(network.id))
        checkpoint("network-remove:discarded")
        if self.target(network.name) == network.id:
            with suppress(OSError):
                (self._roots.networks / "names" / network.name).unlink()

    def lock(self, network: Network, purpose: str, *, shared: bool = False) -> AbstractContextManager[int]:
        """Hold a network. Raises: Busy, FileNotFoundError."""
        path = self._roots.network(network.id) / "lock"
        return locked(path, Rank.NETWORK, shared=shared, what=f"network {network.name}", purpose=purpose)

    def lock_pools(self) -> AbstractContextManager[int]:
        """Hold the choice of subnets. Raises: Busy."""
        return locked(self._roots.networks / ".lock", Rank.NETWORK, what="the choice of subnets", purpose="create")

    def sweep(self) -> None:
        """Clear what died half-made, and names that lead nowhere; nobody may be making one."""
        with self.lock_pools():
            for name in os.listdir(self._roots.networks):
                if name.startswith(BUILDING):
                    discard(self._roots, self._roots.networks / name)
            ids = set(self.ids())
            named = set()
            for name in os.listdir(self._roots.networks / "names"):
                if (target := self.target(name)) in ids:
                    named.add(target)
                else:
                    with suppress(OSError):
                        (self._roots.networks / "names" / name).unlink()
            for network_id in ids - named:  # killed before it had its name
                with suppress(EngineError, FileNotFoundError):
                    self.take_name(self.load(network_id))

    # ── who is on it ───────────────────────────────────────────────────────────────────────────

    def endpoints(self, network_id: str) -> list[Endpoint]:
        """Of containers that run, start, or did when something was killed."""
        directory = self._roots.network(network_id) / "endpoints"
        try:
            names = [name for name in os.listdir(directory) if name.endswith(".json")]
        except OSError:
            return []
        found = []
        for name in sorted(names):
            with suppress(FileNotFoundError, CorruptDocument, Unsupported):
                found.append(read_struct(directory / name, ENDPOINT_KIND, Endpoint))
        return found

    def has_endpoint(self, network_id: str, container_id: str) -> bool:
        """Whether a container has a place on it."""
        return self.endpoint_path(network_id, container_id).exists()

    def endpoint_path(self, network_id: str, container_id: str) -> Path:
        """Where a container's place on it is written down."""
        return self._roots.network(network_id) / "endpoints" / f"{container_id}.json"

    def write_endpoint(self, endpoint: Endpoint) -> Path:
        """Let others know of it. Raises: NoSpace, Denied."""
        path = self.endpoint_path(endpoint.network_id, endpoint.container_id)
        write_struct(path, ENDPOINT_KIND, endpoint, durable=False)
        return path

    def claimants(self, network_id: str) -> set[str]:
        """Ids of all containers that hold an address of it, or a place on it."""
        directory = self._roots.network(network_id)
        found = set()
        with suppress(OSError):
            found |= {name.removesuffix(".json") for name in os.listdir(directory / "endpoints")}
        with suppress(OSError):
            for name in os.listdir(directory / "addresses"):
                with suppress(OSError):
                    found.add(os.readlink(directory / "addresses" / name))
        return {name for name in found if is_full_id(name)}

    def held(self, network_id: str, container_id: str) -> list[str]:
        """Addresses that a container holds of it; and, if it has a place on it, an empty one more."""
        directory = self._roots.network(network_id)
        found = []
        with suppress(OSError):
            for name in os.listdir(directory / "addresses"):
                with suppress(OSError):
                    if os.readlink(directory / "addresses" / name) == container_id:
                        found.append(name)
        return [*found, ""] if self.has_endpoint(network_id, container_id) else found

    def release(self, network_id: str, container_id: str) -> None:
        """Give back what a container holds of it; for who holds the container's lock, or when it is gone."""
        directory = self._roots.network(network_id)
        with suppress(OSError):
            for name in os.listdir(directory / "addresses"):
                path = directory / "addresses" / name
                with suppress(OSError):
                    if os.readlink(path) == container_id:
                        path.unlink()
        with suppress(OSError):
            self.endpoint_path(network_id, container_id).unlink()


def renamed(endpoint: Endpoint, name: str, old: str) -> Endpoint:
    """The endpoint of a container that is called otherwise now."""
    names = tuple(dict.fromkeys(name if each == old else each for each in endpoint.names))
    return msgspec.structs.replace(endpoint, container_name=name, names=names)
