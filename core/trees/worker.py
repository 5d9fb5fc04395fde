"""The worker: one request, one answer, then gone.

    engine ── argv[1]: JSON request, with the numbers of inherited descriptors ──▶ worker
    worker ── lines of JSON on descriptor `answer`: {"done": n}…, then {"ok": …} or {"fault": kind, "text": …}
    stdin and stdout carry a tar where the operation reads or writes one

Started as `python -I -S`; imports the standard library and core.linux only, all of it before the
root changes.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from core.trees import confine
from core.trees.faults import FAILED, TreeFault, from_os_error
from core.trees.source import BUFFER_BYTES, EndOfInput, Source
from core.trees.tarread import Limits
from core.trees.unpack import Unpacker


def main() -> None:
    """Serve the request in argv[1]; the exit code is 0 even for faults, which are answers."""
    request: dict[str, Any] = json.loads(sys.argv[1])
    answer: int = request["answer"]
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
    _say(answer, reply)


def _say(answer: int, message: dict[str, Any]) -> None:
    data = memoryview(json.dumps(message).encode() + b"\n")
    while data:
        data = data[os.write(answer, data) :]


def _unpack(request: dict[str, Any]) -> dict[str, Any]:
    """A layer's tar (stdin) into an open directory."""
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


def _standard_input(request: dict[str, Any]) -> Source:
    if request["input"] == "file":
        return Source.of_file(0)
    return Source(lambda size: os.read(0, min(size, BUFFER_BYTES)))


_OPERATIONS = {"unpack": _unpack}
