"""Networks and published ports, from the command line (rows E1-E5, A1, B1, B3)."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator

import pytest

from tests.compat.targets import Cli, eventually, opened

_TARGETS = {"wharf": "networked wharf", "docker": "networked docker"}
WEB = ("sh", "-c", 'mkdir -p /www; echo "$0" >/www/index.html; exec httpd -f -p 80 -h /www')
"""A web server that answers with the word after it."""
_GET = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=3).read().decode(), end='')"


@pytest.fixture(
    scope="module",
    params=[_TARGETS[name] for name in os.environ.get("WHARF_TEST_TARGETS", "wharf").split(",") if name in _TARGETS],
)
def _networked(request: pytest.FixtureRequest) -> Iterator[Cli]:
    yield from opened(request.param)


@pytest.fixture
def cli(_networked: Cli) -> Iterator[Cli]:
    """A command line with networks; what the test makes is removed."""
    yield _networked
    _networked.clean()


def get(cli: Cli, url: str) -> str:
    """What a web server answers to the host, once it answers."""
    answers: list[str] = []

    def answered() -> bool:
        answers.append(cli.at_host(sys.executable, "-c", _GET, url).out)
        return bool(answers[-1])

    eventually(f"an answer from {url}", answered)
    return answers[-1].strip()


def networks_of(cli: Cli, name: str) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads(cli.field(name, "{{json .NetworkSettings.Networks}}"))
    return found


def test_E2_a_network_is_made_listed_shown_and_removed(cli: Cli):
    flags = ("--subnet", "10.213.0.0/16", "--ip-range", "10.213.5.0/24", "--gateway", "10.213.0.9")
    made = cli.ok("network", "create", *flags, "--aux-address", "x=10.213.5.1", "--label", "a=b", "appnet")
    assert re.fullmatch("[0-9a-f]{64}", made)
    assert cli.ok("network", "ls", "-f", "name=appnet").split() == [
        *("NETWORK", "ID", "NAME", "DRIVER", "SCOPE"),
        *(made[:12], "appnet", "bridge", "local"),
    ]
    (document,) = json.loads(cli.ok("network", "inspect", "appnet"))
    assert {key: document[key] for key in ("Name", "Id", "Scope", "Driver", "EnableIPv6", "Internal", "Labels")} == {
        **{"Name": "appnet", "Id": made, "Scope": "local", "Driver": "bridge"},
        **{"EnableIPv6": False, "Internal": False, "Labels": {"a": "b"}},
    }
    assert document["IPAM"]["Config"] == [
        {
            "Subnet": "10.213.0.0/16",
            "IPRange": "10.213.5.0/24",
            "Gateway": "10.213.0.9",
            "AuxiliaryAddresses": {"x": "10.213.5.1"},
        }
    ]
    assert cli.ok("network", "inspect", "-f", "{{.Name}} {{.IPAM.Driver}}", made[:12]) == "appnet default"
    assert cli.ok("network", "rm", "appnet") == "appnet"
    assert cli("network", "inspect", "appnet").code == 1


def test_E2_the_predefined_networks_are_there_and_stay(cli: Cli):
    names = cli.ok("network", "ls", "--format", "{{.Name}} {{.Driver}}").splitlines()
    assert names == ["bridge bridge", "host host", "none null"]
    assert "bridge is a pre-defined network and cannot be removed" in cli("network", "rm", "bridge").err
    assert "operation is not permitted on predefined bridge network" in cli("network", "create", "bridge").err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["network", "create", "appnet"], 1, "network with name appnet already exists"),
        (["network", "create", "--subnet", "10.213.1.0/24", "n2"], 1, "Pool overlaps with other one on this address"),
        (["network", "create", "--subnet", "10.213.0.0/33", "n2"], 1, "[Ii]nvalid subnet 10.213.0.0/33"),
        (["network", "create", "--gateway", "1.2.3.4", "n2"], 1, "every ip-range or gateway must have a corresp"),
        (
            ["network", "create", "--subnet", "10.5.0.0/24", "--gateway", "1.2.3.4", "n2"],
            1,
            "no matching subnet for ga",
        ),
        (["network", "create", "-d", "zzz", "n2"], 1, 'plugin "?zzz"? not found'),
        (["network", "create", "-d", "host", "n2"], 1, 'only one instance of "host" network is allowed'),
        (["network", "create", "--label", "=x", "n2"], 125, "invalid label '=x': empty name"),
        (["network", "rm", "nope"], 1, "network nope not found"),
        (["network", "rm", "-f", "nope"], 0, "^$"),
        (["network", "inspect", "nope"], 1, "network nope not found"),
        (["network", "connect", "nope", "box"], 1, "network nope not found"),
        (["network", "connect", "appnet", "nope"], 1, "[Nn]o such container: nope"),
        (["network", "connect", "host", "box"], 1, "container cannot be disconnected from host network or connected"),
        (["network", "connect", "--ip", "10.213.0.5", "appnet", "box"], 0, ""),
        (["network", "connect", "bridge", "box"], 1, "endpoint with name box already exists in network bridge"),
        (["network", "disconnect", "appnet", "box"], 1, "is not connected to (the )?network appnet"),
        (["network", "ls", "-f", "bad=x"], 1, "[Ii]nvalid filter '?bad'?"),
        (["network", "ls", "-f", "type=foo"], 1, "invalid filter: 'type'='foo'"),
        (["run", "--network", "nope", "IMAGE", "true"], 125, "network nope not found"),
        (["run", "--network", "container:nope", "IMAGE", "true"], 125, "[Nn]o such container: nope"),
        (["run", "--network", "appnet", "--ip", "1.2.3.4", "IMAGE", "true"], 125, "address 1.2.3.4"),
        (["run", "--ip", "1.2.3.4", "IMAGE", "true"], 125, "user specified IP address is supported on user defined"),
        (["run", "--network", "host", "--network", "appnet", "IMAGE"], 125, "cannot attach both user-defined and non-"),
        (["run", "--network-alias", "a", "IMAGE", "true"], 125, "network-scoped aliases are only supported for user-"),
        (["run", "--network", "container:box", "-p", "80", "IMAGE", "true"], 125, "port publishing and the container"),
        (["run", "--network", "container:box", "-h", "x", "IMAGE", "true"], 125, "hostname and the network mode"),
        (["run", "--network", "container:box", "--dns", "1.1.1.1", "IMAGE"], 125, "dns and the network mode|No comm"),
        (["run", "--network", "appnet", "--network", "appnet", "IMAGE"], 125, '"appnet" is specified multiple times'),
        (["run", "-p", "9.9.9.9:80:80", "IMAGE", "true"], 125, "cannot assign requested address"),
        (["run", "-p", "80/foo", "IMAGE", "true"], 125, "invalid proto: foo"),
        (["run", "--link", "nope:x", "IMAGE", "true"], 125, "could not get container for nope"),
    ],
)
def test_E2_what_docker_refuses_is_refused_in_its_words(cli: Cli, words, code, said):
    cli.ok("network", "create", "--subnet", "10.213.0.0/16", "appnet")
    cli.start_sleeper("box")
    before = cli.ok("ps", "-aq"), cli.ok("network", "ls", "-q")
    done = cli(*(cli.image if word == "IMAGE" else word for word in words))
    assert done.code == code, done
    assert re.search(said, done.err), done
    starts = "9.9.9.9:80:80" in words or "1.2.3.4" in words or cli.name == "docker"
    if code and not starts:  # what only a start finds out leaves the container as it was created
        assert (cli.ok("ps", "-aq"), cli.ok("network", "ls", "-q")) == before


def test_B7_A1_E1_a_published_port_is_told_and_answers(cli: Cli):
    cli.ok(*cli.run_words("run", "-d", "--name", "web", "-p", "18080:80", "IMAGE", *WEB, "hello"))
    assert get(cli, "http://127.0.0.1:18080/") == "hello"
    assert get(cli, "http://[::1]:18080/") == "hello"
    ports = "0.0.0.0:18080->80/tcp, [::]:18080->80/tcp"
    assert cli.ok("ps", "--format", "{{.Ports}}|{{.Networks}}") == f"{ports}|bridge"
    assert cli.ok("port", "web") == "80/tcp -> 0.0.0.0:18080\n80/tcp -> [::]:18080"
    assert cli.ok("port", "web", "80") == "0.0.0.0:18080\n[::]:18080"
    refused = cli("port", "web", "81")
    assert (refused.code, "No public port '81' published for web" in refused.err) == (1, True)
    assert json.loads(cli.field("web", "{{json .NetworkSettings.Ports}}")) == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "18080"}, {"HostIp": "::", "HostPort": "18080"}]
    }
    assert json.loads(cli.field("web", "{{json .HostConfig.PortBindings}}")) == {
        "80/tcp": [{"HostIp": "", "HostPort": "18080"}]
    }
    address = cli.field("web", "{{.NetworkSettings.IPAddress}}")
    assert get(cli, f"http://{address}/") == "hello"
    assert networks_of(cli, "web")["bridge"]["IPAddress"] == address
    cli.ok("stop", "-t", "0", "web")
    assert cli.ok("ps", "-a", "--format", "{{.Ports}}|{{.Networks}}") == "|bridge"
    assert cli.ok("port", "web") == ""
    assert "refused" in cli.at_host(sys.executable, "-c", _GET, "http://127.0.0.1:18080/").err


def test_E1_ranges_addresses_protocols_and_free_ports(cli: Cli):
    flags = ("-p", "127.0.0.1:19000-19002:9000-9002/udp", "-p", "443", "-p", "18100-18110:81", "--expose", "99")
    cli.start_sleeper("one", *flags)
    cli.start_sleeper("two", "-p", "18100-18110:81")
    shown = cli.ok("ps", "-f", "name=one", "--format", "{{.Ports}}")
    free = json.loads(cli.field("one", '{{json (index .NetworkSettings.Ports "443/tcp")}}'))
    assert [one["HostIp"] for one in free] == ["0.0.0.0", "::"]
    assert int(free[0]["HostPort"]) >= 32768
    assert shown.startswith("99/tcp, ")
    assert "127.0.0.1:19000->9000/udp, 127.0.0.1:19001->9001/udp, 127.0.0.1:19002->9002/udp" in shown
    assert f"0.0.0.0:{free[0]['HostPort']}->443/tcp" in shown
    assert cli.ok("port", "one", "81").splitlines()[0] == "0.0.0.0:18100"
    assert cli.ok("port", "two", "81").splitlines()[0] == "0.0.0.0:18101"
    assert cli.ok("ps", "-f", "publish=18100", "--format", "{{.Names}}") == "one"
    assert cli.ok("ps", "-f", "publish=19001/udp", "--format", "{{.Names}}") == "one"
    assert sorted(cli.ok("ps", "-f", "expose=81", "--format", "{{.Names}}").split()) == ["one", "two"]


def test_E1_all_exposed_ports_are_published(cli: Cli):
    cli.start_sleeper("box", "-P", "--expose", "80", "--expose", "53/udp")
    ports = json.loads(cli.field("box", "{{json .NetworkSettings.Ports}}"))
    assert sorted(ports) == ["53/udp", "80/tcp"]
    assert all(len(found) == 2 for found in ports.values())
    assert cli.field("box", "{{.HostConfig.PublishAllPorts}}") == "true"


def test_E1_a_port_in_use_is_refused_and_the_container_stays_created(cli: Cli):
    cli.start_sleeper("first", "-p", "18080:80")
    done = cli.run("--name", "second", "-p", "18080:80", "IMAGE", "true")
    assert done.code == 125
    sentence = (
        r"driver failed programming external connectivity on endpoint second \([0-9a-f]{64}\): "
        "Bind for 0.0.0.0:18080 failed: port is already allocated"
    )
    assert re.search(sentence, done.err), done.err
    assert cli.status("second") == "created"
    assert "port is already allocated" in cli.field("second", "{{.State.Error}}")
    cli.ok("rm", "-f", "first")
    assert cli("start", "second").code == 0


def test_E3_containers_find_each_other_by_name(cli: Cli):
    cli.ok("network", "create", "shop")
    cli.start_sleeper("web", "--network", "shop", "--network-alias", "store")
    address = networks_of(cli, "web")["shop"]["IPAddress"]
    assert isinstance(address, str)
    for name in ("web", "store", cli.field("web", "{{.Id}}")[:12]):
        done = cli.run("--rm", "--network", "shop", "IMAGE", "nslookup", name)
        assert re.search(rf"Address( 1)?: {re.escape(address)}\b", done.out), (name, done)


def test_E2_connect_and_disconnect_are_seen_at_once(cli: Cli):
    cli.ok("network", "create", "--subnet", "10.213.0.0/16", "appnet")
    cli.start_sleeper("box")
    cli.ok("network", "connect", "--alias", "zz", "--ip", "10.213.7.7", "appnet", "box")
    found = networks_of(cli, "box")
    assert sorted(found) == ["appnet", "bridge"]
    assert (found["appnet"]["IPAddress"], found["appnet"]["IPPrefixLen"]) == ("10.213.7.7", 16)
    assert found["appnet"]["IPAMConfig"] == {"IPv4Address": "10.213.7.7"}
    assert "zz" in found["appnet"]["Aliases"]
    assert found["appnet"]["NetworkID"] == cli.ok("network", "inspect", "-f", "{{.Id}}", "appnet")
    assert "10.213.7.7/16" in cli.ok("exec", "box", "ip", "-4", "addr", "show", "eth1")
    (member,) = json.loads(cli.ok("network", "inspect", "-f", "{{json .Containers}}", "appnet")).values()
    assert (member["Name"], member["IPv4Address"]) == ("box", "10.213.7.7/16")
    assert cli.ok("ps", "-f", "network=appnet", "--format", "{{.Names}} {{.Networks}}") == "box appnet,bridge"
    again = cli("network", "connect", "appnet", "box")
    assert (again.code, "endpoint with name box already exists in network appnet" in again.err) == (1, True)
    assert "has active endpoints" in cli("network", "rm", "appnet").err
    cli.ok("network", "disconnect", "appnet", "box")
    assert sorted(networks_of(cli, "box")) == ["bridge"]
    assert cli.ok("network", "rm", "appnet") == "appnet"


def test_E2_a_container_without_a_network_of_its_own(cli: Cli):
    cli.start_sleeper("box", "--hostname", "shared")
    cli.start_sleeper("joined", "--network", "container:box")
    cli.start_sleeper("hosty", "--network", "host")
    cli.start_sleeper("alone", "--network", "none")
    assert cli.field("joined", "{{.HostConfig.NetworkMode}}") == f"container:{cli.field('box', '{{.Id}}')}"
    assert networks_of(cli, "joined") == {}
    assert cli.ok("exec", "joined", "hostname") == "shared"
    assert list(networks_of(cli, "hosty")) == ["host"]
    assert list(networks_of(cli, "alone")) == ["none"]
    shown = cli.ok("ps", "--format", "{{.Names}}:{{.Ports}}:{{.Networks}}").splitlines()
    assert shown == ["alone::none", "hosty::host", "joined::", "box::bridge"]
    for container, network in (("joined", "bridge"), ("hosty", "bridge")):
        refused = cli("network", "connect", network, container)
        assert "container sharing network namespace with another container or host cannot be" in refused.err
    said = cli.run("-d", "--network", "host", "-p", "80:80", "IMAGE", "true").err
    assert said.startswith("WARNING: Published ports are discarded when using host network mode")


def test_E3_hosts_and_resolv_conf(cli: Cli):
    cli.ok("network", "create", "--subnet", "10.213.0.0/16", "appnet")
    flags = ("--dns", "192.0.2.53", "--dns-search", "x.org", "--dns-option", "timeout:1", "--add-host", "old:10.1.2.3")
    script = "cat /etc/resolv.conf; grep -v ip6 /etc/hosts"
    on_bridge = cli.run("--rm", "-h", "me", *flags, "IMAGE", "sh", "-c", script).out
    assert re.search(r"^nameserver 192\.0\.2\.53$", on_bridge, re.MULTILINE)
    assert re.search(r"^search x\.org$", on_bridge, re.MULTILINE)
    assert re.search(r"^options timeout:1$", on_bridge, re.MULTILINE)
    assert re.search(r"^10\.1\.2\.3\told$", on_bridge, re.MULTILINE)
    assert re.search(r"^[0-9.]+\tme$", on_bridge, re.MULTILINE)
    named = cli.run("--rm", "--network", "appnet", "--ip", "10.213.1.1", *flags, "IMAGE", "sh", "-c", script).out
    assert re.search(r"^nameserver 127\.0\.0\.11$", named, re.MULTILINE)
    assert re.search(r"^10\.213\.1\.1\t[0-9a-f]{12}$", named, re.MULTILINE)


def test_E3_links_have_their_rows_and_variables(cli: Cli):
    cli.start_sleeper("db", "-e", "SECRET=s", "--expose", "5432")
    script = "env | grep -i store | sort; grep store /etc/hosts"
    address = cli.field("db", "{{.NetworkSettings.IPAddress}}")
    out = cli.run("--rm", "--name", "app", "--link", "db:store", "IMAGE", "sh", "-c", script).out
    for row in (
        "STORE_ENV_SECRET=s",
        "STORE_NAME=/app/store",
        f"STORE_PORT=tcp://{address}:5432",
        f"STORE_PORT_5432_TCP=tcp://{address}:5432",
        f"STORE_PORT_5432_TCP_ADDR={address}",
        "STORE_PORT_5432_TCP_PORT=5432",
        "STORE_PORT_5432_TCP_PROTO=tcp",
    ):
        assert row in out.splitlines(), out
    assert re.search(rf"^{re.escape(address)}\tstore [0-9a-f]{{12}} db$", out, re.MULTILINE), out
    cli.ok(*cli.run_words("create", "--name", "made", "--link", "db:store", "--link", "db", "IMAGE", "true"))
    assert json.loads(cli.field("made", "{{json .HostConfig.Links}}")) == ["/db:/made/store", "/db:/made/db"]


def test_B1_events_of_networks_come_in_dockers_order(cli: Cli):
    since = cli.at_host("date", "+%s.%N").out.strip()
    network = cli.ok("network", "create", "appnet")
    cli.ok(*cli.run_words("run", "--rm", "--network", "appnet", "--name", "box", "IMAGE", "true"))
    eventually("the container is gone", lambda: not cli.ok("ps", "-aq"))
    cli.ok("network", "rm", "appnet")
    until = cli.at_host("date", "+%s.%N").out.strip()
    seen = cli.ok("events", "--since", since, "--until", until, "--format", "{{.Type}} {{.Action}}").splitlines()
    kinds = ("network", "container start", "container create", "container die")
    assert [line for line in seen if line.startswith(kinds)] == [
        *("network create", "container create", "network connect", "container start", "container die"),
        *("network disconnect", "network destroy"),
    ]
    line = cli.ok("events", "--since", since, "--until", until, "-f", "type=network", "-f", "event=create")
    assert line.endswith(f"network create {network} (name=appnet, type=bridge)")
    by_name = cli.ok("events", "--since", since, "--until", until, "-f", "network=appnet").splitlines()
    assert len(by_name) == 4


def test_E2_prune_takes_what_nobody_is_on(cli: Cli):
    for name in ("used", "idle", "kept"):
        cli.ok("network", "create", *(("--label", "keep") if name == "kept" else ()), name)
    cli.start_sleeper("box", "--network", "used")
    assert cli.ok("network", "prune", "-f", "--filter", "label!=keep").rstrip() == "Deleted Networks:\nidle"
    assert cli.ok("network", "ls", "-f", "dangling=true", "--format", "{{.Name}}") == "kept"
    assert "Deleted Networks:\nkept\n" in cli.ok("system", "prune", "-f")
    assert "used" in cli.ok("network", "ls", "--format", "{{.Name}}").split()
