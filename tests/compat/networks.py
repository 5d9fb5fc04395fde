"""What is printed of networks and ports, beside the docker CLI on one script (rows B1, B3, E1, E2)."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.compat.lists import is_alike, masked
from tests.compat.targets import Cli, opened


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Cli, Cli]]:
    """wharf and docker with the same containers on the same networks."""
    made = [opened(name) for name in ("networked wharf", "networked docker")]
    ours, theirs = (next(one) for one in made)
    for cli in (ours, theirs):
        _script(cli)
    yield ours, theirs
    for cli in (ours, theirs):
        cli.clean()
    for one in made:
        next(one, None)


def _script(cli: Cli) -> None:
    shop = ("--subnet", "10.213.0.0/16", "--ip-range", "10.213.5.0/24", "--gateway", "10.213.0.9")
    cli.ok("network", "create", *shop, "--aux-address", "x=10.213.5.1", "--label", "a=b", "shop")
    cli.ok("network", "create", "--internal", "--subnet", "10.214.0.0/16", "--gateway", "10.214.0.1", "back")
    web = (
        "--network",
        "shop",
        "--ip",
        "10.213.5.7",
        "--network-alias",
        "store",
        "--expose",
        "99",
        "--dns",
        "192.0.2.1",
    )
    ports = ("-p", "18080:80", "-p", "127.0.0.1:19000-19002:9000-9002/udp", "-p", "127.0.0.2:18443:18443")
    cli.start_sleeper("web", *web, *ports, "--add-host", "old:10.1.2.3", "--dns-search", "x.org")
    cli.ok("network", "connect", "--alias", "zz", "--ip", "10.214.0.5", "back", "web")
    cli.start_sleeper("plain", "--expose", "80-82")
    cli.start_sleeper("hosty", "--network", "host")
    cli.start_sleeper("alone", "--network", "none")
    cli.start_sleeper("joined", "--network", "container:web")
    cli.ok(*cli.run_words("create", "--name", "made", "--network", "shop", "-p", "1:1", "IMAGE", "true"))


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


@pytest.mark.parametrize(
    "line",
    _lines("""
        network ls
        network ls -q
        network ls --no-trunc
        network list
        network ls --filter driver=bridge
        network ls --filter driver=zzz
        network ls --filter name=sho
        network ls --filter name=^b
        network ls --filter id=zz
        network ls --filter label=a
        network ls --filter label=a=b
        network ls --filter label=a=c
        network ls --filter scope=local
        network ls --filter scope=swarm
        network ls --filter type=custom
        network ls --filter type=builtin
        network ls --filter type=custom --filter driver=bridge --filter name=back
        network ls --format {{.Name}}:{{.Driver}}:{{.Internal}}:{{.IPv6}}:{{.Labels}}:{{.Scope}}
        network inspect --format {{.Name}}:{{.IPAM.Config}}:{{.Labels}}:{{.Internal}}:{{.Scope}}:{{.Driver}} shop
        network create
        network create a b
        network connect shop
        network rm
        network nope
        ps -a
        ps -a --no-trunc --format {{.Ports}}
        ps -a --format {{.Names}}:{{.Ports}}
        ps -a --filter network=shop --format {{.Names}}
        ps -a --filter network=host --format {{.Names}}
        ps -a --filter network=none --filter network=bridge --format {{.Names}}
        ps -a --filter network=nosuch
        ps -a --filter publish=18080 --format {{.Names}}
        ps -a --filter publish=80 --format {{.Names}}
        ps -a --filter publish=19000-19001/udp --format {{.Names}}
        ps -a --filter publish=18000-18100 --format {{.Names}}
        ps --filter expose=99 --format {{.Names}}
        ps --filter expose=80 --format {{.Names}}
        ps --filter expose=81-90/tcp --format {{.Names}}
        port web
        port web 80
        port web 80/tcp
        port web 9001/udp
        port web 9001
        port web 99
        port made
        port hosty
        port joined
        port nosuch
        inspect --type network nosuch
        inspect --format {{.Driver}} shop
        network prune
    """),
)
def test_B1_E1_E2_lines_read_alike(pair: tuple[Cli, Cli], line: str) -> None:
    is_alike(pair, *line.split())


@pytest.mark.parametrize(
    "layout",
    [
        "{{json .NetworkSettings.Ports}}",
        "{{json .HostConfig.PortBindings}}",
        "{{.HostConfig.PortBindings}}",
        "{{json .HostConfig.Dns}} {{json .HostConfig.DnsSearch}} {{json .HostConfig.DnsOptions}}",
        "{{json .HostConfig.ExtraHosts}} {{json .HostConfig.Links}} {{.HostConfig.PublishAllPorts}}",
        "{{json .Config.ExposedPorts}} {{.HostConfig.NetworkMode}}",
        "{{range $name, $on := .NetworkSettings.Networks}}{{$name}} {{json $on.IPAMConfig}} {{json $on.Links}} {{end}}",
        "{{range $p, $at := .NetworkSettings.Ports}}{{$p}}{{range $at}} {{.HostIp}}:{{.HostPort}}{{end}};{{end}}",
        "{{json .NetworkSettings.IPAddress}} {{json .NetworkSettings.Gateway}}",
    ],
)
@pytest.mark.parametrize("name", ["web", "plain", "hosty", "alone", "joined", "made"])
def test_B3_E1_E2_documents_read_alike(pair: tuple[Cli, Cli], name: str, layout: str) -> None:
    if name == "plain" and ("NetworkMode" in layout or "IPAddress" in layout):
        pytest.skip("old docker says default for bridge, and each engine's bridge has addresses of its own")
    is_alike(pair, "inspect", "--format", layout, name)


def test_B3_E2_a_containers_place_on_a_network_has_dockers_keys(pair: tuple[Cli, Cli]) -> None:
    """Beside what newer docker adds: the names that DNS answers."""
    found = []
    for cli in pair:
        on = json.loads(cli.field("web", "{{json .NetworkSettings.Networks.shop}}"))
        found.append({key: on[key] for key in on if key not in ("DNSNames", "GwPriority", "Aliases", "MacAddress")})
        assert "store" in on["Aliases"]
    ours, theirs = (json.loads(masked(json.dumps(one), cli)) for one, cli in zip(found, pair, strict=True))
    assert ours == theirs


def test_B3_E2_a_networks_document_has_dockers_keys(pair: tuple[Cli, Cli]) -> None:
    found = []
    for cli in pair:
        for name in ("shop", "back", "bridge", "host", "none"):
            (document,) = json.loads(cli.ok("network", "inspect", name))
            document.pop("EnableIPv4", None)
            if name == "bridge":  # docker's own bridge has options of its driver, and an address of the daemon's
                document["Options"] = document["IPAM"] = None
            members = document["Containers"].values()
            document["Containers"] = sorted((each["Name"], each["IPv4Address"][:6]) for each in members)
            if name in ("host", "none"):
                document["Containers"] = []  # docker counts those that share the host's or have none
                document["IPAM"] = None
            found.append(masked(json.dumps(document), cli))
    assert found[:5] == found[5:]
