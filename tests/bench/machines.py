"""What is measured: our engine in process, our command line, and the peers' command lines."""

from __future__ import annotations

import compileall
import json
import shutil
import subprocess
import sys
from pathlib import Path

from core.backend import AttachWish
from core.cgroups.driver import find_hierarchies
from core.engine.engine import Engine, open_engine
from core.model.container import ContainerSpec, ExecSpec
from tests.compat.targets import PROJECT, Cli, Docker, Podman, Wharf, busybox_tar


class InstalledWharf(Wharf):
    """Our command line as it is installed: compiled, and called by its entry point. Without a network, as its peers."""

    run_options = ("--network", "none")

    def __init__(self) -> None:
        compileall.compile_dir(str(PROJECT / "app"), quiet=2)
        compileall.compile_dir(str(PROJECT / "core"), quiet=2)
        super().__init__()

    def argv(self, *words: str) -> list[str]:
        start = "from app.main import program; program()"
        return [sys.executable, "-c", start, "--root", str(self.directory / "data"), *words]


class IsolatedDocker(Docker):
    """Docker giving what our containers have: a network namespace of their own, with nothing in it."""

    run_options = ("--network", "none")


class IsolatedPodman(Podman):
    """Podman likewise."""

    run_options = ("--network", "none", *Podman.run_options[2:])


class NetworkedDocker(Docker):
    """Docker with its usual bridge and firewall: only for a network namespace of its own."""

    run_options = ()
    network_options = ("--bip", "10.202.0.1/16")


class NetworkedPodman(Podman):
    """Podman with its usual bridge."""

    run_options = Podman.run_options[2:]


class InProcess:
    """Our engine, called as the console calls it."""

    def __init__(self, cli: Wharf) -> None:
        self.engine: Engine = open_engine(cli.directory / "data")
        self.image = cli.image

    def run(self, *argv: str) -> int | None:
        """Create, start, read to the end, remove."""
        containers = self.engine.containers
        spec = ContainerSpec(image=self.image, command=argv, auto_remove=True, attach_stdout=True, attach_stderr=True)
        attachment = containers.start(containers.create(spec).id, AttachWish())
        return _ended(attachment)

    def exec(self, container: str, *argv: str) -> int | None:
        """Run one more process and read it to its end."""
        return _ended(self.engine.containers.exec(container, ExecSpec(argv=argv), AttachWish()))


def _ended(attachment: object) -> int | None:
    from core.engine.attachments import LocalAttachment

    assert isinstance(attachment, LocalAttachment)
    while attachment.read() is not None:
        pass
    code = attachment.exit_code()
    attachment.close()
    return code


class Runtime:
    """runc or crun alone: no image, no state to keep, no log. The floor of the others."""

    def __init__(self, program: str, directory: Path) -> None:
        self.program = program
        # crun refuses a v2 tree beside v1 unless it leaves cgroups alone, which makes it a little faster
        hybrid = find_hierarchies().version != "2"
        self._options = ["--cgroup-manager", "disabled"] if program == "crun" and hybrid else []
        self._bundle = directory / program
        self._bundle.mkdir()
        archive = busybox_tar(self._bundle)
        (self._bundle / "rootfs").mkdir()
        subprocess.run(["tar", "-C", str(self._bundle / "rootfs"), "-xf", str(archive)], check=True)
        subprocess.run([program, "spec"], cwd=self._bundle, check=True)
        config = json.loads((self._bundle / "config.json").read_text())
        config["process"] |= {"terminal": False, "args": ["/bin/true"], "rlimits": []}
        (self._bundle / "config.json").write_text(json.dumps(config))

    def run(self) -> None:
        """One container from nothing to nothing."""
        subprocess.run(
            [self.program, *self._options, "--root", str(self._bundle / "state"), "run", "bench"],
            cwd=self._bundle,
            check=True,
            capture_output=True,
        )


class Machines:
    """Everything that is measured, opened; and why the rest is not."""

    def __init__(self) -> None:
        self.wharf = InstalledWharf()
        self.engine = InProcess(self.wharf)
        self.peers: dict[str, Cli] = {}
        self.runtimes: dict[str, Runtime] = {}
        self.missing: dict[str, str] = {}
        for name, kind in (("docker", IsolatedDocker), ("podman", IsolatedPodman)):
            if not shutil.which("dockerd" if name == "docker" else name):
                self.missing[name] = "not installed"
                continue
            self.peers[name] = kind()
        for name in ("runc", "crun"):
            if not shutil.which(name):
                self.missing[name] = "not installed"
                continue
            runtime = Runtime(name, self.wharf.directory)
            try:
                runtime.run()
            except subprocess.CalledProcessError as error:
                self.missing[name] = error.stderr.decode(errors="replace").strip().splitlines()[-1]
            else:
                self.runtimes[name] = runtime

    @property
    def command_lines(self) -> dict[str, Cli]:
        """Ours first."""
        return {"wharf": self.wharf, **self.peers}

    def close(self) -> None:
        """Stop what was started and remove every root."""
        for cli in self.command_lines.values():
            cli.clean()
            cli.close()
