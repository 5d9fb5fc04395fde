"""Whom a host stands for, which proxy leads there, and what a challenge says: without any network."""

from __future__ import annotations

import time

import pytest

from core.errors import EngineError, InvalidInput, NotFound, RateLimited, Unauthorized
from core.model.registry_settings import Proxies, RegistrySettings, check_insecure, check_mirror
from core.registry.answers import Interrupted, parse_retry_after, refusal
from core.registry.challenge import Challenge, parse_challenges
from core.registry.endpoint import Endpoint, endpoints_of, origin_of
from core.registry.patience import Pace, pause_before_retry
from core.registry.proxies import configured_proxies, proxy_for


def test_docker_hub_is_asked_after_its_mirrors() -> None:
    settings = RegistrySettings(mirrors=("https://one.example", "http://10.0.0.1:5000"))
    found = [(one.host, one.schemes, one.is_mirror) for one in endpoints_of("docker.io", settings)]
    assert found == [
        ("one.example", ("https",), True),
        ("10.0.0.1:5000", ("http",), True),
        ("docker.io", ("https",), False),
    ]
    assert origin_of("docker.io", settings).address == "registry-1.docker.io"


@pytest.mark.parametrize(
    ("host", "insecure", "schemes"),
    [
        ("127.0.0.1:5000", (), ("https", "http")),
        ("127.9.9.9", (), ("https", "http")),
        ("localhost:5000", (), ("https", "http")),
        ("[::1]:5000", (), ("https", "http")),
        ("10.1.2.3:5000", (), ("https",)),
        ("10.1.2.3:5000", ("10.0.0.0/8",), ("https", "http")),
        ("10.1.2.3:5000", ("10.1.2.3:5000",), ("https", "http")),
        ("10.1.2.3:5000", ("10.1.2.3",), ("https",)),
        ("registry.example:5000", ("registry.example:5000",), ("https", "http")),
    ],
)
def test_insecure_registries_are_spoken_to_without_tls_if_need_be(
    host: str, insecure: tuple[str, ...], schemes: tuple[str, ...]
) -> None:
    endpoint = origin_of(host, RegistrySettings(insecure=insecure))
    assert endpoint.schemes == schemes
    assert endpoint.is_verified == (schemes == ("https",))


def test_the_hosts_own_network_is_pinned_where_a_name_was_trusted_for_it() -> None:
    assert origin_of("localhost:1", RegistrySettings()).networks == ("127.0.0.0/8", "::1/128")
    assert origin_of("a.example", RegistrySettings(insecure=("a.example",))).networks == ()


@pytest.mark.parametrize(
    ("url", "none_for", "proxy"),
    [
        ("https://a.example/v2/", "", "http://s:1"),
        ("http://a.example/v2/", "", "http://p:1"),
        ("http://127.0.0.1:5000/v2/", "", ""),
        ("http://localhost/v2/", "", ""),
        ("http://[::1]:5000/v2/", "", ""),
        ("https://a.example/v2/", "a.example", ""),
        ("https://sub.a.example/v2/", "a.example", ""),
        ("https://sub.a.example/v2/", ".a.example", ""),
        ("https://sub.a.example/v2/", "*.a.example", ""),
        ("https://nota.example/v2/", "a.example", "http://s:1"),
        ("https://a.example:5000/v2/", "a.example:5000", ""),
        ("https://a.example:5001/v2/", "a.example:5000", "http://s:1"),
        ("https://10.1.2.3/v2/", "192.168.0.0/16, 10.0.0.0/8", ""),
        ("https://10.1.2.3/v2/", "10.1.2.3", ""),
        ("https://11.1.2.3/v2/", "10.0.0.0/8,nonsense/99", "http://s:1"),
        ("https://a.example/v2/", "*", ""),
    ],
)
def test_proxies_lead_to_all_but_the_excepted(url: str, none_for: str, proxy: str) -> None:
    assert proxy_for(url, Proxies(http="p:1", https="http://s:1", none_for=none_for)) == proxy


def test_proxies_of_the_settings_come_before_the_environments() -> None:
    environment = {"HTTP_PROXY": "e:1", "https_proxy": "e:2", "NO_PROXY": "x"}
    assert configured_proxies(Proxies(), environment) == Proxies(http="e:1", https="e:2", none_for="x")
    assert configured_proxies(Proxies(http="s:1"), environment).http == "s:1"


def test_challenges_are_read_in_all_their_shapes() -> None:
    header = 'Bearer realm="https://auth.example/token?a=b,c",service="x \\"y\\"", Basic realm=quay'
    assert parse_challenges([header, "Negotiate"]) == [
        Challenge("bearer", {"realm": "https://auth.example/token?a=b,c", "service": 'x "y"'}),
        Challenge("basic", {"realm": "quay"}),
        Challenge("negotiate", {}),
    ]
    assert parse_challenges(['Bearer realm="one",realm="two"']) == [Challenge("bearer", {"realm": "one"})]
    assert parse_challenges(["", "=", ",,", "realm=x"]) == []


def test_refusals_are_said_in_dockers_words() -> None:
    def said(status: int, body: bytes, **options: str) -> EngineError:
        return refusal(status, body, asked="GET http://x/v2/", what="manifest for x:1", **options)

    unknown = said(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')
    assert unknown.message == "manifest for x:1 not found: manifest unknown: manifest unknown"
    assert isinstance(unknown, NotFound)
    denied = said(401, b'{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}')
    assert denied.message == "denied: requested access to the resource is denied"
    assert isinstance(denied, Unauthorized)
    assert isinstance(said(403, b"<html>"), Unauthorized)
    limited = said(429, b"", retry_after="7")
    assert isinstance(limited, RateLimited)
    assert limited.retry_after_s == 7
    assert isinstance(said(503, b"[" * 10_000), Interrupted)
    assert isinstance(said(400, b'{"errors":[]}'), InvalidInput)


@pytest.mark.parametrize("text", ["", "soon", "-1", "nan", "inf", "Thu, 99 Foo 2020"])
def test_what_is_no_time_to_wait_is_none(text: str) -> None:
    assert parse_retry_after(text) is None


def test_a_time_to_wait_may_be_a_date() -> None:
    import email.utils

    wait = parse_retry_after(email.utils.formatdate(time.time() + 30, usegmt=True))
    assert wait is not None
    assert 25 < wait <= 31
    assert parse_retry_after("Thu, 01 Jan 1970 00:00:00 GMT") == 0


def test_pauses_grow_and_what_would_not_help_is_not_tried_again() -> None:
    pace = Pace()
    broken = Interrupted("x")
    assert [pause_before_retry(broken, attempt, pace) for attempt in (1, 2, 3, 4, 40)] == [1, 2, 4, 8, 60]
    assert pause_before_retry(RateLimited("x", retry_after_s=30), 1, pace) == 30
    assert pause_before_retry(RateLimited("x", retry_after_s=61), 1, pace) is None
    assert pause_before_retry(Unauthorized("x"), 1, pace) is None


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (check_mirror, "mirror.example"),
        (check_mirror, "ftp://mirror.example"),
        (check_mirror, "https://"),
        (check_mirror, "https://me:secret@mirror.example"),
        (check_mirror, "https://mirror.example/path"),
        (check_mirror, "https://mirror.example?x"),
        (check_mirror, "https://mirror.example:nine"),
        (check_insecure, "https://x"),
        (check_insecure, "10.0.0.0/99"),
        (check_insecure, "a b"),
        (check_insecure, ""),
    ],
)
def test_settings_that_mean_nothing_are_refused(check: object, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(text)  # type: ignore[operator]
    assert "secret" not in caught.value.message


def test_an_endpoint_is_a_value() -> None:
    assert Endpoint(host="a", address="a") == Endpoint(host="a", address="a")
