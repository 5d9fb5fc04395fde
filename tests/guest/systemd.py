"""A machine that systemd runs: the README's line for restoring after a boot, and logs in the real journal."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from core.engine.engine import open_engine
from core.model.container import Exited, Running
from core.model.progress import CancelToken, silent

IMAGE = "wharf/starter:latest"
PROGRAM = Path("/usr/local/bin/wharf")
UNIT = "wharf-restore.service"
BOOT_S = 120.0
_SAYS_GOODBYE = ("sh", "-c", "trap 'echo asked to go; exit' TERM; while :; do sleep 1; done")


def wharf(*words: str) -> str:
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    return done.stdout


def before() -> None:
    """Install the command and the unit as the README says, and leave containers running over a proper shutdown."""
    # the project's drive is mounted by the script that runs us, which at the next boot comes after the unit
    installed = Path("/opt/installed")
    subprocess.run(["cp", "-a", "/project", installed], check=True)
    begin = f"import sys; sys.path[:0] = ['/opt/wharf', '{installed}']; from app.main import main"
    PROGRAM.write_text(f"#!/usr/bin/python3\n{begin}; sys.exit(main())\n")
    PROGRAM.chmod(0o755)
    open_engine().images.starter(IMAGE, silent, CancelToken())
    done = subprocess.run(
        [PROGRAM, "run", "-d", "--name", "unwatched", "--restart", "always", IMAGE, "sleep", "100000"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"the unit {UNIT} is not installed" in done.stderr, done
    line = f"wharf restore --print-unit > /etc/systemd/system/{UNIT} && systemctl enable --now wharf-restore"
    subprocess.run(["sh", "-c", line], check=True)
    done = subprocess.run(
        [PROGRAM, "run", "-d", "--name", "up", "--restart", "always", IMAGE, "sleep", "100000"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "", done
    wharf("run", "-d", "--name", "unless", "--restart", "unless-stopped", "--stop-timeout", "1", IMAGE, *_SAYS_GOODBYE)
    wharf("run", "-d", "--name", "stopped", "--restart", "unless-stopped", IMAGE, "sleep", "100000")
    wharf("stop", "-t", "0", "stopped")
    wharf("run", "-d", "--name", "once", IMAGE, "sleep", "100000")
    wharf("run", "--rm", "--name", "talks", "--log-driver", "journald", IMAGE, "echo", "into the journal")
    assert _journal("talks") == ["into the journal"], _journal("talks")


def _journal(container: str) -> list[str]:
    subprocess.run(["journalctl", "--sync"], check=False)
    words = ["journalctl", "-o", "cat", f"CONTAINER_NAME={container}"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\n")[:-1]


def after() -> None:
    """The unit has done its work before anybody asked: what its policy wants runs, and goes on running."""
    engine = open_engine()
    deadline = time.monotonic() + BOOT_S
    while subprocess.run(["systemctl", "is-active", "--quiet", "multi-user.target"], check=False).returncode:
        assert time.monotonic() < deadline, "the boot does not come to its end"
        time.sleep(1)
    shown = subprocess.run(["systemctl", "status", "--no-pager", UNIT], capture_output=True, text=True, check=False)
    for name, is_up in (("up", True), ("unwatched", True), ("unless", True), ("stopped", False), ("once", False)):
        state = engine.containers.inspect(name).state
        assert isinstance(state, Running if is_up else Exited), (name, state, shown.stdout)
    assert "asked to go" in wharf("logs", "unless")
    assert wharf("exec", "up", "echo", "well").strip() == "well"
    for name in ("up", "unwatched", "unless", "stopped", "once"):
        engine.containers.remove(name, force=True)
    assert engine.system.fsck() == []


if __name__ == "__main__":
    {"before": before, "after": after}[sys.argv[1]]()
    print(f"systemd: {sys.argv[1]} is as it should be", flush=True)
