"""A start that found its port taken: by whom, and what can be done."""

from __future__ import annotations

import re
from collections.abc import Iterable

from app.why.reason import FAILED, Reason, name_of, seen, step
from app.why.signs import Signs
from core.model.container import Container, Created, Running
from core.model.display import safe_text
from core.model.ports import PortWish

_TAKEN = re.compile(r"Bind for (\S+):(\d{1,5}) failed: port is already allocated")


def taken_port(container: Container) -> int:
    """The host's port for want of which it could not start; 0 where that is not why."""
    found = _TAKEN.search(container.state.error) if isinstance(container.state, Created) else None
    return int(found[2]) if found else 0


def holder_of(port: int, containers: Iterable[Container]) -> str:
    """The name of the container that publishes something at a port of the host; empty where none does."""
    for one in containers:
        if isinstance(one.state, Running) and any(published.host_port == port for published in one.state.ports):
            return one.name
    return ""


def port_taken(container: Container, signs: Signs) -> Reason | None:
    """The reason, if this is it."""
    port = taken_port(container)
    if not port:
        return None
    wishes, steps = container.config.spec.ports, [step("start it again", ("start", container.name))]
    who = "by another program of this host"
    if holder := signs.port_holder:
        who = f"by the container {safe_text(holder)}"
        steps = [step(f"stop {safe_text(holder)}, start it", ("stop", holder), ("start", container.name))]
    return Reason(
        kind="port",
        since_ns=container.config.created_ns,
        urgency=FAILED,
        sentence=f"{name_of(container)} could not start: port {port} of the host is taken {who}",
        evidence=(
            seen("asks for", *map(_asked, wishes)),
            seen("instead", "remove it and make it again with another port before the colon"),
        ),
        steps=tuple(steps),
    )


def _asked(wish: PortWish) -> str:
    address = f"[{wish.host_ip}]" if ":" in wish.host_ip else wish.host_ip
    last = f"-{wish.host_last}" if wish.host_last else ""
    return f"-p {address}{':' * bool(address)}{wish.host_first or ''}{last}:{wish.container_port}/{wish.protocol}"
