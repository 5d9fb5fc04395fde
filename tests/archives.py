"""Making archives for tests: plain, hostile, and broken ones."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from typing import Any


def member(name: str, data: bytes = b"", **attributes: Any) -> tuple[tarfile.TarInfo, bytes]:
    """One member; attributes are TarInfo's (type, mode, uid, linkname, pax_headers …)."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o644
    for key, value in attributes.items():
        setattr(info, key, value)
    return info, data


def directory(name: str, mode: int = 0o755, **attributes: Any) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.DIRTYPE, mode=mode, **attributes)


def symlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.SYMTYPE, linkname=target)


def hardlink(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return member(name, type=tarfile.LNKTYPE, linkname=target)


def tar(members: Iterable[tuple[tarfile.TarInfo, bytes]], format: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of the members, in their order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format, errors="surrogateescape") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def raw_header(name: bytes, *, size: int = 0, kind: bytes = b"0", link: bytes = b"", mode: int = 0o644) -> bytes:
    """A header block with names that tarfile would refuse to write."""
    block = bytearray(512)
    block[0:100] = name[:100].ljust(100, b"\0")
    block[100:108] = b"%07o\0" % mode
    block[108:124] = b"0000000\0" * 2
    block[124:136] = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    block[136:148] = b"%011o\0" % 0
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[157:257] = link[:100].ljust(100, b"\0")
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def config_of(layers: Iterable[bytes], **fields: Any) -> bytes:
    """An image's config for plain layers."""
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2024-05-06T07:08:09.1Z",
        "config": {"Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]},
        **fields,
    }
    return json.dumps(document).encode()


def docker_archive(
    layers: list[bytes],
    tags: list[str] | None = None,
    *,
    config: bytes | None = None,
    pack: Callable[[bytes], bytes] = lambda layer: layer,
    manifest: bytes | None = None,
) -> bytes:
    """What docker wrote until 24: one directory a layer. `pack` compresses each layer."""
    config = config if config is not None else config_of(layers)
    image_id = hashlib.sha256(config).hexdigest()
    members = []
    paths = []
    for index, layer in enumerate(layers):
        path = f"{index:064x}/layer.tar"
        members += [directory(path[:64]), member(f"{path[:64]}/VERSION", b"1.0"), member(path, pack(layer))]
        paths.append(path)
    rows = [{"Config": f"{image_id}.json", "RepoTags": tags, "Layers": paths}]
    members.append(member(f"{image_id}.json", config))
    members.append(member("manifest.json", manifest if manifest is not None else json.dumps(rows).encode()))
    return tar(members)


def oci_archive(
    layers: list[bytes],
    *,
    config: bytes | None = None,
    annotations: dict[str, str] | None = None,
    media_type: str = "application/vnd.oci.image.layer.v1.tar",
    packed: list[bytes] | None = None,
    extra: dict[str, bytes] | None = None,
) -> bytes:
    """An OCI layout as a tar."""
    config = config if config is not None else config_of(layers)
    stored = packed if packed is not None else layers
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **described(config)},
            "layers": [{"mediaType": media_type, **described(blob)} for blob in stored],
        }
    ).encode()
    index = {
        "schemaVersion": 2,
        "manifests": [
            {
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                **described(manifest),
                "annotations": annotations or {},
            }
        ],
    }
    files = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps(index).encode(),
        **{f"blobs/sha256/{sha256(blob)[7:]}": blob for blob in (manifest, config, *stored)},
        **(extra or {}),
    }
    return tar([member(name, data) for name, data in files.items()])


def described(data: bytes) -> dict[str, Any]:
    """digest and size of a descriptor."""
    return {"digest": sha256(data), "size": len(data)}
