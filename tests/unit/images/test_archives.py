"""What archives of images hold, read and written without a store."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.errors import Cancelled, DigestMismatch, EngineError, Integrity, UnsafeArchive, Unsupported
from core.images import wire
from core.images.archive_read import Kept, Members, PlannedImage, plan_images
from core.images.archive_write import ArchiveWriter, SavedImage, make_manifest
from core.images.history import ancestry, history_entries
from core.images.store import ImageRecord, LayerRecord
from core.model.progress import CancelToken, Progress, silent
from core.model.reference import parse_reference
from tests.archives import config_of, described, docker_archive, member, oci_archive, sha256, symlink, tar

LAYER = tar([member("f", b"one")])
SECOND = tar([member("g", b"two")])


class Memory:
    """A spool in memory."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def keep(self, pieces: Iterator[bytes]) -> Kept:
        data = b"".join(pieces)
        self.blobs[sha256(data)] = data
        return Kept(sha256(data), len(data))

    def read(self, digest: str) -> bytes:
        return self.blobs[digest]


def plan(archive: bytes) -> list[PlannedImage]:
    members = Members(Memory())
    members.read_all(io.BytesIO(archive).read)
    return plan_images(members)


def test_C4_dockers_old_archives_are_understood() -> None:
    (image,) = plan(docker_archive([LAYER, SECOND], ["a/b:1", "c:2"]))
    assert [layer.diff_id for layer in image.layers] == [sha256(LAYER), sha256(SECOND)]
    assert [reference.familiar for reference in image.references] == ["a/b:1", "c:2"]


def test_C4_layers_that_are_links_to_other_layers_are_followed() -> None:
    config = config_of([LAYER, LAYER])
    rows = [{"Config": "c.json", "RepoTags": None, "Layers": ["1/layer.tar", "2/layer.tar"]}]
    archive = tar(
        [
            member("1/layer.tar", LAYER),
            symlink("2/layer.tar", "../1/layer.tar"),
            member("c.json", config),
            member("manifest.json", json.dumps(rows).encode()),
        ]
    )
    (image,) = plan(archive)
    assert len({layer.archive.digest for layer in image.layers}) == 1
    assert image.references == ()


def test_C4_oci_layouts_are_understood_with_every_way_of_naming() -> None:
    for named, expected in (
        ({"io.containerd.image.name": "docker.io/library/x:1", "org.opencontainers.image.ref.name": "1"}, ["x:1"]),
        ({"org.opencontainers.image.ref.name": "quay.io/a/b:2"}, ["quay.io/a/b:2"]),
        ({"org.opencontainers.image.ref.name": "latest"}, []),
        ({}, []),
    ):
        (image,) = plan(oci_archive([LAYER], annotations=named))
        assert [reference.familiar for reference in image.references] == expected
        assert image.manifest is not None


def test_C4_of_an_index_the_image_for_this_machine_is_taken() -> None:
    def one(architecture: str, layer: bytes) -> tuple[bytes, dict[str, bytes]]:
        config = config_of([layer], architecture=architecture)
        manifest = json.dumps({"schemaVersion": 2, "config": described(config), "layers": [described(layer)]}).encode()
        return manifest, {f"blobs/sha256/{sha256(blob)[7:]}": blob for blob in (config, manifest, layer)}

    mine, files = one(wire.architecture(), LAYER)
    theirs, _ = one("s390x", SECOND)
    index = json.dumps(
        {
            "manifests": [
                {**described(theirs), "platform": {"os": "linux", "architecture": "s390x"}},
                {**described(mine), "platform": {"os": "linux", "architecture": wire.architecture()}},
                {**described(b"x"), "platform": {"os": "unknown", "architecture": "unknown"}},
            ]
        }
    ).encode()
    files[f"blobs/sha256/{sha256(index)[7:]}"] = index
    files["index.json"] = json.dumps({"manifests": [described(index)]}).encode()
    (image,) = plan(tar([member(name, data) for name, data in files.items()]))
    assert image.layers[0].diff_id == sha256(LAYER)


def refused(archive: bytes, kind: type[EngineError] = Integrity) -> str:
    with pytest.raises(kind) as caught:
        plan(archive)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_archives_that_hold_no_image_say_so() -> None:
    assert "holds no image" in refused(tar([member("etc/passwd")]))
    assert "names no image" in refused(tar([member("manifest.json", b"[]")]))
    assert "names no image for this machine" in refused(tar([member("index.json", b'{"manifests":[]}')]))


def test_ST7_archives_that_contradict_themselves_are_refused() -> None:
    rows = json.dumps([{"Config": "nope.json", "Layers": []}]).encode()
    assert "lacks 'nope.json'" in refused(tar([member("manifest.json", rows)]))
    assert "layers length mismatch: expected 2, got 1" in refused(
        docker_archive([LAYER], config=config_of([LAYER, SECOND]))
    )
    assert "layers length mismatch" in refused(docker_archive([LAYER], config=config_of([])))
    refused(docker_archive([LAYER], ["Not/A:Reference:1"]))
    refused(docker_archive([LAYER], manifest=b'[{"Config":1}]'))
    refused(docker_archive([LAYER], manifest=b"{"))
    refused(docker_archive([LAYER], config=config_of([LAYER], os="windows")), Unsupported)


def test_ST6_blobs_that_are_not_their_digest_are_refused() -> None:
    archive = tar([member(f"blobs/sha256/{'0' * 64}", b"x"), member("index.json", b'{"manifests":[]}')])
    refused(archive, DigestMismatch)


def test_ST6_manifests_that_lie_about_sizes_are_refused() -> None:
    config = config_of([LAYER])
    manifest = json.dumps({"config": described(config), "layers": [{**described(LAYER), "size": 5}]}).encode()
    files = {f"blobs/sha256/{sha256(blob)[7:]}": blob for blob in (config, manifest, LAYER)}
    files["index.json"] = json.dumps({"manifests": [described(manifest)]}).encode()
    assert "its manifest says 5" in refused(tar([member(name, data) for name, data in files.items()]))


def test_ST7_indexes_in_circles_and_too_deep_ones_are_refused() -> None:
    inner = json.dumps({"manifests": []}).encode()
    files = {}
    for _ in range(8):
        files[f"blobs/sha256/{sha256(inner)[7:]}"] = inner
        inner = json.dumps({"manifests": [described(inner)]}).encode()
    files["index.json"] = inner
    assert "nested too deeply" in refused(tar([member(name, data) for name, data in files.items()]))


def test_ST1_members_that_climb_out_of_the_archive_are_refused() -> None:
    refused(tar([member("../manifest.json", b"[]")]), UnsafeArchive)
    refused(tar([symlink("a/b", "../../../etc/passwd")]), UnsafeArchive)


def test_links_in_circles_are_missing_files() -> None:
    rows = json.dumps([{"Config": "a", "Layers": []}]).encode()
    refused(tar([symlink("a", "b"), symlink("b", "a"), member("manifest.json", rows)]))


# writing


def record_of(layers: list[bytes], config: bytes) -> ImageRecord:
    return ImageRecord(
        id=sha256(config),
        config_bytes=len(config),
        layers=tuple(
            LayerRecord(
                diff_id=sha256(layer),
                chain_id=sha256(layer),
                blob=sha256(layer),
                blob_bytes=len(layer),
                media_type=wire.OCI_LAYER,
                size_bytes=3,
            )
            for layer in layers
        ),
    )


class Blobs:
    """Stored content as files."""

    def __init__(self, directory: Path, *blobs: bytes) -> None:
        self.directory = directory
        for blob in blobs:
            (directory / sha256(blob)[7:]).write_bytes(blob)

    def open(self, digest: str) -> int:
        return os.open(self.directory / digest[7:], os.O_RDONLY)


def write(
    sink: io.BufferedIOBase | io.BytesIO, blobs: Blobs, *images: SavedImage, format: str = "docker-archive"
) -> None:
    writer = ArchiveWriter(sink, blobs.open, silent, CancelToken(), "saving")  # type: ignore[arg-type]
    writer.write(images, format=format)


@pytest.mark.parametrize("format", ["docker-archive", "oci-archive"])
def test_C4_what_is_written_is_understood_again(tmp_path: Path, format: str) -> None:
    config = config_of([LAYER, SECOND])
    blobs = Blobs(tmp_path, config, LAYER, SECOND)
    names = (parse_reference("a:1"), parse_reference("reg:5000/b"))
    saved = SavedImage(record=record_of([LAYER, SECOND], config), references=names)
    sink = io.BytesIO()
    write(sink, blobs, saved, format=format)
    (image,) = plan(sink.getvalue())
    assert image.config.digest == sha256(config)
    assert [layer.archive.digest for layer in image.layers] == [sha256(LAYER), sha256(SECOND)]
    assert image.references == names
    with tarfile.open(fileobj=io.BytesIO(sink.getvalue())) as archive:
        members = archive.getnames()
        assert {info.mtime for info in archive.getmembers()} == {0}
    assert ("manifest.json" in members) is (format == "docker-archive")
    assert {"oci-layout", "index.json"} <= set(members)


def test_C4_layers_shared_by_images_are_written_once(tmp_path: Path) -> None:
    one, two = config_of([LAYER]), config_of([LAYER, SECOND])
    sink = io.BytesIO()
    images = [
        SavedImage(record=record_of([LAYER], one), references=()),
        SavedImage(record=record_of([LAYER, SECOND], two), references=()),
    ]
    write(sink, Blobs(tmp_path, one, two, LAYER, SECOND), *images)
    with tarfile.open(fileobj=io.BytesIO(sink.getvalue())) as archive:
        names = archive.getnames()
    assert len(names) == len(set(names))
    assert len(plan(sink.getvalue())) == 2


def test_manifests_are_sent_as_they_came(tmp_path: Path) -> None:
    config = config_of([LAYER])
    raw = (
        b'{ "layers":[ '
        + json.dumps(described(LAYER)).encode()
        + b'],"config":'
        + json.dumps(described(config)).encode()
        + b" }"
    )
    saved = SavedImage(record=record_of([LAYER], config), references=(), manifest=raw)
    sink = io.BytesIO()
    write(sink, Blobs(tmp_path, config, LAYER), saved)
    with tarfile.open(fileobj=io.BytesIO(sink.getvalue())) as archive:
        stored = archive.extractfile(f"blobs/sha256/{sha256(raw)[7:]}")
        assert stored is not None
        assert stored.read() == raw


def test_a_made_manifest_is_the_same_every_time() -> None:
    record = record_of([LAYER], config_of([LAYER]))
    assert make_manifest(record) == make_manifest(record)


@pytest.mark.parametrize("damage", [b"", LAYER + b"x", b"y" * len(LAYER)])
def test_ST6_a_damaged_store_is_never_handed_on(tmp_path: Path, damage: bytes) -> None:
    config = config_of([LAYER])
    blobs = Blobs(tmp_path, config, LAYER)
    (tmp_path / sha256(LAYER)[7:]).write_bytes(damage)
    with pytest.raises(DigestMismatch):
        write(io.BytesIO(), blobs, SavedImage(record=record_of([LAYER], config), references=()))


def test_files_and_pipes_get_the_same_bytes_as_memory(tmp_path: Path) -> None:
    config = config_of([LAYER])
    blobs = Blobs(tmp_path, config, LAYER)
    saved = SavedImage(record=record_of([LAYER], config), references=())
    memory = io.BytesIO()
    write(memory, blobs, saved)
    with (tmp_path / "file").open("wb") as sink:
        sink.write(b"before")
        write(sink, blobs, saved)
        sink.write(b"after")
    assert (tmp_path / "file").read_bytes() == b"before" + memory.getvalue() + b"after"
    with (tmp_path / "appended").open("ab") as sink:
        write(sink, blobs, saved)
    assert (tmp_path / "appended").read_bytes() == memory.getvalue()
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as sink:
        write(sink, blobs, saved)
    with os.fdopen(read_end, "rb") as pipe:
        assert pipe.read() == memory.getvalue()


def test_saving_can_be_cancelled_and_reports_bytes(tmp_path: Path) -> None:
    config = config_of([LAYER])
    saved = SavedImage(record=record_of([LAYER], config), references=())
    reports: list[Progress] = []
    cancel = CancelToken()
    blobs = Blobs(tmp_path, config, LAYER)
    ArchiveWriter(io.BytesIO(), blobs.open, reports.append, cancel, "saving").write([saved], format="oci-archive")
    assert reports[-1].done_bytes == reports[-1].total_bytes == len(config) + len(LAYER)
    cancel.cancel()
    with pytest.raises(Cancelled):
        ArchiveWriter(io.BytesIO(), blobs.open, silent, cancel, "saving").write([saved], format="oci-archive")


# history


def test_B12_rows_take_sizes_of_layers_in_turn_and_names_of_ancestors() -> None:
    history = [
        {"created": "1970-01-01T00:00:01Z", "created_by": "base"},
        {"created_by": "ENV x", "empty_layer": True},
        {"created_by": "top", "comment": "c"},
    ]
    document = wire.parse_config(config_of([LAYER, SECOND], history=history), "c")
    rows = history_entries(document, [10, 20], [("sha256:top", ("t:1",)), ("sha256:mid", ())])
    assert [(row.created_by, row.size_bytes, row.image_id, row.tags) for row in rows] == [
        ("top", 20, "sha256:top", ("t:1",)),
        ("ENV x", 0, "sha256:mid", ()),
        ("base", 10, "", ()),
    ]


def test_B12_layers_without_history_are_rows_all_the_same() -> None:
    document = wire.parse_config(config_of([LAYER, SECOND]), "c")
    assert [row.size_bytes for row in history_entries(document, [1, 2], [])] == [2, 1]


def test_forged_parents_in_a_ring_end() -> None:
    parents = {"a": "b", "b": "c", "c": "a"}
    assert ancestry("a", lambda image: parents[image]) == ["a", "b", "c"]
