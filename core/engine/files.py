"""Files of containers and images, reached without their programs: changes, cp, export, browsing.

Each call is one short-lived worker that sees the container's root as its own. The caller holds the
container's lock for as long as the call (or the iterator it gives) lasts.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from core.backend import PathStat
from core.engine.tree import Tree
from core.errors import InvalidInput, NotFound, wrapped
from core.model.container import Change
from core.model.mounts import Mount
from core.model.progress import CancelToken, Progress, Report
from core.model.volume import FileEntry
from core.state.paths import Roots
from core.storage import overlay
from core.storage.usage import tree_bytes
from core.trees.launch import Worker, limits_argument
from core.trees.tarread import DEFAULT_LIMITS, Limits

_O_PLACE = os.O_PATH | os.O_CLOEXEC


def changes(roots: Roots, tree: Tree) -> Sequence[Change]:
    """What differs from the image, sorted by path. Its lock is not needed: only the upper directory is read."""
    with ExitStack() as held:
        upper = _opened(held, tree.directory / "upper", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        view = _lowers_view(overlay.overlay_lowers(roots, tree.layers))
        found: list[list[str]] = _ask("changes", {"view": view, "upper": upper}, [upper], tree.what)
    return tuple(Change(path=path, kind=kind) for kind, path in found)


def written_bytes(tree: Tree) -> int:
    """Bytes of the files a container has written itself."""
    return tree_bytes(tree.directory / "upper")


def layer_tar(roots: Roots, tree: Tree, cancel: CancelToken) -> Iterator[bytes]:
    """What differs from the image, as the tar of a new layer; frozen processes make it consistent."""
    below = overlay.image_lowers(roots, tree.layers)
    there = os.stat(below[0]) if below else None
    request = {
        "upper": str(tree.directory / "upper"),
        "root_attributes": [there.st_mode, there.st_uid, there.st_gid] if there else [stat.S_IFDIR | 0o755, 0, 0],
    }
    yield from _stream("pack-layer", request, (), tree.what, cancel)


def export(roots: Roots, tree: Tree, report: Report, cancel: CancelToken) -> Iterator[bytes]:
    """The whole root as one tar, without what is mounted on it."""
    done = 0
    with _view(roots, tree, writable=False) as (view, descriptors):
        for piece in _stream("export", {"view": view}, descriptors, tree.what, cancel):
            done += len(piece)
            report(Progress(what=f"exporting {tree.what}", done_bytes=done))
            yield piece


def stat_path(roots: Roots, tree: Tree, path: str) -> PathStat:
    """What lies at a path; a link is not followed. Raises: NotFound."""
    with _view(roots, tree, writable=False) as (view, descriptors):
        found = _ask("stat", {"view": view, "path": path}, descriptors, tree.what)
    return PathStat(
        name=found["name"],
        size_bytes=found["size"],
        mode=found["mode"],
        mtime_ns=found["mtime"],
        link=found["link"],
    )


def copy_out(roots: Roots, tree: Tree, path: str, cancel: CancelToken) -> Iterator[bytes]:
    """A tar of a file or tree; its top entry is the path's last name. Raises: NotFound, with the first piece."""
    with _view(roots, tree, writable=False) as (view, descriptors):
        yield from _stream("copy-out", {"view": view, "path": path}, descriptors, tree.what, cancel)


def copy_in(
    roots: Roots, tree: Tree, path: str, tar: Iterable[bytes], *, archive: bool, limits: Limits = DEFAULT_LIMITS
) -> None:
    """Unpack a plain tar into an existing directory; `archive` keeps uid and gid, else root gets all."""
    with _view(roots, tree, writable=True) as (view, descriptors):
        request = {
            "view": view,
            "path": path,
            "owners": archive,
            "limits": limits_argument(limits),
            "input": "pipe",
        }
        with Worker("copy-in", request, descriptors=descriptors, stdin="pipe") as worker:
            for piece in tar:
                if not worker.feed(piece):
                    break
            worker.end_input()
            worker.finish(what=tree.what)


def list_dir(roots: Roots, tree: Tree, path: str) -> Sequence[FileEntry]:
    """A directory, names sorted."""
    with _view(roots, tree, writable=False) as (view, descriptors):
        return file_entries(_ask("list", {"view": view, "path": path}, descriptors, tree.what))


def read_file(roots: Roots, tree: Tree, path: str, offset: int, length: int) -> bytes:
    """Part of a regular file, at most 4 MiB a call."""
    with _view(roots, tree, writable=False) as (view, descriptors):
        request = {"view": view, "path": path, "offset": offset, "length": length}
        return base64.b64decode(_ask("read", request, descriptors, tree.what))


def list_image_dir(roots: Roots, layers: Sequence[str], path: str, what: str) -> Sequence[FileEntry]:
    """A directory of an image."""
    view = _lowers_view(overlay.image_lowers(roots, layers))
    return file_entries(_ask("list", {"view": view, "path": path}, (), what))


def read_image_file(roots: Roots, layers: Sequence[str], path: str, offset: int, length: int, what: str) -> bytes:
    """Part of a file of an image."""
    view = _lowers_view(overlay.image_lowers(roots, layers))
    request = {"view": view, "path": path, "offset": offset, "length": length}
    return base64.b64decode(_ask("read", request, (), what))


def copy_image_tree(roots: Roots, layers: Sequence[str], path: str, directory: Path, what: str) -> bool:
    """Copy an image's directory, its attributes and all below into an empty one; False if the image has none.

    Two workers, one packing and one unpacking, joined by a pipe.
    """
    if not layers:
        return False
    view = _lowers_view(overlay.image_lowers(roots, layers))
    if not _has_directory(view, path, what):
        return False
    with ExitStack() as held:
        target = _opened(held, directory)
        read_end, write_end = os.pipe()
        packer = Worker("copy-out", {"view": view, "path": f"{path}/."}, stdout=write_end)
        os.close(write_end)
        request = {
            "root": target,
            "limits": limits_argument(DEFAULT_LIMITS),
            "whiteouts": False,
            "strict_end": True,
            "input": "pipe",
        }
        with packer:
            unpacker = Worker("unpack", request, descriptors=(target,), stdin=read_end)
            os.close(read_end)
            with unpacker:
                unpacker.finish(what=what)
            packer.finish(what=what)
    return True


def _has_directory(view: dict[str, Any], path: str, what: str) -> bool:
    try:
        _ask("list", {"view": view, "path": path}, (), what)
    except (NotFound, InvalidInput):
        return False
    return True


def file_entries(rows: Iterable[dict[str, Any]]) -> tuple[FileEntry, ...]:
    """Rows of a worker's list."""
    return tuple(
        FileEntry(
            name=row["name"],
            kind=row["kind"],
            mode=row["mode"],
            uid=row["uid"],
            gid=row["gid"],
            size_bytes=row["size"],
            mtime_ns=row["mtime"],
            link=row["link"],
        )
        for row in rows
    )


@contextmanager
def _view(roots: Roots, tree: Tree, *, writable: bool) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """The container's root as a request carries it, with the descriptors it mentions."""
    with ExitStack() as held:
        if tree.pid is not None:
            namespace = _opened(held, Path(f"/proc/{tree.pid}/ns/mnt"), os.O_RDONLY | os.O_CLOEXEC)
            if not tree.remapped:
                yield {"namespace": namespace}, [namespace]
                return
            users = _opened(held, Path(f"/proc/{tree.pid}/ns/user"), os.O_RDONLY | os.O_CLOEXEC)
            yield {"namespace": namespace, "users": users}, [namespace, users]
            return
        overlay.ensure_init_layer(roots, tree.layers)
        lowers = overlay.overlay_lowers(roots, tree.layers)
        upper = tree.directory / "upper"
        if writable:
            view = {**_lowers_view(lowers), "upper": str(upper), "work": str(tree.directory / "work")}
        else:
            view = _lowers_view([upper, *lowers])
        view["binds"] = _binds(held, tree.mounts)
        yield view, [bind["source"] for bind in view["binds"]]


def _lowers_view(lowers: Sequence[Path]) -> dict[str, Any]:
    return {"lowers": [str(path) for path in lowers]}


def _binds(held: ExitStack, mounts: Sequence[Mount]) -> list[dict[str, Any]]:
    """Binds and volumes that exist, shallow targets first; a tmpfs of a stopped container is gone."""
    binds: list[dict[str, Any]] = []
    for mount in sorted(mounts, key=lambda mount: mount.target.count("/")):
        if mount.kind == "tmpfs" or not mount.source:
            continue
        try:
            source = os.open(mount.source, _O_PLACE)
        except OSError:
            continue  # gone from the host; start says so, cp shows what lies beneath
        held.callback(os.close, source)
        binds.append({"source": source, "target": mount.target, "read_only": mount.read_only})
    return binds


def _opened(held: ExitStack, path: Path, flags: int = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) -> int:
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise wrapped(error, "open", path) from error
    held.callback(os.close, descriptor)
    return descriptor


def _ask(operation: str, request: dict[str, Any], descriptors: Sequence[int], what: str) -> Any:
    with Worker(operation, request, descriptors=descriptors) as worker:
        return worker.finish(what=what)


def _stream(
    operation: str, request: dict[str, Any], descriptors: Sequence[int], what: str, cancel: CancelToken
) -> Iterator[bytes]:
    """A worker's stdout; its fault is raised where the stream ends, and nothing of it may be kept then."""
    with Worker(operation, request, descriptors=descriptors, stdout="pipe") as worker:
        yield from worker.chunks(cancel)
        worker.finish(what=what, cancel=cancel)
