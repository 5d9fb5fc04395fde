"""Containers on networks: real bridges, real interfaces, made by a monitor and gone with the container."""

from __future__ import annotations

import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator

import pytest

from core.backend import AttachWish
from core.engine.engine import Engine
from core.errors import AlreadyExists, Conflict, EngineError, InUse, InvalidInput, NotFound, SandboxFailed, WrongState
from core.linux.netlink import Netlink
from core.model.container import ContainerSpec, ExecSpec, Running
from core.model.isolation import Namespaces
from core.model.network import Endpoint, EndpointWish, Network, NetworkSpec, Subnet
from core.model.ports import parse_publish
from core.model.progress import CancelToken
from core.model.restart import RestartPolicy
from core.network import bridge
from tests.conftest import STARTER, Result, Runner, collect, wait_until
from tests.faults.test_kills import monitor_of


def host_links() -> dict[str, str]:
    """The host's interfaces: name to alias."""
    kernel = Netlink()
    try:
        return {link.name: link.alias for link in kernel.links()}
    finally:
        kernel.close()


def veths_on(network: Network) -> list[str]:
    kernel = Netlink()
    try:
        master = kernel.link(network.interface)
        return [link.name for link in kernel.links() if master and link.master == master.number]
    finally:
        kernel.close()


@pytest.fixture
def networks(engine: Engine) -> Iterator[Engine]:
    """An engine whose own networks are gone after the test, and whose default bridge has no ports left."""
    yield engine
    for container in engine.containers.list(all=True):
        engine.containers.remove(container.id, force=True)
    for network in engine.networks.list():
        if network.name not in ("bridge", "host", "none"):
            engine.networks.remove(network.id)
    for network in engine.networks.list():
        assert network.members == ()
        assert os.listdir(engine.roots.network(network.id) / "addresses") == []
    default = engine.networks.inspect("bridge")
    wait_until(lambda: veths_on(default) == [], "the kernel to clear namespaces away")
    assert {link.name for link in bridge.bridges_of(engine.roots.tag)} <= {default.interface}


def start(
    engine: Engine, name: str, network: str = "bridge", *, wishes: tuple[EndpointWish, ...] = (), **more: object
) -> str:
    """A container that stays."""
    spec = ContainerSpec(image=STARTER, name=name, command=("sleep", "1000"), network=network, endpoints=wishes, **more)  # type: ignore[arg-type]
    made = engine.containers.create(spec)
    engine.containers.start(made.id)
    return made.id


def endpoints(engine: Engine, key: str) -> dict[str, Endpoint]:
    state = engine.containers.inspect(key).state
    assert isinstance(state, Running)
    return {each.network: each for each in state.endpoints}


def inside(engine: Engine, key: str, *argv: str) -> Result:
    attached = engine.containers.exec(key, ExecSpec(argv=argv), AttachWish())
    assert attached is not None
    return collect(attached)


def reaches(engine: Engine, key: str, address: str) -> bool:
    return inside(engine, key, "ping", "-c1", "-W1", address).code == 0


def test_E3_a_container_on_the_default_bridge_has_an_address_and_a_way_out(networks: Engine, run: Runner) -> None:
    said = run("sh", "-c", "ip -4 addr show eth0; ip route; cat /sys/class/net/eth0/mtu", network="bridge")
    default = networks.networks.inspect("bridge")
    gateway = default.subnets[0].gateway
    assert re.search(r"inet (172\.\d+\.0\.2/16|192\.168\.\d+\.2/20)", said.out)
    assert f"default via {gateway} dev eth0" in said.out
    assert said.lines[-1] == str(bridge.uplink_mtu())


def test_E3_the_interface_is_there_before_the_command_begins(networks: Engine, run: Runner) -> None:
    for _ in range(5):
        assert run("cat", "/sys/class/net/eth0/operstate", network="bridge").out == "up\n"


def test_E5_containers_of_one_network_reach_each_other_and_of_two_networks_have_two_interfaces(
    networks: Engine,
) -> None:
    networks.networks.create(NetworkSpec(name="one"))
    networks.networks.create(NetworkSpec(name="two"))
    start(networks, "aa", "one")
    start(networks, "bb", "two")
    start(networks, "both", "one", wishes=(EndpointWish(network="one"), EndpointWish(network="two")))
    assert set(endpoints(networks, "both")) == {"one", "two"}
    for name, network in (("aa", "one"), ("bb", "two")):
        assert reaches(networks, name, endpoints(networks, "both")[network].ipv4)
        assert reaches(networks, "both", endpoints(networks, name)[network].ipv4)
    said = inside(networks, "both", "sh", "-c", "ip -o -4 addr; ip route")
    assert "eth0" in said.out
    assert "eth1" in said.out
    assert said.out.count("default via") == 1
    assert f"default via {networks.networks.inspect('one').subnets[0].gateway} dev eth0" in said.out


def test_E5_connect_and_disconnect_while_it_runs(networks: Engine) -> None:
    networks.networks.create(NetworkSpec(name="one"))
    networks.networks.create(NetworkSpec(name="two", subnets=(Subnet(subnet="10.183.7.0/24"),)))
    start(networks, "aa", "one")
    start(networks, "bb", "two")
    networks.networks.connect("two", "aa", EndpointWish(network="two", ipv4="10.183.7.77", aliases=("db",)))
    there = endpoints(networks, "aa")["two"]
    assert (there.interface, there.ipv4) == ("eth1", "10.183.7.77")
    assert set(there.names) >= {"aa", "db"}
    assert reaches(networks, "aa", endpoints(networks, "bb")["two"].ipv4)
    assert "10.183.7.77\t" in inside(networks, "aa", "cat", "/etc/hosts").out
    assert [each.container_name for each in networks.networks.inspect("two").members] == ["aa", "bb"]
    networks.networks.disconnect("one", "aa")
    assert set(endpoints(networks, "aa")) == {"two"}
    assert "eth0" not in inside(networks, "aa", "ip", "-o", "link").out
    gateway = networks.networks.inspect("two").subnets[0].gateway
    assert f"default via {gateway} dev eth1" in inside(networks, "aa", "ip", "route").out
    assert veths_on(networks.networks.inspect("one")) == []
    networks.containers.restart("aa", timeout_s=0)
    assert set(endpoints(networks, "aa")) == {"two"}
    assert endpoints(networks, "aa")["two"].ipv4 == "10.183.7.77"
    networks.networks.disconnect("two", "aa")
    assert endpoints(networks, "aa") == {}
    assert networks.containers.inspect("aa").settings.endpoints == ()


def test_E5_connect_a_container_that_does_not_run(networks: Engine) -> None:
    networks.networks.create(NetworkSpec(name="one"))
    made = networks.containers.create(ContainerSpec(image=STARTER, name="aa", command=("sleep", "9"), network="bridge"))
    networks.networks.connect("one", "aa", EndpointWish(network="one"))
    networks.containers.start(made.id)
    assert list(endpoints(networks, "aa")) == ["bridge", "one"]


def test_E5_it_leaves_with_the_container(networks: Engine) -> None:
    network = networks.networks.create(NetworkSpec(name="one"))
    start(networks, "aa", "one")
    assert len(veths_on(network)) == 1
    networks.containers.stop("aa", timeout_s=0)
    assert networks.networks.inspect("one").members == ()
    assert os.listdir(networks.roots.network(network.id) / "addresses") == []
    wait_until(lambda: veths_on(network) == [], "the namespace to go")


def test_E5_addresses_are_the_lowest_free_ones_and_as_wished(networks: Engine) -> None:
    subnet = Subnet(subnet="10.184.7.0/29", gateway="10.184.7.3", reserved={"printer": "10.184.7.1"})
    networks.networks.create(NetworkSpec(name="small", subnets=(subnet,)))
    start(networks, "wished", "small", wishes=(EndpointWish(network="small", ipv4="10.184.7.4"),))
    got = []
    for number in range(3):
        start(networks, f"c{number}", "small")
        got.append(endpoints(networks, f"c{number}")["small"].ipv4)
    assert got == ["10.184.7.2", "10.184.7.5", "10.184.7.6"]
    with pytest.raises(Conflict, match="no available IPv4 addresses"):
        start(networks, "late", "small")
    assert networks.containers.inspect("late").status == "created"
    for address in ("10.184.7.4", "10.184.7.1", "10.184.7.3"):
        with pytest.raises(Conflict, match="Address already in use"):
            start(networks, f"x{address[-1]}", "small", wishes=(EndpointWish(network="small", ipv4=address),))
    networks.containers.remove("c0", force=True)
    networks.containers.start("late")
    assert endpoints(networks, "late")["small"].ipv4 == "10.184.7.2"


def test_E5_an_address_outside_is_refused(networks: Engine) -> None:
    networks.networks.create(NetworkSpec(name="one", subnets=(Subnet(subnet="10.185.7.0/24"),)))
    with pytest.raises(InvalidInput, match=r"no configured subnet contains IP address 10\.9\.9\.9"):
        start(networks, "aa", "one", wishes=(EndpointWish(network="one", ipv4="10.9.9.9"),))
    with pytest.raises(InvalidInput, match="user defined networks only"):
        start(networks, "bb", "bridge", wishes=(EndpointWish(network="bridge", ipv4="172.17.0.9"),))


def test_E5_a_mac_address_is_as_asked(networks: Engine, run: Runner) -> None:
    wish = EndpointWish(network="bridge", mac="92:D0:C6:0A:29:33")
    said = run("cat", "/sys/class/net/eth0/address", network="bridge", endpoints=(wish,))
    assert said.out == "92:d0:c6:0a:29:33\n"


def test_E5_an_internal_network_has_no_way_out(networks: Engine, run: Runner) -> None:
    networks.networks.create(NetworkSpec(name="closed", internal=True))
    assert "default" not in run("ip", "route", network="closed").out


def test_E5_ipv6_beside_ipv4(networks: Engine) -> None:
    network = networks.networks.create(NetworkSpec(name="dual", ipv6=True))
    start(networks, "aa", "dual")
    start(networks, "bb", "dual")
    theirs = endpoints(networks, "bb")["dual"]
    assert theirs.ipv6 == network.subnets[1].gateway.removesuffix("1") + "3"
    assert inside(networks, "aa", "ping", "-6", "-c1", "-W1", theirs.ipv6).code == 0
    assert reaches(networks, "aa", theirs.ipv4)
    assert "default via" in inside(networks, "aa", "ip", "-6", "route").out
    assert inside(networks, "aa", "cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra").out == "0\n"


def test_SN13_without_ipv6_no_stranger_gives_an_interface_one(networks: Engine, run: Runner) -> None:
    said = run("sh", "-c", "cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6; cat /proc/net/if_inet6", network="bridge")
    assert said.lines[0] == "1"
    assert "eth0" not in "".join(said.lines[1:])
    interface = networks.networks.inspect("bridge").interface
    with open(f"/proc/sys/net/ipv6/conf/{interface}/accept_ra") as file:
        assert file.read() == "0\n"


def test_SN7_a_remapped_container_has_its_networks_too(networks: Engine) -> None:
    start(networks, "plain")
    start(networks, "mapped", namespaces=Namespaces(user="remap"))
    assert reaches(networks, "mapped", endpoints(networks, "plain")["bridge"].ipv4)
    assert inside(networks, "mapped", "id", "-u").out == "0\n"
    assert inside(networks, "mapped", "cat", "/proc/self/uid_map").out.split()[1] != "0"


def test_A1_a_container_shares_anothers_network(networks: Engine, run: Runner) -> None:
    donor = start(networks, "donor", hostname="web")
    address = endpoints(networks, "donor")["bridge"].ipv4
    said = run(
        "sh",
        "-c",
        "ip -o -4 addr show eth0; hostname; cat /etc/hosts; readlink /proc/self/ns/net",
        network="container:donor",
    )
    assert address in said.lines[0]
    assert "web" in said.lines
    assert f"{address}\tweb" in said.out
    assert inside(networks, donor, "readlink", "/proc/self/ns/net").out.strip() == said.lines[-1]
    networks.containers.stop("donor", timeout_s=0)
    with pytest.raises(WrongState, match="cannot join network of a non running container"):
        run("true", network="container:donor")


def test_A1_a_shared_network_takes_no_wishes_of_its_own(networks: Engine) -> None:
    start(networks, "donor")
    with pytest.raises(InvalidInput, match="conflicting options: hostname and the network mode"):
        start(networks, "xx", "container:donor", hostname="other")
    networks.networks.create(NetworkSpec(name="one"))
    start(networks, "joined", "container:donor")
    with pytest.raises(WrongState, match="cannot be connected to any other network"):
        networks.networks.connect("one", "joined", EndpointWish(network="one"))


def test_E5_macvlan_hangs_on_an_interface_of_the_hosts(networks: Engine, request: pytest.FixtureRequest) -> None:
    subprocess.run(["ip", "link", "add", "whtest0", "up", "type", "veth", "peer", "name", "whtest1"], check=True)
    request.addfinalizer(lambda: subprocess.run(["ip", "link", "del", "whtest0"], check=True))
    subprocess.run(["ip", "link", "set", "whtest1", "up"], check=True)
    spec = NetworkSpec(
        name="mv", driver="macvlan", subnets=(Subnet(subnet="10.186.7.0/24"),), options={"parent": "whtest0"}
    )
    networks.networks.create(spec)
    start(networks, "aa", "mv")
    start(networks, "bb", "mv")
    assert reaches(networks, "aa", endpoints(networks, "bb")["mv"].ipv4)
    assert endpoints(networks, "aa")["mv"].host_interface == ""
    with pytest.raises(NotFound, match="parent interface nope was not found"):
        networks.networks.create(NetworkSpec(name="mv2", driver="macvlan", options={"parent": "nope"}))


def test_E5_what_networks_refuse(networks: Engine) -> None:
    networks.networks.create(NetworkSpec(name="one", subnets=(Subnet(subnet="10.187.7.0/24"),)))
    for spec, error, text in (
        (NetworkSpec(name="one"), AlreadyExists, "network with name one already exists"),
        (NetworkSpec(name="bridge"), WrongState, "operation is not permitted on predefined bridge network"),
        (NetworkSpec(name="two", driver="weave"), NotFound, "could not find plugin weave"),
        (NetworkSpec(name="two", subnets=(Subnet(subnet="10.187.0.0/16"),)), Conflict, "Pool overlaps"),
        (
            NetworkSpec(name="two", subnets=(Subnet(subnet="10.188.0.1/16"),)),
            InvalidInput,
            "it should be 10.188.0.0/16",
        ),
        (NetworkSpec(name="two", subnets=(Subnet(subnet="10.188.0.0"),)), InvalidInput, "invalid CIDR address"),
        (
            NetworkSpec(name="two", subnets=(Subnet(subnet="10.188.0.0/16", gateway="1.2.3.4"),)),
            InvalidInput,
            "no matching subnet for gateway",
        ),
        (NetworkSpec(name="two\n"), InvalidInput, "invalid network name"),
        (NetworkSpec(name="../x"), InvalidInput, "invalid network name"),
    ):
        with pytest.raises(error, match=re.escape(text)):
            networks.networks.create(spec)
    start(networks, "aa", "one")
    with pytest.raises(InUse, match="has active endpoints"):
        networks.networks.remove("one")
    with pytest.raises(WrongState, match="endpoint with name aa already exists in network one"):
        networks.networks.connect("one", "aa", EndpointWish(network="one"))
    with pytest.raises(WrongState, match="pre-defined network and cannot be removed"):
        networks.networks.remove("bridge")
    with pytest.raises(NotFound, match="network nope not found"):
        start(networks, "xx", "nope")
    with pytest.raises(NotFound, match="network nope not found"):
        networks.networks.inspect("nope")


def test_E5_a_network_that_is_gone_is_said_at_start(networks: Engine) -> None:
    networks.networks.create(NetworkSpec(name="one"))
    made = networks.containers.create(ContainerSpec(image=STARTER, name="aa", command=("true",), network="one"))
    networks.networks.remove("one")
    with pytest.raises(NotFound, match="network one not found"):
        networks.containers.start(made.id)
    assert networks.containers.inspect("aa").status == "created"


def test_E5_prune_takes_what_no_container_names(networks: Engine) -> None:
    for name in ("used", "free"):
        networks.networks.create(NetworkSpec(name=name))
    networks.containers.create(ContainerSpec(image=STARTER, command=("true",), network="used"))
    assert networks.networks.prune() == ["free"]


def test_E3_a_policy_starts_it_again_with_the_same_address(networks: Engine) -> None:
    script = "ip -o -4 addr show eth0 >> /seen; sleep 0.3; test $(wc -l < /seen) -ge 3 && sleep 1000; exit 1"
    spec = ContainerSpec(
        image=STARTER, name="aa", command=("sh", "-c", script), network="bridge", restart=RestartPolicy(name="always")
    )
    made = networks.containers.create(spec)
    networks.containers.start(made.id)
    address = endpoints(networks, "aa")["bridge"].ipv4
    wait_until(lambda: networks.containers.inspect("aa").restart_count == 2, "two restarts")
    wait_until(lambda: networks.containers.inspect("aa").status == "running", "it to run")
    assert endpoints(networks, "aa")["bridge"].ipv4 == address
    assert inside(networks, "aa", "cat", "/seen").out.count(f" {address}/") == 3


def test_C_events_tell_networks(networks: Engine) -> None:
    import time

    since = time.time_ns()
    networks.networks.create(NetworkSpec(name="one"))
    start(networks, "aa", "one")
    networks.containers.stop("aa", timeout_s=0)
    networks.networks.remove("one")
    told = networks.system.events(since_ns=since, until_ns=time.time_ns(), cancel=CancelToken())
    assert [event.action for event in told if event.kind == "network"] == ["create", "connect", "disconnect", "destroy"]


def test_E5_a_damaged_bridge_is_made_again_at_the_next_start(networks: Engine, run: Runner) -> None:
    network = networks.networks.create(NetworkSpec(name="one"))
    bridge.remove_bridge(network.interface)
    assert run("true", network="one").code == 0
    assert network.interface in host_links()


def test_ST13_hosts_rows_are_one_line_each(networks: Engine, run: Runner) -> None:
    said = run("cat", "/etc/hosts", network="bridge", extra_hosts=("db:10.1.2.3", "host:host-gateway"))
    assert "10.1.2.3\tdb\n" in said.out
    assert f"{networks.networks.inspect('bridge').subnets[0].gateway}\thost\n" in said.out
    for bad in ("a\nb:10.1.2.3", "a:10.1.2.3\n1.1.1.1 x", "aa", ":1.2.3.4", "a:nonsense"):
        with pytest.raises(EngineError):
            run("true", network="bridge", extra_hosts=(bad,))


def test_the_ip_tool_sees_what_is_there(networks: Engine) -> None:
    """Another program's word for it: alias, address, state."""
    network = networks.networks.create(NetworkSpec(name="one", subnets=(Subnet(subnet="10.189.7.0/24"),)))
    said = subprocess.run(["ip", "addr", "show", network.interface], capture_output=True, text=True, check=True).stdout
    assert "inet 10.189.7.1/24" in said
    assert f"{networks.roots.tag} one" in host_links().values()


def test_I2_traffic_is_counted_from_the_containers_side(networks: Engine) -> None:
    start(networks, "aa")
    start(networks, "bb")
    assert inside(networks, "aa", "ping", "-c3", "-i0.01", "-s1000", endpoints(networks, "bb")["bridge"].ipv4).code == 0
    wait_until(
        lambda: networks.containers.stats(["aa"])[networks.containers.inspect("aa").id].sent_packets >= 3, "a sample"
    )
    sample = networks.containers.stats(["aa"])[networks.containers.inspect("aa").id]
    assert 3000 <= sample.sent_bytes <= 10_000
    assert 3000 <= sample.received_bytes <= 10_000
    (interface,) = sample.interfaces
    assert interface.name == "eth0"
    assert interface.sent_bytes >= sample.sent_bytes
    counted = inside(networks, "aa", "cat", "/proc/net/dev").out.split("eth0:")[1].split()
    assert (sample.received_bytes, sample.sent_bytes) <= (int(counted[0]), int(counted[8]))


def test_E5_names_are_answered_and_follow_what_happens(networks: Engine) -> None:
    for name in ("one", "two"):
        networks.networks.create(NetworkSpec(name=name))
    start(networks, "aa", "one")
    start(networks, "bb", "one", wishes=(EndpointWish(network="one", aliases=("db",)),))
    there = endpoints(networks, "bb")["one"].ipv4
    for name in ("bb", "db", networks.containers.inspect("bb").id[:12]):
        assert there in inside(networks, "aa", "nslookup", name).out
    start(networks, "cc", "two")
    assert inside(networks, "aa", "nslookup", "cc").code != 0
    networks.networks.connect("two", "aa", EndpointWish(network="two"))
    assert endpoints(networks, "cc")["two"].ipv4 in inside(networks, "aa", "nslookup", "cc").out
    networks.containers.rename("cc", "dd")
    assert endpoints(networks, "dd")["two"].ipv4 in inside(networks, "aa", "nslookup", "dd").out
    os.kill(monitor_of(networks, networks.containers.inspect("aa").id), 9)
    wait_until(lambda: there in inside(networks, "aa", "nslookup", "bb").out, "the next monitor to answer")
    networks.containers.remove("bb", force=True)
    assert inside(networks, "aa", "nslookup", "db").code != 0


def test_E5_a_container_of_the_default_network_learns_names_when_it_is_connected(networks: Engine) -> None:
    networks.networks.create(NetworkSpec(name="one"))
    start(networks, "aa")
    start(networks, "bb", "one")
    assert "127.0.0.11" not in inside(networks, "aa", "cat", "/etc/resolv.conf").out
    networks.networks.connect("one", "aa", EndpointWish(network="one"))
    assert "nameserver 127.0.0.11" in inside(networks, "aa", "cat", "/etc/resolv.conf").out
    assert endpoints(networks, "bb")["one"].ipv4 in inside(networks, "aa", "nslookup", "bb").out
    networks.networks.disconnect("one", "aa")
    assert "127.0.0.11" not in inside(networks, "aa", "cat", "/etc/resolv.conf").out


def test_E1_a_port_clash_leaves_the_container_created(networks: Engine) -> None:
    ports = parse_publish("127.0.0.1:18543:80")
    start(networks, "aa", ports=ports)
    with pytest.raises(SandboxFailed, match="port is already allocated") as caught:
        start(networks, "bb", ports=ports)
    assert caught.value.exit_code == 125
    assert networks.containers.inspect("bb").status == "created"
    assert len(networks.networks.inspect("bridge").members) == 1
    networks.containers.remove("aa", force=True)
    networks.containers.start("bb")
    state = networks.containers.inspect("bb").state
    assert isinstance(state, Running)
    assert [(port.host_ip, port.host_port, port.container_port) for port in state.ports] == [("127.0.0.1", 18543, 80)]


def test_E1_ports_survive_a_killed_monitor_and_a_policys_restart(networks: Engine) -> None:
    script = "mkdir -p /w; echo hello > /w/index.html; httpd -p 80 -h /w; sleep 1000"
    spec = ContainerSpec(
        image=STARTER,
        name="web",
        command=("sh", "-c", script),
        network="bridge",
        ports=parse_publish("80"),
        restart=RestartPolicy(name="always"),
    )
    networks.containers.start(networks.containers.create(spec).id)
    state = networks.containers.inspect("web").state
    assert isinstance(state, Running)
    port = state.ports[0].host_port
    wait_until(lambda: fetched(port) == b"hello\n", "it to answer")
    os.kill(monitor_of(networks, networks.containers.inspect("web").id), 9)
    wait_until(lambda: fetched(port) == b"hello\n", "it to answer by its next monitor")
    os.kill(state.pid, 9)
    wait_until(lambda: networks.containers.inspect("web").restart_count == 1, "its policy")
    wait_until(lambda: fetched(port) == b"hello\n", "it to answer again")


def fetched(port: int) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
            return bytes(answer.read())
    except OSError:
        return b""


def test_E4_a_link_on_the_default_network_gives_rows_and_variables(networks: Engine) -> None:
    start(networks, "influx", expose=("8086/tcp",), env=("KEY=value", "HOME=/x"))
    wish = EndpointWish(network="bridge", links=("influx:influxsrv",))
    start(networks, "app", wishes=(wish,))
    address = endpoints(networks, "influx")["bridge"].ipv4
    short = networks.containers.inspect("influx").id[:12]
    assert f"{address}\tinfluxsrv {short} influx\n" in inside(networks, "app", "cat", "/etc/hosts").out
    assert inside(networks, "app", "ping", "-c1", "-W1", "influxsrv").code == 0
    variables = inside(networks, "app", "cat", "/proc/1/environ").out.split("\0")
    assert f"INFLUXSRV_PORT_8086_TCP_ADDR={address}" in variables
    assert f"INFLUXSRV_PORT=tcp://{address}:8086" in variables
    assert "INFLUXSRV_NAME=/app/influxsrv" in variables
    assert "INFLUXSRV_ENV_KEY=value" in variables
    assert not any(each.startswith("INFLUXSRV_ENV_HOME") for each in variables)
    assert f"INFLUXSRV_PORT=tcp://{address}:8086" in inside(networks, "app", "env").lines
    networks.containers.stop("influx", timeout_s=0)
    start(networks, "other")
    networks.containers.start("influx")
    moved = endpoints(networks, "influx")["bridge"].ipv4
    assert moved != address
    hosts = inside(networks, "app", "cat", "/etc/hosts").out
    assert f"{moved}\tinfluxsrv" in hosts
    assert f"{address}\tinfluxsrv" not in hosts


def test_E4_a_link_to_what_does_not_run_is_refused(networks: Engine) -> None:
    networks.containers.create(ContainerSpec(image=STARTER, name="db1", command=("true",), network="bridge"))
    with pytest.raises(WrongState, match="Cannot link to a non running container: /db1 AS /app/db"):
        start(networks, "app", wishes=(EndpointWish(network="bridge", links=("db1:db",)),))
    with pytest.raises(NotFound, match="could not get container for nope"):
        start(networks, "app2", wishes=(EndpointWish(network="bridge", links=("nope:db",)),))
    assert networks.networks.inspect("bridge").members == ()


def test_E4_a_link_on_another_network_is_a_name(networks: Engine) -> None:
    networks.networks.create(NetworkSpec(name="one"))
    start(networks, "influx", "one")
    start(networks, "app", "one", wishes=(EndpointWish(network="one", links=("influx:tsdb",)),))
    assert endpoints(networks, "influx")["one"].ipv4 in inside(networks, "app", "nslookup", "tsdb").out


def test_E5_options_of_networks_and_endpoints_do_what_they_say_or_are_refused(networks: Engine) -> None:
    options = {"com.docker.network.bridge.enable_icc": "false", "com.docker.network.driver.mtu": "1300"}
    networks.networks.create(NetworkSpec(name="apart", options=options))
    named = {
        "com.docker.network.endpoint.ifname": "lan7",
        "com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.log_martians=1",
    }
    start(networks, "aa", "apart", wishes=(EndpointWish(network="apart", options=named),))
    start(networks, "bb", "apart")
    assert not reaches(networks, "aa", endpoints(networks, "bb")["apart"].ipv4)
    assert reaches(networks, "aa", networks.networks.inspect("apart").subnets[0].gateway)
    said = inside(networks, "aa", "cat", "/sys/class/net/lan7/mtu", "/proc/sys/net/ipv4/conf/lan7/log_martians")
    assert said.lines == ["1300", "1"]
    for spec in (
        NetworkSpec(name="odd", options={"com.docker.network.bridge.unheard_of": "1"}),
        NetworkSpec(name="odd", options={"com.docker.network.driver.mtu": "12"}),
        NetworkSpec(name="odd", options={"com.docker.network.bridge.name": "../../etc"}),
        NetworkSpec(name="odd", options={"parent": "eth0"}),
    ):
        with pytest.raises(InvalidInput):
            networks.networks.create(spec)
    for bad in (
        {"com.docker.network.endpoint.ifname": "a/b"},
        {"com.docker.network.endpoint.sysctls": "net.ipv4.ip_forward=1"},
        {"com.docker.network.endpoint.sysctls": "net.ipv4.conf.IFNAME.../../x=1"},
        {"other": "1"},
    ):
        with pytest.raises(InvalidInput):
            start(networks, "cc", "apart", wishes=(EndpointWish(network="apart", options=bad),))


def test_E5_a_bridge_is_named_as_asked_and_never_somebody_elses(networks: Engine) -> None:
    name = {"com.docker.network.bridge.name": "whmine0"}
    assert networks.networks.create(NetworkSpec(name="one", options=name)).interface == "whmine0"
    with pytest.raises(AlreadyExists, match="interface whmine0 is there already"):
        networks.networks.create(NetworkSpec(name="two", options=name))
    with pytest.raises(AlreadyExists, match="interface lo is there already"):
        networks.networks.create(NetworkSpec(name="two", options={"com.docker.network.bridge.name": "lo"}))
    assert [network.name for network in networks.networks.list() if network.name not in ("bridge", "host", "none")] == [
        "one"
    ]
