"""What people write about networks: values, and what contradicts itself."""

import pytest

from core.errors import InvalidInput
from core.model.container import ContainerSpec
from core.model.network import DnsWish, EndpointWish, Subnet
from core.model.networking import (
    check_networking,
    parse_alias,
    parse_dns_option,
    parse_dns_search,
    parse_dns_server,
    parse_extra_host,
    parse_ipv4,
    parse_ipv6,
    parse_link,
    parse_mac,
    parse_network,
)
from core.model.ports import PortWish
from core.model.subnets import join_subnets


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("appnet", EndpointWish(network="appnet")),
        ("default", EndpointWish(network="bridge")),
        ("container:web", EndpointWish(network="container:web")),
        ("name=appnet", EndpointWish(network="appnet")),
        ("NAME=default", EndpointWish(network="bridge")),
        (
            "name=n, alias=a,alias=b,ip=172.30.5.9,ip6=2001:DB8::5,mac-address=02-42-AC-11-00-09,driver-opt=x=y=z",
            EndpointWish(
                network="n",
                aliases=("a", "b"),
                ipv4="172.30.5.9",
                ipv6="2001:db8::5",
                mac="02:42:ac:11:00:09",
                options={"x": "y=z"},
            ),
        ),
    ],
)
def test_E2_a_network_in_both_forms(text, wish):
    assert parse_network(text) == wish


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_network, "", "no name set for network"),
        (parse_network, "container:", "invalid network mode: invalid container format container:<name|id>"),
        (parse_network, "alias=a", "network name/id is not specified"),
        (parse_network, "name=n,foo=bar", "invalid field key foo"),
        (parse_network, "name=n,alias", "invalid field alias"),
        (parse_network, "name=n,ip=bad", "invalid IPv4 address: bad"),
        (parse_network, "name=n,mac-address=bad", "bad is not a valid mac address"),
        (parse_network, "name=n,driver-opt=c", "invalid key value pair format in driver options"),
        (parse_network, "name=n,gw-priority=1", "gw-priority is not available: "),
        (parse_network, "name=n,link-local-ip=169.254.1.1", "link-local-ip is not available: "),
        (parse_ipv4, "::1", "invalid IPv4 address: ::1"),
        (parse_ipv4, "1.2.3.4\n", "invalid IPv4 address: 1.2.3.4\n"),
        (parse_ipv6, "1.2.3.4", "invalid IPv6 address: 1.2.3.4"),
        (parse_ipv6, "fe80::1%eth0", "invalid IPv6 address: fe80::1%eth0"),
        (parse_mac, "02:42:ac:11:00", "02:42:ac:11:00 is not a valid mac address"),
        (parse_mac, "02:42:ac:11:00:09\n", "02:42:ac:11:00:09\n is not a valid mac address"),
        (parse_mac, "ff:ff:ff:ff:ff:ff", "ff:ff:ff:ff:ff:ff is not a valid mac address"),
        (parse_mac, "00:00:00:00:00:00", "00:00:00:00:00:00 is not a valid mac address"),
        (parse_alias, "a b", "invalid network alias: 'a b'"),
        (parse_alias, "a\nb", "invalid network alias: 'a\\nb'"),
        (parse_link, "", "empty string specified for links"),
        (parse_link, "a:b:c", "bad format for links: a:b:c"),
        (parse_link, "a:", "bad format for links: a:"),
        (parse_link, "a:b\n1.2.3.4 evil", "bad format for links: a:b"),
        (parse_extra_host, "foo", 'bad format for add-host: "foo"'),
        (parse_extra_host, ":1.2.3.4", 'bad format for add-host: ":1.2.3.4"'),
        (parse_extra_host, "foo:bar", 'invalid IP address in add-host: "bar"'),
        (parse_extra_host, "foo:", 'invalid IP address in add-host: ""'),
        (parse_extra_host, "a\nb:1.2.3.4", 'bad format for add-host: "a'),
        (parse_extra_host, "a:fe80::1%x\n6.6.6.6 b", 'invalid IP address in add-host: "fe80::1%x'),
        (parse_dns_server, "fe80::1%x\noptions", "IP address is not correctly formatted: fe80::1%x"),
        (parse_dns_server, "foo", "IP address is not correctly formatted: foo"),
        (parse_dns_server, "1.1.1.1,2.2.2.2", "IP address is not correctly formatted: 1.1.1.1,2.2.2.2"),
        (parse_dns_search, "", " is not a valid domain"),
        (parse_dns_search, "a..b", "a..b is not a valid domain"),
        (parse_dns_search, "-a.b", "-a.b is not a valid domain"),
        (parse_dns_search, "a\nnameserver 6.6.6.6", "a\nnameserver 6.6.6.6 is not a valid domain"),
        (parse_dns_search, "1.2", "1.2 is not a valid domain"),
        (parse_dns_option, "a\nnameserver 6.6.6.6", "invalid DNS option: "),
    ],
)
def test_E2_ST13_malformed_values_are_named(parse, text, message):
    with pytest.raises(InvalidInput) as caught:
        parse(text)
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_mac, "0242.AC11.0009", "02:42:ac:11:00:09"),
        (parse_link, "web", "web:web"),
        (parse_link, "/web", "/web:web"),
        (parse_link, "web:db", "web:db"),
        (parse_extra_host, "foo=1.2.3.4", "foo:1.2.3.4"),
        (parse_extra_host, "foo:::1", "foo:::1"),
        (parse_extra_host, "foo:[::1]", "foo:::1"),
        (parse_extra_host, "foo=host-gateway", "foo:host-gateway"),
        (parse_dns_search, ".", "."),
        (parse_dns_search, "x.example.org.", "x.example.org."),
        (parse_dns_server, " 1.1.1.1", "1.1.1.1"),
    ],
)
def test_E2_values_are_brought_into_one_form(parse, text, value):
    assert parse(text) == value


ON_NET = EndpointWish(network="net")
JOINED = "container:web"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"network": "net", "endpoints": (ON_NET, EndpointWish(network="host"))},
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
        ),
        (
            {"network": JOINED, "endpoints": (EndpointWish(network=JOINED), ON_NET)},
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes",
        ),
        ({"network": "net", "endpoints": (ON_NET, ON_NET)}, 'network "net" is specified multiple times'),
        (
            {"network": "bridge", "endpoints": (EndpointWish(network="bridge", aliases=("a",)),)},
            "network-scoped aliases are only supported for user-defined networks",
        ),
        (
            {"network": "bridge", "endpoints": (EndpointWish(network="bridge", ipv4="1.2.3.4"),)},
            "user specified IP address is supported on user defined networks only",
        ),
        (
            {"network": "host", "endpoints": (EndpointWish(network="host", mac="02:00:00:00:00:01"),)},
            "conflicting options: mac-address and the network mode",
        ),
        (
            {"network": "host", "endpoints": (EndpointWish(network="host", links=("a:b",)),)},
            "conflicting options: host type networking can't be used with links.",
        ),
        (
            {"network": JOINED, "endpoints": (EndpointWish(network=JOINED, links=("a:b",)),)},
            "conflicting options: container type network can't be used with links.",
        ),
        ({"network": JOINED, "hostname": "x"}, "conflicting options: hostname and the network mode"),
        (
            {"network": JOINED, "dns": DnsWish(servers=("1.1.1.1",))},
            "conflicting options: dns and the network mode",
        ),
        (
            {"network": JOINED, "extra_hosts": ("a:1.1.1.1",)},
            "conflicting options: custom host-to-IP mapping and the network mode",
        ),
        (
            {"network": JOINED, "ports": (PortWish(container_port=80),)},
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            {"network": JOINED, "publish_all": True},
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            {"network": JOINED, "expose": ("80/tcp",)},
            "conflicting options: port exposing and the container type network mode",
        ),
    ],
)
def test_E2_contradictions_are_refused_in_dockers_words(fields, message):
    with pytest.raises(InvalidInput) as caught:
        check_networking(ContainerSpec(image="bb", **fields))
    assert caught.value.message.startswith(message)


def test_E2_what_has_no_effect_is_said():
    ports = (PortWish(container_port=80),)
    said = "Published ports are discarded when using host network mode"
    assert check_networking(ContainerSpec(image="bb", network="host", ports=ports)) == (said,)
    local = DnsWish(servers=("127.0.0.1", "1.1.1.1"))
    assert check_networking(ContainerSpec(image="bb", network="bridge", dns=local, ports=ports)) == (
        "Localhost DNS (127.0.0.1) may fail in containers.",
    )


def test_E2_several_networks_of_ones_own_are_fine():
    wishes = (EndpointWish(network="net", ipv4="10.0.0.5", aliases=("a",)), EndpointWish(network="other"))
    assert check_networking(ContainerSpec(image="bb", network="net", endpoints=wishes)) == ()


def test_E2_ranges_gateways_and_reserved_addresses_find_their_subnet():
    found = join_subnets(
        ["10.5.0.0/24", "fd00:77::/64"],
        ranges=["10.5.0.128/25"],
        gateways=["fd00:77::9", "10.5.0.9"],
        reserved=["printer=10.5.0.3", "old=10.5.0.4"],
    )
    assert found == (
        Subnet(
            subnet="10.5.0.0/24",
            gateway="10.5.0.9",
            ip_range="10.5.0.128/25",
            reserved={"printer": "10.5.0.3", "old": "10.5.0.4"},
        ),
        Subnet(subnet="fd00:77::/64", gateway="fd00:77::9"),
    )


@pytest.mark.parametrize(
    ("subnets", "options", "message"),
    [
        (["bad"], {}, "invalid subnet bad: invalid CIDR"),
        (["10.0.0.0"], {}, "invalid subnet 10.0.0.0: invalid CIDR"),
        (["10.0.0.0/33"], {}, "invalid subnet 10.0.0.0/33: invalid CIDR"),
        (["10.0.0.5/24"], {}, "invalid subnet 10.0.0.5/24: it should be 10.0.0.0/24"),
        ([], {"gateways": ["1.2.3.4"]}, "every ip-range or gateway must have a corresponding subnet"),
        ([], {"ranges": ["1.2.3.0/24"]}, "every ip-range or gateway must have a corresponding subnet"),
        (["10.5.0.0/24"], {"gateways": ["1.2.3.4"]}, "no matching subnet for gateway 1.2.3.4"),
        (["10.5.0.0/24"], {"gateways": ["::1"]}, "no matching subnet for gateway ::1"),
        (["10.5.0.0/24"], {"ranges": ["10.6.0.0/25"]}, "no matching subnet for range 10.6.0.0/25"),
        (["10.5.0.0/24"], {"ranges": ["10.5.0.0/16"]}, "no matching subnet for range 10.5.0.0/16"),
        (
            ["10.5.0.0/24", "10.5.0.128/25"],
            {},
            "multiple overlapping subnet configuration is not supported",
        ),
        (
            ["10.5.0.0/24", "fd00::/64"],
            {"gateways": ["10.5.0.1", "10.5.0.2"]},
            "cannot configure multiple gateways (10.5.0.2, 10.5.0.1) for the same subnet (10.5.0.0/24)",
        ),
        (["10.5.0.0/24"], {"reserved": ["foo"]}, "bad format for aux-address: foo"),
        (["10.5.0.0/24"], {"reserved": ["foo=1.2.3.4"]}, "no matching subnet for aux-address 1.2.3.4"),
        (["10.5.0.0/24"], {"reserved": ["foo=x"]}, "invalid aux-address address: x"),
    ],
)
def test_E2_subnets_that_make_no_sense(subnets, options, message):
    with pytest.raises(InvalidInput) as caught:
        join_subnets(subnets, **options)
    assert caught.value.message.startswith(message)
