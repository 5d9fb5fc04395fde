"""`port`: where a container's ports are published on the host."""

from __future__ import annotations

from app.commands.definition import Command, Invocation
from app.commands.ports import host_address, parse_ports
from core.errors import InvalidInput, NotFound
from core.model.container import Running


def _port(invocation: Invocation) -> int:
    """All of them, sorted by their number inside; or where one is reached."""
    name = invocation.arguments[0]
    state = invocation.backend.containers.inspect(name).state
    published = state.ports if isinstance(state, Running) else ()
    published = tuple(sorted(published, key=lambda port: (port.container_port, port.protocol, ":" in port.host_ip)))
    if len(invocation.arguments) == 1:
        for port in published:
            invocation.io.line(f"{port.container_port}/{port.protocol} -> {host_address(port)}")
        return 0
    wanted = invocation.arguments[1]
    if "-" in wanted:
        raise InvalidInput(f"invalid port ({wanted})", hint="write one port, for example 80 or 53/udp")
    (key,) = parse_ports(wanted, what="port")
    found = [port for port in published if f"{port.container_port}/{port.protocol}" == key]
    if not found:
        raise NotFound(f"No public port '{wanted}' published for {name}", kind="port", key=wanted)
    for port in found:
        invocation.io.line(host_address(port))
    return 0


PORT = Command(
    run=_port,
    summary="List port mappings or a specific mapping for the container",
    usage=("CONTAINER [PRIVATE_PORT[/PROTO]]",),
    least=1,
    most=2,
    completes=("container", "word"),
)
