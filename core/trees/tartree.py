"""The tree that a layer's tar describes, kept in memory: what unpacking it would make, without its data.

Follows the rules of core.trees.unpack entry by entry. What is rare, and would need a file system's own
rules to be followed exactly, is not decided here: then the layer is unpacked after all.

Facts: image-spec layer.md ("Applying Changesets"), xattr(7), capabilities(7), linux/posix_acl_xattr.h.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable
from typing import NamedTuple

from core.trees import tarread
from core.trees.faults import shown, unsafe
from core.trees.source import Source
from core.trees.tarread import BLOCK, Entry, Limits, TarReader
from core.trees.unpack import (
    ALL_BELOW,
    DEFAULT_ACL,
    NOBODYS,
    OPAQUE_XATTR,
    WHITEOUT,
    clean_name,
    is_kept_xattr,
    read_mark,
)

ACCESS_ACL = b"system.posix_acl_access"
CAPABILITY = b"security.capability"
OPAQUE = OPAQUE_XATTR.encode()
MOST_NODES = 400_000
"""Files and directories, those included that only paths name; each takes some 500 bytes while the tree is made."""
MOST_BYTES = 64 * 1024**2
"""Of names, targets of links and extended attributes together. Larger layers are unpacked."""
_MOST_XATTR_BYTES = 3072
"""Of one file: what ext4 takes as well."""
_LONGEST_NAME = 255
_LONGEST_LINK = 4095
_REPORT_EVERY_ENTRIES = 500


class Inexpressible(Exception):
    """A sound archive that only unpacking does justice; the text says why."""


class Attributes(NamedTuple):
    """Of a directory that the archive does not bring itself."""

    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0


class Node:
    """A file of any kind, under all its names."""

    __slots__ = (
        "block",
        "children",
        "device",
        "gid",
        "link",
        "mode",
        "mtime_ns",
        "nid",
        "size",
        "sparse",
        "uid",
        "xattrs",
    )

    def __init__(self, mode: int, uid: int, gid: int, mtime_ns: int) -> None:
        self.mode = mode
        """With its format: stat.S_IFREG and so on."""
        self.uid = uid
        self.gid = gid
        self.mtime_ns = mtime_ns
        self.size = 0
        self.block = 0
        """Of a regular file: where its data begin in the tar, in blocks of 512 bytes."""
        self.sparse: list[tuple[int, int]] | None = None
        """(offset, length) of the pieces that are stored, in blocks, if it has holes."""
        self.device = 0
        self.link = b""
        self.children: dict[bytes, Node] | None = None
        self.xattrs: dict[bytes, bytes] | None = None
        self.nid = 0


def new_directory(attributes: Attributes) -> Node:
    """An empty one."""
    node = Node(stat.S_IFDIR | attributes.mode, attributes.uid, attributes.gid, attributes.mtime_ns)
    node.children = {}
    return node


class TarTree:
    """Applies entries to a tree.

    Args: root: what the root is like, unless the archive says so itself. report: told the bytes read, now and
        then; what it raises ends the work.
    """

    def __init__(
        self,
        root: Attributes,
        *,
        limits: Limits,
        strict_end: bool = False,
        report: Callable[[int], None] = lambda done: None,
    ) -> None:
        self.root = new_directory(root)
        self._limits = limits
        self._strict_end = strict_end
        self._report = report
        self._parent_path = b""
        self._parent = self.root
        self._nodes = 0
        self._bytes = 0
        self.entries = 0
        self.size = 0
        """Bytes of all regular files and of the targets of links, as docker counts."""

    def read(self, source: Source) -> None:
        """Apply a whole archive. Raises: TreeFault: naming entry and rule. Inexpressible."""
        reader = TarReader(source, self._limits, strict_end=self._strict_end)
        for entry in reader:
            self._apply(entry, source.position)
            self.entries += 1
            if self.entries % _REPORT_EVERY_ENTRIES == 0:
                self._report(source.position)

    def _apply(self, entry: Entry, position: int) -> None:
        path = clean_name(entry.name)
        directory, _, name = path.rpartition(b"/")
        if WHITEOUT in path and self._apply_whiteout(entry, directory, name):
            return
        if not path:
            if entry.kind is not tarread.DIRECTORY:
                raise unsafe(entry.name, "the root must be a directory")
            self._set_directory(entry, self.root)
            return
        if len(name) > _LONGEST_NAME:
            raise unsafe(entry.name, "a name longer than 255 bytes")
        names = self._names_of(entry, directory)
        self._count(len(name) + len(entry.link))
        match entry.kind:
            case tarread.FILE:
                names[name] = self._file(entry, position)
            case tarread.DIRECTORY:
                self._make_directory(entry, names, name)
            case tarread.HARDLINK:
                names[name] = self._hardlinked(entry, path)
            case tarread.SYMLINK:
                names[name] = self._symlink(entry)
            case _:
                names[name] = self._device(entry)

    # ── whiteouts ──────────────────────────────────────────────────────────────────────────────

    def _apply_whiteout(self, entry: Entry, directory: bytes, name: bytes) -> bool:
        """Handle marks; True if the entry was one. Marks as parents are refused."""
        hidden = read_mark(entry, directory, name)
        if hidden is None:
            return False
        if hidden == NOBODYS:
            return True
        names = self._names_of(entry, directory)
        if hidden == ALL_BELOW:
            _mark_opaque(self._parent)
            return True
        there = names.get(hidden)
        if there is None:
            names[hidden] = Node(stat.S_IFCHR, 0, 0, entry.mtime_ns)
        elif there.children is not None:
            _mark_opaque(there)  # this layer has brought it already: the whiteout means what lies below only
        return True

    # ── kinds of entries ───────────────────────────────────────────────────────────────────────

    def _file(self, entry: Entry, position: int) -> Node:
        node = self._node(entry, stat.S_IFREG)
        node.size = entry.size
        node.block, rest = divmod(position, BLOCK)
        if rest:
            raise Inexpressible(f"{shown(entry.name)} begins within a block")
        if entry.sparse is not None:
            node.sparse = _in_blocks(entry)
        self.size += entry.size
        return node

    def _make_directory(self, entry: Entry, names: dict[bytes, Node], name: bytes) -> None:
        there = names.get(name)
        if there is None or there.children is None:
            hid_lower = there is not None and is_whiteout(there)
            there = names[name] = new_directory(Attributes())
            if hid_lower:
                _mark_opaque(there)
        self._set_directory(entry, there)

    def _set_directory(self, entry: Entry, node: Node) -> None:
        if node.xattrs and ACCESS_ACL in node.xattrs:
            raise Inexpressible(f"{shown(entry.name)} has an access list and comes twice")
        node.mode, node.uid, node.gid = stat.S_IFDIR | entry.mode, entry.uid, entry.gid
        node.mtime_ns = entry.mtime_ns
        self._set_xattrs(node, entry)

    def _hardlinked(self, entry: Entry, path: bytes) -> Node:
        if b".." in entry.link.split(b"/"):
            raise unsafe(entry.name, f"a hard link to {shown(entry.link)}, which climbs out with ..")
        target = clean_name(entry.link)
        there: Node | None = self.root
        for part in target.split(b"/"):
            if there is not None and stat.S_ISLNK(there.mode):
                raise Inexpressible(f"{shown(entry.name)} is a hard link to what is reached through a symbolic one")
            there = there.children.get(part) if there is not None and there.children is not None else None
        if there is None or (target + b"/").startswith(path + b"/"):  # what lies at its own name goes first
            raise unsafe(entry.name, f"a hard link to {shown(entry.link)}, which this archive has not brought")
        if there.children is not None:
            raise unsafe(entry.name, "a hard link to a directory")
        if is_whiteout(there):
            raise Inexpressible(f"{shown(entry.name)} is a hard link to a whiteout")
        return there

    def _symlink(self, entry: Entry) -> Node:
        if not entry.link:
            raise unsafe(entry.name, "a symbolic link to nothing")
        if len(entry.link) > _LONGEST_LINK:
            raise Inexpressible(f"{shown(entry.name)} is a link to a path of {len(entry.link)} bytes")
        node = self._node(entry, stat.S_IFLNK)
        node.mode = stat.S_IFLNK | 0o777
        node.link = entry.link
        self.size += len(entry.link)
        return node

    def _device(self, entry: Entry) -> Node:
        kind = {tarread.FIFO: stat.S_IFIFO, tarread.CHAR: stat.S_IFCHR, tarread.BLOCK_DEVICE: stat.S_IFBLK}[entry.kind]
        if entry.kind is not tarread.FIFO:
            if not 0 <= entry.major < 1 << 12 or not 0 <= entry.minor < 1 << 20:
                raise unsafe(entry.name, f"device {entry.major}:{entry.minor} does not exist")
            if entry.kind is tarread.CHAR and entry.major == entry.minor == 0:
                raise unsafe(entry.name, "a character device 0:0 is overlayfs' own mark")
        node = self._node(entry, kind)
        if entry.kind is not tarread.FIFO:
            node.device = os.makedev(entry.major, entry.minor)
        return node

    def _node(self, entry: Entry, kind: int) -> Node:
        node = Node(kind | entry.mode, entry.uid, entry.gid, entry.mtime_ns)
        self._set_xattrs(node, entry)
        return node

    def _count(self, more_bytes: int) -> None:
        """One more node. Raises: Inexpressible: the tree would take too much memory."""
        self._nodes += 1
        self._bytes += more_bytes
        if self._nodes > MOST_NODES or self._bytes > MOST_BYTES:
            raise Inexpressible(f"it has more than {MOST_NODES} files, or {MOST_BYTES} bytes of names and attributes")

    # ── places and attributes ──────────────────────────────────────────────────────────────────

    def _names_of(self, entry: Entry, directory: bytes) -> dict[bytes, Node]:
        """The names in the directory an entry lies in, made if the archive has not; the last one is remembered."""
        if directory != self._parent_path:
            node = self.root
            for part in directory.split(b"/"):
                node = self._enter(entry, node, part)
            self._parent_path, self._parent = directory, node
        assert self._parent.children is not None
        return self._parent.children

    def _enter(self, entry: Entry, node: Node, name: bytes) -> Node:
        if not name:
            return node
        assert node.children is not None
        there = node.children.get(name)
        if there is None:
            if len(name) > _LONGEST_NAME:
                raise unsafe(entry.name, "a name longer than 255 bytes")
            there = node.children[name] = new_directory(Attributes(mtime_ns=entry.mtime_ns))
            self._count(len(name))
        elif there.children is None:
            if stat.S_ISLNK(there.mode):
                raise Inexpressible(f"{shown(entry.name)} is reached through a link")
            raise unsafe(entry.name, "its directory is not one")
        return there

    def _set_xattrs(self, node: Node, entry: Entry) -> None:
        kept: dict[bytes, bytes] = {}
        for key, value in entry.xattrs.items():
            if is_kept_xattr(key) and _is_settable(node, entry, key, value):
                kept[key] = value
        if not kept:
            return
        node.xattrs = {**(node.xattrs or {}), **kept}
        size = sum(len(key) + len(value) for key, value in node.xattrs.items())
        self._bytes += size
        if size > _MOST_XATTR_BYTES:
            raise Inexpressible(f"{shown(entry.name)} has extended attributes of {size} bytes")


def is_whiteout(node: Node) -> bool:
    """Whether it hides what lies below: a character device 0:0."""
    return stat.S_ISCHR(node.mode) and node.device == 0


def _mark_opaque(node: Node) -> None:
    node.xattrs = {**(node.xattrs or {}), OPAQUE: b"y"}


def _in_blocks(entry: Entry) -> list[tuple[int, int]]:
    """The pieces of a sparse file, in blocks. Only the file's last byte may end one within a block."""
    assert entry.sparse is not None
    pieces = []
    for offset, length in entry.sparse:
        if not length:
            continue  # some end with the file's size, as a piece of nothing
        is_end = offset + length == entry.size
        if offset % BLOCK or (length % BLOCK and not is_end):
            raise Inexpressible(f"{shown(entry.name)} has holes that are no blocks")
        pieces.append((offset // BLOCK, -(-length // BLOCK)))
    return pieces


def _is_settable(node: Node, entry: Entry, key: bytes, value: bytes) -> bool:
    """Whether the kernel would let this attribute be set on such a file; what it refuses is left out."""
    if len(key) > _LONGEST_NAME or b"\0" in key:
        raise Inexpressible(f"{shown(entry.name)} has an attribute with a bad name")
    is_plain = stat.S_ISREG(node.mode) or stat.S_ISDIR(node.mode)
    if key.startswith(b"user."):
        return is_plain and len(key) > len(b"user.")
    if stat.S_ISLNK(node.mode) and key != CAPABILITY:
        return False
    if not is_plain:
        raise Inexpressible(f"{shown(entry.name)} has {os.fsdecode(key)}")
    if key == CAPABILITY:
        return (value[:4], len(value)) in _CAPABILITY_FORMS
    if key == DEFAULT_ACL and not stat.S_ISDIR(node.mode):
        raise Inexpressible(f"{shown(entry.name)} has a default access list and is no directory")
    mode = _mode_of_acl(value)
    if mode is None:
        raise Inexpressible(f"{shown(entry.name)} has an access list that may not be valid")
    if key == ACCESS_ACL:
        node.mode = node.mode & ~0o777 | mode
    return True


_CAPABILITY_FORMS = {
    (struct.pack("<I", revision | effective), size)
    for revision, size in ((0x02000000, 20), (0x03000000, 24))
    for effective in (0, 1)
}
"""The header word and the length of VFS_CAP_REVISION_2 and 3; others the kernel refuses."""

_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20


def _mode_of_acl(value: bytes) -> int | None:
    """The permission bits that go with an access list; None unless it is whole, sorted and has named entries."""
    if len(value) < 4 or len(value) % 8 != 4 or value[:4] != b"\x02\0\0\0":
        return None
    entries = list(struct.iter_unpack("<HHI", value[4:]))
    tags = [tag for tag, _, _ in entries]
    wanted = sorted((tag, who if tag in (_USER, _GROUP) else 0) for tag, _, who in entries)
    if [(tag, who if tag in (_USER, _GROUP) else 0) for tag, _, who in entries] != wanted:
        return None
    singles = (_USER_OBJ, _GROUP_OBJ, _MASK, _OTHER)
    if any(tags.count(tag) != 1 for tag in singles) or len(set(wanted)) != len(wanted) or len(tags) == len(singles):
        return None
    if any(permissions > 7 or tag not in (*singles, _USER, _GROUP) for tag, permissions, _ in entries):
        return None
    of: dict[int, int] = {tag: permissions for tag, permissions, _ in entries}
    return of[_USER_OBJ] << 6 | of[_MASK] << 3 | of[_OTHER]
