"""The flags of run and create: what wish they make, and what is refused before anything is made."""

import pytest

from app.commands.definition import Invocation
from app.commands.flags import parse_flags
from app.commands.run import RUN
from app.commands.wish import CREATE_FLAGS, read_wish
from core.errors import EngineError, InvalidInput
from core.model.limits import Limits
from core.model.mounts import MountSpec


def wish(*words: str, detach: bool = False):
    flags, others, _ = parse_flags(CREATE_FLAGS, words, interspersed=False)
    return read_wish(Invocation("run", flags, others, None, None), detach=detach)


def test_A2_interactive_with_a_terminal():
    spec = wish("-it", "ubuntu", "/bin/bash")
    assert (spec.tty, spec.open_stdin, spec.attach_stdin, spec.attach_stdout) == (True, True, True, True)
    assert spec.command == ("/bin/bash",)


def test_A3_detached_attaches_nothing():
    spec = wish("-i", "bb", detach=True)
    assert spec.open_stdin
    assert (spec.attach_stdin, spec.attach_stdout, spec.attach_stderr) == (False, False, False)


def test_A_attaches_only_what_was_named():
    spec = wish("-a", "STDOUT", "bb")
    assert (spec.attach_stdin, spec.attach_stdout, spec.attach_stderr) == (False, True, False)


def test_flags_after_the_image_are_the_commands_own():
    spec = wish("bb", "sh", "-c", "echo $0", "--rm", "-it")
    assert spec.command == ("sh", "-c", "echo $0", "--rm", "-it")
    assert not spec.auto_remove


def test_A15_A16_limits():
    spec = wish(
        "--cpu-shares=20", "--cpuset-cpus=0", "--cpus", "0.5", "-m", "8m", "--memory-swap=-1", "--pids-limit", "9", "bb"
    )
    assert spec.limits == Limits(
        cpu_shares=20,
        cpuset_cpus="0",
        nano_cpus=500_000_000,
        memory_bytes=8 * 1024**2,
        memory_swap_bytes=-1,
        pids_limit=9,
    )


def test_A13_privileges():
    spec = wish("--privileged=true", "--cap-add", "net_admin", "--cap-add", "CAP_SYS_TIME", "--cap-drop=all", "bb")
    assert spec.privileged
    assert spec.cap_add == ("CAP_NET_ADMIN", "CAP_SYS_TIME")
    assert spec.cap_drop == ("ALL",)


def test_D3_an_empty_entrypoint_is_none_at_all():
    assert wish("bb").entrypoint is None
    assert wish("--entrypoint", "", "bb").entrypoint == ()
    assert wish("--entrypoint", "top", "bb").entrypoint == ("top",)


def test_variables_from_flags_files_and_our_own_environment(tmp_path, monkeypatch):
    listed = tmp_path / "env"
    listed.write_text("# note\nF=1\n\nBARE\nGONE\n")
    monkeypatch.setenv("BARE", "x y")
    monkeypatch.delenv("GONE", raising=False)
    spec = wish("--env-file", str(listed), "-e", "A=b=c", "-e", "BARE", "bb")
    assert spec.env == ("F=1", "BARE=x y", "A=b=c", "BARE=x y")


def test_F1_mounts_of_all_kinds():
    spec = wish("-v", "/host:/inside:ro", "-v", "named:/data", "-v", "/anonymous", "--tmpfs", "/run:size=64m", "bb")
    assert spec.mounts == (
        MountSpec(kind="bind", source="/host", target="/inside", read_only=True, create_source=True),
        MountSpec(kind="volume", source="named", target="/data"),
        MountSpec(kind="volume", target="/anonymous"),
        MountSpec(kind="tmpfs", target="/run", options=("size=64m",), given_by="--tmpfs"),
    )


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["BAD"], "invalid reference format"),
        (["-m", "1m", "bb"], "Minimum memory limit allowed is 6MB"),
        (["--memory-swap", "64m", "bb"], "You should always set the Memory limit"),
        (["-m", "64m", "--memory-swap", "32m", "bb"], "memoryswap limit should be larger"),
        (["--cpu-shares=1", "bb"], "out of range"),
        (["--cpus=x", "bb"], "failed to parse x"),
        (["--cpuset-cpus=x", "bb"], "invalid format"),
        (["--pids-limit=-5", "bb"], "out of range"),
        (["--cap-add", "FOO", "bb"], 'unknown capability: "CAP_FOO"'),
        (["-e", "=x", "bb"], "invalid environment variable: =x"),
        (["-l", "=x", "bb"], "invalid label '=x'"),
        (["-a", "foo", "bb"], "valid streams are STDIN, STDOUT and STDERR"),
        (["--hostname", "a b", "bb"], "a host name is made of"),
        (["--stop-signal", "FOO", "bb"], "invalid signal: FOO"),
        (["--platform", "windows/amd64", "bb"], "write linux/ARCHITECTURE"),
        (["--env-file", "/nonexistent", "bb"], "open /nonexistent: no such file"),
    ],
)
def test_refusals_come_before_anything_is_made(words, part):
    with pytest.raises(EngineError) as refusal:
        wish(*words)
    assert part in str(refusal.value)


@pytest.mark.parametrize(
    "words",
    [
        ["--link-local-ip", "169.254.1.1"],
        ["--gpus", "all"],
        ["--storage-opt", "size=1g"],
        ["--cpu-count", "2"],
        ["--use-api-socket"],
    ],
)
def test_what_is_not_built_yet_is_refused_never_ignored(words):
    with pytest.raises(InvalidInput, match="is not available yet: "):
        wish(*words, "bb")


def test_what_happens_anyway_may_be_asked_for():
    wish("--restart=no", "--pull=never", "--log-driver=json-file", "--ipc=private", "--net=none", "bb")


DOCKERS_FLAGS = (
    "add-host annotation attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile "
    "cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems "
    "detach detach-keys device device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops "
    "disable-content-trust dns dns-option dns-search domainname entrypoint env env-file expose gpus group-add "
    "health-cmd health-interval health-retries health-start-interval health-start-period health-timeout hostname init "
    "interactive io-maxbandwidth io-maxiops ip ip6 ipc isolation kernel-memory label label-file link link-local-ip "
    "log-driver log-opt mac-address memory memory-reservation memory-swap memory-swappiness mount name network "
    "network-alias no-healthcheck oom-kill-disable oom-score-adj pid pids-limit platform privileged publish "
    "publish-all pull quiet read-only restart rm runtime security-opt shm-size sig-proxy stop-signal stop-timeout "
    "storage-opt sysctl tmpfs tty ulimit use-api-socket user userns uts volume volume-driver volumes-from workdir"
).split()


def test_A13_every_flag_of_dockers_run_is_known():
    known = {flag.name for flag in RUN.flags}
    assert set(DOCKERS_FLAGS) <= known


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", "no"), ("no", "no"), ("always", "always"), ("on-failure", "on-failure"), ("on-failure:3", "on-failure:3")],
)
def test_A12_restart_policies_are_read(text, shown):
    assert str(wish("--restart", text, "bb").restart) == shown


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sometimes", "unknown policy 'sometimes'"),
        ("on-failure:x", "maximum retry count must be an integer"),
        ("on-failure:-1", "maximum retry count cannot be negative"),
        ("always:3", "maximum retry count can only be used with 'on-failure'"),
        (":3", "no policy provided before colon"),
    ],
)
def test_A12_a_policy_that_is_none_is_refused_in_dockers_words(text, complaint):
    with pytest.raises(InvalidInput, match=complaint):
        wish("--restart", text, "bb")


def test_A12_a_policy_and_removal_contradict_each_other():
    with pytest.raises(InvalidInput, match="conflicting options: cannot specify both --restart and --rm"):
        wish("--rm", "--restart", "always", "bb")
