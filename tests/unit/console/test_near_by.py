"""What a glance at this host tells: archives near by, what is in them, whether there is a way out."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from app.console.archives import find_archives, names_in
from app.console.packed_file import PackedFile, packing_command, packing_of
from app.console.way_out import no_way_out
from core.errors import EngineError


def archive(path: Path, **documents: object) -> Path:
    with tarfile.open(path, "w:gz" if path.name.endswith("gz") else "w") as made:
        for name, document in documents.items():
            data = document if isinstance(document, bytes) else json.dumps(document).encode()
            entry = tarfile.TarInfo(f"{name}.json")
            entry.size = len(data)
            made.addfile(entry, io.BytesIO(data))
    return path


def layout(path: Path, index: object) -> Path:
    (path / "blobs" / "sha256").mkdir(parents=True)
    (path / "blobs" / "sha256" / "aa").write_bytes(b"12345")
    (path / "oci-layout").write_text("{}")
    (path / "index.json").write_text(json.dumps(index))
    return path


def test_archives_and_layouts_are_found_with_their_sizes(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"123")
    (tmp_path / "b.tar.zst").write_bytes(b"1")
    (tmp_path / "c.txt").write_bytes(b"no")
    (tmp_path / "d").mkdir()
    layout(tmp_path / "e", {})
    found = {
        one.path.name: (one.size_bytes, one.is_layout) for one in find_archives([tmp_path, tmp_path / "not there"])
    }
    assert found == {"a.tar": (3, False), "b.tar.zst": (1, False), "e": (5, True)}


def test_names_are_read_from_every_kind_of_archive(tmp_path: Path) -> None:
    manifest = [{"RepoTags": ["a:1", "a:2"]}, {"RepoTags": None}]
    assert names_in(archive(tmp_path / "a.tar", manifest=manifest)) == ["a:1", "a:2", "<no name>"]
    assert names_in(archive(tmp_path / "a.tar.gz", manifest=manifest)) == ["a:1", "a:2", "<no name>"]
    index = {"manifests": [{"annotations": {"org.opencontainers.image.ref.name": "b:1"}}, {}]}
    assert names_in(archive(tmp_path / "b.tar", index=index)) == ["b:1", "<no name>"]
    assert names_in(layout(tmp_path / "c", index)) == ["b:1", "<no name>"]


@pytest.mark.parametrize(
    "documents",
    [
        {"manifest": b"{not json"},
        {"manifest": b"[" * 100_000},
        {"other": {}},
        {"index": {"manifests": "x"}},
        {"manifest": {"RepoTags": 5}},
        {"manifest": [{"RepoTags": 5}]},
        {"manifest": [5]},
        {},
    ],
)
def test_a_broken_archive_is_a_sentence(tmp_path: Path, documents: dict[str, object]) -> None:
    path = archive(tmp_path / "x.tar", **documents)
    with pytest.raises(EngineError, match=r"x\.tar"):
        names_in(path)


def test_what_is_no_archive_is_said(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(b"hello" * 1000)
    with pytest.raises(EngineError, match=r"x\.tar"):
        names_in(path)
    with pytest.raises(EngineError, match="gone"):
        names_in(tmp_path / "gone.tar")


@pytest.mark.parametrize("ending", ["gz", "bz2", "xz", "zst"])
def test_a_file_is_compressed_as_its_name_says(tmp_path: Path, ending: str) -> None:
    sink = io.BytesIO()
    packed = PackedFile(sink, packing_of(f"a.tar.{ending}"))
    packed.write(b"hello " * 1000)
    packed.write(b"end")
    packed.finish()
    path = tmp_path / f"x.{ending}"
    path.write_bytes(sink.getvalue())
    import subprocess

    plain = subprocess.run([packing_command(path.name), "-dc", path], capture_output=True, check=True).stdout
    assert plain == b"hello " * 1000 + b"end"
    with pytest.raises(OSError, match="fileno"):
        packed.fileno()
    assert packing_of("a.tar") == ""


def test_a_way_out_is_a_route_to_anywhere(tmp_path: Path) -> None:
    head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
    near = "eth0 0002A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n"
    (tmp_path / "near").write_text(head + near)
    (tmp_path / "out").write_text(head + near + "eth0 00000000 0102A8C0 0003 0 0 0 00000000 0 0 0\n")
    zeros = "0" * 32
    (tmp_path / "lo6").write_text(f"{zeros} 00 {zeros} 00 {zeros} ffffffff 00000001 00000000 00200200 lo\n")
    (tmp_path / "out6").write_text(f"{zeros} 00 {zeros} 00 fe80{zeros[4:]} 00000400 00000003 00000000 00000003 eth0\n")
    assert no_way_out(tmp_path / "out", tmp_path / "lo6") == ""
    assert no_way_out(tmp_path / "near", tmp_path / "out6") == ""
    assert "no route" in no_way_out(tmp_path / "near", tmp_path / "lo6")
    assert no_way_out(tmp_path / "missing", tmp_path / "lo6") == ""
