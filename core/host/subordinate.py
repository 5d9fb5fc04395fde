"""Which ids of the host stand for the ids of a user namespace: /etc/subuid and /etc/subgid.

Source: subuid(5). Docker's `userns-remap` takes the ranges of the user dockremap; ours are looked
for first.
"""

from __future__ import annotations

from core.about import NAME

_USERS = (NAME, "dockremap")
_SIZE = 65536
_FALLBACK_FIRST = 0x6FFE0000
"""The last block of what systemd sets aside for containers (524288 to 1879048191): useradd hands out none of it."""


def default_map(subuid: str = "/etc/subuid", subgid: str = "/etc/subgid") -> tuple[int, int, int]:
    """First uid, first gid and how many: the range of the user wharf, else dockremap's, else one of our own."""
    for user in _USERS:
        uids, gids = _range_of(user, subuid), _range_of(user, subgid)
        if uids and gids:
            return uids[0], gids[0], min(uids[1], gids[1])
    return _FALLBACK_FIRST, _FALLBACK_FIRST, _SIZE


def _range_of(user: str, path: str) -> tuple[int, int] | None:
    """A user's first range that holds at least the ids up to nobody's; broken lines are passed over."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read(1 << 20).splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, numbers = line.strip().partition(":")
        first, _, count = numbers.partition(":")
        if name != user or not (first.isdecimal() and count.isdecimal()):
            continue
        if int(first) > 0 and int(count) >= _SIZE and int(first) + int(count) < 2**32 - 1:
            return int(first), int(count)
    return None
