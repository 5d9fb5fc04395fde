"""All reasons of one container, the most urgent first."""

from __future__ import annotations

from app.why.endings import ending
from app.why.reason import STATE, Reason, Step, logs_step, name_of, step
from app.why.signs import Signs
from app.why.strains import strains
from core.model.container import Container, Created, Removing


def find_reasons(container: Container, signs: Signs, now_ns: int) -> list[Reason]:
    """Why it is as it is; empty for one that runs well."""
    found = list(strains(container, signs, now_ns))
    ended = ending(container, signs)
    if ended is not None:
        found.append(ended)
    return sorted(found, key=lambda reason: -reason.urgency)


def plain_word(container: Container) -> Reason:
    """What there is to say of one that has no reason to give."""
    name = name_of(container)
    steps: tuple[Step, ...]
    match container.state:
        case Created():
            sentence, steps = f"{name} has never been started", (step("start it", ("start", container.name)),)
        case Removing():
            sentence, steps = f"{name} is being removed", ()
        case _:
            sentence, steps = f"{name} runs, and nothing seems wrong with it", (logs_step(container),)
    return Reason(kind="fine", since_ns=container.config.created_ns, urgency=STATE, sentence=sentence, steps=steps)
