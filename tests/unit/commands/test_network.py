"""`network` and the networking flags of run: what they ask of the engine, and what they print."""

import json

import msgspec
import pytest

from app.commands.definition import Invocation
from app.commands.flags import FlagError, parse_flags
from app.commands.network_documents import network_settings
from app.commands.ports import ports_text
from app.commands.wish import CREATE_FLAGS, read_wish
from core.errors import InUse, InvalidInput
from core.model.container import ContainerSettings, Exited
from core.model.limits import Limits
from core.model.network import DnsWish, Endpoint, EndpointWish, NetworkSpec, Subnet
from core.model.ports import PortWish, PublishedPort
from core.model.pruning import PruneFilter
from tests.unit.commands.conftest import CREATED_NS, NETWORK_ID, WEB_ID, container


def wish(*words: str):
    flags, others, _ = parse_flags(CREATE_FLAGS, words, interspersed=False)
    return read_wish(Invocation("run", flags, others, None, None), detach=False)


def test_E1_E2_every_flag_reaches_the_wish():
    spec = wish(
        *("--network", "appnet", "--ip", "172.30.5.9", "--ip6", "fd00::9", "--mac-address", "02-42-AC-11-00-09"),
        *("--network-alias", "a", "--net-alias", "b", "--link", "db", "--link", "db:store"),
        *("-p", "8080:80", "-p", "127.0.0.1::53/udp", "-P", "--expose", "99", "--expose", "7-8/udp"),
        *("--dns", "1.1.1.1", "--dns-search", "x.org", "--dns-opt", "ndots:3", "--dns-option", "rotate"),
        *("--add-host", "foo:1.2.3.4", "--add-host", "gw=host-gateway", "bb"),
    )
    assert spec.network == "appnet"
    assert spec.endpoints == (
        EndpointWish(
            network="appnet",
            aliases=("b", "a"),
            ipv4="172.30.5.9",
            ipv6="fd00::9",
            mac="02:42:ac:11:00:09",
            links=("db:db", "db:store"),
        ),
    )
    assert spec.ports == (
        PortWish(container_port=80, host_first=8080),
        PortWish(container_port=53, protocol="udp", host_ip="127.0.0.1"),
    )
    assert spec.publish_all
    assert spec.expose == ("99/tcp", "7/udp", "8/udp")
    assert spec.dns == DnsWish(servers=("1.1.1.1",), search=("x.org",), options=("ndots:3", "rotate"))
    assert spec.extra_hosts == ("foo:1.2.3.4", "gw:host-gateway")


@pytest.mark.parametrize(
    ("words", "network", "endpoints"),
    [
        ([], "bridge", ()),
        (["--network", "host"], "host", ()),
        (["--net", "appnet"], "appnet", ()),
        (["--network", "default"], "bridge", ()),
        (["--network=container:web"], "container:web", ()),
        (["--network", "name=a,alias=x"], "a", (EndpointWish(network="a", aliases=("x",)),)),
        (["--network", "a", "--network", "b"], "a", (EndpointWish(network="a"), EndpointWish(network="b"))),
        (
            ["--network", "name=a,ip=10.0.0.4", "--network", "name=b,alias=y", "--network-alias", "x"],
            "a",
            (EndpointWish(network="a", ipv4="10.0.0.4", aliases=("x",)), EndpointWish(network="b", aliases=("y",))),
        ),
    ],
)
def test_E2_networks_in_both_forms_and_several(words, network, endpoints):
    spec = wish(*words, "bb")
    assert (spec.network, spec.endpoints) == (network, endpoints)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-p", "80/foo"], "invalid proto: foo"),
        (["--expose", "80:80"], "invalid port format for --expose: 80:80"),
        (["--ip", "bad"], "invalid IPv4 address: bad"),
        (["--mac-address", "bad"], "bad is not a valid mac address"),
        (
            ["--network", "name=n,alias=c", "--network-alias", "a"],
            "conflicting options: cannot specify both --network-alias and per-network alias",
        ),
        (
            ["--network", "name=n,ip=1.2.3.4", "--ip", "1.2.3.4"],
            "conflicting options: cannot specify both --ip and per-network IPv4 address",
        ),
        (
            ["--network", "name=n,ip6=::4", "--ip6", "::4"],
            "conflicting options: cannot specify both --ip6 and per-network IPv6 address",
        ),
        (["--link-local-ip", "169.254.1.1"], "--link-local-ip is not available yet: "),
    ],
)
def test_E2_refused_before_anything_is_made(words, message):
    with pytest.raises(InvalidInput) as caught:
        wish(*words, "bb")
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--network", "name=n,foo=b"], 'invalid argument "name=n,foo=b" for "--network" flag: invalid field key foo'),
        (["--dns", "x"], 'invalid argument "x" for "--dns" flag: IP address is not correctly formatted: x'),
        (["--add-host", "x"], 'invalid argument "x" for "--add-host" flag: bad format for add-host: "x"'),
        (["--link", ""], 'invalid argument "" for "--link" flag: empty string specified for links'),
        (["--dns-search", "a b"], 'invalid argument "a b" for "--dns-search" flag: a b is not a valid domain'),
    ],
)
def test_E2_malformed_flags_are_named_as_docker_names_them(words, message):
    with pytest.raises(FlagError) as caught:
        wish(*words, "bb")
    assert caught.value.message == message


def test_E2_create_asks_for_everything(shell):
    shell(
        *("network", "create", "--subnet", "10.5.0.0/24,fd00:77::/64", "--gateway", "10.5.0.9", "--ip-range"),
        *("10.5.0.128/25", "--aux-address", "x=10.5.0.3", "--internal", "--ipv6", "--attachable", "-d", "macvlan"),
        *("-o", "parent=eth0", "--opt", "flag", "--label", "a=b", "--label", "c", "net"),
    )
    spec = NetworkSpec(
        name="net",
        driver="macvlan",
        subnets=(
            Subnet(subnet="10.5.0.0/24", gateway="10.5.0.9", ip_range="10.5.0.128/25", reserved={"x": "10.5.0.3"}),
            Subnet(subnet="fd00:77::/64"),
        ),
        internal=True,
        ipv6=True,
        attachable=True,
        options={"parent": "eth0", "flag": ""},
        labels={"a": "b", "c": ""},
    )
    assert shell.calls == [("create", spec)]
    assert (shell.code, shell.out) == (0, f"{NETWORK_ID}\n")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--subnet", "bad", "n"], 1, "wharf: invalid subnet bad: invalid CIDR"),
        (["--gateway", "1.2.3.4", "n"], 1, "wharf: every ip-range or gateway must have a corresponding subnet"),
        (["--label", "=x", "n"], 125, 'wharf: invalid argument "=x" for "--label" flag: invalid label \'=x\''),
        (["--ipam-driver", "zzz", "n"], 125, 'wharf: invalid argument "zzz" for "--ipam-driver" flag: plugin "zzz"'),
        (["--scope", "swarm", "n"], 1, "wharf: --scope is not available yet: swarm"),
        (["--config-only", "n"], 1, "wharf: --config-only is not available yet: "),
        ([], 1, "wharf: 'wharf network create' requires 1 argument"),
    ],
)
def test_E2_create_refuses(shell, words, code, message):
    assert shell("network", "create", *words) == code
    assert shell.err.startswith(message)
    assert shell.calls == []


def test_E2_create_says_what_the_engine_refuses(shell):
    shell.backend.networks.failure = InUse("network with name appnet already exists")
    assert shell("network", "create", "appnet") == 1
    assert shell.err == "wharf: network with name appnet already exists\n"


def test_E2_ls(shell):
    assert shell("network", "ls") == 0
    assert shell.out.splitlines()[:2] == [
        "NETWORK ID     NAME      DRIVER    SCOPE",
        "9e3f7f573df9   appnet    bridge    local",
    ]
    shell("network", "ls", "--no-trunc", "-q")
    assert shell.out.splitlines()[0] == NETWORK_ID


def test_E2_ls_formats(shell):
    shell("network", "ls", "--format", "json", "-f", "name=appnet")
    assert json.loads(shell.out) == {
        "CreatedAt": "2026-11-21 04:36:46.274879097 +0000 UTC",
        "Driver": "bridge",
        "ID": "9e3f7f573df9",
        "IPv4": "true",
        "IPv6": "false",
        "Internal": "false",
        "Labels": "a=b",
        "Name": "appnet",
        "Scope": "local",
    }
    shell("network", "ls", "--format", 'table {{.Name}}\t{{.Internal}}\t{{.IPv6}}\t{{.Label "a"}}', "-f", "type=custom")
    assert (
        shell.out
        == "NAME      INTERNAL   IPV6      a\nappnet    false      false     b\nempty     true       true      \n"
    )


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (["driver=bridge"], ["appnet", "bridge"]),
        (["driver=bridge", "driver=host"], ["appnet", "bridge", "host"]),
        (["type=custom"], ["appnet", "empty"]),
        (["type=builtin"], ["bridge", "host", "none"]),
        (["dangling=true"], ["empty"]),
        (["dangling=false"], ["appnet", "bridge", "host", "none"]),
        (["name=^e"], ["empty"]),
        (["id=9e3f"], ["appnet"]),
        (["label=a"], ["appnet"]),
        (["label=a=c"], []),
        (["scope=local", "name=app"], ["appnet"]),
        (["scope=swarm"], []),
    ],
)
def test_E2_ls_filters(shell, filters, names):
    shell("network", "ls", "--format", "{{.Name}}", *(word for text in filters for word in ("-f", text)))
    assert shell.out.split() == names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bad=x", "wharf: invalid filter 'bad'"),
        ("type=foo", "wharf: invalid filter: 'type'='foo'"),
        ("dangling=x", "wharf: invalid filter 'dangling=[x]'"),
    ],
)
def test_E2_ls_refuses_filters(shell, text, message):
    assert shell("network", "ls", "-f", text) == 1
    assert shell.err.startswith(message)


def test_E2_connect_and_disconnect(shell):
    words = ("--alias", "a,b", "--alias", "c", "--ip", "10.0.0.4", "--ip6", "::4", "--link", "db:x", "--driver-opt")
    assert shell("network", "connect", *words, "k=v,m=n", "appnet", "web") == 0
    assert shell("network", "disconnect", "-f", "appnet", "web") == 0
    wanted = EndpointWish(
        network="appnet",
        aliases=("a", "b", "c"),
        ipv4="10.0.0.4",
        ipv6="::4",
        links=("db:x",),
        options={"k": "v", "m": "n"},
    )
    assert shell.calls == [("connect", "appnet", "web", wanted), ("disconnect", "appnet", "web", True)]
    assert shell.out == ""


def test_E2_rm(shell):
    assert shell("network", "rm", "empty", "nope") == 1
    assert (shell.out, shell.err) == ("empty\n", "wharf: network nope not found\n")
    assert shell("network", "remove", "-f", "nope") == 0
    assert shell.err == ""
    shell.backend.networks.failure = InUse("error while removing network: network appnet has active endpoints")
    assert shell("network", "rm", "-f", "appnet") == 1


def test_E2_prune(shell):
    assert shell("network", "prune", "-f", "--filter", "label=a") == 0
    assert shell.out == "Deleted Networks:\nempty\n\n"
    assert shell.calls == [("prune networks", PruneFilter(labels=("a",)))]
    shell("network", "prune", stdin=b"n\n")
    question = "WARNING! This will remove all custom networks not used by at least one container.\n"
    assert (shell.out + shell.err).startswith(question)
    assert len(shell.calls) == 1


def test_E2_inspect(shell):
    assert shell("network", "inspect", "appnet") == 0
    (document,) = json.loads(shell.out)
    keys = "Name Id Created Scope Driver EnableIPv4 EnableIPv6 IPAM Internal Attachable Ingress ConfigFrom ConfigOnly"
    assert list(document) == [*keys.split(), "Containers", "Options", "Labels"]
    assert document["IPAM"] == {
        "Driver": "default",
        "Options": {},
        "Config": [
            {
                "Subnet": "172.30.0.0/16",
                "IPRange": "172.30.5.0/24",
                "Gateway": "172.30.0.9",
                "AuxiliaryAddresses": {"x": "172.30.5.1"},
            }
        ],
    }
    assert document["Containers"] == {
        WEB_ID: {
            "Name": "web",
            "EndpointID": "e" * 64,
            "MacAddress": "02:42:ac:1e:05:07",
            "IPv4Address": "172.30.5.7/16",
            "IPv6Address": "",
        }
    }
    layout = "{{.IPAM}} {{.ConfigFrom}} {{range .IPAM.Config}}{{.Gateway}}{{end}} {{.Options}}"
    shell("network", "inspect", "-f", layout, "appnet")
    assert shell.out == (
        "{default map[] [{172.30.0.0/16 172.30.5.0/24 172.30.0.9 map[x:172.30.5.1]}]} {} 172.30.0.9 "
        "map[com.docker.network.bridge.name:brx]\n"
    )


def test_E2_inspect_finds_networks_among_all_kinds(shell):
    assert shell("inspect", "-f", "{{.Driver}}", "empty") == 0
    assert shell.out == "macvlan\n"
    assert shell("inspect", "--type", "network", "web") == 1
    assert shell.err == "wharf: network web not found\n"
    assert shell("network", "inspect", "nope") == 1
    assert shell.out == "[]\n"


ON_APPNET = Endpoint(
    network="appnet",
    network_id=NETWORK_ID,
    endpoint_id="e" * 64,
    mac="02:42:ac:1e:05:07",
    ipv4="172.30.5.7",
    ipv4_prefix_length=16,
    ipv4_gateway="172.30.0.9",
    names=("web", WEB_ID[:12]),
)


def networked(shell, *, ports=(), exposed=(), endpoints=(ON_APPNET,), **spec_fields):
    """Make the fake's running container one with networks."""
    web, *others = shell.backend.containers.known
    fields = {"network": endpoints[0].network if endpoints else "none", **spec_fields}
    made = container(WEB_ID, "web", msgspec.structs.replace(web.state, endpoints=endpoints, ports=ports), **fields)
    config = msgspec.structs.replace(made.config, exposed_ports=exposed)
    shell.backend.containers.known = [msgspec.structs.replace(made, config=config), *others]
    return shell.backend.containers.known[0]


def published(inside, outside, *, protocol="tcp", ips=("0.0.0.0", "::")):
    return tuple(PublishedPort(container_port=inside, protocol=protocol, host_ip=ip, host_port=outside) for ip in ips)


MANY_PORTS = (
    *published(80, 8080),
    *published(443, 32768),
    *(port for n in (9000, 9001, 9002) for port in published(n, n, protocol="udp", ips=("127.0.0.1",))),
)


def test_E1_ps_shows_ports_as_docker_does(shell):
    web = networked(shell, ports=MANY_PORTS, exposed=("443/tcp", "53/udp", "80/tcp", "9000/udp", "99/tcp"))
    assert ports_text(web) == (
        "53/udp, 99/tcp, 127.0.0.1:9000-9002->9000-9002/udp, 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, "
        "0.0.0.0:32768->443/tcp, [::]:32768->443/tcp"
    )
    shell("ps", "--format", "{{.Ports}}|{{.Networks}}")
    assert shell.out == f"{ports_text(web)}|appnet\n"


@pytest.mark.parametrize(
    ("ports", "exposed", "text"),
    [
        ((), (), ""),
        ((), ("53/udp", "80/tcp", "81/tcp"), "53/udp, 80-81/tcp"),
        (published(80, 80), ("80/tcp",), "0.0.0.0:80->80/tcp, [::]:80->80/tcp"),
        (published(80, 80, ips=("::1",)) + published(81, 81, ips=("::1",)), (), "[::1]:80-81->80-81/tcp"),
        (
            published(80, 80, ips=("::1",)) + published(83, 83, ips=("::1",)),
            (),
            "[::1]:80->80/tcp, [::1]:83->83/tcp",
        ),
        (published(80, 80) + published(80, 80, protocol="udp"), (),
         "0.0.0.0:80->80/tcp, 0.0.0.0:80->80/udp, [::]:80->80/tcp, [::]:80->80/udp"),
    ],
)  # fmt: skip
def test_E1_neighbouring_ports_are_a_range(shell, ports, exposed, text):
    assert ports_text(networked(shell, ports=ports, exposed=exposed)) == text


def test_E1_a_container_without_an_address_shows_no_ports(shell):
    assert ports_text(networked(shell, exposed=("80/tcp",), endpoints=())) == ""


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["publish=8080"], True),
        (["publish=8080/tcp"], True),
        (["publish=80"], False),
        (["publish=8000-9000"], True),
        (["publish=9000/udp"], True),
        (["publish=9000"], False),
        (["expose=80"], True),
        (["expose=99"], False),
        (["expose=99", "publish=8080"], True),
        (["network=appnet"], True),
        (["network=9e3f"], True),
        (["network=bridge"], False),
        (["network=host", "network=appnet"], True),
    ],
)
def test_B1_E1_filters_of_ports_and_networks(shell, filters, found):
    networked(shell, ports=MANY_PORTS, exposed=("80/tcp",))
    shell("ps", "-a", "--format", "{{.Names}}", *(word for text in filters for word in ("-f", text)))
    assert shell.out.split() == (["web"] if found else [])


def test_E1_port(shell):
    networked(shell, ports=tuple(reversed(MANY_PORTS)))
    shell("port", "web")
    assert shell.out.splitlines() == [
        "80/tcp -> 0.0.0.0:8080",
        "80/tcp -> [::]:8080",
        "443/tcp -> 0.0.0.0:32768",
        "443/tcp -> [::]:32768",
        "9000/udp -> 127.0.0.1:9000",
        "9001/udp -> 127.0.0.1:9001",
        "9002/udp -> 127.0.0.1:9002",
    ]
    assert shell("port", "web", "80") == 0
    assert shell.out == "0.0.0.0:8080\n[::]:8080\n"
    assert shell("port", "web", "80/udp") == 1
    assert shell.err == "wharf: No public port '80/udp' published for web\n"
    assert shell("port", "web", "9000-9001/udp") == 1
    assert shell.err.startswith("wharf: invalid port (9000-9001/udp)")
    assert shell("port", "old") == 0
    assert shell.out == ""


def test_B3_E1_inspect_shows_ports_and_addresses(shell):
    links = EndpointWish(network="appnet", ipv4="172.30.5.7", aliases=("al",), links=("db:kk",), options={"a": "b"})
    networked(
        shell,
        ports=published(80, 8080),
        exposed=("53/udp", "80/tcp"),
        endpoints=(ON_APPNET,),
    )
    web = networked(shell, ports=published(80, 8080), exposed=("53/udp", "80/tcp"))
    web = msgspec.structs.replace(
        web, settings=msgspec.structs.replace(web.settings, endpoints=(links, EndpointWish(network="other")))
    )
    settings = network_settings(web)
    assert settings["Ports"] == {
        "53/udp": None,
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}, {"HostIp": "::", "HostPort": "8080"}],
    }
    assert (settings["IPAddress"], settings["Gateway"], settings["SandboxKey"]) == ("", "", "/proc/42/ns/net")
    assert settings["Networks"] == {
        "appnet": {
            "IPAMConfig": {"IPv4Address": "172.30.5.7"},
            "Links": ["db:kk"],
            "Aliases": ["al"],
            "MacAddress": "02:42:ac:1e:05:07",
            "DriverOpts": {"a": "b"},
            "NetworkID": NETWORK_ID,
            "EndpointID": "e" * 64,
            "Gateway": "172.30.0.9",
            "IPAddress": "172.30.5.7",
            "IPPrefixLen": 16,
            "IPv6Gateway": "",
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "DNSNames": ["web", WEB_ID[:12]],
        },
        "other": {
            "IPAMConfig": None,
            "Links": None,
            "Aliases": None,
            "MacAddress": "",
            "DriverOpts": None,
            "NetworkID": "",
            "EndpointID": "",
            "Gateway": "",
            "IPAddress": "",
            "IPPrefixLen": 0,
            "IPv6Gateway": "",
            "GlobalIPv6Address": "",
            "GlobalIPv6PrefixLen": 0,
            "DNSNames": None,
        },
    }


def test_B3_E1_on_the_default_network_the_address_stands_at_the_top_too(shell):
    on_bridge = msgspec.structs.replace(ON_APPNET, network="bridge", ipv4="172.17.0.2")
    wanted = EndpointWish(network="bridge", links=("db:x", "/db:db"))
    web = networked(shell, endpoints=(on_bridge,), network="bridge")
    shell.backend.containers.known[0] = msgspec.structs.replace(
        web, settings=ContainerSettings(name="web", limits=Limits(), endpoints=(wanted,))
    )
    shell("inspect", "-f", "{{.NetworkSettings.IPAddress}} {{.NetworkSettings.Networks.bridge.IPAddress}}", "web")
    assert shell.out == "172.17.0.2 172.17.0.2\n"
    shell("inspect", "-f", "{{json .HostConfig.Links}} {{json .NetworkSettings.Networks.bridge.Links}}", "web")
    assert shell.out == '["/db:/web/x","/db:/web/db"] null\n'


def test_B3_E1_host_config_shows_what_was_asked_for(shell):
    networked(
        shell,
        ports=published(80, 8080),
        network="appnet",
        expose=("99/tcp",),
        publish_all=True,
        dns=DnsWish(servers=("1.1.1.1",), search=("x.org",), options=("ndots:3",)),
        extra_hosts=("foo:1.2.3.4",),
    )
    web = shell.backend.containers.known[0]
    wishes = (
        PortWish(container_port=80, host_first=8080),
        PortWish(container_port=80, host_ip="::1"),
        PortWish(container_port=53, protocol="udp", host_first=1, host_last=3),
    )
    spec = msgspec.structs.replace(web.config.spec, ports=wishes)
    config = msgspec.structs.replace(web.config, spec=spec)
    shell.backend.containers.known[0] = msgspec.structs.replace(web, config=config)
    shell("inspect", "-f", "{{json .HostConfig}}", "web")
    host = json.loads(shell.out)
    assert host["PortBindings"] == {
        "53/udp": [{"HostIp": "", "HostPort": "1-3"}],
        "80/tcp": [{"HostIp": "", "HostPort": "8080"}, {"HostIp": "::1", "HostPort": ""}],
    }
    assert host["PublishAllPorts"] is True
    assert (host["Dns"], host["DnsSearch"], host["DnsOptions"]) == (["1.1.1.1"], ["x.org"], ["ndots:3"])
    assert (host["ExtraHosts"], host["NetworkMode"], host["Links"]) == (["foo:1.2.3.4"], "appnet", None)
    layout = "{{range $p, $b := .NetworkSettings.Ports}}{{$p}} {{(index $b 0).HostPort}}{{end}}"
    shell("inspect", "-f", layout, "web")
    assert shell.out == "80/tcp 8080\n"


def test_B3_a_stopped_container_keeps_its_networks_and_no_address(shell):
    web = networked(shell, exposed=("80/tcp",))
    ended = Exited(exit_code=0, started_ns=CREATED_NS, finished_ns=CREATED_NS)
    settings = network_settings(msgspec.structs.replace(web, state=ended))
    assert settings["Ports"] == {}
    assert settings["SandboxKey"] == ""
    assert settings["Networks"]["appnet"]["IPAddress"] == ""


def test_system_prune_takes_networks_along(shell):
    shell("system", "prune", stdin=b"n\n")
    lines = (shell.out + shell.err).splitlines()
    assert lines[1:3] == ["  - all stopped containers", "  - all networks not used by at least one container"]
