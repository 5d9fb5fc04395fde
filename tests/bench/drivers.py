"""Log drivers: how fast a container writes when its output goes to each of them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.logs import BYTES, LINE
from tests.bench.machines import Machines
from tests.bench.measures import Row, seconds

DRIVERS = {
    "local": (),
    "json-file": (),
    "json-file, rotated": ("--log-opt", "max-size=10m", "--log-opt", "max-file=3"),
    "syslog over tcp": (),
    "none": (),
}


def measure(machines: Machines, rounds: int) -> Iterator[Row]:
    """The best of a few rounds, docker beside us; podman has other drivers."""
    names = [name for name in machines.command_lines if name != "podman"]
    for driver, options in DRIVERS.items():
        taken: dict[str, list[float]] = {}
        for number in range(rounds):
            for name in names:
                cli = machines.command_lines[name]
                key = f"driver{number}"
                with _server() as address:
                    own = ("--log-opt", f"syslog-address={address}") if driver.startswith("syslog") else options
                    words = ("--log-driver", driver.split()[0].rstrip(","), *own)
                    script = f"yes {LINE} | head -c {BYTES}"
                    began = time.perf_counter()
                    cli.ok(*cli.run_words("run", "-d", "--name", key, *words, "IMAGE", "sh", "-c", script))
                    cli.ok("wait", key)
                    taken.setdefault(name, []).append(time.perf_counter() - began)
                    cli.ok("rm", key)
        yield seconds(f"log driver: {driver}, 64 MB", {n: min(t) for n, t in taken.items()}, goal="docker >= 2x")


@contextmanager
def _server() -> Iterator[str]:
    """A syslog server that reads as fast as it can and keeps nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drink() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    while connection.recv(1 << 20):
                        pass

        threading.Thread(target=drink, daemon=True).start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
