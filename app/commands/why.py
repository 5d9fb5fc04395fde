"""`why`: the reason a container is as it is, or why its port can't be reached, and what to do next."""

from __future__ import annotations

import time

from app.commands.definition import Command, Invocation
from app.commands.flags import flag
from app.why.find import find_reasons, plain_word
from app.why.reason import NEAR, Reason
from app.why.signs import gather
from core.errors import InvalidInput
from core.model.container import Container

_INDENT = "  "


def _run(invocation: Invocation) -> int:
    io, backend, layout = invocation.io, invocation.backend, invocation.flags.text("format")
    if invocation.flags.given("port"):
        return _trace(invocation, layout)
    if invocation.arguments:
        containers = [backend.containers.inspect(name) for name in invocation.arguments]
    else:
        containers = list(backend.containers.list(all=True))
    told = 0
    for container in containers:
        reasons = find_reasons(container, gather(backend, container), time.time_ns())
        if not invocation.arguments:
            reasons = [reason for reason in reasons if reason.urgency >= NEAR]
            if not reasons:
                continue
        reasons = reasons or [plain_word(container)]
        if layout:
            _tell_document(invocation, container, reasons, layout)
            continue
        for reason in reasons:
            if told:
                io.line()
            io.text(reason_text(reason))
            told += 1
    if not told and not layout:
        io.line("Nothing seems wrong with any container")
    return 0


def _trace(invocation: Invocation, layout: str) -> int:
    """Try the way to a port; 1 when a step of it fails."""
    from app.reach import SIGNS, verdict_sentence
    from core.model.ports import parse_port

    io = invocation.io
    number, protocol = parse_port(invocation.flags.text("port"))
    if len(invocation.arguments) != 1:
        raise InvalidInput("--port asks about one container", hint="write why --port 80 CONTAINER")
    steps = invocation.backend.networks.trace(invocation.arguments[0], number, protocol)
    if layout:
        from app.commands.template import Template
        from app.commands.template_functions import go_json

        for step in steps:
            document = {"Step": step.name, "Verdict": step.verdict, "Text": step.text, "Hint": step.hint}
            io.line(go_json(document) if layout == "json" else Template(layout).render(document))
    else:
        width = max((len(step.name) for step in steps), default=0)
        for step in steps:
            io.line(f"{SIGNS.get(step.verdict, '?')} {step.name:<{width}}  {step.text}")
            if step.hint:
                io.line(f"  {'':<{width}}  {step.hint}")
        io.line(verdict_sentence(steps))
    return 1 if any(step.verdict == "failed" for step in steps) else 0


def reason_text(reason: Reason) -> str:
    """A reason as lines: the sentence, then evidence and steps in columns."""
    rows: list[tuple[str, str]] = []
    for one in reason.evidence:
        rows += [(one.title if not number else "", line) for number, line in enumerate(one.lines)]
    for number, step in enumerate(reason.steps):
        rows += [("next" if not number else "", f"{step.words}:"), ("", f"{_INDENT}{step.text}")]
    width = max((len(title) for title, _text in rows), default=0)
    return f"{reason.sentence}\n" + "".join(f"{_INDENT}{title:<{width}}  {text}\n" for title, text in rows)


def _tell_document(invocation: Invocation, container: Container, reasons: list[Reason], layout: str) -> None:
    from app.commands.template import Template
    from app.commands.template_functions import go_json

    for reason in reasons:
        document = {
            "ID": container.id,
            "Name": container.name,
            "Kind": reason.kind,
            "Urgency": reason.urgency,
            "Reason": reason.sentence,
            "Evidence": {one.title: list(one.lines) for one in reason.evidence},
            "Next": [{"Words": step.words, "Command": step.text} for step in reason.steps],
        }
        invocation.io.line(go_json(document) if layout == "json" else Template(layout).render(document))


WHY = Command(
    run=_run,
    summary="Tell why containers ended, were killed, are held back or silent, and what to do",
    usage=("[CONTAINER...]",),
    description="Without a name: of all containers with which something is wrong",
    flags=(
        flag("-f, --format string", "'json' or a Go template"),
        flag("-p, --port string", "Try the way to this port of a container (80, 53/udp), step by step"),
    ),
    least=0,
    most=None,
    completes=("container",),
)
