"""The last stretch before exec, the same for a container's first process and for later ones.

The root has changed: from here on everything that is read belongs to the container, so no module
may be loaded, no name service asked, and every descriptor but the standard three and the report
channel is closed before the working directory is entered (why: CVE-2024-21626, CVE-2019-14271).
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import sys
from typing import Any, NamedTuple, NoReturn

from core.linux import caps, inside, seccomp
from core.linux.libc import syscall
from core.monitor import reaper
from core.monitor.confinement import Confinement

_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LARGEST_PASSWD_BYTES = 8 * 1024 * 1024
_REPORT = 3
"""The descriptor that carries an error to the monitor; closed by a successful exec."""


_PUT_ASIDE: list[object] = []


class StageError(Exception):
    """A start that failed at a named stage; `code` is the exit code docker gives for it."""

    def __init__(self, stage: str, error: OSError, text: str, code: int) -> None:
        super().__init__(text)
        self.stage = stage
        self.error = error
        self.code = code


class Identity(NamedTuple):
    """Who a process runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def take_marks(confinement: Confinement) -> None:
    """What is written to /proc/self while that is the host's, and kept over exec.

    A monitor may be spared by the kernel's killer, a container's processes only as asked.
    """
    try:
        _write_own("oom_score_adj", str(confinement.oom_score))
    except PermissionError:
        pass  # ours was set by somebody with CAP_SYS_RESOURCE, and can't be lowered without it: it stays
    if confinement.apparmor:
        try:
            _write_own("attr/exec", f"exec {confinement.apparmor}")
        except OSError as error:
            raise OSError(error.errno, f"AppArmor profile {confinement.apparmor}: {error.strerror}") from None


def _write_own(name: str, text: str) -> None:
    descriptor = os.open(f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def seal_imports() -> None:
    """Stop this interpreter from loading code: the files it would find are the container's.

    The finders are put aside, not taken apart: freeing them would touch pages that a fork shares.
    """
    _PUT_ASIDE.append((sys.meta_path, sys.path_hooks, sys.path, sys.path_importer_cache))
    sys.meta_path, sys.path_hooks, sys.path, sys.path_importer_cache = [], [], [], {}


def close_other_descriptors(report_to: int) -> int:
    """Keep 0, 1, 2 and the report channel; returns its new number."""
    if report_to != _REPORT:
        os.dup2(report_to, _REPORT, inheritable=False)
    syscall("close_range", _REPORT + 1, 0xFFFFFFFF, 0)
    return _REPORT


def execute(
    *,
    argv: list[str],
    environment: list[str],
    cwd: str,
    user: str,
    confinement: Confinement,
    make_cwd: bool,
    init: bool = False,
) -> NoReturn:
    """Become the container's process. Raises: StageError: nothing else comes back.

    Args: init: whether a first process of ours stays as the command's parent. make_cwd: whether a missing
        working directory is made (a first process's is, as docker has it).
    """
    identity = find_identity(user, confinement.groups)
    names = {item.partition("=")[0] for item in environment}
    if "HOME" not in names:
        environment = [*environment, f"HOME={identity.home}"]
    for descriptor in (0, 1, 2):
        # else a container's user could not open its own /dev/stdout
        found = os.fstat(descriptor)
        if found.st_uid != identity.uid and not (stat.S_ISCHR(found.st_mode) and found.st_rdev == os.makedev(1, 3)):
            os.fchown(descriptor, identity.uid, -1)
    _enter_directory(cwd, make=make_cwd)
    for kind, soft, hard in confinement.rlimits:
        resource.setrlimit(kind, (soft, hard))
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # the interpreter ignores these, and exec would pass that on
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    inside.join_new_session_keyring()
    program, bounding = confinement.program, confinement.bounding
    try:
        if program is not None and not confinement.no_new_privileges:
            seccomp.load_filter(program)  # while CAP_SYS_ADMIN is still there: no_new_privs stays off, as Docker's
        caps.limit_bounding(bounding, confinement.last_capability)
        os.setgroups(identity.groups)
        os.setresgid(identity.gid, identity.gid, identity.gid)
        if identity.uid:
            os.setresuid(identity.uid, identity.uid, identity.uid)
            caps.set_all(0)
        else:
            caps.set_all(bounding)
        if confinement.no_new_privileges:
            seccomp.set_no_new_privs()
            if program is not None:
                seccomp.load_filter(program)
    except OSError as error:
        raise StageError("privileges", error, f"give up privileges: {error.strerror}", 125) from None
    if init:
        reaper.stay_behind(_REPORT)
    _exec(argv, environment)


def open_null() -> int:
    """The container's /dev/null, made sure to be that device (why: CVE-2025-31133)."""
    try:
        descriptor = os.open("/dev/null", os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as missing:
        reason = (missing.strerror or "").lower()
        raise StageError("standard input", missing, f"the container's /dev/null: {reason}", 126) from None
    found = os.fstat(descriptor)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != os.makedev(1, 3):
        other = OSError(errno.EPERM, "it is not the null device", "/dev/null")
        raise StageError("standard input", other, "the container's /dev/null is not the null device", 126)
    return descriptor


def _enter_directory(cwd: str, *, make: bool) -> None:
    try:
        try:
            os.chdir(cwd)
        except FileNotFoundError:
            if not make:
                raise
            os.makedirs(cwd, 0o755)
            os.chdir(cwd)
        if not os.getcwd().startswith("/"):
            raise OSError(errno.ENOENT, "it lies outside the container's root")
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise StageError("working directory", error, f"working directory {cwd}: {reason}", 126) from None


def _exec(argv: list[str], environment: list[str]) -> NoReturn:
    """execve along PATH; what docker calls 126 and 127 is told apart by the kernel's answers."""
    name = argv[0]
    values = dict(item.partition("=")[::2] for item in environment)
    if "/" in name:
        candidates = [name]
    elif not name:
        candidates = []
    else:
        candidates = [os.path.join(d or ".", name) for d in values.get("PATH", _DEFAULT_PATH).split(":")]
    failure: OSError = FileNotFoundError(errno.ENOENT, "executable file not found in $PATH")
    for candidate in candidates:
        try:
            os.execve(candidate, argv, values)
        except (FileNotFoundError, NotADirectoryError) as error:
            if "/" in name:
                failure = error
        except OSError as error:
            failure = error
            if error.errno not in (errno.EACCES, errno.EPERM):
                break
        except ValueError as error:  # a zero byte, or a variable without a name: an image may ask for anything
            failure = OSError(errno.EINVAL, str(error))
            break
    missing = failure.errno in (errno.ENOENT,)
    if "/" not in name and missing:
        text = f'exec: "{name}": executable file not found in $PATH'
    else:
        text = f'exec: "{name}": {(failure.strerror or "").lower()}'
    raise StageError("exec", failure, text, 127 if missing else 126)


def find_identity(user: str, added: tuple[str, ...] = ()) -> Identity:
    """Look `name|uid[:group|gid]` up in the container's own /etc/passwd and /etc/group.

    Args: added: more groups, by name or number.
    A number need not be listed. Raises: StageError: a name that is not, with docker's words.
    """
    name, colon, group = user.partition(":")
    name = name or "0"
    entry = _find_user(name)
    if entry is None and not _is_number(name):
        raise _unknown("user", name, "passwd")
    uid, gid, login, home = entry or (_number("user", name), 0, "", "/")
    if colon and group:
        gid = _find_group(group)
        groups = [gid]
    else:
        groups = [gid, *(extra for extra in _member_of(login) if extra != gid)]
    for extra in map(_find_group, added):
        if extra not in groups:
            groups.append(extra)
    return Identity(uid, gid, tuple(groups), home)


def _find_group(group: str) -> int:
    for line in _lines("/etc/group"):
        if len(line) >= 3 and group in (line[0], line[2]) and _is_number(line[2]):
            return _number("group", line[2])
    if not _is_number(group):
        raise _unknown("group", group, "group")
    return _number("group", group)


def _find_user(name: str) -> tuple[int, int, str, str] | None:
    by_number = None
    for line in _lines("/etc/passwd"):
        if len(line) < 6 or not _is_number(line[2]) or not _is_number(line[3]):
            continue
        if line[0] == name:
            return _user_of(line)
        if line[2] == name and by_number is None:
            by_number = line
    return _user_of(by_number) if by_number else None


def _user_of(line: list[str]) -> tuple[int, int, str, str]:
    return _number("user", line[2]), _number("group", line[3]), line[0], line[5] or "/"


def _member_of(login: str) -> list[int]:
    if not login:
        return []
    found = [line[2] for line in _lines("/etc/group") if len(line) >= 4 and login in line[3].split(",")]
    return [_number("group", number) for number in found if _is_number(number)]


def _is_number(text: str) -> bool:
    return text.isdigit() and text.isascii()


def _number(kind: str, text: str) -> int:
    """An id that the kernel takes: 2^32-1 would mean "as it is" to setresuid(2), and that is root."""
    if len(text.lstrip("0")) > 10 or int(text) >= 2**31:
        error = OSError(errno.EINVAL, "out of range")
        raise StageError(kind, error, f"{kind} id {text[:32]} is larger than 2147483647", 125)
    return int(text)


def _unknown(kind: str, name: str, file: str) -> StageError:
    error = FileNotFoundError(errno.ENOENT, "no such entry", f"/etc/{file}")
    return StageError(kind, error, f"unable to find {kind} {name}: no matching entries in {file} file", 125)


def _lines(path: str) -> list[list[str]]:
    """Split lines of a colon-separated file; an image may have a fifo, a device or a flood there instead."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return []
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return []
        data = b""
        while len(data) < _LARGEST_PASSWD_BYTES and (piece := os.read(descriptor, 65536)):
            data += piece
    except OSError:
        return []
    finally:
        os.close(descriptor)
    return [line.split(":") for line in data.decode("utf-8", "surrogateescape").split("\n") if line]


def report(error: StageError) -> dict[str, Any]:
    """What the monitor is told of a failed start."""
    return {
        "stage": error.stage,
        "errno": error.error.errno or 0,
        "path": error.error.filename if isinstance(error.error.filename, str) else None,
        "text": str(error),
        "code": error.code,
    }
