"""Mounts that are more than a directory of the host's: volumes with options, images, and those that stay in touch
with the host's mounts.
"""

from __future__ import annotations

import os
from pathlib import Path

from core.errors import EngineError, InvalidSpec, NotFound
from core.host.mount_table import mount_of
from core.model.ids import short_id
from core.model.mounts import Mount
from core.model.sandbox import SandboxMount
from core.model.volume_options import VolumeDevice
from core.state.paths import Roots
from core.storage.overlay import image_lowers

_BY_NETWORK = ("nfs", "nfs4", "cifs")


def special_mount(roots: Roots, mount: Mount) -> SandboxMount:
    """Resolve it. Raises: NotFound, InvalidSpec, EngineError: with docker's words where it has some."""
    if mount.kind == "image":
        return SandboxMount(
            kind="image",
            source=mount.name,
            target=mount.target,
            read_only=True,
            subpath=mount.subpath,
            lowers=_image_lowers(roots, mount),
        )
    device = mount.device
    if device is None:
        _require_propagation(mount)
        return _bind(mount, mount.source, read_only=mount.read_only)
    if device.kind == "bind":
        if not os.path.lexists(device.device):
            flags = 0x1000 | (0x4000 if device.is_recursive else 0)
            raise EngineError(
                f"error while mounting volume '{mount.source}': failed to mount local volume: mount "
                f"{device.device}:{mount.source}, flags: {flags:#x}: no such file or directory",
                hint=f"make {device.device}, then start the container again",
            )
        return _bind(mount, device.device, read_only=mount.read_only or device.is_read_only)
    return SandboxMount(
        kind="device",
        source=mount.source,
        target=mount.target,
        read_only=mount.read_only,
        options=resolved_words(device),
        subpath=mount.subpath,
        device=device.device,
        fstype=device.fstype,
        shared=str(shared_directory(roots, mount.name)) if device.kind == "memory" else "",
    )


def shared_directory(roots: Roots, name: str) -> Path:
    """Where those who hold a volume in memory are noted."""
    return roots.run / "volumes" / name


def _bind(mount: Mount, source: str, *, read_only: bool) -> SandboxMount:
    recursive = mount.recursive
    if mount.device is not None and not mount.device.is_recursive:
        recursive = "disabled"
    return SandboxMount(
        kind="bind",
        source=source,
        target=mount.target,
        read_only=read_only,
        propagation=mount.propagation,
        recursive=recursive,
        subpath=mount.subpath,
    )


def _image_lowers(roots: Roots, mount: Mount) -> tuple[str, ...]:
    for chain_id in mount.layers:
        if not roots.layer(chain_id).is_dir():
            raise NotFound(
                f"layer {short_id(chain_id)} of image {mount.name} is missing",
                kind="layer",
                key=chain_id,
                hint=f"load the image {mount.name} again",
            )
    if not mount.layers:
        raise InvalidSpec(f"image {mount.name} holds no files: there is nothing to mount at {mount.target}")
    return tuple(str(path) for path in image_lowers(roots, mount.layers))


def resolved_words(device: VolumeDevice) -> tuple[str, ...]:
    """The mount options, with the address of a server in place of its name: the kernel asks no name service."""
    if device.fstype not in _BY_NETWORK:
        return device.words
    import socket

    words = []
    for word in device.words:
        key, _, value = word.partition("=")
        if key == "addr" and value:
            try:
                value = str(socket.getaddrinfo(value, None)[0][4][0])
            except OSError as error:
                raise EngineError(
                    f"error resolving passed in network volume address {value}: {error.strerror or error}",
                    hint="write an address that this host can resolve",
                ) from error
            word = f"addr={value}"
        words.append(word)
    return tuple(words)


def _require_propagation(mount: Mount) -> None:
    """A mount that is to pass on what is mounted must do so on the host already, as docker has it."""
    kind = mount.propagation.removeprefix("r")
    if kind not in ("shared", "slave"):
        return
    place = mount_of(Path(mount.source))
    if kind == "shared" and "shared" not in place.passes:
        raise InvalidSpec(
            f"path {mount.source} is mounted on {place.point} but it is not a shared mount",
            hint=f"mount --make-shared {place.point} makes it one",
        )
    if kind == "slave" and not place.passes & {"shared", "master"}:
        raise InvalidSpec(
            f"path {mount.source} is mounted on {place.point} but it is not a shared or slave mount",
            hint=f"mount --make-shared {place.point} makes it one",
        )
