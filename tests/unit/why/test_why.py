"""Reasons: values in, one sentence, its evidence and the next steps out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from app.why.codes import meaning, spelled
from app.why.endings import telling_line
from app.why.find import find_reasons, plain_word
from app.why.reason import FAILED, NEAR, STATE, Reason
from app.why.signs import Signs, Use, use_of
from app.why.taken import holder_of, taken_port
from core.model.container import Container, Created, Damaged, Exited, Restarting, Running
from core.model.health import Health, HealthCheck, HealthResult
from core.model.limits import Limits
from core.model.log_drivers import LogConfig
from core.model.logs import LogLine
from core.model.ports import PortWish, PublishedPort
from core.model.stats import StatsSample
from tests.tui.fake_backend import MIB, SECOND, make_container

NOW = 1_000_000 * SECOND
AFTER = {"started_ns": NOW - 90 * SECOND, "finished_ns": NOW - 30 * SECOND}
LIVE = Running(pid=1, start_ticks=1, boot_id="b", started_ns=NOW - 90 * SECOND)


def log(*lines: bytes, stream: int = 1) -> tuple[LogLine, ...]:
    return tuple(LogLine(NOW, stream, line + b"\n") for line in lines)


def use(**fields: Any) -> Use:
    plain = {"over_s": 60.0, "cpu_percent": 10.0, "throttled_percent": 0.0, "memory_bytes": MIB, "limit_bytes": 0}
    return Use(**{**plain, "peak_bytes": MIB, "pids": 3, "oom_kills": 0, **fields})


def only(container: Container, **signs: Any) -> Reason:
    reasons = find_reasons(container, Signs(**signs), NOW)
    assert len(reasons) == 1, reasons
    return reasons[0]


def evidence(reason: Reason) -> dict[str, str]:
    return {one.title: "\n".join(one.lines) for one in reason.evidence}


def commands(reason: Reason) -> list[str]:
    return [step.text for step in reason.steps]


def taken(**spec: Any) -> Container:
    error = "driver failed programming external connectivity on endpoint x (0): Bind for 0.0.0.0:8080 failed: "
    return make_container("x", state=Created(error=error + "port is already allocated", exit_code=125), **spec)


def test_E1_a_taken_port_names_who_has_it() -> None:
    wishes = (PortWish(container_port=80, host_first=8080), PortWish(container_port=53, protocol="udp", host_ip="::1"))
    reason = only(taken(ports=wishes), port_holder="web")
    assert (reason.kind, reason.urgency) == ("port", FAILED)
    assert reason.sentence == "x could not start: port 8080 of the host is taken by the container web"
    assert evidence(reason)["asks for"] == "-p 8080:80/tcp\n-p [::1]::53/udp"
    assert commands(reason) == ["wharf stop web && wharf start x"]


def test_E1_a_port_that_no_container_has_is_another_programs() -> None:
    reason = only(taken())
    assert reason.sentence == "x could not start: port 8080 of the host is taken by another program of this host"
    assert commands(reason) == ["wharf start x"]


def test_E1_who_has_a_port_is_found_among_those_that_run() -> None:
    ports = (PublishedPort(container_port=80, host_ip="::", host_port=8080),)
    running = make_container("web", state=msgspec.structs.replace(LIVE, ports=ports))
    assert taken_port(taken()) == 8080
    assert taken_port(running) == 0
    assert holder_of(8080, [make_container("other"), running]) == "web"
    assert holder_of(8081, [running]) == ""


# ---------------------------------------------------------------------- ends


def test_A16_an_oom_kill_names_the_limit_the_peak_and_how_to_raise_it() -> None:
    state = Exited(exit_code=137, oom_killed=True, **AFTER)
    cron = make_container("cron", state=state, limits=Limits(memory_bytes=256 * MIB))
    reason = only(cron, use=use(peak_bytes=255 * MIB), log=log(b"eating"), has_written=True)
    assert reason.kind == "oom"
    assert reason.urgency == FAILED
    assert "cron was OOM-killed at " in reason.sentence
    assert "(limit 256M): it needed more memory than it may have" in reason.sentence
    assert evidence(reason) == {
        "exit code": "137 = 128 + 9 (SIGKILL)",
        "memory": "255M of 256M at the highest that was sampled",
        "log": "eating",
    }
    assert commands(reason)[0] == "wharf update --memory 512m --memory-swap 1024m cron && wharf start cron"


def test_an_oom_kill_without_a_limit_is_the_hosts() -> None:
    reason = only(make_container("x", state=Exited(exit_code=137, oom_killed=True, **AFTER)))
    assert "the host had no memory left, and it has no limit" in reason.sentence
    assert commands(reason)[0] == "wharf update --memory 512m x"


def test_swap_without_end_stays_without_end() -> None:
    limits = Limits(memory_bytes=64 * MIB, memory_swap_bytes=-1)
    cron = make_container("x", state=Exited(exit_code=137, oom_killed=True, **AFTER), limits=limits)
    assert commands(only(cron))[0] == "wharf update --memory 128m --memory-swap -1 x && wharf start x"


def test_a_failure_quotes_the_line_that_tells() -> None:
    lines = log(b"starting", b"Error: no such table: users") + log(b"bye", stream=2)
    reason = only(make_container("x", state=Exited(exit_code=1, **AFTER)), log=lines)
    assert reason.sentence.endswith("exited 1 at " + reason.sentence.split(" at ")[1])
    assert reason.sentence.endswith(": “Error: no such table: users”")
    assert evidence(reason)["log"] == "starting\nError: no such table: users\nbye"
    assert commands(reason) == ["wharf start x", "wharf logs --tail 100 x"]


@pytest.mark.parametrize(
    ("code", "words", "urgency"),
    [
        (2, "called wrongly", FAILED),
        (126, "can't be executed", FAILED),
        (127, "was not found", FAILED),
        (130, "interrupted", STATE),
        (132, "another kind of processor", FAILED),
        (134, "gave up by itself", FAILED),
        (135, "full /dev/shm", FAILED),
        (137, "it was killed: by hand, by a stop whose signal it did not heed in time, or by the host", STATE),
        (139, "it crashed", FAILED),
        (143, "asked to end", STATE),
        (159, "seccomp profile", FAILED),
    ],
)
def test_exit_codes_say_what_they_mean(code: int, words: str, urgency: int) -> None:
    reason = only(make_container("x", state=Exited(exit_code=code, **AFTER)))
    assert words in reason.sentence
    assert reason.urgency == urgency


def test_codes_of_signals_are_spelled_out() -> None:
    assert spelled(137) == "137 = 128 + 9 (SIGKILL)"
    assert spelled(3) == "3"
    assert meaning(0) == ""
    assert meaning(192) == "signal RTMIN+30 ended it"
    assert meaning(300) == "it failed by its own account"


def test_a_bare_shell_that_ends_at_once_wants_a_terminal() -> None:
    state = Exited(exit_code=0, started_ns=NOW - SECOND, finished_ns=NOW)
    reason = only(make_container("x", "busybox", state, argv=("/bin/sh",)), has_written=False)
    assert "ended at once: its command is a shell, which had no terminal and no script" in reason.sentence
    assert commands(reason)[0] == "wharf run -d -it busybox"
    assert evidence(reason)["log"] == "it wrote nothing"


def test_a_job_that_is_done_is_a_state_and_no_failure() -> None:
    reason = only(make_container("x", state=Exited(exit_code=0, **AFTER)))
    assert reason.urgency == STATE
    assert "has done its work" in reason.sentence


def test_a_failed_start_says_the_engines_words_and_leads_into_the_image() -> None:
    broken = make_container("x", "shop/api:1", Created(error='exec: "nope": not found', exit_code=127))
    reason = only(broken)
    assert reason.sentence == 'x failed to start (127): exec: "nope": not found'
    assert commands(reason)[0] == "wharf run --rm -it --entrypoint sh shop/api:1"


def test_one_that_keeps_restarting_says_how_often_and_why() -> None:
    state = Restarting(exit_code=1, boot_id="b", restart_count=5, **AFTER)
    looping = make_container("x", state=state)
    reason = only(looping, log=log(b"Error: no database"))
    assert reason.sentence.startswith("x keeps restarting (5 times so far): it exited 1 at ")
    assert reason.sentence.endswith(": “Error: no database”")
    assert evidence(reason)["policy"] == "--restart no"
    assert commands(reason) == ["wharf logs --tail 100 x", "wharf stop x", "wharf update --restart no x"]
    oom = Restarting(exit_code=137, boot_id="b", restart_count=1, oom_killed=True, **AFTER)
    reason = only(make_container("x", state=oom, limits=Limits(memory_bytes=64 * MIB)))
    assert "x keeps restarting (once so far): it was OOM-killed at " in reason.sentence
    assert commands(reason)[0] == "wharf update --memory 128m --memory-swap 256m x"


def test_between_two_crashes_it_is_still_restarting() -> None:
    fresh = Running(pid=1, start_ticks=1, boot_id="b", started_ns=NOW - 3 * SECOND, restart_count=4)
    assert only(make_container("x", state=fresh)).sentence == (
        "x keeps restarting (4 times so far): it has run for 3s now"
    )
    settled = Running(pid=1, start_ticks=1, boot_id="b", started_ns=NOW - 90 * SECOND, restart_count=4)
    assert find_reasons(make_container("x", state=settled), Signs(), NOW) == []


def test_what_was_stopped_by_hand_is_no_failure() -> None:
    reason = only(make_container("x", state=Exited(exit_code=137, stopped_by_hand=True, **AFTER)))
    assert reason.urgency == STATE
    assert "by hand or by a stop whose signal it did not heed" in reason.sentence
    assert evidence(reason)["heeds"] == "SIGTERM is what stop sends first"
    assert only(make_container("x", state=Exited(exit_code=1, stopped_by_hand=True, **AFTER))).urgency == STATE


def test_unknown_ends_are_said_to_be_unknown() -> None:
    assert (
        "nobody was left to learn its exit code"
        in only(make_container("x", state=Exited(exit_code=-1, **AFTER))).sentence
    )
    lost = Exited(exit_code=255, error="the host was restarted while it ran", **AFTER)
    assert only(make_container("x", state=lost)).sentence.endswith(": the host was restarted while it ran")


def test_a_damaged_one_can_be_removed() -> None:
    assert commands(only(make_container("x", state=Damaged(why="config.json is empty"))))[-1] == "wharf rm -f x"


def test_ST10_what_containers_wrote_comes_out_safe() -> None:
    evil = log(b"error \x1b[2J\x1b]52;c;eA==\x07")
    reason = only(make_container("x", state=Exited(exit_code=1, **AFTER)), log=evil)
    assert "\x1b" not in reason.sentence + str(evidence(reason))
    assert "\x07" not in reason.sentence + str(evidence(reason))


def test_the_telling_line_prefers_trouble_then_the_error_stream_then_the_last() -> None:
    assert telling_line(log(b"panic: x", b"done")) == "panic: x"
    assert telling_line(log(b"one", stream=2) + log(b"two")) == "one"
    assert telling_line(log(b"one", b"two", b"")) == "two"
    assert telling_line(()) == ""


# ---------------------------------------------------------------------- while it runs


def test_one_that_runs_well_has_no_reason_but_a_word() -> None:
    well = make_container("x", state=LIVE)
    assert find_reasons(well, Signs(use=use(), has_written=True), NOW) == []
    assert plain_word(well).sentence == "x runs, and nothing seems wrong with it"
    assert plain_word(make_container("x", state=Created())).sentence == "x has never been started"


def test_A15_throttling_names_the_share_the_limit_and_a_higher_one() -> None:
    held = make_container("x", state=LIVE, limits=Limits(nano_cpus=500_000_000))
    reason = only(held, use=use(throttled_percent=34.2, cpu_percent=50.0), cpu_count=4)
    assert reason.sentence == "x is throttled: for 34% of the last 1m its limit of 0.5 cpus held it back"
    assert evidence(reason) == {"cpu": "0.50 of 0.5 cpus used"}
    assert commands(reason) == ["wharf update --cpus 1 x", "wharf top x"]
    assert reason.urgency == NEAR


def test_throttling_by_quota_counts_too_and_no_more_than_the_host_is_offered() -> None:
    limits = Limits(cpu_quota_us=150_000, cpu_period_us=100_000)
    reason = only(make_container("x", state=LIVE, limits=limits), use=use(throttled_percent=50), cpu_count=2)
    assert commands(reason)[0] == "wharf update --cpus 2 x"
    assert find_reasons(make_container("x", state=LIVE), Signs(use=use(throttled_percent=50)), NOW) == []


def test_memory_near_the_limit_and_kills_inside() -> None:
    tight = make_container("x", state=LIVE, limits=Limits(memory_bytes=64 * MIB))
    near = use(memory_bytes=60 * MIB, limit_bytes=64 * MIB)
    assert only(tight, use=near).sentence == "x uses 94% of its memory limit (64M)"
    killed = only(tight, use=use(memory_bytes=60 * MIB, limit_bytes=64 * MIB, oom_kills=2))
    assert killed.sentence == "x goes on, but the kernel killed a process in it 2 times for want of memory (limit 64M)"
    assert commands(killed)[0] == "wharf update --memory 128m --memory-swap 256m x"


def test_processes_near_their_limit() -> None:
    full = make_container("x", state=LIVE, limits=Limits(pids_limit=10))
    reason = only(full, use=use(pids=10))
    assert reason.sentence == "x has 10 of the 10 processes and threads it may have"
    assert commands(reason)[0] == "wharf update --pids-limit 20 x"


def test_unhealthy_quotes_the_check_and_its_output() -> None:
    import msgspec

    result = HealthResult(start_ns=NOW, end_ns=NOW, exit_code=7, output="connection refused\n")
    health = Health(status="unhealthy", failing_streak=3, results=(result,))
    sick = make_container("x", state=LIVE)
    check = HealthCheck(test=("CMD-SHELL", "curl -f localhost"))
    sick = msgspec.structs.replace(sick, health=health, config=msgspec.structs.replace(sick.config, health=check))
    reason = only(sick)
    assert reason.sentence == (
        "x is unhealthy: its check failed 3 times in a row with exit code 7: “connection refused”"
    )
    assert commands(reason)[0] == "wharf exec x /bin/sh -c 'curl -f localhost'"
    assert "wharf restart x" in commands(reason)


def test_silence_has_a_reason_too_after_a_while() -> None:
    quiet = make_container("x", state=LIVE)
    assert "has written nothing in 1m" in only(quiet, has_written=False).sentence
    python = make_container("x", state=LIVE, argv=("python3", "serve.py"))
    assert "Python holds its output back" in only(python, has_written=False).sentence
    fresh = make_container("x", state=Running(pid=1, start_ticks=1, boot_id="b", started_ns=NOW - SECOND))
    assert find_reasons(fresh, Signs(has_written=False), NOW) == []


def test_no_log_for_want_of_a_driver_is_said_at_once() -> None:
    import msgspec

    kept = make_container("x", state=LIVE)
    config = msgspec.structs.replace(kept.config, log=LogConfig(driver="none"))
    reason = only(msgspec.structs.replace(kept, config=config))
    assert reason.sentence == "x has no log: its log driver is none, so that nothing it writes is kept"
    assert commands(reason) == ["wharf attach --no-stdin x"]


def test_a_paused_one_can_go_on() -> None:
    frozen = Running(pid=1, start_ticks=1, boot_id="b", started_ns=NOW, paused=True)
    assert commands(only(make_container("x", state=frozen))) == ["wharf unpause x"]


def test_what_could_not_be_honoured_is_told() -> None:
    less = Running(pid=1, start_ticks=1, boot_id="b", started_ns=NOW, warnings=("no swap accounting",))
    assert only(make_container("x", state=less)).sentence == "x runs with less than was asked for: no swap accounting"


def test_the_most_urgent_reason_comes_first() -> None:
    both = make_container("x", state=LIVE, limits=Limits(memory_bytes=64 * MIB, nano_cpus=10**9))
    signs = Signs(use=use(oom_kills=1, throttled_percent=20), has_written=False)
    assert [reason.kind for reason in find_reasons(both, signs, NOW)] == ["oom-inside", "throttled", "silent"]


# ---------------------------------------------------------------------- use


def sample(second: int, cpu_s: float, throttled_s: float = 0, memory: int = MIB) -> StatsSample:
    return StatsSample(
        at_ns=NOW + second * SECOND,
        cpu_ns=int(cpu_s * SECOND),
        throttled_ns=int(throttled_s * SECOND),
        memory_bytes=memory,
        memory_limit_bytes=0,
        pids=1,
    )


def test_use_is_that_of_the_last_minute_with_the_peak_of_all() -> None:
    history = [sample(0, 0, memory=9 * MIB), sample(100, 100), sample(130, 115, 15), sample(160, 130, 30)]
    found = use_of(history)
    assert found is not None
    assert (found.cpu_percent, found.throttled_percent, found.over_s) == (50.0, 50.0, 60.0)
    assert found.peak_bytes == 9 * MIB


def test_use_of_a_restart_counts_from_there() -> None:
    found = use_of([sample(0, 500), sample(1, 0.5), sample(2, 1.0)])
    assert found is not None
    assert found.cpu_percent == pytest.approx(50.0)
    assert use_of([]) is None
    assert use_of([sample(0, 1)]) is None
