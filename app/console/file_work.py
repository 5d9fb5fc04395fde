"""What is done to files from the console: copied from one tree to another, deleted and brought back."""

from __future__ import annotations

import posixpath
import tempfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from app.console.file_sources import FileSource
from app.console.jobs import Job
from core.errors import LimitExceeded, wrapped
from core.model.display import safe_text
from core.model.progress import CancelToken, Progress

MOST_KEPT_BYTES = 512 * 1024 * 1024
"""What is deleted is kept aside for an undo up to this size."""
_PIECE_BYTES = 1 << 20


def copy_files(source: FileSource, paths: Sequence[str], target: FileSource, directory: str, job: Job) -> None:
    """Copy files and trees into a directory of another tree; what is of the same name there is replaced."""
    done = 0
    for path in paths:
        what = f"copying {safe_text(posixpath.basename(path) or path)}"

        def pieces(path: str = path, what: str = what) -> Iterator[bytes]:
            nonlocal done
            for piece in source.copy_out(path, job.cancel):
                job.cancel.check()
                done += len(piece)
                job.report(Progress(what=what, done_bytes=done))
                yield piece

        target.copy_in(directory, pieces(), archive=False)


class Deleted:
    """Files that were deleted, kept in a nameless file of this host until undone or forgotten."""

    def __init__(self, paths: Sequence[str], spool: BinaryIO | None) -> None:
        self.paths = list(paths)
        self._spool = spool

    @property
    def can_come_back(self) -> bool:
        """Whether they were kept."""
        return self._spool is not None

    def restore(self, source: FileSource) -> None:
        """Put them back where they were, owners included."""
        assert self._spool
        self._spool.seek(0)
        for path in self.paths:
            size = int.from_bytes(self._spool.read(8), "big")
            source.copy_in(posixpath.dirname(path) or "/", _pieces(self._spool, size), archive=True)

    def close(self) -> None:
        """Forget them."""
        if self._spool:
            self._spool.close()
            self._spool = None


def _pieces(spool: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        piece = spool.read(min(size, _PIECE_BYTES))
        size -= len(piece)
        yield piece


def delete_files(source: FileSource, paths: Sequence[str], *, for_good: bool) -> Deleted:
    """Delete files and trees; unless `for_good`, all of them are kept aside first.

    Raises: LimitExceeded: they are too large to be kept, and nothing was deleted. EngineError.
    """
    spool = None if for_good else _kept_aside(source, paths)
    try:
        for path in paths:
            source.remove_path(path)
    except BaseException:
        if spool:
            spool.close()
        raise
    return Deleted(paths, spool)


def _kept_aside(source: FileSource, paths: Sequence[str]) -> BinaryIO:
    spool: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with what it keeps
    try:
        for path in paths:
            start = spool.tell()
            spool.write(bytes(8))
            for piece in source.copy_out(path, CancelToken()):
                spool.write(piece)
                if spool.tell() > MOST_KEPT_BYTES:
                    raise LimitExceeded(
                        f"{safe_text(path)}: more than {MOST_KEPT_BYTES >> 20} MiB are not kept for an undo",
                        hint="delete it for good, or less at a time",
                    )
            end = spool.tell()
            spool.seek(start)
            spool.write((end - start - 8).to_bytes(8, "big"))
            spool.seek(end)
        return spool
    except OSError as error:
        spool.close()
        raise wrapped(error, "keep aside", path) from error
    except BaseException:
        spool.close()
        raise
