"""ST8, ST9: what we are known by goes to whom it is meant for, and shows up nowhere."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.engine.engine import Engine
from core.errors import EngineError, NotFound, RateLimited, Unauthorized, Unreachable
from core.model.progress import CancelToken, Progress, silent
from core.model.registry import Credentials
from core.model.registry_settings import Proxies
from tests.archives import directory, member, sha256, tar
from tests.registry.conftest import Keys, pull, reach, trusting
from tests.registry.server import Asked, FakeRegistry, Handler, Trick, fake_registry
from tests.stores import open_store

LAYER = tar([directory("d"), member("d/f", b"content")])
SECRET = "canary-9f31c7"
BASIC = "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()


def keys(*hosts: str) -> Keys:
    found = Keys()
    for host in hosts:
        found.add(host, "me", SECRET)
    return found


def wants_basic(handler: Handler, asked: Asked) -> bool:
    if asked.authorization == BASIC:
        return False
    handler.refuse(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": 'Basic realm="the quay"'})
    return True


class TokenService:
    """A realm: gives tokens for what it is asked."""

    def __init__(self, registry: FakeRegistry, realm: FakeRegistry, *, path: str = "/token") -> None:
        self.asked: list[Asked] = []
        self.answer: dict[str, object] = {"token": "token-1", "expires_in": 300}
        self.accepted = {"Bearer token-1"}
        self.realm = f"{realm.url}{path}"
        self._path = path
        realm.tricks.append(self._give)
        registry.tricks.append(self._want)

    def _want(self, handler: Handler, asked: Asked) -> bool:
        if asked.path.startswith(self._path) or asked.authorization in self.accepted:
            return False
        challenge = f'Bearer realm="{self.realm}",service="the quay",scope="repository:x:pull"'
        handler.refuse(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": challenge})
        return True

    def _give(self, handler: Handler, asked: Asked) -> bool:
        if not asked.path.startswith(self._path):
            return False
        self.asked.append(asked)
        handler.reply(200, json.dumps(self.answer).encode())
        return True


def redirects(when: Callable[[Asked], bool], target: str, status: int = 307) -> Trick:
    def trick(handler: Handler, asked: Asked) -> bool:
        if not when(asked):
            return False
        handler.reply(status, b"", {"Location": target})
        return True

    return trick


def is_layer(asked: Asked) -> bool:
    return asked.path.startswith("/v2/x/blobs/" + sha256(LAYER))


def test_ST8_nobody_is_told_before_they_ask(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("x", "1", [LAYER])
    pull(store, f"{fake.host}/x:1", keys(fake.host))
    assert fake.authorizations() == []


def test_ST8_a_redirect_to_another_host_goes_without_credentials(
    store: Engine, fake: FakeRegistry, other: FakeRegistry
) -> None:
    fake.put_image("x", "1", [LAYER])
    fake.tricks += [wants_basic, redirects(is_layer, f"{other.url}/elsewhere/{sha256(LAYER)}")]
    other.tricks.append(lambda handler, asked: bool(handler.blob(sha256(LAYER), asked, LAYER)) or True)
    pull(store, f"{fake.host}/x:1", keys(fake.host, other.host))
    assert set(fake.authorizations()) == {BASIC}
    assert other.paths() == [f"/elsewhere/{sha256(LAYER)}"]
    assert other.authorizations() == []


def test_ST8_a_redirect_within_the_host_keeps_them(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("x", "1", [LAYER])
    fake.put_image("y", "1", [LAYER])
    fake.tricks += [wants_basic, redirects(is_layer, f"/v2/y/blobs/{sha256(LAYER)}")]
    pull(store, f"{fake.host}/x:1", keys(fake.host))


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_ST8_another_host_that_asks_who_we_are_is_not_told(
    store: Engine, fake: FakeRegistry, other: FakeRegistry, scheme: str
) -> None:
    fake.put_image("x", "1", [LAYER])
    fake.tricks.append(redirects(is_layer, f"{other.url}/elsewhere"))
    if scheme == "Basic":
        other.tricks.append(wants_basic)
    else:
        TokenService(other, other)
    with pytest.raises(Unauthorized, match=f"{other.host}, which asks who we are"):
        pull(store, f"{fake.host}/x:1", keys(fake.host, other.host))
    assert other.paths() == ["/elsewhere"]
    assert other.authorizations() == []


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("file:///etc/passwd", "no place to go"),
        ("ftp://127.0.0.1/x", "no place to go"),
        ("http://169.254.169.254/latest/meta-data/", "own network"),
        ("http://[fe80::1]/x", "own network"),
        ("http://[::ffff:169.254.169.254]/x", "own network"),
        ("http://me:secret@127.0.0.1:1/x", "a name to log in by"),
        ("http://127.0.0.1:99999/x", "no place to go"),
    ],
)
@pytest.mark.parametrize("which", ["manifest", "layer"])
def test_ST8_redirects_to_where_nobody_should_go_are_not_followed(
    store: Engine, fake: FakeRegistry, target: str, said: str, which: str
) -> None:
    fake.put_image("x", "1", [LAYER])
    fake.tricks.append(redirects(is_layer if which == "layer" else lambda asked: "/manifests/" in asked.path, target))
    with pytest.raises(Unreachable, match=said):
        pull(store, f"{fake.host}/x:1")


def test_ST8_redirects_in_a_circle_end(store: Engine, fake: FakeRegistry) -> None:
    fake.tricks.append(redirects(lambda asked: "/manifests/" in asked.path, "/v2/x/manifests/again"))
    with pytest.raises(Unreachable, match="more than 10 times"):
        pull(store, f"{fake.host}/x:1")
    assert len([path for path in fake.paths() if "manifests" in path]) == 11


@pytest.fixture
def secure(certificates: Path, tmp_path: Path) -> Iterator[FakeRegistry]:
    with fake_registry(certificates) as registry:
        yield registry


def reach_secure(store: Engine, secure: FakeRegistry, certificates: Path, tmp_path: Path) -> None:
    reach(store, certificates=[trusting(certificates, tmp_path, secure.host)])


def test_ST8_https_is_not_left_for_http(
    store: Engine, secure: FakeRegistry, other: FakeRegistry, certificates: Path, tmp_path: Path
) -> None:
    reach_secure(store, secure, certificates, tmp_path)
    secure.put_image("x", "1", [LAYER])
    pull(store, f"{secure.host}/x:1")
    store.images.remove(f"{secure.host}/x:1")
    secure.tricks.append(redirects(is_layer, f"{other.url}/elsewhere"))
    with pytest.raises(Unreachable, match="from https to http"):
        pull(store, f"{secure.host}/x:1")
    assert other.asked == []


def test_ST8_a_token_is_fetched_where_the_registry_says_and_sent_to_it_alone(
    store: Engine, fake: FakeRegistry, other: FakeRegistry
) -> None:
    fake.put_image("x", "1", [LAYER])
    service = TokenService(fake, other)
    pull(store, f"{fake.host}/x:1", keys(fake.host))
    assert set(fake.authorizations()) == {"Bearer token-1"}
    assert [asked.authorization for asked in service.asked] == [BASIC]
    assert "scope=repository%3Ax%3Apull" in service.asked[0].path
    assert "service=the%20quay" in service.asked[0].path
    assert SECRET not in service.asked[0].path


def test_ST8_without_credentials_a_token_is_asked_for_without(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("x", "1", [LAYER])
    service = TokenService(fake, fake)
    pull(store, f"{fake.host}/x:1")
    assert [asked.authorization for asked in service.asked] == [""]


def test_ST8_a_realm_that_leads_elsewhere_takes_no_credentials_along(
    store: Engine, fake: FakeRegistry, other: FakeRegistry
) -> None:
    fake.put_image("x", "1", [LAYER])
    service = TokenService(fake, fake)
    fake.tricks.insert(0, redirects(lambda asked: asked.path.startswith("/token"), f"{other.url}/token"))
    other.tricks.append(lambda handler, asked: handler.reply(200, json.dumps(service.answer).encode()) or True)
    pull(store, f"{fake.host}/x:1", keys(fake.host, other.host))
    assert other.paths()
    assert other.authorizations() == []


@pytest.mark.parametrize("realm", ["http", "file:///etc/passwd", "http://169.254.169.254/token", "", "nonsense"])
def test_ST8_a_realm_that_nobody_should_send_a_password_to_is_refused(
    store: Engine, secure: FakeRegistry, other: FakeRegistry, certificates: Path, tmp_path: Path, realm: str
) -> None:
    reach_secure(store, secure, certificates, tmp_path)
    secure.put_image("x", "1", [LAYER])
    service = TokenService(secure, other)
    service.realm = service.realm if realm == "http" else realm  # from https to http
    with pytest.raises(Unauthorized, match="where nobody should"):
        pull(store, f"{secure.host}/x:1", keys(secure.host))
    assert other.asked == []
    assert secure.authorizations() == []


def test_ST8_tokens_are_used_again_until_they_expire_by_the_steady_clock(
    store: Engine, fake: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    fake.put_image("x", "1", [LAYER])
    service = TokenService(fake, fake)
    for _ in range(3):
        pull(store, f"{fake.host}/x:1")
    assert len(service.asked) == 1
    real_time, real_monotonic = time.time, time.monotonic
    monkeypatch.setattr(time, "time", lambda: real_time() + 86_400)
    pull(store, f"{fake.host}/x:1")
    assert len(service.asked) == 1  # the wall clock was set: nothing has expired
    monkeypatch.setattr(time, "monotonic", lambda: real_monotonic() + 271)
    pull(store, f"{fake.host}/x:1")
    assert len(service.asked) == 2


def test_ST8_a_token_of_one_is_not_used_for_another(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("x", "1", [LAYER])
    service = TokenService(fake, fake)
    pull(store, f"{fake.host}/x:1", keys(fake.host))
    pull(store, f"{fake.host}/x:1")
    pull(store, f"{fake.host}/x:1", Keys().add(fake.host, "somebody", "else"))
    assert len(service.asked) == 3


def test_a_token_that_is_not_taken_any_more_is_replaced_once(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("x", "1", [LAYER])
    service = TokenService(fake, fake)
    pull(store, f"{fake.host}/x:1")
    service.accepted, service.answer = {"Bearer token-2"}, {"access_token": "token-2"}
    pull(store, f"{fake.host}/x:1")
    assert len(service.asked) == 2


def test_an_identity_token_is_exchanged_by_post(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("x", "1", [LAYER])
    service = TokenService(fake, fake)
    pull(store, f"{fake.host}/x:1", Keys().add(fake.host, "<token>", identity_token=SECRET))
    assert [asked.method for asked in service.asked] == ["POST"]
    assert b"grant_type=refresh_token" in service.asked[0].body
    assert f"refresh_token={SECRET}".encode() in service.asked[0].body
    assert SECRET not in service.asked[0].path


@pytest.mark.parametrize("answer", [{}, {"token": 5}, {"token": "a\r\nb"}, {"token": "ü"}, [], "x", {"token": ""}])
def test_a_realm_that_gives_nonsense_is_named(store: Engine, fake: FakeRegistry, answer: object) -> None:
    service = TokenService(fake, fake)
    service.answer = answer  # type: ignore[assignment]
    with pytest.raises(EngineError, match=f"{fake.host}/token gave no token"):
        pull(store, f"{fake.host}/x:1")


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_ST8_a_registry_that_is_never_satisfied_is_given_up(store: Engine, fake: FakeRegistry, scheme: str) -> None:
    if scheme == "Basic":
        fake.tricks.append(
            lambda handler, asked: (
                handler.refuse(401, "UNAUTHORIZED", "authentication required", {"WWW-Authenticate": "Basic realm=x"})
                or True
            )
        )
    else:
        TokenService(fake, fake).accepted = set()
    with pytest.raises(Unauthorized, match="authentication required"):
        pull(store, f"{fake.host}/x:1", keys(fake.host))
    assert len([path for path in fake.paths() if "/manifests/" in path]) <= 3


@pytest.mark.parametrize("header", ["", "Negotiate", "Digest realm=x, nonce=y", ",,,", "Bearer", "\x7f"])
def test_a_challenge_nobody_can_meet_is_an_error(store: Engine, fake: FakeRegistry, header: str) -> None:
    fake.tricks.append(
        lambda handler, asked: handler.reply(401, b"{}", {"WWW-Authenticate": header} if header else {}) or True
    )
    with pytest.raises(Unauthorized):
        pull(store, f"{fake.host}/x:1", keys(fake.host))
    assert fake.authorizations() == []


def test_ST8_a_mirror_is_not_told_who_we_are_to_docker_hub(store: Engine, fake: FakeRegistry) -> None:
    fake.put_image("library/x", "1", [LAYER])
    fake.tricks.append(wants_basic)
    reach(store, mirrors=(fake.url,))
    with pytest.raises(EngineError):
        pull(store, "x:1", keys("docker.io"))
    assert fake.authorizations() == []
    pull(store, "x:1", keys("docker.io", fake.host))
    assert set(fake.authorizations()) == {BASIC}


def test_ST8_an_upload_that_is_led_to_another_host_takes_no_credentials_along(
    store: Engine, fake: FakeRegistry, other: FakeRegistry
) -> None:
    from tests.stores import import_tar

    import_tar(store, LAYER, f"{fake.host}/x:1")

    def lead_away(handler: Handler, asked: Asked) -> bool:
        if asked.method != "POST":
            return False
        handler.reply(202, b"", {"Location": f"{other.url}/upload?signature=1"})
        return True

    fake.tricks += [wants_basic, lead_away]
    other.tricks.append(wants_basic)
    with pytest.raises(EngineError):
        store.images.push(f"{fake.host}/x:1", keys(fake.host, other.host), silent, CancelToken())
    assert other.asked
    assert other.authorizations() == []


def test_ST9_nothing_that_is_said_holds_a_credential(
    store: Engine, fake: FakeRegistry, other: FakeRegistry, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    fake.put_image("x", "1", [LAYER])
    service = TokenService(fake, other)
    keyring = keys(fake.host, other.host)
    attempts: list[Callable[[], object]] = [
        lambda: pull(store, f"{fake.host}/x:1", keyring, lambda progress: said.append(repr(progress))),
        lambda: pull(store, f"{fake.host}/nothing:1", keyring),
        lambda: store.registries.login(fake.host, Credentials(username="me", password=SECRET)),
        lambda: store.registries.tags(f"{fake.host}/x", keyring),
        lambda: store.registries.repositories(fake.host, keyring),
        lambda: store.images.push(f"{fake.host}/x:1", keyring, silent, CancelToken()),
    ]

    def run_all() -> None:
        for attempt in attempts:
            try:
                said.append(repr(attempt()))
            except EngineError as error:
                said.append("".join(traceback.format_exception(error)) + repr(error) + str(error.hint))

    run_all()
    service.accepted = set()
    run_all()
    fake.tricks.insert(0, lambda handler, asked: bool(handler.hang_up()) or True)
    run_all()
    fake.tricks[:] = [
        lambda handler, asked: handler.reply(500, (asked.authorization or "none").encode()) or True  # it echoes them
    ]
    run_all()
    said.append(repr(keyring.find(fake.host)))
    said.append(repr(Proxies(http=f"http://me:{SECRET}@proxy:1")))
    said.append(caplog.text)
    everything = "\n".join(said)
    assert "me" in everything
    for secret in (SECRET, BASIC.partition(" ")[2], "token-1"):
        assert secret not in everything
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


def test_a_realm_that_has_enough_of_us_is_believed(store: Engine, fake: FakeRegistry) -> None:
    TokenService(fake, fake)
    fake.tricks.insert(
        0,
        lambda handler, asked: (
            asked.path.startswith("/token") and (handler.reply(429, b"", {"Retry-After": "3600"}) or True)
        ),
    )
    with pytest.raises(RateLimited) as caught:
        pull(store, f"{fake.host}/x:1")
    assert caught.value.retry_after_s == 3600


def test_words_of_a_registry_are_safe_to_show(store: Engine, fake: FakeRegistry) -> None:
    fake.tricks.append(
        lambda handler, asked: handler.refuse(404, "MANIFEST_UNKNOWN", "\x1b]0;owned\x07" + "x" * 100_000) or True
    )
    with pytest.raises(NotFound) as caught:
        pull(store, f"{fake.host}/x:1")
    assert "\x1b" not in caught.value.message
    assert len(caught.value.message) < 600


def test_progress_names_what_is_done_in_dockers_words(tmp_path: Path, fake: FakeRegistry) -> None:
    store = reach(open_store(tmp_path))
    digest = fake.put_image("x", "1", [LAYER])
    told: list[Progress] = []
    pull(store, f"{fake.host}/x:1", report=told.append)
    words = [(one.part, one.status) for one in told if one.status != "Downloading"]
    part = sha256(LAYER)[7:19]
    assert words == [
        ("", "1: Pulling from x"),
        *((part, word) for word in ("Pulling fs layer", "Verifying Checksum", "Download complete", "Extracting")),
        (part, "Pull complete"),
        ("", f"Digest: {digest}"),
    ]
