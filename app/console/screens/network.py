"""One network: its picture with live rates, its facts, and its document."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.containers import Vertical
from textual.widget import Widget

from app.console import copy_entries
from app.console.dialogs.menu import Menu
from app.console.dialogs.network import ConnectDialog, DeleteNetworks, DisconnectDialog
from app.console.inspection import document_lines, moment
from app.console.network_picture import Place as OnIt
from app.console.network_picture import picture, places_on
from app.console.screens.container import ContainerPlace
from app.console.screens.place import Place
from app.console.seat import Seat, interface_rates
from app.console.widgets.pager import Line, Pager
from app.console.widgets.view_bar import ViewBar
from core.model.display import safe_text
from core.model.network import PREDEFINED, Network

VIEWS = (("picture", "p", "Picture"), ("inspect", "i", "Inspect"))


class NetworkPlace(Place):
    """Opened on a network by Enter; Escape leads back to the list."""

    PLACE = "network"
    TAB = "networks"

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key
        self._view = "picture"

    def body(self) -> Iterable[Widget]:
        yield ViewBar(VIEWS, "picture")
        with Vertical(classes="body"):
            yield Pager()

    def on_mount(self) -> None:
        self.seat.store.listen(self, {"networks", "containers", "stats"}, self._changed)
        self.set_focus(self.query_one(Pager))
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def on_unmount(self) -> None:
        self.seat.store.forget(self)

    @property
    def network(self) -> Network | None:
        """What the store knows of it just now; None once it is gone."""
        return self.seat.store.network(self._key)

    def _changed(self) -> None:
        if not self.is_current:
            return
        if self.network is None:
            self.seat.store.put_notice("the network is gone", "warn")
            self.app.pop_screen()
        elif self._view == "picture":
            self._draw()

    def _draw(self, *, keep_place: bool = True) -> None:
        network, pager = self.network, self.query_one(Pager)
        if network is None:
            return
        if self._view == "inspect":
            pager.show(document_lines(network))
            return
        drawn = picture(network, self._places(), interface_rates(self.seat), pager.size.width)
        pager.show([*drawn, [], *network_facts(network)], keep_place=keep_place)

    def _places(self) -> list[OnIt]:
        network = self.network
        return places_on(network, self.seat.store.containers.values()) if network else []

    # ------------------------------------------------------------------ keys

    def action_show(self, view: str) -> None:
        self._view = view
        self.query_one(ViewBar).choose(view)
        self._draw(keep_place=False)

    def action_open(self) -> None:
        """One of its containers."""
        places = self._places()
        if len(places) == 1:
            self.app.push_screen(ContainerPlace(places[0].container.id))
        elif places:
            entries = [(safe_text(place.container.name), place.container.id) for place in places]
            self.app.push_screen(Menu(" Open ", entries), self._opened)

    def _opened(self, key: str | None) -> None:
        if key is not None:
            self.app.push_screen(ContainerPlace(key))

    def action_connect(self) -> None:
        if self.network is not None:
            self.app.push_screen(ConnectDialog(self.network))

    def action_disconnect(self) -> None:
        if self.network is not None:
            self.app.push_screen(DisconnectDialog(self.network))

    def action_delete(self) -> None:
        if self.network is not None and (chosen := refuse_predefined(self.seat, [self.network])):
            self.app.push_screen(DeleteNetworks(chosen))

    def action_copy_menu(self) -> None:
        if self.network is not None:
            self.app.push_screen(Menu(" Copy ", copy_entries.for_network(self.network)), self._copied)

    def _copied(self, text: str | None) -> None:
        if text is not None:
            self.seat.copy(text, "that")


def network_facts(network: Network) -> list[Line]:
    """What was asked for and what was chosen."""
    facts = [
        ("name", network.name),
        ("id", network.id[:12]),
        ("driver", network.driver + (" · internal" if network.internal else "") + (" · IPv6" if network.ipv6 else "")),
        ("interface", network.interface + (f"  MTU {network.mtu}" if network.mtu else "")),
    ]
    for subnet in network.subnets:
        words = [f"gateway {subnet.gateway}"] if subnet.gateway else []
        words += [f"containers from {subnet.ip_range}"] if subnet.ip_range else []
        words += [f"{name} has {address}" for name, address in subnet.reserved.items()]
        facts.append(("subnet", "  ".join([subnet.subnet, *words])))
    facts += [
        ("options", "  ".join(f"{key}={value}" for key, value in network.options.items())),
        ("labels", "  ".join(f"{key}={value}" for key, value in network.labels.items())),
        ("made", moment(network.created_ns)),
    ]
    return [[(f"{key:<10}", "muted"), (safe_text(value), "text")] for key, value in facts if value]


def refuse_predefined(seat: Seat, networks: Sequence[Network]) -> list[Network]:
    """Those that can be removed; of the others a notice says why not."""
    kept = [network.name for network in networks if network.name in PREDEFINED]
    if kept:
        is_are = "is always there" if len(kept) == 1 else "are always there"
        seat.store.put_notice(f"{', '.join(kept)} {is_are} and can't be removed", "warn")
    return [network for network in networks if network.name not in PREDEFINED]
