"""A real dockerd on the same host, with its own iptables rules and its FORWARD policy of DROP."""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.network.nft_rules import NftablesFirewall
from tests.conftest import wait_until
from tests.network_lab import HOST4, LAN4, Lab, Space, ask, serve
from tests.security.test_networks import SILENT_S, TAG, network, publish, wish


@contextmanager
def dockerd(host: Space) -> Iterator[None]:
    """In the host's network namespace and a mount namespace of its own; it ends with the block."""
    assert shutil.which("dockerd"), "this test needs Docker's daemon: apt-get install docker.io"
    root = Path(tempfile.mkdtemp(prefix="wharf-dockerd-", dir="/var/tmp"))
    command = ["nsenter", "-t", str(host.pid), "-n", "unshare", "-m", "--propagation", "private", "dockerd"]
    command += ["--data-root", f"{root}/data", "--exec-root", f"{root}/exec", "--pidfile", f"{root}/pid"]
    command += ["-H", f"unix://{root}/docker.sock", "--storage-driver", "vfs", "--ip6tables", "--experimental"]
    host.shell("echo 0 > /proc/sys/net/ipv4/ip_forward")  # where dockerd turns it on, it has FORWARD drop
    with open(root / "log", "wb") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until((root / "docker.sock").exists, f"dockerd to listen: {root}/log", 60)
        ping = ["curl", "-s", "--unix-socket", f"{root}/docker.sock", "http://d/_ping"]
        wait_until(lambda: subprocess.run(ping, capture_output=True, check=False).stdout == b"OK", "dockerd", 60)
        yield
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(30)
        shutil.rmtree(root)


class Place:
    def __init__(self) -> None:
        self.lab = Lab()
        self.red = self.lab.bridge("whred", 1)
        self.web = self.lab.container("web", self.red, 2)
        self.near = self.lab.container("near", self.red, 3)

    def rules(self) -> str:
        return self.lab.host.shell("iptables-save; ip6tables-save; iptables-legacy-save")

    def container_of_docker(self) -> Space:
        """What docker would do for one: an end on docker0."""
        space = self.lab.containers["docker's"] = Space()
        self.lab.host.ip(
            f"link add dveth type veth peer name eth0 netns {space.pid}", "link set dveth master docker0 up"
        )
        space.ip(
            "link set lo up", "addr add 172.17.0.9/16 dev eth0", "link set eth0 up", "route add default via 172.17.0.1"
        )
        return space


@pytest.fixture
def place() -> Iterator[Place]:
    made = Place()
    try:
        with made.web.running(serve, 80), made.lab.lan.running(serve, 80):
            yield made
    finally:
        made.lab.close()


def check(place: Place, theirs: Space | None = None) -> None:
    """Ours get out and are reached, as if docker were not there; and docker's keep what they have."""
    lab = place.lab
    document = network(wish(80, 8080), table=TAG)
    with lab.host.running(publish, document):
        assert place.near.run(ask, LAN4, 80) == HOST4
        assert lab.lan.run(ask, HOST4, 8080) == LAN4
        assert place.near.run(ask, "172.30.1.2", 80) == "172.30.1.3"
        assert place.near.run(ask, HOST4, 8080) == "172.30.1.1"
        if theirs:
            assert theirs.run(ask, LAN4, 80) == HOST4
            assert theirs.run(ask, "172.30.1.2", 80, "tcp", SILENT_S) == "silent"
            assert place.near.run(ask, "172.17.0.9", 80, "tcp", SILENT_S) == "silent"
            assert theirs.run(ask, HOST4, 8080) != "silent"


def test_SN10_a_network_that_comes_after_dockerd_lives_beside_it(place: Place) -> None:
    wall, run = NftablesFirewall(), place.lab.host.run
    with dockerd(place.lab.host):
        assert place.lab.host.shell("iptables-save").count(":FORWARD DROP") == 1
        before = without_counters(place.rules())
        run(wall.add_network, TAG, place.red)
        theirs = place.container_of_docker()
        with theirs.running(serve, 80):
            check(place, theirs)
        run(wall.remove_network, TAG, place.red)
        assert without_counters(place.rules()) == before


def test_SN10_a_network_that_was_there_before_dockerd_is_mended_at_the_next_start(place: Place) -> None:
    wall, run = NftablesFirewall(), place.lab.host.run
    run(wall.add_network, TAG, place.red)
    with dockerd(place.lab.host):
        assert place.near.run(ask, LAN4, 80, "tcp", SILENT_S) == "silent"
        assert not run(wall.has_network, TAG, place.red)
        run(wall.add_network, TAG, place.red)
        assert run(wall.has_network, TAG, place.red)
        check(place)
    with dockerd(place.lab.host):  # it comes again, with ours in its way
        assert run(wall.has_network, TAG, place.red)
        check(place)
    run(wall.remove_network, TAG, place.red)
    assert TAG not in place.rules()


def without_counters(rules: str) -> list[str]:
    return [line.partition(" [")[0] for line in rules.splitlines() if not line.startswith("#")]
