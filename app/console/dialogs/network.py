"""Networks: make one, put containers on it, take them off, remove it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.containers import Container as Box
from textual.suggester import SuggestFromList
from textual.widget import Widget
from textual.widgets import Label

from app.console.command_text import command_text
from app.console.dialogs.delete import DeleteDialog
from app.console.dialogs.dialog import Dialog, Field
from app.console.dialogs.tick import Tick
from app.console.network_picture import places_on
from core.errors import InvalidSpec
from core.model.display import safe_text
from core.model.ids import is_name
from core.model.network import BRIDGE, EndpointWish, Network, NetworkSpec
from core.model.networking import parse_alias, parse_ipv4, parse_ipv6
from core.model.subnets import join_subnets


class NewNetwork(Dialog[str]):
    """What is left empty is chosen."""

    TITLE_WORDS = " New network "
    DO_WORDS = "Create  ⏎"

    def fields(self) -> Iterable[Widget]:
        yield Field("Name", "name", hint="letters, digits, _ . and -")
        yield Field("Driver", "driver", hint=BRIDGE, suggester=SuggestFromList((BRIDGE, "macvlan")))
        yield Field("Parent", "parent", hint="macvlan's interface of the host, such as eth0")
        yield Field("Subnets", "subnet", hint="free ones; 172.30.0.0/16 fd00:30::/64")
        yield Field("Gateways", "gateway", hint="the first address of each")
        yield Field("Range", "range", hint="all of the subnet; 172.30.5.0/24")
        yield Box(
            Tick("internal: no way out", id="internal"),
            Tick("IPv6 too (--ipv6)", id="ipv6"),
            classes="ticks",
        )

    def command(self) -> str:
        words = ["network", "create"]
        if self.value("driver"):
            words += ["-d", self.value("driver")]
        if self.value("parent"):
            words += ["-o", f"parent={self.value('parent')}"]
        for name, flag in (("subnet", "--subnet"), ("gateway", "--gateway"), ("range", "--ip-range")):
            for word in self.value(name).split():
                words += [flag, word]
        words += [flag for name, flag in (("internal", "--internal"), ("ipv6", "--ipv6")) if self.ticked(name)]
        return command_text(*words, self.value("name") or "NAME")

    def act(self) -> None:
        name = self.value("name")
        if not is_name(name):
            raise InvalidSpec(f"name {name!r}: letters, digits, _ . and - only, two at least")
        subnets = join_subnets(
            self.value("subnet").split(), gateways=self.value("gateway").split(), ranges=self.value("range").split()
        )
        parent = self.value("parent")
        spec = NetworkSpec(
            name=name,
            driver=self.value("driver") or BRIDGE,
            subnets=subnets,
            internal=self.ticked("internal"),
            ipv6=self.ticked("ipv6"),
            options={"parent": parent} if parent else {},
        )
        self.seat.actions.create_network(spec)
        self.dismiss(name)


class ConnectDialog(Dialog[str]):
    """Put a container on a network, at once if it runs."""

    DO_WORDS = "Connect  ⏎"

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def title_words(self) -> str:
        return f" Put a container on {safe_text(self._network.name)} "

    def fields(self) -> Iterable[Widget]:
        on_it = {place.container.id for place in places_on(self._network, self.seat.store.containers.values())}
        names = [safe_text(one.name) for one in self.seat.store.containers.values() if one.id not in on_it]
        yield Field("Container", "container", hint=" ".join(names[:6]) or "its name", suggester=SuggestFromList(names))
        yield Field("Aliases", "aliases", hint="further names that others may call it there")
        yield Field("IPv4", "ipv4", hint="a free address")
        if self._network.ipv6:
            yield Field("IPv6", "ipv6", hint="a free address")

    def _wish(self) -> EndpointWish:
        return EndpointWish(
            network=self._network.name,
            aliases=tuple(map(parse_alias, self.value("aliases").split())),
            ipv4=parse_ipv4(self.value("ipv4")),
            ipv6=parse_ipv6(self.value("ipv6")) if self._network.ipv6 else "",
        )

    def command(self) -> str:
        words = ["network", "connect"]
        for alias in self.value("aliases").split():
            words += ["--alias", alias]
        if self.value("ipv4"):
            words += ["--ip", self.value("ipv4")]
        if self._network.ipv6 and self.value("ipv6"):
            words += ["--ip6", self.value("ipv6")]
        return command_text(*words, safe_text(self._network.name), self.value("container") or "CONTAINER")

    def act(self) -> None:
        container = self.value("container")
        if not container:
            raise InvalidSpec("container: which one?", hint="type its name")
        self.seat.actions.connect(self._network, container, self._wish())
        self.dismiss(container)


class DisconnectDialog(Dialog[str]):
    """Take a container off a network."""

    DO_WORDS = "Disconnect  ⏎"

    def __init__(self, network: Network, container: str = "") -> None:
        super().__init__()
        self._network = network
        self._container = container

    def title_words(self) -> str:
        return f" Take a container off {safe_text(self._network.name)} "

    def fields(self) -> Iterable[Widget]:
        places = places_on(self._network, self.seat.store.containers.values())
        names = [safe_text(place.container.name) for place in places]
        first = self._container or (names[0] if names else "")
        yield Field("Container", "container", value=first, hint="its name", suggester=SuggestFromList(names))
        yield Label(f"On it: {', '.join(names) or 'nobody'}", markup=False, classes="quiet")
        yield Label("Its connections there end at once.", markup=False, classes="quiet")
        yield Tick("even if it can't be found any more (--force)", id="force")

    def command(self) -> str:
        force = ["-f"] if self.ticked("force") else []
        container = self.value("container") or "CONTAINER"
        return command_text("network", "disconnect", *force, safe_text(self._network.name), container)

    def act(self) -> None:
        container = self.value("container")
        if not container:
            raise InvalidSpec("container: which one?", hint="type its name")
        self.seat.actions.disconnect(self._network, container, force=self.ticked("force"))
        self.dismiss(container)


class DeleteNetworks(DeleteDialog):
    """Networks that nobody runs on."""

    def __init__(self, networks: Sequence[Network]) -> None:
        super().__init__()
        self._networks = list(networks)

    def title_words(self) -> str:
        count = len(self._networks)
        return f" Delete {count} network{'' if count == 1 else 's'} "

    def fields(self) -> Iterable[Widget]:
        names = ", ".join(safe_text(network.name) for network in self._networks)
        yield Label(names, markup=False, classes="words")
        containers = self.seat.store.containers.values()
        users = {place.container.name for network in self._networks for place in places_on(network, containers)}
        if users:
            words = f"On it: {safe_text(', '.join(sorted(users)))}. Take them off first, or stop them."
            yield Label(words, markup=False, classes="words")
        yield Label("Its bridge and rules go; containers stay.", markup=False, classes="quiet")

    def command(self) -> str:
        return command_text("network", "rm", *(safe_text(network.name) for network in self._networks))

    def act(self) -> None:
        self.seat.actions.remove_networks([network.id for network in self._networks])
        self.dismiss(True)
