"""Documents from outside, and times."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Integrity
from core.images import wire

GOOD = "sha256:" + "a" * 64


def manifest(**fields: object) -> bytes:
    return json.dumps({"schemaVersion": 2, "config": {"digest": GOOD}, "layers": [], **fields}).encode()


def test_manifests_and_indexes_are_told_apart() -> None:
    assert isinstance(wire.parse_manifest(manifest(), "m"), wire.Manifest)
    assert isinstance(wire.parse_manifest(b'{"manifests":[]}', "m"), wire.Index)


@pytest.mark.parametrize(
    "data",
    [
        manifest(manifests=[]),  # CVE-2021-41190
        b'{"manifests":[],"layers":[]}',
        b'{"config":{"digest":"sha256:x"},"layers":[]}',
        b'{"config":{"digest":"md5:' + b"a" * 64 + b'"},"layers":[]}',
        manifest(layers=[{"digest": "../../etc/passwd"}]),
        b'{"config":{"digest":"' + GOOD.encode() + b'"},"layers":[],"layers":[]}',
        b'{"layers":NaN}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"",
        b"null",
        b"[]",
        b'{"config":1,"layers":[]}',
        b"\xff\xfe{}",
        b" " * (wire.LARGEST_DOCUMENT_BYTES + 1),
    ],
)
def test_ST7_confused_manifests_are_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(Integrity) as caught:
        wire.parse_manifest(data, "the manifest")
    assert caught.value.message.startswith("the manifest")
    assert "\n" not in caught.value.message


def test_configs_may_have_nulls_everywhere() -> None:
    data = b"""{"config":{"User":null,"Env":null,"Entrypoint":null,"Cmd":null,"Volumes":null,"WorkingDir":null,
        "Labels":null,"StopSignal":null,"ExposedPorts":null},"rootfs":null,"history":null,"created":null,"author":null}"""
    document = wire.parse_config(data, "c")
    config = wire.run_config(document)
    assert (config.cmd, config.env, config.volumes, config.labels, config.user) == ((), (), (), {}, "")


@pytest.mark.parametrize(
    "data",
    [
        b'{"config":{"Env":[1]}}',
        b'{"config":{"Labels":{"a":1}}}',
        b'{"rootfs":{"diff_ids":["nothing"]}}',
        b'{"config":{"Cmd":"sh"}}',
        b'{"config":[]}',
    ],
)
def test_configs_of_wrong_types_are_refused_with_the_place(data: bytes) -> None:
    with pytest.raises(Integrity, match="the config"):
        wire.parse_config(data, "the config")


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T00:00:00.000000007Z", 7),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T23:00:00-01:00", 0),
        ("2024-02-30T00:00:00Z", 0),
        ("0001-01-01T00:00:00Z", 0),
        ("yesterday", 0),
        (None, 0),
        ("2016-12-31T23:59:60Z", 1483228799 * 10**9),
    ],
)
def test_stamps_are_read_and_nonsense_is_no_time(text: str | None, at_ns: int) -> None:
    assert wire.parse_stamp(text) == at_ns


@given(st.integers(0, 4_000_000_000 * 10**9))
def test_stamps_survive_writing_and_reading(at_ns: int) -> None:
    assert wire.parse_stamp(wire.format_stamp(at_ns)) == at_ns
