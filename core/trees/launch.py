"""The engine's side: start a worker, feed or drain it, and turn its answer into a value or an error.

The only module of core.trees that engines import for its own sake; it never changes what the
engine's process is, it only spawns.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

from core.errors import (
    Denied,
    EngineError,
    Integrity,
    InvalidInput,
    LimitExceeded,
    NoSpace,
    NotFound,
    UnsafeArchive,
)
from core.model.progress import CancelToken
from core.trees import faults
from core.trees.tarread import Limits

PIPE_BYTES = 1024 * 1024
_F_SETPIPE_SZ = 1031
_CORE_PARENT = str(Path(__file__).resolve().parents[2])
_BOOTSTRAP = "import sys; sys.path.append({parent!r}); from core.trees.worker import main; main()"


class Worker:
    """One running worker. Use it as a context manager: leaving early kills it.

    Args: operation: a name of worker.py's table. arguments: JSON values. descriptors: those whose
        numbers the arguments mention. stdin, stdout: descriptors to hand over, or "pipe".
    """

    def __init__(
        self,
        operation: str,
        arguments: dict[str, Any],
        *,
        descriptors: Sequence[int] = (),
        stdin: int | str | None = None,
        stdout: int | str | None = None,
    ) -> None:
        read_end, write_end = os.pipe()
        request = {"operation": operation, "answer": write_end, **arguments}
        try:
            self._process = subprocess.Popen(
                [
                    os.path.realpath(sys.executable),
                    "-I",
                    "-S",
                    "-c",
                    _BOOTSTRAP.format(parent=_CORE_PARENT),
                    json.dumps(request),
                ],
                stdin=_stream(stdin),
                stdout=_stream(stdout),
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd="/",
                env={},
                pass_fds=(*descriptors, write_end),
                start_new_session=True,
            )
        except OSError as error:
            os.close(read_end)
            raise EngineError(f"start a worker: {(error.strerror or str(error)).lower()}") from error
        finally:
            os.close(write_end)
        self._answers = read_end
        self._text = b""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                _enlarge(stream.fileno())

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass
        os.close(self._answers)

    def feed(self, data: bytes | memoryview) -> bool:
        """Write to its stdin; False if it has gone away (finish() will say why)."""
        assert self._process.stdin is not None
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._process.stdin.fileno(), view) :]
        except BrokenPipeError:
            return False
        return True

    def end_input(self) -> None:
        """Close its stdin."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError:
            pass

    def chunks(self, cancel: CancelToken | None = None) -> Iterator[bytes]:
        """What it writes to its stdout, in pieces of at most PIPE_BYTES."""
        assert self._process.stdout is not None
        output = self._process.stdout.fileno()
        while True:
            if cancel is not None:
                self._wait_readable(output, cancel)
            data = os.read(output, PIPE_BYTES)
            if not data:
                return
            yield data

    def _wait_readable(self, descriptor: int, cancel: CancelToken) -> None:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        while True:
            cancel.check()
            if poll.poll(200):
                return

    def finish(
        self, *, what: str, cancel: CancelToken | None = None, report: Callable[[int], None] | None = None
    ) -> Any:
        """Wait for the answer.

        Args: what: the object, which every error names first.
        Raises: EngineError: the fault, as the error of its kind.
        """
        cancel = cancel or CancelToken()
        while True:
            while (newline := self._text.find(b"\n")) >= 0:
                message = json.loads(self._text[:newline])
                self._text = self._text[newline + 1 :]
                if "done" in message:
                    if report is not None:
                        report(message["done"])
                elif "ok" in message:
                    self._process.wait()
                    return message["ok"]
                else:
                    raise to_engine_error(faults.TreeFault(message["fault"], message["text"]), what)
            self._wait_readable(self._answers, cancel)
            data = os.read(self._answers, 65536)
            if not data:
                raise self._died(what)
            self._text += data

    def _died(self, what: str) -> EngineError:
        code = self._process.wait()
        assert self._process.stderr is not None
        lines = self._process.stderr.read(65536).decode(errors="replace").strip().splitlines()
        why = lines[-1] if lines else f"exit code {code}"
        return EngineError(f"{what}: the worker ended without an answer: {why}", hint="try again")


def _stream(wanted: int | str | None) -> int:
    if wanted is None:
        return subprocess.DEVNULL
    return subprocess.PIPE if isinstance(wanted, str) else wanted


def _enlarge(pipe: int) -> None:
    import fcntl

    try:
        fcntl.fcntl(pipe, _F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        pass  # over the user's share of pipe memory: a small pipe works as well


def to_engine_error(fault: faults.TreeFault, what: str) -> EngineError:
    """The engine's error for a fault; `what` goes in front where it is not empty."""
    text = f"{what}: {fault.text}" if what else fault.text
    match fault.kind:
        case faults.UNSAFE:
            return UnsafeArchive(text, hint="the archive is hostile or broken; nothing of it was kept")
        case faults.CORRUPT:
            return Integrity(text, hint="fetch or make the archive again")
        case faults.LIMIT:
            return LimitExceeded(text, hint="nothing of it was kept")
        case faults.NO_SPACE:
            return NoSpace(text, hint="free some space there and try again")
        case faults.DENIED:
            return Denied(text)
        case faults.MISSING:
            return NotFound(text, kind="path", key=what)
        case faults.INVALID:
            return InvalidInput(text)
        case _:
            return EngineError(text)


def limits_argument(limits: Limits) -> dict[str, int]:
    """Limits as the request carries them."""
    return asdict(limits)
