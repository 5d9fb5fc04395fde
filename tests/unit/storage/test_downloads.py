"""Downloads: one at a time, gone on with, published by a second name, and never written to once they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.engine.engine import Engine
from core.errors import DigestMismatch
from core.state.leases import Lease
from core.storage.blobs import has_blob
from core.storage.downloads import arrived_bytes, claim, forget_downloads, let_go, path_of
from tests.archives import sha256
from tests.stores import open_store

DATA = b"0123456789" * 1000


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_store(tmp_path)


def fetch(engine: Engine, data: bytes, digest: str = "") -> None:
    with Lease(engine.roots.leases) as lease:
        download = claim(engine.roots, digest or sha256(data))
        assert download is not None
        with download:
            download.write(data[download.size :])
            download.publish(lease, len(data))


def test_one_at_a_time(engine: Engine) -> None:
    first = claim(engine.roots, sha256(DATA))
    assert first is not None
    assert claim(engine.roots, sha256(DATA)) is None
    with first:
        first.write(DATA[:100])
    assert arrived_bytes(engine.roots, sha256(DATA)) == 100
    second = claim(engine.roots, sha256(DATA))
    assert second is not None
    with second:
        assert second.size == 100


def test_what_was_there_counts_for_the_digest(engine: Engine) -> None:
    with claim(engine.roots, sha256(DATA)) as download:  # type: ignore[union-attr]
        download.write(DATA[:4321])
    fetch(engine, DATA)
    assert engine.roots.blob(sha256(DATA)).read_bytes() == DATA
    assert engine.roots.blob(sha256(DATA)).stat().st_mode & 0o777 == 0o444
    let_go(engine.roots, [sha256(DATA)])
    assert list(engine.roots.ingest.iterdir()) == []
    assert engine.roots.blob(sha256(DATA)).stat().st_nlink == 1


@pytest.mark.parametrize("size", [len(DATA) - 1, len(DATA) + 1])
def test_a_wrong_digest_or_size_is_not_published(engine: Engine, size: int) -> None:
    with Lease(engine.roots.leases) as lease, claim(engine.roots, sha256(DATA)) as download:  # type: ignore[union-attr]
        download.write(DATA)
        with pytest.raises(DigestMismatch):
            download.publish(lease, size)
        assert download.size == 0
        download.write(b"x" * len(DATA))
        with pytest.raises(DigestMismatch):
            download.publish(lease, len(DATA))
    assert not has_blob(engine.roots, sha256(DATA))


def test_a_published_file_is_never_written_to_again(engine: Engine) -> None:
    """Its bytes may be a blob's, or a layer's that is mounted just now."""
    fetch(engine, DATA)
    with claim(engine.roots, sha256(DATA)) as download:  # type: ignore[union-attr]
        assert download.is_shared
        download.restart()
        assert not download.is_shared
        assert claim(engine.roots, sha256(DATA)) is None  # it is still locked, in its new place
        download.write(b"something else")
    assert engine.roots.blob(sha256(DATA)).read_bytes() == DATA


def test_what_somebody_is_at_is_not_thrown_away(engine: Engine) -> None:
    with claim(engine.roots, sha256(DATA)) as download:  # type: ignore[union-attr]
        download.write(DATA[:50])
        assert forget_downloads(engine.roots) == 0
        let_go(engine.roots, [sha256(DATA)])
        assert path_of(engine.roots, sha256(DATA)).exists()
    assert forget_downloads(engine.roots) == 50
    assert forget_downloads(engine.roots) == 0


def test_a_link_in_its_place_is_not_followed(engine: Engine, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    os.symlink(victim, path_of(engine.roots, sha256(DATA)))
    fetch(engine, DATA)
    assert victim.read_text() == "precious"
