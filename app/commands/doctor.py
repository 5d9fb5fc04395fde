"""`doctor`: what this host offers and lacks, what that means, and how it is mended."""

from __future__ import annotations

import msgspec

from app.commands.definition import Command, Invocation
from app.commands.flags import flag

_INDENT = " " * 10


def _doctor(invocation: Invocation) -> int:
    io = invocation.io
    features = invocation.backend.doctor()
    hinders = any(feature.standing == "missing" for feature in features)
    if invocation.flags.truth("json"):
        io.line(msgspec.json.encode(features).decode())
        return int(hinders)
    width = max(len(feature.name) for feature in features) + 2
    for feature in features:
        io.line(f"{feature.standing:<{len(_INDENT)}}{feature.name:<{width}}{feature.found}")
        if feature.consequence:
            io.line(f"{_INDENT}{'':<{width}}{feature.consequence}")
        if feature.remedy:
            io.line(f"{_INDENT}{'':<{width}}→ {feature.remedy}")
    io.line()
    if hinders:
        io.line("containers can't run here: see what is missing above")
    else:
        io.line("containers can run here")
    return int(hinders)


DOCTOR = Command(
    run=_doctor,
    summary="Show what this host offers and lacks, and how to mend it",
    description=(
        "Look at, and where possible try, everything that containers need of this host. Each line is ok, a note "
        "(few would miss it), a warning (something asked for will not work as asked) or missing (no container "
        "runs without it), with the consequence and what mends it. The exit code is 1 if something is missing. "
        "It can be run by anybody; root can try more."
    ),
    flags=(flag("--json", "Print a list of objects: name, standing, found, consequence, remedy"),),
)
