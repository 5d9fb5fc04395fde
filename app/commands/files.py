"""`cp`, `diff` and `export`: a container's files."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterator
from typing import BinaryIO

from app.commands.definition import Command, Invocation
from app.commands.flags import flag
from app.commands.outfile import output_file
from app.commands.progress import ProgressLine
from app.format import human_size
from core.backend import Containers, PathStat
from core.errors import InvalidInput, NotFound, wrapped

_CHUNK = 1 << 20
_LINKS_FOLLOWED = 40


def _diff(invocation: Invocation) -> int:
    for change in invocation.backend.containers.changes(invocation.arguments[0]):
        invocation.io.line(f"{change.kind} {change.path}")
    return 0


def _export(invocation: Invocation) -> int:
    io, name = invocation.io, invocation.arguments[0]
    invocation.backend.containers.inspect(name)  # before a file is begun
    with output_file(invocation.flags.text("output"), io) as sink, ProgressLine(io) as progress:
        for piece in invocation.backend.containers.export(name, progress.report, io.cancel):
            sink.write(piece)
    return 0


def _split_place(text: str) -> tuple[str, str]:
    """Container and path; the container is empty for a path of this host."""
    name, colon, path = text.partition(":")
    if not colon or text.startswith(("/", ".")) or not name:
        return "", text
    return name, path


def _copy(invocation: Invocation) -> int:
    source_text, target_text = invocation.arguments
    source, source_path = _split_place(source_text)
    target, target_path = _split_place(target_text)
    if source and target:
        raise InvalidInput("copying between containers is not supported", hint="copy out to a file, then in")
    if not source and not target:
        raise InvalidInput("must specify at least one container source", hint="write it as CONTAINER:PATH")
    if source:
        return _copy_out(invocation, source, source_path, target_path)
    return _copy_in(invocation, source_path, target, target_path)


def _copy_out(invocation: Invocation, name: str, path: str, target: str) -> int:
    from app.commands.untar import unpack

    containers, io = invocation.backend.containers, invocation.io
    found = containers.stat_path(name, path)
    if invocation.flags.truth("follow-link"):
        path, found = _followed(containers, name, path, found)
    counted = _Counted(containers.copy_out(name, path, io.cancel))
    pieces = iter(counted)
    if target == "-":
        if io.out_is_tty or not io.owns_process:
            raise InvalidInput("refusing to write a tar to a terminal", hint="redirect the output")
        for piece in pieces:
            io.out.write(piece)
        io.out.flush()
        return 0
    is_dir = stat.S_ISDIR(found.mode)
    directory, rename = _local_target(target, source_is_dir=is_dir, name=found.name)
    if is_dir and posixpath.basename(path.rstrip("/")) in ("", ".", ".."):
        # `dir/.` and `/` are what is inside: their tar's top has no name to keep or to change
        directory, rename = _made_directory(directory, rename), None
    unpack(pieces, directory, rename=rename, keep_owner=invocation.flags.truth("archive"))
    _say_copied(invocation, counted, os.path.abspath(target))
    return 0


class _Counted:
    """Pieces of a tar on their way, and how many bytes they were."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.size_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.size_bytes += len(piece)
            yield piece


def _say_copied(invocation: Invocation, counted: _Counted, target: str) -> None:
    """Docker's last word; only where somebody looks, or by --quiet=false."""
    flags = invocation.flags
    if not flags.truth("quiet") if flags.given("quiet") else invocation.io.out_is_tty:
        invocation.io.complain(f"Successfully copied {human_size(counted.size_bytes)} to {target}")


def _made_directory(directory: str, name: str | None) -> str:
    if name is None:
        return directory
    path = os.path.join(directory, name)
    try:
        os.mkdir(path)
    except OSError as error:
        raise wrapped(error, "make", path) from None
    return path


def _local_target(target: str, *, source_is_dir: bool, name: str) -> tuple[str, str | None]:
    """The directory to unpack in, and the name that the top entry gets (None: its own).

    Raises: InvalidInput: docker's refusals: no such directory, a directory onto a file.
    """
    if os.path.isdir(target):
        return target, None
    directory, base = os.path.split(target.rstrip("/"))
    directory = directory or ("/" if target.startswith("/") else ".")
    if not os.path.isdir(directory):
        raise InvalidInput(f'invalid output path: directory "{directory}" does not exist')
    if os.path.lexists(target.rstrip("/")):
        if source_is_dir:
            raise InvalidInput(f"cannot copy directory {name} onto the file {target}")
        if target.endswith("/"):
            raise InvalidInput(f"{target} is not a directory")
    elif target.endswith("/") and not source_is_dir:
        raise InvalidInput(f"no such directory: {target}", hint="make it first, or leave out the last slash")
    return directory, base


def _followed(containers: Containers, name: str, path: str, found: PathStat) -> tuple[str, PathStat]:
    for _ in range(_LINKS_FOLLOWED):
        if not stat.S_ISLNK(found.mode):
            return path, found
        path = posixpath.join(posixpath.dirname(path.rstrip("/")) or "/", found.link)
        found = containers.stat_path(name, path)
    raise InvalidInput(f"too many symbolic links at {name}:{path}")


def _copy_in(invocation: Invocation, source: str, name: str, path: str) -> int:
    containers, io = invocation.backend.containers, invocation.io
    archive = invocation.flags.truth("archive")
    path = path or "/"
    try:
        target: PathStat | None = containers.stat_path(name, path)
        if target is not None and stat.S_ISLNK(target.mode):
            path, target = _followed(containers, name, path, target)
    except NotFound as error:
        if error.kind != "path":
            raise
        target = None
    if source == "-":
        if target is None or not stat.S_ISDIR(target.mode):
            raise InvalidInput(f'destination "{name}:{path}" must be a directory')
        containers.copy_in(name, path, _chunks(io.read_all()), archive=archive)
        return 0
    try:
        status = os.stat(source) if invocation.flags.truth("follow-link") else os.lstat(source)
    except OSError as error:
        raise wrapped(error, "read", source) from None
    if invocation.flags.truth("follow-link"):
        source_file = os.path.realpath(source) + ("/." if source.endswith("/.") else "")
    else:
        source_file = source
    is_dir = stat.S_ISDIR(status.st_mode)
    if source.endswith("/") and not is_dir:
        raise InvalidInput(f"{source} is not a directory")
    entry = os.path.basename(os.path.abspath(source))
    if target is None:
        if path.endswith("/") and not is_dir:
            raise InvalidInput(f"no such directory: {name}:{path}", hint="make it first with exec … mkdir")
        directory, entry = posixpath.split(path.rstrip("/"))
    elif stat.S_ISDIR(target.mode):
        directory = path
        if is_dir and (source.endswith("/.") or source == "."):
            entry = ""
    elif is_dir:
        raise InvalidInput(f"cannot copy directory {source} onto the file {name}:{path}")
    else:
        directory, entry = posixpath.split(path.rstrip("/"))
    from app.commands.maketar import pack

    counted = _Counted(pack(source_file, entry, keep_owner=archive))
    containers.copy_in(name, directory or "/", counted, archive=archive)
    _say_copied(invocation, counted, f"{name}:{path}")
    return 0


def _chunks(source: BinaryIO) -> Iterator[bytes]:
    while piece := source.read(_CHUNK):
        yield piece


CP = Command(
    run=_copy,
    summary="Copy files/folders between a container and the local filesystem",
    usage=("CONTAINER:SRC_PATH DEST_PATH|-", "SRC_PATH|- CONTAINER:DEST_PATH"),
    description="Copy files/folders between a container and the local filesystem\n\n"
    "With '-' as the source a tar archive is read from the input and unpacked into a directory of\n"
    "the container; with '-' as the destination a tar archive is written to the output.",
    flags=(
        flag("-a, --archive", "Archive mode (copy all uid/gid information)"),
        flag("-L, --follow-link", "Always follow symbol link in SRC_PATH"),
        flag("-q, --quiet", "Suppress progress output during copy"),
    ),
    least=2,
    most=2,
    completes=("file", "file"),
)
DIFF = Command(
    run=_diff,
    summary="Inspect changes to files or directories on a container's filesystem",
    usage=("CONTAINER",),
    least=1,
    most=1,
    completes=("container",),
)
EXPORT = Command(
    run=_export,
    summary="Export a container's filesystem as a tar archive",
    usage=("CONTAINER",),
    flags=(flag("-o, --output string", "Write to a file, instead of STDOUT"),),
    least=1,
    most=1,
    completes=("container",),
)
