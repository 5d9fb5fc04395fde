"""Flags of run and create that set a container apart, limit it or give it devices: docker's behaviour."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.compat.targets import Cli


def test_ulimits_are_the_processes_own(cli: Cli):
    words = (
        "--ulimit",
        "nofile=64:128",
        "--ulimit",
        "core=0",
        "IMAGE",
        "sh",
        "-c",
        "ulimit -Sn; ulimit -Hn; ulimit -c",
    )
    assert cli.run("--rm", *words).out.split() == ["64", "128", "0"]
    cli.start_sleeper("box", "--ulimit", "nofile=64:128")
    assert cli.ok("exec", "box", "sh", "-c", "ulimit -Hn") == "128"


def test_groups_are_added_by_name_and_number(cli: Cli):
    done = cli.run("--rm", "--group-add", "55", "--group-add", "nogroup", "-u", "1000:1000", "IMAGE", "id", "-G")
    assert done.out.split() == ["1000", "55", "65534"]
    cli.start_sleeper("box", "--group-add", "55")
    assert "55" in cli.ok("exec", "box", "id", "-G").split()
    missing = cli.run("--rm", "--group-add", "nosuchgroup", "IMAGE", "id")
    assert missing.code in (125, 126)
    assert "nosuchgroup" in missing.err


def test_shared_memory_has_the_size_that_is_asked_for(cli: Cli):
    assert "1024" in cli.run("--rm", "--shm-size", "1m", "IMAGE", "df", "-k", "/dev/shm").out.split()


def test_a_device_of_the_host_works_and_its_access_is_what_is_given(cli: Cli):
    script = "ls -l /dev/nothing; echo x > /dev/nothing; head -c1 /dev/nothing | wc -c"
    done = cli.run("--rm", "--device", "/dev/kmsg:/dev/nothing:w", "IMAGE", "sh", "-c", script)
    assert "1,  11" in done.out.replace("1, 11", "1,  11")
    assert "not permitted" in done.err
    assert done.out.split()[-1] == "0"


def test_a_device_rule_opens_what_mknod_makes(cli: Cli):
    script = "mknod /tmp/fuse c 10 229; (exec 3<>/tmp/fuse) 2>&1"
    assert "not permitted" in cli.run("--rm", "IMAGE", "sh", "-c", script).out
    opened = cli.run("--rm", "--device-cgroup-rule", "c 10:229 rwm", "IMAGE", "sh", "-c", script)
    assert "not permitted" not in opened.out


def test_a_missing_device_is_named(cli: Cli):
    done = cli.run("--rm", "--device", "/dev/nosuchdevice", "IMAGE", "true")
    assert done.code in (125, 126, 127)
    assert "/dev/nosuchdevice" in done.err


def test_kernel_parameters_of_the_containers_own(cli: Cli):
    done = cli.run("--rm", "--sysctl", "kernel.msgmax=9000", "IMAGE", "cat", "/proc/sys/kernel/msgmax")
    assert done.out == "9000\n"
    refused = cli.run("--rm", "--sysctl", "kernel.panic=1", "IMAGE", "true")
    assert refused.code in (125, 126)
    assert "kernel.panic" in refused.err


def test_no_new_privileges(cli: Cli):
    script = "grep NoNewPrivs /proc/self/status; grep Seccomp: /proc/self/status"
    done = cli.run("--rm", "--security-opt", "no-new-privileges", "IMAGE", "sh", "-c", script)
    assert done.out.split() == ["NoNewPrivs:", "1", "Seccomp:", "2"]
    setuid = "cp /bin/busybox /tmp/id; chmod 4755 /tmp/id; su -s /bin/sh nobody -c /tmp/id"
    assert "euid=0" not in cli.run("--rm", "--security-opt=no-new-privileges:true", "IMAGE", "sh", "-c", setuid).out


def test_a_seccomp_profile_of_ones_own(cli: Cli, tmp_path: Path):
    profile = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}],
    }
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(profile))
    done = cli.run("--rm", "--security-opt", f"seccomp={path}", "IMAGE", "mkdir", "/tmp/x")
    assert "No space left" in done.err
    off = cli.run("--rm", "--security-opt", "seccomp=unconfined", "IMAGE", "grep", "Seccomp:", "/proc/self/status")
    assert off.out.split() == ["Seccomp:", "0"]
    missing = cli.run("--rm", "--security-opt", "seccomp=/nonexistent", "IMAGE", "true")
    assert missing.code in (125, 126)
    assert "/nonexistent" in missing.err
    path.write_text("{")
    assert cli.run("--rm", "--security-opt", f"seccomp={path}", "IMAGE", "true").code in (125, 126)


def test_system_paths_can_be_opened(cli: Cli):
    script = "grep -c ' /proc/' /proc/self/mountinfo"
    assert cli.run("--rm", "--security-opt", "systempaths=unconfined", "IMAGE", "sh", "-c", script).out == "0\n"
    assert int(cli.run("--rm", "IMAGE", "sh", "-c", script).out) > 4


def test_process_namespace_of_the_host_and_of_another_container(cli: Cli):
    assert cli.run("--rm", "--pid", "host", "IMAGE", "sh", "-c", "test $$ -gt 1 && echo many").out == "many\n"
    cli.start_sleeper("donor")
    done = cli.run("--rm", "--pid", "container:donor", "IMAGE", "ps")
    assert "sleep 1000" in done.out
    missing = cli.run("--rm", "--pid", "container:nosuchbox", "IMAGE", "true")
    assert missing.code in (125, 126)
    assert "nosuchbox" in missing.err


def test_shared_memory_of_a_shareable_container(cli: Cli):
    cli.start_sleeper("donor", "--ipc", "shareable")
    cli.ok("exec", "donor", "sh", "-c", "echo shared > /dev/shm/note")
    assert cli.run("--rm", "--ipc", "container:donor", "IMAGE", "cat", "/dev/shm/note").out == "shared\n"
    assert cli.run("--rm", "IMAGE", "ls", "-A", "/dev/shm").out == ""


def test_a_private_containers_memory_is_not_shared(cli: Cli):
    cli.start_sleeper("donor", "--ipc", "private")
    done = cli.run("--rm", "--ipc", "container:donor", "IMAGE", "true")
    assert done.code in (125, 126)
    assert "shareable" in done.err


def test_no_shared_memory_at_all(cli: Cli):
    assert "shm" not in cli.run("--rm", "--ipc", "none", "IMAGE", "ls", "/dev").out.split()


def test_host_name_of_the_host(cli: Cli):
    with open("/proc/sys/kernel/hostname") as file:
        assert cli.run("--rm", "--uts", "host", "IMAGE", "hostname").out == file.read()
    both = cli.run("--rm", "--uts", "host", "--hostname", "x", "IMAGE", "true")
    assert both.code in (125, 126)


def test_a_domain_name(cli: Cli):
    assert (
        cli.run("--rm", "--domainname", "inner.org", "IMAGE", "cat", "/proc/sys/kernel/domainname").out == "inner.org\n"
    )


def test_volumes_of_another_container(cli: Cli, tmp_path: Path):
    (tmp_path / "f").write_text("host\n")
    cli.ok(
        *cli.run_words("create", "--name", "donor", "-v", "shelf:/shelf", "-v", f"{tmp_path}:/host", "IMAGE", "true")
    )
    assert (
        cli.run("--rm", "--volumes-from", "donor", "IMAGE", "sh", "-c", "echo x > /shelf/f; cat /host/f").out
        == "host\n"
    )
    done = cli.run("--rm", "--volumes-from", "donor:ro", "IMAGE", "sh", "-c", "cat /shelf/f; echo y > /shelf/f")
    assert done.out == "x\n"
    assert "Read-only" in done.err
    bad = cli.run("--rm", "--volumes-from", "donor:odd", "IMAGE", "true")
    assert bad.code in (125, 126)
    assert "odd" in bad.err


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--ulimit", "nofile"), "invalid ulimit argument: nofile"),
        (("--ulimit", "odd=1"), "invalid ulimit type: odd"),
        (("--ulimit", "nofile=5:2"), "5 > 2"),
        (("--device", "null"), "null"),
        (("--device", "/dev/null:/dev/x:q"), "q"),
        (("--device-cgroup-rule", "odd"), "odd"),
        (("--security-opt", "odd=x"), "odd=x"),
        (("--security-opt", "systempaths=odd"), "systempaths"),
        (("--userns", "odd"), ""),
        (("--shm-size", "x"), "x"),
        (("--memory-swappiness", "200"), "200"),
        (("--memory-reservation", "80m", "-m", "40m"), "reservation"),
        (("--cpu-quota", "50000", "--cpus", "1"), "cpu"),
        (("--cpu-period", "10"), "period"),
        (("--device-read-bps", "x"), "x"),
        (("--device-read-iops", "/dev/null:x"), "/dev/null:x"),
        (("--blkio-weight-device", "/dev/null:5"), "5"),
        (("--mount", "type=odd,target=/x"), "odd"),
        (("--mount", "type=bind,source=/tmp,target=/x,volume-nocopy"), "volume-"),
        (("--runtime", "odd"), "odd"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_is_made(cli: Cli, words: tuple[str, ...], part: str):
    done = cli.run("--name", "never", *words, "IMAGE", "true")
    assert done.code in (125, 126)
    assert part.lower() in done.err.lower()
    assert "Traceback" not in done.err
    assert cli("inspect", "--type", "container", "never").code != 0


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--pid", "odd"), "PID mode"),
        (("--uts", "odd"), "UTS mode"),
        (("--oom-score-adj", "2000"), "2000"),
        (("--mount", "type=tmpfs,target=/x,tmpfs-size=x"), "tmpfs-size"),
        (("--isolation", "odd"), "odd"),
    ],
)
def test_what_docker_refuses_is_refused(cli: Cli, words: tuple[str, ...], part: str):
    done = cli.run("--name", "never", *words, "IMAGE", "true")
    assert done.code in (125, 126)
    assert part in done.err
    assert cli("inspect", "--type", "container", "never").code != 0


def test_A15_a_quota_is_the_groups_own(cli: Cli):
    script = "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cat /sys/fs/cgroup/cpu.max"
    done = cli.run("--rm", "--cpu-quota", "50000", "--cpu-period", "100000", "IMAGE", "sh", "-c", script)
    assert done.out.split()[0] == "50000"


def test_a_reservation_and_swappiness_are_the_groups_own(cli: Cli):
    script = "cd /sys/fs/cgroup/memory 2>/dev/null && cat memory.soft_limit_in_bytes || cat /sys/fs/cgroup/memory.low"
    assert cli.run("--rm", "--memory-reservation", "32m", "IMAGE", "sh", "-c", script).out.split()[0] == str(32 << 20)


def test_A15_what_can_not_be_given_is_said_and_the_container_runs(cli: Cli):
    """Docker's way with limits a kernel lacks; wharf's with those its own rights don't reach to as well."""
    done = cli.run("--rm", "--oom-kill-disable", "IMAGE", "echo", "runs")
    assert done.out == "runs\n"
    assert "WARNING" in done.err


def test_a_gpu_is_refused_with_the_reason(cli: Cli):
    done = cli.run("--rm", "--gpus", "all", "IMAGE", "true")
    assert done.code in (125, 126)
    assert "gpu" in done.err.lower()
