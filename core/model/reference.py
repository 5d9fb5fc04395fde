"""Image references: `[host[:port]/]path[:tag][@digest]`, their defaults and familiar form.

Grammar: distribution/reference. `busybox` is `docker.io/library/busybox:latest`; people are
shown the short form, the disk keeps the whole one.
"""

from __future__ import annotations

import re

import msgspec

from core.errors import InvalidReference

DEFAULT_HOST = "docker.io"
_OFFICIAL = "library/"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST = re.compile(
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*"
    r"|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class ImageRef(msgspec.Struct, frozen=True, order=True):
    """A reference with every default filled in; `tag` is empty when only a digest was given."""

    host: str
    path: str
    tag: str
    digest: str = ""

    @property
    def familiar_name(self) -> str:
        """The repository as people write it: `busybox`, `wharf/starter`, `localhost:5000/x`."""
        if self.host != DEFAULT_HOST:
            return f"{self.host}/{self.path}"
        return self.path.removeprefix(_OFFICIAL)

    @property
    def familiar(self) -> str:
        """The whole reference as people write it, tag always shown."""
        return self.familiar_name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def outright(self) -> ImageRef:
        """What it means in the end: where there is a digest, a tag before it means nothing any more."""
        return msgspec.structs.replace(self, tag="") if self.digest else self

    @property
    def canonical(self) -> str:
        """The whole reference, nothing left out: what the disk keeps."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.path}{tag}" + (f"@{self.digest}" if self.digest else "")


def parse_new_name(text: str) -> ImageRef:
    """Read what an image is to be called from now on. Raises: InvalidReference: a digest can't be given away."""
    name = parse_reference(text)
    if name.digest:
        raise InvalidReference("refusing to create a tag with a digest reference", hint="leave out @ and what follows")
    return name


def parse_reference(text: str, *, default_tag: str = "latest") -> ImageRef:
    """Read a reference as docker does.

    Raises: InvalidReference: with docker's words, `invalid reference format`.
    """

    def refuse(why: str = "") -> InvalidReference:
        return InvalidReference(
            f"invalid reference format: {text!r}{why}", hint="write it as name[:tag], in lower case"
        )

    if len(text) > 4096:
        raise InvalidReference("invalid reference format: the reference is too long")
    rest, _, digest = text.partition("@")
    if "@" in text and not _DIGEST.fullmatch(digest):
        raise refuse()
    first, slash, remainder = rest.partition("/")
    if slash and (any(c in first for c in ".:[") or first == "localhost" or first != first.lower()):
        host, rest = first, remainder
        if not _HOST.fullmatch(host):
            raise refuse()
    else:
        host = DEFAULT_HOST
    path, colon, tag = rest.partition(":")
    if host in ("index.docker.io", "registry-1.docker.io"):
        host = DEFAULT_HOST
    if host == DEFAULT_HOST and "/" not in path:
        path = _OFFICIAL + path
    if colon and not _TAG.fullmatch(tag):
        raise refuse()
    if not _PATH.fullmatch(path):
        if path != path.lower():
            raise refuse(": repository name must be lowercase")
        raise refuse()
    if len(path) > 255:
        raise refuse(": repository name must not be more than 255 characters")
    if not tag and not digest:
        tag = default_tag
    return ImageRef(host=host, path=path, tag=tag, digest=digest)
