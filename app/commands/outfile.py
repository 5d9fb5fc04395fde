"""Files that a command writes, complete under their names or not there at all, and those that it reads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from app.commands.definition import Invocation
from app.commands.io import Io
from core.errors import InvalidInput, NoSpace, wrapped


@contextmanager
def output_file(path: str, io: Io) -> Iterator[BinaryIO]:
    """Where a stream goes: the output, or a file that takes its name when it is complete.

    A file is written beside its place and renamed; a device or a pipe is written to directly.
    Raises: InvalidInput: the output is a terminal. EngineError: the file can't be written.
    """
    if not path:
        if io.out_is_tty or not io.owns_process:
            raise InvalidInput("cowardly refusing to save to a terminal", hint="use the -o flag or redirect the output")
        yield io.out
        io.out.flush()
        return
    try:
        directory = os.path.dirname(path) or "."
        if not os.path.isdir(directory):
            raise InvalidInput(f"invalid output path: directory {directory} does not exist")
        if os.path.isdir(path):
            raise InvalidInput(f"invalid output path: {path} is a directory")
        if os.path.exists(path) and not os.path.isfile(path):
            with open(path, "wb") as device:
                yield device
            return
        part = os.path.join(directory, f".{os.path.basename(path)}.{os.getpid()}.part")
        try:
            # 0600 as docker's: an image or a root may hold secrets
            number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(number, "wb") as file:
                yield file
                file.flush()
                os.fsync(number)
            os.rename(part, path)
        except BaseException:
            if os.path.lexists(part):
                os.unlink(part)
            raise
    except NoSpace as error:  # the engine knows a stream only; the person named a file
        raise NoSpace(f"write {path}: no space left on device", hint=error.hint) from error
    except OSError as error:
        raise wrapped(error, "write", path) from error


@contextmanager
def input_file(path: str, invocation: Invocation) -> Iterator[BinaryIO]:
    """A file to read from, or the input where the path is empty or `-`."""
    if path in ("", "-"):
        yield invocation.io.read_all()
        return
    try:
        file = open(path, "rb")  # noqa: SIM115 - closed below; only opening is to be explained
    except OSError as error:
        raise wrapped(error, "open", path) from None
    with file:
        yield file
