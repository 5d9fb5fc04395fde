"""Layers that are mounted from their tar: whether the tar and its index still are what they were."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from core.errors import Integrity, wrapped
from core.linux.erofs import TAR, TREE
from core.linux.files import sync_directory
from core.model.ids import short_id
from core.model.progress import CancelToken
from core.state.paths import Roots
from core.storage.blobs import CHUNK_BYTES
from core.storage.indexing import index_tar
from core.storage.layers import Index, Layer


def index_difference(layer: Layer, index: Index, directory: Path, cancel: CancelToken) -> str:
    """A phrase about what differs, or nothing: the tar must be what its name says, its index what comes of it.

    Raises: EngineError: they can't be read. Cancelled.
    """
    if digest_of_file(directory / TAR, cancel) != layer.diff_id:
        return f"{TAR} has other content"
    with open(directory / TAR, "rb") as tar, open(directory / TREE, "rb") as tree, _unnamed_file() as again:
        index_tar(tar.fileno(), again.fileno(), root=index.root, what=short_id(layer.chain_id), cancel=cancel)
        again.seek(0)
        while (piece := again.read(CHUNK_BYTES)) == tree.read(CHUNK_BYTES):
            if not piece:
                return ""
    return f"{TREE} is not what comes of its tar"


def _unnamed_file() -> BinaryIO:
    return open(os.memfd_create("index"), "r+b", buffering=0)


def put_blob_back(roots: Roots, digest: str, tar: Path, cancel: CancelToken) -> None:
    """Name a layer's tar as the blob that it came as. Raises: Integrity: it is not that any more."""
    found = digest_of_file(tar, cancel)
    if found != digest:
        raise Integrity(f"{tar} hashes to {found}", hint="load the image again, or remove it")
    target = roots.blob(digest)
    try:
        target.parent.mkdir(mode=0o700, exist_ok=True)
        if not target.exists():  # two images may stand on it, and both have missed it
            os.link(tar, target)
        sync_directory(target.parent)
    except OSError as error:
        raise wrapped(error, "write", target) from error


def digest_of_file(path: Path, cancel: CancelToken) -> str:
    """The digest of a file. Raises: EngineError: naming it. Cancelled."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while piece := file.read(CHUNK_BYTES):
                cancel.check()
                digest.update(piece)
    except OSError as error:
        raise wrapped(error, "read", path) from error
    return f"sha256:{digest.hexdigest()}"
