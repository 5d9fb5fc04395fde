"""The plan of the default container, as text: what a security reviewer reads is tests/golden/default_plan.txt."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec

from core.linux import caps
from core.model.limits import Limits
from core.model.sandbox import MASKED_PATHS, READ_ONLY_PATHS, SandboxMount, SandboxSpec
from core.model.sysctls import effective_sysctls, sysctl_path
from core.monitor import plan

GOLDEN = Path(__file__).resolve().parents[2] / "golden"


def default_spec(**changes: object) -> dict[str, object]:
    own = tuple(
        SandboxMount(kind="bind", source=f"/data/containers/ID/{name}", target=f"/etc/{name}", read_only=False)
        for name in ("resolv.conf", "hostname", "hosts")
    )
    fields: dict[str, object] = {
        "id": "ID",
        "attributes": {},
        "container_dir": "/data/containers/ID",
        "runtime_dir": "/run/ID",
        "journal_dir": "/data/journal",
        "trash_dir": "/data/trash",
        "name_link": "/data/names/NAME",
        "argv": ("true",),
        "env": (),
        "cwd": "/",
        "user": "",
        "hostname": "HOST",
        "tty": False,
        "open_stdin": False,
        "stdin_once": False,
        "own_network": True,
        "lowers": ("/data/layers/B/init", "/data/layers/B/diff", "/data/layers/A/diff"),
        "upper": "/data/containers/ID/upper",
        "work": "/data/containers/ID/work",
        "read_only": False,
        "mounts": own,
        "privileged": False,
        "bounding": caps.DEFAULT_MASK,
        "masked_paths": MASKED_PATHS,
        "read_only_paths": READ_ONLY_PATHS,
        "cgroup": "wharf/ID",
        "limits": Limits(),
        "auto_remove": False,
        "sysctls": {
            sysctl_path(name): value for name, value in effective_sysctls({}, own_network=True, remapped=False).items()
        },
    }
    fields.update(changes)
    document: dict[str, object] = json.loads(msgspec.json.encode(SandboxSpec(**fields)))  # type: ignore[arg-type]
    return document


def text_of(spec: dict[str, object], controllers: tuple[tuple[str, tuple[str, ...]], ...] = ()) -> str:
    return "".join(f"{step.describe()}\n" for step in plan.build(spec, controllers))


def golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("WHARF_WRITE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_default_container_on_v2() -> None:
    golden("default_plan.txt", text_of(default_spec()))


def test_default_container_on_v1() -> None:
    controllers = (("cpu,cpuacct", ("cpu", "cpuacct")), ("memory", ("memory",)), ("systemd", ("name=systemd",)))
    golden("default_plan_v1.txt", text_of(default_spec(), controllers))


def test_privileged_container_hides_nothing_and_writes_sys() -> None:
    text = text_of(default_spec(privileged=True, masked_paths=(), read_only_paths=()))
    assert "mask" not in text
    assert "sysfs at /sys nosuid,nodev,noexec\n" in text


def test_mounts_are_made_from_the_outside_in() -> None:
    wished = [("/a/b/c", "3"), ("/a", "1"), ("/a/b", "2")]
    mounts = tuple(SandboxMount(kind="bind", source=s, target=t, read_only=False) for t, s in wished)
    lines = [line for line in text_of(default_spec(mounts=mounts)).splitlines() if line.startswith("bind")]
    assert lines == ["bind 1 at /a rw", "bind 2 at /a/b rw", "bind 3 at /a/b/c rw"]


def test_tmpfs_words_become_flags_and_options() -> None:
    mount = SandboxMount(
        kind="tmpfs", source="", target="/t", read_only=False, options=("size=64m", "exec", "mode=700")
    )
    assert "tmpfs at /t nosuid,nodev size=64m,mode=700" in text_of(default_spec(mounts=(mount,)))
