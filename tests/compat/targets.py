"""Command lines to test: wharf, docker, podman. Each lives on a root of its own and leaves nothing."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from core.engine.engine import open_engine
from core.model.network import PREDEFINED

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
PREDEFINED_NETWORKS = {"bridge", "host", "none", "podman"}


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


_AT_ONCE = 50
"""Containers to remove by one command: docker takes a minute for some hundreds."""


class Terminal:
    """A command on a terminal of its own, as a person at a keyboard has it."""

    def __init__(self, argv: Sequence[str], env: dict[str, str]) -> None:
        self.seen = b""
        self._pid, self._master = pty.fork()
        if self._pid == 0:
            os.execvpe(argv[0], list(argv), env)

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._master, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        """Change the window; the command gets SIGWINCH."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def expect(self, text: str, *, within_s: float = PATIENCE_S) -> str:
        """Wait for a text after what was expected before; all that came up to its end."""
        wanted = text.encode()
        deadline = time.monotonic() + within_s
        while wanted not in self.seen:
            ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"{text!r} did not come; there was {self.seen!r}")
            try:
                piece = os.read(self._master, 65536)
            except OSError:
                piece = b""
            if not piece:
                raise AssertionError(f"{text!r} did not come before the end; there was {self.seen!r}")
            self.seen += piece
        before, _, self.seen = self.seen.partition(wanted)
        return (before + wanted).decode(errors="replace")

    def wait(self, *, within_s: float = PATIENCE_S) -> int:
        """Read to the end; the exit code."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            ready, _, _ = select.select([self._master], [], [], 0.1)
            if ready:
                try:
                    self.seen += os.read(self._master, 65536)
                    continue
                except OSError:
                    pass
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                self._pid = 0
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(f"it did not end; there was {self.seen!r}")

    def close(self) -> None:
        """End it whatever it does."""
        os.close(self._master)
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


class Cli:
    """A docker-like command line."""

    name = ""
    image = ""
    run_options: tuple[str, ...] = ()
    """What every run and create needs on this kind of host."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"wharf-e2e-{self.name}-", dir="/var/tmp"))
        self.env = {**os.environ, "LC_ALL": "C.UTF-8", "COLUMNS": "80"}
        self._terminals: list[Terminal] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    def argv(self, *words: str) -> list[str]:
        """The whole command for some words."""
        raise NotImplementedError

    def __call__(self, *words: str, stdin: bytes | None = None) -> Done:
        """Run to the end, whatever the exit code."""
        done = subprocess.run(
            self.argv(*words),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            env=self.env,
            timeout=PATIENCE_S,
            check=False,
        )
        return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def ok(self, *words: str, stdin: bytes | None = None) -> str:
        """Run something that must succeed; its output without the last newline."""
        done = self(*words, stdin=stdin)
        assert done.code == 0, done
        return done.out.rstrip("\n")

    def run(self, *words: str, stdin: bytes | None = None) -> Done:
        """`run` with this target's needs; IMAGE stands for its image."""
        return self(*self.run_words("run", *words), stdin=stdin)

    def start_sleeper(self, name: str, *options: str) -> str:
        """A container that does nothing for long; its id."""
        return self.ok(*self.run_words("run", "-d", "--name", name, *options, "IMAGE", "sleep", "1000"))

    def run_words(self, verb: str, *words: str) -> list[str]:
        """The words of a run or create."""
        return [verb, *self.run_options, *(self.image if word == "IMAGE" else word for word in words)]

    def terminal(self, *words: str) -> Terminal:
        """A command on a terminal."""
        terminal = Terminal(self.argv(*words), self.env)
        self._terminals.append(terminal)
        return terminal

    def spawn(self, *words: str) -> subprocess.Popen[bytes]:
        """A command that goes on meanwhile, its three streams pipes."""
        process = subprocess.Popen(
            self.argv(*words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.env,
        )
        self._processes.append(process)
        return process

    def at_host(self, *words: str) -> Done:
        """A command in the network that this target calls its host's."""
        done = subprocess.run(
            [*self.into_network(), *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def into_network(self) -> list[str]:
        """What leads a command into that network; empty where it is our own."""
        return []

    def field(self, name: str, template: str) -> str:
        """Something of `inspect`."""
        return self.ok("inspect", "--format", template, name)

    def status(self, name: str) -> str:
        """`running`, `exited`, …"""
        return self.field(name, "{{.State.Status}}")

    def end_processes(self) -> None:
        """End the commands that still go on."""
        for terminal in self._terminals:
            terminal.close()
        for process in self._processes:
            process.kill()
            process.communicate()
        self._terminals, self._processes = [], []

    def clean(self) -> None:
        """Remove every container, volume and image that a test has made."""
        self.end_processes()
        containers = self.ok("ps", "-aq").split()
        for first in range(0, len(containers), _AT_ONCE):
            some = containers[first : first + _AT_ONCE]
            self("unpause", *some)
            self("rm", "-f", "-v", *some)
        volumes = self.ok("volume", "ls", "-q").split()
        if volumes:
            self("volume", "rm", *volumes)
        networks = set(self.ok("network", "ls", "--format", "{{.Name}}").split()) - PREDEFINED_NETWORKS
        if networks:
            self("network", "rm", *networks)
        names = self.ok("images", "--format", "{{.Repository}}:{{.Tag}}").split("\n")
        others = [name for name in names if name and name != self.image and "<none>" not in name]
        others += self.ok("images", "-q", "-f", "dangling=true").split()
        if others:
            self("rmi", "-f", *others)
        assert self.ok("images", "-q", self.image), f"a test has taken {self.image} away"

    def close(self) -> None:
        """Remove the root."""
        shutil.rmtree(self.directory, ignore_errors=True)


class Wharf(Cli):
    """This project, as a command of its own process each time."""

    name = "wharf"
    image = "wharf/starter:latest"

    def __init__(self) -> None:
        super().__init__()
        ours = [str(PROJECT), os.environ.get("PYTHONPATH", "")]
        self.env["PYTHONPATH"] = os.pathsep.join(filter(None, ours))
        self.ok("starter")

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "app", "--root", str(self.directory / "data"), *words]

    def clean(self) -> None:
        """Through the engine in this process: six commands after each test would take most of the time."""
        self.end_processes()
        engine = open_engine(self.directory / "data")
        for container in engine.containers.list(all=True):
            engine.containers.remove(container.id, force=True, volumes=True)
        for volume in engine.volumes.list():
            engine.volumes.remove(volume.name)
        for network in engine.networks.list():
            if network.name not in PREDEFINED:
                engine.networks.remove(network.id)
        for image in engine.images.list(all=True):
            if self.image not in image.tags:
                engine.images.remove(image.id, force=True)
            else:
                for name in set(image.tags) - {self.image}:
                    engine.images.remove(name)
        assert engine.images.inspect(self.image)

    def close(self) -> None:
        self.ok("system", "reset", "-f")
        super().close()


class NetworkedWharf(Wharf):
    """The same in a network namespace of its own: runs beside each other have the same ports and addresses."""

    def __init__(self) -> None:
        self._space = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up && echo ready && exec sleep infinity"],
            stdout=subprocess.PIPE,
        )
        assert self._space.stdout is not None
        assert self._space.stdout.readline() == b"ready\n"
        super().__init__()

    def argv(self, *words: str) -> list[str]:
        return [*self.into_network(), *super().argv(*words)]

    def into_network(self) -> list[str]:
        return ["nsenter", "-t", str(self._space.pid), "-n"]

    def clean(self) -> None:
        """By commands: an engine in this process would look for bridges in another namespace."""
        Cli.clean(self)

    def close(self) -> None:
        super().close()
        self._space.kill()
        self._space.communicate()


class Docker(Cli):
    """The docker CLI and a dockerd that we start, with no network of its own."""

    name = "docker"
    image = "peer/busybox:latest"
    run_options: tuple[str, ...] = ("--network", "host")
    beginning: tuple[str, ...] = ()
    """What its daemon's command line begins with."""
    network_options: tuple[str, ...] = ("--bridge=none", "--iptables=false", "--ip6tables=false")

    def __init__(self) -> None:
        super().__init__()
        root = self.directory
        self.env["DOCKER_HOST"] = f"unix://{root}/docker.sock"
        self._daemon = subprocess.Popen(
            [
                *(*self.beginning, "dockerd", "--data-root", f"{root}/data", "--exec-root", f"{root}/exec"),
                *("-H", self.env["DOCKER_HOST"], "--pidfile", f"{root}/pid"),
                *self.network_options,
            ],
            stdin=subprocess.DEVNULL,
            stdout=(root / "log").open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        deadline = time.monotonic() + PATIENCE_S
        while self("version").code:
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd did not start:\n{(root / 'log').read_text()[-2000:]}")
            time.sleep(0.2)
        self.ok("import", str(busybox_tar(root)), self.image)

    @property
    def daemon_pid(self) -> int:
        """Of its dockerd."""
        return self._daemon.pid

    def argv(self, *words: str) -> list[str]:
        return ["docker", *words]

    def close(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(PATIENCE_S)
        unmount_below(self.directory)
        super().close()


class NetworkedDocker(Docker):
    """A dockerd with networks, in a network namespace of its own: the host's bridges and rules are left alone."""

    run_options = ()
    beginning = ("unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
    network_options = ()

    def into_network(self) -> list[str]:
        return ["nsenter", "-t", str(self._daemon.pid), "-n"]


class Podman(Cli):
    """Podman on storage of its own. Its default limits need CAP_SYS_RESOURCE, which test hosts may lack."""

    name = "podman"
    image = "localhost/peer/busybox:latest"
    run_options = ("--network", "host", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096")

    def __init__(self) -> None:
        super().__init__()
        self.ok("import", str(busybox_tar(self.directory)), self.image)

    def close(self) -> None:
        unmount_below(self.directory)
        super().close()

    def argv(self, *words: str) -> list[str]:
        root = self.directory
        return ["podman", "--root", f"{root}/root", "--runroot", f"{root}/run", "--runtime", "runc", *words]


def unmount_below(directory: Path) -> None:
    """Take away the mounts that a peer leaves in its root (network namespaces, its own bind)."""
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for point in sorted(points, reverse=True):
        if point.startswith(f"{directory}/"):
            subprocess.run(["umount", point], check=True)


def busybox_tar(directory: Path) -> Path:
    """A root file system for the peers, of the same busybox that wharf's starter image holds."""
    root, archive = directory / "busybox", directory / "busybox.tar"
    for folder in ("bin", "etc", "root", "tmp"):
        (root / folder).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for applet in subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")
    subprocess.run(["tar", "--numeric-owner", "-C", str(root), "-cf", str(archive), "."], check=True)
    shutil.rmtree(root)
    return archive


TARGETS: dict[str, type[Cli]] = {
    "wharf": Wharf,
    "docker": Docker,
    "podman": Podman,
    "networked wharf": NetworkedWharf,
    "networked docker": NetworkedDocker,
}


def opened(name: str) -> Iterator[Cli]:
    """A target for as long as somebody uses it."""
    cli = TARGETS[name]()
    try:
        yield cli
    finally:
        cli.close()


def eventually(what: str, condition: object, *, within_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds; it is an error if it never does."""
    assert callable(condition)
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"never: {what}")
        time.sleep(0.05)
