"""A network drawn in text: the way out, the bridge as a rail, the containers that hang on it.

    ▲ out through the host                    ✖ no way out (--internal)
 ══╤═ appnet ═ wh78f4affb6c17 ═ 172.30.0.1/16 ════════
   ├─● web      172.30.0.2   0.0.0.0:8080 ▸ 80/tcp          ↓ 1.2K/s ↑ 9.8K/s
   └─○ old      –            not running

Pure: values in, lines out. Names go through core.model.display on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len

from app import short
from app.commands.ports import host_address
from app.console.standing import LIVE, standing_of
from core.model.container import Container, Running
from core.model.display import safe_text
from core.model.network import CONTAINER_PREFIX, HOST, NONE, Endpoint, Network
from core.model.ports import PublishedPort

Pieces = list[tuple[str, str]]
Lines = list[Sequence[tuple[str, str]]]

Rates = Callable[[str, str], tuple[float, float] | None]
"""Container id and interface → bytes a second received and sent, once they are known."""


class Place(NamedTuple):
    """A container's place on a network, running or not."""

    container: Container
    endpoint: Endpoint | None
    guests: tuple[Container, ...]
    """Containers that share its networks."""


def places_on(network: Network, containers: Iterable[Container]) -> list[Place]:
    """Who is on a network whenever it runs: running ones first, by name."""
    known = list(containers)
    guests: dict[str, list[Container]] = {}
    for one in known:
        if one.config.spec.network.startswith(CONTAINER_PREFIX):
            guests.setdefault(one.config.spec.network.removeprefix(CONTAINER_PREFIX), []).append(one)
    found = []
    for one in known:
        if any(network.name == wish.network or network.id == wish.network_id for wish in one.networks):
            shared = guests.get(one.id, [])
            found.append(Place(one, endpoint_on(network, one), tuple(sorted(shared, key=lambda guest: guest.name))))
    return sorted(found, key=lambda place: (place.container.status not in LIVE, place.container.name))


def names_on(networks: Iterable[Network], containers: Iterable[Container]) -> dict[str, list[str]]:
    """By network id, the names of all that are on it: running ones first. One pass, for long lists."""
    ids = {key: network.id for network in networks for key in (network.name, network.id)}
    found: dict[str, list[str]] = {}
    for one in sorted(containers, key=lambda one: (one.status not in LIVE, one.name)):
        for key in {ids[name] for wish in one.networks for name in (wish.network_id, wish.network) if name in ids}:
            found.setdefault(key, []).append(safe_text(one.name))
    return found


def endpoint_on(network: Network, container: Container) -> Endpoint | None:
    """A running container's endpoint on a network."""
    endpoints = container.state.endpoints if isinstance(container.state, Running) else ()
    return next((one for one in endpoints if one.network_id == network.id), None)


def addresses_of(network: Network) -> str:
    """Its subnets, for one cell: `172.30.0.0/16 fd00::/64`."""
    return " ".join(subnet.subnet for subnet in network.subnets)


def picture(network: Network, places: Sequence[Place], rates: Rates, width: int) -> Lines:
    """The whole drawing, made for so many cells; longer lines are cut by who shows them."""
    rail = [safe_text(network.name), network.interface or network.driver]
    rail += [_gateway(subnet.gateway, subnet.subnet) for subnet in network.subnets if subnet.gateway]
    text = f" ══╤═ {' ═ '.join(rail)} "
    sign, tone, words = way_out(network)
    lines: Lines = [[(f"   {sign} ", tone), (words, "muted")], [(text + "═" * max(2, width - len(text) - 2), "accent")]]
    if not places:
        lines.append([("   ╵ ", "accent"), ("nobody is on it   c puts a container on it", "muted")])
        return lines
    names = max(cell_len(safe_text(place.container.name)) for place in places)
    addresses = max((len(_addresses(place.endpoint)) for place in places), default=0)
    for number, place in enumerate(places, 1):
        last = number == len(places)
        stem = "     " if last else "   │ "
        branch, outside = _branch(place, "└" if last else "├", names, addresses, rates, network)
        whole = [*branch, *outside]
        if outside and sum(cell_len(text) for text, _tone in whole) > width:
            lines += [branch, [(stem + " " * 2, "accent"), *outside]]
        else:
            lines.append(whole)
        for guest in place.guests:
            words = f"  └ {safe_text(guest.name)} shares its network"
            lines.append([(stem, "accent"), (words, "muted")])
    return lines


def _gateway(gateway: str, subnet: str) -> str:
    return f"{gateway}/{subnet.rpartition('/')[2]}"


def way_out(network: Network) -> tuple[str, str, str]:
    """Whether it leads anywhere: a sign, the meaning of its colour, words."""
    if network.driver == HOST:
        return "▲", "ok", "the host's own interfaces and addresses"
    if network.name == NONE:
        return "✖", "faint", "no network but its own loopback"
    if network.internal:
        return "✖", "warn", "no way out (--internal)"
    if network.driver == "macvlan":
        return "▲", "ok", f"on the wire of {safe_text(network.interface)}"
    return "▲", "ok", "out through the host"


def _addresses(endpoint: Endpoint | None) -> str:
    return " ".join(filter(None, (endpoint.ipv4, endpoint.ipv6))) if endpoint else ""


def _branch(
    place: Place, corner: str, names: int, addresses: int, rates: Rates, network: Network
) -> tuple[Pieces, Pieces]:
    """A container as it hangs on the rail, and where else it is reached."""
    container, endpoint = place.container, place.endpoint
    sign, tone = short.glyph(standing_of(container))
    name = safe_text(container.name)
    line = [(f"   {corner}─", "accent"), (sign, tone), (f" {name}{' ' * (names - cell_len(name))}  ", "text")]
    if container.status not in LIVE:
        return [*line, ("not running", "faint")], []
    line.append((_addresses(endpoint).ljust(addresses) + "  " * bool(addresses), "io"))
    if endpoint is not None and (rate := rates(container.id, endpoint.interface)) is not None:
        line.append((f"↓{short.rate(rate[0]):>7} ↑{short.rate(rate[1]):>7}  ", "text" if any(rate) else "faint"))
    outside: Pieces = []
    if network.driver != HOST and isinstance(container.state, Running):
        outside += port_pieces(container.state.ports)
    others = [safe_text(wish.network) for wish in container.networks if wish.network != network.name]
    if others:
        outside.append((f"also on {', '.join(others)}", "faint"))
    return line, outside


def port_pieces(ports: Sequence[PublishedPort]) -> Pieces:
    """Where it is reached from outside; both families at one number are told once."""
    texts: dict[str, str] = {}
    for port in ports:
        everywhere = port.host_ip in ("0.0.0.0", "::")
        outside = f":{port.host_port}" if everywhere else host_address(port)
        protocol = "" if port.protocol == "tcp" else f"/{port.protocol}"
        texts[f"{outside}▸{port.container_port}{protocol}"] = "ok"
    return [(f"{text} ", tone) for text, tone in texts.items()]
