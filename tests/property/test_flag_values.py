"""Rows ST12, ST13 and ST14: whatever a person or a file says, a value or one sentence comes of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.engine.checking import read_volumes_from
from core.engine.seccomp_json import read_profile
from core.errors import InvalidInput, InvalidSpec
from core.linux.caps import DEFAULT_MASK
from core.model import isolation
from core.model.devices import (
    parse_device,
    parse_device_bps,
    parse_device_iops,
    parse_device_rule,
    parse_device_weight,
)
from core.model.ids import is_name
from core.model.mounts import parse_mount, parse_tmpfs, parse_volume
from core.model.protection import read_protection
from core.model.sysctls import parse_sysctl, sysctl_path
from core.model.ulimits import parse_ulimit
from core.monitor import proto
from core.state.paths import percent_encoded

PARSERS: tuple[Callable[[str], object], ...] = (
    parse_device,
    parse_device_bps,
    parse_device_iops,
    parse_device_rule,
    parse_device_weight,
    parse_mount,
    parse_tmpfs,
    parse_volume,
    parse_sysctl,
    parse_ulimit,
    read_volumes_from,
    isolation.parse_pid,
    isolation.parse_ipc,
    isolation.parse_uts,
    isolation.parse_cgroupns,
    isolation.parse_userns,
    lambda text: read_protection((text,)),
)
LIKELY = st.lists(
    st.sampled_from(
        "/dev/ null : = , . .. ro rw rwm type bind volume tmpfs source target nofile core net. kernel.shmmax -1 0 99 "
        "* c b a container host \0 \n ünï seccomp label readonly size 1m".split(" ")
    )
).map("".join)
ANYTHING = st.one_of(LIKELY, st.text())


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__name__)
@given(text=ANYTHING)
def test_ST14_a_value_or_a_sentence(parse: Callable[[str], object], text: str) -> None:
    with contextlib.suppress(InvalidInput):
        parse(text)


@given(ANYTHING)
@example("../x")
@example("a/../../x")
@example(".")
@example("..")
def test_ST12_a_name_is_one_component_or_no_name(text: str) -> None:
    if is_name(text):
        assert PurePosixPath("/volumes", text).parent == PurePosixPath("/volumes")
        assert text not in (".", "..")
    encoded = percent_encoded(text)
    assert "/" not in encoded
    assert "\0" not in encoded
    assert encoded.isascii()


@given(ANYTHING)
@example("net/../kernel.core_pattern=x")
@example("net.ipv4/../../kernel=x")
def test_SE4_a_kernel_parameter_never_climbs(text: str) -> None:
    try:
        name, _ = parse_sysctl(text)
    except InvalidInput:
        return
    parts = sysctl_path(name).split("/")
    assert ".." not in parts
    assert "" not in parts
    assert parts[0] in ("net", "kernel", "fs")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["defaultAction", "syscalls", "names", "action", "args", "index", "op", "archMap", "op"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_ST14_a_profile_or_a_sentence(document: object) -> None:
    with contextlib.suppress(InvalidSpec):
        read_profile(json.dumps(document), DEFAULT_MASK)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
def test_ST14_a_packet_is_a_request_or_a_value_error(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(proto.parse(data), dict)
