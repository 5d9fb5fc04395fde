"""What is done to images from the console, each in a worker: saved, loaded, deleted and brought back, unpacked."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from app.console.jobs import Job
from app.console.packed_file import PackedFile, packing_of
from core.about import NAME
from core.backend import Backend
from core.errors import EngineError, wrapped
from core.model.image import Loaded
from core.model.progress import CancelToken, Report, silent


def save_images(backend: Backend, keys: Sequence[str], path: Path, job: Job, *, format: str) -> None:
    """Write images to a file, compressed if its name says so; it appears whole or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            if packing := packing_of(path.name):
                packed = PackedFile(file, packing)
                backend.images.save(keys, cast("BinaryIO", packed), job.report, job.cancel, format=format)
                packed.finish()
            else:
                backend.images.save(keys, file, job.report, job.cancel, format=format)
        part.rename(path)
    except OSError as error:
        raise wrapped(error, "write", path) from error
    finally:
        part.unlink(missing_ok=True)


def load_images(backend: Backend, path: Path, job: Job) -> Sequence[Loaded]:
    """Read images from an archive, or from the directory of an OCI layout."""
    try:
        if path.is_dir():
            from app.commands.maketar import pack

            source = cast("BinaryIO", _Stream(pack(str(path), "", keep_owner=False)))
            return backend.images.load(source, job.report, job.cancel)
        with path.open("rb") as file:
            return backend.images.load(file, job.report, job.cancel)
    except OSError as error:
        raise wrapped(error, "read", path) from error


class _Stream(io.RawIOBase):
    """Pieces as a file that is read once."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while size < 0 or not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._rest += piece
        data, self._rest = (self._rest, b"") if size < 0 else (self._rest[:size], self._rest[size:])
        return data


class DeletedImages:
    """Images that were deleted, kept as an archive in a nameless file of this host until undone or forgotten."""

    def __init__(self, names: Sequence[str], spool: BinaryIO) -> None:
        self.names = list(names)
        self._spool = spool

    def restore(self, backend: Backend, report: Report = silent, cancel: CancelToken | None = None) -> None:
        """Bring them back under the names they had."""
        self._spool.seek(0)
        backend.images.load(self._spool, report, cancel or CancelToken())

    def close(self) -> None:
        """Forget them."""
        self._spool.close()


def delete_images(backend: Backend, keys: Sequence[str], job: Job, *, force: bool, keep: bool) -> DeletedImages | None:
    """Untag, and delete what nothing else needs. keep: set all of it aside first, so that it can be brought back.

    Raises: EngineError: one could not be removed; those before it are gone, and what was kept is lost with it.
    """
    if not keep:
        for key in keys:
            backend.images.remove(key, force=force)
        return None
    try:
        spool: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with what it keeps
    except OSError as error:
        raise wrapped(error, "keep aside") from error
    kept = False
    try:
        backend.images.save(keys, spool, job.report, job.cancel)
        for key in keys:
            backend.images.remove(key, force=force)
        kept = True
    except OSError as error:
        raise wrapped(error, "keep aside") from error
    finally:
        if not kept:
            spool.close()
    return DeletedImages(keys, spool)


def perform(backend: Backend, words: Sequence[str], job: Job | None = None) -> None:
    """Run a line of the command language for what it does; what it complains about is the error.

    Args: job: of long work: is told how far it has come, and may cancel it.
    Raises: EngineError: in the command's own words.
    """
    _execute(backend, words, None, job)


def write_output(backend: Backend, words: Sequence[str], path: Path, job: Job) -> None:
    """Run a line of the command language with its output in a file, which appears whole or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            _execute(backend, words, file, job)
        part.replace(path)
    except OSError as error:
        raise wrapped(error, "write", path) from error
    finally:
        part.unlink(missing_ok=True)


def _execute(backend: Backend, words: Sequence[str], out: BinaryIO | None, job: Job | None) -> None:
    from app.commands.io import Io
    from app.commands.language import execute

    said = io.BytesIO()
    streams = Io(out or said, said, cancel=job.cancel if job else None, report=job.report if job else None)
    if execute(words, backend, streams):
        if job is not None:
            job.cancel.check()
        lines = said.getvalue().decode("utf-8", "replace").split("\n\n")[0].splitlines()
        raise EngineError(": ".join(lines).removeprefix(f"{NAME}: ") or "it failed without a word")
