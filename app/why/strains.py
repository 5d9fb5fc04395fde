"""Containers that run, but not as well as they might: unhealthy, held back, short of memory, silent, frozen."""

from __future__ import annotations

from collections.abc import Iterator

from app import short
from app.why.endings import raised_memory, times
from app.why.reason import FAILED, NEAR, STATE, Reason, Step, logs_step, name_of, seen, step
from app.why.signs import Signs, Use
from core.model.container import Container, Running
from core.model.display import clip, safe_text
from core.model.limits import Limits

_NEAR_LIMIT = 0.9
_HELD_BACK = 5.0
"""Per cent of the time from which a CPU limit is worth a word."""
_SILENT_S = 10
_OFTEN, _UNSETTLED_S = 3, 60
"""So many starts by its policy, and the last so short a while ago: it does not get anywhere."""
_SENTENCE_CELLS = 100


def strains(container: Container, signs: Signs, now_ns: int) -> Iterator[Reason]:
    """What a running container suffers from, in no order."""
    state = container.state
    if not isinstance(state, Running):
        return
    if state.paused:
        yield _paused(container, state)
    if state.restart_count >= _OFTEN and now_ns - state.started_ns < _UNSETTLED_S * 10**9:
        yield _started_again(container, state, now_ns)
    yield from _health(container, state)
    if signs.use is not None:
        yield from _memory(container, state, signs.use)
        yield from _cpu(container, state, signs.use, signs.cpu_count)
        yield from _pids(container, state, signs.use)
    if container.config.log.driver == "none":
        yield _unkept(container, state)
    elif signs.has_written is False and now_ns - state.started_ns > _SILENT_S * 10**9 and not state.paused:
        yield _silent(container, state, now_ns)
    if state.held_up:
        yield _held_up(container, state)
    if state.warnings:
        yield _less_than_asked(container, state)


def cpu_limit(limits: Limits) -> float:
    """How many cores it may use; 0.0: all."""
    if limits.nano_cpus:
        return limits.nano_cpus / 1e9
    if limits.cpu_quota_us > 0:
        return limits.cpu_quota_us / (limits.cpu_period_us or 100_000)
    return 0.0


def _paused(container: Container, state: Running) -> Reason:
    return Reason(
        kind="paused",
        since_ns=state.started_ns,
        urgency=STATE,
        sentence=f"{name_of(container)} is paused: its processes are frozen, and nothing in it runs",
        steps=(step("let it go on", ("unpause", container.name)),),
    )


def _started_again(container: Container, state: Running, now_ns: int) -> Reason:
    name, age = name_of(container), short.ago(state.started_ns, now_ns)
    return Reason(
        kind="restarting",
        since_ns=container.config.created_ns,
        urgency=FAILED,
        sentence=f"{name} keeps restarting ({times(state.restart_count)} so far): it has run for {age} now",
        evidence=(seen("policy", f"--restart {container.settings.restart}"),),
        steps=(
            logs_step(container),
            step("let it rest", ("stop", container.name)),
            step("do not start it again by itself", ("update", "--restart", "no", container.name)),
        ),
    )


def _health(container: Container, state: Running) -> Iterator[Reason]:
    health, check = container.health, container.config.health
    if health is None or health.status != "unhealthy":
        return
    last = health.results[-1] if health.results else None
    said = clip(safe_text(" ".join(last.output.split())), _SENTENCE_CELLS) if last and last.output.strip() else ""
    code = f" with exit code {last.exit_code}" if last and last.exit_code >= 0 else ", for it took too long"
    sentence = f"{name_of(container)} is unhealthy: its check failed {health.failing_streak} times in a row{code}"
    words = check.argv(container.config.health_shell) if check is not None and check.is_on else ()
    steps: list[Step] = [step("run the check by hand", ("exec", container.name, *words))] if words else []
    yield Reason(
        kind="unhealthy",
        since_ns=state.started_ns,
        urgency=FAILED,
        sentence=sentence + (f": “{said}”" if said else ""),
        evidence=tuple(
            one
            for one in (
                seen("check", " ".join(words)),
                seen("last", *(last.output.splitlines()[-3:] if last else ())),
                seen("at", short.clock(last.end_ns) if last else ""),
            )
            if one.lines
        ),
        steps=(*steps, step("restart it", ("restart", container.name)), logs_step(container)),
    )


def _memory(container: Container, state: Running, use: Use) -> Iterator[Reason]:
    limit, more = use.limit_bytes, raised_memory(container)
    steps = (*((more,) if more else ()), step("see its processes", ("top", container.name)))
    of_limit = seen("memory", f"{short.size(use.memory_bytes)} of {short.size(limit)}" if limit else "")
    if use.oom_kills:
        often = times(use.oom_kills)
        sentence = f"{name_of(container)} goes on, but the kernel killed a process in it {often} for want of memory"
        sentence += f" (limit {short.size(limit)})" if limit else ""
        yield Reason(
            kind="oom-inside",
            since_ns=state.started_ns,
            urgency=FAILED,
            sentence=sentence,
            evidence=(of_limit,) if of_limit.lines else (),
            steps=(*steps, logs_step(container)),
        )
    elif limit and use.memory_bytes > _NEAR_LIMIT * limit:
        share = 100 * use.memory_bytes / limit
        yield Reason(
            kind="memory",
            since_ns=state.started_ns,
            urgency=NEAR,
            sentence=f"{name_of(container)} uses {share:.0f}% of its memory limit ({short.size(limit)})",
            evidence=(of_limit, seen("past it", "the kernel kills what asks for more")),
            steps=steps,
        )


def _cpu(container: Container, state: Running, use: Use, cpu_count: int) -> Iterator[Reason]:
    limit = cpu_limit(container.settings.limits)
    if not limit or use.throttled_percent < _HELD_BACK:
        return
    most = float(cpu_count) or limit * 2
    wanted = min(limit * 2, most)
    steps = [step("see its processes", ("top", container.name))]
    if wanted > limit:
        words = f"let it have {wanted:g} cpu{'' if wanted == 1 else 's'}"
        steps.insert(0, step(words, ("update", "--cpus", f"{wanted:g}", container.name)))
    yield Reason(
        kind="throttled",
        since_ns=state.started_ns,
        urgency=NEAR,
        sentence=f"{name_of(container)} is throttled: for {use.throttled_percent:.0f}% of the last"
        f" {short.span(use.over_s + 0.5)} its limit of {limit:g} cpu{'' if limit == 1 else 's'} held it back",
        evidence=(seen("cpu", f"{use.cpu_percent / 100:.2f} of {limit:g} cpus used"),),
        steps=tuple(steps),
    )


def _pids(container: Container, state: Running, use: Use) -> Iterator[Reason]:
    limit = container.settings.limits.pids_limit
    if limit > 0 and use.pids >= _NEAR_LIMIT * limit:
        yield Reason(
            kind="pids",
            since_ns=state.started_ns,
            urgency=NEAR,
            sentence=f"{name_of(container)} has {use.pids} of the {limit} processes and threads it may have",
            evidence=(seen("past it", "new processes and threads fail to start"),),
            steps=(
                step(f"let it have {limit * 2}", ("update", "--pids-limit", str(limit * 2), container.name)),
                step("see its processes", ("top", container.name)),
            ),
        )


def _silent(container: Container, state: Running, now_ns: int) -> Reason:
    name, argv = name_of(container), container.config.argv
    age = short.ago(state.started_ns, now_ns)
    sentence = f"{name} has written nothing in {age}: what it writes to files of its own is not in its log"
    if any("python" in word for word in argv[:2]) and not container.config.spec.tty:
        sentence = f"{name} has written nothing in {age}: Python holds its output back where there is no terminal"
    return Reason(
        kind="silent",
        since_ns=state.started_ns,
        urgency=STATE,
        sentence=sentence,
        evidence=(seen("command", " ".join(argv)),),
        steps=(
            step("see its processes", ("top", container.name)),
            step("see which files it wrote", ("diff", container.name)),
            step("look inside", ("exec", "-it", container.name, "sh")),
        ),
    )


def _unkept(container: Container, state: Running) -> Reason:
    return Reason(
        kind="silent",
        since_ns=state.started_ns,
        urgency=STATE,
        sentence=f"{name_of(container)} has no log: its log driver is none, so that nothing it writes is kept",
        evidence=(seen("driver", "--log-driver none, fixed at create"),),
        steps=(step("see what it writes from now on", ("attach", "--no-stdin", container.name)),),
    )


def _held_up(container: Container, state: Running) -> Reason:
    return Reason(
        kind="held-up",
        since_ns=state.started_ns,
        urgency=FAILED,
        sentence=f"{name_of(container)} is held up: {safe_text(state.held_up)}",
        evidence=(seen("data root", container.directory),),
        steps=(step("see what takes the room", ("system", "df")),),
    )


def _less_than_asked(container: Container, state: Running) -> Reason:
    return Reason(
        kind="warning",
        since_ns=state.started_ns,
        urgency=STATE,
        sentence=f"{name_of(container)} runs with less than was asked for: {safe_text(state.warnings[0])}",
        evidence=(seen("not done", *state.warnings),),
    )
