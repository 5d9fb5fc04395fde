"""A process's streams and ours: what run, start -a, attach and exec do while they are joined.

    stdin ── thread ──▶ attachment.write        attachment.read ── this thread ──▶ out, err
    signals, SIGWINCH, "detach" ──▶ a pipe ──▶ this thread's poll

The thread for stdin exists because a write may wait for a process that is itself waiting for us
to read its output.
"""

from __future__ import annotations

import os
import select
import signal
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.commands.detach import DetachWatch
from app.commands.io import Io, Terminal
from app.commands.screen import ScreenFilter
from core.backend import Attachment
from core.errors import EngineError, InvalidInput
from core.model.signals import signal_name

_DETACH = b"\0"
_PROXIED = ("HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM", "CONT")
_READ_SIZE = 65536
_IMPATIENCE = 3
"""So many interrupts without an end, and we leave the process to itself."""


class Detached(Exception):
    """The person left; the process goes on."""


def window(io: Io) -> tuple[int, int]:
    """Rows and columns of the terminal we are on; zeros where there is none."""
    if io.terminal is not None:
        return io.terminal.size
    for number, is_tty in ((1, io.out_is_tty), (0, io.stdin_is_tty)):
        if is_tty and io.owns_process:
            size = os.get_terminal_size(number)
            return size.lines, size.columns
    return 0, 0


def check_terminal(io: Io, *, tty: bool, stdin: bool) -> None:
    """Refuse to join a terminal to what is none.

    Raises: InvalidInput: -t with input from a file or a pipe.
    """
    if tty and stdin and not io.stdin_is_tty and io.terminal is None:
        raise InvalidInput("the input device is not a TTY", hint="leave out -t, or run it in a terminal")


def join(
    attachment: Attachment,
    io: Io,
    *,
    tty: bool,
    stdin: bool,
    detach_keys: bytes = b"",
    on_signal: Callable[[str], None] | None = None,
) -> int | None:
    """Copy streams until the process ends or the person detaches.

    Args: on_signal: called with the name of a signal that we got, to hand it on; None: signals
        do what they always do.
    Returns: the process's exit code, None if that is not known here.
    Raises: Detached. EngineError: a stream broke.
    """
    if tty and io.terminal is not None:
        return _join_terminal(attachment, io.terminal, detach_keys if stdin else b"")
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        with _signals(io, wake_write, tty, on_signal), _raw_terminal(io, tty and stdin):
            if stdin and io.stdin is not None:
                watch = DetachWatch(detach_keys) if tty and detach_keys else None
                threading.Thread(
                    target=_forward_stdin, args=(io.stdin.fileno(), attachment, watch, wake_write), daemon=True
                ).start()
            _copy(attachment, io, wake_read, tty, on_signal)
        return attachment.exit_code()
    finally:
        attachment.close()
        os.close(wake_read)
        # wake_write stays open: the stdin thread may still hold it, and we are about to exit


def _join_terminal(attachment: Attachment, terminal: Terminal, detach_keys: bytes) -> int | None:
    try:
        if terminal.join(attachment, detach_keys):
            raise Detached
        return attachment.exit_code()
    finally:
        attachment.close()


def _copy(
    attachment: Attachment,
    io: Io,
    wake: int,
    tty: bool,
    on_signal: Callable[[str], None] | None,
) -> None:
    sinks = {1: io.out, 2: io.err}
    filters = {}
    if not tty:
        filters = {number: ScreenFilter() for number, is_tty in ((1, io.out_is_tty), (2, io.err_is_tty)) if is_tty}
    poller = select.poll()
    poller.register(attachment.fileno(), select.POLLIN)
    poller.register(wake, select.POLLIN)
    timeout_ms = None if io.owns_process else 100
    interrupts = 0
    while True:
        for number, _event in poller.poll(timeout_ms):
            if number != wake:
                piece = attachment.read()
                if piece is None:
                    return
                stream, data = piece
                sinks[stream].write(filters[stream].clean(data) if stream in filters else data)
                sinks[stream].flush()
                continue
            for byte in os.read(wake, 512):
                if byte == _DETACH[0]:
                    raise Detached
                if byte == signal.SIGWINCH:
                    attachment.resize(*window(io))
                elif on_signal is not None:
                    interrupts += byte in (signal.SIGINT, signal.SIGTERM)
                    if interrupts > _IMPATIENCE:
                        raise Detached
                    on_signal(signal_name(byte))
        if io.cancel.is_cancelled:
            raise Detached


def _forward_stdin(number: int, attachment: Attachment, watch: DetachWatch | None, wake: int) -> None:
    try:
        while data := os.read(number, _READ_SIZE):
            detached = False
            if watch is not None:
                data, detached = watch.feed(data)
            if data:
                attachment.write(data)
            if detached:
                os.write(wake, _DETACH)
                return
        attachment.close_stdin()
    except (OSError, EngineError):
        return  # the process is gone, or our terminal: the other direction tells how it ended


@contextmanager
def _signals(io: Io, wake: int, tty: bool, on_signal: Callable[[str], None] | None) -> Iterator[None]:
    """Send the signals we handle down the pipe, and put everything back afterwards."""
    if not io.owns_process:
        yield
        return
    wanted = [signal.SIGWINCH] if tty else []
    if on_signal is not None:
        wanted += [getattr(signal, f"SIG{name}") for name in _PROXIED]
    before = {number: signal.signal(number, lambda _number, _frame: None) for number in wanted}
    before_wake = signal.set_wakeup_fd(wake, warn_on_full_buffer=False) if wanted else -1
    try:
        yield
    finally:
        if wanted:
            signal.set_wakeup_fd(before_wake)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _raw_terminal(io: Io, wanted: bool) -> Iterator[None]:
    """Let every key through as it is, and give the terminal back as it was."""
    if not wanted or not io.owns_process or io.stdin is None:
        yield
        return
    number = io.stdin.fileno()
    before = termios.tcgetattr(number)
    raw = [*before[:6], list(before[6])]
    raw[0] &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    raw[1] &= ~termios.OPOST
    raw[2] = (raw[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
    raw[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    raw[6][termios.VMIN], raw[6][termios.VTIME] = 1, 0
    termios.tcsetattr(number, termios.TCSADRAIN, raw)
    try:
        yield
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)
