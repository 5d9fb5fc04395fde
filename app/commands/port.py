"""`port`: where a container's ports are published on the host."""

from __future__ import annotations

from app.commands.definition import Command, Invocation
from app.commands.ports import parse_ports
from core.errors import NotFound


def _port(invocation: Invocation) -> int:
    """No network that publishes is built yet: a container that is there has no published port."""
    name = invocation.arguments[0]
    invocation.backend.containers.inspect(name)
    for wanted in invocation.arguments[1:]:
        parse_ports(wanted, what="port")
        raise NotFound(f"No public port '{wanted}' published for {name}", kind="port", key=wanted)
    return 0


PORT = Command(
    run=_port,
    summary="List port mappings or a specific mapping for the container",
    usage=("CONTAINER [PRIVATE_PORT[/PROTO]]",),
    least=1,
    most=2,
    completes=("container", "word"),
)
