"""G1, G2, G4: Debian's registry: open, locked, behind TLS, as a mirror, with a token service; other clients of it."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import ssl
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.engine.engine import Engine
from core.errors import EngineError, InvalidInput, NotFound, Unauthorized, Unreachable, Unsupported
from core.model.progress import CancelToken, Progress, silent
from core.model.registry import Credentials, NoCredentials, Pushed
from tests.archives import directory, docker_archive, member, sha256, symlink, tar
from tests.registries import PASSWORD, USERNAME, RunningRegistry, serving
from tests.registry.conftest import Keys, pull, reach, trusting
from tests.registry.server import OCI_INDEX, Asked, FakeRegistry, Handler, fake_registry
from tests.stores import import_tar, load, open_store, save

LAYERS = [
    tar([directory("d"), member("d/f", os.urandom(200_000)), symlink("link", "d/f")]),
    tar([member("d/.wh.f"), member("d/g", b"g" * 1000, mode=0o4755)]),
    tar([]),  # docker makes such ones
]
US = Credentials(username=USERNAME, password=PASSWORD)


def push(engine: Engine, reference: str, keyring: object = None, **options: bool) -> list[Pushed]:
    pushed = engine.images.push(reference, keyring or NoCredentials(), silent, CancelToken(), **options)  # type: ignore[arg-type]
    return list(pushed)


def put(engine: Engine, reference: str) -> str:
    """Have the three layers here as an image; its id."""
    load(engine, docker_archive(LAYERS, [reference]))
    return engine.images.resolve(reference)


def names_in(archive: bytes) -> bytes:
    """RepoTags of a docker-archive of one image."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as whole:
        member = whole.extractfile("manifest.json")
        assert member is not None
        return json.dumps(json.load(member)[0]["RepoTags"]).encode()


def us(*hosts: str) -> Keys:
    found = Keys()
    for host in hosts:
        found.add(host, USERNAME, PASSWORD)
    return found


def test_G2_what_is_pushed_is_pulled_the_same(store: Engine, registry: RunningRegistry, tmp_path: Path) -> None:
    name = f"{registry.host}/g2/plain:1"
    image_id = put(store, name)
    (pushed,) = push(store, name)
    assert store.images.inspect(name).digests == (f"{registry.host}/g2/plain@{pushed.digest}",)
    elsewhere = reach(open_store(tmp_path / "elsewhere"))
    (pulled,) = pull(elsewhere, name)
    assert (pulled.image_id, pulled.digest, pulled.is_new) == (image_id, pushed.digest, True)
    assert not pull(elsewhere, name)[0].is_new
    assert elsewhere.images.read_file(name, "/d/g") == b"g" * 1000
    assert [entry.name for entry in elsewhere.images.list_dir(name, "/d")] == ["g"]
    # what was pulled is pushed as it came, to the byte
    elsewhere.images.tag(name, f"{registry.host}/g2/again:1")
    (again,) = push(elsewhere, f"{registry.host}/g2/again:1")
    assert (again.digest, again.size_bytes) == (pushed.digest, pushed.size_bytes)
    assert elsewhere.system.fsck(deep=True) == []


def test_G2_by_digest_and_all_tags(store: Engine, registry: RunningRegistry, tmp_path: Path) -> None:
    name = f"{registry.host}/g2/tags"
    put(store, f"{name}:a")
    for tag in ("b", "c"):
        store.images.tag(f"{name}:a", f"{name}:{tag}")
    pushed = push(store, name, all_tags=True)
    assert [one.reference for one in pushed] == [f"{name}:{tag}" for tag in "abc"]
    elsewhere = reach(open_store(tmp_path / "elsewhere"))
    digest = pushed[0].digest
    (pulled,) = pull(elsewhere, f"{name}@{digest}")
    image = elsewhere.images.inspect(f"{name}@{digest}")
    assert (image.tags, image.digests) == ((), (f"{name}@{digest}",))
    assert pulled.reference == f"{name}@{digest}"
    assert elsewhere.images.resolve(f"{name}:whatever@{digest}") == image.id  # a digest says it all
    with pytest.raises(InvalidInput, match="refusing to create a tag with a digest reference"):
        elsewhere.images.tag(image.id, f"{name}@{digest}")
    assert b"sha256" not in names_in(save(elsewhere, f"{name}@{digest}"))
    assert [one.reference for one in pull(elsewhere, name, all_tags=True)] == [f"{name}:{tag}" for tag in "abc"]
    assert len(elsewhere.images.list()) == 1
    with pytest.raises(InvalidInput, match="tag can't be used"):
        pull(elsewhere, f"{name}:a", all_tags=True)
    assert names_in(save(elsewhere, name)).count(b'"') == 6  # three tags, and no digest
    removed = [elsewhere.images.remove(f"{name}:{tag}") for tag in "abc"]
    assert [len(one) for one in removed[:2]] == [1, 1]
    assert [one.untagged for one in removed[2]][:2] == [f"{name}:c", f"{name}@{digest}"]
    assert elsewhere.images.list(all=True) == []


def test_G2_what_is_not_there_is_said_in_dockers_words(store: Engine, registry: RunningRegistry) -> None:
    with pytest.raises(NotFound) as caught:
        pull(store, f"{registry.host}/g2/nothing")
    assert (
        caught.value.message
        == f"manifest for {registry.host}/g2/nothing:latest not found: manifest unknown: manifest unknown"
    )


def test_G2_a_locked_registry_lets_in_who_it_knows(store: Engine, locked_registry: RunningRegistry) -> None:
    name = f"{locked_registry.host}/g2/locked:1"
    put(store, name)
    with pytest.raises(Unauthorized) as caught:
        push(store, name)
    assert caught.value.message == "no basic auth credentials"
    with pytest.raises(Unauthorized) as caught:
        push(store, name, Keys().add(locked_registry.host, USERNAME, "wrong"))
    assert caught.value.message == "unauthorized: authentication required"
    push(store, name, us(locked_registry.host))
    for keyring, said in ((Keys(), "no basic auth credentials"), (us(locked_registry.host), "")):
        if said:
            with pytest.raises(Unauthorized) as caught:
                pull(store, name, keyring)
            assert caught.value.message.endswith(said)
        else:
            pull(store, name, keyring)


def test_G2_login_asks_the_registry(store: Engine, locked_registry: RunningRegistry, registry: RunningRegistry) -> None:
    login = store.registries.login
    assert login(locked_registry.host, US).status == "Login Succeeded"
    assert login(registry.host, US).status == "Login Succeeded"  # it lets in everybody
    with pytest.raises(Unauthorized) as caught:
        login(locked_registry.host, Credentials(username=USERNAME, password="wrong"))
    url = f"http://{locked_registry.host}/v2/"
    assert caught.value.message == f"login attempt to {url} failed with status: 401 Unauthorized"
    with pytest.raises(InvalidInput, match="no registry"):
        login("https://example.com/", US)


def test_TLS_needs_an_authority_that_is_known(store: Engine, secure_registry: RunningRegistry, tmp_path: Path) -> None:
    """On loopback a certificate may be anybody's, so the registry's own name is asked of a resolver of ours."""
    name = f"{secure_registry.host}/tls/x:1"
    put(store, name)
    push(store, name, us(secure_registry.host))
    assert store.registries.manifest(name, us(secure_registry.host)).layers


class Abroad:
    """Names that mean 127.0.0.1, for an engine that must not know that they do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
        import socket

        from core.registry import endpoint

        real = socket.getaddrinfo

        def lookup(host: object, *args: object, **options: object) -> object:
            return real("127.0.0.1" if host in names else host, *args, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(socket, "getaddrinfo", lookup)
        monkeypatch.setattr(endpoint, "_lies_in", lambda host, networks: False)


def test_TLS_a_host_abroad_must_prove_itself(
    store: Engine, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Abroad(monkeypatch, "localhost")
    with fake_registry(certificates) as fake:
        fake.put_image("x", "1", LAYERS)
        host = fake.host.replace("127.0.0.1", "localhost")
        with pytest.raises(Unreachable, match="certificate can't be trusted: unable to get local issuer") as caught:
            pull(store, f"{host}/x:1")
        assert f"/etc/wharf/certs.d/{host}/ca.crt" in str(caught.value.hint)
        reach(store, insecure=(host,))
        pull(store, f"{host}/x:1")
        reach(store, certificates=[trusting(certificates, tmp_path, host)])
        pull(store, f"{host}/x:1")


def test_TLS_a_host_abroad_without_it_is_not_spoken_to_in_the_clear(
    store: Engine, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    Abroad(monkeypatch, "localhost")
    fake.put_image("x", "1", LAYERS)
    host = fake.host.replace("127.0.0.1", "localhost")
    with pytest.raises(Unreachable) as caught:
        pull(store, f"{host}/x:1", us(host))
    assert "insecure-registries" in str(caught.value.hint) or "TLS" in caught.value.message
    assert fake.asked == []
    reach(store, insecure=(host,))
    pull(store, f"{host}/x:1")


def test_TLS_a_client_certificate_is_shown(store: Engine, certificates: Path, tmp_path: Path) -> None:
    with fake_registry(certificates) as fake:
        context = fake._server.socket.context  # type: ignore[attr-defined]
        context.load_verify_locations(certificates / "authority.crt")
        context.verify_mode = ssl.CERT_REQUIRED
        fake.put_image("x", "1", LAYERS)
        with pytest.raises(EngineError):
            pull(store, f"{fake.host}/x:1")
        place = trusting(certificates, tmp_path, fake.host) / fake.host
        shutil.copy(certificates / "client.crt", place / "client.cert")
        reach(store, certificates=[place.parent])
        with pytest.raises(InvalidInput, match=r"missing key client.key for client certificate client.cert"):
            pull(store, f"{fake.host}/x:1")
        shutil.copy(certificates / "client.key", place / "client.key")
        pull(store, f"{fake.host}/x:1")
        (place / "ca.crt").write_text("nonsense")
        reach(store, certificates=[place.parent])
        with pytest.raises(InvalidInput, match=r"ca.crt: it can't be used"):
            pull(store, f"{fake.host}/x:1")


def test_G1_mirrors_are_asked_first_in_order_and_fallen_through(
    store: Engine, registry: RunningRegistry, mirror_registry: RunningRegistry, fake: FakeRegistry, tmp_path: Path
) -> None:
    put(store, f"{registry.host}/library/g1:1")
    push(store, f"{registry.host}/library/g1:1")
    elsewhere = reach(open_store(tmp_path / "elsewhere"), mirrors=(fake.url, mirror_registry.url))
    pull(elsewhere, "g1:1")
    assert "/v2/library/g1/manifests/1" in fake.paths()  # it does not have it
    assert mirror_registry.requests("GET", "/v2/library/g1/manifests/1") == 1
    assert elsewhere.images.inspect("g1:1").tags == ("g1:1",)
    # of another host they are not asked
    before = len(fake.asked)
    pull(elsewhere, f"{registry.host}/library/g1:1")
    assert len(fake.asked) == before
    # a mirror that is not there at all
    reach(elsewhere, mirrors=("http://127.0.0.1:1", mirror_registry.url))
    assert not pull(elsewhere, "g1:1")[0].is_new


def test_G2_skopeo_and_podman_read_what_we_push_and_we_what_they_push(
    store: Engine, registry: RunningRegistry, tmp_path: Path
) -> None:
    name = f"{registry.host}/peers/ours:1"
    image_id = put(store, name)
    push(store, name)

    def skopeo(*words: str) -> str:
        command = ["skopeo", "--insecure-policy", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    config = skopeo("inspect", "--config", "--raw", "--tls-verify=false", f"docker://{name}")
    assert sha256(config.encode()) == image_id
    layout = f"oci:{tmp_path}/layout:1"
    skopeo("copy", "--src-tls-verify=false", f"docker://{name}", layout)
    subprocess.run(
        ["umoci", "unpack", "--image", f"{tmp_path}/layout:1", str(tmp_path / "tree")], check=True, capture_output=True
    )
    assert sorted(path.name for path in (tmp_path / "tree" / "rootfs" / "d").iterdir()) == ["g"]
    for number, options in enumerate(
        (
            ["--format", "v2s2"],
            ["--format", "oci"],
            ["--format", "oci", "--dest-compress-format", "zstd", "--dest-compress"],
        )
    ):
        theirs = f"{registry.host}/peers/theirs:{number}"
        skopeo("copy", "--dest-tls-verify=false", *options, layout, f"docker://{theirs}")
        elsewhere = reach(open_store(tmp_path / f"elsewhere{number}"))
        (pulled,) = pull(elsewhere, theirs)
        assert elsewhere.images.read_file(theirs, "/d/g") == b"g" * 1000
        assert pulled.digest == sha256(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{theirs}").encode())
        assert elsewhere.images.inspect(theirs).diff_ids == store.images.inspect(name).diff_ids


class Notary:
    """A token service that docker's registry believes: JSON web tokens, signed by a key it is told of."""

    def __init__(self, directory: Path) -> None:
        self._key = directory / "token.key"
        self.certificate = directory / "token.crt"
        words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(self._key), "-subj", "/CN=notary"]
        subprocess.run(["openssl", *words, "-out", str(self.certificate)], check=True, capture_output=True)
        self.asked: list[Asked] = []

    def give(self, handler: Handler, asked: Asked) -> bool:
        from urllib.parse import parse_qs, urlsplit

        self.asked.append(asked)
        expected = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        if asked.authorization and asked.authorization != expected:
            handler.refuse(401, "UNAUTHORIZED", "incorrect username or password")
            return True
        fields = parse_qs(urlsplit(asked.path).query)
        access = []
        for scope in fields.get("scope", []):
            kind, name, actions = scope.split(":")
            granted = [a for a in actions.split(",") if asked.authorization or a == "pull"]
            access.append({"type": kind, "name": name, "actions": granted})
        answer = {"token": self._signed(access), "expires_in": 120}
        if "offline_token" in fields:
            answer["refresh_token"] = "identity-1"
        handler.reply(200, json.dumps(answer).encode())
        return True

    def _signed(self, access: list[dict[str, object]]) -> str:
        def encoded(data: bytes) -> str:
            return base64.urlsafe_b64encode(data).decode().rstrip("=")

        body = self.certificate.read_text().partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END")[0]
        head = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(body.split())]}
        now = int(time.time())
        claims = {
            **{"iss": "the notary", "sub": USERNAME, "aud": "the quay", "jti": os.urandom(4).hex()},
            **{"exp": now + 120, "nbf": now - 10, "iat": now, "access": access},
        }
        text = f"{encoded(json.dumps(head).encode())}.{encoded(json.dumps(claims).encode())}"
        done = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", str(self._key)],
            input=text.encode(),
            check=True,
            capture_output=True,
        )
        return f"{text}.{encoded(done.stdout)}"


@pytest.fixture
def notarized(tmp_path: Path, other: FakeRegistry) -> Iterator[tuple[RunningRegistry, Notary]]:
    notary = Notary(tmp_path)
    other.tricks.append(notary.give)
    token = {"realm": f"{other.url}/token", "service": "the quay", "issuer": "the notary"}
    with serving(token={**token, "rootcertbundle": str(notary.certificate)}) as running:
        yield running, notary


def test_G2_a_token_service_gives_what_is_needed_and_no_more(
    store: Engine, notarized: tuple[RunningRegistry, Notary]
) -> None:
    registry, notary = notarized
    name = f"{registry.host}/token/x:1"
    put(store, name)
    with pytest.raises(Unauthorized):
        push(store, name)
    push(store, name, us(registry.host))
    store.images.tag(name, f"{registry.host}/token/y:1")
    push(store, f"{registry.host}/token/y:1", us(registry.host))
    assert registry.requests("PATCH", "token/y") == 1  # only its config was sent, layers were mounted
    assert not pull(store, name)[0].is_new
    scopes = {asked.path.partition("scope=")[2].partition("&account")[0] for asked in notary.asked}
    assert "repository%3Atoken%2Fx%3Apull" in scopes
    result = store.registries.login(registry.host, US)
    assert (result.status, result.identity_token) == ("Login Succeeded", "identity-1")
    with pytest.raises(Unauthorized, match="incorrect username or password") as caught:
        store.registries.login(registry.host, Credentials(username=USERNAME, password="wrong"))
    assert "is asked for tokens" in str(caught.value.hint)


def test_G4_what_lies_there_is_listed_told_and_deleted(store: Engine, registry: RunningRegistry) -> None:
    name = f"{registry.host}/g4/x"
    put(store, f"{name}:1")
    store.images.tag(f"{name}:1", f"{name}:2")
    pushed = push(store, name, all_tags=True)
    nobody = NoCredentials()
    assert "g4/x" in store.registries.repositories(registry.host, nobody)
    assert store.registries.tags(name, nobody) == ["1", "2"]
    manifest = store.registries.manifest(f"{name}:1", nobody)
    assert (manifest.digest, manifest.platform) == (pushed[0].digest, "linux/amd64")
    assert manifest.size_bytes == sum(layer.size_bytes for layer in manifest.layers) + len(
        store.images.inspect(f"{name}:1").raw_config
    )
    assert sha256(manifest.raw) == manifest.digest
    assert manifest.created_ns > 0
    assert store.registries.delete(f"{name}:1", nobody) == pushed[0].digest
    with pytest.raises(NotFound, match="manifest unknown"):
        store.registries.delete(f"{name}:1", nobody)
    with pytest.raises(NotFound):
        store.registries.manifest(f"{name}:2", nobody)


def test_G4_a_registry_that_forbids_deletion_is_explained(
    store: Engine, registry: RunningRegistry, mirror_registry: RunningRegistry
) -> None:
    put(store, f"{registry.host}/g4/kept:1")
    push(store, f"{registry.host}/g4/kept:1")
    with pytest.raises(Unsupported) as caught:
        store.registries.delete(f"{mirror_registry.host}/g4/kept:1", NoCredentials())
    assert "REGISTRY_STORAGE_DELETE_ENABLED" in str(caught.value.hint)


def test_a_copy_goes_from_registry_to_registry_whole(
    store: Engine, registry: RunningRegistry, locked_registry: RunningRegistry, fake: FakeRegistry
) -> None:
    images = [fake.put_image("many", tag, [*LAYERS[:2], tar([member(tag)])]) for tag in ("amd64", "arm64")]
    rows = [
        {
            **{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest},
            **{"size": len(fake.manifests["many", digest][0]), "platform": {"os": "linux", "architecture": tag}},
        }
        for tag, digest in zip(("amd64", "arm64"), images, strict=True)
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": rows}).encode()
    digest = fake.put("many", "1", index, OCI_INDEX)
    keyring = us(locked_registry.host)
    before = os.listdir(store.roots.ingest), os.listdir(store.roots.blobs)
    told: list[Progress] = []
    target = f"{locked_registry.host}/copied/many"
    copied = store.registries.copy(f"{fake.host}/many:1", f"{target}:1", keyring, told.append, CancelToken())
    assert (copied.digest, copied.reference) == (digest, f"{target}:1")
    assert (os.listdir(store.roots.ingest), os.listdir(store.roots.blobs)) == before
    manifest = store.registries.manifest(f"{target}:1", keyring)
    assert [image.platform for image in manifest.images] == ["linux/amd64", "linux/arm64"]
    assert manifest.size_bytes > 0
    pull(store, f"{target}:1", keyring, platform="linux/arm64")
    assert [entry.name for entry in store.images.list_dir(f"{target}:1", "/")] == ["arm64", "d", "link"]
    with pytest.raises(NotFound) as caught:
        pull(store, f"{target}:1", keyring, platform="linux/s390x")
    assert caught.value.message == "no matching manifest for linux/s390x in the manifest list entries"
    told.clear()
    store.registries.copy(f"{target}:1", f"{locked_registry.host}/copied/again:1", keyring, told.append, CancelToken())
    assert {one.status for one in told} == {"Mounted from copied/many", "Layer already exists"}
    assert locked_registry.requests("PATCH", "copied/again") == 0


def test_platforms_are_chosen_by_best_match(store: Engine, fake: FakeRegistry) -> None:
    rows = []
    offered = [("arm", "v5"), ("arm", "v6"), ("arm", "v7"), ("amd64", None), ("unknown", None), ("arm64", "v8")]
    for architecture, variant in offered:
        name = f"{architecture}{variant or ''}"
        digest = fake.put_image("x", name, [tar([member(name)])], config={"architecture": architecture})
        platform = {"os": "linux", "architecture": architecture, **({"variant": variant} if variant else {})}
        rows.append({"digest": digest, "size": len(fake.manifests["x", digest][0]), "platform": platform})
    fake.put("x", "1", json.dumps({"schemaVersion": 2, "manifests": rows}).encode(), OCI_INDEX)
    for wish, name in {
        "linux/arm/v7": "armv7",
        "linux/arm/v6": "armv6",
        "linux/arm/v8": "armv7",
        "linux/arm": "armv7",
        "arm64": "arm64v8",
        "linux/amd64": "amd64",
        "linux/x86_64": "amd64",
    }.items():
        pull(store, f"{fake.host}/x:1", platform=wish)
        assert [entry.name for entry in store.images.list_dir(f"{fake.host}/x:1", "/")] == [name], wish
    with pytest.raises(NotFound, match="does not match the specified platform: wanted linux/arm64, actual: linux/arm"):
        pull(store, f"{fake.host}/x:armv7", platform="linux/arm64")
    with pytest.raises(InvalidInput, match="invalid platform"):
        pull(store, f"{fake.host}/x:1", platform="a/b/c/d")


def test_lists_come_in_pages_and_circles_end(store: Engine, fake: FakeRegistry) -> None:
    names = [f"r{number:03d}" for number in range(250)]

    def pages(handler: Handler, asked: Asked) -> bool:
        if not asked.path.startswith(("/v2/_catalog", "/v2/x/tags/list")):
            return False
        key = "repositories" if "_catalog" in asked.path else "tags"
        begin = int(asked.path.partition("last=")[2] or 0)
        path = asked.path.partition("?")[0]
        following = begin + 100 if begin + 100 < 250 or key == "tags" else 0
        link = {"Link": f'<{path}?n=100&last={following % 250}>; rel="next"'} if following else {}
        handler.reply(200, json.dumps({key: names[begin : begin + 100]}).encode(), link)
        return True

    fake.tricks.append(pages)
    assert store.registries.repositories(fake.host, NoCredentials()) == names
    assert store.registries.tags(f"{fake.host}/x", NoCredentials()) == names
    assert [found.name for found in store.registries.search(f"{fake.host}/r24", NoCredentials(), limit=3)] == [
        f"{fake.host}/r24{number}" for number in range(3)
    ]
    assert len(fake.asked) < 30


@pytest.mark.parametrize("link", ["OTHER/v2/_catalog", "file:///etc/passwd", "http://169.254.169.254/"])
def test_the_next_page_is_at_the_same_host(store: Engine, fake: FakeRegistry, other: FakeRegistry, link: str) -> None:
    header = {"Link": f'<{link.replace("OTHER", other.url)}>; rel="next"'}
    fake.tricks.append(
        lambda handler, asked: (
            "_catalog" in asked.path and (handler.reply(200, b'{"repositories": ["a"]}', header) or True)
        )
    )
    with pytest.raises(Unreachable):
        store.registries.repositories(fake.host, NoCredentials())
    assert other.asked == []


@pytest.mark.parametrize("answer", [b"[]", b"{", b'{"tags": {}}', b'{"tags": [1]}', b'{"tags": null}', b"\xff"])
def test_a_list_that_can_not_be_read_is_an_error(store: Engine, fake: FakeRegistry, answer: bytes) -> None:
    fake.tricks.append(lambda handler, asked: "tags" in asked.path and (handler.reply(200, answer) or True))
    if answer == b'{"tags": null}':
        assert store.registries.tags(f"{fake.host}/x", NoCredentials()) == []
        return
    with pytest.raises(EngineError):
        store.registries.tags(f"{fake.host}/x", NoCredentials())


def test_a_registry_without_a_catalog_says_so(store: Engine, fake: FakeRegistry) -> None:
    with pytest.raises(Unsupported, match="shows no catalog"):
        store.registries.repositories(fake.host, NoCredentials())


def test_docker_hub_is_searched_by_its_own_interface(
    store: Engine, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.registry import hub

    monkeypatch.setattr(hub, "INDEX", fake.host)
    rows = [
        {"name": "busybox", "description": "small\x1b[2J", "star_count": 7, "is_official": True, "is_automated": False},
        {"name": "x/busybox", "description": None, "star_count": 0, "is_official": False, "new": 1},
    ]
    fake.tricks.append(
        lambda handler, asked: (
            asked.path.startswith("/v1/search?")
            and (handler.reply(200, json.dumps({"results": rows, "num_results": 2}).encode()) or True)
        )
    )
    found = store.registries.search("busy box", NoCredentials(), limit=2)
    assert [(one.name, one.stars, one.is_official) for one in found] == [("busybox", 7, True), ("x/busybox", 0, False)]
    assert "\x1b" not in found[0].description
    assert fake.paths()[-1] == "/v1/search?q=busy+box&n=2"
    with pytest.raises(InvalidInput, match=r"outside the range of \[1, 100\]"):
        store.registries.search("x", NoCredentials(), limit=101)


def test_an_image_that_was_made_here_is_packed_once_and_always_the_same(
    store: Engine, registry: RunningRegistry, tmp_path: Path
) -> None:
    import_tar(store, LAYERS[0], f"{registry.host}/made/x:1")
    (first,) = push(store, f"{registry.host}/made/x:1")
    with serving() as another:
        store.images.tag(f"{registry.host}/made/x:1", f"{another.host}/x:1")
        (second,) = push(store, f"{another.host}/x:1")
    assert second.digest == first.digest
    manifest = store.registries.manifest(f"{registry.host}/made/x:1", NoCredentials())
    assert manifest.media_type == "application/vnd.docker.distribution.manifest.v2+json"
    assert manifest.layers[0].media_type == "application/vnd.docker.image.rootfs.diff.tar.gzip"
