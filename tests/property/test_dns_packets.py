"""Whatever comes to a container's name server, it is answered, refused or dropped, and never hurts."""

from __future__ import annotations

import ipaddress
import json
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.monitor import dns_packets as dns
from core.monitor.name_table import NameTable

LABEL = st.binary(min_size=1, max_size=63)
HEADER = st.tuples(*[st.integers(0, 65535)] * 6).map(lambda words: struct.pack(">6H", *words))


def asked(labels: list[bytes], kind: int = dns.A, flags: int = 0x0100) -> bytes:
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack(">6H", 7, flags, 1, 0, 0, 0) + name + struct.pack(">HH", kind, 1)


@given(st.one_of(st.binary(max_size=600), st.tuples(HEADER, st.binary(max_size=600)).map(b"".join)))
def test_E5_any_packet_is_read_or_refused(packet: bytes) -> None:
    question, answer = None, b""
    try:
        question = dns.parse(packet)
    except dns.Unanswerable:
        return
    except dns.Refused as refused:
        answer = refused.answer
    if question is None:
        assert answer[:2] == packet[:2]
        assert len(answer) == dns.HEADER_BYTES
        return
    answer = dns.answer(question, dns.FAILED)
    assert answer[:2] == packet[:2]
    assert question.section in packet
    assert dns.code_of(answer) == dns.FAILED
    assert len(question.name) <= 255


@given(st.lists(LABEL, max_size=140), st.integers(0, 65535))
def test_E5_a_name_is_read_as_it_is_written(labels: list[bytes], kind: int) -> None:
    packet = asked(labels, kind)
    if sum(len(label) + 1 for label in labels) > 255:
        with pytest.raises(dns.Refused):
            dns.parse(packet)
        return
    question = dns.parse(packet)
    assert question.name == ".".join(label.decode("latin-1").lower() for label in labels)
    assert question.kind == kind
    assert question.section == packet[dns.HEADER_BYTES :]


@given(st.integers(0, 200), st.integers(0, 65535), st.booleans())
def test_E5_an_answer_keeps_to_its_size_and_says_when_it_left_something_out(
    count: int, size: int, has_size: bool
) -> None:
    packet = asked([b"many"])
    if has_size:
        packet = packet[:10] + b"\0\1" + packet[12:] + b"\0" + struct.pack(">HHIH", 41, size, 0, 0)
    question = dns.parse(packet)
    records = [dns.address(str(ipaddress.ip_address(number + 1))) for number in range(count)]
    answer = dns.answer(question, dns.FINE, records, most_bytes=question.udp_bytes)
    assert len(answer) <= max(512, min(size, 4096) if has_size else 0)
    told = struct.unpack_from(">6H", answer)
    assert bool(told[1] & 0x0200) == (told[3] < count)
    assert told[5] == has_size


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_E5_a_reversed_address_is_read(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert dns.reversed_address(address.reverse_pointer) == str(address)


@given(st.text())
def test_E5_any_name_may_be_taken_for_a_reversed_address(name: str) -> None:
    for zone in ("", ".in-addr.arpa", ".ip6.arpa"):
        dns.reversed_address(name + zone)
    dns.pointer(name)


@given(st.binary(max_size=100), st.integers(0, 65535))
def test_E5_any_packet_may_come_from_a_server(packet: bytes, number: int) -> None:
    question = dns.parse(asked([b"web"]))
    if dns.is_answer_to(packet, number, question):
        assert dns.renumbered(packet, 7)[2:] == packet[2:]
        dns.code_of(packet)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_FIELDS = st.sampled_from(["network", "container_id", "container_name", "ipv4", "ipv6", "names"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=80), st.dictionaries(_FIELDS, _JSON).map(lambda value: json.dumps(value).encode())))
def test_E5_damaged_endpoints_leave_the_others_their_names(tmp_path: Path, damaged: bytes) -> None:
    directory = tmp_path / "endpoints"
    directory.mkdir(exist_ok=True)
    (directory / "a.json").write_bytes(damaged)
    fine = {
        "network": "red",
        "container_name": "w",
        "container_id": "b",
        "ipv4": "10.0.0.2",
        "names": ["the-web-server"],
    }
    (directory / "b.json").write_text(json.dumps(fine))
    table = NameTable([str(tmp_path)], {})
    assert "10.0.0.2" in (table.addresses("the-web-server") or [])
    assert table.name("10.0.0.2") == "w.red"
