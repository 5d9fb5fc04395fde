"""Rows SE1, SE2 and SE9: known ways out of a container, by the name of the report."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.backend import AttachWish
from core.errors import SandboxFailed
from core.model.container import ContainerSpec
from tests.conftest import STARTER, Runner, collect


def host_interpreter() -> dict[str, str]:
    """Hashes of the interpreter that monitors run on, and of its libraries."""
    interpreter = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    files = [interpreter]
    with open("/proc/self/maps") as maps:
        files += sorted({line.split()[-1] for line in maps if ".so" in line and line.split()[-1].startswith("/")})
    return {file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files if os.path.exists(file)}


def test_SE1_CVE_2019_5736_joining_process_can_not_be_reopened_for_writing(run: Runner) -> None:
    before = host_interpreter()
    container = run.background("/probe", "hold-exe", "8", mounts=(run.probe_mount(),))
    assert join_for(run, container, seconds=2.0) > 0
    log = collect(run.engine.containers.attach(container, AttachWish())) if _is_up(run, container) else None
    text = "".join(line.data.decode() for line in run.engine.containers.logs(container, _all()))
    assert log is None or log.code == 0
    verdicts = [int(line.split()[1]) for line in text.splitlines() if line[:1].isdigit()]
    assert "seen" in text
    assert 0 not in verdicts
    assert host_interpreter().items() >= before.items()


def join_for(run: Runner, container: str, *, seconds: float, **wish: object) -> int:
    """Add processes to a container for a while; how many."""
    deadline, count = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        run.exec(container, "true", **wish)
        count += 1
    return count


def _is_up(run: Runner, container: str) -> bool:
    return run.engine.containers.inspect(container).status == "running"


def _all() -> object:
    from core.model.logs import LogQuery

    return LogQuery(follow=True)


def test_SE1_entry_point_that_is_proc_self_exe_runs_nothing_of_the_host(run: Runner) -> None:
    before = host_interpreter()
    with pytest.raises(SandboxFailed):
        run("/proc/self/exe", "-c", "open('/tmp/escaped','w')")
    script = "printf '#!/proc/self/exe\\n' > /tmp/x; chmod 755 /tmp/x; /tmp/x; echo $?"
    assert run.sh(script).lines[-1] != "0"
    assert host_interpreter().items() >= before.items()


def test_SE1_a_privileged_container_can_not_write_the_interpreter_either(run: Runner) -> None:
    container = run.background("/probe", "hold-exe", "6", mounts=(run.probe_mount(),), privileged=True)
    before = host_interpreter()
    assert join_for(run, container, seconds=1.5, privileged=True) > 0
    text = "".join(line.data.decode() for line in run.engine.containers.logs(container, _all()))
    assert 0 not in [int(line.split()[1]) for line in text.splitlines() if line[:1].isdigit()]
    assert host_interpreter().items() >= before.items()


@pytest.mark.parametrize("number", range(3, 24))
def test_SE2_CVE_2024_21626_no_descriptor_of_the_host_as_directory(run: Runner, number: int) -> None:
    with pytest.raises(SandboxFailed) as caught:
        run.sh("ls -la; pwd", working_dir=f"/proc/self/fd/{number}")
    assert caught.value.stage == "working directory"


def test_SE2_exec_has_none_either(run: Runner) -> None:
    container = run.background("sleep", "100")
    for number in range(3, 24):
        with pytest.raises(SandboxFailed):
            run.exec(container, "pwd", working_dir=f"/proc/self/fd/{number}")


def test_SE2_only_the_standard_descriptors_are_open(run: Runner) -> None:
    shown = "for f in /proc/self/fd/*; do readlink $f; done"
    result = run.sh(shown)
    assert all("pipe:" in line or line.startswith(("/dev/null", "/proc/")) for line in result.lines)
    assert len([line for line in result.lines if not line.startswith("/proc")]) <= 3
    container = run.background("sleep", "100")
    execd = run.exec(container, "sh", "-c", shown)
    assert len([line for line in execd.lines if not line.startswith("/proc")]) <= 3


def test_SE2_working_directory_is_inside(run: Runner) -> None:
    assert run.sh("pwd", working_dir="/made/for/it").out == "/made/for/it\n"
    assert "unreachable" not in run.sh("pwd; readlink /proc/self/cwd").out


def test_SE9_TIOCSTI_reaches_only_the_containers_own_terminal(run: Runner) -> None:
    made = run.engine.containers.create(
        ContainerSpec(
            image=STARTER,
            command=(
                "sh",
                "-c",
                "tty; stty -icanon -echo min 0 time 20; /probe tiocsti; head -c 1; echo; readlink /proc/self/fd/0",
            ),
            tty=True,
            open_stdin=True,
            mounts=(run.probe_mount(),),
        )
    )
    attached = run.engine.containers.start(made.id, AttachWish(stdin=True, rows=24, columns=80))
    pid = run.engine.containers.inspect(made.id).state.pid  # type: ignore[union-attr]
    session, terminal = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3:5]
    ours = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[3:5]
    result = collect(attached)
    assert int(session) == pid
    assert [session, terminal] != ours
    assert result.lines[0] == result.lines[-1] == "/dev/pts/0"
    # where the kernel still does it, what was pushed is read back inside: it went nowhere else
    assert result.lines[1:3] in (["0", "x"], ["5", ""])


def test_A2_terminal_is_the_containers_and_has_the_windows_size(run: Runner) -> None:
    made = run.engine.containers.create(
        ContainerSpec(image=STARTER, command=("sh", "-c", "tty; stty size; exit 3"), tty=True, open_stdin=True)
    )
    result = collect(run.engine.containers.start(made.id, AttachWish(stdin=True, rows=33, columns=101)))
    assert result.lines == ["/dev/pts/0", "33 101"]
    assert result.code == 3
    assert run.engine.containers.inspect(made.id).status == "exited"


def test_SE3_image_with_a_symlink_for_dev_is_refused(run: Runner, tmp_path: Path) -> None:
    """CVE-2025-31133's class: a mount point that the image turned into a symlink."""
    container = run.engine.containers.create(ContainerSpec(image=STARTER, command=("true",)))
    upper = run.engine.roots.container(container.id) / "upper"
    (upper / "proc").symlink_to("/etc")
    with pytest.raises(SandboxFailed) as caught:
        run.engine.containers.start(container.id, AttachWish())
    assert "/proc" in str(caught.value)


def test_SF1_container_started_from_a_chroot_has_not_the_host_below_its_root(tmp_path: Path) -> None:
    """A chroot that is a mount can be pivoted away alone; setns() would then lead to what stayed below."""
    chroot = tmp_path / "chroot"
    chroot.mkdir()
    wharf = f"{sys.executable} -m app --root {tmp_path}/data"
    inside = f"""cd {os.getcwd()} && export PYTHONDONTWRITEBYTECODE=1
        {wharf} starter && {wharf} run -d --name box {STARTER} sh -c 'echo mine > /marker; sleep 60'
        for wait in $(seq 50); do {wharf} exec box cat /marker && break; sleep 0.2; done
        {wharf} exec box ls -d {tmp_path}; {wharf} rm -f box; {wharf} system reset -f"""
    script = f"mount --rbind / {chroot} && exec chroot {chroot} sh -c '{{ {inside.replace(chr(39), chr(34))}; }} 2>&1'"
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "mine" in done.stdout.splitlines(), done
    assert f"ls: {tmp_path}: No such file or directory" in done.stdout.splitlines(), done
