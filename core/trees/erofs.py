"""A tree's metadata as an EROFS image whose files' data lie in the tar they came in.

    0      nothing
    1024   superblock, 128 bytes
    1152   device slot: the tar, so many blocks of 512 bytes
    1536   inodes, 64 bytes each, with their extended attributes, chunk indexes, short directories and link targets
    …      longer directories and link targets, in blocks

The same tree gives the same bytes. Source of the format: fs/erofs/erofs_fs.h, Documentation/filesystems/erofs.rst.
"""

from __future__ import annotations

import os
import stat
import struct

from core.trees.tartree import Inexpressible, Node

BLOCK = 512
BLOCK_BITS = 9
SUPER_OFFSET = 1024
SUPER = struct.Struct("<IIIBBHQQIIII16s16sIHHHBBIQBBHIQQ")
MAGIC = 0xE0F5E1E2
INODE = struct.Struct("<HHHHQIIIIQII16x")
DIRENT = struct.Struct("<QHBB")
XATTR_HEADER = struct.Struct("<IB7x")
XATTR_ENTRY = struct.Struct("<BBH")
FLAT_PLAIN, FLAT_INLINE, CHUNK_BASED = 0, 2, 4
XATTR_PREFIXES = (
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"security.", 6),
)
_FIRST_INODE = 1536
_SLOT = struct.Struct("<64sII56x")
_SLOT_OFFSET = 1152
_NID_BITS = 5
_COMPAT_CHECKSUM = 0x1
_INCOMPAT_CHUNKED_FILE, _INCOMPAT_DEVICE_TABLE = 0x4, 0x8
_EXTENDED = 0x1
_CHUNK_INDEXES = 0x20
_MOST_CHUNK_BITS = 31
_INDEX = struct.Struct("<HHI")
_HOLE = _INDEX.pack(0xFFFF, 0, 0xFFFFFFFF)
_TAR_DEVICE = 1
_MOST_INDEXES = 1 << 16
"""Of one sparse file: half a megabyte of metadata."""
_MOST_BLOCKS = (1 << 32) - 2
_DIRENT_TYPES = {
    stat.S_IFREG: 1,
    stat.S_IFDIR: 2,
    stat.S_IFCHR: 3,
    stat.S_IFBLK: 4,
    stat.S_IFIFO: 5,
    stat.S_IFLNK: 7,
}
_CHECKSUM_SEED = 0x5045B54A
_WRITE_BYTES = 1024 * 1024


def write_image(root: Node, tar_bytes: int, output: int) -> int:
    """Write the metadata of a tree whose files' data lie in a tar of so many bytes into an open file; its size.

    Raises: Inexpressible: something is too large for the format. OSError.
    """
    if tar_bytes > _MOST_BLOCKS * BLOCK:
        raise Inexpressible(f"its tar has {tar_bytes} bytes")
    return _Image(root, -(-tar_bytes // BLOCK)).write(output)


class _Image:
    """One layout: inodes level by level, in the order in which directories list them; then what is long."""

    def __init__(self, root: Node, tar_blocks: int) -> None:
        self._root = root
        self._tar_blocks = tar_blocks
        self._links: dict[Node, int] = {}
        """How many names a node has; of a directory, names and children that are directories."""
        self._nodes: list[Node] = []
        """In the order of their inodes."""
        self._parents: dict[Node, Node] = {}
        """Of directories."""

    def write(self, output: int) -> int:
        self._walk()
        area = -(-self._place_inodes() // BLOCK) * BLOCK
        inodes, blocks, at = bytearray(area), bytearray(), area
        for node in self._nodes:
            data = self._data(node)
            is_inline = bool(data) and _is_inline(node, len(data))
            self._put_inode(inodes, node, data if is_inline else b"", at // BLOCK, len(data))
            if not is_inline:
                blocks += data
                blocks += bytes(-len(data) % BLOCK)
                at += -(-len(data) // BLOCK) * BLOCK
            if len(blocks) >= _WRITE_BYTES:
                _put(output, blocks, at - len(blocks))
                blocks.clear()
        _put(output, blocks, at - len(blocks))
        inodes[SUPER_OFFSET : SUPER_OFFSET + BLOCK] = self._superblock(at // BLOCK)
        _put(output, inodes, 0)
        return at

    def _data(self, node: Node) -> bytes:
        """A directory's names, or a link's target."""
        if node.children is None:
            return node.link
        return _directory_blocks(node, self._parents[node])

    def _walk(self) -> None:
        self._links[self._root] = 2
        self._nodes.append(self._root)
        self._parents[self._root] = self._root
        directories = [self._root]
        for directory in directories:  # which grows meanwhile: level by level
            assert directory.children is not None
            for node in directory.children.values():
                if node.children is not None:
                    self._links[node] = 2
                    self._links[directory] += 1
                    self._parents[node] = directory
                    directories.append(node)
                elif (links := self._links.get(node)) is not None:
                    self._links[node] = links + 1
                    continue
                else:
                    self._links[node] = 1
                self._nodes.append(node)

    def _place_inodes(self) -> int:
        at = _FIRST_INODE
        for node in self._nodes:
            whole = fixed = INODE.size + _xattrs_size(node)
            if (tail := _data_size(node)) and _is_inline(node, tail):
                whole = fixed = whole + tail  # which may not be cut either
            else:
                fixed = INODE.size
            if at % BLOCK + fixed > BLOCK:
                at = -(-at // BLOCK) * BLOCK
            node.nid = at >> _NID_BITS
            at += whole
            if stat.S_ISREG(node.mode) and node.size:
                at = -(-at // 8) * 8 + _INDEX.size * len(_chunks(node)[1])
            at = -(-at // 32) * 32
        return at

    def _put_inode(self, inodes: bytearray, node: Node, tail: bytes, block: int, data_bytes: int) -> None:
        """Args: tail: data that lie right behind it. block: where they lie else."""
        at = node.nid << _NID_BITS
        layout, value, size = FLAT_PLAIN, block if data_bytes else 0, data_bytes
        if tail:
            layout, value = FLAT_INLINE, 0
        elif stat.S_ISREG(node.mode) and node.size:
            bits, indexes = _chunks(node)
            layout, size, value = CHUNK_BASED, node.size, _CHUNK_INDEXES | bits
            tail = b"".join(_HOLE if start < 0 else _INDEX.pack(0, _TAR_DEVICE, start) for start in indexes)
        elif node.device:
            value = _device_number(node.device)
        xattrs = _xattrs(node)
        seconds, nanoseconds = divmod(node.mtime_ns, 1_000_000_000)
        inode = INODE.pack(
            _EXTENDED | layout << 1,
            (len(xattrs) - XATTR_HEADER.size) // 4 + 1 if xattrs else 0,
            node.mode,
            0,
            size,
            value,
            node.nid & 0xFFFFFFFF,
            node.uid,
            node.gid,
            seconds & 0xFFFFFFFFFFFFFFFF,
            nanoseconds,
            self._links[node],
        )
        if layout == CHUNK_BASED:
            xattrs += bytes(-len(xattrs) % 8)
        whole = inode + xattrs + tail
        inodes[at : at + len(whole)] = whole

    def _superblock(self, blocks: int) -> bytes:
        def packed(checksum: int) -> bytes:
            return SUPER.pack(
                MAGIC,
                checksum,
                _COMPAT_CHECKSUM,
                BLOCK_BITS,
                0,
                self._root.nid,
                len(self._nodes),
                0,
                0,
                blocks,
                0,
                0,
                bytes(16),
                bytes(16),
                _INCOMPAT_CHUNKED_FILE | _INCOMPAT_DEVICE_TABLE,
                0,
                1,
                _SLOT_OFFSET // _SLOT.size,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
            )

        def whole(checksum: int) -> bytes:
            return (packed(checksum) + _SLOT.pack(bytes(64), self._tar_blocks, 0)).ljust(BLOCK, b"\0")

        return whole(superblock_checksum(whole(0)))


def superblock_checksum(block: bytes) -> int:
    """CRC-32C, as EROFS wants it, of the block that holds the superblock, its checksum field as zero."""
    value = _CHECKSUM_SEED
    for byte in block[8:]:
        value = value >> 8 ^ _CRC_TABLE[(value ^ byte) & 0xFF]
    return value


def _crc_row(value: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


_CRC_TABLE = tuple(map(_crc_row, range(256)))


def _device_number(device: int) -> int:
    """The kernel's own 32 bits for a device (linux/kdev_t.h)."""
    major, minor = os.major(device), os.minor(device)
    return minor & 0xFF | major << 8 | (minor & ~0xFF) << 12


def _put(output: int, data: bytearray, at: int) -> None:
    view = memoryview(data)
    try:
        while view:
            written = os.pwrite(output, view, at)
            view, at = view[written:], at + written
    finally:
        view.release()


def _data_size(node: Node) -> int:
    """Bytes of a link's target, or of a directory's names: of a large one, some number that no block holds."""
    if node.children is None:
        return len(node.link)
    return 2 * DIRENT.size + len("...") + sum(map(len, node.children)) + DIRENT.size * len(node.children)


def _is_inline(node: Node, data_bytes: int) -> bool:
    """Whether its data lie in the same block as its inode."""
    return INODE.size + _xattrs_size(node) + data_bytes <= BLOCK


def _xattrs_size(node: Node) -> int:
    if not node.xattrs:
        return 0
    size = XATTR_HEADER.size
    for name, value in node.xattrs.items():
        prefix, _ = _prefix_of(name)
        size += -(-(XATTR_ENTRY.size + len(name) - len(prefix) + len(value)) // 4) * 4
    return size


def _xattrs(node: Node) -> bytes:
    if not node.xattrs:
        return b""
    entries = [XATTR_HEADER.pack(0, 0)]
    for name, value in sorted(node.xattrs.items()):
        prefix, number = _prefix_of(name)
        rest = name[len(prefix) :]
        entry = XATTR_ENTRY.pack(len(rest), number, len(value)) + rest + value
        entries.append(entry + bytes(-len(entry) % 4))
    return b"".join(entries)


def _prefix_of(name: bytes) -> tuple[bytes, int]:
    return next((prefix, number) for prefix, number in XATTR_PREFIXES if name.startswith(prefix))


def _chunks(node: Node) -> tuple[int, list[int]]:
    """Bits of the chunk size beyond a block's, and where each chunk begins in the tar; -1 is a hole."""
    last = (node.size - 1) >> BLOCK_BITS
    if node.sparse is None:
        bits = min(last.bit_length(), _MOST_CHUNK_BITS)
        return bits, [node.block + (index << bits) for index in range((last >> bits) + 1)]
    # a chunk is in the tar, or a hole; so every piece must begin and end at a chunk's edge, save at the file's end
    edges = [offset for offset, _ in node.sparse]
    edges += [offset + length for offset, length in node.sparse if offset + length <= last]
    edges = [edge for edge in edges if edge]
    bits = min([(edge & -edge).bit_length() - 1 for edge in edges] or [last.bit_length()])
    bits = min(bits, _MOST_CHUNK_BITS)
    count = (last >> bits) + 1
    if count > _MOST_INDEXES:
        raise Inexpressible(f"it has a file with holes that would take {count} indexes")
    indexes = [-1] * count
    at = node.block
    for offset, length in node.sparse:
        for index in range(offset >> bits, (offset + length - 1 >> bits) + 1):
            indexes[index] = at + (index << bits) - offset
        at += length
    return bits, indexes


def _directory_blocks(node: Node, parent: Node) -> bytes:
    """A directory's blocks; the last one ends with its last name."""
    assert node.children is not None
    names = [(name, child.nid, _DIRENT_TYPES[stat.S_IFMT(child.mode)]) for name, child in node.children.items()]
    names += [(b".", node.nid, _DIRENT_TYPES[stat.S_IFDIR]), (b"..", parent.nid, _DIRENT_TYPES[stat.S_IFDIR])]
    names.sort()
    blocks = bytearray()
    first, room = 0, BLOCK
    for index, (name, _, _) in enumerate(names):
        wanted = DIRENT.size + len(name)
        if wanted > room:
            blocks += _directory_block(names[first:index])
            blocks += bytes(-len(blocks) % BLOCK)
            first, room = index, BLOCK
        room -= wanted
    blocks += _directory_block(names[first:])
    return bytes(blocks)


def _directory_block(names: list[tuple[bytes, int, int]]) -> bytes:
    at = DIRENT.size * len(names)
    entries = []
    for name, nid, kind in names:
        entries.append(DIRENT.pack(nid, at, kind, 0))
        at += len(name)
    return b"".join([*entries, *(name for name, _, _ in names)])
