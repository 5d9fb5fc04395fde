"""Where a command reads and writes: a shell's three streams, or a line of the console.

Everything that is not a container's own output is written through here, so that text from
inside a container is made harmless in one place when a person's terminal is on the other side.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, BinaryIO, Protocol

from core.errors import InvalidInput

if TYPE_CHECKING:
    from core.backend import Attachment
    from core.model.progress import CancelToken, Report


class Terminal(Protocol):
    """A terminal that is not this process's own: whoever has it joins processes to it."""

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns."""

    def join(self, attachment: Attachment, detach_keys: bytes) -> bool:
        """Show a process's terminal and send it keys; blocks. True: the person left, it goes on."""


class Io:
    """The streams of one command."""

    def __init__(
        self,
        out: BinaryIO,
        err: BinaryIO,
        stdin: BinaryIO | None = None,
        *,
        stdin_is_tty: bool = False,
        out_is_tty: bool = False,
        err_is_tty: bool = False,
        columns: int = 80,
        cancel: CancelToken | None = None,
        owns_process: bool = False,
        terminal: Terminal | None = None,
        report: Report | None = None,
    ) -> None:
        self.out = out
        self.err = err
        self.stdin = stdin
        self.stdin_is_tty = stdin_is_tty
        self.out_is_tty = out_is_tty
        self.err_is_tty = err_is_tty
        self.columns = columns
        self._cancel = cancel
        self.owns_process = owns_process
        """Whether signals and the terminal's mode are ours to handle: true in a shell only."""
        self.terminal = terminal
        """Where a process with a terminal is shown, if not on the streams."""
        self.report = report
        """Who else hears how far long work has come."""

    @property
    def cancel(self) -> CancelToken:
        """What ends the command early; nobody's, made on demand, where none was given."""
        if self._cancel is None:
            from core.model.progress import CancelToken

            self._cancel = CancelToken()
        return self._cancel

    def line(self, text: str = "") -> None:
        """Write one line to the output."""
        self.text(text + "\n")

    def text(self, text: str) -> None:
        """Write text to the output; on a terminal what could drive it is made visible."""
        self.out.write(_harmless(text) if self.out_is_tty else _encoded(text))
        self.out.flush()

    def complain(self, text: str) -> None:
        """Write one line to the error output."""
        self.err.write((_harmless(text) if self.err_is_tty else _encoded(text)) + b"\n")
        self.err.flush()

    def read_all(self) -> BinaryIO:
        """The input, for a command that reads a whole stream.

        Raises: InvalidInput: there is none, or it is a terminal.
        """
        if self.stdin is None or self.stdin_is_tty:
            raise InvalidInput("the input is a terminal", hint="redirect a file into it, for example < file")
        return self.stdin

    def ask(self, question: str) -> bool:
        """Put a yes/no question; anything but y or yes, also the end of the input, is a no."""
        self.out.write(_encoded(question))
        self.out.flush()
        answer = self.stdin.readline() if self.stdin is not None else b""
        return answer.strip().lower() in (b"y", b"yes")

    def read_line(self, prompt: str, *, hidden: bool = False) -> str:
        """Ask a person for a line, what they type not shown where it is `hidden`; a text without its newline.

        Raises: InvalidInput: nobody sits there.
        """
        if self.stdin is None or not self.stdin_is_tty:
            raise InvalidInput("nothing can be asked: the input is no terminal")
        if not hidden:
            self._prompt(prompt)
            return self._typed_line()
        import termios

        was = termios.tcgetattr(self.stdin)
        silent = [*was[:3], was[3] & ~termios.ECHO, *was[4:]]
        termios.tcsetattr(self.stdin, termios.TCSADRAIN, silent)  # before the question: somebody may type ahead
        try:
            self._prompt(prompt)
            return self._typed_line()
        finally:
            termios.tcsetattr(self.stdin, termios.TCSADRAIN, was)
            self.line()

    def _prompt(self, prompt: str) -> None:
        self.out.write(_encoded(prompt))
        self.out.flush()

    def _typed_line(self) -> str:
        line = self.stdin.readline() if self.stdin is not None else b""
        return line.rstrip(b"\r\n").decode("utf-8", "surrogateescape")


def shell_io() -> Io:
    """The streams of this process."""
    is_tty = [_is_tty(number) for number in (0, 1, 2)]
    columns = 80
    if is_tty[1]:
        columns = os.get_terminal_size(1).columns or 80
    return Io(
        sys.stdout.buffer,
        sys.stderr.buffer,
        sys.stdin.buffer if sys.stdin is not None else None,
        stdin_is_tty=is_tty[0],
        out_is_tty=is_tty[1],
        err_is_tty=is_tty[2],
        columns=columns,
        owns_process=True,
    )


def _is_tty(number: int) -> bool:
    try:
        return os.isatty(number)
    except OSError:
        return False


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _harmless(text: str) -> bytes:
    if text.isascii() and text.replace("\n", "").isprintable():
        return text.encode()
    from core.model.display import safe_text

    lines = text.split("\n")
    return "\n".join("\t".join(safe_text(cell) for cell in line.split("\t")) for line in lines).encode()
