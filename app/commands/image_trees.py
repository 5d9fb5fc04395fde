"""`image unpack`, `image pack` and `image squash`: images out of directories, into directories, and laid together."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from app.commands.archive import CHANGE
from app.commands.definition import Command, Invocation
from app.commands.flags import flag
from app.commands.images import parse_name
from app.commands.progress import ProgressLine
from core.errors import InvalidInput, wrapped


def _unpack(invocation: Invocation) -> int:
    from app.commands.untar import unpack

    io, images = invocation.io, invocation.backend.images
    key, directory = invocation.arguments
    image = images.inspect(key)
    with _new_directory(directory) as part, ProgressLine(io) as progress:
        pieces = images.export(image.id, progress.report, io.cancel)
        lost = unpack(pieces, part, rename=None, keep_owner=True, keep_attributes=True)
    if lost:
        io.complain(f"WARNING: {lost} extended attributes were left out: the file system there can't hold them")
    return 0


@contextmanager
def _new_directory(directory: str) -> Iterator[str]:
    """A directory beside the one that is wanted, which takes its place once it is filled.

    Raises: InvalidInput: something is there already. EngineError: it can't be made.
    """
    directory = os.path.abspath(directory)
    try:
        if os.path.lexists(directory) and (not os.path.isdir(directory) or os.listdir(directory)):
            raise InvalidInput(f"{directory} is not an empty directory", hint="name one that is empty or not there yet")
        above, name = os.path.split(directory)
        if not os.path.isdir(above):
            raise InvalidInput(f"the directory {above} does not exist", hint="make it first")
        part = os.path.join(above, f".{name}.{os.getpid()}.part")
        os.mkdir(part, 0o700)
        try:
            yield part
            os.chmod(part, 0o755)
            os.rename(part, directory)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
    except OSError as error:
        raise wrapped(error, "write to", directory) from error


def _pack(invocation: Invocation) -> int:
    from app.commands.maketar import pack
    from app.commands.untar import Pieces

    io, flags = invocation.io, invocation.flags
    directory, reference = invocation.arguments
    parse_name(reference)
    if not os.path.isdir(directory):
        raise InvalidInput(f"{directory} is not a directory")
    pieces = pack(directory, "", keep_owner=True, keep_attributes=True)
    with ProgressLine(io) as progress:
        image = invocation.backend.images.import_tar(
            cast(BinaryIO, Pieces(pieces)),
            reference,
            progress.report,
            io.cancel,
            message=flags.text("message"),
            changes=flags.many("change"),
        )
    io.line(image)
    return 0


def _squash(invocation: Invocation) -> int:
    io = invocation.io
    key, reference = invocation.arguments
    parse_name(reference)
    with ProgressLine(io) as progress:
        image = invocation.backend.images.squash(
            key, reference, progress.report, io.cancel, base=invocation.flags.text("base")
        )
    io.line(image)
    return 0


UNPACK = Command(
    run=_unpack,
    summary="Unpack the file tree of an image into a new or empty directory",
    usage=("IMAGE DIRECTORY",),
    description="Unpack the file tree of an image into a new or empty directory, with owners, modes, links, devices\n"
    "and extended attributes as the image has them.",
    least=2,
    most=2,
    completes=("image", "file"),
)
PACK = Command(
    run=_pack,
    summary="Make an image of one layer from a directory",
    usage=("DIRECTORY NAME[:TAG]",),
    flags=(CHANGE, flag("-m, --message string", "Set commit message for the image", default="packed from a directory")),
    least=2,
    most=2,
    completes=("file", "word"),
)
SQUASH = Command(
    run=_squash,
    summary="Make an image with the same files in one layer",
    usage=("IMAGE NAME[:TAG]",),
    description="Make an image with the same files, configuration and history in one layer.\n\n"
    "With --base the layers of that image stay as they are, and those above them become one.",
    flags=(flag("--base string", "Image whose layers are kept"),),
    least=2,
    most=2,
    completes=("image", "word"),
)
