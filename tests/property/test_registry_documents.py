"""Whatever a registry sends is understood or refused: no crash, no hang, no unbounded work (ST7, ST14)."""

from __future__ import annotations

import json
import time
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.engine.remote_images import best_of, check_manifest, platforms_of
from core.errors import EngineError
from core.images import wire
from core.model.platform import Platform
from core.registry.answers import parse_retry_after, refusal
from core.registry.challenge import LONGEST_BYTES, parse_challenges
from core.registry.client import _names

KEYS = st.sampled_from(
    [
        *("schemaVersion", "mediaType", "config", "layers", "manifests", "digest", "size", "platform", "urls"),
        *("os", "architecture", "variant", "annotations", "rootfs", "diff_ids", "history", "errors", "code", "tags"),
    ]
)
WORDS = st.sampled_from(
    [
        *("sha256:" + "0" * 64, "sha256:", "", "linux", "amd64", "v7", wire.OCI_MANIFEST, wire.OCI_INDEX),
        *("application/vnd.oci.image.layer.v1.tar+gzip", "\ud800", "../..", "\x1b]0;x\x07"),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=6),
    max_leaves=25,
)
DESCRIPTORS = st.fixed_dictionaries(
    {"digest": WORDS, "size": st.integers() | st.floats() | WORDS},
    optional={"mediaType": WORDS, "platform": st.fixed_dictionaries({"os": WORDS, "architecture": WORDS}) | VALUES},
)
MANIFESTS = st.fixed_dictionaries(
    {},
    optional={
        "schemaVersion": st.sampled_from([1, 2, "2", None]),
        "mediaType": WORDS,
        "config": DESCRIPTORS | VALUES,
        "layers": st.lists(DESCRIPTORS, max_size=4) | VALUES,
        "manifests": st.lists(DESCRIPTORS, max_size=4) | VALUES,
    },
)


def understood(data: bytes) -> None:
    """All that a pull does with a manifest before it fetches anything."""
    began = time.monotonic()
    try:
        found = wire.parse_manifest(data, "the manifest")
        if isinstance(found, wire.Index):
            best_of(found, Platform("linux", "amd64"))
            shown = platforms_of(found)
            assert all(text.isprintable() for text in shown)
        else:
            check_manifest(found, "x")
            assert all(wire.is_digest(layer.digest) for layer in found.layers)
            assert all(layer.size >= 0 for layer in found.layers)
    except EngineError:
        pass  # refused, in words
    assert time.monotonic() - began < 1


@given(
    st.binary(max_size=300)
    | MANIFESTS.map(lambda value: json.dumps(value).encode())
    | VALUES.map(lambda value: json.dumps(value).encode())
)
@example(b"[" * 100_000)
@example(b'{"manifests": [], "layers": []}')
@example(b'{"config": {"digest": "sha256:x"}, "layers": [], "config": {}}')
@settings(max_examples=150, deadline=None)
def test_ST14_any_manifest_is_understood_or_refused(data: bytes) -> None:
    understood(data)


@given(VALUES | MANIFESTS)
@settings(max_examples=100, deadline=None)
def test_ST14_any_config_is_understood_or_refused(value: Any) -> None:
    try:
        document = wire.parse_config(json.dumps(value).encode(), "the config")
        wire.run_config(document)
        assert wire.parse_stamp(document.created) >= 0
    except EngineError:
        pass  # refused, in words


@given(st.lists(st.text(max_size=200), max_size=4))
@example(["Bearer " + 'a="' * 5000])
@example(["," * 100_000])
@example(['Bearer realm="' + "\\" * 9000])
@example(["a" * 100_000])
@settings(max_examples=200, deadline=None)
def test_ST14_any_challenge_is_read_in_no_time(headers: list[str]) -> None:
    began = time.monotonic()
    for challenge in parse_challenges(headers):
        assert challenge.scheme == challenge.scheme.lower()
        assert sum(map(len, challenge.parameters.values())) <= LONGEST_BYTES
    assert time.monotonic() - began < 1


@given(
    st.integers(200, 599), st.binary(max_size=200) | VALUES.map(lambda v: json.dumps(v).encode()), st.text(max_size=30)
)
@settings(max_examples=150, deadline=None)
def test_ST14_any_refusal_is_said_in_a_line(status: int, body: bytes, header: str) -> None:
    error = refusal(status, body, asked="GET x", what="manifest for x", retry_after=header)
    assert error.message.isprintable()
    assert len(error.message) < 1000
    wait = parse_retry_after(header)
    assert wait is None or wait >= 0


@given(st.binary(max_size=100) | VALUES.map(lambda v: json.dumps(v).encode()))
@settings(max_examples=100, deadline=None)
def test_ST14_any_list_of_names_is_read_or_refused(data: bytes) -> None:
    try:
        assert all(name.isprintable() or not name for name in _names(data, "tags", "x"))
    except EngineError:
        pass  # refused, in words
