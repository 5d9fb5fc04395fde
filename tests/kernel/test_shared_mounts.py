"""Hosts whose mounts are all shared, as systemd makes them: everything works, and nothing mounted inside gets out."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
_STAGE = """
import subprocess, sys
def wharf(*words, code=0):
    done = subprocess.run([sys.executable, "-m", "app", "--root", sys.argv[1], *words], capture_output=True)
    assert done.returncode == code, (words, done)
    return done.stdout
def mounts():
    return open("/proc/self/mountinfo").read()
subprocess.run(["mount", "--make-rshared", "/"], check=True)
assert " shared:" in mounts()
before = mounts()
"""


@pytest.fixture
def place() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="wharf-test-", dir="/var/tmp") as name:
        yield name


def on_shared_mounts(place: str, script: str) -> None:
    """Run a script where every mount is shared, in a mount namespace that ends with it."""
    words = ["unshare", "-m", "--propagation", "shared", sys.executable, "-c", _STAGE + script, f"{place}/root", place]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_A2_C1_C2_C3_everything_works_where_mounts_are_shared(place: str) -> None:
    on_shared_mounts(
        place,
        """
place = sys.argv[2]
open(place + "/file", "w").write("of the host")
try:
    wharf("starter")
    wharf("run", "-d", "--name", "web", "-v", place + ":/bound", "-v", "data:/data", "wharf/starter", "sleep", "100")
    assert wharf("exec", "web", "cat", "/bound/file") == b"of the host"
    assert b"shared:" not in wharf("exec", "web", "cat", "/proc/self/mountinfo")
    for state in ("running", "stopped"):
        wharf("cp", place + "/file", "web:/data/" + state)
        wharf("cp", "web:/data/" + state, place + "/copied-" + state)
        assert open(place + "/copied-" + state).read() == "of the host"
        wharf("commit", "web", "kept:" + state)
        assert len(wharf("export", "web")) > 100_000
        wharf("diff", "web")
        wharf("stop", "-t", "0", "web")
    wharf("start", "web")
    assert wharf("exec", "web", "ls", "/data").split() == [b"running", b"stopped"]
    wharf("save", "-o", place + "/image.tar", "kept:stopped")
    wharf("rmi", "kept:stopped")
    wharf("load", "-i", place + "/image.tar")
    shown = wharf("run", "--rm", "--userns=remap", "-v", "data:/data", "kept:stopped", "ls", "/data")
    assert shown.split() == [b"running", b"stopped"]
    assert mounts() == before
finally:
    wharf("system", "reset", "-f")
""",
    )


def test_SF8_mount_made_inside_does_not_get_out_of_shared_mounts(place: str) -> None:
    on_shared_mounts(
        place,
        """
place = sys.argv[2]
try:
    wharf("starter")
    script = "mkdir -p /bound/sub && mount -t tmpfs inside /bound/sub && touch /bound/sub/hidden && ls /bound/sub"
    words = ("run", "--rm", "--privileged", "-v", place + ":/bound", "wharf/starter", "sh", "-c", script)
    assert wharf(*words) == b"hidden\\n"
    assert mounts() == before
finally:
    wharf("system", "reset", "-f")
""",
    )
