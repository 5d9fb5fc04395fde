"""Networks: which there are and who is on them; Enter shows one drawn, with what flows on it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from textual.containers import Horizontal
from textual.widget import Widget

from app import short
from app.console import copy_entries
from app.console.dialogs.network import ConnectDialog, DeleteNetworks, DisconnectDialog, NewNetwork
from app.console.network_picture import addresses_of, names_on, picture, places_on, way_out
from app.console.screens.list_place import ListPlace
from app.console.screens.network import NetworkPlace, network_facts, refuse_predefined
from app.console.seat import interface_rates, seat
from app.console.widgets.pager import Pager
from app.console.widgets.resource_table import Column, ResourceTable
from core.model.display import safe_text
from core.model.network import PREDEFINED, Network


class NetworkSide(Pager):
    """The network under the cursor: its facts, and who is on it with what flows just now."""

    def __init__(self) -> None:
        super().__init__()
        self.add_class("side")
        self.can_focus = False
        self._network: Network | None = None

    def on_mount(self) -> None:
        seat(self).store.listen(self, {"stats"}, self._draw)

    def on_unmount(self) -> None:
        seat(self).store.forget(self)

    def on_resize(self) -> None:
        super().on_resize()
        self._draw()

    def show_network(self, network: Network | None) -> None:
        """Show another one, or the same anew."""
        self._network = network
        self._draw()

    def _draw(self) -> None:
        network, console = self._network, seat(self)
        if network is None:
            self.show([])
        elif self.screen.is_current and self.size.width:
            places = places_on(network, console.store.containers.values())
            drawn = picture(network, places, interface_rates(console), self.size.width)
            self.show([*network_facts(network), [], *drawn], keep_place=True)


class NetworksPlace(ListPlace):
    """All networks, by name."""

    PLACE = "networks"
    TAB = "networks"
    TOPICS = frozenset({"networks", "containers"})

    def __init__(self) -> None:
        super().__init__()
        self._on: dict[str, list[str]] = {}
        """Names of who is on each network, looked up once for all rows."""

    def body(self) -> Iterable[Widget]:
        with Horizontal(classes="body"):
            yield ResourceTable(self._columns(), lambda network: network.id)
            yield NetworkSide()
        yield self.filter_prompt()

    def fill(self) -> None:
        store = self.seat.store
        self._on = names_on(store.networks, store.containers.values())
        self.table.set_items(store.networks)
        self.query_one(NetworkSide).show_network(self.table.current)

    def _columns(self) -> list[Column[Network]]:
        return [
            Column("way", "", 1, lambda one: way_out(one)[:2], lambda one: way_out(one)[0]),
            Column(
                "name",
                "NETWORK",
                14,
                lambda one: (safe_text(one.name), "muted" if one.name in PREDEFINED else "text"),
                lambda one: one.name,
                grows=True,
                text=lambda one: safe_text(one.name),
            ),
            Column("driver", "DRIVER", 8, lambda one: (safe_text(one.driver), "faint"), lambda one: one.driver),
            Column(
                "subnet",
                "SUBNET",
                18,
                lambda one: (addresses_of(one) or "–", "io" if one.subnets else "faint"),
                addresses_of,
                grows=True,
                text=addresses_of,
            ),
            Column(
                "users",
                "ON IT",
                12,
                self._users,
                lambda one: -len(self._names(one)),
                grows=True,
                text=lambda one: " ".join(self._names(one)),
            ),
            Column("age", "AGE", 4, _age, lambda one: -one.created_ns, align=">", from_width=64),
        ]

    def _names(self, network: Network) -> list[str]:
        return self._on.get(network.id, [])

    def _users(self, network: Network) -> tuple[str, str]:
        names = self._names(network)
        return (f"{len(names)} {', '.join(names)}", "ok") if names else ("–", "faint")

    def on_resource_table_highlighted(self, event: ResourceTable.Highlighted) -> None:
        self.query_one(NetworkSide).show_network(self.table.current)

    # ------------------------------------------------------------------ keys

    def action_open(self) -> None:
        if self.table.current is not None:
            self.app.push_screen(NetworkPlace(self.table.current.id))

    def action_new(self) -> None:
        self.app.push_screen(NewNetwork())

    def action_connect(self) -> None:
        if self.table.current is not None:
            self.app.push_screen(ConnectDialog(self.table.current))

    def action_disconnect(self) -> None:
        if self.table.current is not None:
            self.app.push_screen(DisconnectDialog(self.table.current))

    def action_delete(self) -> None:
        if chosen := refuse_predefined(self.seat, self.table.chosen()):
            self.app.push_screen(DeleteNetworks(chosen))

    def copy_entries(self, item: Network) -> Sequence[tuple[str, str]]:
        return copy_entries.for_network(item)


def _age(network: Network) -> tuple[str, str]:
    return short.ago(network.created_ns, time.time_ns()), "muted"
