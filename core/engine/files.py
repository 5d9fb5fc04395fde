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
from core.errors import Denied, InvalidInput, NotFound, wrapped
from core.model.container import Change
from core.model.mounts import Mount
from core.model.progress import CancelToken, Progress, Report
from core.model.volume import FileEntry
from core.state.paths import Roots
from core.storage import overlay
from core.storage.layers import root_of
from core.storage.usage import tree_bytes
from core.trees.launch import Worker, limits_argument
from core.trees.tarread import DEFAULT_LIMITS, Limits

_FED_BYTES = 256 * 1024
_O_PLACE = os.O_PATH | os.O_CLOEXEC


def changes(roots: Roots, tree: Tree) -> Sequence[Change]:
    """What differs from the image, sorted by path. Its lock is not needed: only the upper directory is read."""
    with ExitStack() as held:
        upper = opened(held, tree.directory / "upper", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        overlay.ensure_init_layer(roots, tree.layers)  # there is none before the first start
        view = _lowers_view(overlay.overlay_lowers(roots, tree.layers))
        found: list[list[str]] = ask("changes", {"view": view, "upper": upper}, [upper], tree.what)
    return tuple(Change(path=path, kind=kind) for kind, path in found)


def written_bytes(tree: Tree) -> int:
    """Bytes of the files a container has written itself."""
    return tree_bytes(tree.directory / "upper")


def layer_tar(roots: Roots, tree: Tree, cancel: CancelToken, left_out: Sequence[str] = ()) -> Iterator[bytes]:
    """What differs from the image, as the tar of a new layer; frozen processes make it consistent.

    Args: left_out: paths relative to the root that are passed over with all below them.
    """
    there = root_of(roots, tree.layers[-1]) if tree.layers else None
    request = {
        "upper": str(tree.directory / "upper"),
        "left_out": list(left_out),
        "root_attributes": [there.mode, there.uid, there.gid] if there else [stat.S_IFDIR | 0o755, 0, 0],
    }
    yield from stream("pack-layer", request, (), tree.what, cancel)


def export(roots: Roots, tree: Tree, report: Report, cancel: CancelToken) -> Iterator[bytes]:
    """The whole root as one tar, without what is mounted on it."""
    done = 0
    with _view(roots, tree, writable=False) as (view, descriptors):
        for piece in stream("export", {"view": view}, descriptors, tree.what, cancel):
            done += len(piece)
            report(Progress(what=f"exporting {tree.what}", done_bytes=done))
            yield piece


def stat_path(roots: Roots, tree: Tree, path: str) -> PathStat:
    """What lies at a path; a link is not followed. Raises: NotFound."""
    with _view(roots, tree, writable=False) as (view, descriptors):
        found = ask("stat", {"view": view, "path": path}, descriptors, tree.what)
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
        yield from stream("copy-out", {"view": view, "path": path}, descriptors, tree.what, cancel)


def copy_in(
    roots: Roots, tree: Tree, path: str, tar: Iterable[bytes], *, archive: bool, limits: Limits = DEFAULT_LIMITS
) -> None:
    """Unpack a plain tar into an existing directory; `archive` keeps uid and gid, else root gets all.

    Raises: Denied: what lies there is to be read only, in docker's words.
    """
    with _view(roots, tree, writable=not tree.read_only) as (view, descriptors), _in_dockers_words(tree, path):
        copy_in_view(view, descriptors, path, tar, archive=archive, what=tree.what, limits=limits)


def copy_in_view(
    view: dict[str, Any],
    descriptors: Sequence[int],
    path: str,
    tar: Iterable[bytes],
    *,
    archive: bool,
    what: str,
    limits: Limits = DEFAULT_LIMITS,
    strict_end: bool = False,
) -> None:
    """Feed a tar to a worker that unpacks it; with strict_end, one without its end mark is truncated."""
    request = {
        "view": view,
        "path": path,
        "owners": archive,
        "limits": limits_argument(limits),
        "input": "pipe",
        "strict_end": strict_end,
    }
    with Worker("copy-in", request, descriptors=descriptors, stdin="pipe") as worker:
        for piece in _gathered(tar):
            if not worker.feed(piece):
                break
        worker.end_input()
        worker.finish(what=what)


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Small pieces together: a header is 512 bytes, and every piece is a call of the kernel."""
    kept: list[bytes] = []
    size = 0
    for piece in pieces:
        kept.append(piece)
        size += len(piece)
        if size >= _FED_BYTES:
            yield b"".join(kept)
            kept, size = [], 0
    yield b"".join(kept)


@contextmanager
def _in_dockers_words(tree: Tree, path: str) -> Iterator[None]:
    try:
        yield
    except Denied as error:
        if "read-only" not in error.message:
            raise
        below = os.path.normpath("/" + path.lstrip("/"))
        is_mounted = any(below == m.target or below.startswith(m.target + "/") for m in tree.mounts if m.read_only)
        what = "mounted volume" if is_mounted else "container rootfs"
        raise Denied(f"{what} is marked read-only", hint="copy to a place that the container may write to") from error


def write_file(roots: Roots, tree: Tree, path: str, data: bytes) -> None:
    """Replace the content of a regular file that is there; owner, mode and second names stay."""
    with (
        _view(roots, tree, writable=not tree.read_only) as (view, descriptors),
        open(os.memfd_create("content"), "w+b") as content,
        _in_dockers_words(tree, path),
    ):
        content.write(data)
        content.flush()
        request = {"view": view, "path": path, "content": content.fileno()}
        ask("write", request, [*descriptors, content.fileno()], tree.what)


def remove_path(roots: Roots, tree: Tree, path: str) -> None:
    """Delete a file, or a directory with all that is in it."""
    with _view(roots, tree, writable=not tree.read_only) as (view, descriptors), _in_dockers_words(tree, path):
        ask("remove", {"view": view, "path": path}, descriptors, tree.what)


def list_dir(roots: Roots, tree: Tree, path: str) -> Sequence[FileEntry]:
    """A directory, names sorted."""
    with _view(roots, tree, writable=False) as (view, descriptors):
        return file_entries(ask("list", {"view": view, "path": path}, descriptors, tree.what))


def find_files(roots: Roots, tree: Tree, path: str, text: str) -> Sequence[FileEntry]:
    """What has a text in its name, at any depth below a directory; names are relative paths."""
    with _view(roots, tree, writable=False) as (view, descriptors):
        return file_entries(ask("find", {"view": view, "path": path, "text": text}, descriptors, tree.what))


def read_file(roots: Roots, tree: Tree, path: str, offset: int, length: int) -> bytes:
    """Part of a regular file, at most 4 MiB a call."""
    with _view(roots, tree, writable=False) as (view, descriptors):
        request = {"view": view, "path": path, "offset": offset, "length": length}
        return base64.b64decode(ask("read", request, descriptors, tree.what))


def list_image_dir(roots: Roots, layers: Sequence[str], path: str, what: str) -> Sequence[FileEntry]:
    """A directory of an image."""
    view = image_view(roots, layers)
    return file_entries(ask("list", {"view": view, "path": path}, (), what))


def find_image_files(roots: Roots, layers: Sequence[str], path: str, text: str, what: str) -> Sequence[FileEntry]:
    """The same in an image."""
    view = image_view(roots, layers)
    return file_entries(ask("find", {"view": view, "path": path, "text": text}, (), what))


def read_image_file(roots: Roots, layers: Sequence[str], path: str, offset: int, length: int, what: str) -> bytes:
    """Part of a file of an image."""
    view = image_view(roots, layers)
    request = {"view": view, "path": path, "offset": offset, "length": length}
    return base64.b64decode(ask("read", request, (), what))


def copy_image_out(roots: Roots, layers: Sequence[str], path: str, what: str, cancel: CancelToken) -> Iterator[bytes]:
    """A tar of a file or tree of an image."""
    view = image_view(roots, layers)
    yield from stream("copy-out", {"view": view, "path": path}, (), what, cancel)


def export_image(
    roots: Roots, layers: Sequence[str], what: str, report: Report, cancel: CancelToken
) -> Iterator[bytes]:
    """The whole tree of an image as one tar."""
    done = 0
    view = image_view(roots, layers)
    for piece in stream("export", {"view": view}, (), what, cancel):
        done += len(piece)
        report(Progress(what=f"exporting {what}", done_bytes=done))
        yield piece


def pack_image_paths(
    roots: Roots, layers: Sequence[str], paths: Iterable[str], what: str, cancel: CancelToken
) -> Iterator[bytes]:
    """Some paths of an image as a layer's tar: `+path`, or `-path` for the mark of a deleted one."""
    with open(os.memfd_create("paths", os.MFD_CLOEXEC), "w+b") as chosen:
        chosen.write(b"".join(os.fsencode(path) + b"\0" for path in paths))
        chosen.seek(0)
        request = {"view": image_view(roots, layers), "paths": chosen.fileno()}
        yield from stream("pack-chosen", request, (chosen.fileno(),), what, cancel)


def copy_image_tree(roots: Roots, layers: Sequence[str], path: str, directory: Path, what: str) -> bool:
    """Copy an image's directory, its attributes and all below into an empty one; False if the image has none.

    Two workers, one packing and one unpacking, joined by a pipe.
    """
    if not layers:
        return False
    view = image_view(roots, layers)
    if not _has_directory(view, path, what):
        return False
    with ExitStack() as held:
        target = opened(held, directory)
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
        ask("list", {"view": view, "path": path}, (), what)
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
            namespace = opened(held, Path(f"/proc/{tree.pid}/ns/mnt"), os.O_RDONLY | os.O_CLOEXEC)
            if not tree.remapped:
                yield {"namespace": namespace}, [namespace]
                return
            users = opened(held, Path(f"/proc/{tree.pid}/ns/user"), os.O_RDONLY | os.O_CLOEXEC)
            yield {"namespace": namespace, "users": users}, [namespace, users]
            return
        overlay.ensure_init_layer(roots, tree.layers)
        lowers = overlay.overlay_lowers(roots, tree.layers)
        upper = tree.directory / "upper"
        if writable or (tree.is_fresh and tree.mounts):
            work = str(tree.directory / "work")
            view = {**_lowers_view(lowers), "upper": str(upper), "work": work, "read_only": not writable}
        else:
            view = _lowers_view([upper, *lowers])
        view["binds"] = _binds(held, roots, tree.mounts)
        yield view, [bind["source"] for bind in view["binds"] if "source" in bind]


def image_view(roots: Roots, layers: Sequence[str]) -> dict[str, Any]:
    """An image's tree, to be read only, as a request carries it."""
    return _lowers_view(overlay.image_lowers(roots, layers))


def _lowers_view(lowers: Sequence[Path]) -> dict[str, Any]:
    return {"lowers": [str(path) for path in lowers]}


def _binds(held: ExitStack, roots: Roots, mounts: Sequence[Mount]) -> list[dict[str, Any]]:
    """Binds, volumes and images that are there, shallow targets first; what lies in memory is gone with the process."""
    binds: list[dict[str, Any]] = []
    for mount in sorted(mounts, key=lambda mount: mount.target.count("/")):
        bind: dict[str, Any] = {"target": mount.target, "read_only": mount.read_only, "subpath": mount.subpath}
        device = mount.device
        if mount.kind == "image":
            bind["lowers"] = [str(path) for path in overlay.image_lowers(roots, mount.layers)]
        elif device is not None and device.kind == "filesystem":
            from core.engine.special_mounts import resolved_words

            words = resolved_words(device)
            bind["device"] = {"source": device.device, "fstype": device.fstype, "words": words, "place": mount.source}
        elif mount.kind == "tmpfs" or (device is not None and device.kind == "memory"):
            continue
        else:
            source = device.device if device is not None else mount.source
            try:
                bind["source"] = os.open(source, _O_PLACE)
            except OSError:
                continue  # gone from the host; start says so, cp shows what lies beneath
            held.callback(os.close, bind["source"])
            bind["read_only"] = mount.read_only or (device is not None and device.is_read_only)
        binds.append(bind)
    return binds


def opened(held: ExitStack, path: Path, flags: int = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) -> int:
    """A descriptor that is closed with the others that are held."""
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise wrapped(error, "open", path) from error
    held.callback(os.close, descriptor)
    return descriptor


def ask(operation: str, request: dict[str, Any], descriptors: Sequence[int], what: str) -> Any:
    """A worker's answer. Raises: EngineError: its fault."""
    with Worker(operation, request, descriptors=descriptors) as worker:
        return worker.finish(what=what)


def stream(
    operation: str, request: dict[str, Any], descriptors: Sequence[int], what: str, cancel: CancelToken
) -> Iterator[bytes]:
    """A worker's stdout; its fault is raised where the stream ends, and nothing of it may be kept then."""
    with Worker(operation, request, descriptors=descriptors, stdout="pipe") as worker:
        yield from worker.chunks(cancel)
        worker.finish(what=what, cancel=cancel)
