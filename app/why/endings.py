"""Containers that do not run: ended, killed, never started, or damaged."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app import short
from app.why.codes import meaning, signal_of, spelled
from app.why.reason import (
    FAILED,
    STATE,
    Evidence,
    Reason,
    Step,
    logs_step,
    name_of,
    seen,
    shell_step,
    step,
)
from app.why.signs import Signs
from app.why.taken import port_taken
from core.model.container import Container, Created, Damaged, Exited, Restarting
from core.model.display import clip, safe_text
from core.model.logs import LogLine

_MIB = 1024 * 1024
_SHOWN_LINES = 5
_TROUBLE = re.compile(rb"error|fatal|panic|exception|traceback|denied|refused|not found|no such|cannot|can't", re.I)
_SENTENCE_CELLS = 100
_AT_ONCE_S = 2
_SHELLS = frozenset(("sh", "bash", "ash", "dash", "zsh", "busybox"))
_KILLED, _ASKED = 9, (2, 15)


def ending(container: Container, signs: Signs) -> Reason | None:
    """Why it does not run; None for one that runs or has never been asked to."""
    match container.state:
        case Restarting() as state:
            return _restarting(container, state, signs)
        case Exited(oom_killed=True) as state:
            return _oom(container, state, signs)
        case Exited(exit_code=-1) as state:
            return _unseen(container, state)
        case Exited(exit_code=0) as state:
            return _done(container, state, signs)
        case Exited() as state:
            return _failed(container, state, signs)
        case Created(error=error) as created if error:
            return port_taken(container, signs) or _not_started(container, created)
        case Damaged(why=why):
            return Reason(
                kind="damaged",
                since_ns=container.config.created_ns,
                urgency=FAILED,
                sentence=f"{name_of(container)} is damaged: {safe_text(why)}",
                steps=(
                    step("look for what else is damaged", ("fsck",)),
                    step("remove it", ("rm", "-f", container.name)),
                ),
            )
    return None


def times(count: int) -> str:
    """`once`, `5 times`."""
    return "once" if count == 1 else f"{count} times"


def raised_memory(container: Container) -> Step | None:
    """Twice the memory it may have now; None where it may have all."""
    limits = container.settings.limits
    if not limits.memory_bytes:
        return None
    wanted = limits.memory_bytes * 2
    swap = ("--memory-swap", "-1") if limits.memory_swap_bytes == -1 else ("--memory-swap", _flag_size(wanted * 2))
    commands = [("update", "--memory", _flag_size(wanted), *swap, container.name)]
    if not isinstance(container.state, Exited):
        return Step(f"let it have {short.size(wanted)}", tuple(commands))
    return Step(f"let it have {short.size(wanted)} and start it", (*commands, ("start", container.name)))


def _flag_size(size_bytes: int) -> str:
    return f"{size_bytes // _MIB}m" if size_bytes % _MIB == 0 else str(size_bytes)


def _oom(container: Container, state: Exited, signs: Signs) -> Reason:
    limit = container.settings.limits.memory_bytes
    at = short.clock(state.finished_ns)
    if limit:
        sentence = f"{name_of(container)} was OOM-killed at {at} (limit {short.size(limit)})"
        sentence += ": it needed more memory than it may have"
    else:
        sentence = f"{name_of(container)} was OOM-killed at {at}: the host had no memory left, and it has no limit"
    evidence = [seen("exit code", spelled(state.exit_code))]
    if signs.use is not None:
        of = f" of {short.size(limit)}" if limit else ""
        evidence.append(seen("memory", f"{short.size(signs.use.peak_bytes)}{of} at the highest that was sampled"))
    more = raised_memory(container)
    steps = [more] if more else [step("give it a limit", ("update", "--memory", "512m", container.name))]
    steps += [step("start it again", ("start", container.name)), logs_step(container)]
    return _ended("oom", FAILED, state, sentence, [*evidence, *_log(signs)], steps)


def _restarting(container: Container, state: Restarting, signs: Signs) -> Reason:
    """It ends again and again: what it ended with the last time is the reason."""
    last = Exited(
        exit_code=state.exit_code,
        started_ns=state.started_ns,
        finished_ns=state.finished_ns,
        oom_killed=state.oom_killed,
        error=state.error,
    )
    ended = _oom(container, last, signs) if state.oom_killed else _failed(container, last, signs)
    name = name_of(container)
    why = ended.sentence.removeprefix(f"{name} ")
    more = [one for one in ended.steps if one.commands[0][0] == "update"]
    return Reason(
        kind="restarting",
        since_ns=container.config.created_ns,
        urgency=FAILED,
        sentence=f"{name} keeps restarting ({times(state.restart_count)} so far): it {why}",
        evidence=(*ended.evidence, seen("policy", f"--restart {container.settings.restart}")),
        steps=(
            *more,
            logs_step(container),
            step("let it rest", ("stop", container.name)),
            step("do not start it again by itself", ("update", "--restart", "no", container.name)),
        ),
    )


def _unseen(container: Container, state: Exited) -> Reason:
    why = safe_text(state.error) or "nobody was left to learn its exit code"
    sentence = f"{name_of(container)} ended unseen: {why}"
    return _ended("unseen", FAILED, state, sentence, [], [step("start it again", ("start", container.name))])


def _done(container: Container, state: Exited, signs: Signs) -> Reason:
    lasted_s = max(0.0, (state.finished_ns - state.started_ns) / 1e9)
    sentence = f"{name_of(container)} has done its work: it ended by itself at {short.clock(state.finished_ns)}"
    steps = [step("start it again", ("start", container.name)), logs_step(container)]
    argv = container.config.argv
    bare_shell = len(argv) == 1 and argv[0].rpartition("/")[2] in _SHELLS
    if bare_shell and lasted_s < _AT_ONCE_S and not container.config.spec.tty:
        sentence = f"{name_of(container)} ended at once: its command is a shell, which had no terminal and no script"
        image = container.config.image_name
        steps.insert(0, step("run it with a terminal", ("run", "-d", "-it", image)))
    evidence = [seen("exit code", "0"), seen("lasted", _lasted(lasted_s)), *_log(signs)]
    return _ended("done", STATE, state, sentence, evidence, steps)


def _failed(container: Container, state: Exited, signs: Signs) -> Reason:
    code, number = state.exit_code, signal_of(state.exit_code)
    lasted_s = max(0.0, (state.finished_ns - state.started_ns) / 1e9)
    clause = safe_text(state.error) or meaning(code)
    telling = telling_line(signs.log)
    if telling and not state.error and not number:
        clause = f"“{clip(telling, _SENTENCE_CELLS)}”"
    urgency = STATE if number in _ASKED or state.stopped_by_hand else FAILED
    evidence = [seen("exit code", spelled(code)), seen("lasted", _lasted(lasted_s))]
    steps = [step("start it again", ("start", container.name)), logs_step(container)]
    if number == _KILLED and state.stopped_by_hand:
        urgency = STATE
        clause = "it was killed, by hand or by a stop whose signal it did not heed in time"
        evidence.append(seen("heeds", f"{container.config.stop_signal or 'SIGTERM'} is what stop sends first"))
    elif number == _KILLED:
        urgency = STATE
        clause = "it was killed: by hand, by a stop whose signal it did not heed in time, or by the host"
        evidence.append(seen("heeds", f"{container.config.stop_signal or 'SIGTERM'} is what stop sends first"))
    if code in (126, 127):
        steps.insert(0, shell_step(container))
        evidence.append(seen("command", " ".join(container.config.argv)))
    if number == 7:
        image = container.config.image_name
        steps.insert(0, step("run it with a larger /dev/shm", ("run", "-d", "--shm-size", "256m", image)))
    sentence = f"{name_of(container)} exited {code} at {short.clock(state.finished_ns)}"
    sentence += f": {clause}" if clause else ""
    return _ended("exit", urgency, state, sentence, [*evidence, *_log(signs)], steps)


def _not_started(container: Container, state: Created) -> Reason:
    return Reason(
        kind="start",
        since_ns=container.config.created_ns,
        urgency=FAILED,
        sentence=f"{name_of(container)} failed to start ({state.exit_code}): {safe_text(state.error)}",
        evidence=(
            seen("exit code", f"{state.exit_code}: {meaning(state.exit_code)}" if state.exit_code else ""),
            seen("command", " ".join(container.config.argv)),
            seen("image", container.config.image_name),
        ),
        steps=(shell_step(container), step("start it again", ("start", container.name))),
    )


def telling_line(log: Sequence[LogLine]) -> str:
    """The line of a log's end that most likely tells what went wrong; safe text, empty where none does."""
    lines = [line for line in log if line.data.strip()]
    for fits in (lambda line: _TROUBLE.search(line.data), lambda line: line.stream == 2):
        for line in reversed(lines):
            if fits(line):
                return safe_text(line.data.strip())
    return safe_text(lines[-1].data.strip()) if lines else ""


def _log(signs: Signs) -> list[Evidence]:
    lines = [line.data.rstrip(b"\r\n").decode("utf-8", "surrogateescape") for line in signs.log[-_SHOWN_LINES:]]
    if lines:
        return [seen("log", *lines)]
    return [seen("log", "it wrote nothing")] if signs.has_written is False else []


def _lasted(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else short.span(seconds)


def _ended(
    kind: str, urgency: int, state: Exited, sentence: str, evidence: Sequence[Evidence], steps: Sequence[Step]
) -> Reason:
    return Reason(
        kind=kind,
        since_ns=state.finished_ns,
        urgency=urgency,
        sentence=sentence,
        evidence=tuple(one for one in evidence if one.lines),
        steps=tuple(steps),
    )
