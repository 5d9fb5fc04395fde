"""mount(8)'s words as mount(2) takes them: flags for what every mount knows, the rest for the file system."""

from __future__ import annotations

_SET = {
    "ro": 0x1,  # MS_RDONLY
    "nosuid": 0x2,
    "nodev": 0x4,
    "noexec": 0x8,
    "sync": 0x10,  # MS_SYNCHRONOUS
    "mand": 0x40,  # MS_MANDLOCK
    "dirsync": 0x80,
    "noatime": 0x400,
    "nodiratime": 0x800,
    "relatime": 0x200000,
    "strictatime": 0x1000000,
}
_CLEARED = {
    "rw": 0x1,
    "suid": 0x2,
    "dev": 0x4,
    "exec": 0x8,
    "async": 0x10,
    "nomand": 0x40,
    "atime": 0x400,
    "diratime": 0x800,
    "norelatime": 0x200000,
    "nostrictatime": 0x1000000,
}


def read_mount_words(words: list[str] | tuple[str, ...]) -> tuple[int, str]:
    """Flags and data of mount(2); `defaults` says nothing."""
    flags, data = 0, []
    for word in words:
        if word in _SET:
            flags |= _SET[word]
        elif word in _CLEARED:
            flags &= ~_CLEARED[word]
        elif word != "defaults":
            data.append(word)
    return flags, ",".join(data)
