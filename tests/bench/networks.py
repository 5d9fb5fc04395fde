"""Networks: from a start to the first answered request, through a published port, between containers, names.

Everything runs in a network namespace of its own (inside.py makes it), so that a dockerd with its firewall
disturbs nobody; a neighbour on a link of it is the other host.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from core.engine.engine import Engine
from core.model.container import ContainerSpec
from core.model.ports import PortWish
from tests.bench.machines import Machines, NetworkedDocker, NetworkedPodman
from tests.bench.measures import Row, in_turns, milliseconds, seconds
from tests.compat.targets import Cli

NEIGHBOUR, HOST = "10.201.0.2", "10.201.0.1"
BULK_BYTES = 512 * 1024 * 1024
FEW_BYTES = 64 * 1024 * 1024
"""Busybox passes on a kilobyte at a time."""
PINGS = 2000
QUESTIONS = 3000
SERVE = ("httpd", "-f", "-p", "80", "-h", "/etc")
_PORTS = iter(range(21000, 60000))
_ASK_NAMES = """
import socket, sys, time
server, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
query = b"\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + bytes((len(name),)) + name.encode() + b"\\0\\0\\1\\0\\1"
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(5)
asking.connect((server, 53))
began = time.perf_counter()
for _ in range(count):
    asking.send(query)
    assert asking.recv(512)[7] >= 1
print(time.perf_counter() - began)
"""
_AT_NEIGHBOURS = ("ip", "netns", "exec", "neighbour", sys.executable, "-c")
_SEND = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as sink:
    piece, left = bytes(1 << 20), int(sys.argv[3])
    began = time.perf_counter()
    while left > 0:
        sink.sendall(piece)
        left -= len(piece)
    sink.shutdown(socket.SHUT_WR)
    sink.recv(1)
    print(time.perf_counter() - began)
"""
_PING = """
import socket, sys, time
with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as echo:
    echo.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    times = []
    for _ in range(int(sys.argv[3])):
        began = time.perf_counter()
        echo.sendall(b"x")
        assert echo.recv(1)
        times.append(time.perf_counter() - began)
print(sorted(times)[len(times) // 2])
"""


def measure(machines: Machines, rounds: int, *, crowd: int) -> Iterator[Row]:
    """Peers with bridges of their own; ours with its default one."""
    peers: dict[str, Cli] = {"docker": NetworkedDocker(), "podman": NetworkedPodman()}
    with _neighbour(), contextlib.ExitStack() as closing:
        for cli in peers.values():
            closing.callback(cli.close)
        closing.callback(setattr, machines.wharf, "run_options", machines.wharf.run_options)
        machines.wharf.run_options = ()
        clis: dict[str, Cli] = {"wharf": machines.wharf, **peers}
        engine = machines.engine.engine
        yield from _first_answers(engine, clis, rounds)
        yield from _traffic(clis, rounds)
        yield from _names(clis)
        yield from _joining(clis, rounds)
        yield _crowd(clis, crowd)


@contextlib.contextmanager
def _neighbour() -> Iterator[None]:
    """Another host: a namespace at the end of a link."""
    for words in (
        "ip netns add neighbour",
        "ip link add outside type veth peer name eth0 netns neighbour",
        f"ip addr add {HOST}/24 dev outside",
        "ip link set outside up",
        f"ip -n neighbour addr add {NEIGHBOUR}/24 dev eth0",
        "ip -n neighbour link set eth0 up",
        "ip -n neighbour link set lo up",
    ):
        subprocess.run(words.split(), check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "netns", "del", "neighbour"], check=True)


def _answer(address: str, port: int, *, patience_s: float = 30.0) -> None:
    """Ask again and again until a web server answers."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            with socket.create_connection((address, port), timeout=2) as connection:
                connection.sendall(b"GET /passwd HTTP/1.0\r\n\r\n")
                if connection.recv(64).startswith(b"HTTP/1"):
                    return
        except OSError:
            pass
        assert time.monotonic() < deadline, f"nobody answers at {address}:{port}"
        time.sleep(0.0005)


def _first_answers(engine: Engine, clis: dict[str, Cli], rounds: int) -> Iterator[Row]:
    """Create, start, and the first page from the port; the removal is not counted."""
    taken: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for name in ("wharf in process", *clis):
            port = next(_PORTS)
            began = time.perf_counter()
            if name == "wharf in process":
                wish = PortWish(container_port=80, host_first=port)
                spec = ContainerSpec(
                    image=clis["wharf"].image, command=SERVE, name="first", network="bridge", ports=(wish,)
                )
                engine.containers.start(engine.containers.create(spec).id)
            else:
                clis[name].ok(
                    *clis[name].run_words("run", "-d", "--name", "first", "-p", f"{port}:80", "IMAGE", *SERVE)
                )
            _answer("127.0.0.1", port)
            if number:
                taken.setdefault(name, []).append(time.perf_counter() - began)
            clis["wharf" if name == "wharf in process" else name].ok("rm", "-f", "first")
    medians = {name: statistics.median(times) for name, times in taken.items()}
    inside = {name: value for name, value in medians.items() if name != "wharf"}
    inside["wharf"] = inside.pop("wharf in process")
    yield milliseconds("start with a published port to the first answer, in process", inside, goal="docker >= 12x")
    del medians["wharf in process"]
    yield milliseconds("the same, run -d as a whole command", medians)


def _at_neighbour(script: str, *words: object) -> float:
    """Run a script on the other host; the seconds it prints."""
    done = subprocess.run(
        [*_AT_NEIGHBOURS, script, *map(str, words)], capture_output=True, text=True, check=True, timeout=120
    )
    return float(done.stdout)


def _traffic(clis: dict[str, Cli], rounds: int) -> Iterator[Row]:
    """Bulk and echo, from another host through a published port, from this host's loopback, and between containers."""
    ports: dict[str, tuple[int, int]] = {}
    for name, cli in clis.items():
        sink, echo = ports[name] = next(_PORTS), next(_PORTS)
        script = "nc -ll -p 5001 -e cat & exec nc -ll -p 5000 -e sh -c 'cat >/dev/null'"
        published = ("-p", f"{sink}:5000", "-p", f"{echo}:5001")
        cli.ok(*cli.run_words("run", "-d", "--name", "server", *published, "IMAGE", "sh", "-c", script))
        cli.start_sleeper("client")
    time.sleep(1)
    few = max(rounds // 5, 2)

    def each(action: Callable[[str], float]) -> dict[str, float]:
        return {
            name: statistics.median(values)
            for name, values in _turns({name: (lambda name=name: action(name)) for name in clis}, few).items()
        }

    what = f"{BULK_BYTES >> 20} MiB"
    yield seconds(
        f"{what} from another host", each(lambda name: _at_neighbour(_SEND, HOST, ports[name][0], BULK_BYTES))
    )
    yield milliseconds(
        "one byte there and back, another host", each(lambda name: _at_neighbour(_PING, HOST, ports[name][1], PINGS))
    )
    yield seconds(f"{what} from loopback", each(lambda name: _here(_SEND, "127.0.0.1", ports[name][0], BULK_BYTES)))
    yield milliseconds(
        "one byte there and back, loopback", each(lambda name: _here(_PING, "127.0.0.1", ports[name][1], PINGS))
    )

    def between(name: str) -> float:
        cli = clis[name]
        address = cli.field("server", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
        began = time.perf_counter()
        cli.ok("exec", "client", "sh", "-c", f"dd if=/dev/zero bs=64k count={FEW_BYTES >> 16} | nc {address} 5000")
        return time.perf_counter() - began

    yield seconds(f"{FEW_BYTES >> 20} MiB between two containers, with exec", each(between))
    for cli in clis.values():
        cli.ok("rm", "-f", "server", "client")


def _here(script: str, *words: object) -> float:
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, words)], capture_output=True, text=True, check=True, timeout=120
    )
    return float(done.stdout)


def _turns(actions: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            found[name].append(action())
    return found


def _names(clis: dict[str, Cli]) -> Iterator[Row]:
    """The answerer of a user network, asked for a neighbour's name one question after another."""
    taken: dict[str, float] = {}
    for name, cli in clis.items():
        cli.ok("network", "create", "named")
        for container in ("asker", "asked"):
            cli.start_sleeper(container, "--network", "named")
        pid = cli.field("asker", "{{.State.Pid}}")
        server = "127.0.0.11"
        if name == "podman":  # its answerer, where it is installed, listens at the gateway
            server = cli.field("asker", "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}")
        words = ["nsenter", "-t", pid, "-n", sys.executable, "-c", _ASK_NAMES, server, "asked", str(QUESTIONS)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode == 0:
            taken[name] = float(done.stdout) / QUESTIONS
        cli.ok("rm", "-f", "asker", "asked")
        cli.ok("network", "rm", "named")
    yield milliseconds("one name answered", taken)


def _joining(clis: dict[str, Cli], rounds: int) -> Iterator[Row]:
    """connect and disconnect of a running container."""
    for cli in clis.values():
        cli.ok("network", "create", "joined")
        cli.start_sleeper("joiner")

    def join(cli: Cli) -> Callable[[], object]:
        def both() -> None:
            cli.ok("network", "connect", "joined", "joiner")
            cli.ok("network", "disconnect", "joined", "joiner")

        return both

    wanted = {name: join(cli) for name, cli in clis.items() if name != "podman"}
    yield milliseconds("network connect and disconnect, whole commands", in_turns(wanted, max(rounds // 3, 2)))
    for cli in clis.values():
        cli.ok("rm", "-f", "joiner")
        cli.ok("network", "rm", "joined")


def _crowd(clis: dict[str, Cli], count: int) -> Row:
    """Many containers on one network, one whole command after another."""
    taken: dict[str, float] = {}
    for name, cli in clis.items():
        few = count if name == "wharf" else max(count // 5, 2)
        began = time.perf_counter()
        for number in range(few):
            cli.start_sleeper(f"many{number}")
        taken[name] = (time.perf_counter() - began) / few * count
        cli.ok("rm", "-f", *(f"many{number}" for number in range(few)))
    return seconds(f"{count} containers on one network (peers: of a fifth)", taken, goal="<= 5 s")
