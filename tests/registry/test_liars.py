"""ST6, ST7: registries whose bytes are not what they say. Nothing of them is ever kept."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import resource
from collections.abc import Callable
from typing import Any

import pytest

from core.engine.engine import Engine
from core.errors import DigestMismatch, EngineError, Integrity, LimitExceeded, NotFound, Unsupported
from tests.archives import config_of, directory, member, sha256, tar
from tests.registry.conftest import pull, reach
from tests.registry.server import OCI_INDEX, OCI_MANIFEST, Asked, FakeRegistry, Handler
from tests.stores import contents

CONTENT = os.urandom(300_000)
LAYER = tar([directory("d"), member("d/f", CONTENT)])
SECOND = tar([member("d/g", os.urandom(1000))])


def downloads_aside(engine: Engine) -> set[str]:
    """What is left, but for what the next pull goes on with."""
    return {name for name in contents(engine) if not name.startswith("ingest/download-")}


def refused(engine: Engine, reference: str, kind: type[EngineError] = Integrity) -> EngineError:
    with pytest.raises(kind) as caught:
        pull(engine, reference)
    assert downloads_aside(engine) == set()
    assert engine.images.list(all=True) == []
    assert engine.system.fsck(deep=True) == []
    return caught.value


def check_recovers(engine: Engine, fake: FakeRegistry) -> None:
    """The same image from an honest registry comes whole, whatever was left."""
    fake.tricks.clear()
    pull(engine, f"{fake.host}/x:1")
    assert engine.images.read_file(f"{fake.host}/x:1", "/d/f", 0, 16) == CONTENT[:16]
    assert engine.system.fsck(deep=True) == []


def instead_of_blob(digest: str, data: Callable[[bytes], bytes], *, length: int | None = None) -> Any:
    """A trick: other bytes for a blob, under the length they have, or another one."""

    def trick(handler: Handler, asked: Asked) -> bool:
        if not asked.path.endswith(digest) or asked.method != "GET":
            return False
        body = data(handler.registry.blobs[digest])
        if length is None:
            handler.blob(digest, asked, body)
        else:
            handler.head(200, length, {})
            with contextlib.suppress(OSError):
                handler.send(digest, body)
            handler.hang_up()
        return True

    return trick


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]), "is sha256:"),  # one bit
        (lambda blob: b"\0" * len(blob), "is sha256:"),
        (lambda blob: blob + b"x", "its manifest says"),
        (lambda blob: blob[:-1], "its manifest says"),
        (lambda blob: b"", "its manifest says"),
    ],
    ids=["bit", "zeros", "longer", "shorter", "empty"],
)
@pytest.mark.parametrize("which", ["layer", "config"])
def test_ST6_a_blob_that_is_not_what_its_digest_says_is_refused(
    store: Engine, fake: FakeRegistry, which: str, data: Callable[[bytes], bytes], said: str
) -> None:
    fake.put_image("x", "1", [LAYER])
    digest = sha256(LAYER if which == "layer" else config_of([LAYER]))
    fake.tricks.append(instead_of_blob(digest, data))
    error = refused(store, f"{fake.host}/x:1")
    assert said in error.message
    assert digest in error.message
    check_recovers(store, fake)


def test_ST6_a_body_that_never_comes_to_its_end_is_asked_for_again_and_given_up(
    store: Engine, fake: FakeRegistry
) -> None:
    fake.put_image("x", "1", [LAYER])
    fake.tricks.append(instead_of_blob(sha256(LAYER), lambda blob: b"", length=len(LAYER)))
    with pytest.raises(EngineError, match="the connection broke"):
        pull(store, f"{fake.host}/x:1")
    assert fake.paths().count(f"/v2/x/blobs/{sha256(LAYER)}") == 5
    check_recovers(store, fake)


@pytest.mark.parametrize("size", [0, 1, len(LAYER) - 1, len(LAYER) + 1, 2**62, -1])
def test_ST6_a_size_that_lies_is_refused(store: Engine, fake: FakeRegistry, size: int) -> None:
    fake.put_image("x", "1", [LAYER], change=lambda manifest: manifest["layers"][0].update(size=size))
    refused(store, f"{fake.host}/x:1")
    fake.put_image("x", "1", [LAYER])
    check_recovers(store, fake)


def test_ST6_chunks_beyond_the_promised_size_are_not_stored(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("x", "1", [LAYER])

    def endless(handler: Handler, asked: Asked) -> bool:
        if not asked.path.endswith(sha256(LAYER)):
            return False
        handler.head(200, None, {"Transfer-Encoding": "chunked"})
        with contextlib.suppress(OSError):
            while True:
                handler.wfile.write(b"10000\r\n" + bytes(65536) + b"\r\n")
        return True

    fake.tricks.append(endless)
    error = refused(store, f"{fake.host}/x:1")
    assert "more than" in error.message
    assert sum(path.stat().st_size for path in store.roots.ingest.iterdir()) == 0
    check_recovers(store, fake)


def test_ST6_a_layer_that_unpacks_to_something_else_is_refused(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("x", "1", [LAYER], pack=lambda _layer: gzip.compress(SECOND))
    assert isinstance(refused(store, f"{fake.host}/x:1"), DigestMismatch)


def test_ST6_trailing_garbage_behind_a_packed_layer_is_refused(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("x", "1", [LAYER], pack=lambda layer: gzip.compress(layer) + b"garbage")
    assert "garbage" in refused(store, f"{fake.host}/x:1").message


def test_ST6_a_manifest_by_digest_that_is_another_one_is_refused(store: Engine, fake: FakeRegistry) -> None:
    digest = fake.put_image("x", "1", [LAYER])
    fake.put_image("x", "2", [SECOND])
    fake.manifests["x", digest] = fake.manifests["x", "2"]
    assert digest in refused(store, f"{fake.host}/x@{digest}").message


def test_ST6_a_registry_that_tells_another_digest_than_its_manifest_has_is_refused(
    store: Engine, fake: FakeRegistry
) -> None:
    fake.put_image("x", "1", [LAYER])

    def trick(handler: Handler, asked: Asked) -> bool:
        if "/manifests/" not in asked.path:
            return False
        data, media_type = fake.manifests["x", "1"]
        handler.reply(200, data, {"Content-Type": media_type, "Docker-Content-Digest": "sha256:" + "0" * 64})
        return True

    fake.tricks.append(trick)
    refused(store, f"{fake.host}/x:1")


def test_ST6_what_a_liar_left_half_done_is_thrown_away_when_it_proves_wrong(
    store: Engine, fake: FakeRegistry, other: FakeRegistry
) -> None:
    for registry in (fake, other):
        registry.put_image("x", "1", [LAYER])
    fake.tricks.append(instead_of_blob(sha256(LAYER), lambda blob: b"\1" * 200_000, length=len(LAYER)))
    with pytest.raises(EngineError):
        pull(store, f"{fake.host}/x:1")
    assert sum(path.stat().st_size for path in store.roots.ingest.iterdir()) == 200_000
    check_recovers(store, other)


def manifest_of(**fields: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256(b"{}"), "size": 2},
        "layers": [],
        **fields,
    }


CONFUSED = {
    "both": (json.dumps(manifest_of(manifests=[])), OCI_MANIFEST),
    "both, as an index": (json.dumps(manifest_of(manifests=[])), OCI_INDEX),
    "a manifest sent as an index": (json.dumps(manifest_of()), OCI_INDEX),
    "a manifest that calls itself an index": (json.dumps(manifest_of(mediaType=OCI_INDEX)), OCI_MANIFEST),
    "another type than it says": (
        json.dumps(manifest_of()),
        "application/vnd.docker.distribution.manifest.v2+json",
    ),
    "a page": ("<html>hello</html>", "text/html"),
    "an image sent as a page": (json.dumps(manifest_of()), "text/html"),
    "nothing": ("", OCI_MANIFEST),
    "a list": ("[]", OCI_MANIFEST),
    "no layers": (json.dumps({"schemaVersion": 2, "config": manifest_of()["config"]}), OCI_MANIFEST),
    "duplicate keys": (json.dumps(manifest_of())[:-1] + ', "layers": []}', OCI_MANIFEST),
    "not a number": (json.dumps(manifest_of())[:-1] + ', "x": NaN}', OCI_MANIFEST),
    "a lone surrogate": (json.dumps(manifest_of())[:-1] + ', "mediaType2": "\\ud800"', OCI_MANIFEST),
    "too deep": (json.dumps(manifest_of())[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}", OCI_MANIFEST),
    "a digest that is a path": (
        json.dumps(manifest_of(layers=[{"digest": "sha256:../../../etc/passwd", "size": 1}])),
        OCI_MANIFEST,
    ),
    "another algorithm": (
        json.dumps(manifest_of(layers=[{"digest": "sha512:" + "0" * 128, "size": 1}])),
        OCI_MANIFEST,
    ),
    "a size that is a text": (
        json.dumps(manifest_of(layers=[{"digest": sha256(b""), "size": "1"}])),
        OCI_MANIFEST,
    ),
}


@pytest.mark.parametrize("case", CONFUSED)
def test_ST7_a_confused_manifest_is_refused(store: Engine, fake: FakeRegistry, case: str) -> None:
    text, media_type = CONFUSED[case]
    fake.add(b"{}")
    fake.put("x", "1", text.encode(), media_type)
    refused(store, f"{fake.host}/x:1")


def test_ST7_a_manifest_of_100_MB_is_refused_before_it_is_read(store: Engine, fake: FakeRegistry) -> None:
    fake.put("x", "1", b"{" + b" " * (100 * 1024 * 1024) + b"}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = refused(store, f"{fake.host}/x:1", LimitExceeded)
    assert str(4 * 1024 * 1024) in error.message

    def without_length(handler: Handler, asked: Asked) -> bool:
        handler.head(200, None, {"Content-Type": OCI_MANIFEST, "Transfer-Encoding": "chunked"})
        with contextlib.suppress(OSError):
            for _ in range(1600):
                handler.wfile.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        return True

    fake.tricks.append(without_length)
    refused(store, f"{fake.host}/x:1", LimitExceeded)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 60_000  # kB


def test_ST7_an_index_that_leads_to_indexes_is_given_up(store: Engine, fake: FakeRegistry) -> None:
    inner = fake.put_image("x", "inner", [LAYER])
    size = len(fake.manifests["x", inner][0])
    platform = {"os": "linux", "architecture": "amd64"}
    for level in range(8):
        row = {"mediaType": OCI_INDEX if level else OCI_MANIFEST, "digest": inner, "size": size, "platform": platform}
        document = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [row]}).encode()
        inner, size = fake.put("x", f"level{level}", document, OCI_INDEX), len(document)
    assert "from index to index" in refused(store, f"{fake.host}/x:level7").message
    pull(store, f"{fake.host}/x:level1")
    assert store.images.list()[0].digests == (f"{fake.host}/x@{sha256(fake.manifests['x', 'level1'][0])}",)


def test_ST7_an_index_that_names_itself_is_refused(store: Engine, fake: FakeRegistry) -> None:
    row = {"mediaType": OCI_INDEX, "digest": "sha256:" + "1" * 64, "size": 1}
    document = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [row]}).encode()
    fake.put("x", "1", document, OCI_INDEX)
    fake.manifests["x", "sha256:" + "1" * 64] = fake.manifests["x", "1"]
    refused(store, f"{fake.host}/x:1")


def test_ST7_the_first_schema_is_refused_by_its_name(store: Engine, fake: FakeRegistry) -> None:
    old = {"schemaVersion": 1, "name": "x", "tag": "1", "architecture": "amd64", "fsLayers": [], "history": []}
    for media_type in ("application/vnd.docker.distribution.manifest.v1+prettyjws", "application/json"):
        fake.put("x", "1", json.dumps(old).encode(), media_type)
        assert "schema 1" in refused(store, f"{fake.host}/x:1", Unsupported).message


def test_ST7_what_is_no_image_is_refused_by_its_type(store: Engine, fake: FakeRegistry) -> None:
    def chart(manifest: dict[str, Any]) -> None:
        manifest["config"]["mediaType"] = "application/vnd.cncf.helm.config.v1+json"

    fake.put_image("x", "1", [LAYER], change=chart)
    assert "helm" in refused(store, f"{fake.host}/x:1", Unsupported).message
    fake.put_image("x", "1", [LAYER], layer_type="application/vnd.oci.image.layer.v1.tar+gzip+encrypted")
    assert "encrypted" in refused(store, f"{fake.host}/x:1", Unsupported).message


@pytest.mark.parametrize("diff_ids", [[], [sha256(LAYER)] * 2, ["sha256:" + "z" * 64], None])
def test_ST7_a_config_that_does_not_fit_its_manifest_is_refused(
    store: Engine, fake: FakeRegistry, diff_ids: list[str] | None
) -> None:
    fake.put_image("x", "1", [LAYER], config={"rootfs": {"type": "layers", "diff_ids": diff_ids}})
    refused(store, f"{fake.host}/x:1")


def test_ST7_too_many_layers_are_refused_before_they_are_fetched(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("x", "1", [tar([member(f"f{number}")]) for number in range(128)])
    assert "128 layers" in refused(store, f"{fake.host}/x:1", LimitExceeded).message
    assert not any("/blobs/" in path for path in fake.paths())


def test_ST8_urls_of_a_layer_are_never_followed(store: Engine, fake: FakeRegistry, other: FakeRegistry) -> None:
    def foreign(manifest: dict[str, Any]) -> None:
        manifest["layers"][0]["mediaType"] = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        manifest["layers"][0]["urls"] = [f"{other.url}/secret", "file:///etc/passwd"]

    fake.put_image("x", "1", [LAYER], change=foreign)
    packed = fake.blobs.pop(sha256(LAYER))
    refused(store, f"{fake.host}/x:1", NotFound)
    fake.blobs[sha256(LAYER)] = packed
    pull(store, f"{fake.host}/x:1")  # the registry has it itself: then it comes from there
    assert other.asked == []


def test_a_mirror_that_lies_is_passed_over(store: Engine, fake: FakeRegistry, other: FakeRegistry) -> None:
    """Docker Hub can't be asked here: two mirrors, the second one honest."""
    for registry in (fake, other):
        registry.put_image("library/x", "1", [LAYER])
    fake.tricks.append(instead_of_blob(sha256(LAYER), lambda blob: b"\1" * len(blob)))
    reach(store, mirrors=(fake.url, other.url))
    pull(store, "x:1")
    assert store.images.list()[0].tags == ("x:1",)
    assert any(sha256(LAYER) in path for path in other.paths())
