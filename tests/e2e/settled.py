"""`wharf` on a host with settings of its own: /etc is laid over in a mount namespace, the host's stays as it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.compat.targets import Cli, Wharf

_ENTER = (
    "mkdir -p $0/etc/wharf $0/work && mount --make-rprivate / && "
    "mount -t overlay overlay -o lowerdir=/etc,upperdir=$0/etc,workdir=$0/work /etc && "
    "echo ready && exec sleep infinity"
)


class SettledWharf(Wharf):
    """Commands in that namespace; with `own_network` in a network namespace of its own too, its loopback up."""

    def __init__(self, *, own_network: bool = False) -> None:
        self._own_network = own_network
        self._space: subprocess.Popen[bytes] | None = None
        Cli.__init__(self)
        script = ("ip link set lo up && " if own_network else "") + _ENTER
        words = ["unshare", "-m", *(["-n"] if own_network else []), "sh", "-ec", script, str(self.directory / "over")]
        self._space = subprocess.Popen(words, stdout=subprocess.PIPE)
        assert self._space.stdout is not None
        assert self._space.stdout.readline() == b"ready\n"
        self.env["DOCKER_CONFIG"] = str(self.directory / "docker")
        self.env["PYTHONPATH"] = str(Path(__file__).parents[2])
        self.ok("starter")

    def argv(self, *words: str) -> list[str]:
        return [*self.into(), sys.executable, "-m", "app", "--root", str(self.directory / "data"), *words]

    def into(self) -> list[str]:
        """What leads a command into its namespaces."""
        assert self._space is not None
        return ["nsenter", "-t", str(self._space.pid), "-m", *(["-n"] if self._own_network else [])]

    @property
    def config(self) -> Path:
        """Docker's config.json of whoever types the commands."""
        return self.directory / "docker" / "config.json"

    def settings(self, document: object) -> None:
        """Write daemon.json: a document, or any text."""
        text = document if isinstance(document, str) else json.dumps(document)
        self.write("wharf/daemon.json", text)

    def write(self, name: str, text: str) -> None:
        """Write a file of its /etc."""
        subprocess.run(
            [*self.into(), "sh", "-c", 'mkdir -p "$(dirname "/etc/$0")"; cat >"/etc/$0"', name],
            input=text.encode(),
            check=True,
        )

    def clean(self) -> None:
        """And nobody is logged in any more."""
        self.settings({})
        self.config.unlink(missing_ok=True)
        if self._own_network:  # an engine in this process would look for bridges in another namespace
            Cli.clean(self)
        else:
            super().clean()

    def close(self) -> None:
        assert self._space is not None
        self.settings({})
        super().close()
        self._space.kill()
        self._space.communicate()
