"""Rows ST12, ST13 and SF12: names never become paths or lines of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.errors import EngineError
from core.model.container import ContainerSpec
from core.model.log_drivers import LogConfig, LogSubject, tag_of, work_out
from core.model.mounts import MountSpec
from tests.conftest import STARTER, Runner

HOSTILE = ("../x", "a/../../x", "/abs", ".", "..", "a\nb", "a\0b", "-x", "", "x" * 5000, "ünï", "a b", "%2e%2e")


@pytest.mark.parametrize("name", [name for name in HOSTILE if name not in ("", "/abs")])  # docker's /abs is abs
def test_ST12_a_container_can_not_be_named_so(run: Runner, name: str) -> None:
    with pytest.raises(EngineError):
        run.engine.containers.create(ContainerSpec(image=STARTER, command=("true",), name=name))
    assert run.engine.containers.list(all=True) == []


@pytest.mark.parametrize("name", [name for name in HOSTILE if name])
def test_SF12_a_volume_s_name_can_not_leave_its_directory(run: Runner, name: str) -> None:
    before = sorted(os.listdir(run.engine.roots.data))
    with pytest.raises(EngineError):
        run.engine.volumes.create(name)
    mount = MountSpec(kind="volume", source=name, target="/v")
    with pytest.raises(EngineError):
        run.engine.containers.create(ContainerSpec(image=STARTER, command=("true",), mounts=(mount,)))
    assert sorted(os.listdir(run.engine.roots.data)) == before
    assert not run.engine.volumes.list()


@pytest.mark.parametrize("name", ["a\nnameserver 6.6.6.6", "a b", "a\tb", "a\0b", "../x"])
@pytest.mark.parametrize("field", ["hostname", "domainname"])
def test_ST13_no_line_can_be_slipped_into_hosts_or_hostname(run: Runner, field: str, name: str) -> None:
    with pytest.raises(EngineError):
        run.engine.containers.create(ContainerSpec(image=STARTER, command=("true",), **{field: name}))  # type: ignore[arg-type]
    assert run.engine.containers.list(all=True) == []


@pytest.mark.parametrize("parent", ["../x", "/a/../../x", "/", "a\0b"])
def test_ST12_a_cgroup_parent_can_not_leave_the_hierarchy(run: Runner, parent: str) -> None:
    with pytest.raises(EngineError, match="cgroup parent"):
        run.engine.containers.create(ContainerSpec(image=STARTER, command=("true",), cgroup_parent=parent))


def test_a_cgroup_parent_of_ones_own(run: Runner) -> None:
    name = f"wharf-test-{os.getpid()}"
    container = run.background("sleep", "100", cgroup_parent=f"/{name}")
    groups = [path for path in Path("/sys/fs/cgroup").glob(f"**/{name}/{container}") if path.is_dir()]
    assert groups
    run.engine.containers.remove(container, force=True)
    assert not any(path.exists() for path in groups)
    for path in {group.parent for group in groups}:
        path.rmdir()


@pytest.mark.parametrize("break_", ["\n", "\r", "\x00", "\x1b]0;x\x07", "\x85", "\u2028"], ids=ascii)
def test_ST10_ST13_an_image_s_words_forge_no_message_of_another_in_a_log(break_: str) -> None:
    """A tag may name the command or the image's name; what it says stands before each message of syslog."""
    argv = ("sh", f"x{break_}<0>Nov 21 00:00:00 host sshd[1]: forged")
    subject = LogSubject(id="0" * 64, name="n", image_id="i", image_name="i", argv=argv, labels={}, env=())
    config = LogConfig(driver="syslog", options={"tag": "{{.Command}}"})
    for tag in (tag_of("{{.Command}}", subject), work_out(config, subject, "/d").fields["SYSLOG_IDENTIFIER"]):
        assert tag.isprintable()
        assert "forged" in tag
