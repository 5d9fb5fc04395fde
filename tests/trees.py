"""Comparing trees of files to the last attribute, and tars that are made to be awkward."""

from __future__ import annotations

import hashlib
import io
import os
import random
import stat
import struct
import subprocess
import tarfile
from collections.abc import Iterator, Set
from pathlib import Path
from typing import NamedTuple

from tests.archives import directory, hardlink, member, symlink


class Seen(NamedTuple):
    """All that can be seen of one file without its directory."""

    mode: int
    uid: int
    gid: int
    size: int
    device: int
    mtime_ns: int
    names: int
    link: str
    xattrs: dict[str, bytes]
    content: str
    same_as: str
    """The first path that is another name of the same file."""


def tree(root: Path, *, timed: Set[str]) -> dict[str, Seen]:
    """Every path below a root. Args: timed: paths that an archive gives a time; of others it is not looked at."""
    found: dict[str, Seen] = {}
    first: dict[tuple[int, int], str] = {}
    top = os.fsencode(root)
    for path in [b"", *sorted(_below(top, b""))]:
        place = os.path.join(top, path)
        there = os.stat(place, follow_symlinks=False) if path else os.stat(place)
        name = os.fsdecode(path)
        is_directory = stat.S_ISDIR(there.st_mode)
        found[name] = Seen(
            mode=there.st_mode,
            uid=there.st_uid,
            gid=there.st_gid,
            size=0 if is_directory else there.st_size,
            device=there.st_rdev,
            mtime_ns=0 if name not in timed or _is_whiteout(there) else there.st_mtime_ns,
            names=0 if is_directory else there.st_nlink,
            link=os.fsdecode(os.readlink(place)) if stat.S_ISLNK(there.st_mode) else "",
            xattrs=_xattrs(place, follow=not path),
            content=_digest(place) if stat.S_ISREG(there.st_mode) else "",
            same_as="" if is_directory else first.setdefault((there.st_dev, there.st_ino), name),
        )
    return found


def _is_whiteout(there: os.stat_result) -> bool:
    return stat.S_ISCHR(there.st_mode) and there.st_rdev == 0


def _below(top: bytes, path: bytes) -> Iterator[bytes]:
    waiting = [path]
    while waiting:
        parent = waiting.pop()
        for entry in os.scandir(os.path.join(top, parent)):
            inner = os.path.join(parent, entry.name)
            yield inner
            if entry.is_dir(follow_symlinks=False):
                waiting.append(inner)


def _xattrs(place: bytes, *, follow: bool) -> dict[str, bytes]:
    names = os.listxattr(place, follow_symlinks=follow)
    return {name: os.getxattr(place, name, follow_symlinks=follow) for name in names}


def _digest(place: bytes) -> str:
    """Of the content and of what mmap shows beyond it: a page's rest is zeros."""
    digest = hashlib.sha256()
    with open(place, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def named(data: bytes) -> frozenset[str]:
    """Every path that a tar has an entry for."""
    with tarfile.open(fileobj=io.BytesIO(data), errors="surrogateescape") as archive:
        return frozenset(os.path.normpath(f"/{entry.name}").lstrip("/") for entry in archive)


def acl(*entries: tuple[int, int, int]) -> str:
    """An access list as its extended attribute: (tag, permissions, id) in order."""
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    return value.decode("utf-8", "surrogateescape")


NOBODY = 0xFFFFFFFF
ACL = acl((1, 7, NOBODY), (2, 5, 1000), (4, 5, NOBODY), (8, 6, 77), (16, 4, NOBODY), (32, 1, NOBODY))
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0).decode("utf-8", "surrogateescape")


def nasty() -> bytes:
    """A layer with everything that a tar can say."""
    chance = random.Random(5)
    members = [
        directory(".", 0o751, uid=3, gid=4, mtime=1_500_000_000.25),
        directory("d", 0o1777, mtime=1.5),
        member("d/empty"),
        member("d/one", b"1"),
        *(member(f"d/size{size}", chance.randbytes(size)) for size in (511, 512, 513, 4095, 4096, 4097, 70_000)),
        member("long/" + "x" * 200 + "/" + "y" * 255, b"long"),
        member("pax/\udcff\udce9 \u4e16\u754c\t\n", b"names", mtime=1_600_000_000.123456789),
        member("implied/by/this", b"file", mtime=1_234_567_890),
        member("owner", b"o", uid=2_000_000, gid=3_000_000_000, mode=0o6755),
        member("before-1970", b"o", mtime=-86400.5),
        symlink("link", "d/one"),
        symlink("d/dangling", "/nowhere/" + "z" * 90),
        symlink("d/long", "l" * 1000),
        symlink("d/longest", "l" * 4000),
        member("l-xattr", type=tarfile.SYMTYPE, linkname="d", pax_headers={"SCHILY.xattr.user.no": "left out"}),
        hardlink("d/hard", "d/one"),
        hardlink("hard2", "./d/hard"),
        hardlink("hardlink-to-link", "link"),
        member("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        member("big-device", type=tarfile.BLKTYPE, devmajor=259, devminor=70_000, mode=0o660, gid=6),
        member("fifo", type=tarfile.FIFOTYPE, mode=0o600),
        member("xattrs", b"x", pax_headers={"SCHILY.xattr.user.a": "1", "SCHILY.xattr.user." + "n" * 200: "v" * 1000}),
        member("empty-xattr", b"x", pax_headers={"SCHILY.xattr.user.e": ""}),
        member("ping", b"p", mode=0o755, pax_headers={"SCHILY.xattr.security.capability": CAPABILITY}),
        member("bad-cap", b"p", pax_headers={"SCHILY.xattr.security.capability": "nonsense"}),
        member("acl", b"a", mode=0o777, pax_headers={"SCHILY.xattr.system.posix_acl_access": ACL}),
        directory(
            "acl-d", 0o700, pax_headers={"SCHILY.xattr.system.posix_acl_default": ACL, "SCHILY.xattr.user.d": "d"}
        ),
        member("acl-d/child", b"inherits nothing"),
        member("forged", b"x", pax_headers={"SCHILY.xattr.trusted.overlay.redirect": "/etc"}),
        directory("forged-d", pax_headers={"SCHILY.xattr.trusted.overlay.opaque": "y"}),
        directory("opaque"),
        member("opaque/.wh..wh..opq"),
        member("opaque/kept", b"k"),
        member("gone/.wh.file"),
        directory("again"),
        member(".wh.again"),
        member(".wh.back"),
        directory("back", 0o711),
        member("twice", b"first", mode=0o600),
        member("twice", b"the second", mode=0o640, mtime=77),
        directory("was-d"),
        member("was-d/inner", b"lost"),
        symlink("was-d", "d"),
        member("was-f", b"file"),
        directory("was-f", 0o750),
        member("was-f/inner", b"kept"),
        member("first-name", b"two names, one replaced"),
        hardlink("second-name", "first-name"),
        member("first-name", b"another file by now"),
        directory("d", 0o755, mtime=99, uid=8),
        *(member(f"many/{'n' * (at % 40)}{at:05}", b"%d" % at) for at in range(800)),
        member("/".join(f"{level}" for level in range(100)), b"deep"),
        member("!x", b"sorts before ."),
        member("-x", b"and so does this"),
    ]
    buffer = io.BytesIO()
    pax = {"comment": "global", "mtime": "1400000000.5", "SCHILY.xattr.user.all": "have it"}
    with tarfile.open(
        fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape", pax_headers=pax
    ) as it:
        for info, data in members:
            it.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def sparse(directory: Path, version: str) -> bytes:
    """Files with holes, in one of GNU tar's forms: `gnu`, or PAX 0.0, 0.1 and 1.0."""
    made = directory / "sparse"
    if not made.exists():
        made.mkdir()
        for name, size, pieces in (
            ("all-hole", 1 << 20, ()),
            ("end", (1 << 20) + 5, ((1 << 20, b"tail!"),)),
            ("begin", 1 << 20, ((0, b"b" * 8192),)),
            ("many", 1 << 22, tuple((at << 16, bytes([at]) * 4096) for at in range(1, 60, 3))),
            ("unaligned", 300_000, ((4096, b"u" * 5000), (200_000, b"v" * 3))),
        ):
            with open(made / name, "wb") as file:
                file.truncate(size)
                for offset, data in pieces:
                    os.pwrite(file.fileno(), data, offset)
    form = ["--format=gnu"] if version == "gnu" else ["--format=pax", f"--sparse-version={version}"]
    return subprocess.run(
        ["tar", "-c", "-S", *form, "-C", str(directory), "sparse"], capture_output=True, check=True
    ).stdout
