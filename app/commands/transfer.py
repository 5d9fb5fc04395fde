"""`pull` and `push`: images between here and a registry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO

from app.commands.definition import Command, Invocation
from app.commands.flags import flag
from app.commands.layer_lines import LayerLines
from app.keyring import open_keyring
from core.errors import InvalidInput
from core.model.reference import ImageRef, parse_reference
from core.model.registry import Keyring, NoCredentials, Pulled

_CONTENT_TRUST = flag("--disable-content-trust", "Skip image verification", default="true", hidden=True)
"""There is nothing to trust a signature of: docker's own notary is gone. Taken, as scripts say it."""


def keyring_of(invocation: Invocation) -> Keyring:
    """The person's keyring; where it can't be read that is said, and registries are asked without."""
    return open_keyring(invocation.io.complain) or NoCredentials()


def layer_lines(invocation: Invocation, *, on_errors: bool = False, quiet: bool = False) -> LayerLines:
    """Docker's progress on the output, or on the error output where the output is a container's."""
    io = invocation.io
    out: BinaryIO = io.err if on_errors else io.out
    on_terminal = (io.err_is_tty if on_errors else io.out_is_tty) and io.owns_process
    return LayerLines(out, on_terminal=on_terminal, columns=io.columns, quiet=quiet)


def pull_for_run(invocation: Invocation, image: str, *, quiet: bool) -> None:
    """Fetch what `run` or `create` needs, and tell of it on the error output, as docker does."""
    images, io = invocation.backend.images, invocation.io
    platform = invocation.flags.text("platform")
    with layer_lines(invocation, on_errors=True, quiet=quiet) as lines:
        pulled = images.pull(image, keyring_of(invocation), lines.report, io.cancel, platform=platform)
    if not quiet:
        io.complain(f"Status: {_status(parse_reference(image), pulled)}")


def _status(reference: ImageRef, pulled: Sequence[Pulled]) -> str:
    if any(one.is_new for one in pulled):
        return f"Downloaded newer image for {_named(reference).familiar}"
    return f"Image is up to date for {_named(reference).familiar}"


def _named(reference: ImageRef) -> ImageRef:
    """A tag beside a digest says nothing more, and docker leaves it out."""
    return ImageRef(reference.host, reference.path, "", reference.digest) if reference.digest else reference


def _pull(invocation: Invocation) -> int:
    io, flags = invocation.io, invocation.flags
    name, quiet, all_tags = invocation.arguments[0], flags.truth("quiet"), flags.truth("all-tags")
    reference = parse_reference(name, default_tag="")
    if all_tags and (reference.tag or reference.digest):
        raise InvalidInput("tag can't be used with --all-tags/-a")
    if not (all_tags or reference.tag or reference.digest):
        reference = parse_reference(name)
        if not quiet:
            io.line(f"Using default tag: {reference.tag}")
    with layer_lines(invocation, quiet=quiet) as lines:
        pulled = invocation.backend.images.pull(
            _named(reference).canonical,
            keyring_of(invocation),
            lines.report,
            io.cancel,
            platform=flags.text("platform"),
            all_tags=all_tags,
        )
    if not quiet:
        io.line(f"Status: {_status(reference, pulled)}")
    io.line(_named(reference).canonical)
    return 0


def _push(invocation: Invocation) -> int:
    io, flags = invocation.io, invocation.flags
    name, quiet, all_tags = invocation.arguments[0], flags.truth("quiet"), flags.truth("all-tags")
    reference = parse_reference(name, default_tag="")
    if reference.digest:
        raise InvalidInput("cannot push a digest reference", hint="give the image a tag and push that")
    if all_tags and reference.tag:
        raise InvalidInput("tag can't be used with --all-tags/-a")
    if not (all_tags or reference.tag):
        reference = parse_reference(name)
        if not quiet:
            io.line(f"Using default tag: {reference.tag}")
    if not quiet:
        io.line(f"The push refers to repository [{reference.host}/{reference.path}]")
    with layer_lines(invocation, quiet=quiet) as lines:
        invocation.backend.images.push(
            reference.canonical, keyring_of(invocation), lines.report, io.cancel, all_tags=all_tags
        )
    if quiet:
        io.line(reference.canonical)
    return 0


PULL = Command(
    run=_pull,
    summary="Download an image from a registry",
    usage=("NAME[:TAG|@DIGEST]",),
    flags=(
        flag("-a, --all-tags", "Download all tagged images in the repository"),
        _CONTENT_TRUST,
        flag("--platform string", "Set platform if server is multi-platform capable"),
        flag("-q, --quiet", "Suppress verbose output"),
    ),
    least=1,
    most=1,
    completes=("image",),
)
PUSH = Command(
    run=_push,
    summary="Upload an image to a registry",
    usage=("NAME[:TAG]",),
    flags=(
        flag("-a, --all-tags", "Push all tags of an image to the repository"),
        _CONTENT_TRUST,
        flag("-q, --quiet", "Suppress verbose output"),
    ),
    least=1,
    most=1,
    completes=("image",),
)
