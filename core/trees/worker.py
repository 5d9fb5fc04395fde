"""The worker: one request, one answer, then gone.

    engine ── argv[1]: JSON request, with the numbers of inherited descriptors ──▶ worker
    worker ── lines of JSON on descriptor `answer`: {"done": n}…, then {"ok": …} or {"fault": kind, "text": …}
    stdin and stdout carry a tar where the operation reads or writes one

Started as `python -I -S`; imports the standard library and core.linux only, all of it before the
root changes.
"""

from __future__ import annotations

import binascii
import json
import os
import resource
import sys
from typing import Any

from core.linux.erofs import TREE
from core.trees import confine, copy, listing, view
from core.trees.diff import Comparison
from core.trees.erofs import write_image
from core.trees.faults import FAILED, TreeFault, from_os_error
from core.trees.pack import Output, TreePacker
from core.trees.source import BUFFER_BYTES, EndOfInput, Source
from core.trees.tarread import Limits
from core.trees.tartree import Attributes, Inexpressible, TarTree
from core.trees.unpack import Unpacker

_PARSER_BYTES, _PARSER_S = 2 * 1024**3, 120


def main() -> None:
    """Serve the request in argv[1]; the exit code is 0 even for faults, which are answers."""
    request: dict[str, Any] = json.loads(sys.argv[1])
    answer: int = request["answer"]
    _raise_limits()
    try:
        result = _OPERATIONS[request["operation"]](request)
        reply: dict[str, Any] = {"ok": result}
    except TreeFault as fault:
        reply = {"fault": fault.kind, "text": fault.text}
    except EndOfInput:
        reply = {"fault": "corrupt", "text": "the archive is truncated"}
    except BrokenPipeError:
        reply = {"fault": FAILED, "text": "the reader went away"}
    except OSError as error:
        failure = from_os_error(error, request["operation"] + (f" {error.filename}" if error.filename else ""))
        reply = {"fault": failure.kind, "text": failure.text}
    except MemoryError:
        reply = {"fault": "limit", "text": "it needs more memory than is allowed"}
    except (
        Exception
    ) as error:  # the worker's top: a traceback would look for its source lines in a root that is not ours
        reply = {"fault": FAILED, "text": f"the worker failed: {type(error).__name__}: {error}"}
    _say(answer, reply)


def _say(answer: int, message: Any) -> None:
    data = memoryview(json.dumps(message).encode() + b"\n")
    while data:
        data = data[os.write(answer, data) :]


def _unpack(request: dict[str, Any]) -> dict[str, Any]:
    """A tar (stdin) into an open directory: a layer, or the first content of a volume."""
    root, answer = request["root"], request["answer"]
    confine.close_others({0, 1, 2, root, answer})
    top = confine.detach(root)
    os.close(root)
    confine.private_mounts()
    confine.no_network()
    confine.attach(top)
    confine.enter_root(top)
    confine.keep_capabilities(confine.UNPACK_CAPABILITIES)
    unpacker = Unpacker(
        top,
        limits=Limits(**request["limits"]),
        whiteouts=request["whiteouts"],
        strict_end=request["strict_end"],
        report=lambda done: _say(answer, {"done": done}),
    )
    unpacker.unpack(_standard_input(request))
    confine.sync_file_system(top)
    return {"entries": unpacker.entries, "size": unpacker.size}


def _index(request: dict[str, Any]) -> dict[str, Any]:
    """The metadata of a tar (stdin, a file) into an open file, to be mounted with it; or why it can't be."""
    output, answer = request["output"], request["answer"]
    _see_nothing(output, answer)
    tree = TarTree(
        Attributes(*request["root"]),
        limits=Limits(**request["limits"]),
        strict_end=request["strict_end"],
        report=lambda done: _say(answer, {"done": done}),
    )
    try:
        tree.read(Source.of_file(0))
        written = write_image(tree.root, os.fstat(0).st_size, output)
    except Inexpressible as reason:
        return {"why": str(reason)}
    os.fsync(output)
    return {"entries": tree.entries, "size_bytes": tree.size, "tree_bytes": written}


def _try_mounted(request: dict[str, Any]) -> str:
    """Whether a small layer's tar can be mounted as containers' are, from a directory: what its file `probe` says."""
    root = view.enter({"lowers": [f"{request['directory']}/{TREE}", request["below"]]}, confine.READ_CAPABILITIES)
    return copy.read_file(root, b"/probe", 0, 64).decode()


def _standard_input(request: dict[str, Any]) -> Source:
    if request["input"] == "file":
        return Source.of_file(0)
    return Source(lambda size: os.read(0, min(size, BUFFER_BYTES)))


def _contents(request: dict[str, Any]) -> None:
    """What lies in layers' tars (files, or stdin), as JSON lines on stdout: lists of rows, null after each tar."""
    answer, archives = request["answer"], request["archives"]
    _see_nothing(answer, *archives)
    limits, digests = Limits(**request["limits"]), request["digests"]
    sources = [Source.of_file(archive) for archive in archives] or [_standard_input(request)]
    passed = 0

    def report(done: int) -> None:
        _say(answer, {"done": passed + done})

    for source, name in zip(sources, request["names"], strict=True):
        try:
            for lot in listing.lots(listing.rows(source, limits, digests=digests, report=report)):
                _say(1, lot)
        except TreeFault as fault:
            raise TreeFault(fault.kind, f"{name}: {fault.text}") from None
        _say(1, None)
        passed += source.position


def _member(request: dict[str, Any]) -> dict[str, str]:
    """Part of one file of a layer's tar."""
    _see_nothing(request["answer"])
    path, offset = os.fsencode(request["path"]), max(0, request["offset"])
    length = max(0, min(request["length"], copy.LONGEST_READ))
    part = listing.read_member(_standard_input(request), Limits(**request["limits"]), path, offset, length)
    if isinstance(part, str):
        return {"link": part}
    return {"data": binascii.b2a_base64(part, newline=False).decode()}


def _see_nothing(*open_ones: int) -> None:
    """For what only reads bytes: nothing open but the streams, an empty root, no network, no capability."""
    confine.close_others({0, 1, 2, *open_ones})
    confine.private_mounts()
    confine.no_network()
    confine.enter_root(confine.empty_directory())
    confine.keep_capabilities(())


def _changes(request: dict[str, Any]) -> list[list[str]]:
    """What an upper directory changes of the layers in the view."""
    lower = view.enter(request["view"], confine.READ_CAPABILITIES)
    below = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=lower)
    comparison = Comparison()
    comparison.compare(request["upper"], below)
    found = sorted(comparison.changes, key=lambda change: change[1])
    return [[kind, os.fsdecode(path)] for kind, path in found]


def _pack_layer(request: dict[str, Any]) -> None:
    """An upper directory as a layer's tar on stdout; its root only where it is not as the image's is."""
    root = view.enter({"lowers": [request["upper"]]}, confine.READ_CAPABILITIES)
    left_out = frozenset(os.fsencode(path) for path in request["left_out"])
    packer = TreePacker(root, Output(1), whiteouts=True, left_out=left_out)
    mine = os.stat(".", dir_fd=root)
    if [mine.st_mode, mine.st_uid, mine.st_gid] != request["root_attributes"]:
        packer.pack_root()
    packer.pack_below()
    packer.end()


def _export(request: dict[str, Any]) -> None:
    """A whole root as a tar on stdout, without what is mounted on it."""
    root = view.enter_alone(request["view"], confine.READ_CAPABILITIES)
    packer = TreePacker(root, Output(1), whiteouts=False)
    packer.pack_below()
    packer.end()


def _pack_chosen(request: dict[str, Any]) -> None:
    """Some paths of a root, and marks of others that were deleted, as a layer's tar on stdout."""
    with open(request["paths"], "rb") as file:
        paths = file.read().split(b"\0")[:-1]
    root = view.enter(request["view"], confine.READ_CAPABILITIES)
    packer = TreePacker(root, Output(1), whiteouts=False)
    packer.pack_root()
    packer.pack_chosen(paths)
    packer.end()


def _packages(request: dict[str, Any]) -> list[dict[str, str]]:
    """What the package databases of a root list; they are parsed within bounds of memory and time."""
    from core.trees.packages import find_packages

    resource.setrlimit(resource.RLIMIT_AS, (_PARSER_BYTES, _PARSER_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_PARSER_S, _PARSER_S))
    view.enter(request["view"], (confine.DAC_OVERRIDE,))
    return find_packages()


def _stat(request: dict[str, Any]) -> dict[str, Any]:
    root = view.enter(request["view"], confine.READ_CAPABILITIES)
    return copy.stat_path(root, os.fsencode(request["path"]))


def _list(request: dict[str, Any]) -> list[dict[str, Any]]:
    root = view.enter(request["view"], confine.READ_CAPABILITIES)
    return copy.list_directory(root, os.fsencode(request["path"]))


def _find(request: dict[str, Any]) -> list[dict[str, Any]]:
    root = view.enter(request["view"], confine.READ_CAPABILITIES)
    return copy.find(root, os.fsencode(request["path"]), request["text"])


def _read(request: dict[str, Any]) -> str:
    root = view.enter(request["view"], confine.READ_CAPABILITIES)
    data = copy.read_file(root, os.fsencode(request["path"]), request["offset"], request["length"])
    return binascii.b2a_base64(data, newline=False).decode()


def _copy_out(request: dict[str, Any]) -> None:
    root = view.enter(request["view"], confine.READ_CAPABILITIES)
    copy.copy_out(root, os.fsencode(request["path"]), 1)


def _copy_in(request: dict[str, Any]) -> dict[str, int]:
    root = view.enter(request["view"], confine.UNPACK_CAPABILITIES)
    return copy.copy_in(
        root,
        os.fsencode(request["path"]),
        _standard_input(request),
        limits=Limits(**request["limits"]),
        owners=request["owners"],
        strict_end=request["strict_end"],
    )


def _write(request: dict[str, Any]) -> None:
    root = view.enter(request["view"], confine.UNPACK_CAPABILITIES)
    copy.write_file(root, os.fsencode(request["path"]), request["content"])


def _remove(request: dict[str, Any]) -> None:
    root = view.enter(request["view"], confine.UNPACK_CAPABILITIES)
    copy.remove_path(root, os.fsencode(request["path"]))


_OPERATIONS = {
    "unpack": _unpack,
    "index": _index,
    "try-mounted": _try_mounted,
    "contents": _contents,
    "member": _member,
    "changes": _changes,
    "pack-layer": _pack_layer,
    "pack-chosen": _pack_chosen,
    "export": _export,
    "packages": _packages,
    "stat": _stat,
    "list": _list,
    "find": _find,
    "read": _read,
    "copy-out": _copy_out,
    "copy-in": _copy_in,
    "write": _write,
    "remove": _remove,
}


def _raise_limits() -> None:
    """Deep trees take a descriptor and some stack a level."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sys.setrecursionlimit(10_000)
