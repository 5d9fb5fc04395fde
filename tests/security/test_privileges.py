"""Rows SC1 to SC15: capabilities, no-new-privs and the system call filter."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from core.errors import SandboxFailed
from core.model.protection import read_protection
from tests.conftest import Result, Runner

EPERM, ENOSYS, ESRCH = 1, 38, 3
pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="the probe's numbers are x86_64's")
USERS = pytest.mark.parametrize("user", ["", "1000:1000"], ids=["root", "plain"])


def fields(result: Result) -> dict[str, str]:
    return {line.split(":")[0]: line.split(":")[1].strip() for line in result.lines if ":" in line}


def calls(run: Runner, *numbers: tuple[int | str, ...], verb: str = "sys", **wish: object) -> list[tuple[int, int]]:
    """(result, errno) of several system calls made in one container."""
    script = "; ".join("/probe " + " ".join(map(str, (verb, *call))) for call in numbers)
    result = run.sh(script, probe=True, **wish)
    return [(int(line.split()[0]), int(line.split()[1])) for line in result.lines]


def test_SC1_default_capabilities_and_nothing_inheritable_or_ambient(run: Runner) -> None:
    found = fields(run.sh("grep Cap /proc/self/status"))
    mask = "00000000a80425fb"
    assert (found["CapBnd"], found["CapPrm"], found["CapEff"]) == (mask, mask, mask)
    assert found["CapInh"] == found["CapAmb"] == "0" * 16


def test_SC1_an_execd_process_has_the_same(run: Runner) -> None:
    container = run.background("sleep", "100")
    found = fields(run.exec(container, "grep", "Cap", "/proc/self/status"))
    assert found["CapBnd"] == found["CapEff"] == "00000000a80425fb"
    assert found["CapInh"] == found["CapAmb"] == "0" * 16


@USERS
def test_SC2_bounding_set_can_not_be_widened(run: Runner, user: str) -> None:
    assert run("/probe", "capset-all", probe=True, user=user).out == f"{EPERM}\n"


def test_SC2_set_uid_program_gains_no_more_than_the_bounding_set(run: Runner) -> None:
    script = (
        "cp /bin/busybox /tmp/grep; chmod 4755 /tmp/grep; su -s /bin/sh nobody -c '/tmp/grep Cap /proc/self/status'"
    )
    found = fields(run.sh(script))
    assert found["CapBnd"] == "00000000a80425fb"
    assert int(found["CapEff"], 16) & ~0xA80425FB == 0


@pytest.mark.parametrize(
    "line",
    ["x:x:4294967295:0::/:/bin/sh", "x:x:1000:4294967295::/:/bin/sh", "x:x:99999999999999999999:1::/:/bin/sh"],
)
def test_SC3_an_id_of_the_image_that_the_kernel_takes_for_none_is_refused(run: Runner, line: str) -> None:
    container = run.background("sleep", "100")
    assert run.exec(container, "sh", "-c", f"echo '{line}' >> /etc/passwd").code == 0
    with pytest.raises(SandboxFailed, match="larger than 2147483647"):
        run.exec(container, "id", user="x")


@pytest.mark.parametrize("user", ["\u00b2", "1000:\u00b2"])
def test_SC3_a_digit_that_is_no_number_is_a_name_that_is_not_there(run: Runner, user: str) -> None:
    container = run.background("sleep", "100")
    with pytest.raises(SandboxFailed, match="unable to find"):
        run.exec(container, "id", user=user)


@pytest.mark.parametrize("user", ["1000", "1000:1000", "nobody"])
def test_SC3_plain_user_has_no_capabilities(run: Runner, user: str) -> None:
    found = fields(run.sh("grep Cap /proc/self/status", user=user))
    assert found["CapPrm"] == found["CapEff"] == found["CapAmb"] == "0" * 16
    assert found["CapBnd"] == "00000000a80425fb"


@USERS
def test_SC4_filter_is_on_in_every_thread_and_exec(run: Runner, user: str) -> None:
    assert run("/probe", "threads", probe=True, user=user).lines == ["main Seccomp:\t2", "thread Seccomp:\t2"]
    container = run.background("sleep", "100", user=user)
    found = fields(run.exec(container, "grep", "Seccomp", "/proc/self/status"))
    assert found["Seccomp"] == "2"
    assert int(found.get("Seccomp_filters", "1")) >= 1


def test_SC5_no_new_privs_is_off_as_dockers(run: Runner) -> None:
    assert fields(run.sh("grep NoNewPrivs /proc/self/status"))["NoNewPrivs"] == "0"


@USERS
def test_SC6_clone3_is_unknown_so_that_libraries_fall_back(run: Runner, user: str) -> None:
    assert calls(run, (435, 0, 0), user=user) == [(-1, ENOSYS)]


@USERS
def test_SC7_no_new_user_namespace_and_no_entering_of_others(run: Runner, user: str) -> None:
    found = calls(run, (56, 0x10000000 | 17, 0), (272, 0x10000000), (308, 0, 0), user=user)
    assert found == [(-1, EPERM)] * 3


@USERS
def test_SC8_keyrings_are_closed(run: Runner, user: str) -> None:
    assert calls(run, (250, 0, 0), (248, 0, 0), (249, 0, 0), user=user) == [(-1, EPERM)] * 3


@USERS
def test_SC9_bpf_perf_userfaultfd_io_uring_are_closed(run: Runner, user: str) -> None:
    assert calls(run, (321, 0, 0, 0), (298, 0), (323, 0), (425, 1, 0), user=user) == [(-1, EPERM)] * 4


@USERS
def test_SC10_mount_calls_are_closed(run: Runner, user: str) -> None:
    numbers = (165, 166, 155, 428, 430, 429, 442)
    assert calls(run, *((number, 0, 0, 0, 0, 0) for number in numbers), user=user) == [(-1, EPERM)] * len(numbers)


@USERS
def test_SC11_calls_that_change_the_machine_are_closed(run: Runner, user: str) -> None:
    """init_module finit_module kexec_load kexec_file_load reboot swapon iopl ioperm acct quotactl syslog
    settimeofday clock_settime open_by_handle_at (the Shocker escape)."""
    numbers = (175, 313, 246, 320, 169, 167, 172, 173, 163, 179, 103, 164, 227, 304)
    found = calls(run, *((number, 0, 0, 0, 0) for number in numbers), user=user)
    assert found == [(-1, EPERM)] * len(numbers)


def test_SC11_name_to_handle_at_is_allowed(run: Runner) -> None:
    assert calls(run, (303, -100, 0, 0, 0, 0))[0][1] == 14  # EFAULT: it got past the filter


@USERS
def test_SC12_sockets_of_AF_ALG_and_AF_VSOCK_are_closed(run: Runner, user: str) -> None:
    found = calls(run, (41, 38, 5, 0), (41, 40, 1, 0), (41, 1, 1, 0), user=user)
    assert found[:2] == [(-1, EPERM)] * 2
    assert found[2][1] == 0


@USERS
def test_SC13_personality_only_as_listed(run: Runner, user: str) -> None:
    found = calls(run, *((135, value) for value in (0x400000, 0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)), user=user)
    assert found[0] == (-1, EPERM)
    assert [errno for _, errno in found[1:]] == [0] * 5


@USERS
def test_SC14_calls_of_another_architecture_get_the_same_verdicts(run: Runner, user: str) -> None:
    # i386 numbers: mount 21, umount2 52, reboot 88, keyctl 288, bpf 357, unshare 310, clone3 435; getpid 20 is fine
    numbers = (21, 52, 88, 288, 357, 310, 435, 20)
    found = calls(run, *((number, 0x10000000) for number in numbers), verb="int80", user=user)
    if found[-1][1] == ENOSYS:
        assert {errno for _, errno in found} == {ENOSYS}  # a kernel without 32-bit emulation: nothing to bypass
    else:
        assert [errno for _, errno in found[:-1]] == [EPERM] * 6 + [ENOSYS]
        assert found[-1][1] == 0


@USERS
def test_SC14_x32_calls_are_unknown(run: Runner, user: str) -> None:
    assert calls(run, (0x40000000 + 165, 0), (0x40000000 + 39, 0), user=user) == [(-1, ENOSYS)] * 2


@USERS
def test_SC15_numbers_nobody_knows_are_unknown_not_forbidden(run: Runner, user: str) -> None:
    assert calls(run, (600, 0), (4000, 0), user=user) == [(-1, ENOSYS)] * 2


def test_SC16_own_child_can_be_traced_and_init_is_not_the_hosts(run: Runner) -> None:
    assert run("/probe", "ptrace-child", probe=True).out == "0\n"


def test_A13_privileged_may_mount_and_has_our_own_bounding_set(run: Runner) -> None:
    result = run.sh("mount -t tmpfs x /tmp && grep Cap /proc/self/status", privileged=True)
    assert result.code == 0
    with open("/proc/self/status") as status:
        ours = next(line.split()[1] for line in status if line.startswith("CapBnd"))
    assert fields(result)["CapEff"] == ours


def test_A13_without_it_mount_is_refused(run: Runner) -> None:
    result = run.sh("mount -t tmpfs x /tmp")
    assert result.code != 0
    assert "permitted" in result.err or "denied" in result.err


def test_cap_add_and_drop(run: Runner) -> None:
    found = fields(run.sh("grep CapEff /proc/self/status", cap_drop=("ALL",), cap_add=("CAP_CHOWN",)))
    assert found["CapEff"] == f"{1:016x}"
    found = fields(run.sh("grep CapEff /proc/self/status", cap_drop=("CAP_MKNOD",)))
    assert int(found["CapEff"], 16) == 0xA80425FB & ~(1 << 27)


def test_cap_add_sys_admin_opens_the_filter_for_mount(run: Runner) -> None:
    assert run.sh("mount -t tmpfs x /tmp", cap_add=("CAP_SYS_ADMIN",)).code == 0


def test_an_apparmor_profile_is_taken_where_there_is_apparmor_and_a_warning_elsewhere(run: Runner) -> None:
    enabled = Path("/sys/module/apparmor/parameters/enabled")
    has_apparmor = enabled.exists() and enabled.read_text().startswith("Y")
    missing = read_protection(("apparmor=nosuchprofile",))
    if has_apparmor:
        with pytest.raises(SandboxFailed, match=r"(?i)apparmor profile nosuchprofile"):
            run("true", protection=missing)
        unconfined = read_protection(("apparmor=unconfined",))
        assert run("cat", "/proc/self/attr/current", protection=unconfined).out.strip() == "unconfined"
    else:
        container = run.background("sleep", "100", protection=missing)
        assert "no AppArmor" in " ".join(run.engine.containers.inspect(container).config.warnings)


@USERS
def test_SC5_no_new_privs_where_it_is_asked_for_with_the_filter_loaded_after(run: Runner, user: str) -> None:
    asked = read_protection(("no-new-privileges",))
    found = fields(run.sh("grep -E 'NoNewPrivs|Seccomp:|CapBnd' /proc/self/status", user=user, protection=asked))
    assert (found["NoNewPrivs"], found["Seccomp"], found["CapBnd"]) == ("1", "2", "00000000a80425fb")
    container = run.background("sleep", "100", user=user, protection=asked)
    added = fields(run.exec(container, "grep", "-E", "NoNewPrivs|Seccomp:", "/proc/self/status"))
    assert (added["NoNewPrivs"], added["Seccomp"]) == ("1", "2")


@USERS
@pytest.mark.parametrize("added", [False, True], ids=["first", "added"])
def test_SC4_a_filter_of_ones_own_is_on_everywhere(run: Runner, user: str, added: bool) -> None:
    profile = (
        '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["getppid"],"action":"SCMP_ACT_ERRNO","errnoRet":77}]}'
    )
    wish = {"user": user, "protection": read_protection((f"seccomp={profile}",))}
    if not added:
        assert calls(run, (110,), **wish) == [(-1, 77)]
        return
    container = run.background("sleep", "100", mounts=(run.probe_mount(),), **wish)
    assert run.exec(container, "/probe", "sys", "110").out == "-1 77\n"
