"""A real reboot without any warning: `before` leaves containers running, `after` finds what the boot made of them."""

from __future__ import annotations

import subprocess
import sys

from core.engine.engine import open_engine
from core.model.container import ContainerSpec, Exited, Running
from core.model.progress import CancelToken, silent
from core.model.restart import parse_restart_policy

IMAGE = "wharf/starter:latest"
COMMAND = ("sh", "-c", "echo began; sync; exec sleep 100000")
POLICIES = {
    "always": "always",
    "always-stopped": "always",
    "unless": "unless-stopped",
    "unless-stopped": "unless-stopped",
    "failure": "on-failure",
    "none": "no",
}


def before() -> None:
    """Leave one container of each policy running, and two that were stopped by hand."""
    engine = open_engine()
    engine.images.starter(IMAGE, silent, CancelToken())
    for name, policy in POLICIES.items():
        spec = ContainerSpec(image=IMAGE, command=COMMAND, name=name, restart=parse_restart_policy(policy))
        engine.containers.start(engine.containers.create(spec).id)
        if name.endswith("-stopped"):
            engine.containers.stop(name, 1)
    running = {container.name for container in engine.containers.list()}
    assert running == {"always", "unless", "failure", "none"}, running


def after() -> None:
    """What was running ended with the boot; restore starts what its policy says; nothing is stale."""
    engine = open_engine()
    found = engine.system.fsck()
    assert not [finding for finding in found if not finding.is_leftover], found
    for name in ("always", "unless", "failure", "none"):
        state = engine.containers.inspect(name).state
        assert isinstance(state, Exited), (name, state)
        assert "restarted" in state.error or "power" in state.error, state
    done = subprocess.run([sys.executable, "-m", "app", "restore"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.split() == ["always", "always-stopped", "unless"], done
    for name in POLICIES:
        is_up = isinstance(engine.containers.inspect(name).state, Running)
        assert is_up == (name in ("always", "always-stopped", "unless")), name
        engine.containers.remove(name, force=True)
    assert engine.system.fsck() == []


if __name__ == "__main__":
    {"before": before, "after": after}[sys.argv[1]]()
    print(f"reboot: {sys.argv[1]} is as it should be", flush=True)
