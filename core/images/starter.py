"""A usable image made of this host's own programs, with no network: the first thing a new user runs.

A static busybox and links for all it can do, where there is one; else the host's shell and common
tools with the libraries they load, at the paths the loader names.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

from core.errors import Unsupported, wrapped
from core.model.merge import DEFAULT_PATH
from core.trees import tarread, tarwrite
from core.trees.tarread import Entry

_PIECE_BYTES = 1024 * 1024
_BUSYBOX = ("/bin/busybox", "/usr/bin/busybox", "/usr/lib/busybox/busybox-static", "/bin/busybox.static")
_TOOLS = """
sh bash ls cat cp mv rm mkdir rmdir ln chmod chown echo printf true false sleep date env id whoami hostname
head tail wc sort uniq cut tr tee seq touch stat df du dd md5sum sha256sum grep sed awk find xargs ps top kill
mount umount ip ping ss vi nano less tar gzip gunzip basename dirname readlink realpath tty stty test expr yes
uname mknod mkfifo nproc free
"""
_DIRECTORIES = {
    "bin": 0o755,
    "dev": 0o755,
    "etc": 0o755,
    "home": 0o755,
    "proc": 0o755,
    "root": 0o700,
    "run": 0o755,
    "sbin": 0o755,
    "sys": 0o755,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/bin": 0o755,
    "usr/local": 0o755,
    "usr/local/bin": 0o755,
    "usr/sbin": 0o755,
    "var": 0o755,
    "var/log": 0o755,
    "var/tmp": 0o1777,
}
_TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"
    "daemon:x:1:1:daemon:/:/bin/false\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\ndaemon:x:1:\ntty:x:5:\nstaff:x:50:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "etc/profile": "export PS1='\\u@\\h:\\w\\$ '\n",
}


def run_config() -> dict[str, object]:
    """The `config` half of the image's config."""
    return {"Env": [DEFAULT_PATH], "Cmd": ["sh"], "WorkingDir": "/"}


def archive(*, busybox: bool = True) -> Iterator[bytes]:
    """The image's only layer as a tar.

    Args: busybox: False passes over a static busybox, so that the other way can be had anywhere.
    Raises: Unsupported: this host has neither a static busybox nor a shell we could copy.
    """
    found = _find_static_busybox() if busybox else None
    members = _busybox_members(found) if found else _host_members()
    try:
        yield from _write(members)
    except OSError as error:
        raise wrapped(error, "read") from error


class _Members:
    """What goes in: links and texts by path, files by the host's path they come from."""

    def __init__(self) -> None:
        self.directories = dict(_DIRECTORIES)
        self.files: dict[str, str] = {}
        self.links: dict[str, str] = {}

    def add_file(self, path: str, source: str) -> None:
        path = path.lstrip("/")
        self.files[path] = source
        parent = os.path.dirname(path)
        while parent:
            self.directories.setdefault(parent, 0o755)
            parent = os.path.dirname(parent)


def _find_static_busybox() -> str | None:
    for path in _BUSYBOX:
        if os.access(path, os.X_OK) and is_static(path):
            return path
    return None


def is_static(path: str) -> bool:
    """Whether an ELF program asks for no interpreter (has no PT_INTERP segment). ELF(5)."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if len(head) < 64 or head[:4] != b"\x7fELF" or head[5] != 1:
                return False
            wide = head[4] == 2
            table = int.from_bytes(head[32:40] if wide else head[28:32], "little")
            size = int.from_bytes(head[54:56] if wide else head[42:44], "little")
            count = int.from_bytes(head[56:58] if wide else head[44:46], "little")
            file.seek(table)
            segments = file.read(size * count)
    except OSError:
        return False
    return all(int.from_bytes(segments[at : at + 4], "little") != 3 for at in range(0, len(segments), size or 1))


def _busybox_members(path: str) -> _Members:
    members = _Members()
    members.add_file("bin/busybox", path)
    for applet in _output([path, "--list"]).split():
        if applet.isascii() and "/" not in applet and applet != "busybox":
            members.links[f"bin/{applet}"] = "busybox"
    return members


def _host_members() -> _Members:
    members = _Members()
    programs: list[str] = []
    for tool in _TOOLS.split():
        source = shutil.which(tool, path="/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
        if source is None:
            continue
        source = os.path.realpath(source)
        if not _is_elf(source):
            continue
        members.add_file(f"bin/{tool}", source)
        programs.append(source)
    if "bin/sh" not in members.files:
        raise Unsupported(
            "this host has neither a static busybox nor a shell that could be copied",
            hint="install busybox-static, or load an image from an archive",
        )
    if any(not is_static(program) for program in programs):
        for library in _libraries(programs):
            members.add_file(library, os.path.realpath(library))
    return members


def _is_elf(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _libraries(programs: list[str]) -> set[str]:
    """Absolute paths of all the loader would map for these programs, itself included (ldd(1))."""
    lister = shutil.which("ldd", path="/usr/bin:/bin")
    if lister is None:
        raise Unsupported("ldd is missing on this host", hint="install busybox-static instead")
    found: set[str] = set()
    for word in _output([lister, *programs], all_must_succeed=False).split():
        if word.startswith("/") and not word.endswith(":") and os.path.isfile(word):
            found.add(word)
    return found - set(programs)


def _output(command: list[str], *, all_must_succeed: bool = True) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, env={"LC_ALL": "C"}, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unsupported(f"{command[0]} can't be run: {error}", hint="load an image from an archive instead") from None
    if all_must_succeed and done.returncode:
        raise Unsupported(f"{command[0]} failed: {done.stderr.strip()[:200]}", hint="load an image from an archive")
    return done.stdout


def _write(members: _Members) -> Iterator[bytes]:
    """Members in the order of their paths, a directory before what is in it; times are zero."""
    every = {*members.directories, *members.files, *members.links, *_TEXTS}
    for path in sorted(every):
        name = os.fsencode(path)
        if path in members.directories:
            yield tarwrite.header(_entry(name, tarread.DIRECTORY, members.directories[path]))
        elif path in members.files:
            yield from _file(name, Path(members.files[path]))
        elif path in members.links:
            link = _entry(name, tarread.SYMLINK, 0o777)
            link.link = os.fsencode(members.links[path])
            yield tarwrite.header(link)
        else:
            text = _TEXTS[path].encode()
            yield tarwrite.header(_entry(name, tarread.FILE, 0o644, len(text))) + text + tarwrite.padding(len(text))
    yield tarwrite.END


def _file(name: bytes, source: Path) -> Iterator[bytes]:
    with source.open("rb") as file:
        there = os.fstat(file.fileno())
        yield tarwrite.header(_entry(name, tarread.FILE, stat.S_IMODE(there.st_mode) & 0o755, there.st_size))
        left = there.st_size
        while left:
            piece = file.read(min(left, _PIECE_BYTES))
            if not piece:
                raise OSError(5, "file became shorter while it was read", str(source))
            left -= len(piece)
            yield piece
        yield tarwrite.padding(there.st_size)


def _entry(name: bytes, kind: str, mode: int, size: int = 0) -> Entry:
    return Entry(name=name, kind=kind, mode=mode, uid=0, gid=0, size=size, stored=size, mtime_ns=0, link=b"", xattrs={})
