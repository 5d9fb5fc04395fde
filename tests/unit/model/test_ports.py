"""The forms of -p and --expose. What docker's own command line says of each was looked up with `docker create`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.model.ports import LARGEST_PORT, PortWish, parse_expose, parse_publish


def wish(container_port, *, protocol="tcp", ip="", first=0, last=0):
    return PortWish(container_port=container_port, protocol=protocol, host_ip=ip, host_first=first, host_last=last)


@pytest.mark.parametrize(
    ("text", "wishes"),
    [
        ("80", [wish(80)]),
        ("80/udp", [wish(80, protocol="udp")]),
        ("80/TCP", [wish(80)]),
        ("80/sctp", [wish(80, protocol="sctp")]),
        ("8080:80", [wish(80, first=8080)]),
        ("8080:80/", [wish(80, first=8080)]),
        ("8080:80/udp", [wish(80, protocol="udp", first=8080)]),
        ("127.0.0.1:8080:80", [wish(80, ip="127.0.0.1", first=8080)]),
        ("127.0.0.1::80", [wish(80, ip="127.0.0.1")]),
        ("0.0.0.0:0:80", [wish(80, ip="0.0.0.0")]),
        (":80", [wish(80)]),
        ("::80", [wish(80)]),
        (":8080:80", [wish(80, first=8080)]),
        ("[]:80:80", [wish(80, first=80)]),
        ("[::1]:8080:80", [wish(80, ip="::1", first=8080)]),
        ("[::1]::80", [wish(80, ip="::1")]),
        ("::1:8080:80", [wish(80, ip="::1", first=8080)]),
        ("2001:db8::1:80:80", [wish(80, ip="2001:db8::1", first=80)]),
        ("[127.0.0.1]:80:80", [wish(80, ip="127.0.0.1", first=80)]),
        ("0:80", [wish(80)]),
        ("08080:080", [wish(80, first=8080)]),
        ("000000000080:80", [wish(80, first=80)]),
        ("65535:65535", [wish(65535, first=65535)]),
        ("1-3", [wish(1), wish(2), wish(3)]),
        ("1-2:4-5", [wish(4, first=1), wish(5, first=2)]),
        ("127.0.0.1:1-2:4-5/udp", [wish(n + 3, protocol="udp", ip="127.0.0.1", first=n) for n in (1, 2)]),
        ("8000-8010:80", [wish(80, first=8000, last=8010)]),
        ("[::1]:1-3:5", [wish(5, ip="::1", first=1, last=3)]),
        ("8000-8000:80", [wish(80, first=8000)]),
        ("published=80,target=81", [wish(81, first=80)]),
        ("target=80", [wish(80)]),
        ("published=80-82,target=81,protocol=udp,mode=host", [wish(81, protocol="udp", first=80, last=82)]),
        ("target=80-81,published=90-91,mode=ingress", [wish(80, first=90), wish(81, first=91)]),
    ],
)
def test_E1_every_form_of_publish(text, wishes):
    assert list(parse_publish(text)) == wishes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no port specified: <empty>"),
        (":", "no port specified: :<empty>"),
        ("::", "no port specified: ::<empty>"),
        ("8080:", "no port specified: 8080:<empty>"),
        ("8080:/tcp", "no port specified: 8080:/tcp<empty>"),
        ("/tcp", "no port specified: /tcp<empty>"),
        ("published=5", "no port specified: published=5<empty>"),
        ("80/foo", "invalid proto: foo"),
        ("80/tcp/udp", "invalid proto: tcp/udp"),
        ("target=80,protocol=foo", "invalid proto: foo"),
        ("127.0.0.1:80", "invalid hostPort: 127.0.0.1"),
        ("-1:80", "invalid hostPort: -1"),
        ("3-1:80", "invalid hostPort: 3-1"),
        ("70000:80", "invalid hostPort: 70000"),
        ("+80:80", "invalid hostPort: +80"),
        ("80-:80", "invalid hostPort: 80-"),
        ("٣:80", "invalid hostPort: ٣"),
        ("0-3:4", "invalid hostPort: 0-3"),
        ("80-81-82:80", "invalid hostPort: 80-81-82"),
        ("9" * 5000 + ":80", "invalid hostPort: 999"),
        ("published=x,target=81", "invalid hostPort: x"),
        ("a:b", "invalid containerPort: b"),
        ("80:0", "invalid containerPort: 0"),
        ("0", "invalid containerPort: 0"),
        ("5-3", "invalid containerPort: 5-3"),
        ("65536", "invalid containerPort: 65536"),
        ("80:http", "invalid containerPort: http"),
        (" 80", "invalid containerPort:  80"),
        ("80 ", "invalid containerPort: 80 "),
        ("80:80\n", "invalid containerPort: 80\n"),
        ("target=70000", "invalid containerPort: 70000"),
        ("host:80:80", "invalid IP address: host"),
        ("1.2.3:80:80", "invalid IP address: 1.2.3"),
        ("1.2.3.4:80:80:80", "invalid IP address: 1.2.3.4:80"),
        ("256.1.1.1:80:80", "invalid IP address: 256.1.1.1"),
        ("[fe80::1%eth0]:80:80", "invalid IP address: [fe80::1%eth0]"),
        ("[::1]8080:80", "invalid IP address: [:"),
        ("[::1]:80", "invalid IP address: [:"),
        ("[::1", "invalid IP address: ["),
        ("1-2:4-6", "invalid ranges specified for container and host Ports: 4-6 and 1-2"),
        ("target=80,foo=1", "invalid field key foo"),
        ("target=80,published", "invalid field key published"),
        ("target=80,mode=far", "invalid publish mode far"),
    ],
)
def test_E1_what_publish_refuses_and_what_it_says(text, message):
    with pytest.raises(InvalidInput) as caught:
        parse_publish(text)
    assert caught.value.message.startswith(message)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "ports"),
    [("80", ("80/tcp",)), ("53-54/UDP", ("53/udp", "54/udp")), ("80/", ("80/tcp",)), ("080", ("80/tcp",))],
)
def test_E1_expose(text, ports):
    assert parse_expose(text) == ports


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid range format for --expose: "),
        ("foo", "invalid range format for --expose: foo"),
        ("8-5", "invalid range format for --expose: 8-5"),
        ("0", "invalid range format for --expose: 0"),
        ("99999", "invalid range format for --expose: 99999"),
        ("80:80", "invalid port format for --expose: 80:80"),
        ("80/foo", "invalid proto: foo"),
    ],
)
def test_E1_what_expose_refuses(text, message):
    with pytest.raises(InvalidInput) as caught:
        parse_expose(text)
    assert caught.value.message.startswith(message)


@given(st.text(alphabet="0123456789:-/.[]abtcpud=, \n\0٣", max_size=30))
def test_E1_any_text_is_read_or_refused_in_a_sentence(text):
    try:
        wishes = parse_publish(text)
    except InvalidInput:
        pass
    else:
        assert wishes
        for one in wishes:
            assert 1 <= one.container_port <= LARGEST_PORT
            assert 0 <= one.host_first <= LARGEST_PORT
            assert one.host_last == 0 or one.host_first < one.host_last <= LARGEST_PORT
