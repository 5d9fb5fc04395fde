"""docker, podman and crun from the distribution's packages, each with roots of its own, beside our engine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from core.cgroups.driver import find_hierarchies
from core.engine.engine import Engine, open_engine
from core.model.progress import CancelToken, silent

PROJECT = Path(__file__).resolve().parents[2]
IMAGE = "bench/box:latest"
_HYBRID = find_hierarchies().version != "2"


class Peers:
    """Everything a bench runs against; close() takes all of it away again."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="wharf-bench-", dir="/var/tmp"))
        self.root = self.directory / "wharf"
        self.engine: Engine = open_engine(self.root)
        self._dockerd: subprocess.Popen[bytes] | None = None
        self.tar = self._root_tar()
        with self.tar.open("rb") as source:
            self.engine.images.import_tar(source, IMAGE, silent, CancelToken(), changes=['CMD ["sh"]'])
        self.docker = self._start_docker()
        self.podman = self._prepare_podman()
        self.crun = self._prepare_crun()

    # ── commands ───────────────────────────────────────────────────────────────────────────────

    def wharf(self, *words: str) -> list[str]:
        """Our command line, as an installed `wharf` would run."""
        installed = shutil.which("wharf", path=os.path.dirname(sys.executable))
        program = [installed] if installed else [sys.executable, "-m", "app"]
        return [*program, "--root", str(self.root), *words]

    def run(self, command: Sequence[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        """Run to the end; its output is thrown away unless asked for. Raises CalledProcessError."""
        options.setdefault("stdout", subprocess.DEVNULL)
        return subprocess.run(command, check=True, cwd=PROJECT, **options)  # type: ignore[call-overload,no-any-return]

    # ── peers ──────────────────────────────────────────────────────────────────────────────────

    def _root_tar(self) -> Path:
        """A root file system of a static busybox."""
        box = shutil.which("busybox")
        if box is None:
            raise SystemExit("busybox is not installed: apt-get install busybox-static")
        path = self.directory / "root.tar"
        applets = subprocess.run([box, "--list"], capture_output=True, text=True, check=True).stdout.split()
        with tarfile.open(path, "w") as tar:
            for name in ("bin", "etc", "tmp", "root"):
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(entry)
            tar.add(box, "bin/busybox")
            for applet in applets:
                if applet != "busybox":
                    entry = tarfile.TarInfo(f"bin/{applet}")
                    entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                    tar.addfile(entry)
        return path

    def _start_docker(self) -> list[str] | None:
        daemon, client = shutil.which("dockerd"), shutil.which("docker")
        if not daemon or not client:
            return None
        here = self.directory / "docker"
        here.mkdir()
        socket = f"unix://{here}/docker.sock"
        with (here / "log").open("wb") as log:
            self._dockerd = subprocess.Popen(
                [
                    *(daemon, "--data-root", str(here / "data"), "--exec-root", str(here / "exec"), "-H", socket),
                    *("--pidfile", str(here / "pid"), "--bridge=none", "--iptables=false", "--ip6tables=false"),
                ],
                stdout=log,
                stderr=log,
            )
        command = [client, "-H", socket]
        for _ in range(300):
            if subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
                self.run([*command, "import", str(self.tar), IMAGE])
                return command
            time.sleep(0.1)
        print((here / "log").read_text()[-2000:], file=sys.stderr)
        return None

    def _prepare_podman(self) -> list[str] | None:
        program = shutil.which("podman")
        if not program:
            return None
        here = self.directory / "podman"
        command = [program, "--root", str(here / "root"), "--runroot", str(here / "run"), "--cgroup-manager=cgroupfs"]
        if _HYBRID:
            command += ["--runtime", "runc"]  # crun refuses a v2 tree beside v1
        try:
            self.run([*command, "import", str(self.tar), IMAGE], stderr=subprocess.DEVNULL)
            self.run([*command, *self.podman_run("--rm"), IMAGE, "true"])
        except subprocess.CalledProcessError:
            return None
        return command

    def podman_run(self, *words: str) -> list[str]:
        """What makes podman run on a host whose root can't raise limits and whose cgroups are v1."""
        limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000"]
        return ["run", "--network", "none", *limits, *words]

    def _prepare_crun(self) -> list[str] | None:
        program = shutil.which("crun")
        if not program:
            return None
        bundle = self.directory / "bundle"
        root = bundle / "rootfs"
        root.mkdir(parents=True)
        with tarfile.open(self.tar) as tar:
            tar.extractall(root, filter="fully_trusted")
        subprocess.run([program, "spec"], cwd=bundle, check=True)
        spec = json.loads((bundle / "config.json").read_text())
        spec["process"] |= {"args": ["/bin/true"], "terminal": False}
        spec["process"].pop("rlimits", None)
        spec["root"]["readonly"] = False
        (bundle / "config.json").write_text(json.dumps(spec))
        manager = ["--cgroup-manager", "disabled"] if _HYBRID else []
        command = [program, "--root", str(self.directory / "crun"), *manager, "run", "--bundle", str(bundle)]
        try:
            self.run([*command, "probe"])
        except subprocess.CalledProcessError:
            return None
        return command

    def version_line(self) -> str:
        """Who was measured."""
        found = []
        for name, command in (("docker", self.docker), ("podman", self.podman)):
            if command:
                out = subprocess.run([command[0], "--version"], capture_output=True, text=True, check=True).stdout
                found.append(out.strip())
            else:
                found.append(f"{name}: not available")
        if self.docker:
            server = subprocess.run(
                [*self.docker, "version", "--format", "server {{.Server.Version}}"],
                capture_output=True,
                text=True,
                check=True,
            )
            found.append(server.stdout.strip())
        return "; ".join(found)

    def close(self) -> None:
        """Remove everything that was made."""
        if self._dockerd:
            running = subprocess.run(
                [*(self.docker or ["true"]), "ps", "-aq"], capture_output=True, text=True, check=False
            )
            if self.docker and running.stdout.split():
                subprocess.run([*self.docker, "rm", "-f", *running.stdout.split()], capture_output=True, check=False)
            self._dockerd.terminate()
            self._dockerd.wait(60)
        if self.podman:
            subprocess.run([*self.podman, "rm", "-fa"], capture_output=True, check=False)
            subprocess.run([*self.podman, "system", "reset", "--force"], capture_output=True, check=False)
        self.engine.system.reset()
        shutil.rmtree(self.directory, ignore_errors=True)
