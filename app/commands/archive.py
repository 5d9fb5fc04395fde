"""Images out of files, hosts and containers, and into files: load, save, import, commit, starter."""

from __future__ import annotations

from app.commands.definition import Command, Invocation
from app.commands.flags import flag
from app.commands.images import PLATFORM, parse_name
from app.commands.infile import archive_file, fetched_file
from app.commands.outfile import output_file
from app.commands.progress import ProgressLine
from core.about import NAME, STARTER_IMAGE
from core.backend import CommitWish
from core.errors import InvalidInput

CHANGE = flag("-c, --change list", "Apply Dockerfile instruction to the created image")


def _load(invocation: Invocation) -> int:
    flags, io = invocation.flags, invocation.io
    path = flags.text("input")
    if not path and io.stdin_is_tty:
        raise InvalidInput("requested load from stdin, but stdin is a terminal", hint="use -i FILE or < FILE")
    with (
        archive_file(path, invocation) as source,
        ProgressLine(io, quiet=flags.truth("quiet")) as progress,
    ):
        loaded = invocation.backend.images.load(source, progress.report, io.cancel)
    for one in loaded:
        io.line(f"Loaded image: {one.reference}" if one.reference else f"Loaded image ID: {one.image_id}")
    return 0


def _save(invocation: Invocation) -> int:
    io, flags = invocation.io, invocation.flags
    for name in invocation.arguments:  # before a file is begun
        invocation.backend.images.inspect(name)
    with output_file(flags.text("output"), io) as sink, ProgressLine(io) as progress:
        invocation.backend.images.save(
            invocation.arguments, sink, progress.report, io.cancel, format=flags.text("format")
        )
    return 0


def _import(invocation: Invocation) -> int:
    path, *names = invocation.arguments
    reference = names[0] if names else ""
    if reference:
        parse_name(reference)
    with fetched_file(path, invocation) as source, ProgressLine(invocation.io) as progress:
        image = invocation.backend.images.import_tar(
            source,
            reference,
            progress.report,
            invocation.io.cancel,
            message=invocation.flags.text("message") or f"Imported from {path}",
            changes=invocation.flags.many("change"),
        )
    invocation.io.line(image)
    return 0


def _commit(invocation: Invocation) -> int:
    container, *names = invocation.arguments
    flags = invocation.flags
    if names:
        parse_name(names[0])
    wish = CommitWish(
        reference=names[0] if names else "",
        author=flags.text("author"),
        message=flags.text("message"),
        changes=flags.many("change"),
        pause=flags.truth("pause"),
        left_out=flags.many("leave-out"),
    )
    with ProgressLine(invocation.io) as progress:
        image = invocation.backend.images.commit(container, wish, progress.report, invocation.io.cancel)
    invocation.io.line(image)
    return 0


def _starter(invocation: Invocation) -> int:
    reference = invocation.arguments[0] if invocation.arguments else STARTER_IMAGE
    parse_name(reference)
    with ProgressLine(invocation.io) as progress:
        image = invocation.backend.images.starter(reference, progress.report, invocation.io.cancel)
    invocation.io.line(image)
    return 0


def _check_format(text: str) -> None:
    if text not in ("docker-archive", "oci-archive"):
        raise InvalidInput("the formats are docker-archive and oci-archive")


LOAD = Command(
    run=_load,
    summary="Load an image from a tar archive or STDIN",
    description="Load an image from a tar archive or STDIN: a docker-archive or an OCI layout, plain or packed by\n"
    "gzip, bzip2, xz or zstd. With -i it may also be the directory of an OCI layout.",
    flags=(
        flag("-i, --input string", "Read from tar archive file, instead of STDIN"),
        flag("-q, --quiet", "Suppress the load output"),
        PLATFORM,
    ),
)
SAVE = Command(
    run=_save,
    summary="Save one or more images to a tar archive (streamed to STDOUT by default)",
    usage=("IMAGE [IMAGE...]",),
    flags=(
        flag("--format string", "docker-archive or oci-archive", default="docker-archive", check=_check_format),
        flag("-o, --output string", "Write to a file, instead of STDOUT"),
        PLATFORM,
    ),
    least=1,
    most=None,
    completes=("image",),
)
IMPORT = Command(
    run=_import,
    summary="Import the contents from a tarball to create a filesystem image",
    usage=("file|URL|- [REPOSITORY[:TAG]]",),
    flags=(CHANGE, flag("-m, --message string", "Set commit message for imported image"), PLATFORM),
    least=1,
    most=2,
    completes=("file", "word"),
)
COMMIT = Command(
    run=_commit,
    summary="Create a new image from a container's changes",
    usage=("CONTAINER [REPOSITORY[:TAG]]",),
    flags=(
        flag("-a, --author string", 'Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")'),
        CHANGE,
        flag("--leave-out list", "Changed path that does not go into the image, with all below it"),
        flag("-m, --message string", "Commit message"),
        flag("-p, --pause", "Pause container during commit", default="true"),
    ),
    least=1,
    most=2,
    completes=("container", "image"),
)
STARTER = Command(
    run=_starter,
    summary=f"Make a usable image from this host's own tools ({STARTER_IMAGE})",
    usage=("[NAME[:TAG]]",),
    description=f"Make a usable image from this host's own tools, without any network.\n\n"
    f"It holds the host's static busybox where there is one, else its shell and common tools with\n"
    f"the libraries they load. It is called {STARTER_IMAGE} unless you name it. Try it with:\n"
    f"  {NAME} run -it {STARTER_IMAGE} sh",
    most=1,
    completes=("word",),
)
