"""Hosts, bridges and containers as network namespaces of their own: nothing of them is seen outside.

A Space is a process that holds a namespace; functions run in it in a fork of the test.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.model.network import Network, Subnet

CLONE_NEWNET, CLONE_NEWNS = 0x40000000, 0x20000
_libc = ctypes.CDLL(None, use_errno=True)
HOST4, HOST6 = "192.0.2.1", "fd00:9::1"
LAN4, LAN6 = "192.0.2.2", "fd00:9::2"


class Space:
    """A network namespace as long as this object's process lives."""

    def __init__(self) -> None:
        self.pid = _child(_hold)

    def __enter__(self) -> Space:
        return self

    def __exit__(self, *_: object) -> None:
        _end(self.pid)

    @property
    def path(self) -> str:
        return f"/proc/{self.pid}/ns/net"

    def ip(self, *lines: str) -> None:
        """Commands of the ip tool."""
        command = ["nsenter", "-t", str(self.pid), "-n", "ip", "-force", "-batch", "-"]
        done = subprocess.run(command, input="\n".join(lines), text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr

    def shell(self, command: str) -> str:
        """A command's output."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.pid), "-n", "sh", "-c", command], text=True, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function returns, or raises, here."""
        reading, writing = os.pipe()

        def work() -> None:
            self._enter()
            try:
                answer = (True, function(*arguments))
            except Exception as error:
                error.__traceback__ = None
                answer = (False, error)
            with os.fdopen(writing, "wb") as file:
                pickle.dump(answer, file)

        pid = _child(work)
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            data = file.read()
        os.waitpid(pid, 0)
        is_fine, answer = pickle.loads(data)
        if not is_fine:
            raise answer
        return answer

    @contextmanager
    def running(self, function: Callable[..., Any], *arguments: Any) -> Iterator[int]:
        """A function that runs meanwhile; it calls its first argument once it is ready."""
        reading, writing = os.pipe()

        def work() -> None:
            os.close(reading)
            self._enter()
            function(lambda: os.write(writing, b"!"), *arguments)

        pid = _child(work)
        os.close(writing)
        try:
            assert os.read(reading, 1), f"{function.__name__} did not come up"
            os.close(reading)
            yield pid
        finally:
            _end(pid)

    def _enter(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY)
        if _libc.setns(descriptor, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(descriptor)


def _hold() -> None:
    time.sleep(1000)


def _child(function: Callable[[], None]) -> int:
    """A fork that runs a function; with a namespace of its own if it is to hold one."""
    is_holder = function is _hold
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
        return pid
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if is_holder and _libc.unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        os.close(writing)
        function()
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
        os._exit(1)
    os._exit(0)


def _end(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.waitpid(pid, 0)


class Lab:
    """A host with an uplink to a neighbour, and bridges with containers on them."""

    def __init__(self) -> None:
        self.host, self.lan = Space(), Space()
        self.containers: dict[str, Space] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        """As core.model.network.Endpoint has them, by container."""
        self._count = 0
        self.lan.ip("link set lo up")
        self.host.ip(
            "link set lo up",
            f"link add eth0 type veth peer name eth0 netns {self.lan.pid}",
            f"addr add {HOST4}/24 dev eth0",
            f"addr add {HOST6}/64 dev eth0 nodad",
            "link set eth0 up",
        )
        self.lan.ip(f"addr add {LAN4}/24 dev eth0", f"addr add {LAN6}/64 dev eth0 nodad", "link set eth0 up")
        self.host.run(_forward)

    def bridge(self, name: str, number: int, **fields: Any) -> Network:
        """A network 172.30.<number>.0/24 and fd00:30:<number>::/64 without a firewall as yet."""
        self.host.ip(
            f"link add {name} type bridge",
            f"addr add 172.30.{number}.1/24 dev {name}",
            f"addr add fd00:30:{number}::1/64 dev {name} nodad",
            f"link set {name} up",
        )
        subnets = (
            Subnet(subnet=f"172.30.{number}.0/24", gateway=f"172.30.{number}.1"),
            Subnet(subnet=f"fd00:30:{number}::/64", gateway=f"fd00:30:{number}::1"),
        )
        return Network(
            name=name, id=f"{number:064x}", created_ns=1, driver="bridge", subnets=subnets, interface=name, **fields
        )

    def container(self, name: str, network: Network, last: int, *, default_route: bool = True) -> Space:
        """A namespace on a bridge, with <last> as the end of its addresses."""
        space = self.containers[name] = Space()
        self._count += 1
        end = f"veth{self._count}"
        number = network.subnets[0].subnet.split(".")[2]
        self.host.ip(
            f"link add {end} type veth peer name eth0 netns {space.pid}",
            f"link set {end} master {network.interface} up",
        )
        space.ip(
            "link set lo up",
            f"addr add 172.30.{number}.{last}/24 dev eth0",
            f"addr add fd00:30:{number}::{last}/64 dev eth0 nodad",
            "link set eth0 up",
        )
        self.endpoints[name] = {
            "host_interface": end,
            "mac": space.shell("ip -o link show eth0").partition("link/ether ")[2][:17],
            "ipv4": f"172.30.{number}.{last}",
            "ipv6": f"fd00:30:{number}::{last}",
        }
        if default_route:
            space.ip(f"route add default via 172.30.{number}.1", f"route add default via fd00:30:{number}::1")
        return space

    def close(self) -> None:
        for space in (*self.containers.values(), self.host, self.lan):
            space.__exit__()


def _forward() -> None:
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")


def serve(ready: Callable[[], None], port: int, word: bytes = b"") -> None:
    """Answers everybody on TCP and UDP, in both families, with a word or the address they come from."""
    import selectors

    wait = selectors.DefaultSelector()
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        made = socket.socket(socket.AF_INET6, kind)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind(("::", port))
        if kind == socket.SOCK_STREAM:
            made.listen(100)
        wait.register(made, selectors.EVENT_READ)
    ready()
    while True:
        for key, _ in wait.select():
            found = key.fileobj
            assert isinstance(found, socket.socket)
            if found.type == socket.SOCK_STREAM:
                connection, peer = found.accept()
                connection.sendall(word or _plain(peer[0]))
                connection.close()
            else:
                _, peer = found.recvfrom(65535)
                found.sendto(word or _plain(peer[0]), peer)


def _plain(address: str) -> bytes:
    return address.removeprefix("::ffff:").encode()


def ask(address: str, port: int, protocol: str = "tcp", wait_s: float = 3.0) -> str:
    """The server's answer, or why there is none: refused, silent, unreachable, reset."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(family, kind) as client:
        client.settimeout(wait_s)
        try:
            client.connect((address, port))
            if protocol == "udp":
                client.send(b"?")
            return client.recv(100).decode() or "closed"
        except TimeoutError:
            return "silent"
        except ConnectionRefusedError:
            return "refused"
        except ConnectionResetError:
            return "reset"
        except OSError:
            return "unreachable"
