"""What lies under one path of a server: manifests, tags and blobs, as bytes and names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin

import msgspec

from core.errors import Integrity, Unreachable, Unsupported
from core.registry.answers import Interrupted
from core.registry.transport import Answer

if TYPE_CHECKING:
    from core.registry.client import Server

LARGEST_MANIFEST_BYTES = 4 * 1024 * 1024
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v1+json",
)
"""All that may be meant: the first schema's too, so that it can be refused by its name."""
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PAGE = 1000


class Document(msgspec.Struct, frozen=True):
    """A manifest or index as it came."""

    raw: bytes
    media_type: str
    """What the server calls it, without parameters; empty where it does not say."""
    digest: str
    """Of `raw`, computed here."""


class Repository:
    """What lies under one path of a server."""

    def __init__(self, server: Server, path: str) -> None:
        self.server = server
        self.path = path
        self.name = f"{server}/{path}"
        self._pull = (f"repository:{path}:pull",)
        self._push = (f"repository:{path}:pull,push",)

    def _url(self, rest: str) -> str:
        return f"{self.server.base}/v2/{self.path}/{rest}"

    # manifests

    def manifest(self, key: str, *, what: str = "") -> Document:
        """The manifest or index of a tag or digest.

        Raises: NotFound; Integrity: it is not what its digest says; LimitExceeded: 4 MiB and no more.
        """
        what = what or f"manifest for {self.name}{'@' if ':' in key else ':'}{key}"
        answer = self.server.ask(
            "GET",
            self._url(f"manifests/{key}"),
            self._pull,
            what=what,
            expect=(200,),
            headers={"Accept": ", ".join(MANIFEST_TYPES)},
        )
        media_type = answer.header("Content-Type").partition(";")[0].strip().lower()
        claimed = answer.header("Docker-Content-Digest")
        raw = answer.read(LARGEST_MANIFEST_BYTES, what)
        digest = _sha256(raw)
        if ":" in key and digest != key:
            raise Integrity(f"{what} is {digest}", hint="the registry is broken or hostile; nothing of it was kept")
        if _DIGEST.fullmatch(claimed) and digest != claimed:
            raise Integrity(
                f"{what} is {digest}, the registry says {claimed}", hint="the registry is broken; try again later"
            )
        return Document(raw, media_type, digest)

    def find_manifest(self, key: str) -> str | None:
        """The digest that a tag means, or that is there; None if it is not."""
        answer = self.server.ask(
            "HEAD",
            self._url(f"manifests/{key}"),
            self._pull,
            what=f"manifest for {self.name}:{key}",
            expect=(200, 404),
            headers={"Accept": ", ".join(MANIFEST_TYPES)},
        )
        answer.drain()
        digest = answer.header("Docker-Content-Digest")
        if answer.status == 404:
            return None
        return digest if _DIGEST.fullmatch(digest) else self.manifest(key).digest

    def put_manifest(self, key: str, raw: bytes, media_type: str) -> str:
        """Let a tag mean it, or keep it under its digest; its digest."""
        answer = self.server.ask(
            "PUT",
            self._url(f"manifests/{key}"),
            self._push,
            what=f"manifest for {self.name}:{key}",
            expect=(200, 201, 202),
            headers={"Content-Type": media_type},
            body=raw,
        )
        answer.drain()
        return _sha256(raw)

    def delete_manifest(self, digest: str) -> None:
        """Delete it and all its tags. Raises: Unsupported: the registry allows no deletion."""
        try:
            answer = self.server.ask(
                "DELETE",
                self._url(f"manifests/{digest}"),
                (f"repository:{self.path}:pull,push,delete",),
                what=f"manifest {self.name}@{digest}",
                expect=(200, 202),
            )
        except Unsupported:
            raise Unsupported(
                f"{self.server} does not allow manifests to be deleted",
                hint="a registry of docker's allows it with REGISTRY_STORAGE_DELETE_ENABLED=true in its environment",
            ) from None
        answer.drain()

    def tags(self) -> list[str]:
        """All tags, sorted."""
        path = f"/v2/{self.path}/tags/list?n={_PAGE}"
        return sorted(self.server.pages(path, "tags", f"repository {self.name}", self._pull))

    # blobs

    def open_blob(self, digest: str, *, offset: int = 0) -> tuple[Answer, int]:
        """A blob's bytes from an offset on, and where they really begin: 0 of a server that knows no ranges.

        Asks once: who transfers it knows when to ask again.
        """
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        answer = self.server.ask(
            "GET",
            self._url(f"blobs/{digest}"),
            self._pull,
            what=f"blob {digest} of {self.name}",
            expect=(200, 206),
            headers=headers,
            again=False,
        )
        if answer.status == 200:
            return answer, 0
        begin = re.match(r"bytes (\d{1,18})-", answer.header("Content-Range"))
        if begin is None or int(begin[1]) != offset:
            answer.close()
            raise Interrupted(f"blob {digest} of {self.name}: the server gave another part of it than was asked for")
        return answer, offset

    def read_blob(self, digest: str, *, most: int, what: str) -> bytes:
        """A small blob whole, its digest checked. Raises: Integrity, LimitExceeded."""
        data = self.server.session.persistently(lambda: self.open_blob(digest)[0].read(most, what))
        found = _sha256(data)
        if found != digest:
            raise Integrity(
                f"{what} of {self.name} is {found}, its manifest says {digest}",
                hint="the registry is broken or hostile; nothing of it was kept",
            )
        return data

    def blob_size(self, digest: str) -> int | None:
        """Bytes of a blob that is there; None if it is not."""
        answer = self.server.ask(
            "HEAD", self._url(f"blobs/{digest}"), self._pull, what=f"blob {digest}", expect=(200, 404)
        )
        answer.drain()
        return None if answer.status == 404 else answer.length or 0

    def begin_upload(self, *, digest: str = "", mounted_from: str = "") -> str | None:
        """Where to send a blob to; None if it was taken over from another repository of the server.

        Args: mounted_from: another repository's path, which may have `digest`.
        """
        scopes: tuple[str, ...] = self._push
        query = ""
        if mounted_from:
            scopes = (*self._push, f"repository:{mounted_from}:pull")
            query = f"?mount={digest}&from={quote(mounted_from, safe='')}"
        url = self._url(f"blobs/uploads/{query}")
        answer = self.server.ask(
            "POST",
            url,
            scopes,
            what=f"repository {self.name}",
            expect=(201, 202),
            headers={"Content-Length": "0"},
            body=b"",
        )
        answer.drain()
        return None if answer.status == 201 else self.location(answer, url)

    def location(self, answer: Answer, url: str) -> str:
        """Where an answer says that an upload goes on. Raises: Unreachable: it may not go there."""
        target = answer.header("Location")
        if not target:
            raise Unreachable(f"{answer.asked}: the registry does not say where to upload to")
        return self.server.session.transport.checked_target(url, urljoin(url, target))

    def upload(
        self, method: str, url: str, *, expect: Sequence[int], headers: Mapping[str, str], body: Iterable[bytes] | bytes
    ) -> Answer:
        """One request of an upload; asks once."""
        return self.server.ask(
            method,
            url,
            self._push,
            what=f"upload to {self.name}",
            expect=expect,
            headers=headers,
            body=body,
            again=False,
        )


def _sha256(data: bytes) -> str:
    import hashlib

    return f"sha256:{hashlib.sha256(data).hexdigest()}"
