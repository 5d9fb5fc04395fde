"""Locks and leases die with their holder, are taken in order, and name who holds them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from core.linux.files import is_locked
from core.state.leases import Lease, live_holds
from core.state.locks import Rank, locked

PROJECT = Path(__file__).resolve().parents[3]


def test_a_second_holder_is_told_who_is_first(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, Rank.CONTAINER, what="container web", purpose="start"):
        script = (
            "from pathlib import Path; from core.errors import Busy; from core.state.locks import *\n"
            "try:\n"
            f"  with locked(Path({str(path)!r}), Rank.CONTAINER, what='container web', wait_s=0.05): pass\n"
            "except Busy as error: print(error.message)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=PROJECT, check=True)
        assert done.stdout.startswith("container web is busy: process ")
        assert "start" in done.stdout
    assert not is_locked(path)


def test_order_is_asserted(tmp_path: Path) -> None:
    with locked(tmp_path / "b", Rank.CONTAINER, what="b"):
        with pytest.raises(AssertionError, match="lock order"):
            with locked(tmp_path / "a", Rank.STORE, what="a"):
                pass


def test_a_dead_holder_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    script = (
        "import os; from pathlib import Path; from core.state.locks import *\n"
        f"with locked(Path({str(path)!r}), Rank.STORE, what='x'): os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=False)
    with locked(path, Rank.STORE, what="x", wait_s=0):
        assert is_locked(path)


def test_shared_holders_do_not_exclude_each_other(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path, Rank.STORE, what="x", shared=True):
        script = (
            "from pathlib import Path; from core.state.locks import *\n"
            f"with locked(Path({str(path)!r}), Rank.STORE, what='x', shared=True, wait_s=0): print('in')\n"
            "try:\n"
            f"  with locked(Path({str(path)!r}), Rank.STORE, what='x', wait_s=0.05): print('wrong')\n"
            "except Exception as error: print(type(error).__name__)"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=PROJECT, check=True)
        assert done.stdout.split() == ["in", "Busy"]


def test_leases_hold_while_they_live(tmp_path: Path) -> None:
    with Lease(tmp_path, "blob a", "layer b") as lease:
        assert live_holds(tmp_path) == {"blob a", "layer b"}
        lease.add("image c")
        lease.drop("blob a")
        assert live_holds(tmp_path) == {"layer b", "image c"}
    assert live_holds(tmp_path) == set()
    (tmp_path / "dead").write_text("blob x\n")  # nobody holds it: its operation has died
    assert live_holds(tmp_path) == set()
    assert list(tmp_path.iterdir()) == []
