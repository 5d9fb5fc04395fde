"""Images in and out by the command line, where that goes beyond docker's or where docker has it too."""

from __future__ import annotations

import http.server
import io
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.commands.io import Io
from app.commands.language import execute
from core.engine.engine import Engine
from tests.archives import config_of, docker_archive, member, oci_archive, sha256, tar
from tests.stores import contents, load, open_store

ROOT = tar([member("page", b"hello")])


@pytest.fixture
def store(tmp_path: Path) -> Engine:
    return open_store(tmp_path)


def wharf(engine: Engine, *words: str) -> tuple[int, str, str]:
    out, err = io.BytesIO(), io.BytesIO()
    code = execute(words, engine, Io(out, err))
    return code, out.getvalue().decode(), err.getvalue().decode()


class _Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/root.tar")
            self.end_headers()
            return
        if self.path not in ("/root.tar", "/cut.tar"):
            self.send_error(404, "Not Found")
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(ROOT)))
        self.end_headers()
        self.wfile.write(ROOT if self.path == "/root.tar" else ROOT[:1024])

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_C3_a_root_is_imported_from_a_web_server(store: Engine, site: str) -> None:
    code, out, err = wharf(store, "import", "-c", "CMD cat /page", f"{site}/moved", "web:1")
    assert (code, err) == (0, "")
    image = store.images.inspect("web:1")
    assert (out.strip(), image.comment) == (image.id, f"Imported from {site}/moved")
    assert store.images.read_file("web:1", "/page") == b"hello"


@pytest.mark.parametrize(
    ("path", "words"),
    [("/nothing", "the server answers 404 Not Found"), ("/cut.tar", "the server stopped")],
)
def test_C3_what_a_web_server_does_not_send_whole_is_no_image(store: Engine, site: str, path: str, words: str) -> None:
    before = contents(store)
    code, _, err = wharf(store, "import", f"{site}{path}", "web:1")
    assert (code, words in err, f"{site}{path}" in err) == (1, True, True), err
    assert contents(store) == before


def test_C3_a_web_server_that_is_not_there_is_named(store: Engine) -> None:
    code, _, err = wharf(store, "import", "http://127.0.0.1:9/x.tar", "web:1")
    assert (code, "fetch http://127.0.0.1:9/x.tar" in err, "refused" in err) == (1, True, True), err


def test_C4_the_directory_of_an_oci_layout_is_loaded(store: Engine, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    name = {"org.opencontainers.image.ref.name": "laid/out:1"}
    with tarfile.open(fileobj=io.BytesIO(oci_archive([ROOT], annotations=name))) as archive:
        for entry in archive:
            path = layout / entry.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.extractfile(entry).read())  # type: ignore[union-attr]
    assert wharf(store, "load", "-i", str(layout)) == (0, "Loaded image: laid/out:1\n", "")
    assert store.images.read_file("laid/out:1", "/page") == b"hello"
    code, _, err = wharf(store, "load", "-i", str(tmp_path))
    assert (code, f"read {tmp_path}: is a directory" in err) == (1, True)


def test_this_machines_platform_may_be_named_and_no_other(store: Engine, tmp_path: Path) -> None:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    archive = tmp_path / "a.tar"
    archive.write_bytes(docker_archive([ROOT], ["a:1"]))
    assert wharf(store, "load", "--platform", f"linux/{machine}", "-i", str(archive))[0] == 0
    assert wharf(store, "save", "--platform", f"linux/{machine}", "-o", str(tmp_path / "b.tar"), "a:1")[0] == 0
    code, _, err = wharf(store, "load", "--platform", "linux/s390x", "-i", str(archive))
    assert (code, "an image has one platform" in err) == (125, True)


def test_C5_the_last_name_of_a_parent_goes_and_the_parent_stays(store: Engine) -> None:
    """As docker has it: no error, though it can't be deleted."""
    from core.images.store import ImageRecord, ImageStore
    from core.model.reference import parse_reference

    load(store, docker_archive([ROOT], ["parent:1"]))
    load(store, docker_archive([ROOT, tar([member("more")])], ["child:1"]))
    parent, child = store.images.inspect("parent:1").id, store.images.inspect("child:1").id
    images = ImageStore(store.roots)
    record = images.get(child)
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    images.put(ImageRecord(**{**fields, "parent_id": parent}), [parse_reference("child:1")])
    assert wharf(store, "rmi", "parent:1") == (0, "Untagged: parent:1\n", "")
    code, _, err = wharf(store, "rmi", parent)
    assert (code, "image has dependent child images" in err) == (1, True)
    code, out, _ = wharf(store, "rmi", "--no-prune", "child:1")
    assert (code, f"Deleted: {child}" in out, f"Deleted: {parent}" in out) == (0, True, False)
    code, out, _ = wharf(store, "rmi", parent)
    assert (code, f"Deleted: {parent}" in out) == (0, True)


def test_what_an_image_is_made_of_is_told_in_columns_lines_and_json(store: Engine) -> None:
    bottom, top = tar([member("page", b"hello"), member("gone", b"x" * 1000)]), tar([member("page", b"hello, world")])
    history = [{"created_by": "ADD page"}, {"created_by": "CMD", "empty_layer": True}, {"created_by": "RUN it"}]
    load(store, docker_archive([bottom], ["low:1"]))
    config = config_of([bottom, top], history=history)
    load(store, docker_archive([bottom, top], ["high:1"], config=config))
    code, out, _ = wharf(store, "image", "layers", "high:1")
    assert (code, [line.split()[:6] for line in out.splitlines()]) == (
        0,
        [
            ["LAYER", "DIFF", "ID", "CREATED", "BY", "SIZE"],
            ["0", sha256(bottom)[7:19], "ADD", "page", "1kB", "10.2kB"],
            ["1", sha256(top)[7:19], "RUN", "it", "12B", "10.2kB"],
        ],
    )
    assert "1 other" in out.splitlines()[1]
    assert wharf(store, "image", "layers", "-q", "--no-trunc", "low:1")[1] == f"{sha256(bottom)}\n"
    assert wharf(store, "image", "layers", "--format", "{{.Number}} {{.MediaType}}", "low:1")[1] == (
        "0 application/vnd.oci.image.layer.v1.tar\n"
    )
    code, out, _ = wharf(store, "image", "waste", "high:1")
    assert out.splitlines() == [
        "Efficiency: 98.8 %", "Wasted: 17B in 1 files", "", "COUNT     SIZE      PATH", "2         17B       /page",
    ]  # fmt: skip
    assert wharf(store, "image", "waste", "low:1")[1] == "Efficiency: 100.0 %\nWasted: 0B in 0 files\n"
    assert wharf(store, "image", "waste", "--format", "json", "high:1")[1] == (
        '{"Count":"2","Path":"/page","Size":"17B"}\n'
    )
    assert wharf(store, "image", "diff", "low:1", "high:1")[1].splitlines() == [
        "CHANGE    SIZE        PATH",
        "C         5B -> 12B   /page",
    ]
    assert wharf(store, "image", "diff", "--format", "{{.Kind}} {{.Path}}", "high:1", "low:1")[1] == "C /page\n"
    assert wharf(store, "image", "sbom", "low:1")[1] == "NAME      VERSION   TYPE      LICENSE\n"
    code, _, err = wharf(store, "image", "sbom", "--format", "xml", "low:1")
    assert (code, "table, spdx-json, cyclonedx-json" in err) == (125, True)
