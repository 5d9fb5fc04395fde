"""Beginning to write a file to disk while more of it still comes: sync_file_range(2)."""

from __future__ import annotations

import ctypes

# CDLL, not libc's PyDLL: this call may wait for the disk, and other threads should go on meanwhile
_LIBC = ctypes.CDLL(None, use_errno=True)
_SYNC_FILE_RANGE_WRITE = 2
STEP_BYTES = 16 * 1024 * 1024


def start_writeback(descriptor: int, offset: int, length: int) -> None:
    """Ask for a range to be written soon, so that a later fsync() finds little left. Promises nothing."""
    call = getattr(_LIBC, "sync_file_range", None)
    if call is not None:
        call(descriptor, ctypes.c_int64(offset), ctypes.c_int64(length), _SYNC_FILE_RANGE_WRITE)
