"""Docker's config.json as a keyring: what docker wrote is found, what is kept docker finds."""

from __future__ import annotations

import base64
import json
import stat
import sys
from pathlib import Path

import pytest

from app import credential_helpers, keyring
from app.keyring import FileKeyring, open_keyring
from core.errors import EngineError, InvalidInput, TimedOut
from core.model.registry import Credentials

CANARY = "c4nary-pass:word"
SOMEBODY = Credentials(username="muyu", password=CANARY)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return tmp_path / "docker" / "config.json"


def write(file: Path, document: object) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(document if isinstance(document, str) else json.dumps(document))


def pair(username: str, password: str) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def helper(directory: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A credential helper called `drawer`, in Python."""
    program = directory / "docker-credential-drawer"
    program.write_text(f"#!{sys.executable} -IS\nimport json, os, sys, time\nverb = sys.argv[1]\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(directory))


DRAWER = """
drawer = os.path.join(os.path.dirname(sys.argv[0]), "drawer.json")
kept = json.load(open(drawer)) if os.path.exists(drawer) else {}
given = sys.stdin.read()
if verb == "store":
    given = json.loads(given)
    kept[given["ServerURL"]] = given
elif given not in kept:
    print("credentials not found in native keychain"); sys.exit(1)
elif verb == "get":
    print(json.dumps(kept[given]))
else:
    del kept[given]
json.dump(kept, open(drawer, "w"))
"""


def test_the_file_is_where_docker_has_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    monkeypatch.setenv("HOME", "/home/muyu")
    assert keyring.config_path() == Path("/home/muyu/.docker/config.json")
    monkeypatch.setenv("DOCKER_CONFIG", "/elsewhere")
    assert keyring.config_path() == Path("/elsewhere/config.json")


@pytest.mark.parametrize(
    ("key", "server"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("docker.io", "docker.io"),
        ("localhost:5000", "localhost:5000"),
        ("https://localhost:5000", "localhost:5000"),
        ("http://localhost:5000/v1/", "localhost:5000"),
        ("quay.io/some/path", "quay.io"),
    ],
)
def test_a_server_is_found_by_whatever_name_it_was_written(file: Path, key: str, server: str):
    write(file, {"auths": {"other.io": {"auth": pair("x", "y")}, key: {"auth": pair("muyu", CANARY)}}})
    assert FileKeyring().find(server) == SOMEBODY
    assert FileKeyring().find("localhost:5001") is None


def test_the_exact_key_wins_over_one_that_means_the_same(file: Path):
    write(file, {"auths": {"https://a.io/": {"auth": pair("old", "1")}, "a.io": {"auth": pair("new", "2")}}})
    found = FileKeyring().find("a.io")
    assert found is not None
    assert found.username == "new"


def test_an_identity_token_stands_for_a_password(file: Path):
    write(file, {"auths": {"a.io": {"auth": pair("muyu", ""), "identitytoken": "t0ken"}}})
    assert FileKeyring().find("a.io") == Credentials(username="muyu", identity_token="t0ken")


def test_what_is_kept_is_as_docker_writes_it_and_other_keys_stay(file: Path):
    write(file, {"psFormat": "x", "auths": {"z.io": {"auth": pair("a", "b")}}, "plugins": {"-": {"y": "ü"}}})
    assert FileKeyring().keep("docker.io", SOMEBODY) is True
    assert json.loads(file.read_text()) == {
        "auths": {"https://index.docker.io/v1/": {"auth": pair("muyu", CANARY)}, "z.io": {"auth": pair("a", "b")}},
        "psFormat": "x",
        "plugins": {"-": {"y": "ü"}},
    }
    assert file.read_text().startswith('{\n\t"auths": {\n\t\t"https://index.docker.io/v1/": {\n\t\t\t"auth": "')
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert FileKeyring().keep("docker.io", SOMEBODY) is False, "what is there already is not written again"


def test_directory_and_file_are_made_for_their_owner_alone(file: Path):
    FileKeyring().keep("localhost:5000", SOMEBODY)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [one.name for one in file.parent.iterdir()] == ["config.json"]


def test_a_symlink_stays_one_and_the_file_it_leads_to_is_replaced(file: Path, tmp_path: Path):
    real = tmp_path / "dotfiles" / "docker.json"
    real.parent.mkdir()
    real.write_text("{}")
    file.parent.mkdir()
    file.symlink_to("../dotfiles/docker.json")
    FileKeyring().keep("a.io", SOMEBODY)
    assert file.is_symlink()
    assert "a.io" in json.loads(real.read_text())["auths"]
    assert list(file.parent.iterdir()) == [file]


def test_forgetting_takes_every_name_of_a_server(file: Path):
    entry = {"auth": pair("a", "b")}
    write(file, {"auths": {"https://a.io/v1/": entry, "a.io": entry, "b.io": entry}, "detachKeys": "ctrl-q"})
    ring = FileKeyring()
    assert ring.find("a.io")
    ring.forget("a.io")
    assert json.loads(file.read_text()) == {"auths": {"b.io": entry}, "detachKeys": "ctrl-q"}
    assert ring.find("a.io") is None
    assert not ring.knows("a.io")
    assert ring.knows("b.io")


def test_servers_are_all_that_something_is_known_of(file: Path):
    write(file, {"auths": {"https://index.docker.io/v1/": {}, "http://b.io/x": {}}, "credHelpers": {"a.io": "x"}})
    assert FileKeyring().servers() == ["a.io", "b.io", "docker.io"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{\n  "auths": {,}\n}', "line 2 column 13"),
        ("[1]", "it must hold one object"),
        ('{"auths": 3}', "auths must be an object of objects"),
        ('{"auths": {"a.io": "x"}}', "auths must be an object of objects"),
        ('{"credHelpers": {"a.io": 3}}', "credHelpers must be an object of texts"),
        ('{"credsStore": {}}', "credsStore must be a text"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_broken_file_is_named_and_never_overwritten(file: Path, text: str, words: str):
    FileKeyring().keep("a.io", SOMEBODY)
    ring = FileKeyring()
    write(file, text)
    for act in (FileKeyring, lambda: ring.keep("b.io", SOMEBODY), lambda: ring.forget("a.io")):
        with pytest.raises(InvalidInput, match=words) as refusal:
            act()
        assert str(file) in refusal.value.message
    assert file.read_text() == text
    complaints: list[str] = []
    assert open_keyring(complaints.append) is None
    assert complaints[0].startswith(f"WARNING: Error loading config file: {file}: ")


def test_bytes_that_are_no_text_are_said_to_be_so(file: Path):
    write(file, "")
    file.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(InvalidInput, match="not UTF-8 text: byte 7"):
        FileKeyring()


@pytest.mark.parametrize("auth", ["%%%", pair("", "x"), base64.b64encode(b"nocolon").decode(), "/w=="])
def test_ST9_an_entry_that_is_none_is_named_without_its_content(file: Path, auth: str):
    write(file, {"auths": {"a.io": {"auth": auth}}})
    with pytest.raises(InvalidInput, match=r"auths: a\.io: auth is no base64") as refusal:
        FileKeyring().find("a.io")
    assert auth not in refusal.value.message


def test_a_helper_keeps_finds_and_forgets(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    helper(tmp_path, monkeypatch, DRAWER)
    write(file, {"credsStore": "drawer", "auths": {"c.io": {"auth": pair("file", "x")}}})
    ring = FileKeyring()
    assert ring.find("docker.io") is None
    assert ring.keep("docker.io", SOMEBODY) is False
    assert ring.find("docker.io") == SOMEBODY
    assert CANARY not in file.read_text()
    assert json.loads(file.read_text())["auths"]["https://index.docker.io/v1/"] == {}
    assert ring.servers() == ["c.io", "docker.io"]
    token = Credentials(identity_token="t0ken")
    ring.keep("b.io", token)
    assert ring.find("b.io") == token
    ring.forget("docker.io")
    assert FileKeyring().find("docker.io") is None
    ring.forget("docker.io")
    assert ring.find("c.io") is None, "docker asks the helper alone, too"


def test_a_helper_for_one_server_leaves_the_file_to_the_others(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    helper(tmp_path, monkeypatch, DRAWER)
    write(file, {"credHelpers": {"https://a.io": "drawer"}})
    FileKeyring().keep("a.io", SOMEBODY)
    FileKeyring().keep("b.io", SOMEBODY)
    assert list(json.loads((tmp_path / "drawer.json").read_text())) == ["a.io"]
    assert json.loads(file.read_text())["auths"] == {"a.io": {}, "b.io": {"auth": pair("muyu", CANARY)}}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("print('nonsense')", "its answer is none"),
        ("print('[' * 50000)", "its answer is none"),
        ("print(json.dumps({'Username': 3, 'Secret': 'x'}))", "must be texts"),
        ("print('x' * 100_000)", "more than 65536 bytes"),
        ("print('locked \\x1b]0;evil\\x07'); sys.exit(1)", "locked ␛]0;evil␇"),
        ("print(json.dumps({'Secret': 'c4nary'})); sys.exit(1)", "get: it failed"),
        ("sys.exit(3)", "it failed without a word"),
    ],
)
def test_ST9_what_a_helper_says_is_bounded_and_harmless(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
):
    helper(tmp_path, monkeypatch, body)
    write(file, {"credsStore": "drawer"})
    with pytest.raises(EngineError) as refusal:
        FileKeyring().find("a.io")
    assert words in refusal.value.message
    assert "c4nary" not in refusal.value.message


def test_ST9_a_helper_that_repeats_the_secret_in_its_failure_is_not_quoted(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    helper(tmp_path, monkeypatch, "print('can not keep', sys.stdin.read()); sys.exit(1)")
    write(file, {"credsStore": "drawer"})
    with pytest.raises(EngineError) as refusal:
        FileKeyring().keep("a.io", SOMEBODY)
    assert CANARY not in refusal.value.message
    assert "docker-credential-drawer store" in refusal.value.message
    assert json.loads(file.read_text()) == {"credsStore": "drawer"}


def test_a_helper_that_never_answers_is_left_behind(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(credential_helpers, "_PATIENCE_S", 0.3)
    helper(tmp_path, monkeypatch, "time.sleep(60)")
    write(file, {"credsStore": "drawer"})
    with pytest.raises(TimedOut, match="has not answered"):
        FileKeyring().find("a.io")


@pytest.mark.parametrize("name", ["../evil", "", "no-such", "a\0b"])
def test_a_helper_that_is_none_is_named(file: Path, name: str):
    write(file, {"credHelpers": {"a.io": name}, "credsStore": "" if name else "/"})
    if not name:
        assert FileKeyring().find("a.io") is None
        return
    with pytest.raises(InvalidInput, match=r"no such program|can't be the name"):
        FileKeyring().find("a.io")


def test_ST9_nothing_shows_a_secret_by_its_text(file: Path):
    ring = FileKeyring()
    ring.keep("a.io", SOMEBODY)
    assert CANARY not in f"{ring!r}{SOMEBODY!r}{ring.find('a.io')}"


def test_two_that_write_at_once_lose_nothing(file: Path):
    from concurrent.futures import ThreadPoolExecutor

    servers = [f"r{number}.io" for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda server: FileKeyring().keep(server, SOMEBODY), servers))
    assert FileKeyring().servers() == sorted(servers)
