"""Blobs, layers and sweeping, on plain files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from core.errors import DigestMismatch, EngineError, NotFound
from core.linux.remove import remove_tree
from core.state.leases import Lease
from core.state.paths import Roots, open_roots
from core.storage import gc
from core.storage.blobs import BlobWriter, all_blobs, has_blob, ingest, open_blob, read_blob
from core.storage.layers import NewLayer, chain_id, chain_ids, has_layer, read_layer
from core.storage.usage import tree_bytes
from tests.archives import sha256


@pytest.fixture
def roots(tmp_path: Path) -> Roots:
    return open_roots(tmp_path / "data", tmp_path / "run")


def store(roots: Roots, data: bytes) -> str:
    with Lease(roots.leases, gc.INGEST) as lease:
        return ingest(roots, lease, [data]).digest


def publish_layer(roots: Roots, name: str, parent: str = "") -> str:
    with Lease(roots.leases, gc.INGEST) as lease:
        new = NewLayer(roots, parent)
        (new.make_diff() / name).write_text(name)
        return new.publish(lease, diff_id=sha256(name.encode()), blob=sha256(b"x"), size_bytes=5, entries=1).chain_id


def test_blobs_are_immutable_and_found_by_their_digest(roots: Roots) -> None:
    digest = store(roots, b"content")
    assert digest == sha256(b"content")
    assert read_blob(roots, digest, most=100) == b"content"
    assert stat.S_IMODE(roots.blob(digest).stat().st_mode) == 0o444
    assert [found for found, _ in all_blobs(roots)] == [digest]
    assert store(roots, b"content") == digest
    assert os.listdir(roots.ingest) == []


def test_what_is_not_published_or_not_expected_leaves_nothing(roots: Roots) -> None:
    with BlobWriter(roots) as writer:
        writer.write(b"half")
    with Lease(roots.leases, gc.INGEST) as lease, pytest.raises(DigestMismatch):
        ingest(roots, lease, [b"x"], expected=sha256(b"y"))
    assert list(all_blobs(roots)) == []
    assert os.listdir(roots.ingest) == []


def test_damaged_missing_and_large_content_is_told(roots: Roots) -> None:
    digest = store(roots, b"content")
    with pytest.raises(EngineError, match="at most 3"):
        read_blob(roots, digest, most=3)
    path = roots.blob(digest)
    path.unlink()
    path.write_bytes(b"c0ntent")
    with pytest.raises(DigestMismatch, match="is damaged"):
        read_blob(roots, digest, most=100)
    path.unlink()
    with pytest.raises(NotFound, match="missing from the store"):
        open_blob(roots, digest)
    assert not has_blob(roots, digest)


def test_chain_ids_are_the_specifications() -> None:
    one, two = sha256(b"1"), sha256(b"2")
    assert chain_id("", one) == one
    assert chain_ids([one, two]) == (one, sha256(f"{one} {two}".encode()))


def test_layers_appear_whole_and_the_first_one_stays(roots: Roots) -> None:
    chain = publish_layer(roots, "f")
    before = roots.layer(chain).stat().st_ino
    assert publish_layer(roots, "f") == chain
    assert roots.layer(chain).stat().st_ino == before
    assert read_layer(roots, chain).size_bytes == 5
    assert stat.S_IMODE(roots.layer(chain).stat().st_mode) == 0o700
    assert os.listdir(roots.ingest) == []
    assert not has_layer(roots, sha256(b"other"))


def test_a_layer_begins_with_the_owner_and_mode_of_the_one_below(roots: Roots) -> None:
    below = publish_layer(roots, "f")
    os.chmod(roots.layer(below) / "diff", 0o711)
    above = publish_layer(roots, "g", below)
    assert stat.S_IMODE((roots.layer(above) / "diff").stat().st_mode) == 0o711


def sweep(roots: Roots, *, layers: set[str] = frozenset(), blobs: set[str] = frozenset()) -> gc.Swept:  # type: ignore[assignment]
    return gc.sweep(roots, lambda _holds: gc.Reachable(blobs=set(blobs), layers=set(layers)))


def test_a_sweep_takes_what_is_not_reachable_and_counts_it(roots: Roots) -> None:
    kept, gone = store(roots, b"kept"), store(roots, b"gone!")
    layer, other = publish_layer(roots, "f"), publish_layer(roots, "g")
    swept = sweep(roots, layers={layer}, blobs={kept})
    assert swept == gc.Swept((other,), (gone,), 10)
    assert has_layer(roots, layer)
    assert has_blob(roots, kept)
    assert os.listdir(roots.trash) == []
    assert sweep(roots, layers={layer}, blobs={kept}) == gc.Swept((), (), 0)


def test_a_sweep_leaves_what_a_living_lease_holds_and_stops_where_nobody_knows(roots: Roots) -> None:
    blob, layer = store(roots, b"held"), publish_layer(roots, "f")
    with Lease(roots.leases, f"blob {blob}", f"layer {layer}"):
        assert sweep(roots) == gc.Swept((), (), 0)
    assert gc.sweep(roots, lambda _holds: None) == gc.Swept((), (), 0)
    assert len(sweep(roots).layers) == 1


def test_half_made_things_go_unless_somebody_is_at_work(roots: Roots) -> None:
    (roots.ingest / "half").mkdir()
    (roots.ingest / "half" / "f").touch()
    (roots.leases / "dead").write_text("ingest\n")
    assert gc.has_crashed_operations(roots)
    with Lease(roots.leases, gc.INGEST):
        gc.clean_up(roots)
        assert os.listdir(roots.ingest) == ["half"]
    gc.clean_up(roots)
    assert os.listdir(roots.ingest) == []
    assert os.listdir(roots.leases) == []
    assert not gc.has_crashed_operations(roots)


def test_a_layer_that_carries_its_mark_is_nobodys(roots: Roots) -> None:
    layer = publish_layer(roots, "f")
    (roots.layer(layer) / "INCOMPLETE").touch()
    assert sweep(roots, layers={layer}).layers == (layer,)


def test_usage_counts_a_file_with_two_names_once_and_follows_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "f").write_bytes(b"x" * 1000)
    os.link(tmp_path / "a" / "f", tmp_path / "g")
    (tmp_path / "out").symlink_to("/usr")
    (tmp_path / "h").write_bytes(b"y" * 5)
    assert tree_bytes(tmp_path) == 1005
    assert tree_bytes(tmp_path / "missing") == 0


def test_removing_goes_as_deep_as_trees_go_and_never_through_links(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    top = tmp_path / "top"
    top.mkdir()
    (top / "link").symlink_to(outside)
    here = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        deeper = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = deeper
    os.close(here)
    parent = os.open(tmp_path, os.O_RDONLY)
    remove_tree(parent, "top")
    remove_tree(parent, "top")  # gone is fine
    os.close(parent)
    assert sorted(os.listdir(tmp_path)) == ["outside"]
    assert (outside / "kept").exists()
