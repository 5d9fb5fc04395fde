"""`fsck`: is everything that is stored whole?"""

from __future__ import annotations

from app.commands.definition import Command, Invocation
from app.commands.flags import flag
from core.about import NAME


def _fsck(invocation: Invocation) -> int:
    flags, io = invocation.flags, invocation.io
    repair = flags.truth("repair")
    findings = invocation.backend.system.fsck(repair=repair, deep=flags.truth("deep"), cancel=io.cancel)
    for finding in findings:
        io.line(finding.line)
    left = sum(not finding.repaired for finding in findings)
    if not findings:
        io.line("clean")
    elif not left:
        io.line(f"{len(findings)} found, all repaired")
    elif repair:
        io.line(f"{len(findings)} found, {len(findings) - left} repaired")
    else:
        mendable = sum(bool(finding.repair) for finding in findings)
        io.line(f"{len(findings)} found, {mendable} of them can be repaired: {NAME} fsck --repair")
    return 1 if left else 0


FSCK = Command(
    run=_fsck,
    summary="Check that everything that is stored is whole",
    description=(
        "Check every document, image, layer, container and volume against each other, and the control groups and "
        "the run root against what runs. Nothing is changed without --repair. A repair deletes only what an "
        "operation that died has left; what may hold something of yours is moved to damaged/ below the data root, "
        "with the reason beside it. The exit code is 0 when everything is whole, or is so again."
    ),
    flags=(
        flag("--deep", "Read all content and compare it with its digests, which takes its time"),
        flag("--repair", "Mend what can be mended"),
    ),
)
