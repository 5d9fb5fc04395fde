"""What lies in the images of the test scene: three layers, with waste, a changed file and hostile names."""

from __future__ import annotations

from core.model.image import ImageLayer, Package
from core.model.image_files import FileDifference, LayerContents, LayerEntry

MIB = 1024 * 1024


def _file(path: str, size_bytes: int) -> LayerEntry:
    return LayerEntry(path=path, kind="file", size_bytes=size_bytes, mode=0o644)


def _directory(path: str) -> LayerEntry:
    return LayerEntry(path=path, kind="dir", mode=0o755)


LAYERS = (
    ImageLayer(
        chain_id="1" * 64,
        diff_id="sha256:" + "a" * 64,
        blob="sha256:" + "1" * 64,
        blob_bytes=50 * MIB,
        media_type="application/vnd.oci.image.layer.v1.tar+gzip",
        size_bytes=110 * MIB,
        created_by="FROM debian:12",
        shared_by=2,
    ),
    ImageLayer(
        chain_id="2" * 64,
        diff_id="sha256:" + "b" * 64,
        blob="sha256:" + "2" * 64,
        blob_bytes=MIB,
        media_type="application/vnd.oci.image.layer.v1.tar+gzip",
        size_bytes=2 * MIB,
        created_by="COPY . /app # buildkit",
    ),
    ImageLayer(
        chain_id="3" * 64,
        diff_id="sha256:" + "c" * 64,
        blob="sha256:" + "3" * 64,
        blob_bytes=20 * MIB,
        media_type="application/vnd.oci.image.layer.v1.tar+gzip",
        size_bytes=38 * MIB,
        created_by="RUN /bin/sh -c pip install -r req.txt \x1b[2J[red]",
    ),
)

CONTENTS = (
    LayerContents(
        chain_id="1" * 64,
        diff_id=LAYERS[0].diff_id,
        entries=(
            _directory("etc"),
            _file("etc/app.conf", 20),
            _file("etc/old\u202ename", 50),
            _directory("usr"),
            _directory("usr/lib"),
            _file("usr/lib/libc.so", 100 * MIB),
            LayerEntry(path="usr/lib/libc.so.6", kind="symlink", link="libc.so"),
            _file("usr/名前.txt", 0),
        ),
    ),
    LayerContents(
        chain_id="2" * 64,
        diff_id=LAYERS[1].diff_id,
        entries=(
            _directory("app"),
            _file("app/main.py", 2000),
            _file("app/cache.bin", 4 * MIB),
            _file("etc/app.conf", 22),
        ),
    ),
    LayerContents(
        chain_id="3" * 64,
        diff_id=LAYERS[2].diff_id,
        entries=(
            _directory("root"),
            _file("root/pip.log", 9),
            LayerEntry(path="app/cache.bin", kind="whiteout"),
            LayerEntry(path="etc/old\u202ename", kind="whiteout"),
        ),
    ),
)

FILES: dict[tuple[int, str], bytes] = {
    (0, "etc/app.conf"): b"name = shop\nsize = 8\n",
    (1, "etc/app.conf"): b"name = shop\nsize = 32\n",
    (1, "app/main.py"): b"print('hello')\n",
    (1, "app/cache.bin"): bytes(range(256)),
    (2, "root/pip.log"): b"done\x1b[2J\n",
    (0, "etc/old\u202ename"): b"old\n",
}

UNCOMMITTED = (
    FileDifference(path="/app/pool.py", kind="A", size_after=18 * 1024),
    FileDifference(path="/etc/app.conf", kind="C", size_before=22, size_after=34),
    FileDifference(path="/etc/old\u202ename", kind="D", size_before=50),
)

PACKAGES = (
    Package(name="libc6", version="2.36-9", manager="dpkg", architecture="amd64", origin="glibc", path="/var/lib/dpkg"),
    Package(name="evil\x1b[2J", version="1", manager="npm", license="MIT", path="/app/node_modules/evil"),
    Package(name="requests", version="2.31.0", manager="pip", license="Apache-2.0", path="/usr/lib/python3"),
)

SHOWN = {
    "/" + path: FILES[layer, path] for layer, path in ((1, "etc/app.conf"), (1, "app/main.py"), (2, "root/pip.log"))
}
SHOWN |= {"/etc/old\u202ename": FILES[0, "etc/old\u202ename"]}
"""What the whole image shows."""

CHANGED = {"/app/pool.py": b"class Pool: ...\n", "/etc/app.conf": b"name = shop\nsize = 64\nfast = yes\n"}
"""What a container shows instead."""
