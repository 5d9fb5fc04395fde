"""Adding a process to a running container.

    monitor           go-between                      the new process
      │ fork ─────────▶ │ join group, enter namespaces
      │                 │ clone(CLONE_PARENT) ───────▶ │ terminal, seal, close, user, filter, exec
      │◀── pid ──────── │ exit                          │
      │◀──────────── terminal | failed | EOF ────────── │

The new process is the monitor's child, so its exit code is the monitor's to read; it is not
dumpable before exec, so nothing inside can trace it on its way (why: CVE-2016-9962), and it
carries no descriptor of the host.
"""

from __future__ import annotations

import errno
import os
from typing import Any, NoReturn

from core.cgroups.driver import Cgroup
from core.linux import inside
from core.linux.inroot import filesystem_magic
from core.monitor import init, process, proto
from core.monitor.confinement import Confinement
from core.monitor.process import StageError
from core.monitor.steps import open_slave
from core.monitor.streams import window_of

_DEVPTS_MAGIC = 0x1CD1
_NAMESPACES = inside.CLONE_NEWNS | inside.CLONE_NEWPID | inside.CLONE_NEWUTS | inside.CLONE_NEWIPC | inside.CLONE_NEWNET


def spawn(
    request: dict[str, Any],
    target: int,
    cgroup: Cgroup,
    channel: proto.Socket,
    stdio: tuple[int, int, int] | None,
    *,
    confinement: Confinement,
    remapped: bool,
) -> int:
    """Fork the go-between; its pid, for the monitor to reap.

    Args: request: argv, env, cwd, user of the new process. target: a pidfd of the container's first
        process. channel: where pid, terminal and failure are told. stdio: None for a terminal.
        remapped: whether the container has a user namespace of its own.
    """
    # inside a user namespace nobody may clone into a group of the host's: there the go-between joins it
    group = None if remapped else cgroup.open_for_clone()
    if group is None:
        cgroup.prepare_entry()
    between = os.fork()
    if between:
        if group is None:
            cgroup.close_entry()
        else:
            os.close(group)
        return between
    try:
        kinds = _NAMESPACES | (inside.CLONE_NEWUSER if remapped else 0)
        if group is None:
            cgroup.enter()
            kinds |= inside.CLONE_NEWCGROUP
        process.take_marks(confinement)
        inside.setns(target, kinds)
        if group is None:
            pid = inside.clone(inside.CLONE_PARENT)
        else:
            pid = inside.clone_into_cgroup(inside.CLONE_PARENT, group)
        if pid:
            proto.send(channel, {"event": "pid", "pid": pid})
            os._exit(0)
        if group is not None:
            # only now: where cgroups are mounted with "nsdelegate", as by systemd, who sees nothing but the
            # container's groups can put nobody into one
            inside.setns(target, inside.CLONE_NEWCGROUP)
        if remapped:
            inside.take_root()
    except OSError as error:
        init.fail(
            StageError("enter", error, f"enter the container: {(error.strerror or '').lower()}", 126), channel.fileno()
        )
    _become(request, channel, stdio, confinement)


def _become(
    request: dict[str, Any],
    channel: proto.Socket,
    stdio: tuple[int, int, int] | None,
    confinement: Confinement,
) -> NoReturn:
    report_to = channel.fileno()
    try:
        process.seal_imports()
        os.umask(0o022)
        os.setsid()
        if stdio is None:
            master, slave = _open_terminal()
            proto.send(channel, {"event": "terminal"}, (master,))
            init.take_terminal(slave, window_of(request))
        else:
            for number, descriptor in enumerate(stdio):
                os.dup2(descriptor if descriptor >= 0 else process.open_null(), number)
        report_to = process.close_other_descriptors(report_to)
        process.execute(
            argv=request["argv"],
            environment=request["env"],
            cwd=request["cwd"],
            user=request["user"],
            confinement=confinement,
            make_cwd=False,
        )
    except StageError as error:
        init.fail(error, report_to)
    except BaseException as error:
        # the boundary of this process: whatever else went wrong is told to the monitor
        init.fail(StageError("exec", OSError(0, ""), f"{type(error).__name__}: {error}", 126), report_to)


def _open_terminal() -> tuple[int, int]:
    """A new terminal of the container's devpts, which must be one (why: CVE-2025-52565)."""
    flags = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_RDONLY
    terminals = os.open("/dev/pts", flags)
    if filesystem_magic(terminals) != _DEVPTS_MAGIC:
        error = OSError(errno.ENOTTY, "it is no devpts", "/dev/pts")
        raise StageError("terminal", error, "the container's /dev/pts is no terminal file system", 126)
    master = os.open("ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=terminals)
    slave, _ = open_slave(master, terminals)
    return master, slave
