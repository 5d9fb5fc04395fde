"""The `wharf` program: alone it is the console, with a command it speaks docker's language."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import app.quick
from app.commands.io import Io, shell_io
from core.about import NAME, ROOT_VARIABLE, RUN_ROOT_VARIABLE, VERSION
from core.errors import Denied, EngineError, InvalidInput

if TYPE_CHECKING:
    from core.backend import Backend, Containers, Images, Networks, Registries, System, Volumes
    from core.model.glance import Glance
    from core.model.host_report import HostFeature

_INTERRUPTED = 130
_BROKEN_PIPE = 141
_UNEXPECTED = 70
_FLAG_PROBLEM = 125


class _UnknownFlag(InvalidInput):
    """A flag before the command that nobody knows: 125, as docker has it."""


class EngineOnDemand:
    """A Backend that opens the engine when something is first asked of it."""

    def __init__(self, root: str, run_root: str) -> None:
        self._root = root
        self._run_root = run_root
        self._backend: Backend | None = None
        self._registries: Registries | None = None

    def open(self) -> Backend:
        """The engine itself. Raises: EngineError: the root can't be used, or we are not root."""
        if self._backend is None:
            if os.geteuid() != 0:
                raise _needs_root()
            app.quick.prepare()
            from pathlib import Path

            from core.engine.engine import open_engine

            self._backend = open_engine(
                Path(self._root) if self._root else None, Path(self._run_root) if self._run_root else None
            )
        return self._backend

    @property
    def containers(self) -> Containers:
        return self.open().containers

    @property
    def images(self) -> Images:
        return self.open().images

    @property
    def registries(self) -> Registries:
        """Asked of the network, and nothing of this host: anybody may, and no engine needs to be opened for it."""
        if self._registries is None:
            app.quick.prepare()
            from core.engine.registries import EngineRegistries
            from core.host.settings import read_settings

            self._registries = EngineRegistries(read_settings().registries)
        return self._registries

    @property
    def volumes(self) -> Volumes:
        return self.open().volumes

    @property
    def networks(self) -> Networks:
        return self.open().networks

    @property
    def system(self) -> System:
        return self.open().system

    def doctor(self) -> Sequence[HostFeature]:
        """Asked before an engine can be opened, perhaps because none can."""
        from pathlib import Path

        from core.about import DATA_ROOT
        from core.host.features import probe_host
        from core.host.settings import read_settings

        return probe_host(Path(self._root) if self._root else read_settings().data_root or Path(DATA_ROOT))

    def close(self) -> None:
        if self._backend is not None:
            self._backend.close()


def _needs_root() -> Denied:
    import shlex

    program = os.path.abspath(sys.argv[0])
    command = shlex.join(["sudo", program, *sys.argv[1:]])
    return Denied(
        "containers are made with mounts, namespaces and control groups, which only root may touch",
        hint=f"type: {command}",
    )


class GlobalOptions:
    """What stands before the command."""

    def __init__(self) -> None:
        self.root = os.environ.get(ROOT_VARIABLE, "")
        self.run_root = os.environ.get(RUN_ROOT_VARIABLE, "")
        self.debug = False
        self.version = False
        self.help = False


def read_global_options(words: Sequence[str]) -> tuple[GlobalOptions, list[str]]:
    """Split what stands before the command from the command.

    Raises: _UnknownFlag: a flag that is not known. InvalidInput: one without its value.
    """
    options = GlobalOptions()
    rest = list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if name in ("--root", "--run-root"):
            if not equals:
                if not rest:
                    raise InvalidInput(f"flag needs an argument: {name}")
                value = rest.pop(0)
            if not value:
                raise InvalidInput(f"{name} needs a directory")
            if name == "--root":
                options.root = os.path.abspath(value)
            else:
                options.run_root = os.path.abspath(value)
        elif word in ("--debug", "-D"):
            options.debug = True
        elif word in ("--version", "-v"):
            options.version = True
        elif word in ("--help", "-h"):
            options.help = True
        elif word == "--":
            break
        else:
            raise _UnknownFlag(f"unknown flag: {word}")
    return options, rest


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; the exit code."""
    io = shell_io()
    debug = False
    try:
        options, words = read_global_options(sys.argv[1:] if argv is None else argv)
        debug = options.debug
        return _run(options, words, io)
    except _UnknownFlag as error:
        io.complain(f"{NAME}: {error}\n\nRun '{NAME} --help' for more information")
        return _FLAG_PROBLEM
    except EngineError as error:
        from app.commands.language import explain

        explain(error, io)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        _forget_output()
        return _BROKEN_PIPE
    except Exception as error:  # the top: whatever is left is a fault of ours, and is said in one line
        if debug:
            raise
        io.complain(f"{NAME}: unexpected {type(error).__name__}: {error}")
        io.complain(f"this is a fault in {NAME}; {NAME} --debug … shows where it happened")
        return _UNEXPECTED


def program() -> NoReturn:
    """Run the program and end the process, without taking the interpreter apart first.

    That would cost as much as a container's start and free nothing that the kernel does not.
    """
    code = main()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            code = _BROKEN_PIPE
    os._exit(code)


def _forget_output() -> None:
    """Nobody reads any more: keep the interpreter from failing once again at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)


def _run(options: GlobalOptions, words: list[str], io: Io) -> int:
    if options.version:
        io.line(f"{NAME} version {VERSION}")
        return 0
    backend = EngineOnDemand(options.root, options.run_root)
    if not (words or options.help):
        return _console(backend, options, io)
    app.quick.prepare()
    try:
        if options.help:
            from app.commands.language import execute

            return execute([*words[:1], "--help"], backend, io)
        if words[:1] == ["__complete"]:
            return _complete(words[1:], backend, io)
        from app.commands.language import execute

        return execute(words, backend, io)
    finally:
        backend.close()


def _console(backend: EngineOnDemand, options: GlobalOptions, io: Io) -> int:
    if os.geteuid() != 0:
        raise _needs_root()
    if not (io.stdin_is_tty and io.out_is_tty):
        raise InvalidInput("the console needs a terminal", hint=f"'{NAME} --help' shows what can be asked without one")
    from app.console.application import run_console

    def look(most: int) -> Glance | None:
        from core.state.glance import glance

        return glance(options.root, options.run_root, most)

    try:
        return run_console(backend.open, look)
    finally:
        backend.close()


def _complete(words: list[str], backend: Backend, io: Io) -> int:
    from app.commands.completion import complete_words

    if words[:1] == ["--"]:
        words = words[1:]
    for word in complete_words(words or [""], backend):
        io.line(word)
    return 0


if __name__ == "__main__":
    program()
