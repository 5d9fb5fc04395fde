"""Bind mounts, volumes and tmpfs: what a person asked to see inside the container."""

from __future__ import annotations

import posixpath
from typing import Literal

import msgspec

from core.errors import InvalidInput
from core.model.ids import NAME_RULE, is_name
from core.model.limits import parse_bytes
from core.model.volume_options import VolumeDevice, read_volume_device

MountKind = Literal["bind", "volume", "tmpfs", "image"]


class MountSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One wished mount, before volumes have been looked up.

    `source` is a host path (bind), a volume's name or empty for an anonymous one (volume), an image's
    reference (image), or empty (tmpfs). `target` is an absolute, cleaned path inside the container.
    """

    kind: MountKind
    source: str = ""
    target: str
    read_only: bool = False
    create_source: bool = False
    """-v makes a missing host directory; --mount does not."""
    no_copy: bool = False
    propagation: str = ""
    options: tuple[str, ...] = ()
    """tmpfs only: size=…, mode=…, noexec, …"""
    recursive: str = ""
    """How mounts below a bind's source are taken along: disabled, writable, readonly; empty is all of them."""
    labels: dict[str, str] = {}
    """Of a volume that does not exist yet."""
    volume_options: dict[str, str] = {}
    """Of a volume that does not exist yet."""
    subpath: str = ""
    """A file or directory inside the volume or image, relative to its top; empty is all of it."""
    given_by: str = "-v"
    """The flag that asked for it: -v, --mount, --tmpfs, --volumes-from, or `image` for the image's own volumes."""


class Mount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A mount of a created container: `source` is the host directory or file that is shown."""

    kind: MountKind
    name: str = ""
    """The volume's name, empty for the others."""
    source: str = ""
    target: str
    read_only: bool = False
    propagation: str = ""
    options: tuple[str, ...] = ()
    anonymous: bool = False
    no_copy: bool = False
    create_source: bool = False
    recursive: str = ""
    subpath: str = ""
    device: VolumeDevice | None = None
    """Of a volume with options: what is mounted instead of `source`."""
    layers: tuple[str, ...] = ()
    """Of an image: its layers' chain ids, the lowest first. `name` is its reference, `source` its id."""


_PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_NO_EFFECT = ("rw", "z", "Z", "cached", "delegated", "consistent")
"""Modes that change nothing here: read-write is the default, there is no SELinux relabelling."""

_TMPFS_FLAGS = frozenset(
    "rw ro exec noexec suid nosuid dev nodev sync async dirsync atime noatime diratime nodiratime "
    "relatime norelatime strictatime nostrictatime".split()
)
_TMPFS_VALUES = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol")


def clean_target(text: str) -> str:
    """An absolute path inside a container, `.` and `..` and doubled slashes taken out.

    Raises: InvalidInput: relative, empty, or the root itself.
    """
    if not text.startswith("/"):
        raise InvalidInput(
            f"invalid mount path: '{text}' mount path must be absolute",
            hint="write the path inside the container from its root on, for example /data",
        )
    if "\0" in text:
        raise InvalidInput("invalid mount path: it holds a NUL byte")
    target = "/" + posixpath.normpath(text).lstrip("/")
    if target == "/":
        raise InvalidInput(f"invalid mount path: '{text}': destination can't be '/'")
    return target


def clean_subpath(text: str) -> str:
    """A path inside a volume, relative to its top.

    Raises: InvalidInput: absolute, or leading out of the volume.
    """
    clean = posixpath.normpath(text) if text else "."
    if text.startswith("/") or "\0" in text or clean.split("/")[0] == "..":
        raise InvalidInput(
            f'invalid subpath "{text}": it must be a relative path within the volume',
            hint="write it from the volume's top on, for example app/data",
        )
    return "" if clean == "." else clean


def parse_volume(text: str, *, cwd: str = "/") -> MountSpec:
    """Read `-v`: `/inside`, `name:/inside[:mode]` or `/host:/inside[:mode]`.

    Args: cwd: what a host path that begins with a dot is relative to.
    Raises: InvalidInput: with docker's words where it has some.
    """
    parts = text.split(":")
    if not text or any(part == "" for part in parts):
        raise InvalidInput(f"invalid spec: {text}: empty section between colons")
    if len(parts) > 3:
        raise InvalidInput(
            f"invalid volume specification: '{text}'", hint="write it as source:target or source:target:ro"
        )
    try:
        if len(parts) == 1:
            return MountSpec(kind="volume", target=clean_target(parts[0]))
        source, target = parts[0], clean_target(parts[1])
        if source.startswith("."):
            source = posixpath.join(cwd, source)
        is_bind = source.startswith("/")
        read_only, no_copy, propagation = _parse_modes(parts[2] if len(parts) == 3 else "")
    except InvalidInput as error:
        raise InvalidInput(f"invalid volume specification: '{text}': {error}", hint=error.hint) from None
    if is_bind:
        return MountSpec(
            kind="bind",
            source=posixpath.normpath(source),
            target=target,
            read_only=read_only,
            create_source=True,
            propagation=propagation,
        )
    _check_volume_name(source)
    return MountSpec(kind="volume", source=source, target=target, read_only=read_only, no_copy=no_copy)


def _check_volume_name(name: str) -> None:
    if not is_name(name):
        raise InvalidInput(
            f'"{name}" includes invalid characters for a local volume name, only "{NAME_RULE}" are allowed',
            hint="if you meant a host directory, write its absolute path",
        )


def _parse_modes(text: str) -> tuple[bool, bool, str]:
    read_only, no_copy, propagation = False, False, ""
    for mode in text.split(",") if text else ():
        if mode == "ro":
            read_only = True
        elif mode == "nocopy":
            no_copy = True
        elif mode in _PROPAGATIONS:
            propagation = mode
        elif mode not in _NO_EFFECT:
            raise InvalidInput(f"invalid mode: {mode}", hint="write ro or rw")
    return read_only, no_copy, propagation


def parse_tmpfs(text: str) -> MountSpec:
    """Read `--tmpfs`: `/inside[:option,…]`.

    Raises: InvalidInput: the path is relative, or an option is not one of tmpfs(5).
    """
    target, _, options = text.partition(":")
    kept: list[str] = []
    for option in options.split(",") if options else ():
        name, equals, value = option.partition("=")
        if not ((equals and value and name in _TMPFS_VALUES) or (not equals and name in _TMPFS_FLAGS)):
            raise InvalidInput(f'invalid tmpfs option "{option}"', hint="see tmpfs(5): size=64m, mode=1777, …")
        kept.append(option)
    return MountSpec(
        kind="tmpfs", target=clean_target(target), options=tuple(kept), read_only="ro" in kept, given_by="--tmpfs"
    )


def parse_mount(text: str, *, cwd: str = "/") -> MountSpec:
    """Read `--mount`: `type=bind,source=/host,target=/inside,readonly` and the like.

    Raises: InvalidInput: an unknown type or key, or one that is missing.
    """
    fields = _MountFields(text, cwd)
    if not fields.target:
        raise InvalidInput("target is required")
    target, kind = clean_target(fields.target), fields.kind
    if kind not in ("bind", "volume", "tmpfs", "image"):
        raise InvalidInput(
            f'invalid mount config for type "{kind}": mount type unknown', hint="one of bind, volume, tmpfs, image"
        )
    for owner, key in fields.special:
        if owner != kind:
            raise InvalidInput(f"cannot mix '{owner}-*' options with mount type '{kind}'", hint=f"leave {key} out")
    source = fields.source
    if kind == "tmpfs":
        if source:
            raise InvalidInput(
                'invalid mount config for type "tmpfs": field Source must not be specified', hint="leave source out"
            )
        return MountSpec(
            kind="tmpfs",
            target=target,
            read_only=fields.read_only,
            options=tuple(fields.options),
            given_by="--mount",
        )
    if kind == "image":
        if not source:
            raise InvalidInput(
                'invalid mount config for type "image": field Source must not be empty', hint="write source=IMAGE"
            )
        return MountSpec(
            kind="image", source=source, target=target, read_only=True, subpath=fields.subpath, given_by="--mount"
        )
    if kind == "bind":
        if not source:
            raise InvalidInput(
                'invalid mount config for type "bind": field Source must not be empty', hint="write source=/a/path"
            )
        if not source.startswith("/"):
            raise InvalidInput(
                f"invalid mount path: '{source}' mount path must be absolute",
                hint="write source=/absolute/path, or type=volume for a volume",
            )
        if fields.recursive == "readonly" and not fields.read_only:
            raise InvalidInput("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction")
        return MountSpec(
            kind="bind",
            source=posixpath.normpath(source),
            target=target,
            read_only=fields.read_only,
            propagation=fields.propagation,
            recursive=fields.recursive,
            given_by="--mount",
        )
    if source:
        _check_volume_name(source)
    return MountSpec(
        kind="volume",
        source=source,
        target=target,
        read_only=fields.read_only,
        no_copy=fields.no_copy,
        labels=fields.labels,
        volume_options=fields.volume_options,
        subpath=fields.subpath,
        given_by="--mount",
    )


_RECURSIONS = {"enabled": "", "disabled": "disabled", "writable": "writable", "readonly": "readonly"}


class _MountFields:
    """What the fields of one `--mount` say, before it is known whether they belong together."""

    def __init__(self, text: str, cwd: str) -> None:
        self.kind, self.source, self.target, self.propagation, self.recursive = "volume", "", "", "", ""
        self.read_only = self.no_copy = False
        self.options: list[str] = []
        self.labels: dict[str, str] = {}
        self.volume_options: dict[str, str] = {}
        self.subpath = ""
        self.special: list[tuple[str, str]] = []
        """Keys that one type of mount alone has: (type, key)."""
        for field in text.split(","):
            key, equals, value = field.partition("=")
            key = key.strip().lower()
            for owner in ("bind", "volume", "tmpfs", "image"):
                if key.startswith(f"{owner}-"):
                    self.special.append((owner, key))
            if key in ("readonly", "ro", "volume-nocopy", "bind-nonrecursive"):
                self._switch(key, value if equals else "true")
            elif not equals:
                raise InvalidInput(f"invalid field '{field}' must be a key=value pair")
            else:
                self._put(field, key, value, cwd)

    def _switch(self, key: str, value: str) -> None:
        if value not in ("true", "false", "1", "0"):
            raise InvalidInput(f"invalid value for {key}: {value}", hint="write true or false")
        wanted = value in ("true", "1")
        if key == "volume-nocopy":
            self.no_copy = wanted
        elif key == "bind-nonrecursive":
            self.recursive = "disabled" if wanted else ""
        else:
            self.read_only = wanted

    def _put(self, field: str, key: str, value: str, cwd: str) -> None:
        match key:
            case "type":
                self.kind = value.lower()
            case "source" | "src":
                self.source = posixpath.join(cwd, value) if value.startswith(".") else value
            case "target" | "dst" | "destination":
                self.target = value
            case "bind-propagation":
                if value not in _PROPAGATIONS:
                    raise InvalidInput(f"invalid propagation: {value}", hint=f"one of {', '.join(_PROPAGATIONS)}")
                self.propagation = value
            case "bind-recursive":
                if value not in _RECURSIONS:
                    raise InvalidInput(
                        f'invalid value for bind-recursive: {value} (must be "enabled", "disabled", "writable", '
                        'or "readonly")'
                    )
                self.recursive = _RECURSIONS[value]
            case "volume-driver":
                if value != "local":
                    raise InvalidInput(
                        f'error looking up volume plugin {value}: plugin "{value}" not found',
                        hint="the only driver is local",
                    )
            case "volume-opt":
                name, _, content = value.partition("=")
                self.volume_options[name] = content
                read_volume_device(self.volume_options | {"type": "-", "device": "-"})
            case "volume-subpath" | "image-subpath":
                self.subpath = clean_subpath(value)
            case "volume-label":
                name, _, content = value.partition("=")
                self.labels[name] = content
            case "tmpfs-size":
                try:
                    self.options.append(f"size={parse_bytes(value)}")
                except InvalidInput:
                    raise InvalidInput(f"invalid value for tmpfs-size: {value}", hint="write for example 64m") from None
            case "tmpfs-mode":
                if not value or set(value) - set("01234567") or len(value) > 5:
                    raise InvalidInput(f"invalid value for tmpfs-mode: {value}", hint="write for example 1777")
                self.options.append(f"mode={value}")
            case "consistency":
                pass  # a wish about other systems' shared folders; docker ignores it on Linux too
            case _:
                raise InvalidInput(f"unexpected key '{key}' in '{field}'")
