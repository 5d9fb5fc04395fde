"""Software that a tree's package databases list: dpkg, apk, rpm, and what pip and npm leave behind.

Runs with the tree as its root. Databases are bytes of strangers: each is read up to a limit, and one
that can't be understood is a fault that names it, never passed over in silence; of the files that pip
and npm strew about, those that are broken are no packages.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress

from core.trees import rpmdb
from core.trees.faults import FAILED, LIMIT, TreeFault, corrupt, shown

Package = dict[str, str]
"""name, version, manager, architecture, license, origin, path."""

_MOST_BYTES = 256 * 1024 * 1024
_MOST_DIRECTORIES = 500_000
_KERNEL_MADE = ("/proc", "/sys", "/dev")
_RPM_PLACES = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")
_RPM_OTHERS = {"Packages": "Berkeley DB", "Packages.db": "rpm's own ndb"}


def find_packages() -> list[Package]:
    """All of the tree that is this process's root, sorted, each once.

    Raises: TreeFault: a database is damaged, too large, or of a kind that can't be read.
    """
    found: list[Package] = []
    for path in ("/var/lib/dpkg/status", *_files_in("/var/lib/dpkg/status.d")):
        found += _read(path, _dpkg)
    for path in ("/lib/apk/db/installed", "/usr/lib/apk/db/installed"):
        found += _read(path, _apk)
    for place in _RPM_PLACES:
        found += _rpm(place)
    for path, reader in _scattered():
        with suppress(TreeFault):  # one that its own tool can't read either is no package
            found += _read(path, reader)
    unique: dict[tuple[str, str, str, str], Package] = {}
    for package in sorted(found, key=lambda package: (not package["license"], package["path"])):
        key = package["manager"], package["name"], package["version"], package["architecture"]
        unique.setdefault(key, package)
    return [unique[key] for key in sorted(unique)]


def _package(manager: str, path: str, name: str, version: str, **more: str) -> Package:
    empty = {"architecture": "", "license": "", "origin": ""}
    return {"manager": manager, "path": path, "name": name, "version": version, **empty, **more}


def _read(path: str, reader: Callable[[str, bytes], Iterator[Package]]) -> list[Package]:
    data = _content(path)
    if data is None:
        return []
    try:
        return [package for package in reader(path, data) if package["name"]]
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        raise corrupt(f"{shown(path)} can't be read: {type(error).__name__}: {error}"[:300]) from None


_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG, errno.EACCES)
"""No file, or (EACCES) a device, which can't be opened where we are."""


def _content(path: str) -> bytes | None:
    """A regular file whole; None if there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise
    try:
        there = os.fstat(descriptor)
        if not stat.S_ISREG(there.st_mode):
            return None
        if there.st_size > _MOST_BYTES:
            raise TreeFault(LIMIT, f"{shown(path)} has {there.st_size} bytes, at most {_MOST_BYTES} are read")
        data = b""
        while len(data) < there.st_size and (piece := os.read(descriptor, there.st_size - len(data))):
            data += piece
        return data
    finally:
        os.close(descriptor)


def _files_in(directory: str) -> list[str]:
    try:
        return [f"{directory}/{name}" for name in sorted(os.listdir(directory)) if not name.endswith(".md5sums")]
    except OSError:
        return []


# dpkg and apk


def _stanzas(data: bytes) -> Iterator[dict[str, str]]:
    """Paragraphs of `Key: value` lines; lines that go on are left out."""
    for paragraph in data.decode("utf-8", "replace").split("\n\n"):
        fields = {}
        for line in paragraph.split("\n"):
            key, colon, value = line.partition(":")
            if colon and not line[:1].isspace():
                fields[key] = value.strip()
        if fields:
            yield fields


def _dpkg(path: str, data: bytes) -> Iterator[Package]:
    for fields in _stanzas(data):
        if fields.get("Status", "ok installed").endswith(" installed"):
            origin = fields.get("Source", "").partition(" ")[0]
            architecture = fields.get("Architecture", "")
            yield _package(
                "dpkg",
                path,
                fields.get("Package", ""),
                fields.get("Version", ""),
                architecture=architecture,
                origin=origin,
            )


def _apk(path: str, data: bytes) -> Iterator[Package]:
    for fields in _stanzas(data):
        yield _package(
            "apk",
            path,
            fields.get("P", ""),
            fields.get("V", ""),
            architecture=fields.get("A", ""),
            license=fields.get("L", ""),
            origin=fields.get("o", ""),
        )


# rpm


def _rpm(place: str) -> list[Package]:
    path = f"{place}/rpmdb.sqlite"
    database = _content(path)
    if database is None:
        for name, kind in _RPM_OTHERS.items():
            if _content(f"{place}/{name}"):
                raise TreeFault(
                    FAILED,
                    f"its rpm database {place}/{name} is {kind}, which can't be read here; "
                    "rpm 4.16 and later write SQLite",
                )
        return []
    log = _content(f"{path}-wal") or b""
    return [_package("rpm", path, **package) for package in rpmdb.installed(database, log)]


# what lies anywhere


def _scattered() -> Iterator[tuple[str, Callable[[str, bytes], Iterator[Package]]]]:
    """Files of pip and npm, wherever they lie; no link is followed."""
    waiting = ["/"]
    visited = 0
    while waiting:
        directory = waiting.pop()
        visited += 1
        if visited > _MOST_DIRECTORIES:
            raise TreeFault(LIMIT, f"more than {_MOST_DIRECTORIES} directories to look into")
        try:
            entries = os.scandir(directory)
        except OSError:
            continue  # deeper than a path can say
        inside_modules = _is_module(directory)
        with entries:
            for entry in entries:
                path = f"{directory if directory != '/' else ''}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    if path not in _KERNEL_MADE:
                        waiting.append(path)
                elif not entry.is_file(follow_symlinks=False):
                    continue
                elif _is_pips(directory, entry.name):
                    yield path, _pip
                elif entry.name == "package.json" and inside_modules:
                    yield path, _npm
                elif entry.name == "package-lock.json":
                    yield path, _npm_lock


def _is_pips(directory: str, name: str) -> bool:
    if name == "METADATA":
        return directory.endswith(".dist-info")
    return name.endswith(".egg-info") or (name == "PKG-INFO" and directory.endswith(".egg-info"))


def _is_module(directory: str) -> bool:
    """Whether it is node_modules/NAME or node_modules/@SCOPE/NAME."""
    above, _, _ = directory.rpartition("/")
    top, _, scope = above.rpartition("/")
    return above.endswith("/node_modules") or (scope.startswith("@") and top.endswith("/node_modules"))


def _pip(path: str, data: bytes) -> Iterator[Package]:
    head = data.partition(b"\n\n")[0]
    for fields in _stanzas(head):
        given = fields.get("License-Expression") or fields.get("License", "")
        yield _package("pip", path, fields.get("Name", ""), fields.get("Version", ""), license=given)


def _npm(path: str, data: bytes) -> Iterator[Package]:
    document = json.loads(data)
    if isinstance(document, dict) and document.get("name"):
        yield _package(
            "npm", path, _text(document["name"]), _text(document.get("version")), license=_npm_license(document)
        )


def _npm_lock(path: str, data: bytes) -> Iterator[Package]:
    """Both forms: `packages` by place (2 and 3), nested `dependencies` by name (1)."""
    document = json.loads(data)
    if not isinstance(document, dict):
        return
    packages = document.get("packages")
    if isinstance(packages, dict):
        for place, fields in packages.items():
            _, modules, name = place.rpartition("node_modules/")
            if modules and isinstance(fields, dict):
                name, version = _text(fields.get("name")) or name, _text(fields.get("version"))
                yield _package("npm", path, name, version, license=_npm_license(fields))
        return
    waiting = [document.get("dependencies")]
    while waiting:
        dependencies = waiting.pop()
        if not isinstance(dependencies, dict):
            continue
        for name, fields in dependencies.items():
            if isinstance(fields, dict):
                yield _package("npm", path, name, _text(fields.get("version")))
                waiting.append(fields.get("dependencies"))


def _npm_license(document: dict[str, object]) -> str:
    given = document.get("license")
    return _text(given.get("type")) if isinstance(given, dict) else _text(given)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
