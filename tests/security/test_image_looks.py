"""Looking into hostile images (rows ST2, ST5, ST10): nothing in them leads out, takes over or has no end."""

from __future__ import annotations

import io
import sqlite3
import tarfile
from pathlib import Path

import pytest

from app.commands.io import Io
from app.commands.language import execute
from core.engine.engine import Engine
from core.errors import EngineError, InvalidInput, LimitExceeded, NotFound
from core.model.image import Package
from core.model.progress import CancelToken, silent
from tests.archives import config_of, docker_archive, hardlink, member, symlink, tar
from tests.stores import load, open_store

STATUS = "var/lib/dpkg/status"
TRAP = "\x1b]52;c;AAAA\x07\x1b[2J\u202e"


@pytest.fixture
def store(tmp_path: Path) -> Engine:
    return open_store(tmp_path)


def loaded(store: Engine, *members: tuple[tarfile.TarInfo, bytes], **config: object) -> str:
    layer = tar(members)
    load(store, docker_archive([layer], ["hostile:1"], config=config_of([layer], **config)))
    return "hostile:1"


def packages(store: Engine, image: str) -> list[Package]:
    return list(store.images.packages(image, silent, CancelToken()))


def test_ST2_a_database_that_is_a_link_is_looked_for_in_the_image_alone(store: Engine) -> None:
    outside = Path("/var/lib/dpkg/status")
    assert outside.exists(), "the host has what the link would lead to"
    image = loaded(store, symlink(STATUS, f"../../../../../../../..{outside}"), symlink("etc", "/proc/1/root/etc"))
    assert packages(store, image) == []


@pytest.mark.parametrize(
    "entry",
    [
        member(STATUS, type=tarfile.FIFOTYPE),
        member(STATUS, type=tarfile.CHRTYPE, devmajor=1, devminor=5),
        member(STATUS, type=tarfile.DIRTYPE, mode=0o755),
        symlink(STATUS, "status"),
    ],
    ids=["fifo", "endless device", "directory", "circle"],
)
def test_ST5_a_database_that_is_no_file_holds_nobody_up(store: Engine, entry: tuple[tarfile.TarInfo, bytes]) -> None:
    assert packages(store, loaded(store, entry)) == []


def test_ST5_a_database_of_half_a_gigabyte_of_nothing_is_refused(store: Engine) -> None:
    size = 512 * 1024 * 1024
    sparse = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": STATUS,
        "GNU.sparse.realsize": f"{size}",
    }
    image = loaded(store, member("x", b"1\n0\n1\n".ljust(512, b"\0") + b"y", pax_headers=sparse))
    with pytest.raises(LimitExceeded, match="has 536870912 bytes"):
        packages(store, image)


def test_ST5_documents_that_are_nested_without_end_are_no_packages(store: Engine) -> None:
    deep = b'{"name": "deep", "version": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    good = b'{"name": "good", "version": "1"}'
    image = loaded(store, member("node_modules/a/package.json", deep), member("node_modules/b/package.json", good))
    assert [package.name for package in packages(store, image)] == ["good"]


def test_ST5_a_question_without_an_end_in_a_database_is_ended(store: Engine, tmp_path: Path) -> None:
    path = tmp_path / "rpmdb.sqlite"
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE VIEW Packages AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n)"
            " SELECT x AS hnum, x AS blob FROM n"
        )
    with pytest.raises(EngineError, match="rpm database is damaged: interrupted"):
        packages(store, loaded(store, member("var/lib/rpm/rpmdb.sqlite", path.read_bytes())))


def test_ST2_a_layers_file_is_read_by_its_name_alone(store: Engine) -> None:
    image = loaded(store, member("here", b"inside"), hardlink("second", "here"), symlink("link", "/etc/passwd"))
    read = store.images.read_layer_file
    assert read(image, 0, "//./second") == b"inside"
    for path in ("/etc/passwd", "proc/self/environ"):
        with pytest.raises(NotFound):
            read(image, 0, path)
    with pytest.raises(InvalidInput, match="but a symlink"):
        read(image, 0, "link")
    with pytest.raises(EngineError, match="climbs out"):
        read(image, 0, "../etc/passwd")


@pytest.mark.parametrize("words", ["image layers", "image waste", "image diff hostile:0", "image sbom", "history"])
def test_ST10_names_out_of_images_can_not_drive_the_operators_terminal(store: Engine, words: str) -> None:
    load(store, docker_archive([tar([member(f"file{TRAP}", b"one")])], ["hostile:0"]))
    layers = [tar([member(f"file{TRAP}", b"two")]), tar([member(f"file{TRAP}", b"three")])]
    status = f"Package: {TRAP}\nVersion: {TRAP}\nArchitecture: all\n".encode()
    layers.append(tar([member(STATUS, status)]))
    history = [{"created_by": f"RUN {TRAP}", "comment": TRAP}, {"created_by": TRAP}, {"created_by": "x"}]
    load(store, docker_archive(layers, ["hostile:1"], config=config_of(layers, history=history)))
    out, err = io.BytesIO(), io.BytesIO()
    assert execute([*words.split(), "hostile:1"], store, Io(out, err, out_is_tty=True, err_is_tty=True)) == 0
    shown = (out.getvalue() + err.getvalue()).decode()
    assert "file" in shown or "RUN" in shown or "dpkg" in shown
    assert not [char for char in shown if char in "\x1b\x07\u202e"]


def test_ST10_documents_of_software_are_plain_ascii(store: Engine) -> None:
    image = loaded(store, member(STATUS, f"Package: {TRAP}\nVersion: 1\n".encode()))
    for kind in ("spdx-json", "cyclonedx-json"):
        out = io.BytesIO()
        assert execute(["image", "sbom", "--format", kind, image], store, Io(out, io.BytesIO())) == 0
        assert all(byte == 10 or 32 <= byte < 127 for byte in out.getvalue())
