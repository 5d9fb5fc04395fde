"""`network create`, `ls`, `connect`, `disconnect` and `rm`."""

from __future__ import annotations

from app.commands.definition import Command, Invocation
from app.commands.filters import check_filter, matches_name, read_filters, read_truth
from app.commands.flags import Values, flag, refused
from app.commands.language import explain
from app.commands.networking import CONNECT_FLAGS, read_connection
from app.commands.preferences import preferred_format
from app.commands.table import Row, row_printer
from app.format import utc_stamp
from core.errors import EngineError, InvalidInput, NotFound
from core.model.ids import short_id
from core.model.network import BRIDGE, PREDEFINED, Network, NetworkSpec
from core.model.pruning import has_labels

TITLES = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "IPv4": "IPV4",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}
_FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")
_TYPES = ("builtin", "custom")
_SWARM = "swarm managers come in a later version"


def network_row(network: Network, *, truncate: bool = True) -> Row:
    """A network's fields."""
    from app.commands.go_values import Record

    row = Record(
        {
            "CreatedAt": utc_stamp(network.created_ns),
            "Driver": network.driver,
            "ID": short_id(network.id) if truncate else network.id,
            "IPv4": _truth(any(":" not in subnet.subnet for subnet in network.subnets)),
            "IPv6": _truth(network.ipv6),
            "Internal": _truth(network.internal),
            "Labels": ",".join(f"{key}={value}" for key, value in network.labels.items()),
            "Name": network.name,
            "Scope": "local",
        }
    )
    row.hidden["Label"] = lambda name: network.labels.get(name, "")
    return row


def _truth(value: bool) -> str:
    return "true" if value else "false"


def _create(invocation: Invocation) -> int:
    from core.model.subnets import join_subnets

    flags = invocation.flags
    subnets = join_subnets(
        _comma_separated(flags, "subnet"),
        ranges=_comma_separated(flags, "ip-range"),
        gateways=_comma_separated(flags, "gateway"),
        reserved=flags.many("aux-address"),
    )
    spec = NetworkSpec(
        name=invocation.arguments[0],
        driver=flags.text("driver"),
        subnets=subnets,
        internal=flags.truth("internal"),
        ipv4=flags.truth("ipv4"),
        ipv6=flags.truth("ipv6"),
        attachable=flags.truth("attachable"),
        options=dict(text.partition("=")[::2] for text in flags.many("opt")),
        labels=dict(text.partition("=")[::2] for text in flags.many("label")),
    )
    invocation.io.line(invocation.backend.networks.create(spec).id)
    return 0


def _comma_separated(flags: Values, name: str) -> list[str]:
    return [word for text in flags.many(name) for word in text.split(",")]


def _check_label(text: str) -> None:
    if not text.partition("=")[0]:
        raise InvalidInput(f"invalid label '{text}': empty name")


def _check_ipam_driver(text: str) -> None:
    if text not in ("", "default"):
        raise InvalidInput(f'plugin "{text}" not found: the only IPAM driver is default')


def _list(invocation: Invocation) -> int:
    flags = invocation.flags
    filters = read_filters(flags.many("filter"), _FILTERS)
    for value in filters.get("type", ()):
        if value not in _TYPES:
            raise InvalidInput(f"invalid filter: 'type'='{value}'", hint=f"one of {', '.join(_TYPES)}")
    dangling = read_truth("dangling", filters.get("dangling", ()))
    show = row_printer(
        preferred_format(invocation, "networksFormat"),
        table="ID Name Driver Scope",
        titles=TITLES,
        quiet="ID" if flags.truth("quiet") else "",
    )
    networks = [one for one in invocation.backend.networks.list() if _fits(one, filters, dangling)]
    show(invocation.io, [network_row(one, truncate=not flags.truth("no-trunc")) for one in networks])
    return 0


def _fits(network: Network, filters: dict[str, list[str]], dangling: bool | None) -> bool:
    """Whether every filter takes it; values of one are alternatives, save for labels."""
    predefined = network.name in PREDEFINED
    if dangling is not None and dangling == (predefined or bool(network.members)):
        return False
    tests = {
        "driver": lambda value: network.driver == value,
        "id": lambda value: network.id.startswith(value),
        "name": lambda value: matches_name(value, network.name),
        "scope": lambda value: value == "local",
        "type": lambda value: (value == "builtin") == predefined,
    }
    return has_labels(network.labels, filters.get("label", ())) and all(
        any(map(test, filters[name])) for name, test in tests.items() if name in filters
    )


def _connect(invocation: Invocation) -> int:
    network, container = invocation.arguments
    invocation.backend.networks.connect(network, container, read_connection(network, invocation.flags))
    return 0


def _disconnect(invocation: Invocation) -> int:
    network, container = invocation.arguments
    invocation.backend.networks.disconnect(network, container, force=invocation.flags.truth("force"))
    return 0


def _remove(invocation: Invocation) -> int:
    code = 0
    for name in invocation.arguments:
        try:
            invocation.backend.networks.remove(name)
        except EngineError as error:
            if isinstance(error, NotFound) and invocation.flags.truth("force"):
                continue
            explain(error, invocation.io)
            code = 1
        else:
            invocation.io.line(name)
    return code


CREATE = Command(
    run=_create,
    summary="Create a network",
    usage=("NETWORK",),
    flags=(
        flag("--attachable", "Enable manual container attachment"),
        flag("--aux-address map", "Auxiliary IPv4 or IPv6 addresses used by Network driver"),
        refused("--config-from string", "a network's configuration is its own"),
        refused("--config-only", "a network's configuration is its own", allowed=("false",)),
        flag("-d, --driver string", "Driver to manage the Network", default=BRIDGE),
        flag("--gateway strings", "IPv4 or IPv6 Gateway for the master subnet"),
        refused("--ingress", _SWARM, allowed=("false",)),
        flag("--internal", "Restrict external access to the network"),
        flag("--ip-range strings", "Allocate container ip from a sub-range"),
        flag("--ipam-driver string", "IP Address Management Driver", default="default", check=_check_ipam_driver),
        refused("--ipam-opt map", "the default IPAM driver has no options"),
        flag("--ipv4", "Enable or disable IPv4 address assignment", default="true"),
        flag("--ipv6", "Enable or disable IPv6 address assignment"),
        flag("--label list", "Set metadata on a network", check=_check_label),
        flag("-o, --opt map", "Set driver specific options"),
        refused("--scope string", _SWARM, allowed=("local",)),
        flag("--subnet strings", "Subnet in CIDR format that represents a network segment"),
    ),
    least=1,
    most=1,
    completes=("word",),
)
LS = Command(
    run=_list,
    summary="List networks",
    flags=(
        flag("-f, --filter filter", 'Provide filter values (e.g. "driver=bridge")', check=check_filter),
        flag("--format string", "'table', 'table TEMPLATE', 'json' or a Go template"),
        flag("--no-trunc", "Do not truncate the output"),
        flag("-q, --quiet", "Only display network IDs"),
    ),
)
CONNECT = Command(
    run=_connect,
    summary="Connect a container to a network",
    usage=("NETWORK CONTAINER",),
    flags=CONNECT_FLAGS,
    least=2,
    most=2,
    completes=("network", "container"),
)
DISCONNECT = Command(
    run=_disconnect,
    summary="Disconnect a container from a network",
    usage=("NETWORK CONTAINER",),
    flags=(flag("-f, --force", "Force the container to disconnect from a network"),),
    least=2,
    most=2,
    completes=("network", "container"),
)
RM = Command(
    run=_remove,
    summary="Remove one or more networks",
    usage=("NETWORK [NETWORK...]",),
    flags=(flag("-f, --force", "Do not error if the network does not exist"),),
    least=1,
    most=None,
    completes=("network",),
)
